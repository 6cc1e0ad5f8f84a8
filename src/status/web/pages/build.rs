//! One build: how it ended and why first, then its steps, its source, and what can be done with it.

use super::super::fault::{Fault, see_other};
use super::super::kept::FINISHED;
use super::super::reader::{Outside, Reader};
use super::super::viewer::Viewer;
use super::bar::percent;
use super::build_line::{self, Revision};
use super::change_view::{ChangeView, PropertyLine, change, properties};
use super::log_end::{self, LogEnd, LogEndView};
use super::progress::{self, Progress};
use super::tab;
use crate::db::builds;
use crate::master::authz::Action;
use crate::master::force;
use crate::model::*;
use crate::render::counted::Counted;
use crate::render::links::{Links, outside, shortrev};
use crate::render::{people, words};
use crate::status::streak::{self, Streak};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use std::time::Duration;

/// The most changes shown whole.
const MOST_CHANGES: usize = 50;

pub async fn page(viewer: Viewer, path: web::Path<(String, String)>) -> Result<HttpResponse, Fault> {
    let (builder, number) = path.into_inner();
    let number = super::build_number(&builder, &number)?;
    let facts = viewer.read(move |reader| load(reader, &builder, number)).await?;
    let forms = Forms {
        stop: viewer.advertises(Action::StopBuild) && facts.build.finished.is_none(),
        rebuild: viewer.advertises(Action::ForceBuild) && facts.build.finished.is_some(),
    };
    let mut frame = viewer.frame(&tab::build(&facts.build), "builders");
    // Only the newest changes once it is over: it gets a next one. Negative numbers count from the newest.
    if number >= 0 && facts.build.finished.is_some() && facts.next.is_some() {
        frame = frame.lasting(FINISHED);
    }
    let (links, now) = (viewer.links().clone(), viewer.now());
    viewer.page_in(frame, "build", move || view(&facts, forms, &links, now)).await
}

/// The steps of a build are on its own page.
pub async fn steps(viewer: Viewer, path: web::Path<(String, String)>) -> Result<HttpResponse, Fault> {
    let (builder, number) = path.into_inner();
    let number = super::build_number(&builder, &number)?;
    Ok(see_other(&format!("{}#steps", viewer.links().build(&builder, number))))
}

struct Facts {
    build: Build,
    /// The failures right before this one.
    before: Option<Streak>,
    previous: Option<i64>,
    next: Option<i64>,
    /// Of the step that failed.
    failure: Option<LogEnd>,
    pages: Outside,
}

fn load(reader: &mut Reader, builder: &str, number: i64) -> Result<Facts, Fault> {
    let build = reader.build(builder, number)?;
    let number = build.number;
    let before = match streak::is_bad(build.results) {
        true => streak::ending_before(reader.conn, builder, Some(number))?,
        false => None,
    };
    let newest = builds::numbers(reader.conn, builder, 1)?.first().copied();
    Ok(Facts {
        before,
        previous: (number > 0).then_some(number - 1),
        next: newest.filter(|&newest| newest > number).map(|_| number + 1),
        failure: match build.steps.iter().find(|step| streak::is_bad(step.results)) {
            Some(step) => log_end::of(reader, step)?,
            None => None,
        },
        pages: reader.outside([&build]),
        build,
    })
}

#[derive(Serialize)]
struct Forms {
    stop: bool,
    rebuild: bool,
}

#[derive(Serialize)]
struct BuildView {
    builder: String,
    builder_href: String,
    number: i64,
    href: String,
    class: &'static str,
    word: &'static str,
    /// `Failed test after`, with how long it took behind it.
    headline: String,
    /// `first failure since #41`
    cause: Vec<Cause>,
    progress: Option<Progress>,
    current_step: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    failure: Option<LogEndView>,
    steps: Vec<StepLine>,
    reason: String,
    worker: String,
    worker_href: String,
    stamps: Vec<StampView>,
    revisions: Vec<Revision>,
    blame: Vec<String>,
    properties: Vec<PropertyLine>,
    forced: Vec<PropertyLine>,
    started: Time,
    finished: Option<Time>,
    elapsed: Counted,
    forms: Forms,
}

/// One part of the line under the headline.
#[derive(Serialize)]
struct Cause {
    text: String,
    href: Option<String>,
}

/// One step in the list; also on the waterfall of `/buildstatus`.
#[derive(Serialize)]
struct StepLine {
    number: i32,
    name: String,
    href: String,
    class: &'static str,
    word: &'static str,
    text: String,
    /// `None` where it waits for something, or has not begun.
    elapsed: Option<Counted>,
    waiting: bool,
    /// Percent of the longest step.
    bar: u8,
    /// Of a running one: the moments, in milliseconds, at which its bar is empty and full.
    moves: Option<Moves>,
    logs: Vec<Link>,
    urls: Vec<Link>,
}

#[derive(Serialize)]
struct Moves {
    from: i64,
    to: i64,
}

#[derive(Serialize)]
struct Link {
    text: String,
    href: String,
}

#[derive(Serialize)]
struct StampView {
    codebase: String,
    project: String,
    project_href: Option<String>,
    repository: String,
    repository_href: Option<String>,
    branch: Option<String>,
    revision: Option<String>,
    revision_href: Option<String>,
    got: Option<String>,
    got_href: Option<String>,
    patch: bool,
    latest: bool,
    changes: Vec<ChangeView>,
    more_changes: usize,
}

fn view(facts: &Facts, forms: Forms, links: &Links, now: Time) -> BuildView {
    let build = &facts.build;
    let href = links.build(&build.builder, build.number);
    BuildView {
        builder: build.builder.clone(),
        builder_href: links.builder(&build.builder),
        number: build.number,
        class: words::class(build.results),
        word: words::word(build.results),
        headline: headline(build),
        cause: cause(facts, links),
        progress: build.finished.is_none().then(|| progress::of(build, now)),
        current_step: build.current_step().map(|step| match step.waiting_for_locks {
            true => format!("{} waits for a lock", step.name),
            false => step.name.clone(),
        }),
        previous: facts.previous.map(|number| links.build(&build.builder, number)),
        next: facts.next.map(|number| links.build(&build.builder, number)),
        failure: facts.failure.as_ref().map(|end| log_end::view(end, build, links)),
        steps: step_lines(build, links, now),
        reason: build.reason.clone(),
        worker: build.worker.clone(),
        worker_href: links.worker(&build.worker),
        stamps: build.source_stamps.iter().map(|stamp| stamp_view(build, stamp, facts, links)).collect(),
        revisions: build_line::revisions(build, &facts.pages),
        blame: build.blamelist().iter().map(|who| people::name(who).to_owned()).collect(),
        properties: properties(&build.properties, |source| source != force::SOURCE),
        forced: properties(&build.properties, |source| source == force::SOURCE),
        started: build.started,
        finished: build.finished,
        elapsed: Counted::taken(build.started, build.finished, now),
        forms,
        href,
    }
}

fn headline(build: &Build) -> String {
    match build.finished {
        None => "Running for".to_owned(),
        Some(_) => format!("{} after", words::sentence(&build.full_text())),
    }
}

fn cause(facts: &Facts, links: &Links) -> Vec<Cause> {
    let build = &facts.build;
    let mut parts = Vec::new();
    if streak::is_bad(build.results) {
        parts.push(match &facts.before {
            None => Cause { text: "first failure in a row".to_owned(), href: None },
            Some(streak) => Cause {
                text: format!("failing since #{}", streak.first.number),
                href: Some(links.build(&build.builder, streak.first.number)),
            },
        });
    }
    let changes = build.changes().count();
    if changes > 0 {
        let blame: Vec<String> = build.blamelist().iter().map(|who| people::name(who).to_owned()).collect();
        let text = format!("{} by {}", words::count(changes, "change"), words::list(&blame));
        parts.push(Cause { text, href: Some("#changes".to_owned()) });
    }
    parts
}

fn step_lines(build: &Build, links: &Links, now: Time) -> Vec<StepLine> {
    let took = |step: &Step| step.started.map_or(Duration::ZERO, |started| step.finished.unwrap_or(now).since(started));
    // A running one has room for what it is expected to take.
    let expected = |step: &Step| match step.expected_seconds.filter(|_| step.is_running()) {
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO),
        None => Duration::ZERO,
    };
    let longest = build.steps.iter().map(|step| took(step).max(expected(step))).max().unwrap_or(Duration::ZERO);
    // A hidden step shows while it runs.
    let shown = build.steps.iter().filter(|step| !step.hidden || step.finished.is_none());
    shown
        .map(|step| {
            let (class, word) = step_state(step);
            let waiting = step.finished.is_none() && step.waiting_for_locks;
            let started = step.started.filter(|_| !waiting);
            StepLine {
                number: step.number + 1,
                name: step.name.clone(),
                href: links.step(&build.builder, build.number, &step.name),
                class,
                word,
                // A text that only repeats the name says nothing.
                text: Some(words::line(&step.text)).filter(|text| *text != step.name).unwrap_or_default(),
                elapsed: started.map(|started| Counted::taken(started, step.finished, now)),
                waiting,
                bar: match step.finished {
                    None => percent(took(step), longest).min(progress::MOST),
                    Some(_) => percent(took(step), longest),
                },
                moves: started.filter(|_| step.finished.is_none()).map(|started| Moves {
                    from: started.0.div_euclid(1_000),
                    to: (started + longest).0.div_euclid(1_000),
                }),
                logs: log_links(build, step, links),
                urls: url_links(step),
            }
        })
        .collect()
}

fn log_links(build: &Build, step: &Step, links: &Links) -> Vec<Link> {
    let link = |log: &Log| Link {
        text: log.name.clone(),
        href: links.log(&build.builder, build.number, &step.name, &log.name),
    };
    step.logs.iter().map(link).collect()
}

/// Links a step gave; what is no address a browser may follow is left out.
fn url_links(step: &Step) -> Vec<Link> {
    let links = step.urls.iter().filter_map(|(name, url)| Some((name, outside(url)?)));
    links.map(|(name, url)| Link { text: name.clone(), href: url.to_owned() }).collect()
}

/// Style class and word of a step.
pub fn step_state(step: &Step) -> (&'static str, &'static str) {
    match (step.started, step.finished) {
        (None, _) => ("not_started", "not started"),
        (Some(_), None) if step.waiting_for_locks => ("waiting", "waiting"),
        _ => (words::class(step.results), words::word(step.results)),
    }
}

fn stamp_view(build: &Build, stamp: &SourceStamp, facts: &Facts, links: &Links) -> StampView {
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let (branch, revision) = (text(&stamp.branch), text(&stamp.revision));
    let got = build.got_revision(&stamp.codebase).map(str::to_owned);
    let page = |revision: &Option<String>| facts.pages.revision(revision.as_deref()?, &stamp.repository);
    StampView {
        codebase: stamp.codebase.clone(),
        project_href: facts.pages.project(&stamp.project),
        project: stamp.project.clone(),
        repository_href: facts.pages.repository(&stamp.repository),
        repository: stamp.repository.clone(),
        latest: branch.is_none() && revision.is_none() && stamp.patch.is_none() && stamp.changes.is_empty(),
        branch,
        revision_href: page(&revision),
        revision: revision.as_deref().map(shortrev),
        got_href: page(&got),
        got: got.as_deref().map(shortrev),
        patch: stamp.patch.is_some(),
        changes: stamp.changes.iter().rev().take(MOST_CHANGES).map(|each| change(each, links, &facts.pages)).collect(),
        more_changes: stamp.changes.len().saturating_sub(MOST_CHANGES),
    }
}
