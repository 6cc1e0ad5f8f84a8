//! `github`: the webhooks of GitHub.
//!
//! ```python
//! change_hook_dialects={'github': {
//!     'secret': 'MY-SECRET',
//!     'strict': True,                    # refuse what is not signed
//!     'codebase': 'website',             # or a function of the payload
//!     'class': {'release': on_release},  # functions for further events, or instead of ours: see `class`
//!     'skips': [r'^WIP'],                # default: [skip ci] and [ci skip] in all their spellings; [] is none
//!     'pullrequest_ref': 'merge',        # default: head
//! }}
//! ```
//!
//! Each commit of a push makes a change, unless the branch has it from another one (`distinct`) or its own message says
//! that it is to be skipped. A tag, and a new branch without commits of its own, makes one change for where it points
//! to; a tag's category is `tag`. Requests to pull make one of category `pull` when they are opened, reopened or pushed to.
//! `?project=` and `?codebase=` in the address win over what is said here.
//!
//! A secret without `strict` lets unsigned payloads pass, as it always did; each is logged. Where there are two
//! signatures the stronger one decides.
//!
//! Not here: asking GitHub for what a payload does not say, such as the files of a request to pull.

use super::commit::Place;
use super::payload::{self, Node};
use super::signature::{self, Hash};
use super::{Dialect, Refused, Request, Said, Sent, branch_or_tag, properties};
use crate::config::Secret;
use crate::model::{Change, Time};
use serde_json::Value;
use tracing::warn;

pub(super) const OPTIONS: &[&str] = &["secret", "strict", "codebase", "class", "skips", "pullrequest_ref"];

/// JSON, or a form with the field `payload`; either way the body is what is signed.
pub fn open(dialect: &Dialect, request: &Request) -> Result<Sent, Refused> {
    request.only_post()?;
    match &dialect.secret {
        Some(secret) => signed(secret, dialect.strict, request)?,
        None if dialect.strict => {
            return Err(Refused::Forged("Strict mode is requested while no secret is provided".to_owned()));
        }
        None => {}
    }
    let (args, text) = payload::text(request)?;
    let payload = payload::parse(&text)?;
    let event = request.word("x-github-event").filter(|event| !event.is_empty());
    let event = event.ok_or_else(|| Refused::Malformed("the header X-GitHub-Event is missing".to_owned()))?;
    Ok(Sent { event, args, payload })
}

fn signed(secret: &Secret, strict: bool, request: &Request) -> Result<(), Refused> {
    for (header, hash) in [("x-hub-signature-256", Hash::Sha256), ("x-hub-signature", Hash::Sha1)] {
        if let Some(digest) = signature::single(request, header)? {
            return signature::named(hash, secret.reveal(), &request.body, &digest);
        }
    }
    if strict {
        return Err(signature::unsigned());
    }
    warn!("hook github: a payload without a signature; it is taken, because strict is not set");
    Ok(())
}

/// The changes of a push or a request to pull.
pub fn read(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    match sent.event.as_str() {
        "ping" => Ok(Said::nothing("ping", "a ping makes no changes")),
        "push" => push(dialect, sent, now),
        "pull_request" => pull_request(dialect, sent, now),
        other => Ok(Said::other(other)),
    }
}

fn push(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let reference = payload.text("ref")?;
    let Some((branch, is_tag)) = branch_or_tag(&reference) else {
        return Ok(Said::nothing(&sent.event, "it is neither to a branch nor to a tag"));
    };
    if payload.flag("deleted")? {
        return Ok(Said::nothing(&sent.event, "the branch or tag was deleted"));
    }
    let place = Place {
        repository: &address(&payload.field("repository")?)?,
        project: &payload.text("repository.full_name")?,
        branch,
        category: is_tag.then_some("tag"),
    };
    let mut changes = Vec::new();
    for commit in commits(&payload, is_tag)? {
        changes.push(place.commit(&commit, now)?);
    }
    Ok(Said::pushed(dialect, &sent.event, "git", changes))
}

/// For people; Gitea's `url`, where its hook is pointed here, is for programs.
fn address(repository: &Node<'_>) -> Result<String, Refused> {
    repository.maybe_text("html_url")?.map_or_else(|| repository.text("url"), Ok)
}

fn commits<'p>(payload: &Node<'p>, is_tag: bool) -> Result<Vec<Node<'p>>, Refused> {
    let mut commits = Vec::new();
    for commit in payload.list("commits")? {
        if commit.maybe("distinct")?.is_none() || commit.flag("distinct")? {
            commits.push(commit);
        }
    }
    let head = payload.maybe("head_commit")?;
    match head {
        Some(head) if is_tag || (commits.is_empty() && payload.flag("created")?) => Ok(vec![head]),
        _ => Ok(commits),
    }
}

fn pull_request(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    if !matches!(payload.text("action")?.as_str(), "opened" | "reopened" | "synchronize") {
        return Ok(Said::nothing(&sent.event, "nothing new was asked to be pulled"));
    }
    let (number, pull) = (payload.number("number")?, payload.field("pull_request")?);
    let title = pull.text("title")?;
    if dialect.skips(&title) {
        return Ok(Said::nothing(&sent.event, "its title asks to be skipped"));
    }
    let link = pull.maybe_text("_links.html.href")?.or(pull.maybe_text("html_url")?);
    let kind = if dialect.merged { "merge" } else { "head" };
    let change = Change {
        who: payload.text("sender.login")?,
        comments: comments(number, &title, &pull)?,
        revision: Some(pull.text("head.sha")?),
        branch: Some(format!("refs/pull/{number}/{kind}")),
        category: Some("pull".to_owned()),
        when: pull.time("created_at", now)?,
        properties: properties([
            ("event", Some(Value::from(sent.event.as_str()))),
            ("pullrequesturl", link.clone().map(Value::from)),
            ("basename", pull.plain("base.ref")?),
        ]),
        revlink: link,
        repository: payload.text("repository.clone_url")?,
        project: payload.text("repository.full_name")?,
        ..Change::default()
    };
    Ok(Said::changes(&sent.event, "git", vec![change]))
}

fn comments(number: i64, title: &str, pull: &Node<'_>) -> Result<String, Refused> {
    let commits = match pull.maybe("commits")?.map(|_| pull.number("commits")).transpose()? {
        Some(1) => " (1 commit)".to_owned(),
        Some(count) => format!(" ({count} commits)"),
        None => String::new(),
    };
    let body = pull.maybe_text("body")?.unwrap_or_default();
    Ok(format!("GitHub Pull Request #{number}{commits}\n{title}\n{body}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/json";

    fn secret(strict: bool) -> Dialect {
        Dialect { secret: Some(Secret::new("Jefe")), strict, ..Dialect::default() }
    }

    #[test]
    fn an_unsigned_payload_passes_unless_strict() {
        let request = Request::posted(&[("x-github-event", "ping")], TYPE, "{}");
        assert!(open(&secret(false), &request).is_ok());
        assert_eq!(open(&secret(true), &request).err(), Some(signature::unsigned()));
        assert!(open(&Dialect { strict: true, ..Dialect::default() }, &request).is_err());
    }

    #[test]
    fn the_stronger_signature_decides() {
        const BODY: &str = "what do ya want for nothing?";
        let right = ("x-hub-signature", "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let wrong = format!("sha256={}", "0".repeat(64));
        fn refused(headers: &[(&str, &str)]) -> Refused {
            open(&secret(true), &Request::posted(headers, TYPE, BODY)).err().unwrap()
        }
        assert_eq!(refused(&[right]).status(), 400, "signed, and no JSON");
        for wrong in [wrong.as_str(), ""] {
            assert_eq!(refused(&[right, ("x-hub-signature-256", wrong)]).status(), 403);
        }
        assert_eq!(refused(&[("x-hub-signature", "")]).status(), 403);
    }

    #[test]
    fn events_of_others_are_none_of_ours() {
        for (event, expected) in [("ping", "a ping makes no changes"), ("star", "no changes are made of such an event")]
        {
            let sent = open(&Dialect::default(), &Request::posted(&[("x-github-event", event)], TYPE, "{}")).unwrap();
            let said = read(&Dialect::default(), &sent, Time(1)).unwrap();
            assert_eq!((said.event.as_str(), said.ignored.as_deref()), (event, Some(expected)));
        }
        assert!(open(&Dialect::default(), &Request::posted(&[], TYPE, "{}")).is_err());
    }
}
