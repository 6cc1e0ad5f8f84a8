//! Durable targets: at least once, in order, and one far side's trouble is nobody else's.

use crate::support::probe::{House, Mood, Probe, place};
use crate::support::wait::eventually;
use actix::prelude::*;
use signalbox::db::outbox::State;
use signalbox::model::*;
use signalbox::status::outbox::{self, Order};
use signalbox::supervise::{Pause, Policy, WhenExhausted};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

fn states(deliveries: &[signalbox::db::outbox::Delivery]) -> Vec<State> {
    deliveries.iter().map(|delivery| delivery.state).collect()
}

/// The states of a target as it was said to be, in order.
async fn said_of_target(house: &House) -> Vec<String> {
    let state = |fact: Stored| match fact.event {
        Event::TargetState { target } => Some(target.state),
        _ => None,
    };
    house.events().await.into_iter().filter_map(state).collect()
}

async fn said_of_deliveries(house: &House) -> Vec<(String, String)> {
    let state = |fact: Stored| match fact.event {
        Event::DeliveryState { delivery } => Some((delivery.id, delivery.state)),
        _ => None,
    };
    house.events().await.into_iter().filter_map(state).collect()
}

#[actix::test]
async fn every_event_is_delivered_once_in_order() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::with(|pace| pace.batch = 7);
    // What happened before a target was there is not for it.
    house.say("b1", BigState::Idle).await;
    let running = started(&house, &probe).await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(format!("probe/{}", house.say("b1", BigState::Idle).await));
    }
    eventually(|| probe.delivered("b1").len() == ids.len()).await;
    assert_eq!(probe.delivered("b1"), ids);
    running.stop(SOON).await;
    let ledger = house.ledger("probe").await;
    assert!(ledger.iter().all(|delivery| delivery.state == State::Delivered && delivery.attempts == 1), "{ledger:?}");
    assert_eq!(ledger[0].detail.as_deref(), Some("thanks"));
    assert!(house.tree.reports().iter().all(|report| !report.path.starts_with("status")), "it left the tree");
}

#[actix::test]
async fn what_happens_while_it_is_down_is_delivered_at_the_next_start() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::new();
    house.start(probe.clone()).stop(SOON).await;
    house.say("b1", BigState::Idle).await;
    house.close().await;

    let house = House::at(&place);
    house.say("b1", BigState::Building).await;
    let running = house.start(probe.clone());
    eventually(|| probe.delivered("b1").len() == 2).await;
    assert_eq!(probe.delivered("b1"), ["probe/1", "probe/2"]);
    running.stop(SOON).await;
}

#[actix::test]
async fn a_destination_in_trouble_delays_no_other() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::new();
    probe.mood("dead", Mood::Away(0));
    probe.mood("hangs", Mood::Hanging);
    probe.mood("panics", Mood::Panicking);
    let running = started(&house, &probe).await;
    for _ in 0..20 {
        for destination in ["dead", "hangs", "panics", "well"] {
            house.say(destination, BigState::Idle).await;
        }
    }
    eventually(|| probe.delivered("well").len() == 20).await;
    eventually(|| probe.attempts("dead").len() >= 2 && !probe.attempts("hangs").is_empty()).await;
    eventually(|| !probe.attempts("panics").is_empty()).await;
    assert!(probe.delivered("dead").is_empty());

    // It ends in time, though three of four hold what they have.
    let before = Instant::now();
    running.stop(Duration::from_millis(500)).await;
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    let waiting = house.ledger("probe").await;
    assert_eq!(waiting.iter().filter(|delivery| delivery.state.is_unfinished()).count(), 60);
}

/// Starts it and waits until it is past its beginning.
async fn started(house: &House, probe: &Probe) -> outbox::Running {
    let running = house.start(probe.clone());
    let cursor = || house.db.read_blocking(|conn| signalbox::db::cursors::get(conn, "probe")).unwrap();
    eventually(|| cursor().is_some()).await;
    running
}

#[actix::test]
async fn an_outage_ends_with_the_newest_of_each_key() {
    let place = place();
    let house = House::at(&place);
    let mut probe = Probe::with(|pace| pace.backoff = backoff(50));
    probe.keyed = true;
    probe.mood("github", Mood::Away(0));
    let running = started(&house, &probe).await;
    house.say("github", BigState::Offline).await;
    eventually(|| !probe.attempts("github").is_empty()).await;
    for state in [BigState::Idle, BigState::Building, BigState::Idle] {
        house.say("github", state).await;
    }
    let last = house.say("github", BigState::Building).await;
    eventually(|| probe.attempts("github").iter().any(|attempt| attempt.payload["seq"] == last)).await;
    probe.mood("github", Mood::Well);
    eventually(|| !probe.delivered("github").is_empty()).await;
    running.stop(SOON).await;
    assert_eq!(probe.delivered("github"), [format!("probe/{last}")]);
    let states = states(&house.ledger("probe").await);
    assert_eq!(states[..4], [State::Superseded; 4]);
    assert_eq!(states[4..], [State::Delivered]);
}

fn backoff(millis: u64) -> outbox::Backoff {
    outbox::Backoff::constant(Duration::from_millis(millis))
}

#[actix::test]
async fn a_destination_that_is_gone_is_left_alone_for_longer_and_longer_and_then_gets_everything_in_order() {
    let place = place();
    let house = House::at(&place);
    let first = Duration::from_millis(100);
    let probe = Probe::with(|pace| {
        pace.ordered = false;
        pace.backoff = outbox::Backoff { first, cap: Duration::from_secs(60), jitter: 0.0 };
    });
    probe.mood("b1", Mood::Gone);
    let running = started(&house, &probe).await;
    let mut ids = vec![format!("probe/{}", house.say("b1", BigState::Idle).await)];
    eventually(|| !probe.attempts("b1").is_empty()).await;
    // Nothing that comes meanwhile is tried before its time.
    for _ in 0..4 {
        ids.push(format!("probe/{}", house.say("b1", BigState::Idle).await));
    }
    eventually(|| probe.attempts("b1").len() == 3).await;
    let tried: Vec<Instant> = probe.attempts("b1").iter().map(|attempt| attempt.at).collect();
    assert!(tried[1] - tried[0] >= first && tried[2] - tried[1] >= 2 * first, "{tried:?}");
    probe.mood("b1", Mood::Well);
    eventually(|| probe.delivered("b1").len() == ids.len()).await;
    assert_eq!(probe.delivered("b1"), ids);
    running.stop(SOON).await;
}

#[actix::test]
async fn what_is_dead_is_sent_again_or_dropped_when_somebody_says_so() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::new();
    probe.mood("b1", Mood::Refusing);
    let running = started(&house, &probe).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(format!("probe/{}", house.say("b1", BigState::Idle).await));
    }
    let dead = || house.db.read_blocking(|conn| signalbox::db::outbox::dead(conn, None, None, 9)).unwrap();
    eventually(|| dead().len() == 3).await;
    assert!(dead()[0].detail.as_deref() == Some("refused") && probe.delivered("b1").is_empty());
    probe.mood("b1", Mood::Well);

    assert_eq!(settle(&house, &ids[1], Order::SendAgain).await, Ok(()));
    eventually(|| probe.delivered("b1") == ids[1..2]).await;
    assert_eq!(settle(&house, &ids[2], Order::Drop).await, Ok(()));
    for (id, order) in [(&ids[1], Order::SendAgain), (&ids[2], Order::SendAgain), (&ids[2], Order::Drop)] {
        let refused = settle(&house, id, order).await.unwrap_err();
        assert!(refused.contains("is not dead"), "{refused}");
    }
    assert!(settle(&house, "probe/0", Order::Drop).await.unwrap_err().contains("no delivery \"probe/0\""));
    running.stop(SOON).await;

    // Ordered while the target does not run, it is sent at the next start.
    assert_eq!(settle(&house, &ids[0], Order::SendAgain).await, Ok(()));
    let running = started(&house, &probe).await;
    eventually(|| probe.delivered("b1").contains(&ids[0])).await;
    running.stop(SOON).await;
    assert_eq!(states(&house.ledger("probe").await), [State::Dropped, State::Delivered, State::Delivered]);
    let said = said_of_deliveries(&house).await;
    assert_eq!(said.iter().filter(|(_, state)| state == "dead").count(), 3, "{said:?}");
    assert!(said.contains(&(ids[1].clone(), "waiting".to_owned())), "{said:?}");
    assert!(said.contains(&(ids[2].clone(), "dropped".to_owned())), "{said:?}");
}

#[actix::test]
async fn an_old_state_is_not_sent_again_over_a_newer_one() {
    let place = place();
    let house = House::at(&place);
    let mut probe = Probe::new();
    probe.keyed = true;
    probe.mood("github", Mood::Refusing);
    let running = started(&house, &probe).await;
    let first = format!("probe/{}", house.say("github", BigState::Building).await);
    let state = |id: &str| {
        let id = id.to_owned();
        house.db.read_blocking(move |conn| signalbox::db::outbox::find(conn, &id)).unwrap().map(|found| found.state)
    };
    eventually(|| state(&first) == Some(State::Dead)).await;
    probe.mood("github", Mood::Well);
    let last = format!("probe/{}", house.say("github", BigState::Idle).await);
    eventually(|| state(&last) == Some(State::Delivered)).await;
    assert!(settle(&house, &first, Order::SendAgain).await.unwrap_err().contains("superseded"));
    assert_eq!(state(&first), Some(State::Superseded));
    running.stop(SOON).await;
    assert_eq!(probe.delivered("github"), [last]);
}

/// Gives an order about a delivery; the sentence of a refusal.
async fn settle(house: &House, id: &str, order: Order) -> Result<(), String> {
    let answer =
        outbox::order(&house.db, &house.hub, signalbox::clock::Clock::system().now(), id, order, "ada").await.unwrap();
    answer.map_err(|refused| refused.to_string())
}

#[actix::test]
async fn the_quota_of_a_destination_is_kept() {
    let place = place();
    let house = House::at(&place);
    let interval = Duration::from_millis(50);
    let quota = governor::Quota::with_period(interval).unwrap().allow_burst(NonZeroU32::new(2).unwrap());
    let probe = Probe::with(|pace| pace.quota = Some(quota));
    let running = started(&house, &probe).await;
    let before = Instant::now();
    for _ in 0..8 {
        house.say("b1", BigState::Idle).await;
        house.say("b2", BigState::Idle).await;
    }
    eventually(|| probe.delivered("b1").len() == 8 && probe.delivered("b2").len() == 8).await;
    for destination in ["b1", "b2"] {
        let attempts = probe.attempts(destination);
        let took = attempts[7].at - before;
        assert!(took >= interval * 6, "8 within {took:?}");
    }
    running.stop(SOON).await;
}

#[actix::test]
async fn the_far_side_may_ask_for_a_pause_and_people_hear_of_lasting_trouble() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::with(|pace| pace.backoff = backoff(1));
    probe.mood("b1", Mood::Away(60));
    let running = started(&house, &probe).await;
    let seq = house.say("b1", BigState::Idle).await;
    eventually(|| probe.attempts("b1").len() >= 4).await;
    let attempts = probe.attempts("b1");
    for pair in attempts.windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!(pause >= Duration::from_millis(58), "tried again after {pause:?}");
    }
    assert!(attempts.iter().all(|attempt| attempt.id == format!("probe/{seq}")));
    let report = |path: &str| house.tree.reports().into_iter().find(|report| report.path == path).unwrap();
    eventually(|| report("status/probe").backlog == 1).await;
    probe.mood("b1", Mood::Well);
    eventually(|| !probe.delivered("b1").is_empty()).await;
    eventually(|| report("status/probe").backlog == 0).await;
    running.stop(SOON).await;
    assert_eq!(said_of_target(&house).await, ["degraded", "running"]);
    assert_eq!(said_of_deliveries(&house).await, [(format!("probe/{seq}"), "delivered".to_owned())]);
}

#[actix::test]
async fn what_is_refused_for_good_is_dead_and_the_next_goes_on() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::new();
    probe.mood("b1", Mood::Refusing);
    let running = started(&house, &probe).await;
    let first = house.say("b1", BigState::Idle).await;
    eventually(|| probe.attempts("b1").len() == 1).await;
    probe.mood("b1", Mood::Well);
    house.say("b1", BigState::Idle).await;
    eventually(|| probe.delivered("b1").len() == 1).await;
    running.stop(SOON).await;
    let ledger = house.ledger("probe").await;
    assert_eq!(states(&ledger), [State::Dead, State::Delivered]);
    assert_eq!(ledger[0].detail.as_deref(), Some("refused"));
    assert_eq!(said_of_deliveries(&house).await, [(format!("probe/{first}"), "dead".to_owned())]);
}

#[actix::test]
async fn what_is_too_old_is_given_up_and_what_takes_too_long_has_failed() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::with(|pace| {
        pace.timeout = Duration::from_millis(30);
        pace.give_up = Some(Duration::from_millis(80));
    });
    probe.mood("b1", Mood::Hanging);
    let running = started(&house, &probe).await;
    house.say("b1", BigState::Idle).await;
    let given_up = || house.db.read_blocking(|conn| signalbox::db::outbox::backlog(conn, "probe")).unwrap() == 0;
    eventually(|| !probe.attempts("b1").is_empty()).await;
    eventually(given_up).await;
    running.stop(SOON).await;
    let ledger = house.ledger("probe").await;
    assert_eq!(states(&ledger), [State::Dead]);
    assert!(ledger[0].detail.as_deref().unwrap().starts_with("no answer within"), "{:?}", ledger[0].detail);
}

#[actix::test]
async fn panics_of_composer_and_sender_lose_nothing_and_compose_nothing_twice() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::with(|pace| pace.batch = 5);
    let running = started(&house, &probe).await;
    let mut ids = Vec::new();
    for round in 0..60 {
        ids.push(format!("probe/{}", house.say("b1", BigState::Idle).await));
        if round % 15 == 0 {
            assert!(house.tree.provoke_panic("status/probe"));
            house.tree.provoke_panic("status/probe/b1");
        }
    }
    let mut distinct = Vec::new();
    eventually(|| {
        distinct = probe.delivered("b1");
        distinct.dedup();
        distinct.len() >= ids.len()
    })
    .await;
    running.stop(SOON).await;
    // One that was under way as its sender fell is handed over again, under the same id with the same payload.
    let mut known = std::collections::BTreeMap::new();
    for attempt in probe.attempts("b1") {
        assert_eq!(known.entry(attempt.id).or_insert(attempt.payload.clone()), &attempt.payload);
    }
    assert_eq!(house.ledger("probe").await.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>(), ids);
}

#[actix::test]
async fn a_panic_while_delivering_is_followed_by_another_try() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::new();
    probe.mood("b1", Mood::Panicking);
    let running = started(&house, &probe).await;
    house.say("b1", BigState::Idle).await;
    eventually(|| probe.attempts("b1").len() == 1).await;
    probe.mood("b1", Mood::Well);
    eventually(|| probe.delivered("b1").len() == 1).await;
    let attempts = probe.attempts("b1");
    assert_eq!(attempts[0].id, attempts[1].id);
    running.stop(SOON).await;
    assert_eq!(states(&house.ledger("probe").await), [State::Delivered]);
}

#[actix::test]
async fn stopping_delivers_what_can_be_delivered() {
    let place = place();
    let house = House::at(&place);
    let probe = Probe::with(|pace| {
        pace.gather = Duration::from_secs(3600);
        pace.batch = 3;
    });
    let running = started(&house, &probe).await;
    for _ in 0..10 {
        house.say("b1", BigState::Idle).await;
    }
    running.stop(SOON).await;
    assert_eq!(probe.delivered("b1").len(), 10);
}

#[actix::test]
async fn a_part_that_is_parked_is_announced_and_so_is_its_return() {
    let place = place();
    let house = House::at(&place);
    let announcer = signalbox::status::Announcer::new(house.hub.clone()).start();
    house.tree.watch(announcer.recipient());
    let policy = Policy {
        pause: Pause::Constant(Duration::ZERO),
        max_restarts: 0,
        window: Duration::from_secs(60),
        when_exhausted: WhenExhausted::Park,
    };
    let start = || house.status.start("irc", policy.clone(), |_, _| Idle);
    let child = start();
    assert!(house.tree.provoke_panic("status/irc"));
    eventually(|| child.is_parked()).await;
    let again = start();
    let last = || house.db.read_blocking(signalbox::db::events::last).unwrap();
    eventually(|| last() == 2).await;
    assert_eq!(said_of_target(&house).await, ["parked", "running"]);
    again.stop().await;
}

struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

impl Supervised for Idle {}
