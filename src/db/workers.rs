//! Workers and how often they connected.

use super::DbError;
use super::columns::from_json;
use super::engine::Conn;
use super::schema::{worker_connects, workers};
use crate::model::{Time, Worker};
use diesel::prelude::*;

#[derive(Queryable, Selectable)]
#[diesel(table_name = workers)]
struct Row {
    name: String,
    connected: bool,
    paused: bool,
    graceful: bool,
    admin: Option<String>,
    host: Option<String>,
    version: Option<String>,
    access_uri: Option<String>,
    info: String,
    last_heard: Option<i64>,
}

impl Row {
    fn worker(self) -> Result<Worker, DbError> {
        Ok(Worker {
            name: self.name,
            connected: self.connected,
            paused: self.paused,
            graceful: self.graceful,
            admin: self.admin,
            host: self.host,
            version: self.version,
            access_uri: self.access_uri,
            info: from_json("workers.info", &self.info)?,
            last_heard: self.last_heard.map(Time),
        })
    }
}

/// Every worker that ever connected, by name.
pub fn all(conn: &mut Conn) -> Result<Vec<Worker>, DbError> {
    let rows: Vec<Row> = workers::table.order(workers::name).select(Row::as_select()).load(conn.engine()?)?;
    rows.into_iter().map(Row::worker).collect()
}

pub fn find(conn: &mut Conn, name: &str) -> Result<Option<Worker>, DbError> {
    let row: Option<Row> =
        workers::table.filter(workers::name.eq(name)).select(Row::as_select()).first(conn.engine()?).optional()?;
    row.map(Row::worker).transpose()
}

/// How often this worker has connected since `since`.
pub fn connects(conn: &mut Conn, name: &str, since: Time) -> Result<i64, DbError> {
    let id: Option<i64> =
        workers::table.filter(workers::name.eq(name)).select(workers::id).first(conn.engine()?).optional()?;
    let Some(id) = id else {
        return Ok(0);
    };
    Ok(worker_connects::table
        .filter(worker_connects::worker_id.eq(id))
        .filter(worker_connects::at.ge(since.0))
        .count()
        .get_result(conn.engine()?)?)
}
