//! The supervision tree, in start order, and what happens to it on a signal.
//!
//! | branch | when a part of it falls for good | children |
//! |---|---|---|
//! | root | the later branches restart; if it keeps falling the program ends | hub · db · master · changes · status |
//! | hub | escalates: nothing works without it | StatusHub |
//! | db | parked | Janitor |
//! | master | escalates | Master, and below it builders, schedulers, workers |
//! | changes | parked, the others go on | one per change source |
//! | status | parked, the others go on | one per status target, its destinations below it |

use super::janitor::Janitor;
use super::sections::Sections;
use super::{Failure, load, signals};
use crate::changes;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::hub::{Hub, StatusHub};
use crate::master::{self, GetOutlook, Master, Reconfigure, StopNow, WhenShutDown};
use crate::status;
use crate::status::user_manager::{self, UserManager};
use crate::supervise::{Child, Group, Pause, Policy, Strategy, Tree, Vacancy, WhenExhausted};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long targets may take to say their last words at a stop.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);

/// How long the pages wait for the master at a start.
const REPAIR_LIMIT: Duration = Duration::from_secs(10);

/// Everything that runs.
pub struct Program {
    tree: Tree,
    db: Db,
    master: Child<Master>,
    master_setup: master::Setup,
    changes: Group,
    targets_setup: status::Setup,
    /// The configuration in force.
    config: watch::Sender<Arc<Config>>,
    sources: Sections<changes::Running>,
    /// What the pages know of them.
    views: watch::Sender<Vec<changes::SourceView>>,
    targets: Sections<status::Running>,
    /// A place in the tree for each that cannot listen; it is tried again at every reconfig.
    managers: Sections<Result<UserManager, Vacancy>>,
}

/// Builds the tree, says where it listens, and runs until a signal ends it or it has fallen.
pub async fn run(basedir: &Path, config: Config, db: Db) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut program = Program::start(basedir, config, db).await?;
    for address in program.addresses() {
        println!("listening on {address}");
    }
    let outcome = program.serve(&mut signals).await;
    tokio::select! {
        () = program.end() => {}
        () = signals.another_end() => {
            tracing::warn!("ended at once by a second signal; what was under way is repaired at the next start");
        }
    }
    outcome
}

impl Program {
    /// Starts every part in order. What cannot start (a port in use) ends those that were started.
    pub async fn start(basedir: &Path, config: Config, db: Db) -> Result<Program, Failure> {
        let clock = Clock::system();
        let config = watch::Sender::new(Arc::new(config));
        let now = config.borrow().clone();
        let tree = Tree::new(clock.clone(), Strategy::RestForOne);

        let hub = tree.group("hub", Strategy::RestForOne);
        let hub = hub.start("StatusHub", needed(), |_, _| StatusHub::new(db.clone(), clock.clone()));
        let hub = Hub::new(hub.addr);

        let store = tree.group("db", Strategy::OneForOne);
        store.start("Janitor", useful(), |_, _| Janitor::new(db.clone(), config.subscribe()));

        let group = tree.group("master", Strategy::OneForOne);
        let master_setup = master::Setup {
            db: db.clone(),
            hub: hub.clone(),
            clock: clock.clone(),
            group: group.clone(),
            basedir: basedir.to_owned(),
            config: now.clone(),
        };
        let master = group.start("Master", needed(), |_, _| Master::new(master_setup.clone()));

        let changes = tree.group("changes", Strategy::OneForOne);

        let views = watch::Sender::new(Vec::new());
        let targets_setup = status::Setup {
            db: db.clone(),
            hub,
            clock,
            group: tree.group("status", Strategy::OneForOne),
            tree: tree.clone(),
            basedir: basedir.to_owned(),
            config: config.subscribe(),
            sources: views.subscribe(),
            rates: status::mail::Rates::default(),
            master: master.addr.clone(),
        };
        status::announce(&targets_setup);

        let (sources, targets, managers) = (Sections::new(), Sections::new(), Sections::new());
        let mut program = Program {
            tree,
            db,
            master,
            master_setup,
            changes,
            targets_setup,
            config,
            sources,
            views,
            targets,
            managers,
        };
        program.wait_for_the_master().await;
        status::settle(&program.targets_setup, &now).await;
        match program.start_missing(&now).into_iter().next() {
            None => {
                // Nothing else needs them.
                program.start_managers(&now).iter().for_each(|failure| tracing::error!("{failure}"));
                Ok(program)
            }
            Some(failure) => {
                program.end().await;
                Err(failure)
            }
        }
    }

    /// Orders wait while the master repairs what a dead process left; so does everyone who would be told half of it.
    async fn wait_for_the_master(&self) {
        if tokio::time::timeout(REPAIR_LIMIT, self.master.addr.send(GetOutlook)).await.is_err() {
            tracing::warn!("the master is still not ready; pages are served meanwhile");
        }
    }

    /// `http://…/` of every web server, in the order of the file.
    pub fn addresses(&self) -> Vec<String> {
        self.targets.iter().filter_map(status::Running::address).collect()
    }

    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Waits for what may come: a new configuration, the order to end, or the fall of a part all others need.
    async fn serve(&mut self, signals: &mut Signals) -> Result<(), Failure> {
        loop {
            let shut_down = self.master.addr.send(WhenShutDown);
            tokio::select! {
                order = signals.next() => match order {
                    Order::Reload => self.reload().await,
                    Order::End => return Ok(()),
                },
                // A master that is being restarted does not answer, and is asked again.
                shut_down = shut_down => if shut_down.is_ok() { return Ok(()) },
                reason = self.tree.fallen() => return Err(Failure::Fallen(reason)),
            }
        }
    }

    /// Puts the master.cfg as it now is in force, touching only what changed; a bad one changes nothing.
    async fn reload(&mut self) {
        let basedir = self.master_setup.basedir.clone();
        let file = basedir.join("master.cfg");
        let loaded = tokio::task::spawn_blocking(move || load(&file)).await;
        let outcome = match loaded {
            Ok(Ok(config)) => self.put_in_force(config).await,
            Ok(Err(failure)) => Err(failure),
            Err(panic) => Err(Failure::Fallen(panic.to_string())),
        };
        match &outcome {
            Ok(()) => tracing::info!("the new configuration is in force"),
            Err(failure) => tracing::error!("reconfig: {failure}\nthe running configuration stays"),
        }
        signals::note_outcome(&basedir, outcome.is_ok());
    }

    async fn put_in_force(&mut self, config: Config) -> Result<(), Failure> {
        let before = self.config.borrow().clone();
        if config.db_url != before.db_url {
            tracing::warn!("db_url has changed; the new database is used from the next start on");
        }
        let config = Arc::new(config);
        self.config.send_replace(config.clone());
        self.master_setup.config = config.clone();
        // A master that is just being restarted loses the message, and finds the configuration it had.
        while self.master.addr.send(Reconfigure(config.clone())).await.is_err() {
            if !self.master.addr.connected() {
                return Err(Failure::Fallen("master".to_owned()));
            }
            tokio::task::yield_now().await;
        }
        for gone in self.sources.take_gone(&config.change_sources, |_| true) {
            gone.stop().await;
        }
        let titled = (&config.title, &config.title_url, &config.buildbot_url)
            == (&before.title, &before.title_url, &before.buildbot_url);
        self.targets.adopt(&config.status, status::Running::adopt);
        for gone in self.targets.take_gone(&config.status, |running| !running.is_parked() && running.keeps(titled)) {
            gone.stop(FLUSH_LIMIT).await;
        }
        let runs = |manager: &Result<UserManager, _>| manager.as_ref().is_ok_and(|manager| !manager.is_parked());
        for gone in self.managers.take_gone(&config.user_managers, runs).into_iter().flatten() {
            gone.stop().await;
        }
        status::settle(&self.targets_setup, &config).await;
        // One that cannot start is tried again at the next reconfig; the others go on.
        let mut failures = self.start_missing(&config);
        failures.extend(self.start_managers(&config));
        failures.iter().skip(1).for_each(|failure| tracing::error!("{failure}"));
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Starts what is configured and does not run; answers with what could not start.
    fn start_missing(&mut self, config: &Config) -> Vec<Failure> {
        let mut failures = Vec::new();
        for section in self.sources.missing(&config.change_sources) {
            let add = self.master.addr.clone().recipient();
            let running = changes::start(&self.master_setup, &self.changes, &section, add);
            self.sources.add(section, running);
        }
        self.views.send_replace(self.sources.iter().map(changes::Running::view).collect());
        for section in self.targets.missing(&config.status) {
            match status::start(&self.targets_setup, &section) {
                Ok(running) => self.targets.add(section, running),
                Err(error) => failures.push(error.into()),
            }
        }
        failures
    }

    /// Starts the user managers that do not run; answers with what keeps some from it, which the tree shows too.
    fn start_managers(&mut self, config: &Config) -> Vec<Failure> {
        let mut failures = Vec::new();
        for section in self.managers.missing(&config.user_managers) {
            let started = user_manager::start(&self.targets_setup, &section).map_err(|error| {
                let vacancy = self.targets_setup.group.vacant(section.short_kind(), &error.to_string());
                failures.push(error.into());
                vacancy
            });
            self.managers.add(section, started);
        }
        failures
    }

    /// No new builds, running ones interrupted and recorded, targets flushed, everything stored.
    pub async fn end(&mut self) {
        for source in self.sources.take_gone(&[], |_| true) {
            source.stop().await;
        }
        for manager in self.managers.take_gone(&[], |_| true).into_iter().flatten() {
            manager.stop().await;
        }
        if self.master.addr.send(StopNow).await.is_err() {
            tracing::warn!("the master could not end in order; what was under way is repaired at the next start");
        }
        for target in self.targets.take_gone(&[], |_| true) {
            target.stop(FLUSH_LIMIT).await;
        }
        self.db.close().await;
    }
}

/// For what the others need: if it keeps dying, its branch falls.
fn needed() -> Policy {
    Policy {
        pause: Pause::Exponential { first: Duration::from_millis(50), cap: Duration::from_secs(5) },
        max_restarts: 5,
        window: Duration::from_secs(60),
        when_exhausted: WhenExhausted::Escalate,
    }
}

/// For what the others can do without.
fn useful() -> Policy {
    Policy {
        pause: Pause::Exponential { first: Duration::from_secs(1), cap: Duration::from_secs(60) },
        max_restarts: 5,
        window: Duration::from_secs(3600),
        when_exhausted: WhenExhausted::Park,
    }
}

/// The signals Signalbox listens to.
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::Signals);
        Ok(Signals {
            hang_up: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.hang_up.recv() => Order::Reload,
            _ = self.terminate.recv() => Order::End,
            _ = self.interrupt.recv() => Order::End,
        }
    }

    async fn another_end(&mut self) {
        while matches!(self.next().await, Order::Reload) {}
    }
}

/// What a signal orders.
enum Order {
    /// SIGHUP.
    Reload,
    /// SIGTERM, SIGINT.
    End,
}
