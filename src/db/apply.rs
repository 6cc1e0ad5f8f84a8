//! What each event means for the read model.
//!
//! Called in the transaction that stores the event, so the two never disagree.

mod build_rows;
mod builder_rows;
mod request_rows;
mod rows;
mod worker_rows;

pub(super) use rows::{
    BuildEnd, BuildsetEnd, ReplacedSteps, RequestEnd, Texts, WrittenBranch, WrittenBuild, WrittenBuildChange,
    WrittenBuildset, WrittenLink, WrittenLog, WrittenRequest, WrittenStep,
};

use super::engine::Conn;
use super::{DbError, changes};
use crate::model::{Event, Time};

/// Brings the read model up to date with what happened at `at`.
pub(super) fn event(conn: &mut Conn, at: Time, event: &Event, texts: &Texts) -> Result<(), DbError> {
    match event {
        Event::ChangeAdded { change } => changes::add(conn, change),
        Event::BuildsetSubmitted { buildset } => request_rows::buildset(conn, buildset, texts),
        Event::RequestSubmitted { request } => request_rows::submitted(conn, request, texts),
        Event::RequestCancelled { request } => request_rows::cancelled(conn, request, at),
        Event::BuilderAdded { builder } => builder_rows::added(conn, builder),
        Event::BuilderRemoved { builder } => builder_rows::removed(conn, builder),
        Event::BuilderChangedState { builder, state } => builder_rows::changed_state(conn, builder, *state),
        Event::BuilderEvent { happened } => builder_rows::happened(conn, happened),
        Event::BuildStarted { build } => build_rows::started(conn, build, texts),
        Event::BuildEtaUpdate { build, eta } => build_rows::eta(conn, build, *eta),
        Event::StepStarted { build, step } => build_rows::step(conn, build, step),
        Event::StepTextChanged { build, step, text } => build_rows::step_text(conn, build, *step, text),
        Event::StepText2Changed { build, step, text2 } => build_rows::step_text2(conn, build, *step, text2),
        Event::StepEtaUpdate { build, step, eta } => build_rows::step_eta(conn, build, *step, *eta),
        Event::LogStarted { build, step, log } => build_rows::log_started(conn, build, *step, log),
        Event::LogFinished { build, step, log } => build_rows::log_finished(conn, build, *step, log),
        Event::StepFinished { build, step, properties } => build_rows::step_finished(conn, build, step, properties),
        Event::BuildFinished { build } => build_rows::finished(conn, build, texts, at),
        Event::SlaveConnected { slave } => worker_rows::connected(conn, slave, at),
        Event::SlaveDisconnected { slave } => worker_rows::disconnected(conn, slave, at),
        Event::SlavePaused { slave } => worker_rows::paused(conn, slave, true),
        Event::SlaveUnpaused { slave } => worker_rows::paused(conn, slave, false),
        // Told to those who watch; users are written beside their events by `users`, which alone sees their passwords.
        Event::TargetState { .. }
        | Event::DeliveryState { .. }
        | Event::UserChanged { .. }
        | Event::UserRemoved { .. }
        | Event::ConfigReloaded { .. } => Ok(()),
    }
}
