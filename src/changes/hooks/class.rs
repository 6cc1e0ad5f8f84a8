//! `class`: a function of master.cfg for events a dialect does not know, or should treat otherwise.
//!
//! ```python
//! def handle_release(payload):
//!     release = payload['release']
//!     return [{
//!         'author': release['author']['login'],
//!         'comments': release['name'],
//!         'branch': release['tag_name'],
//!         'repository': payload['repository']['html_url'],
//!     }], 'git'
//!
//! change_hook_dialects={'github': {'class': {'release': handle_release}}}
//! ```

use super::payload::Node;
use super::{Refused, Said, Sent, shown};
use crate::config::{Arg, Callback};
use crate::model::{Change, Properties, Time, Vcs};
use serde_json::Value;
use tracing::error;

/// The keys of a change's dict.
const KEYS: [&str; 14] = [
    "author",
    "who",
    "comments",
    "files",
    "revision",
    "branch",
    "category",
    "when",
    "when_timestamp",
    "revlink",
    "properties",
    "repository",
    "project",
    "codebase",
];

/// Has the function make changes of the payload.
pub(super) async fn call(handler: &Callback, sent: &Sent, now: Time) -> Result<Said, Refused> {
    let answer = handler.call(vec![Arg::Json(sent.payload.clone())]).await.map_err(|cause| failed(sent, &cause))?;
    read(&sent.event, &answer, now).map_err(|cause| {
        let place = format!("{}: {}: expected a list of changes and 'git'", handler.place(), handler.name());
        failed(sent, &format!("{place}: {cause}"))
    })
}

/// The log has the reason, the sender not: it may be a stranger.
fn failed(sent: &Sent, cause: &dyn std::fmt::Display) -> Refused {
    let event = shown(&sent.event);
    error!("the hook's function for the event {event} failed, nothing was taken of it: {cause}");
    Refused::Failed(format!("the function for the event {event} failed"))
}

/// `(changes, 'git')`.
fn read(event: &str, answer: &Value, now: Time) -> Result<Said, Refused> {
    let (changes, vcs) = match answer.as_array().map(Vec::as_slice) {
        Some([Value::Array(changes), Value::Null]) => (changes, None),
        Some([Value::Array(changes), Value::String(vcs)]) => {
            let none = || wrong(format!("{} is none of {}", shown(vcs), Vcs::ALL.map(Vcs::name).join(", ")));
            (changes, Some(Vcs::named(vcs).ok_or_else(none)?.name()))
        }
        _ => return Err(wrong("it returned something else".to_owned())),
    };
    let changes = changes.iter().map(|dict| change(dict, now)).collect::<Result<_, _>>()?;
    Ok(Said { event: event.to_owned(), changes, vcs, ignored: None })
}

fn wrong(why: String) -> Refused {
    Refused::Malformed(why)
}

fn change(dict: &Value, now: Time) -> Result<Change, Refused> {
    let object = dict.as_object().ok_or_else(|| wrong("a change is not a dict".to_owned()))?;
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(wrong(format!("a change has no {}; it has {}", shown(key), KEYS.join(", "))));
    }
    let node = Node::new(dict);
    let who = node.maybe_text("author")?.filter(|author| !author.is_empty());
    let mut properties = Properties::new();
    if let Some(given) = node.maybe("properties")? {
        let given = given.value().as_object().ok_or_else(|| wrong("properties is not a dict".to_owned()))?;
        given.iter().for_each(|(name, value)| properties.set(name, value.clone(), "Change"));
    }
    let when = node.time("when", now)?;
    Ok(Change {
        number: 0,
        who: who.map_or_else(|| node.text("who"), Ok)?,
        files: node.texts(&["files"])?,
        comments: node.text("comments")?,
        revision: node.maybe_text("revision")?,
        branch: node.maybe_text("branch")?,
        category: node.maybe_text("category")?,
        when: node.time("when_timestamp", when)?,
        revlink: node.maybe_text("revlink")?,
        properties,
        repository: node.maybe_text("repository")?.unwrap_or_default(),
        codebase: node.maybe_text("codebase")?.unwrap_or_default(),
        project: node.maybe_text("project")?.unwrap_or_default(),
        origin: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_function_returns_changes_and_the_system_they_are_of() {
        let answer = json!([[{"who": "ann", "comments": "c", "properties": {"p": [1]}, "when": 5}], "git"]);
        let said = read("blah", &answer, Time(1)).unwrap();
        assert_eq!((said.event.as_str(), said.vcs), ("blah", Some("git")));
        let change = &said.changes[0];
        assert_eq!((change.who.as_str(), change.when), ("ann", Time::from_seconds(5)));
        assert_eq!(change.properties.source("p"), Some("Change"));
        assert_eq!(read("blah", &json!([[], null]), Time(1)).unwrap().changes, []);
    }

    #[test]
    fn what_else_it_returns_is_refused() {
        for answer in [
            json!(null),
            json!([]),
            json!([[], "fossil"]),
            json!([[1], "git"]),
            json!([[{"who": "ann"}], "git"]),
            json!([[{"who": "ann", "comments": "c", "auther": "x"}], "git"]),
            json!([[{"who": "ann", "comments": "c", "properties": []}], "git"]),
        ] {
            assert!(read("blah", &answer, Time(1)).is_err(), "{answer}");
        }
    }
}
