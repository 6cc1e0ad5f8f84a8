//! What the bot says of builds: durations, results, colours, revisions.
//!
//! Names, texts and authors come from outside: [`clean`] takes out of them what could colour a line, end it or start
//! another, wherever they are put into a sentence.

use crate::model::{Build, Results, Time};
use std::time::Duration;

/// How much of a hash tells a revision from others.
const SHORT: usize = 7;

/// Shorter ones are more likely the numbers of Subversion.
const LEAST_HASH: usize = 12;

/// Without control characters: each becomes a blank.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `42 seconds`, `1m05s`, `3h02m09s`; hours without end.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} seconds"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m{:02}s", seconds / 3600, seconds % 3600 / 60, seconds % 60),
    }
}

/// How long until the build will probably end, where that is known.
pub fn eta(build: &Build, now: Time) -> Option<String> {
    build.eta.map(|eta| duration(eta.since(now)))
}

/// How a build ended, as a sentence has it.
pub fn result(results: Option<Results>) -> &'static str {
    match results {
        Some(Results::Success) => "Success",
        Some(Results::Warnings) => "Warnings",
        Some(Results::Failure) => "Failure",
        Some(Results::Skipped) => "Skipped",
        Some(Results::Exception) => "Exception",
        Some(Results::Retry) => "Retry",
        Some(Results::Cancelled) => "Cancelled",
        None => "??",
    }
}

/// What a finished build says of itself, in the colour of its result.
///
/// Two digits, since a text may begin with one; and an end to all formatting, since another colour code would be open to
/// what follows.
pub fn text(build: &Build, use_colors: bool) -> String {
    let text = plain_text(build);
    match use_colors {
        true => format!("\x03{:02}{text}\x0f", colour(build.results)),
        false => text,
    }
}

/// The same without a colour.
pub fn plain_text(build: &Build) -> String {
    clean(&build.full_text().join(" "))
}

/// The index every client knows.
fn colour(results: Option<Results>) -> u8 {
    match results {
        Some(Results::Success) => 3,
        Some(Results::Warnings) => 8,
        Some(Results::Exception) => 6,
        Some(Results::Retry) => 11,
        Some(Results::Failure | Results::Skipped | Results::Cancelled) | None => 4,
    }
}

/// The revisions of all its changes, hashes cut short: `a87b2c4, 1234`.
pub fn revisions(build: &Build) -> String {
    let short = |revision: &str| {
        let hash = revision.len() >= LEAST_HASH && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let revision = if hash { &revision[..SHORT] } else { revision };
        clean(revision)
    };
    let revisions: Vec<String> =
        build.changes().map(|change| change.revision.as_deref().map_or("None".to_owned(), short)).collect();
    revisions.join(", ")
}

/// ` (including [rev1, rev2] and 3 more)`; nothing for a build without changes.
pub fn including(build: &Build) -> String {
    let whole = |revision: &Option<String>| clean(revision.as_deref().unwrap_or("None"));
    let shown: Vec<String> = build.changes().take(2).map(|change| whole(&change.revision)).collect();
    match build.changes().count() {
        0 => String::new(),
        count @ 1..=2 => format!(" (including [{}])", shown[..count].join(", ")),
        count => format!(" (including [{}] and {} more)", shown.join(", "), count - 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, SourceStamp};

    fn build(results: Results, text: &[&str], revisions: &[Option<&str>]) -> Build {
        let change = |revision: &Option<&str>| Change { revision: revision.map(str::to_owned), ..Change::default() };
        let stamp = SourceStamp { changes: revisions.iter().map(change).collect(), ..SourceStamp::default() };
        let build = serde_json::json!({
            "builder": "b", "number": 1, "reason": "", "source_stamps": [stamp], "requests": [], "properties": [],
            "worker": "w", "started": 0, "finished": 1, "results": results, "text": text, "eta": null, "steps": [],
        });
        serde_json::from_value(build).unwrap()
    }

    #[test]
    fn durations_are_those_of_the_manual() {
        let said = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!([said(0), said(1), said(59)], ["0 seconds", "1 seconds", "59 seconds"]);
        assert_eq!([said(65), said(3599)], ["1m05s", "59m59s"]);
        assert_eq!([said(10_929), said(360_000)], ["3h02m09s", "100h00m00s"]);
    }

    #[test]
    fn a_colour_is_never_read_together_with_what_follows() {
        let failed = build(Results::Failure, &["3 tests", "failed\x0301,02\r\nQUIT"], &[]);
        assert_eq!(text(&failed, true), "\x03043 tests failed 01,02  QUIT\x0f");
        assert_eq!(text(&failed, false), "3 tests failed 01,02  QUIT");
    }

    #[test]
    fn hashes_are_cut_and_numbers_are_not() {
        let hash = "171ff808fa60aa41e273aac40ea26824072ad470";
        let some = build(Results::Success, &[], &[Some(hash), Some("12345678"), None]);
        assert_eq!(revisions(&some), "171ff80, 12345678, None");
        assert_eq!(including(&some), format!(" (including [{hash}, 12345678] and 1 more)"));
        assert_eq!(including(&build(Results::Success, &[], &[])), "");
    }
}
