use super::{Problems, Secret, Section};
use crate::model::Properties;
use std::time::Duration;

/// A worker of the configuration.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    pub name: String,
    /// Builds at once; `None` is no limit.
    pub max_builds: Option<usize>,
    /// Source `BuildSlave`.
    pub properties: Properties,
    pub notify_on_missing: Vec<String>,
    pub missing_timeout: Duration,
    pub kind: WorkerKind,
    /// Where it stands, `master.cfg:14`; not part of being equal.
    pub place: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum WorkerKind {
    /// `worker.LocalWorker`: run by Signalbox itself.
    Local,
    /// `worker.Worker` / `buildslave.BuildSlave`: a process that connects with this password.
    Remote { password: Secret, keepalive_interval: Duration },
}

impl PartialEq for WorkerConfig {
    fn eq(&self, other: &WorkerConfig) -> bool {
        let WorkerConfig { name, max_builds, properties, notify_on_missing, missing_timeout, kind, place: _ } = other;
        self.name == *name
            && self.max_builds == *max_builds
            && self.properties == *properties
            && self.notify_on_missing == *notify_on_missing
            && self.missing_timeout == *missing_timeout
            && self.kind == *kind
    }
}

impl WorkerConfig {
    /// `worker.LocalWorker(name, max_builds=1, properties={})`, `worker.Worker(name, password, …)`.
    pub(super) fn read(section: &Section, problems: &mut Problems) -> Option<WorkerConfig> {
        let local = section.kind == "worker.LocalWorker";
        let mut options = section.read(problems);
        let old_name = if local { None } else { options.text("slavename") };
        let name = match old_name {
            Some(name) => {
                options.ignored("name");
                Some(name)
            }
            None => options.required_text("name"),
        };
        if name
            .as_deref()
            .is_some_and(|name| name.contains('/') || name.starts_with('.') || name.contains(char::is_control))
        {
            options.problem("name", "must be one line, must not hold \"/\" or begin with \".\": it names a folder");
        }
        let limit = options.integer_in("max_builds", 1, 10_000).and_then(|limit| usize::try_from(limit).ok());
        let max_builds = if local { Some(limit.unwrap_or(1)) } else { limit };
        let properties = options.properties("properties", "BuildSlave");
        let notify_on_missing = options.text_or_texts("notify_on_missing").unwrap_or_default();
        let missing_timeout = options.positive_seconds("missing_timeout").unwrap_or(Duration::from_secs(3600));
        let kind = if local {
            WorkerKind::Local
        } else {
            let old_password = options.secret("slavepassword");
            let password = match old_password {
                Some(password) => {
                    options.ignored("password");
                    Some(password)
                }
                None => options.required_secret("password"),
            };
            // `None` switches keepalives off; a year between them is the same.
            let off = options.given("keepalive_interval") && options.value("keepalive_interval").is_none();
            let default = Duration::from_secs(if off { 365 * 24 * 3600 } else { 3600 });
            let keepalive_interval = options.positive_seconds("keepalive_interval").unwrap_or(default);
            WorkerKind::Remote { password: password.unwrap_or_else(|| Secret::new("")), keepalive_interval }
        };
        options.finish();
        let place = section.place.clone();
        Some(WorkerConfig { name: name?, max_builds, properties, notify_on_missing, missing_timeout, kind, place })
    }
}
