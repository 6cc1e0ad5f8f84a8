//! Who sends a request, and whether a browser was tricked into sending it.

use super::fields::Fields;
use super::site::Site;
use crate::db::users;
use crate::master::authz::Who;
use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Who this is: the proxy's user, or whoever's name and password came along and are right.
///
/// Credentials come as HTTP Basic, or in the form fields `username` and `passwd` as 0.8's scripts send them.
pub async fn who(site: &Site, request: &HttpRequest, fields: &Fields) -> Who {
    let basic = basic(request);
    if site.authz.trusts_header()
        && let Some((name, _)) = basic.as_ref().filter(|(name, _)| !name.is_empty())
    {
        return Who::User { name: name.clone(), full_name: name.clone() };
    }
    let in_form = fields.get("username").zip(fields.get("passwd")).map(|(n, p)| (n.to_owned(), p.to_owned()));
    for (name, password) in basic.into_iter().chain(in_form) {
        let known = match site.authz.uses_user_database() {
            true => stored(site, &name, &password).await,
            false => site.authz.verify(&name, &password).await,
        };
        if let Some(who) = known {
            return who;
        }
    }
    Who::Anonymous
}

/// Someone of the user database.
async fn stored(site: &Site, name: &str, password: &str) -> Option<Who> {
    let wanted = name.to_owned();
    match site.db.read(move |conn| users::by_username(conn, &wanted)).await {
        Ok(user) => site.authz.verify_stored(name, password, user.and_then(|user| user.bb_password).as_deref()).await,
        Err(error) => {
            tracing::error!("web: the user {name} cannot be looked up: {error}; not logged in");
            None
        }
    }
}

/// How the one who gives an order is recorded. A name typed without logging in is marked as such.
pub fn owner(who: &Who, fields: &Fields) -> String {
    match (who, fields.get("username").map(str::trim)) {
        (Who::User { full_name, .. }, _) => full_name.clone(),
        (Who::Anonymous, Some(name)) if !name.is_empty() => format!("{name} (not logged in)"),
        (Who::Anonymous, _) => "<unknown>".to_owned(),
    }
}

/// Name and password of HTTP Basic, split at the first colon.
pub fn basic(request: &HttpRequest) -> Option<(String, String)> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Whether a browser says that another site made it send this.
///
/// `Sec-Fetch-Site` decides where it is there, else `Origin` against our own host. A request with neither comes from a
/// script, which no other site can make carry our users' credentials. `own_url` is `buildbotURL`: behind a proxy the
/// host we are asked for may be another.
pub fn is_forged(request: &HttpRequest, own_url: &str) -> bool {
    let header = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = header(HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    match header(ORIGIN) {
        None => false,
        Some(origin) => {
            let ours = [header(HOST).unwrap_or(""), host_of(own_url)];
            let theirs = host_of(origin);
            theirs.is_empty() || !ours.iter().any(|ours| theirs.eq_ignore_ascii_case(ours))
        }
    }
}

/// Host and port of an address.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split('/').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn forged(headers: &[(&'static str, &'static str)]) -> bool {
        let request = headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
        is_forged(&request.to_http_request(), "https://ci.example.org/")
    }

    #[test]
    fn the_browser_is_believed_about_where_a_form_came_from() {
        assert!(!forged(&[("sec-fetch-site", "same-origin"), ("origin", "http://evil"), ("host", "ours:8010")]));
        assert!(forged(&[("sec-fetch-site", "cross-site")]));
        assert!(forged(&[("sec-fetch-site", "same-site")]));
        assert!(forged(&[("origin", "http://evil"), ("host", "ours:8010")]));
        assert!(forged(&[("origin", "null"), ("host", "ours:8010")]));
        assert!(!forged(&[("origin", "http://ours:8010"), ("host", "ours:8010")]));
        assert!(!forged(&[("origin", "https://ci.example.org"), ("host", "10.0.0.1:8010")]));
        assert!(!forged(&[("host", "ours:8010")]));
    }

    #[test]
    fn a_name_without_login_is_marked() {
        let fields = Fields::parse("username=bob");
        assert_eq!(owner(&Who::Anonymous, &fields), "bob (not logged in)");
        assert_eq!(owner(&Who::Anonymous, &Fields::default()), "<unknown>");
        let ada = Who::User { name: "ada".to_owned(), full_name: "Ada <a@x>".to_owned() };
        assert_eq!(owner(&ada, &fields), "Ada <a@x>");
    }
}
