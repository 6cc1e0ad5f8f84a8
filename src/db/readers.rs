//! A few connections that only read.

use super::engine::{Conn, Purpose};
use super::lately::Lately;
use super::{DbError, Location};
use diesel::prelude::*;
use diesel::r2d2::{ManageConnection, Pool};
use std::sync::Arc;
use std::time::Duration;

/// How many queries run at once. Each costs a connection with its own cache; more would not make two cores faster.
pub(super) const READERS: u32 = 4;

/// How long a query waits for a connection before its caller is told that there is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections not used for this long are closed, so that an idle Signalbox is small.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Readers {
    pool: Pool<Manager>,
    lately: Arc<Lately>,
}

impl Readers {
    pub fn new(location: Location, lately: Arc<Lately>) -> Result<Readers, DbError> {
        let pool = Pool::builder()
            .max_size(READERS)
            .min_idle(Some(1))
            .idle_timeout(Some(IDLE))
            .connection_timeout(PATIENCE)
            .test_on_check_out(matches!(location, Location::Postgres(_)))
            .error_handler(Box::new(Quiet))
            .build(Manager { location })
            .map_err(|error| DbError::NoReader(error.to_string()))?;
        Ok(Readers { pool, lately })
    }

    /// Runs a query on one of them; all it reads is of one moment.
    pub fn run<T>(&self, query: impl FnOnce(&mut Conn) -> Result<T, DbError>) -> Result<T, DbError> {
        let mut conn = self.pool.get().map_err(|error| DbError::NoReader(error.to_string()))?;
        conn.view = Some(self.lately.view());
        conn.begin(Purpose::Read)?;
        let open = Reading(&mut conn);
        query(open.0)
    }
}

/// Ends the transaction however the query ends, by a panic too.
struct Reading<'a>(&'a mut Conn);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.view = None;
        self.0.roll_back();
    }
}

struct Manager {
    location: Location,
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = DbError;

    fn connect(&self) -> Result<Conn, DbError> {
        Conn::establish(&self.location, Purpose::Read)
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), DbError> {
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1")).execute(conn.engine()?)?;
        Ok(())
    }

    fn has_broken(&self, _conn: &mut Conn) -> bool {
        // Each use begins a transaction first, which fails on a broken one; testing here would cost idle queries.
        false
    }
}

/// Connections that cannot be opened are told to whoever asks for one, so they need no log line of their own.
#[derive(Debug)]
struct Quiet;

impl diesel::r2d2::HandleError<DbError> for Quiet {
    fn handle_error(&self, error: DbError) {
        tracing::debug!(error = &error as &dyn std::error::Error, "no connection to read with");
    }
}
