//! The conversation with a relay (RFC 5321), over lettre's connection.
//!
//! Every recipient has an outcome of their own: one that is refused does not keep the letter from the others. What the
//! relay as a whole cannot do just now is [`Verdict::Away`], and no letter is to blame for it.
//!
//! A password never goes in clear over a network, nor to a relay whose certificate is not right.

use super::relay::{Relay, Security};
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use std::error::Error as _;
use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So many times as long as for a command it may take to answer a whole letter, which the relay may look through first.
const LETTER: u32 = 10;
/// A connection that was idle for longer is asked whether it still stands.
const STALE: Duration = Duration::from_secs(5);

/// What became of a letter for one recipient.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// With the relay's words.
    Taken(String),
    ForNow(String),
    ForGood(String),
    /// The relay took as many recipients as it wanted at once; this one's turn comes next.
    NextTime,
    /// The relay cannot be used.
    Away(String),
}

/// A letter ready to be sent.
pub struct Outgoing<'a> {
    pub from: &'a Address,
    pub to: &'a [Address],
    pub full: &'a [u8],
    /// The same without its attachments, for a relay that finds it too large; `None` where it has none.
    pub bare: Option<&'a [u8]>,
}

/// A connection that letters can be sent over, one after the other.
pub struct Session {
    connection: AsyncSmtpConnection,
    /// For one command and its answer.
    limit: Duration,
    last_used: Instant,
}

impl Session {
    /// Connects, secures the connection as the relay's options say, and logs in. The error is a sentence.
    pub async fn open(relay: &Relay, basedir: &Path) -> Result<Session, String> {
        let hello = ClientId::default();
        let connection = match relay.security {
            Security::Implicit => connect(relay, Some(tls(relay, basedir, true).await?), &hello).await?,
            Security::StartTls => start_tls(relay, tls(relay, basedir, true).await?, &hello).await?,
            Security::IfOffered => if_offered(relay, basedir, &hello).await?,
        };
        let mut session = Session { connection, limit: relay.timeout, last_used: Instant::now() };
        if let Some((user, password)) = &relay.login {
            session.log_in(relay, user.reveal(), password.reveal()).await?;
        }
        Ok(session)
    }

    async fn log_in(&mut self, relay: &Relay, user: &str, password: &str) -> Result<(), String> {
        if !self.connection.is_encrypted() && !relay.is_here() {
            return Err("it offers no TLS, and a password is never sent in clear; use a relay with TLS, or leave \
                        smtpUser and smtpPassword out"
                .to_owned());
        }
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let answer = within(self.limit, self.connection.auth(&mechanisms, &credentials)).await;
        answer.map(drop).map_err(|failed| format!("logging in as \"{user}\": {failed}"))
    }

    /// Whether it can still be used; one that was used lately is taken to stand.
    pub async fn stands(&mut self) -> bool {
        let fresh = self.last_used.elapsed() < STALE;
        !self.connection.has_broken() && (fresh || within(self.limit, self.connection.command(Noop)).await.is_ok())
    }

    /// Takes leave.
    pub async fn close(mut self) {
        // Whether it says goodbye is of no importance.
        let _ = within(Duration::from_secs(5), self.connection.command(Quit)).await;
    }

    /// Sends a letter; one verdict per recipient, in their order. `false` beside them says that the connection is of no
    /// more use.
    pub async fn send(&mut self, letter: &Outgoing<'_>) -> (Vec<Verdict>, bool) {
        let (mut verdicts, mut stands) = self.transaction(letter, letter.full).await;
        if let Some(bare) = letter.bare.filter(|_| stands && verdicts.iter().any(Verdict::says_too_large)) {
            (verdicts, stands) = self.transaction(letter, bare).await;
        }
        self.last_used = Instant::now();
        (verdicts, stands)
    }

    async fn transaction(&mut self, letter: &Outgoing<'_>, bytes: &[u8]) -> (Vec<Verdict>, bool) {
        let utf8 = self.connection.server_info().supports_feature(Extension::SmtpUtfEight);
        let needs_utf8 = letter.to.iter().chain([letter.from]).any(|address| !is_ascii(address));
        let parameters = if utf8 && needs_utf8 { vec![MailParameter::SmtpUtfEight] } else { Vec::new() };
        let mail = Mail::new(Some(letter.from.clone()), parameters);
        if let Err(failed) = self.say(mail).await {
            return (vec![failed.of_sender(); letter.to.len()], failed.is_answer());
        }
        let mut verdicts = Vec::with_capacity(letter.to.len());
        for to in letter.to {
            let verdict = if utf8 || is_ascii(to) { self.recipient(to, &verdicts).await } else { Ok(Some(no_utf8())) };
            match verdict {
                Ok(verdict) => verdicts.push(verdict),
                Err(failed) => return (vec![Verdict::Away(failed.to_string()); letter.to.len()], false),
            }
        }
        if verdicts.iter().all(Option::is_some) {
            let stands = self.say(Rset).await.is_ok();
            return (verdicts.into_iter().flatten().collect(), stands);
        }
        let (verdict, stands) = self.data(bytes).await;
        (verdicts.into_iter().map(|refused| refused.unwrap_or_else(|| verdict.clone())).collect(), stands)
    }

    /// `None` where the relay takes this recipient.
    async fn recipient(&mut self, to: &Address, before: &[Option<Verdict>]) -> Result<Option<Verdict>, Failed> {
        match self.say(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => Ok(None),
            Err(Failed::Refused { code: 421, words }) => Err(Failed::Refused { code: 421, words }),
            // Enough for one time (RFC 5321 §4.5.3.1.10).
            Err(Failed::Refused { code: 452, .. }) if before.iter().any(Option::is_none) => Ok(Some(Verdict::NextTime)),
            Err(failed @ Failed::Refused { .. }) => Ok(Some(failed.of_letter())),
            Err(broken) => Err(broken),
        }
    }

    async fn data(&mut self, bytes: &[u8]) -> (Verdict, bool) {
        if let Err(failed) = self.say(Data).await {
            return (failed.of_letter(), failed.is_answer());
        }
        match within(LETTER * self.limit, self.connection.message(bytes)).await {
            Ok(answer) => (Verdict::Taken(words(&answer)), true),
            // Perhaps it was taken: who gets it twice knows it by its Message-ID.
            Err(failed @ Failed::Broken(_)) => (Verdict::ForNow(format!("after the letter was sent: {failed}")), false),
            Err(failed) => (failed.of_letter(), failed.is_answer()),
        }
    }

    async fn say(&mut self, command: impl Display) -> Result<Response, Failed> {
        within(self.limit, self.connection.command(command)).await
    }
}

impl Verdict {
    fn says_too_large(&self) -> bool {
        let (Verdict::ForGood(words) | Verdict::ForNow(words)) = self else { return false };
        words.starts_with("552") || words.starts_with("523")
    }
}

fn is_ascii(address: &Address) -> bool {
    let text: &str = address.as_ref();
    text.is_ascii()
}

fn no_utf8() -> Verdict {
    Verdict::ForGood(
        "the relay takes no addresses with such letters before the @ (it does not offer SMTPUTF8)".to_owned(),
    )
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The relay said no.
    #[error("{code} {words}")]
    Refused { code: u16, words: String },
    #[error("{0}")]
    Broken(String),
}

impl Failed {
    fn is_answer(&self) -> bool {
        matches!(self, Failed::Refused { code, .. } if *code != 421)
    }

    /// As an answer about one letter or recipient.
    fn of_letter(&self) -> Verdict {
        match self {
            Failed::Refused { code: 421, .. } | Failed::Broken(_) => Verdict::Away(self.to_string()),
            Failed::Refused { code: 500.., .. } => Verdict::ForGood(self.to_string()),
            Failed::Refused { .. } => Verdict::ForNow(self.to_string()),
        }
    }

    /// As an answer to `MAIL FROM`: who wants a login, or TLS, wants it for every letter.
    fn of_sender(&self) -> Verdict {
        match self {
            Failed::Refused { code: 530 | 534 | 535 | 538, .. } => Verdict::Away(self.to_string()),
            failed => failed.of_letter(),
        }
    }
}

fn words(answer: &Response) -> String {
    format!("{} {}", answer.code(), answer.message().collect::<Vec<_>>().join(" "))
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(Failed::Broken(format!("no answer within {limit:.0?}"))),
    }
}

fn failed(error: &Error) -> Failed {
    let why = error.source().map_or_else(|| error.to_string(), |source| source.to_string());
    match error.status() {
        Some(code) => Failed::Refused { code: u16::from(code), words: why },
        None => Failed::Broken(why),
    }
}

async fn connect(relay: &Relay, tls: Option<TlsParameters>, hello: &ClientId) -> Result<AsyncSmtpConnection, String> {
    let server = (relay.host.as_str(), relay.port);
    let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(relay.timeout), hello, tls, None);
    within(2 * relay.timeout, connecting).await.map_err(|failed| failed.to_string())
}

/// With TLS by STARTTLS, or not at all.
async fn start_tls(relay: &Relay, tls: TlsParameters, hello: &ClientId) -> Result<AsyncSmtpConnection, String> {
    let mut connection = connect(relay, None, hello).await?;
    if !connection.can_starttls() {
        connection.abort().await;
        return Err("it offers no TLS, which useTls demands; nothing was sent".to_owned());
    }
    within(2 * relay.timeout, connection.starttls(tls, hello)).await.map_err(|failed| format!("TLS: {failed}"))?;
    Ok(connection)
}

async fn if_offered(relay: &Relay, basedir: &Path, hello: &ClientId) -> Result<AsyncSmtpConnection, String> {
    let mut connection = connect(relay, None, hello).await?;
    if !connection.can_starttls() {
        return Ok(connection);
    }
    // Who is there matters once there is a password to be had.
    let verified = relay.login.is_some() && !relay.is_here();
    let tls = tls(relay, basedir, verified).await?;
    let secured = within(2 * relay.timeout, connection.starttls(tls, hello)).await;
    match secured {
        Ok(()) => Ok(connection),
        Err(failed) if verified => Err(format!("TLS: {failed}")),
        // It would have been no secret without.
        Err(_) => connect(relay, None, hello).await,
    }
}

/// Reads the certificates of the system, which takes a while, and those of `caFile`.
async fn tls(relay: &Relay, basedir: &Path, verified: bool) -> Result<TlsParameters, String> {
    let (host, ca_file) = (relay.host.clone(), relay.ca_file.as_ref().map(|file| basedir.join(file)));
    let made = tokio::task::spawn_blocking(move || parameters(host, ca_file, verified)).await;
    made.unwrap_or_else(|_| Err("TLS cannot be set up".to_owned()))
}

fn parameters(host: String, ca_file: Option<PathBuf>, verified: bool) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host);
    if let Some(file) = ca_file {
        let pem = std::fs::read(&file).map_err(|cause| format!("cannot read caFile {}: {cause}", file.display()))?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|cause| format!("caFile {} holds no certificate: {cause}", file.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    let builder = if verified { builder } else { builder.dangerous_accept_invalid_certs(true) };
    builder.build_rustls().map_err(|cause| format!("TLS cannot be set up: {cause}"))
}
