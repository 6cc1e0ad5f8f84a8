//! The event log, and with it everything the read model knows.

use super::apply::Texts;
use super::columns::{SharedText, from_json, json};
use super::engine::Conn;
use super::schema::events;
use super::{DbError, apply};
use crate::model::{Event, Seq, Stored, Time};
use diesel::dsl::max;
use diesel::prelude::*;
use std::sync::Arc;

/// Events whose rows have been made, on whichever thread the caller has for it.
#[derive(Debug)]
pub struct Prepared {
    events: Vec<Arc<Stored>>,
    rows: Vec<Written>,
    texts: Vec<Texts>,
}

/// Cheap to clone, as each try of a transaction takes a row of its own.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
pub(super) struct Written {
    seq: i64,
    at: i64,
    name: &'static str,
    event: SharedText,
}

/// Events above `after`, in order, at most `limit`.
pub fn after(conn: &mut Conn, after: Seq, limit: i64) -> Result<Vec<Stored>, DbError> {
    let rows: Vec<(i64, i64, String)> = events::table
        .filter(events::seq.gt(after))
        .order(events::seq)
        .limit(limit.max(0))
        .select((events::seq, events::at, events::event))
        .load(conn.engine()?)?;
    let stored = |(seq, at, text): (i64, i64, String)| {
        Ok(Stored { seq, at: Time(at), event: from_json::<Event>("events.event", &text)? })
    };
    rows.into_iter().map(stored).collect()
}

/// The number of the newest event; 0 before the first.
pub fn last(conn: &mut Conn) -> Result<Seq, DbError> {
    let last: Option<Seq> = events::table.select(max(events::seq)).first(conn.engine()?)?;
    Ok(last.unwrap_or(0))
}

/// The number of the oldest event still kept; `None` while there is none. What is older has been retired.
pub fn first(conn: &mut Conn) -> Result<Option<Seq>, DbError> {
    Ok(events::table.select(diesel::dsl::min(events::seq)).first(conn.engine()?)?)
}

/// Makes the rows of these events.
pub fn prepare(events: Vec<Stored>) -> Result<Arc<Prepared>, DbError> {
    let row = |stored: &Stored| {
        Ok(Written {
            seq: stored.seq,
            at: stored.at.0,
            name: stored.event.name(),
            event: SharedText::from(json(&stored.event)?),
        })
    };
    let rows = events.iter().map(row).collect::<Result<_, DbError>>()?;
    let texts = events.iter().map(|stored| Texts::of(&stored.event)).collect::<Result<_, _>>()?;
    Ok(Arc::new(Prepared { events: events.into_iter().map(Arc::new).collect(), rows, texts }))
}

impl Prepared {
    pub fn events(&self) -> &[Arc<Stored>] {
        &self.events
    }

    pub(super) fn rows(&self) -> &[Written] {
        &self.rows
    }
}

/// Stores events under the numbers they carry and brings the read model up to date with them.
///
/// Most rows are written when the transaction ends, or somebody asks for them: those of all jobs of a group together,
/// which is much cheaper. A number given twice so shows only then, and is the fault of its job all the same.
pub fn append(conn: &mut Conn, prepared: &Arc<Prepared>) -> Result<(), DbError> {
    conn.unwritten().events.push(prepared.clone());
    conn.effects.events.push(prepared.clone());
    let mut events = prepared.events.iter().zip(&prepared.texts);
    events.try_for_each(|(stored, texts)| apply::event(conn, stored.at, &stored.event, texts))
}
