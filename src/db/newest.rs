//! Which event was the last to be stored, of all and of each builder: what was read before it may have changed since.

use crate::model::{Seq, Stored};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Says without a read whether what was read is still so. Only knows of what was stored since the program started.
#[derive(Default)]
pub struct Newest {
    of_all: Arc<AtomicI64>,
    by_builder: Mutex<HashMap<String, Arc<AtomicI64>>>,
}

/// Where to note that some events are stored.
pub struct Marks(Vec<(Arc<AtomicI64>, Seq)>);

impl Newest {
    /// For events that are about to be stored, so that noting it costs the writer next to nothing.
    pub fn marks(&self, events: &[Stored]) -> Marks {
        let mut by_builder = self.by_builder.lock().unwrap_or_else(PoisonError::into_inner);
        let mut marks = Vec::with_capacity(2);
        marks.extend(events.last().map(|last| (Arc::clone(&self.of_all), last.seq)));
        let mut events =
            events.iter().rev().filter_map(|stored| Some((stored.event.builder()?, stored.seq))).peekable();
        while let Some((builder, seq)) = events.next() {
            // Those of one builder mostly come together, and the newest of them says it all.
            while events.next_if(|(next, _)| *next == builder).is_some() {}
            let mark = match by_builder.get(builder) {
                Some(mark) => mark,
                None => by_builder.entry(builder.to_owned()).or_default(),
            };
            marks.push((Arc::clone(mark), seq));
        }
        Marks(marks)
    }

    /// The newest event of this builder, or of all; 0 when there was none since the start.
    pub fn of(&self, builder: Option<&str>) -> Seq {
        match builder {
            None => self.of_all.load(Ordering::SeqCst),
            Some(builder) => {
                let by_builder = self.by_builder.lock().unwrap_or_else(PoisonError::into_inner);
                by_builder.get(builder).map_or(0, |mark| mark.load(Ordering::SeqCst))
            }
        }
    }
}

impl Marks {
    /// Called after their commit, before anybody is told of it.
    pub fn note(&self) {
        for (mark, seq) in &self.0 {
            mark.fetch_max(*seq, Ordering::SeqCst);
        }
    }
}
