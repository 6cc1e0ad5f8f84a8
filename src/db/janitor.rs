//! Retention: what lies beyond the horizons goes, a little at a time.
//!
//! Every job deletes few rows and waits its turn like any other, so the janitor never holds up writing.
//!
//! Always kept: what runs, each builder's newest finished build, every event some target has still to read, and
//! every number ever given (see `counters`).
//!
//! Not here: when to sweep. Whoever starts Signalbox calls [`sweep`] from time to time.

use super::engine::{Conn, Engine, each, kept};
use super::outbox::State;
use super::schema::{
    builder_events, builders, builds, buildsets, changes, events, log_chunks, logs, outbox, request_builds, requests,
    worker_connects, workers,
};
use super::{Db, DbError, counters, cursors, events as event_log};
use crate::config::Horizons;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

/// No job deletes more rows than this.
const ROWS: i64 = 200;

/// No job deletes more pieces of log text than this, as they are large.
const PIECES: i64 = 50;

/// The event log is never cut below this, however small `eventHorizon` is: whoever follows it may have been away.
const EVENTS: i64 = 10_000;

/// Deliveries that failed for good are kept for people to look at and resend, up to this many.
const DEAD: i64 = 1_000;

/// Times a worker connected, per worker.
const CONNECTS: i64 = 1_000;

/// How much was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub builds: u64,
    /// Builds whose logs went.
    pub logs: u64,
    /// Of the event log.
    pub events: u64,
    /// Boxes of the waterfall.
    pub builder_events: u64,
    pub changes: u64,
    pub requests: u64,
    pub deliveries: u64,
}

/// Deletes everything beyond the horizons; returns when it is done.
pub async fn sweep(db: &Db, horizons: &Horizons) -> Result<Swept, DbError> {
    let mut swept = Swept::default();
    let builders: Vec<i64> = db.read(|conn| Ok(builders::table.select(builders::id).load(conn.engine()?)?)).await?;
    // 0.8 writes 0 for a horizon that is not there.
    let horizon = |horizon: Option<i64>| horizon.filter(|kept| *kept > 0);
    for builder in builders.iter().copied() {
        if let Some(kept) = horizon(horizons.logs) {
            swept.logs += until_none(db, move |conn| old_logs(conn, builder, kept)).await?;
        }
        if let Some(kept) = horizon(horizons.builds) {
            swept.builds += until_none(db, move |conn| old_builds(conn, builder, kept)).await?;
            swept.requests += requests_without_builds(db, builder, kept).await?;
        }
        if let Some(kept) = horizon(horizons.events) {
            swept.builder_events += until_none(db, move |conn| old_builder_events(conn, builder, kept)).await?;
        }
    }
    if let Some(kept) = horizon(horizons.events) {
        let builders = i64::try_from(builders.len()).unwrap_or(i64::MAX);
        let kept = kept.saturating_mul(builders).max(EVENTS);
        swept.events = until_none(db, move |conn| old_events(conn, kept)).await?;
        swept.deliveries = until_none(db, old_deliveries).await?;
    }
    if let Some(kept) = horizon(horizons.changes) {
        swept.changes = until_none(db, move |conn| old_changes(conn, kept)).await?;
    }
    until_none(db, old_connects).await?;
    until_none(db, give_back_room).await?;
    Ok(swept)
}

/// What one job did.
struct Done {
    /// Things of the kind that was asked for.
    count: u64,
    /// There may be more.
    more: bool,
}

impl Done {
    const NOTHING: Done = Done { count: 0, more: false };

    fn rows(count: usize) -> Done {
        Done { count: count as u64, more: count > 0 }
    }
}

/// Has the job done again until nothing is left, letting others write in between.
async fn until_none<F>(db: &Db, job: F) -> Result<u64, DbError>
where
    F: FnMut(&mut Conn) -> Result<Done, DbError> + Clone + Send + 'static,
{
    let mut count = 0;
    loop {
        let done = db.write(job.clone()).await?;
        count += done.count;
        if !done.more {
            return Ok(count);
        }
    }
}

/// The number of the oldest build of a builder that is within a horizon.
fn oldest_kept(conn: &mut Conn, builder: i64, kept: i64) -> Result<Option<i64>, DbError> {
    Ok(builds::table
        .filter(builds::builder_id.eq(builder))
        .order(builds::number.desc())
        .offset(kept - 1)
        .select(builds::number)
        .first(conn.engine()?)
        .optional()?)
}

/// Forgets the logs of the oldest build that is beyond the horizon and still has some.
fn old_logs(conn: &mut Conn, builder: i64, kept: i64) -> Result<Done, DbError> {
    let Some(oldest) = oldest_kept(conn, builder, kept)? else {
        return Ok(Done::NOTHING);
    };
    let from: i64 = builders::table.find(builder).select(builders::logs_from).first(conn.engine()?)?;
    let some: Vec<(i64, i64, bool)> = builds::table
        .filter(builds::builder_id.eq(builder))
        .filter(builds::number.ge(from))
        .filter(builds::number.lt(oldest))
        .order(builds::number)
        .limit(PIECES)
        .select((builds::id, builds::number, builds::finished.is_not_null()))
        .load(conn.engine()?)?;
    let mut done = Done::NOTHING;
    for (build, number, finished) in some {
        // One that still runs is waited for.
        if !finished {
            break;
        }
        let deleted = logs_of(conn, build)?;
        if !deleted.more {
            each!(conn, |c| kept!(
                diesel::update(builders::table.find(builder)).set(builders::logs_from.eq(number + 1))
            )
            .execute(c))?;
            done.count += u64::from(deleted.count > 0);
        }
        done.more = true;
        if deleted.count > 0 {
            break;
        }
    }
    Ok(done)
}

/// Deletes some of the text of a build's logs, or its logs once they have none; counts what went.
fn logs_of(conn: &mut Conn, build: i64) -> Result<Done, DbError> {
    let ids: Vec<i64> = logs::table.filter(logs::build_id.eq(build)).select(logs::id).load(conn.engine()?)?;
    for id in ids.iter().copied() {
        let pieces: Vec<i64> = log_chunks::table
            .filter(log_chunks::log_id.eq(id))
            .order(log_chunks::first_byte)
            .limit(PIECES + 1)
            .select(log_chunks::first_byte)
            .load(conn.engine()?)?;
        // The last few go with the log itself.
        if pieces.len() as i64 > PIECES
            && let Some(end) = pieces.last()
        {
            let old = log_chunks::table.filter(log_chunks::log_id.eq(id)).filter(log_chunks::first_byte.lt(end));
            return Ok(Done::rows(diesel::delete(old).execute(conn.engine()?)?));
        }
        diesel::delete(log_chunks::table.filter(log_chunks::log_id.eq(id))).execute(conn.engine()?)?;
    }
    if let Some(highest) = ids.iter().max() {
        counters::raise(conn, counters::LOG, *highest)?;
    }
    let deleted = diesel::delete(logs::table.filter(logs::build_id.eq(build))).execute(conn.engine()?)?;
    conn.effects.untold |= deleted > 0;
    Ok(Done { count: deleted as u64, more: false })
}

/// Deletes a few of the oldest builds beyond the horizon, with everything that is theirs alone.
fn old_builds(conn: &mut Conn, builder: i64, kept: i64) -> Result<Done, DbError> {
    let Some(oldest) = oldest_kept(conn, builder, kept)? else {
        return Ok(Done::NOTHING);
    };
    let newest_finished: Option<i64> = builds::table
        .filter(builds::builder_id.eq(builder))
        .filter(builds::finished.is_not_null())
        .order(builds::number.desc())
        .select(builds::number)
        .first(conn.engine()?)
        .optional()?;
    let some: Vec<i64> = builds::table
        .filter(builds::builder_id.eq(builder))
        .filter(builds::number.lt(oldest.min(newest_finished.unwrap_or(0))))
        .filter(builds::finished.is_not_null())
        .order(builds::number)
        .limit(8)
        .select(builds::id)
        .load(conn.engine()?)?;
    let mut done = Done::NOTHING;
    for build in some {
        done.more = true;
        if logs_of(conn, build)?.more {
            break;
        }
        let wanted: Vec<i64> = request_builds::table
            .filter(request_builds::build_id.eq(build))
            .select(request_builds::request_id)
            .load(conn.engine()?)?;
        diesel::delete(builds::table.find(build)).execute(conn.engine()?)?;
        conn.effects.untold = true;
        delete_requests(conn, &wanted)?;
        done.count += 1;
    }
    conn.known.forget();
    Ok(done)
}

/// Deletes those of these requests that are complete and have no build left, and buildsets that have no request left.
fn delete_requests(conn: &mut Conn, ids: &[i64]) -> Result<u64, DbError> {
    let mut deleted = 0;
    for id in ids {
        let built = request_builds::table.filter(request_builds::request_id.eq(requests::id));
        let buildset: Option<i64> = diesel::delete(
            requests::table
                .filter(requests::id.eq(id))
                .filter(requests::complete_at.is_not_null())
                .filter(not(exists(built))),
        )
        .returning(requests::buildset_id)
        .get_result(conn.engine()?)
        .optional()?;
        let Some(buildset) = buildset else {
            continue;
        };
        deleted += 1;
        counters::raise(conn, counters::REQUEST, *id)?;
        let left = requests::table.filter(requests::buildset_id.eq(buildsets::id));
        let gone = diesel::delete(buildsets::table.filter(buildsets::id.eq(buildset)).filter(not(exists(left))))
            .execute(conn.engine()?)?;
        if gone > 0 {
            counters::raise(conn, counters::BUILDSET, buildset)?;
        }
    }
    Ok(deleted)
}

/// Requests that never came to a build, cancelled ones above all, are kept as long as as many newer ones are.
async fn requests_without_builds(db: &Db, builder: i64, kept: i64) -> Result<u64, DbError> {
    let mut deleted = 0;
    let mut before = db
        .read(move |conn| {
            let newest = requests::table.filter(requests::builder_id.eq(builder)).order(requests::id.desc());
            let oldest_kept = newest.offset(kept - 1).select(requests::id).first(conn.engine()?).optional()?;
            Ok(oldest_kept.unwrap_or(0))
        })
        .await?;
    loop {
        let some: Vec<i64> = db
            .read(move |conn| {
                Ok(requests::table
                    .filter(requests::builder_id.eq(builder))
                    .filter(requests::id.lt(before))
                    .order(requests::id.desc())
                    .limit(ROWS)
                    .select(requests::id)
                    .load(conn.engine()?)?)
            })
            .await?;
        let Some(lowest) = some.last() else {
            return Ok(deleted);
        };
        before = *lowest;
        deleted += db.write(move |conn| delete_requests(conn, &some)).await?;
    }
}

fn old_builder_events(conn: &mut Conn, builder: i64, kept: i64) -> Result<Done, DbError> {
    let old: Vec<i64> = builder_events::table
        .filter(builder_events::builder_id.eq(builder))
        .order((builder_events::started.desc(), builder_events::id.desc()))
        .offset(kept)
        .limit(ROWS)
        .select(builder_events::id)
        .load(conn.engine()?)?;
    let old = builder_events::table.filter(builder_events::id.eq_any(old));
    let deleted = diesel::delete(old).execute(conn.engine()?)?;
    conn.effects.untold |= deleted > 0;
    Ok(Done::rows(deleted))
}

/// Cuts the event log, but not beyond what the slowest target has read.
fn old_events(conn: &mut Conn, kept: i64) -> Result<Done, DbError> {
    let Some(first) = event_log::first(conn)? else {
        return Ok(Done::NOTHING);
    };
    let last = event_log::last(conn)?;
    let upto = (last - kept).min(cursors::slowest(conn)?.unwrap_or(last));
    let old = events::table.filter(events::seq.le(upto.min(first + ROWS - 1)));
    Ok(Done::rows(diesel::delete(old).execute(conn.engine()?)?))
}

/// The ledger goes back as far as the event log.
fn old_deliveries(conn: &mut Conn) -> Result<Done, DbError> {
    let first = event_log::first(conn)?.unwrap_or(0);
    let mut old = Vec::new();
    for state in [State::Delivered, State::Superseded, State::Dropped] {
        let some: Vec<i64> = outbox::table
            .filter(not(outbox::unfinished))
            .filter(outbox::state.eq(state.code()))
            .filter(outbox::seq.lt(first))
            .limit(ROWS / 2)
            .select(outbox::place)
            .load(conn.engine()?)?;
        old.extend(some);
    }
    let dead: Vec<i64> = outbox::table
        .filter(not(outbox::unfinished))
        .filter(outbox::state.eq(State::Dead.code()))
        .order(outbox::seq.desc())
        .offset(DEAD)
        .limit(ROWS / 2)
        .select(outbox::place)
        .load(conn.engine()?)?;
    old.extend(dead);
    let old = outbox::table.filter(outbox::place.eq_any(old));
    Ok(Done::rows(diesel::delete(old).execute(conn.engine()?)?))
}

fn old_changes(conn: &mut Conn, kept: i64) -> Result<Done, DbError> {
    let oldest: Option<i64> = changes::table
        .order(changes::number.desc())
        .offset(kept - 1)
        .select(changes::number)
        .first(conn.engine()?)
        .optional()?;
    let Some(oldest) = oldest else {
        return Ok(Done::NOTHING);
    };
    let some: Vec<i64> = changes::table
        .filter(changes::number.lt(oldest))
        .order(changes::number)
        .limit(ROWS)
        .select(changes::number)
        .load(conn.engine()?)?;
    let Some(end) = some.last() else {
        return Ok(Done::NOTHING);
    };
    let old = changes::table.filter(changes::number.le(end));
    Ok(Done::rows(diesel::delete(old).execute(conn.engine()?)?))
}

fn old_connects(conn: &mut Conn) -> Result<Done, DbError> {
    let workers: Vec<i64> = workers::table.select(workers::id).load(conn.engine()?)?;
    let mut deleted = 0;
    for worker in workers {
        let of_worker = worker_connects::table.filter(worker_connects::worker_id.eq(worker));
        let newest_old: Option<i64> = of_worker
            .order(worker_connects::at.desc())
            .offset(CONNECTS)
            .select(worker_connects::at)
            .first(conn.engine()?)
            .optional()?;
        if let Some(at) = newest_old {
            deleted += diesel::delete(of_worker.filter(worker_connects::at.le(at))).execute(conn.engine()?)?;
        }
    }
    // Each sweep finds what connected since the last one, so one round is enough.
    Ok(Done { count: deleted as u64, more: false })
}

#[derive(QueryableByName)]
struct Pages {
    #[diesel(sql_type = BigInt)]
    pages: i64,
    #[diesel(sql_type = BigInt)]
    free: i64,
}

/// Free pages an SQLite file may keep for what comes next: so many, and a tenth of all.
const SPARE_PAGES: i64 = 1_000;

/// Shrinks an SQLite file that has become much too large, a few pages at a time. PostgreSQL does that itself.
fn give_back_room(conn: &mut Conn) -> Result<Done, DbError> {
    let Engine::Sqlite(sqlite) = conn.engine()? else {
        return Ok(Done::NOTHING);
    };
    let sql = "SELECT page_count AS pages, freelist_count AS free FROM pragma_page_count, pragma_freelist_count";
    let Pages { pages, free } = diesel::sql_query(sql).get_result(sqlite)?;
    if free <= SPARE_PAGES + pages / 10 {
        return Ok(Done::NOTHING);
    }
    let before = pages;
    diesel::connection::SimpleConnection::batch_execute(sqlite, "PRAGMA incremental_vacuum(200)")?;
    let Pages { pages, .. } = diesel::sql_query(sql).get_result(sqlite)?;
    // A file made before it could shrink keeps its size.
    Ok(Done::rows(usize::try_from(before - pages).unwrap_or(0)))
}
