//! Deliveries of the durable targets: what is still to be sent, and the ledger of what was.

use super::DbError;
use super::columns::{clean, clean_option, from_json, json, micros};
use super::engine::{Conn, MultiBackend, each, kept};
use super::schema::outbox;
use crate::model::{Seq, Time};
use diesel::dsl::not;
use diesel::prelude::*;
use serde_json::Value;

/// One thing to be sent to one destination.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Delivery {
    /// `<target>/<seq>` with `/<n>` where one event makes several; always the same payload.
    pub id: String,
    pub target: String,
    pub destination: String,
    /// Only the newest waiting one per key of a target is sent.
    pub key: Option<String>,
    /// None of a lane goes before an older one of it that is unfinished.
    pub lane: Option<String>,
    /// What it is, in words: `buildbot failure in Widget Foundry on linux, to ann@example.org`.
    pub about: Option<String>,
    pub seq: Seq,
    pub payload: Value,
    pub state: State,
    pub attempts: i32,
    pub created: Time,
    pub last_try: Option<Time>,
    pub next_try: Time,
    /// The answer or error of the last attempt.
    pub detail: Option<String>,
}

/// An unfinished delivery as far as it takes to know when its turn is; without what is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub id: String,
    pub key: Option<String>,
    pub lane: Option<String>,
    pub seq: Seq,
    pub next_try: Time,
    /// It was offered and not taken, which was no attempt.
    pub left: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Waiting,
    Sending,
    Delivered,
    Retrying,
    /// Given up; people may have it sent again.
    Dead,
    Superseded,
    /// Given up for good: somebody said so, or its target is no longer configured.
    Dropped,
}

impl State {
    const ALL: [State; 7] = [
        State::Waiting,
        State::Sending,
        State::Delivered,
        State::Retrying,
        State::Dead,
        State::Superseded,
        State::Dropped,
    ];

    pub(super) fn code(self) -> i16 {
        self as i16
    }

    fn from_code(code: i16) -> Result<State, DbError> {
        let found = usize::try_from(code).ok().and_then(|code| State::ALL.get(code).copied());
        found.ok_or_else(|| DbError::Decode { column: "outbox.state", what: code.to_string() })
    }

    /// Something is still to be done for it.
    pub fn is_unfinished(self) -> bool {
        match self {
            State::Waiting | State::Sending | State::Retrying => true,
            State::Delivered | State::Dead | State::Superseded | State::Dropped => false,
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct Row {
    id: String,
    target: String,
    destination: String,
    key: Option<String>,
    seq: i64,
    payload: String,
    state: i16,
    attempts: i32,
    created: i64,
    last_try: Option<i64>,
    next_try: i64,
    detail: Option<String>,
    lane: Option<String>,
    about: Option<String>,
}

impl Row {
    fn delivery(self) -> Result<Delivery, DbError> {
        Ok(Delivery {
            id: self.id,
            target: self.target,
            destination: self.destination,
            key: self.key,
            lane: self.lane,
            about: self.about,
            seq: self.seq,
            payload: from_json("outbox.payload", &self.payload)?,
            state: State::from_code(self.state)?,
            attempts: self.attempts,
            created: Time(self.created),
            last_try: self.last_try.map(Time),
            next_try: Time(self.next_try),
            detail: self.detail,
        })
    }
}

/// Inserts; an id already there is left as it is. A keyed one supersedes the waiting ones of its key.
///
/// One that is being sent at the moment is not superseded: it may already have arrived.
pub fn insert(conn: &mut Conn, deliveries: &[Delivery]) -> Result<(), DbError> {
    for delivery in deliveries {
        let row = (
            outbox::id.eq(&delivery.id),
            outbox::target.eq(&delivery.target),
            outbox::destination.eq(&delivery.destination),
            outbox::key.eq(&delivery.key),
            outbox::lane.eq(clean_option(delivery.lane.as_deref())),
            outbox::about.eq(clean_option(delivery.about.as_deref())),
            outbox::seq.eq(delivery.seq),
            outbox::payload.eq(json(&delivery.payload)?),
            outbox::state.eq(delivery.state.code()),
            outbox::unfinished.eq(delivery.state.is_unfinished()),
            outbox::attempts.eq(delivery.attempts),
            outbox::created.eq(delivery.created.0),
            outbox::last_try.eq(micros(delivery.last_try)),
            outbox::next_try.eq(delivery.next_try.0),
            outbox::detail.eq(clean_option(delivery.detail.as_deref())),
        );
        let inserted =
            each!(conn, |c| kept!(diesel::insert_into(outbox::table).values(row).on_conflict_do_nothing()).execute(c))?;
        if let Some(key) = &delivery.key
            && inserted > 0
        {
            let earlier = outbox::table
                .filter(outbox::unfinished)
                .filter(outbox::target.eq(&delivery.target))
                .filter(outbox::key.eq(key))
                .filter(outbox::id.ne(&delivery.id))
                .filter(outbox::state.ne(State::Sending.code()));
            each!(conn, |c| kept!(
                diesel::update(earlier).set((outbox::state.eq(State::Superseded.code()), outbox::unfinished.eq(false)))
            )
            .execute(c))?;
        }
    }
    Ok(())
}

/// The oldest unfinished ones for a destination of a target, in order, at most `limit`, whether due or not.
pub fn unfinished(conn: &mut Conn, target: &str, destination: &str, limit: i64) -> Result<Vec<Waiting>, DbError> {
    let columns = (
        outbox::id,
        outbox::key,
        outbox::lane,
        outbox::seq,
        outbox::next_try,
        // It was offered and not taken, which was no attempt.
        outbox::attempts.eq(0).and(outbox::last_try.is_not_null()),
    );
    type Columns = (String, Option<String>, Option<String>, Seq, i64, bool);
    let rows: Vec<Columns> = outbox::table
        .filter(outbox::unfinished)
        .filter(outbox::target.eq(target))
        .filter(outbox::destination.eq(destination))
        .order(outbox::place)
        .limit(limit.max(0))
        .select(columns)
        .load(conn.engine()?)?;
    let waiting = |(id, key, lane, seq, next_try, left)| Waiting { id, key, lane, seq, next_try: Time(next_try), left };
    Ok(rows.into_iter().map(waiting).collect())
}

/// These deliveries in the order they were made; those that are gone are left out.
pub fn by_ids(conn: &mut Conn, ids: &[String]) -> Result<Vec<Delivery>, DbError> {
    let mut rows: Vec<(i64, Row)> = Vec::with_capacity(ids.len());
    for some in ids.chunks(400) {
        let wanted = outbox::table.filter(outbox::id.eq_any(some));
        rows.extend(wanted.select((outbox::place, Row::as_select())).load::<(i64, Row)>(conn.engine()?)?);
    }
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row.delivery()).collect()
}

/// Notes that newer ones of their keys have taken the place of these.
pub fn supersede(conn: &mut Conn, ids: &[String]) -> Result<(), DbError> {
    let superseded = (outbox::state.eq(State::Superseded.code()), outbox::unfinished.eq(false));
    for id in ids {
        each!(conn, |c| kept!(diesel::update(outbox::table.filter(outbox::id.eq(id))).set(superseded)).execute(c))?;
    }
    Ok(())
}

/// Destinations of a target with unfinished deliveries.
pub fn destinations(conn: &mut Conn, target: &str) -> Result<Vec<String>, DbError> {
    let mut found: Vec<String> = Vec::new();
    loop {
        // From one to the next along the index, so that a long queue for one of them costs nothing.
        let next: Option<String> = outbox::table
            .filter(outbox::unfinished)
            .filter(outbox::target.eq(target))
            .filter(outbox::destination.gt(found.last().map_or("", String::as_str)))
            .order(outbox::destination)
            .select(outbox::destination)
            .first(conn.engine()?)
            .optional()?;
        match next {
            Some(destination) => found.push(destination),
            None => return Ok(found),
        }
    }
}

/// Writes state, attempts, last_try, next_try and detail of these back.
pub fn update(conn: &mut Conn, deliveries: &[Delivery]) -> Result<(), DbError> {
    for delivery in deliveries {
        each!(conn, |c| kept!(diesel::update(outbox::table.filter(outbox::id.eq(&delivery.id))).set((
            outbox::state.eq(delivery.state.code()),
            outbox::unfinished.eq(delivery.state.is_unfinished()),
            outbox::attempts.eq(delivery.attempts),
            outbox::last_try.eq(micros(delivery.last_try)),
            outbox::next_try.eq(delivery.next_try.0),
            outbox::detail.eq(delivery.detail.as_deref().map(clean)),
        )))
        .execute(c))?;
    }
    Ok(())
}

/// Lets a delivery wait as if it had been made at `now`; it keeps its place in the order.
pub fn renew(conn: &mut Conn, id: &str, now: Time) -> Result<(), DbError> {
    each!(conn, |c| kept!(diesel::update(outbox::table.filter(outbox::id.eq(id))).set((
        outbox::state.eq(State::Waiting.code()),
        outbox::unfinished.eq(true),
        outbox::attempts.eq(0),
        outbox::created.eq(now.0),
        outbox::next_try.eq(now.0),
    )))
    .execute(c))?;
    Ok(())
}

/// Whether a newer one of its key waits or has been sent. Looks at all of the target that are newer: for orders of
/// people, not for every delivery.
pub fn is_overtaken(conn: &mut Conn, delivery: &Delivery) -> Result<bool, DbError> {
    let Some(key) = &delivery.key else { return Ok(false) };
    let newer: Option<i64> = outbox::table
        .filter(outbox::target.eq(&delivery.target))
        .filter(outbox::created.ge(delivery.created.0))
        .filter(outbox::key.eq(key))
        .filter(outbox::seq.gt(delivery.seq))
        .filter(outbox::state.ne(State::Dead.code()))
        .filter(outbox::state.ne(State::Dropped.code()))
        .select(outbox::place)
        .first(conn.engine()?)
        .optional()?;
    Ok(newer.is_some())
}

/// Drops at most `limit` of what a target has not sent, dead ones too; answers with how many, 0 once there are none.
pub fn drop_unsent(conn: &mut Conn, target: &str, why: &str, limit: i64) -> Result<usize, DbError> {
    let of_target = outbox::table.filter(outbox::target.eq(target)).limit(limit.max(0));
    let mut places: Vec<i64> = of_target.filter(outbox::unfinished).select(outbox::place).load(conn.engine()?)?;
    if places.is_empty() {
        places = of_target
            .filter(not(outbox::unfinished))
            .filter(outbox::state.eq(State::Dead.code()))
            .select(outbox::place)
            .load(conn.engine()?)?;
    }
    let dropped = outbox::table.filter(outbox::place.eq_any(&places));
    // Its text varies with how many there are, so it is not kept.
    each!(conn, |c| diesel::update(dropped)
        .set((outbox::state.eq(State::Dropped.code()), outbox::unfinished.eq(false), outbox::detail.eq(clean(why)),))
        .execute(c))?;
    Ok(places.len())
}

pub fn find(conn: &mut Conn, id: &str) -> Result<Option<Delivery>, DbError> {
    let row: Option<Row> =
        outbox::table.filter(outbox::id.eq(id)).select(Row::as_select()).first(conn.engine()?).optional()?;
    row.map(Row::delivery).transpose()
}

/// How many deliveries of a target are unfinished.
pub fn backlog(conn: &mut Conn, target: &str) -> Result<i64, DbError> {
    Ok(outbox::table.filter(outbox::unfinished).filter(outbox::target.eq(target)).count().get_result(conn.engine()?)?)
}

/// Newest first, for the ledger; only ids created before `before`.
pub fn ledger(
    conn: &mut Conn,
    target: Option<&str>,
    before: Option<Time>,
    limit: i64,
) -> Result<Vec<Delivery>, DbError> {
    listed(conn, outbox::table.into_boxed::<MultiBackend>(), target, before, limit)
}

/// The dead ones alone, in the same order.
pub fn dead(conn: &mut Conn, target: Option<&str>, before: Option<Time>, limit: i64) -> Result<Vec<Delivery>, DbError> {
    let dead = outbox::table.filter(not(outbox::unfinished)).filter(outbox::state.eq(State::Dead.code()));
    listed(conn, dead.into_boxed::<MultiBackend>(), target, before, limit)
}

fn listed(
    conn: &mut Conn,
    query: outbox::BoxedQuery<'_, MultiBackend>,
    target: Option<&str>,
    before: Option<Time>,
    limit: i64,
) -> Result<Vec<Delivery>, DbError> {
    let mut query = query.limit(limit.max(0));
    if let Some(target) = target {
        query = query.filter(outbox::target.eq(target.to_owned()));
    }
    if let Some(before) = before {
        query = query.filter(outbox::created.lt(before.0));
    }
    let rows: Vec<Row> =
        query.order((outbox::created.desc(), outbox::place.desc())).select(Row::as_select()).load(conn.engine()?)?;
    rows.into_iter().map(Row::delivery).collect()
}
