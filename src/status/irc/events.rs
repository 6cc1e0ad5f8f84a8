//! What a contact can be told of: the names that `notify` and `notify_events` take.

use crate::model::{Build, Results};
use std::collections::BTreeSet;
use std::fmt;

/// One of them: `started`, `finished`, `failure`, `successToFailure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventName {
    Started,
    Finished,
    /// A build ended so.
    Ended(Word),
    /// A build ended so, and the one before it otherwise.
    Turned(Word, Word),
}

/// The results that have a name of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    Success,
    Warnings,
    Failure,
    Exception,
}

impl Word {
    const ALL: [Word; 4] = [Word::Success, Word::Warnings, Word::Failure, Word::Exception];

    fn of(results: Results) -> Option<Word> {
        match results {
            Results::Success => Some(Word::Success),
            Results::Warnings => Some(Word::Warnings),
            Results::Failure => Some(Word::Failure),
            Results::Exception => Some(Word::Exception),
            Results::Skipped | Results::Retry | Results::Cancelled => None,
        }
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Word::Success => ("success", "Success"),
            Word::Failure => ("failure", "Failure"),
            Word::Exception => ("exception", "Exception"),
            Word::Warnings => ("warnings", "Warnings"),
        }
    }
}

impl EventName {
    /// `None` for what nobody can be told of. Case counts.
    pub fn parse(name: &str) -> Option<EventName> {
        EventName::simple().chain(EventName::turns()).find(|event| event.to_string() == name)
    }

    /// All but the turns.
    pub fn simple() -> impl Iterator<Item = EventName> {
        [EventName::Started, EventName::Finished].into_iter().chain(Word::ALL.map(EventName::Ended))
    }

    fn turns() -> impl Iterator<Item = EventName> {
        Word::ALL.into_iter().flat_map(|from| Word::ALL.map(|to| EventName::Turned(from, to)))
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventName::Started => f.write_str("started"),
            EventName::Finished => f.write_str("finished"),
            EventName::Ended(word) => f.write_str(word.names().0),
            EventName::Turned(from, to) => write!(f, "{}To{}", from.names().0, to.names().1),
        }
    }
}

/// Several of them, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events(BTreeSet<EventName>);

impl Events {
    pub fn with(&self, more: &Events) -> Events {
        Events(self.0.union(&more.0).copied().collect())
    }

    pub fn without(&self, less: &Events) -> Events {
        Events(self.0.difference(&less.0).copied().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn tells_of_start(&self) -> bool {
        self.0.contains(&EventName::Started)
    }

    /// Whether a finished build is told of. `before` is how the build before it ended, `None` if it has not or is not
    /// known. Nothing but `finished` takes one that was skipped, cancelled or is to be built again.
    pub fn tells_of_end(&self, build: &Build, before: Option<Results>) -> bool {
        let word = build.results.and_then(Word::of);
        let turned = before.and_then(Word::of).zip(word);
        self.0.contains(&EventName::Finished)
            || word.is_some_and(|word| self.0.contains(&EventName::Ended(word)))
            || turned.is_some_and(|(from, to)| self.0.contains(&EventName::Turned(from, to)))
    }

    /// Whether it matters how the build before ended.
    pub fn has_turns(&self) -> bool {
        self.0.iter().any(|event| matches!(event, EventName::Turned(..)))
    }

    /// As they are stored.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(EventName::to_string).collect()
    }
}

impl FromIterator<EventName> for Events {
    fn from_iter<I: IntoIterator<Item = EventName>>(events: I) -> Events {
        Events(events.into_iter().collect())
    }
}

impl fmt::Display for Events {
    /// As a Python list: `['started', 'finished']`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|event| format!("'{event}'")).collect();
        write!(f, "[{}]", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(names: &[&str]) -> Events {
        names.iter().map(|name| EventName::parse(name).unwrap()).collect()
    }

    fn ended(results: Results) -> Build {
        let build = serde_json::json!({
            "builder": "b", "number": 1, "reason": "", "source_stamps": [], "requests": [], "properties": [],
            "worker": "w", "started": 0, "finished": 1, "results": results, "text": [], "eta": null, "steps": [],
        });
        serde_json::from_value(build).unwrap()
    }

    #[test]
    fn events_and_turns_are_known() {
        for name in ["started", "warnings", "successToFailure", "failureToFailure", "warningsToException"] {
            assert_eq!(EventName::parse(name).unwrap().to_string(), name);
        }
        for name in ["successTofailure", "failed", "xToSuccess", "retry", "skipped", "Started", ""] {
            assert_eq!(EventName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn they_are_listed_as_in_python() {
        assert_eq!(
            events(&["finished", "successToFailure", "started"]).to_string(),
            "['started', 'finished', 'successToFailure']"
        );
        assert_eq!(Events::default().to_string(), "[]");
    }

    #[test]
    fn an_end_is_told_by_its_result_or_its_turn() {
        let turn = events(&["successToFailure"]);
        assert!(turn.tells_of_end(&ended(Results::Failure), Some(Results::Success)));
        assert!(!turn.tells_of_end(&ended(Results::Failure), Some(Results::Failure)));
        assert!(!turn.tells_of_end(&ended(Results::Failure), None));
        let failure = events(&["failure"]);
        assert!(failure.tells_of_end(&ended(Results::Failure), None));
        assert!(!failure.tells_of_end(&ended(Results::Skipped), Some(Results::Failure)));
        assert!(events(&["finished"]).tells_of_end(&ended(Results::Retry), Some(Results::Skipped)));
    }
}
