//! The last lines of a step's log, where they tell more than its text.

use super::super::fault::Fault;
use super::super::viewer::Reader;
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
    log: String,
    /// Where the lines start, from 0.
    first: i64,
    /// HTML of ours.
    html: String,
}

/// `log_end.hbs`.
#[derive(Serialize)]
pub struct LogEndView {
    step: String,
    log: String,
    /// The log, at the first line shown.
    href: String,
    html: String,
}

/// Of the log named stdio, or of the first there is with text in it.
pub fn of(reader: &mut Reader, step: &Step) -> Result<Option<LogEnd>, Fault> {
    let text = |log: &&Log| log.kind == LogKind::Text;
    let log = step.logs.iter().filter(text).find(|log| log.name == "stdio").or(step.logs.iter().find(text));
    let Some(log) = log.filter(|log| log.lines > 0) else { return Ok(None) };
    let first = (log.lines - LAST_LINES).max(0);
    let segments = logs::lines(reader.conn, log.id, first, LAST_LINES + 1, LAST_BYTES)?;
    let (mut html, mut writer) = (String::new(), LogHtml::new(first));
    segments.iter().for_each(|segment| writer.add(segment, &mut html));
    writer.finish(&mut html);
    Ok(Some(LogEnd { step: step.name.clone(), log: log.name.clone(), first, html }))
}

pub fn view(end: &LogEnd, build: &Build, links: &Links) -> LogEndView {
    let log = links.log(&build.builder, build.number, &end.step, &end.log);
    LogEndView {
        step: end.step.clone(),
        log: end.log.clone(),
        href: format!("{log}#L{}", end.first + 1),
        html: end.html.clone(),
    }
}
