//! Build requests and the buildsets they came in.

use super::columns::{from_json, results};
use super::engine::Conn;
use super::schema::{builders, builds, buildsets, request_builds, requests};
use super::{DbError, builders as builder};
use crate::model::{BuildRequest, Buildset, Time};
use diesel::dsl::{auto_type, count_star, exists, not};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[derive(Queryable, Selectable)]
#[diesel(table_name = requests)]
struct RequestRow {
    id: i64,
    buildset_id: i64,
    source_stamps: String,
    reason: String,
    properties: String,
    priority: i32,
    submitted_at: i64,
    complete_at: Option<i64>,
    results: Option<i16>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = buildsets)]
struct BuildsetRow {
    id: i64,
    external_idstring: Option<String>,
    reason: String,
    scheduler: String,
    source_stamps: String,
    properties: String,
    builders: String,
    submitted_at: i64,
    complete_at: Option<i64>,
    results: Option<i16>,
}

impl BuildsetRow {
    fn buildset(self) -> Result<Buildset, DbError> {
        Ok(Buildset {
            id: self.id,
            external_idstring: self.external_idstring,
            reason: self.reason,
            scheduler: self.scheduler,
            source_stamps: from_json("buildsets.source_stamps", &self.source_stamps)?,
            properties: from_json("buildsets.properties", &self.properties)?,
            builders: from_json("buildsets.builders", &self.builders)?,
            submitted_at: Time(self.submitted_at),
            complete_at: self.complete_at.map(Time),
            results: results("buildsets.results", self.results)?,
        })
    }
}

/// Neither complete nor in a running build. Few are not complete, so looking at all of them is bounded too.
#[auto_type(no_type_alias)]
fn waits() -> _ {
    let running = request_builds::table
        .inner_join(builds::table)
        .filter(request_builds::request_id.eq(requests::id))
        .filter(builds::finished.is_null());
    requests::complete_at.is_null().and(not(exists(running)))
}

/// Requests neither complete nor in a running build, oldest first.
pub fn pending(conn: &mut Conn, builder: Option<&str>) -> Result<Vec<BuildRequest>, DbError> {
    let columns = (RequestRow::as_select(), builders::name);
    let order = (requests::submitted_at, requests::id);
    let waiting = requests::table.inner_join(builders::table).filter(waits()).order(order).select(columns);
    let rows: Vec<(RequestRow, String)> = match builder {
        Some(name) => match builder::id(conn, name)? {
            Some(id) => waiting.filter(requests::builder_id.eq(id)).load(conn.engine()?)?,
            None => Vec::new(),
        },
        None => waiting.load(conn.engine()?)?,
    };
    with_builds(conn, rows)
}

/// How many of them there are of each builder that has some.
pub fn waiting(conn: &mut Conn) -> Result<BTreeMap<String, usize>, DbError> {
    let counted: Vec<(String, i64)> = requests::table
        .inner_join(builders::table)
        .filter(waits())
        .group_by(builders::name)
        .select((builders::name, count_star()))
        .load(conn.engine()?)?;
    Ok(counted.into_iter().map(|(name, count)| (name, usize::try_from(count).unwrap_or(0))).collect())
}

pub fn find(conn: &mut Conn, id: i64) -> Result<Option<BuildRequest>, DbError> {
    let row: Option<(RequestRow, String)> = requests::table
        .inner_join(builders::table)
        .filter(requests::id.eq(id))
        .select((RequestRow::as_select(), builders::name))
        .first(conn.engine()?)
        .optional()?;
    Ok(with_builds(conn, row.into_iter().collect())?.pop())
}

/// The newest requests of a builder, whatever became of them, newest first; only ids below `before` if given.
pub fn recent(conn: &mut Conn, builder: &str, limit: i64, before: Option<i64>) -> Result<Vec<BuildRequest>, DbError> {
    let Some(id) = builder::id(conn, builder)? else {
        return Ok(Vec::new());
    };
    let rows: Vec<(RequestRow, String)> = requests::table
        .inner_join(builders::table)
        .filter(requests::builder_id.eq(id))
        .filter(requests::id.lt(before.unwrap_or(i64::MAX)))
        .order(requests::id.desc())
        .limit(limit.max(0))
        .select((RequestRow::as_select(), builders::name))
        .load(conn.engine()?)?;
    with_builds(conn, rows)
}

/// All requests of a buildset, in the order they were submitted.
pub fn of_buildset(conn: &mut Conn, buildset: i64) -> Result<Vec<BuildRequest>, DbError> {
    let rows: Vec<(RequestRow, String)> = requests::table
        .inner_join(builders::table)
        .filter(requests::buildset_id.eq(buildset))
        .order(requests::id)
        .select((RequestRow::as_select(), builders::name))
        .load(conn.engine()?)?;
    with_builds(conn, rows)
}

pub fn buildset(conn: &mut Conn, id: i64) -> Result<Option<Buildset>, DbError> {
    let row: Option<BuildsetRow> =
        buildsets::table.find(id).select(BuildsetRow::as_select()).first(conn.engine()?).optional()?;
    row.map(BuildsetRow::buildset).transpose()
}

/// Buildsets of this scheduler that are complete, with ids above `after`, oldest first.
pub fn complete_buildsets(conn: &mut Conn, scheduler: &str, after: i64, limit: i64) -> Result<Vec<Buildset>, DbError> {
    let rows: Vec<BuildsetRow> = buildsets::table
        .filter(buildsets::scheduler.eq(scheduler))
        .filter(buildsets::id.gt(after))
        .filter(buildsets::complete_at.is_not_null())
        .order(buildsets::id)
        .limit(limit.max(0))
        .select(BuildsetRow::as_select())
        .load(conn.engine()?)?;
    rows.into_iter().map(BuildsetRow::buildset).collect()
}

/// Adds the numbers of the builds made for each.
fn with_builds(conn: &mut Conn, rows: Vec<(RequestRow, String)>) -> Result<Vec<BuildRequest>, DbError> {
    let ids: Vec<i64> = rows.iter().map(|(row, _)| row.id).collect();
    let mut builds: HashMap<i64, Vec<i64>> = HashMap::new();
    for some in ids.chunks(400) {
        let links: Vec<(i64, i64)> = request_builds::table
            .filter(request_builds::request_id.eq_any(some))
            .order((request_builds::request_id, request_builds::number))
            .select((request_builds::request_id, request_builds::number))
            .load(conn.engine()?)?;
        for (request, number) in links {
            builds.entry(request).or_default().push(number);
        }
    }
    let request = |(row, builder): (RequestRow, String)| {
        Ok(BuildRequest {
            id: row.id,
            buildset: row.buildset_id,
            builder,
            source_stamps: from_json("requests.source_stamps", &row.source_stamps)?,
            reason: row.reason,
            properties: from_json("requests.properties", &row.properties)?,
            priority: row.priority,
            submitted_at: Time(row.submitted_at),
            builds: builds.remove(&row.id).unwrap_or_default(),
            complete_at: row.complete_at.map(Time),
            results: results("requests.results", row.results)?,
        })
    };
    rows.into_iter().map(request).collect()
}
