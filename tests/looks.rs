//! How pages look: that everybody can read them, at every size, by day and by night.
//!
//! With `UPDATE=1` each page is written to `tests/data/screens`, so that a change of the looks is seen in review.
//! `pngquant` makes the files smaller where it is installed.

use crate::support::browser::Browser;
use crate::support::gallery::gallery;
use crate::support::wait::until;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Every page there is, with the name of its pictures.
const PAGES: &[(&str, &str)] = &[
    ("home", "/"),
    ("waterfall", "/waterfall?show_events=false"),
    ("waterfall-events", "/waterfall?tag=release"),
    ("waterfall-help", "/waterfall/help?tag=linux&show=gone&branch=main"),
    ("builders", "/builders"),
    ("builders-filtered", "/builders?tag=linux"),
    ("builder", "/builders/linux-debug"),
    ("builder-waiting", "/builders/mac%2Farm"),
    ("build", "/builders/linux-debug/builds/8"),
    ("build-running", "/builders/windows-x64/builds/3"),
    ("step", "/builders/linux-debug/builds/8/steps/test"),
    ("log", "/builders/linux-debug/builds/8/steps/test/logs/stdio"),
    ("log-colours", "/builders/linux-debug/builds/8/steps/configure/logs/stdio"),
    ("log-find", "/builders/linux-debug/builds/8/steps/test/logs/stdio?find=torque"),
    ("recent", "/one_line_per_build"),
    ("workers", "/buildslaves"),
    ("worker", "/buildslaves/mac-mini"),
    ("changes", "/changes"),
    ("change", "/changes/2"),
    ("users", "/users"),
    ("user", "/users/2"),
    ("about", "/about"),
    ("supervision", "/about/supervision"),
    ("deliveries", "/deliveries"),
    ("hooks", "/hooks"),
    ("login", "/login"),
    ("refused", "/authzfail"),
    ("not-found", "/builders/linux-debug/builds/99"),
];

const SIZES: [(u32, u32); 3] = [(1400, 900), (800, 1000), (390, 844)];
const SCHEMES: [&str; 2] = ["light", "dark"];

const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe/axe.min.js");

async fn sized(browser: &Browser, (width, height): (u32, u32)) {
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
    browser.command("Emulation.setDeviceMetricsOverride", size).await;
}

async fn lit(browser: &Browser, scheme: &str) {
    let features = json!([
        { "name": "prefers-color-scheme", "value": scheme },
        // What moves cannot be measured.
        { "name": "prefers-reduced-motion", "value": "reduce" },
    ]);
    browser.command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
}

#[actix::test]
async fn everybody_can_read_every_page() {
    let axe = std::fs::read_to_string(AXE)
        .unwrap_or_else(|error| panic!("{AXE}: {error}; it is installed by tests/install-axe, which tests/run calls"));
    let site = gallery().await;
    let browser = Browser::start().await;
    browser.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": axe })).await;
    let ask = "return axe.run({ resultTypes: ['violations'] }).then((found) => found.violations.map((one) => ({
        rule: one.id, impact: one.impact, why: one.help,
        where: one.nodes.map((node) => node.target.join(' ') + ': ' + node.failureSummary) })))";
    let mut wrong = Vec::new();
    for (name, path) in PAGES {
        browser.open(&format!("{}{path}", site.url)).await;
        for size in [SIZES[0], SIZES[2]] {
            sized(&browser, size).await;
            // What is folded is read, too.
            browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true })").await;
            for scheme in SCHEMES {
                lit(&browser, scheme).await;
                for violation in browser.run(ask).await.as_array().unwrap() {
                    wrong.push(format!("{name} {} {scheme}: {violation:#}", size.0));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), PAGES.len(), wrong.join("\n"));
    browser.quit().await;
    site.stop().await;
}

/// What is wrong with the page in front, in a sentence each.
const FAULTS: &str = r#"
const wrong = [], root = document.documentElement, about = (one) => one.tagName + '.' + one.className;
if (root.scrollWidth > innerWidth) wrong.push('the page is ' + root.scrollWidth + ' wide');
const header = document.querySelector('header').getBoundingClientRect();
if (header.top !== 0 || header.height < 24 || header.height > 130) {
    wrong.push('the top bar is at ' + JSON.stringify(header));
}
const entries = document.querySelector(innerWidth > 700 ? 'nav.bar a' : '.menu summary');
if (document.querySelector('.menu') && !entries.getClientRects().length) wrong.push('the top bar has no entries');

// Text beyond the edge of what shows it.
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const range = document.createRange();
while (texts.nextNode()) {
    const text = texts.currentNode, parent = text.parentElement;
    if (!text.nodeValue.trim() || !parent.checkVisibility()) continue;
    if (parent.closest('.visually-hidden, .skip, svg, datalist, option')) continue;
    range.selectNodeContents(text);
    let box = range.getBoundingClientRect();
    if (!box.width) continue;
    let [left, right] = [0, innerWidth];
    for (let frame = parent; frame && frame !== root; frame = frame.parentElement) {
        const style = getComputedStyle(frame);
        // It is known to be cut, and its whole can be read elsewhere; or it can be scrolled to.
        if (style.textOverflow === 'ellipsis' || ['auto', 'scroll'].includes(style.overflowX)) {
            [left, right] = [-Infinity, Infinity];
            break;
        }
        if (style.overflowX === 'hidden' || style.overflowX === 'clip') {
            const edge = frame.getBoundingClientRect();
            [left, right] = [Math.max(left, edge.left), Math.min(right, edge.right)];
        }
    }
    if (box.left < left - 1 || box.right > right + 1) {
        wrong.push('cut: ' + about(parent) + ' "' + text.nodeValue.trim().slice(0, 60) + '"');
    }
}

// Fields and buttons, too.
for (const one of document.querySelectorAll('input:not([type=hidden]), select, textarea, button, summary')) {
    const box = one.getBoundingClientRect();
    if (one.checkVisibility() && box.width && !one.closest('.wide') && (box.left < 0 || box.right > innerWidth)) {
        wrong.push('cut: ' + about(one) + ' ' + one.name);
    }
}

// Who goes by keys sees where they are.
for (const one of document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')) {
    if (!one.checkVisibility() || one.matches('[type=hidden], .skip')) continue;
    one.focus({ focusVisible: true, preventScroll: true });
    const style = getComputedStyle(one);
    if (document.activeElement === one && (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2)) {
        wrong.push('no focus is seen on ' + about(one));
    }
}
document.activeElement.blur();

// What stays in place while the rest is scrolled must stay on top of it.
const stays = (selector) => {
    for (const one of document.querySelectorAll(selector)) {
        const box = one.getBoundingClientRect();
        const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
        if (!box.width || x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
        const top = document.elementFromPoint(x, y);
        const frame = one.closest('.waterfall-frame')?.getBoundingClientRect();
        // Its bars for scrolling lie over it by right.
        if (frame && (x >= frame.right - 16 || x <= frame.left + 2)) continue;
        if (!one.contains(top) && !top.closest('.names, .log-head')) wrong.push(about(top) + ' lies over ' + about(one));
    }
};
const frame = document.querySelector('.waterfall-frame');
if (frame) frame.scrollTo(120, 300);
scrollTo(0, 200);
stays('.waterfall .names th, .log-head');
if (frame) frame.scrollTo(0, 0);
scrollTo(0, 0);
return wrong;
"#;

#[actix::test]
async fn every_page_fits_every_screen() {
    let site = gallery().await;
    let browser = Browser::start().await;
    let mut wrong = Vec::new();
    for size in SIZES {
        sized(&browser, size).await;
        for (name, path) in PAGES {
            browser.open(&format!("{}{path}", site.url)).await;
            for scheme in SCHEMES {
                lit(&browser, scheme).await;
                for fault in browser.run(FAULTS).await.as_array().unwrap() {
                    wrong.push(format!("{name} {} {scheme}: {fault}", size.0));
                }
                if std::env::var_os("UPDATE").is_some() {
                    keep(&browser, &format!("{name}-{}-{scheme}", size.0)).await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.quit().await;
    site.stop().await;
}

#[actix::test]
async fn paper_gets_the_content_alone_and_all_of_it() {
    let site = gallery().await;
    let browser = Browser::start().await;
    browser.command("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
    let seen = "return ['.bar', '.menu', '.command', '.who', 'main'].filter((one) =>
        [...document.querySelectorAll(one)].some((found) => found.checkVisibility()))";
    let cut = "return [...document.querySelectorAll('main *')].filter((one) => !one.closest('.changes, .visually-hidden') &&
        getComputedStyle(one).overflowY !== 'visible' && one.scrollHeight > one.clientHeight + 1).map((one) => one.className)";
    for path in [
        "/",
        "/waterfall",
        "/builders",
        "/builders/linux-debug",
        "/builders/linux-debug/builds/8",
        "/builders/linux-debug/builds/8/steps/test/logs/stdio",
        "/changes/2",
    ] {
        browser.open(&format!("{}{path}", site.url)).await;
        assert_eq!(browser.run(seen).await, json!(["main"]), "{path}");
        assert_eq!(browser.run(cut).await, json!([]), "{path}");
    }
    browser.quit().await;
    site.stop().await;
}

/// Writes what is to be seen.
async fn keep(browser: &Browser, name: &str) {
    let settled = "const sign = document.getElementById('live'); return sign.hidden || sign.textContent === 'live'";
    until("the page to settle", LIMIT, async || (browser.run(settled).await == true).then_some(())).await;
    let shot = browser.command("Page.captureScreenshot", json!({ "format": "png", "optimizeForSpeed": false })).await;
    let picture = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/screens");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.png"));
    std::fs::write(&file, picture).unwrap();
    match Command::new("pngquant").args(["--force", "--ext", ".png", "--speed", "1", "64", "--"]).arg(&file).status() {
        Ok(status) => assert!(status.success(), "pngquant: {name}: {status}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "pngquant: {error}"),
    }
}
