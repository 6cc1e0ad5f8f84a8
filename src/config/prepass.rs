//! Turns the Python of a 0.8 configuration into Starlark where that needs no understanding of it.
//!
//! Lines never move, columns by a character or two, and [`Source`] maps those back. Turned are: imports (their names
//! are returned, to be bound), `a = b = x`, `u'…'`, `'a' 'b'`, `'%(x)s' % d`, `print x`, `is`, `<>`, `022`, `10L`,
//! `global x` and decorators. What Starlark cannot do at all is returned with a hint each.

use super::source::{Edit, Source};

/// `from module import name as alias`; `import module` has no name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Import {
    pub line: usize,
    pub column: usize,
    pub module: String,
    pub name: Option<String>,
    pub alias: Option<String>,
}

/// A statement Starlark has not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unsupported {
    pub line: usize,
    pub column: usize,
    pub keyword: &'static str,
    pub hint: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Turned {
    pub text: String,
    pub imports: Vec<Import>,
    pub unsupported: Vec<Unsupported>,
}

/// The function that stands behind `'%(x)s' % d` in turned text.
pub(super) const FORMAT: &str = "__percent__";

const UNSUPPORTED: [(&str, &str); 9] = [
    ("class", "there are no classes; options that took a class take a function or a dict of functions"),
    ("try", "there are no exceptions; test for the case beforehand, as with dict.get(key, default)"),
    ("while", "loops must have an end; use \"for x in range(n)\""),
    ("with", "files cannot be read here; secrets come from c['secretsProviders']"),
    ("raise", "there are no exceptions; fail(\"why\") ends the evaluation with a message"),
    ("yield", "there are no generators; return a list"),
    ("assert", "write \"if not …: fail(…)\""),
    ("del", "write d.pop(key)"),
    ("exec", "other files cannot be executed here"),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Name,
    Number,
    /// Bytes of prefix before the quote.
    Text {
        prefix: usize,
    },
    Operator,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
    /// Brackets open around it.
    depth: usize,
    /// Index of its logical line.
    logical: usize,
}

/// Never fails and never panics, whatever the text; what it does not understand it leaves to the parser.
pub(super) fn turn(source: &mut Source) -> Turned {
    let text = source.text.clone();
    let tokens = tokens(&text);
    let mut pass = Pass { text: &text, source, tokens: &tokens, edits: Vec::new(), turned: Turned::default() };
    pass.run();
    let Pass { edits, mut turned, .. } = pass;
    turned.text = source.apply(edits);
    turned
}

struct Pass<'a> {
    text: &'a str,
    source: &'a Source,
    tokens: &'a [Token],
    edits: Vec<Edit>,
    turned: Turned,
}

impl<'a> Pass<'a> {
    fn run(&mut self) {
        let mut start = 0;
        let mut statements = Vec::new();
        for index in 0..self.tokens.len() {
            let token = self.tokens[index];
            let ends_line = self.tokens.get(index + 1).is_none_or(|next| next.logical != token.logical);
            if token.depth == 0 && self.is(index, ";") {
                statements.push((start, index));
                start = index + 1;
            } else if ends_line {
                statements.push((start, index + 1));
                start = index + 1;
            }
        }
        statements.retain(|(first, end)| first < end);
        for &(first, end) in &statements {
            self.statement(first, end);
        }
        self.decorators(&statements);
    }

    fn word(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |token| &self.text[token.start..token.end])
    }

    fn is(&self, index: usize, word: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| !matches!(token.kind, Kind::Text { .. })) && self.word(index) == word
    }

    fn is_text(&self, index: usize) -> bool {
        self.tokens.get(index).is_some_and(|token| matches!(token.kind, Kind::Text { .. }))
    }

    fn edit(&mut self, at: usize, len: usize, text: impl Into<String>) {
        self.edits.push(Edit { at, len, text: text.into() });
    }

    /// Overwrites a span with `head` and blanks, keeping its line ends.
    fn blank(&mut self, start: usize, end: usize, head: &str) {
        let mut at = start;
        for (index, line) in self.text[start..end].split('\n').enumerate() {
            let body = line.trim_end_matches('\r');
            let width = body.chars().count();
            let head = if index == 0 { head } else { "" };
            let text = format!("{head}{}", " ".repeat(width.saturating_sub(head.chars().count())));
            self.edit(at, body.len(), text);
            at += line.len() + 1;
        }
    }

    fn statement(&mut self, first: usize, end: usize) {
        let head = self.tokens[first];
        let last = self.tokens[end - 1];
        match self.word(first) {
            "import" | "from" if head.kind == Kind::Name && end - first > 1 => {
                self.imports(first, end);
                return self.blank(head.start, last.end, "pass");
            }
            "global" | "nonlocal" if head.kind == Kind::Name => return self.blank(head.start, last.end, "pass"),
            "print" => self.print(first, end),
            word if head.kind == Kind::Name => {
                let found = UNSUPPORTED.iter().find(|(keyword, _)| *keyword == word);
                let followed_by_operator =
                    self.is(first + 1, "=") || self.is(first + 1, ".") || self.is(first + 1, "[");
                if let Some((keyword, hint)) = found.filter(|_| !followed_by_operator) {
                    let (line, column) = self.source.position(head.start);
                    self.turned.unsupported.push(Unsupported { line, column, keyword, hint });
                }
            }
            _ => {}
        }
        self.chain(first, end);
        self.tokens_of(first, end);
    }

    fn imports(&mut self, first: usize, end: usize) {
        let (line, column) = self.source.position(self.tokens[first].start);
        let words: Vec<&str> =
            (first..end).map(|index| self.word(index)).filter(|w| !matches!(*w, "(" | ")")).collect();
        let mut imports = Vec::new();
        let dotted = |words: &[&str]| words.concat();
        let split = |words: &[&str]| -> (String, Option<String>) {
            match words.iter().position(|word| *word == "as") {
                Some(at) => (dotted(&words[..at]), words.get(at + 1).map(|alias| (*alias).to_owned())),
                None => (dotted(words), None),
            }
        };
        if words[0] == "from" {
            let Some(at) = words.iter().position(|word| *word == "import") else { return };
            let module = dotted(&words[1..at]);
            for part in words[at + 1..].split(|word| *word == ",").filter(|part| !part.is_empty()) {
                let (name, alias) = split(part);
                imports.push(Import { line, column, module: module.clone(), name: Some(name), alias });
            }
        } else {
            for part in words[1..].split(|word| *word == ",").filter(|part| !part.is_empty()) {
                let (module, alias) = split(part);
                imports.push(Import { line, column, module, name: None, alias });
            }
        }
        self.turned.imports.extend(imports);
    }

    /// `print x` becomes `print(x)`; `print(x)` stays.
    fn print(&mut self, first: usize, end: usize) {
        let (head, last) = (self.tokens[first], self.tokens[end - 1]);
        if head.kind != Kind::Name || ["=", ".", ">>", ","].iter().any(|op| self.is(first + 1, op) && first + 1 < end) {
            return;
        }
        if end - first == 1 {
            return self.edit(head.end, 0, "()");
        }
        if self.is(first + 1, "(") {
            let closing = (first + 2..end).find(|&index| self.is(index, ")") && self.tokens[index].depth == 0);
            if closing.is_none_or(|closing| closing + 1 == end) {
                return;
            }
        }
        let gap = self.text[head.end..].starts_with([' ', '\t']);
        self.edit(head.end, usize::from(gap), "(");
        self.edit(last.end, 0, ")");
    }

    /// `a = b = x` becomes `a , b =[x]*2`: both names get the same value.
    fn chain(&mut self, first: usize, end: usize) {
        let lambda = (first..end).find(|&index| self.is(index, "lambda") || self.is(index, ":")).unwrap_or(end);
        let equals: Vec<usize> =
            (first..lambda).filter(|&index| self.is(index, "=") && self.tokens[index].depth == 0).collect();
        let (Some(&last_equals), true) = (equals.last(), equals.len() > 1) else { return };
        let commas = (first..last_equals).any(|index| self.is(index, ",") && self.tokens[index].depth == 0);
        if commas || last_equals + 1 >= end {
            return;
        }
        for &index in &equals[..equals.len() - 1] {
            self.edit(self.tokens[index].start, 1, ",");
        }
        self.edit(self.tokens[last_equals + 1].start, 0, "[");
        self.edit(self.tokens[end - 1].end, 0, format!("]*{}", equals.len()));
    }

    fn tokens_of(&mut self, first: usize, end: usize) {
        let mut index = first;
        while index < end {
            let token = self.tokens[index];
            match token.kind {
                Kind::Text { .. } => {
                    let group_end = (index..end).find(|&next| !self.is_text(next)).unwrap_or(end);
                    self.text_group(index, group_end, index == first);
                    index = group_end;
                    continue;
                }
                Kind::Name if self.word(index) == "is" && index > first && !self.is(index - 1, ".") => {
                    if index + 1 < end && self.is(index + 1, "not") {
                        self.edit(token.start, 2, "!=");
                        self.edit(self.tokens[index + 1].start, 3, "   ");
                    } else {
                        self.edit(token.start, 2, "==");
                    }
                }
                Kind::Name if self.word(index) == "xrange" => self.edit(token.start, 1, " "),
                Kind::Number => {
                    let word = self.word(index);
                    if word.len() > 1 && word.starts_with('0') && word.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
                        self.edit(token.start + 1, 0, "o");
                    }
                    if word.ends_with(['L', 'l']) && !word.starts_with("0x") {
                        self.edit(token.end - 1, 1, " ");
                    }
                }
                Kind::Operator if self.word(index) == "<>" => self.edit(token.start, 2, "!="),
                _ => {}
            }
            index += 1;
        }
    }

    /// Literals that stand side by side: prefixes, joining, and formatting Starlark's own `%` cannot do.
    fn text_group(&mut self, first: usize, end: usize, starts_statement: bool) {
        let joined = end - first > 1;
        let formats = self.is(end, "%")
            && self.tokens.get(end).is_some_and(|token| token.logical == self.tokens[first].logical)
            && (first..end).any(|index| needs_format(self.word(index)));
        let opening = match (formats, joined) {
            (true, _) => format!("{FORMAT}("),
            (false, true) => "(".to_owned(),
            (false, false) => String::new(),
        };
        if !opening.is_empty() {
            self.edit(self.tokens[first].start, 0, opening.clone());
        }
        for index in first..end {
            let token = self.tokens[index];
            let Kind::Text { prefix } = token.kind else { continue };
            for (at, letter) in self.text[token.start..token.start + prefix].char_indices() {
                let turned = match letter {
                    'u' | 'U' | 'b' | 'B'
                        if starts_statement && index == first && opening.is_empty() && prefix == 1 =>
                    {
                        "r"
                    }
                    'u' | 'U' | 'b' | 'B' => " ",
                    'R' => "r",
                    _ => continue,
                };
                self.edit(token.start + at, 1, turned);
            }
            if index + 1 < end {
                let gap = self.text[token.end..].starts_with(' ');
                self.edit(token.end, usize::from(gap), "+");
            }
        }
        if !opening.is_empty() {
            self.edit(self.tokens[end - 1].end, 0, ")");
        }
    }

    /// `@f` above `def g` becomes `g = f(g)` on the first line after the function that has room for it.
    fn decorators(&mut self, statements: &[(usize, usize)]) {
        for (number, &(first, end)) in statements.iter().enumerate() {
            if !self.is(first, "@") || end - first < 2 {
                continue;
            }
            let decorator = &self.text[self.tokens[first + 1].start..self.tokens[end - 1].end];
            self.blank(self.tokens[first].start, self.tokens[end - 1].end, "");
            let mut below = statements[number + 1..].iter();
            let Some(&(def, def_end)) = below.clone().find(|(first, _)| !self.is(*first, "@")) else { continue };
            if !self.is(def, "def") || decorator.contains('\n') {
                continue;
            }
            let name = self.word(def + 1).to_owned();
            let indent = self.source.position(self.tokens[def].start).1 - 1;
            let next = below.find(|&&(first, _)| {
                first >= def_end
                    && self.source.position(self.tokens[first].start).1 - 1 <= indent
                    && self.tokens[first].logical != self.tokens[def].logical
            });
            let statement = format!("{}{name} = {decorator}({name})", " ".repeat(indent));
            self.place_below(next.map(|&(first, _)| first), &statement, indent);
        }
    }

    /// Writes `statement` on an empty or comment line before token `next`, in front of it, or at the end of the text.
    fn place_below(&mut self, next: Option<usize>, statement: &str, indent: usize) {
        let Some(next) = next else {
            return self.edit(self.text.len(), 0, format!("\n{statement}\n"));
        };
        let body_end = self.tokens[next - 1].end;
        let mut at = self.text[body_end..].find('\n').map_or(self.text.len(), |found| body_end + found + 1);
        while at < self.tokens[next].start {
            let line = self.text[at..].split('\n').next().unwrap_or("");
            let body = line.trim_end_matches('\r');
            if body.trim().is_empty() || body.trim_start().starts_with('#') {
                return self.edit(at, body.len(), statement);
            }
            at += line.len() + 1;
        }
        let simple = !["def", "if", "for", "@"].iter().any(|word| self.is(next, word));
        if simple {
            self.edit(self.tokens[next].start, 0, format!("{}; ", &statement[indent..]));
        }
    }
}

/// Whether a literal holds conversions that Starlark's own `%` has not.
fn needs_format(literal: &str) -> bool {
    let mut rest = literal;
    while let Some(at) = rest.find('%') {
        let after = &rest[at + 1..];
        match after.chars().next() {
            Some('s' | 'r' | 'd' | 'x' | 'o' | '%') => rest = &after[1..],
            Some('(' | '.' | '-' | '+' | '#' | '0'..='9' | 'f' | 'i' | 'u' | 'X' | 'e' | 'E' | 'g' | 'G' | 'c') => {
                return true;
            }
            _ => rest = after,
        }
    }
    false
}

const OPERATORS: [&str; 22] = [
    "**=", "//=", ">>=", "<<=", "...", "<>", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
    "**", "//", "<<", ">>",
];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut at, mut depth, mut logical) = (0, 0_usize, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let start = at;
        let kind = match c {
            '\n' => {
                if depth == 0 {
                    logical += 1;
                }
                at += 1;
                continue;
            }
            '\\' => {
                at += 1;
                at += if text[at..].starts_with("\r\n") { 2 } else { usize::from(text[at..].starts_with('\n')) };
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let is_prefix = length <= 2 && rest[..length].chars().all(|c| "uUrRbBfF".contains(c));
                match text_end(&rest[length..]).filter(|_| is_prefix) {
                    Some(end) => {
                        at += length + end;
                        Kind::Text { prefix: length }
                    }
                    None => {
                        at += length;
                        Kind::Name
                    }
                }
            }
            '\'' | '"' => {
                at += text_end(rest).unwrap_or(1);
                Kind::Text { prefix: 0 }
            }
            c if c.is_ascii_digit() => {
                at += rest.find(|c: char| !c.is_alphanumeric() && c != '.' && c != '_').unwrap_or(rest.len());
                Kind::Number
            }
            _ => {
                let length = OPERATORS.iter().find(|op| rest.starts_with(**op)).map_or(c.len_utf8(), |op| op.len());
                at += length;
                Kind::Operator
            }
        };
        if matches!(c, ')' | ']' | '}') {
            depth = depth.saturating_sub(1);
        }
        tokens.push(Token { kind, start, end: at, depth, logical });
        if matches!(c, '(' | '[' | '{') {
            depth += 1;
        }
    }
    tokens
}

/// Where the literal ends that `rest` starts with, if it starts with one; an unfinished one ends with its line.
fn text_end(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let triple = quote.to_string().repeat(3);
    let (mark, mut at) = if rest.starts_with(&triple) { (triple.as_str(), 3) } else { (&triple[..1], 1) };
    while at < rest.len() {
        if rest[at..].starts_with(mark) {
            return Some(at + mark.len());
        }
        let c = rest[at..].chars().next()?;
        if c == '\n' && mark.len() == 1 {
            return Some(at);
        }
        at += c.len_utf8();
        if c == '\\' {
            at += rest[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    Some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turned(text: &str) -> String {
        turn(&mut Source::new("master.cfg", text)).text
    }

    #[test]
    fn python_becomes_starlark_on_the_same_lines() {
        assert_eq!(turned("c = BuildmasterConfig = {}\n"), "c , BuildmasterConfig = [{}]*2\n");
        assert_eq!(turned("from a import (b,\n  c)\nx = 1\n"), "pass             \n    \nx = 1\n");
        assert_eq!(turned("x = u'a'\n"), "x =  'a'\n");
        assert_eq!(turned("x = ('a'\n  'b')\n"), "x = (('a'+\n  'b'))\n");
        assert_eq!(turned("print str(x)\n"), "print(str(x))\n");
        assert_eq!(turned("print(x)\n"), "print(x)\n");
        assert_eq!(turned("if x is not None and y is None: pass\n"), "if x !=     None and y == None: pass\n");
        assert_eq!(turned("x = '%(a)s' % d\n"), "x = __percent__('%(a)s') % d\n");
        assert_eq!(turned("x = '%s' % d\n"), "x = '%s' % d\n");
        assert_eq!(turned("f = lambda a=1, b=2: a\n"), "f = lambda a=1, b=2: a\n");
        assert_eq!(turned("@r\ndef f(p):\n  return 1\n\nx = f\n"), "  \ndef f(p):\n  return 1\nf = r(f)\nx = f\n");
        assert_eq!(turned("x = 'is u\\'' # is not\n"), "x = 'is u\\'' # is not\n");
    }

    #[test]
    fn imports_name_what_they_bind() {
        let turned = turn(&mut Source::new("m", "\nfrom buildbot.status import html, mail as m\nimport os.path, re\n"));
        let found: Vec<_> =
            turned.imports.iter().map(|i| (i.line, i.module.as_str(), i.name.as_deref(), i.alias.as_deref())).collect();
        assert_eq!(
            found,
            [
                (2, "buildbot.status", Some("html"), None),
                (2, "buildbot.status", Some("mail"), Some("m")),
                (3, "os.path", None, None),
                (3, "re", None, None)
            ]
        );
    }

    #[test]
    fn what_starlark_has_not_is_named() {
        let turned = turn(&mut Source::new("m", "class A(object):\n    pass\n\ntry:\n    x = 1\nexcept:\n    pass\n"));
        let found: Vec<_> = turned.unsupported.iter().map(|u| (u.line, u.keyword)).collect();
        assert_eq!(found, [(1, "class"), (4, "try")]);
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_lines(text in "\\PC*|([ a-z'\"%()=@#:;\\\\\n,.0-9]|is|not|from|import|print|def|u'|'''|\n    ){0,60}") {
            let turned = turned(&text);
            // A decorator at the very end may add lines below all others.
            prop_assert!(turned.matches('\n').count() >= text.matches('\n').count());
            if !text.contains('@') {
                prop_assert_eq!(turned.matches('\n').count(), text.matches('\n').count());
            }
        }
    }
}
