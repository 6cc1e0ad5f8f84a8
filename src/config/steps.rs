use super::{Callback, Options, Problems, Renderable, Section};
use crate::model::Results;
use std::collections::BTreeMap;
use std::time::Duration;

/// One step of a factory (`reference/manual/cfg-buildsteps.rst`).
#[derive(Debug, Clone)]
pub struct StepConfig {
    /// As given, or the kind's own: `shell`, `compile`, `test`, `git`, `SetProperty`, `setproperty`.
    pub name: String,
    pub halt_on_failure: bool,
    pub flunk_on_failure: bool,
    pub warn_on_failure: bool,
    pub flunk_on_warnings: bool,
    pub warn_on_warnings: bool,
    pub always_run: bool,
    /// `doStepIf`: called with the step; a step not done is skipped.
    pub do_step_if: Condition,
    /// `hideStepIf`: called with (results, step).
    pub hide_step_if: Condition,
    /// Text while it runs; empty means the kind's own.
    pub description: Vec<Renderable>,
    /// Text once it has ended; empty means the kind's own.
    pub description_done: Vec<Renderable>,
    pub description_suffix: Vec<Renderable>,
    pub kind: StepKind,
    /// Where it stands, `master.cfg:14`; not part of being equal.
    pub place: String,
}

/// A constant, or a function of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Always(bool),
    Callback(Callback),
}

#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    Shell(ShellStep),
    Git(GitStep),
    SetProperty { property: String, value: Renderable },
    SetPropertyFromCommand { shell: ShellStep, extract: Extract },
}

/// What `SetPropertyFromCommand` makes of the command's output.
#[derive(Debug, Clone, PartialEq)]
pub enum Extract {
    /// The whole standard output; without surrounding white space if `strip`.
    Property { name: String, strip: bool },
    /// `extract_fn(rc, stdout, stderr) -> dict`.
    Callback(Callback),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellFlavour {
    Shell,
    /// `Compile`: counts warnings (statistic `warnings`), collects them in a log `warnings (N)`.
    Compile,
    Test,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ShellStep {
    pub flavour: ShellFlavour,
    pub command: Command,
    /// Below the build directory; `build` by default.
    pub workdir: Renderable,
    /// `None` as a value removes the variable.
    pub env: Vec<(String, Option<Renderable>)>,
    pub want_stdout: bool,
    pub want_stderr: bool,
    pub log_environ: bool,
    /// Killed after this long without output; 1200 s by default.
    pub timeout: Option<Duration>,
    /// Killed after this long in all.
    pub max_time: Option<Duration>,
    /// How long after SIGTERM the SIGKILL follows; none means SIGKILL at once.
    pub sigterm_time: Option<Duration>,
    pub logfiles: Vec<LogFile>,
    /// Only make the log once the file is there.
    pub lazy_logfiles: bool,
    /// Exit status to result; 0 is success and all else failure where not listed.
    pub decode_rc: BTreeMap<i32, Results>,
    pub initial_stdin: Option<Renderable>,
    /// `warningPattern` of `Compile`, matched from the start of a line as Python's `re.match` does.
    pub warning_pattern: Option<String>,
    /// `suppressionFile`, `warningExtractor` … are not part of the master here.
    pub max_warn_count: Option<i64>,
}

/// A list is run as it is; a string by `/bin/sh -c`.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Arguments(Vec<Renderable>),
    Line(Renderable),
}

/// A file the command writes that becomes a log of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFile {
    /// The name of the log.
    pub name: String,
    /// Below the step's workdir.
    pub path: Renderable,
    /// Start at its end, as it is when the step starts.
    pub follow: bool,
}

/// `steps.Git(...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct GitStep {
    pub repourl: Renderable,
    /// Used where the source stamp has none; `HEAD` by default.
    pub branch: Renderable,
    pub codebase: String,
    pub mode: GitMode,
    pub submodules: bool,
    pub shallow: bool,
    pub progress: bool,
    pub retry: Option<(Duration, u32)>,
    pub always_use_latest: bool,
    pub clobber_on_failure: bool,
    pub get_description: bool,
    /// `remote` name, `origin` by default.
    pub origin: String,
    pub workdir: Renderable,
    pub env: Vec<(String, Option<Renderable>)>,
    pub timeout: Option<Duration>,
    pub log_environ: bool,
}

/// `mode` and `method` of Git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitMode {
    Incremental,
    /// `full` with method `clobber`.
    Clobber,
    /// `full` with method `clean`: `git clean -d -f`.
    Clean,
    /// `full` with method `fresh`, the default of `full`: `git clean -d -f -x`.
    Fresh,
    /// `full` with method `copy`.
    Copy,
}

impl PartialEq for StepConfig {
    fn eq(&self, other: &StepConfig) -> bool {
        let StepConfig {
            name,
            halt_on_failure,
            flunk_on_failure,
            warn_on_failure,
            flunk_on_warnings,
            warn_on_warnings,
            always_run,
            do_step_if,
            hide_step_if,
            description,
            description_done,
            description_suffix,
            kind,
            place: _,
        } = other;
        self.name == *name
            && self.halt_on_failure == *halt_on_failure
            && self.flunk_on_failure == *flunk_on_failure
            && self.warn_on_failure == *warn_on_failure
            && self.flunk_on_warnings == *flunk_on_warnings
            && self.warn_on_warnings == *warn_on_warnings
            && self.always_run == *always_run
            && self.do_step_if == *do_step_if
            && self.hide_step_if == *hide_step_if
            && self.description == *description
            && self.description_done == *description_done
            && self.description_suffix == *description_suffix
            && self.kind == *kind
    }
}

/// What a kind of step does where its options do not say.
struct Defaults {
    name: &'static str,
    halt_on_failure: bool,
    warn_on_failure: bool,
    command: Option<&'static [&'static str]>,
}

/// `None` for a step that does not exist, which has been said where it was called.
fn defaults(kind: &str) -> Option<Defaults> {
    let plain = Defaults { name: "shell", halt_on_failure: false, warn_on_failure: false, command: None };
    Some(match kind {
        "steps.Configure" => {
            Defaults { name: "configure", halt_on_failure: true, command: Some(&["./configure"]), ..plain }
        }
        "steps.Compile" => {
            Defaults { name: "compile", halt_on_failure: true, command: Some(&["make", "all"]), ..plain }
        }
        "steps.Test" => Defaults { name: "test", warn_on_failure: true, command: Some(&["make", "test"]), ..plain },
        "steps.Git" => Defaults { name: "git", halt_on_failure: true, ..plain },
        "steps.SetProperty" => Defaults { name: "SetProperty", ..plain },
        "steps.SetPropertyFromCommand" => Defaults { name: "setproperty", ..plain },
        "steps.ShellCommand" | "steps.Shell" => plain,
        _ => return None,
    })
}

/// The time without output after which a command is killed, where its step does not say.
const TIMEOUT: Duration = Duration::from_secs(1200);

impl StepConfig {
    /// `factory_workdir` is the folder the factory gives steps that name none.
    pub(super) fn read(
        section: &Section,
        factory_workdir: Option<&str>,
        problems: &mut Problems,
    ) -> Option<StepConfig> {
        let defaults = defaults(&section.kind)?;
        let mut options = section.read(problems);
        let name = options.text("name").filter(|name| !name.is_empty()).unwrap_or_else(|| defaults.name.to_owned());
        let halt_on_failure = options.flag("haltOnFailure", defaults.halt_on_failure);
        let flunk_on_failure = options.flag("flunkOnFailure", true);
        let warn_on_failure = options.flag("warnOnFailure", defaults.warn_on_failure);
        let flunk_on_warnings = options.flag("flunkOnWarnings", false);
        let warn_on_warnings = options.flag("warnOnWarnings", false);
        let always_run = options.flag("alwaysRun", false);
        let do_step_if = options.flag_or_function("doStepIf").map_or(Condition::Always(true), Condition::from);
        let hide_step_if = options.flag_or_function("hideStepIf").map_or(Condition::Always(false), Condition::from);
        let description = words(&mut options, "description");
        let description_done = words(&mut options, "descriptionDone");
        let description_suffix = words(&mut options, "descriptionSuffix");
        if options.list("locks").is_some_and(|locks| !locks.is_empty()) {
            options.problem("locks", "there are no locks here; limit a worker with max_builds instead");
        }
        let workdir = options
            .renderable_text("workdir")
            .unwrap_or_else(|| Renderable::Plain(factory_workdir.unwrap_or("build").into()));
        let kind = match section.kind.as_str() {
            "steps.Git" => Some(StepKind::Git(GitStep::read(&mut options, workdir))),
            "steps.SetProperty" => {
                let property = options.required_text("property");
                let value = options.renderable("value");
                if value.is_none() && !options.given("value") {
                    options.problem("value", "is required");
                }
                let value = value.unwrap_or(Renderable::Plain(serde_json::Value::Null));
                property.map(|property| StepKind::SetProperty { property, value })
            }
            "steps.SetPropertyFromCommand" => {
                let property = options.text("property");
                let strip = options.flag("strip", true);
                let extract = match (property, options.function("extract_fn")) {
                    (Some(name), None) => Some(Extract::Property { name, strip }),
                    (None, Some(function)) => Some(Extract::Callback(function)),
                    (Some(_), Some(_)) => {
                        options.problem("", "give property or extract_fn, not both");
                        None
                    }
                    (None, None) => {
                        options.problem("", "give property=… or extract_fn=…");
                        None
                    }
                };
                let shell = ShellStep::read(&mut options, workdir, &defaults);
                shell.zip(extract).map(|(shell, extract)| StepKind::SetPropertyFromCommand { shell, extract })
            }
            _ => ShellStep::read(&mut options, workdir, &defaults).map(StepKind::Shell),
        };
        options.finish();
        Some(StepConfig {
            name,
            halt_on_failure,
            flunk_on_failure,
            warn_on_failure,
            flunk_on_warnings,
            warn_on_warnings,
            always_run,
            do_step_if,
            hide_step_if,
            description,
            description_done,
            description_suffix,
            kind: kind?,
            place: section.place.clone(),
        })
    }
}

impl From<Result<bool, Callback>> for Condition {
    fn from(given: Result<bool, Callback>) -> Condition {
        given.map_or_else(Condition::Callback, Condition::Always)
    }
}

/// Text, or a list of texts, each of which may be rendered.
fn words(options: &mut Options<'_, '_>, name: &'static str) -> Vec<Renderable> {
    match options.renderable(name) {
        None => Vec::new(),
        Some(Renderable::List(words)) => words,
        Some(Renderable::Plain(serde_json::Value::Array(words))) => words.into_iter().map(Renderable::Plain).collect(),
        Some(one) => vec![one],
    }
}

/// Variables for a command; a list of values is joined with `:`.
fn environment(options: &mut Options<'_, '_>) -> Vec<(String, Option<Renderable>)> {
    let mut read = Vec::new();
    for (name, value) in options.renderable_dict("env").unwrap_or_default() {
        let value = match value {
            Renderable::Plain(serde_json::Value::Null) => None,
            Renderable::Plain(serde_json::Value::Array(parts)) => {
                Some(join(parts.into_iter().map(Renderable::Plain).collect()))
            }
            Renderable::List(parts) => Some(join(parts)),
            Renderable::Plain(
                value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_) | serde_json::Value::Object(_)),
            ) => {
                options.problem("env", format!("\"{name}\" must be text, not {}", super::section::shown(&value)));
                None
            }
            value => Some(value),
        };
        read.push((name, value));
    }
    read
}

fn join(parts: Vec<Renderable>) -> Renderable {
    let format = vec!["%s"; parts.len()].join(":");
    Renderable::Interpolate { format, args: parts, kwargs: Vec::new() }
}

impl ShellStep {
    fn read(options: &mut Options<'_, '_>, workdir: Renderable, defaults: &Defaults) -> Option<ShellStep> {
        let flavour = match options.section().kind.as_str() {
            "steps.Compile" => ShellFlavour::Compile,
            "steps.Test" => ShellFlavour::Test,
            _ => ShellFlavour::Shell,
        };
        let command = match options.renderable("command") {
            Some(Renderable::List(arguments)) => Some(Command::Arguments(arguments)),
            Some(Renderable::Plain(serde_json::Value::Array(arguments))) => {
                Some(Command::Arguments(arguments.into_iter().map(Renderable::Plain).collect()))
            }
            Some(Renderable::Plain(serde_json::Value::String(line))) if line.trim().is_empty() => {
                options.problem("command", "must not be empty");
                None
            }
            Some(Renderable::Plain(other)) if !other.is_string() => {
                options.problem("command", "expected text or a list of texts");
                None
            }
            Some(line) => Some(Command::Line(line)),
            None => defaults
                .command
                .map(|words| Command::Arguments(words.iter().map(|word| Renderable::Plain((*word).into())).collect())),
        };
        if matches!(&command, Some(Command::Arguments(arguments)) if arguments.is_empty()) {
            options.problem("command", "must not be empty");
        }
        if command.is_none() && options.value("command").is_none() {
            options.problem("command", "is required");
        }
        let logfiles = ShellStep::logfiles(options);
        let mut decode_rc = BTreeMap::new();
        for (code, results) in options.dict("decodeRC").into_iter().flatten() {
            let results = results.as_i64().and_then(|code| i16::try_from(code).ok()).and_then(Results::from_code);
            match (code.parse(), results) {
                (Ok(code), Some(results)) => {
                    decode_rc.insert(code, results);
                }
                _ => options
                    .problem("decodeRC", format!("{code}: expected an exit status and a result such as util.WARNINGS")),
            }
        }
        let timeout = match options.given("timeout") {
            true => options.positive_seconds("timeout"),
            false => Some(TIMEOUT),
        };
        let warning_pattern = options.regex("warningPattern").map(|regex| regex.as_str().to_owned());
        if flavour != ShellFlavour::Compile && warning_pattern.is_some() {
            options.problem("warningPattern", "only steps.Compile looks for warnings");
        }
        let signal = options.word("interruptSignal", &["KILL", "TERM", "INT", "HUP", "QUIT"]);
        let sigterm_time = options.positive_seconds("sigtermTime");
        if options.flag("usePTY", false) {
            options.without_effect("usePTY", "commands get no pseudo-terminal here");
        }
        let shell = ShellStep {
            flavour,
            command: command.unwrap_or_else(|| Command::Arguments(Vec::new())),
            workdir,
            env: environment(options),
            want_stdout: options.flag("want_stdout", true),
            want_stderr: options.flag("want_stderr", true),
            log_environ: options.flag("logEnviron", true),
            timeout,
            max_time: options.positive_seconds("maxTime"),
            // A signal other than KILL is given the usual time to be obeyed.
            sigterm_time: sigterm_time
                .or_else(|| signal.filter(|signal| *signal != "KILL").map(|_| Duration::from_secs(5))),
            logfiles,
            lazy_logfiles: options.flag("lazylogfiles", false),
            decode_rc,
            initial_stdin: options.renderable_text("initialStdin"),
            warning_pattern,
            max_warn_count: options.integer_in("maxWarnCount", 0, i64::MAX),
        };
        Some(shell)
    }

    fn logfiles(options: &mut Options<'_, '_>) -> Vec<LogFile> {
        let section = options.section();
        let mut logfiles = Vec::new();
        for (name, value) in options.dict("logfiles").into_iter().flatten() {
            let details = super::section::plain_dict(value);
            if let Some(details) = details {
                super::unknown_keys(options, "logfiles", details, &["filename", "follow"]);
            }
            let path = details.map_or(Some(value), |details| details.get("filename"));
            let follow = details.and_then(|details| details.get("follow")).and_then(serde_json::Value::as_bool);
            match path.map(|path| section.renderable(path)) {
                Some(Ok(path)) => logfiles.push(LogFile { name: name.clone(), path, follow: follow.unwrap_or(false) }),
                Some(Err(message)) => options.problem("logfiles", format!("\"{name}\": {message}")),
                None => options.problem("logfiles", format!("\"{name}\" needs a \"filename\"")),
            }
        }
        logfiles
    }
}

impl GitStep {
    fn read(options: &mut Options<'_, '_>, workdir: Renderable) -> GitStep {
        let mode = options.word("mode", &["incremental", "full"]).unwrap_or("incremental");
        let method = options.word("method", &["clobber", "fresh", "clean", "copy"]);
        let mode = match (mode, method) {
            ("full", Some("clobber")) => GitMode::Clobber,
            ("full", Some("clean")) => GitMode::Clean,
            ("full", Some("copy")) => GitMode::Copy,
            ("full", _) => GitMode::Fresh,
            _ => GitMode::Incremental,
        };
        let shallow = options.flag("shallow", false);
        if shallow && mode != GitMode::Clobber {
            options.problem("shallow", "is only possible with mode=\"full\", method=\"clobber\"");
        }
        let retry = options.value("retry").map(|retry| match retry.as_array().map(Vec::as_slice) {
            Some([delay, times]) => {
                let delay = delay.as_f64().and_then(|delay| Duration::try_from_secs_f64(delay).ok());
                delay.zip(times.as_u64().and_then(|times| u32::try_from(times).ok()))
            }
            _ => None,
        });
        if retry == Some(None) {
            options.problem("retry", "expected (seconds between tries, number of tries)");
        }
        let branch = options.renderable_text("branch").unwrap_or_else(|| Renderable::Plain("HEAD".into()));
        let get_description = match options.value("getDescription") {
            None => false,
            Some(serde_json::Value::Bool(wanted)) => *wanted,
            Some(value) if super::section::plain_dict(value).is_some() => {
                options.without_effect("getDescription", "git describe is called without options here");
                true
            }
            Some(_) => {
                options.problem("getDescription", "expected True, False or a dict");
                false
            }
        };
        options.without_effect("reference", "objects are always fetched from repourl here");
        options.without_effect("config", "git settings come from the worker's own git configuration here");
        let retry_fetch = options.flag("retryFetch", false);
        let timeout = match options.given("timeout") {
            true => options.positive_seconds("timeout"),
            false => Some(TIMEOUT),
        };
        GitStep {
            repourl: options.required_renderable_text("repourl").unwrap_or(Renderable::Plain("".into())),
            branch,
            codebase: options.text("codebase").unwrap_or_default(),
            mode,
            submodules: options.flag("submodules", false),
            shallow,
            progress: options.flag("progress", false),
            retry: retry.flatten().or(retry_fetch.then_some((Duration::from_secs(5), 1))),
            always_use_latest: options.flag("alwaysUseLatest", false),
            clobber_on_failure: options.flag("clobberOnFailure", false),
            get_description,
            origin: options.text("origin").unwrap_or_else(|| "origin".to_owned()),
            workdir,
            env: environment(options),
            timeout,
            log_environ: options.flag("logEnviron", true),
        }
    }
}
