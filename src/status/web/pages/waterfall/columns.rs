//! From facts to the items of each column, newest first.

use super::layout::{Column, Item};
use super::{Facts, OfBuilder, ShownChange};
use crate::model::*;
use std::sync::Arc;

/// What stands in a box. A change leads to the builds it went into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown<'f> {
    Change(&'f Change, &'f [Arc<Build>]),
    /// Something that is no build.
    Event(&'f BuilderEvent),
    /// The start of a build.
    Begun(&'f Build),
    Step(&'f Build, &'f Step),
}

/// The changes column, then one per builder.
pub fn of<'f>(facts: &'f Facts) -> Vec<Column<Shown<'f>>> {
    let change = |shown: &'f ShownChange| Item {
        start: shown.change.when,
        finish: None,
        shown: Shown::Change(&shown.change, &shown.builds),
    };
    let changes = Column { items: facts.changes.iter().map(change).collect(), gaps: false };
    std::iter::once(changes).chain(facts.columns.iter().map(of_builder)).collect()
}

fn of_builder(column: &OfBuilder) -> Column<Shown<'_>> {
    let mut items = Vec::new();
    for build in column.builds.values().rev() {
        add_build(build, &mut items);
    }
    for event in &column.events {
        // Among the others by its start, newest first.
        let place = items.iter().position(|item| item.start <= event.started).unwrap_or(items.len());
        items.insert(place, Item { start: event.started, finish: event.finished, shown: Shown::Event(event) });
    }
    Column { items, gaps: true }
}

/// Its started steps, last first, then the box that stands for its start.
fn add_build<'f>(build: &'f Build, items: &mut Vec<Item<Shown<'f>>>) {
    let seen = |step: &&Step| !(step.hidden && step.finished.is_some());
    let steps = build.steps.iter().rev().filter(seen);
    items.extend(steps.filter_map(|step| {
        Some(Item { start: step.started?, finish: step.finished, shown: Shown::Step(build, step) })
    }));
    items.push(Item { start: build.started, finish: build.finished, shown: Shown::Begun(build) });
}
