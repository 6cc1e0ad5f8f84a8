use super::Time;
use serde::{Deserialize, Serialize};

/// A builder as the master configured it, with its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Builder {
    pub name: String,
    /// The last path component of its directory.
    pub basedir: String,
    pub description: Option<String>,
    pub tags: Vec<String>,
    /// Names of the workers that may build it, in the order of the configuration.
    pub workers: Vec<String>,
    /// Names of the schedulers that list it.
    pub schedulers: Vec<String>,
    pub state: BigState,
}

/// 0.8's "big state" of a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BigState {
    /// No worker of it is connected.
    Offline,
    Idle,
    /// At least one build is running.
    Building,
}

impl BigState {
    pub fn word(self) -> &'static str {
        match self {
            BigState::Offline => "offline",
            BigState::Idle => "idle",
            BigState::Building => "building",
        }
    }
}

/// Something other than a build that happened to a builder, for the waterfall: `connect linux1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuilderEvent {
    pub builder: String,
    pub started: Time,
    /// `None` while it goes on; equal to `started` when it took no time.
    pub finished: Option<Time>,
    /// One line of the box each.
    pub text: Vec<String>,
}
