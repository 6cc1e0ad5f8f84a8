//! JSON text as Python 2 writes it: keys sorted, ASCII only; indented it leaves a blank after each comma.

use serde_json::Value;
use std::cmp::Ordering;

/// On one line, without blanks.
pub fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(value, None, &mut out);
    out
}

/// Indented by two.
pub fn indented(value: &Value) -> String {
    let mut out = String::new();
    write(value, Some(0), &mut out);
    out
}

fn write(value: &Value, depth: Option<usize>, out: &mut String) {
    match value {
        Value::String(text) => string(text, out),
        Value::Array(members) => {
            let write_one = |member: &&Value, depth, out: &mut String| write(member, depth, out);
            block(['[', ']'], members.iter(), depth, out, write_one);
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by(|a, b| order(a.0, b.0));
            block(['{', '}'], members.into_iter(), depth, out, |(key, member), depth, out| {
                string(key, out);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                write(member, depth, out);
            });
        }
        other => out.push_str(&other.to_string()),
    }
}

fn block<T>(
    [open, close]: [char; 2],
    members: impl ExactSizeIterator<Item = T>,
    depth: Option<usize>,
    out: &mut String,
    mut write_one: impl FnMut(&T, Option<usize>, &mut String),
) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let inner = depth.map(|depth| depth + 1);
    let empty = members.len() == 0;
    out.push(open);
    for (index, member) in members.enumerate() {
        if index > 0 {
            out.push_str(if depth.is_some() { ", " } else { "," });
        }
        if let Some(depth) = inner {
            line(depth, out);
        }
        write_one(&member, inner, out);
    }
    if let Some(depth) = depth.filter(|_| !empty) {
        line(depth, out);
    }
    out.push(close);
}

/// Keys that are numbers go by their value.
fn order(a: &str, b: &str) -> Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn compact_is_ascii_with_sorted_keys() {
        let value = json!({ "b": [1, 2.5, null], "a": "é😀\u{7f}\"\n", "10": {}, "9": [] });
        assert_eq!(compact(&value), r#"{"9":[],"10":{},"a":"\u00e9\ud83d\ude00\u007f\"\n","b":[1,2.5,null]}"#);
    }

    #[test]
    fn indented_leaves_a_blank_after_a_comma() {
        assert_eq!(
            indented(&json!({ "a": [1, []], "b": {} })),
            "{\n  \"a\": [\n    1, \n    []\n  ], \n  \"b\": {}\n}"
        );
    }

    #[test]
    fn times_keep_their_fraction() {
        assert_eq!(compact(&json!([1_795_325_545.645_044_f64, 1_795_325_545.0])), "[1795325545.645044,1795325545.0]");
    }
}
