use super::HubError;
use crate::db::{Db, events, state};
use crate::model::*;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Facts that are stored, to be told; in the order of their numbers.
pub(super) type Settled = Vec<Arc<Stored>>;

/// A write that has been queued at the database.
pub(super) struct Write {
    facts: Arc<Vec<Stored>>,
    stored: BoxFuture<'static, Result<(), HubError>>,
    reply: oneshot::Sender<Result<Vec<Seq>, HubError>>,
}

impl Write {
    /// Queues the write at once.
    pub(super) fn queue(
        db: &Db,
        facts: Vec<Stored>,
        state: Vec<state::Put>,
        reply: oneshot::Sender<Result<Vec<Seq>, HubError>>,
    ) -> Write {
        let facts = Arc::new(facts);
        let written = Arc::clone(&facts);
        let write = db.write(move |conn| {
            events::append(conn, &written)?;
            state.iter().try_for_each(|put| state::put(conn, put))
        });
        Write { facts, stored: Box::pin(async { Ok(write.await?) }), reply }
    }

    async fn settle(self) -> Settled {
        let stored = self.stored.await;
        let seqs = self.facts.iter().map(|fact| fact.seq).collect();
        let told = stored.is_ok();
        // Who does not wait for the answer does not need it.
        let _ = self.reply.send(stored.map(|()| seqs));
        let facts = if told { Arc::unwrap_or_clone(self.facts) } else { Vec::new() };
        facts.into_iter().map(Arc::new).collect()
    }
}

/// Answers the recorders and hands the stored facts back to the hub, in order.
///
/// Runs beside the hub, so that a panic there costs nobody the answer; ends once the hub has gone and all is written.
pub(super) async fn settle(mut queued: mpsc::UnboundedReceiver<Write>, settled: mpsc::UnboundedSender<Settled>) {
    let mut writing = FuturesOrdered::new();
    let mut open = true;
    while open || !writing.is_empty() {
        tokio::select! {
            write = queued.next(), if open => match write {
                Some(write) => writing.push_back(write.settle()),
                None => open = false,
            },
            Some(facts) = writing.next() => {
                // Nobody listens after a panic of the hub: the next hub tells subscribers of the gap.
                let _ = settled.unbounded_send(facts);
            }
        }
    }
}
