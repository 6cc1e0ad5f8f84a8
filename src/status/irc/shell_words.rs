//! Splitting what people type into words, as a POSIX shell does; comments, variables and operators have no meaning.
//!
//! The crate `shlex` drops what follows a `#`, which reasons are full of, and does not say which quoting is bad.

/// Why a line could not be split. The texts are those of 0.8's bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadQuoting {
    #[error("No closing quotation")]
    Quotation,
    #[error("No escaped character")]
    Escape,
}

/// Between single quotes everything is itself; between double ones a backslash quotes `"` and `\`; elsewhere it quotes
/// whatever follows.
pub fn split(line: &str) -> Result<Vec<String>, BadQuoting> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(BadQuoting::Escape)?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), BadQuoting> {
    loop {
        match chars.next().ok_or(BadQuoting::Quotation)? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => {
                let next = chars.next().ok_or(BadQuoting::Escape)?;
                if next != '"' && next != '\\' {
                    word.push('\\');
                }
                word.push(next);
            }
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        let words = |line: &str| split(line).unwrap();
        assert_eq!(words("  a  b\tc "), ["a", "b", "c"]);
        assert_eq!(
            words(r#"build "runtests linux" it\'s 'a "b"' #7"#),
            ["build", "runtests linux", "it's", "a \"b\"", "#7"]
        );
        assert_eq!(words(r#""a\"b\\c\d" '' x"y"z"#), [r#"a"b\c\d"#, "", "xyz"]);
        assert!(words("").is_empty());
    }

    #[test]
    fn what_is_open_is_said() {
        assert_eq!(split("status \"a"), Err(BadQuoting::Quotation));
        assert_eq!(split("don't"), Err(BadQuoting::Quotation));
        assert_eq!(split("a\\"), Err(BadQuoting::Escape));
        assert_eq!(split("\"a\\"), Err(BadQuoting::Escape));
    }
}
