//! A bug in one part stays in that part.

use crate::support::wait::until;
use serde_json::Value;
use signalbox::app::{self, Program};
use signalbox::config;
use signalbox::db::{Db, Location};
use signalbox::supervise::Report;
use std::path::Path;
use std::time::Duration;

const CONFIG: &str = "
c = BuildmasterConfig = {}
c['workers'] = [worker.LocalWorker('local')]
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'],
    factory=util.BuildFactory([steps.ShellCommand(name='say', command=['echo', 'hello'])]))]
c['schedulers'] = [
    schedulers.SingleBranchScheduler(name='commits', builderNames=['linux'], change_filter=util.ChangeFilter(branch='none')),
    schedulers.Nightly(name='nightly', builderNames=['linux'], hour=3, minute=0, branch='none', onlyIfChanged=True),
    schedulers.ForceScheduler(name='force', builderNames=['linux']),
]
c['change_source'] = changes.GitPoller(repourl='@REPOSITORY@', branch='master', pollInterval=3600)
c['status'] = [
    status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True)),
    status.StatusPush(file='packets.jsonl', bufferDelay=0.05),
]
";

const LIMIT: Duration = Duration::from_secs(60);

#[actix::test]
async fn whichever_part_panics_comes_back_and_the_others_go_on() {
    let repository = crate::support::repository::Repository::new();
    let folder = tempfile::tempdir().unwrap();
    let mut program = start(folder.path(), &repository.url()).await;
    let address = program.addresses().remove(0);
    build(&address, 0).await;

    let paths: Vec<String> = program.tree().reports().into_iter().map(|report| report.path).collect();
    for part in ["StatusHub", "Master", "Janitor", "linux", "local", "commits", "GitPoller", "WebStatus", "StatusPush"]
    {
        assert!(paths.iter().any(|path| path.contains(part)), "{part} is not in the tree: {paths:?}");
    }
    for (number, path) in (1..).zip(&paths) {
        let others: Vec<(String, u64)> = restarts(&program, |report| report.path != *path);
        assert!(program.tree().provoke_panic(path), "{path}");
        until(&format!("{path} is back"), LIMIT, || async {
            let back = |report: &Report| report.path == *path && report.restarts > 0 && report.state == "running";
            program.tree().reports().iter().any(back).then_some(())
        })
        .await;
        build(&address, number).await;
        if !path.starts_with("hub/") {
            assert_eq!(restarts(&program, |report| report.path != *path), others, "{path} took others with it");
        }
    }
    program.end().await;
    // What could not be handed over before the end is handed over after the next start.
    let mut again = start(folder.path(), &repository.url()).await;
    until("the durable target has every build", LIMIT, || async {
        let packets = std::fs::read_to_string(folder.path().join("packets.jsonl")).unwrap();
        let finished = packets.lines().filter(|line| line.contains("\"buildFinished\"")).count();
        (finished == paths.len() + 1).then_some(())
    })
    .await;
    again.end().await;
}

#[actix::test]
async fn a_target_that_keeps_panicking_is_parked_and_the_front_page_says_so() {
    let repository = crate::support::repository::Repository::new();
    let folder = tempfile::tempdir().unwrap();
    let mut program = start(folder.path(), &repository.url()).await;
    let address = program.addresses().remove(0);
    let target = |program: &Program| {
        let reports = program.tree().reports();
        reports.into_iter().find(|report| report.path == "status/StatusPush:packets.jsonl").unwrap()
    };
    until("it is parked", Duration::from_secs(120), || async {
        let report = target(&program);
        if report.state == "running" {
            program.tree().provoke_panic(&report.path);
        }
        (report.state == "parked").then_some(())
    })
    .await;
    let (status, page) = get(&address).await;
    assert_eq!(status, 200);
    assert!(page.contains("StatusPush:packets.jsonl") && page.contains("parked"), "{page}");
    build(&address, 0).await;
    program.end().await;
}

fn restarts(program: &Program, which: impl Fn(&Report) -> bool) -> Vec<(String, u64)> {
    let reports = program.tree().reports();
    reports.into_iter().filter(which).map(|report| (report.path, report.restarts)).collect()
}

async fn start(basedir: &Path, repository: &str) -> Program {
    let file = basedir.join("master.cfg");
    std::fs::write(&file, CONFIG.replace("@REPOSITORY@", repository)).unwrap();
    let config = config::load(&file, &app::catalog()).unwrap();
    let db = Db::open(&Location::parse(&config.db_url, basedir).unwrap()).unwrap();
    Program::start(basedir, config, db).await.unwrap()
}

/// Forces a build and waits for its good end.
async fn build(address: &str, number: i64) {
    let client = awc::Client::builder().disable_redirects().finish();
    let forced = client
        .post(format!("{address}builders/linux/force"))
        .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
        .send_body("forcescheduler=force")
        .await
        .unwrap();
    assert_eq!(forced.status(), 302);
    until(&format!("build {number} is green"), LIMIT, || async {
        let (status, body) = get(&format!("{address}json/builders/linux/builds/{number}")).await;
        let build: Value = serde_json::from_str(&body).unwrap_or_default();
        (status == 200 && build["results"] == 0).then_some(())
    })
    .await;
}

async fn get(address: &str) -> (u16, String) {
    let mut answer = awc::Client::default().get(address).send().await.unwrap();
    let body = answer.body().limit(64 << 20).await.unwrap();
    (answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
}
