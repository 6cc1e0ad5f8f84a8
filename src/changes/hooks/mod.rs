//! Change hooks: what senders say at `/change_hook/DIALECT`, one file per dialect (`reference/change-hooks.md`).
//!
//! A dialect is a pure reader: bytes in, changes out. A code host's `open` makes sure who speaks and what about, and its
//! `read` turns the payload into changes; everything is read and checked before anything is returned.
//!
//! [`hook`] is the actor of a dialect, which has what was read stored before it is answered.
//!
//! Not here: the address, its password and its limits (`status/web`).

pub mod base;
pub mod bitbucket;
pub mod bitbucketserver;
mod bounds;
mod class;
mod commit;
mod dates;
pub mod gitea;
pub mod github;
pub mod gitlab;
pub mod gitorious;
pub mod googlecode;
pub mod hook;
mod multipart;
mod options;
mod payload;
pub mod poller;
mod request;
pub mod signature;
pub mod stored;

pub use options::{Codebase, Dialect};
pub use request::{Args, Method, Request};

use crate::config::{Arg, Callback};
use crate::model::{Change, Properties, Time};
use payload::Node;
use serde_json::Value;
use tracing::error;

/// What a sender said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// `push`, `ping`, …, for people; short and printable.
    pub event: String,
    /// Oldest first.
    pub changes: Vec<Change>,
    /// `git`, `hg`, `Google Code`: what the authors are users of.
    pub vcs: Option<&'static str>,
    /// Why there are no changes, in one short sentence.
    pub ignored: Option<String>,
}

/// Why nothing was taken of what a sender said. The text is for whoever looks at its deliveries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Malformed(String),
    /// It is not shown to come from who it says it does.
    #[error("{0}")]
    Forged(String),
    #[error("this hook takes POST only")]
    WrongMethod,
    #[error("{0}")]
    WrongType(String),
    /// A function of master.cfg failed; the log has the reason.
    #[error("{0}")]
    Failed(String),
}

impl Refused {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Refused::Malformed(_) => 400,
            Refused::Forged(_) => 403,
            Refused::WrongMethod => 405,
            Refused::WrongType(_) => 415,
            Refused::Failed(_) => 500,
        }
    }
}

/// What a code host sent, once it is known to be from it.
pub struct Sent {
    pub event: String,
    /// Of the address, and of the form if it is one.
    pub args: Args,
    pub payload: Value,
}

/// A dialect of a code host.
struct Host {
    name: &'static str,
    open: fn(&Dialect, &Request) -> Result<Sent, Refused>,
    read: fn(&Dialect, &Sent, Time) -> Result<Said, Refused>,
}

const HOSTS: [Host; 8] = [
    Host { name: "github", open: github::open, read: github::read },
    Host { name: "bitbucket", open: bitbucket::open, read: bitbucket::read },
    Host { name: "bitbucketcloud", open: bitbucket::open, read: bitbucket::read },
    Host { name: "bitbucketserver", open: bitbucketserver::open, read: bitbucketserver::read },
    Host { name: "gitlab", open: gitlab::open, read: gitlab::read },
    Host { name: "gitea", open: gitea::open, read: gitea::read },
    Host { name: "googlecode", open: googlecode::open, read: googlecode::read },
    Host { name: "gitorious", open: gitorious::open, read: gitorious::read },
];

/// The dialects there are, and the options of each.
pub const DIALECTS: [(&str, &[&str]); 10] = [
    ("base", base::OPTIONS),
    ("github", github::OPTIONS),
    ("bitbucket", bitbucket::OPTIONS),
    ("bitbucketcloud", bitbucket::OPTIONS),
    ("bitbucketserver", bitbucketserver::OPTIONS),
    ("googlecode", googlecode::OPTIONS),
    ("poller", poller::OPTIONS),
    ("gitlab", gitlab::OPTIONS),
    ("gitorious", gitorious::OPTIONS),
    ("gitea", gitea::OPTIONS),
];

/// Bodies of more bytes than this are read on a thread of their own, so that nobody waits for them.
const LARGE: usize = 64 * 1024;

/// Reads what came for the dialect `name`. `now` is the time of changes that have none.
///
/// `poller` makes no changes: [`poller::read`] says what it starts.
pub async fn read(name: &str, dialect: &Dialect, request: &Request, now: Time) -> Result<Said, Refused> {
    let told = if request.body.len() > LARGE {
        let (name, dialect, request) = (name.to_owned(), dialect.clone(), request.clone());
        let reading = tokio::task::spawn_blocking(move || tell(&name, &dialect, &request, now));
        match reading.await {
            Ok(told) => told,
            // A panic is this hook's, wherever it reads.
            Err(broken) => match broken.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Refused::Failed("reading it was broken off".to_owned())),
            },
        }
    } else {
        tell(name, dialect, request, now)
    };
    let mut said = match told? {
        Told::Plain(said) => said,
        Told::Host(sent, said) => set_place(dialect, &sent, said).await,
        Told::Asking(handler, sent) => {
            let said = class::call(&handler, &sent, now).await?;
            set_place(dialect, &sent, said).await
        }
    };
    said.event = shown(&said.event).trim_matches('"').to_owned();
    said.changes = bounds::check(said.changes)?;
    if said.changes.is_empty() && said.ignored.is_none() {
        said.ignored = Some("there are no commits in it".to_owned());
    }
    Ok(said)
}

/// What can be told without the functions of master.cfg.
enum Told {
    Plain(Said),
    Host(Sent, Said),
    /// One of them makes the changes.
    Asking(Callback, Sent),
}

fn tell(name: &str, dialect: &Dialect, request: &Request, now: Time) -> Result<Told, Refused> {
    let Some(host) = HOSTS.iter().find(|host| host.name == name) else {
        return match name {
            "base" => base::read(request, now).map(Told::Plain),
            "poller" => poller::read(request).map(|_| Told::Plain(Said::nothing("poll", "it starts polls"))),
            _ => Err(Refused::Malformed("there is no such dialect".to_owned())),
        };
    };
    let sent = (host.open)(dialect, request)?;
    if let Some(handler) = dialect.handlers.get(&sent.event) {
        return Ok(Told::Asking(handler.clone(), sent));
    }
    let said = (host.read)(dialect, &sent, now)?;
    Ok(Told::Host(sent, said))
}

/// Sets the project and the codebase that the address or the options give.
async fn set_place(dialect: &Dialect, sent: &Sent, mut said: Said) -> Said {
    if said.changes.is_empty() {
        return said;
    }
    let codebase = match sent.args.given("codebase") {
        Some(codebase) => Some(codebase.to_owned()),
        None => codebase(dialect, &sent.payload).await,
    };
    for change in &mut said.changes {
        if let Some(project) = sent.args.given("project") {
            project.clone_into(&mut change.project);
        }
        if let Some(codebase) = &codebase {
            codebase.clone_into(&mut change.codebase);
        }
    }
    said
}

/// What the option `codebase` says; a function that fails leaves it to `codebaseGenerator`.
async fn codebase(dialect: &Dialect, payload: &Value) -> Option<String> {
    let function = match dialect.codebase.as_ref()? {
        Codebase::Always(codebase) => return Some(codebase.clone()),
        Codebase::Callback(function) => function,
    };
    match function.call(vec![Arg::Json(payload.clone())]).await {
        Ok(Value::String(codebase)) => Some(codebase),
        Ok(Value::Null) => None,
        Ok(_) => {
            error!("{}: the codebase of a hook must be text or None; its changes have none", function.place());
            None
        }
        Err(cause) => {
            error!("the codebase of a hook: {cause}; its changes have none");
            None
        }
    }
}

/// What the sender calls this delivery, the same when it delivers again; fit to be printed.
pub fn delivery_id(name: &str, request: &Request) -> Option<String> {
    let headers: &[&str] = match name {
        "github" => &["x-github-delivery"],
        "gitlab" => &["x-gitlab-event-uuid", "webhook-id", "idempotency-key"],
        "bitbucket" | "bitbucketcloud" => &["x-request-uuid"],
        "bitbucketserver" => &["x-request-id"],
        "gitea" => &["x-gitea-delivery", "x-forgejo-delivery", "x-gogs-delivery"],
        "base" => &["x-request-id", "idempotency-key"],
        _ => &[],
    };
    let printable = |id: &String| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    headers.iter().find_map(|header| request.word(header).filter(printable))
}

impl Said {
    fn changes(event: &str, vcs: &'static str, changes: Vec<Change>) -> Said {
        Said { event: event.to_owned(), changes, vcs: Some(vcs), ignored: None }
    }

    /// The changes of a push, less those whose messages ask to be skipped.
    fn pushed(dialect: &Dialect, event: &str, vcs: &'static str, mut changes: Vec<Change>) -> Said {
        let before = changes.len();
        changes.retain(|change| !dialect.skips(&change.comments));
        let skipped = changes.is_empty() && before > 0;
        let ignored = skipped.then(|| "its message asks to be skipped".to_owned());
        Said { ignored, ..Said::changes(event, vcs, changes) }
    }

    fn nothing(event: &str, why: impl Into<String>) -> Said {
        Said { event: event.to_owned(), ignored: Some(why.into()), ..Said::default() }
    }

    /// Authentic, and none of our business: senders switch hooks off that answer with an error.
    fn other(event: &str) -> Said {
        Said::nothing(event, "no changes are made of such an event")
    }
}

impl Sent {
    fn node(&self) -> Node<'_> {
        Node::new(&self.payload)
    }
}

/// `Name <mail>`, or what there is of it. GitLab has `[REDACTED]` for addresses that are nobody's business.
fn person(name: Option<String>, mail: Option<String>) -> Option<String> {
    let name = name.filter(|name| !name.is_empty());
    let mail = mail.filter(|mail| !mail.is_empty() && mail != "[REDACTED]");
    match (name, mail) {
        (Some(name), Some(mail)) => Some(format!("{name} <{mail}>")),
        (None, Some(mail)) => Some(format!("<{mail}>")),
        (name, None) => name,
    }
}

/// Comments of a request to pull or merge: `PR#7: Title`, an empty line, its description.
fn titled(kind: &str, number: i64, title: &str, description: Option<String>) -> String {
    match description.filter(|description| !description.is_empty()) {
        Some(description) => format!("{kind}#{number}: {title}\n\n{description}"),
        None => format!("{kind}#{number}: {title}"),
    }
}

/// Properties of a change; what is not known is left out.
fn properties<const N: usize>(given: [(&str, Option<Value>); N]) -> Properties {
    let mut properties = Properties::new();
    let known = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.for_each(|(name, value)| properties.set(name, value, "Change"));
    properties
}

/// Whether this id of a commit says that there is none.
fn is_nothing(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

/// The name of a branch or tag behind `refs/…/`, and whether it is a tag; `None` for other references.
fn branch_or_tag(reference: &str) -> Option<(&str, bool)> {
    let branch = reference.strip_prefix("refs/heads/").map(|name| (name, false));
    branch.or_else(|| reference.strip_prefix("refs/tags/").map(|name| (name, true)))
}

/// Text of a sender within a sentence of ours.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_deliveries_are_printable_and_short() {
        let id = |name: &str, header: &str, value: &str| {
            delivery_id(name, &Request::posted(&[(header, value)], "application/json", ""))
        };
        assert_eq!(id("github", "x-github-delivery", "f6266f16-1bf3").as_deref(), Some("f6266f16-1bf3"));
        assert_eq!(id("gitlab", "idempotency-key", "abc").as_deref(), Some("abc"));
        assert_eq!(id("github", "x-request-id", "abc"), None);
        assert_eq!(id("base", "x-request-id", "two words"), None);
        assert_eq!(id("base", "x-request-id", &"x".repeat(129)), None);
        assert_eq!(id("gitorious", "x-request-id", "abc"), None);
    }

    #[test]
    fn people_and_references() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(person(some("Ann"), some("ann@example.org")), some("Ann <ann@example.org>"));
        assert_eq!((person(some("Ann"), some("")), person(some(""), some("a@b"))), (some("Ann"), some("<a@b>")));
        assert_eq!((person(some("Ann"), some("[REDACTED]")), person(None, None)), (some("Ann"), None));
        assert_eq!(branch_or_tag("refs/heads/a/b"), Some(("a/b", false)));
        assert_eq!((branch_or_tag("refs/tags/v1"), branch_or_tag("refs/pull/1/head")), (Some(("v1", true)), None));
        assert_eq!(shown("a\r\n\"b"), r#""a\r\n\"b""#);
    }
}
