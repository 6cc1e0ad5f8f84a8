use super::child::{self, Command, Node};
use super::policy::Falls;
use super::vacancy::{Place, Vacancy};
use super::{Child, ChildChanged, Gauges, Policy, Report, Strategy};
use crate::clock::Clock;
use actix::dev::ContextFut;
use actix::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a group may fall within [`FALL_WINDOW`] and still be restarted.
const FALLS_ALLOWED: usize = 3;
/// Long enough that children which need a minute to wear out their own policies still count together.
const FALL_WINDOW: Duration = Duration::from_secs(600);

/// The whole supervision tree. Cheap to clone.
#[derive(Clone)]
pub struct Tree {
    root: Arc<Branch>,
}

/// A branch of the tree, under which children are started. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    branch: Arc<Branch>,
}

impl Tree {
    /// `strategy` says what becomes of the later groups when an earlier one falls.
    pub fn new(clock: Clock, strategy: Strategy) -> Tree {
        let trunk = Trunk { clock, watchers: Mutex::default(), fallen: watch::channel(None).0 };
        Tree { root: Arc::new(Branch::new(String::new(), strategy, None, Arc::new(trunk))) }
    }

    /// A branch directly under the root.
    pub fn group(&self, name: &str, strategy: Strategy) -> Group {
        Group { branch: self.root.grow(name, strategy) }
    }

    /// `to` is told of every change of state from now on, until its actor is gone.
    pub fn watch(&self, to: Recipient<ChildChanged>) {
        lock(&self.root.trunk.watchers).push(to);
    }

    /// All children in start order, and the vacancies between them.
    pub fn reports(&self) -> Vec<Report> {
        self.root.reports()
    }

    /// Those that do not run though they should: parked, or about to be restarted.
    pub fn down(&self) -> Vec<Report> {
        self.root.leaves().iter().filter(|node| node.is_down()).map(|node| node.report()).collect()
    }

    /// Resolves with the reason once an escalation has reached the root: the program cannot go on.
    pub async fn fallen(&self) -> String {
        let mut fallen = self.root.trunk.fallen.subscribe();
        match fallen.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender lives in `self`, so it cannot have gone while we wait.
            Err(_) => std::future::pending().await,
        }
    }

    /// Makes the child at `path` panic at its next poll, as a bug of its own would. For tests of containment.
    ///
    /// `false` when there is no such child, or it is parked.
    #[doc(hidden)]
    pub fn provoke_panic(&self, path: &str) -> bool {
        let leaves = self.root.leaves();
        let found = leaves.iter().find(|node| node.path == path);
        found.is_some_and(|node| node.command(Command::Panic).is_ok())
    }
}

impl Group {
    /// A branch under this one: `master` → `master/builders`. An existing one of that name is returned as it is.
    pub fn group(&self, name: &str, strategy: Strategy) -> Group {
        Group { branch: self.branch.grow(name, strategy) }
    }

    /// Starts `A` on the current arbiter. On a restart `Supervised::restarting` puts fresh state in place.
    ///
    /// Takes the place of a parked child of the same name.
    pub fn start<A>(&self, name: &str, policy: Policy, make: impl FnOnce(&mut Context<A>, &Gauges) -> A) -> Child<A>
    where
        A: Supervised + Actor<Context = Context<A>>,
    {
        let gauges = Gauges::default();
        let mut context = Context::new();
        let actor = make(&mut context, &gauges);
        let addr = context.address();
        let (node, commands) = Node::new(self.branch.path_of(name), gauges.clone(), Arc::clone(&self.branch));
        self.branch.hang(Member::Child(Arc::clone(&node)));
        node.changed();
        let context: ContextFut<A, Context<A>> = context.into_future(actor);
        child::run(Arc::clone(&node), policy, context, addr.clone(), commands);
        Child { addr, gauges, node }
    }

    /// Shows that something of this name is configured and does not run, and why, for as long as the answer is kept.
    pub fn vacant(&self, name: &str, reason: &str) -> Vacancy {
        let since = self.branch.trunk.clock.now();
        let place = Arc::new(Place { path: self.branch.path_of(name), reason: reason.to_owned(), since });
        lock(&self.branch.members).push(Member::Vacant(Arc::clone(&place)));
        Vacancy { branch: Arc::clone(&self.branch), place }
    }

    /// The path a child of this name has: `status/irc`.
    pub fn path_of(&self, name: &str) -> String {
        self.branch.path_of(name)
    }

    /// Ends all its children, the last started first, and waits until they have gone; its path leaves the tree.
    pub async fn stop(&self) {
        for node in self.branch.leaves().iter().rev() {
            node.stop().await;
        }
        if let Some(parent) = self.branch.parent.as_ref().and_then(Weak::upgrade) {
            parent.drop_branch(&self.branch);
        }
    }
}

/// What every part of one tree shares.
pub(super) struct Trunk {
    pub(super) clock: Clock,
    watchers: Mutex<Vec<Recipient<ChildChanged>>>,
    fallen: watch::Sender<Option<String>>,
}

impl Trunk {
    /// Tells the watchers. One whose mailbox is full is told when there is room; one that is gone is forgotten.
    pub(super) fn tell(&self, report: Report) {
        lock(&self.watchers).retain(|watcher| match watcher.try_send(ChildChanged(report.clone())) {
            Ok(()) => true,
            Err(SendError::Full(message)) => {
                let late = watcher.send(message);
                actix_rt::spawn(async move { late.await.is_ok() });
                true
            }
            Err(SendError::Closed(_)) => false,
        });
    }
}

pub(super) struct Branch {
    path: String,
    strategy: Strategy,
    /// `None` for the root.
    parent: Option<Weak<Branch>>,
    pub(super) trunk: Arc<Trunk>,
    /// In start order.
    members: Mutex<Vec<Member>>,
    falls: Mutex<Falls>,
}

#[derive(Clone)]
enum Member {
    Child(Arc<Node>),
    Branch(Arc<Branch>),
    Vacant(Arc<Place>),
}

impl Branch {
    fn new(path: String, strategy: Strategy, parent: Option<Weak<Branch>>, trunk: Arc<Trunk>) -> Branch {
        Branch { path, strategy, parent, trunk, members: Mutex::default(), falls: Mutex::default() }
    }

    /// The branch of this name under it, a new one if need be.
    fn grow(self: &Arc<Branch>, name: &str, strategy: Strategy) -> Arc<Branch> {
        let path = self.path_of(name);
        let mut members = lock(&self.members);
        for member in members.iter() {
            if let Member::Branch(branch) = member
                && branch.path == path
            {
                return Arc::clone(branch);
            }
        }
        let parent = Some(Arc::downgrade(self));
        let branch = Arc::new(Branch::new(path, strategy, parent, Arc::clone(&self.trunk)));
        members.push(Member::Branch(Arc::clone(&branch)));
        branch
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Adds a child; a parked one of its name makes room for it and gives it its place.
    fn hang(&self, child: Member) {
        let Member::Child(node) = &child else { return };
        let mut members = lock(&self.members);
        let parked = |member: &Member| matches!(member, Member::Child(old) if old.path == node.path && old.is_parked());
        match members.iter().position(parked) {
            Some(place) => members[place] = child,
            None => members.push(child),
        }
    }

    pub(super) fn drop_child(&self, node: &Arc<Node>) {
        lock(&self.members).retain(|member| !matches!(member, Member::Child(child) if Arc::ptr_eq(child, node)));
    }

    pub(super) fn drop_place(&self, place: &Arc<Place>) {
        lock(&self.members).retain(|member| !matches!(member, Member::Vacant(vacant) if Arc::ptr_eq(vacant, place)));
    }

    fn drop_branch(&self, gone: &Arc<Branch>) {
        lock(&self.members).retain(|member| !matches!(member, Member::Branch(branch) if Arc::ptr_eq(branch, gone)));
    }

    /// All children on it and below it, in start order.
    fn leaves(&self) -> Vec<Arc<Node>> {
        let members = lock(&self.members).clone();
        members.iter().flat_map(Member::leaves).collect()
    }

    fn reports(&self) -> Vec<Report> {
        let members = lock(&self.members).clone();
        members.iter().flat_map(Member::reports).collect()
    }

    /// A child fell and is back: restarts those started after it, if this branch says so.
    pub(super) fn restarted(&self, child: &Arc<Node>) {
        match self.strategy {
            Strategy::OneForOne => {}
            Strategy::RestForOne => {
                let came = |member: &Member| matches!(member, Member::Child(node) if Arc::ptr_eq(node, child));
                let members = lock(&self.members).clone();
                let later = members.iter().skip_while(|member| !came(member)).skip(1);
                restart(later, &format!("restarted after {}, which fell", child.path));
            }
        }
    }

    /// A child of this branch has worn out its policy, or one of its branches has fallen too often.
    pub(super) fn fall(self: &Arc<Branch>, reason: &str) {
        let Some(parent) = self.parent.as_ref().and_then(Weak::upgrade) else {
            tracing::error!("the supervision tree has fallen: {reason}; Signalbox cannot go on");
            self.trunk.fallen.send_replace(Some(reason.to_owned()));
            return;
        };
        let falls = lock(&self.falls).note(Instant::now(), FALL_WINDOW);
        if falls <= FALLS_ALLOWED {
            tracing::warn!("{} fell: {reason}; restarting all of it", self.path);
            parent.restart_branch(self, reason);
            return;
        }
        match parent.strategy {
            Strategy::OneForOne => {
                tracing::error!("{} keeps falling: {reason}; it stays down, the others go on", self.path);
                self.leaves().iter().for_each(|node| node.order(Command::Park(reason.to_owned())));
            }
            Strategy::RestForOne => parent.fall(reason),
        }
    }

    fn restart_branch(&self, fallen: &Arc<Branch>, reason: &str) {
        let members = lock(&self.members).clone();
        let is_it = |member: &Member| matches!(member, Member::Branch(branch) if Arc::ptr_eq(branch, fallen));
        let mut from_it = members.iter().skip_while(|member| !is_it(member));
        restart(from_it.by_ref().take(1), reason);
        match self.strategy {
            Strategy::OneForOne => {}
            Strategy::RestForOne => restart(from_it, &format!("restarted after {}, which fell", fallen.path)),
        }
    }
}

impl Member {
    fn leaves(&self) -> Vec<Arc<Node>> {
        match self {
            Member::Child(node) => vec![Arc::clone(node)],
            Member::Branch(branch) => branch.leaves(),
            Member::Vacant(_) => Vec::new(),
        }
    }

    fn reports(&self) -> Vec<Report> {
        match self {
            Member::Child(node) => vec![node.report()],
            Member::Branch(branch) => branch.reports(),
            Member::Vacant(place) => vec![place.report()],
        }
    }
}

fn restart<'m>(members: impl Iterator<Item = &'m Member>, reason: &str) {
    for node in members.flat_map(Member::leaves) {
        node.order(Command::Restart(reason.to_owned()));
    }
}

/// None of our locks is held while foreign code runs, so what a poisoned one guards is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
