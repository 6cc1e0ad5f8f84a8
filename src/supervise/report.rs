use crate::model::Time;
use actix::prelude::*;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

/// What a child reports of itself for the about page; shared with it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Messages waiting in its mailbox, where its senders count them.
    pub mailbox: Arc<AtomicUsize>,
    /// Durable work it has not done yet (outbox rows, events behind its cursor).
    pub backlog: Arc<AtomicU64>,
    complaint: Arc<Mutex<Option<String>>>,
}

impl Gauges {
    /// Says what is not as it should be although the child runs; `None` takes it back.
    pub fn complain(&self, complaint: Option<String>) {
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = complaint;
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One line of `/about/supervision`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    /// `status/StatusPush`: the names from the root, joined by `/`.
    pub path: String,
    /// `running`, `restarting`, `parked`, `stopped`; `not started` for what is configured and cannot run.
    pub state: &'static str,
    pub restarts: u64,
    /// Why it was restarted or parked last, or is not started; `None` while nothing has happened to it.
    pub last_reason: Option<String>,
    /// What it says itself is not as it should be although it runs.
    pub complaint: Option<String>,
    /// When it entered this state.
    pub since: Time,
    pub mailbox: usize,
    pub backlog: u64,
}

/// Told to whoever watches the tree.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct ChildChanged(pub Report);
