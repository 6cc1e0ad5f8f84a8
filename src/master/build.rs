//! A running build: its steps in order, and every fact about them.
//!
//! A build is a task of its own, not an actor: there is nothing to restart. What it is at is kept in its [`Ledger`],
//! outside the task, so that a panic in it can still be recorded as what it is: an exception, with its text in the logs
//! `err.text` and `err.html`.

use super::eta;
use super::house::{House, Unrecorded};
use super::ledger::Ledger;
use super::log_writer::write_whole;
use super::steps::{self, StepEnd};
use super::workers::Lease;
use crate::config::{BuilderConfig, Config, StepConfig};
use crate::model::*;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{error, info};

/// Why a build is to end before its time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// Someone ordered it; the reason goes into the log `interrupt`.
    Interrupted { reason: String },
    /// The program ends; the requests wait again.
    Shutdown,
    /// Its worker has gone; the requests wait again.
    WorkerLost,
    /// For tests of containment.
    Panic,
}

/// What others hold of a running build.
pub(super) struct Handle {
    pub reference: BuildRef,
    pub requests: Vec<i64>,
    /// It has ended, and that is about to be stored.
    pub ending: bool,
    stop: watch::Sender<Option<Stop>>,
}

impl Handle {
    pub fn new(build: &Build) -> (Handle, StopSignal) {
        let (stop, signal) = watch::channel(None);
        let handle = Handle { reference: build.reference(), requests: build.requests.clone(), ending: false, stop };
        (handle, StopSignal(signal))
    }

    pub fn stop(&self, stop: Stop) {
        // What makes the build again weighs more than an order to end it.
        self.stop.send_modify(|known| {
            if !matches!(known, Some(Stop::Shutdown | Stop::WorkerLost)) {
                *known = Some(stop);
            }
        });
    }
}

/// Where a build hears that it is to end.
pub(super) struct StopSignal(watch::Receiver<Option<Stop>>);

impl StopSignal {
    /// An order that has not been heeded yet.
    pub fn pending(&mut self) -> Option<Stop> {
        if self.0.has_changed().unwrap_or(false) { self.0.borrow_and_update().clone() } else { None }
    }

    /// Waits for the next order. May be dropped at any moment.
    pub async fn wait(&mut self) -> Stop {
        loop {
            if self.0.changed().await.is_err() {
                // The handle has gone, so nobody can order anything any more.
                return std::future::pending().await;
            }
            if let Some(stop) = self.0.borrow_and_update().clone() {
                return stop;
            }
        }
    }
}

/// All there is to know before a build runs. Its start has been recorded.
pub(super) struct Plan {
    pub house: Arc<House>,
    pub config: Arc<Config>,
    pub builder: Arc<BuilderConfig>,
    pub build: Build,
    pub lease: Lease,
    pub stop: StopSignal,
}

/// The steps of a build that has not begun, with unique names.
pub(super) fn planned_steps(configs: &[Arc<StepConfig>]) -> Vec<Step> {
    let mut names: Vec<String> = Vec::new();
    for config in configs {
        let mut name = config.name.clone();
        let mut double = 0;
        while names.contains(&name) {
            double += 1;
            name = format!("{}_{double}", config.name);
        }
        names.push(name);
    }
    let numbered = names.into_iter().enumerate();
    numbered.map(|(number, name)| Step::new(i32::try_from(number).unwrap_or(i32::MAX), name)).collect()
}

/// Lets the build run, to its recorded end.
pub(super) fn spawn(plan: Plan) {
    actix_rt::spawn(async move {
        let house = plan.house.clone();
        let reference = plan.build.reference();
        let builder = plan.builder.clone();
        let ledger = Arc::new(Ledger::new(house.clone(), plan.build));
        let run = RunningBuild {
            house: house.clone(),
            config: plan.config,
            builder: builder.clone(),
            ledger: ledger.clone(),
            lease: plan.lease,
        };
        let mut stop = plan.stop;
        let ended = AssertUnwindSafe(run.steps(&mut stop)).catch_unwind().await;
        let end = match ended {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(gone)) => Err(gone),
            Err(panic) => record_panic(&house, &ledger, &panic_text(panic.as_ref())).await,
        };
        // The worker is free again before anyone hears that the build has ended.
        drop(run);
        if let Ok(end) = end {
            finish(&house, &ledger, &builder, end).await;
        }
        house.remove_build(&reference);
        house.queue_changed(&reference.builder);
    });
}

/// How a build as a whole ended.
struct End {
    results: Results,
    text: Vec<String>,
}

impl End {
    fn of(results: Results) -> End {
        End { results, text: results.build_text().iter().map(|&word| word.to_owned()).collect() }
    }
}

/// What the steps of a build work with.
pub(super) struct RunningBuild {
    pub house: Arc<House>,
    pub config: Arc<Config>,
    pub builder: Arc<BuilderConfig>,
    pub ledger: Arc<Ledger>,
    pub lease: Lease,
}

impl RunningBuild {
    async fn steps(&self, stop: &mut StopSignal) -> Result<End, Unrecorded> {
        let mut worst = Results::Success;
        let mut halted = false;
        let mut interrupted_between = false;
        for (number, config) in self.builder.steps.iter().enumerate() {
            match stop.pending() {
                Some(Stop::Shutdown | Stop::WorkerLost) => return Ok(lost_between()),
                Some(Stop::Panic) => panic!("provoked in build {}", self.ledger.reference()),
                Some(Stop::Interrupted { .. }) => {
                    worst = worst.worst(Results::Exception);
                    halted = true;
                    interrupted_between = true;
                }
                None => {}
            }
            if halted && !config.always_run {
                continue;
            }
            let end = steps::run(self, number, stop).await?;
            worst = worst.worst(counts_as(config, end.results));
            match end {
                StepEnd { retry: true, .. } => return Ok(End::of(Results::Retry)),
                StepEnd { results: Results::Exception | Results::Retry | Results::Cancelled, .. } => halted = true,
                StepEnd { results: Results::Failure, .. } => halted |= config.halt_on_failure,
                StepEnd { results: Results::Success | Results::Warnings | Results::Skipped, .. } => {}
            }
            self.tell_eta(number + 1).await?;
        }
        let mut end = End::of(worst);
        if interrupted_between {
            end.text.push("interrupted".to_owned());
        }
        Ok(end)
    }

    async fn tell_eta(&self, next: usize) -> Result<(), Unrecorded> {
        let now = self.house.clock.now();
        let news = self.ledger.with(|build| {
            let eta = eta::estimate(&build.steps, next, now);
            let news = next < build.steps.len() && eta::is_news(build.eta, eta, now);
            if news {
                build.eta = eta;
            }
            news.then(|| Event::BuildEtaUpdate { build: build.reference(), eta })
        });
        match news {
            Some(event) => self.house.record(vec![event]).await,
            None => Ok(()),
        }
    }
}

/// What a build makes of a step's results (`reference/webstatus.md` §1.1).
fn counts_as(config: &StepConfig, results: Results) -> Results {
    match results {
        Results::Failure if config.flunk_on_failure || config.flunk_on_warnings => Results::Failure,
        Results::Failure if config.warn_on_failure || config.warn_on_warnings => Results::Warnings,
        Results::Warnings if config.flunk_on_warnings => Results::Failure,
        Results::Warnings if config.warn_on_warnings => Results::Warnings,
        Results::Failure | Results::Warnings | Results::Skipped | Results::Success => Results::Success,
        Results::Exception | Results::Retry | Results::Cancelled => results,
    }
}

/// The worker went, or the program ends, while no step was running.
fn lost_between() -> End {
    End { results: Results::Retry, text: vec!["retry".to_owned(), "lost".to_owned()] }
}

async fn finish(house: &House, ledger: &Ledger, builder: &BuilderConfig, end: End) {
    let now = house.clock.now();
    let build = ledger.with(|build| {
        build.finished = Some(now);
        build.results = Some(end.results);
        build.text = end.text;
        build.eta = None;
        build.clone()
    });
    info!("build {} ended: {}", build.reference(), build.full_text().join(" "));
    // Its handle goes only after the fact is stored.
    let state = house.build_ends(&build.reference(), &builder.workers);
    let mut events = vec![Event::BuildFinished { build }];
    if house.config().builders.iter().any(|known| known.name == builder.name) {
        events.extend(house.state_change(&builder.name, state));
    }
    if house.record(events).await.is_err() {
        error!("build {}: its end could not be stored; it is repaired at the next start", ledger.reference());
    }
}

/// Brings the record of a build that panicked to an end.
async fn record_panic(house: &Arc<House>, ledger: &Ledger, what: &str) -> Result<End, Unrecorded> {
    let reference = ledger.reference();
    error!("build {reference}: a bug in Signalbox: {what}; the build ends as an exception, the others go on");
    let Some(mut step) = ledger.with(|build| build.current_step().cloned()) else {
        return Ok(End { results: Results::Exception, text: vec!["build".to_owned(), "exception".to_owned()] });
    };
    for log in step.logs.iter_mut().filter(|log| !log.finished) {
        ledger.close_log(step.number, log).await?;
    }
    step.logs.extend(write_error(house, &reference, step.number, what).await?);
    step.finished = Some(house.clock.now());
    step.results = Some(Results::Exception);
    step.text.push("exception".to_owned());
    step.text2 = vec![step.name.clone()];
    ledger.with(|build| build.steps[step.number as usize] = step.clone());
    house.record(vec![Event::StepFinished { build: reference, step, properties: Properties::new() }]).await?;
    Ok(End::of(Results::Exception))
}

/// The logs `err.text` and `err.html` of a step that could not do its work.
pub(super) async fn write_error(
    house: &Arc<House>,
    build: &BuildRef,
    step: i32,
    what: &str,
) -> Result<[Log; 2], Unrecorded> {
    let plain = Segment { channel: Channel::Stderr, bytes: format!("{what}\n").into_bytes() };
    let html = format!("<pre class=\"err\">{}</pre>\n", escaped(what));
    let html = Segment { channel: Channel::Stderr, bytes: html.into_bytes() };
    Ok([
        write_whole(house, build, step, ("err.text", LogKind::Text), plain).await?,
        write_whole(house, build, step, ("err.html", LogKind::Html), html).await?,
    ])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Condition, Renderable, StepKind};

    fn step(name: &str) -> StepConfig {
        StepConfig {
            name: name.into(),
            halt_on_failure: false,
            flunk_on_failure: true,
            warn_on_failure: false,
            flunk_on_warnings: false,
            warn_on_warnings: false,
            always_run: false,
            do_step_if: Condition::Always(true),
            hide_step_if: Condition::Always(false),
            description: Vec::new(),
            description_done: Vec::new(),
            description_suffix: Vec::new(),
            kind: StepKind::SetProperty { property: "p".into(), value: Renderable::Plain(1.into()) },
            place: "master.cfg:1".into(),
        }
    }

    #[test]
    fn doubles_of_a_name_are_counted() {
        let configs: Vec<_> = ["a", "b", "a", "a", "a_1", "b"].iter().map(|name| Arc::new(step(name))).collect();
        let names: Vec<String> = planned_steps(&configs).into_iter().map(|step| step.name).collect();
        assert_eq!(names, ["a", "b", "a_1", "a_2", "a_1_1", "b_1"]);
    }

    #[test]
    fn a_step_counts_as_its_flags_say() {
        use Results::*;
        let plain = step("s");
        let none = StepConfig { flunk_on_failure: false, ..plain.clone() };
        let warn = StepConfig { warn_on_failure: true, ..none.clone() };
        let flunk_warnings = StepConfig { flunk_on_warnings: true, ..plain.clone() };
        let warn_warnings = StepConfig { warn_on_warnings: true, ..plain.clone() };
        assert_eq!(counts_as(&plain, Failure), Failure);
        assert_eq!(counts_as(&plain, Warnings), Success);
        assert_eq!(counts_as(&plain, Skipped), Success);
        assert_eq!(counts_as(&none, Failure), Success);
        assert_eq!(counts_as(&warn, Failure), Warnings);
        assert_eq!(counts_as(&flunk_warnings, Warnings), Failure);
        assert_eq!(counts_as(&warn_warnings, Warnings), Warnings);
        assert_eq!(counts_as(&none, Exception), Exception);
    }

    #[test]
    fn err_html_shows_text_and_nothing_else() {
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
