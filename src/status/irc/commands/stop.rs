//! `stop build <which> <reason>`

use super::super::words::revisions;
use super::{Act, Call, Sorry, say};
use crate::db::builds;
use crate::master::StopBuild;
use crate::master::authz::{Action, Subject};
use crate::model::Build;

pub const USAGE: &str = "stop build <which> <reason> - Stop a running build";

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    let words = call.words()?;
    let [what, name, reason @ ..] = words.as_slice() else { return Err(usage()) };
    if what != "build" || reason.is_empty() {
        return Err(usage());
    }
    call.rights.open(Action::StopBuild)?;
    let builder = call.builder(name).await?;
    let running = call.read(move |conn| builds::running_of(conn, &[builder.name])).await?;
    if running.is_empty() {
        return Ok(say("sorry, no build is currently running"));
    }
    let reason = format!("stopped: by {}: {}\n", call.who(), reason.join(" "));
    let mut acts = Vec::new();
    for build in &running {
        call.may(Action::StopBuild, Subject::Build(build)).await?;
        let order = StopBuild { build: build.reference(), reason: reason.clone() };
        let answer = match call.desk.master.send(order).await? {
            Ok(()) => interrupted(build, call.config.use_revisions),
            Err(refused) => refused.to_string(),
        };
        acts.push(Act::Say(answer));
    }
    Ok(acts)
}

fn usage() -> Sorry {
    Sorry::usage("stop build WHICH <REASON>")
}

fn interrupted(build: &Build, use_revisions: bool) -> String {
    match use_revisions {
        true => format!("build containing revision(s) [{}] interrupted", revisions(build)),
        false => format!("build {} interrupted", build.number),
    }
}
