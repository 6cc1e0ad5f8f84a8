//! Where changes come from, and the latest of them with the builds they went into.

use super::super::fault::Fault;
use super::super::reader::Reader;
use super::super::viewer::Viewer;
use super::change_view::{ChangeView, change};
use crate::changes::SourceStatus;
use crate::db::changes;
use crate::master::authz::{Action, Subject};
use crate::model::{BuildRef, Change, Results, Time};
use crate::render::links::Links;
use crate::render::words;
use actix_web::HttpResponse;
use serde::Serialize;

const USUAL: i64 = 50;
const MOST: i64 = 500;

/// The most builds named with each change; its own page has them all.
const MOST_BUILDS: usize = 8;

#[derive(Serialize)]
struct ChangesView {
    sources: Vec<SourceLine>,
    changes: Vec<ListedChange>,
    older: Option<String>,
}

#[derive(Serialize)]
struct ListedChange {
    #[serde(flatten)]
    change: ChangeView,
    builds: Vec<Outcome>,
    more_builds: bool,
}

/// How a build with the change ended, as a link to it.
#[derive(Serialize)]
struct Outcome {
    class: &'static str,
    name: String,
    href: String,
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
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let (recent, outcomes, more, pages) = viewer
        .read(move |reader| {
            let mut recent = changes::recent(reader.conn, count + 1, before)?;
            let more = recent.len() > limit;
            recent.truncate(limit);
            let outcomes = recent.iter().map(|change| outcomes(reader, change)).collect::<Result<Vec<_>, _>>()?;
            let pages = reader.outside_of_changes(&recent);
            Ok((recent, outcomes, more, pages))
        })
        .await?;
    let last = recent.last().filter(|_| more);
    let view = ChangesView {
        sources: viewer.sources().into_iter().map(|source| source_line(source, detailed)).collect(),
        older: last.map(|change| fields.with("before", Some(&change.number.to_string()))),
        changes: recent
            .iter()
            .zip(outcomes)
            .map(|(each, outcomes)| listed(change(each, viewer.links(), &pages), outcomes, viewer.links()))
            .collect(),
    };
    viewer.page("changes", "Changes", "changes", || view).await
}

fn outcomes(reader: &mut Reader, change: &Change) -> Result<Vec<(BuildRef, Option<Results>)>, Fault> {
    Ok(changes::outcomes(reader.conn, change.number, MOST_BUILDS as i64 + 1)?)
}

fn listed(change: ChangeView, outcomes: Vec<(BuildRef, Option<Results>)>, links: &Links) -> ListedChange {
    let shown = outcomes.iter().take(MOST_BUILDS).map(|(build, results)| Outcome {
        class: words::class(*results),
        name: build.to_string(),
        href: links.build(&build.builder, build.number),
    });
    ListedChange { change, builds: shown.collect(), more_builds: outcomes.len() > MOST_BUILDS }
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
