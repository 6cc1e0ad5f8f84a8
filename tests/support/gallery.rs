//! A site with one of everything, as it might be in the middle of a working day: for looking at pages.

use super::facts::{a_log_of, change, step};
use super::site::{Options, Site};
use serde_json::{Value, json};
use signalbox::db::inbox::{self, Received};
use signalbox::db::outbox::{self, Delivery, State};
use signalbox::db::users;
use signalbox::model::*;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Builders with several tags and none, one that can never build as its worker is elsewhere, and one with a long name.
const CONFIG: &str = r#"
c = BuildmasterConfig = {}
c['title'] = 'Widget Foundry'
c['titleURL'] = 'http://widget.example.org/'
c['buildbotURL'] = 'http://ci.example.org/'
c['workers'] = [worker.LocalWorker('local-1', max_builds=3), worker.LocalWorker('local-2'),
                worker.Worker('mac-mini', 'secret'), worker.Worker('win-7', 'secret')]
quick = util.BuildFactory([steps.ShellCommand(name='greet', command='true')])
def builder(name, workers, tags, about=''):
    return util.BuilderConfig(name=name, workernames=workers, factory=quick, tags=tags, description=about)
c['builders'] = [
    builder('linux-debug', ['local-1', 'local-2'], ['linux', 'fast'], 'every commit, with assertions'),
    builder('linux-release', ['local-1'], ['linux', 'release'], 'as it is shipped'),
    builder('mac/arm', ['mac-mini'], ['mac']),
    builder('windows-x64', ['local-2', 'win-7'], ['windows', 'release']),
    builder('docs', ['local-1'], ['fast']),
    builder('fuzz', ['local-2'], []),
    builder('nightly-package', ['local-1'], ['nightly', 'release']),
    builder('integration-of-everything-with-everything-else-on-the-old-hardware', ['local-1'], ['nightly']),
]
c['schedulers'] = [
    schedulers.ForceScheduler(name='force', builderNames=['linux-debug', 'mac/arm', 'fuzz'], properties=[
        util.BooleanParameter(name='clean', label='Clean first:'),
        util.ChoiceStringParameter(name='level', label='Level', choices=['one', 'two'], default='two', strict=True)]),
    schedulers.Nightly(name='nightly', builderNames=['nightly-package'], hour=3, minute=0),
]
"#;

const REPOSITORY: &str = "https://github.com/widget-foundry/widget.git";

/// How a build goes: the last steps it has with how they end, and how long it takes in seconds.
type Course = (&'static [(&'static str, Results, i64)], i64);

const GOOD: Course = (
    &[
        ("git", Results::Success, 2),
        ("configure", Results::Success, 6),
        ("compile", Results::Success, 95),
        ("test", Results::Success, 48),
    ],
    152,
);
const WARNS: Course = (
    &[
        ("git", Results::Success, 3),
        ("configure", Results::Success, 7),
        ("compile", Results::Warnings, 120),
        ("test", Results::Success, 44),
    ],
    176,
);
const FAILS: Course = (
    &[
        ("git", Results::Success, 2),
        ("configure", Results::Success, 6),
        ("compile", Results::Success, 101),
        ("test", Results::Failure, 31),
        ("package", Results::Skipped, 0),
    ],
    142,
);
const EXPLODES: Course = (&[("git", Results::Success, 2), ("upload", Results::Exception, 9)], 12);
const AGAIN: Course = (&[("git", Results::Success, 4), ("compile", Results::Retry, 60)], 64);

/// The site, ready to be looked at; who looks may do everything.
pub async fn gallery() -> Site {
    let mut day = Day::new();
    day.changes();
    for (index, course) in [GOOD, GOOD, WARNS, GOOD, FAILS, GOOD, GOOD, FAILS, FAILS].into_iter().enumerate() {
        day.build("linux-debug", index as i64, 200 - index as u64 * 24, course, &[index as i64]);
    }
    for (number, (ago, course)) in [(190, GOOD), (130, WARNS), (70, GOOD), (22, WARNS)].into_iter().enumerate() {
        day.build("linux-release", number as i64, ago, course, &[number as i64 * 2]);
    }
    for (number, (ago, course)) in [(180, GOOD), (95, AGAIN), (90, GOOD)].into_iter().enumerate() {
        day.build("windows-x64", number as i64, ago, course, &[number as i64]);
    }
    for (number, ago) in [170, 120, 60, 12].into_iter().enumerate() {
        day.build("docs", number as i64, ago, (&GOOD.0[..2], 9), &[number as i64]);
    }
    day.build("fuzz", 0, 150, GOOD, &[]);
    day.build("fuzz", 1, 45, EXPLODES, &[]);
    day.build("nightly-package", 0, 840, GOOD, &[0, 1, 2]);
    day.build("mac/arm", 0, 3_000, GOOD, &[0]);
    let options = Options { config: CONFIG, texts: day.texts };
    let allowed = "authz=util.Authz(default_action=True, showInternals=True, resendDeliveries=True, replayHooks=True)";
    let site = Site::with(allowed, day.events, options).await;
    deliveries(&site).await;
    hooks(&site).await;
    users(&site).await;
    at_work(&site).await;
    site
}

/// Those whose changes there are, and one who can log in.
async fn users(site: &Site) {
    let users = (0..4).map(|number| User { uid: number + 1, ..User::of_author(Vcs::Git, &changed(number).who) });
    let mut users: Vec<User> = users.collect();
    users[1].bb_username = Some("bob".to_owned());
    users[1].attributes.insert("svn".to_owned(), "bfairweather".to_owned());
    site.server.db.write(move |conn| users.iter().try_for_each(|user| users::put(conn, user))).await.unwrap();
}

/// What hooks were sent: something of each outcome.
async fn hooks(site: &Site) {
    let received = |id: i64, dialect: &str, event: &str, status: u16, reason: &str, changes: &[i64]| Received {
        id,
        received: now() - Duration::from_secs(600 * (5 - id as u64)),
        dialect: dialect.to_owned(),
        delivery: (dialect != "base").then(|| format!("6a7b3c9e-0b1d-4f6a-9c2e-{id:012}")),
        event: event.to_owned(),
        status,
        answer: String::new(),
        reason: reason.to_owned(),
        changes: changes.to_vec(),
        replay_of: None,
        method: "POST".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        size: 7_312,
        body: Default::default(),
    };
    let all = [
        received(1, "github", "ping", 200, "no changes are made of such an event", &[]),
        received(2, "github", "push", 202, "", &[1, 2]),
        received(3, "gitlab", "", 403, "Invalid secret", &[]),
        received(4, "base", "change", 202, "", &[3]),
    ];
    site.server.db.write(move |conn| all.iter().try_for_each(|one| inbox::put(conn, one))).await.unwrap();
}

/// What goes on: builds that run, one that is late, requests that wait, workers that have gone.
async fn at_work(site: &Site) {
    let running = |builder: &str, number: i64, ran: u64, left: i64| {
        let started = now() - Duration::from_secs(ran);
        let eta = Some(Time(now().0 + left * 1_000_000));
        Build { reason: triggered(), ..begun(builder, number, started, &[7, 8], eta) }
    };
    let mut events = Vec::new();
    for (build, done, current) in [
        (running("linux-debug", 9, 75, 77), vec![("git", 2), ("configure", 6)], "compile"),
        (running("windows-x64", 3, 400, -75), vec![("git", 3), ("configure", 9), ("compile", 340)], "test"),
    ] {
        let reference = build.reference();
        let state = BigState::Building;
        events.push(Event::BuilderChangedState { builder: build.builder.clone(), state });
        events.push(Event::BuildStarted { build: build.clone() });
        let (mut started, mut number) = (build.started, 0);
        for (name, seconds) in done {
            let mut step = Step { started: Some(started), ..step(&build, number, name) };
            events.push(Event::StepStarted { build: reference.clone(), step: step.clone() });
            started = started + Duration::from_secs(seconds);
            step.finished = Some(started);
            step.results = Some(Results::Success);
            step.text = vec![name.to_owned()];
            let properties = Properties::new();
            events.push(Event::StepFinished { build: reference.clone(), step, properties });
            number += 1;
        }
        let text = vec![if current == "test" { "testing" } else { "compiling" }.to_owned()];
        let current = Step { started: Some(started), text, ..step(&build, number, current) };
        events.push(Event::StepStarted { build: reference.clone(), step: current });
        let log = Log { id: 9_000 + build.number, ..a_log_of("stdio", 0, 0) };
        events.push(Event::LogStarted { build: reference, step: number, log: Log { finished: false, ..log } });
    }
    let mac = Worker {
        name: "mac-mini".to_owned(),
        admin: Some("Grace Hopper <grace@example.org>".to_owned()),
        host: Some("Mac mini in the cupboard behind the kitchen\nmacOS 14, 16 GB".to_owned()),
        version: Some("4.3.0".to_owned()),
        last_heard: Some(now() - Duration::from_secs(7_300)),
        ..Worker::default()
    };
    events.push(Event::SlaveConnected { slave: mac });
    events.push(Event::SlaveDisconnected { slave: "mac-mini".to_owned() });
    events.push(Event::BuilderEvent {
        happened: BuilderEvent {
            builder: "mac/arm".to_owned(),
            started: now() - Duration::from_secs(300),
            finished: Some(now() - Duration::from_secs(300)),
            text: vec!["disconnect".to_owned(), "mac-mini".to_owned()],
        },
    });
    for event in events {
        site.server.hub.record(event).await.unwrap();
    }
    for reason in ["the new certificate", "and once more, as the first one may have been built too early by mistake"] {
        let form = [("forcescheduler", "force"), ("username", "grace"), ("reason", reason)];
        let answer = site.post("/builders/mac%2Farm/force", &form).await;
        assert!(!answer.header("location").contains("alert"), "{}", answer.header("location"));
    }
}

/// One in each state.
async fn deliveries(site: &Site) {
    use State::*;
    let states = [Delivered, Delivered, Retrying, Waiting, Dead, Superseded, Delivered];
    let delivery = |(index, state): (usize, State)| Delivery {
        id: format!("MailNotifier:builds@example.org:d4765e1d/{index}"),
        target: "MailNotifier:builds@example.org:d4765e1d".to_owned(),
        destination: "mail.example.org:25".to_owned(),
        key: None,
        lane: None,
        about: Some("buildbot failure in Widget Foundry on linux, to ann@example.org".to_owned()),
        seq: index as i64,
        payload: Value::Null,
        state,
        attempts: index as i32,
        created: now() - Duration::from_secs(3_000 - 300 * index as u64),
        last_try: (state != Waiting).then(|| now() - Duration::from_secs(60)),
        next_try: now() + Duration::from_secs(240),
        detail: (state == Dead).then(|| "550 5.1.1 no such user".to_owned()),
    };
    let some: Vec<Delivery> = states.into_iter().enumerate().map(delivery).collect();
    site.server.db.write(move |conn| outbox::insert(conn, &some)).await.unwrap();
}

/// A history that is being written, ending now.
struct Day {
    now: Time,
    events: Vec<Event>,
    texts: BTreeMap<i64, Vec<Segment>>,
}

impl Day {
    fn new() -> Day {
        Day { now: now(), events: Vec::new(), texts: BTreeMap::new() }
    }

    fn changes(&mut self) {
        for number in 0..9 {
            let when = self.now - Duration::from_secs(60 * (205 - 24 * number));
            let change = Change { when, ..changed(number as i64) };
            self.events.push(Event::ChangeAdded { change });
        }
    }

    /// A build that started so many minutes ago.
    fn build(&mut self, builder: &str, number: i64, ago: u64, (steps, took): Course, changes: &[i64]) {
        let started = self.now - Duration::from_secs(60 * ago);
        let mut build = begun(builder, number, started, changes, None);
        if changes.is_empty() {
            build.reason = "The Nightly scheduler named 'nightly' triggered this build".to_owned();
        }
        self.events.push(Event::BuildStarted { build: build.clone() });
        let mut time = started;
        for (index, (name, results, seconds)) in steps.iter().enumerate() {
            let step = self.step(&build, index as i32, name, *results, time, *seconds);
            time = time + Duration::from_secs(*seconds as u64);
            build.steps.push(step);
        }
        let worst = [Results::Exception, Results::Retry, Results::Failure, Results::Warnings];
        let ended = |results: &Results| steps.iter().any(|(_, how, _)| how == results);
        let results = worst.into_iter().find(ended).unwrap_or(Results::Success);
        build.finished = Some(started + Duration::from_secs(took as u64));
        build.results = Some(results);
        build.text = results.build_text().iter().map(|word| (*word).to_owned()).collect();
        let got = changes.last().map_or_else(|| "0".repeat(40), |last| revision(*last));
        build.properties.set("got_revision", got, "Git");
        build.properties.set("version", format!("1.{number}.0"), "SetPropertyFromCommand Step");
        self.events.push(Event::BuildFinished { build });
    }

    fn step(&mut self, build: &Build, index: i32, name: &str, how: Results, started: Time, seconds: i64) -> Step {
        let reference = build.reference();
        let mut step = Step { started: Some(started), text: vec![name.to_owned()], ..Step::new(index, name) };
        self.events.push(Event::StepStarted { build: reference.clone(), step: step.clone() });
        if how != Results::Skipped {
            let id = self.texts.len() as i64 + 1;
            let text = text(name, how);
            let bytes: usize = text.iter().map(|segment| segment.bytes.len()).sum();
            let lines = text.iter().flat_map(|segment| &segment.bytes).filter(|&&byte| byte == b'\n').count();
            let log = Log { id, ..a_log_of("stdio", lines as i64, bytes as i64) };
            let growing = Log { finished: false, lines: 0, bytes: 0, ..log.clone() };
            self.events.push(Event::LogStarted { build: reference.clone(), step: index, log: growing });
            self.events.push(Event::LogFinished { build: reference.clone(), step: index, log: log.clone() });
            self.texts.insert(id, text);
            step.logs.push(log);
        }
        step.finished = Some(started + Duration::from_secs(seconds as u64));
        step.results = Some(how);
        match (name, how) {
            ("test", Results::Failure) => {
                step.text = vec!["1834 tests".to_owned(), "3 failed".to_owned()];
                step.text2 = vec!["test".to_owned()];
                step.statistics.insert("tests-failed".to_owned(), json!(3));
                step.statistics.insert("tests-total".to_owned(), json!(1834));
                step.urls.insert("coverage".to_owned(), "https://coverage.example.org/widget".to_owned());
            }
            ("test", _) => step.text = vec!["1834 tests".to_owned(), "passed".to_owned()],
            (_, Results::Success) => {}
            (name, how) => {
                step.text = vec![name.to_owned(), how.word().to_owned()];
                step.text2 = if how == Results::Skipped { Vec::new() } else { vec![name.to_owned()] };
            }
        }
        let properties = Properties::new();
        self.events.push(Event::StepFinished { build: reference, step: step.clone(), properties });
        step
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time(i64::try_from(since.as_micros()).unwrap())
}

fn triggered() -> String {
    "The SingleBranchScheduler scheduler named 'commits' triggered this build".to_owned()
}

fn begun(builder: &str, number: i64, started: Time, changes: &[i64], eta: Option<Time>) -> Build {
    let mut properties = Properties::new();
    let mut set = |name: &str, value: Value, source: &str| properties.set(name, value, source);
    set("buildername", json!(builder), "Builder");
    set("buildnumber", json!(number), "Build");
    set("branch", json!("main"), "Build");
    set("os", json!("linux"), "Worker");
    set("builddir", json!(format!("/srv/worker/{builder}/build")), "Worker");
    let stamp = SourceStamp {
        branch: Some("main".to_owned()),
        revision: changes.last().map(|last| revision(*last)),
        repository: REPOSITORY.to_owned(),
        project: "widget".to_owned(),
        changes: changes.iter().map(|number| changed(*number)).collect(),
        ..SourceStamp::default()
    };
    Build {
        builder: builder.to_owned(),
        number,
        reason: triggered(),
        source_stamps: vec![stamp],
        requests: Vec::new(),
        properties,
        worker: if builder.starts_with("win") { "local-2" } else { "local-1" }.to_owned(),
        started,
        finished: None,
        results: None,
        text: Vec::new(),
        eta,
        steps: Vec::new(),
    }
}

fn revision(change: i64) -> String {
    format!("5ee7d2b8{:032x}", 0x6c80_4ca7_6094_07b4_04c5_ee7d_2b8f_9a8f_u128.wrapping_mul(change as u128 * 2 + 3))
}

fn changed(number: i64) -> Change {
    let (who, comments) = [
        ("Ada Lovelace <ada@example.org>", "Count the cards before they are turned"),
        (
            "Bob Fairweather <bob@example.org>",
            "Torque: measure twice\n\nThe sensor answers late when it is cold, so the first reading was \
             that of the piece before. See #42 and #43.\n\nSigned-off-by: Bob",
        ),
        ("eve", "Merge branch 'a-branch-whose-name-goes-on-and-on-and-on/and-then-some-more/to-the-end'"),
        ("Grace Hopper <grace@example.org>", "Take the moth out of relay 70, and say so in the log that people read"),
    ][number as usize % 4];
    Change {
        who: who.to_owned(),
        comments: comments.to_owned(),
        files: vec!["src/torque.c".to_owned(), "src/cards/count.c".to_owned(), "docs/relays.rst".to_owned()],
        revision: Some(revision(number)),
        repository: REPOSITORY.to_owned(),
        project: "widget".to_owned(),
        ..change(number + 1)
    }
}

fn text(step: &str, how: Results) -> Vec<Segment> {
    let segment = |channel, text: String| Segment { channel, bytes: text.into_bytes() };
    let mut text =
        vec![segment(Channel::Header, format!("make {step}\n in dir /srv/worker/build (timeout 1200 secs)\n"))];
    if step == "configure" {
        text.push(segment(Channel::Stdout, colours()));
    }
    let lines: String =
        (1..=40).map(|line| format!("[{line:>2}/40] \u{1b}[32mok\u{1b}[0m {step} part {line}\n")).collect();
    text.push(segment(Channel::Stdout, lines));
    match how {
        Results::Failure => {
            let told = "test_torque_when_cold ... \u{1b}[31mFAILED\u{1b}[0m\nassertion failed: torque(-20) == 7.5\n  left: 7.1\n right: 7.5\n  at src/torque.c:118, called with a calibration table that was measured at another temperature and never converted\n";
            text.push(segment(Channel::Stdout, told.to_owned()));
            text.push(segment(Channel::Stderr, "make: *** [Makefile:31: check] Error 1\n".to_owned()));
            text.push(segment(Channel::Header, "program finished with exit code 2\n".to_owned()));
        }
        Results::Warnings => {
            let told = "src/cards/count.c:31:9: warning: unused variable 'moth' [-Wunused-variable]\n";
            text.push(segment(Channel::Stderr, told.to_owned()));
            text.push(segment(Channel::Header, "program finished with exit code 0\n".to_owned()));
        }
        _ => text.push(segment(Channel::Header, "program finished with exit code 0\n".to_owned())),
    }
    text
}

/// Everything a program can do with colours.
fn colours() -> String {
    let one = |codes: String| format!("\u{1b}[{codes}m{codes}\u{1b}[0m ");
    let line = |codes: Vec<String>| codes.into_iter().map(one).collect::<String>() + "\n";
    let row = |first: i32| line((first..first + 8).map(|code| code.to_string()).collect());
    let bold = |first: i32| line((first..first + 8).map(|code| format!("1;97;{code}")).collect());
    let effects =
        ["1", "2", "3", "4", "7", "9", "7;31", "2;33", "4;9", "38;5;208", "48;5;24"].map(str::to_owned).to_vec();
    ["checking for colours\n".to_owned(), row(30), row(90), row(40), row(100), bold(40), line(effects)].concat()
}
