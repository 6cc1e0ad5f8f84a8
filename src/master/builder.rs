//! A builder: its queue of requests, and the turns in which it starts builds.
//!
//! The truth about the queue is in the database; what is kept here is a copy, read anew whenever someone says that it
//! has changed and after every restart. Turns, looks and cancellations are handled one at a time, so that no request is
//! cancelled while it is being started, and none is started twice.

use super::house::{House, chain};
use super::orders::Refused;
use super::turn;
use crate::config::BuilderConfig;
use crate::db::requests;
use crate::model::*;
use actix::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::error;

pub(super) struct Builder {
    name: String,
    house: Arc<House>,
    /// Set by whoever changes the stored queue.
    stale: Arc<AtomicBool>,
    /// Oldest first.
    pending: Vec<BuildRequest>,
}

/// When the oldest waiting request was submitted; `None` when nothing waits.
#[derive(Message)]
#[rtype(result = "Option<Time>")]
pub(super) struct Look;

/// Start every build that can be started now. Answers true when some request waits for what a function of the
/// configuration says, so that asking again later may help.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct TakeTurn;

/// Take a request out of the queue.
#[derive(Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Cancel(pub i64);

impl Builder {
    pub fn new(name: &str, house: Arc<House>, stale: Arc<AtomicBool>) -> Builder {
        stale.store(true, Ordering::SeqCst);
        Builder { name: name.to_owned(), house, stale, pending: Vec::new() }
    }

    fn config(&self) -> Option<Arc<BuilderConfig>> {
        self.house.config().builders.iter().find(|builder| builder.name == self.name).cloned()
    }

    /// The queue as it stands: the copy, or what the database has where the copy is out of date.
    fn queue(&self) -> impl Future<Output = Vec<BuildRequest>> + use<> {
        let known = (!self.stale.swap(false, Ordering::SeqCst)).then(|| self.pending.clone());
        let (house, name, stale) = (self.house.clone(), self.name.clone(), self.stale.clone());
        async move {
            if let Some(known) = known {
                return known;
            }
            let builder = name.clone();
            house.db.read(move |conn| requests::pending(conn, Some(&builder))).await.unwrap_or_else(|cause| {
                stale.store(true, Ordering::SeqCst);
                error!(
                    "builder {name}: cannot read its queue: {}; nothing is started until it can be read",
                    chain(&cause)
                );
                Vec::new()
            })
        }
    }
}

impl Actor for Builder {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.house.nudge.notify_one();
    }
}

impl Supervised for Builder {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Builder::new(&self.name, self.house.clone(), self.stale.clone());
    }
}

impl Handler<Look> for Builder {
    type Result = AtomicResponse<Self, Option<Time>>;

    fn handle(&mut self, _: Look, _: &mut Context<Self>) -> Self::Result {
        let queue = self.queue().into_actor(self);
        AtomicResponse::new(Box::pin(queue.map(|queue, builder, _| {
            builder.pending = queue;
            if builder.pending.is_empty() {
                builder.house.set_waiting(&builder.name, BTreeMap::new());
            }
            builder.pending.iter().map(|request| request.submitted_at).min()
        })))
    }
}

impl Handler<TakeTurn> for Builder {
    type Result = AtomicResponse<Self, bool>;

    fn handle(&mut self, _: TakeTurn, _: &mut Context<Self>) -> Self::Result {
        let (queue, house, config) = (self.queue(), self.house.clone(), self.config());
        let turn = async move {
            let queue = queue.await;
            match config {
                Some(config) => turn::take(&house, &config, queue).await,
                None => turn::Taken::nothing(queue),
            }
        };
        AtomicResponse::new(Box::pin(turn.into_actor(self).map(|taken, builder, _| {
            builder.house.set_waiting(&builder.name, taken.reasons());
            builder.pending = taken.left;
            taken.ask_again
        })))
    }
}

impl Handler<Cancel> for Builder {
    type Result = AtomicResponse<Self, Result<(), Refused>>;

    fn handle(&mut self, Cancel(id): Cancel, _: &mut Context<Self>) -> Self::Result {
        let (house, builder) = (self.house.clone(), self.name.clone());
        let cancelled = async move { cancel(&house, Some(&builder), id).await };
        AtomicResponse::new(Box::pin(cancelled.into_actor(self).map(move |result, builder, _| {
            builder.pending.retain(|request| request.id != id);
            builder.stale.store(true, Ordering::SeqCst);
            builder.house.nudge.notify_one();
            result
        })))
    }
}

/// Records that a request is cancelled, if it still waits. `builder`: whose queue to look through, `None` for all.
pub(super) async fn cancel(house: &House, builder: Option<&str>, id: i64) -> Result<(), Refused> {
    let wanted = builder.map(str::to_owned);
    let pending = house.db.read(move |conn| requests::pending(conn, wanted.as_deref())).await;
    let pending = pending.map_err(|cause| Refused::NotNow(format!("the queue cannot be read: {}", chain(&cause))))?;
    let Some(mut request) = pending.into_iter().find(|request| request.id == id) else {
        return Err(Refused::NotFound(format!("request {id} is not waiting")));
    };
    request.complete_at = Some(house.clock.now());
    request.results = Some(Results::Cancelled);
    let gone = |_| Refused::NotNow("the program is ending".to_owned());
    house.record(vec![Event::RequestCancelled { request }]).await.map_err(gone)
}
