//! Small durable values of schedulers, pollers, bots and the like.

use super::DbError;
use super::columns::{from_json, json};
use super::engine::{Conn, each, kept};
use super::schema::state;
use diesel::prelude::*;
use serde_json::Value;

/// A small durable value of one object (`scheduler/quick`, `poller/<url>`) under a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    pub object: String,
    pub key: String,
    pub value: Value,
}

pub fn get(conn: &mut Conn, object: &str, key: &str) -> Result<Option<Value>, DbError> {
    let text: Option<String> =
        state::table.find((object, key)).select(state::value).first(conn.engine()?).optional()?;
    text.map(|text| from_json("state.value", &text)).transpose()
}

/// Replaces what was there.
pub fn put(conn: &mut Conn, put: &Put) -> Result<(), DbError> {
    let value = json(&put.value)?;
    let row = (state::object.eq(&put.object), state::key.eq(&put.key), state::value.eq(&value));
    each!(conn, |c| kept!(
        diesel::insert_into(state::table)
            .values(row)
            .on_conflict((state::object, state::key))
            .do_update()
            .set(state::value.eq(&value))
    )
    .execute(c))?;
    Ok(())
}

/// What is stored for an object, by key; at most `limit`.
pub fn all(conn: &mut Conn, object: &str, limit: i64) -> Result<Vec<(String, Value)>, DbError> {
    let rows: Vec<(String, String)> = state::table
        .filter(state::object.eq(object))
        .order(state::key)
        .limit(limit.max(0))
        .select((state::key, state::value))
        .load(conn.engine()?)?;
    rows.into_iter().map(|(key, text)| Ok((key, from_json("state.value", &text)?))).collect()
}

/// Forgets one.
pub fn remove(conn: &mut Conn, object: &str, key: &str) -> Result<(), DbError> {
    diesel::delete(state::table.find((object, key))).execute(conn.engine()?)?;
    Ok(())
}
