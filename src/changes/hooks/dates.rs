//! Dates as code hosts write them.

use crate::model::Time;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use serde_json::Value;

/// From the year 1 to the year 9999, in seconds: what calendars can show.
const SHOWABLE: std::ops::RangeInclusive<f64> = -62_135_596_800.0..=253_402_300_799.0;

/// From here on a number counts milliseconds; in seconds it would be the year 5138.
const MILLISECONDS: f64 = 100_000_000_000.0;

/// ISO 8601 with `Z`, an offset, ` UTC` or none, which is UTC too; seconds or milliseconds since the epoch.
pub(super) fn read(value: &Value) -> Option<Time> {
    match value {
        Value::Number(number) => seconds(number.as_f64()?),
        Value::String(text) => read_text(text),
        _ => None,
    }
}

/// Seconds or milliseconds since the epoch.
pub(super) fn seconds(number: f64) -> Option<Time> {
    let seconds = if number >= MILLISECONDS { number / 1000.0 } else { number };
    SHOWABLE.contains(&seconds).then(|| Time((seconds * 1_000_000.0).round() as i64))
}

fn read_text(text: &str) -> Option<Time> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let plain = ["UTC", "GMT", "Z", "z"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text).trim_end();
    let with_offset = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"];
    let without = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let zoned = with_offset.iter().find_map(|format| DateTime::parse_from_str(text, format).ok());
    let zoned = zoned.or_else(|| DateTime::parse_from_rfc2822(text).ok()).map(|moment| moment.naive_utc());
    let naive = || without.iter().find_map(|format| NaiveDateTime::parse_from_str(plain, format).ok());
    let day = || NaiveDate::parse_from_str(plain, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    let moment = zoned.or_else(naive).or_else(day)?.and_utc();
    SHOWABLE.contains(&(moment.timestamp() as f64)).then(|| Time(moment.timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_moment_in_the_spellings_of_all_hosts() {
        for same in [
            json!("2012-05-30T03:58:56Z"),
            json!("2012-05-30T05:58:56+02:00"),
            json!("2012-05-30T05:58:56+0200"),
            json!("2012-05-30 03:58:56+00:00"),
            json!("2012-05-30 05:58:56 +0200"),
            json!("2012-05-30 03:58:56 UTC"),
            json!("2012-05-30T03:58:56"),
            json!("2012-05-30T03:58:56.000Z"),
            json!("Wed, 30 May 2012 03:58:56 +0000"),
            json!(1_338_350_336),
            json!(1_338_350_336.0),
            json!(1_338_350_336_000_i64),
            json!("1338350336"),
        ] {
            assert_eq!(read(&same), Some(Time::from_seconds(1_338_350_336)), "{same}");
        }
        assert_eq!(read(&json!("2012-05-30")), Some(Time::from_seconds(1_338_336_000)));
        assert_eq!(read(&json!("1338350336.5")), Some(Time(1_338_350_336_500_000)));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for wrong in
            [json!(null), json!(""), json!("soon"), json!("nan"), json!("inf"), json!(1e300), json!(-1e300), json!([])]
        {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
        assert_eq!(read(&json!("2012-13-30T03:58:56Z")), None);
        assert_eq!(read(&json!("+262000-01-01T00:00:00Z")), None);
    }
}
