//! A bot that only listens: what the connection of an IRC bot tells, and a way to give it orders.

use super::wait::until;
use actix::prelude::*;
use signalbox::clock::Clock;
use signalbox::config::Secret;
use signalbox::status::irc::connection::settings::{Limits, Settings};
use signalbox::status::irc::connection::{self, IrcConnection};
use signalbox::status::irc::wire::{Do, Heard, How, Quit, WhoIs};
use signalbox::supervise::{Child, Strategy, Tree};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take to be heard.
const LIMIT: Duration = Duration::from_secs(60);

pub struct IrcEar {
    pub tree: Tree,
    pub connection: Child<IrcConnection>,
    heard: Arc<Mutex<Vec<(Instant, Heard)>>>,
    /// What came before this has been expected.
    at: usize,
}

/// A connection in haste to a server on this machine, called `bb`.
pub fn hasty(port: u16) -> Settings {
    let soon = Duration::from_millis(100);
    Settings {
        lost_delay: Some(soon),
        failed_delay: Some(soon),
        limits: Limits {
            burst: 100,
            per_line: Duration::from_millis(1),
            regain: Duration::from_millis(500),
            rejoin: soon,
            refused: soon,
            ..Limits::default()
        },
        ..Settings::plain("127.0.0.1", port, "bb")
    }
}

impl IrcEar {
    pub fn start(settings: Settings) -> IrcEar {
        let tree = Tree::new(Clock::system(), Strategy::RestForOne);
        let group = tree.group("status", Strategy::OneForOne);
        let heard = Arc::<Mutex<Vec<(Instant, Heard)>>>::default();
        let bot = Ear { heard: Arc::clone(&heard) }.start();
        let connection = connection::start(&group, settings, bot.recipient());
        IrcEar { tree, connection, heard, at: 0 }
    }

    /// Everything it was told, and when.
    pub fn heard(&self) -> Vec<(Instant, Heard)> {
        self.heard.lock().unwrap().clone()
    }

    /// The next of which this is so; what came before it is passed over.
    pub async fn expect(&mut self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Heard {
        let from = self.at;
        let look = || {
            let heard = self.heard().into_iter().enumerate().skip(from);
            heard.map(|(place, (_, heard))| (place, heard)).find(|(_, heard)| is_it(heard))
        };
        let (place, heard) = until(what, LIMIT, || std::future::ready(look())).await;
        self.at = place + 1;
        heard
    }

    /// Waits until it is connected, and says under which nick.
    pub async fn connected(&mut self) -> String {
        match self.expect("Connected", |heard| matches!(heard, Heard::Connected { .. })).await {
            Heard::Connected { nick, .. } => nick,
            other => unreachable!("{other:?}"),
        }
    }

    pub async fn joined(&mut self, channel: &str) {
        let what = format!("Joined {channel}");
        self.expect(&what, |heard| matches!(heard, Heard::Joined { channel: joined } if joined == channel)).await;
    }

    /// Waits until it is not in a channel; why, and whether that is tried again.
    pub async fn left(&mut self, channel: &str) -> (String, bool) {
        let what = format!("Left {channel}");
        match self.expect(&what, |heard| matches!(heard, Heard::Left { channel: left, .. } if left == channel)).await {
            Heard::Left { why, again, .. } => (why, again),
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits until it is told that the connection is gone; why.
    pub async fn lost(&mut self) -> String {
        match self.expect("Lost", |heard| matches!(heard, Heard::Lost { .. })).await {
            Heard::Lost { why } => why,
            other => unreachable!("{other:?}"),
        }
    }

    pub async fn renamed(&mut self, to: &str) {
        let what = format!("Renamed {to}");
        self.expect(&what, |heard| matches!(heard, Heard::Renamed { nick } if nick == to)).await;
    }

    /// The next thing this one says, with the account it is said under.
    pub async fn said(&mut self, by: &str) -> (String, Option<String>) {
        let what = format!("{by} says something");
        match self.expect(&what, |heard| matches!(heard, Heard::Said { from, .. } if from.nick == by)).await {
            Heard::Said { text, from, .. } => (text, from.account),
            other => unreachable!("{other:?}"),
        }
    }

    pub async fn say(&self, to: &str, text: &str) {
        self.order(Do::Say { to: to.to_owned(), how: How::Message, text: text.to_owned() }).await;
    }

    pub async fn join(&self, channel: &str) {
        self.order(Do::Join { channel: channel.to_owned(), key: None }).await;
    }

    pub async fn join_with(&self, channel: &str, key: &str) {
        self.order(Do::Join { channel: channel.to_owned(), key: Some(Secret::new(key)) }).await;
    }

    pub async fn part(&self, channel: &str) {
        self.order(Do::Part { channel: channel.to_owned() }).await;
    }

    pub async fn account_of(&self, nick: &str) -> Option<String> {
        self.connection.addr.send(WhoIs { nick: nick.to_owned() }).await.unwrap()
    }

    pub async fn quit(&self, why: &str) {
        self.connection.addr.send(Quit { why: why.to_owned() }).await.unwrap();
    }

    async fn order(&self, order: Do) {
        self.connection.addr.send(order).await.unwrap();
    }
}

impl Drop for IrcEar {
    /// Whatever a server does, no part of ours may fall.
    fn drop(&mut self) {
        let reports = self.tree.reports();
        let fell = reports.iter().any(|report| report.restarts > 0 || report.state == "parked");
        assert!(!fell || std::thread::panicking(), "{reports:#?}");
    }
}

struct Ear {
    heard: Arc<Mutex<Vec<(Instant, Heard)>>>,
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Heard> for Ear {
    type Result = ();

    fn handle(&mut self, heard: Heard, _: &mut Context<Self>) {
        self.heard.lock().unwrap().push((Instant::now(), heard));
    }
}
