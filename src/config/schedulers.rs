use super::{Callback, ForceSchedulerConfig, Options, Problems, Renderable, Section};
use std::time::Duration;

/// One scheduler (`reference/manual/cfg-schedulers.rst`).
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    pub name: String,
    /// Each is a builder of the configuration.
    pub builder_names: Vec<String>,
    /// Source `Scheduler`.
    pub properties: Vec<(String, Renderable)>,
    /// By codebase name; a single-codebase scheduler has one named ``.
    pub codebases: Vec<Codebase>,
    /// `None`: 0.8's sentence naming the scheduler's class and name.
    pub reason: Option<String>,
    pub kind: SchedulerKind,
    /// Where it stands, `master.cfg:14`; not part of being equal.
    pub place: String,
}

/// What a scheduler uses where it has no change in a codebase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Codebase {
    pub name: String,
    pub repository: String,
    pub branch: Option<String>,
    pub revision: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SchedulerKind {
    SingleBranch(Timing),
    AnyBranch(Timing),
    Dependent {
        /// The name of the upstream scheduler.
        upstream: String,
    },
    Periodic {
        every: Duration,
        branch: Option<String>,
        timing: Timing,
        only_if_changed: bool,
    },
    Nightly(Nightly),
    Force(Box<ForceSchedulerConfig>),
    /// Accepted and checked; nothing in this master triggers it.
    Triggerable,
}

/// What the schedulers that look at changes share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timing {
    pub tree_stable_timer: Option<Duration>,
    /// Everything passes where it is empty.
    pub change_filter: ChangeFilter,
    /// `fileIsImportant(change) -> bool`.
    pub file_is_important: Option<Callback>,
    pub only_important: bool,
    pub create_absolute_source_stamps: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Nightly {
    /// `None` is `*`; each value as cron has it. `day_of_week`: 0 is Monday, as in the manual.
    pub minute: Option<Vec<u32>>,
    pub hour: Option<Vec<u32>>,
    pub day_of_month: Option<Vec<u32>>,
    pub month: Option<Vec<u32>>,
    pub day_of_week: Option<Vec<u32>>,
    pub branch: Option<String>,
    pub only_if_changed: bool,
    pub timing: Timing,
}

/// `util.ChangeFilter(...)`: a change passes when every test does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChangeFilter {
    /// Attribute (`project`, `repository`, `branch`, `category`, `codebase`) and its tests.
    pub tests: Vec<(String, Match)>,
    /// `filter_fn(change) -> bool`.
    pub filter_fn: Option<Callback>,
}

#[derive(Debug, Clone)]
pub enum Match {
    /// Any of these; `None` is the attribute being absent.
    AnyOf(Vec<Option<String>>),
    /// Matched from the start, as Python's `re.match` does: the pattern already begins with `\A`.
    Regex(regex::Regex),
    Callback(Callback),
}

impl PartialEq for Match {
    fn eq(&self, other: &Match) -> bool {
        match (self, other) {
            (Match::AnyOf(a), Match::AnyOf(b)) => a == b,
            (Match::Regex(a), Match::Regex(b)) => a.as_str() == b.as_str(),
            (Match::Callback(a), Match::Callback(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for SchedulerConfig {
    fn eq(&self, other: &SchedulerConfig) -> bool {
        let SchedulerConfig { name, builder_names, properties, codebases, reason, kind, place: _ } = other;
        self.name == *name
            && self.builder_names == *builder_names
            && self.properties == *properties
            && self.codebases == *codebases
            && self.reason == *reason
            && self.kind == *kind
    }
}

impl SchedulerConfig {
    pub(super) fn read(section: &Section, problems: &mut Problems) -> Option<SchedulerConfig> {
        let mut options = section.read(problems);
        let name = options.required_text("name");
        let builder_names = options.text_or_texts("builderNames");
        match &builder_names {
            Some(names) if names.is_empty() => options.problem("builderNames", "must name at least one builder"),
            None if !options.given("builderNames") => options.problem("builderNames", "is required"),
            _ => {}
        }
        let force = section.kind == "schedulers.ForceScheduler";
        let properties = if force { Vec::new() } else { options.renderable_dict("properties").unwrap_or_default() };
        let codebases = if force { Vec::new() } else { codebases(&mut options) };
        // A force scheduler's reason is a field of its form.
        let reason = if force { None } else { options.text("reason") };
        let kind = match section.kind.as_str() {
            "schedulers.SingleBranchScheduler" => {
                Some(SchedulerKind::SingleBranch(Timing::read(&mut options, "branch")))
            }
            "schedulers.AnyBranchScheduler" => Some(SchedulerKind::AnyBranch(Timing::read(&mut options, "branches"))),
            "schedulers.Dependent" => {
                let upstream = match options.value("upstream") {
                    // The manual wants the scheduler itself; its name says the same.
                    Some(value) => match (section.nested(value), value.as_str()) {
                        (Some(call), _) => call.options.get("name").and_then(|name| name.as_str()).map(str::to_owned),
                        (None, name) => name.map(str::to_owned),
                    },
                    None => None,
                };
                if upstream.is_none() {
                    options.problem("upstream", "expected another scheduler");
                }
                upstream.map(|upstream| SchedulerKind::Dependent { upstream })
            }
            "schedulers.Periodic" => {
                let every = options.positive_seconds("periodicBuildTimer");
                if every.is_none() && !options.given("periodicBuildTimer") {
                    options.problem("periodicBuildTimer", "is required");
                }
                let branch = options.text("branch");
                let only_if_changed = options.flag("onlyIfChanged", false);
                let timing = Timing::read(&mut options, "");
                every.map(|every| SchedulerKind::Periodic { every, branch, timing, only_if_changed })
            }
            "schedulers.Nightly" => {
                let branch = options.text("branch");
                let only_if_changed = options.flag("onlyIfChanged", false);
                Some(SchedulerKind::Nightly(Nightly {
                    minute: if options.given("minute") { times(&mut options, "minute", 0, 59) } else { Some(vec![0]) },
                    hour: times(&mut options, "hour", 0, 23),
                    day_of_month: times(&mut options, "dayOfMonth", 1, 31),
                    month: times(&mut options, "month", 1, 12),
                    day_of_week: times(&mut options, "dayOfWeek", 0, 6),
                    branch,
                    only_if_changed,
                    timing: Timing::read(&mut options, ""),
                }))
            }
            "schedulers.Triggerable" => Some(SchedulerKind::Triggerable),
            _ => Some(SchedulerKind::Force(Box::new(ForceSchedulerConfig::read(&mut options)))),
        };
        options.finish();
        Some(SchedulerConfig {
            name: name?,
            builder_names: builder_names.unwrap_or_default(),
            properties,
            codebases,
            reason,
            kind: kind?,
            place: section.place.clone(),
        })
    }
}

/// A list of names, or a dict of definitions; one codebase without a name where nothing is given.
fn codebases(options: &mut Options<'_, '_>) -> Vec<Codebase> {
    let Some(value) = options.value("codebases") else { return vec![Codebase::default()] };
    if let Some(names) = value.as_array() {
        let read: Option<Vec<Codebase>> = names
            .iter()
            .map(|name| Some(Codebase { name: name.as_str()?.to_owned(), ..Codebase::default() }))
            .collect();
        match read {
            Some(read) if !read.is_empty() => return read,
            _ => options.problem("codebases", "expected a list of names or a dict of codebases"),
        }
        return Vec::new();
    }
    let mut read = Vec::new();
    for (name, details) in options.dict("codebases").into_iter().flatten() {
        let Some(details) = super::section::plain_dict(details) else {
            options.problem("codebases", format!("\"{name}\": expected a dict"));
            continue;
        };
        super::unknown_keys(options, "codebases", details, &["repository", "branch", "revision"]);
        let mut text = |key: &str| match details.get(key) {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(other) => {
                options.problem(
                    "codebases",
                    format!("\"{name}\": {key}: expected text, not {}", super::section::shown(other)),
                );
                None
            }
        };
        let repository = text("repository").unwrap_or_default();
        read.push(Codebase { name: name.clone(), repository, branch: text("branch"), revision: text("revision") });
    }
    read
}

/// One of cron's fields: a number, a list of numbers, or `*`.
fn times(options: &mut Options<'_, '_>, name: &'static str, low: u32, high: u32) -> Option<Vec<u32>> {
    let value = options.value(name)?;
    let number = |value: &serde_json::Value| match value {
        serde_json::Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let numbers = match value {
        serde_json::Value::String(star) if star == "*" => return None,
        serde_json::Value::Array(items) => items.iter().map(number).collect::<Option<Vec<u32>>>(),
        one => number(one).map(|one| vec![one]),
    };
    match numbers {
        Some(numbers) if !numbers.is_empty() && numbers.iter().all(|number| (low..=high).contains(number)) => {
            Some(numbers)
        }
        _ => {
            options.problem(
                name,
                format!("expected \"*\", or numbers from {low} to {high}, not {}", super::format::python_repr(value)),
            );
            None
        }
    }
}

impl Timing {
    /// `branch_option` is the deprecated option that filters by branch, if the scheduler has one.
    fn read(options: &mut Options<'_, '_>, branch_option: &'static str) -> Timing {
        let section = options.section();
        let mut change_filter = ChangeFilter::default();
        let filter = options.call("change_filter", &["util.ChangeFilter"]);
        if let Some(filter) = &filter {
            change_filter = ChangeFilter::read(filter, options.problems());
        }
        if !branch_option.is_empty() && options.given(branch_option) {
            let branches = match section.options.get(branch_option) {
                Some(serde_json::Value::Null) => (branch_option == "branch").then(|| vec![None]),
                _ => Some(options.text_or_texts(branch_option).unwrap_or_default().into_iter().map(Some).collect()),
            };
            if filter.is_some() {
                options.problem(branch_option, "say it in change_filter alone: util.ChangeFilter(branch=…)");
            } else if let Some(branches) = branches {
                change_filter.tests.push(("branch".to_owned(), Match::AnyOf(branches)));
            }
        }
        if let Some(categories) = options.text_or_texts("categories") {
            let categories = categories.into_iter().map(Some).collect();
            change_filter.tests.push(("category".to_owned(), Match::AnyOf(categories)));
        }
        let stable = match section.options.get("treeStableTimer") {
            Some(serde_json::Value::Number(number)) if number.as_f64() == Some(0.0) => {
                options.ignored("treeStableTimer");
                None
            }
            _ => options.seconds("treeStableTimer"),
        };
        Timing {
            tree_stable_timer: stable,
            change_filter,
            file_is_important: options.function("fileIsImportant"),
            only_important: options.flag("onlyImportant", false),
            create_absolute_source_stamps: options.flag("createAbsoluteSourceStamps", false),
        }
    }
}

/// What a change filter looks at.
const ATTRIBUTES: [(&str, &str, &str, &str); 5] = [
    ("project", "project", "project_re", "project_fn"),
    ("repository", "repository", "repository_re", "repository_fn"),
    ("branch", "branch", "branch_re", "branch_fn"),
    ("category", "category", "category_re", "category_fn"),
    ("codebase", "codebase", "codebase_re", "codebase_fn"),
];

impl ChangeFilter {
    pub(super) fn read(section: &Section, problems: &mut Problems) -> ChangeFilter {
        let mut options = section.read(problems);
        let mut tests = Vec::new();
        for (attribute, equal, pattern, function) in ATTRIBUTES {
            if options.given(equal) {
                let values = match section.options.get(equal) {
                    Some(serde_json::Value::Null) => Some(vec![None]),
                    Some(serde_json::Value::String(text)) => Some(vec![Some(text.clone())]),
                    Some(serde_json::Value::Array(items)) => items
                        .iter()
                        .map(|item| match item {
                            serde_json::Value::Null => Some(None),
                            other => other.as_str().map(|text| Some(text.to_owned())),
                        })
                        .collect(),
                    _ => None,
                };
                match values {
                    Some(values) => tests.push((attribute.to_owned(), Match::AnyOf(values))),
                    None => options.problem(equal, "expected text, None, or a list of them"),
                }
            }
            if let Some(regex) = options.regex(pattern) {
                match super::section::compile(&format!("\\A(?:{})", regex.as_str())) {
                    Ok(regex) => tests.push((attribute.to_owned(), Match::Regex(regex))),
                    Err(message) => options.problem(pattern, message),
                }
            }
            if let Some(function) = options.function(function) {
                tests.push((attribute.to_owned(), Match::Callback(function)));
            }
        }
        let filter_fn = options.function("filter_fn");
        options.finish();
        ChangeFilter { tests, filter_fn }
    }
}
