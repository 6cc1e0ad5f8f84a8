//! What a process that died left behind: running builds that run no more, workers that are not there.
//!
//! Each such build gets its ends recorded in one transaction: its open logs, with a line that says what happened, its
//! running step, itself, all with results `retry`. Its requests then wait again.

use super::house::{House, Unrecorded, chain};
use crate::db::{DbError, builders, builds, logs, workers};
use crate::model::*;
use std::time::Duration;
use tracing::{error, info};

const NOTE: &str = "\nSignalbox ended while this was running. The build is made again.\n";

const AGAIN: Duration = Duration::from_secs(1);

/// Comes back once everything is repaired, however long the database takes.
pub(super) async fn repair(house: &House) {
    loop {
        match try_repair(house).await {
            Ok(()) => return,
            Err(_) if house.is_ending() => return,
            Err(cause) => {
                let why = chain(&cause);
                error!("cannot repair what a dead process left running: {why}; trying again, nothing starts before");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
}

async fn try_repair(house: &House) -> Result<(), Trouble> {
    let (running, known, states) =
        house.db.read(|conn| Ok((builds::running(conn)?, workers::all(conn)?, builders::all(conn)?))).await?;
    for builder in states {
        house.note_state(&builder.name, builder.state);
    }
    let away = known.into_iter().filter(|worker| worker.connected && !house.workers.is_connected(&worker.name));
    let gone: Vec<Event> = away.map(|worker| Event::SlaveDisconnected { slave: worker.name }).collect();
    if !gone.is_empty() {
        house.record(gone).await?;
    }
    for build in running {
        let reference = build.reference();
        // After a restart of the master alone its builds go on.
        if !house.is_running(&reference) {
            repair_build(house, build).await?;
            house.queue_changed(&reference.builder);
        }
    }
    Ok(())
}

async fn repair_build(house: &House, mut build: Build) -> Result<(), Trouble> {
    let reference = build.reference();
    info!("build {reference} was running when Signalbox ended; it is recorded as interrupted and made again");
    let now = house.clock.now();
    let mut events = Vec::new();
    for step in build.steps.iter_mut().filter(|step| step.finished.is_none()) {
        let was_running = step.is_running();
        for log in step.logs.iter_mut().filter(|log| !log.finished) {
            let id = log.id;
            let note = vec![Segment { channel: Channel::Header, bytes: NOTE.as_bytes().to_vec() }];
            let length = if log.name == super::steps::STDIO {
                Some(house.db.write(move |conn| logs::append(conn, id, &note)).await?)
            } else {
                let stored = house.db.read(move |conn| logs::by_id(conn, id)).await?;
                stored.map(|stored| (stored.lines, stored.bytes))
            };
            (log.lines, log.bytes) = length.unwrap_or((log.lines, log.bytes));
            log.finished = true;
            events.push(Event::LogFinished { build: reference.clone(), step: step.number, log: log.clone() });
        }
        if was_running {
            step.finished = Some(now);
            step.results = Some(Results::Retry);
            step.text.push("interrupted".to_owned());
            step.text2 = vec!["interrupted".to_owned()];
            let properties = Properties::new();
            events.push(Event::StepFinished { build: reference.clone(), step: step.clone(), properties });
        }
    }
    build.finished = Some(now);
    build.results = Some(Results::Retry);
    build.text = Results::Retry.build_text().iter().map(|&word| word.to_owned()).collect();
    build.eta = None;
    events.push(Event::BuildFinished { build });
    Ok(house.record(events).await?)
}
