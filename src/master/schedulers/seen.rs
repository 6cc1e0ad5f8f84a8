//! What a scheduler that follows changes has considered, and what of it still waits to be built.

use super::change_filter::{Verdict, judge};
use super::desk::{Desk, Trouble};
use crate::config::Timing;
use crate::db::{Conn, DbError, changes};
use crate::model::{Change, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Stored under [`SEEN`](super::desk::SEEN) or inside what a timed scheduler stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The newest change considered; all before it are considered too.
    pub upto: i64,
    pub waiting: Vec<Waiting>,
    /// By codebase; kept only for createAbsoluteSourceStamps.
    pub last: BTreeMap<String, LastSeen>,
}

/// Changes that will be built together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub line: Line,
    /// Numbers, oldest first.
    pub changes: Vec<i64>,
    /// At least one of them is; else they wait for one that is.
    pub important: bool,
    /// When the newest of them was considered.
    pub since: Time,
}

/// A line of development. Schedulers that do not tell lines apart use the empty one for all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub branch: Option<String>,
    pub repository: String,
    pub codebase: String,
    pub project: String,
}

impl Line {
    pub fn of(change: &Change) -> Line {
        Line {
            branch: change.branch.clone(),
            repository: change.repository.clone(),
            codebase: change.codebase.clone(),
            project: change.project.clone(),
        }
    }
}

/// Where a codebase was at its last change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LastSeen {
    pub repository: String,
    pub project: String,
    pub branch: Option<String>,
    pub revision: Option<String>,
}

/// How many changes are read at a time.
const BATCH: i64 = 200;

/// How many unimportant changes wait for an important one, over all lines; past this the oldest are left out of its
/// build. They are only shown with it.
const MOST_UNIMPORTANT: usize = 2000;

impl Seen {
    /// For a scheduler never seen before: what was there is not its business.
    pub fn from_now(conn: &mut Conn) -> Result<Seen, DbError> {
        let newest = changes::recent(conn, 1, None)?.first().map_or(0, |change| change.number);
        Ok(Seen { upto: newest, ..Seen::default() })
    }

    /// The next changes not considered yet.
    pub async fn unread(&self, desk: &Desk) -> Result<Vec<Change>, Trouble> {
        let upto = self.upto;
        Ok(desk.db.read(move |conn| changes::after(conn, upto, BATCH)).await?)
    }

    /// Takes a change into account. Says what it is, and which of `waiting` it has joined.
    pub async fn consider(
        &mut self,
        desk: &Desk,
        timing: &Timing,
        change: &Change,
        line: Line,
    ) -> Result<(Verdict, usize), Trouble> {
        let verdict = judge(&desk.config, timing, change).await?;
        Ok((verdict, self.enter(verdict, timing, change, line, desk.clock.now())))
    }

    fn enter(&mut self, verdict: Verdict, timing: &Timing, change: &Change, line: Line, now: Time) -> usize {
        self.upto = self.upto.max(change.number);
        if verdict == Verdict::Ignored {
            return self.waiting.len();
        }
        if timing.create_absolute_source_stamps {
            let seen = LastSeen {
                repository: change.repository.clone(),
                project: change.project.clone(),
                branch: change.branch.clone(),
                revision: change.revision.clone(),
            };
            self.last.insert(change.codebase.clone(), seen);
        }
        let place = self.waiting.iter().position(|waiting| waiting.line == line).unwrap_or_else(|| {
            self.waiting.push(Waiting { line: line.clone(), changes: Vec::new(), important: false, since: now });
            self.waiting.len() - 1
        });
        let waiting = &mut self.waiting[place];
        waiting.changes.push(change.number);
        waiting.important |= verdict == Verdict::Important;
        waiting.since = now;
        self.forget_oldest();
        self.waiting.iter().position(|waiting| waiting.line == line).unwrap_or(self.waiting.len())
    }

    fn forget_oldest(&mut self) {
        let unimportant = |waiting: &&mut Waiting| !waiting.important;
        let count: usize =
            self.waiting.iter().filter(|waiting| !waiting.important).map(|waiting| waiting.changes.len()).sum();
        for _ in MOST_UNIMPORTANT..count {
            let oldest =
                self.waiting.iter_mut().filter(unimportant).min_by_key(|waiting| waiting.changes.first().copied());
            if let Some(oldest) = oldest {
                oldest.changes.remove(0);
            }
            self.waiting.retain(|waiting| !waiting.changes.is_empty());
        }
    }

    /// The changes of these numbers that are still kept, oldest first.
    pub async fn read(desk: &Desk, numbers: Vec<i64>) -> Result<Vec<Change>, Trouble> {
        let find = move |conn: &mut Conn| {
            let mut found = Vec::with_capacity(numbers.len());
            for &number in &numbers {
                found.extend(changes::find(conn, number)?);
            }
            Ok(found)
        };
        Ok(desk.db.read(find).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: i64, branch: &str) -> Change {
        Change { number, branch: Some(branch.into()), ..Change::default() }
    }

    fn enter(seen: &mut Seen, verdict: Verdict, change: &Change, now: i64) -> usize {
        seen.enter(verdict, &Timing::default(), change, Line::of(change), Time(now))
    }

    #[test]
    fn changes_wait_by_line() {
        let mut seen = Seen::default();
        assert_eq!(enter(&mut seen, Verdict::Unimportant, &change(1, "a"), 10), 0);
        assert_eq!(enter(&mut seen, Verdict::Important, &change(2, "b"), 20), 1);
        assert_eq!(enter(&mut seen, Verdict::Unimportant, &change(3, "b"), 30), 1);
        assert_eq!(enter(&mut seen, Verdict::Ignored, &change(4, "b"), 40), 2);
        assert_eq!(seen.upto, 4);
        assert_eq!((seen.waiting[0].important, seen.waiting[1].important), (false, true));
        assert_eq!((&seen.waiting[1].changes, seen.waiting[1].since), (&vec![2, 3], Time(30)));
    }

    #[test]
    fn the_oldest_unimportant_changes_are_forgotten() {
        let mut seen = Seen::default();
        enter(&mut seen, Verdict::Unimportant, &change(1, "a"), 1);
        enter(&mut seen, Verdict::Important, &change(2, "i"), 1);
        for number in 3..3 + MOST_UNIMPORTANT as i64 {
            enter(&mut seen, Verdict::Unimportant, &change(number, "b"), 1);
        }
        let lines: Vec<_> = seen.waiting.iter().map(|waiting| waiting.line.branch.as_deref().unwrap()).collect();
        assert_eq!(lines, ["i", "b"]);
        assert_eq!(seen.waiting[1].changes.len(), MOST_UNIMPORTANT);
    }
}
