//! One command as it was given, with the means to answer it.

use super::super::config::Config;
use super::super::events::Events;
use super::super::permission::{Refusal, Rights};
use super::super::presence::Presence;
use super::super::shell_words::{self, BadQuoting};
use super::super::wire::{Speaker, WhoIs};
use crate::clock::Clock;
use crate::config::Config as MasterConfig;
use crate::db::{Conn, Db, DbError, builders};
use crate::master::authz::{self, Action, Subject};
use crate::master::{Master, Refused};
use crate::model::{Builder, Time};
use actix::prelude::*;
use std::sync::Arc;

/// Where commands get what they need.
#[derive(Clone)]
pub struct Desk {
    pub db: Db,
    pub clock: Clock,
    pub master: Addr<Master>,
    pub who_is: Recipient<WhoIs>,
}

/// See the module.
pub struct Call {
    pub desk: Desk,
    /// The bot's options, and what they let people do.
    pub config: Arc<Config>,
    pub rights: Arc<Rights>,
    /// The configuration in force.
    pub in_force: Arc<MasterConfig>,
    pub speaker: Speaker,
    /// Where it was said, if not in private.
    pub channel: Option<String>,
    /// What followed the command's word.
    pub rest: String,
    pub presence: Presence,
    /// What the contact is told of, and whether it is told anything at all.
    pub events: Events,
    pub muted: bool,
}

/// Why a command comes to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Sorry {
    /// It was not understood, or cannot be done: a sentence for who gave it.
    #[error("{0}")]
    Said(String),
    #[error(transparent)]
    Quoting(#[from] BadQuoting),
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the database cannot be read")]
    Database(#[from] DbError),
    #[error("the master is being restarted")]
    Master(#[from] MailboxError),
}

impl Sorry {
    /// `try 'status <builder>'`
    pub fn usage(usage: &str) -> Sorry {
        Sorry::Said(format!("try '{usage}'"))
    }
}

impl Call {
    /// What followed the command's word, split as a shell does.
    pub fn words(&self) -> Result<Vec<String>, Sorry> {
        Ok(shell_words::split(&self.rest)?)
    }

    pub fn now(&self) -> Time {
        self.desk.clock.now()
    }

    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Sorry> {
        Ok(self.desk.db.read(query).await?)
    }

    /// The builder of this name.
    pub async fn builder(&self, name: &str) -> Result<Builder, Sorry> {
        let wanted = name.to_owned();
        let found = self.read(move |conn| builders::find(conn, &wanted)).await?;
        found.ok_or_else(|| Sorry::Said(format!("no such builder '{name}'")))
    }

    /// The one builder the command's words name, or all that are spoken of when none is named. `usage` is for other words.
    pub async fn which(&self, usage: &str) -> Result<Vec<Builder>, Sorry> {
        match self.words()?.as_slice() {
            [] => self.builders().await,
            [all] if all == "all" => self.builders().await,
            [name] => Ok(vec![self.builder(name).await?]),
            _ => Err(Sorry::usage(usage)),
        }
    }

    /// The builders that are spoken of when none is named, by name.
    pub async fn builders(&self) -> Result<Vec<Builder>, Sorry> {
        let tags = self.config.tags.clone();
        let mut all = self.read(builders::all).await?;
        all.retain(|builder| tags.as_ref().is_none_or(|tags| builder.tags.iter().any(|tag| tags.contains(tag))));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Asks whether the speaker may; services are asked who they are where that matters and is not known.
    pub async fn may(&self, action: Action, subject: Subject<'_>) -> Result<(), Sorry> {
        self.rights.open(action)?;
        let mut account = self.speaker.account.clone();
        if account.is_none() && self.rights.depends() {
            let asked = self.desk.who_is.send(WhoIs { nick: self.speaker.nick.clone() }).await;
            // A connection that is being restarted knows nobody.
            account = asked.unwrap_or_default();
        }
        let Speaker { nick, user, host, .. } = &self.speaker;
        let speaker = authz::Speaker { account, mask: format!("{nick}!{user}@{host}") };
        Ok(self.rights.allows(&speaker, action, subject).await?)
    }

    /// Who gives an order, as it is recorded: `IRC user <ann> on channel #builds`.
    pub fn who(&self) -> String {
        let nick = &self.speaker.nick;
        match &self.channel {
            Some(channel) => format!("IRC user <{nick}> on channel {channel}"),
            None => format!("IRC user <{nick}> (privmsg)"),
        }
    }
}
