//! Builders of the configuration, and their boxes on the waterfall that are no builds.

use crate::db::columns::{clean, json, micros};
use crate::db::engine::{Conn, each, kept};
use crate::db::schema::{builder_events, builder_workers, builders};
use crate::db::{DbError, builders as rows};
use crate::model::{BigState, Builder, BuilderEvent, Time};
use diesel::prelude::*;

/// The row of a builder. One nobody has described gets a hidden row, so that its builds have a place.
pub(super) fn id(conn: &mut Conn, name: &str) -> Result<i64, DbError> {
    if let Some(id) = conn.known.builders.get(name) {
        return Ok(*id);
    }
    let id = match rows::id(conn, name)? {
        Some(id) => id,
        None => {
            let unknown = Builder {
                name: name.to_owned(),
                basedir: name.to_owned(),
                description: None,
                tags: Vec::new(),
                workers: Vec::new(),
                schedulers: Vec::new(),
                state: BigState::Offline,
            };
            insert(conn, &unknown, false)?
        }
    };
    conn.known.builders.insert(name.to_owned(), id);
    Ok(id)
}

fn insert(conn: &mut Conn, builder: &Builder, active: bool) -> Result<i64, DbError> {
    let row = rows::Written::of(builder, active)?;
    each!(conn, |c| diesel::insert_into(builders::table)
        .values((row, builders::logs_from.eq(0_i64)))
        .returning(builders::id)
        .get_result(c))
    .map_err(DbError::from)
}

pub(super) fn added(conn: &mut Conn, builder: &Builder) -> Result<(), DbError> {
    let id = match rows::id(conn, &builder.name)? {
        Some(id) => {
            let row = rows::Written::of(builder, true)?;
            each!(conn, |c| kept!(diesel::update(builders::table.find(id)).set(row)).execute(c))?;
            diesel::delete(builder_workers::table.filter(builder_workers::builder_id.eq(id)))
                .execute(conn.engine()?)?;
            id
        }
        None => insert(conn, builder, true)?,
    };
    for worker in &builder.workers {
        let worker = clean(worker);
        let row = (builder_workers::builder_id.eq(id), builder_workers::worker.eq(worker.as_ref()));
        each!(conn, |c| kept!(diesel::insert_into(builder_workers::table).values(row).on_conflict_do_nothing())
            .execute(c))?;
    }
    Ok(())
}

pub(super) fn removed(conn: &mut Conn, builder: &str) -> Result<(), DbError> {
    each!(conn, |c| kept!(
        diesel::update(builders::table.filter(builders::name.eq(builder)))
            .set((builders::active.eq(false), builders::state.eq(BigState::Offline.word())))
    )
    .execute(c))?;
    Ok(())
}

pub(super) fn changed_state(conn: &mut Conn, builder: &str, state: BigState) -> Result<(), DbError> {
    each!(conn, |c| kept!(
        diesel::update(builders::table.filter(builders::name.eq(builder))).set(builders::state.eq(state.word()))
    )
    .execute(c))?;
    Ok(())
}

/// One that ends closes the box it began, if there is one.
pub(super) fn happened(conn: &mut Conn, event: &BuilderEvent) -> Result<(), DbError> {
    let builder = id(conn, &event.builder)?;
    let text = json(&event.text)?;
    if event.finished.is_some() {
        let begun = builder_events::table
            .filter(builder_events::builder_id.eq(builder))
            .filter(builder_events::started.eq(event.started.0))
            .filter(builder_events::finished.is_null());
        let closed = each!(conn, |c| kept!(
            diesel::update(begun)
                .set((builder_events::finished.eq(micros(event.finished)), builder_events::text.eq(&text)))
        )
        .execute(c))?;
        if closed > 0 {
            return Ok(());
        }
    }
    insert_event(conn, builder, event.started, event.finished, &text)
}

/// The same box, over and done with, for every builder of the configuration that uses this worker.
pub(super) fn at_worker(conn: &mut Conn, worker: &str, at: Time, text: &[&str]) -> Result<(), DbError> {
    let users: Vec<i64> = builder_workers::table
        .inner_join(builders::table)
        .filter(builder_workers::worker.eq(worker))
        .filter(builders::active.eq(true))
        .select(builders::id)
        .load(conn.engine()?)?;
    let text = json(text)?;
    for builder in users {
        insert_event(conn, builder, at, Some(at), &text)?;
    }
    Ok(())
}

fn insert_event(
    conn: &mut Conn,
    builder: i64,
    started: Time,
    finished: Option<Time>,
    text: &str,
) -> Result<(), DbError> {
    let row = (
        builder_events::builder_id.eq(builder),
        builder_events::started.eq(started.0),
        builder_events::finished.eq(micros(finished)),
        builder_events::text.eq(text),
    );
    each!(conn, |c| diesel::insert_into(builder_events::table).values(row).execute(c))?;
    Ok(())
}
