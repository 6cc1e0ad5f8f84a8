//! What a contact would have been told while the bot could not reach it, in one line.

use super::words::clean;
use crate::model::{Build, BuildRef, Results};

/// How many builds that did not go well are named.
const NAMED: usize = 5;

/// Counted rather than kept, so that an outage of any length takes no memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Missed {
    finished: usize,
    failed: Several,
    exceptions: Several,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Several {
    count: usize,
    /// The first of them.
    named: Vec<BuildRef>,
}

impl Missed {
    pub fn note(&mut self, build: &Build) {
        self.finished += 1;
        match build.results {
            Some(Results::Failure) => self.failed.note(build),
            Some(Results::Exception) => self.exceptions.note(build),
            _ => {}
        }
    }

    /// `while I was away: 12 builds finished, 3 failed (linux #7, linux #8, mac #2)`; `None` if nothing was missed.
    pub fn line(&self) -> Option<String> {
        let mut line = match self.finished {
            0 => return None,
            1 => "while I was away: 1 build finished".to_owned(),
            count => format!("while I was away: {count} builds finished"),
        };
        if self.failed.count > 0 {
            line.push_str(&format!(", {} failed ({})", self.failed.count, self.failed.names()));
        }
        if self.exceptions.count > 0 {
            let word = if self.exceptions.count == 1 { "exception" } else { "exceptions" };
            line.push_str(&format!(", {} {word} ({})", self.exceptions.count, self.exceptions.names()));
        }
        Some(line)
    }
}

impl Several {
    fn note(&mut self, build: &Build) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(build.reference());
        }
    }

    fn names(&self) -> String {
        let named: Vec<String> = self.named.iter().map(|build| clean(&build.to_string())).collect();
        match self.count - self.named.len() {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(number: i64, results: Results) -> Build {
        let build = serde_json::json!({
            "builder": "linux", "number": number, "reason": "", "source_stamps": [], "requests": [], "properties": [],
            "worker": "w", "started": 0, "finished": 1, "results": results, "text": [], "eta": null, "steps": [],
        });
        serde_json::from_value(build).unwrap()
    }

    #[test]
    fn an_outage_is_one_line() {
        let mut missed = Missed::default();
        assert_eq!(missed.line(), None);
        missed.note(&build(1, Results::Success));
        assert_eq!(missed.line().unwrap(), "while I was away: 1 build finished");
        missed.note(&build(2, Results::Failure));
        missed.note(&build(3, Results::Exception));
        let line = "while I was away: 3 builds finished, 1 failed (linux #2), 1 exception (linux #3)";
        assert_eq!(missed.line().unwrap(), line);
        (4..10).for_each(|number| missed.note(&build(number, Results::Failure)));
        let line = missed.line().unwrap();
        assert!(
            line.contains("9 builds finished, 7 failed (linux #2, linux #4, linux #5, linux #6, linux #7 and 2 more)")
        );
    }
}
