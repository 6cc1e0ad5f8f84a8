//! What tests of all pollers do: have them look, and wait for what they find.

use super::master::{self, with_builders};
use super::server::Server;
use super::wait::{eventually, until};
use super::yard::{Yard, configured};
use actix::Recipient;
use serde_json::Value;
use signalbox::changes::Running;
use signalbox::clock::Clock;
use signalbox::db::builds;
use signalbox::master::{AddChange, Setup};
use signalbox::model::{Build, Change, Results, Time};
use signalbox::supervise::Strategy;
use std::sync::Arc;
use std::time::Duration;

/// Waits until it has looked once, and all was well.
pub async fn begun(poller: Running) -> Running {
    eventually(|| poller.status().last_poll.is_some()).await;
    assert_eq!(poller.status().last_error, None);
    poller
}

/// Polls, and waits until this many changes are there in all.
pub async fn found(yard: &Yard, poller: &Running, count: usize) -> Vec<Change> {
    poller.poll_now();
    let db = yard.db().clone();
    let all = move || db.read_blocking(|conn| signalbox::db::changes::after(conn, 0, 100_000)).unwrap();
    eventually(|| all().len() >= count).await;
    // A further look finds nothing more.
    looked(yard, poller).await;
    let all = all();
    assert_eq!(all.len(), count, "{all:#?}");
    all
}

/// Polls once from beginning to end.
pub async fn looked(yard: &Yard, poller: &Running) {
    for _ in 0..2 {
        let moment = Time(yard.setup.clock.now().0 + 1);
        yard.setup.clock.set(moment);
        poller.poll_now();
        eventually(|| poller.status().last_poll == Some(moment)).await;
    }
}

/// Waits until something is wrong, and says what.
pub async fn complaint(poller: &Running) -> String {
    eventually(|| poller.status().last_error.is_some()).await;
    let complaint = poller.status().last_error.unwrap();
    assert!(!complaint.contains('\n'), "{complaint}");
    complaint
}

pub fn revisions(changes: &[Change]) -> Vec<&str> {
    changes.iter().filter_map(|change| change.revision.as_deref()).collect()
}

/// Has a master build what a poller finds, with these further options of its scheduler; the build, which is of what
/// `commit` made.
pub async fn built(
    options: &str,
    start: impl FnOnce(&Setup, Recipient<AddChange>) -> Running,
    commit: impl FnOnce() -> String,
) -> Build {
    let config = with_builders(&[("linux", "steps.ShellCommand(command=['true'])")])
        + &format!(
            "c['schedulers'] = [schedulers.SingleBranchScheduler(name='quick', builderNames=['linux']{options})]\n"
        );
    let server = master::Server::start(&config).await;
    let setup = Setup {
        db: server.db.clone(),
        hub: server.hub.clone(),
        clock: Clock::system(),
        group: server.tree.group("changes", Strategy::OneForOne),
        basedir: server.folder.path().to_owned(),
        config: Arc::new(configured("")),
    };
    let poller = begun(start(&setup, server.master.clone().recipient())).await;
    let revision = commit();
    let build = server
        .until("it to be built", |conn| {
            let newest = builds::find(conn, "linux", -1)?;
            Ok(newest.filter(|build| build.finished.is_some()))
        })
        .await;
    assert_eq!(build.results, Some(Results::Success));
    assert_eq!(build.source_stamps[0].revision.as_deref(), Some(revision.as_str()));
    poller.stop().await;
    server.stop().await;
    build
}

/// A repository of any kind, for tests that only want it to grow.
pub trait Growing {
    /// One more, as its revision.
    fn grow(&self) -> String;
    fn grow_by(&self, count: usize);
    /// All from this one on, the oldest first.
    fn since(&self, first: &str) -> Vec<String>;
}

/// The running server is killed again and again while it polls; each revision becomes a change and a build all the same,
/// once and in order. `poller` is its call in master.cfg.
pub async fn survives_being_killed(repository: &impl Growing, poller: &str) {
    let config = format!(
        "
c = BuildmasterConfig = {{}}
c['workers'] = [worker.LocalWorker('local')]
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'], factory=util.BuildFactory())]
c['schedulers'] = [schedulers.SingleBranchScheduler(name='quick', builderNames=['linux'])]
c['change_source'] = {poller}
c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1')]
"
    );
    let mut server = Server::start(&config).await;
    // The first look makes no changes of what is there, and when it comes nobody says.
    let first = until("a commit to be noticed", Duration::from_secs(60), || async {
        repository.grow();
        let changes = server.json("/json/changes").await;
        changes.as_array().unwrap().last().map(|change| change["revision"].as_str().unwrap().to_owned())
    })
    .await;
    for round in 0..12 {
        let before = server.changes().await;
        repository.grow_by(20);
        // In all parts of its work: before it has begun, and after so many of them.
        let some = before + round * 7 % 20;
        until("some changes", Duration::from_secs(60), async || (server.changes().await >= some).then_some(())).await;
        server.kill_and_restart().await;
    }
    let last = repository.grow();
    let built = |event: &Value| {
        let changes = &event["buildset"]["source_stamps"][0]["changes"];
        (event["event"] == "buildsetSubmitted" && changes[0]["revision"] == last.as_str()).then_some(())
    };
    server.event("the last commit to be built", built).await;

    let events = server.events().await;
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    let expected = repository.since(&first);
    let changes = of("changeAdded");
    let revisions: Vec<&str> = changes.iter().map(|event| event["change"]["revision"].as_str().unwrap()).collect();
    assert_eq!(revisions, expected);
    let buildsets = of("buildsetSubmitted");
    let built: Vec<&str> = buildsets
        .iter()
        .map(|event| event["buildset"]["source_stamps"][0]["changes"][0]["revision"].as_str().unwrap())
        .collect();
    assert_eq!(built, expected);
    server.stop().await;
}

/// A server that takes connections and never says a word.
pub struct Silence(std::net::TcpListener);

impl Silence {
    pub fn new() -> Silence {
        Silence(std::net::TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }
}

/// A web server that lets nobody in. It serves as many requests as it is asked to.
pub fn refusing_server(requests: usize) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().take(requests) {
            let mut connection = connection.unwrap();
            let lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let request: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let answer = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            assert!(!request.is_empty() && connection.write_all(answer.as_bytes()).is_ok());
        }
    });
    address
}

/// A program that writes down how it is called and then does what another does.
pub struct Witness {
    folder: tempfile::TempDir,
}

impl Witness {
    pub fn of(program: &str) -> Witness {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("witness");
        let calls = folder.path().join("calls");
        let text = format!("#!/bin/sh\necho \"$$ $*\" >> '{}'\nexec {program} \"$@\"\n", calls.display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        Witness { folder }
    }

    pub fn program(&self) -> String {
        self.folder.path().join("witness").to_str().unwrap().to_owned()
    }

    /// The arguments of each call.
    pub fn calls(&self) -> Vec<String> {
        self.lines().into_iter().map(|(_, arguments)| arguments).collect()
    }

    /// Whether all it was called for has ended.
    pub fn is_over(&self) -> bool {
        let runs = |id: &str| std::path::Path::new("/proc").join(id).exists();
        self.lines().iter().all(|(id, _)| !runs(id))
    }

    fn lines(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        let line = |line: &str| line.split_once(' ').map(|(id, rest)| (id.to_owned(), rest.to_owned()));
        text.lines().filter_map(line).collect()
    }
}
