//! HgPoller: every new changeset of a branch of a Mercurial repository becomes a change.
//!
//! ```python
//! c['change_source'] = changes.HgPoller(repourl="https://hg.example.org/project", workdir="hg-project",
//!                                       branch="default", pollInterval=600)
//! ```
//!
//! The first look records where the branch is and makes no changes of its history. From then on:
//! * the changesets of the branch that its head brought become changes, oldest first, those a merge brought too;
//! * while the branch has several heads nothing is reported, and the status says so; the merge brings them all;
//! * history that was rewritten: those changesets the branch did not have before, and a sentence about it;
//! * a branch that was not there at the first look is all new when it comes.
//!
//! `workdir` holds the poller's own copy of the repository; pollers of several branches may share one. A copy made here
//! is made anew when it turns out to be damaged, any other is left to its owner.
//!
//! Of the settings of the user who runs the master only those count that say how to get at repositories (`access.rs`):
//! no hook and no extension runs.
//!
//! Not here: bookmarks; the manual has none.

mod access;
mod changesets;
mod clone;
mod hg;
mod options;
mod progress;

pub use super::poller_options::Category;
pub use options::{Config, KIND};

use super::polling::{self, About, Desk, Poll, PollError};
use super::source::Running;
use crate::master::{AddChange, Setup};
use crate::model::{Change, Vcs};
use crate::supervise::Group;
use actix::prelude::*;
use changesets::Changeset;
use clone::Clone as LocalClone;
use progress::Progress;
use std::sync::Arc;

/// Starts a poller under `group`. `add` takes its changes: the master.
pub fn start(setup: &Setup, group: &Group, config: &Arc<Config>, add: Recipient<AddChange>) -> Running {
    let about = About {
        kind: "HgPoller",
        vcs: Vcs::Hg,
        name: config.name.clone(),
        description: config.description(),
        shown_url: config.shown_url.clone(),
        place: config.place.clone(),
        poll_interval: config.poll_interval,
        poll_at_launch: config.poll_at_launch,
    };
    let (config, basedir) = (config.clone(), setup.basedir.clone());
    polling::start(setup, group, about, add, move || HgPoller {
        clone: LocalClone::new(&config, &basedir),
        config: config.clone(),
        progress: None,
    })
}

/// What is known between two looks.
struct HgPoller {
    config: Arc<Config>,
    clone: LocalClone,
    progress: Option<Progress>,
}

impl Poll for HgPoller {
    async fn poll(&mut self, desk: &Desk) -> Result<Option<String>, PollError> {
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => {
                let branch = self.config.branch.clone();
                desk.load(move |conn, name| Progress::load(conn, name, &branch)).await?
            }
        };
        let branch = &self.config.branch;
        let heads = if self.clone.pull().await? { self.clone.heads().await? } else { Vec::new() };
        let trouble = match (heads.as_slice(), progress.is_begun()) {
            (_, false) => {
                tracing::info!("HgPoller {}: watching {branch} from now on", self.config.shown_url);
                progress.begin(&heads);
                desk.store(self.puts(&progress)).await?;
                None
            }
            ([head], true) => self.follow(desk, &mut progress, head).await?,
            (_, true) => None,
        };
        self.progress = Some(progress);
        Ok(trouble.or_else(|| state_of(branch, &heads)))
    }

    async fn mend(&mut self, error: &PollError) {
        if matches!(error, PollError::Command(error) if error.is_damage()) {
            self.clone.discard().await;
        }
    }
}

/// A sentence about a branch that has not exactly one head.
fn state_of(branch: &str, heads: &[String]) -> Option<String> {
    match heads {
        [] => Some(format!("there is no branch {branch}")),
        [_] => None,
        several => Some(format!(
            "the branch {branch} has {} heads, {}; reporting nothing until they are merged or closed",
            several.len(),
            several.iter().take(5).map(|head| short(head)).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// A sentence about a head that does not follow from what was reported: that is gone, or elsewhere.
fn rewritten(branch: &str, head: &str, gone: Option<&str>, astray: Option<&str>) -> Option<String> {
    let head = short(head);
    let was = |id| format!("the history of {branch} was rewritten: {id}");
    match (gone.map(short), astray.map(short)) {
        (Some(gone), _) => {
            Some(format!("{}, where it was, is gone; its newest changeset {head} alone counts", was(gone)))
        }
        (None, Some(astray)) => {
            Some(format!("{}, where it was, is no part of {head}; going on from there", was(astray)))
        }
        (None, None) => None,
    }
}

/// As hg shows the ids of changesets.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

impl HgPoller {
    /// Reports what a head has brought.
    async fn follow(&self, desk: &Desk, progress: &mut Progress, head: &str) -> Result<Option<String>, PollError> {
        if progress.reported() == [head] {
            return Ok(None);
        }
        let here = self.clone.existing(progress.reported()).await?;
        let gone = progress.reported().first().filter(|_| here.is_empty()).cloned();
        if gone.is_some() {
            progress.begin(&self.clone.parents(head).await?);
        }
        let listed = self.clone.list(progress.reported(), head).await?;
        let astray = if listed.is_empty() { Vec::new() } else { self.clone.outside(&here, head).await? };
        if !listed.is_empty() {
            tracing::info!("HgPoller {}: {} new changesets", self.config.shown_url, listed.len());
        }
        let mut left = listed.len();
        for chunk in listed.chunks(changesets::CHUNK) {
            for changeset in self.clone.read(chunk).await? {
                left -= 1;
                if left == 0 {
                    progress.begin(&[head.to_owned()])
                } else {
                    progress.add(&changeset)
                }
                let change = self.change(desk, changeset).await;
                desk.send(change, self.puts(progress)).await?;
            }
        }
        Ok(rewritten(&self.config.branch, head, gone.as_deref(), astray.first().map(String::as_str)))
    }

    async fn change(&self, desk: &Desk, changeset: Changeset) -> Change {
        let mut change = Change {
            who: changeset.author,
            files: changeset.files,
            comments: changeset.comments,
            revision: Some(changeset.id),
            branch: Some(self.config.branch.clone()),
            when: desk.when(changeset.seconds, self.config.use_timestamps),
            repository: self.config.shown_url.clone(),
            project: self.config.project.clone(),
            ..Change::default()
        };
        change.category = self.config.category.of(&change, "HgPoller").await;
        change
    }

    fn puts(&self, progress: &Progress) -> Vec<crate::db::state::Put> {
        progress.puts(&self.config.name, &self.config.branch)
    }
}
