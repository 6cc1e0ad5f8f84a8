//! Killed at any moment, nothing that was told is lost, doubled or left half.

use crate::support::noise::Noise;
use crate::support::server::Server;
use crate::support::wait::until;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Two builders that are always busy, and a durable target that writes what it is told to a file.
const CONFIG: &str = "
c = BuildmasterConfig = {}
c['workers'] = [worker.LocalWorker('local', max_builds=2)]
quick = util.BuildFactory([
    steps.ShellCommand(name='say', command='echo begun; sleep 0.05; echo done'),
    steps.ShellCommand(name='nap', command='sleep 0.1; echo rested'),
])
c['builders'] = [
    util.BuilderConfig(name='one', workernames=['local'], factory=quick, tags=['a']),
    util.BuilderConfig(name='two', workernames=['local'], factory=quick, mergeRequests=False),
]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['one', 'two'])]
c['status'] = [
    status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True, forceAllBuilds=True)),
    status.StatusPush(file='packets.jsonl', bufferDelay=0.05),
]
";

const KILLS: usize = 100;

#[actix::test]
async fn killed_a_hundred_times_it_keeps_every_fact_it_told() {
    let mut server = Server::start(CONFIG).await;
    let mut told: BTreeMap<i64, Value> = BTreeMap::new();
    let mut noise = Noise(20_261_122);
    for _ in 0..KILLS {
        server.post("/builders/_all/forceall", "forcescheduler=force").await;
        let alive = Duration::from_millis(50 + noise.below(450));
        follow_for(&server, &mut told, alive).await;
        server.kill_and_restart().await;
    }
    let idle = || async {
        let builders = server.json("/json/builders").await;
        let quiet = |builder: &Value| {
            builder["state"] == "idle" && builder["pendingBuilds"] == 0 && builder["currentBuilds"] == json!([])
        };
        builders.as_object().unwrap().values().all(quiet).then_some(())
    };
    until("all builds have ended", Duration::from_secs(120), idle).await;

    let stored: BTreeMap<i64, Value> =
        server.events().await.into_iter().map(|event| (event["seq"].as_i64().unwrap(), event)).collect();
    for (seq, event) in &told {
        assert_eq!(stored.get(seq), Some(event), "event {seq} was told and is not stored as it was");
    }
    build_numbers_have_no_gap_or_repeat(&stored);
    no_build_is_left_running(&server, &stored).await;
    server.stop().await;
    every_event_was_delivered_and_each_id_means_one_packet(&server, &stored);
}

/// Takes in what a subscriber is told, until `time` is over.
async fn follow_for(server: &Server, told: &mut BTreeMap<i64, Value>, time: Duration) {
    let follow = async {
        let mut since = told.keys().next_back().copied().unwrap_or(0);
        loop {
            let Some(answer) = server.try_json(&format!("/json/events?since={since}&wait=5")).await else { return };
            for event in answer["events"].as_array().unwrap() {
                told.insert(event["seq"].as_i64().unwrap(), event.clone());
            }
            // Those not shown to us count too.
            since = answer["last"].as_i64().unwrap();
        }
    };
    // Running out of time is how it always ends.
    let _ = tokio::time::timeout(time, follow).await;
}

fn build_numbers_have_no_gap_or_repeat(stored: &BTreeMap<i64, Value>) {
    for builder in ["one", "two"] {
        let started = stored.values().filter(|e| e["event"] == "buildStarted" && e["build"]["builder"] == builder);
        let numbers: Vec<i64> = started.map(|event| event["build"]["number"].as_i64().unwrap()).collect();
        assert!(numbers.len() > KILLS / 10, "{builder} was built only {} times", numbers.len());
        assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>(), "{builder}");
    }
}

async fn no_build_is_left_running(server: &Server, stored: &BTreeMap<i64, Value>) {
    let builds = |name: &str| {
        let told = stored.values().filter(|event| event["event"] == name).map(|event| &event["build"]);
        let mut builds: Vec<String> = told.map(|build| format!("{} #{}", build["builder"], build["number"])).collect();
        builds.sort();
        builds
    };
    let builders = server.json("/json/builders").await;
    assert_eq!(builds("buildStarted"), builds("buildFinished"), "{builders}\n{}", server.errors());
    let retried = stored.values().filter(|e| e["event"] == "buildFinished" && e["build"]["results"] == 5).count();
    assert!(retried > 0, "no build was interrupted, so nothing was tried");
    for builder in ["one", "two"] {
        let state = server.json(&format!("/json/builders/{builder}")).await;
        assert_eq!(state["currentBuilds"], json!([]));
    }
}

fn every_event_was_delivered_and_each_id_means_one_packet(server: &Server, stored: &BTreeMap<i64, Value>) {
    let text = std::fs::read_to_string(server.basedir().join("packets.jsonl")).unwrap();
    let mut packets: BTreeMap<i64, Value> = BTreeMap::new();
    for line in text.lines() {
        // A line the kill cut short is written again in full.
        let Ok(packet) = serde_json::from_str::<Value>(line) else { continue };
        let id = packet["id"].as_i64().unwrap();
        if let Some(before) = packets.insert(id, packet.clone()) {
            assert_eq!(before, packet, "packet {id} has had two meanings");
        }
    }
    let finished = |events: &mut dyn Iterator<Item = (&Value, &Value)>| {
        let mut builds: Vec<(String, i64)> =
            events.map(|(builder, number)| (builder.as_str().unwrap().to_owned(), number.as_i64().unwrap())).collect();
        builds.sort();
        builds.dedup();
        builds
    };
    let stored = stored.values().filter(|event| event["event"] == "buildFinished").map(|event| &event["build"]);
    let sent = packets.values().filter(|packet| packet["event"] == "buildFinished");
    let sent = sent.map(|packet| &packet["payload"]["build"]);
    assert_eq!(
        finished(&mut sent.map(|build| (&build["builderName"], &build["number"]))),
        finished(&mut stored.map(|build| (&build["builder"], &build["number"]))),
    );
}
