//! Answers that are kept: whoever asks the same, and is the same as far as pages go, is given the same bytes.
//!
//! An answer stands for as long as nothing has happened that may change it, told by the number of the newest event, and
//! for [`FRESH`] at most: what is no event (a part that is parked, an age) shows then. An order given here ends them
//! all, and so does a template that is changed. Many who ask at once for what is not there wait for one rendering.
//! It is compressed once, when somebody first takes it so.
//!
//! Every answer carries an `ETag`, so that who has it already is only told so; `HEAD` is given the same without a body, and
//! never compressed: there are clients that would unpack what is not there. What is over and done with, a finished
//! build above all, never changes: browsers may keep that without asking.
//!
//! Visitors who are not logged in share their answers; what others see is kept for each of them apart.

use super::fields::Fields;
use super::identity;
use super::live;
use super::site::Site;
use crate::db::Halves;
use crate::master::authz::{Action, Subject, Who};
use crate::model::Seq;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is given out while no event comes.
const FRESH: Duration = Duration::from_secs(2);

/// The same for what never changes.
const FRESH_LASTING: Duration = Duration::from_secs(60);

/// How long a browser may keep the page of a finished build without asking: templates may change, if nothing else.
pub const FINISHED: Duration = Duration::from_secs(3_600);

/// The same for what no template has made.
pub const FINISHED_FACTS: Duration = Duration::from_secs(7 * 86_400);

/// How many bytes of answers are kept at most, compressed ones aside.
const MOST_BYTES: usize = 24 << 20;

/// What keeping an answer takes beside its bytes, about.
const KEEPING: usize = 1_000;

/// Larger answers are not kept.
const LARGEST: usize = 2 << 20;

/// Larger requests are not kept in mind.
const LONGEST_ADDRESS: usize = 2_000;

/// Less than this is sent as it is: the packet is as large.
const WORTH_COMPRESSING: usize = 1_000;

/// What whoever makes an answer says of it, so that it can be kept.
pub struct Made {
    /// The newest event when its facts were read.
    pub seq: Seq,
    /// The same as long as it says the same.
    pub tag: u64,
    /// It never changes, and a browser may keep it this long without asking.
    pub lasting: Option<Duration>,
    /// What it is for those who have it open.
    pub content: Option<live::Made>,
}

/// A number for these pieces of text, the same for the same. Pages are large, so it is one that is quick to find.
pub fn tag<'a>(pieces: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = foldhash::quality::FixedState::default().build_hasher();
    pieces.for_each(|piece| piece.hash(&mut hasher));
    hasher.finish()
}

/// What decides how an answer looks: who asks, and for what.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    user: Option<String>,
    address: String,
}

/// What no event tells of: templates in use, and orders given here.
type Edition = (u64, u64);

struct Answer {
    made: Instant,
    edition: Edition,
    seq: Seq,
    /// Whose events may change it; `None` for all.
    builder: Option<String>,
    lasting: bool,
    headers: HeaderMap,
    tag: String,
    body: Bytes,
    compressed: OnceLock<Bytes>,
}

/// The answers of one web server.
pub struct Kept {
    answers: Mutex<Halves<Key, Arc<Answer>>>,
    /// For those being made.
    lines: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
    orders: AtomicU64,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { answers: Mutex::new(Halves::new(MOST_BYTES)), lines: Mutex::default(), orders: AtomicU64::new(0) }
    }
}

impl Kept {
    /// An order was given: what it changes may be on any page.
    pub fn forget(&self) {
        self.orders.fetch_add(1, Ordering::SeqCst);
    }

    fn find(&self, key: &Key, site: &Site) -> Option<Arc<Answer>> {
        locked(&self.answers).get(key).filter(|answer| answer.is_fresh(site))
    }
}

/// A panic never happens while one of these locks is held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn edition(site: &Site) -> Edition {
    (site.templates.edition(), site.kept.orders.load(Ordering::SeqCst))
}

/// Answers with what is kept; makes it, once for all who want it, where it is not.
pub async fn kept(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let site = request.app_data::<web::Data<Site>>().cloned();
    let site = site.expect("every server is started with its site").into_inner();
    let Some(key) = key(&request, &site).await else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if let Some(answer) = site.kept.find(&key, &site) {
        return Ok(give(request, &answer));
    }
    let line = Line::join(&site.kept, &key);
    let _turn = line.turn.lock().await;
    match site.kept.find(&key, &site) {
        Some(answer) => Ok(give(request, &answer)),
        None => make(&site, &key, request, next).await,
    }
}

/// Those who want the same answer, one of whom makes it. Left by dropping it, as by those who give up.
struct Line<'a> {
    kept: &'a Kept,
    key: &'a Key,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Line<'a> {
    fn join(kept: &'a Kept, key: &'a Key) -> Line<'a> {
        let turn = Arc::clone(locked(&kept.lines).entry(key.clone()).or_default());
        Line { kept, key, turn }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let mut lines = locked(&self.kept.lines);
        // One is ours and one the map's: nobody else stands in it.
        if Arc::strong_count(&self.turn) <= 2 {
            lines.remove(self.key);
        }
    }
}

/// `None` for what is not kept, and for whoever may not see it.
async fn key(request: &ServiceRequest, site: &Site) -> Option<Key> {
    let address = request.uri().path_and_query()?.as_str();
    // A password is not kept in mind.
    let secret = Fields::parse(request.query_string()).get("passwd").is_some();
    if !matches!(*request.method(), Method::GET | Method::HEAD) || address.len() > LONGEST_ADDRESS || secret {
        return None;
    }
    let who = identity::who(site, request.request(), &Fields::default()).await;
    let user = who.user().map(str::to_owned);
    let sees = site.authz.allows(&who, Action::View, Subject::Nothing).await;
    request.extensions_mut().insert::<Who>(who);
    sees.then(|| Key { user, address: address.to_owned() })
}

async fn make(
    site: &Site,
    key: &Key,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // Before it is made: what changes meanwhile makes it old.
    let edition = edition(site);
    let (request, mut answer) = next.call(request).await?.map_into_boxed_body().into_parts();
    let made = answer.extensions_mut().remove::<Made>();
    let Some(made) = made.filter(|_| answer.status() == StatusCode::OK) else {
        return Ok(ServiceResponse::new(request, answer));
    };
    let (answer, body) = answer.into_parts();
    let body = match body.try_into_bytes() {
        Ok(body) => body,
        Err(body) => return Ok(ServiceResponse::new(request, answer.set_body(body))),
    };
    let mut headers = answer.headers().clone();
    if let Some(longest) = made.lasting {
        set(&mut headers, CACHE_CONTROL, &format!("private, max-age={}", longest.as_secs()));
    }
    set(&mut headers, VARY, "Accept-Encoding, Authorization, Cookie");
    let kept = Arc::new(Answer {
        made: Instant::now(),
        edition,
        seq: made.seq,
        builder: builder(request.path()),
        lasting: made.lasting.is_some(),
        headers,
        tag: format!("{:016x}", made.tag),
        body,
        compressed: OnceLock::new(),
    });
    if let Some(content) = made.content {
        site.shows.remember(content, &kept.body);
    }
    if kept.body.len() <= LARGEST {
        let size = kept.body.len() + KEEPING;
        locked(&site.kept.answers).put(key.clone(), Arc::clone(&kept), size);
    }
    if kept.packs(&request) {
        let kept = Arc::clone(&kept);
        site.threads.go_on(move || drop(kept.compressed())).await?;
    }
    let answer = kept.answer(&request);
    Ok(ServiceResponse::new(request, answer))
}

fn give(request: ServiceRequest, kept: &Answer) -> ServiceResponse<BoxBody> {
    let answer = kept.answer(request.request());
    request.into_response(answer)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The builder whose events alone may change what is at this address.
fn builder(path: &str) -> Option<String> {
    let path = path.strip_prefix("/json").unwrap_or(path);
    let mut elements = path.split('/').skip(1);
    let name = match elements.next() {
        Some("builders" | "one_line_per_build") => elements.next().filter(|name| !name.is_empty())?,
        _ => return None,
    };
    Some(percent_decode_str(name).decode_utf8().ok()?.into_owned())
}

impl Answer {
    fn is_fresh(&self, site: &Site) -> bool {
        let longest = if self.lasting { FRESH_LASTING } else { FRESH };
        self.made.elapsed() < longest
            && self.edition == edition(site)
            && (self.lasting || site.db.newest().of(self.builder.as_deref()) <= self.seq)
    }

    /// In the encoding that is taken, or in a word where it is there already.
    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let compress = self.packs(request);
        let known = is_known(request, &self.tag);
        let mut answer = HttpResponse::new(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        *answer.headers_mut() = self.headers.clone();
        // Another encoding is another sequence of bytes, and what is not for ever is the same in what it says only.
        let (weak, encoding) = (if self.lasting { "" } else { "W/" }, if compress { "-gzip" } else { "" });
        set(answer.headers_mut(), ETAG, &format!("{weak}\"{}{encoding}\"", self.tag));
        if known {
            return answer;
        }
        if compress {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer.set_body(BoxBody::new(if compress { self.compressed() } else { self.body.clone() }))
    }

    fn packs(&self, request: &HttpRequest) -> bool {
        self.body.len() >= WORTH_COMPRESSING && request.method() != Method::HEAD && takes_gzip(request)
    }

    fn compressed(&self) -> Bytes {
        self.compressed.get_or_init(|| compressed(&self.body)).clone()
    }
}

fn compressed(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("memory can be written to").into()
}

/// Whether it says that it takes gzip, and does not mean "not at all" (RFC 9110 §12.5.3).
fn takes_gzip(request: &HttpRequest) -> bool {
    let header = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map(str::parse::<f32>);
        named && !matches!(weight, Some(Ok(0.0)))
    })
}

/// Whether the browser has it, whatever the encoding; all tags are compared as weak ones (RFC 9110 §13.1.2).
pub fn is_known(request: &HttpRequest, tag: &str) -> bool {
    let header = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or("");
    header.split(',').any(|known| {
        let known = known.trim().trim_start_matches("W/").trim_matches('"');
        known == "*" || known.strip_suffix("-gzip").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn addresses_of_one_builder() {
        assert_eq!(builder("/builders/a%2Fb/builds/7").as_deref(), Some("a/b"));
        assert_eq!(builder("/json/builders/x").as_deref(), Some("x"));
        assert_eq!(builder("/one_line_per_build/x").as_deref(), Some("x"));
        for path in ["/", "/builders", "/builders/", "/json/builders", "/waterfall", "/json/slaves/x"] {
            assert_eq!(builder(path), None, "{path}");
        }
    }

    #[test]
    fn encodings_are_taken_at_their_word() {
        let takes = |value| takes_gzip(&TestRequest::get().insert_header((ACCEPT_ENCODING, value)).to_http_request());
        assert!(takes("gzip") && takes("br, GZIP;q=0.5"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("identity"));
    }

    #[test]
    fn a_tag_is_known_in_every_form() {
        let known = |value| is_known(&TestRequest::get().insert_header((IF_NONE_MATCH, value)).to_http_request(), "ab");
        assert!(known("\"ab\"") && known("W/\"x\", W/\"ab-gzip\"") && known("*"));
        assert!(!known("\"abc\"") && !known("") && !known("\"gzip\""));
    }
}
