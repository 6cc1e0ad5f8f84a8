//! `notify on|off|list [<EVENT>] ...`

use super::super::events::{EventName, Events};
use super::{Act, Call, Sorry, say};
use crate::master::authz::{Action, Subject};

pub const USAGE: &str = "notify on|off|list [<EVENT>] ... - Say which builds I speak of here without being asked. \
                         An event is 'started', 'finished', 'success', 'warnings', 'failure', 'exception', or a turn \
                         such as 'successToFailure', of any two results; 'on' alone means 'started' and 'finished', \
                         'off' alone all of them";

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    let words = call.words()?;
    let Some((word, names)) = words.split_first() else {
        return Err(Sorry::usage("notify on|off|list <EVENT>"));
    };
    let unknown = || Sorry::usage("notify on|off <EVENT>");
    let events: Events =
        names.iter().map(|name| EventName::parse(name).ok_or_else(unknown)).collect::<Result<_, _>>()?;
    let events = match word.as_str() {
        "list" => return Ok(list(&call.events)),
        "on" if events.is_empty() => call.events.with(&[EventName::Started, EventName::Finished].into_iter().collect()),
        "on" => call.events.with(&events),
        "off" if events.is_empty() => Events::default(),
        "off" => call.events.without(&events),
        _ => return Err(unknown()),
    };
    call.may(Action::View, Subject::Nothing).await?;
    let mut acts = vec![Act::Notify(events.clone())];
    acts.extend(list(&events));
    Ok(acts)
}

fn list(events: &Events) -> Vec<Act> {
    say(format!("The following events are being notified: {events}"))
}
