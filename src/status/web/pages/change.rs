//! One change, and the builds it went into.

use super::super::fault::{Fault, short};
use super::super::viewer::Viewer;
use super::build_line::{self, BuildLine};
use super::change_view::{ChangeView, change};
use crate::db::changes;
use crate::master::authz::Action;
use crate::render::words::count;
use actix_web::{HttpResponse, web};
use serde::Serialize;

/// The most builds listed.
const MOST_BUILDS: usize = 100;

#[derive(Serialize)]
struct OneChange {
    change: ChangeView,
    builds: Vec<BuildLine>,
    with_builder: bool,
    /// There are older builds that are not listed.
    only: Option<String>,
    may_stop: bool,
}

pub async fn page(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let text = path.into_inner();
    let missing =
        || Fault::NotFound { what: format!("there is no change \"{}\"", short(&text)), parent: "changes".to_owned() };
    let number: i64 = text.parse().map_err(|_| missing())?;
    let (found, mut builds, pages) = viewer
        .read(move |reader| {
            let found = changes::find(reader.conn, number)?;
            let builds = changes::builds(reader.conn, number, MOST_BUILDS as i64 + 1)?;
            let mut pages = reader.outside(&builds);
            pages.extend(reader.outside_of_changes(&found));
            Ok((found, builds, pages))
        })
        .await?;
    let found = found.ok_or_else(missing)?;
    let only = (builds.len() > MOST_BUILDS).then(|| format!("The latest {} are shown.", count(MOST_BUILDS, "build")));
    builds.truncate(MOST_BUILDS);
    let (links, now, may_stop) = (viewer.links().clone(), viewer.now(), viewer.advertises(Action::StopChange));
    let view = move || OneChange {
        change: change(&found, &links, &pages),
        builds: builds.iter().map(|build| build_line::line(build, &links, &pages, now)).collect(),
        with_builder: true,
        only,
        may_stop,
    };
    viewer.page("change", &format!("Change #{number}"), "changes", view).await
}
