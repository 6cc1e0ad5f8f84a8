//! What the bot makes of what the hub tells: announcements, and answers to those who wait for a build.

use super::announce::{finished, forced, hey, started};
use super::bot::IrcBot;
use super::contact::Forced;
use super::contacts::Id;
use super::events::Events;
use super::memory::before;
use super::words::clean;
use crate::db::{Conn, DbError, builds, events, requests};
use crate::hub::{News, Told};
use crate::model::*;
use actix::prelude::*;
use std::time::Duration;

/// How long a forced build may take to begin before whoever wants it is told that it waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bot lagged: no more events than this are made up for.
const MOST_GAP: Seq = 20_000;

/// How many of them are read at once.
const BATCH: i64 = 500;

/// An event that contacts may be told of, and how the build before it ended.
type Tidings = (Event, Option<Results>);

impl IrcBot {
    pub(super) fn learn(&mut self, told: Told, ctx: &mut Context<Self>) {
        match told.news {
            News::Fact(fact) if fact.seq <= self.upto => {}
            News::Fact(fact) => {
                self.upto = fact.seq;
                match &fact.event {
                    Event::BuildFinished { build } if self.wants_turns() => self.learn_turn(build.clone(), ctx),
                    event => self.tell(event, None, ctx),
                }
            }
            News::Gap { upto, .. } if upto <= self.upto => {}
            News::Gap { upto, .. } => self.make_up(upto, ctx),
            // Nobody is told how long logs are.
            News::LogGrew(_) => {}
        }
    }

    fn wants_turns(&self) -> bool {
        self.contacts.iter().any(|contact| self.events_of(contact).has_turns())
    }

    /// Everything else waits while the build before is looked up, so that things are told in their order.
    fn learn_turn(&mut self, build: Build, ctx: &mut Context<Self>) {
        let (db, path) = (self.setup.desk.db.clone(), self.setup.path.clone());
        let wanted = build.clone();
        let read = async move {
            let read = db.read(move |conn| before(conn, &wanted)).await;
            read.unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "{path}: cannot read how a build ended; turns of its builder are not told");
                None
            })
        };
        let told = read.into_actor(self);
        ctx.wait(told.map(move |before, bot, ctx| bot.tell(&Event::BuildFinished { build }, before, ctx)));
    }

    /// Reads on from the database, so far as it lags.
    fn make_up(&mut self, upto: Seq, ctx: &mut Context<Self>) {
        let after = self.upto.max(upto - MOST_GAP);
        if after > self.upto {
            tracing::warn!("{}: {} events passed faster than they could be told", self.setup.path, after - self.upto);
        }
        self.upto = upto;
        let (db, path) = (self.setup.desk.db.clone(), self.setup.path.clone());
        let read = async move {
            let read = db.read(move |conn| tidings(conn, after, upto)).await;
            read.unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "{path}: cannot read events {after} to {upto}; they are not told");
                Vec::new()
            })
        };
        ctx.wait(read.into_actor(self).map(|tidings, bot, ctx| {
            tidings.iter().for_each(|(event, before)| bot.tell(event, *before, ctx));
        }));
    }

    /// Events nobody is told of are passed over.
    fn tell(&mut self, event: &Event, before: Option<Results>, ctx: &mut Context<Self>) {
        match event {
            Event::BuildStarted { build } => {
                let tagged = self.is_tagged(build);
                self.contacts.ids().into_iter().for_each(|id| self.tell_start(id, build, tagged));
            }
            Event::BuildFinished { build } => {
                let tagged = self.is_tagged(build);
                self.contacts.ids().into_iter().for_each(|id| self.tell_end(id, build, before, tagged));
                if let Some(finished) = build.finished.filter(|_| self.presence.connected) {
                    self.saw(finished, ctx);
                }
            }
            Event::RequestCancelled { request } => self.tell_cancelled(request),
            _ => {}
        }
    }

    /// `tagged` is whether it is spoken of unasked.
    fn tell_start(&mut self, id: Id, build: &Build, tagged: bool) {
        let (config, now) = (self.config(), self.now());
        let Some(contact) = self.contacts.get(id) else { return };
        let mut ordered = contact.forced.iter_mut().filter(|forced| build.requests.contains(&forced.request));
        let ordered = ordered.any(|forced| forced.begun.insert(build.number));
        if ordered {
            contact.watched.insert(build.reference());
        }
        if tagged && self.wants(id, |events| events.tells_of_start()) {
            self.say(id, started(build, &config));
        }
        if ordered {
            self.answer(id, forced(build, &config, now));
        }
    }

    /// Reported once a minute, whether it was asked for or not.
    fn tell_end(&mut self, id: Id, build: &Build, before: Option<Results>, tagged: bool) {
        let (config, now) = (self.config(), self.now());
        let wanted = tagged && self.wants(id, |events| events.tells_of_end(build, before));
        let Some(contact) = self.contacts.get(id) else { return };
        let promised = contact.watched.remove(&build.reference());
        if build.results != Some(Results::Retry) {
            contact.forced.retain(|forced| !build.requests.contains(&forced.request));
        }
        if !(promised || wanted) || contact.settings.muted || !contact.reports(build.reference(), now) {
            return;
        }
        let url = self.setup.in_force.borrow().buildbot_url.clone();
        let text = if wanted { finished(build, &config, &url) } else { hey(build, &config, &url) };
        if promised || self.reaches(id) {
            self.answer(id, text);
        } else if let Some(contact) = self.contacts.get(id) {
            contact.missed.note(build);
        }
    }

    fn tell_cancelled(&mut self, request: &BuildRequest) {
        for id in self.contacts.ids() {
            let Some(contact) = self.contacts.get(id) else { continue };
            let before = contact.forced.len();
            contact.forced.retain(|forced| forced.request != request.id);
            if contact.forced.len() < before {
                let builder = clean(&request.builder);
                self.answer(id, format!("the build of {builder} you asked for was cancelled before it began"));
            }
        }
    }

    /// One that ended while nobody could be told.
    pub(super) fn note_missed(&mut self, build: &Build, before: Option<Results>) {
        let tagged = self.is_tagged(build);
        for id in self.contacts.ids() {
            if tagged
                && self.wants(id, |events| events.tells_of_end(build, before))
                && let Some(contact) = self.contacts.get(id).filter(|contact| !contact.settings.muted)
            {
                contact.missed.note(build);
            }
        }
    }

    fn wants(&self, id: Id, wanted: impl Fn(&Events) -> bool) -> bool {
        self.contacts.peek(id).is_some_and(|contact| wanted(&self.events_of(contact)))
    }

    /// Says what somebody waits for, now or as soon as they can be reached.
    fn answer(&mut self, id: Id, text: String) {
        if self.reaches(id) {
            self.say(id, text);
        } else if let Some(contact) = self.contacts.get(id) {
            contact.owe(text);
        }
    }

    /// Somebody wants to hear of a build's end; it may have come meanwhile.
    pub(super) fn watch(&mut self, id: Id, build: BuildRef, ctx: &mut Context<Self>) {
        let Some(contact) = self.contacts.get(id) else { return };
        contact.watched.insert(build.clone());
        self.look_up(id, move |conn| Ok(builds::find(conn, &build.builder, build.number)?.into_iter().collect()), ctx);
    }

    /// Somebody wants to hear of the builds of a request; they may have begun meanwhile, and ended.
    pub(super) fn await_build(&mut self, id: Id, request: BuildRequest, ctx: &mut Context<Self>) {
        let Some(contact) = self.contacts.get(id) else { return };
        let wanted = request.id;
        contact.forced.push(Forced { request: wanted, begun: Default::default() });
        ctx.run_later(PATIENCE, move |bot, _| bot.say_that_it_waits(id, wanted));
        let find = move |conn: &mut Conn| {
            let numbers = requests::find(conn, wanted)?.map(|request| request.builds).unwrap_or_default();
            let found = numbers.into_iter().map(|number| builds::find(conn, &request.builder, number));
            Ok(found.collect::<Result<Vec<_>, DbError>>()?.into_iter().flatten().collect())
        };
        self.look_up(id, find, ctx);
    }

    fn look_up(
        &mut self,
        id: Id,
        find: impl FnOnce(&mut Conn) -> Result<Vec<Build>, DbError> + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        let (db, path) = (self.setup.desk.db.clone(), self.setup.path.clone());
        let found = async move { db.read(find).await };
        ctx.spawn(found.into_actor(self).map(move |found, bot, _| match found {
            Ok(found) => found.iter().for_each(|build| bot.catch_up(id, build)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "{path}: cannot read a build that somebody waits for");
            }
        }));
    }

    fn catch_up(&mut self, id: Id, build: &Build) {
        self.tell_start(id, build, false);
        if build.finished.is_some() {
            self.tell_end(id, build, None, false);
        }
    }

    fn say_that_it_waits(&mut self, id: Id, request: i64) {
        let Some(contact) = self.contacts.get(id) else { return };
        if contact.forced.iter().any(|forced| forced.request == request && forced.begun.is_empty()) {
            self.say(id, "The build has been queued, I'll give a shout when it starts".to_owned());
        }
    }
}

/// What of these events contacts may be told of.
fn tidings(conn: &mut Conn, mut after: Seq, upto: Seq) -> Result<Vec<Tidings>, DbError> {
    let mut tidings = Vec::new();
    while after < upto {
        let batch = events::after(conn, after, BATCH)?;
        let Some(last) = batch.last().map(|fact| fact.seq) else { break };
        for fact in batch.into_iter().filter(|fact| fact.seq <= upto) {
            match fact.event {
                Event::BuildStarted { .. } | Event::RequestCancelled { .. } => tidings.push((fact.event, None)),
                Event::BuildFinished { ref build } => {
                    let before = before(conn, build)?;
                    tidings.push((fact.event, before));
                }
                _ => {}
            }
        }
        after = last;
    }
    Ok(tidings)
}
