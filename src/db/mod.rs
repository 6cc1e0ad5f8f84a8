//! The database: schema, rows, queries; gives and takes `model` values only.
//!
//! One code path over two engines: SQLite in a file of its own, or PostgreSQL. Everything is written by one thread
//! ([`Db::write`]), which takes what is queued into one transaction, and read through a few connections that cannot
//! write ([`Db::read`]). Storing an event brings what the pages read up to date in the same transaction
//! ([`events::append`]); nothing else writes builds, steps, changes or requests.
//!
//! Every query goes along an index and has a bound, so what a page costs does not grow with what is stored. What builders
//! did lately is kept in memory (`lately`), which nobody can tell but by the time it takes.
//!
//! Not here: deciding anything. Numbers come from [`Ids`], moments from the caller.

mod apply;
mod beside;
pub mod builders;
pub mod builds;
pub mod changes;
mod checkpointer;
mod columns;
mod counters;
pub mod cursors;
mod engine;
mod error;
pub mod events;
pub mod expectations;
mod fill;
mod halves;
mod ids;
pub mod inbox;
pub mod janitor;
mod known;
mod lately;
mod location;
mod lock;
pub mod logs;
mod migrate;
mod newest;
pub mod outbox;
mod readers;
pub mod requests;
mod schema;
pub mod state;
mod unwritten;
pub mod users;
pub mod workers;
mod writer;

pub use beside::Beside;
pub use engine::Conn;
pub use error::DbError;
pub use fill::fill;
pub use halves::Halves;
pub use ids::Ids;
pub use location::Location;
pub use newest::Newest;

use lately::Lately;
use readers::{READERS, Readers};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::Semaphore;
use writer::Writer;

/// The database: a pool to read with, one thread that writes. Cheap to clone.
///
/// The last clone to go lets the writer commit what is queued and end; [`Db::close`] also waits for that.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    readers: Readers,
    /// For those who read on threads of their own: they do not wait for the others, nor the others for them.
    blocking_readers: Readers,
    /// As many as there are readers, so that waiting queries do not each hold a thread.
    turns: Arc<Semaphore>,
    writer: Writer,
    ids: Ids,
    lately: Arc<Lately>,
}

impl Db {
    /// Opens, migrates, starts the writer. Blocks. A clear error for a newer, unreadable, read-only or locked one.
    pub fn open(location: &Location) -> Result<Db, DbError> {
        let lock = lock::FileLock::take(location)?;
        let mut conn = migrate::open(location)?;
        let ids = Ids::seed(&mut conn)?;
        let lately = Arc::new(Lately::since(events::last(&mut conn)?));
        let readers = Readers::new(location.clone(), lately.clone())?;
        let blocking_readers = Readers::new(location.clone(), lately.clone())?;
        let writer = Writer::start(conn, lock, location.clone(), lately.clone())?;
        let turns = Arc::new(Semaphore::new(READERS as usize));
        Ok(Db { inner: Arc::new(Inner { readers, blocking_readers, turns, writer, ids, lately }) })
    }

    pub fn ids(&self) -> &Ids {
        &self.inner.ids
    }

    /// Which events were stored last.
    pub fn newest(&self) -> &Newest {
        self.inner.lately.newest()
    }

    /// Runs a query on a blocking thread of the reading pool. All it reads is of one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        // Never closed, so never an error; were it one, the pool would still hold everybody to its size.
        let turn = self.inner.turns.clone().acquire_owned().await.ok();
        let inner = self.inner.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            inner.readers.run(query)
        });
        match answer.await {
            Ok(answer) => answer,
            Err(error) => Err(DbError::Panicked(error.to_string())),
        }
    }

    /// The same on this thread, for callers that may block.
    pub fn read_blocking<T>(&self, query: impl FnOnce(&mut Conn) -> Result<T, DbError>) -> Result<T, DbError> {
        self.inner.blocking_readers.run(query)
    }

    /// Queues a job for the writer, at once and in call order, and resolves after its commit. Jobs queued together share a
    /// transaction; a job may run again (after another's failure, or while the disk is full), so it must only touch `Conn`.
    ///
    /// It is done even if nobody waits for the answer. The queue has no limit of its own: await the answer before
    /// queuing more of the same, and what waits is bounded by how many callers there are.
    pub fn write<T: Send + 'static, F>(&self, job: F) -> impl Future<Output = Result<T, DbError>> + Send + use<T, F>
    where
        F: FnMut(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        let answer = self.inner.writer.queue(job);
        async move { answer.await.unwrap_or(Err(DbError::Closed)) }
    }

    /// The same with `then` called on the writing thread after the commit, in the order of the calls: it must be quick.
    pub fn write_then<T: Send + 'static, F, A>(&self, job: F, then: A)
    where
        F: FnMut(&mut Conn) -> Result<T, DbError> + Send + 'static,
        A: FnOnce(Result<T, DbError>) + Send + 'static,
    {
        self.inner.writer.queue_then(job, then);
    }

    /// The same for callers that may block: returns after the commit.
    pub fn write_blocking<T: Send + 'static, F>(&self, job: F) -> Result<T, DbError>
    where
        F: FnMut(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        self.inner.writer.queue(job).blocking_recv().unwrap_or(Err(DbError::Closed))
    }

    /// What keeps the writer from writing just now ("disk full since …"), if anything does.
    pub fn trouble(&self) -> Option<String> {
        self.inner.writer.trouble()
    }

    /// How many jobs wait for the writer.
    pub fn queued(&self) -> usize {
        self.inner.writer.queued()
    }

    /// Commits what is queued, then ends the writer.
    pub async fn close(&self) {
        // An error means that it had ended before.
        drop(self.inner.writer.close().await);
    }
}
