//! Moments and durations as pages show them (`reference/webstatus.md` §1.4).
//!
//! Every moment stands in a `<time>` element with its exact value, so that a page can show it in the reader's own
//! zone. Without help from the page it reads in the server's zone, which the footer names.

use crate::model::Time;
use chrono::{DateTime, Local, SecondsFormat, TimeZone, Utc};
use std::time::Duration;

/// How much of a moment is written out; the whole of it is in the hover text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `05:59:19`
    Clock,
    /// `Nov 22 05:59`, as in lists of builds.
    Minute,
    /// `Sun 22 Nov 2026 05:59:19`
    Full,
}

impl Shape {
    /// The word a template uses for it.
    pub fn named(word: &str) -> Option<Shape> {
        match word {
            "clock" => Some(Shape::Clock),
            "minute" => Some(Shape::Minute),
            "full" => Some(Shape::Full),
            _ => None,
        }
    }

    fn format(self) -> &'static str {
        match self {
            Shape::Clock => "%H:%M:%S",
            Shape::Minute => "%b %d %H:%M",
            Shape::Full => "%a %d %b %Y %H:%M:%S",
        }
    }
}

/// `<time datetime="2026-11-22T05:59:19Z" …>05:59:19</time>`
pub fn element(time: Time, shape: Shape) -> String {
    let exact = utc(time).to_rfc3339_opts(SecondsFormat::Secs, true);
    let local = local(time);
    let (shown, hover) = (local.format(shape.format()), local.format("%a %d %b %Y %H:%M:%S %z"));
    format!("<time datetime=\"{exact}\" title=\"{hover}\">{shown}</time>")
}

/// A moment in the server's zone, for places where no element can stand.
pub fn plain(time: Time, shape: Shape) -> String {
    local(time).format(shape.format()).to_string()
}

/// The day as the waterfall names it where it changes: `Sun` and `22 Nov 2026`.
pub fn day(time: Time) -> (String, String) {
    let local = local(time);
    (local.format("%a").to_string(), local.format("%d %b %Y").to_string())
}

/// The server's zone: `UTC`, `+01:00`.
pub fn zone(now: Time) -> String {
    let offset = local(now).offset().to_string();
    if offset == "+00:00" { "UTC".to_owned() } else { offset }
}

/// `Sun, 22 Nov 2026 05:32:27 GMT`, for headers.
pub fn http_date(time: Time) -> String {
    utc(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// 0.8's form: `2 hrs, 3 mins, 5 secs`; hours above 3600 s, minutes above 60 s.
pub fn duration(duration: Duration) -> String {
    let mut seconds = duration.as_secs();
    let mut parts = Vec::new();
    if seconds > 3600 {
        parts.push(format!("{} hrs", seconds / 3600));
        seconds %= 3600;
    }
    if seconds > 60 {
        parts.push(format!("{} mins", seconds / 60));
        seconds %= 60;
    }
    parts.push(format!("{seconds} secs"));
    parts.join(", ")
}

/// The short form for lists and sentences: `4 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`.
pub fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() > 0 => "< 1 s".to_owned(),
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

/// How long ago: `20 seconds ago`, `about 3 minutes ago`, `about 2 weeks ago`, `a long time ago`.
pub fn age(age: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = age.as_secs();
    let about = |number: u64, unit: &str| format!("about {number} {unit}{} ago", if number == 1 { "" } else { "s" });
    match seconds {
        0..=90 => format!("{seconds} second{} ago", if seconds == 1 { "" } else { "s" }),
        s if s < 90 * MINUTE => about((s as f64 / MINUTE as f64).round() as u64, "minute"),
        s if s < DAY => about((s as f64 / HOUR as f64).round() as u64, "hour"),
        s if s < 14 * DAY => about((s as f64 / DAY as f64).round() as u64, "day"),
        s if s < 60 * DAY => about((s as f64 / (7 * DAY) as f64).round() as u64, "week"),
        _ => "a long time ago".to_owned(),
    }
}

/// A moment beyond what calendars hold is shown as the epoch.
fn utc(time: Time) -> DateTime<Utc> {
    Utc.timestamp_micros(time.0).single().unwrap_or_default()
}

fn local(time: Time) -> DateTime<Local> {
    utc(time).with_timezone(&Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn durations_are_those_of_0_8() {
        assert_eq!(duration(seconds(0)), "0 secs");
        assert_eq!(duration(seconds(60)), "60 secs");
        assert_eq!(duration(seconds(61)), "1 mins, 1 secs");
        assert_eq!(duration(seconds(3600)), "60 mins, 0 secs");
        assert_eq!(duration(seconds(7385)), "2 hrs, 3 mins, 5 secs");
    }

    #[test]
    fn ages_grow_coarser() {
        assert_eq!(age(seconds(1)), "1 second ago");
        assert_eq!(age(seconds(90)), "90 seconds ago");
        assert_eq!(age(seconds(200)), "about 3 minutes ago");
        assert_eq!(age(seconds(3 * 3600)), "about 3 hours ago");
        assert_eq!(age(seconds(100 * 86_400)), "a long time ago");
    }

    #[test]
    fn short_durations() {
        assert_eq!(brief(Duration::from_millis(300)), "< 1 s");
        assert_eq!(brief(seconds(192)), "3 min 12 s");
        assert_eq!(brief(seconds(7500)), "2 h 5 min");
        assert_eq!(brief(seconds(86_400)), "1 d");
    }

    #[test]
    fn an_element_has_the_exact_moment() {
        let element = element(Time::from_seconds(1_795_325_622), Shape::Clock);
        assert!(element.starts_with("<time datetime=\"2026-11-22T05:33:42Z\" title=\""), "{element}");
    }

    #[test]
    fn headers_have_english_gmt_dates() {
        assert_eq!(http_date(Time::from_seconds(1_795_325_547)), "Sun, 22 Nov 2026 05:32:27 GMT");
    }
}
