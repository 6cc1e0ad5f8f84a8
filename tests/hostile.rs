//! What is built may say anything: names, texts, logs, authors and properties that mean harm are shown as text.

use crate::support::facts::{builder, change, ended, log, stamp, step, step_ended, worker};
use crate::support::site::{Answer, Site};
use actix_web::http::StatusCode;
use signalbox::db::logs;
use signalbox::model::*;

/// Markup, an attribute's end, a header of its own, control characters, a character that turns the line around.
const EVIL: &str =
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\r\nSet-Cookie: evil=1\r\n\0\u{1b}[31m\u{202e}{{evil}}";

/// Escape sequences that never end, move the cursor, clear the screen, set titles, link to scripts; and no UTF-8.
const EVIL_LOG: &[u8] = b"\x1b[31mred\x1b[999999999999999999mx\x1b[2J\x1b[10;10Hmoved\x1b[1A\n\
    \x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\\n\x1b]0;title\x07after\n\xff\xfe\x80 no text \xc3\n\
    <script>alert(1)</script>\r\rover\n\x1bP1;2|device\x1b\\\n\x1b[38;2;1;2;3mcolour\x1b[0m\n\x1b[";

/// The same in one line, as the configuration lets a builder or a worker be called.
fn name() -> String {
    format!("{}/../x", EVIL.replace(char::is_control, ""))
}

fn evil_build(builder: &str) -> Build {
    let mut properties = Properties::new();
    properties.set(EVIL, EVIL, EVIL);
    properties.set("got_revision", EVIL, "Git");
    let changed = Change {
        who: EVIL.to_owned(),
        comments: format!("{EVIL}{}", "long ".repeat(200_000)),
        files: vec![EVIL.to_owned()],
        branch: Some(EVIL.to_owned()),
        category: Some(EVIL.to_owned()),
        revision: Some(EVIL.to_owned()),
        revlink: Some("javascript:alert(1)".to_owned()),
        repository: "javascript:alert(1)".to_owned(),
        project: EVIL.to_owned(),
        properties: properties.clone(),
        ..change(1)
    };
    Build {
        reason: EVIL.to_owned(),
        worker: name(),
        properties,
        source_stamps: vec![SourceStamp {
            revision: Some(EVIL.to_owned()),
            repository: EVIL.to_owned(),
            project: EVIL.to_owned(),
            codebase: EVIL.to_owned(),
            changes: vec![changed],
            ..stamp(Some(EVIL))
        }],
        text: vec![EVIL.to_owned()],
        ..crate::support::facts::build(builder, 0)
    }
}

fn history(builder_name: &str) -> Vec<Event> {
    let begun = evil_build(builder_name);
    let reference = begun.reference();
    let running = step(&begun, 0, EVIL);
    let mut done =
        Step { text: vec![EVIL.to_owned()], text2: vec![EVIL.to_owned()], ..step_ended(&running, 5, Results::Failure) };
    done.urls = [(EVIL.to_owned(), "javascript:alert(1)".to_owned())].into_iter().collect();
    done.statistics.insert(EVIL.to_owned(), EVIL.into());
    let begun_log = log(1, EVIL);
    let bytes = EVIL_LOG.len() as i64;
    let log = Log { finished: true, lines: 8, bytes, ..begun_log.clone() };
    done.logs = vec![log.clone()];
    let change = begun.source_stamps[0].changes[0].clone();
    vec![
        Event::BuilderAdded {
            builder: Builder {
                tags: vec![EVIL.to_owned()],
                description: Some(EVIL.to_owned()),
                ..builder(builder_name)
            },
        },
        Event::SlaveConnected {
            slave: Worker { admin: Some(EVIL.to_owned()), version: Some(EVIL.to_owned()), ..worker(&name()) },
        },
        Event::ChangeAdded { change },
        Event::BuildStarted { build: begun.clone() },
        Event::StepStarted { build: reference.clone(), step: running },
        Event::LogStarted { build: reference.clone(), step: 0, log: begun_log },
        Event::LogFinished { build: reference.clone(), step: 0, log },
        Event::StepFinished { build: reference, step: done.clone(), properties: Properties::new() },
        Event::BuildFinished {
            build: Build { steps: vec![done], text: vec![EVIL.to_owned()], ..ended(&begun, Results::Failure) },
        },
    ]
}

fn is_harmless(path: &str, page: &Answer) {
    assert!(page.status.is_success() || page.status.is_client_error(), "{path}: {}", page.status);
    assert_eq!(page.header("set-cookie"), "", "{path}");
    if page.header("content-type").starts_with("text/html") {
        for harm in ["<script>", "<img", "onerror=alert(1)>", "href=\"javascript:", "\0"] {
            assert!(!page.text.contains(harm), "{path} contains {harm:?}");
        }
        let log =
            page.text.split_once("<pre class=\"log\">").map_or("", |(_, log)| log).split("</pre>").next().unwrap();
        assert!(!log.contains('\u{1b}'), "{path}: its escape sequences are gone");
    }
}

#[actix::test]
async fn whatever_a_build_says_is_text() {
    let site = Site::start("", Vec::new()).await;
    let name = name();
    site.server.hub.record_all(history(&name), Vec::new()).await.unwrap();
    let text = [Segment { channel: Channel::Stdout, bytes: EVIL_LOG.to_vec() }];
    site.server.db.write(move |conn| logs::append(conn, 1, &text)).await.unwrap();
    let quote = |text: &str| -> String {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let builder = format!("/builders/{}", quote(&name));
    let (build, evil) = (format!("{builder}/builds/0"), quote(&EVIL.replace('\0', "\u{fffd}")));
    for path in [
        "/".to_owned(),
        "/waterfall".to_owned(),
        "/waterfall/help".to_owned(),
        "/builders".to_owned(),
        "/one_line_per_build".to_owned(),
        format!("/one_line_per_build/{}", quote(&name)),
        "/changes".to_owned(),
        "/changes/1".to_owned(),
        "/buildslaves".to_owned(),
        format!("/buildslaves/{}", quote(&name)),
        builder.clone(),
        build.clone(),
        format!("{build}/steps/0"),
        format!("{build}/steps/{evil}"),
        format!("{build}/steps/{evil}/logs/{evil}"),
        format!("{build}/steps/{evil}/logs/{evil}?lines=1-3"),
        format!("{build}/steps/{evil}/logs/{evil}?find=alert"),
        format!("/waterfall?tag={evil}&builder={evil}&committer={evil}"),
    ] {
        let page = site.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        is_harmless(&path, &page);
    }
    is_harmless("what is not there", &site.get(&format!("{build}/steps/{}", quote(EVIL))).await);
    // Programs are given it as it is, in JSON or as plain text that nothing takes for a page.
    let json = site.get(&format!("/json{build}")).await;
    assert_eq!((json.json()["number"].clone(), json.header("content-type")), (0.into(), "application/json"));
    let log = site.get(&format!("{build}/steps/0/logs/{evil}/text")).await;
    assert_eq!(log.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(log.header("x-content-type-options"), "nosniff");
    assert!(log.text.contains("<script>"));
    // Escape sequences that do more than colour are taken out, and what they held; what never ends is text.
    let shown = site.get(&format!("{build}/steps/0/logs/{evil}")).await.texts("pre.log").remove(0);
    for words in ["moved", "click", "after", "over", "colour", "\u{241b}["] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("javascript:") && !shown.contains("title") && !shown.contains("device"), "{shown}");
    site.stop().await;
}
