//! Taking a change in: its number, its codebase, its link.

use super::house::House;
use super::orders::{AddChange, Refused};
use super::submit::ending;
use crate::config::{Arg, Config};
use crate::model::*;
use serde_json::{Map, Value, json};
use tracing::{error, info};

pub(super) async fn add(house: &House, order: AddChange) -> Result<i64, Refused> {
    let config = house.config();
    let mut change = order.change;
    change.files.sort();
    change.files.dedup();
    if change.when == Time::default() {
        change.when = house.clock.now();
    }
    if let Some(codebase) = codebase(&config, &change).await {
        change.codebase = codebase;
    }
    if change.revlink.as_deref().is_none_or(str::is_empty) {
        change.revlink = revlink(&config, &change).await;
    }
    change.number = house.db.ids().change();
    let number = change.number;
    info!("change {number} by {}: {}", change.who, change.comments.lines().next().unwrap_or_default());
    house.record_with(vec![Event::ChangeAdded { change }], order.state).await.map_err(|_| ending())?;
    Ok(number)
}

/// What `codebaseGenerator` says; one that fails leaves the codebase as the change source has it.
async fn codebase(config: &Config, change: &Change) -> Option<String> {
    let generator = config.codebase_generator.as_ref()?;
    match generator.call(vec![Arg::Json(as_dict(change))]).await {
        Ok(Value::String(codebase)) => Some(codebase),
        Ok(other) => {
            error!("codebaseGenerator answered {other} instead of a string; the change keeps \"{}\"", change.codebase);
            None
        }
        Err(cause) => {
            error!("codebaseGenerator failed: {cause}; the change keeps \"{}\"", change.codebase);
            None
        }
    }
}

async fn revlink(config: &Config, change: &Change) -> Option<String> {
    let revlink = config.revlink.as_ref()?;
    let revision = change.revision.as_ref()?;
    let args = vec![Arg::Json(Value::from(revision.clone())), Arg::Json(Value::from(change.repository.clone()))];
    match revlink.call(args).await {
        Ok(Value::String(link)) => Some(link).filter(|link| !link.is_empty()),
        Ok(_) => None,
        Err(cause) => {
            error!("revlink failed: {cause}; the change has no link");
            None
        }
    }
}

/// The change dictionary of the manual, without a number yet.
fn as_dict(change: &Change) -> Value {
    let properties: Map<String, Value> =
        change.properties.iter().map(|(name, value, source)| (name.to_owned(), json!([value, source]))).collect();
    json!({
        "changeid": null,
        "author": change.who,
        "files": change.files,
        "comments": change.comments,
        "revision": change.revision,
        "when_timestamp": change.when.seconds(),
        "branch": change.branch,
        "category": change.category,
        "revlink": change.revlink.clone().unwrap_or_default(),
        "properties": properties,
        "repository": change.repository,
        "codebase": change.codebase,
        "project": change.project,
    })
}
