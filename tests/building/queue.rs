//! The queue: merging, priorities, workers, and the functions that decide.

use crate::support::master::{Server, with_builders};
use crate::support::wait::{eventually, until};
use signalbox::db::{builders, workers};
use signalbox::master::{
    CancelRequest, CleanShutdown, GetOutlook, SetWorkerPaused, ShutDownWorker, StopChange, WhenShutDown,
};
use signalbox::model::*;
use std::time::Duration;

/// Commands that wait until a file is there.
fn gated(name: &str) -> String {
    format!(
        "steps.ShellCommand(command='echo ready; while [ ! -e ../../../../{name} ]; do sleep 0.02; done', timeout=60)"
    )
}

fn open(server: &Server, name: &str) {
    std::fs::write(server.path(name), "").unwrap();
}

async fn gated_server(options: &str) -> Server {
    let config = format!(
        "c = BuildmasterConfig = {{}}
c['workers'] = [worker.LocalWorker('w', max_builds=4)]
f = util.BuildFactory([{}])
{options}
",
        gated("gate")
    );
    Server::start(&config).await
}

const ONE: &str = "c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f)]";
const ONE_BY_ONE: &str =
    "c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f, mergeRequests=False)]";

fn change(number: i64) -> Vec<SourceStamp> {
    let revision = Some(format!("r{number}"));
    let change = Change { number, revision: revision.clone(), ..Change::default() };
    vec![SourceStamp { revision, changes: vec![change], ..SourceStamp::default() }]
}

async fn waiting(server: &Server, id: i64) -> Option<String> {
    server.master.send(GetOutlook).await.unwrap().waiting.get(&id).cloned()
}

async fn waits_because(server: &Server, id: i64, why: &str) {
    let asked = || async { waiting(server, id).await.filter(|found| found == why) };
    until(&format!("request {id} waits because {why}"), Duration::from_secs(60), asked).await;
}

#[actix::test]
async fn compatible_requests_are_built_as_one() {
    let server = gated_server(ONE).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let second = server.request_with("b", change(1), Properties::new()).await;
    let third = server.request_with("b", change(2), Properties::new()).await;
    waits_because(&server, third.id, "no worker is free").await;
    open(&server, "gate");
    let build = server.built(&third).await;
    assert_eq!((build.number, &build.requests), (1, &vec![second.id, third.id]));
    assert_eq!(build.source_stamps[0].revision.as_deref(), Some("r2"));
    assert_eq!(build.changes().map(|change| change.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(server.built(&first).await.requests, [first.id]);
    assert_eq!(waiting(&server, third.id).await, None);
}

#[actix::test]
async fn merging_can_be_forbidden_or_decided() {
    for (option, expected) in [
        ("mergeRequests=False", [1, 2, 3]),
        ("mergeRequests=lambda builder, a, b: True", [1, 1, 1]),
        ("mergeRequests=lambda builder, a, b: builder.name == 'b' and a.reason != b.reason", [1, 2, 3]),
        ("mergeRequests=lambda builder, a, b: fail('no')", [1, 2, 3]),
    ] {
        let builder = format!("c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f, {option})]");
        let server = gated_server(&builder).await;
        server.request("b").await;
        server.output("b", "shell", "ready").await;
        let mut requests = Vec::new();
        for _ in 0..3 {
            requests.push(server.request("b").await);
        }
        open(&server, "gate");
        let mut numbers = Vec::new();
        for request in &requests {
            numbers.push(server.built(request).await.number);
        }
        assert_eq!(numbers, expected, "{option}");
    }
}

#[actix::test]
async fn a_higher_priority_goes_first() {
    let server = gated_server(ONE_BY_ONE).await;
    server.request("b").await;
    server.output("b", "shell", "ready").await;
    let usual = server.request("b").await;
    let mut properties = Properties::new();
    properties.set("priority", 5, "Scheduler");
    let urgent = server.request_with("b", Vec::new(), properties).await;
    open(&server, "gate");
    assert_eq!(server.built(&urgent).await.number, 1);
    assert_eq!(server.built(&usual).await.number, 2);
}

#[actix::test]
async fn next_build_chooses_the_request() {
    let server = gated_server(
        "
def last(builder, requests):
    return requests[-1]
c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f, mergeRequests=False, nextBuild=last)]",
    )
    .await;
    server.request("b").await;
    server.output("b", "shell", "ready").await;
    let one = server.request("b").await;
    let two = server.request("b").await;
    waits_because(&server, two.id, "no worker is free").await;
    open(&server, "gate");
    assert_eq!(server.built(&two).await.number, 1);
    assert_eq!(server.built(&one).await.number, 2);
}

#[actix::test]
async fn next_slave_and_can_start_build_choose_the_worker() {
    let server = gated_server("
c['workers'] = [worker.LocalWorker('w'), worker.LocalWorker('v')]
def pick(builder, choices):
    for choice in choices:
        if choice.slave.slavename == 'v':
            return choice
    return None
c['builders'] = [
    util.BuilderConfig(name='b', workernames=['w', 'v'], factory=f, nextSlave=pick),
    util.BuilderConfig(name='c', workernames=['w', 'v'], factory=f, canStartBuild=lambda builder, worker, request: worker.slavename == 'v'),
    util.BuilderConfig(name='d', workernames=['w'], factory=f, canStartBuild=lambda builder, worker, request: False),
]").await;
    open(&server, "gate");
    assert_eq!(server.build("b").await.worker, "v");
    assert_eq!(server.build("c").await.worker, "v");
    let never = server.request("d").await;
    waits_because(&server, never.id, "canStartBuild said no").await;
}

#[actix::test]
async fn builders_share_workers_in_the_order_of_their_requests_or_as_configured() {
    for (prioritize, expected) in [
        ("", ["second", "first"]),
        (
            "c['prioritizeBuilders'] = lambda master, builders: sorted(builders, key=lambda b: b.name)",
            ["first", "second"],
        ),
    ] {
        let server = gated_server(&format!(
            "c['workers'] = [worker.LocalWorker('w', max_builds=1)]
c['builders'] = [util.BuilderConfig(name=name, workernames=['w'], factory=f) for name in ['busy', 'first', 'second']]
{prioritize}"
        ))
        .await;
        server.request("busy").await;
        server.output("busy", "shell", "ready").await;
        let second = server.request("second").await;
        let first = server.request("first").await;
        open(&server, "gate");
        server.built(&second).await;
        server.built(&first).await;
        let started: Vec<String> = server
            .facts()
            .await
            .into_iter()
            .filter_map(|fact| match fact {
                Event::BuildStarted { build } if build.builder != "busy" => Some(build.builder),
                _ => None,
            })
            .collect();
        assert_eq!(started, expected);
    }
}

#[actix::test]
async fn a_worker_runs_several_builders_but_one_build_of_each() {
    let server = gated_server("c['builders'] = [util.BuilderConfig(name=name, workernames=['w'], factory=f, mergeRequests=False) for name in ['a', 'b']]").await;
    server.request("a").await;
    server.request("b").await;
    server.running("a", 0, "shell").await;
    server.running("b", 0, "shell").await;
    let again = server.request("a").await;
    waits_because(&server, again.id, "no worker is free").await;
    open(&server, "gate");
    assert_eq!(server.built(&again).await.number, 1);
}

#[actix::test]
async fn a_cancelled_request_is_not_built() {
    let server = gated_server(ONE_BY_ONE).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let second = server.request("b").await;
    let with_change = server.request_with("b", change(7), Properties::new()).await;
    let third = server.request("b").await;
    server.master.send(CancelRequest { id: second.id }).await.unwrap().unwrap();
    assert!(server.master.send(CancelRequest { id: second.id }).await.unwrap().is_err());
    assert!(server.master.send(CancelRequest { id: first.id }).await.unwrap().is_err());
    assert!(server.master.send(CancelRequest { id: 999 }).await.unwrap().is_err());
    let stop = |builder: Option<&str>| StopChange { change: 7, builder: builder.map(str::to_owned) };
    assert_eq!(server.master.send(stop(Some("other"))).await.unwrap(), Ok(0));
    assert_eq!(server.master.send(stop(None)).await.unwrap(), Ok(1));
    open(&server, "gate");
    assert_eq!(server.built(&third).await.number, 1);
    for id in [second.id, with_change.id] {
        let found = server.db.read(move |conn| signalbox::db::requests::find(conn, id)).await.unwrap().unwrap();
        assert_eq!((found.results, found.builds.len()), (Some(Results::Cancelled), 0));
    }
}

#[actix::test]
async fn a_paused_worker_takes_nothing_until_it_is_not() {
    let server = Server::start(&with_builders(&[("b", "steps.ShellCommand(command='true')")])).await;
    let pause = |paused| SetWorkerPaused { worker: "w".into(), paused };
    server.master.send(pause(true)).await.unwrap().unwrap();
    let request = server.request("b").await;
    waits_because(&server, request.id, "all workers are paused").await;
    let folder = server.stop().await;
    // It stays paused over a restart.
    let server = Server::start_in(folder, &with_builders(&[("b", "steps.ShellCommand(command='true')")])).await;
    waits_because(&server, request.id, "all workers are paused").await;
    server.master.send(pause(false)).await.unwrap().unwrap();
    assert_eq!(server.built(&request).await.number, 0);
    let facts: Vec<&str> = server.facts().await.iter().map(Event::name).filter(|name| name.contains("aused")).collect();
    assert_eq!(facts, ["slavePaused", "slaveUnpaused"]);
    let unknown = SetWorkerPaused { worker: "x".into(), paused: true };
    assert_eq!(server.master.send(unknown).await.unwrap().unwrap_err().to_string(), "no worker named \"x\"");
}

#[actix::test]
async fn a_worker_told_to_go_ends_its_build_first() {
    let server = gated_server(ONE_BY_ONE).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    server.master.send(ShutDownWorker { worker: "w".into() }).await.unwrap().unwrap();
    let second = server.request("b").await;
    waits_because(&server, second.id, "all workers are shutting down").await;
    assert!(server.master.send(GetOutlook).await.unwrap().graceful.contains("w"));
    open(&server, "gate");
    assert_eq!(server.built(&first).await.results, Some(Results::Success));
    waits_because(&server, second.id, "no worker is connected").await;
    server.until("the worker to leave", |conn| Ok(workers::find(conn, "w")?.filter(|worker| !worker.connected))).await;
}

#[actix::test]
async fn a_clean_shutdown_lets_builds_end_and_starts_none() {
    let server = gated_server(ONE_BY_ONE).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    server.master.send(CleanShutdown { cancel: false }).await.unwrap();
    let second = server.request("b").await;
    waits_because(&server, second.id, "the master is shutting down").await;
    let mut ended = Box::pin(server.master.send(WhenShutDown));
    assert!(futures::poll!(&mut ended).is_pending());
    open(&server, "gate");
    ended.await.unwrap();
    assert!(server.built(&first).await.finished.is_some());
    assert_eq!(waiting(&server, second.id).await.as_deref(), Some("the master is shutting down"));
    server.master.send(CleanShutdown { cancel: true }).await.unwrap();
    assert_eq!(server.built(&second).await.number, 1);
}

#[actix::test]
async fn a_builder_that_panics_is_back_with_its_queue() {
    let server = gated_server(ONE_BY_ONE).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let second = server.request("b").await;
    for path in ["master/builders/b", "master/workers/w", "master/distributor", "master/master"] {
        assert!(server.tree.provoke_panic(path), "{path}");
        let tree = server.tree.clone();
        eventually(move || tree.reports().iter().any(|r| r.path == path && r.restarts > 0 && r.state == "running"))
            .await;
    }
    let third = server.request("b").await;
    open(&server, "gate");
    let builds = [server.built(&first).await, server.built(&second).await, server.built(&third).await];
    assert_eq!(builds.each_ref().map(|build| build.number), [0, 1, 2]);
    assert!(builds.iter().all(|build| build.results == Some(Results::Success)));
}

#[actix::test]
async fn a_builder_whose_builds_end_at_the_same_moment_is_idle() {
    let config = format!(
        "c = BuildmasterConfig = {{}}
c['workers'] = [worker.LocalWorker('w'), worker.LocalWorker('v')]
f = util.BuildFactory([{}])
c['builders'] = [util.BuilderConfig(name='b', workernames=['w', 'v'], factory=f, mergeRequests=False)]
",
        gated("gate")
    );
    let server = Server::start(&config).await;
    let (one, other) = (server.request("b").await, server.request("b").await);
    server.running("b", 0, "shell").await;
    server.running("b", 1, "shell").await;
    open(&server, "gate");
    // Slow commits: what both builds have to say on their way to the end meets in each.
    let ends = futures::future::join(server.built(&one), server.built(&other));
    let slow = async {
        loop {
            let pause = |_: &mut _| {
                std::thread::sleep(Duration::from_millis(100));
                Ok(())
            };
            server.db.write(pause).await.unwrap();
        }
    };
    tokio::select! {
        _ = ends => {}
        () = slow => {}
    }
    let idle = |conn: &mut _| Ok(builders::find(conn, "b")?.filter(|builder| builder.state == BigState::Idle));
    server.until("the builder to be idle", idle).await;
}
