//! 0.8's status objects as callbacks see them, made from model values.

use super::modules::{method, object};
use super::{Arg, Method, Object};
use crate::model::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// Reads the text of a log by its id, for `getText()`; standard output and error, without headers.
pub type LogReader = Arc<dyn Fn(i64) -> Result<String, String> + Send + Sync>;

/// Finds a build of a builder by its number.
pub type BuildReader = Arc<dyn Fn(&str, i64) -> Result<Option<Build>, String> + Send + Sync>;

/// What objects can look up when they are asked.
#[derive(Clone)]
pub struct Archive {
    pub logs: LogReader,
    pub builds: BuildReader,
}

fn plain(value: impl Into<Value>) -> Arg {
    Arg::Json(value.into())
}

/// A method without arguments that always gives the same.
fn gives(name: &'static str, value: impl Into<Value>) -> (&'static str, Method) {
    let value = value.into();
    method(name, move |_| Ok(value.clone()))
}

/// A method without arguments that gives objects.
fn gives_arg(name: &'static str, arg: Arg) -> (&'static str, Method) {
    (name, Arc::new(move |_: &[Value]| Ok(arg.clone())))
}

/// Tells objects with a name instead of a number apart.
fn name_id(name: &str) -> i64 {
    // FNV-1a: the same in every run, so that equality survives a restart.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 1) as i64
}

fn seconds(time: Time) -> Value {
    json!(time.seconds())
}

fn optional_seconds(time: Option<Time>) -> Value {
    time.map_or(Value::Null, seconds)
}

fn results(results: Option<Results>) -> Value {
    results.map_or(Value::Null, |results| results.code().into())
}

/// `getProperty(name, default)`, `hasProperty(name)`, `props['name']`, `getProperties()`, …: what renderers get.
pub fn properties_object(properties: &Properties, build: Option<&Build>) -> Object {
    let values: serde_json::Map<String, Value> =
        properties.iter().map(|(name, value, _)| (name.to_owned(), value.clone())).collect();
    let sources: Vec<Value> = properties.iter().map(|(name, value, source)| json!([name, value, source])).collect();
    let values = Arc::new(values);
    let get = {
        let values = values.clone();
        move |given: &[Value]| {
            let name = given.first().and_then(Value::as_str).ok_or("getProperty: which?")?;
            Ok(values.get(name).cloned().or_else(|| given.get(1).cloned()).unwrap_or(Value::Null))
        }
    };
    let item = {
        let values = values.clone();
        move |given: &[Value]| {
            let name = given.first().and_then(Value::as_str).ok_or("the name of a property is text")?;
            values.get(name).cloned().ok_or_else(|| format!("there is no property \"{name}\""))
        }
    };
    let has = {
        let values = values.clone();
        move |given: &[Value]| {
            Ok(given.first().and_then(Value::as_str).is_some_and(|name| values.contains_key(name)).into())
        }
    };
    let mut methods = vec![
        method("getProperty", get.clone()),
        method("get", get),
        method("__getitem__", item),
        method("hasProperty", has.clone()),
        method("has_key", has.clone()),
        method("__contains__", has),
        gives("asDict", Value::Object((*values).clone())),
        gives("asList", Value::Array(sources)),
        gives("keys", values.keys().cloned().collect::<Vec<_>>()),
        gives("items", values.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>()),
    ];
    if let Some(build) = build {
        methods.push(gives_arg("getBuild", Arg::Object(build_object(build, None))));
    }
    object("Properties", 0, vec![("properties", plain(Value::Object((*values).clone())))], methods)
}

/// `getName()`, `.name`, `getState()`, `getSlaves()`, `getTags()`, …
pub fn builder_object(builder: &Builder) -> Object {
    let workers: Vec<Arg> = builder
        .workers
        .iter()
        .map(|name| Arg::Object(worker_object(&Worker { name: name.clone(), ..Worker::default() })))
        .collect();
    let attributes = vec![
        ("name", plain(builder.name.as_str())),
        ("tags", plain(builder.tags.clone())),
        ("category", plain(builder.tags.first().cloned().map_or(Value::Null, Value::from))),
        ("description", plain(builder.description.clone().map_or(Value::Null, Value::from))),
        ("basedir", plain(builder.basedir.as_str())),
        ("slavenames", plain(builder.workers.clone())),
        ("workernames", plain(builder.workers.clone())),
    ];
    let methods = vec![
        gives("getName", builder.name.as_str()),
        gives("getState", json!([builder.state.word(), []])),
        gives_arg("getSlaves", Arg::List(workers.clone())),
        gives_arg("getWorkers", Arg::List(workers)),
        gives("getTags", builder.tags.clone()),
        gives("getCategory", builder.tags.first().cloned().map_or(Value::Null, Value::from)),
        gives("getDescription", builder.description.clone().map_or(Value::Null, Value::from)),
        gives("getSchedulers", builder.schedulers.clone()),
        {
            let tags = builder.tags.clone();
            method("matchesAnyTag", move |given| {
                let wanted = given.first().and_then(Value::as_array).cloned().unwrap_or_default();
                Ok(wanted.iter().any(|tag| tags.iter().any(|own| tag == own)).into())
            })
        },
    ];
    object("BuilderStatus", name_id(&builder.name), attributes, methods)
}

/// `getNumber()`, `getBuilder()`, `getReason()`, `getText()`, `getResults()`, `getProperties()`, `getProperty(name)`,
/// `getSourceStamps()`, `getResponsibleUsers()`, `getSlavename()`, `getChanges()`, `getTimes()`, `isFinished()`, `getSteps()`, …
///
/// Without an archive, `getText()` of a log and `getPreviousBuild()` are errors.
pub fn build_object(build: &Build, archive: Option<&Archive>) -> Object {
    let logs = archive.map(|archive| archive.logs.clone());
    let builder = Builder {
        name: build.builder.clone(),
        basedir: build.builder.clone(),
        description: None,
        tags: Vec::new(),
        workers: Vec::new(),
        schedulers: Vec::new(),
        state: BigState::Idle,
    };
    let id = name_id(&build.builder).wrapping_add(build.number);
    let properties = properties_object(&build.properties, None);
    let get_property = properties.methods.iter().find(|(name, _)| *name == "getProperty").map(|(_, run)| run.clone());
    let stamps: Vec<Arg> = build.source_stamps.iter().map(|stamp| Arg::Object(stamp_object(stamp))).collect();
    let changes: Vec<Arg> = build.changes().map(|change| Arg::Object(change_object(change))).collect();
    let steps: Vec<Arg> = build.steps.iter().map(|step| Arg::Object(step_object(step, logs.clone()))).collect();
    let all_logs: Vec<Arg> = build.steps.iter().flat_map(|step| step_logs(step, logs.clone())).collect();
    let first_stamp = stamps.first().cloned().unwrap_or(Arg::Json(Value::Null));
    let times = json!([build.started.seconds(), optional_seconds(build.finished)]);
    let attributes = vec![
        ("number", plain(build.number)),
        ("builder", Arg::Object(builder_object(&builder))),
        ("buildername", plain(build.builder.as_str())),
        ("reason", plain(build.reason.as_str())),
        ("results", plain(results(build.results))),
        ("text", plain(build.full_text())),
        ("slavename", plain(build.worker.as_str())),
        ("properties", Arg::Object(properties.clone())),
        ("started", plain(seconds(build.started))),
        ("finished", plain(optional_seconds(build.finished))),
        ("blamelist", plain(build.blamelist())),
    ];
    let mut methods = vec![
        gives("getNumber", build.number),
        gives_arg("getBuilder", Arg::Object(builder_object(&builder))),
        gives("getReason", build.reason.as_str()),
        gives("getText", build.full_text()),
        gives("getResults", results(build.results)),
        gives_arg("getProperties", Arg::Object(properties)),
        gives_arg("getSourceStamps", Arg::List(stamps.clone())),
        // The manual's own loop calls it so and goes through the result.
        gives_arg("getSourceStamp", first_stamp),
        gives("getResponsibleUsers", build.blamelist()),
        gives("getInterestedUsers", interested(build)),
        gives("getSlavename", build.worker.as_str()),
        gives("getWorkername", build.worker.as_str()),
        gives_arg("getChanges", Arg::List(changes)),
        gives("getTimes", times),
        gives("getETA", optional_seconds(build.eta)),
        gives("isFinished", build.finished.is_some()),
        gives_arg("getSteps", Arg::List(steps)),
        gives_arg("getLogs", Arg::List(all_logs)),
        gives("getRevisions", revisions(build)),
        gives_arg(
            "getCurrentStep",
            build.current_step().map_or(Arg::Json(Value::Null), |step| Arg::Object(step_object(step, logs.clone()))),
        ),
    ];
    if let Some(get_property) = get_property {
        methods.push(("getProperty", get_property));
    }
    methods.push(previous_build(build, archive));
    object("BuildStatus", id, attributes, methods)
}

/// `getPreviousBuild()`: the one numbered one less, whatever became of it.
fn previous_build(build: &Build, archive: Option<&Archive>) -> (&'static str, Method) {
    let (archive, builder, number) = (archive.cloned(), build.builder.clone(), build.number);
    let previous = move |_: &[Value]| {
        let archive = archive.as_ref().ok_or("getPreviousBuild: earlier builds cannot be looked up here")?;
        let found = if number > 0 { (archive.builds)(&builder, number - 1)? } else { None };
        Ok(found.map_or(Arg::Json(Value::Null), |found| Arg::Object(build_object(&found, Some(archive)))))
    };
    ("getPreviousBuild", Arc::new(previous))
}

/// The number of the build a callback has returned, if it is one of this builder.
pub fn build_number(returned: &Value, builder: &str) -> Option<i64> {
    let id = returned.get("$id").filter(|_| returned["$object"] == "BuildStatus")?.as_i64()?;
    Some(id.wrapping_sub(name_id(builder))).filter(|number| *number >= 0)
}

fn interested(build: &Build) -> Vec<String> {
    let mut people = [build.blamelist(), build.owners()].concat();
    people.sort();
    people.dedup();
    people
}

fn revisions(build: &Build) -> String {
    let known = build.changes().filter_map(|change| change.revision.clone());
    known.collect::<Vec<_>>().join(" ")
}

fn stamp_object(stamp: &SourceStamp) -> Object {
    let text = |value: &Option<String>| plain(value.clone().map_or(Value::Null, Value::from));
    let changes: Vec<Arg> = stamp.changes.iter().map(|change| Arg::Object(change_object(change))).collect();
    let patch = stamp.patch.as_ref();
    let attributes = vec![
        ("codebase", plain(stamp.codebase.as_str())),
        ("repository", plain(stamp.repository.as_str())),
        ("project", plain(stamp.project.as_str())),
        ("branch", text(&stamp.branch)),
        ("revision", text(&stamp.revision)),
        ("patch", plain(patch.map_or(Value::Null, |patch| json!([patch.level, patch.body, patch.subdir])))),
        ("patch_info", plain(patch.map_or(Value::Null, |patch| json!([patch.author, patch.comment])))),
        ("changes", Arg::List(changes)),
    ];
    object("SourceStamp", name_id(&format!("{stamp:?}")), attributes, vec![gives("asDict", stamp_dict(stamp))])
}

fn stamp_dict(stamp: &SourceStamp) -> Value {
    json!({
        "codebase": stamp.codebase,
        "repository": stamp.repository,
        "project": stamp.project,
        "branch": stamp.branch,
        "revision": stamp.revision,
        "changes": stamp.changes.iter().map(change_dict).collect::<Vec<_>>(),
    })
}

/// A step as callbacks see it: `getName()`, `isFinished()`, `getResults()`, `getText()`, `getLogs()`, …
pub fn step_object(step: &Step, logs: Option<LogReader>) -> Object {
    let own_logs = step_logs(step, logs);
    let attributes = vec![
        ("name", plain(step.name.as_str())),
        ("step_number", plain(step.number)),
        ("results", plain(results(step.results))),
        ("hidden", plain(step.hidden)),
        ("urls", plain(json!(step.urls))),
        ("statistics", plain(Value::Object(step.statistics.clone()))),
    ];
    let mut methods = step_methods(step);
    methods.push(gives_arg("getLogs", Arg::List(own_logs)));
    object("BuildStepStatus", i64::from(step.number), attributes, methods)
}

fn step_methods(step: &Step) -> Vec<(&'static str, Method)> {
    let statistics = step.statistics.clone();
    vec![
        gives("getName", step.name.as_str()),
        gives("isStarted", step.started.is_some()),
        gives("isFinished", step.finished.is_some()),
        gives("isHidden", step.hidden),
        // 0.8 gives the result and what the step adds to the build's text.
        gives("getResults", json!([results(step.results), step.text2])),
        gives("getText", step.text.clone()),
        gives("getTimes", json!([optional_seconds(step.started), optional_seconds(step.finished)])),
        gives("getURLs", json!(step.urls)),
        gives("getStatistics", Value::Object(step.statistics.clone())),
        method("getStatistic", move |given| {
            let name = given.first().and_then(Value::as_str).unwrap_or("");
            Ok(statistics.get(name).cloned().or_else(|| given.get(1).cloned()).unwrap_or(Value::Null))
        }),
    ]
}

fn step_logs(step: &Step, logs: Option<LogReader>) -> Vec<Arg> {
    let bare = object(
        "BuildStepStatus",
        i64::from(step.number),
        vec![("name", plain(step.name.as_str()))],
        step_methods(step),
    );
    let log_object = |log: &Log| {
        let (id, name, reader) = (log.id, log.name.clone(), logs.clone());
        let text = method("getText", move |_| match &reader {
            Some(read) => read(id).map(Value::from),
            None => Err(format!("the text of log \"{name}\" cannot be read here")),
        });
        let methods = vec![
            gives("getName", log.name.as_str()),
            gives_arg("getStep", Arg::Object(bare.clone())),
            gives("isFinished", log.finished),
            text,
        ];
        Arg::Object(object("LogFile", log.id, vec![("name", plain(log.name.as_str()))], methods))
    };
    step.logs.iter().map(log_object).collect()
}

/// `.id`, `.buildername`, `.reason`, `.properties`, `.priority`, `.submittedAt`, `.source`, `.sources`,
/// `canBeMergedWith(other)`, `getSubmitTime()`, …
pub fn request_object(request: &BuildRequest) -> Object {
    let stamps: Vec<(String, Arg)> =
        request.source_stamps.iter().map(|stamp| (stamp.codebase.clone(), Arg::Object(stamp_object(stamp)))).collect();
    let first = stamps.first().map_or(Arg::Json(Value::Null), |(_, stamp)| stamp.clone());
    let key = merge_key(&request.source_stamps);
    let properties = properties_object(&request.properties, None);
    let attributes = vec![
        ("id", plain(request.id)),
        ("bsid", plain(request.buildset)),
        ("buildername", plain(request.builder.as_str())),
        ("reason", plain(request.reason.as_str())),
        ("properties", Arg::Object(properties)),
        ("priority", plain(request.priority)),
        ("submittedAt", plain(request.submitted_at.whole_seconds())),
        ("source", first),
        ("sources", Arg::List(stamps.iter().map(|(_, stamp)| stamp.clone()).collect())),
        ("mergeKey", plain(key.clone())),
    ];
    let methods = vec![
        method("canBeMergedWith", move |given| {
            let other = given.first().and_then(|other| other.get("mergeKey")).cloned().unwrap_or(Value::Null);
            Ok((!key.is_null() && other == key).into())
        }),
        gives("getSubmitTime", request.submitted_at.whole_seconds()),
        gives("getBuilderName", request.builder.as_str()),
        gives_arg("getSourceStamp", stamps.first().map_or(Arg::Json(Value::Null), |(_, stamp)| stamp.clone())),
        gives_arg("getSourceStamps", Arg::List(stamps.into_iter().map(|(_, stamp)| stamp).collect())),
        gives("getBuilds", request.builds.clone()),
    ];
    object("BuildRequest", request.id, attributes, methods)
}

/// Equal for requests that may be built as one; null where a patch forbids it (`cfg-builders.rst`, Merging).
fn merge_key(stamps: &[SourceStamp]) -> Value {
    if stamps.iter().any(|stamp| stamp.patch.is_some()) {
        return Value::Null;
    }
    let mut keys: Vec<Value> = stamps
        .iter()
        .map(|stamp| {
            // With changes the revision does not count: the newest wins.
            let revision = stamp.changes.is_empty().then(|| stamp.revision.clone());
            json!([stamp.codebase, stamp.branch, stamp.project, stamp.repository, stamp.changes.is_empty(), revision])
        })
        .collect();
    keys.sort_by_key(Value::to_string);
    Value::Array(keys)
}

/// `.who`, `.files`, `.comments`, `.revision`, `.branch`, `.category`, `.when`, `.properties`, `.repository`, `.codebase`, `.project`, `asDict()`, …
pub fn change_object(change: &Change) -> Object {
    let text = |value: &Option<String>| plain(value.clone().map_or(Value::Null, Value::from));
    let attributes = vec![
        ("number", plain(change.number)),
        ("who", plain(change.who.as_str())),
        ("files", plain(change.files.clone())),
        ("comments", plain(change.comments.as_str())),
        ("revision", text(&change.revision)),
        ("branch", text(&change.branch)),
        ("category", text(&change.category)),
        ("when", plain(seconds(change.when))),
        ("revlink", text(&change.revlink)),
        ("repository", plain(change.repository.as_str())),
        ("codebase", plain(change.codebase.as_str())),
        ("project", plain(change.project.as_str())),
        ("properties", Arg::Object(properties_object(&change.properties, None))),
    ];
    let methods = vec![
        gives("asDict", change_dict(change)),
        gives("asText", change_text(change)),
        gives("getShortAuthor", change.who.as_str()),
        gives("getTimes", json!([change.when.seconds(), null])),
        gives("getText", vec![change.who.clone()]),
    ];
    object("Change", change.number, attributes, methods)
}

/// 0.8's `asDict`: the dict mails and pages are made from.
pub(super) fn change_dict(change: &Change) -> Value {
    let properties: Vec<Value> =
        change.properties.iter().map(|(name, value, source)| json!([name, value, source])).collect();
    json!({
        "number": change.number,
        "branch": change.branch,
        "category": change.category,
        "who": change.who,
        "comments": change.comments,
        "revision": change.revision,
        "rev": change.revision,
        "when": change.when.seconds(),
        "at": change.when.whole_seconds().to_string(),
        "files": change.files.iter().map(|file| json!({ "name": file })).collect::<Vec<_>>(),
        "revlink": change.revlink.clone().unwrap_or_default(),
        "properties": properties,
        "repository": change.repository,
        "project": change.project,
        "codebase": change.codebase,
    })
}

/// A change as lines for a mail: a list of them, as the manual has it.
fn change_text(change: &Change) -> Vec<String> {
    let mut lines = vec!["Files:".to_owned()];
    lines.extend(change.files.iter().map(|file| format!(" {file}")));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{name}: {value}"));
        }
    };
    line("On", &change.repository);
    line("For", &change.project);
    line("At", &change.when.whole_seconds().to_string());
    line("Changed By", &change.who);
    line("Comments", &change.comments);
    lines
}

/// `.slavename`, `.name`, `getName()`, `isConnected()`, …
pub fn worker_object(worker: &Worker) -> Object {
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::from);
    let bare = |inner: Option<Object>| {
        let mut attributes = vec![
            ("slavename", plain(worker.name.as_str())),
            ("workername", plain(worker.name.as_str())),
            ("name", plain(worker.name.as_str())),
        ];
        if let Some(inner) = inner {
            // A builder's own view of a worker holds the worker as `.slave`.
            attributes.push(("slave", Arg::Object(inner.clone())));
            attributes.push(("worker", Arg::Object(inner)));
        }
        let methods = vec![
            gives("getName", worker.name.as_str()),
            gives("isConnected", worker.connected),
            gives("isPaused", worker.paused),
            gives("getGraceful", worker.graceful),
            gives("getAdmin", text(&worker.admin)),
            gives("getHost", text(&worker.host)),
            gives("getVersion", text(&worker.version)),
            gives("getAccessURI", text(&worker.access_uri)),
            gives("getInfoAsDict", Value::Object(worker.info.clone())),
            {
                let info = worker.info.clone();
                method("getInfo", move |given| {
                    let name = given.first().and_then(Value::as_str).unwrap_or("");
                    Ok(info.get(name).cloned().or_else(|| given.get(1).cloned()).unwrap_or(Value::Null))
                })
            },
        ];
        object("BuildSlave", name_id(&worker.name), attributes, methods)
    };
    bare(Some(bare(None)))
}

/// The whole of the status: `getTitle()`, `getBuildbotURL()`, `getURLForThing(thing)`: a `master_status`.
pub fn status_object(title: &str, title_url: &str, buildbot_url: &str) -> Object {
    let base = buildbot_url.to_owned();
    let url = method("getURLForThing", move |given| Ok(thing_url(&base, given.first().unwrap_or(&Value::Null)).into()));
    let methods = vec![
        gives("getTitle", title),
        gives("getProjectName", title),
        gives("getTitleURL", title_url),
        gives("getBuildbotURL", buildbot_url),
        url,
    ];
    object("Status", 0, vec![("title", plain(title)), ("buildbotURL", plain(buildbot_url))], methods)
}

/// The address of a builder, build or change, as 0.8 spells it; empty for anything else.
fn thing_url(base: &str, thing: &Value) -> String {
    let text = |name: &str| thing.get(name).and_then(Value::as_str).unwrap_or("");
    let quoted =
        |name: &str| percent_encoding::utf8_percent_encode(text(name), percent_encoding::NON_ALPHANUMERIC).to_string();
    let number = thing.get("number").and_then(Value::as_i64).unwrap_or(0);
    match text("$object") {
        "BuilderStatus" => format!("{base}builders/{}", quoted("name")),
        "BuildStatus" => format!("{base}builders/{}/builds/{number}", quoted("buildername")),
        "Change" => format!("{base}changes/{number}"),
        "BuildSlave" => format!("{base}buildslaves/{}", quoted("name")),
        _ => String::new(),
    }
}
