//! What callbacks of the configuration are given by the master, beyond the objects `config` makes.

use crate::config::{Arg, BuilderConfig, Config, Object, SchedulerConfig, StepConfig, build_object, worker_object};
use crate::model::*;
use serde_json::Value;
use std::sync::Arc;

/// A builder of the configuration as `model` describes it.
pub(super) fn named_object(config: &Config, builder: &BuilderConfig, state: BigState) -> Builder {
    let lists = |scheduler: &&Arc<SchedulerConfig>| scheduler.builder_names.contains(&builder.name);
    Builder {
        name: builder.name.clone(),
        basedir: builder.builddir.rsplit('/').next().unwrap_or_default().to_owned(),
        description: builder.description.clone(),
        tags: builder.tags.clone(),
        workers: builder.workers.clone(),
        schedulers: config.schedulers.iter().filter(lists).map(|scheduler| scheduler.name.clone()).collect(),
        state,
    }
}

/// One of the workers `nextSlave` chooses from: `.slave.slavename`; its place in the list is its id.
pub(super) fn worker_choice(at: usize, worker: &Worker) -> Object {
    Object {
        kind: "SlaveBuilder",
        id: i64::try_from(at).unwrap_or(i64::MAX),
        attributes: vec![
            ("slave", Arg::Object(worker_object(worker))),
            ("slavename", Arg::Json(Value::from(worker.name.clone()))),
            ("workername", Arg::Json(Value::from(worker.name.clone()))),
        ],
        methods: Vec::new(),
    }
}

/// The step `doStepIf` and `hideStepIf` are called with: `.name`, `.build`, `getProperty(name, default)`.
pub(super) fn step_object(config: &StepConfig, step: &Step, build: &Build) -> Object {
    let properties = build.properties.clone();
    let get_property = move |args: &[Value]| {
        let name = args.first().and_then(Value::as_str).ok_or("getProperty: expected the name of a property")?;
        let value = properties.get(name).or(args.get(1)).cloned();
        Ok(Arg::Json(value.unwrap_or(Value::Null)))
    };
    let has_property = {
        let properties = build.properties.clone();
        move |args: &[Value]| {
            let name = args.first().and_then(Value::as_str).ok_or("hasProperty: expected the name of a property")?;
            Ok(Arg::Json(Value::Bool(properties.get(name).is_some())))
        }
    };
    Object {
        kind: "BuildStep",
        id: i64::from(step.number),
        attributes: vec![
            ("name", Arg::Json(Value::from(step.name.clone()))),
            ("build", Arg::Object(build_object(build, None))),
            ("haltOnFailure", Arg::Json(Value::Bool(config.halt_on_failure))),
            ("flunkOnFailure", Arg::Json(Value::Bool(config.flunk_on_failure))),
            ("warnOnFailure", Arg::Json(Value::Bool(config.warn_on_failure))),
            ("flunkOnWarnings", Arg::Json(Value::Bool(config.flunk_on_warnings))),
            ("warnOnWarnings", Arg::Json(Value::Bool(config.warn_on_warnings))),
            ("alwaysRun", Arg::Json(Value::Bool(config.always_run))),
        ],
        methods: vec![("getProperty", Arc::new(get_property)), ("hasProperty", Arc::new(has_property))],
    }
}
