//! One connection to either engine, and what is set on it before use.

use super::known::Known;
use super::lately::{Effects, View};
use super::unwritten::Unwritten;
use super::{DbError, Location};
use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::internal::derives::multiconnection::AstPassHelper;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use std::marker::PhantomData;
use std::sync::OnceLock;

/// The engines behind one type, so that a query is written once.
#[derive(diesel::MultiConnection)]
pub(super) enum Engine {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// How PostgreSQL names a transaction.
pub(super) type TransactionId = i64;

#[diesel::declare_sql_function]
extern "SQL" {
    fn txid_current() -> diesel::sql_types::BigInt;
    fn txid_status(id: diesel::sql_types::BigInt) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}

/// A connection to either engine. What is inside stays inside `db`.
pub struct Conn {
    /// To be had by [`Conn::engine`] alone.
    engine: Engine,
    pub(super) known: Known,
    unwritten: Option<Unwritten>,
    /// What the transaction is known for once it is committed.
    pub(super) effects: Effects,
    /// What may be used of what is kept in memory; only while it reads.
    pub(super) view: Option<View>,
}

/// Runs the same expression on the connection of whichever engine it is, for what diesel cannot say portably.
macro_rules! each {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn.engine()? {
            $crate::db::engine::Engine::Sqlite($c) => $body,
            $crate::db::engine::Engine::Postgres($c) => $body,
        }
    };
}
pub(super) use each;

/// Inserts the rows of a slice with as few statements as their number allows, each of them prepared once.
///
/// Statements of 32 rows, of four and of one: their text never varies, so diesel keeps them prepared.
macro_rules! insert_all {
    ($conn:expr, $table:expr, $rows:expr) => {{
        let rows: &[_] = $rows;
        $crate::db::engine::in_groups!(rows, |some| {
            $crate::db::engine::each!($conn, |c| diesel::insert_into($table).values(some).execute(c))?;
        });
    }};
}
pub(super) use insert_all;

/// Runs one statement for rows by their numbers, with as few calls as [`insert_all`].
macro_rules! update_all {
    ($conn:expr, $ids:expr, |$some:ident| $statement:expr) => {{
        let ids: &[i64] = &$ids;
        $crate::db::engine::in_groups!(ids, |$some| {
            $crate::db::engine::each!($conn, |c| $crate::db::engine::kept!($statement).execute(c))?;
        });
    }};
}
pub(super) use update_all;

/// Does the same for each 32, each four and each one of these.
macro_rules! in_groups {
    ($all:expr, |$some:ident| $body:block) => {
        let (many, rest) = $all.as_chunks::<32>();
        for $some in many $body
        let (few, rest) = rest.as_chunks::<4>();
        for $some in few $body
        let (single, _) = rest.as_chunks::<1>();
        for $some in single $body
    };
}
pub(super) use in_groups;

/// A statement that stays prepared although diesel thinks that it must not: updates and upserts whose text never
/// varies, as every column is always set. Preparing them anew would cost more than running them.
///
/// `M` is a type of its own for each place in the source and each engine, which remembers the text; [`kept`] makes one.
pub(super) struct Kept<M, Q> {
    query: Q,
    mark: PhantomData<M>,
}

/// Where a statement's text is remembered.
pub(super) trait Mark: 'static {
    fn text() -> &'static OnceLock<String>;
}

impl<M, Q> Kept<M, Q> {
    pub fn new(query: Q) -> Kept<M, Q> {
        Kept { query, mark: PhantomData }
    }
}

impl<M: Mark, Q> QueryId for Kept<M, Q> {
    type QueryId = M;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<M, Q, DB> QueryFragment<DB> for Kept<M, Q>
where
    M: Mark,
    DB: Backend,
    DB::QueryBuilder: Default,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if pass.bind_collector().is_some() || pass.debug_binds().is_some() {
            return self.query.walk_ast(pass);
        }
        let text = match M::text().get() {
            Some(text) => text,
            None => {
                let mut text = DB::QueryBuilder::default();
                self.query.to_sql(&mut text, pass.backend())?;
                M::text().get_or_init(|| text.finish())
            }
        };
        pass.push_sql(text);
        Ok(())
    }
}

impl<M, Q: Query> Query for Kept<M, Q> {
    type SqlType = Q::SqlType;
}

impl<M, Q, C> RunQueryDsl<C> for Kept<M, Q> {}

/// See [`Kept`]. To be used within [`each`], as the engines differ in how they write the same statement.
macro_rules! kept {
    ($query:expr) => {{
        struct Here;
        impl $crate::db::engine::Mark for Here {
            fn text() -> &'static std::sync::OnceLock<String> {
                static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
                &TEXT
            }
        }
        $crate::db::engine::Kept::<Here, _>::new($query)
    }};
}
pub(super) use kept;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    /// Refuses to write.
    Read,
}

/// How long SQLite waits for another process that holds the file, a backup for example.
const BUSY: &str = "PRAGMA busy_timeout = 5000;";

impl Conn {
    pub(super) fn establish(location: &Location, purpose: Purpose) -> Result<Conn, DbError> {
        let engine = match location {
            Location::Sqlite(path) => {
                let name = path.to_str().ok_or_else(|| DbError::Location {
                    url: path.display().to_string(),
                    why: "its path is not UTF-8".to_owned(),
                })?;
                let mut sqlite = SqliteConnection::establish(name)
                    .map_err(|cause| DbError::Unopened { place: location.to_string(), cause })?;
                sqlite.batch_execute(BUSY)?;
                sqlite.batch_execute(match purpose {
                    // The first takes effect on a new file only; full safety is paid once per group of jobs.
                    Purpose::Write => {
                        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                         PRAGMA foreign_keys = ON; PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY; \
                         PRAGMA wal_autocheckpoint = 16000; PRAGMA journal_size_limit = 67108864;"
                    }
                    Purpose::Read => "PRAGMA query_only = ON; PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY;",
                })?;
                Engine::Sqlite(sqlite)
            }
            Location::Postgres(url) => {
                let mut postgres = PgConnection::establish(url)
                    .map_err(|cause| DbError::Unreachable { place: location.to_string(), cause })?;
                if purpose == Purpose::Read {
                    postgres.batch_execute("SET default_transaction_read_only = on")?;
                }
                Engine::Postgres(postgres)
            }
        };
        Ok(Conn { engine, known: Known::default(), unwritten: None, effects: Effects::default(), view: None })
    }

    /// The engine, to ask and to tell. What is still unwritten is written first, so that nobody can miss it.
    pub(super) fn engine(&mut self) -> Result<&mut Engine, DbError> {
        if let Some(unwritten) = self.unwritten.take() {
            unwritten.write(self)?;
        }
        Ok(&mut self.engine)
    }

    /// What this transaction writes when it ends, or when somebody next needs the engine.
    pub(super) fn unwritten(&mut self) -> &mut Unwritten {
        self.unwritten.get_or_insert_default()
    }

    /// Begins what [`commit`](Conn::commit) or [`roll_back`](Conn::roll_back) ends.
    pub(super) fn begin(&mut self, purpose: Purpose) -> QueryResult<()> {
        let sql = match (&self.engine, purpose) {
            // Taking the write lock at once: a transaction that first reads could not be upgraded.
            (Engine::Sqlite(_), Purpose::Write) => "BEGIN IMMEDIATE",
            (Engine::Sqlite(_), Purpose::Read) => "BEGIN",
            (Engine::Postgres(_), Purpose::Write) => "BEGIN",
            (Engine::Postgres(_), Purpose::Read) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.engine.batch_execute(sql)
    }

    pub(super) fn commit(&mut self) -> Result<(), DbError> {
        Ok(self.engine()?.batch_execute("COMMIT")?)
    }

    /// A name for the running transaction by which [`was_committed`](Conn::was_committed) finds it on another connection.
    /// `None` for SQLite, whose commits are always answered.
    pub(super) fn transaction_id(&mut self) -> QueryResult<Option<TransactionId>> {
        match &mut self.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => diesel::select(txid_current()).get_result(postgres).map(Some),
        }
    }

    pub(super) fn was_committed(&mut self, id: TransactionId) -> Result<bool, DbError> {
        match &mut self.engine {
            Engine::Sqlite(_) => Ok(false),
            Engine::Postgres(postgres) => {
                let status: Option<String> = diesel::select(txid_status(id)).get_result(postgres)?;
                match status.as_deref() {
                    Some("committed") => Ok(true),
                    // Its process has not yet noticed that we are gone; ask again later.
                    Some("in progress") => Err(DbError::Locked { place: "the database".to_owned() }),
                    _ => Ok(false),
                }
            }
        }
    }

    /// Takes back what was done since [`begin`](Conn::begin). That it may already be taken back is no error.
    pub(super) fn roll_back(&mut self) {
        self.known.forget();
        self.unwritten = None;
        self.effects = Effects::default();
        let undone = self.engine.batch_execute("ROLLBACK");
        if let Err(cause) = undone {
            tracing::debug!(%cause, "nothing to roll back");
        }
    }
}
