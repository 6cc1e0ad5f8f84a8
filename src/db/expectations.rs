//! How long steps took before.

use super::DbError;
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
    let rows: Vec<(String, f64)> = expectations::table
        .filter(expectations::builder_id.eq(builder))
        .select((expectations::step, expectations::seconds))
        .load(&mut conn.engine)?;
    Ok(rows.into_iter().collect())
}

/// Learns from a successful build.
pub(super) fn learn(conn: &mut Conn, builder: i64, build: &Build) -> Result<(), DbError> {
    let known = of_row(conn, builder)?;
    for step in &build.steps {
        let (Some(started), Some(finished)) = (step.started, step.finished) else {
            continue;
        };
        let took = finished.since(started).as_secs_f64();
        let seconds = known.get(&step.name).map_or(took, |before| before * (1.0 - WEIGHT) + took * WEIGHT);
        let name = super::columns::clean(&step.name);
        let row = (
            expectations::builder_id.eq(builder),
            expectations::step.eq(name.as_ref()),
            expectations::seconds.eq(seconds),
        );
        each!(conn, |c| kept!(
            diesel::insert_into(expectations::table)
                .values(row)
                .on_conflict((expectations::builder_id, expectations::step))
                .do_update()
                .set(expectations::seconds.eq(seconds))
        )
        .execute(c))?;
    }
    Ok(())
}
