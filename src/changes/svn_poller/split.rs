//! Which branches a revision is of: what `split_file` says of its paths.

use super::super::polling::{MOST_FILES, PollError};
use super::xml::{ChangedPath, Revision};
use crate::config::{Arg, Callback};
use serde_json::Value;

/// Where files belong.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Target {
    pub branch: Option<String>,
    /// `None`: the poller's.
    pub project: Option<String>,
    pub codebase: Option<String>,
    pub repository: Option<String>,
}

/// What one revision did in one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    pub target: Target,
    pub files: Vec<String>,
}

/// The pieces of a revision, the same however often it is asked for. Paths outside `prefix` are nobody's.
pub(super) async fn pieces(
    revision: &Revision,
    prefix: &str,
    split_file: Option<&Callback>,
) -> Result<Vec<Piece>, PollError> {
    let mut pieces = Vec::new();
    let paths = revision.paths.iter().filter_map(|path| Some((path, below(path, prefix)?)));
    for (path, below) in paths {
        let split = match split_file {
            Some(function) => {
                let answer = function.call(vec![Arg::Json(below.clone().into())]).await;
                let answer = answer.map_err(|error| PollError::Function(error.to_string()))?;
                target_of(answer).map_err(|why| {
                    let (place, name) = (function.place(), function.name());
                    PollError::Function(format!("{place}: {name}: split_file({below:?}) {why}"))
                })?
            }
            None => Some((Target::default(), below)),
        };
        if let Some((target, file)) = split {
            add(&mut pieces, target, file, path.deleted);
        }
    }
    pieces.retain(|(_, gone)| !gone);
    let mut pieces: Vec<Piece> = pieces.into_iter().map(|(piece, _)| piece).collect();
    if pieces.iter().any(|piece| piece.files.len() > MOST_FILES) {
        tracing::warn!("revision {} has more than {MOST_FILES} files: leaving the rest out", revision.number);
        pieces.iter_mut().for_each(|piece| piece.files.truncate(MOST_FILES));
    }
    Ok(pieces)
}

/// Each piece comes with whether all there is to it is that its root was deleted.
fn add(pieces: &mut Vec<(Piece, bool)>, target: Target, file: String, deleted: bool) {
    let is_root = file.is_empty();
    let index = pieces.iter().position(|(piece, _)| piece.target == target).unwrap_or_else(|| {
        pieces.push((Piece { target, files: Vec::new() }, true));
        pieces.len() - 1
    });
    let (piece, gone) = &mut pieces[index];
    *gone &= is_root && deleted;
    if !is_root {
        piece.files.push(file);
    }
}

/// The path from the folder that is watched; a folder's ends with a slash, but for that one's own.
fn below(path: &ChangedPath, prefix: &str) -> Option<String> {
    let rest = path.path.strip_prefix(prefix)?;
    let rest = match rest.strip_prefix('/') {
        Some(rest) => rest,
        None if rest.is_empty() => rest,
        // A neighbour whose name begins alike.
        None => return None,
    };
    let slash = if path.is_folder && !rest.is_empty() { "/" } else { "" };
    Some(format!("{rest}{slash}"))
}

/// What an answer means, or a sentence that goes on after the call.
fn target_of(answer: Value) -> Result<Option<(Target, String)>, String> {
    let wrong = |answer: &Value| format!("answered {answer} instead of None, (branch, path) or a dict with \"path\"");
    match &answer {
        Value::Null => Ok(None),
        Value::Array(pair) => match pair.as_slice() {
            [branch, Value::String(path)] => {
                let branch = optional(branch).ok_or_else(|| wrong(&answer))?;
                Ok(Some((Target { branch, ..Target::default() }, path.clone())))
            }
            _ => Err(wrong(&answer)),
        },
        Value::Object(dict) => {
            let Some(Value::String(path)) = dict.get("path") else { return Err(wrong(&answer)) };
            let text = |key: &str| {
                let value = dict.get(key).unwrap_or(&Value::Null);
                optional(value).ok_or_else(|| format!("answered {value} as \"{key}\" instead of text or None"))
            };
            let target = Target {
                branch: text("branch")?,
                project: text("project")?,
                codebase: text("codebase")?,
                repository: text("repository")?,
            };
            Ok(Some((target, path.clone())))
        }
        _ => Err(wrong(&answer)),
    }
}

fn optional(value: &Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(path: &str, is_folder: bool, deleted: bool) -> ChangedPath {
        ChangedPath { path: path.to_owned(), is_folder, deleted }
    }

    #[test]
    fn paths_are_seen_from_the_folder_watched() {
        let seen = |name: &str, is_folder, prefix| below(&path(name, is_folder, false), prefix);
        assert_eq!(seen("/trunk/src", true, "/trunk").as_deref(), Some("src/"));
        assert_eq!(seen("/trunk/a.c", false, "/trunk").as_deref(), Some("a.c"));
        assert_eq!(seen("/trunk", true, "/trunk").as_deref(), Some(""));
        assert_eq!(seen("/trunk2/a.c", false, "/trunk"), None);
        assert_eq!(seen("/trunk", true, "").as_deref(), Some("trunk/"));
        assert_eq!(seen("/", true, "").as_deref(), Some(""));
    }

    #[test]
    fn answers_of_split_file() {
        assert_eq!(target_of(json!(null)), Ok(None));
        let (target, file) = target_of(json!(["branches/x", "a.c"])).unwrap().unwrap();
        assert_eq!((target.branch.as_deref(), file.as_str()), (Some("branches/x"), "a.c"));
        let dict = json!({"path": "a", "branch": null, "project": "p", "codebase": "c", "repository": "r"});
        let (target, _) = target_of(dict).unwrap().unwrap();
        let text = |text: &str| Some(text.to_owned());
        let expected = Target { branch: None, project: text("p"), codebase: text("c"), repository: text("r") };
        assert_eq!(target, expected);
        for wrong in
            [json!("trunk"), json!(["a"]), json!([1, "a"]), json!({"branch": "b"}), json!({"path": "a", "branch": 1})]
        {
            assert!(target_of(wrong.clone()).unwrap_err().contains("instead of"), "{wrong}");
        }
    }

    #[actix::test]
    async fn a_folder_that_only_went_is_nothing() {
        let of = async |paths: Vec<ChangedPath>| {
            let revision = Revision { number: 1, paths, ..Revision::default() };
            pieces(&revision, "/b", None).await.unwrap()
        };
        assert_eq!(of(vec![path("/b", true, true)]).await, []);
        assert_eq!(of(vec![path("/b", true, true), path("/b/a", false, false)]).await[0].files, ["a"]);
        assert_eq!(of(vec![path("/b/a", true, true)]).await[0].files, ["a/"]);
        assert_eq!(of(vec![path("/b", true, false)]).await.len(), 1);
        assert_eq!(of(vec![path("/c/a", true, false)]).await, []);
    }
}
