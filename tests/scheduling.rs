//! What is built when: schedulers over a real database, with a clock that stands still until it is set.

use crate::support::facts::at;
use crate::support::wait::eventually;
use crate::support::yard::{Yard, configured};
use serde_json::json;
use signalbox::config::*;
use signalbox::db::state;
use signalbox::master::{Setup, schedulers};
use signalbox::model::*;
use std::sync::Arc;
use std::time::Duration;

fn scheduler(name: &str, kind: SchedulerKind) -> SchedulerConfig {
    SchedulerConfig {
        name: name.into(),
        builder_names: vec!["linux".into(), "mac".into()],
        properties: Vec::new(),
        codebases: vec![Codebase::default()],
        reason: None,
        kind,
        place: "master.cfg:7".into(),
    }
}

fn on_branch(branch: &str) -> Change {
    Change { who: "ann".into(), branch: Some(branch.into()), revision: Some("c0ffee".into()), ..Change::default() }
}

fn stable(seconds: u64) -> Timing {
    Timing { tree_stable_timer: Some(Duration::from_secs(seconds)), ..Timing::default() }
}

fn only(branch: &str) -> ChangeFilter {
    ChangeFilter { tests: vec![("branch".into(), Match::AnyOf(vec![Some(branch.into())]))], filter_fn: None }
}

fn numbers(buildset: &Buildset) -> Vec<i64> {
    buildset.source_stamps.iter().flat_map(|stamp| &stamp.changes).map(|change| change.number).collect()
}

/// Waits until the scheduler has considered all changes up to this one.
async fn considered(yard: &Yard, name: &str, change: i64) {
    yard.settled(name, "seen", move |seen| seen["upto"] == json!(change)).await;
}

#[actix::test]
async fn every_change_that_passes_the_filter_is_built_by_itself() {
    let yard = Yard::new();
    yard.add(on_branch("master")).await;
    let timing = Timing { change_filter: only("master"), ..Timing::default() };
    let _quick = yard.start(scheduler("quick", SchedulerKind::SingleBranch(timing)));
    considered(&yard, "quick", 1).await;

    for branch in ["master", "devel", "master"] {
        yard.add(on_branch(branch)).await;
    }

    let buildsets = yard.buildsets(2).await;
    assert_eq!(buildsets.iter().map(numbers).collect::<Vec<_>>(), [[2], [4]], "what was there before is not built");
    let first = &buildsets[0];
    assert_eq!(first.reason, "The SingleBranchScheduler scheduler named 'quick' triggered this build");
    assert_eq!((first.builders.join(" "), first.scheduler.as_str()), ("linux mac".to_owned(), "quick"));
    assert_eq!(first.properties.get("scheduler"), Some(&json!("quick")));
    assert_eq!(first.properties.source("scheduler"), Some("Scheduler"));
    assert_eq!(first.source_stamps[0].branch.as_deref(), Some("master"));
    assert_eq!(first.source_stamps[0].revision.as_deref(), Some("c0ffee"));
    considered(&yard, "quick", 4).await;
}

#[actix::test]
async fn properties_and_a_reason_of_its_own_go_with_the_buildset() {
    let yard = Yard::new();
    let config = SchedulerConfig {
        reason: Some("because".into()),
        properties: vec![("owner".into(), Renderable::Plain(json!(["ann@example.org"])))],
        ..scheduler("quick", SchedulerKind::SingleBranch(Timing::default()))
    };
    let _quick = yard.start(config);
    considered(&yard, "quick", 0).await;
    yard.add(on_branch("master")).await;
    let buildset = &yard.buildsets(1).await[0];
    assert_eq!(buildset.reason, "because");
    assert_eq!(buildset.properties.get("owner"), Some(&json!(["ann@example.org"])));
}

#[actix::test]
async fn a_tree_stable_timer_waits_for_the_last_change() {
    let yard = Yard::new();
    let quick = yard.start(scheduler("quick", SchedulerKind::SingleBranch(stable(60))));
    considered(&yard, "quick", 0).await;
    yard.add(on_branch("master")).await;
    considered(&yard, "quick", 1).await;
    eventually(|| quick.outlook().tree_stable == Some(at(60))).await;

    yard.set_clock(59).await;
    yard.add(on_branch("master")).await;
    considered(&yard, "quick", 2).await;
    eventually(|| quick.outlook().upcoming == [at(119)]).await;
    yard.set_clock(118).await;
    yard.set_clock(119).await;

    let buildset = &yard.buildsets(1).await[0];
    assert_eq!((numbers(buildset), buildset.submitted_at), (vec![1, 2], at(119)));
    eventually(|| quick.outlook().tree_stable.is_none()).await;
}

#[actix::test]
async fn any_branch_has_a_timer_for_each() {
    let yard = Yard::new();
    let any = yard.start(scheduler("any", SchedulerKind::AnyBranch(stable(60))));
    considered(&yard, "any", 0).await;
    yard.add(on_branch("a")).await;
    considered(&yard, "any", 1).await;
    yard.set_clock(30).await;
    yard.add(on_branch("b")).await;
    considered(&yard, "any", 2).await;
    eventually(|| any.outlook().upcoming == [at(60), at(90)]).await;

    yard.set_clock(60).await;
    yard.buildsets(1).await;
    yard.set_clock(90).await;
    let buildsets = yard.buildsets(2).await;
    assert_eq!(buildsets.iter().map(numbers).collect::<Vec<_>>(), [[1], [2]]);
    assert_eq!(buildsets[0].reason, "The AnyBranchScheduler scheduler named 'any' triggered this build");
}

#[actix::test]
async fn codebases_without_changes_are_built_as_configured() {
    let yard = Yard::new();
    let lib =
        Codebase { name: "lib".into(), repository: "lib.git".into(), branch: Some("stable".into()), revision: None };
    let app = Codebase { name: "app".into(), ..Codebase::default() };
    let timing = Timing { create_absolute_source_stamps: true, ..Timing::default() };
    let plain = SchedulerConfig {
        codebases: vec![app.clone(), lib.clone()],
        ..scheduler("plain", SchedulerKind::SingleBranch(Timing::default()))
    };
    let absolute =
        SchedulerConfig { name: "absolute".into(), kind: SchedulerKind::SingleBranch(timing), ..plain.clone() };
    let change = |codebase: &str, revision: &str| Change {
        codebase: codebase.into(),
        revision: Some(revision.into()),
        ..on_branch("master")
    };
    let _plain = yard.start(plain);
    considered(&yard, "plain", 0).await;
    yard.add(change("other", "0")).await;
    yard.add(change("lib", "1")).await;
    yard.add(change("app", "2")).await;
    let buildsets = yard.buildsets(2).await;
    let stamp = |stamp: &SourceStamp| (stamp.codebase.clone(), stamp.branch.clone(), stamp.revision.clone());
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        buildsets[1].source_stamps.iter().map(stamp).collect::<Vec<_>>(),
        [("app".to_owned(), text("master"), text("2")), ("lib".to_owned(), text("stable"), None)]
    );
    considered(&yard, "plain", 3).await;

    let _absolute = yard.start(absolute);
    considered(&yard, "absolute", 3).await;
    yard.add(change("lib", "4")).await;
    yard.add(change("app", "5")).await;
    let buildsets = yard.buildsets(6).await;
    let last = buildsets.iter().rfind(|buildset| buildset.scheduler == "absolute").unwrap();
    assert_eq!(stamp(&last.source_stamps[1]), ("lib".to_owned(), text("master"), text("4")));
}

#[actix::test]
async fn changes_wait_out_a_master_that_takes_nothing() {
    let yard = Yard::new();
    yard.refusing.store(1, std::sync::atomic::Ordering::SeqCst);
    let _quick = yard.start(scheduler("quick", SchedulerKind::SingleBranch(Timing::default())));
    considered(&yard, "quick", 0).await;
    yard.refusing.store(0, std::sync::atomic::Ordering::SeqCst);
    let change = Event::ChangeAdded { change: Change { number: yard.db().ids().change(), ..on_branch("master") } };
    yard.refusing.store(1, std::sync::atomic::Ordering::SeqCst);
    yard.setup.hub.record(change).await.unwrap();
    assert_eq!(numbers(&yard.buildsets(1).await[0]), [1]);
}

#[actix::test]
async fn a_stopped_scheduler_catches_up_when_it_is_started_again() {
    let yard = Yard::new();
    let config = scheduler("quick", SchedulerKind::SingleBranch(Timing::default()));
    let quick = yard.start(config.clone());
    considered(&yard, "quick", 0).await;
    yard.add(on_branch("master")).await;
    yard.buildsets(1).await;
    quick.stop().await;
    yard.add(on_branch("master")).await;
    yard.add(on_branch("master")).await;

    let _quick = yard.start(config);
    let buildsets = yard.buildsets(3).await;
    assert_eq!(buildsets.iter().map(numbers).collect::<Vec<_>>(), [[1], [2], [3]]);
}

#[actix::test]
async fn a_timer_goes_on_over_a_restart() {
    let yard = Yard::new();
    let config = scheduler("quick", SchedulerKind::SingleBranch(stable(60)));
    let quick = yard.start(config.clone());
    considered(&yard, "quick", 0).await;
    yard.add(on_branch("master")).await;
    considered(&yard, "quick", 1).await;
    quick.stop().await;
    yard.set_clock(40).await;
    let quick = yard.start(config.clone());
    eventually(|| quick.outlook().tree_stable == Some(at(60))).await;
    quick.stop().await;
    yard.set_clock(1000).await;
    let _quick = yard.start(config);
    assert_eq!(numbers(&yard.buildsets(1).await[0]), [1]);
}

#[actix::test]
async fn a_panic_neither_loses_nor_doubles_a_change() {
    let yard = Yard::new();
    let _quick = yard.start(scheduler("quick", SchedulerKind::SingleBranch(Timing::default())));
    considered(&yard, "quick", 0).await;
    for number in 1..=40 {
        // At whatever it is doing just then.
        yard.tree.provoke_panic("master/quick");
        assert_eq!(yard.add(on_branch("master")).await, number);
    }
    let buildsets = yard.buildsets(40).await;
    assert_eq!(buildsets.iter().flat_map(numbers).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    considered(&yard, "quick", 40).await;
}

#[actix::test]
async fn a_scheduler_that_comes_back_to_the_configuration_starts_anew() {
    let yard = Yard::new();
    let config = scheduler("quick", SchedulerKind::SingleBranch(Timing::default()));
    let settle = |schedulers: Vec<SchedulerConfig>| {
        let config =
            Config { schedulers: schedulers.into_iter().map(Arc::new).collect(), ..Config::clone(&yard.setup.config) };
        let setup = Setup { config: Arc::new(config), ..yard.setup.clone() };
        async move { schedulers::settle(&setup).await.unwrap() }
    };
    settle(vec![config.clone()]).await;
    let quick = yard.start(config.clone());
    considered(&yard, "quick", 0).await;
    quick.stop().await;
    settle(vec![config.clone()]).await;
    assert!(yard.state("scheduler/quick", "seen").unwrap().is_object());

    settle(Vec::new()).await;
    yard.add(on_branch("master")).await;
    settle(vec![config.clone()]).await;
    let _quick = yard.start(config);
    considered(&yard, "quick", 1).await;
    yard.add(on_branch("master")).await;
    assert_eq!(numbers(&yard.buildsets(1).await[0]), [2]);
}

fn periodic(seconds: u64) -> SchedulerKind {
    SchedulerKind::Periodic {
        every: Duration::from_secs(seconds),
        branch: Some("master".into()),
        timing: Timing::default(),
        only_if_changed: false,
    }
}

#[actix::test]
async fn periodic_builds_at_once_and_then_every_so_often() {
    let yard = Yard::new();
    let daily = yard.start(scheduler("daily", periodic(3600)));
    yard.buildsets(1).await;
    eventually(|| daily.outlook().upcoming == [at(3600)]).await;
    yard.set_clock(3599).await;
    yard.set_clock(3700).await;
    let buildsets = yard.buildsets(2).await;
    assert_eq!(buildsets[1].submitted_at, at(3700));
    assert_eq!(buildsets[1].reason, "The Periodic scheduler named 'daily' triggered this build");
    assert_eq!(buildsets[1].source_stamps[0].branch.as_deref(), Some("master"));
    assert_eq!(buildsets[1].source_stamps[0].revision, None);
    eventually(|| daily.outlook().upcoming == [at(7300)]).await;

    daily.stop().await;
    let daily = yard.start(scheduler("daily", periodic(3600)));
    eventually(|| daily.outlook().upcoming == [at(7300)]).await;
    yard.buildsets(2).await;
}

/// At every full hour; tests then need not know the zone of the machine, as long as it is whole hours from UTC.
fn hourly(only_if_changed: bool) -> SchedulerKind {
    SchedulerKind::Nightly(Nightly {
        minute: Some(vec![0]),
        hour: None,
        day_of_month: None,
        month: None,
        day_of_week: None,
        branch: Some("master".into()),
        only_if_changed,
        timing: Timing::default(),
    })
}

#[actix::test]
async fn nightly_builds_at_its_moments_and_makes_up_for_missed_ones_once() {
    let yard = Yard::new();
    yard.setup.clock.set(at(100));
    let nightly = yard.start(scheduler("nightly", hourly(false)));
    eventually(|| nightly.outlook().upcoming == [at(3600)]).await;
    yard.set_clock(3600).await;
    yard.buildsets(1).await;
    eventually(|| nightly.outlook().upcoming == [at(7200)]).await;
    nightly.stop().await;

    // Three moments pass meanwhile.
    yard.setup.clock.set(at(4 * 3600 + 10));
    let nightly = yard.start(scheduler("nightly", hourly(false)));
    let buildsets = yard.buildsets(2).await;
    assert_eq!(buildsets[1].submitted_at, at(4 * 3600 + 10));
    assert_eq!(buildsets[1].reason, "The Nightly scheduler named 'nightly' triggered this build");
    eventually(|| nightly.outlook().upcoming == [at(5 * 3600)]).await;
}

#[actix::test]
async fn nightly_lets_a_moment_pass_when_nothing_has_changed() {
    let yard = Yard::new();
    yard.setup.clock.set(at(100));
    let nightly = yard.start(scheduler("nightly", hourly(true)));
    yard.settled("nightly", "timed", |timed| timed["seen"].is_object()).await;
    yard.set_clock(3600).await;
    yard.settled("nightly", "timed", |timed| timed["acted"] == json!(at(3600))).await;
    assert!(nightly.outlook().upcoming.is_empty());

    yard.add(on_branch("devel")).await;
    yard.add(on_branch("master")).await;
    yard.add(on_branch("master")).await;
    eventually(|| nightly.outlook().upcoming == [at(7200)]).await;
    yard.settled("nightly", "timed", |timed| timed["seen"]["upto"] == json!(3)).await;
    yard.set_clock(7200).await;
    let buildsets = yard.buildsets(1).await;
    assert_eq!(numbers(&buildsets[0]), [2, 3]);
    eventually(|| nightly.outlook().upcoming.is_empty()).await;
}

fn dependent() -> SchedulerConfig {
    SchedulerConfig {
        builder_names: vec!["package".into()],
        ..scheduler("package", SchedulerKind::Dependent { upstream: "quick".into() })
    }
}

#[actix::test]
async fn dependent_follows_buildsets_that_end_well() {
    let yard = Yard::new();
    let _quick = yard.start(scheduler("quick", SchedulerKind::SingleBranch(Timing::default())));
    considered(&yard, "quick", 0).await;
    let package = yard.start(dependent());
    yard.settled("package", "upstream", |_| true).await;
    for _ in 0..3 {
        yard.add(on_branch("master")).await;
    }
    let upstream = yard.buildsets(3).await;
    let requests = yard.pending().await;
    let of =
        |buildset: &Buildset| requests.iter().filter(|request| request.buildset == buildset.id).collect::<Vec<_>>();

    // The second ends first; the first fails; the third ends while nobody looks.
    yard.build(of(&upstream[1])[0], Results::Success).await;
    yard.build(of(&upstream[1])[1], Results::Warnings).await;
    let buildsets = yard.buildsets(4).await;
    assert_eq!(buildsets[3].source_stamps, upstream[1].source_stamps);
    assert_eq!(buildsets[3].builders, ["package"]);
    yard.build(of(&upstream[0])[0], Results::Success).await;
    yard.build(of(&upstream[0])[1], Results::Failure).await;
    let first = upstream[0].id;
    yard.settled("package", "upstream", move |state| {
        state["open"].as_array().is_some_and(|open| !open.contains(&json!(first)))
    })
    .await;
    package.stop().await;
    yard.build(of(&upstream[2])[0], Results::Success).await;
    yard.build(of(&upstream[2])[1], Results::Success).await;
    let _package = yard.start(dependent());
    let buildsets = yard.buildsets(5).await;
    assert_eq!(numbers(&buildsets[4]), [3]);
}

#[actix::test]
async fn force_and_triggerable_do_nothing_of_their_own_accord() {
    let yard = Yard::new();
    let idle = yard.start(scheduler("idle", SchedulerKind::Triggerable));
    assert_eq!(idle.outlook(), schedulers::Plans::default());
    let shown = || yard.tree.reports().into_iter().find(|report| report.path.ends_with("/idle"));
    assert_eq!(shown().map(|report| report.state), Some("not started"));
    idle.stop().await;
    assert_eq!(shown(), None);
}

#[actix::test]
async fn state_that_cannot_be_read_is_begun_anew() {
    let yard = Yard::new();
    let broken = state::Put { object: "scheduler/quick".into(), key: "seen".into(), value: json!({"upto": "x"}) };
    yard.db().write(move |conn| state::put(conn, &broken)).await.unwrap();
    yard.add(on_branch("master")).await;
    let _quick = yard.start(scheduler("quick", SchedulerKind::SingleBranch(Timing::default())));
    considered(&yard, "quick", 1).await;
    yard.add(on_branch("master")).await;
    assert_eq!(numbers(&yard.buildsets(1).await[0]), [2]);
}

/// The one scheduler of this master.cfg.
fn from_text(before: &str, text: &str) -> SchedulerConfig {
    let config = configured(&format!("{before}\nc['schedulers'] = [{text}]"));
    SchedulerConfig::clone(&config.schedulers[0])
}

#[actix::test]
async fn unimportant_changes_wait_for_an_important_one() {
    let yard = Yard::new();
    let quick = from_text(
        "def important(change):\n    return [f for f in change.files if not f.startswith('doc/')] != []",
        "schedulers.SingleBranchScheduler(name='quick', builderNames=['linux'], fileIsImportant=important,
            change_filter=util.ChangeFilter(branch_fn=lambda branch: branch != 'devel', project_re='^wid'))",
    );
    let _quick = yard.start(quick);
    considered(&yard, "quick", 0).await;
    let change =
        |branch: &str, file: &str| Change { files: vec![file.into()], project: "widget".into(), ..on_branch(branch) };
    yard.add(change("master", "doc/a")).await;
    yard.add(change("stable", "doc/a")).await;
    yard.add(change("devel", "src/a")).await;
    yard.add(Change { project: "other".into(), ..change("master", "src/a") }).await;
    considered(&yard, "quick", 4).await;
    assert!(yard.pending().await.is_empty());
    yard.add(change("master", "src/b")).await;
    assert_eq!(numbers(&yard.buildsets(1).await[0]), [1, 5]);
}

#[actix::test]
async fn with_only_important_the_others_are_left_out() {
    let yard = Yard::new();
    let quick = from_text(
        "",
        "schedulers.AnyBranchScheduler(name='quick', builderNames=['linux'], onlyImportant=True,
            fileIsImportant=lambda change: change.comments != 'typo', treeStableTimer=10)",
    );
    let quick = yard.start(quick);
    considered(&yard, "quick", 0).await;
    let change = |comments: &str| Change { comments: comments.into(), ..on_branch("master") };
    yard.add(change("typo")).await;
    yard.add(change("real")).await;
    considered(&yard, "quick", 2).await;
    eventually(|| quick.outlook().tree_stable == Some(at(10))).await;
    yard.set_clock(5).await;
    yard.add(change("typo")).await;
    considered(&yard, "quick", 3).await;
    yard.set_clock(10).await;
    let buildset = &yard.buildsets(1).await[0];
    assert_eq!((numbers(buildset), buildset.submitted_at), (vec![2], at(10)));
}

#[actix::test]
async fn functions_that_fail_build_too_much_rather_than_too_little_but_never_past_a_filter() {
    let yard = Yard::new();
    let important = from_text(
        "def broken(change):\n    return change.no_such_thing",
        "schedulers.SingleBranchScheduler(name='important', builderNames=['linux'], fileIsImportant=broken)",
    );
    let filter = from_text(
        "def broken(change):\n    fail('no')",
        "schedulers.SingleBranchScheduler(name='filter', builderNames=['linux'],
            change_filter=util.ChangeFilter(filter_fn=broken))",
    );
    let (_one, _two) = (yard.start(important), yard.start(filter));
    considered(&yard, "important", 0).await;
    considered(&yard, "filter", 0).await;
    yard.add(on_branch("master")).await;
    considered(&yard, "filter", 1).await;
    assert_eq!(yard.buildsets(1).await[0].scheduler, "important");
}

#[actix::test]
async fn properties_are_rendered_with_the_source() {
    let yard = Yard::new();
    let quick = from_text(
        "",
        "schedulers.SingleBranchScheduler(name='quick', builderNames=['linux'],
            properties={'plain': 1, 'where': util.Interpolate('%(src::branch)s by %(prop:scheduler)s')})",
    );
    let _quick = yard.start(quick);
    considered(&yard, "quick", 0).await;
    yard.add(on_branch("master")).await;
    let buildset = &yard.buildsets(1).await[0];
    assert_eq!(buildset.properties.get("plain"), Some(&json!(1)));
    assert_eq!(buildset.properties.get("where"), Some(&json!("master by quick")));
    assert_eq!(buildset.properties.source("where"), Some("Scheduler"));
}
