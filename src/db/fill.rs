//! Plausible history in bulk, for people who want to know what their machine can take.
//!
//! Each commit is built by every builder, twenty minutes apart on average, ending now. Rows are made on one thread and
//! written on another, in large transactions and past the event log: nobody is to be told of what never happened.

mod plausible;

use super::engine::{Conn, Engine, insert_all};
use super::lock::FileLock;
use super::schema::*;
use super::{DbError, Ids, Location, apply, migrate};
use crate::model::{Builder, Event, Time};
use diesel::connection::SimpleConnection;
use diesel::dsl::max;
use diesel::prelude::*;
use plausible::{Batch, History};
use std::sync::mpsc;
use std::thread;

/// Builds in one transaction.
const BATCH: u64 = 1_000;

/// Writes `builds` finished builds with steps, logs, requests and changes, spread over the builders. Blocks.
///
/// Numbers go on from what is there. The database must not be in use; without builders nothing is written.
/// `progress` is told how many are stored so far.
pub fn fill(
    location: &Location,
    builders: &[Builder],
    builds: u64,
    now: Time,
    mut progress: impl FnMut(u64),
) -> Result<(), DbError> {
    let _lock = FileLock::take(location)?;
    let mut conn = migrate::open(location)?;
    let mut history = prepare(&mut conn, builders, builds, now)?;
    let (batches, ready) = mpsc::sync_channel(2);
    let maker = thread::Builder::new().name("fill".to_owned()).spawn(move || {
        let mut left = if history.is_possible() { builds } else { 0 };
        while left > 0 {
            let count = left.min(BATCH);
            left -= count;
            // An error means that writing has failed, and with that everything ends.
            if batches.send(history.batch(count)).is_err() {
                return;
            }
        }
    });
    let maker = maker.map_err(DbError::Thread)?;
    let mut stored = 0;
    for batch in ready {
        let batch = batch?;
        conn.begin(super::engine::Purpose::Write)?;
        stored += write(&mut conn, batch)?;
        conn.commit()?;
        progress(stored);
    }
    maker.join().map_err(|_| DbError::Panicked("while history was being made up".to_owned()))?;
    finish(&mut conn)?;
    super::lock::release_advisory(&mut conn);
    Ok(())
}

/// Makes the builders known and finds out where their numbers go on.
fn prepare(conn: &mut Conn, builders: &[Builder], builds: u64, now: Time) -> Result<History, DbError> {
    for builder in builders {
        let added = Event::BuilderAdded { builder: builder.clone() };
        apply::event(conn, now, &added, &apply::Texts::of(&added)?)?;
    }
    if let Engine::Sqlite(sqlite) = conn.engine()? {
        // Every reference is made by us, and a crash only costs the newest batches.
        sqlite.batch_execute(
            "PRAGMA foreign_keys = OFF; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -131072; \
             PRAGMA wal_autocheckpoint = 8000;",
        )?;
    }
    let ids = Ids::seed(conn)?;
    let mut rows = Vec::with_capacity(builders.len());
    for builder in builders {
        let id = super::builders::id(conn, &builder.name)?;
        let id = id.ok_or_else(|| DbError::NotFound { what: format!("builder {}", builder.name) })?;
        rows.push((id, builder.clone(), ids.build(&builder.name)));
    }
    let next_build: Option<i64> = builds::table.select(max(builds::id)).first(conn.engine()?)?;
    let newest: Option<i64> = builds::table.select(max(builds::started)).first(conn.engine()?)?;
    let numbers = plausible::Numbers {
        build: next_build.unwrap_or(0) + 1,
        log: ids.log(),
        request: ids.request(),
        buildset: ids.buildset(),
        change: ids.change(),
    };
    Ok(History::new(rows, numbers, builds, newest.map(Time), now))
}

fn write(conn: &mut Conn, batch: Batch) -> Result<u64, DbError> {
    let count = batch.builds.len() as u64;
    insert_all!(conn, changes::table, &batch.changes);
    insert_all!(conn, buildsets::table, &batch.buildsets);
    insert_all!(conn, requests::table, &batch.requests);
    insert_all!(conn, builds::table, &batch.builds);
    insert_all!(conn, build_branches::table, &batch.branches);
    insert_all!(conn, build_changes::table, &batch.build_changes);
    insert_all!(conn, request_builds::table, &batch.links);
    insert_all!(conn, steps::table, &batch.steps);
    insert_all!(conn, logs::table, &batch.logs);
    insert_all!(conn, log_chunks::table, &batch.pieces);
    Ok(count)
}

/// Leaves the database as Signalbox expects it.
fn finish(conn: &mut Conn) -> Result<(), DbError> {
    match conn.engine()? {
        Engine::Sqlite(sqlite) => sqlite.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?,
        Engine::Postgres(postgres) => postgres.batch_execute("ANALYZE")?,
    }
    Ok(())
}
