//! Database, hub, supervision and a fixed clock in this process, for tests of what stands between them and the master.

use super::database::{Engine, Place};
use super::facts::{self, at};
use super::wait::eventually;
use actix::prelude::*;
use signalbox::changes;
use signalbox::clock::Clock;
use signalbox::config::{Catalog, Config, SchedulerConfig, load_text};
use signalbox::db::{self, Conn, Db, DbError, state};
use signalbox::hub::{Hub, StatusHub};
use signalbox::master::{AddChange, Refused, Setup, SubmitBuildset, schedulers};
use signalbox::model::*;
use signalbox::supervise::{Group, Pause, Policy, Strategy, Tree, WhenExhausted};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Yard {
    pub setup: Setup,
    pub tree: Tree,
    pub clerk: Addr<Clerk>,
    pub refusing: Arc<AtomicU32>,
    pub submitted: Arc<Mutex<Vec<Buildset>>>,
    _place: Place,
}

impl Yard {
    /// Wednesday, 2026-11-22 00:00 UTC by its clock.
    pub fn new() -> Yard {
        Yard::at(Place::new(Engine::Sqlite), Clock::fixed(at(0)))
    }

    pub fn at(place: Place, clock: Clock) -> Yard {
        let db = place.open();
        let tree = Tree::new(clock.clone(), Strategy::OneForOne);
        let group = tree.group("master", Strategy::OneForOne);
        let (to_hub, hub_clock) = (db.clone(), clock.clone());
        let hub = group.start("hub", policy(), move |_, _| StatusHub::new(to_hub, hub_clock));
        let hub = Hub::new(hub.addr.clone());
        let basedir = place.file().parent().unwrap().to_owned();
        let setup = Setup { db, hub, clock, group, basedir, config: Arc::new(configured("")) };
        let (refusing, submitted) = (Arc::default(), Arc::default());
        let clerk = Clerk { setup: setup.clone(), refusing: Arc::clone(&refusing), submitted: Arc::clone(&submitted) };
        Yard { setup, tree, clerk: clerk.start(), refusing, submitted, _place: place }
    }

    pub fn group(&self) -> &Group {
        &self.setup.group
    }

    pub fn db(&self) -> &Db {
        &self.setup.db
    }

    /// Sets the clock to so many seconds into the day, and lets everybody notice.
    pub async fn set_clock(&self, seconds: i64) {
        self.setup.clock.set(at(seconds));
        self.nudge().await;
    }

    /// An event that means nothing to anyone.
    pub async fn nudge(&self) {
        let event = Event::BuilderEvent {
            happened: BuilderEvent { builder: "x".into(), started: at(0), finished: Some(at(0)), text: Vec::new() },
        };
        self.setup.hub.record(event).await.unwrap();
    }

    pub async fn add(&self, change: Change) -> i64 {
        self.clerk.send(AddChange { change, vcs: None, state: Vec::new() }).await.unwrap().unwrap()
    }

    pub async fn changes(&self) -> Vec<Change> {
        self.read(|conn| db::changes::after(conn, 0, 100_000)).await
    }

    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    ) -> T {
        self.setup.db.read(query).await.unwrap()
    }

    pub fn state(&self, object: &str, key: &str) -> Option<serde_json::Value> {
        self.db().read_blocking(|conn| state::get(conn, object, key)).unwrap()
    }

    /// Waits until a scheduler has looked at all there is.
    #[track_caller]
    pub fn settled(
        &self,
        scheduler: &str,
        key: &'static str,
        is_so: impl Fn(&serde_json::Value) -> bool,
    ) -> impl Future<Output = ()> {
        let object = format!("scheduler/{scheduler}");
        let db = self.db().clone();
        eventually(move || {
            let stored = db.read_blocking(|conn| state::get(conn, &object, key)).unwrap();
            stored.is_some_and(|stored| is_so(&stored))
        })
    }

    /// Starts a scheduler that submits to the clerk.
    pub fn start(&self, config: SchedulerConfig) -> schedulers::Running {
        schedulers::start(&self.setup, self.group(), &Arc::new(config), self.clerk.clone().recipient())
    }

    /// Builds a request to its end.
    pub async fn build(&self, request: &BuildRequest, results: Results) {
        let number = self.db().ids().build(&request.builder);
        let build = Build { requests: vec![request.id], ..facts::build(&request.builder, number) };
        let ended = facts::ended(&build, results);
        self.setup.hub.record(Event::BuildStarted { build }).await.unwrap();
        self.setup.hub.record(Event::BuildFinished { build: ended }).await.unwrap();
    }

    pub async fn pending(&self) -> Vec<BuildRequest> {
        self.read(|conn| db::requests::pending(conn, None)).await
    }

    /// Once there are as many buildsets: all of them.
    #[track_caller]
    pub fn buildsets(&self, count: usize) -> impl Future<Output = Vec<Buildset>> {
        let submitted = Arc::clone(&self.submitted);
        let there = Arc::clone(&submitted);
        let wait = eventually(move || there.lock().unwrap().len() >= count);
        async move {
            wait.await;
            let all = submitted.lock().unwrap().clone();
            assert_eq!(all.len(), count, "more buildsets than expected: {all:#?}");
            all
        }
    }
}

fn policy() -> Policy {
    Policy {
        pause: Pause::Constant(Duration::from_millis(1)),
        max_restarts: 100,
        window: Duration::from_secs(1),
        when_exhausted: WhenExhausted::Park,
    }
}

/// Takes changes and buildsets in as the master does: numbers them and stores them with the state they come with.
pub struct Clerk {
    setup: Setup,
    /// How many orders it is still to put off.
    refusing: Arc<AtomicU32>,
    submitted: Arc<Mutex<Vec<Buildset>>>,
}

impl Actor for Clerk {
    type Context = Context<Self>;
}

impl Clerk {
    fn puts_off(&self) -> bool {
        self.refusing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

impl Handler<AddChange> for Clerk {
    type Result = ResponseFuture<Result<i64, Refused>>;

    fn handle(&mut self, AddChange { mut change, state, .. }: AddChange, _: &mut Context<Self>) -> Self::Result {
        if self.puts_off() {
            return Box::pin(async { Err(Refused::NotNow("later".into())) });
        }
        change.number = self.setup.db.ids().change();
        let number = change.number;
        let stored =
            self.setup.hub.record_all(vec![Event::ChangeAdded { change }], state.into_iter().map(Into::into).collect());
        Box::pin(async move {
            stored.await.unwrap();
            Ok(number)
        })
    }
}

impl Handler<SubmitBuildset> for Clerk {
    type Result = ResponseFuture<Result<(Buildset, Vec<BuildRequest>), Refused>>;

    fn handle(&mut self, order: SubmitBuildset, _: &mut Context<Self>) -> Self::Result {
        if self.puts_off() {
            return Box::pin(async { Err(Refused::NotNow("later".into())) });
        }
        let ids = self.setup.db.ids();
        let submitted_at = self.setup.clock.now();
        let buildset = Buildset {
            id: ids.buildset(),
            external_idstring: order.external_idstring,
            reason: order.reason,
            scheduler: order.scheduler,
            source_stamps: order.source_stamps,
            properties: order.properties,
            builders: order.builders,
            submitted_at,
            complete_at: None,
            results: None,
        };
        let request = |builder: &String| BuildRequest {
            id: ids.request(),
            buildset: buildset.id,
            builder: builder.clone(),
            source_stamps: buildset.source_stamps.clone(),
            reason: buildset.reason.clone(),
            properties: buildset.properties.clone(),
            priority: 0,
            submitted_at,
            builds: Vec::new(),
            complete_at: None,
            results: None,
        };
        let requests: Vec<BuildRequest> = buildset.builders.iter().map(request).collect();
        let mut events = vec![Event::BuildsetSubmitted { buildset: buildset.clone() }];
        events.extend(requests.iter().map(|request| Event::RequestSubmitted { request: request.clone() }));
        let stored = self.setup.hub.record_all(events, order.state.into_iter().map(Into::into).collect());
        let submitted = Arc::clone(&self.submitted);
        Box::pin(async move {
            stored.await.unwrap();
            submitted.lock().unwrap().push(buildset.clone());
            Ok((buildset, requests))
        })
    }
}

/// A configuration with a worker and three builders, and whatever else is given.
pub fn configured(more: &str) -> Config {
    let builder = |name| format!("util.BuilderConfig(name='{name}', workernames=['w'], factory=util.BuildFactory())");
    let text = format!(
        "c = BuildmasterConfig = {{}}\nc['workers'] = [worker.LocalWorker('w')]\nc['builders'] = [{}, {}, {}]\n{more}\n",
        builder("linux"),
        builder("mac"),
        builder("package"),
    );
    let catalog = Catalog(changes::kinds());
    load_text("master.cfg", &text, Path::new("/"), &catalog).unwrap_or_else(|problems| panic!("{problems}"))
}
