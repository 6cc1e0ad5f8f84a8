//! SVNPoller over real repositories and a real svn.

use crate::support::poller::{
    Growing, Silence, Witness, begun, built, complaint, found, looked, revisions, survives_being_killed,
};
use crate::support::subversion::Subversion;
use crate::support::wait::eventually;
use crate::support::yard::{Yard, configured};
use signalbox::changes::svn_poller::{self, Category, Config};
use signalbox::changes::{self, Running};
use signalbox::config::Secret;
use signalbox::master::Setup;
use signalbox::model::*;
use std::sync::Arc;
use std::time::Duration;

/// Polls at launch and then only when asked.
fn config(url: &str) -> Config {
    Config { poll_at_launch: true, poll_interval: Duration::from_secs(3600), ..Config::new(url) }
}

fn trunk(repository: &Subversion) -> Config {
    config(&format!("{}/trunk", repository.url()))
}

fn start(yard: &Yard, config: Config) -> Running {
    svn_poller::start(&yard.setup, yard.group(), &Arc::new(config), yard.clerk.clone().recipient())
}

/// Started by a section of master.cfg with these options, and has looked once.
async fn by_configuration(yard: &Yard, options: &str) -> Running {
    let call = format!("c['change_source'] = changes.SVNPoller(pollAtLaunch=True, pollInterval=3600, {options})");
    let config = configured(&call);
    begun(changes::start(&yard.setup, yard.group(), &config.change_sources[0], yard.clerk.clone().recipient())).await
}

/// Branch and files of each change.
fn places(changes: &[Change]) -> Vec<(Option<&str>, Vec<&str>)> {
    let mut places = Vec::new();
    for Change { branch, files, .. } in changes {
        places.push((branch.as_deref(), files.iter().map(String::as_str).collect()));
    }
    places
}

#[actix::test]
async fn new_revisions_become_changes_and_old_ones_do_not() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    repository.commit("old", &[("trunk/old.c", "x")]);
    let config = Config {
        project: "widget".into(),
        category: Category::Fixed("svn".into()),
        revlinktmpl: Some("https://example.org/r?rev=%s&x=%s".into()),
        ..trunk(&repository)
    };
    let poller = begun(start(&yard, config)).await;
    assert!(yard.changes().await.is_empty());

    let first = repository.commit("Add a file\n\nWith a body.\n", &[("trunk/src/b.c", "b"), ("trunk/a.c", "a")]);
    repository.commit("elsewhere", &[("branches/x/a.c", "a")]);
    let second = repository.commit("Move on", &[("trunk/a.c", "c")]);

    let changes = found(&yard, &poller, 2).await;
    assert_eq!(revisions(&changes), [first.as_str(), second.as_str()]);
    let change = &changes[0];
    assert_eq!((change.who.as_str(), change.comments.as_str()), ("ann", "Add a file\n\nWith a body."));
    assert_eq!(change.files, ["a.c", "src/", "src/b.c"]);
    assert_eq!((change.branch.as_deref(), change.project.as_str()), (None, "widget"));
    assert_eq!(change.repository, format!("{}/trunk", repository.url()));
    assert_eq!(change.category.as_deref(), Some("svn"));
    assert_eq!(change.revlink, Some(format!("https://example.org/r?rev={first}&x={first}")));
    assert!(change.when <= yard.setup.clock.now() && change.when >= crate::support::facts::at(0));
    assert_eq!(poller.status().description, format!("SVNPoller: watching {}/trunk", repository.url()));
    assert_eq!(poller.status().name, format!("{}/trunk", repository.url()));
}

#[actix::test]
async fn no_revision_is_lost_however_many_there_are() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let poller = begun(start(&yard, Config { histmax: 3, ..trunk(&repository) })).await;
    repository.grow_by(10);
    repository.commit("elsewhere", &[("branches/a", "x")]);
    repository.grow_by(1);
    let changes = found(&yard, &poller, 11).await;
    let expected = ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "13"];
    assert_eq!(revisions(&changes), expected);
}

#[actix::test]
async fn branches_are_told_apart_by_a_function() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let options = format!("svnurl='{}', split_file=util.svn.split_file_branches", repository.url());
    let poller = by_configuration(&yard, &options).await;
    repository.commit("on both", &[("trunk/a.c", "a"), ("branches/1.5.x/a.c", "a"), ("README", "nobody's")]);
    let all = found(&yard, &poller, 2).await;
    let both = [(Some("branches/1.5.x"), vec!["a.c"]), (None, vec!["a.c"])];
    assert_eq!(places(&all), both);
    assert_eq!(revisions(&all), ["2", "2"]);

    // A branch made of the trunk is one; deleted as a whole it is nothing to build.
    repository.svn(&["update", "--quiet"]);
    repository.svn(&["copy", "--quiet", "trunk", "branches/new"]);
    repository.submit("branch");
    repository.svn(&["update", "--quiet"]);
    repository.svn(&["delete", "--quiet", "branches/1.5.x"]);
    repository.submit("gone");
    let all = found(&yard, &poller, 3).await;
    assert_eq!((all[2].branch.as_deref(), all[2].revision.as_deref()), (Some("branches/new"), Some("3")));
}

#[actix::test]
async fn every_answer_of_split_file_counts() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let options = format!(
        "svnurl='{}', project='mine', category=lambda change: 'cat-' + change.project, split_file=lambda path: (
            None if path.startswith('README') else
            (None, path[6:]) if path.startswith('trunk/') else
            dict(branch='b', path=path, project='p', codebase='c', repository='svn://elsewhere'))",
        repository.url()
    );
    let poller = by_configuration(&yard, &options).await;
    repository.commit("all", &[("README", "1"), ("trunk/a", "1"), ("other/a", "1")]);
    let all = found(&yard, &poller, 2).await;
    assert_eq!(places(&all), [(Some("b"), vec!["other/", "other/a"]), (None, vec!["a"])]);
    let shown = |change: &Change| [&change.project, &change.codebase, &change.repository].map(Clone::clone);
    assert_eq!(shown(&all[0]), ["p", "c", "svn://elsewhere"]);
    assert_eq!(shown(&all[1]), ["mine".to_owned(), String::new(), repository.url()]);
    assert_eq!((all[0].category.as_deref(), all[1].category.as_deref()), (Some("cat-p"), Some("cat-mine")));
}

#[actix::test]
async fn projects_have_branches_of_their_own() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let options = format!("svnurl='{}', split_file=util.svn.split_file_projects_branches", repository.url());
    let poller = by_configuration(&yard, &options).await;
    repository.commit("both", &[("one/trunk/a", "1"), ("two/trunk/b", "1"), ("two/branches/x/c", "1")]);
    let all = found(&yard, &poller, 3).await;
    let projects: Vec<&str> = all.iter().map(|change| change.project.as_str()).collect();
    assert_eq!(projects, ["one", "two", "two"]);
    assert_eq!(places(&all), [(None, vec!["a"]), (Some("branches/x"), vec!["c"]), (None, vec!["b"])]);
}

#[actix::test]
async fn a_function_that_fails_loses_nothing() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let url = repository.url();
    let poller = by_configuration(&yard, &format!("svnurl='{url}', name='x', split_file=lambda path: path[99]")).await;
    repository.commit("new", &[("trunk/a", "1")]);
    poller.poll_now();
    let said = complaint(&poller).await;
    assert!(said.starts_with("master.cfg:") && said.contains("lambda"), "{said}");
    poller.stop().await;
    let wrong = format!("svnurl='{url}', name='x', split_file=lambda path: 7");
    let config = configured(&format!("c['change_source'] = changes.SVNPoller(pollAtLaunch=True, {wrong})"));
    let poller = changes::start(&yard.setup, yard.group(), &config.change_sources[0], yard.clerk.clone().recipient());
    let said = complaint(&poller).await;
    assert!(said.contains("split_file(\"trunk/a\") answered 7 instead of None, (branch, path)"), "{said}");
    poller.stop().await;

    let mended = format!("svnurl='{url}', name='x', split_file=util.svn.split_file_alwaystrunk");
    let poller = by_configuration(&yard, &mended).await;
    assert_eq!(places(&found(&yard, &poller, 1).await), [(None, vec!["trunk/a"])]);
}

#[actix::test]
async fn whatever_bytes_a_revision_holds() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let poller = begun(start(&yard, trunk(&repository))).await;
    let files = [("trunk/ünï & <b>.c", "1"), ("trunk/ blank ", "1"), ("trunk/a@b", "1")];
    let odd = repository.commit("na\u{ef}ve <&> \u{1f600}", &files);
    repository.rewrite(&odd, b"Jos\xe9", "na\u{ef}ve <&> \u{1f600}".as_bytes());
    let bad = repository.commit("to be replaced", &[("trunk/a@b", "2")]);
    repository.rewrite(&bad, b"", b"na\xefve \x01 \xff]]>");

    let all = found(&yard, &poller, 2).await;
    assert_eq!(all[0].files, [" blank ", "a@b", "ünï & <b>.c"]);
    assert_eq!(all[0].comments, "na\u{ef}ve <&> \u{1f600}");
    assert!(all[0].who.starts_with("Jos"), "{}", all[0].who);
    assert!(all[1].comments.starts_with("na") && all[1].comments.ends_with("]]>"), "{}", all[1].comments);
}

#[actix::test]
async fn a_folder_with_an_odd_name_can_be_watched() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    repository.commit("make it", &[("trunk/ä b@2/a", "1")]);
    let poller = begun(start(&yard, config(&format!("{}/trunk/%C3%A4%20b@2/", repository.url())))).await;
    repository.commit("new", &[("trunk/ä b@2/b", "1"), ("trunk/ä b@22", "1")]);
    assert_eq!(found(&yard, &poller, 1).await[0].files, ["b"]);
}

#[actix::test]
async fn where_it_stands_is_kept_in_a_file_as_0_8_does() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    repository.grow_by(3);
    let file = yard.setup.basedir.join("cache");
    // What 0.8 has left is where it begins.
    std::fs::write(&file, "2").unwrap();
    let config = Config { cachepath: Some("cache".into()), ..trunk(&repository) };
    let poller = begun(start(&yard, config.clone())).await;
    assert_eq!(revisions(&found(&yard, &poller, 2).await), ["3", "4"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "4");
    poller.stop().await;

    // From then on what is stored with the changes counts.
    std::fs::write(&file, "1").unwrap();
    let poller = begun(start(&yard, config.clone())).await;
    repository.grow();
    assert_eq!(revisions(&found(&yard, &poller, 3).await), ["3", "4", "5"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "5");
    poller.stop().await;

    let nowhere = Config { cachepath: Some("no/such/folder".into()), ..config };
    let said = complaint(&start(&yard, nowhere)).await;
    assert!(said.starts_with("cannot write the cachepath ") && said.contains("no/such/folder"), "{said}");
}

#[actix::test]
async fn another_repository_in_its_place_is_watched_from_where_it_stands() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let config = trunk(&repository);
    let poller = begun(start(&yard, config)).await;
    let other = Subversion::new();
    other.grow_by(3);
    std::fs::rename(repository.path(), repository.path().with_extension("old")).unwrap();
    std::fs::rename(other.path(), repository.path()).unwrap();
    poller.poll_now();
    let said = complaint(&poller).await;
    assert!(said.starts_with("this is another repository than before: its UUID is "), "{said}");
    assert!(said.ends_with("watching it from its revision 4 on"), "{said}");
    looked(&yard, &poller).await;
    assert_eq!(poller.status().last_error, None);
    repository.svn(&["mkdir", "--quiet", "-m", "new", &format!("{}/trunk/new", repository.url())]);
    assert_eq!(revisions(&found(&yard, &poller, 1).await), ["5"]);
}

#[actix::test]
async fn a_repository_that_moved_is_gone_on_with() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    begun(start(&yard, Config { name: "x".into(), ..trunk(&repository) })).await.stop().await;
    repository.grow();
    let moved = repository.path().with_extension("moved");
    std::fs::rename(repository.path(), &moved).unwrap();
    let url = format!("file://{}/trunk", moved.display());
    let poller = start(&yard, Config { name: "x".into(), ..config(&url) });
    let said = complaint(&poller).await;
    assert!(said.starts_with("the repository has moved from file://") && said.ends_with("after revision 1"), "{said}");
    assert_eq!(revisions(&found(&yard, &poller, 1).await), ["2"]);
    assert_eq!(poller.status().last_error, None);
}

#[actix::test]
async fn what_is_missing_is_one_sentence_and_forgiven() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let interval = Duration::from_millis(50);
    let poller = begun(start(&yard, Config { poll_interval: interval, ..trunk(&repository) })).await;
    repository.grow();
    found(&yard, &poller, 1).await;
    let away = repository.path().with_extension("away");
    std::fs::rename(repository.path(), &away).unwrap();
    let said = complaint(&poller).await;
    assert!(said.contains("Unable to open repository"), "{said}");
    std::fs::rename(&away, repository.path()).unwrap();
    repository.grow();
    found(&yard, &poller, 2).await;
    assert_eq!(poller.status().last_error, None);

    let said = complaint(&start(&yard, config(&format!("{}/nowhere", repository.url())))).await;
    assert!(said.starts_with("cannot look at it: URL ") && said.contains("non-existent in revision"), "{said}");
    let said = complaint(&start(&yard, Config { svnbin: "no-such-svn".into(), ..trunk(&repository) })).await;
    assert!(said.contains("cannot run \"no-such-svn\""), "{said}");
    assert!(said.ends_with("is Subversion installed, or svnbin right?"), "{said}");
    let said = complaint(&start(&yard, Config { svnbin: "true".into(), name: "t".into(), ..trunk(&repository) })).await;
    assert!(said.contains("is svnbin right?"), "{said}");
}

#[actix::test]
async fn a_password_is_used_and_never_seen() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let served = repository.serve("hush-hush");
    let witness = Witness::of("svn");
    let config = Config {
        svnuser: Some("ann".into()),
        svnpasswd: Some(Secret::new("hush-hush")),
        svnbin: witness.program(),
        extra_args: vec!["--config-option=servers:global:http-timeout=5".into()],
        ..config(&format!("{}/trunk", served.url()))
    };
    let poller = begun(start(&yard, config.clone())).await;
    repository.grow();
    found(&yard, &poller, 1).await;
    let calls = witness.calls();
    let asking: Vec<&String> = calls.iter().filter(|call| call.contains("--xml")).collect();
    assert!(asking.len() >= 3, "{calls:?}");
    let all_as_said = |call: &&String| {
        call.contains("--username ann") && call.contains("http-timeout=5") && call.contains("--non-interactive")
    };
    assert!(asking.iter().all(all_as_said) && !calls.concat().contains("hush"), "{calls:?}");
    poller.stop().await;

    let wrong = Config { svnpasswd: Some(Secret::new("hush-wrong")), name: "wrong".into(), ..config.clone() };
    let said = complaint(&start(&yard, wrong)).await;
    assert!(said.ends_with("; are svnuser and svnpasswd right?") && !said.contains("hush"), "{said}");
    let nobody = Config { svnuser: None, svnpasswd: None, name: "nobody".into(), ..config };
    let said = complaint(&start(&yard, nobody)).await;
    assert!(said.ends_with("; are svnuser and svnpasswd right?"), "{said}");
}

#[actix::test]
async fn a_server_that_hangs_is_given_up() {
    let (yard, silence, witness) = (Yard::new(), Silence::new(), Witness::of("svn"));
    let limit = Duration::from_millis(500);
    let url = format!("svn://{}/x", silence.address());
    let poller = start(&yard, Config { limit, svnbin: witness.program(), ..config(&url) });
    assert_eq!(complaint(&poller).await, "cannot look at it: svn did not end within 500ms, so it was killed");
    eventually(|| witness.is_over()).await;
    assert_eq!(witness.calls().len(), 1);
}

#[actix::test]
async fn many_changes_survive_panics_and_refusals_without_loss_or_repeat() {
    let (yard, repository) = (Yard::new(), Subversion::new());
    let options =
        format!("svnurl='{}', histmax=7, name='x', split_file=util.svn.split_file_branches", repository.url());
    let poller = by_configuration(&yard, &options).await;
    for number in 0..40 {
        let text = number.to_string();
        repository.commit("both", &[("trunk/a", &text), ("branches/b/a", &text), ("branches/c/a", &text)]);
    }
    yard.refusing.store(1, std::sync::atomic::Ordering::SeqCst);
    poller.poll_now();
    let db = yard.db().clone();
    let count = || db.read_blocking(|conn| signalbox::db::changes::after(conn, 0, 100_000)).unwrap().len();
    complaint(&poller).await;
    poller.poll_now();
    for part in 1..=3 {
        eventually(|| count() >= part * 25).await;
        assert!(yard.tree.provoke_panic("master/SVNPoller x"));
    }
    let all = found(&yard, &poller, 120).await;
    let three = [Some("branches/b"), Some("branches/c"), None];
    for (index, of_one) in all.chunks(3).enumerate() {
        let expected = (index + 2).to_string();
        assert_eq!(revisions(of_one), [expected.as_str(); 3]);
        assert_eq!(places(of_one).into_iter().map(|(branch, _)| branch).collect::<Vec<_>>(), three);
    }
}

#[actix::test]
async fn a_revision_is_built_by_the_master() {
    let repository = Subversion::new();
    let quick = Config { poll_interval: Duration::from_millis(100), ..trunk(&repository) };
    let start = |setup: &Setup, add| svn_poller::start(setup, &setup.group, &Arc::new(quick), add);
    let build = built(", branch=None", start, || repository.commit("new", &[("trunk/a", "1")])).await;
    assert_eq!(build.blamelist(), ["ann"]);
}

#[actix::test]
async fn killed_at_any_moment_it_neither_loses_nor_doubles_a_revision() {
    let repository = Subversion::new();
    let url = repository.url();
    let poller = format!("changes.SVNPoller(svnurl='{url}/trunk', pollInterval=0.05, pollAtLaunch=True, histmax=5)");
    survives_being_killed(&repository, &poller).await;
}
