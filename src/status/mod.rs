//! Status targets: who is told what happened, one file or folder each.
//!
//! A target is started from its section of the configuration, and in no other way. A *live* one (web pages, IRC) speaks of
//! now; a *durable* one (pushes) works through [`outbox`], which loses nothing.

mod announcer;
pub mod irc;
mod listen;
pub mod mail;
pub mod outbox;
pub mod pb_listener;
pub mod push;
mod streak;
pub mod user_manager;
pub mod web;

pub use announcer::Announcer;

use crate::changes::SourceView;
use crate::clock::Clock;
use crate::config::{Config, Kind, Problems, Section};
use crate::db::Db;
use crate::hub::Hub;
use crate::master::Master;
use crate::supervise::{Group, Pause, Policy, Tree, Vacancy, WhenExhausted};
use actix::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The constructors of this room.
pub fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        web::KIND,
        mail::KIND,
        mail::DOMAIN,
        mail::tinderbox::KIND,
        irc::KIND,
        pb_listener::KIND,
        user_manager::KIND,
    ];
    kinds.extend(push::kinds());
    kinds
}

/// What every target may need.
#[derive(Clone)]
pub struct Setup {
    pub db: Db,
    pub hub: Hub,
    pub clock: Clock,
    /// The branch of the tree under which targets are started.
    pub group: Group,
    /// The whole tree, for the pages about it.
    pub tree: Tree,
    pub basedir: PathBuf,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// The change sources at work.
    pub sources: watch::Receiver<Vec<SourceView>>,
    /// How often the relays of letters may be bothered.
    pub rates: mail::Rates,
    pub master: Addr<Master>,
}

impl Setup {
    fn web(&self) -> web::Setup {
        web::Setup {
            db: self.db.clone(),
            hub: self.hub.clone(),
            orders: web::Orders::to(&self.master),
            config: self.config.clone(),
            sources: self.sources.clone(),
            tree: self.tree.clone(),
            group: self.group.clone(),
            clock: self.clock.clone(),
            basedir: self.basedir.clone(),
        }
    }
}

/// A target that is configured.
pub enum Running {
    Web(web::WebServer),
    Durable(outbox::Running),
    Irc(Box<irc::Running>),
    /// This version cannot start it yet; its options have been checked, and the tree shows it.
    NotStarted(Vacancy),
}

/// Why a target cannot start; nothing of it has been started then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Options(Problems),
    #[error("{0}")]
    Web(#[from] web::WebError),
    #[error("{0}")]
    UserManager(#[from] user_manager::ManagerError),
}

/// Forgets the durable targets that are no longer configured.
///
/// To be called at the start and at each reconfig, once those that are gone have ended and before others start.
pub async fn settle(setup: &Setup, config: &Config) {
    let names = config.status.iter().filter_map(|section| durable_name(section)).collect();
    match outbox::keep_only(&setup.db, names).await {
        Ok(gone) => gone.iter().for_each(|(name, unsent)| match unsent {
            0 => tracing::info!("{name} is no longer configured; it had sent everything"),
            unsent => tracing::warn!(
                "{name} is no longer configured; {unsent} deliveries it had not sent are dropped; one of its name \
                 begins with what happens from then on"
            ),
        }),
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "cannot forget status targets that are no longer configured; it is tried again at the next reconfig"
        ),
    }
}

/// Durable targets that have one name: neither the database nor people could tell what waits for which.
pub fn doubles(config: &Config) -> Problems {
    let mut problems = Problems::default();
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    for section in &config.status {
        let Some(name) = durable_name(section) else { continue };
        let place = first.entry(name).or_insert(&section.place);
        if *place != section.place {
            problems.add(&section.place, format!("{}: there is one like it at {place}; leave one out", section.kind));
        }
    }
    problems
}

/// The name by which the database knows a target, if it is a durable one.
fn durable_name(section: &Section) -> Option<String> {
    match section.kind.as_str() {
        "status.StatusPush" => push::status_push::name(section),
        "status.MailNotifier" => mail::name(section),
        "status.TinderboxMailNotifier" => mail::tinderbox::name(section),
        _ => None,
    }
}

/// Starts the target of a section, which the loader has checked.
pub fn start(setup: &Setup, section: &Section) -> Result<Running, StartError> {
    match section.kind.as_str() {
        "status.WebStatus" => {
            let config = web::Config::read(section, &mut Problems::default());
            Ok(Running::Web(web::start(config, setup.web())?))
        }
        "status.StatusPush" => push::status_push::start(setup, section).map(Running::Durable),
        "status.MailNotifier" => mail::start(setup, section).map(Running::Durable),
        "status.TinderboxMailNotifier" => mail::tinderbox::start(setup, section).map(Running::Durable),
        "status.IRC" => irc::start(setup, section).map(Box::new).map(Running::Irc),

        kind => {
            let why = "this version cannot start it yet";
            tracing::warn!("{}: {kind} is configured, not started: {why}", section.place);
            Ok(Running::NotStarted(setup.group.vacant(section.short_kind(), why)))
        }
    }
}

/// For targets and their far ends: pauses long enough that what needs care is not hammered.
fn own_bugs() -> Policy {
    Policy {
        pause: Pause::Exponential { first: Duration::from_millis(500), cap: Duration::from_secs(60) },
        max_restarts: 6,
        window: Duration::from_secs(900),
        when_exhausted: WhenExhausted::Park,
    }
}

/// Has it recorded when a part of the tree is parked, and when it is back.
pub fn announce(setup: &Setup) {
    let policy = Policy {
        pause: Pause::Constant(Duration::from_secs(1)),
        max_restarts: 10,
        window: Duration::from_secs(600),
        when_exhausted: WhenExhausted::Park,
    };
    let announcer = setup.group.start("announcer", policy, |_, _| Announcer::new(setup.hub.clone()));
    setup.tree.watch(announcer.addr.recipient());
}

impl Running {
    /// `http://127.0.0.1:8010/`, if it is a web server.
    pub fn address(&self) -> Option<String> {
        match self {
            Running::Web(server) => Some(format!("http://{}/", server.address)),
            Running::Durable(_) | Running::Irc(_) | Running::NotStarted(_) => None,
        }
    }

    /// It fell too often and stays down: a reconfig starts it again.
    pub fn is_parked(&self) -> bool {
        match self {
            Running::Web(server) => server.is_parked(),
            Running::Durable(running) => running.is_parked(),
            Running::Irc(running) => running.is_parked(),
            Running::NotStarted(_) => false,
        }
    }

    /// Whether a reconfig may leave it as it is; `titled` says that title and addresses of the installation did not change.
    pub fn keeps(&self, titled: bool) -> bool {
        match self {
            Running::Durable(_) => titled,
            Running::Web(_) | Running::Irc(_) | Running::NotStarted(_) => true,
        }
    }

    /// Goes on as this other section says, where it can without being started anew.
    pub fn adopt(&self, section: &Section) -> bool {
        match self {
            Running::Irc(running) => running.adopt(section),
            Running::Web(_) | Running::Durable(_) | Running::NotStarted(_) => false,
        }
    }

    /// Ends it; a durable one says its last words first, for at most about `limit`.
    pub async fn stop(self, limit: Duration) {
        match self {
            Running::Web(server) => server.stop().await,
            Running::Durable(running) => running.stop(limit).await,
            Running::Irc(running) => running.stop(limit).await,
            Running::NotStarted(vacancy) => drop(vacancy),
        }
    }
}
