//! `mute`, `unmute`

use super::{Act, Call};

pub const USAGE: &str = "mute - suppress all messages until a corresponding 'unmute' is issued";
pub const UNMUTE_USAGE: &str = "unmute - disable a previous 'mute'";

pub fn mute() -> Vec<Act> {
    vec![Act::Say("Shutting up for now.".to_owned()), Act::Mute(true)]
}

pub fn unmute(call: &Call) -> Vec<Act> {
    let answer = match call.muted {
        true => "I'm baaaaaaaaaaack!",
        false => "You hadn't told me to be quiet, but it's the thought that counts, right?",
    };
    vec![Act::Mute(false), Act::Say(answer.to_owned())]
}
