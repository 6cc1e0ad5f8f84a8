//! The order of names that people expect.

use std::cmp::Ordering;

/// Digits compare as numbers, the rest as it is written: `b2` comes before `b10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(one), Some(two)) = (left.chars().next(), right.chars().next()) {
        let order = if one.is_ascii_digit() && two.is_ascii_digit() {
            let (number, rest) = digits(left);
            let (other, other_rest) = digits(right);
            (left, right) = (rest, other_rest);
            number.len().cmp(&other.len()).then_with(|| number.cmp(other))
        } else {
            left = &left[one.len_utf8()..];
            right = &right[two.len_utf8()..];
            one.cmp(&two)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits it starts with, without leading zeros, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_names_count() {
        let mut names = vec!["b10", "b2", "a", "b", "b02x", "linux-9-arm", "linux-10-arm"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "b", "b2", "b02x", "b10", "linux-9-arm", "linux-10-arm"]);
    }
}
