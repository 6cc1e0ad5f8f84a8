//! Since when a builder has been failing.

use crate::db::builds::{self, Order, Selection};
use crate::db::{Conn, DbError};
use crate::model::*;

/// How far back the first of a row of failures is looked for.
const FAR: i64 = 50;

/// Builds of one builder that failed one after the other, without a good one between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Streak {
    /// The oldest of them that was found, without steps.
    pub first: Build,
    /// The others, newest first, without steps.
    pub later: Vec<Build>,
    /// How many they are.
    pub length: usize,
    /// The good build before them.
    pub good: Option<i64>,
    /// There may be older ones.
    pub longer: bool,
}

/// Whether a build that ended so is one to worry about.
pub fn is_bad(results: Option<Results>) -> bool {
    match results {
        None | Some(Results::Success | Results::Warnings | Results::Skipped) => false,
        Some(Results::Failure | Results::Exception | Results::Retry | Results::Cancelled) => true,
    }
}

/// The failures that end with the newest finished build below `before`; `None` if that one was good.
pub fn ending_before(conn: &mut Conn, builder: &str, before: Option<i64>) -> Result<Option<Streak>, DbError> {
    let selection = Selection {
        builders: vec![builder.to_owned()],
        finished: Some(true),
        before_number: before,
        order: Order::Started,
        limit: FAR,
        ..Selection::default()
    };
    Ok(of(builds::select(conn, &selection)?))
}

/// `builds` are newest first.
fn of(builds: Vec<Build>) -> Option<Streak> {
    let read = builds.len();
    let length = builds.iter().take_while(|build| is_bad(build.results)).count();
    let good = builds.get(length).map(|build| build.number);
    let mut later: Vec<Build> = builds.into_iter().take(length).collect();
    let first = later.pop()?;
    Some(Streak { first, later, length, good, longer: good.is_none() && read as i64 == FAR })
}
