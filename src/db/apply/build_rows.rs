//! Builds, steps and logs from start to finish.

use super::rows::{BuildEnd, Texts, WrittenBranch, WrittenBuild, WrittenBuildChange, WrittenLog, WrittenStep};
use super::{builder_rows, request_rows};
use crate::db::columns::{clean, from_json, json, micros};
use crate::db::engine::{Conn, each, kept};
use crate::db::known::{KnownBuild, Progress};
use crate::db::schema::{builds, steps};
use crate::db::unwritten::EndedLog;
use crate::db::{DbError, builds as rows, expectations, logs};
use crate::model::{Build, BuildRef, Log, Properties, Results, Step, Time};
use diesel::dsl::max;
use diesel::prelude::*;

/// What is known of a build that has been started.
fn known<T>(conn: &mut Conn, build: &BuildRef, look: impl FnOnce(&mut KnownBuild) -> T) -> Result<T, DbError> {
    if let Some(known) = conn.known.builds.get_mut(build) {
        return Ok(look(known));
    }
    let builder = builder_rows::id(conn, &build.builder)?;
    let found = rows::known(conn, builder, build.number)?;
    let mut found = found.ok_or_else(|| DbError::NotFound { what: format!("build {build}") })?;
    let seen = look(&mut found);
    conn.known.builds.insert(build.clone(), found);
    Ok(seen)
}

/// Its row.
fn id(conn: &mut Conn, build: &BuildRef) -> Result<i64, DbError> {
    known(conn, build, |known| known.id)
}

pub(super) fn started(conn: &mut Conn, build: &Build, texts: &Texts) -> Result<(), DbError> {
    let builder = builder_rows::id(conn, &build.builder)?;
    let known = insert(conn, build, texts, builder)?;
    conn.known.builds.insert(build.reference(), known);
    Ok(())
}

/// Its row, and rows for those of its steps that have been started: the others get one when they are.
fn insert(conn: &mut Conn, build: &Build, texts: &Texts, builder: i64) -> Result<KnownBuild, DbError> {
    let id = next_id(conn)?;
    let (planned, begun): (Vec<_>, Vec<_>) = build.steps.iter().partition(|step| step.started.is_none());
    let row = WrittenBuild::of(build, texts, id, builder, planned.into_iter())?;
    let unwritten = conn.unwritten();
    unwritten.builds.push(row);
    unwritten.branches.extend(WrittenBranch::all_of(build, id, builder));
    unwritten.changes.extend(WrittenBuildChange::all_of(build, id));
    let mut known = KnownBuild::new(id, builder, build);
    for step in begun {
        let has_row = known.met(step);
        put_step(conn, id, step, has_row)?;
    }
    request_rows::claim(conn, &build.requests, id, build.number)?;
    Ok(known)
}

/// A row for a new build. Given here rather than by the database, so that the row need not be there to be referred to.
fn next_id(conn: &mut Conn) -> Result<i64, DbError> {
    let id = match conn.known.next_build {
        Some(id) => id,
        None => builds::table.select(max(builds::id)).first::<Option<i64>>(conn.engine()?)?.unwrap_or(0) + 1,
    };
    conn.known.next_build = Some(id + 1);
    Ok(id)
}

pub(super) fn eta(conn: &mut Conn, build: &BuildRef, eta: Option<Time>) -> Result<(), DbError> {
    let id = id(conn, build)?;
    each!(conn, |c| kept!(diesel::update(builds::table.find(id)).set(builds::eta.eq(micros(eta)))).execute(c))?;
    Ok(())
}

/// Writes a step as it now stands.
pub(super) fn step(conn: &mut Conn, build: &BuildRef, step: &Step) -> Result<(), DbError> {
    let (id, has_row) = known(conn, build, |known| (known.id, known.met(step)))?;
    put_step(conn, id, step, has_row)
}

fn put_step(conn: &mut Conn, build: i64, step: &Step, has_row: bool) -> Result<(), DbError> {
    let row = WrittenStep::of(step, build)?;
    let unwritten = conn.unwritten();
    if step.finished.is_some() {
        unwritten.step_ended(build, step.number);
    }
    if has_row {
        unwritten.changed_steps.insert((build, step.number), row);
    } else {
        unwritten.steps.push(row);
    }
    Ok(())
}

/// The row of a build one of whose steps is spoken of. One that was only planned gets a row of its own with that.
fn id_with_step(conn: &mut Conn, build: &BuildRef, step: i32) -> Result<i64, DbError> {
    let (id, has_row) = known(conn, build, |known| (known.id, known.steps.contains_key(&step)))?;
    if has_row {
        return Ok(id);
    }
    let planned: String = builds::table.find(id).select(builds::planned).first(conn.engine()?)?;
    if let Some(planned) = rows::planned(&planned)?.into_iter().find(|planned| planned.number == step) {
        self::step(conn, build, &planned)?;
    }
    Ok(id)
}

pub(super) fn step_text(conn: &mut Conn, build: &BuildRef, step: i32, text: &[String]) -> Result<(), DbError> {
    let id = id_with_step(conn, build, step)?;
    each!(conn, |c| kept!(diesel::update(steps::table.find((id, step))).set(steps::text.eq(json(text)?))).execute(c))?;
    Ok(())
}

pub(super) fn step_text2(conn: &mut Conn, build: &BuildRef, step: i32, text2: &[String]) -> Result<(), DbError> {
    let id = id_with_step(conn, build, step)?;
    each!(conn, |c| kept!(diesel::update(steps::table.find((id, step))).set(steps::text2.eq(json(text2)?)))
        .execute(c))?;
    Ok(())
}

/// A step's expected end is kept as how long it will have taken.
pub(super) fn step_eta(conn: &mut Conn, build: &BuildRef, step: i32, eta: Option<Time>) -> Result<(), DbError> {
    let id = id(conn, build)?;
    let row = steps::table.find((id, step));
    let started: Option<Option<i64>> = row.select(steps::started).first(conn.engine()?).optional()?;
    if let (Some(eta), Some(Some(started))) = (eta, started) {
        let seconds = eta.since(Time(started)).as_secs_f64();
        each!(conn, |c| kept!(diesel::update(row).set(steps::expected_seconds.eq(seconds))).execute(c))?;
    }
    Ok(())
}

pub(super) fn log_started(conn: &mut Conn, build: &BuildRef, step: i32, log: &Log) -> Result<(), DbError> {
    let id = id_with_step(conn, build, step)?;
    known(conn, build, |known| known.open_logs.insert(log.id, step))?;
    conn.unwritten().logs.push(WrittenLog::of(log, id, step, false));
    Ok(())
}

/// One that nobody has said is started gets its row with this.
pub(super) fn log_finished(conn: &mut Conn, build: &BuildRef, step: i32, log: &Log) -> Result<(), DbError> {
    let (id, was_open) = known(conn, build, |known| (known.id, known.open_logs.remove(&log.id).is_some()))?;
    if was_open || logs::by_id(conn, log.id)?.is_some() {
        conn.unwritten().ended_logs.push(EndedLog { build: id, step, id: log.id });
    } else {
        let id = id_with_step(conn, build, step)?;
        conn.unwritten().logs.push(WrittenLog::of(log, id, step, true));
    }
    Ok(())
}

pub(super) fn step_finished(
    conn: &mut Conn,
    build: &BuildRef,
    step: &Step,
    properties: &Properties,
) -> Result<(), DbError> {
    self::step(conn, build, step)?;
    if properties.is_empty() {
        return Ok(());
    }
    let row = builds::table.find(id(conn, build)?);
    let text: String = row.select(builds::properties).first(conn.engine()?)?;
    let mut all: Properties = from_json("builds.properties", &text)?;
    all.update(properties);
    each!(conn, |c| kept!(diesel::update(row).set(builds::properties.eq(json(&all)?))).execute(c))?;
    Ok(())
}

pub(super) fn finished(conn: &mut Conn, build: &Build, texts: &Texts, at: Time) -> Result<(), DbError> {
    let known = match conn.known.builds.remove(&build.reference()) {
        Some(met) => met,
        None => {
            let builder = builder_rows::id(conn, &build.builder)?;
            match rows::known(conn, builder, build.number)? {
                Some(met) => met,
                None => insert(conn, build, texts, builder)?,
            }
        }
    };
    let KnownBuild { id, builder, worker, steps, open_logs } = known;
    let finished = build.finished.unwrap_or(at);
    let results = build.results.unwrap_or(Results::Exception);
    let end = BuildEnd::of(build, texts, finished, results)?;
    let unwritten = conn.unwritten();
    unwritten.ended_builds.push((id, end));
    unwritten.ended_logs.extend(open_logs.into_iter().map(|(log, step)| EndedLog { build: id, step, id: log }));
    // Steps that ended had their own event; what was cut short or never begun has only this one.
    for step in &build.steps {
        match steps.get(&step.number) {
            Some(Progress::Ended) => {}
            met => put_step(conn, id, step, met.is_some())?,
        }
    }
    let now_at = clean(&build.worker);
    if worker != now_at {
        let row = builds::table.find(id);
        each!(conn, |c| kept!(diesel::update(row).set(builds::worker.eq(now_at.as_ref()))).execute(c))?;
    }
    match results {
        // Its requests wait again, as nothing that runs is made for them.
        Results::Retry => {}
        Results::Success | Results::Warnings => {
            request_rows::complete(conn, &build.requests, results, finished)?;
            expectations::learn(conn, builder, build)?;
        }
        Results::Failure | Results::Skipped | Results::Exception | Results::Cancelled => {
            request_rows::complete(conn, &build.requests, results, finished)?;
        }
    }
    Ok(())
}
