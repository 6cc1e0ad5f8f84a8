//! What is kept, within its bound.

use super::OfBuilder;
use crate::db::Halves;
use crate::model::{Builder, Seq};
use std::sync::Arc;

pub struct Kept {
    of_builders: Halves<String, Arc<OfBuilder>>,
    /// Those of the configuration, as they were at this event.
    builders: Option<(Seq, Vec<Arc<Builder>>)>,
    /// Another one whenever all was forgotten.
    edition: u64,
    most: usize,
}

impl Kept {
    /// For this many bytes.
    pub fn new(most: usize) -> Kept {
        Kept { of_builders: Halves::new(most), builders: None, edition: 0, most }
    }

    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// Whoever began to read before has what was, and keeps none of it.
    pub fn forget(&mut self) {
        self.edition += 1;
        self.of_builders = Halves::new(self.most);
    }

    /// What is kept of a builder, for a reader that began in this edition.
    pub fn find(&mut self, name: &String, edition: u64) -> Option<Arc<OfBuilder>> {
        self.of_builders.get(name).filter(|_| edition == self.edition)
    }

    /// Keeps it unless there is something newer.
    pub fn keep(&mut self, of: &Arc<OfBuilder>, edition: u64) {
        let newer = |kept: Arc<OfBuilder>| kept.version() > of.version();
        if of.version().is_some() && !self.find(of.name(), edition).is_some_and(newer) && edition == self.edition {
            self.of_builders.put(of.name().clone(), Arc::clone(of), of.size());
        }
    }

    /// The builders of the configuration as they were at an event.
    pub fn builders(&self) -> Option<(Seq, Vec<Arc<Builder>>)> {
        self.builders.clone()
    }

    /// Keeps them unless there is something newer.
    pub fn keep_builders(&mut self, seq: Seq, all: &[Arc<Builder>]) {
        if self.builders.as_ref().is_none_or(|(known, _)| *known < seq) {
            self.builders = Some((seq, all.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i64, version: Seq) -> Arc<OfBuilder> {
        Arc::new(OfBuilder::empty(&format!("b{number}"), Some(version)))
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let size = of(0, 1).size();
        let mut kept = Kept::new(10 * size);
        let first = "b0".to_owned();
        for number in 0..100 {
            kept.keep(&of(number, 1), 0);
            assert!(kept.find(&first, 0).is_some(), "it is asked for all the time");
        }
        let there = (0..100).filter(|number| kept.find(&format!("b{number}"), 0).is_some()).count();
        assert!((2..=11).contains(&there), "{there} are kept");
    }

    #[test]
    fn the_newer_stays() {
        let (mut kept, name) = (Kept::new(1 << 20), "b1".to_owned());
        for version in [5, 7, 6] {
            kept.keep(&of(1, version), 0);
        }
        assert_eq!(kept.find(&name, 0).and_then(|of| of.version()), Some(7));
    }

    #[test]
    fn who_began_before_all_was_forgotten_neither_finds_nor_keeps() {
        let (mut kept, name) = (Kept::new(1 << 20), "b1".to_owned());
        kept.keep(&of(1, 5), 0);
        kept.forget();
        kept.keep(&of(1, 6), 0);
        assert!(kept.find(&name, 0).is_none() && kept.find(&name, 1).is_none());
        kept.keep(&of(1, 6), 1);
        assert!(kept.find(&name, 0).is_none() && kept.find(&name, 1).is_some());
    }
}
