//! A configuration replaced while it runs, and what of one cannot run.

use crate::support::server::{Server, signalbox};
use serde_json::Value;
use signalbox::db::{Db, Location};
use std::collections::BTreeMap;

const CONFIG: &str = "
c = BuildmasterConfig = {}
c['workers'] = [worker.LocalWorker('local')]
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'],
    factory=util.BuildFactory([steps.ShellCommand(name='say', command=['echo', 'hello'])]))]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['linux'])]
c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1',
    authz=util.Authz(forceBuild=True, showInternals=True))]
";

/// Puts this configuration in force, as an operator does.
fn reconfig(server: &Server, config: &str) {
    std::fs::write(server.config_file(), config).unwrap();
    let done = signalbox().arg("reconfig").arg(server.basedir()).output().unwrap();
    assert!(done.status.success(), "{}\n{}", String::from_utf8_lossy(&done.stderr), server.errors());
}

/// State and reason of every part that does not run, by its path.
async fn not_running(server: &Server) -> BTreeMap<String, (String, String)> {
    let reports = server.json("/json/supervision").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let down = reports.as_array().unwrap().iter().filter(|report| report["state"] != "running");
    down.map(|report| (text(&report["path"]), (text(&report["state"]), text(&report["last_reason"])))).collect()
}

#[actix::test]
async fn what_is_configured_and_cannot_run_is_shown_until_it_is_removed() {
    let idle = format!(
        "{CONFIG}
c['slavePortnum'] = 'tcp:0'
c['workers'].append(worker.Worker('afar', 'hush'))
c['schedulers'].append(schedulers.Triggerable(name='later', builderNames=['linux']))
c['change_source'] = changes.PBChangeSource()
c['status'].append(status.HttpStatusPush('http://127.0.0.1:1/'))
"
    );
    let mut server = Server::start(&idle).await;
    let shown = not_running(&server).await;
    let paths = ["changes/PBChangeSource", "master/schedulers/later", "master/workers/afar", "status/HttpStatusPush"];
    assert_eq!(shown.keys().map(String::as_str).collect::<Vec<_>>(), paths, "{}", server.errors());
    assert!(shown.values().all(|(state, reason)| state == "not started" && !reason.is_empty()), "{shown:?}");
    for page in ["/", "/about/supervision"] {
        let (status, text) = server.get(page).await;
        assert_eq!(status, 200);
        for path in paths {
            assert!(text.contains(path), "{page} does not show {path}: {text}");
        }
    }
    server.stop().await;

    std::fs::write(server.config_file(), CONFIG).unwrap();
    server.restart();
    assert_eq!(not_running(&server).await, BTreeMap::new());
    let push = format!("{CONFIG}c['status'].append(status.HttpStatusPush('http://127.0.0.1:1/'))\n");
    reconfig(&server, &push);
    assert_eq!(not_running(&server).await.into_keys().collect::<Vec<_>>(), ["status/HttpStatusPush"]);
    reconfig(&server, CONFIG);
    assert_eq!(not_running(&server).await, BTreeMap::new());
    assert!(!server.get("/").await.1.contains("HttpStatusPush"));
    server.stop().await;
}

#[actix::test]
async fn a_removed_target_takes_its_cursor_and_what_it_had_not_sent_with_it() {
    let pushing = |options: &str| format!("{CONFIG}c['status'].append(status.StatusPush({options}))\n");
    // The first cannot be written to: its folder is not there.
    let stuck = pushing("file='missing/packets.jsonl', bufferDelay=0.01, retryDelay=0.05");
    let mut server = Server::start(&stuck).await;
    server.post("/builders/linux/force", "forcescheduler=force").await;
    server.finished("linux", 0).await;
    let unsent = server.json("/json/deliveries?target=StatusPush:missing/packets.jsonl&count=1000").await;
    let unsent = unsent.as_array().unwrap().clone();
    assert!(!unsent.is_empty() && unsent.iter().all(|delivery| delivery["state"] != "delivered"), "{unsent:?}");

    // Other settings are no other target.
    reconfig(&server, &stuck.replace("retryDelay=0.05", "retryDelay=60"));
    let ids = |deliveries: &[Value]| deliveries.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    let after = server.json("/json/deliveries?target=StatusPush:missing/packets.jsonl&count=1000").await;
    let after = after.as_array().unwrap().clone();
    assert!(after.iter().all(|delivery| delivery["state"] != "dropped"), "{after:?}");
    assert!(ids(&unsent).iter().all(|id| ids(&after).contains(id)), "{after:?}");

    reconfig(&server, &pushing("file='packets.jsonl', bufferDelay=0.01"));
    let gone = server.json("/json/deliveries?target=StatusPush:missing/packets.jsonl&count=1000").await;
    let gone = gone.as_array().unwrap();
    assert!(gone.len() >= after.len() && gone.iter().all(|delivery| delivery["state"] == "dropped"), "{gone:?}");
    let said = format!("StatusPush:missing/packets.jsonl is no longer configured; {} deliveries", gone.len());
    assert!(server.errors().contains(&said), "{said}: {}", server.errors());
    server.stop().await;
    assert_eq!(cursors(&server), ["StatusPush:packets.jsonl"]);

    // Removed while nothing runs it goes at the next start.
    std::fs::write(server.config_file(), CONFIG).unwrap();
    server.restart();
    server.stop().await;
    assert_eq!(cursors(&server), [""; 0]);
}

/// The targets whose place in the event log is kept.
fn cursors(server: &Server) -> Vec<String> {
    let db = Db::open(&Location::parse("sqlite:///state.sqlite", server.basedir()).unwrap()).unwrap();
    db.read_blocking(signalbox::db::cursors::targets).unwrap()
}
