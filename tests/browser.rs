//! Pages in a real browser: live with scripts, whole without.

use crate::support::browser::Browser;
use crate::support::facts::build;
use crate::support::relay::Relay;
use crate::support::server::Server;
use crate::support::site::{Site, history};
use crate::support::wait::until;
use serde_json::{Value, json};
use signalbox::model::Event;
use std::time::{Duration, Instant};

/// A builder whose steps end when the file `go` is there.
const CONFIG: &str = "
c = BuildmasterConfig = {}
c['title'] = 'Widget'
c['workers'] = [worker.LocalWorker('local')]
waits = util.BuildFactory([
    steps.ShellCommand(name='say', command='echo first words'),
    steps.ShellCommand(name='hold', command='seq 200; until [ -e ../../../../go ]; do sleep 0.05; done;'
                                            ' seq 200; echo last $((40 + 2))'),
])
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'], factory=waits, tags=['unix'])]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['linux'])]
c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True, stopBuild=True))]
";

const LIMIT: Duration = Duration::from_secs(60);

/// How long a server is away that was killed.
const AWAY: Duration = Duration::from_secs(30);

/// Waits until a script in the page in front says `true`.
async fn becomes(browser: &Browser, what: &str, script: &str) {
    until(what, LIMIT, async || (browser.run(script).await == true).then_some(())).await;
}

async fn is_live(browser: &Browser) {
    becomes(browser, "the page to be live", "return document.getElementById('live').textContent === 'live'").await;
}

/// Whether the content is, element by element, that of the page as it is loaded now. Only how far something that goes on
/// has come is left aside, as both were not made in the same moment.
const AS_LOADED_NOW: &str = "
const content = (page) => {
    const main = page.getElementById('content').cloneNode(true);
    main.querySelectorAll('[data-count]').forEach((one) => { one.textContent = ''; });
    main.querySelectorAll('svg[data-to]').forEach((one) => {
        one.classList.remove('late');
        one.removeAttribute('aria-valuenow');
        one.firstElementChild.removeAttribute('width');
    });
    return page.title + '\\n' + main.innerHTML;
};
return fetch(location.href).then((answer) => answer.text()).then((text) => {
    const [shown, fresh] = [content(document), content(new DOMParser().parseFromString(text, 'text/html'))];
    return shown === fresh ? 'the same' : shown + '\\n--- and not ---\\n' + fresh;
});";

async fn let_go(server: &Server) {
    std::fs::write(server.basedir().join("go"), "").unwrap();
}

#[actix::test]
async fn a_forced_build_goes_from_pending_to_green_on_every_page_without_a_reload() {
    let mut server = Server::start(CONFIG).await;
    let browser = Browser::start().await;
    let at = |path: &str| format!("{}{path}", server.address());
    let mut windows = Vec::new();
    for (path, green) in [
        ("/", "a.square.success"),
        ("/waterfall", "td.LastBuild.success"),
        ("/builders", "td.LastBuild.success"),
        ("/one_line_per_build", "table.builds .success"),
    ] {
        windows.push((browser.open_window(&at(path)).await, green));
        is_live(&browser).await;
        browser.run("window.loadedOnce = true").await;
        assert_eq!(browser.run(&format!("return document.querySelector('{green}')")).await, Value::Null, "{path}");
    }

    // From its form, as a person does it.
    browser.open_window(&at("/builders/linux")).await;
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true })").await;
    browser.type_into("form[action$=force] input[name=reason]", " to see it").await;
    browser.click("form[action$=force] button[type=submit]").await;
    is_live(&browser).await;
    browser.run("window.loadedOnce = true").await;
    becomes(&browser, "the build to run", "return !!document.querySelector('.current a[href$=\"builds/0\"]')").await;
    let build = browser.open_window(&at("/builders/linux/builds/0")).await;
    is_live(&browser).await;
    browser.run("window.loadedOnce = true; document.querySelector('input[name=comments]').value = 'typed'").await;
    assert_eq!(browser.run("return document.title").await, "● linux #0 building · Widget");
    becomes(&browser, "its second step", "return document.querySelectorAll('.steps li.running').length === 1").await;
    let typed = browser.run("return document.querySelector('input[name=comments]').value").await;
    assert_eq!(typed, "typed", "what somebody types stays while the page changes");

    let_go(&server).await;
    windows.push((build, "p.headline.success"));
    for (window, green) in windows {
        browser.show(&window).await;
        becomes(&browser, green, &format!("return !!document.querySelector('{green}')")).await;
        assert_eq!(browser.run("return window.loadedOnce").await, true, "{green}: not loaded again");
        assert_eq!(browser.run(AS_LOADED_NOW).await, "the same");
    }
    browser.quit().await;
    server.stop().await;
}

#[actix::test]
async fn a_running_log_scrolls_in() {
    let mut server = Server::start(CONFIG).await;
    let browser = Browser::that_does_not_wait().await;
    server.post("/builders/linux/force", "forcescheduler=force").await;
    let log = format!("{}/builders/linux/builds/0/steps/hold/logs/stdio", server.address());
    until("the second step", LIMIT, async || {
        let (status, build) = server.get("/json/builders/linux/builds/0").await;
        let build: Value = (status == 200).then(|| serde_json::from_str(&build).unwrap())?;
        (build["currentStep"]["name"] == "hold").then_some(())
    })
    .await;
    browser.open(&log).await;
    becomes(&browser, "the command", "return document.body.textContent.includes('sleep 0.05')").await;
    assert_eq!(browser.run("return document.body.textContent.includes('last 42')").await, false);
    // Who is at the end stays there.
    let at_end = "return scrollY > 0 && scrollY >= document.documentElement.scrollHeight - innerHeight - 60";
    becomes(&browser, "the end of what there is", at_end).await;
    let reached = browser.run("return scrollY").await.as_f64().unwrap();
    let_go(&server).await;
    becomes(&browser, "the last line", "return document.body.textContent.includes('last 42')").await;
    becomes(&browser, "the end", at_end).await;
    assert!(browser.run("return scrollY").await.as_f64().unwrap() > reached + 1000.0);
    browser.quit().await;
    server.stop().await;
}

/// A builder that fails somewhere in a long log.
const FAILING: &str = "
c = BuildmasterConfig = {}
c['title'] = 'Widget'
c['workers'] = [worker.LocalWorker('local')]
breaks = util.BuildFactory([steps.ShellCommand(
    name='compile', command='seq 300; echo \"x.c:3: error: no such card\"; seq 300; exit 1')])
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'], factory=breaks)]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['linux'])]
c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True))]
";

#[actix::test]
async fn errors_in_a_log_are_a_click_away() {
    let mut server = Server::start(FAILING).await;
    let browser = Browser::start().await;
    server.post("/builders/linux/force", "forcescheduler=force").await;
    server.finished("linux", 0).await;
    let reached = "
        const line = document.querySelector('pre.log a:target');
        if (!line || !line.nextElementSibling.textContent.endsWith('no such card')) return false;
        const [top, head] = [line.getBoundingClientRect().top, document.querySelector('.log-head').getBoundingClientRect()];
        return top >= head.bottom && top < innerHeight";
    let home = server.address().to_owned();
    for (width, list, other) in [(1400, "beside", "folded"), (390, "folded", "beside")] {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
        browser.command("Emulation.setDeviceMetricsOverride", size).await;
        for way in ["article.red .error-line a", ".log-end .error-line a"] {
            browser
                .open(&if way.starts_with('.') { format!("{home}/builders/linux/builds/0") } else { home.clone() })
                .await;
            browser.click(way).await;
            becomes(&browser, &format!("the line by {way}"), reached).await;
        }
        browser.open(&format!("{home}/builders/linux/builds/0/steps/compile/logs/stdio")).await;
        let seen = |list: &str| format!("return document.querySelector('.log-errors.{list}').checkVisibility()");
        assert_eq!((browser.run(&seen(list)).await, browser.run(&seen(other)).await), (json!(true), json!(false)));
        if list == "folded" {
            browser.click(".log-errors.folded summary").await;
        }
        browser.click(&format!(".log-errors.{list} a")).await;
        becomes(&browser, &format!("the line by the list {list}"), reached).await;
    }
    browser.quit().await;
    server.stop().await;
}

#[actix::test]
async fn after_a_kill_or_a_cut_each_page_is_what_a_fresh_load_shows() {
    let mut server = Server::start(CONFIG).await;
    let relay = Relay::to(server.address()).await;
    let browser = Browser::start().await;
    let mut windows = Vec::new();
    for path in ["/", "/waterfall", "/builders", "/builders/linux", "/one_line_per_build", "/buildslaves", "/changes"] {
        windows.push((path, browser.open_window(&format!("{}{path}", relay.url)).await));
        is_live(&browser).await;
        browser.run("window.loadedOnce = true").await;
    }
    let said = "return document.getElementById('live').textContent";

    // The network goes, a build comes and goes meanwhile.
    relay.cut();
    becomes(&browser, "being offline", &format!("{said}.startsWith('offline since ')")).await;
    let_go(&server).await;
    server.post("/builders/linux/force", "forcescheduler=force").await;
    built(&server, 0).await;
    relay.lead_to(server.address());
    catch_up(&browser, &windows).await;

    // The server goes for a while, in the middle of a build.
    std::fs::remove_file(server.basedir().join("go")).unwrap();
    server.post("/builders/linux/force", "forcescheduler=force").await;
    until("the build to run", LIMIT, async || {
        let builder = server.json("/json/builders/linux").await;
        (builder["currentBuilds"] == json!([1])).then_some(())
    })
    .await;
    for path in ["/builders/linux/builds/1", "/builders/linux/builds/1/steps/hold", "/buildslaves/local"] {
        windows.push((path, browser.open_window(&format!("{}{path}", relay.url)).await));
        is_live(&browser).await;
        browser.run("window.loadedOnce = true").await;
    }
    server.kill();
    let back = Instant::now() + AWAY;
    let_go(&server).await;
    for (_, window) in &windows {
        browser.show(window).await;
        becomes(&browser, "being offline", &format!("{said}.startsWith('offline since ')")).await;
        browser.run(&format!("window.since = {}", said.trim_start_matches("return "))).await;
    }
    tokio::time::sleep_until(back.into()).await;
    for (path, window) in &windows {
        browser.show(window).await;
        assert_eq!(browser.run(&format!("{said} === window.since")).await, true, "{path}: it is away as long");
    }
    server.restart();
    built(&server, 2).await;
    relay.lead_to(server.address());
    catch_up(&browser, &windows).await;
    browser.quit().await;
    server.stop().await;
}

/// Waits for the end of a build, and for its builder to rest.
async fn built(server: &Server, number: i64) {
    until("the build to end", LIMIT, async || {
        let builder = server.json("/json/builders/linux").await;
        let cached = builder["cachedBuilds"].as_array().is_some_and(|known| known.contains(&json!(number)));
        (cached && builder["state"] == "idle" && builder["pendingBuilds"] == 0).then_some(())
    })
    .await;
}

async fn catch_up(browser: &Browser, windows: &[(&str, String)]) {
    for (path, window) in windows {
        browser.show(window).await;
        is_live(browser).await;
        let same = async || (browser.run(AS_LOADED_NOW).await == "the same").then_some(());
        until(&format!("{path} to be what a fresh load shows"), LIMIT, same).await;
        assert_eq!(browser.run("return window.loadedOnce").await, true, "{path}: not loaded again");
    }
}

#[actix::test]
async fn the_waterfall_is_walked_by_arrow_keys() {
    let [up, down, left, right, enter] = ["\u{e013}", "\u{e015}", "\u{e012}", "\u{e014}", "\u{e007}"];
    let site = Site::usual().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/waterfall?show_events=false", site.url)).await;
    is_live(&browser).await;
    browser.run("document.querySelector('.waterfall-frame').focus()").await;
    let focus = async |keys: &str| {
        browser.press(keys).await;
        let href = browser.run("return document.activeElement.getAttribute('href')").await;
        href.as_str().unwrap_or_default().to_owned()
    };
    let log = |build: i64, step: &str| format!("./builders/linux/builds/{build}/steps/{step}/logs/stdio");
    // From the newest box of `linux` down to where its build starts, and back.
    let mut steps = 0;
    while focus(down).await != log(2, "test%20it") {
        steps += 1;
        assert!(steps < 10, "the box is not reached");
    }
    assert_eq!(focus(down).await, log(2, "compile"));
    assert_eq!(focus(down).await, "./builders/linux/builds/2");
    assert_eq!(focus(up).await, log(2, "compile"));
    assert!(focus(left).await.starts_with("./changes/"), "the column beside it");
    assert!(focus(right).await.starts_with("./builders/linux/"), "and back");
    assert!(focus(right).await.starts_with("./builders/mac%2Farm/"), "and on");
    browser.press(enter).await;
    becomes(&browser, "what was under the focus", "return location.pathname.startsWith('/builders/mac%2Farm/')").await;
    browser.quit().await;
    site.stop().await;
}

#[actix::test]
async fn pages_of_those_who_log_in_are_live_too() {
    let options = "authz=util.Authz(view='auth', forceBuild='auth', auth=util.BasicAuth([('ada', 'engine')]))";
    let site = Site::start(options, history()).await;
    let browser = Browser::start().await;
    browser.open(&site.url.replace("http://", "http://ada:engine@")).await;
    browser.open(&format!("{}/builders/linux", site.url)).await;
    is_live(&browser).await;
    let force = "return document.querySelectorAll('form[action$=force]').length";
    assert_eq!(browser.run(force).await, 1);
    let begun = Event::BuildStarted { build: build("linux", 3) };
    site.server.hub.record(begun).await.unwrap();
    becomes(&browser, "the build", "return !!document.querySelector('.current a[href$=\"builds/3\"]')").await;
    assert_eq!(browser.run(force).await, 1, "what only she may do is still there");
    browser.quit().await;
    site.stop().await;
}

#[actix::test]
async fn without_scripts_everything_works() {
    let mut server = Server::start(CONFIG).await;
    let_go(&server).await;
    let browser = Browser::without_scripts().await;
    browser.open(&format!("{}/builders/linux", server.address())).await;
    browser.click("details.form summary").await;
    browser.click("form[action$=force] button[type=submit]").await;
    built(&server, 0).await;
    for (path, words) in [
        ("/", "Nothing is red."),
        ("/waterfall", "Build 0"),
        ("/builders/linux", "#0"),
        ("/builders/linux/builds/0", "Build successful"),
        ("/builders/linux/builds/0/steps/say/logs/stdio", "first words"),
    ] {
        browser.open(&format!("{}{path}", server.address())).await;
        let body = browser.text("body").await;
        assert!(body.contains(words), "{path}: {body}");
        assert!(!body.contains("offline") && !body.contains("catching up"), "{path}: {body}");
    }
    browser.quit().await;
    server.stop().await;
}
