use super::panics::contain;
use super::policy::Falls;
use super::tree::{Branch, lock};
use super::{Gauges, Policy, Report, WhenExhausted};
use crate::model::Time;
use actix::dev::ContextFut;
use actix::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// A supervised child: its address (which stays the same over restarts) and the means to end it.
///
/// Dropping it ends nothing: the child belongs to its group.
pub struct Child<A: Actor> {
    /// Closed once the child is parked or stopped.
    pub addr: Addr<A>,
    pub gauges: Gauges,
    pub(super) node: Arc<Node>,
}

impl<A: Actor> Clone for Child<A> {
    /// Another hold on the same child.
    fn clone(&self) -> Child<A> {
        Child { addr: self.addr.clone(), gauges: self.gauges.clone(), node: Arc::clone(&self.node) }
    }
}

impl<A: Actor> Child<A> {
    /// Ends the child for good and waits until it has gone; its path leaves the tree.
    ///
    /// `stopping` and `stopped` run; an actor that wants to go on is ended all the same. Messages still waiting
    /// are dropped: `send` them something first if they must be handled.
    pub async fn stop(self) {
        self.node.stop().await;
    }

    /// It fell too often and stays down.
    pub fn is_parked(&self) -> bool {
        self.node.is_parked()
    }

    pub fn report(&self) -> Report {
        self.node.report()
    }
}

/// What the tree tells a child's keeper to do.
pub(super) enum Command {
    /// Put fresh state in place now, for this reason.
    Restart(String),
    Park(String),
    Stop(oneshot::Sender<()>),
    Panic,
}

/// A child as the tree sees it.
pub(super) struct Node {
    pub(super) path: String,
    gauges: Gauges,
    branch: Arc<Branch>,
    commands: mpsc::UnboundedSender<Command>,
    standing: Mutex<Standing>,
}

struct Standing {
    state: State,
    since: Time,
    restarts: u64,
    last_reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Restarting,
    Parked,
    Stopped,
}

impl Node {
    pub(super) fn new(
        path: String,
        gauges: Gauges,
        branch: Arc<Branch>,
    ) -> (Arc<Node>, mpsc::UnboundedReceiver<Command>) {
        let (commands, received) = mpsc::unbounded_channel();
        let since = branch.trunk.clock.now();
        let standing = Mutex::new(Standing { state: State::Running, since, restarts: 0, last_reason: None });
        (Arc::new(Node { path, gauges, branch, commands, standing }), received)
    }

    pub(super) fn report(&self) -> Report {
        let standing = lock(&self.standing);
        Report {
            path: self.path.clone(),
            state: match standing.state {
                State::Running => "running",
                State::Restarting => "restarting",
                State::Parked => "parked",
                State::Stopped => "stopped",
            },
            restarts: standing.restarts,
            last_reason: standing.last_reason.clone(),
            complaint: self.gauges.complaint(),
            since: standing.since,
            mailbox: self.gauges.mailbox.load(Ordering::Relaxed),
            backlog: self.gauges.backlog.load(Ordering::Relaxed),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(lock(&self.standing).state, State::Parked | State::Restarting)
    }

    pub(super) fn is_parked(&self) -> bool {
        lock(&self.standing).state == State::Parked
    }

    /// Fails when its keeper has gone: the child is parked or stopped.
    pub(super) fn command(&self, command: Command) -> Result<(), Command> {
        self.commands.send(command).map_err(|unsent| unsent.0)
    }

    /// As [`command`](Node::command), where one that has gone needs nothing.
    pub(super) fn order(&self, command: Command) {
        if self.command(command).is_err() {
            tracing::debug!("{} is down and stays so", self.path);
        }
    }

    pub(super) async fn stop(self: &Arc<Node>) {
        let (gone, waiting) = oneshot::channel();
        if self.command(Command::Stop(gone)).is_ok() {
            // An error means that its arbiter ended, and the child with it.
            let _ = waiting.await;
        }
        self.branch.drop_child(self);
    }

    /// Tells the watchers how it stands.
    pub(super) fn changed(&self) {
        self.branch.trunk.tell(self.report());
    }

    fn enter(&self, state: State, reason: Option<String>) {
        {
            let mut standing = lock(&self.standing);
            standing.state = state;
            standing.since = self.branch.trunk.clock.now();
            standing.restarts += u64::from(state == State::Restarting);
            standing.last_reason = reason.or(standing.last_reason.take());
        }
        self.changed();
    }
}

/// Runs the child on the current arbiter until it is parked or stopped.
pub(super) fn run<A>(
    node: Arc<Node>,
    policy: Policy,
    context: ContextFut<A, Context<A>>,
    addr: Addr<A>,
    commands: mpsc::UnboundedReceiver<Command>,
) where
    A: Supervised + Actor<Context = Context<A>>,
{
    actix_rt::spawn(Keeper {
        node,
        policy,
        context: Some(Box::pin(context)),
        _addr: addr,
        commands,
        falls: Falls::default(),
        stage: Stage::Up,
        provoked: false,
    });
}

/// An actor with its context and its mailbox.
type Held<A> = Pin<Box<ContextFut<A, Context<A>>>>;

/// Polls the actor, and stands between its panics and the arbiter.
struct Keeper<A: Supervised + Actor<Context = Context<A>>> {
    node: Arc<Node>,
    policy: Policy,
    /// With the mailbox inside, which is why the address survives. `None` once parked or stopped.
    context: Option<Held<A>>,
    /// Keeps the mailbox open: an actor that nobody can reach just now is not one that has ended.
    _addr: Addr<A>,
    commands: mpsc::UnboundedReceiver<Command>,
    falls: Falls,
    stage: Stage,
    /// A test wants it to panic at the next poll.
    provoked: bool,
}

enum Stage {
    Up,
    /// Down until its pause is over.
    Pausing(Pin<Box<tokio::time::Sleep>>),
    /// Down until its group, which fell because of it, restarts it.
    Fallen,
    /// Parked or stopped.
    Over,
}

impl<A: Supervised + Actor<Context = Context<A>>> Unpin for Keeper<A> {}

impl<A: Supervised + Actor<Context = Context<A>>> Future for Keeper<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            while let Poll::Ready(Some(command)) = this.commands.poll_recv(cx) {
                this.obey(command);
            }
            match &mut this.stage {
                Stage::Over => return Poll::Ready(()),
                Stage::Fallen => return Poll::Pending,
                Stage::Pausing(pause) => {
                    if pause.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if this.restart() {
                        let node = Arc::clone(&this.node);
                        node.branch.restarted(&node);
                    }
                }
                Stage::Up => match this.poll_actor(cx) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(())) => this.fell("stopped itself".to_owned()),
                    Err(panic) => this.fell(panic),
                },
            }
        }
    }
}

impl<A: Supervised + Actor<Context = Context<A>>> Keeper<A> {
    fn poll_actor(&mut self, cx: &mut task::Context<'_>) -> Result<Poll<()>, String> {
        let provoked = std::mem::take(&mut self.provoked);
        let Some(context) = &mut self.context else { return Ok(Poll::Pending) };
        contain(|| {
            assert!(!provoked, "provoked by a test");
            context.as_mut().poll(cx)
        })
    }

    fn obey(&mut self, command: Command) {
        match (command, &self.stage) {
            (Command::Stop(gone), _) => {
                self.stop();
                // Nobody waits any more when its caller was dropped meanwhile.
                let _ = gone.send(());
            }
            (_, Stage::Over) => {}
            (Command::Restart(reason), _) => {
                self.falls.forget();
                self.node.enter(State::Restarting, Some(reason));
                self.restart();
            }
            (Command::Park(reason), _) => self.park(reason),
            (Command::Panic, _) => self.provoked = true,
        }
    }

    /// Counts a fall, then pauses, parks or escalates.
    fn fell(&mut self, reason: String) {
        let falls = self.falls.note(Instant::now(), self.policy.window);
        if falls <= self.policy.max_restarts {
            let pause = self.policy.pause.before(falls);
            tracing::warn!("{} {reason}; restarting it in {pause:.1?}", self.node.path);
            self.node.enter(State::Restarting, Some(reason));
            self.stage = Stage::Pausing(Box::pin(tokio::time::sleep(pause)));
            return;
        }
        match self.policy.when_exhausted {
            WhenExhausted::Park => self.park(reason),
            WhenExhausted::Escalate => {
                tracing::error!("{} {reason}, and fell {falls} times within {:?}", self.node.path, self.policy.window);
                let why = format!("{} {reason}", self.node.path);
                self.node.enter(State::Restarting, Some(reason));
                self.stage = Stage::Fallen;
                self.node.branch.fall(&why);
            }
        }
    }

    /// Fresh state in place; `started` runs at the next poll. `false` when that panicked in turn.
    fn restart(&mut self) -> bool {
        let Some(context) = &mut self.context else { return false };
        match contain(|| context.restart()) {
            // It refuses only when every address has gone, and we hold one.
            Ok(_) => {
                self.stage = Stage::Up;
                self.node.enter(State::Running, None);
                true
            }
            Err(panic) => {
                self.fell(panic);
                false
            }
        }
    }

    fn park(&mut self, reason: String) {
        tracing::error!("{} {reason}; it fell too often and stays down until the next reconfig", self.node.path);
        self.end(State::Parked, Some(reason));
    }

    fn stop(&mut self) {
        // Down after a panic its state cannot be trusted with a farewell; up, it says goodbye.
        if matches!(self.stage, Stage::Up)
            && let Some(context) = &mut self.context
        {
            let farewell = contain(|| {
                context.ctx().stop();
                context.as_mut().poll(&mut task::Context::from_waker(Waker::noop())).is_ready()
            });
            self.complain(farewell.map(drop));
        }
        self.end(State::Stopped, None);
    }

    fn end(&mut self, state: State, reason: Option<String>) {
        self.drop_actor();
        self.stage = Stage::Over;
        // Commands sent from now on fail at their sender.
        self.commands.close();
        self.node.enter(state, reason);
    }

    /// Drops the actor as it is; without `terminate` the context would poll it once more.
    fn drop_actor(&mut self) {
        let Some(mut context) = self.context.take() else { return };
        let dropped = contain(move || {
            context.ctx().terminate();
            drop(context);
        });
        self.complain(dropped);
    }

    fn complain(&self, end: Result<(), String>) {
        if let Err(panic) = end {
            tracing::error!("{} {panic} as it ended", self.node.path);
        }
    }
}

impl<A: Supervised + Actor<Context = Context<A>>> Drop for Keeper<A> {
    /// The arbiter ends under it.
    fn drop(&mut self) {
        self.drop_actor();
    }
}
