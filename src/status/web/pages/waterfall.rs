//! The waterfall: time runs upward, one column per builder (`reference/webstatus.md` §3).
//!
//! The facts are read for a window of time and a bounded number of builds; if there are more, the page ends where
//! they were cut and links to the next. So its cost does not grow with history.

mod columns;
mod layout;
mod table;

use super::super::fault::Fault;
use super::super::fields::{Fields, encode};
use super::super::reader::Reader;
use super::super::viewer::{HOLE, Viewer};
use super::builders::{Chip, Filter, activity, last_builds, tags_of};
use super::tab;
use crate::db::builds::{self, Order, Selection};
use crate::db::{builders, changes, requests};
use crate::master::Outlook;
use crate::model::*;
use crate::render::links::Links;
use crate::render::{times, words};
use actix_web::HttpResponse;
use layout::{Window, lay_out};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// The changes column shows this many at most.
const MOST_CHANGES: i64 = 40;
/// No address can ask for more rows than this, whatever the configuration says.
const MOST_ROWS: i64 = 2_000;
/// No page looks at more builds than this.
const MOST_BUILDS: i64 = 1_000;
/// Events other than builds, at most.
const MOST_EVENTS: i64 = 1_000;
/// How far back a page filtered by branch or committer looks unless it is told.
const A_DAY: Duration = Duration::from_secs(86_400);

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let fields = viewer.fields().clone();
    let now = viewer.now();
    let settings = viewer.settings();
    let most = settings.num_events_max.map_or(MOST_ROWS, i64::from).min(MOST_ROWS);
    let wanted = Wanted::of(&fields, i64::from(settings.num_events), most, now)?;
    let (facts, outlook) = {
        let wanted = wanted.clone();
        viewer.read_with_outlook(move |reader| load(reader, &wanted)).await?
    };
    let last = facts.columns.iter().filter_map(|of| of.last.as_deref());
    let title = tab::overview("Waterfall", last, facts.columns.iter().map(|of| of.running.len()).sum());
    let frame = viewer.frame(&title, "waterfall").reloading(&fields);
    let links = viewer.links().clone();
    viewer.page_around(frame, "waterfall", move || view(&facts, &wanted, &outlook, &fields, &links, now)).await
}

/// What the address asks for.
#[derive(Clone, Debug)]
struct Wanted {
    filter: Filter,
    /// For changes: 0.8 filters them by `category=` only, not by `tag=`.
    categories: Vec<String>,
    committers: Vec<String>,
    projects: Vec<String>,
    failures_only: bool,
    events: bool,
    window: Window,
    merge: bool,
}

impl Wanted {
    fn of(fields: &Fields, rows: i64, most: i64, now: Time) -> Result<Wanted, Fault> {
        let filter = Filter::of(fields);
        let committers = fields.all(&["committer"]);
        let seconds = |name: &str| fields.integer(name);
        let latest = seconds("last_time")?.map(Time::from_seconds);
        let until = latest.unwrap_or(now);
        let filtered = !filter.branches.is_empty() || !committers.is_empty();
        let from = match (seconds("show_time")?, seconds("first_time")?) {
            (Some(shown), _) => until - Duration::from_secs(u64::try_from(shown).unwrap_or(0)),
            (None, Some(first)) => Time::from_seconds(first),
            (None, None) if filtered => now - A_DAY,
            (None, None) => Time(0),
        };
        Ok(Wanted {
            filter,
            categories: fields.all(&["category"]),
            committers,
            projects: fields.all(&["project"]),
            failures_only: failures_only(fields),
            events: shows_events(fields),
            window: Window {
                from,
                until,
                now,
                rows: usize::try_from(fields.number_of("num_events", rows.min(most), most)?).unwrap_or(usize::MAX),
            },
            merge: fields.get("nobubble").is_none_or(|value| value == "0"),
        })
    }

    /// A strip of time may reach this far beyond its newest row.
    fn to(&self) -> Time {
        self.window.until + layout::STRIP
    }

    fn branches(&self) -> Vec<Option<String>> {
        super::branches(&self.filter.branches)
    }

    fn takes_build(&self, build: &Build) -> bool {
        let project = || build.properties.get("project").and_then(|project| project.as_str()).unwrap_or("");
        (self.committers.is_empty() || build.changes().any(|change| self.committers.contains(&change.who)))
            && (self.projects.is_empty() || self.projects.iter().any(|wanted| wanted == project()))
    }

    fn takes_change(&self, change: &Change) -> bool {
        let branches = self.branches();
        (branches.is_empty() || branches.contains(&change.branch))
            && (self.committers.is_empty() || self.committers.contains(&change.who))
            && (self.categories.is_empty()
                || change.category.as_ref().is_some_and(|category| self.categories.contains(category)))
    }
}

/// Whether events beside builds show; the manual says that they do unless told otherwise.
pub(super) fn shows_events(fields: &Fields) -> bool {
    fields.get("show_events").is_none_or(is_true)
}

/// Whether only failing builders are wanted.
pub(super) fn failures_only(fields: &Fields) -> bool {
    fields.get("failures_only").is_some_and(is_true)
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

struct Facts {
    columns: Vec<OfBuilder>,
    all_tags: Vec<String>,
    changes: Vec<ShownChange>,
    /// Where the facts were cut: older ones are not all here.
    from: Time,
}

/// A change, and those of the builds in the columns that it went into.
struct ShownChange {
    change: Change,
    builds: Vec<Arc<Build>>,
}

/// What there is to show of one builder.
struct OfBuilder {
    builder: Arc<Builder>,
    last: Option<Arc<Build>>,
    running: Vec<Arc<Build>>,
    pending: usize,
    /// With steps, by number.
    builds: BTreeMap<i64, Arc<Build>>,
    /// Newest first.
    events: Vec<Arc<BuilderEvent>>,
}

fn load(reader: &mut Reader, wanted: &Wanted) -> Result<Facts, Fault> {
    let mut builders = builders::listed(reader.conn)?;
    let all_tags = tags_of(builders.iter().map(|builder| &**builder));
    builders.retain(|builder| wanted.filter.takes(builder));
    let mut columns = columns(reader, builders, wanted)?;
    if wanted.failures_only {
        columns.retain(is_failing);
    }
    let from = fill(reader, &mut columns, wanted)?;
    let mut changes = changes::between(reader.conn, from, wanted.to(), MOST_CHANGES)?;
    changes.retain(|change| wanted.takes_change(change));
    let changes = with_builds(changes, &columns);
    Ok(Facts { columns, all_tags, changes, from })
}

fn with_builds(changes: Vec<Change>, columns: &[OfBuilder]) -> Vec<ShownChange> {
    let mut builds: BTreeMap<i64, Vec<Arc<Build>>> = changes.iter().map(|change| (change.number, Vec::new())).collect();
    for build in columns.iter().flat_map(|column| column.builds.values()) {
        // One change may be in several source stamps.
        let numbers: BTreeSet<i64> = build.changes().map(|change| change.number).collect();
        for number in numbers {
            if let Some(builds) = builds.get_mut(&number) {
                builds.push(Arc::clone(build));
            }
        }
    }
    let shown = |change: Change| ShownChange { builds: builds.remove(&change.number).unwrap_or_default(), change };
    changes.into_iter().map(shown).collect()
}

/// A column for each of these builders, empty below its head.
fn columns(reader: &mut Reader, builders: Vec<Arc<Builder>>, wanted: &Wanted) -> Result<Vec<OfBuilder>, Fault> {
    let mut last = last_builds(reader.conn, &builders, &wanted.branches())?;
    let names: Vec<String> = builders.iter().map(|builder| builder.name.clone()).collect();
    let mut running: BTreeMap<String, Vec<Arc<Build>>> = BTreeMap::new();
    for build in builds::running_of(reader.conn, &names)? {
        running.entry(build.builder.clone()).or_default().push(build);
    }
    let pending = requests::waiting(reader.conn)?;
    let column = |builder: Arc<Builder>| OfBuilder {
        last: last.remove(&builder.name),
        running: running.remove(&builder.name).unwrap_or_default(),
        pending: pending.get(&builder.name).copied().unwrap_or(0),
        builds: BTreeMap::new(),
        events: Vec::new(),
        builder,
    };
    Ok(builders.into_iter().map(column).collect())
}

/// Puts builds and events into the columns; whatever is not older than the answer is there.
fn fill(reader: &mut Reader, columns: &mut [OfBuilder], wanted: &Wanted) -> Result<Time, Fault> {
    let Window { mut from, rows, .. } = wanted.window;
    if columns.is_empty() {
        return Ok(from);
    }
    let names: Vec<String> = columns.iter().map(|column| column.builder.name.clone()).collect();
    let limit = i64::try_from(rows).unwrap_or(MOST_BUILDS).saturating_add(1).min(MOST_BUILDS);
    let selection = Selection {
        builders: names.clone(),
        order: Order::Started,
        from: Some(from),
        to: Some(wanted.to()),
        branches: wanted.branches(),
        with_steps: true,
        limit,
        ..Selection::default()
    };
    let (mut found, cut) = newest(reader, &selection, wanted)?;
    if let Some(oldest) = found.iter().map(|build| build.started).min().filter(|_| cut) {
        from = from.max(oldest);
        // Builds that began before and still ran then have boxes here too.
        let ended = Selection {
            order: Order::Finished,
            finished: Some(true),
            from: Some(from),
            begun_before: Some(from),
            ..selection
        };
        found.extend(builds::select_shared(reader.conn, &ended)?);
    }
    let events = match wanted.events {
        true => builders::events(reader.conn, &names, from, wanted.to(), MOST_EVENTS)?,
        false => Vec::new(),
    };
    let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (&**name, place)).collect();
    for build in found.into_iter().filter(|build| wanted.takes_build(build)) {
        if let Some(&place) = places.get(&*build.builder) {
            columns[place].builds.insert(build.number, build);
        }
    }
    for event in events {
        if let Some(&place) = places.get(&*event.builder) {
            columns[place].events.push(event);
        }
    }
    for column in columns {
        let running = column.running.iter().filter(|build| build.started < wanted.to() && wanted.takes_build(build));
        column.builds.extend(running.map(|build| (build.number, Arc::clone(build))));
    }
    Ok(from)
}

/// The builds that fill the rows wanted, and whether there are older ones.
fn newest(reader: &mut Reader, selection: &Selection, wanted: &Wanted) -> Result<(Vec<Arc<Build>>, bool), Fault> {
    let enough = |found: &[Arc<Build>]| {
        let mut starts = Vec::new();
        for build in found.iter().filter(|build| wanted.takes_build(build)) {
            starts.push(build.started);
            starts.extend(build.steps.iter().filter_map(|step| step.started));
        }
        starts.retain(|start| *start <= wanted.window.until);
        layout::strips(starts) > wanted.window.rows
    };
    Ok(builds::select_until(reader.conn, selection, enough)?)
}

/// Offline, or the last build was not a success, or a running one has a failed step.
fn is_failing(column: &OfBuilder) -> bool {
    column.builder.state == BigState::Offline
        || column.last.as_ref().is_some_and(|build| build.results != Some(Results::Success))
        || column.running.iter().flat_map(|build| &build.steps).any(|step| step.results == Some(Results::Failure))
}

#[derive(Serialize)]
struct WaterfallView {
    /// Where the table goes, which is written by us.
    table: &'static str,
    chips: Vec<Chip>,
    tags: Vec<Tag>,
    /// The address of the page with older rows.
    next: Option<String>,
    stop_reloading: Option<String>,
    empty: bool,
    no_builders: bool,
    /// The form with every argument.
    help: String,
    events_shown: bool,
    events_toggle: String,
    failures_only: bool,
    failures_toggle: String,
}

#[derive(Serialize)]
struct Tag {
    name: String,
    href: String,
}

/// What the template shows, and the table in it.
fn view(
    facts: &Facts,
    wanted: &Wanted,
    outlook: &Outlook,
    fields: &Fields,
    links: &Links,
    now: Time,
) -> (WaterfallView, String) {
    let window = Window { from: facts.from.max(wanted.window.from), ..wanted.window };
    let laid = lay_out(columns::of(facts), &window, wanted.merge);
    let heads: Vec<table::Head> = facts.columns.iter().map(|column| head(column, outlook, links, now)).collect();
    let plain = |query: String| if query.is_empty() { "?".to_owned() } else { query };
    let table = table::html(&heads, &laid, &times::zone(now), links, now);
    let view = WaterfallView {
        table: HOLE,
        chips: wanted.filter.chips(fields),
        tags: match facts.all_tags.len() {
            0 | 1 => Vec::new(),
            _ => facts
                .all_tags
                .iter()
                .map(|tag| Tag { name: tag.clone(), href: encode(std::iter::once(("tag", &**tag))) })
                .collect(),
        },
        next: laid.oldest.map(|oldest| fields.with("last_time", Some(&oldest.whole_seconds().to_string()))),
        stop_reloading: fields
            .get("reload")
            .filter(|pace| !pace.is_empty())
            .map(|_| plain(fields.with("reload", None))),
        empty: laid.rows.is_empty(),
        no_builders: facts.columns.is_empty(),
        help: format!("{}{}", links.page("waterfall/help"), encode(fields.iter())),
        events_shown: wanted.events,
        events_toggle: fields.with("show_events", Some(if wanted.events { "false" } else { "true" })),
        failures_only: wanted.failures_only,
        failures_toggle: match wanted.failures_only {
            true => plain(fields.with("failures_only", None)),
            false => fields.with("failures_only", Some("true")),
        },
    };
    (view, table)
}

fn head(column: &OfBuilder, outlook: &Outlook, links: &Links, now: Time) -> table::Head {
    let OfBuilder { builder, last, running, pending, .. } = column;
    table::Head {
        name: builder.name.clone(),
        href: links.builder(&builder.name),
        last: last.as_ref().map(|build| table::LastBox {
            class: words::class(build.results),
            word: words::word(build.results),
            number: build.number,
            text: words::line(&build.full_text()),
            failed_tests: failed_tests(build),
        }),
        activity: activity(builder, running, *pending, outlook, now),
    }
}

/// As the steps counted them.
fn failed_tests(build: &Build) -> i64 {
    let told = build.steps.iter().filter_map(|step| step.statistics.get("tests-failed"));
    told.filter_map(|number| number.as_i64()).sum()
}
