//! Builds with their steps and logs.

mod rows;
mod select;

pub use select::{Order, Selection, select, select_shared, select_until};

pub(super) use rows::{StepRow, by_ids, known, of_ids, planned};

use super::engine::Conn;
use super::lately::{self, Key};
use super::schema::builds;
use super::{DbError, builders};
use crate::model::Build;
use diesel::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// One build with steps and logs. `number` may be negative: −1 is the newest, running ones included.
pub fn find(conn: &mut Conn, builder: &str, number: i64) -> Result<Option<Build>, DbError> {
    let Some(builder_id) = builders::id(conn, builder)? else {
        return Ok(None);
    };
    let id: Option<i64> = if number >= 0 {
        id(conn, builder_id, number)?
    } else {
        builds::table
            .filter(builds::builder_id.eq(builder_id))
            .order(builds::number.desc())
            .offset(-(number + 1))
            .select(builds::id)
            .first(conn.engine()?)
            .optional()?
    };
    match id {
        Some(id) => Ok(of_ids(conn, &[id], true)?.pop()),
        None => Ok(None),
    }
}

/// Every build without an end, with steps and logs.
pub fn running(conn: &mut Conn) -> Result<Vec<Build>, DbError> {
    let mut running = running_rows(conn)?;
    running.sort_unstable();
    let ids: Vec<i64> = running.into_iter().map(|(_, id)| id).collect();
    of_ids(conn, &ids, true)
}

/// When each build without an end was started, and its row.
///
/// With any further condition, or in an order, SQLite would rather look through all builds along another index.
fn running_rows(conn: &mut Conn) -> Result<Vec<(i64, i64)>, DbError> {
    let running = builds::table.filter(builds::finished.is_null());
    Ok(running.select((builds::started, builds::id)).load(conn.engine()?)?)
}

/// The keys of all of them, by the row of their builder.
pub(super) fn running_keys(conn: &mut Conn) -> Result<HashMap<i64, Vec<Key>>, DbError> {
    let running = builds::table.filter(builds::finished.is_null());
    let rows: Vec<(i64, i64, i64)> =
        running.select((builds::builder_id, builds::started, builds::id)).load(conn.engine()?)?;
    let mut by_builder: HashMap<i64, Vec<Key>> = HashMap::new();
    for (builder, started, id) in rows {
        by_builder.entry(builder).or_default().push(Key { id, started, finished: None });
    }
    Ok(by_builder)
}

/// Every build of these builders without an end, with steps and logs; by start.
pub fn running_of(conn: &mut Conn, builders: &[String]) -> Result<Vec<Arc<Build>>, DbError> {
    let mut running = Vec::new();
    for of in lately::of(conn, builders, lately::first_depth(builders.len()))? {
        running.extend(of.running().map(|key| (key.started, key.id, Arc::clone(&of))));
    }
    running.sort_unstable_by_key(|(started, id, _)| (*started, *id));
    let running: Vec<_> = running.into_iter().map(|(_, id, of)| (of, id)).collect();
    lately::builds(conn, &running)
}

/// The newest finished build of each of these builders that has one, with steps and logs.
pub fn last_finished(conn: &mut Conn, builders: &[String]) -> Result<Vec<Arc<Build>>, DbError> {
    let all = lately::of(conn, builders, lately::first_depth(builders.len()))?;
    let last: Vec<_> = all.into_iter().filter_map(|of| of.last().map(|id| (of, id))).collect();
    lately::builds(conn, &last)
}

/// The newest numbers kept for a builder (at most `limit`), newest first.
pub fn numbers(conn: &mut Conn, builder: &str, limit: i64) -> Result<Vec<i64>, DbError> {
    let Some(builder_id) = builders::id(conn, builder)? else {
        return Ok(Vec::new());
    };
    Ok(builds::table
        .filter(builds::builder_id.eq(builder_id))
        .order(builds::number.desc())
        .limit(limit.max(0))
        .select(builds::number)
        .load(conn.engine()?)?)
}

pub(super) fn id(conn: &mut Conn, builder_id: i64, number: i64) -> Result<Option<i64>, DbError> {
    Ok(builds::table
        .filter(builds::builder_id.eq(builder_id))
        .filter(builds::number.eq(number))
        .select(builds::id)
        .first(conn.engine()?)
        .optional()?)
}
