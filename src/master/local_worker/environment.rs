//! The environment of a command: the worker's own, and what builder and step put on top.

use crate::master::worker::Variable;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Given in addition to what the worker's own environment has under this name.
const ADDED: &str = "PYTHONPATH";

/// Signalbox's own environment, without what is not UTF-8.
pub(super) fn own() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// All variables, sorted by name.
pub(super) fn compose(own: &BTreeMap<String, String>, on_top: &[(String, Variable)]) -> BTreeMap<String, String> {
    let mut all = own.clone();
    for (name, variable) in on_top {
        let text = match variable {
            Variable::Removed => {
                all.remove(name);
                continue;
            }
            Variable::Text(text) => expanded(own, text),
            Variable::List(parts) => parts.iter().map(|part| expanded(own, part)).collect::<Vec<_>>().join(":"),
        };
        let text = match own.get(name) {
            Some(before) if name == ADDED && !before.is_empty() => format!("{text}:{before}"),
            _ => text,
        };
        all.insert(name.clone(), text);
    }
    all
}

/// Replaces every `${NAME}`; a variable that is not there is empty.
fn expanded(own: &BTreeMap<String, String>, text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let name = &rest[start + 2..];
        let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        expanded.push_str(&rest[..start]);
        if length > 0 && name[length..].starts_with('}') {
            expanded.push_str(own.get(&name[..length]).map_or("", String::as_str));
            rest = &name[length + 1..];
        } else {
            expanded.push_str("${");
            rest = name;
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(name: &str, variable: Variable) -> Option<String> {
        let own = [("PATH", "/bin"), ("PYTHONPATH", "/py"), ("A", "1")];
        let own = own.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        compose(&own, &[(name.to_owned(), variable)]).get(name).cloned()
    }

    #[test]
    fn names_in_braces_are_replaced() {
        let list = Variable::List(vec!["/opt/bin".into(), "${PATH}".into()]);
        assert_eq!(composed("PATH", list).as_deref(), Some("/opt/bin:/bin"));
        let text = Variable::Text("<${A}|${NOSUCH}|${}|$A|${A".into());
        assert_eq!(composed("X", text).as_deref(), Some("<1||${}|$A|${A"));
    }

    #[test]
    fn none_removes_and_pythonpath_is_added_to() {
        assert_eq!(composed("A", Variable::Removed), None);
        assert_eq!(composed("PYTHONPATH", Variable::Text("/mine".into())).as_deref(), Some("/mine:/py"));
    }
}
