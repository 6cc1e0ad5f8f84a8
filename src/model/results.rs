use serde::{Deserialize, Serialize};
use std::fmt;

/// How a step, a build or a buildset ended (`reference/webstatus.md` §1.1).
///
/// A running one has no results: `Option<Results>` is `None`, shown as `running`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "i16", try_from = "i16")]
pub enum Results {
    Success,
    Warnings,
    Failure,
    Skipped,
    Exception,
    Retry,
    /// Newer Buildbots' seventh; 0.8 has no word for it and shows such builds as exceptions.
    Cancelled,
}

impl Results {
    /// Every result in the order of its code.
    pub const ALL: [Results; 7] = [
        Results::Success,
        Results::Warnings,
        Results::Failure,
        Results::Skipped,
        Results::Exception,
        Results::Retry,
        Results::Cancelled,
    ];

    /// The number 0.8 uses in JSON, pushes and PB: 0 to 6.
    pub fn code(self) -> i16 {
        self as i16
    }

    pub fn from_code(code: i16) -> Option<Results> {
        usize::try_from(code).ok().and_then(|code| Results::ALL.get(code).copied())
    }

    /// The word of JSON, style classes and callbacks: `success`, `warnings`, …
    pub fn word(self) -> &'static str {
        match self {
            Results::Success => "success",
            Results::Warnings => "warnings",
            Results::Failure => "failure",
            Results::Skipped => "skipped",
            Results::Exception => "exception",
            Results::Retry => "retry",
            Results::Cancelled => "cancelled",
        }
    }

    /// The text a build gets that ends so. A skipped build counts as a successful one.
    pub fn build_text(self) -> &'static [&'static str] {
        match self {
            Results::Success | Results::Skipped => &["build", "successful"],
            Results::Warnings => &["warnings"],
            Results::Failure => &["failed"],
            Results::Exception => &["exception"],
            Results::Retry => &["retry"],
            Results::Cancelled => &["cancelled"],
        }
    }

    /// The worse of two: success, skipped, warnings, failure, exception, retry, cancelled.
    pub fn worst(self, other: Results) -> Results {
        if self.badness() >= other.badness() { self } else { other }
    }

    fn badness(self) -> u8 {
        match self {
            Results::Success => 0,
            Results::Skipped => 1,
            Results::Warnings => 2,
            Results::Failure => 3,
            Results::Exception => 4,
            Results::Retry => 5,
            Results::Cancelled => 6,
        }
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<Results> for i16 {
    fn from(results: Results) -> i16 {
        results.code()
    }
}

impl TryFrom<i16> for Results {
    type Error = String;

    fn try_from(code: i16) -> Result<Results, String> {
        Results::from_code(code).ok_or_else(|| format!("{code} is not a result code (0 to 6)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_is_better_than_warnings_and_worse_than_success() {
        assert_eq!(Results::Skipped.worst(Results::Success), Results::Skipped);
        assert_eq!(Results::Skipped.worst(Results::Warnings), Results::Warnings);
        assert_eq!(Results::Retry.worst(Results::Exception), Results::Retry);
    }

    #[test]
    fn codes_and_results_agree() {
        for results in Results::ALL {
            assert_eq!(Results::from_code(results.code()), Some(results));
        }
        assert_eq!(Results::from_code(7), None);
        assert_eq!(Results::from_code(-1), None);
    }
}
