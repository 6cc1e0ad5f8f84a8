use super::{Change, Log, Properties, Results, SourceStamp, Time};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Which build: a builder's name and the number it gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BuildRef {
    pub builder: String,
    /// Counted from 0 per builder, without gaps or repeats.
    pub number: i64,
}

impl fmt::Display for BuildRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.builder, self.number)
    }
}

/// One build, running or finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Build {
    pub builder: String,
    pub number: i64,
    pub reason: String,
    /// At least one; one per codebase.
    pub source_stamps: Vec<SourceStamp>,
    /// The requests merged into it.
    pub requests: Vec<i64>,
    pub properties: Properties,
    /// `???` until one is chosen.
    pub worker: String,
    pub started: Time,
    pub finished: Option<Time>,
    pub results: Option<Results>,
    /// The build's own text. What pages show is [`Build::full_text`].
    pub text: Vec<String>,
    /// When it will probably end; `None` when that is unknown or it has ended.
    pub eta: Option<Time>,
    /// In order. Empty where a query was asked for builds without their steps.
    pub steps: Vec<Step>,
}

impl Build {
    pub fn reference(&self) -> BuildRef {
        BuildRef { builder: self.builder.clone(), number: self.number }
    }

    /// Its own text followed by every step's `text2`, as 0.8 shows it everywhere.
    pub fn full_text(&self) -> Vec<String> {
        self.text.iter().chain(self.steps.iter().flat_map(|step| &step.text2)).cloned().collect()
    }

    /// All changes of all its source stamps.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.source_stamps.iter().flat_map(|stamp| &stamp.changes)
    }

    /// The sorted, unique authors of its changes and patches.
    pub fn blamelist(&self) -> Vec<String> {
        let patches = self.source_stamps.iter().filter_map(|stamp| stamp.patch.as_ref());
        let authors = self.changes().map(|change| &change.who).chain(patches.map(|patch| &patch.author));
        let mut blame: Vec<String> = authors.filter(|who| !who.is_empty()).cloned().collect();
        blame.sort();
        blame.dedup();
        blame
    }

    /// Who else takes an interest in it: its properties `owners` and `owner`, sorted.
    pub fn owners(&self) -> Vec<String> {
        let property = |name: &str| match self.properties.get(name) {
            Some(Value::String(owner)) => vec![owner.clone()],
            Some(Value::Array(owners)) => owners.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let mut owners: Vec<String> = [property("owners"), property("owner")].concat();
        owners.retain(|owner| !owner.is_empty());
        owners.sort();
        owners.dedup();
        owners
    }

    /// The revision that was really checked out in this codebase, as the source step said.
    ///
    /// The property is a string in a single-codebase build and an object by codebase otherwise.
    pub fn got_revision(&self, codebase: &str) -> Option<&str> {
        match self.properties.get("got_revision")? {
            Value::String(revision) if codebase.is_empty() => Some(revision),
            Value::Object(by_codebase) => by_codebase.get(codebase)?.as_str(),
            _ => None,
        }
    }

    /// The step that runs now, or the next to run.
    pub fn current_step(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.started.is_some() && step.finished.is_none())
    }
}

/// One step of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the build, from 0.
    pub number: i32,
    /// Unique in its build: doubles get `_1`, `_2`, …
    pub name: String,
    pub text: Vec<String>,
    /// What it adds to the text of the build; normally empty on success.
    pub text2: Vec<String>,
    pub results: Option<Results>,
    pub started: Option<Time>,
    pub finished: Option<Time>,
    /// Left out of pages once finished.
    pub hidden: bool,
    /// It has been started but waits for a lock.
    pub waiting_for_locks: bool,
    pub statistics: Map<String, Value>,
    /// Name to address, for links the step gave.
    pub urls: BTreeMap<String, String>,
    pub logs: Vec<Log>,
    /// Seconds it is expected to take, from earlier successful builds.
    #[serde(default, deserialize_with = "seconds")]
    pub expected_seconds: Option<f64>,
}

/// By way of a JSON number: within a tagged enum a plain `f64` is not understood once any crate has asked serde_json for
/// arbitrary precision.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<Number>::deserialize(deserializer)?.and_then(|number| number.as_f64()))
}

impl Step {
    /// A step that has not been started.
    pub fn new(number: i32, name: impl Into<String>) -> Step {
        Step {
            number,
            name: name.into(),
            text: Vec::new(),
            text2: Vec::new(),
            results: None,
            started: None,
            finished: None,
            hidden: false,
            waiting_for_locks: false,
            statistics: Map::new(),
            urls: BTreeMap::new(),
            logs: Vec::new(),
            expected_seconds: None,
        }
    }

    pub fn is_running(&self) -> bool {
        self.started.is_some() && self.finished.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Event;

    #[test]
    fn an_event_with_fractions_of_seconds_reads_back() {
        let step = Step { expected_seconds: Some(1.25), ..Step::new(0, "compile") };
        let build = BuildRef { builder: "b".into(), number: 1 };
        let event = Event::StepStarted { build, step };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
