//! What is read for a letter.

use super::config::Config;
use crate::db::{Conn, DbError, builders, builds, logs, requests, users};
use crate::model::*;
use crate::render::log_text;
use crate::status::outbox;
use crate::status::streak::{self, Streak};
use std::collections::BTreeMap;

/// More bytes of a failing step's last lines are not shown.
const TAIL_BYTES: usize = 16 << 10;
/// A line of a log is shown so long.
const LINE: usize = 400;

/// What is known when a letter is composed.
pub struct Facts {
    /// When the target was first started.
    pub started: Option<Time>,
    pub subjects: Vec<Subject>,
    /// The address of each author and owner who has one, by the name they have in changes and properties.
    pub addresses: BTreeMap<String, String>,
}

/// What one letter is about.
pub struct Subject {
    pub builds: Vec<BuildFacts>,
    /// Set for the summary of a buildset.
    pub buildset: Option<Buildset>,
}

pub struct BuildFacts {
    /// With steps and logs.
    pub build: Build,
    /// The one numbered one less, without steps.
    pub previous: Option<Build>,
    pub tags: Vec<String>,
    /// The failures in a row that end before it.
    pub streak: Option<Streak>,
    pub tail: Option<Tail>,
}

/// The last lines of the log that tells most of a failing step.
pub struct Tail {
    pub step: String,
    pub log: String,
    pub lines: Vec<String>,
}

impl Facts {
    /// Reads what there is to say of this event, if it makes letters.
    pub fn gather(conn: &mut Conn, fact: &Stored, config: &Config, target: &str) -> Result<Facts, DbError> {
        let subjects = match (&fact.event, config.build_set_summary) {
            (Event::BuildFinished { build }, false) => vec![Subject::of_build(conn, build, config)?],
            (Event::BuildFinished { build }, true) => completed(conn, &build.requests, config)?,
            (Event::RequestCancelled { request }, true) => completed(conn, &[request.id], config)?,
            _ => Vec::new(),
        };
        let mut facts = Facts { started: outbox::started(conn, target)?, subjects, addresses: BTreeMap::new() };
        if config.send_to_interested_users && config.lookup.is_none() {
            facts.addresses = addresses(conn, &facts.subjects)?;
        }
        Ok(facts)
    }
}

impl Subject {
    fn of_build(conn: &mut Conn, build: &Build, config: &Config) -> Result<Subject, DbError> {
        Ok(Subject { builds: vec![BuildFacts::of(conn, build, config)?], buildset: None })
    }
}

impl BuildFacts {
    fn of(conn: &mut Conn, build: &Build, config: &Config) -> Result<BuildFacts, DbError> {
        let (builder, number) = (&build.builder, build.number);
        // The database knows how long the logs are; it may have forgotten a build that is long over.
        let build = builds::find(conn, builder, number)?.unwrap_or_else(|| build.clone());
        let previous = if number > 0 { builds::find(conn, builder, number - 1)? } else { None };
        Ok(BuildFacts {
            previous,
            tags: builders::find(conn, builder)?.map(|builder| builder.tags).unwrap_or_default(),
            streak: streak::ending_before(conn, builder, Some(number))?,
            tail: tail(conn, &build, config.log_lines)?,
            build,
        })
    }
}

fn tail(conn: &mut Conn, build: &Build, lines: i64) -> Result<Option<Tail>, DbError> {
    let Some(step) = build.steps.iter().find(|step| streak::is_bad(step.results)) else { return Ok(None) };
    let text = |log: &&Log| log.kind == LogKind::Text;
    let log = step.logs.iter().filter(text).find(|log| log.name == "stdio").or(step.logs.iter().find(text));
    let Some(log) = log.filter(|log| log.bytes > 0 && lines > 0) else { return Ok(None) };
    let first = (log.lines - lines).max(0);
    let segments = logs::lines(conn, log.id, first, lines + 1, TAIL_BYTES)?;
    let text = log_text::plain(&segments);
    let shown = text.lines().map(|line| line.chars().take(LINE).collect()).collect();
    Ok(Some(Tail { step: step.name.clone(), log: log.name.clone(), lines: shown }))
}

/// The buildsets of these requests that are complete. It may look so to several of the events that end their requests.
fn completed(conn: &mut Conn, ended: &[i64], config: &Config) -> Result<Vec<Subject>, DbError> {
    let mut subjects: Vec<Subject> = Vec::new();
    for id in ended {
        let Some(request) = requests::find(conn, *id)? else { continue };
        let known = |subject: &Subject| subject.buildset.as_ref().is_some_and(|set| set.id == request.buildset);
        if subjects.iter().any(known) {
            continue;
        }
        let buildset = requests::buildset(conn, request.buildset)?.filter(|set| set.complete_at.is_some());
        if let Some(buildset) = buildset {
            subjects.push(of_buildset(conn, buildset, config)?);
        }
    }
    Ok(subjects)
}

fn of_buildset(conn: &mut Conn, buildset: Buildset, config: &Config) -> Result<Subject, DbError> {
    let mut all = Vec::new();
    for request in requests::of_buildset(conn, buildset.id)? {
        for number in &request.builds {
            if let Some(build) = builds::find(conn, &request.builder, *number)? {
                all.push(BuildFacts::of(conn, &build, config)?);
            }
        }
    }
    Ok(Subject { builds: all, buildset: Some(buildset) })
}

/// From the user database: authors by what version control calls them, owners by their login name.
fn addresses(conn: &mut Conn, subjects: &[Subject]) -> Result<BTreeMap<String, String>, DbError> {
    let mut addresses = BTreeMap::new();
    let mut put = |name: String, user: Option<User>| match user.and_then(|mut user| user.attributes.remove("email")) {
        Some(email) => drop(addresses.insert(name, email)),
        None => tracing::debug!("no mail address is known of {name}"),
    };
    for build in subjects.iter().flat_map(|subject| &subject.builds).map(|facts| &facts.build) {
        for who in build.blamelist() {
            let user = users::of_author(conn, &who)?;
            put(who, user);
        }
        for owner in build.owners() {
            let user = users::by_username(conn, &owner)?;
            put(owner, user);
        }
    }
    Ok(addresses)
}
