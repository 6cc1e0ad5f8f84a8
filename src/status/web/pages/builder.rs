//! One builder: how it is, what runs, what waits, what it did, and the forms to make it do more.

use super::super::fault::Fault;
use super::super::fields::Fields;
use super::super::reader::{Outside, Reader};
use super::super::viewer::Viewer;
use super::bar::percent;
use super::build_line::{self, BuildLine};
use super::builders::{Activity, activity};
use super::change_view::{ChangeView, change};
use super::force_form::{self, ForceForm};
use super::progress::{self, Progress};
use super::tab;
use crate::db::builds::{self, Selection};
use crate::db::{requests, workers};
use crate::master::Outlook;
use crate::master::authz::{Action, Who};
use crate::model::*;
use crate::render::counted::Counted;
use crate::render::links::Links;
use crate::render::{people, times, words};
use crate::status::streak::{self, Streak};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Bars in the strip of results.
const STRIP: i64 = 50;
/// The width of each where there is room, in pixels.
const STRIP_BAR: usize = 20;
/// The most lines an address can ask for.
const MOST_BUILDS: i64 = 200;
/// Builds looked at for those with certain properties.
const MOST_SEARCHED: i64 = 200;
/// The most requests listed.
const MOST_PENDING: usize = 50;

pub async fn page(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let name = path.into_inner();
    let fields = viewer.fields().clone();
    let wanted = Wanted {
        number: fields.number_of("numbuilds", i64::from(viewer.settings().numbuilds), MOST_BUILDS)?,
        before: fields.integer("before")?,
        properties: wanted_properties(&fields),
    };
    let (facts, outlook) = {
        let (name, wanted) = (name.clone(), wanted.clone());
        viewer.read_with_outlook(move |reader| load(reader, &name, &wanted)).await?
    };
    let (config, links) = (viewer.config(), viewer.links());
    let known = *viewer.who() != Who::Anonymous;
    let href = links.builder(&name);
    let workers = &facts.builder.workers;
    let force = viewer.advertises(Action::ForceBuild);
    let forms = Forms {
        force: match force {
            true => force_form::of_builder(&config, &name, workers, &fields, known, &format!("{href}/force")),
            false => Vec::new(),
        },
        cancel: viewer.advertises(Action::CancelPendingBuild),
        stop: viewer.advertises(Action::StopBuild),
        ping: viewer.advertises(Action::PingBuilder),
    };
    let title = tab::builder(&name, facts.last.as_deref(), !facts.running.is_empty());
    let frame = viewer.frame(&title, "builders").reloading(&fields);
    let (links, now) = (links.clone(), viewer.now());
    viewer.page_in(frame, "builder", move || view(&facts, &wanted, &outlook, forms, &links, &fields, now)).await
}

#[derive(Clone, Debug)]
struct Wanted {
    number: i64,
    before: Option<i64>,
    /// Name and value, all of which must match.
    properties: Vec<(String, String)>,
}

/// `property.NAME=VALUE`
fn wanted_properties(fields: &Fields) -> Vec<(String, String)> {
    let named = fields.iter().filter_map(|(name, value)| Some((name.strip_prefix("property.")?, value)));
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn has(properties: &Properties, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(name, value)| {
        properties.get(name).is_some_and(|found| match found.as_str() {
            Some(text) => text == value,
            None => found.to_string().as_str() == value,
        })
    })
}

struct Facts {
    builder: Builder,
    /// Newest first, without steps; running ones are elsewhere.
    strip: Vec<Build>,
    /// With steps, for their texts.
    recent: Vec<Build>,
    more: bool,
    running: Vec<Arc<Build>>,
    pending: Vec<BuildRequest>,
    workers: Vec<Worker>,
    last: Option<Arc<Build>>,
    streak: Option<Streak>,
    pages: Outside,
}

fn load(reader: &mut Reader, name: &str, wanted: &Wanted) -> Result<Facts, Fault> {
    let builder = reader.builder(name)?;
    let finished = Selection { builders: vec![name.to_owned()], finished: Some(true), ..Selection::default() };
    let strip = builds::select(reader.conn, &Selection { limit: STRIP, ..finished.clone() })?;
    let searching = !wanted.properties.is_empty();
    let selection = Selection {
        before_number: wanted.before,
        with_steps: true,
        limit: if searching { MOST_SEARCHED } else { wanted.number + 1 },
        ..finished
    };
    let mut recent = builds::select(reader.conn, &selection)?;
    recent.retain(|build| has(&build.properties, &wanted.properties));
    let number = usize::try_from(wanted.number).unwrap_or(usize::MAX);
    let more = recent.len() > number;
    recent.truncate(number);
    let only = [name.to_owned()];
    let mut running = builds::running_of(reader.conn, &only)?;
    running.retain(|build| has(&build.properties, &wanted.properties));
    let mut pending = requests::pending(reader.conn, Some(name))?;
    pending.retain(|request| has(&request.properties, &wanted.properties));
    let mut found = Vec::new();
    for worker in &builder.workers {
        found.extend(workers::find(reader.conn, worker)?);
    }
    let mut pages = reader.outside(recent.iter().chain(running.iter().map(|build| &**build)));
    let streak = streak::ending_before(reader.conn, name, None)?;
    if let Some(streak) = &streak {
        pages.extend(reader.outside(std::iter::once(&streak.first)));
    }
    let last = builds::last_finished(reader.conn, &only)?.pop();
    Ok(Facts { builder, last, strip, recent, more, running, pending, workers: found, streak, pages })
}

#[derive(Serialize)]
struct Forms {
    force: Vec<ForceForm>,
    cancel: bool,
    stop: bool,
    ping: bool,
}

#[derive(Serialize)]
struct BuilderView {
    name: String,
    href: String,
    waterfall: String,
    description: Option<String>,
    tags: Vec<String>,
    activity: Activity,
    last: Option<Last>,
    failing: Option<FailingSince>,
    strip: Vec<StripBar>,
    /// Bars it has room for, and its width in pixels.
    strip_room: usize,
    strip_width: usize,
    current: Vec<Current>,
    pending: Vec<Pending>,
    more_pending: usize,
    builds: Vec<BuildLine>,
    /// The address of the page with older builds.
    older: Option<String>,
    newest: Option<String>,
    filters: Vec<String>,
    workers: Vec<WorkerLine>,
    forms: Forms,
}

/// How the newest finished build ended.
#[derive(Serialize)]
struct Last {
    class: &'static str,
    text: String,
    number: i64,
    href: String,
    ago: Counted,
}

#[derive(Serialize)]
struct FailingSince {
    number: i64,
    href: String,
    since: Time,
    length: String,
    good: Option<i64>,
    good_href: Option<String>,
    changes: Vec<ChangeView>,
}

#[derive(Serialize)]
struct StripBar {
    href: String,
    class: &'static str,
    title: String,
    x: usize,
    y: u8,
    height: u8,
}

#[derive(Serialize)]
struct Current {
    line: BuildLine,
    progress: Progress,
    step: String,
    stop: String,
}

#[derive(Serialize)]
struct Pending {
    id: i64,
    since: Time,
    age: Counted,
    why: String,
    reason: String,
    owner: Option<String>,
    changes: Vec<ChangeView>,
    more_changes: usize,
}

#[derive(Serialize)]
struct WorkerLine {
    name: String,
    href: String,
    class: &'static str,
    state: &'static str,
    admin: String,
}

fn view(
    facts: &Facts,
    wanted: &Wanted,
    outlook: &Outlook,
    forms: Forms,
    links: &Links,
    fields: &Fields,
    now: Time,
) -> BuilderView {
    let builder = &facts.builder;
    let oldest = facts.recent.last().filter(|_| facts.more && wanted.properties.is_empty());
    BuilderView {
        name: builder.name.clone(),
        href: links.builder(&builder.name),
        waterfall: links.page("waterfall") + &super::super::fields::encode(std::iter::once(("show", &*builder.name))),
        description: builder.description.clone(),
        tags: builder.tags.clone(),
        activity: activity(builder, &facts.running, facts.pending.len(), outlook, now),
        last: facts.last.as_ref().map(|build| last(build, links, now)),
        failing: facts.streak.as_ref().map(|streak| failing(streak, facts, links)),
        strip: strip(&facts.strip, links),
        strip_room: facts.strip.len(),
        strip_width: facts.strip.len() * STRIP_BAR,
        current: facts.running.iter().map(|build| current(build, facts, links, now)).collect(),
        pending: facts
            .pending
            .iter()
            .take(MOST_PENDING)
            .map(|request| pending(request, outlook, facts, links, now))
            .collect(),
        more_pending: facts.pending.len().saturating_sub(MOST_PENDING),
        builds: facts.recent.iter().map(|build| build_line::line(build, links, &facts.pages, now)).collect(),
        older: oldest.map(|build| fields.with("before", Some(&build.number.to_string()))),
        newest: wanted.before.map(|_| match fields.with("before", None) {
            query if query.is_empty() => "?".to_owned(),
            query => query,
        }),
        filters: wanted.properties.iter().map(|(name, value)| format!("{name} = {value}")).collect(),
        workers: builder.workers.iter().map(|name| worker(name, &facts.workers, links)).collect(),
        forms,
    }
}

fn failing(streak: &Streak, facts: &Facts, links: &Links) -> FailingSince {
    let first = &streak.first;
    FailingSince {
        number: first.number,
        href: links.build(&first.builder, first.number),
        since: first.finished.unwrap_or(first.started),
        length: words::count(streak.length, "build") + if streak.longer { " or more" } else { "" },
        good: streak.good,
        good_href: streak.good.map(|good| links.build(&first.builder, good)),
        changes: first.changes().take(5).map(|suspect| change(suspect, links, &facts.pages)).collect(),
    }
}

fn last(build: &Build, links: &Links, now: Time) -> Last {
    Last {
        class: words::class(build.results),
        text: words::sentence(&build.full_text()),
        number: build.number,
        href: links.build(&build.builder, build.number),
        ago: Counted::ago(build.finished.unwrap_or(build.started), now),
    }
}

/// Oldest on the left; the longest is as high as the strip.
fn strip(builds: &[Build], links: &Links) -> Vec<StripBar> {
    let took = |build: &Build| build.finished.unwrap_or(build.started).since(build.started);
    let longest = builds.iter().map(took).max().unwrap_or(Duration::ZERO);
    let bar = |(index, build): (usize, &Build)| {
        // A bar that cannot be seen or clicked says nothing.
        let height = percent(took(build), longest).max(12);
        StripBar {
            href: links.build(&build.builder, build.number),
            class: words::class(build.results),
            title: format!("#{} {}, {}", build.number, words::word(build.results), times::brief(took(build))),
            x: builds.len() - index - 1,
            y: 100 - height,
            height,
        }
    };
    builds.iter().enumerate().map(bar).rev().collect()
}

fn current(build: &Build, facts: &Facts, links: &Links, now: Time) -> Current {
    let step = match build.current_step() {
        Some(step) if step.waiting_for_locks => format!("{} [waiting for a lock]", step.name),
        Some(step) => step.name.clone(),
        None => String::new(),
    };
    Current {
        line: build_line::line(build, links, &facts.pages, now),
        progress: progress::of(build, now),
        step,
        stop: format!("{}/stop", links.build(&build.builder, build.number)),
    }
}

fn pending(request: &BuildRequest, outlook: &Outlook, facts: &Facts, links: &Links, now: Time) -> Pending {
    let changes: Vec<&Change> = request.source_stamps.iter().flat_map(|stamp| &stamp.changes).collect();
    Pending {
        id: request.id,
        since: request.submitted_at,
        age: Counted::taken(request.submitted_at, None, now),
        why: outlook.waiting.get(&request.id).cloned().unwrap_or_else(|| "for its turn".to_owned()),
        reason: request.reason.clone(),
        owner: request.properties.get("owner").and_then(|owner| owner.as_str()).map(|o| people::name(o).to_owned()),
        changes: changes.iter().take(3).map(|each| change(each, links, &facts.pages)).collect(),
        more_changes: changes.len().saturating_sub(3),
    }
}

fn worker(name: &str, known: &[Worker], links: &Links) -> WorkerLine {
    let worker = known.iter().find(|worker| worker.name == name);
    let (class, state) = match worker {
        Some(worker) if worker.connected && worker.paused => ("paused", "paused"),
        Some(worker) if worker.connected => ("idle", "connected"),
        _ => ("offline", "offline"),
    };
    WorkerLine {
        name: name.to_owned(),
        href: links.worker(name),
        class,
        state,
        admin: worker.and_then(|worker| worker.admin.as_deref()).map(people::name).unwrap_or("-").to_owned(),
    }
}
