//! Which event was the last to be stored, of all and of each builder: what was read before it may have changed since.

use super::events::Prepared;
use crate::model::{Event, Seq, Stored};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of so many builds of a builder it is known that they had events, and which was the last.
const BUILDS: usize = 100;

/// Says without a read whether what was read is still so. Of single builders it only knows what was stored since the
/// program started.
pub struct Newest {
    of_all: AtomicI64,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    by_builder: HashMap<String, OfBuilder>,
    /// What becomes of a worker shows at every builder that uses it.
    of_workers: Seq,
}

#[derive(Default)]
struct OfBuilder {
    newest: Seq,
    /// The newest event of each build that had one after `known_after`.
    builds: BTreeMap<i64, Seq>,
    known_after: Seq,
}

impl Newest {
    /// `last` is the newest event there is.
    pub(super) fn since(last: Seq) -> Newest {
        Newest { of_all: AtomicI64::new(last), noted: Mutex::default() }
    }

    /// Called after their commit, in the order of their numbers, before anybody is told of it.
    pub(super) fn note(&self, events: &[Arc<Prepared>]) {
        let mut noted = self.noted();
        for prepared in events {
            // Those recorded together are mostly of one build, and the last of them says it all.
            for same in prepared.events().chunk_by(|one, next| are_of_one_build(&one.event, &next.event)) {
                same.last().into_iter().for_each(|stored| noted.note(stored));
            }
            self.of_all.fetch_max(prepared.events().last().map_or(0, |last| last.seq), Ordering::SeqCst);
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

    /// The builds of this builder that had events after this one; `None` if that is not known any more.
    pub(super) fn builds_after(&self, builder: &str, seq: Seq) -> Option<BTreeSet<i64>> {
        match self.noted().by_builder.get(builder) {
            None => Some(BTreeSet::new()),
            Some(of) if of.known_after > seq => None,
            Some(of) => Some(of.builds.iter().filter(|(_, newest)| **newest > seq).map(|(build, _)| *build).collect()),
        }
    }

    /// The builders that had events of their own after this one.
    pub(super) fn after(&self, seq: Seq) -> Vec<String> {
        let noted = self.noted();
        let newer = noted.by_builder.iter().filter(|(_, of)| of.newest > seq);
        newer.map(|(builder, _)| builder.clone()).collect()
    }

    /// A panic never happens while it is locked.
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn note(&mut self, stored: &Stored) {
        match stored.event.builder() {
            Some(builder) => match self.by_builder.get_mut(builder) {
                Some(of) => of.note(stored),
                None => self.by_builder.entry(builder.to_owned()).or_default().note(stored),
            },
            None if is_of_worker(&stored.event) => self.of_workers = self.of_workers.max(stored.seq),
            None => {}
        }
    }

    fn of(&self, builder: &str) -> Seq {
        self.by_builder.get(builder).map_or(0, |of| of.newest).max(self.of_workers)
    }
}

impl OfBuilder {
    fn note(&mut self, stored: &Stored) {
        if let Some(build) = stored.event.build_number() {
            if self.builds.len() >= BUILDS && !self.builds.contains_key(&build) {
                self.builds.clear();
                self.known_after = self.newest;
            }
            self.builds.insert(build, stored.seq);
        }
        self.newest = self.newest.max(stored.seq);
    }
}

fn are_of_one_build(one: &Event, other: &Event) -> bool {
    one.build_number().is_some() && one.build_number() == other.build_number() && one.builder() == other.builder()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::events::prepare;
    use crate::model::{BuildRef, Time};

    #[test]
    fn the_builds_of_a_builder_that_had_events_are_known_for_a_while() {
        let newest = Newest::since(10);
        let note = |seq: Seq, number: i64| {
            let event = Event::BuildEtaUpdate { build: BuildRef { builder: "b".to_owned(), number }, eta: None };
            newest.note(&[prepare(vec![Stored { seq, at: Time(0), event }]).unwrap()]);
        };
        assert_eq!((newest.of(None), newest.of(Some("b"))), (10, 0));
        for (seq, number) in [(11, 1), (12, 2), (13, 1)] {
            note(seq, number);
        }
        assert_eq!((newest.of(None), newest.of(Some("b"))), (13, 13));
        let after = |seq| newest.builds_after("b", seq).map(|builds| builds.into_iter().collect::<Vec<_>>());
        assert_eq!((after(0), after(12), after(13)), (Some(vec![1, 2]), Some(vec![1]), Some(vec![])));
        for number in 0..2 * BUILDS as i64 {
            note(14 + number, 100 + number);
        }
        let last = newest.of(Some("b"));
        assert_eq!((after(13), after(last - 1)), (None, Some(vec![99 + 2 * BUILDS as i64])));
        assert_eq!(newest.builds_after("other", 0), Some(BTreeSet::new()));
    }
}
