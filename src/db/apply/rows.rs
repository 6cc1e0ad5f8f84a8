//! Rows as they are written. They own what they say, as they wait for others of their kind.

use crate::db::DbError;
use crate::db::columns::{self, SharedText, clean, json, json_list, json_map, micros};
use crate::db::schema::*;
use crate::model::{Build, BuildRequest, Buildset, Event, Log, Properties, Results, SourceStamp, Step, Time};
use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, Double, HasSqlType, Integer, Nullable, SmallInt, Text};
use std::borrow::Cow;
use std::collections::BTreeSet;

#[derive(Insertable)]
#[diesel(table_name = buildsets, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenBuildset {
    pub id: i64,
    pub external_idstring: Option<String>,
    pub reason: String,
    pub scheduler: String,
    pub source_stamps: SharedText,
    pub properties: SharedText,
    pub builders: String,
    pub submitted_at: i64,
    pub complete_at: Option<i64>,
    pub results: Option<i16>,
}

#[derive(Insertable)]
#[diesel(table_name = requests, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenRequest {
    pub id: i64,
    pub buildset_id: i64,
    pub builder_id: i64,
    pub source_stamps: SharedText,
    pub reason: String,
    pub properties: SharedText,
    pub priority: i32,
    pub submitted_at: i64,
    pub complete_at: Option<i64>,
    pub results: Option<i16>,
}

#[derive(Insertable)]
#[diesel(table_name = builds, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenBuild {
    id: i64,
    builder_id: i64,
    number: i64,
    worker: String,
    started: i64,
    finished: Option<i64>,
    results: Option<i16>,
    eta: Option<i64>,
    reason: String,
    text: String,
    requests: String,
    properties: SharedText,
    source_stamps: SharedText,
    planned: Cow<'static, str>,
}

#[derive(Insertable)]
#[diesel(table_name = build_branches, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenBranch {
    build_id: i64,
    branch: String,
    builder_id: i64,
    started: i64,
    finished: Option<i64>,
}

#[derive(Insertable)]
#[diesel(table_name = build_changes, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenBuildChange {
    change_number: i64,
    build_id: i64,
}

#[derive(Insertable)]
#[diesel(table_name = request_builds, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenLink {
    pub request_id: i64,
    pub build_id: i64,
    pub number: i64,
}

#[derive(Insertable)]
#[diesel(table_name = steps, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenStep {
    build_id: i64,
    number: i32,
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

/// One statement that writes steps that have rows as they now stand, each once: diesel has none for several rows at once on
/// SQLite.
///
/// All but their keys: setting these, even to what they are, would have their logs looked through.
pub(in crate::db) struct ReplacedSteps<'a>(pub &'a [WrittenStep]);

impl<DB> QueryFragment<DB> for ReplacedSteps<'_>
where
    DB: Backend + HasSqlType<Bool>,
    i16: ToSql<SmallInt, DB>,
    i32: ToSql<Integer, DB>,
    i64: ToSql<BigInt, DB>,
    f64: ToSql<Double, DB>,
    bool: ToSql<Bool, DB>,
    str: ToSql<Text, DB>,
    String: ToSql<Text, DB>,
    Option<i16>: ToSql<Nullable<SmallInt>, DB>,
    Option<i64>: ToSql<Nullable<BigInt>, DB>,
    Option<f64>: ToSql<Nullable<Double>, DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql(
            "INSERT INTO steps (build_id, number, name, text, text2, results, started, finished, hidden, \
             waiting_for_locks, statistics, urls, expected_seconds) VALUES ",
        );
        for (index, step) in self.0.iter().enumerate() {
            pass.push_sql(if index == 0 { "(" } else { ", (" });
            pass.push_bind_param::<BigInt, _>(&step.build_id)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Integer, _>(&step.number)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, _>(&step.name)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, str>(&step.text)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, str>(&step.text2)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Nullable<SmallInt>, _>(&step.results)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Nullable<BigInt>, _>(&step.started)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Nullable<BigInt>, _>(&step.finished)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Bool, _>(&step.hidden)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Bool, _>(&step.waiting_for_locks)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, str>(&step.statistics)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, str>(&step.urls)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Nullable<Double>, _>(&step.expected_seconds)?;
            pass.push_sql(")");
        }
        pass.push_sql(
            " ON CONFLICT (build_id, number) DO UPDATE SET name = excluded.name, text = excluded.text, \
             text2 = excluded.text2, results = excluded.results, started = excluded.started, \
             finished = excluded.finished, hidden = excluded.hidden, waiting_for_locks = excluded.waiting_for_locks, \
             statistics = excluded.statistics, urls = excluded.urls, expected_seconds = excluded.expected_seconds",
        );
        Ok(())
    }
}

/// Lengths are counted from the text that arrives.
#[derive(Insertable)]
#[diesel(table_name = logs, treat_none_as_default_value = false)]
pub(in crate::db) struct WrittenLog {
    pub id: i64,
    pub build_id: i64,
    pub step: i32,
    pub name: String,
    pub kind: i16,
    pub finished: bool,
    pub lines: i64,
    pub bytes: i64,
}

/// What the end of a build changes. Its number, start and, mostly, worker stay, and with them most index entries.
#[derive(AsChangeset)]
#[diesel(table_name = builds, treat_none_as_null = true)]
pub(in crate::db) struct BuildEnd {
    pub finished: i64,
    results: i16,
    eta: Option<i64>,
    reason: String,
    text: String,
    properties: SharedText,
    source_stamps: SharedText,
    planned: &'static str,
}

/// What the end of a request changes.
#[derive(AsChangeset)]
#[diesel(table_name = requests)]
pub(in crate::db) struct RequestEnd {
    complete_at: i64,
    results: i16,
}

/// What the end of a buildset changes.
#[derive(AsChangeset)]
#[diesel(table_name = buildsets)]
pub(in crate::db) struct BuildsetEnd {
    complete_at: i64,
    results: i16,
}

/// The long texts of what an event writes: made before it comes to the writer, and shared by every try to write it.
#[derive(Clone, Debug, Default)]
pub(in crate::db) struct Texts {
    pub properties: SharedText,
    pub source_stamps: SharedText,
}

impl Texts {
    /// Nothing for an event that writes neither.
    pub fn of(event: &Event) -> Result<Texts, DbError> {
        match event {
            Event::BuildsetSubmitted { buildset } => Texts::new(&buildset.properties, &buildset.source_stamps),
            Event::RequestSubmitted { request } => Texts::new(&request.properties, &request.source_stamps),
            Event::BuildStarted { build } | Event::BuildFinished { build } => Texts::of_build(build),
            _ => Ok(Texts::default()),
        }
    }

    pub fn of_build(build: &Build) -> Result<Texts, DbError> {
        Texts::new(&build.properties, &build.source_stamps)
    }

    fn new(properties: &Properties, source_stamps: &[SourceStamp]) -> Result<Texts, DbError> {
        Ok(Texts { properties: json(properties)?.into(), source_stamps: json(source_stamps)?.into() })
    }
}

impl WrittenBuildset {
    pub fn of(buildset: &Buildset, texts: &Texts) -> Result<WrittenBuildset, DbError> {
        Ok(WrittenBuildset {
            id: buildset.id,
            external_idstring: buildset.external_idstring.as_deref().map(owned),
            reason: owned(&buildset.reason),
            scheduler: owned(&buildset.scheduler),
            source_stamps: texts.source_stamps.clone(),
            properties: texts.properties.clone(),
            builders: json(&buildset.builders)?,
            submitted_at: buildset.submitted_at.0,
            complete_at: micros(buildset.complete_at),
            results: buildset.results.map(Results::code),
        })
    }
}

impl WrittenRequest {
    pub fn of(request: &BuildRequest, texts: &Texts, builder_id: i64) -> WrittenRequest {
        WrittenRequest {
            id: request.id,
            buildset_id: request.buildset,
            builder_id,
            source_stamps: texts.source_stamps.clone(),
            reason: owned(&request.reason),
            properties: texts.properties.clone(),
            priority: request.priority,
            submitted_at: request.submitted_at.0,
            complete_at: micros(request.complete_at),
            results: request.results.map(Results::code),
        }
    }
}

impl WrittenBuild {
    /// `planned` are steps without a row.
    pub fn of<'a>(
        build: &'a Build,
        texts: &Texts,
        id: i64,
        builder_id: i64,
        planned: impl Iterator<Item = &'a Step>,
    ) -> Result<WrittenBuild, DbError> {
        let planned: Vec<_> = planned.map(|step| (step.number, &step.name, step.expected_seconds)).collect();
        Ok(WrittenBuild {
            id,
            builder_id,
            number: build.number,
            worker: owned(&build.worker),
            started: build.started.0,
            finished: micros(build.finished),
            results: build.results.map(Results::code),
            eta: micros(build.eta),
            reason: owned(&build.reason),
            text: json(&build.text)?,
            requests: json(&build.requests)?,
            properties: texts.properties.clone(),
            source_stamps: texts.source_stamps.clone(),
            planned: json_list(&planned)?,
        })
    }
}

impl WrittenBranch {
    /// The branches of a build as the index has them, each once.
    pub fn all_of(build: &Build, id: i64, builder_id: i64) -> impl Iterator<Item = WrittenBranch> + use<> {
        let branches: BTreeSet<String> =
            build.source_stamps.iter().map(|stamp| columns::branch(stamp.branch.as_deref())).collect();
        let (started, finished) = (build.started.0, micros(build.finished));
        branches.into_iter().map(move |branch| WrittenBranch { build_id: id, branch, builder_id, started, finished })
    }
}

impl WrittenBuildChange {
    /// The changes of a build, each once.
    pub fn all_of(build: &Build, id: i64) -> impl Iterator<Item = WrittenBuildChange> + use<> {
        let numbers: BTreeSet<i64> = build.changes().map(|change| change.number).collect();
        numbers.into_iter().map(move |change_number| WrittenBuildChange { change_number, build_id: id })
    }
}

impl WrittenStep {
    pub fn of(step: &Step, build_id: i64) -> Result<WrittenStep, DbError> {
        Ok(WrittenStep {
            build_id,
            number: step.number,
            name: owned(&step.name),
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

impl WrittenLog {
    /// Without text as yet.
    pub fn of(log: &Log, build_id: i64, step: i32, finished: bool) -> WrittenLog {
        let (name, kind) = (owned(&log.name), crate::db::logs::kind(log.kind));
        WrittenLog { id: log.id, build_id, step, name, kind, finished, lines: 0, bytes: 0 }
    }
}

impl BuildEnd {
    pub fn of(build: &Build, texts: &Texts, finished: Time, results: Results) -> Result<BuildEnd, DbError> {
        Ok(BuildEnd {
            finished: finished.0,
            results: results.code(),
            eta: None,
            reason: owned(&build.reason),
            text: json(&build.text)?,
            properties: texts.properties.clone(),
            source_stamps: texts.source_stamps.clone(),
            planned: "[]",
        })
    }
}

impl RequestEnd {
    pub fn new(results: Results, at: Time) -> RequestEnd {
        RequestEnd { complete_at: at.0, results: results.code() }
    }
}

impl BuildsetEnd {
    pub fn new(worst: Results, at: Time) -> BuildsetEnd {
        BuildsetEnd { complete_at: at.0, results: worst.code() }
    }
}

fn owned(text: &str) -> String {
    clean(text).into_owned()
}
