//! Steps: their flags, conditions, texts and properties, and what a build makes of them.

use crate::support::master::{Server, with_builders};
use serde_json::json;
use signalbox::master::PanicInBuild;
use signalbox::model::*;

async fn run(steps: &str) -> (Server, Build) {
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let build = server.build("b").await;
    (server, build)
}

fn results(build: &Build) -> Vec<Option<Results>> {
    build.steps.iter().map(|step| step.results).collect()
}

#[actix::test]
async fn a_failure_that_halts_leaves_out_all_but_what_always_runs() {
    let (_server, build) = run("steps.ShellCommand(command='true', name='a'), \
         steps.ShellCommand(command='false', name='b', haltOnFailure=True), \
         steps.ShellCommand(command='true', name='c'), \
         steps.ShellCommand(command='true', name='d', alwaysRun=True)")
    .await;
    use Results::*;
    assert_eq!(results(&build), [Some(Success), Some(Failure), None, Some(Success)]);
    assert!(build.steps[2].started.is_none());
    assert_eq!((build.results, build.full_text()), (Some(Failure), vec!["failed".to_owned(), "b".to_owned()]));
}

#[actix::test]
async fn flags_decide_what_a_failure_means() {
    let (_server, build) = run("steps.ShellCommand(command='false', flunkOnFailure=False)").await;
    assert_eq!(build.results, Some(Results::Success));
    assert!(build.steps[0].text2.is_empty());
    let (_server, build) = run("steps.ShellCommand(command='false', flunkOnFailure=False, warnOnFailure=True)").await;
    assert_eq!((build.results, build.text), (Some(Results::Warnings), vec!["warnings".to_owned()]));
    let warn = "command='exit 1', decodeRC={1: util.WARNINGS}";
    let (_server, build) = run(&format!("steps.ShellCommand({warn})")).await;
    assert_eq!((build.results, &build.steps[0].text[2..]), (Some(Results::Success), &["warnings".to_owned()][..]));
    let (_server, build) = run(&format!("steps.ShellCommand({warn}, warnOnWarnings=True)")).await;
    assert_eq!(build.results, Some(Results::Warnings));
    let (_server, build) = run(&format!("steps.ShellCommand({warn}, flunkOnWarnings=True)")).await;
    assert_eq!(build.results, Some(Results::Failure));
}

#[actix::test]
async fn a_step_whose_condition_does_not_hold_is_skipped() {
    let (_server, build) = run("steps.ShellCommand(command='true', doStepIf=False), \
         steps.ShellCommand(command='true', name='x', doStepIf=lambda step: step.getProperty('buildername') == 'b'), \
         steps.ShellCommand(command='true', name='y', doStepIf=lambda step: step.name == 'z', hideStepIf=lambda results, step: results == util.SKIPPED)")
    .await;
    use Results::*;
    assert_eq!(results(&build), [Some(Skipped), Some(Success), Some(Skipped)]);
    assert_eq!(build.steps[0].text, ["'true'", "skipped"]);
    assert!(build.steps[0].started.is_some() && build.steps[0].finished.is_some());
    assert_eq!(build.steps.iter().map(|step| step.hidden).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(build.results, Some(Success));
}

#[actix::test]
async fn a_condition_that_raises_ends_the_build_as_an_exception() {
    let (server, build) = run("steps.ShellCommand(command='true', name='x', doStepIf=lambda step: fail('no way')), steps.ShellCommand(command='true', name='y')").await;
    assert_eq!((build.results, build.text.clone()), (Some(Results::Exception), vec!["exception".to_owned()]));
    assert_eq!(build.steps[0].text.last().unwrap(), "exception");
    assert_eq!(build.steps[0].text2, ["x"]);
    let names: Vec<&str> = build.steps[0].logs.iter().map(|log| log.name.as_str()).collect();
    assert_eq!(names, ["err.text", "err.html"]);
    assert!(server.log(&build, "x", "err.text").await.contains("no way"));
    assert_eq!(build.steps[0].logs[1].kind, LogKind::Html);
    assert_eq!(build.steps[1].results, None);
}

#[actix::test]
async fn descriptions_are_shown_while_and_after() {
    let steps = "steps.ShellCommand(command='echo ready; sleep 0.3', description='working', descriptionDone=['work', 'done'], descriptionSuffix=util.Interpolate('on %(prop:buildername)s')), steps.Compile(command='true'), steps.Test(command='true')";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let request = server.request("b").await;
    let running = server.running("b", 0, "shell").await;
    assert_eq!(running.steps[0].text, ["working", "on b"]);
    let build = server.built(&request).await;
    assert_eq!(build.steps[0].text, ["work", "done", "on b"]);
    assert_eq!((&build.steps[1].name, &build.steps[1].text), (&"compile".to_owned(), &vec!["compile".to_owned()]));
    assert_eq!((&build.steps[2].name, &build.steps[2].text), (&"test".to_owned(), &vec!["test".to_owned()]));
}

#[actix::test]
async fn warnings_are_counted_and_collected() {
    let (server, build) = run("steps.Compile(command='echo a.c: warning: x; echo fine; echo b.c: warning: y >&2'), steps.Compile(command='echo W1; echo xW2', warningPattern='W.*')").await;
    assert_eq!(build.steps[0].results, Some(Results::Warnings));
    assert_eq!(build.steps[0].text, ["compile", "warnings"]);
    assert_eq!(build.steps[0].statistics.get("warnings"), Some(&json!(2)));
    assert_eq!(build.properties.get("warnings-count"), Some(&json!(3)));
    let listed = server.log(&build, "compile", "warnings (2)").await;
    assert!(listed.contains("a.c: warning: x\n") && listed.contains("b.c: warning: y\n") && !listed.contains("fine"));
    assert_eq!(server.log(&build, "compile_1", "warnings (1)").await, "W1\n");
}

#[actix::test]
async fn too_many_warnings_fail() {
    let (_server, build) = run("steps.Compile(command='echo warning: x; echo warning: y', maxWarnCount=1)").await;
    assert_eq!(build.results, Some(Results::Failure));
}

#[actix::test]
async fn steps_set_properties_for_those_after_them() {
    let (server, build) = run("steps.SetProperty(property='colour', value=util.Interpolate('%(prop:buildername)s-blue')), \
         steps.SetPropertyFromCommand(command='echo \"  1.2  \"', property='version'), \
         steps.SetPropertyFromCommand(command='echo a b; echo c >&2; exit 3', extract_fn=lambda rc, out, err: {'rc': rc, 'words': out.split(), 'err': err}, flunkOnFailure=False), \
         steps.SetPropertyFromCommand(command='exit 1', property='unset', flunkOnFailure=False), \
         steps.ShellCommand(command=['echo', util.Interpolate('%(prop:colour)s %(prop:version)s'), util.Property('words'), util.Property('unset', default='none')])")
    .await;
    let properties = &build.properties;
    assert_eq!(properties.get("colour"), Some(&json!("b-blue")));
    assert_eq!(
        (properties.get("version"), properties.source("version")),
        (Some(&json!("1.2")), Some("SetPropertyFromCommand Step"))
    );
    assert_eq!((properties.get("rc"), properties.get("words")), (Some(&json!(3)), Some(&json!(["a", "b"]))));
    assert_eq!(properties.get("err"), Some(&json!("c\n")));
    assert_eq!(properties.get("unset"), None);
    assert_eq!(server.printed(&build, "shell").await, "b-blue 1.2 a b none\n");
    assert_eq!(build.steps[1].text, ["property 'version' set"]);
    assert_eq!(server.log(&build, "setproperty", "property changes").await, "version: '1.2'\n");
    assert_eq!(build.steps[2].text, ["3 properties set", "failed"]);
}

#[actix::test]
async fn a_build_knows_where_it_comes_from() {
    let config = with_builders(&[("b", "steps.ShellCommand(command='pwd')")]) + "c['properties'] = {'everywhere': 1}\n";
    let server = Server::start(&config).await;
    let mut properties = Properties::new();
    properties.set("owner", "Ada <ada@example.org>", "Force Build Form");
    let change_properties = {
        let mut properties = Properties::new();
        properties.set("pushed_by", "ada", "Change");
        properties
    };
    let change = Change { number: 1, revision: Some("abc".into()), properties: change_properties, ..Change::default() };
    let stamp = SourceStamp {
        branch: Some("main".into()),
        revision: Some("abc".into()),
        project: "p".into(),
        changes: vec![change],
        ..SourceStamp::default()
    };
    let request = server.request_with("b", vec![stamp], properties).await;
    let build = server.built(&request).await;
    let builddir = server.path("workers/w/b").display().to_string();
    let expected = [
        ("branch", json!("main"), "Build"),
        ("builddir", json!(builddir), "slave"),
        ("buildername", json!("b"), "Builder"),
        ("buildnumber", json!(0), "Build"),
        ("codebase", json!(""), "Build"),
        ("everywhere", json!(1), "global"),
        ("owner", json!("Ada <ada@example.org>"), "Force Build Form"),
        ("owners", json!(["Ada <ada@example.org>"]), "because"),
        ("project", json!("p"), "Build"),
        ("pushed_by", json!("ada"), "Change"),
        ("repository", json!(""), "Build"),
        ("revision", json!("abc"), "Build"),
        ("scheduler", json!("test"), "Scheduler"),
        ("slavename", json!("w"), "BuildSlave"),
        ("workdir", json!(builddir), "slave (deprecated)"),
    ];
    let found: Vec<(&str, serde_json::Value, &str)> =
        build.properties.iter().map(|(name, value, source)| (name, value.clone(), source)).collect();
    assert_eq!(found, expected);
    assert_eq!(server.printed(&build, "shell").await, format!("{builddir}/build\n"));
}

#[actix::test]
async fn a_panic_in_a_build_is_recorded_and_harms_nobody() {
    let steps = "steps.ShellCommand(command='echo ready; sleep 60'), steps.ShellCommand(command='true')";
    let server = Server::start(&with_builders(&[("b", steps), ("other", "steps.ShellCommand(command='true')")])).await;
    let request = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let build = BuildRef { builder: "b".into(), number: 0 };
    assert!(server.master.send(PanicInBuild(build)).await.unwrap());
    let build = server.built(&request).await;
    assert_eq!(
        (build.results, build.full_text()),
        (Some(Results::Exception), vec!["exception".into(), "shell".into()])
    );
    let names: Vec<&str> = build.steps[0].logs.iter().map(|log| log.name.as_str()).collect();
    assert_eq!(names, ["stdio", "err.text", "err.html"]);
    assert!(build.steps[0].logs.iter().all(|log| log.finished));
    assert!(server.log(&build, "shell", "err.text").await.contains("provoked in build b #0"));
    assert!(server.log(&build, "shell", "stdio").await.contains("ready\n"));
    assert_eq!(server.build("other").await.results, Some(Results::Success));
    let again = server.request("b").await;
    assert_eq!(again.builds.len(), 0);
    server.running("b", 1, "shell").await;
    server.stop().await;
}
