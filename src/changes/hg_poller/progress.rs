//! How far a poller has read: what it stores.

use super::super::polling::{object, put};
use super::changesets::Changeset;
use crate::db::{Conn, DbError, state};
use serde_json::json;

/// The heads of what has been reported, in whatever order copies of the repository number their changesets: all their
/// ancestors have been, too. `None` before the first look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress(Option<Vec<String>>);

impl Progress {
    pub fn load(conn: &mut Conn, poller: &str, branch: &str) -> Result<Progress, DbError> {
        let stored = state::get(conn, &object(poller), &key(branch))?;
        Ok(Progress(stored.and_then(|stored| serde_json::from_value(stored).ok())))
    }

    pub fn is_begun(&self) -> bool {
        self.0.is_some()
    }

    pub fn reported(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    pub fn begin(&mut self, heads: &[String]) {
        self.0 = Some(heads.to_vec());
    }

    /// Takes in a changeset all of whose ancestors on the branch have been reported.
    pub fn add(&mut self, changeset: &Changeset) {
        let heads = self.0.get_or_insert_default();
        heads.retain(|head| !changeset.parents.contains(head));
        heads.push(changeset.id.clone());
    }

    pub fn puts(&self, poller: &str, branch: &str) -> Vec<state::Put> {
        vec![put(poller, &key(branch), json!(self.0))]
    }
}

fn key(branch: &str) -> String {
    format!("hg {branch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_stand_for_all_before_them() {
        let mut progress = Progress::default();
        assert!(!progress.is_begun());
        progress.begin(&["a".into()]);
        let mut add = |id: &str, parents: &[&str]| {
            let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
            progress.add(&Changeset { id: id.into(), parents, ..Changeset::default() });
            progress.reported().join(" ")
        };
        assert_eq!(add("b", &["a"]), "b");
        assert_eq!(add("c", &["a"]), "b c");
        assert_eq!(add("d", &["b", "c"]), "d");
    }
}
