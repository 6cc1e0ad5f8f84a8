//! The channels we are to be in, and how we get and stay there.

use super::super::wire::Casemapping;
use super::delays::in_words;
use super::settings::Limits;
use super::speaking::is_name;
use crate::config::Secret;
use irc::proto::Command;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// No pause between tries grows beyond this.
const LONGEST: Duration = Duration::from_secs(1800);
/// A join that is not answered is asked for again.
const UNANSWERED: Duration = Duration::from_secs(60);
/// Who stays in a channel for so long starts with short pauses again.
const SETTLED: Duration = Duration::from_secs(600);

/// The channels that are wanted, under the one form of their names.
#[derive(Debug)]
pub struct Joining {
    limits: Limits,
    casemapping: Casemapping,
    wanted: BTreeMap<String, Wanted>,
    /// Joins are held back until we are identified.
    ready: bool,
}

#[derive(Debug)]
struct Wanted {
    name: String,
    key: Option<Secret>,
    state: State,
    /// So often in a row it went wrong.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Out,
    Asked {
        at: Instant,
    },
    In {
        since: Instant,
    },
    Again {
        at: Instant,
    },
    /// Trying again cannot help.
    Never,
}

/// Why we are not in a channel.
#[derive(Debug, PartialEq)]
pub struct Setback {
    pub channel: String,
    pub why: String,
    /// When it is tried again; `None` says never.
    pub again: Option<Duration>,
    /// What people can do about it.
    pub hint: Option<String>,
}

impl Joining {
    pub fn new(limits: &Limits) -> Joining {
        let casemapping = Casemapping::Rfc1459;
        Joining { limits: limits.clone(), casemapping, wanted: BTreeMap::new(), ready: false }
    }

    /// Wants a channel; one that is wanted already and not to be had is tried anew. Returns what is to be sent now.
    /// What is no [name of a channel](is_channel) is not wanted.
    pub fn want(&mut self, channel: &str, key: Option<Secret>, now: Instant) -> Option<Command> {
        if !is_channel(channel) {
            return None;
        }
        let folded = self.casemapping.fold(channel);
        let before = self.wanted.remove(&folded);
        let (state, failures) = match &before {
            // The same question again changes nothing, another key may.
            Some(old) if old.key == key && !matches!(old.state, State::Never) => (old.state, old.failures),
            Some(old) if matches!(old.state, State::In { .. }) => (old.state, old.failures),
            _ => (State::Out, 0),
        };
        self.wanted.insert(folded.clone(), Wanted { name: channel.to_owned(), key, state, failures });
        if state == State::Out && self.ready { self.join(&folded, now) } else { None }
    }

    /// Wants it no more. Returns what is to be sent.
    pub fn part(&mut self, channel: &str) -> Option<Command> {
        let wanted = self.wanted.remove(&self.casemapping.fold(channel))?;
        matches!(wanted.state, State::In { .. } | State::Asked { .. }).then(|| Command::PART(wanted.name, None))
    }

    /// The connection is gone, and with it what the server said.
    pub fn lost(&mut self) {
        self.ready = false;
        for wanted in self.wanted.values_mut() {
            (wanted.state, wanted.failures) = (State::Out, 0);
        }
    }

    /// We are who we are to be. Returns the joins of all channels.
    pub fn begin(&mut self, casemapping: Casemapping, now: Instant) -> Vec<Command> {
        self.ready = true;
        self.casemapping = casemapping;
        let wanted = std::mem::take(&mut self.wanted).into_values();
        self.wanted = wanted.map(|wanted| (casemapping.fold(&wanted.name), wanted)).collect();
        let names: Vec<String> = self.wanted.keys().cloned().collect();
        names.iter().filter_map(|name| self.join(name, now)).collect()
    }

    /// The services know us now: what was refused may open.
    pub fn identified(&mut self, now: Instant) {
        for wanted in self.wanted.values_mut() {
            if matches!(wanted.state, State::Again { .. }) {
                wanted.state = State::Again { at: now };
            }
        }
    }

    /// When [`due`](Joining::due) has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.wanted.values().filter_map(Wanted::deadline).min()
    }

    /// The joins whose time has come.
    pub fn due(&mut self, now: Instant) -> Vec<Command> {
        let is_due = |wanted: &Wanted| wanted.deadline().is_some_and(|at| at <= now);
        let names: Vec<String> =
            self.wanted.iter().filter(|(_, wanted)| is_due(wanted)).map(|(name, _)| name.clone()).collect();
        names.iter().filter_map(|name| self.join(name, now)).collect()
    }

    /// We are in. `false` says that nobody wanted to.
    pub fn joined(&mut self, channel: &str, now: Instant) -> bool {
        let wanted = self.wanted.get_mut(&self.casemapping.fold(channel));
        wanted.map(|wanted| wanted.state = State::In { since: now }).is_some()
    }

    /// We were thrown out, or made to leave.
    pub fn thrown_out(&mut self, channel: &str, why: String, now: Instant) -> Option<Setback> {
        let first = self.limits.rejoin;
        let wanted = self.wanted.get_mut(&self.casemapping.fold(channel))?;
        if let State::In { since } = wanted.state
            && now.duration_since(since) >= SETTLED
        {
            wanted.failures = 0;
        }
        let pause = wanted.pause(first, now);
        Some(Setback { channel: wanted.name.clone(), why, again: Some(pause), hint: None })
    }

    /// A server's answer to a join that lets nobody in. `nick` is ours, `said` the server's words.
    pub fn refused(&mut self, number: u16, channel: &str, said: &str, nick: &str, now: Instant) -> Option<Setback> {
        let reason = Reason::of(number, nick)?;
        let first = self.limits.refused;
        let wanted = self.wanted.get_mut(&self.casemapping.fold(channel))?;
        if !matches!(wanted.state, State::Asked { .. }) {
            return None;
        }
        let again = match reason.for_good {
            false => Some(wanted.pause(first, now)),
            true => {
                wanted.state = State::Never;
                None
            }
        };
        let words = if reason.words.is_empty() { said } else { reason.words };
        let why = format!("cannot join {}: {words} ({number})", wanted.name);
        Some(Setback { channel: wanted.name.clone(), why, again, hint: Some(reason.hint) })
    }

    fn join(&mut self, folded: &str, now: Instant) -> Option<Command> {
        let wanted = self.wanted.get_mut(folded)?;
        wanted.state = State::Asked { at: now };
        let key = wanted.key.as_ref().map(|key| key.reveal().to_owned());
        Some(Command::JOIN(wanted.name.clone(), key, None))
    }
}

impl Wanted {
    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Again { at } => Some(at),
            State::Asked { at } => Some(at + UNANSWERED),
            State::Out | State::In { .. } | State::Never => None,
        }
    }

    /// It is tried again after the first pause, doubled with each failure.
    fn pause(&mut self, first: Duration, now: Instant) -> Duration {
        let pause = first.saturating_mul(2u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Again { at: now + pause };
        pause
    }
}

/// Whether this can be joined: one channel, and not `0`, which leaves all.
pub fn is_channel(name: &str) -> bool {
    name.starts_with(['#', '&', '+', '!']) && is_name(name)
}

/// What a refusal means to people.
struct Reason {
    /// Empty where the server's own words are better.
    words: &'static str,
    for_good: bool,
    hint: String,
}

impl Reason {
    fn of(number: u16, nick: &str) -> Option<Reason> {
        let (words, for_good, hint) = match number {
            403 => ("no such channel", true, "mend its name in channels".to_owned()),
            405 => ("in too many channels already", false, "drop some of channels".to_owned()),
            407 | 437 => ("not available just now", false, "wait for the network to heal".to_owned()),
            470 => ("", false, format!("invite \"{nick}\" or mend its name in channels")),
            471 => ("it is full", false, "raise its limit or drop the channel from channels".to_owned()),
            473 => ("invite only", false, format!("invite \"{nick}\" or drop the channel from channels")),
            474 => ("banned", false, format!("lift the ban on \"{nick}\" or drop the channel from channels")),
            475 => ("wrong key", false, "mend its password in channels".to_owned()),
            476 | 479 => ("bad name for a channel", true, "mend its name in channels".to_owned()),
            477 => ("", false, format!("register \"{nick}\" with the services and give its password")),
            489 => ("", false, "use useSSL=True or drop the channel from channels".to_owned()),
            520 | 485 => ("", false, "drop the channel from channels".to_owned()),
            _ => return None,
        };
        Some(Reason { words, for_good, hint })
    }
}

impl Setback {
    /// The whole sentence for the log.
    pub fn sentence(&self) -> String {
        let next = match self.again {
            Some(pause) => format!("trying again in {}", in_words(pause)),
            None => "not trying again".to_owned(),
        };
        let hint = self.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
        format!("{}; {next}{hint}", self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::written;
    use super::*;

    fn joining() -> (Joining, Instant) {
        let (mut joining, now) = (Joining::new(&Limits::default()), Instant::now());
        assert_eq!(joining.want("#Builds", Some(Secret::new("key")), now), None, "not before we are identified");
        let joins: Vec<String> = joining.begin(Casemapping::Ascii, now).iter().map(written).collect();
        assert_eq!(joins, ["JOIN #Builds key"]);
        (joining, now)
    }

    #[test]
    fn a_refusal_is_said_whole_and_tried_again_with_growing_pauses() {
        let (mut joining, now) = joining();
        let setback = joining.refused(473, "#builds", "Cannot join channel (+i)", "bb-status", now).unwrap();
        assert_eq!(
            setback.sentence(),
            "cannot join #Builds: invite only (473); trying again in 60 s; invite \"bb-status\" or drop the channel \
             from channels"
        );
        assert!(joining.due(now).is_empty());
        let mut later = now;
        let pauses: Vec<u64> = (0..7)
            .map(|_| {
                later = joining.deadline().unwrap();
                assert_eq!(joining.due(later).len(), 1);
                joining.refused(473, "#builds", "", "bb", later).unwrap().again.unwrap().as_secs()
            })
            .collect();
        assert_eq!(pauses, [120, 240, 480, 960, 1800, 1800, 1800]);
    }

    #[test]
    fn what_cannot_be_a_channel_is_not_tried_again() {
        let (mut joining, now) = joining();
        assert_eq!(joining.refused(476, "#builds", "", "bb", now).unwrap().again, None);
        assert_eq!(joining.deadline(), None);
        assert!(joining.want("#builds", Some(Secret::new("key")), now).is_some(), "unless somebody asks for it");
    }

    #[test]
    fn who_is_thrown_out_comes_back_and_more_slowly_each_time() {
        let (mut joining, now) = joining();
        assert!(joining.joined("#BUILDS", now));
        let pause =
            |joining: &mut Joining| joining.thrown_out("#builds", "kicked".to_owned(), now).unwrap().again.unwrap();
        assert_eq!(pause(&mut joining), Duration::from_secs(5));
        assert_eq!(joining.due(now + Duration::from_secs(5)).len(), 1);
        joining.joined("#builds", now);
        assert_eq!(pause(&mut joining), Duration::from_secs(10));
    }

    #[test]
    fn numbers_that_are_about_something_else_change_nothing() {
        let (mut joining, now) = joining();
        joining.joined("#builds", now);
        assert_eq!(joining.refused(403, "#builds", "", "bb", now), None, "we are in");
        assert_eq!(joining.refused(473, "#other", "", "bb", now), None, "nobody wants it");
        assert_eq!(joining.refused(404, "#builds", "", "bb", now), None);
        assert_eq!(joining.thrown_out("#other", String::new(), now), None);
    }

    #[test]
    fn channels_are_joined_again_after_a_loss_until_they_are_left() {
        let (mut joining, now) = joining();
        joining.joined("#builds", now);
        joining.lost();
        assert_eq!(joining.begin(Casemapping::Ascii, now).len(), 1);
        joining.joined("#builds", now);
        assert_eq!(joining.part("#BUILDS").map(|c| written(&c)).as_deref(), Some("PART #Builds"));
        assert!(joining.begin(Casemapping::Ascii, now).is_empty());
    }

    #[test]
    fn what_is_no_channel_is_not_joined() {
        let (mut joining, now) = joining();
        for name in ["0", "", "builds", "#a,#b", "#a b", "#a\r\nQUIT"] {
            assert_eq!(joining.want(name, None, now), None, "{name}");
        }
        assert_eq!(joining.begin(Casemapping::Ascii, now).len(), 1);
    }

    #[test]
    fn a_join_without_an_answer_is_asked_for_again() {
        let (mut joining, now) = joining();
        assert_eq!(joining.due(now + UNANSWERED).len(), 1);
    }
}
