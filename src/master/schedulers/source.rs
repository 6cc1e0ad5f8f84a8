//! The source a scheduler has built: from changes, or from what its codebases say.

use super::seen::LastSeen;
use crate::config::Codebase;
use crate::model::{Change, SourceStamp};
use std::collections::BTreeMap;

/// Whether a scheduler looks at changes of this codebase at all.
pub(super) fn takes_codebase(codebases: &[Codebase], name: &str) -> bool {
    if codebases.is_empty() { name.is_empty() } else { codebases.iter().any(|codebase| codebase.name == name) }
}

/// One source stamp per codebase. One with changes is at its last change; one without as the scheduler's `codebases`
/// say, or as `last` saw it where that is given (createAbsoluteSourceStamps).
pub(super) fn stamps_of_changes(
    codebases: &[Codebase],
    changes: Vec<Change>,
    last: Option<&BTreeMap<String, LastSeen>>,
) -> Vec<SourceStamp> {
    let mut by_codebase: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for change in changes {
        by_codebase.entry(change.codebase.clone()).or_default().push(change);
    }
    each_codebase(codebases)
        .iter()
        .map(|codebase| {
            let mut changes = by_codebase.remove(&codebase.name).unwrap_or_default();
            changes.sort_by_key(|change| change.number);
            match (changes.last().cloned(), last.and_then(|last| last.get(&codebase.name))) {
                (Some(newest), _) => SourceStamp {
                    codebase: codebase.name.clone(),
                    repository: newest.repository,
                    project: newest.project,
                    branch: newest.branch,
                    revision: newest.revision,
                    patch: None,
                    changes,
                },
                (None, Some(last)) => SourceStamp {
                    codebase: codebase.name.clone(),
                    repository: last.repository.clone(),
                    project: last.project.clone(),
                    branch: last.branch.clone(),
                    revision: last.revision.clone(),
                    patch: None,
                    changes: Vec::new(),
                },
                (None, None) => latest(codebase, None),
            }
        })
        .collect()
}

/// One source stamp per codebase, without changes; `branch` where the codebase names none.
pub(super) fn stamps_of_latest(codebases: &[Codebase], branch: Option<&str>) -> Vec<SourceStamp> {
    each_codebase(codebases).iter().map(|codebase| latest(codebase, branch)).collect()
}

fn latest(codebase: &Codebase, branch: Option<&str>) -> SourceStamp {
    SourceStamp {
        codebase: codebase.name.clone(),
        repository: codebase.repository.clone(),
        branch: codebase.branch.clone().or_else(|| branch.map(str::to_owned)),
        revision: codebase.revision.clone(),
        ..SourceStamp::default()
    }
}

/// A scheduler without codebases has the one without a name.
fn each_codebase(codebases: &[Codebase]) -> Vec<Codebase> {
    if codebases.is_empty() { vec![Codebase::default()] } else { codebases.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: i64, codebase: &str, revision: &str) -> Change {
        Change { number, codebase: codebase.into(), revision: Some(revision.into()), ..Change::default() }
    }

    #[test]
    fn a_codebase_is_built_at_its_last_change() {
        let codebases = [Codebase { name: "app".into(), ..Codebase::default() }];
        let stamps = stamps_of_changes(&codebases, vec![change(3, "app", "c"), change(2, "app", "b")], None);
        assert_eq!(stamps.len(), 1);
        assert_eq!(stamps[0].revision.as_deref(), Some("c"));
        assert_eq!(stamps[0].changes.iter().map(|change| change.number).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_codebase_without_changes_is_built_as_configured_or_as_last_seen() {
        let app = Codebase { name: "app".into(), ..Codebase::default() };
        let lib = Codebase { name: "lib".into(), branch: Some("stable".into()), ..Codebase::default() };
        let codebases = [app, lib];
        let stamps = stamps_of_changes(&codebases, vec![change(1, "app", "a")], None);
        assert_eq!((stamps[1].branch.as_deref(), &stamps[1].revision), (Some("stable"), &None));

        let seen = LastSeen { revision: Some("f00".into()), branch: Some("devel".into()), ..LastSeen::default() };
        let last = BTreeMap::from([("lib".to_owned(), seen)]);
        let stamps = stamps_of_changes(&codebases, vec![change(1, "app", "a")], Some(&last));
        assert_eq!((stamps[1].branch.as_deref(), stamps[1].revision.as_deref()), (Some("devel"), Some("f00")));
    }

    #[test]
    fn a_codebase_keeps_its_own_branch() {
        let stable = Codebase { branch: Some("stable".into()), ..Codebase::default() };
        assert_eq!(stamps_of_latest(&[stable], Some("master"))[0].branch.as_deref(), Some("stable"));
        assert_eq!(stamps_of_latest(&[], Some("master"))[0].branch.as_deref(), Some("master"));
    }
}
