//! `hello`, `version`, `source`, `dance`, `destroy`, and what is said to the bot in jest.

use super::super::presence::Presence;
use super::{Act, Call, say};
use std::time::Duration;

pub const SOURCE_USAGE: &str = "source - the source code for Buildbot";

/// When each step of the dance is made, in tenths of a second.
const DANCE: [(u64, &str); 5] = [(10, "<(^.^<)"), (20, "<(^.^)>"), (30, "(>^.^)>"), (35, "(7^.^)7"), (50, "(>^.^<)")];

/// Before the first line of an answer to a prompt, and between them.
const FIRST_LINE: Duration = Duration::from_millis(500);
const NEXT_LINE: Duration = Duration::from_millis(2500);

pub fn hello() -> Vec<Act> {
    say("yes?")
}

pub fn version() -> Vec<Act> {
    say(concat!("signalbox-", env!("CARGO_PKG_VERSION"), " at your service"))
}

/// There is no address to give that would hold for every installation.
pub fn source() -> Vec<Act> {
    say(concat!("I am Signalbox ", env!("CARGO_PKG_VERSION"), "; whoever runs me can say where my source is"))
}

pub fn dance() -> Vec<Act> {
    DANCE.iter().map(|(tenths, step)| Act::Later(Duration::from_millis(tenths * 100), (*step).to_owned())).collect()
}

pub fn destroy(call: &Call) -> Vec<Act> {
    let us = call.presence.fold(&call.presence.nick);
    match call.presence.fold(&call.rest).contains(&us) {
        true => Vec::new(),
        false => vec![Act::Emote("readies phasers".to_owned())],
    }
}

/// How a line of an old game goes on, if it is one.
pub fn to_prompt(text: &str) -> Option<Vec<Act>> {
    let lines: &[&str] = match text {
        "What happen ?" => &["Somebody set up us the bomb."],
        "It's You !!" => {
            &["How are you gentlemen !!", "All your base are belong to us.", "You are on the way to destruction."]
        }
        "What you say !!" => &["You have no chance to survive make your time.", "HA HA HA HA ...."],
        _ => return None,
    };
    let timed = (0..).zip(lines).map(|(n, line)| Act::Later(FIRST_LINE + NEXT_LINE * n, (*line).to_owned()));
    Some(timed.collect())
}

/// The answer to what somebody does to the bot, `hugs builds`; nothing where it is done to somebody else.
pub fn to_action(text: &str, nick: &str, presence: &Presence) -> Option<Act> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [.., verb, whom] = words.as_slice() else { return None };
    if !presence.same(whom, &presence.nick) || !verb.ends_with('s') {
        return None;
    }
    let answer = match *verb {
        "kicks" => "kicks back".to_owned(),
        verb => format!("{verb} {nick} too"),
    };
    Some(Act::Emote(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_to_the_bot_is_done_back() {
        let presence = Presence::new("bb");
        let answer = |text| to_action(text, "carol", &presence);
        assert_eq!(answer("kicks bb"), Some(Act::Emote("kicks back".to_owned())));
        assert_eq!(answer("slowly hugs BB"), Some(Act::Emote("hugs carol too".to_owned())));
        for other in ["hugs bob", "hug bb", "bb", "", "hugs bb again"] {
            assert_eq!(answer(other), None, "{other}");
        }
    }

    #[test]
    fn a_game_goes_on_in_its_pace() {
        let acts = to_prompt("It's You !!").unwrap();
        assert_eq!(acts.len(), 3);
        assert!(matches!(&acts[2], Act::Later(pause, _) if *pause == Duration::from_millis(5500)));
        assert_eq!(to_prompt("It's you !!"), None);
    }
}
