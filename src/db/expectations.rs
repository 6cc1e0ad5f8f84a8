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

/// Seconds by the name of a step.
pub type Seconds = BTreeMap<String, f64>;

/// Seconds each step of this builder took in earlier successful builds (first verbatim, later ones
/// averaged with weight 0.5), by step name. Kept by the database as builds finish.
pub fn of(conn: &mut Conn, builder: &str) -> Result<Seconds, DbError> {
    match super::builders::id(conn, builder)? {
        Some(id) => of_row(conn, id),
        None => Ok(Seconds::new()),
    }
}

fn of_row(conn: &mut Conn, builder: i64) -> Result<Seconds, DbError> {
    let row = expectations::table.find(builder).select(expectations::seconds);
    let text: Option<String> = row.first(conn.engine()?).optional()?;
    text.map_or_else(|| Ok(Seconds::new()), |text| from_json("expectations.seconds", &text))
}

/// Learns from a successful build.
pub(super) fn learn(conn: &mut Conn, builder: i64, build: &Build) -> Result<(), DbError> {
    let before = match conn.unwritten().expectations.remove(&builder) {
        Some(unwritten) => Some(unwritten),
        None => conn.known.expectations.remove(&builder),
    };
    let mut seconds = before.map_or_else(|| of_row(conn, builder), Ok)?;
    for step in &build.steps {
        let (Some(started), Some(finished)) = (step.started, step.finished) else {
            continue;
        };
        let took = finished.since(started).as_secs_f64();
        match seconds.get_mut(&step.name) {
            Some(before) => *before = *before * (1.0 - WEIGHT) + took * WEIGHT,
            None => drop(seconds.insert(step.name.clone(), took)),
        }
    }
    conn.unwritten().expectations.insert(builder, seconds);
    Ok(())
}

/// Writes what a builder has learnt.
pub(super) fn put(conn: &mut Conn, builder: i64, seconds: Seconds) -> Result<(), DbError> {
    let text = json(&seconds)?;
    let row = (expectations::builder_id.eq(builder), expectations::seconds.eq(&text));
    each!(conn, |c| kept!(
        diesel::insert_into(expectations::table)
            .values(row)
            .on_conflict(expectations::builder_id)
            .do_update()
            .set(expectations::seconds.eq(&text))
    )
    .execute(c))?;
    conn.known.expectations.insert(builder, seconds);
    Ok(())
}
