use super::again;
use super::desk::{DATABASE_AWAY, Desk};
use super::{Letter, Target};
use crate::db::outbox::{Delivery, State};
use crate::db::{Conn, DbError, builders, cursors, events, outbox, state};
use crate::hub::{HubError, Interest, Told};
use crate::model::*;
use crate::supervise::Gauges;
use actix::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many events are read and composed at once.
const BATCH: i64 = 100;
/// A target that wants none of the events does not write its cursor for each of them.
const CURSOR_LAG: Seq = 1000;

/// Turns events into deliveries for one target.
pub(super) struct Composer<T: Target> {
    desk: Arc<Desk<T>>,
}

impl<T: Target> Composer<T> {
    pub(super) fn new(desk: Arc<Desk<T>>) -> Composer<T> {
        Composer { desk }
    }
}

impl<T: Target> Actor for Composer<T> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let gauges = self.desk.gauges().clone();
        ctx.spawn(compose(Arc::clone(&self.desk), ctx.address().recipient(), gauges).into_actor(self));
    }
}

impl<T: Target> Supervised for Composer<T> {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Composer::new(Arc::clone(&self.desk));
    }
}

impl<T: Target> Handler<Told> for Composer<T> {
    type Result = ();

    /// Whatever it is, the database has it; only then it was told.
    fn handle(&mut self, _: Told, _: &mut Self::Context) {
        self.desk.composing.ring();
    }
}

async fn compose<T: Target>(desk: Arc<Desk<T>>, to: Recipient<Told>, gauges: Gauges) {
    while let Err(error) = subscribe(&desk, to.clone(), &gauges).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "{}: cannot subscribe; trying again", desk.path);
        tokio::time::sleep(DATABASE_AWAY).await;
    }
    let mut cursor = loop {
        match cursor_of(&desk).await {
            Ok(seq) => break Cursor { seq, stored: seq },
            Err(error) => desk.database_away("read how far it got", &error).await,
        }
    };
    wake_all(&desk).await;
    loop {
        let rung = desk.composing.rung();
        match step(&desk, &mut cursor).await {
            Ok(true) => {}
            Ok(false) => {
                desk.composing.answer(rung);
                desk.composing.rest().await;
            }
            Err(error) => desk.database_away("compose its deliveries", &error).await,
        }
    }
}

async fn subscribe<T: Target>(desk: &Desk<T>, to: Recipient<Told>, gauges: &Gauges) -> Result<(), HubError> {
    let mailbox = Some(Arc::clone(&gauges.mailbox));
    desk.hub.subscribe(&desk.path, Interest::Everything, to, mailbox).await.map(drop)
}

/// How far the target got: up to `seq`, of which `stored` is safe.
struct Cursor {
    seq: Seq,
    stored: Seq,
}

/// One batch of events. `false` when there was none.
async fn step<T: Target>(desk: &Arc<Desk<T>>, cursor: &mut Cursor) -> Result<bool, DbError> {
    let (kept, after) = (Arc::clone(desk), cursor.seq);
    let Some(gathered) = desk.db.read(move |conn| gather(&kept, conn, after)).await? else { return Ok(false) };
    let Gathered { upto, facts, wakes } = gathered;
    let letters = compose_all(desk, facts).await?;
    if !letters.is_empty() || upto - cursor.stored >= CURSOR_LAG {
        insert(desk, letters, upto).await?;
        cursor.stored = upto;
    }
    cursor.seq = upto;
    if wakes {
        desk.try_now();
        wake_all(desk).await;
    }
    Ok(true)
}

/// Some events as read, and what is to be known of those the target wants.
struct Gathered<F> {
    upto: Seq,
    facts: Vec<(Stored, F)>,
    /// Something dead waits again.
    wakes: bool,
}

fn gather<T: Target>(desk: &Desk<T>, conn: &mut Conn, after: Seq) -> Result<Option<Gathered<T::Facts>>, DbError> {
    let read = events::after(conn, after, BATCH)?;
    let Some(upto) = read.last().map(|fact| fact.seq) else { return Ok(None) };
    let wakes = read.iter().any(|fact| again::wakes(&fact.event, desk.target.name()));
    let mut facts = Vec::new();
    for fact in read.into_iter().filter(|fact| desk.target.wanted(&fact.event)) {
        let gathered = desk.target.gather(conn, &fact)?;
        facts.push((fact, gathered));
    }
    Ok(Some(Gathered { upto, facts, wakes }))
}

/// On a thread that may block: functions of the configuration may have a say.
async fn compose_all<T: Target>(
    desk: &Arc<Desk<T>>,
    facts: Vec<(Stored, T::Facts)>,
) -> Result<Vec<(Seq, Vec<Letter>)>, DbError> {
    if facts.is_empty() {
        return Ok(Vec::new());
    }
    let kept = Arc::clone(desk);
    let composing = tokio::task::spawn_blocking(move || {
        let compose = |(fact, gathered): (Stored, T::Facts)| (fact.seq, kept.target.compose(&fact, gathered));
        let letters = facts.into_iter().map(compose).filter(|(_, letters)| !letters.is_empty());
        letters.collect::<Vec<(Seq, Vec<Letter>)>>()
    });
    let letters = match composing.await {
        Ok(letters) => letters,
        Err(fallen) => match fallen.try_into_panic() {
            // It restarts as any other part that falls.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program is about to end.
            Err(_) => return Err(DbError::Closed),
        },
    };
    desk.gauges().complain(desk.target.complaint());
    Ok(letters)
}

/// Inserts the deliveries and advances the cursor, together.
async fn insert<T: Target>(desk: &Arc<Desk<T>>, letters: Vec<(Seq, Vec<Letter>)>, upto: Seq) -> Result<(), DbError> {
    let now = desk.clock.now();
    let name = desk.target.name().to_owned();
    let mut deliveries = Vec::new();
    for (seq, letters) in letters {
        let ids = ids(&name, seq, &letters);
        deliveries.extend(letters.into_iter().zip(ids).map(|(letter, id)| delivery(&name, seq, id, letter, now)));
    }
    let destinations: BTreeSet<String> = deliveries.iter().map(|delivery| delivery.destination.clone()).collect();

    let kept = Arc::clone(desk);
    let write = desk.db.write(move |conn| {
        // An earlier self may have got there first, with its last breath.
        if cursors::get(conn, &name)?.is_some_and(|stored| stored >= upto) {
            return Ok(());
        }
        number_and_insert(&kept.target, conn, &mut deliveries)?;
        cursors::put(conn, &name, upto)
    });
    write.await?;
    destinations.iter().for_each(|destination| desk.wake(destination));
    if !destinations.is_empty() {
        desk.count_backlog().await;
    }
    Ok(())
}

/// `<target>/<seq>`, with `/<n>` from 1 where there are several; those that have a name of their own, by that.
fn ids(target: &str, seq: Seq, letters: &[Letter]) -> Vec<String> {
    let id = |(n, letter): (usize, &Letter)| match &letter.name {
        Some(name) => format!("{target}/{name}"),
        None if letters.len() == 1 => format!("{target}/{seq}"),
        None => format!("{target}/{seq}/{}", n + 1),
    };
    letters.iter().enumerate().map(id).collect()
}

fn delivery(target: &str, seq: Seq, id: String, letter: Letter, now: Time) -> Delivery {
    Delivery {
        id,
        target: target.to_owned(),
        destination: letter.destination,
        key: letter.key,
        lane: letter.lane,
        about: letter.about,
        seq,
        payload: letter.payload,
        state: State::Waiting,
        attempts: 0,
        created: now,
        last_try: None,
        next_try: letter.due.map_or(now, |due| due.max(now)),
        detail: None,
    }
}

fn number_and_insert<T: Target>(target: &T, conn: &mut Conn, deliveries: &mut [Delivery]) -> Result<(), DbError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let object = object(target.name());
    let last = state::get(conn, &object, "ordinal")?.and_then(|last| last.as_i64()).unwrap_or(0);
    let mut ordinal = last;
    for delivery in deliveries.iter_mut() {
        ordinal += 1;
        target.number(&mut delivery.payload, ordinal);
    }
    outbox::insert(conn, deliveries)?;
    state::put(conn, &state::Put { object, key: "ordinal".to_owned(), value: json!(ordinal) })
}

fn object(target: &str) -> String {
    format!("outbox/{target}")
}

/// When this target was first started in this installation.
pub fn started(conn: &mut Conn, target: &str) -> Result<Option<Time>, DbError> {
    let started = state::get(conn, &object(target), "started")?;
    Ok(started.and_then(|started| started.as_i64()).map(Time))
}

/// Where the target got to; one never seen before starts at the newest event, with its introduction.
async fn cursor_of<T: Target>(desk: &Arc<Desk<T>>) -> Result<Seq, DbError> {
    let name = desk.target.name().to_owned();
    if let Some(seq) = desk.db.read(move |conn| cursors::get(conn, &name)).await? {
        return Ok(seq);
    }
    let (kept, now) = (Arc::clone(desk), desk.clock.now());
    desk.db.write(move |conn| introduce(&kept.target, conn, now)).await
}

fn introduce<T: Target>(target: &T, conn: &mut Conn, now: Time) -> Result<Seq, DbError> {
    let name = target.name();
    if let Some(seq) = cursors::get(conn, name)? {
        return Ok(seq);
    }
    let seq = events::last(conn)?;
    state::put(conn, &state::Put { object: object(name), key: "started".to_owned(), value: json!(now.0) })?;
    let builders = builders::all(conn)?.into_iter().map(|builder| builder.name).collect();
    let fact = Stored { seq, at: now, event: Event::ConfigReloaded { builders } };
    if target.wanted(&fact.event) {
        let facts = target.gather(conn, &fact)?;
        let letters = target.compose(&fact, facts);
        let numbered = letters.into_iter().zip(1..).map(|(letter, n)| (letter, format!("{name}/{seq}/start-{n}")));
        let mut deliveries: Vec<Delivery> = numbered.map(|(letter, id)| delivery(name, seq, id, letter, now)).collect();
        number_and_insert(target, conn, &mut deliveries)?;
    }
    cursors::put(conn, name, seq)?;
    Ok(seq)
}

/// Wakes every destination something waits for.
async fn wake_all<T: Target>(desk: &Arc<Desk<T>>) {
    loop {
        let name = desk.target.name().to_owned();
        match desk.db.read(move |conn| outbox::destinations(conn, &name)).await {
            Ok(destinations) => {
                destinations.iter().for_each(|destination| desk.wake(destination));
                desk.count_backlog().await;
                return;
            }
            Err(error) => desk.database_away("read what waits to be sent", &error).await,
        }
    }
}

/// The target's last words, into the outbox; called once its composer has ended.
pub(super) async fn farewell<T: Target>(desk: &Arc<Desk<T>>) {
    let (kept, now) = (Arc::clone(desk), desk.clock.now());
    let write = desk.db.write(move |conn| {
        let name = kept.target.name();
        let seq = cursors::get(conn, name)?.unwrap_or_default();
        let letters = kept.target.farewell(conn, now)?;
        let numbered = letters.into_iter().zip(1..).map(|(letter, n)| (letter, format!("{name}/{seq}/stop-{now}-{n}")));
        let mut deliveries: Vec<Delivery> = numbered.map(|(letter, id)| delivery(name, seq, id, letter, now)).collect();
        number_and_insert(&kept.target, conn, &mut deliveries)?;
        Ok(deliveries.into_iter().map(|delivery| delivery.destination).collect::<BTreeSet<String>>())
    });
    match write.await {
        Ok(destinations) => destinations.iter().for_each(|destination| desk.wake(destination)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "{}: cannot say farewell", desk.path);
        }
    }
}
