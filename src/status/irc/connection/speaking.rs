//! What a session says for the bot, and its last words.

use super::super::wire::How;
use super::ctcp;
use super::message::written;
use super::session::{EndKind, Session, Stage};
use super::split;
use irc::proto::Command;
use std::time::{Duration, Instant};

/// How long what is queued may take before we go.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the server may take to let us go.
const GOODBYE: Duration = Duration::from_secs(2);
/// No name of a channel or nick is longer.
const LONGEST_NAME: usize = 200;
/// Longest line with its prefix, without its end.
const LINE: usize = 510;
/// What others may see before what we say, where the server has not told: a user and a host.
const LONGEST_USER: usize = 11;
const LONGEST_HOST: usize = 64;

/// A session that is told to end.
pub(super) struct Quitting {
    why: String,
    /// When it is over with waiting: for its turn to say goodbye, and once that is said, for the server.
    pub(super) until: Instant,
    said: bool,
}

impl Session {
    /// Queues a text on as many lines as it takes.
    pub(super) fn say(&mut self, to: &str, how: How, text: &str) {
        if !matches!(self.stage, Stage::Ready { .. }) || self.quitting.is_some() {
            return;
        }
        if !is_name(to) {
            return self.warn(&format!("cannot say anything to \"{}\", which is no name", split::plain(to)));
        }
        let contact = self.server.casemapping.fold(to);
        let mut all_taken = true;
        for line in split::lines(text, self.room(to, how)) {
            all_taken &= self.queue.push(&contact, written(&ctcp::command(to, how, line)));
        }
        if !all_taken {
            self.warn(&format!("too much to say to {to}; what does not fit into the queue is dropped"));
        }
    }

    /// How long a text to somebody may be, so that no server cuts it when it puts who we are before it.
    fn room(&self, to: &str, how: How) -> usize {
        let nick = self.nickname.current().len().max(self.settings.nick.len()).max(self.server.nick_length);
        let length = |part: &Option<String>, usual| part.as_ref().map_or(usual, |part| part.len().min(LONGEST_NAME));
        let (user, host) = (length(&self.mask.0, LONGEST_USER), length(&self.mask.1, LONGEST_HOST));
        let prefix = ":!@ ".len() + nick + user + host;
        LINE.saturating_sub(prefix + ctcp::overhead(to, how))
    }

    /// Says what is queued, and goodbye.
    pub fn quit(&mut self, why: &str, now: Instant) {
        self.quitting.get_or_insert(Quitting { why: split::plain(why), until: now + LAST_WORDS, said: false });
        self.go_on_quitting(now);
    }

    /// Goes once nothing waits to be said any more, or that has taken long enough.
    pub(super) fn go_on_quitting(&mut self, now: Instant) {
        let Some(quitting) = &mut self.quitting else { return };
        let is_ready = matches!(self.stage, Stage::Ready { .. });
        if quitting.said {
            if quitting.until <= now {
                self.finish(EndKind::Quit, "we quit".to_owned());
            }
        } else if quitting.until <= now || self.queue.is_empty() || !is_ready {
            (quitting.said, quitting.until) = (true, now + GOODBYE);
            let quit = Command::QUIT(Some(quitting.why.clone()));
            self.send([quit]);
        }
    }
}

/// Whether a line can be addressed so.
pub(super) fn is_name(name: &str) -> bool {
    let is_bad = |letter: char| letter.is_whitespace() || letter.is_control() || letter == ',';
    (1..=LONGEST_NAME).contains(&name.len()) && !name.starts_with(':') && !name.contains(is_bad)
}
