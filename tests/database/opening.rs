//! Databases that cannot be opened say why.

use crate::support::database::{Engine, Place, close, on_both_engines};
use crate::support::facts::*;
use signalbox::db::{Db, DbError, Location, builders, events, state};
use signalbox::model::Event;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

on_both_engines![
    what_was_stored_is_there_again,
    a_newer_database_is_left_alone,
    one_in_use_is_refused,
    numbers_go_on_after_a_restart,
];

fn what_was_stored_is_there_again(place: &Place) {
    let db = place.open();
    let stored = numbered(1, [Event::BuilderAdded { builder: builder("linux") }]);
    db.write_blocking(move |conn| append(conn, &stored)).unwrap();
    close(db);
    let db = place.open();
    assert_eq!(db.read_blocking(builders::all).unwrap(), [builder("linux")]);
    assert_eq!(db.read_blocking(events::last).unwrap(), 1);
}

fn refused(place: &Place) -> String {
    match place.try_open() {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

fn a_newer_database_is_left_alone(place: &Place) {
    close(place.open());
    place.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").unwrap();
    let text = refused(place);
    assert!(text.contains("newer Signalbox") && text.contains("99990101000000"), "{text}");
    place.execute("DELETE FROM __diesel_schema_migrations WHERE version = '99990101000000'").unwrap();
    place.open();
}

fn one_in_use_is_refused(place: &Place) {
    let first = place.open();
    assert!(matches!(place.try_open(), Err(DbError::Locked { .. })));
    first
        .write_blocking(|conn| state::put(conn, &state::Put { object: "a".into(), key: "b".into(), value: 1.into() }))
        .unwrap();
    close(first);
    place.open();
}

fn numbers_go_on_after_a_restart(place: &Place) {
    let db = place.open();
    let ids = db.ids();
    assert_eq!((ids.change(), ids.request(), ids.buildset(), ids.log()), (1, 1, 1, 1));
    assert_eq!((ids.build("linux"), ids.build("linux"), ids.build("mac")), (0, 1, 0));
    let stored = numbered(
        1,
        [
            Event::ChangeAdded { change: change(1) },
            Event::BuildsetSubmitted { buildset: buildset(1, &["linux"]) },
            Event::RequestSubmitted { request: request(1, 1, "linux") },
            Event::BuildStarted { build: build("linux", 0) },
            Event::BuildStarted { build: build("linux", 1) },
        ],
    );
    db.write_blocking(move |conn| append(conn, &stored)).unwrap();
    close(db);
    let db = place.open();
    let ids = db.ids();
    assert_eq!((ids.change(), ids.request(), ids.buildset(), ids.log()), (2, 2, 2, 1));
    assert_eq!((ids.build("linux"), ids.build("mac")), (2, 0));
}

#[test]
fn what_is_no_database_is_left_alone() {
    for content in ["master.cfg\n".repeat(500), format!("SQLite format 3\0{}", "x".repeat(9000))] {
        let place = Place::new(Engine::Sqlite);
        fs::write(place.file(), &content).unwrap();
        let text = refused(&place);
        assert!(text.contains("is not a database"), "{text}");
        assert!(fs::read_to_string(place.file()).unwrap() == content, "it was changed");
    }
    let place = Place::new(Engine::Sqlite);
    fs::create_dir(place.file()).unwrap();
    assert!(refused(&place).contains("is not a database"));
    let place = Place::new(Engine::Sqlite);
    fs::write(place.file(), "").unwrap();
    place.open();
}

#[test]
fn a_missing_folder_is_named() {
    let location = Location::Sqlite("/nowhere/at/all/state.sqlite".into());
    let text = Db::open(&location).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("/nowhere/at/all/state.sqlite cannot be"), "{text}");
}

#[test]
fn files_without_permission_are_named() {
    let place = Place::new(Engine::Sqlite);
    close(place.open());
    let folder = place.file().parent().unwrap();
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let open = || as_nobody(&place.location);
    allow(folder, 0o777);
    allow(&folder.join("state.sqlite.lock"), 0o666);

    allow(place.file(), 0o444);
    let text = open().unwrap_err();
    assert!(text.contains("cannot be written to"), "{text}");
    allow(place.file(), 0o200);
    let text = open().unwrap_err();
    assert!(text.contains("cannot be read"), "{text}");
    // The write-ahead log goes into the folder, so that must be writable too.
    allow(place.file(), 0o666);
    allow(folder, 0o555);
    let text = open().unwrap_err();
    assert!(text.contains("cannot be written to"), "{text}");
    fs::remove_file(folder.join("state.sqlite.lock")).unwrap();
    let text = open().unwrap_err();
    assert!(text.contains("cannot be written to"), "{text}");
    allow(folder, 0o777);
    open().unwrap();
}

/// Opens it on a thread that has no more rights than the files say, also when the tests run as root.
fn as_nobody(location: &Location) -> Result<(), String> {
    let location = location.clone();
    let open = move || {
        // SAFETY: they change what this one thread may do to files, and nothing else.
        unsafe {
            if libc::geteuid() == 0 {
                libc::setfsgid(65_534);
                libc::setfsuid(65_534);
            }
        }
        Db::open(&location).map(close).map_err(|error| error.to_string())
    };
    thread::spawn(open).join().unwrap()
}

#[test]
fn an_absent_server_is_named() {
    let location = Location::parse("postgresql://ci:secret@/x?host=/nowhere", Path::new("/")).unwrap();
    let error = Db::open(&location).map(|_| ()).unwrap_err();
    assert!(matches!(error, DbError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("ci:…@") && !format!("{error:?}").contains("secret"), "{error:?}");
}
