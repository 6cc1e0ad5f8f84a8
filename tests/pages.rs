//! Pages: what they show, what they refuse, and what their forms do.

use crate::support::facts::{at, build, change, stamp};
use crate::support::site::{CONFIG, Options, Site, history};
use crate::support::wait::until;
use actix_web::http::StatusCode;
use futures::StreamExt;
use signalbox::db::outbox::{self, Delivery, State};
use signalbox::db::{builds, logs, requests};
use signalbox::model::*;
use signalbox::status::web::ROUTES;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[actix::test]
async fn the_front_page_says_what_is_red_since_when_and_whose() {
    let site = Site::usual().await;
    let page = site.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.texts("article.red h3"), ["linux Failed test it"]);
    let told = page.texts("article.red > p").join(" ");
    assert!(told.contains("first in #1, last in #2 (2 builds)"), "{told}");
    assert!(told.contains("Suspected: Ann"), "{told}");
    assert_eq!(page.attributes("article.red .changes a", "href")[0], "./changes/2");
    assert_eq!(page.texts(".group-name"), ["fast", "unix", "no tag"]);
    assert!(page.attributes("a.square", "class").contains(&"square failure".to_owned()));
    assert!(!page.text.contains("ann@example.org"), "mail addresses stay out");
    assert!(page.text.contains("Widget &lt;Foundry&gt;"));
    site.stop().await;
}

#[actix::test]
async fn tabs_say_what_is_red() {
    let site = Site::usual().await;
    let titles = [
        ("/", "1 red · Home"),
        ("/waterfall", "1 red · Waterfall"),
        ("/waterfall?builder=docs", "Waterfall"),
        ("/builders", "1 red · Builders"),
        ("/builders/linux", "✗ linux failed test it"),
        ("/builders/mac%2Farm", "! mac/arm warnings test it"),
        ("/builders/docs", "docs"),
        ("/builders/linux/builds/0", "✓ linux #0 build successful"),
        ("/builders/linux/builds/2", "✗ linux #2 failed test it"),
    ];
    for (path, title) in titles {
        let page = site.get(path).await;
        assert_eq!(page.texts("head title"), [format!("{title} · Widget <Foundry>")], "{path}");
        assert_eq!(page.attributes("main [data-title]", "data-title"), [title], "{path}");
    }
    site.stop().await;
}

#[actix::test]
async fn every_page_of_a_build_is_there() {
    let site = Site::usual().await;
    let page = site.get("/builders/linux").await;
    assert_eq!(page.texts("table.builds td:nth-child(2)"), ["#2", "#1", "#0"]);
    assert_eq!(page.attributes("svg.strip a", "href").last().unwrap(), "../builders/linux/builds/2");
    assert!(page.texts(".red").join(" ").contains("last good: #0"));
    assert!(page.texts(".headline")[0].starts_with("Failed test it in #2, "), "{:?}", page.texts(".headline"));

    let page = site.get("/builders/linux?numbuilds=1").await;
    assert_eq!(page.attributes("a[rel=next]", "href"), ["?numbuilds=1&before=2"]);
    let page = site.get("/builders/linux?property.buildnumber=1").await;
    assert_eq!(page.texts("table.builds td:nth-child(2)"), ["#1"]);

    let page = site.get("/builders/linux/builds/1").await;
    assert_eq!(page.texts(".headline"), ["Failed test it after 30 s"]);
    assert_eq!(page.texts(".cause"), ["first failure in a row; 1 change by Ann"]);
    assert_eq!(page.texts(".step-name"), ["compile", "test it"]);
    assert!(page.texts("pre.log").join("").contains("something <b>broke</b>"));
    assert!(page.text.contains("https://x.example.org/r?a=1&amp;b=2"), "{}", page.text);

    let page = site.get("/builders/linux/builds/-1").await;
    assert_eq!(page.texts("h1"), ["linux #2"]);
    assert_eq!(page.texts(".cause"), ["failing since #1; 1 change by Ann"]);

    let page = site.get("/builders/linux/builds/1/steps/test%20it/").await;
    assert_eq!(page.texts("h1"), ["test it"]);
    assert_eq!(page.texts(".headline"), ["failure: Test it after 10 s"]);
    assert!(page.texts(".log-end.failed pre.log").join("").contains("something <b>broke</b>"));
    let log = "../../../../../builders/linux/builds/1/steps/test%20it/logs/stdio";
    assert_eq!(page.attributes("#logs a", "href"), [format!("../{log}"), format!("../{log}/text")]);
    assert_eq!(site.get("/builders/linux/builds/1/steps/test%20it/logs").await.texts("h1"), ["test it"]);
    site.stop().await;
}

#[actix::test]
async fn a_change_leads_to_the_builds_it_went_into() {
    // Change 2 went into a build of `mac/arm` as well, which runs; change 9 into none.
    let with_it = |builder: &str, number: i64| Build {
        source_stamps: vec![SourceStamp { changes: vec![change(2)], ..stamp(None) }],
        ..build(builder, number)
    };
    let mut events = history();
    events.push(Event::ChangeAdded { change: change(9) });
    let site = Site::start("", events).await;
    site.server.hub.record(Event::BuildStarted { build: with_it("mac/arm", 1) }).await.unwrap();
    let list = site.get("/changes").await;
    assert_eq!(list.texts("td:first-child"), ["#9", "#3", "#2", "#1"]);
    assert_eq!(list.texts("td.several"), ["", "linux #2", "mac/arm #1 linux #1", "mac/arm #0 linux #0"]);
    assert_eq!(list.attributes("td.several a", "href")[1], "./builders/mac%2Farm/builds/1");
    let signs = list.attributes("td.several .sign", "aria-label");
    assert_eq!(signs, ["failure", "running", "failure", "warnings", "success"]);

    let page = site.get("/changes/2").await;
    assert_eq!(page.texts("table.builds td.result"), ["running", "failure"]);
    assert_eq!(
        page.attributes("table.builds td.number a", "href"),
        ["../builders/mac%2Farm/builds/1", "../builders/linux/builds/1"]
    );
    // In the waterfall a sign for each; those without are led by their author's name alone.
    let waterfall = site.get("/waterfall").await;
    let signs = waterfall.attributes("td.Change .sign", "aria-label");
    assert!(
        signs.contains(&"mac/arm #1 running".to_owned()) && signs.contains(&"linux #1 failure".to_owned()),
        "{signs:?}"
    );
    let leads = waterfall.attributes("td.Change a[title]", "href");
    assert!(leads.contains(&"./builders/mac%2Farm/builds/1".to_owned()), "{leads:?}");
    assert_eq!(site.get("/changes/9").await.texts("p.empty"), ["No build with this change has been started."]);

    // Its page goes on with what becomes of it.
    let seq = page.attributes("main", "data-seq").remove(0);
    let mut live = site.live("changes/2", &seq).await;
    assert_eq!(live.next().await.unwrap()["live"], true);
    site.server.hub.record(Event::BuildStarted { build: with_it("docs", 0) }).await.unwrap();
    assert!(live.next().await.unwrap().to_string().contains("builders/docs/builds/0"));
    site.stop().await;
}

#[actix::test]
async fn of_a_change_that_went_everywhere_the_latest_builds_are_named() {
    let site = Site::usual().await;
    let with = |number| Build {
        source_stamps: vec![SourceStamp { changes: vec![change(3)], ..stamp(None) }],
        ..build("docs", number)
    };
    let begun: Vec<Event> = (0..120).map(|number| Event::BuildStarted { build: with(number) }).collect();
    site.server.hub.record_all(begun, Vec::new()).await.unwrap();
    let list = site.get("/changes").await;
    let named: Vec<String> = (112..120).rev().map(|number| format!("docs #{number}")).collect();
    assert_eq!(list.texts("td.several")[0], format!("{} more", named.join(" ")));
    assert_eq!(list.attributes("td.several a", "href")[8], "./changes/3");
    let page = site.get("/changes/3").await;
    assert_eq!(page.texts("table.builds td.number a").len(), 100);
    assert!(page.texts("main section .muted").contains(&"The latest 100 builds are shown.".to_owned()));
    site.stop().await;
}

#[actix::test]
async fn names_with_a_slash_have_pages() {
    let site = Site::usual().await;
    let page = site.get("/builders/mac%2Farm").await;
    assert_eq!((page.status, page.texts("h1")), (StatusCode::OK, vec!["Builder mac/arm".to_owned()]));
    assert_eq!(site.get("/builders/mac%2Farm/builds/0").await.status, StatusCode::OK);
    site.stop().await;
}

#[actix::test]
async fn a_log_has_numbered_lines_colours_and_a_plain_text() {
    let site = Site::usual().await;
    let path = "/builders/linux/builds/1/steps/compile/logs/stdio";
    let page = site.get(path).await;
    assert_eq!(page.header("cache-control"), "private, max-age=3600");
    assert_eq!(page.texts("pre.log a"), ["1", "2", "3", "4", "5"]);
    assert_eq!(page.texts("pre.log .ansi32"), ["green & good"]);
    assert_eq!(page.texts("pre.log .stderr"), ["something <b>broke</b>"]);
    let some = site.get(&format!("{path}?lines=2-3")).await;
    assert_eq!(some.texts("pre.log a"), ["2", "3"]);

    let plain = site.get(&format!("{path}/text")).await;
    assert_eq!(plain.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(plain.text, "line one of log 5010\n\u{1b}[32mgreen & good\u{1b}[0m\nsomething <b>broke</b>\n");
    assert_eq!(site.request("HEAD", path).await.text, "");
    site.stop().await;
}

#[actix::test]
async fn lines_are_found_in_a_log_and_lead_to_their_place() {
    let site = Site::usual().await;
    let path = "/builders/linux/builds/1/steps/compile/logs/stdio";
    let up = "../../../../../../..";
    let plain = site.get(path).await;
    assert_eq!(plain.attributes(".log-head form", "action"), [format!("{up}{path}")]);
    assert_eq!(plain.fields(".log-head form"), [("find".to_owned(), String::new())]);
    assert_eq!(site.get(&format!("{path}?find=")).await.texts("pre.log"), plain.texts("pre.log"));

    let page = site.get(&format!("{path}?find=GREEN+%26&lines=x")).await;
    assert_eq!((page.status, page.header("cache-control")), (StatusCode::OK, "private, no-cache"));
    assert_eq!(page.texts("pre.log"), ["3green & good"]);
    assert_eq!(page.texts("pre.log .ansi32"), ["green &", "good"]);
    assert_eq!(page.texts("pre.log mark"), ["green &"]);
    assert_eq!(page.attributes("pre.log a", "href"), [format!("{up}{path}#L3")]);
    assert_eq!(page.texts(".found"), ["One line holds this text."]);
    assert_eq!(page.attributes(".log-head input", "value"), ["GREEN &"]);
    assert!(page.text.trim_end().ends_with("</html>"));
    let page = site.get(&format!("{path}?find=%3Cb%3E")).await;
    assert_eq!(page.texts("pre.log .stderr"), ["something", "<b>", "broke</b>"]);
    assert_eq!(page.texts("pre.log mark"), ["<b>"]);
    let page = site.get(&format!("{path}/?find=o")).await;
    assert_eq!(page.texts("pre.log a"), ["2", "3", "4", "5"]);
    assert_eq!(page.attributes("pre.log a", "href")[0], format!("{up}/..{path}#L2"));
    let page = site.get(&format!("{path}?find=32m")).await;
    assert_eq!(page.texts(".found"), ["No line holds this text."], "codes are not part of the text");

    for wild in ["%ff%00%0d%0a", "%22%3E%3Cscript%3Ealert(1)", "%5B(.*", "%E2%80%A8"] {
        let page = site.get(&format!("{path}?find={wild}")).await;
        assert_eq!(page.status, StatusCode::OK, "{wild}");
        assert!(!page.text.contains("<script>"), "{wild}");
    }
    let long = site.get(&format!("{path}?find={}", "x".repeat(20_000))).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.texts(".headline").join("").contains("find"));
    assert_eq!(site.request("HEAD", &format!("{path}?find=o")).await.text, "");
    site.stop().await;
}

#[actix::test]
async fn a_search_of_a_long_log_is_cut_and_leads_to_the_lines_around() {
    let site = Site::usual().await;
    let log = site.log("linux", 1, "compile").await;
    // Thirty thousand lines behind the five that are there, 5 MB.
    let text: String = (6..30_006).map(|line| format!("{:>160} line {line}{}\n", "", "!".repeat(line % 2))).collect();
    let added = text.into_bytes();
    let more = vec![Segment { channel: Channel::Stdout, bytes: added }];
    site.server.db.write(move |conn| logs::append(conn, log, &more).map(drop)).await.unwrap();

    let path = "/builders/linux/builds/1/steps/compile/logs/stdio";
    let page = site.get(&format!("{path}?find=LINE+29")).await;
    let numbers = page.texts("pre.log a");
    // 29, 290 to 299, 2900 to 2999; and 29000 to 29888, as far as the thousand goes.
    assert_eq!((numbers.len(), numbers[0].as_str(), numbers[999].as_str()), (1_000, "29", "29888"));
    assert_eq!(page.texts(".found"), ["The first 1,000 lines are shown; there are more."]);
    let page = site.get(&format!("{path}?find=line+29999!")).await;
    let href = page.attributes("pre.log a", "href");
    assert_eq!(href, [format!("../../../../../../..{path}?lines=29499-30499#L29999")]);
    assert!(page.text.contains("<pre class=\"log\"><!-- --><a id"), "a sign of life goes before it");
    let place = href[0].trim_start_matches("../").split_once('#').unwrap().0;
    let around = site.get(&format!("/{place}")).await;
    assert!(around.attributes("pre.log a", "id").contains(&"L29999".to_owned()));
    assert_eq!(site.get(&format!("{path}?find=line+6")).await.texts("pre.log a")[0], "6");
    site.stop().await;
}

/// The usual site, where the step that failed last says this.
async fn site_that_said(text: String) -> Site {
    let segment = |channel, bytes| Segment { channel, bytes };
    let said = vec![
        segment(Channel::Header, b"grep 'error: ' *\n".to_vec()),
        segment(Channel::Stdout, text.into_bytes()),
        segment(Channel::Header, b"program finished with exit code 2\n".to_vec()),
    ];
    let options = Options { config: CONFIG, texts: BTreeMap::from([(5_021, said)]) };
    Site::with("", history(), options).await
}

#[actix::test]
async fn errors_in_a_log_are_listed_beside_it_and_lead_to_their_lines() {
    let fine = "fine\n".repeat(30);
    let error = "\u{1b}[31mx.c:3: \u{1b}[1merror\u{1b}[0m: <b> is missing";
    let site = site_that_said(format!("0 errors so far\n{fine}{error}\n{fine}1 error generated.\n{fine}")).await;
    let (build, log) = ("builders/linux/builds/2", "builders/linux/builds/2/steps/test%20it/logs/stdio");
    let page = site.get(&format!("/{log}")).await;
    let lines = ["33 x.c:3: error: <b> is missing", "64 1 error generated."];
    for list in [".log-errors.beside", ".log-errors.folded"] {
        assert_eq!(page.texts(&format!("{list} li")), lines, "{list}");
        assert_eq!(page.attributes(&format!("{list} a"), "href"), ["#L33", "#L64"], "{list}");
    }
    assert_eq!(page.texts(".log-errors h2, .log-errors summary"), ["2 lines look like errors"; 2]);
    assert_eq!(page.attributes(".log-head p a", "href")[1], "#L33");
    // Who is shown other lines is led to them all the same.
    let some = site.get(&format!("/{log}?lines=60-70")).await;
    let hrefs = some.attributes(".log-errors.beside a", "href");
    assert!(hrefs[0].ends_with("/logs/stdio?lines=1-533#L33") && hrefs[1] == "#L64", "{hrefs:?}");

    let front = site.get("/").await;
    assert_eq!(front.texts("article.red .error-line"), ["x.c:3: error: <b> is missing"]);
    assert_eq!(front.attributes("article.red .error-line a", "href"), [format!("./{log}#L33")]);
    for (path, up) in [(build, "../../.."), (&format!("{build}/steps/test%20it"), "../../../../..")] {
        let page = site.get(&format!("/{path}")).await;
        assert_eq!(page.texts(".log-end .error-line"), ["Errors begin in line 33: x.c:3: error: <b> is missing"]);
        assert_eq!(page.attributes(".log-end .error-line a", "href"), [format!("{up}/{log}#L33")], "{path}");
    }
    // Where nothing looks like an error nothing is said of it.
    let calm = site.get("/builders/linux/builds/1/steps/compile/logs/stdio").await;
    assert!(calm.texts(".log-errors").is_empty() && calm.texts(".log-head p a").contains(&"lines with “error”".into()));
    site.stop().await;
}

#[actix::test]
async fn of_a_long_log_the_end_is_looked_through_for_errors() {
    let lines: String = (2..=60_001).map(|line| format!("{:>100} ERROR {line}\n", "")).collect();
    let site = site_that_said(lines).await;
    let log = "builders/linux/builds/2/steps/test%20it/logs/stdio";
    let before = site.get("/").await;
    assert!(before.texts(".error-line").is_empty(), "the front page waits for no long log");
    let page = site.get(&format!("/{log}")).await;
    let heading = page.texts(".log-errors h2").remove(0);
    let said = heading.strip_suffix(" lines").and_then(|heading| heading.rsplit_once(' ')).unwrap();
    assert!(said.0.ends_with(" lines look like errors in the last"), "{heading}");
    let looked: i64 = said.1.replace(',', "").parse().unwrap();
    assert!((30_000..50_000).contains(&looked), "{heading}");
    let (hrefs, numbers) =
        (page.attributes(".beside a", "href"), page.texts(".beside .number").into_iter().map(|n| n.parse().unwrap()));
    let numbers: Vec<i64> = numbers.collect();
    assert_eq!((numbers.len(), numbers[19], hrefs[19].as_str()), (20, 60_001, "#L60001"));
    let first = format!("logs/stdio?lines={}-{}#L{}", numbers[0] - 500, numbers[0] + 500, numbers[0]);
    assert!(hrefs[0].ends_with(&first) && numbers[0] == 60_002 - looked + 1, "{hrefs:?}");
    assert_eq!(page.texts(".beside li.muted"), [format!("and {} more lines between", looked - 21)]);
    // Once it is known the front page says it, too.
    until("the front page to be made anew", Duration::from_secs(20), async || {
        let front = site.get("/").await;
        (front.texts(".error-line") == [format!("ERROR {}", numbers[0])]).then_some(())
    })
    .await;
    site.stop().await;
}

#[actix::test]
async fn an_html_log_is_itself_whatever_is_looked_for() {
    let mut events = history();
    for event in &mut events {
        if let Event::LogStarted { log, .. } = event {
            log.kind = LogKind::Html;
        }
    }
    let site = Site::start("", events).await;
    let path = "/builders/linux/builds/1/steps/compile/logs/stdio";
    let (plain, found) = (site.get(path).await, site.get(&format!("{path}?find=green")).await);
    assert!(plain.text.starts_with("make <all>"), "{}", plain.text);
    assert_eq!(found.text, plain.text);
    assert!(found.header("content-security-policy").starts_with("sandbox"));
    site.stop().await;
}

#[actix::test]
async fn a_log_that_grows_is_searched_as_far_as_it_reaches() {
    let site = Site::start("authz=util.Authz(default_action=True)", history()).await;
    site.post("/builders/mac%2Farm/force", &[("forcescheduler", "force")]).await;
    site.server.running("mac/arm", 1, "slow").await;
    let path = "/builders/mac%2Farm/builds/1/steps/slow/logs/stdio";
    let found = || async {
        let page = site.get(&format!("{path}?find=STARTED")).await;
        assert_eq!(page.header("cache-control"), "private, no-cache");
        let told = page.texts(".found").join("");
        assert!(told.ends_with("The log is still growing; it was searched as far as it reaches."), "{told}");
        page.texts("pre.log .stdout").contains(&"started".to_owned()).then_some(())
    };
    until("the line is found", Duration::from_secs(60), found).await;
    site.post("/builders/mac%2Farm/builds/1/stop", &[]).await;
    site.stop().await;
}

#[actix::test]
async fn a_running_log_is_followed_to_its_end() {
    let site = Site::start("authz=util.Authz(default_action=True)", history()).await;
    site.post("/builders/mac%2Farm/force", &[("forcescheduler", "force")]).await;
    site.server.running("mac/arm", 1, "slow").await;
    let path = "/builders/mac%2Farm/builds/1/steps/slow/logs/stdio";
    let mut answer = site.open(&format!("{path}/text")).await;
    let mut html = site.open(path).await;
    assert_eq!(html.headers().get("cache-control").unwrap(), "private, no-cache");
    let first = tokio::time::timeout(Duration::from_secs(60), answer.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(&first[..], b"started\n");

    let stopped = site.post("/builders/mac%2Farm/builds/1/stop", &[("comments", "enough <now>")]).await;
    assert_eq!(stopped.header("location"), "../../../../builders/mac%2Farm");
    let rest = async { while answer.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), rest).await.unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = html.next().await {
        whole.extend_from_slice(&piece.unwrap());
    }
    let whole = String::from_utf8(whole).unwrap();
    assert!(whole.contains("started") && whole.trim_end().ends_with("</html>"), "{whole}");
    site.stop().await;
}

#[actix::test]
async fn the_waterfall_has_a_column_for_each_builder() {
    let site = Site::usual().await;
    let page = site.get("/waterfall").await;
    assert_eq!(page.texts(".names th").split_off(1), ["changes", "docs", "linux", "mac/arm"]);
    assert_eq!(page.texts("td.LastBuild").len(), 3);
    assert!(page.texts("td.failure").iter().any(|text| text == "test it stdio" || text == "test itstdio"));
    assert!(page.texts("td.BuildStep.start").contains(&"Build 2".to_owned()));
    assert_eq!(page.texts("td.Change").len(), 3);

    let page = site.get("/waterfall?builder=linux&builder=nosuch&show_events=false").await;
    assert_eq!(page.texts(".names th").split_off(2), ["linux"]);
    assert!(page.texts("td.Event").is_empty());
    let page = site.get("/waterfall?failures_only=true").await;
    assert_eq!(page.texts(".names th").split_off(2), ["linux", "mac/arm"]);
    let page = site.get("/waterfall?num_events=1").await;
    let next = page.attributes("a[rel=next]", "href");
    assert!(next[0].starts_with("?num_events=1&last_time="), "{next:?}");
    site.stop().await;
}

#[actix::test]
async fn the_waterfalls_help_is_a_form_of_all_its_arguments() {
    let site = Site::usual().await;
    let query = "show_events=False&branch=main&branch=&show=linux&builder=gone&tag=unix&committer=ann%20%3Cx%3E\
                 &project=&category=c&failures_only=true&reload=90&num_events=7&first_time=5&last_time=1900000000";
    let waterfall = site.get(&format!("/waterfall?{query}&nobubble=1&x=%ff")).await;
    let links = waterfall.attributes(".options a", "href");
    let help = links.last().unwrap().strip_prefix("./").unwrap();
    let page = site.get(&format!("/{help}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.attributes("form.choices", "action"), ["../waterfall"]);
    let sent = page.fields("form.choices");
    let pairs: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("show_events", "false"),
            ("builder", "linux"),
            ("builder", "gone"),
            ("tag", "unix"),
            ("failures_only", "true"),
            ("branch", "main"),
            ("branch", ""),
            ("committer", "ann <x>"),
            ("committer", ""),
            ("project", ""),
            ("category", "c"),
            ("category", ""),
            ("num_events", "7"),
            ("show_time", ""),
            ("first_time", "5"),
            ("last_time", "1900000000"),
            ("reload", "90"),
            ("nobubble", "1"),
        ]
    );
    assert_eq!(page.texts(".tick .muted"), ["(not known)"]);
    let typed = page.attributes("form.choices input[type=text]", "id");
    assert_eq!(page.attributes("form.choices .row > label", "for"), typed);
    let bare = page.texts("form.choices label").len() - typed.len();
    assert_eq!(bare, page.attributes("label > input", "type").len(), "every box stands in its label");

    let page = site.get("/waterfall/help/").await;
    assert_eq!(page.attributes("form.choices", "action"), ["../../waterfall"]);
    assert_eq!(page.attributes("input[name=builder]", "value"), ["docs", "linux", "mac/arm"]);
    assert_eq!(page.attributes("input[name=tag]", "value"), ["fast", "unix"]);
    assert!(page.attributes("input[type=checkbox][checked]", "name").is_empty());
    // Sent as it stands, with all its empty boxes, it leaves the waterfall as it is.
    let query: Vec<String> =
        page.fields("form.choices").iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert!(query.contains(&"show_events=true".to_owned()) && query.contains(&"branch=".to_owned()), "{query:?}");
    let (plain, sent) = (site.get("/waterfall").await, site.get(&format!("/waterfall?{}", query.join("&"))).await);
    for part in ["thead .names th", "tbody td", ".chips .chip", ".options"] {
        assert_eq!(sent.texts(part), plain.texts(part), "{part}");
    }

    let far = "last_time=9223372036854775807&num_events=99999999999&reload=-1";
    assert_eq!(site.get(&format!("/waterfall/help?{far}")).await.status, StatusCode::OK);
    let page = site.get("/waterfall/help?num_events=many").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.texts(".headline").join("").contains("num_events"));
    site.stop().await;
}

#[actix::test]
async fn what_is_not_there_is_named_and_bad_numbers_too() {
    let site = Site::usual().await;
    for (path, words, parent) in [
        ("/builders/nosuch", "there is no builder \"nosuch\"", "all builders"),
        ("/builders/linux/builds/99", "builder \"linux\" has no build 99", "builder linux"),
        ("/builders/linux/builds/x", "\"x\" is no build number", "builder linux"),
        ("/builders/linux/builds/1/steps/none", "linux #1 has no step \"none\"", "build #1 of linux"),
        ("/builders/linux/builds/1/steps/compile/logs/none", "has no log \"none\"", "step compile of linux #1"),
        ("/builders/mac%2Farm/builds/9", "builder \"mac/arm\" has no build 9", "builder mac/arm"),
        ("/buildslaves/nosuch", "there is no worker \"nosuch\"", "all workers"),
        ("/changes/9999", "there is no change \"9999\"", "all changes"),
        ("/changes/x", "there is no change \"x\"", "all changes"),
        ("/one_line_per_build/nosuch", "there is no builder \"nosuch\"", "all builders"),
        ("/nosuch.html", "there is nothing at /nosuch.html", "the front page"),
        ("/builders/%3Cscript%3E", "there is no builder \"<script>\"", "all builders"),
        ("/builders/%3Cscript%3E/builds/x", "\"x\" is no build number", "builder <script>"),
        ("/builders/%FF%00", "there is no builder", "all builders"),
    ] {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.texts(".headline").join("").contains(words), "{path}: {}", page.text);
        assert_eq!(page.texts("main a"), [parent], "{path}");
        let href = page.attributes("main a", "href").remove(0);
        let there = site.get(&format!("/{}", href.trim_start_matches("../").trim_start_matches("./"))).await;
        assert!(there.status == StatusCode::OK || parent == "builder <script>", "{path}: {href}");
        assert!(!page.text.contains("<script>"), "{path}");
    }
    for (path, argument) in [
        ("/builders/linux?numbuilds=many", "numbuilds"),
        ("/waterfall?last_time=now", "last_time"),
        ("/waterfall?num_events=-1", "num_events"),
        ("/changes?count=%0d%0aX:%20y", "count"),
        ("/one_line_per_build?before=x", "before"),
        ("/builders/linux/builds/1/steps/compile/logs/stdio?lines=x", "lines"),
    ] {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.texts(".headline").join("").contains(argument), "{path}: {}", page.text);
    }
    site.stop().await;
}

#[actix::test]
async fn nothing_typed_in_breaks_a_page() {
    let site = Site::usual().await;
    let evil = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E%0d%0aSet-Cookie:%20a=b%00%ff";
    let long = "x".repeat(20_000);
    for value in [evil, long.as_str()] {
        for path in [
            "/",
            "/waterfall",
            "/waterfall/help",
            "/builders",
            "/builders/linux",
            "/one_line_per_build",
            "/buildslaves",
            "/changes",
        ] {
            for argument in ["alert_msg", "tag", "builder", "branch", "committer", "project", "reload", "force.reason"]
            {
                let page = site.get(&format!("{path}?{argument}={value}")).await;
                assert!(!page.status.is_server_error(), "{path} {argument}");
                assert!(!page.text.contains("<script>"), "{path} {argument}");
                assert_eq!(page.header("set-cookie"), "");
            }
        }
    }
    site.stop().await;
}

#[actix::test]
async fn browsers_are_told_to_be_careful() {
    let site = Site::usual().await;
    for path in ["/", "/nosuch", "/default.css", "/json/project", "/builders/linux/builds/0/steps/compile/logs/stdio"] {
        let page = site.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert!(!page.text.contains(" style=\""), "{path}");
        let (scripts, files) = (page.text.matches("<script").count(), page.text.matches("<script src=\"").count());
        assert_eq!(scripts, files, "{path}: no script stands in a page");
    }
    site.stop().await;
}

#[actix::test]
async fn files_are_served_with_their_date_and_the_operators_come_first() {
    let site = Site::usual().await;
    let css = site.get("/default.css").await;
    assert_eq!((css.status, css.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    let since = css.header("last-modified").to_owned();
    assert_eq!(site.get_with("/default.css", &[("if-modified-since", &since)]).await.status, StatusCode::NOT_MODIFIED);

    std::fs::create_dir(site.server.path("public_html")).unwrap();
    std::fs::write(site.server.path("public_html/robots.txt"), "mine").unwrap();
    assert_eq!(site.get("/robots.txt").await.text, "mine");
    std::fs::write(site.server.path("secret"), "x").unwrap();
    for path in ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/public_html/../../secret"] {
        assert_ne!(site.get(path).await.text, "x", "{path}");
    }
    site.stop().await;
}

#[actix::test]
async fn a_template_of_the_operators_takes_the_place_of_ours() {
    let site = Site::usual().await;
    std::fs::create_dir(site.server.path("templates")).unwrap();
    std::fs::write(site.server.path("templates/about.hbs"), "<p>run by {{page.project}}</p>").unwrap();
    let theirs = || async { (site.get("/about").await.texts("main p") == ["run by Widget <Foundry>"]).then_some(()) };
    until("the template is picked up", Duration::from_secs(60), theirs).await;
    site.stop().await;
}

#[actix::test]
async fn a_form_forces_a_build_with_its_typed_fields() {
    let site = Site::start("authz=util.Authz(forceBuild=True)", history()).await;
    let page = site.get("/builders/linux?force.reason=because").await;
    assert_eq!(page.attributes("form.force input[name=reason]", "value"), ["because"]);
    assert_eq!(page.attributes("form.force input[name=checkbox]", "value"), ["clean"]);
    assert_eq!(page.texts("form.force select[name=level] option[selected]"), ["two"]);
    assert_eq!(page.attributes("form.force input[name=deep_inner]", "value"), ["x\"y"]);
    assert_eq!(page.attributes("form.force", "action"), ["../builders/linux/force"]);

    let fields = [
        ("forcescheduler", "force"),
        ("username", "bob"),
        ("reason", "why <not>"),
        ("checkbox", "clean"),
        ("level", "one"),
        ("times", "7"),
    ];
    let answer = site.post("/builders/linux/force", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, "../../builders/linux"));
    let build = site
        .server
        .until("the build", |conn| Ok(builds::find(conn, "linux", 3)?.filter(|build| build.finished.is_some())))
        .await;
    assert_eq!(build.properties.get("owner").unwrap(), "bob (not logged in)");
    assert_eq!(build.properties.get("clean").unwrap(), true);
    assert_eq!(build.properties.get("times").unwrap(), 7);

    let answer = site.post("/builders/linux/force", &[("forcescheduler", "force"), ("times", "many")]).await;
    let place = answer.header("location").to_owned();
    assert!(place.starts_with("../../builders/linux?alert_msg="), "{place}");
    let shown = site.get(place.trim_start_matches("../..")).await;
    assert!(shown.texts(".alert").join("").contains("times"), "{:?}", shown.texts(".alert"));
    site.stop().await;
}

#[actix::test]
async fn who_may_not_is_sent_to_the_page_that_says_so() {
    let site = Site::usual().await;
    for route in ROUTES.iter().filter(|route| route.method == "POST") {
        let path = route.path.replace("{builder}", "linux").replace("{number}", "1").replace("{worker}", "w1");
        let answer = site.post(&path, &[("change", "1"), ("id", "all"), ("forcescheduler", "force")]).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{path}");
        assert!(
            answer.header("location").ends_with("../authzfail") || answer.header("location") == "./authzfail",
            "{path}"
        );
        let answer = site.get(&path).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"), "{path}");
    }
    for path in ["/deliveries", "/hooks", "/users"] {
        assert_eq!(site.get(path).await.header("location"), "./authzfail", "{path}");
    }
    assert_eq!(site.get("/json/hooks").await.status, StatusCode::FORBIDDEN);
    let pending = site.server.db.read(|conn| requests::pending(conn, None)).await.unwrap();
    assert_eq!(pending, Vec::<BuildRequest>::new());
    site.stop().await;
}

#[actix::test]
async fn forms_of_other_sites_are_refused() {
    let site = Site::start("authz=util.Authz(default_action=True)", history()).await;
    let form = [("forcescheduler", "force")];
    for header in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example.org"), ("origin", "null")] {
        let answer = site.post_with("/builders/linux/force", &form, &[header]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{header:?}");
    }
    for header in
        [("sec-fetch-site", "same-origin"), ("origin", site.url.as_str()), ("origin", "http://ci.example.org")]
    {
        let answer = site.post_with("/builders/linux/force", &form, &[header]).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{header:?}");
    }
    site.stop().await;
}

#[actix::test]
async fn only_those_who_log_in_see_pages_where_view_asks_for_it() {
    let options = "authz=util.Authz(view='auth', stopBuild='auth', auth=util.BasicAuth([('ada', 'engine')]))";
    let site = Site::start(options, history()).await;
    let basic = ("authorization", "Basic YWRhOmVuZ2luZQ==");
    let wrong = ("authorization", "Basic YWRhOmVuZ2luZT8=");
    for route in ROUTES.iter().filter(|route| route.method == "GET" && route.action.is_some()) {
        let path = route
            .path
            .replace("{builder}", "linux")
            .replace("{number}", "1")
            .replace("{step}", "compile")
            .replace("{log}", "stdio")
            .replace("{worker}", "w1")
            .replace("{uid}", "1")
            .replace("{rest:.*}", "builders");
        for answer in [site.get(&path).await, site.get_with(&path, &[wrong]).await] {
            let (status, place) = (answer.status, answer.header("location"));
            assert!(status == StatusCode::UNAUTHORIZED || status == StatusCode::FOUND, "{path}: {status}");
            assert!(!answer.text.contains("linux") || place.contains('.'), "{path}: {}", answer.text);
        }
        let answer = site.get_with(&path, &[basic]).await;
        // What takes more than viewing is refused, but no longer for want of a name.
        let let_in: &[u16] = if path == "/live" { &[400] } else { &[200, 302, 403] };
        assert!(let_in.contains(&answer.status.as_u16()), "{path}: {}", answer.status);
    }
    assert_eq!(site.get_with("/", &[basic]).await.texts(".who"), ["ada"]);
    site.stop().await;
}

#[actix::test]
async fn a_fallen_server_comes_back_on_the_same_port() {
    let site = Site::usual().await;
    let path = format!("status/WebStatus:{}", site.url.rsplit(':').next().unwrap());
    assert!(site.server.tree.provoke_panic(&path));
    let page = until("an answer", Duration::from_secs(30), async || site.try_get("/about/supervision").await).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains(&path));
    site.stop().await;
}

#[actix::test]
async fn what_is_dead_is_listed_and_settled_by_a_form() {
    let site = Site::start("authz=util.Authz(showInternals=True, resendDeliveries=True)", history()).await;
    let delivery = |seq: i64, state: State| Delivery {
        id: format!("push/{seq}"),
        target: "push".to_owned(),
        destination: "far <side>".to_owned(),
        key: None,
        lane: None,
        about: Some(format!("letter {seq}, to <ann>")),
        seq,
        payload: serde_json::json!(null),
        state,
        attempts: 3,
        created: at(seq),
        last_try: Some(at(seq)),
        next_try: at(seq),
        detail: Some("422: \"no such thing\"".to_owned()),
    };
    let mut some: Vec<Delivery> = (1..=4).map(|seq| delivery(seq, State::Dead)).collect();
    some.push(delivery(5, State::Delivered));
    site.server.db.write(move |conn| outbox::insert(conn, &some)).await.unwrap();

    let all = site.get("/deliveries").await;
    assert_eq!(all.texts(".revision"), ["push/5", "push/4", "push/3", "push/2", "push/1"]);
    assert!(all.texts("td.long").iter().any(|cell| cell.contains("letter 5, to <ann>")));
    assert_eq!(all.attributes("td form input", "value"), ["push/4", "push/3", "push/2", "push/1"]);
    assert_eq!(all.attributes("a.chip", "href"), ["?state=dead"]);
    let dead = site.get("/deliveries?state=dead&target=push&count=2").await;
    assert_eq!(dead.texts(".revision"), ["push/4", "push/3"]);
    assert_eq!(dead.attributes("a[rel=next]", "href").len(), 1);
    assert_eq!(dead.attributes("form.row input[name=id]", "value"), ["push/4", "push/3"]);
    assert_eq!(dead.attributes("form.row", "action"), ["./deliveries/resend"]);
    assert_eq!(dead.attributes("form.row button", "formaction"), ["./deliveries/drop"]);
    assert_eq!(site.get("/deliveries?state=late").await.status, StatusCode::BAD_REQUEST);

    let forged = site.post_with("/deliveries/drop", &[("id", "push/4")], &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert_eq!(site.post("/deliveries/drop", &[]).await.status, StatusCode::BAD_REQUEST);
    let dropped = site.post("/deliveries/drop", &[("id", "push/4"), ("id", "push/3")]).await;
    assert_eq!((dropped.status, dropped.header("location")), (StatusCode::FOUND, "../deliveries"));
    let again = site.post("/deliveries/resend", &[("id", "push/2"), ("id", "push/5")]).await;
    let alert = site.get(again.header("location").trim_start_matches("..")).await.texts(".alert").join(" ");
    assert!(alert.contains("push/5 is not dead") && !alert.contains("push/2"), "{alert}");

    let states = |list: serde_json::Value| -> Vec<(String, String)> {
        let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|one| (text(one, "id"), text(one, "state"))).collect()
    };
    let mut ledger = states(site.get("/json/deliveries?target=push").await.json());
    ledger.sort();
    let now = [("1", "dead"), ("2", "waiting"), ("3", "dropped"), ("4", "dropped"), ("5", "delivered")];
    assert_eq!(ledger, now.map(|(seq, state)| (format!("push/{seq}"), state.to_owned())));
    let dead = states(site.get("/json/deliveries?state=dead").await.json());
    assert_eq!(dead, [("push/1".to_owned(), "dead".to_owned())]);
    site.stop().await;

    // Looking at them is not settling them.
    let site = Site::start("authz=util.Authz(default_action=True, showInternals=True)", history()).await;
    assert_eq!(site.get("/deliveries").await.attributes("form.command", "action"), [""; 0]);
    assert!(site.post("/deliveries/drop", &[("id", "push/1")]).await.header("location").ends_with("authzfail"));
    site.stop().await;
}

#[actix::test]
async fn a_crowd_is_asked_to_come_back_and_builds_start_all_the_same() {
    let site = Site::start("authz=util.Authz(forceBuild=True)", history()).await;
    let address = site.url.trim_start_matches("http://").to_owned();
    let crowd = (0..1_500).map(|number| {
        let address = address.clone();
        async move {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let request = format!("GET /waterfall?crowd={number} HTTP/1.0\r\nHost: {address}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, _) = answer.split_once("\r\n\r\n").unwrap();
            let served = head.starts_with("HTTP/1.0 200");
            let sent_back = head.starts_with("HTTP/1.0 503") && head.to_lowercase().contains("\r\nretry-after: ");
            assert!(served || sent_back, "{head}");
            served
        }
    });
    let forced = async {
        let answer = site.post("/builders/linux/force", &[("forcescheduler", "force")]).await;
        assert_eq!(answer.status, StatusCode::FOUND);
        until("the build to run", Duration::from_secs(60), async || {
            let found = site.server.db.read(|conn| builds::find(conn, "linux", 3)).await.unwrap();
            found.map(drop)
        })
        .await;
    };
    let (served, ()) = futures::join!(futures::future::join_all(crowd), forced);
    let served = served.into_iter().filter(|served| *served).count();
    assert!(served > 0 && served < 1_500, "{served} of 1500");
    assert_eq!(site.get("/waterfall").await.status, StatusCode::OK, "and then it is quiet again");
    site.stop().await;
}
