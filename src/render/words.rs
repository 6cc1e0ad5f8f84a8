//! Results and states as words and style classes (`reference/webstatus.md` §1.1).

use crate::model::{BigState, Results};

/// The style class of a result; a running build or step has the class `running`.
pub fn class(results: Option<Results>) -> &'static str {
    results.map_or("running", Results::word)
}

/// The word beside the colour.
pub fn word(results: Option<Results>) -> &'static str {
    class(results)
}

/// The sign of a result where only text goes.
pub fn sign(results: Option<Results>) -> &'static str {
    match results {
        None => "●",
        Some(Results::Success) => "✓",
        Some(Results::Warnings) => "!",
        Some(Results::Failure) => "✗",
        Some(Results::Skipped) => "–",
        Some(Results::Exception | Results::Cancelled) => "‼",
        Some(Results::Retry) => "↻",
    }
}

/// What a build's text says, as one line: `failed compile`.
pub fn line(text: &[String]) -> String {
    text.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")
}

/// The same with a capital first letter, as result lines have it. The rest is left alone: names keep their case.
pub fn sentence(text: &[String]) -> String {
    let line = line(text);
    let mut chars = line.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// 0.8's word for a builder on pages: `waiting` when it is idle and a scheduler has a time for it.
pub fn activity(state: BigState, scheduled: bool) -> &'static str {
    match state {
        BigState::Idle if scheduled => "waiting",
        state => state.word(),
    }
}

/// `1 change`, `3 changes`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `1,000`
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_letter_is_raised() {
        assert_eq!(sentence(&["failed".to_owned(), "".to_owned(), "unitTests".to_owned()]), "Failed unitTests");
        assert_eq!(sentence(&[]), "");
    }

    #[test]
    fn large_numbers_are_read_in_groups() {
        assert_eq!([0, 999, 1_000, 20_045, 1_234_567].map(thousands), ["0", "999", "1,000", "20,045", "1,234,567"]);
    }

    #[test]
    fn people_are_listed_as_in_a_sentence() {
        let names = |names: &[&str]| list(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["ada"]), "ada");
        assert_eq!(names(&["ada", "bob", "eve"]), "ada, bob and eve");
    }
}
