//! How far a poller has read: what it stores.

use super::super::polling::{object, put};
use crate::db::{Conn, DbError, state};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// The head up to which each branch has been reported; `None` before the first look.
    pub heads: Option<BTreeMap<String, String>>,
    /// Where branches were that are no longer there, the latest last.
    gone: Vec<(String, String)>,
    /// At the last look the repository had no branch at all: what comes next is all new.
    pub remote_was_empty: bool,
    /// Which branches were asked for then. One that is only asked for now is not new.
    selection: String,
    /// The commits being reported.
    pub batch: Option<Batch>,
    /// How many of them have been.
    pub done: usize,
}

/// The commits that `target` has and `exclude` have not, in git's order; the same however often it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub branch: String,
    pub exclude: Vec<String>,
    pub target: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Heads {
    heads: BTreeMap<String, String>,
    gone: Vec<(String, String)>,
    remote_was_empty: bool,
    selection: String,
}

/// How many branches that are gone are remembered.
const GONE: usize = 300;

impl Progress {
    pub fn load(conn: &mut Conn, poller: &str) -> Result<Progress, DbError> {
        let object = object(poller);
        let mut progress = Progress::default();
        let heads = state::get(conn, &object, "heads")?.filter(|stored| !stored.is_null());
        if let Some(stored) = heads.and_then(|stored| serde_json::from_value::<Heads>(stored).ok()) {
            progress.heads = Some(stored.heads);
            progress.gone = stored.gone;
            progress.remote_was_empty = stored.remote_was_empty;
            progress.selection = stored.selection;
        }
        progress.batch = state::get(conn, &object, "batch")?.and_then(|stored| serde_json::from_value(stored).ok());
        let done = state::get(conn, &object, "done")?.and_then(|done| done.as_u64());
        progress.done = done.and_then(|done| usize::try_from(done).ok()).unwrap_or(0);
        Ok(progress)
    }

    pub fn begin(&mut self, heads: &BTreeMap<String, String>, remote_is_empty: bool, selection: &str) {
        self.heads = Some(heads.clone());
        self.remote_was_empty = remote_is_empty;
        self.selection = selection.to_owned();
    }

    /// After a change of the configuration: branches that were not asked for before count as looked at.
    pub fn select(&mut self, there: &BTreeMap<String, String>, selection: &str) {
        if self.selection == selection {
            return;
        }
        self.selection = selection.to_owned();
        for (branch, head) in there {
            if self.head(branch).is_none() && self.gone_head(branch).is_none() {
                self.set(branch, head);
            }
        }
    }

    pub fn head(&self, branch: &str) -> Option<&str> {
        self.heads.as_ref()?.get(branch).map(String::as_str)
    }

    pub fn gone_head(&self, branch: &str) -> Option<&str> {
        self.gone.iter().rev().find(|(name, _)| name == branch).map(|(_, head)| head.as_str())
    }

    pub fn all_heads(&self) -> Vec<String> {
        let gone = self.gone.iter().map(|(_, head)| head.clone());
        self.heads.iter().flat_map(BTreeMap::values).cloned().chain(gone).collect()
    }

    pub fn set(&mut self, branch: &str, head: &str) {
        self.heads.get_or_insert_default().insert(branch.to_owned(), head.to_owned());
        self.gone.retain(|(name, _)| name != branch);
    }

    /// Moves branches that are not among `there` any more aside.
    pub fn retire(&mut self, there: &BTreeMap<String, String>, remote_is_empty: bool) {
        let heads = self.heads.get_or_insert_default();
        let gone: Vec<String> = heads.keys().filter(|branch| !there.contains_key(*branch)).cloned().collect();
        for branch in gone {
            let head = heads.remove(&branch);
            self.gone.extend(head.map(|head| (branch, head)));
        }
        let surplus = self.gone.len().saturating_sub(GONE);
        self.gone.drain(..surplus);
        // Known branches that went away do not make it new.
        self.remote_was_empty = remote_is_empty && heads.is_empty() && self.gone.is_empty();
    }

    pub fn end_batch(&mut self, batch: &Batch) {
        self.set(&batch.branch, &batch.target);
        self.batch = None;
        self.done = 0;
    }

    pub fn puts(&self, poller: &str) -> Vec<state::Put> {
        let stored = Heads {
            heads: self.heads.clone().unwrap_or_default(),
            gone: self.gone.clone(),
            remote_was_empty: self.remote_was_empty,
            selection: self.selection.clone(),
        };
        vec![put(poller, "heads", json!(stored))]
    }

    pub fn batch_puts(&self, poller: &str) -> Vec<state::Put> {
        [vec![put(poller, "batch", json!(self.batch))], self.done_puts(poller)].concat()
    }

    pub fn done_puts(&self, poller: &str) -> Vec<state::Put> {
        vec![put(poller, "done", json!(self.done))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(branches: &[(&str, &str)]) -> BTreeMap<String, String> {
        branches.iter().map(|(branch, head)| ((*branch).to_owned(), (*head).to_owned())).collect()
    }

    #[test]
    fn a_branch_that_returns_is_known() {
        let mut progress = Progress::default();
        progress.begin(&heads(&[("a", "1"), ("b", "2")]), false, "");
        progress.retire(&heads(&[("a", "1")]), false);
        assert_eq!((progress.head("b"), progress.gone_head("b")), (None, Some("2")));
        assert_eq!(progress.all_heads(), ["1", "2"]);
        progress.set("b", "3");
        assert_eq!((progress.head("b"), progress.gone_head("b")), (Some("3"), None));
    }

    #[test]
    fn a_branch_only_asked_for_now_is_not_new() {
        let mut progress = Progress::default();
        progress.begin(&heads(&[("a", "1")]), false, "a");
        progress.select(&heads(&[("a", "2"), ("b", "3")]), "a");
        assert_eq!((progress.head("a"), progress.head("b")), (Some("1"), None));
        progress.select(&heads(&[("a", "2"), ("b", "3")]), "a, b");
        assert_eq!((progress.head("a"), progress.head("b")), (Some("1"), Some("3")));
    }

    #[test]
    fn only_a_repository_that_never_had_branches_is_new() {
        let mut progress = Progress::default();
        progress.begin(&heads(&[]), true, "");
        progress.retire(&heads(&[]), true);
        assert!(progress.remote_was_empty);
        progress.set("a", "1");
        progress.retire(&heads(&[]), true);
        assert!(!progress.remote_was_empty);
    }
}
