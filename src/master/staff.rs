//! Who is employed: the actors of builders, workers and schedulers, as the configuration in force has them.

use super::Setup;
use super::builder::Builder;
use super::distributor::Distributor;
use super::house::{House, chain};
use super::local_worker::LocalWorker;
use super::objects::named_object;
use super::orders::{Refused, SetWorkerPaused, SubmitBuildset};
use super::schedulers;
use super::submit::{ending, no_builder};
use crate::config::{Config, SchedulerConfig, WorkerKind};
use crate::db::{DbError, builders, workers};
use crate::model;
use crate::model::*;
use crate::supervise::{Child, Group, Pause, Policy, Strategy, Vacancy, WhenExhausted};
use actix::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

pub(super) struct Staff {
    setup: Setup,
    house: Arc<House>,
    worker_group: Group,
    builder_group: Group,
    scheduler_group: Group,
    /// Held while people come and go, so that two configurations are never brought in at once.
    people: tokio::sync::Mutex<People>,
    /// Apart from the others, as it is looked at while a scheduler is being ended. Never borrowed across a wait.
    schedulers: RefCell<BTreeMap<String, (Arc<SchedulerConfig>, schedulers::Running)>>,
}

#[derive(Default)]
struct People {
    workers: BTreeMap<String, Child<LocalWorker>>,
    /// By worker: those that cannot connect, as the tree shows them.
    awaited: BTreeMap<String, Vacancy>,
    builders: BTreeMap<String, Child<Builder>>,
    distributor: Option<Child<Distributor>>,
}

impl Staff {
    pub fn new(setup: &Setup, house: Arc<House>) -> Staff {
        let branch = |name| setup.group.group(name, Strategy::OneForOne);
        Staff {
            setup: setup.clone(),
            house,
            worker_group: branch("workers"),
            builder_group: branch("builders"),
            scheduler_group: branch("schedulers"),
            people: tokio::sync::Mutex::default(),
            schedulers: RefCell::default(),
        }
    }

    /// Brings a configuration into force: what it has new starts, what it has no more ends, the rest goes on.
    pub async fn employ(&self, config: Arc<Config>, submit: Recipient<SubmitBuildset>) {
        let mut people = self.people.lock().await;
        self.house.set_config(config.clone());
        if self.record_builders(&config).await.is_err() {
            return;
        }
        self.employ_workers(&config, &mut people).await;
        self.employ_builders(&config, &mut people).await;
        if people.distributor.is_none() {
            let house = self.house.clone();
            let make = |_: &mut Context<Distributor>, _: &_| Distributor::new(house);
            people.distributor = Some(self.setup.group.start("distributor", policy(), make));
        }
        drop(people);
        self.employ_schedulers(&config, submit).await;
        self.leave_ready().await;
        self.house.nudge.notify_one();
    }

    /// Tells what is new, changed and gone among the builders.
    async fn record_builders(&self, config: &Config) -> Result<(), super::house::Unrecorded> {
        let stored = self.patiently(|| self.house.db.read(builders::all)).await;
        let names = config.builders.iter().map(|builder| builder.name.clone()).collect();
        let mut events = vec![Event::ConfigReloaded { builders: names }];
        for builder in &config.builders {
            let state = self.house.state_of(&builder.name, &builder.workers);
            let described = named_object(config, builder, state);
            let before = stored.iter().find(|stored| stored.name == builder.name);
            let same = before.is_some_and(|before| model::Builder { state, ..before.clone() } == described);
            if !same {
                events.push(Event::BuilderAdded { builder: described });
                self.house.note_state(&builder.name, state);
            }
            if before.is_none() {
                let now = self.house.clock.now();
                let text = vec!["builder".to_owned(), "created".to_owned()];
                let builder = builder.name.clone();
                let happened = BuilderEvent { builder, started: now, finished: Some(now), text };
                events.push(Event::BuilderEvent { happened });
            }
        }
        let gone = stored.into_iter().filter(|stored| !config.builders.iter().any(|known| known.name == stored.name));
        events.extend(gone.map(|builder| Event::BuilderRemoved { builder: builder.name }));
        events.extend(self.house.state_changes());
        self.house.record(events).await
    }

    /// Reads until it works.
    async fn patiently<T, F: Future<Output = Result<T, DbError>>>(&self, read: impl Fn() -> F) -> T {
        loop {
            match read().await {
                Ok(read) => return read,
                Err(cause) => {
                    error!(
                        "cannot read what the database knows of builders and workers: {}; trying again",
                        chain(&cause)
                    );
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn employ_workers(&self, config: &Config, people: &mut People) {
        let known = self.patiently(|| self.house.db.read(workers::all)).await;
        let now = self.house.clock.now();
        for worker in &config.workers {
            let paused = known.iter().any(|known| known.name == worker.name && known.paused);
            self.house.workers.configure(worker, paused, now);
            match worker.kind {
                WorkerKind::Local if !people.workers.contains_key(&worker.name) => {
                    let (house, name) = (self.house.clone(), worker.name.clone());
                    let make = |_: &mut Context<LocalWorker>, _: &_| LocalWorker::new(&name, house);
                    let child = self.worker_group.start(&worker.name, policy(), make);
                    people.workers.insert(worker.name.clone(), child);
                }
                WorkerKind::Local => {}
                WorkerKind::Remote { .. } if !people.awaited.contains_key(&worker.name) => {
                    let why = "a worker elsewhere cannot connect to this version yet";
                    warn!("{}: worker {} is configured, not started: {why}", worker.place, worker.name);
                    people.awaited.insert(worker.name.clone(), self.worker_group.vacant(&worker.name, why));
                }
                WorkerKind::Remote { .. } => {}
            }
        }
        people.awaited.retain(|name, _| {
            let remote = |kind: &WorkerKind| matches!(kind, WorkerKind::Remote { .. });
            config.workers.iter().any(|worker| worker.name == *name && remote(&worker.kind))
        });
        for name in people.workers.keys() {
            if !config.workers.iter().any(|worker| worker.name == *name) {
                self.house.workers.set_leaving(name);
            }
        }
    }

    async fn employ_builders(&self, config: &Config, people: &mut People) {
        for builder in &config.builders {
            if people.builders.contains_key(&builder.name) {
                continue;
            }
            let (house, name, stale) = (self.house.clone(), builder.name.clone(), Arc::default());
            let (theirs, ours) = (Arc::clone(&stale), stale);
            let make = |_: &mut Context<Builder>, _: &_| Builder::new(&name, house, theirs);
            let child = self.builder_group.start(&builder.name, policy(), make);
            self.house.add_builder(&builder.name, child.addr.clone(), ours);
            people.builders.insert(builder.name.clone(), child);
        }
        let gone = |name: &String| !config.builders.iter().any(|builder| builder.name == *name);
        let gone: Vec<String> = people.builders.keys().filter(|name| gone(name)).cloned().collect();
        for name in gone {
            self.house.remove_builder(&name);
            if let Some(child) = people.builders.remove(&name) {
                info!("builder {name} is no longer configured; a running build of it goes on to its end");
                child.stop().await;
            }
        }
    }

    async fn employ_schedulers(&self, config: &Arc<Config>, submit: Recipient<SubmitBuildset>) {
        let stays = |name: &String, known: &Arc<SchedulerConfig>| {
            config.schedulers.iter().any(|scheduler| scheduler.name == *name && scheduler == known)
        };
        let going: Vec<schedulers::Running> = {
            let mut employed = self.schedulers.borrow_mut();
            let names: Vec<String> = employed
                .iter()
                .filter(|(name, (known, _))| !stays(name, known))
                .map(|(name, _)| name.clone())
                .collect();
            names.iter().filter_map(|name| employed.remove(name)).map(|(_, running)| running).collect()
        };
        for scheduler in going {
            scheduler.stop().await;
        }
        if self.house.is_ending() {
            return;
        }
        let setup = Setup { config: config.clone(), ..self.setup.clone() };
        if let Err(cause) = schedulers::settle(&setup).await {
            error!(
                "cannot forget what removed schedulers had stored: {}; it is tried again at the next reconfig",
                chain(&cause)
            );
        }
        for scheduler in &config.schedulers {
            if !self.schedulers.borrow().contains_key(&scheduler.name) {
                let running = schedulers::start(&setup, &self.scheduler_group, scheduler, submit.clone());
                self.schedulers.borrow_mut().insert(scheduler.name.clone(), (scheduler.clone(), running));
            }
        }
    }

    pub async fn end_schedulers(&self) {
        let going = std::mem::take(&mut *self.schedulers.borrow_mut());
        futures::future::join_all(going.into_values().map(|(_, running)| running.stop())).await;
    }

    /// When schedulers will next submit, by builder, and their tree-stable timers, by scheduler.
    pub fn plans(&self) -> (BTreeMap<String, Vec<Time>>, BTreeMap<String, Time>) {
        let mut upcoming: BTreeMap<String, Vec<Time>> = BTreeMap::new();
        let mut tree_stable = BTreeMap::new();
        for (name, (config, running)) in self.schedulers.borrow().iter() {
            let plans = running.outlook();
            for builder in &config.builder_names {
                upcoming.entry(builder.clone()).or_default().extend(&plans.upcoming);
            }
            tree_stable.extend(plans.tree_stable.map(|at| (name.clone(), at)));
        }
        upcoming.retain(|_, times| !times.is_empty());
        upcoming.values_mut().for_each(|times| times.sort());
        (upcoming, tree_stable)
    }

    /// Lets workers go that were asked to, whenever their last build has ended. Never comes back.
    pub async fn see_off(&self) {
        let mut count = self.house.running_count();
        while count.changed().await.is_ok() {
            self.leave_ready().await;
        }
    }

    async fn leave_ready(&self) {
        let mut people = self.people.lock().await;
        for (name, for_good) in self.house.workers.ready_to_leave() {
            if self.house.workers.disconnected(&name) {
                info!("worker {name} has left");
                let mut events = vec![Event::SlaveDisconnected { slave: name.clone() }];
                events.extend(self.house.state_changes());
                if self.house.record(events).await.is_err() {
                    return;
                }
            }
            if for_good {
                self.house.workers.forget(&name);
            }
            if let Some(child) = people.workers.remove(&name) {
                child.stop().await;
            }
        }
    }

    pub async fn shut_down_worker(&self, worker: &str) -> Result<(), Refused> {
        if !self.house.workers.set_graceful(worker) {
            return Err(no_worker(worker));
        }
        self.house.nudge.notify_one();
        self.leave_ready().await;
        Ok(())
    }
}

pub(super) async fn set_paused(house: &House, order: SetWorkerPaused) -> Result<(), Refused> {
    let Some(changed) = house.workers.set_paused(&order.worker, order.paused) else {
        return Err(no_worker(&order.worker));
    };
    if changed {
        let slave = order.worker;
        let event = if order.paused { Event::SlavePaused { slave } } else { Event::SlaveUnpaused { slave } };
        house.record(vec![event]).await.map_err(|_| ending())?;
    }
    house.nudge.notify_one();
    Ok(())
}

/// A worker of this machine answers by being there.
pub(super) async fn ping(house: &House, builder: &str) -> Result<(), Refused> {
    let config = house.config();
    let Some(known) = config.builders.iter().find(|known| known.name == builder) else {
        return Err(no_builder(builder));
    };
    let there = house.workers.any_connected(&known.workers);
    let text: &[&str] = if there { &["ping", "success"] } else { &["ping", "no", "slave"] };
    let now = house.clock.now();
    let happened = BuilderEvent {
        builder: builder.to_owned(),
        started: now,
        finished: Some(now),
        text: text.iter().map(|&word| word.to_owned()).collect(),
    };
    house.record(vec![Event::BuilderEvent { happened }]).await.map_err(|_| ending())
}

fn no_worker(name: &str) -> Refused {
    Refused::NotFound(format!("no worker named \"{name}\""))
}

/// Ours are restarted quickly; one that keeps falling is parked and the others go on.
fn policy() -> Policy {
    Policy {
        pause: Pause::Exponential { first: Duration::from_millis(50), cap: Duration::from_secs(10) },
        max_restarts: 10,
        window: Duration::from_secs(60),
        when_exhausted: WhenExhausted::Park,
    }
}
