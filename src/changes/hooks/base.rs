//! `base`: one change, field by field, as `contrib/post_build_request.py` sends it.
//!
//! ```python
//! change_hook_dialects={'base': True}
//! ```
//!
//! ```text
//! curl -d author=ann -d comments=hello -d 'files=["README"]' http://localhost:8010/change_hook/base
//! ```
//!
//! GET or POST; the arguments stand in the address, in a form, or both. `author` (or `who`) and `comments` must be there;
//! `files` is a JSON list, `properties` a JSON object, `when` (or `when_timestamp`) seconds since the epoch. `revision`,
//! `branch`, `category`, `revlink`, `repository`, `project` and `codebase` are texts; an empty one is as good as none.
//! `src` is the version control that the author is a user of: `git`, `svn`, `hg`, …; any other makes nobody a user.
//!
//! Not here: a secret; `change_hook_auth` asks for a password.

use super::{Args, Refused, Request, Said, dates, payload};
use crate::model::{Change, Properties, Time, Vcs};
use serde_json::{Map, Value};

pub(super) const OPTIONS: &[&str] = &[];

/// Reads the one change.
pub fn read(request: &Request, now: Time) -> Result<Said, Refused> {
    if !request.body.is_empty() && !request.is_form() {
        return Err(Refused::WrongType("this hook takes a form: application/x-www-form-urlencoded".to_owned()));
    }
    let args = request.args()?;
    let optional = |name: &str| args.given(name).map(str::to_owned);
    let change = Change {
        number: 0,
        who: optional("author").or_else(|| optional("who")).ok_or_else(|| malformed("author is missing"))?,
        files: files(&args)?,
        comments: args.get("comments").ok_or_else(|| malformed("comments is missing"))?.to_owned(),
        revision: optional("revision"),
        branch: optional("branch"),
        category: optional("category"),
        when: when(&args, now)?,
        revlink: optional("revlink"),
        properties: properties(&args)?,
        repository: optional("repository").unwrap_or_default(),
        codebase: optional("codebase").unwrap_or_default(),
        project: optional("project").unwrap_or_default(),
        origin: None,
    };
    let vcs = args.given("src").and_then(Vcs::named).map(Vcs::name);
    Ok(Said { event: "change".to_owned(), changes: vec![change], vcs, ignored: None })
}

fn malformed(why: impl Into<String>) -> Refused {
    Refused::Malformed(why.into())
}

fn files(args: &Args) -> Result<Vec<String>, Refused> {
    let Some(text) = args.get("files") else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(|cause| malformed(format!("files is not a JSON list of names: {cause}")))
}

fn properties(args: &Args) -> Result<Properties, Refused> {
    let Some(text) = args.get("properties") else { return Ok(Properties::new()) };
    payload::bounded(text.as_bytes())?;
    let given: Map<String, Value> =
        serde_json::from_str(text).map_err(|cause| malformed(format!("properties is not a JSON object: {cause}")))?;
    let mut properties = Properties::new();
    given.into_iter().for_each(|(name, value)| properties.set(name, value, "Change"));
    Ok(properties)
}

fn when(args: &Args, now: Time) -> Result<Time, Refused> {
    let Some(name) = ["when_timestamp", "when"].into_iter().find(|name| args.get(name).is_some()) else {
        return Ok(now);
    };
    let seconds = args.get(name).and_then(|text| dates::seconds(text.trim().parse().ok()?));
    seconds.ok_or_else(|| malformed(format!("{name} is not a number of seconds since 1970")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(query: &str) -> String {
        read(&Request::got(query), Time(1)).unwrap_err().to_string()
    }

    #[test]
    fn a_change_needs_an_author_and_comments() {
        let said = read(&Request::got("author=&who=ann&comments=&branch="), Time(1)).unwrap();
        let expected = Change { who: "ann".into(), when: Time(1), ..Change::default() };
        assert_eq!((said.changes, said.vcs), (vec![expected], None));
        assert_eq!(refusal("comments=x"), "author is missing");
        assert_eq!(refusal("who=x"), "comments is missing");
    }

    #[test]
    fn bad_fields_are_named() {
        for (query, name) in [
            ("files=", "files"),
            ("files={}", "files"),
            ("files=[1]", "files"),
            ("properties=", "properties"),
            ("properties=[]", "properties"),
            ("when=", "when"),
            ("when=nan", "when"),
            ("when=1e300", "when"),
            ("when=1&when_timestamp=x", "when_timestamp"),
        ] {
            let said = refusal(&format!("who=x&comments=y&{query}"));
            assert!(said.starts_with(&format!("{name} is not ")), "{query}: {said}");
        }
    }
}
