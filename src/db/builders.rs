//! Builders and what happened to them besides builds.

use super::columns::{from_json, json};
use super::engine::Conn;
use super::schema::{builder_events, builders};
use super::{DbError, columns};
use crate::model::{BigState, Builder, BuilderEvent, Time, natural};
use diesel::prelude::*;

#[derive(Queryable, Selectable)]
#[diesel(table_name = builders)]
struct Row {
    name: String,
    basedir: String,
    description: Option<String>,
    tags: String,
    workers: String,
    schedulers: String,
    state: String,
}

impl Row {
    fn builder(self) -> Result<Builder, DbError> {
        Ok(Builder {
            name: self.name,
            basedir: self.basedir,
            description: self.description,
            tags: from_json("builders.tags", &self.tags)?,
            workers: from_json("builders.workers", &self.workers)?,
            schedulers: from_json("builders.schedulers", &self.schedulers)?,
            state: state(&self.state)?,
        })
    }
}

fn state(word: &str) -> Result<BigState, DbError> {
    [BigState::Offline, BigState::Idle, BigState::Building]
        .into_iter()
        .find(|state| state.word() == word)
        .ok_or_else(|| DbError::Decode { column: "builders.state", what: word.to_owned() })
}

/// Builders of the configuration in force, in natural order (b2 before b10).
pub fn all(conn: &mut Conn) -> Result<Vec<Builder>, DbError> {
    let rows: Vec<Row> =
        builders::table.filter(builders::active.eq(true)).select(Row::as_select()).load(&mut conn.engine)?;
    let mut all = rows.into_iter().map(Row::builder).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| natural(&a.name, &b.name));
    Ok(all)
}

/// A builder of the configuration in force.
pub fn find(conn: &mut Conn, name: &str) -> Result<Option<Builder>, DbError> {
    let row: Option<Row> = builders::table
        .filter(builders::name.eq(name))
        .filter(builders::active.eq(true))
        .select(Row::as_select())
        .first(&mut conn.engine)
        .optional()?;
    row.map(Row::builder).transpose()
}

/// Waterfall events of these builders that started in `[from, to)`, newest first, at most `limit`.
pub fn events(
    conn: &mut Conn,
    builders: &[String],
    from: Time,
    to: Time,
    limit: i64,
) -> Result<Vec<BuilderEvent>, DbError> {
    let mut events = Vec::new();
    for (builder, id) in ids(conn, builders)? {
        // One range of the index each, so that a builder with many events costs no more than one with few.
        let rows: Vec<(i64, Option<i64>, String)> = builder_events::table
            .filter(builder_events::builder_id.eq(id))
            .filter(builder_events::started.ge(from.0))
            .filter(builder_events::started.lt(to.0))
            .order((builder_events::started.desc(), builder_events::id.desc()))
            .limit(limit.max(0))
            .select((builder_events::started, builder_events::finished, builder_events::text))
            .load(&mut conn.engine)?;
        for (started, finished, text) in rows {
            events.push(BuilderEvent {
                builder: builder.clone(),
                started: Time(started),
                finished: finished.map(Time),
                text: from_json("builder_events.text", &text)?,
            });
        }
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.started));
    events.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(events)
}

/// The row of each of these builders that has one; of every builder ever known if none is named.
pub(super) fn ids(conn: &mut Conn, names: &[String]) -> Result<Vec<(String, i64)>, DbError> {
    let columns = (builders::name, builders::id);
    if names.is_empty() {
        return Ok(builders::table.select(columns).load(&mut conn.engine)?);
    }
    let mut found = Vec::with_capacity(names.len());
    for some in names.chunks(200) {
        let rows: Vec<(String, i64)> =
            builders::table.filter(builders::name.eq_any(some)).select(columns).load(&mut conn.engine)?;
        found.extend(rows);
    }
    Ok(found)
}

/// The row of this builder, if it was ever known.
pub(super) fn id(conn: &mut Conn, name: &str) -> Result<Option<i64>, DbError> {
    Ok(builders::table.filter(builders::name.eq(name)).select(builders::id).first(&mut conn.engine).optional()?)
}

/// What is stored of a builder, ready to be written.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = builders, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct Written<'a> {
    name: std::borrow::Cow<'a, str>,
    basedir: std::borrow::Cow<'a, str>,
    description: Option<std::borrow::Cow<'a, str>>,
    tags: String,
    workers: String,
    schedulers: String,
    state: &'static str,
    active: bool,
}

impl<'a> Written<'a> {
    pub fn of(builder: &'a Builder, active: bool) -> Result<Written<'a>, DbError> {
        Ok(Written {
            name: columns::clean(&builder.name),
            basedir: columns::clean(&builder.basedir),
            description: columns::clean_option(builder.description.as_deref()),
            tags: json(&builder.tags)?,
            workers: json(&builder.workers)?,
            schedulers: json(&builder.schedulers)?,
            state: builder.state.word(),
            active,
        })
    }
}
