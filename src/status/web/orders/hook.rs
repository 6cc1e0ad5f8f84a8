//! Taking a request of a change hook in once more.

use super::super::fault::{Fault, short};
use super::super::viewer::Viewer;
use crate::master::authz::{Action, Subject};
use actix_web::HttpResponse;

/// The one of `id=`.
pub async fn replay(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::ReplayHooks, Subject::Nothing).await?;
    let id =
        viewer.fields().integer("id")?.ok_or_else(|| Fault::BadRequest("the argument id is missing".to_owned()))?;
    let answer = permit.replay(id).await?;
    let told = match answer.status {
        200 | 202 => None,
        _ => Some(short(&format!("request {id}: {}", answer.text))),
    };
    Ok(viewer.send_on(&viewer.links().page("hooks"), told.as_deref()))
}
