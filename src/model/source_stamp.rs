use super::Change;
use serde::{Deserialize, Serialize};

/// What source a build uses in one codebase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStamp {
    /// Empty in an installation with a single codebase.
    pub codebase: String,
    pub repository: String,
    pub project: String,
    pub branch: Option<String>,
    /// `None` means the latest.
    pub revision: Option<String>,
    pub patch: Option<Patch>,
    /// The changes that led to it, oldest first; empty for a forced build.
    pub changes: Vec<Change>,
}

/// A patch on top of a source stamp's revision, as a try build brings it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    pub level: i32,
    pub body: String,
    pub subdir: Option<String>,
    pub author: String,
    pub comment: String,
}

impl SourceStamp {
    /// The same source with the revision that was really checked out.
    pub fn absolute(&self, got_revision: &str) -> SourceStamp {
        SourceStamp { revision: Some(got_revision.to_owned()), ..self.clone() }
    }
}
