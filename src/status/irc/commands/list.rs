//! `list builders`

use super::{Act, Call, Sorry, say};
use crate::db::builders;
use crate::master::authz::{Action, Subject};
use crate::model::{BigState, Builder};

pub const USAGE: &str = "list builders - List configured builders";

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    if call.words()?.first().map(String::as_str) != Some("builders") {
        return Err(Sorry::usage("list builders"));
    }
    call.may(Action::View, Subject::Nothing).await?;
    let mut all = call.read(builders::all).await?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(say(line(&all)))
}

fn line(builders: &[Builder]) -> String {
    let name = |builder: &Builder| match builder.state {
        BigState::Offline => format!(" {}[offline]", builder.name),
        BigState::Idle | BigState::Building => format!(" {}", builder.name),
    };
    format!("Configured builders:{}", builders.iter().map(name).collect::<String>())
}
