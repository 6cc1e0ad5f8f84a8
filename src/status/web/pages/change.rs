//! One change.

use super::super::fault::{Fault, short};
use super::super::viewer::Viewer;
use super::change_view::{ChangeView, change};
use crate::db::changes;
use crate::master::authz::Action;
use actix_web::{HttpResponse, web};
use serde::Serialize;

#[derive(Serialize)]
struct OneChange {
    change: ChangeView,
    may_stop: bool,
}

pub async fn page(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let text = path.into_inner();
    let missing =
        || Fault::NotFound { what: format!("there is no change \"{}\"", short(&text)), parent: "changes".to_owned() };
    let number: i64 = text.parse().map_err(|_| missing())?;
    let (found, pages) = viewer
        .read(move |reader| {
            let found = changes::find(reader.conn, number)?;
            let pages = found.as_ref().map(|found| reader.outside_of_changes(std::slice::from_ref(found)));
            Ok((found, pages.unwrap_or_default()))
        })
        .await?;
    let found = found.ok_or_else(missing)?;
    let view =
        OneChange { change: change(&found, viewer.links(), &pages), may_stop: viewer.advertises(Action::StopChange) };
    viewer.page("change", &format!("Change #{number}"), "changes", || view).await
}
