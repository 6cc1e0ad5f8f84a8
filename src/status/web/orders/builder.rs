//! Pinging a builder's workers, and building something again.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use super::{build_named, builder_named, comments};
use crate::master::authz::{Action, Subject};
use crate::master::{PingBuilder, Rebuild};
use actix_web::{HttpResponse, web};
use serde_json::Value;

/// The most properties a form can add.
const MOST_PROPERTIES: usize = 100;

pub async fn ping(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let builder = builder_named(&viewer, path.into_inner()).await?;
    let permit = viewer.may(Action::PingBuilder, Subject::Builder(&builder)).await?;
    let answer = permit.order(PingBuilder { builder: builder.name.clone() }, |orders| &orders.ping).await?;
    let alert = answer.err().map(|refused| refused.to_string());
    Ok(viewer.send_on(&viewer.links().builder(&builder.name), alert.as_deref()))
}

/// `useSourcestamp=updated` takes the source as it was asked for, anything else what was really checked out.
pub async fn rebuild(viewer: Viewer, path: web::Path<(String, String)>) -> Result<HttpResponse, Fault> {
    let (name, number) = path.into_inner();
    let builder = builder_named(&viewer, name).await?;
    let build = build_named(&viewer, builder.name.clone(), &number).await?;
    let permit = viewer.may(Action::ForceBuild, Subject::Builder(&builder)).await?;
    let alert = if build.finished.is_none() {
        Some("could not rebuild: the build has not ended yet".to_owned())
    } else {
        let order = Rebuild {
            build: build.reference(),
            reason: format!("The web-page 'rebuild' button was pressed by '{}': {}", viewer.owner(), comments(&viewer)),
            exact: viewer.fields().get("useSourcestamp") != Some("updated"),
            properties: properties(&viewer),
        };
        let answer = permit.order(order, |orders| &orders.rebuild).await?;
        answer.err().map(|refused| format!("could not rebuild: {refused}"))
    };
    Ok(viewer.send_on(&viewer.links().builder(&builder.name), alert.as_deref()))
}

/// `property1name`, `property1value`, … up to the first without a name.
fn properties(viewer: &Viewer) -> Vec<(String, Value)> {
    let fields = viewer.fields();
    let named = (1..=MOST_PROPERTIES).map_while(|number| {
        let name = fields.get(&format!("property{number}name")).filter(|name| !name.is_empty())?;
        let value = fields.get(&format!("property{number}value")).unwrap_or("");
        Some((name.to_owned(), Value::from(value)))
    });
    named.collect()
}
