//! A log: as a page with line numbers and colours, or as plain text; both follow a log that still grows.
//!
//! The answer is read from the database piece by piece as fast as the reader takes it: memory does not grow with the
//! log, nor with a reader who stalls. `lines=N` shows the last N lines, `lines=A-B` a range, `find=TEXT` the lines that
//! hold a text.
//!
//! An HTML log is sent as it is, in a sandbox without scripts.

mod find;
mod place;

pub use place::Place;

use super::super::fault::{Fault, short};
use super::super::kept::{FINISHED, FINISHED_FACTS, is_known, tag};
use super::super::log_errors::{ErrorsView, LogErrors};
use super::super::reader::Reader;
use super::super::told::Bell;
use super::super::viewer::Viewer;
use super::step::bytes;
use crate::db::{Db, DbError, logs};
use crate::hub::Interest;
use crate::model::*;
use crate::render::asdict::quote;
use crate::render::links::Links;
use crate::render::log_text::LogHtml;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, ETAG, VARY};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures::Stream;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How much is read and sent at once.
const PIECE: usize = 64 * 1024;

/// A range of lines is at most this long.
const MOST_LINES: i64 = 100_000;

/// News can be missed by accident; then this is how late a reader sees them.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A finished log of no more bytes is sent in one piece, and kept.
const SHORT: i64 = 256 * 1024;

/// What a whole long log is shown as at first: its end.
const LONG: i64 = 20_000;
const END_OF_LONG: i64 = 2_000;

const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";

/// Stands where the log goes when the page around it is made.
const HERE: &str = "<!-- log -->";

type LogPath = web::Path<(String, String, String, String)>;

pub async fn page(request: HttpRequest, viewer: Viewer, path: LogPath) -> Result<HttpResponse, Fault> {
    let (builder, number, step, name) = path.into_inner();
    let mut found = load(&viewer, builder, number, step, name).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/html; charset=utf-8");
    if let Some(known) = cache(&request, &mut answer, &found.log, viewer.template_edition()) {
        return Ok(known);
    }
    if found.log.kind == LogKind::Html {
        answer.insert_header((CONTENT_SECURITY_POLICY, SANDBOX));
        return Ok(match request.method() {
            &Method::HEAD => answer.insert_header((CONTENT_LENGTH, found.log.bytes)).finish(),
            _ => answer.streaming(follow(&viewer, found, Writer::Raw).await?),
        });
    }
    if let Some(text) = viewer.fields().get("find").filter(|text| !text.is_empty()) {
        // Not to be kept: it may be broken off.
        answer.insert_header((CACHE_CONTROL, "private, no-cache"));
        let body = find::answer(&viewer, found, text)?;
        return Ok(if request.method() == Method::HEAD { answer.finish() } else { answer.streaming(body) });
    }
    let range = Range::of(viewer.fields().get("lines"), &found.log)?;
    let whole_and_short = range == Range::All && found.log.finished && found.log.bytes <= SHORT;
    let is_streamed = range == Range::All && !whole_and_short;
    let log = found.log.clone();
    found.errors = viewer.read(move |reader| reader.errors(&log)).await?;
    let text = around(&viewer, &found, &view(&found, &range, viewer.links()))?;
    if is_streamed && request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let (head, tail) = text.split_once(HERE).unwrap_or((&text, ""));
    let (first, count) = match range {
        Range::Lines { first, count } => (first, count),
        Range::All if whole_and_short => (0, i64::MAX),
        Range::All => {
            let writer = Writer::Page { head: Some(head.to_owned()), tail: tail.to_owned(), html: LogHtml::new(0) };
            return Ok(answer.streaming(follow(&viewer, found, writer).await?));
        }
    };
    let log = found.log.id;
    let segments = viewer.read(move |reader| Ok(logs::lines(reader.conn, log, first, count, usize::MAX)?)).await?;
    let (mut html, mut writer) = (String::new(), LogHtml::new(first));
    segments.iter().for_each(|segment| writer.add(segment, &mut html));
    writer.finish(&mut html);
    if found.log.finished {
        viewer.kept(&mut answer, tag([head, &html, tail].into_iter()), Some(FINISHED), None);
    }
    Ok(answer.body(format!("{head}{html}{tail}")))
}

/// What the program printed, stdout and stderr only, byte for byte.
pub async fn text(request: HttpRequest, viewer: Viewer, path: LogPath) -> Result<HttpResponse, Fault> {
    let (builder, number, step, name) = path.into_inner();
    let found = load(&viewer, builder, number, step, name).await?;
    if found.log.kind == LogKind::Html {
        return Err(Fault::NotFound { what: format!("{} is an HTML log", found.log.name), parent: found.parent() });
    }
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/plain; charset=utf-8");
    if let Some(known) = cache(&request, &mut answer, &found.log, 0) {
        return Ok(known);
    }
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    Ok(answer.streaming(follow(&viewer, found, Writer::Text).await?))
}

struct Found {
    build: BuildRef,
    step: Step,
    log: Log,
    /// Of one that has ended and is shown.
    errors: Option<Arc<LogErrors>>,
}

impl Found {
    fn parent(&self) -> String {
        format!("builders/{}/builds/{}/steps/{}", quote(&self.build.builder), self.build.number, quote(&self.step.name))
    }
}

async fn load(viewer: &Viewer, builder: String, number: String, step: String, name: String) -> Result<Found, Fault> {
    let number = super::build_number(&builder, &number)?;
    viewer
        .read(move |reader: &mut Reader| {
            let (build, step) = super::step::load(reader, &builder, number, &step)?;
            // Two of one name: the first, as in 0.8.
            match step.logs.iter().find(|log| log.name == name).cloned() {
                Some(log) => Ok(Found { build: build.reference(), step, log, errors: None }),
                None => Err(Fault::NotFound {
                    what: format!("step \"{}\" of {} has no log \"{}\"", step.name, build.reference(), short(&name)),
                    parent: format!("builders/{}/builds/{}/steps/{}", quote(&builder), build.number, quote(&step.name)),
                }),
            }
        })
        .await
}

/// The page with [`HERE`] in place of the log.
fn around(viewer: &Viewer, found: &Found, view: &LogView) -> Result<String, Fault> {
    let title = format!("{} {} {}", found.build, found.step.name, found.log.name);
    let mut frame = viewer.frame(&title, "builders").log();
    if found.log.finished {
        frame = frame.lasting(FINISHED);
    }
    viewer.text_of_page(frame, "log", view)
}

/// A finished log never changes. The answer in a word, if the browser has it already.
fn cache(
    request: &HttpRequest,
    answer: &mut HttpResponseBuilder,
    log: &Log,
    template_edition: u64,
) -> Option<HttpResponse> {
    if !log.finished {
        answer.insert_header((CACHE_CONTROL, "private, no-cache"));
        return None;
    }
    let tag = format!("{}-{}-{template_edition}", log.id, log.bytes);
    let known = is_known(request, &tag);
    let longest = if template_edition == 0 { FINISHED_FACTS } else { FINISHED };
    let headers = [
        (CACHE_CONTROL, format!("private, max-age={}", longest.as_secs())),
        (ETAG, format!("\"{tag}\"")),
        (VARY, "Authorization, Cookie".to_owned()),
    ];
    let mut not_modified = HttpResponse::NotModified();
    let answer = if known { &mut not_modified } else { answer };
    for header in headers {
        answer.insert_header(header);
    }
    known.then(|| not_modified.finish())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    /// From the first line to the end, following.
    All,
    Lines {
        first: i64,
        count: i64,
    },
}

impl Range {
    /// `lines=all`, `lines=500`, `lines=100-250`; a long log without it is shown from its end.
    fn of(asked: Option<&str>, log: &Log) -> Result<Range, Fault> {
        let last = |count: i64| Range::Lines { first: (log.lines - count).max(0), count: count + 1 };
        let Some(asked) = asked.map(str::trim).filter(|asked| !asked.is_empty()) else {
            let long = log.finished && log.lines > LONG;
            return Ok(if long { last(END_OF_LONG) } else { Range::All });
        };
        let wrong = |why| Fault::argument("lines", asked, why);
        let number = |text: &str| {
            let number = text.trim().parse::<i64>().ok().filter(|&number| number >= 1);
            number.ok_or_else(|| wrong("is not a number of lines, a range like 100-250, or \"all\""))
        };
        match asked.split_once('-') {
            _ if asked == "all" => Ok(Range::All),
            None => Ok(last(number(asked)?.min(MOST_LINES))),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if to < from {
                    return Err(wrong("ends before it begins"));
                }
                Ok(Range::Lines { first: from - 1, count: (to - from + 1).min(MOST_LINES) })
            }
        }
    }
}

#[derive(Serialize)]
struct LogView {
    builder: String,
    builder_href: String,
    number: i64,
    build_href: String,
    step: String,
    step_href: String,
    class: &'static str,
    word: &'static str,
    name: String,
    href: String,
    text_href: String,
    size: String,
    lines: i64,
    running: bool,
    /// Only some lines are shown: which.
    shown: Option<String>,
    all_href: &'static str,
    last_href: Option<String>,
    /// Its lines that look like errors, where there are any.
    errors: Option<ErrorsView>,
    first_error: Option<String>,
    /// Only lines that hold this text are shown.
    find: Option<String>,
    body: &'static str,
    /// What came of the search, once it is known.
    summary: &'static str,
}

fn view(found: &Found, range: &Range, links: &Links) -> LogView {
    let Found { build, step, log, .. } = found;
    let href = links.log(&build.builder, build.number, &step.name, &log.name);
    let (class, word) = super::build::step_state(step);
    let line_href = |line: i64| match range {
        Range::Lines { first, count } if !(*first..first + count).contains(&(line - 1)) => {
            Place::of(href.clone(), log).around(line)
        }
        Range::All | Range::Lines { .. } => format!("#L{line}"),
    };
    let errors = found.errors.as_deref();
    LogView {
        builder: build.builder.clone(),
        builder_href: links.builder(&build.builder),
        number: build.number,
        build_href: links.build(&build.builder, build.number),
        step: step.name.clone(),
        step_href: links.step(&build.builder, build.number, &step.name),
        class,
        word,
        name: log.name.clone(),
        text_href: format!("{href}/text"),
        size: bytes(log.bytes),
        lines: log.lines,
        running: !log.finished,
        shown: match range {
            Range::All => None,
            Range::Lines { first, count } => {
                Some(format!("lines {} to {} of {}", first + 1, (first + count).min(log.lines.max(1)), log.lines))
            }
        },
        all_href: "?lines=all",
        errors: errors.and_then(|errors| errors.view(line_href)),
        first_error: errors.and_then(LogErrors::first).map(|line| line_href(line.number)),
        last_href: (log.lines > END_OF_LONG && *range == Range::All).then(|| format!("?lines={END_OF_LONG}")),
        find: None,
        body: HERE,
        summary: "",
        href,
    }
}

/// How pieces of the log become pieces of the answer.
enum Writer {
    Raw,
    Text,
    Page { head: Option<String>, tail: String, html: LogHtml },
}

impl Writer {
    /// What comes before anything was read.
    fn head(&mut self) -> Option<web::Bytes> {
        match self {
            Writer::Page { head, .. } => head.take().map(web::Bytes::from),
            Writer::Raw | Writer::Text => None,
        }
    }

    fn piece(&mut self, segments: &[Segment]) -> web::Bytes {
        match self {
            Writer::Raw => segments.iter().flat_map(|segment| &segment.bytes).copied().collect(),
            Writer::Text => {
                let printed = segments.iter().filter(|segment| segment.channel != Channel::Header);
                printed.flat_map(|segment| &segment.bytes).copied().collect()
            }
            Writer::Page { html, .. } => {
                let mut out = String::new();
                segments.iter().for_each(|segment| html.add(segment, &mut out));
                web::Bytes::from(out)
            }
        }
    }

    fn end(&mut self) -> Option<web::Bytes> {
        match self {
            Writer::Raw | Writer::Text => None,
            Writer::Page { tail, html, .. } => {
                let mut out = String::new();
                html.finish(&mut out);
                out.push_str(tail);
                Some(web::Bytes::from(out))
            }
        }
    }
}

/// The state of an answer that is being sent.
struct Following {
    db: Db,
    log: i64,
    offset: i64,
    /// Nothing more will be added.
    finished: bool,
    bell: Option<Bell>,
    closing: watch::Receiver<bool>,
    writer: Writer,
    ended: bool,
}

async fn follow(
    viewer: &Viewer,
    found: Found,
    writer: Writer,
) -> Result<impl Stream<Item = Result<web::Bytes, DbError>> + use<>, Fault> {
    let bell = match found.log.finished {
        true => None,
        false => Some(viewer.bell("web log", Interest::Build(found.build)).await?.0),
    };
    let state = Following {
        db: viewer.database(),
        log: found.log.id,
        offset: 0,
        finished: found.log.finished,
        bell,
        closing: viewer.closing(),
        writer,
        ended: false,
    };
    Ok(futures::stream::try_unfold(
        state,
        |mut state| async move { Ok(state.next().await?.map(|piece| (piece, state))) },
    ))
}

impl Following {
    /// The next piece to send. It is asked for only when the one before has been taken.
    async fn next(&mut self) -> Result<Option<web::Bytes>, DbError> {
        if let Some(head) = self.writer.head() {
            return Ok(Some(head));
        }
        while !self.ended {
            let (log, offset) = (self.log, self.offset);
            let (segments, next) = self.db.read(move |conn| logs::from_byte(conn, log, offset, PIECE)).await?;
            if next > offset {
                self.offset = next;
                let piece = self.writer.piece(&segments);
                // An empty piece would end the answer.
                if !piece.is_empty() {
                    return Ok(Some(piece));
                }
            } else if self.finished || *self.closing.borrow() {
                self.ended = true;
                return Ok(self.writer.end().filter(|end| !end.is_empty()));
            } else {
                self.wait().await;
                // Asked after waiting, before reading: what came before the end is read in any case.
                let known = self.db.read(move |conn| logs::by_id(conn, log)).await?;
                self.finished = known.is_none_or(|log| log.finished);
            }
        }
        Ok(None)
    }

    async fn wait(&mut self) {
        let Following { bell, closing, .. } = self;
        let rung = async {
            match bell {
                Some(bell) => bell.rung().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = rung => {}
            _ = closing.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_log(lines: i64) -> Log {
        Log { id: 1, name: "stdio".to_owned(), kind: LogKind::Text, finished: true, lines, bytes: lines * 10 }
    }

    #[test]
    fn ranges_of_lines() {
        let log = a_log(500);
        assert_eq!(Range::of(None, &log).unwrap(), Range::All);
        assert_eq!(Range::of(Some("all"), &a_log(1_000_000)).unwrap(), Range::All);
        assert_eq!(Range::of(Some("20"), &log).unwrap(), Range::Lines { first: 480, count: 21 });
        assert_eq!(Range::of(Some("100-250"), &log).unwrap(), Range::Lines { first: 99, count: 151 });
        assert_eq!(Range::of(None, &a_log(1_000_000)).unwrap(), Range::Lines { first: 998_000, count: 2001 });
        for wrong in ["x", "0", "-5", "9-3", "1-"] {
            assert!(Range::of(Some(wrong), &log).is_err(), "{wrong}");
        }
    }
}
