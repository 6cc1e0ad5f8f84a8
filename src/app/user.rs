//! `user`: adds, changes, removes and shows users of a running Signalbox.
//!
//! ```text
//! signalbox user add --master build.example.org:9990 --username user --info 'svn=jschmo,git=Joe Schmo <joe@schmo.com>'
//! ```
//!
//! It speaks to a `CommandlineUserManager` ([`user_manager`](crate::status::user_manager)). Nothing is tried again but
//! what was put off because of wrong passwords before: a user that cannot be added twice need not be.
//!
//! Not here: `https`, for this version has no TLS; the options file.

mod info;

use super::Failure;
use super::far_end::{self, ANSWER_LIMIT, address, is_broken_off, plain, shown};
use crate::config::Secret;
use crate::model::User;
use crate::status::user_manager::wire::{Answer, LARGEST, Login, MOST, New, Outcome, PATH, Request, Update};
use awc::error::{ConnectError, SendRequestError};
use awc::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use url::Url;

/// Where the password of the user manager may stand that is not to be seen in the list of processes.
const PASSWORD_VARIABLE: &str = "SIGNALBOX_PASSWORD";

/// The same of the user's own.
const BB_PASSWORD_VARIABLE: &str = "SIGNALBOX_BB_PASSWORD";

/// How long an answer may take: many users are stored one after the other.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);

/// For how long it waits where others have guessed at the password before.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// Answers with users are longer than those with errors.
const USERS_LIMIT: usize = 64 * LARGEST;

/// What is to be done, as the command line gives it.
pub struct UserCommand {
    pub op: UserOp,
    /// `HOST:PORT` of a user manager.
    pub master: String,
    pub username: String,
    /// Without it, it is asked for.
    pub passwd: Option<String>,
    pub bb_username: Option<String>,
    /// Without it, it is asked for where there is a `bb_username`.
    pub bb_password: Option<String>,
    /// `ID,ID` each.
    pub ids: Vec<String>,
    /// A user each: `TYPE=VALUE,TYPE=VALUE`, with `ID:` before it for those who are there.
    pub infos: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserOp {
    Add,
    Update,
    Remove,
    Get,
}

/// Does it, and prints what was done for each user; fails where one of them could not be.
pub fn user(command: &UserCommand) -> Result<(), Failure> {
    let address = address(&command.master, &[PATH.trim_start_matches('/')])?;
    let mut request = command.request()?;
    let password = match command.passwd.as_deref().filter(|password| !password.is_empty()) {
        Some(password) => Secret::new(password),
        None => far_end::missing_password("passwd", PASSWORD_VARIABLE, &command.username)?,
    };
    if let Request::Update { users } = &mut request {
        // Where there is a login, there is one user.
        if let Some(user) = users.first_mut() {
            user.login = command.login()?;
        }
    }
    let body = serde_json::to_vec(&request).expect("texts and lists of them are JSON");
    let letter = Letter { address, body, authorization: far_end::basic(&command.username, &password) };
    let answer = actix::System::new().block_on(letter.deliver(request.len()))?;
    let mut refused = Vec::new();
    for outcome in answer.users {
        match outcome {
            Outcome::Done(user) => print!("{}", told(command.op, &user)),
            Outcome::Refused(why) => refused.push(plain(&why)),
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Failure::Users(refused)) }
}

fn wrong(option: &'static str, why: impl Into<String>) -> Failure {
    Failure::Argument { option, why: why.into() }
}

impl UserCommand {
    /// What is asked for, but for logins.
    fn request(&self) -> Result<Request, Failure> {
        self.check()?;
        let infos = || self.infos.iter();
        let request = match self.op {
            UserOp::Add => Request::Add { users: infos().map(|info| new(info)).collect::<Result<_, _>>()? },
            UserOp::Update => {
                Request::Update { users: infos().map(|info| self.update(info)).collect::<Result<_, _>>()? }
            }
            UserOp::Remove => Request::Remove { ids: self.ids()? },
            UserOp::Get => Request::Get { ids: self.ids()? },
        };
        if request.len() > MOST {
            let option = if self.infos.is_empty() { "ids" } else { "info" };
            return Err(wrong(option, format!("no more than {MOST} users at once")));
        }
        Ok(request)
    }

    /// Which options belong together.
    fn check(&self) -> Result<(), Failure> {
        if self.username.is_empty() || self.username.contains(':') {
            return Err(wrong("username", "it is neither empty, nor is there a colon in it"));
        }
        let (by_info, op) = match self.op {
            UserOp::Add => (true, "add"),
            UserOp::Update => (true, "update"),
            UserOp::Remove => (false, "remove"),
            UserOp::Get => (false, "get"),
        };
        let of_others = [("ids", by_info && !self.ids.is_empty()), ("info", !by_info && !self.infos.is_empty())];
        if let Some((option, _)) = of_others.into_iter().find(|(_, given)| *given) {
            return Err(wrong(option, format!("it is not for {op}")));
        }
        match by_info {
            true if self.infos.is_empty() => return Err(wrong("info", format!("{op} needs one for each user"))),
            false if self.ids.is_empty() => return Err(wrong("ids", format!("{op} needs the identifiers of users"))),
            _ => {}
        }
        match (&self.bb_username, &self.bb_password) {
            (None, None) => Ok(()),
            _ if self.op != UserOp::Update => Err(wrong("bb_username", format!("it is for update, not for {op}"))),
            (None, Some(_)) => Err(wrong("bb_password", "it is nobody's; give --bb_username as well")),
            (Some(_), _) if self.infos.len() > 1 => Err(wrong("bb_username", "it is one user's; give one --info")),
            (Some(_), _) => Ok(()),
        }
    }

    fn update(&self, text: &str) -> Result<Update, Failure> {
        let (identifier, pairs) = info::of_somebody(text).map_err(|why| wrong("info", why))?;
        if pairs.is_empty() && self.bb_username.is_none() {
            return Err(wrong("info", format!("\"{text}\" changes nothing; expected ID:TYPE=VALUE, or --bb_username")));
        }
        let mut attributes: BTreeMap<String, String> = pairs.into_iter().collect();
        Ok(Update { identifier, renamed: attributes.remove("identifier"), attributes, login: None })
    }

    fn ids(&self) -> Result<Vec<String>, Failure> {
        let ids = self.ids.iter().map(|ids| info::ids(ids).map_err(|why| wrong("ids", why)));
        Ok(ids.collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn login(&self) -> Result<Option<Login>, Failure> {
        let Some(bb_username) = self.bb_username.clone() else { return Ok(None) };
        let bb_password = match self.bb_password.as_deref().filter(|password| !password.is_empty()) {
            Some(password) => password.to_owned(),
            None => far_end::missing_password("bb_password", BB_PASSWORD_VARIABLE, &bb_username)?.reveal().to_owned(),
        };
        Ok(Some(Login { bb_username, bb_password }))
    }
}

/// As in 0.8 the first value is the identifier, unless one is given by that name.
fn new(text: &str) -> Result<New, Failure> {
    let pairs = info::pairs(text).map_err(|why| wrong("info", why))?;
    let first = pairs.first().map(|(_, value)| value.clone()).unwrap_or_default();
    let mut attributes: BTreeMap<String, String> = pairs.into_iter().collect();
    Ok(New { identifier: attributes.remove("identifier").unwrap_or(first), attributes })
}

/// What is printed of a user.
fn told(op: UserOp, user: &User) -> String {
    let identifier = plain(&user.identifier);
    let done = match op {
        UserOp::Add => "added",
        UserOp::Update => "updated",
        UserOp::Remove => "removed",
        UserOp::Get => {
            let uid = user.uid.to_string();
            let mut lines = vec![("uid", uid.as_str())];
            lines.extend(user.bb_username.as_deref().map(|name| ("bb_username", name)));
            lines.extend(user.attributes.iter().map(|(kind, value)| (kind.as_str(), value.as_str())));
            let line = |(kind, value): (&str, &str)| format!("  {}: {}\n", plain(kind), plain(value));
            return format!("{identifier}\n{}", lines.into_iter().map(line).collect::<String>());
        }
    };
    format!("user {}: {done} {identifier}\n", user.uid)
}

/// The request, made up for the way.
struct Letter {
    address: Url,
    body: Vec<u8>,
    authorization: HeaderValue,
}

impl Letter {
    /// The answer, which has an outcome for each of `count` users.
    async fn deliver(&self, count: usize) -> Result<Answer, Failure> {
        let client = awc::Client::builder().disable_timeout().disable_redirects().finish();
        let begun = Instant::now();
        loop {
            let posted = tokio::time::timeout(ANSWER_PATIENCE, self.post(&client, count)).await;
            let seconds = ANSWER_PATIENCE.as_secs();
            match posted
                .unwrap_or_else(|_| Err(Trouble::Failed(format!("no answer within {seconds} s; {MAY_BE_DONE}"))))
            {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Failed(why)) => return Err(self.failed(why)),
                Err(Trouble::Wait(pause)) if begun.elapsed() + pause > LONGEST_WAIT => {
                    let why = "somebody there guesses at its password, and everyone has to wait (429)".to_owned();
                    return Err(self.failed(why));
                }
                Err(Trouble::Wait(pause)) => {
                    tracing::warn!("{}: too many wrong passwords before this; waiting {pause:?}", self.address);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn failed(&self, why: String) -> Failure {
        Failure::UserManager { address: self.address.to_string(), why }
    }

    async fn post(&self, client: &awc::Client, count: usize) -> Result<Answer, Trouble> {
        let request = client
            .post(self.address.as_str())
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((USER_AGENT, far_end::USER_AGENT))
            .insert_header((AUTHORIZATION, self.authorization.clone()));
        let mut answer = request.send_body(self.body.clone()).await.map_err(not_answered)?;
        if answer.status().as_u16() == 200 {
            let body = answer.body().limit(USERS_LIMIT).await;
            let body = body.map_err(|cause| failed(format!("its answer broke off: {cause}; {MAY_BE_DONE}")))?;
            let read = serde_json::from_slice::<Answer>(&body).ok().filter(|answer| answer.users.len() == count);
            return read.ok_or_else(|| failed(format!("what answers there is no user manager; {EXPECTED}")));
        }
        let text = answer.body().limit(ANSWER_LIMIT).await.map(|body| shown(&body)).unwrap_or_default();
        Err(refused(answer.status().as_u16(), answer.headers(), &text))
    }
}

/// Why there is no answer yet.
enum Trouble {
    Failed(String),
    /// Nothing was looked at; it is to be asked again after this.
    Wait(Duration),
}

const EXPECTED: &str = "--master is HOST:PORT of a CommandlineUserManager, see c['user_managers'] there";
const MAY_BE_DONE: &str = "it may have been done all the same, as `signalbox user get` shows";

fn failed(why: impl Into<String>) -> Trouble {
    Trouble::Failed(why.into())
}

fn not_answered(cause: SendRequestError) -> Trouble {
    match cause {
        // This is how a connection shows that ends before the answer.
        SendRequestError::Connect(ConnectError::Disconnected) => {
            failed(format!("the connection ended without an answer; {MAY_BE_DONE}"))
        }
        SendRequestError::Connect(cause) => {
            failed(format!("cannot connect: {cause}; is Signalbox running there? {EXPECTED}"))
        }
        SendRequestError::Response(cause) if !is_broken_off(&cause) => {
            failed(format!("what answers there speaks no HTTP ({cause}); {EXPECTED}"))
        }
        cause => failed(format!("{cause}; {MAY_BE_DONE}")),
    }
}

/// What an answer without users means.
fn refused(status: u16, headers: &HeaderMap, text: &str) -> Trouble {
    match status {
        401 => failed(
            "it does not know this user with this password (401); see --username and --passwd here and \
             c['user_managers'] there",
        ),
        429 => {
            let seconds = headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
            Trouble::Wait(Duration::from_secs(seconds.unwrap_or(1)))
        }
        300..=399 | 404 | 405 => failed(format!("there is no user manager ({status}); {EXPECTED}")),
        _ => failed(format!("it answers {status}: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_the_identifier_unless_there_is_one() {
        let named = |text: &str| {
            let new = new(text).unwrap_or_else(|failure| panic!("{text}: {failure}"));
            (new.identifier, new.attributes.into_keys().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(named("svn=jschmo,git=Joe <j@x>"), ("jschmo".to_owned(), "git svn".to_owned()));
        assert_eq!(named("git=Joe <j@x>,identifier=joe"), ("joe".to_owned(), "git".to_owned()));
    }

    #[test]
    fn what_is_printed_moves_no_cursor() {
        let attributes = BTreeMap::from([("git".to_owned(), "Joe\u{1b}[31m".to_owned())]);
        let user = User { uid: 3, identifier: "j\no".to_owned(), attributes, ..User::default() };
        assert_eq!(told(UserOp::Remove, &user), "user 3: removed j o\n");
        assert_eq!(told(UserOp::Get, &user), "j o\n  uid: 3\n  git: Joe [31m\n");
    }
}
