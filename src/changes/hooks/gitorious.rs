//! `gitorious`: the web hooks of Gitorious, which closed in 2015.
//!
//! ```python
//! change_hook_dialects={'gitorious': True}
//! ```
//!
//! There are no options; `?project=` and `?codebase=` in the address set those of its changes.
//!
//! Not here: a secret, which Gitorious had none of; `change_hook_auth` asks for a password.

use super::{Dialect, Refused, Request, Said, Sent, is_nothing, payload};
use crate::model::{Change, Time};

pub(super) const OPTIONS: &[&str] = &[];

/// A form with the field `payload`.
pub fn open(_: &Dialect, request: &Request) -> Result<Sent, Refused> {
    request.only_post()?;
    let (args, text) = payload::text(request)?;
    Ok(Sent { event: "push".to_owned(), args, payload: payload::parse(&text)? })
}

/// One change for each commit; files are not told.
pub fn read(_: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    // A bare name, unlike everywhere else.
    let branch = payload.text("ref")?;
    if is_nothing(&payload.text("after")?) {
        return Ok(Said::nothing(&sent.event, "the branch was deleted"));
    }
    let (project, repository) = (payload.text("project.name")?, payload.text("repository.url")?);
    let mut changes = Vec::new();
    for commit in payload.list("commits")? {
        changes.push(Change {
            who: commit.person("author.name", "author.email")?,
            comments: commit.text("message")?,
            revision: Some(commit.text("id")?),
            branch: Some(branch.clone()),
            when: commit.time("timestamp", now)?,
            revlink: commit.maybe_text("url")?,
            repository: repository.clone(),
            project: project.clone(),
            ..Change::default()
        });
    }
    Ok(Said::changes(&sent.event, "git", changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_ends_is_no_change() {
        let form = "payload=%7B%22ref%22%3A%22master%22%2C%22after%22%3A%220000%22%7D";
        let sent = open(&Dialect::default(), &Request::posted(&[], "application/x-www-form-urlencoded", form)).unwrap();
        let said = read(&Dialect::default(), &sent, Time(1)).unwrap();
        assert_eq!((said.changes, said.ignored.as_deref()), (vec![], Some("the branch was deleted")));
    }

    #[test]
    fn the_payload_must_be_there() {
        let refused = open(&Dialect::default(), &Request::posted(&[], "application/x-www-form-urlencoded", "a=b"));
        assert_eq!(refused.err(), Some(Refused::Malformed("payload is missing".into())));
    }
}
