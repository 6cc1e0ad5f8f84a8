//! Times in the reader's zone, and words that count while a page is looked at.

use crate::support::browser::Browser;
use crate::support::facts::{build, step};
use crate::support::site::Site;
use crate::support::wait::until;
use serde_json::{Value, json};
use signalbox::model::*;
use signalbox::render::counted::Counted;
use signalbox::render::times::{self, Shape};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LIMIT: Duration = Duration::from_secs(60);

/// The start of build 2 of `linux`: three minutes and twenty seconds into the day.
const STARTED: Time = Time(1_795_305_800_000_000);

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time(i64::try_from(since.as_micros()).unwrap())
}

async fn in_zone(zone: &str) -> Browser {
    let browser = Browser::start().await;
    browser.command("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
    browser
}

async fn becomes(browser: &Browser, what: &str, script: &str) {
    until(what, LIMIT, async || (browser.run(script).await == true).then_some(())).await;
}

/// A site with a build at work since seven seconds, which should be over in three.
async fn at_work() -> Site {
    let site = Site::usual().await;
    let begun = Build {
        started: now() - Duration::from_secs(7),
        eta: Some(now() + Duration::from_secs(3)),
        ..build("linux", 3)
    };
    site.server.hub.record(Event::BuildStarted { build: begun }).await.unwrap();
    site
}

#[actix::test]
async fn every_moment_is_told_in_the_readers_zone() {
    let site = Site::usual().await;
    let browser = in_zone("Asia/Kolkata").await;
    let first = "const one = document.querySelector(arguments[0]); return [one.textContent, one.title, one.dateTime]";
    let told = async |selector: &str| browser.run(&first.replace("arguments[0]", &format!("'{selector}'"))).await;
    browser.open(&format!("{}/builders/linux", site.url)).await;
    let exact = "Sun 22 Nov 2026 05:33:20 +0530";
    assert_eq!(told("table.builds time").await, json!(["Nov 22 05:33", exact, "2026-11-22T00:03:20Z"]));
    browser.open(&format!("{}/builders/linux/builds/2", site.url)).await;
    let full = "Sun 22 Nov 2026 05:33:20";
    assert_eq!(told("main time[data-shape=full]").await, json!([full, exact, "2026-11-22T00:03:20Z"]));
    assert_eq!(browser.text(".footer .zone").await, "+05:30");
    browser.open(&format!("{}/waterfall", site.url)).await;
    assert_eq!(browser.text(".waterfall th.zone").await, "+05:30");
    assert!(browser.text(".waterfall tbody").await.contains("05:33:20"));

    // Where it was still the day before.
    browser.command("Emulation.setTimezoneOverride", json!({ "timezoneId": "America/Los_Angeles" })).await;
    browser.open(&format!("{}/waterfall", site.url)).await;
    assert_eq!(browser.text(".waterfall tbody .day").await, "Sat 21 Nov 2026");
    assert!(browser.text(".waterfall tbody").await.contains("16:03:20"));
    browser.quit().await;
    site.stop().await;
}

#[actix::test]
async fn without_scripts_times_are_the_servers() {
    let site = at_work().await;
    let browser = Browser::without_scripts().await;
    browser.command("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Kolkata" })).await;
    browser.open(&format!("{}/builders/linux", site.url)).await;
    let element = times::element(STARTED, Shape::Minute);
    let (_, shown) = element.trim_end_matches("</time>").split_once('>').unwrap();
    assert_eq!(browser.text("table.builds time").await, shown);
    assert_eq!(browser.text(".footer .zone").await, times::zone(now()));
    let words = browser.text(".current [data-count]").await;
    assert!(words.ends_with(" left") || words.starts_with("late by "), "{words}");
    browser.quit().await;
    site.stop().await;
}

#[actix::test]
async fn what_goes_on_counts_by_itself() {
    let site = at_work().await;
    let browser = Browser::start().await;
    browser.open(&site.url).await;
    let red = browser.run("return document.querySelector('article.red [data-count=ago]').textContent").await;
    assert!(red.as_str().unwrap().ends_with(" ago"), "{red}");
    // Whatever comes now does not come from the server.
    site.stop().await;
    let left = "const words = document.querySelector('.progress + .muted').textContent;";
    becomes(&browser, "being late", &format!("{left} return words.startsWith('late by ')")).await;
    let bar = "const bar = document.querySelector('.progress');";
    let late = "return [bar.classList.contains('late'), bar.firstElementChild.getAttribute('width')]";
    assert_eq!(browser.run(&format!("{bar} {late}")).await, json!([true, "99%"]));
    browser.run(&format!("{left} window.before = words")).await;
    becomes(&browser, "the next second", &format!("{left} return words !== window.before")).await;

    // Nothing is done while nobody can see it.
    let hidden = |hidden: bool| {
        format!(
            "window.armed = 0;
             window.usual = window.usual || window.setTimeout;
             window.setTimeout = (task, pause) => {{ window.armed += pause <= 1000; return usual(task, pause); }};
             Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {hidden} }});
             document.dispatchEvent(new Event('visibilitychange'));
             return window.armed > 0"
        )
    };
    assert_eq!(browser.run(&hidden(true)).await, false);
    assert_eq!(browser.run(&hidden(false)).await, true);
    browser.quit().await;
}

#[actix::test]
async fn news_of_a_page_leave_what_counts_in_place() {
    let site = at_work().await;
    let browser = in_zone("Asia/Kolkata").await;
    browser.open(&format!("{}/builders/linux", site.url)).await;
    becomes(&browser, "the page to be live", "return document.getElementById('live').textContent === 'live'").await;
    browser
        .run(
            "window.changed = 0;
             const watched = [document.querySelector('.current [data-count]'), document.querySelector('.builds time')];
             window.watched = watched;
             new MutationObserver((seen) => { window.changed += seen.length; })
                 .observe(watched[1], { attributes: true, childList: true, characterData: true, subtree: true })",
        )
        .await;
    let begun = build("linux", 3);
    let compile = Step { started: Some(now()), expected_seconds: Some(20.0), ..step(&begun, 0, "compile") };
    let started = Event::StepStarted { build: begun.reference(), step: compile };
    site.server.hub.record(started).await.unwrap();
    becomes(&browser, "the step", "return document.querySelector('.current').textContent.includes('in compile')").await;
    let stay = "return window.watched.every((one) => document.contains(one)) && window.changed === 0";
    assert_eq!(browser.run(stay).await, true, "the elements are the same, and no time was told in two zones");
    assert_eq!(browser.text("table.builds time").await, "Nov 22 05:33");
    let left = "const words = window.watched[0].textContent;";
    browser.run(&format!("{left} window.before = words")).await;
    becomes(&browser, "the next second", &format!("{left} return words !== window.before")).await;
    browser.open(&format!("{}/builders/linux/builds/3", site.url)).await;
    let bar = "const width = parseInt(document.querySelector('.duration[data-to] rect').getAttribute('width'));";
    browser.run(&format!("{bar} window.before = width")).await;
    becomes(&browser, "the step's bar to grow", &format!("{bar} return width > window.before || width === 99")).await;
    browser.quit().await;
    site.stop().await;
}

#[actix::test]
async fn server_and_script_say_the_same_words() {
    let site = Site::usual().await;
    // Without a footer that says what the server's clock says, the browser's is all there is.
    let layout = "<!DOCTYPE html><title>x</title><script src=\"./signalbox.js\" defer></script>{{{body}}}";
    std::fs::create_dir(site.server.path("templates")).unwrap();
    std::fs::write(site.server.path("templates/layout.hbs"), layout).unwrap();
    let theirs = async || site.get("/about").await.text.contains("<title>x</title>").then_some(());
    until("the template is picked up", LIMIT, theirs).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/about", site.url)).await;

    let now = Time(1_795_325_622_000_000);
    let milliseconds = [
        0,
        1,
        400,
        999,
        1_000,
        1_999,
        59_999,
        60_000,
        61_000,
        119_999,
        192_500,
        3_599_999,
        3_600_000,
        3_660_000,
        7_500_000,
        7_559_000,
        86_399_000,
        86_400_000,
        90_000_000,
        273_600_000,
        8_640_000_000,
    ];
    let (mut ours, mut page) = (Vec::new(), String::new());
    for length in milliseconds.map(Duration::from_millis) {
        for counted in [
            Counted::ago(now - length, now),
            Counted::taken(now - length, None, now),
            Counted::left(now - length, now),
            Counted::left(now + length, now),
            Counted::until(now - length, now),
            Counted::until(now + length, now),
        ] {
            let element = counted.element();
            ours.push(element.trim_end_matches("</span>").split_once('>').unwrap().1.replace("&lt;", "<"));
            page.push_str(&element.replace("</span>", " not yet</span>"));
        }
    }
    let script = format!(
        "Date.now = () => {};
         document.body.innerHTML = {};
         document.dispatchEvent(new Event('visibilitychange'));
         return [...document.querySelectorAll('[data-count]')].map((one) => one.textContent)",
        now.0 / 1_000,
        Value::String(page)
    );
    assert_eq!(browser.run(&script).await, json!(ours));
    browser.quit().await;
    site.stop().await;
}

#[actix::test]
async fn pages_of_what_has_ended_say_the_same_at_any_time() {
    let site = Site::usual().await;
    for path in ["", "/steps/compile", "/steps/compile/logs/stdio"] {
        let page = site.get(&format!("/builders/linux/builds/1{path}")).await;
        assert!(!page.text.contains("data-count") && !page.text.contains("data-to"), "{path}");
        assert!(page.attributes("footer", "data-now").is_empty(), "{path}: nor when it was made");
    }
    let page = site.get("/").await;
    assert!(page.text.contains("data-count"), "while pages of what goes on count");
    assert_eq!(page.attributes("footer", "data-now").len(), 1);
    site.stop().await;
}
