use super::{Callback, Problems, Renderable, Section, StepConfig};
use crate::model::Properties;
use std::sync::Arc;

/// `util.BuilderConfig(...)` (`reference/manual/cfg-builders.rst`).
#[derive(Debug, Clone)]
pub struct BuilderConfig {
    pub name: String,
    /// Never empty.
    pub workers: Vec<String>,
    pub steps: Vec<Arc<StepConfig>>,
    /// Directory below the master's; the name with unsafe characters replaced by default.
    pub builddir: String,
    /// Directory below the worker's; `builddir` by default.
    pub workerbuilddir: String,
    pub tags: Vec<String>,
    pub description: Option<String>,
    pub env: Vec<(String, Renderable)>,
    /// Source `Builder`.
    pub properties: Properties,
    /// `None`: as the global `mergeRequests` says.
    pub merge_requests: Option<MergeRequests>,
    /// `nextBuild(builder, requests) -> request or None`.
    pub next_build: Option<Callback>,
    /// `nextSlave(builder, slavebuilders) -> one of them or None`.
    pub next_worker: Option<Callback>,
    /// `canStartBuild(builder, worker, request) -> bool`.
    pub can_start_build: Option<Callback>,
    /// Where it stands, `master.cfg:14`; not part of being equal.
    pub place: String,
}

/// Whether waiting requests with compatible source are built as one.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum MergeRequests {
    #[default]
    Compatible,
    Never,
    /// `mergeRequests(builder, request1, request2) -> bool`.
    Callback(Callback),
}

impl From<Result<bool, Callback>> for MergeRequests {
    fn from(given: Result<bool, Callback>) -> MergeRequests {
        match given {
            Ok(true) => MergeRequests::Compatible,
            Ok(false) => MergeRequests::Never,
            Err(function) => MergeRequests::Callback(function),
        }
    }
}

impl PartialEq for BuilderConfig {
    fn eq(&self, other: &BuilderConfig) -> bool {
        let BuilderConfig {
            name,
            workers,
            steps,
            builddir,
            workerbuilddir,
            tags,
            description,
            env,
            properties,
            merge_requests,
            next_build,
            next_worker,
            can_start_build,
            place: _,
        } = other;
        self.name == *name
            && self.workers == *workers
            && self.steps == *steps
            && self.builddir == *builddir
            && self.workerbuilddir == *workerbuilddir
            && self.tags == *tags
            && self.description == *description
            && self.env == *env
            && self.properties == *properties
            && self.merge_requests == *merge_requests
            && self.next_build == *next_build
            && self.next_worker == *next_worker
            && self.can_start_build == *can_start_build
    }
}

impl BuilderConfig {
    pub(super) fn read(section: &Section, problems: &mut Problems) -> Option<BuilderConfig> {
        let mut options = section.read(problems);
        let name = options.required_text("name");
        match &name {
            Some(name) if name.starts_with('_') => {
                options.problem(
                    "name",
                    format!("\"{name}\" begins with \"_\"; such names are kept for pages of Signalbox"),
                );
            }
            Some(name) if name.chars().any(char::is_control) => options.problem("name", "must be one line"),
            _ => {}
        }
        let mut workers = Vec::new();
        for option in ["workernames", "slavenames"] {
            workers.extend(options.texts(option).unwrap_or_default());
        }
        for option in ["workername", "slavename"] {
            workers.extend(options.text(option));
        }
        let mut unique = Vec::new();
        workers.retain(|worker| {
            let new = !unique.contains(worker);
            unique.push(worker.clone());
            new
        });
        let names = ["workernames", "slavenames", "workername", "slavename"];
        let unread = names.iter().filter_map(|name| section.options.get(*name)).any(super::section::holds_unknown);
        if workers.is_empty() && !unread {
            let who = name.as_deref().map_or(String::new(), |name| format!(" \"{name}\""));
            options.problem("", format!("builder{who} has no workers: give workernames=[…]"));
        }
        let factory = options.call("factory", &["util.BuildFactory"]);
        if factory.is_none() && !options.given("factory") {
            options.problem("factory", "is required");
        }
        let builddir = options.text("builddir").unwrap_or_else(|| safe_folder(name.as_deref().unwrap_or("builder")));
        let old_dir = options.text("slavebuilddir");
        let workerbuilddir = options.text("workerbuilddir").or(old_dir).unwrap_or_else(|| builddir.clone());
        let mut tags = options.text_or_texts("tags").unwrap_or_default();
        for old in [options.text_or_texts("categories"), options.text_or_texts("category")].into_iter().flatten() {
            tags.extend(old);
        }
        let description = options.text("description");
        let env = options.renderable_dict("env").unwrap_or_default();
        let properties = options.properties("properties", "Builder");
        let merge_requests = options.flag_or_function("mergeRequests").map(MergeRequests::from);
        let next_build = options.function("nextBuild");
        let old_next = options.function("nextSlave");
        let next_worker = options.function("nextWorker").or(old_next);
        let can_start_build = options.function("canStartBuild");
        if options.list("locks").is_some_and(|locks| !locks.is_empty()) {
            options.problem("locks", "there are no locks here; limit a worker with max_builds instead");
        }
        options.finish();
        let factory = factory.map(|factory| Factory::read(&factory, problems));
        Some(BuilderConfig {
            name: name?,
            workers,
            steps: factory.map(|factory| factory.steps).unwrap_or_default(),
            builddir,
            workerbuilddir,
            tags,
            description,
            env,
            properties,
            merge_requests,
            next_build,
            next_worker,
            can_start_build,
            place: section.place.clone(),
        })
    }
}

/// `util.BuildFactory`, read for the builder that has it.
pub(super) struct Factory {
    steps: Vec<Arc<StepConfig>>,
}

impl Factory {
    pub fn read(section: &Section, problems: &mut Problems) -> Factory {
        let mut options = section.read(problems);
        let steps = options.list("steps").unwrap_or_default();
        let workdir = options.text("workdir");
        options.flag("useProgress", true);
        options.finish();
        let mut read = Vec::new();
        for step in steps {
            match section.nested(step) {
                Some(step) if step.kind.starts_with("steps.") => {
                    read.extend(StepConfig::read(&step, workdir.as_deref(), problems).map(Arc::new));
                }
                _ if super::section::holds_unknown(step) => {}
                _ => problems.add(
                    &section.place,
                    format!(
                        "{}: {} is not a step; steps are made by steps.ShellCommand(…) and its like",
                        section.kind,
                        super::section::shown(step)
                    ),
                ),
            }
        }
        Factory { steps: read }
    }
}

/// The folder of a builder that names none: unsafe characters become `_`.
fn safe_folder(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.+=@".contains(c) { c } else { '_' }).collect();
    if safe.trim_matches('.').is_empty() { "_".repeat(safe.len().max(1)) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_safe() {
        assert_eq!(safe_folder("runtests linux/x"), "runtests_linux_x");
        assert_eq!(safe_folder(".."), "__");
    }
}
