//! One builder: the keys of its newest builds, and of these builds and its events those that somebody wanted.
//!
//! What is read of it after an event takes over the builds that had no part in it.

use super::Moment;
use crate::db::engine::Conn;
use crate::db::schema::builds;
use crate::db::{DbError, builders};
use crate::model::{Build, BuilderEvent, Seq, Time};
use diesel::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Builds that take more than this together are not kept.
const LARGEST: usize = 1 << 20;

/// How many of its events are kept.
const EVENTS: i64 = 50;

/// What an event takes, about.
const EVENT: usize = 250;

/// What a builder takes beside its builds, about.
const BUILDER: usize = 500;

/// What its JSON is of a build in memory, about: texts are a string each, and what is mostly empty has its place all the same.
const OF_JSON: usize = 3;

/// A build's row and its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Queryable)]
pub struct Key {
    pub id: i64,
    pub started: i64,
    pub finished: Option<i64>,
}

pub struct OfBuilder {
    id: i64,
    name: String,
    /// The newest event that may have changed it, where that is known.
    version: Option<Seq>,
    depth: usize,
    /// In no order.
    keys: Vec<Key>,
    /// Every build that started or ended after this is among them; every build there is if it is `None`.
    floor: Option<i64>,
    read: Mutex<Read>,
}

/// What somebody wanted.
#[derive(Clone, Default)]
struct Read {
    /// With what each takes.
    builds: HashMap<i64, (Arc<Build>, usize)>,
    /// What they take together.
    size: usize,
    events: Option<Events>,
}

#[derive(Clone)]
struct Events {
    /// Newest first.
    newest: Arc<[Arc<BuilderEvent>]>,
    /// There may be others that began at this or before.
    floor: Option<Time>,
}

impl OfBuilder {
    /// The newest builds by start and by finish, so many each, and those that run.
    pub fn read(conn: &mut Conn, id: i64, name: &str, depth: usize, running: Vec<Key>) -> Result<OfBuilder, DbError> {
        let limit = i64::try_from(depth).unwrap_or(i64::MAX);
        let columns = (builds::id, builds::started, builds::finished);
        let of_it = builds::table.filter(builds::builder_id.eq(id));
        let begun: Vec<Key> = of_it
            .order((builds::started.desc(), builds::id.desc()))
            .limit(limit)
            .select(columns)
            .load(conn.engine()?)?;
        let whole = begun.len() < depth;
        let ended: Vec<Key> = of_it
            .filter(builds::finished.is_not_null())
            .order((builds::finished.desc(), builds::id.desc()))
            .limit(limit)
            .select(columns)
            .load(conn.engine()?)?;
        let first = begun.last().map(|key| key.started);
        let floor = match ended.len() < depth {
            true => first,
            false => first.max(ended.last().and_then(|key| key.finished)),
        };
        let keys: HashSet<Key> = begun.into_iter().chain(ended).chain(running).collect();
        Ok(OfBuilder {
            id,
            name: name.to_owned(),
            version: None,
            depth,
            keys: keys.into_iter().collect(),
            floor: floor.filter(|_| !whole),
            read: Mutex::default(),
        })
    }

    /// As it was when this was the newest event that may have changed it.
    pub fn at(self, version: Option<Seq>) -> OfBuilder {
        OfBuilder { version, ..self }
    }

    /// What was read for one of the same version is as good for this one.
    pub fn take_all(&self, same: &OfBuilder) {
        let read = same.read_so_far().clone();
        *self.read_so_far() = read;
    }

    /// The same of an earlier version: only its builds, and not those whose numbers are given, which have changed since.
    pub fn take_builds(&self, before: &OfBuilder, changed: &BTreeSet<i64>) {
        let mut builds = before.read_so_far().builds.clone();
        let there: HashSet<i64> = self.keys.iter().map(|key| key.id).collect();
        builds.retain(|id, (build, _)| there.contains(id) && !changed.contains(&build.number));
        let size = builds.values().map(|(_, size)| size).sum();
        *self.read_so_far() = Read { builds, size, events: None };
    }

    /// Its row, which is its own for ever.
    pub fn id(&self) -> i64 {
        self.id
    }

    pub fn name(&self) -> &String {
        &self.name
    }

    pub fn version(&self) -> Option<Seq> {
        self.version
    }

    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether it has so many builds of the builder, or all.
    pub fn reaches(&self, depth: usize) -> bool {
        self.depth >= depth || self.floor.is_none()
    }

    /// Whether every build that started or ended then or later is among its keys.
    pub fn reaches_back(&self, to: i64) -> bool {
        self.floor.is_none_or(|floor| floor < to)
    }

    /// The newest that has ended.
    pub fn last(&self) -> Option<i64> {
        let ended = self.keys.iter().filter_map(|key| Some((key.finished?, key.id)));
        ended.max().map(|(_, id)| id)
    }

    pub fn running(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.finished.is_none())
    }

    pub fn build(&self, id: i64) -> Option<Arc<Build>> {
        self.read_so_far().builds.get(&id).map(|(build, _)| Arc::clone(build))
    }

    /// Unless they are too large by now.
    pub fn add_build(&self, id: i64, build: &Arc<Build>) {
        let size = size(build);
        let mut read = self.read_so_far();
        if read.size + size <= LARGEST && read.builds.insert(id, (Arc::clone(build), size)).is_none() {
            read.size += size;
        }
    }

    /// What it takes, about.
    pub fn size(&self) -> usize {
        let read = self.read_so_far();
        let events = read.events.as_ref().map_or(0, |events| events.newest.len());
        BUILDER + self.keys.len() * size_of::<Key>() + events * EVENT + read.size
    }

    /// A panic never happens while it is locked.
    fn read_so_far(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a build takes, about.
fn size(build: &Build) -> usize {
    let mut length = Length(0);
    match serde_json::to_writer(&mut length, build) {
        Ok(()) => length.0.saturating_mul(OF_JSON),
        // It cannot be told, so it is not kept.
        Err(_) => LARGEST,
    }
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Events of a builder that started in `[from, to)`, newest first, at most `limit`.
pub fn events(
    conn: &mut Conn,
    of: &Arc<OfBuilder>,
    from: Time,
    to: Time,
    limit: i64,
) -> Result<Vec<Arc<BuilderEvent>>, DbError> {
    let known = of.read_so_far().events.clone();
    let known = match known {
        Some(known) => known,
        None => {
            let newest = builders::events_of(conn, &of.name, of.id, Time(i64::MIN), Time(i64::MAX), EVENTS)?;
            let floor = newest.last().map(|event| event.started).filter(|_| newest.len() as i64 == EVENTS);
            let read = Events { newest: newest.into(), floor };
            of.read_so_far().events = Some(read.clone());
            if let Some(moment) = Moment::of(conn)? {
                moment.keep(std::iter::once(of));
            }
            read
        }
    };
    if known.floor.is_some_and(|floor| floor >= from) {
        return builders::events_of(conn, &of.name, of.id, from, to, limit);
    }
    let within = known.newest.iter().filter(|event| event.started >= from && event.started < to);
    Ok(within.take(usize::try_from(limit).unwrap_or(0)).cloned().collect())
}

#[cfg(test)]
impl OfBuilder {
    /// One that has done nothing.
    pub fn empty(name: &str, version: Option<Seq>) -> OfBuilder {
        let read = Mutex::default();
        OfBuilder { id: 1, name: name.to_owned(), version, depth: 2, keys: Vec::new(), floor: None, read }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn builds_that_are_too_large_together_are_not_kept() {
        let build = |reason: String| -> Arc<Build> {
            let build = json!({
                "builder": "b", "number": 1, "reason": reason, "source_stamps": [], "requests": [], "properties": [],
                "worker": "w", "started": 0, "finished": 1, "results": 0, "text": [], "eta": null, "steps": [],
            });
            Arc::new(serde_json::from_value(build).unwrap())
        };
        let of = OfBuilder::empty("b", Some(1));
        let third = LARGEST / 3 / OF_JSON;
        for id in 0..5 {
            of.add_build(id, &build("x".repeat(third)));
        }
        assert_eq!((0..5).filter(|id| of.build(*id).is_some()).count(), 2, "they are more than their texts");
        of.add_build(5, &build(String::new()));
        assert!(of.build(5).is_some() && of.size() <= LARGEST + BUILDER);
    }
}
