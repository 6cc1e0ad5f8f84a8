//! What each builder did lately is kept in memory, and nobody can tell.

use super::model::happen;
use crate::support::database::{Place, close, on_both_engines};
use crate::support::facts::*;
use signalbox::config::Horizons;
use signalbox::db::builds::{self, Order, Selection};
use signalbox::db::janitor::sweep;
use signalbox::db::{Conn, Db, DbError, builders};
use signalbox::model::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

on_both_engines![
    after_every_event_it_is_as_stored,
    what_the_janitor_takes_is_gone,
    every_read_is_of_one_moment,
    a_read_that_began_before_sees_what_was,
];

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What pages read of builders, in one order.
#[derive(Debug, PartialEq)]
struct Seen {
    listed: Vec<Arc<Builder>>,
    last: Vec<Arc<Build>>,
    running: Vec<Arc<Build>>,
    selected: Vec<Vec<Arc<Build>>>,
}

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

/// Few and many, of any time and of a window, by start and by finish.
fn selections() -> Vec<Selection> {
    let all = Selection { builders: names(), with_steps: true, to: Some(Time(i64::MAX)), ..Selection::default() };
    let long = [1, 7, 60, 1_000].map(|limit| Selection { limit, ..all.clone() });
    let late = Selection { from: Some(at(3_000)), limit: 1_000, ..all.clone() };
    let window = Selection { from: Some(at(500)), to: Some(at(900)), limit: 9, ..all.clone() };
    let one = Selection { builders: vec!["b".to_owned()], limit: 20, ..all.clone() };
    let ended =
        Selection { order: Order::Finished, finished: Some(true), begun_before: Some(at(3_000)), ..late.clone() };
    let recent = Selection { order: Order::Finished, finished: Some(true), limit: 12, ..all };
    long.into_iter().chain([late, window, one, ended, recent]).collect()
}

fn by_builder(mut builds: Vec<Arc<Build>>) -> Vec<Arc<Build>> {
    builds.sort_by(|a, b| a.builder.cmp(&b.builder));
    builds
}

fn shared(builds: Vec<Build>) -> Vec<Arc<Build>> {
    builds.into_iter().map(Arc::new).collect()
}

/// As pages read it.
fn seen(conn: &mut Conn) -> Result<Seen, DbError> {
    Ok(Seen {
        listed: builders::listed(conn)?,
        last: by_builder(builds::last_finished(conn, &names())?),
        running: builds::running_of(conn, &names())?,
        selected: selections().iter().map(|one| builds::select_shared(conn, one)).collect::<Result<_, _>>()?,
    })
}

/// As it is stored.
fn stored(conn: &mut Conn) -> Result<Seen, DbError> {
    let select = |one: &Selection| Ok(shared(builds::select(conn, one)?));
    let selected = selections().iter().map(select).collect::<Result<_, DbError>>()?;
    let newest = |builder: String| Selection {
        builders: vec![builder],
        order: Order::Finished,
        finished: Some(true),
        with_steps: true,
        limit: 1,
        ..Selection::default()
    };
    let last = names().into_iter().map(|name| builds::select(conn, &newest(name)));
    let last = last.collect::<Result<Vec<_>, DbError>>()?;
    Ok(Seen {
        listed: builders::all(conn)?.into_iter().map(Arc::new).collect(),
        last: by_builder(shared(last.into_iter().flatten().collect())),
        running: shared(builds::running(conn)?),
        selected,
    })
}

fn events(conn: &mut Conn) -> Result<Vec<Arc<BuilderEvent>>, DbError> {
    let mut events = builders::events(conn, &names(), at(0), Time(i64::MAX), 1_000)?;
    events.extend(builders::events(conn, &names(), at(2_000), at(4_000), 5)?);
    Ok(events)
}

/// Twice, as the second time all of it is there.
fn is_as_stored(db: &Db, after: &str) {
    for _ in 0..2 {
        let (seen, stored) = db.read_blocking(|conn| Ok((seen(conn)?, stored(conn)?))).unwrap();
        assert_eq!(seen, stored, "{after}");
    }
    // Whoever writes uses nothing that is kept.
    assert_eq!(db.read_blocking(events).unwrap(), db.write_blocking(events).unwrap(), "{after}");
}

/// A course of events that looks like chance and is the same each time.
struct Course {
    chance: u64,
    moment: i64,
    running: Vec<Build>,
    next: [i64; 5],
    logs: i64,
    /// Those that have not ended, with their step.
    open: Vec<(BuildRef, i32, Log)>,
}

impl Course {
    fn new() -> Course {
        Course { chance: 7, moment: 0, running: Vec::new(), next: [0; 5], logs: 0, open: Vec::new() }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % limit
    }

    /// What happens next; several things may happen in one moment.
    fn event(&mut self) -> Event {
        self.moment += [0, 3, 20][self.below(3)];
        let (now, which) = (at(self.moment), self.below(5));
        let name = NAMES[which].to_owned();
        match self.below(16) {
            0 => Event::BuilderAdded { builder: builder(&name) },
            1 => Event::BuilderRemoved { builder: name },
            2 => Event::BuilderChangedState { builder: name, state: BigState::Building },
            3 => Event::SlaveConnected { slave: worker("w1") },
            4 => Event::SlaveDisconnected { slave: "w1".to_owned() },
            5 => Event::BuilderEvent {
                happened: BuilderEvent { builder: name, started: now, finished: None, text: vec!["ping".to_owned()] },
            },
            6..=9 if self.running.len() < 6 => {
                let begun = Build { started: now, ..build(&name, self.next[which]) };
                self.next[which] += 1;
                self.running.push(begun.clone());
                Event::BuildStarted { build: begun }
            }
            _ if self.running.is_empty() => Event::ChangeAdded { change: change(self.moment) },
            10 | 11 => self.end(now),
            _ => self.go_on(now),
        }
    }

    fn end(&mut self, now: Time) -> Event {
        let one = self.below(self.running.len());
        let results = [Results::Success, Results::Failure, Results::Retry][self.below(3)];
        let done = self.running.swap_remove(one);
        self.open.retain(|(build, ..)| *build != done.reference());
        Event::BuildFinished { build: Build { finished: Some(now), ..ended(&done, results) } }
    }

    fn go_on(&mut self, now: Time) -> Event {
        let one = self.below(self.running.len());
        let build = self.running[one].reference();
        let last = self.running[one].steps.last().cloned();
        match (self.below(6), last) {
            (0, _) | (_, None) => {
                let number = self.running[one].steps.len() as i32;
                let step = Step { started: Some(now), ..step(&self.running[one], number, &format!("step {number}")) };
                self.running[one].steps.push(step.clone());
                Event::StepStarted { build, step }
            }
            (1, Some(step)) => {
                Event::StepTextChanged { build, step: step.number, text: vec![format!("{} of it", self.moment)] }
            }
            (2, Some(step)) => {
                self.logs += 1;
                let log = log(self.logs, &format!("log {}", self.logs));
                self.open.push((build.clone(), step.number, log.clone()));
                Event::LogStarted { build, step: step.number, log }
            }
            (3, Some(_)) => match self.open.iter().position(|(of, ..)| *of == build) {
                Some(open) => {
                    let (build, step, log) = self.open.swap_remove(open);
                    Event::LogFinished { build, step, log: Log { finished: true, ..log } }
                }
                None => Event::BuildEtaUpdate { build, eta: None },
            },
            (4, Some(step)) => {
                let step = step_ended(&step, 2, Results::Success);
                Event::StepFinished { build, step, properties: Properties::new() }
            }
            (_, Some(_)) => Event::BuildEtaUpdate { build, eta: Some(now) },
        }
    }
}

fn after_every_event_it_is_as_stored(place: &Place) {
    let db = place.open();
    let mut course = Course::new();
    for name in NAMES {
        happen(&db, [Event::BuilderAdded { builder: builder(name) }]);
    }
    for number in 0..400 {
        let event = course.event();
        let after = format!("{number}: {event:?}");
        happen(&db, [event]);
        // Not always, so that several things happen between two reads as well.
        if number < 40 || course.below(6) == 0 {
            is_as_stored(&db, &after);
        }
    }
    close(db);
    // What was stored before the start is known as well as what happens after it.
    let db = place.open();
    is_as_stored(&db, "the start");
    happen(&db, [course.event()]);
    is_as_stored(&db, "the first event");
}

fn filled(place: &Place) -> (Db, Course) {
    let (db, mut course) = (place.open(), Course::new());
    happen(&db, NAMES.map(|name| Event::BuilderAdded { builder: builder(name) }));
    happen(&db, (0..400).map(|_| course.event()).collect::<Vec<_>>());
    (db, course)
}

fn what_the_janitor_takes_is_gone(place: &Place) {
    let (db, _) = filled(place);
    is_as_stored(&db, "before");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for horizons in [
        Horizons { logs: Some(4), ..Horizons::default() },
        Horizons { events: Some(3), ..Horizons::default() },
        Horizons { builds: Some(2), ..Horizons::default() },
    ] {
        let swept = runtime.block_on(sweep(&db, &horizons)).unwrap();
        assert!(swept.logs + swept.builds + swept.builder_events > 0, "{swept:?}");
        is_as_stored(&db, &format!("{horizons:?}"));
    }
}

fn every_read_is_of_one_moment(place: &Place) {
    let (db, mut course) = filled(place);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let (seen, stored) = db.read_blocking(|conn| Ok((seen(conn)?, stored(conn)?))).unwrap();
                    assert_eq!(seen, stored);
                }
            });
        }
        for _ in 0..300 {
            happen(&db, [course.event()]);
        }
        done.store(true, Ordering::SeqCst);
    });
}

/// What others keep meanwhile is too new for it, and what it reads is too old for them.
fn a_read_that_began_before_sees_what_was(place: &Place) {
    let (db, mut course) = filled(place);
    db.read_blocking(|conn| {
        let before = stored(conn)?;
        for _ in 0..20 {
            happen(&db, [course.event()]);
        }
        is_as_stored(&db, "meanwhile");
        assert_eq!(seen(conn)?, before);
        Ok(())
    })
    .unwrap();
    is_as_stored(&db, "afterwards");
}
