use super::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The number of a stored event: 1 for the first ever, growing by one each.
pub type Seq = i64;

/// The closed list of things that can have happened.
///
/// Each carries what a reader needs to speak of it without asking back; a build carries its steps.
/// The wire name of a variant is its own name with a small first letter, as in 0.8's pushes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    ChangeAdded {
        change: Change,
    },
    BuildsetSubmitted {
        buildset: Buildset,
    },
    RequestSubmitted {
        request: BuildRequest,
    },
    RequestCancelled {
        request: BuildRequest,
    },
    /// The configuration has a builder that was not there before, or another description of it.
    BuilderAdded {
        builder: Builder,
    },
    /// The configuration has it no more; its builds stay.
    BuilderRemoved {
        builder: String,
    },
    BuilderChangedState {
        builder: String,
        state: BigState,
    },
    /// A box for the waterfall that is no build: `connect linux1`, `interrupt`.
    BuilderEvent {
        happened: BuilderEvent,
    },
    BuildStarted {
        build: Build,
    },
    BuildEtaUpdate {
        build: BuildRef,
        eta: Option<Time>,
    },
    /// `step` is complete as it now stands, here and below; its logs have their own events.
    StepStarted {
        build: BuildRef,
        step: Step,
    },
    StepTextChanged {
        build: BuildRef,
        step: i32,
        text: Vec<String>,
    },
    StepText2Changed {
        build: BuildRef,
        step: i32,
        text2: Vec<String>,
    },
    StepEtaUpdate {
        build: BuildRef,
        step: i32,
        eta: Option<Time>,
    },
    LogStarted {
        build: BuildRef,
        step: i32,
        log: Log,
    },
    /// `log` has its final length.
    LogFinished {
        build: BuildRef,
        step: i32,
        log: Log,
    },
    /// `properties` are those the step set.
    StepFinished {
        build: BuildRef,
        step: Step,
        properties: Properties,
    },
    /// With results `retry` its requests wait again; with any other they are complete.
    BuildFinished {
        build: Build,
    },
    SlaveConnected {
        slave: Worker,
    },
    SlaveDisconnected {
        slave: String,
    },
    SlavePaused {
        slave: String,
    },
    SlaveUnpaused {
        slave: String,
    },
    /// A status target started, degraded, parked or recovered.
    TargetState {
        target: TargetState,
    },
    /// A delivery ended for good: delivered after trouble, dead, or dropped by a person.
    DeliveryState {
        delivery: DeliveryState,
    },
    /// A user is new, or knows something else now; without the hash of their password.
    UserChanged {
        user: User,
    },
    /// Somebody took them out of the user database.
    UserRemoved {
        uid: i64,
        identifier: String,
    },
    /// A configuration is in force: at start, and after each successful reconfig.
    ConfigReloaded {
        builders: Vec<String>,
    },
}

impl Event {
    /// The wire name: `buildFinished`.
    pub fn name(&self) -> &'static str {
        match self {
            Event::ChangeAdded { .. } => "changeAdded",
            Event::BuildsetSubmitted { .. } => "buildsetSubmitted",
            Event::RequestSubmitted { .. } => "requestSubmitted",
            Event::RequestCancelled { .. } => "requestCancelled",
            Event::BuilderAdded { .. } => "builderAdded",
            Event::BuilderRemoved { .. } => "builderRemoved",
            Event::BuilderChangedState { .. } => "builderChangedState",
            Event::BuilderEvent { .. } => "builderEvent",
            Event::BuildStarted { .. } => "buildStarted",
            Event::BuildEtaUpdate { .. } => "buildEtaUpdate",
            Event::StepStarted { .. } => "stepStarted",
            Event::StepTextChanged { .. } => "stepTextChanged",
            Event::StepText2Changed { .. } => "stepText2Changed",
            Event::StepEtaUpdate { .. } => "stepEtaUpdate",
            Event::LogStarted { .. } => "logStarted",
            Event::LogFinished { .. } => "logFinished",
            Event::StepFinished { .. } => "stepFinished",
            Event::BuildFinished { .. } => "buildFinished",
            Event::SlaveConnected { .. } => "slaveConnected",
            Event::SlaveDisconnected { .. } => "slaveDisconnected",
            Event::SlavePaused { .. } => "slavePaused",
            Event::SlaveUnpaused { .. } => "slaveUnpaused",
            Event::TargetState { .. } => "targetState",
            Event::DeliveryState { .. } => "deliveryState",
            Event::UserChanged { .. } => "userChanged",
            Event::UserRemoved { .. } => "userRemoved",
            Event::ConfigReloaded { .. } => "configReloaded",
        }
    }

    /// The one builder it is about, if it is about one.
    pub fn builder(&self) -> Option<&str> {
        match self {
            Event::RequestSubmitted { request } | Event::RequestCancelled { request } => Some(&request.builder),
            Event::BuilderAdded { builder } => Some(&builder.name),
            Event::BuilderRemoved { builder } | Event::BuilderChangedState { builder, .. } => Some(builder),
            Event::BuilderEvent { happened } => Some(&happened.builder),
            Event::BuildStarted { build } | Event::BuildFinished { build } => Some(&build.builder),
            Event::BuildEtaUpdate { build, .. }
            | Event::StepStarted { build, .. }
            | Event::StepTextChanged { build, .. }
            | Event::StepText2Changed { build, .. }
            | Event::StepEtaUpdate { build, .. }
            | Event::LogStarted { build, .. }
            | Event::LogFinished { build, .. }
            | Event::StepFinished { build, .. } => Some(&build.builder),
            Event::ChangeAdded { .. }
            | Event::BuildsetSubmitted { .. }
            | Event::SlaveConnected { .. }
            | Event::SlaveDisconnected { .. }
            | Event::SlavePaused { .. }
            | Event::SlaveUnpaused { .. }
            | Event::TargetState { .. }
            | Event::DeliveryState { .. }
            | Event::UserChanged { .. }
            | Event::UserRemoved { .. }
            | Event::ConfigReloaded { .. } => None,
        }
    }

    /// The number of the one build it is about, with [`Event::builder`] its full name.
    pub fn build_number(&self) -> Option<i64> {
        match self {
            Event::BuildStarted { build } | Event::BuildFinished { build } => Some(build.number),
            Event::BuildEtaUpdate { build, .. }
            | Event::StepStarted { build, .. }
            | Event::StepTextChanged { build, .. }
            | Event::StepText2Changed { build, .. }
            | Event::StepEtaUpdate { build, .. }
            | Event::LogStarted { build, .. }
            | Event::LogFinished { build, .. }
            | Event::StepFinished { build, .. } => Some(build.number),
            _ => None,
        }
    }
}

/// An event with its number and the moment it was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub seq: Seq,
    pub at: Time,
    #[serde(flatten)]
    pub event: Event,
}

/// How a status target is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetState {
    /// Its name in the supervision tree, `status/StatusPush`.
    pub name: String,
    /// `running`, `degraded`, `parked`, `stopped`.
    pub state: String,
    /// Why, in a sentence, unless all is well.
    pub reason: Option<String>,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryState {
    pub id: String,
    pub target: String,
    /// `waiting`, `sending`, `delivered`, `retrying`, `dead`, `superseded`, `dropped`.
    pub state: String,
    /// The answer or error of the last attempt.
    pub detail: Option<Value>,
}
