//! A database that cannot be written for a while: nothing is lost, and it goes on by itself.

use crate::support::database::{Engine, Place, close};
use serde_json::json;
use signalbox::db::state::{self, Put};
use signalbox::db::{Db, Location};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn put(db: &Db, key: i64, value: &str) -> impl Future<Output = Result<(), signalbox::db::DbError>> + use<> {
    let put = Put { object: "test".to_owned(), key: key.to_string(), value: json!(value) };
    db.write(move |conn| state::put(conn, &put))
}

fn has(db: &Db, key: i64) -> bool {
    db.read_blocking(|conn| state::get(conn, "test", &key.to_string())).unwrap().is_some()
}

/// Waits until it is so; the limit is far beyond what it takes.
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < limit, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const SMALL_DISK: &str = "SIGNALBOX_TEST_SMALL_DISK";
const MOUNTED: &str = "mount -t tmpfs -o size=12m none \"$1\" && exec \"$2\" --exact \"$3\" --nocapture";

/// Runs itself again in a name space of its own, where a disk of twelve megabytes is mounted.
#[test]
fn a_full_disk_is_waited_out() {
    if let Some(disk) = std::env::var_os(SMALL_DISK) {
        return on_a_small_disk(&PathBuf::from(disk));
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .arg("database::trouble::a_full_disk_is_waited_out")
        .env(SMALL_DISK, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn on_a_small_disk(disk: &Path) {
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![0; 9 << 20]).unwrap();
    let location = Location::Sqlite(disk.join("state.sqlite"));
    let db = Db::open(&location).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let value = "x".repeat(50_000);
    let mut waiting = Vec::new();
    let mut next = 0;
    wait_until("the disk is full", || {
        // One after the other, so that what waits fits in when there is room again.
        if waiting.last().is_none_or(|(_, job): &(i64, tokio::task::JoinHandle<_>)| job.is_finished()) {
            waiting.push((next, runtime.spawn(put(&db, next, &value))));
            next += 1;
        }
        db.trouble().is_some()
    });
    let trouble = db.trouble().unwrap();
    assert!(trouble.starts_with("the disk is full since "), "{trouble}");
    // What was answered is stored, also as seen by a reader, and what comes now waits in line.
    for (key, job) in &mut waiting {
        if job.is_finished() {
            runtime.block_on(job).unwrap().unwrap();
            assert!(has(&db, *key));
        }
    }
    let late = runtime.spawn(put(&db, next, "late"));
    assert!(!late.is_finished());

    fs::remove_file(ballast).unwrap();
    runtime.block_on(late).unwrap().unwrap();
    assert_eq!(db.trouble(), None);
    assert!((0..=next).all(|key| has(&db, key)));
    runtime.block_on(db.close());
    drop(db);
    let db = Db::open(&location).unwrap();
    assert!((0..=next).all(|key| has(&db, key)));
}

#[test]
fn another_process_in_the_file_is_waited_out() {
    use diesel::connection::{Connection, SimpleConnection};
    let place = Place::new(Engine::Sqlite);
    let db = place.open();
    let mut other = diesel::SqliteConnection::establish(place.file().to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let job = runtime.spawn(put(&db, 1, "x"));
    wait_until("the writer gives up for now", || db.trouble().is_some());
    assert!(db.trouble().unwrap().starts_with("another process holds it since "));
    assert!(!has(&db, 1));
    other.batch_execute("ROLLBACK").unwrap();
    runtime.block_on(job).unwrap().unwrap();
    assert!(has(&db, 1));
    assert_eq!(db.trouble(), None);
}

#[test]
fn a_file_taken_away_is_not_made_anew() {
    let place = Place::new(Engine::Sqlite);
    let db = place.open();
    let away = place.file().with_extension("away");
    fs::rename(place.file(), &away).unwrap();
    // A panic makes the writer open its connection again.
    let panicked = db.write_blocking::<(), _>(|_| panic!("as the test wants it"));
    assert!(panicked.is_err());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let job = runtime.spawn(put(&db, 1, "x"));
    wait_until("the file is missed", || db.trouble().is_some());
    assert!(!place.file().exists());
    fs::rename(&away, place.file()).unwrap();
    runtime.block_on(job).unwrap().unwrap();
    assert!(has(&db, 1));
}

#[test]
fn a_lost_connection_is_made_again() {
    let place = Place::new(Engine::Postgres);
    let db = place.open();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for key in 0..5 {
        place
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .unwrap();
        runtime.block_on(put(&db, key, "x")).unwrap();
        assert!(has(&db, key));
    }
    assert_eq!(db.trouble(), None);
    // Nobody else got in meanwhile, and nobody can now.
    assert!(place.try_open().is_err());
    close(db);
    place.open();
}
