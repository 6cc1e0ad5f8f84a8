//! The actor that runs a scheduler of any kind.
//!
//! It takes turns: one when it starts, one whenever an event says that the database has something new for it, one when
//! the moment comes that it waits for. A turn is the kind's own; what it needs it reads from the database.

use super::dependent::Dependent;
use super::desk::{Desk, Trouble};
use super::timed::Timed;
use super::tree_stable::TreeStable;
use super::{Plans, any_branch, dependent, nightly, periodic, single_branch};
use crate::config::SchedulerKind;
use crate::hub::{Hub, Interest, News, Told};
use crate::model::{Event, Time};
use crate::supervise::{Gauges, Pause, Policy, WhenExhausted};
use actix::prelude::*;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A scheduler is started again soon; one that keeps falling is parked and shown, the others go on.
pub(super) fn policy() -> Policy {
    Policy {
        pause: Pause::Exponential { first: Duration::from_millis(200), cap: Duration::from_secs(30) },
        max_restarts: 8,
        window: Duration::from_secs(120),
        when_exhausted: WhenExhausted::Park,
    }
}

pub struct Scheduler {
    desk: Desk,
    hub: Hub,
    gauges: Gauges,
    wake: Arc<Wake>,
}

/// What a turn leaves behind.
pub(super) struct Next {
    pub plans: Plans,
    /// When to take the next turn, should nothing happen before.
    pub at: Option<Time>,
}

/// Between the mailbox and the loop that takes the turns.
#[derive(Default)]
struct Wake {
    poked: Notify,
    at: Mutex<Option<Time>>,
}

impl Scheduler {
    pub(super) fn new(desk: Desk, hub: Hub, gauges: Gauges) -> Scheduler {
        Scheduler { desk, hub, gauges, wake: Arc::default() }
    }
}

impl Actor for Scheduler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // Every event comes by: most are looked at and dropped, which is cheaper than catching up on a gap.
        ctx.set_mailbox_capacity(256);
        let (hub, name, mailbox) = (self.hub.clone(), self.desk.config.name.clone(), self.gauges.mailbox.clone());
        let (to, wake, desk) = (ctx.address().recipient(), self.wake.clone(), self.desk.clone());
        let run = async move {
            // Before the first look at the database, so that nothing falls between the two.
            let name = format!("scheduler/{name}");
            loop {
                match hub.subscribe(&name, Interest::Everything, to.clone(), Some(mailbox.clone())).await {
                    Ok(_) => break,
                    Err(error) => tracing::warn!("{name}: cannot listen to the hub: {error}; trying again in 1 s"),
                }
                tokio::time::sleep(FIRST_PAUSE).await;
            }
            run(desk, wake).await;
        };
        ctx.spawn(run.into_actor(self));
    }
}

impl Supervised for Scheduler {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Scheduler::new(self.desk.clone(), self.hub.clone(), self.gauges.clone());
    }
}

impl Handler<Told> for Scheduler {
    type Result = ();

    fn handle(&mut self, told: Told, _: &mut Context<Self>) {
        let news = match &told.news {
            News::Fact(stored) => matches!(
                stored.event,
                Event::ChangeAdded { .. } | Event::BuildFinished { .. } | Event::RequestCancelled { .. }
            ),
            News::Gap { .. } => true,
            News::LogGrew(_) => false,
        };
        if news || self.wake.is_due(self.desk.clock.now()) {
            self.wake.poked.notify_one();
        }
    }
}

impl Wake {
    fn is_due(&self, now: Time) -> bool {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at <= now)
    }

    fn set(&self, at: Option<Time>) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

/// Clocks are set and machines sleep: no longer than this without looking at the time.
const GLANCE: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

async fn run(desk: Desk, wake: Arc<Wake>) {
    let mut kind = Kind::of(&desk);
    let mut pause = FIRST_PAUSE;
    loop {
        match kind.turn(&desk).await {
            Ok(next) => {
                pause = FIRST_PAUSE;
                desk.shared.show(next.plans);
                wake.set(next.at);
                wait(&desk, &wake, next.at).await;
            }
            Err(trouble) => {
                let name = &desk.config.name;
                let cause = trouble.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                tracing::warn!("scheduler {name}: {trouble}{cause}; trying again in {} s", pause.as_secs());
                // What was about to be stored may or may not have been: read it anew.
                kind = Kind::of(&desk);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Until poked, or until the clock says `at`.
async fn wait(desk: &Desk, wake: &Wake, at: Option<Time>) {
    let Some(at) = at else { return wake.poked.notified().await };
    loop {
        let left = at.since(desk.clock.now());
        if left.is_zero() {
            return;
        }
        // A moment later than needed rather than a moment too soon.
        let nap = left.min(GLANCE) + Duration::from_millis(1);
        if tokio::time::timeout(nap, wake.poked.notified()).await.is_ok() {
            return;
        }
    }
}

enum Kind {
    TreeStable(TreeStable),
    Timed(Timed),
    Dependent(Dependent),
    /// Never started; it has nothing to do.
    Idle,
}

impl Kind {
    fn of(desk: &Desk) -> Kind {
        match &desk.config.kind {
            SchedulerKind::SingleBranch(timing) => Kind::TreeStable(single_branch::scheduler(timing)),
            SchedulerKind::AnyBranch(timing) => Kind::TreeStable(any_branch::scheduler(timing)),
            SchedulerKind::Periodic { every, branch, timing, only_if_changed } => {
                Kind::Timed(periodic::scheduler(*every, branch.clone(), timing, *only_if_changed))
            }
            SchedulerKind::Nightly(config) => Kind::Timed(nightly::scheduler(config)),
            SchedulerKind::Dependent { upstream } => Kind::Dependent(dependent::scheduler(upstream)),
            SchedulerKind::Force(_) | SchedulerKind::Triggerable => Kind::Idle,
        }
    }

    async fn turn(&mut self, desk: &Desk) -> Result<Next, Trouble> {
        match self {
            Kind::TreeStable(scheduler) => scheduler.turn(desk).await,
            Kind::Timed(scheduler) => scheduler.turn(desk).await,
            Kind::Dependent(scheduler) => scheduler.turn(desk).await,
            Kind::Idle => Ok(Next { plans: Plans::default(), at: None }),
        }
    }
}
