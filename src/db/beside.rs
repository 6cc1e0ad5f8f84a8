//! What goes into the transaction of some events beside them.

use super::{Conn, DbError, inbox, state, users};
use crate::model::User;

/// Stored if its events are, and only then.
#[derive(Clone, Debug)]
pub enum Beside {
    /// A small value of state, such as how far a poller has read.
    State(state::Put),
    /// The request of a change hook that the events come from.
    Hook(inbox::Received),
    /// Somebody as they are from now on, the hash of their password included.
    User(User),
    /// The uid of somebody who is no user any more.
    NoUser(i64),
}

impl From<state::Put> for Beside {
    fn from(put: state::Put) -> Beside {
        Beside::State(put)
    }
}

impl Beside {
    pub(crate) fn put(&self, conn: &mut Conn) -> Result<(), DbError> {
        match self {
            Beside::State(put) => state::put(conn, put),
            Beside::Hook(received) => inbox::put(conn, received),
            Beside::User(user) => users::put(conn, user),
            Beside::NoUser(uid) => users::remove(conn, *uid).map(drop),
        }
    }
}
