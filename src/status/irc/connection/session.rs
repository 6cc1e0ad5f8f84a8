//! One connection to a server, from the first line to the last; without a socket.
//!
//! It is given lines, orders and the time, and has lines to write and things to tell. Whoever has the socket asks it for
//! these after each, and wakes it at its deadline.

use super::super::wire::{Do, Heard, How, Server};
use super::accounts::Accounts;
use super::ctcp;
use super::flood::Flood;
use super::identification::{self, Identification};
use super::joining::{self, Joining, Setback};
use super::message::{numeric, parse, written};
use super::nickname::Nickname;
use super::pace::{Next, Pace, Queue};
use super::registration::{Progress, Registration};
use super::settings::{Sasl, Settings};
use super::speaking::{Quitting, is_name};
use super::split;
use irc::proto::Command;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long after the welcome the server may still speak of itself.
const GREETING: Duration = Duration::from_secs(5);
/// What we do where services cannot be had.
pub(super) const GOING_ON: &str = "going on without being identified; they are told again every now and then";
/// So much may wait for the bot to hear it; what is said beyond that is not passed on.
const UNHEARD: usize = 4096;

/// Why a session is over.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub kind: EndKind,
    /// A sentence.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// It stood, and is gone.
    Lost,
    /// The server did not let us in, or threw us out to stay out.
    Refused,
    /// We talked too much.
    Flooded,
    /// We wanted to go.
    Quit,
}

/// The state of a connection.
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) registration: Registration,
    pub(super) stage: Stage,
    pub(super) server: Server,
    pub(super) nickname: Nickname,
    /// User and host as others see them, as far as we know.
    pub(super) mask: (Option<String>, Option<String>),
    pub(super) identification: Identification,
    pub(super) joining: Joining,
    pub(super) accounts: Accounts,
    pub(super) flood: Flood,
    pub(super) queue: Queue,
    /// When the server was heard last, and when it was asked whether it is there.
    heard: Instant,
    pinged: Option<Instant>,
    /// When it is our turn to speak again, if something waits for that.
    turn: Option<Instant>,
    pub(super) quitting: Option<Quitting>,
    /// The server has said that we are banned; why is in its last words.
    banned: Option<String>,
    out: Vec<String>,
    told: VecDeque<Heard>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stage {
    Registering {
        until: Instant,
    },
    /// In, and the server speaks of itself.
    Greeted {
        until: Instant,
    },
    Identifying,
    Ready {
        since: Instant,
    },
}

impl Session {
    /// Begins one on a connection that has just come about.
    pub fn begin(settings: &Arc<Settings>, joining: Joining, pace: Pace, now: Instant) -> Session {
        let (registration, first) = Registration::begin(settings);
        let server = Server::default();
        let nickname = Nickname::new(&settings.nick, &settings.nick, None, settings.limits.regain, now);
        Session {
            registration,
            stage: Stage::Registering { until: now + settings.limits.register },
            nickname,
            mask: (None, None),
            identification: Identification::default(),
            joining,
            accounts: Accounts::new(server.casemapping, false),
            server,
            flood: Flood::new(now),
            queue: Queue::new(pace),
            heard: now,
            pinged: None,
            turn: None,
            quitting: None,
            banned: None,
            out: first.iter().map(written).collect(),
            told: VecDeque::new(),
            end: None,
            settings: Arc::clone(settings),
        }
    }

    /// How long it has stood, if it came so far.
    pub fn stood(&self, now: Instant) -> Option<Duration> {
        match self.stage {
            Stage::Ready { since } => Some(now.saturating_duration_since(since)),
            Stage::Registering { .. } | Stage::Greeted { .. } | Stage::Identifying => None,
        }
    }

    /// Why it is over, once it is.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The channels, for the next one.
    pub fn into_joining(mut self) -> Joining {
        self.joining.lost();
        self.joining
    }

    /// The lines to be written now.
    pub fn lines(&mut self, now: Instant) -> Vec<String> {
        let dropped = |contact: &str, count| {
            let words = format!("({count} more lines are left out: too many were waiting)");
            written(&ctcp::command(contact, How::Notice, words))
        };
        self.turn = loop {
            match self.queue.next(dropped) {
                Next::Send(line) => self.out.push(line),
                Next::Wait(pause) => break Some(now + pause),
                Next::Nothing => break None,
            }
        };
        self.go_on_quitting(now);
        std::mem::take(&mut self.out)
    }

    /// What the bot is to hear next.
    pub fn told(&mut self) -> Option<Heard> {
        self.told.pop_front()
    }

    /// When it wants to be woken.
    pub fn deadline(&self) -> Instant {
        let alive = self.pinged.map_or(self.heard + self.settings.limits.quiet, |at| at + self.settings.limits.answer);
        let stage = match self.stage {
            Stage::Registering { until } => [Some(until), self.registration.deadline(), None],
            Stage::Greeted { until } => [Some(until), None, None],
            Stage::Identifying => [None; 3],
            Stage::Ready { .. } => [self.joining.deadline(), self.nickname.deadline(), self.accounts.deadline()],
        };
        let identified = match self.stage {
            Stage::Identifying | Stage::Ready { .. } => self.identification.deadline(),
            Stage::Registering { .. } | Stage::Greeted { .. } => None,
        };
        let quitting = self.quitting.as_ref().map(|quitting| quitting.until);
        stage.into_iter().chain([identified, quitting, self.turn]).flatten().fold(alive, Instant::min)
    }

    /// Does what its time has come for.
    pub fn tick(&mut self, now: Instant) {
        match self.stage {
            Stage::Registering { until } if until <= now => {
                let limit = self.settings.limits.register;
                self.finish(EndKind::Refused, format!("no answer to our registration within {limit:?}"));
            }
            Stage::Registering { .. } => {
                let late = self.registration.late(now);
                self.send(late);
            }
            Stage::Greeted { until } if until <= now => self.identify(now),
            Stage::Greeted { .. } => {}
            Stage::Identifying if self.identification.is_late(now) => {
                let limit = self.settings.limits.identify;
                self.warn(&format!("no answer of NickServ within {limit:?}; {GOING_ON}"));
                self.ready(now);
            }
            Stage::Identifying => {}
            Stage::Ready { .. } => self.tick_ready(now),
        }
        self.check_alive(now);
        self.go_on_quitting(now);
    }

    fn tick_ready(&mut self, now: Instant) {
        let joins = self.joining.due(now);
        let nick = self.nickname.due(now);
        self.queue_own(joins.into_iter().chain(nick));
        self.accounts.late(now);
        // Services may come back late; nobody waits for them any more, but they are told.
        self.identification.is_late(now);
        if self.identification.is_due(now) {
            self.ask_services(now);
        }
    }

    fn check_alive(&mut self, now: Instant) {
        let limits = &self.settings.limits;
        match self.pinged {
            Some(at) if at + limits.answer <= now => {
                let why = format!("the server does not answer within {:?}", limits.answer);
                self.finish(EndKind::Lost, why);
            }
            None if self.heard + limits.quiet <= now => {
                self.pinged = Some(now);
                self.send([Command::PING("signalbox".to_owned(), None)]);
            }
            Some(_) | None => {}
        }
    }

    /// A line has come.
    pub fn hear(&mut self, line: &str, now: Instant) {
        self.heard = now;
        self.pinged = None;
        let Some(message) = parse(line) else { return };
        match &message.command {
            Command::PING(token, more) => {
                let token = more.as_ref().unwrap_or(token).clone();
                self.send([Command::PONG(token, None)]);
            }
            Command::ERROR(why) => self.hear_error(&split::plain(why)),
            command if numeric(command).is_some_and(|(number, _)| number == 465) => {
                let said = numeric(command).and_then(|(_, arguments)| arguments.last()).map_or("", String::as_str);
                self.banned = Some(format!("we are banned (465): {}", split::plain(said)));
            }
            _ if matches!(self.stage, Stage::Registering { .. }) => {
                let progress = self.registration.hear(&message, now);
                self.progress(progress, now);
            }
            _ => self.hear_in(&message, now),
        }
    }

    /// The last thing a server says.
    fn hear_error(&mut self, why: &str) {
        let said = why.to_lowercase();
        let is_ban = ["lined", "k-line", "banned"].iter().any(|word| said.contains(word));
        let kind = match self.stage {
            _ if self.quitting.is_some() => EndKind::Quit,
            _ if said.contains("flood") || said.contains("recvq") => EndKind::Flooded,
            _ if is_ban => EndKind::Refused,
            _ => self.kind_of_end(),
        };
        self.finish(kind, format!("the server says: {why}"));
    }

    /// The far side closed, or what is between us did.
    pub fn closed(&mut self, why: &str) {
        let kind = self.kind_of_end();
        let why = self.banned.take().unwrap_or_else(|| why.to_owned());
        self.finish(kind, why);
    }

    fn kind_of_end(&self) -> EndKind {
        match self.stage {
            _ if self.quitting.is_some() => EndKind::Quit,
            _ if self.banned.is_some() => EndKind::Refused,
            Stage::Registering { .. } => EndKind::Refused,
            Stage::Greeted { .. } | Stage::Identifying | Stage::Ready { .. } => EndKind::Lost,
        }
    }

    /// Only the first reason counts: the others follow from it.
    pub(super) fn finish(&mut self, kind: EndKind, why: String) {
        self.end.get_or_insert(End { kind, why });
    }

    fn progress(&mut self, progress: Progress, now: Instant) {
        if let Some(trouble) = self.registration.trouble() {
            self.warn(&trouble);
        }
        match progress {
            Progress::Answer(commands) => self.send(commands),
            Progress::Refused { why } => self.finish(EndKind::Refused, why),
            Progress::Welcome { nick } => {
                let settings = &self.settings;
                let password = settings.password.clone();
                self.nickname = Nickname::new(&settings.nick, &nick, password, settings.limits.regain, now);
                self.stage = Stage::Greeted { until: now + GREETING };
            }
        }
    }

    /// The server has said what it has to say.
    pub(super) fn identify(&mut self, now: Instant) {
        self.nickname.shorten(self.server.nick_length, now);
        let has_notify = self.registration.has("account-notify");
        self.accounts = Accounts::new(self.server.casemapping, has_notify);
        if self.registration.logged_in() {
            self.identification = Identification::done();
        }
        if self.identification.is_identified() || !self.ask_services(now) {
            return self.ready(now);
        }
        self.stage = Stage::Identifying;
    }

    /// Tells NickServ the password, if there is one.
    pub(super) fn ask_services(&mut self, now: Instant) -> bool {
        let Some(password) = &self.settings.password else { return false };
        let account = match &self.settings.access.sasl {
            Sasl::Plain { user: Some(user) } => user,
            Sasl::Plain { user: None } | Sasl::No | Sasl::External => &self.settings.nick,
        };
        let question = identification::question("IDENTIFY", account, password.reveal());
        let limits = &self.settings.limits;
        self.identification.asked(now, limits.identify, limits.regain);
        self.send([question]);
        true
    }

    pub(super) fn ready(&mut self, now: Instant) {
        self.stage = Stage::Ready { since: now };
        let nick = self.nickname.current().to_owned();
        tracing::info!("IRC {}: connected as {nick}", self.settings.host);
        if !self.nickname.is_wanted() {
            let wanted = &self.settings.nick;
            self.warn(&format!("the nick {wanted} is not to be had; called {nick} until it is"));
        }
        self.tell(Heard::Connected { nick, server: self.server.clone() });
        let joins = self.joining.begin(self.server.casemapping, now);
        self.queue_own(joins);
    }

    /// The bot wants something.
    pub fn obey(&mut self, order: Do, now: Instant) {
        match order {
            Do::Say { to, how, text } => self.say(&to, how, &text),
            Do::Join { channel, .. } if !joining::is_channel(&channel) => {
                let why = format!("cannot join \"{}\", which is no name of a channel", split::plain(&channel));
                self.warn(&why);
                self.tell(Heard::Left { channel, why, again: false });
            }
            Do::Join { channel, key } => {
                let join = self.joining.want(&channel, key, now);
                self.queue_own(join);
            }
            Do::Part { channel } => {
                self.queue.forget(&self.server.casemapping.fold(&channel));
                let part = self.joining.part(&channel);
                self.queue_own(part);
            }
        }
    }

    /// The bot wants to know who somebody is.
    pub fn who_is(&mut self, nick: &str, asker: oneshot::Sender<Option<String>>, now: Instant) {
        let is_ready = matches!(self.stage, Stage::Ready { .. });
        // A refused question is answered by nobody: the asker sees that it is dropped.
        if is_ready && is_name(nick) && self.accounts.ask(nick, asker, now) {
            self.queue_own([Command::WHOIS(None, nick.to_owned())]);
        }
    }

    /// Sends at once.
    pub(super) fn send(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.out.extend(commands.into_iter().map(|command| written(&command)));
    }

    /// Sends as soon as it is our turn to speak.
    pub(super) fn queue_own(&mut self, commands: impl IntoIterator<Item = Command>) {
        commands.into_iter().for_each(|command| self.queue.push_own(written(&command)));
    }

    /// Tells the bot; what people say is left out while it does not listen.
    pub(super) fn tell(&mut self, heard: Heard) {
        let is_spare = matches!(heard, Heard::Said { .. } | Heard::SpeakerRenamed { .. } | Heard::SpeakerGone { .. });
        if self.told.len() < UNHEARD || !is_spare {
            self.told.push_back(heard);
        }
    }

    /// Tells bot and people that we are not in a channel.
    pub(super) fn set_back(&mut self, setback: Setback) {
        self.queue.forget(&self.server.casemapping.fold(&setback.channel));
        self.warn(&setback.sentence());
        let again = setback.again.is_some();
        self.tell(Heard::Left { channel: setback.channel, why: setback.why, again });
    }

    pub(super) fn warn(&self, what: &str) {
        tracing::warn!("IRC {}: {what}", self.settings.host);
    }
}
