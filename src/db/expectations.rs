//! How long steps took before.

use super::DbError;
use super::columns::{from_json, json};
use super::engine::{Conn, each, kept};
use super::schema::expectations;
use crate::model::Build;
use diesel::prelude::*;
use std::collections::BTreeMap;

/// What the newest build weighs against all before it.
const WEIGHT: f64 = 0.5;

/// Seconds each step of this builder took in earlier successful builds (first verbatim, later ones
/// averaged with weight 0.5), by step name. Kept by the database as builds finish.
pub fn of(conn: &mut Conn, builder: &str) -> Result<BTreeMap<String, f64>, DbError> {
    match super::builders::id(conn, builder)? {
        Some(id) => of_row(conn, id),
        None => Ok(BTreeMap::new()),
    }
}

fn of_row(conn: &mut Conn, builder: i64) -> Result<BTreeMap<String, f64>, DbError> {
    let row = expectations::table.find(builder).select(expectations::seconds);
    let text: Option<String> = row.first(&mut conn.engine).optional()?;
    text.map_or_else(|| Ok(BTreeMap::new()), |text| from_json("expectations.seconds", &text))
}

/// Learns from a successful build.
pub(super) fn learn(conn: &mut Conn, builder: i64, build: &Build) -> Result<(), DbError> {
    let mut known = match conn.known.expectations.remove(&builder) {
        Some(known) => known,
        None => of_row(conn, builder)?,
    };
    for step in &build.steps {
        let (Some(started), Some(finished)) = (step.started, step.finished) else {
            continue;
        };
        let took = finished.since(started).as_secs_f64();
        let learnt = |before: &mut f64| *before = *before * (1.0 - WEIGHT) + took * WEIGHT;
        known.entry(step.name.clone()).and_modify(learnt).or_insert(took);
    }
    let seconds = json(&known)?;
    conn.known.expectations.insert(builder, known);
    let row = (expectations::builder_id.eq(builder), expectations::seconds.eq(&seconds));
    each!(conn, |c| kept!(
        diesel::insert_into(expectations::table)
            .values(row)
            .on_conflict(expectations::builder_id)
            .do_update()
            .set(expectations::seconds.eq(&seconds))
    )
    .execute(c))?;
    Ok(())
}
