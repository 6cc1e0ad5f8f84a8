//! What the janitor takes, and what it must leave.

use super::model::happen;
use crate::support::database::{Engine, Place, close, on_both_engines};
use crate::support::facts::*;
use serde_json::json;
use signalbox::config::Horizons;
use signalbox::db::janitor::{Swept, sweep};
use signalbox::db::outbox::{self, Delivery, State};
use signalbox::db::{Db, builders, builds, changes, cursors, events, logs, requests};
use signalbox::model::*;

on_both_engines![
    old_builds_go_with_all_that_is_theirs,
    the_newest_finished_build_is_kept,
    old_logs_go_before_their_builds,
    changes_and_boxes_go,
    the_event_log_is_kept_for_the_slowest_target,
    nothing_goes_without_horizons,
];

fn swept(db: &Db, horizons: &Horizons) -> Swept {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sweep(db, horizons)).unwrap()
}

/// One build with a request, a step and a log, finished if `results` says how.
fn one_build(db: &Db, name: &str, number: i64, results: Option<Results>) {
    let id = number + 1;
    let started = Build { requests: vec![id], ..build(name, number) };
    let compile = step(&started, 0, "compile");
    happen(
        db,
        [
            Event::BuildsetSubmitted { buildset: buildset(id, &[name]) },
            Event::RequestSubmitted { request: request(id, id, name) },
            Event::BuildStarted { build: started.clone() },
            Event::StepStarted { build: started.reference(), step: compile },
            Event::LogStarted { build: started.reference(), step: 0, log: log(id, "stdio") },
        ],
    );
    let text = [Segment { channel: Channel::Stdout, bytes: vec![b'x'; 1000] }];
    db.write_blocking(move |conn| logs::append(conn, id, &text)).unwrap();
    if let Some(results) = results {
        happen(db, [Event::BuildFinished { build: ended(&started, results) }]);
    }
}

fn numbers(db: &Db) -> Vec<i64> {
    db.read_blocking(|conn| builds::numbers(conn, "linux", 99)).unwrap()
}

fn rows(place: &Place, table: &str) -> usize {
    place.texts(&format!("SELECT '' AS value FROM {table}")).len()
}

fn old_builds_go_with_all_that_is_theirs(place: &Place) {
    let db = place.open();
    for number in 0..30 {
        // One of the old ones still runs, and a retried one leaves its request waiting.
        let results = match number {
            3 => None,
            4 => Some(Results::Retry),
            _ => Some(Results::Success),
        };
        one_build(&db, "linux", number, results);
    }
    happen(
        &db,
        [
            Event::BuildsetSubmitted { buildset: buildset(90, &["linux"]) },
            Event::RequestSubmitted { request: request(90, 90, "linux") },
            Event::RequestCancelled { request: request(90, 90, "linux") },
        ],
    );
    let horizons = Horizons { builds: Some(5), ..Horizons::default() };
    assert_eq!(swept(&db, &horizons).builds, 24);
    assert_eq!(numbers(&db), [29, 28, 27, 26, 25, 3]);
    assert_eq!(db.read_blocking(builds::running).unwrap().len(), 1);
    for (table, left) in [("steps", 6), ("logs", 6), ("log_chunks", 6), ("build_branches", 6), ("request_builds", 6)] {
        assert_eq!(rows(place, table), left, "{table}");
    }
    // Those of the builds kept, the waiting one, and the cancelled one, which is new.
    assert_eq!((rows(place, "requests"), rows(place, "buildsets")), (8, 8));
    let waiting = db.read_blocking(|conn| requests::pending(conn, None)).unwrap();
    assert_eq!(waiting.iter().map(|request| request.id).collect::<Vec<_>>(), [5]);
    assert_eq!(swept(&db, &horizons), Swept::default());

    // With five newer ones the cancelled request goes too, and no number comes again.
    for number in 90..95 {
        one_build(&db, "linux", number, Some(Results::Success));
    }
    for number in 95..100 {
        happen(
            &db,
            [
                Event::BuildsetSubmitted { buildset: buildset(number + 1, &["linux"]) },
                Event::RequestSubmitted { request: request(number + 1, number + 1, "linux") },
                Event::RequestCancelled { request: request(number + 1, number + 1, "linux") },
            ],
        );
    }
    swept(&db, &Horizons { builds: Some(2), ..Horizons::default() });
    close(db);
    place.execute("DELETE FROM requests; DELETE FROM buildsets; DELETE FROM logs").unwrap();
    let db = place.open();
    assert!(db.read_blocking(|conn| requests::find(conn, 90)).unwrap().is_none());
    let ids = db.ids();
    assert_eq!((ids.build("linux"), ids.log()), (95, 94));
    assert!(ids.request() > 90 && ids.buildset() > 90);
}

fn the_newest_finished_build_is_kept(place: &Place) {
    let db = place.open();
    for number in 0..10 {
        one_build(&db, "linux", number, (number < 7).then_some(Results::Failure));
    }
    swept(&db, &Horizons { builds: Some(2), ..Horizons::default() });
    assert_eq!(numbers(&db), [9, 8, 7, 6]);
    let last = db.read_blocking(|conn| builds::last_finished(conn, &["linux".to_owned()])).unwrap();
    assert_eq!(last[0].number, 6);
}

fn old_logs_go_before_their_builds(place: &Place) {
    let db = place.open();
    for number in 0..20 {
        one_build(&db, "linux", number, Some(Results::Success));
    }
    // One is so long that it takes several jobs.
    let long = logs::prepare(&[Segment { channel: Channel::Stdout, bytes: vec![b'\n'; 20 << 20] }]);
    db.write_blocking(move |conn| logs::append_prepared(conn, 3, &long)).unwrap();
    assert!(rows(place, "log_chunks") > 300);
    let horizons = Horizons { logs: Some(4), builds: Some(50), ..Horizons::default() };
    assert_eq!(swept(&db, &horizons).logs, 16);
    assert_eq!((rows(place, "logs"), rows(place, "log_chunks"), numbers(&db).len()), (4, 4, 20));
    let old = db.read_blocking(|conn| builds::find(conn, "linux", 2)).unwrap().unwrap();
    assert_eq!((old.steps.len(), old.steps[0].logs.len()), (1, 0));
    assert_eq!(swept(&db, &horizons), Swept::default());
    one_build(&db, "linux", 20, Some(Results::Success));
    assert_eq!(swept(&db, &horizons).logs, 1);
    close(db);
    place.execute("DELETE FROM logs").unwrap();
    // Logs that nobody deleted by way of the janitor left no mark.
    assert_eq!(place.open().ids().log(), 18);
}

fn changes_and_boxes_go(place: &Place) {
    let db = place.open();
    happen(&db, (1..=700).map(|number| Event::ChangeAdded { change: change(number) }));
    let boxes = |name: &'static str| {
        (0..300).map(move |number| Event::BuilderEvent {
            happened: BuilderEvent {
                builder: name.to_owned(),
                started: at(number),
                finished: None,
                text: vec!["interrupt".to_owned()],
            },
        })
    };
    happen(&db, boxes("linux").chain(boxes("mac")));
    let horizons = Horizons { changes: Some(100), events: Some(50), ..Horizons::default() };
    let went = swept(&db, &horizons);
    assert_eq!((went.changes, went.builder_events, went.events), (600, 500, 0));
    let left = db.read_blocking(|conn| changes::recent(conn, 999, None)).unwrap();
    assert_eq!((left.len(), left[99].number), (100, 601));
    let left = db.read_blocking(|conn| builders::events(conn, &["mac".into()], at(0), at(999), 999)).unwrap();
    assert_eq!((left.len(), left[49].started), (50, at(250)));
    // Zero is 0.8's word for no horizon.
    let none = Horizons { changes: Some(0), events: Some(0), builds: Some(0), logs: Some(0) };
    assert_eq!(swept(&db, &none), Swept::default());
}

fn the_event_log_is_kept_for_the_slowest_target(place: &Place) {
    let db = place.open();
    let quiet = |_| Event::ConfigReloaded { builders: Vec::new() };
    happen(&db, (0..12_000).map(quiet));
    let delivery = |seq: i64, state: State| Delivery {
        id: format!("push/{seq}"),
        target: "push".to_owned(),
        destination: "x".to_owned(),
        key: None,
        lane: None,
        about: None,
        seq,
        payload: json!(null),
        state,
        attempts: 1,
        created: at(seq),
        last_try: None,
        next_try: at(seq),
        detail: None,
    };
    let deliveries = [
        delivery(5, State::Delivered),
        delivery(6, State::Waiting),
        delivery(7, State::Dead),
        delivery(8, State::Superseded),
        delivery(9, State::Dropped),
        delivery(1_500, State::Delivered),
    ];
    db.write_blocking(move |conn| outbox::insert(conn, &deliveries)).unwrap();
    for (target, seq) in [("push", 1_000), ("mail", 3_000)] {
        db.write_blocking(move |conn| cursors::put(conn, target, seq)).unwrap();
    }
    let horizons = Horizons { events: Some(50), ..Horizons::default() };
    let went = swept(&db, &horizons);
    assert_eq!((went.events, went.deliveries), (1_000, 3));
    assert_eq!(db.read_blocking(events::first).unwrap(), Some(1_001));
    let left = db.read_blocking(|conn| outbox::ledger(conn, None, None, 9)).unwrap();
    assert_eq!(left.iter().map(|delivery| delivery.seq).collect::<Vec<_>>(), [1_500, 7, 6]);

    db.write_blocking(|conn| cursors::put(conn, "push", 12_000)).unwrap();
    assert_eq!(swept(&db, &horizons).events, 1_000);
    assert_eq!(db.read_blocking(events::first).unwrap(), Some(2_001));
    assert_eq!(db.read_blocking(events::last).unwrap(), 12_000);
}

fn nothing_goes_without_horizons(place: &Place) {
    let db = place.open();
    for number in 0..5 {
        one_build(&db, "linux", number, Some(Results::Success));
    }
    assert_eq!(swept(&db, &Horizons::default()), Swept::default());
    assert_eq!(numbers(&db).len(), 5);
}

#[test]
fn an_sqlite_file_shrinks_when_much_has_gone() {
    let place = Place::new(Engine::Sqlite);
    let db = place.open();
    for number in 0..20 {
        one_build(&db, "linux", number, Some(Results::Success));
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let bytes = (0..1 << 20).map(|_| noise()).collect();
        let text = logs::prepare(&[Segment { channel: Channel::Stdout, bytes }]);
        db.write_blocking(move |conn| logs::append_prepared(conn, number + 1, &text)).unwrap();
    }
    swept(&db, &Horizons { logs: Some(1), ..Horizons::default() });
    close(db);
    let size = std::fs::metadata(place.file()).unwrap().len();
    assert!(size < 10 << 20, "{size} bytes");
}
