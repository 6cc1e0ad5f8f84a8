//! The ledger: what was or is to be sent, where to, and what became of it.

use super::super::fault::Fault;
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
    rows: Vec<Row>,
    older: Option<String>,
}

#[derive(Serialize)]
struct Row {
    id: String,
    target: String,
    target_query: String,
    destination: String,
    class: &'static str,
    state: &'static str,
    attempts: i32,
    created: Time,
    last_try: Option<Time>,
    next_try: Option<Time>,
    detail: String,
}

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    viewer.may(Action::ShowInternals, Subject::Nothing).await?;
    let fields = viewer.fields().clone();
    let count = fields.number_of("count", USUAL, MOST)?;
    let before = fields.integer("before")?.map(Time);
    let target = fields.get("target").filter(|target| !target.is_empty()).map(str::to_owned);
    let wanted = target.clone();
    let mut rows =
        viewer.read(move |reader| Ok(outbox::ledger(reader.conn, wanted.as_deref(), before, count + 1)?)).await?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let view = DeliveriesView {
        older: last.map(|delivery| fields.with("before", Some(&delivery.created.0.to_string()))),
        rows: rows.into_iter().map(row).collect(),
        target,
    };
    viewer.page("deliveries", "Deliveries", "about", &view)
}

fn row(delivery: Delivery) -> Row {
    let (class, state) = state(delivery.state);
    let waits = matches!(delivery.state, State::Waiting | State::Retrying);
    Row {
        target_query: super::super::fields::encode(std::iter::once(("target", &*delivery.target))),
        id: delivery.id,
        target: delivery.target,
        destination: delivery.destination,
        class,
        state,
        attempts: delivery.attempts,
        created: delivery.created,
        last_try: delivery.last_try,
        next_try: waits.then_some(delivery.next_try),
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
