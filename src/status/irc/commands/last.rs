//! `last [<which>]`

use super::super::words::plain_text;
use super::status::age;
use super::{Act, Call, Sorry, say};
use crate::db::builds;
use crate::master::authz::{Action, Subject};

pub const USAGE: &str = "last <which> - list last build status for builder <which>";

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    call.may(Action::View, Subject::Nothing).await?;
    let builders = call.which("last <builder>").await?;
    let names: Vec<String> = builders.into_iter().map(|builder| builder.name).collect();
    if names.is_empty() {
        return Ok(say("there are no builders"));
    }
    let wanted = names.clone();
    let last = call.read(move |conn| builds::last_finished(conn, &wanted)).await?;
    let now = call.now();
    let line = |name: String| match last.iter().find(|build| build.builder == name) {
        Some(build) => format!("last build [{name}]: {} ago: {}", age(build, now), plain_text(build)),
        None => format!("last build [{name}]: (no builds run since last restart)"),
    };
    Ok(names.into_iter().map(|name| Act::Say(line(name))).collect())
}
