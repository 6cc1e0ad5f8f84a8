//! `/change_hook` and `/change_hook/DIALECT`: takes a request in within its limits, has it looked at by the hook of its
//! dialect, and answers what that says (`reference/change-hooks.md` §1 and §2).
//!
//! Whoever may use it is decided by `change_hook_auth` and the secrets of the dialects, not by `authz`.

use super::fault::Fault;
use super::site::Site;
use crate::changes::hooks::hook::{Answer, ChangeHook, Deliver};
use crate::changes::hooks::{Method, Request, stored};
use crate::db::inbox::{self, Received};
use actix::Addr;
use actix_web::dev::Payload as Stream;
use actix_web::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use std::io::Read;
use std::time::Duration;

/// How long a sender may take to send its body.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long storing may take: code hosts give up after ten seconds and deliver again.
const STORING: Duration = Duration::from_secs(9);

/// The dialect of `/change_hook` alone.
const USUAL: &str = "base";

pub async fn take(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Fault> {
    let site = request.app_data::<web::Data<Site>>().expect("every server is started with its site");
    if site.hooks.is_empty() {
        return Err(Fault::NotFound { what: "no change hooks are configured here".to_owned(), parent: String::new() });
    }
    let answer = match taken(&request, payload.into_inner(), site).await {
        Ok(answer) | Err(answer) => answer,
    };
    Ok(written(&answer))
}

async fn taken(request: &HttpRequest, payload: Stream, site: &Site) -> Result<Answer, Answer> {
    let method = match request.method().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        _ => return Err(Answer::new(405, "this hook takes GET and POST only")),
    };
    if !site.hook_password.lets_in(request).await {
        return Err(Answer::new(401, "Unauthorized"));
    }
    let (dialect, hook) = hook(request, site)?;
    let mut head =
        Request { method, query: request.query_string().to_owned(), headers: headers(request), body: Bytes::new() };
    match body(request, payload, site.settings.change_hook_max_size).await {
        Ok(body) => head.body = body,
        Err(refused) => {
            keep(site, dialect, &head, &refused).await;
            return Err(refused);
        }
    }
    match tokio::time::timeout(STORING, hook.send(Deliver(head))).await {
        Ok(Ok(answer)) => Ok(answer),
        // It fell over this request, or is parked, or the disk is full.
        _ => Err(Answer::new(503, "this cannot be taken in just now; deliver it again")),
    }
}

fn hook<'s>(request: &HttpRequest, site: &'s Site) -> Result<(&'s str, &'s Addr<ChangeHook>), Answer> {
    let name = request.match_info().get("dialect").unwrap_or(USUAL);
    let found = site.hooks.get_key_value(name).map(|(name, hook)| (name.as_str(), hook));
    found.ok_or_else(|| {
        let name: String =
            name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').take(60).collect();
        Answer::new(400, format!("The dialect specified, '{name}', wasn't whitelisted in change_hook"))
    })
}

fn headers(request: &HttpRequest) -> Vec<(String, Vec<u8>)> {
    let header = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    request.headers().iter().map(header).collect()
}

/// The body, unpacked, if it is not longer than `most`.
async fn body(request: &HttpRequest, payload: Stream, most: usize) -> Result<Bytes, Answer> {
    let too_large = || Answer::new(413, format!("the body is larger than {most} bytes"));
    let word = |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    if word(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let sent = tokio::time::timeout(PATIENCE, collected(payload, most));
    let sent = sent.await.map_err(|_| Answer::new(408, "the body did not come in time"))?;
    let sent = sent.map_err(|cause| Answer::new(400, format!("the body broke off: {cause}")))?;
    let sent = sent.ok_or_else(too_large)?;
    match word(CONTENT_ENCODING).unwrap_or("").trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(sent),
        "gzip" | "x-gzip" => {
            let unpacked = tokio::task::spawn_blocking(move || unpacked(&sent, most)).await;
            match unpacked {
                Ok(Ok(Some(body))) => Ok(body),
                Ok(Ok(None)) => Err(too_large()),
                _ => Err(Answer::new(400, "the body is not what gzip makes")),
            }
        }
        _ => Err(Answer::new(415, "bodies are taken as they are, or compressed by gzip")),
    }
}

/// `None` where it is too long.
async fn collected(mut payload: Stream, most: usize) -> Result<Option<Bytes>, actix_web::error::PayloadError> {
    let mut body = web::BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece?;
        if body.len() + piece.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body.freeze()))
}

fn unpacked(sent: &[u8], most: usize) -> std::io::Result<Option<Bytes>> {
    let mut body = Vec::new();
    MultiGzDecoder::new(sent).take(most as u64 + 1).read_to_end(&mut body)?;
    Ok((body.len() <= most).then(|| body.into()))
}

/// Puts one that never came to its hook where people look.
async fn keep(site: &Site, dialect: &str, head: &Request, refused: &Answer) {
    tracing::warn!("change_hook/{dialect}: a request is refused: {}", refused.text);
    let received = stored::of(site.db.ids().hook_request(), site.clock.now(), dialect, head);
    let (status, answer, reason) = (refused.status, refused.text.clone(), refused.text.clone());
    let length = head.word("content-length").and_then(|length| length.parse().ok());
    // More than is kept, which is its head.
    let received = Received { status, answer, reason, size: length.unwrap_or(1).max(1), ..received };
    if let Err(cause) = site.db.write(move |conn| inbox::put(conn, &received)).await {
        tracing::error!("change_hook/{dialect}: cannot store a refused request: {cause}");
    }
}

pub fn written(answer: &Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    match answer.status {
        401 => response.insert_header((WWW_AUTHENTICATE, "basic realm=\"Protected area\"")),
        405 => response.insert_header((ALLOW, "GET, POST")),
        503 => response.insert_header((RETRY_AFTER, "10")),
        _ => &mut response,
    };
    response.content_type("text/plain; charset=utf-8").body(answer.text.clone())
}
