//! master.cfg in Starlark: loading, problems with their place, callbacks, secrets that never print.
//!
//! The file goes through `prepass` (Python 2 into Starlark, line by line), is evaluated, and leaves calls that have only
//! kept their arguments ([`Section`]). Every room then judges its own calls, so that all problems are reported at once.
//!
//! Not here: Python itself. There are no classes, exceptions, files or modules beyond `modules`; an option that took a
//! class takes a function.

mod builders;
mod callback;
mod check;
mod convert;
mod force;
mod format;
mod global;
mod kinds;
mod listed;
mod load;
mod modules;
mod names;
mod objects;
mod prepass;
mod problems;
mod renderable;
mod sample;
mod schedulers;
mod secret;
mod section;
mod source;
mod steps;
mod values;
mod web;
mod workers;

pub use builders::{BuilderConfig, MergeRequests};
pub use callback::{Arg, Callback, CallbackError, Method, Object};
pub use force::{CodebaseParameter, ForceSchedulerConfig, Parameter, ParameterKind};
pub use listed::Listed;
pub use load::{Catalog, Kind, load, load_text};
pub use objects::{
    Archive, build_number, build_object, builder_object, change_object, properties_object, request_object,
    status_object, step_object, worker_object,
};
pub use problems::{Problem, Problems, did_you_mean};
pub use renderable::{RenderContext, RenderError, Renderable};
pub use sample::{Sample, sample};
pub use schedulers::{ChangeFilter, Codebase, Match, Nightly, SchedulerConfig, SchedulerKind, Timing};
pub use secret::{Secret, Secrets};
pub use section::{Options, Section, read_port, shown, unknown_keys};
pub use steps::{
    Command, Condition, Extract, GitMode, GitStep, LogFile, ShellFlavour, ShellStep, StepConfig, StepKind,
};
pub use web::{Auth, AuthzConfig, Permission};
pub use workers::{WorkerConfig, WorkerKind};

use crate::model::Properties;
use std::fmt;
use std::sync::Arc;

/// The whole configuration, checked.
///
/// `Debug` names what is configured and shows no value, because some are secrets.
#[derive(Clone)]
pub struct Config {
    pub title: String,
    pub title_url: String,
    /// Ends in `/`.
    pub buildbot_url: String,
    /// As written: `sqlite:///state.sqlite` by default.
    pub db_url: String,
    pub builders: Vec<Arc<BuilderConfig>>,
    pub workers: Vec<Arc<WorkerConfig>>,
    pub schedulers: Vec<Arc<SchedulerConfig>>,
    /// Each still as the change source's own options; `changes` reads them.
    pub change_sources: Vec<Arc<Section>>,
    /// Status targets in the order of the file; each still as the target's own options; `status` reads them.
    pub status: Vec<Arc<Section>>,
    /// Global properties, source `global`.
    pub properties: Properties,
    pub merge_requests: MergeRequests,
    /// `prioritizeBuilders(master, builders) -> builders in order`.
    pub prioritize_builders: Option<Callback>,
    /// `codebaseGenerator(change dict) -> codebase`.
    pub codebase_generator: Option<Callback>,
    pub revlink: Option<Callback>,
    pub horizons: Horizons,
    pub logs: LogLimits,
    pub validation: Validation,
    pub secrets: Secrets,
    /// Where workers connect: `tcp:9989`.
    pub pb_port: Option<String>,
    /// `util.CommandlineUserManager`s, each still as its own options.
    pub user_managers: Vec<Arc<Section>>,
    /// What is right to write and has no effect here; for people to read.
    pub notes: Vec<Problem>,
}

impl Default for Config {
    /// The configuration of a file that only says `c = {}`, before its addresses are known.
    fn default() -> Config {
        Config {
            title: "Signalbox".to_owned(),
            title_url: String::new(),
            buildbot_url: String::new(),
            db_url: "sqlite:///state.sqlite".to_owned(),
            builders: Vec::new(),
            workers: Vec::new(),
            schedulers: Vec::new(),
            change_sources: Vec::new(),
            status: Vec::new(),
            properties: Properties::new(),
            merge_requests: MergeRequests::default(),
            prioritize_builders: None,
            codebase_generator: None,
            revlink: None,
            horizons: Horizons { events: Some(50), ..Horizons::default() },
            logs: LogLimits::default(),
            validation: Validation::default(),
            secrets: Secrets::default(),
            pb_port: None,
            user_managers: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let builders: Vec<&str> = self.builders.iter().map(|builder| builder.name.as_str()).collect();
        let workers: Vec<&str> = self.workers.iter().map(|worker| worker.name.as_str()).collect();
        let schedulers: Vec<&str> = self.schedulers.iter().map(|scheduler| scheduler.name.as_str()).collect();
        f.debug_struct("Config")
            .field("title", &self.title)
            .field("builders", &builders)
            .field("workers", &workers)
            .field("schedulers", &schedulers)
            .field("change_sources", &self.change_sources)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// How much history is kept; `None` keeps all (`reference/manual/cfg-global.rst`, Data Lifetime).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Horizons {
    /// Newest builds kept per builder.
    pub builds: Option<i64>,
    /// Newest builds per builder whose logs are kept.
    pub logs: Option<i64>,
    /// Newest events kept per builder (default 50), for the waterfall; also bounds the event log behind every cursor.
    pub events: Option<i64>,
    /// Newest changes kept.
    pub changes: Option<i64>,
}

/// Bytes; `None` means no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogLimits {
    pub max_size: Option<u64>,
    pub max_tail_size: Option<u64>,
}

/// Regular expressions what people type into forms must match (`c['validation']`).
#[derive(Debug, Clone)]
pub struct Validation {
    pub branch: regex::Regex,
    pub revision: regex::Regex,
    pub property_name: regex::Regex,
    pub property_value: regex::Regex,
}

impl Default for Validation {
    /// The manual's own.
    fn default() -> Validation {
        let regex = |text: &str| regex::Regex::new(text).expect("the built-in expressions compile");
        Validation {
            branch: regex(r"^[\w.+/~-]*$"),
            revision: regex(r"^[ \w\.\-/]*$"),
            property_name: regex(r"^[\w\.\-/~:]*$"),
            property_value: regex(r"^[\w\.\-/~:]*$"),
        }
    }
}
