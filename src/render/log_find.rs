//! The lines of a log that hold a text, or that look like errors, found while the log goes by in pieces.
//!
//! Of a text capital letters and small ones are the same (ASCII only). Colour codes are not part of a line, and nothing is
//! found over a line end. What is held is the line that has not ended yet; a line longer than `LONG` is looked through in
//! stretches that overlap, so memory stays small whatever the log holds and wherever its pieces are cut.

use super::error_lines;
use super::log_text::{LogHtml, Part, parts};
use crate::model::{Channel, Segment};
use regex::bytes::{Regex, RegexBuilder};
use std::ops::Range;

/// The longest text looked for, in bytes.
pub const LONGEST_WANTED: usize = 1_000;

/// What is shown of a line, in characters.
const SHOWN: usize = 1_000;

/// The same of one that looks like an error.
const SHOWN_OF_ERROR: usize = 160;

/// Of a match that would be cut off, this many bytes before it are shown.
const BEFORE: usize = 200;

/// The longest line held as a whole, in bytes.
const LONG: usize = 64 * 1024;

/// A match that begins so near the end of a stretch is left to the next one, where all that is shown of it is at hand.
const LATE: usize = LONGEST_WANTED + 4 * SHOWN;

/// Looks for lines in one log.
#[derive(Debug)]
pub struct LogFind {
    wanted: Wanted,
    /// The number of the line that has not ended, from 1.
    line: i64,
    /// The text of that line, or of its stretch, as it came.
    held: Vec<Segment>,
    held_bytes: usize,
    /// The line began before what is held.
    begun_before: bool,
    /// The line has been found: what still comes of it does not matter.
    settled: bool,
}

#[derive(Debug)]
enum Wanted {
    Text(Regex),
    /// What looks like an error, whatever the master says of a command aside.
    Errors,
}

/// A line that was looked for.
#[derive(Debug)]
pub struct FoundLine {
    /// Counted from 1.
    pub number: i64,
    shown: Vec<Segment>,
    /// Where the text is in what is shown, codes aside.
    marks: Vec<Range<usize>>,
    /// There is more of the line than is shown, before and after it.
    cut: (bool, bool),
}

impl LogFind {
    /// `None` if the text is too long to look for, or empty.
    pub fn new(text: &str) -> Option<LogFind> {
        if text.is_empty() || text.len() > LONGEST_WANTED {
            return None;
        }
        let wanted = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).unicode(false).build().ok()?;
        Some(LogFind::from(0, Wanted::Text(wanted)))
    }

    /// Lines that look like errors, in text that starts with line `first`, counted from 0.
    pub fn errors(first: i64) -> LogFind {
        LogFind::from(first, Wanted::Errors)
    }

    fn from(first: i64, wanted: Wanted) -> LogFind {
        LogFind { wanted, line: first + 1, held: Vec::new(), held_bytes: 0, begun_before: false, settled: false }
    }

    /// Looks through one segment more; lines that end in it, or are long, are added to `found`.
    pub fn add(&mut self, segment: &Segment, found: &mut Vec<FoundLine>) {
        self.add_bytes(segment.channel, &segment.bytes, found);
    }

    /// The same for a part of one.
    pub fn add_bytes(&mut self, channel: Channel, mut bytes: &[u8], found: &mut Vec<FoundLine>) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            // Most lines come whole, without codes, and are not wanted: nothing is copied for them.
            if !self.is_passed_over(&bytes[..end]) {
                self.hold(channel, &bytes[..end], found);
            }
            self.end_line(found);
            bytes = &bytes[end + 1..];
        }
        self.hold(channel, bytes, found);
    }

    /// Ends the log: its last line may have no line end.
    pub fn finish(&mut self, found: &mut Vec<FoundLine>) {
        self.end_line(found);
    }

    fn is_passed_over(&self, line: &[u8]) -> bool {
        self.held.is_empty() && line.len() < LONG && !line.contains(&0x1b) && self.wanted.find(line).is_none()
    }

    fn hold(&mut self, channel: Channel, mut bytes: &[u8], found: &mut Vec<FoundLine>) {
        if channel == Channel::Header && matches!(self.wanted, Wanted::Errors) {
            return;
        }
        while !bytes.is_empty() && !self.settled {
            let (now, later) = bytes.split_at(bytes.len().min(LONG - self.held_bytes));
            push(&mut self.held, channel, now);
            self.held_bytes += now.len();
            bytes = later;
            if self.held_bytes == LONG {
                self.end_stretch(found);
            }
        }
    }

    fn end_line(&mut self, found: &mut Vec<FoundLine>) {
        if !self.settled && !self.held.is_empty() {
            let text = without_codes(&self.held);
            if let Some(place) = self.wanted.find(&joined(&text)) {
                found.push(self.line_at(place));
            }
        }
        self.line += 1;
        self.let_go();
        (self.begun_before, self.settled) = (false, false);
    }

    /// Looks through what is held of a long line, and keeps of it what the next stretch needs.
    fn end_stretch(&mut self, found: &mut Vec<FoundLine>) {
        let unfinished = self.take_unfinished_code();
        let text = without_codes(&self.held);
        let bytes = joined(&text);
        let late = bytes.len().saturating_sub(LATE);
        if let Some(place) = self.wanted.find(&bytes).filter(|place| place.start < late) {
            found.push(self.line_at(place));
            self.settled = true;
            self.let_go();
            return;
        }
        // Without its colours: codes have no bound of their own.
        let from = boundary(&bytes, late.saturating_sub(BEFORE));
        self.let_go();
        self.begun_before |= from > 0;
        let mut skipped = from;
        for segment in &text {
            let skip = skipped.min(segment.bytes.len());
            skipped -= skip;
            push(&mut self.held, segment.channel, &segment.bytes[skip..]);
        }
        if let Some(Segment { channel, bytes }) = unfinished {
            push(&mut self.held, channel, &bytes);
        }
        self.held_bytes = self.held.iter().map(|segment| segment.bytes.len()).sum();
    }

    fn let_go(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
    }

    /// Takes off the beginning of a code at the end, which may become one with what comes.
    fn take_unfinished_code(&mut self) -> Option<Segment> {
        let last = self.held.last_mut()?;
        let length = match parts(&last.bytes).last() {
            Some(Part::Unfinished(code)) => code.len(),
            _ => return None,
        };
        let bytes = last.bytes.split_off(last.bytes.len() - length);
        Some(Segment { channel: last.channel, bytes })
    }

    /// The held line around a match in its text.
    fn line_at(&self, place: Range<usize>) -> FoundLine {
        let text = joined(&without_codes(&self.held));
        let most = self.wanted.shown();
        // From the beginning, if the match can be seen there.
        let from = match characters(&text[..place.end]) <= most {
            true => 0,
            false => boundary(&text, place.start.saturating_sub(BEFORE.min(most / 4))),
        };
        let (shown, more) = window(&self.held, from, most);
        FoundLine {
            number: self.line,
            shown,
            marks: self.wanted.marks(&text, from),
            cut: (self.begun_before || from > 0, more),
        }
    }
}

impl Wanted {
    fn find(&self, line: &[u8]) -> Option<Range<usize>> {
        match self {
            Wanted::Text(text) => text.find(line).map(|place| place.range()),
            Wanted::Errors => error_lines::find(line),
        }
    }

    /// Where in what is shown of a line, which begins at `from`.
    fn marks(&self, line: &[u8], from: usize) -> Vec<Range<usize>> {
        match self {
            Wanted::Text(text) => text.find_iter(&line[from..]).take(SHOWN).map(|place| place.range()).collect(),
            Wanted::Errors => Vec::new(),
        }
    }

    /// How much is shown of a line, in characters.
    fn shown(&self) -> usize {
        match self {
            Wanted::Text(_) => SHOWN,
            Wanted::Errors => SHOWN_OF_ERROR,
        }
    }
}

impl FoundLine {
    /// The line as plain text, with dots where it was cut.
    pub fn text(&self) -> String {
        let text = joined(&without_codes(&self.shown));
        let text: String = String::from_utf8_lossy(&text).chars().map(plain).collect();
        let [before, after] = [self.cut.0, self.cut.1].map(|cut| if cut { "…" } else { "" });
        format!("{before}{}{after}", text.trim())
    }

    /// Adds the line with its number, which links to the line in the log at `href`.
    pub fn html(&self, href: &str, out: &mut String) {
        let mut html = LogHtml::leading_to(href, self.number - 1);
        let dots = |segment: Option<&Segment>| Segment {
            channel: segment.map_or(Channel::Stdout, |segment| segment.channel),
            bytes: "…".as_bytes().to_vec(),
        };
        if self.cut.0 {
            html.add(&dots(self.shown.first()), out);
        }
        self.marked(&mut html, out);
        let mut end = Segment { channel: Channel::Stdout, bytes: Vec::new() };
        if self.cut.1 {
            end = dots(self.shown.last());
        }
        end.bytes.push(b'\n');
        html.add(&end, out);
        html.finish(out);
    }
}

impl FoundLine {
    /// Adds what is shown, with what was looked for marked.
    fn marked(&self, html: &mut LogHtml, out: &mut String) {
        let (mut at, mut marks) = (0, self.marks.iter().peekable());
        for Segment { channel, bytes } in &self.shown {
            let mut add = |bytes: &[u8], marked| {
                html.mark(marked);
                html.add(&Segment { channel: *channel, bytes: bytes.to_vec() }, out);
            };
            for part in parts(bytes) {
                let mut text = match part {
                    Part::Text(text) | Part::Unfinished(text) => text,
                    Part::Code(code) => {
                        add(code, false);
                        continue;
                    }
                };
                while !text.is_empty() {
                    marks.next_if(|mark| mark.end <= at);
                    let (marked, end) = match marks.peek() {
                        Some(mark) if mark.start <= at => (true, mark.end),
                        Some(mark) => (false, mark.start),
                        None => (false, usize::MAX),
                    };
                    let (now, later) = text.split_at(text.len().min(end - at));
                    add(now, marked);
                    (at, text) = (at + now.len(), later);
                }
            }
        }
        html.mark(false);
    }
}

/// What has no look of its own is shown as such.
fn plain(c: char) -> char {
    match c {
        '\t' | '\r' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

fn push(segments: &mut Vec<Segment>, channel: Channel, bytes: &[u8]) {
    match segments.last_mut() {
        _ if bytes.is_empty() => {}
        Some(last) if last.channel == channel => last.bytes.extend_from_slice(bytes),
        _ => segments.push(Segment { channel, bytes: bytes.to_vec() }),
    }
}

fn without_codes(segments: &[Segment]) -> Vec<Segment> {
    let mut text = Vec::new();
    for segment in segments {
        for part in parts(&segment.bytes) {
            match part {
                // One that nothing follows is text, as it is on the log's page.
                Part::Text(bytes) | Part::Unfinished(bytes) => push(&mut text, segment.channel, bytes),
                Part::Code(_) => {}
            }
        }
    }
    text
}

fn joined(segments: &[Segment]) -> Vec<u8> {
    segments.iter().flat_map(|segment| &segment.bytes).copied().collect()
}

/// What is shown from byte `from` of the text on, `most` characters, with its codes, those from before included; and
/// whether there is more text after it.
fn window(segments: &[Segment], from: usize, most: usize) -> (Vec<Segment>, bool) {
    let (mut shown, mut skipped, mut left) = (Vec::new(), from, most);
    for segment in segments {
        for part in parts(&segment.bytes) {
            match part {
                Part::Code(code) => push(&mut shown, segment.channel, code),
                Part::Text(bytes) | Part::Unfinished(bytes) => {
                    let skip = skipped.min(bytes.len());
                    skipped -= skip;
                    let bytes = &bytes[skip..];
                    let starts = bytes.iter().enumerate().filter(|&(_, &byte)| starts_character(byte));
                    if let Some((end, _)) = starts.clone().nth(left) {
                        push(&mut shown, segment.channel, &bytes[..end]);
                        return (shown, true);
                    }
                    left -= starts.count();
                    push(&mut shown, segment.channel, bytes);
                }
            }
        }
    }
    (shown, false)
}

fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| starts_character(byte)).count()
}

/// The first beginning of a character at `place` or soon after it.
fn boundary(bytes: &[u8], place: usize) -> usize {
    let inside = bytes[place..].iter().take(3).take_while(|&&byte| !starts_character(byte)).count();
    place + inside
}

fn starts_character(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, as HTML, when the log comes in these pieces.
    fn find(text: &str, pieces: &[(Channel, &[u8])]) -> String {
        let (mut find, mut found, mut out) = (LogFind::new(text).unwrap(), Vec::new(), String::new());
        for (channel, bytes) in pieces {
            find.add(&Segment { channel: *channel, bytes: bytes.to_vec() }, &mut found);
        }
        find.finish(&mut found);
        found.iter().for_each(|line| line.html("log", &mut out));
        out
    }

    fn numbers(text: &str, log: &[u8]) -> Vec<i64> {
        let (mut find, mut found) = (LogFind::new(text).unwrap(), Vec::new());
        find.add(&Segment { channel: Channel::Stdout, bytes: log.to_vec() }, &mut found);
        find.finish(&mut found);
        found.iter().map(|line| line.number).collect()
    }

    #[test]
    fn lines_are_found_by_plain_text_in_any_case() {
        let log = "An Error\n\nerr.r\nno\r\nlast ERROR: rÖd".as_bytes();
        assert_eq!(numbers("error", log), [1, 5]);
        assert_eq!(numbers("r.R", log), [3]);
        assert_eq!(numbers("RÖD", log), [5]);
        assert_eq!(numbers("röd", log), [] as [i64; 0], "only ASCII letters are folded");
        assert_eq!(numbers("error\n", log), [] as [i64; 0]);
        assert_eq!(numbers("o", b""), [] as [i64; 0]);
        assert!(LogFind::new("").is_none() && LogFind::new(&"x".repeat(1_001)).is_none());
    }

    #[test]
    fn pieces_may_be_cut_anywhere() {
        let text = "one\nx \u{1b}[31mR\u{1b}[1möd\u{1b}[0mEr <b>\r\n\u{1b}\u{1b}[3röder\nröde\nr".as_bytes();
        let whole = find("RöDER", &[(Channel::Stderr, text)]);
        assert_eq!(
            whole,
            "<a id=\"L2\" href=\"log#L2\">2</a><span class=\"stderr\">x </span><mark class=\"stderr ansi31\">R</mark>\
             <mark class=\"stderr ansi31 ansi1\">öd</mark><mark class=\"stderr\">Er</mark>\
             <span class=\"stderr\"> &lt;b&gt;</span>\n"
        );
        for cut in 1..text.len() {
            let pieces = [(Channel::Stderr, &text[..cut]), (Channel::Stderr, &text[cut..])];
            assert_eq!(find("RöDER", &pieces), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_goes_on_over_channels() {
        let out = find("ab", &[(Channel::Stdout, b"\nxa"), (Channel::Stderr, b"b\n"), (Channel::Stdout, b"a\nb\n")]);
        assert_eq!(
            out,
            "<a id=\"L2\" href=\"log#L2\">2</a><span class=\"stdout\">x</span><mark class=\"stdout\">a</mark>\
             <mark class=\"stderr\">b</mark>\n"
        );
    }

    #[test]
    fn each_place_in_a_line_is_marked() {
        let out = find("aa", &[(Channel::Stdout, b"aaa Aa <aa>aa\n")]);
        let marked: Vec<&str> = out.split("<mark class=\"stdout\">").skip(1).collect();
        assert_eq!(
            marked.iter().map(|rest| &rest[..9]).collect::<Vec<_>>(),
            ["aa</mark>", "Aa</mark>", "aa</mark>", "aa</mark>"]
        );
        assert!(out.ends_with("&gt;</span><mark class=\"stdout\">aa</mark>\n"), "{out}");
    }

    #[test]
    fn a_long_line_is_searched_over_its_stretches_and_shown_where_it_matches() {
        let before = "ä".repeat(BEFORE / 2);
        for place in [LONG - LATE - 3, LONG - 6, LONG - 1, LONG, 3 * LONG + 77] {
            let start = place / 2;
            let line = format!("{}Needle{}\nneedle", "ä".repeat(start), "é".repeat(150_000));
            let whole = find("needle", &[(Channel::Stdout, line.as_bytes())]);
            let after = "é".repeat(SHOWN - 6 - 100);
            let expected = format!(
                "<span class=\"stdout\">…{before}</span><mark class=\"stdout\">Needle</mark><span class=\"stdout\">{after}…</span>\n"
            );
            let (first, rest) = whole.split_once("</a>").unwrap();
            assert_eq!(first, "<a id=\"L1\" href=\"log#L1\">1", "{place}");
            let (shown, last) = rest.split_once("<a id=\"L2\"").unwrap();
            assert_eq!(shown, expected, "{place}");
            assert!(last.contains("needle"), "{place}");
            let pieces: Vec<(Channel, &[u8])> = line.as_bytes().chunks(1_013).map(|c| (Channel::Stdout, c)).collect();
            assert_eq!(find("needle", &pieces), whole, "{place}");
        }
    }

    #[test]
    fn nothing_grows_with_a_line() {
        let mut find = LogFind::new("needle").unwrap();
        let (mut found, codes) = (Vec::new(), "\u{1b}[1mx\u{1b}[0m".repeat(5_000).into_bytes());
        for _ in 0..50 {
            find.add(&Segment { channel: Channel::Stdout, bytes: codes.clone() }, &mut found);
            assert!(find.held_bytes <= LONG && find.held.len() == 1);
        }
        find.add(&Segment { channel: Channel::Stdout, bytes: b"nee\x1b[1mdle\n".to_vec() }, &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(characters(&joined(&without_codes(&found[0].shown))), BEFORE + 6);
    }

    #[test]
    fn errors_are_found_with_the_number_of_their_line() {
        let (mut find, mut found) = (LogFind::errors(9), Vec::new());
        for (channel, text) in [
            (Channel::Header, "grep 'error: ' log\n in dir\n".to_owned()),
            (Channel::Stdout, "fine\n\u{1b}[31mx.c:3: \u{1b}[1merr".to_owned()),
            (Channel::Stderr, "or:\u{1b}[0m\tit \u{7}broke\r\n".to_owned()),
            (Channel::Stdout, format!("{} ERROR {}", "a".repeat(500), "b".repeat(500))),
        ] {
            find.add(&Segment { channel, bytes: text.into_bytes() }, &mut found);
        }
        find.finish(&mut found);
        let told: Vec<_> = found.iter().map(|line| (line.number, line.text())).collect();
        let long = format!("…{} ERROR {}…", "a".repeat(39), "b".repeat(160 - 39 - 7));
        assert_eq!(told, [(13, "x.c:3: error: it \u{fffd}broke".to_owned()), (14, long)]);
    }

    #[test]
    fn long_lines_that_match_at_once_are_cut_at_their_end_only() {
        let line = format!("needle{}\n", "x".repeat(2_000));
        let out = find("needle", &[(Channel::Header, line.as_bytes())]);
        let rest = "x".repeat(SHOWN - 6);
        assert!(out.contains(&format!(">needle</mark><span class=\"header\">{rest}…</span>\n")), "{out}");
    }
}
