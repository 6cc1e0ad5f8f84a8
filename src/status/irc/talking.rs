//! What the bot makes of what it hears: who speaks to it, whose turn it is, and carrying commands out.

use super::bot::IrcBot;
use super::commands::{self, Act, Call, Said, ShutDown, Sorry, Verb};
use super::contact::{Asked, Kind, Settings};
use super::contacts::Id;
use super::memory::MOST_SET;
use super::presence::{Presence, Visit};
use super::wire::{Addressee, Do, Heard, How, Speaker};
use super::words::clean;
use crate::master::{CleanShutdown, StopNow};
use actix::prelude::*;
use std::time::Duration;

/// How long a command may take; builds are not waited for within it.
const LIMIT: Duration = Duration::from_secs(30);

/// 0.8's answer to a failure of our own.
const BROKEN: &str = "Something bad happened (see logs)";

impl IrcBot {
    pub(super) fn hear(&mut self, heard: Heard, ctx: &mut Context<Self>) {
        match heard {
            Heard::Connected { nick, server } => {
                let casemapping = server.casemapping;
                self.move_to(|presence| presence.connected(nick, server));
                self.contacts.refold(casemapping);
                self.join_all();
                self.come_back(ctx);
            }
            Heard::Renamed { nick } => self.move_to(|presence| presence.nick = nick),
            Heard::Joined { channel } => self.joined(&channel),
            Heard::Left { channel, why, again } => self.left(&channel, &why, again),
            Heard::Said { from, to, text, how } => self.said(from, to, &text, how, ctx),
            Heard::SpeakerRenamed { from, to } => self.contacts.rename(&from, &to, self.now()),
            Heard::SpeakerGone { nick } => {
                if let Some(contact) = self.contacts.find(&nick).and_then(|id| self.contacts.get(id)) {
                    contact.drop_waiting();
                }
            }
            Heard::Lost { .. } => {
                self.move_to(Presence::lost);
                self.errands.clear();
            }
        }
    }

    /// Asks for every channel it should be in; one that it is in already takes no harm.
    pub(super) fn join_all(&self) {
        for channel in &self.config().channels {
            self.order(Do::Join { channel: channel.name.clone(), key: channel.password.clone() });
        }
        let visits = self.presence.visits();
        visits.into_iter().for_each(|Visit { channel, key }| self.order(Do::Join { channel, key }));
    }

    fn joined(&mut self, channel: &str) {
        self.move_to(|presence| presence.entered(channel));
        self.errands.remove(&self.presence.fold(channel));
        if let Some(id) = self.meet(channel, Kind::Channel) {
            self.greet(id);
        }
    }

    fn left(&mut self, channel: &str, why: &str, again: bool) {
        self.move_to(|presence| {
            presence.left(channel);
            if !again {
                presence.visit_no_more(channel);
            }
        });
        if let Some(id) = self.errands.remove(&self.presence.fold(channel)) {
            let again = if again { "; I keep trying" } else { "" };
            self.say(id, clean(&format!("{why}{again}")));
        }
    }

    /// Notices are never answered, and so are not heard either; nor is what we say ourselves.
    fn said(&mut self, from: Speaker, to: Addressee, text: &str, how: How, ctx: &mut Context<Self>) {
        let text = clean(text);
        let (config, presence) = (self.config(), &self.presence);
        if how == How::Notice || presence.same(&from.nick, &presence.nick) {
            return;
        }
        let addressed = presence.addressed(&text, &[&presence.nick, &config.nick]);
        let (name, kind, text) = match (&to, how) {
            (Addressee::Channel(channel), How::Action) => (channel, Kind::Channel, Some(text.as_str())),
            (Addressee::Channel(channel), _) => (channel, Kind::Channel, addressed),
            (Addressee::Us, _) => (&from.nick, Kind::Person, Some(addressed.unwrap_or(&text))),
        };
        let Some(text) = text else { return };
        let deed = how == How::Action;
        if deed && commands::to_action(text, &from.nick, presence).is_none() {
            return;
        }
        let Some(id) = self.meet(name, kind) else {
            tracing::debug!("{}: too many people speak to it; {} is not heard", self.setup.path, from.nick);
            return;
        };
        let (asked, now) = (Asked { text: text.to_owned(), from: from.clone(), deed }, self.now());
        match self.contacts.get(id).map(|contact| contact.ask(asked, now)) {
            Some(Err(Some(line))) => self.say(id, line.to_owned()),
            _ => self.take_turn(id, ctx),
        }
    }

    /// Commands of one contact are carried out one after another, so that answers come in their order.
    fn take_turn(&mut self, id: Id, ctx: &mut Context<Self>) {
        while let Some(asked) = self.contacts.get(id).and_then(|contact| contact.next()) {
            if asked.deed {
                let deed = commands::to_action(&asked.text, &asked.from.nick, &self.presence);
                self.carry_out(id, deed.into_iter().collect(), ctx);
                continue;
            }
            match commands::read(&asked.text) {
                Said::Nothing => {}
                Said::Prompt(acts) => self.carry_out(id, acts, ctx),
                Said::Unknown(text) => {
                    let now = self.now();
                    if self.contacts.get(id).is_some_and(|contact| contact.puzzles(now)) {
                        self.carry_out(id, vec![commands::to_unknown(&text)], ctx);
                    }
                }
                Said::Command(verb, rest) => return self.run(id, verb, rest, asked.from, ctx),
            }
        }
    }

    fn run(&mut self, id: Id, verb: Verb, rest: String, speaker: Speaker, ctx: &mut Context<Self>) {
        let Some(call) = self.call(id, rest, speaker) else { return };
        if let Some(contact) = self.contacts.get(id) {
            contact.busy = true;
        }
        let answer = async move { tokio::time::timeout(LIMIT, commands::run(verb, &call)).await };
        ctx.spawn(answer.into_actor(self).map(move |answer, bot, ctx| {
            if let Some(contact) = bot.contacts.get(id) {
                contact.busy = false;
            }
            let acts = match answer {
                Ok(Ok(acts)) => acts,
                Ok(Err(sorry)) => vec![Act::Say(bot.excuse(verb, &sorry))],
                Err(_) => vec![Act::Say(format!("{} takes too long: try again later", verb.word()))],
            };
            bot.carry_out(id, acts, ctx);
            bot.take_turn(id, ctx);
        }));
    }

    fn call(&self, id: Id, rest: String, speaker: Speaker) -> Option<Call> {
        let contact = self.contacts.peek(id)?;
        let options = self.setup.options.borrow().clone();
        Some(Call {
            desk: self.setup.desk.clone(),
            config: options.config,
            rights: options.rights,
            in_force: self.setup.in_force.borrow().clone(),
            speaker,
            channel: (contact.kind == Kind::Channel).then(|| contact.name.clone()),
            rest,
            presence: self.presence.clone(),
            events: self.events_of(contact),
            muted: contact.settings.muted,
        })
    }

    fn excuse(&self, verb: Verb, sorry: &Sorry) -> String {
        match sorry {
            Sorry::Said(_) | Sorry::Quoting(_) | Sorry::Refusal(_) | Sorry::Refused(_) => sorry.to_string(),
            Sorry::Database(_) | Sorry::Master(_) => {
                let error = sorry as &dyn std::error::Error;
                tracing::error!(error, "{}: {} failed", self.setup.path, verb.word());
                BROKEN.to_owned()
            }
        }
    }

    /// Lines that follow one another are given to the connection together.
    fn carry_out(&mut self, id: Id, acts: Vec<Act>, ctx: &mut Context<Self>) {
        let mut lines: Vec<String> = Vec::new();
        for act in acts {
            match act {
                Act::Say(line) => lines.push(line),
                act => {
                    self.say_all(id, &mut lines);
                    self.act(id, act, ctx);
                }
            }
        }
        self.say_all(id, &mut lines);
    }

    fn say_all(&mut self, id: Id, lines: &mut Vec<String>) {
        if !lines.is_empty() {
            self.say(id, std::mem::take(lines).join("\n"));
        }
    }

    fn act(&mut self, id: Id, act: Act, ctx: &mut Context<Self>) {
        match act {
            Act::Say(line) => self.say(id, line),
            Act::Emote(text) => self.speak(id, How::Action, text),
            Act::Later(pause, line) => self.say_later(id, pause, line, ctx),
            Act::Mute(muted) => self.set(id, |settings| settings.muted = muted, ctx),
            Act::Notify(events) => {
                let usual = self.contacts.peek(id).map(|contact| self.usual_events(contact));
                let set = (Some(&events) != usual.as_ref()).then_some(events);
                self.set(id, |settings| settings.events = set, ctx);
            }
            Act::Watch(build) => self.watch(id, build, ctx),
            Act::Await(request) => self.await_build(id, request, ctx),
            Act::Join { channel, key } => {
                self.errands.insert(self.presence.fold(&channel), id);
                self.move_to(|presence| presence.visit(Visit { channel: channel.clone(), key: key.clone() }));
                self.order(Do::Join { channel, key });
            }
            Act::Leave { channel } => {
                self.move_to(|presence| presence.visit_no_more(&channel));
                self.order(Do::Part { channel });
            }
            Act::ShutDown(order) => self.shut_down(order, ctx),
        }
    }

    fn say_later(&mut self, id: Id, pause: Duration, line: String, ctx: &mut Context<Self>) {
        if self.contacts.get(id).is_some_and(|contact| contact.says_later()) {
            ctx.run_later(pause, move |bot, _| {
                if let Some(contact) = bot.contacts.get(id) {
                    contact.said_later();
                }
                bot.say(id, line);
            });
        }
    }

    /// Changes what a contact has set, and stores it.
    fn set(&mut self, id: Id, change: impl FnOnce(&mut Settings), ctx: &mut Context<Self>) {
        let Some(contact) = self.contacts.get(id) else { return };
        let before = contact.settings.clone();
        change(&mut contact.settings);
        if contact.settings == before {
            return;
        }
        if contact.settings != Settings::default() && self.contacts.with_settings() > MOST_SET {
            tracing::warn!(
                "{}: {MOST_SET} contacts have something set; more is not kept over restarts",
                self.setup.path
            );
            return;
        }
        self.keep(id, ctx);
    }

    fn shut_down(&mut self, order: ShutDown, ctx: &mut Context<Self>) {
        let master = &self.setup.desk.master;
        let ordered = master.send(CleanShutdown { cancel: order == ShutDown::Cancel });
        let at_once = (order == ShutDown::Now).then(|| master.send(StopNow));
        let path = self.setup.path.clone();
        let done = async move {
            let mut lost = ordered.await.is_err();
            if let Some(at_once) = at_once {
                lost |= at_once.await.is_err();
            }
            if lost {
                tracing::error!("{path}: the master is being restarted and did not take the order {order:?}");
            }
        };
        ctx.spawn(done.into_actor(self));
    }
}
