//! What a page reads of the database, and where its facts lead outside.

use super::fault::Fault;
use super::log_errors::LogErrors;
use super::site::Site;
use crate::db::Conn;
use crate::model::*;
use crate::render::html::escape;
use crate::render::links::outside;
use std::collections::HashMap;
use std::sync::Arc;

/// A database read for a page.
pub struct Reader<'a> {
    pub conn: &'a mut Conn,
    pub(super) site: &'a Site,
}

/// Where revisions, projects and repositories lead outside, found beforehand so that views stay pure.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// By revision and repository.
    revisions: HashMap<(String, String), String>,
    projects: HashMap<String, String>,
    repositories: HashMap<String, String>,
    /// Comments as HTML, by the number of their change.
    comments: HashMap<i64, String>,
}

impl Outside {
    /// A page a browser may be sent to.
    pub fn revision(&self, revision: &str, repository: &str) -> Option<String> {
        safe(self.revisions.get(&(revision.to_owned(), repository.to_owned())))
    }

    pub fn project(&self, project: &str) -> Option<String> {
        safe(self.projects.get(project))
    }

    pub fn repository(&self, repository: &str) -> Option<String> {
        safe(self.repositories.get(repository))
    }

    /// HTML of ours, or of the operator's function.
    pub fn comments(&self, change: &Change) -> String {
        self.comments.get(&change.number).cloned().unwrap_or_else(|| escape(&change.comments))
    }

    pub fn extend(&mut self, more: Outside) {
        self.revisions.extend(more.revisions);
        self.projects.extend(more.projects);
        self.repositories.extend(more.repositories);
        self.comments.extend(more.comments);
    }
}

fn safe(address: Option<&String>) -> Option<String> {
    address.and_then(|address| outside(address)).map(str::to_owned)
}

impl Reader<'_> {
    /// A builder by its name, or the page that says there is none.
    pub fn builder(&mut self, name: &str) -> Result<Builder, Fault> {
        crate::db::builders::find(self.conn, name)?.ok_or_else(|| Fault::no_builder(name))
    }

    /// A build with its steps; negative numbers count from the newest.
    pub fn build(&mut self, builder: &str, number: i64) -> Result<Build, Fault> {
        use crate::render::asdict::quote;
        if let Some(build) = crate::db::builds::find(self.conn, builder, number)? {
            return Ok(build);
        }
        self.builder(builder)?;
        let what = format!("builder \"{}\" has no build {number}", super::fault::short(builder));
        Err(Fault::NotFound { what, parent: format!("builders/{}", quote(builder)) })
    }

    /// What looks like an error in a log; `None` as long as it grows.
    pub fn errors(&mut self, log: &Log) -> Result<Option<Arc<LogErrors>>, Fault> {
        Ok(self.site.errors.of(self.conn, log)?)
    }

    /// The same where many logs are asked about at once: `None` for one that takes long to look through.
    pub fn errors_if_short(&mut self, log: &Log) -> Result<Option<Arc<LogErrors>>, Fault> {
        Ok(self.site.errors.of_short(self.conn, log)?)
    }

    /// Links outside for these builds and their changes.
    pub fn outside<'b>(&self, builds: impl IntoIterator<Item = &'b Build>) -> Outside {
        let mut found = Outside::default();
        for build in builds {
            for stamp in &build.source_stamps {
                let got = build.got_revision(&stamp.codebase);
                for revision in got.into_iter().chain(stamp.revision.as_deref()) {
                    self.find_revision(revision, &stamp.repository, &mut found);
                }
                self.find_places(&stamp.project, &stamp.repository, &mut found);
                stamp.changes.iter().for_each(|change| self.find_change(change, &mut found));
            }
        }
        found
    }

    pub fn outside_of_changes<'b>(&self, changes: impl IntoIterator<Item = &'b Change>) -> Outside {
        let mut found = Outside::default();
        changes.into_iter().for_each(|change| self.find_change(change, &mut found));
        found
    }

    /// A change's own link goes before the configuration's for its revision.
    fn find_change(&self, change: &Change, found: &mut Outside) {
        if let Some(revision) = change.revision.as_deref().filter(|revision| !revision.is_empty()) {
            match change.revlink.as_deref().filter(|link| !link.is_empty()) {
                Some(link) => {
                    let key = (revision.to_owned(), change.repository.clone());
                    found.revisions.insert(key, link.to_owned());
                }
                None => self.find_revision(revision, &change.repository, found),
            }
        }
        self.find_places(&change.project, &change.repository, found);
        let shown = || self.site.comments(&change.comments, &change.project);
        found.comments.entry(change.number).or_insert_with(shown);
    }

    fn find_revision(&self, revision: &str, repository: &str, found: &mut Outside) {
        let key = (revision.to_owned(), repository.to_owned());
        if !found.revisions.contains_key(&key)
            && let Some(page) = self.site.revision_page(revision, repository)
        {
            found.revisions.insert(key, page);
        }
    }

    fn find_places(&self, project: &str, repository: &str, found: &mut Outside) {
        if !found.projects.contains_key(project)
            && let Some(page) = self.site.project_page(project)
        {
            found.projects.insert(project.to_owned(), page);
        }
        if !found.repositories.contains_key(repository)
            && let Some(page) = self.site.repository_page(repository)
        {
            found.repositories.insert(repository.to_owned(), page);
        }
    }
}
