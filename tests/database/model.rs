//! What each event does to what the pages read.

use crate::support::database::{Place, on_both_engines};
use crate::support::facts::*;
use serde_json::json;
use signalbox::db::builds::{Order, Selection};
use signalbox::db::{Db, builders, builds, changes, events, expectations, logs, requests, workers};
use signalbox::model::*;
use std::sync::Arc;

on_both_engines![
    an_event_is_read_as_it_was_written,
    a_build_is_followed_from_start_to_finish,
    a_build_cut_short_keeps_what_its_last_event_says,
    a_planned_step_may_be_spoken_of_before_it_starts,
    a_whole_life_fits_into_one_transaction,
    requests_wait_are_claimed_and_complete,
    a_retried_build_lets_its_requests_wait_again,
    a_buildset_ends_with_the_worst_of_its_requests,
    expectations_are_averaged,
    builders_come_and_go,
    workers_come_and_go,
    changes_are_paged,
    builds_are_chosen_by_every_criterion,
];

/// Stores these next.
pub fn happen(db: &Db, happened: impl IntoIterator<Item = Event>) {
    let first = db.read_blocking(events::last).unwrap() + 1;
    let stored = numbered(first, happened);
    db.write_blocking(move |conn| append(conn, &stored)).unwrap();
}

fn an_event_is_read_as_it_was_written(place: &Place) {
    let db = place.open();
    let written = numbered(1, (1..=100).map(|number| Event::ChangeAdded { change: change(number) }));
    let again = written.clone();
    db.write_blocking(move |conn| append(conn, &written)).unwrap();
    assert_eq!(db.read_blocking(|conn| events::after(conn, 0, 1000)).unwrap(), again);
    assert_eq!(db.read_blocking(|conn| events::after(conn, 40, 10)).unwrap(), again[40..50]);
    assert_eq!(db.read_blocking(events::last).unwrap(), 100);
    assert_eq!(db.read_blocking(events::first).unwrap(), Some(1));
}

fn a_build_is_followed_from_start_to_finish(place: &Place) {
    let db = place.open();
    let started = Build { steps: vec![Step::new(0, "git"), Step::new(1, "compile")], ..build("linux", 0) };
    let reference = started.reference();
    happen(&db, [Event::BuilderAdded { builder: builder("linux") }, Event::BuildStarted { build: started.clone() }]);
    assert_eq!(db.read_blocking(builds::running).unwrap(), std::slice::from_ref(&started));

    let git = step(&started, 0, "git");
    happen(
        &db,
        [
            Event::StepStarted { build: reference.clone(), step: git.clone() },
            Event::LogStarted { build: reference.clone(), step: 0, log: log(7, "stdio") },
            Event::BuildEtaUpdate { build: reference.clone(), eta: Some(at(90)) },
            Event::StepTextChanged { build: reference.clone(), step: 0, text: vec!["cloning".to_owned()] },
            Event::StepText2Changed { build: reference.clone(), step: 0, text2: vec!["slow".to_owned()] },
            Event::StepEtaUpdate { build: reference.clone(), step: 0, eta: Some(at(5)) },
        ],
    );
    let text = [Segment { channel: Channel::Stdout, bytes: b"one\ntwo".to_vec() }];
    assert_eq!(db.write_blocking(move |conn| logs::append(conn, 7, &text)).unwrap(), (1, 7));

    let found = db.read_blocking(|conn| builds::find(conn, "linux", -1)).unwrap().unwrap();
    assert_eq!(found.eta, Some(at(90)));
    assert_eq!(found.full_text(), ["slow"]);
    assert_eq!(found.steps[0].text, ["cloning"]);
    assert_eq!(found.steps[0].expected_seconds, Some(5.0));
    assert_eq!(found.steps[0].logs, [Log { lines: 1, bytes: 7, ..log(7, "stdio") }]);
    assert_eq!(found.current_step().unwrap().name, "git");

    let mut set = Properties::new();
    set.set("got_revision", "abc", "Git");
    let git = step_ended(&git, 3, Results::Success);
    happen(
        &db,
        [
            Event::LogFinished { build: reference.clone(), step: 0, log: log(7, "stdio") },
            Event::StepFinished { build: reference.clone(), step: git.clone(), properties: set.clone() },
        ],
    );
    let found = db.read_blocking(|conn| builds::find(conn, "linux", 0)).unwrap().unwrap();
    assert_eq!(found.got_revision(""), Some("abc"));
    assert_eq!(found.properties.get("buildnumber"), Some(&json!(0)));
    let (step, log) = db.read_blocking(move |conn| logs::find(conn, &reference, "git", "stdio")).unwrap().unwrap();
    assert_eq!(Step { logs: Vec::new(), ..step.clone() }, git);
    assert_eq!((log.finished, step.logs), (true, vec![log.clone()]));

    let mut compile = Step::new(1, "compile");
    compile.results = Some(Results::Skipped);
    let mut end = ended(&started, Results::Success);
    end.properties.update(&set);
    end.steps = vec![Step { logs: vec![log], ..git }, compile];
    happen(&db, [Event::BuildFinished { build: end.clone() }]);
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "linux", 0)).unwrap(), Some(end.clone()));
    assert_eq!(db.read_blocking(builds::running).unwrap(), []);
    let last = db.read_blocking(|conn| builds::last_finished(conn, &["linux".to_owned()])).unwrap();
    assert_eq!(last, [Arc::new(end)]);
    assert_eq!(db.read_blocking(|conn| builds::numbers(conn, "linux", 5)).unwrap(), [0]);
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "linux", 1)).unwrap(), None);
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "linux", -2)).unwrap(), None);
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "other", 0)).unwrap(), None);
}

fn a_build_cut_short_keeps_what_its_last_event_says(place: &Place) {
    let db = place.open();
    let started = build("linux", 0);
    let running = step(&started, 0, "compile");
    happen(
        &db,
        [
            Event::BuildStarted { build: started.clone() },
            Event::StepStarted { build: started.reference(), step: running.clone() },
            Event::LogStarted { build: started.reference(), step: 0, log: log(1, "stdio") },
        ],
    );
    let mut end = ended(&started, Results::Retry);
    end.steps = vec![step_ended(&running, 9, Results::Retry)];
    happen(&db, [Event::BuildFinished { build: end.clone() }]);
    end.steps[0].logs = vec![Log { finished: true, ..log(1, "stdio") }];
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "linux", 0)).unwrap(), Some(end));
}

fn a_planned_step_may_be_spoken_of_before_it_starts(place: &Place) {
    let db = place.open();
    let mut build = build("linux", 0);
    build.steps = ["git", "compile", "test"].into_iter().zip(0..).map(|(name, n)| Step::new(n, name)).collect();
    build.steps[2].expected_seconds = Some(7.5);
    let reference = build.reference();
    happen(
        &db,
        [
            Event::BuildStarted { build: build.clone() },
            Event::StepTextChanged { build: reference.clone(), step: 1, text: vec!["soon".to_owned()] },
            Event::LogStarted { build: reference.clone(), step: 2, log: log(3, "stdio") },
            Event::LogFinished { build: reference, step: 0, log: log(4, "stdio") },
        ],
    );
    build.steps[1].text = vec!["soon".to_owned()];
    build.steps[2].logs = vec![log(3, "stdio")];
    build.steps[0].logs = vec![Log { finished: true, ..log(4, "stdio") }];
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "linux", 0)).unwrap(), Some(build));
}

/// Whatever is put by is written in an order that later events and references agree with.
fn a_whole_life_fits_into_one_transaction(place: &Place) {
    let db = place.open();
    let mut started = Build { requests: vec![1, 1, 99], ..build("linux", 0) };
    started.steps = vec![Step::new(0, "git"), Step::new(1, "compile")];
    let reference = started.reference();
    let git = step(&started, 0, "git");
    let git_ended = step_ended(&git, 3, Results::Success);
    let mut end = ended(&started, Results::Success);
    end.steps = vec![git_ended.clone(), Step::new(1, "compile")];
    happen(
        &db,
        [
            Event::BuildsetSubmitted { buildset: buildset(1, &["linux"]) },
            Event::RequestSubmitted { request: request(1, 1, "linux") },
            Event::BuildStarted { build: started },
            Event::StepStarted { build: reference.clone(), step: git },
            Event::LogStarted { build: reference.clone(), step: 0, log: log(7, "stdio") },
            Event::LogFinished { build: reference.clone(), step: 0, log: log(7, "stdio") },
            Event::StepFinished { build: reference, step: git_ended, properties: Properties::new() },
            Event::BuildFinished { build: end.clone() },
        ],
    );
    end.steps[0].logs = vec![Log { finished: true, ..log(7, "stdio") }];
    assert_eq!(db.read_blocking(|conn| builds::find(conn, "linux", 0)).unwrap(), Some(end));
    let request = db.read_blocking(|conn| requests::find(conn, 1)).unwrap().unwrap();
    assert_eq!((request.builds, request.results), (vec![0], Some(Results::Success)));
    let buildset = db.read_blocking(|conn| requests::buildset(conn, 1)).unwrap().unwrap();
    assert_eq!(buildset.results, Some(Results::Success));
    assert_eq!(db.read_blocking(|conn| expectations::of(conn, "linux")).unwrap().keys().collect::<Vec<_>>(), ["git"]);
}

fn requests_wait_are_claimed_and_complete(place: &Place) {
    let db = place.open();
    happen(
        &db,
        [
            Event::BuildsetSubmitted { buildset: buildset(1, &["linux", "mac"]) },
            Event::RequestSubmitted { request: request(2, 1, "mac") },
            Event::RequestSubmitted { request: request(1, 1, "linux") },
        ],
    );
    let ids = |builder: Option<&'static str>| -> Vec<i64> {
        db.read_blocking(|conn| requests::pending(conn, builder)).unwrap().iter().map(|request| request.id).collect()
    };
    assert_eq!(ids(None), [1, 2]);
    assert_eq!(ids(Some("mac")), [2]);
    assert_eq!(ids(Some("none")), [0; 0]);
    assert_eq!(db.read_blocking(|conn| requests::find(conn, 2)).unwrap(), Some(request(2, 1, "mac")));

    let started = Build { requests: vec![2, 99], ..build("mac", 4) };
    happen(&db, [Event::BuildStarted { build: started.clone() }]);
    assert_eq!(ids(None), [1]);
    assert_eq!(db.read_blocking(|conn| requests::find(conn, 2)).unwrap().unwrap().builds, [4]);

    happen(&db, [Event::BuildFinished { build: ended(&started, Results::Warnings) }]);
    let done = db.read_blocking(|conn| requests::find(conn, 2)).unwrap().unwrap();
    assert_eq!((done.results, done.complete_at), (Some(Results::Warnings), Some(at(4 * 60 + 30))));
    assert_eq!(ids(None), [1]);
    assert_eq!(db.read_blocking(|conn| requests::buildset(conn, 1)).unwrap(), Some(buildset(1, &["linux", "mac"])));
    assert_eq!(db.read_blocking(|conn| requests::recent(conn, "mac", 5, None)).unwrap(), [done]);
}

fn a_retried_build_lets_its_requests_wait_again(place: &Place) {
    let db = place.open();
    let started = Build { requests: vec![1], ..build("linux", 0) };
    happen(
        &db,
        [
            Event::BuildsetSubmitted { buildset: buildset(1, &["linux"]) },
            Event::RequestSubmitted { request: request(1, 1, "linux") },
            Event::BuildStarted { build: started.clone() },
            Event::BuildFinished { build: ended(&started, Results::Retry) },
        ],
    );
    let waiting = db.read_blocking(|conn| requests::pending(conn, Some("linux"))).unwrap();
    assert_eq!((waiting[0].builds.as_slice(), waiting[0].complete_at), ([0].as_slice(), None));

    let again = Build { requests: vec![1], ..build("linux", 1) };
    happen(
        &db,
        [Event::BuildStarted { build: again.clone() }, Event::BuildFinished { build: ended(&again, Results::Success) }],
    );
    let done = db.read_blocking(|conn| requests::find(conn, 1)).unwrap().unwrap();
    assert_eq!((done.builds.as_slice(), done.results), ([0, 1].as_slice(), Some(Results::Success)));
}

fn a_buildset_ends_with_the_worst_of_its_requests(place: &Place) {
    let db = place.open();
    let linux = Build { requests: vec![1], ..build("linux", 0) };
    let mac = Build { requests: vec![2], ..build("mac", 0) };
    happen(
        &db,
        [
            Event::BuildsetSubmitted { buildset: buildset(1, &["linux", "mac"]) },
            Event::RequestSubmitted { request: request(1, 1, "linux") },
            Event::RequestSubmitted { request: request(2, 1, "mac") },
            Event::BuildStarted { build: linux.clone() },
            Event::BuildStarted { build: mac.clone() },
            Event::BuildFinished { build: ended(&mac, Results::Failure) },
            Event::BuildFinished { build: ended(&linux, Results::Success) },
        ],
    );
    let done = db.read_blocking(|conn| requests::complete_buildsets(conn, "quick", 0, 9)).unwrap();
    assert_eq!((done.len(), done[0].results, done[0].complete_at), (1, Some(Results::Failure), Some(at(30))));
    assert_eq!(db.read_blocking(|conn| requests::complete_buildsets(conn, "quick", 1, 9)).unwrap(), []);

    happen(
        &db,
        [
            Event::BuildsetSubmitted { buildset: buildset(2, &["linux"]) },
            Event::RequestSubmitted { request: request(3, 2, "linux") },
            Event::RequestCancelled { request: request(3, 2, "linux") },
        ],
    );
    let done = db.read_blocking(|conn| requests::complete_buildsets(conn, "quick", 1, 9)).unwrap();
    assert_eq!((done[0].id, done[0].results), (2, Some(Results::Cancelled)));
    assert_eq!(db.read_blocking(|conn| requests::pending(conn, None)).unwrap(), []);
}

fn expectations_are_averaged(place: &Place) {
    let db = place.open();
    let finish = |number: i64, seconds: i64, results: Results| {
        let started = build("linux", number);
        let end = ended(&started, results);
        let steps = vec![step_ended(&step(&started, 0, "compile"), seconds, results)];
        happen(&db, [Event::BuildStarted { build: started }, Event::BuildFinished { build: Build { steps, ..end } }]);
        db.read_blocking(|conn| expectations::of(conn, "linux")).unwrap().get("compile").copied()
    };
    assert_eq!(finish(0, 99, Results::Failure), None);
    assert_eq!(finish(1, 10, Results::Success), Some(10.0));
    assert_eq!(finish(2, 20, Results::Success), Some(15.0));
    assert_eq!(finish(3, 99, Results::Exception), Some(15.0));
    assert_eq!(finish(4, 25, Results::Success), Some(20.0));
}

fn builders_come_and_go(place: &Place) {
    let db = place.open();
    let names = || -> Vec<String> {
        db.read_blocking(builders::all).unwrap().into_iter().map(|builder| builder.name).collect()
    };
    happen(&db, ["b10", "b2"].map(|name| Event::BuilderAdded { builder: builder(name) }));
    assert_eq!(names(), ["b2", "b10"]);
    assert_eq!(db.read_blocking(|conn| builders::find(conn, "b2")).unwrap(), Some(builder("b2")));

    happen(
        &db,
        [
            Event::BuildStarted { build: build("b2", 0) },
            Event::BuilderChangedState { builder: "b10".to_owned(), state: BigState::Building },
            Event::BuilderRemoved { builder: "b2".to_owned() },
        ],
    );
    assert_eq!(names(), ["b10"]);
    assert_eq!(db.read_blocking(|conn| builders::find(conn, "b2")).unwrap(), None);
    assert_eq!(db.read_blocking(builders::all).unwrap()[0].state, BigState::Building);
    assert!(db.read_blocking(|conn| builds::find(conn, "b2", 0)).unwrap().is_some());

    let other = Builder { tags: vec!["slow".to_owned()], workers: vec!["w3".to_owned()], ..builder("b2") };
    happen(&db, [Event::BuilderAdded { builder: other.clone() }]);
    assert_eq!(db.read_blocking(|conn| builders::find(conn, "b2")).unwrap(), Some(other));

    let began =
        BuilderEvent { builder: "b2".to_owned(), started: at(50), finished: None, text: vec!["pinging".into()] };
    let over = BuilderEvent { finished: Some(at(51)), text: vec!["ping success".into()], ..began.clone() };
    let read = || db.read_blocking(|conn| builders::events(conn, &["b2".to_owned()], at(50), at(60), 9)).unwrap();
    happen(&db, [Event::BuilderEvent { happened: began.clone() }]);
    assert_eq!(read(), [began.into()]);
    happen(&db, [Event::BuilderEvent { happened: over.clone() }]);
    assert_eq!(read(), [over.into()]);
}

fn workers_come_and_go(place: &Place) {
    let db = place.open();
    happen(
        &db,
        [
            Event::BuilderAdded { builder: builder("linux") },
            Event::BuilderAdded { builder: Builder { workers: vec!["w2".to_owned()], ..builder("mac") } },
            Event::SlaveConnected { slave: worker("w1") },
            Event::SlavePaused { slave: "w1".to_owned() },
        ],
    );
    let found = db.read_blocking(|conn| workers::find(conn, "w1")).unwrap().unwrap();
    assert_eq!(found, Worker { connected: true, paused: true, last_heard: Some(at(3)), ..worker("w1") });

    happen(
        &db,
        [
            Event::SlaveUnpaused { slave: "w1".to_owned() },
            Event::SlaveDisconnected { slave: "w1".to_owned() },
            Event::SlaveConnected { slave: worker("w1") },
        ],
    );
    let all = db.read_blocking(workers::all).unwrap();
    assert_eq!((all.len(), all[0].connected, all[0].paused), (1, true, false));

    // One paused before it was first seen is paused when it comes, whatever it says.
    let other = db.read_blocking(|conn| workers::find(conn, "w9")).unwrap();
    assert_eq!(other, None);
    happen(&db, [Event::SlavePaused { slave: "w9".to_owned() }, Event::SlaveConnected { slave: worker("w9") }]);
    let other = db.read_blocking(|conn| workers::find(conn, "w9")).unwrap().unwrap();
    assert_eq!((other.connected, other.paused), (true, true));
    assert_eq!(db.read_blocking(|conn| workers::connects(conn, "w1", at(0))).unwrap(), 2);
    assert_eq!(db.read_blocking(|conn| workers::connects(conn, "w1", at(4))).unwrap(), 1);

    let boxes = db.read_blocking(|conn| builders::events(conn, &["linux".to_owned()], at(0), at(100), 9)).unwrap();
    let texts: Vec<_> = boxes.iter().map(|event| (event.builder.as_str(), event.text.join(" "))).collect();
    let linux = |text: &str| ("linux", text.to_owned());
    assert_eq!(texts, [linux("connect w1"), linux("disconnect w1"), linux("connect w1")]);
}

fn changes_are_paged(place: &Place) {
    let db = place.open();
    happen(&db, (1..=10).map(|number| Event::ChangeAdded { change: change(number) }));
    let numbers = |changes: Vec<Change>| -> Vec<i64> { changes.iter().map(|change| change.number).collect() };
    assert_eq!(numbers(db.read_blocking(|conn| changes::recent(conn, 3, None)).unwrap()), [10, 9, 8]);
    assert_eq!(numbers(db.read_blocking(|conn| changes::recent(conn, 3, Some(8))).unwrap()), [7, 6, 5]);
    assert_eq!(numbers(db.read_blocking(|conn| changes::after(conn, 7, 2)).unwrap()), [8, 9]);
    assert_eq!(numbers(db.read_blocking(|conn| changes::between(conn, at(3), at(6), 2)).unwrap()), [5, 4]);
    let mut expected = change(4);
    expected.comments = expected.comments.replace('\0', "\u{fffd}");
    assert_eq!(db.read_blocking(|conn| changes::find(conn, 4)).unwrap(), Some(expected));
    assert_eq!(db.read_blocking(|conn| changes::find(conn, 11)).unwrap(), None);
}

fn builds_are_chosen_by_every_criterion(place: &Place) {
    let db = place.open();
    // Three builders take turns; every third build of each is on a branch of its own; the last is still running.
    for number in 0..30 {
        for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
            let branch = if number % 3 == 0 { None } else { Some("main") };
            let started = Build {
                started: at(number * 60 + place as i64),
                worker: format!("w{}", (number + place as i64) % 2),
                source_stamps: vec![stamp(branch), stamp(Some("lib"))],
                ..build(name, number)
            };
            happen(&db, [Event::BuildStarted { build: started.clone() }]);
            if number < 29 {
                happen(&db, [Event::BuildFinished { build: ended(&started, Results::Success) }]);
            }
        }
    }
    let chosen = |selection: &Selection| -> Vec<String> {
        let found = db.read_blocking(|conn| builds::select(conn, selection)).unwrap();
        found.iter().map(|build| format!("{}{}", build.builder, build.number)).collect()
    };
    let only = |name: &str| vec![name.to_owned()];
    let basic = Selection { limit: 4, ..Selection::default() };

    assert_eq!(chosen(&basic), ["c29", "b29", "a29", "c28"]);
    assert_eq!(chosen(&Selection { builders: only("b"), ..basic.clone() }), ["b29", "b28", "b27", "b26"]);
    let page = Selection { builders: only("b"), before_number: Some(27), ..basic.clone() };
    assert_eq!(chosen(&page), ["b26", "b25", "b24", "b23"]);
    let two = Selection { builders: vec!["c".into(), "a".into(), "none".into()], ..basic.clone() };
    assert_eq!(chosen(&two), ["c29", "a29", "c28", "a28"]);
    assert_eq!(chosen(&Selection { finished: Some(false), ..basic.clone() }), ["c29", "b29", "a29"]);
    let running_a = Selection { finished: Some(false), builders: only("a"), ..basic.clone() };
    assert_eq!(chosen(&running_a), ["a29"]);
    assert_eq!(chosen(&Selection { finished: Some(true), ..basic.clone() }), ["c28", "b28", "a28", "c27"]);
    assert_eq!(chosen(&Selection { order: Order::Finished, ..basic.clone() }), ["c28", "b28", "a28", "c27"]);
    let worker = Selection { worker: Some("w1".into()), order: Order::Finished, ..basic.clone() };
    assert_eq!(chosen(&worker), ["b28", "c27", "a27", "b26"]);

    let null = Selection { branches: vec![None], ..basic.clone() };
    assert_eq!(chosen(&null), ["c27", "b27", "a27", "c24"]);
    let null_a = Selection { builders: only("a"), order: Order::Finished, ..null.clone() };
    assert_eq!(chosen(&null_a), ["a27", "a24", "a21", "a18"]);
    let both = Selection { branches: vec![None, Some("lib".into()), Some("nowhere".into())], ..basic.clone() };
    assert_eq!(chosen(&both), ["c29", "b29", "a29", "c28"]);
    let nowhere = Selection { branches: vec![Some("nowhere".into())], ..basic.clone() };
    assert_eq!(chosen(&nowhere), [""; 0]);
    let running_main = Selection { finished: Some(false), branches: vec![Some("main".into())], ..basic.clone() };
    assert_eq!(chosen(&running_main), ["c29", "b29", "a29"]);

    let window = Selection { from: Some(at(120)), to: Some(at(181)), limit: 99, ..Selection::default() };
    assert_eq!(chosen(&window), ["a3", "c2", "b2", "a2"]);
    let window_b = Selection { builders: only("b"), ..window.clone() };
    assert_eq!(chosen(&window_b), ["b2"]);
    let ends = Selection { order: Order::Finished, from: Some(at(150)), to: Some(at(152)), limit: 9, ..basic.clone() };
    assert_eq!(chosen(&ends), ["b2", "a2"]);
    assert_eq!(chosen(&Selection { limit: 0, ..basic.clone() }), [""; 0]);
    assert_eq!(chosen(&Selection { limit: 100, ..basic }).len(), 90);
}
