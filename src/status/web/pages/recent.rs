//! One line per build, over all builders, newest finish first.

use super::super::fault::Fault;
use super::super::reader::{Outside, Reader};
use super::super::viewer::Viewer;
use super::build_line::{self, BuildLine};
use super::builders::{Chip, Filter};
use crate::db::builders;
use crate::db::builds::{self, Order, Selection};
use crate::model::*;
use actix_web::{HttpResponse, web};
use serde::Serialize;

/// The most lines an address can ask for.
const MOST: i64 = 500;

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    show(viewer, None).await
}

pub async fn of_builder(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    show(viewer, Some(path.into_inner())).await
}

#[derive(Serialize)]
struct RecentView {
    heading: String,
    builds: Vec<BuildLine>,
    with_builder: bool,
    chips: Vec<Chip>,
    /// The address of the page with older builds.
    older: Option<String>,
}

async fn show(viewer: Viewer, only: Option<String>) -> Result<HttpResponse, Fault> {
    let fields = viewer.fields().clone();
    let filter = Filter::of(&fields);
    let number = fields.number_of("numbuilds", i64::from(viewer.settings().numbuilds), MOST)?;
    let before = fields.integer("before")?.map(Time);
    let query = {
        let (filter, only) = (filter.clone(), only.clone());
        move |reader: &mut Reader| -> Result<(Vec<Build>, bool, Outside), Fault> {
            let builders: Vec<String> = match &only {
                Some(name) => vec![reader.builder(name)?.name],
                None if filter.builders.is_empty() && filter.tags.is_empty() => Vec::new(),
                None => {
                    let all = builders::all(reader.conn)?;
                    let named: Vec<String> =
                        all.into_iter().filter(|builder| filter.takes(builder)).map(|builder| builder.name).collect();
                    if named.is_empty() {
                        return Ok((Vec::new(), false, Outside::default()));
                    }
                    named
                }
            };
            let selection = Selection {
                builders,
                order: Order::Finished,
                finished: Some(true),
                to: before,
                branches: super::branches(&filter.branches),
                with_steps: true,
                limit: number + 1,
                ..Selection::default()
            };
            let mut builds = builds::select(reader.conn, &selection)?;
            let limit = usize::try_from(number).unwrap_or(usize::MAX);
            let more = builds.len() > limit;
            builds.truncate(limit);
            let pages = reader.outside(&builds);
            Ok((builds, more, pages))
        }
    };
    let (builds, more, pages) = viewer.read(query).await?;
    let last = builds.last().and_then(|build| build.finished).filter(|_| more);
    let heading = match &only {
        Some(name) => format!("Recent builds of {name}"),
        None => "Recent builds".to_owned(),
    };
    let frame = viewer.frame(&heading, "one_line_per_build").reloading(&fields);
    let (links, now) = (viewer.links().clone(), viewer.now());
    let view = move || RecentView {
        heading,
        with_builder: only.is_none(),
        builds: builds.iter().map(|build| build_line::line(build, &links, &pages, now)).collect(),
        chips: filter.chips(&fields),
        older: last.map(|time| fields.with("before", Some(&time.0.to_string()))),
    };
    viewer.page_in(frame, "recent", view).await
}
