//! One constructor call of the configuration, and how a room reads its options.

use super::source::is_secret_name;
use super::{Callback, Problem, Problems, Renderable, Secret};
use crate::model::Properties;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One constructor call of the configuration that another room reads: which, where, with what.
///
/// Two are equal when they are the same call with the same options, wherever they stand: what did not change is left
/// running by a reconfig. `Debug` names the options and shows no value, because some are secrets.
#[derive(Clone)]
pub struct Section {
    /// `status.MailNotifier`.
    pub kind: String,
    /// `master.cfg:14`.
    pub place: String,
    /// The options by name, positional ones named. Calls are `{"$call", "$place", "$options"}`, functions
    /// `{"$function": n}`, regular expressions `{"$regex": text}`, calls of what does not exist `{"$unknown"}`;
    /// [`Section::read`] knows them all.
    pub options: Value,
    /// The functions `options` refers to.
    pub functions: Arc<Vec<Callback>>,
}

impl PartialEq for Section {
    fn eq(&self, other: &Section) -> bool {
        self.kind == other.kind && same(&self.options, &self.functions, &other.options, &other.functions)
    }
}

/// Whether two option values mean the same: places do not count, functions do.
fn same(a: &Value, a_functions: &[Callback], b: &Value, b_functions: &[Callback]) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, a_functions, b, b_functions))
        }
        (Value::Object(a), Value::Object(b)) => {
            if let (Some(a), Some(b)) = (function_of(a, a_functions), function_of(b, b_functions)) {
                return a == b;
            }
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| key == "$place" || b.get(key).is_some_and(|b| same(a, a_functions, b, b_functions)))
        }
        _ => a == b,
    }
}

fn function_of<'s>(object: &Map<String, Value>, functions: &'s [Callback]) -> Option<&'s Callback> {
    functions.get(usize::try_from(object.get("$function")?.as_u64()?).ok()?)
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.options.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        write!(f, "{}({}) at {}", self.kind, names.join(", "), self.place)
    }
}

impl Section {
    /// A section without functions, as tests write them.
    pub fn new(kind: &str, place: &str, options: Value) -> Section {
        Section { kind: kind.to_owned(), place: place.to_owned(), options, functions: Arc::default() }
    }

    /// `MailNotifier` of `status.MailNotifier`.
    pub fn short_kind(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or(&self.kind)
    }

    /// Starts reading the options. [`Options::finish`] reports those nobody asked for.
    pub fn read<'s, 'p>(&'s self, problems: &'p mut Problems) -> Options<'s, 'p> {
        Options { section: self, problems, known: BTreeSet::new(), failed: false }
    }

    /// The section a value of this one's options holds, if it is a call.
    pub fn nested(&self, value: &Value) -> Option<Section> {
        let object = value.as_object()?;
        Some(Section {
            kind: object.get("$call")?.as_str()?.to_owned(),
            place: object.get("$place")?.as_str()?.to_owned(),
            options: object.get("$options")?.clone(),
            functions: self.functions.clone(),
        })
    }

    /// The function a value of the options stands for.
    pub fn function(&self, value: &Value) -> Option<Callback> {
        function_of(value.as_object()?, &self.functions).cloned()
    }

    /// The value as something to render, with a sentence where it cannot be.
    pub fn renderable(&self, value: &Value) -> Result<Renderable, String> {
        Renderable::read(self, value)
    }
}

/// Reads the options of one section, each by its name, and collects what is wrong with them.
///
/// A method returns what was given, or its default where nothing usable was: after a problem the value is only there so
/// that reading can go on. An option given as `None` counts as not given.
pub struct Options<'s, 'p> {
    section: &'s Section,
    problems: &'p mut Problems,
    known: BTreeSet<&'static str>,
    failed: bool,
}

impl<'s> Options<'s, '_> {
    pub fn section(&self) -> &'s Section {
        self.section
    }

    /// Adds a problem with an option; the loader finds the line it stands on.
    ///
    /// Where the option holds something that does not exist that has been said, and this may only follow from it.
    pub fn problem(&mut self, option: &str, message: impl fmt::Display) {
        self.failed = true;
        if self.section.options.get(option).is_some_and(holds_unknown) {
            return;
        }
        self.problem_in_it(option, message);
    }

    /// The same for what cannot follow from anything else the option holds.
    pub(super) fn problem_in_it(&mut self, option: &str, message: impl fmt::Display) {
        self.failed = true;
        let message = match (option, self.is_root()) {
            ("", _) => format!("{}: {message}", self.section.kind),
            (_, true) => format!("c['{option}']: {message}"),
            (_, false) => format!("{}: {option}: {message}", self.section.kind),
        };
        self.add(option, message);
    }

    /// Whether these are the keys of `c` itself rather than the options of a call.
    fn is_root(&self) -> bool {
        self.section.kind == "c"
    }

    fn add(&mut self, option: &str, message: String) {
        let option = if self.is_root() { format!("c:{option}") } else { option.to_owned() };
        self.problems.add_option(&self.section.place, &option, message);
    }

    /// The value as it is; `None` where it is absent or Python's `None`.
    pub fn value(&mut self, name: &'static str) -> Option<&'s Value> {
        self.known.insert(name);
        self.section.options.get(name).filter(|value| !value.is_null())
    }

    /// Whether the option was written at all, be it as `None`.
    pub fn given(&mut self, name: &'static str) -> bool {
        self.known.insert(name);
        self.section.options.get(name).is_some()
    }

    fn required<T>(&mut self, name: &'static str, read: Option<T>) -> Option<T> {
        if read.is_none() && self.section.options.get(name).is_none_or(Value::is_null) {
            self.problem(name, "is required");
        }
        read
    }

    fn expected(&mut self, name: &str, expected: &str, value: &Value) {
        let shown = if is_secret_name(name) { "something else".to_owned() } else { shown(value) };
        self.problem(name, format!("expected {expected}, not {shown}"));
    }

    fn typed<T>(&mut self, name: &'static str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.value(name)?;
        let typed = read(value);
        if typed.is_none() {
            self.expected(name, expected, value);
        }
        typed
    }

    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.typed(name, "text", |value| value.as_str().map(str::to_owned))
    }

    /// Text that must be there and not be empty.
    pub fn required_text(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name);
        if text.as_deref() == Some("") {
            self.problem(name, "must not be empty");
        }
        self.required(name, text)
    }

    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let read = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().filter(|n| (0..=1).contains(n)).map(|n| n == 1),
            _ => None,
        };
        self.typed(name, "True or False", read).unwrap_or(default)
    }

    pub fn integer(&mut self, name: &'static str) -> Option<i64> {
        self.typed(name, "a whole number", Value::as_i64)
    }

    /// A whole number within bounds.
    pub fn integer_in(&mut self, name: &'static str, low: i64, high: i64) -> Option<i64> {
        let number = self.integer(name)?;
        if (low..=high).contains(&number) {
            return Some(number);
        }
        let bounds = if high == i64::MAX { format!("at least {low}") } else { format!("{low} to {high}") };
        self.problem(name, format!("{number} is out of range: expected {bounds}"));
        None
    }

    /// Seconds, with a fraction if wanted.
    pub fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        let read = |value: &Value| value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.typed(name, "a number of seconds", read)
    }

    /// Seconds that cannot be zero.
    pub fn positive_seconds(&mut self, name: &'static str) -> Option<Duration> {
        let seconds = self.seconds(name)?;
        if seconds.is_zero() {
            self.problem(name, "must be more than 0 seconds");
            return None;
        }
        Some(seconds)
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.typed(name, "a list of texts", texts)
    }

    /// A list of texts, or one text standing for a list of one.
    pub fn text_or_texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let read = |value: &Value| value.as_str().map(|text| vec![text.to_owned()]).or_else(|| texts(value));
        self.typed(name, "text or a list of texts", read)
    }

    /// One of a closed list of words.
    pub fn word(&mut self, name: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(name)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let suggestion = super::problems::did_you_mean(&text, words.iter().copied());
            self.problem(name, format!("\"{text}\" is not one of {}", words.join(", ")));
            self.problems.suggest(suggestion);
        }
        found
    }

    pub fn list(&mut self, name: &'static str) -> Option<&'s [Value]> {
        let value = self.value(name)?;
        let list = value.as_array().map(Vec::as_slice);
        if list.is_none() {
            self.expected(name, "a list", value);
        }
        list
    }

    /// A dict that is not a call, a function or a regular expression.
    pub fn dict(&mut self, name: &'static str) -> Option<&'s Map<String, Value>> {
        let value = self.value(name)?;
        let dict = plain_dict(value);
        if dict.is_none() {
            self.expected(name, "a dict", value);
        }
        dict
    }

    /// A dict of text to text.
    pub fn text_dict(&mut self, name: &'static str) -> Option<Vec<(String, String)>> {
        let pairs = self.dict(name)?;
        let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let read: Option<Vec<(String, String)>> = pairs.iter().map(pair).collect();
        if read.is_none() {
            self.problem(name, "expected a dict of texts");
        }
        read
    }

    pub fn function(&mut self, name: &'static str) -> Option<Callback> {
        let section = self.section;
        self.typed(name, "a function", |value| section.function(value))
    }

    /// True, False or a function.
    pub fn flag_or_function(&mut self, name: &'static str) -> Option<Result<bool, Callback>> {
        let section = self.section;
        self.typed(name, "True, False or a function", |value| match value {
            Value::Bool(flag) => Some(Ok(*flag)),
            _ => section.function(value).map(Err),
        })
    }

    pub fn renderable(&mut self, name: &'static str) -> Option<Renderable> {
        let value = self.value(name)?;
        match self.section.renderable(value) {
            Ok(renderable) => Some(renderable),
            Err(message) => {
                self.problem(name, message);
                None
            }
        }
    }

    /// Text, or something that renders to text.
    pub fn renderable_text(&mut self, name: &'static str) -> Option<Renderable> {
        let value = self.value(name)?;
        match self.renderable(name)? {
            Renderable::Plain(Value::String(_)) | Renderable::Interpolate { .. } => self.section.renderable(value).ok(),
            Renderable::Plain(_) | Renderable::List(_) | Renderable::Dict(_) => {
                self.expected(name, "text or util.Interpolate", value);
                None
            }
            other => Some(other),
        }
    }

    pub fn required_renderable_text(&mut self, name: &'static str) -> Option<Renderable> {
        let read = self.renderable_text(name);
        self.required(name, read)
    }

    /// A dict whose values may be rendered.
    pub fn renderable_dict(&mut self, name: &'static str) -> Option<Vec<(String, Renderable)>> {
        let pairs = self.dict(name)?;
        let mut read = Vec::new();
        for (key, value) in pairs {
            match self.section.renderable(value) {
                Ok(renderable) => read.push((key.clone(), renderable)),
                Err(message) => self.problem(name, format!("\"{key}\": {message}")),
            }
        }
        Some(read)
    }

    /// A dict whose keys may be rendered, too.
    pub fn renderable_pairs(&mut self, name: &'static str) -> Option<Vec<(Renderable, Renderable)>> {
        let Some(pairs) = self.value(name).and_then(|value| value.get(PAIRS)).and_then(Value::as_array) else {
            let plain = self.renderable_dict(name)?;
            return Some(plain.into_iter().map(|(key, value)| (Renderable::Plain(key.into()), value)).collect());
        };
        let mut read = Vec::new();
        for pair in pairs {
            match (self.section.renderable(&pair[0]), self.section.renderable(&pair[1])) {
                (Ok(key), Ok(value)) => read.push((key, value)),
                (Err(message), _) | (_, Err(message)) => self.problem(name, message),
            }
        }
        Some(read)
    }

    /// Text that never prints.
    pub fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let value = self.value(name)?;
        match value.as_str() {
            Some(text) => Some(Secret::new(text)),
            None => {
                self.problem(name, "expected text");
                None
            }
        }
    }

    pub fn required_secret(&mut self, name: &'static str) -> Option<Secret> {
        let read = self.secret(name);
        if read.as_ref().is_some_and(|secret| secret.reveal().is_empty()) {
            self.problem(name, "must not be empty");
        }
        self.required(name, read)
    }

    /// A call of one of these kinds.
    pub fn call(&mut self, name: &'static str, kinds: &[&str]) -> Option<Section> {
        let value = self.value(name)?;
        let call = self.section.nested(value).filter(|call| kinds.contains(&call.kind.as_str()));
        if call.is_none() {
            self.expected(name, &kinds.join(" or "), value);
        }
        call
    }

    /// JSON for properties, under `source`. Renderables are not known yet here and are a problem.
    pub fn properties(&mut self, name: &'static str, source: &str) -> Properties {
        let mut properties = Properties::new();
        for (key, value) in self.renderable_dict(name).unwrap_or_default() {
            match value.into_plain() {
                Some(value) => properties.set(key, value, source),
                None => self.problem(name, format!("\"{key}\" must be plain data: it is read before there is a build")),
            }
        }
        properties
    }

    /// A regular expression: `re.compile(…)` or its text. Whether it compiles is part of reading it.
    pub fn regex(&mut self, name: &'static str) -> Option<regex::Regex> {
        let value = self.value(name)?;
        match read_regex(value) {
            Some(Ok(regex)) => Some(regex),
            Some(Err(message)) => {
                self.problem(name, message);
                None
            }
            None => {
                self.expected(name, "a regular expression", value);
                None
            }
        }
    }

    /// A port: a number, or a description such as `tcp:8010:interface=127.0.0.1`, returned as text.
    pub fn port(&mut self, name: &'static str) -> Option<String> {
        let value = self.value(name)?;
        let port = read_port(value);
        if port.is_none() {
            self.expected(name, "a port number or a description like \"tcp:8010:interface=127.0.0.1\"", value);
        }
        port
    }

    pub fn required_port(&mut self, name: &'static str) -> Option<String> {
        let read = self.port(name);
        self.required(name, read)
    }

    /// Names an option that is accepted and means nothing here.
    pub fn ignored(&mut self, name: &'static str) {
        self.known.insert(name);
    }

    /// Accepted for compatibility; where it is given, the operator is told in a note why it has no effect.
    pub fn without_effect(&mut self, name: &'static str, why: &str) {
        if self.value(name).is_some() {
            let (option, message) = match self.is_root() {
                true => (format!("c:{name}"), format!("c['{name}']: {why}")),
                false => (name.to_owned(), format!("{}: {name}: {why}", self.section.kind)),
            };
            self.problems.note(&self.section.place, &option, message);
        }
    }

    /// Tells the operator something about an option that is no problem.
    pub fn note(&mut self, option: &str, message: impl fmt::Display) {
        let message = format!("{}: {message}", self.section.kind);
        self.problems.note(&self.section.place, option, message);
    }

    /// Reports the options nobody asked for, each with what may have been meant. True when nothing was wrong.
    pub fn finish(mut self) -> bool {
        let options = self.section.options.as_object();
        let names = options.into_iter().flatten().map(|(name, _)| name);
        let unknown: Vec<&String> = names.filter(|name| !self.known.contains(name.as_str())).collect();
        for name in unknown {
            if name == "$rest" {
                self.problem("", "too many positional arguments");
                continue;
            }
            self.failed = true;
            let message = match self.is_root() {
                true => format!("c has no key \"{name}\""),
                false => format!("{}: unknown option \"{name}\"", self.section.kind),
            };
            self.add(name, message);
            self.problems.suggest(super::problems::did_you_mean(name, self.known.iter().copied()));
        }
        !self.failed
    }
}

/// Under this a dict with calls among its keys has its pairs, as a list of lists.
pub(super) const PAIRS: &str = "$pairs";

/// A port number or description as one text, `tcp:8010`; `None` if it is neither.
pub fn read_port(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) => value.as_u64().filter(|port| *port <= 65535).map(|port| format!("tcp:{port}")),
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
            text.parse::<u16>().ok().map(|port| format!("tcp:{port}"))
        }
        Value::String(text) => {
            let (scheme, rest) = text.split_once(':')?;
            let port = rest.split(':').next().unwrap_or("");
            match scheme {
                "tcp" | "tcp4" | "tcp6" | "ssl" => {
                    port.trim_start_matches("port=").parse::<u16>().ok().map(|_| text.clone())
                }
                "unix" => (!rest.is_empty()).then(|| text.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `None` if it is no regular expression at all; an error sentence if it does not compile.
pub(super) fn read_regex(value: &Value) -> Option<Result<regex::Regex, String>> {
    let text = match value {
        Value::String(text) => text,
        Value::Object(object) => object.get("$regex")?.as_str()?,
        _ => return None,
    };
    Some(compile(text))
}

/// Compiles Python's spelling of a regular expression.
pub(super) fn compile(text: &str) -> Result<regex::Regex, String> {
    let python = text.replace("\\Z", "\\z");
    regex::Regex::new(&python).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
        format!("\"{text}\" is not a regular expression: {why}")
    })
}

pub(super) fn plain_dict(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object().filter(|dict| {
        !["$call", "$function", "$regex", "$object", "$unknown", PAIRS].iter().any(|key| dict.contains_key(*key))
    })
}

/// Whether a value is something that does not exist, or a list or dict with such in it.
pub(super) fn holds_unknown(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_unknown),
        Value::Object(object) if object.contains_key("$unknown") => true,
        Value::Object(object) if !object.contains_key("$call") => object.values().any(holds_unknown),
        _ => false,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A value as an error sentence shows it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > 40 => {
            format!("\"{}…\"", text.chars().take(40).collect::<String>())
        }
        Value::String(text) => format!("\"{text}\""),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(object) => match object.get("$call").and_then(Value::as_str) {
            Some(kind) => kind.to_owned(),
            None if object.contains_key("$function") => "a function".to_owned(),
            None if object.contains_key("$regex") => "a regular expression".to_owned(),
            None => "a dict".to_owned(),
        },
    }
}

/// Adds a problem to `problems` for every unknown key of a dict inside an option.
pub fn unknown_keys(problems: &mut Options<'_, '_>, option: &str, dict: &Map<String, Value>, known: &[&str]) {
    for key in dict.keys().filter(|key| !known.contains(&key.as_str())) {
        let suggestion = super::problems::did_you_mean(key, known.iter().copied());
        problems.problem_in_it(option, format!("unknown key \"{key}\""));
        problems.problems.suggest(suggestion);
    }
}

impl Options<'_, '_> {
    /// The list of problems, for checks that go beyond one option.
    pub fn problems(&mut self) -> &mut Problems {
        self.problems
    }
}

impl Problem {
    /// A problem with nothing but its place and message.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { place: place.into(), message: message.into(), snippet: None, suggestion: None }
    }
}
