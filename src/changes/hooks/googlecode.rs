//! `googlecode`: the post-commit hooks of Google Code, which closed in 2016.
//!
//! ```python
//! change_hook_dialects={'googlecode': {'secret_key': 'FSP3p-Ghdn4T0oqX', 'branch': 'master'}}
//! ```
//!
//! With `secret_key` the body must be signed with it. Google Code does not say which branch a change is on: it is `branch`,
//! by default `default`.

use super::signature::{self, Hash};
use super::{Dialect, Refused, Request, Said, Sent, payload};
use crate::model::{Change, Time};

pub(super) const OPTIONS: &[&str] = &["secret_key", "branch"];

/// Whatever its content type, the body is JSON.
pub fn open(dialect: &Dialect, request: &Request) -> Result<Sent, Refused> {
    request.only_post()?;
    if let Some(key) = &dialect.secret {
        let header = signature::single(request, "google-code-project-hosting-hook-hmac")?;
        let header = header.ok_or_else(signature::unsigned)?;
        signature::bare(Hash::Md5, key.reveal(), &request.body, &header)?;
    }
    Ok(Sent { event: "commit".to_owned(), args: request.query_args()?, payload: payload::parse(&request.body)? })
}

/// One change for each revision.
pub fn read(dialect: &Dialect, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let payload = sent.node();
    let (project, repository) = (payload.text("project_name")?, payload.text("repository_path")?);
    let usual = dialect.branch.as_deref().unwrap_or("default");
    let mut changes = Vec::new();
    for revision in payload.list("revisions")? {
        changes.push(Change {
            who: revision.text("author")?,
            files: revision.texts(&["added", "modified", "removed"])?,
            comments: revision.text("message")?,
            revision: Some(text_or_number(&revision, "revision")?),
            branch: Some(revision.maybe_text("branch")?.unwrap_or_else(|| usual.to_owned())),
            when: revision.time("timestamp", now)?,
            revlink: revision.maybe_text("url")?,
            repository: repository.clone(),
            project: project.clone(),
            ..Change::default()
        });
    }
    Ok(Said::changes(&sent.event, "Google Code", changes))
}

/// Revisions of Subversion are numbers.
fn text_or_number(node: &payload::Node<'_>, field: &str) -> Result<String, Refused> {
    let number = node.field(field)?.value().as_u64().map(|number| number.to_string());
    number.map_or_else(|| node.text(field), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"project_name": "p", "repository_path": "r", "revisions": [{"author": "ann", "message": "m",
        "revision": 33, "timestamp": 1229470699, "added": ["b"], "modified": ["a"], "removed": ["b"]}]}"#;

    #[test]
    fn the_branch_is_the_option() {
        for (branch, expected) in [(None, "default"), (Some("trunk".to_owned()), "trunk")] {
            let dialect = Dialect { branch, ..Dialect::default() };
            let sent = open(&dialect, &Request::posted(&[], "text/plain", BODY)).unwrap();
            let said = read(&dialect, &sent, Time(1)).unwrap();
            let change = &said.changes[0];
            assert_eq!((change.branch.as_deref(), change.revision.as_deref()), (Some(expected), Some("33")));
        }
    }

    #[test]
    fn with_a_key_everything_is_signed() {
        let dialect = Dialect { secret: Some(crate::config::Secret::new("k")), ..Dialect::default() };
        assert_eq!(open(&dialect, &Request::posted(&[], "", BODY)).err(), Some(signature::unsigned()));
        assert_eq!(open(&dialect, &Request::got("")).err(), Some(Refused::WrongMethod));
    }
}
