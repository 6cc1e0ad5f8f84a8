//! Where a line of a log is shown.

use super::LONG;
use crate::model::Log;

/// Of a log that is not shown whole, this many lines around one are.
const AROUND: i64 = 500;

/// The page of one log.
pub struct Place {
    href: String,
    is_long: bool,
}

impl Place {
    pub fn of(href: String, log: &Log) -> Place {
        Place { href, is_long: log.lines > LONG }
    }

    /// The line itself, on a page that shows it.
    pub fn line(&self, line: i64) -> String {
        format!("{}#L{line}", self.page(line))
    }

    /// The page on which a line is to be found.
    pub fn page(&self, line: i64) -> String {
        if self.is_long { self.lines_around(line) } else { self.href.clone() }
    }

    /// The line itself, for those who are shown other lines.
    pub fn around(&self, line: i64) -> String {
        format!("{}#L{line}", self.lines_around(line))
    }

    fn lines_around(&self, line: i64) -> String {
        format!("{}?lines={}-{}", self.href, (line - AROUND).max(1), line + AROUND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_long_log_are_shown_with_those_around_them() {
        let place = |is_long| Place { href: "x".to_owned(), is_long };
        assert_eq!(place(false).line(7), "x#L7");
        assert_eq!(place(false).around(700), "x?lines=200-1200#L700");
        assert_eq!(place(true).line(7), "x?lines=1-507#L7");
        assert_eq!(place(true).page(30_000), "x?lines=29500-30500");
    }
}
