//! The user database (`reference/manual/concepts.rst`, User Objects).
//!
//! Whoever writes here does so [beside](super::Beside) the event that tells of it, and one at a time: what a user lacks
//! is read before, and must still be so when it is written.

use super::columns::{clean, clean_option};
use super::engine::{Conn, each, kept};
use super::schema::{user_attributes, users};
use super::{DbError, counters};
use crate::model::{EMAIL, User, Vcs};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
struct Row {
    uid: i64,
    identifier: String,
    bb_username: Option<String>,
    bb_password: Option<String>,
}

/// As many of those with one attribute are looked at for the one who was there first.
const ALIKE: i64 = 1_000;

/// Those with uids above `after`, in the order they were added, at most `count`.
pub fn after(conn: &mut Conn, after: i64, count: i64) -> Result<Vec<User>, DbError> {
    let rows: Vec<Row> = users::table
        .filter(users::uid.gt(after))
        .order(users::uid)
        .limit(count.max(0))
        .select(Row::as_select())
        .load(conn.engine()?)?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(Vec::new());
    };
    let triples: Vec<(i64, String, String)> =
        user_attributes::table.filter(user_attributes::uid.between(first.uid, last.uid)).load(conn.engine()?)?;
    Ok(with_attributes(rows, triples))
}

/// By the number pages use.
pub fn by_uid(conn: &mut Conn, uid: i64) -> Result<Option<User>, DbError> {
    let row: Option<Row> = users::table.find(uid).select(Row::as_select()).first(conn.engine()?).optional()?;
    one(conn, row)
}

/// By identifier.
pub fn find(conn: &mut Conn, identifier: &str) -> Result<Option<User>, DbError> {
    let row: Option<Row> = users::table
        .filter(users::identifier.eq(identifier))
        .select(Row::as_select())
        .first(conn.engine()?)
        .optional()?;
    one(conn, row)
}

/// Who logs in by this name.
pub fn by_username(conn: &mut Conn, username: &str) -> Result<Option<User>, DbError> {
    let row: Option<Row> = users::table
        .filter(users::bb_username.eq(username))
        .select(Row::as_select())
        .first(conn.engine()?)
        .optional()?;
    one(conn, row)
}

/// Whom the author of a change is, for mail: who has it as the attribute of a version control or as their identifier;
/// failing that, whose mail address it is. Of several the one with the lowest uid.
pub fn of_author(conn: &mut Conn, who: &str) -> Result<Option<User>, DbError> {
    let kinds = Vcs::ALL.map(Vcs::name);
    let by_attribute = with_attribute(conn, &kinds, who)?;
    let by_identifier: Option<i64> =
        users::table.filter(users::identifier.eq(who)).select(users::uid).first(conn.engine()?).optional()?;
    let known = match by_attribute.into_iter().chain(by_identifier).min() {
        Some(uid) => Some(uid),
        None => with_attribute(conn, &[EMAIL], who)?,
    };
    known.map_or(Ok(None), |uid| by_uid(conn, uid))
}

/// Who has to be stored for this author of this version control to be a user: somebody new, with uid 0, or the user of
/// that identifier with what they lacked.
///
/// `None` where nothing has to be: somebody has that attribute already, or is nobody, or said otherwise.
pub fn lacking(conn: &mut Conn, vcs: Vcs, who: &str) -> Result<Option<User>, DbError> {
    if !User::can_be(who) || with_attribute(conn, &[vcs.name()], who)?.is_some() {
        return Ok(None);
    }
    let Some(mut user) = find(conn, who)? else {
        return Ok(Some(User::of_author(vcs, who)));
    };
    // An attribute they have is what somebody wants it to be.
    let may_learn = !user.attributes.contains_key(vcs.name());
    Ok((may_learn && user.learn(vcs, who)).then_some(user))
}

/// The lowest uid of those who have one of these attributes with this value.
fn with_attribute(conn: &mut Conn, kinds: &[&str], value: &str) -> Result<Option<i64>, DbError> {
    // Not sorted by the database, which might then go through everybody in the order of their uids.
    let uids: Vec<i64> = user_attributes::table
        .filter(user_attributes::kind.eq_any(kinds))
        .filter(user_attributes::value.eq(value))
        .limit(ALIKE)
        .select(user_attributes::uid)
        .load(conn.engine()?)?;
    Ok(uids.into_iter().min())
}

/// Writes everything of a user, whether they are new or not. Done again it changes nothing.
///
/// # Errors
/// An identifier or login name that somebody else has.
pub fn put(conn: &mut Conn, user: &User) -> Result<(), DbError> {
    let (identifier, username) = (clean(&user.identifier), clean_option(user.bb_username.as_deref()));
    let password = clean_option(user.bb_password.as_deref());
    let columns = (
        users::identifier.eq(identifier.as_ref()),
        users::bb_username.eq(username.as_deref()),
        users::bb_password.eq(password.as_deref()),
    );
    each!(conn, |c| kept!(
        diesel::insert_into(users::table)
            .values((users::uid.eq(user.uid), columns))
            .on_conflict(users::uid)
            .do_update()
            .set(columns)
    )
    .execute(c))?;
    diesel::delete(user_attributes::table.filter(user_attributes::uid.eq(user.uid))).execute(conn.engine()?)?;
    put_attributes(conn, user.uid, &user.attributes)
}

/// False when there is no such user. Their uid is nobody else's ever after.
pub fn remove(conn: &mut Conn, uid: i64) -> Result<bool, DbError> {
    counters::raise(conn, counters::USER, uid)?;
    Ok(diesel::delete(users::table.find(uid)).execute(conn.engine()?)? > 0)
}

fn put_attributes(conn: &mut Conn, uid: i64, attributes: &BTreeMap<String, String>) -> Result<(), DbError> {
    for (kind, value) in attributes {
        let (kind, value) = (clean(kind), clean(value));
        let row = (
            user_attributes::uid.eq(uid),
            user_attributes::kind.eq(kind.as_ref()),
            user_attributes::value.eq(value.as_ref()),
        );
        each!(conn, |c| diesel::insert_into(user_attributes::table).values(row).execute(c))?;
    }
    Ok(())
}

fn one(conn: &mut Conn, row: Option<Row>) -> Result<Option<User>, DbError> {
    let Some(row) = row else {
        return Ok(None);
    };
    let triples: Vec<(i64, String, String)> =
        user_attributes::table.filter(user_attributes::uid.eq(row.uid)).load(conn.engine()?)?;
    Ok(with_attributes(vec![row], triples).pop())
}

fn with_attributes(rows: Vec<Row>, triples: Vec<(i64, String, String)>) -> Vec<User> {
    let mut attributes: HashMap<i64, BTreeMap<String, String>> = HashMap::new();
    for (uid, kind, value) in triples {
        attributes.entry(uid).or_default().insert(kind, value);
    }
    let user = |row: Row| User {
        uid: row.uid,
        identifier: row.identifier,
        bb_username: row.bb_username,
        bb_password: row.bb_password,
        attributes: attributes.remove(&row.uid).unwrap_or_default(),
    };
    rows.into_iter().map(user).collect()
}
