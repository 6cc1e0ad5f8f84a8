//! `shutdown check|start|stop|now`

use super::{Act, Call, ShutDown, Sorry, say};
use crate::master::GetOutlook;
use crate::master::authz::{Action, Subject};

pub fn usage(topics: &[String]) -> Option<&'static str> {
    match topics.first().map(String::as_str) {
        None => Some("shutdown check|start|stop|now - shutdown the buildbot master"),
        Some("check") => Some("shutdown check - check if the buildbot master is running or shutting down"),
        Some("start") => Some("shutdown start - start a clean shutdown"),
        Some("stop") => Some("shutdown stop - stop the clean shutdown"),
        Some("now") => Some("shutdown now - shutdown immediately without waiting for the builders to finish"),
        Some(_) => None,
    }
}

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    let word = call.rest.as_str();
    if !["check", "start", "stop", "now"].contains(&word) {
        return Err(Sorry::usage("shutdown check|start|stop|now"));
    }
    call.may(Action::CleanShutdown, Subject::Nothing).await?;
    let shutting_down = call.desk.master.send(GetOutlook).await?.shutting_down;
    let order = |line: &str, order| {
        tracing::info!("{line}, as {} wants it", call.who());
        // Said first: there may be nobody to say it afterwards.
        Ok(vec![Act::Say(line.to_owned()), Act::ShutDown(order)])
    };
    match (word, shutting_down) {
        ("check", true) => Ok(say("Status: buildbot is shutting down")),
        ("check", false) => Ok(say("Status: buildbot is running")),
        ("start", true) => Ok(say("Already started")),
        ("start", false) => order("Starting clean shutdown", ShutDown::Start),
        ("stop", true) => order("Stopping clean shutdown", ShutDown::Cancel),
        ("stop", false) => Ok(say("Nothing to stop")),
        _ => order("Stopping buildbot", ShutDown::Now),
    }
}
