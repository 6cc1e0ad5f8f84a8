//! When a letter is sent, and how it begins (`reference/mail.md` §2, §3).

use crate::model::{Build, Results};

/// One reason to send a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Change,
    Failing,
    Passing,
    Problem,
    Warnings,
    Exception,
}

pub(super) const MODES: [(&str, Mode); 6] = [
    ("change", Mode::Change),
    ("failing", Mode::Failing),
    ("passing", Mode::Passing),
    ("problem", Mode::Problem),
    ("warnings", Mode::Warnings),
    ("exception", Mode::Exception),
];

impl Mode {
    /// What the manual has where nothing is said.
    pub(super) fn usual() -> Vec<Mode> {
        vec![Mode::Failing, Mode::Passing, Mode::Warnings]
    }

    /// The manual's word.
    pub fn word(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(word, _)| *word)
    }

    /// What the word for one mode, or a shortcut, stands for.
    pub(super) fn from_word(word: &str) -> Option<Vec<Mode>> {
        match word {
            "all" => Some(MODES.map(|(_, mode)| mode).to_vec()),
            "warnings" => Some(vec![Mode::Warnings, Mode::Failing]),
            word => MODES.iter().find(|(known, _)| *known == word).map(|(_, mode)| vec![*mode]),
        }
    }

    /// Whether a build that ended so after `previous` makes a letter in this mode.
    ///
    /// A previous build that still runs has no results, which differ from any, as in 0.8.
    pub fn takes(self, results: Results, previous: Option<&Build>) -> bool {
        match self {
            Mode::Change => previous.is_some_and(|previous| previous.results != Some(results)),
            Mode::Problem => results == Results::Failure && turned(previous),
            Mode::Failing => results == Results::Failure,
            Mode::Passing => results == Results::Success,
            Mode::Warnings => results == Results::Warnings,
            Mode::Exception => results == Results::Exception,
        }
    }
}

/// It had not failed before.
fn turned(previous: Option<&Build>) -> bool {
    previous.is_some_and(|previous| previous.results != Some(Results::Failure))
}

/// The beginning of the first sentence of a letter.
pub fn intro(modes: &[Mode], results: Results, previous: Option<&Build>) -> &'static str {
    let change = modes.contains(&Mode::Change);
    match results {
        Results::Failure if (change || modes.contains(&Mode::Problem)) && turned(previous) => {
            "The Buildbot has detected a new failure"
        }
        Results::Failure => "The Buildbot has detected a failed build",
        Results::Warnings => "The Buildbot has detected a problem in the build",
        Results::Success if change && Mode::Change.takes(results, previous) => {
            "The Buildbot has detected a restored build"
        }
        Results::Success => "The Buildbot has detected a passing build",
        Results::Exception => "The Buildbot has detected a build exception",
        Results::Skipped => "The Buildbot has detected a skipped build",
        Results::Retry => "The Buildbot has detected a build that is tried again",
        Results::Cancelled => "The Buildbot has detected a cancelled build",
    }
}
