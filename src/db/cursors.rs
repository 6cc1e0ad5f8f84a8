//! How far each durable target has read the event log.

use super::DbError;
use super::engine::{Conn, each, kept};
use super::schema::cursors;
use crate::model::Seq;
use diesel::dsl::min;
use diesel::prelude::*;

/// The last event this target has turned into deliveries; `None` for a target never seen.
pub fn get(conn: &mut Conn, target: &str) -> Result<Option<Seq>, DbError> {
    Ok(cursors::table.find(target).select(cursors::seq).first(conn.engine()?).optional()?)
}

pub fn put(conn: &mut Conn, target: &str, seq: Seq) -> Result<(), DbError> {
    let row = (cursors::target.eq(target), cursors::seq.eq(seq));
    each!(conn, |c| kept!(
        diesel::insert_into(cursors::table)
            .values(row)
            .on_conflict(cursors::target)
            .do_update()
            .set(cursors::seq.eq(seq))
    )
    .execute(c))?;
    Ok(())
}

/// Forgets a target that is no longer configured, so that the event log is not kept for it.
pub fn remove(conn: &mut Conn, target: &str) -> Result<(), DbError> {
    diesel::delete(cursors::table.find(target)).execute(conn.engine()?)?;
    Ok(())
}

/// The names of all targets that have one.
pub fn targets(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    Ok(cursors::table.select(cursors::target).order(cursors::target).load(conn.engine()?)?)
}

/// Where the slowest target is.
pub(super) fn slowest(conn: &mut Conn) -> Result<Option<Seq>, DbError> {
    Ok(cursors::table.select(min(cursors::seq)).first(conn.engine()?)?)
}
