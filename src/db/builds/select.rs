//! Choosing builds, each way along an index and bounded by what is asked for.
//!
//! First the keys are gathered, one range of an index per builder and branch, each cut off at what the ranges before
//! it have already filled; only then the rows of the chosen ones are read. A page so costs the same however many
//! builds are stored.

use super::{of_ids, running_rows};
use crate::db::engine::{Conn, MultiBackend};
use crate::db::lately::{self, Key as Times, OfBuilder};
use crate::db::schema::{build_branches, builds};
use crate::db::{DbError, builders, columns};
use crate::model::{Build, Time};
use diesel::prelude::*;
use std::sync::Arc;

/// Which builds, in which order.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Empty means all.
    pub builders: Vec<String>,
    pub worker: Option<String>,
    pub order: Order,
    /// Only finished ones, only running ones, or both.
    pub finished: Option<bool>,
    /// The ordering time (start or finish) in `[from, to)`.
    pub from: Option<Time>,
    pub to: Option<Time>,
    /// Only those that started before this, whatever the order is.
    pub begun_before: Option<Time>,
    /// Only numbers below this (paging within one builder).
    pub before_number: Option<i64>,
    /// Any of these branches in any source stamp; `None` in the list is the null branch, which an empty one equals.
    /// Empty means all.
    pub branches: Vec<Option<String>>,
    pub with_steps: bool,
    pub limit: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By number within one builder, else by start; newest first.
    #[default]
    Started,
    /// By finish time, newest first; only finished builds.
    Finished,
}

/// Where a build comes in the order: later keys first.
type Key = (i64, i64);

/// How many builds are read before it is first asked whether they are enough; then twice as many each time.
const FIRST_PIECE: usize = 50;

/// See [`Selection`]; each index-backed and bounded by `limit`.
pub fn select(conn: &mut Conn, selection: &Selection) -> Result<Vec<Build>, DbError> {
    let ids = chosen(conn, selection)?;
    of_ids(conn, &ids, selection.with_steps)
}

/// The same with steps, shared with others who look at them.
pub fn select_shared(conn: &mut Conn, selection: &Selection) -> Result<Vec<Arc<Build>>, DbError> {
    Ok(select_until(conn, selection, |_| false)?.0)
}

/// The same, read in pieces until they are enough; and whether there may be more.
pub fn select_until(
    conn: &mut Conn,
    selection: &Selection,
    mut enough: impl FnMut(&[Arc<Build>]) -> bool,
) -> Result<(Vec<Arc<Build>>, bool), DbError> {
    let chosen = match chosen_lately(conn, selection)? {
        Some(chosen) => Chosen::Lately(chosen),
        None => Chosen::Rows(chosen(conn, selection)?),
    };
    let mut found = Vec::new();
    let (mut read, mut piece) = (0, FIRST_PIECE);
    while read < chosen.len() {
        found.extend(chosen.builds(conn, read, piece)?);
        read += piece;
        piece *= 2;
        if read < chosen.len() && enough(&found) {
            return Ok((found, true));
        }
    }
    Ok((found, chosen.len() as i64 >= selection.limit))
}

/// What was chosen, in its order.
enum Chosen {
    Lately(Vec<Of>),
    Rows(Vec<i64>),
}

impl Chosen {
    fn len(&self) -> usize {
        match self {
            Chosen::Lately(all) => all.len(),
            Chosen::Rows(all) => all.len(),
        }
    }

    /// So many from this place on.
    fn builds(&self, conn: &mut Conn, from: usize, count: usize) -> Result<Vec<Arc<Build>>, DbError> {
        let to = self.len().min(from + count);
        match self {
            Chosen::Lately(all) => lately::builds(conn, &all[from..to]),
            Chosen::Rows(all) => Ok(of_ids(conn, &all[from..to], true)?.into_iter().map(Arc::new).collect()),
        }
    }
}

/// More builds of one builder than this are not looked for among what it did lately.
const DEEPEST: usize = 128;

/// A build's row, with its builder.
type Of = (Arc<OfBuilder>, i64);

/// Those selected out of what the builders did lately; `None` if that does not tell.
fn chosen_lately(conn: &mut Conn, selection: &Selection) -> Result<Option<Vec<Of>>, DbError> {
    let Selection { builders, order, finished, from, to, begun_before, limit, .. } = selection;
    let (limit, Some(to)) = (usize::try_from(*limit).unwrap_or(0), to) else {
        return Ok(None);
    };
    let special = selection.worker.is_some() || selection.before_number.is_some() || !selection.branches.is_empty();
    if special || builders.is_empty() || limit == 0 {
        return Ok(None);
    }
    let selected = |key: &Times| {
        let time = match order {
            Order::Started => Some(key.started),
            Order::Finished => key.finished,
        };
        time.filter(|time| {
            *time < to.0
                && from.is_none_or(|from| *time >= from.0)
                && finished.is_none_or(|finished| key.finished.is_some() == finished)
                && begun_before.is_none_or(|before| key.started < before.0)
        })
    };
    let mut all = lately::of(conn, builders, lately::first_depth(builders.len()))?;
    loop {
        let selected_of = |(index, of): (usize, &Arc<OfBuilder>)| {
            let keys = of.keys().iter();
            keys.filter_map(|key| Some((selected(key)?, key.id, index))).collect::<Vec<_>>()
        };
        let mut found: Vec<(i64, i64, usize)> = all.iter().enumerate().flat_map(selected_of).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(limit);
        let oldest = found.last().filter(|_| found.len() == limit).map(|(time, ..)| *time);
        let least = oldest.max(from.map(|from| from.0)).unwrap_or(i64::MIN);
        let short: Vec<usize> = (0..all.len()).filter(|index| !all[*index].reaches_back(least)).collect();
        if short.is_empty() {
            return Ok(Some(found.into_iter().map(|(_, id, index)| (Arc::clone(&all[index]), id)).collect()));
        }
        let depth = 2 * short.iter().map(|index| all[*index].depth()).max().unwrap_or(DEEPEST);
        // Of a time long gone it would tell nothing but that it does not reach there.
        if depth > DEEPEST || short.iter().any(|index| !all[*index].reaches_back(to.0)) {
            return Ok(None);
        }
        let names: Vec<String> = short.iter().map(|index| all[*index].name().clone()).collect();
        for (index, deeper) in short.into_iter().zip(lately::of(conn, &names, depth)?) {
            all[index] = deeper;
        }
    }
}

/// The rows of those that are selected, in their order.
fn chosen(conn: &mut Conn, selection: &Selection) -> Result<Vec<i64>, DbError> {
    let limit = usize::try_from(selection.limit).unwrap_or(0);
    if limit == 0 || (selection.order == Order::Finished && selection.finished == Some(false)) {
        return Ok(Vec::new());
    }
    let mut newest = Newest { keys: Vec::new(), limit };
    if selection.finished == Some(false) {
        newest.add(running(conn, selection)?);
    } else if selection.builders.is_empty() && selection.branches.is_empty() {
        along_builds(conn, selection, None, &mut newest)?;
    } else {
        for (_, builder) in builders::ids(conn, &selection.builders)? {
            if selection.branches.is_empty() {
                along_builds(conn, selection, Some(builder), &mut newest)?;
            }
            for branch in &selection.branches {
                along_branches(conn, selection, builder, branch.as_deref(), &mut newest)?;
            }
        }
    }
    Ok(newest.keys.into_iter().map(|(_, id)| id).collect())
}

/// The newest keys met so far, each once, newest first.
struct Newest {
    keys: Vec<Key>,
    limit: usize,
}

impl Newest {
    fn add(&mut self, keys: Vec<Key>) {
        self.keys.extend(keys);
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        self.keys.dedup();
        self.keys.truncate(self.limit);
    }

    /// Nothing with an earlier key is of interest any more.
    fn floor(&self) -> Option<i64> {
        if self.keys.len() < self.limit { None } else { self.keys.last().map(|(key, _)| *key) }
    }

    /// The later of this and the moment asked for.
    fn from(&self, selection: &Selection) -> Option<i64> {
        self.floor().max(selection.from.map(|from| from.0))
    }
}

/// The running ones are few, so all are looked at.
fn running(conn: &mut Conn, selection: &Selection) -> Result<Vec<Key>, DbError> {
    let running: Vec<i64> = running_rows(conn)?.into_iter().map(|(_, id)| id).collect();
    let mut query = builds::table.into_boxed::<MultiBackend>().filter(builds::id.eq_any(running));
    if !selection.builders.is_empty() {
        let ids = builders::ids(conn, &selection.builders)?.into_iter().map(|(_, id)| id);
        query = query.filter(builds::builder_id.eq_any(ids.collect::<Vec<i64>>()));
    }
    if let Some(worker) = &selection.worker {
        query = query.filter(builds::worker.eq(worker));
    }
    if let Some(before) = selection.before_number {
        query = query.filter(builds::number.lt(before));
    }
    if let Some(from) = selection.from {
        query = query.filter(builds::started.ge(from.0));
    }
    if let Some(to) = selection.to {
        query = query.filter(builds::started.lt(to.0));
    }
    if !selection.branches.is_empty() {
        let branches: Vec<String> = selection.branches.iter().map(|b| columns::branch(b.as_deref())).collect();
        let there = build_branches::table
            .filter(build_branches::build_id.eq(builds::id))
            .filter(build_branches::branch.eq_any(branches));
        query = query.filter(diesel::dsl::exists(there));
    }
    Ok(query.select((builds::started, builds::id)).load(conn.engine()?)?)
}

/// The keys of a query within the time asked for, newest first, none earlier than what is of interest. A macro, as
/// Diesel has a type of its own for each column.
macro_rules! by_time {
    ($conn:ident, $query:ident, $selection:ident, $newest:ident, $time:expr, $key:expr, $id:expr) => {{
        if let Some(from) = $newest.from($selection) {
            $query = $query.filter($time.ge(from));
        }
        if let Some(to) = $selection.to {
            $query = $query.filter($time.lt(to.0));
        }
        $query.order(($time.desc(), $id.desc())).select(($key, $id)).load($conn.engine()?)?
    }};
}

fn along_builds(
    conn: &mut Conn,
    selection: &Selection,
    builder: Option<i64>,
    newest: &mut Newest,
) -> Result<(), DbError> {
    let mut query = builds::table.into_boxed::<MultiBackend>().limit(selection.limit);
    if let Some(builder) = builder {
        query = query.filter(builds::builder_id.eq(builder));
    }
    if let Some(worker) = &selection.worker {
        query = query.filter(builds::worker.eq(worker));
    }
    if let Some(before) = selection.before_number {
        query = query.filter(builds::number.lt(before));
    }
    if selection.finished == Some(true) {
        query = query.filter(builds::finished.is_not_null());
    }
    if let Some(begun) = selection.begun_before {
        query = query.filter(builds::started.lt(begun.0));
    }
    let timed = selection.from.is_some() || selection.to.is_some();
    let keys: Vec<Key> = match selection.order {
        Order::Started
            if builder.is_some() && selection.builders.len() == 1 && !timed && selection.worker.is_none() =>
        {
            query.order(builds::number.desc()).select((builds::number, builds::id)).load(conn.engine()?)?
        }
        Order::Started => {
            let (time, id) = (builds::started, builds::id);
            by_time!(conn, query, selection, newest, time, time, id)
        }
        Order::Finished => {
            query = query.filter(builds::finished.is_not_null());
            let (time, id) = (builds::finished, builds::id);
            by_time!(conn, query, selection, newest, time, time.assume_not_null(), id)
        }
    };
    newest.add(keys);
    Ok(())
}

fn along_branches(
    conn: &mut Conn,
    selection: &Selection,
    builder: i64,
    branch: Option<&str>,
    newest: &mut Newest,
) -> Result<(), DbError> {
    let mut query = build_branches::table
        .inner_join(builds::table)
        .into_boxed::<MultiBackend>()
        .filter(build_branches::builder_id.eq(builder))
        .filter(build_branches::branch.eq(columns::branch(branch)))
        .limit(selection.limit);
    if let Some(worker) = &selection.worker {
        query = query.filter(builds::worker.eq(worker));
    }
    if let Some(before) = selection.before_number {
        query = query.filter(builds::number.lt(before));
    }
    if selection.finished == Some(true) {
        query = query.filter(builds::finished.is_not_null());
    }
    if let Some(begun) = selection.begun_before {
        query = query.filter(builds::started.lt(begun.0));
    }
    let keys: Vec<Key> = match selection.order {
        Order::Started => {
            let (time, id) = (build_branches::started, build_branches::build_id);
            by_time!(conn, query, selection, newest, time, time, id)
        }
        Order::Finished => {
            query = query.filter(build_branches::finished.is_not_null());
            let (time, id) = (build_branches::finished, build_branches::build_id);
            by_time!(conn, query, selection, newest, time, time.assume_not_null(), id)
        }
    };
    newest.add(keys);
    Ok(())
}
