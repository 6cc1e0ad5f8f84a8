//! The actor of one dialect: has what it is sent read, stored with its changes, and only then answered.
//!
//! Whatever it answered with 2xx is there after any crash, whole. A delivery that comes again under the name its sender
//! gave it adds nothing, and gets its first answer again.

use super::{Dialect, LARGE, Refused, Request, Said, delivery_id, poller, read, stored};
use crate::changes::SourceView;
use crate::clock::Clock;
use crate::db::inbox::{self, Packed, Received};
use crate::db::{Db, DbError};
use crate::master::AddChanges;
use crate::model::{Origin, Vcs};
use crate::supervise::{Child, Group, Pause, Policy, WhenExhausted};
use actix::prelude::*;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What the hooks of one web server need.
#[derive(Clone)]
pub struct Setup {
    pub db: Db,
    pub clock: Clock,
    /// Takes the changes: the master.
    pub add: Recipient<AddChanges>,
    /// The change sources at work.
    pub sources: watch::Receiver<Vec<SourceView>>,
    /// The branch it is started under.
    pub group: Group,
}

/// A running hook.
pub struct Hook {
    pub addr: Addr<ChangeHook>,
    child: Child<ChangeHook>,
}

impl Hook {
    /// Ends it; what it has begun to store is stored.
    pub async fn stop(self) {
        self.child.stop().await;
    }
}

/// A request for a dialect. Whoever sends it has asked for the password, if there is one.
#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Deliver(pub Request);

/// What somebody wants to be taken in once more, as if it had just come.
#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Replay(pub Received);

/// What the sender is told, as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn new(status: u16, text: impl Into<String>) -> Answer {
        Answer { status, text: text.into() }
    }

    /// Nothing is stored: its sender is to deliver again.
    fn again() -> Answer {
        Answer::new(503, "this cannot be stored just now; deliver it again")
    }
}

/// The answers of 0.8: nothing but its status says that there were changes.
const ADDED: (u16, &str) = (202, "");
const NOTHING: (u16, &str) = (200, "no changes found");

/// As much is kept of the body of a request that was refused.
const KEPT_OF_REFUSED: usize = 64 * 1024;

/// Starts the hook of a dialect; `name` is its place in the tree.
pub fn start(setup: &Setup, name: &str, dialect: &str, options: Dialect) -> Hook {
    let policy = Policy {
        pause: Pause::Exponential { first: Duration::from_millis(50), cap: Duration::from_secs(10) },
        max_restarts: 20,
        window: Duration::from_secs(60),
        when_exhausted: WhenExhausted::Park,
    };
    let desk = Desk { setup: setup.clone(), dialect: dialect.to_owned(), options: Arc::new(options) };
    let child = setup.group.start(name, policy, move |_, _| ChangeHook { desk });
    Hook { addr: child.addr.clone(), child }
}

pub struct ChangeHook {
    desk: Desk,
}

impl Actor for ChangeHook {
    type Context = Context<Self>;
}

impl Supervised for ChangeHook {
    /// It has no state of its own.
    fn restarting(&mut self, _: &mut Context<Self>) {}
}

impl Handler<Deliver> for ChangeHook {
    type Result = ResponseActFuture<Self, Answer>;

    fn handle(&mut self, Deliver(request): Deliver, _: &mut Context<Self>) -> Self::Result {
        let desk = self.desk.clone();
        Box::pin(async move { desk.deliver(request).await }.into_actor(self))
    }
}

impl Handler<Replay> for ChangeHook {
    type Result = ResponseActFuture<Self, Answer>;

    fn handle(&mut self, Replay(received): Replay, _: &mut Context<Self>) -> Self::Result {
        let desk = self.desk.clone();
        Box::pin(async move { desk.replay(received).await }.into_actor(self))
    }
}

#[derive(Clone)]
struct Desk {
    setup: Setup,
    dialect: String,
    options: Arc<Dialect>,
}

impl Desk {
    async fn deliver(self, request: Request) -> Answer {
        let delivery = delivery_id(&self.dialect, &request);
        let received = Received { delivery, ..self.received(&request) };
        let options = Arc::clone(&self.options);
        self.take(request, &options, received).await
    }

    /// What was accepted is known to be from its sender. What was not has to show that now: a secret may have been put
    /// right meanwhile.
    async fn replay(self, earlier: Received) -> Answer {
        let request = match stored::request(&earlier) {
            Ok(request) if request.body.len() as i64 == earlier.size => request,
            Ok(_) => return Answer::new(409, "only the beginning of this request was kept"),
            Err(cause) => return Answer::new(409, format!("this request cannot be read any more: {cause}")),
        };
        let mut options = Arc::clone(&self.options);
        if earlier.is_accepted() {
            options = Arc::new(Dialect { secret: None, strict: false, ..(*options).clone() });
        }
        let received = Received { replay_of: Some(earlier.id), ..self.received(&request) };
        self.take(request, &options, received).await
    }

    async fn take(&self, request: Request, options: &Dialect, received: Received) -> Answer {
        let read = self.read(&request, options).await;
        let most = if read.is_ok() { request.body.len() } else { KEPT_OF_REFUSED };
        let received = Received { body: packed(request.body, most).await, ..received };
        // Only who could have it taken in is told what it was answered.
        if let (Ok(_), Some(delivery)) = (&read, &received.delivery) {
            match self.first_answer(delivery).await {
                Ok(None) => {}
                Ok(Some(answer)) | Err(answer) => return answer,
            }
        }
        match read {
            Ok((said, _)) if !said.changes.is_empty() => self.add(said, received).await,
            Ok((said, pollers)) => {
                pollers.iter().for_each(SourceView::poll_now);
                let reason = said.ignored.unwrap_or_default();
                let (status, answer) = NOTHING;
                self.keep(Received { event: said.event, status, answer: answer.to_owned(), reason, ..received }).await
            }
            Err(refused) => {
                let (status, reason) = (refused.status(), refused.to_string());
                tracing::warn!("change_hook/{}: a request is refused: {reason}", self.dialect);
                self.keep(Received { status, answer: reason.clone(), reason, ..received }).await
            }
        }
    }

    /// What a request says, and what is to be polled because of it.
    async fn read(&self, request: &Request, options: &Dialect) -> Result<(Said, Vec<SourceView>), Refused> {
        let mut said = read(&self.dialect, options, request, self.setup.clock.now()).await?;
        for change in &mut said.changes {
            change.origin = Some(Origin::Hook(self.dialect.clone()));
        }
        let pollers = match &*self.dialect {
            "poller" => chosen(request, options, &self.setup.sources.borrow())?,
            _ => Vec::new(),
        };
        Ok((said, pollers))
    }

    async fn add(&self, said: Said, received: Received) -> Answer {
        let (status, answer) = ADDED;
        let received = Received { event: said.event, status, answer: answer.to_owned(), ..received };
        let (id, delivery) = (received.id, received.delivery.clone());
        let (count, event) = (said.changes.len(), received.event.clone());
        let vcs = said.vcs.and_then(Vcs::named);
        match self.setup.add.send(AddChanges { changes: said.changes, vcs, received }).await {
            Ok(Ok(_)) => {
                tracing::info!("change_hook/{}: {count} changes of {}", self.dialect, event.escape_debug());
                Answer::new(status, answer)
            }
            // It may be stored all the same, by this very request or by the same one just before.
            other => {
                if let Ok(Err(why)) = other {
                    tracing::warn!("change_hook/{}: {count} changes are not taken: {why}", self.dialect);
                }
                self.stored(id, delivery).await
            }
        }
    }

    /// Stores what brings no changes, and answers.
    async fn keep(&self, received: Received) -> Answer {
        let answer = Answer::new(received.status, received.answer.clone());
        let (id, delivery) = (received.id, received.delivery.clone());
        match self.setup.db.write(move |conn| inbox::put(conn, &received)).await {
            Ok(()) => answer,
            Err(DbError::Repeated) => self.stored(id, delivery).await,
            // That it was refused is true whether it can be stored or not.
            Err(_) if answer.status >= 300 => answer,
            Err(cause) => {
                tracing::error!("change_hook/{}: cannot store a request: {cause}", self.dialect);
                Answer::again()
            }
        }
    }

    /// The answer to what may be stored.
    async fn stored(&self, id: i64, delivery: Option<String>) -> Answer {
        if let Some(delivery) = delivery {
            return match self.first_answer(&delivery).await {
                Ok(Some(answer)) | Err(answer) => answer,
                Ok(None) => Answer::again(),
            };
        }
        match self.setup.db.read(move |conn| inbox::find(conn, id)).await {
            Ok(Some(received)) => Answer::new(received.status, received.answer),
            _ => Answer::again(),
        }
    }

    /// What this delivery was answered when it came first; an answer for now if that cannot be read.
    async fn first_answer(&self, delivery: &str) -> Result<Option<Answer>, Answer> {
        let (dialect, delivery) = (self.dialect.clone(), delivery.to_owned());
        match self.setup.db.read(move |conn| inbox::answer_to(conn, &dialect, &delivery)).await {
            Ok(found) => Ok(found.map(|(status, text)| Answer { status, text })),
            Err(cause) => {
                tracing::error!("change_hook/{}: cannot look for a delivery: {cause}", self.dialect);
                Err(Answer::again())
            }
        }
    }

    /// A request as it is kept, without what comes of it.
    fn received(&self, request: &Request) -> Received {
        stored::of(self.setup.db.ids().hook_request(), self.setup.clock.now(), &self.dialect, request)
    }
}

/// As much of a body, for the inbox.
async fn packed(mut body: Bytes, most: usize) -> Packed {
    body.truncate(most);
    if body.len() <= LARGE {
        return Packed::of(&body);
    }
    // One that cannot be packed, as the program ends, is not stored either.
    tokio::task::spawn_blocking(move || Packed::of(&body)).await.unwrap_or_default()
}

/// The pollers that a request starts.
fn chosen(request: &Request, options: &Dialect, sources: &[SourceView]) -> Result<Vec<SourceView>, Refused> {
    let there: Vec<(String, &SourceView)> =
        sources.iter().filter(|view| view.polls()).map(|view| (view.status().name, view)).collect();
    let names: Vec<String> = there.iter().map(|(name, _)| name.clone()).collect();
    let chosen = poller::choose(&poller::read(request)?, options.allowed.as_deref(), &names)?;
    let named = there.into_iter().filter(|(name, _)| chosen.contains(name));
    Ok(named.map(|(_, view)| view.clone()).collect())
}
