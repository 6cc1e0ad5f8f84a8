//! What a running build is at, kept outside its task so that it survives a panic in it.

use super::house::{House, Unrecorded};
use crate::db::logs;
use crate::model::*;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Ledger {
    house: Arc<House>,
    build: Mutex<Build>,
}

impl Ledger {
    pub fn new(house: Arc<House>, build: Build) -> Ledger {
        Ledger { house, build: Mutex::new(build) }
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Build) -> T) -> T {
        look(&mut self.build.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn build(&self) -> Build {
        self.with(|build| build.clone())
    }

    pub fn reference(&self) -> BuildRef {
        self.with(|build| build.reference())
    }

    pub fn step(&self, number: usize) -> Step {
        self.with(|build| build.steps[number].clone())
    }

    /// Changes a step and gives it back as it then stands.
    pub fn change_step(&self, number: usize, change: impl FnOnce(&mut Step)) -> Step {
        self.with(|build| {
            let step = &mut build.steps[number];
            change(step);
            step.clone()
        })
    }

    /// Records that a log whose writer is gone has ended, with the length the database has of it.
    pub async fn close_log(&self, step: i32, log: &mut Log) -> Result<(), Unrecorded> {
        let id = log.id;
        if let Ok(Some(stored)) = self.house.db.read(move |conn| logs::by_id(conn, id)).await {
            (log.lines, log.bytes) = (stored.lines, stored.bytes);
        }
        log.finished = true;
        self.house.record(vec![Event::LogFinished { build: self.reference(), step, log: log.clone() }]).await
    }
}
