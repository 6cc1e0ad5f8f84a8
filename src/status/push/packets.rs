//! The packets of 0.8's pushes (`reference/push.md` §1). Pure, but for what [`Facts::gather`] reads.

use crate::config::Config;
use crate::db::{Conn, DbError, builders, builds};
use crate::model::*;
use crate::render::asdict::{self, BuilderNow, Urls, Zeros, filtered, timestamp};
use serde_json::{Map, Value, json};

/// How many builds a builder says it still has, as many as 0.8 keeps in its cache.
const CACHED: i64 = 15;

/// What the pushes say of the installation.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    pub title: String,
    pub title_url: String,
    pub urls: Urls,
}

impl Project {
    pub fn of(config: &Config) -> Project {
        Project {
            title: config.title.clone(),
            title_url: config.title_url.clone(),
            urls: Urls::new(config.buildbot_url.clone()),
        }
    }
}

/// How the packets are cut and spelt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut {
    /// Leave out what is empty.
    pub filter: bool,
    pub zeros: Zeros,
    /// Names of events that make no packet.
    pub black_list: Vec<String>,
    /// `builderRemoved` as it is meant, instead of 0.8's `buildedRemoved`.
    pub right_spelling: bool,
}

/// What a packet says beyond its event.
#[derive(Debug, Default)]
pub struct Facts {
    /// The first start ever.
    started: Option<Time>,
    /// The builders it speaks of.
    builders: Vec<(Builder, BuilderNow)>,
    /// Those of the build of a step.
    properties: Properties,
}

impl Facts {
    /// Reads what the packets of this event need. `started` is the target's own.
    pub(super) fn gather(conn: &mut Conn, fact: &Stored, started: Option<Time>) -> Result<Facts, DbError> {
        let mut facts = Facts { started, ..Facts::default() };
        match &fact.event {
            Event::ConfigReloaded { .. } => {
                let all = builders::all(conn)?;
                facts.builders = with_now(conn, all)?;
            }
            Event::RequestCancelled { request } => {
                let found = builders::find(conn, &request.builder)?;
                facts.builders = with_now(conn, found.into_iter().collect())?;
            }
            Event::StepStarted { build, .. } | Event::StepFinished { build, .. } => {
                let found = builds::find(conn, &build.builder, build.number)?;
                facts.properties = found.map(|build| build.properties).unwrap_or_default();
            }
            _ => {}
        }
        Ok(facts)
    }
}

fn with_now(conn: &mut Conn, builders: Vec<Builder>) -> Result<Vec<(Builder, BuilderNow)>, DbError> {
    let running = builds::running(conn)?;
    let mut with_now = Vec::new();
    for builder in builders {
        let mut cached_builds = builds::numbers(conn, &builder.name, CACHED)?;
        cached_builds.sort_unstable();
        let of_it = running.iter().filter(|build| build.builder == builder.name);
        let mut current_builds: Vec<i64> = of_it.map(|build| build.number).collect();
        current_builds.sort_unstable();
        // 0.8 never knows how many requests wait at this point, and says none.
        with_now.push((builder, BuilderNow { cached_builds, current_builds, pending_builds: 0 }));
    }
    Ok(with_now)
}

/// Whether an event makes packets at all.
///
/// As in 0.8, progress within a step makes none. A builder's description comes with every load of the configuration,
/// so that `builderAdded` needs none of its own.
pub(super) fn wanted(event: &Event, cut: &Cut) -> bool {
    match event {
        Event::ConfigReloaded { .. } => true,
        Event::BuilderRemoved { .. } => !cut.leaves_out("builderRemoved") && !cut.leaves_out("buildedRemoved"),
        Event::ChangeAdded { .. }
        | Event::BuildsetSubmitted { .. }
        | Event::RequestSubmitted { .. }
        | Event::RequestCancelled { .. }
        | Event::BuilderChangedState { .. }
        | Event::BuildStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepFinished { .. }
        | Event::BuildFinished { .. }
        | Event::SlaveConnected { .. }
        | Event::SlaveDisconnected { .. }
        | Event::SlavePaused { .. }
        | Event::SlaveUnpaused { .. } => !cut.leaves_out(event.name()),
        Event::BuilderAdded { .. }
        | Event::BuilderEvent { .. }
        | Event::BuildEtaUpdate { .. }
        | Event::StepTextChanged { .. }
        | Event::StepText2Changed { .. }
        | Event::StepEtaUpdate { .. }
        | Event::LogStarted { .. }
        | Event::LogFinished { .. }
        | Event::TargetState { .. }
        | Event::DeliveryState { .. }
        | Event::UserChanged { .. }
        | Event::UserRemoved { .. } => false,
    }
}

/// The packets of one event, without their ids.
pub(super) fn packets(fact: &Stored, facts: &Facts, project: &Project, cut: &Cut) -> Vec<Value> {
    let (urls, now) = (&project.urls, fact.at);
    let one = |payload| vec![(fact.event.name(), payload)];
    let named = match &fact.event {
        Event::ChangeAdded { change } => one(json!({ "change": asdict::change(change) })),
        Event::BuildsetSubmitted { buildset } => one(json!({ "buildset": asdict::buildset(buildset) })),
        Event::RequestSubmitted { request } => one(json!({ "request": asdict::pushed_request(request) })),
        Event::RequestCancelled { request } => {
            let builder = facts.builders.first().map(|(builder, now)| asdict::builder(builder, now));
            one(json!({ "builder": builder, "request": asdict::pushed_request(request) }))
        }
        Event::BuilderRemoved { builder } => {
            let name = if cut.right_spelling { "builderRemoved" } else { "buildedRemoved" };
            vec![(name, json!({ "builderName": builder }))]
        }
        Event::BuilderChangedState { builder, state } => one(changed_state(builder, *state)),
        Event::BuildStarted { build } | Event::BuildFinished { build } => {
            one(json!({ "build": asdict::build(build, urls, now) }))
        }
        Event::StepStarted { build, step } | Event::StepFinished { build, step, .. } => {
            one(json!({ "properties": facts.properties, "step": asdict::step(build, step, urls, now) }))
        }
        Event::SlaveConnected { slave } => one(json!({ "slave": asdict::worker(slave, &[], None, urls, now) })),
        Event::SlaveDisconnected { slave } | Event::SlavePaused { slave } | Event::SlaveUnpaused { slave } => {
            one(json!({ "slavename": slave }))
        }
        Event::ConfigReloaded { .. } => introduction(facts, project),
        Event::BuilderAdded { .. }
        | Event::BuilderEvent { .. }
        | Event::BuildEtaUpdate { .. }
        | Event::StepTextChanged { .. }
        | Event::StepText2Changed { .. }
        | Event::StepEtaUpdate { .. }
        | Event::LogStarted { .. }
        | Event::LogFinished { .. }
        | Event::TargetState { .. }
        | Event::DeliveryState { .. }
        | Event::UserChanged { .. }
        | Event::UserRemoved { .. } => Vec::new(),
    };
    let kept = named.into_iter().filter(|(name, _)| !cut.leaves_out(name));
    kept.map(|(name, payload)| packet(name, payload, now, facts.started, project, cut)).collect()
}

/// The last packet of a clean stop; `None` where it is not wanted.
pub(super) fn shutdown(at: Time, started: Option<Time>, project: &Project, cut: &Cut) -> Option<Value> {
    let payload = json!({ "status": status(project) });
    (!cut.leaves_out("shutdown")).then(|| packet("shutdown", payload, at, started, project, cut))
}

/// Every builder, then `start`, as 0.8 begins after a start and after every load of the configuration.
fn introduction(facts: &Facts, project: &Project) -> Vec<(&'static str, Value)> {
    let mut named = Vec::new();
    for (builder, now) in &facts.builders {
        let added = json!({ "builder": asdict::builder(builder, now), "builderName": builder.name });
        named.push(("builderAdded", added));
        named.push(("builderChangedState", changed_state(&builder.name, builder.state)));
    }
    named.push(("start", json!({ "status": status(project) })));
    named
}

fn changed_state(builder: &str, state: BigState) -> Value {
    json!({ "builderName": builder, "state": state.word() })
}

fn status(project: &Project) -> Value {
    asdict::status(&project.title, &project.title_url, project.urls.base())
}

fn packet(event: &str, payload: Value, at: Time, started: Option<Time>, project: &Project, cut: &Cut) -> Value {
    json!({
        // Given its number as it goes into the outbox.
        "id": 0,
        "timestamp": timestamp(at),
        "project": project.title,
        "started": timestamp(started.unwrap_or(at)),
        "event": event,
        "payload": if cut.filter { cut.clean(payload) } else { payload },
    })
}

impl Cut {
    fn leaves_out(&self, event: &str) -> bool {
        self.black_list.iter().any(|name| name == event)
    }

    /// The members of the payload themselves always stay, if only as null.
    fn clean(&self, payload: Value) -> Value {
        let Value::Object(members) = payload else { return payload };
        let clean = |value: Value| match value {
            Value::Object(_) | Value::Array(_) => filtered(&value, self.zeros).unwrap_or_default(),
            scalar => scalar,
        };
        Value::Object(members.into_iter().map(|(key, value)| (key, clean(value))).collect::<Map<String, Value>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project { title: "T".to_owned(), title_url: "http://t/".to_owned(), urls: Urls::new("http://h/") }
    }

    fn cut() -> Cut {
        Cut { filter: true, zeros: Zeros::Keep, black_list: Vec::new(), right_spelling: false }
    }

    fn stored(event: Event) -> Stored {
        Stored { seq: 7, at: Time(1_795_325_622_981_683), event }
    }

    fn a_builder() -> Builder {
        Builder {
            name: "b one".to_owned(),
            basedir: "b_one".to_owned(),
            description: None,
            tags: Vec::new(),
            workers: vec!["w".to_owned()],
            schedulers: Vec::new(),
            state: BigState::Idle,
        }
    }

    #[test]
    fn a_packet_has_the_six_keys_and_a_cleaned_payload() {
        let fact = stored(Event::BuilderRemoved { builder: "b one".to_owned() });
        let facts = Facts { started: Some(Time(1_795_325_600_000_000)), ..Facts::default() };
        let packets = packets(&fact, &facts, &project(), &cut());
        let expected = json!([{
            "id": 0,
            "timestamp": "2026-11-22 05:33:42.981683",
            "project": "T",
            "started": "2026-11-22 05:33:20",
            "event": "buildedRemoved",
            "payload": { "builderName": "b one" },
        }]);
        assert_eq!(Value::Array(packets), expected);
    }

    #[test]
    fn a_load_of_the_configuration_introduces_the_builders_then_starts() {
        let fact = stored(Event::ConfigReloaded { builders: vec!["b one".to_owned()] });
        let facts = Facts { builders: vec![(a_builder(), BuilderNow::default())], ..Facts::default() };
        let packets = packets(&fact, &facts, &project(), &cut());
        let names: Vec<&str> = packets.iter().map(|packet| packet["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["builderAdded", "builderChangedState", "start"]);
        let payload = json!({
            "builder": { "basedir": "b_one", "pendingBuilds": 0, "slaves": ["w"], "state": "idle" },
            "builderName": "b one",
        });
        assert_eq!(packets[0]["payload"], payload);
    }

    #[test]
    fn members_of_the_payload_stay_though_they_are_empty() {
        let request = BuildRequest {
            id: 1,
            buildset: 1,
            builder: "gone".to_owned(),
            source_stamps: Vec::new(),
            reason: String::new(),
            properties: Properties::new(),
            priority: 0,
            submitted_at: Time(0),
            builds: Vec::new(),
            complete_at: None,
            results: None,
        };
        let fact = stored(Event::RequestCancelled { request });
        let packets = packets(&fact, &Facts::default(), &project(), &cut());
        assert_eq!(packets[0]["payload"], json!({ "builder": null, "request": { "builderName": "gone" } }));
    }

    #[test]
    fn black_listed_events_make_no_packet() {
        let mut cut = cut();
        cut.black_list = vec!["builderAdded".to_owned(), "start".to_owned(), "buildedRemoved".to_owned()];
        let fact = stored(Event::ConfigReloaded { builders: Vec::new() });
        let facts = Facts { builders: vec![(a_builder(), BuilderNow::default())], ..Facts::default() };
        assert_eq!(packets(&fact, &facts, &project(), &cut).len(), 1);
        assert!(!wanted(&Event::BuilderRemoved { builder: "b".to_owned() }, &cut));
        assert!(wanted(&fact.event, &cut));
    }
}
