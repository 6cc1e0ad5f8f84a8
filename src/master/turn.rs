//! A builder's turn: which request is built next, together with which others, on which worker.

use super::build::{self, Handle, Plan};
use super::house::{House, chain};
use super::merge;
use super::objects::{named_object, worker_choice};
use super::workers::{Free, Lease};
use crate::config::{Arg, BuilderConfig, Callback, MergeRequests, builder_object, request_object, worker_object};
use crate::db::expectations;
use crate::model::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing::{error, info, warn};

/// What came of a turn.
pub(super) struct Taken {
    /// Requests that still wait, oldest first.
    pub left: Vec<BuildRequest>,
    /// Why they do.
    why: &'static str,
    /// A function of the configuration made one wait; it may say otherwise later.
    pub ask_again: bool,
}

impl Taken {
    pub fn nothing(left: Vec<BuildRequest>) -> Taken {
        Taken { left, why: "the builder is no longer configured", ask_again: false }
    }

    pub fn reasons(&self) -> BTreeMap<i64, String> {
        self.left.iter().map(|request| (request.id, self.why.to_owned())).collect()
    }
}

/// Starts every build of this builder that can be started.
pub(super) async fn take(house: &Arc<House>, config: &Arc<BuilderConfig>, mut left: Vec<BuildRequest>) -> Taken {
    // A builder restarted in the middle of a turn may read a queue that does not show yet what it has just started.
    left.retain(|request| !house.is_being_built(request.id));
    let mut ask_again = false;
    let why = loop {
        if left.is_empty() {
            break "";
        }
        if house.is_ending() || house.is_shutting_down() {
            break "the master is shutting down";
        }
        let free = match house.workers.free(&config.name, &config.workers) {
            Ok(free) => free,
            Err(why) => break why,
        };
        let (request, worker) = match choose(house, config, &left, free).await {
            Choice::Start { request, worker } => (request, worker),
            Choice::Wait(why) => {
                ask_again = true;
                break why;
            }
        };
        // Another builder may have taken the place while a function of the configuration ran.
        let Some(lease) = house.workers.lease(&worker, &config.name, &house.nudge) else { continue };
        let merged = merge(house, config, &left, request).await;
        let taken: Vec<i64> = merged.iter().map(|request| request.id).collect();
        if !start(house, config, merged, lease).await {
            break "the master is shutting down";
        }
        left.retain(|request| !taken.contains(&request.id));
    };
    Taken { left, why, ask_again }
}

enum Choice {
    /// The place of the request in the queue, and the name of the worker.
    Start {
        request: usize,
        worker: String,
    },
    Wait(&'static str),
}

async fn choose(house: &House, config: &BuilderConfig, queue: &[BuildRequest], free: Vec<Free>) -> Choice {
    let builder = described(house, config);
    let order = match &config.next_build {
        None => by_priority(queue),
        Some(next_build) => match ask_next_build(next_build, &builder, queue).await {
            Some(index) => vec![index],
            None => return Choice::Wait("nextBuild chose none"),
        },
    };
    let workers = match &config.next_worker {
        None => free,
        Some(next_worker) => match ask_next_worker(house, next_worker, &builder, free).await {
            Some(worker) => vec![worker],
            None => return Choice::Wait("nextSlave chose none"),
        },
    };
    let Some(can_start) = &config.can_start_build else {
        return match (order.first(), workers.first()) {
            (Some(&request), Some(worker)) => Choice::Start { request, worker: worker.name.clone() },
            _ => Choice::Wait("no worker is free"),
        };
    };
    for request in order {
        for worker in &workers {
            let args = vec![
                Arg::Object(builder_object(&builder)),
                Arg::Object(worker_object(&house.workers.describe(&worker.name))),
                Arg::Object(request_object(&queue[request])),
            ];
            match can_start.call(args).await {
                Ok(answer) if is_true(&answer) => return Choice::Start { request, worker: worker.name.clone() },
                Ok(_) => {}
                Err(cause) => {
                    error!("builder {}: canStartBuild failed: {cause}; taken as False", config.name);
                }
            }
        }
    }
    Choice::Wait("canStartBuild said no")
}

/// Places in the queue, highest priority first, then oldest.
fn by_priority(queue: &[BuildRequest]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..queue.len()).collect();
    order.sort_by_key(|&at| (-i64::from(queue[at].priority), queue[at].submitted_at, queue[at].id));
    order
}

/// A function that fails leaves the choice to the usual order.
async fn ask_next_build(next_build: &Callback, builder: &Builder, queue: &[BuildRequest]) -> Option<usize> {
    let requests = queue.iter().map(|request| Arg::Object(request_object(request))).collect();
    match next_build.call(vec![Arg::Object(builder_object(builder)), Arg::List(requests)]).await {
        Ok(answer) => {
            let id = answer.get("$id").and_then(serde_json::Value::as_i64)?;
            queue.iter().position(|request| request.id == id)
        }
        Err(cause) => {
            error!("builder {}: nextBuild failed: {cause}; the oldest request goes first", builder.name);
            by_priority(queue).first().copied()
        }
    }
}

/// A function that fails leaves the choice to the usual order.
async fn ask_next_worker(house: &House, next: &Callback, builder: &Builder, free: Vec<Free>) -> Option<Free> {
    let choices = free.iter().enumerate();
    let choices = choices.map(|(at, free)| Arg::Object(worker_choice(at, &house.workers.describe(&free.name))));
    match next.call(vec![Arg::Object(builder_object(builder)), Arg::List(choices.collect())]).await {
        Ok(answer) => {
            let at = answer.get("$id").and_then(serde_json::Value::as_u64)?;
            free.into_iter().nth(usize::try_from(at).ok()?)
        }
        Err(cause) => {
            error!("builder {}: nextSlave failed: {cause}; the least busy worker is taken", builder.name);
            free.into_iter().next()
        }
    }
}

/// The request at `chosen` and all that are built together with it, oldest first.
async fn merge(house: &House, config: &BuilderConfig, queue: &[BuildRequest], chosen: usize) -> Vec<BuildRequest> {
    let global = house.config();
    let rule = config.merge_requests.as_ref().unwrap_or(&global.merge_requests);
    let first = &queue[chosen];
    let mut merged = Vec::new();
    for (at, other) in queue.iter().enumerate() {
        let joins = at == chosen
            || match rule {
                MergeRequests::Never => false,
                MergeRequests::Compatible => merge::compatible(first, other),
                MergeRequests::Callback(callback) => {
                    merge::same_codebases(first, other) && ask_merge(house, config, callback, first, other).await
                }
            };
        if joins {
            merged.push(other.clone());
        }
    }
    merged
}

/// A function that fails merges nothing.
async fn ask_merge(
    house: &House,
    config: &BuilderConfig,
    callback: &Callback,
    first: &BuildRequest,
    other: &BuildRequest,
) -> bool {
    let builder = Arg::Object(builder_object(&described(house, config)));
    let args = vec![builder, Arg::Object(request_object(first)), Arg::Object(request_object(other))];
    match callback.call(args).await {
        Ok(answer) => is_true(&answer),
        Err(cause) => {
            error!("builder {}: mergeRequests failed: {cause}; the requests are built apart", config.name);
            false
        }
    }
}

/// Records the start and lets the build run. False when the program is ending.
async fn start(house: &Arc<House>, config: &Arc<BuilderConfig>, requests: Vec<BuildRequest>, lease: Lease) -> bool {
    let name = config.name.clone();
    let expected = house.db.read(move |conn| expectations::of(conn, &name)).await.unwrap_or_else(|cause| {
        warn!("builder {}: cannot read how long its steps take: {}; no ETA is given", config.name, chain(&cause));
        BTreeMap::new()
    });
    let global = house.config();
    let mut steps = build::planned_steps(&config.steps);
    for step in &mut steps {
        step.expected_seconds = expected.get(&step.name).copied();
    }
    let now = house.clock.now();
    let source_stamps = merge::source_stamps(&requests);
    let reason = merge::reason(&requests);
    let builddir = lease.session.builddir(&config.workerbuilddir);
    // From here to the stored fact nothing may fail, or the builder's numbers would have a gap.
    let number = house.db.ids().build(&config.name);
    let properties = merge::properties(&merge::Sources {
        global: &global.properties,
        requests: &requests,
        source_stamps: &source_stamps,
        reason: &reason,
        builder: &config.name,
        builder_properties: &config.properties,
        number,
        worker: &lease.worker.name,
        worker_properties: &lease.worker.properties,
        builddir: &builddir,
    });
    let build = Build {
        builder: config.name.clone(),
        number,
        reason,
        source_stamps,
        requests: requests.iter().map(|request| request.id).collect(),
        properties,
        worker: lease.worker.name.clone(),
        started: now,
        finished: None,
        results: None,
        text: Vec::new(),
        eta: super::eta::estimate(&steps, 0, now),
        steps,
    };
    info!("build {} starts on {}: {}", build.reference(), build.worker, build.reason);
    let (handle, stop) = Handle::new(&build);
    house.add_build(handle);
    let plan = Plan { house: house.clone(), config: global, builder: config.clone(), build, lease, stop };
    // On its own, so that it is finished even if this builder is restarted just now.
    actix_rt::spawn(begin(plan)).await.unwrap_or(false)
}

async fn begin(plan: Plan) -> bool {
    let mut events = vec![Event::BuildStarted { build: plan.build.clone() }];
    events.extend(plan.house.state_change(&plan.builder.name, BigState::Building));
    if plan.house.record(events).await.is_err() {
        plan.house.remove_build(&plan.build.reference());
        return false;
    }
    build::spawn(plan);
    true
}

/// The builder as callbacks see it.
pub(super) fn described(house: &House, config: &BuilderConfig) -> Builder {
    let state = house.state_of(&config.name, &config.workers);
    named_object(&house.config(), config, state)
}

fn is_true(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(value) => !value.is_empty(),
        Value::Object(value) => !value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: i64, priority: i32, submitted: i64) -> BuildRequest {
        BuildRequest {
            id,
            buildset: 1,
            builder: "b".into(),
            source_stamps: Vec::new(),
            reason: String::new(),
            properties: Properties::new(),
            priority,
            submitted_at: Time(submitted),
            builds: Vec::new(),
            complete_at: None,
            results: None,
        }
    }

    #[test]
    fn higher_priority_goes_first_then_the_oldest() {
        let queue = [request(1, 0, 10), request(2, 5, 30), request(3, 5, 20), request(4, 0, 5)];
        assert_eq!(by_priority(&queue), [2, 1, 3, 0]);
    }
}
