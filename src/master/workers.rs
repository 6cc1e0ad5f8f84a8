//! Which workers there are, which are free, and who uses them.
//!
//! This is what must outlive a worker's actor, a builder's and the master's own: all of them share it. Everything is
//! done under one lock that is never held across a wait.

use super::worker::Session;
use crate::config::WorkerConfig;
use crate::model::{Time, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Workers {
    entries: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    config: Arc<WorkerConfig>,
    session: Option<Session>,
    paused: bool,
    graceful: bool,
    /// The configuration has it no more; it leaves when its builds have ended.
    leaving: bool,
    /// Builders that build on it now. One build per builder and worker, as they share a directory.
    building: BTreeSet<String>,
    since: Time,
}

/// A worker that could take a build now.
#[derive(Clone)]
pub(super) struct Free {
    pub name: String,
    /// Builds it runs now.
    pub load: usize,
}

/// A place on a worker, taken until it is dropped.
pub(super) struct Lease {
    pub worker: Arc<WorkerConfig>,
    pub session: Session,
    builder: String,
    workers: Arc<Workers>,
    freed: Arc<tokio::sync::Notify>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(entry) = self.workers.lock().get_mut(&self.worker.name) {
            entry.building.remove(&self.builder);
        }
        self.freed.notify_one();
    }
}

impl Workers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a worker of the configuration in, or its new options.
    pub fn configure(&self, config: &Arc<WorkerConfig>, paused: bool, now: Time) {
        let mut entries = self.lock();
        match entries.get_mut(&config.name) {
            Some(entry) => {
                entry.config = config.clone();
                entry.leaving = false;
            }
            None => {
                let entry = Entry {
                    config: config.clone(),
                    session: None,
                    paused,
                    graceful: false,
                    leaving: false,
                    building: BTreeSet::new(),
                    since: now,
                };
                entries.insert(config.name.clone(), entry);
            }
        }
    }

    pub fn connected(&self, name: &str, session: Session, now: Time) {
        if let Some(entry) = self.lock().get_mut(name) {
            entry.session = Some(session);
            entry.graceful = false;
            entry.since = now;
        }
    }

    /// True when it was connected before.
    pub fn disconnected(&self, name: &str) -> bool {
        self.lock().get_mut(name).is_some_and(|entry| entry.session.take().is_some())
    }

    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// `None` for an unknown worker, else whether that changed anything.
    pub fn set_paused(&self, name: &str, paused: bool) -> Option<bool> {
        let mut entries = self.lock();
        let entry = entries.get_mut(name)?;
        let changed = entry.paused != paused;
        entry.paused = paused;
        Some(changed)
    }

    /// Gives it nothing new; false for an unknown worker.
    pub fn set_graceful(&self, name: &str) -> bool {
        self.lock().get_mut(name).map(|entry| entry.graceful = true).is_some()
    }

    pub fn set_leaving(&self, name: &str) {
        if let Some(entry) = self.lock().get_mut(name) {
            entry.leaving = true;
        }
    }

    pub fn is_connected(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|entry| entry.session.is_some())
    }

    /// Those that were asked to go and have nothing left to do, with whether the configuration dropped them.
    pub fn ready_to_leave(&self) -> Vec<(String, bool)> {
        let entries = self.lock();
        let ready = entries.iter().filter(|(_, entry)| entry.building.is_empty());
        ready
            .filter(|(_, entry)| entry.leaving || (entry.graceful && entry.session.is_some()))
            .map(|(name, entry)| (name.clone(), entry.leaving))
            .collect()
    }

    pub fn graceful(&self) -> BTreeSet<String> {
        self.lock().iter().filter(|(_, entry)| entry.graceful).map(|(name, _)| name.clone()).collect()
    }

    /// As pages and callbacks see it.
    pub fn describe(&self, name: &str) -> Worker {
        let entries = self.lock();
        let Some(entry) = entries.get(name) else {
            return Worker { name: name.to_owned(), ..Worker::default() };
        };
        Worker {
            name: name.to_owned(),
            connected: entry.session.is_some(),
            paused: entry.paused,
            graceful: entry.graceful,
            last_heard: Some(entry.since),
            ..Worker::default()
        }
    }

    /// Whether any of these is there.
    pub fn any_connected(&self, names: &[String]) -> bool {
        let entries = self.lock();
        names.iter().filter_map(|name| entries.get(name)).any(|entry| entry.session.is_some())
    }

    /// Those that could take a build of `builder` now: least busy first, then as configured. Else why there is none.
    pub fn free(&self, builder: &str, names: &[String]) -> Result<Vec<Free>, &'static str> {
        let entries = self.lock();
        let known: Vec<&Entry> = names.iter().filter_map(|name| entries.get(name)).collect();
        let there: Vec<&Entry> = known.into_iter().filter(|entry| entry.session.is_some() && !entry.leaving).collect();
        if there.is_empty() {
            return Err("no worker is connected");
        }
        let awake: Vec<&Entry> = there.into_iter().filter(|entry| !entry.paused).collect();
        if awake.is_empty() {
            return Err("all workers are paused");
        }
        let staying: Vec<&Entry> = awake.into_iter().filter(|entry| !entry.graceful).collect();
        if staying.is_empty() {
            return Err("all workers are shutting down");
        }
        let free = staying.into_iter().filter(|entry| entry.has_room(builder));
        let mut free: Vec<Free> =
            free.map(|entry| Free { name: entry.config.name.clone(), load: entry.building.len() }).collect();
        if free.is_empty() {
            return Err("no worker is free");
        }
        free.sort_by_key(|worker| worker.load);
        Ok(free)
    }

    /// Takes a place, unless it has gone meanwhile.
    pub fn lease(self: &Arc<Workers>, worker: &str, builder: &str, freed: &Arc<tokio::sync::Notify>) -> Option<Lease> {
        let mut entries = self.lock();
        let entry = entries.get_mut(worker)?;
        let session = entry.session.clone()?;
        if entry.paused || entry.graceful || entry.leaving || !entry.has_room(builder) {
            return None;
        }
        entry.building.insert(builder.to_owned());
        Some(Lease {
            worker: entry.config.clone(),
            session,
            builder: builder.to_owned(),
            workers: self.clone(),
            freed: freed.clone(),
        })
    }
}

impl Entry {
    fn has_room(&self, builder: &str) -> bool {
        !self.building.contains(builder) && self.config.max_builds.is_none_or(|most| self.building.len() < most)
    }
}
