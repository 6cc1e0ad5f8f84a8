//! What all parts of the master share: the way to the database and the hub, the configuration in force, and what runs.
//!
//! It outlives any one actor: one that is restarted finds here what it must not forget.

use super::Setup;
use super::build::{Handle, Stop};
use super::builder::Builder;
use super::workers::Workers;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Beside, Db, DbError};
use crate::hub::{Hub, HubError};
use crate::model::*;
use actix::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tracing::{error, warn};

/// The pauses before a fact that could not be stored is offered again.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

pub(super) struct House {
    pub db: Db,
    pub hub: Hub,
    pub clock: Clock,
    pub basedir: PathBuf,
    config: RwLock<Arc<Config>>,
    pub workers: Arc<Workers>,
    builders: Mutex<BTreeMap<String, Desk>>,
    /// Kept beyond the end of a builder's own actor, so that a removed builder's builds can finish.
    builds: Mutex<BTreeMap<BuildRef, Handle>>,
    /// Grows and shrinks with `builds`; told how many there are.
    count: watch::Sender<usize>,
    waiting: Mutex<BTreeMap<String, BTreeMap<i64, String>>>,
    states: Mutex<BTreeMap<String, BigState>>,
    /// Something happened that may let a build start.
    pub nudge: Arc<Notify>,
    /// A clean shutdown has been ordered.
    shutting_down: watch::Sender<bool>,
    /// The program is about to end.
    ending: AtomicBool,
    /// Held by who takes changes in: shared by hooks, by a change source alone.
    pub(super) taking_in: tokio::sync::RwLock<()>,
    /// Held by who changes the user database; taken after `taking_in`, where both are.
    pub(super) users: tokio::sync::Mutex<()>,
}

/// A builder's actor, and whether what it knows of its queue is out of date.
struct Desk {
    addr: Addr<Builder>,
    stale: Arc<AtomicBool>,
}

/// A fact could not be stored, though the database waits out what passes by itself (a full disk, a lost connection).
///
/// What it belongs to is given up; a build is then repaired at the next start.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a fact could not be stored")]
pub(super) struct Unrecorded;

impl House {
    pub fn new(setup: &Setup) -> House {
        House {
            db: setup.db.clone(),
            hub: setup.hub.clone(),
            clock: setup.clock.clone(),
            basedir: setup.basedir.clone(),
            config: RwLock::new(setup.config.clone()),
            workers: Arc::default(),
            builders: Mutex::default(),
            builds: Mutex::default(),
            count: watch::Sender::new(0),
            waiting: Mutex::default(),
            states: Mutex::default(),
            nudge: Arc::default(),
            shutting_down: watch::Sender::new(false),
            ending: AtomicBool::new(false),
            taking_in: tokio::sync::RwLock::default(),
            users: tokio::sync::Mutex::default(),
        }
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_config(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Stores facts in one transaction.
    pub async fn record(&self, events: Vec<Event>) -> Result<(), Unrecorded> {
        self.record_with(events, Vec::new()).await
    }

    /// The same with what belongs beside them.
    pub async fn record_with(&self, events: Vec<Event>, beside: Vec<Beside>) -> Result<(), Unrecorded> {
        if events.is_empty() && beside.is_empty() {
            return Ok(());
        }
        let names = || events.iter().map(Event::name).collect::<Vec<_>>().join(", ");
        for pause in PAUSES {
            match self.hub.record_all(events.clone(), beside.clone()).await {
                Ok(_) => return Ok(()),
                Err(HubError::Db(DbError::Closed | DbError::Repeated)) => return Err(Unrecorded),
                Err(HubError::Gone) if self.is_ending() => return Err(Unrecorded),
                Err(cause) => warn!("cannot store {}: {}; trying again in {pause:?}", names(), chain(&cause)),
            }
            tokio::time::sleep(pause).await;
        }
        match self.hub.record_all(events.clone(), beside).await {
            Ok(_) => Ok(()),
            Err(cause) => {
                error!("cannot store {}: {}; given up, what it is about ends here", names(), chain(&cause));
                Err(Unrecorded)
            }
        }
    }

    pub fn builder(&self, name: &str) -> Option<Addr<Builder>> {
        self.builders.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(|desk| desk.addr.clone())
    }

    pub fn builders(&self) -> Vec<(String, Addr<Builder>)> {
        let builders = self.builders.lock().unwrap_or_else(PoisonError::into_inner);
        builders.iter().map(|(name, desk)| (name.clone(), desk.addr.clone())).collect()
    }

    pub fn add_builder(&self, name: &str, addr: Addr<Builder>, stale: Arc<AtomicBool>) {
        let desk = Desk { addr, stale };
        self.builders.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), desk);
    }

    /// The stored queue of this builder has changed: it reads it anew before it builds anything.
    pub fn queue_changed(&self, builder: &str) {
        if let Some(desk) = self.builders.lock().unwrap_or_else(PoisonError::into_inner).get(builder) {
            desk.stale.store(true, Ordering::SeqCst);
        }
        self.nudge.notify_one();
    }

    pub fn remove_builder(&self, name: &str) {
        self.builders.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.set_waiting(name, BTreeMap::new());
        self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub fn add_build(&self, handle: Handle) {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.insert(handle.reference.clone(), handle);
        self.count.send_replace(builds.len());
    }

    pub fn remove_build(&self, build: &BuildRef) {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.remove(build);
        self.count.send_replace(builds.len());
    }

    pub fn is_running(&self, build: &BuildRef) -> bool {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).contains_key(build)
    }

    /// Whether a running or just starting build is made for this request.
    pub fn is_being_built(&self, request: i64) -> bool {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.values().any(|handle| handle.requests.contains(&request))
    }

    /// False when it is not running.
    pub fn stop_build(&self, build: &BuildRef, stop: Stop) -> bool {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.get(build).map(|handle| handle.stop(stop)).is_some()
    }

    pub fn stop_all_builds(&self, stop: &Stop) {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.values().for_each(|handle| handle.stop(stop.clone()));
    }

    /// How many builds run, as it changes.
    pub fn running_count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub fn set_waiting(&self, builder: &str, reasons: BTreeMap<i64, String>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.is_empty() {
            waiting.remove(builder);
        } else {
            waiting.insert(builder.to_owned(), reasons);
        }
    }

    pub fn waiting(&self) -> BTreeMap<i64, String> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.values().flatten().map(|(id, reason)| (*id, reason.clone())).collect()
    }

    /// What a builder is doing now.
    pub fn state_of(&self, builder: &str, workers: &[String]) -> BigState {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        if builds.values().any(|build| build.reference.builder == builder && !build.ending) {
            BigState::Building
        } else if self.workers.any_connected(workers) {
            BigState::Idle
        } else {
            BigState::Offline
        }
    }

    /// From here on the build no longer counts as running for its builder's state, although its end has still to be
    /// stored. What the builder, of these workers, is then.
    pub fn build_ends(&self, build: &BuildRef, workers: &[String]) -> BigState {
        if let Some(handle) = self.builds.lock().unwrap_or_else(PoisonError::into_inner).get_mut(build) {
            handle.ending = true;
        }
        self.state_of(&build.builder, workers)
    }

    /// The fact that a builder's state has changed, if it has; the caller records it.
    pub fn state_change(&self, builder: &str, state: BigState) -> Option<Event> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let before = states.insert(builder.to_owned(), state);
        (before != Some(state)).then(|| Event::BuilderChangedState { builder: builder.to_owned(), state })
    }

    /// Notes a state that has been recorded with something else.
    pub fn note_state(&self, builder: &str, state: BigState) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).insert(builder.to_owned(), state);
    }

    /// The state changes of all builders these workers' coming or going has brought about.
    pub fn state_changes(&self) -> Vec<Event> {
        let config = self.config();
        let changes = config.builders.iter().filter_map(|builder| {
            let state = self.state_of(&builder.name, &builder.workers);
            self.state_change(&builder.name, state)
        });
        changes.collect()
    }

    pub fn set_shutting_down(&self, shutting_down: bool) {
        self.shutting_down.send_replace(shutting_down);
    }

    pub fn is_shutting_down(&self) -> bool {
        *self.shutting_down.borrow()
    }

    pub fn shutting_down(&self) -> watch::Receiver<bool> {
        self.shutting_down.subscribe()
    }

    pub fn set_ending(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
