//! Text for people cut into what fits on a line.
//!
//! A line ends at a blank where it can, so that names such as `builder-51` stay whole, and never inside a letter or a
//! colour. Colours and other marks that were on at the end of a line are on at the start of the next one.

/// Puts colours on: `\x03`, and up to two times up to two digits with a comma between.
const COLOUR: char = '\x03';
/// Ends colours and marks.
const RESET: char = '\x0f';
/// Marks that are switched on and off by the same character: bold, monospace, reverse, italic, struck, underlined.
const SWITCHES: [char; 6] = ['\x02', '\x11', '\x16', '\x1d', '\x1e', '\x1f'];

/// The lines of a text, each at most `room` bytes of UTF-8; lines without anything to see are left out.
///
/// Tabs become blanks; what else is a control character and neither a line end nor a mark of mIRC's is left out.
/// A room in which no letter fits beside its marks is exceeded rather than nothing said.
pub fn lines(text: &str, room: usize) -> Vec<String> {
    text.split(['\n', '\r']).flat_map(|line| wrap(&atoms(&clean(line)), room)).collect()
}

/// Without the control characters that have no meaning inside a line.
pub fn clean(line: &str) -> String {
    let kept = |letter: &char| !letter.is_control() || is_mark(*letter);
    line.replace('\t', " ").chars().filter(kept).collect()
}

/// Without marks and colours, too: for names and what is logged.
pub fn plain(line: &str) -> String {
    let clean = clean(line);
    atoms(&clean).into_iter().filter(|atom| !atom.starts_with(is_mark)).collect()
}

fn is_mark(letter: char) -> bool {
    letter == COLOUR || letter == RESET || SWITCHES.contains(&letter)
}

/// What must not be cut: letters, and marks with what belongs to them.
fn atoms(line: &str) -> Vec<&str> {
    let mut atoms = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = if first == COLOUR { 1 + colour_length(&rest[1..]) } else { first.len_utf8() };
        let (atom, after) = rest.split_at(length);
        atoms.push(atom);
        rest = after;
    }
    atoms
}

/// How many bytes after `\x03` belong to it.
fn colour_length(rest: &str) -> usize {
    let digits = |text: &str| text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let front = digits(rest);
    let back = rest[front..].strip_prefix(',').map_or(0, digits);
    if front > 0 && back > 0 { front + 1 + back } else { front }
}

fn wrap(atoms: &[&str], room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut marks = Marks::default();
    let mut rest = atoms;
    while !rest.is_empty() {
        let opening = marks.opening(rest);
        let (line, after) = rest.split_at(end_of_line(rest, room.saturating_sub(opening.len())));
        line.iter().for_each(|atom| marks.note(atom));
        if line.iter().any(|atom| *atom != " " && !atom.starts_with(is_mark)) {
            lines.push(opening + line.concat().trim_end_matches(' '));
        }
        let blanks = after.iter().take_while(|atom| **atom == " ").count();
        rest = &after[blanks..];
    }
    lines
}

/// How many of these make the next line: at least one.
fn end_of_line(atoms: &[&str], room: usize) -> usize {
    let mut size = 0;
    let fits = |atom: &&&str| {
        size += atom.len();
        size <= room
    };
    let fitting = atoms.iter().take_while(fits).count();
    if fitting == atoms.len() || atoms[fitting] == " " {
        return fitting.max(1);
    }
    let last_blank = atoms[..fitting].iter().rposition(|atom| *atom == " ");
    last_blank.filter(|blank| *blank > 0).unwrap_or(fitting).max(1)
}

/// What is on at some place of a line.
#[derive(Default)]
struct Marks {
    front: Option<String>,
    back: Option<String>,
    switches: Vec<char>,
}

impl Marks {
    fn note(&mut self, atom: &str) {
        let mut letters = atom.chars();
        match letters.next() {
            Some(COLOUR) => self.note_colour(letters.as_str()),
            Some(RESET) => *self = Marks::default(),
            Some(switch) if SWITCHES.contains(&switch) => match self.switches.iter().position(|on| *on == switch) {
                Some(place) => drop(self.switches.remove(place)),
                None => self.switches.push(switch),
            },
            _ => {}
        }
    }

    fn note_colour(&mut self, numbers: &str) {
        let two_digits = |number: &str| format!("{number:0>2}");
        match numbers.split_once(',') {
            _ if numbers.is_empty() => (self.front, self.back) = (None, None),
            Some((front, back)) => (self.front, self.back) = (Some(two_digits(front)), Some(two_digits(back))),
            None => self.front = Some(two_digits(numbers)),
        }
    }

    /// What puts all of it on again before these.
    fn opening(&self, before: &[&str]) -> String {
        let mut opening: String = self.switches.iter().collect();
        if let Some(front) = &self.front {
            opening.push(COLOUR);
            opening += front;
            match &self.back {
                Some(back) => opening = opening + "," + back,
                // A comma and a digit of the text would be taken for the second colour.
                None if before.first() == Some(&",") => opening += "\x02\x02",
                None => {}
            }
        }
        opening
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_end_at_blanks_and_names_stay_whole() {
        assert_eq!(lines("one two builder-51 three", 12), ["one two", "builder-51", "three"]);
        assert_eq!(lines("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(lines("a b", 3), ["a b"]);
        assert_eq!(lines("öööö", 5), ["öö", "öö"]);
    }

    #[test]
    fn line_ends_make_lines_and_control_characters_go() {
        assert_eq!(lines("a\r\nQUIT :x\n\n\x00b\x01c\u{85}\x7f\td\n \n", 100), ["a", "QUIT :x", "bc d"]);
    }

    #[test]
    fn colours_go_on_in_the_next_line() {
        assert_eq!(lines("\x034red words here\x0f done", 14), ["\x034red words", "\x0304here\x0f done"]);
        assert_eq!(lines("\x02\x034,1ab cd\x03 ef", 10), ["\x02\x034,1ab", "\x02\x0304,01cd\x03", "\x02ef"]);
        assert_eq!(lines("\x034aaaa,5", 6), ["\x034aaaa", "\x0304\x02\x02,", "\x03045"]);
    }

    #[test]
    fn plain_text_has_no_marks() {
        assert_eq!(plain("\x0304,01failed\x0f \x02now\x02\n"), "failed now");
    }

    fn letters_of(text: &str) -> String {
        plain(&text.replace(['\n', '\r'], " ")).replace(' ', "")
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_every_line_fits(text in "([a-z,0-9é漢😀]{0,9}[ \n\t\r\x00\x01\x02\x03\x0f\x1f]{0,2}){0,30}", room in 32usize..80) {
            let lines = lines(&text, room);
            prop_assert!(lines.iter().all(|line| line.len() <= room));
            prop_assert!(lines.iter().all(|line| !line.contains(['\n', '\r', '\0', '\x01'])));
            prop_assert_eq!(lines.iter().map(|line| letters_of(line)).collect::<String>(), letters_of(&text));
        }

        #[test]
        fn words_that_fit_stay_whole(words in prop::collection::vec("[a-z-]{1,20}", 1..40), room in 20usize..60) {
            let text = words.join(" ");
            let kept: Vec<String> = lines(&text, room).iter().flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
            prop_assert_eq!(kept, words);
        }
    }
}
