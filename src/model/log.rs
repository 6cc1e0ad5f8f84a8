use serde::{Deserialize, Serialize};

/// One log of a step. Its text is kept apart, in chunks; see `db::logs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// Unique over the life of the installation.
    pub id: i64,
    pub name: String,
    pub kind: LogKind,
    /// Set once nothing more will be added.
    pub finished: bool,
    /// Line ends so far, over all channels; counted by the database as text arrives.
    pub lines: i64,
    /// Bytes so far, over all channels, before compression.
    pub bytes: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    Text,
    /// Shown as a page of its own, in a sandbox.
    Html,
}

/// Where a piece of log text came from; the codes are 0.8's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    Stdout = 0,
    Stderr = 1,
    /// What the master itself says: the command, its environment, how it ended.
    Header = 2,
}

impl Channel {
    pub fn from_code(code: u8) -> Option<Channel> {
        match code {
            0 => Some(Channel::Stdout),
            1 => Some(Channel::Stderr),
            2 => Some(Channel::Header),
            _ => None,
        }
    }

    /// The style class and the word: `stdout`, `stderr`, `header`.
    pub fn word(self) -> &'static str {
        match self {
            Channel::Stdout => "stdout",
            Channel::Stderr => "stderr",
            Channel::Header => "header",
        }
    }
}

/// A piece of log text as it came: any bytes, not cut at line ends.
///
/// A log is the sequence of its segments; a line ends at a `\n`, whichever channel it came on.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub channel: Channel,
    pub bytes: Vec<u8>,
}
