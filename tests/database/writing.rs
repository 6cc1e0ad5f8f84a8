//! The writing thread: groups, order, and jobs that fail beside jobs that do not.

use crate::support::database::{Engine, Place, close, on_both_engines};
use crate::support::facts::*;
use crate::support::wait::eventually;
use serde_json::json;
use signalbox::db::state::{self, Put};
use signalbox::db::{Conn, Db, DbError, Location, events};
use signalbox::model::Event;
use std::sync::mpsc;
use tokio::runtime::{Builder, Runtime};

on_both_engines![
    jobs_run_in_call_order,
    what_is_queued_together_is_committed_together,
    a_failing_job_costs_nobody_else_anything,
    a_panicking_job_costs_nobody_else_anything,
    work_is_done_though_nobody_waits,
    closing_commits_what_is_queued,
    readers_cannot_write,
    state_is_replaced,
];

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn put(conn: &mut Conn, key: &str, value: i64) -> Result<(), DbError> {
    state::put(conn, &Put { object: "test".to_owned(), key: key.to_owned(), value: json!(value) })
}

fn get(db: &Db, key: &str) -> Option<serde_json::Value> {
    db.read_blocking(|conn| state::get(conn, "test", key)).unwrap()
}

/// Holds the writer in a job of its own until told to go on, so that what is queued meanwhile is one group.
struct Gate {
    open: mpsc::Sender<()>,
}

impl Gate {
    fn shut(db: &Db) -> Gate {
        let (open, opened) = mpsc::channel::<()>();
        let (arrived, here) = mpsc::channel();
        drop(db.write(move |_| {
            arrived.send(()).ok();
            opened.recv().ok();
            Ok(())
        }));
        here.recv().unwrap();
        Gate { open }
    }

    fn open(self) {
        // A sender that is gone opens the gate for good, should its job be run again.
        drop(self.open);
    }
}

/// Long before the writer would have to, and while it is open.
#[actix::test]
async fn what_is_committed_is_moved_out_of_the_log_of_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.sqlite");
    let db = Db::open(&Location::Sqlite(file.clone())).unwrap();
    let length = || std::fs::metadata(&file).unwrap().len();
    let before = length();
    for key in 0..4_000 {
        drop(db.write(move |conn| put(conn, &key.to_string(), key)));
    }
    eventually(|| length() > before).await;
    db.close().await;
}

fn jobs_run_in_call_order(place: &Place) {
    let db = place.open();
    let jobs: Vec<_> = (0..500)
        .map(|number| {
            db.write(move |conn| {
                let before = state::get(conn, "test", "count")?.unwrap_or_default();
                put(conn, "count", number)?;
                Ok((number, before))
            })
        })
        .collect();
    runtime().block_on(async {
        for (place, job) in jobs.into_iter().enumerate() {
            let (number, before) = job.await.unwrap();
            assert_eq!(number, place as i64);
            assert_eq!(before, if number == 0 { json!(null) } else { json!(number - 1) });
        }
    });
}

fn what_is_queued_together_is_committed_together(place: &Place) {
    let db = place.open();
    let gate = Gate::shut(&db);
    let first = db.write(|conn| put(conn, "first", 1));
    let reader = db.clone();
    // While the last of them runs, nobody else can see what the first has done.
    let second = db.write(move |conn| {
        put(conn, "second", 2)?;
        Ok((state::get(conn, "test", "first")?, get(&reader, "first")))
    });
    gate.open();
    let (inside, outside) = runtime().block_on(async {
        first.await.unwrap();
        second.await.unwrap()
    });
    assert_eq!((inside, outside), (Some(json!(1)), None));
    assert_eq!((get(&db, "first"), get(&db, "second")), (Some(json!(1)), Some(json!(2))));
}

/// Queues good, bad, good as one group; answers with what became of the bad one.
fn good_bad_good<F>(db: &Db, bad: F) -> Result<(), DbError>
where
    F: FnMut(&mut Conn) -> Result<(), DbError> + Send + 'static,
{
    let gate = Gate::shut(db);
    let before = db.write(|conn| put(conn, "before", 1));
    let bad = db.write(bad);
    let after = db.write(|conn| {
        put(conn, "after", 2)?;
        state::get(conn, "test", "bad")
    });
    gate.open();
    runtime().block_on(async {
        before.await.unwrap();
        let outcome = bad.await;
        assert_eq!(after.await.unwrap(), None);
        outcome
    })
}

fn a_failing_job_costs_nobody_else_anything(place: &Place) {
    let db = place.open();
    let unknown = numbered(1, [Event::BuildEtaUpdate { build: build("linux", 7).reference(), eta: None }]);
    let outcome = good_bad_good(&db, move |conn| {
        put(conn, "bad", 3)?;
        append(conn, &unknown)
    });
    assert!(matches!(outcome, Err(DbError::NotFound { .. })), "{outcome:?}");
    assert_eq!((get(&db, "before"), get(&db, "after")), (Some(json!(1)), Some(json!(2))));
    assert_eq!(get(&db, "bad"), None);
    assert_eq!(db.read_blocking(events::last).unwrap(), 0);

    // One the engine refuses is no different.
    let twice = numbered(1, [Event::ChangeAdded { change: change(1) }]);
    let mut again = twice.clone();
    again.extend(twice);
    let outcome = good_bad_good(&db, move |conn| {
        put(conn, "bad", 3)?;
        append(conn, &again)
    });
    assert!(matches!(outcome, Err(DbError::Query(_))), "{outcome:?}");
    assert_eq!(get(&db, "bad"), None);
    assert_eq!(db.trouble(), None);
}

fn a_panicking_job_costs_nobody_else_anything(place: &Place) {
    let db = place.open();
    let outcome = good_bad_good(&db, |conn| {
        put(conn, "bad", 3)?;
        panic!("as the test wants it");
    });
    assert!(matches!(&outcome, Err(DbError::Panicked(text)) if text == "as the test wants it"), "{outcome:?}");
    assert_eq!((get(&db, "before"), get(&db, "after")), (Some(json!(1)), Some(json!(2))));
    assert_eq!(get(&db, "bad"), None);
    assert_eq!(db.trouble(), None);

    let outcome: Result<(), DbError> = db.read_blocking(|_| Err(DbError::Closed));
    assert!(outcome.is_err());
    let panicked: Result<(), DbError> = runtime().block_on(db.read(|_| panic!("as the test wants it")));
    assert!(matches!(panicked, Err(DbError::Panicked(_))));
    // Every reading connection is still there.
    for _ in 0..10 {
        assert_eq!(get(&db, "after"), Some(json!(2)));
    }
}

fn work_is_done_though_nobody_waits(place: &Place) {
    let db = place.open();
    drop(db.write(|conn| put(conn, "key", 1)));
    db.write_blocking(|_| Ok(())).unwrap();
    assert_eq!(get(&db, "key"), Some(json!(1)));
}

fn closing_commits_what_is_queued(place: &Place) {
    let db = place.open();
    let gate = Gate::shut(&db);
    let queued = db.write(|conn| put(conn, "key", 1));
    gate.open();
    close(db.clone());
    runtime().block_on(queued).unwrap();
    let late = db.write_blocking(|conn| put(conn, "key", 2));
    assert!(matches!(late, Err(DbError::Closed)), "{late:?}");
    runtime().block_on(db.close());
    drop(db);
    assert_eq!(get(&place.open(), "key"), Some(json!(1)));
}

fn readers_cannot_write(place: &Place) {
    let db = place.open();
    let outcome = db.read_blocking(|conn| put(conn, "key", 1));
    assert!(matches!(outcome, Err(DbError::Query(_))), "{outcome:?}");
    assert_eq!(get(&db, "key"), None);
    if place.engine == Engine::Sqlite {
        assert_eq!(place.texts("SELECT journal_mode AS value FROM pragma_journal_mode"), ["wal"]);
    }
}

fn state_is_replaced(place: &Place) {
    let db = place.open();
    for value in [1, 2] {
        db.write_blocking(move |conn| put(conn, "key", value)).unwrap();
    }
    assert_eq!((get(&db, "key"), get(&db, "other")), (Some(json!(2)), None));
}
