//! Having dead deliveries sent again, or dropped.

use super::super::fault::{Fault, short};
use super::super::viewer::Viewer;
use super::told;
use crate::master::authz::{Action, Subject};
use crate::status::outbox::Order;
use actix_web::HttpResponse;

pub async fn send_again(viewer: Viewer) -> Result<HttpResponse, Fault> {
    settle(viewer, Order::SendAgain).await
}

pub async fn drop(viewer: Viewer) -> Result<HttpResponse, Fault> {
    settle(viewer, Order::Drop).await
}

/// Each `id=` of the form.
async fn settle(viewer: Viewer, order: Order) -> Result<HttpResponse, Fault> {
    let permit = viewer.may(Action::ResendDeliveries, Subject::Nothing).await?;
    let ids = viewer.fields().all(&["id"]);
    if ids.is_empty() {
        return Err(Fault::BadRequest("the argument id is missing".to_owned()));
    }
    let mut problems = Vec::new();
    for id in &ids {
        let answer = permit.settle_delivery(id, order).await?;
        problems.extend(answer.err().map(|refused| short(&refused.to_string())));
    }
    Ok(viewer.send_on(&viewer.links().page("deliveries"), told(&problems).as_deref()))
}
