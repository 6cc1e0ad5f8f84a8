//! All builders with their last build and what they do now.

use super::super::fault::{Fault, see_other};
use super::super::fields::Fields;
use super::super::reader::Reader;
use super::super::viewer::Viewer;
use super::force_form::{self, ForceForm};
use super::tab;
use crate::db::builds::{self, Order, Selection};
use crate::db::{Conn, DbError, builders, requests};
use crate::master::Outlook;
use crate::master::authz::{Action, Who};
use crate::model::*;
use crate::render::counted::Counted;
use crate::render::links::Links;
use crate::render::words;
use actix_web::HttpResponse;
use serde::Serialize;
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many upcoming times are named.
const MOST_UPCOMING: usize = 2;

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let filter = Filter::of(viewer.fields());
    let (facts, outlook) = {
        let filter = filter.clone();
        viewer.read_with_outlook(move |reader| load(reader, &filter)).await?
    };
    let (config, links) = (viewer.config(), viewer.links());
    let known = *viewer.who() != Who::Anonymous;
    let force = viewer.advertises(Action::ForceAllBuilds);
    let forms = Forms {
        stop: viewer.advertises(Action::StopAllBuilds),
        cancel: viewer.advertises(Action::CancelAllPendingBuilds),
        force: if force { force_form::of_all(&config, viewer.fields(), known, links.root()) } else { Vec::new() },
    };
    let running = facts.running.iter().filter(|build| facts.builders.iter().any(|one| one.name == build.builder));
    let title = tab::overview("Builders", facts.last.values().map(|last| &**last), running.count());
    let frame = viewer.frame(&title, "builders").reloading(viewer.fields());
    let (fields, links, now) = (viewer.fields().clone(), links.clone(), viewer.now());
    viewer.page_in(frame, "builders", move || view(&facts, &outlook, &filter, &fields, forms, &links, now)).await
}

/// 0.8's older name of the page.
pub async fn one_box(viewer: Viewer) -> Result<HttpResponse, Fault> {
    Ok(see_other(&viewer.links().page("builders")))
}

/// `tag=` (older: `category=`), `builder=` (older: `show=`) and `branch=`, as several pages take them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub tags: Vec<String>,
    pub builders: Vec<String>,
    pub branches: Vec<String>,
}

impl Filter {
    pub fn of(fields: &Fields) -> Filter {
        let tags = fields.all(&["tag"]);
        Filter {
            tags: if tags.is_empty() { fields.all(&["category"]) } else { tags },
            builders: fields.all(&["builder", "show"]),
            branches: fields.all(&["branch"]),
        }
    }

    /// Whether a builder passes; unknown names filter nothing in.
    pub fn takes(&self, builder: &Builder) -> bool {
        (self.builders.is_empty() || self.builders.contains(&builder.name))
            && (self.tags.is_empty() || builder.tags.iter().any(|tag| self.tags.contains(tag)))
    }

    /// One chip for each, with the address of the page without it.
    pub fn chips(&self, fields: &Fields) -> Vec<Chip> {
        fields
            .iter()
            .filter(|(name, value)| {
                matches!(*name, "tag" | "category" | "builder" | "show" | "branch" | "committer" | "project")
                    && !value.is_empty()
            })
            .map(|(name, value)| Chip {
                text: format!("{name} {value}"),
                without: match fields.without(name, value) {
                    // A link needs something to lead to.
                    query if query.is_empty() => "?".to_owned(),
                    query => query,
                },
            })
            .collect()
    }
}

/// A filter in force, and how to take it off.
#[derive(Clone, Debug, Serialize)]
pub struct Chip {
    text: String,
    without: String,
}

struct Facts {
    builders: Vec<Arc<Builder>>,
    all_tags: Vec<String>,
    last: BTreeMap<String, Arc<Build>>,
    running: Vec<Build>,
    pending: BTreeMap<String, usize>,
}

fn load(reader: &mut Reader, filter: &Filter) -> Result<Facts, Fault> {
    let mut builders = builders::listed(reader.conn)?;
    let all_tags = tags_of(builders.iter().map(|builder| &**builder));
    builders.retain(|builder| filter.takes(builder));
    let last = last_builds(reader.conn, &builders, &super::branches(&filter.branches))?;
    let pending = requests::waiting(reader.conn)?;
    Ok(Facts { builders, all_tags, last, running: builds::running(reader.conn)?, pending })
}

/// The newest finished build of each builder, on any of these branches, with its steps: their texts are part of its own.
pub fn last_builds(
    conn: &mut Conn,
    builders: &[Arc<Builder>],
    branches: &[Option<String>],
) -> Result<BTreeMap<String, Arc<Build>>, DbError> {
    let mut last = BTreeMap::new();
    if branches.is_empty() && !builders.is_empty() {
        let names: Vec<String> = builders.iter().map(|builder| builder.name.clone()).collect();
        last.extend(builds::last_finished(conn, &names)?.into_iter().map(|build| (build.builder.clone(), build)));
        return Ok(last);
    }
    for builder in builders {
        let selection = Selection {
            builders: vec![builder.name.clone()],
            order: Order::Finished,
            finished: Some(true),
            branches: branches.to_vec(),
            with_steps: true,
            limit: 1,
            ..Selection::default()
        };
        last.extend(builds::select_shared(conn, &selection)?.into_iter().map(|build| (build.builder.clone(), build)));
    }
    Ok(last)
}

/// Every tag in use, sorted.
pub fn tags_of<'b>(builders: impl IntoIterator<Item = &'b Builder>) -> Vec<String> {
    let tags: BTreeSet<&String> = builders.into_iter().flat_map(|builder| &builder.tags).collect();
    tags.into_iter().cloned().collect()
}

#[derive(Serialize)]
struct Forms {
    stop: bool,
    cancel: bool,
    force: Vec<ForceForm>,
}

#[derive(Serialize)]
struct BuildersView {
    rows: Vec<Row>,
    chips: Vec<Chip>,
    tags: Vec<String>,
    forms: Forms,
    /// Checkboxes are of use.
    selectable: bool,
    any_running: bool,
    any_pending: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    href: String,
    description: String,
    tags: Vec<String>,
    last: Option<LastBuild>,
    activity: Activity,
}

/// The newest finished build of a builder, as a box.
#[derive(Clone, Debug, Serialize)]
pub struct LastBuild {
    class: &'static str,
    word: &'static str,
    label: String,
    href: String,
    text: String,
    finished: Option<Time>,
    age: Counted,
}

pub fn last_build(build: &Build, links: &Links, now: Time) -> LastBuild {
    let finished = build.finished.unwrap_or(build.started);
    let revision = build.got_revision("").filter(|revision| revision.len() <= 20 && !revision.is_empty());
    let single = build.source_stamps.len() == 1;
    LastBuild {
        class: words::class(build.results),
        word: words::word(build.results),
        label: revision.filter(|_| single).map_or_else(|| format!("#{}", build.number), str::to_owned),
        href: links.build(&build.builder, build.number),
        text: words::line(&build.full_text()),
        finished: build.finished,
        age: Counted::ago(finished, now),
    }
}

/// What a builder does now.
#[derive(Clone, Debug, Serialize)]
pub struct Activity {
    pub class: String,
    pub state: &'static str,
    /// When its running builds are expected to end.
    pub ends: Vec<Foreseen>,
    pub pending: usize,
    /// When schedulers come to it next.
    pub next: Vec<Foreseen>,
}

/// A time to come, and how far off it is.
#[derive(Clone, Debug, Serialize)]
pub struct Foreseen {
    pub at: Time,
    pub away: Counted,
}

/// State, time left of running builds, what waits, and when a scheduler comes next.
pub fn activity<B: Borrow<Build>>(
    builder: &Builder,
    running: &[B],
    pending: usize,
    outlook: &Outlook,
    now: Time,
) -> Activity {
    let upcoming = outlook.upcoming.get(&builder.name).map(Vec::as_slice).unwrap_or_default();
    let state = words::activity(builder.state, !upcoming.is_empty());
    let ends = running.iter().filter(|_| builder.state == BigState::Building).filter_map(|build| build.borrow().eta);
    let soon = upcoming.iter().take(MOST_UPCOMING);
    Activity {
        class: format!("Activity {state}"),
        state,
        ends: ends.map(|at| Foreseen { at, away: Counted::left(at, now) }).collect(),
        pending,
        next: soon.map(|&at| Foreseen { at, away: Counted::until(at, now) }).collect(),
    }
}

fn view(
    facts: &Facts,
    outlook: &Outlook,
    filter: &Filter,
    fields: &Fields,
    forms: Forms,
    links: &Links,
    now: Time,
) -> BuildersView {
    let row = |builder: &Arc<Builder>| {
        let running: Vec<&Build> = facts.running.iter().filter(|build| build.builder == builder.name).collect();
        let pending = facts.pending.get(&builder.name).copied().unwrap_or(0);
        Row {
            name: builder.name.clone(),
            href: links.builder(&builder.name),
            description: builder.description.clone().unwrap_or_default(),
            tags: builder.tags.clone(),
            last: facts.last.get(&builder.name).map(|build| last_build(build, links, now)),
            activity: activity(builder, &running, pending, outlook, now),
        }
    };
    BuildersView {
        rows: facts.builders.iter().map(row).collect(),
        chips: filter.chips(fields),
        tags: facts.all_tags.clone(),
        selectable: forms.stop || forms.cancel,
        forms,
        any_running: !facts.running.is_empty(),
        any_pending: !facts.pending.is_empty(),
    }
}
