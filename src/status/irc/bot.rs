//! The bot itself: hears people and the hub, and has the connection speak.

use super::commands::Desk;
use super::config::Config;
use super::contact::{Contact, Kind};
use super::contacts::{Contacts, Id};
use super::events::Events;
use super::memory::{Memory, Recalled};
use super::permission::Rights;
use super::presence::Presence;
use super::wire::{Do, Heard, How};
use crate::config::Config as MasterConfig;
use crate::hub::{Hub, Interest, Told};
use crate::model::{Build, Seq, Time};
use crate::supervise::Gauges;
use actix::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Told faster than it can speak, it lags no sooner than this.
const MAILBOX: usize = 1024;

/// How long a database or a hub that does not answer is left alone before it is asked again.
const AWAY: Duration = Duration::from_secs(1);

/// How often those are forgotten who have nothing to remember.
const SWEEP: Duration = Duration::from_secs(60);

/// What a bot needs from outside, and what of it outlives a restart. Cheap to clone.
#[derive(Clone)]
pub struct Setup {
    /// `status/IRC:builds@irc.example.org`, for the hub and the log.
    pub path: String,
    pub desk: Desk,
    pub hub: Hub,
    pub memory: Memory,
    pub presence: Arc<Mutex<Presence>>,
    /// The bot's own options; a reconfig may put others in their place.
    pub options: watch::Receiver<Options>,
    /// The configuration in force.
    pub in_force: watch::Receiver<Arc<MasterConfig>>,
    pub connection: Recipient<Do>,
    pub gauges: Gauges,
}

/// The bot's options, and what they let people do.
#[derive(Clone)]
pub struct Options {
    pub config: Arc<Config>,
    pub rights: Arc<Rights>,
}

impl Options {
    pub fn new(config: Config) -> Options {
        Options { rights: Arc::new(Rights::of(&config)), config: Arc::new(config) }
    }
}

/// See the module. Restarted after a panic it reads what it remembers, and speaks on where it is.
pub struct IrcBot {
    pub(super) setup: Setup,
    pub(super) presence: Presence,
    pub(super) contacts: Contacts,
    /// Who sent us into which channel, by folded name, until we are there or are refused.
    pub(super) errands: HashMap<String, Id>,
    /// Events up to this are accounted for.
    pub(super) upto: Seq,
    /// Everybody was told of builds that ended until then.
    seen: Time,
}

/// Other options are in force; these channels are configured no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Adopt {
    pub left: Vec<String>,
}

/// Answered once everything told before has been said.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Finish;

impl IrcBot {
    pub fn new(setup: Setup) -> IrcBot {
        let presence = setup.presence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        IrcBot {
            setup,
            contacts: Contacts::new(presence.server.casemapping),
            presence,
            errands: HashMap::new(),
            upto: 0,
            seen: Time::default(),
        }
    }

    /// Something about where it is has changed.
    pub(super) fn move_to(&mut self, change: impl FnOnce(&mut Presence)) {
        change(&mut self.presence);
        *self.setup.presence.lock().unwrap_or_else(PoisonError::into_inner) = self.presence.clone();
    }

    pub(super) fn config(&self) -> Arc<Config> {
        self.setup.options.borrow().config.clone()
    }

    pub(super) fn now(&self) -> Time {
        self.setup.desk.clock.now()
    }

    /// Takes up what it remembers, and what was missed.
    fn begin(&mut self, recalled: Recalled, ctx: &mut Context<Self>) {
        let now = self.now();
        self.upto = recalled.upto;
        self.meet_configured();
        for (name, kind, settings) in recalled.contacts {
            if let Some(contact) = self.contacts.meet(&name, kind, now).and_then(|id| self.contacts.get(id)) {
                contact.settings = settings;
            }
        }
        for (build, before) in &recalled.missed {
            self.note_missed(build, *before);
        }
        match recalled.seen {
            Some(seen) => self.seen = seen,
            None => self.saw(now, ctx),
        }
        self.join_all();
        if self.presence.connected {
            self.come_back(ctx);
        }
    }

    /// Those whom the configuration names are contacts from the start.
    pub(super) fn meet_configured(&mut self) {
        let (config, now) = (self.config(), self.now());
        let channels = config.channels.iter().map(|channel| (&channel.name, Kind::Channel));
        for (name, kind) in channels.chain(config.pm_to_nicks.iter().map(|nick| (nick, Kind::Person))) {
            self.contacts.meet(name, kind, now);
        }
    }

    /// Speaks with those who can be reached again.
    pub(super) fn come_back(&mut self, ctx: &mut Context<Self>) {
        self.saw(self.now(), ctx);
        for id in self.contacts.ids() {
            self.greet(id);
        }
    }

    /// What it has set, or what the configuration gives it.
    pub(super) fn events_of(&self, contact: &Contact) -> Events {
        match &contact.settings.events {
            Some(events) => events.clone(),
            None => self.usual_events(contact),
        }
    }

    /// A person has none, unless the configuration names them: who writes to the bot has not asked to be written to.
    pub(super) fn usual_events(&self, contact: &Contact) -> Events {
        match contact.kind == Kind::Channel || self.is_configured(contact) {
            true => self.config().notify_events.clone(),
            false => Events::default(),
        }
    }

    pub(super) fn is_configured(&self, contact: &Contact) -> bool {
        let config = self.config();
        let same = |name: &str| self.presence.same(name, &contact.name);
        match contact.kind {
            Kind::Channel => config.channels.iter().any(|channel| same(&channel.name)),
            Kind::Person => config.pm_to_nicks.iter().any(|nick| same(nick)),
        }
    }

    /// Whether what is said to it now arrives.
    pub(super) fn reaches(&self, id: Id) -> bool {
        self.presence.connected
            && self.contacts.peek(id).is_some_and(|contact| match contact.kind {
                Kind::Channel => self.presence.is_in(&contact.name),
                Kind::Person => true,
            })
    }

    /// Says what is owed, and what was missed.
    pub(super) fn greet(&mut self, id: Id) {
        if !self.reaches(id) {
            return;
        }
        let owed = self.contacts.get(id).map(Contact::take_owed).unwrap_or_default();
        if !owed.is_empty() {
            self.say(id, owed.join("\n"));
        }
    }

    /// Says one or several lines, unless the contact is muted or cannot be reached.
    pub(super) fn say(&self, id: Id, text: String) {
        let to_channel = self.contacts.peek(id).is_some_and(|contact| contact.kind == Kind::Channel);
        let how = if to_channel && self.config().notice_on_channel { How::Notice } else { How::Message };
        self.speak(id, how, text);
    }

    pub(super) fn speak(&self, id: Id, how: How, text: String) {
        let Some(contact) = self.contacts.peek(id) else { return };
        if !contact.settings.muted && self.reaches(id) {
            self.order(Do::Say { to: contact.name.clone(), how, text });
        }
    }

    pub(super) fn order(&self, order: Do) {
        if let Err(error) = self.setup.connection.try_send(order) {
            tracing::warn!(
                "{}: the connection takes nothing just now: {error}; what was to be said is lost",
                self.setup.path
            );
        }
    }

    /// Everybody reachable has been told of what ended until then.
    pub(super) fn saw(&mut self, until: Time, ctx: &mut Context<Self>) {
        self.seen = self.seen.max(until);
        let saved = self.setup.memory.saw(self.seen);
        self.log_failure(saved, "how far it told", ctx);
    }

    /// Stores what a contact has set.
    pub(super) fn keep(&self, id: Id, ctx: &mut Context<Self>) {
        let Some(contact) = self.contacts.peek(id) else { return };
        let key = self.presence.fold(&contact.name);
        let kept = self.setup.memory.keep(key, contact);
        self.log_failure(kept, "what a contact has set", ctx);
    }

    fn log_failure(
        &self,
        stored: impl Future<Output = Result<(), crate::db::DbError>> + 'static,
        what: &'static str,
        ctx: &mut Context<Self>,
    ) {
        let path = self.setup.path.clone();
        let logged = async move {
            if let Err(error) = stored.await {
                tracing::warn!(error = &error as &dyn std::error::Error, "{path}: cannot store {what}");
            }
        };
        ctx.spawn(logged.into_actor(self));
    }

    fn sweep(&mut self) {
        let (config, presence) = (self.config(), &self.presence);
        let named = |contact: &Contact, name: &str| presence.same(name, &contact.name);
        let stay = |contact: &Contact| match contact.kind {
            Kind::Channel => {
                presence.is_in(&contact.name) || config.channels.iter().any(|channel| named(contact, &channel.name))
            }
            Kind::Person => config.pm_to_nicks.iter().any(|nick| named(contact, nick)),
        };
        self.contacts.sweep(self.setup.desk.clock.now(), stay);
    }

    /// The contact of this name, a new one if need be; `None` when there are too many who have something to remember.
    pub(super) fn meet(&mut self, name: &str, kind: Kind) -> Option<Id> {
        let now = self.now();
        if let Some(id) = self.contacts.meet(name, kind, now) {
            return Some(id);
        }
        self.sweep();
        self.contacts.meet(name, kind, now)
    }

    /// Whether builds of this builder are spoken of unasked.
    pub(super) fn is_tagged(&self, build: &Build) -> bool {
        let Some(tags) = self.config().tags.clone() else { return true };
        let in_force = self.setup.in_force.borrow();
        let builder = in_force.builders.iter().find(|builder| builder.name == build.builder);
        builder.is_some_and(|builder| builder.tags.iter().any(|tag| tags.contains(tag)))
    }
}

impl Actor for IrcBot {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        let begun = recall(self.setup.clone(), ctx.address().recipient());
        ctx.wait(begun.into_actor(self).map(|recalled, bot, ctx| bot.begin(recalled, ctx)));
        ctx.run_interval(SWEEP, |bot, _| bot.sweep());
    }
}

impl Supervised for IrcBot {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = IrcBot::new(self.setup.clone());
    }
}

/// Subscribes first, so that nothing falls between what is read and what is told.
async fn recall(setup: Setup, to: Recipient<Told>) -> Recalled {
    let path = &setup.path;
    loop {
        let mailbox = Some(Arc::clone(&setup.gauges.mailbox));
        match setup.hub.subscribe(path, Interest::Everything, to.clone(), mailbox).await {
            Ok(_) => break,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "{path}: cannot subscribe; trying again");
            }
        }
        tokio::time::sleep(AWAY).await;
    }
    loop {
        match setup.memory.recall().await {
            Ok(recalled) => return recalled,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "{path}: cannot read its memory; trying again"
                );
            }
        }
        tokio::time::sleep(AWAY).await;
    }
}

impl Handler<Heard> for IrcBot {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Context<Self>) {
        self.hear(heard, ctx);
    }
}

impl Handler<Told> for IrcBot {
    type Result = ();

    fn handle(&mut self, told: Told, ctx: &mut Context<Self>) {
        self.learn(told, ctx);
    }
}

impl Handler<Adopt> for IrcBot {
    type Result = ();

    fn handle(&mut self, Adopt { left }: Adopt, _: &mut Context<Self>) {
        self.meet_configured();
        left.into_iter().for_each(|channel| self.order(Do::Part { channel }));
        self.join_all();
    }
}

impl Handler<Finish> for IrcBot {
    type Result = ();

    fn handle(&mut self, _: Finish, _: &mut Context<Self>) {}
}
