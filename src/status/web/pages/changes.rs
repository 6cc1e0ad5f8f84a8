//! Where changes come from, and the latest of them.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use super::change_view::{ChangeView, change};
use crate::config::Config;
use crate::db::changes;
use actix_web::HttpResponse;
use serde::Serialize;

const USUAL: i64 = 50;
const MOST: i64 = 500;

#[derive(Serialize)]
struct ChangesView {
    sources: Vec<String>,
    changes: Vec<ChangeView>,
    older: Option<String>,
}

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let fields = viewer.fields().clone();
    let count = fields.number_of("count", USUAL, MOST)?;
    let before = fields.integer("before")?;
    let (mut recent, pages) = viewer
        .read(move |reader| {
            let recent = changes::recent(reader.conn, count + 1, before)?;
            let pages = reader.outside_of_changes(&recent);
            Ok((recent, pages))
        })
        .await?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let more = recent.len() > limit;
    recent.truncate(limit);
    let last = recent.last().filter(|_| more);
    let view = ChangesView {
        sources: sources(&viewer.config()),
        older: last.map(|change| fields.with("before", Some(&change.number.to_string()))),
        changes: recent.iter().map(|each| change(each, viewer.links(), &pages)).collect(),
    };
    viewer.page("changes", "Changes", "changes", &view)
}

/// One line for each change source: its kind and what it looks at.
pub fn sources(config: &Config) -> Vec<String> {
    let describe = |section: &std::sync::Arc<crate::config::Section>| {
        let kind = section.short_kind();
        let from = ["repourl", "repository", "svnurl", "p4base", "baseURL", "maildir"]
            .iter()
            .find_map(|option| section.options.get(option)?.as_str());
        match from {
            Some(from) => format!("{kind} {}", without_password(from)),
            None => kind.to_owned(),
        }
    };
    config.change_sources.iter().map(describe).collect()
}

/// An address as anyone may read it.
fn without_password(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) if url.password().is_some() => {
            // Fails only for addresses that cannot have one.
            let _ = url.set_password(None);
            url.to_string()
        }
        _ => address.to_owned(),
    }
}
