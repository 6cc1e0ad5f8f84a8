//! Find in a log: its lines that hold a text, with links to their places in it.
//!
//! The lines are sent as they are found. The log is read in pieces, each a read of its own, so that others get their
//! turn in between; the search ends when nobody takes what it found, at [`MOST_FOUND`] lines, or after [`MOST_READ`].
//! A log that still grows is searched as far as it reaches, and not followed.

use super::super::super::fault::Fault;
use super::super::super::viewer::Viewer;
use super::{Found, HERE, LogView, PIECE, Place, Range, around, view};
use crate::db::{Db, DbError, logs};
use crate::render::log_find::{FoundLine, LONGEST_WANTED, LogFind};
use crate::render::words::thousands;
use actix_web::web::Bytes;
use futures::Stream;
use tokio::sync::watch;

/// No more lines than this are shown.
const MOST_FOUND: usize = 1_000;

/// No more of a log than this is searched, in bytes.
const MOST_READ: i64 = 1024 * 1024 * 1024;

/// After so many pieces without a line something is sent all the same: only so it shows that the client has gone.
const QUIET_PIECES: usize = 64;

/// What is sent then. It shows nowhere.
const STILL_HERE: &str = "<!-- -->";

/// Stands where the outcome goes when the page around it is made.
const OUTCOME: &str = "<!-- outcome -->";

/// The page with the lines that hold `text`.
pub(super) fn answer(
    viewer: &Viewer,
    found: Found,
    text: &str,
) -> Result<impl Stream<Item = Result<Bytes, DbError>> + use<>, Fault> {
    let too_long = || Fault::argument("find", text, &format!("is longer than {LONGEST_WANTED} bytes"));
    let find = LogFind::new(text).ok_or_else(too_long)?;
    let shown = LogView {
        last_href: None,
        find: Some(text.to_owned()),
        summary: OUTCOME,
        ..view(&found, &Range::All, viewer.links())
    };
    let page = around(viewer, &found, &shown)?;
    let (head, rest) = page.split_once(HERE).unwrap_or((&page, ""));
    // An operator's template may have no place for the outcome.
    let (between, tail) = rest.split_once(OUTCOME).map_or((rest, None), |(between, tail)| (between, Some(tail)));
    let search = Search {
        db: viewer.database(),
        closing: viewer.closing(),
        log: found.log.id,
        place: Place::of(shown.href, &found.log),
        growing: !found.log.finished,
        head: Some(head.to_owned()),
        between: between.to_owned(),
        tail: tail.map(str::to_owned),
        find,
        offset: 0,
        shown: 0,
        ended: false,
    };
    Ok(futures::stream::try_unfold(search, Search::next))
}

/// The state of a search that is being sent.
struct Search {
    db: Db,
    closing: watch::Receiver<bool>,
    log: i64,
    place: Place,
    growing: bool,
    head: Option<String>,
    /// What stands between the lines and the outcome.
    between: String,
    /// What stands after the outcome, if there is a place for that.
    tail: Option<String>,
    find: LogFind,
    offset: i64,
    /// Lines sent so far.
    shown: usize,
    ended: bool,
}

impl Search {
    /// The next piece to send. It is asked for only when the one before has been taken.
    async fn next(mut self) -> Result<Option<(Bytes, Search)>, DbError> {
        if let Some(head) = self.head.take() {
            return Ok(Some((Bytes::from(head), self)));
        }
        if self.ended {
            return Ok(None);
        }
        for _ in 0..QUIET_PIECES {
            let read;
            (self, read) = self.read().await?;
            let mut out = String::new();
            let room = MOST_FOUND - self.shown;
            read.found.iter().take(room).for_each(|line| line.html(&self.place.page(line.number), &mut out));
            self.shown += read.found.len().min(room);
            let why = match read.ended {
                _ if read.found.len() > room => Some(Why::TooMany),
                true if self.offset >= MOST_READ => Some(Why::TooLong),
                true => Some(Why::Through),
                false if *self.closing.borrow() => Some(Why::Closing),
                false => None,
            };
            if let Some(why) = why {
                self.ended = true;
                out.push_str(&self.between);
                if let Some(tail) = &self.tail {
                    out.push_str(&outcome(self.shown, why, self.growing));
                    out.push_str(tail);
                }
            }
            // An empty piece would end the answer.
            if !out.is_empty() {
                return Ok(Some((Bytes::from(out), self)));
            }
            if self.ended {
                return Ok(None);
            }
        }
        Ok(Some((Bytes::from_static(STILL_HERE.as_bytes()), self)))
    }

    /// Reads and looks through one piece more, on the thread that reads.
    async fn read(mut self) -> Result<(Search, Read), DbError> {
        let (log, offset, mut find) = (self.log, self.offset, self.find);
        let most = usize::try_from(MOST_READ - offset).unwrap_or(0).min(PIECE);
        let reading = self.db.read(move |conn| {
            let (segments, next) = logs::from_byte(conn, log, offset, most)?;
            let mut read = Read { found: Vec::new(), ended: next == offset };
            segments.iter().for_each(|segment| find.add(segment, &mut read.found));
            if read.ended {
                find.finish(&mut read.found);
            }
            Ok((find, next, read))
        });
        let read;
        (self.find, self.offset, read) = reading.await?;
        Ok((self, read))
    }
}

/// What one piece held.
struct Read {
    found: Vec<FoundLine>,
    /// There was nothing more, or no more is looked at.
    ended: bool,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug)]
enum Why {
    Through,
    TooMany,
    TooLong,
    Closing,
}

fn outcome(shown: usize, why: Why, growing: bool) -> String {
    let lines = match (shown, why) {
        (_, Why::TooMany) => format!("The first {} lines are shown; there are more.", thousands(shown)),
        (0, _) => "No line holds this text.".to_owned(),
        (1, _) => "One line holds this text.".to_owned(),
        (shown, _) => format!("{} lines hold this text.", thousands(shown)),
    };
    let until = match why {
        Why::TooLong => " Only the first GiB of the log was searched.",
        Why::Closing => " The search was broken off, because the server is about to stop.",
        Why::Through if growing => " The log is still growing; it was searched as far as it reaches.",
        Why::Through | Why::TooMany => "",
    };
    format!("{lines}{until}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_far_the_search_came() {
        assert_eq!(outcome(0, Why::Through, false), "No line holds this text.");
        assert_eq!(outcome(1_000, Why::TooMany, true), "The first 1,000 lines are shown; there are more.");
        assert_eq!(
            outcome(2, Why::TooLong, false),
            "2 lines hold this text. Only the first GiB of the log was searched."
        );
        let growing = "One line holds this text. The log is still growing; it was searched as far as it reaches.";
        assert_eq!(outcome(1, Why::Through, true), growing);
    }
}
