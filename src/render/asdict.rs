//! 0.8's JSON objects, as its web pages and its pushes have them: exactly its keys, in alphabetical order.
//!
//! Sheets: `reference/webstatus.md` §5.3 and `reference/push.md` §1. Times are seconds since the epoch with their
//! fraction, except a change's `when` and a request's `submittedAt`, which are whole. Where 0.8 shows seconds left
//! (`eta`), `now` says how long that is.
//!
//! Not here: 0.8's filter, which drops empty members; see [`filtered`] for ours, which keeps numbers.

use crate::model::*;
use chrono::{DateTime, Local, SecondsFormat, TimeZone, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// 0.8 leaves letters, digits and these as they are in a path.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-');

/// A name as it stands in a path: `runtests linux` → `runtests%20linux`.
pub fn quote(name: &str) -> String {
    utf8_percent_encode(name, QUOTED).to_string()
}

/// The same, to be written.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        utf8_percent_encode(self.0, QUOTED).fmt(f)
    }
}

/// Addresses of pages below `buildbotURL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    base: String,
}

impl Urls {
    /// `buildbot_url` ends in `/`, as the configuration sees to.
    pub fn new(buildbot_url: impl Into<String>) -> Urls {
        Urls { base: buildbot_url.into() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn builder(&self, name: &str) -> String {
        format!("{}builders/{}", self.base, quote(name))
    }

    pub fn build(&self, build: &BuildRef) -> String {
        format!("{}/builds/{}", self.builder(&build.builder), build.number)
    }

    pub fn step(&self, build: &BuildRef, step: &str) -> String {
        format!("{}/steps/{}", self.build(build), quote(step))
    }

    pub fn log(&self, build: &BuildRef, step: &str, log: &str) -> String {
        format!("{}/logs/{}", self.step(build, step), quote(log))
    }
}

/// What of a builder is not in [`Builder`] itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuilderNow {
    /// Numbers of builds a client may ask for, sorted; 0.8: those in its cache.
    pub cached_builds: Vec<i64>,
    pub current_builds: Vec<i64>,
    /// How many requests wait.
    pub pending_builds: usize,
}

/// The installation: `/json/project`, and `status` of the pushes.
pub fn status(title: &str, title_url: &str, buildbot_url: &str) -> Value {
    json!({ "buildbotURL": buildbot_url, "title": title, "titleURL": title_url })
}

/// A builder without its name, which 0.8 has as the key above it.
pub fn builder(builder: &Builder, now: &BuilderNow) -> Value {
    json!({
        "basedir": builder.basedir,
        "cachedBuilds": now.cached_builds,
        "currentBuilds": now.current_builds,
        "pendingBuilds": now.pending_builds,
        "schedulers": builder.schedulers,
        "slaves": builder.workers,
        "state": builder.state.word(),
        "tags": if builder.tags.is_empty() { Value::Null } else { json!(builder.tags) },
    })
}

/// A build with its steps, hidden ones included.
pub fn build(build: &Build, urls: &Urls, now: Time) -> Value {
    let reference = build.reference();
    let logs: Vec<Value> = build.steps.iter().flat_map(|step| logs(&reference, step, urls)).collect();
    json!({
        "blame": build.blamelist(),
        "builderName": build.builder,
        "currentStep": build.current_step().map(|current| step(&reference, current, urls, now)),
        "eta": build.eta.filter(|_| build.finished.is_none()).map(|eta| left(eta, now)),
        "logs": logs,
        "number": build.number,
        "properties": build.properties,
        "reason": build.reason,
        "results": build.results,
        "slave": build.worker,
        "sourceStamps": build.source_stamps.iter().map(source_stamp).collect::<Vec<_>>(),
        "steps": build.steps.iter().map(|each| step(&reference, each, urls, now)).collect::<Vec<_>>(),
        "text": build.full_text(),
        "times": [seconds(Some(build.started)), seconds(build.finished)],
    })
}

/// One step of `build`.
///
/// `expectations` has the `output` of a step that has a log `stdio`; 0.8 knows no other metric of shell steps. The
/// target is null: Signalbox expects durations, not sizes.
pub fn step(build: &BuildRef, step: &Step, urls: &Urls, now: Time) -> Value {
    let stdio = step.logs.iter().find(|log| log.name == "stdio");
    let expectations: Vec<Value> = stdio.iter().map(|log| json!(["output", log.bytes, null])).collect();
    let end = step.started.zip(step.expected_seconds).filter(|_| step.finished.is_none());
    json!({
        "eta": end.map(|(started, expected)| (started.seconds() + expected - now.seconds()).max(0.0)),
        "expectations": expectations,
        "hidden": step.hidden,
        "isFinished": step.finished.is_some(),
        "isStarted": step.started.is_some(),
        "logs": logs(build, step, urls).collect::<Vec<_>>(),
        "name": step.name,
        "results": [json!(step.results), json!(step.text2)],
        "statistics": step.statistics,
        "step_number": step.number,
        "text": step.text,
        "times": [seconds(step.started), seconds(step.finished)],
        "urls": step.urls,
    })
}

pub fn source_stamp(stamp: &SourceStamp) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("branch", json!(stamp.branch));
    put("changes", stamp.changes.iter().map(change).collect());
    put("codebase", json!(stamp.codebase));
    put("hasPatch", json!(stamp.patch.is_some()));
    if let Some(patch) = &stamp.patch {
        put("patch_author", json!(patch.author));
        put("patch_body", json!(patch.body));
        put("patch_comment", json!(patch.comment));
        put("patch_level", json!(patch.level));
        if let Some(subdir) = &patch.subdir {
            put("patch_subdir", json!(subdir));
        }
    }
    put("project", json!(stamp.project));
    put("repository", json!(stamp.repository));
    put("revision", json!(stamp.revision));
    Value::Object(object)
}

/// A change; `at` is in the server's own time zone, as in 0.8.
pub fn change(change: &Change) -> Value {
    json!({
        "at": at(change.when),
        "branch": change.branch,
        "category": change.category,
        "codebase": change.codebase,
        "comments": change.comments,
        "files": change.files.iter().map(|file| json!({ "name": file })).collect::<Vec<_>>(),
        "number": change.number,
        "project": change.project,
        "properties": change.properties,
        "repository": change.repository,
        "rev": change.revision,
        "revision": change.revision,
        "revlink": change.revlink,
        "when": change.when.whole_seconds(),
        "who": change.who,
    })
}

/// A buildset of the pushes; 0.8's set of source stamps has the number of the buildset here.
pub fn buildset(buildset: &Buildset) -> Value {
    json!({
        "bsid": buildset.id,
        "complete": buildset.complete_at.is_some(),
        "complete_at": buildset.complete_at.map(zoned),
        "external_idstring": buildset.external_idstring,
        "reason": buildset.reason,
        "results": buildset.results.map_or(-1, Results::code),
        "sourcestampsetid": buildset.id,
        "submitted_at": zoned(buildset.submitted_at),
    })
}

/// A request of `/json/builders/X/pendingBuilds`, with the first of its source stamps.
pub fn request(request: &BuildRequest, builds: &[Build], urls: &Urls, now: Time) -> Value {
    json!({
        "builderName": request.builder,
        "builds": builds.iter().map(|each| build(each, urls, now)).collect::<Vec<_>>(),
        "properties": request.properties,
        "source": request.source_stamps.first().map(source_stamp),
        "submittedAt": request.submitted_at.whole_seconds(),
    })
}

/// A request of the pushes, of which 0.8 tells the builder alone.
pub fn pushed_request(request: &BuildRequest) -> Value {
    json!({ "builderName": request.builder, "builds": [], "source": null, "submittedAt": null })
}

/// A worker. `builders` has the finished builds it did by builder, newest first; pushes leave it out.
pub fn worker(
    worker: &Worker,
    running: &[Build],
    builders: Option<&BTreeMap<String, Vec<i64>>>,
    urls: &Urls,
    now: Time,
) -> Value {
    let mut info: BTreeMap<&str, Value> =
        worker.info.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    info.insert("access_uri", json!(worker.access_uri));
    info.insert("admin", json!(worker.admin));
    info.insert("host", json!(worker.host));
    info.insert("version", json!(worker.version));
    let known = worker.last_heard.is_some() || info.values().any(|value| !value.is_null());

    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("access_uri", json!(worker.access_uri));
    put("admin", json!(worker.admin));
    if let Some(builders) = builders {
        put("builders", json!(builders));
    }
    put("connected", json!(worker.connected));
    put("host", json!(worker.host));
    // One that never connected has told nothing.
    put("info", if known { json!(info) } else { json!({}) });
    put("name", json!(worker.name));
    put("runningBuilds", running.iter().map(|each| build(each, urls, now)).collect());
    put("version", json!(worker.version));
    Value::Object(object)
}

/// Which values 0.8's filter takes for empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// A build number 0 and the results 0 (success!) stay.
    Keep,
    /// As in 0.8, whose language says that 0 equals False: receivers read a missing `results` as success.
    Drop,
}

/// Without the members of objects, at any depth, that are `""`, null, false, `[]` or `{}`.
///
/// A list keeps all its members, with null for empty lists and objects, unless none is worth anything: then the list
/// goes. `None` when nothing is left. 0.8 filters so in pushes and, unless asked for `filter=0`, in `as_text` JSON.
pub fn filtered(value: &Value, zeros: Zeros) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(value.clone()),
        Value::Number(number) => {
            let kept = zeros == Zeros::Keep || number.as_f64() != Some(0.0);
            kept.then(|| value.clone())
        }
        Value::String(text) => (!text.is_empty()).then(|| value.clone()),
        Value::Array(members) => {
            let worth: Vec<Option<Value>> = members.iter().map(|member| filtered(member, zeros)).collect();
            let keep = |(member, worth): (&Value, Option<Value>)| match member {
                Value::Array(_) | Value::Object(_) => worth.unwrap_or_default(),
                _ => member.clone(),
            };
            worth.iter().any(Option::is_some).then(|| members.iter().zip(worth).map(keep).collect())
        }
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().filter_map(|(key, member)| Some((key.clone(), filtered(member, zeros)?))).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
    }
}

/// `2026-11-22 05:33:42.981683`, in UTC; the fraction is absent when it is nothing.
pub fn timestamp(time: Time) -> String {
    let format = if time.0.rem_euclid(1_000_000) == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
    utc(time).format(format).to_string()
}

/// `2026-11-22 05:57:13.199243+00:00`.
fn zoned(time: Time) -> String {
    format!("{}+00:00", timestamp(time))
}

/// `Mon 13 Feb 2012 16:40:00`, or `?` for a change that does not say when it was.
fn at(when: Time) -> String {
    if when == Time::default() {
        return "?".to_owned();
    }
    utc(when).with_timezone(&Local).format("%a %d %b %Y %H:%M:%S").to_string()
}

/// `2026-11-22T05:57:13Z`, for machines that are not 0.8.
pub fn iso(time: Time) -> String {
    utc(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A moment beyond what calendars hold is shown as the epoch.
fn utc(time: Time) -> DateTime<Utc> {
    Utc.timestamp_micros(time.0).single().unwrap_or_default()
}

fn seconds(time: Option<Time>) -> Value {
    json!(time.map(Time::seconds))
}

fn left(end: Time, now: Time) -> f64 {
    end.since(now).as_secs_f64()
}

fn logs<'a>(build: &'a BuildRef, step: &'a Step, urls: &'a Urls) -> impl Iterator<Item = Value> + 'a {
    step.logs.iter().map(move |log| json!([log.name, urls.log(build, &step.name, &log.name)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(value: &Value) -> String {
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    }

    fn a_build() -> Build {
        let mut step = Step::new(0, "sh one");
        step.started = Some(Time(1_795_325_545_645_120));
        step.expected_seconds = Some(2.5);
        step.logs.push(Log {
            id: 7,
            name: "warnings (1)".to_owned(),
            kind: LogKind::Text,
            finished: false,
            lines: 3,
            bytes: 40,
        });
        step.text2 = vec!["maybe".to_owned()];
        Build {
            builder: "b/one".to_owned(),
            number: 0,
            reason: "why".to_owned(),
            source_stamps: vec![SourceStamp {
                changes: vec![Change { number: 1, who: "Ann <a@x.org>".to_owned(), ..Change::default() }],
                patch: Some(Patch::default()),
                ..SourceStamp::default()
            }],
            requests: vec![1],
            properties: Properties::from(vec![("branch".to_owned(), json!("trunk"), "Build".to_owned())]),
            worker: "s1".to_owned(),
            started: Time(1_795_325_545_645_044),
            finished: None,
            results: None,
            text: vec!["building".to_owned()],
            eta: Some(Time(1_795_325_547_645_120)),
            steps: vec![step],
        }
    }

    #[test]
    fn a_build_has_the_keys_of_0_8() {
        let urls = Urls::new("http://localhost:8010/");
        let value = build(&a_build(), &urls, Time(1_795_325_546_645_120));
        assert_eq!(
            keys(&value),
            "blame builderName currentStep eta logs number properties reason results slave sourceStamps steps text times"
        );
        assert_eq!(value["eta"], json!(1.0));
        assert_eq!(value["steps"][0]["eta"], json!(1.5));
        assert_eq!(value["blame"], json!(["Ann <a@x.org>"]));
        assert_eq!(value["properties"], json!([["branch", "trunk", "Build"]]));
        assert_eq!(value["times"], json!([1_795_325_545.645_044, null]));
        assert_eq!(value["text"], json!(["building", "maybe"]));
        let log = "http://localhost:8010/builders/b%2Fone/builds/0/steps/sh%20one/logs/warnings%20%281%29";
        assert_eq!(value["logs"], json!([["warnings (1)", log]]));
        assert_eq!(
            keys(&value["currentStep"]),
            "eta expectations hidden isFinished isStarted logs name results statistics step_number text times urls"
        );
        assert_eq!(value["steps"][0]["results"], json!([null, ["maybe"]]));
        assert_eq!(
            keys(&value["sourceStamps"][0]),
            "branch changes codebase hasPatch patch_author patch_body patch_comment patch_level project repository revision"
        );
        assert_eq!(
            keys(&value["sourceStamps"][0]["changes"][0]),
            "at branch category codebase comments files number project properties repository rev revision revlink when who"
        );
    }

    #[test]
    fn times_are_printed_as_0_8_does() {
        assert_eq!(timestamp(Time(1_795_325_622_981_683)), "2026-11-22 05:33:42.981683");
        assert_eq!(timestamp(Time(1_795_325_622_000_000)), "2026-11-22 05:33:42");
        assert_eq!(timestamp(Time(1_795_325_622_000_080)), "2026-11-22 05:33:42.000080");
        assert_eq!(zoned(Time(1_795_327_033_199_243)), "2026-11-22 05:57:13.199243+00:00");
        assert_eq!(at(Time(0)), "?");
        assert_eq!(timestamp(Time(i64::MAX)), "1970-01-01 00:00:00.000000");
    }

    #[test]
    fn the_filter_drops_what_is_empty_but_keeps_numbers_and_list_members() {
        let value = json!({
            "results": 0, "empty": "", "no": false, "none": null, "list": [], "object": {"inner": []},
            "step": [3, []], "property": ["codebase", "", "Build"], "all_empty": ["", null, {}],
        });
        let lists = json!({ "step": [3, null], "property": ["codebase", "", "Build"] });
        assert_eq!(filtered(&value, Zeros::Drop), Some(lists.clone()));
        let mut with_results = json!({ "results": 0 });
        with_results.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
        assert_eq!(filtered(&value, Zeros::Keep), Some(with_results));
        assert_eq!(filtered(&json!([0, []]), Zeros::Drop), None);
        assert_eq!(filtered(&json!([0, []]), Zeros::Keep), Some(json!([0, null])));
        assert_eq!(filtered(&json!({ "a": {} }), Zeros::Keep), None);
    }

    #[test]
    fn a_worker_that_never_connected_has_told_nothing() {
        let idle = Worker { name: "s2".to_owned(), ..Worker::default() };
        let value = worker(&idle, &[], None, &Urls::new("http://h/"), Time(0));
        assert_eq!(keys(&value), "access_uri admin connected host info name runningBuilds version");
        assert_eq!(value["info"], json!({}));
        let value = worker(&idle, &[], Some(&BTreeMap::new()), &Urls::new("http://h/"), Time(0));
        assert_eq!(value["builders"], json!({}));
    }
}
