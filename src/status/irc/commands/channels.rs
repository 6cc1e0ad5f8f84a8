//! `join <channel> [<key>]`, `leave <channel>`

use super::{Act, Call, Sorry};
use crate::config::Secret;
use crate::master::authz::{Action, Subject};

pub const JOIN_USAGE: &str = "join <channel> [<key>] - Join a channel, until the next restart";
pub const LEAVE_USAGE: &str = "leave <channel> - Leave a channel";

/// How many channels the bot is in at most, when people send it there.
const MOST: usize = 50;

/// No server takes longer ones.
const LONGEST_NAME: usize = 200;

pub async fn join(call: &Call) -> Result<Vec<Act>, Sorry> {
    let words = call.words()?;
    let (name, key) = match words.as_slice() {
        [name] => (name, None),
        [name, key] => (name, Some(Secret::new(key))),
        _ => return Err(Sorry::usage("join <channel> [<key>]")),
    };
    let channel = channel(call, name)?;
    if key.as_ref().is_some_and(|key| key.reveal().is_empty() || key.reveal().contains(unfit)) {
        return Err(Sorry::Said("a key has no blanks and no commas".to_owned()));
    }
    call.may(Action::JoinChannel, Subject::Nothing).await?;
    if call.presence.is_in(&channel) {
        return Err(Sorry::Said(format!("I am in {channel} already")));
    }
    if call.presence.channels() >= MOST {
        return Err(Sorry::Said(format!("I am in {MOST} channels already: have me leave one first")));
    }
    Ok(vec![Act::Say(format!("joining {channel}")), Act::Join { channel, key }])
}

pub async fn leave(call: &Call) -> Result<Vec<Act>, Sorry> {
    let words = call.words()?;
    let [name] = words.as_slice() else { return Err(Sorry::usage("leave <channel>")) };
    let channel = channel(call, name)?;
    call.may(Action::JoinChannel, Subject::Nothing).await?;
    if !call.presence.is_in(&channel) && !call.presence.is_visiting(&channel) {
        return Err(Sorry::Said(format!("I am not in {channel}")));
    }
    Ok(vec![Act::Say(format!("leaving {channel}")), Act::Leave { channel }])
}

/// A name without a mark gets the usual one, as in the configuration.
fn channel(call: &Call, name: &str) -> Result<String, Sorry> {
    let marked = name.starts_with(|mark| call.presence.server.channel_types.contains(mark));
    let channel = if marked { name.to_owned() } else { format!("#{name}") };
    if name.is_empty() || channel.len() > LONGEST_NAME || channel.contains(unfit) {
        return Err(Sorry::Said(format!("'{name}' is no channel")));
    }
    Ok(channel)
}

/// What would end a parameter, or be another one.
fn unfit(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == ','
}
