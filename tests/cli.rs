//! The commands, run as an operator runs them.

use crate::support::repository::Repository;
use crate::support::server::{Server, signalbox};
use crate::support::wait::until;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

const PLAIN: &str = "
c = BuildmasterConfig = {}
c['workers'] = [worker.LocalWorker('local')]
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'],
    factory=util.BuildFactory([steps.ShellCommand(name='say', command=['echo', 'hello'])]))]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['linux'])]
c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True))]
";

/// The first command of the README, in a checkout of its own.
#[actix::test]
async fn started_in_a_checkout_it_builds_it_and_notices_the_next_commit() {
    let repository = Repository::new();
    let made = signalbox().args(["create-master", "master"]).current_dir(repository.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let file = repository.path().join("master/master.cfg");
    let sample = fs::read_to_string(&file).unwrap();
    assert!(sample.contains("8010"), "the sample listens where the README says");
    fs::write(&file, sample.replace("8010", "0")).unwrap();
    assert_eq!(repository.git(&["status", "--porcelain"]), "", "the master is not in the way of git");

    let mut child = signalbox()
        .arg("start")
        .current_dir(repository.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.into_iter().find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned())).unwrap();
    let server = Remote(address);

    let until_green = |builds: i64| {
        let server = &server;
        until("every builder is green", Duration::from_secs(120), move || async move {
            let builders = server.json("json/builders").await;
            let names: Vec<&String> = builders.as_object().unwrap().keys().collect();
            for name in &names {
                let build = server.json(&format!("json/builders/{name}/builds/{}", builds - 1)).await;
                if build["results"] != 0 {
                    assert!(build["results"].is_null(), "{name}: {build}");
                    return None;
                }
            }
            Some(names.len())
        })
    };
    assert!(until_green(1).await >= 2);

    let before = Instant::now();
    let revision = repository.commit("a second commit", &[("second", "2\n")]);
    let noticed = until("the commit becomes a change and a build", Duration::from_secs(15), || async {
        let changes = server.json("json/changes").await;
        let change = changes.as_array().or_else(|| changes["changes"].as_array()).unwrap().first()?.clone();
        let builders = server.json("json/builders").await;
        let built = builders.as_object().unwrap().values().any(|builder| builder["state"] == "building");
        (change["revision"] == revision && built).then_some(change)
    });
    assert_eq!(noticed.await["comments"], "a second commit");
    assert!(before.elapsed() < Duration::from_secs(15));
    until_green(2).await;

    let stopped = signalbox().arg("stop").current_dir(repository.path()).output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(child.wait().unwrap().success());
}

#[actix::test]
async fn a_broken_file_is_reported_whole_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let broken = PLAIN.replace("builderNames=['linux']", "builderNames=['linx']").replace("authz=", "authzz=");
    fs::write(folder.path().join("master.cfg"), broken).unwrap();
    for command in ["checkconfig", "start"] {
        let output = run(command, folder.path());
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("2 problems found"), "{said}");
        assert!(said.contains("master.cfg:6:") && said.contains("linx"), "{said}");
        assert!(said.contains("master.cfg:7:") && said.contains("did you mean \"authz\"?"), "{said}");
    }
    assert!(!folder.path().join("state.sqlite").exists(), "nothing was started");
}

#[test]
fn targets_that_could_not_be_told_apart_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let notifier = |more: &str| {
        format!(
            "c['status'].append(status.MailNotifier(fromaddr='a@example.org', extraRecipients=['b@example.org']{more}))\n"
        )
    };
    let write = |second: &str| {
        let text = format!("c = {{}}\nc['status'] = []\n{}{}", notifier(""), notifier(second));
        fs::write(folder.path().join("master.cfg"), text).unwrap();
        run("checkconfig", folder.path())
    };
    let alike = write(", relayhost='elsewhere'");
    assert_eq!(alike.status.code(), Some(2));
    let said = String::from_utf8(alike.stderr).unwrap();
    assert!(said.contains("master.cfg:4: status.MailNotifier: there is one like it at master.cfg:3"), "{said}");
    assert!(write(", mode='problem'").status.success() && write(", name='second'").status.success());
}

#[actix::test]
async fn a_port_in_use_is_said_in_a_sentence() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("master.cfg"), PLAIN.replace("tcp:0", &format!("tcp:{port}"))).unwrap();
    let output = run("start", folder.path());
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}: address in use")), "{said}");
}

#[actix::test]
async fn it_runs_once_in_a_folder_and_ends_when_told() {
    let mut server = Server::start(PLAIN).await;
    let second = run("start", server.basedir());
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(&format!("running in {} already", server.basedir().display())), "{said}");
    server.stop().await;
    let stop = run("stop", server.basedir());
    assert_eq!(stop.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stop.stderr).contains("nothing is running"));
}

#[actix::test]
async fn a_reconfig_changes_what_changed_and_a_broken_file_changes_nothing() {
    let mut server = Server::start(PLAIN).await;
    let address = server.address().to_owned();
    let builders = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();

    let more =
        "c['builders'].append(util.BuilderConfig(name='mac', workernames=['local'], factory=util.BuildFactory([])))\n";
    fs::write(server.config_file(), format!("{PLAIN}{more}")).unwrap();
    let good = run("reconfig", server.basedir());
    assert!(good.status.success(), "{good:?}");
    assert_eq!(builders(&server.json("/json/builders").await), ["linux", "mac"]);
    assert_eq!(server.address(), address, "the web server was left alone");

    fs::write(server.config_file(), "c = {\n").unwrap();
    let bad = run("reconfig", server.basedir());
    assert_eq!(bad.status.code(), Some(2));
    server.signal(libc::SIGHUP);
    server.post("/builders/linux/force", "forcescheduler=force").await;
    assert_eq!(server.finished("linux", 0).await["results"], 0, "the running configuration stays");
    assert_eq!(builders(&server.json("/json/builders").await), ["linux", "mac"]);
    server.stop().await;
}

#[actix::test]
async fn a_database_it_cannot_use_is_said_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("master.cfg"), PLAIN).unwrap();
    let file = folder.path().join("state.sqlite");
    fs::write(&file, "this is no database, but somebody's notes, and they are to be kept\n".repeat(50)).unwrap();
    let before = fs::read(&file).unwrap();
    let output = run("start", folder.path());
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("state.sqlite"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[actix::test]
async fn fill_makes_history_that_is_there_after_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("master.cfg"), PLAIN).unwrap();
    let filled = signalbox().arg("fill").arg(folder.path()).args(["--builds", "300"]).output().unwrap();
    assert!(filled.status.success(), "{filled:?}");
    let mut server = Server::start_in(folder).await;
    let last = server.json("/json/builders/linux/builds/-1").await;
    assert_eq!(last["number"], 299);
    server.post("/builders/linux/force", "forcescheduler=force").await;
    assert_eq!(server.finished("linux", 300).await["results"], 0);
    server.stop().await;
}

#[test]
fn create_master_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run("create-master", folder.path()).status.success());
    let again = run("create-master", folder.path());
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing was changed"));
    assert!(run("checkconfig", folder.path()).status.success(), "the sample is good");
    let mode = fs::metadata(folder.path().join("master.cfg")).unwrap().permissions().mode();
    assert_eq!(mode & 0o022, 0, "only its owner may change what is run");
}

fn run(command: &str, basedir: &Path) -> Output {
    signalbox().arg(command).arg(basedir).output().unwrap()
}

/// A server that was not started by the support.
struct Remote(String);

impl Remote {
    async fn json(&self, path: &str) -> Value {
        let mut answer = awc::Client::default().get(format!("{}{path}", self.0)).send().await.unwrap();
        let body = answer.body().limit(64 << 20).await.unwrap();
        serde_json::from_slice(&body).unwrap_or_default()
    }
}
