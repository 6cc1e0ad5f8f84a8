//! High-water marks, so that no number is given twice when the newest of something has been deleted.
//!
//! Whoever deletes writes them, in the same transaction: the janitor, and [`users`](super::users). As long as nothing is deleted, the highest number
//! stored is mark enough. Build numbers need none: a builder's newest build is never deleted.

use super::DbError;
use super::engine::{Conn, each, kept};
use super::schema::counters;
use diesel::prelude::*;

pub const CHANGE: &str = "change";
pub const BUILDSET: &str = "buildset";
pub const REQUEST: &str = "request";
pub const LOG: &str = "log";
pub const USER: &str = "user";

/// The highest number ever seen under this name at the last deletion; 0 if there was none.
pub fn get(conn: &mut Conn, name: &str) -> Result<i64, DbError> {
    let value = counters::table.find(name).select(counters::value).first(conn.engine()?).optional()?;
    Ok(value.unwrap_or(0))
}

/// Raises the mark to `value` unless it is higher.
pub fn raise(conn: &mut Conn, name: &str, value: i64) -> Result<(), DbError> {
    if get(conn, name)? < value {
        let row = (counters::name.eq(name), counters::value.eq(value));
        each!(conn, |c| kept!(
            diesel::insert_into(counters::table)
                .values(row)
                .on_conflict(counters::name)
                .do_update()
                .set(counters::value.eq(value))
        )
        .execute(c))?;
    }
    Ok(())
}
