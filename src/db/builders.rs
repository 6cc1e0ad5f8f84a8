//! Builders and what happened to them besides builds.

use super::columns::{from_json, json};
use super::engine::Conn;
use super::schema::{builder_events, builders};
use super::{DbError, columns, lately};
use crate::model::{BigState, Builder, BuilderEvent, Time, natural};
use diesel::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many are asked for by name in one statement.
const AT_ONCE: usize = 200;

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
        builders::table.filter(builders::active.eq(true)).select(Row::as_select()).load(conn.engine()?)?;
    let mut all = rows.into_iter().map(Row::builder).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| natural(&a.name, &b.name));
    Ok(all)
}

/// The same for those who only look, shared with others who do.
pub fn listed(conn: &mut Conn) -> Result<Vec<Arc<Builder>>, DbError> {
    lately::builders(conn)
}

/// What becomes of the builders of the configuration when these have changed, or are new, or have gone.
pub(super) fn with_changes(
    conn: &mut Conn,
    mut all: Vec<Arc<Builder>>,
    changed: &[String],
) -> Result<Vec<Arc<Builder>>, DbError> {
    let mut now: BTreeMap<String, Option<Arc<Builder>>> = changed.iter().map(|name| (name.clone(), None)).collect();
    for some in changed.chunks(AT_ONCE) {
        let active = builders::table.filter(builders::active.eq(true)).select(Row::as_select());
        let rows: Vec<Row> = match some {
            // Its text never varies, so it stays prepared.
            [name] => active.filter(builders::name.eq(name)).load(conn.engine()?)?,
            some => active.filter(builders::name.eq_any(some)).load(conn.engine()?)?,
        };
        for row in rows {
            now.insert(row.name.clone(), Some(Arc::new(row.builder()?)));
        }
    }
    all.retain_mut(|builder| match now.remove(&builder.name) {
        Some(Some(changed)) => {
            *builder = changed;
            true
        }
        Some(None) => false,
        None => true,
    });
    let before = all.len();
    all.extend(now.into_values().flatten());
    if all.len() > before {
        all.sort_by(|a, b| natural(&a.name, &b.name));
    }
    Ok(all)
}

/// A builder of the configuration in force.
pub fn find(conn: &mut Conn, name: &str) -> Result<Option<Builder>, DbError> {
    let row: Option<Row> = builders::table
        .filter(builders::name.eq(name))
        .filter(builders::active.eq(true))
        .select(Row::as_select())
        .first(conn.engine()?)
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
) -> Result<Vec<Arc<BuilderEvent>>, DbError> {
    let mut events = Vec::new();
    for of in lately::of(conn, builders, lately::first_depth(builders.len()))? {
        events.extend(lately::events(conn, &of, from, to, limit)?);
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.started));
    events.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(events)
}

/// The same of one, by its row: a range of the index, so that a builder with many events costs no more than one with few.
pub(super) fn events_of(
    conn: &mut Conn,
    name: &str,
    id: i64,
    from: Time,
    to: Time,
    limit: i64,
) -> Result<Vec<Arc<BuilderEvent>>, DbError> {
    let rows: Vec<(i64, Option<i64>, String)> = builder_events::table
        .filter(builder_events::builder_id.eq(id))
        .filter(builder_events::started.ge(from.0))
        .filter(builder_events::started.lt(to.0))
        .order((builder_events::started.desc(), builder_events::id.desc()))
        .limit(limit.max(0))
        .select((builder_events::started, builder_events::finished, builder_events::text))
        .load(conn.engine()?)?;
    let event = |(started, finished, text): (i64, Option<i64>, String)| {
        Ok(Arc::new(BuilderEvent {
            builder: name.to_owned(),
            started: Time(started),
            finished: finished.map(Time),
            text: from_json("builder_events.text", &text)?,
        }))
    };
    rows.into_iter().map(event).collect()
}

/// The row of each of these builders that has one; of every builder ever known if none is named.
pub(super) fn ids(conn: &mut Conn, names: &[String]) -> Result<Vec<(String, i64)>, DbError> {
    let columns = (builders::name, builders::id);
    if names.is_empty() {
        return Ok(builders::table.select(columns).load(conn.engine()?)?);
    }
    let mut found = Vec::with_capacity(names.len());
    for some in names.chunks(AT_ONCE) {
        let rows: Vec<(String, i64)> =
            builders::table.filter(builders::name.eq_any(some)).select(columns).load(conn.engine()?)?;
        found.extend(rows);
    }
    Ok(found)
}

/// The row of this builder, if it was ever known.
pub(super) fn id(conn: &mut Conn, name: &str) -> Result<Option<i64>, DbError> {
    Ok(builders::table.filter(builders::name.eq(name)).select(builders::id).first(conn.engine()?).optional()?)
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
