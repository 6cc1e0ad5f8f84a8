//! What Periodic and Nightly share: acting at moments rather than on changes.
//!
//! The moment up to which it has acted is stored with each buildset. A moment missed while the program was down is
//! made up for at start, once, however many were missed.
//!
//! With onlyIfChanged it follows changes as SingleBranch does, and lets a moment pass at which nothing important has
//! come; the changes are built at the next.

use super::Plans;
use super::actor::Next;
use super::desk::{Desk, TIMED, Trouble};
use super::seen::{Line, Seen};
use super::source::{stamps_of_changes, stamps_of_latest};
use crate::config::Timing;
use crate::model::{Change, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub(super) struct Timed {
    pub when: Box<dyn When>,
    /// Used where a codebase names no branch.
    pub branch: Option<String>,
    pub timing: Timing,
    pub only_if_changed: bool,
    /// Whether changes on other branches than `branch` are none of its business.
    pub only_branch: bool,
    pub state: Option<State>,
}

/// The moments at which a timed scheduler acts.
pub(super) trait When: Send {
    /// What to count from for a scheduler never seen before; `None` acts at once.
    fn first(&self, now: Time) -> Option<Time>;
    /// The first moment after `acted`; `None` if there is none.
    fn after(&self, acted: Time) -> Option<Time>;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The moment up to which it has acted.
    acted: Option<Time>,
    /// Kept only while it follows changes.
    seen: Option<Seen>,
}

/// A last moment further ahead of the clock than this means that the clock was wrong then.
const WRONG_CLOCK: Duration = Duration::from_secs(3600);

impl Timed {
    pub async fn turn(&mut self, desk: &Desk) -> Result<Next, Trouble> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => {
                let first = self.when.first(desk.clock.now());
                desk.load(TIMED, move |_| Ok(State { acted: first, seen: None })).await?
            }
        };
        if self.only_if_changed {
            self.collect(desk, &mut state).await?;
        } else {
            state.seen = None;
        }
        let now = desk.clock.now();
        if self.due(&state, now).is_some_and(|due| due <= now) {
            state.acted = Some(now);
            self.act(desk, &mut state).await?;
        }
        let at = self.due(&state, now);
        let will_submit = state.seen.as_ref().is_none_or(|seen| seen.waiting.iter().any(|waiting| waiting.important));
        let upcoming = at.filter(|_| will_submit).into_iter().collect();
        self.state = Some(state);
        Ok(Next { plans: Plans { upcoming, tree_stable: None }, at })
    }

    fn due(&self, state: &State, now: Time) -> Option<Time> {
        match state.acted {
            None => Some(now),
            Some(acted) if acted > now + WRONG_CLOCK => self.when.after(now),
            Some(acted) => self.when.after(acted),
        }
    }

    async fn collect(&self, desk: &Desk, state: &mut State) -> Result<(), Trouble> {
        if state.seen.is_none() {
            state.seen = Some(desk.db.write(Seen::from_now).await?);
            desk.store(TIMED, state).await?;
        }
        loop {
            let Some(seen) = &mut state.seen else { return Ok(()) };
            let unread = seen.unread(desk).await?;
            if unread.is_empty() {
                return Ok(());
            }
            for change in unread {
                if self.is_ours(desk, &change) {
                    seen.consider(desk, &self.timing, &change, Line::default()).await?;
                } else {
                    seen.upto = change.number;
                }
            }
            desk.store(TIMED, state).await?;
        }
    }

    fn is_ours(&self, desk: &Desk, change: &Change) -> bool {
        let codebase = desk.config.codebases.iter().find(|codebase| codebase.name == change.codebase);
        match codebase.and_then(|codebase| codebase.branch.as_ref()) {
            Some(branch) => change.branch.as_ref() == Some(branch),
            None => !self.only_branch || change.branch == self.branch,
        }
    }

    async fn act(&self, desk: &Desk, state: &mut State) -> Result<(), Trouble> {
        let codebases = &desk.config.codebases;
        let Some(seen) = &mut state.seen else {
            return desk.submit(stamps_of_latest(codebases, self.branch.as_deref()), TIMED, state).await;
        };
        let Some(place) = seen.waiting.iter().position(|waiting| waiting.important) else {
            tracing::info!("{}: nothing important has changed; not building this time", desk.config.name);
            return desk.store(TIMED, state).await;
        };
        let changes = Seen::read(desk, seen.waiting.remove(place).changes).await?;
        if changes.is_empty() {
            tracing::warn!("{}: the changes to be built are no longer kept; nothing to build", desk.config.name);
            return desk.store(TIMED, state).await;
        }
        let last = self.timing.create_absolute_source_stamps.then_some(&seen.last);
        desk.submit(stamps_of_changes(codebases, changes, last), TIMED, state).await
    }
}
