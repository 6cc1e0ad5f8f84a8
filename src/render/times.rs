//! Moments and durations as pages show them (`reference/webstatus.md` §1.4).
//!
//! Every moment stands in a `<time>` element with its exact value and its shape, so that `public_html/signalbox.js` can
//! show it in the reader's own zone. Without scripts it reads in the server's zone, which the footer names.

use crate::model::Time;
use chrono::{DateTime, Local, SecondsFormat, TimeZone, Utc};
use std::time::Duration;

/// How much of a moment is written out; the whole of it is in the hover text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `05:59`, for what is only foreseen.
    Short,
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
            "short" => Some(Shape::Short),
            "clock" => Some(Shape::Clock),
            "minute" => Some(Shape::Minute),
            "full" => Some(Shape::Full),
            _ => None,
        }
    }

    /// As the script knows it.
    fn name(self) -> &'static str {
        match self {
            Shape::Short => "short",
            Shape::Clock => "clock",
            Shape::Minute => "minute",
            Shape::Full => "full",
        }
    }

    fn format(self) -> &'static str {
        match self {
            Shape::Short => "%H:%M",
            Shape::Clock => "%H:%M:%S",
            Shape::Minute => "%b %d %H:%M",
            Shape::Full => "%a %d %b %Y %H:%M:%S",
        }
    }
}

/// `<time datetime="2026-11-22T05:59:19Z" data-shape="clock" …>05:59:19</time>`
pub fn element(time: Time, shape: Shape) -> String {
    let exact = utc(time).to_rfc3339_opts(SecondsFormat::Secs, true);
    let local = local(time);
    let (shown, hover) = (local.format(shape.format()), local.format("%a %d %b %Y %H:%M:%S %z"));
    let name = shape.name();
    format!("<time datetime=\"{exact}\" data-shape=\"{name}\" title=\"{hover}\">{shown}</time>")
}

/// The day as the waterfall names it where it changes: `Sun 22 Nov 2026`.
pub fn day(time: Time) -> String {
    local(time).format("%a %d %b %Y").to_string()
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
    fn short_durations() {
        assert_eq!(brief(Duration::from_millis(300)), "< 1 s");
        assert_eq!(brief(seconds(192)), "3 min 12 s");
        assert_eq!(brief(seconds(7500)), "2 h 5 min");
        assert_eq!(brief(seconds(86_400)), "1 d");
    }

    #[test]
    fn an_element_has_the_exact_moment_and_its_shape() {
        let element = element(Time::from_seconds(1_795_325_622), Shape::Clock);
        let start = "<time datetime=\"2026-11-22T05:33:42Z\" data-shape=\"clock\" title=\"";
        assert!(element.starts_with(start), "{element}");
    }

    #[test]
    fn headers_have_english_gmt_dates() {
        assert_eq!(http_date(Time::from_seconds(1_795_325_547)), "Sun, 22 Nov 2026 05:32:27 GMT");
    }
}
