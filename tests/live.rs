//! Live pages: what the server sends to those that are open.

use crate::support::facts::{build, builder, change, ended, log, step};
use crate::support::site::{Answer, Live, Site};
use crate::support::wait::until;
use awc::error::WsClientError;
use awc::ws::Message;
use serde_json::{Value, json};
use signalbox::model::*;
use std::time::Duration;

/// What a page's script would ask with, and what it shows.
fn of_page(page: &Answer) -> (String, String) {
    let attribute = |name| page.attributes("main", name).pop().unwrap_or_default();
    (attribute("data-page"), attribute("data-seq"))
}

/// The same for a script that has all lines of its page.
fn of_whole_page(page: &Answer) -> (String, String) {
    let (address, seq) = of_page(page);
    let version = page.attributes("main", "data-version").pop().unwrap_or_default();
    (address, format!("{seq}&version={version}"))
}

/// A page as it was loaded, and what it is known by.
fn loaded(page: &Answer) -> Option<(String, String)> {
    Some((page.attributes("main", "data-version").pop().unwrap(), content(page)))
}

/// What stands in the page's `<main>`.
fn content(page: &Answer) -> String {
    let (_, rest) = page.text.split_once("<main").unwrap();
    let (_, rest) = rest.split_once('>').unwrap();
    rest.rsplit_once("</main>").unwrap().0.to_owned()
}

/// Puts a message in place as the script does.
fn take(shown: &mut Option<(String, String)>, message: &Value) {
    let Some(version) = message["version"].as_str() else { return };
    if let Some(content) = message["content"].as_str() {
        *shown = Some((version.to_owned(), content.to_owned()));
        return;
    }
    let (before, text) = shown.take().expect("a patch comes after a content");
    assert_eq!(message["from"], before, "no patch is missed");
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    assert_eq!(message["lines"], lines.len());
    for piece in message["patch"].as_array().unwrap() {
        let (at, gone) = (piece[0].as_u64().unwrap() as usize, piece[1].as_u64().unwrap() as usize);
        lines.splice(at..at + gone, piece[2].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()));
    }
    *shown = Some((version.to_owned(), lines.join("\n")));
}

/// Takes what comes until the page shows these words.
async fn shows(live: &mut Live, shown: &mut Option<(String, String)>, words: &str) -> Vec<Value> {
    let mut said = Vec::new();
    while !shown.as_ref().is_some_and(|(_, text)| text.contains(words)) {
        let message = live.next().await.expect("the connection stays");
        take(shown, &message);
        said.push(message);
    }
    said
}

fn a_change(number: i64, who: &str) -> Event {
    Event::ChangeAdded { change: Change { who: who.to_owned(), ..change(number) } }
}

/// So many seconds from now.
fn soon(seconds: i64) -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time(since.as_micros() as i64 + seconds * 1_000_000)
}

#[actix::test]
async fn what_only_counts_on_is_not_sent() {
    let site = Site::usual().await;
    let begun = Build { started: soon(-5), eta: Some(soon(60)), ..build("linux", 3) };
    let (reference, running) = (begun.reference(), Step { started: Some(soon(-5)), ..step(&begun, 0, "compile") });
    for event in [Event::BuildStarted { build: begun }, Event::StepStarted { build: reference.clone(), step: running }]
    {
        site.server.hub.record(event).await.unwrap();
    }
    let path = "/builders/linux";
    let page = site.get(path).await;
    let counted = |html: &str| {
        let (_, rest) = html.split_once("data-count=\"left\"").unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    let later = until("the page to count on", Duration::from_secs(30), async || {
        let later = site.get(path).await;
        (counted(&content(&later)) != counted(&content(&page))).then_some(later)
    })
    .await;
    assert_eq!(of_whole_page(&later), of_whole_page(&page), "it is the same page");
    let (address, seq) = of_whole_page(&page);
    let mut live = site.live(&address, &seq).await;
    assert_eq!(live.next().await, Some(json!({ "live": true })));
    // The page does not show the one, and the other in a line that does not count.
    let started = Event::LogStarted { build: reference.clone(), step: 0, log: log(9_999, "stdio") };
    site.server.hub.record(started).await.unwrap();
    let mut whole = site.live(&address, "0").await;
    let sent = whole.next().await.unwrap();
    assert_eq!(sent["version"], page.attributes("main", "data-version")[0], "rendered anew it is still the same");
    assert_ne!(counted(sent["content"].as_str().unwrap()), counted(&content(&page)));
    let text = vec!["one of ours".to_owned()];
    let happened =
        Event::BuildFinished { build: Build { number: 2, text, ..ended(&build("linux", 2), Results::Failure) } };
    site.server.hub.record(happened).await.unwrap();
    let mut shown = loaded(&page);
    let said = shows(&mut live, &mut shown, "One of ours").await;
    assert_eq!(said.len(), 1);
    assert!(!said[0]["patch"].to_string().contains("data-count=\\\"left\\\""), "{}", said[0]["patch"]);
    site.stop().await;
}

#[actix::test]
async fn an_open_page_becomes_what_a_fresh_load_shows() {
    let site = Site::usual().await;
    let page = site.get("/changes?count=30").await;
    let (address, seq) = of_page(&page);
    assert_eq!(address, "changes?count=30");
    let mut live = site.live(&address, &seq).await;
    assert_eq!(live.next().await, Some(json!({ "live": true })));

    let mut shown = None;
    site.server.hub.record(a_change(50, "Grace")).await.unwrap();
    let said = shows(&mut live, &mut shown, "Grace").await;
    assert!(said[0]["content"].is_string(), "whoever does not have all lines is sent the whole at first");
    site.server.hub.record(a_change(51, "Hedy")).await.unwrap();
    let said = shows(&mut live, &mut shown, "Hedy").await;
    assert!(said.last().unwrap()["patch"].is_array(), "then only what changed");
    assert!(said.last().unwrap().to_string().len() < 2_000, "{}", said.last().unwrap());
    assert_eq!(shown.unwrap().1, content(&site.get("/changes?count=30").await));
    site.stop().await;
}

#[actix::test]
async fn a_page_that_was_just_loaded_is_sent_only_what_changed() {
    let site = Site::usual().await;
    let page = site.get("/changes").await;
    let (address, seq) = of_whole_page(&page);
    let mut shown = loaded(&page);
    // Before it was open, and while it is.
    site.server.hub.record(a_change(50, "Grace")).await.unwrap();
    let mut live = site.live(&address, &seq).await;
    let mut said = shows(&mut live, &mut shown, "Grace").await;
    site.server.hub.record(a_change(51, "Hedy")).await.unwrap();
    said.extend(shows(&mut live, &mut shown, "Hedy").await);
    assert!(said.iter().all(|message| message["patch"].is_array()), "{said:?}");
    let fresh = site.get("/changes").await;
    assert_eq!(shown, loaded(&fresh));
    // Back after an interruption, with what there is: nothing is sent again.
    let mut back = site.live(&address, &format!("0&version={}", shown.unwrap().0)).await;
    assert_eq!(back.next().await, Some(json!({ "live": true })));
    site.stop().await;
}

#[actix::test]
async fn who_was_away_is_sent_the_whole() {
    let site = Site::usual().await;
    let (address, seq) = of_page(&site.get("/changes").await);
    site.server.hub.record(a_change(60, "Grace")).await.unwrap();
    let mut shown = None;
    shows(&mut site.live(&address, &seq).await, &mut shown, "Grace").await;
    assert_eq!(shown.unwrap().1, content(&site.get("/changes").await));
    site.stop().await;
}

#[actix::test]
async fn pages_hear_of_what_concerns_them_only() {
    let site = Site::usual().await;
    let watched = build("linux", 3);
    site.server.hub.record(Event::BuildStarted { build: watched.clone() }).await.unwrap();
    let (address, seq) = of_page(&site.get("/builders/linux/builds/3?alert_msg=hello").await);
    assert_eq!(address, "builders/linux/builds/3", "what is said once is not part of the page");
    let mut live = site.live(&address, &seq).await;
    assert_eq!(live.next().await, Some(json!({ "live": true })));
    site.server.hub.record(Event::BuildStarted { build: build("docs", 0) }).await.unwrap();
    let done = ended(&watched, Results::Exception);
    site.server.hub.record(Event::BuildFinished { build: done }).await.unwrap();
    let mut shown = None;
    let said = shows(&mut live, &mut shown, "exception").await;
    assert_eq!(said.len(), 1, "the other builder's build changed nothing here");
    site.stop().await;
}

#[actix::test]
async fn a_burst_of_events_is_few_messages() {
    let site = Site::usual().await;
    let (address, seq) = of_page(&site.get("/changes?count=100").await);
    let mut live = site.live(&address, &seq).await;
    live.next().await;
    let mut shown = None;
    let began = std::time::Instant::now();
    for number in 100..180 {
        let last = number == 179;
        let event = a_change(number, if last { "Ada the last" } else { "Ada" });
        site.server.hub.record(event).await.unwrap();
    }
    let said = shows(&mut live, &mut shown, "Ada the last").await;
    let most = 3 + began.elapsed().as_millis() / 250;
    assert!(said.len() as u128 <= most, "{} messages", said.len());
    site.stop().await;
}

#[actix::test]
async fn a_page_that_is_gone_is_loaded_again() {
    let site = Site::usual().await;
    site.server.hub.record(Event::BuilderAdded { builder: builder("passing") }).await.unwrap();
    let (address, seq) = of_page(&site.get("/builders/passing").await);
    let mut live = site.live(&address, &seq).await;
    live.next().await;
    site.server.hub.record(Event::BuilderRemoved { builder: "passing".to_owned() }).await.unwrap();
    assert_eq!(live.next().await, Some(json!({ "reload": true })));
    site.stop().await;
}

#[actix::test]
async fn a_stop_of_the_server_ends_the_sockets_at_once() {
    let site = Site::usual().await;
    let mut live = site.live("", "0").await;
    assert!(live.next().await.is_some());
    let began = std::time::Instant::now();
    let (ended, ()) = futures::join!(
        async {
            while live.next().await.is_some() {}
            began.elapsed()
        },
        site.stop()
    );
    assert!(ended < Duration::from_secs(4), "{ended:?}");
}

#[actix::test]
async fn sockets_that_talk_or_flood_are_closed() {
    let site = Site::usual().await;
    for said in
        [Message::Text("hello".into()), Message::Binary(vec![0; 200].into()), Message::Text("x".repeat(100_000).into())]
    {
        let mut live = site.live("waterfall", "0").await;
        live.say(said).await;
        while live.next().await.is_some() {}
    }
    // And the page is none the worse for it.
    let mut live = site.live("waterfall", "0").await;
    assert!(live.next().await.unwrap()["content"].is_string());
    site.stop().await;
}

#[actix::test]
async fn only_live_pages_and_our_own_are_answered() {
    let site = Site::usual().await;
    let refused = async |page: &str, seq: &str, headers: &[(&'static str, &str)]| match site
        .live_with(page, seq, headers)
        .await
    {
        Err(WsClientError::InvalidResponseStatus(status)) => status.as_u16(),
        other => panic!("{page}: {}", other.err().map_or("connected".to_owned(), |error| error.to_string())),
    };
    for page in ["json/builders", "builders/linux/force", "../../etc/passwd", "about", &"x".repeat(5_000)] {
        assert_eq!(refused(page, "0", &[]).await, 404, "{page}");
    }
    assert_eq!(refused("waterfall", "many", &[]).await, 400);
    assert_eq!(refused("waterfall", "0&user=ada", &[]).await, 403, "the page was made for someone else");
    assert_eq!(refused("waterfall", "0", &[("origin", "http://evil.example.org")]).await, 403);
    assert_eq!(refused("waterfall", "0", &[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(site.get("/live?page=waterfall").await.status.as_u16(), 400);
    site.stop().await;
}

#[actix::test]
async fn a_reader_that_takes_nothing_holds_up_nobody_and_is_let_go() {
    let site = Site::usual().await;
    let watched = build("linux", 3);
    let talking = step(&watched, 0, "talk");
    let (build, events) = (watched.reference(), vec![Event::BuildStarted { build: watched.clone() }]);
    site.server.hub.record_all(events, Vec::new()).await.unwrap();
    site.server.hub.record(Event::StepStarted { build: build.clone(), step: talking }).await.unwrap();
    let address = "builders/linux/builds/3";
    let mut stalled = site.live(address, "0").await;
    let mut live = site.live(address, "0").await;
    let mut shown = None;
    // More than fits into what the system and the socket's mailbox hold for a reader.
    const SAID: usize = 40;
    for number in 0..SAID {
        let text = vec![format!("no. {number}."), "x".repeat(800_000)];
        let event = Event::StepTextChanged { build: build.clone(), step: 0, text };
        site.server.hub.record(event).await.unwrap();
        shows(&mut live, &mut shown, &format!("no. {number}.")).await;
    }
    let mut taken = 0;
    while stalled.next().await.is_some() {
        taken += 1;
    }
    assert!(taken < SAID, "{taken} messages were kept for it");
    site.stop().await;
}
