//! Schedulers: what decides that something is to be built.
//!
//! One file for each kind, in one shape: what it keeps in the database, when it acts, what it submits.
//! `actor` runs them: it looks at the database and the clock whenever something may have changed, and never acts on
//! what it was told alone, so a message lost, doubled or late changes nothing.
//!
//! What a scheduler has considered is stored in the same transaction as the buildset it led to
//! ([`SubmitBuildset::state`]). After any crash it reads on from there: no change is lost, none is built twice.
//!
//! Not here: what becomes of a buildset (`master`), forced builds (`force`; a ForceScheduler is configuration and does
//! nothing of its own accord), Trigger steps (a Triggerable is accepted and waits for ever).

mod actor;
mod any_branch;
mod change_filter;
mod cron;
mod dependent;
mod desk;
mod nightly;
mod periodic;
mod seen;
mod single_branch;
mod source;
mod timed;
mod tree_stable;

use super::{Setup, SubmitBuildset};
use crate::config::{SchedulerConfig, SchedulerKind};
use crate::db::{DbError, state};
use crate::model::Time;
use crate::supervise::{Child, Group, Vacancy};
use actix::prelude::*;
use actor::Scheduler;
use desk::{Desk, Shared};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A scheduler that has been started.
pub struct Running {
    /// `None` for the kinds that do nothing of their own accord.
    child: Option<Child<Scheduler>>,
    /// Shows one that nothing can trigger.
    _vacancy: Option<Vacancy>,
    shared: Arc<Shared>,
}

/// What a scheduler is going to do, as far as it knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plans {
    /// Moments at which it will submit, sorted. One that builds only what has changed is listed once something has.
    pub upcoming: Vec<Time>,
    /// Until when the tree must stay quiet; the earliest, where a scheduler has several timers.
    pub tree_stable: Option<Time>,
}

/// Starts a scheduler under `group`, as a supervised child of the scheduler's name.
pub fn start(
    setup: &Setup,
    group: &Group,
    config: &Arc<SchedulerConfig>,
    submit: Recipient<SubmitBuildset>,
) -> Running {
    let shared = Arc::new(Shared::default());
    let does_something = match &config.kind {
        SchedulerKind::SingleBranch(_)
        | SchedulerKind::AnyBranch(_)
        | SchedulerKind::Dependent { .. }
        | SchedulerKind::Periodic { .. }
        | SchedulerKind::Nightly(_) => true,
        SchedulerKind::Force(_) | SchedulerKind::Triggerable => false,
    };
    let child = does_something.then(|| {
        let desk = Desk::new(setup, config.clone(), submit, shared.clone());
        let hub = setup.hub.clone();
        group.start(&config.name, actor::policy(), move |_, gauges| Scheduler::new(desk, hub, gauges.clone()))
    });
    let idle = matches!(config.kind, SchedulerKind::Triggerable);
    let _vacancy = idle.then(|| group.vacant(&config.name, "nothing in this version triggers it"));
    Running { child, _vacancy, shared }
}

/// Forgets what schedulers that are no longer configured had stored.
///
/// To be called at start and at each reconfig, before starting any: a scheduler that comes back after a month begins
/// with what happens then, and does not build a month of changes.
pub async fn settle(setup: &Setup) -> Result<(), DbError> {
    let names: BTreeSet<String> = setup.config.schedulers.iter().map(|scheduler| scheduler.name.clone()).collect();
    let settle = move |conn: &mut crate::db::Conn| {
        let before: BTreeSet<String> = state::get(conn, "schedulers", "names")?
            .and_then(|stored| serde_json::from_value(stored).ok())
            .unwrap_or_default();
        for gone in before.difference(&names) {
            for key in desk::STATE_KEYS {
                let put = state::Put { object: desk::state_object(gone), key: key.to_owned(), value: Value::Null };
                state::put(conn, &put)?;
            }
        }
        state::put(conn, &state::Put { object: "schedulers".into(), key: "names".into(), value: json!(names) })
    };
    setup.db.write(settle).await
}

impl Running {
    /// Ends it and waits, within a limit, for a submission under way, so that a successor of its name reads what that
    /// leaves behind. The master must go on answering its messages meanwhile.
    pub async fn stop(self) {
        if let Some(child) = self.child {
            child.stop().await;
        }
        if tokio::time::timeout(STOP_LIMIT, self.shared.turn.lock()).await.is_err() {
            tracing::warn!("a scheduler's last buildset is still not stored; going on without it");
        }
    }

    /// A snapshot of its plans.
    pub fn outlook(&self) -> Plans {
        self.shared.plans()
    }
}

/// How long [`Running::stop`] waits for the database.
const STOP_LIMIT: Duration = Duration::from_secs(10);
