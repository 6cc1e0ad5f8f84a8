//! What a dead master leaves behind, and what its successor makes of it.

use crate::support::master::{Server, is_alive, with_builders};
use crate::support::wait::eventually;
use signalbox::model::*;

#[actix::test]
async fn an_orderly_stop_records_running_builds_as_retry_and_their_requests_wait() {
    let config = with_builders(&[(
        "b",
        "steps.ShellCommand(command='echo $$ > ../../../../pid; echo ready; [ -e ../../../../again ] || sleep 60')",
    )]);
    let server = Server::start(&config).await;
    let request = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let pid: i32 = std::fs::read_to_string(server.path("pid")).unwrap().trim().parse().unwrap();
    let folder = server.stop().await;
    assert!(!is_alive(pid));
    std::fs::write(folder.path().join("again"), "").unwrap();
    let server = Server::start_in(folder, &config).await;
    let build = server.built(&request).await;
    assert_eq!((build.number, build.results), (1, Some(Results::Success)));
    let before = server.find("b", 0).await;
    assert_eq!((before.results, before.text.clone()), (Some(Results::Retry), vec!["retry".to_owned()]));
    assert_eq!(before.steps[0].results, Some(Results::Retry));
    assert!(server.log(&before, "shell", "interrupt").await.contains("made again"));
    assert!(server.printed(&before, "shell").await.contains("ready\n"));
}

#[actix::test]
async fn a_build_a_dead_master_left_running_is_repaired_and_made_again() {
    let config = with_builders(&[(
        "b",
        "steps.ShellCommand(command='echo ready; [ -e ../../../../again ] || sleep 60'), steps.ShellCommand(command='true')",
    )]);
    let server = Server::start(&config).await;
    let request = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let folder = server.crash().await;
    std::fs::write(folder.path().join("again"), "").unwrap();
    let server = Server::start_in(folder, &config).await;
    let build = server.built(&request).await;
    assert_eq!((build.number, build.results), (1, Some(Results::Success)));
    let before = server.find("b", 0).await;
    assert_eq!(
        (before.results, before.full_text()),
        (Some(Results::Retry), vec!["retry".into(), "interrupted".into()])
    );
    assert_eq!((before.steps[0].results, before.steps[1].results), (Some(Results::Retry), None));
    let log = server.log(&before, "shell", "stdio").await;
    assert!(log.contains("ready\n") && log.contains("Signalbox ended while this was running."), "{log}");
    assert!(before.steps[0].logs.iter().all(|log| log.finished));
    assert!(server.db.read(signalbox::db::builds::running).await.unwrap().is_empty());
}

#[actix::test]
async fn estimates_outlive_the_master() {
    let config = with_builders(&[(
        "b",
        "steps.ShellCommand(command='sleep 0.3'), steps.ShellCommand(command='echo ready; sleep 0.3')",
    )]);
    let server = Server::start(&config).await;
    let first = server.build("b").await;
    assert_eq!((first.eta, first.steps[0].expected_seconds), (None, None));
    let folder = server.stop().await;
    let server = Server::start_in(folder, &config).await;
    let request = server.request("b").await;
    let running = server.running("b", 1, "shell").await;
    let left = running.eta.expect("it is known by now").since(running.started).as_secs_f64();
    assert!((0.5..5.0).contains(&left), "{left}");
    assert!(running.steps.iter().all(|step| step.expected_seconds.is_some_and(|seconds| seconds >= 0.25)));
    assert_eq!(server.built(&request).await.eta, None);
}

/// The guard's part, played by the kernel's and its own rules: this very test program runs a second one of itself,
/// which starts a command with a child and is then killed.
#[actix::test]
async fn commands_die_with_a_master_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut victim = std::process::Command::new(program)
        .args(["building::crashing::victim", "--exact", "--nocapture"])
        .env("SIGNALBOX_VICTIM", folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid =
        |name: &str| -> Option<i32> { std::fs::read_to_string(folder.path().join(name)).ok()?.trim().parse().ok() };
    eventually(|| pid("leader").is_some() && pid("child").is_some()).await;
    let (leader, child) = (pid("leader").unwrap(), pid("child").unwrap());
    assert!(is_alive(leader) && is_alive(child));
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually(|| !is_alive(leader) && !is_alive(child)).await;
}

/// Does nothing unless it is run by the test above.
#[actix::test]
async fn victim() {
    let Some(folder) = std::env::var_os("SIGNALBOX_VICTIM") else { return };
    let folder = std::path::Path::new(&folder).display();
    let command = format!("echo $$ > {folder}/leader; sleep 300 & echo $! > {folder}/child; sleep 300");
    let server = Server::start(&with_builders(&[("b", &format!("steps.ShellCommand(command='{command}')"))])).await;
    let request = server.request("b").await;
    server.built(&request).await;
}

#[actix::test]
async fn numbers_have_neither_gaps_nor_repeats_over_crashes() {
    let config = with_builders(&[("b", "steps.ShellCommand(command='sleep 0.05')")])
        .replace("name='b',", "name='b', mergeRequests=False,");
    let mut folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    for _ in 0..5 {
        let server = Server::start_in(folder, &config).await;
        for _ in 0..3 {
            server.request("b").await;
        }
        server.until("a build", |conn| Ok(signalbox::db::builds::running(conn)?.pop())).await;
        folder = server.crash().await;
    }
    let server = Server::start_in(folder, &config).await;
    server
        .until("an empty queue", |conn| {
            let busy = !signalbox::db::requests::pending(conn, None)?.is_empty()
                || !signalbox::db::builds::running(conn)?.is_empty();
            Ok((!busy).then_some(()))
        })
        .await;
    let mut numbers = server.db.read(|conn| signalbox::db::builds::numbers(conn, "b", 1000)).await.unwrap();
    numbers.reverse();
    assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>());
    let started = server.facts().await.into_iter().filter(|fact| fact.name() == "buildStarted").count();
    let finished = server.facts().await.into_iter().filter(|fact| fact.name() == "buildFinished").count();
    assert_eq!((started, finished), (numbers.len(), numbers.len()));
}
