//! Why a request got no answer, and what its sender is told.

use super::json::output;
use crate::db::DbError;
use crate::hub::HubError;
use crate::render::RenderError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, LOCATION, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

/// A request that gets no ordinary answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// `there is no builder "linux"`; `parent` is where to look on, relative to the site's root.
    #[error("{what}")]
    NotFound { what: String, parent: String },
    #[error("{0}")]
    BadRequest(String),
    /// They may not do this; `action` as the configuration calls it.
    #[error("you may not do this here ({action})")]
    Refused { action: &'static str },
    /// They may not see anything, at least not without logging in.
    #[error("you may not view these pages")]
    NoView,
    /// Logging in is what is asked for.
    #[error("name and password, please")]
    LogIn,
    /// The browser says the form came from another site.
    #[error("this form was sent from another site and is refused")]
    Forged,
    #[error("the page was made for someone else")]
    SomeoneElse,
    #[error("this address takes {0} only")]
    Method(&'static str),
    #[error("what was sent is too large")]
    TooLarge,
    #[error("forms are taken as application/x-www-form-urlencoded only")]
    Media,
    #[error("the master is not answering just now")]
    NoMaster,
    #[error("too many pages are asked for just now; come back in a few seconds")]
    Busy,
    #[error("the database cannot be read just now")]
    Db(#[from] DbError),
    #[error("the page could not be made")]
    Render(#[from] RenderError),
    /// Making it panicked; the log says where.
    #[error("the page could not be made")]
    Broken,
    #[error("news cannot be had just now")]
    Hub(#[from] HubError),
}

impl Fault {
    pub fn argument(name: &str, value: &str, why: &str) -> Fault {
        let shown: String = value.chars().take(80).collect();
        Fault::BadRequest(format!("the argument {name}: \"{shown}\" {why}"))
    }

    pub fn no_builder(name: &str) -> Fault {
        Fault::NotFound { what: format!("there is no builder \"{}\"", short(name)), parent: "builders".to_owned() }
    }

    pub fn no_worker(name: &str) -> Fault {
        Fault::NotFound { what: format!("there is no worker \"{}\"", short(name)), parent: "buildslaves".to_owned() }
    }

    pub fn no_user(uid: &str) -> Fault {
        Fault::NotFound { what: format!("there is no user {}", short(uid)), parent: "users".to_owned() }
    }

    /// For programs: a JSON object with the one key `error`.
    pub fn as_json(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            Fault::NoView => answer.insert_header((WWW_AUTHENTICATE, REALM)),
            Fault::Method(_) => answer.insert_header((ALLOW, "GET, HEAD")),
            _ => &mut answer,
        };
        answer.content_type("application/json").body(output::compact(&json!({ "error": self.to_string() })))
    }
}

/// Names shown back are cut: an address may be a megabyte long.
pub fn short(name: &str) -> String {
    match name.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}

const REALM: &str = "Basic realm=\"Signalbox\", charset=\"UTF-8\"";

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        match self {
            Fault::NotFound { .. } => StatusCode::NOT_FOUND,
            Fault::BadRequest(_) => StatusCode::BAD_REQUEST,
            Fault::Refused { .. } | Fault::Forged | Fault::SomeoneElse => StatusCode::FORBIDDEN,
            Fault::NoView | Fault::LogIn => StatusCode::UNAUTHORIZED,
            Fault::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::Media => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Fault::NoMaster | Fault::Busy | Fault::Db(_) | Fault::Hub(_) => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Render(_) | Fault::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The bare answer; `around` makes a page of it where a person asked.
    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            Fault::LogIn => answer.insert_header((WWW_AUTHENTICATE, REALM)),
            Fault::Method(allowed) => answer.insert_header((ALLOW, *allowed)),
            Fault::NoMaster | Fault::Busy | Fault::Db(_) | Fault::Hub(_) => answer.insert_header(("Retry-After", "5")),
            _ => &mut answer,
        };
        answer.content_type("text/plain; charset=utf-8").body(format!("{self}\n"))
    }
}

/// Sends the reader on, relative to where they are.
pub fn see_other(place: &str) -> HttpResponse {
    let mut link = String::new();
    crate::render::html::escape_into(&mut link, place);
    HttpResponse::Found()
        .insert_header((LOCATION, place))
        .content_type("text/html; charset=utf-8")
        .body(format!("<a href=\"{link}\">Go on here</a>\n"))
}
