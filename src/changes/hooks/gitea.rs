//! `gitea`: the webhooks of Gitea, Forgejo and Gogs.
//!
//! ```python
//! change_hook_dialects={'gitea': {
//!     'secret': 'MY-SECRET',
//!     'codebase': 'website',             # or a function of the payload
//!     'class': {'release': on_release},  # functions for further events, or instead of ours: see `class`
//!     'skips': [],                       # default: [skip ci] and [ci skip] in all their spellings
//! }}
//! ```
//!
//! Each commit of a push makes a change of category `push`, unless its own message says that it is to be skipped. A tag,
//! and a new branch without commits of its own, makes one for where it points to; a tag's category is `tag`. Requests to
//! pull make one of category `pull_request` when they are opened, reopened or pushed to.
//! `?project=` and `?codebase=` in the address win over what is said here.
//!
//! With a secret everything must be signed with it. What is signed is the JSON, in a form too.
//!
//! Not here: waiting until a request to pull can be merged; new titles, which make no code new.

use super::commit::Place;
use super::payload::{self, Node};
use super::signature::{self, Hash};
use super::{Dialect, Refused, Request, Said, Sent, branch_or_tag, is_nothing, person, properties, titled};
use crate::model::{Change, Properties, Time};
use serde_json::Value;

pub(super) const OPTIONS: &[&str] = &["secret", "codebase", "class", "skips"];

/// The names a header goes by, newest first.
const FLAVOURS: [&str; 3] = ["x-gitea", "x-forgejo", "x-gogs"];

/// JSON, or a form with the field `payload`.
pub fn open(dialect: &Dialect, request: &Request) -> Result<Sent, Refused> {
    request.only_post()?;
    let (args, text) = payload::text(request)?;
    if let Some(secret) = &dialect.secret {
        let digest = digest(request)?.ok_or_else(signature::unsigned)?;
        signature::bare(Hash::Sha256, secret.reveal(), &text, &digest)?;
    }
    let payload = payload::parse(&text)?;
    let event = FLAVOURS.iter().find_map(|flavour| request.word(&format!("{flavour}-event")));
    let event = event.filter(|event| !event.is_empty());
    let event = event.ok_or_else(|| Refused::Malformed("the header X-Gitea-Event is missing".to_owned()))?;
    Ok(Sent { event, args, payload })
}

fn digest(request: &Request) -> Result<Option<String>, Refused> {
    for flavour in FLAVOURS {
        if let Some(digest) = signature::single(request, &format!("{flavour}-signature"))? {
            return Ok(Some(digest));
        }
    }
    Ok(None)
}

/// The changes of a push or a request to pull.
pub fn read(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    match sent.event.as_str() {
        "push" => push(dialect, sent, now),
        "pull_request" | "pull_request_sync" => pull_request(dialect, sent, now),
        other => Ok(Said::other(other)),
    }
}

fn push(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let reference = payload.text("ref")?;
    let Some((branch, is_tag)) = branch_or_tag(&reference) else {
        return Ok(Said::nothing(&sent.event, "it is neither to a branch nor to a tag"));
    };
    if payload.maybe_text("after")?.is_some_and(|after| is_nothing(&after)) {
        return Ok(Said::nothing(&sent.event, "the branch or tag was deleted"));
    }
    let place = Place {
        repository: &payload.text("repository.ssh_url")?,
        project: &payload.text("repository.full_name")?,
        branch,
        category: Some(if is_tag { "tag" } else { "push" }),
    };
    let about = about(sent)?;
    let mut changes = Vec::new();
    for commit in commits(&payload, is_tag)? {
        changes.push(Change { properties: about.clone(), ..place.commit(&commit, now)? });
    }
    Ok(Said::pushed(dialect, &sent.event, "git", changes))
}

/// Oldest first, which they are not sent as.
fn commits<'p>(payload: &Node<'p>, is_tag: bool) -> Result<Vec<Node<'p>>, Refused> {
    let mut commits = payload.list("commits")?;
    commits.reverse();
    let is_new = payload.maybe_text("before")?.is_some_and(|before| is_nothing(&before));
    match payload.maybe("head_commit")? {
        Some(head) if is_tag || (commits.is_empty() && is_new) => Ok(vec![head]),
        _ => Ok(commits),
    }
}

fn about(sent: &Sent) -> Result<Properties, Refused> {
    let repository = sent.node().field("repository")?;
    Ok(properties([
        ("event", Some(Value::from(sent.event.as_str()))),
        ("repository_name", repository.plain("name")?),
        ("owner", repository.plain("owner.login")?.or(repository.plain("owner.username")?)),
    ]))
}

fn pull_request(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let (payload, pull) = (sent.node(), sent.node().field("pull_request")?);
    let is_new = matches!(payload.text("action")?.as_str(), "opened" | "reopened" | "synchronized" | "synchronize");
    if !is_new || pull.flag("merged")? {
        return Ok(Said::nothing(&sent.event, "nothing new was asked to be pulled"));
    }
    let (number, title) = (payload.number("number")?, pull.text("title")?);
    if dialect.skips(&title) {
        return Ok(Said::nothing(&sent.event, "its title asks to be skipped"));
    }
    let mut properties = properties([
        ("pr_id", pull.plain("id")?),
        ("pr_number", Some(Value::from(number))),
        ("base_ref", pull.plain("base.ref")?),
        ("base_sha", pull.plain("base.sha")?),
        ("base_repository", pull.plain("base.repo.html_url")?),
        ("base_git_ssh_url", pull.plain("base.repo.ssh_url")?),
        ("head_ref", pull.plain("head.ref")?),
        ("head_sha", pull.plain("head.sha")?),
        ("head_repository", pull.plain("head.repo.html_url")?),
        ("head_git_ssh_url", pull.plain("head.repo.ssh_url")?),
    ]);
    properties.update(&about(sent)?);
    let change = Change {
        who: author(&pull.field("user")?)?,
        comments: titled("PR", number, &title, pull.maybe_text("body")?),
        revision: Some(pull.text("head.sha")?),
        branch: Some(format!("refs/pull/{number}/head")),
        category: Some("pull_request".to_owned()),
        when: pull.time("updated_at", now)?,
        revlink: pull.maybe_text("html_url")?,
        properties,
        repository: pull.text("base.repo.ssh_url")?,
        project: pull.text("base.repo.full_name")?,
        ..Change::default()
    };
    Ok(Said::changes(&sent.event, "git", vec![change]))
}

/// Few users have given their full name.
fn author(user: &Node<'_>) -> Result<String, Refused> {
    let name = user.maybe_text("full_name")?.filter(|name| !name.is_empty());
    let name = name.map_or_else(|| user.maybe_text("login"), |name| Ok(Some(name)))?;
    person(name, user.maybe_text("email")?).map_or_else(|| user.text("login"), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn with_a_secret_everything_is_signed() {
        let dialect = Dialect { secret: Some(Secret::new("hush")), ..Dialect::default() };
        for headers in [&[][..], &[("x-gitea-signature", "")], &[("x-hub-signature-256", "sha256=")]] {
            let refused = open(&dialect, &Request::posted(headers, "application/json", "{}")).err().unwrap();
            assert_eq!(refused.status(), 403, "{headers:?}");
        }
    }

    #[test]
    fn forks_of_it_use_names_of_their_own() {
        for flavour in FLAVOURS {
            let header = format!("{flavour}-event");
            let request = Request::posted(&[(&header, "create")], "application/json", "{}");
            let sent = open(&Dialect::default(), &request).unwrap();
            assert_eq!(read(&Dialect::default(), &sent, Time(1)).unwrap(), Said::other("create"));
        }
    }
}
