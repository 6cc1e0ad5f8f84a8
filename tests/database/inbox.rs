//! What change hooks were sent.

use crate::support::database::{Place, on_both_engines};
use crate::support::facts::at;
use signalbox::db::inbox::{self, Packed, Received};
use signalbox::db::{Db, DbError};

on_both_engines![
    requests_are_kept_whole,
    a_delivery_is_accepted_once,
    strangers_do_not_push_out_what_was_accepted,
    deliveries_are_known_for_a_month,
];

fn request(id: i64, status: u16, delivery: Option<&str>) -> Received {
    Received {
        id,
        received: at(id),
        dialect: "github".to_owned(),
        delivery: delivery.map(str::to_owned),
        event: "push".to_owned(),
        status,
        answer: format!("answer {id}"),
        reason: String::new(),
        changes: vec![id, id + 1],
        replay_of: None,
        method: "POST".to_owned(),
        query: "project=x".to_owned(),
        headers: vec![("x-github-event".to_owned(), "push".to_owned())],
        size: 3,
        body: Packed::of(b"a\0\xff"),
    }
}

fn put(db: &Db, received: Received) -> Result<(), DbError> {
    db.write_blocking(move |conn| inbox::put(conn, &received))
}

fn kept(db: &Db, count: i64) -> Vec<i64> {
    let found = db.read_blocking(|conn| inbox::recent(conn, count, None)).unwrap();
    found.iter().map(|received| received.id).collect()
}

fn requests_are_kept_whole(place: &Place) {
    let db = place.open();
    put(&db, request(1, 202, None)).unwrap();
    put(&db, Received { replay_of: Some(1), ..request(2, 403, Some("d")) }).unwrap();
    let found = |id| db.read_blocking(|conn| inbox::find(conn, id)).unwrap();
    assert_eq!(found(1), Some(request(1, 202, None)));
    assert_eq!(found(2), Some(Received { replay_of: Some(1), ..request(2, 403, Some("d")) }));
    assert_eq!(found(2).unwrap().body.open().unwrap(), b"a\0\xff");
    assert_eq!(found(3), None);
    let listed = db.read_blocking(|conn| inbox::recent(conn, 9, Some(2))).unwrap();
    assert_eq!(listed, [Received { body: Default::default(), ..request(1, 202, None) }]);
    assert!(matches!(put(&db, request(1, 202, None)), Err(DbError::Repeated)));
    drop(db);
    assert_eq!(place.open().ids().hook_request(), 3);
}

fn a_delivery_is_accepted_once(place: &Place) {
    let db = place.open();
    put(&db, request(1, 403, Some("d"))).unwrap();
    put(&db, request(2, 202, Some("d"))).unwrap();
    assert!(matches!(put(&db, request(3, 202, Some("d"))), Err(DbError::Repeated)));
    put(&db, Received { dialect: "gitea".to_owned(), ..request(4, 200, Some("d")) }).unwrap();
    let answer =
        |dialect: &str, delivery: &str| db.read_blocking(|conn| inbox::answer_to(conn, dialect, delivery)).unwrap();
    assert_eq!(answer("github", "d"), Some((202, "answer 2".to_owned())));
    assert_eq!(answer("gitea", "d"), Some((200, "answer 4".to_owned())));
    assert_eq!(answer("github", "e"), None);
    // Nothing of the refused one is left.
    assert_eq!(kept(&db, 9), [4, 2, 1]);
}

fn strangers_do_not_push_out_what_was_accepted(place: &Place) {
    let db = place.open();
    put(&db, request(1, 202, None)).unwrap();
    db.write_blocking(|conn| (2..=2_200).try_for_each(|id| inbox::put(conn, &request(id, 403, None)))).unwrap();
    let kept_of = |db: &Db| kept(db, 5_000);
    let kept = kept_of(&db);
    assert_eq!((kept.len(), kept[0], kept[1_000]), (1_001, 2_200, 1));
    // Each kind has an end, whichever number the others have taken.
    db.write_blocking(|conn| {
        let taken = (2_201..=4_600).map(|id| request(id, if id % 2 == 0 { 403 } else { 202 }, None));
        taken.into_iter().try_for_each(|request| inbox::put(conn, &request))
    })
    .unwrap();
    assert_eq!(kept_of(&db).len(), 2_000);
}

fn deliveries_are_known_for_a_month(place: &Place) {
    let db = place.open();
    let day = 86_400;
    put(&db, Received { received: at(0), ..request(1, 202, Some("old")) }).unwrap();
    put(&db, Received { received: at(29 * day), ..request(2, 202, Some("young")) }).unwrap();
    // Looked at with each fiftieth.
    put(&db, Received { received: at(31 * day), ..request(50, 202, Some("new")) }).unwrap();
    let known = |delivery: &str| db.read_blocking(|conn| inbox::answer_to(conn, "github", delivery)).unwrap().is_some();
    assert_eq!((known("old"), known("young"), known("new")), (false, true, true));
}
