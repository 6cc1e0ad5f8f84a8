//! `sendchange`: tells a running Signalbox of a change, for commit scripts.
//!
//! ```text
//! signalbox sendchange --master build.example.org:8010 --who ann --branch main --logfile - src/lamp.c
//! ```
//!
//! The change is posted to the change hook `base` of a web server, which must be enabled there. However often that is
//! tried, it is under one `Idempotency-Key`: what was taken and not answered is not added twice.
//!
//! Not here: `https`, for this version has no TLS; the protocol of `PBChangeSource`; the options file.

use super::Failure;
use super::far_end::{self, ANSWER_LIMIT, address, basic, is_broken_off, shown};
use crate::changes;
use crate::config::Secret;
use awc::error::{ConnectError, SendRequestError};
use awc::http::StatusCode;
use awc::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, USER_AGENT};
use encoding_rs::Encoding;
use serde_json::{Map, Value};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use url::{Url, form_urlencoded};

/// Where a password may stand that is not to be seen in the list of processes.
const PASSWORD_VARIABLE: &str = "SIGNALBOX_PASSWORD";

/// What is told, as the command line gives it.
pub struct SendChange {
    /// `HOST:PORT` of a web server, or its whole address.
    pub master: String,
    /// `USER:PASS`; without a password it is asked for.
    pub auth: Option<String>,
    pub who: String,
    pub branch: Option<String>,
    pub category: Option<String>,
    pub project: Option<String>,
    pub repository: Option<String>,
    pub codebase: Option<String>,
    pub revision: Option<Text>,
    pub revlink: Option<String>,
    /// Seconds since 1970.
    pub when: Option<String>,
    pub comments: Option<Text>,
    /// `NAME:VALUE` each.
    pub properties: Vec<String>,
    /// Of what is read from files and from standard input.
    pub encoding: String,
    /// The version control whose author this is: they become a user there.
    pub vc: Option<String>,
    pub files: Vec<String>,
    /// Only failures are worth a word.
    pub quiet: bool,
}

/// Something written, or where it is written.
pub enum Text {
    Given(String),
    File(PathBuf),
    Stdin,
}

/// For how long a server that cannot take a change just now is asked.
pub struct Patience {
    /// How long it may take to answer.
    pub answer: Duration,
    /// The waits between the tries; there is one try more than waits.
    pub pauses: Vec<Duration>,
    /// After this nothing is tried again.
    pub limit: Duration,
}

impl Patience {
    /// About as long as a restart takes, and never much longer than somebody waits for their commit.
    pub fn usual() -> Patience {
        Patience {
            // The hook itself gives up storing after nine seconds and says so.
            answer: Duration::from_secs(15),
            pauses: [500, 1_000, 2_000, 4_000, 8_000, 16_000].map(Duration::from_millis).to_vec(),
            limit: Duration::from_secs(60),
        }
    }
}

/// Tells the server at `master` of a change, and returns when it has stored it.
pub fn send_change(change: &SendChange, patience: &Patience) -> Result<(), Failure> {
    let address = address(&change.master, &["change_hook", "base"])?;
    let body = form(change)?;
    let authorization = authorization(change.auth.as_deref().unwrap_or_default())?;
    let key = format!("sendchange-{:032x}", rand::random::<u128>());
    let letter = Letter { address, body, authorization, key, quiet: change.quiet };
    actix::System::new().block_on(letter.deliver(patience))?;
    if !change.quiet {
        println!("change sent successfully");
    }
    Ok(())
}

fn wrong(option: &'static str, why: impl Into<String>) -> Failure {
    Failure::Argument { option, why: why.into() }
}

/// The fields of the hook, those that were given.
fn form(change: &SendChange) -> Result<String, Failure> {
    if change.who.is_empty() {
        return Err(wrong("who", "it is empty; say who made the change"));
    }
    let encoding = changes::encoding(&change.encoding);
    let encoding =
        encoding.ok_or_else(|| wrong("encoding", format!("\"{}\" is not an encoding known here", change.encoding)))?;
    if let Some(when) = &change.when
        && !when.trim().parse::<f64>().is_ok_and(f64::is_finite)
    {
        return Err(wrong("when", format!("\"{when}\" is not a number of seconds since 1970")));
    }
    let properties = properties(&change.properties)?;
    let text = |text: &Option<Text>| text.as_ref().map(|text| read(text, encoding)).transpose();
    let revision = text(&change.revision)?;
    let comments = text(&change.comments)?.unwrap_or_default();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("author", &change.who).append_pair("comments", &comments);
    let optional = [
        ("branch", &change.branch),
        ("category", &change.category),
        ("project", &change.project),
        ("repository", &change.repository),
        ("codebase", &change.codebase),
        ("revision", &revision),
        ("revlink", &change.revlink),
        ("when", &change.when),
        ("src", &change.vc),
    ];
    for (name, value) in optional {
        value.iter().for_each(|value| _ = form.append_pair(name, value));
    }
    if !properties.is_empty() {
        form.append_pair("properties", &Value::Object(properties).to_string());
    }
    if !change.files.is_empty() {
        form.append_pair("files", &Value::from(change.files.clone()).to_string());
    }
    Ok(form.finish())
}

fn properties(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let property = |text: &String| match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), Value::from(value))),
        _ => Err(wrong("property", format!("\"{text}\" is not NAME:VALUE"))),
    };
    given.iter().map(property).collect()
}

/// What is wrongly encoded is replaced: better a strange letter than no build.
fn read(text: &Text, encoding: &'static Encoding) -> Result<String, Failure> {
    let (bytes, place) = match text {
        Text::Given(text) => return Ok(text.clone()),
        Text::File(path) => (fs::read(path), path.as_path()),
        Text::Stdin => {
            let mut bytes = Vec::new();
            (io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes), Path::new("standard input"))
        }
    };
    let bytes = bytes.map_err(|error| Failure::File { what: "cannot read", path: place.to_owned(), error })?;
    let (text, wrong) = encoding.decode_with_bom_removal(&bytes);
    if wrong {
        let name = encoding.name();
        tracing::warn!("{} is not all {name}; what is not is sent as \u{fffd}; see --encoding", place.display());
    }
    Ok(text.into_owned())
}

/// What to show to `change_hook_auth`; nothing if neither a user nor a password was given.
fn authorization(auth: &str) -> Result<Option<HeaderValue>, Failure> {
    let (user, given) = auth.split_once(':').unwrap_or((auth, ""));
    let password = match (user, given) {
        ("", "") => return Ok(None),
        ("", _) => return Err(wrong("auth", "the user is missing; expected USER:PASS or USER")),
        (user, "") => far_end::missing_password("auth", PASSWORD_VARIABLE, user)?,
        (_, given) => Secret::new(given),
    };
    Ok(Some(basic(user, &password)))
}

/// The change, made up for the way.
struct Letter {
    address: Url,
    body: String,
    authorization: Option<HeaderValue>,
    /// The same at every try.
    key: String,
    quiet: bool,
}

/// How a try went.
enum Outcome {
    Taken,
    /// Nobody has read it.
    Unreached(String),
    /// It may have been taken, or not.
    Unanswered(String),
    Refused(String),
}

impl Letter {
    async fn deliver(&self, patience: &Patience) -> Result<(), Failure> {
        let client = awc::Client::builder().disable_timeout().disable_redirects().finish();
        let begun = Instant::now();
        let mut pauses = patience.pauses.iter();
        let (mut tries, mut doubtful) = (0, false);
        loop {
            tries += 1;
            let answer = patience.answer.min(patience.limit.saturating_sub(begun.elapsed()));
            let why = match self.attempt(&client, answer).await {
                Outcome::Taken => return Ok(()),
                Outcome::Refused(why) => return Err(self.not_sent(why, doubtful)),
                Outcome::Unreached(why) => why,
                Outcome::Unanswered(why) => {
                    doubtful = true;
                    why
                }
            };
            let Some(pause) = pauses.next().filter(|pause| begun.elapsed() + **pause < patience.limit) else {
                let mut tried = format!("{why}; tried {tries} times in {} s", begun.elapsed().as_secs());
                if !doubtful {
                    tried += "; is Signalbox running there, and is that the address of its web server? \
                              Send the change again when it is";
                }
                return Err(self.not_sent(tried, doubtful));
            };
            if !self.quiet {
                tracing::warn!("{}: {why}; trying again in {pause:?}", self.address);
            }
            tokio::time::sleep(*pause).await;
        }
    }

    fn not_sent(&self, mut why: String, doubtful: bool) -> Failure {
        if doubtful {
            why += "; it may have been taken all the same: look at /changes there before sending it again";
        }
        Failure::NotSent { address: self.address.to_string(), why }
    }

    /// One try, which may take this long.
    async fn attempt(&self, client: &awc::Client, limit: Duration) -> Outcome {
        let posted = tokio::time::timeout(limit, self.post(client)).await;
        posted.unwrap_or_else(|_| Outcome::Unanswered(format!("no answer within {} s", limit.as_secs())))
    }

    async fn post(&self, client: &awc::Client) -> Outcome {
        let mut request = client
            .post(self.address.as_str())
            .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .insert_header((USER_AGENT, far_end::USER_AGENT))
            .insert_header(("Idempotency-Key", self.key.as_str()));
        if let Some(authorization) = &self.authorization {
            request = request.insert_header((AUTHORIZATION, authorization.clone()));
        }
        let mut answer = match request.send_body(self.body.clone()).await {
            Ok(answer) => answer,
            // This is how a connection shows that ends before the answer.
            Err(SendRequestError::Connect(ConnectError::Disconnected)) => {
                return Outcome::Unanswered("the connection ended without an answer".to_owned());
            }
            Err(SendRequestError::Connect(cause)) => return Outcome::Unreached(format!("cannot connect: {cause}")),
            Err(SendRequestError::Response(cause)) if !is_broken_off(&cause) => {
                let why =
                    format!("what answers there speaks no HTTP ({cause}); --master is the address of a web server");
                return Outcome::Refused(why);
            }
            Err(cause) => return Outcome::Unanswered(cause.to_string()),
        };
        let status = answer.status();
        let place = answer.headers().get(LOCATION).map(|place| shown(place.as_bytes()));
        let text = answer.body().limit(ANSWER_LIMIT).await.map(|body| shown(&body)).unwrap_or_default();
        self.outcome(status, place.as_deref(), &text)
    }

    fn outcome(&self, status: StatusCode, place: Option<&str>, text: &str) -> Outcome {
        let code = status.as_u16();
        let why = match (code, place) {
            (202, _) => return Outcome::Taken,
            (408 | 429 | 500.., _) => return Outcome::Unanswered(format!("it answers {code}: {text}")),
            (401, _) if self.authorization.is_none() => {
                "it wants to know who sends this (401); give a login of its change_hook_auth to --auth".to_owned()
            }
            (401, _) => "it does not know this user with this password (401); see --auth here and change_hook_auth \
                         there"
                .to_owned(),
            (400, _) if text.contains("wasn't whitelisted") => "its hook for this is not enabled (400); give its \
                                                                WebStatus change_hook_dialects={'base': True}"
                .to_owned(),
            (404, _) => "there are no change hooks (404); give its WebStatus change_hook_dialects={'base': True}, or \
                         mend --master if that is not the address of a Signalbox"
                .to_owned(),
            (413, _) => format!("{text} (413); see change_hook_max_size there"),
            (300..=399, Some(place)) => {
                format!("it leads elsewhere ({code}): {place}; give --master the address of the web server itself")
            }
            (200..=299, _) => format!("it answers {code}, not 202 as change hooks do; is that a Signalbox?"),
            _ => format!("it answers {code}: {text}"),
        };
        Outcome::Refused(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_split_at_their_first_colon() {
        let given = ["a:b:c".to_owned(), "empty:".to_owned(), "a:last".to_owned()];
        assert_eq!(Value::Object(properties(&given).unwrap()).to_string(), r#"{"a":"last","empty":""}"#);
        for wrong in ["a", ":b", ""] {
            assert!(properties(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
