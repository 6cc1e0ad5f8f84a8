//! The functions of the configuration that have a say in letters: messageFormatter and previousBuildGetter.

use crate::config::{Archive, Arg, Callback, build_number, build_object, status_object};
use crate::db::{Db, builds, logs};
use crate::model::*;
use crate::render::log_text;
use serde_json::{Value, json};
use std::sync::Arc;

/// A log is given to a function up to its last bytes, so many; functions have a limit of memory.
const LOG_BYTES: usize = 4 << 20;

/// What a messageFormatter made.
#[derive(Debug, PartialEq)]
pub struct Formatted {
    pub body: String,
    pub html: bool,
    pub subject: Option<String>,
}

/// What a formatter is told beside the build.
pub struct Circumstances<'a> {
    pub modes: Vec<&'static str>,
    pub title: &'a str,
    pub title_url: &'a str,
    pub buildbot_url: &'a str,
}

/// Calls the function; an error is a sentence with its place.
pub fn format(function: &Callback, build: &Build, around: &Circumstances, db: &Db) -> Result<Formatted, String> {
    let results = build.results.map_or(Value::Null, |results| results.code().into());
    let args = vec![
        Arg::Json(json!(around.modes)),
        Arg::Json(build.builder.as_str().into()),
        Arg::Object(build_object(build, Some(&archive(db)))),
        Arg::Json(results),
        Arg::Object(status_object(around.title, around.title_url, around.buildbot_url)),
    ];
    let made = function.call_blocking(args).map_err(|error| error.to_string())?;
    read(&made).map_err(|why| format!("{}: {}: {why}", function.place(), function.name()))
}

fn read(made: &Value) -> Result<Formatted, String> {
    let Value::Object(made) = made else { return Err("it gave no dict with a body".to_owned()) };
    let Some(Value::String(body)) = made.get("body") else { return Err("its dict has no text as \"body\"".to_owned()) };
    let html = match made.get("type") {
        Some(Value::String(kind)) if kind == "html" => true,
        Some(Value::String(kind)) if kind == "plain" => false,
        Some(other) => return Err(format!("{other} message type must be 'plain' or 'html'.")),
        None => return Err("its dict has no \"type\", 'plain' or 'html'".to_owned()),
    };
    let subject = match made.get("subject") {
        None | Some(Value::Null) => None,
        Some(Value::String(subject)) if subject.contains(['\n', '\r']) => {
            return Err("Subject cannot contain newlines".to_owned());
        }
        Some(Value::String(subject)) => Some(subject.clone()),
        Some(other) => return Err(format!("its subject {other} is no text")),
    };
    Ok(Formatted { body: body.clone(), html, subject })
}

/// The build that went before, as the function has it; one that is unknown is an error.
pub fn previous(function: &Callback, build: &Build, db: &Db) -> Result<Option<Build>, String> {
    let object = Arg::Object(build_object(build, Some(&archive(db))));
    let found = function.call_blocking(vec![object]).map_err(|error| error.to_string())?;
    if found.is_null() {
        return Ok(None);
    }
    let wrong =
        || format!("{}: {}: it gave neither a build of {} nor None", function.place(), function.name(), build.builder);
    let number = build_number(&found, &build.builder).ok_or_else(wrong)?;
    let builder = build.builder.clone();
    let read = db.read_blocking(|conn| builds::find(conn, &builder, number)).map_err(|error| error.to_string())?;
    read.map(Some).ok_or_else(wrong)
}

fn archive(db: &Db) -> Archive {
    let (of_logs, of_builds) = (db.clone(), db.clone());
    Archive {
        logs: Arc::new(move |log| of_logs.read_blocking(|conn| text(conn, log)).map_err(|error| error.to_string())),
        builds: Arc::new(move |builder, number| {
            of_builds.read_blocking(|conn| builds::find(conn, builder, number)).map_err(|error| error.to_string())
        }),
    }
}

/// What the program printed, from the last [`LOG_BYTES`] of the log.
fn text(conn: &mut crate::db::Conn, log: i64) -> Result<String, crate::db::DbError> {
    let size = logs::by_id(conn, log)?.map_or(0, |log| log.bytes);
    let from = (size - LOG_BYTES as i64).max(0);
    let (segments, _) = logs::from_byte(conn, log, from, LOG_BYTES)?;
    Ok(log_text::plain(&segments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_formatter_gives_is_looked_at() {
        let good = read(&json!({ "body": "b", "type": "html", "subject": "s" })).unwrap();
        assert_eq!(good, Formatted { body: "b".into(), html: true, subject: Some("s".into()) });
        for (made, why) in [
            (json!("text"), "no dict"),
            (json!({ "type": "plain" }), "no text as \"body\""),
            (json!({ "body": "b" }), "no \"type\""),
            (json!({ "body": "b", "type": "rich" }), "must be 'plain' or 'html'."),
            (json!({ "body": "b", "type": "plain", "subject": "a\nBcc: x@y.z" }), "cannot contain newlines"),
        ] {
            let error = read(&made).unwrap_err();
            assert!(error.contains(why), "{made}: {error}");
        }
    }
}
