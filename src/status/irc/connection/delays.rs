//! How long to wait before the next try.

use super::settings::Settings;
use rand::Rng;
use std::time::Duration;

/// After so many failures in a row a drawn delay doubles with each further one.
const PATIENT_AFTER: u32 = 10;
/// No drawn delay grows beyond this.
const LONGEST: Duration = Duration::from_secs(600);
/// A connection that did not stand so long has failed, too: a server that throws us out at once is not asked for ever
/// every few seconds.
pub const STEADY: Duration = Duration::from_secs(60);

/// The tries so far.
#[derive(Debug, Default)]
pub struct Tries {
    failures_in_a_row: u32,
}

impl Tries {
    /// A connection that stood so long is lost. Returns how long to wait.
    pub fn lost(&mut self, stood: Duration, settings: &Settings) -> Duration {
        self.failures_in_a_row = if stood >= STEADY { 0 } else { self.failures_in_a_row.saturating_add(1) };
        self.delay(settings.lost_delay, 1.0, 5.0)
    }

    /// No connection came about, or the server wants none of us. Returns how long to wait.
    pub fn failed(&mut self, settings: &Settings) -> Duration {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.delay(settings.failed_delay, 45.0, 60.0)
    }

    /// A configured delay is kept to; others are drawn anew each time, so that many bots do not come back together.
    fn delay(&self, configured: Option<Duration>, least: f64, most: f64) -> Duration {
        configured.unwrap_or_else(|| {
            let drawn = Duration::from_secs_f64(rand::rng().random_range(least..=most));
            let doublings = self.failures_in_a_row.saturating_sub(PATIENT_AFTER);
            drawn.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST)
        })
    }
}

/// A delay in the words of the log: `60 s`.
pub fn in_words(delay: Duration) -> String {
    format!("{} s", delay.as_secs_f64().ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_are_drawn_anew_within_the_ranges_of_the_manual() {
        let settings = Settings::plain("irc.example.org", 6667, "bb");
        let lost: Vec<Duration> = (0..100).map(|_| Tries::default().lost(STEADY, &settings)).collect();
        assert!(lost.iter().all(|delay| (SECOND..=5 * SECOND).contains(delay)), "{lost:?}");
        assert!(lost.iter().any(|delay| *delay != lost[0]));
        let failed: Vec<Duration> = (0..100).map(|_| Tries::default().failed(&settings)).collect();
        assert!(failed.iter().all(|delay| (45 * SECOND..=60 * SECOND).contains(delay)), "{failed:?}");
    }

    #[test]
    fn ten_failures_in_a_row_make_them_grow_up_to_ten_minutes() {
        let settings = Settings::plain("irc.example.org", 6667, "bb");
        let mut tries = Tries::default();
        assert!((0..10).all(|_| tries.failed(&settings) <= 60 * SECOND));
        assert!(tries.failed(&settings) >= 90 * SECOND);
        assert_eq!((0..100).map(|_| tries.failed(&settings)).last(), Some(LONGEST));
        assert!(tries.lost(STEADY, &settings) <= 5 * SECOND, "one that stood starts anew");
    }

    #[test]
    fn a_server_that_throws_us_out_at_once_is_asked_less_and_less() {
        let settings = Settings::plain("irc.example.org", 6667, "bb");
        let mut tries = Tries::default();
        assert!((0..30).map(|_| tries.lost(SECOND, &settings)).last() > Some(60 * SECOND));
    }

    #[test]
    fn configured_delays_are_kept_to() {
        let settings = Settings {
            lost_delay: Some(2 * SECOND),
            failed_delay: Some(3 * SECOND),
            ..Settings::plain("irc.example.org", 6667, "bb")
        };
        let mut tries = Tries::default();
        assert!((0..50).all(|_| tries.failed(&settings) == 3 * SECOND));
        assert_eq!(tries.lost(SECOND, &settings), 2 * SECOND);
    }
}
