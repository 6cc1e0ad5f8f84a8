use super::desk::{Counter, Desk};
use super::plan::{Next, Plan, plan};
use super::{Outcome, Pace, Target};
use crate::db::outbox::{Delivery, State, Waiting};
use crate::db::{DbError, outbox};
use crate::model::*;
use crate::supervise::Gauges;
use actix::prelude::*;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many unfinished deliveries are looked at, at least, to find those that are due or superseded.
///
/// A newer one of a key beyond them is sent later instead, so the far side ends in the same state.
const LOOK_AHEAD: usize = 1000;
/// Error texts of far sides are kept up to this many characters.
const DETAIL: usize = 2000;

/// Hands over the deliveries of one destination.
pub(super) struct Sender<T: Target> {
    desk: Arc<Desk<T>>,
    counter: Arc<Counter>,
    gauges: Gauges,
}

impl<T: Target> Sender<T> {
    pub(super) fn new(desk: Arc<Desk<T>>, counter: Arc<Counter>, gauges: Gauges) -> Sender<T> {
        Sender { desk, counter, gauges }
    }
}

impl<T: Target> Actor for Sender<T> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let work = send_all(Arc::clone(&self.desk), Arc::clone(&self.counter), self.gauges.clone());
        ctx.spawn(work.into_actor(self));
    }
}

impl<T: Target> Supervised for Sender<T> {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Sender::new(Arc::clone(&self.desk), Arc::clone(&self.counter), self.gauges.clone());
    }
}

async fn send_all<T: Target>(desk: Arc<Desk<T>>, counter: Arc<Counter>, gauges: Gauges) {
    let pace = desk.target.pace();
    let mut idle = true;
    let mut last_rung = 0;
    loop {
        let rung = counter.bell.rung();
        let mut waiting = match unfinished(&desk, &counter, &pace).await {
            Ok(waiting) => waiting,
            Err(error) => {
                desk.database_away("read what waits to be sent", &error).await;
                continue;
            }
        };
        gauges.backlog.store(waiting.len() as u64, Ordering::Relaxed);
        let closing = desk.closing.load(Ordering::SeqCst);
        if closing && rung > last_rung {
            waiting.iter_mut().for_each(|waiting| hurry(waiting, desk.clock.now()));
        }
        last_rung = rung;
        if let Some(until) = counter.away_until().filter(|until| *until > desk.clock.now() && !waiting.is_empty()) {
            rest_until(&desk, &counter, rung, until).await;
            continue;
        }
        if idle && !waiting.is_empty() && !closing && !pace.gather.is_zero() {
            idle = false;
            gather(&desk, &counter, &pace).await;
            continue;
        }
        let Plan { superseded, next } = plan(waiting, desk.clock.now(), &pace);
        let written = match supersede(&desk, superseded).await {
            Ok(()) => match next {
                Next::Send(ids) => send(&desk, &counter, &pace, ids).await,
                Next::WaitUntil(time) => {
                    rest_until(&desk, &counter, rung, time).await;
                    Ok(())
                }
                Next::Nothing => {
                    idle = true;
                    desk.count_backlog().await;
                    counter.bell.answer(rung);
                    counter.bell.rest().await;
                    Ok(())
                }
            },
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            desk.database_away("write down what was sent", &error).await;
        }
    }
}

async fn unfinished<T: Target>(desk: &Desk<T>, counter: &Counter, pace: &Pace) -> Result<Vec<Waiting>, DbError> {
    let (name, destination) = (desk.target.name().to_owned(), counter.destination.clone());
    let limit = i64::try_from(pace.batch.max(LOOK_AHEAD)).unwrap_or(i64::MAX);
    desk.db.read(move |conn| outbox::unfinished(conn, &name, &destination, limit)).await
}

/// Waits for company, unless the end comes first.
async fn gather<T: Target>(desk: &Desk<T>, counter: &Counter, pace: &Pace) {
    let ends = async {
        while !desk.closing.load(Ordering::SeqCst) {
            counter.bell.rest().await;
        }
    };
    // Either is a reason to go on.
    let _ = tokio::time::timeout(pace.gather, ends).await;
}

/// At the end what was not taken is offered once more, at each ring; what has failed keeps its pause, and what is held
/// back is.
fn hurry(waiting: &mut Waiting, now: Time) {
    if waiting.left {
        waiting.next_try = waiting.next_try.min(now);
    }
}

/// Nothing is due before `time`; a ring may bring something that is.
async fn rest_until<T: Target>(desk: &Desk<T>, counter: &Counter, rung: u64, time: Time) {
    desk.count_backlog().await;
    counter.bell.answer(rung);
    let _ = tokio::time::timeout(time.since(desk.clock.now()), counter.bell.rest()).await;
}

async fn supersede<T: Target>(desk: &Desk<T>, ids: Vec<String>) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    desk.db.write(move |conn| outbox::supersede(conn, &ids)).await
}

async fn write<T: Target>(desk: &Desk<T>, deliveries: Vec<Delivery>) -> Result<(), DbError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    desk.db.write(move |conn| outbox::update(conn, &deliveries)).await
}

/// One attempt for a batch.
async fn send<T: Target>(desk: &Desk<T>, counter: &Counter, pace: &Pace, ids: Vec<String>) -> Result<(), DbError> {
    let waiting = desk.db.read(move |conn| outbox::by_ids(conn, &ids)).await?;
    if let Some(limiter) = &counter.limiter {
        limiter.until_ready().await;
    }
    let now = desk.clock.now();
    let sending: Vec<Delivery> = waiting.iter().map(|delivery| begun(delivery, now, pace)).collect();
    write(desk, sending.clone()).await?;

    let attempt = tokio::time::timeout(pace.timeout, desk.target.deliver(&counter.destination, &sending));
    let outcomes = attempt.await.unwrap_or_else(|_| {
        let error = format!("no answer within {:.0?}", pace.timeout);
        Outcome::ForNow { error, retry_after: None }.for_all(&sending)
    });

    let now = desk.clock.now();
    let away_until = counter.note(&outcomes, now, pace);
    let taken = outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Left));
    let pause = match taken {
        true if desk.closing.load(Ordering::SeqCst) => Duration::ZERO,
        true => pace.gather,
        false => pace.backoff.after(1),
    };
    let outcomes = outcomes.into_iter().chain(std::iter::repeat(Outcome::Left));
    let ended: Vec<Delivery> = sending
        .into_iter()
        .zip(outcomes.clone())
        .zip(&waiting)
        .map(|((sent, outcome), before)| match outcome {
            Outcome::Left => left(before, now, pause),
            outcome => ended(sent, outcome, now, away_until, pace),
        })
        .collect();
    write(desk, ended.clone()).await?;
    tell(desk, counter, &ended, outcomes).await;
    Ok(())
}

/// Under way. Should we die now, the next start finds out when to try again.
fn begun(waiting: &Delivery, now: Time, pace: &Pace) -> Delivery {
    let attempts = waiting.attempts.saturating_add(1);
    Delivery {
        state: State::Sending,
        attempts,
        last_try: Some(now),
        next_try: now + pace.backoff.after(attempts),
        ..waiting.clone()
    }
}

fn left(before: &Delivery, now: Time, pause: Duration) -> Delivery {
    let state = if before.attempts == 0 { State::Waiting } else { State::Retrying };
    Delivery { state, last_try: Some(now), next_try: now + pause, ..before.clone() }
}

/// `away_until` is when the destination is tried again, if it is away.
fn ended(sent: Delivery, outcome: Outcome, now: Time, away_until: Option<Time>, pace: &Pace) -> Delivery {
    match outcome {
        Outcome::Delivered { answer } => Delivery { state: State::Delivered, detail: answer.map(short), ..sent },
        Outcome::ForGood { error } => Delivery { state: State::Dead, detail: Some(short(error)), ..sent },
        Outcome::ForNow { error, .. } | Outcome::Away { error }
            if pace.give_up.is_some_and(|limit| now.since(sent.created) >= limit) =>
        {
            Delivery { state: State::Dead, detail: Some(short(error)), ..sent }
        }
        Outcome::Away { error } => {
            let next_try = away_until.unwrap_or(now);
            Delivery { state: State::Retrying, next_try, detail: Some(short(error)), ..sent }
        }
        Outcome::ForNow { error, retry_after } => {
            let pause = pace.backoff.after(sent.attempts).max(retry_after.unwrap_or_default());
            Delivery { state: State::Retrying, next_try: now + pause, detail: Some(short(error)), ..sent }
        }
        Outcome::Left => sent,
    }
}

fn short(detail: String) -> String {
    match detail.char_indices().nth(DETAIL) {
        Some((end, _)) => format!("{}…", &detail[..end]),
        None => detail,
    }
}

/// Says in the log and among the events what people should know of this attempt.
async fn tell<T: Target>(
    desk: &Desk<T>,
    counter: &Counter,
    ended: &[Delivery],
    outcomes: impl Iterator<Item = Outcome>,
) {
    let first_error = ended.iter().zip(outcomes).find_map(|(_, outcome)| match outcome {
        Outcome::ForNow { error, .. } | Outcome::Away { error } => Some(error),
        Outcome::Delivered { .. } | Outcome::ForGood { .. } | Outcome::Left => None,
    });
    match first_error {
        Some(error) => {
            let next = ended.iter().filter(|delivery| delivery.state == State::Retrying).map(|d| d.next_try).min();
            let pause = next.map(|next| next.since(desk.clock.now())).unwrap_or_default();
            tracing::warn!("{} {}: {error}; trying again in {pause:.0?}", desk.path, counter.destination);
            desk.failed(counter, &error).await;
        }
        None if ended.iter().any(|delivery| delivery.state == State::Delivered) => desk.succeeded(counter).await,
        None => {}
    }
    for delivery in ended {
        let word = match delivery.state {
            State::Dead => "dead",
            State::Delivered if delivery.attempts > 1 => "delivered",
            _ => continue,
        };
        if delivery.state == State::Dead {
            let why = delivery.detail.as_deref().unwrap_or("no reason given");
            tracing::error!("{} {}: {} is given up: {why}", desk.path, counter.destination, delivery.id);
        }
        let delivery = DeliveryState {
            id: delivery.id.clone(),
            target: delivery.target.clone(),
            state: word.to_owned(),
            detail: delivery.detail.as_ref().map(|detail| json!(detail)),
        };
        desk.record(Event::DeliveryState { delivery }).await;
    }
}
