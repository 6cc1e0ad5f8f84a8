//! A new configuration changes what differs and nothing else.

use crate::support::master::{Server, configuration, with_builders};
use crate::support::wait::eventually;
use signalbox::master::Reconfigure;
use signalbox::model::*;
use std::sync::Arc;

const LONG: &str =
    "steps.ShellCommand(command='echo ready; while [ ! -e ../../../../gate ]; do sleep 0.02; done', timeout=60)";

async fn reconfigure(server: &Server, config: &str) {
    let config = configuration(server.folder.path(), config);
    server.master.send(Reconfigure(Arc::new(config))).await.unwrap();
}

#[actix::test]
async fn running_builds_go_on_and_the_next_ones_are_new() {
    let server = Server::start(&with_builders(&[("b", LONG)])).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    reconfigure(
        &server,
        &with_builders(&[("b", "steps.ShellCommand(command='echo new')"), ("n", "steps.ShellCommand(command='true')")]),
    )
    .await;
    assert_eq!(server.build("n").await.results, Some(Results::Success));
    std::fs::write(server.path("gate"), "").unwrap();
    assert_eq!(server.built(&first).await.results, Some(Results::Success));
    let second = server.build("b").await;
    assert_eq!((second.number, server.printed(&second, "shell").await.as_str()), (1, "new\n"));
    let names = |wanted: &str, facts: &[Event]| facts.iter().filter(|fact| fact.name() == wanted).count();
    let facts = server.facts().await;
    assert_eq!(names("configReloaded", &facts), 2);
    assert_eq!(names("builderAdded", &facts), 2);
    assert_eq!(names("slaveConnected", &facts), 1);
}

#[actix::test]
async fn a_removed_builders_build_ends_and_the_builder_is_gone() {
    let server = Server::start(&with_builders(&[("b", LONG), ("stays", "steps.ShellCommand(command='true')")])).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    reconfigure(&server, &with_builders(&[("stays", "steps.ShellCommand(command='true')")])).await;
    let left = server.db.read(signalbox::db::builders::all).await.unwrap();
    assert_eq!(left.iter().map(|builder| builder.name.as_str()).collect::<Vec<_>>(), ["stays"]);
    assert!(!server.tree.reports().iter().any(|report| report.path == "master/builders/b"));
    std::fs::write(server.path("gate"), "").unwrap();
    assert_eq!(server.built(&first).await.results, Some(Results::Success));
    reconfigure(
        &server,
        &with_builders(&[("b", "steps.ShellCommand(command='true')"), ("stays", "steps.ShellCommand(command='true')")]),
    )
    .await;
    assert_eq!(server.build("b").await.number, 1);
}

#[actix::test]
async fn a_removed_worker_leaves_when_its_build_has_ended() {
    let server = Server::start(&with_builders(&[("b", LONG)])).await;
    let first = server.request("b").await;
    server.output("b", "shell", "ready").await;
    let other = with_builders(&[("b", "steps.ShellCommand(command='true')")]).replace("'w'", "'v'");
    reconfigure(&server, &other).await;
    let second = server.request("b").await;
    assert_eq!(server.built(&second).await.worker, "v");
    assert!(server.find("b", 0).await.finished.is_none());
    std::fs::write(server.path("gate"), "").unwrap();
    assert_eq!(server.built(&first).await.worker, "w");
    let tree = server.tree.clone();
    eventually(move || !tree.reports().iter().any(|report| report.path == "master/workers/w")).await;
    let worker = server.db.read(|conn| signalbox::db::workers::find(conn, "w")).await.unwrap().unwrap();
    assert!(!worker.connected);
}

#[actix::test]
async fn the_same_configuration_changes_nothing() {
    let config = with_builders(&[("b", "steps.ShellCommand(command='true')")]);
    let server = Server::start(&config).await;
    server.build("b").await;
    let before = server.facts().await.len();
    reconfigure(&server, &config).await;
    let names: Vec<&str> = server.facts().await[before..].iter().map(Event::name).collect();
    assert_eq!(names, ["configReloaded"]);
}
