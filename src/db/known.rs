//! What the writer has met, so that it need not ask the database for it with every event.

use crate::model::Build;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Forgotten whenever a transaction is taken back: what is known may have gone with it.
#[derive(Default)]
pub(super) struct Known {
    /// Rows by name.
    pub builders: HashMap<String, i64>,
    /// By the builder's row and the build's number; running builds only.
    pub builds: HashMap<(i64, i64), KnownBuild>,
    /// Seconds by step, by the builder's row.
    pub expectations: HashMap<i64, BTreeMap<String, f64>>,
}

/// A running build as it stands in the database.
pub(super) struct KnownBuild {
    /// Its row.
    pub id: i64,
    pub worker: String,
    /// Steps that have ended.
    pub ended: BTreeSet<i32>,
    /// Logs that have not.
    pub open_logs: BTreeSet<i64>,
}

impl Known {
    pub fn forget(&mut self) {
        *self = Known::default();
    }
}

impl KnownBuild {
    /// One whose row has just been written.
    pub fn new(id: i64, build: &Build) -> KnownBuild {
        let ended = build.steps.iter().filter(|step| step.finished.is_some()).map(|step| step.number);
        KnownBuild { id, worker: build.worker.clone(), ended: ended.collect(), open_logs: BTreeSet::new() }
    }
}
