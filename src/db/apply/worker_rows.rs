//! Workers coming and going.

use super::builder_rows;
use crate::db::DbError;
use crate::db::columns::{clean, clean_option, json};
use crate::db::engine::{Conn, each, kept};
use crate::db::schema::{worker_connects, workers};
use crate::model::{Time, Worker};
use diesel::prelude::*;
use std::borrow::Cow;

#[derive(Insertable)]
#[diesel(table_name = workers)]
struct New<'a> {
    name: Cow<'a, str>,
    paused: bool,
    #[diesel(embed)]
    seen: Seen<'a>,
}

/// What a worker says of itself when it connects. Whether it is paused is not its to say.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = workers, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Seen<'a> {
    connected: bool,
    graceful: bool,
    admin: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    access_uri: Option<Cow<'a, str>>,
    info: String,
    last_heard: Option<i64>,
}

impl Seen<'_> {
    fn new(worker: &Worker, at: Time) -> Result<Seen<'_>, DbError> {
        Ok(Seen {
            connected: true,
            graceful: worker.graceful,
            admin: clean_option(worker.admin.as_deref()),
            host: clean_option(worker.host.as_deref()),
            version: clean_option(worker.version.as_deref()),
            access_uri: clean_option(worker.access_uri.as_deref()),
            info: json(&worker.info)?,
            last_heard: Some(worker.last_heard.unwrap_or(at).0),
        })
    }
}

/// A worker that was paused, even before it was first seen, stays so.
pub(super) fn connected(conn: &mut Conn, worker: &Worker, at: Time) -> Result<(), DbError> {
    let new = New { name: clean(&worker.name), paused: worker.paused, seen: Seen::new(worker, at)? };
    let changed = Seen::new(worker, at)?;
    let id: i64 = each!(conn, |c| kept!(
        diesel::insert_into(workers::table)
            .values(new)
            .on_conflict(workers::name)
            .do_update()
            .set(changed)
            .returning(workers::id)
    )
    .get_result(c))?;
    let connect = (worker_connects::worker_id.eq(id), worker_connects::at.eq(at.0));
    each!(conn, |c| kept!(diesel::insert_into(worker_connects::table).values(connect).on_conflict_do_nothing())
        .execute(c))?;
    builder_rows::at_worker(conn, &worker.name, at, &["connect", &worker.name])
}

pub(super) fn disconnected(conn: &mut Conn, worker: &str, at: Time) -> Result<(), DbError> {
    each!(conn, |c| kept!(
        diesel::update(workers::table.filter(workers::name.eq(worker)))
            .set((workers::connected.eq(false), workers::last_heard.eq(at.0)))
    )
    .execute(c))?;
    builder_rows::at_worker(conn, worker, at, &["disconnect", worker])
}

/// Notes it of a worker that has not been seen yet as well.
pub(super) fn paused(conn: &mut Conn, worker: &str, paused: bool) -> Result<(), DbError> {
    let nothing_said = Worker::default();
    let unseen = Seen { connected: false, last_heard: None, ..Seen::new(&nothing_said, Time::default())? };
    let new = New { name: clean(worker), paused, seen: unseen };
    each!(conn, |c| kept!(
        diesel::insert_into(workers::table)
            .values(new)
            .on_conflict(workers::name)
            .do_update()
            .set(workers::paused.eq(paused))
    )
    .execute(c))?;
    Ok(())
}
