//! What SingleBranch and AnyBranch share: building changes at once, or when the tree has been quiet for a while.
//!
//! Without a treeStableTimer every important change is built by itself, along with the unimportant ones of its line
//! that came before it. With one, changes wait until none has come for that long; each new one, important or not,
//! starts the wait anew. The moment of the last change is stored, so a restart does not lengthen the wait.

use super::Plans;
use super::actor::Next;
use super::change_filter::Verdict;
use super::desk::{Desk, SEEN, Trouble};
use super::seen::{Line, Seen};
use super::source::stamps_of_changes;
use crate::config::Timing;
use crate::model::{Change, Time};
use std::time::Duration;

pub(super) struct TreeStable {
    timing: Timing,
    /// Changes of one line share a timer.
    line: fn(&Change) -> Line,
    seen: Option<Seen>,
}

impl TreeStable {
    pub fn new(timing: &Timing, line: fn(&Change) -> Line) -> TreeStable {
        TreeStable { timing: timing.clone(), line, seen: None }
    }

    pub async fn turn(&mut self, desk: &Desk) -> Result<Next, Trouble> {
        let mut seen = match self.seen.take() {
            Some(seen) => seen,
            None => desk.load(SEEN, Seen::from_now).await?,
        };
        match self.timer() {
            None => self.build_each(desk, &mut seen).await?,
            Some(timer) => {
                self.collect(desk, &mut seen).await?;
                self.build_stable(desk, &mut seen, timer).await?;
            }
        }
        let next = self.next(&seen);
        self.seen = Some(seen);
        Ok(next)
    }

    /// As in 0.8, zero is the same as none.
    fn timer(&self) -> Option<Duration> {
        self.timing.tree_stable_timer.filter(|timer| !timer.is_zero())
    }

    async fn build_each(&self, desk: &Desk, seen: &mut Seen) -> Result<(), Trouble> {
        loop {
            let unread = seen.unread(desk).await?;
            if unread.is_empty() {
                return Ok(());
            }
            let mut stored = true;
            for change in unread {
                // Lines are kept apart here for both kinds: what waits is only shown with the build it leads to.
                let (verdict, place) = seen.consider(desk, &self.timing, &change, Line::of(&change)).await?;
                stored = verdict == Verdict::Important;
                if stored {
                    self.build(desk, seen, place).await?;
                }
            }
            if !stored {
                desk.store(SEEN, seen).await?;
            }
        }
    }

    async fn collect(&self, desk: &Desk, seen: &mut Seen) -> Result<(), Trouble> {
        loop {
            let unread = seen.unread(desk).await?;
            if unread.is_empty() {
                return Ok(());
            }
            for change in unread {
                seen.consider(desk, &self.timing, &change, (self.line)(&change)).await?;
            }
            desk.store(SEEN, seen).await?;
        }
    }

    async fn build_stable(&self, desk: &Desk, seen: &mut Seen, timer: Duration) -> Result<(), Trouble> {
        let now = desk.clock.now();
        for waiting in &mut seen.waiting {
            // The clock was set back: wait from now on, at most.
            waiting.since = waiting.since.min(now);
        }
        let is_due =
            |seen: &Seen| seen.waiting.iter().position(|waiting| waiting.important && waiting.since + timer <= now);
        while let Some(place) = is_due(seen) {
            self.build(desk, seen, place).await?;
        }
        Ok(())
    }

    async fn build(&self, desk: &Desk, seen: &mut Seen, place: usize) -> Result<(), Trouble> {
        let waiting = seen.waiting.remove(place);
        let changes = Seen::read(desk, waiting.changes).await?;
        if changes.is_empty() {
            tracing::warn!("{}: the changes to be built are no longer kept; nothing to build", desk.config.name);
            return desk.store(SEEN, seen).await;
        }
        let last = self.timing.create_absolute_source_stamps.then_some(&seen.last);
        desk.submit(stamps_of_changes(&desk.config.codebases, changes, last), SEEN, seen).await
    }

    fn next(&self, seen: &Seen) -> Next {
        let Some(timer) = self.timer() else { return Next { plans: Plans::default(), at: None } };
        let important = seen.waiting.iter().filter(|waiting| waiting.important);
        let mut upcoming: Vec<Time> = important.map(|waiting| waiting.since + timer).collect();
        upcoming.sort();
        let first = upcoming.first().copied();
        Next { plans: Plans { upcoming, tree_stable: first }, at: first }
    }
}
