//! Python's `%` formatting: `'%(name)s of %5.2f' % …`.

use serde_json::Value;

/// Fills `format` from a dict (for `%(name)s`) or from a list in order. Errors are sentences.
pub(super) fn percent(format: &str, given: &Value) -> Result<String, String> {
    let mut out = String::with_capacity(format.len() + 16);
    let mut next = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut name = None;
        if chars.next_if_eq(&'(').is_some() {
            let (mut depth, mut text) = (1, String::new());
            for c in chars.by_ref() {
                depth += i32::from(c == '(') - i32::from(c == ')');
                if depth == 0 {
                    break;
                }
                text.push(c);
            }
            if depth > 0 {
                return Err(format!("\"%(\" without \")\" in {format:?}"));
            }
            name = Some(text);
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| "-+ #0".contains(*c)) {
            flags.push(flag);
        }
        let width = number(&mut chars);
        let precision = chars.next_if_eq(&'.').map(|_| number(&mut chars).unwrap_or(0));
        let Some(conversion) = chars.next() else {
            return Err(format!("a format ends in \"%\": {format:?}"));
        };
        if conversion == '%' {
            out.push('%');
            continue;
        }
        let value = match (&name, given) {
            (Some(name), Value::Object(dict)) => {
                dict.get(name).ok_or_else(|| format!("there is no \"{name}\" to put into {format:?}"))?
            }
            (Some(name), _) => return Err(format!("%({name}){conversion} needs a dict behind the %")),
            (None, Value::Array(items)) => {
                next += 1;
                items.get(next - 1).ok_or_else(|| format!("not enough values for {format:?}"))?
            }
            (None, single) if next == 0 => {
                next += 1;
                single
            }
            (None, _) => return Err(format!("not enough values for {format:?}")),
        };
        out.push_str(&pad(&converted(value, conversion, precision, &flags)?, width.unwrap_or(0), &flags));
    }
    if let Value::Array(items) = given
        && next < items.len()
    {
        return Err(format!("too many values for {format:?}"));
    }
    Ok(out)
}

/// Widths past this are typing errors, and would only fill memory.
const WIDEST: usize = 10_000;

fn number(chars: &mut std::iter::Peekable<std::str::Chars>) -> Option<usize> {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    digits.parse().ok().map(|number: usize| number.min(WIDEST))
}

fn converted(value: &Value, conversion: char, precision: Option<usize>, flags: &str) -> Result<String, String> {
    let signed = |text: String| if flags.contains('+') && !text.starts_with('-') { format!("+{text}") } else { text };
    let whole = || {
        let found = value
            .as_i64()
            .or_else(|| value.as_f64().map(|float| float as i64))
            .or_else(|| value.as_bool().map(i64::from));
        found.ok_or_else(|| format!("%{conversion} needs a number, not {}", python_repr(value)))
    };
    let float = || value.as_f64().ok_or_else(|| format!("%{conversion} needs a number, not {}", python_repr(value)));
    Ok(match conversion {
        's' | 'r' => {
            let text = if conversion == 's' { python_str(value) } else { python_repr(value) };
            match precision {
                Some(longest) => text.chars().take(longest).collect(),
                None => text,
            }
        }
        'd' | 'i' | 'u' => signed(whole()?.to_string()),
        'x' => format!("{}{:x}", if flags.contains('#') { "0x" } else { "" }, whole()?),
        'X' => format!("{}{:X}", if flags.contains('#') { "0X" } else { "" }, whole()?),
        'o' => format!("{:o}", whole()?),
        'f' | 'F' => signed(format!("{:.*}", precision.unwrap_or(6), float()?)),
        'g' | 'G' => signed(format!("{}", float()?)),
        'e' | 'E' => signed(exponent(float()?, precision.unwrap_or(6), conversion)),
        'c' => value.as_str().map_or_else(
            || whole().map(|code| u32::try_from(code).ok().and_then(char::from_u32).unwrap_or('?').to_string()),
            |text| Ok(text.to_owned()),
        )?,
        other => return Err(format!("\"%{other}\" is no conversion; a name in brackets needs an \"s\" behind it")),
    })
}

fn exponent(float: f64, precision: usize, letter: char) -> String {
    let text = format!("{float:.precision$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    format!("{mantissa}{letter}{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

fn pad(text: &str, width: usize, flags: &str) -> String {
    let missing = width.saturating_sub(text.chars().count());
    if flags.contains('-') {
        return format!("{text}{}", " ".repeat(missing));
    }
    if flags.contains('0') && text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}

/// A value as Python's `str` has it.
pub(super) fn python_str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python_repr(other),
    }
}

/// A value as Python's `repr` has it.
pub(super) fn python_repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let mut out = String::from(quote);
            for c in text.chars() {
                match c {
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    '\\' => out.push_str("\\\\"),
                    c if c == quote => {
                        out.push('\\');
                        out.push(c);
                    }
                    c => out.push(c),
                }
            }
            out.push(quote);
            out
        }
        Value::Array(items) => format!("[{}]", items.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Value::Object(dict) => {
            let pair = |(key, value): (&String, &Value)| {
                format!("{}: {}", python_repr(&Value::String(key.clone())), python_repr(value))
            };
            format!("{{{}}}", dict.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// What Python regards as true.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(dict) => !dict.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn formats_as_python_does() {
        let dict = json!({ "a": 1, "b": "x" });
        assert_eq!(percent("%(a)03d-%(b)s%%", &dict).unwrap(), "001-x%");
        assert_eq!(percent("%5.2f|%-4s|%r", &json!([1.234, "ab", "c"])).unwrap(), " 1.23|ab  |'c'");
        assert_eq!(percent("%s", &json!([null])).unwrap(), "None");
        assert!(percent("%(c)s", &dict).unwrap_err().contains("\"c\""));
        assert!(percent("%s %s", &json!(["a"])).is_err());
        assert!(percent("%", &dict).is_err());
    }
}
