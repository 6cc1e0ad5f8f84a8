//! The forms of ForceSchedulers, with a typed field for each parameter (`reference/webstatus.md` §7.5).

use super::super::fields::Fields;
use crate::config::{CodebaseParameter, Config, ForceSchedulerConfig, Parameter, ParameterKind, SchedulerKind};
use crate::master::force::{ANY_WORKER, field_name, plain_label};
use crate::model::natural;
use serde::Serialize;
use serde_json::Value;

/// One form: `force_form.hbs`.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct ForceForm {
    scheduler: String,
    label: String,
    button: String,
    /// Where it is posted.
    action: String,
    fields: Vec<Field>,
    /// The builders it can be sent for, to choose from, on the page of all builders.
    builders: Vec<String>,
    /// Where a choice of builders is posted.
    selected_action: Option<String>,
}

/// One field: `force_field.hbs`. A nested one has fields of its own.
#[derive(Clone, Debug, Serialize, PartialEq)]
struct Field {
    id: String,
    /// The style class of 0.8: `force-text`.
    class: String,
    name: String,
    label: String,
    value: String,
    required: bool,
    size: u32,
    rows: u32,
    checked: bool,
    multiple: bool,
    choices: Vec<Choice>,
    /// Exactly one is set; templates cannot compare.
    is: Shape,
    fields: Vec<Field>,
}

#[derive(Clone, Debug, Default, Serialize, PartialEq)]
struct Shape {
    text: bool,
    number: bool,
    area: bool,
    tick: bool,
    list: bool,
    /// A list to choose from that also takes what is not on it.
    open_list: bool,
    group: bool,
}

#[derive(Clone, Debug, Serialize, PartialEq)]
struct Choice {
    value: String,
    selected: bool,
}

/// What the fields of one form depend on.
struct Making<'a> {
    scheduler: &'a str,
    workers: &'a [String],
    prefilled: &'a Fields,
    /// Someone who has logged in is not asked for a name.
    known: bool,
}

/// The forms of all ForceSchedulers that list `builder`, by scheduler name. `workers` are the builder's.
pub fn of_builder(
    config: &Config,
    builder: &str,
    workers: &[String],
    prefilled: &Fields,
    known: bool,
    action: &str,
) -> Vec<ForceForm> {
    let mut forms = Vec::new();
    for (name, builders, force) in schedulers(config) {
        if builders.iter().any(|listed| listed == builder) {
            let making = Making { scheduler: name, workers, prefilled, known };
            forms.push(form(&making, force, action.to_owned()));
        }
    }
    forms
}

/// The forms of all ForceSchedulers for many builders at once.
pub fn of_all(config: &Config, prefilled: &Fields, known: bool, root: &str) -> Vec<ForceForm> {
    let mut forms = Vec::new();
    for (name, builders, force) in schedulers(config) {
        let making = Making { scheduler: name, workers: &[], prefilled, known };
        let mut form = form(&making, force, format!("{root}builders/_all/forceall"));
        form.builders = builders.to_vec();
        form.selected_action = Some(format!("{root}builders/_selected/forceselected"));
        forms.push(form);
    }
    forms
}

fn schedulers(config: &Config) -> Vec<(&str, &[String], &ForceSchedulerConfig)> {
    let mut found: Vec<_> = config
        .schedulers
        .iter()
        .filter_map(|scheduler| match &scheduler.kind {
            SchedulerKind::Force(force) => {
                Some((scheduler.name.as_str(), scheduler.builder_names.as_slice(), force.as_ref()))
            }
            _ => None,
        })
        .collect();
    found.sort_by(|a, b| natural(a.0, b.0));
    found
}

fn form(making: &Making, force: &ForceSchedulerConfig, action: String) -> ForceForm {
    let mut fields = Vec::new();
    if !making.known {
        fields.extend(field(making, &force.username, ""));
    }
    fields.extend(field(making, &force.reason, ""));
    fields.extend(force.codebases.iter().filter_map(|codebase| codebase_fields(making, codebase)));
    fields.extend(force.properties.iter().filter_map(|parameter| field(making, parameter, "")));
    ForceForm {
        scheduler: making.scheduler.to_owned(),
        label: if force.label.is_empty() { making.scheduler.to_owned() } else { force.label.clone() },
        button: if force.button_name.is_empty() { "Force build".to_owned() } else { force.button_name.clone() },
        action,
        fields,
        builders: Vec::new(),
        selected_action: None,
    }
}

fn codebase_fields(making: &Making, codebase: &CodebaseParameter) -> Option<Field> {
    let parts = [&codebase.branch, &codebase.revision, &codebase.repository, &codebase.project];
    let fields: Vec<Field> = parts.into_iter().filter_map(|part| field(making, part, &codebase.codebase)).collect();
    let label = if codebase.label.is_empty() { codebase.codebase.clone() } else { codebase.label.clone() };
    (!fields.is_empty()).then(|| group(making, &codebase.codebase, label, "codebase", fields))
}

fn group(making: &Making, name: &str, label: String, kind: &str, fields: Vec<Field>) -> Field {
    let is = Shape { group: true, ..Shape::default() };
    Field { fields, ..blank(making, name, label, kind, is) }
}

fn blank(making: &Making, name: &str, label: String, kind: &str, is: Shape) -> Field {
    Field {
        id: format!("force-{}-{name}", making.scheduler),
        class: format!("row force-{kind}"),
        name: name.to_owned(),
        label,
        value: String::new(),
        required: false,
        size: 10,
        rows: 1,
        checked: false,
        multiple: false,
        choices: Vec::new(),
        is,
        fields: Vec::new(),
    }
}

/// The field of one parameter; `None` for what is not shown.
fn field(making: &Making, parameter: &Parameter, parent: &str) -> Option<Field> {
    if parameter.hidden {
        return None;
    }
    let name = field_name(parent, &parameter.name);
    let label = plain_label(parameter);
    let make = |kind: &str, is: Shape| Field {
        value: making.value(&name, &parameter.default),
        required: parameter.required,
        ..blank(making, &name, label.clone(), kind, is)
    };
    let text = || Shape { text: true, ..Shape::default() };
    Some(match &parameter.kind {
        ParameterKind::Fixed => return None,
        ParameterKind::Text { size } | ParameterKind::Username { size } => {
            Field { size: *size, ..make("text", text()) }
        }
        ParameterKind::Textarea { cols, rows } => {
            let is = Shape { area: true, ..Shape::default() };
            Field { size: *cols, rows: *rows, ..make("textarea", is) }
        }
        ParameterKind::Int { size } => Field { size: *size, ..make("int", Shape { number: true, ..Shape::default() }) },
        ParameterKind::Bool => {
            let checked = match making.prefill(&name) {
                Some(value) => !matches!(value, "" | "0" | "false" | "False"),
                None => parameter.default == Value::Bool(true),
            };
            Field { checked, ..make("bool", Shape { tick: true, ..Shape::default() }) }
        }
        ParameterKind::Choice { choices, multiple, strict } => {
            let chosen: Vec<String> = match (making.prefill(&name), &parameter.default) {
                (Some(value), _) => vec![value.to_owned()],
                (None, Value::Array(defaults)) => defaults.iter().map(text_of).collect(),
                (None, default) => vec![text_of(default)],
            };
            let open = !strict && !multiple;
            let is = Shape { list: !open, open_list: open, ..Shape::default() };
            Field { multiple: *multiple, choices: choose(choices, &chosen), ..make("list", is) }
        }
        ParameterKind::Worker => {
            let choices: Vec<String> =
                std::iter::once(ANY_WORKER.to_owned()).chain(making.workers.iter().cloned()).collect();
            let chosen = making.prefill(&name).map_or_else(|| text_of(&parameter.default), str::to_owned);
            let is = Shape { list: true, ..Shape::default() };
            Field { choices: choose(&choices, &[chosen]), ..make("list", is) }
        }
        ParameterKind::InheritBuild { .. } => Field { size: 30, ..make("inherit", text()) },
        ParameterKind::AnyProperty => {
            let part = |part: &str, label: &str| Field {
                value: making.prefill(&format!("{name}_{part}")).unwrap_or("").to_owned(),
                size: 20,
                ..blank(making, &format!("{name}_{part}"), label.to_owned(), "text", text())
            };
            let fields = vec![part("name", "Name"), part("value", "Value")];
            let label = if label.is_empty() { "Property".to_owned() } else { label };
            group(making, &name, label, "any", fields)
        }
        ParameterKind::Nested { fields, .. } => {
            let fields = fields.iter().filter_map(|inner| field(making, inner, &name)).collect();
            group(making, &name, label, "nested", fields)
        }
    })
}

fn choose(choices: &[String], chosen: &[String]) -> Vec<Choice> {
    choices.iter().map(|value| Choice { value: value.clone(), selected: chosen.contains(value) }).collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Making<'_> {
    /// `?SCHEDULER.FIELD=value`.
    fn prefill(&self, field: &str) -> Option<&str> {
        self.prefilled.get(&format!("{}.{field}", self.scheduler))
    }

    fn value(&self, field: &str, default: &Value) -> String {
        self.prefill(field).map_or_else(|| text_of(default), str::to_owned)
    }
}
