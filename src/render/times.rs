//! Moments and durations as pages show them (`reference/webstatus.md` §1.4).
//!
//! Every moment stands in a `<time>` element with its exact value and its shape, so that `public_html/signalbox.js` can
//! show it in the reader's own zone. Without scripts it reads in the server's zone, which the footer names.

use crate::model::Time;
use chrono::{DateTime, Datelike, Local, Offset, TimeZone, Timelike, Utc};
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
}

/// `<time datetime="2026-11-22T05:59:19Z" data-shape="clock" …>05:59:19</time>`
pub fn element(time: Time, shape: Shape) -> String {
    let mut out = String::with_capacity(160);
    element_into(&mut out, time, shape);
    out
}

/// Adds the same to a page. Written by hand: a waterfall has hundreds of them, and chrono's formats take ten times as long.
pub fn element_into(out: &mut String, time: Time, shape: Shape) {
    let (utc, local) = (utc(time), local(time));
    out.push_str("<time datetime=\"");
    year(out, utc.year());
    out.push('-');
    digits(out, utc.month());
    out.push('-');
    digits(out, utc.day());
    out.push('T');
    clock(out, &utc);
    out.push_str("Z\" data-shape=\"");
    out.push_str(shape.name());
    out.push_str("\" title=\"");
    written(out, &local, Shape::Full);
    let offset = local.offset().fix().local_minus_utc() / 60;
    out.push_str(if offset < 0 { " -" } else { " +" });
    digits(out, offset.unsigned_abs() / 60);
    digits(out, offset.unsigned_abs() % 60);
    out.push_str("\">");
    written(out, &local, shape);
    out.push_str("</time>");
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn written(out: &mut String, time: &(impl Datelike + Timelike), shape: Shape) {
    match shape {
        Shape::Short => minute(out, time),
        Shape::Clock => clock(out, time),
        Shape::Minute => {
            out.push_str(MONTHS[time.month0() as usize]);
            out.push(' ');
            digits(out, time.day());
            out.push(' ');
            minute(out, time);
        }
        Shape::Full => {
            written_day(out, time);
            out.push(' ');
            clock(out, time);
        }
    }
}

fn written_day(out: &mut String, time: &impl Datelike) {
    out.push_str(DAYS[time.weekday().num_days_from_monday() as usize]);
    out.push(' ');
    digits(out, time.day());
    out.push(' ');
    out.push_str(MONTHS[time.month0() as usize]);
    out.push(' ');
    year(out, time.year());
}

fn clock(out: &mut String, time: &impl Timelike) {
    minute(out, time);
    out.push(':');
    digits(out, time.second());
}

fn minute(out: &mut String, time: &impl Timelike) {
    digits(out, time.hour());
    out.push(':');
    digits(out, time.minute());
}

/// As ISO 8601 has it: four digits, or a sign and what it takes.
fn year(out: &mut String, year: i32) {
    match u32::try_from(year) {
        Ok(year @ 0..10_000) => {
            digits(out, year / 100);
            digits(out, year % 100);
        }
        _ => out.push_str(&format!("{year:+05}")),
    }
}

/// Two of them.
fn digits(out: &mut String, number: u32) {
    for digit in [number / 10 % 10, number % 10] {
        out.push(char::from(b'0' + digit as u8));
    }
}

/// The day as the waterfall names it where it changes: `Sun 22 Nov 2026`.
pub fn day(time: Time) -> String {
    let mut out = String::with_capacity(15);
    written_day(&mut out, &local(time));
    out
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
    fn elements_are_what_chrono_makes_of_them() {
        for seconds in [0, 951_782_399, 1_795_325_622, -1, 253_402_300_800, -62_198_755_201] {
            let (time, utc) = (Time::from_seconds(seconds), utc(Time::from_seconds(seconds)));
            let (exact, hover) = (
                utc.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                utc.with_timezone(&Local).format("%a %d %b %Y %H:%M:%S %z").to_string(),
            );
            for (shape, format) in
                [(Shape::Short, "%H:%M"), (Shape::Minute, "%b %d %H:%M"), (Shape::Full, "%a %d %b %Y %H:%M:%S")]
            {
                let shown = utc.with_timezone(&Local).format(format);
                let name = shape.name();
                let expected =
                    format!("<time datetime=\"{exact}\" data-shape=\"{name}\" title=\"{hover}\">{shown}</time>");
                assert_eq!(element(time, shape), expected);
            }
        }
    }

    #[test]
    fn headers_have_english_gmt_dates() {
        assert_eq!(http_date(Time::from_seconds(1_795_325_547)), "Sun, 22 Nov 2026 05:32:27 GMT");
    }
}
