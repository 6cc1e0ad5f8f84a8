//! Pausing workers and sending them away.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use crate::db::workers;
use crate::master::authz::{Action, Subject};
use crate::master::{SetWorkerPaused, ShutDownWorker};
use crate::model::Worker;
use actix_web::{HttpResponse, web};

pub async fn pause(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    set_paused(viewer, path.into_inner(), true).await
}

pub async fn unpause(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    set_paused(viewer, path.into_inner(), false).await
}

async fn set_paused(viewer: Viewer, name: String, paused: bool) -> Result<HttpResponse, Fault> {
    let worker = worker_named(&viewer, name).await?;
    let permit = viewer.may(Action::PauseSlave, Subject::Worker(&worker)).await?;
    let order = SetWorkerPaused { worker: worker.name.clone(), paused };
    let answer = permit.order(order, |orders| &orders.pause).await?;
    let alert = answer.err().map(|refused| refused.to_string());
    Ok(viewer.send_on(&viewer.links().worker(&worker.name), alert.as_deref()))
}

pub async fn shutdown(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let worker = worker_named(&viewer, path.into_inner()).await?;
    let permit = viewer.may(Action::GracefulShutdown, Subject::Worker(&worker)).await?;
    let order = ShutDownWorker { worker: worker.name.clone() };
    let answer = permit.order(order, |orders| &orders.shut_down_worker).await?;
    let alert = answer.err().map(|refused| refused.to_string());
    Ok(viewer.send_on(&viewer.links().worker(&worker.name), alert.as_deref()))
}

async fn worker_named(viewer: &Viewer, name: String) -> Result<Worker, Fault> {
    viewer.read(move |reader| workers::find(reader.conn, &name)?.ok_or_else(|| Fault::no_worker(&name))).await
}
