//! One step of a build, with its logs.

use super::super::fault::Fault;
use super::super::kept::FINISHED;
use super::super::reader::Reader;
use super::super::viewer::Viewer;
use super::build::step_state;
use super::log_end::{self, LogEnd, LogEndView};
use crate::model::*;
use crate::render::asdict::quote;
use crate::render::counted::Counted;
use crate::render::links::{Links, outside};
use crate::render::{times, words};
use crate::status::streak;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use std::time::Duration;

pub async fn page(viewer: Viewer, path: web::Path<(String, String, String)>) -> Result<HttpResponse, Fault> {
    let (builder, number, name) = path.into_inner();
    let number = super::build_number(&builder, &number)?;
    let read = move |reader: &mut Reader| {
        let (build, step) = load(reader, &builder, number, &name)?;
        // One that grows would stand still here.
        let end = if step.finished.is_some() { log_end::of(reader, &step)? } else { None };
        Ok((build, step, end))
    };
    let (build, step, end) = viewer.read(read).await?;
    let mut frame = viewer.frame(&format!("{} {}", build.reference(), step.name), "builders");
    if number >= 0 && build.finished.is_some() {
        frame = frame.lasting(FINISHED);
    }
    let (links, now) = (viewer.links().clone(), viewer.now());
    viewer.page_in(frame, "step", move || view(&build, &step, end.as_ref(), &links, now)).await
}

/// A step by its name; by its number from 0 too, where no step has that name.
pub fn load(reader: &mut Reader, builder: &str, number: i64, name: &str) -> Result<(Build, Step), Fault> {
    let build = reader.build(builder, number)?;
    let named = build.steps.iter().find(|step| step.name == name);
    let numbered = || name.parse::<usize>().ok().and_then(|number| build.steps.get(number));
    match named.or_else(numbered).cloned() {
        Some(step) => Ok((build, step)),
        None => Err(Fault::NotFound {
            what: format!("{} has no step \"{}\"", build.reference(), super::super::fault::short(name)),
            parent: format!("builders/{}/builds/{}", quote(builder), build.number),
        }),
    }
}

#[derive(Serialize)]
struct StepView {
    builder: String,
    builder_href: String,
    number: i64,
    build_href: String,
    name: String,
    class: &'static str,
    word: &'static str,
    text: String,
    started: Option<Time>,
    finished: Option<Time>,
    elapsed: Option<Counted>,
    expected: Option<String>,
    logs: Vec<LogLine>,
    end: Option<LogEndView>,
    failed: bool,
    urls: Vec<Url>,
    statistics: Vec<Statistic>,
}

#[derive(Serialize)]
struct LogLine {
    name: String,
    href: String,
    text_href: Option<String>,
    size: String,
    lines: i64,
    running: bool,
}

#[derive(Serialize)]
struct Url {
    name: String,
    href: Option<String>,
}

#[derive(Serialize)]
struct Statistic {
    name: String,
    value: String,
}

fn view(build: &Build, step: &Step, end: Option<&LogEnd>, links: &Links, now: Time) -> StepView {
    let (class, word) = step_state(step);
    StepView {
        builder: build.builder.clone(),
        builder_href: links.builder(&build.builder),
        number: build.number,
        build_href: links.build(&build.builder, build.number),
        name: step.name.clone(),
        class,
        word,
        text: words::sentence(&step.text),
        started: step.started,
        finished: step.finished,
        elapsed: step.started.map(|started| Counted::taken(started, step.finished, now)),
        expected: step
            .expected_seconds
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0 && *seconds < 1e9)
            .map(|seconds| times::brief(Duration::from_secs_f64(seconds))),
        end: end.map(|end| log_end::view(end, build, links)),
        failed: streak::is_bad(step.results),
        logs: step.logs.iter().map(|log| log_line(build, step, log, links)).collect(),
        urls: step
            .urls
            .iter()
            .map(|(name, url)| Url { name: name.clone(), href: outside(url).map(str::to_owned) })
            .collect(),
        statistics: step
            .statistics
            .iter()
            .map(|(name, value)| Statistic {
                name: name.clone(),
                value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            })
            .collect(),
    }
}

fn log_line(build: &Build, step: &Step, log: &Log, links: &Links) -> LogLine {
    let href = links.log(&build.builder, build.number, &step.name, &log.name);
    LogLine {
        name: log.name.clone(),
        text_href: (log.kind == LogKind::Text).then(|| format!("{href}/text")),
        href,
        size: bytes(log.bytes),
        lines: log.lines,
        running: !log.finished,
    }
}

/// `512 bytes`, `3.4 kB`, `1.2 GB`.
pub fn bytes(bytes: i64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => words::count(usize::try_from(bytes).unwrap_or(0), "byte"),
    }
}
