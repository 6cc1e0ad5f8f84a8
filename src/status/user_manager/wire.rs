//! What `signalbox user` and a user manager say to each other.
//!
//! A request is posted as JSON to [`PATH`]; the answer has an outcome for each user, in the order of the request, each
//! carried out by itself. None of this is ever printed whole: requests may hold passwords.

use crate::model::User;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where requests go.
pub const PATH: &str = "/users";

/// No request is about more users.
pub const MOST: usize = 1_000;

/// No request has more bytes.
pub const LARGEST: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    Add { users: Vec<New> },
    Update { users: Vec<Update> },
    Remove { ids: Vec<String> },
    Get { ids: Vec<String> },
}

/// Somebody to be added.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    pub identifier: String,
    pub attributes: BTreeMap<String, String>,
}

/// What is to be otherwise of somebody who is there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    pub identifier: String,
    /// The identifier from then on, if it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<String>,
    /// An empty one is taken away.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
}

/// What they log in with where `util.UsersAuth` decides.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub bb_username: String,
    /// In clear: it is hashed where it arrives.
    pub bb_password: String,
}

#[derive(Serialize, Deserialize)]
pub struct Answer {
    pub users: Vec<Outcome>,
}

/// What came of what was wanted of one user.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As they are now, or were when they were removed; without a password.
    Done(User),
    /// Why not, in a sentence.
    Refused(String),
}

impl Request {
    /// How many users it is about.
    pub fn len(&self) -> usize {
        match self {
            Request::Add { users } => users.len(),
            Request::Update { users } => users.len(),
            Request::Remove { ids } | Request::Get { ids } => ids.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
