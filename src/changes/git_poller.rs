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

pub use options::{Branches, Category, Config, KIND};

use super::source::{Running, Shared, SourceStatus};
use crate::clock::Clock;
use crate::config::{Arg, CallbackError, change_object};
use crate::db::state;
use crate::master::{AddChange, Refused, Setup};
use crate::model::{Change, Time};
use crate::supervise::{Group, Pause, Policy, WhenExhausted};
use actix::prelude::*;
use clone::Clone as LocalClone;
use commits::Commit;
use git::GitError;
use progress::{Batch, Progress};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Starts a poller under `group`. `add` takes its changes: the master.
pub fn start(setup: &Setup, group: &Group, config: &Arc<Config>, add: Recipient<AddChange>) -> Running {
    let description = config.description();
    let shared =
        Arc::new(Shared::new(SourceStatus { name: config.name.clone(), description, ..SourceStatus::default() }));
    let desk = Desk {
        config: config.clone(),
        db: setup.db.clone(),
        clock: setup.clock.clone(),
        basedir: setup.basedir.clone(),
        shared: shared.clone(),
        add,
    };
    let policy = Policy {
        pause: Pause::Exponential { first: Duration::from_millis(200), cap: Duration::from_secs(60) },
        max_restarts: 8,
        window: Duration::from_secs(600),
        when_exhausted: WhenExhausted::Park,
    };
    // A URL in a path of the supervision tree would look like more branches of it.
    let name = format!("GitPoller {}", config.name.replace('/', "|"));
    let child = group.start(&name, policy, move |_, _| GitPoller { desk });
    Running { shared, end: Box::new(move || Box::pin(child.stop())) }
}

pub struct GitPoller {
    desk: Desk,
}

#[derive(Clone)]
struct Desk {
    config: Arc<Config>,
    db: crate::db::Db,
    clock: Clock,
    basedir: PathBuf,
    shared: Arc<Shared>,
    add: Recipient<AddChange>,
}

/// Why a look at the repository did not come to its end. It is tried again later.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("the database cannot be used: {0}")]
    Db(#[from] crate::db::DbError),
    #[error("the master takes no changes just now: {0}")]
    NotNow(String),
    #[error("the master does not answer")]
    NoAnswer(#[from] MailboxError),
    #[error("it was broken off")]
    BrokenOff(#[from] tokio::task::JoinError),
}

impl Actor for GitPoller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.spawn(self.desk.clone().run().into_actor(self));
    }
}

impl Supervised for GitPoller {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = GitPoller { desk: self.desk.clone() };
    }
}

/// After a failure the next poll comes no later than this.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// While polls fail, they come no further apart than this, or than the interval where that is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Desk {
    async fn run(self) {
        let interval = self.config.poll_interval;
        let mut poller = Poller::new(&self);
        let mut pause = interval.min(FIRST_PAUSE);
        if !self.config.poll_at_launch {
            self.wait(interval).await;
        }
        loop {
            let began = Instant::now();
            let at = self.clock.now();
            let result = poller.poll(&self).await;
            self.shared.change(|status| status.last_poll = Some(at));
            match result {
                Ok(trouble) => {
                    self.report(trouble, None);
                    pause = interval.min(FIRST_PAUSE);
                    self.wait(interval.saturating_sub(began.elapsed())).await;
                }
                Err(error) => {
                    self.report(Some(error.to_string()), Some(pause));
                    if matches!(&error, PollError::Git(error) if error.is_damage()) {
                        poller.clone.discard().await;
                    }
                    // What was about to be stored may or may not have been: read it anew.
                    poller = Poller::new(&self);
                    self.wait(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE.max(interval));
                }
            }
        }
    }

    async fn wait(&self, pause: Duration) {
        let next = self.clock.now() + pause;
        self.shared.change(|status| status.next_poll = Some(next));
        // Poked or not, it goes on.
        let _ = tokio::time::timeout(pause, self.shared.poke.notified()).await;
    }

    /// One line when something goes wrong in a new way, one when all is well again.
    fn report(&self, trouble: Option<String>, again: Option<Duration>) {
        let (url, place) = (&self.config.shown_url, &self.config.place);
        self.shared.change(|status| {
            match &trouble {
                Some(trouble) if status.last_error.as_ref() != Some(trouble) => {
                    let again = again.map(|pause| format!("; trying again in {pause:?}, then less often"));
                    tracing::warn!("{place}: GitPoller {url}: {trouble}{}", again.unwrap_or_default());
                }
                Some(_) => {}
                None if status.last_error.is_some() => tracing::info!("GitPoller {url}: all is well again"),
                None => {}
            }
            status.last_error = trouble;
        });
    }
}

/// What the actor knows between two polls.
struct Poller {
    clone: LocalClone,
    progress: Option<Progress>,
    /// What the function given as `branches` said of a ref.
    chosen: BTreeMap<String, bool>,
}

impl Poller {
    fn new(desk: &Desk) -> Poller {
        Poller { clone: LocalClone::new(&desk.config, &desk.basedir), progress: None, chosen: BTreeMap::new() }
    }

    /// One look at the repository. `Ok(Some)` is something the operator should know although all else went well.
    async fn poll(&mut self, desk: &Desk) -> Result<Option<String>, PollError> {
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => desk.load().await?,
        };
        let remote = self.clone.remote_heads().await?;
        let mut wanted = BTreeMap::new();
        for (branch, head) in &remote {
            if self.wants(desk, branch).await? {
                wanted.insert(branch.clone(), head.clone());
            }
        }
        let heads = self.clone.fetch(&wanted).await?;
        self.finish(desk, &mut progress, &heads).await?;

        match &progress.heads {
            None => {
                tracing::info!("GitPoller {}: watching {} branches from now on", desk.config.shown_url, heads.len());
                progress.begin(&heads, remote.is_empty(), &desk.config.selection());
                desk.store(progress.puts(&desk.config.name)).await?;
            }
            Some(_) => self.follow(desk, &mut progress, &heads, remote.is_empty()).await?,
        }
        self.progress = Some(progress);
        Ok(missing(&desk.config, &remote))
    }

    async fn follow(
        &self,
        desk: &Desk,
        progress: &mut Progress,
        heads: &BTreeMap<String, String>,
        remote_is_empty: bool,
    ) -> Result<(), PollError> {
        let stored = progress.clone();
        progress.select(heads, &desk.config.selection());
        let before = progress.clone();
        progress.retire(heads, remote_is_empty);
        if *progress != stored {
            desk.store(progress.puts(&desk.config.name)).await?;
        }
        let moved = heads.iter().filter(|(branch, head)| before.head(branch) != Some(head.as_str()));
        for (branch, head) in moved {
            let Some(exclude) = self.exclude(desk, progress, &before, branch, head).await? else {
                progress.set(branch, head);
                desk.store(progress.puts(&desk.config.name)).await?;
                continue;
            };
            progress.batch = Some(Batch { branch: branch.clone(), exclude, target: head.clone() });
            progress.done = 0;
            desk.store(progress.batch_puts(&desk.config.name)).await?;
            self.finish(desk, progress, heads).await?;
        }
        Ok(())
    }

    /// Which commits are no news on a branch that is now at `head`; `None` if there is nothing to report at all.
    async fn exclude(
        &self,
        desk: &Desk,
        progress: &Progress,
        before: &Progress,
        branch: &str,
        head: &str,
    ) -> Result<Option<Vec<String>>, PollError> {
        let url = &desk.config.shown_url;
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
        let url = &desk.config.shown_url;
        if !self.clone.has_commit(&batch.target).await? {
            if heads.get(&batch.branch) == Some(&batch.target) {
                return Err(GitError::lost(&batch.target).into());
            }
            tracing::warn!("GitPoller {url}: {} is gone before all its commits were reported", batch.target);
            progress.batch = None;
            return Ok(desk.store(progress.batch_puts(&desk.config.name)).await?);
        }
        let commits = self.clone.commits(&batch.exclude, &batch.target).await?;
        let left = commits.get(progress.done..).unwrap_or_default();
        if !left.is_empty() {
            tracing::info!("GitPoller {url}: {} new commits on {}", left.len(), batch.branch);
        }
        for chunk in left.chunks(commits::CHUNK) {
            for commit in self.clone.read(chunk, desk.config.encoding).await? {
                progress.done += 1;
                let puts = if progress.done == commits.len() {
                    progress.end_batch(&batch);
                    [progress.puts(&desk.config.name), progress.batch_puts(&desk.config.name)].concat()
                } else {
                    progress.done_puts(&desk.config.name)
                };
                desk.send(desk.change(commit, &batch.branch).await?, puts).await?;
            }
        }
        if progress.batch.is_some() {
            // There was nothing to send.
            progress.end_batch(&batch);
            let puts = [progress.puts(&desk.config.name), progress.batch_puts(&desk.config.name)].concat();
            desk.store(puts).await?;
        }
        Ok(())
    }

    async fn wants(&mut self, desk: &Desk, branch: &str) -> Result<bool, PollError> {
        match &desk.config.branches {
            Branches::All => Ok(true),
            Branches::Named(names) => Ok(names.iter().any(|name| name == branch)),
            Branches::Chosen(function) => {
                if let Some(chosen) = self.chosen.get(branch) {
                    return Ok(*chosen);
                }
                let full = format!("refs/heads/{branch}");
                match function.call(vec![Arg::Json(full.into())]).await {
                    Ok(answer) => {
                        let chosen = !matches!(answer, Value::Null | Value::Bool(false));
                        self.chosen.insert(branch.to_owned(), chosen);
                        Ok(chosen)
                    }
                    Err(error) => {
                        tracing::error!("{error}; GitPoller: not watching {branch} for now");
                        Ok(false)
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

impl Desk {
    /// Where the last run got to. Goes through the writer, behind everything already on its way there.
    async fn load(&self) -> Result<Progress, PollError> {
        let _turn = self.shared.turn.lock().await;
        let name = self.config.name.clone();
        Ok(self.db.write(move |conn| Progress::load(conn, &name)).await?)
    }

    async fn store(&self, puts: Vec<state::Put>) -> Result<(), crate::db::DbError> {
        self.db.write(move |conn| puts.iter().try_for_each(|put| state::put(conn, put))).await
    }

    async fn change(&self, commit: Commit, branch: &str) -> Result<Change, PollError> {
        let mut change = Change {
            who: commit.author,
            files: commit.files,
            comments: commit.comments,
            revision: Some(commit.id),
            branch: Some(branch.to_owned()),
            when: if self.config.use_timestamps { Time::from_seconds(commit.seconds) } else { self.clock.now() },
            repository: self.config.shown_url.clone(),
            project: self.config.project.clone(),
            ..Change::default()
        };
        change.category = match &self.config.category {
            Category::None => None,
            Category::Fixed(category) => Some(category.clone()),
            Category::Function(function) => {
                let answer = function.call(vec![Arg::Object(change_object(&change))]).await;
                answer.map(category_of).unwrap_or_else(|error: CallbackError| {
                    tracing::error!("{error}; GitPoller: the change gets no category");
                    None
                })
            }
        };
        Ok(change)
    }

    /// Hands a change to the master, with how far this has read then.
    async fn send(&self, change: Change, puts: Vec<state::Put>) -> Result<(), PollError> {
        let turn = self.shared.turn.clone().lock_owned().await;
        let add = self.add.clone();
        let revision = change.revision.clone().unwrap_or_default();
        let order = AddChange { change, state: puts.clone() };
        // A task of its own: should the actor fall meanwhile, its successor waits for this answer before it reads.
        let answer = actix::spawn(async move {
            let answer = add.send(order).await;
            drop(turn);
            answer
        });
        match answer.await?? {
            Ok(_) => Ok(()),
            Err(Refused::NotNow(why)) => Err(PollError::NotNow(why)),
            Err(refused @ (Refused::NotFound(_) | Refused::Invalid(_))) => {
                tracing::error!(
                    "GitPoller {}: the master refuses commit {revision}: {refused}; leaving it out",
                    self.config.shown_url
                );
                Ok(self.store(puts).await?)
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
