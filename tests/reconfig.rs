//! A configuration replaced while it runs, and what of one cannot run.

use crate::support::server::{Server, signalbox};
use serde_json::Value;
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
    let hooks = CONFIG.replace("showInternals=True)", "showInternals=True), change_hook_dialects={'github': True}");
    let idle = format!(
        "{hooks}
c['slavePortnum'] = 'tcp:0'
c['workers'].append(worker.Worker('afar', 'hush'))
c['schedulers'].append(schedulers.Triggerable(name='later', builderNames=['linux']))
c['change_source'] = changes.SVNPoller('svn://svn.example.org/trunk')
c['user_managers'] = [util.CommandlineUserManager('ada', 'hush', port='tcp:0')]
c['status'].append(status.MailNotifier(fromaddr='buildbot@example.org'))
c['status'].append(status.IRC('irc.example.org', 'bot', channels=['#builds']))
"
    );
    let mut server = Server::start(&idle).await;
    let shown = not_running(&server).await;
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    let hook = format!("status/WebStatus:{port}/change_hook/github");
    let paths = [
        "changes/SVNPoller",
        "master/schedulers/later",
        "master/workers/afar",
        "status/CommandlineUserManager",
        "status/IRC",
        "status/MailNotifier",
        hook.as_str(),
    ];
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
    let mail = format!("{CONFIG}c['status'].append(status.MailNotifier(fromaddr='buildbot@example.org'))\n");
    reconfig(&server, &mail);
    assert_eq!(not_running(&server).await.into_keys().collect::<Vec<_>>(), ["status/MailNotifier"]);
    reconfig(&server, CONFIG);
    assert_eq!(not_running(&server).await, BTreeMap::new());
    assert!(!server.get("/").await.1.contains("MailNotifier"));
    server.stop().await;
}
