use super::HubError;
use crate::db::events::{self, Prepared};
use crate::db::{Beside, Db, DbError};
use crate::model::*;
use futures::channel::mpsc;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

/// Facts that are stored, to be told; in the order of their numbers.
pub(super) type Settled = Vec<Arc<Prepared>>;

/// Whom to answer that facts are stored.
pub(super) type Reply = oneshot::Sender<Result<Vec<Seq>, HubError>>;

/// How many writes are handed back at once; they mostly come by the commit.
const AT_ONCE: usize = 256;

/// What came of a write.
pub(super) struct Written {
    facts: Arc<Prepared>,
    outcome: Result<(), DbError>,
    reply: Reply,
}

/// Queues a write at once; what comes of it goes to `written`, in the order of the calls.
pub(super) fn write(db: &Db, facts: Vec<Stored>, beside: Vec<Beside>, reply: Reply, written: UnboundedSender<Written>) {
    let prepared = match events::prepare(facts) {
        Ok(prepared) => prepared,
        Err(cause) => {
            // Who does not wait for the answer does not need it.
            let _ = reply.send(Err(cause.into()));
            return;
        }
    };
    let facts = Arc::clone(&prepared);
    let job = move |conn: &mut crate::db::Conn| {
        events::append(conn, &prepared)?;
        beside.iter().try_for_each(|beside| beside.put(conn))
    };
    db.write_then(job, move |outcome| {
        // It listens for as long as anything is under way.
        let _ = written.send(Written { facts, outcome, reply });
    });
}

/// Answers the recorders and hands the stored facts back to the hub, in order.
///
/// Runs beside the hub, so that a panic there costs nobody the answer; ends once the hub has gone and all is written.
pub(super) async fn settle(mut written: UnboundedReceiver<Written>, settled: mpsc::UnboundedSender<Settled>) {
    let mut some = Vec::new();
    while written.recv_many(&mut some, AT_ONCE).await > 0 {
        // Nobody listens after a panic of the hub: the next hub tells subscribers of the gap.
        let _ = settled.unbounded_send(some.drain(..).filter_map(answer).collect());
    }
}

/// Answers the recorder; what is stored.
fn answer(Written { facts, outcome, reply }: Written) -> Option<Arc<Prepared>> {
    let (answer, stored) = match outcome {
        Ok(()) => (Ok(facts.events().iter().map(|fact| fact.seq).collect()), Some(facts)),
        Err(cause) => (Err(cause.into()), None),
    };
    // Who does not wait for the answer does not need it.
    let _ = reply.send(answer);
    stored
}
