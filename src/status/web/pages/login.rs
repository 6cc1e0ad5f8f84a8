//! Logging in by the browser's own means, and the pages of those who may not.

use super::super::fault::{Fault, see_other};
use super::super::viewer::Visitor;
use crate::master::authz::Who;
use actix_web::HttpResponse;

/// Asks for name and password until they are right, then leads to the front page.
pub async fn page(visitor: Visitor) -> Result<HttpResponse, Fault> {
    if matches!(visitor.who, Who::User { .. }) {
        return Ok(see_other(visitor.links.root()));
    }
    if visitor.can_log_in() { Err(Fault::LogIn) } else { visitor.bare_page("authfail", "Log in") }
}

pub async fn authfail(visitor: Visitor) -> Result<HttpResponse, Fault> {
    visitor.bare_page("authfail", "Not logged in")
}

pub async fn authzfail(visitor: Visitor) -> Result<HttpResponse, Fault> {
    visitor.bare_page("authzfail", "Not allowed")
}
