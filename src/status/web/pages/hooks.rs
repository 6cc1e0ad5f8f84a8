//! The inbox of change hooks: what came lately, and what became of it.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use crate::db::inbox::{self, Received};
use crate::master::authz::{Action, Subject};
use crate::model::Time;
use crate::render::links::Links;
use actix_web::HttpResponse;
use serde::Serialize;

const USUAL: i64 = 50;
const MOST: i64 = 500;

#[derive(Serialize)]
struct HooksView {
    rows: Vec<Row>,
    older: Option<String>,
    /// They may have one taken in once more.
    may_replay: bool,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    received: Time,
    dialect: String,
    event: String,
    delivery: String,
    class: &'static str,
    outcome: &'static str,
    status: u16,
    reason: String,
    changes: Vec<Link>,
    replay_of: Option<i64>,
    size: i64,
}

#[derive(Serialize)]
struct Link {
    number: i64,
    href: String,
}

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    viewer.may(Action::ShowInternals, Subject::Nothing).await?;
    let fields = viewer.fields().clone();
    let count = fields.number_of("count", USUAL, MOST)?;
    let before = fields.integer("before")?;
    let mut found = viewer.read(move |reader| Ok(inbox::recent(reader.conn, count + 1, before)?)).await?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let view = HooksView {
        older: found.last().filter(|_| more).map(|last| fields.with("before", Some(&last.id.to_string()))),
        rows: found.into_iter().map(|received| row(received, viewer.links())).collect(),
        may_replay: viewer.advertises(Action::ReplayHooks),
    };
    viewer.page("hooks", "Change hooks", "about", || view).await
}

fn row(received: Received, links: &Links) -> Row {
    let (class, outcome) = outcome(&received);
    let link = |number: &i64| Link { number: *number, href: links.change(*number) };
    Row {
        id: received.id,
        received: received.received,
        class,
        outcome,
        changes: received.changes.iter().map(link).collect(),
        dialect: received.dialect,
        event: received.event,
        delivery: received.delivery.unwrap_or_default(),
        status: received.status,
        reason: received.reason,
        replay_of: received.replay_of,
        size: received.size,
    }
}

/// Style class and word.
pub fn outcome(received: &Received) -> (&'static str, &'static str) {
    match (received.is_accepted(), received.changes.is_empty()) {
        (true, false) => ("success", "added"),
        (true, true) => ("skipped", "nothing to add"),
        (false, _) => ("failure", "refused"),
    }
}
