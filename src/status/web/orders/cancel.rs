//! Cancelling what waits.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use super::{builder_named, told};
use crate::db::requests;
use crate::master::authz::{Action, Subject};
use crate::master::{CancelRequest, StopChange};
use crate::model::BuildRequest;
use actix_web::{HttpResponse, web};

/// `id=<number>` or `id=all`; anything else does nothing, as in 0.8. Each request is a question of its own, and the
/// first refusal ends it.
pub async fn one(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let builder = builder_named(&viewer, path.into_inner()).await?;
    let wanted = viewer.fields().get("id").unwrap_or("").to_owned();
    let name = builder.name.clone();
    let mut pending = viewer.read(move |reader| Ok(requests::pending(reader.conn, Some(&name))?)).await?;
    pending.retain(|request| wanted == "all" || wanted.parse() == Ok(request.id));
    let mut problems = Vec::new();
    for request in &pending {
        let permit = viewer.may(Action::CancelPendingBuild, Subject::Request(request)).await?;
        let answer = permit.order(CancelRequest { id: request.id }, |orders| &orders.cancel).await?;
        problems.extend(answer.err().map(|refused| refused.to_string()));
    }
    if pending.is_empty() {
        // Nobody learns from an answer what they may not do.
        viewer.may(Action::CancelPendingBuild, Subject::Builder(&builder)).await?;
    }
    Ok(viewer.send_on(&viewer.links().builder(&builder.name), told(&problems).as_deref()))
}

pub async fn all(viewer: Viewer) -> Result<HttpResponse, Fault> {
    many(viewer, false).await
}

pub async fn selected(viewer: Viewer) -> Result<HttpResponse, Fault> {
    many(viewer, true).await
}

async fn many(viewer: Viewer, only_selected: bool) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::CancelAllPendingBuilds, Subject::Nothing).await?;
    let selected = viewer.fields().all(&["selected"]);
    let pending = viewer.read(|reader| Ok(requests::pending(reader.conn, None)?)).await?;
    let mut problems = Vec::new();
    for request in pending.iter().filter(|request| !only_selected || selected.contains(&request.builder)) {
        let answer = permit.order(CancelRequest { id: request.id }, |orders| &orders.cancel).await?;
        problems.extend(answer.err().map(|refused| refused.to_string()));
    }
    Ok(viewer.send_on(viewer.links().root(), told(&problems).as_deref()))
}

/// Cancels what waits on one builder with this change, asking for each request.
pub async fn change(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let builder = builder_named(&viewer, path.into_inner()).await?;
    let change = wanted_change(&viewer)?;
    let name = builder.name.clone();
    let mut pending = viewer.read(move |reader| Ok(requests::pending(reader.conn, Some(&name))?)).await?;
    let has = |request: &BuildRequest| {
        request.source_stamps.iter().flat_map(|stamp| &stamp.changes).any(|other| other.number == change)
    };
    pending.retain(has);
    if pending.is_empty() {
        viewer.may(Action::StopChange, Subject::Builder(&builder)).await?;
    }
    let mut problems = Vec::new();
    for request in &pending {
        let permit = viewer.may(Action::StopChange, Subject::Request(request)).await?;
        let answer = permit.order(CancelRequest { id: request.id }, |orders| &orders.cancel).await?;
        problems.extend(answer.err().map(|refused| refused.to_string()));
    }
    Ok(viewer.send_on(&viewer.links().builder(&builder.name), told(&problems).as_deref()))
}

pub async fn change_everywhere(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::StopChange, Subject::Nothing).await?;
    let change = wanted_change(&viewer)?;
    let answer = permit.order(StopChange { change, builder: None }, |orders| &orders.stop_change).await?;
    Ok(viewer.send_on(viewer.links().root(), answer.err().map(|refused| refused.to_string()).as_deref()))
}

fn wanted_change(viewer: &Viewer) -> Result<i64, Fault> {
    let missing = || Fault::BadRequest("the argument change is missing".to_owned());
    viewer.fields().integer("change")?.ok_or_else(missing)
}
