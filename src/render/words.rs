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

/// `a`, `a and b`, `a, b and c`.
pub fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Natural order of names: runs of digits compare as numbers, so `b2` comes before `b10`.
pub fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    fn parts(name: &str) -> Vec<(bool, u128, &str)> {
        let mut parts = Vec::new();
        let mut rest = name;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
            let (part, later) = rest.split_at(end);
            // Longer than 38 digits is a name, not a number.
            let number = if digits { part.parse().unwrap_or(u128::MAX) } else { 0 };
            parts.push((!digits, number, part));
            rest = later;
        }
        parts
    }
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Ordering;

    #[test]
    fn numbers_in_names_count() {
        assert_eq!(natural("b2", "b10"), Ordering::Less);
        assert_eq!(natural("b10", "b10a"), Ordering::Less);
        assert_eq!(natural("a", "b1"), Ordering::Less);
        assert_eq!(natural("9", "a"), Ordering::Less);
    }

    #[test]
    fn only_the_first_letter_is_raised() {
        assert_eq!(sentence(&["failed".to_owned(), "".to_owned(), "unitTests".to_owned()]), "Failed unitTests");
        assert_eq!(sentence(&[]), "");
    }

    #[test]
    fn people_are_listed_as_in_a_sentence() {
        let names = |names: &[&str]| list(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["ada"]), "ada");
        assert_eq!(names(&["ada", "bob", "eve"]), "ada, bob and eve");
    }
}
