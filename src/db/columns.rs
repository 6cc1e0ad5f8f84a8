//! How model values lie in columns: JSON as text, results as their codes, moments as microseconds.

use super::DbError;
use crate::model::{Results, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// As JSON text. JSON escapes NUL, which PostgreSQL does not take in text.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Decode { column: "to be written", what: error.to_string() })
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
