//! Requests as the inbox keeps them: without secrets, and back.

use super::{Method, Request};
use crate::db::DbError;
use crate::db::inbox::{Packed, Received};
use crate::model::Time;

/// Headers that say what a request is and who signed it. No other is kept: it may be a password.
const KEPT: [&str; 19] = [
    "content-type",
    "user-agent",
    "idempotency-key",
    "x-request-id",
    "x-request-uuid",
    "x-event-key",
    "x-hook-uuid",
    "x-attempt-number",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "x-gitlab-instance",
    "x-gitlab-webhook-uuid",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "google-code-project-hosting-hook-hmac",
    "origin",
];

/// The same by how their names begin.
const KEPT_FROM: [&str; 4] = ["x-github-", "x-gitea-", "x-forgejo-", "x-gogs-"];

/// Arguments of an address with these in their names may be secrets.
const SECRET: [&str; 5] = ["token", "secret", "pass", "key", "auth"];

/// Longer is cut.
const LONGEST: usize = 4_000;

/// What is kept of a request, but for its body; what came of it is still open.
pub fn of(id: i64, received: Time, dialect: &str, request: &Request) -> Received {
    let is_kept = |name: &str| KEPT.contains(&name) || KEPT_FROM.iter().any(|beginning| name.starts_with(beginning));
    let text = |value: &[u8]| cut(&String::from_utf8_lossy(value));
    let headers = request.headers.iter().filter(|(name, _)| is_kept(name));
    Received {
        id,
        received,
        dialect: dialect.to_owned(),
        delivery: None,
        event: String::new(),
        status: 0,
        answer: String::new(),
        reason: String::new(),
        changes: Vec::new(),
        replay_of: None,
        method: request.method.word().to_owned(),
        query: cut(&without_secrets(&request.query)),
        headers: headers.map(|(name, value)| (name.clone(), text(value))).collect(),
        size: i64::try_from(request.body.len()).unwrap_or(i64::MAX),
        body: Packed::default(),
    }
}

/// The request again, as far as it was kept.
///
/// # Errors
/// Where its body is damaged.
pub fn request(received: &Received) -> Result<Request, DbError> {
    Ok(Request {
        method: if received.method == Method::Get.word() { Method::Get } else { Method::Post },
        query: received.query.clone(),
        headers: received.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect(),
        body: received.body.open()?.into(),
    })
}

fn cut(text: &str) -> String {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end]).to_owned()
}

fn without_secrets(query: &str) -> String {
    let argument = |argument: &str| match argument.split_once('=') {
        Some((name, value)) if !value.is_empty() && SECRET.iter().any(|word| name.to_lowercase().contains(word)) => {
            format!("{name}=…")
        }
        _ => argument.to_owned(),
    };
    query.split('&').map(argument).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_kept() {
        let headers = [
            ("x-github-event", "push"),
            ("x-hub-signature-256", "sha256=ab"),
            ("x-gitlab-token", "hush"),
            ("authorization", "Basic aHVzaA=="),
            ("cookie", "hush"),
        ];
        let request =
            Request { query: "project=x&token=hush&API_KEY=hush".into(), ..Request::posted(&headers, "a/b", "x") };
        let mut kept = of(1, Time(0), "github", &request);
        assert_eq!(kept.query, "project=x&token=…&API_KEY=…");
        let names: Vec<&str> = kept.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "x-github-event", "x-hub-signature-256"]);
        kept.body = Packed::of(&request.body);
        let again = super::request(&kept).unwrap();
        assert_eq!((again.word("x-github-event").as_deref(), &*again.body), (Some("push"), &b"x"[..]));
    }
}
