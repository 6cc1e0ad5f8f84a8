//! Orders about requests and builds: submitting, forcing, rebuilding, stopping, cancelling.

use super::build::Stop;
use super::builder::{self, Cancel};
use super::force;
use super::house::{House, chain};
use super::orders::*;
use crate::config::SchedulerKind;
use crate::db::{DbError, builders, builds, requests};
use crate::model::*;
use std::sync::Arc;

/// Stores a buildset with one request per builder, and sees to it that they are built.
pub(super) async fn submit(house: &House, order: SubmitBuildset) -> Result<(Buildset, Vec<BuildRequest>), Refused> {
    let config = house.config();
    for name in &order.builders {
        if !config.builders.iter().any(|builder| builder.name == *name) {
            return Err(no_builder(name));
        }
    }
    if order.builders.is_empty() {
        return Err(Refused::Invalid(vec!["no builder is named".to_owned()]));
    }
    let ids = house.db.ids();
    let now = house.clock.now();
    let mut properties = order.properties;
    if !order.scheduler.is_empty() && properties.get("scheduler").is_none() {
        properties.set("scheduler", order.scheduler.clone(), "Scheduler");
    }
    let mut source_stamps = order.source_stamps;
    if source_stamps.is_empty() {
        source_stamps.push(SourceStamp::default());
    }
    let buildset = Buildset {
        id: ids.buildset(),
        external_idstring: order.external_idstring,
        reason: order.reason,
        scheduler: order.scheduler,
        source_stamps,
        properties,
        builders: order.builders,
        submitted_at: now,
        complete_at: None,
        results: None,
    };
    let priority = buildset.properties.get("priority").and_then(serde_json::Value::as_i64).unwrap_or(0);
    let requests = buildset.builders.iter().map(|builder| BuildRequest {
        id: ids.request(),
        buildset: buildset.id,
        builder: builder.clone(),
        source_stamps: buildset.source_stamps.clone(),
        reason: buildset.reason.clone(),
        properties: buildset.properties.clone(),
        priority: i32::try_from(priority).unwrap_or(0),
        submitted_at: now,
        builds: Vec::new(),
        complete_at: None,
        results: None,
    });
    let requests: Vec<BuildRequest> = requests.collect();
    let mut events = vec![Event::BuildsetSubmitted { buildset: buildset.clone() }];
    events.extend(requests.iter().cloned().map(|request| Event::RequestSubmitted { request }));
    house.record_with(events, order.state.into_iter().map(Into::into).collect()).await.map_err(|_| ending())?;
    buildset.builders.iter().for_each(|builder| house.queue_changed(builder));
    Ok((buildset, requests))
}

pub(super) async fn force(house: &House, order: ForceBuild) -> Result<Vec<BuildRequest>, Refused> {
    let config = house.config();
    let forces = |scheduler: &&Arc<crate::config::SchedulerConfig>| {
        scheduler.name == order.scheduler && matches!(scheduler.kind, SchedulerKind::Force(_))
    };
    let Some(scheduler) = config.schedulers.iter().find(forces) else {
        return Err(Refused::NotFound(format!("no ForceScheduler named \"{}\"", order.scheduler)));
    };
    let mut inherited = Vec::new();
    for build in force::inherits(&order, scheduler) {
        let found = house.db.read(move |conn| builds::find(conn, &build.builder, build.number)).await;
        inherited.extend(found.map_err(unreadable)?);
    }
    let submission = force::prepare(&order, scheduler, &config.validation, &inherited)?;
    Ok(submit(house, submission).await?.1)
}

/// The same source and the properties that were asked for then, not those the build itself set.
pub(super) async fn rebuild(house: &House, order: Rebuild) -> Result<BuildRequest, Refused> {
    let build = find(house, &order.build).await?;
    if build.finished.is_none() {
        return Err(Refused::NotNow(format!("could not rebuild: build {} is still running", order.build)));
    }
    let ids = build.requests.clone();
    let asked = house
        .db
        .read(move |conn| ids.into_iter().map(|id| requests::find(conn, id)).collect::<Result<Vec<_>, _>>())
        .await
        .map_err(unreadable)?;
    let mut properties = Properties::new();
    asked.iter().flatten().for_each(|request| properties.update(&request.properties));
    for (name, value) in order.properties {
        properties.set(name, value, "Rebuild");
    }
    let stamps = build.source_stamps.iter().map(|stamp| match build.got_revision(&stamp.codebase) {
        Some(revision) if order.exact => stamp.absolute(revision),
        _ => stamp.clone(),
    });
    let submission = SubmitBuildset {
        scheduler: String::new(),
        builders: vec![build.builder.clone()],
        source_stamps: stamps.collect(),
        properties,
        reason: order.reason,
        external_idstring: None,
        state: Vec::new(),
    };
    let (_, mut requests) = submit(house, submission).await?;
    requests.pop().ok_or_else(|| Refused::NotNow("nothing was submitted".to_owned()))
}

pub(super) async fn stop(house: &House, order: StopBuild) -> Result<(), Refused> {
    let stop = Stop::Interrupted { reason: order.reason };
    if house.stop_build(&order.build, stop) {
        let now = house.clock.now();
        let happened = BuilderEvent {
            builder: order.build.builder,
            started: now,
            finished: Some(now),
            text: vec!["interrupt".to_owned()],
        };
        return house.record(vec![Event::BuilderEvent { happened }]).await.map_err(|_| ending());
    }
    match find(house, &order.build).await?.finished {
        Some(_) => Ok(()),
        None => Err(Refused::NotNow(format!("build {} is just about to end", order.build))),
    }
}

pub(super) async fn cancel(house: &House, id: i64) -> Result<(), Refused> {
    let found = house.db.read(move |conn| requests::find(conn, id)).await.map_err(unreadable)?;
    let Some(request) = found else { return Err(Refused::NotFound(format!("no request {id}"))) };
    if request.complete_at.is_some() {
        return Err(Refused::NotNow(format!("request {id} is complete")));
    }
    match house.builder(&request.builder) {
        Some(builder) => match builder.send(Cancel(id)).await {
            Ok(result) => result,
            Err(_) => Err(Refused::NotNow(format!("builder {} is being restarted; try again", request.builder))),
        },
        None => builder::cancel(house, None, id).await,
    }
}

pub(super) async fn stop_change(house: &House, order: StopChange) -> Result<usize, Refused> {
    let builder = order.builder.clone();
    let pending = house.db.read(move |conn| requests::pending(conn, builder.as_deref())).await.map_err(unreadable)?;
    let has_change = |request: &&BuildRequest| {
        let mut changes = request.source_stamps.iter().flat_map(|stamp| &stamp.changes);
        changes.any(|change| change.number == order.change)
    };
    let mut cancelled = 0;
    for request in pending.iter().filter(has_change) {
        // One that is being started just now is no longer waiting; that is fine.
        if cancel(house, request.id).await.is_ok() {
            cancelled += 1;
        }
    }
    Ok(cancelled)
}

async fn find(house: &House, build: &BuildRef) -> Result<Build, Refused> {
    let wanted = build.clone();
    let found = house.db.read(move |conn| match builds::find(conn, &wanted.builder, wanted.number)? {
        Some(build) => Ok((true, Some(build))),
        None => Ok((builders::find(conn, &wanted.builder)?.is_some(), None)),
    });
    match found.await.map_err(unreadable)? {
        (_, Some(build)) => Ok(build),
        (true, None) => Err(Refused::NotFound(format!("no build {} of builder \"{}\"", build.number, build.builder))),
        (false, None) => Err(no_builder(&build.builder)),
    }
}

pub(super) fn no_builder(name: &str) -> Refused {
    Refused::NotFound(format!("no builder named \"{name}\""))
}

pub(super) fn ending() -> Refused {
    Refused::NotNow("Signalbox is ending".to_owned())
}

fn unreadable(cause: DbError) -> Refused {
    Refused::NotNow(format!("the database cannot be read: {}", chain(&cause)))
}
