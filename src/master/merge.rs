//! Which requests may be built as one, and what that one build is then made from.

use crate::model::*;
use std::collections::BTreeMap;

/// Whether two requests ask for compatible source (`reference/manual/cfg-builders.rst`, Merging Build Requests):
/// the same codebases, and in each the same branch, project and repository, no patch, and either changes on both
/// sides or none on either and the same revision.
pub(super) fn compatible(a: &BuildRequest, b: &BuildRequest) -> bool {
    same_codebases(a, b)
        && a.source_stamps.iter().all(|stamp| {
            let other = b.source_stamps.iter().find(|other| other.codebase == stamp.codebase);
            other.is_some_and(|other| stamps_compatible(stamp, other))
        })
}

/// Without this no two requests are merged, whatever a function of the configuration says.
pub(super) fn same_codebases(a: &BuildRequest, b: &BuildRequest) -> bool {
    fn codebases(request: &BuildRequest) -> Vec<&str> {
        let mut names: Vec<&str> = request.source_stamps.iter().map(|stamp| stamp.codebase.as_str()).collect();
        names.sort_unstable();
        names
    }
    codebases(a) == codebases(b)
}

fn stamps_compatible(a: &SourceStamp, b: &SourceStamp) -> bool {
    a.branch == b.branch
        && a.project == b.project
        && a.repository == b.repository
        && a.patch.is_none()
        && b.patch.is_none()
        && a.changes.is_empty() == b.changes.is_empty()
        && (!a.changes.is_empty() || a.revision == b.revision)
}

/// The source of a build for these requests, one stamp per codebase.
///
/// Changes are brought together without doubles, oldest first. Branch and revision are those of the stamp with the
/// newest change, so that the build has them all.
pub(super) fn source_stamps(requests: &[BuildRequest]) -> Vec<SourceStamp> {
    let mut merged: Vec<SourceStamp> = Vec::new();
    for stamp in requests.iter().flat_map(|request| &request.source_stamps) {
        match merged.iter_mut().find(|known| known.codebase == stamp.codebase) {
            Some(known) => add_stamp(known, stamp),
            None => merged.push(stamp.clone()),
        }
    }
    if merged.is_empty() {
        merged.push(SourceStamp::default());
    }
    merged
}

fn add_stamp(known: &mut SourceStamp, stamp: &SourceStamp) {
    let newest = |stamp: &SourceStamp| stamp.changes.iter().map(|change| change.number).max();
    if newest(stamp) > newest(known) {
        known.branch = stamp.branch.clone();
        known.revision = stamp.revision.clone();
    }
    let mut changes: BTreeMap<i64, Change> = BTreeMap::new();
    for change in known.changes.drain(..).chain(stamp.changes.iter().cloned()) {
        changes.insert(change.number, change);
    }
    known.changes = changes.into_values().collect();
}

/// The reasons of the requests, each once, in the order of the requests.
pub(super) fn reason(requests: &[BuildRequest]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for request in requests {
        if !request.reason.is_empty() && !reasons.contains(&request.reason.as_str()) {
            reasons.push(&request.reason);
        }
    }
    reasons.join(", ")
}

/// Where the properties of a build come from (`reference/webstatus.md` §1.3), in the order in which later ones win.
pub(super) struct Sources<'a> {
    pub global: &'a Properties,
    pub requests: &'a [BuildRequest],
    pub source_stamps: &'a [SourceStamp],
    pub reason: &'a str,
    pub builder: &'a str,
    pub builder_properties: &'a Properties,
    pub number: i64,
    pub worker: &'a str,
    pub worker_properties: &'a Properties,
    pub builddir: &'a str,
}

pub(super) fn properties(sources: &Sources) -> Properties {
    let mut properties = sources.global.clone();
    for request in sources.requests {
        for change in request.source_stamps.iter().flat_map(|stamp| &stamp.changes) {
            properties.update(&change.properties);
        }
        properties.update(&request.properties);
    }
    let owners: Vec<serde_json::Value> =
        sources.requests.iter().filter_map(|request| request.properties.get("owner").cloned()).collect();
    if !owners.is_empty() {
        properties.set("owners", owners, sources.reason);
    }
    properties.set("buildnumber", sources.number, "Build");
    if let [stamp] = sources.source_stamps {
        properties.set("branch", stamp.branch.clone(), "Build");
        properties.set("revision", stamp.revision.clone(), "Build");
        properties.set("repository", stamp.repository.clone(), "Build");
        properties.set("codebase", stamp.codebase.clone(), "Build");
        properties.set("project", stamp.project.clone(), "Build");
    }
    properties.set("buildername", sources.builder, "Builder");
    properties.update(sources.builder_properties);
    properties.set("slavename", sources.worker, "BuildSlave");
    properties.update(sources.worker_properties);
    properties.set("builddir", sources.builddir, "slave");
    properties.set("workdir", sources.builddir, "slave (deprecated)");
    properties
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(id: i64, stamp: SourceStamp) -> BuildRequest {
        BuildRequest {
            id,
            buildset: id,
            builder: "linux".into(),
            source_stamps: vec![stamp],
            reason: format!("reason {id}"),
            properties: Properties::new(),
            priority: 0,
            submitted_at: Time(id),
            builds: Vec::new(),
            complete_at: None,
            results: None,
        }
    }

    fn with_change(number: i64) -> SourceStamp {
        let revision = Some(format!("r{number}"));
        let change = Change { number, revision: revision.clone(), ..Change::default() };
        SourceStamp { branch: Some("main".into()), revision, changes: vec![change], ..SourceStamp::default() }
    }

    fn at(revision: &str) -> SourceStamp {
        SourceStamp { revision: Some(revision.into()), ..SourceStamp::default() }
    }

    #[test]
    fn changes_on_both_sides_merge_and_the_newest_decides_the_revision() {
        let (a, b) = (request(1, with_change(7)), request(2, with_change(5)));
        assert!(compatible(&a, &b));
        let stamps = source_stamps(&[b, a]);
        assert_eq!(stamps.len(), 1);
        assert_eq!(stamps[0].revision.as_deref(), Some("r7"));
        assert_eq!(stamps[0].changes.iter().map(|change| change.number).collect::<Vec<_>>(), [5, 7]);
    }

    #[test]
    fn without_changes_the_revisions_must_agree() {
        assert!(compatible(&request(1, at("x")), &request(2, at("x"))));
        assert!(!compatible(&request(1, at("x")), &request(2, at("y"))));
        assert!(!compatible(&request(1, with_change(1)), &request(2, at("r1"))));
    }

    #[test]
    fn patches_other_branches_and_other_codebases_do_not_merge() {
        let patched = SourceStamp { patch: Some(Patch::default()), ..at("x") };
        assert!(!compatible(&request(1, patched), &request(2, at("x"))));
        let branch = SourceStamp { branch: Some("b".into()), ..at("x") };
        assert!(!compatible(&request(1, branch), &request(2, at("x"))));
        let codebase = SourceStamp { codebase: "lib".into(), ..at("x") };
        assert!(!compatible(&request(1, codebase), &request(2, at("x"))));
    }

    #[test]
    fn a_reason_is_said_once() {
        let mut twice = request(2, at("x"));
        twice.reason = "reason 1".into();
        assert_eq!(reason(&[request(1, at("x")), twice, request(3, at("x"))]), "reason 1, reason 3");
    }

    #[test]
    fn properties_come_in_the_order_of_the_sheet() {
        let mut global = Properties::new();
        for name in ["a", "b", "c", "d"] {
            global.set(name, "global", "global");
        }
        let mut stamp = with_change(1);
        stamp.changes[0].properties.set("a", "change", "Change");
        stamp.changes[0].properties.set("b", "change", "Change");
        let mut request = request(1, stamp);
        request.properties.set("b", "request", "Scheduler");
        request.properties.set("owner", "Ann", "Force Build Form");
        let mut builder = Properties::new();
        builder.set("c", "builder", "Builder");
        builder.set("d", "builder", "Builder");
        let mut worker = Properties::new();
        worker.set("d", "worker", "BuildSlave");
        let requests = [request];
        let stamps = source_stamps(&requests);
        let properties = properties(&Sources {
            global: &global,
            requests: &requests,
            source_stamps: &stamps,
            reason: "because",
            builder: "linux",
            builder_properties: &builder,
            number: 4,
            worker: "w",
            worker_properties: &worker,
            builddir: "/b",
        });
        assert_eq!(properties.get("a"), Some(&json!("change")));
        assert_eq!(properties.get("b"), Some(&json!("request")));
        assert_eq!(properties.get("c"), Some(&json!("builder")));
        assert_eq!(properties.get("d"), Some(&json!("worker")));
        assert_eq!(properties.get("owners"), Some(&json!(["Ann"])));
        assert_eq!(properties.source("owners"), Some("because"));
        assert_eq!(properties.get("buildnumber"), Some(&json!(4)));
        assert_eq!(properties.get("revision"), Some(&json!("r1")));
    }
}
