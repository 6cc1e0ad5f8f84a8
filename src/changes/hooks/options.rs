//! `change_hook_dialects`: the dialects a WebStatus takes changes in, each with its options.

use super::DIALECTS;
use crate::config::{Callback, Options, Secret, Section, did_you_mean, unknown_keys};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One dialect with its options; options a dialect does not have are at their defaults.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// `secret` of the code hosts, `secret_key` of googlecode.
    pub secret: Option<Secret>,
    /// github: a payload without a signature is refused. The others refuse it wherever they have a secret.
    pub strict: bool,
    /// github, gitea, bitbucketserver: text, or `f(payload) -> codebase`.
    pub codebase: Option<Codebase>,
    /// github, gitea: `class`, here a dict of event name to `f(payload) -> (changes, 'git')`.
    pub handlers: BTreeMap<String, Callback>,
    /// A commit whose message matches one of these makes no change, nor does a request to pull whose title does.
    pub skips: Vec<Regex>,
    /// googlecode: the branch of its changes.
    pub branch: Option<String>,
    /// github: whether a request to pull is built merged rather than as it is, `refs/pull/N/merge`.
    pub merged: bool,
    /// poller: the pollers it may start; `None` is all.
    pub allowed: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Codebase {
    Always(String),
    /// `f(payload) -> codebase`.
    Callback(Callback),
}

/// What people write to keep a build server out of it.
const SKIPS: [&str; 2] = [r"\[ *skip *ci *\]", r"\[ *ci *skip *\]"];

impl Default for Dialect {
    fn default() -> Dialect {
        let skip = |text| Regex::new(text).expect("the built-in expressions compile");
        Dialect {
            secret: None,
            strict: false,
            codebase: None,
            handlers: BTreeMap::new(),
            skips: SKIPS.into_iter().map(skip).collect(),
            branch: None,
            merged: false,
            allowed: None,
        }
    }
}

impl PartialEq for Dialect {
    fn eq(&self, other: &Dialect) -> bool {
        let texts = |dialect: &Dialect| dialect.skips.iter().map(|skip| skip.as_str().to_owned()).collect::<Vec<_>>();
        (&self.secret, self.strict, &self.codebase, &self.handlers, texts(self))
            == (&other.secret, other.strict, &other.codebase, &other.handlers, texts(other))
            && (&self.branch, self.merged, &self.allowed) == (&other.branch, other.merged, &other.allowed)
    }
}

impl Dialect {
    /// Whether a commit with this message is none of ours.
    pub fn skips(&self, message: &str) -> bool {
        self.skips.iter().any(|skip| skip.is_match(message))
    }

    /// Reads `change_hook_dialects`: name to `True` or a dict of options.
    pub fn read_all(options: &mut Options<'_, '_>) -> BTreeMap<String, Dialect> {
        let mut dialects = BTreeMap::new();
        let empty = Map::new();
        for (name, value) in options.dict("change_hook_dialects").into_iter().flatten() {
            let Some((_, known)) = DIALECTS.iter().find(|(dialect, _)| dialect == name) else {
                unknown(options, name);
                continue;
            };
            let given = match value {
                // Not even listed, as far as 0.8 is concerned.
                Value::Bool(false) => continue,
                Value::Bool(true) | Value::Null => &empty,
                Value::Object(given) if is_dict(given) => given,
                _ => {
                    options.problem("change_hook_dialects", format!("\"{name}\": expected True or a dict of options"));
                    continue;
                }
            };
            unknown_keys(options, "change_hook_dialects", given, known);
            dialects.insert(name.clone(), Dialect::read(options, name, given));
        }
        note_what_is_open(options, &dialects);
        dialects
    }

    fn read(options: &mut Options<'_, '_>, name: &str, given: &Map<String, Value>) -> Dialect {
        let mut dialect = Dialect::default();
        let section = options.section();
        for (option, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            if let Err(wrong) = dialect.set(section, option, value) {
                options.problem("change_hook_dialects", format!("\"{name}\": {option}: {wrong}"));
            }
        }
        if dialect.strict && dialect.secret.is_none() {
            options.problem("change_hook_dialects", format!("\"{name}\": strict needs a secret"));
        }
        dialect
    }

    /// Takes in one option; says what is wrong with it.
    fn set(&mut self, section: &Section, option: &str, value: &Value) -> Result<(), String> {
        match option {
            "secret" | "secret_key" => self.secret = Some(secret(value)?),
            "strict" => self.strict = value.as_bool().ok_or("expected True or False")?,
            "codebase" => self.codebase = Some(codebase(section, value)?),
            "class" => self.handlers = handlers(section, value)?,
            "skips" => self.skips = skips(value)?,
            "branch" => self.branch = Some(value.as_str().ok_or("expected text")?.to_owned()),
            "pullrequest_ref" => {
                self.merged = match value.as_str() {
                    Some("head") => false,
                    Some("merge") => true,
                    _ => return Err("expected \"head\" or \"merge\"".to_owned()),
                }
            }
            "allowed" => {
                let names = value.as_array().ok_or("expected a list of texts")?;
                let names: Option<_> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                self.allowed = Some(names.ok_or("expected a list of texts")?);
            }
            // One the dialect does not have, which has been said.
            _ => {}
        }
        Ok(())
    }
}

fn unknown(options: &mut Options<'_, '_>, name: &str) {
    let all: Vec<&str> = DIALECTS.iter().map(|(name, _)| *name).collect();
    let hint = did_you_mean(name, all.iter().copied()).map_or(String::new(), |hint| format!(", {hint}"));
    let message = format!("there is no dialect \"{name}\"; there are {}{hint}", all.join(", "));
    options.problem("change_hook_dialects", message);
}

/// Tells the operator where strangers may send changes.
fn note_what_is_open(options: &mut Options<'_, '_>, dialects: &BTreeMap<String, Dialect>) {
    if options.given("change_hook_auth") {
        return;
    }
    let is_open = |(name, dialect): &(&String, &Dialect)| dialect.secret.is_none() && *name != "poller";
    let open: Vec<&str> = dialects.iter().filter(is_open).map(|(name, _)| name.as_str()).collect();
    if !open.is_empty() {
        let names = open.join(", ");
        let message =
            format!("whoever reaches this server can send changes ({names}): give a secret or change_hook_auth");
        options.note("change_hook_dialects", message);
    }
    if dialects.get("github").is_some_and(|github| github.secret.is_some() && !github.strict) {
        options.note(
            "change_hook_dialects",
            "\"github\": without strict a payload needs no signature, whatever the secret",
        );
    }
}

/// A dict rather than a call, a function or a regular expression.
fn is_dict(object: &Map<String, Value>) -> bool {
    !object.keys().any(|key| key.starts_with('$'))
}

fn secret(value: &Value) -> Result<Secret, String> {
    match value.as_str() {
        None => Err("expected text".to_owned()),
        Some("") => Err("must not be empty; leave it out where there is none".to_owned()),
        Some(text) => Ok(Secret::new(text)),
    }
}

fn codebase(section: &Section, value: &Value) -> Result<Codebase, String> {
    match value {
        Value::String(codebase) => Ok(Codebase::Always(codebase.clone())),
        other => {
            section.function(other).map(Codebase::Callback).ok_or_else(|| "expected text or a function".to_owned())
        }
    }
}

fn handlers(section: &Section, value: &Value) -> Result<BTreeMap<String, Callback>, String> {
    let given =
        value.as_object().filter(|object| is_dict(object)).ok_or("expected a dict of event name to function")?;
    let handler = |(event, handler): (&String, &Value)| {
        let function = section.function(handler).ok_or_else(|| format!("\"{event}\": expected a function"))?;
        Ok((event.strip_prefix("handle_").unwrap_or(event).to_owned(), function))
    };
    given.iter().map(handler).collect()
}

/// Texts or `re.compile(…)`, looked for anywhere in a message.
fn skips(value: &Value) -> Result<Vec<Regex>, String> {
    let expected = "expected a list of regular expressions; [] skips nothing";
    let one = |value: &Value| {
        let text = value.as_str().or_else(|| value.get("$regex")?.as_str()).ok_or(expected)?;
        Regex::new(&text.replace("\\Z", "\\z")).map_err(|cause| {
            let why = cause.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("\"{text}\" is not a regular expression: {why}; there is no look-around here, and [ is written \\[")
        })
    };
    value.as_array().ok_or(expected)?.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Problems;
    use serde_json::json;

    fn read(dialects: Value) -> Result<BTreeMap<String, Dialect>, String> {
        let section = Section::new("status.WebStatus", "master.cfg:1", json!({"change_hook_dialects": dialects}));
        let mut problems = Problems::default();
        let read = Dialect::read_all(&mut section.read(&mut problems));
        problems.0.retain(|problem| !problem.place.starts_with('!'));
        if problems.is_empty() { Ok(read) } else { Err(problems.to_string()) }
    }

    #[test]
    fn usual_messages_are_skipped() {
        let dialect = Dialect::default();
        assert!(dialect.skips("typo\n\n[skip ci]") && dialect.skips("[ci skip]") && dialect.skips("[ ci  skip ]"));
        assert!(!dialect.skips("skip ci") && !dialect.skips("[skip cinema]"));
        let read = read(json!({"gitlab": {"skips": []}, "gitea": {"skips": ["^WIP", {"$regex": "x\\Z"}]}})).unwrap();
        assert!(!read["gitlab"].skips("[skip ci]"));
        assert!(read["gitea"].skips("WIP: x") && read["gitea"].skips("x") && !read["gitea"].skips("[skip ci]"));
    }

    #[test]
    fn every_dialect_is_known_and_may_be_switched_off() {
        let all: Map<String, Value> = DIALECTS.iter().map(|(name, _)| ((*name).to_owned(), json!(true))).collect();
        assert_eq!(read(Value::Object(all)).unwrap().len(), DIALECTS.len());
        assert!(read(json!({"github": false})).unwrap().is_empty());
    }

    #[test]
    fn what_strangers_may_do_is_noted() {
        for (options, expected) in [
            (json!({"change_hook_dialects": {"base": true, "gitlab": {"secret": "x"}}}), "(base)"),
            (json!({"change_hook_dialects": {"github": {"secret": "x"}}}), "without strict"),
            (json!({"change_hook_dialects": {"github": {"secret": "x", "strict": true}, "poller": true}}), ""),
            (json!({"change_hook_dialects": {"gitea": true}, "change_hook_auth": ["file:x"]}), ""),
        ] {
            let section = Section::new("status.WebStatus", "master.cfg:1", options);
            let mut problems = Problems::default();
            Dialect::read_all(&mut section.read(&mut problems));
            let notes: Vec<String> = problems.0.into_iter().map(|note| note.message).collect();
            assert_eq!(
                (notes.join("\n").contains(expected), notes.is_empty()),
                (true, expected.is_empty()),
                "{notes:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_hint() {
        for (dialects, expected) in [
            (json!({"gitee": true}), "did you mean \"gitea\""),
            (json!({"gitlab": {"secrets": "x"}}), "did you mean \"secret\""),
            (json!({"gitorious": {"secret": "x"}}), "unknown key \"secret\""),
            (json!({"gitlab": {"secret": ""}}), "secret: must not be empty"),
            (json!({"github": {"skips": "x"}}), "expected a list of regular expressions"),
            (json!({"github": {"skips": ["[skip"]}}), "\"[skip\" is not a regular expression"),
            (json!({"github": {"pullrequest_ref": "base"}}), "expected \"head\" or \"merge\""),
            (json!({"bitbucketserver": {"strict": true}}), "strict needs a secret"),
            (json!({"gitea": {"class": {"release": 3}}}), "\"release\": expected a function"),
        ] {
            let problems = read(dialects.clone()).unwrap_err();
            assert!(problems.contains(expected), "{dialects}: {problems}");
        }
    }
}
