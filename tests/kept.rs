//! Answers are kept: given out again while nothing happens, never too long, never to the wrong one.

use crate::support::facts::{build, change};
use crate::support::site::{Answer, Site, history};
use crate::support::wait::until;
use actix_web::http::StatusCode;
use signalbox::model::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What never changes: a build with one after it, its step, its log as a page and as text, and its JSON.
const FINISHED: [&str; 5] = [
    "/builders/linux/builds/1",
    "/builders/linux/builds/1/steps/compile",
    "/builders/linux/builds/1/steps/compile/logs/stdio",
    "/builders/linux/builds/1/steps/compile/logs/stdio/text",
    "/json/builders/linux/builds/1",
];

async fn again(site: &Site, path: &str, page: &Answer) -> Answer {
    site.get_with(path, &[("if-none-match", page.header("etag"))]).await
}

#[actix::test]
async fn what_is_finished_a_browser_may_keep() {
    let site = Site::usual().await;
    for path in FINISHED {
        let page = site.get(path).await;
        let kept = page.header("cache-control");
        let seconds: u32 =
            kept.strip_prefix("private, max-age=").unwrap_or_else(|| panic!("{path}: {kept}")).parse().unwrap();
        assert!(seconds >= 3600, "{path}: {kept}");
        assert!(page.header("etag").starts_with('"'), "{path}: a strong one, not {}", page.header("etag"));
        assert!(page.header("vary").contains("Cookie") && page.header("vary").contains("Authorization"), "{path}");
        let known = again(&site, path, &page).await;
        assert_eq!((known.status, known.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
        assert_eq!(known.header("etag"), page.header("etag"), "{path}");
        let other = site.get_with(path, &[("if-none-match", "\"something else\"")]).await;
        assert_eq!((other.status, other.text), (StatusCode::OK, page.text), "{path}");
    }
    // The newest gets a next one, and one that is counted from the newest is another one soon.
    for path in
        ["/builders/linux/builds/2", "/builders/linux/builds/-2", "/json/builders/linux/builds/-2", "/waterfall"]
    {
        assert_eq!(site.get(path).await.header("cache-control"), "private, no-cache", "{path}");
    }
    site.stop().await;
}

#[actix::test]
async fn an_answer_stands_until_something_happens() {
    let site = Site::start("authz=util.Authz(forceBuild=True)", history()).await;
    for path in ["/", "/waterfall", "/builders/linux", "/changes", "/json/changes", "/one_line_per_build"] {
        let page = site.get(path).await;
        assert!(page.header("etag").starts_with("W/\""), "{path}: {}", page.header("etag"));
        assert_eq!(again(&site, path, &page).await.status, StatusCode::NOT_MODIFIED, "{path}");
    }
    // One that is recorded is on the next page, and so is what an order has done.
    let before = site.get("/changes").await;
    let added = Change { who: "Grace".to_owned(), ..change(70) };
    site.server.hub.record(Event::ChangeAdded { change: added }).await.unwrap();
    let after = again(&site, "/changes", &before).await;
    assert!(after.status == StatusCode::OK && after.text.contains("Grace"));
    site.get("/builders/linux").await;
    site.server.hub.record(Event::BuildStarted { build: build("linux", 3) }).await.unwrap();
    assert!(site.get("/builders/linux").await.text.contains("builds/3\""));
    let forced = site.post("/builders/mac%2Farm/force", &[("forcescheduler", "force"), ("reason", "at once")]).await;
    assert_eq!(forced.status, StatusCode::FOUND);
    assert!(site.get("/builders/mac%2Farm").await.text.contains("at once"));
    site.stop().await;
}

#[actix::test]
async fn what_no_event_tells_of_shows_soon() {
    let site = Site::usual().await;
    let moment = |page: &Answer| page.texts(".footer time").pop().unwrap();
    let (before, changes) = (site.get("/builders").await, site.get("/changes").await);
    until("the page to be made anew", Duration::from_secs(10), async || {
        let page = site.get("/builders").await;
        (moment(&page) != moment(&before)).then_some(())
    })
    .await;
    // Made anew in the same minute and saying the same it is the same page still.
    let minute = |page: &Answer| moment(page).rsplit_once(':').unwrap().0.to_owned();
    let known = again(&site, "/changes", &changes).await;
    assert!(known.status == StatusCode::NOT_MODIFIED || minute(&known) != minute(&changes));
    site.stop().await;
}

#[actix::test]
async fn everybody_is_given_their_own() {
    let options =
        "authz=util.Authz(stopBuild='auth', forceBuild='auth', auth=util.BasicAuth([('ada', 'engine'), ('bob', 'x')]))";
    let site = Site::start(options, history()).await;
    let [ada, bob] = ["Basic YWRhOmVuZ2luZQ==", "Basic Ym9iOng="].map(|basic| ("authorization", basic));
    for _ in 0..2 {
        let page = site.get("/builders/linux").await;
        assert_eq!((page.texts(".who"), page.attributes("form", "action").len()), (vec!["Log in".to_owned()], 0));
        for (who, header) in [("ada", ada), ("bob", bob)] {
            let page = site.get_with("/builders/linux", &[header]).await;
            assert_eq!(page.texts(".who"), [who]);
            assert!(page.attributes("form", "action").iter().any(|action| action.ends_with("/force")));
        }
    }
    site.stop().await;
}

#[actix::test]
async fn it_is_compressed_for_those_who_take_it() {
    let site = Site::usual().await;
    for path in ["/waterfall", "/builders/linux/builds/1", "/json"] {
        let plain = site.get_with(path, &[("accept-encoding", "identity")]).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let packed = site.get_with(path, &[("accept-encoding", "br;q=0.1, gzip")]).await;
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        assert_eq!(packed.text, plain.text, "{path}");
        let length = |answer: &Answer| answer.header("content-length").parse::<usize>().unwrap();
        assert!(length(&packed) * 2 < length(&plain), "{path}: {} of {}", length(&packed), length(&plain));
        assert!(packed.header("vary").contains("Accept-Encoding"), "{path}");
        assert_ne!(packed.header("etag"), plain.header("etag"), "{path}: other bytes have another tag");
        assert_eq!(again(&site, path, &packed).await.status, StatusCode::NOT_MODIFIED, "{path}");
    }
    site.stop().await;
}

#[actix::test]
async fn whoever_asks_for_the_head_is_told_the_same_without_a_body() {
    let site = Site::usual().await;
    let lines = "/builders/linux/builds/1/steps/compile/logs/stdio?lines=2";
    for path in FINISHED.into_iter().chain([lines, "/", "/waterfall", "/builders/linux", "/json", "/json/changes"]) {
        // First the one and then the other, whichever has to be made for it.
        for methods in [["HEAD", "GET"], ["GET", "HEAD"]] {
            let [one, other] = [site.request(methods[0], path).await, site.request(methods[1], path).await];
            let (head, page) = if methods[0] == "HEAD" { (one, other) } else { (other, one) };
            assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""), "{path}");
            assert_eq!(head.header("content-encoding"), "", "{path}");
            for name in ["content-type", "vary", "cache-control", "content-security-policy"] {
                assert_eq!(head.header(name), page.header(name), "{path}: {name}");
            }
            let tag = |answer: &Answer| answer.header("etag").replace("-gzip", "");
            assert!(!tag(&head).is_empty() && tag(&head) == tag(&page), "{path}: {}", tag(&head));
            assert!(!page.text.is_empty(), "{path}");
        }
        let head = site.request("HEAD", path).await;
        let known = site.request_with("HEAD", path, &[("if-none-match", head.header("etag"))]).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED, "{path}");
    }
    site.stop().await;
}

/// More than may wait to read: only because one of them reads for all, nobody is asked to come back.
#[actix::test]
async fn what_many_want_at_once_is_made_once() {
    let site = Site::usual().await;
    let address = site.url.trim_start_matches("http://").to_owned();
    let mut crowd = Vec::new();
    for _ in 0..800 {
        crowd.push(TcpStream::connect(&address).await.unwrap());
    }
    let asked = crowd.into_iter().map(|mut stream| async move {
        stream.write_all(b"GET /waterfall HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").map(|(head, body)| (head.starts_with("HTTP/1.0 200"), body.to_owned())).unwrap()
    });
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|(served, body)| *served && !body.is_empty()));
    site.stop().await;
}
