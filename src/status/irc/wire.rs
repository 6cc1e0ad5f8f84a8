//! What bot and connection say to each other.
//!
//! The bot decides *what* is said and never sees a line of the protocol; the connection owns socket, pace and tries, and
//! knows nothing of builds.

use crate::config::Secret;
use actix::prelude::*;

/// What the connection tells the bot, in order.
#[derive(Message, Clone, Debug, PartialEq)]
#[rtype(result = "()")]
pub enum Heard {
    /// Registered, and identified where that was asked for (or given up after a while); the joins of all channels
    /// asked for so far follow.
    ///
    /// A bot asks for its channels again each time it hears this: a connection that fell and was restarted has
    /// forgotten them, and one that has not takes no harm.
    Connected { nick: String, server: Server },
    /// We are called so from now on.
    Renamed { nick: String },
    /// We are in the channel.
    Joined { channel: String },
    /// We are not in it any more, or could not get in: `why` is a sentence. `again` says that it is tried again.
    Left { channel: String, why: String, again: bool },
    /// Somebody said something where we hear it: without colours and control characters, and at most so often for each
    /// nick (ten at once, two a second; a hundred a second of all together).
    Said { from: Speaker, to: Addressee, text: String, how: How },
    /// Somebody changed their nick: what is known of the old one is the new one's.
    SpeakerRenamed { from: String, to: String },
    /// Somebody left the network.
    SpeakerGone { nick: String },
    /// The connection is gone and tried again by itself. What was still to be sent is dropped.
    Lost { why: String },
}

/// What the server said of itself (ISUPPORT), with RFC 1459's values where it said nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub casemapping: Casemapping,
    /// What names of channels begin with.
    pub channel_types: String,
    pub nick_length: usize,
    /// How long a line may be, its end included.
    pub line_length: usize,
}

impl Default for Server {
    fn default() -> Server {
        Server { casemapping: Casemapping::Rfc1459, channel_types: "#&".to_owned(), nick_length: 9, line_length: 512 }
    }
}

impl Server {
    pub fn is_channel(&self, name: &str) -> bool {
        name.starts_with(|first| self.channel_types.contains(first))
    }
}

/// Which letters a server takes for the same in nicks and names of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Casemapping {
    Ascii,
    /// Where `{}|^` are the small letters of `[]\~`.
    Rfc1459,
    /// The same without `^` and `~`.
    Rfc1459Strict,
}

impl Casemapping {
    /// The one form of all names that are the same. Letters beyond ASCII are left as they are.
    pub fn fold(self, name: &str) -> String {
        name.chars().map(|letter| self.fold_letter(letter)).collect()
    }

    /// Whether both name the same.
    pub fn same(self, a: &str, b: &str) -> bool {
        a.chars().map(|letter| self.fold_letter(letter)).eq(b.chars().map(|letter| self.fold_letter(letter)))
    }

    fn fold_letter(self, letter: char) -> char {
        match (self, letter) {
            (Casemapping::Ascii, letter) => letter.to_ascii_lowercase(),
            (Casemapping::Rfc1459 | Casemapping::Rfc1459Strict, '[') => '{',
            (Casemapping::Rfc1459 | Casemapping::Rfc1459Strict, ']') => '}',
            (Casemapping::Rfc1459 | Casemapping::Rfc1459Strict, '\\') => '|',
            (Casemapping::Rfc1459, '~') => '^',
            (Casemapping::Rfc1459 | Casemapping::Rfc1459Strict, letter) => letter.to_ascii_lowercase(),
        }
    }
}

/// Who said something.
#[derive(Clone, Debug, PartialEq)]
pub struct Speaker {
    pub nick: String,
    pub user: String,
    pub host: String,
    /// Who they are to the network's services, where the server says so by itself (account-tag, account-notify,
    /// extended-join) or was asked lately. `None` says that nothing is known; [`WhoIs`] asks.
    pub account: Option<String>,
}

/// To whom something was said.
#[derive(Clone, Debug, PartialEq)]
pub enum Addressee {
    Channel(String),
    /// Us alone.
    Us,
}

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Message,
    Notice,
    /// `/me`.
    Action,
}

/// What the bot has the connection do.
#[derive(Message, Clone, Debug, PartialEq)]
#[rtype(result = "()")]
pub enum Do {
    /// Queued, split and paced. `text` may hold line ends, which make lines of it, and mIRC's colours; no other control
    /// character reaches the wire. Dropped while there is no connection.
    Say {
        to: String,
        how: How,
        text: String,
    },
    /// Joined once there is a connection, and again after each loss, until [`Do::Part`].
    Join {
        channel: String,
        key: Option<Secret>,
    },
    Part {
        channel: String,
    },
}

/// Asks whom the network's services know this nick as; `None` where it is not logged in, or nothing was heard within a
/// few seconds. Answers are kept until the nick is changed, leaves our sight or logs in or out.
#[derive(Message, Clone, Debug, PartialEq)]
#[rtype(result = "Option<String>")]
pub struct WhoIs {
    pub nick: String,
}

/// Says what is queued, for a few seconds at most, and goodbye. Answered when the connection has ended; it is not tried
/// again.
#[derive(Message, Clone, Debug, PartialEq)]
#[rtype(result = "()")]
pub struct Quit {
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_casemapping_has_its_small_letters() {
        assert_eq!(Casemapping::Ascii.fold("A[]\\~É"), "a[]\\~É");
        assert_eq!(Casemapping::Rfc1459.fold("A[]\\~"), "a{}|^");
        assert_eq!(Casemapping::Rfc1459Strict.fold("A[]\\~"), "a{}|~");
        assert!(Casemapping::Rfc1459.same("Nick[away]", "nick{AWAY}"));
        assert!(!Casemapping::Ascii.same("Nick[away]", "nick{away}"));
    }
}
