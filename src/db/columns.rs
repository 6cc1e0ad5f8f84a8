//! How model values lie in columns: JSON as text, results as their codes, moments as microseconds.

use super::DbError;
use crate::model::{Results, Time};
use diesel::backend::Backend;
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::Arc;

/// Text that several rows to be written may share.
#[derive(Clone, Debug, Default, AsExpression)]
#[diesel(sql_type = Text)]
pub struct SharedText(Arc<str>);

impl From<String> for SharedText {
    fn from(text: String) -> SharedText {
        SharedText(text.into())
    }
}

impl<DB: Backend> ToSql<Text, DB> for SharedText
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.as_ref().to_sql(out)
    }
}

/// As JSON text. JSON escapes NUL, which PostgreSQL does not take in text.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Decode { column: "to be written", what: error.to_string() })
}

/// The same for a list, which is mostly empty.
pub fn json_list<T: Serialize>(values: &[T]) -> Result<Cow<'static, str>, DbError> {
    if values.is_empty() { Ok(Cow::Borrowed("[]")) } else { json(values).map(Cow::Owned) }
}

/// The same for a map, which is mostly empty.
pub fn json_map<T: Serialize>(values: &T) -> Result<Cow<'static, str>, DbError>
where
    for<'a> &'a T: IntoIterator,
{
    if values.into_iter().next().is_none() { Ok(Cow::Borrowed("{}")) } else { json(values).map(Cow::Owned) }
}

pub fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|error| DbError::Decode { column, what: error.to_string() })
}

pub fn results(column: &'static str, code: Option<i16>) -> Result<Option<Results>, DbError> {
    let decode = |code| {
        Results::from_code(code).ok_or_else(|| DbError::Decode { column, what: format!("{code} is no result code") })
    };
    code.map(decode).transpose()
}

pub fn micros(time: Option<Time>) -> Option<i64> {
    time.map(|time| time.0)
}

/// Text without NUL, which PostgreSQL does not take.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

pub fn clean_option(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(clean)
}

/// A branch as the index has it: the null branch as the empty one, and no longer than PostgreSQL can index.
pub fn branch(branch: Option<&str>) -> String {
    clean(branch.unwrap_or_default()).chars().take(500).collect()
}
