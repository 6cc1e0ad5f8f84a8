//! Periodic: a build at once, then one every so many seconds after the last, over restarts too.
//!
//! ```python
//! schedulers.Periodic(name="daily", builderNames=["full"], periodicBuildTimer=24*60*60)
//! ```

use super::timed::{Timed, When};
use crate::config::Timing;
use crate::model::Time;
use std::time::Duration;

pub(super) fn scheduler(every: Duration, branch: Option<String>, timing: &Timing, only_if_changed: bool) -> Timed {
    // Without a branch it builds the default one, and any change may have been on that.
    let only_branch = branch.is_some();
    Timed { when: Box::new(Every(every)), branch, timing: timing.clone(), only_if_changed, only_branch, state: None }
}

struct Every(Duration);

impl When for Every {
    fn first(&self, _: Time) -> Option<Time> {
        None
    }

    fn after(&self, acted: Time) -> Option<Time> {
        // Never without a pause, whatever the configuration says.
        Some(acted + self.0.max(Duration::from_secs(1)))
    }
}
