//! The user database.

use crate::support::database::{Place, on_both_engines};
use crate::support::facts::change;
use actix::Actor;
use signalbox::clock::Clock;
use signalbox::db::{Beside, Db, changes, users};
use signalbox::hub::{Hub, StatusHub};
use signalbox::model::*;
use std::collections::BTreeMap;

on_both_engines![
    users_are_kept_with_their_attributes,
    a_uid_is_never_given_twice,
    an_author_is_known_once,
    a_change_and_its_author_are_stored_together_or_not_at_all,
    mail_finds_whom_it_is_for,
];

const ANN: &str = "Ann <ann@example.org>";

fn user(uid: i64, identifier: &str, attributes: &[(&str, &str)]) -> User {
    User {
        uid,
        identifier: identifier.to_owned(),
        attributes: attributes.iter().map(|(kind, value)| ((*kind).to_owned(), (*value).to_owned())).collect(),
        ..User::default()
    }
}

fn put(db: &Db, user: &User) -> bool {
    let user = user.clone();
    db.write_blocking(move |conn| users::put(conn, &user)).is_ok()
}

fn all(db: &Db) -> Vec<User> {
    db.read_blocking(|conn| users::after(conn, 0, 1_000)).unwrap()
}

fn users_are_kept_with_their_attributes(place: &Place) {
    let db = place.open();
    let ann = User {
        bb_username: Some("ann".to_owned()),
        bb_password: Some("hash".to_owned()),
        ..user(7, "ann", &[("git", ANN), ("svn", "ann")])
    };
    assert!(put(&db, &ann) && put(&db, &ann), "done again it changes nothing");
    let find = |name: &str| db.read_blocking(|conn| users::find(conn, name)).unwrap();
    let by_username = |name: &str| db.read_blocking(|conn| users::by_username(conn, name)).unwrap();
    assert_eq!((find("ann"), by_username("ann")), (Some(ann.clone()), Some(ann.clone())));
    assert_eq!(db.read_blocking(|conn| users::by_uid(conn, 7)).unwrap(), Some(ann.clone()));

    assert!(!put(&db, &user(8, "ann", &[])), "an identifier is one user's");
    assert!(!put(&db, &User { bb_username: Some("ann".to_owned()), ..user(8, "bob", &[]) }), "and so is a login");
    assert_eq!(all(&db), [ann]);
    let renamed = user(7, "Ann", &[("email", "ann@example.org")]);
    assert!(put(&db, &renamed));
    assert_eq!((find("ann"), by_username("ann"), all(&db)), (None, None, vec![renamed]));

    for uid in 10..15 {
        assert!(put(&db, &user(uid, &format!("u{uid}"), &[("svn", "shared"), ("irc", "x")])));
    }
    let some = db.read_blocking(|conn| users::after(conn, 10, 2)).unwrap();
    assert_eq!(some.iter().map(|user| user.uid).collect::<Vec<_>>(), [11, 12]);
    assert_eq!(some[1].attributes, BTreeMap::from([("irc".into(), "x".into()), ("svn".into(), "shared".into())]));
    assert!(db.write_blocking(|conn| users::remove(conn, 12)).unwrap());
    assert!(!db.write_blocking(|conn| users::remove(conn, 12)).unwrap());
    assert_eq!(all(&db).len(), 5);
    assert_eq!(place.texts("SELECT kind AS value FROM user_attributes WHERE uid = 12"), [""; 0]);
}

fn a_uid_is_never_given_twice(place: &Place) {
    let db = place.open();
    let uid = db.ids().user();
    assert_eq!((uid, db.ids().user()), (1, 2));
    assert!(put(&db, &user(2, "ann", &[])));
    db.write_blocking(|conn| users::remove(conn, 2)).unwrap();
    crate::support::database::close(db);
    assert_eq!(place.open().ids().user(), 3);
}

fn an_author_is_known_once(place: &Place) {
    let db = place.open();
    let lacking = |vcs: Vcs, who: &str| db.read_blocking(|conn| users::lacking(conn, vcs, who)).unwrap();
    assert_eq!(lacking(Vcs::Git, ANN), Some(user(0, ANN, &[("git", ANN), ("email", "ann@example.org")])));
    assert!(put(&db, &User { uid: 1, ..lacking(Vcs::Git, ANN).unwrap() }));
    assert_eq!(lacking(Vcs::Git, ANN), None);
    // The same person by another version control is told by the identifier.
    let both = user(1, ANN, &[("git", ANN), ("hg", ANN), ("email", "ann@example.org")]);
    assert_eq!(lacking(Vcs::Hg, ANN), Some(both));

    // Somebody made by a person: what is missing comes, what is there stays.
    assert!(put(&db, &user(2, "bob@example.org", &[("email", "bob@elsewhere.org")])));
    let bob = user(2, "bob@example.org", &[("email", "bob@elsewhere.org"), ("svn", "bob@example.org")]);
    assert_eq!(lacking(Vcs::Svn, "bob@example.org"), Some(bob));
    assert!(put(&db, &user(3, "eve", &[("svn", "evelyn")])));
    assert_eq!((lacking(Vcs::Svn, "eve"), lacking(Vcs::Svn, "evelyn")), (None, None));
    for who in ["", "  ", "<>", "a\r\nb", "a\0b", &"x".repeat(100_000)] {
        assert_eq!(lacking(Vcs::Git, who), None, "{who:.20}");
    }
    let longest = "ö".repeat(User::LONGEST);
    assert!(put(&db, &User { uid: 4, ..lacking(Vcs::Git, &longest).unwrap() }));
    assert_eq!(lacking(Vcs::Git, &longest), None);
}

/// Whether both of them are there, for one author each.
fn a_change_and_its_author_are_stored_together_or_not_at_all(place: &Place) {
    actix::System::new().block_on(async {
        let (db, clock) = (place.open(), Clock::system());
        let hub = Hub::new(StatusHub::new(db.clone(), clock).start());
        let record = |number: i64, user: User| {
            let change = Event::ChangeAdded { change: change(number) };
            let told = Event::UserChanged { user: user.clone() };
            hub.record_all(vec![change, told], vec![Beside::User(user)])
        };
        record(1, user(1, ANN, &[("git", ANN)])).await.unwrap();
        // The second part of the transaction fails: its identifier is taken.
        record(2, user(2, ANN, &[("git", ANN)])).await.unwrap_err();
        // So does the first: there is a change of this number.
        record(1, user(3, "bob", &[])).await.unwrap_err();
        let numbers = db.read(|conn| changes::recent(conn, 10, None)).await.unwrap();
        assert_eq!(numbers.iter().map(|change| change.number).collect::<Vec<_>>(), [1]);
        assert_eq!(all(&db), [user(1, ANN, &[("git", ANN)])]);
        db.close().await;
    });
}

fn mail_finds_whom_it_is_for(place: &Place) {
    let db = place.open();
    for user in [
        user(1, "first", &[("email", "ann@example.org"), ("irc", "ann")]),
        user(2, "second", &[("hg", "ann@example.org"), ("svn", "ann")]),
        user(3, "third", &[("git", "ann@example.org")]),
        user(4, "ann", &[]),
        user(5, "bb", &[("bb_username", "bob")]),
    ] {
        assert!(put(&db, &user));
    }
    let uid = |who: &str| db.read_blocking(|conn| users::of_author(conn, who)).unwrap().map(|user| user.uid);
    assert_eq!(uid("ann@example.org"), Some(2), "a version control goes before an address, the oldest first");
    assert_eq!(uid("ann"), Some(2), "an identifier counts as much");
    assert_eq!((uid("third"), uid("bob"), uid("")), (Some(3), None, None));
    db.write_blocking(|conn| {
        users::remove(conn, 2)?;
        users::remove(conn, 3)
    })
    .unwrap();
    assert_eq!((uid("ann@example.org"), uid("ann")), (Some(1), Some(4)));
}
