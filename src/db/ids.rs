//! Numbers for new things.

use super::engine::Conn;
use super::schema::*;
use super::{DbError, counters};
use diesel::dsl::max;
use diesel::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Numbers for new things, unique over the life of the installation. Seeded from what is stored.
///
/// A number that is drawn and never recorded may be drawn again after a restart.
pub struct Ids {
    change: AtomicI64,
    buildset: AtomicI64,
    request: AtomicI64,
    log: AtomicI64,
    hook_request: AtomicI64,
    user: AtomicI64,
    /// The next number by builder.
    builds: Mutex<HashMap<String, i64>>,
}

impl Ids {
    pub(super) fn seed(conn: &mut Conn) -> Result<Ids, DbError> {
        let mark = |highest: Option<i64>, mark: i64| AtomicI64::new(highest.unwrap_or(0).max(mark) + 1);
        let change = changes::table.select(max(changes::number)).first(conn.engine()?)?;
        let buildset = buildsets::table.select(max(buildsets::id)).first(conn.engine()?)?;
        let request = requests::table.select(max(requests::id)).first(conn.engine()?)?;
        let log = logs::table.select(max(logs::id)).first(conn.engine()?)?;
        let hook_request = hook_requests::table.select(max(hook_requests::id)).first(conn.engine()?)?;
        let user = users::table.select(max(users::uid)).first(conn.engine()?)?;
        let names: Vec<(i64, String)> = builders::table.select((builders::id, builders::name)).load(conn.engine()?)?;
        let mut next = HashMap::new();
        for (id, name) in names {
            // One probe of an index each; grouping would read all builds.
            let newest: Option<i64> = builds::table
                .filter(builds::builder_id.eq(id))
                .select(builds::number)
                .order(builds::number.desc())
                .first(conn.engine()?)
                .optional()?;
            next.insert(name, newest.map_or(0, |number| number + 1));
        }
        Ok(Ids {
            change: mark(change, counters::get(conn, counters::CHANGE)?),
            buildset: mark(buildset, counters::get(conn, counters::BUILDSET)?),
            request: mark(request, counters::get(conn, counters::REQUEST)?),
            log: mark(log, counters::get(conn, counters::LOG)?),
            // The newest is never deleted.
            hook_request: mark(hook_request, 0),
            user: mark(user, counters::get(conn, counters::USER)?),
            builds: Mutex::new(next),
        })
    }

    pub fn change(&self) -> i64 {
        self.change.fetch_add(1, Ordering::Relaxed)
    }

    pub fn buildset(&self) -> i64 {
        self.buildset.fetch_add(1, Ordering::Relaxed)
    }

    pub fn request(&self) -> i64 {
        self.request.fetch_add(1, Ordering::Relaxed)
    }

    pub fn log(&self) -> i64 {
        self.log.fetch_add(1, Ordering::Relaxed)
    }

    /// For a request of a change hook.
    pub fn hook_request(&self) -> i64 {
        self.hook_request.fetch_add(1, Ordering::Relaxed)
    }

    /// The uid of a new user.
    pub fn user(&self) -> i64 {
        self.user.fetch_add(1, Ordering::Relaxed)
    }

    /// The next build number of this builder, from 0; without gaps as long as every number drawn is recorded.
    pub fn build(&self, builder: &str) -> i64 {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match builds.get_mut(builder) {
            Some(next) => next,
            None => builds.entry(builder.to_owned()).or_insert(0),
        };
        *next += 1;
        *next - 1
    }
}
