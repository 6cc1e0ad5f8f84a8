//! Pages, measured on the real binary: over much history, out of many builders, kept ones, and under a crowd.
//!
//! `cargo bench --bench pages`. Everything runs in a temporary folder on loopback and ends with the bench.

mod harness;
mod visitors;

use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, HttpServer, web};
use harness::{Server, fill, run, write_many_builders};
use std::fs;
use std::time::{Duration, Instant, SystemTime};
use visitors::{Crawl, rate};

const SMALL: u64 = 1_000;
const LARGE: u64 = 1_000_000;
/// Page requests per figure; the median counts.
const SAMPLES: usize = 101;
/// How long each side of a comparison answers as fast as it can, and how often they take turns.
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 5;
/// What a crowd asks for, per second, and for how long.
const CROWD: u32 = 3_400;
const MINUTE: Duration = Duration::from_secs(60);
/// Pushes a second, and pages that are read beside them.
const HOOKS: u32 = 200;
const READERS: u32 = 500;
/// Builds whose pages the crowd reads.
const CRAWLED: u64 = 10_000;
/// Starts per figure.
const STARTS: usize = 11;
/// Forced builds per figure.
const FORCED: usize = 31;

fn main() {
    run(&[
        ("many_builders", many_builders),
        ("kept", kept),
        ("crowd", crowd),
        ("hooks", hooks),
        ("much_history", much_history),
    ]);
}

/// A waterfall of fifty builders out of a thousand, of 200 events, that nobody has asked for before: as the first page after
/// a start, after a build of one of these builders, and when nothing has happened since it was read at another address.
fn many_builders() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let config = "c = BuildmasterConfig = {}\n\
         c['workers'] = [worker.LocalWorker('local')]\n\
         f = util.BuildFactory([steps.ShellCommand(command=['true'])])\n\
         c['builders'] = [util.BuilderConfig(name='b%d' % n, workernames=['local'], factory=f, tags=['shown' if n % 20 == 0 else 'hidden']) for n in range(1000)]\n\
         c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['b0'])]\n\
         c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True))]\n";
    fs::write(folder.path().join("master.cfg"), config).expect("the folder can be written");
    fill(folder.path(), 20_000);
    let page = "/waterfall?tag=shown&num_events=200";
    let first = (0..STARTS).map(|_| {
        let server = Server::start(folder.path());
        // A page without facts, so that what answers is there.
        server.request("GET", "/robots.txt", "");
        timed(&server, page)
    });
    let first = middle(first.collect());

    let server = Server::start(folder.path());
    let (_, text) = server.request("GET", page, "");
    let newest = newest_build(&server, "b0");
    let after = (1..=FORCED as i64).map(|further| {
        server.force("b0");
        ended(&server, "b0", newest + further);
        timed(&server, &format!("{page}&sample={further}"))
    });
    let after = middle(after.collect());
    let again = median(&server, page).as_secs_f64();
    println!(
        "waterfall of 50 builders of 1,000, 200 events, {} kB: {:.1} ms after a build of one of them, {:.1} ms after nothing (bar: 5 ms), {:.1} ms as the first page",
        text.len() / 1000,
        after * 1e3,
        again * 1e3,
        first * 1e3,
    );
}

/// How long an answer takes, in seconds.
fn timed(server: &Server, page: &str) -> f64 {
    let started = Instant::now();
    server.get(page);
    started.elapsed().as_secs_f64()
}

/// Pages that are kept against a bare actix handler with the same bytes.
fn kept() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write_many_builders(folder.path());
    fill(folder.path(), SMALL);
    let server = Server::start(folder.path());
    for (page, headers) in [
        ("/waterfall", ""),
        ("/waterfall", "Accept-Encoding: gzip\r\n"),
        ("/builders/b00", ""),
        ("/builders/b00/builds/3", "Accept-Encoding: gzip\r\n"),
        ("/json/builders/b00", ""),
        ("/json/builders/b00/builds/3", ""),
    ] {
        let body = visitors::body(&server.address, page, headers);
        let bare = bare(body.clone());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ours.push(rate(&server.address, page, headers, TURN));
            theirs.push(rate(&bare, "/", headers, TURN));
        }
        let (ours, theirs) = (middle(ours), middle(theirs));
        println!(
            "{page} {}, {} bytes: {ours:.0} requests/s, a bare handler {theirs:.0}: {:.0} % (bar: 50 %)",
            headers.trim(),
            body.len(),
            ours / theirs * 100.0
        );
    }
}

/// Answers with these bytes and nothing else, with as many threads as the real one; for as long as the bench runs.
fn bare(body: Bytes) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let serve = move || {
                let body = body.clone();
                let answer = move || {
                    let body = body.clone();
                    async move { HttpResponse::Ok().content_type("text/html; charset=utf-8").body(body) }
                };
                App::new().route("/", web::get().to(answer))
            };
            let server =
                HttpServer::new(serve).workers(2).disable_signals().bind("127.0.0.1:0").expect("a port is free");
            tell.send(server.addrs()[0].to_string()).expect("somebody waits for it");
            server.run().await.expect("it answers");
        });
    });
    told.recv().expect("it is started")
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Somebody reads every page there is, without cookies, as fast as a crowd does; builds are forced meanwhile.
fn crowd() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write_many_builders(folder.path());
    fill(folder.path(), CRAWLED);
    let server = Server::start(folder.path());
    let idle = forced(&server);
    let crawl = Crawl::start(&server.address, every_page(&server), CROWD, MINUTE);
    let busy = forced(&server);
    let seen = crawl.end();
    // The same crowd at a program that makes nothing of its requests, as large a page for each: what this machine then
    // takes from everybody.
    let body = visitors::body(&server.address, "/builders/b00", "Accept-Encoding: gzip\r\n");
    let elsewhere = Crawl::start(&bare(body), vec!["/".to_owned()], CROWD, MINUTE);
    let beside = forced(&server);
    elsewhere.end();
    let (idle, busy, beside) = (middle(idle), middle(busy), middle(beside));
    println!(
        "a crowd of {:.0} requests/s: {} served, {} asked to come back, {} not there; half of them within {:?}, 99 % within {:?}",
        f64::from(seen.asked) / MINUTE.as_secs_f64(),
        seen.served,
        seen.sent_back,
        seen.not_there,
        seen.half,
        seen.most,
    );
    println!(
        "a forced build starts after {:.1} ms, {:.1} ms with nobody there: {:.2}x (bar: 1.1), {:.1} ms with the crowd at another program: {:.2}x; memory {:.0} MiB at its peak (bar: 200)",
        busy * 1e3,
        idle * 1e3,
        busy / idle,
        beside * 1e3,
        busy / beside,
        server.memory("VmHWM"),
    );
}

/// Pushes come in while somebody reads every page.
fn hooks() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write_many_builders(folder.path());
    let config = folder.path().join("master.cfg");
    let text = fs::read_to_string(&config).expect("it was written");
    let open = "authz=util.Authz(forceBuild=True), change_hook_dialects={'github': True}";
    fs::write(&config, text.replace("authz=util.Authz(forceBuild=True)", open)).expect("the folder can be written");
    fill(folder.path(), CRAWLED);
    let server = Server::start(folder.path());
    let before = newest_change(&server);
    let push = |number: u32| {
        let commit = format!(
            "{{\"id\":\"{number:040x}\",\"message\":\"push {number}\",\"timestamp\":\"2026-11-22T10:00:00Z\",\"url\":\"https://github.com/harbour/lighthouse/commit/{number:040x}\",\"distinct\":true,\"author\":{{\"name\":\"Ann\",\"email\":\"ann@example.org\"}},\"added\":[],\"removed\":[],\"modified\":[\"src/lamp.c\"]}}"
        );
        let body = format!(
            "{{\"ref\":\"refs/heads/main\",\"before\":\"{:040x}\",\"after\":\"{number:040x}\",\"created\":false,\"deleted\":false,\"repository\":{{\"name\":\"lighthouse\",\"full_name\":\"harbour/lighthouse\",\"html_url\":\"https://github.com/harbour/lighthouse\",\"url\":\"https://github.com/harbour/lighthouse\"}},\"commits\":[{commit}],\"head_commit\":{commit}}}",
            number - 1
        );
        (format!("X-GitHub-Delivery: {number}\r\n"), body)
    };
    let pushes = HOOKS * u32::try_from(MINUTE.as_secs()).expect("it is one");
    let bodies: Vec<(String, String)> = (1..=pushes).map(push).collect();
    let crawl = Crawl::start(&server.address, every_page(&server), READERS, MINUTE);
    let headers = "Content-Type: application/json\r\nX-GitHub-Event: push\r\n";
    let answers = visitors::post(&server.address, headers, &bodies, HOOKS);
    let seen = crawl.end();
    let taken = answers.iter().filter(|(status, _)| *status == 202).count();
    let mut times: Vec<Duration> = answers.iter().map(|(_, time)| *time).collect();
    times.sort();
    println!(
        "{HOOKS} hooks/s for a minute beside {READERS} pages/s ({} served): {taken} of {} answered 202, {} changes stored; half within {:?}, 99 % within {:?} (bar: 100 ms), the last within {:?}",
        seen.served,
        bodies.len(),
        newest_change(&server) - before,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
    );
}

fn newest_change(server: &Server) -> i64 {
    let (_, changes) = server.request("GET", "/json/changes?count=1", "");
    let changes: serde_json::Value = serde_json::from_str(&changes).expect("it is JSON");
    changes[0]["number"].as_i64().unwrap_or(0)
}

/// From before the POST to the start the build has in the database, in seconds.
fn forced(server: &Server) -> Vec<f64> {
    let newest = newest_build(server, "b00");
    (1..=FORCED as i64)
        .map(|further| {
            let asked = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_secs_f64();
            server.force("b00");
            ended(server, "b00", newest + further)["times"][0].as_f64().expect("it has begun") - asked
        })
        .collect()
}

fn newest_build(server: &Server, builder: &str) -> i64 {
    let (_, build) = server.request("GET", &format!("/json/builders/{builder}/builds/-1"), "");
    let build: serde_json::Value = serde_json::from_str(&build).expect("it is JSON");
    build["number"].as_i64().expect("it was filled")
}

/// Waits for the end of a build.
fn ended(server: &Server, builder: &str, number: i64) -> serde_json::Value {
    loop {
        let (_, build) = server.request("GET", &format!("/json/builders/{builder}/builds/{number}"), "");
        let build = serde_json::from_str::<serde_json::Value>(&build).ok();
        match build.filter(|build| build["times"][1].is_number()) {
            Some(build) => return build,
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// The addresses a crawler finds: of each build its page, its steps, their logs and its JSON, and the lists between them.
fn every_page(server: &Server) -> Vec<String> {
    let json = |path: &str| -> serde_json::Value {
        serde_json::from_str(&server.request("GET", path, "").1).expect("it is JSON")
    };
    let mut pages: Vec<String> =
        ["/", "/waterfall", "/builders", "/one_line_per_build", "/buildslaves", "/changes", "/about"]
            .map(str::to_owned)
            .to_vec();
    let builders = json("/json/builders");
    for builder in builders.as_object().expect("it has builders").keys() {
        pages.push(format!("/builders/{builder}"));
        let newest = json(&format!("/json/builders/{builder}/builds/-1"))["number"].as_i64().expect("it has builds");
        for number in 0..=newest {
            let build = format!("/builders/{builder}/builds/{number}");
            pages.push(format!("/json{build}"));
            pages.push(format!("/waterfall?builder={builder}&last_time={}", 1_700_000_000 + number * 60));
            for step in ["compile", "test"] {
                pages.push(format!("{build}/steps/{step}"));
                pages.push(format!("{build}/steps/{step}/logs/stdio"));
            }
            pages.push(build);
        }
    }
    pages
}

/// The same pages over little and much history, in turns as the machine's pace changes, and the start on each.
fn much_history() {
    let sides: Vec<(Server, tempfile::TempDir)> = [SMALL, LARGE].into_iter().map(with_history).collect();
    for page in ["/waterfall", "/builders/b00", "/one_line_per_build", "/builders"] {
        let mut times = [Vec::new(), Vec::new()];
        for sample in 0..SAMPLES {
            for ((server, _), times) in sides.iter().zip(&mut times) {
                times.push(timed(server, &format!("{page}?sample={sample}")));
            }
        }
        let [small, large] = times.map(middle);
        let ratio = large / small;
        println!(
            "{page}: {:.2} ms at {SMALL}, {:.2} ms at {LARGE}; ratio {ratio:.2} (bar: 1.2)",
            small * 1e3,
            large * 1e3
        );
    }
}

/// A server over so many builds, and its folder.
fn with_history(builds: u64) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write_many_builders(folder.path());
    let filling = Instant::now();
    fill(folder.path(), builds);
    println!("fill {builds}: {:.0} builds/s (bar: 10000)", builds as f64 / filling.elapsed().as_secs_f64());
    let starting = Instant::now();
    let server = Server::start(folder.path());
    server.get("/");
    println!("start on {builds} builds to first page: {:?} (bar: 1 s)", starting.elapsed());
    (server, folder)
}

/// Each request has an argument of its own, so that no cache answers it.
fn median(server: &Server, page: &str) -> Duration {
    let mut times: Vec<Duration> = (0..SAMPLES)
        .map(|sample| {
            let started = Instant::now();
            let sign = if page.contains('?') { '&' } else { '?' };
            server.get(&format!("{page}{sign}sample={sample}"));
            started.elapsed()
        })
        .collect();
    times.sort();
    times[SAMPLES / 2]
}
