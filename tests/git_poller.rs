//! GitPoller over real repositories and a real git.

use crate::support::poller::{Growing, begun, built, found, looked, revisions, survives_being_killed};
use crate::support::repository::Repository;
use crate::support::server::{Server, signalbox};
use crate::support::wait::{eventually, until};
use crate::support::yard::{Yard, configured};
use signalbox::changes::git_poller::{self, Branches, Config};
use signalbox::changes::{self, Running};
use signalbox::master::Setup;
use signalbox::model::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Polls at launch and then only when asked.
fn config(repository: &Repository) -> Config {
    Config { poll_at_launch: true, poll_interval: Duration::from_secs(3600), ..Config::new(&repository.url()) }
}

fn start(yard: &Yard, config: Config) -> Running {
    git_poller::start(&yard.setup, yard.group(), &Arc::new(config), yard.clerk.clone().recipient())
}

/// Started, and has looked once.
async fn watching(yard: &Yard, config: Config) -> Running {
    begun(start(yard, config)).await
}

#[actix::test]
async fn new_commits_become_changes_and_old_ones_do_not() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let config = Config { project: "widget".into(), ..config(&repository) };
    let poller = watching(&yard, config).await;
    assert!(yard.changes().await.is_empty());

    let first = repository.commit("Add a file\n\nWith a body.\n", &[("src/b.c", "b"), ("a.c", "a")]);
    let second = repository.commit("Move on", &[("a.c", "c")]);

    let changes = found(&yard, &poller, 2).await;
    assert_eq!(revisions(&changes), [first, second]);
    let change = &changes[0];
    assert_eq!(change.who, "Ann Example <ann@example.org>");
    assert_eq!(change.comments, "Add a file\n\nWith a body.");
    assert_eq!(change.files, ["a.c", "src/b.c"]);
    assert_eq!((change.branch.as_deref(), change.project.as_str()), (Some("master"), "widget"));
    assert_eq!(change.repository, repository.url());
    let committed: i64 = repository.git(&["log", "-1", "--format=%ct", "HEAD~1"]).parse().unwrap();
    assert_eq!(change.when, Time::from_seconds(committed));
    assert_eq!((change.category.as_deref(), change.revlink.as_deref(), change.codebase.as_str()), (None, None, ""));
    assert_eq!(
        poller.status().description,
        format!("GitPoller watching the remote git repository {}, branches: master", repository.url())
    );
}

#[actix::test]
async fn a_commit_is_noticed_within_the_interval() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let interval = Duration::from_millis(300);
    let poller = watching(&yard, Config { poll_interval: interval, ..config(&repository) }).await;
    repository.commit("new", &[("a", "1")]);
    let began = Instant::now();
    let db = yard.db().clone();
    eventually(|| !db.read_blocking(|conn| signalbox::db::changes::after(conn, 0, 1)).unwrap().is_empty()).await;
    assert!(began.elapsed() < interval + Duration::from_secs(1), "{:?}", began.elapsed());
    poller.stop().await;
}

#[actix::test]
async fn merges_bring_their_commits_and_what_they_changed() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let poller = watching(&yard, config(&repository)).await;
    repository.git(&["checkout", "--quiet", "-b", "side"]);
    let side = repository.commit("side", &[("side.c", "1")]);
    repository.git(&["checkout", "--quiet", "master"]);
    let straight = repository.commit("straight", &[("main.c", "1")]);
    repository.git(&["merge", "--quiet", "--no-ff", "-m", "merge", "side"]);
    let merge = repository.revision("HEAD");

    let changes = found(&yard, &poller, 3).await;
    let mut both = revisions(&changes)[..2].to_vec();
    both.sort();
    let mut expected = [side.as_str(), straight.as_str()];
    expected.sort();
    assert_eq!((both, changes[2].revision.as_deref()), (expected.to_vec(), Some(merge.as_str())));
    assert_eq!(changes[2].files, ["side.c"]);
}

#[actix::test]
async fn branches_come_move_and_go() {
    let (yard, repository) = (Yard::new(), Repository::new());
    repository.git(&["branch", "old"]);
    let poller = watching(&yard, Config { branches: Branches::All, ..config(&repository) }).await;

    // A new branch: only what is new on it.
    repository.git(&["checkout", "--quiet", "-b", "topic/a"]);
    let topic = repository.commit("topic", &[("t", "1")]);
    repository.git(&["branch", "same"]);
    assert_eq!(revisions(&found(&yard, &poller, 1).await), [topic.as_str()]);

    // Moved by force: what it did not have before.
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let other = repository.commit("other", &[("o", "1")]);
    let all = found(&yard, &poller, 2).await;
    assert_eq!((revisions(&all)[1], all[1].branch.as_deref()), (other.as_str(), Some("topic/a")));

    // Moved back: nothing new.
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    looked(&yard, &poller).await;

    // Gone, with another in its way; then back with one commit more.
    repository.git(&["checkout", "--quiet", "master"]);
    repository.git(&["branch", "-D", "topic/a"]);
    repository.git(&["branch", "topic"]);
    repository.git(&["branch", "-D", "old"]);
    looked(&yard, &poller).await;
    assert_eq!(poller.status().last_error, None);
    repository.git(&["branch", "-D", "topic"]);
    repository.git(&["checkout", "--quiet", "-b", "topic/a", &other]);
    let back = repository.commit("back", &[("o", "2")]);
    let all = found(&yard, &poller, 4).await;
    assert_eq!(revisions(&all)[2..], [other.as_str(), back.as_str()]);
}

#[actix::test]
async fn only_the_branches_asked_for_are_watched() {
    let (yard, repository) = (Yard::new(), Repository::new());
    repository.git(&["branch", "devel"]);
    let branches = Branches::Named(vec!["devel".into(), "nowhere".into()]);
    let poller = start(&yard, Config { branches, ..config(&repository) });
    eventually(|| poller.status().last_poll.is_some()).await;
    let complaint = poller.status().last_error.unwrap();
    assert_eq!(complaint, "there is no branch nowhere; it has devel, master");
    repository.commit("on master", &[("m", "1")]);
    repository.git(&["checkout", "--quiet", "devel"]);
    let devel = repository.commit("on devel", &[("d", "1")]);
    assert_eq!(revisions(&found(&yard, &poller, 1).await), [devel]);
}

#[actix::test]
async fn a_branch_added_to_the_configuration_is_watched_from_then_on() {
    let (yard, repository) = (Yard::new(), Repository::new());
    repository.git(&["checkout", "--quiet", "-b", "devel"]);
    repository.commit("old", &[("d", "1")]);
    watching(&yard, config(&repository)).await.stop().await;
    let both = Branches::Named(vec!["master".into(), "devel".into()]);
    let poller = watching(&yard, Config { branches: both, ..config(&repository) }).await;
    let new = repository.commit("new", &[("d", "2")]);
    assert_eq!(revisions(&found(&yard, &poller, 1).await), [new]);
}

#[actix::test]
async fn an_empty_repository_is_reported_from_its_first_commit() {
    let (yard, repository) = (Yard::new(), Repository::empty());
    let poller = start(&yard, config(&repository));
    eventually(|| poller.status().last_error.is_some()).await;
    assert_eq!(poller.status().last_error.unwrap(), "there is no branch master; it has no branches yet");
    let first = repository.commit("first", &[("a", "1")]);
    let second = repository.commit("second", &[("a", "2")]);
    assert_eq!(revisions(&found(&yard, &poller, 2).await), [first, second]);
    assert_eq!(poller.status().last_error, None);
}

#[actix::test]
async fn a_missing_repository_is_one_sentence_and_forgiven() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let interval = Duration::from_millis(50);
    let poller = watching(&yard, Config { poll_interval: interval, ..config(&repository) }).await;
    repository.commit("while it was there", &[("a", "1")]);
    std::fs::rename(repository.path().join(".git"), repository.path().join("away")).unwrap();
    // A look that was between its two questions to git says first that it cannot fetch.
    let complaint = || poller.status().last_error.unwrap_or_default();
    eventually(|| complaint().starts_with("cannot list its branches: ")).await;
    let complaint = complaint();
    assert!(!complaint.contains('\n'), "{complaint}");
    std::fs::rename(repository.path().join("away"), repository.path().join(".git")).unwrap();
    repository.commit("and after", &[("a", "2")]);
    found(&yard, &poller, 2).await;
    assert_eq!(poller.status().last_error, None);
}

#[actix::test]
async fn a_git_that_is_not_there_is_said_so() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let poller = start(&yard, Config { gitbin: "no-such-git".into(), ..config(&repository) });
    eventually(|| poller.status().last_error.is_some()).await;
    let complaint = poller.status().last_error.unwrap();
    assert!(complaint.contains("cannot run \"no-such-git\""), "{complaint}");
}

#[actix::test]
async fn whatever_bytes_a_commit_holds() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let latin = Config { encoding: encoding_rs::WINDOWS_1252, name: "latin".into(), ..config(&repository) };
    let poller = watching(&yard, config(&repository)).await;
    let tree = repository.revision("HEAD^{tree}");
    let parent = repository.revision("HEAD");
    let raw = |author: &[u8], message: &[u8]| {
        let parts: [&[u8]; 7] = [
            format!("tree {tree}\nparent {parent}\nauthor ").as_bytes().to_vec().leak(),
            author,
            b" <x@example.org> 1767225600 +0000\ncommitter ",
            author,
            b" <x@example.org> 1767225600 +0000\n\n",
            message,
            b"\n",
        ];
        repository.git_with(&["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], &[], &parts.concat())
    };
    let commit = raw(b"Jos\xe9", b"na\xefve \xf0\x9f\x98\x80");
    repository.git(&["update-ref", "refs/heads/master", &commit]);

    let all = found(&yard, &poller, 1).await;
    assert_eq!(all[0].who, "Jos\u{fffd} <x@example.org>");
    assert!(all[0].comments.starts_with("na\u{fffd}ve"), "{}", all[0].comments);
    assert!(all[0].files.is_empty());
    poller.stop().await;

    let poller = watching(&yard, latin).await;
    let commit = raw(b"Jos\xe9", b"na\xefve");
    repository.git(&["update-ref", "refs/heads/master", &commit]);
    let all = found(&yard, &poller, 2).await;
    assert_eq!((all[1].who.as_str(), all[1].comments.as_str()), ("Jos\u{e9} <x@example.org>", "na\u{ef}ve"));
}

#[actix::test]
async fn odd_file_names_and_long_lists() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let poller = watching(&yard, config(&repository)).await;
    let names: Vec<String> = (0..10_050).map(|n| format!("many/{n:05}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    repository.commit("an import", &files);
    repository.commit("odd", &[("with blank", "1"), ("ünïcode", "1"), ("line\nbreak", "1"), ("quo\"te", "1")]);
    let all = found(&yard, &poller, 2).await;
    assert_eq!(all[0].files.len(), 10_000);
    assert_eq!(all[1].files, ["line\nbreak", "quo\"te", "with blank", "ünïcode"]);
}

/// Makes this many commits in one go.
fn many_commits(repository: &Repository, count: usize) {
    let mut stream = String::new();
    for number in 0..count {
        let seconds = 1_767_300_000 + number;
        stream += &format!(
            "commit refs/heads/master\ncommitter A <a@example.org> {seconds} +0000\ndata 2\n{:02}\n",
            number % 100
        );
        if number == 0 {
            stream += "from refs/heads/master^0\n";
        }
        stream += &format!("M 644 inline f{number}\ndata 1\nx\n");
    }
    repository.git_with(&["fast-import", "--quiet"], &[], stream.as_bytes());
}

#[actix::test]
async fn many_commits_survive_panics_without_loss_or_repeat() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let config = config(&repository);
    let path = format!("master/GitPoller {}", config.name.replace('/', "|"));
    let poller = watching(&yard, config).await;
    many_commits(&repository, 400);
    poller.poll_now();
    let db = yard.db().clone();
    let count = || db.read_blocking(|conn| signalbox::db::changes::after(conn, 0, 100_000)).unwrap().len();
    for part in 1..=3 {
        eventually(|| count() >= part * 70).await;
        assert!(yard.tree.provoke_panic(&path));
    }
    let all = found(&yard, &poller, 400).await;
    let expected = repository.git(&["rev-list", "--reverse", "HEAD~400..HEAD"]);
    assert_eq!(revisions(&all), expected.lines().collect::<Vec<_>>());
}

#[actix::test]
async fn a_local_copy_that_is_lost_or_broken_is_made_anew() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let poller = watching(&yard, config(&repository)).await;
    let copies = || -> Vec<_> {
        let work = yard.setup.basedir.join("gitpoller_work");
        std::fs::read_dir(work).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    std::fs::remove_dir_all(&copies()[0]).unwrap();
    repository.commit("one", &[("a", "1")]);
    found(&yard, &poller, 1).await;

    std::fs::write(copies()[0].join("config"), "[broken").unwrap();
    repository.commit("two", &[("a", "2")]);
    found(&yard, &poller, 2).await;

    std::fs::remove_dir_all(copies()[0].join("objects/pack")).unwrap();
    for entry in std::fs::read_dir(copies()[0].join("objects")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.len() == 2) {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    repository.commit("three", &[("a", "3")]);
    found(&yard, &poller, 3).await;
    assert_eq!(poller.status().last_error, None);
}

#[actix::test]
async fn changes_wait_out_a_master_that_takes_nothing() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let interval = Duration::from_millis(20);
    let poller = watching(&yard, Config { poll_interval: interval, ..config(&repository) }).await;
    yard.refusing.store(3, std::sync::atomic::Ordering::SeqCst);
    let one = repository.commit("one", &[("a", "1")]);
    let two = repository.commit("two", &[("a", "2")]);
    assert_eq!(revisions(&found(&yard, &poller, 2).await), [one, two]);
}

#[actix::test]
async fn functions_choose_branches_and_categories() {
    let (yard, repository) = (Yard::new(), Repository::new());
    let config = configured(&format!(
        "c['change_source'] = changes.GitPoller(repourl='{}', pollAtLaunch=True, pollInterval=3600,
            branches=lambda ref: ref.startswith('refs/heads/r'), category=lambda change: 'cat-' + change.branch)",
        repository.url()
    ));
    repository.git(&["branch", "r1"]);
    let add = yard.clerk.clone().recipient();
    let poller = changes::start(&yard.setup, yard.group(), &config.change_sources[0], add);
    eventually(|| poller.status().last_poll.is_some()).await;
    repository.commit("on master", &[("m", "1")]);
    repository.git(&["checkout", "--quiet", "r1"]);
    let wanted = repository.commit("on r1", &[("r", "1")]);
    let all = found(&yard, &poller, 1).await;
    assert_eq!((revisions(&all), all[0].category.as_deref()), (vec![wanted.as_str()], Some("cat-r1")));
    assert!(poller.status().next_poll > poller.status().last_poll);
}

#[actix::test]
async fn what_cannot_be_started_says_so() {
    let yard = Yard::new();
    let section = signalbox::config::Section::new("changes.CVSMaildirSource", "master.cfg:3", serde_json::json!({}));
    let source = changes::start(&yard.setup, yard.group(), &section, yard.clerk.clone().recipient());
    let complaint = source.status().last_error.unwrap();
    assert!(complaint.starts_with("configured, not started"), "{complaint}");
    source.stop().await;
}

#[actix::test]
async fn a_commit_is_built_by_the_master() {
    let repository = Repository::new();
    let quick = Config { poll_interval: Duration::from_millis(100), ..config(&repository) };
    let start = |setup: &Setup, add| git_poller::start(setup, &setup.group, &Arc::new(quick), add);
    let build = built("", start, || repository.commit("new", &[("a", "1")])).await;
    assert_eq!(build.blamelist(), ["Ann Example <ann@example.org>"]);
    assert_eq!(build.properties.get("scheduler"), Some(&serde_json::json!("quick")));
}

#[actix::test]
async fn killed_at_any_moment_it_neither_loses_nor_doubles_a_commit() {
    let repository = Repository::new();
    let url = repository.url();
    let poller = format!("changes.GitPoller(repourl='{url}', pollInterval=0.05, pollAtLaunch=True)");
    survives_being_killed(&repository, &poller).await;
}

impl Growing for Repository {
    fn grow(&self) -> String {
        self.commit("grow", &[])
    }

    fn grow_by(&self, count: usize) {
        many_commits(self, count);
    }

    fn since(&self, first: &str) -> Vec<String> {
        let listed = self.git(&["rev-list", "--reverse", "--topo-order", &format!("{first}^..HEAD")]);
        listed.lines().map(str::to_owned).collect()
    }
}

#[actix::test]
async fn the_pages_show_when_it_last_looked_and_what_went_wrong() {
    let repository = Repository::new();
    let config = |url: &str, may: bool| {
        let rights = if may { "True" } else { "False" };
        format!(
            "
c = BuildmasterConfig = {{}}
c['change_source'] = [
    changes.GitPoller(repourl='{url}', pollInterval=3600, pollAtLaunch=True),
    changes.PBChangeSource(user='bot', passwd='hush'),
    changes.SVNPoller('https://bot:hush@svn.example.org/trunk'),
    changes.HgPoller('https://bot:hush@hg.example.org/x', workdir='hg'),
]
c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(showInternals={rights}))]
"
        )
    };
    let mut server = Server::start(&config(&repository.url(), true)).await;
    let source = polled(&server, 0).await;
    assert!(source["description"].as_str().unwrap().contains(&repository.url()), "{source}");
    assert!(source["next_poll"].as_f64() > source["last_poll"].as_f64(), "{source}");
    assert_eq!((&source["state"], &source["last_error"]), (&"running".into(), &serde_json::Value::Null));
    let idle = server.json("/json/change_sources/1").await;
    assert_eq!((&idle["state"], &idle["last_poll"]), (&"not started".into(), &serde_json::Value::Null));
    assert_eq!(idle["description"], "PBChangeSource");
    for (number, description) in [
        (2, "SVNPoller: watching https://bot@svn.example.org/trunk"),
        (
            3,
            "HgPoller watching the remote Mercurial repository https://bot@hg.example.org/x, branch: default, in workdir hg",
        ),
    ] {
        let waiting = server.json(&format!("/json/change_sources/{number}")).await;
        assert_eq!((&waiting["state"], &waiting["last_poll"]), (&"running".into(), &serde_json::Value::Null));
        assert!(waiting["next_poll"].is_number() && waiting["description"] == description, "{waiting}");
    }

    // Another repository, which is not there: the page follows the configuration in force.
    std::fs::write(server.config_file(), config("/nonexistent/repository", true)).unwrap();
    let done = signalbox().arg("reconfig").arg(server.basedir()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let failing = polled(&server, 3).await;
    assert_eq!(failing["state"], "failing", "{failing}");
    let error = failing["last_error"].as_str().unwrap();
    let (_, page) = server.get("/changes").await;
    assert!(page.contains("failing") && page.contains("not started") && page.contains("/nonexistent/repository"));
    assert!(!page.contains(&repository.url()) && !page.contains("hush"), "{page}");
    assert!(error.starts_with("cannot ") && page.contains("cannot "), "{error}: {page}");
    server.stop().await;

    // What went wrong is for those who run the place.
    std::fs::write(server.config_file(), config("/nonexistent/repository", false)).unwrap();
    server.restart();
    let failing = polled(&server, 0).await;
    assert_eq!((&failing["state"], &failing["last_error"]), (&"failing".into(), &serde_json::Value::Null));
    let (_, page) = server.get("/changes").await;
    assert!(page.contains("failing") && !page.contains("cannot "), "{page}");
    server.stop().await;
}

/// A change source as the JSON has it, once it has looked.
async fn polled(server: &Server, number: usize) -> serde_json::Value {
    until("a poll", Duration::from_secs(60), || async {
        let source = server.json(&format!("/json/change_sources/{number}")).await;
        source["last_poll"].is_number().then_some(source)
    })
    .await
}
