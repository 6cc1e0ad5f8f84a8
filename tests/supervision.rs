//! Parts that fall are put back in their place, and never take others with them.

use crate::support::wait::eventually;
use actix::prelude::*;
use futures::future::join_all;
use signalbox::clock::Clock;
use signalbox::supervise::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Message)]
#[rtype(result = "usize")]
struct Add(usize);

#[derive(Message)]
#[rtype(result = "()")]
enum Do {
    Panic,
    PanicLater,
    PanicInSpawned,
    StopYourself,
}

/// What happened to a worker, kept outside it.
#[derive(Default)]
struct Log {
    started: AtomicUsize,
    restarted: AtomicUsize,
    stopped: AtomicUsize,
    panic_in_started: AtomicUsize,
    panic_in_restarting: AtomicUsize,
    stop_in_started: AtomicBool,
    panic_in_stopped: AtomicBool,
    panic_in_drop: AtomicBool,
}

struct Counter {
    sum: usize,
    log: Arc<Log>,
}

fn due(times: &AtomicUsize) -> bool {
    times.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.log.started.fetch_add(1, SeqCst);
        assert!(!due(&self.log.panic_in_started), "in started");
        if self.log.stop_in_started.load(SeqCst) {
            ctx.stop();
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.log.stopped.fetch_add(1, SeqCst);
        assert!(!self.log.panic_in_stopped.load(SeqCst), "in stopped");
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        assert!(!self.log.panic_in_drop.load(SeqCst) || std::thread::panicking(), "in drop");
    }
}

impl Supervised for Counter {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.log.restarted.fetch_add(1, SeqCst);
        assert!(!due(&self.log.panic_in_restarting), "in restarting");
        self.sum = 0;
    }
}

impl Handler<Add> for Counter {
    type Result = usize;
    fn handle(&mut self, Add(n): Add, _: &mut Self::Context) -> usize {
        self.sum += n;
        self.sum
    }
}

impl Handler<Do> for Counter {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, what: Do, ctx: &mut Self::Context) -> Self::Result {
        match what {
            Do::Panic => panic!("boom"),
            Do::PanicLater => Box::pin(tokio::task::yield_now().into_actor(self).map(|(), _, _| panic!("later"))),
            Do::PanicInSpawned => {
                ctx.spawn(tokio::task::yield_now().into_actor(self).map(|(), _, _| panic!("spawned")));
                Box::pin(fut::ready(()))
            }
            Do::StopYourself => {
                ctx.stop();
                Box::pin(fut::ready(()))
            }
        }
    }
}

fn policy(max_restarts: usize, when_exhausted: WhenExhausted) -> Policy {
    let pause = Pause::Constant(Duration::from_millis(20));
    Policy { pause, max_restarts, window: Duration::from_secs(60), when_exhausted }
}

fn start(group: &Group, name: &str, policy: Policy) -> (Child<Counter>, Arc<Log>) {
    start_with(group, name, policy, Log::default())
}

fn start_with(group: &Group, name: &str, policy: Policy, log: Log) -> (Child<Counter>, Arc<Log>) {
    let log = Arc::new(log);
    let kept = Arc::clone(&log);
    (group.start(name, policy, |_, _| Counter { sum: 0, log: kept }), log)
}

fn tree() -> (Tree, Group) {
    let tree = Tree::new(Clock::system(), Strategy::RestForOne);
    let group = tree.group("status", Strategy::OneForOne);
    (tree, group)
}

fn report(tree: &Tree, path: &str) -> Report {
    tree.reports().into_iter().find(|report| report.path == path).unwrap_or_else(|| panic!("{path} is not in the tree"))
}

async fn running_again(tree: &Tree, path: &str, restarts: u64) {
    eventually(|| {
        let report = report(tree, path);
        report.state == "running" && report.restarts == restarts
    })
    .await;
}

#[actix::test]
async fn a_panic_loses_only_the_message_being_handled() {
    let (tree, group) = tree();
    let (child, log) = start(&group, "irc", policy(3, WhenExhausted::Park));
    let (sibling, _) = start(&group, "mail", policy(3, WhenExhausted::Park));
    assert_eq!(child.addr.send(Add(5)).await, Ok(5));

    let boom = child.addr.send(Do::Panic);
    let waiting: Vec<_> = (0..10).map(|_| child.addr.send(Add(1))).collect();
    let before = Instant::now();

    assert_eq!(boom.await, Err(MailboxError::Closed));
    let sums: Vec<usize> = join_all(waiting).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(sums, (1..=10).collect::<Vec<_>>(), "state is fresh and nothing that waited is lost");
    assert!(before.elapsed() >= Duration::from_millis(20), "it did not pause");
    assert!(child.addr.connected());
    assert_eq!((log.restarted.load(SeqCst), log.started.load(SeqCst)), (1, 2));
    assert_eq!(sibling.addr.send(Add(1)).await, Ok(1));
    assert_eq!(report(&tree, "status/mail").restarts, 0);
    assert!(report(&tree, "status/irc").last_reason.unwrap().contains("boom"));
}

#[actix::test]
async fn panics_in_futures_of_the_context_are_survived() {
    let (tree, group) = tree();
    let (child, _) = start(&group, "irc", policy(3, WhenExhausted::Park));
    assert_eq!(child.addr.send(Do::PanicLater).await, Err(MailboxError::Closed));
    assert_eq!(child.addr.send(Add(3)).await, Ok(3));
    assert_eq!(child.addr.send(Do::PanicInSpawned).await, Ok(()));
    running_again(&tree, "status/irc", 2).await;
    assert_eq!(child.addr.send(Add(4)).await, Ok(4));
}

#[actix::test]
async fn panics_in_started_and_restarting_count_as_falls() {
    let (tree, group) = tree();
    let log = Log { panic_in_started: 1.into(), panic_in_restarting: 1.into(), ..Log::default() };
    let (child, log) = start_with(&group, "irc", policy(3, WhenExhausted::Park), log);
    assert_eq!(child.addr.send(Add(2)).await, Ok(2));
    assert_eq!(report(&tree, "status/irc").restarts, 2);
    assert_eq!(log.restarted.load(SeqCst), 2);
}

#[actix::test]
async fn a_child_that_stops_itself_is_restarted_after_its_pause() {
    let (tree, group) = tree();
    let (child, log) = start(&group, "irc", policy(3, WhenExhausted::Park));
    let (stop, add) = (child.addr.send(Do::StopYourself), child.addr.send(Add(7)));
    assert_eq!(stop.await, Err(MailboxError::Closed), "its answer was a future of the context");
    assert_eq!(add.await, Ok(7));
    assert_eq!(log.stopped.load(SeqCst), 1);
    assert_eq!(report(&tree, "status/irc").last_reason.as_deref(), Some("stopped itself"));
}

#[actix::test]
async fn stopping_in_started_is_no_hot_loop() {
    let (tree, group) = tree();
    let log = Log { stop_in_started: true.into(), ..Log::default() };
    let (child, log) = start_with(&group, "irc", policy(3, WhenExhausted::Park), log);
    eventually(|| child.is_parked()).await;
    assert_eq!(log.started.load(SeqCst), 4);
    assert_eq!(report(&tree, "status/irc").state, "parked");
}

#[actix::test]
async fn a_child_that_keeps_dying_is_parked_and_the_others_go_on() {
    let (tree, group) = tree();
    let (child, _) = start(&group, "irc", policy(2, WhenExhausted::Park));
    let (sibling, _) = start(&group, "mail", policy(2, WhenExhausted::Park));
    for _ in 0..3 {
        assert!(!child.is_parked());
        assert_eq!(child.addr.send(Do::Panic).await, Err(MailboxError::Closed));
    }
    eventually(|| child.is_parked()).await;
    assert!(!child.addr.connected());
    assert_eq!(child.addr.send(Add(1)).await, Err(MailboxError::Closed));
    assert_eq!(sibling.addr.send(Add(1)).await, Ok(1));
    let parked = report(&tree, "status/irc");
    assert_eq!((parked.state, parked.restarts), ("parked", 2));
    assert!(!tree.provoke_panic("status/irc"), "a parked child cannot panic");

    // A reconfig starts it again in its old place.
    let (again, _) = start(&group, "irc", policy(2, WhenExhausted::Park));
    assert_eq!(again.addr.send(Add(1)).await, Ok(1));
    let paths: Vec<String> = tree.reports().into_iter().map(|report| report.path).collect();
    assert_eq!(paths, ["status/irc", "status/mail"]);
}

#[actix::test]
async fn falls_outside_the_window_do_not_add_up() {
    let (tree, group) = tree();
    let pause = Pause::Constant(Duration::from_millis(30));
    let short =
        Policy { pause, max_restarts: 1, window: Duration::from_millis(10), when_exhausted: WhenExhausted::Park };
    let (child, _) = start(&group, "irc", short);
    for restarts in 1..=4 {
        assert!(tree.provoke_panic("status/irc"));
        running_again(&tree, "status/irc", restarts).await;
    }
    assert!(!child.is_parked());
}

#[actix::test]
async fn panics_on_the_way_out_never_abort() {
    let (tree, group) = tree();
    let log = || Log { panic_in_stopped: true.into(), panic_in_drop: true.into(), ..Log::default() };
    let (parked, _) = start_with(&group, "parked", policy(0, WhenExhausted::Park), log());
    assert_eq!(parked.addr.send(Do::Panic).await, Err(MailboxError::Closed));
    eventually(|| parked.is_parked()).await;

    let (stopped, log) = start_with(&group, "stopped", policy(0, WhenExhausted::Park), log());
    assert_eq!(stopped.addr.send(Add(1)).await, Ok(1));
    stopped.stop().await;
    assert_eq!(log.stopped.load(SeqCst), 1);
    assert_eq!(tree.reports().len(), 1, "only the parked one is left");
}

#[actix::test]
async fn stopping_a_child_waits_until_it_has_gone() {
    let (tree, group) = tree();
    let (child, log) = start(&group, "irc", policy(3, WhenExhausted::Park));
    assert_eq!(child.addr.send(Add(1)).await, Ok(1));
    let addr = child.addr.clone();
    child.stop().await;
    assert!(!addr.connected());
    assert_eq!(Arc::strong_count(&log), 1, "the actor has been dropped");
    assert_eq!(log.stopped.load(SeqCst), 1);
    assert!(tree.reports().is_empty());
}

#[actix::test]
async fn a_child_lives_though_nobody_holds_its_address() {
    let (tree, group) = tree();
    let (child, log) = start(&group, "poller", policy(3, WhenExhausted::Park));
    drop(child);
    eventually(|| log.started.load(SeqCst) == 1).await;
    assert!(tree.provoke_panic("status/poller"));
    eventually(|| log.started.load(SeqCst) == 2).await;
    group.stop().await;
    assert_eq!(Arc::strong_count(&log), 1);
    assert!(tree.reports().is_empty());
}

#[actix::test]
async fn under_rest_for_one_the_later_ones_restart_in_place() {
    let tree = Tree::new(Clock::system(), Strategy::RestForOne);
    let group = tree.group("master", Strategy::RestForOne);
    let (_db, db) = start(&group, "db", policy(3, WhenExhausted::Escalate));
    let (hub, _) = start(&group, "hub", policy(3, WhenExhausted::Escalate));
    let below = group.group("builders", Strategy::OneForOne);
    let (builder, built) = start(&below, "linux", policy(3, WhenExhausted::Escalate));
    assert_eq!(hub.addr.send(Add(1)).await, Ok(1));
    assert_eq!(builder.addr.send(Add(8)).await, Ok(8));

    assert!(tree.provoke_panic("master/hub"));

    running_again(&tree, "master/builders/linux", 1).await;
    assert_eq!(builder.addr.send(Add(1)).await, Ok(1), "the same address, fresh state");
    assert_eq!((db.started.load(SeqCst), built.started.load(SeqCst)), (1, 2));
    assert_eq!(report(&tree, "master/db").restarts, 0);
    let reason = report(&tree, "master/builders/linux").last_reason;
    assert_eq!(reason.as_deref(), Some("restarted after master/hub, which fell"));
}

#[actix::test]
async fn a_group_that_falls_is_restarted_and_with_it_the_later_groups() {
    let tree = Tree::new(Clock::system(), Strategy::RestForOne);
    let (db, hub, web) = (
        tree.group("db", Strategy::OneForOne),
        tree.group("hub", Strategy::OneForOne),
        tree.group("web", Strategy::OneForOne),
    );
    let (_pool, pool) = start(&db, "pool", policy(3, WhenExhausted::Escalate));
    let (child, _) = start(&hub, "StatusHub", policy(1, WhenExhausted::Escalate));
    let (other, _) = start(&hub, "clock", policy(1, WhenExhausted::Escalate));
    let (page, _) = start(&web, "page", policy(1, WhenExhausted::Park));
    assert_eq!(other.addr.send(Add(3)).await, Ok(3));
    for _ in 0..2 {
        assert_eq!(child.addr.send(Do::Panic).await, Err(MailboxError::Closed));
    }
    running_again(&tree, "web/page", 1).await;
    assert_eq!(child.addr.send(Add(1)).await, Ok(1), "the address outlives the escalation");
    assert_eq!(other.addr.send(Add(3)).await, Ok(3), "fresh state");
    assert_eq!(page.addr.send(Add(3)).await, Ok(3));
    assert_eq!(pool.started.load(SeqCst), 1);
}

#[actix::test]
async fn an_escalation_that_reaches_the_root_is_told_to_the_program() {
    let tree = Tree::new(Clock::system(), Strategy::RestForOne);
    let hub = tree.group("hub", Strategy::OneForOne);
    let log = Log { panic_in_started: usize::MAX.into(), ..Log::default() };
    let pause = Pause::Constant(Duration::ZERO);
    let hopeless = Policy { pause, ..policy(1, WhenExhausted::Escalate) };
    let (_child, log) = start_with(&hub, "StatusHub", hopeless, log);
    let reason = tokio::time::timeout(Duration::from_secs(60), tree.fallen()).await.unwrap();
    assert!(reason.starts_with("hub/StatusHub panicked"), "{reason}");
    assert_eq!(log.started.load(SeqCst), 2 * 4, "each of three restarts of the group gave it a new chance");
}

#[actix::test]
async fn a_group_that_keeps_falling_is_parked_where_each_is_on_its_own() {
    let (tree, status) = tree();
    let push = status.group("push", Strategy::OneForOne);
    let log = Log { panic_in_started: usize::MAX.into(), ..Log::default() };
    let pause = Pause::Constant(Duration::ZERO);
    let (child, _) = start_with(&push, "sender", Policy { pause, ..policy(0, WhenExhausted::Escalate) }, log);
    let (web, _) = start(&status, "web", policy(3, WhenExhausted::Park));
    eventually(|| child.is_parked()).await;
    assert_eq!(web.addr.send(Add(1)).await, Ok(1));
    assert_eq!(report(&tree, "status/web").restarts, 0);
}

struct Watcher(Arc<Mutex<Vec<(String, &'static str)>>>);

impl Actor for Watcher {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1);
    }
}

impl Handler<ChildChanged> for Watcher {
    type Result = ();
    fn handle(&mut self, ChildChanged(report): ChildChanged, _: &mut Self::Context) {
        self.0.lock().unwrap().push((report.path, report.state));
    }
}

#[actix::test]
async fn watchers_are_told_every_change_though_their_mailbox_is_full() {
    let (tree, group) = tree();
    let seen = Arc::new(Mutex::new(Vec::new()));
    tree.watch(Watcher(Arc::clone(&seen)).start().recipient());
    let (child, _) = start(&group, "irc", policy(1, WhenExhausted::Park));
    for _ in 0..2 {
        assert_eq!(child.addr.send(Do::Panic).await, Err(MailboxError::Closed));
    }
    eventually(|| seen.lock().unwrap().len() == 4).await;
    let mut states: Vec<&str> = seen.lock().unwrap().iter().map(|(_, state)| *state).collect();
    states.sort_unstable();
    assert_eq!(states, ["parked", "restarting", "running", "running"]);
    assert!(seen.lock().unwrap().iter().all(|(path, _)| path == "status/irc"));
}

#[actix::test]
async fn children_of_other_threads_are_kept_as_well() {
    let (tree, group) = tree();
    let arbiter = Arbiter::new();
    let (send, receive) = std::sync::mpsc::channel();
    arbiter.spawn_fn(move || {
        let (child, _) = start(&group, "far", policy(3, WhenExhausted::Park));
        send.send(child).unwrap();
    });
    let far = tokio::task::spawn_blocking(move || receive.recv().unwrap()).await.unwrap();
    assert_eq!(far.addr.send(Do::Panic).await, Err(MailboxError::Closed));
    assert_eq!(far.addr.send(Add(1)).await, Ok(1));
    far.stop().await;
    assert!(tree.reports().is_empty());
    arbiter.stop();
}
