//! Model values to make tests from.

use serde_json::Map;
use signalbox::db::{Conn, DbError, events};
use signalbox::model::*;

/// The start of the day everything happens on.
pub const DAY: Time = Time(1_795_305_600_000_000);

/// So many seconds into the day.
pub fn at(seconds: i64) -> Time {
    Time(DAY.0 + seconds * 1_000_000)
}

pub fn builder(name: &str) -> Builder {
    Builder {
        name: name.to_owned(),
        basedir: name.to_owned(),
        description: Some(format!("builds {name}")),
        tags: vec!["fast".to_owned()],
        workers: vec!["w1".to_owned(), "w2".to_owned()],
        schedulers: vec!["quick".to_owned()],
        state: BigState::Idle,
    }
}

pub fn worker(name: &str) -> Worker {
    Worker { name: name.to_owned(), admin: Some("Ann <ann@example.org>".to_owned()), ..Worker::default() }
}

pub fn change(number: i64) -> Change {
    Change {
        number,
        who: "Ann <ann@example.org>".to_owned(),
        files: vec!["src/lib.rs".to_owned()],
        comments: format!("change {number}\n\nwith \u{1f600} and a \0 in it"),
        revision: Some(format!("{number:040x}")),
        branch: Some("main".to_owned()),
        category: None,
        when: at(number),
        revlink: None,
        properties: Properties::new(),
        repository: "https://example.org/x.git".to_owned(),
        codebase: String::new(),
        project: "x".to_owned(),
        origin: None,
    }
}

pub fn stamp(branch: Option<&str>) -> SourceStamp {
    SourceStamp { branch: branch.map(str::to_owned), revision: Some("abc".to_owned()), ..SourceStamp::default() }
}

pub fn buildset(id: i64, builders: &[&str]) -> Buildset {
    Buildset {
        id,
        external_idstring: None,
        reason: "scheduler".to_owned(),
        scheduler: "quick".to_owned(),
        source_stamps: vec![stamp(Some("main"))],
        properties: Properties::new(),
        builders: builders.iter().map(|name| (*name).to_owned()).collect(),
        submitted_at: at(id),
        complete_at: None,
        results: None,
    }
}

pub fn request(id: i64, buildset: i64, builder: &str) -> BuildRequest {
    BuildRequest {
        id,
        buildset,
        builder: builder.to_owned(),
        source_stamps: vec![stamp(Some("main"))],
        reason: "scheduler".to_owned(),
        properties: Properties::new(),
        priority: 0,
        submitted_at: at(id),
        builds: Vec::new(),
        complete_at: None,
        results: None,
    }
}

/// A running build, started `number` minutes into the day.
pub fn build(builder: &str, number: i64) -> Build {
    let mut properties = Properties::new();
    properties.set("buildnumber", number, "Build");
    Build {
        builder: builder.to_owned(),
        number,
        reason: "scheduler".to_owned(),
        source_stamps: vec![stamp(Some("main"))],
        requests: Vec::new(),
        properties,
        worker: "w1".to_owned(),
        started: at(number * 60),
        finished: None,
        results: None,
        text: Vec::new(),
        eta: None,
        steps: Vec::new(),
    }
}

/// The build as it ended, half a minute after its start.
pub fn ended(build: &Build, results: Results) -> Build {
    Build {
        finished: Some(Time(build.started.0 + 30_000_000)),
        results: Some(results),
        text: results.build_text().iter().map(|word| (*word).to_owned()).collect(),
        ..build.clone()
    }
}

/// A running step.
pub fn step(build: &Build, number: i32, name: &str) -> Step {
    Step {
        started: Some(Time(build.started.0 + i64::from(number) * 1_000_000)),
        text: vec![format!("{name}ing")],
        ..Step::new(number, name)
    }
}

/// The step as it ended, after so many seconds.
pub fn step_ended(step: &Step, seconds: i64, results: Results) -> Step {
    let mut statistics = Map::new();
    statistics.insert("warnings".to_owned(), 3.into());
    Step {
        finished: step.started.map(|started| Time(started.0 + seconds * 1_000_000)),
        results: Some(results),
        text: vec![step.name.clone()],
        statistics,
        ..step.clone()
    }
}

pub fn log(id: i64, name: &str) -> Log {
    Log { id, name: name.to_owned(), kind: LogKind::Text, finished: false, lines: 0, bytes: 0 }
}

/// A log that has ended, with so much in it.
pub fn a_log_of(name: &str, lines: i64, bytes: i64) -> Log {
    Log { finished: true, lines, bytes, ..log(0, name) }
}

/// These events one second apart, numbered from `first`.
pub fn numbered(first: Seq, events: impl IntoIterator<Item = Event>) -> Vec<Stored> {
    (first..).zip(events).map(|(seq, event)| Stored { seq, at: at(seq), event }).collect()
}

/// Stores them within a job.
pub fn append(conn: &mut Conn, stored: &[Stored]) -> Result<(), DbError> {
    events::append(conn, &events::prepare(stored.to_vec())?)
}
