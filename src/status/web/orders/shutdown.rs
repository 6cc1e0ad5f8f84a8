//! Ending the whole master once its builds have ended, and taking that back.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use crate::master::CleanShutdown;
use crate::master::authz::{Action, Subject};
use actix_web::HttpResponse;

pub async fn shutdown(viewer: Viewer) -> Result<HttpResponse, Fault> {
    order(viewer, false).await
}

pub async fn cancel(viewer: Viewer) -> Result<HttpResponse, Fault> {
    order(viewer, true).await
}

async fn order(viewer: Viewer, cancel: bool) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::CleanShutdown, Subject::Nothing).await?;
    permit.order(CleanShutdown { cancel }, |orders| &orders.shutdown).await?;
    tracing::info!(
        "{} by {}",
        if cancel { "clean shutdown taken back" } else { "clean shutdown ordered" },
        viewer.owner()
    );
    Ok(viewer.send_on(viewer.links().root(), None))
}
