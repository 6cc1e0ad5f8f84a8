//! Only one Signalbox at a time writes to a database.

use super::engine::{Conn, Engine};
use super::{DbError, Location};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// The key of the advisory lock in PostgreSQL: `Signalbo` in ASCII.
const KEY: i64 = 0x5369_676e_616c_626f;

#[derive(diesel::QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Holds the lock of an SQLite file until it is dropped; the system lets go of it when the process dies.
///
/// PostgreSQL's lock lives with the writing connection, see [`take_advisory`].
pub(super) struct FileLock {
    file: Option<File>,
}

impl FileLock {
    pub fn take(location: &Location) -> Result<FileLock, DbError> {
        let Location::Sqlite(path) = location else {
            return Ok(FileLock { file: None });
        };
        let mut name = path.clone().into_os_string();
        name.push(".lock");
        let refused = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => DbError::Unreadable { place: location.to_string(), cause },
            _ => DbError::ReadOnly { place: location.to_string(), cause: Some(cause) },
        };
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(PathBuf::from(name)).map_err(refused)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(FileLock { file: Some(file) }),
                Err(TryLockError::WouldBlock) if began.elapsed() > NOTICE => {
                    return Err(DbError::Locked { place: location.to_string() });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(AGAIN),
                Err(TryLockError::Error(cause)) => return Err(refused(cause)),
            }
        }
    }
}

impl Drop for FileLock {
    /// A command that is just being started has a copy of the file until it runs; letting go takes it from that too.
    fn drop(&mut self) {
        if let Some(Err(cause)) = self.file.as_ref().map(File::unlock) {
            tracing::debug!(%cause, "the lock goes with the file");
        }
    }
}

/// How long it may take until it is noticed that whoever held the lock has died: a server has to see it, and what a
/// killed process was just starting has to have started.
const NOTICE: Duration = Duration::from_secs(1);

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// Takes the lock that lasts as long as this connection. Nothing to do for SQLite.
pub(super) fn take_advisory(conn: &mut Conn, location: &Location) -> Result<(), DbError> {
    let Engine::Postgres(postgres) = conn.engine()? else {
        return Ok(());
    };
    let began = Instant::now();
    loop {
        let query = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS taken").bind::<BigInt, _>(KEY);
        let answer: Locked = query.get_result(postgres)?;
        if answer.taken {
            return Ok(());
        }
        if began.elapsed() > NOTICE {
            return Err(DbError::Locked { place: location.to_string() });
        }
        thread::sleep(AGAIN);
    }
}

/// Gives the lock back before the connection ends, so that it is free by the time anybody can know of the end.
pub(super) fn release_advisory(conn: &mut Conn) {
    if let Ok(Engine::Postgres(postgres)) = conn.engine()
        && let Err(cause) = diesel::sql_query("SELECT pg_advisory_unlock_all()").execute(postgres)
    {
        tracing::debug!(%cause, "the lock goes with the connection");
    }
}
