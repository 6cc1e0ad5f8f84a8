//! The next moment whose local time matches the fields of a Nightly.
//!
//! When clocks change, what cron does: with an hour given, a moment that the local clock skips comes when the clock
//! has jumped, and one that it shows twice comes once, the first time. With any hour, it comes whenever the clock
//! shows it: every hour that passes has its builds.

use crate::config::Nightly;
use crate::model::Time;
use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike};

/// `None` is any value. Values that no clock shows match nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields {
    pub minute: Option<Vec<u32>>,
    pub hour: Option<Vec<u32>>,
    pub day_of_month: Option<Vec<u32>>,
    pub month: Option<Vec<u32>>,
    /// 0 is Monday.
    pub day_of_week: Option<Vec<u32>>,
}

/// 29 February is never further away than this.
const FURTHEST: u64 = 8 * 366 + 1;

impl Fields {
    pub fn of(config: &Nightly) -> Fields {
        Fields {
            minute: config.minute.clone(),
            hour: config.hour.clone(),
            day_of_month: config.day_of_month.clone(),
            month: config.month.clone(),
            day_of_week: config.day_of_week.clone(),
        }
    }

    /// The first matching moment after `after`; `None` if there is none, as for 30 February.
    pub fn next<Z: TimeZone>(&self, after: Time, zone: &Z) -> Option<Time> {
        let start = zone.timestamp_micros(after.0).single()?.date_naive();
        // From the day before: a skipped moment may come on the day after its own.
        let first = start.checked_sub_days(Days::new(1))?;
        (0..FURTHEST)
            .filter_map(|days| first.checked_add_days(Days::new(days)))
            .filter(|date| self.takes_date(*date))
            .find_map(|date| self.moments(date, zone).into_iter().find(|moment| *moment > after))
    }

    fn takes_date(&self, date: NaiveDate) -> bool {
        let day = takes(&self.day_of_month, date.day());
        let weekday = takes(&self.day_of_week, date.weekday().num_days_from_monday());
        // As cron has it: with both given, either will do.
        let matches = match (&self.day_of_month, &self.day_of_week) {
            (Some(_), Some(_)) => day || weekday,
            _ => day && weekday,
        };
        matches && takes(&self.month, date.month())
    }

    /// The matching moments of a day, sorted.
    fn moments<Z: TimeZone>(&self, date: NaiveDate, zone: &Z) -> Vec<Time> {
        let mut moments = match &self.hour {
            Some(hours) => self.at_hours(hours, date, zone),
            None => self.every_hour(date, zone),
        };
        moments.sort();
        moments
    }

    fn at_hours<Z: TimeZone>(&self, hours: &[u32], date: NaiveDate, zone: &Z) -> Vec<Time> {
        let minutes = self.minute.clone().unwrap_or_else(|| (0..60).collect());
        let times = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)));
        times
            .filter_map(|(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0))
            .filter_map(|time| resolve(date, time, zone))
            .map(time_of)
            .collect()
    }

    fn every_hour<Z: TimeZone>(&self, date: NaiveDate, zone: &Z) -> Vec<Time> {
        let midnight = |date| resolve(date, NaiveTime::MIN, zone);
        let (Some(start), Some(end)) = (midnight(date), date.succ_opt().and_then(midnight)) else { return Vec::new() };
        let minutes =
            std::iter::successors(Some(start), |moment| moment.clone().checked_add_signed(TimeDelta::minutes(1)));
        minutes
            .take_while(|moment| *moment < end)
            .filter(|moment| takes(&self.minute, moment.minute()))
            .map(time_of)
            .collect()
    }
}

fn takes(field: &Option<Vec<u32>>, value: u32) -> bool {
    field.as_ref().is_none_or(|values| values.contains(&value))
}

/// The moment at which a local clock first shows this, or, if it never does, at which it has jumped past it.
fn resolve<Z: TimeZone>(date: NaiveDate, time: NaiveTime, zone: &Z) -> Option<DateTime<Z>> {
    let wanted = date.and_time(time);
    // No clock jumps by more than a day (Samoa, 2011).
    (0..=24 * 60).find_map(|minutes| {
        match zone.from_local_datetime(&wanted.checked_add_signed(TimeDelta::minutes(minutes))?) {
            LocalResult::Single(moment) => Some(moment),
            LocalResult::Ambiguous(first, _) => Some(first),
            LocalResult::None => None,
        }
    })
}

fn time_of<Z: TimeZone>(moment: DateTime<Z>) -> Time {
    Time(moment.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{FixedOffset, NaiveDateTime, Utc};

    /// As in Berlin in 2026: one hour ahead, two from 29 March 01:00 UTC to 25 October 01:00 UTC.
    #[derive(Clone, Debug)]
    struct Berlin;

    impl Berlin {
        fn hours(hours: i32) -> FixedOffset {
            FixedOffset::east_opt(hours * 3600).unwrap()
        }
    }

    impl TimeZone for Berlin {
        type Offset = FixedOffset;

        fn from_offset(_: &FixedOffset) -> Berlin {
            Berlin
        }

        fn offset_from_local_date(&self, date: &NaiveDate) -> LocalResult<FixedOffset> {
            self.offset_from_local_datetime(&date.and_time(NaiveTime::MIN))
        }

        fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<FixedOffset> {
            let fits = |hours| {
                self.offset_from_utc_datetime(&(*local - TimeDelta::hours(hours))) == Berlin::hours(hours as i32)
            };
            match (fits(2), fits(1)) {
                (true, true) => LocalResult::Ambiguous(Berlin::hours(2), Berlin::hours(1)),
                (true, false) => LocalResult::Single(Berlin::hours(2)),
                (false, true) => LocalResult::Single(Berlin::hours(1)),
                (false, false) => LocalResult::None,
            }
        }

        fn offset_from_utc_date(&self, date: &NaiveDate) -> FixedOffset {
            self.offset_from_utc_datetime(&date.and_time(NaiveTime::MIN))
        }

        fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
            let change = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap().and_hms_opt(1, 0, 0).unwrap();
            let summer = change(3, 29) <= *utc && *utc < change(10, 25);
            Berlin::hours(if summer { 2 } else { 1 })
        }
    }

    fn utc(text: &str) -> Time {
        Time(NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp_micros())
    }

    fn next<Z: TimeZone>(fields: &Fields, after: &str, zone: &Z) -> Option<String> {
        let moment = fields.next(utc(after), zone)?;
        Some(DateTime::from_timestamp_micros(moment.0).unwrap().format("%Y-%m-%d %H:%M").to_string())
    }

    fn at(hour: u32, minute: u32) -> Fields {
        Fields { hour: Some(vec![hour]), minute: Some(vec![minute]), ..Fields::default() }
    }

    #[test]
    fn every_night() {
        assert_eq!(next(&at(3, 0), "2026-01-01 02:59", &Utc).unwrap(), "2026-01-01 03:00");
        assert_eq!(next(&at(3, 0), "2026-01-01 03:00", &Utc).unwrap(), "2026-01-02 03:00");
        assert_eq!(next(&at(3, 0), "2026-01-01 03:00", &Berlin).unwrap(), "2026-01-02 02:00");
    }

    #[test]
    fn every_hour_and_every_minute() {
        let hourly = Fields { minute: Some(vec![0]), ..Fields::default() };
        assert_eq!(next(&hourly, "2026-01-01 23:00", &Utc).unwrap(), "2026-01-02 00:00");
        assert_eq!(next(&Fields::default(), "2026-01-01 23:59", &Utc).unwrap(), "2026-01-02 00:00");
    }

    #[test]
    fn days_of_month_and_week_are_joined_by_or() {
        // 2026-01-02 is a Friday, 2026-01-05 a Monday.
        let fields = Fields { day_of_month: Some(vec![2]), day_of_week: Some(vec![0]), ..at(3, 0) };
        assert_eq!(next(&fields, "2026-01-01 00:00", &Utc).unwrap(), "2026-01-02 03:00");
        assert_eq!(next(&fields, "2026-01-02 03:00", &Utc).unwrap(), "2026-01-05 03:00");
        let monday = Fields { day_of_week: Some(vec![0]), ..at(6, 23) };
        assert_eq!(next(&monday, "2026-01-01 00:00", &Utc).unwrap(), "2026-01-05 06:23");
    }

    #[test]
    fn rare_and_impossible_days() {
        let leap = Fields { day_of_month: Some(vec![29]), month: Some(vec![2]), ..at(12, 0) };
        assert_eq!(next(&leap, "2026-01-01 00:00", &Utc).unwrap(), "2028-02-29 12:00");
        let never = Fields { day_of_month: Some(vec![30]), month: Some(vec![2]), ..at(12, 0) };
        assert_eq!(next(&never, "2026-01-01 00:00", &Utc), None);
        assert_eq!(next(&at(25, 0), "2026-01-01 00:00", &Utc), None);
    }

    #[test]
    fn a_skipped_moment_comes_when_the_clock_has_jumped() {
        // 02:30 on 29 March is not shown in Berlin; 03:00 summer time is 01:00 UTC.
        assert_eq!(next(&at(2, 30), "2026-03-28 12:00", &Berlin).unwrap(), "2026-03-29 01:00");
        assert_eq!(next(&at(2, 30), "2026-03-29 01:00", &Berlin).unwrap(), "2026-03-30 00:30");
    }

    #[test]
    fn a_moment_shown_twice_comes_once_with_an_hour_given() {
        assert_eq!(next(&at(2, 30), "2026-10-24 12:00", &Berlin).unwrap(), "2026-10-25 00:30");
        assert_eq!(next(&at(2, 30), "2026-10-25 00:30", &Berlin).unwrap(), "2026-10-26 01:30");
    }

    #[test]
    fn with_any_hour_no_hour_is_left_out_and_none_doubled() {
        let hourly = Fields { minute: Some(vec![30]), ..Fields::default() };
        assert_eq!(next(&hourly, "2026-10-25 00:30", &Berlin).unwrap(), "2026-10-25 01:30");
        assert_eq!(next(&hourly, "2026-10-25 01:30", &Berlin).unwrap(), "2026-10-25 02:30");
        assert_eq!(next(&hourly, "2026-03-29 00:30", &Berlin).unwrap(), "2026-03-29 01:30");
    }
}
