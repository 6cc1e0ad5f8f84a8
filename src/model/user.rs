use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A person of the user database (`reference/manual/concepts.rst`, User Objects).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub uid: i64,
    /// Unique, for people to tell users apart.
    pub identifier: String,
    /// For logging in; `None` for users that only have attributes.
    pub bb_username: Option<String>,
    /// A salted hash, never the password; not shown anywhere.
    #[serde(skip_serializing)]
    pub bb_password: Option<String>,
    /// `email`, `git`, `svn`, …: attribute type to its value.
    pub attributes: BTreeMap<String, String>,
}
