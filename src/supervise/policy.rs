use rand::Rng;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How a child that fell is started again.
#[derive(Clone, Debug)]
pub struct Policy {
    pub pause: Pause,
    /// More restarts than this within `window` park the child, or escalate.
    pub max_restarts: usize,
    pub window: Duration,
    pub when_exhausted: WhenExhausted,
}

/// How long a child that fell stays down before it is started again.
#[derive(Clone, Debug)]
pub enum Pause {
    Constant(Duration),
    /// Drawn anew each time, uniformly.
    Random {
        least: Duration,
        most: Duration,
    },
    /// Doubles with each restart in the window.
    Exponential {
        first: Duration,
        cap: Duration,
    },
}

/// What becomes of a child that fell more often than its policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenExhausted {
    /// The child stays down until it is started again by a reconfig; the others go on.
    Park,
    /// The group falls: its parent's strategy decides.
    Escalate,
}

/// Who is restarted when a member of a group fell.
///
/// A group that falls is restarted as a whole. One that keeps falling is parked where its parent is
/// `OneForOne`; where the parent is `RestForOne`, later members cannot do without it, and the parent falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Each child on its own.
    OneForOne,
    /// When one falls, those started after it are restarted too.
    RestForOne,
}

impl Pause {
    /// The pause before the `nth` restart of the window, counted from 1.
    pub(super) fn before(&self, nth: usize) -> Duration {
        match self {
            Pause::Constant(pause) => *pause,
            Pause::Random { least, most } if least < most => rand::rng().random_range(*least..=*most),
            Pause::Random { least, .. } => *least,
            Pause::Exponential { first, cap } => {
                let doublings = u32::try_from(nth.saturating_sub(1)).unwrap_or(u32::MAX);
                first.saturating_mul(2u32.saturating_pow(doublings)).min(*cap)
            }
        }
    }
}

/// The falls of the last while.
#[derive(Debug, Default)]
pub(super) struct Falls(VecDeque<Instant>);

impl Falls {
    /// Notes one more and tells how many there were within `window`, this one included.
    pub(super) fn note(&mut self, now: Instant, window: Duration) -> usize {
        while self.0.front().is_some_and(|fall| now.duration_since(*fall) > window) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len()
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_exponential_pause_doubles_up_to_its_cap() {
        let pause = Pause::Exponential { first: SECOND, cap: 5 * SECOND };
        let pauses: Vec<u64> = (1..=5).map(|nth| pause.before(nth).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        assert_eq!(pause.before(100_000), 5 * SECOND);
    }

    #[test]
    fn a_random_pause_is_drawn_anew_within_its_range() {
        let pause = Pause::Random { least: SECOND, most: 5 * SECOND };
        let drawn: Vec<Duration> = (0..100).map(|nth| pause.before(nth)).collect();
        assert!(drawn.iter().all(|pause| (SECOND..=5 * SECOND).contains(pause)), "{drawn:?}");
        assert!(drawn.iter().any(|pause| *pause != drawn[0]), "always the same");
    }

    #[test]
    fn a_random_range_turned_round_is_its_least() {
        assert_eq!(Pause::Random { least: 2 * SECOND, most: SECOND }.before(1), 2 * SECOND);
    }

    #[test]
    fn falls_out_of_the_window_are_forgotten() {
        let mut falls = Falls::default();
        let start = Instant::now();
        assert_eq!(falls.note(start, SECOND), 1);
        assert_eq!(falls.note(start + SECOND, SECOND), 2);
        assert_eq!(falls.note(start + 3 * SECOND, SECOND), 1);
    }
}
