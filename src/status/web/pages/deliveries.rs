//! The ledger: what was or is to be sent, where to, and what became of it.

use super::super::fault::Fault;
use super::super::fields::{Fields, encode};
use super::super::viewer::Viewer;
use crate::db::outbox::{self, Delivery, State};
use crate::master::authz::{Action, Subject};
use crate::model::Time;
use actix_web::HttpResponse;
use serde::Serialize;

const USUAL: i64 = 50;
const MOST: i64 = 500;

#[derive(Serialize)]
struct DeliveriesView {
    target: Option<String>,
    /// The same list of all targets.
    all_targets: String,
    only_dead: bool,
    /// The same list with dead ones alone, or with all of them.
    other_states: String,
    rows: Vec<Row>,
    older: Option<String>,
    /// They may have dead ones sent again.
    may_resend: bool,
}

#[derive(Serialize)]
struct Row {
    id: String,
    target: String,
    target_query: String,
    destination: String,
    class: &'static str,
    state: &'static str,
    dead: bool,
    attempts: i32,
    created: Time,
    last_try: Option<Time>,
    next_try: Option<Time>,
    about: Option<String>,
    detail: String,
}

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    viewer.may(Action::ShowInternals, Subject::Nothing).await?;
    let fields = viewer.fields().clone();
    let count = fields.number_of("count", USUAL, MOST)?;
    let before = fields.integer("before")?.map(Time);
    let target = fields.get("target").filter(|target| !target.is_empty()).map(str::to_owned);
    let wanted = target.clone();
    let only_dead = only_dead(&fields)?;
    let list = if only_dead { outbox::dead } else { outbox::ledger };
    let mut rows = viewer.read(move |reader| Ok(list(reader.conn, wanted.as_deref(), before, count + 1)?)).await?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let view = DeliveriesView {
        older: last.map(|delivery| fields.with("before", Some(&delivery.created.0.to_string()))),
        rows: rows.into_iter().map(|delivery| row(delivery, &fields)).collect(),
        all_targets: this_page(&fields, "target", None),
        only_dead,
        other_states: this_page(&fields, "state", (!only_dead).then_some("dead")),
        may_resend: viewer.advertises(Action::ResendDeliveries),
        target,
    };
    viewer.page("deliveries", "Deliveries", "about", || view).await
}

/// Whether `state=dead` is asked for; the ledger is not kept by any other state.
pub fn only_dead(fields: &Fields) -> Result<bool, Fault> {
    match fields.get("state") {
        None | Some("") => Ok(false),
        Some("dead") => Ok(true),
        Some(other) => Err(Fault::argument("state", other, "is not \"dead\", the one state that can be asked for")),
    }
}

/// The first page of the list with one argument changed.
fn this_page(fields: &Fields, name: &str, value: Option<&str>) -> String {
    let kept = fields.iter().filter(|(other, _)| *other != name && !["before", "alert_msg"].contains(other));
    let query = encode(kept.chain(value.map(|value| (name, value))));
    if query.is_empty() { "?".to_owned() } else { query }
}

fn row(delivery: Delivery, fields: &Fields) -> Row {
    let (class, state) = state(delivery.state);
    let waits = matches!(delivery.state, State::Waiting | State::Retrying);
    Row {
        target_query: this_page(fields, "target", Some(&delivery.target)),
        dead: delivery.state == State::Dead,
        id: delivery.id,
        target: delivery.target,
        destination: delivery.destination,
        class,
        state,
        attempts: delivery.attempts,
        created: delivery.created,
        last_try: delivery.last_try,
        next_try: waits.then_some(delivery.next_try),
        about: delivery.about,
        detail: delivery.detail.unwrap_or_default(),
    }
}

fn state(state: State) -> (&'static str, &'static str) {
    match state {
        State::Waiting => ("waiting", "waiting"),
        State::Sending => ("running", "sending"),
        State::Delivered => ("success", "delivered"),
        State::Retrying => ("retry", "retrying"),
        State::Dead => ("failure", "dead"),
        State::Superseded => ("skipped", "superseded"),
        State::Dropped => ("skipped", "dropped"),
    }
}
