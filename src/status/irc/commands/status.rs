//! `status [<which>]`

use super::super::words::{clean, duration, eta, plain_text};
use super::{Act, Call, Sorry, say};
use crate::db::{Conn, builds};
use crate::master::authz::{Action, Subject};
use crate::model::{BigState, Build, Builder, Time};
use std::sync::Arc;

pub const USAGE: &str = "status [<which>] - List status of a builder (or all builders)";

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    call.may(Action::View, Subject::Nothing).await?;
    let builders = call.which("status <builder>").await?;
    let names: Vec<String> = builders.iter().map(|builder| builder.name.clone()).collect();
    if names.is_empty() {
        return Ok(say("there are no builders"));
    }
    let read = move |conn: &mut Conn| Ok((builds::running_of(conn, &names)?, builds::last_finished(conn, &names)?));
    let (running, last) = call.read(read).await?;
    let now = call.now();
    let line = |builder: &Builder| {
        let of = |build: &&Arc<Build>| build.builder == builder.name;
        line(builder, &running.iter().filter(of).collect::<Vec<_>>(), last.iter().find(of), now)
    };
    Ok(builders.iter().map(|builder| Act::Say(line(builder))).collect())
}

fn line(builder: &Builder, running: &[&Arc<Build>], last: Option<&Arc<Build>>, now: Time) -> String {
    let name = &builder.name;
    match builder.state {
        BigState::Offline => format!("{name}: offline"),
        BigState::Idle => match last {
            Some(build) => format!("{name}: idle, last build {} ago: {}", age(build, now), plain_text(build)),
            None => format!("{name}: idle"),
        },
        BigState::Building => {
            let running: Vec<String> = running.iter().map(|build| at_work(build, now)).collect();
            format!("{name}: building{}", running.join(", "))
        }
    }
}

/// How long ago it ended.
pub fn age(build: &Build, now: Time) -> String {
    duration(build.finished.map_or_else(Default::default, |finished| now.since(finished)))
}

/// `(compile) [ETA 1m15s]`
fn at_work(build: &Build, now: Time) -> String {
    let step = match build.current_step() {
        Some(step) => clean(&step.text.join(" ")),
        None => "no current step".to_owned(),
    };
    match eta(build, now) {
        Some(eta) => format!("({step}) [ETA {eta}]"),
        None => format!("({step})"),
    }
}
