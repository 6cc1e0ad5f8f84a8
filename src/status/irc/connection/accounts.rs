//! Whom the network's services know the people around us as.
//!
//! A nick alone says nothing: anybody can take it. An account counts only while nothing can have changed it.

use super::super::wire::Casemapping;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long what WHOIS said counts where the server does not tell of changes by itself.
const FRESH: Duration = Duration::from_secs(30);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(8);
/// So many people are remembered; when there are more, all are asked about anew.
const PEOPLE: usize = 4096;

/// Accounts by nick.
pub struct Accounts {
    casemapping: Casemapping,
    /// The server tells when somebody near us logs in or out (account-notify).
    told_of_changes: bool,
    known: HashMap<String, Known>,
    /// User and host of those who spoke lately.
    masks: HashMap<String, (String, String)>,
    asked: HashMap<String, Question>,
}

struct Known {
    account: Option<String>,
    until: Option<Instant>,
}

struct Question {
    since: Instant,
    /// User and host of whoever is meant: somebody else who has taken the nick by now does not count.
    mask: Option<(String, String)>,
    /// What the answer says so far.
    account: Option<String>,
    is_other: bool,
    askers: Vec<oneshot::Sender<Option<String>>>,
}

impl Accounts {
    pub fn new(casemapping: Casemapping, told_of_changes: bool) -> Accounts {
        Accounts { casemapping, told_of_changes, known: HashMap::new(), masks: HashMap::new(), asked: HashMap::new() }
    }

    /// The account, if it is known and sure.
    pub fn get(&self, nick: &str, now: Instant) -> Option<&str> {
        self.fresh(&self.casemapping.fold(nick), now)?.account.as_deref()
    }

    fn fresh(&self, folded: &str, now: Instant) -> Option<&Known> {
        self.known.get(folded).filter(|known| known.until.is_none_or(|until| now < until))
    }

    /// The server says so of somebody who shares a channel with us: `*` is nobody.
    pub fn told(&mut self, nick: &str, account: &str, now: Instant) {
        let account = (account != "*").then(|| account.to_owned());
        let until = (!self.told_of_changes).then_some(now + FRESH);
        self.remember(self.casemapping.fold(nick), Known { account, until });
    }

    /// The server says so beside something that was said, wherever.
    pub fn tagged(&mut self, nick: &str, account: Option<&str>, now: Instant) {
        let known = Known { account: account.map(str::to_owned), until: Some(now + FRESH) };
        self.remember(self.casemapping.fold(nick), known);
    }

    /// Somebody of this user and host spoke: if the server is asked about them, it is them who are meant.
    pub fn saw(&mut self, nick: &str, user: &str, host: &str) {
        let folded = self.casemapping.fold(nick);
        if self.masks.len() >= PEOPLE && !self.masks.contains_key(&folded) {
            self.masks.clear();
        }
        self.masks.insert(folded, (user.to_owned(), host.to_owned()));
    }

    /// Nothing is known any more: the nick was changed, or its holder is out of our sight.
    pub fn forget(&mut self, nick: &str) {
        let folded = self.casemapping.fold(nick);
        self.known.remove(&folded);
        self.masks.remove(&folded);
        if let Some(question) = self.asked.remove(&folded) {
            question.answer(None);
        }
    }

    /// Somebody wants to know. `true` says that the server must be asked.
    pub fn ask(&mut self, nick: &str, asker: oneshot::Sender<Option<String>>, now: Instant) -> bool {
        let folded = self.casemapping.fold(nick);
        if let Some(known) = self.fresh(&folded, now) {
            // Whoever asked may have gone.
            asker.send(known.account.clone()).ok();
            return false;
        }
        let mask = self.masks.get(&folded).cloned();
        let is_new = !self.asked.contains_key(&folded);
        let question = self.asked.entry(folded).or_insert_with(|| Question {
            since: now,
            mask,
            account: None,
            is_other: false,
            askers: Vec::new(),
        });
        question.askers.push(asker);
        is_new
    }

    /// A part of the answer: who has the nick.
    pub fn whois_user(&mut self, nick: &str, user: &str, host: &str) {
        if let Some(question) = self.asked.get_mut(&self.casemapping.fold(nick)) {
            question.is_other |=
                question.mask.as_ref().is_some_and(|mask| (mask.0.as_str(), mask.1.as_str()) != (user, host));
        }
    }

    /// A part of the answer: the account (330), or that the nick is their own registered one (307).
    pub fn whois_account(&mut self, nick: &str, account: &str, by_name: bool) {
        if let Some(question) = self.asked.get_mut(&self.casemapping.fold(nick))
            && (by_name || question.account.is_none())
        {
            question.account = Some(account.to_owned());
        }
    }

    /// The end of the answer.
    pub fn whois_end(&mut self, nick: &str, now: Instant) {
        let folded = self.casemapping.fold(nick);
        let Some(mut question) = self.asked.remove(&folded) else { return };
        let account = question.account.take().filter(|_| !question.is_other);
        if !question.is_other {
            // A change is told of only by those who share a channel with us, which WHOIS does not say.
            self.remember(folded, Known { account: account.clone(), until: Some(now + FRESH) });
        }
        question.answer(account);
    }

    /// When [`late`](Accounts::late) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.asked.values().map(|question| question.since + PATIENCE).min()
    }

    /// Answers the questions the server did not.
    pub fn late(&mut self, now: Instant) {
        let late = self.asked.extract_if(|_, question| question.since + PATIENCE <= now);
        late.for_each(|(_, question)| question.answer(None));
    }

    fn remember(&mut self, folded: String, known: Known) {
        if self.known.len() >= PEOPLE && !self.known.contains_key(&folded) {
            self.known.clear();
        }
        self.known.insert(folded, known);
    }
}

impl Question {
    fn answer(self, account: Option<String>) {
        for asker in self.askers {
            // Whoever asked may have gone.
            asker.send(account.clone()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(accounts: &mut Accounts, nick: &str, now: Instant) -> (bool, oneshot::Receiver<Option<String>>) {
        let (asker, answer) = oneshot::channel();
        accounts.saw(nick, "u", "h");
        (accounts.ask(nick, asker, now), answer)
    }

    #[test]
    fn the_server_is_asked_once_and_its_answer_kept_for_a_while() {
        let (mut accounts, now) = (Accounts::new(Casemapping::Ascii, false), Instant::now());
        let (must_ask, mut first) = ask(&mut accounts, "Ada", now);
        let (again, mut second) = ask(&mut accounts, "ada", now);
        assert!(must_ask && !again);
        accounts.whois_user("ada", "u", "h");
        accounts.whois_account("ada", "ada", false);
        accounts.whois_account("ada", "countess", true);
        accounts.whois_end("ada", now);
        assert_eq!(first.try_recv(), Ok(Some("countess".to_owned())));
        assert_eq!(second.try_recv(), Ok(Some("countess".to_owned())));
        assert_eq!(accounts.get("ADA", now), Some("countess"));
        assert_eq!(accounts.get("ada", now + FRESH), None);
    }

    #[test]
    fn one_who_took_the_nick_meanwhile_does_not_count() {
        let (mut accounts, now) = (Accounts::new(Casemapping::Ascii, false), Instant::now());
        let (_, mut answer) = ask(&mut accounts, "ada", now);
        accounts.whois_user("ada", "other", "h");
        accounts.whois_account("ada", "countess", true);
        accounts.whois_end("ada", now);
        assert_eq!(answer.try_recv(), Ok(None));
        let (_, mut answer) = ask(&mut accounts, "ada", now);
        accounts.forget("ada");
        assert_eq!(answer.try_recv(), Ok(None));
        accounts.whois_account("ada", "countess", true);
        accounts.whois_end("ada", now);
        assert_eq!(accounts.get("ada", now), None);
    }

    #[test]
    fn who_is_not_logged_in_has_no_account() {
        let (mut accounts, now) = (Accounts::new(Casemapping::Ascii, true), Instant::now());
        accounts.told("ada", "countess", now);
        assert_eq!(accounts.get("ada", now + 100 * FRESH), Some("countess"), "a change would be told");
        accounts.told("ada", "*", now);
        assert_eq!(accounts.get("ada", now), None);
        let (must_ask, mut answer) = ask(&mut accounts, "ada", now);
        assert_eq!((must_ask, answer.try_recv()), (false, Ok(None)));
    }

    #[test]
    fn a_server_that_does_not_answer_says_nobody() {
        let (mut accounts, now) = (Accounts::new(Casemapping::Ascii, false), Instant::now());
        let (_, mut answer) = ask(&mut accounts, "ada", now);
        accounts.late(now + PATIENCE);
        assert_eq!(answer.try_recv(), Ok(None));
        assert_eq!(accounts.deadline(), None);
    }
}
