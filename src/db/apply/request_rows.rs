//! Requests from submission to completion, and the buildsets they complete.

use super::builder_rows;
use crate::db::DbError;
use crate::db::columns::{clean, clean_option, json, micros};
use crate::db::engine::{Conn, each, kept};
use crate::db::known::OpenBuildset;
use crate::db::schema::{buildsets, request_builds, requests};
use crate::model::{BuildRequest, Buildset, Results, Time};
use diesel::prelude::*;
use std::collections::hash_map::Entry;

pub(super) fn buildset(conn: &mut Conn, buildset: &Buildset) -> Result<(), DbError> {
    let row = (
        buildsets::id.eq(buildset.id),
        buildsets::external_idstring.eq(clean_option(buildset.external_idstring.as_deref())),
        buildsets::reason.eq(clean(&buildset.reason)),
        buildsets::scheduler.eq(clean(&buildset.scheduler)),
        buildsets::source_stamps.eq(json(&buildset.source_stamps)?),
        buildsets::properties.eq(json(&buildset.properties)?),
        buildsets::builders.eq(json(&buildset.builders)?),
        buildsets::submitted_at.eq(buildset.submitted_at.0),
        buildsets::complete_at.eq(micros(buildset.complete_at)),
        buildsets::results.eq(buildset.results.map(Results::code)),
    );
    each!(conn, |c| diesel::insert_into(buildsets::table).values(row).execute(c))?;
    conn.known.buildsets.insert(buildset.id, OpenBuildset::default());
    Ok(())
}

pub(super) fn submitted(conn: &mut Conn, request: &BuildRequest) -> Result<(), DbError> {
    let builder = builder_rows::id(conn, &request.builder)?;
    let row = (
        requests::id.eq(request.id),
        requests::buildset_id.eq(request.buildset),
        requests::builder_id.eq(builder),
        requests::source_stamps.eq(json(&request.source_stamps)?),
        requests::reason.eq(clean(&request.reason)),
        requests::properties.eq(json(&request.properties)?),
        requests::priority.eq(request.priority),
        requests::submitted_at.eq(request.submitted_at.0),
        requests::waiting.eq(request.complete_at.is_none()),
        requests::complete_at.eq(micros(request.complete_at)),
        requests::results.eq(request.results.map(Results::code)),
    );
    each!(conn, |c| diesel::insert_into(requests::table).values(row).execute(c))?;
    if let Some(buildset) = conn.known.buildsets.get_mut(&request.buildset) {
        match request.results {
            Some(results) => buildset.met(results),
            None => drop(buildset.open.insert(request.id)),
        }
    }
    Ok(())
}

pub(super) fn cancelled(conn: &mut Conn, request: &BuildRequest, at: Time) -> Result<(), DbError> {
    complete(conn, &[request.id], Results::Cancelled, at)
}

/// Ties requests to the build made for them. Ids nothing is known of are passed over.
pub(super) fn claim(conn: &mut Conn, ids: &[i64], build: i64, number: i64) -> Result<(), DbError> {
    for id in ids {
        let known = each!(conn, |c| kept!(diesel::update(requests::table.find(id)).set(requests::waiting.eq(false)))
            .execute(c))?;
        if known == 0 {
            tracing::warn!("build request {id} of build {number} is not known");
            continue;
        }
        let link =
            (request_builds::request_id.eq(id), request_builds::build_id.eq(build), request_builds::number.eq(number));
        each!(conn, |c| kept!(diesel::insert_into(request_builds::table).values(link).on_conflict_do_nothing())
            .execute(c))?;
    }
    Ok(())
}

/// Lets requests wait again, save those that were completed meanwhile.
pub(super) fn reopen(conn: &mut Conn, ids: &[i64]) -> Result<(), DbError> {
    for id in ids {
        each!(conn, |c| kept!(
            diesel::update(requests::table.find(id).filter(requests::complete_at.is_null()))
                .set(requests::waiting.eq(true))
        )
        .execute(c))?;
    }
    Ok(())
}

/// Completes requests, and each buildset none of whose requests is open any more with the worst of their results.
pub(super) fn complete(conn: &mut Conn, ids: &[i64], results: Results, at: Time) -> Result<(), DbError> {
    for id in ids {
        let buildset: Option<i64> = each!(conn, |c| kept!(
            diesel::update(requests::table.find(id).filter(requests::complete_at.is_null()))
                .set((
                    requests::waiting.eq(false),
                    requests::complete_at.eq(at.0),
                    requests::results.eq(results.code())
                ))
                .returning(requests::buildset_id)
        )
        .get_result(c))
        .optional()?;
        if let Some(buildset) = buildset
            && let Some(worst) = outcome(conn, buildset, *id, results)?
        {
            complete_buildset(conn, buildset, worst, at)?;
        }
    }
    Ok(())
}

/// The worst result of a buildset after `request` has ended with `results`; `None` while another one is open.
fn outcome(conn: &mut Conn, buildset: i64, request: i64, results: Results) -> Result<Option<Results>, DbError> {
    if let Entry::Occupied(mut known) = conn.known.buildsets.entry(buildset) {
        known.get_mut().open.remove(&request);
        known.get_mut().met(results);
        return Ok(if known.get().open.is_empty() { known.remove().worst } else { None });
    }
    let of_all: Vec<(Option<i64>, Option<i16>)> = requests::table
        .filter(requests::buildset_id.eq(buildset))
        .select((requests::complete_at, requests::results))
        .load(&mut conn.engine)?;
    if of_all.iter().any(|(complete_at, _)| complete_at.is_none()) {
        return Ok(None);
    }
    Ok(of_all.iter().filter_map(|(_, code)| Results::from_code((*code)?)).reduce(Results::worst))
}

fn complete_buildset(conn: &mut Conn, id: i64, worst: Results, at: Time) -> Result<(), DbError> {
    each!(conn, |c| kept!(
        diesel::update(buildsets::table.find(id).filter(buildsets::complete_at.is_null()))
            .set((buildsets::complete_at.eq(at.0), buildsets::results.eq(worst.code())))
    )
    .execute(c))?;
    Ok(())
}
