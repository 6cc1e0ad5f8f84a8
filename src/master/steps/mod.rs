//! The steps of a build: what all kinds share, and one file for each kind.
//!
//! A kind is a function from its options to an [`Outcome`]: it renders what it needs, calls [`StepRun::begin`] with its
//! own words, does its work through [`StepRun::command`] and [`StepRun::work`], and says how that went. Conditions,
//! texts, logs, interruption and the facts themselves are done here.

mod compile;
mod git;
mod pump;
mod secrets;
mod set_property;
mod set_property_from_command;
mod shell;

pub(super) use pump::Observer;

use super::build::{RunningBuild, Stop, StopSignal, write_error};
use super::house::Unrecorded;
use super::log_writer::{LogWriter, write_whole};
use super::objects::step_object;
use crate::config::{Arg, Condition, RenderContext, RenderError, Renderable, Secret, StepConfig, StepKind};
use crate::model::*;
use serde_json::{Map, Value};
use std::sync::Arc;
use tracing::{error, warn};

/// What a build hears of a step that has ended.
pub(super) struct StepEnd {
    pub results: Results,
    /// The build is to end at once and to be made again.
    pub retry: bool,
}

/// How the work of a step went.
pub(super) struct Outcome {
    pub results: Results,
    /// Words between the description and `failed`, `warnings`, ….
    pub words: Vec<String>,
}

impl From<Results> for Outcome {
    fn from(results: Results) -> Outcome {
        Outcome { results, words: Vec::new() }
    }
}

/// Why a step could not do its work.
#[derive(Debug)]
pub(super) enum Fault {
    Stopped(Stop),
    /// The configuration or the worker makes it impossible; the text goes into `err.text`.
    Exception(String),
    Unrecorded,
}

impl From<Unrecorded> for Fault {
    fn from(_: Unrecorded) -> Fault {
        Fault::Unrecorded
    }
}

impl From<RenderError> for Fault {
    fn from(error: RenderError) -> Fault {
        Fault::Exception(error.to_string())
    }
}

/// A kind's own words for itself, used where the configuration has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Words {
    pub running: Vec<String>,
    pub done: Vec<String>,
    /// `done` stands even where the configuration gives a `description` but no `descriptionDone`.
    pub done_is_fixed: bool,
}

impl Words {
    pub fn new(running: &str, done: &str) -> Words {
        Words { running: vec![running.to_owned()], done: vec![done.to_owned()], done_is_fixed: true }
    }
}

/// A step under way.
pub(super) struct StepRun<'a> {
    pub build: &'a RunningBuild,
    number: usize,
    config: Arc<StepConfig>,
    stop: &'a mut StopSignal,
    /// What it has set so far; the build has it too.
    properties: Properties,
    statistics: Map<String, Value>,
    words: Words,
    begun: bool,
    writers: Vec<LogWriter>,
    /// Which of `writers` is `stdio`, and which belongs to each watched file.
    stdio: Option<usize>,
    files: Vec<FileLog>,
    /// Shown nowhere.
    secrets: Vec<Secret>,
    /// Logs that have ended.
    ended_logs: Vec<Log>,
}

/// A watched file and its log, once there is one.
struct FileLog {
    name: String,
    writer: Option<usize>,
}

/// Runs a step, if it is to be run, to its recorded end.
pub(super) async fn run(build: &RunningBuild, number: usize, stop: &mut StopSignal) -> Result<StepEnd, Unrecorded> {
    let config = build.builder.steps[number].clone();
    let mut run = StepRun {
        build,
        number,
        config: config.clone(),
        stop,
        properties: Properties::new(),
        statistics: Map::new(),
        words: Words { running: vec![config.name.clone()], done: vec![config.name.clone()], done_is_fixed: false },
        begun: false,
        writers: Vec::new(),
        stdio: None,
        files: Vec::new(),
        secrets: Vec::new(),
        ended_logs: Vec::new(),
    };
    let outcome = match run.is_wanted().await {
        Ok(true) => run.work_of_kind(&config.kind).await,
        Ok(false) => run.skip(&config.kind).await,
        Err(fault) => Err(fault),
    };
    run.finish(outcome).await
}

impl StepRun<'_> {
    async fn work_of_kind(&mut self, kind: &StepKind) -> Result<Outcome, Fault> {
        match kind {
            StepKind::Shell(shell) => shell::run(self, shell).await,
            StepKind::Git(git) => git::run(self, git).await,
            StepKind::SetProperty { property, value } => set_property::run(self, property, value).await,
            StepKind::SetPropertyFromCommand { shell, extract } => {
                set_property_from_command::run(self, shell, extract).await
            }
        }
    }

    async fn skip(&mut self, kind: &StepKind) -> Result<Outcome, Fault> {
        let words = match kind {
            StepKind::Shell(shell) | StepKind::SetPropertyFromCommand { shell, .. } => {
                // What the command would have been may depend on what is not there, as the step is skipped for it.
                shell::words(self, shell).await.unwrap_or_else(|_| self.words.clone())
            }
            StepKind::Git(_) => git::words(),
            StepKind::SetProperty { property, .. } => set_property::words(property),
        };
        self.begin(words, &[]).await?;
        Ok(Outcome::from(Results::Skipped))
    }

    async fn is_wanted(&mut self) -> Result<bool, Fault> {
        match &self.config.do_step_if {
            Condition::Always(wanted) => Ok(*wanted),
            Condition::Callback(callback) => match callback.call(vec![self.as_object()]).await {
                Ok(answer) => Ok(is_true(&answer)),
                Err(cause) => Err(Fault::Exception(format!("doStepIf: {cause}"))),
            },
        }
    }

    /// A function that fails hides nothing.
    async fn is_hidden(&self, results: Results) -> bool {
        match &self.config.hide_step_if {
            Condition::Always(hidden) => *hidden,
            Condition::Callback(callback) => {
                let args = vec![Arg::Json(Value::from(results.code())), self.as_object()];
                callback.call(args).await.map(|answer| is_true(&answer)).unwrap_or_else(|cause| {
                    error!("build {}: hideStepIf failed: {cause}; the step is shown", self.reference());
                    false
                })
            }
        }
    }

    /// Shows nowhere what the secrets in these options stand for.
    pub async fn keep_secret(&mut self, options: Vec<Renderable>) -> Result<(), Fault> {
        self.secrets = self.render(move |context| Ok(secrets::named(&options, context.secrets))).await?;
        Ok(())
    }

    fn as_object(&self) -> Arg {
        let build = self.build.ledger.build();
        Arg::Object(step_object(&self.config, &build.steps[self.number], &build))
    }

    pub fn reference(&self) -> BuildRef {
        self.build.ledger.reference()
    }

    fn place(&self) -> i32 {
        i32::try_from(self.number).unwrap_or(i32::MAX)
    }

    /// Renders what a closure asks for, on a thread that may block.
    pub async fn render<T, F>(&self, what: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&RenderContext) -> Result<T, RenderError> + Send + 'static,
    {
        let (build, config) = (self.build.ledger.build(), self.build.config.clone());
        let rendered = tokio::task::spawn_blocking(move || {
            what(&RenderContext {
                properties: &build.properties,
                source_stamps: &build.source_stamps,
                secrets: &config.secrets,
                build: Some(&build),
            })
        });
        let rendered = rendered.await.map_err(|cause| Fault::Exception(format!("rendering an option: {cause}")))?;
        Ok(rendered?)
    }

    /// Records that the step has started, with its text and the logs it has from the start.
    ///
    /// The log `stdio` comes first where there is any; `files` are the names of the logs of watched files.
    pub async fn begin(&mut self, words: Words, logs: &[String]) -> Result<(), Fault> {
        let hide = |words: Vec<String>| words.into_iter().map(|word| secrets::hide_text(word, &self.secrets)).collect();
        self.words = Words { running: hide(words.running), done: hide(words.done), ..words };
        let text = self.running_text().await?;
        let now = self.build.house.clock.now();
        let step = self.build.ledger.change_step(self.number, |step| {
            step.started = Some(now);
            step.text = text;
        });
        let mut events = vec![Event::StepStarted { build: self.reference(), step }];
        for name in logs {
            let (_, event) = self.new_log(name);
            events.push(event);
        }
        self.begun = true;
        self.build.house.record(events).await?;
        Ok(())
    }

    /// A log of its own; the caller records the event before adding text.
    fn new_log(&mut self, name: &str) -> (usize, Event) {
        let writer = LogWriter::new(&self.build.house, self.reference(), self.place(), name, LogKind::Text);
        let event = writer.started();
        self.build.ledger.change_step(self.number, |step| step.logs.push(writer.log().clone()));
        self.writers.push(writer);
        if name == STDIO {
            self.stdio = Some(self.writers.len() - 1);
        }
        (self.writers.len() - 1, event)
    }

    /// Adds a log that is complete at once.
    pub async fn add_log(&mut self, name: &str, text: String) -> Result<(), Fault> {
        let (at, event) = self.new_log(name);
        self.build.house.record(vec![event]).await?;
        self.writers[at].add(Segment { channel: Channel::Stdout, bytes: text.into_bytes() }).await;
        Ok(())
    }

    /// Says something in the log `stdio`.
    pub async fn say(&mut self, text: &str) {
        if let Some(at) = self.stdio {
            let text = secrets::hide_text(text.to_owned(), &self.secrets);
            self.writers[at].add_header(&text).await;
        }
    }

    /// Shows other words while the step runs.
    pub async fn show(&mut self, text: Vec<String>) -> Result<(), Fault> {
        self.build.ledger.change_step(self.number, |step| step.text = text.clone());
        let event = Event::StepTextChanged { build: self.reference(), step: self.place(), text };
        Ok(self.build.house.record(vec![event]).await?)
    }

    pub fn set_property(&mut self, name: &str, value: impl Into<Value>, source: &str) {
        let value = value.into();
        self.properties.set(name, value.clone(), source);
        self.build.ledger.with(|build| build.properties.set(name, value, source));
    }

    /// The kind's own words for what has been done, where they depend on it.
    pub fn set_done_words(&mut self, words: Vec<String>) {
        self.words.done = words;
        self.words.done_is_fixed = true;
    }

    pub fn property(&self, name: &str) -> Option<Value> {
        self.build.ledger.with(|build| build.properties.get(name).cloned())
    }

    pub fn set_statistic(&mut self, name: &str, value: impl Into<Value>) {
        self.statistics.insert(name.to_owned(), value.into());
    }

    async fn running_text(&self) -> Result<Vec<String>, Fault> {
        let given = self.described(&self.config.description).await?;
        let mut text = if given.is_empty() { self.words.running.clone() } else { given };
        text.extend(self.described(&self.config.description_suffix).await?);
        Ok(text)
    }

    /// As [`StepRun::running_text`], once it has ended. What cannot be rendered then is left out.
    async fn done_text(&self) -> Vec<String> {
        let render = async {
            let mut text = self.described(&self.config.description_done).await?;
            if text.is_empty() && !self.words.done_is_fixed {
                text = self.described(&self.config.description).await?;
            }
            if text.is_empty() {
                text = self.words.done.clone();
            }
            text.extend(self.described(&self.config.description_suffix).await?);
            Ok(text)
        };
        render.await.unwrap_or_else(|fault: Fault| {
            warn!("build {}: cannot render a description: {fault:?}", self.reference());
            self.words.done.clone()
        })
    }

    async fn described(&self, parts: &[Renderable]) -> Result<Vec<String>, Fault> {
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let parts = parts.to_vec();
        self.render(move |context| {
            let mut text = Vec::new();
            for part in &parts {
                flatten(part.render(context)?, &mut text);
            }
            Ok(text)
        })
        .await
    }

    async fn finish(mut self, outcome: Result<Outcome, Fault>) -> Result<StepEnd, Unrecorded> {
        if let Err(Fault::Unrecorded) = outcome {
            return Err(Unrecorded);
        }
        if !self.begun {
            let now = self.build.house.clock.now();
            let text = self.words.running.clone();
            let step = self.build.ledger.change_step(self.number, |step| {
                step.started = Some(now);
                step.text = text;
            });
            self.build.house.record(vec![Event::StepStarted { build: self.reference(), step }]).await?;
        }
        let mut end = self.end_of(outcome).await?;
        let mut events = Vec::new();
        for writer in std::mem::take(&mut self.writers) {
            let log = writer.finish().await;
            events.push(Event::LogFinished { build: self.reference(), step: self.place(), log: log.clone() });
            self.ended_logs.push(log);
        }
        let hidden = self.is_hidden(end.results).await;
        let now = self.build.house.clock.now();
        let (statistics, mut logs) = (std::mem::take(&mut self.statistics), std::mem::take(&mut self.ended_logs));
        logs.sort_by_key(|log| log.id);
        let step = self.build.ledger.change_step(self.number, |step| {
            step.finished = Some(now);
            step.results = Some(end.results);
            step.text = std::mem::take(&mut end.text);
            step.text2 = std::mem::take(&mut end.text2);
            step.hidden = hidden;
            step.statistics = statistics;
            step.logs = logs;
        });
        let properties = std::mem::take(&mut self.properties);
        events.push(Event::StepFinished { build: self.reference(), step, properties });
        self.build.house.record(events).await?;
        Ok(StepEnd { results: end.results, retry: end.retry })
    }

    /// Results and texts; what goes wrong is written into logs of its own.
    async fn end_of(&mut self, outcome: Result<Outcome, Fault>) -> Result<Texts, Unrecorded> {
        let mut text = self.done_text().await;
        let name = self.build.ledger.step(self.number).name;
        let fault = match outcome {
            Ok(outcome) => {
                text.extend(outcome.words);
                text.extend(suffix(outcome.results).map(str::to_owned));
                let matters = matters(&self.config, outcome.results);
                let text2 = if matters { vec![name] } else { Vec::new() };
                return Ok(Texts { results: outcome.results, text, text2, retry: outcome.results == Results::Retry });
            }
            Err(fault) => fault,
        };
        let (results, word, text2, retry) = match fault {
            Fault::Stopped(Stop::Interrupted { reason }) => {
                self.write_interrupt(&reason).await?;
                (Results::Exception, "interrupted", vec!["interrupted".to_owned()], false)
            }
            Fault::Stopped(Stop::Shutdown) => {
                self.write_interrupt("Signalbox was shut down; the build is made again once it is back.\n").await?;
                (Results::Retry, "interrupted", vec!["interrupted".to_owned()], true)
            }
            Fault::Stopped(Stop::WorkerLost) => {
                (Results::Retry, "exception", vec!["slave".to_owned(), "lost".to_owned()], true)
            }
            Fault::Exception(what) => {
                let logs = write_error(&self.build.house, &self.reference(), self.place(), &what).await?;
                error!("build {}, step {name}: {what}", self.reference());
                self.ended_logs.extend(logs);
                (Results::Exception, "exception", vec![name], false)
            }
            Fault::Unrecorded => return Err(Unrecorded),
            Fault::Stopped(Stop::Panic) => panic!("provoked in build {}", self.reference()),
        };
        text.push(word.to_owned());
        Ok(Texts { results, text, text2, retry })
    }

    async fn write_interrupt(&mut self, reason: &str) -> Result<(), Unrecorded> {
        let reason = if reason.ends_with('\n') { reason.to_owned() } else { format!("{reason}\n") };
        let text = Segment { channel: Channel::Stdout, bytes: reason.into_bytes() };
        let what = ("interrupt", LogKind::Text);
        let log = write_whole(&self.build.house, &self.reference(), self.place(), what, text).await?;
        self.ended_logs.push(log);
        Ok(())
    }
}

/// The log every command's output goes to.
pub(super) const STDIO: &str = "stdio";

struct Texts {
    results: Results,
    text: Vec<String>,
    text2: Vec<String>,
    retry: bool,
}

fn suffix(results: Results) -> Option<&'static str> {
    match results {
        Results::Success => None,
        Results::Warnings => Some("warnings"),
        Results::Failure => Some("failed"),
        Results::Skipped => Some("skipped"),
        Results::Exception => Some("exception"),
        Results::Retry => Some("retry"),
        Results::Cancelled => Some("cancelled"),
    }
}

/// Whether results like these of this step could show in the results of the build.
fn matters(config: &StepConfig, results: Results) -> bool {
    let on_warnings = config.flunk_on_warnings || config.warn_on_warnings;
    match results {
        Results::Success | Results::Skipped => false,
        Results::Warnings => on_warnings,
        Results::Failure => on_warnings || config.flunk_on_failure || config.warn_on_failure,
        Results::Exception | Results::Retry | Results::Cancelled => true,
    }
}

/// What a rendered value is as words: lists within lists become one, null becomes nothing.
pub(super) fn flatten(value: Value, into: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Array(values) => values.into_iter().for_each(|value| flatten(value, into)),
        Value::String(text) => into.push(text),
        Value::Bool(value) => into.push(if value { "True" } else { "False" }.to_owned()),
        other => into.push(other.to_string()),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(value) => !value.is_empty(),
        Value::Object(value) => !value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_lists_become_one() {
        let mut words = Vec::new();
        flatten(json!(["a", ["b", [1, true, null]], "c"]), &mut words);
        assert_eq!(words, ["a", "b", "1", "True", "c"]);
    }

    #[test]
    fn truth_is_pythons() {
        for (value, truth) in [(json!(0), false), (json!([]), false), (json!("x"), true), (json!(null), false)] {
            assert_eq!(is_true(&value), truth, "{value}");
        }
    }
}
