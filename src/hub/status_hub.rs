use super::handle::{Grew, Record, Subscribe, Unsubscribe};
use super::settle::{Settled, Written, settle, write};
use super::subscriptions::Subscriptions;
use crate::clock::Clock;
use crate::db::{Db, DbError, builders, events};
use crate::model::*;
use actix::prelude::*;
use futures::channel::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How often those whose mailbox was full are tried again while nothing else happens.
const CATCH_UP: Duration = Duration::from_millis(20);
/// How long to wait before the database is asked again where the numbers stand.
const DATABASE_AWAY: Duration = Duration::from_secs(1);

/// The actor everything passes through.
pub struct StatusHub {
    db: Db,
    clock: Clock,
    subscriptions: Arc<Mutex<Subscriptions>>,
    /// Where the numbers stand; read from the database before the first message is handled.
    next: Seq,
    /// The last fact that was told.
    told: Seq,
    /// To the task that settles writes; there from `started` on.
    written: Option<UnboundedSender<Written>>,
    catching_up: bool,
}

impl StatusHub {
    pub fn new(db: Db, clock: Clock) -> StatusHub {
        StatusHub::with(db, clock, Arc::default())
    }

    fn with(db: Db, clock: Clock, subscriptions: Arc<Mutex<Subscriptions>>) -> StatusHub {
        StatusHub { db, clock, subscriptions, next: 1, told: 0, written: None, catching_up: false }
    }

    /// A list that a panic left is whole: each subscription says itself how far it was told.
    fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the writer rather than a reader: it answers after the writes that an earlier hub has queued.
    fn read_standing(&self, ctx: &mut Context<Self>) {
        let read = standing(self.db.clone()).into_actor(self);
        ctx.wait(read.map(|(last, builders), hub, ctx| {
            hub.next = last + 1;
            hub.told = last;
            {
                let mut subscriptions = hub.subscriptions();
                subscriptions.know_builders(builders);
                subscriptions.stored_meanwhile(last);
            }
            hub.catch_up(ctx);
        }));
    }

    fn catch_up(&mut self, ctx: &mut Context<Self>) {
        let lagging = self.subscriptions().catch_up(self.told);
        if lagging && !self.catching_up {
            self.catching_up = true;
            ctx.run_later(CATCH_UP, |hub, ctx| {
                hub.catching_up = false;
                hub.catch_up(ctx);
            });
        }
    }
}

async fn standing(db: Db) -> (Seq, Vec<Builder>) {
    loop {
        let read: Result<_, DbError> = db.write(|conn| Ok((events::last(conn)?, builders::all(conn)?))).await;
        match read {
            Ok(standing) => return standing,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "StatusHub: cannot read the last event number; nothing is recorded until it can; trying again"
                );
                tokio::time::sleep(DATABASE_AWAY).await;
            }
        }
    }
}

impl Actor for StatusHub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (written, outcomes) = unbounded_channel();
        let (settled, facts) = mpsc::unbounded();
        actix_rt::spawn(settle(outcomes, settled));
        self.written = Some(written);
        ctx.add_stream(facts);
        self.read_standing(ctx);
    }
}

impl Supervised for StatusHub {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = StatusHub::with(self.db.clone(), self.clock.clone(), Arc::clone(&self.subscriptions));
    }
}

impl Handler<Record> for StatusHub {
    type Result = ();

    fn handle(&mut self, Record { events, beside, reply, counted }: Record, _: &mut Self::Context) {
        let at = self.clock.now();
        let number = |(seq, event)| Stored { seq, at, event };
        let facts: Vec<Stored> = (self.next..).zip(events).map(number).collect();
        self.next = facts.last().map_or(self.next, |fact| fact.seq + 1);
        if let Some(written) = &self.written {
            write(&self.db, facts, beside, reply, written.clone());
        }
        drop(counted);
    }
}

impl StreamHandler<Settled> for StatusHub {
    fn handle(&mut self, facts: Settled, ctx: &mut Self::Context) {
        for fact in facts.iter().flat_map(|facts| facts.events()) {
            self.told = fact.seq;
            self.subscriptions().tell(fact);
        }
        self.catch_up(ctx);
    }
}

impl Handler<Grew> for StatusHub {
    type Result = ();

    fn handle(&mut self, Grew(grew): Grew, ctx: &mut Self::Context) {
        self.subscriptions().tell_growth(grew);
        self.catch_up(ctx);
    }
}

impl Handler<Subscribe> for StatusHub {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, _: &mut Self::Context) {
        let Subscribe { name, interest, to, mailbox, reply } = subscribe;
        let told = self.told;
        let id = self.subscriptions().add(name, interest, to, mailbox, told);
        if reply.send((id, told)).is_err() {
            // Nobody waited for the id, so nobody could ever end it.
            self.subscriptions().remove(id);
        }
    }
}

impl Handler<Unsubscribe> for StatusHub {
    type Result = ();

    fn handle(&mut self, Unsubscribe(id): Unsubscribe, _: &mut Self::Context) {
        self.subscriptions().remove(id);
    }
}
