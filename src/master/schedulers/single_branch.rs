//! SingleBranchScheduler: the changes that pass its filter are one line of development.
//!
//! ```python
//! schedulers.SingleBranchScheduler(name="quick", builderNames=["linux"], treeStableTimer=60,
//!                                  change_filter=util.ChangeFilter(branch="master"))
//! ```
//!
//! With a treeStableTimer and a filter that lets several branches pass they share the timer, and the build is at the
//! last change of all; AnyBranchScheduler is made for that.

use super::seen::Line;
use super::tree_stable::TreeStable;
use crate::config::Timing;

pub(super) fn scheduler(timing: &Timing) -> TreeStable {
    TreeStable::new(timing, |_| Line::default())
}
