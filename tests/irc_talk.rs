//! What an IRC bot says: conversations with it, and what it tells of builds, on a real server.

use crate::support::facts;
use crate::support::irc_client::IrcClient;
use crate::support::irc_scene::{Scene, ask, check};
use crate::support::ngircd::KEY;
use crate::support::wait::{eventually, until};
use serde_json::json;
use signalbox::clock::Clock;
use signalbox::db::requests;
use signalbox::master::CancelRequest;
use signalbox::model::*;
use std::time::{Duration, Instant};

/// `docs` is built at once, `runtests linux` fails, `nightly` goes on until there is a file `go`; nobody builds `mac`.
const CONFIG: &str = "
c = BuildmasterConfig = {}
c['buildbotURL'] = 'http://ci.example.org/'
c['slavePortnum'] = 'tcp:0:interface=127.0.0.1'
c['workers'] = [worker.LocalWorker('w', max_builds=1), worker.Worker('afar', 'hush')]
def build(name, worker, command, tags=[]):
    steps_ = [steps.ShellCommand(name='run', command=['sh', '-c', command], description=['running'], descriptionDone=['run'])]
    return util.BuilderConfig(name=name, workernames=[worker], tags=tags, factory=util.BuildFactory(steps_))
c['builders'] = [
    build('docs', 'w', 'true', tags=['quick']),
    build('runtests linux', 'w', 'false'),
    build('nightly', 'w', 'while [ ! -e {folder}/go ]; do sleep 0.02; done'),
    build('mac', 'afar', 'true'),
]
";

fn go(scene: &Scene) {
    std::fs::write(scene.master.path("go"), "").unwrap();
}

/// A build of this builder as it begins, with changes of these authors and revisions.
fn begun(builder: &str, number: i64, changes: &[(&str, &str)]) -> Build {
    let change = |(who, revision): &(&str, &str)| Change {
        who: (*who).to_owned(),
        revision: Some((*revision).to_owned()),
        ..facts::change(1)
    };
    let stamp = SourceStamp { changes: changes.iter().map(change).collect(), ..SourceStamp::default() };
    Build { source_stamps: vec![stamp], started: Clock::system().now(), ..facts::build(builder, number) }
}

/// The build as it ends now.
fn ended(build: &Build, results: Results) -> Build {
    Build { finished: Some(Clock::system().now()), ..facts::ended(build, results) }
}

async fn passes(scene: &Scene, build: &Build, results: Results) {
    scene.happens(Event::BuildStarted { build: build.clone() }).await;
    scene.happens(Event::BuildFinished { build: ended(build, results) }).await;
}

#[actix::test]
async fn everything_it_can_be_asked_has_its_answer() {
    let scene = Scene::start(CONFIG, json!({ "allowForce": true, "allowShutdown": true })).await;
    scene.master.connected().await;
    let mut written = scene.conversations(&[&HELP[..10], &HELP[10..20], &HELP[20..], &BEFORE]).await;
    for builder in ["docs", "runtests linux"] {
        scene.master.build(builder).await;
    }
    scene.master.request("nightly").await;
    scene.master.running("nightly", 0, "run").await;
    written.push_str(&scene.conversations(&[&WHILE, &NOTIFY, &FORCE, &STOP_AND_JOIN, &SHUTDOWN, &ODD]).await);
    check(&written, "conversation.txt");
    go(&scene);
    scene.stop().await;
}

const HELP: [&str; 29] = [
    "commands",
    "help",
    "help commands",
    "help help",
    "help force",
    "help force build branch",
    "help stop",
    "help shutdown",
    "help shutdown check",
    "help shutdown start",
    "help shutdown stop",
    "help shutdown now",
    "help shutdown nosuch",
    "help status",
    "help watch",
    "help last",
    "help list builders extra",
    "help notify",
    "help mute",
    "help unmute",
    "help join",
    "help leave",
    "help source",
    "help version",
    "help hello",
    "help dance",
    "help destroy",
    "help nosuch",
    "help \"open",
];

/// Before anything is built.
const BEFORE: [&str; 14] = [
    "version",
    "source",
    "list",
    "list builders",
    "list nosuch",
    "status",
    "last",
    "last docs extra",
    "status nosuch",
    "status runtests linux",
    "watch",
    "watch docs",
    "watch nosuch",
    "watch a b",
];

/// While `nightly` is built.
const WHILE: [&str; 14] = [
    "status",
    "status all",
    "status docs",
    "bb: status \"runtests linux\"",
    "BB, status 'runtests mac'",
    "status mac",
    "status \"unbalanced",
    "status back\\",
    "last",
    "last all",
    "last 'runtests linux'",
    "last nosuch",
    "watch nightly",
    "list builders",
];

const NOTIFY: [&str; 13] = [
    "notify",
    "notify list",
    "notify on",
    "notify off",
    "notify on success failureToSuccess",
    "notify on bogus",
    "notify on warnings Started",
    "notify foo",
    "notify off success exception",
    "notify off \"",
    "notify list",
    "unmute",
    "notify off",
];

const FORCE: [&str; 14] = [
    "force",
    "force docs",
    "force build",
    "force build nosuch why",
    "force build --bogus docs why",
    "force build --branch",
    "force build --b=x docs",
    "force build --branch='bad branch;' docs why",
    "force build --revision=zz!zz docs why",
    "force build --props=a docs why",
    "force build --props=bad!name=1 docs why",
    "force build --builder=docs two ways",
    "force build --reason=r1 docs more",
    "force build docs it's",
];

const STOP_AND_JOIN: [&str; 12] = [
    "stop",
    "stop build",
    "stop build docs",
    "stop docs why",
    "stop build docs not running",
    "stop build nosuch why",
    "join",
    "join a b c",
    "join #a,#b",
    "join #widget",
    "leave",
    "leave #nosuch",
];

const SHUTDOWN: [&str; 9] = [
    "shutdown",
    "shutdown check",
    "shutdown bogus",
    "shutdown stop",
    "shutdown start",
    "shutdown check",
    "shutdown start",
    "shutdown stop",
    "shutdown check",
];

const ODD: [&str; 11] = [
    "nosuchcommand",
    "nosuchcommand!",
    "status! now",
    "na\u{ef}ve \u{2603}",
    "quit",
    "   status docs",
    "sTaTuS  docs",
    "destroy",
    "destroy bb",
    "\u{2}status\u{f} docs",
    "bb:",
];

#[actix::test]
async fn it_is_spoken_to_by_name_and_by_nobody_else() {
    let scene = Scene::start(CONFIG, json!({})).await;
    let mut carol = scene.person("carol").await;
    for text in ["bb hello", "hey bb: hello", "hello", "bbb: hello", " bb: hello"] {
        carol.say("#widget", text);
    }
    carol.send("NOTICE #widget :bb: hello");
    carol.send("NOTICE bb :hello");
    carol.say("#widget", "BB, version");
    assert!(carol.expect_from("bb").await.starts_with("signalbox-"));
    for (deed, answer) in
        [("kicks bb", "kicks back"), ("hugs bob", ""), ("waves at bb", ""), ("hugs BB", "hugs carol too")]
    {
        carol.say("#widget", &format!("\u{1}ACTION {deed}\u{1}"));
        if !answer.is_empty() {
            let line = carol.expect(&format!("ACTION {answer}\u{1}")).await;
            assert!(line.contains(" PRIVMSG #widget "), "{line}");
        }
    }
    // Done in private, it is done back to who did it.
    let mut dave = scene.person("dave").await;
    dave.say("bb", "\u{1}ACTION kicks bb\u{1}");
    dave.expect(" PRIVMSG dave :\u{1}ACTION kicks back\u{1}").await;
    let keyed = format!("#keyed {KEY}");
    for (order, answers) in [
        ("join #keyed wrong", &["joining #keyed", "cannot join #keyed: wrong key (475); I keep trying"][..]),
        ("leave #keyed", &["leaving #keyed"]),
        (&format!("join {keyed}"), &["joining #keyed"]),
    ] {
        dave.say("#widget", &format!("bb: {order}"));
        assert_eq!(told(&mut dave, answers.len()).await, answers);
    }
    dave.join(&keyed).await;
    dave.say("#keyed", "bb: hello");
    dave.expect(" PRIVMSG #keyed :yes?").await;
    dave.send("PART #keyed");
    dave.say("#widget", "bb: What happen ?");
    dave.say("#widget", "bb: dance");
    let mut said = Vec::new();
    while said.len() < 6 {
        said.push(dave.expect_from("bb").await);
    }
    let dance = ["Somebody set up us the bomb.", "<(^.^<)", "<(^.^)>", "(>^.^)>", "(7^.^)7", "(>^.^<)"];
    assert_eq!(said, dance);
    scene.stop().await;
}

#[actix::test]
async fn builds_are_told_to_those_who_want_to_know() {
    let events = json!({ "started": 1, "failure": 1, "successToFailure": 1, "warnings": 0 });
    let mut scene = Scene::start(CONFIG, json!({ "notify_events": events, "pm_to_nicks": ["dora"] })).await;
    let mut dora = scene.irc.client("dora").await;
    let mut carol = scene.person("carol").await;
    let hash = "171ff808fa60aa41e273aac40ea26824072ad470";
    let jose = "Jos\u{e9} N\u{fa}\u{f1}ez <jose@example.org>\r\nQUIT :gone";
    let first = begun("docs", 0, &[("ann", hash), (jose, "2"), ("ann", "3"), ("bob", "4")]);
    passes(&scene, &first, Results::Success).await;
    let mut second = ended(&begun("docs", 1, &[("ann", hash), (jose, "2")]), Results::Failure);
    second.text = vec!["3 tests".to_owned(), "failed\u{3}12,1 \nPRIVMSG #widget :injected".to_owned()];
    scene.happens(Event::BuildStarted { build: begun("docs", 1, &[]) }).await;
    scene.happens(Event::BuildFinished { build: second.clone() }).await;
    // Told once: the same again within a minute is no news.
    scene.happens(Event::BuildFinished { build: second }).await;
    passes(&scene, &begun("docs", 2, &[]), Results::Exception).await;
    scene.happens(Event::BuildStarted { build: begun("an odd/n\u{e4}me", 7, &[]) }).await;
    let mut written = String::new();
    for _ in 0..5 {
        written.push_str(&format!("#widget {}\n", carol.expect_from("bb").await));
    }
    for _ in 0..5 {
        written.push_str(&format!("dora {}\n", dora.expect_from("bb").await));
    }
    check(&written, "told.txt");

    // Another way to put it, and only of some builders.
    scene.leave().await;
    let options = json!({
        "notify_events": ["finished", "started"], "useRevisions": true, "useColors": false, "noticeOnChannel": true,
        "showBlameList": false, "tags": ["quick"],
    });
    scene.enter(options);
    let mut eve = scene.person("eve").await;
    passes(&scene, &begun("nightly", 5, &[]), Results::Failure).await;
    passes(&scene, &begun("docs", 5, &[("ann", hash), ("bob", "2")]), Results::Skipped).await;
    let lines = [eve.expect(" NOTICE #widget ").await, eve.expect(" NOTICE #widget ").await];
    let texts = lines.map(|line| line.split_once(" NOTICE ").unwrap().1.to_owned());
    check(&texts.join("\n"), "told_otherwise.txt");
    scene.stop().await;
}

#[actix::test]
async fn a_forced_build_is_told_from_start_to_finish() {
    let scene = Scene::start(CONFIG, json!({ "allowForce": true })).await;
    scene.master.connected().await;
    let mut carol = scene.person("carol").await;
    carol.say("#widget", "bb: force build --branch=main --props=a=1,b=x nightly it is \"new\"");
    assert_eq!(carol.expect_from("bb").await, "build #0 forced");
    assert_eq!(carol.expect_from("bb").await, "I'll give a shout when the build finishes");
    let build = scene.master.running("nightly", 0, "run").await;
    assert_eq!(build.reason, "forced: by IRC user <carol> on channel #widget: it is new");
    assert_eq!(build.source_stamps[0].branch.as_deref(), Some("main"));
    assert_eq!((build.properties.get("a"), build.properties.source("b")), (Some(&json!("1")), Some("Force Build IRC")));

    // The worker is busy with it: what comes then waits, and that is said after five seconds.
    let asked = Instant::now();
    let mut dave = scene.person("dave").await;
    dave.say("bb", "force build docs");
    assert_eq!(dave.expect_from("bb").await, "The build has been queued, I'll give a shout when it starts");
    assert!(asked.elapsed() >= Duration::from_secs(5));
    dave.say("bb", "force build 'runtests linux' never mind");
    let waiting = scene.master.until("a request", |conn| Ok(requests::pending(conn, Some("runtests linux"))?.pop()));
    let id = waiting.await.id;
    scene.master.master.send(CancelRequest { id }).await.unwrap().unwrap();
    let cancelled = "the build of runtests linux you asked for was cancelled before it began";
    assert_eq!(dave.expect_from("bb").await, cancelled);
    assert_eq!(ask(&mut dave, "watch nightly").await, ["watching build nightly #0 until it finishes.."]);
    // Whoever is called otherwise meanwhile is told all the same, and so is who asked before the bot was away.
    dave.send("NICK dave_away");
    dave.expect(" NICK ").await;
    // Answered in order, so that it has heard of the new name.
    assert_eq!(ask(&mut dave, "status mac").await, ["mac: offline"]);
    scene.cut_off().await;
    go(&scene);
    scene.master.built(&scene.master.request("docs").await).await;
    scene.let_back();
    let hey = |builder: &str, number: i64| {
        let text = format!("Hey! build {builder} #{number} is complete: Success [\u{3}03build successful\u{f}]");
        (text, format!("Build details are at http://ci.example.org/builders/{builder}/builds/{number}"))
    };
    let answers = told(&mut carol, 2).await;
    let (first, second) = hey("nightly", 0);
    assert_eq!(answers, [first, second]);
    let answers = told(&mut dave, 6).await;
    for (builder, number) in [("nightly", 0), ("docs", 0)] {
        let (first, second) = hey(builder, number);
        assert!(answers.windows(2).any(|two| two == [first.clone(), second.clone()]), "{first}: {answers:#?}");
    }
    assert!(answers.iter().any(|line| line.starts_with("build ") && line.contains("forced")), "{answers:#?}");
    scene.stop().await;
}

/// The next so many lines of the bot.
async fn told(person: &mut IrcClient, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < count {
        told.push(person.expect_from("bb").await);
    }
    told
}

#[actix::test]
async fn a_build_is_stopped_with_the_whole_reason() {
    let scene = Scene::start(CONFIG, json!({ "allowForce": true })).await;
    scene.master.connected().await;
    scene.master.request("nightly").await;
    scene.master.running("nightly", 0, "run").await;
    let mut carol = scene.person("carol").await;
    carol.say("#widget", "bb: stop build nightly it hangs again");
    assert_eq!(carol.expect_from("bb").await, "build 0 interrupted");
    let build = scene.master.until("the end", |conn| {
        let build = signalbox::db::builds::find(conn, "nightly", 0)?;
        Ok(build.filter(|build| build.finished.is_some()))
    });
    let build = build.await;
    assert_eq!(build.results, Some(Results::Exception));
    let reason = scene.master.log(&build, "run", "interrupt").await;
    assert_eq!(reason.trim_end(), "stopped: by IRC user <carol> on channel #widget: it hangs again");
    scene.stop().await;
}

#[actix::test]
async fn without_leave_nothing_is_ordered() {
    let mut scene = Scene::start(CONFIG, json!({})).await;
    let questions =
        ["force build docs why", "stop build docs why", "shutdown check", "shutdown now", "force build nosuch why"];
    check(&scene.conversations(&[&questions]).await, "not_enabled.txt");
    scene.leave().await;
    let authz =
        json!({ "$call": "util.Authz", "$place": "master.cfg:2", "$options": { "view": false, "stopBuild": ["ann"] } });
    scene.enter(json!({ "allowForce": true, "allowShutdown": true, "authz": authz }));
    let questions = [
        "force build docs why",
        "stop build docs why",
        "shutdown now",
        "status",
        "list builders",
        "last",
        "watch docs",
        "notify on failure",
        "notify list",
        "join #elsewhere",
        "leave #widget",
        "version",
    ];
    check(&scene.conversations(&[&questions]).await, "not_allowed.txt");
    scene.stop().await;
}

#[actix::test]
async fn a_bot_that_falls_is_back_at_once_where_it_was() {
    let scene = Scene::start(CONFIG, json!({})).await;
    let mut carol = scene.person("carol").await;
    carol.say("#widget", "bb: notify on failure");
    assert_eq!(carol.expect_from("bb").await, "The following events are being notified: ['failure']");
    assert!(scene.setup.tree.provoke_panic("status/IRC:bb@127.0.0.1"));
    let tree = scene.setup.tree.clone();
    eventually(move || {
        let reports = tree.reports();
        let bot = reports.iter().find(|report| report.path == "status/IRC:bb@127.0.0.1").unwrap();
        (bot.restarts, bot.state) == (1, "running")
    })
    .await;
    passes(&scene, &begun("docs", 0, &[]), Results::Failure).await;
    assert!(carol.expect_from("bb").await.starts_with("build #0 of docs is complete: Failure"));
    carol.say("#widget", "bb: notify list");
    assert_eq!(carol.expect_from("bb").await, "The following events are being notified: ['failure']");
    assert!(!carol.seen().iter().any(|line| line.contains(" QUIT ")), "{:?}", carol.seen());
    scene.stop().await;
}

#[actix::test]
async fn what_nobody_could_be_told_is_summed_up() {
    let options = json!({ "notify_events": ["failure", "exception", "failureToSuccess"], "tags": ["quick"] });
    let mut scene = Scene::start(CONFIG, options.clone()).await;
    // Who only asks is told nothing later; who wants to be is.
    let mut carol = scene.person("carol").await;
    let mut dora = scene.irc.client("dora").await;
    dora.say("bb", "notify on finished");
    dora.expect_from("bb").await;
    let object = "irc/bb@127.0.0.1";
    let db = scene.setup.db.clone();
    until("what dora has set is stored", Duration::from_secs(60), || {
        let db = db.clone();
        async move { db.read(move |conn| signalbox::db::state::get(conn, object, "dora")).await.unwrap() }
    })
    .await;
    scene.cut_off().await;
    let ends = [Results::Success, Results::Failure, Results::Success, Results::Exception, Results::Failure];
    for (number, results) in (0..).zip(ends) {
        passes(&scene, &begun("docs", number, &[]), results).await;
    }
    passes(&scene, &begun("nightly", 0, &[]), Results::Failure).await;
    scene.let_back();
    let line = "while I was away: 4 builds finished, 2 failed (docs #1, docs #4), 1 exception (docs #3)";
    assert_eq!(told(&mut carol, 1).await, [line]);
    let line = "while I was away: 5 builds finished, 2 failed (docs #1, docs #4), 1 exception (docs #3)";
    assert_eq!(told(&mut dora, 1).await, [line]);

    // The same when it is started anew meanwhile, as with all of Signalbox.
    scene.cut_off().await;
    passes(&scene, &begun("docs", 5, &[]), Results::Failure).await;
    scene.leave().await;
    passes(&scene, &begun("docs", 6, &[]), Results::Failure).await;
    scene.enter(options);
    scene.let_back();
    let line = "while I was away: 2 builds finished, 2 failed (docs #5, docs #6)";
    assert_eq!([told(&mut carol, 1).await, told(&mut dora, 1).await], [[line], [line]]);
    passes(&scene, &begun("docs", 7, &[]), Results::Failure).await;
    assert!(told(&mut carol, 1).await[0].starts_with("build #7 of docs is complete"));
    for person in [carol, dora] {
        assert_eq!(person.seen().iter().filter(|line| line.contains("while I was away")).count(), 2);
    }
    scene.stop().await;
}
