//! The lines of a log that look like errors: the first of them and the last.
//!
//! A log that has ended does not change, so that what was found in it is remembered. Of a long one only the end is looked
//! through, which its view says. A log that still grows is left alone.

use crate::db::{Conn, DbError, Halves, logs};
use crate::model::{Log, LogKind, Segment};
use crate::render::log_find::{FoundLine, LogFind};
use crate::render::words::{count, thousands};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// How many lines are kept from the beginning, and as many from the end.
const FROM_EACH_END: usize = 10;

/// A log of no more bytes is looked through whole, and so much of the end of a longer one, about.
const MOST_READ: i64 = 4 << 20;

/// A log of no more bytes is looked through while somebody waits for a page of many builds.
const SHORT: i64 = 256 << 10;

/// How many bytes of found lines are remembered at most.
const REMEMBERED: usize = 4 << 20;

/// How much is looked through before what was found is sorted out.
const PIECE: usize = 16 << 10;

/// What was found in one log.
#[derive(Debug)]
pub struct LogErrors {
    first: Vec<ErrorLine>,
    /// The others, as far as they are among the last.
    last: Vec<ErrorLine>,
    found: usize,
    looked: Looked,
}

/// How much of the log was looked through.
#[derive(Debug, PartialEq)]
enum Looked {
    All,
    /// So many lines.
    End(i64),
    /// From one line to another, counted from 1: they are very long.
    Lines(i64, i64),
}

/// One line.
#[derive(Clone, Debug)]
pub struct ErrorLine {
    /// Counted from 1.
    pub number: i64,
    pub text: String,
}

/// `log_errors.hbs`.
#[derive(Serialize)]
pub struct ErrorsView {
    /// `12 lines look like errors`
    heading: String,
    first: Vec<LineView>,
    /// How many lie between the first and the last.
    between: Option<String>,
    last: Vec<LineView>,
}

/// A line as a link.
#[derive(Serialize)]
pub struct LineView {
    number: i64,
    text: String,
    href: String,
}

impl ErrorLine {
    pub fn view(&self, href: impl FnOnce(i64) -> String) -> LineView {
        LineView { number: self.number, text: self.text.clone(), href: href(self.number) }
    }
}

impl LogErrors {
    /// Where to begin to read, if there is such a line.
    pub fn first(&self) -> Option<&ErrorLine> {
        self.first.first()
    }

    /// `None` where nothing was found. `href` is where a line is shown.
    pub fn view(&self, href: impl Fn(i64) -> String) -> Option<ErrorsView> {
        let lines = |lines: &[ErrorLine]| lines.iter().map(|line| line.view(&href)).collect();
        let between = self.found - self.first.len() - self.last.len();
        let what = match self.found {
            0 => return None,
            1 => "One line looks like an error".to_owned(),
            found => format!("{} lines look like errors", thousands(found)),
        };
        let heading = match self.looked {
            Looked::All => what,
            Looked::End(lines) => format!("{what} in the last {} lines", thousands(lines.unsigned_abs() as usize)),
            Looked::Lines(from, to) => format!("{what} in lines {from} to {to}"),
        };
        Some(ErrorsView {
            heading,
            first: lines(&self.first),
            between: (between > 0).then(|| format!("and {} between", count(between, "more line"))),
            last: lines(&self.last),
        })
    }

    fn size(&self) -> usize {
        let lines = self.first.iter().chain(&self.last);
        size_of::<LogErrors>() + lines.map(|line| line.text.len() + size_of::<ErrorLine>()).sum::<usize>()
    }
}

/// What was found in logs that somebody has looked at.
pub struct Remembered(Mutex<Halves<i64, Arc<LogErrors>>>);

impl Default for Remembered {
    fn default() -> Remembered {
        Remembered(Mutex::new(Halves::new(REMEMBERED)))
    }
}

impl Remembered {
    /// `None` for a log that has not ended, or is no text.
    pub fn of(&self, conn: &mut Conn, log: &Log) -> Result<Option<Arc<LogErrors>>, DbError> {
        if !log.finished || log.kind == LogKind::Html {
            return Ok(None);
        }
        if let Some(known) = self.known(log) {
            return Ok(Some(known));
        }
        let found = Arc::new(look_through(conn, log)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(log.id, Arc::clone(&found), found.size());
        Ok(Some(found))
    }

    /// The same, and `None` for a long log that nobody has looked at yet.
    pub fn of_short(&self, conn: &mut Conn, log: &Log) -> Result<Option<Arc<LogErrors>>, DbError> {
        if log.bytes <= SHORT { self.of(conn, log) } else { Ok(self.known(log)) }
    }

    fn known(&self, log: &Log) -> Option<Arc<LogErrors>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&log.id)
    }
}

fn look_through(conn: &mut Conn, log: &Log) -> Result<LogErrors, DbError> {
    if log.bytes <= MOST_READ {
        let segments = logs::lines(conn, log.id, 0, i64::MAX, MOST_READ as usize)?;
        return Ok(errors(&segments, 0, Looked::All));
    }
    // As many lines as there are in so many bytes, if all are as long; twice as many bytes if they are not.
    let wanted = (i128::from(log.lines) * i128::from(MOST_READ) / i128::from(log.bytes)).max(1) as i64;
    let first = (log.lines - wanted).max(0);
    let segments = logs::lines(conn, log.id, first, wanted + 1, 2 * MOST_READ as usize)?;
    let (read, ends) = segments.iter().fold((0, 0), |(read, ends), segment| {
        let more = segment.bytes.iter().filter(|&&byte| byte == b'\n').count();
        (read + segment.bytes.len() as i64, ends + more as i64)
    });
    let looked = match read >= 2 * MOST_READ {
        true => Looked::Lines(first + 1, first + ends + 1),
        false => Looked::End(log.lines - first),
    };
    Ok(errors(&segments, first, looked))
}

/// Those in text that starts with line `first`, counted from 0.
fn errors(segments: &[Segment], first: i64, looked: Looked) -> LogErrors {
    let mut errors = LogErrors { first: Vec::new(), last: Vec::new(), found: 0, looked };
    let (mut find, mut found) = (LogFind::errors(first), Vec::new());
    for segment in segments {
        for piece in segment.bytes.chunks(PIECE) {
            find.add_bytes(segment.channel, piece, &mut found);
            errors.take(&mut found);
        }
    }
    find.finish(&mut found);
    errors.take(&mut found);
    errors
}

impl LogErrors {
    fn take(&mut self, found: &mut Vec<FoundLine>) {
        self.found += found.len();
        let line = |line: FoundLine| ErrorLine { number: line.number, text: line.text() };
        let room = FROM_EACH_END - self.first.len();
        self.first.extend(found.drain(..room.min(found.len())).map(line));
        let passed = found.len().saturating_sub(FROM_EACH_END);
        self.last.extend(found.drain(..).skip(passed).map(line));
        let past = self.last.len().saturating_sub(FROM_EACH_END);
        self.last.drain(..past);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Channel;

    fn found(text: String, looked: Looked) -> ErrorsView {
        let segment = Segment { channel: Channel::Stdout, bytes: text.into_bytes() };
        errors(&[segment], 0, looked).view(|line| format!("#L{line}")).unwrap()
    }

    fn numbers(lines: &[LineView]) -> Vec<i64> {
        lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn the_first_and_the_last_are_kept() {
        let text = |lines: i64| (1..=lines).map(|line| format!("fine\nERROR {line}\n")).collect::<String>();
        let view = found(text(1), Looked::All);
        assert_eq!((view.heading.as_str(), numbers(&view.first)), ("One line looks like an error", vec![2]));
        assert_eq!((view.first[0].text.as_str(), view.first[0].href.as_str()), ("ERROR 1", "#L2"));
        let view = found(text(21), Looked::End(42));
        assert_eq!(view.heading, "21 lines look like errors in the last 42 lines");
        assert_eq!(view.between.as_deref(), Some("and 1 more line between"));
        assert_eq!((numbers(&view.first)[9], numbers(&view.last)[0]), (20, 24));
        let view = found(text(20_000), Looked::Lines(1, 40_000));
        assert_eq!(view.heading, "20,000 lines look like errors in lines 1 to 40000");
        assert_eq!(numbers(&view.last), (19_991..=20_000).map(|line| line * 2).collect::<Vec<_>>());
        assert!(errors(&[], 0, Looked::All).view(|_| String::new()).is_none());
    }
}
