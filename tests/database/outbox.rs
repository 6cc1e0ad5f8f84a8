//! Deliveries and how far their targets have read.

use crate::support::database::{Place, on_both_engines};
use crate::support::facts::at;
use serde_json::json;
use signalbox::db::outbox::{self, Delivery, State};
use signalbox::db::{Db, cursors};

on_both_engines![
    deliveries_wait_in_order_for_each_destination,
    only_the_newest_of_a_key_waits,
    the_ledger_is_paged,
    dead_ones_wait_again_unless_overtaken,
    what_a_target_had_not_sent_is_dropped,
    cursors_move_on,
];

fn delivery(seq: i64, destination: &str, key: Option<&str>) -> Delivery {
    Delivery {
        id: format!("push/{seq}"),
        target: "push".to_owned(),
        destination: destination.to_owned(),
        key: key.map(str::to_owned),
        lane: Some(format!("lane {seq}")),
        about: Some(format!("the {seq}th")),
        seq,
        payload: json!({"seq": seq}),
        state: State::Waiting,
        attempts: 0,
        created: at(seq),
        last_try: None,
        next_try: at(seq),
        detail: None,
    }
}

fn insert(db: &Db, deliveries: Vec<Delivery>) {
    db.write_blocking(move |conn| outbox::insert(conn, &deliveries)).unwrap();
}

/// The oldest of them, whole.
fn unfinished(db: &Db, destination: &str, limit: i64) -> Vec<Delivery> {
    let read = db.read_blocking(|conn| {
        let waiting = outbox::unfinished(conn, "push", destination, limit)?;
        let ids: Vec<String> = waiting.iter().map(|waiting| waiting.id.clone()).collect();
        let whole = outbox::by_ids(conn, &ids)?;
        let lanes = |waiting: &outbox::Waiting| (waiting.lane.clone(), waiting.key.clone(), waiting.next_try);
        let of_whole = |delivery: &Delivery| (delivery.lane.clone(), delivery.key.clone(), delivery.next_try);
        assert!(waiting.iter().map(lanes).eq(whole.iter().map(of_whole)));
        Ok(whole)
    });
    read.unwrap()
}

fn waiting(db: &Db, destination: &str) -> Vec<i64> {
    unfinished(db, destination, 9).iter().map(|delivery| delivery.seq).collect()
}

fn deliveries_wait_in_order_for_each_destination(place: &Place) {
    let db = place.open();
    insert(&db, (1..=12).map(|seq| delivery(seq, if seq % 2 == 0 { "even" } else { "odd" }, None)).collect());
    let other = Delivery { payload: json!("another"), ..delivery(2, "even", None) };
    insert(&db, vec![other]);
    assert_eq!(waiting(&db, "even"), [2, 4, 6, 8, 10, 12]);
    assert_eq!(unfinished(&db, "even", 1), [delivery(2, "even", None)]);
    assert_eq!(db.read_blocking(|conn| outbox::destinations(conn, "push")).unwrap(), ["even", "odd"]);
    assert_eq!(db.read_blocking(|conn| outbox::backlog(conn, "push")).unwrap(), 12);

    let tried = |seq: i64, state: State| Delivery {
        state,
        attempts: 1,
        last_try: Some(at(50)),
        next_try: at(60),
        detail: Some("503".to_owned()),
        ..delivery(seq, "even", None)
    };
    let states = [State::Delivered, State::Retrying, State::Dead, State::Sending];
    let updated: Vec<Delivery> = [2, 4, 6, 8].into_iter().zip(states).map(|(seq, state)| tried(seq, state)).collect();
    db.write_blocking(move |conn| outbox::update(conn, &updated)).unwrap();
    assert_eq!(waiting(&db, "even"), [4, 8, 10, 12]);
    assert_eq!(db.read_blocking(|conn| outbox::find(conn, "push/6")).unwrap(), Some(tried(6, State::Dead)));
    assert_eq!(db.read_blocking(|conn| outbox::find(conn, "push/99")).unwrap(), None);
    assert_eq!(db.read_blocking(|conn| outbox::backlog(conn, "push")).unwrap(), 10);
}

fn only_the_newest_of_a_key_waits(place: &Place) {
    let db = place.open();
    insert(
        &db,
        vec![
            delivery(1, "x", Some("sha/a")),
            delivery(2, "x", Some("sha/b")),
            delivery(3, "x", None),
            delivery(4, "x", Some("sha/a")),
        ],
    );
    assert_eq!(waiting(&db, "x"), [2, 3, 4]);
    let sending = Delivery { state: State::Sending, ..delivery(4, "x", Some("sha/a")) };
    db.write_blocking(move |conn| outbox::update(conn, std::slice::from_ref(&sending))).unwrap();
    insert(&db, vec![delivery(5, "x", Some("sha/a")), delivery(4, "x", Some("sha/a"))]);
    assert_eq!(waiting(&db, "x"), [2, 3, 4, 5]);
    let first = db.read_blocking(|conn| outbox::find(conn, "push/1")).unwrap().unwrap();
    assert_eq!(first.state, State::Superseded);
}

fn the_ledger_is_paged(place: &Place) {
    let db = place.open();
    insert(&db, (1..=5).map(|seq| delivery(seq, "x", None)).collect());
    insert(&db, vec![Delivery { id: "mail/9".into(), target: "mail".into(), ..delivery(9, "y", None) }]);
    let ledger = |target: Option<&'static str>, before: Option<i64>| -> Vec<i64> {
        let found = db.read_blocking(|conn| outbox::ledger(conn, target, before.map(at), 2)).unwrap();
        found.iter().map(|delivery| delivery.seq).collect()
    };
    assert_eq!(ledger(None, None), [9, 5]);
    assert_eq!(ledger(None, Some(5)), [4, 3]);
    assert_eq!(ledger(Some("push"), None), [5, 4]);
    assert_eq!(ledger(Some("mail"), Some(9)), [0; 0]);
}

fn dead_ones_wait_again_unless_overtaken(place: &Place) {
    let db = place.open();
    let dead = |seq: i64, key| Delivery { state: State::Dead, attempts: 7, ..delivery(seq, "x", key) };
    insert(&db, vec![dead(1, None), dead(2, Some("sha/a")), dead(3, Some("sha/b")), delivery(4, "x", Some("sha/a"))]);
    let seqs = |found: Vec<Delivery>| found.iter().map(|delivery| delivery.seq).collect::<Vec<_>>();
    let dead_now = || seqs(db.read_blocking(|conn| outbox::dead(conn, Some("push"), None, 9)).unwrap());
    assert_eq!(dead_now(), [3, 2, 1]);
    assert_eq!(seqs(db.read_blocking(|conn| outbox::dead(conn, None, Some(at(3)), 1)).unwrap()), [2]);
    for (seq, key, overtaken) in [(1, None, false), (2, Some("sha/a"), true), (3, Some("sha/b"), false)] {
        let it = dead(seq, key);
        assert_eq!(db.read_blocking(move |conn| outbox::is_overtaken(conn, &it)).unwrap(), overtaken, "{seq}");
    }
    db.write_blocking(|conn| outbox::renew(conn, "push/1", at(60))).unwrap();
    assert_eq!((waiting(&db, "x"), dead_now()), (vec![1, 4], vec![3, 2]));
    let renewed = db.read_blocking(|conn| outbox::find(conn, "push/1")).unwrap();
    assert_eq!(renewed, Some(Delivery { created: at(60), next_try: at(60), ..delivery(1, "x", None) }));
}

fn what_a_target_had_not_sent_is_dropped(place: &Place) {
    let db = place.open();
    insert(&db, (1..=5).map(|seq| delivery(seq, "x", None)).collect());
    insert(&db, vec![Delivery { id: "mail/9".into(), target: "mail".into(), ..delivery(9, "y", None) }]);
    let settled = [State::Delivered, State::Dead];
    let settled = settled.into_iter().zip(4..).map(|(state, seq)| Delivery { state, ..delivery(seq, "x", None) });
    let settled: Vec<Delivery> = settled.collect();
    db.write_blocking(move |conn| outbox::update(conn, &settled)).unwrap();
    let drop = |limit| db.write_blocking(move |conn| outbox::drop_unsent(conn, "push", "gone", limit)).unwrap();
    assert_eq!([drop(1), drop(2), drop(2), drop(2)], [1, 2, 1, 0]);
    let ledger = db.read_blocking(|conn| outbox::ledger(conn, None, None, 9)).unwrap();
    let states: Vec<(i64, State)> = ledger.iter().map(|delivery| (delivery.seq, delivery.state)).collect();
    let gone = |seq| (seq, State::Dropped);
    assert_eq!(states, [(9, State::Waiting), gone(5), (4, State::Delivered), gone(3), gone(2), gone(1)]);
    assert_eq!(ledger[1].detail.as_deref(), Some("gone"));
}

fn cursors_move_on(place: &Place) {
    let db = place.open();
    let get = || db.read_blocking(|conn| cursors::get(conn, "push")).unwrap();
    assert_eq!(get(), None);
    for seq in [3, 7] {
        db.write_blocking(move |conn| cursors::put(conn, "push", seq)).unwrap();
        assert_eq!(get(), Some(seq));
    }
    assert_eq!(db.read_blocking(cursors::targets).unwrap(), ["push"]);
    db.write_blocking(|conn| cursors::remove(conn, "push")).unwrap();
    assert_eq!(get(), None);
}
