//! The supervision tree: names and states for all who may view, reasons and figures for those who run the place.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use crate::master::authz::{Action, Subject};
use crate::model::Time;
use crate::render::counted::Counted;
use crate::supervise::Report;
use actix_web::HttpResponse;
use serde::Serialize;

#[derive(Serialize)]
struct SupervisionView {
    detailed: bool,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    path: String,
    class: &'static str,
    state: &'static str,
    since: Time,
    age: Counted,
    restarts: u64,
    mailbox: usize,
    backlog: u64,
    reason: Option<String>,
    complaint: Option<String>,
}

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let detailed = viewer.may(Action::ShowInternals, Subject::Nothing).await.is_ok();
    let now = viewer.now();
    let rows = viewer.reports().into_iter().map(|report| row(report, detailed, now)).collect();
    viewer.page("supervision", "Supervision", "about", move || SupervisionView { detailed, rows }).await
}

fn row(report: Report, detailed: bool, now: Time) -> Row {
    Row {
        path: report.path,
        class: match report.state {
            "running" => "success",
            "restarting" => "warnings",
            "parked" => "failure",
            "not started" => "notstarted",
            _ => "offline",
        },
        state: report.state,
        since: report.since,
        age: Counted::ago(report.since, now),
        restarts: report.restarts,
        mailbox: report.mailbox,
        backlog: report.backlog,
        reason: report.last_reason.filter(|_| detailed),
        complaint: report.complaint.filter(|_| detailed),
    }
}
