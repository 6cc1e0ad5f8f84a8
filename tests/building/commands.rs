//! Commands of a local worker: how they start, what they are given, how they end, and that nothing of them is left.

use crate::support::master::{Server, is_alive, with_builders};
use crate::support::wait::eventually;
use signalbox::master::StopBuild;
use signalbox::model::*;
use std::time::{Duration, Instant};

async fn run(step: &str) -> (Server, Build) {
    let server = Server::start(&with_builders(&[("b", step)])).await;
    let build = server.build("b").await;
    (server, build)
}

fn pid_in(server: &Server, name: &str) -> Option<i32> {
    std::fs::read_to_string(server.path(name)).ok()?.trim().parse().ok()
}

#[actix::test]
async fn a_list_is_run_as_it_is_and_a_string_by_the_shell() {
    let steps = "steps.ShellCommand(command=['echo', 'a  b', '$HOME']), steps.ShellCommand(command='echo c | tr c d')";
    let (server, build) = run(steps).await;
    assert_eq!(build.results, Some(Results::Success));
    assert_eq!(build.text, ["build", "successful"]);
    assert_eq!(server.printed(&build, "shell").await, "a  b $HOME\n");
    assert_eq!(server.printed(&build, "shell_1").await, "d\n");
    assert_eq!(build.steps[0].text, ["'echo", "a  b", "...'"]);
    assert!(build.steps.iter().all(|step| step.text2.is_empty()));
}

#[actix::test]
async fn standard_output_and_standard_error_are_told_apart() {
    let (server, build) = run("steps.ShellCommand(command='echo out; sleep 0.1; echo err >&2')").await;
    let segments = server.segments(&build, "shell", "stdio").await;
    let of = |channel| {
        segments.iter().filter(move |s| s.channel == channel).flat_map(|s| s.bytes.clone()).collect::<Vec<u8>>()
    };
    assert_eq!(of(Channel::Stdout), b"out\n");
    assert_eq!(of(Channel::Stderr), b"err\n");
    let header = server.header(&build, "shell").await;
    assert!(header.starts_with("echo out; sleep 0.1; echo err >&2\n in "), "{header}");
    assert!(header.contains("/workers/w/b/build, at most 1200 s without output\n"), "{header}");
    assert!(header.contains("ended with exit code 0 after "), "{header}");
}

#[actix::test]
async fn unwanted_channels_are_not_kept() {
    let (server, build) =
        run("steps.ShellCommand(command='echo out; echo err >&2', want_stdout=False, want_stderr=True)").await;
    assert_eq!(server.printed(&build, "shell").await, "err\n");
}

#[actix::test]
async fn bytes_that_are_not_utf8_are_kept() {
    let (server, build) = run(r"steps.ShellCommand(command=['printf', '\\377\\376\\0x\\n'])").await;
    let segments = server.segments(&build, "shell", "stdio").await;
    let printed: Vec<u8> =
        segments.into_iter().filter(|s| s.channel == Channel::Stdout).flat_map(|s| s.bytes).collect();
    assert_eq!(printed, b"\xff\xfe\0x\n");
}

#[actix::test]
async fn a_command_that_does_not_exist_fails_with_its_name() {
    let (server, build) = run("steps.ShellCommand(command=['no-such-program', 'x'])").await;
    assert_eq!(build.results, Some(Results::Failure));
    assert_eq!(build.steps[0].text, ["'no-such-program", "x'", "failed"]);
    assert_eq!(build.steps[0].text2, ["shell"]);
    assert_eq!(build.full_text(), ["failed", "shell"]);
    let header = server.header(&build, "shell").await;
    assert!(header.contains("The command was not started: no-such-program: there is no such program\n"), "{header}");
}

#[actix::test]
async fn a_command_that_may_not_be_executed_or_has_no_directory_says_so() {
    let (server, build) = run("steps.ShellCommand(command=['/etc/passwd'], haltOnFailure=False), \
         steps.ShellCommand(command=['true'], workdir='/dev/null/x')")
    .await;
    let header = server.header(&build, "shell").await;
    assert!(header.contains("/etc/passwd: it may not be executed\n"), "{header}");
    let header = server.header(&build, "shell_1").await;
    assert!(header.contains("not started: cannot make /dev/null/x: "), "{header}");
    assert_eq!(build.results, Some(Results::Failure));
}

#[actix::test]
async fn a_command_that_dies_by_a_signal_fails_and_says_which() {
    let (server, build) = run("steps.ShellCommand(command='echo before; kill -SEGV $$')").await;
    assert_eq!(build.steps[0].results, Some(Results::Failure));
    assert!(server.header(&build, "shell").await.contains("killed by signal 11 (SIGSEGV) after "));
}

#[actix::test]
async fn exit_codes_are_decoded() {
    let step = |code: i32| {
        format!(
            "steps.ShellCommand(command='exit {code}', flunkOnFailure=False, decodeRC={{0: util.SUCCESS, 3: util.WARNINGS, 4: util.SKIPPED}})"
        )
    };
    let (_server, build) = run(&[3, 4, 5, 0].map(step).join(", ")).await;
    let results: Vec<Results> = build.steps.iter().map(|step| step.results.unwrap()).collect();
    assert_eq!(results, [Results::Warnings, Results::Skipped, Results::Failure, Results::Success]);
}

#[actix::test]
async fn a_silent_command_is_killed_after_its_timeout() {
    let (server, build) = run("steps.ShellCommand(command='echo a; sleep 60', timeout=1)").await;
    assert_eq!(build.results, Some(Results::Failure));
    let header = server.header(&build, "shell").await;
    assert!(header.contains("no output for 1 s; killing it with SIGKILL\n"), "{header}");
    assert!(header.contains("killed by signal 9 (SIGKILL)"), "{header}");
}

#[actix::test]
async fn a_talking_command_is_killed_after_its_max_time() {
    let began = Instant::now();
    let (server, build) = run("steps.ShellCommand(command='while :; do echo x; sleep 0.05; done', maxTime=1)").await;
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(build.results, Some(Results::Failure));
    assert!(server.header(&build, "shell").await.contains("longer than 1 s in all; killing it with SIGKILL\n"));
}

#[actix::test]
async fn with_sigterm_time_a_command_may_tidy_up() {
    let step = "steps.ShellCommand(command='trap \"echo tidied; exit 7\" TERM; echo ready; while :; do sleep 0.05; done', maxTime=1, sigtermTime=30)";
    let (server, build) = run(step).await;
    let printed = server.printed(&build, "shell").await;
    assert!(printed.starts_with("ready\n") && printed.contains("tidied\n"), "{printed}");
    let header = server.header(&build, "shell").await;
    assert!(header.contains("ending it with SIGTERM, in 30 s with SIGKILL"), "{header}");
    assert!(header.contains("ended with exit code 7"), "{header}");
}

#[actix::test]
async fn a_command_deaf_to_sigterm_is_killed_all_the_same() {
    let step = "steps.ShellCommand(command='trap \"\" TERM; while :; do sleep 0.05; done', maxTime=1, sigtermTime=1)";
    let (server, build) = run(step).await;
    assert!(server.header(&build, "shell").await.contains("killed by signal 9"));
}

#[actix::test]
async fn children_a_command_leaves_behind_are_killed() {
    let (server, build) = run("steps.ShellCommand(command='sleep 300 & echo $! > ../../../../pid; echo done')").await;
    assert_eq!(build.results, Some(Results::Success));
    let pid = pid_in(&server, "pid").unwrap();
    eventually(|| !is_alive(pid)).await;
}

#[actix::test]
async fn stopping_kills_the_whole_group() {
    let steps = "steps.ShellCommand(command='sleep 300 & echo $! > ../../../../pid; echo ready; sleep 300')";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let request = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let pid = pid_in(&server, "pid").unwrap();
    assert!(is_alive(pid));
    let build = BuildRef { builder: "b".into(), number: 0 };
    server.master.send(StopBuild { build, reason: "enough".into() }).await.unwrap().unwrap();
    let build = server.built(&request).await;
    assert!(!is_alive(pid));
    assert_eq!(build.results, Some(Results::Exception));
}

#[actix::test]
async fn a_command_reads_what_it_is_given() {
    let (server, build) = run("steps.ShellCommand(command=['cat'], initialStdin='hello\\nworld\\n')").await;
    assert_eq!(server.printed(&build, "shell").await, "hello\nworld\n");
}

#[actix::test]
async fn without_input_a_command_reads_nothing() {
    let (server, build) = run("steps.ShellCommand(command='cat; echo end', timeout=30)").await;
    assert_eq!(server.printed(&build, "shell").await, "end\n");
}

#[actix::test]
async fn the_environment_is_the_workers_then_the_builders_then_the_steps() {
    let config = "c = BuildmasterConfig = {}
c['workers'] = [worker.LocalWorker('w')]
f = util.BuildFactory([steps.ShellCommand(
    command='echo $A $B $C; echo $LIST; echo \"<$HOME>\"; echo $PATH',
    env={'B': 'step', 'C': util.Interpolate('%(prop:buildername)s'), 'LIST': ['/x', '/y'], 'HOME': None, 'PATH': ['/first', '${PATH}', '${NO_SUCH_VARIABLE}']},
    logEnviron=False), steps.ShellCommand(command='true', env={'SHOWN': 'here'})])
c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f, env={'A': 'builder', 'B': 'builder'})]
";
    let server = Server::start(config).await;
    let build = server.build("b").await;
    let path = std::env::var("PATH").unwrap();
    assert_eq!(server.printed(&build, "shell").await, format!("builder step b\n/x:/y\n<>\n/first:{path}:\n"));
    assert!(!server.header(&build, "shell").await.contains("environment:"));
    assert!(server.header(&build, "shell_1").await.contains("\n  SHOWN=here\n"));
}

#[actix::test]
async fn secrets_are_given_and_never_shown() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/token"), "hush-hush\n").unwrap();
    let step = "steps.ShellCommand(command=['sh', '-c', util.Interpolate('echo \"%(secret:token)s\" $T | tee ../seen')], \
        env={'T': util.Interpolate('<%(secret:token)s>')})";
    let config = with_builders(&[("b", step)]) + "c['secretsProviders'] = [secrets.SecretInAFile(dirname='secrets')]\n";
    let server = Server::start_in(folder, &config).await;
    let build = server.build("b").await;
    let seen = std::fs::read_to_string(server.path("workers/w/b/seen")).unwrap();
    assert_eq!(seen, "hush-hush <hush-hush>\n");
    assert_eq!(server.printed(&build, "shell").await, "… <…>\n");
    let facts = serde_json::to_string(&server.facts().await).unwrap();
    assert!(!facts.contains("hush") && !server.log(&build, "shell", "stdio").await.contains("hush"));
}

#[actix::test]
async fn the_first_output_is_stored_at_once() {
    let server = Server::start(&with_builders(&[("b", "steps.ShellCommand(command='echo ready; sleep 20')")])).await;
    server.connected().await;
    let began = Instant::now();
    server.request("b").await;
    server.output("b", "shell", "ready").await;
    // A debug build on a busy machine; benches hold the real bar of 100 ms.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    server.stop().await;
}
