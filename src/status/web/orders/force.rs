//! Forcing builds: one builder, all of a scheduler, or those ticked.

use super::super::fault::Fault;
use super::super::viewer::{Permit, Viewer};
use super::builder_named;
use crate::master::ForceBuild;
use crate::master::authz::{Action, Subject};
use actix_web::{HttpResponse, web};

pub async fn one(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let builder = builder_named(&viewer, path.into_inner()).await?;
    let permit = viewer.may(Action::ForceBuild, Subject::Builder(&builder)).await?;
    let alert = send(&viewer, &permit, Some(vec![builder.name.clone()])).await?;
    Ok(viewer.send_on(&viewer.links().builder(&builder.name), alert.as_deref()))
}

pub async fn all(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::ForceAllBuilds, Subject::Nothing).await?;
    let alert = send(&viewer, &permit, None).await?;
    Ok(viewer.send_on(&viewer.links().page("builders"), alert.as_deref()))
}

pub async fn selected(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::ForceAllBuilds, Subject::Nothing).await?;
    let alert = send(&viewer, &permit, Some(viewer.fields().all(&["selected"]))).await?;
    Ok(viewer.send_on(&viewer.links().page("builders"), alert.as_deref()))
}

/// What went wrong, if anything did.
async fn send(viewer: &Viewer, permit: &Permit<'_>, builders: Option<Vec<String>>) -> Result<Option<String>, Fault> {
    let Some(scheduler) = viewer.fields().get("forcescheduler") else {
        return Ok(Some("the form does not say which scheduler to use".to_owned()));
    };
    // Credentials are not the scheduler's business.
    let mut fields = viewer.fields().by_name();
    for name in ["forcescheduler", "passwd", "selected"] {
        fields.remove(name);
    }
    let order = ForceBuild { scheduler: scheduler.to_owned(), builders, fields, owner: viewer.owner() };
    let answer = permit.order(order, |orders| &orders.force).await?;
    Ok(answer.err().map(|refused| refused.to_string()))
}
