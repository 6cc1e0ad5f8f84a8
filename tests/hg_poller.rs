//! HgPoller over real repositories and a real hg.

use crate::support::mercurial::Mercurial;
use crate::support::poller::{
    Growing, Silence, Witness, begun, built, complaint, found, looked, refusing_server, revisions,
    survives_being_killed,
};
use crate::support::wait::eventually;
use crate::support::yard::{Yard, configured};
use signalbox::changes::hg_poller::{self, Category, Config};
use signalbox::changes::{self, Running};
use signalbox::master::Setup;
use signalbox::model::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Polls at launch and then only when asked.
fn config(url: &str) -> Config {
    Config { poll_at_launch: true, poll_interval: Duration::from_secs(3600), ..Config::new(url, "hg-work") }
}

fn start(yard: &Yard, config: Config) -> Running {
    hg_poller::start(&yard.setup, yard.group(), &Arc::new(config), yard.clerk.clone().recipient())
}

/// Started, and has looked once.
async fn watching(yard: &Yard, repository: &Mercurial) -> Running {
    begun(start(yard, config(&repository.url()))).await
}

/// Its copy of the repository.
fn copy(yard: &Yard) -> PathBuf {
    yard.setup.basedir.join("hg-work")
}

#[actix::test]
async fn new_changesets_become_changes_and_old_ones_do_not() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let category = Category::Fixed("hg".into());
    let config = Config { project: "widget".into(), category, ..config(&repository.url()) };
    let poller = begun(start(&yard, config)).await;
    assert!(yard.changes().await.is_empty());

    let first = repository.commit("Add a file\n\nWith a body.\n", &[("src/b.c", "b"), ("a.c", "a")]);
    let second = repository.commit("Move on", &[("a.c", "c")]);

    let changes = found(&yard, &poller, 2).await;
    assert_eq!(revisions(&changes), [first.as_str(), second.as_str()]);
    assert_eq!(first.len(), 40);
    let change = &changes[0];
    assert_eq!(change.who, "Ann Example <ann@example.org>");
    assert_eq!(change.comments, "Add a file\n\nWith a body.");
    assert_eq!(change.files, ["a.c", "src/b.c"]);
    assert_eq!((change.branch.as_deref(), change.project.as_str()), (Some("default"), "widget"));
    assert_eq!((change.category.as_deref(), change.revlink.as_deref()), (Some("hg"), None));
    assert_eq!(change.repository, repository.url());
    assert_eq!(change.when, Time::from_seconds(1_767_225_601));
    assert_eq!(
        poller.status().description,
        format!(
            "HgPoller watching the remote Mercurial repository {}, branch: default, in workdir hg-work",
            repository.url()
        )
    );
    // Nobody needs the files themselves.
    assert!(!copy(&yard).join("a.c").exists() && copy(&yard).join(".hg").exists());
}

#[actix::test]
async fn a_section_of_the_configuration_starts_one() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    repository.hg(&["branch", "--quiet", "great one"]);
    repository.commit("branch", &[]);
    let config = configured(&format!(
        "c['change_source'] = changes.HgPoller(repourl='{}', branch='great one', workdir='hg-myrepo', pollAtLaunch=True,
            pollInterval=3600, usetimestamps=False, name='great', category=lambda change: 'cat-' + change.branch)",
        repository.url()
    ));
    let add = yard.clerk.clone().recipient();
    let poller = begun(changes::start(&yard.setup, yard.group(), &config.change_sources[0], add)).await;
    assert_eq!(poller.status().name, "great");
    let wanted = repository.commit("on it", &[("a", "1")]);
    repository.hg(&["update", "--quiet", "default"]);
    repository.commit("on default", &[("b", "1")]);
    let all = found(&yard, &poller, 1).await;
    assert_eq!((revisions(&all), all[0].category.as_deref()), (vec![wanted.as_str()], Some("cat-great one")));
    assert!(all[0].when >= crate::support::facts::at(0), "the time of the poll");
    assert!(yard.setup.basedir.join("hg-myrepo/.hg").exists());
}

#[actix::test]
async fn merges_bring_their_changesets() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let base = repository.revision(".");
    let poller = watching(&yard, &repository).await;
    let one = repository.commit("one", &[("one.c", "1")]);
    found(&yard, &poller, 1).await;

    // Two heads: nothing is said to the master until they are merged.
    repository.hg(&["update", "--quiet", &base]);
    let side = repository.commit("side", &[("side.c", "1")]);
    poller.poll_now();
    let said = complaint(&poller).await;
    assert!(said.starts_with("the branch default has 2 heads, "), "{said}");
    assert!(said.contains(&one[..12]) && said.contains(&side[..12]), "{said}");
    found(&yard, &poller, 1).await;

    let merge = repository.merge(&one);
    let all = found(&yard, &poller, 3).await;
    assert_eq!(revisions(&all)[1..], [side, merge]);
    assert_eq!(poller.status().last_error, None);

    // A merged branch brings its own name, which is not asked for.
    repository.hg(&["branch", "--quiet", "topic"]);
    let topic = repository.commit("topic", &[("t", "1")]);
    repository.hg(&["update", "--quiet", "default"]);
    let merge = repository.merge(&topic);
    assert_eq!(revisions(&found(&yard, &poller, 4).await)[3], merge);
}

#[actix::test]
async fn heads_that_were_closed_do_not_count() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let base = repository.revision(".");
    repository.commit("a mistake", &[("m", "1")]);
    repository.hg(&["commit", "--close-branch", "-u", "a", "-m", "close"]);
    repository.hg(&["update", "--quiet", &base]);
    repository.commit("straight", &[("s", "1")]);
    let poller = watching(&yard, &repository).await;
    let on = repository.commit("on", &[("s", "2")]);
    assert_eq!(revisions(&found(&yard, &poller, 1).await), [on]);

    // The end of a branch is its last change.
    repository.hg(&["commit", "--close-branch", "-u", "a", "-m", "the end"]);
    let all = found(&yard, &poller, 2).await;
    assert_eq!((all[1].comments.as_str(), poller.status().last_error), ("the end", None));
}

#[actix::test]
async fn a_branch_that_is_not_there_yet_is_all_new_when_it_comes() {
    let (yard, repository) = (Yard::new(), Mercurial::empty());
    let poller = start(&yard, config(&repository.url()));
    assert_eq!(complaint(&poller).await, "there is no branch default");
    let first = repository.commit("first", &[("a", "1")]);
    let second = repository.commit("second", &[("a", "2")]);
    assert_eq!(revisions(&found(&yard, &poller, 2).await), [first, second]);
    assert_eq!(poller.status().last_error, None);
}

#[actix::test]
async fn pollers_of_two_branches_share_a_workdir() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    repository.hg(&["branch", "--quiet", "side"]);
    repository.commit("side", &[]);
    let side = Config { branch: "side".into(), name: "side".into(), ..config(&repository.url()) };
    let (one, other) = (start(&yard, config(&repository.url())), start(&yard, side));
    let (one, other) = (begun(one).await, begun(other).await);
    let on_side = repository.commit("more", &[("s", "1")]);
    repository.hg(&["update", "--quiet", "default"]);
    let on_default = repository.commit("more", &[("d", "1")]);
    assert_eq!(revisions(&found(&yard, &one, 1).await), [on_default.as_str()]);
    assert_eq!(revisions(&found(&yard, &other, 2).await), [on_default, on_side]);
    let left: Vec<_> = std::fs::read_dir(copy(&yard)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".hg"]);
}

#[actix::test]
async fn rewritten_history_is_one_sentence_and_brings_what_is_new() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let base = repository.revision(".");
    let poller = watching(&yard, &repository).await;
    let wrong = repository.commit("wrong", &[("a", "1")]);
    found(&yard, &poller, 1).await;
    repository.strip(&wrong);
    // Nothing has come of that yet.
    looked(&yard, &poller).await;
    assert_eq!(poller.status().last_error, None);
    let right = repository.commit("right", &[("a", "2")]);
    poller.poll_now();
    let said = complaint(&poller).await;
    assert!(said.starts_with("the history of default was rewritten: ") && said.contains(&wrong[..12]), "{said}");
    assert_eq!(revisions(&found(&yard, &poller, 2).await)[1], right);
    assert_eq!(poller.status().last_error, None);
    let next = repository.commit("next", &[("a", "3")]);
    assert_eq!(revisions(&found(&yard, &poller, 3).await)[2], next);

    // With the copy lost as well nothing is known of where it was.
    std::fs::remove_dir_all(copy(&yard)).unwrap();
    repository.hg(&["update", "--quiet", "--clean", &base]);
    repository.strip(&right);
    repository.commit("other", &[("b", "1")]);
    let newest = repository.commit("newest", &[("b", "2")]);
    poller.poll_now();
    let said = complaint(&poller).await;
    assert!(said.ends_with(&format!("its newest changeset {} alone counts", &newest[..12])), "{said}");
    assert_eq!(revisions(&found(&yard, &poller, 4).await)[3], newest);
}

#[actix::test]
async fn a_local_copy_that_is_lost_or_broken_is_made_anew() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let interval = Duration::from_millis(50);
    let poller = begun(start(&yard, Config { poll_interval: interval, ..config(&repository.url()) })).await;
    std::fs::remove_dir_all(copy(&yard)).unwrap();
    repository.commit("one", &[("a", "1")]);
    found(&yard, &poller, 1).await;

    let store = copy(&yard).join(".hg/store");
    for (count, file) in [(2, "00changelog.i"), (3, "00manifest.i"), (4, "data/a.i")] {
        std::fs::write(store.join(file), "broken\0\0\0\0").unwrap();
        repository.commit("more", &[("a", file)]);
        found(&yard, &poller, count).await;
    }
    std::fs::remove_dir_all(&store).unwrap();
    repository.commit("five", &[("a", "5")]);
    found(&yard, &poller, 5).await;
    eventually(|| poller.status().last_error.is_none()).await;
}

#[actix::test]
async fn a_pull_that_was_killed_is_tidied_up() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let poller = watching(&yard, &repository).await;
    std::fs::write(copy(&yard).join(".hg/store/journal"), "").unwrap();
    std::fs::write(copy(&yard).join(".hg/still-the-same"), "").unwrap();
    repository.commit("one", &[("a", "1")]);
    found(&yard, &poller, 1).await;
    assert_eq!(poller.status().last_error, None);
    assert!(copy(&yard).join(".hg/still-the-same").exists());
}

#[actix::test]
async fn a_copy_of_somebody_else_is_left_alone() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    // Made by hand, as 0.8's are: used as it is.
    repository.hg(&["clone", "--quiet", "--noupdate", ".", copy(&yard).to_str().unwrap()]);
    let poller = watching(&yard, &repository).await;
    repository.commit("one", &[("a", "1")]);
    found(&yard, &poller, 1).await;
    std::fs::write(copy(&yard).join(".hg/store/00changelog.i"), "broken\0\0\0\0").unwrap();
    poller.poll_now();
    let said = complaint(&poller).await;
    assert!(said.contains("hg-work was not made here: delete it, or give this poller another workdir"), "{said}");
    assert!(copy(&yard).join(".hg/store/00changelog.i").exists());
    std::fs::remove_dir_all(copy(&yard)).unwrap();
    found(&yard, &poller, 1).await;
    assert_eq!(poller.status().last_error, None);
}

#[actix::test]
async fn a_workdir_is_for_one_repository() {
    let (yard, one, other) = (Yard::new(), Mercurial::new(), Mercurial::empty());
    other.commit("quite another", &[("x", "1")]);
    watching(&yard, &one).await;
    let said = complaint(&start(&yard, config(&other.url()))).await;
    assert!(said.contains(&format!("is the copy of {}: give this poller a workdir of its own", one.url())), "{said}");
    assert!(copy(&yard).join(".hg").exists());

    // Another repository at the same address is another matter.
    let poller = begun(start(&yard, Config { name: "replaced".into(), ..config(&one.url()) })).await;
    std::fs::remove_dir_all(one.path().join(".hg")).unwrap();
    std::fs::rename(other.path().join(".hg"), one.path().join(".hg")).unwrap();
    poller.poll_now();
    assert!(complaint(&poller).await.contains("unrelated"));
    let newest = one.revision("tip");
    assert_eq!(revisions(&found(&yard, &poller, 1).await), [newest]);
}

#[actix::test]
async fn no_hook_and_no_setting_of_anybody_counts() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let poller = watching(&yard, &repository).await;
    let trace = yard.setup.basedir.join("trace");
    let hooks =
        format!("[hooks]\nincoming = touch {0}\noutgoing = touch {0}\n[defaults]\nlog = -l 0\n", trace.display());
    std::fs::write(copy(&yard).join(".hg/hgrc"), &hooks).unwrap();
    std::fs::write(repository.path().join(".hg/hgrc"), &hooks).unwrap();
    repository.commit("one", &[("a", "1")]);
    found(&yard, &poller, 1).await;
    assert!(!trace.exists());
}

#[actix::test]
async fn whatever_bytes_a_changeset_holds() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let poller = watching(&yard, &repository).await;
    let odd = [("with blank ", "1"), ("ünï\"code", "1"), ("a\\b", "1")];
    repository.commit("naïve \u{1f600}\n\n  body", &odd);
    // As an old client has stored it: bytes that are no UTF-8.
    let script = "import sys\nfrom mercurial import encoding\nencoding.fromlocal = lambda s: s\n";
    let extension = repository.path().parent().unwrap().join(format!("raw-{}.py", std::process::id()));
    std::fs::write(&extension, script).unwrap();
    let message = repository.path().join(".hg/message");
    std::fs::write(&message, b"caf\xe9 \xff").unwrap();
    let (setting, message) = (format!("extensions.raw={}", extension.display()), message.display().to_string());
    std::fs::write(repository.path().join("more"), "1").unwrap();
    repository.hg(&["--config", &setting, "commit", "--addremove", "-u", "b", "-l", &message]);
    std::fs::remove_file(extension).unwrap();

    let all = found(&yard, &poller, 2).await;
    assert_eq!(all[0].comments, "naïve \u{1f600}\n\n  body");
    assert_eq!(all[0].files, ["a\\b", "with blank ", "ünï\"code"]);
    assert_eq!(all[1].comments, "caf\u{e9} \u{ff}");

    let russian = Config { encoding: Some("koi8-r".into()), name: "koi8".into(), ..config(&repository.url()) };
    let (yard, all) = (Yard::new(), all.len());
    let empty = Mercurial::empty();
    let poller = start(&yard, Config { repourl: empty.url(), ..russian });
    complaint(&poller).await;
    empty.hg(&["pull", "--quiet", &repository.url()]);
    let found = found(&yard, &poller, all + 1).await;
    assert_eq!(found[2].comments, "caf\u{418} \u{42a}");
}

#[actix::test]
async fn what_is_missing_is_one_sentence_and_forgiven() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let interval = Duration::from_millis(50);
    let poller = begun(start(&yard, Config { poll_interval: interval, ..config(&repository.url()) })).await;
    repository.commit("while it was there", &[("a", "1")]);
    found(&yard, &poller, 1).await;
    let (there, away) = (repository.path().join(".hg"), repository.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let said = complaint(&poller).await;
    assert!(said.starts_with("cannot pull from it: repository ") && said.ends_with(" not found"), "{said}");
    std::fs::rename(&away, &there).unwrap();
    repository.commit("and after", &[("a", "2")]);
    found(&yard, &poller, 2).await;
    assert_eq!(poller.status().last_error, None);

    let none = Config { hgbin: "no-such-hg".into(), name: "none".into(), ..config(&repository.url()) };
    let said = complaint(&start(&yard, none)).await;
    assert!(said.contains("cannot run \"no-such-hg\""), "{said}");
    assert!(said.ends_with("is Mercurial installed, or hgbin right?"), "{said}");
}

#[actix::test]
async fn a_server_that_hangs_is_given_up_and_a_password_never_seen() {
    let (yard, silence, witness) = (Yard::new(), Silence::new(), Witness::of("hg"));
    let limit = Duration::from_secs(2);
    let url = format!("http://bot:hush@{}/x", silence.address());
    let poller = start(&yard, Config { limit, hgbin: witness.program(), ..config(&url) });
    assert_eq!(complaint(&poller).await, "cannot pull from it: hg did not end within 2s, so it was killed");
    eventually(|| witness.is_over()).await;
    let calls = witness.calls();
    assert!(calls.iter().any(|call| call.contains("pull")), "{calls:?}");
    let shown = format!("{calls:?} {:?}", poller.status());
    assert!(!shown.contains("hush"), "{shown}");
    poller.stop().await;

    drop(silence);
    let poller = start(&yard, config(&url));
    let said = complaint(&poller).await;
    assert!(said.contains("refused") && !said.contains("hush"), "{said}");
}

#[actix::test]
async fn a_password_that_is_wrong_is_said_to_be() {
    let yard = Yard::new();
    for user in ["", "bot:hush@"] {
        let url = format!("http://{user}{}/x", refusing_server(20));
        let said = complaint(&start(&yard, config(&url))).await;
        assert!(said.starts_with("cannot pull from it: ") && said.contains("authorization"), "{said}");
        assert!(said.contains("are user and password in repourl") && !said.contains("hush"), "{said}");
    }
}

#[actix::test]
async fn many_changesets_survive_panics_and_refusals_without_loss_or_repeat() {
    let (yard, repository) = (Yard::new(), Mercurial::new());
    let poller = begun(start(&yard, Config { name: "x".into(), ..config(&repository.url()) })).await;
    let base = repository.revision(".");
    // One line, a longer one beside it, in the middle of which it falls for the first time, and on after their merge.
    repository.grow_by(30);
    let one = repository.revision("tip");
    repository.hg(&["update", "--quiet", &base]);
    repository.grow_by(70);
    repository.merge(&one);
    repository.grow_by(125);
    yard.refusing.store(1, std::sync::atomic::Ordering::SeqCst);
    poller.poll_now();
    complaint(&poller).await;
    poller.poll_now();
    let db = yard.db().clone();
    let count = || db.read_blocking(|conn| signalbox::db::changes::after(conn, 0, 100_000)).unwrap().len();
    for part in 1..=3 {
        eventually(|| count() >= part * 55).await;
        assert!(yard.tree.provoke_panic("master/HgPoller x"));
        if part == 2 {
            // A new copy may number its changesets otherwise.
            std::fs::remove_dir_all(copy(&yard)).unwrap();
        }
    }
    let all = found(&yard, &poller, 226).await;
    let mut listed = revisions(&all);
    listed.sort_unstable();
    let mut expected = repository.since("1");
    expected.sort_unstable();
    assert_eq!(listed, expected);
    eventually(|| poller.status().last_error.is_none()).await;
}

#[actix::test]
async fn a_changeset_is_built_by_the_master() {
    let repository = Mercurial::new();
    let quick = Config { poll_interval: Duration::from_millis(100), ..config(&repository.url()) };
    let start = |setup: &Setup, add| hg_poller::start(setup, &setup.group, &Arc::new(quick), add);
    let build = built("", start, || repository.commit("new", &[("a", "1")])).await;
    assert_eq!(build.blamelist(), ["Ann Example <ann@example.org>"]);
}

#[actix::test]
async fn killed_at_any_moment_it_neither_loses_nor_doubles_a_changeset() {
    let repository = Mercurial::new();
    let url = repository.url();
    let poller = format!("changes.HgPoller(repourl='{url}', workdir='hg', pollInterval=0.05, pollAtLaunch=True)");
    survives_being_killed(&repository, &poller).await;
}
