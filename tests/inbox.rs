//! Change hooks of the running program: what it answered with 2xx is there, whole and once.

use crate::support::delivery::{self, Delivery};
use crate::support::noise::Noise;
use crate::support::openssl::hmac_hex;
use crate::support::repository::Repository;
use crate::support::server::{Answer, Server};
use crate::support::site::Site;
use crate::support::wait::until;
use serde_json::{Value, json};
use signalbox::changes::hooks::{Dialect, read};
use signalbox::model::Time;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// How often the program is killed.
const KILLS: usize = 200;

/// A master that builds nothing, with web servers of these options each.
fn config(webs: &[String]) -> String {
    let web = |options: &String| {
        format!(
            "c['status'].append(status.WebStatus('tcp:0:interface=127.0.0.1', \
             authz=util.Authz(showInternals=True, replayHooks=True), {options}))\n"
        )
    };
    format!(
        "c = BuildmasterConfig = {{}}\n\
         c['workers'] = [worker.LocalWorker('w')]\n\
         c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=util.BuildFactory([]))]\n\
         c['schedulers'] = []\n\
         c['status'] = []\n{}",
        webs.iter().map(web).collect::<String>()
    )
}

async fn with_dialects(dialects: &str) -> Server {
    Server::start(&config(&[format!("change_hook_dialects={dialects}")])).await
}

async fn posted(server: &Server, path: &str, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Answer {
    server.send(0, "POST", path, headers, body.into()).await.unwrap()
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn requests(server: &Server) -> Vec<Value> {
    server.json("/json/hooks?count=1000").await.as_array().unwrap().clone()
}

async fn changes(server: &Server) -> Vec<Value> {
    server.json("/json/changes?count=1000").await.as_array().unwrap().clone()
}

/// Each dialect has as many sets of options in its deliveries, so as many web servers are started.
#[actix::test]
async fn every_delivery_is_answered_over_http_as_it_reads() {
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let deliveries: Vec<Delivery> = delivery::all().into_iter().filter(|one| one.dialect != "poller").collect();
    for delivery in &deliveries {
        let sets = sets.entry(delivery.dialect.clone()).or_default();
        if !sets.contains(&delivery.options) {
            sets.push(delivery.options.clone());
        }
    }
    let webs = (0..sets.values().map(Vec::len).max().unwrap()).map(|number| {
        let here = sets.iter().filter_map(|(dialect, sets)| Some(format!("'{dialect}': {}", sets.get(number)?)));
        format!("change_hook_dialects={{{}}}", here.collect::<Vec<_>>().join(", "))
    });
    let mut server = Server::start(&config(&webs.collect::<Vec<_>>())).await;
    let mut wrong = Vec::new();
    for (count, delivery) in deliveries.into_iter().enumerate() {
        let web = sets[&delivery.dialect].iter().position(|options| *options == delivery.options).unwrap();
        let delivery = with_id(delivery, &format!("delivery-{count}"));
        let expected = match read(&delivery.dialect, &delivery.configured(), &delivery.request, Time(0)).await {
            Ok(said) if said.changes.is_empty() => (200, "no changes found".to_owned(), 0),
            Ok(said) => (202, String::new(), said.changes.len()),
            Err(refused) => (refused.status(), refused.to_string(), 0),
        };
        let answer = delivery.send(&server, web).await.unwrap();
        let kept = &server.json("/json/hooks?count=1").await[0];
        let count = kept["changes"].as_array().map_or(0, Vec::len);
        if (answer.status, answer.body, count) != expected || kept["dialect"] != delivery.dialect {
            wrong.push(format!("{}: {expected:?}, {kept}", delivery.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop().await;
}

/// Named so by its sender, where that does not belong to what is signed.
fn with_id(delivery: Delivery, id: &str) -> Delivery {
    let names = ["x-github-delivery", "x-gitlab-event-uuid", "x-request-uuid", "x-request-id", "x-gitea-delivery"];
    let given = names.iter().filter(|name| delivery.request.header(name).is_some());
    given.fold(delivery.clone(), |delivery, name| delivery.with_header(name, Some(id)))
}

#[actix::test]
async fn a_push_is_built_as_it_was_pushed() {
    let repository = Repository::new();
    let revision = repository.commit("Light the lamp", &[("lamp", "on")]);
    repository.commit("And put it out", &[("lamp", "off")]);
    let config = format!(
        "c = BuildmasterConfig = {{}}\n\
         c['workers'] = [worker.LocalWorker('w')]\n\
         f = util.BuildFactory([steps.Git(repourl='{}', mode='full'), steps.ShellCommand(command=['cat', 'lamp'])])\n\
         c['builders'] = [util.BuilderConfig(name='lighthouse', workernames=['w'], factory=f)]\n\
         c['schedulers'] = [schedulers.SingleBranchScheduler(name='main', builderNames=['lighthouse'], \
         treeStableTimer=None, change_filter=util.ChangeFilter(project='harbour/lighthouse', branch='master'))]\n\
         c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', \
         change_hook_dialects={{'github': {{'secret': 'hush', 'strict': True}}}})]\n",
        repository.url()
    );
    let mut server = Server::start(&config).await;
    let mut push: Value = serde_json::from_slice(&delivery::named("github/push").request.body).unwrap();
    push["ref"] = json!("refs/heads/master");
    let mut commit = push["commits"][0].clone();
    commit["id"] = json!(revision);
    push["commits"] = json!([commit]);
    let body = push.to_string();
    let signature = format!("sha256={}", hmac_hex("sha256", "hush", body.as_bytes()));
    let headers = [JSON, ("X-GitHub-Event", "push"), ("X-Hub-Signature-256", &signature)];
    assert_eq!(posted(&server, "/change_hook/github", &headers, body).await.status, 202);
    let build = server.finished("lighthouse", 0).await;
    assert_eq!(build["results"], 0, "{build}");
    let (_, log) = server.get("/builders/lighthouse/builds/0/steps/shell/logs/stdio/text").await;
    assert!(log.contains("on") && !log.contains("off"), "{log}");
    server.stop().await;
}

#[actix::test]
async fn a_delivery_that_comes_again_adds_nothing() {
    let mut server = with_dialects("{'github': True, 'base': True}").await;
    let warned = server.errors();
    assert_eq!(warned.matches("whoever reaches this server can send changes (base, github)").count(), 1, "{warned}");
    let push = delivery::named("github/push").with_header("x-github-delivery", Some("one"));
    let first = push.send(&server, 0).await.unwrap();
    let count = changes(&server).await.len();
    assert!(first.status == 202 && count > 0);
    let again = futures::future::join_all((0..20).map(|_| push.send(&server, 0))).await;
    assert!(again.into_iter().all(|answer| answer.unwrap().status == 202));
    // Two that come at once, and neither has been there before.
    let fresh = push.with_header("x-github-delivery", Some("two"));
    let both = futures::future::join_all((0..20).map(|_| fresh.send(&server, 0))).await;
    assert!(both.into_iter().all(|answer| answer.unwrap().status == 202));
    assert_eq!(changes(&server).await.len(), 2 * count);

    // Without a name each counts, as in 0.8.
    for _ in 0..3 {
        assert_eq!(posted(&server, "/change_hook", &[FORM], "author=ann&comments=c").await.status, 202);
    }
    for _ in 0..3 {
        let named = [FORM, ("Idempotency-Key", "k")];
        assert_eq!(posted(&server, "/change_hook", &named, "author=ann&comments=c").await.status, 202);
    }
    assert_eq!(changes(&server).await.len(), 2 * count + 4);
    // What was refused may come again, and be taken then.
    let wrong = posted(&server, "/change_hook", &[FORM, ("X-Request-Id", "r")], "author=ann").await;
    let right = posted(&server, "/change_hook", &[FORM, ("X-Request-Id", "r")], "author=ann&comments=c").await;
    assert_eq!((wrong.status, right.status), (400, 202));
    server.stop().await;
}

#[actix::test]
async fn passwords_of_hooks_are_asked_for() {
    let auth = "change_hook_auth=['file:hooks.passwd', util.BasicAuth([('ben', 'lamp')])], \
                change_hook_dialects={'base': True}";
    let mut server = Server::start(&config(&[auth.to_owned()])).await;
    std::fs::write(server.basedir().join("hooks.passwd"), "ann:wo:rd\nbob:{SHA}vpAKSO3uPt6z8KL6cqf5W5Sredk=\n")
        .unwrap();
    for (login, status) in [
        (None, 401),
        (Some("ann:wo:rd"), 202),
        (Some("bob:buildmaster"), 202),
        (Some("ben:lamp"), 202),
        (Some("ben:wo:rd"), 401),
        (Some("ann:"), 401),
        (Some("ann"), 401),
    ] {
        use base64::Engine;
        let encoded = login.map(|login| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login)));
        let mut headers = vec![FORM];
        headers.extend(encoded.as_deref().map(|encoded| ("Authorization", encoded)));
        let answer = posted(&server, "/change_hook", &headers, "author=ann&comments=c").await;
        assert_eq!(answer.status, status, "{login:?}");
        let asks = answer.header("WWW-Authenticate").map(str::to_owned);
        assert_eq!(asks.as_deref(), (status == 401).then_some("basic realm=\"Protected area\""), "{login:?}");
    }
    assert_eq!(changes(&server).await.len(), 3);
    server.stop().await;
}

#[actix::test]
async fn what_is_no_request_of_a_hook_is_refused_early() {
    let options = "change_hook_max_size=100000, change_hook_dialects={'base': True, 'github': True}";
    let mut server = Server::start(&config(&[options.to_owned(), String::new()])).await;
    let change = "author=ann&comments=c";
    let large = bytes::Bytes::from(vec![b'x'; 100_001]);
    let bomb = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; 50_000_000]).unwrap();
        bytes::Bytes::from(gzip.finish().unwrap())
    };
    let packed = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(change.as_bytes()).unwrap();
        bytes::Bytes::from(gzip.finish().unwrap())
    };
    let gzip = ("Content-Encoding", "gzip");
    type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, bytes::Bytes, u16);
    let cases: [Case; 11] = [
        ("POST", "/change_hook", vec![FORM], large, 413),
        ("POST", "/change_hook", vec![FORM, gzip], bomb, 413),
        ("POST", "/change_hook", vec![FORM, gzip], packed, 202),
        ("POST", "/change_hook", vec![FORM, gzip], change.into(), 400),
        ("POST", "/change_hook", vec![FORM, ("Content-Encoding", "br")], change.into(), 415),
        ("HEAD", "/change_hook?author=ann&comments=c", vec![], "".into(), 405),
        ("PUT", "/change_hook", vec![FORM], change.into(), 405),
        ("GET", "/change_hook/?author=ann&comments=c", vec![], "".into(), 202),
        ("GET", "/change_hook/github?payload=x", vec![], "".into(), 405),
        ("POST", "/change_hook/gitlab", vec![], "{}".into(), 400),
        ("POST", "/change_hook/github/more", vec![], "{}".into(), 405),
    ];
    for (method, path, headers, body, status) in cases {
        let answer = server.send(0, method, path, &headers, body).await.unwrap();
        assert_eq!(answer.status, status, "{method} {path} {headers:?}: {}", answer.body);
    }
    assert_eq!(changes(&server).await.len(), 2, "what was refused has left nothing");
    let strange = posted(&server, "/change_hook/%3Cscript%3E%0d%0a", &[], "").await;
    assert_eq!(strange.body, "The dialect specified, 'script', wasn't whitelisted in change_hook");
    let bare = posted(&server, "/change_hook", &[FORM], "author=%00&comments=%0d%0a<b>").await;
    assert_eq!((bare.status, bare.header("x-content-type-options")), (202, Some("nosniff")));
    let nowhere = server.send(1, "POST", "/change_hook", &[FORM], change.into()).await.unwrap();
    assert_eq!(nowhere.status, 404, "{}", nowhere.body);
    server.stop().await;
}

#[actix::test]
async fn what_came_is_listed_without_secrets_and_can_be_replayed() {
    let mut server = with_dialects("{'gitlab': {'secret': 'hush-hush'}, 'base': True}").await;
    let push = delivery::named("gitlab/push").with_header("x-gitlab-event-uuid", Some("u1"));
    let right = push.with_header("x-gitlab-token", Some("hush-hush"));
    assert_eq!(right.send(&server, 0).await.unwrap().status, 202);
    let wrong = push.with_header("x-gitlab-token", Some("rush-rush"));
    assert_eq!(wrong.with_header("x-gitlab-event-uuid", Some("u2")).send(&server, 0).await.unwrap().status, 403);
    let secret = "/change_hook?token=rush-rush&author=ann&comments=c";
    assert_eq!(server.get(secret).await.0, 202);

    let listed = requests(&server).await;
    let outcomes: Vec<&Value> = listed.iter().map(|request| &request["outcome"]).collect();
    assert_eq!(outcomes, ["added", "refused", "added"]);
    let (_, page) = server.get("/hooks").await;
    let (_, json) = server.get("/json/hooks").await;
    for text in [&page, &json] {
        assert!(text.contains("Invalid secret") && text.contains("u1"), "{text}");
        assert!(!text.contains("ush-"), "{text}");
    }

    let before = changes(&server).await.len();
    let added = listed[2]["changes"].as_array().unwrap().len();
    assert_eq!(server.post("/hooks/replay", "id=1").await, (302, "../hooks".to_owned()));
    assert_eq!(changes(&server).await.len(), before + added, "its secret was right when it came");
    let (status, place) = server.post("/hooks/replay", "id=2").await;
    assert!(status == 302 && place.contains("no%20required%20signature"), "its token is not kept: {place}");
    assert_eq!(server.post("/hooks/replay", "id=77").await.0, 404);
    let again = &requests(&server).await[1];
    assert_eq!((&again["replayOf"], &again["outcome"]), (&json!(1), &json!("added")));
    assert_eq!(changes(&server).await.len(), before + added);
    server.stop().await;
}

/// Named on disk as a code host names it, so that a poller and a hook know it for the same.
fn published(folder: &std::path::Path) -> (Repository, String) {
    let repository = Repository::new();
    let place = folder.join("harbour").join("lighthouse.git");
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(repository.path(), &place).unwrap();
    (repository, place.to_str().unwrap().to_owned())
}

#[actix::test]
async fn a_poller_beside_a_hook_brings_what_it_missed_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, url) = published(folder.path());
    let mut text = config(&["change_hook_dialects={'github': True, 'poller': True}".to_owned()]);
    text += &format!("c['change_source'] = changes.GitPoller('{url}', pollAtLaunch=True, pollInterval=3600)\n");
    let mut server = Server::start(&text).await;
    let looked = || async {
        let sources = server.json("/json/change_sources").await;
        sources["0"]["last_poll"].as_f64()
    };
    let mut before = until("the first look", Duration::from_secs(60), looked).await;
    let mut revisions = Vec::new();
    let push = |revision: &str| {
        let mut push: Value = serde_json::from_slice(&delivery::named("github/push").request.body).unwrap();
        push["ref"] = json!("refs/heads/master");
        let mut commit = push["commits"][0].clone();
        commit["id"] = json!(revision);
        push["commits"] = json!([commit]);
        push.to_string()
    };
    let headers = [JSON, ("X-GitHub-Event", "push")];
    // Brought by the hook and seen by the poller; missed by the hook; seen by the poller and then brought by the hook.
    for (hook_first, hook_last) in [(true, false), (false, false), (false, true)] {
        let revision = repository.commit("work", &[("lamp", &revisions.len().to_string())]);
        if hook_first {
            assert_eq!(posted(&server, "/change_hook/github", &headers, push(&revision)).await.status, 202);
        }
        assert_eq!(server.get("/change_hook/poller").await, (200, "no changes found".to_owned()));
        let again = || async { looked().await.filter(|at| *at > before) };
        before = until("another look", Duration::from_secs(60), again).await;
        if hook_last {
            assert_eq!(posted(&server, "/change_hook/github", &headers, push(&revision)).await.status, 202);
        }
        revisions.push(revision);
    }
    let there = changes(&server).await;
    let mut found: Vec<&str> = there.iter().map(|change| change["revision"].as_str().unwrap()).collect();
    found.reverse();
    assert_eq!(found, revisions);
    let last = &requests(&server).await[0];
    assert_eq!((&last["outcome"], &last["changes"]), (&json!("added"), &json!([3])), "the number of the one there is");
    server.stop().await;
}

#[actix::test]
async fn a_hook_that_falls_is_back_and_the_others_never_notice() {
    let dialects = "change_hook_dialects={'gitea': {'secret': 's'}, 'gitlab': {'secret': 's'}}";
    let site = Site::start(dialects, Vec::new()).await;
    let place = format!("status/WebStatus:{}/change_hook/gitea", site.url.rsplit(':').next().unwrap());
    for _ in 0..3 {
        assert!(site.server.tree.provoke_panic(&place), "{place}");
        let gitlab = site.post("/change_hook/gitlab", &[]).await;
        assert_eq!(gitlab.status, 403, "{}", gitlab.text);
        until("the hook to be back", Duration::from_secs(30), async || {
            let answer = site.post("/change_hook/gitea", &[]).await;
            assert!([400, 503].contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text);
            (answer.status == 400).then_some(())
        })
        .await;
    }
    site.stop().await;
}

/// Pushes come all the time, four at once; in the end each comes again, whether it had an answer or not.
#[actix::test]
async fn killed_two_hundred_times_it_has_all_that_it_took_once() {
    let mut server = with_dialects("{'github': {'secret': 'hush', 'strict': True}}").await;
    let body = delivery::named("github/push").request.body;
    let signature = format!("sha256={}", hmac_hex("sha256", "hush", &body));
    let push = delivery::named("github/push")
        .with_header("x-hub-signature-256", Some(&signature))
        .with_header("x-hub-signature", None);
    let push = |id: &str| push.with_header("x-github-delivery", Some(id));
    let said = read("github", &Dialect::default(), &push("x").request, Time(0)).await.unwrap();
    let mut noise = Noise(20_261_123);
    let sent: RefCell<BTreeMap<String, bool>> = RefCell::default();
    for _ in 0..KILLS {
        let stream = || async {
            loop {
                let id = format!("delivery-{}", sent.borrow().len());
                sent.borrow_mut().insert(id.clone(), false);
                let answer = push(&id).send(&server, 0).await;
                let taken = answer.is_ok_and(|answer| answer.status == 202);
                sent.borrow_mut().insert(id, taken);
            }
        };
        let streams = futures::future::join_all((0..4).map(|_| stream()));
        let moment = Duration::from_millis(100 + noise.below(300));
        assert!(tokio::time::timeout(moment, streams).await.is_err());
        server.kill_and_restart().await;
    }
    let sent = sent.into_inner();
    let taken = sent.values().filter(|taken| **taken).count();
    assert!(taken > KILLS && taken < sent.len(), "{taken} of {} were taken", sent.len());
    let ids: Vec<&String> = sent.keys().collect();
    for some in ids.chunks(8) {
        let again = some.iter().map(|id| async { push(id).send(&server, 0).await.unwrap().status });
        let answers = futures::future::join_all(again).await;
        assert!(answers.iter().all(|status| *status == 202), "{some:?}: {answers:?}");
    }
    let mut count = 0;
    let mut before = i64::MAX;
    loop {
        let page = server.json(&format!("/json/changes?count=1000&before={before}")).await;
        let page = page.as_array().unwrap();
        let Some(last) = page.last() else { break };
        (count, before) = (count + page.len(), last["number"].as_i64().unwrap());
    }
    assert_eq!(count, sent.len() * said.changes.len(), "{taken} of {} were taken at once", sent.len());
    server.stop().await;
}
