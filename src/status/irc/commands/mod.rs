//! What people can say to the bot. A file for each command, or each family of them: what it takes, what it answers.
//!
//! A command reads what it needs and answers with [`Act`]s; the bot carries them out. The texts are those people and
//! scripts know from 0.8, where it said something.

mod call;
mod channels;
mod force;
mod fun;
mod help;
mod last;
mod list;
mod mute;
mod notify;
mod shutdown;
mod status;
mod stop;
mod watch;

pub use call::{Call, Desk, Sorry};
pub use fun::to_action;

use super::events::Events;
use crate::config::Secret;
use crate::model::{BuildRef, BuildRequest};
use std::time::Duration;

/// What a command comes to; carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Say(String),
    /// Said as CTCP ACTION.
    Emote(String),
    Later(Duration, String),
    Mute(bool),
    Notify(Events),
    /// Its end is to be told.
    Watch(BuildRef),
    /// Its builds are to be told of.
    Await(BuildRequest),
    Join {
        channel: String,
        key: Option<Secret>,
    },
    Leave {
        channel: String,
    },
    ShutDown(ShutDown),
}

/// What becomes of the whole master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutDown {
    /// Once no build runs any more.
    Start,
    /// Not any more.
    Cancel,
    /// At once: running builds are interrupted, and built again after the next start.
    Now,
}

/// The commands, in the order of the alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Commands,
    Dance,
    Destroy,
    Force,
    Hello,
    Help,
    Join,
    Last,
    Leave,
    List,
    Mute,
    Notify,
    Shutdown,
    Source,
    Status,
    Stop,
    Unmute,
    Version,
    Watch,
}

impl Verb {
    pub const ALL: [Verb; 19] = [
        Verb::Commands,
        Verb::Dance,
        Verb::Destroy,
        Verb::Force,
        Verb::Hello,
        Verb::Help,
        Verb::Join,
        Verb::Last,
        Verb::Leave,
        Verb::List,
        Verb::Mute,
        Verb::Notify,
        Verb::Shutdown,
        Verb::Source,
        Verb::Status,
        Verb::Stop,
        Verb::Unmute,
        Verb::Version,
        Verb::Watch,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Verb::Commands => "commands",
            Verb::Dance => "dance",
            Verb::Destroy => "destroy",
            Verb::Force => "force",
            Verb::Hello => "hello",
            Verb::Help => "help",
            Verb::Join => "join",
            Verb::Last => "last",
            Verb::Leave => "leave",
            Verb::List => "list",
            Verb::Mute => "mute",
            Verb::Notify => "notify",
            Verb::Shutdown => "shutdown",
            Verb::Source => "source",
            Verb::Status => "status",
            Verb::Stop => "stop",
            Verb::Unmute => "unmute",
            Verb::Version => "version",
            Verb::Watch => "watch",
        }
    }

    /// Case does not count.
    pub fn parse(word: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.word().eq_ignore_ascii_case(word))
    }

    /// What `help` says of it; `topics` are the words after its name. Some have nothing to explain.
    pub fn usage(self, topics: &[String]) -> Option<&'static str> {
        match self {
            Verb::Commands => Some(help::COMMANDS_USAGE),
            Verb::Force => Some(force::USAGE),
            Verb::Help => Some(help::USAGE),
            Verb::Join => Some(channels::JOIN_USAGE),
            Verb::Last => Some(last::USAGE),
            Verb::Leave => Some(channels::LEAVE_USAGE),
            Verb::List => Some(list::USAGE),
            Verb::Mute => Some(mute::USAGE),
            Verb::Notify => Some(notify::USAGE),
            Verb::Shutdown => shutdown::usage(topics),
            Verb::Source => Some(fun::SOURCE_USAGE),
            Verb::Status => Some(status::USAGE),
            Verb::Stop => Some(stop::USAGE),
            Verb::Unmute => Some(mute::UNMUTE_USAGE),
            Verb::Watch => Some(watch::USAGE),
            Verb::Dance | Verb::Destroy | Verb::Hello | Verb::Version => None,
        }
    }
}

/// What was said, as the bot takes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The name of the bot and no more: there is nothing to answer.
    Nothing,
    /// A line of an old game, with how it goes on.
    Prompt(Vec<Act>),
    Command(Verb, String),
    Unknown(String),
}

/// Takes apart what somebody said to the bot, its name left out.
pub fn read(text: &str) -> Said {
    let text = text.trim_start();
    if let Some(acts) = fun::to_prompt(text) {
        return Said::Prompt(acts);
    }
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match Verb::parse(word.trim_end()) {
        Some(verb) => Said::Command(verb, rest.trim().to_owned()),
        None if word.is_empty() => Said::Nothing,
        None => Said::Unknown(text.trim_end().to_owned()),
    }
}

/// The answer to what is no command.
pub fn to_unknown(text: &str) -> Act {
    let word = text.split(' ').next().unwrap_or(text);
    match text.ends_with('!') {
        true => Act::Say("What you say!".to_owned()),
        false => Act::Say(format!("no such command '{word}', try 'commands'")),
    }
}

/// Carries a command out, so far as it needs nothing of the bot's own.
pub async fn run(verb: Verb, call: &Call) -> Result<Vec<Act>, Sorry> {
    match verb {
        Verb::Commands => Ok(help::commands()),
        Verb::Dance => Ok(fun::dance()),
        Verb::Destroy => Ok(fun::destroy(call)),
        Verb::Force => force::run(call).await,
        Verb::Hello => Ok(fun::hello()),
        Verb::Help => help::run(call),
        Verb::Join => channels::join(call).await,
        Verb::Last => last::run(call).await,
        Verb::Leave => channels::leave(call).await,
        Verb::List => list::run(call).await,
        Verb::Mute => Ok(mute::mute()),
        Verb::Notify => notify::run(call).await,
        Verb::Shutdown => shutdown::run(call).await,
        Verb::Source => Ok(fun::source()),
        Verb::Status => status::run(call).await,
        Verb::Stop => stop::run(call).await,
        Verb::Unmute => Ok(mute::unmute(call)),
        Verb::Version => Ok(fun::version()),
        Verb::Watch => watch::run(call).await,
    }
}

/// One line as the whole answer.
fn say(line: impl Into<String>) -> Vec<Act> {
    vec![Act::Say(line.into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_people_type_them() {
        let command = |verb, rest: &str| Said::Command(verb, rest.to_owned());
        assert_eq!(read("   sTaTuS  docs "), command(Verb::Status, "docs"));
        assert_eq!(read("hello"), command(Verb::Hello, ""));
        assert_eq!(read("  "), Said::Nothing);
        assert_eq!(read("na\u{ef}ve \u{2603}"), Said::Unknown("na\u{ef}ve \u{2603}".to_owned()));
        assert!(matches!(read(" What happen ?"), Said::Prompt(_)));
    }

    #[test]
    fn every_command_is_found_by_its_word_and_listed_in_order() {
        let words: Vec<&str> = Verb::ALL.iter().map(|verb| verb.word()).collect();
        assert!(words.is_sorted());
        assert!(Verb::ALL.iter().all(|verb| Verb::parse(&verb.word().to_uppercase()) == Some(*verb)));
    }

    #[test]
    fn what_is_no_command_is_said_to_be_none() {
        assert_eq!(to_unknown("status! now"), Act::Say("no such command 'status!', try 'commands'".to_owned()));
        assert_eq!(to_unknown("what is this!"), Act::Say("What you say!".to_owned()));
    }
}
