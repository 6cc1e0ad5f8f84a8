//! How a connection begins: who we are, what the server can do, and logging in by SASL.

use super::message::{numeric, raw};
use super::settings::{Sasl, Settings};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use irc::proto::{CapSubCommand, Command, Message};
use rand::Rng;
use std::sync::Arc;
use std::time::Instant;

/// What tells us who speakers are to the network's services, and their host when it changes.
const USEFUL: [&str; 4] = ["account-tag", "account-notify", "extended-join", "chghost"];
/// So many nicks are tried before a server is left alone for a while.
const NICKS: u32 = 8;
/// SASL sends its data in pieces of so many letters; a shorter one ends them.
const PIECE: usize = 400;

/// A registration under way.
pub struct Registration {
    settings: Arc<Settings>,
    nick: String,
    nicks_tried: u32,
    offered: Vec<String>,
    granted: Vec<String>,
    /// Since when SASL waits for an answer.
    logging_in: Option<Instant>,
    logged_in: bool,
    negotiated: bool,
    trouble: Option<String>,
}

/// What came of a message.
#[derive(Debug, PartialEq)]
pub enum Progress {
    /// These are to be sent, at once.
    Answer(Vec<Command>),
    /// We are in, called so.
    Welcome { nick: String },
    /// The server does not want us; a sentence.
    Refused { why: String },
}

impl Registration {
    /// Begins one; these are to be sent first.
    pub fn begin(settings: &Arc<Settings>) -> (Registration, Vec<Command>) {
        let nick = settings.nick.clone();
        let password = settings.access.server_password.as_ref();
        let mut first: Vec<Command> =
            password.map(|password| Command::PASS(password.reveal().to_owned())).into_iter().collect();
        first.push(raw("CAP", &["LS", "302"]));
        first.push(Command::NICK(nick.clone()));
        first.push(Command::USER(user_of(&nick), "0".to_owned(), "Signalbox, which tells of builds".to_owned()));
        let registration = Registration {
            settings: Arc::clone(settings),
            nick,
            nicks_tried: 0,
            offered: Vec::new(),
            granted: Vec::new(),
            logging_in: None,
            logged_in: false,
            negotiated: false,
            trouble: None,
        };
        (registration, first)
    }

    /// What the server lets us use of what we asked for.
    pub fn has(&self, capability: &str) -> bool {
        self.granted.iter().any(|granted| granted == capability)
    }

    /// SASL has told the services who we are.
    pub fn logged_in(&self) -> bool {
        self.logged_in
    }

    /// What people should know and has not stopped us, once.
    pub fn trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// When [`late`](Registration::late) has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.logging_in.map(|since| since + self.settings.limits.identify)
    }

    /// Services that do not answer are not waited for.
    pub fn late(&mut self, now: Instant) -> Vec<Command> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let mut commands = vec![Command::AUTHENTICATE("*".to_owned())];
        commands.extend(self.without_sasl("the services do not answer"));
        commands
    }

    pub fn hear(&mut self, message: &Message, now: Instant) -> Progress {
        if let Some((number, arguments)) = numeric(&message.command) {
            return self.hear_number(number, arguments);
        }
        Progress::Answer(match &message.command {
            Command::CAP(_, CapSubCommand::LS, first, second) => self.offered(first.as_deref(), second.as_deref()),
            Command::CAP(_, CapSubCommand::ACK, first, second) => {
                let granted = second.as_ref().or(first.as_ref()).map_or("", String::as_str);
                self.granted.extend(granted.split_whitespace().map(str::to_owned));
                self.log_in(now)
            }
            Command::CAP(_, CapSubCommand::NAK, ..) => self.log_in(now),
            Command::AUTHENTICATE(data) if data == "+" => self.authenticate(),
            _ => Vec::new(),
        })
    }

    fn hear_number(&mut self, number: u16, arguments: &[String]) -> Progress {
        let said = arguments.last().map_or("", String::as_str);
        Progress::Answer(match number {
            1 => {
                let nick = arguments.first().filter(|nick| *nick != "*").unwrap_or(&self.nick);
                return Progress::Welcome { nick: nick.clone() };
            }
            // In use, taken by two, or kept back for a while.
            433 | 436 | 437 => return self.next_nick(false, number, said),
            432 => return self.next_nick(true, number, said),
            464 => return Progress::Refused { why: format!("it wants another serverPassword (464): {said}") },
            903 | 907 => {
                self.logged_in = true;
                self.end_negotiation()
            }
            902 | 904 | 905 | 906 => self.without_sasl(&format!("refused ({number}): {said}")),
            _ => Vec::new(),
        })
    }

    /// A part of the list of what the server can do; all but the last have a star before them.
    fn offered(&mut self, first: Option<&str>, second: Option<&str>) -> Vec<Command> {
        let (more, list) = match (first, second) {
            (Some("*"), Some(list)) => (true, list),
            (Some(list), _) => (false, list),
            (None, list) => (false, list.unwrap_or_default()),
        };
        // A server has a few dozen; one that goes on for ever is not remembered for ever.
        let room = 200usize.saturating_sub(self.offered.len());
        self.offered.extend(list.split_whitespace().take(room).map(str::to_owned));
        if more || self.negotiated {
            return Vec::new();
        }
        let mut wanted: Vec<&str> = USEFUL.into_iter().filter(|name| self.offer(name).is_some()).collect();
        match (self.mechanism(), self.offer("sasl")) {
            (None, _) => {}
            (Some(ours), Some(theirs)) if theirs.is_empty() || theirs.split(',').any(|theirs| theirs == ours) => {
                wanted.push("sasl")
            }
            (Some(ours), Some(_)) => {
                self.trouble = Some(format!("the server does not offer SASL {ours}; going on without"))
            }
            (Some(ours), None) => {
                self.trouble = Some(format!("the server does not offer SASL, so not {ours}; going on without"))
            }
        }
        if wanted.is_empty() {
            return self.end_negotiation();
        }
        vec![raw("CAP", &["REQ", &wanted.join(" ")])]
    }

    /// What is said of a capability, nothing where it only is there.
    fn offer(&self, name: &str) -> Option<&str> {
        let mut offers = self.offered.iter().map(|offer| offer.split_once('=').unwrap_or((offer, "")));
        offers.find(|(offered, _)| *offered == name).map(|(_, value)| value)
    }

    fn mechanism(&self) -> Option<&'static str> {
        match self.settings.access.sasl {
            Sasl::No => None,
            Sasl::Plain { .. } => Some("PLAIN"),
            Sasl::External => Some("EXTERNAL"),
        }
    }

    fn log_in(&mut self, now: Instant) -> Vec<Command> {
        match self.mechanism() {
            Some(mechanism) if self.has("sasl") && self.logging_in.is_none() && !self.negotiated => {
                self.logging_in = Some(now);
                vec![Command::AUTHENTICATE(mechanism.to_owned())]
            }
            _ if self.logging_in.is_some() => Vec::new(),
            _ => self.end_negotiation(),
        }
    }

    fn authenticate(&self) -> Vec<Command> {
        let data = match (&self.settings.access.sasl, &self.settings.password) {
            (Sasl::Plain { user }, Some(password)) if self.logging_in.is_some() => {
                let user = user.as_ref().unwrap_or(&self.settings.nick);
                BASE64.encode(format!("{user}\0{user}\0{}", password.reveal()))
            }
            // The certificate has said it.
            (Sasl::External, _) if self.logging_in.is_some() => String::new(),
            _ => return Vec::new(),
        };
        pieces(&data).into_iter().map(Command::AUTHENTICATE).collect()
    }

    fn without_sasl(&mut self, why: &str) -> Vec<Command> {
        let mechanism = self.mechanism().unwrap_or_default();
        self.trouble = Some(format!(
            "SASL {mechanism}: {why}; going on without being identified; check password, saslUser and certFile"
        ));
        self.end_negotiation()
    }

    fn end_negotiation(&mut self) -> Vec<Command> {
        self.logging_in = None;
        match std::mem::replace(&mut self.negotiated, true) {
            true => Vec::new(),
            false => vec![raw("CAP", &["END"])],
        }
    }

    fn next_nick(&mut self, is_bad: bool, number: u16, said: &str) -> Progress {
        self.nicks_tried += 1;
        if self.nicks_tried > NICKS {
            return Progress::Refused { why: format!("it takes no nick of ours ({number}): {said}") };
        }
        let wanted = &self.settings.nick;
        self.nick = match self.nicks_tried {
            tried @ 1..=2 if !is_bad => format!("{wanted}{}", "_".repeat(usize::try_from(tried).unwrap_or(1))),
            _ => format!(
                "{}{:03}",
                user_of(wanted).get(..6).unwrap_or(&user_of(wanted)),
                rand::rng().random_range(0..1000)
            ),
        };
        Progress::Answer(vec![Command::NICK(self.nick.clone())])
    }
}

/// Letters and digits of a nick that every server takes: for the name of the user, and for a nick at a pinch.
fn user_of(nick: &str) -> String {
    let letters: String = nick.chars().filter(char::is_ascii_alphanumeric).take(9).collect();
    let letters = letters.trim_start_matches(|letter: char| letter.is_ascii_digit());
    if letters.is_empty() { "builds".to_owned() } else { letters.to_owned() }
}

fn pieces(data: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = data;
    while rest.len() >= PIECE {
        let (piece, after) = rest.split_at(PIECE);
        pieces.push(piece.to_owned());
        rest = after;
    }
    // The end must be seen: nothing is written as a plus.
    pieces.push(if rest.is_empty() { "+".to_owned() } else { rest.to_owned() });
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::message::{parse, written};
    use super::*;
    use crate::config::Secret;
    use std::time::Duration;

    fn begin(change: impl FnOnce(&mut Settings)) -> Registration {
        let mut settings = Settings::plain("irc.example.org", 6667, "bb");
        change(&mut settings);
        Registration::begin(&Arc::new(settings)).0
    }

    fn with_sasl() -> Registration {
        begin(|settings| {
            settings.password = Some(Secret::new("pw"));
            settings.access.sasl = Sasl::Plain { user: None };
        })
    }

    fn answers(registration: &mut Registration, line: &str) -> Vec<String> {
        match registration.hear(&parse(line).unwrap(), Instant::now()) {
            Progress::Answer(commands) => commands.iter().map(written).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_password_for_services_is_never_sent_as_pass() {
        let settings = Settings { password: Some(Secret::new("pw")), ..Settings::plain("irc.example.org", 6667, "bb") };
        let lines: Vec<String> = Registration::begin(&Arc::new(settings)).1.iter().map(written).collect();
        assert_eq!(lines, ["CAP LS 302", "NICK bb", "USER bb 0 * :Signalbox, which tells of builds"]);
    }

    #[test]
    fn sasl_comes_before_the_end_of_the_negotiation() {
        let mut registration = with_sasl();
        assert!(answers(&mut registration, ":irc CAP * LS * :account-tag multi-prefix").is_empty());
        assert_eq!(answers(&mut registration, ":irc CAP * LS :sasl=PLAIN,EXTERNAL"), ["CAP REQ :account-tag sasl"]);
        assert_eq!(answers(&mut registration, ":irc CAP bb ACK :account-tag sasl "), ["AUTHENTICATE PLAIN"]);
        assert_eq!(answers(&mut registration, "AUTHENTICATE :+"), ["AUTHENTICATE YmIAYmIAcHc="]);
        assert_eq!(answers(&mut registration, ":irc 903 bb :SASL authentication successful"), ["CAP END"]);
        assert!(registration.logged_in() && registration.has("account-tag") && registration.trouble().is_none());
    }

    #[test]
    fn sasl_that_fails_or_is_not_there_is_said_and_gone_without() {
        let mut refused = with_sasl();
        answers(&mut refused, ":irc CAP * LS :sasl");
        answers(&mut refused, ":irc CAP * ACK :sasl");
        assert_eq!(answers(&mut refused, ":irc 904 bb :failed"), ["CAP END"]);
        assert!(refused.trouble().unwrap().starts_with("SASL PLAIN: refused (904): failed; going on without"));
        let mut missing = with_sasl();
        assert_eq!(answers(&mut missing, ":irc CAP * LS :chghost=x"), ["CAP REQ chghost"]);
        assert_eq!(answers(&mut missing, ":irc CAP * NAK :chghost"), ["CAP END"]);
        assert!(missing.trouble().unwrap().contains("does not offer SASL"));
        let mut other = with_sasl();
        assert_eq!(answers(&mut other, ":irc CAP * LS :sasl=EXTERNAL"), ["CAP END"]);
        assert!(other.trouble().unwrap().contains("does not offer SASL PLAIN"));
    }

    #[test]
    fn services_that_do_not_answer_are_not_waited_for() {
        let mut registration = with_sasl();
        answers(&mut registration, ":irc CAP * LS :sasl");
        answers(&mut registration, ":irc CAP * ACK :sasl");
        assert!(registration.late(Instant::now()).is_empty());
        let late: Vec<String> =
            registration.late(Instant::now() + Duration::from_secs(60)).iter().map(written).collect();
        assert_eq!(late, ["AUTHENTICATE *", "CAP END"]);
        assert!(registration.late(Instant::now() + Duration::from_secs(120)).is_empty());
    }

    #[test]
    fn a_nick_in_use_gets_a_line_below_and_another_in_the_end() {
        let mut registration = begin(|_| {});
        assert_eq!(answers(&mut registration, ":irc 433 * bb :in use"), ["NICK bb_"]);
        assert_eq!(answers(&mut registration, ":irc 433 * bb_ :in use"), ["NICK bb__"]);
        let third = answers(&mut registration, ":irc 433");
        assert!(third[0].starts_with("NICK bb") && third[0].len() == "NICK bb123".len(), "{third:?}");
        let mut bad = begin(|settings| settings.nick = "4-ever-building".to_owned());
        let other = answers(&mut bad, ":irc 432 * 4-ever-building :Erroneous");
        assert!(other[0].starts_with("NICK everbu"), "{other:?}");
        let mut refused = (0..10).map(|_| registration.hear(&parse(":irc 433").unwrap(), Instant::now()));
        assert!(refused.any(|progress| matches!(progress, Progress::Refused { .. })));
    }

    #[test]
    fn long_data_comes_in_pieces_and_its_end_is_seen() {
        let lengths = |length| pieces(&"x".repeat(length)).iter().map(String::len).collect::<Vec<_>>();
        assert_eq!(lengths(399), [399]);
        assert_eq!(lengths(400), [400, 1]);
        assert_eq!(lengths(900), [400, 400, 100]);
        assert_eq!(pieces(""), ["+"]);
    }
}
