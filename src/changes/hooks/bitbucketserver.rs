//! `bitbucketserver`: the webhooks of Bitbucket Server and Data Center, and those of its add-on Post Webhooks.
//!
//! ```python
//! change_hook_dialects={'bitbucketserver': {
//!     'secret': 'MY-SECRET',
//!     'codebase': 'website',   # or a function of the payload
//!     'skips': [],             # default: [skip ci] and [ci skip] in all their spellings
//! }}
//! ```
//!
//! Each branch or tag of a push makes one change, for where it is now; of its commits older servers tell nothing but the
//! id. A tag's category is `tag`. Requests to pull make one of category `pull-created` or `pull-updated`, with the branch
//! `refs/pull-requests/N/from`. `?project=`, `?codebase=` and, for servers that do not tell it, `?repository=` in the
//! address win.
//!
//! With a secret everything must be signed with it, whether `strict` is set or not; only "Test connection" need not be.

use super::commit::Place;
use super::payload::{self, Node};
use super::{Dialect, Refused, Request, Said, Sent, branch_or_tag, person, properties, signature, titled};
use crate::model::{Change, Time};
use serde_json::Value;

pub(super) const OPTIONS: &[&str] = &["secret", "strict", "codebase", "skips"];

const PING: &str = "diagnostics:ping";

/// JSON with the event in a header.
pub fn open(dialect: &Dialect, request: &Request) -> Result<Sent, Refused> {
    request.only_post()?;
    let event = request.word("x-event-key").filter(|event| !event.is_empty());
    let event = event.ok_or_else(|| Refused::Malformed("the header X-Event-Key is missing".to_owned()))?;
    if event != PING || request.header("x-hub-signature").is_some() {
        signature::bitbucket(dialect, request)?;
    }
    let (args, text) = payload::text(request)?;
    Ok(Sent { event, args, payload: payload::parse(&text)? })
}

/// The changes of a push or a request to pull.
pub fn read(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    match sent.event.as_str() {
        PING => Ok(Said::nothing("ping", "a ping makes no changes")),
        // The add-on calls it either way, and writes it as Bitbucket Cloud does.
        "repo:push" | "repo:refs_changed" if sent.node().maybe("push")?.is_some() => add_on(dialect, sent, now),
        "repo:refs_changed" => push(dialect, sent, now),
        "pr:opened" => pull_request(dialect, sent, "pull-created", now),
        "pr:from_ref_updated" => pull_request(dialect, sent, "pull-updated", now),
        other => Ok(Said::other(other)),
    }
}

fn push(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let repository = payload.field("repository")?;
    let (address, project) = (address(sent, &repository)?, project(&repository)?);
    let (actor, when) = (actor(&payload.field("actor")?)?, payload.time("date", now)?);
    let mut changes = Vec::new();
    for update in payload.list("changes")? {
        if update.text("type")? == "DELETE" {
            continue;
        }
        let is_tag = update.text("ref.type")? == "TAG";
        let branch = &update.text("ref.displayId")?;
        let place = Place { repository: &address, project: &project, branch, category: is_tag.then_some("tag") };
        let revision = update.text("toHash")?;
        let change = Change {
            who: actor.clone(),
            comments: format!("push to {branch}"),
            when,
            revlink: page(&repository)?.map(|page| format!("{page}/commits/{revision}")),
            revision: Some(revision),
            ..place.change()
        };
        changes.push(told(change, payload.maybe("toCommit")?)?);
    }
    if changes.is_empty() {
        return Ok(Said::nothing(&sent.event, "the branch or tag was deleted"));
    }
    Ok(Said::pushed(dialect, &sent.event, "git", changes))
}

/// Newer servers tell more of the commit, of one of them if there are several branches.
fn told(change: Change, commit: Option<Node<'_>>) -> Result<Change, Refused> {
    let Some(commit) = commit else { return Ok(change) };
    if commit.maybe_text("id")? != change.revision {
        return Ok(change);
    }
    let author = person(commit.maybe_text("author.name")?, commit.maybe_text("author.emailAddress")?);
    Ok(Change {
        who: author.unwrap_or(change.who),
        comments: commit.maybe_text("message")?.unwrap_or(change.comments),
        when: commit.time("authorTimestamp", change.when)?,
        ..change
    })
}

fn actor(actor: &Node<'_>) -> Result<String, Refused> {
    let name = actor.maybe_text("displayName")?.or(actor.maybe_text("name")?);
    person(name, actor.maybe_text("emailAddress")?).map_or_else(|| actor.text("displayName"), Ok)
}

/// Of the web, without `/browse` at its end. Older servers do not tell it.
fn page(repository: &Node<'_>) -> Result<Option<String>, Refused> {
    let page = repository.maybe("links")?.map(|links| links.list("self")).transpose()?;
    let page = page.and_then(|links| links.first()?.maybe_text("href").transpose()).transpose()?;
    Ok(page.map(|page| page.trim_end_matches('/').trim_end_matches("/browse").to_owned()))
}

/// What the address of the hook says, where to clone it by HTTP, or its page.
fn address(sent: &Sent, repository: &Node<'_>) -> Result<String, Refused> {
    if let Some(given) = sent.args.given("repository") {
        return Ok(given.to_owned());
    }
    for link in repository.maybe("links")?.map_or_else(|| Ok(Vec::new()), |links| links.list("clone"))? {
        if matches!(link.maybe_text("name")?.as_deref(), Some("http" | "https")) {
            return link.text("href");
        }
    }
    Ok(page(repository)?.unwrap_or_default())
}

/// `KEY/slug`.
fn project(repository: &Node<'_>) -> Result<String, Refused> {
    let slug = repository.maybe_text("slug")?.map_or_else(|| repository.text("name"), Ok)?;
    let key = repository.maybe_text("project.key")?;
    Ok(key.map_or_else(|| slug.clone(), |key| format!("{key}/{slug}")))
}

fn add_on(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let repository = payload.field("repository")?;
    let (address, project, page) = (address(sent, &repository)?, project(&repository)?, page(&repository)?);
    let actor = payload.field("actor")?;
    let who = person(actor.maybe_text("displayName")?, actor.maybe_text("username")?);
    let who = who.map_or_else(|| actor.text("displayName"), Ok)?;
    let mut changes = Vec::new();
    for update in payload.field("push")?.list("changes")? {
        let Some(new) = update.maybe("new")? else { continue };
        let (name, revision) = (new.text("name")?, new.text("target.hash")?);
        let branch = branch_or_tag(&name).map_or(name.as_str(), |(name, _)| name);
        let category = (new.maybe_text("type")?.as_deref() == Some("tag")).then_some("tag");
        let place = Place { repository: &address, project: &project, branch, category };
        changes.push(Change {
            who: who.clone(),
            comments: format!("Bitbucket Server commit {revision}"),
            when: now,
            revlink: page.as_ref().map(|page| format!("{page}/commits/{revision}")),
            revision: Some(revision),
            ..place.change()
        });
    }
    if changes.is_empty() {
        return Ok(Said::nothing(&sent.event, "the branch or tag was deleted"));
    }
    Ok(Said::pushed(dialect, &sent.event, "git", changes))
}

fn pull_request(dialect: &Dialect, sent: &Sent, category: &str, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let pull = payload.field("pullRequest")?;
    let (number, title) = (pull.number("id")?, pull.text("title")?);
    if dialect.skips(&title) {
        return Ok(Said::nothing(&sent.event, "its title asks to be skipped"));
    }
    let repository = pull.field("toRef.repository")?;
    let link = pull.maybe("links")?.map(|links| links.list("self")).transpose()?;
    let link = link.and_then(|links| links.first()?.maybe_text("href").transpose()).transpose()?;
    let page = page(&repository)?.map(|page| format!("{page}/pull-requests/{number}"));
    let change = Change {
        who: actor(&payload.field("actor")?)?,
        comments: titled("PR", number, &title, pull.maybe_text("description")?),
        revision: Some(pull.text("fromRef.latestCommit")?),
        branch: Some(format!("refs/pull-requests/{number}/from")),
        category: Some(category.to_owned()),
        when: pull.time("updatedDate", payload.time("date", now)?)?,
        properties: properties([
            ("event", Some(Value::from(sent.event.as_str()))),
            ("pr_number", Some(Value::from(number))),
            ("pullrequesturl", link.clone().or(page.clone()).map(Value::from)),
            ("source_branch", pull.plain("fromRef.displayId")?),
            ("source_repository", Some(Value::from(project(&pull.field("fromRef.repository")?)?))),
            ("target_branch", pull.plain("toRef.displayId")?),
            ("target_repository", Some(Value::from(project(&repository)?))),
        ]),
        revlink: link.or(page),
        repository: address(sent, &repository)?,
        project: project(&repository)?,
        ..Change::default()
    };
    Ok(Said::changes(&sent.event, "git", vec![change]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn opened(event: &str, signature: Option<&str>) -> Result<Said, Refused> {
        let mut headers = vec![("x-event-key", event)];
        headers.extend(signature.map(|signature| ("x-hub-signature", signature)));
        let dialect = Dialect { secret: Some(Secret::new("hush")), ..Dialect::default() };
        let request = Request::posted(&headers, "application/json; charset=utf-8", r#"{"test": true}"#);
        open(&dialect, &request).and_then(|sent| read(&dialect, &sent, Time(1)))
    }

    #[test]
    fn a_test_of_the_connection_need_not_be_signed() {
        assert_eq!(opened(PING, None).map(|said| said.event).as_deref(), Ok("ping"));
        assert_eq!(opened("repo:refs_changed", None).err(), Some(signature::unsigned()));
        assert_eq!(opened(PING, Some("sha256=00")).err().map(|refused| refused.status()), Some(403));
    }
}
