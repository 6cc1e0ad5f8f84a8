//! From rows to builds.

use crate::db::columns::{from_json, results};
use crate::db::engine::Conn;
use crate::db::known::{KnownBuild, Progress};
use crate::db::schema::{builders, builds, logs as logs_table, steps};
use crate::db::{DbError, logs};
use crate::model::{Build, Step, Time};
use diesel::prelude::*;
use std::collections::HashMap;

/// How many rows are asked for by number in one statement.
const AT_ONCE: usize = 400;

#[derive(Queryable, Selectable)]
#[diesel(table_name = builds)]
struct BuildRow {
    id: i64,
    number: i64,
    worker: String,
    started: i64,
    finished: Option<i64>,
    results: Option<i16>,
    eta: Option<i64>,
    reason: String,
    text: String,
    requests: String,
    properties: String,
    source_stamps: String,
    planned: String,
}

impl BuildRow {
    fn build(self, builder: String) -> Result<Build, DbError> {
        Ok(Build {
            builder,
            number: self.number,
            reason: self.reason,
            source_stamps: from_json("builds.source_stamps", &self.source_stamps)?,
            requests: from_json("builds.requests", &self.requests)?,
            properties: from_json("builds.properties", &self.properties)?,
            worker: self.worker,
            started: Time(self.started),
            finished: self.finished.map(Time),
            results: results("builds.results", self.results)?,
            text: from_json("builds.text", &self.text)?,
            eta: self.eta.map(Time),
            steps: Vec::new(),
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = steps)]
pub(in crate::db) struct StepRow {
    build_id: i64,
    number: i32,
    name: String,
    text: String,
    text2: String,
    results: Option<i16>,
    started: Option<i64>,
    finished: Option<i64>,
    hidden: bool,
    waiting_for_locks: bool,
    statistics: String,
    urls: String,
    expected_seconds: Option<f64>,
}

impl StepRow {
    /// Without its logs.
    pub fn step(self) -> Result<Step, DbError> {
        Ok(Step {
            number: self.number,
            name: self.name,
            text: from_json("steps.text", &self.text)?,
            text2: from_json("steps.text2", &self.text2)?,
            results: results("steps.results", self.results)?,
            started: self.started.map(Time),
            finished: self.finished.map(Time),
            hidden: self.hidden,
            waiting_for_locks: self.waiting_for_locks,
            statistics: from_json("steps.statistics", &self.statistics)?,
            urls: from_json("steps.urls", &self.urls)?,
            logs: Vec::new(),
            expected_seconds: self.expected_seconds,
        })
    }
}

/// The builds of these rows, in the order asked for; with steps and logs if `with_steps`.
pub(in crate::db) fn of_ids(conn: &mut Conn, ids: &[i64], with_steps: bool) -> Result<Vec<Build>, DbError> {
    let mut found = by_ids(conn, ids, with_steps)?;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// The same by row.
pub(in crate::db) fn by_ids(conn: &mut Conn, ids: &[i64], with_steps: bool) -> Result<HashMap<i64, Build>, DbError> {
    let mut found: HashMap<i64, Build> = HashMap::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        let rows: Vec<(BuildRow, String)> = match some {
            // Its text never varies, so it stays prepared.
            [id] => builds::table
                .inner_join(builders::table)
                .filter(builds::id.eq(id))
                .select((BuildRow::as_select(), builders::name))
                .load(conn.engine()?)?,
            some => builds::table
                .inner_join(builders::table)
                .filter(builds::id.eq_any(some))
                .select((BuildRow::as_select(), builders::name))
                .load(conn.engine()?)?,
        };
        let mut steps = if with_steps { steps_of(conn, some)? } else { HashMap::new() };
        for (row, builder) in rows {
            let id = row.id;
            let mut steps = steps.remove(&id).unwrap_or_default();
            if with_steps {
                add_planned(&mut steps, &row.planned)?;
            }
            found.insert(id, Build { steps, ..row.build(builder)? });
        }
    }
    Ok(found)
}

/// Adds the steps that have no row yet.
fn add_planned(steps: &mut Vec<Step>, text: &str) -> Result<(), DbError> {
    let mut planned = planned(text)?;
    planned.retain(|planned| steps.iter().all(|step| step.number != planned.number));
    if !planned.is_empty() {
        steps.append(&mut planned);
        steps.sort_by_key(|step| step.number);
    }
    Ok(())
}

/// The steps a build was to have when it began.
pub(in crate::db) fn planned(text: &str) -> Result<Vec<Step>, DbError> {
    let planned: Vec<(i32, String, Option<f64>)> = from_json("builds.planned", text)?;
    let step = |(number, name, expected_seconds)| Step { expected_seconds, ..Step::new(number, name) };
    Ok(planned.into_iter().map(step).collect())
}

/// Steps with logs, by build, each build's in order.
fn steps_of(conn: &mut Conn, builds: &[i64]) -> Result<HashMap<i64, Vec<Step>>, DbError> {
    let order = (steps::build_id, steps::number);
    let rows: Vec<StepRow> = match builds {
        [build] => steps::table
            .filter(steps::build_id.eq(build))
            .order(order)
            .select(StepRow::as_select())
            .load(conn.engine()?)?,
        builds => steps::table
            .filter(steps::build_id.eq_any(builds))
            .order(order)
            .select(StepRow::as_select())
            .load(conn.engine()?)?,
    };
    let mut logs = logs::of_builds(conn, builds)?;
    let mut steps: HashMap<i64, Vec<Step>> = HashMap::with_capacity(builds.len());
    for row in rows {
        let build = row.build_id;
        let mut step = row.step()?;
        let of_it = logs.remove(&(build, step.number));
        logs::put_into(&mut step, of_it);
        steps.entry(build).or_default().push(step);
    }
    Ok(steps)
}

/// A build as the writer wants to know it.
pub(in crate::db) fn known(conn: &mut Conn, builder: i64, number: i64) -> Result<Option<KnownBuild>, DbError> {
    let found: Option<(i64, String)> = builds::table
        .filter(builds::builder_id.eq(builder))
        .filter(builds::number.eq(number))
        .select((builds::id, builds::worker))
        .first(conn.engine()?)
        .optional()?;
    let Some((id, worker)) = found else {
        return Ok(None);
    };
    let steps: Vec<(i32, Option<i64>)> =
        steps::table.filter(steps::build_id.eq(id)).select((steps::number, steps::finished)).load(conn.engine()?)?;
    let open_logs: Vec<(i64, i32)> = logs_table::table
        .filter(logs_table::build_id.eq(id))
        .filter(logs_table::finished.eq(false))
        .select((logs_table::id, logs_table::step))
        .load(conn.engine()?)?;
    let progress = |(step, finished): (i32, Option<i64>)| match finished {
        Some(_) => (step, Progress::Ended),
        None => (step, Progress::Open),
    };
    let (steps, open_logs) = (steps.into_iter().map(progress).collect(), open_logs.into_iter().collect());
    Ok(Some(KnownBuild { id, builder, worker, steps, open_logs }))
}
