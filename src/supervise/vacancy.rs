use super::Report;
use super::tree::Branch;
use crate::model::Time;
use std::sync::Arc;

/// A place in the tree for what is configured and does not run: nothing is supervised there, people just see it.
///
/// Its place leaves the tree when it is dropped.
pub struct Vacancy {
    pub(super) branch: Arc<Branch>,
    pub(super) place: Arc<Place>,
}

impl Drop for Vacancy {
    fn drop(&mut self) {
        self.branch.drop_place(&self.place);
    }
}

/// What stands in the tree for a [`Vacancy`].
pub(super) struct Place {
    pub(super) path: String,
    pub(super) reason: String,
    pub(super) since: Time,
}

impl Place {
    pub(super) fn report(&self) -> Report {
        Report {
            path: self.path.clone(),
            state: "not started",
            restarts: 0,
            last_reason: Some(self.reason.clone()),
            complaint: None,
            since: self.since,
            mailbox: 0,
            backlog: 0,
        }
    }
}
