//! What can go wrong with the database, in the operator's words.

use diesel::result::{DatabaseErrorKind, Error as QueryError};
use std::io;

/// Why the database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error(
        "db_url \"{url}\": {why}; Signalbox takes sqlite:///state.sqlite, sqlite:////absolute/path and \
         postgresql://user@host/database"
    )]
    Location { url: String, why: String },
    #[error(
        "{place} was written by a newer Signalbox (it has the schema change {version}, which this one does not know); \
         it is left as it is; start the newer program, or restore a backup from before it"
    )]
    Newer { place: String, version: String },
    #[error("{place} is not a database; it is left as it is; point db_url elsewhere or move the file away")]
    NotADatabase { place: String },
    #[error("{place} cannot be read; it is left as it is; mend its permissions or restore a backup")]
    Unreadable {
        place: String,
        #[source]
        cause: io::Error,
    },
    #[error("{place} cannot be written to; make the file and its folder writable for the user Signalbox runs as")]
    ReadOnly {
        place: String,
        #[source]
        cause: Option<io::Error>,
    },
    #[error("{place} is in use by another Signalbox; stop that one, or give this one another db_url")]
    Locked { place: String },
    #[error("{place} cannot be opened: the disk is full; make room and start again")]
    Full { place: String },
    #[error("{place} cannot be opened")]
    Unopened {
        place: String,
        #[source]
        cause: diesel::ConnectionError,
    },
    #[error("{place} cannot be reached; see that the server runs and lets this user in")]
    Unreachable {
        place: String,
        #[source]
        cause: diesel::ConnectionError,
    },
    #[error("{place} could not be brought up to date; it is as it was before the failed change")]
    Migration {
        place: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the database refused a query")]
    Query(#[from] QueryError),
    /// What is stored is not what this program stores there.
    #[error("column {column} holds something unexpected: {what}")]
    Decode { column: &'static str, what: String },
    /// A request of a change hook that is stored already.
    #[error("it is stored already")]
    Repeated,
    #[error("there is no {what}")]
    NotFound { what: String },
    /// A job of the writer panicked; its transaction was taken back and nobody else's work was lost.
    #[error("a database job panicked: {0}")]
    Panicked(String),
    /// The writer has ended; nothing more is stored.
    #[error("the database is closed")]
    Closed,
    /// Every reading connection is taken, or none can be opened.
    #[error("no connection to read the database with: {0}")]
    NoReader(String),
    #[error("the thread that writes to the database could not be started")]
    Thread(#[source] io::Error),
}

impl DbError {
    /// What keeps the database from being written just now, if waiting may help: a full disk, a lost connection.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self {
            DbError::Query(cause) => Trouble::of(cause),
            DbError::Unreachable { .. } | DbError::Unopened { .. } | DbError::Unreadable { .. } => Some(Trouble::Lost),
            DbError::Locked { .. } => Some(Trouble::Busy),
            _ => None,
        }
    }
}

/// Causes that go away without anybody touching Signalbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Full,
    Io,
    Busy,
    ReadOnly,
    Lost,
}

impl Trouble {
    pub fn of(cause: &QueryError) -> Option<Trouble> {
        let QueryError::DatabaseError(kind, information) = cause else {
            return None;
        };
        match kind {
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => Some(Trouble::Lost),
            DatabaseErrorKind::SerializationFailure => Some(Trouble::Busy),
            DatabaseErrorKind::ReadOnlyTransaction => Some(Trouble::ReadOnly),
            _ => Trouble::named(information.message()),
        }
    }

    /// By what the engine says.
    pub fn named(message: &str) -> Option<Trouble> {
        let message = message.to_lowercase();
        // Neither engine's error number reaches us through diesel; these are the fixed texts that stand for them.
        let texts = [
            ("database or disk is full", Trouble::Full),
            ("no space left on device", Trouble::Full),
            ("disk quota exceeded", Trouble::Full),
            ("disk i/o error", Trouble::Io),
            ("input/output error", Trouble::Io),
            ("is locked", Trouble::Busy),
            ("deadlock detected", Trouble::Busy),
            ("readonly database", Trouble::ReadOnly),
            ("read-only transaction", Trouble::ReadOnly),
            ("unable to open database file", Trouble::Lost),
            ("server closed the connection", Trouble::Lost),
            ("connection to server", Trouble::Lost),
            ("no connection to the server", Trouble::Lost),
            ("terminating connection", Trouble::Lost),
            ("could not receive data", Trouble::Lost),
            ("could not send data", Trouble::Lost),
            ("ssl syscall error", Trouble::Lost),
            ("is shutting down", Trouble::Lost),
            ("is starting up", Trouble::Lost),
            ("in recovery mode", Trouble::Lost),
        ];
        texts.into_iter().find(|(text, _)| message.contains(text)).map(|(_, trouble)| trouble)
    }

    /// In the middle of a sentence: `the database cannot be written: the disk is full`.
    pub fn words(self) -> &'static str {
        match self {
            Trouble::Full => "the disk is full",
            Trouble::Io => "the disk reports an error",
            Trouble::Busy => "another process holds it",
            Trouble::ReadOnly => "it has become read-only",
            Trouble::Lost => "the connection to it is lost",
        }
    }
}

/// The error and its causes in one line, as engines put what matters into any of them.
pub(super) fn whole_story(error: &dyn std::error::Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        story.push_str(": ");
        story.push_str(&error.to_string());
        cause = error.source();
    }
    story
}
