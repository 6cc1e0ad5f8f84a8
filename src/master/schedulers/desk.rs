//! What every kind of scheduler works with: its stored state, the clock, and the way to submit.

use super::Plans;
use crate::clock::Clock;
use crate::config::{RenderContext, Renderable, SchedulerConfig, SchedulerKind, Secrets};
use crate::db::{Conn, Db, DbError, state};
use crate::master::{Refused, Setup, SubmitBuildset};
use crate::model::*;
use actix::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};

/// Under which keys schedulers keep state.
pub(super) const STATE_KEYS: [&str; 3] = [SEEN, TIMED, UPSTREAM];
/// Changes considered, of the kinds that follow changes.
pub(super) const SEEN: &str = "seen";
/// When a timed kind last acted.
pub(super) const TIMED: &str = "timed";
/// Buildsets considered, of the kind that follows another scheduler.
pub(super) const UPSTREAM: &str = "upstream";

/// The object under which a scheduler's state is stored.
pub(super) fn state_object(scheduler: &str) -> String {
    format!("scheduler/{scheduler}")
}

/// What outlives a restart of the scheduler's actor.
#[derive(Default)]
pub(super) struct Shared {
    /// Held while a submission is under way, also by one whose actor has fallen meanwhile. Whoever reads the stored
    /// state takes it first, and so sees what that submission leaves behind.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    plans: Mutex<Plans>,
}

impl Shared {
    pub fn plans(&self) -> Plans {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn show(&self, plans: Plans) {
        *self.plans.lock().unwrap_or_else(PoisonError::into_inner) = plans;
    }
}

/// Why a scheduler could not do what it was about to. It tries again after a pause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the database cannot be used")]
    Db(#[from] DbError),
    #[error("the master did not take the buildset: {0}")]
    NotNow(String),
    #[error("the master does not answer")]
    NoAnswer(#[from] MailboxError),
    #[error("the submission was broken off")]
    BrokenOff(#[from] tokio::task::JoinError),
}

#[derive(Clone)]
pub(super) struct Desk {
    pub config: Arc<SchedulerConfig>,
    pub db: Db,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    secrets: Secrets,
    submit: Recipient<SubmitBuildset>,
}

impl Desk {
    pub fn new(
        setup: &Setup,
        config: Arc<SchedulerConfig>,
        submit: Recipient<SubmitBuildset>,
        shared: Arc<Shared>,
    ) -> Desk {
        let secrets = setup.config.secrets.clone();
        Desk { config, db: setup.db.clone(), clock: setup.clock.clone(), shared, secrets, submit }
    }

    /// The state stored under `key`, or what `first` makes and this stores, for a scheduler never seen before.
    ///
    /// Goes through the writer, behind everything already on its way there.
    pub async fn load<T, F>(&self, key: &'static str, first: F) -> Result<T, Trouble>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        let _turn = self.shared.turn.lock().await;
        let object = state_object(&self.config.name);
        let load = move |conn: &mut Conn| {
            if let Some(stored) = state::get(conn, &object, key)?.filter(|stored| !stored.is_null()) {
                match serde_json::from_value(stored) {
                    Ok(read) => return Ok(read),
                    Err(error) => tracing::error!(
                        "{object}: the stored state \"{key}\" cannot be read ({error}); beginning anew with what happens from now on"
                    ),
                }
            }
            let first = first(conn)?;
            state::put(conn, &put(&object, key, &first))?;
            Ok(first)
        };
        Ok(self.db.write(load).await?)
    }

    /// Stores state that led to no buildset.
    pub async fn store(&self, key: &'static str, value: &impl Serialize) -> Result<(), Trouble> {
        let put = put(&state_object(&self.config.name), key, value);
        Ok(self.db.write(move |conn| state::put(conn, &put)).await?)
    }

    /// Submits a buildset and stores `value` with it, in one transaction.
    ///
    /// One the master refuses for good is reported and left out: the state moves on without it.
    pub async fn submit(
        &self,
        source_stamps: Vec<SourceStamp>,
        key: &'static str,
        value: &impl Serialize,
    ) -> Result<(), Trouble> {
        let properties = self.properties(&source_stamps).await?;
        let order = SubmitBuildset {
            scheduler: self.config.name.clone(),
            builders: self.config.builder_names.clone(),
            source_stamps,
            properties,
            reason: self.reason(),
            external_idstring: None,
            state: vec![put(&state_object(&self.config.name), key, value)],
        };
        let turn = self.shared.turn.clone().lock_owned().await;
        let submit = self.submit.clone();
        // A task of its own: should the actor fall meanwhile, its successor waits for this answer before it reads.
        let answer = actix::spawn(async move {
            let answer = submit.send(order).await;
            drop(turn);
            answer
        });
        match answer.await?? {
            Ok((buildset, _)) => {
                tracing::info!("{}: submitted buildset {}", self.config.name, buildset.id);
                Ok(())
            }
            Err(Refused::NotNow(why)) => Err(Trouble::NotNow(why)),
            Err(refused @ (Refused::NotFound(_) | Refused::Invalid(_))) => {
                tracing::error!(
                    "{}: {}: the master refuses this scheduler's buildset: {refused}; leaving it out",
                    self.config.place,
                    self.config.name
                );
                self.store(key, value).await
            }
        }
    }

    fn reason(&self) -> String {
        let class = match &self.config.kind {
            SchedulerKind::SingleBranch(_) => "SingleBranchScheduler",
            SchedulerKind::AnyBranch(_) => "AnyBranchScheduler",
            SchedulerKind::Dependent { .. } => "Dependent",
            SchedulerKind::Periodic { .. } => "Periodic",
            SchedulerKind::Nightly(_) => "Nightly",
            SchedulerKind::Force(_) => "ForceScheduler",
            SchedulerKind::Triggerable => "Triggerable",
        };
        let usual = || format!("The {class} scheduler named '{}' triggered this build", self.config.name);
        self.config.reason.clone().unwrap_or_else(usual)
    }

    /// The scheduler's properties, rendered. One that fails is reported and left out.
    async fn properties(&self, source_stamps: &[SourceStamp]) -> Result<Properties, Trouble> {
        let mut properties = Properties::new();
        properties.set("scheduler", self.config.name.clone(), "Scheduler");
        for (name, value) in &self.config.properties {
            if let Renderable::Plain(value) = value {
                properties.set(name, value.clone(), "Scheduler");
            }
        }
        if self.config.properties.iter().all(|(_, value)| matches!(value, Renderable::Plain(_))) {
            return Ok(properties);
        }
        // Functions of the configuration may take their time.
        let (config, secrets, stamps) = (self.config.clone(), self.secrets.clone(), source_stamps.to_vec());
        let render = move || {
            for (name, value) in &config.properties {
                let context =
                    RenderContext { properties: &properties, source_stamps: &stamps, secrets: &secrets, build: None };
                match value.render(&context) {
                    Ok(value) => properties.set(name, value, "Scheduler"),
                    Err(error) => tracing::error!(
                        "{error}; scheduler {}: submitting without the property \"{name}\"",
                        config.name
                    ),
                }
            }
            properties
        };
        Ok(tokio::task::spawn_blocking(render).await?)
    }
}

fn put(object: &str, key: &str, value: &impl Serialize) -> state::Put {
    let value = serde_json::to_value(value).expect("scheduler state has string keys and no failing parts");
    state::Put { object: object.to_owned(), key: key.to_owned(), value }
}
