//! Nightly: a build whenever the local time matches, as cron has it.
//!
//! ```python
//! schedulers.Nightly(name="nightly", branch="master", builderNames=["full"], hour=3, minute=0, onlyIfChanged=True)
//! ```
//!
//! The time zone is the machine's. What happens when clocks change is in [`cron`](super::cron).

use super::cron::Fields;
use super::timed::{Timed, When};
use crate::config::Nightly;
use crate::model::Time;
use chrono::Local;

pub(super) fn scheduler(config: &Nightly) -> Timed {
    Timed {
        when: Box::new(AtFields(Fields::of(config))),
        branch: config.branch.clone(),
        timing: config.timing.clone(),
        only_if_changed: config.only_if_changed,
        // As in 0.8: no branch is the default branch, and no other.
        only_branch: true,
        state: None,
    }
}

struct AtFields(Fields);

impl When for AtFields {
    fn first(&self, now: Time) -> Option<Time> {
        Some(now)
    }

    fn after(&self, acted: Time) -> Option<Time> {
        self.0.next(acted, &Local)
    }
}
