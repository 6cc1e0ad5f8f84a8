//! Log text as HTML: channels and colours as spans, lines numbered and linkable.
//!
//! Text comes in pieces cut anywhere: within a character, a colour code or a line end. What is not complete yet waits
//! for the next piece, so the same log gives the same page however it arrived.

use super::html::escape;
use crate::model::{Channel, Segment};

/// The longest escape sequence taken for one; anything longer is text.
const LONGEST_CODE: usize = 32;

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
    colour: Option<u8>,
    bold: bool,
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
    colour: Option<u8>,
    bold: bool,
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
            colour: None,
            bold: false,
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
            (self.colour, self.bold) = (None, false);
        }
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(&segment.bytes);
        let mut text = bytes.as_slice();
        while let Some(&first) = text.first() {
            text = match first {
                0x1b => match code(text) {
                    Code::Whole { numbers, letter, length } => {
                        if letter == b'm' {
                            self.colours(numbers);
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
        let look = Look { channel: self.channel, colour: self.colour, bold: self.bold, marked: self.marked };
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

    fn colours(&mut self, numbers: &[u8]) {
        let text = String::from_utf8_lossy(numbers);
        let mut numbers = text.split(';').map(|number| number.parse::<u16>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => (self.colour, self.bold) = (None, false),
                1 => self.bold = true,
                22 => self.bold = false,
                // 256 and true colours have no class; what follows belongs to them.
                38 | 48 => match numbers.next() {
                    Some(5) => drop(numbers.next()),
                    Some(2) => drop(numbers.nth(2)),
                    _ => {}
                },
                39 => self.colour = None,
                30..=37 | 90..=97 => self.colour = u8::try_from(number).ok(),
                _ => {}
            }
        }
    }
}

impl Look {
    fn element(self) -> &'static str {
        if self.marked { "mark" } else { "span" }
    }

    fn open(self, out: &mut String) {
        out.push_str(&format!("<{} class=\"{}", self.element(), self.channel.word()));
        if let Some(colour) = self.colour {
            out.push_str(&format!(" ansi{colour}"));
        }
        if self.bold {
            out.push_str(" ansi1");
        }
        out.push_str("\">");
    }
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
        numbers: &'a [u8],
        letter: u8,
        length: usize,
    },
    /// It may become one with the next piece.
    Incomplete,
    None,
}

/// The escape sequence at the start of `text`: `ESC [`, digits and `;`, a letter.
fn code(text: &[u8]) -> Code<'_> {
    match text.get(1) {
        None => return Code::Incomplete,
        Some(b'[') => {}
        Some(_) => return Code::None,
    }
    let end = text[2..].iter().position(|byte| !(byte.is_ascii_digit() || *byte == b';'));
    match end {
        None if text.len() > LONGEST_CODE => Code::None,
        None => Code::Incomplete,
        Some(end) if text[2 + end].is_ascii_alphabetic() => {
            Code::Whole { numbers: &text[2..2 + end], letter: text[2 + end], length: end + 3 }
        }
        Some(_) => Code::None,
    }
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
        let text = "x\u{1b}[31;1mröd\u{1b}[0m ok\r\n\u{1b}[2Kdone \u{1b}(B\u{20ac}\r50%\n".as_bytes();
        let whole = html(&[(Channel::Stdout, text)]);
        assert!(whole.contains("<span class=\"stdout ansi31 ansi1\">röd</span>"), "{whole}");
        assert!(whole.contains("done \u{241b}(B"), "{whole}");
        for cut in 1..text.len() {
            assert_eq!(
                html(&[(Channel::Stdout, &text[..cut]), (Channel::Stdout, &text[cut..])]),
                whole,
                "cut at {cut}"
            );
        }
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
