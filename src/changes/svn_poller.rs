//! SVNPoller: every new revision of a Subversion repository becomes a change.
//!
//! ```python
//! c['change_source'] = changes.SVNPoller(svnurl="https://svn.example.org/svn/project", pollInterval=600,
//!                                        split_file=util.svn.split_file_branches)
//! ```
//!
//! The first look records which revision is the newest and makes no changes of those before it, or goes on from what
//! 0.8 left in `cachepath`. From then on:
//! * each revision becomes one change for every branch, project, codebase and repository that `split_file` finds in it;
//! * `histmax` revisions are read at a time, until there are no more: none is lost, however many have come;
//! * a branch that was deleted as a whole is no change, as there is nothing left of it to build;
//! * the time of a change is when it was noticed, as in 0.8;
//! * where `split_file` fails nothing is skipped: the revision waits until the function is mended.
//!
//! A repository with another UUID is another repository: it is watched from where it stands. One that only moved, or
//! went back for a while, is gone on with from the last revision reported.
//!
//! Not here: links for revisions of every source, which `c['revlink']` makes; `revlinktmpl` comes before it.

mod options;
mod progress;
mod split;
mod svn;
mod xml;

pub use super::poller_options::Category;
pub use options::{Config, KIND};

use super::polling::{self, About, Desk, Poll, PollError};
use super::source::Running;
use crate::master::{AddChange, Setup};
use crate::model::{Change, Vcs};
use crate::supervise::Group;
use actix::prelude::*;
use progress::{Cache, Progress};
use split::Piece;
use std::sync::Arc;
use svn::Svn;
use xml::{Info, Revision};

/// Starts a poller under `group`. `add` takes its changes: the master.
pub fn start(setup: &Setup, group: &Group, config: &Arc<Config>, add: Recipient<AddChange>) -> Running {
    let about = About {
        kind: "SVNPoller",
        vcs: Vcs::Svn,
        name: config.name.clone(),
        description: config.description(),
        shown_url: config.shown_url.clone(),
        place: config.place.clone(),
        poll_interval: config.poll_interval,
        poll_at_launch: config.poll_at_launch,
    };
    let (config, basedir) = (config.clone(), setup.basedir.clone());
    polling::start(setup, group, about, add, move || SvnPoller {
        svn: Svn::new(&config, &basedir),
        cache: config.cachepath.as_ref().map(|path| Cache::new(basedir.join(path))),
        config: config.clone(),
        progress: None,
    })
}

/// What is known between two looks.
struct SvnPoller {
    config: Arc<Config>,
    svn: Svn,
    cache: Option<Cache>,
    progress: Option<Progress>,
}

impl Poll for SvnPoller {
    async fn poll(&mut self, desk: &Desk) -> Result<Option<String>, PollError> {
        let stored = match self.progress.take() {
            Some(progress) => Some(progress),
            None => desk.load(Progress::load).await?,
        };
        let info = self.svn.info().await?;
        let (mut progress, trouble) = match &stored {
            None => (self.begin(&info).await, None),
            Some(progress) => resume(progress, &info),
        };
        if stored.as_ref() != Some(&progress) {
            desk.store(progress.puts(&self.config.name)).await?;
        }
        self.follow(desk, &mut progress, &info).await?;
        let unwritten = match &mut self.cache {
            Some(cache) => cache.write(progress.last).await.err(),
            None => None,
        };
        self.progress = Some(progress);
        Ok(trouble.or(unwritten))
    }
}

/// Where to go on from, and what is odd about that.
fn resume(stored: &Progress, info: &Info) -> (Progress, Option<String>) {
    let newest = info.newest;
    if stored.uuid != info.uuid {
        let trouble = format!(
            "this is another repository than before: its UUID is {}, not {}; watching it from its revision {newest} on",
            info.uuid, stored.uuid
        );
        return (Progress::at(info, newest), Some(trouble));
    }
    let last = stored.last;
    let moved = stored.root != info.root;
    let trouble = if newest < last {
        Some(format!(
            "its newest revision is {newest}, but {last} was reported before; waiting for the next one after that; \
             give this poller another name if the repository is to stay as it is"
        ))
    } else if moved {
        Some(format!("the repository has moved from {} to {}; going on after revision {last}", stored.root, info.root))
    } else {
        None
    };
    (Progress { root: info.root.clone(), ..stored.clone() }, trouble)
}

impl SvnPoller {
    async fn begin(&self, info: &Info) -> Progress {
        let url = &self.config.shown_url;
        let cached = match &self.cache {
            Some(cache) => cache.read().await.filter(|last| *last <= info.newest),
            None => None,
        };
        let last = cached.unwrap_or(info.newest);
        tracing::info!("SVNPoller {url}: watching it after revision {last}");
        Progress::at(info, last)
    }

    /// Reports the revisions after the last one, page by page.
    async fn follow(&self, desk: &Desk, progress: &mut Progress, info: &Info) -> Result<(), PollError> {
        while progress.last < info.newest {
            let mut page = self.svn.log(progress.last + 1, info.newest, self.config.histmax).await?;
            page.retain(|revision| revision.number > progress.last);
            page.sort_by_key(|revision| revision.number);
            let is_last = page.len() < self.config.histmax as usize;
            let before = progress.clone();
            for revision in &page {
                self.report(desk, progress, revision, info).await?;
            }
            if is_last {
                progress.last = info.newest;
            }
            if *progress != before {
                desk.store(progress.puts(&self.config.name)).await?;
            }
        }
        Ok(())
    }

    /// Sends the changes of one revision, those that have been sent before left out.
    async fn report(
        &self,
        desk: &Desk,
        progress: &mut Progress,
        revision: &Revision,
        info: &Info,
    ) -> Result<(), PollError> {
        let pieces = split::pieces(revision, &info.prefix, self.config.split_file.as_ref()).await?;
        let sent = progress.sent_of(revision.number);
        let count = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate().skip(sent) {
            if index + 1 == count {
                progress.finish(revision.number);
            } else {
                progress.part = Some((revision.number, index + 1));
            }
            let change = self.change(desk, revision, piece).await;
            desk.send(change, progress.puts(&self.config.name)).await?;
        }
        progress.finish(revision.number);
        Ok(())
    }

    async fn change(&self, desk: &Desk, revision: &Revision, piece: Piece) -> Change {
        let number = revision.number.to_string();
        let config = &self.config;
        let mut change = Change {
            who: revision.author.clone(),
            files: piece.files,
            comments: revision.comments.clone(),
            branch: piece.target.branch,
            when: desk.clock.now(),
            revlink: config.revlinktmpl.as_ref().map(|template| template.replace("%s", &number)),
            revision: Some(number),
            repository: piece.target.repository.unwrap_or_else(|| config.shown_url.clone()),
            codebase: piece.target.codebase.unwrap_or_default(),
            project: piece.target.project.unwrap_or_else(|| config.project.clone()),
            ..Change::default()
        };
        change.category = config.category.of(&change, "SVNPoller").await;
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(uuid: &str, root: &str, newest: u64) -> Info {
        Info { uuid: uuid.into(), root: root.into(), prefix: String::new(), newest }
    }

    #[test]
    fn where_to_go_on() {
        let stored = Progress::at(&info("one", "svn://a", 5), 5);
        assert_eq!(resume(&stored, &info("one", "svn://a", 9)), (stored.clone(), None));

        let (moved, trouble) = resume(&stored, &info("one", "svn://b", 9));
        let trouble = trouble.unwrap();
        assert_eq!((moved.last, moved.root.as_str()), (5, "svn://b"));
        assert_eq!(trouble, "the repository has moved from svn://a to svn://b; going on after revision 5");

        let (other, trouble) = resume(&stored, &info("two", "svn://a", 2));
        assert_eq!((other.last, other.uuid.as_str()), (2, "two"));
        assert!(trouble.unwrap().contains("its UUID is two, not one"));

        let (waiting, trouble) = resume(&stored, &info("one", "svn://a", 3));
        assert_eq!(waiting, stored);
        assert!(trouble.unwrap().contains("newest revision is 3, but 5 was reported"));
    }
}
