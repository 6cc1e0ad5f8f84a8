//! Log text is what came in, whichever part of it is asked for.

use super::model::happen;
use crate::support::database::{Place, on_both_engines};
use crate::support::facts::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use signalbox::db::{Db, DbError, logs};
use signalbox::model::*;

on_both_engines![
    any_range_reads_as_the_plain_text_would,
    long_lines_and_many_pieces_are_read_in_part,
    a_trickle_does_not_become_a_row_per_line,
    text_for_an_unknown_log_is_refused,
];

/// A build with so many logs, numbered from 1.
fn with_logs(place: &Place, count: i64) -> Db {
    let db = place.open();
    let started = build("linux", 0);
    let begin = [
        Event::BuildStarted { build: started.clone() },
        Event::StepStarted { build: started.reference(), step: step(&started, 0, "compile") },
    ];
    let logs = (1..=count).map(|id| Event::LogStarted {
        build: started.reference(),
        step: 0,
        log: log(id, &format!("log{id}")),
    });
    happen(&db, begin.into_iter().chain(logs));
    db
}

/// The same text with neighbours of one channel joined.
fn joined(segments: impl IntoIterator<Item = Segment>) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::new();
    for segment in segments.into_iter().filter(|segment| !segment.bytes.is_empty()) {
        match joined.last_mut() {
            Some(last) if last.channel == segment.channel => last.bytes.extend(segment.bytes),
            _ => joined.push(segment),
        }
    }
    joined
}

/// Bytes `[from, to)` of a text.
fn part(text: &[Segment], from: usize, to: usize) -> Vec<Segment> {
    let mut start = 0;
    let cut = text.iter().map(|segment| {
        let (begin, end) = (start, start + segment.bytes.len());
        start = end;
        let (from, to) = (from.clamp(begin, end), to.clamp(begin, end));
        Segment { channel: segment.channel, bytes: segment.bytes[from - begin..to.max(from) - begin].to_vec() }
    });
    joined(cut)
}

/// Where each line starts, and the end of the text.
fn line_starts(text: &[Segment]) -> Vec<usize> {
    let bytes = text.iter().flat_map(|segment| &segment.bytes);
    let ends = bytes.enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1);
    std::iter::once(0).chain(ends).collect()
}

fn segment() -> impl Strategy<Value = Segment> {
    let bytes = prop_oneof![
        6 => "[a-c\n]{0,40}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..300),
        1 => (1_000_usize..90_000, 1_usize..200).prop_map(|(length, line)| {
            (0..length).map(|place| if place % line == 0 { b'\n' } else { b'x' }).collect()
        }),
        1 => (10_000_usize..150_000).prop_map(|length| vec![b'y'; length]),
    ];
    (0_u8..3, bytes).prop_map(|(code, bytes)| Segment { channel: Channel::from_code(code).unwrap(), bytes })
}

fn any_range_reads_as_the_plain_text_would(place: &Place) {
    const CASES: u32 = 40;
    let db = with_logs(place, i64::from(CASES));
    let log = std::cell::Cell::new(0);
    let appends = prop::collection::vec(prop::collection::vec(segment(), 0..6), 0..8);
    let ranges = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 8);
    let config = Config { cases: CASES, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(appends, ranges), |(appends, ranges)| {
        log.set(log.get() + 1);
        let id = log.get();
        let text = joined(appends.iter().flatten().cloned());
        let length: usize = text.iter().map(|segment| segment.bytes.len()).sum();
        let starts = line_starts(&text);
        let mut reached = (0, 0);
        for append in appends {
            reached = db.write_blocking(move |conn| logs::append(conn, id, &append)).unwrap();
        }
        prop_assert_eq!(reached, (starts.len() as i64 - 1, length as i64));
        for (one, two) in ranges {
            let (from, max) = (one.index(length + 2), two.index(length + 2));
            let (found, end) = db.read_blocking(|conn| logs::from_byte(conn, id, from as i64, max)).unwrap();
            prop_assert_eq!(&found, &part(&text, from, from + max));
            let read: usize = found.iter().map(|segment| segment.bytes.len()).sum();
            prop_assert_eq!(end, (from + read) as i64);

            let (first, count) = (one.index(starts.len() + 1), two.index(starts.len() + 2));
            let found = db.read_blocking(|conn| logs::lines(conn, id, first as i64, count as i64, usize::MAX)).unwrap();
            let from = starts.get(first).copied().unwrap_or(length);
            let to = starts.get(first + count).copied().unwrap_or(length);
            prop_assert_eq!(found, part(&text, from, to));
        }
        Ok(())
    });
    outcome.unwrap();
}

fn long_lines_and_many_pieces_are_read_in_part(place: &Place) {
    let db = with_logs(place, 1);
    let line = |number: usize| format!("line {number} {}\n", "x".repeat(number % 120));
    let all: Vec<u8> = (0..20_000).flat_map(|number| line(number).into_bytes()).collect();
    let length = all.len();
    let prepared = logs::prepare(&[
        Segment { channel: Channel::Stdout, bytes: all },
        Segment { channel: Channel::Stderr, bytes: vec![b'z'; 300_000] },
        Segment { channel: Channel::Stderr, bytes: b"\nlast".to_vec() },
    ]);
    let reached = db.write_blocking(move |conn| logs::append_prepared(conn, 1, &prepared)).unwrap();
    assert_eq!(reached, (20_001, length as i64 + 300_005));
    let log = db.read_blocking(|conn| logs::by_id(conn, 1)).unwrap().unwrap();
    assert_eq!((log.lines, log.bytes), reached);

    let lines = |first: i64, count: i64, max: usize| -> Vec<u8> {
        let found = db.read_blocking(|conn| logs::lines(conn, 1, first, count, max)).unwrap();
        found.into_iter().flat_map(|segment| segment.bytes).collect()
    };
    assert_eq!(lines(12_345, 2, usize::MAX), [line(12_345), line(12_346)].concat().into_bytes());
    assert_eq!(lines(12_345, 2, 10), line(12_345).as_bytes()[..10]);
    assert_eq!(lines(20_000, 1, 100), [b'z'; 100]);
    assert_eq!(lines(20_000, 1, usize::MAX).len(), 300_001);
    assert_eq!(lines(20_001, 5, usize::MAX), b"last");
    assert_eq!(lines(20_002, 5, usize::MAX), b"");
    assert_eq!(lines(0, 0, usize::MAX), b"");
    assert_eq!(lines(-3, 1, usize::MAX), line(0).into_bytes());
}

fn a_trickle_does_not_become_a_row_per_line(place: &Place) {
    let db = with_logs(place, 1);
    for number in 0..2_000 {
        let channel = if number % 7 == 0 { Channel::Stderr } else { Channel::Stdout };
        let bytes = format!("a line of medium length with the number {number}\n").into_bytes();
        drop(db.write(move |conn| logs::append(conn, 1, &[Segment { channel, bytes: bytes.clone() }])));
    }
    db.write_blocking(|_| Ok(())).unwrap();
    let rows = place.texts("SELECT '' AS value FROM log_chunks").len();
    assert!((4..=8).contains(&rows), "{rows} rows");
    let found = db.read_blocking(|conn| logs::lines(conn, 1, 1_400, 1, 1_000)).unwrap();
    assert_eq!(
        found,
        [Segment { channel: Channel::Stderr, bytes: b"a line of medium length with the number 1400\n".to_vec() }]
    );
}

fn text_for_an_unknown_log_is_refused(place: &Place) {
    let db = with_logs(place, 1);
    let text = [Segment { channel: Channel::Stdout, bytes: b"x".to_vec() }];
    let outcome = db.write_blocking(move |conn| logs::append(conn, 2, &text));
    assert!(matches!(outcome, Err(DbError::NotFound { .. })), "{outcome:?}");
    assert_eq!(db.read_blocking(|conn| logs::by_id(conn, 2)).unwrap(), None);
    assert_eq!(db.read_blocking(|conn| logs::from_byte(conn, 2, 5, 100)).unwrap(), (Vec::new(), 5));
    assert_eq!(db.read_blocking(|conn| logs::lines(conn, 2, 0, 1, 100)).unwrap(), []);
    let nowhere = BuildRef { builder: "linux".to_owned(), number: 0 };
    let found = |step: &'static str, log: &'static str| {
        let build = nowhere.clone();
        db.read_blocking(move |conn| logs::find(conn, &build, step, log)).unwrap().is_some()
    };
    assert_eq!((found("compile", "log1"), found("compile", "log2"), found("test", "log1")), (true, false, false));
}
