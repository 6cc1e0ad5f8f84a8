//! What names mean in a master.cfg: namespaces, constants, and which import binds what.

use super::modules;
use super::problems::did_you_mean;
use super::{Catalog, Object};
use crate::model::Results;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Constructor {
        kind: &'static str,
        positional: &'static [&'static str],
    },
    Constant(Value),
    /// A function written in Rust: a method of an object nobody sees.
    Method(Arc<Object>, &'static str),
    Object(Arc<Object>),
    Space(String),
}

/// What is wrong with an import, and a suggestion.
pub type Unknown = (String, Option<String>);

/// Every namespace and its members. The namespace `*` stands for an old module and holds all of them.
#[derive(Debug, Default)]
pub(super) struct Names {
    spaces: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// The namespaces bound without an import.
pub(super) const NAMESPACES: [&str; 8] =
    ["status", "util", "schedulers", "steps", "changes", "worker", "buildslave", "secrets"];

/// Other names for the same constructor: namespace and name, and what it is.
const ALIASES: [(&str, &str, &str); 22] = [
    ("buildslave", "BuildSlave", "worker.Worker"),
    ("buildslave", "Worker", "worker.Worker"),
    ("buildslave", "LocalWorker", "worker.LocalWorker"),
    ("worker", "BuildSlave", "worker.Worker"),
    ("util", "BuilderFactory", "util.BuildFactory"),
    ("util", "SecretInAFile", "secrets.SecretInAFile"),
    ("schedulers", "Scheduler", "schedulers.SingleBranchScheduler"),
    ("status", "Words", "status.IRC"),
    ("schedulers", "StringParameter", "util.StringParameter"),
    ("schedulers", "TextParameter", "util.TextParameter"),
    ("schedulers", "IntParameter", "util.IntParameter"),
    ("schedulers", "BooleanParameter", "util.BooleanParameter"),
    ("schedulers", "FixedParameter", "util.FixedParameter"),
    ("schedulers", "ChoiceStringParameter", "util.ChoiceStringParameter"),
    ("schedulers", "InheritBuildParameter", "util.InheritBuildParameter"),
    ("schedulers", "BuildslaveChoiceParameter", "util.BuildslaveChoiceParameter"),
    ("schedulers", "UserNameParameter", "util.UserNameParameter"),
    ("schedulers", "AnyPropertyParameter", "util.AnyPropertyParameter"),
    ("schedulers", "NestedParameter", "util.NestedParameter"),
    ("schedulers", "CodebaseParameter", "util.CodebaseParameter"),
    ("util", "WorkerChoiceParameter", "util.BuildslaveChoiceParameter"),
    ("util", "RevlinkMatcher", "util.RevlinkMatch"),
];

impl Names {
    pub fn new(catalog: &Catalog) -> Names {
        let mut names = Names::default();
        for kind in super::kinds::KINDS.iter().chain(&catalog.0) {
            if let Some((space, name)) = kind.name.split_once('.') {
                names.add(space, name, Entry::Constructor { kind: kind.name, positional: kind.positional });
            }
        }
        for (space, name, kind) in ALIASES {
            let entry = kind.split_once('.').and_then(|(space, name)| names.spaces.get(space)?.get(name).cloned());
            if let Some(entry) = entry {
                names.add(space, name, entry);
            }
        }
        for results in Results::ALL {
            names.add("util", &results.word().to_uppercase(), Entry::Constant(results.code().into()));
        }
        let words: Vec<&str> = Results::ALL.iter().map(|results| results.word()).collect();
        names.add("util", "Results", Entry::Constant(json!(words)));
        let functions = Arc::new(modules::util());
        for (name, _) in &functions.methods {
            names.add("util", name, Entry::Method(functions.clone(), name));
        }
        let svn = Arc::new(modules::svn());
        for (name, _) in &svn.methods {
            names.add("changes", name, Entry::Method(svn.clone(), name));
        }
        names.add("util", "svn", Entry::Object(svn));
        names
    }

    fn add(&mut self, space: &str, name: &str, entry: Entry) {
        self.spaces.entry(space.to_owned()).or_default().insert(name.to_owned(), entry);
    }

    /// What `space.name` is.
    pub fn member(&self, space: &str, name: &str) -> Option<Entry> {
        if space != "*" {
            return self.spaces.get(space)?.get(name).cloned();
        }
        let found = NAMESPACES.iter().find_map(|space| self.spaces.get(*space)?.get(name).cloned());
        let is_module = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        found.or_else(|| is_module.then(|| Entry::Space("*".to_owned())))
    }

    /// The names in a namespace.
    pub fn members(&self, space: &str) -> Vec<&str> {
        let own = |space: &str| self.spaces.get(space).into_iter().flatten().map(|(name, _)| name.as_str());
        match space {
            "*" => NAMESPACES.iter().flat_map(|space| own(space)).collect(),
            _ => own(space).collect(),
        }
    }

    /// What `from module import name`, or `import module` without a name, binds; or what is wrong with it.
    ///
    /// The plural is for `*`.
    pub fn import(&self, module: &str, name: Option<&str>) -> Result<Vec<(String, Entry)>, Unknown> {
        let first = module.split('.').next().unwrap_or(module);
        if first == "buildbot" {
            return self.import_buildbot(module, name);
        }
        if module == "__future__" {
            return Ok(Vec::new());
        }
        let Some(object) = modules::module(first) else {
            let why =
                format!("cannot import \"{module}\": only buildbot's names and {} are here", modules::NAMES.join(", "));
            return Err((why, did_you_mean(first, modules::NAMES)));
        };
        let Some(name) = name else {
            return Ok(vec![(first.to_owned(), Entry::Object(Arc::new(object)))]);
        };
        // `from os import path` and `from os.path import join`.
        let object = module.split('.').skip(1).try_fold(object, |object, part| modules::attribute(&object, part));
        let Some(object) = object else {
            return Err((format!("there is no module \"{module}\" here"), None));
        };
        match modules::member(&Arc::new(object.clone()), name) {
            Some(entry) => Ok(vec![(name.to_owned(), entry)]),
            None => Err((format!("{module} has no \"{name}\" here"), did_you_mean(name, modules::members(&object)))),
        }
    }

    fn import_buildbot(&self, module: &str, name: Option<&str>) -> Result<Vec<(String, Entry)>, Unknown> {
        let everything = || Entry::Space("*".to_owned());
        let Some(name) = name else { return Ok(vec![("buildbot".to_owned(), everything())]) };
        if name == "*" && module == "buildbot.plugins" {
            return Ok(NAMESPACES.iter().map(|name| ((*name).to_owned(), Entry::Space((*name).to_owned()))).collect());
        }
        if name == "*" {
            let all = self.members("*").into_iter().filter_map(|name| Some((name.to_owned(), self.member("*", name)?)));
            return Ok(all.collect());
        }
        if module == "buildbot.plugins" || module == "buildbot" {
            if NAMESPACES.contains(&name) {
                return Ok(vec![(name.to_owned(), Entry::Space(name.to_owned()))]);
            }
            if module == "buildbot.plugins" {
                let why = format!("buildbot.plugins has no \"{name}\"");
                return Err((why, did_you_mean(name, NAMESPACES)));
            }
        }
        if let Some(entry) = self.member("*", name).filter(|entry| !matches!(entry, Entry::Space(_))) {
            return Ok(vec![(name.to_owned(), entry)]);
        }
        if MODULES.contains(&name) {
            return Ok(vec![(name.to_owned(), everything())]);
        }
        if name.ends_with("EventHandler") {
            let hint = "give the hook class={\"event\": function} instead".to_owned();
            return Err((format!("{module} has no \"{name}\" here"), Some(hint)));
        }
        let known = self.members("*").into_iter().chain(MODULES);
        Err((format!("{module} has no \"{name}\" here"), did_you_mean(name, known)))
    }
}

/// The modules of 0.8 that configurations import by name.
const MODULES: [&str; 58] = [
    "anybranch",
    "auth",
    "authz",
    "baseweb",
    "basic",
    "build",
    "builder",
    "buildrequest",
    "buildslave",
    "buildstep",
    "bzr",
    "changes",
    "client",
    "config",
    "dependent",
    "factory",
    "filter",
    "forcesched",
    "git",
    "github",
    "gitpoller",
    "hgpoller",
    "hooks",
    "html",
    "interfaces",
    "locks",
    "mail",
    "manhole",
    "manager",
    "master",
    "mercurial",
    "oldsource",
    "pb",
    "plugins",
    "process",
    "properties",
    "results",
    "scheduler",
    "schedulers",
    "shell",
    "slave",
    "source",
    "sourcestamp",
    "status",
    "status_gerrit",
    "status_push",
    "status_stash",
    "steps",
    "svn",
    "svnpoller",
    "timed",
    "transfer",
    "triggerable",
    "trysched",
    "util",
    "web",
    "words",
    "worker",
];

/// The address of a revision by a `RevlinkMatch`'s options, called with revision and repository.
pub(super) fn revlink_match(options: &Value, given: &[Value]) -> Value {
    let [Value::String(revision), Value::String(repository)] = given else { return Value::Null };
    let texts = |value: &Value| match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    };
    let revlink = options.get("revlink").and_then(Value::as_str).unwrap_or("");
    let patterns: Vec<String> = options.get("repo_urls").map(texts).unwrap_or_default();
    let found = patterns
        .iter()
        .filter_map(|pattern| super::section::compile(&format!("^(?:{pattern})")).ok())
        .find_map(|regex| {
            let groups = regex.captures(repository)?;
            let link = modules::expand(revlink, |group| groups.get(group).map(|found| found.as_str().to_owned()));
            Some(link.replacen("%s", revision, 1))
        });
    found.map_or(Value::Null, Value::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(&Catalog::default())
    }

    #[test]
    fn imports_bind_what_they_name() {
        let bound = |module, name| names().import(module, name).map(|bound| bound[0].0.clone());
        assert_eq!(bound("buildbot.plugins", Some("util")).unwrap(), "util");
        assert_eq!(bound("buildbot.status", Some("html")).unwrap(), "html");
        assert_eq!(bound("buildbot.process.factory", Some("BuildFactory")).unwrap(), "BuildFactory");
        assert_eq!(bound("os.path", Some("join")).unwrap(), "join");
        assert_eq!(bound("os", None).unwrap(), "os");
        assert!(bound("twisted.internet", Some("defer")).unwrap_err().0.contains("cannot import"));
        let (_, hint) = bound("buildbot.process.factory", Some("BuildFactroy")).unwrap_err();
        assert_eq!(hint.as_deref(), Some("did you mean \"BuildFactory\"?"));
    }

    #[test]
    fn a_revlink_match_fills_groups_and_revision() {
        let options = json!({ "repo_urls": ["git://x.org/(.*)"], "revlink": "http://x.org/\\1/commit/%s" });
        assert_eq!(revlink_match(&options, &["abc".into(), "git://x.org/lib".into()]), "http://x.org/lib/commit/abc");
        assert_eq!(revlink_match(&options, &["abc".into(), "git://y.org/lib".into()]), Value::Null);
    }
}
