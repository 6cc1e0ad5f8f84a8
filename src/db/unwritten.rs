//! What the events of a transaction have still to write.
//!
//! Bringing the read model up to date puts rows by rather than writing each at once: one statement then serves many of
//! them, whosever they are, and what several events say of the same thing is said once. They are written when the
//! transaction ends or somebody uses the connection ([`Conn::engine`]), whichever comes first; a transaction that is
//! taken back takes them with it.
//!
//! Not here: what happens seldom. That is written at once, behind all that was put by before.

use super::DbError;
use super::apply::{
    BuildEnd, BuildsetEnd, ReplacedSteps, RequestEnd, WrittenBranch, WrittenBuild, WrittenBuildChange, WrittenBuildset,
    WrittenLink, WrittenLog, WrittenRequest, WrittenStep,
};
use super::engine::{Conn, each, in_groups, insert_all, kept, update_all};
use super::events::Prepared;
use super::expectations::{self, Seconds};
use super::schema::{build_branches, build_changes, builds, buildsets, events, logs, request_builds, requests, steps};
use diesel::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Unwritten {
    pub events: Vec<Arc<Prepared>>,
    pub buildsets: Vec<WrittenBuildset>,
    pub requests: Vec<WrittenRequest>,
    pub builds: Vec<WrittenBuild>,
    pub branches: Vec<WrittenBranch>,
    pub changes: Vec<WrittenBuildChange>,
    pub links: Vec<WrittenLink>,
    pub steps: Vec<WrittenStep>,
    pub logs: Vec<WrittenLog>,
    /// Those that have a row, by that.
    pub changed_steps: BTreeMap<(i64, i32), WrittenStep>,
    pub ended_logs: Vec<EndedLog>,
    pub ended_builds: Vec<(i64, BuildEnd)>,
    pub ended_requests: Vec<(i64, RequestEnd)>,
    pub ended_buildsets: Vec<(i64, BuildsetEnd)>,
    /// What builders have learnt, by row.
    pub expectations: BTreeMap<i64, Seconds>,
}

/// A log that is finished.
pub(super) struct EndedLog {
    pub build: i64,
    pub step: i32,
    pub id: i64,
}

impl Unwritten {
    /// The end of a step is that of its logs: those that have just been said to be finished need not be written.
    pub fn step_ended(&mut self, build: i64, step: i32) {
        while self.ended_logs.pop_if(|log| log.build == build && log.step == step).is_some() {}
    }

    /// New rows first, each behind those it refers to; then what has become of rows, which may be new ones.
    pub fn write(self, conn: &mut Conn) -> Result<(), DbError> {
        insert_all!(conn, buildsets::table, &self.buildsets);
        insert_all!(conn, requests::table, &self.requests);
        insert_all!(conn, builds::table, &self.builds);
        insert_all!(conn, build_branches::table, &self.branches);
        insert_all!(conn, build_changes::table, &self.changes);
        insert_all!(conn, request_builds::table, &self.links);
        insert_all!(conn, steps::table, &self.steps);
        insert_all!(conn, logs::table, &self.logs);
        let of_events = Vec::from_iter(self.events.iter().flat_map(|prepared| prepared.rows()).cloned());
        insert_all!(conn, events::table, &of_events);
        let changed_steps = Vec::from_iter(self.changed_steps.into_values());
        in_groups!(changed_steps, |some| {
            each!(conn, |c| kept!(ReplacedSteps(some)).execute(c))?;
        });
        let ended_logs = Vec::from_iter(self.ended_logs.iter().map(|log| log.id));
        update_all!(conn, ended_logs, |ids| diesel::update(logs::table.filter(logs::id.eq_any(*ids)))
            .set(logs::finished.eq(true)));
        for (id, end) in self.ended_builds {
            let branches = build_branches::table.filter(build_branches::build_id.eq(id));
            let finished = build_branches::finished.eq(end.finished);
            each!(conn, |c| kept!(diesel::update(builds::table.find(id)).set(end)).execute(c))?;
            each!(conn, |c| kept!(diesel::update(branches).set(finished)).execute(c))?;
        }
        for (id, end) in self.ended_requests {
            each!(conn, |c| kept!(diesel::update(requests::table.find(id)).set(end)).execute(c))?;
        }
        for (id, end) in self.ended_buildsets {
            let open = buildsets::table.find(id).filter(buildsets::complete_at.is_null());
            each!(conn, |c| kept!(diesel::update(open).set(end)).execute(c))?;
        }
        for (builder, seconds) in self.expectations {
            expectations::put(conn, builder, seconds)?;
        }
        Ok(())
    }
}
