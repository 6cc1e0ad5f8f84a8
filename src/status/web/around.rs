//! What happens around every request: headers that keep browsers careful, and pages for what went wrong.

use super::fault::{Fault, see_other};
use super::fields::Fields;
use super::frame::Frame;
use super::live::Page;
use super::site::Site;
use super::viewer;
use crate::master::authz::Who;
use crate::render::links::Links;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError, web};
use serde::Serialize;

/// Nothing but our own files; no inline styles or scripts; forms only to ourselves.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// The view of `problem.hbs`.
#[derive(Serialize)]
struct Problem {
    status: u16,
    words: String,
    sentence: String,
    /// Where to look on.
    parent: Option<Parent>,
}

#[derive(Serialize)]
struct Parent {
    name: String,
    href: String,
}

impl Parent {
    /// At an address from the site's root.
    fn at(address: &str, links: &Links) -> Parent {
        let name = match address {
            "users" => "all users".to_owned(),
            address => Page::at(address).unwrap_or(Page::Root).name(),
        };
        Parent { name, href: links.page(address) }
    }
}

pub async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // What hooks bring are events.
    let ordered = request.method() == Method::POST && !request.path().starts_with("/change_hook");
    let mut answer = next.call(request).await?.map_into_boxed_body();
    if ordered && let Some(site) = answer.request().app_data::<web::Data<Site>>() {
        site.kept.forget();
    }
    if let Some(better) = explained(&answer) {
        let status = answer.status();
        // `Allow`, `Retry-After` and the like were chosen with the fault.
        let headers: Vec<(HeaderName, HeaderValue)> = answer
            .headers()
            .iter()
            .filter(|(name, _)| *name != "content-type" && *name != "content-length")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let redirected = better.status() == StatusCode::FOUND;
        answer = ServiceResponse::new(answer.request().clone(), better);
        if !redirected {
            *answer.response_mut().status_mut() = status;
            for (name, value) in headers {
                answer.headers_mut().insert(name, value);
            }
        }
    }
    careful(&mut answer);
    Ok(answer)
}

fn careful(answer: &mut ServiceResponse<BoxBody>) {
    let mut set = |name: HeaderName, value: &'static str| {
        if !answer.headers().contains_key(&name) {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    };
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "same-origin");
    set(CACHE_CONTROL, "private, no-cache");
}

/// A page or JSON in place of the bare words of a fault.
fn explained(answer: &ServiceResponse<BoxBody>) -> Option<HttpResponse> {
    let request = answer.request();
    let error = answer.response().error()?;
    let path = request.uri().path();
    let json = path == "/json" || path.starts_with("/json/");
    let Some(fault) = error.as_error::<Fault>() else {
        // Of the framework: an address it cannot read.
        return json.then(|| Fault::BadRequest(error.to_string()).as_json());
    };
    if matches!(fault, Fault::Busy) {
        // Its bare words, and no line in the log: whoever is many is answered at the least cost.
        return json.then(|| fault.as_json());
    }
    if fault.status_code().is_server_error() {
        tracing::error!("web: {} {}: {}", request.method(), path, chain(fault));
    }
    if json {
        return Some(fault.as_json());
    }
    let site = request.app_data::<web::Data<Site>>()?;
    let links = Links::from_path(path);
    match fault {
        Fault::NoView if path != "/" => return Some(see_other(links.root())),
        Fault::Refused { .. } => return Some(see_other(&links.page("authzfail"))),
        _ => {}
    }
    let parent = match fault {
        Fault::NotFound { parent, .. } => Some(Parent::at(parent, &links)),
        _ if request.method() == Method::GET => Some(Parent::at("", &links)),
        _ => None,
    };
    let status = fault.status_code();
    let problem = Problem {
        status: status.as_u16(),
        words: status.canonical_reason().unwrap_or("error").to_owned(),
        sentence: fault.to_string(),
        parent,
    };
    let title = format!("{} {}", problem.status, problem.words);
    let frame = Frame::new(site, &links, &Who::Anonymous, &Fields::default(), &title, "");
    match viewer::page(site, frame, "problem", &problem) {
        Ok(page) => Some(page),
        Err(error) => {
            tracing::error!("web: {}", chain(&error));
            None
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
