//! What the writer has met, so that it need not ask the database for it with every event.

use crate::model::{Build, BuildRef, Results};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Forgotten whenever a transaction is taken back: what is known may have gone with it.
#[derive(Default)]
pub(super) struct Known {
    /// Rows by name.
    pub builders: HashMap<String, i64>,
    /// Running builds only.
    pub builds: HashMap<BuildRef, KnownBuild>,
    /// Seconds by step, by the builder's row.
    pub expectations: HashMap<i64, BTreeMap<String, f64>>,
    /// Those that were submitted since, and have requests that are not complete.
    pub buildsets: HashMap<i64, OpenBuildset>,
}

/// A buildset that waits for its requests.
#[derive(Default)]
pub(super) struct OpenBuildset {
    /// Requests that are not complete.
    pub open: BTreeSet<i64>,
    /// Of those that are.
    pub worst: Option<Results>,
}

/// A running build as it stands in the database.
pub(super) struct KnownBuild {
    /// Its row.
    pub id: i64,
    /// Its builder's.
    pub builder: i64,
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

impl OpenBuildset {
    /// One of its requests has ended with these.
    pub fn met(&mut self, results: Results) {
        self.worst = Some(self.worst.map_or(results, |worst| worst.worst(results)));
    }
}

impl KnownBuild {
    /// One whose row has just been written.
    pub fn new(id: i64, builder: i64, build: &Build) -> KnownBuild {
        let ended = build.steps.iter().filter(|step| step.finished.is_some()).map(|step| step.number);
        KnownBuild { id, builder, worker: build.worker.clone(), ended: ended.collect(), open_logs: BTreeSet::new() }
    }
}
