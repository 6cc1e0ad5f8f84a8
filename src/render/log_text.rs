//! Log text as HTML: channels and colours as spans, lines numbered and linkable.
//!
//! Escape sequences that do anything else (move the cursor, set a title, lead elsewhere) are taken out.
//!
//! Text comes in pieces cut anywhere: within a character, a colour code or a line end. What is not complete yet waits
//! for the next piece, so the same log gives the same page however it arrived.

use super::html::escape;
use super::log_style::Style;
use crate::model::{Channel, Segment};
use std::ops::RangeInclusive;

/// The longest escape sequence taken for one; anything longer is text.
const LONGEST_CODE: usize = 64;

/// The same for those that hold text of their own, a title or an address. They end with their line at the latest.
const LONGEST_STRING: usize = 4096;

/// Turns the segments of one log into HTML.
#[derive(Debug)]
pub struct LogHtml {
    /// What stands before the `#` in the links of the line numbers; nothing where the whole log is on the page.
    href: String,
    /// The number the next line gets, from 1.
    line: i64,
    at_line_start: bool,
    /// A `\r` came last: with a `\n` next it is one line end.
    after_return: bool,
    channel: Channel,
    style: Style,
    /// What is added is what somebody looks for.
    marked: bool,
    /// How the text in the element that is open looks.
    open: Option<Look>,
    /// Bytes of `channel` that are not a whole character or code yet.
    rest: Vec<u8>,
}

/// How text looks: what its element is and which classes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    channel: Channel,
    style: Style,
    marked: bool,
}

impl LogHtml {
    /// For text that starts with line `first`, counted from 0.
    pub fn new(first: i64) -> LogHtml {
        LogHtml::leading_to("", first)
    }

    /// The same with line numbers that link to the log at another address.
    pub fn leading_to(href: &str, first: i64) -> LogHtml {
        LogHtml {
            href: escape(href),
            line: first + 1,
            at_line_start: true,
            after_return: false,
            channel: Channel::Stdout,
            style: Style::default(),
            marked: false,
            open: None,
            rest: Vec::new(),
        }
    }

    /// Adds one segment to `out`.
    pub fn add(&mut self, segment: &Segment, out: &mut String) {
        if segment.channel != self.channel {
            self.give_up_rest(out);
            self.channel = segment.channel;
            // Colours belong to the channel they were set on.
            self.style = Style::default();
        }
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(&segment.bytes);
        let mut text = bytes.as_slice();
        while let Some(&first) = text.first() {
            text = match first {
                0x1b => match code(text) {
                    Code::Whole { style, length } => {
                        if let Some(numbers) = style {
                            self.style.set(numbers);
                        }
                        &text[length..]
                    }
                    Code::Incomplete => break,
                    Code::None => {
                        self.put('\u{241b}', out);
                        &text[1..]
                    }
                },
                _ => {
                    let end = text.iter().position(|&byte| byte == 0x1b).unwrap_or(text.len());
                    let cut = self.characters(&text[..end], end == text.len(), out);
                    if cut < end {
                        text = &text[cut..];
                        break;
                    }
                    &text[end..]
                }
            };
        }
        self.rest = text.to_vec();
    }

    /// Marks what is added from now on, or no more.
    pub fn mark(&mut self, marked: bool) {
        self.marked = marked;
    }

    /// Ends the log: what was incomplete is shown as it is, and the span closed.
    pub fn finish(&mut self, out: &mut String) {
        self.give_up_rest(out);
        self.close(out);
    }

    /// Adds characters; a character that may go on in the next piece is left. Returns how far it came.
    fn characters(&mut self, bytes: &[u8], may_go_on: bool, out: &mut String) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            match std::str::from_utf8(&bytes[done..]) {
                Ok(text) => {
                    text.chars().for_each(|c| self.put(c, out));
                    return bytes.len();
                }
                Err(error) => {
                    let valid = &bytes[done..done + error.valid_up_to()];
                    // Checked by the call above, so nothing is lost here.
                    String::from_utf8_lossy(valid).chars().for_each(|c| self.put(c, out));
                    done += valid.len();
                    match error.error_len() {
                        Some(length) => {
                            self.put('\u{fffd}', out);
                            done += length;
                        }
                        None if may_go_on => return done,
                        None => {
                            self.put('\u{fffd}', out);
                            return bytes.len();
                        }
                    }
                }
            }
        }
        done
    }

    fn give_up_rest(&mut self, out: &mut String) {
        let rest = std::mem::take(&mut self.rest);
        for c in String::from_utf8_lossy(&rest).chars() {
            self.put(if c == '\u{1b}' { '\u{241b}' } else { c }, out);
        }
    }

    fn put(&mut self, c: char, out: &mut String) {
        // A lone `\r` shows as a break without a number: progress bars stay readable and lines countable.
        if std::mem::take(&mut self.after_return) && c != '\n' {
            self.close(out);
            out.push('\n');
        }
        if c == '\r' {
            self.after_return = true;
            return;
        }
        if self.at_line_start {
            self.at_line_start = false;
            let (line, href) = (self.line, &self.href);
            out.push_str(&format!("<a id=\"L{line}\" href=\"{href}#L{line}\">{line}</a>"));
            self.line += 1;
        }
        match c {
            '\n' => {
                self.close(out);
                out.push('\n');
                self.at_line_start = true;
            }
            c => {
                self.span(out);
                match c {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '\t' => out.push('\t'),
                    c if c.is_control() => out.push('\u{fffd}'),
                    c => out.push(c),
                }
            }
        }
    }

    /// Opens the element for the text that comes, unless it is open.
    fn span(&mut self, out: &mut String) {
        let look = Look { channel: self.channel, style: self.style, marked: self.marked };
        if self.open != Some(look) {
            self.close(out);
            look.open(out);
            self.open = Some(look);
        }
    }

    fn close(&mut self, out: &mut String) {
        if let Some(look) = self.open.take() {
            out.push_str(&format!("</{}>", look.element()));
        }
    }
}

impl Look {
    fn element(self) -> &'static str {
        if self.marked { "mark" } else { "span" }
    }

    fn open(self, out: &mut String) {
        out.push_str(&format!("<{} class=\"{}", self.element(), self.channel.word()));
        self.style.classes(out);
        out.push_str("\">");
    }
}

/// What a program printed as plain text: without headers, escape sequences and other control characters; what is no UTF-8
/// becomes U+FFFD.
pub fn plain(segments: &[Segment]) -> String {
    let mut bytes = Vec::new();
    for segment in segments.iter().filter(|segment| segment.channel != Channel::Header) {
        for part in parts(&segment.bytes) {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text),
                Part::Code(_) | Part::Unfinished(_) => {}
            }
        }
    }
    let shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    String::from_utf8_lossy(&bytes).chars().filter(shown).collect()
}

/// A stretch of log text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a [u8]),
    /// A whole escape sequence, which is not shown.
    Code(&'a [u8]),
    /// Comes last: it may become a code with the next piece.
    Unfinished(&'a [u8]),
}

/// Text and escape sequences apart, as [`LogHtml`] tells them apart.
pub(super) fn parts(mut text: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let first = *text.first()?;
        let (length, part): (_, fn(_) -> _) = match if first == 0x1b { code(text) } else { Code::None } {
            Code::Whole { length, .. } => (length, Part::Code),
            Code::Incomplete => (text.len(), Part::Unfinished),
            Code::None => {
                let end = text[1..].iter().position(|&byte| byte == 0x1b);
                (end.map_or(text.len(), |end| end + 1), Part::Text)
            }
        };
        let (now, later) = text.split_at(length);
        text = later;
        Some(part(now))
    })
}

enum Code<'a> {
    Whole {
        /// The numbers of one that sets colours and the like.
        style: Option<&'a [u8]>,
        length: usize,
    },
    /// It may become one with the next piece.
    Incomplete,
    None,
}

/// The escape sequence at the start of `text` (ECMA-48 and ECMA-35).
fn code(text: &[u8]) -> Code<'_> {
    match text.get(1) {
        None => Code::Incomplete,
        Some(b'[') => control(text),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string(text),
        // Another set of characters, as `tput sgr0` chooses one.
        Some(b' '..=b'/') => ended(text, 1 + run(&text[1..], b' '..=b'/'), b'0'..=b'~'),
        // Save, restore, and what keys send.
        Some(b'7' | b'8' | b'=' | b'>') => Code::Whole { style: None, length: 2 },
        Some(_) => Code::None,
    }
}

/// `ESC [`, numbers, a letter.
fn control(text: &[u8]) -> Code<'_> {
    let numbers = &text[2..2 + run(&text[2..], b'0'..=b'?')];
    let end = 2 + numbers.len();
    let sets_style = text.get(end) == Some(&b'm') && numbers.iter().all(|byte| matches!(byte, b'0'..=b';'));
    match ended(text, end + run(&text[end..], b' '..=b'/'), b'@'..=b'~') {
        Code::Whole { length, .. } => Code::Whole { style: sets_style.then_some(numbers), length },
        other => other,
    }
}

/// With the byte at `end` if that may be the last of a sequence.
fn ended(text: &[u8], end: usize, last: RangeInclusive<u8>) -> Code<'_> {
    match text.get(end) {
        _ if end >= LONGEST_CODE => Code::None,
        None => Code::Incomplete,
        Some(byte) if last.contains(byte) => Code::Whole { style: None, length: end + 1 },
        Some(_) => Code::None,
    }
}

/// `ESC ]`, text, and `ESC \` or a bell.
fn string(text: &[u8]) -> Code<'_> {
    let end = 2 + text[2..].iter().take_while(|byte| !matches!(byte, 0x07 | 0x1b | b'\n')).count();
    match &text[end..] {
        _ if end >= LONGEST_STRING => Code::None,
        [] | [0x1b] => Code::Incomplete,
        [0x07, ..] => Code::Whole { style: None, length: end + 1 },
        [0x1b, b'\\', ..] => Code::Whole { style: None, length: end + 2 },
        _ => Code::None,
    }
}

/// How many bytes at the start lie in this range.
fn run(bytes: &[u8], range: RangeInclusive<u8>) -> usize {
    bytes.iter().take_while(|byte| range.contains(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(pieces: &[(Channel, &[u8])]) -> String {
        let mut log = LogHtml::new(0);
        let mut out = String::new();
        for (channel, bytes) in pieces {
            log.add(&Segment { channel: *channel, bytes: bytes.to_vec() }, &mut out);
        }
        log.finish(&mut out);
        out
    }

    #[test]
    fn channels_lines_and_markup() {
        let out = html(&[(Channel::Header, b"run <x>\n"), (Channel::Stdout, b"a\nb"), (Channel::Stderr, b"c\n")]);
        assert_eq!(
            out,
            "<a id=\"L1\" href=\"#L1\">1</a><span class=\"header\">run &lt;x&gt;</span>\n\
             <a id=\"L2\" href=\"#L2\">2</a><span class=\"stdout\">a</span>\n\
             <a id=\"L3\" href=\"#L3\">3</a><span class=\"stdout\">b</span><span class=\"stderr\">c</span>\n"
        );
    }

    #[test]
    fn pieces_may_be_cut_anywhere() {
        let text = "x\u{1b}[31;1mröd\u{1b}[0m ok\r\n\u{1b}[2Kdone \u{1b}(B\u{20ac}\r50%\n\u{1b}[?25l\u{1b}[38;2;1;2;3m\u{1b}]8;;\
                    https://x.example.org/\u{1b}\\link\u{1b}]8;;\u{7} \u{1b}]0;title\n\u{1b}Pno end".as_bytes();
        let whole = html(&[(Channel::Stdout, text)]);
        assert!(whole.contains("<span class=\"stdout ansi31 ansi1\">röd</span>"), "{whole}");
        assert!(whole.contains(">done \u{20ac}</span>"), "{whole}");
        assert!(whole.contains("<span class=\"stdout ansi30\">link \u{241b}]0;title</span>\n"), "{whole}");
        assert!(whole.ends_with("\u{241b}Pno end</span>"), "{whole}");
        for cut in 1..text.len() {
            assert_eq!(
                html(&[(Channel::Stdout, &text[..cut]), (Channel::Stdout, &text[cut..])]),
                whole,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_is_too_long_for_a_code_is_text() {
        let escape = |text: String| html(&[(Channel::Stdout, format!("\u{1b}{text}").as_bytes())]).contains('\u{241b}');
        let (numbers, title) = (|count| "1;".repeat(count), |count| "x".repeat(count));
        assert!(!escape(format!("[{}m", numbers(30))) && escape(format!("[{}m", numbers(40))));
        assert!(!escape(format!("]{}\u{7}", title(4_000))) && escape(format!("]{}\u{7}", title(5_000))));
        assert!(escape("[1;2\u{e4}m".to_owned()) && escape("]0;title".to_owned()) && escape("Z".to_owned()));
        assert!(!escape("[>4;1mx".to_owned()) && !escape("7".to_owned()));
    }

    #[test]
    fn marked_text_keeps_its_look() {
        let (mut log, mut out) = (LogHtml::new(0), String::new());
        for (marked, text) in [(false, "a\u{1b}[31m"), (true, "b"), (true, "c\n"), (false, "d")] {
            log.mark(marked);
            log.add(&Segment { channel: Channel::Stdout, bytes: text.as_bytes().to_vec() }, &mut out);
        }
        log.finish(&mut out);
        let first = "<span class=\"stdout\">a</span><mark class=\"stdout ansi31\">bc</mark>\n";
        assert!(out.contains(first) && out.ends_with("<span class=\"stdout ansi31\">d</span>"), "{out}");
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        let out = html(&[(Channel::Stdout, b"a\xff\0\xe2\x82")]);
        assert!(out.contains("a\u{fffd}\u{fffd}\u{fffd}"), "{out}");
    }
}
