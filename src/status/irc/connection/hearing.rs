//! What messages of a server that has let us in mean.

use super::super::wire::{Addressee, Heard, How, Speaker};
use super::ctcp::{self, Content};
use super::flood::Ear;
use super::identification::Verdict;
use super::isupport;
use super::message::{mask, numeric, sender, tag};
use super::session::{GOING_ON, Session, Stage};
use super::split::plain;
use irc::proto::{Command, Message};
use std::time::Instant;

impl Session {
    /// A message after the welcome.
    pub(super) fn hear_in(&mut self, message: &Message, now: Instant) {
        self.hear_services(message, now);
        if let Some((number, arguments)) = numeric(&message.command) {
            return self.hear_number(number, arguments, now);
        }
        let Some(nick) = sender(message) else { return };
        let is_us = self.server.casemapping.same(nick, self.nickname.current());
        match &message.command {
            Command::PRIVMSG(to, text) if !is_us => self.hear_said(message, nick, to, text, false, now),
            Command::NOTICE(to, text) if !is_us => self.hear_said(message, nick, to, text, true, now),
            Command::JOIN(channel, account, _) => {
                self.hear_join(message, nick, is_us, channel, account.as_deref(), now)
            }
            Command::PART(channel, why) if is_us => self.hear_out(channel, "left", why.as_deref(), now),
            Command::PART(..) => self.accounts.forget(nick),
            Command::KICK(channel, whom, why) => self.hear_kick(channel, nick, whom, why.as_deref(), now),
            Command::NICK(to) => self.hear_nick(nick, is_us, to, now),
            Command::QUIT(_) if !is_us => self.hear_quit(nick, now),
            Command::ACCOUNT(account) => self.accounts.told(nick, account, now),
            Command::CHGHOST(user, host) if is_us => self.mask = (Some(user.clone()), Some(host.clone())),
            Command::CHGHOST(user, host) => self.accounts.saw(nick, user, host),
            _ => {}
        }
    }

    fn hear_services(&mut self, message: &Message, now: Instant) {
        let verdict = self.identification.hear(message, self.nickname.current(), now);
        match verdict {
            Verdict::Nothing => return,
            Verdict::Asked => {
                // Before that they are told anyway.
                if matches!(self.stage, Stage::Ready { .. }) {
                    self.ask_services(now);
                }
                return;
            }
            Verdict::Identified => {
                tracing::info!("IRC {}: identified to the services", self.settings.host);
                self.joining.identified(now);
            }
            // That is said once.
            Verdict::Absent if self.stage == Stage::Identifying => {
                self.warn(&format!("there is no NickServ (401); {GOING_ON}"));
            }
            Verdict::Absent => {}
            Verdict::Refused { why } => self.warn(&format!("{why}; going on without being identified; check password")),
        }
        if self.stage == Stage::Identifying {
            self.ready(now);
        }
    }

    fn hear_number(&mut self, number: u16, arguments: &[String], now: Instant) {
        let said = arguments.last().map_or("", String::as_str);
        let argument = |place: usize| arguments.get(place).map_or("", String::as_str);
        match number {
            5 => isupport::note(&mut self.server, arguments),
            376 | 422 if matches!(self.stage, Stage::Greeted { .. }) => self.identify(now),
            396 => self.mask.1 = Some(argument(1).rsplit('@').next().unwrap_or_default().to_owned()),
            311 => self.accounts.whois_user(argument(1), argument(2), argument(3)),
            330 => self.accounts.whois_account(argument(1), argument(2), true),
            // The nick is registered, and theirs.
            307 => self.accounts.whois_account(argument(1), argument(1), false),
            318 | 401 => self.accounts.whois_end(argument(1), now),
            432 | 437 if !self.server.is_channel(argument(1)) => {
                let release = self.nickname.held(now);
                self.queue_own(release);
            }
            404 => self.warn(&format!("cannot say anything in {} (404): {}", plain(argument(1)), plain(said))),
            number => {
                let nick = self.nickname.current().to_owned();
                let setback = self.joining.refused(number, argument(1), &plain(said), &nick, now);
                setback.into_iter().for_each(|setback| self.set_back(setback));
            }
        }
    }

    fn hear_said(&mut self, message: &Message, nick: &str, to: &str, text: &str, is_notice: bool, now: Instant) {
        let Some(addressee) = self.addressee(to) else { return };
        match self.flood.hear(&self.server.casemapping.fold(nick), now) {
            Ear::Open => {}
            Ear::Closed => return,
            Ear::JustClosed => {
                let nick = plain(nick);
                return self.warn(&format!("{nick} says more than is listened to; what is too much is not heard"));
            }
        }
        let (user, host) = mask(message);
        self.accounts.saw(nick, user, host);
        let account = self.account_of(message, nick, now);
        let (text, how) = match (ctcp::read(text), is_notice) {
            (Content::Said(text), false) => (text, How::Message),
            (Content::Said(text), true) => (text, How::Notice),
            (Content::Action(text), false) => (text, How::Action),
            (Content::Question(word, rest), false) => return self.answer(nick, &addressee, &word, rest, now),
            // Answers to questions we never ask.
            (Content::Action(_) | Content::Question(..), true) => return,
        };
        let [nick, user, host, text] = [nick, user, host, text].map(plain);
        self.tell(Heard::Said { from: Speaker { nick, user, host, account }, to: addressee, text, how });
    }

    /// Where it was said; `None` for what concerns neither us nor a channel.
    fn addressee(&self, to: &str) -> Option<Addressee> {
        // What is said to some of a channel is said in the channel.
        let channel = to.trim_start_matches(['@', '%', '+']);
        if self.server.is_channel(to) {
            Some(Addressee::Channel(to.to_owned()))
        } else if self.server.is_channel(channel) {
            Some(Addressee::Channel(channel.to_owned()))
        } else {
            self.server.casemapping.same(to, self.nickname.current()).then_some(Addressee::Us)
        }
    }

    /// The account the server names beside a message, where it does so; else the one that is known.
    fn account_of(&mut self, message: &Message, nick: &str, now: Instant) -> Option<String> {
        if self.registration.has("account-tag") {
            self.accounts.tagged(nick, tag(message, "account"), now);
        }
        self.accounts.get(nick, now).map(str::to_owned)
    }

    fn answer(&mut self, nick: &str, to: &Addressee, word: &str, rest: &str, now: Instant) {
        if *to == Addressee::Us
            && self.flood.question(now)
            && let Some(answer) = ctcp::answer(nick, word, rest)
        {
            self.queue_own([answer]);
        }
    }

    fn hear_join(
        &mut self,
        message: &Message,
        nick: &str,
        is_us: bool,
        channel: &str,
        account: Option<&str>,
        now: Instant,
    ) {
        if is_us {
            let (user, host) = mask(message);
            let known = |part: &str| (!part.is_empty()).then(|| part.to_owned());
            self.mask = (known(user), known(host));
            if !self.joining.joined(channel, now) {
                self.warn(&format!("made to join {}", plain(channel)));
            }
            self.tell(Heard::Joined { channel: channel.to_owned() });
        } else if let Some(account) = account.filter(|_| self.registration.has("extended-join")) {
            self.accounts.told(nick, account, now);
        }
    }

    /// We are out of a channel, as we wanted or not.
    fn hear_out(&mut self, channel: &str, how: &str, why: Option<&str>, now: Instant) {
        let said = why.map_or(String::new(), |why| format!(": {}", plain(why)));
        let why = format!("{how} {}{said}", plain(channel));
        match self.joining.thrown_out(channel, why.clone(), now) {
            Some(setback) => self.set_back(setback),
            None => self.tell(Heard::Left { channel: channel.to_owned(), why, again: false }),
        }
    }

    fn hear_kick(&mut self, channel: &str, by: &str, whom: &str, why: Option<&str>, now: Instant) {
        if !self.server.casemapping.same(whom, self.nickname.current()) {
            return self.accounts.forget(whom);
        }
        self.hear_out(channel, &format!("kicked by {} from", plain(by)), why, now);
    }

    fn hear_nick(&mut self, from: &str, is_us: bool, to: &str, now: Instant) {
        self.accounts.forget(from);
        self.accounts.forget(to);
        if !is_us {
            let freed = self.nickname.freed(from, self.server.casemapping, now);
            self.queue_own(freed);
            return self.tell(Heard::SpeakerRenamed { from: from.to_owned(), to: to.to_owned() });
        }
        self.nickname.renamed(to, now);
        tracing::info!("IRC {}: called {to} from now on", self.settings.host);
        self.tell(Heard::Renamed { nick: to.to_owned() });
        if self.nickname.is_wanted() && !self.identification.is_identified() {
            self.ask_services(now);
        }
    }

    fn hear_quit(&mut self, nick: &str, now: Instant) {
        self.accounts.forget(nick);
        let freed = self.nickname.freed(nick, self.server.casemapping, now);
        self.queue_own(freed);
        self.tell(Heard::SpeakerGone { nick: nick.to_owned() });
    }
}
