//! The user database (`reference/manual/concepts.rst`, User Objects).

use super::DbError;
use super::columns::{clean, clean_option};
use super::engine::{Conn, each, kept};
use super::schema::{user_attributes, users};
use crate::model::User;
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

/// Everybody, in the order they were added.
pub fn all(conn: &mut Conn) -> Result<Vec<User>, DbError> {
    let rows = users::table.order(users::uid).select(Row::as_select()).load(conn.engine()?)?;
    let triples: Vec<(i64, String, String)> = user_attributes::table.load(conn.engine()?)?;
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

/// The first user who has this attribute: `("git", "Ann <ann@example.org>")`.
pub fn by_attribute(conn: &mut Conn, kind: &str, value: &str) -> Result<Option<User>, DbError> {
    let uid: Option<i64> = user_attributes::table
        .filter(user_attributes::kind.eq(kind))
        .filter(user_attributes::value.eq(value))
        .order(user_attributes::uid)
        .select(user_attributes::uid)
        .first(conn.engine()?)
        .optional()?;
    match uid {
        Some(uid) => by_uid(conn, uid),
        None => Ok(None),
    }
}

/// Who a change's author is: the first user one of whose attributes, or whose identifier, is this name.
pub fn of_author(conn: &mut Conn, who: &str) -> Result<Option<User>, DbError> {
    let uid: Option<i64> = user_attributes::table
        .filter(user_attributes::value.eq(who))
        .order(user_attributes::uid)
        .select(user_attributes::uid)
        .first(conn.engine()?)
        .optional()?;
    match uid {
        Some(uid) => by_uid(conn, uid),
        None => find(conn, who),
    }
}

/// Adds a user and answers with the uid it got; the one in `user` counts for nothing.
/// An identifier or login name somebody else has is an error.
pub fn add(conn: &mut Conn, user: &User) -> Result<i64, DbError> {
    let uid = diesel::insert_into(users::table)
        .values((
            users::identifier.eq(clean(&user.identifier)),
            users::bb_username.eq(clean_option(user.bb_username.as_deref())),
            users::bb_password.eq(clean_option(user.bb_password.as_deref())),
        ))
        .returning(users::uid)
        .get_result(conn.engine()?)?;
    put_attributes(conn, uid, &user.attributes)?;
    Ok(uid)
}

/// Writes everything of the user of this uid; false when there is none.
pub fn update(conn: &mut Conn, user: &User) -> Result<bool, DbError> {
    let changed = each!(conn, |c| kept!(diesel::update(users::table.find(user.uid)).set((
        users::identifier.eq(clean(&user.identifier)),
        users::bb_username.eq(clean_option(user.bb_username.as_deref())),
        users::bb_password.eq(clean_option(user.bb_password.as_deref())),
    )))
    .execute(c))?;
    if changed == 0 {
        return Ok(false);
    }
    diesel::delete(user_attributes::table.filter(user_attributes::uid.eq(user.uid))).execute(conn.engine()?)?;
    put_attributes(conn, user.uid, &user.attributes)?;
    Ok(true)
}

/// False when there is no such user.
pub fn remove(conn: &mut Conn, uid: i64) -> Result<bool, DbError> {
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
