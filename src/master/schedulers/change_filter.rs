//! Which changes concern a scheduler, and which of them are worth a build.

use super::source::takes_codebase;
use crate::config::{Arg, Callback, CallbackError, ChangeFilter, Match, SchedulerConfig, Timing, change_object};
use crate::model::Change;
use serde_json::Value;
use std::sync::Arc;
use tokio::task::JoinError;

/// What a scheduler makes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As if it had not happened.
    Ignored,
    /// Is built along with the next important one.
    Unimportant,
    Important,
}

/// Judges a change; functions of the configuration are called on a blocking thread.
pub(super) async fn judge(
    config: &Arc<SchedulerConfig>,
    timing: &Timing,
    change: &Change,
) -> Result<Verdict, JoinError> {
    if !takes_codebase(&config.codebases, &change.codebase) {
        return Ok(Verdict::Ignored);
    }
    if !calls_functions(timing) {
        return Ok(verdict(&config.name, timing, change));
    }
    let (name, timing, change) = (config.name.clone(), timing.clone(), change.clone());
    tokio::task::spawn_blocking(move || verdict(&name, &timing, &change)).await
}

fn calls_functions(timing: &Timing) -> bool {
    let filter = &timing.change_filter;
    timing.file_is_important.is_some()
        || filter.filter_fn.is_some()
        || filter.tests.iter().any(|(_, test)| matches!(test, Match::Callback(_)))
}

fn verdict(scheduler: &str, timing: &Timing, change: &Change) -> Verdict {
    match passes(&timing.change_filter, change) {
        Ok(true) => {}
        Ok(false) => return Verdict::Ignored,
        Err(error) => {
            tracing::error!(
                "{error}; scheduler {scheduler}: ignoring change {} as if its filter had said no",
                change.number
            );
            return Verdict::Ignored;
        }
    }
    let important = match &timing.file_is_important {
        None => Ok(true),
        Some(function) => says_yes(function, Arg::Object(change_object(change))),
    };
    match important {
        Ok(true) => Verdict::Important,
        Ok(false) if timing.only_important => Verdict::Ignored,
        Ok(false) => Verdict::Unimportant,
        Err(error) => {
            tracing::error!("{error}; scheduler {scheduler}: taking change {} as important", change.number);
            Verdict::Important
        }
    }
}

/// Whether a change satisfies every test of a filter. May block where the filter has functions.
fn passes(filter: &ChangeFilter, change: &Change) -> Result<bool, CallbackError> {
    for (attribute, test) in &filter.tests {
        let value = attribute_of(change, attribute);
        let passes = match test {
            Match::AnyOf(values) => values.iter().any(|wanted| wanted.as_deref() == value),
            // From the start, as Python's `re.match`. An attribute that is absent matches nothing.
            Match::Regex(regex) => value.and_then(|value| regex.find(value)).is_some_and(|found| found.start() == 0),
            Match::Callback(function) => says_yes(function, Arg::Json(value.map_or(Value::Null, Value::from)))?,
        };
        if !passes {
            return Ok(false);
        }
    }
    match &filter.filter_fn {
        Some(function) => says_yes(function, Arg::Object(change_object(change))),
        None => Ok(true),
    }
}

fn attribute_of<'c>(change: &'c Change, attribute: &str) -> Option<&'c str> {
    match attribute {
        "project" => Some(&change.project),
        "repository" => Some(&change.repository),
        "codebase" => Some(&change.codebase),
        "branch" => change.branch.as_deref(),
        "category" => change.category.as_deref(),
        // The configuration knows no others.
        _ => None,
    }
}

fn says_yes(function: &Callback, argument: Arg) -> Result<bool, CallbackError> {
    Ok(is_true(&function.call_blocking(vec![argument])?))
}

/// Whether Python would take the value for true.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn change() -> Change {
        Change { branch: Some("devel".into()), project: "baseproduct/x".into(), ..Change::default() }
    }

    fn filter(attribute: &str, test: Match) -> ChangeFilter {
        ChangeFilter { tests: vec![(attribute.into(), test)], filter_fn: None }
    }

    #[test]
    fn without_tests_everything_passes() {
        assert!(passes(&ChangeFilter::default(), &change()).unwrap());
    }

    #[test]
    fn a_list_may_hold_the_absent_value() {
        let absent = filter("category", Match::AnyOf(vec![None, Some("push".into())]));
        assert!(passes(&absent, &change()).unwrap());
        assert!(!passes(&filter("branch", Match::AnyOf(vec![None])), &change()).unwrap());
        assert!(passes(&filter("branch", Match::AnyOf(vec![Some("devel".into())])), &change()).unwrap());
    }

    #[test]
    fn a_pattern_counts_from_the_start_only() {
        let regex = |pattern| Match::Regex(Regex::new(pattern).unwrap());
        assert!(passes(&filter("project", regex("base")), &change()).unwrap());
        assert!(!passes(&filter("project", regex("product")), &change()).unwrap());
        assert!(!passes(&filter("category", regex(".*")), &change()).unwrap());
    }

    #[test]
    fn truth_is_pythons() {
        use serde_json::json;
        for (value, truth) in [(json!(null), false), (json!(0), false), (json!([0]), true), (json!(""), false)] {
            assert_eq!(is_true(&value), truth, "{value}");
        }
    }
}
