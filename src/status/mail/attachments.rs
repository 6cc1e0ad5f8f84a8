//! What goes with a letter: which logs and patches, and their text when it is sent.

use super::config::Config;
use super::facts::BuildFacts;
use super::letter::{Attachment, Mail};
use super::mime::{Attached, Content};
use crate::db::{Conn, DbError, logs};
use crate::model::Channel;

/// Those of these builds, patches first, in the order of builds, source stamps and steps.
pub fn of(builds: &[BuildFacts], config: &Config, summary: bool) -> Vec<Attachment> {
    let mut attachments = Vec::new();
    if config.add_patch {
        let stamps = builds.iter().flat_map(|facts| &facts.build.source_stamps);
        let patches = stamps.filter_map(|stamp| stamp.patch.as_ref()).enumerate();
        attachments.extend(patches.map(|(number, patch)| Attachment::Patch {
            file: format!("source patch {number}"),
            body: short(&patch.body, config.attachment_limit),
        }));
    }
    for build in builds.iter().map(|facts| &facts.build) {
        for step in &build.steps {
            for log in step.logs.iter().filter(|log| config.add_logs.takes(&step.name, &log.name)) {
                let file = format!("{}.{}", step.name, log.name);
                let file = if summary { format!("{}.{file}", build.builder) } else { file };
                attachments.push(Attachment::Log { file, log: log.id });
            }
        }
    }
    attachments
}

fn short(text: &str, limit: usize) -> String {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > limit) {
        Some((end, _)) => format!("{}\n[the rest of this patch is left out]\n", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads their text; together no more than `limit` bytes, of each log the end.
pub fn read(conn: &mut Conn, mail: &Mail, limit: usize) -> Result<Vec<Attached>, DbError> {
    let mut left = limit;
    let mut read = Vec::new();
    for attachment in &mail.attachments {
        let attached = match attachment {
            Attachment::Patch { file, body } => Attached { file: file.clone(), content: Content::Text(body.clone()) },
            Attachment::Log { file, log } => {
                Attached { file: file.clone(), content: of_log(conn, *log, left, mail.page.as_deref())? }
            }
        };
        left = left.saturating_sub(attached.content.len());
        read.push(attached);
    }
    Ok(read)
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Content::Text(text) => text.len(),
            Content::Binary(bytes) => bytes.len(),
        }
    }
}

/// What a log holds, headers included.
pub fn with_headers(conn: &mut Conn, log: i64, limit: usize) -> Result<Content, DbError> {
    end_of(conn, log, limit, None, |_| true)
}

fn of_log(conn: &mut Conn, log: i64, limit: usize, page: Option<&str>) -> Result<Content, DbError> {
    end_of(conn, log, limit, page, |channel| channel != Channel::Header)
}

/// The last `limit` bytes of a log, with a note if there are more; of these what came on some channels.
fn end_of(
    conn: &mut Conn,
    id: i64,
    limit: usize,
    page: Option<&str>,
    wanted: impl Fn(Channel) -> bool,
) -> Result<Content, DbError> {
    let Some(log) = logs::by_id(conn, id)? else {
        return Ok(Content::Text("[this log is no longer kept]\n".to_owned()));
    };
    let from = (log.bytes - i64::try_from(limit).unwrap_or(i64::MAX)).max(0);
    let (segments, _) = logs::from_byte(conn, id, from, limit)?;
    let printed = segments.into_iter().filter(|segment| wanted(segment.channel));
    let bytes: Vec<u8> = printed.flat_map(|segment| segment.bytes).collect();
    if bytes.contains(&0) {
        return Ok(Content::Binary(bytes));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if from == 0 {
        return Ok(Content::Text(text));
    }
    // It may have begun within a line, or a character.
    let whole_lines = text.split_once('\n').map_or(text.as_str(), |(_, rest)| rest);
    let left_out = log.bytes - whole_lines.len() as i64;
    let page = page.map(|page| format!("; all of it is at {page}")).unwrap_or_default();
    Ok(Content::Text(format!("[the first {left_out} bytes of this log are left out{page}]\n{whole_lines}")))
}
