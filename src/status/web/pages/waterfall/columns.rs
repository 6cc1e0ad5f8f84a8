//! From facts to the items of each column, newest first.

use super::Facts;
use super::layout::{Box, Column, Item};
use crate::model::*;
use crate::render::links::{Links, outside};
use crate::render::{people, words};

/// The changes column, then one per builder.
pub fn of(facts: &Facts, links: &Links) -> Vec<Column> {
    let changes = facts.changes.iter().map(|change| change_item(change, links)).collect();
    let changes = Column { items: changes, gaps: false };
    let builders = facts.builders.iter().map(|builder| builder_column(&builder.name, facts, links));
    std::iter::once(changes).chain(builders).collect()
}

fn builder_column(name: &str, facts: &Facts, links: &Links) -> Column {
    let mut builds: Vec<&Build> = facts.builds.iter().filter(|build| build.builder == name).collect();
    builds.sort_by_key(|build| std::cmp::Reverse(build.number));
    let mut items: Vec<Item> = builds.into_iter().flat_map(|build| build_items(build, links)).collect();
    for event in facts.events.iter().filter(|event| event.builder == name) {
        // Among the others by its start, newest first.
        let place = items.iter().position(|item| item.start <= event.started).unwrap_or(items.len());
        items.insert(place, event_item(event));
    }
    Column { items, gaps: true }
}

/// Its started steps, last first, then the box that stands for its start.
fn build_items(build: &Build, links: &Links) -> Vec<Item> {
    let shown = |step: &&Step| step.started.is_some() && !(step.hidden && step.finished.is_some());
    let mut items: Vec<Item> =
        build.steps.iter().rev().filter(shown).filter_map(|step| step_item(build, step, links)).collect();
    let class = if build.steps.is_empty() && build.finished.is_some() { words::class(build.results) } else { "start" };
    items.push(Item {
        start: build.started,
        finish: build.finished,
        shown: Box {
            class: format!("BuildStep {class}"),
            label: format!("{} build {}", build.builder, build.number),
            hover: build.reason.clone(),
            lines: Vec::new(),
            links: vec![(format!("Build {}", build.number), links.build(&build.builder, build.number))],
            external: Vec::new(),
        },
    });
    items
}

fn step_item(build: &Build, step: &Step, links: &Links) -> Option<Item> {
    let (class, word) = super::super::build::step_state(step);
    let log = |log: &Log| (log.name.clone(), links.log(&build.builder, build.number, &step.name, &log.name));
    let external = step.urls.iter().filter_map(|(name, url)| Some((name.clone(), outside(url)?.to_owned())));
    Some(Item {
        start: step.started?,
        finish: step.finished,
        shown: Box {
            class: format!("BuildStep {class}"),
            label: word.to_owned(),
            hover: String::new(),
            lines: step.text.clone(),
            links: step.logs.iter().map(log).collect(),
            external: external.collect(),
        },
    })
}

fn event_item(event: &BuilderEvent) -> Item {
    Item {
        start: event.started,
        finish: event.finished,
        shown: Box {
            class: "Event".to_owned(),
            label: "event".to_owned(),
            hover: String::new(),
            lines: event.text.clone(),
            links: Vec::new(),
            external: Vec::new(),
        },
    }
}

fn change_item(change: &Change, links: &Links) -> Item {
    Item {
        start: change.when,
        finish: None,
        shown: Box {
            class: "Change".to_owned(),
            label: "change".to_owned(),
            hover: change.comments.chars().take(500).collect(),
            lines: Vec::new(),
            links: vec![(people::name(&change.who).to_owned(), links.change(change.number))],
            external: Vec::new(),
        },
    }
}
