//! Orders: stopping, rebuilding, changes, and what is refused.

use crate::support::master::{Repository, Server, with_builders};
use serde_json::json;
use signalbox::master::*;
use signalbox::model::*;

fn b(number: i64) -> BuildRef {
    BuildRef { builder: "b".into(), number }
}

#[actix::test]
async fn a_stopped_build_is_an_exception_with_its_reason_kept() {
    let steps = "steps.ShellCommand(command='echo ready; sleep 60', name='long', description='packaging', descriptionDone='package'), \
        steps.ShellCommand(command='true', name='after'), steps.ShellCommand(command='true', name='always', alwaysRun=True)";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let request = server.request("b").await;
    server.output("b", "long", "ready").await;
    server.master.send(StopBuild { build: b(0), reason: "Ann: enough\n".into() }).await.unwrap().unwrap();
    let build = server.built(&request).await;
    assert_eq!(
        (build.results, build.full_text()),
        (Some(Results::Exception), vec!["exception".into(), "interrupted".into()])
    );
    let step = &build.steps[0];
    assert_eq!(
        (step.results, &step.text),
        (Some(Results::Exception), &vec!["package".to_owned(), "interrupted".into()])
    );
    assert_eq!(step.logs.iter().map(|log| log.name.as_str()).collect::<Vec<_>>(), ["stdio", "interrupt"]);
    assert_eq!(server.log(&build, "long", "interrupt").await, "Ann: enough\n");
    assert!(server.header(&build, "long").await.contains("interrupted; killing it with SIGKILL"));
    assert_eq!(build.steps[1].results, None);
    assert_eq!(build.steps[2].results, Some(Results::Success));
    let boxes: Vec<Vec<String>> = server
        .facts()
        .await
        .into_iter()
        .filter_map(|fact| match fact {
            Event::BuilderEvent { happened } => Some(happened.text),
            _ => None,
        })
        .collect();
    assert_eq!(boxes, [vec!["builder", "created"], vec!["interrupt"]]);
    // Finished builds are left as they are.
    server.master.send(StopBuild { build: b(0), reason: "again".into() }).await.unwrap().unwrap();
    assert_eq!(server.find("b", 0).await, build);
}

#[actix::test]
async fn what_is_not_there_cannot_be_stopped_or_rebuilt() {
    let server = Server::start(&with_builders(&[("b", "steps.ShellCommand(command='echo ready; sleep 60')")])).await;
    let stop = |build| StopBuild { build, reason: String::new() };
    let refused = server.master.send(stop(b(7))).await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::NotFound("no build 7 of builder \"b\"".into()));
    let other = BuildRef { builder: "x".into(), number: 0 };
    let refused = server.master.send(stop(other)).await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::NotFound("no builder named \"x\"".into()));
    let refused = server.master.send(PingBuilder { builder: "x".into() }).await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::NotFound("no builder named \"x\"".into()));
    server.request("b").await;
    server.output("b", "shell", "ready").await;
    let rebuild = Rebuild { build: b(0), reason: "r".into(), exact: true, properties: Vec::new() };
    let refused = server.master.send(rebuild).await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::NotNow("could not rebuild: build b #0 is still running".into()));
    server.stop().await;
}

#[actix::test]
async fn a_rebuild_has_the_same_properties_and_the_same_or_newer_source() {
    let repository = Repository::new();
    let steps = format!(
        "steps.Git(repourl='{}', branch='main'), steps.SetProperty(property='made', value='x')",
        repository.url()
    );
    let server = Server::start(&with_builders(&[("b", &steps)])).await;
    let mut properties = Properties::new();
    properties.set("colour", "blue", "Force Build Form");
    let request = server.request_with("b", Vec::new(), properties).await;
    let first = server.built(&request).await;
    let newer = repository.commit("a", "2\n");
    let rebuild = |exact| Rebuild {
        build: b(0),
        reason: "once more".into(),
        exact,
        properties: vec![("extra".into(), json!("e"))],
    };
    let exact = server.master.send(rebuild(true)).await.unwrap().unwrap();
    let exact = server.built(&exact).await;
    assert_eq!(exact.got_revision(""), first.got_revision(""));
    assert_eq!(exact.reason, "once more");
    assert_eq!(exact.properties.get("colour"), Some(&json!("blue")));
    assert_eq!(exact.properties.get("extra"), Some(&json!("e")));
    let request = exact.requests[0];
    let request = server.db.read(move |conn| signalbox::db::requests::find(conn, request)).await.unwrap().unwrap();
    assert_eq!(request.properties.get("made"), None);
    let updated = server.master.send(rebuild(false)).await.unwrap().unwrap();
    assert_eq!(server.built(&updated).await.got_revision(""), Some(newer.as_str()));
}

#[actix::test]
async fn changes_are_numbered_and_completed() {
    let config = with_builders(&[("b", "steps.ShellCommand(command='true')")])
        + "c['codebaseGenerator'] = lambda change: {'/r': 'app'}.get(change['repository'], '')\n"
        + "c['revlink'] = lambda revision, repository: 'http://example.org/' + revision\n";
    let server = Server::start(&config).await;
    let change = Change {
        who: "Ada".into(),
        files: vec!["b".into(), "a".into(), "b".into()],
        revision: Some("abc".into()),
        repository: "/r".into(),
        ..Change::default()
    };
    let add = |change: &Change| AddChange { change: change.clone(), vcs: None, state: Vec::new() };
    assert_eq!(server.master.send(add(&change)).await.unwrap(), Ok(1));
    let linked = Change { revlink: Some("http://own".into()), repository: "/other".into(), ..change };
    assert_eq!(server.master.send(add(&linked)).await.unwrap(), Ok(2));
    let stored = server.db.read(|conn| signalbox::db::changes::recent(conn, 10, None)).await.unwrap();
    assert_eq!(
        (stored[0].number, stored[0].revlink.as_deref(), stored[0].codebase.as_str()),
        (2, Some("http://own"), "")
    );
    assert_eq!((stored[1].revlink.as_deref(), stored[1].codebase.as_str()), (Some("http://example.org/abc"), "app"));
    assert_eq!(stored[1].files, ["a", "b"]);
    assert!(stored[1].when > Time::default());
}

#[actix::test]
async fn a_submission_for_an_unknown_builder_is_refused() {
    let server = Server::start(&with_builders(&[("b", "steps.ShellCommand(command='true')")])).await;
    let order = SubmitBuildset {
        scheduler: "s".into(),
        builders: vec!["b".into(), "x".into()],
        source_stamps: Vec::new(),
        properties: Properties::new(),
        reason: String::new(),
        external_idstring: None,
        state: Vec::new(),
    };
    let refused = server.master.send(order).await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::NotFound("no builder named \"x\"".into()));
    assert!(!server.facts().await.iter().any(|fact| fact.name() == "buildsetSubmitted"));
}

#[actix::test]
async fn facts_come_in_order_and_each_once() {
    let server = Server::start(&with_builders(&[("b", "steps.ShellCommand(command='echo x')")])).await;
    server.connected().await;
    server.build("b").await;
    let names: Vec<&str> = server.facts().await.iter().map(Event::name).collect();
    assert_eq!(
        names,
        [
            "configReloaded",
            "builderAdded",
            "builderEvent",
            "slaveConnected",
            "builderChangedState",
            "buildsetSubmitted",
            "requestSubmitted",
            "buildStarted",
            "builderChangedState",
            "stepStarted",
            "logStarted",
            "logFinished",
            "stepFinished",
            "buildFinished",
            "builderChangedState",
        ]
    );
}
