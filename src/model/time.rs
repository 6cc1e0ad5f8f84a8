use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment: whole microseconds since 1970-01-01 00:00 UTC.
///
/// Stored and sent as this integer everywhere, because text timestamps do not compare equal
/// across database engines. Buildbot's own formats show seconds: see [`Time::seconds`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// A moment given in whole seconds since the epoch, as change sources give it.
    pub fn from_seconds(seconds: i64) -> Time {
        Time(seconds.saturating_mul(1_000_000))
    }

    /// Seconds since the epoch with their fraction, as JSON and the pushes of 0.8 show it.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1_000_000.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn whole_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    /// Seconds with six digits, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.whole_seconds(), self.0.rem_euclid(1_000_000))
    }
}
