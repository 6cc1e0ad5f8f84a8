//! The text of a master.cfg: what people wrote, beside what Starlark is given, with places in both.

use super::Secret;

/// A master.cfg as written, and how columns of the turned text map back to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    /// `master.cfg`.
    pub file: String,
    pub text: String,
    edits: Vec<Edit>,
}

/// One replacement inside one line; neither side holds a line end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edit {
    /// Byte offset in the text as written.
    pub at: usize,
    /// Bytes replaced.
    pub len: usize,
    pub text: String,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Source {
        Source { file: file.to_owned(), text: text.to_owned(), edits: Vec::new() }
    }

    /// Applies `edits` and keeps them, so that columns can be mapped back. Of overlapping ones the first wins.
    pub fn apply(&mut self, mut edits: Vec<Edit>) -> String {
        edits.sort_by_key(|edit| edit.at);
        let mut turned = String::with_capacity(self.text.len() + 64);
        let mut done = 0;
        edits.retain(|edit| {
            if edit.at < done {
                return false;
            }
            turned.push_str(&self.text[done..edit.at]);
            turned.push_str(&edit.text);
            done = edit.at + edit.len;
            true
        });
        turned.push_str(&self.text[done..]);
        self.edits = edits;
        turned
    }

    /// The column as written for a column of the turned text; both count characters from 1.
    pub fn written_column(&self, line: usize, column: usize) -> usize {
        let Some(start) = self.line_start(line) else { return column };
        let end = start + self.line(line).map_or(0, str::len);
        let mut turned = 1;
        let mut offset = start;
        for edit in self.edits.iter().filter(|edit| edit.at >= start && edit.at <= end) {
            let before = self.text[offset..edit.at].chars().count();
            if turned + before >= column {
                break;
            }
            turned += before;
            offset = edit.at + edit.len;
            let inserted = edit.text.chars().count();
            if turned + inserted > column {
                return self.text[start..edit.at].chars().count() + 1;
            }
            turned += inserted;
        }
        self.text[start..offset].chars().count() + 1 + column.saturating_sub(turned)
    }

    /// Line `number`, counted from 1, without its end.
    pub fn line(&self, number: usize) -> Option<&str> {
        self.text.split('\n').nth(number.checked_sub(1)?).map(|line| line.trim_end_matches('\r'))
    }

    fn line_start(&self, number: usize) -> Option<usize> {
        let mut start = 0;
        for (index, line) in self.text.split('\n').enumerate() {
            if index + 1 == number {
                return Some(start);
            }
            start += line.len() + 1;
        }
        None
    }

    /// Line and column, counted from 1, of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..offset.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// `master.cfg:14` or `master.cfg:14:9`.
    pub fn place(&self, line: usize, column: Option<usize>) -> String {
        match column {
            Some(column) => format!("{}:{line}:{column}", self.file),
            None => format!("{}:{line}", self.file),
        }
    }

    /// Line and column of a place of this file.
    pub fn parse_place(&self, place: &str) -> Option<(usize, Option<usize>)> {
        let rest = place.strip_prefix(self.file.as_str())?.strip_prefix(':')?;
        let mut parts = rest.split(':');
        let line = parts.next()?.parse().ok()?;
        Some((line, parts.next().and_then(|column| column.parse().ok())))
    }

    /// The line of a place with a caret below its column, secrets hidden.
    pub fn snippet(&self, line: usize, column: Option<usize>, secrets: &[Secret]) -> Option<String> {
        let text = self.line(line)?;
        if text.trim().is_empty() {
            return None;
        }
        let shown: String = hide_secrets(text, secrets).replace('\t', " ");
        let number = line.to_string();
        let mut snippet = format!("  {number} | {shown}");
        if let Some(column) = column {
            let before: String = text.chars().take(column.saturating_sub(1)).collect();
            let indent = hide_secrets(&before, secrets).chars().count();
            snippet.push_str(&format!("\n  {} | {}^", " ".repeat(number.len()), " ".repeat(indent)));
        }
        Some(snippet)
    }

    /// Where `name=` or `"name":` stands in lines `first` to `last`, for a place that points at the option itself.
    pub fn find_option(&self, first: usize, last: usize, name: &str) -> Option<(usize, usize)> {
        (first..=last.min(first + 400)).find_map(|number| {
            let line = self.line(number)?;
            let code = line.split('#').next().unwrap_or(line);
            find_key(code, name).map(|column| (number, column))
        })
    }

    /// Where the code `text` first stands, not counting comments.
    pub fn find_code(&self, text: &str) -> Option<(usize, usize)> {
        self.text.split('\n').enumerate().find_map(|(index, line)| {
            let code = line.split('#').next().unwrap_or(line);
            let at = code.find(text)?;
            Some((index + 1, code[..at].chars().count() + 1))
        })
    }
}

/// The column, from 1, at which `name` stands as a key in this line.
fn find_key(line: &str, name: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in line.match_indices(name) {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        if before.is_some_and(is_word) || after.chars().next().is_some_and(is_word) {
            continue;
        }
        let quoted = matches!(before, Some('\'' | '"'));
        let rest = after.trim_start_matches(['\'', '"', ']', ' ']);
        let is_key = rest.starts_with(':') && quoted || rest.starts_with('=') && !rest.starts_with("==");
        if is_key {
            return Some(line[..at].chars().count() + 1);
        }
    }
    None
}

/// Names of options whose values are never shown.
const SECRET_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "userpass", "pushpasswd"];

/// Constructors that take secrets as positional arguments.
const SECRET_CALLS: [&str; 6] =
    ["BuildSlave(", "Worker(", "BasicAuth(", "StashStatusPush(", "PasswordManhole(", "TelnetManhole("];

/// Whether an option of this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.ends_with(word)) || name == "secret_key" || name == "_password"
}

/// `text` with `…` for the password of every `scheme://user:password@host`.
pub(super) fn hide_url_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        rest = after;
        let authority = &after[..after.find(['/', '"', '\'', ' ']).unwrap_or(after.len())];
        if let (Some(colon), Some(end)) = (authority.find(':'), authority.rfind('@'))
            && colon < end
        {
            shown.push_str(&after[..=colon]);
            shown.push('…');
            rest = &after[end..];
        }
    }
    shown.push_str(rest);
    shown
}

/// Whether `call` stands in a line as a name of its own.
fn calls(line: &str, call: &str) -> bool {
    line.match_indices(call).any(|(at, _)| !line[..at].ends_with(char::is_alphanumeric))
}

/// `text` with known secrets, and literals that look like secrets by where they stand, replaced by `…`.
pub(super) fn hide_secrets(text: &str, secrets: &[Secret]) -> String {
    let mut shown = hide_url_passwords(text);
    for secret in secrets.iter().map(Secret::reveal).filter(|secret| secret.chars().count() > 2) {
        shown = shown.replace(secret, "…");
    }
    // Where the file could not be evaluated no secret is known, so all that may be one is hidden.
    let hide_all = secrets.is_empty() && SECRET_CALLS.iter().any(|call| calls(&shown, call));
    let mut hidden = String::with_capacity(shown.len());
    let mut rest = shown.as_str();
    while let Some(at) = rest.find(['\'', '"']) {
        let quote = rest[at..].chars().next().unwrap_or('"');
        let (before, literal) = rest.split_at(at);
        let Some(end) = literal[1..].find(quote) else { break };
        let inner = &literal[1..1 + end];
        let key = before.trim_end();
        let named = [key.strip_suffix('='), key.strip_suffix(':')].into_iter().flatten().any(|key| {
            let word: String = key.trim_end().trim_end_matches(['\'', '"', ']']).chars().rev().collect();
            let word: String = word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            is_secret_name(&word.chars().rev().collect::<String>())
        });
        hidden.push_str(before);
        hidden.push(quote);
        hidden.push_str(if named || hide_all { "…" } else { inner });
        hidden.push(quote);
        // Keep the key itself readable to the next round: `{'secret': 'x'}` needs it before the colon.
        rest = &literal[end + 2..];
        if rest.trim_start().starts_with(':') && is_secret_name(inner) {
            let colon = rest.find(':').unwrap_or(0) + 1;
            hidden.push_str(&rest[..colon]);
            rest = &rest[colon..];
            let trimmed = rest.trim_start();
            if let Some(quote) = trimmed.chars().next().filter(|c| matches!(c, '\'' | '"'))
                && let Some(end) = trimmed[1..].find(quote)
            {
                hidden.push_str(&rest[..rest.len() - trimmed.len()]);
                hidden.push(quote);
                hidden.push('…');
                hidden.push(quote);
                rest = &trimmed[end + 2..];
            }
        }
    }
    hidden.push_str(rest);
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_map_back_over_insertions() {
        let mut source = Source::new("master.cfg", "x = 'a' 'b' % y\n");
        let turned = source.apply(vec![
            Edit { at: 4, len: 0, text: "(".into() },
            Edit { at: 7, len: 1, text: "+".into() },
            Edit { at: 11, len: 0, text: ")".into() },
        ]);
        assert_eq!(turned, "x = ('a'+'b') % y\n");
        assert_eq!(source.written_column(1, 1), 1);
        assert_eq!(source.written_column(1, turned.find('y').unwrap() + 1), 15);
        assert_eq!(source.written_column(1, turned.find("'b'").unwrap() + 1), 9);
    }

    #[test]
    fn options_are_found_by_their_key() {
        let source = Source::new("m", "a(mode=1,\n  mod='x')\n");
        assert_eq!(source.find_option(1, 2, "mod"), Some((2, 3)));
        assert_eq!(source.find_option(1, 2, "mode"), Some((1, 3)));
    }

    #[test]
    fn literals_behind_secret_names_are_hidden() {
        assert_eq!(hide_secrets("IRC(password=\"hush\", x='y')", &[]), "IRC(password=\"…\", x='y')");
        assert_eq!(hide_secrets("{'secret': 'hush', 'a': 'b'}", &[]), "{'secret': '…', 'a': 'b'}");
        assert_eq!(hide_secrets("BuildSlave('bot', 'hush')", &[]), "BuildSlave('…', '…')");
        assert_eq!(hide_secrets("x = hush1", &[Secret::new("hush1")]), "x = …");
        assert_eq!(
            hide_secrets("'pg://u:hush@h:1/d' 'http://h:8010/a@b'", &[]),
            "'pg://u:…@h:1/d' 'http://h:8010/a@b'"
        );
    }
}
