//! Everything people and programs can order, as typed requests to [`Master`](super::Master).
//!
//! Whoever sends one has asked [`authz`](super::authz) first.

use crate::config::{Config, Secret};
use crate::db::inbox::Received;
use crate::model::*;
use actix::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why an order was not carried out; shown to the person who gave it.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum Refused {
    /// `no builder named "linux"`.
    #[error("{0}")]
    NotFound(String),
    /// One sentence per thing wrong with what was asked.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    /// It cannot be done just now, and why.
    #[error("{0}")]
    NotNow(String),
}

/// Builds for a ForceScheduler: one buildset.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<Vec<BuildRequest>, Refused>")]
pub struct ForceBuild {
    pub scheduler: String,
    /// `None`: all the scheduler lists. Others than those are ignored, as in 0.8.
    pub builders: Option<Vec<String>>,
    /// Form fields by full name; `checkbox` names the ticked ones.
    pub fields: BTreeMap<String, Vec<String>>,
    /// Who forces, as it is recorded: `Ann <ann@example.org>`.
    pub owner: String,
}

#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<BuildRequest, Refused>")]
pub struct Rebuild {
    pub build: BuildRef,
    /// The full reason, as it is recorded.
    pub reason: String,
    /// The revisions really checked out, rather than those asked for.
    pub exact: bool,
    pub properties: Vec<(String, Value)>,
}

/// Ends with result exception, text `interrupted`; a finished build is left as it is.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<(), Refused>")]
pub struct StopBuild {
    pub build: BuildRef,
    /// The full reason, as it goes into the log `interrupt`.
    pub reason: String,
}

#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<(), Refused>")]
pub struct CancelRequest {
    pub id: i64,
}

/// Cancels what waits and has this change among its source.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<usize, Refused>")]
pub struct StopChange {
    pub change: i64,
    /// `None`: on every builder.
    pub builder: Option<String>,
}

#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<(), Refused>")]
pub struct PingBuilder {
    pub builder: String,
}

#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<(), Refused>")]
pub struct SetWorkerPaused {
    pub worker: String,
    pub paused: bool,
}

/// The worker takes nothing new and is shut down when its builds have ended.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<(), Refused>")]
pub struct ShutDownWorker {
    pub worker: String,
}

/// No new builds; the program ends once the running ones have ended. `cancel` takes it back.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct CleanShutdown {
    pub cancel: bool,
}

/// Answers once a clean shutdown has been ordered and no build runs any more; never, while none is ordered.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct WhenShutDown;

/// Makes a running build panic, as a bug of its own would. For tests of containment.
#[doc(hidden)]
#[derive(Message, Debug, Clone)]
#[rtype(result = "bool")]
pub struct PanicInBuild(pub BuildRef);

/// The program is about to end: no new builds, running ones are interrupted (recorded as retry, their requests wait
/// again) and their processes ended. Answers once that is stored.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct StopNow;

/// A change from a change source. `change.number` is given by the master, and answered.
///
/// One that a change hook has brought already is not added again, and its number answered.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<i64, Refused>")]
pub struct AddChange {
    pub change: Change,
    /// Whose author it names, if that is known: they are a user from then on.
    pub vcs: Option<Vcs>,
    /// Stored in the same transaction: how far the source has read.
    pub state: Vec<crate::db::state::Put>,
}

/// Changes from one request of a change hook, all of them or none; their numbers are given by the master.
///
/// The request is stored with them, with their numbers. One that a change source has brought already is not added again:
/// its number is given instead. That something is not stored does not say that the request has not been before.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<Vec<i64>, Refused>")]
pub struct AddChanges {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// Whose authors they name, if that is known: they are users from then on.
    pub vcs: Option<Vcs>,
    pub received: Received,
}

/// What somebody wants of a user of the user database. Answered with the user as they are then; with whom was removed.
///
/// What cannot be, such as a name that is taken, is refused with all reasons.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<User, Refused>")]
pub enum ChangeUser {
    Add {
        identifier: String,
        attributes: BTreeMap<String, String>,
    },
    Update {
        identifier: String,
        /// A new identifier.
        renamed: Option<String>,
        /// In place of what they had of these; an empty one takes it away.
        attributes: BTreeMap<String, String>,
        login: Option<Login>,
    },
    Remove {
        identifier: String,
    },
}

/// What a user of the user database logs in with.
#[derive(Debug, Clone)]
pub struct Login {
    pub username: String,
    /// As [`authz::hashed`](super::authz::hashed) makes it of their password.
    pub hash: Secret,
}

/// A new configuration: starts, changes and ends only what differs.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct Reconfigure(pub Arc<Config>);

/// What only the running master knows.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Outlook")]
pub struct GetOutlook;

#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Why each pending request waits: `no worker is free`, `all workers are paused`, …
    pub waiting: BTreeMap<i64, String>,
    /// Moments at which schedulers will next submit, by builder, sorted.
    pub upcoming: BTreeMap<String, Vec<Time>>,
    /// Changes waiting for a tree-stable timer, by scheduler: when it fires.
    pub tree_stable: BTreeMap<String, Time>,
    /// A clean shutdown has been ordered.
    pub shutting_down: bool,
    /// Workers that were told to shut down and still finish their builds.
    pub graceful: BTreeSet<String>,
}

/// From a scheduler: one buildset with a request per builder.
///
/// The buildset, its requests and `state` are stored in one transaction.
#[derive(Message, Debug, Clone)]
#[rtype(result = "Result<(Buildset, Vec<BuildRequest>), Refused>")]
pub struct SubmitBuildset {
    /// Empty for a rebuild.
    pub scheduler: String,
    pub builders: Vec<String>,
    /// One per codebase.
    pub source_stamps: Vec<SourceStamp>,
    pub properties: Properties,
    pub reason: String,
    pub external_idstring: Option<String>,
    pub state: Vec<crate::db::state::Put>,
}
