//! What a letter says where no messageFormatter says it: views for the templates `mail_text` and `mail_html`. Pure.
//!
//! The plain text begins as 0.8's does (`reference/mail.md` §3), so that whatever reads letters goes on reading them; behind
//! that come the end of the log, the changes since all was well, and why somebody gets it.

use super::facts::{BuildFacts, Tail};
use super::mode::{self, Mode};
use crate::model::*;
use crate::render::asdict::Urls;
use crate::render::links::shortrev;
use crate::render::{people, words};
use crate::status::streak::{Streak, is_bad};
use serde::Serialize;

/// More changes than these are only counted.
const CHANGES: usize = 30;

/// The whole letter.
#[derive(Serialize)]
pub struct LetterView {
    pub subject: String,
    pub title: String,
    /// Of the installation's pages, if they have one.
    pub buildbot_url: Option<String>,
    pub builds: Vec<BuildView>,
    /// `ann@x.org made a change in it`
    pub reasons: Vec<String>,
    /// Something went wrong with the letter itself.
    pub note: Option<String>,
    /// Which part of the configuration sends it: `master.cfg:14`.
    pub place: String,
}

/// One build of it.
#[derive(Serialize)]
pub struct BuildView {
    pub intro: &'static str,
    pub builder: String,
    pub number: i64,
    pub url: Option<String>,
    pub projects: String,
    /// The style of the result, and its word and sign.
    pub class: &'static str,
    pub sign: &'static str,
    /// `failed compile`, with a capital letter.
    pub sentence: String,
    /// `BUILD FAILED: failed compile`
    pub summary: String,
    pub worker: String,
    pub reason: String,
    pub stamps: Vec<StampView>,
    /// As 0.8 has it, without blanks.
    pub blamelist: String,
    /// `Ann and Bob`
    pub people: String,
    pub took: String,
    pub tail: Option<TailView>,
    pub since: Option<SinceView>,
    /// How the build before it went, in words.
    pub before: Option<String>,
}

#[derive(Serialize)]
pub struct StampView {
    pub codebase: String,
    /// `[branch trunk] 1234 (plus patch)`
    pub text: String,
}

#[derive(Serialize)]
pub struct TailView {
    pub step: String,
    pub log: String,
    pub url: Option<String>,
    pub lines: Vec<String>,
}

/// What has changed since the last build that was good.
#[derive(Serialize)]
pub struct SinceView {
    /// `since build 41, the last that was good`
    pub since: String,
    pub changes: Vec<ChangeView>,
    /// How many more there are.
    pub more: usize,
}

#[derive(Serialize)]
pub struct ChangeView {
    pub who: String,
    pub revision: Option<String>,
    pub revlink: Option<String>,
    /// The first line of what its author says.
    pub comments: String,
    pub files: Vec<String>,
}

/// What 0.8 says of a build in one line.
pub fn summary(build: &Build) -> String {
    let text = words::line(&build.full_text());
    match build.results {
        Some(Results::Success) => "Build succeeded!".to_owned(),
        results => {
            let failed = if results == Some(Results::Warnings) { "Build Had Warnings" } else { "BUILD FAILED" };
            if text.is_empty() { failed.to_owned() } else { format!("{failed}: {text}") }
        }
    }
}

impl BuildView {
    pub fn of(facts: &BuildFacts, modes: &[Mode], previous: Option<&Build>, title: &str, urls: &Urls) -> BuildView {
        let build = &facts.build;
        let has_pages = !urls.base().is_empty();
        let results = build.results.unwrap_or(Results::Exception);
        let blamelist = build.blamelist();
        let names: Vec<String> = blamelist.iter().map(|who| people::name(who).to_owned()).collect();
        BuildView {
            intro: mode::intro(modes, results, previous),
            builder: build.builder.clone(),
            number: build.number,
            url: has_pages.then(|| urls.build(&build.reference())),
            projects: projects(build, title),
            class: words::class(build.results),
            sign: words::sign(build.results),
            sentence: words::sentence(&build.full_text()),
            summary: summary(build),
            worker: build.worker.clone(),
            reason: build.reason.clone(),
            stamps: build.source_stamps.iter().map(StampView::of).collect(),
            blamelist: blamelist.join(","),
            people: words::list(&names),
            took: build.finished.map(|finished| took(finished, build.started)).unwrap_or_default(),
            tail: facts.tail.as_ref().map(|tail| TailView::of(tail, build, urls)),
            since: SinceView::of(facts),
            before: facts.streak.as_ref().map(before),
        }
    }
}

fn took(finished: Time, started: Time) -> String {
    let seconds = finished.since(started).as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => words::count(usize::try_from(seconds).unwrap_or(0), "second"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The distinct projects of its source, or the installation's own title.
fn projects(build: &Build, title: &str) -> String {
    let mut projects: Vec<&str> = Vec::new();
    for stamp in &build.source_stamps {
        if !stamp.project.is_empty() && !projects.contains(&stamp.project.as_str()) {
            projects.push(&stamp.project);
        }
    }
    if projects.is_empty() { title.to_owned() } else { projects.join(", ") }
}

fn before(streak: &Streak) -> String {
    let first = streak.first.number;
    match (streak.length, streak.longer) {
        (1, false) => format!("Build {first} before it failed as well"),
        (length, false) => format!("The {length} builds before it failed as well, from {first} on"),
        (length, true) => format!("More than {length} builds before it failed as well"),
    }
}

impl StampView {
    fn of(stamp: &SourceStamp) -> StampView {
        let branch = stamp.branch.as_deref().filter(|branch| !branch.is_empty());
        let branch = branch.map(|branch| format!("[branch {branch}] ")).unwrap_or_default();
        let revision = stamp.revision.as_deref().filter(|revision| !revision.is_empty()).unwrap_or("HEAD");
        let patch = if stamp.patch.is_some() { " (plus patch)" } else { "" };
        StampView { codebase: stamp.codebase.clone(), text: format!("{branch}{revision}{patch}") }
    }
}

impl TailView {
    fn of(tail: &Tail, build: &Build, urls: &Urls) -> TailView {
        let url = || urls.log(&build.reference(), &tail.step, &tail.log);
        TailView {
            step: tail.step.clone(),
            log: tail.log.clone(),
            url: (!urls.base().is_empty()).then(url),
            lines: tail.lines.clone(),
        }
    }
}

impl SinceView {
    fn of(facts: &BuildFacts) -> Option<SinceView> {
        let (build, streak) = (&facts.build, facts.streak.as_ref());
        let of_streak =
            streak.iter().flat_map(|streak| std::iter::once(&streak.first).chain(streak.later.iter().rev()));
        let mut changes: Vec<&Change> = Vec::new();
        for change in of_streak.flat_map(Build::changes).chain(build.changes()) {
            if !changes.iter().any(|known| known.number == change.number && known.revision == change.revision) {
                changes.push(change);
            }
        }
        if changes.is_empty() {
            return None;
        }
        let since = match streak {
            None => match &facts.previous {
                Some(good) if is_bad(build.results) => since_good(good.number),
                _ => "in this build".to_owned(),
            },
            Some(Streak { good: Some(good), .. }) => since_good(*good),
            Some(streak) => format!("since build {}", streak.first.number),
        };
        let more = changes.len().saturating_sub(CHANGES);
        Some(SinceView { since, changes: changes[more..].iter().map(|change| ChangeView::of(change)).collect(), more })
    }
}

fn since_good(number: i64) -> String {
    format!("since build {number}, the last that was good")
}

impl ChangeView {
    fn of(change: &Change) -> ChangeView {
        let link = change.revlink.as_deref().and_then(crate::render::links::outside);
        ChangeView {
            who: people::name(&change.who).to_owned(),
            revision: change.revision.as_deref().map(shortrev),
            revlink: link.map(str::to_owned),
            comments: change.comments.lines().next().unwrap_or_default().chars().take(200).collect(),
            files: change.files.iter().take(20).cloned().collect(),
        }
    }
}
