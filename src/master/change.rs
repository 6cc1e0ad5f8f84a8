//! Taking changes in: their numbers, codebases and links; and that hooks and pollers do not bring the same twice.

use super::house::House;
use super::orders::{AddChange, AddChanges, Refused};
use super::submit::ending;
use super::users::{Authors, authors};
use crate::config::{Arg, Config};
use crate::db::inbox::Received;
use crate::db::{Beside, Conn, DbError, changes};
use crate::model::*;
use serde_json::{Map, Value, json};
use tracing::{error, info};

/// As many changes of one revision are looked at for the same.
const ALIKE: i64 = 50;

pub(super) async fn add(house: &House, order: AddChange) -> Result<i64, Refused> {
    let mut change = complete(house, order.change).await;
    let state: Vec<Beside> = order.state.into_iter().map(Beside::State).collect();
    // Alone: what a hook brings at the same moment is either found here, or finds this.
    let _turn = house.taking_in.write().await;
    if let [Some(number)] = *brought_otherwise(house, std::slice::from_ref(&change)).await? {
        info!("change {number} by {}: found by a change source as well", change.who);
        house.record_with(Vec::new(), state).await.map_err(|_| ending())?;
        return Ok(number);
    }
    let Authors { events: met, mut beside, turn: _users } = authors(house, order.vcs, std::iter::once(&change)).await?;
    let number = numbered(house, &mut change);
    let events = std::iter::once(Event::ChangeAdded { change }).chain(met).collect();
    beside.extend(state);
    house.record_with(events, beside).await.map_err(|_| ending())?;
    Ok(number)
}

pub(super) async fn add_all(house: &House, order: AddChanges) -> Result<Vec<i64>, Refused> {
    let mut changes = Vec::with_capacity(order.changes.len());
    for change in order.changes {
        changes.push(complete(house, change).await);
    }
    // Requests of hooks never keep each other waiting.
    let _turn = house.taking_in.read().await;
    let known = brought_otherwise(house, &changes).await?;
    let new = changes.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(change, _)| change);
    let Authors { events: met, mut beside, turn: _users } = authors(house, order.vcs, new).await?;
    let (mut events, mut numbers) = (Vec::new(), Vec::new());
    for (mut change, known) in changes.into_iter().zip(known) {
        match known {
            Some(number) => numbers.push(number),
            None => {
                numbers.push(numbered(house, &mut change));
                events.push(Event::ChangeAdded { change });
            }
        }
    }
    let received = Received { changes: numbers.clone(), ..order.received };
    events.extend(met);
    beside.push(Beside::Hook(received));
    house.record_with(events, beside).await.map_err(|_| ending())?;
    Ok(numbers)
}

/// With everything but a number.
async fn complete(house: &House, mut change: Change) -> Change {
    let config = house.config();
    change.files.sort();
    change.files.dedup();
    if change.when == Time::default() {
        change.when = house.clock.now();
    }
    // What a hook is told outweighs the rule for all, as in 0.8.
    let told = matches!(change.origin, Some(Origin::Hook(_))) && !change.codebase.is_empty();
    if !told && let Some(codebase) = codebase(&config, &change).await {
        change.codebase = codebase;
    }
    if change.revlink.as_deref().is_none_or(str::is_empty) {
        change.revlink = revlink(&config, &change).await;
    }
    change
}

fn numbered(house: &House, change: &mut Change) -> i64 {
    change.number = house.db.ids().change();
    info!("change {} by {}: {}", change.number, change.who, change.comments.lines().next().unwrap_or_default());
    change.number
}

/// For each of these the number of the same change, where a poller has brought what a hook brings now, or the reverse.
///
/// The same is what has revision, branch and repository in common. What comes twice the same way is two changes, as in
/// 0.8: a branch may be set back.
async fn brought_otherwise(house: &House, changes: &[Change]) -> Result<Vec<Option<i64>>, Refused> {
    let changes = changes.to_vec();
    let read = house.db.read(move |conn| changes.iter().map(|change| otherwise(conn, change)).collect()).await;
    read.map_err(|cause| Refused::NotNow(format!("the database cannot be read: {cause}")))
}

fn otherwise(conn: &mut Conn, change: &Change) -> Result<Option<i64>, DbError> {
    let (Some(revision), Some(origin)) = (&change.revision, &change.origin) else {
        return Ok(None);
    };
    let by_hook = |origin: &Origin| matches!(origin, Origin::Hook(_));
    let same = |known: &&Change| {
        known.branch == change.branch
            && known.origin.as_ref().is_some_and(|known| by_hook(known) != by_hook(origin))
            && same_repository(&known.repository, &change.repository)
    };
    Ok(changes::of_revision(conn, revision, ALIKE)?.iter().find(same).map(|known| known.number))
}

/// Whether two addresses name the same repository, as far as that can be told: they end in the same owner and name.
///
/// `git@host:owner/name.git` and `https://host/owner/name` are the same; hosts go by several names.
fn same_repository(a: &str, b: &str) -> bool {
    a == b || owner_and_name(a).is_some_and(|a| Some(a) == owner_and_name(b))
}

fn owner_and_name(address: &str) -> Option<(String, String)> {
    let address = address.trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address).to_lowercase();
    let mut parts = address.rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !owner.is_empty()).then(|| (owner.to_owned(), name.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_many_addresses() {
        let one =
            ["https://github.com/Ann/widget", "git@github.com:ann/widget.git", "ssh://git@github.com:22/ann/widget/"];
        for address in one {
            assert!(same_repository(one[0], address), "{address}");
        }
        for other in ["https://github.com/bob/widget", "https://github.com/ann/widgets", "widget", ""] {
            assert!(!same_repository(one[0], other), "{other}");
        }
        assert!(same_repository("widget", "widget"));
    }
}
