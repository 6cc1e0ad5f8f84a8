//! The small part of Python's own modules that configurations use: re, os, cgi, datetime, jinja2, json, time.

use super::format::{percent, python_str};
use super::names::Entry;
use super::{Arg, Method, Object};
use serde_json::{Value, json};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub(super) const NAMES: [&str; 8] = ["cgi", "datetime", "jinja2", "json", "os", "re", "string", "time"];

/// The module of this name.
pub(super) fn module(name: &str) -> Option<Object> {
    Some(match name {
        "cgi" => object("module", 0, vec![], vec![method("escape", |given| Ok(escape(text(given, 0)?).into()))]),
        "datetime" => datetime(),
        "jinja2" => jinja2(),
        "json" => json_module(),
        "os" => os(),
        "re" => re(),
        "string" => object("module", 0, vec![], vec![]),
        "time" => object(
            "module",
            0,
            vec![],
            vec![method("time", |_| Ok(now().into())), method("clock", |_| Ok(now().into()))],
        ),
        _ => return None,
    })
}

pub(super) fn object(
    kind: &'static str,
    id: i64,
    attributes: Vec<(&'static str, Arg)>,
    methods: Vec<(&'static str, Method)>,
) -> Object {
    Object { kind, id, attributes, methods }
}

/// A method that gives plain data.
pub(super) fn method(
    name: &'static str,
    run: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
) -> (&'static str, Method) {
    (name, Arc::new(move |given: &[Value]| run(given).map(Arg::Json)))
}

/// A method that gives an object.
fn maker(
    name: &'static str,
    run: impl Fn(&[Value]) -> Result<Option<Object>, String> + Send + Sync + 'static,
) -> (&'static str, Method) {
    (name, Arc::new(move |given: &[Value]| Ok(run(given)?.map_or(Arg::Json(Value::Null), Arg::Object))))
}

/// The module or object under an attribute.
pub(super) fn attribute(object: &Object, name: &str) -> Option<Object> {
    object.attributes.iter().find(|(attribute, _)| *attribute == name).and_then(|(_, arg)| match arg {
        Arg::Object(object) => Some(object.clone()),
        Arg::Json(_) | Arg::List(_) => None,
    })
}

/// What `from module import name` binds.
pub(super) fn member(object: &Arc<Object>, name: &str) -> Option<Entry> {
    if let Some((_, arg)) = object.attributes.iter().find(|(attribute, _)| *attribute == name) {
        return match arg {
            Arg::Json(value) => Some(Entry::Constant(value.clone())),
            Arg::Object(object) => Some(Entry::Object(Arc::new(object.clone()))),
            Arg::List(_) => None,
        };
    }
    let (name, _) = object.methods.iter().find(|(method, _)| *method == name)?;
    Some(Entry::Method(object.clone(), name))
}

/// The names a module has.
pub(super) fn members(object: &Object) -> impl Iterator<Item = &'static str> {
    object.attributes.iter().map(|(name, _)| *name).chain(object.methods.iter().map(|(name, _)| *name))
}

fn text(given: &[Value], index: usize) -> Result<&str, String> {
    match given.get(index) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("expected text, not {}", super::section::shown(other))),
        None => Err("an argument is missing".to_owned()),
    }
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// `&`, `<` and `>` as HTML has them.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn datetime() -> Object {
    let class = object(
        "datetime",
        0,
        vec![],
        vec![
            maker("fromtimestamp", |given| {
                moment(given.first().and_then(Value::as_f64).ok_or("expected seconds")?).map(Some)
            }),
            maker("now", |_| moment(now()).map(Some)),
        ],
    );
    object("module", 0, vec![("datetime", Arg::Object(class))], vec![])
}

/// A moment with `ctime()`, `strftime(format)` and `isoformat()`, in the server's own zone.
fn moment(seconds: f64) -> Result<Object, String> {
    let time = chrono::DateTime::from_timestamp_micros((seconds * 1e6) as i64).ok_or("a time out of range")?;
    let local = time.with_timezone(&chrono::Local);
    let strftime = move |given: &[Value]| {
        let mut out = String::new();
        let written = std::fmt::Write::write_fmt(&mut out, format_args!("{}", local.format(text(given, 0)?)));
        written.map_err(|_| "strftime: an unknown format".to_owned())?;
        Ok(out.into())
    };
    let methods = vec![
        method("ctime", move |_| Ok(local.format("%a %b %e %H:%M:%S %Y").to_string().into())),
        method("strftime", strftime),
        method("isoformat", move |_| Ok(local.format("%Y-%m-%dT%H:%M:%S").to_string().into())),
    ];
    Ok(object("datetime", time.timestamp_micros(), vec![], methods))
}

fn jinja2() -> Object {
    let loader = |given: &[Value]| {
        let path = given.first().cloned().ok_or("FileSystemLoader: which folder?")?;
        Ok(Some(object("FileSystemLoader", 0, vec![("path", Arg::Json(path))], vec![])))
    };
    object("module", 0, vec![], vec![maker("FileSystemLoader", loader)])
}

fn json_module() -> Object {
    let loads = |given: &[Value]| serde_json::from_str(text(given, 0)?).map_err(|error| format!("json.loads: {error}"));
    let dumps = |given: &[Value]| Ok(given.first().map(Value::to_string).unwrap_or_default().into());
    object("module", 0, vec![], vec![method("loads", loads), method("dumps", dumps)])
}

fn os() -> Object {
    let join = |given: &[Value]| {
        let mut path = PathBuf::new();
        for index in 0..given.len() {
            path.push(text(given, index)?);
        }
        Ok(path.to_string_lossy().into())
    };
    let path = object(
        "module",
        0,
        vec![],
        vec![
            method("join", join),
            method("expanduser", |given| Ok(expand_user(text(given, 0)?).into())),
            method("abspath", |given| Ok(absolute(text(given, 0)?).into())),
            method("realpath", |given| Ok(absolute(text(given, 0)?).into())),
            method("normpath", |given| Ok(normal(Path::new(text(given, 0)?)).into())),
            method("dirname", |given| Ok(split_path(text(given, 0)?).0.into())),
            method("basename", |given| Ok(split_path(text(given, 0)?).1.into())),
            method("exists", |given| Ok(Path::new(text(given, 0)?).exists().into())),
        ],
    );
    let variable = |given: &[Value]| {
        let name = text(given, 0)?;
        Ok::<_, String>(std::env::var(name).ok().map(Value::from))
    };
    let environ = object(
        "environ",
        0,
        vec![],
        vec![
            method("get", move |given| Ok(variable(given)?.or_else(|| given.get(1).cloned()).unwrap_or(Value::Null))),
            method("__getitem__", move |given| {
                variable(given)?.ok_or_else(|| format!("the environment has no \"{}\"", text(given, 0).unwrap_or("")))
            }),
            method("__contains__", move |given| Ok(variable(given)?.is_some().into())),
        ],
    );
    object(
        "module",
        0,
        vec![("path", Arg::Object(path)), ("environ", Arg::Object(environ)), ("sep", Arg::Json("/".into()))],
        vec![
            method("getenv", move |given| {
                Ok(variable(given)?.or_else(|| given.get(1).cloned()).unwrap_or(Value::Null))
            }),
            method("getcwd", |_| Ok(std::env::current_dir().map_or(Value::Null, |path| path.to_string_lossy().into()))),
        ],
    )
}

fn expand_user(path: &str) -> String {
    match (path.strip_prefix('~'), std::env::var("HOME")) {
        (Some(rest), Ok(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => path.to_owned(),
    }
}

fn absolute(path: &str) -> String {
    let base = std::env::current_dir().unwrap_or_default();
    normal(&base.join(path))
}

fn normal(path: &Path) -> String {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if parts.file_name().is_some() => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    let text = parts.to_string_lossy().into_owned();
    if text.is_empty() { ".".to_owned() } else { text }
}

fn split_path(path: &str) -> (&str, &str) {
    match path.rfind('/') {
        Some(0) => ("/", &path[1..]),
        Some(at) => (path[..at].trim_end_matches('/'), &path[at + 1..]),
        None => ("", path),
    }
}

const FLAGS: [(&str, i64, char); 5] = [("I", 2, 'i'), ("M", 8, 'm'), ("S", 16, 's'), ("X", 64, 'x'), ("U", 32, 'u')];

fn re() -> Object {
    let mut attributes: Vec<(&'static str, Arg)> =
        FLAGS.iter().map(|(name, bit, _)| (*name, Arg::Json((*bit).into()))).collect();
    attributes.push(("IGNORECASE", Arg::Json(2.into())));
    attributes.push(("MULTILINE", Arg::Json(8.into())));
    attributes.push(("DOTALL", Arg::Json(16.into())));
    attributes.push(("VERBOSE", Arg::Json(64.into())));
    let with_pattern = |name: &'static str| -> (&'static str, Method) {
        (
            name,
            Arc::new(move |given: &[Value]| {
                let pattern = compiled(given.first(), None)?;
                let method = pattern.methods.iter().find(|(method, _)| *method == name).ok_or("no such method")?;
                method.1(&given[1..])
            }),
        )
    };
    object(
        "module",
        0,
        attributes,
        vec![
            maker("compile", |given| compiled(given.first(), given.get(1)).map(Some)),
            method("escape", |given| Ok(regex::escape(text(given, 0)?).into())),
            with_pattern("match"),
            with_pattern("search"),
            with_pattern("sub"),
            with_pattern("split"),
            with_pattern("findall"),
        ],
    )
}

/// `re.compile(pattern, flags)`: a pattern with its flags folded in as `(?i)`.
fn compiled(pattern: Option<&Value>, flags: Option<&Value>) -> Result<Object, String> {
    let pattern = match pattern {
        Some(Value::String(pattern)) => pattern.clone(),
        Some(Value::Object(object)) => object.get("$regex").and_then(Value::as_str).unwrap_or("").to_owned(),
        _ => return Err("re.compile: expected text".to_owned()),
    };
    let bits = flags.and_then(Value::as_i64).unwrap_or(0);
    let letters: String = FLAGS.iter().filter(|(_, bit, _)| bits & bit != 0).map(|(_, _, letter)| *letter).collect();
    let full = if letters.is_empty() { pattern } else { format!("(?{letters}){pattern}") };
    let regex = super::section::compile(&full)?;
    let start = super::section::compile(&format!("\\A(?:{full})"))?;
    let id = full.bytes().fold(7_i64, |hash, byte| hash.wrapping_mul(31).wrapping_add(i64::from(byte)));
    let (search, sub, split, all) = (regex.clone(), regex.clone(), regex.clone(), regex);
    let methods = vec![
        maker("match", move |given| Ok(found(&start, text(given, 0)?))),
        maker("search", move |given| Ok(found(&search, text(given, 0)?))),
        method("sub", move |given| {
            let template = text(given, 0)?;
            let fill = |groups: &regex::Captures| {
                expand(template, |group| groups.get(group).map(|found| found.as_str().to_owned()))
            };
            Ok(sub.replace_all(text(given, 1)?, fill).into_owned().into())
        }),
        method("split", move |given| Ok(split.split(text(given, 0)?).collect::<Vec<_>>().into())),
        method("findall", move |given| {
            Ok(all.find_iter(text(given, 0)?).map(|found| found.as_str()).collect::<Vec<_>>().into())
        }),
    ];
    Ok(object("Pattern", id, vec![("pattern", Arg::Json(full.into()))], methods))
}

fn found(regex: &regex::Regex, text: &str) -> Option<Object> {
    let groups = regex.captures(text)?;
    let all: Vec<Value> = groups.iter().map(|group| group.map_or(Value::Null, |found| found.as_str().into())).collect();
    let named: serde_json::Map<String, Value> = regex
        .capture_names()
        .flatten()
        .map(|name| (name.to_owned(), groups.name(name).map_or(Value::Null, |found| found.as_str().into())))
        .collect();
    let (one, names, rest) = (all.clone(), named.clone(), all);
    let group = move |given: &[Value]| match given.first() {
        None => Ok(one.first().cloned().unwrap_or(Value::Null)),
        Some(Value::String(name)) => names.get(name).cloned().ok_or_else(|| format!("no group \"{name}\"")),
        Some(number) => {
            let index = number.as_u64().and_then(|number| usize::try_from(number).ok());
            index.and_then(|index| one.get(index).cloned()).ok_or_else(|| format!("no group {number}"))
        }
    };
    let methods = vec![
        method("group", group),
        method("groups", move |_| Ok(Value::Array(rest.iter().skip(1).cloned().collect()))),
        method("groupdict", move |_| Ok(Value::Object(named.clone()))),
    ];
    Some(object("Match", 0, vec![], methods))
}

/// Python's replacement text: `\1` and `\g<1>` become groups.
pub(super) fn expand(template: &str, group: impl Fn(usize) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let bracketed = after.strip_prefix("g<").and_then(|inner| inner.split_once('>'));
        let (digits, left) = match bracketed {
            Some((digits, left)) => (digits, left),
            None => after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len())),
        };
        match digits.parse::<usize>() {
            Ok(number) => {
                out.push_str(&group(number).unwrap_or_default());
                rest = left;
            }
            Err(_) => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// `util.fmt` and the ready-made functions of `util`.
pub(super) fn util() -> Object {
    // Called with builder, worker and request: a request that was given a worker by name takes no other.
    let enforce = |given: &[Value]| {
        let chosen = given
            .get(2)
            .and_then(|request| request.pointer("/properties/properties/slavename"))
            .and_then(Value::as_str);
        let offered = given.get(1).and_then(|worker| worker.get("slavename")).and_then(Value::as_str);
        Ok(Value::Bool(chosen.is_none_or(|chosen| chosen == "-any-" || Some(chosen) == offered)))
    };
    object(
        "util",
        0,
        vec![],
        vec![
            method("fmt", |given| {
                let values = given.get(1).cloned().unwrap_or_else(|| json!({}));
                percent(text(given, 0)?, &values).map(Value::from)
            }),
            method("enforceChosenSlave", enforce),
            method("enforceChosenWorker", enforce),
        ],
    )
}

/// `util.svn`: the ready-made `split_file` functions.
pub(super) fn svn() -> Object {
    fn branches(path: &str) -> Value {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["trunk", rest @ ..] if !rest.is_empty() => json!([null, rest.join("/")]),
            ["branches", branch, rest @ ..] if !rest.is_empty() => {
                json!([format!("branches/{branch}"), rest.join("/")])
            }
            _ => Value::Null,
        }
    }
    object(
        "util.svn",
        0,
        vec![],
        vec![
            method("split_file_alwaystrunk", |given| Ok(json!({ "path": text(given, 0)? }))),
            method("split_file_branches", |given| Ok(branches(text(given, 0)?))),
            method("split_file_projects_branches", |given| {
                let path = text(given, 0)?;
                let Some((project, rest)) = path.split_once('/') else { return Ok(Value::Null) };
                let Value::Array(found) = branches(rest) else { return Ok(Value::Null) };
                Ok(json!({ "project": project, "branch": found[0], "path": found[1] }))
            }),
        ],
    )
}

/// `unicode(x, encoding)` and `str(x)` of Python 2.
pub(super) fn builtins() -> Object {
    object(
        "builtins",
        0,
        vec![],
        vec![method("unicode", |given| Ok(given.first().map(python_str).unwrap_or_default().into()))],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(object: &Object, name: &str, given: &[Value]) -> Arg {
        object.methods.iter().find(|(method, _)| *method == name).unwrap().1(given).unwrap()
    }

    fn plain(arg: Arg) -> Value {
        match arg {
            Arg::Json(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn patterns_match_from_the_start_and_search_anywhere() {
        let pattern = compiled(Some(&"b(\\d)".into()), Some(&2.into())).unwrap();
        assert_eq!(plain(run(&pattern, "match", &["ab1".into()])), Value::Null);
        let Arg::Object(found) = run(&pattern, "search", &["aB1".into()]) else { panic!() };
        assert_eq!(plain(run(&found, "group", &[1.into()])), "1");
        assert_eq!(plain(run(&pattern, "sub", &["<\\1>".into(), "b2".into()])), "<2>");
    }

    #[test]
    fn paths_join_and_split() {
        let path = attribute(&os(), "path").unwrap();
        assert_eq!(plain(run(&path, "join", &["a".into(), "b".into()])), "a/b");
        assert_eq!(plain(run(&path, "dirname", &["/a/b".into()])), "/a");
        assert_eq!(plain(run(&path, "basename", &["/a/b".into()])), "b");
        assert_eq!(plain(run(&path, "normpath", &["a/./b/../c".into()])), "a/c");
    }
}
