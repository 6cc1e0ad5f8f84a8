//! A durable target that does as a test says, and the house it lives in.

use super::database::{Engine, Place};
use signalbox::clock::Clock;
use signalbox::db::outbox::{Delivery, State};
use signalbox::db::{Conn, Db, DbError, events, outbox};
use signalbox::hub::{Hub, StatusHub};
use signalbox::model::*;
use signalbox::status::outbox::{Backoff, Letter, Outcome, Pace, Running, Target, start};
use signalbox::supervise::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Hub, tree and database, with durable targets under `status`.
pub struct House {
    pub tree: Tree,
    pub status: Group,
    pub hub: Hub,
    pub db: Db,
    pub clock: Clock,
    hub_child: Child<StatusHub>,
}

impl House {
    pub fn at(place: &Place) -> House {
        House::with_clock(place, Clock::system())
    }

    /// Where it is what time a test says.
    pub fn with_clock(place: &Place, clock: Clock) -> House {
        let db = place.open();
        let tree = Tree::new(clock.clone(), Strategy::RestForOne);
        let policy = Policy {
            pause: Pause::Constant(Duration::from_millis(5)),
            max_restarts: 1000,
            window: Duration::from_secs(60),
            when_exhausted: WhenExhausted::Escalate,
        };
        let group = tree.group("hub", Strategy::OneForOne);
        let (hub_db, hub_clock) = (db.clone(), clock.clone());
        let hub_child = group.start("StatusHub", policy, move |_, _| StatusHub::new(hub_db.clone(), hub_clock.clone()));
        let status = tree.group("status", Strategy::OneForOne);
        House { tree, status, hub: Hub::new(hub_child.addr.clone()), db, clock, hub_child }
    }

    pub fn start<T: Target>(&self, target: T) -> Running {
        start(&self.status, &self.hub, &self.db, &self.clock, target)
    }

    pub async fn say(&self, builder: &str, state: BigState) -> Seq {
        self.hub.record(Event::BuilderChangedState { builder: builder.to_owned(), state }).await.unwrap()
    }

    /// Everything in the ledger of a target, oldest first.
    pub async fn ledger(&self, target: &str) -> Vec<Delivery> {
        let target = target.to_owned();
        let ledger = self.db.read(move |conn| outbox::ledger(conn, Some(&target), None, 100_000)).await.unwrap();
        ledger.into_iter().rev().collect()
    }

    pub async fn events(&self) -> Vec<Stored> {
        self.db.read(|conn| events::after(conn, 0, 100_000)).await.unwrap()
    }

    /// Ends what is left, so that the database can be opened again.
    pub async fn close(self) {
        self.hub_child.stop().await;
        self.db.close().await;
    }
}

pub fn place() -> Place {
    Place::new(Engine::Sqlite)
}

/// How a destination behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    Well,
    /// Away, asking for so many milliseconds.
    Away(u64),
    Refusing,
    /// Not to be reached at all.
    Gone,
    Hanging,
    Panicking,
}

/// Says each change of a builder's state to the destination named like the builder.
#[derive(Clone)]
pub struct Probe {
    pub pace: Pace,
    pub keyed: bool,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    moods: BTreeMap<String, Mood>,
    attempts: Vec<Attempt>,
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub at: Instant,
    pub destination: String,
    pub id: String,
    pub payload: serde_json::Value,
    pub delivered: bool,
}

impl Probe {
    pub fn new() -> Probe {
        let pace = Pace {
            batch: 1,
            by_event: false,
            gather: Duration::ZERO,
            ordered: true,
            quota: None,
            backoff: Backoff::constant(Duration::from_millis(20)),
            timeout: Duration::from_secs(60),
            give_up: None,
        };
        Probe { pace, keyed: false, script: Arc::default() }
    }

    pub fn with(pace: impl FnOnce(&mut Pace)) -> Probe {
        let mut probe = Probe::new();
        pace(&mut probe.pace);
        probe
    }

    pub fn mood(&self, destination: &str, mood: Mood) {
        self.script.lock().unwrap().moods.insert(destination.to_owned(), mood);
    }

    pub fn attempts(&self, destination: &str) -> Vec<Attempt> {
        let script = self.script.lock().unwrap();
        script.attempts.iter().filter(|attempt| attempt.destination == destination).cloned().collect()
    }

    /// The ids that were delivered, in order.
    pub fn delivered(&self, destination: &str) -> Vec<String> {
        let attempts = self.attempts(destination).into_iter();
        attempts.filter(|attempt| attempt.delivered).map(|attempt| attempt.id).collect()
    }
}

impl Target for Probe {
    const KIND: &'static str = "Probe";
    type Facts = ();

    fn name(&self) -> &str {
        "probe"
    }

    fn pace(&self) -> Pace {
        self.pace.clone()
    }

    fn wanted(&self, event: &Event) -> bool {
        matches!(event, Event::BuilderChangedState { .. })
    }

    fn gather(&self, _: &mut Conn, _: &Stored) -> Result<(), DbError> {
        Ok(())
    }

    fn compose(&self, fact: &Stored, (): ()) -> Vec<Letter> {
        let Event::BuilderChangedState { builder, state } = &fact.event else { return Vec::new() };
        vec![Letter {
            destination: builder.clone(),
            key: self.keyed.then(|| "sha".to_owned()),
            lane: None,
            due: None,
            name: None,
            about: None,
            payload: serde_json::json!({ "seq": fact.seq, "state": state.word() }),
        }]
    }

    async fn deliver(&self, destination: &str, batch: &[Delivery]) -> Vec<Outcome> {
        let mood = self.script.lock().unwrap().moods.get(destination).copied().unwrap_or(Mood::Well);
        for delivery in batch {
            assert_eq!(delivery.state, State::Sending);
            self.script.lock().unwrap().attempts.push(Attempt {
                at: Instant::now(),
                destination: destination.to_owned(),
                id: delivery.id.clone(),
                payload: delivery.payload.clone(),
                delivered: mood == Mood::Well,
            });
        }
        let outcome = match mood {
            Mood::Well => Outcome::Delivered { answer: Some("thanks".to_owned()) },
            Mood::Away(0) => Outcome::ForNow { error: "away".to_owned(), retry_after: None },
            Mood::Away(pause) => {
                Outcome::ForNow { error: "later".to_owned(), retry_after: Some(Duration::from_millis(pause)) }
            }
            Mood::Gone => Outcome::Away { error: "gone".to_owned() },
            Mood::Refusing => Outcome::ForGood { error: "refused".to_owned() },
            Mood::Hanging => std::future::pending().await,
            Mood::Panicking => panic!("{destination} panics"),
        };
        outcome.for_all(batch)
    }
}
