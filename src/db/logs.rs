//! Log text: compressed pieces with a line index.
//!
//! Every byte is kept as it came, with its channel. A line ends at a `\n`, whichever channel it came on. A piece knows
//! the byte and the line it starts at, so any range of a log of any length is read from the pieces that hold it.

mod pieces;

pub use pieces::{Prepared, prepare};

use super::engine::{Conn, each, kept};
use super::schema::{log_chunks, logs, steps};
use super::{DbError, builders, builds};
use crate::model::{BuildRef, Log, LogKind, Segment, Step};
use diesel::prelude::*;
use pieces::{Text, line_ends};
use std::collections::HashMap;

/// A small piece is joined with the one before while both together stay below this, so that a log that trickles in
/// does not end as thousands of rows. Larger, and each new line would rewrite more.
const JOINED: usize = 16 * 1024;

/// Pieces are read this many at a time.
const AT_ONCE: i64 = 8;

/// Only a log that ended before its step says so itself; the others are finished when their step is.
#[derive(Queryable, Selectable)]
#[diesel(table_name = logs)]
struct Row {
    id: i64,
    build_id: i64,
    step: i32,
    name: String,
    kind: i16,
    finished: bool,
    lines: i64,
    bytes: i64,
}

impl Row {
    fn log(self) -> Log {
        Log {
            id: self.id,
            name: self.name,
            kind: if self.kind == HTML { LogKind::Html } else { LogKind::Text },
            finished: self.finished,
            lines: self.lines,
            bytes: self.bytes,
        }
    }
}

const HTML: i16 = 1;

pub(super) fn kind(kind: LogKind) -> i16 {
    match kind {
        LogKind::Text => 0,
        LogKind::Html => HTML,
    }
}

/// Adds text; splits into compressed chunks with a line index. Returns the log's new (lines, bytes).
///
/// Compresses in the writer's thread; [`prepare`] beforehand and [`append_prepared`] keep that off it.
pub fn append(conn: &mut Conn, log: i64, segments: &[Segment]) -> Result<(i64, i64), DbError> {
    append_prepared(conn, log, &prepare(segments))
}

/// Adds text that has been compressed already. Returns the log's new (lines, bytes).
pub fn append_prepared(conn: &mut Conn, log: i64, prepared: &Prepared) -> Result<(i64, i64), DbError> {
    let found: Option<(i64, i64)> =
        logs::table.find(log).select((logs::lines, logs::bytes)).first(conn.engine()?).optional()?;
    let (mut lines, mut bytes) = found.ok_or_else(|| DbError::NotFound { what: format!("log {log}") })?;
    let mut pieces = prepared.pieces.iter();
    if let Some(first) = pieces.as_slice().first()
        && join_last(conn, log, bytes, first)?
    {
        lines += first.lines;
        bytes += first.bytes;
        pieces.next();
    }
    for piece in pieces {
        let row = (
            log_chunks::log_id.eq(log),
            log_chunks::first_byte.eq(bytes),
            log_chunks::first_line.eq(lines),
            log_chunks::data.eq(&piece.data),
        );
        diesel::insert_into(log_chunks::table).values(row).execute(conn.engine()?)?;
        lines += piece.lines;
        bytes += piece.bytes;
    }
    each!(conn, |c| kept!(diesel::update(logs::table.find(log)).set((logs::lines.eq(lines), logs::bytes.eq(bytes))))
        .execute(c))?;
    Ok((lines, bytes))
}

/// Puts a small piece into the last one of the log if that is small too. `end` is the length of the log.
fn join_last(conn: &mut Conn, log: i64, end: i64, piece: &pieces::Piece) -> Result<bool, DbError> {
    let joined = JOINED as i64;
    if end == 0 || piece.bytes >= joined {
        return Ok(false);
    }
    let last: Option<i64> = log_chunks::table
        .filter(log_chunks::log_id.eq(log))
        .order(log_chunks::first_byte.desc())
        .select(log_chunks::first_byte)
        .first(conn.engine()?)
        .optional()?;
    let Some(first_byte) = last.filter(|first_byte| end - first_byte + piece.bytes <= joined) else {
        return Ok(false);
    };
    let row = log_chunks::table.find((log, first_byte));
    let data: Vec<u8> = row.select(log_chunks::data).first(conn.engine()?)?;
    let data = Text::open(&data)?.joined_with(&Text::open(&piece.data)?);
    each!(conn, |c| kept!(diesel::update(row).set(log_chunks::data.eq(data))).execute(c))?;
    Ok(true)
}

/// A log by the names on its page, with the step it belongs to.
pub fn find(conn: &mut Conn, build: &BuildRef, step: &str, log: &str) -> Result<Option<(Step, Log)>, DbError> {
    let Some(builder) = builders::id(conn, &build.builder)? else {
        return Ok(None);
    };
    let Some(id) = builds::id(conn, builder, build.number)? else {
        return Ok(None);
    };
    let row: Option<builds::StepRow> = steps::table
        .filter(steps::build_id.eq(id))
        .filter(steps::name.eq(step))
        .select(builds::StepRow::as_select())
        .first(conn.engine()?)
        .optional()?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mut step = row.step()?;
    let logs = of_builds(conn, &[id])?.remove(&(id, step.number));
    put_into(&mut step, logs);
    let found = step.logs.iter().find(|other| other.name == log).cloned();
    Ok(found.map(|log| (step, log)))
}

pub fn by_id(conn: &mut Conn, log: i64) -> Result<Option<Log>, DbError> {
    let its_step = logs::build_id.eq(steps::build_id).and(logs::step.eq(steps::number));
    let row: Option<(Row, Option<i64>)> = logs::table
        .inner_join(steps::table.on(its_step))
        .filter(logs::id.eq(log))
        .select((Row::as_select(), steps::finished))
        .first(conn.engine()?)
        .optional()?;
    Ok(row.map(|(row, step)| Log { finished: row.finished || step.is_some(), ..row.log() }))
}

/// Gives a step its logs.
pub(super) fn put_into(step: &mut Step, logs: Option<Vec<Log>>) {
    step.logs = logs.unwrap_or_default();
    step.logs.iter_mut().for_each(|log| log.finished |= step.finished.is_some());
}

/// What the rows of the logs of these builds say, by build and step, in the order they were started.
pub(super) fn of_builds(conn: &mut Conn, builds: &[i64]) -> Result<HashMap<(i64, i32), Vec<Log>>, DbError> {
    let rows: Vec<Row> = match builds {
        [build] => logs::table.filter(logs::build_id.eq(build)).select(Row::as_select()).load(conn.engine()?)?,
        builds => logs::table.filter(logs::build_id.eq_any(builds)).select(Row::as_select()).load(conn.engine()?)?,
    };
    let mut by_step: HashMap<(i64, i32), Vec<Log>> = HashMap::new();
    for row in rows {
        by_step.entry((row.build_id, row.step)).or_default().push(row.log());
    }
    by_step.values_mut().for_each(|logs| logs.sort_by_key(|log| log.id));
    Ok(by_step)
}

/// Text from byte `offset` on, at most `max` bytes; the second is the offset to go on from.
///
/// Past the end there is nothing, and the offset stays. It may end within a line, or within a character.
pub fn from_byte(conn: &mut Conn, log: i64, offset: i64, max: usize) -> Result<(Vec<Segment>, i64), DbError> {
    let offset = offset.max(0);
    let start: Option<i64> = log_chunks::table
        .filter(log_chunks::log_id.eq(log))
        .filter(log_chunks::first_byte.le(offset))
        .order(log_chunks::first_byte.desc())
        .select(log_chunks::first_byte)
        .first(conn.engine()?)
        .optional()?;
    let Some(first_byte) = start else {
        return Ok((Vec::new(), offset));
    };
    let mut taken = Taken { segments: Vec::new(), bytes: 0, max, lines: i64::MAX };
    let skipped = usize::try_from(offset - first_byte).unwrap_or(usize::MAX);
    take(conn, log, first_byte, skipped, &mut taken)?;
    let end = offset + taken.bytes as i64;
    Ok((taken.segments, end))
}

/// Lines `[first, first + count)` counted from 0, at most `max_bytes`; reads only the chunks that hold them.
pub fn lines(conn: &mut Conn, log: i64, first: i64, count: i64, max_bytes: usize) -> Result<Vec<Segment>, DbError> {
    let first = first.max(0);
    if count <= 0 {
        return Ok(Vec::new());
    }
    let mut taken = Taken { segments: Vec::new(), bytes: 0, max: max_bytes, lines: count };
    if first == 0 {
        take(conn, log, 0, 0, &mut taken)?;
        return Ok(taken.segments);
    }
    // The line starts after the `first`th line end, which is in the last piece that starts before it.
    let holder: Option<(i64, i64, Vec<u8>)> = log_chunks::table
        .filter(log_chunks::log_id.eq(log))
        .filter(log_chunks::first_line.lt(first))
        .order((log_chunks::first_line.desc(), log_chunks::first_byte.desc()))
        .select((log_chunks::first_byte, log_chunks::first_line, log_chunks::data))
        .first(conn.engine()?)
        .optional()?;
    if let Some((first_byte, first_line, data)) = holder
        && let Some(skipped) = Text::open(&data)?.after_line_end(first - first_line)
    {
        take(conn, log, first_byte, skipped, &mut taken)?;
    }
    Ok(taken.segments)
}

/// What has been read so far, and how much more is wanted.
struct Taken {
    segments: Vec<Segment>,
    bytes: usize,
    max: usize,
    /// Line ends still wanted.
    lines: i64,
}

impl Taken {
    fn is_full(&self) -> bool {
        self.bytes >= self.max || self.lines == 0
    }

    fn add(&mut self, channel: crate::model::Channel, bytes: &[u8]) {
        if self.is_full() || bytes.is_empty() {
            return;
        }
        let mut bytes = &bytes[..bytes.len().min(self.max - self.bytes)];
        let ends = line_ends(bytes);
        if ends >= self.lines {
            let end = pieces::nth_line_end(bytes, self.lines).unwrap_or(bytes.len());
            bytes = &bytes[..end];
            self.lines = 0;
        } else {
            self.lines -= ends;
        }
        self.bytes += bytes.len();
        match self.segments.last_mut() {
            Some(last) if last.channel == channel => last.bytes.extend_from_slice(bytes),
            _ => self.segments.push(Segment { channel, bytes: bytes.to_vec() }),
        }
    }
}

/// Reads on from `skipped` bytes into the piece at `first_byte`.
fn take(conn: &mut Conn, log: i64, first_byte: i64, skipped: usize, taken: &mut Taken) -> Result<(), DbError> {
    let mut skipped = skipped;
    let mut next = first_byte;
    let mut at_once = 1;
    while !taken.is_full() {
        let rows: Vec<(i64, Vec<u8>)> = log_chunks::table
            .filter(log_chunks::log_id.eq(log))
            .filter(log_chunks::first_byte.ge(next))
            .order(log_chunks::first_byte)
            .limit(at_once)
            .select((log_chunks::first_byte, log_chunks::data))
            .load(conn.engine()?)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        next = last + 1;
        for (_, data) in &rows {
            for (channel, bytes) in Text::open(data)?.runs() {
                let skip = skipped.min(bytes.len());
                skipped -= skip;
                taken.add(channel, &bytes[skip..]);
            }
            // What is left to skip lies past the end of the piece, so past the end of the log.
            skipped = 0;
            if taken.is_full() {
                return Ok(());
            }
        }
        at_once = AT_ONCE;
    }
    Ok(())
}
