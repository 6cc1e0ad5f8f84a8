//! Logs: watched files, limits, and a great deal of text.

use crate::support::master::{Server, with_builders};
use actix::prelude::*;
use signalbox::db::logs;
use signalbox::hub::{Interest, News, Told};
use signalbox::model::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[actix::test]
async fn a_watched_file_becomes_a_log() {
    let steps = "steps.ShellCommand(command='echo one > x.log; sleep 0.5; echo two >> x.log', logfiles={'x': 'x.log', 'never': 'n.log'})";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let build = server.build("b").await;
    let names: Vec<&str> = build.steps[0].logs.iter().map(|log| log.name.as_str()).collect();
    assert_eq!(names, ["stdio", "x", "never"]);
    assert_eq!(server.log(&build, "shell", "x").await, "one\ntwo\n");
    assert!(build.steps[0].logs.iter().all(|log| log.finished));
    assert_eq!(build.steps[0].logs[1].lines, 2);
}

#[actix::test]
async fn lazy_logs_come_with_their_text() {
    let steps =
        "steps.ShellCommand(command='echo one > x.log', logfiles={'x': 'x.log', 'never': 'n.log'}, lazylogfiles=True)";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let build = server.build("b").await;
    let names: Vec<&str> = build.steps[0].logs.iter().map(|log| log.name.as_str()).collect();
    assert_eq!(names, ["stdio", "x"]);
}

#[actix::test]
async fn what_was_in_a_followed_file_before_is_left_out() {
    let steps = "steps.ShellCommand(command='echo old > x.log', name='before'), \
        steps.ShellCommand(command='echo new >> x.log', name='after', logfiles={'x': {'filename': 'x.log', 'follow': True}})";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let build = server.build("b").await;
    assert_eq!(server.log(&build, "after", "x").await, "new\n");
}

#[actix::test]
async fn a_log_over_its_limit_keeps_its_head_and_its_tail() {
    let steps = "steps.ShellCommand(command='echo start; yes x | tr -d \\\"\\\\n\\\" | head -c 5000; echo; echo end', logEnviron=False)";
    let config = with_builders(&[("b", steps)]) + "c['logMaxSize'] = 1000\nc['logMaxTailSize'] = 10\n";
    let server = Server::start(&config).await;
    let build = server.build("b").await;
    let printed = server.printed(&build, "shell").await;
    assert!(printed.starts_with("start\nxxx") && printed.ends_with("xxxxx\nend\n"), "{printed}");
    assert_eq!(printed.len(), 1010);
    let header = server.header(&build, "shell").await;
    assert!(header.contains("The output is longer than 1000 bytes (logMaxSize); the rest is left out.\n"), "{header}");
    assert!(header.contains("4001 bytes left out; the last 10 bytes follow.\n"), "{header}");
}

/// Notes how far a log was said to reach.
struct Listener(Arc<Mutex<Vec<(i64, i64)>>>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Told> for Listener {
    type Result = ();

    fn handle(&mut self, told: Told, _: &mut Context<Self>) {
        if let News::LogGrew(grew) = &told.news {
            self.0.lock().unwrap().push((grew.lines, grew.bytes));
        }
    }
}

#[actix::test]
async fn who_watches_a_build_hears_how_far_its_logs_reach() {
    let steps = "steps.ShellCommand(command='echo a; sleep 0.3; echo b; sleep 0.3; echo c', logEnviron=False)";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Listener(heard.clone()).start();
    let build = BuildRef { builder: "b".into(), number: 0 };
    server.hub.subscribe("listener", Interest::Build(build), listener.recipient(), None).await.unwrap();
    let build = server.build("b").await;
    let log = &build.steps[0].logs[0];
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.last(), Some(&(log.lines, log.bytes)));
    assert!(heard.is_sorted() && heard.len() >= 3, "{heard:?}");
}

/// In a process of its own, as memory is counted by process.
#[actix::test]
async fn two_hundred_megabytes_are_stored_whole_in_little_memory() {
    let mut alone = tokio::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["building::logs::flood", "--exact", "--nocapture"]).env("SIGNALBOX_FLOOD", "yes").kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), alone.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Does nothing unless it is run by the test above.
#[actix::test]
async fn flood() {
    const BYTES: i64 = 200_000_000;
    if std::env::var_os("SIGNALBOX_FLOOD").is_none() {
        return;
    }
    let steps = format!(
        "steps.ShellCommand(command='yes \"a line of a rather long log\" | head -c {BYTES}', logEnviron=False)"
    );
    let server = Server::start(&with_builders(&[("b", &steps)])).await;
    server.connected().await;
    let before = memory("VmRSS:");
    let build = server.build("b").await;
    let grown = memory("VmHWM:") - before;
    assert!(grown < 64 * 1024, "grew by {grown} KiB");
    assert_eq!(build.results, Some(Results::Success));
    let log = &build.steps[0].logs[0];
    // What the master says, but for its last line, is within the first 100 MB.
    let header = i64::try_from(server.header(&build, "shell").await.len()).unwrap();
    assert!((BYTES + header..BYTES + header + 200).contains(&log.bytes), "{} bytes", log.bytes);
    let id = log.id;
    let (last, _) = server.db.read(move |conn| logs::from_byte(conn, id, BYTES - 50, 10_000)).await.unwrap();
    assert!(last.iter().any(|segment| segment.channel == Channel::Header));
}

/// Kibibytes of memory this process holds (`VmRSS:`) or has ever held (`VmHWM:`).
fn memory(what: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
