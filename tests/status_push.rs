//! StatusPush: 0.8's packets, to a file, through kills of the whole program.

use crate::support::database::Place;
use crate::support::facts::*;
use crate::support::probe::{House, place};
use crate::support::wait::eventually;
use serde_json::{Value, json};
use signalbox::config::{Catalog, Problems, load_text};
use signalbox::db::{Location, cursors, events, outbox};
use signalbox::model::*;
use signalbox::render::asdict::Urls;
use signalbox::status::outbox::Running;
use signalbox::status::push::Project;
use signalbox::status::push::status_push::{self, Config, StatusPush, To};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn to_file(path: &Path, change: impl FnOnce(&mut Config)) -> StatusPush {
    let mut config = Config::new(To::File(path.to_owned()));
    config.buffer_delay = Duration::from_millis(5);
    config.retry_delay = Duration::from_millis(20);
    change(&mut config);
    push(config)
}

fn push(config: Config) -> StatusPush {
    let project = Project {
        title: "Widget Foundry".to_owned(),
        title_url: "http://widget.example.org/".to_owned(),
        urls: Urls::new("http://127.0.0.1:8710/"),
    };
    StatusPush::new("StatusPush", config, project, Path::new(""))
}

fn packets(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn named<'p>(packets: &'p [Value], event: &str) -> Vec<&'p Value> {
    packets.iter().filter(|packet| packet["event"] == event).map(|packet| &packet["payload"]).collect()
}

async fn start(house: &House, push: StatusPush) -> Running {
    let running = house.start(push);
    eventually(|| house.db.read_blocking(|conn| cursors::get(conn, "StatusPush")).unwrap().is_some()).await;
    running
}

/// A build of one step, from its change to its end.
async fn a_build_runs(house: &House) {
    let change = change(1);
    let request = request(1, 1, "docs");
    let mut running = build("docs", 0);
    running.requests = vec![1];
    running.source_stamps[0].changes.push(change.clone());
    let step = step(&running, 0, "sphinx");
    let step_end = step_ended(&step, 2, Results::Warnings);
    let reference = running.reference();
    let mut finished = ended(&running, Results::Success);
    finished.steps.push(step_end.clone());
    let happened = vec![
        Event::SlaveConnected { slave: Worker { connected: true, ..worker("w1") } },
        Event::ChangeAdded { change },
        Event::BuildsetSubmitted { buildset: buildset(1, &["docs"]) },
        Event::RequestSubmitted { request },
        Event::BuilderChangedState { builder: "docs".to_owned(), state: BigState::Building },
        Event::BuildStarted { build: running.clone() },
        Event::StepStarted { build: reference.clone(), step },
        Event::StepTextChanged { build: reference.clone(), step: 0, text: vec!["half".to_owned()] },
        Event::StepFinished { build: reference, step: step_end, properties: Properties::new() },
        Event::BuildFinished { build: finished },
        Event::BuilderRemoved { builder: "docs".to_owned() },
    ];
    for event in happened {
        house.hub.record(event).await.unwrap();
    }
}

#[actix::test]
async fn a_build_becomes_the_packets_of_0_8() {
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packets.jsonl");
    let house = House::at(&place);
    house.hub.record(Event::BuilderAdded { builder: builder("docs") }).await.unwrap();
    let running = start(&house, to_file(&path, |config| config.filter = false)).await;
    a_build_runs(&house).await;
    running.stop(SOON).await;

    let packets = packets(&path);
    let names: Vec<&str> = packets.iter().map(|packet| packet["event"].as_str().unwrap()).collect();
    let expected = [
        "builderAdded",
        "builderChangedState",
        "start",
        "slaveConnected",
        "changeAdded",
        "buildsetSubmitted",
        "requestSubmitted",
        "builderChangedState",
        "buildStarted",
        "stepStarted",
        "stepFinished",
        "buildFinished",
        "buildedRemoved",
        "shutdown",
    ];
    assert_eq!(names, expected);
    let ids: Vec<i64> = packets.iter().map(|packet| packet["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=14).collect::<Vec<_>>());
    assert!(packets.iter().all(|packet| packet["started"] == packets[0]["started"]));
    assert!(packets.iter().all(|packet| packet["project"] == "Widget Foundry"));

    let added = json!({
        "builder": {
            "basedir": "docs", "cachedBuilds": [], "currentBuilds": [], "pendingBuilds": 0, "schedulers": ["quick"],
            "slaves": ["w1", "w2"], "state": "idle", "tags": ["fast"],
        },
        "builderName": "docs",
    });
    assert_eq!(*named(&packets, "builderAdded")[0], added);
    let status = json!({
        "buildbotURL": "http://127.0.0.1:8710/", "title": "Widget Foundry", "titleURL": "http://widget.example.org/",
    });
    assert_eq!(named(&packets, "start")[0]["status"], status);
    let request = json!({ "builderName": "docs", "builds": [], "source": null, "submittedAt": null });
    assert_eq!(named(&packets, "requestSubmitted")[0]["request"], request);
    let step = named(&packets, "stepFinished")[0];
    assert_eq!(step["step"]["results"], json!([1, []]));
    assert_eq!(step["properties"], json!([["buildnumber", 0, "Build"]]));
    let finished = &named(&packets, "buildFinished")[0]["build"];
    assert_eq!((&finished["results"], &finished["number"], &finished["slave"]), (&json!(0), &json!(0), &json!("w1")));
    assert_eq!(finished["steps"][0]["name"], "sphinx");
}

#[actix::test]
async fn the_filter_drops_what_is_empty_and_zeros_only_when_asked() {
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    for (path, zeros) in [(&ours, false), (&theirs, true)] {
        let place = if zeros { &crate::support::probe::place() } else { &place };
        let house = House::at(place);
        house.hub.record(Event::BuilderAdded { builder: builder("docs") }).await.unwrap();
        let black_list = vec!["changeAdded".to_owned(), "buildedRemoved".to_owned()];
        let push = to_file(path, |config| {
            config.filter_zeros = zeros;
            config.black_list = black_list;
        });
        let running = start(&house, push).await;
        a_build_runs(&house).await;
        running.stop(SOON).await;
    }
    let (ours, theirs) = (packets(&ours), packets(&theirs));
    assert_eq!(named(&ours, "requestSubmitted")[0], &json!({ "request": { "builderName": "docs" } }));
    let (build, their_build) =
        (&named(&ours, "buildFinished")[0]["build"], &named(&theirs, "buildFinished")[0]["build"]);
    assert_eq!((&build["results"], &build["number"]), (&json!(0), &json!(0)));
    assert_eq!((their_build.get("results"), their_build.get("number")), (None, None));
    assert_eq!(build.get("eta"), None);
    for packets in [&ours, &theirs] {
        assert!(named(packets, "changeAdded").is_empty() && named(packets, "buildedRemoved").is_empty());
        let ids: Vec<i64> = packets.iter().map(|packet| packet["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, (1..=ids.len() as i64).collect::<Vec<_>>(), "what is black-listed takes no id");
    }
}

#[actix::test]
async fn a_file_that_cannot_be_written_is_tried_again_and_gets_everything() {
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later/packets.jsonl");
    let house = House::at(&place);
    let running = start(&house, to_file(&path, |_| {})).await;
    a_build_runs(&house).await;
    let degraded = |fact: &Stored| matches!(&fact.event, Event::TargetState { target } if target.state == "degraded");
    let all = || house.db.read_blocking(|conn| events::after(conn, 0, 1000)).unwrap();
    eventually(|| all().iter().any(degraded)).await;
    std::fs::create_dir(folder.path().join("later")).unwrap();
    eventually(|| !named(&packets(&path), "buildFinished").is_empty()).await;
    running.stop(SOON).await;
    let ids: Vec<i64> = packets(&path).iter().map(|packet| packet["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=ids.len() as i64).collect::<Vec<_>>());
}

/// Names the folder of the program that [`the_program_is_killed_again_and_again`] starts and kills.
const FOLDER: &str = "SIGNALBOX_TEST_KILLED";
const PROGRAM: &str = "status_push::changes_flow_into_the_file";

/// Records changes until it is killed, if it was started for that; a few otherwise.
#[actix::test]
async fn changes_flow_into_the_file() {
    let own = tempfile::tempdir().unwrap();
    let killed = std::env::var_os(FOLDER);
    let folder = killed.as_ref().map_or(own.path(), Path::new).to_owned();
    let house = house_in(&folder);
    let last = house.db.read_blocking(|conn| signalbox::db::changes::recent(conn, 1, None)).unwrap();
    let first = last.first().map_or(1, |change| change.number + 1);
    let running = start(&house, to_file(&folder.join("packets.jsonl"), |_| {})).await;
    let mut number = first;
    while killed.is_some() || number < first + 30 {
        let recorded: Vec<_> =
            (0..5).map(|n| house.hub.record(Event::ChangeAdded { change: change(number + n) })).collect();
        for (n, recorded) in (number..).zip(recorded) {
            let seq = recorded.await.unwrap();
            println!("\ntold {n} {seq}");
        }
        number += 5;
    }
    running.stop(SOON).await;
    assert_eq!(named(&packets(&folder.join("packets.jsonl")), "changeAdded").len(), 30);
}

fn house_in(folder: &Path) -> House {
    let location = Location::parse("sqlite:///state.sqlite", folder).unwrap();
    House::at(&Place::of(location))
}

/// Starts the program, lets it tell of some facts, and kills it in the middle. What it said it had stored.
fn run_and_kill(folder: &Path, facts: usize) -> Vec<(i64, Seq)> {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .args(["--exact", PROGRAM, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = |line: String| {
        let (number, seq) = line.strip_prefix("told ")?.split_once(' ')?;
        Some((number.parse().ok()?, seq.parse().ok()?))
    };
    let told: Vec<(i64, Seq)> = lines.filter_map(told).take(facts).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told.len(), facts, "it ended by itself");
    told
}

#[actix::test]
async fn the_program_is_killed_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packets.jsonl");
    let mut told = Vec::new();
    // The packets in the ledger after each kill: what an id stands for may never change.
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for round in 0..12 {
        let kept = folder.path().to_owned();
        let facts = 3 + 17 * (round % 4);
        told.extend(tokio::task::spawn_blocking(move || run_and_kill(&kept, facts)).await.unwrap());
        let db = signalbox::db::Db::open(&Location::parse("sqlite:///state.sqlite", folder.path()).unwrap()).unwrap();
        let ledger = db.read(|conn| outbox::ledger(conn, Some("StatusPush"), None, 1_000_000)).await.unwrap();
        for delivery in ledger {
            assert_eq!(known.entry(delivery.id).or_insert(delivery.payload.clone()), &delivery.payload);
        }
        db.close().await;
    }

    let house = house_in(folder.path());
    let running = start(&house, to_file(&path, |_| {})).await;
    running.stop(SOON).await;
    let stored = house.events().await;
    let changes: BTreeMap<Seq, i64> = stored
        .iter()
        .filter_map(|fact| match &fact.event {
            Event::ChangeAdded { change } => Some((fact.seq, change.number)),
            _ => None,
        })
        .collect();
    for (number, seq) in &told {
        assert_eq!(changes.get(seq), Some(number), "told, but not stored");
    }
    let packets = packets(&path);
    let ids: Vec<i64> = packets.iter().map(|packet| packet["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=ids.len() as i64).collect::<Vec<_>>(), "each id once, in order");
    let pushed: Vec<i64> =
        named(&packets, "changeAdded").iter().map(|payload| payload["change"]["number"].as_i64().unwrap()).collect();
    assert_eq!(pushed, changes.into_values().collect::<Vec<_>>(), "every fact is pushed, once, in order");
    let by_id: BTreeMap<i64, &Value> = known.values().map(|packet| (packet["id"].as_i64().unwrap(), packet)).collect();
    for packet in &packets {
        if let Some(kept) = by_id.get(&packet["id"].as_i64().unwrap()) {
            assert_eq!(*kept, packet);
        }
    }
    assert!(packets.iter().all(|packet| packet["started"] == packets[0]["started"]));
}

/// The StatusPush of a master.cfg that has this text before it and these arguments for it.
fn configured(text: &str, arguments: &str) -> StatusPush {
    let text = format!("c = {{}}\n{text}\nc['status'] = [status.StatusPush({arguments})]\n");
    let catalog = Catalog(vec![status_push::KIND]);
    let section = match load_text("master.cfg", &text, Path::new("/"), &catalog) {
        Ok(config) => config.status[0].clone(),
        Err(problems) => panic!("{problems}"),
    };
    push(Config::read(&section, &mut Problems::default()).unwrap())
}

/// What it has not handed over.
fn unfinished(house: &House) -> Vec<outbox::Delivery> {
    let read = house.db.read_blocking(|conn| {
        let waiting = outbox::unfinished(conn, "StatusPush", "serverPushCb", 100)?;
        outbox::by_ids(conn, &waiting.into_iter().map(|waiting| waiting.id).collect::<Vec<_>>())
    });
    read.unwrap()
}

#[actix::test]
async fn the_function_takes_what_it_pops_and_no_more() {
    let text = "def Process(self):\n    if self.queue.nbItems() > 1:\n        self.queue.popChunk(2)\n    self.queueNextServerPush()\n";
    let place = place();
    let house = House::at(&place);
    let running = start(&house, configured(text, "Process, bufferDelay=0.01, retryDelay=0.02")).await;
    for number in 1..=4 {
        house.hub.record(Event::ChangeAdded { change: change(number) }).await.unwrap();
    }
    // With the start packet there are five; the last stays, as the function does not pop it.
    eventually(|| matches!(&unfinished(&house)[..], [last] if last.payload["id"] == 5)).await;
    running.stop(SOON).await;
    // The farewell keeps it company, and then both are popped. Being offered was no attempt.
    let ledger = house.ledger("StatusPush").await;
    let taken = |delivery: &outbox::Delivery| delivery.state == outbox::State::Delivered && delivery.attempts == 1;
    assert!(ledger.len() == 6 && ledger.iter().all(taken), "{ledger:?}");
}

#[actix::test]
async fn a_function_that_raises_is_offered_everything_again() {
    let text = "def Process(self):\n    self.queue.popChunk()\n    fail('no network')\n";
    let place = place();
    let house = House::at(&place);
    let running = start(&house, configured(text, "serverPushCb=Process, bufferDelay=0, retryDelay=0.01")).await;
    let waiting = || unfinished(&house);
    eventually(|| waiting().first().is_some_and(|delivery| delivery.attempts > 2)).await;
    let detail = waiting()[0].detail.clone().unwrap_or_default();
    running.stop(SOON).await;
    assert!(detail.contains("master.cfg:4: Process") && detail.contains("no network"), "{detail}");
}

#[test]
fn the_options_are_checked() {
    let check = |arguments: &str| {
        let text = format!("c = {{'status': [status.StatusPush({arguments})]}}");
        match load_text("master.cfg", &text, Path::new("/"), &Catalog(vec![status_push::KIND])) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    };
    assert!(check("").contains("serverPushCb: is required"), "{}", check(""));
    assert!(check("file='a', serverPushCb=lambda self: None").contains("not both"));
    assert!(check("file='a', bufferDelay='soon', retryDelay=0, blacklist=[]").matches("StatusPush:").count() >= 3);
    assert!(check("file='a', blacklist=[]").contains("blackList"), "it says what was meant");
}
