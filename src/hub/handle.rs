use super::settle::Reply;
use super::told::Counted;
use super::{Interest, LogGrew, StatusHub, SubscriptionId, Told};
use crate::db::{Beside, DbError};
use crate::model::*;
use actix::prelude::*;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::oneshot;

/// The means to record facts and to subscribe. Cheap to clone; works on any thread.
///
/// Its messages do not count against the hub's mailbox: their order is that of the calls, and whoever records waits
/// for the answer anyway. A hub that is gone shows in the answer.
#[derive(Clone)]
pub struct Hub {
    addr: Addr<StatusHub>,
    mailbox: Option<Arc<AtomicUsize>>,
}

#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("the event could not be stored")]
    Db(#[from] DbError),
    /// Or it panicked over this very message: it is not known whether it was stored.
    #[error("the status hub is not there")]
    Gone,
}

impl Hub {
    pub fn new(addr: Addr<StatusHub>) -> Hub {
        Hub { addr, mailbox: None }
    }

    /// Shows what waits to be recorded on this gauge.
    pub fn counted_on(self, mailbox: Arc<AtomicUsize>) -> Hub {
        Hub { mailbox: Some(mailbox), ..self }
    }

    /// Numbers, stores and tells; resolves once stored, with the number. Queued at once, in call order.
    pub fn record(&self, event: Event) -> impl Future<Output = Result<Seq, HubError>> + Send + use<> {
        let recorded = self.record_all(vec![event], Vec::new());
        async { recorded.await.and_then(|seqs| seqs.first().copied().ok_or(HubError::Gone)) }
    }

    /// Several facts in one transaction, with what belongs beside them.
    pub fn record_all(
        &self,
        events: Vec<Event>,
        beside: Vec<Beside>,
    ) -> impl Future<Output = Result<Vec<Seq>, HubError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let counted = self.mailbox.as_ref().map(Counted::on);
        self.addr.do_send(Record { events, beside, reply, counted });
        async { answer.await.unwrap_or(Err(HubError::Gone)) }
    }

    /// Tells those who watch the build how far a log reaches; not stored.
    pub fn log_grew(&self, grew: LogGrew) {
        self.addr.do_send(Grew(grew));
    }

    /// From now on; the answer has the last number told before, so that nothing falls between it and a read.
    ///
    /// Facts above the answer are told. A read begun after this may show some of them already: whoever reads on from
    /// the answer ignores what it is told again, by number. `mailbox` counts what waits at the subscriber.
    /// The same `name`, `interest` and recipient again, as after a restart of the subscriber, replace the older one.
    pub fn subscribe(
        &self,
        name: &str,
        interest: Interest,
        to: Recipient<Told>,
        mailbox: Option<Arc<AtomicUsize>>,
    ) -> impl Future<Output = Result<(SubscriptionId, Seq), HubError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.addr.do_send(Subscribe { name: name.to_owned(), interest, to, mailbox, reply });
        async { answer.await.map_err(|_| HubError::Gone) }
    }

    /// What was told before this may still be waiting at the subscriber.
    pub fn unsubscribe(&self, id: SubscriptionId) {
        self.addr.do_send(Unsubscribe(id));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Record {
    pub(super) events: Vec<Event>,
    pub(super) beside: Vec<Beside>,
    pub(super) reply: Reply,
    pub(super) counted: Option<Counted>,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Grew(pub(super) LogGrew);

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Subscribe {
    pub(super) name: String,
    pub(super) interest: Interest,
    pub(super) to: Recipient<Told>,
    pub(super) mailbox: Option<Arc<AtomicUsize>>,
    pub(super) reply: oneshot::Sender<(SubscriptionId, Seq)>,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Unsubscribe(pub(super) SubscriptionId);
