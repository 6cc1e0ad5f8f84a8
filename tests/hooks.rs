//! Change hooks: what code hosts send becomes changes; what is broken, forged or strange becomes none.

use crate::support::delivery::{self, Delivery};
use crate::support::openssl::hmac_hex;
use serde::Serialize;
use serde_json::{Value, json};
use signalbox::changes::hooks::{self, Method, poller};
use signalbox::model::*;
use std::path::Path;

/// When everything here is received.
const NOW: Time = Time(1_768_040_000_000_000);

/// The pollers there are.
const POLLERS: [&str; 2] = ["https://svn.example.org/repo", "lighthouse"];

/// What a sender gets to see, and what came of it.
#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    status: u16,
    text: String,
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    polled: Vec<String>,
}

async fn send(delivery: &Delivery) -> Answer {
    let dialect = delivery.configured();
    let answer = |status: u16, text: &str| Answer { status, text: text.into(), changes: vec![], polled: vec![] };
    if delivery.dialect == "poller" {
        let there = POLLERS.map(str::to_owned);
        let asked = poller::read(&delivery.request);
        return match asked.and_then(|asked| poller::choose(&asked, dialect.allowed.as_deref(), &there)) {
            Ok(polled) => Answer { polled, ..answer(200, "no changes found") },
            Err(refused) => answer(refused.status(), &refused.to_string()),
        };
    }
    match hooks::read(&delivery.dialect, &dialect, &delivery.request, NOW).await {
        Ok(said) if said.changes.is_empty() => {
            assert!(said.ignored.is_some(), "{}: no changes, and no reason why", delivery.name());
            answer(200, "no changes found")
        }
        Ok(said) => Answer { changes: said.changes, ..answer(202, "") },
        Err(refused) => answer(refused.status(), &refused.to_string()),
    }
}

#[actix::test]
async fn every_delivery_has_the_answer_expected() {
    let deliveries = delivery::all();
    assert!(deliveries.len() > 150, "only {} deliveries were found", deliveries.len());
    let mut wrong = Vec::new();
    for delivery in deliveries {
        let answer = format!("{}\n", serde_json::to_string_pretty(&send(&delivery).await).unwrap());
        let expected = delivery.folder.join("expected.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &answer).unwrap();
        }
        if answer != std::fs::read_to_string(&expected).unwrap_or_default() {
            wrong.push(format!("{}: {answer}", delivery.name()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 rewrites what is expected:\n{}", wrong.join("\n"));
}

#[test]
fn every_dialect_has_deliveries() {
    for (dialect, _) in hooks::DIALECTS {
        assert!(Path::new("tests/data/hooks").join(dialect).is_dir(), "{dialect}");
    }
}

/// A delivery that is signed, and the header that does it.
const SIGNED: [(&str, &str); 6] = [
    ("github/signed-twice", "x-hub-signature-256"),
    ("github/signed-with-sha1", "x-hub-signature"),
    ("gitea/signed", "x-gitea-signature"),
    ("bitbucket/signed", "x-hub-signature"),
    ("bitbucketserver/signed", "x-hub-signature"),
    ("googlecode/signed", "google-code-project-hosting-hook-hmac"),
];

#[actix::test]
async fn only_the_right_signature_is_taken() {
    for (folder, header) in SIGNED {
        let delivery = delivery::named(folder);
        assert_eq!(send(&delivery).await.status, 202, "{folder}");
        let right = delivery.request.word(header).unwrap();
        let (hash, digest) = right.split_once('=').unwrap_or(("", &right));
        let with = |digest: &str| if hash.is_empty() { digest.to_owned() } else { format!("{hash}={digest}") };
        let flipped = format!("{}{}", if digest.starts_with('0') { '1' } else { '0' }, &digest[1..]);
        for wrong in [
            String::new(),
            with(""),
            with(&digest[..digest.len() - 2]),
            with(&digest[1..]),
            with(&format!("{digest}00")),
            with(&flipped),
            with(&digest.to_uppercase()),
            with(&"g".repeat(digest.len())),
            format!("sha512={digest}"),
            format!("{right}, {right}"),
        ] {
            let answer = send(&delivery.with_header(header, Some(&wrong))).await;
            assert_eq!((answer.status, answer.changes.len()), (403, 0), "{folder}: {wrong:?}: {}", answer.text);
        }
        let mut doubled = delivery.clone();
        doubled.request.headers.push((header.to_owned(), right.clone().into_bytes()));
        assert_eq!(send(&doubled).await.text, format!("there is more than one {header}"));
        let mut body = delivery.request.body.to_vec();
        body.push(b' ');
        assert_eq!(send(&delivery.with_body(body)).await.status, 403, "{folder}: with a blank more");
    }
}

#[actix::test]
async fn a_weaker_signature_does_not_help() {
    let delivery = delivery::named("github/signed-twice");
    let sha1 = format!("sha1={}", hmac_hex("sha1", "hush", &delivery.request.body));
    assert_eq!(delivery.request.word("x-hub-signature"), Some(sha1.clone()));
    for in_its_place in [sha1.as_str(), ""] {
        let answer = send(&delivery.with_header("x-hub-signature-256", Some(in_its_place))).await;
        assert_eq!(answer.status, 403, "{in_its_place:?}: {}", answer.text);
    }
    // Bitbucket has sha256 in the header of that name.
    let bitbucket = delivery::named("bitbucket/signed");
    let sha1 = format!("sha1={}", hmac_hex("sha1", "hush", &bitbucket.request.body));
    assert_eq!(send(&bitbucket.with_header("x-hub-signature", Some(&sha1))).await.status, 403);
}

#[actix::test]
async fn code_hosts_post() {
    for folder in
        ["github/push", "gitlab/push", "gitea/push", "bitbucket/push", "bitbucketserver/push", "gitorious/push"]
    {
        let mut delivery = delivery::named(folder);
        delivery.request.method = Method::Get;
        assert_eq!(send(&delivery).await.status, 405, "{folder}");
    }
}

#[actix::test]
async fn content_types_may_have_parameters() {
    for folder in ["github/push", "gitea/push", "bitbucket/push", "bitbucketserver/push"] {
        let delivery = delivery::named(folder);
        for (content_type, status) in [
            (Some("application/json"), 202),
            (Some("Application/JSON ; charset=\"utf-8\""), 202),
            (Some("text/plain"), 415),
            (Some("application/json-patch"), 415),
            (Some("multipart/form-data"), 400),
            (Some(""), 415),
            (None, 415),
        ] {
            let answer = send(&delivery.with_header("content-type", content_type)).await;
            assert_eq!(answer.status, status, "{folder}: {content_type:?}: {}", answer.text);
        }
    }
}

/// Deliveries with everything their host sends.
const WHOLE: [&str; 10] = [
    "github/push",
    "github/pull-request-opened",
    "gitlab/push",
    "gitlab/merge-request-opened",
    "gitea/push",
    "gitea/pull-request-opened",
    "bitbucket/push",
    "bitbucket/pull-request-created",
    "bitbucketserver/push",
    "googlecode/commits",
];

#[actix::test]
async fn a_field_that_is_missing_or_of_another_kind_is_named_or_does_not_matter() {
    for folder in WHOLE {
        let delivery = delivery::named(folder);
        let dialect = delivery.configured();
        let original = hooks::read(&delivery.dialect, &dialect, &delivery.request, NOW).await;
        let payload: Value = serde_json::from_slice(&delivery.request.body).unwrap();
        for pointer in fields(&payload) {
            // No field may be the first of these, so that one which does not matter shows at once.
            for strange in [json!({"a": 0}), Value::Null, json!(true), json!(-7), json!(1e300), json!("-"), json!([[]])]
            {
                let mut payload = payload.clone();
                *payload.pointer_mut(&pointer).unwrap() = strange.clone();
                let request = delivery.with_body(payload.to_string()).request;
                let said = hooks::read(&delivery.dialect, &dialect, &request, NOW).await;
                if said == original {
                    break;
                }
                let Err(refused) = said else { continue };
                let field = pointer.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap();
                let text = refused.to_string();
                assert_eq!(refused.status(), 400, "{folder}: {pointer} is {strange}: {text}");
                let named = text.contains(field) || text.contains("begins with a dash");
                assert!(named && text.len() < 200, "{folder}: {pointer} is {strange}: {text}");
            }
        }
    }
}

/// Pointers to all fields but those that only lead to further pages.
fn fields(value: &Value) -> Vec<String> {
    let below = |key: String, value: &Value| {
        let inside = fields(value).into_iter().map(|pointer| format!("/{key}{pointer}")).collect::<Vec<_>>();
        [vec![format!("/{key}")], inside].concat()
    };
    match value {
        Value::Object(object) => {
            let read = object.iter().filter(|(key, _)| !key.ends_with("_url") || key.contains("html"));
            read.flat_map(|(key, value)| below(key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().flat_map(|(at, item)| below(at.to_string(), item)).collect(),
        _ => Vec::new(),
    }
}

#[actix::test]
async fn what_breaks_off_is_refused() {
    for folder in WHOLE {
        let delivery = delivery::named(folder);
        let body = delivery.request.body.clone();
        let end = String::from_utf8_lossy(&body).trim_end().len();
        for length in (0..end).step_by(end / 50 + 1) {
            let answer = send(&delivery.with_body(body.slice(..length))).await;
            assert_eq!((answer.status, answer.changes.len()), (400, 0), "{folder}: {length} bytes: {}", answer.text);
        }
    }
}

#[actix::test]
async fn a_form_that_lacks_a_byte_breaks_nothing() {
    for folder in ["base/multipart", "base/every-field", "gitorious/push", "github/push-as-form"] {
        let delivery = delivery::named(folder);
        for at in 0..delivery.request.body.len().min(2000) {
            let mut body = delivery.request.body.to_vec();
            body.remove(at);
            let answer = send(&delivery.with_body(body)).await;
            assert!([200, 202, 400].contains(&answer.status), "{folder}: without byte {at}: {answer:?}");
        }
    }
}

#[actix::test]
async fn hostile_bodies_are_refused() {
    let deep = |open: &str| format!("{{\"commits\": {}", open.repeat(200_000));
    let bodies: [Vec<u8>; 8] = [
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"{\"ref\": \"\\ud800\"}".to_vec(),
        b"{\"ref\": NaN}".to_vec(),
        deep("[").into_bytes(),
        deep("{\"a\":").into_bytes(),
        b"{}{}".to_vec(),
    ];
    for folder in WHOLE {
        let delivery = delivery::named(folder);
        for body in &bodies {
            let answer = send(&delivery.with_body(body.clone())).await;
            let start = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
            assert_eq!((answer.status, answer.changes.len()), (400, 0), "{folder}: {start}: {}", answer.text);
        }
    }
}

#[actix::test]
async fn much_of_everything_is_bounded() {
    let delivery = delivery::named("github/few-keys");
    let payload: Value = serde_json::from_slice(&delivery.request.body).unwrap();
    let sent = async |pointer: &str, value: Value| {
        let mut payload = payload.clone();
        *payload.pointer_mut(pointer).unwrap() = value;
        send(&delivery.with_body(payload.to_string())).await
    };
    let files: Vec<String> = (0..12_000).map(|number| format!("f{number:05}")).collect();
    assert_eq!(sent("/commits/0/added", json!(files)).await.changes[0].files.len(), 10_000);
    let message = sent("/commits/0/message", json!("ö".repeat(200_000))).await;
    assert_eq!(message.changes[0].comments.len(), 256 * 1024);
    let commits = vec![payload["commits"][0].clone(); 5001];
    assert_eq!(sent("/commits", json!(commits)).await.text, "there are more than 5000 changes in one request");
    assert_eq!(sent("/ref", json!(format!("refs/heads/{}", "x".repeat(5000)))).await.status, 400);
}

#[actix::test]
async fn nothing_of_a_delivery_is_taken_if_one_change_of_it_is_wrong() {
    let answer = send(&delivery::named("github/commit-without-an-id")).await;
    assert_eq!((answer.status, answer.text.as_str()), (400, "commits[1].id is missing"));
    assert_eq!(answer.changes, []);
}

#[actix::test]
async fn what_is_ignored_and_by_whom_is_said() {
    for (folder, event, vcs, ignored) in [
        ("github/push", "push", Some("git"), None),
        ("github/ping", "ping", None, Some("a ping makes no changes")),
        ("github/branch-deleted", "push", None, Some("the branch or tag was deleted")),
        ("github/branch-rewound", "push", Some("git"), Some("there are no commits in it")),
        ("github/all-skipped", "push", Some("git"), Some("its message asks to be skipped")),
        ("github/push-by-a-function", "push", Some("git"), Some("there are no commits in it")),
        ("gitlab/pipeline", "pipeline", None, Some("no changes are made of such an event")),
        ("gitea/release-by-a-function", "release", None, None),
        ("bitbucket/old-push-of-mercurial", "push", Some("hg"), None),
        ("bitbucketserver/ping", "ping", None, Some("a ping makes no changes")),
        ("googlecode/commits", "commit", Some("Google Code"), None),
        ("base/few-fields", "change", None, None),
    ] {
        let delivery = delivery::named(folder);
        let said = hooks::read(&delivery.dialect, &delivery.configured(), &delivery.request, NOW).await.unwrap();
        assert_eq!((said.event.as_str(), said.vcs, said.ignored.as_deref()), (event, vcs, ignored), "{folder}");
    }
}

#[test]
fn deliveries_have_the_ids_of_their_senders() {
    for (folder, id) in [
        ("github/push", Some("f6266f16-1bf3-46a5-9ea4-602e06ead473")),
        ("gitlab/push", Some("7e59f8b2-2bc1-4ba7-a2b4-7c40d8ebd15b")),
        ("gitea/push", Some("9a6f2f0e-31d5-4b5f-8a3e-1c7a3d1f5d2e")),
        ("gitea/push-of-forgejo", Some("9a6f2f0e-31d5-4b5f-8a3e-1c7a3d1f5d2e")),
        ("bitbucket/push", Some("0f4b8d2e-6a3c-4c8e-8f1d-7b6a5c4d3e2f")),
        ("bitbucketserver/push", Some("4bcd4e3f-7b7b-4c2e-9ed5-6fd5e5b6a7c8")),
        ("base/every-field", None),
        ("gitorious/push", None),
    ] {
        let delivery = delivery::named(folder);
        assert_eq!(hooks::delivery_id(&delivery.dialect, &delivery.request).as_deref(), id, "{folder}");
    }
}
