//! The connection of an IRC bot: it owns the socket, and comes back whatever happens to that.
//!
//! A lost connection is tried again after `lostDelay`, one that did not come about after `failedDelay`. The far side
//! being away is never a crash. Passwords go over the connection as it is: without `useSSL` everybody on the way can
//! read those of NickServ and of SASL's PLAIN. Whoever is called NickServ on the network is told the password, so it is
//! for networks that keep this nick for their services.

mod accounts;
mod ctcp;
mod delays;
mod flood;
mod hearing;
mod identification;
mod isupport;
mod joining;
mod lines;
mod message;
mod nickname;
mod pace;
mod registration;
mod session;
pub mod settings;
mod speaking;
mod split;
pub mod tls;

use super::wire::{Do, Heard, Quit, WhoIs};
use crate::supervise::{Child, Group, Pause, Policy, WhenExhausted};
use actix::dev::RecipientRequest;
use actix::prelude::*;
use delays::{Tries, in_words};
use joining::Joining;
use lines::Lines;
use pace::Pace;
use session::{End, EndKind, Session};
use settings::Settings;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tls::Stream;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// So many orders may wait for the connection to look at them; it does so at once, whatever the server does.
const ORDERS: usize = 4096;
/// So many bytes may wait for a server that does not read.
const UNREAD: usize = 64 * 1024;

/// Starts a connection under the bot's branch, called by the host.
pub fn start(group: &Group, settings: Settings, bot: Recipient<Heard>) -> Child<IrcConnection> {
    let policy = Policy {
        pause: Pause::Random { least: Duration::from_secs(1), most: Duration::from_secs(5) },
        max_restarts: 5,
        window: Duration::from_secs(600),
        when_exhausted: WhenExhausted::Park,
    };
    let name = settings.host.clone();
    group.start(&name, policy, |_, _| IrcConnection::new(settings, bot))
}

/// Keeps up a connection, and does with it what the bot wants: [`Do`], [`WhoIs`], [`Quit`].
pub struct IrcConnection {
    settings: Arc<Settings>,
    bot: Recipient<Heard>,
    orders: mpsc::Sender<Order>,
    /// Taken when it starts.
    received: Option<mpsc::Receiver<Order>>,
}

enum Order {
    Do(Do),
    WhoIs(String, oneshot::Sender<Option<String>>),
    Quit(String, oneshot::Sender<()>),
}

impl IrcConnection {
    pub fn new(settings: Settings, bot: Recipient<Heard>) -> IrcConnection {
        IrcConnection::sharing(Arc::new(settings), bot)
    }

    fn sharing(settings: Arc<Settings>, bot: Recipient<Heard>) -> IrcConnection {
        let (orders, received) = mpsc::channel(ORDERS);
        IrcConnection { settings, bot, orders, received: Some(received) }
    }

    fn order(&self, order: Order) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::warn!("IRC {}: too much to do at once; some of it is not done", self.settings.host);
        }
    }
}

impl Actor for IrcConnection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(orders) = self.received.take() {
            let life = Life {
                joining: Joining::new(&self.settings.limits),
                tries: Tries::default(),
                pace: Pace { burst: self.settings.limits.burst, per_line: self.settings.limits.per_line },
                settings: Arc::clone(&self.settings),
                bot: self.bot.clone(),
                orders,
            };
            ctx.spawn(life.live().into_actor(self));
        }
    }
}

impl Supervised for IrcConnection {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = IrcConnection::sharing(Arc::clone(&self.settings), self.bot.clone());
    }
}

impl Handler<Do> for IrcConnection {
    type Result = ();

    fn handle(&mut self, order: Do, _: &mut Context<Self>) {
        self.order(Order::Do(order));
    }
}

impl Handler<WhoIs> for IrcConnection {
    type Result = ResponseFuture<Option<String>>;

    fn handle(&mut self, WhoIs { nick }: WhoIs, _: &mut Context<Self>) -> Self::Result {
        let (asker, answer) = oneshot::channel();
        self.order(Order::WhoIs(nick, asker));
        // Dropped without an answer, nobody is known.
        Box::pin(async { answer.await.ok().flatten() })
    }
}

impl Handler<Quit> for IrcConnection {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Quit { why }: Quit, _: &mut Context<Self>) -> Self::Result {
        let (quitter, gone) = oneshot::channel();
        self.order(Order::Quit(why, quitter));
        // An error says that it has quit before.
        Box::pin(async { drop(gone.await) })
    }
}

/// What outlives a single connection.
struct Life {
    settings: Arc<Settings>,
    bot: Recipient<Heard>,
    orders: mpsc::Receiver<Order>,
    joining: Joining,
    tries: Tries,
    pace: Pace,
}

impl Life {
    /// Connects again and again until it is told to quit.
    async fn live(mut self) {
        loop {
            let settings = Arc::clone(&self.settings);
            let pause = match self.away(tls::connect(&settings)).await {
                None => return,
                Some(Ok(stream)) => match self.speak(stream).await {
                    None => return,
                    Some(pause) => pause,
                },
                Some(Err(error)) => {
                    let pause = self.tries.failed(&self.settings);
                    self.warn(&format!("{error}; trying again in {}", in_words(pause)));
                    pause
                }
            };
            if self.away(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Waits for something while there is no connection; `None` when it is told to quit.
    async fn away<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return Some(done),
                order = self.orders.recv() => match order {
                    Some(Order::Do(Do::Join { channel, key })) => drop(self.joining.want(&channel, key, Instant::now())),
                    Some(Order::Do(Do::Part { channel })) => drop(self.joining.part(&channel)),
                    // Who is not here has nothing to say, and knows nobody.
                    Some(Order::Do(Do::Say { .. })) | Some(Order::WhoIs(..)) => {}
                    Some(Order::Quit(_, quitter)) => {
                        quitter.send(()).ok();
                        return None;
                    }
                    None => return None,
                },
            }
        }
    }

    /// One connection from its beginning to its end. Returns how long to wait for the next; `None` when it was told to quit.
    async fn speak(&mut self, stream: Box<dyn Stream>) -> Option<Duration> {
        let channels = Joining::new(&self.settings.limits);
        let joining = std::mem::replace(&mut self.joining, channels);
        let mut session = Session::begin(&self.settings, joining, self.pace, Instant::now());
        let quitter = self.exchange(&mut session, stream).await;
        while let Some(heard) = session.told() {
            self.tell(heard).await;
        }
        let stood = session.stood(Instant::now());
        let End { kind, why } = session.end().cloned().unwrap_or(End { kind: EndKind::Lost, why: String::new() });
        self.joining = session.into_joining();
        if let Some(quitter) = quitter {
            quitter.send(()).ok();
            return None;
        }
        let pause = match (kind, stood) {
            (EndKind::Refused, _) | (_, None) => self.tries.failed(&self.settings),
            (EndKind::Lost | EndKind::Flooded | EndKind::Quit, Some(stood)) => self.tries.lost(stood, &self.settings),
        };
        if kind == EndKind::Flooded {
            self.pace = self.pace.slower();
        }
        let lost = if stood.is_some() { "connection lost: " } else { "" };
        self.warn(&format!("{lost}{why}; trying again in {}", in_words(pause)));
        if stood.is_some() {
            self.tell(Heard::Lost { why }).await;
        }
        Some(pause)
    }

    /// Carries lines and orders to and fro until the session is over. Returns who waits for that, if it was told to quit.
    async fn exchange(&mut self, session: &mut Session, stream: Box<dyn Stream>) -> Option<oneshot::Sender<()>> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut lines = Lines::default();
        let mut unwritten = Unwritten::default();
        let mut quitter = None;
        let mut telling: Option<Telling> = None;
        while session.end().is_none() {
            session.lines(Instant::now()).iter().for_each(|line| unwritten.push(line));
            if unwritten.bytes.len() > UNREAD {
                session.closed("the server does not read what we send");
            }
            if telling.is_none() {
                telling = session.told().map(|heard| Box::pin(self.bot.send(heard)));
            }
            tokio::select! {
                line = lines.next(&mut reader) => match line {
                    Ok(Some(line)) => session.hear(&line, Instant::now()),
                    Ok(None) => session.closed("the server closed it"),
                    Err(error) => session.closed(&error.to_string()),
                },
                written = unwritten.write(&mut writer), if unwritten.waits => if let Err(error) = written {
                    session.closed(&error.to_string());
                },
                () = arrived(&mut telling), if telling.is_some() => telling = None,
                order = self.orders.recv() => match order {
                    Some(Order::Do(order)) => session.obey(order, Instant::now()),
                    Some(Order::WhoIs(nick, asker)) => session.who_is(&nick, asker, Instant::now()),
                    Some(Order::Quit(why, waiting)) => {
                        session.quit(&why, Instant::now());
                        quitter = Some(waiting);
                    }
                    None => session.quit("", Instant::now()),
                },
                () = tokio::time::sleep_until(session.deadline().into()) => session.tick(Instant::now()),
            }
            // A server that talks without end leaves room for the others of this thread.
            tokio::task::consume_budget().await;
        }
        // What is on its way would else not arrive where the bot's mailbox is full.
        arrived(&mut telling).await;
        quitter
    }

    async fn tell(&self, heard: Heard) {
        // A bot that has fallen hears nothing; its tree puts it up again.
        let _ = self.bot.send(heard).await;
    }

    fn warn(&self, what: &str) {
        tracing::warn!("IRC {}: {what}", self.settings.host);
    }
}

/// Something on its way to the bot.
type Telling = Pin<Box<RecipientRequest<Heard>>>;

/// Waits until the bot has heard it. One that has fallen hears nothing; its tree puts it up again.
async fn arrived(telling: &mut Option<Telling>) {
    if let Some(telling) = telling {
        let _ = telling.await;
    }
}

/// What the system has not taken yet.
#[derive(Default)]
struct Unwritten {
    bytes: Vec<u8>,
    /// Until all is written, and what TLS holds back as well.
    waits: bool,
}

impl Unwritten {
    fn push(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        self.waits = true;
    }

    /// Writes all there is. May be dropped while it waits, and be called again.
    async fn write(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        while !self.bytes.is_empty() {
            let written = writer.write(&self.bytes).await?;
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            self.bytes.drain(..written);
        }
        writer.flush().await?;
        self.waits = false;
        Ok(())
    }
}
