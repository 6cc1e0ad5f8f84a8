//! Builds that end, and notifiers that write of them.

use super::facts::*;
use super::probe::House;
use super::wait::eventually;
use serde_json::Value;
use signalbox::config::{Catalog, load_text};
use signalbox::db::{cursors, logs};
use signalbox::model::*;
use signalbox::status::mail::{self, MailNotifier, Project, Rates};
use signalbox::status::outbox::{Running, Target};
use std::path::Path;

/// The notifier of a configuration that has this text in front, and these options beside the relay's.
pub fn notifier(house: &House, folder: &Path, port: u16, before: &str, options: &str) -> MailNotifier {
    let relay = if options.contains("relayhost=") { "" } else { "relayhost='127.0.0.1', " };
    let text = format!(
        "c = {{}}\nc['title'] = 'Widget Foundry'\nc['buildbotURL'] = 'http://builds.example.org/'\n{before}\n\
         c['workers'] = [worker.LocalWorker('w1')]\nc['builders'] = [util.BuilderConfig(name=name, workernames=['w1'], \
         factory=util.BuildFactory()) for name in ['linux', 'docs']]\n\
         c['status'] = [status.MailNotifier(fromaddr='buildbot@example.org', name='test', {relay}smtpPort={port}, {options})]\n"
    );
    let config = match load_text("master.cfg", &text, folder, &Catalog(signalbox::status::kinds())) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    };
    mail::make(&config.status[0], Project::of(&config), &house.db, folder, &Rates::default()).unwrap()
}

/// Starts it and waits until it is past its beginning.
pub async fn start(house: &House, target: MailNotifier) -> Running {
    let name = target.name().to_owned();
    let running = house.start(target);
    eventually(|| house.db.read_blocking(|conn| cursors::get(conn, &name)).unwrap().is_some()).await;
    running
}

/// A build of `builder` that has ended so, with what came before its end stored.
pub async fn build_ends(house: &House, builder: &str, number: i64, results: Results) {
    build_ends_with(house, build(builder, number), results, "").await;
}

/// The same of this build; a step `compile` prints this text, if there is some.
pub async fn build_ends_with(house: &House, running: Build, results: Results, printed: impl Into<Vec<u8>>) -> Build {
    let printed = printed.into();
    let reference = running.reference();
    house.hub.record(Event::BuildStarted { build: running.clone() }).await.unwrap();
    let mut finished = ended(&running, results);
    let begun = step(&running, 0, "compile");
    house.hub.record(Event::StepStarted { build: reference.clone(), step: begun.clone() }).await.unwrap();
    let mut done = step_ended(&begun, 2, results);
    if results != Results::Success {
        done.text2 = vec!["compile".to_owned()];
    }
    if !printed.is_empty() {
        let id = house.db.ids().log();
        let mut log = log(id, "stdio");
        let started = Event::LogStarted { build: reference.clone(), step: 0, log: log.clone() };
        house.hub.record(started).await.unwrap();
        for piece in printed.chunks(1 << 20) {
            let text = vec![Segment { channel: Channel::Stdout, bytes: piece.to_vec() }];
            let written = house.db.write(move |conn| logs::append(conn, id, &text)).await.unwrap();
            (log.lines, log.bytes) = written;
        }
        log.finished = true;
        let ended = Event::LogFinished { build: reference.clone(), step: 0, log: log.clone() };
        house.hub.record(ended).await.unwrap();
        done.logs = vec![log];
    }
    let properties = Properties::new();
    let over = Event::StepFinished { build: reference, step: done.clone(), properties };
    house.hub.record(over).await.unwrap();
    finished.steps = vec![done];
    house.hub.record(Event::BuildFinished { build: finished.clone() }).await.unwrap();
    finished
}

/// Has the database know these builders.
pub async fn builders(house: &House, names: &[&str]) {
    for name in names {
        house.hub.record(Event::BuilderAdded { builder: builder(name) }).await.unwrap();
    }
}

/// What came is in this file of `tests/data/mail`; `UPDATE=1` writes it.
#[track_caller]
pub fn check(name: &str, came: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail").join(format!("{name}.json"));
    let came = format!("{came:#}\n");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &came).unwrap();
    }
    assert_eq!(came, std::fs::read_to_string(&file).unwrap_or_default(), "{name}; UPDATE=1 rewrites it");
}
