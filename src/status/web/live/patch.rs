//! What becomes of the lines of a page, those aside in which only something counts on.

use crate::render::counted::still;
use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};
use std::time::{Duration, Instant};

/// Longer than this is not searched for a short patch; a longer one does as well.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many lines `old` has; and from its end to its start: where, how many lines go, and which come in their place.
pub fn between(old: &str, new: &str) -> (usize, Value) {
    let (old_still, new_still) = (still(old), still(new));
    let [old, new_still, new]: [Vec<&str>; 3] = [&*old_still, &*new_still, new].map(|text| text.split('\n').collect());
    let operations = capture_diff_slices_deadline(Algorithm::Myers, &old, &new_still, Some(Instant::now() + PATIENCE));
    let piece = |operation: DiffOp| match operation {
        DiffOp::Equal { .. } => None,
        DiffOp::Delete { old_index, old_len, .. } => Some(json!([old_index, old_len, []])),
        DiffOp::Insert { old_index, new_index, new_len } => {
            Some(json!([old_index, 0, new[new_index..new_index + new_len]]))
        }
        DiffOp::Replace { old_index, old_len, new_index, new_len } => {
            Some(json!([old_index, old_len, new[new_index..new_index + new_len]]))
        }
    };
    (old.len(), operations.into_iter().rev().filter_map(piece).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the browser does it.
    fn apply(old: &str, patch: &Value) -> String {
        let mut lines: Vec<String> = old.split('\n').map(str::to_owned).collect();
        for piece in patch.as_array().unwrap() {
            let number = |index: usize| piece[index].as_u64().unwrap() as usize;
            let new = piece[2].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned());
            lines.splice(number(0)..number(0) + number(1), new);
        }
        lines.join("\n")
    }

    #[test]
    fn only_what_changed_is_said() {
        assert_eq!(between("a\nb\nc", "a\nb\nc"), (3, json!([])));
        assert_eq!(between("a\nb\nc", "a\nx\nc\nd"), (3, json!([[3, 0, ["d"]], [1, 1, ["x"]]])));
    }

    #[test]
    fn what_counts_goes_with_its_line() {
        let line =
            |words: &str, rest: &str| format!("a\n<span data-count=\"for\" data-at=\"1\">{words}</span>{rest}\nc");
        assert_eq!(between(&line("3 s", ""), &line("4 s", "")), (3, json!([])));
        let said = "<span data-count=\"for\" data-at=\"1\">4 s</span> on w2";
        assert_eq!(between(&line("3 s", " on w1"), &line("4 s", " on w2")), (3, json!([[1, 1, [said]]])));
    }

    proptest! {
        #[test]
        fn a_patch_makes_the_new_text_of_the_old(old in "[abc\n]{0,40}", new in "[abc\n]{0,40}") {
            prop_assert_eq!(apply(&old, &between(&old, &new).1), new);
        }
    }
}
