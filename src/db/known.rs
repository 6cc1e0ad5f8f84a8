//! What the writer has met, so that it need not ask the database for it with every event.

use super::expectations::Seconds;
use crate::model::{Build, BuildRef, Results, Step};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Forgotten whenever a transaction is taken back: what is known may have gone with it.
#[derive(Default)]
pub(super) struct Known {
    /// Rows by name.
    pub builders: HashMap<String, i64>,
    /// Running builds only.
    pub builds: HashMap<BuildRef, KnownBuild>,
    /// The row that the next new build gets.
    pub next_build: Option<i64>,
    /// By the builder's row.
    pub expectations: HashMap<i64, Seconds>,
    /// The buildsets of requests that are not complete.
    pub requests: HashMap<i64, i64>,
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
    /// Those of its steps that have a row.
    pub steps: BTreeMap<i32, Progress>,
    /// Logs that nobody has said are finished, each with its step.
    pub open_logs: BTreeMap<i64, i32>,
}

/// How far a step is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Open,
    Ended,
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
    /// A new one, none of whose steps has a row as yet.
    pub fn new(id: i64, builder: i64, build: &Build) -> KnownBuild {
        KnownBuild { id, builder, worker: build.worker.clone(), steps: BTreeMap::new(), open_logs: BTreeMap::new() }
    }

    /// A step of it is written as this; whether it had a row before.
    pub fn met(&mut self, step: &Step) -> bool {
        let progress = if step.finished.is_some() { Progress::Ended } else { Progress::Open };
        self.steps.insert(step.number, progress).is_some()
    }
}
