//! When a build will probably end, from what its steps took before (`reference/webstatus.md` §1.4).

use crate::model::*;
use std::time::Duration;

/// An estimate is not told again while it moves less than this.
const STEADY: Duration = Duration::from_secs(2);

/// `None` when any step that is still to run, or runs, has never been seen to succeed, or nothing is left to estimate.
///
/// Steps before `from` are done with, whether they ran or not.
pub(super) fn estimate(steps: &[Step], from: usize, now: Time) -> Option<Time> {
    let mut left = 0.0;
    for step in steps.iter().skip(from) {
        let Some(expected) = step.expected_seconds else {
            if step.finished.is_some() {
                continue;
            }
            return None;
        };
        left += match (step.started, step.finished) {
            (_, Some(_)) => 0.0,
            (None, None) => expected,
            (Some(started), None) => (expected - now.since(started).as_secs_f64()).max(0.0),
        };
    }
    Some(now + Duration::from_secs_f64(left.clamp(0.0, 1e9)))
}

/// Whether `new` says something that `told` did not: more than two seconds and more than a twentieth of what is left.
pub(super) fn is_news(told: Option<Time>, new: Option<Time>, now: Time) -> bool {
    match (told, new) {
        (None, None) => false,
        (Some(told), Some(new)) => {
            let moved = told.since(new).max(new.since(told));
            moved > STEADY.max(new.since(now) / 20)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(expected: Option<f64>, started: Option<i64>, finished: Option<i64>) -> Step {
        Step {
            expected_seconds: expected,
            started: started.map(Time::from_seconds),
            finished: finished.map(Time::from_seconds),
            ..Step::new(0, "s")
        }
    }

    #[test]
    fn what_is_left_adds_up() {
        let steps =
            [step(Some(10.0), Some(100), Some(105)), step(Some(20.0), Some(105), None), step(Some(30.0), None, None)];
        assert_eq!(estimate(&steps, 0, Time::from_seconds(110)), Some(Time::from_seconds(155)));
    }

    #[test]
    fn a_step_never_seen_makes_the_end_unknown() {
        assert_eq!(estimate(&[step(None, None, None)], 0, Time(0)), None);
        assert!(estimate(&[step(None, Some(0), Some(1))], 0, Time::from_seconds(1)).is_some());
    }

    #[test]
    fn a_step_over_its_time_counts_as_about_to_end() {
        let now = Time::from_seconds(200);
        assert_eq!(estimate(&[step(Some(10.0), Some(100), None)], 0, now), Some(now));
    }

    #[test]
    fn small_moves_are_not_told() {
        let now = Time::from_seconds(0);
        let at = |seconds| Some(Time::from_seconds(seconds));
        assert!(!is_news(at(100), at(101), now));
        assert!(!is_news(at(100), at(104), now));
        assert!(is_news(at(100), at(110), now));
        assert!(is_news(None, at(1), now));
        assert!(!is_news(None, None, now));
    }
}
