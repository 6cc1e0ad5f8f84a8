//! Made-up history looks like history.

use crate::support::database::{Place, on_both_engines};
use crate::support::facts::*;
use signalbox::db::builds::{Order, Selection};
use signalbox::db::{builds, changes, events, fill, logs, requests};
use signalbox::model::*;

on_both_engines![history_is_filled_in, the_end_of_a_long_history_is_like_the_rest];

/// Commits come about every twenty minutes, however many came before.
fn the_end_of_a_long_history_is_like_the_rest(place: &Place) {
    fill(&place.location, &[builder("a")], 20_000, at(0), |_| ()).unwrap();
    let newest = place.open().read_blocking(|conn| changes::recent(conn, 100, None)).unwrap();
    let apart = newest.windows(2).map(|pair| pair[0].when.since(pair[1].when).as_secs() / 60);
    assert!(apart.clone().all(|minutes| (1..40).contains(&minutes)), "{:?}", apart.collect::<Vec<_>>());
    let to_its_end = at(0).since(newest[0].when).as_secs() / 60;
    assert!((15..60).contains(&to_its_end), "{to_its_end} minutes");
}

fn history_is_filled_in(place: &Place) {
    let builders = ["a", "b", "c"].map(builder);
    let mut told = Vec::new();
    fill(&place.location, &builders, 2_500, at(0), |stored| told.push(stored)).unwrap();
    fill(&place.location, &builders, 50, at(86_400), |_| ()).unwrap();
    fill(&place.location, &[], 50, at(86_400), |_| panic!("there is nobody to build")).unwrap();
    assert_eq!(told, [1_000, 2_000, 2_500]);

    let db = place.open();
    let ids = db.ids();
    assert_eq!((ids.build("a"), ids.build("b"), ids.build("c")), (851, 850, 849));
    assert_eq!((ids.request(), ids.change(), ids.buildset()), (2_551, 852, 852));
    assert_eq!(db.read_blocking(builds::running).unwrap(), []);
    assert_eq!(db.read_blocking(|conn| requests::pending(conn, None)).unwrap(), []);
    assert_eq!(db.read_blocking(events::last).unwrap(), 0);

    let all = Selection { order: Order::Finished, with_steps: true, limit: 2_600, ..Selection::default() };
    let all = db.read_blocking(|conn| builds::select(conn, &all)).unwrap();
    assert_eq!(all.len(), 2_550);
    assert!(all.iter().all(|build| build.finished.is_some_and(|finished| finished < at(86_400))));
    assert!(all.windows(2).all(|pair| pair[0].finished >= pair[1].finished));
    assert!(all.iter().any(|build| build.results == Some(Results::Failure)));
    let oldest = all.iter().map(|build| build.started).min().unwrap();
    assert!(oldest < Time(DAY.0 - 10 * 86_400_000_000), "{oldest}");

    let numbers: Vec<i64> = db.read_blocking(|conn| builds::numbers(conn, "b", 999)).unwrap();
    assert_eq!(numbers, (0..850).rev().collect::<Vec<_>>());
    let found = db.read_blocking(|conn| builds::find(conn, "b", 400)).unwrap().unwrap();
    assert_eq!(found.steps.len(), 4);
    let change = found.changes().next().unwrap().clone();
    assert_eq!(db.read_blocking(|conn| changes::find(conn, change.number)).unwrap(), Some(change));
    let request = db.read_blocking(|conn| requests::find(conn, found.requests[0])).unwrap().unwrap();
    assert_eq!((request.builds.as_slice(), request.results), ([400].as_slice(), found.results));

    let log = &found.steps[0].logs[0];
    let text = db.read_blocking(|conn| logs::lines(conn, log.id, 0, i64::MAX, usize::MAX)).unwrap();
    assert_eq!(text.iter().map(|segment| segment.bytes.len() as i64).sum::<i64>(), log.bytes);
    assert_eq!((text[0].channel, text[1].channel), (Channel::Header, Channel::Stdout));

    // What comes next finds its place.
    let next = Build { started: at(90_000), ..build("b", 850) };
    let stored = numbered(1, [Event::BuildStarted { build: next }]);
    db.write_blocking(move |conn| append(conn, &stored)).unwrap();
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "b", -1)).unwrap().unwrap().number, 850);
}
