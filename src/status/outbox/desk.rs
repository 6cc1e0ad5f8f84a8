use super::bell::Bell;
use super::composer::{self, Composer};
use super::sender::Sender;
use super::{Outcome, Pace, Target};
use crate::clock::Clock;
use crate::db::{Db, DbError, outbox};
use crate::hub::Hub;
use crate::model::*;
use crate::status::own_bugs;
use crate::supervise::{Child, Gauges, Group, Strategy};
use futures::future::LocalBoxFuture;
use governor::DefaultDirectRateLimiter;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a database that does not answer is left alone before it is asked again.
pub(super) const DATABASE_AWAY: Duration = Duration::from_secs(1);
/// After so many failures in a row people are told that a destination is in trouble.
const DEGRADED_AFTER: u32 = 3;

/// Starts a durable target under `group`, which is the branch of all status targets.
///
/// In the tree it stands as `status/<name>`, and each of its destinations as `status/<name>/<destination>`.
pub fn start<T: Target>(group: &Group, hub: &Hub, db: &Db, clock: &Clock, target: T) -> Running {
    let name = target.name().to_owned();
    let desk = Arc::new(Desk {
        path: group.path_of(&name),
        senders: group.group(&name, Strategy::OneForOne),
        counters: Mutex::default(),
        composing: Bell::new(),
        closing: AtomicBool::new(false),
        gauges: Mutex::default(),
        hub: hub.clone(),
        db: db.clone(),
        clock: clock.clone(),
        target,
    });
    let kept = Arc::clone(&desk);
    let child = group.start(&name, own_bugs(), move |_, gauges| {
        *kept.gauges() = gauges.clone();
        Composer::new(kept)
    });
    let composer = child.clone();
    Running {
        name,
        parked: Box::new(move || composer.is_parked()),
        end: Box::new(move |limit| Box::pin(end(desk, child, limit))),
    }
}

/// A durable target at work.
pub struct Running {
    name: String,
    parked: Box<dyn Fn() -> bool>,
    end: Box<dyn FnOnce(Duration) -> LocalBoxFuture<'static, ()>>,
}

impl Running {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It composes nothing any more: it fell too often.
    pub fn is_parked(&self) -> bool {
        (self.parked)()
    }

    /// Composes what has happened, hands over what can be, says farewell, and ends; at most about `limit` long.
    ///
    /// What was not handed over waits in the database for the next start.
    pub async fn stop(self, limit: Duration) {
        (self.end)(limit).await;
    }
}

async fn end<T: Target>(desk: Arc<Desk<T>>, composer: Child<Composer<T>>, limit: Duration) {
    let until = Instant::now() + limit;
    desk.closing.store(true, Ordering::SeqCst);
    let heard = tokio::time::timeout_at(until, desk.composing.heard(desk.composing.ring())).await;
    composer.stop().await;
    if heard.is_ok() {
        composer::farewell(&desk).await;
    }
    let rings: Vec<_> = desk.counters().values().map(|counter| (Arc::clone(counter), counter.bell.ring())).collect();
    for (counter, ring) in rings {
        if tokio::time::timeout_at(until, counter.bell.heard(ring)).await.is_err() {
            tracing::warn!(
                "{}: not everything was delivered within {limit:.1?}; it waits for the next start",
                desk.path
            );
            break;
        }
    }
    desk.senders.stop().await;
}

/// What a target's composer and senders share; outlives the restarts of each.
pub(super) struct Desk<T: Target> {
    pub(super) target: T,
    /// `status/StatusPush`.
    pub(super) path: String,
    pub(super) hub: Hub,
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) composing: Bell,
    /// The end is near: nobody waits for company any more.
    pub(super) closing: AtomicBool,
    /// By destination.
    counters: Mutex<BTreeMap<String, Arc<Counter>>>,
    senders: Group,
    gauges: Mutex<Gauges>,
}

/// One destination, as all who deal with it see it.
pub(super) struct Counter {
    pub(super) destination: String,
    pub(super) bell: Bell,
    /// Outlives the sender: a restart does not earn it a new quota.
    pub(super) limiter: Option<DefaultDirectRateLimiter>,
    /// How often in a row nothing could be handed over.
    failures: Mutex<u32>,
    away: Mutex<Away>,
}

/// What is known of a destination that could not be used as a whole.
#[derive(Default)]
struct Away {
    /// How often in a row.
    tries: i32,
    until: Option<Time>,
}

impl<T: Target> Desk<T> {
    /// There is work for this destination: starts its sender if need be, and wakes it.
    pub(super) fn wake(self: &Arc<Self>, destination: &str) {
        let known = self.counters().get(destination).map(Arc::clone);
        let counter = known.unwrap_or_else(|| self.open(destination));
        counter.bell.ring();
    }

    fn open(self: &Arc<Self>, destination: &str) -> Arc<Counter> {
        let counter = Arc::new(Counter {
            destination: destination.to_owned(),
            bell: Bell::new(),
            limiter: self.target.pace().quota.map(DefaultDirectRateLimiter::direct),
            failures: Mutex::default(),
            away: Mutex::default(),
        });
        self.counters().insert(destination.to_owned(), Arc::clone(&counter));
        let (desk, kept) = (Arc::clone(self), Arc::clone(&counter));
        self.senders.start(destination, own_bugs(), move |_, gauges| Sender::new(desk, kept, gauges.clone()));
        counter
    }

    /// Somebody wants it tried now, whatever was away before.
    pub(super) fn try_now(&self) {
        self.counters().values().for_each(|counter| *counter.away() = Away::default());
    }

    /// Shows the target's backlog anew.
    pub(super) async fn count_backlog(&self) {
        let name = self.target.name().to_owned();
        match self.db.read(move |conn| outbox::backlog(conn, &name)).await {
            Ok(backlog) => {
                let backlog = u64::try_from(backlog).unwrap_or(0);
                self.gauges().backlog.store(backlog, Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "{}: backlog unknown", self.path),
        }
    }

    pub(super) fn gauges(&self) -> MutexGuard<'_, Gauges> {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Counter>>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A destination could not be reached once more; people are told when that becomes a habit.
    pub(super) async fn failed(&self, counter: &Counter, error: &str) {
        if counter.count_failure() == DEGRADED_AFTER {
            let reason = format!("{}: {error}", counter.destination);
            tracing::error!("{}: {reason}; still trying, nothing is lost", self.path);
            self.announce("degraded", Some(reason)).await;
        }
    }

    /// A destination took something.
    pub(super) async fn succeeded(&self, counter: &Counter) {
        if counter.forget_failures() < DEGRADED_AFTER {
            return;
        }
        let others_well = self.counters().values().all(|counter| !counter.is_degraded());
        if others_well {
            tracing::info!("{}: {} can be reached again", self.path, counter.destination);
            self.announce("running", None).await;
        }
    }

    async fn announce(&self, state: &str, reason: Option<String>) {
        let target = TargetState { name: self.path.clone(), state: state.to_owned(), reason };
        self.record(Event::TargetState { target }).await;
    }

    /// What cannot be recorded is in the log at least.
    pub(super) async fn record(&self, event: Event) {
        if let Err(error) = self.hub.record(event).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "{}: cannot record how it is doing", self.path);
        }
    }

    /// Says that the database does not answer, and leaves it alone for a while.
    pub(super) async fn database_away(&self, what: &str, error: &DbError) {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, "{}: cannot {what}: the database does not answer; trying again", self.path);
        tokio::time::sleep(DATABASE_AWAY).await;
    }
}

impl Counter {
    /// When the destination may be tried again, if it is away.
    pub(super) fn away_until(&self) -> Option<Time> {
        self.away().until
    }

    /// Notes what an attempt tells of the destination; until when it is left alone, if it is away.
    pub(super) fn note(&self, outcomes: &[Outcome], now: Time, pace: &Pace) -> Option<Time> {
        let mut away = self.away();
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Away { .. })) {
            let tries = away.tries.saturating_add(1);
            *away = Away { tries, until: Some(now + pace.backoff.after(tries)) };
        } else if outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Left)) {
            *away = Away::default();
        }
        away.until
    }

    fn away(&self) -> MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> MutexGuard<'_, u32> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_failure(&self) -> u32 {
        let mut failures = self.failures();
        *failures = failures.saturating_add(1);
        *failures
    }

    fn forget_failures(&self) -> u32 {
        std::mem::take(&mut *self.failures())
    }

    fn is_degraded(&self) -> bool {
        *self.failures() >= DEGRADED_AFTER
    }
}
