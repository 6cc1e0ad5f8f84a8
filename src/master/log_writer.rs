//! Writes the text of one log to the database as it comes: in batches, one write at a time, with bounded memory.
//!
//! A batch is written when it is large, or when [`PATIENCE`] has passed since the last write began; the first text of a
//! quiet log is written at once. While a write is under way the next batch is collected, up to [`MOST`]; when that is
//! full too, [`LogWriter::add`] waits, and so does the command that prints.

use super::house::{House, Unrecorded, chain};
use super::log_limit::LogLimit;
use crate::db::{DbError, logs};
use crate::hub::LogGrew;
use crate::model::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::error;

/// A batch of this size is written without waiting for more.
const BATCH: usize = 1024 * 1024;

/// A batch grows to this size while the one before is being written.
const MOST: usize = 4 * BATCH;

/// The least time between the starts of two writes of small batches.
const PATIENCE: Duration = Duration::from_millis(50);

/// Pieces are put together up to this size.
const PIECE: usize = 64 * 1024;

/// How often a batch the database refuses is offered again before it is given up.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct LogWriter {
    house: Arc<House>,
    build: BuildRef,
    step: i32,
    log: Log,
    limit: LogLimit,
    batch: Vec<Segment>,
    batch_bytes: usize,
    /// When the last write began.
    written: Option<Instant>,
    writing: Option<JoinHandle<Result<(i64, i64), DbError>>>,
    /// What `writing` writes, to be offered again should it fail.
    in_flight: Arc<Vec<Segment>>,
    failures: u32,
}

impl LogWriter {
    /// A log that does not exist yet: record [`LogWriter::started`] before adding any text.
    pub fn new(house: &Arc<House>, build: BuildRef, step: i32, name: &str, kind: LogKind) -> LogWriter {
        let log = Log { id: house.db.ids().log(), name: name.to_owned(), kind, finished: false, lines: 0, bytes: 0 };
        LogWriter {
            house: house.clone(),
            build,
            step,
            log,
            limit: LogLimit::new(house.config().logs.clone()),
            batch: Vec::new(),
            batch_bytes: 0,
            written: None,
            writing: None,
            in_flight: Arc::default(),
            failures: 0,
        }
    }

    pub fn started(&self) -> Event {
        Event::LogStarted { build: self.build.clone(), step: self.step, log: self.log.clone() }
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits where the database is slower than the text comes.
    pub async fn add(&mut self, segment: Segment) {
        for segment in self.limit.pass(segment) {
            self.push(segment);
        }
        if self.batch_bytes >= MOST || (self.batch_bytes >= BATCH && self.has_written()) {
            self.flush().await;
        }
    }

    pub async fn add_header(&mut self, text: &str) {
        self.add(Segment { channel: Channel::Header, bytes: text.as_bytes().to_vec() }).await;
    }

    fn push(&mut self, segment: Segment) {
        if segment.bytes.is_empty() {
            return;
        }
        self.batch_bytes += segment.bytes.len();
        match self.batch.last_mut() {
            Some(last) if last.channel == segment.channel && last.bytes.len() + segment.bytes.len() <= PIECE => {
                last.bytes.extend_from_slice(&segment.bytes);
            }
            _ => self.batch.push(segment),
        }
    }

    /// Does what is due: ends a write, or begins one when its time has come. Never ready when there is nothing to do.
    ///
    /// May be dropped at any moment; nothing is lost by it.
    pub async fn tick(&mut self) {
        if self.is_writing() {
            self.go_on_writing().await;
        } else if self.batch.is_empty() {
            std::future::pending::<()>().await;
        } else {
            if let Some(written) = self.written {
                tokio::time::sleep_until(written + PATIENCE).await;
            }
            self.begin();
        }
    }

    /// Begins to write what has been collected, once the write before has ended.
    async fn flush(&mut self) {
        while self.is_writing() {
            self.go_on_writing().await;
        }
        self.begin();
    }

    fn is_writing(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// No write is under way, or the one that is has come to its end.
    fn has_written(&self) -> bool {
        !self.is_writing() || self.writing.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Ends the write that is under way, or begins the one that failed again.
    async fn go_on_writing(&mut self) {
        match &mut self.writing {
            Some(writing) => {
                let result = writing.await;
                self.writing = None;
                self.note(result.unwrap_or_else(|cause| Err(DbError::Panicked(cause.to_string()))));
            }
            None => {
                tokio::time::sleep(AGAIN).await;
                self.write();
            }
        }
    }

    fn begin(&mut self) {
        if !self.batch.is_empty() {
            self.in_flight = Arc::new(std::mem::take(&mut self.batch));
            self.batch_bytes = 0;
            self.write();
        }
    }

    fn write(&mut self) {
        let (db, log, segments) = (self.house.db.clone(), self.log.id, self.in_flight.clone());
        self.written = Some(Instant::now());
        // A task of its own, so that compressing and writing go on while the next batch is collected.
        self.writing = Some(tokio::spawn(async move {
            if segments.iter().map(|segment| segment.bytes.len()).sum::<usize>() <= PIECE {
                return db.write(move |conn| logs::append(conn, log, &segments)).await;
            }
            let prepared = tokio::task::spawn_blocking(move || logs::prepare(&segments)).await;
            let prepared = prepared.map_err(|cause| DbError::Panicked(cause.to_string()))?;
            db.write(move |conn| logs::append_prepared(conn, log, &prepared)).await
        }));
    }

    fn note(&mut self, result: Result<(i64, i64), DbError>) {
        match result {
            Ok((lines, bytes)) => {
                self.failures = 0;
                self.in_flight = Arc::default();
                self.log.lines = lines;
                self.log.bytes = bytes;
                let (build, step, log) = (self.build.clone(), self.step, self.log.id);
                self.house.hub.log_grew(LogGrew { build, step, log, lines, bytes });
            }
            Err(cause) => {
                self.failures += 1;
                let what = format!("build {}, log {}: cannot store text: {}", self.build, self.log.name, chain(&cause));
                if self.failures >= TRIES || self.house.is_ending() {
                    error!("{what}; given up, this piece of the log is missing");
                    self.failures = 0;
                    self.in_flight = Arc::default();
                } else {
                    error!("{what}; trying again in {AGAIN:?}");
                }
            }
        }
    }

    /// Writes what is left, and waits for it. The fact that it has ended is the caller's to record.
    pub async fn finish(mut self) -> Log {
        for segment in self.limit.finish() {
            self.push(segment);
        }
        self.flush().await;
        while self.is_writing() {
            self.go_on_writing().await;
        }
        self.log.finished = true;
        self.log
    }
}

/// Records a log that is complete from the start, such as `interrupt` or `err.text`.
pub(super) async fn write_whole(
    house: &Arc<House>,
    build: &BuildRef,
    step: i32,
    (name, kind): (&str, LogKind),
    text: Segment,
) -> Result<Log, Unrecorded> {
    let mut writer = LogWriter::new(house, build.clone(), step, name, kind);
    house.record(vec![writer.started()]).await?;
    writer.add(text).await;
    let log = writer.finish().await;
    house.record(vec![Event::LogFinished { build: build.clone(), step, log: log.clone() }]).await?;
    Ok(log)
}
