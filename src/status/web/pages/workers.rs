//! All workers with their builders and how they are.

use super::super::fault::Fault;
use super::super::reader::Reader;
use super::super::viewer::Viewer;
use crate::db::{builders, builds, workers};
use crate::model::*;
use crate::render::counted::Counted;
use crate::render::links::Links;
use crate::render::people;
use crate::render::words::count;
use actix_web::HttpResponse;
use serde::Serialize;
use std::time::Duration;

/// Connects are counted over this long.
pub const HOUR: Duration = Duration::from_secs(3600);

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let now = viewer.now();
    let facts = viewer.read(move |reader| load(reader, now)).await?;
    let with_builders = viewer.fields().get("no_builders").is_none_or(|value| matches!(value, "" | "0"));
    let links = viewer.links().clone();
    viewer.page("workers", "Workers", "buildslaves", move || view(&facts, with_builders, &links, now)).await
}

struct Facts {
    /// With the connects of the last hour.
    workers: Vec<(Worker, i64)>,
    builders: Vec<Builder>,
    running: Vec<Build>,
}

fn load(reader: &mut Reader, now: Time) -> Result<Facts, Fault> {
    let mut found = Vec::new();
    for worker in workers::all(reader.conn)? {
        let connects = workers::connects(reader.conn, &worker.name, now - HOUR)?;
        found.push((worker, connects));
    }
    found.sort_by(|a, b| natural(&a.0.name, &b.0.name));
    Ok(Facts { workers: found, builders: builders::all(reader.conn)?, running: builds::running(reader.conn)? })
}

#[derive(Serialize)]
struct WorkersView {
    with_builders: bool,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    href: String,
    builders: Vec<Named>,
    version: String,
    admin: String,
    heard: Option<Time>,
    heard_age: Option<Counted>,
    connects: i64,
    class: &'static str,
    state: String,
}

#[derive(Serialize)]
struct Named {
    name: String,
    href: String,
}

fn view(facts: &Facts, with_builders: bool, links: &Links, now: Time) -> WorkersView {
    let row = |(worker, connects): &(Worker, i64)| {
        let running = facts.running.iter().filter(|build| build.worker == worker.name).count();
        let (class, state) = state(worker, running);
        let builders = facts.builders.iter().filter(|builder| builder.workers.contains(&worker.name));
        Row {
            name: worker.name.clone(),
            href: links.worker(&worker.name),
            builders: builders.map(|b| Named { name: b.name.clone(), href: links.builder(&b.name) }).collect(),
            version: worker.version.clone().unwrap_or_else(|| "-".to_owned()),
            admin: worker.admin.as_deref().map(people::name).filter(|name| !name.is_empty()).unwrap_or("-").to_owned(),
            heard: worker.last_heard,
            heard_age: worker.last_heard.map(|heard| Counted::ago(heard, now)),
            connects: *connects,
            class,
            state,
        }
    };
    WorkersView { with_builders, rows: facts.workers.iter().map(row).collect() }
}

/// Style class and words: not connected goes before building, building before paused.
pub fn state(worker: &Worker, running: usize) -> (&'static str, String) {
    if !worker.connected {
        ("offline", "not connected".to_owned())
    } else if running > 0 {
        ("building", format!("running {}", count(running, "build")))
    } else if worker.paused {
        ("paused", "paused".to_owned())
    } else {
        ("idle", "idle".to_owned())
    }
}
