//! The last lines of a step's log, where they tell more than its text.

use super::super::fault::Fault;
use super::super::log_errors::{ErrorLine, LineView, LogErrors};
use super::super::reader::Reader;
use super::log::Place;
use crate::db::logs;
use crate::model::*;
use crate::render::links::Links;
use crate::render::log_text::LogHtml;
use serde::Serialize;

/// Lines shown at once.
const LAST_LINES: i64 = 15;
const LAST_BYTES: usize = 16 * 1024;

/// The end of one log, as read.
pub struct LogEnd {
    step: String,
    log: Log,
    /// Where the lines start, from 0.
    first: i64,
    /// HTML of ours.
    html: String,
    /// Where its errors begin, if that is not shown.
    error: Option<ErrorLine>,
}

/// `log_end.hbs`.
#[derive(Serialize)]
pub struct LogEndView {
    step: String,
    log: String,
    /// The log, at the first line shown.
    href: String,
    html: String,
    error: Option<LineView>,
}

/// The log that tells most of a step: the one named stdio, or the first with text in it.
pub fn telling(step: &Step) -> Option<&Log> {
    let text = |log: &&Log| log.kind == LogKind::Text;
    step.logs.iter().filter(text).find(|log| log.name == "stdio").or(step.logs.iter().find(text))
}

/// Of the log that tells most.
pub fn of(reader: &mut Reader, step: &Step) -> Result<Option<LogEnd>, Fault> {
    let Some(log) = telling(step).filter(|log| log.lines > 0) else { return Ok(None) };
    let first = (log.lines - LAST_LINES).max(0);
    let segments = logs::lines(reader.conn, log.id, first, LAST_LINES + 1, LAST_BYTES)?;
    let (mut html, mut writer) = (String::new(), LogHtml::new(first));
    segments.iter().for_each(|segment| writer.add(segment, &mut html));
    writer.finish(&mut html);
    let errors = reader.errors(log)?;
    let error = errors.as_deref().and_then(LogErrors::first).filter(|line| line.number <= first).cloned();
    Ok(Some(LogEnd { step: step.name.clone(), log: log.clone(), first, html, error }))
}

pub fn view(end: &LogEnd, build: &Build, links: &Links) -> LogEndView {
    let href = links.log(&build.builder, build.number, &end.step, &end.log.name);
    let place = Place::of(href.clone(), &end.log);
    LogEndView {
        step: end.step.clone(),
        log: end.log.name.clone(),
        href: format!("{href}#L{}", end.first + 1),
        error: end.error.as_ref().map(|error| error.view(|line| place.line(line))),
        html: end.html.clone(),
    }
}
