//! A change as pages show it.

use super::super::reader::Outside;
use crate::model::*;
use crate::render::links::{Links, shortrev};
use crate::render::people;
use serde::Serialize;

/// The most files named; a change may touch a hundred thousand.
const MOST_FILES: usize = 500;

/// One change: `change_view.hbs`.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct ChangeView {
    number: i64,
    href: String,
    who: String,
    when: Time,
    /// The first line of the comments.
    summary: String,
    /// HTML, written by us: escaped, with links to tickets.
    comments: String,
    revision: Option<String>,
    revision_short: Option<String>,
    revision_href: Option<String>,
    branch: Option<String>,
    category: Option<String>,
    repository: String,
    repository_href: Option<String>,
    project: String,
    project_href: Option<String>,
    codebase: String,
    /// `change hook github`
    origin: Option<String>,
    files: Vec<String>,
    more_files: usize,
    properties: Vec<PropertyLine>,
}

/// One row of a table of properties.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct PropertyLine {
    pub name: String,
    pub value: String,
    pub source: String,
}

pub fn change(change: &Change, links: &Links, outside: &Outside) -> ChangeView {
    let revision = change.revision.clone().filter(|revision| !revision.is_empty());
    let page = revision.as_deref().and_then(|revision| outside.revision(revision, &change.repository));
    ChangeView {
        number: change.number,
        href: links.change(change.number),
        who: people::name(&change.who).to_owned(),
        when: change.when,
        summary: change.comments.lines().next().unwrap_or("").chars().take(200).collect(),
        comments: outside.comments(change),
        revision_short: revision.as_deref().map(shortrev),
        revision_href: page,
        revision,
        branch: change.branch.clone(),
        category: change.category.clone(),
        repository_href: outside.repository(&change.repository),
        repository: change.repository.clone(),
        project_href: outside.project(&change.project),
        project: change.project.clone(),
        codebase: change.codebase.clone(),
        origin: change.origin.as_ref().map(|origin| match origin {
            Origin::Hook(dialect) => format!("change hook {dialect}"),
            Origin::Poller(poller) => poller.clone(),
        }),
        files: change.files.iter().take(MOST_FILES).cloned().collect(),
        more_files: change.files.len().saturating_sub(MOST_FILES),
        properties: properties(&change.properties, |_| true),
    }
}

/// Values longer than this are cut, as in 0.8.
const LONGEST_VALUE: usize = 500;

pub fn properties(properties: &Properties, wanted: impl Fn(&str) -> bool) -> Vec<PropertyLine> {
    let wanted = properties.iter().filter(|(_, _, source)| wanted(source));
    wanted
        .map(|(name, value, source)| PropertyLine {
            name: name.to_owned(),
            value: value_text(value),
            source: source.to_owned(),
        })
        .collect()
}

fn value_text(value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}… ({} characters in all)", &text[..end], text.chars().count()),
        None => text,
    }
}
