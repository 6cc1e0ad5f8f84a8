//! Bringing a database up to the schema of this program, or saying why that cannot be.

use super::engine::{Conn, Engine, Purpose};
use super::error::Trouble;
use super::{DbError, Location};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// What every SQLite file starts with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The writing connection to a database that is there, ours, and of this program's schema.
pub(super) fn open(location: &Location) -> Result<Conn, DbError> {
    if let Location::Sqlite(path) = location {
        look_at(path, location)?;
    }
    let mut conn = Conn::establish(location, Purpose::Write).map_err(|error| {
        let text = super::error::whole_story(&error);
        sentence(&text, location).unwrap_or(error)
    })?;
    super::lock::take_advisory(&mut conn, location)?;
    bring_up_to_date(&mut conn, location)?;
    Ok(conn)
}

/// SQLite's own messages do not tell these cases apart, so they are looked for first.
fn look_at(path: &Path, location: &Location) -> Result<(), DbError> {
    let place = location.to_string();
    if path.is_dir() {
        return Err(DbError::NotADatabase { place });
    }
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(DbError::Unreadable { place, cause }),
    };
    let mut start = Vec::new();
    file.by_ref()
        .take(16)
        .read_to_end(&mut start)
        .map_err(|cause| DbError::Unreadable { place: place.clone(), cause })?;
    if !start.is_empty() && start != MAGIC {
        return Err(DbError::NotADatabase { place });
    }
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(cause) => Err(DbError::ReadOnly { place, cause: Some(cause) }),
    }
}

fn bring_up_to_date(conn: &mut Conn, location: &Location) -> Result<(), DbError> {
    let outcome = match conn.engine()? {
        Engine::Sqlite(sqlite) => up(sqlite, SQLITE),
        Engine::Postgres(postgres) => up(postgres, POSTGRES),
    };
    let place = location.to_string();
    match outcome {
        Ok(None) => Ok(()),
        Ok(Some(version)) => Err(DbError::Newer { place, version }),
        Err(cause) => Err(sentence(&cause.to_string(), location).unwrap_or(DbError::Migration { place, cause })),
    }
}

/// Runs what has not been run; stops before that, with its name, at a change this program does not know.
fn up<C, DB>(conn: &mut C, known: EmbeddedMigrations) -> Result<Option<String>, Box<dyn Error + Send + Sync>>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let ours: Vec<String> = diesel::migration::MigrationSource::<DB>::migrations(&known)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations()?;
    if let Some(newer) = applied.iter().map(ToString::to_string).find(|version| !ours.contains(version)) {
        return Ok(Some(newer));
    }
    conn.run_pending_migrations(known)?;
    Ok(None)
}

/// The error for what an engine said while the database was being opened, if it is one people should get a sentence for.
fn sentence(message: &str, location: &Location) -> Option<DbError> {
    let place = location.to_string();
    if ["file is not a database", "malformed"].iter().any(|text| message.contains(text)) {
        return Some(DbError::NotADatabase { place });
    }
    match Trouble::named(message)? {
        Trouble::Full => Some(DbError::Full { place }),
        Trouble::ReadOnly => Some(DbError::ReadOnly { place, cause: None }),
        Trouble::Busy => Some(DbError::Locked { place }),
        Trouble::Io | Trouble::Lost => None,
    }
}
