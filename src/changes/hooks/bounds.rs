//! What every change of a hook keeps to, whoever sent it.

use super::{Refused, shown};
use crate::model::{Change, Properties};
use serde_json::Value;
use tracing::warn;

/// How many changes one request may make; GitHub sends 2048 at most.
const MOST_CHANGES: usize = 5_000;

/// How many files of one change are listed; an import of a whole tree says little by the rest of them.
const MOST_FILES: usize = 10_000;

/// How many bytes of the comments, the author and all properties together are kept.
const MOST_TEXT: usize = 256 * 1024;

/// How many bytes names may have: branches, revisions, files, repositories. A name that is cut is another name.
const MOST_NAME: usize = 4096;

/// Sorts files, takes out what cannot be stored or followed, and refuses what would be dangerous or too much.
pub(super) fn check(changes: Vec<Change>) -> Result<Vec<Change>, Refused> {
    if changes.len() > MOST_CHANGES {
        return Err(Refused::Malformed(format!("there are more than {MOST_CHANGES} changes in one request")));
    }
    changes.into_iter().map(one).collect()
}

fn one(mut change: Change) -> Result<Change, Refused> {
    if change.files.len() > MOST_FILES {
        warn!("a change with {} files: leaving out all but {MOST_FILES}", change.files.len());
        change.files.truncate(MOST_FILES);
    }
    change.files.sort();
    change.files.dedup();
    for text in [&mut change.who, &mut change.comments] {
        without_nul(text);
        cut(text);
    }
    let names = [&mut change.repository, &mut change.codebase, &mut change.project];
    let options = [&mut change.revision, &mut change.branch, &mut change.category];
    for name in change.files.iter_mut().chain(names).chain(options.into_iter().flatten()) {
        without_nul(name);
        if name.len() > MOST_NAME {
            return Err(Refused::Malformed(format!("{} is longer than {MOST_NAME} bytes", shown(name))));
        }
    }
    // A version control program would take it for an option.
    for (kind, name) in [("branch", &change.branch), ("revision", &change.revision)] {
        if let Some(name) = name.as_deref().filter(|name| name.starts_with('-')) {
            return Err(Refused::Malformed(format!("the {kind} {} begins with a dash", shown(name))));
        }
    }
    change.revlink = change.revlink.filter(|link| is_link(link));
    change.properties = properties(&change.properties)?;
    Ok(change)
}

fn is_link(link: &str) -> bool {
    let scheme = link.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let web = matches!(scheme.as_str(), "http" | "https") && link[scheme.len()..].starts_with("://");
    web && link.len() <= MOST_NAME && !link.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// No database stores a NUL within text.
fn without_nul(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
}

fn cut(text: &mut String) {
    if text.len() > MOST_TEXT {
        warn!("a change with a text of {} bytes: keeping {MOST_TEXT}", text.len());
        text.truncate(text.floor_char_boundary(MOST_TEXT));
    }
}

fn properties(given: &Properties) -> Result<Properties, Refused> {
    let mut properties = Properties::new();
    let mut size = 0;
    for (name, value, source) in given.iter() {
        size += name.len() + value.to_string().len();
        properties.set(name.replace('\0', "\u{fffd}"), cleaned(value), source);
    }
    if size > MOST_TEXT {
        return Err(Refused::Malformed(format!("the properties have more than {MOST_TEXT} bytes")));
    }
    Ok(properties)
}

fn cleaned(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => items.iter().map(cleaned).collect(),
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), cleaned(value))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: Change) -> Result<Change, Refused> {
        check(vec![change]).map(|mut changes| changes.remove(0))
    }

    #[test]
    fn texts_are_kept_and_made_storable() {
        let files = vec!["b".to_owned(), "a\0".to_owned(), "b".to_owned()];
        let mut properties = Properties::new();
        properties.set("p", serde_json::json!([{"k\0": "v\0"}]), "Change");
        let change = checked(Change { who: "<b>\0\r\n".into(), files, properties, ..Change::default() }).unwrap();
        assert_eq!(
            (change.who.as_str(), change.files),
            ("<b>\u{fffd}\r\n", vec!["a\u{fffd}".to_owned(), "b".to_owned()])
        );
        assert_eq!(change.properties.get("p").unwrap().to_string(), "[{\"k\u{fffd}\":\"v\u{fffd}\"}]");
    }

    #[test]
    fn sizes_are_bounded() {
        let comments = "ä".repeat(MOST_TEXT);
        let files = (0..20_000).map(|number| number.to_string()).collect();
        let change = checked(Change { comments, files, ..Change::default() }).unwrap();
        assert_eq!((change.comments.len(), change.files.len()), (MOST_TEXT, MOST_FILES));
        assert!(checked(Change { branch: Some("x".repeat(5000)), ..Change::default() }).is_err());
        assert!(check(vec![Change::default(); MOST_CHANGES + 1]).is_err());
        let mut properties = Properties::new();
        properties.set("p", "x".repeat(MOST_TEXT), "Change");
        assert!(checked(Change { properties, ..Change::default() }).is_err());
    }

    #[test]
    fn what_would_be_taken_for_an_option_is_refused() {
        for name in ["-b", "--upload-pack=x"] {
            assert!(checked(Change { branch: Some(name.into()), ..Change::default() }).is_err());
            assert!(checked(Change { revision: Some(name.into()), ..Change::default() }).is_err());
        }
        assert!(checked(Change { branch: Some("a-b".into()), ..Change::default() }).is_ok());
    }

    #[test]
    fn only_the_web_is_linked() {
        let kept = |link: &str| checked(Change { revlink: Some(link.into()), ..Change::default() }).unwrap().revlink;
        assert!(kept("https://example.org/x").is_some() && kept("HTTP://example.org").is_some());
        for link in ["javascript:alert(1)", "http:evil", "", "ftp://x", "https://a b", "ä://x", "https"] {
            assert_eq!(kept(link), None, "{link}");
        }
    }
}
