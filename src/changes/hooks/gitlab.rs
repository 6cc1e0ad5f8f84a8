//! `gitlab`: the webhooks and system hooks of GitLab.
//!
//! ```python
//! change_hook_dialects={'gitlab': {
//!     'secret': 'MY-SECRET',   # "Secret token"; or the signing token, whsec_…
//!     'codebase': 'website',   # or a function of the payload
//!     'skips': [],             # default: [skip ci] and [ci skip] in all their spellings
//! }}
//! ```
//!
//! Each commit of a push makes a change, unless its own message says that it is to be skipped; GitLab tells the twenty
//! newest. A new branch without commits makes one for where it points to, and so does a tag, of category `tag_push`.
//! Merge requests make one of category `merge_request` when they are opened, reopened or pushed to.
//! `?project=` and `?codebase=` in the address set those of the changes.
//!
//! With a secret it must come along. The branch of a merge request is `refs/merge-requests/N/head` rather than the one it
//! is meant for, so that what strangers propose is not built as if it were there already.
//!
//! Not here: comments, which make no code new.

use super::commit::Place;
use super::payload::{self, Node};
use super::{Dialect, Refused, Request, Said, Sent, branch_or_tag, is_nothing, properties, signature, titled};
use crate::model::{Change, Time};
use serde_json::Value;
use tracing::info;

pub(super) const OPTIONS: &[&str] = &["secret", "codebase", "skips"];

/// Whatever its content type, the body is JSON.
pub fn open(dialect: &Dialect, request: &Request) -> Result<Sent, Refused> {
    request.only_post()?;
    if let Some(secret) = &dialect.secret {
        if secret.reveal().starts_with(signature::WEBHOOK_SECRET) {
            signature::standard(secret.reveal(), request)?;
        } else {
            let token = signature::single(request, "x-gitlab-token")?;
            signature::token(secret.reveal(), &token.ok_or_else(signature::unsigned)?)?;
        }
    }
    let payload = payload::parse(&request.body)?;
    Ok(Sent { event: event(&Node::new(&payload), request)?, args: request.query_args()?, payload })
}

/// What the payload calls it, or the header, as in `Merge Request Hook`; once there was only one kind.
fn event(payload: &Node<'_>, request: &Request) -> Result<String, Refused> {
    if let Some(kind) = payload.maybe_text("object_kind")?.or(payload.maybe_text("event_name")?) {
        return Ok(kind);
    }
    let header = request.word("x-gitlab-event").unwrap_or_default().to_lowercase();
    let kind = header.trim_end_matches(" hook").replace(' ', "_");
    Ok(if kind.is_empty() || kind == "system" { "push".to_owned() } else { kind })
}

/// The changes of a push or a merge request.
pub fn read(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    match sent.event.as_str() {
        "push" | "tag_push" => push(dialect, sent, now),
        "merge_request" => merge_request(dialect, sent, now),
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
    let category = is_tag.then_some("tag_push");
    let place = Place { repository: &payload.text("repository.url")?, project: "", branch, category };
    let commits = if is_tag { Vec::new() } else { payload.list("commits")? };
    told_in_part(&payload, branch, commits.len())?;
    let mut changes = Vec::new();
    for commit in &commits {
        changes.push(place.commit(commit, now)?);
    }
    if changes.is_empty() {
        changes.extend(pointed_to(&payload, &place, is_tag, now)?);
    }
    for change in &mut changes {
        change.properties.set("event", sent.event.as_str(), "Change");
    }
    Ok(Said::pushed(dialect, &sent.event, "git", changes))
}

fn told_in_part(payload: &Node<'_>, branch: &str, told: usize) -> Result<(), Refused> {
    let all = payload.maybe("total_commits_count")?.map(|_| payload.number("total_commits_count")).transpose()?;
    if let Some(all) = all.filter(|all| usize::try_from(*all).is_ok_and(|all| told > 0 && all > told)) {
        info!("hook gitlab: a push of {all} commits to {}, of which GitLab tells {told}", super::shown(branch));
    }
    Ok(())
}

/// What a tag or a new branch without commits is at. Of the commit little is told.
fn pointed_to(payload: &Node<'_>, place: &Place<'_>, is_tag: bool, now: Time) -> Result<Option<Change>, Refused> {
    let is_new = is_tag || payload.maybe_text("before")?.is_some_and(|before| is_nothing(&before));
    let Some(revision) = payload.maybe_text("checkout_sha")?.filter(|_| is_new) else { return Ok(None) };
    for commit in payload.list("commits")? {
        if commit.text("id")? == revision {
            return place.commit(&commit, now).map(Some);
        }
    }
    let what = if is_tag { "tag" } else { "new branch" };
    let message = payload.maybe_text("message")?.filter(|message| !message.is_empty());
    let page = payload.maybe_text("repository.homepage")?;
    Ok(Some(Change {
        who: payload.person("user_name", "user_email")?,
        comments: message.unwrap_or_else(|| format!("{what} {}", place.branch)),
        when: now,
        revlink: page.map(|page| format!("{page}/commit/{revision}")),
        revision: Some(revision),
        ..place.change()
    }))
}

fn merge_request(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let request = payload.field("object_attributes")?;
    if !is_new(&request)? {
        return Ok(Said::nothing(&sent.event, "nothing new was asked to be merged"));
    }
    let (commit, number, title) = (request.field("last_commit")?, request.number("iid")?, request.text("title")?);
    if dialect.skips(&commit.maybe_text("message")?.unwrap_or_default()) || dialect.skips(&title) {
        return Ok(Said::nothing(&sent.event, "its last commit or its title asks to be skipped"));
    }
    let change = Change {
        who: commit.person("author.name", "author.email")?,
        comments: titled("MR", number, &title, request.maybe_text("description")?),
        revision: Some(commit.text("id")?),
        branch: Some(format!("refs/merge-requests/{number}/head")),
        category: Some("merge_request".to_owned()),
        when: commit.time("timestamp", now)?,
        revlink: request.maybe_text("url")?,
        properties: properties([
            ("event", Some(Value::from(sent.event.as_str()))),
            ("source_branch", request.plain("source_branch")?),
            ("source_project_id", request.plain("source_project_id")?),
            ("source_repository", request.plain("source.git_http_url")?),
            ("source_git_ssh_url", request.plain("source.git_ssh_url")?),
            ("target_branch", request.plain("target_branch")?),
            ("target_project_id", request.plain("target_project_id")?),
            ("target_repository", request.plain("target.git_http_url")?),
            ("target_git_ssh_url", request.plain("target.git_ssh_url")?),
        ]),
        repository: request.text("target.git_http_url")?,
        project: request.text("target.name")?,
        ..Change::default()
    };
    Ok(Said::changes(&sent.event, "git", vec![change]))
}

/// An update is new where it names the commit it was at before.
fn is_new(request: &Node<'_>) -> Result<bool, Refused> {
    if matches!(request.maybe_text("state")?.as_deref(), Some("closed" | "merged" | "approved" | "locked")) {
        return Ok(false);
    }
    Ok(match request.maybe_text("action")?.as_deref() {
        Some("open" | "reopen") => true,
        Some("update") => request.maybe_text("oldrev")?.is_some(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn opened(secret: Option<&str>, headers: &[(&str, &str)], body: &str) -> Result<String, u16> {
        let dialect = Dialect { secret: secret.map(Secret::new), ..Dialect::default() };
        let sent = open(&dialect, &Request::posted(headers, "text/plain", body));
        sent.map(|sent| sent.event).map_err(|refused| refused.status())
    }

    #[test]
    fn with_a_secret_it_must_come_along() {
        assert_eq!(opened(Some("hush"), &[("x-gitlab-token", "hush")], "{}").as_deref(), Ok("push"));
        for headers in [&[][..], &[("x-gitlab-token", "")], &[("x-gitlab-token", "hush"), ("x-gitlab-token", "x")]] {
            assert_eq!(opened(Some("hush"), headers, "{}"), Err(403), "{headers:?}");
        }
        assert_eq!(opened(Some("whsec_aHVzaA=="), &[("x-gitlab-token", "whsec_aHVzaA==")], "{}"), Err(403));
    }

    #[test]
    fn the_payload_outranks_the_header() {
        let header = [("x-gitlab-event", "Merge Request Hook")];
        assert_eq!(opened(None, &header, "{}").as_deref(), Ok("merge_request"));
        assert_eq!(opened(None, &header, r#"{"object_kind": "note"}"#).as_deref(), Ok("note"));
        assert_eq!(opened(None, &[], r#"{"event_name": "project_create"}"#).as_deref(), Ok("project_create"));
        assert_eq!(opened(None, &[("x-gitlab-event", "System Hook")], "{}").as_deref(), Ok("push"));
    }
}
