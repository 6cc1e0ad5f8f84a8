//! Dependent: builds the same source once every build of another scheduler's buildset has ended well.
//!
//! ```python
//! schedulers.Dependent(name="package", upstream=tests, builderNames=["deb", "rpm"])
//! ```
//!
//! It finds the buildsets in the database, also those that ended while the program was down. One that ended with
//! failure, or any other result than success or warnings, leads to nothing.

use super::Plans;
use super::actor::Next;
use super::desk::{Desk, Trouble, UPSTREAM};
use crate::db::{Conn, DbError, builds, requests};
use crate::model::{BuildRequest, Buildset, Results};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Dependent {
    upstream: String,
    state: Option<State>,
}

/// Buildsets do not end in the order in which they were submitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// Every buildset of the upstream scheduler up to this one is known, ...
    upto: i64,
    /// ... and dealt with, but for these.
    open: BTreeSet<i64>,
}

/// How many buildsets are read at a time.
const PAGE: i64 = 100;

pub(super) fn scheduler(upstream: &str) -> Dependent {
    Dependent { upstream: upstream.to_owned(), state: None }
}

impl Dependent {
    pub async fn turn(&mut self, desk: &Desk) -> Result<Next, Trouble> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => {
                let db = desk.db.clone();
                // The next number there is: what was submitted before is not its business.
                desk.load(UPSTREAM, move |_| Ok(State { upto: db.ids().buildset(), open: BTreeSet::new() })).await?
            }
        };
        let (upstream, known) = (self.upstream.clone(), state.clone());
        let look = desk.db.read(move |conn| look(conn, &upstream, known)).await?;
        let mut is_stored = look.state == state;
        state = look.state;
        for buildset in look.ended {
            state.open.remove(&buildset.id);
            is_stored = matches!(buildset.results, Some(Results::Success | Results::Warnings));
            if is_stored {
                desk.submit(buildset.source_stamps, UPSTREAM, &state).await?;
            }
        }
        if !is_stored {
            desk.store(UPSTREAM, &state).await?;
        }
        self.state = Some(state);
        Ok(Next { plans: Plans::default(), at: None })
    }
}

struct Look {
    /// With everything that is known now, and nothing of it dealt with.
    state: State,
    /// Those of its open ones that have ended, by id.
    ended: Vec<Buildset>,
}

fn look(conn: &mut Conn, upstream: &str, mut state: State) -> Result<Look, DbError> {
    let mut ended = BTreeMap::new();
    for &id in &state.open {
        if let Some(buildset) = requests::buildset(conn, id)?.filter(|buildset| buildset.complete_at.is_some()) {
            ended.insert(id, buildset);
        }
    }
    // Things go on between these queries: the first tells how far to look; what is not open up to there by the second
    // has ended by the third.
    if let Some(furthest) = complete_after(conn, upstream, state.upto)?.keys().next_back().copied() {
        let open = open_buildsets(conn, upstream)?;
        let complete = complete_after(conn, upstream, state.upto)?;
        state.open.extend(open.range(state.upto + 1..=furthest));
        state.open.extend(complete.range(..=furthest).map(|(id, _)| id));
        ended.extend(complete.into_iter().filter(|(id, _)| *id <= furthest));
        state.upto = furthest;
    }
    Ok(Look { state, ended: ended.into_values().collect() })
}

fn complete_after(conn: &mut Conn, upstream: &str, upto: i64) -> Result<BTreeMap<i64, Buildset>, DbError> {
    let mut complete = BTreeMap::new();
    let mut after = upto;
    loop {
        let page = requests::complete_buildsets(conn, upstream, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(complete) };
        after = last.id;
        complete.extend(page.into_iter().map(|buildset| (buildset.id, buildset)));
    }
}

/// The buildsets with a request that waits or is being built.
fn open_buildsets(conn: &mut Conn, upstream: &str) -> Result<BTreeSet<i64>, DbError> {
    let ids = |requests: Vec<BuildRequest>| requests.into_iter().map(|request| request.buildset);
    let mut open: BTreeSet<i64> = ids(requests::pending(conn, None)?).collect();
    for build in builds::running(conn)? {
        for id in build.requests {
            open.extend(requests::find(conn, id)?.map(|request| request.buildset));
        }
    }
    // Once more, for those whose build was broken off between the two.
    open.extend(ids(requests::pending(conn, None)?));
    let mut ours = BTreeSet::new();
    for id in open {
        if requests::buildset(conn, id)?.is_some_and(|buildset| buildset.scheduler == upstream) {
            ours.insert(id);
        }
    }
    Ok(ours)
}
