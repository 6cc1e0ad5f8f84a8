//! What change hooks were sent lately, what came of it, and which deliveries were accepted.
//!
//! Requests are kept for people to look at and replay, refused ones apart from the others so that strangers cannot push
//! those out; they go when there are too many or they are too large together. What a sender calls an accepted delivery
//! is remembered much longer, with the answer it got.

use super::DbError;
use super::columns::{clean, clean_option, from_json, json};
use super::engine::{Conn, each};
use super::schema::{hook_deliveries, hook_requests};
use crate::model::Time;
use diesel::dsl::max;
use diesel::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// How many requests are kept, of accepted and of refused ones each.
const MOST: i64 = 1_000;

/// How many bytes their bodies may have together; the newest is kept whatever it has.
const MOST_BYTES: i64 = 256 << 20;

/// Looked at once for so many requests.
const TIDY_EVERY: i64 = 50;

/// How long a delivery is known by what its sender calls it.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

const LEVEL: i32 = 3;

/// The body of a request, compressed by whoever has it stored: the thread that writes has better to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Arc<[u8]>);

impl Packed {
    /// Takes a moment for megabytes.
    pub fn of(body: &[u8]) -> Packed {
        Packed(zstd::encode_all(body, LEVEL).expect("memory can be read and written").into())
    }

    /// The body again.
    ///
    /// # Errors
    /// Where it is not what was packed.
    pub fn open(&self) -> Result<Vec<u8>, DbError> {
        let damaged = |cause: std::io::Error| DbError::Decode { column: "hook_requests.body", what: cause.to_string() };
        zstd::decode_all(&*self.0).map_err(damaged)
    }
}

/// One request of a change hook and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Drawn from [`Ids`](super::Ids).
    pub id: i64,
    pub received: Time,
    pub dialect: String,
    /// What its sender calls it, the same when it sends it again.
    pub delivery: Option<String>,
    /// `push`; empty where it was refused before that was known.
    pub event: String,
    /// Of the answer.
    pub status: u16,
    /// The body of the answer.
    pub answer: String,
    /// Why there was nothing to add, or why it was refused.
    pub reason: String,
    /// Numbers of the changes that it brought.
    pub changes: Vec<i64>,
    /// It was made of this one by somebody.
    pub replay_of: Option<i64>,
    pub method: String,
    /// Without secrets.
    pub query: String,
    /// Those that say what it is, names in lower case; without secrets.
    pub headers: Vec<(String, String)>,
    /// How long the body was; more than there is of it where it was refused and long.
    pub size: i64,
    /// Not read for lists.
    pub body: Packed,
}

impl Received {
    pub fn is_accepted(&self) -> bool {
        self.status < 300
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = hook_requests)]
struct Row {
    id: i64,
    received: i64,
    dialect: String,
    delivery: Option<String>,
    event: String,
    status: i16,
    answer: String,
    reason: String,
    changes: String,
    replay_of: Option<i64>,
    method: String,
    query: String,
    headers: String,
    size: i64,
}

impl Row {
    fn received(self, body: Packed) -> Result<Received, DbError> {
        Ok(Received {
            id: self.id,
            received: Time(self.received),
            dialect: self.dialect,
            delivery: self.delivery,
            event: self.event,
            status: u16::try_from(self.status).unwrap_or_default(),
            answer: self.answer,
            reason: self.reason,
            changes: from_json("hook_requests.changes", &self.changes)?,
            replay_of: self.replay_of,
            method: self.method,
            query: self.query,
            headers: from_json("hook_requests.headers", &self.headers)?,
            size: self.size,
            body,
        })
    }
}

/// Newest first, without bodies; only those before `before` if given.
pub fn recent(conn: &mut Conn, count: i64, before: Option<i64>) -> Result<Vec<Received>, DbError> {
    let rows: Vec<Row> = hook_requests::table
        .filter(hook_requests::id.lt(before.unwrap_or(i64::MAX)))
        .order(hook_requests::id.desc())
        .limit(count.max(0))
        .select(Row::as_select())
        .load(conn.engine()?)?;
    rows.into_iter().map(|row| row.received(Packed::default())).collect()
}

/// One with its body.
pub fn find(conn: &mut Conn, id: i64) -> Result<Option<Received>, DbError> {
    let found: Option<(Row, Vec<u8>)> = hook_requests::table
        .find(id)
        .select((Row::as_select(), hook_requests::body))
        .first(conn.engine()?)
        .optional()?;
    found.map(|(row, body)| row.received(Packed(body.into()))).transpose()
}

/// Status and body of the answer that an accepted delivery got.
pub fn answer_to(conn: &mut Conn, dialect: &str, delivery: &str) -> Result<Option<(u16, String)>, DbError> {
    let found: Option<(i16, String)> = hook_deliveries::table
        .find((dialect, delivery))
        .select((hook_deliveries::status, hook_deliveries::answer))
        .first(conn.engine()?)
        .optional()?;
    Ok(found.map(|(status, answer)| (u16::try_from(status).unwrap_or_default(), answer)))
}

/// Keeps a request.
///
/// # Errors
/// [`DbError::Repeated`] for one that is there already, and for a delivery that has been accepted before.
pub fn put(conn: &mut Conn, received: &Received) -> Result<(), DbError> {
    let status = i16::try_from(received.status).unwrap_or(i16::MAX);
    if let Some(delivery) = received.delivery.as_ref().filter(|_| received.is_accepted()) {
        let row = (
            hook_deliveries::dialect.eq(&received.dialect),
            hook_deliveries::delivery.eq(delivery),
            hook_deliveries::received.eq(received.received.0),
            hook_deliveries::status.eq(status),
            hook_deliveries::answer.eq(clean(&received.answer)),
        );
        new(each!(conn, |c| diesel::insert_into(hook_deliveries::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(c))?)?;
    }
    let row = (
        hook_requests::id.eq(received.id),
        hook_requests::received.eq(received.received.0),
        hook_requests::dialect.eq(clean(&received.dialect)),
        hook_requests::delivery.eq(clean_option(received.delivery.as_deref())),
        hook_requests::event.eq(clean(&received.event)),
        hook_requests::status.eq(status),
        hook_requests::accepted.eq(received.is_accepted()),
        hook_requests::answer.eq(clean(&received.answer)),
        hook_requests::reason.eq(clean(&received.reason)),
        hook_requests::changes.eq(json(&received.changes)?),
        hook_requests::replay_of.eq(received.replay_of),
        hook_requests::method.eq(clean(&received.method)),
        hook_requests::query.eq(clean(&received.query)),
        hook_requests::headers.eq(json(&received.headers)?),
        hook_requests::size.eq(received.size),
        hook_requests::body.eq(&*received.body.0),
    );
    new(each!(conn, |c| diesel::insert_into(hook_requests::table).values(row).on_conflict_do_nothing().execute(c))?)?;
    if received.id % TIDY_EVERY == 0 { tidy(conn) } else { Ok(()) }
}

fn new(rows: usize) -> Result<(), DbError> {
    if rows == 0 { Err(DbError::Repeated) } else { Ok(()) }
}

/// Deletes what is too much.
fn tidy(conn: &mut Conn) -> Result<(), DbError> {
    for accepted in [true, false] {
        let alike = hook_requests::table.filter(hook_requests::accepted.eq(accepted));
        let sizes: Vec<(i64, i64)> = alike
            .order(hook_requests::id.desc())
            .limit(MOST + 1)
            .select((hook_requests::id, hook_requests::size))
            .load(conn.engine()?)?;
        if let Some(last) = first_too_much(&sizes) {
            diesel::delete(alike.filter(hook_requests::id.le(last))).execute(conn.engine()?)?;
        }
    }
    let newest: Option<i64> = hook_deliveries::table.select(max(hook_deliveries::received)).first(conn.engine()?)?;
    if let Some(newest) = newest {
        let end = (Time(newest) - REMEMBERED).0;
        diesel::delete(hook_deliveries::table.filter(hook_deliveries::received.lt(end))).execute(conn.engine()?)?;
    }
    Ok(())
}

/// The newest of those that are too many, or too large together; newest first, the very newest never.
fn first_too_much(sizes: &[(i64, i64)]) -> Option<i64> {
    let mut bytes = 0;
    let mut too_much = sizes.iter().enumerate().filter(|(index, (_, size))| {
        bytes += size;
        *index > 0 && (*index as i64 >= MOST || bytes > MOST_BYTES)
    });
    too_much.next().map(|(_, (id, _))| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_goes_and_the_newest_stays() {
        assert_eq!(first_too_much(&[(9, MOST_BYTES * 2)]), None);
        assert_eq!(first_too_much(&[(9, MOST_BYTES), (8, 1), (7, 1)]), Some(8));
        let many: Vec<(i64, i64)> = (0..=MOST).rev().map(|id| (id, 1)).collect();
        assert_eq!((first_too_much(&many), first_too_much(&many[..MOST as usize])), (Some(0), None));
    }
}
