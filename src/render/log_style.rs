//! Colours and the like in log text, as escape sequences set them (ECMA-48's SGR), and the style classes they get.
//!
//! There is a class for each of the sixteen colours; those of a larger palette get the nearest. On a background of its own
//! text is dark whatever colour it asks for: so everybody can read it, by day and by night.

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// By the code that sets it: 30 to 37, 90 to 97.
    colour: Option<u8>,
    /// By the code of the same colour for text.
    background: Option<u8>,
    /// A bit for each of those in force, by its code.
    effects: u16,
}

const BOLD: u16 = 1;
const DIM: u16 = 2;
const ITALIC: u16 = 3;
const UNDERLINED: u16 = 4;
const INVERSE: u16 = 7;
const STRUCK: u16 = 9;

impl Style {
    /// Takes the numbers between `ESC [` and `m`.
    pub fn set(&mut self, numbers: &[u8]) {
        let text = String::from_utf8_lossy(numbers);
        let mut parameters = text.split(';');
        while let Some(parameter) = parameters.next() {
            let parts: Vec<u16> = parameter.split(':').map(number).collect();
            match parts[0] {
                0 => *self = Style::default(),
                UNDERLINED if parts.get(1) == Some(&0) => self.unset(UNDERLINED),
                code @ (BOLD | DIM | ITALIC | UNDERLINED | INVERSE | STRUCK) => self.effects |= 1 << code,
                21 => self.effects |= 1 << UNDERLINED,
                22 => {
                    self.unset(BOLD);
                    self.unset(DIM);
                }
                code @ (23 | 24 | 27 | 29) => self.unset(code - 20),
                code @ (30..=37 | 90..=97) => self.colour = u8::try_from(code).ok(),
                code @ (40..=47 | 100..=107) => self.background = u8::try_from(code - 10).ok(),
                39 => self.colour = None,
                49 => self.background = None,
                code @ (38 | 48) => {
                    let colour = match parts.as_slice() {
                        // What follows belongs to it.
                        [_] => colour(parameters.by_ref().map(number)),
                        // There may be the name of a colour space before the three parts.
                        [_, 2, _, rest @ ..] if rest.len() >= 3 => nearest([rest[0], rest[1], rest[2]]),
                        [_, rest @ ..] => colour(rest.iter().copied()),
                        [] => None,
                    };
                    let place = if code == 38 { &mut self.colour } else { &mut self.background };
                    *place = colour.or(*place);
                }
                _ => {}
            }
        }
    }

    fn unset(&mut self, code: u16) {
        self.effects &= !(1 << code);
    }

    fn has(self, code: u16) -> bool {
        self.effects & (1 << code) != 0
    }

    /// Adds the classes, each with a blank before it.
    pub fn classes(self, out: &mut String) {
        let (colour, background) = match self.has(INVERSE) {
            true => (self.background, self.colour),
            false => (self.colour, self.background),
        };
        match (background, colour) {
            (Some(background), _) => out.push_str(&format!(" ansi{}", background + 10)),
            (None, _) if self.has(INVERSE) => out.push_str(" ansi7"),
            (None, Some(colour)) => out.push_str(&format!(" ansi{colour}")),
            (None, None) => {}
        }
        for effect in [BOLD, DIM, ITALIC, UNDERLINED, STRUCK].into_iter().filter(|&effect| self.has(effect)) {
            out.push_str(&format!(" ansi{effect}"));
        }
    }
}

/// Nothing is 0; what is no number means nothing.
fn number(text: &str) -> u16 {
    if text.is_empty() { 0 } else { text.parse().unwrap_or(u16::MAX) }
}

/// Of `5;N` or `2;RED;GREEN;BLUE`.
fn colour(mut numbers: impl Iterator<Item = u16>) -> Option<u8> {
    match numbers.next()? {
        5 => of_256(numbers.next()?),
        2 => nearest([numbers.next()?, numbers.next()?, numbers.next()?]),
        _ => None,
    }
}

/// First the sixteen, then a cube of six shades of each part, then greys.
fn of_256(number: u16) -> Option<u8> {
    let shade = |shade: u16| if shade == 0 { 0 } else { 55 + 40 * shade };
    match number {
        0..16 => Some(code(number as u8)),
        16..232 => nearest([(number - 16) / 36, (number - 16) / 6 % 6, (number - 16) % 6].map(shade)),
        232..256 => nearest([8 + 10 * (number - 232); 3]),
        _ => None,
    }
}

/// The sixteen as terminals show them.
const SIXTEEN: [[u16; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

fn nearest(parts: [u16; 3]) -> Option<u8> {
    let off =
        |one: &[u16; 3]| -> u32 { one.iter().zip(parts).map(|(a, b)| u32::from(a.abs_diff(b.min(255))).pow(2)).sum() };
    let (number, _) = (0..).zip(&SIXTEEN).min_by_key(|(_, one)| off(one))?;
    Some(code(number))
}

/// The code for text in one of the sixteen.
fn code(number: u8) -> u8 {
    if number < 8 { 30 + number } else { 82 + number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(codes: &[&str]) -> String {
        let (mut style, mut out) = (Style::default(), String::new());
        codes.iter().for_each(|numbers| style.set(numbers.as_bytes()));
        style.classes(&mut out);
        out.trim().to_owned()
    }

    #[test]
    fn effects_are_set_and_taken_back() {
        assert_eq!(classes(&["1;2;3", "4;9;31"]), "ansi31 ansi1 ansi2 ansi3 ansi4 ansi9");
        assert_eq!(classes(&["1;2;3;4;9", "22"]), "ansi3 ansi4 ansi9");
        assert_eq!(classes(&["1;2;3;4;9", "23;24;29"]), "ansi1 ansi2");
        for all in ["", "0", "00", ";", "1;0"] {
            assert_eq!(classes(&["1;31;44;7", all]), "", "{all}");
        }
        assert_eq!(classes(&["21"]), "ansi4");
        assert_eq!((classes(&["4:3"]).as_str(), classes(&["4", "4:0"]).as_str()), ("ansi4", ""));
        assert_eq!(classes(&["31", "999999999999", "x", "5;8;53"]), "ansi31", "what is not known changes nothing");
    }

    #[test]
    fn on_a_background_text_is_dark() {
        assert_eq!(classes(&["97;41"]), "ansi41");
        assert_eq!(classes(&["97;41", "49"]), "ansi97");
        assert_eq!(classes(&["104;1"]), "ansi104 ansi1");
        assert_eq!(classes(&["7"]), "ansi7");
        assert_eq!(classes(&["7;31"]), "ansi41");
        assert_eq!(classes(&["7;42"]), "ansi7");
        assert_eq!(classes(&["7;31;42", "27"]), "ansi42");
        assert_eq!(classes(&["7;31", "39"]), "ansi7");
    }

    #[test]
    fn larger_palettes_have_the_nearest_colour() {
        for (numbers, class) in [
            ("38;5;1", "ansi31"),
            ("38;5;12", "ansi94"),
            ("48;5;9", "ansi101"),
            ("38;5;208", "ansi33"),
            ("38;5;196", "ansi91"),
            ("38;5;22", "ansi30"),
            ("38;5;244", "ansi90"),
            ("38;5;255", "ansi37"),
            ("38;2;250;5;5;1", "ansi91 ansi1"),
            ("48;2;0;200;210", "ansi46"),
            ("38:5:2", "ansi32"),
            ("38:2:0:200:210;1", "ansi36 ansi1"),
            ("38:2::0:200:210", "ansi36"),
            ("38;2;99999;0;0", "ansi91"),
        ] {
            assert_eq!(classes(&[numbers]), class, "{numbers}");
        }
        for cut in ["38", "38;5", "38;2;1;2", "38;5;256", "38:", "38:2", "38:5"] {
            assert_eq!(classes(&["31", cut]), "ansi31", "{cut}");
        }
    }
}
