//! The end of the program, wanted at once or once the builds have ended.

use super::build::Stop;
use super::house::House;
use super::staff::Staff;
use crate::model::*;
use std::time::Duration;
use tracing::{info, warn};

/// How long running builds may take to be interrupted.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often builds that have begun in the very last moment are interrupted too.
const AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn when_shut_down(house: &House) {
    let (mut ordered, mut count) = (house.shutting_down(), house.running_count());
    loop {
        if *ordered.borrow_and_update() && *count.borrow_and_update() == 0 {
            info!("clean shutdown: no build is running any more");
            return;
        }
        tokio::select! {
            changed = ordered.changed() => if changed.is_err() { return },
            changed = count.changed() => if changed.is_err() { return },
        }
    }
}

/// Interrupts what runs and answers once that is stored.
pub(super) async fn stop_now(house: &House, staff: &Staff) {
    house.set_ending();
    staff.end_schedulers().await;
    let mut count = house.running_count();
    let interrupted = async {
        while *count.borrow_and_update() > 0 {
            house.stop_all_builds(&Stop::Shutdown);
            let _ = tokio::time::timeout(AGAIN, count.changed()).await;
        }
    };
    if tokio::time::timeout(PATIENCE, interrupted).await.is_err() {
        warn!("some builds could not be interrupted within {PATIENCE:?}; they are repaired at the next start");
    }
    let config = house.config();
    let now = house.clock.now();
    let mut events = Vec::new();
    for worker in &config.workers {
        if house.workers.disconnected(&worker.name) {
            events.push(Event::SlaveDisconnected { slave: worker.name.clone() });
        }
    }
    events.extend(config.builders.iter().map(|builder| {
        let text = vec!["master".to_owned(), "shutdown".to_owned()];
        let builder = builder.name.clone();
        Event::BuilderEvent { happened: BuilderEvent { builder, started: now, finished: Some(now), text } }
    }));
    events.extend(house.state_changes());
    if house.record(events).await.is_err() {
        warn!("the end of the master could not be stored");
    }
}
