//! JSON, as 0.8's programs read it (`reference/webstatus.md` §5), and what newer ones ask for besides.
//!
//! Transport: `as_text`, `compact`, `filter`, `select`, `callback`. Better than 0.8: selects that share a beginning are
//! merged, the filter keeps zeros, and what goes wrong is said in JSON with a status of its own.

pub mod output;
mod tree;

use super::fault::Fault;
use super::kept::{FINISHED_FACTS, tag};
use super::pages::deliveries::only_dead;
use super::pages::hooks::outcome;
use super::viewer::Viewer;
use crate::db::inbox::{self, Received};
use crate::db::{Conn, changes as stored_changes, events as stored_events, outbox};
use crate::hub::Interest;
use crate::master::authz::{Action, Subject};
use crate::model::*;
use crate::render::asdict::{self, Zeros};
use crate::render::times::http_date;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_DISPOSITION, EXPIRES, PRAGMA, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// How long 0.8 lets an answer be kept.
const KEPT: Duration = Duration::from_secs(60);

/// The most paths selected at once.
const MOST_SELECTED: usize = 200;

const USUAL_CHANGES: i64 = 50;
const USUAL_EVENTS: i64 = 100;
const MOST: i64 = 1_000;
/// How often it is looked further where nothing was found that is shown.
const MOST_LOOKS: usize = 100;

/// The longest a request waits for news.
const LONGEST_WAIT: i64 = 30;

/// `/json` and everything 0.8 has below it.
pub async fn answer(request: HttpRequest, viewer: Viewer) -> Result<HttpResponse, Fault> {
    let path = elements(request.uri().path());
    let selected = selected(&viewer);
    let internals = viewer.may(Action::ShowInternals, Subject::Nothing).await.is_ok();
    let tree = tree::Tree::new(&viewer, internals);
    let value = viewer
        .read(move |reader| match selected {
            None => tree.node(reader.conn, &path),
            Some(selected) => {
                // The node itself must be there, whatever is selected below it.
                if !tree.is_known(reader.conn, &path)? {
                    return Err(tree.missing(&path));
                }
                let mut merged = Map::new();
                for below in selected {
                    let whole: Vec<String> = path.iter().chain(&below).cloned().collect();
                    let value = match tree.node(reader.conn, &whole) {
                        Ok(value) => value,
                        Err(Fault::NotFound { .. }) => json!({ "error": "Not available" }),
                        Err(fault) => return Err(fault),
                    };
                    merge(&mut merged, &below, value);
                }
                Ok(Value::Object(merged))
            }
        })
        .await?;
    let lasting = is_finished_build(&elements(request.uri().path()), &value).then_some(FINISHED_FACTS);
    respond(&request, &viewer, value, lasting).await
}

/// Whether it is a build that never changes any more; one that is counted from the newest is another one soon.
fn is_finished_build(path: &[String], value: &Value) -> bool {
    let [builders, _, builds, number] = path else { return false };
    builders == "builders"
        && builds == "builds"
        && number.parse::<u32>().is_ok()
        && value.pointer("/times/1").is_some_and(Value::is_number)
}

/// The elements of a path below `/json`, decoded each.
fn elements(path: &str) -> Vec<String> {
    let below = path.strip_prefix("/json").unwrap_or(path);
    let elements = below.split('/').filter(|element| !element.is_empty());
    elements.map(|element| percent_decode_str(element).decode_utf8_lossy().into_owned()).collect()
}

/// The selected paths, most elements first as in 0.8, so that shorter ones fill in around them.
fn selected(viewer: &Viewer) -> Option<Vec<Vec<String>>> {
    let given: Vec<&str> =
        viewer.fields().iter().filter(|(name, _)| *name == "select").map(|(_, value)| value).collect();
    if given.is_empty() {
        return None;
    }
    let mut paths: Vec<Vec<String>> = given
        .into_iter()
        .take(MOST_SELECTED)
        .map(|path| {
            let elements = path.split('/').filter(|element| !element.is_empty());
            elements.map(|element| percent_decode_str(element).decode_utf8_lossy().into_owned()).collect()
        })
        .collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    Some(paths)
}

/// Puts a value at a path, beside what is there.
fn merge(into: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {
            if let Value::Object(members) = value {
                for (key, member) in members {
                    merge(into, &[key], member);
                }
            }
        }
        [last] => match (into.get_mut(last), value) {
            (Some(Value::Object(there)), Value::Object(members)) => {
                for (key, member) in members {
                    merge(there, &[key], member);
                }
            }
            (_, value) => drop(into.insert(last.clone(), value)),
        },
        [first, rest @ ..] => {
            let inner = into.entry(first.clone()).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            if let Value::Object(inner) = inner {
                merge(inner, rest, value);
            }
        }
    }
}

/// Newest first; `count=` of them, numbers below `before=`.
pub async fn changes(request: HttpRequest, viewer: Viewer) -> Result<HttpResponse, Fault> {
    let count = viewer.fields().number_of("count", USUAL_CHANGES, MOST)?;
    let before = viewer.fields().integer("before")?;
    let found = viewer.read(move |reader| Ok(stored_changes::recent(reader.conn, count, before)?)).await?;
    respond(&request, &viewer, found.iter().map(asdict::change).collect(), None).await
}

/// Events above `since=`, at most `count=`; with `wait=` seconds it waits that long for the first.
///
/// `last` is the number to go on from: `since` of the next request.
pub async fn events(request: HttpRequest, viewer: Viewer) -> Result<HttpResponse, Fault> {
    let since = viewer.fields().integer("since")?.unwrap_or(0).max(0);
    let count = viewer.fields().number_of("count", USUAL_EVENTS, MOST)?;
    let wait = viewer.fields().integer("wait")?.unwrap_or(0).clamp(0, LONGEST_WAIT);
    let internals = viewer.may(Action::ShowInternals, Subject::Nothing).await.is_ok();
    let read = || viewer.read(move |reader| shown_events(reader.conn, since, count, internals));
    let (found, last) = if wait > 0 {
        // Hung before reading, so that nothing falls between.
        let (bell, _) = viewer.bell("json events", Interest::Everything).await?;
        let mut found = read().await?;
        if found.0.is_empty() {
            let mut closing = viewer.closing();
            tokio::select! {
                () = bell.rung() => {}
                _ = closing.changed() => {}
                () = tokio::time::sleep(Duration::from_secs(wait.unsigned_abs())) => {}
            }
            found = read().await?;
        }
        found
    } else {
        read().await?
    };
    let events = serde_json::to_value(&found).unwrap_or_default();
    respond(&request, &viewer, json!({ "events": events, "last": last }), None).await
}

/// The next events that are shown, and the number of the last that was looked at. There are none only where none are
/// left, or very many in a row are not shown.
fn shown_events(conn: &mut Conn, since: Seq, count: i64, internals: bool) -> Result<(Vec<Stored>, Seq), Fault> {
    let mut last = since;
    for _ in 0..MOST_LOOKS {
        let found = stored_events::after(conn, last, count)?;
        let Some(newest) = found.last() else { break };
        last = newest.seq;
        let shown: Vec<Stored> = if internals { found } else { found.into_iter().filter_map(public).collect() };
        if !shown.is_empty() {
            return Ok((shown, last));
        }
    }
    Ok((Vec::new(), last))
}

/// An event as anyone who may view may see it.
fn public(mut stored: Stored) -> Option<Stored> {
    match &mut stored.event {
        Event::DeliveryState { .. } | Event::UserChanged { .. } | Event::UserRemoved { .. } => return None,
        Event::TargetState { target } => target.reason = None,
        _ => {}
    }
    Some(stored)
}

/// The supervision tree; reasons for those who may see internals.
pub async fn supervision(request: HttpRequest, viewer: Viewer) -> Result<HttpResponse, Fault> {
    let internals = viewer.may(Action::ShowInternals, Subject::Nothing).await.is_ok();
    let mut reports = viewer.reports();
    if !internals {
        reports.iter_mut().for_each(|report| (report.last_reason, report.complaint) = (None, None));
    }
    respond(&request, &viewer, serde_json::to_value(reports).unwrap_or_default(), None).await
}

/// The ledger: newest first, `count=` of them, created before `before=` (microseconds), of one `target=`; with
/// `state=dead` those that were given up.
pub async fn deliveries(request: HttpRequest, viewer: Viewer) -> Result<HttpResponse, Fault> {
    viewer.may(Action::ShowInternals, Subject::Nothing).await?;
    let count = viewer.fields().number_of("count", USUAL_CHANGES, MOST)?;
    let before = viewer.fields().integer("before")?.map(Time);
    let target = viewer.fields().get("target").filter(|target| !target.is_empty()).map(str::to_owned);
    let list = if only_dead(viewer.fields())? { outbox::dead } else { outbox::ledger };
    let found = viewer.read(move |reader| Ok(list(reader.conn, target.as_deref(), before, count)?)).await?;
    respond(&request, &viewer, serde_json::to_value(found).unwrap_or_default(), None).await
}

/// The inbox of change hooks: newest first, `count=` of them, with numbers below `before=`.
pub async fn hooks(request: HttpRequest, viewer: Viewer) -> Result<HttpResponse, Fault> {
    viewer.may(Action::ShowInternals, Subject::Nothing).await?;
    let count = viewer.fields().number_of("count", USUAL_CHANGES, MOST)?;
    let before = viewer.fields().integer("before")?;
    let found = viewer.read(move |reader| Ok(inbox::recent(reader.conn, count, before)?)).await?;
    let shown = |received: &Received| {
        json!({
            "id": received.id,
            "received": received.received.seconds(),
            "dialect": received.dialect,
            "event": received.event,
            "delivery": received.delivery,
            "outcome": outcome(received).1,
            "status": received.status,
            "reason": received.reason,
            "changes": received.changes,
            "replayOf": received.replay_of,
            "method": received.method,
            "query": received.query,
            "headers": received.headers.iter().cloned().collect::<BTreeMap<String, String>>(),
            "size": received.size,
        })
    };
    respond(&request, &viewer, found.iter().map(shown).collect(), None).await
}

/// The answer, in the shape its arguments ask for.
async fn respond(
    request: &HttpRequest,
    viewer: &Viewer,
    value: Value,
    lasting: Option<Duration>,
) -> Result<HttpResponse, Fault> {
    let fields = viewer.fields();
    let flag = |name: &str, default: bool| match fields.get(name).map(str::to_ascii_lowercase).as_deref() {
        Some("1" | "true") => true,
        Some("0" | "false") => false,
        _ => default,
    };
    let as_text = flag("as_text", false);
    let (filter, compact) = (flag("filter", as_text), flag("compact", !as_text));
    let callback = fields.get("callback").filter(|name| is_name(name)).map(str::to_owned);
    let body = viewer.made(move || written(value, filter, compact, callback.as_deref())).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/json").insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    if lasting.is_none() {
        answer.insert_header((PRAGMA, "no-cache")).insert_header((EXPIRES, http_date(viewer.now() + KEPT)));
    }
    viewer.kept(&mut answer, tag(std::iter::once(&*body)), lasting, None);
    if as_text {
        answer.insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    } else {
        let path = request.uri().path().trim_end_matches('/');
        let file = if path == "/json" { "buildbot.json".to_owned() } else { format!("{path}.json") };
        // Only what a path may hold anyway: no quote gets through.
        let file: String = file.chars().filter(|c| c.is_ascii_graphic() && *c != '"' && *c != '\\').collect();
        answer.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")));
    }
    Ok(answer.body(body))
}

fn written(value: Value, filter: bool, compact: bool, callback: Option<&str>) -> String {
    let value = match filter {
        false => value,
        // 0.8 prints a list of nothing as null and an object of nothing as it is.
        true => asdict::filtered(&value, Zeros::Keep)
            .unwrap_or_else(|| if value.is_object() { json!({}) } else { Value::Null }),
    };
    let body = if compact { output::compact(&value) } else { output::indented(&value) };
    match callback {
        Some(callback) => format!("{callback}({body});"),
        None => body,
    }
}

/// Whether it can be called as a function, and nothing else.
fn is_name(name: &str) -> bool {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[a-zA-Z$_][a-zA-Z$0-9._]*$").expect("written here and tested"));
    name.len() <= 200 && NAME.is_match(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('/').filter(|element| !element.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn selects_that_share_a_beginning_are_merged() {
        let mut merged = Map::new();
        merge(&mut merged, &path("builders/a"), json!({ "x": 1 }));
        merge(&mut merged, &path("builders/b"), json!({ "x": 2 }));
        merge(&mut merged, &path("builders/a"), json!({ "y": 3 }));
        merge(&mut merged, &path(""), json!({ "project": {} }));
        assert_eq!(
            Value::Object(merged),
            json!({ "builders": { "a": { "x": 1, "y": 3 }, "b": { "x": 2 } }, "project": {} })
        );
    }

    #[test]
    fn a_callback_is_a_name() {
        assert!(is_name("cb") && is_name("$.get_1"));
        assert!(!is_name("alert(1)") && !is_name("1a") && !is_name(""));
    }

    #[test]
    fn names_may_hold_a_slash() {
        assert_eq!(elements("/json/builders/a%2Fb%20c/"), ["builders", "a/b c"]);
        assert_eq!(elements("/json"), Vec::<String>::new());
    }
}
