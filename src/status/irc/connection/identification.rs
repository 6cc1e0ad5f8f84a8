//! Telling NickServ who we are, and knowing whether it believed us.
//!
//! Channels may let in only whom the services know, so joins wait for this, but not for ever.

use super::message::{numeric, sender};
use super::split::plain;
use irc::proto::{Command, Message, Mode, UserMode};
use std::time::{Duration, Instant};

/// The services are asked again at most so often, whoever in their name asks us to.
const AGAIN: Duration = Duration::from_secs(60);
const SERVICE: &str = "NickServ";

/// What is known of our being known.
#[derive(Debug, Default)]
pub struct Identification {
    identified: bool,
    asked: Option<Instant>,
    waiting_until: Option<Instant>,
    /// Services that are away are told again then.
    again: Option<Instant>,
}

/// What a message says of it.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Nothing,
    Identified,
    /// They do not believe us; a sentence. They are not asked again: a wrong password does not become right.
    Refused {
        why: String,
    },
    /// There is nobody to tell.
    Absent,
    /// They ask who we are.
    Asked,
}

impl Identification {
    /// SASL has done it.
    pub fn done() -> Identification {
        Identification { identified: true, ..Identification::default() }
    }

    pub fn is_identified(&self) -> bool {
        self.identified
    }

    /// The password is on its way: an answer is waited for so long, and after a pause it is sent again.
    pub fn asked(&mut self, now: Instant, limit: Duration, pause: Duration) {
        self.asked = Some(now);
        self.waiting_until = Some(now + limit);
        self.again = Some(now + limit + pause);
    }

    /// When [`is_late`](Identification::is_late) or [`is_due`](Identification::is_due) is so.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting_until.into_iter().chain(self.again).min()
    }

    /// Whether it is time to tell them again; it is no more then.
    pub fn is_due(&mut self, now: Instant) -> bool {
        self.again.take_if(|again| *again <= now).is_some()
    }

    /// Whether the time to wait is over; it is then.
    pub fn is_late(&mut self, now: Instant) -> bool {
        self.waiting_until.take_if(|until| *until <= now).is_some()
    }

    /// What a message to us says of it; `nick` is ours.
    pub fn hear(&mut self, message: &Message, nick: &str, now: Instant) -> Verdict {
        let verdict = self.judge(message, nick, now);
        match &verdict {
            Verdict::Identified => {
                self.identified = true;
                (self.waiting_until, self.again) = (None, None);
            }
            Verdict::Refused { .. } => (self.waiting_until, self.again) = (None, None),
            Verdict::Absent => self.waiting_until = None,
            Verdict::Nothing | Verdict::Asked => {}
        }
        verdict
    }

    fn judge(&mut self, message: &Message, nick: &str, now: Instant) -> Verdict {
        match &message.command {
            Command::UserMODE(whose, modes) if whose == nick => self.judge_modes(modes),
            Command::NOTICE(_, text) if sender(message).is_some_and(|nick| nick.eq_ignore_ascii_case(SERVICE)) => {
                self.judge_notice(&plain(text), now)
            }
            command => match numeric(command) {
                Some((900, _)) if !self.identified => Verdict::Identified,
                Some((901, _)) => {
                    self.identified = false;
                    Verdict::Nothing
                }
                Some((401, [_, whom, ..])) if whom.eq_ignore_ascii_case(SERVICE) && self.waiting_until.is_some() => {
                    Verdict::Absent
                }
                _ => Verdict::Nothing,
            },
        }
    }

    /// Services give whom they know the mode `r` or `R`. Being there already is no news, losing it is noted.
    fn judge_modes(&mut self, modes: &[Mode<UserMode>]) -> Verdict {
        let mut verdict = Verdict::Nothing;
        for mode in modes {
            match mode {
                Mode::Minus(UserMode::Restricted | UserMode::Unknown('R'), _) => self.identified = false,
                // Where nobody asked to be identified, `+r` is RFC 1459's "restricted".
                Mode::Plus(UserMode::Restricted | UserMode::Unknown('R'), _)
                    if self.asked.is_some() && !self.identified =>
                {
                    verdict = Verdict::Identified;
                }
                _ => {}
            }
        }
        verdict
    }

    fn judge_notice(&self, text: &str, now: Instant) -> Verdict {
        let said = text.to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
        const NO: [&str; 7] = [
            "invalid password",
            "incorrect password",
            "password incorrect",
            "wrong password",
            "not registered",
            "isn't registered",
            "not a registered",
        ];
        const YES: [&str; 6] = [
            "you are now identified",
            "you are now logged in",
            "you are now recognized",
            "you are already",
            "password accepted",
            "successfully identified",
        ];
        if self.waiting_until.is_some() && says(&NO) {
            Verdict::Refused { why: format!("{SERVICE} says: {text}") }
        } else if self.asked.is_some() && !self.identified && says(&YES) {
            Verdict::Identified
        } else if !self.identified
            && self.waiting_until.is_none()
            && self.asked.is_none_or(|asked| asked + AGAIN <= now)
            && says(&["identify"])
        {
            Verdict::Asked
        } else {
            Verdict::Nothing
        }
    }
}

/// The question to NickServ; `nick` is the one that is registered.
pub fn question(verb: &str, nick: &str, password: &str) -> Command {
    Command::PRIVMSG(SERVICE.to_owned(), format!("{verb} {nick} {password}"))
}

#[cfg(test)]
mod tests {
    use super::super::message::parse;
    use super::*;

    fn waiting() -> Identification {
        let mut identification = Identification::default();
        identification.asked(Instant::now(), Duration::from_secs(15), AGAIN);
        identification
    }

    fn verdict(identification: &mut Identification, line: &str) -> Verdict {
        identification.hear(&parse(line).unwrap(), "bb", Instant::now())
    }

    #[test]
    fn several_ways_say_that_we_are_known() {
        for line in [
            ":irc 900 bb bb!b@h bb :You are now logged in as bb",
            ":NickServ!s@services MODE bb :+R",
            ":bb MODE bb :+r",
            ":NickServ!s@services NOTICE bb :You are now identified for \x02bb\x02.",
        ] {
            let mut identification = waiting();
            assert_eq!(verdict(&mut identification, line), Verdict::Identified, "{line}");
            assert!(identification.is_identified() && identification.deadline().is_none());
        }
    }

    #[test]
    fn nobody_else_can_say_so() {
        for line in [
            ":mallory!m@h NOTICE bb :You are now identified for bb.",
            ":mallory!m@h PRIVMSG bb :You are now identified for bb.",
            ":NickServ!s@services MODE other :+R",
            ":bb MODE bb :+i",
        ] {
            assert_eq!(verdict(&mut waiting(), line), Verdict::Nothing, "{line}");
        }
        assert_eq!(verdict(&mut Identification::default(), ":bb MODE bb :+r"), Verdict::Nothing);
    }

    #[test]
    fn a_refusal_ends_the_waiting_for_good_and_missing_services_for_a_while() {
        let mut refused = waiting();
        let line = ":NickServ!s@services NOTICE bb :Invalid password for \x02bb\x02.";
        let why = "NickServ says: Invalid password for bb.".to_owned();
        assert_eq!(verdict(&mut refused, line), Verdict::Refused { why });
        assert!(!refused.is_identified() && refused.deadline().is_none());
        let mut absent = waiting();
        assert_eq!(verdict(&mut absent, ":irc 401 bb NickServ :No such nick"), Verdict::Absent);
        let again = absent.deadline().unwrap();
        assert!(!absent.is_due(again - AGAIN) && absent.is_due(again) && !absent.is_due(again));
    }

    #[test]
    fn services_that_come_back_are_told_again_but_not_too_often() {
        let line = ":NickServ!s@services NOTICE bb :This nickname is registered. Please identify via /msg";
        let mut identification = Identification::default();
        assert_eq!(verdict(&mut identification, line), Verdict::Asked);
        let now = Instant::now();
        identification.asked(now, Duration::ZERO, AGAIN);
        assert!(identification.is_late(now));
        assert_eq!(verdict(&mut identification, line), Verdict::Nothing);
        let later = identification.hear(&parse(line).unwrap(), "bb", now + AGAIN);
        assert_eq!(later, Verdict::Asked);
    }
}
