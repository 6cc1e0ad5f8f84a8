//! Change hooks: the dialects a WebStatus takes changes in (`reference/change-hooks.md`).
//!
//! Not here yet: reading what they are sent. A dialect is accepted and checked.

use crate::config::{Callback, Options, Secret, Section};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One dialect with its options; options a dialect does not have are at their defaults.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dialect {
    /// `secret` of github, gitlab, bitbucket and gitorious; `secret_key` of googlecode.
    pub secret: Option<Secret>,
    /// github: a payload without a signature is refused.
    pub strict: bool,
    /// github: text, or `f(payload) -> codebase`.
    pub codebase: Option<Codebase>,
    /// github: `class`, here a dict of event name to `f(payload) -> (changes, 'git')`.
    pub handlers: BTreeMap<String, Callback>,
    /// googlecode: the branch of its changes.
    pub branch: Option<String>,
    /// poller: the pollers it may start; `None` is all.
    pub allowed: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Codebase {
    Always(String),
    /// `f(payload) -> codebase`.
    Callback(Callback),
}

/// The dialects there are, and the options of each.
pub const DIALECTS: [(&str, &[&str]); 7] = [
    ("base", &[]),
    ("github", &["secret", "strict", "codebase", "class"]),
    ("bitbucket", &["secret"]),
    ("googlecode", &["secret_key", "branch"]),
    ("poller", &["allowed"]),
    ("gitlab", &["secret"]),
    ("gitorious", &["secret"]),
];

impl Dialect {
    /// Reads `change_hook_dialects`: name to `True` or a dict of options.
    pub fn read_all(options: &mut Options<'_, '_>) -> BTreeMap<String, Dialect> {
        let mut dialects = BTreeMap::new();
        let section = options.section();
        for (name, value) in options.dict("change_hook_dialects").into_iter().flatten() {
            let Some((_, known)) = DIALECTS.iter().find(|(dialect, _)| dialect == name) else {
                let all: Vec<&str> = DIALECTS.iter().map(|(name, _)| *name).collect();
                let hint = crate::config::did_you_mean(name, all.iter().copied());
                let hint = hint.map_or(String::new(), |hint| format!(", {hint}"));
                options.problem(
                    "change_hook_dialects",
                    format!("there is no dialect \"{name}\"; there are {}{hint}", all.join(", ")),
                );
                continue;
            };
            let empty = Map::new();
            let given = match value {
                // Not even listed, as far as 0.8 is concerned.
                Value::Bool(false) => continue,
                Value::Bool(true) | Value::Null => &empty,
                Value::Object(given) if !given.keys().any(|key| key.starts_with('$')) => given,
                _ => {
                    options.problem("change_hook_dialects", format!("\"{name}\": expected True or a dict of options"));
                    continue;
                }
            };
            crate::config::unknown_keys(options, "change_hook_dialects", given, known);
            dialects.insert(name.clone(), Dialect::read(options, section, name, given));
        }
        dialects
    }

    fn read(options: &mut Options<'_, '_>, section: &Section, name: &str, given: &Map<String, Value>) -> Dialect {
        let mut dialect = Dialect::default();
        let mut wrong = |option: &str, expected: &str| {
            options.problem("change_hook_dialects", format!("\"{name}\": {option}: expected {expected}"));
        };
        for (option, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            match (option.as_str(), value) {
                ("secret" | "secret_key", Value::String(secret)) => dialect.secret = Some(Secret::new(secret.as_str())),
                ("secret" | "secret_key", _) => wrong(option, "text"),
                ("strict", Value::Bool(strict)) => dialect.strict = *strict,
                ("strict", _) => wrong(option, "True or False"),
                ("codebase", Value::String(codebase)) => dialect.codebase = Some(Codebase::Always(codebase.clone())),
                ("codebase", other) => match section.function(other) {
                    Some(function) => dialect.codebase = Some(Codebase::Callback(function)),
                    None => wrong(option, "text or a function"),
                },
                ("class", Value::Object(handlers)) if !handlers.keys().any(|key| key.starts_with('$')) => {
                    for (event, handler) in handlers {
                        match section.function(handler) {
                            Some(function) => {
                                dialect.handlers.insert(event.trim_start_matches("handle_").to_owned(), function);
                            }
                            None => wrong(&format!("class: \"{event}\""), "a function"),
                        }
                    }
                }
                ("class", _) => wrong(option, "a dict of event name to function"),
                ("branch", Value::String(branch)) => dialect.branch = Some(branch.clone()),
                ("branch", _) => wrong(option, "text"),
                ("allowed", Value::Array(names)) if names.iter().all(Value::is_string) => {
                    dialect.allowed = Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
                }
                ("allowed", _) => wrong(option, "a list of texts"),
                _ => {}
            }
        }
        if dialect.strict && dialect.secret.is_none() {
            options.problem("change_hook_dialects", format!("\"{name}\": strict needs a secret"));
        }
        dialect
    }
}
