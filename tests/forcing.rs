//! Forcing builds: what people type, and what becomes of it.

use crate::support::facts;
use crate::support::server::Server;
use crate::support::yard::configured;
use serde_json::{Value, json};
use signalbox::config::*;
use signalbox::master::force::{inherits, prepare};
use signalbox::master::{ForceBuild, Refused, SubmitBuildset};
use signalbox::model::*;
use std::collections::BTreeMap;

fn parameter(name: &str, kind: ParameterKind) -> Parameter {
    Parameter {
        name: name.into(),
        label: name.into(),
        required: false,
        default: json!(""),
        regex: None,
        hidden: false,
        kind,
    }
}

fn text(name: &str) -> Parameter {
    parameter(name, ParameterKind::Text { size: 10 })
}

fn codebase(name: &str) -> CodebaseParameter {
    CodebaseParameter {
        codebase: name.into(),
        label: name.into(),
        branch: text("branch"),
        revision: text("revision"),
        repository: text("repository"),
        project: text("project"),
    }
}

fn force(properties: Vec<Parameter>) -> SchedulerConfig {
    let force = ForceSchedulerConfig {
        label: "force".into(),
        button_name: "Force Build".into(),
        username: parameter("username", ParameterKind::Username { size: 30 }),
        reason: Parameter { default: json!("force build"), ..text("reason") },
        reason_string: "A build was forced by '%(owner)s': %(reason)s".into(),
        codebases: vec![codebase("")],
        properties,
    };
    SchedulerConfig {
        name: "force".into(),
        builder_names: vec!["linux".into(), "mac".into()],
        properties: Vec::new(),
        codebases: Vec::new(),
        reason: None,
        kind: SchedulerKind::Force(Box::new(force)),
        place: "master.cfg:9".into(),
    }
}

fn with_codebases(names: &[&str]) -> SchedulerConfig {
    let mut scheduler = force(Vec::new());
    if let SchedulerKind::Force(force) = &mut scheduler.kind {
        force.codebases = names.iter().map(|name| codebase(name)).collect();
    }
    scheduler
}

fn order(fields: &[(&str, &str)]) -> ForceBuild {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in fields {
        by_name.entry((*name).into()).or_default().push((*value).into());
    }
    ForceBuild { scheduler: "force".into(), builders: None, fields: by_name, owner: "Ann <ann@example.org>".into() }
}

fn submit(order: &ForceBuild, scheduler: &SchedulerConfig) -> Result<SubmitBuildset, Refused> {
    prepare(order, scheduler, &configured("").validation, &[])
}

fn property(properties: Vec<Parameter>, fields: &[(&str, &str)], name: &str) -> Option<Value> {
    submit(&order(fields), &force(properties)).unwrap().properties.get(name).cloned()
}

fn problems(properties: Vec<Parameter>, fields: &[(&str, &str)]) -> Vec<String> {
    match submit(&order(fields), &force(properties)) {
        Err(Refused::Invalid(problems)) => problems,
        other => panic!("not refused as invalid: {other:?}"),
    }
}

/// The one scheduler of this master.cfg.
fn from_text(text: &str) -> SchedulerConfig {
    let config = configured(&format!("c['schedulers'] = [{text}]"));
    SchedulerConfig::clone(&config.schedulers[0])
}

#[test]
fn the_example_of_the_manual() {
    let scheduler = from_text(
        r#"schedulers.ForceScheduler(name="force", builderNames=["linux"],
            branch=util.ChoiceStringParameter(name="branch", choices=["main","devel"], default="main"),
            reason=util.StringParameter(name="reason",label="reason:<br>", required=True, size=80),
            revision=util.FixedParameter(name="revision", default=""),
            repository=util.FixedParameter(name="repository", default=""),
            project=util.FixedParameter(name="project", default=""),
            username=util.UserNameParameter(label="your name:<br>", size=80),
            properties=[
                util.BooleanParameter(name="force_build_clean", label="force a make clean", default=False),
                util.StringParameter(name="pull_url", label="optionally give a public Git pull url:<br>", default="", size=80)
            ])"#,
    );
    let fields = [("branch", "devel"), ("reason", "try it"), ("checkbox", "force_build_clean"), ("revision", "mine")];
    let submitted = submit(&order(&fields), &scheduler).unwrap();
    assert_eq!(submitted.builders, ["linux"]);
    assert_eq!(submitted.reason, "A build was forced by 'Ann <ann@example.org>': try it");
    let stamp = &submitted.source_stamps[0];
    assert_eq!((stamp.branch.as_deref(), &stamp.revision), (Some("devel"), &None));
    assert_eq!(submitted.properties.get("force_build_clean"), Some(&json!(true)));
    assert_eq!(submitted.properties.get("pull_url"), Some(&json!("")));

    let refused = submit(&order(&[("branch", "other")]), &scheduler).unwrap_err();
    let problems = ["reason: needs to be specified".to_owned(), "branch: \"other\" is none of main, devel".to_owned()];
    assert_eq!(refused, Refused::Invalid(problems.to_vec()));
}

#[test]
fn four_properties_of_any_name_by_default() {
    let scheduler = from_text(r#"schedulers.ForceScheduler(name="force", builderNames=["linux"])"#);
    let fields = [("property4_name", "flag"), ("property4_value", "on"), ("property1_value", "lost")];
    let submitted = submit(&order(&fields), &scheduler).unwrap();
    let names: Vec<&str> = submitted.properties.iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, ["flag", "owner", "reason", "scheduler"]);
}

#[test]
fn a_form_left_as_it_is_makes_one_buildset_for_all_builders() {
    let submitted = submit(&order(&[("reason", "  ")]), &force(Vec::new())).unwrap();
    assert_eq!(submitted.builders, ["linux", "mac"]);
    assert_eq!(submitted.reason, "A build was forced by 'Ann <ann@example.org>': force build");
    assert_eq!(submitted.source_stamps, [SourceStamp::default()]);
    let properties: Vec<(&str, &Value, &str)> = submitted.properties.iter().collect();
    assert_eq!(
        properties,
        [
            ("owner", &json!("Ann <ann@example.org>"), "Force Build Form"),
            ("reason", &json!("force build"), "Force Build Form"),
            ("scheduler", &json!("force"), "Scheduler"),
        ]
    );
}

#[test]
fn source_and_reason_come_from_the_form() {
    let fields =
        [("branch", "devel"), ("revision", "c0ffee"), ("repository", "x.git"), ("project", "x"), ("reason", "why")];
    let submitted = submit(&order(&fields), &force(Vec::new())).unwrap();
    let stamp = &submitted.source_stamps[0];
    assert_eq!((stamp.branch.as_deref(), stamp.revision.as_deref()), (Some("devel"), Some("c0ffee")));
    assert_eq!((stamp.repository.as_str(), stamp.project.as_str()), ("x.git", "x"));
    assert!(submitted.reason.ends_with(": why"));
}

#[test]
fn fields_of_a_codebase_carry_its_name() {
    let scheduler = with_codebases(&["app", "lib"]);
    let submitted = submit(&order(&[("lib_branch", "stable"), ("branch", "nobody asked")]), &scheduler).unwrap();
    let stamps: Vec<_> = submitted.source_stamps.iter().map(|s| (s.codebase.as_str(), s.branch.as_deref())).collect();
    assert_eq!(stamps, [("app", None), ("lib", Some("stable"))]);
}

#[test]
fn only_builders_of_the_scheduler_are_forced() {
    let chosen = |builders: &[&str]| ForceBuild {
        builders: Some(builders.iter().map(|name| (*name).into()).collect()),
        ..order(&[])
    };
    assert_eq!(submit(&chosen(&["mac", "other"]), &force(Vec::new())).unwrap().builders, ["mac"]);
    assert!(matches!(submit(&chosen(&["other"]), &force(Vec::new())), Err(Refused::Invalid(_))));
    assert!(matches!(submit(&chosen(&[]), &force(Vec::new())), Err(Refused::Invalid(_))));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let required = Parameter { required: true, label: "your reason:<br>".into(), ..text("why") };
    let number = parameter("level", ParameterKind::Int { size: 10 });
    let pattern = Parameter { regex: Some(r"\d+$".into()), ..text("ticket") };
    let choices = ParameterKind::Choice { choices: vec!["a".into(), "b".into()], multiple: false, strict: true };
    let fields = [
        ("why", " \t"),
        ("level", "two"),
        ("ticket", "12x"),
        ("flavour", "c"),
        ("branch", "no blanks"),
        ("revision", "<script>"),
    ];
    assert_eq!(
        problems(vec![required, number, pattern, parameter("flavour", choices)], &fields),
        [
            "your reason: needs to be specified",
            "level: \"two\" is not a whole number",
            "ticket: \"12x\" does not match \\d+$",
            "flavour: \"c\" is none of a, b",
            "branch: \"no blanks\" is not allowed",
            "revision: \"<script>\" is not allowed",
        ]
    );
}

#[test]
fn patterns_count_from_the_start_and_not_for_empty_fields() {
    let ticket = Parameter { regex: Some("[A-Z]+-".into()), ..text("ticket") };
    assert_eq!(property(vec![ticket.clone()], &[("ticket", "ABC-1")], "ticket"), Some(json!("ABC-1")));
    assert_eq!(property(vec![ticket.clone()], &[], "ticket"), Some(json!("")));
    assert_eq!(problems(vec![ticket], &[("ticket", "see ABC-1")]).len(), 1);
}

#[test]
fn values_have_the_type_of_their_field() {
    let int = || Parameter { default: json!(2), ..parameter("level", ParameterKind::Int { size: 10 }) };
    assert_eq!(property(vec![int()], &[("level", " -7 ")], "level"), Some(json!(-7)));
    assert_eq!(property(vec![int()], &[], "level"), Some(json!(2)));
    let unset = parameter("level", ParameterKind::Int { size: 10 });
    assert_eq!(property(vec![unset], &[], "level"), None);

    let clean = || parameter("clean", ParameterKind::Bool);
    assert_eq!(property(vec![clean()], &[("checkbox", "other"), ("checkbox", "clean")], "clean"), Some(json!(true)));
    assert_eq!(property(vec![clean()], &[("clean", "True")], "clean"), Some(json!(false)));

    let fixed = Parameter { default: json!("x"), ..parameter("fixed", ParameterKind::Fixed) };
    assert_eq!(property(vec![fixed], &[("fixed", "mine")], "fixed"), Some(json!("x")));
}

#[test]
fn several_choices_make_a_list() {
    let kind = |strict| ParameterKind::Choice { choices: vec!["a".into(), "b".into()], multiple: true, strict };
    let tests = |strict| vec![parameter("tests", kind(strict))];
    assert_eq!(property(tests(true), &[("tests", "a"), ("tests", "b")], "tests"), Some(json!(["a", "b"])));
    assert_eq!(property(tests(true), &[], "tests"), Some(json!([])));
    assert_eq!(property(tests(false), &[("tests", "z")], "tests"), Some(json!(["z"])));
    assert_eq!(problems(tests(true), &[("tests", "a"), ("tests", "z")]), ["tests: \"z\" is none of a, b"]);
}

#[test]
fn any_worker_sets_nothing() {
    let worker = || vec![parameter("slavename", ParameterKind::Worker)];
    assert_eq!(property(worker(), &[("slavename", "-any-")], "slavename"), None);
    assert_eq!(property(worker(), &[], "slavename"), None);
    assert_eq!(property(worker(), &[("slavename", "linux1")], "slavename"), Some(json!("linux1")));
}

#[test]
fn a_property_of_any_name_is_checked() {
    let any = || vec![parameter("property1", ParameterKind::AnyProperty)];
    let fields = [("property1_name", "flag"), ("property1_value", "on")];
    assert_eq!(property(any(), &fields, "flag"), Some(json!("on")));
    assert_eq!(submit(&order(&[("property1_value", "on")]), &force(any())).unwrap().properties.len(), 3);
    assert_eq!(problems(any(), &[("property1_name", "a b"), ("property1_value", "<x>")]).len(), 2);
}

#[test]
fn nested_fields_carry_their_parents_names() {
    let nested = |name: &str| {
        let fields = vec![text("branch"), parameter("clean", ParameterKind::Bool)];
        parameter(name, ParameterKind::Nested { fields, columns: 1 })
    };
    let fields = [("lib_branch", "x"), ("checkbox", "lib_clean")];
    assert_eq!(property(vec![nested("lib")], &fields, "lib"), Some(json!({"branch": "x", "clean": true})));
    let deep = parameter("outer", ParameterKind::Nested { fields: vec![nested("lib")], columns: 1 });
    let fields = [("outer_lib_branch", "y")];
    assert_eq!(property(vec![deep], &fields, "outer"), Some(json!({"lib": {"branch": "y", "clean": false}})));
    let flat = nested("");
    let submitted = submit(&order(&[("checkbox", "clean")]), &force(vec![flat])).unwrap();
    assert_eq!(submitted.properties.get("clean"), Some(&json!(true)));
}

#[test]
fn a_build_hands_down_what_was_set_for_it_and_its_changes() {
    let mut build = facts::build("runtests linux", 12);
    build.properties.set("owner", "bob", "Force Build Form");
    build.properties.set("flavour", "b", "Force Build Form");
    build.properties.set("os", "linux", "BuildSlave");
    build.source_stamps =
        vec![SourceStamp { changes: vec![facts::change(3), facts::change(2)], ..SourceStamp::default() }];
    let compatible = ParameterKind::InheritBuild { compatible_builds: None };
    let scheduler = force(vec![Parameter { required: true, ..parameter("inherit", compatible) }]);
    let order_of = |text| order(&[("inherit", text)]);

    let order = order_of("runtests linux/12 (2026/01/01)");
    assert_eq!(inherits(&order, &scheduler), [build.reference()]);
    let submitted = prepare(&order, &scheduler, &configured("").validation, &[build]).unwrap();
    let get = |name| submitted.properties.get(name).cloned();
    assert_eq!((get("orig_owner"), get("flavour"), get("os")), (Some(json!("bob")), Some(json!("b")), None));
    assert_eq!(get("inherit"), Some(json!("runtests linux/12")));
    assert_eq!(get("owner"), Some(json!("Ann <ann@example.org>")));
    assert_eq!(submitted.source_stamps[0].changes.iter().map(|change| change.number).collect::<Vec<_>>(), [2, 3]);

    let refused = |text| submit(&order_of(text), &scheduler).unwrap_err().to_string();
    assert_eq!(refused("runtests linux/99"), "inherit: there is no build runtests linux #99");
    assert_eq!(refused("last one"), "inherit: \"last one\" is not of the form builder/number");
    assert_eq!(refused(""), "inherit: needs to be specified");
}

#[test]
fn a_name_typed_in_counts_where_nobody_has_logged_in() {
    let anonymous = |fields: &[(&str, &str)]| ForceBuild { owner: String::new(), ..order(fields) };
    let owner = |order: &ForceBuild| submit(order, &force(Vec::new())).unwrap().properties.get("owner").cloned();
    assert_eq!(owner(&anonymous(&[("username", "bob")])), Some(json!("bob")));
    assert_eq!(owner(&anonymous(&[])), Some(json!("anonymous")));
}

#[test]
fn other_schedulers_cannot_be_forced() {
    let scheduler = SchedulerConfig { kind: SchedulerKind::Triggerable, ..force(Vec::new()) };
    assert!(matches!(submit(&order(&[]), &scheduler), Err(Refused::NotFound(_))));
}

#[actix::test]
async fn a_form_sent_to_the_server_is_built_or_answered_with_all_that_is_wrong() {
    let config = "
c = BuildmasterConfig = {}
c['workers'] = [worker.LocalWorker('local')]
c['builders'] = [util.BuilderConfig(name='linux', workernames=['local'], factory=util.BuildFactory())]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['linux'],
    properties=[util.IntParameter(name='level', label='debug level', default=2)])]
c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True))]
";
    let mut server = Server::start(config).await;
    let (status, page) = server.get("/builders/linux").await;
    assert_eq!((status, page.contains("debug level")), (200, true), "{page}");

    let wrong = "forcescheduler=force&username=bob&level=high&branch=a+b";
    let answer = server.ask("/builders/linux/force", &[], Some(wrong)).await;
    let place = answer.header("Location").unwrap_or_default();
    let said = percent_encoding::percent_decode_str(place).decode_utf8().unwrap().replace('+', " ");
    assert_eq!(answer.status, 302, "{}", answer.body);
    assert!(said.contains("debug level: \"high\" is not a whole number"), "{said}");
    assert!(said.contains("branch: \"a b\" is not allowed"), "{said}");

    let right = "forcescheduler=force&username=bob&level=3&branch=devel&reason=try+it";
    assert_eq!(server.post("/builders/linux/force", right).await.0, 302);
    let build = server.finished("linux", 0).await;
    // A name anyone could type is marked as such.
    assert_eq!(build["reason"], "A build was forced by 'bob (not logged in)': try it");
    let properties = build["properties"].as_array().unwrap();
    let set = |name: &str, value: Value| json!([name, value, "Force Build Form"]);
    for property in [set("level", json!(3)), set("owner", json!("bob (not logged in)"))] {
        assert!(properties.contains(&property), "{property} is not in {properties:?}");
    }
    assert_eq!(build["source_stamps"][0]["branch"], "devel");
    assert!(!server.errors().contains("panicked"), "{}", server.errors());
    server.stop().await;
}
