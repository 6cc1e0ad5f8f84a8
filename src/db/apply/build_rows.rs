//! Builds, steps and logs from start to finish.

use super::{builder_rows, request_rows};
use crate::db::columns::{self, clean, from_json, json, json_list, json_map, micros};
use crate::db::engine::{Conn, each, insert_all, kept};
use crate::db::known::KnownBuild;
use crate::db::schema::{build_branches, builds, logs as log_table, steps};
use crate::db::{DbError, builds as rows, expectations, logs};
use crate::model::{Build, BuildRef, Log, Properties, Results, Step, Time};
use diesel::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeSet;

#[derive(Insertable)]
#[diesel(table_name = builds, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenBuild<'a> {
    builder_id: i64,
    number: i64,
    worker: Cow<'a, str>,
    started: i64,
    finished: Option<i64>,
    results: Option<i16>,
    eta: Option<i64>,
    reason: Cow<'a, str>,
    text: String,
    requests: String,
    properties: String,
    source_stamps: String,
}

impl<'a> WrittenBuild<'a> {
    pub fn of(build: &'a Build, builder_id: i64) -> Result<WrittenBuild<'a>, DbError> {
        Ok(WrittenBuild {
            builder_id,
            number: build.number,
            worker: clean(&build.worker),
            started: build.started.0,
            finished: micros(build.finished),
            results: build.results.map(Results::code),
            eta: micros(build.eta),
            reason: clean(&build.reason),
            text: json(&build.text)?,
            requests: json(&build.requests)?,
            properties: json(&build.properties)?,
            source_stamps: json(&build.source_stamps)?,
        })
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> WrittenBuild<'static> {
        WrittenBuild {
            builder_id: self.builder_id,
            number: self.number,
            worker: Cow::Owned(self.worker.into_owned()),
            started: self.started,
            finished: self.finished,
            results: self.results,
            eta: self.eta,
            reason: Cow::Owned(self.reason.into_owned()),
            text: self.text,
            requests: self.requests,
            properties: self.properties,
            source_stamps: self.source_stamps,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = steps, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenStep {
    build_id: i64,
    number: i32,
    #[diesel(embed)]
    rest: StepColumns,
}

/// What the end of a build changes. Its number, start and, mostly, worker stay, and with them most index entries.
#[derive(AsChangeset)]
#[diesel(table_name = builds, treat_none_as_null = true)]
struct BuildEnd<'a> {
    finished: i64,
    results: i16,
    eta: Option<i64>,
    reason: Cow<'a, str>,
    text: String,
    properties: String,
    source_stamps: String,
}

/// All of a step that may change. Setting its key again, even to what it is, would have its logs looked through.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = steps, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(in crate::db) struct StepColumns {
    name: String,
    text: Cow<'static, str>,
    text2: Cow<'static, str>,
    results: Option<i16>,
    started: Option<i64>,
    finished: Option<i64>,
    hidden: bool,
    waiting_for_locks: bool,
    statistics: Cow<'static, str>,
    urls: Cow<'static, str>,
    expected_seconds: Option<f64>,
}

impl WrittenStep {
    pub fn of(step: &Step, build_id: i64) -> Result<WrittenStep, DbError> {
        Ok(WrittenStep { build_id, number: step.number, rest: StepColumns::of(step)? })
    }
}

impl StepColumns {
    fn of(step: &Step) -> Result<StepColumns, DbError> {
        Ok(StepColumns {
            name: clean(&step.name).into_owned(),
            text: json_list(&step.text)?,
            text2: json_list(&step.text2)?,
            results: step.results.map(Results::code),
            started: micros(step.started),
            finished: micros(step.finished),
            hidden: step.hidden,
            waiting_for_locks: step.waiting_for_locks,
            statistics: json_map(&step.statistics)?,
            urls: json_map(&step.urls)?,
            expected_seconds: step.expected_seconds,
        })
    }
}

/// A build that has been started.
fn known<'a>(conn: &'a mut Conn, build: &BuildRef) -> Result<&'a mut KnownBuild, DbError> {
    if !conn.known.builds.contains_key(build) {
        let builder = builder_rows::id(conn, &build.builder)?;
        let found = rows::known(conn, builder, build.number)?;
        let found = found.ok_or_else(|| DbError::NotFound { what: format!("build {build}") })?;
        conn.known.builds.insert(build.clone(), found);
    }
    Ok(conn.known.builds.get_mut(build).expect("it was looked for just now"))
}

/// Its row.
fn id(conn: &mut Conn, build: &BuildRef) -> Result<i64, DbError> {
    Ok(known(conn, build)?.id)
}

pub(super) fn started(conn: &mut Conn, build: &Build) -> Result<(), DbError> {
    let builder = builder_rows::id(conn, &build.builder)?;
    let known = insert(conn, build, builder)?;
    conn.known.builds.insert(build.reference(), known);
    Ok(())
}

fn insert(conn: &mut Conn, build: &Build, builder: i64) -> Result<KnownBuild, DbError> {
    let row = WrittenBuild::of(build, builder)?;
    let id: i64 = each!(conn, |c| diesel::insert_into(builds::table).values(row).returning(builds::id).get_result(c))?;
    for branch in branches(build) {
        let row = (
            build_branches::build_id.eq(id),
            build_branches::branch.eq(branch),
            build_branches::builder_id.eq(builder),
            build_branches::started.eq(build.started.0),
            build_branches::finished.eq(micros(build.finished)),
        );
        each!(conn, |c| diesel::insert_into(build_branches::table).values(row).execute(c))?;
    }
    let planned = build.steps.iter().map(|step| WrittenStep::of(step, id)).collect::<Result<Vec<_>, _>>()?;
    insert_all!(conn, steps::table, planned);
    request_rows::claim(conn, &build.requests, id, build.number)?;
    Ok(KnownBuild::new(id, builder, build))
}

/// The branches of a build as the index has them, each once.
pub(in crate::db) fn branches(build: &Build) -> BTreeSet<String> {
    build.source_stamps.iter().map(|stamp| columns::branch(stamp.branch.as_deref())).collect()
}

pub(super) fn eta(conn: &mut Conn, build: &BuildRef, eta: Option<Time>) -> Result<(), DbError> {
    let id = id(conn, build)?;
    each!(conn, |c| kept!(diesel::update(builds::table.find(id)).set(builds::eta.eq(micros(eta)))).execute(c))?;
    Ok(())
}

/// Writes a step as it now stands.
pub(super) fn step(conn: &mut Conn, build: &BuildRef, step: &Step) -> Result<(), DbError> {
    let known = known(conn, build)?;
    if step.finished.is_some() {
        known.ended.insert(step.number);
    } else {
        known.ended.remove(&step.number);
    }
    let id = known.id;
    put_step(conn, id, step)
}

fn put_step(conn: &mut Conn, build: i64, step: &Step) -> Result<(), DbError> {
    let row = steps::table.find((build, step.number));
    let columns = StepColumns::of(step)?;
    if each!(conn, |c| kept!(diesel::update(row).set(columns)).execute(c))? == 0 {
        let row = WrittenStep::of(step, build)?;
        each!(conn, |c| diesel::insert_into(steps::table).values(row).execute(c))?;
    }
    Ok(())
}

pub(super) fn step_text(conn: &mut Conn, build: &BuildRef, step: i32, text: &[String]) -> Result<(), DbError> {
    let id = id(conn, build)?;
    each!(conn, |c| kept!(diesel::update(steps::table.find((id, step))).set(steps::text.eq(json(text)?))).execute(c))?;
    Ok(())
}

pub(super) fn step_text2(conn: &mut Conn, build: &BuildRef, step: i32, text2: &[String]) -> Result<(), DbError> {
    let id = id(conn, build)?;
    each!(conn, |c| kept!(diesel::update(steps::table.find((id, step))).set(steps::text2.eq(json(text2)?)))
        .execute(c))?;
    Ok(())
}

/// A step's expected end is kept as how long it will have taken.
pub(super) fn step_eta(conn: &mut Conn, build: &BuildRef, step: i32, eta: Option<Time>) -> Result<(), DbError> {
    let id = id(conn, build)?;
    let row = steps::table.find((id, step));
    let started: Option<Option<i64>> = row.select(steps::started).first(&mut conn.engine).optional()?;
    if let (Some(eta), Some(Some(started))) = (eta, started) {
        let seconds = eta.since(Time(started)).as_secs_f64();
        each!(conn, |c| kept!(diesel::update(row).set(steps::expected_seconds.eq(seconds))).execute(c))?;
    }
    Ok(())
}

pub(super) fn log(conn: &mut Conn, build: &BuildRef, step: i32, log: &Log, finished: bool) -> Result<(), DbError> {
    let known = known(conn, build)?;
    if finished {
        known.open_logs.remove(&log.id);
    } else {
        known.open_logs.insert(log.id);
    }
    let id = known.id;
    if finished {
        let known =
            each!(conn, |c| kept!(diesel::update(log_table::table.find(log.id)).set(log_table::finished.eq(true)))
                .execute(c))?;
        if known > 0 {
            return Ok(());
        }
    }
    logs::start(conn, id, step, log, finished)
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
    let text: String = row.select(builds::properties).first(&mut conn.engine)?;
    let mut all: Properties = from_json("builds.properties", &text)?;
    all.update(properties);
    each!(conn, |c| kept!(diesel::update(row).set(builds::properties.eq(json(&all)?))).execute(c))?;
    Ok(())
}

pub(super) fn finished(conn: &mut Conn, build: &Build, at: Time) -> Result<(), DbError> {
    let KnownBuild { id, builder, worker, ended, open_logs } = match conn.known.builds.remove(&build.reference()) {
        Some(met) => met,
        None => {
            let builder = builder_rows::id(conn, &build.builder)?;
            match rows::known(conn, builder, build.number)? {
                Some(met) => met,
                None => insert(conn, build, builder)?,
            }
        }
    };
    let finished = build.finished.unwrap_or(at);
    let results = build.results.unwrap_or(Results::Exception);
    let end = BuildEnd {
        finished: finished.0,
        results: results.code(),
        eta: None,
        reason: clean(&build.reason),
        text: json(&build.text)?,
        properties: json(&build.properties)?,
        source_stamps: json(&build.source_stamps)?,
    };
    each!(conn, |c| kept!(diesel::update(builds::table.find(id)).set(end)).execute(c))?;
    let now_at = clean(&build.worker);
    if worker != now_at {
        let row = builds::table.find(id);
        each!(conn, |c| kept!(diesel::update(row).set(builds::worker.eq(now_at.as_ref()))).execute(c))?;
    }
    each!(conn, |c| kept!(
        diesel::update(build_branches::table.filter(build_branches::build_id.eq(id)))
            .set(build_branches::finished.eq(finished.0))
    )
    .execute(c))?;
    // Steps that ended had their own event; what was cut short has only this one.
    for step in build.steps.iter().filter(|step| !ended.contains(&step.number)) {
        put_step(conn, id, step)?;
    }
    for log in open_logs {
        let row = log_table::table.find(log);
        each!(conn, |c| kept!(diesel::update(row).set(log_table::finished.eq(true))).execute(c))?;
    }
    match results {
        Results::Retry => request_rows::reopen(conn, &build.requests)?,
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
