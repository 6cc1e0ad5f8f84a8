//! Stopping running builds.

use super::super::fault::Fault;
use super::super::viewer::{Permit, Viewer};
use super::{build_named, comments, told};
use crate::db::builds;
use crate::master::StopBuild;
use crate::master::authz::{Action, Subject};
use crate::model::BuildRef;
use actix_web::{HttpResponse, web};

pub async fn one(viewer: Viewer, path: web::Path<(String, String)>) -> Result<HttpResponse, Fault> {
    let (builder, number) = path.into_inner();
    let build = build_named(&viewer, builder, &number).await?;
    let permit = viewer.may(Action::StopBuild, Subject::Build(&build)).await?;
    let problems = match build.finished {
        None => stop(&viewer, &permit, vec![build.reference()]).await?,
        // As in 0.8: it has ended, so there is nothing to say.
        Some(_) => Vec::new(),
    };
    Ok(viewer.send_on(&viewer.links().builder(&build.builder), told(&problems).as_deref()))
}

pub async fn all(viewer: Viewer) -> Result<HttpResponse, Fault> {
    many(viewer, false).await
}

pub async fn selected(viewer: Viewer) -> Result<HttpResponse, Fault> {
    many(viewer, true).await
}

async fn many(viewer: Viewer, only_selected: bool) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::StopAllBuilds, Subject::Nothing).await?;
    let selected = viewer.fields().all(&["selected"]);
    let running = viewer.read(|reader| Ok(builds::running(reader.conn)?)).await?;
    let wanted = running.iter().filter(|build| !only_selected || selected.contains(&build.builder));
    let problems = stop(&viewer, &permit, wanted.map(|build| build.reference()).collect()).await?;
    Ok(viewer.send_on(viewer.links().root(), told(&problems).as_deref()))
}

async fn stop(viewer: &Viewer, permit: &Permit<'_>, builds: Vec<BuildRef>) -> Result<Vec<String>, Fault> {
    let reason =
        format!("The web-page 'stop build' button was pressed by '{}': {}\n", viewer.owner(), comments(viewer));
    let mut problems = Vec::new();
    for build in builds {
        let order = StopBuild { build, reason: reason.clone() };
        problems.extend(permit.order(order, |orders| &orders.stop).await?.err().map(|refused| refused.to_string()));
    }
    Ok(problems)
}
