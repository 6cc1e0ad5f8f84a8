//! Facts are stored, then told; nobody misses one, nobody is told one that a crash could take back.

use crate::support::database::{Engine, Place};
use crate::support::ear::Heard;
use crate::support::facts::*;
use crate::support::wait::eventually;
use actix::prelude::*;
use futures::future::join_all;
use serde_json::json;
use signalbox::clock::Clock;
use signalbox::db::{Db, events, state};
use signalbox::hub::*;
use signalbox::model::*;
use signalbox::supervise::{Child, Pause, Policy, Strategy, Tree, WhenExhausted};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

struct House {
    tree: Tree,
    hub: Hub,
    child: Child<StatusHub>,
    db: Db,
    _place: Place,
}

impl House {
    fn new() -> House {
        House::at(Place::new(Engine::Sqlite))
    }

    fn at(place: Place) -> House {
        let db = place.open();
        let tree = Tree::new(Clock::system(), Strategy::RestForOne);
        let policy = Policy {
            pause: Pause::Constant(Duration::from_millis(5)),
            max_restarts: 1000,
            window: Duration::from_secs(60),
            when_exhausted: WhenExhausted::Escalate,
        };
        let group = tree.group("hub", Strategy::OneForOne);
        let child = group.start("StatusHub", policy, |_, _| StatusHub::new(db.clone(), Clock::system()));
        let hub = Hub::new(child.addr.clone()).counted_on(Arc::clone(&child.gauges.mailbox));
        House { tree, hub, child, db, _place: place }
    }

    async fn listen(&self, heard: &Heard, interest: Interest) -> Seq {
        let mailbox = Some(Arc::clone(&heard.mailbox));
        self.hub.subscribe("ear", interest, heard.addr.clone().recipient(), mailbox).await.unwrap().1
    }

    async fn stored(&self) -> Vec<Stored> {
        self.db.read(|conn| events::after(conn, 0, 100_000)).await.unwrap()
    }
}

fn fact(number: i64) -> Event {
    Event::ChangeAdded { change: change(number) }
}

fn state_of(builder: &str) -> Event {
    Event::BuilderChangedState { builder: builder.to_owned(), state: BigState::Idle }
}

/// The changes' own numbers, in the order stored.
fn numbers(facts: &[Stored]) -> Vec<i64> {
    let number = |fact: &Stored| match &fact.event {
        Event::ChangeAdded { change } => change.number,
        other => panic!("{other:?}"),
    };
    facts.iter().map(number).collect()
}

async fn numbers_follow_the_order_of_the_calls_at(place: Place) {
    let house = House::at(place);
    let heard = Heard::start();
    assert_eq!(house.listen(&heard, Interest::Everything).await, 0);
    let recorded: Vec<_> = (1..=200).map(|number| house.hub.record(fact(number))).collect();
    // Waiting in another order changes nothing: each was queued as it was called.
    let mut seqs = join_all(recorded.into_iter().rev()).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    seqs.reverse();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    eventually(|| heard.seqs().len() == 200).await;
    assert_eq!(heard.seqs(), seqs);
    assert_eq!(numbers(&house.stored().await), seqs);
    assert_eq!((heard.mailbox.load(SeqCst), house.child.gauges.mailbox.load(SeqCst)), (0, 0));
}

#[actix::test]
async fn numbers_follow_the_order_of_the_calls() {
    numbers_follow_the_order_of_the_calls_at(Place::new(Engine::Sqlite)).await;
}

#[actix::test]
async fn numbers_follow_the_order_of_the_calls_on_postgresql() {
    numbers_follow_the_order_of_the_calls_at(Place::new(Engine::Postgres)).await;
}

struct Checker(Db, Arc<std::sync::Mutex<Vec<bool>>>);

impl Actor for Checker {
    type Context = Context<Self>;
}

impl Handler<Told> for Checker {
    type Result = ();
    fn handle(&mut self, told: Told, _: &mut Self::Context) {
        if let News::Fact(fact) = &told.news {
            let last = self.0.read_blocking(events::last).unwrap();
            self.1.lock().unwrap().push(last >= fact.seq);
        }
    }
}

#[actix::test]
async fn what_is_told_is_already_stored() {
    let house = House::new();
    let seen = Arc::default();
    let checker = Checker(house.db.clone(), Arc::clone(&seen)).start();
    house.hub.subscribe("checker", Interest::Everything, checker.recipient(), None).await.unwrap();
    for number in 1..=10 {
        house.hub.record(fact(number)).await.unwrap();
    }
    eventually(|| seen.lock().unwrap().len() == 10).await;
    assert!(seen.lock().unwrap().iter().all(|stored| *stored));
}

#[actix::test]
async fn numbering_goes_on_after_a_restart_of_the_program() {
    let place = Place::new(Engine::Sqlite);
    let house = House::at(place);
    house.hub.record(fact(1)).await.unwrap();
    house.child.stop().await;
    assert!(matches!(house.hub.record(fact(9)).await, Err(HubError::Gone)));
    house.db.close().await;
    let again = House::at(house._place);
    assert_eq!(again.hub.record(fact(2)).await.unwrap(), 2);
    assert_eq!(numbers(&again.stored().await), [1, 2]);
}

#[actix::test]
async fn facts_and_state_are_stored_together() {
    let house = House::new();
    let put = state::Put { object: "poller".to_owned(), key: "tip".to_owned(), value: json!("abc") };
    let seqs = house.hub.record_all(vec![fact(1), fact(2)], vec![put.clone().into()]).await.unwrap();
    assert_eq!(seqs, [1, 2]);
    let kept = house.db.read(|conn| state::get(conn, "poller", "tip")).await.unwrap();
    assert_eq!(kept, Some(json!("abc")));
    let state_alone = state::Put { value: json!("def"), ..put };
    assert_eq!(house.hub.record_all(Vec::new(), vec![state_alone.into()]).await.unwrap(), Vec::<Seq>::new());
    assert_eq!(house.hub.record(fact(3)).await.unwrap(), 3);
}

#[actix::test]
async fn a_database_that_is_closed_is_an_error_and_nothing_is_told() {
    let house = House::new();
    let heard = Heard::start();
    house.listen(&heard, Interest::Everything).await;
    house.hub.record(fact(1)).await.unwrap();
    house.db.close().await;
    assert!(matches!(house.hub.record(fact(2)).await, Err(HubError::Db(_))));
    eventually(|| !heard.seqs().is_empty()).await;
    assert_eq!(heard.seqs(), [1]);
}

#[actix::test]
async fn each_is_told_what_it_asked_for() {
    let house = House::new();
    let named = |name: &str, tags: &[&str]| Builder {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..builder(name)
    };
    let first = named("b1", &["fast"]);
    house.hub.record(Event::BuilderAdded { builder: first }).await.unwrap();
    let (all, b2, tagged, one) = (Heard::start(), Heard::start(), Heard::start(), Heard::start());
    house.listen(&all, Interest::Everything).await;
    house.listen(&b2, Interest::Builder("b2".to_owned())).await;
    house.listen(&tagged, Interest::Tags(vec!["fast".to_owned(), "odd".to_owned()])).await;
    let third = build("b2", 3);
    house.listen(&one, Interest::Build(third.reference())).await;

    let facts = vec![
        fact(1),                                                // 2
        state_of("b1"),                                         // 3
        Event::BuilderAdded { builder: named("b2", &[]) },      // 4
        Event::BuildStarted { build: build("b2", 2) },          // 5
        Event::BuildStarted { build: third.clone() },           // 6
        Event::BuilderAdded { builder: named("b3", &["odd"]) }, // 7
        state_of("b3"),                                         // 8
        Event::BuilderRemoved { builder: "b1".to_owned() },     // 9
        state_of("b1"),                                         // 10
    ];
    house.hub.record_all(facts, Vec::new()).await.unwrap();
    eventually(|| all.seqs().len() == 9).await;
    assert_eq!(all.seqs(), (2..=10).collect::<Vec<_>>());
    assert_eq!(b2.seqs(), [4, 5, 6]);
    assert_eq!(tagged.seqs(), [3, 7, 8, 9]);
    assert_eq!(one.seqs(), [6]);

    let grew = LogGrew { build: third.reference(), step: 0, log: 7, lines: 4812, bytes: 99 };
    house.hub.log_grew(grew.clone());
    house.hub.log_grew(LogGrew { build: build("b2", 2).reference(), ..grew.clone() });
    eventually(|| !one.logs().is_empty()).await;
    assert_eq!(one.logs(), [grew]);
    assert!(all.logs().is_empty());
}

#[actix::test]
async fn tags_are_known_after_a_restart_of_the_hub() {
    let house = House::new();
    house.hub.record(Event::BuilderAdded { builder: builder("b1") }).await.unwrap();
    assert!(house.tree.provoke_panic("hub/StatusHub"));
    let heard = Heard::start();
    let mut told = house.listen(&heard, Interest::Tags(vec!["fast".to_owned()])).await;
    if told == 0 {
        // Answered before the panic came through.
        eventually(|| house.tree.reports()[0].restarts == 1).await;
        told = house.listen(&heard, Interest::Tags(vec!["fast".to_owned()])).await;
    }
    assert_eq!(told, 1);
    house.hub.record(state_of("b1")).await.unwrap();
    eventually(|| heard.seqs() == [2]).await;
}

#[actix::test]
async fn a_subscriber_that_lags_reads_the_gap_and_goes_on_without_hole_or_repeat() {
    let house = House::new();
    let (slow, fast) = (Heard::deaf(4), Heard::start());
    house.listen(&slow, Interest::Everything).await;
    house.listen(&fast, Interest::Everything).await;
    for number in 1..=100 {
        house.hub.record(fact(number)).await.unwrap();
    }
    eventually(|| fast.seqs().len() == 100).await;
    assert!(fast.gaps().is_empty(), "others are not held up");
    let waiting = slow.mailbox.load(SeqCst);
    assert!(waiting < 10, "{waiting} messages kept for one that does not listen");

    slow.listen();
    eventually(|| !slow.gaps().is_empty()).await;
    for number in 101..=110 {
        house.hub.record(fact(number)).await.unwrap();
    }
    eventually(|| slow.seqs().last() == Some(&110)).await;
    assert_eq!(numbers(&slow.learned(&house.db).await), (1..=110).collect::<Vec<_>>());
    assert_eq!(slow.gaps().len(), 1);
    eventually(|| slow.mailbox.load(SeqCst) == 0).await;
}

#[actix::test]
async fn one_that_missed_only_log_lengths_gets_an_empty_gap() {
    let house = House::new();
    let watched = build("b1", 0);
    house.hub.record(Event::BuilderAdded { builder: builder("b1") }).await.unwrap();
    let slow = Heard::deaf(2);
    house.listen(&slow, Interest::Build(watched.reference())).await;
    for lines in 0..50 {
        house.hub.log_grew(LogGrew { build: watched.reference(), step: 0, log: 1, lines, bytes: lines });
    }
    house.hub.record(fact(1)).await.unwrap();
    slow.listen();
    eventually(|| !slow.gaps().is_empty()).await;
    let (after, _) = slow.gaps()[0];
    assert_eq!(after, 1);
    assert!(slow.logs().len() < 10);
}

#[actix::test]
async fn unsubscribing_ends_it() {
    let house = House::new();
    let (gone, there) = (Heard::start(), Heard::start());
    let to = gone.addr.clone().recipient();
    let (id, _) = house.hub.subscribe("gone", Interest::Everything, to, None).await.unwrap();
    house.listen(&there, Interest::Everything).await;
    house.hub.record(fact(1)).await.unwrap();
    house.hub.unsubscribe(id);
    house.hub.record(fact(2)).await.unwrap();
    eventually(|| there.seqs() == [1, 2] && !gone.seqs().is_empty()).await;
    assert_eq!(gone.seqs(), [1]);
}

struct Mortal;

impl Actor for Mortal {
    type Context = Context<Self>;
}

impl Handler<Told> for Mortal {
    type Result = ();
    fn handle(&mut self, _: Told, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[actix::test]
async fn a_subscriber_that_ended_is_told_nothing_more() {
    let house = House::new();
    let mailbox = Arc::default();
    let to = Mortal.start().recipient();
    house.hub.subscribe("mortal", Interest::Everything, to, Some(Arc::clone(&mailbox))).await.unwrap();
    let mut number = 0;
    while Arc::strong_count(&mailbox) > 1 {
        number += 1;
        assert!(number < 1000, "still subscribed");
        house.hub.record(fact(number)).await.unwrap();
    }
}

#[actix::test]
async fn subscribing_again_replaces_the_older_subscription() {
    let house = House::new();
    let heard = Heard::start();
    house.listen(&heard, Interest::Everything).await;
    house.listen(&heard, Interest::Everything).await;
    house.hub.record(fact(1)).await.unwrap();
    house.hub.record(fact(2)).await.unwrap();
    eventually(|| heard.seqs().contains(&2)).await;
    assert_eq!(heard.seqs(), [1, 2]);
}

#[actix::test]
async fn panics_of_the_hub_lose_nothing_and_repeat_nothing() {
    let house = House::new();
    let heard = Heard::start();
    house.listen(&heard, Interest::Everything).await;
    let mut answers = Vec::new();
    for number in 1..=400 {
        answers.push((number, house.hub.record(fact(number))));
        if number % 20 == 0 {
            assert!(house.tree.provoke_panic("hub/StatusHub"));
            tokio::task::yield_now().await;
        }
    }
    let mut confirmed = Vec::new();
    for (number, answer) in answers {
        match answer.await {
            Ok(seq) => confirmed.push((seq, number)),
            Err(HubError::Gone) => {}
            Err(error) => panic!("{error}"),
        }
    }
    house.hub.record(fact(401)).await.unwrap();
    let stored = house.stored().await;
    let seqs: Vec<Seq> = stored.iter().map(|fact| fact.seq).collect();
    assert_eq!(seqs, (1..=stored.len() as Seq).collect::<Vec<_>>(), "no number is missing or given twice");
    for (seq, number) in confirmed {
        assert_eq!(numbers(&stored[seq as usize - 1..seq as usize]), [number]);
    }
    eventually(|| heard.seqs().last() == seqs.last() || heard.gaps().last().map(|gap| gap.1) == seqs.last().copied())
        .await;
    assert_eq!(heard.learned(&house.db).await, stored);
    assert!(house.tree.reports()[0].restarts > 0);
}

#[actix::test]
async fn it_works_from_any_thread() {
    let house = House::new();
    let threads: Vec<_> = (0..4_i64)
        .map(|thread| {
            let hub = house.hub.clone();
            tokio::task::spawn_blocking(move || {
                let record =
                    |number: i64| futures::executor::block_on(hub.record(fact(thread * 1000 + number))).unwrap();
                (0..50).map(record).collect::<Vec<Seq>>()
            })
        })
        .collect();
    let mut seqs: Vec<Seq> = join_all(threads).await.into_iter().flat_map(Result::unwrap).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
}
