//! Words that count on while a page is looked at: `3 min ago`, `2 min left`.
//!
//! The server writes them as they are when the page is made. `public_html/signalbox.js` says the same words of the same
//! moments, second by second, so that nothing jumps when the one takes over from the other. Of what has ended there is
//! nothing to count: it is plain words, the same at any time.

use super::html::escape_into;
use super::times::brief;
use crate::model::Time;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

/// A minute and more is told in whole minutes, where nobody needs the seconds.
const MINUTE: u64 = 60;

/// Some words, and what they are counted from if they change with time. A template writes them with `{{count …}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    words: String,
    /// How they are counted, as the script knows it, and from which moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<(How, Time)>,
}

/// Which words are made of the time between a moment and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// `12 s ago`, `3 min ago`
    Ago,
    /// `3 min 12 s`
    For,
    /// `2 min 4 s left`, then `late by 8 s`
    Left,
    /// `in 21 h`, then `now`
    In,
}

impl Counted {
    pub fn ago(moment: Time, now: Time) -> Counted {
        Counted::new(How::Ago, moment, now)
    }

    /// How long something has taken; it counts as long as it goes on.
    pub fn taken(started: Time, finished: Option<Time>, now: Time) -> Counted {
        match finished {
            Some(finished) => Counted { words: brief(finished.since(started)), from: None },
            None => Counted::new(How::For, started, now),
        }
    }

    pub fn left(end: Time, now: Time) -> Counted {
        Counted::new(How::Left, end, now)
    }

    pub fn until(moment: Time, now: Time) -> Counted {
        Counted::new(How::In, moment, now)
    }

    fn new(how: How, moment: Time, now: Time) -> Counted {
        Counted { words: how.words(moment, now), from: Some((how, moment)) }
    }

    /// `<span data-count="ago" data-at="1795325622000">3 min ago</span>`; the words alone where nothing is counted.
    pub fn element(&self) -> String {
        let mut out = String::new();
        match self.from {
            None => escape_into(&mut out, &self.words),
            Some((how, moment)) => {
                let (how, at) = (how.named(), moment.0.div_euclid(1_000));
                out.push_str(&format!("<span data-count=\"{how}\" data-at=\"{at}\">"));
                escape_into(&mut out, &self.words);
                out.push_str("</span>");
            }
        }
        out
    }
}

/// HTML without what counts in it: the same at any moment, line by line, as long as nothing has happened.
///
/// Words lose themselves and keep the moment they are counted from; bars keep the moments they are empty and full at.
pub fn still(html: &str) -> Cow<'_, str> {
    // One after the other: a page is looked through for a single text much faster than for either of two.
    static WORDS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(<span data-count="\w+" data-at="-?\d+">)[^<\n]*"#).expect("written here and tested")
    });
    static BARS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"<svg [^>\n]*(data-from="-?\d+" data-to="-?\d+")[^>\n]*><rect [^>\n]*>"#)
            .expect("written here and tested")
    });
    match WORDS.replace_all(html, "$1") {
        Cow::Borrowed(html) => BARS.replace_all(html, "$1"),
        Cow::Owned(html) => Cow::Owned(BARS.replace_all(&html, "$1").into_owned()),
    }
}

impl How {
    fn named(self) -> &'static str {
        match self {
            How::Ago => "ago",
            How::For => "for",
            How::Left => "left",
            How::In => "in",
        }
    }

    fn words(self, moment: Time, now: Time) -> String {
        match self {
            How::Ago => format!("{} ago", coarse(now.since(moment))),
            How::For => brief(now.since(moment)),
            How::Left if moment > now => format!("{} left", brief(moment.since(now))),
            How::Left => format!("late by {}", brief(now.since(moment))),
            How::In if moment > now => format!("in {}", coarse(moment.since(now))),
            How::In => "now".to_owned(),
        }
    }
}

fn coarse(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < MINUTE { brief(duration) } else { brief(Duration::from_secs(seconds - seconds % MINUTE)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_795_325_622_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn seconds_matter_where_something_goes_on() {
        assert_eq!(Counted::ago(NOW - seconds(12), NOW).words, "12 s ago");
        assert_eq!(Counted::ago(NOW - seconds(200), NOW).words, "3 min ago");
        assert_eq!(Counted::ago(NOW - seconds(7_530), NOW).words, "2 h 5 min ago");
        assert_eq!(Counted::taken(NOW - seconds(200), None, NOW).words, "3 min 20 s");
        assert_eq!(Counted::left(NOW + seconds(124), NOW).words, "2 min 4 s left");
        assert_eq!(Counted::left(NOW - seconds(8), NOW).words, "late by 8 s");
        assert_eq!(Counted::until(NOW + seconds(75_600), NOW).words, "in 21 h");
        assert_eq!(Counted::until(NOW, NOW).words, "now");
    }

    #[test]
    fn what_counts_is_the_same_at_any_moment() {
        let page = |now: Time, progress: u8| {
            let words = [Counted::ago(NOW, now), Counted::taken(NOW, None, now), Counted::left(NOW, now)];
            let words: Vec<String> = words.iter().map(Counted::element).collect();
            let late = if progress > 50 { " late" } else { "" };
            format!(
                "<p>{}</p>\n<svg class=\"progress{late}\" aria-valuenow=\"{progress}\" data-from=\"1\" data-to=\"9\">\
                 <rect width=\"{progress}%\" height=\"100%\"/></svg>\n<svg class=\"strip\"><rect width=\"3\"/></svg>\n",
                words.join("</p>\n<p>")
            )
        };
        let (before, after) = (page(NOW, 3), page(NOW + seconds(90), 60));
        assert_ne!(before, after);
        assert_eq!(still(&before), still(&after));
        assert_eq!(still(&before).lines().count(), before.lines().count());
        assert_ne!(still(&before), still(&before.replace("data-to=\"9\"", "data-to=\"8\"")));
        assert_ne!(still(&before), still(&before.replace("width=\"3\"", "width=\"4\"")));
        let ended = Counted::taken(NOW - seconds(8), Some(NOW), NOW).element();
        assert_eq!(still(&ended), "8 s", "what has ended is words");
    }

    #[test]
    fn what_has_ended_does_not_count() {
        let ended = Counted::taken(NOW - seconds(200), Some(NOW - seconds(8)), NOW);
        assert_eq!(ended.element(), "3 min 12 s");
        let running = Counted::taken(NOW - seconds(200), None, NOW);
        assert_eq!(running.element(), "<span data-count=\"for\" data-at=\"1795325422000\">3 min 20 s</span>");
    }
}
