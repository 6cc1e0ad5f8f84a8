//! How users and their attributes are written on the command line: `--info` and `--ids`.
//!
//! A comma begins another pair only where `TYPE=` follows it, and so `git=Schmo, Joe <joe@schmo.com>` is one. What still
//! could be read in two ways stands in double quotes: `note="a,b=c"`, with `\"` and `\\` for those two letters.

/// The attributes of `TYPE=VALUE,TYPE=VALUE`, in their order.
pub type Pairs = Vec<(String, String)>;

/// `TYPE=VALUE,TYPE=VALUE`; at least one.
pub fn pairs(text: &str) -> Result<Pairs, String> {
    let mut found: Pairs = Vec::new();
    let mut rest = text.trim();
    loop {
        let kind = kind_of(rest).ok_or_else(|| format!("\"{rest}\" is not TYPE=VALUE"))?;
        let (value, after) = value(&rest[kind.len() + 1..]);
        if found.iter().any(|(known, _)| known == kind) {
            return Err(format!("\"{text}\" says twice what {kind} is"));
        }
        found.push((kind.to_owned(), value));
        match after {
            None => return Ok(found),
            Some(after) => rest = after.trim_start(),
        }
    }
}

/// `ID:TYPE=VALUE,TYPE=VALUE`, or `ID` alone, then without pairs.
pub fn of_somebody(text: &str) -> Result<(String, Pairs), String> {
    let text = text.trim();
    let whose = || format!("\"{text}\" does not say whose it is; expected ID:TYPE=VALUE");
    let (id, rest) = match quoted(text).filter(|(_, rest)| rest.is_empty() || rest.starts_with(':')) {
        Some((id, rest)) => (id, rest.strip_prefix(':').unwrap_or_default()),
        None => {
            let ends = text.match_indices(':').map(|(end, _)| end);
            match ends.into_iter().find(|end| kind_of(&text[end + 1..]).is_some()) {
                Some(end) => (text[..end].to_owned(), &text[end + 1..]),
                None if kind_of(text).is_some() => return Err(whose()),
                None => (text.trim_end_matches(':').to_owned(), ""),
            }
        }
    };
    if id.is_empty() {
        return Err(whose());
    }
    Ok((id, if rest.is_empty() { Vec::new() } else { pairs(rest)? }))
}

/// `ID,ID`; one with a comma in it stands in double quotes.
pub fn ids(text: &str) -> Result<Vec<String>, String> {
    let mut ids = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let text = text.trim_start();
        let (id, after) = match quoted(text).filter(|(_, after)| after.is_empty() || after.starts_with(',')) {
            Some((id, after)) => (id, after.strip_prefix(',')),
            None => match text.split_once(',') {
                Some((id, after)) => (id.trim().to_owned(), Some(after)),
                None => (text.trim().to_owned(), None),
            },
        };
        if id.is_empty() {
            return Err("an identifier is empty; expected ID,ID".to_owned());
        }
        ids.push(id);
        rest = after;
    }
    Ok(ids)
}

/// The kind, where a pair begins.
fn kind_of(text: &str) -> Option<&str> {
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && !"_-.".contains(letter))?;
    (end > 0 && text[end..].starts_with('=')).then_some(&text[..end])
}

/// A value, and what follows the comma behind it.
fn value(text: &str) -> (String, Option<&str>) {
    if let Some((value, after)) = quoted(text).filter(|(_, after)| after.is_empty() || after.starts_with(',')) {
        return (value, after.strip_prefix(','));
    }
    let mut commas = text.match_indices(',').map(|(end, _)| end);
    match commas.find(|end| kind_of(text[end + 1..].trim_start()).is_some()) {
        Some(end) => (text[..end].trim().to_owned(), Some(&text[end + 1..])),
        None => (text.trim().to_owned(), None),
    }
}

/// What stands in the double quotes that the text begins with, and what follows them.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut letters = inside.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &inside[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        pairs(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn own(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(kind, value)| ((*kind).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn commas_and_signs_inside_of_values_stay_there() {
        for (text, expected) in [
            ("git=Joe <joe@x.org>", &[("git", "Joe <joe@x.org>")] as &[_]),
            ("svn=jschmo,git=Joe Schmo <joe@schmo.com>", &[("svn", "jschmo"), ("git", "Joe Schmo <joe@schmo.com>")]),
            ("git=Schmo, Joe <j@x>, svn=j", &[("git", "Schmo, Joe <j@x>"), ("svn", "j")]),
            ("url=http://x/?a=b&c=d", &[("url", "http://x/?a=b&c=d")]),
            ("note=\"a,b=c \\\"d\\\"\",svn=j", &[("note", "a,b=c \"d\""), ("svn", "j")]),
            ("git=\"Joe\" <j@x>,svn=j", &[("git", "\"Joe\" <j@x>"), ("svn", "j")]),
            ("git=\"open", &[("git", "\"open")]),
            ("email=,svn=", &[("email", ""), ("svn", "")]),
        ] {
            assert_eq!(read(text), own(expected), "{text}");
        }
        for wrong in ["", "git", "=x", "Joe:git=x", ",git=x", "a b=c", "git=x,git=y"] {
            assert!(pairs(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whose_it_is_stands_before() {
        for (text, id, pairs) in [
            ("jschmo:git=Joe <j@x>", "jschmo", &[("git", "Joe <j@x>")] as &[_]),
            ("Joe <j@x:1>:svn=j", "Joe <j@x:1>", &[("svn", "j")]),
            ("\"a:b=c\":svn=j", "a:b=c", &[("svn", "j")]),
            ("jschmo:", "jschmo", &[]),
            ("jschmo", "jschmo", &[]),
            ("\"a=b\"", "a=b", &[]),
        ] {
            assert_eq!(of_somebody(text), Ok((id.to_owned(), own(pairs))), "{text}");
        }
        for wrong in ["", ":", "git=Joe", ":git=Joe", "joe:git=a,git=b"] {
            assert!(of_somebody(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn identifiers_are_listed() {
        assert_eq!(ids("joe, ann").unwrap(), ["joe", "ann"]);
        assert_eq!(ids("\"Doe, Joe <j@x>\",Ann <a@x>").unwrap(), ["Doe, Joe <j@x>", "Ann <a@x>"]);
        assert!(ids("").is_err() && ids("joe,").is_err() && ids(",joe").is_err());
    }
}
