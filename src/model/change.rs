use super::{Properties, Time};
use serde::{Deserialize, Serialize};

/// One change to the source, as a change source reported it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Counted from 1 over the life of the installation; 0 until the master has taken it in.
    pub number: i64,
    /// `Name <mail>` or whatever the version control system calls its author.
    pub who: String,
    /// Sorted paths.
    pub files: Vec<String>,
    pub comments: String,
    pub revision: Option<String>,
    /// `None` is the default branch of systems that have one without a name.
    pub branch: Option<String>,
    pub category: Option<String>,
    pub when: Time,
    /// A page that shows the change.
    pub revlink: Option<String>,
    pub properties: Properties,
    pub repository: String,
    pub codebase: String,
    pub project: String,
    /// Who brought it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Where a change came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The dialect of a change hook.
    Hook(String),
    /// A change source that looks for itself: its kind and what it looks at, without a password.
    Poller(String),
}
