//! One worker: what it does, what it did, what it says of itself, and how to pause or send it away.

use super::super::fault::Fault;
use super::super::reader::{Outside, Reader};
use super::super::viewer::Viewer;
use super::build_line::{self, BuildLine};
use super::workers::{HOUR, state};
use crate::db::builds::{self, Order, Selection};
use crate::db::workers;
use crate::master::authz::Action;
use crate::model::*;
use crate::render::counted::Counted;
use crate::render::links::Links;
use crate::render::people;
use actix_web::{HttpResponse, web};
use serde::Serialize;

const USUAL: i64 = 10;
const MOST: i64 = 200;

pub async fn page(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let name = path.into_inner();
    let number = viewer.fields().number_of("numbuilds", USUAL, MOST)?;
    let now = viewer.now();
    let facts = viewer.read(move |reader| load(reader, &name, number, now)).await?;
    let forms = Forms {
        stop: viewer.advertises(Action::StopBuild),
        pause: viewer.advertises(Action::PauseSlave),
        shutdown: viewer.advertises(Action::GracefulShutdown),
    };
    let (title, links) = (facts.worker.name.clone(), viewer.links().clone());
    viewer.page("worker", &title, "buildslaves", move || view(&facts, forms, &links, now)).await
}

struct Facts {
    worker: Worker,
    connects: i64,
    running: Vec<Build>,
    recent: Vec<Build>,
    pages: Outside,
}

fn load(reader: &mut Reader, name: &str, number: i64, now: Time) -> Result<Facts, Fault> {
    let worker = workers::find(reader.conn, name)?.ok_or_else(|| Fault::no_worker(name))?;
    let mut running = builds::running(reader.conn)?;
    running.retain(|build| build.worker == name);
    let selection = Selection {
        worker: Some(name.to_owned()),
        order: Order::Finished,
        finished: Some(true),
        with_steps: true,
        limit: number,
        ..Selection::default()
    };
    let recent = builds::select(reader.conn, &selection)?;
    let pages = reader.outside(running.iter().chain(&recent));
    Ok(Facts { connects: workers::connects(reader.conn, name, now - HOUR)?, worker, running, recent, pages })
}

#[derive(Serialize)]
struct Forms {
    stop: bool,
    pause: bool,
    shutdown: bool,
}

#[derive(Serialize)]
struct WorkerView {
    name: String,
    href: String,
    class: &'static str,
    state: String,
    connected: bool,
    paused: bool,
    graceful: bool,
    current: Vec<BuildLine>,
    builds: Vec<BuildLine>,
    admin: Option<String>,
    host: Option<String>,
    version: Option<String>,
    access_uri: Option<String>,
    access_href: Option<String>,
    info: Vec<Info>,
    heard: Option<Time>,
    heard_age: Option<Counted>,
    connects: i64,
    forms: Forms,
}

#[derive(Serialize)]
struct Info {
    name: String,
    value: String,
}

fn view(facts: &Facts, forms: Forms, links: &Links, now: Time) -> WorkerView {
    let worker = &facts.worker;
    let (class, state) = state(worker, facts.running.len());
    let line = |build: &Build| build_line::line(build, links, &facts.pages, now);
    let text =
        |value: &Option<String>| value.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    WorkerView {
        name: worker.name.clone(),
        href: links.worker(&worker.name),
        class,
        state,
        connected: worker.connected,
        paused: worker.paused,
        graceful: worker.graceful,
        current: facts.running.iter().map(line).collect(),
        builds: facts.recent.iter().map(line).collect(),
        admin: text(&worker.admin).map(|admin| people::name(&admin).to_owned()),
        host: text(&worker.host),
        version: text(&worker.version),
        access_href: worker.access_uri.as_deref().and_then(crate::render::links::outside).map(str::to_owned),
        access_uri: text(&worker.access_uri),
        info: worker
            .info
            .iter()
            .map(|(name, value)| Info {
                name: name.clone(),
                value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            })
            .collect(),
        heard: worker.last_heard,
        heard_age: worker.last_heard.map(|heard| Counted::ago(heard, now)),
        connects: facts.connects,
        forms,
    }
}
