//! A commit within a push, as GitHub, GitLab and Gitea write it.

use super::Refused;
use super::payload::Node;
use crate::model::{Change, Time};

/// Where it was pushed to.
pub(super) struct Place<'a> {
    pub repository: &'a str,
    pub project: &'a str,
    /// Or the tag.
    pub branch: &'a str,
    pub category: Option<&'a str>,
}

impl Place<'_> {
    /// A change with nothing but its place.
    pub fn change(&self) -> Change {
        Change {
            branch: Some(self.branch.to_owned()),
            category: self.category.map(str::to_owned),
            repository: self.repository.to_owned(),
            project: self.project.to_owned(),
            ..Change::default()
        }
    }

    /// The change a commit makes here. `null` for a list of files is the same as an empty one.
    pub fn commit(&self, commit: &Node<'_>, now: Time) -> Result<Change, Refused> {
        Ok(Change {
            who: commit.person("author.name", "author.email")?,
            files: commit.texts(&["added", "modified", "removed"])?,
            comments: commit.text("message")?,
            revision: Some(commit.text("id")?),
            when: commit.time("timestamp", now)?,
            revlink: commit.maybe_text("url")?,
            ..self.change()
        })
    }
}
