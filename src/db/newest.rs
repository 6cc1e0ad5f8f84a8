//! Which event was the last to be stored, of all and of each builder: what was read before it may have changed since.

use super::events::Prepared;
use crate::model::{Event, Seq};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says without a read whether what was read is still so. Of single builders it only knows what was stored since the
/// program started.
pub struct Newest {
    of_all: AtomicI64,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    by_builder: HashMap<String, Seq>,
    /// What becomes of a worker shows at every builder that uses it.
    of_workers: Seq,
}

impl Newest {
    /// `last` is the newest event there is.
    pub(super) fn since(last: Seq) -> Newest {
        Newest { of_all: AtomicI64::new(last), noted: Mutex::default() }
    }

    /// Called after their commit, in the order of their numbers, before anybody is told of it.
    pub(super) fn note(&self, events: &[Arc<Prepared>]) {
        let mut noted = self.noted();
        for stored in events.iter().flat_map(|prepared| prepared.events()) {
            match stored.event.builder() {
                Some(builder) => match noted.by_builder.get_mut(builder) {
                    Some(newest) => *newest = (*newest).max(stored.seq),
                    None => drop(noted.by_builder.insert(builder.to_owned(), stored.seq)),
                },
                None if is_of_worker(&stored.event) => noted.of_workers = noted.of_workers.max(stored.seq),
                None => {}
            }
            self.of_all.fetch_max(stored.seq, Ordering::SeqCst);
        }
    }

    /// The newest event that may have changed what there is to say of this builder, or of anything; 0 when this builder
    /// had none since the start.
    pub fn of(&self, builder: Option<&str>) -> Seq {
        match builder {
            None => self.of_all.load(Ordering::SeqCst),
            Some(builder) => self.noted().of(builder),
        }
    }

    /// The same of each of these.
    pub(super) fn of_each(&self, builders: &[String]) -> Vec<Seq> {
        let noted = self.noted();
        builders.iter().map(|builder| noted.of(builder)).collect()
    }

    /// The builders that had events of their own after this one.
    pub(super) fn after(&self, seq: Seq) -> Vec<String> {
        let noted = self.noted();
        let newer = noted.by_builder.iter().filter(|(_, newest)| **newest > seq);
        newer.map(|(builder, _)| builder.clone()).collect()
    }

    /// A panic never happens while it is locked.
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn of(&self, builder: &str) -> Seq {
        self.by_builder.get(builder).copied().unwrap_or(0).max(self.of_workers)
    }
}

fn is_of_worker(event: &Event) -> bool {
    matches!(
        event,
        Event::SlaveConnected { .. }
            | Event::SlaveDisconnected { .. }
            | Event::SlavePaused { .. }
            | Event::SlaveUnpaused { .. }
    )
}
