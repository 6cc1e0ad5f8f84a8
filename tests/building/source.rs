//! `Git`: every mode, against real repositories.

use crate::support::master::{Repository, Server, with_builders};
use serde_json::json;
use signalbox::model::*;

fn git(repository: &Repository, options: &str) -> String {
    format!("steps.Git(repourl='{}', branch='main'{options})", repository.url())
}

fn at(revision: &str) -> Vec<SourceStamp> {
    vec![SourceStamp { revision: Some(revision.into()), ..SourceStamp::default() }]
}

async fn build(server: &Server, stamps: Vec<SourceStamp>) -> Build {
    let request = server.request_with("b", stamps, Properties::new()).await;
    server.built(&request).await
}

#[actix::test]
async fn the_newest_or_the_wanted_revision_is_checked_out() {
    let repository = Repository::new();
    let first = repository.git(&["rev-parse", "HEAD"]);
    let second = repository.commit("a", "2\n");
    let steps = git(&repository, "") + ", steps.ShellCommand(command='cat a; git symbolic-ref --short HEAD')";
    let server = Server::start(&with_builders(&[("b", &steps)])).await;
    let newest = build(&server, Vec::new()).await;
    assert_eq!(newest.results, Some(Results::Success), "{}", server.log(&newest, "git", "stdio").await);
    assert_eq!(newest.properties.get("got_revision"), Some(&json!(second)));
    assert_eq!(newest.properties.source("got_revision"), Some("Git"));
    assert_eq!(server.printed(&newest, "shell").await, "2\nmain\n");
    assert_eq!(newest.steps[0].text, ["update"]);
    let older = build(&server, at(&first)).await;
    assert_eq!(older.properties.get("got_revision"), Some(&json!(first)));
    assert!(!server.path("workers/w/b/build/a").exists());
    let third = repository.commit("a", "3\n");
    assert_eq!(build(&server, at(&third)).await.properties.get("got_revision"), Some(&json!(third)));
}

#[actix::test]
async fn a_branch_of_the_source_stamp_is_taken() {
    let repository = Repository::new();
    repository.git(&["checkout", "--quiet", "-b", "topic/x"]);
    let topic = repository.commit("t", "t\n");
    repository.git(&["checkout", "--quiet", "main"]);
    let server = Server::start(&with_builders(&[("b", &git(&repository, ""))])).await;
    let stamp = SourceStamp { branch: Some("topic/x".into()), ..SourceStamp::default() };
    assert_eq!(build(&server, vec![stamp]).await.properties.get("got_revision"), Some(&json!(topic)));
}

#[actix::test]
async fn modes_differ_in_what_they_throw_away() {
    let repository = Repository::new();
    repository.commit(".gitignore", "ignored\n");
    let left = |mode: &'static str| {
        let steps = git(&repository, mode)
            + ", steps.ShellCommand(command='ls; touch ignored untracked; echo changed > README')";
        async move {
            let server = Server::start(&with_builders(&[("b", &steps)])).await;
            server.build("b").await;
            let second = server.build("b").await;
            assert_eq!(second.results, Some(Results::Success), "{}", server.log(&second, "git", "stdio").await);
            let readme = std::fs::read_to_string(server.path("workers/w/b/build/README")).unwrap();
            assert_eq!(readme, "changed\n");
            server.printed(&second, "shell").await
        }
    };
    assert_eq!(left("").await, "README\nignored\nuntracked\n");
    assert_eq!(left(", mode='full', method='clean'").await, "README\nignored\n");
    assert_eq!(left(", mode='full', method='fresh'").await, "README\n");
    assert_eq!(left(", mode='full', method='clobber'").await, "README\n");
    assert_eq!(left(", mode='full', method='copy'").await, "README\n");
}

#[actix::test]
async fn a_revision_the_branch_does_not_reach_fails_clearly() {
    let repository = Repository::new();
    repository.git(&["checkout", "--quiet", "-b", "topic"]);
    let topic = repository.commit("t", "t\n");
    repository.git(&["checkout", "--quiet", "main"]);
    let server = Server::start(&with_builders(&[("b", &git(&repository, ""))])).await;
    let failed = build(&server, at(&topic)).await;
    assert_eq!((failed.results, failed.full_text()), (Some(Results::Failure), vec!["failed".into(), "git".into()]));
    let header = server.header(&failed, "git").await;
    let sentence = format!("Revision {topic} is not in branch main of {}; it may have been removed", repository.url());
    assert!(header.contains(&sentence), "{header}");
    let nowhere = build(&server, at("0123456789012345678901234567890123456789")).await;
    assert_eq!(nowhere.results, Some(Results::Failure));
    let option = build(&server, at("--output=/tmp/x")).await;
    assert!(server.header(&option, "git").await.contains("cannot be a revision of git"));
}

#[actix::test]
async fn a_repository_that_is_not_there_is_tried_again_and_fails() {
    let steps = "steps.Git(repourl='/no/such/repository', branch='main', retry=(0.1, 2))";
    let server = Server::start(&with_builders(&[("b", steps)])).await;
    let build = server.build("b").await;
    assert_eq!(build.results, Some(Results::Failure));
    let header = server.header(&build, "git").await;
    assert_eq!(header.matches("The fetch is tried again in 0.1 s.").count(), 2, "{header}");
    assert!(header.contains("Branch main of /no/such/repository could not be fetched."), "{header}");
}

#[actix::test]
async fn shallow_clones_have_one_commit() {
    let repository = Repository::new();
    repository.commit("a", "2\n");
    let url = format!("file://{}", repository.url());
    let steps = format!(
        "steps.Git(repourl='{url}', branch='main', mode='full', method='clobber', shallow=True), steps.ShellCommand(command='git rev-list --count HEAD')"
    );
    let server = Server::start(&with_builders(&[("b", &steps)])).await;
    let build = server.build("b").await;
    assert_eq!(server.printed(&build, "shell").await, "1\n");
}

#[actix::test]
async fn submodules_come_along() {
    let inner = Repository::new();
    inner.commit("inner.txt", "inner\n");
    let outer = Repository::new();
    outer.git(&["submodule", "--quiet", "add", &inner.url(), "lib"]);
    outer.git(&["commit", "--quiet", "--message", "lib"]);
    let steps = git(&outer, ", submodules=True") + ", steps.ShellCommand(command='cat lib/inner.txt')";
    let server = Server::start(&with_builders(&[("b", &steps)])).await;
    let build = server.build("b").await;
    assert_eq!(server.printed(&build, "shell").await, "inner\n", "{}", server.log(&build, "git", "stdio").await);
}

#[actix::test]
async fn a_patch_is_applied_and_kept() {
    let repository = Repository::new();
    let steps = git(&repository, "") + ", steps.ShellCommand(command='cat README; cat new')";
    let server = Server::start(&with_builders(&[("b", &steps)])).await;
    let body =
        "--- a/README\n+++ b/README\n@@ -1 +1,2 @@\n first\n+patched\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+file\n";
    let patch = Patch { level: 1, body: body.into(), author: "ada".into(), ..Patch::default() };
    let stamp = SourceStamp { patch: Some(patch), ..SourceStamp::default() };
    let patched = build(&server, vec![stamp]).await;
    assert_eq!(
        server.printed(&patched, "shell").await,
        "first\npatched\nfile\n",
        "{}",
        server.log(&patched, "git", "stdio").await
    );
    assert_eq!(server.log(&patched, "git", "patch").await, body);
    let plain = build(&server, Vec::new()).await;
    assert!(!server.path("workers/w/b/build/new").exists());
    assert_eq!(server.printed(&plain, "shell").await.lines().next(), Some("first"));
    let bad = Patch { level: 1, body: "--- a/none\n+++ b/none\n@@ -1 +1 @@\n-x\n+y\n".into(), ..Patch::default() };
    let stamp = SourceStamp { patch: Some(bad), ..SourceStamp::default() };
    assert_eq!(build(&server, vec![stamp]).await.results, Some(Results::Failure));
}

#[actix::test]
async fn several_codebases_have_a_revision_each() {
    let (app, lib) = (Repository::new(), Repository::new());
    let revision = lib.commit("l", "l\n");
    let steps = format!(
        "steps.Git(repourl='{}', branch='main', codebase='app', workdir='app'), \
         steps.Git(repourl='{}', branch='main', codebase='lib', workdir='lib')",
        app.url(),
        lib.url()
    );
    let server = Server::start(&with_builders(&[("b", &steps)])).await;
    let stamp = |codebase: &str| SourceStamp { codebase: codebase.into(), ..SourceStamp::default() };
    let built = build(&server, vec![stamp("app"), stamp("lib")]).await;
    let expected = json!({"app": app.git(&["rev-parse", "HEAD"]), "lib": revision});
    assert_eq!(built.properties.get("got_revision"), Some(&expected));
    assert_eq!(built.got_revision("lib"), Some(revision.as_str()));
    assert_eq!(built.properties.get("branch"), None);
}

#[actix::test]
async fn a_lock_a_killed_git_left_does_not_stop_the_next() {
    let repository = Repository::new();
    let server = Server::start(&with_builders(&[("b", &git(&repository, ""))])).await;
    server.build("b").await;
    std::fs::write(server.path("workers/w/b/build/.git/index.lock"), "").unwrap();
    assert_eq!(server.build("b").await.results, Some(Results::Success));
}

#[actix::test]
async fn a_description_becomes_a_property() {
    let repository = Repository::new();
    repository.git(&["tag", "--annotate", "--message", "one", "v1"]);
    let server = Server::start(&with_builders(&[("b", &git(&repository, ", getDescription=True"))])).await;
    assert_eq!(server.build("b").await.properties.get("commit-description"), Some(&json!("v1")));
}
