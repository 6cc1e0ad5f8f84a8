//! The one shape of a build in a list, the same on every page.

use super::super::reader::Outside;
use crate::model::*;
use crate::render::counted::Counted;
use crate::render::links::{Links, shortrev};
use crate::render::{people, words};
use serde::Serialize;

/// One line of `build_lines.hbs`.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct BuildLine {
    class: &'static str,
    word: &'static str,
    builder: String,
    builder_href: String,
    number: i64,
    href: String,
    revisions: Vec<Revision>,
    reason: String,
    who: String,
    text: String,
    started: Time,
    /// How long it took, or has been running.
    took: Counted,
    running: bool,
    worker: String,
    worker_href: String,
}

/// A revision as lists show it.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Revision {
    /// The codebase in front, where there are several.
    codebase: Option<String>,
    text: String,
    /// The whole revision, for the hover text.
    full: String,
    href: Option<String>,
}

pub fn line(build: &Build, links: &Links, pages: &Outside, now: Time) -> BuildLine {
    let blame: Vec<String> = build.blamelist().iter().map(|who| people::name(who).to_owned()).collect();
    let owner =
        build.properties.get("owner").and_then(|owner| owner.as_str()).map(|owner| people::name(owner).to_owned());
    BuildLine {
        class: words::class(build.results),
        word: words::word(build.results),
        builder: build.builder.clone(),
        builder_href: links.builder(&build.builder),
        number: build.number,
        href: links.build(&build.builder, build.number),
        revisions: revisions(build, pages),
        reason: build.reason.clone(),
        who: if blame.is_empty() { owner.unwrap_or_default() } else { words::list(&blame) },
        text: words::sentence(&build.full_text()),
        started: build.started,
        took: Counted::taken(build.started, build.finished, now),
        running: build.finished.is_none(),
        worker: build.worker.clone(),
        worker_href: links.worker(&build.worker),
    }
}

/// What was built: the revision really checked out, else the one asked for, else `latest`.
pub fn revisions(build: &Build, pages: &Outside) -> Vec<Revision> {
    let several = build.source_stamps.len() > 1;
    build
        .source_stamps
        .iter()
        .map(|stamp| {
            let got = build.got_revision(&stamp.codebase).or(stamp.revision.as_deref());
            let full = got.filter(|revision| !revision.is_empty()).unwrap_or("latest");
            let mut text = if full == "latest" { full.to_owned() } else { shortrev(full) };
            if stamp.patch.is_some() {
                text.push_str(" + patch");
            }
            Revision {
                codebase: several.then(|| stamp.codebase.clone()),
                text,
                full: full.to_owned(),
                href: pages.revision(full, &stamp.repository),
            }
        })
        .collect()
}
