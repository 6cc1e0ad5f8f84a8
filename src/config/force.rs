use super::{Options, Problems, Section};
use serde_json::Value;

/// `schedulers.ForceScheduler(...)`: what may be forced, and the form for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ForceSchedulerConfig {
    pub label: String,
    pub button_name: String,
    pub username: Parameter,
    pub reason: Parameter,
    /// `%(owner)s` and `%(reason)s` are filled in.
    pub reason_string: String,
    pub codebases: Vec<CodebaseParameter>,
    pub properties: Vec<Parameter>,
}

/// Branch, revision, repository and project of one codebase, each a field of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct CodebaseParameter {
    pub codebase: String,
    pub label: String,
    pub branch: Parameter,
    pub revision: Parameter,
    pub repository: Parameter,
    pub project: Parameter,
}

/// One typed field of the form (`reference/manual/cfg-schedulers.rst`, Force Scheduler).
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The property it sets; its field's name is this behind its parents' (`lib_branch`).
    pub name: String,
    pub label: String,
    pub required: bool,
    pub default: Value,
    pub regex: Option<String>,
    pub hidden: bool,
    pub kind: ParameterKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ParameterKind {
    /// Not shown; always the default.
    Fixed,
    Text {
        size: u32,
    },
    Textarea {
        cols: u32,
        rows: u32,
    },
    Int {
        size: u32,
    },
    Bool,
    Username {
        size: u32,
    },
    Choice {
        choices: Vec<String>,
        multiple: bool,
        strict: bool,
    },
    /// Choices are the workers of the builder, `-any-` first.
    Worker,
    /// Choices come from earlier builds of compatible builders.
    InheritBuild {
        compatible_builds: Option<super::Callback>,
    },
    /// Name and value of a property of the person's choice: two fields `<name>_name`, `<name>_value`.
    AnyProperty,
    Nested {
        fields: Vec<Parameter>,
        columns: u32,
    },
}

impl ForceSchedulerConfig {
    /// Reads what only a force scheduler has.
    pub(super) fn read(options: &mut Options<'_, '_>) -> ForceSchedulerConfig {
        let label = options.text("label").or_else(|| options.text("name")).unwrap_or_default();
        let button_name = options.text("buttonName").unwrap_or_else(|| "Force Build".to_owned());
        let username = Parameter::option(options, "username")
            .unwrap_or_else(|| Parameter::new("username", "Your name:", ParameterKind::Username { size: 30 }));
        let reason = Parameter::option(options, "reason").unwrap_or_else(|| Parameter {
            default: "force build".into(),
            ..Parameter::new("reason", "reason", ParameterKind::Text { size: 20 })
        });
        let reason_string =
            options.text("reasonString").unwrap_or_else(|| "A build was forced by '%(owner)s': %(reason)s".to_owned());
        let codebases = ForceSchedulerConfig::codebases(options);
        let mut properties = Vec::new();
        let section = options.section();
        match options.list("properties") {
            Some(given) => {
                for value in given {
                    match section.nested(value) {
                        Some(call) => properties.extend(Parameter::read(&call, options.problems())),
                        None => {
                            options.problem("properties", "each must be a parameter such as util.StringParameter(…)")
                        }
                    }
                }
            }
            // 0.8 shows four free properties where none are listed.
            None if !options.given("properties") => {
                properties.extend((1..=4).map(|number| {
                    let name = format!("property{number}");
                    Parameter::new(&name, "", ParameterKind::AnyProperty)
                }));
            }
            None => {}
        }
        ForceSchedulerConfig { label, button_name, username, reason, reason_string, codebases, properties }
    }

    fn codebases(options: &mut Options<'_, '_>) -> Vec<CodebaseParameter> {
        let section = options.section();
        let mut codebases = Vec::new();
        match options.list("codebases") {
            Some(given) => {
                for value in given {
                    match (value.as_str(), section.nested(value)) {
                        (Some(name), _) => codebases.push(CodebaseParameter::new(name)),
                        (None, Some(call)) if call.kind == "util.CodebaseParameter" => {
                            codebases.extend(CodebaseParameter::read(&call, options.problems()));
                        }
                        _ => options.problem("codebases", "each must be a name or util.CodebaseParameter(…)"),
                    }
                }
                if given.is_empty() {
                    options.problem("codebases", "must not be empty");
                }
            }
            None => {
                // The old form: the fields of the one codebase as options of the scheduler itself.
                let mut codebase = CodebaseParameter::new("");
                for (name, field) in [
                    ("branch", &mut codebase.branch),
                    ("revision", &mut codebase.revision),
                    ("repository", &mut codebase.repository),
                    ("project", &mut codebase.project),
                ] {
                    if let Some(given) = Parameter::option(options, name) {
                        *field = given;
                    }
                }
                codebases.push(codebase);
            }
        }
        codebases
    }
}

impl CodebaseParameter {
    /// The four plain fields of 0.8.
    pub fn new(codebase: &str) -> CodebaseParameter {
        let field = |name: &str| Parameter::new(name, &format!("{name}:"), ParameterKind::Text { size: 10 });
        CodebaseParameter {
            codebase: codebase.to_owned(),
            label: if codebase.is_empty() { String::new() } else { format!("Codebase: {codebase}") },
            branch: field("branch"),
            revision: field("revision"),
            repository: field("repository"),
            project: field("project"),
        }
    }

    pub(super) fn read(section: &Section, problems: &mut Problems) -> Option<CodebaseParameter> {
        let mut options = section.read(problems);
        let name = options.text("codebase");
        if name.is_none() && !options.given("codebase") {
            options.problem("codebase", "is required");
        }
        let mut codebase = CodebaseParameter::new(name.as_deref().unwrap_or(""));
        if let Some(label) = options.text("label") {
            codebase.label = label;
        }
        options.ignored("name");
        for (name, field) in [
            ("branch", &mut codebase.branch),
            ("revision", &mut codebase.revision),
            ("repository", &mut codebase.repository),
            ("project", &mut codebase.project),
        ] {
            if let Some(given) = Parameter::option(&mut options, name) {
                *field = given;
            }
        }
        options.finish();
        name.map(|_| codebase)
    }
}

impl Parameter {
    /// A field that is not required, with an empty default.
    pub fn new(name: &str, label: &str, kind: ParameterKind) -> Parameter {
        Parameter {
            name: name.to_owned(),
            label: label.to_owned(),
            required: false,
            default: "".into(),
            regex: None,
            hidden: false,
            kind,
        }
    }

    /// The parameter given as an option of another.
    fn option(options: &mut Options<'_, '_>, name: &'static str) -> Option<Parameter> {
        let value = options.value(name)?;
        let Some(call) = options.section().nested(value).filter(|call| call.kind.ends_with("Parameter")) else {
            let shown = super::section::shown(value);
            options.problem(name, format!("expected a parameter such as util.StringParameter(…), not {shown}"));
            return None;
        };
        Parameter::read(&call, options.problems())
    }

    pub(super) fn read(section: &Section, problems: &mut Problems) -> Option<Parameter> {
        let kind_name = section.kind.trim_start_matches("util.").trim_end_matches("Parameter").to_owned();
        let mut options = section.read(problems);
        let default_name = match kind_name.as_str() {
            "UserName" => Some("username"),
            "BuildslaveChoice" => Some("slavename"),
            "AnyProperty" | "Nested" => Some(""),
            _ => None,
        };
        let name = match default_name {
            Some(default) => Some(options.text("name").unwrap_or_else(|| default.to_owned())),
            None => options.required_text("name"),
        };
        let shown_name = name.clone().unwrap_or_default();
        let label = options.text("label").unwrap_or_else(|| match kind_name.as_str() {
            "UserName" => "Your name:".to_owned(),
            "BuildslaveChoice" => "Build slave".to_owned(),
            _ => shown_name,
        });
        let required = options.flag("required", false);
        let hidden = options.flag("hide", kind_name == "Fixed");
        let regex = options.regex("regex").map(|regex| regex.as_str().to_owned());
        let given_default = options.value("default").cloned();
        let size = |options: &mut Options<'_, '_>, default: u32| {
            options.integer_in("size", 1, 1000).and_then(|size| u32::try_from(size).ok()).unwrap_or(default)
        };
        let mut default = given_default.clone().unwrap_or_else(|| "".into());
        let kind = match kind_name.as_str() {
            "Fixed" => ParameterKind::Fixed,
            "Text" => {
                let mut extent = |name, default| {
                    options.integer_in(name, 1, 1000).and_then(|size| u32::try_from(size).ok()).unwrap_or(default)
                };
                let kind = ParameterKind::Textarea { cols: extent("cols", 80), rows: extent("rows", 20) };
                options.ignored("size");
                kind
            }
            "Int" => {
                if default.as_i64().is_none()
                    && default.as_str().is_none_or(|text| !text.is_empty() && text.parse::<i64>().is_err())
                {
                    options.problem("default", "expected a whole number");
                }
                if given_default.is_none() {
                    default = 0.into();
                }
                ParameterKind::Int { size: size(&mut options, 10) }
            }
            "Boolean" => {
                default = Value::Bool(super::format::is_true(&default));
                ParameterKind::Bool
            }
            "UserName" => {
                options.flag("need_email", true);
                ParameterKind::Username { size: size(&mut options, 30) }
            }
            "ChoiceString" => {
                let choices = options.texts("choices");
                match &choices {
                    None if !options.given("choices") => options.problem("choices", "is required"),
                    Some(choices) if choices.is_empty() => options.problem("choices", "must not be empty"),
                    _ => {}
                }
                let choices = choices.unwrap_or_default();
                let multiple = options.flag("multiple", false);
                let strict = options.flag("strict", true);
                let unknown = match &default {
                    Value::String(text) => !text.is_empty() && !choices.contains(text),
                    Value::Array(items) => items
                        .iter()
                        .any(|item| item.as_str().is_none_or(|item| !choices.iter().any(|choice| choice == item))),
                    _ => true,
                };
                if unknown && strict && !choices.is_empty() {
                    options
                        .problem("default", format!("{} is not one of the choices", super::section::shown(&default)));
                }
                if given_default.is_none() && !multiple {
                    default = choices.first().map_or_else(|| "".into(), |first| first.as_str().into());
                }
                ParameterKind::Choice { choices, multiple, strict }
            }
            "InheritBuild" => ParameterKind::InheritBuild { compatible_builds: options.function("compatible_builds") },
            "BuildslaveChoice" => {
                if given_default.is_none() {
                    default = "-any-".into();
                }
                ParameterKind::Worker
            }
            "AnyProperty" => ParameterKind::AnyProperty,
            "Nested" => {
                let mut fields = Vec::new();
                for value in options.list("fields").unwrap_or_default() {
                    match section.nested(value).filter(|call| call.kind.ends_with("Parameter")) {
                        Some(call) => fields.extend(Parameter::read(&call, options.problems())),
                        None => options.problem("fields", "each must be a parameter such as util.StringParameter(…)"),
                    }
                }
                let columns = options.integer_in("columns", 1, 20).and_then(|columns| u32::try_from(columns).ok());
                ParameterKind::Nested { columns: columns.unwrap_or(if fields.len() > 3 { 2 } else { 1 }), fields }
            }
            _ => {
                // The manual's TextParameter example is written with StringParameter and these two.
                options.ignored("cols");
                options.ignored("rows");
                ParameterKind::Text { size: size(&mut options, 10) }
            }
        };
        options.finish();
        Some(Parameter { name: name?, label, required, default, regex, hidden, kind })
    }
}
