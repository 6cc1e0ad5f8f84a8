//! What pollers have in common: an actor that looks at a repository, waits and looks again; less often while that fails.
//!
//! A change and how far the poller has read are stored together: killed at any moment, it neither loses a change nor
//! reports one twice. While the repository cannot be reached it tries with growing pauses, and says so in one line.

use super::command::CommandError;
use super::source::{Running, Shared, SourceStatus};
use crate::clock::Clock;
use crate::db::{Conn, Db, DbError, state};
use crate::master::{AddChange, Refused, Setup};
use crate::model::{Change, Origin, Time, Vcs};
use crate::supervise::{Group, Pause, Policy, WhenExhausted};
use actix::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a poller is told by its configuration, whatever it polls.
#[derive(Clone)]
pub(super) struct About {
    /// `GitPoller`.
    pub kind: &'static str,
    /// What the authors are users of.
    pub vcs: Vcs,
    /// Under this it keeps how far it has read.
    pub name: String,
    /// 0.8's sentence.
    pub description: String,
    /// The repository without a password.
    pub shown_url: String,
    /// Where it stands, `master.cfg:14`.
    pub place: String,
    pub poll_interval: Duration,
    pub poll_at_launch: bool,
}

/// One way of looking at repositories, and what it knows between two looks.
pub(super) trait Poll: 'static {
    /// One look. `Ok(Some)` is something the operator should know although all else went well.
    async fn poll(&mut self, desk: &Desk) -> Result<Option<String>, PollError>;

    /// Makes good what a failed look found broken. A poller made anew takes the next look.
    async fn mend(&mut self, _error: &PollError) {}
}

/// Why a look at the repository did not come to its end. It is tried again later.
#[derive(Debug, thiserror::Error)]
pub(super) enum PollError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("the database cannot be used: {0}")]
    Db(#[from] DbError),
    #[error("the master takes no changes just now: {0}")]
    NotNow(String),
    #[error("the master does not answer")]
    NoAnswer(#[from] MailboxError),
    /// A function of the configuration that a poller cannot do without has failed.
    #[error("{0}")]
    Function(String),
    #[error("it was broken off")]
    BrokenOff(#[from] tokio::task::JoinError),
}

/// Starts a poller under `group`; `make` makes it, at the start and after every failure. `add` takes its changes: the
/// master.
pub(super) fn start<P: Poll>(
    setup: &Setup,
    group: &Group,
    about: About,
    add: Recipient<AddChange>,
    make: impl Fn() -> P + Clone + Unpin + 'static,
) -> Running {
    let (name, description) = (about.name.clone(), about.description.clone());
    let shared = Arc::new(Shared::new(SourceStatus { name, description, ..SourceStatus::default() }));
    // A URL in a path of the supervision tree would look like more branches of it.
    let child_name = format!("{} {}", about.kind, about.name.replace('/', "|"));
    let desk =
        Desk { about: Arc::new(about), db: setup.db.clone(), clock: setup.clock.clone(), shared: shared.clone(), add };
    let policy = Policy {
        pause: Pause::Exponential { first: Duration::from_millis(200), cap: Duration::from_secs(60) },
        max_restarts: 8,
        window: Duration::from_secs(600),
        when_exhausted: WhenExhausted::Park,
    };
    let child = group.start(&child_name, policy, move |_, _| Lookout { desk, make });
    Running { shared, end: Box::new(move || Box::pin(child.stop())) }
}

/// The actor of a poller.
struct Lookout<F> {
    desk: Desk,
    make: F,
}

impl<P: Poll, F: Fn() -> P + Clone + Unpin + 'static> Actor for Lookout<F> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.spawn(self.desk.clone().run(self.make.clone()).into_actor(self));
    }
}

impl<P: Poll, F: Fn() -> P + Clone + Unpin + 'static> Supervised for Lookout<F> {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Lookout { desk: self.desk.clone(), make: self.make.clone() };
    }
}

/// What a poller works with.
#[derive(Clone)]
pub(super) struct Desk {
    pub about: Arc<About>,
    pub clock: Clock,
    db: Db,
    shared: Arc<Shared>,
    add: Recipient<AddChange>,
}

/// How many files of one change are listed; an import of a whole tree says little by the rest of them.
pub(super) const MOST_FILES: usize = 10_000;

/// How many bytes of a message are kept.
pub(super) const MOST_TEXT: usize = 256 * 1024;

/// After a failure the next poll comes no later than this.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// While polls fail, they come no further apart than this, or than the interval where that is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Desk {
    async fn run<P: Poll>(self, make: impl Fn() -> P) {
        let interval = self.about.poll_interval;
        let mut poller = make();
        let mut pause = interval.min(FIRST_PAUSE);
        if !self.about.poll_at_launch {
            self.wait(interval).await;
        }
        loop {
            let began = Instant::now();
            let at = self.clock.now();
            let result = poller.poll(&self).await;
            self.shared.change(|status| status.last_poll = Some(at));
            match result {
                Ok(trouble) => {
                    self.report(trouble, None);
                    pause = interval.min(FIRST_PAUSE);
                    self.wait(interval.saturating_sub(began.elapsed())).await;
                }
                Err(error) => {
                    self.report(Some(error.to_string()), Some(pause));
                    poller.mend(&error).await;
                    // What was about to be stored may or may not have been: read it anew.
                    poller = make();
                    self.wait(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE.max(interval));
                }
            }
        }
    }

    async fn wait(&self, pause: Duration) {
        let next = self.clock.now() + pause;
        self.shared.change(|status| status.next_poll = Some(next));
        // Poked or not, it goes on.
        let _ = tokio::time::timeout(pause, self.shared.poke.notified()).await;
    }

    /// One line when something goes wrong in a new way, one when all is well again.
    fn report(&self, trouble: Option<String>, again: Option<Duration>) {
        let About { kind, shown_url: url, place, .. } = &*self.about;
        self.shared.change(|status| {
            match &trouble {
                Some(trouble) if status.last_error.as_ref() != Some(trouble) => {
                    let again = again.map(|pause| format!("; trying again in {pause:?}, then less often"));
                    tracing::warn!("{place}: {kind} {url}: {trouble}{}", again.unwrap_or_default());
                }
                Some(_) => {}
                None if status.last_error.is_some() => tracing::info!("{kind} {url}: all is well again"),
                None => {}
            }
            status.last_error = trouble;
        });
    }

    /// Where the last run got to. Goes through the writer, behind everything already on its way there.
    pub async fn load<T: Send + 'static>(
        &self,
        load: impl Fn(&mut Conn, &str) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, PollError> {
        let _turn = self.shared.turn.lock().await;
        let name = self.about.name.clone();
        Ok(self.db.write(move |conn| load(conn, &name)).await?)
    }

    pub async fn store(&self, puts: Vec<state::Put>) -> Result<(), DbError> {
        self.db.write(move |conn| puts.iter().try_for_each(|put| state::put(conn, put))).await
    }

    /// Hands a change to the master, with how far this has read then.
    pub async fn send(&self, change: Change, puts: Vec<state::Put>) -> Result<(), PollError> {
        let turn = self.shared.turn.clone().lock_owned().await;
        let add = self.add.clone();
        let revision = change.revision.clone().unwrap_or_default();
        // Its name may hold a password.
        let origin = Origin::Poller(format!("{} {}", self.about.kind, self.about.shown_url));
        let change = Change { origin: Some(origin), ..change };
        let order = AddChange { change, vcs: Some(self.about.vcs), state: puts.clone() };
        // A task of its own: should the actor fall meanwhile, its successor waits for this answer before it reads.
        let answer = actix::spawn(async move {
            let answer = add.send(order).await;
            drop(turn);
            answer
        });
        match answer.await?? {
            Ok(_) => Ok(()),
            Err(Refused::NotNow(why)) => Err(PollError::NotNow(why)),
            Err(refused @ (Refused::NotFound(_) | Refused::Invalid(_))) => {
                let About { kind, shown_url: url, .. } = &*self.about;
                tracing::error!("{kind} {url}: the master refuses commit {revision}: {refused}; leaving it out");
                Ok(self.store(puts).await?)
            }
        }
    }

    /// When a change is said to have been made.
    pub fn when(&self, committed: i64, use_timestamps: bool) -> Time {
        if use_timestamps { Time::from_seconds(committed) } else { self.clock.now() }
    }
}

/// Where the progress of a poller is kept.
pub(super) fn object(poller: &str) -> String {
    format!("poller/{poller}")
}

pub(super) fn put(poller: &str, key: &str, value: serde_json::Value) -> state::Put {
    state::Put { object: object(poller), key: key.to_owned(), value }
}
