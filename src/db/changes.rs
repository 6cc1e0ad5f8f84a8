//! Changes to the source.

use super::columns::{clean, clean_option, from_json, json, results};
use super::engine::{Conn, each};
use super::schema::{build_changes, builders, builds, changes};
use super::{DbError, builds as rows};
use crate::model::{Build, BuildRef, Change, Results, Time};
use diesel::prelude::*;
use std::borrow::Cow;

#[derive(Queryable, Selectable)]
#[diesel(table_name = changes)]
struct Row {
    number: i64,
    who: String,
    files: String,
    comments: String,
    revision: Option<String>,
    branch: Option<String>,
    category: Option<String>,
    happened: i64,
    revlink: Option<String>,
    properties: String,
    repository: String,
    codebase: String,
    project: String,
    origin: Option<String>,
}

impl Row {
    fn change(self) -> Result<Change, DbError> {
        Ok(Change {
            number: self.number,
            who: self.who,
            files: from_json("changes.files", &self.files)?,
            comments: self.comments,
            revision: self.revision,
            branch: self.branch,
            category: self.category,
            when: Time(self.happened),
            revlink: self.revlink,
            properties: from_json("changes.properties", &self.properties)?,
            repository: self.repository,
            codebase: self.codebase,
            project: self.project,
            origin: self.origin.map(|origin| from_json("changes.origin", &origin)).transpose()?,
        })
    }
}

fn all(rows: Vec<Row>) -> Result<Vec<Change>, DbError> {
    rows.into_iter().map(Row::change).collect()
}

/// Newest first; only numbers below `before` if given.
pub fn recent(conn: &mut Conn, count: i64, before: Option<i64>) -> Result<Vec<Change>, DbError> {
    let rows = changes::table
        .filter(changes::number.lt(before.unwrap_or(i64::MAX)))
        .order(changes::number.desc())
        .limit(count.max(0))
        .select(Row::as_select())
        .load(conn.engine()?)?;
    all(rows)
}

/// Oldest first, numbers above `after`, at most `count`.
pub fn after(conn: &mut Conn, after: i64, count: i64) -> Result<Vec<Change>, DbError> {
    let rows = changes::table
        .filter(changes::number.gt(after))
        .order(changes::number)
        .limit(count.max(0))
        .select(Row::as_select())
        .load(conn.engine()?)?;
    all(rows)
}

pub fn find(conn: &mut Conn, number: i64) -> Result<Option<Change>, DbError> {
    let row: Option<Row> = changes::table.find(number).select(Row::as_select()).first(conn.engine()?).optional()?;
    row.map(Row::change).transpose()
}

/// The newest of those of this revision.
pub fn of_revision(conn: &mut Conn, revision: &str, limit: i64) -> Result<Vec<Change>, DbError> {
    let rows = changes::table
        .filter(changes::revision.eq(revision))
        .order(changes::number.desc())
        .limit(limit.max(0))
        .select(Row::as_select())
        .load(conn.engine()?)?;
    all(rows)
}

/// When in `[from, to)`, newest first.
pub fn between(conn: &mut Conn, from: Time, to: Time, limit: i64) -> Result<Vec<Change>, DbError> {
    let rows = changes::table
        .filter(changes::happened.ge(from.0))
        .filter(changes::happened.lt(to.0))
        .order((changes::happened.desc(), changes::number.desc()))
        .limit(limit.max(0))
        .select(Row::as_select())
        .load(conn.engine()?)?;
    all(rows)
}

/// The builds that a change went into, newest first, without steps.
pub fn builds(conn: &mut Conn, change: i64, limit: i64) -> Result<Vec<Build>, DbError> {
    let ids: Vec<i64> = build_changes::table
        .filter(build_changes::change_number.eq(change))
        .order(build_changes::build_id.desc())
        .limit(limit.max(0))
        .select(build_changes::build_id)
        .load(conn.engine()?)?;
    rows::of_ids(conn, &ids, false)
}

/// The same where only how they ended is of interest.
pub fn outcomes(conn: &mut Conn, change: i64, limit: i64) -> Result<Vec<(BuildRef, Option<Results>)>, DbError> {
    let rows: Vec<(String, i64, Option<i16>)> = build_changes::table
        .inner_join(builds::table.inner_join(builders::table))
        .filter(build_changes::change_number.eq(change))
        .order(build_changes::build_id.desc())
        .limit(limit.max(0))
        .select((builders::name, builds::number, builds::results))
        .load(conn.engine()?)?;
    let outcome = |(builder, number, code)| Ok((BuildRef { builder, number }, results("builds.results", code)?));
    rows.into_iter().map(outcome).collect()
}

#[derive(Insertable)]
#[diesel(table_name = changes, treat_none_as_default_value = false)]
pub(super) struct Written<'a> {
    number: i64,
    who: Cow<'a, str>,
    files: String,
    comments: Cow<'a, str>,
    revision: Option<Cow<'a, str>>,
    branch: Option<Cow<'a, str>>,
    category: Option<Cow<'a, str>>,
    happened: i64,
    revlink: Option<Cow<'a, str>>,
    properties: String,
    repository: Cow<'a, str>,
    codebase: Cow<'a, str>,
    project: Cow<'a, str>,
    origin: Option<String>,
}

impl<'a> Written<'a> {
    pub fn of(change: &'a Change) -> Result<Written<'a>, DbError> {
        Ok(Written {
            number: change.number,
            who: clean(&change.who),
            files: json(&change.files)?,
            comments: clean(&change.comments),
            revision: clean_option(change.revision.as_deref()),
            branch: clean_option(change.branch.as_deref()),
            category: clean_option(change.category.as_deref()),
            happened: change.when.0,
            revlink: clean_option(change.revlink.as_deref()),
            properties: json(&change.properties)?,
            repository: clean(&change.repository),
            codebase: clean(&change.codebase),
            project: clean(&change.project),
            origin: change.origin.as_ref().map(json).transpose()?,
        })
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Written<'static> {
        let own = |text: Cow<str>| Cow::Owned(text.into_owned());
        Written {
            number: self.number,
            who: own(self.who),
            files: self.files,
            comments: own(self.comments),
            revision: self.revision.map(own),
            branch: self.branch.map(own),
            category: self.category.map(own),
            happened: self.happened,
            revlink: self.revlink.map(own),
            properties: self.properties,
            repository: own(self.repository),
            codebase: own(self.codebase),
            project: own(self.project),
            origin: self.origin,
        }
    }
}

pub(super) fn add(conn: &mut Conn, change: &Change) -> Result<(), DbError> {
    let row = Written::of(change)?;
    each!(conn, |c| diesel::insert_into(changes::table).values(row).execute(c))?;
    Ok(())
}
