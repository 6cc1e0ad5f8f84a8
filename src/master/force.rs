//! Forcing builds: from what a person typed into a form to a buildset.
//!
//! The rules are those of `reference/webstatus.md` §7.5. Better than 0.8: branch and revision are checked too, all that
//! is wrong is said at once, a pattern does not count against a field left empty, and choosing no builder is said to
//! be nothing to do.
//!
//! Pure: what an InheritBuildParameter refers to is read by the master, between [`inherits`] and [`prepare`].

use super::{ForceBuild, Refused, SubmitBuildset};
use crate::config::{
    CodebaseParameter, ForceSchedulerConfig, Parameter, ParameterKind, SchedulerConfig, SchedulerKind, Validation,
};
use crate::model::*;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The source of properties that come from a form.
pub const SOURCE: &str = "Force Build Form";

/// The choice of a worker that leaves it to the master.
pub const ANY_WORKER: &str = "-any-";

/// The builds an order inherits from: read these from the database and hand them to [`prepare`].
pub fn inherits(order: &ForceBuild, scheduler: &SchedulerConfig) -> Vec<BuildRef> {
    let SchedulerKind::Force(force) = &scheduler.kind else { return Vec::new() };
    let mut names = Vec::new();
    inherit_fields(&force.properties, "", &mut names);
    names.iter().filter_map(|name| build_named(typed(order, name).first()?)).collect()
}

/// What to submit for an order, or everything that is wrong with it.
///
/// `inherited` are the builds of [`inherits`] that exist.
pub fn prepare(
    order: &ForceBuild,
    scheduler: &SchedulerConfig,
    validation: &Validation,
    inherited: &[Build],
) -> Result<SubmitBuildset, Refused> {
    let SchedulerKind::Force(force) = &scheduler.kind else {
        return Err(Refused::NotFound(format!("\"{}\" is no ForceScheduler", scheduler.name)));
    };
    let mut form = Form { order, validation, inherited, problems: Vec::new(), changes: Vec::new() };

    let builders = form.builders(scheduler);
    let owner = form.owner(&force.username);
    let reason = form.text(&force.reason, "").map_or_else(String::new, |value| text_of(&value));
    let mut fields = Map::new();
    for parameter in &force.properties {
        form.take(parameter, "", &mut fields);
    }
    let source_stamps = form.source_stamps(force);
    if !form.problems.is_empty() {
        return Err(Refused::Invalid(form.problems));
    }

    let mut properties = Properties::new();
    for (name, value) in fields {
        properties.set(name, value, SOURCE);
    }
    properties.set("reason", reason.as_str(), SOURCE);
    properties.set("owner", owner.as_str(), SOURCE);
    properties.set("scheduler", scheduler.name.as_str(), "Scheduler");
    Ok(SubmitBuildset {
        scheduler: scheduler.name.clone(),
        builders,
        source_stamps,
        properties,
        reason: fill(&force.reason_string, &owner, &reason),
        external_idstring: None,
        state: Vec::new(),
    })
}

/// The full name of a parameter's form field, behind those of its parents.
///
/// A parent without a name adds nothing.
pub fn field_name(parent: &str, name: &str) -> String {
    match (parent, name) {
        ("", name) => name.to_owned(),
        (parent, "") => parent.to_owned(),
        (parent, name) => format!("{parent}_{name}"),
    }
}

/// A label as it can stand in a sentence: `your name:<br>` is `your name`.
pub fn plain_label(parameter: &Parameter) -> String {
    let mut plain = String::new();
    let mut in_tag = false;
    for letter in parameter.label.chars() {
        match letter {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            letter if !in_tag => plain.push(letter),
            _ => {}
        }
    }
    let plain = plain.trim().trim_end_matches(':').trim_end();
    if plain.is_empty() { parameter.name.clone() } else { plain.to_owned() }
}

/// A form as it is being read.
struct Form<'a> {
    order: &'a ForceBuild,
    validation: &'a Validation,
    inherited: &'a [Build],
    /// One sentence each.
    problems: Vec<String>,
    /// Of the builds inherited from.
    changes: Vec<Change>,
}

impl Form<'_> {
    fn builders(&mut self, scheduler: &SchedulerConfig) -> Vec<String> {
        let chosen = |builder: &&String| match &self.order.builders {
            None => true,
            Some(chosen) => chosen.contains(builder),
        };
        let builders: Vec<String> = scheduler.builder_names.iter().filter(chosen).cloned().collect();
        if builders.is_empty() {
            self.problems.push(format!("none of the builders chosen can be forced by \"{}\"", scheduler.name));
        }
        builders
    }

    /// Who forces is known to the caller; the field is for those who have not logged in.
    fn owner(&mut self, username: &Parameter) -> String {
        if !self.order.owner.trim().is_empty() {
            return self.order.owner.clone();
        }
        let typed = self.text(username, "").map_or_else(String::new, |value| text_of(&value));
        if typed.is_empty() { "anonymous".to_owned() } else { typed }
    }

    /// Reads one parameter into `into`, under the name of the property it sets.
    fn take(&mut self, parameter: &Parameter, parent: &str, into: &mut Map<String, Value>) {
        let full_name = field_name(parent, &parameter.name);
        match &parameter.kind {
            ParameterKind::Fixed => {
                into.insert(parameter.name.clone(), parameter.default.clone());
            }
            ParameterKind::Text { .. } | ParameterKind::Textarea { .. } | ParameterKind::Username { .. } => {
                into.extend(self.text(parameter, parent).map(|value| (parameter.name.clone(), value)));
            }
            ParameterKind::Int { .. } => {
                into.extend(self.int(parameter, parent).map(|value| (parameter.name.clone(), value)));
            }
            ParameterKind::Bool => {
                let ticked = self.order.fields.get("checkbox").is_some_and(|ticked| ticked.contains(&full_name));
                into.insert(parameter.name.clone(), Value::Bool(ticked));
            }
            ParameterKind::Choice { choices, multiple, strict } => {
                let known = strict.then_some(choices.as_slice());
                let value = if *multiple {
                    self.choices(parameter, parent, known)
                } else {
                    self.choice(parameter, parent, known)
                };
                into.extend(value.map(|value| (parameter.name.clone(), value)));
            }
            ParameterKind::Worker => {
                let chosen = self
                    .choice(parameter, parent, None)
                    .filter(|value| !matches!(value.as_str(), None | Some("" | ANY_WORKER)));
                into.extend(chosen.map(|value| (parameter.name.clone(), value)));
            }
            ParameterKind::InheritBuild { .. } => self.inherit(parameter, parent, into),
            ParameterKind::AnyProperty => self.any_property(parameter, &full_name, into),
            ParameterKind::Nested { fields, .. } => {
                let mut values = Map::new();
                for field in fields {
                    self.take(field, &full_name, &mut values);
                }
                if full_name.is_empty() {
                    into.extend(values);
                } else {
                    into.insert(parameter.name.clone(), Value::Object(values));
                }
            }
        }
    }

    /// What was typed, else the default; `None` when that is wrong, which is then among the problems.
    fn text(&mut self, parameter: &Parameter, parent: &str) -> Option<Value> {
        if matches!(parameter.kind, ParameterKind::Fixed) {
            return Some(parameter.default.clone());
        }
        let Some(text) = self.typed(parameter, parent).into_iter().next() else { return self.missing(parameter) };
        self.matches(parameter, &text).then(|| text.into())
    }

    fn int(&mut self, parameter: &Parameter, parent: &str) -> Option<Value> {
        let Some(text) = self.typed(parameter, parent).into_iter().next() else {
            return match self.missing(parameter)? {
                // As configurations write it; with default="" the property is not set.
                Value::String(text) => text.trim().parse::<i64>().ok().map(Value::from),
                number => Some(number),
            };
        };
        match text.trim().parse::<i64>() {
            Ok(number) => self.matches(parameter, text.trim()).then(|| number.into()),
            Err(_) => self.problem(parameter, format!("\"{text}\" is not a whole number")),
        }
    }

    fn choice(&mut self, parameter: &Parameter, parent: &str, known: Option<&[String]>) -> Option<Value> {
        let value = match self.typed(parameter, parent).into_iter().next() {
            Some(text) => text,
            None => text_of(&self.missing(parameter)?),
        };
        self.is_known(parameter, &value, known).then(|| value.into())
    }

    fn choices(&mut self, parameter: &Parameter, parent: &str, known: Option<&[String]>) -> Option<Value> {
        let chosen = self.typed(parameter, parent);
        if chosen.is_empty() {
            return match self.missing(parameter)? {
                Value::Array(values) => Some(Value::Array(values)),
                Value::String(text) if !text.is_empty() => Some(Value::Array(vec![text.into()])),
                _ => Some(Value::Array(Vec::new())),
            };
        }
        let wrong = chosen.iter().filter(|value| !self.is_known(parameter, value, known)).count();
        (wrong == 0).then(|| chosen.into())
    }

    fn is_known(&mut self, parameter: &Parameter, value: &str, known: Option<&[String]>) -> bool {
        let Some(known) = known else { return self.matches(parameter, value) };
        let is_known = known.iter().any(|choice| choice == value);
        if !is_known {
            self.problem::<()>(parameter, format!("\"{value}\" is none of {}", known.join(", ")));
        }
        is_known
    }

    /// All that the person set in the form of an earlier build, its owner as `orig_owner`, and its changes.
    fn inherit(&mut self, parameter: &Parameter, parent: &str, into: &mut Map<String, Value>) {
        let Some(text) = self.typed(parameter, parent).into_iter().next() else {
            self.missing(parameter);
            return;
        };
        let Some(wanted) = build_named(&text) else {
            self.problem::<()>(parameter, format!("\"{text}\" is not of the form builder/number"));
            return;
        };
        let Some(build) = self.inherited.iter().find(|build| build.reference() == wanted) else {
            self.problem::<()>(parameter, format!("there is no build {wanted}"));
            return;
        };
        into.insert(parameter.name.clone(), format!("{}/{}", wanted.builder, wanted.number).into());
        for (name, value, source) in build.properties.iter() {
            if source == SOURCE {
                let name = if name == "owner" { "orig_owner" } else { name };
                into.insert(name.to_owned(), value.clone());
            }
        }
        self.changes.extend(build.changes().cloned());
    }

    fn any_property(&mut self, parameter: &Parameter, full_name: &str, into: &mut Map<String, Value>) {
        let field = |part| typed(self.order, &field_name(full_name, part)).into_iter().next();
        let Some(name) = field("name").map(|name| name.trim().to_owned()) else { return };
        let value = field("value").unwrap_or_default();
        let name_is_valid = matches_start(&self.validation.property_name, &name);
        let value_is_valid = matches_start(&self.validation.property_value, &value);
        if !name_is_valid {
            self.problem::<()>(parameter, format!("\"{name}\" cannot be the name of a property"));
        }
        if !value_is_valid {
            self.problem::<()>(parameter, format!("\"{value}\" cannot be the value of the property \"{name}\""));
        }
        if name_is_valid && value_is_valid {
            into.insert(name, value.into());
        }
    }

    fn source_stamps(&mut self, force: &ForceSchedulerConfig) -> Vec<SourceStamp> {
        let mut stamps: Vec<SourceStamp> = force.codebases.iter().map(|codebase| self.source_stamp(codebase)).collect();
        if stamps.is_empty() {
            stamps.push(SourceStamp::default());
        }
        let mut seen = BTreeSet::new();
        for change in std::mem::take(&mut self.changes) {
            let stamp = stamps.iter_mut().find(|stamp| stamp.codebase == change.codebase);
            if let Some(stamp) = stamp.filter(|_| seen.insert(change.number)) {
                stamp.changes.push(change);
            }
        }
        for stamp in &mut stamps {
            stamp.changes.sort_by_key(|change| change.number);
        }
        stamps
    }

    fn source_stamp(&mut self, codebase: &CodebaseParameter) -> SourceStamp {
        let validation = self.validation;
        let branch = self.source_field(&codebase.branch, codebase, Some(&validation.branch));
        let revision = self.source_field(&codebase.revision, codebase, Some(&validation.revision));
        SourceStamp {
            codebase: codebase.codebase.clone(),
            repository: self.source_field(&codebase.repository, codebase, None).unwrap_or_default(),
            project: self.source_field(&codebase.project, codebase, None).unwrap_or_default(),
            branch,
            revision,
            patch: None,
            changes: Vec::new(),
        }
    }

    /// `None` when nothing was typed and there is no default.
    fn source_field(
        &mut self,
        parameter: &Parameter,
        codebase: &CodebaseParameter,
        valid: Option<&Regex>,
    ) -> Option<String> {
        let mut fields = Map::new();
        self.take(parameter, &codebase.codebase, &mut fields);
        let value = text_of(fields.get(&parameter.name)?).trim().to_owned();
        if let Some(valid) = valid
            && is_free(&parameter.kind)
            && !matches_start(valid, &value)
        {
            return self.problem(parameter, format!("\"{value}\" is not allowed"));
        }
        (!value.is_empty()).then_some(value)
    }

    fn typed(&self, parameter: &Parameter, parent: &str) -> Vec<String> {
        typed(self.order, &field_name(parent, &parameter.name))
    }

    fn missing(&mut self, parameter: &Parameter) -> Option<Value> {
        if parameter.required {
            return self.problem(parameter, "needs to be specified");
        }
        Some(parameter.default.clone())
    }

    /// Whether what was typed begins as the parameter's pattern says.
    fn matches(&mut self, parameter: &Parameter, text: &str) -> bool {
        let Some(pattern) = &parameter.regex else { return true };
        match Regex::new(pattern) {
            Ok(regex) if matches_start(&regex, text) => return true,
            Ok(_) => self.problem::<()>(parameter, format!("\"{text}\" does not match {pattern}")),
            Err(_) => self.problem::<()>(parameter, format!("its pattern {pattern} cannot be used")),
        };
        false
    }

    fn problem<T>(&mut self, parameter: &Parameter, what: impl AsRef<str>) -> Option<T> {
        self.problems.push(format!("{}: {}", plain_label(parameter), what.as_ref()));
        None
    }
}

/// What was typed into a field; only white space counts as nothing.
fn typed(order: &ForceBuild, full_name: &str) -> Vec<String> {
    let values = order.fields.get(full_name).map(Vec::as_slice).unwrap_or_default();
    values.iter().filter(|value| !value.trim().is_empty()).cloned().collect()
}

/// Whether a person can type anything into it.
fn is_free(kind: &ParameterKind) -> bool {
    !matches!(kind, ParameterKind::Fixed | ParameterKind::Choice { strict: true, .. })
}

/// As Python's `re.match`.
fn matches_start(regex: &Regex, text: &str) -> bool {
    regex.find(text).is_some_and(|found| found.start() == 0)
}

fn inherit_fields(parameters: &[Parameter], parent: &str, names: &mut Vec<String>) {
    for parameter in parameters {
        let full_name = field_name(parent, &parameter.name);
        match &parameter.kind {
            ParameterKind::InheritBuild { .. } => names.push(full_name),
            ParameterKind::Nested { fields, .. } => inherit_fields(fields, &full_name, names),
            _ => {}
        }
    }
}

/// `linux/12`, with anything behind a blank left out. Names of builders may hold slashes and blanks.
fn build_named(text: &str) -> Option<BuildRef> {
    let text = text.trim();
    text.match_indices('/').find_map(|(at, _)| {
        let number = text[at + 1..].split_whitespace().next()?;
        let is_number = !text[at + 1..].starts_with(char::is_whitespace) && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number)?;
        (at > 0).then(|| BuildRef { builder: text[..at].to_owned(), number })
    })
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Fills `%(owner)s` and `%(reason)s` in; what was typed is not looked at again.
fn fill(template: &str, owner: &str, reason: &str) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = [("%(owner)s", owner), ("%(reason)s", reason), ("%%", "%")];
        match known.iter().find(|(mark, _)| rest.starts_with(mark)) {
            Some((mark, value)) => {
                filled.push_str(value);
                rest = &rest[mark.len()..];
            }
            None => {
                filled.push('%');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_lose_their_markup() {
        let label = |label: &str| {
            plain_label(&Parameter {
                name: "user".into(),
                label: label.into(),
                required: false,
                default: json!(""),
                regex: None,
                hidden: false,
                kind: ParameterKind::Fixed,
            })
        };
        assert_eq!(label("your name:<br>"), "your name");
        assert_eq!(label("<b>"), "user");
        assert_eq!(label("a < b"), "a");
    }

    #[test]
    fn what_was_typed_is_not_filled_in_again() {
        assert_eq!(fill("by '%(owner)s': %(reason)s, 100%% %x", "%(reason)s", "x"), "by '%(reason)s': x, 100% %x");
    }

    #[test]
    fn builds_are_named_by_builder_and_number() {
        let build = |builder: &str, number| Some(BuildRef { builder: builder.into(), number });
        assert_eq!(build_named("a/b/12 (2026/01/02 12:00)"), build("a/b", 12));
        assert_eq!(build_named(" runtests linux/0 "), build("runtests linux", 0));
        assert_eq!(build_named("linux/+1"), None);
        assert_eq!(build_named("linux/ 1"), None);
        assert_eq!(build_named("linux/-1"), None);
        assert_eq!(build_named("12"), None);
    }
}
