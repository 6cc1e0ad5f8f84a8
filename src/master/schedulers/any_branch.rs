//! AnyBranchScheduler: a timer of its own for every branch, repository, codebase and project.
//!
//! ```python
//! schedulers.AnyBranchScheduler(name="any", builderNames=["linux"], treeStableTimer=60)
//! ```

use super::seen::Line;
use super::tree_stable::TreeStable;
use crate::config::Timing;

pub(super) fn scheduler(timing: &Timing) -> TreeStable {
    TreeStable::new(timing, Line::of)
}
