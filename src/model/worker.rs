use super::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A worker (0.8: build slave) and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    pub name: String,
    pub connected: bool,
    pub paused: bool,
    /// Takes no new builds and leaves once the running ones have ended.
    pub graceful: bool,
    /// Who looks after it, as the worker says.
    pub admin: Option<String>,
    /// What machine it is, as the worker says.
    pub host: Option<String>,
    pub version: Option<String>,
    pub access_uri: Option<String>,
    /// Anything else it says of itself.
    pub info: Map<String, Value>,
    pub last_heard: Option<Time>,
}
