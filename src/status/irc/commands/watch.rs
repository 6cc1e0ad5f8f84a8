//! `watch <which>`

use super::super::words::{eta, revisions};
use super::{Act, Call, Sorry, say};
use crate::db::builds;
use crate::master::authz::{Action, Subject};
use crate::model::{Build, Time};

pub const USAGE: &str = "watch <which> - announce the completion of an active build";

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    let words = call.words()?;
    let [name] = words.as_slice() else { return Err(Sorry::usage("watch <builder>")) };
    call.may(Action::View, Subject::Nothing).await?;
    let builder = call.builder(name).await?;
    let running = call.read(move |conn| builds::running_of(conn, &[builder.name])).await?;
    if running.is_empty() {
        return Ok(say("there are no builds currently running"));
    }
    let (now, use_revisions) = (call.now(), call.config.use_revisions);
    let watch = |build: &Build| [Act::Say(line(build, use_revisions, now)), Act::Watch(build.reference())];
    Ok(running.iter().flat_map(|build| watch(build)).collect())
}

fn line(build: &Build, use_revisions: bool, now: Time) -> String {
    let mut line = match use_revisions {
        true => {
            format!("watching build {} containing revision(s) [{}] until it finishes", build.builder, revisions(build))
        }
        false => format!("watching build {} #{} until it finishes", build.builder, build.number),
    };
    if let Some(eta) = eta(build, now) {
        line.push_str(&format!(" [{eta}]"));
    }
    line + ".."
}
