use super::{Properties, Results, SourceStamp, Time};
use serde::{Deserialize, Serialize};

/// A wish for one build on one builder; several may be merged into one build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// 0.8's `brid`, unique over the life of the installation.
    pub id: i64,
    pub buildset: i64,
    pub builder: String,
    pub source_stamps: Vec<SourceStamp>,
    pub reason: String,
    pub properties: Properties,
    /// Higher goes first among the requests of one builder.
    pub priority: i32,
    pub submitted_at: Time,
    /// The numbers of the builds made for it, oldest first; more than one after a retry.
    /// Filled in by the database as builds start.
    pub builds: Vec<i64>,
    /// Set when it needs no more work: it was built to an end, or cancelled.
    pub complete_at: Option<Time>,
    pub results: Option<Results>,
}

/// The requests that came from one cause, one per builder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buildset {
    /// 0.8's `bsid`.
    pub id: i64,
    pub external_idstring: Option<String>,
    pub reason: String,
    /// The scheduler that submitted it; empty when none did (a rebuild).
    pub scheduler: String,
    pub source_stamps: Vec<SourceStamp>,
    pub properties: Properties,
    pub builders: Vec<String>,
    pub submitted_at: Time,
    /// Set by the database once every request is complete.
    pub complete_at: Option<Time>,
    /// The worst of its requests', once complete.
    pub results: Option<Results>,
}
