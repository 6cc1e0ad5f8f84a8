//! Durable events against the same rows into bare SQLite, in one run.
//!
//! `cargo bench --bench events`. Both sides write to the same folder with the same settings (WAL, `synchronous=FULL`,
//! references checked, cache, checkpoints). Events are recorded in the calls in which the master records them. "The same
//! rows" are all rows the events led to, read model included, copied from the finished database in about the order in
//! which they came about, in transactions of as many rows as the hub's have at most: what the hub and its read model add
//! is what the ratio shows. The bare side runs once more with references unchecked, which is what SQLite does unless
//! asked.

use actix::Actor;
use libsqlite3_sys as ffi;
use signalbox::clock::Clock;
use signalbox::db::{Db, Location};
use signalbox::hub::{Hub, StatusHub};
use signalbox::model::*;
use std::ffi::{CStr, CString};
use std::path::Path;
use std::time::{Duration, Instant};

const BUILDS: i64 = 8_000;
const STEPS: i32 = 4;
/// Builds whose events are under way at the same time.
const AT_ONCE: usize = 2_000;
const RUNS: usize = 5;
/// Rows per transaction on the bare side: what the calls of a full group of the writer lead to.
const BATCH: usize = 3_000;

/// What the program sets on the connection it writes with, references aside.
const SETTINGS: [&str; 7] = [
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -8000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA wal_autocheckpoint = 16000",
    "PRAGMA journal_size_limit = 67108864",
];

fn main() {
    let mut ratios = Vec::new();
    for run in 1..=RUNS {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("state.sqlite");
        let (events, durable) = record_through_the_hub(&file);
        let (rows, bare) = copy_rows_bare(&file, &folder.path().join("bare.sqlite"), "PRAGMA foreign_keys = ON");
        let (_, unchecked) =
            copy_rows_bare(&file, &folder.path().join("unchecked.sqlite"), "PRAGMA foreign_keys = OFF");
        let ratio = bare.as_secs_f64() / durable.as_secs_f64();
        ratios.push(ratio);
        println!(
            "run {run}: {events} events ({rows} rows) through the hub {:.0} events/s; bare {:.0} events/s; ratio {ratio:.2}, with references unchecked {:.2}",
            events as f64 / durable.as_secs_f64(),
            events as f64 / bare.as_secs_f64(),
            unchecked.as_secs_f64() / durable.as_secs_f64(),
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2} (bar: 0.50)", ratios[RUNS / 2]);
}

fn record_through_the_hub(file: &Path) -> (i64, Duration) {
    let db = Db::open(&Location::Sqlite(file.to_owned())).expect("a new database can be made");
    actix::System::new().block_on(async move {
        let hub = Hub::new(StatusHub::new(db.clone(), Clock::system()).start());
        hub.record(Event::BuilderAdded { builder: builder() }).await.expect("it is stored");
        // Builds begin in the order of their numbers, as the ids given to them do.
        let mut lanes: Vec<Vec<Vec<Event>>> = vec![Vec::new(); AT_ONCE];
        for (number, lane) in (0..BUILDS).zip((0..AT_ONCE).cycle()) {
            lanes[lane].extend(life_of_a_build(&db, number));
        }
        let events = lanes.iter().flatten().map(|together| together.len() as i64).sum();
        let started = Instant::now();
        let recorded = lanes.into_iter().map(|lane| {
            let hub = hub.clone();
            async move {
                for together in lane {
                    hub.record_all(together, Vec::new()).await.expect("they are stored");
                }
            }
        });
        futures::future::join_all(recorded).await;
        let took = started.elapsed();
        db.close().await;
        (events, took)
    })
}

fn builder() -> Builder {
    Builder {
        name: "linux".into(),
        basedir: "linux".into(),
        description: None,
        tags: vec!["bench".into()],
        workers: vec!["local".into()],
        schedulers: vec!["commits".into()],
        state: BigState::Idle,
    }
}

/// What one build of four steps with a log each records from request to end, call by call as the master does.
fn life_of_a_build(db: &Db, number: i64) -> Vec<Vec<Event>> {
    let at = |seconds: i64| Time::from_seconds(1_790_000_000 + number * 60 + seconds);
    let stamp = SourceStamp {
        repository: "https://git.example.org/widget.git".into(),
        branch: Some("main".into()),
        revision: Some(format!("{number:040x}")),
        ..SourceStamp::default()
    };
    let mut properties = Properties::new();
    for (name, source) in [("branch", "Build"), ("buildername", "Builder"), ("scheduler", "Scheduler")] {
        properties.set(name, "main", source);
    }
    let request = BuildRequest {
        id: db.ids().request(),
        buildset: db.ids().buildset(),
        builder: "linux".into(),
        source_stamps: vec![stamp.clone()],
        reason: "a change was made".into(),
        properties: properties.clone(),
        priority: 0,
        submitted_at: at(0),
        builds: Vec::new(),
        complete_at: None,
        results: None,
    };
    let buildset = Buildset {
        id: request.buildset,
        external_idstring: None,
        reason: request.reason.clone(),
        scheduler: "commits".into(),
        source_stamps: vec![stamp.clone()],
        properties: properties.clone(),
        builders: vec!["linux".into()],
        submitted_at: at(0),
        complete_at: None,
        results: None,
    };
    let mut build = Build {
        builder: "linux".into(),
        number,
        reason: request.reason.clone(),
        source_stamps: vec![stamp],
        requests: vec![request.id],
        properties,
        worker: "local".into(),
        started: at(1),
        finished: None,
        results: None,
        text: Vec::new(),
        eta: None,
        steps: (0..STEPS).map(|step| Step::new(step, format!("step{step}"))).collect(),
    };
    let reference = build.reference();
    let mut life = vec![
        vec![Event::BuildsetSubmitted { buildset }, Event::RequestSubmitted { request }],
        vec![Event::BuildStarted { build: build.clone() }],
    ];
    for index in 0..STEPS {
        let second = i64::from(index) * 10 + 2;
        let step = &mut build.steps[index as usize];
        step.started = Some(at(second));
        step.text = vec!["running".into()];
        let begun = Event::StepStarted { build: reference.clone(), step: step.clone() };
        let mut log =
            Log { id: db.ids().log(), name: "stdio".into(), kind: LogKind::Text, finished: false, lines: 0, bytes: 0 };
        life.push(vec![begun, Event::LogStarted { build: reference.clone(), step: index, log: log.clone() }]);
        log.finished = true;
        let logged = Event::LogFinished { build: reference.clone(), step: index, log: log.clone() };
        step.logs = vec![log];
        step.finished = Some(at(second + 9));
        step.results = Some(Results::Success);
        step.text = vec!["done".into()];
        let ended = Event::StepFinished { build: reference.clone(), step: step.clone(), properties: Properties::new() };
        life.push(vec![logged, ended]);
    }
    build.finished = Some(at(50));
    build.results = Some(Results::Success);
    build.text = vec!["build".into(), "successful".into()];
    life.push(vec![Event::BuildFinished { build }]);
    life
}

/// Copies every row of every table into a fresh file of the same schema; only the writing is timed.
fn copy_rows_bare(from: &Path, to: &Path, references: &str) -> (usize, Duration) {
    let source = Bare::open(from);
    let target = Bare::open(to);
    for setting in SETTINGS {
        target.run(setting);
    }
    target.run(references);
    let schema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    for statement in source.rows(schema) {
        target.run(&statement[0].text());
    }
    let tables: Vec<String> = source
        .rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .iter()
        .map(|row| row[0].text())
        .collect();
    let content: Vec<(String, Vec<Vec<Cell>>)> =
        tables.into_iter().map(|table| (table.clone(), source.rows(&all_of(&table)))).collect();
    let inserts: Vec<_> = content.iter().map(|(table, rows)| target.prepare_insert(table, rows)).collect();
    let started = Instant::now();
    let total: usize = content.iter().map(|(_, rows)| rows.len()).sum();
    let batches = total.div_ceil(BATCH);
    for batch in 0..batches {
        target.run("BEGIN IMMEDIATE");
        for (insert, (_, rows)) in inserts.iter().zip(&content) {
            // Rounded up, so that what a row refers to is there before it.
            let upto = |batch: usize| (rows.len() * batch).div_ceil(batches);
            target.insert(*insert, &rows[upto(batch)..upto(batch + 1)]);
        }
        target.run("COMMIT");
    }
    let took = started.elapsed();
    inserts.into_iter().for_each(|insert| target.finish(insert));
    (total, took)
}

/// Reads a table by the numbers of the builds, as all other ids count with these.
fn all_of(table: &str) -> String {
    let order = match table {
        "builds" => "ORDER BY number",
        "build_branches" | "steps" => "ORDER BY (SELECT builds.number FROM builds WHERE builds.id = build_id)",
        _ => "",
    };
    format!("SELECT * FROM \"{table}\" {order}")
}

enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => panic!("a name is text"),
        }
    }
}

/// SQLite's own interface with nothing between.
struct Bare(*mut ffi::sqlite3);

impl Bare {
    fn open(path: &Path) -> Bare {
        let name = CString::new(path.to_str().expect("the folder has a plain name")).expect("no NUL in it");
        let mut handle = std::ptr::null_mut();
        // SAFETY: the name outlives the call, and the handle is closed in drop.
        assert_eq!(unsafe { ffi::sqlite3_open(name.as_ptr(), &mut handle) }, ffi::SQLITE_OK);
        Bare(handle)
    }

    fn run(&self, sql: &str) {
        let sql = CString::new(sql).expect("no NUL in it");
        // SAFETY: the handle is open and the text outlives the call.
        let code = unsafe { ffi::sqlite3_exec(self.0, sql.as_ptr(), None, std::ptr::null_mut(), std::ptr::null_mut()) };
        // SAFETY: the message belongs to the open handle and is read at once.
        assert_eq!(code, ffi::SQLITE_OK, "{:?}", unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(self.0)) });
    }

    fn prepare(&self, sql: &str) -> *mut ffi::sqlite3_stmt {
        let sql = CString::new(sql).expect("no NUL in it");
        let mut statement = std::ptr::null_mut();
        // SAFETY: as above; the statement is finalized by its user.
        let code = unsafe { ffi::sqlite3_prepare_v2(self.0, sql.as_ptr(), -1, &mut statement, std::ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK);
        statement
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Cell>> {
        let statement = self.prepare(sql);
        let mut rows = Vec::new();
        // SAFETY: columns are read between two steps of a live statement, as SQLite asks.
        unsafe {
            let columns = ffi::sqlite3_column_count(statement);
            while ffi::sqlite3_step(statement) == ffi::SQLITE_ROW {
                rows.push((0..columns).map(|column| cell(statement, column)).collect());
            }
            ffi::sqlite3_finalize(statement);
        }
        rows
    }

    fn prepare_insert(&self, table: &str, rows: &[Vec<Cell>]) -> *mut ffi::sqlite3_stmt {
        let Some(first) = rows.first() else { return std::ptr::null_mut() };
        let marks = vec!["?"; first.len()].join(",");
        self.prepare(&format!("INSERT INTO \"{table}\" VALUES ({marks})"))
    }

    fn insert(&self, statement: *mut ffi::sqlite3_stmt, rows: &[Vec<Cell>]) {
        for row in rows {
            // SAFETY: bound values live in `rows` until the statement has been stepped and reset.
            unsafe {
                for (index, cell) in (1..).zip(row) {
                    bind(statement, index, cell);
                }
                assert_eq!(ffi::sqlite3_step(statement), ffi::SQLITE_DONE);
                ffi::sqlite3_reset(statement);
            }
        }
    }

    fn finish(&self, statement: *mut ffi::sqlite3_stmt) {
        // SAFETY: it was prepared here and is not used again; none at all is nothing to finish.
        unsafe { ffi::sqlite3_finalize(statement) };
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: every statement has been finalized.
        unsafe { ffi::sqlite3_close(self.0) };
    }
}

/// SAFETY: `statement` stands on a row.
unsafe fn cell(statement: *mut ffi::sqlite3_stmt, column: i32) -> Cell {
    // SAFETY: the pointers SQLite gives are valid for the length it gives until the next step.
    unsafe {
        let bytes = |pointer: *const u8| {
            let length = ffi::sqlite3_column_bytes(statement, column) as usize;
            if length == 0 { Vec::new() } else { std::slice::from_raw_parts(pointer, length).to_vec() }
        };
        match ffi::sqlite3_column_type(statement, column) {
            ffi::SQLITE_INTEGER => Cell::Integer(ffi::sqlite3_column_int64(statement, column)),
            ffi::SQLITE_FLOAT => Cell::Real(ffi::sqlite3_column_double(statement, column)),
            ffi::SQLITE_TEXT => Cell::Text(bytes(ffi::sqlite3_column_text(statement, column))),
            ffi::SQLITE_BLOB => Cell::Blob(bytes(ffi::sqlite3_column_blob(statement, column).cast())),
            _ => Cell::Null,
        }
    }
}

/// SAFETY: `cell` outlives the next step of `statement`.
unsafe fn bind(statement: *mut ffi::sqlite3_stmt, index: i32, cell: &Cell) {
    // SAFETY: lengths are those of the slices; no destructor means SQLite does not keep them past the step.
    unsafe {
        match cell {
            Cell::Null => ffi::sqlite3_bind_null(statement, index),
            Cell::Integer(value) => ffi::sqlite3_bind_int64(statement, index, *value),
            Cell::Real(value) => ffi::sqlite3_bind_double(statement, index, *value),
            Cell::Text(text) => ffi::sqlite3_bind_text(statement, index, text.as_ptr().cast(), text.len() as i32, None),
            Cell::Blob(blob) => ffi::sqlite3_bind_blob(statement, index, blob.as_ptr().cast(), blob.len() as i32, None),
        };
    }
}
