//! Whom the bot speaks with: one record for each channel and each person.

use super::away::Missed;
use super::events::Events;
use super::wire::Speaker;
use crate::model::{BuildRef, Time};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// A build is reported once within this.
const ONCE_WITHIN: Duration = Duration::from_secs(60);

/// How many commands may wait for those before them.
const MOST_WAITING: usize = 20;

/// How many lines may be meant for a little later.
const MOST_LATER: usize = 20;

/// How many answers that came while it could not be reached are kept for it.
const MOST_OWED: usize = 20;

/// Answers to what is no command, within [`ONCE_WITHIN`]: two bots that talk to each other come to an end.
const MOST_PUZZLED: u32 = 5;

/// Channel or person, as folded names do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Channel,
    Person,
}

/// What is set at run time, and kept over restarts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `None`: as configured.
    pub events: Option<Events>,
    pub muted: bool,
}

/// A command that waits for its turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub from: Speaker,
    pub text: String,
    /// CTCP ACTION: what somebody does, rather than says.
    pub deed: bool,
}

/// A build that somebody ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Forced {
    pub request: i64,
    /// Builds of it whose start has been told.
    pub begun: BTreeSet<i64>,
}

/// One channel or person.
#[derive(Debug)]
pub struct Contact {
    /// As it was spelt last.
    pub name: String,
    pub kind: Kind,
    pub settings: Settings,
    pub missed: Missed,
    /// Builds whose end is promised.
    pub watched: BTreeSet<BuildRef>,
    pub forced: Vec<Forced>,
    /// A command of it is being carried out; the others wait.
    pub busy: bool,
    /// How many lines are to be said a little later.
    later: usize,
    waiting: VecDeque<Asked>,
    /// Commands were left out since it last had none waiting.
    overrun: bool,
    owed: Vec<String>,
    recent: HashMap<BuildRef, Time>,
    puzzled: (Time, u32),
    heard: Time,
}

impl Contact {
    pub fn new(name: &str, kind: Kind, now: Time) -> Contact {
        Contact {
            name: name.to_owned(),
            kind,
            settings: Settings::default(),
            missed: Missed::default(),
            watched: BTreeSet::new(),
            forced: Vec::new(),
            busy: false,
            later: 0,
            waiting: VecDeque::new(),
            overrun: false,
            owed: Vec::new(),
            recent: HashMap::new(),
            puzzled: (now, 0),
            heard: now,
        }
    }

    /// Takes a command in. An error is the answer to one too many, once until the others are done.
    pub fn ask(&mut self, asked: Asked, now: Time) -> Result<(), Option<&'static str>> {
        self.heard = now;
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(asked);
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.overrun, true);
        Err(first.then_some("too many commands at once: I leave some out"))
    }

    /// The command whose turn it is.
    pub fn next(&mut self) -> Option<Asked> {
        if self.busy {
            return None;
        }
        let next = self.waiting.pop_front();
        self.overrun &= next.is_some();
        next
    }

    /// Forgets what waits: whoever asked has gone.
    pub fn drop_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Whether a build is to be reported; not again within a minute.
    pub fn reports(&mut self, build: BuildRef, now: Time) -> bool {
        self.recent.retain(|_, at| now.since(*at) < ONCE_WITHIN);
        if self.recent.contains_key(&build) {
            return false;
        }
        self.recent.insert(build, now);
        true
    }

    /// Whether to answer what is no command.
    pub fn puzzles(&mut self, now: Time) -> bool {
        let (since, count) = self.puzzled;
        self.puzzled = if now.since(since) < ONCE_WITHIN { (since, count.saturating_add(1)) } else { (now, 1) };
        self.puzzled.1 <= MOST_PUZZLED
    }

    /// Whether one more line may be said a little later; [`Contact::said_later`] follows it.
    pub fn says_later(&mut self) -> bool {
        let room = self.later < MOST_LATER;
        self.later += usize::from(room);
        room
    }

    pub fn said_later(&mut self) {
        self.later = self.later.saturating_sub(1);
    }

    /// Keeps an answer until it can be given.
    pub fn owe(&mut self, text: String) {
        if self.owed.len() < MOST_OWED {
            self.owed.push(text);
        }
    }

    /// What it is to hear now that it can be reached again.
    pub fn take_owed(&mut self) -> Vec<String> {
        let mut owed = std::mem::take(&mut self.owed);
        owed.extend(std::mem::take(&mut self.missed).line());
        owed
    }

    /// Whether nothing of it is worth keeping. One that was heard of lately is kept, for what it may still be told twice.
    pub fn is_forgotten(&self, now: Time) -> bool {
        self.settings == Settings::default()
            && self.missed == Missed::default()
            && self.watched.is_empty()
            && self.forced.is_empty()
            && !self.busy
            && self.later == 0
            && self.waiting.is_empty()
            && self.owed.is_empty()
            && now.since(self.heard) >= ONCE_WITHIN
    }

    /// Takes over what is promised to somebody who is called otherwise now.
    pub fn take_promises(&mut self, from: &mut Contact) {
        self.watched.append(&mut from.watched);
        self.forced.append(&mut from.forced);
        self.owed.append(&mut from.owed);
        self.heard = self.heard.max(from.heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_seconds(seconds)
    }

    fn asked(text: &str) -> Asked {
        let from = Speaker { nick: "ann".into(), user: "ann".into(), host: "h".into(), account: None };
        Asked { from, text: text.to_owned(), deed: false }
    }

    #[test]
    fn a_flood_is_answered_once() {
        let mut contact = Contact::new("ann", Kind::Person, at(0));
        let told = (0..10_000).filter_map(|_| contact.ask(asked("status"), at(1)).err()).flatten();
        assert_eq!(told.count(), 1);
        assert_eq!(std::iter::from_fn(|| contact.next()).count(), MOST_WAITING);
        assert!(contact.ask(asked("status"), at(2)).is_ok());
    }

    #[test]
    fn a_build_is_reported_once_a_minute() {
        let mut contact = Contact::new("#c", Kind::Channel, at(0));
        let build = |number| BuildRef { builder: "linux".into(), number };
        assert!(contact.reports(build(1), at(0)) && !contact.reports(build(1), at(59)));
        assert!(contact.reports(build(2), at(59)) && contact.reports(build(1), at(60)));
    }

    #[test]
    fn nobody_is_puzzled_for_ever() {
        let mut contact = Contact::new("otherbot", Kind::Person, at(0));
        assert_eq!((0..100).filter(|_| contact.puzzles(at(1))).count(), 5);
        assert!(contact.puzzles(at(100)));
    }

    #[test]
    fn who_has_nothing_to_remember_is_forgotten() {
        let mut contact = Contact::new("ann", Kind::Person, at(0));
        assert!(!contact.is_forgotten(at(59)) && contact.is_forgotten(at(60)));
        contact.settings.muted = true;
        assert!(!contact.is_forgotten(at(60)));
    }
}
