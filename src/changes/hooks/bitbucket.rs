//! `bitbucket`: the webhooks of Bitbucket Cloud, and the POST service it had before. `bitbucketcloud` is the same.
//!
//! ```python
//! change_hook_dialects={'bitbucket': {
//!     'secret': 'MY-SECRET',
//!     'codebase': 'website',   # or a function of the payload
//!     'skips': [],             # default: [skip ci] and [ci skip] in all their spellings
//! }}
//! ```
//!
//! Each commit of a push makes a change, unless its own message says that it is to be skipped; Bitbucket tells the five
//! newest, and no files. A tag, and a branch without commits of its own, makes one for where it points to; a tag's
//! category is `tag`. Requests to pull make one of category `pull-created` or `pull-updated`; their revision has
//! twelve digits, and their branch is called `refs/pull-requests/N/from`, as on a Bitbucket Server, so that nothing builds
//! what strangers propose as if it were theirs. Bitbucket Cloud has no such branch: properties tell where the commits are.
//! `?project=` and `?codebase=` in the address win.
//!
//! With a secret everything must be signed with it, which the old POST service cannot do.

use super::commit::Place;
use super::payload::{self, Node};
use super::{Dialect, Refused, Request, Said, Sent, properties, signature, titled};
use crate::model::{Change, Time};
use serde_json::Value;
use tracing::info;

pub(super) const OPTIONS: &[&str] = &["secret", "codebase", "skips"];

/// The one event of the old service, which sends forms.
const OLD: &str = "push";

/// JSON with the event in a header, or the form of the old service.
pub fn open(dialect: &Dialect, request: &Request) -> Result<Sent, Refused> {
    request.only_post()?;
    signature::bitbucket(dialect, request)?;
    let (args, text) = payload::text(request)?;
    let event = if request.is_form() { Some(OLD.to_owned()) } else { request.word("x-event-key") };
    let event = event.filter(|event| !event.is_empty());
    let event = event.ok_or_else(|| Refused::Malformed("the header X-Event-Key is missing".to_owned()))?;
    Ok(Sent { event, args, payload: payload::parse(&text)? })
}

/// The changes of a push or a request to pull.
pub fn read(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    match sent.event.as_str() {
        OLD => old(dialect, sent, now),
        "repo:push" => push(dialect, sent, now),
        "pullrequest:created" => pull_request(dialect, sent, "pull-created", now),
        "pullrequest:updated" => pull_request(dialect, sent, "pull-updated", now),
        other => Ok(Said::other(other)),
    }
}

fn old(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let repository = format!("{}{}", payload.text("canon_url")?, payload.text("repository.absolute_url")?);
    let mut changes = Vec::new();
    for commit in payload.list("commits")? {
        let node = commit.text("raw_node")?;
        let files: Result<_, _> = commit.list("files")?.iter().map(|file| file.text("file")).collect();
        changes.push(Change {
            who: commit.text("raw_author")?,
            files: files?,
            comments: commit.text("message")?,
            revlink: Some(format!("{}/commits/{node}", repository.trim_end_matches('/'))),
            revision: Some(node),
            // `null` unless the commit is the head of one.
            branch: commit.maybe_text("branch")?,
            when: commit.time("utctimestamp", now)?,
            repository: repository.clone(),
            ..Change::default()
        });
    }
    Ok(Said::pushed(dialect, &sent.event, vcs(&payload)?, changes))
}

fn vcs(payload: &Node<'_>) -> Result<&'static str, Refused> {
    Ok(if payload.maybe_text("repository.scm")?.as_deref() == Some("hg") { "hg" } else { "git" })
}

fn push(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let (address, project) = (address(&payload.field("repository")?)?, payload.text("repository.full_name")?);
    let mut changes = Vec::new();
    // A branch or tag that is gone has nothing new.
    let references = payload.field("push")?.list("changes")?;
    for reference in &references {
        let Some(new) = reference.maybe("new")? else { continue };
        let is_tag = new.text("type")? == "tag";
        let branch = &new.text("name")?;
        let place = Place { repository: &address, project: &project, branch, category: is_tag.then_some("tag") };
        if reference.flag("truncated")? {
            info!("hook bitbucket: a push to {} of more commits than Bitbucket tells", super::shown(branch));
        }
        for commit in commits(reference, &new, is_tag)? {
            changes.push(commit_change(&place, &commit, now)?);
        }
    }
    if changes.is_empty() && !references.is_empty() {
        return Ok(Said::nothing(&sent.event, "the branch or tag was deleted"));
    }
    Ok(Said::pushed(dialect, &sent.event, vcs(&payload)?, changes))
}

/// The page; the address for programs cannot be cloned.
fn address(repository: &Node<'_>) -> Result<String, Refused> {
    let page = repository.maybe_text("links.html.href")?;
    page.map_or_else(|| Ok(format!("https://bitbucket.org/{}", repository.text("full_name")?)), Ok)
}

/// Oldest first, which they are not sent as; the last is where the branch is now.
fn commits<'p>(reference: &Node<'p>, new: &Node<'p>, is_tag: bool) -> Result<Vec<Node<'p>>, Refused> {
    let target = new.field("target")?;
    if is_tag {
        return Ok(vec![target]);
    }
    let mut commits = reference.list("commits")?;
    commits.reverse();
    let head = target.text("hash")?;
    let mut told = false;
    for commit in &commits {
        told |= commit.text("hash")? == head;
    }
    if !told {
        commits.push(target);
    }
    Ok(commits)
}

fn commit_change(place: &Place<'_>, commit: &Node<'_>, now: Time) -> Result<Change, Refused> {
    Ok(Change {
        who: commit.text("author.raw")?,
        comments: commit.text("message")?,
        revision: Some(commit.text("hash")?),
        when: commit.time("date", now)?,
        revlink: commit.maybe_text("links.html.href")?,
        ..place.change()
    })
}

fn pull_request(dialect: &Dialect, sent: &Sent, category: &str, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let pull = payload.field("pullrequest")?;
    let (number, title) = (pull.number("id")?, pull.text("title")?);
    if dialect.skips(&title) {
        return Ok(Said::nothing(&sent.event, "its title asks to be skipped"));
    }
    let link = pull.maybe_text("links.html.href")?;
    let change = Change {
        who: author(&payload, &pull)?,
        comments: titled("PR", number, &title, pull.maybe_text("description")?),
        revision: Some(pull.text("source.commit.hash")?),
        branch: Some(format!("refs/pull-requests/{number}/from")),
        category: Some(category.to_owned()),
        when: pull.time("updated_on", now)?,
        properties: properties([
            ("event", Some(Value::from(sent.event.as_str()))),
            ("pr_number", Some(Value::from(number))),
            ("pullrequesturl", link.clone().map(Value::from)),
            ("source_branch", pull.plain("source.branch.name")?),
            ("source_repository", pull.plain("source.repository.links.html.href")?),
            ("target_branch", pull.plain("destination.branch.name")?),
            ("target_repository", pull.plain("destination.repository.links.html.href")?),
        ]),
        revlink: link,
        repository: address(&payload.field("repository")?)?,
        project: payload.text("repository.full_name")?,
        ..Change::default()
    };
    Ok(Said::changes(&sent.event, vcs(&payload)?, vec![change]))
}

/// Teams, apps and tokens have no nickname, and nobody has a mail address.
fn author(payload: &Node<'_>, pull: &Node<'_>) -> Result<String, Refused> {
    let name = pull.maybe_text("author.display_name")?;
    name.map_or_else(|| payload.text("actor.display_name"), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use serde_json::json;

    fn pushed(change: Value) -> Result<Vec<String>, String> {
        let payload = json!({
            "repository": {"full_name": "t/r"},
            "push": {"changes": [change]},
        });
        let request = Request::posted(&[("x-event-key", "repo:push")], "application/json", &payload.to_string());
        let dialect = Dialect::default();
        let said = open(&dialect, &request).and_then(|sent| read(&dialect, &sent, Time(1)));
        let revisions = |said: Said| said.changes.into_iter().filter_map(|change| change.revision).collect();
        said.map(revisions).map_err(|refused| refused.to_string())
    }

    #[test]
    fn the_last_change_is_where_the_branch_is() {
        let commit = |hash| json!({"hash": hash, "author": {"raw": "ann"}, "message": "m", "date": "2026-01-01"});
        let new = json!({"type": "branch", "name": "main", "target": commit("c")});
        let revisions = |commits: Value| pushed(json!({"new": new, "commits": commits})).unwrap().concat();
        assert_eq!(revisions(json!([commit("c"), commit("b"), commit("a")])), "abc");
        assert_eq!(revisions(json!([commit("b"), commit("a")])), "abc");
        assert_eq!((revisions(json!([])), revisions(json!(null))), ("c".to_owned(), "c".to_owned()));
        assert_eq!(pushed(json!({"new": null})).unwrap(), [""; 0]);
        let missing = pushed(json!({"new": {"type": "branch", "name": "main", "target": {}}})).unwrap_err();
        assert_eq!(missing, "push.changes[0].new.target.hash is missing");
    }

    #[test]
    fn with_a_secret_everything_is_signed() {
        let dialect = Dialect { secret: Some(Secret::new("hush")), ..Dialect::default() };
        for content_type in ["application/json", "application/x-www-form-urlencoded"] {
            let request = Request::posted(&[("x-event-key", "repo:push")], content_type, "payload={}");
            assert_eq!(open(&dialect, &request).err(), Some(signature::unsigned()));
        }
    }
}
