//! The front page: what is red, what builds, what waits, how every builder is, and who needs help.

use super::super::fault::Fault;
use super::super::log_errors::{ErrorLine, LineView, LogErrors};
use super::super::reader::{Outside, Reader};
use super::super::viewer::Visitor;
use super::builders::last_builds;
use super::change_view::{ChangeView, change};
use super::log::Place;
use super::log_end;
use super::progress::{self, Progress};
use super::tab;
use crate::db::{builders, builds, requests, workers};
use crate::master::Outlook;
use crate::master::authz::{Action, Who};
use crate::model::*;
use crate::render::counted::Counted;
use crate::render::links::Links;
use crate::render::people;
use crate::render::words;
use crate::status::streak::{self, Streak};
use crate::supervise::Report;
use actix_web::HttpResponse;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most red builders told of at length; the squares show them all.
const MOST_RED: usize = 20;
/// The most changes suspected by name.
const MOST_SUSPECTS: usize = 5;
/// The most requests listed.
const MOST_WAITING: usize = 50;

pub async fn page(visitor: Visitor) -> Result<HttpResponse, Fault> {
    let (known, can_log_in) = (visitor.who != Who::Anonymous, visitor.can_log_in());
    let viewer = match visitor.viewer().await {
        Ok(viewer) => viewer,
        // The one page everybody gets: it tells them to log in, or that logging in does not help.
        Err(Fault::NoView) if can_log_in && !known => return Err(Fault::LogIn),
        Err(fault) => return Err(fault),
    };
    let (facts, outlook) = viewer.read_with_outlook(load).await?;
    let forms = Forms { may_shut_down: viewer.advertises(Action::CleanShutdown), shutting_down: outlook.shutting_down };
    let context = Context {
        links: viewer.links().clone(),
        now: viewer.now(),
        outlook,
        reports: viewer.reports(),
        trouble: viewer.database_trouble(),
        templates: viewer.template_problems(),
        forms,
    };
    let title = tab::overview("Home", facts.last.values().map(|last| &**last), facts.running.len());
    viewer.page("root", &title, "", move || view(&facts, context)).await
}

struct Facts {
    builders: Vec<Arc<Builder>>,
    /// By builder: its newest finished build.
    last: BTreeMap<String, Arc<Build>>,
    red: Vec<Red>,
    running: Vec<Build>,
    pending: Vec<BuildRequest>,
    workers: Vec<Worker>,
    pages: Outside,
}

struct Red {
    streak: Streak,
    /// The newest build of the streak, with its steps.
    newest: Arc<Build>,
    /// Where the errors of its failed step begin, if that is known.
    error: Option<ErrorLine>,
}

impl Red {
    fn of(reader: &mut Reader, streak: Streak, newest: Arc<Build>) -> Result<Red, Fault> {
        let log = failed_step(&newest).and_then(log_end::telling);
        let errors = log.map(|log| reader.errors_if_short(log)).transpose()?.flatten();
        let error = errors.as_deref().and_then(LogErrors::first).cloned();
        Ok(Red { streak, newest, error })
    }
}

fn failed_step(build: &Build) -> Option<&Step> {
    build.steps.iter().find(|step| streak::is_bad(step.results))
}

fn load(reader: &mut Reader) -> Result<Facts, Fault> {
    let builders = builders::listed(reader.conn)?;
    let last = last_builds(reader.conn, &builders, &[])?;
    let mut red = Vec::new();
    for newest in last.values().filter(|build| streak::is_bad(build.results)).take(MOST_RED) {
        if let Some(streak) = streak::ending_before(reader.conn, &newest.builder, None)? {
            red.push(Red::of(reader, streak, Arc::clone(newest))?);
        }
    }
    red.sort_by_key(|red| std::cmp::Reverse(red.streak.first.finished));
    let pages = reader.outside(red.iter().map(|red| &red.streak.first));
    Ok(Facts {
        last,
        red,
        running: builds::running(reader.conn)?,
        pending: requests::pending(reader.conn, None)?,
        workers: workers::all(reader.conn)?,
        builders,
        pages,
    })
}

struct Context {
    links: Links,
    now: Time,
    outlook: Outlook,
    reports: Vec<Report>,
    trouble: Option<String>,
    templates: Vec<String>,
    forms: Forms,
}

#[derive(Serialize)]
struct Forms {
    may_shut_down: bool,
    shutting_down: bool,
}

#[derive(Serialize)]
struct RootView {
    /// How many builders are red; not all need be told of at length.
    reds: usize,
    red: Vec<RedLine>,
    running: usize,
    building: Vec<BuildingLine>,
    waiting: Vec<WaitingLine>,
    more_waiting: usize,
    requests: usize,
    groups: Vec<TagGroup>,
    attention: Vec<Attention>,
    /// Nothing is red, nothing builds, nothing waits and nothing has ever been built.
    untouched: bool,
    all_green: bool,
    forms: Forms,
}

#[derive(Serialize)]
struct RedLine {
    class: &'static str,
    word: &'static str,
    builder: String,
    href: String,
    first: i64,
    first_href: String,
    newest: i64,
    newest_href: String,
    several: bool,
    since: Time,
    age: Counted,
    text: String,
    /// `3 builds`, `50 builds or more`.
    length: String,
    suspects: Vec<ChangeView>,
    more_suspects: usize,
    people: String,
    /// The step that failed, and the end of its log.
    step: Option<String>,
    log_href: Option<String>,
    error: Option<LineView>,
}

#[derive(Serialize)]
struct BuildingLine {
    builder: String,
    href: String,
    number: i64,
    build_href: String,
    progress: Progress,
    step: String,
    worker: String,
    worker_href: String,
    started: Time,
    /// A step of it has failed already.
    failing: bool,
}

#[derive(Serialize)]
struct WaitingLine {
    builder: String,
    href: String,
    since: Time,
    age: Counted,
    reason: String,
    why: String,
}

#[derive(Serialize)]
struct TagGroup {
    tag: String,
    href: String,
    squares: Vec<Square>,
}

#[derive(Serialize)]
struct Square {
    name: String,
    href: String,
    class: &'static str,
    /// A build of it is running.
    at_work: bool,
    word: String,
}

#[derive(Default, Serialize)]
struct Attention {
    name: String,
    href: String,
    class: &'static str,
    state: String,
    words: String,
    since: Option<Time>,
    heard: Option<Counted>,
}

fn view(facts: &Facts, context: Context) -> RootView {
    let Context { links, now, outlook, .. } = &context;
    let waiting: Vec<WaitingLine> =
        facts.pending.iter().take(MOST_WAITING).map(|request| waiting(request, outlook, links, *now)).collect();
    RootView {
        reds: facts.last.values().filter(|build| streak::is_bad(build.results)).count(),
        running: facts.running.len(),
        requests: facts.pending.len(),
        red: facts.red.iter().map(|red| red_line(red, facts, &context)).collect(),
        building: facts.running.iter().map(|build| building(build, links, *now)).collect(),
        more_waiting: facts.pending.len().saturating_sub(waiting.len()),
        waiting,
        groups: groups(facts, links),
        attention: attention(facts, &context),
        untouched: facts.last.is_empty() && facts.running.is_empty() && facts.pending.is_empty(),
        all_green: !facts.last.is_empty(),
        forms: context.forms,
    }
}

fn red_line(red: &Red, facts: &Facts, context: &Context) -> RedLine {
    let Context { links, now, .. } = context;
    let (first, newest) = (&red.streak.first, &red.newest);
    let changes: Vec<&Change> = first.changes().collect();
    let suspects = changes.iter().rev().take(MOST_SUSPECTS);
    let failed = failed_step(newest);
    let log = failed.and_then(|step| log_end::telling(step).or(step.logs.first()));
    let log =
        failed.zip(log).map(|(step, log)| (links.log(&newest.builder, newest.number, &step.name, &log.name), log));
    let blame: Vec<String> = first.blamelist().iter().map(|who| people::name(who).to_owned()).collect();
    RedLine {
        class: words::class(newest.results),
        word: words::word(newest.results),
        builder: newest.builder.clone(),
        href: links.builder(&newest.builder),
        first: first.number,
        first_href: links.build(&first.builder, first.number),
        newest: newest.number,
        newest_href: links.build(&newest.builder, newest.number),
        several: first.number != newest.number,
        since: first.finished.unwrap_or(first.started),
        age: Counted::ago(first.finished.unwrap_or(first.started), *now),
        text: words::sentence(&newest.full_text()),
        length: words::count(red.streak.length, "build") + if red.streak.longer { " or more" } else { "" },
        suspects: suspects.map(|suspect| change(suspect, links, &facts.pages)).collect(),
        more_suspects: changes.len().saturating_sub(MOST_SUSPECTS),
        people: words::list(&blame),
        step: failed.map(|step| step.name.clone()),
        error: red.error.as_ref().zip(log.as_ref()).map(|(error, (href, log))| {
            let place = Place::of(href.clone(), log);
            error.view(|line| place.line(line))
        }),
        log_href: log.map(|(href, log)| format!("{href}#L{}", log.lines.max(1))),
    }
}

fn building(build: &Build, links: &Links, now: Time) -> BuildingLine {
    BuildingLine {
        builder: build.builder.clone(),
        href: links.builder(&build.builder),
        number: build.number,
        build_href: links.build(&build.builder, build.number),
        progress: progress::of(build, now),
        step: match build.current_step() {
            Some(step) if step.waiting_for_locks => format!("{} waits for a lock", step.name),
            Some(step) => step.name.clone(),
            None => "between steps".to_owned(),
        },
        worker: build.worker.clone(),
        worker_href: links.worker(&build.worker),
        started: build.started,
        failing: build.steps.iter().any(|step| streak::is_bad(step.results)),
    }
}

fn waiting(request: &BuildRequest, outlook: &Outlook, links: &Links, now: Time) -> WaitingLine {
    let why = outlook.waiting.get(&request.id).map_or("for its turn", String::as_str);
    WaitingLine {
        builder: request.builder.clone(),
        href: links.builder(&request.builder),
        since: request.submitted_at,
        age: Counted::taken(request.submitted_at, None, now),
        reason: request.reason.clone(),
        why: why.to_owned(),
    }
}

/// Builders by tag, one with several tags under each; those without any come last.
fn groups(facts: &Facts, links: &Links) -> Vec<TagGroup> {
    let mut by_tag: BTreeMap<(bool, &str), Vec<&Builder>> = BTreeMap::new();
    for builder in &facts.builders {
        for tag in &builder.tags {
            by_tag.entry((false, tag)).or_default().push(builder);
        }
        if builder.tags.is_empty() {
            by_tag.entry((true, "")).or_default().push(builder);
        }
    }
    by_tag
        .into_iter()
        .map(|((untagged, tag), mut builders)| {
            builders.sort_by(|a, b| natural(&a.name, &b.name));
            let query = super::super::fields::encode(std::iter::once(("tag", tag)));
            TagGroup {
                tag: if untagged { "no tag".to_owned() } else { tag.to_owned() },
                href: links.page("builders") + if untagged { "" } else { &query },
                squares: builders.into_iter().map(|builder| square(builder, facts, links)).collect(),
            }
        })
        .collect()
}

fn square(builder: &Builder, facts: &Facts, links: &Links) -> Square {
    let last = facts.last.get(&builder.name);
    let class = match (builder.state, last) {
        (BigState::Offline, _) => "offline",
        (_, Some(build)) => words::class(build.results),
        (_, None) => "notstarted",
    };
    let mut word = match last {
        Some(build) => words::sentence(&build.full_text()),
        None => "never built".to_owned(),
    };
    match builder.state {
        BigState::Idle => {}
        state => word.push_str(&format!(", {}", state.word())),
    }
    let at_work = builder.state == BigState::Building;
    Square { name: builder.name.clone(), href: links.builder(&builder.name), class, at_work, word }
}

fn attention(facts: &Facts, context: &Context) -> Vec<Attention> {
    let links = &context.links;
    let mut lines = Vec::new();
    if let Some(trouble) = &context.trouble {
        lines.push(Attention {
            name: "Database".to_owned(),
            href: links.page("about"),
            class: "failure",
            state: "cannot write".to_owned(),
            words: trouble.clone(),
            ..Attention::default()
        });
    }
    for report in context.reports.iter().filter(|report| matches!(report.state, "parked" | "restarting")) {
        lines.push(Attention {
            name: report.path.clone(),
            href: links.page("about/supervision"),
            class: if report.state == "parked" { "failure" } else { "warnings" },
            state: report.state.to_owned(),
            since: Some(report.since),
            ..Attention::default()
        });
    }
    for report in context.reports.iter().filter(|report| report.state == "not started") {
        lines.push(Attention {
            name: report.path.clone(),
            href: links.page("about/supervision"),
            class: "notstarted",
            state: report.state.to_owned(),
            words: "configured, but this version cannot start it yet".to_owned(),
            ..Attention::default()
        });
    }
    for problem in &context.templates {
        lines.push(Attention {
            name: "Template".to_owned(),
            href: links.page("about"),
            class: "warnings",
            state: "broken".to_owned(),
            words: problem.clone(),
            ..Attention::default()
        });
    }
    for worker in facts.workers.iter().filter(|worker| !worker.connected || worker.paused) {
        lines.push(Attention {
            name: format!("Worker {}", worker.name),
            href: links.worker(&worker.name),
            class: if worker.connected { "paused" } else { "offline" },
            state: if worker.connected { "paused" } else { "offline" }.to_owned(),
            words: if worker.last_heard.is_none() { "never connected" } else { "last heard from" }.to_owned(),
            heard: worker.last_heard.map(|heard| Counted::ago(heard, context.now)),
            since: None,
        });
    }
    lines
}
