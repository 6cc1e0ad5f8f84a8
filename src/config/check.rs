//! What must hold between the parts of a configuration.

use super::{Config, Problems, SchedulerKind, WorkerKind, did_you_mean, read_port};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What `c` holds and could not be read, which may well have the name that seems to be missing.
pub(super) struct Unread {
    pub workers: Names,
    pub builders: Names,
    pub schedulers: Names,
}

/// The names of what could not be read.
#[derive(Default)]
pub(super) struct Names {
    /// The options of each.
    pub unread: Vec<Value>,
}

impl Names {
    /// Whether something of this name may be among them: so it is named, or one has no name that can be seen.
    fn may_hold(&self, name: &str) -> bool {
        self.unread.iter().any(|options| match options["name"].as_str().or(options["$rest"][0].as_str()) {
            Some(known) => known == name,
            None => true,
        })
    }
}

pub(super) fn check(config: &Config, unread: &Unread, problems: &mut Problems) {
    unique("builders", config.builders.iter().map(|b| (b.name.as_str(), b.place.as_str())), problems);
    unique("workers", config.workers.iter().map(|w| (w.name.as_str(), w.place.as_str())), problems);
    unique("schedulers", config.schedulers.iter().map(|s| (s.name.as_str(), s.place.as_str())), problems);
    folders(config, problems);
    workers(config, problems);
    ports(config, problems);
    workers_of_builders(config, &unread.workers, problems);
    builders_of_schedulers(config, &unread.builders, problems);
    upstreams(config, &unread.schedulers, problems);
    builders_of_targets(config, &unread.builders, problems);
}

/// Adds a problem for each name that was there before.
fn unique<'a>(what: &str, names: impl Iterator<Item = (&'a str, &'a str)>, problems: &mut Problems) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, place) in names {
        match seen.get(name) {
            Some(first) => {
                problems.add_option(place, "name", format!("two {what} are named \"{name}\"; the first is at {first}"))
            }
            None => {
                seen.insert(name, place);
            }
        }
    }
}

fn workers_of_builders(config: &Config, unread: &Names, problems: &mut Problems) {
    let known: BTreeSet<&str> = config.workers.iter().map(|worker| worker.name.as_str()).collect();
    for builder in &config.builders {
        let missing = |worker: &&String| !known.contains(worker.as_str()) && !unread.may_hold(worker);
        for worker in builder.workers.iter().filter(missing) {
            let message =
                format!("builder \"{}\" names the worker \"{worker}\", which is not in c['workers']", builder.name);
            problems.add_option(&builder.place, "workernames", message);
            problems.suggest(did_you_mean(worker, known.iter().copied()));
        }
    }
}

fn folders(config: &Config, problems: &mut Problems) {
    let mut folders: BTreeMap<&str, &str> = BTreeMap::new();
    for builder in &config.builders {
        match folders.insert(&builder.builddir, &builder.name) {
            Some(other) if other != builder.name => {
                let message =
                    format!("builders \"{other}\" and \"{}\" share the folder \"{}\"", builder.name, builder.builddir);
                problems.add_option(&builder.place, "builddir", message);
                problems.suggest(Some("give one of them builddir=…".to_owned()));
            }
            _ => {}
        }
    }
}

fn workers(config: &Config, problems: &mut Problems) {
    let remote = config.workers.iter().find(|worker| matches!(worker.kind, WorkerKind::Remote { .. }));
    if let (Some(worker), None) = (remote, &config.pb_port) {
        let why = "has nowhere to connect to: c['protocols'] = {\"pb\": {\"port\": 9989}} is missing";
        problems.note(&worker.place, "", format!("worker \"{}\" {why}", worker.name));
    }
    for source in config.change_sources.iter().filter(|source| source.kind == "changes.PBChangeSource") {
        let user = source.options.get("user").and_then(Value::as_str).unwrap_or("change");
        if config.workers.iter().any(|worker| worker.name == user) {
            problems.add_option(
                &source.place,
                "user",
                format!("changes.PBChangeSource: user: a worker is named \"{user}\" too"),
            );
        }
    }
}

fn builders_of_schedulers(config: &Config, unread: &Names, problems: &mut Problems) {
    let builders: Vec<&str> = config.builders.iter().map(|builder| builder.name.as_str()).collect();
    for scheduler in &config.schedulers {
        let missing = |builder: &&String| !builders.contains(&builder.as_str()) && !unread.may_hold(builder);
        for builder in scheduler.builder_names.iter().filter(missing) {
            let message = format!(
                "scheduler \"{}\" names the builder \"{builder}\", which is not in c['builders']",
                scheduler.name
            );
            problems.add_option(&scheduler.place, "builderNames", message);
            problems.suggest(did_you_mean(builder, builders.iter().copied()));
        }
    }
}

fn upstreams(config: &Config, unread: &Names, problems: &mut Problems) {
    let names: Vec<&str> = config.schedulers.iter().map(|scheduler| scheduler.name.as_str()).collect();
    for scheduler in &config.schedulers {
        let SchedulerKind::Dependent { upstream } = &scheduler.kind else { continue };
        if upstream == &scheduler.name {
            problems.add_option(&scheduler.place, "upstream", format!("scheduler \"{upstream}\" waits for itself"));
        } else if !names.contains(&upstream.as_str()) && !unread.may_hold(upstream) {
            let message =
                format!("scheduler \"{}\" waits for \"{upstream}\", which is not in c['schedulers']", scheduler.name);
            problems.add_option(&scheduler.place, "upstream", message);
            problems.suggest(did_you_mean(upstream, names.iter().copied().filter(|name| *name != scheduler.name)));
        }
    }
}

/// Nobody can listen where somebody else does.
fn ports(config: &Config, problems: &mut Problems) {
    let mut taken: BTreeMap<String, (String, String)> = BTreeMap::new();
    let web =
        config.status.iter().filter(|target| target.kind == "status.WebStatus").map(|target| (target, "http_port"));
    let pb = config.status.iter().filter(|target| target.kind == "status.PBListener").map(|target| (target, "port"));
    let managers = config.user_managers.iter().map(|manager| (manager, "port"));
    let mut listeners: Vec<(String, &str, String, &str)> = Vec::new();
    for (section, option) in web.chain(pb).chain(managers) {
        if let Some(port) = section.options.get(option).and_then(read_port) {
            listeners.push((port, &section.kind, section.place.clone(), option));
        }
    }
    for (port, kind, place, option) in listeners {
        let number = port.split(':').take(2).collect::<Vec<_>>().join(":");
        let number = number
            .strip_prefix("tcp4")
            .or_else(|| number.strip_prefix("tcp6"))
            .map_or(number.clone(), |rest| format!("tcp{rest}"));
        if number == "tcp:0" {
            continue;
        }
        let pb_port = config.pb_port.as_ref().map(|port| port.split(':').take(2).collect::<Vec<_>>().join(":"));
        if kind != "status.WebStatus" && pb_port.as_ref() == Some(&number) {
            problems.add_option(
                &place,
                option,
                format!("{kind}: {option}: {number} is the port of c['protocols'] already"),
            );
        }
        match taken.get(&number) {
            Some((other, first)) => {
                let message = format!("{kind}: {option}: {number} is taken by {other} at {first} already");
                problems.add_option(&place, option, message);
            }
            None => {
                taken.insert(number, (kind.to_owned(), place));
            }
        }
    }
}

/// Builders named by status targets exist.
fn builders_of_targets(config: &Config, unread: &Names, problems: &mut Problems) {
    let known: Vec<&str> = config.builders.iter().map(|builder| builder.name.as_str()).collect();
    for target in &config.status {
        let named = target.options.get("builders").and_then(Value::as_array);
        let missing = |name: &&str| !known.contains(name) && !unread.may_hold(name);
        for builder in named.into_iter().flatten().filter_map(Value::as_str).filter(missing) {
            let message = format!("{}: builders: there is no builder \"{builder}\"", target.kind);
            problems.add_option(&target.place, "builders", message);
            problems.suggest(did_you_mean(builder, known.iter().copied()));
        }
    }
}
