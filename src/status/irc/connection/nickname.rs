//! Getting our nick back when somebody else had it.

use super::super::wire::Casemapping;
use super::identification::question;
use crate::config::Secret;
use irc::proto::Command;
use std::time::{Duration, Instant};

/// How long services may need to throw out whoever has our nick.
const GHOST: Duration = Duration::from_secs(2);

/// Our nick as it is and as it should be.
#[derive(Debug)]
pub struct Nickname {
    wanted: String,
    current: String,
    /// With it the services can be asked to throw out whoever has it.
    password: Option<Secret>,
    pause: Duration,
    next_try: Option<Try>,
}

#[derive(Debug)]
struct Try {
    at: Instant,
    /// The services are asked first.
    by_services: bool,
}

impl Nickname {
    pub fn new(wanted: &str, current: &str, password: Option<Secret>, pause: Duration, now: Instant) -> Nickname {
        let mut nickname =
            Nickname { wanted: wanted.to_owned(), current: String::new(), password, pause, next_try: None };
        nickname.renamed(current, now);
        nickname
    }

    pub fn current(&self) -> &str {
        &self.current
    }

    pub fn is_wanted(&self) -> bool {
        self.current == self.wanted
    }

    /// The server has no longer nicks than this: no more of ours is wanted.
    pub fn shorten(&mut self, length: usize, now: Instant) {
        self.wanted.truncate(self.wanted.floor_char_boundary(length.max(self.current.len())));
        let current = self.current.clone();
        self.renamed(&current, now);
    }

    /// We are called so from now on.
    pub fn renamed(&mut self, current: &str, now: Instant) {
        current.clone_into(&mut self.current);
        self.next_try = (!self.is_wanted()).then_some(Try { at: now, by_services: true });
    }

    /// When [`due`](Nickname::due) has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_try.as_ref().map(|next| next.at)
    }

    /// What is to be sent now.
    pub fn due(&mut self, now: Instant) -> Option<Command> {
        let due = self.next_try.take_if(|next| next.at <= now)?;
        match &self.password {
            Some(password) if due.by_services => {
                self.next_try = Some(Try { at: now + GHOST, by_services: false });
                Some(question("GHOST", &self.wanted, password.reveal()))
            }
            _ => {
                self.next_try = Some(Try { at: now + self.pause, by_services: true });
                Some(Command::NICK(self.wanted.clone()))
            }
        }
    }

    /// Somebody is no longer called so: if it was our nick, it is taken at once.
    pub fn freed(&mut self, nick: &str, casemapping: Casemapping, now: Instant) -> Option<Command> {
        if self.is_wanted() || !casemapping.same(nick, &self.wanted) {
            return None;
        }
        self.next_try = Some(Try { at: now + self.pause, by_services: true });
        Some(Command::NICK(self.wanted.clone()))
    }

    /// The services hold our nick back for us: they are asked to let go, and the next try comes soon.
    pub fn held(&mut self, now: Instant) -> Option<Command> {
        let password = self.password.as_ref().filter(|_| !self.is_wanted())?;
        // Once for each time the services are asked, or two that misunderstand each other would never rest.
        let next = self.next_try.take_if(|next| next.by_services)?;
        self.next_try = Some(Try { at: next.at.min(now + GHOST), by_services: false });
        Some(question("RELEASE", &self.wanted, password.reveal()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::written;
    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    #[test]
    fn with_a_password_the_services_are_asked_before_each_try() {
        let now = Instant::now();
        let mut nickname = Nickname::new("bb", "bb_", Some(Secret::new("pw")), PAUSE, now);
        assert_eq!(nickname.due(now).map(|c| written(&c)).as_deref(), Some("PRIVMSG NickServ :GHOST bb pw"));
        assert_eq!(nickname.due(now), None);
        assert_eq!(nickname.due(now + GHOST), Some(Command::NICK("bb".to_owned())));
        assert_eq!(nickname.deadline(), Some(now + GHOST + PAUSE));
        let release = nickname.held(now + GHOST).map(|c| written(&c));
        assert_eq!(release.as_deref(), Some("PRIVMSG NickServ :RELEASE bb pw"));
        assert_eq!(nickname.held(now + GHOST), None);
        nickname.renamed("bb", now);
        assert_eq!(nickname.deadline(), None);
    }

    #[test]
    fn without_one_it_is_tried_now_and_then_and_when_it_comes_free() {
        let now = Instant::now();
        let mut nickname = Nickname::new("bb", "bb_", None, PAUSE, now);
        assert_eq!(nickname.due(now), Some(Command::NICK("bb".to_owned())));
        assert_eq!(nickname.deadline(), Some(now + PAUSE));
        assert_eq!(nickname.held(now), None);
        assert_eq!(nickname.freed("other", Casemapping::Ascii, now), None);
        assert_eq!(nickname.freed("BB", Casemapping::Ascii, now), Some(Command::NICK("bb".to_owned())));
    }

    #[test]
    fn a_nick_that_is_too_long_for_the_server_is_not_asked_for_for_ever() {
        let now = Instant::now();
        let mut nickname = Nickname::new("build-status", "build-sta", None, PAUSE, now);
        nickname.shorten(9, now);
        assert!(nickname.is_wanted() && nickname.due(now).is_none());
    }

    #[test]
    fn one_who_is_called_right_leaves_it_at_that() {
        let now = Instant::now();
        let mut nickname = Nickname::new("bb", "bb", None, PAUSE, now);
        assert_eq!((nickname.due(now), nickname.freed("bb", Casemapping::Ascii, now)), (None, None));
        nickname.renamed("Guest1", now);
        assert!(nickname.due(now).is_some(), "services that rename us are answered");
    }
}
