//! master.cfg: what loads, what is wrong and where, functions of it within their limits, secrets that never print.

use serde_json::{Value, json};
use signalbox::config::*;
use signalbox::model::*;
use signalbox::status;
use std::path::Path;
use std::time::{Duration, Instant};

fn catalog() -> Catalog {
    let mut kinds = status::kinds();
    kinds.extend(signalbox::changes::kinds());
    Catalog(kinds)
}

fn read(text: &str) -> Result<Config, Problems> {
    load_text("master.cfg", text, Path::new("/nonexistent"), &catalog())
}

fn data(name: &str) -> String {
    std::fs::read_to_string(Path::new("tests/data/config").join(name)).unwrap()
}

/// The problems of a file are printed exactly as its `.txt` has them; `UPDATE=1` writes that.
fn check(name: &str) {
    let printed = read(&data(&format!("{name}.cfg"))).expect_err(name).to_string();
    let expected = Path::new("tests/data/config").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&expected, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(&expected).unwrap_or_default(), "{name}; UPDATE=1 rewrites it");
}

#[test]
fn every_problem_is_printed_with_its_place_and_a_suggestion() {
    for name in [
        "syntax",
        "python",
        "names",
        "misspelt",
        "builders",
        "schedulers",
        "steps",
        "targets",
        "web",
        "globals",
        "evaluation",
        "recursion",
        "scope",
        "secrets",
        "empty",
    ] {
        check(name);
    }
}

#[test]
fn what_the_manual_lets_people_write_loads() {
    let config = read(&data("accepted.cfg")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.title, "Ünï and more");
    assert_eq!(config.builders.len(), 3);
    assert_eq!(config.builders[0].workers, ["bot1", "bot2"]);
    assert_eq!(config.builders[1].steps.len(), 4);
    assert_eq!(config.builders[1].workerbuilddir, "t");
    assert_eq!(config.workers.len(), 4);
    assert_eq!(config.schedulers.len(), 11);
    assert_eq!(config.change_sources.len(), 6);
    assert_eq!(config.pb_port.as_deref(), Some("tcp:9989:interface=127.0.0.1"));
    assert_eq!(config.horizons, Horizons { builds: Some(100), logs: Some(40), events: Some(50), changes: Some(200) });
    let SchedulerKind::Nightly(nightly) = &config.schedulers[7].kind else { panic!("{:?}", config.schedulers[7]) };
    assert_eq!(nightly.hour.as_ref().unwrap().len(), 12);
    assert_eq!((nightly.minute.as_deref(), &nightly.month), (Some([0].as_slice()), &None));
    let web: Vec<_> = config.status.iter().filter(|target| target.kind == "status.WebStatus").collect();
    let hooks = status::web::Config::read(web[2], &mut Problems::default());
    assert_eq!(hooks.change_hook_dialects.len(), 10);
    assert_eq!(hooks.template_folders, [Path::new("/tmp/mypath"), Path::new("templates2")]);
    assert!(config.notes.iter().any(|note| note.message.contains("manhole")), "{:?}", config.notes);
    let revlink = config.revlink.unwrap();
    let link = revlink.call_blocking(vec![Arg::Json("abc".into()), Arg::Json("git://example.org/git/x".into())]);
    assert_eq!(link.unwrap(), "http://git.example.org/x/commit/abc");
}

/// What stands before each block of `manual.cfg`.
const BEGINNING: &str = "\
from buildbot.plugins import *
c = BuildmasterConfig = {}
c['workers'] = [worker.LocalWorker('local'), buildslave.BuildSlave('slave1', 'hush')]
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'], factory=util.BuildFactory())]
c['status'] = []
";

#[test]
fn each_example_of_the_chapter_on_status_targets_loads_by_itself() {
    let examples = data("manual.cfg");
    let mut made = 0;
    for example in examples.split("\n#### ").skip(1) {
        let (title, text) = example.split_once('\n').unwrap();
        let outcome = read(&format!("{BEGINNING}{text}"));
        if let Some((_, targets)) = title.split_once(" ->") {
            let config = outcome.unwrap_or_else(|problems| panic!("{title}: {problems}"));
            let kinds: Vec<&str> = config.status.iter().map(|target| target.short_kind()).collect();
            assert_eq!(kinds.join(", "), targets.trim(), "{title}");
            made += kinds.len();
        } else {
            let (_, expected) = title.split_once(" !! ").unwrap();
            let problems = outcome.expect_err(title).to_string();
            assert!(problems.contains(expected), "{title}: {problems}");
        }
    }
    assert!(made > 30, "only {made} targets were made");
}

#[test]
fn a_formatter_written_for_0_8_makes_its_letter() {
    let config = read(&data("accepted.cfg")).unwrap();
    let mut mails = config.status.iter().filter(|target| target.kind == "status.MailNotifier");
    let last = status::mail::Config::read(mails.next_back().unwrap(), &mut Problems::default()).unwrap();
    let mut build = a_build();
    let mut step = Step::new(0, "compile");
    step.finished = Some(Time::from_seconds(9));
    step.results = Some(Results::Failure);
    step.logs = vec![Log { id: 7, name: "stdio".into(), kind: LogKind::Text, finished: true, lines: 2, bytes: 9 }];
    build.steps = vec![step];
    let archive = Archive {
        logs: std::sync::Arc::new(|id| Ok(format!("log <{id}>\nlast line\n"))),
        builds: std::sync::Arc::new(|_, _| Ok(None)),
    };
    let args = vec![
        Arg::Json(json!(["failing"])),
        Arg::Json("linux".into()),
        Arg::Object(build_object(&build, Some(&archive))),
        Arg::Json(2.into()),
        Arg::Object(status_object("T", "http://t/", "http://b/")),
    ];
    let letter = last.message_formatter.unwrap().call_blocking(args).unwrap();
    let body = letter["body"].as_str().unwrap();
    for part in
        ["FAILURE", "http://b/builders/linux/builds/3", "[branch main] abc", "log &lt;7&gt;", "ann@example.org at "]
    {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert_eq!((letter["type"].as_str(), letter["subject"].as_str()), (Some("html"), Some("002")));
}

fn a_build() -> Build {
    let change = Change { number: 5, who: "ann@example.org".into(), files: vec!["a.c".into()], ..Change::default() };
    let stamp = SourceStamp {
        branch: Some("main".into()),
        revision: Some("abc".into()),
        changes: vec![change],
        ..SourceStamp::default()
    };
    Build {
        builder: "linux".into(),
        number: 3,
        reason: "it changed".into(),
        source_stamps: vec![stamp],
        requests: vec![1],
        properties: Properties::new(),
        worker: "w".into(),
        started: Time::from_seconds(1),
        finished: None,
        results: None,
        text: Vec::new(),
        eta: None,
        steps: Vec::new(),
    }
}

/// The functions in `c['properties']`'s stead: a configuration with one function as `prioritizeBuilders`.
fn function(text: &str) -> Callback {
    read(&format!("c = {{}}\n{text}\nc['prioritizeBuilders'] = f\n"))
        .unwrap_or_else(|p| panic!("{p}"))
        .prioritize_builders
        .unwrap()
}

#[test]
fn functions_that_do_not_end_are_ended() {
    for (text, why) in [
        ("def f():\n  x = 0\n  for i in range(1000000000):\n    x += i\n  return x\n", "longer than"),
        ("def f():\n  x = [i for i in range(1000000000) if i < 0]\n  return x\n", "longer than"),
        ("def f(n = 0):\n  return f(n + 1)\n", "levels deep"),
        ("def f():\n  l = [1]\n  for i in range(60):\n    l = l + l\n  return len(l)\n", "memory"),
        ("def f():\n  l = []\n  for i in range(100000000):\n    l.append('x' * 100 + str(i))\n  return len(l)\n", ""),
    ] {
        let started = Instant::now();
        let error = function(text).call_blocking(Vec::new()).unwrap_err();
        assert!(error.message.contains(why), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30), "{error} after {:?}", started.elapsed());
    }
}

#[test]
fn a_function_that_fails_says_where() {
    let error = function("def g(b):\n  return b.getNmae()\ndef f(b):\n  return g(b)\n")
        .call_blocking(vec![Arg::Object(builder_object(&builder()))])
        .unwrap_err();
    assert_eq!((error.place.as_str(), error.name.as_str()), ("master.cfg:3", "f"));
    assert!(error.message.contains("getNmae"), "{error}");
}

#[actix::test]
async fn a_function_is_called_from_anywhere() {
    let f = function("def f(builder, requests):\n  return [r for r in requests if r.id == 8][0]\n");
    let requests = [7, 8].map(|id| Arg::Object(request_object(&request(id)))).to_vec();
    let answer = f.call(vec![Arg::Object(builder_object(&builder())), Arg::List(requests)]).await;
    assert_eq!(answer.unwrap(), json!({ "$object": "BuildRequest", "$id": 8 }));
}

#[test]
fn requests_of_the_same_branch_may_be_merged() {
    let f = function("def f(builder, one, other):\n  return one.canBeMergedWith(other)\n");
    let builder = || Arg::Object(builder_object(&builder()));
    let mut other = request(2);
    let merged = |a: &BuildRequest, b: &BuildRequest| {
        f.call_blocking(vec![builder(), Arg::Object(request_object(a)), Arg::Object(request_object(b))]).unwrap()
    };
    assert_eq!(merged(&request(1), &other), true);
    other.source_stamps[0].branch = Some("devel".into());
    assert_eq!(merged(&request(1), &other), false);
}

fn builder() -> Builder {
    Builder {
        name: "linux".into(),
        basedir: "linux".into(),
        description: None,
        tags: vec!["t".into()],
        workers: vec!["w".into()],
        schedulers: Vec::new(),
        state: BigState::Idle,
    }
}

fn request(id: i64) -> BuildRequest {
    BuildRequest {
        id,
        buildset: 1,
        builder: "linux".into(),
        source_stamps: a_build().source_stamps,
        reason: String::new(),
        properties: Properties::new(),
        priority: 0,
        submitted_at: Time::from_seconds(1),
        builds: Vec::new(),
        complete_at: None,
        results: None,
    }
}

#[test]
fn placeholders_are_filled_as_the_manual_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "hush\n").unwrap();
    let secrets = Secrets::in_folder(folder.path());
    let mut properties = Properties::new();
    for (name, value) in [("a", json!("A")), ("empty", json!("")), ("n", json!(7)), ("none", Value::Null)] {
        properties.set(name, value, "Test");
    }
    let stamps = a_build().source_stamps;
    let context = RenderContext { properties: &properties, source_stamps: &stamps, secrets: &secrets, build: None };
    for (written, filled) in [
        ("util.Interpolate('%(prop:a)s-%(prop:missing)s-%(prop:n)03d-%%')", "A--007-%"),
        ("util.Interpolate('%(prop:missing:-x)s %(prop:empty:-x)s %(prop:empty:~x)s')", "x  x"),
        ("util.Interpolate('%(prop:a:+there)s%(prop:missing:+there)s')", "there"),
        ("util.Interpolate('%(prop:a:?|y|n)s %(prop:empty:#?|y|n)s %(prop:missing:?:y:n)s')", "y n n"),
        ("util.Interpolate('%(prop:got:-%(src::revision:-unknown)s)s')", "abc"),
        ("util.Interpolate('%(src::branch)s %(src:lib:branch:-none)s')", "main none"),
        ("util.Interpolate('%(kw:x)s', x=util.Property('a'))", "A"),
        ("util.Interpolate('%s+%s', util.Property('a'), 'b')", "A+b"),
        ("util.Interpolate('%(secret:key)s')", "hush"),
        ("util.Property('empty', default='d')", "d"),
        ("util.Property('empty', default='d', defaultWhenFalse=False)", ""),
        ("util.Property('missing', default=util.Property('a'))", "A"),
        ("util.WithProperties('%s/%s', 'a', 'n')", "A/7"),
        ("util.WithProperties('%(a)s %(missing:-x)s %(empty:~x)s %(a:+y)s')", "A x x y"),
        ("util.renderer(lambda props: props.getProperty('a') + props.getProperty('zz', 'z') + props['a'])", "AzA"),
    ] {
        let text = format!(
            "c = {{}}\nc['workers'] = [worker.LocalWorker('w')]\n\
             c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], env={{'X': {written}}}, factory=util.BuildFactory())]\n"
        );
        let config = read(&text).unwrap_or_else(|problems| panic!("{written}: {problems}"));
        assert_eq!(config.builders[0].env[0].1.render_text(&context).unwrap(), filled, "{written}");
    }
}

#[test]
fn a_secret_never_prints() {
    let text = data("accepted.cfg");
    let config = read(&text).unwrap();
    let printed = format!("{config:?}");
    let listed = read(&data("secrets.cfg")).unwrap_err().to_string();
    for secret in ["hush", "secret-pass", "somesecretpassword", "MY-SECRET", "mypassword", "githubAPIToken", "FSP3p"] {
        assert!(!printed.contains(secret), "{secret} in the configuration");
    }
    assert!(!listed.contains("hush-"), "{listed}");

    let wherever = "c = {}\nc['db_url'] = 'postgresql://bot:hush@db.example.org/bb?password=hush'\n\
        c['properties'] = {'key': 'hush'}\nc['workers'] = [worker.LocalWorker('w', properties={'key': 'hush'})]\n\
        git = steps.Git(repourl='https://bot:hush@git.example.org/x', env={'KEY': 'hush'})\n\
        c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=util.BuildFactory([git]))]\n\
        c['change_source'] = changes.GitPoller('https://bot:hush@git.example.org/x')\n";
    let printed = format!("{:?}", read(wherever).unwrap());
    assert!(!printed.contains("hush"), "{printed}");
    assert!(printed.contains("changes.GitPoller(repourl) at master.cfg:7"), "{printed}");
}

#[test]
fn what_did_not_change_is_equal_wherever_it_stands() {
    let text = "c = {}\nc['workers'] = [worker.LocalWorker('w')]\n\
                c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=util.BuildFactory([steps.Test()]))]\n\
                c['status'] = [status.IRC('h', 'n', ['#x'], tags=['t'])]\n";
    let (before, after) = (read(text).unwrap(), read(&format!("# a new line\n{text}")).unwrap());
    assert_eq!((&before.builders, &before.workers, &before.status), (&after.builders, &after.workers, &after.status));
    let other = read(&text.replace("['t']", "['u']")).unwrap();
    assert_ne!(before.status, other.status);
}

#[test]
fn the_sample_is_good_for_any_repository() {
    for repository in ["/srv/project", "/home/Ann \"A\" B\\C/x y", "https://example.org/x.git"] {
        let text = sample(&Sample { basedir: "master", repository, branch: "main", title: "It's \"x\"" });
        let config = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.builders.len(), 2);
        assert!(config.builders.iter().all(|builder| !builder.tags.is_empty() && builder.steps.len() >= 4));
        assert_eq!(config.change_sources[0].options["repourl"], repository);
        assert!(config.notes.is_empty(), "{:?}", config.notes);
    }
}
