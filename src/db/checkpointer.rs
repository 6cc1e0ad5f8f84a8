//! Moves what is committed from SQLite's write-ahead log into the file, beside the writer.
//!
//! The writer does so itself only where this falls behind, so that commits seldom wait for it.

use super::engine::{Conn, Engine, Purpose};
use super::{DbError, Location};
use diesel::connection::SimpleConnection;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// So many jobs are committed before it is worth it.
const JOBS: usize = 2_000;

/// A thread with a connection of its own; ends with the value.
pub(super) struct Checkpointer {
    /// Taken when the thread is to end.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Jobs committed since it was last woken.
    committed: usize,
}

impl Checkpointer {
    /// `None` for PostgreSQL, which looks after this itself.
    pub fn start(location: &Location) -> Result<Option<Checkpointer>, DbError> {
        if !matches!(location, Location::Sqlite(_)) {
            return Ok(None);
        }
        let conn = Conn::establish(location, Purpose::Write)?;
        let (wake, woken) = sync_channel(1);
        let thread = thread::Builder::new().name("db-checkpoint".to_owned()).spawn(move || run(conn, &woken));
        let thread = Some(thread.map_err(DbError::Thread)?);
        Ok(Some(Checkpointer { wake: Some(wake), thread, committed: 0 }))
    }

    pub fn committed(&mut self, jobs: usize) {
        self.committed += jobs;
        if self.committed < JOBS {
            return;
        }
        self.committed = 0;
        if let Some(wake) = &self.wake {
            // One that is at work, and woken already, goes on with this as well.
            wake.try_send(()).ok();
        }
    }
}

impl Drop for Checkpointer {
    /// Waits for the connection to be closed, so that the writer's is the last and empties the log.
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(mut conn: Conn, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let Ok(Engine::Sqlite(sqlite)) = conn.engine() else { return };
        if let Err(cause) = sqlite.batch_execute("PRAGMA wal_checkpoint(PASSIVE)") {
            // The writer meets the same trouble and says so.
            tracing::debug!(%cause, "the write-ahead log stays as it is for now");
        }
    }
}
