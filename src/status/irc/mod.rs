//! IRC: a bot that answers questions and tells of builds.
//!
//! ```python
//! c['status'].append(status.IRC("irc.example.org", "builds", channels=["#builds"],
//!                               notify_events={'exception': 1, 'successToFailure': 1}))
//! ```
//!
//! It is spoken to by name in a channel (`builds: status linux`) or in private; `builds: help` and `builds: commands`
//! say the rest. [`bot`] decides what is said, `connection` says it.
//!
//! # What it says
//!
//! | option | default | |
//! |---|---|---|
//! | `notify_events` | none | what channels and `pm_to_nicks` are told of unasked: `started`, `finished`, `success`, `warnings`, `failure`, `exception`, `successToFailure` and the other turns |
//! | `pm_to_nicks` | none | nicks that are told by private message |
//! | `tags` (`categories`) | all | only builders with one of these are spoken of unasked, and listed where none is named |
//! | `useRevisions` | False | builds are called by what they contain rather than by number |
//! | `showBlameList` | True | who made the changes of a build that did not succeed |
//! | `useColors` | True | results are coloured |
//! | `noticeOnChannel` | False | what is said to channels is said as notices |
//!
//! What a channel or a person sets (`notify`, `mute`) is kept over reconnects and restarts, for the bot's nick and
//! host. Who only writes to the bot is told nothing unasked. What was missed while the bot was away is one line on its
//! return, for each contact that would have been told of it. Whoever watched a build, or forced it, hears of its end after
//! a reconnect as well; not after a restart of Signalbox, which ends every build that runs.
//!
//! # Who may
//!
//! | option | default | |
//! |---|---|---|
//! | `allowForce` | False | opens `force` and `stop` |
//! | `allowShutdown` | False | opens `shutdown` |
//! | `authz` | everybody | who may use what is open |
//!
//! ```python
//! authz=util.Authz(forceBuild=["ann", "bob"], stopBuild='auth', cleanShutdown=["*!*@ops.example.org"],
//!                  joinChannel=False)
//! ```
//!
//! `forceBuild`, `stopBuild`, `cleanShutdown`, `joinChannel` (`join` and `leave`) and `view` (all that tells of builds) are
//! each True, False, `'auth'` for those who have logged in to the network's services, a list of services accounts and masks
//! `nick!user@host`, or a function of the account's name and of what it is about. Those not given are `default_action`,
//! which is False, but for `view`, which is True. A nick is never enough, since anybody can take one: a mask has to name a
//! host, and accounts are asked of the server.
//!
//! # How it gets onto a network and stays there
//!
//! What is not 0.8's is marked.
//!
//! * `port`: 6667, or 6697 with `useSSL` (0.8 kept to 6667).
//! * `useSSL=True`: the certificate must be one for `host` and signed by an authority of the system, or of `caFile`
//!   (ours). `sslVerify=False` (ours) takes any, self-signed ones too: then whoever gets in between reads everything.
//! * `password`: told to NickServ, and to nobody as PASS; `serverPassword` (ours) is for that.
//! * `useSASL=True` (ours): logs in by SASL PLAIN with `password` as `saslUser` (the nick, if nothing is said);
//!   `useSASL="EXTERNAL"` with `certFile` and `keyFile` (the same file, if nothing is said). A server that has no SASL or
//!   refuses it is gone on with, and NickServ is told.
//! * Passwords are sent whether or not the connection is encrypted: that is for the configuration to see to.
//! * `lostDelay` and `failedDelay`: as given; else drawn anew for each try, from 1 to 5 and from 45 to 60 seconds, and
//!   growing up to ten minutes after ten failures in a row.
//!
//! Not here: channel operators have no rights of their own.

mod announce;
mod away;
pub mod bot;
mod commands;
mod config;
pub mod connection;
mod contact;
mod contacts;
mod events;
mod memory;
mod permission;
mod presence;
mod shell_words;
mod talking;
mod telling;
pub mod wire;
mod words;

pub use config::{Channel, Config};

use super::StartError;
use crate::config::{Kind, Problems, Section};
use crate::supervise::{Child, Strategy};
use actix::AsyncContext;
use bot::{Adopt, Finish, IrcBot, Options};
use commands::Desk;
use connection::IrcConnection;
use connection::settings::Settings;
use memory::Memory;
use presence::Presence;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use wire::Quit;

/// For the configuration's catalog.
pub const KIND: Kind = Kind {
    name: "status.IRC",
    positional: &["host", "nick", "channels", "pm_to_nicks", "port", "allowForce", "tags", "password", "notify_events"],
    check,
};

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

/// A bot at work, with its connection.
pub struct Running {
    /// What files of the options are meant from.
    basedir: PathBuf,
    bot: Child<IrcBot>,
    connection: Child<IrcConnection>,
    settings: Settings,
    options: watch::Sender<Options>,
}

/// Starts the bot of a section, as `status/IRC:<nick>@<host>`, and its connection below it.
pub fn start(setup: &super::Setup, section: &Section) -> Result<Running, StartError> {
    let mut problems = Problems::default();
    let config = Config::read(section, &mut problems).ok_or(StartError::Options(problems))?;
    let settings = config.settings(&setup.basedir);
    Ok(launch(setup, config, settings))
}

/// The same with settings of the connection's own, such as a pace.
pub fn launch(setup: &super::Setup, config: Config, settings: Settings) -> Running {
    let name = format!("IRC:{}@{}", config.nick, config.host);
    let below = setup.group.group(&name, Strategy::OneForOne);
    let memory = Memory::new(&setup.db, &config);
    let presence = Arc::new(Mutex::new(Presence::new(&config.nick)));
    let (options, adopted) = watch::channel(Options::new(config));
    let mut connected = None;
    let bot = setup.group.start(&name, super::own_bugs(), |ctx, gauges| {
        let connection = connection::start(&below, settings.clone(), ctx.address().recipient());
        let desk = Desk {
            db: setup.db.clone(),
            clock: setup.clock.clone(),
            master: setup.master.clone(),
            who_is: connection.addr.clone().recipient(),
        };
        let orders = connection.addr.clone().recipient();
        connected = Some(connection);
        IrcBot::new(bot::Setup {
            path: setup.group.path_of(&name),
            desk,
            hub: setup.hub.clone(),
            memory,
            presence,
            options: adopted,
            in_force: setup.config.clone(),
            connection: orders,
            gauges: gauges.clone(),
        })
    });
    let connection = connected.expect("a child is made before it is started");
    Running { basedir: setup.basedir.clone(), bot, connection, settings, options }
}

impl Running {
    /// One of the two fell too often and stays down.
    pub fn is_parked(&self) -> bool {
        self.bot.is_parked() || self.connection.is_parked()
    }

    /// Goes on with the options of this section, if nothing about the connection is different; `false` otherwise.
    pub fn adopt(&self, section: &Section) -> bool {
        let Some(config) = Config::read(section, &mut Problems::default()) else { return false };
        if self.is_parked() || config.settings(&self.basedir) != self.settings {
            return false;
        }
        let before = self.options.send_replace(Options::new(config)).config;
        let now = self.options.borrow().config.clone();
        let gone = |channel: &&Channel| !now.channels.iter().any(|kept| kept.name == channel.name);
        let left = before.channels.iter().filter(gone).map(|channel| channel.name.clone()).collect();
        // One that is being restarted takes it up afterwards.
        if let Err(error) = self.bot.addr.try_send(Adopt { left }) {
            tracing::warn!("{}: too busy for its new channels: {error}; reconfig again", self.bot.report().path);
        }
        true
    }

    /// Says what is still to be said, says goodbye, and ends; at most about `limit` long.
    pub async fn stop(self, limit: Duration) {
        let name = self.bot.report().path;
        let quit = async {
            // A bot that is down has nothing more to say, and a connection that is has nobody to say it to.
            let _ = self.bot.addr.send(Finish).await;
            let why = "buildmaster reconfigured: bot disconnecting".to_owned();
            let _ = self.connection.addr.send(Quit { why }).await;
        };
        if tokio::time::timeout(limit, quit).await.is_err() {
            tracing::warn!("{name}: not everything could be said within {limit:.1?}");
        }
        self.bot.stop().await;
        self.connection.stop().await;
    }
}
