//! The nodes of 0.8's JSON tree (`reference/webstatus.md` §5.2), each read when it is asked for.

use super::super::fault::{Fault, short};
use super::super::pages::changes::state;
use super::super::viewer::Viewer;
use crate::changes::SourceStatus;
use crate::config::Config;
use crate::db::builds::{self, Order, Selection};
use crate::db::{Conn, builders, requests, workers};
use crate::model::*;
use crate::render::asdict::{self, BuilderNow, Urls};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// 0.8 keeps so many builds of a builder at hand.
const CACHED: i64 = 15;
/// The most numbers of builds named at once.
const MOST_NUMBERS: i64 = 10_000;
/// The most whole builds given at once.
const MOST_BUILDS: i64 = 200;

/// What the nodes are made with.
pub struct Tree {
    config: Arc<Config>,
    sources: Vec<SourceStatus>,
    internals: bool,
    urls: Urls,
    now: Time,
    /// `numbuilds=`: how many recent builds of each builder a worker's own are looked for among.
    recent: i64,
    /// `max=` of `builds/_all`.
    most: i64,
}

impl Tree {
    /// `internals` says whether errors of change sources may be shown.
    pub fn new(viewer: &Viewer, internals: bool) -> Tree {
        let config = viewer.config();
        let number = |name: &str| viewer.fields().get(name).map(|text| text.trim().parse::<i64>());
        Tree {
            urls: Urls::new(config.buildbot_url.clone()),
            config,
            sources: viewer.sources(),
            internals,
            now: viewer.now(),
            recent: match number("numbuilds") {
                None => CACHED - 1,
                // As in 0.8.
                Some(Err(_)) => 10,
                Some(Ok(number)) => number.clamp(1, MOST_BUILDS),
            },
            most: match number("max") {
                None | Some(Err(_)) => CACHED,
                Some(Ok(number)) => number.clamp(1, MOST_BUILDS),
            },
        }
    }

    pub fn node(&self, conn: &mut Conn, path: &[String]) -> Result<Value, Fault> {
        let elements: Vec<&str> = path.iter().map(String::as_str).collect();
        match elements.as_slice() {
            [] => Ok(json!({
                "builders": self.builders(conn)?,
                "change_sources": self.change_sources(),
                "metrics": null,
                "project": self.project(),
                "slaves": self.workers(conn, None)?,
            })),
            ["project"] => Ok(self.project()),
            ["metrics"] => Ok(Value::Null),
            ["change_sources"] => Ok(self.change_sources()),
            ["change_sources", number] => self.change_sources().get(number).cloned().ok_or_else(|| self.missing(path)),
            ["builders"] => self.builders(conn),
            ["builders", name, rest @ ..] => {
                let builder = builders::find(conn, name)?.ok_or_else(|| Fault::no_builder(name))?;
                self.builder_node(conn, &builder, rest, path)
            }
            ["slaves"] => self.workers(conn, None),
            ["slaves", name] => self.worker(conn, name),
            _ => Err(self.missing(path)),
        }
    }

    /// Whether there is a node, without making it where that would be much.
    pub fn is_known(&self, conn: &mut Conn, path: &[String]) -> Result<bool, Fault> {
        if path.len() <= 1 {
            let top = ["builders", "change_sources", "metrics", "project", "slaves"];
            return Ok(path.first().is_none_or(|first| top.contains(&first.as_str())));
        }
        match self.node(conn, path) {
            Ok(_) => Ok(true),
            Err(Fault::NotFound { .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    pub fn missing(&self, path: &[String]) -> Fault {
        let shown = short(&path.join("/"));
        Fault::NotFound { what: format!("there is no /json/{shown}"), parent: "json".to_owned() }
    }

    fn builder_node(&self, conn: &mut Conn, builder: &Builder, rest: &[&str], path: &[String]) -> Result<Value, Fault> {
        let name = builder.name.as_str();
        match rest {
            [] => {
                let busy = Busy::of(conn)?;
                self.builder(conn, builder, &busy)
            }
            ["pendingBuilds"] => self.pending(conn, name),
            ["slaves"] => self.workers(conn, Some(&builder.workers)),
            ["slaves", worker] if builder.workers.iter().any(|known| known == worker) => self.worker(conn, worker),
            ["builds"] => {
                let numbers = builds::numbers(conn, name, MOST_NUMBERS)?;
                Ok(numbers.iter().rev().map(|number| (number.to_string(), Value::Null)).collect::<Map<_, _>>().into())
            }
            ["builds", "_all"] => {
                let selection = Selection {
                    builders: vec![name.to_owned()],
                    with_steps: true,
                    limit: self.most,
                    ..Selection::default()
                };
                let found = builds::select(conn, &selection)?;
                let all = found.iter().rev().map(|build| (build.number.to_string(), self.build(build)));
                Ok(all.collect::<Map<_, _>>().into())
            }
            ["builds", "_all", number, rest @ ..] | ["builds", number, rest @ ..] => {
                let known = number.trim_start_matches('+').parse::<i64>().map_err(|_| self.missing(path))?;
                let found = builds::find(conn, name, known)?.ok_or_else(|| Fault::NotFound {
                    what: format!("builder \"{}\" has no build {known}", short(name)),
                    parent: "json/builders".to_owned(),
                })?;
                self.build_node(&found, rest, path)
            }
            _ => Err(self.missing(path)),
        }
    }

    fn build_node(&self, build: &Build, rest: &[&str], path: &[String]) -> Result<Value, Fault> {
        let missing = || self.missing(path);
        let reference = build.reference();
        let step = |step: &Step| asdict::step(&reference, step, &self.urls, self.now);
        let stamp = build.source_stamps.first();
        match rest {
            [] => Ok(self.build(build)),
            ["steps"] => {
                let steps = build.steps.iter().map(|each| (each.number.to_string(), step(each)));
                Ok(steps.collect::<Map<_, _>>().into())
            }
            ["steps", which] => {
                let named = build.steps.iter().find(|step| step.name == *which);
                let numbered = || {
                    let number: i64 = which.parse().ok()?;
                    let length = i64::try_from(build.steps.len()).ok()?;
                    let index = if number < 0 { number + length } else { number };
                    build.steps.get(usize::try_from(index).ok()?)
                };
                numbered().or(named).map(step).ok_or_else(missing)
            }
            ["source_stamp"] => stamp.map(asdict::source_stamp).ok_or_else(missing),
            ["source_stamp", "changes"] => {
                let changes = stamp.iter().flat_map(|stamp| &stamp.changes);
                let changes = changes.map(|change| (change.number.to_string(), asdict::change(change)));
                Ok(changes.collect::<Map<_, _>>().into())
            }
            ["source_stamp", "changes", number] => {
                let mut changes = stamp.iter().flat_map(|stamp| &stamp.changes);
                changes.find(|change| change.number.to_string() == *number).map(asdict::change).ok_or_else(missing)
            }
            _ => Err(missing()),
        }
    }

    fn project(&self) -> Value {
        asdict::status(&self.config.title, &self.config.title_url, &self.config.buildbot_url)
    }

    fn change_sources(&self) -> Value {
        let shown = |source: &SourceStatus| {
            json!({
                "description": source.description,
                "state": state(source),
                "last_poll": source.last_poll.map(Time::seconds),
                "next_poll": source.next_poll.map(Time::seconds),
                "last_error": source.last_error.as_ref().filter(|_| self.internals),
            })
        };
        let sources = self.sources.iter().enumerate();
        sources.map(|(index, source)| (index.to_string(), shown(source))).collect::<Map<_, _>>().into()
    }

    fn builders(&self, conn: &mut Conn) -> Result<Value, Fault> {
        let busy = Busy::of(conn)?;
        let mut all = Map::new();
        for builder in builders::all(conn)? {
            let value = self.builder(conn, &builder, &busy)?;
            all.insert(builder.name, value);
        }
        Ok(all.into())
    }

    fn builder(&self, conn: &mut Conn, builder: &Builder, busy: &Busy) -> Result<Value, Fault> {
        let mut cached = builds::numbers(conn, &builder.name, CACHED)?;
        cached.sort_unstable();
        let running = busy.running.iter().filter(|build| build.builder == builder.name);
        let mut current: Vec<i64> = running.map(|build| build.number).collect();
        current.sort_unstable();
        let now = BuilderNow {
            cached_builds: cached,
            current_builds: current,
            pending_builds: busy.pending.get(&builder.name).copied().unwrap_or(0),
        };
        Ok(asdict::builder(builder, &now))
    }

    fn build(&self, build: &Build) -> Value {
        asdict::build(build, &self.urls, self.now)
    }

    fn pending(&self, conn: &mut Conn, builder: &str) -> Result<Value, Fault> {
        let mut all = Vec::new();
        for request in requests::pending(conn, Some(builder))? {
            let mut found = Vec::new();
            for &number in &request.builds {
                found.extend(builds::find(conn, builder, number)?);
            }
            all.push(asdict::request(&request, &found, &self.urls, self.now));
        }
        Ok(all.into())
    }

    fn workers(&self, conn: &mut Conn, only: Option<&[String]>) -> Result<Value, Fault> {
        let mut all = Map::new();
        for worker in workers::all(conn)? {
            if only.is_none_or(|only| only.contains(&worker.name)) {
                let value = self.worker_value(conn, &worker)?;
                all.insert(worker.name, value);
            }
        }
        Ok(all.into())
    }

    fn worker(&self, conn: &mut Conn, name: &str) -> Result<Value, Fault> {
        let worker = workers::find(conn, name)?.ok_or_else(|| Fault::no_worker(name))?;
        self.worker_value(conn, &worker)
    }

    fn worker_value(&self, conn: &mut Conn, worker: &Worker) -> Result<Value, Fault> {
        let mut running = builds::running(conn)?;
        running.retain(|build| build.worker == worker.name);
        let mut by_builder: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for builder in builders::all(conn)? {
            if !builder.workers.contains(&worker.name) {
                continue;
            }
            let selection = Selection {
                builders: vec![builder.name.clone()],
                order: Order::Started,
                finished: Some(true),
                limit: self.recent - 1,
                ..Selection::default()
            };
            let found = builds::select(conn, &selection)?;
            let own = found.iter().filter(|build| build.worker == worker.name).map(|build| build.number);
            by_builder.insert(builder.name, own.collect());
        }
        Ok(asdict::worker(worker, &running, Some(&by_builder), &self.urls, self.now))
    }
}

/// What is going on, read once for many builders.
struct Busy {
    running: Vec<Build>,
    pending: BTreeMap<String, usize>,
}

impl Busy {
    fn of(conn: &mut Conn) -> Result<Busy, Fault> {
        Ok(Busy { running: builds::running(conn)?, pending: requests::waiting(conn)? })
    }
}
