//! Requests from submission to completion, and the buildsets they complete.

use super::builder_rows;
use super::rows::{BuildsetEnd, RequestEnd, Texts, WrittenBuildset, WrittenLink, WrittenRequest};
use crate::db::engine::Conn;
use crate::db::known::OpenBuildset;
use crate::db::schema::requests as request_table;
use crate::db::{DbError, requests};
use crate::model::{BuildRequest, Buildset, Results, Time};
use diesel::prelude::*;
use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

pub(super) fn buildset(conn: &mut Conn, buildset: &Buildset, texts: &Texts) -> Result<(), DbError> {
    let row = WrittenBuildset::of(buildset, texts)?;
    conn.unwritten().buildsets.push(row);
    conn.known.buildsets.insert(buildset.id, OpenBuildset::default());
    Ok(())
}

pub(super) fn submitted(conn: &mut Conn, request: &BuildRequest, texts: &Texts) -> Result<(), DbError> {
    let builder = builder_rows::id(conn, &request.builder)?;
    let row = WrittenRequest::of(request, texts, builder);
    conn.unwritten().requests.push(row);
    if request.results.is_none() {
        conn.known.requests.insert(request.id, request.buildset);
    }
    if let Some(buildset) = conn.known.buildsets.get_mut(&request.buildset) {
        match request.results {
            Some(results) => buildset.met(results),
            None => _ = buildset.open.insert(request.id),
        }
    }
    Ok(())
}

pub(super) fn cancelled(conn: &mut Conn, request: &BuildRequest, at: Time) -> Result<(), DbError> {
    complete(conn, &[request.id], Results::Cancelled, at)
}

/// Ties requests to the build made for them. Ids nothing is known of are passed over.
pub(super) fn claim(conn: &mut Conn, ids: &[i64], build: i64, number: i64) -> Result<(), DbError> {
    // An id may be there twice, a link may not.
    for id in BTreeSet::from_iter(ids.iter().copied()) {
        if !conn.known.requests.contains_key(&id) && requests::find(conn, id)?.is_none() {
            tracing::warn!("build request {id} of build {number} is not known");
            continue;
        }
        conn.unwritten().links.push(WrittenLink { request_id: id, build_id: build, number });
    }
    Ok(())
}

/// Completes requests, and each buildset none of whose requests is open any more with the worst of their results.
pub(super) fn complete(conn: &mut Conn, ids: &[i64], results: Results, at: Time) -> Result<(), DbError> {
    for id in ids.iter().copied() {
        let Some(buildset) = no_longer_open(conn, id)? else {
            continue;
        };
        conn.unwritten().ended_requests.push((id, RequestEnd::new(results, at)));
        if let Some(worst) = outcome(conn, buildset, id, results)? {
            conn.unwritten().ended_buildsets.push((buildset, BuildsetEnd::new(worst, at)));
        }
    }
    Ok(())
}

/// The buildset of a request that is about to be completed; `None` if it is complete, or nothing is known of it.
fn no_longer_open(conn: &mut Conn, id: i64) -> Result<Option<i64>, DbError> {
    if let Some(buildset) = conn.known.requests.remove(&id) {
        return Ok(Some(buildset));
    }
    let open = request_table::table.find(id).filter(request_table::complete_at.is_null());
    Ok(open.select(request_table::buildset_id).first(conn.engine()?).optional()?)
}

/// The worst result of a buildset after `request` has ended with `results`; `None` while another one is open.
fn outcome(conn: &mut Conn, buildset: i64, request: i64, results: Results) -> Result<Option<Results>, DbError> {
    if let Entry::Occupied(mut known) = conn.known.buildsets.entry(buildset) {
        known.get_mut().open.remove(&request);
        known.get_mut().met(results);
        return Ok(if known.get().open.is_empty() { known.remove().worst } else { None });
    }
    let of_all: Vec<(Option<i64>, Option<i16>)> = request_table::table
        .filter(request_table::buildset_id.eq(buildset))
        .select((request_table::complete_at, request_table::results))
        .load(conn.engine()?)?;
    if of_all.iter().any(|(complete_at, _)| complete_at.is_none()) {
        return Ok(None);
    }
    Ok(of_all.iter().filter_map(|(_, code)| Results::from_code((*code)?)).reduce(Results::worst))
}
