//! The tables themselves.

use super::model::happen;
use crate::support::database::{Engine, Place, close, on_both_engines};
use crate::support::facts::*;
use diesel::prelude::*;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use signalbox::db::{Db, cursors, logs, users};
use signalbox::model::*;
use std::path::Path;

on_both_engines![
    migrations_run_up_down_and_up,
    every_foreign_key_is_enforced_and_indexed,
    an_older_database_learns_which_builds_a_change_went_into,
];

fn migrations_run_up_down_and_up(place: &Place) {
    fn there_and_back<C, DB>(mut conn: C, folder: &str, tables: impl Fn() -> Vec<String>)
    where
        DB: diesel::backend::Backend,
        C: MigrationHarness<DB>,
    {
        let all = || FileBasedMigrations::from_path(Path::new("migrations").join(folder)).unwrap();
        conn.run_pending_migrations(all()).unwrap();
        let full = tables();
        assert!(full.len() > 40, "{full:?}");
        conn.revert_all_migrations(all()).unwrap();
        assert_eq!(tables(), [""; 0]);
        conn.run_pending_migrations(all()).unwrap();
        assert_eq!(tables(), full);
    }
    match &place.location {
        signalbox::db::Location::Sqlite(path) => {
            let conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            there_and_back(conn, "sqlite", || {
                place.texts(
                    "SELECT name || coalesce(sql, '') AS value FROM sqlite_master \
                     WHERE tbl_name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND tbl_name <> 'sqlite_sequence' ORDER BY name",
                )
            });
        }
        signalbox::db::Location::Postgres(url) => {
            let conn = PgConnection::establish(url).unwrap();
            there_and_back(conn, "postgres", || {
                place.texts(
                    "SELECT relname || ' ' || coalesce(string_agg(attname, ',' ORDER BY attnum), '') AS value \
                     FROM pg_class LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 \
                     WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%' \
                     GROUP BY relname ORDER BY relname",
                )
            });
        }
    }
}

/// `child.column -> parent`, the first column of each key.
fn foreign_keys(place: &Place) -> Vec<(String, String)> {
    let sql = match place.engine {
        Engine::Sqlite => {
            "SELECT m.name || '.' || f.\"from\" AS value FROM sqlite_master m, pragma_foreign_key_list(m.name) f \
             WHERE m.type = 'table' AND f.seq = 0 ORDER BY 1"
        }
        Engine::Postgres => {
            "SELECT conrelid::regclass || '.' || attname AS value FROM pg_constraint \
             JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f' ORDER BY 1"
        }
    };
    let split = |key: String| {
        let (table, column) = key.split_once('.').unwrap();
        (table.to_owned(), column.to_owned())
    };
    place.texts(sql).into_iter().map(split).collect()
}

/// `table.column` of the first column of every index.
fn indexed(place: &Place) -> Vec<String> {
    place.texts(match place.engine {
        Engine::Sqlite => {
            "SELECT m.name || '.' || c.name AS value FROM sqlite_master m, pragma_index_list(m.name) i, \
             pragma_index_info(i.name) c WHERE m.type = 'table' AND c.seqno = 0"
        }
        Engine::Postgres => {
            "SELECT indrelid::regclass || '.' || attname AS value FROM pg_index \
             JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
        }
    })
}

fn every_foreign_key_is_enforced_and_indexed(place: &Place) {
    let db = place.open();
    one_of_everything(&db);
    let indexed = indexed(place);
    let keys = foreign_keys(place);
    assert!(keys.len() >= 15, "{keys:?}");
    for (table, column) in keys {
        let rows = place.texts(&format!("SELECT '' AS value FROM {table}"));
        assert!(!rows.is_empty(), "{table} has no row to try its foreign key with");
        let orphaned = place.execute(&format!("UPDATE {table} SET {column} = -999"));
        assert!(
            orphaned.as_ref().is_err_and(|error| error.to_string().to_lowercase().contains("foreign key")),
            "{table}.{column}: {orphaned:?}"
        );
        assert!(indexed.contains(&format!("{table}.{column}")), "{table}.{column} has no index");
    }
}

fn an_older_database_learns_which_builds_a_change_went_into(place: &Place) {
    fn make_older<C, DB>(mut conn: C, folder: &str)
    where
        DB: diesel::backend::Backend,
        C: MigrationHarness<DB>,
    {
        let all = || FileBasedMigrations::from_path(Path::new("migrations").join(folder)).unwrap();
        let mut revert = || MigrationHarness::<DB>::revert_last_migration(&mut conn, all()).unwrap().to_string();
        while revert() != "20260103000000" {}
    }
    let with = |number, changes: &[i64]| {
        let stamp = |number: &i64| SourceStamp { changes: vec![change(*number)], ..stamp(Some("main")) };
        Build { source_stamps: changes.iter().map(stamp).collect(), ..build("linux", number) }
    };
    let db = place.open();
    let mut events = vec![Event::BuilderAdded { builder: builder("linux") }];
    let builds = [with(0, &[7, 8, 7]), with(1, &[8]), with(2, &[]), build("linux", 3)];
    events.extend(builds.map(|build| Event::BuildStarted { build }));
    happen(&db, events);
    close(db);
    let rows = || place.texts("SELECT change_number || ' ' || build_id AS value FROM build_changes ORDER BY 1");
    let written = rows();
    assert_eq!(written, ["7 1", "8 1", "8 2"]);
    match &place.location {
        signalbox::db::Location::Sqlite(path) => {
            make_older(SqliteConnection::establish(path.to_str().unwrap()).unwrap(), "sqlite");
        }
        signalbox::db::Location::Postgres(url) => make_older(PgConnection::establish(url).unwrap(), "postgres"),
    }
    close(place.open());
    assert_eq!(rows(), written);
}

fn one_of_everything(db: &Db) {
    let stamps = vec![SourceStamp { changes: vec![change(1)], ..stamp(Some("main")) }];
    let started = Build { requests: vec![1], source_stamps: stamps, ..build("linux", 0) };
    let reference = started.reference();
    let compile = step(&started, 0, "compile");
    let mut end = ended(&started, Results::Success);
    end.steps = vec![step_ended(&compile, 5, Results::Success)];
    happen(
        db,
        [
            Event::BuilderAdded { builder: builder("linux") },
            Event::SlaveConnected { slave: worker("w1") },
            Event::BuildsetSubmitted { buildset: buildset(1, &["linux"]) },
            Event::RequestSubmitted { request: request(1, 1, "linux") },
            Event::BuildStarted { build: started },
            Event::StepStarted { build: reference.clone(), step: compile },
            Event::LogStarted { build: reference, step: 0, log: log(1, "stdio") },
        ],
    );
    let text = [Segment { channel: Channel::Stdout, bytes: b"hello\n".to_vec() }];
    db.write_blocking(move |conn| logs::append(conn, 1, &text)).unwrap();
    happen(db, [Event::BuildFinished { build: end }]);
    let ann = User { uid: 1, ..User::of_author(Vcs::Git, "Ann <ann@example.org>") };
    db.write_blocking(move |conn| users::put(conn, &ann)).unwrap();
    db.write_blocking(|conn| cursors::put(conn, "push", 1)).unwrap();
}
