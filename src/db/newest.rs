//! Which event was the last to be stored, of all and of each builder: what was read before it may have changed since.

use crate::model::{Seq, Stored};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Says without a read whether what was read is still so. Only knows of what was stored since the program started.
#[derive(Default)]
pub struct Newest {
    of_all: AtomicI64,
    by_builder: Mutex<HashMap<String, Seq>>,
}

impl Newest {
    /// Called after their commit, before anybody is told of it.
    pub fn note(&self, events: &[Arc<Stored>]) {
        let mut by_builder = self.by_builder.lock().unwrap_or_else(PoisonError::into_inner);
        for stored in events {
            match stored.event.builder().map(|builder| (builder, by_builder.get_mut(builder))) {
                Some((_, Some(newest))) => *newest = (*newest).max(stored.seq),
                Some((builder, None)) => drop(by_builder.insert(builder.to_owned(), stored.seq)),
                None => {}
            }
            self.of_all.fetch_max(stored.seq, Ordering::SeqCst);
        }
    }

    /// The newest event of this builder, or of all; 0 when there was none since the start.
    pub fn of(&self, builder: Option<&str>) -> Seq {
        match builder {
            None => self.of_all.load(Ordering::SeqCst),
            Some(builder) => {
                let by_builder = self.by_builder.lock().unwrap_or_else(PoisonError::into_inner);
                by_builder.get(builder).copied().unwrap_or(0)
            }
        }
    }
}
