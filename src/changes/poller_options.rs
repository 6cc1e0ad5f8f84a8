//! Options that several pollers have.

use crate::config::{Arg, Callback, CallbackError, Options, change_object};
use crate::model::Change;
use encoding_rs::Encoding;
use serde_json::Value;
use std::time::Duration;

/// The category of a poller's changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Category {
    None,
    Fixed(String),
    /// Called with the change.
    Function(Callback),
}

/// How often pollers look when nothing is said.
pub(super) const TEN_MINUTES: Duration = Duration::from_secs(600);

impl Category {
    pub(super) fn read(options: &mut Options<'_, '_>) -> Category {
        let section = options.section();
        match options.value("category").map(|value| section.function(value)) {
            None => Category::None,
            Some(Some(function)) => Category::Function(function),
            Some(None) => options.text("category").map_or(Category::None, Category::Fixed),
        }
    }

    /// Of a change that is otherwise complete.
    pub(super) async fn of(&self, change: &Change, kind: &str) -> Option<String> {
        match self {
            Category::None => None,
            Category::Fixed(category) => Some(category.clone()),
            Category::Function(function) => {
                let answer = function.call(vec![Arg::Object(change_object(change))]).await;
                answer.map(category_of).unwrap_or_else(|error: CallbackError| {
                    tracing::error!("{error}; {kind}: the change gets no category");
                    None
                })
            }
        }
    }
}

fn category_of(answer: Value) -> Option<String> {
    match answer {
        Value::String(category) if !category.is_empty() => Some(category),
        _ => None,
    }
}

/// `pollinterval` is the old spelling.
pub(super) fn read_interval(options: &mut Options<'_, '_>) -> Duration {
    let old = options.positive_seconds("pollinterval");
    options.positive_seconds("pollInterval").or(old).unwrap_or(TEN_MINUTES)
}

/// By Python's name for it.
pub fn encoding(name: &str) -> Option<&'static Encoding> {
    let plain = name.to_ascii_lowercase().replace('_', "-");
    let label = match plain.as_str() {
        "latin-1" | "l-1" | "iso8859-1" => "iso-8859-1",
        other => other,
    };
    Encoding::for_label(label.as_bytes())
}

pub(super) fn read_encoding(options: &mut Options<'_, '_>) -> &'static Encoding {
    let Some(name) = options.text("encoding") else { return encoding_rs::UTF_8 };
    encoding(&name).unwrap_or_else(|| {
        options.problem("encoding", format!("\"{name}\" is not an encoding known here"));
        encoding_rs::UTF_8
    })
}
