//! Where changes come from, and the latest of them.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use super::change_view::{ChangeView, change};
use crate::changes::SourceStatus;
use crate::db::changes;
use crate::master::authz::{Action, Subject};
use crate::model::Time;
use actix_web::HttpResponse;
use serde::Serialize;

const USUAL: i64 = 50;
const MOST: i64 = 500;

#[derive(Serialize)]
struct ChangesView {
    sources: Vec<SourceLine>,
    changes: Vec<ChangeView>,
    older: Option<String>,
}

#[derive(Serialize)]
struct SourceLine {
    class: &'static str,
    state: &'static str,
    description: String,
    last_poll: Option<Time>,
    next_poll: Option<Time>,
    error: Option<String>,
}

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let detailed = viewer.may(Action::ShowInternals, Subject::Nothing).await.is_ok();
    let fields = viewer.fields().clone();
    let count = fields.number_of("count", USUAL, MOST)?;
    let before = fields.integer("before")?;
    let (mut recent, pages) = viewer
        .read(move |reader| {
            let recent = changes::recent(reader.conn, count + 1, before)?;
            let pages = reader.outside_of_changes(&recent);
            Ok((recent, pages))
        })
        .await?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let more = recent.len() > limit;
    recent.truncate(limit);
    let last = recent.last().filter(|_| more);
    let view = ChangesView {
        sources: viewer.sources().into_iter().map(|source| source_line(source, detailed)).collect(),
        older: last.map(|change| fields.with("before", Some(&change.number.to_string()))),
        changes: recent.iter().map(|each| change(each, viewer.links(), &pages)).collect(),
    };
    viewer.page("changes", "Changes", "changes", || view).await
}

/// `running`, `failing` or `not started`.
pub fn state(source: &SourceStatus) -> &'static str {
    match &source.last_error {
        _ if source.idle => "not started",
        Some(_) => "failing",
        None => "running",
    }
}

fn source_line(source: SourceStatus, detailed: bool) -> SourceLine {
    let state = state(&source);
    SourceLine {
        class: match state {
            "running" => "success",
            "failing" => "failure",
            _ => "notstarted",
        },
        state,
        description: source.description,
        last_poll: source.last_poll,
        next_poll: source.next_poll,
        error: source.last_error.filter(|_| detailed),
    }
}
