//! About this server.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use crate::master::authz::Action;
use actix_web::HttpResponse;
use serde::Serialize;

#[derive(Serialize)]
struct AboutView {
    platform: String,
    database: &'static str,
    database_trouble: Option<String>,
    templates: Vec<String>,
    parts: usize,
    down: usize,
    internals: bool,
}

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let reports = viewer.reports();
    let sqlite = viewer.config().db_url.starts_with("sqlite");
    let view = AboutView {
        platform: format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH),
        database: if sqlite { "SQLite" } else { "PostgreSQL" },
        database_trouble: viewer.database_trouble(),
        templates: viewer.template_problems(),
        down: reports.iter().filter(|report| report.state != "running").count(),
        parts: reports.len(),
        internals: viewer.advertises(Action::ShowInternals),
    };
    viewer.page("about", "About", "about", || view).await
}
