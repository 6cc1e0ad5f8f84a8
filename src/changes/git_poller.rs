//! GitPoller: every new commit of a git repository becomes a change.
//!
//! ```python
//! c['change_source'] = changes.GitPoller(repourl="git@example.com:foobaz/myrepo.git",
//!                                        branches=["master", "great_new_feature"], pollInterval=60)
//! ```
//!
//! The first look records where the branches are and makes no changes of their history. From then on:
//! * the commits between a branch's last head and its new one become changes, oldest first, those a merge brought too;
//! * of a new branch, the commits that are on no branch known so far;
//! * a branch moved to other commits by force: those of them it did not have before, none if it was moved back;
//! * a deleted branch is remembered, so that it does not count as new when it returns.
//!
//! A change and how far the poller has read are stored together: killed at any moment, it neither loses a commit nor
//! reports one twice. While the repository cannot be reached it tries with growing pauses, and says so in one line.
//!
//! Not here: codebase, revlink and users of a change; the master knows how to fill those in for every source.

mod clone;
mod commits;
mod git;
mod options;
mod progress;

pub use super::poller_options::Category;
pub use options::{Branches, Config, KIND};

use super::polling::{self, About, Desk, Poll, PollError};
use super::source::Running;
use crate::config::Arg;
use crate::master::{AddChange, Setup};
use crate::model::{Change, Vcs};
use crate::supervise::Group;
use actix::prelude::*;
use clone::Clone as LocalClone;
use commits::Commit;
use progress::{Batch, Progress};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Starts a poller under `group`. `add` takes its changes: the master.
pub fn start(setup: &Setup, group: &Group, config: &Arc<Config>, add: Recipient<AddChange>) -> Running {
    let about = About {
        kind: "GitPoller",
        vcs: Vcs::Git,
        name: config.name.clone(),
        description: config.description(),
        shown_url: config.shown_url.clone(),
        place: config.place.clone(),
        poll_interval: config.poll_interval,
        poll_at_launch: config.poll_at_launch,
    };
    let (config, basedir) = (config.clone(), setup.basedir.clone());
    polling::start(setup, group, about, add, move || GitPoller {
        clone: LocalClone::new(&config, &basedir),
        config: config.clone(),
        progress: None,
        chosen: BTreeMap::new(),
    })
}

/// What is known between two looks.
struct GitPoller {
    config: Arc<Config>,
    clone: LocalClone,
    progress: Option<Progress>,
    /// What the function given as `branches` said of a ref.
    chosen: BTreeMap<String, bool>,
}

impl Poll for GitPoller {
    async fn poll(&mut self, desk: &Desk) -> Result<Option<String>, PollError> {
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => desk.load(Progress::load).await?,
        };
        let remote = self.clone.remote_heads().await?;
        let mut wanted = BTreeMap::new();
        for (branch, head) in &remote {
            if self.wants(branch).await {
                wanted.insert(branch.clone(), head.clone());
            }
        }
        let heads = self.clone.fetch(&wanted).await?;
        self.finish(desk, &mut progress, &heads).await?;

        match &progress.heads {
            None => {
                tracing::info!("GitPoller {}: watching {} branches from now on", self.config.shown_url, heads.len());
                progress.begin(&heads, remote.is_empty(), &self.config.selection());
                desk.store(progress.puts(&self.config.name)).await?;
            }
            Some(_) => self.follow(desk, &mut progress, &heads, remote.is_empty()).await?,
        }
        self.progress = Some(progress);
        Ok(missing(&self.config, &remote))
    }

    async fn mend(&mut self, error: &PollError) {
        if matches!(error, PollError::Command(error) if error.is_damage()) {
            self.clone.discard().await;
        }
    }
}

impl GitPoller {
    async fn follow(
        &self,
        desk: &Desk,
        progress: &mut Progress,
        heads: &BTreeMap<String, String>,
        remote_is_empty: bool,
    ) -> Result<(), PollError> {
        let stored = progress.clone();
        progress.select(heads, &self.config.selection());
        let before = progress.clone();
        progress.retire(heads, remote_is_empty);
        if *progress != stored {
            desk.store(progress.puts(&self.config.name)).await?;
        }
        let moved = heads.iter().filter(|(branch, head)| before.head(branch) != Some(head.as_str()));
        for (branch, head) in moved {
            let Some(exclude) = self.exclude(progress, &before, branch, head).await? else {
                progress.set(branch, head);
                desk.store(progress.puts(&self.config.name)).await?;
                continue;
            };
            progress.batch = Some(Batch { branch: branch.clone(), exclude, target: head.clone() });
            progress.done = 0;
            desk.store(progress.batch_puts(&self.config.name)).await?;
            self.finish(desk, progress, heads).await?;
        }
        Ok(())
    }

    /// Which commits are no news on a branch that is now at `head`; `None` if there is nothing to report at all.
    async fn exclude(
        &self,
        progress: &Progress,
        before: &Progress,
        branch: &str,
        head: &str,
    ) -> Result<Option<Vec<String>>, PollError> {
        let url = &self.config.shown_url;
        if let Some(old) = progress.head(branch).or_else(|| before.gone_head(branch)) {
            if self.clone.has_commit(old).await? {
                return Ok(Some(vec![old.to_owned()]));
            }
            tracing::warn!("GitPoller {url}: {branch} was at {old}, which is gone; reporting only its newest commit");
            return Ok(Some(self.clone.parents(head).await?));
        }
        let known = self.clone.existing(progress.all_heads()).await?;
        if known.is_empty() && !before.remote_was_empty {
            tracing::info!("GitPoller {url}: watching the new branch {branch} from now on");
            return Ok(None);
        }
        Ok(Some(known))
    }

    /// Sends what is left of the batch begun last, if there is one.
    async fn finish(
        &self,
        desk: &Desk,
        progress: &mut Progress,
        heads: &BTreeMap<String, String>,
    ) -> Result<(), PollError> {
        let Some(batch) = progress.batch.clone() else { return Ok(()) };
        let url = &self.config.shown_url;
        if !self.clone.has_commit(&batch.target).await? {
            if heads.get(&batch.branch) == Some(&batch.target) {
                return Err(git::lost(&batch.target).into());
            }
            tracing::warn!("GitPoller {url}: {} is gone before all its commits were reported", batch.target);
            progress.batch = None;
            return Ok(desk.store(progress.batch_puts(&self.config.name)).await?);
        }
        let commits = self.clone.commits(&batch.exclude, &batch.target).await?;
        let left = commits.get(progress.done..).unwrap_or_default();
        if !left.is_empty() {
            tracing::info!("GitPoller {url}: {} new commits on {}", left.len(), batch.branch);
        }
        for chunk in left.chunks(commits::CHUNK) {
            for commit in self.clone.read(chunk, self.config.encoding).await? {
                progress.done += 1;
                let puts = if progress.done == commits.len() {
                    progress.end_batch(&batch);
                    [progress.puts(&self.config.name), progress.batch_puts(&self.config.name)].concat()
                } else {
                    progress.done_puts(&self.config.name)
                };
                desk.send(self.change(desk, commit, &batch.branch).await, puts).await?;
            }
        }
        if progress.batch.is_some() {
            // There was nothing to send.
            progress.end_batch(&batch);
            let puts = [progress.puts(&self.config.name), progress.batch_puts(&self.config.name)].concat();
            desk.store(puts).await?;
        }
        Ok(())
    }

    async fn wants(&mut self, branch: &str) -> bool {
        match &self.config.branches {
            Branches::All => true,
            Branches::Named(names) => names.iter().any(|name| name == branch),
            Branches::Chosen(function) => {
                if let Some(chosen) = self.chosen.get(branch) {
                    return *chosen;
                }
                let full = format!("refs/heads/{branch}");
                match function.call(vec![Arg::Json(full.into())]).await {
                    Ok(answer) => {
                        let chosen = !matches!(answer, Value::Null | Value::Bool(false));
                        self.chosen.insert(branch.to_owned(), chosen);
                        chosen
                    }
                    Err(error) => {
                        tracing::error!("{error}; GitPoller: not watching {branch} for now");
                        false
                    }
                }
            }
        }
    }
}

/// A sentence about branches that should be there and are not.
fn missing(config: &Config, remote: &BTreeMap<String, String>) -> Option<String> {
    let Branches::Named(names) = &config.branches else { return None };
    let missing: Vec<&str> = names.iter().filter(|name| !remote.contains_key(*name)).map(String::as_str).collect();
    if missing.is_empty() {
        return None;
    }
    let some: Vec<&str> = remote.keys().take(5).map(String::as_str).collect();
    let there =
        if some.is_empty() { "it has no branches yet".to_owned() } else { format!("it has {}", some.join(", ")) };
    Some(format!("there is no branch {}; {there}", missing.join(", ")))
}

impl GitPoller {
    async fn change(&self, desk: &Desk, commit: Commit, branch: &str) -> Change {
        let mut change = Change {
            who: commit.author,
            files: commit.files,
            comments: commit.comments,
            revision: Some(commit.id),
            branch: Some(branch.to_owned()),
            when: desk.when(commit.seconds, self.config.use_timestamps),
            repository: self.config.shown_url.clone(),
            project: self.config.project.clone(),
            ..Change::default()
        };
        change.category = self.config.category.of(&change, "GitPoller").await;
        change
    }
}
