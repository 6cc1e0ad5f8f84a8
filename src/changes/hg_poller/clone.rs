//! The poller's own copy of the repository, in its workdir.

use super::super::command::CommandError;
use super::Config;
use super::changesets::{self, Changeset};
use super::hg::Hg;
use std::path::{Path, PathBuf};

pub(super) struct Clone {
    hg: Hg,
    dir: PathBuf,
    branch: String,
    shown_url: String,
}

const MAKE: &str = "make its local copy";
const PULL: &str = "pull from it";
const READ: &str = "read its local copy";

/// A file in the `.hg` of copies that were made here. It names the repository.
const MARK: &str = "made-by-signalbox";

impl Clone {
    pub fn new(config: &Config, basedir: &Path) -> Clone {
        let dir = basedir.join(&config.workdir);
        Clone {
            hg: Hg::new(config, basedir, &dir),
            dir,
            branch: config.branch.clone(),
            shown_url: config.shown_url.clone(),
        }
    }

    /// Brings the branch up to date here. Answers whether there is such a branch.
    pub async fn pull(&self) -> Result<bool, CommandError> {
        self.make().await?;
        let mut result = self.try_pull().await;
        if result.as_ref().is_err_and(|error| says(error, "abandoned transaction")) {
            // hg was killed in the middle of a pull.
            result = match self.hg.here("tidy its local copy", &["recover"]).await {
                Ok(_) => self.try_pull().await,
                Err(error) => return Err(self.spare(error).await),
            };
        }
        match result {
            Err(error) if says(&error, "unknown branch") => Ok(false),
            Err(error) => Err(self.find_fault(error).await),
            Ok(_) => Ok(true),
        }
    }

    async fn try_pull(&self) -> Result<Vec<u8>, CommandError> {
        self.hg.outside(PULL, &["pull", "--quiet", &format!("--branch={}", self.branch), "signalbox"]).await
    }

    /// The open heads of the branch, or where it was closed. What the repository has no more does not count.
    pub async fn heads(&self) -> Result<Vec<String>, CommandError> {
        let branch = self.branch_set();
        let open = self.ids(&format!("head() and {branch} and not closed()")).await?;
        match open.len() {
            0 => self.ids(&format!("max({branch})")).await,
            1 => Ok(open),
            _ => {
                let there = format!("heads({branch} - outgoing(\"signalbox\")) and not closed()");
                let args = ["log", "--rev", &there, "--template", "{node}\\n"];
                Ok(lines(&self.hg.outside("list its heads", &args).await?))
            }
        }
    }

    /// The changesets of the branch that `head` has and `reported` have not, parents before children.
    pub async fn list(&self, reported: &[String], head: &str) -> Result<Vec<String>, CommandError> {
        let branch = self.branch_set();
        self.ids(&format!("sort((::{head} - ::({})) and {branch}, rev)", present(reported))).await
    }

    /// Those of these changesets that are here.
    pub async fn existing(&self, ids: &[String]) -> Result<Vec<String>, CommandError> {
        self.ids(&present(ids)).await
    }

    /// Those of these changesets that are no ancestors of `head`.
    pub async fn outside(&self, ids: &[String], head: &str) -> Result<Vec<String>, CommandError> {
        self.ids(&format!("({}) - ::{head}", present(ids))).await
    }

    pub async fn parents(&self, id: &str) -> Result<Vec<String>, CommandError> {
        self.ids(&format!("parents({id})")).await
    }

    pub async fn read(&self, ids: &[String]) -> Result<Vec<Changeset>, CommandError> {
        match changesets::read(&self.hg, ids).await {
            Err(error) => Err(self.spare(error).await),
            read => read,
        }
    }

    /// Deletes the local copy if it was made here, so that the next pull makes it anew.
    pub async fn discard(&self) {
        if self.made_for().await.is_none() {
            return;
        }
        tracing::warn!("{}: making this local copy of {} anew", self.dir.display(), self.shown_url);
        if let Err(error) = tokio::fs::remove_dir_all(self.dir.join(".hg")).await {
            tracing::error!("{}: cannot delete this broken copy: {error}", self.dir.display());
        }
    }

    async fn make(&self) -> Result<(), CommandError> {
        let place = self.dir.join(".hg");
        if place.exists() {
            return Ok(());
        }
        // Made aside and moved into its place: a poller of another branch may be about the same, or the master end.
        let aside = self.dir.join(format!(".making-{:016x}", rand::random::<u64>()));
        let prepare = |error| CommandError::io(MAKE, error);
        tokio::fs::create_dir_all(&self.dir).await.map_err(prepare)?;
        self.hg.anywhere(MAKE, &["init", "--", &aside.display().to_string()]).await?;
        tokio::fs::write(aside.join(".hg").join(MARK), &self.shown_url).await.map_err(prepare)?;
        let moved = tokio::fs::rename(aside.join(".hg"), &place).await;
        tokio::fs::remove_dir_all(&aside).await.map_err(prepare)?;
        if place.exists() { Ok(()) } else { moved.map_err(prepare) }
    }

    /// After a pull that failed: whether the local copy is at fault.
    async fn find_fault(&self, error: CommandError) -> CommandError {
        let CommandError::Failed { what, why, .. } = error else { return error };
        let unrelated = why.contains("unrelated");
        let damage = unrelated
            || self.hg.here(READ, &["identify", "--rev", "tip"]).await.is_err_and(|error| error.is_damage())
            || self.is_rotten(&why).await;
        let made_for = if unrelated { self.made_for().await } else { None };
        match made_for {
            Some(url) if url != self.shown_url => {
                let place = self.dir.display();
                let why = format!("{why}; {place} is the copy of {url}: give this poller a workdir of its own");
                CommandError::Failed { what, why, damage: false }
            }
            _ => self.spare(CommandError::Failed { what, why, damage }).await,
        }
    }

    /// A damaged copy that was not made here is not to be deleted either.
    async fn spare(&self, error: CommandError) -> CommandError {
        match error {
            CommandError::Failed { what, why, damage: true } if self.made_for().await.is_none() => {
                let place = self.dir.display();
                let why = format!("{why}; {place} was not made here: delete it, or give this poller another workdir");
                CommandError::Failed { what, why, damage: false }
            }
            other => other,
        }
    }

    /// The repository this copy was made of here.
    async fn made_for(&self) -> Option<String> {
        tokio::fs::read_to_string(self.dir.join(".hg").join(MARK)).await.ok()
    }

    /// Looks through the whole copy if a complaint sounds as if that were worth while.
    async fn is_rotten(&self, why: &str) -> bool {
        const SIGNS: [&str; 6] =
            ["integrity check", "no match found", "unknown parent", "no node", ".hg/store", "revlog"];
        SIGNS.iter().any(|sign| why.contains(sign))
            && self.hg.here(READ, &["verify", "--quiet"]).await.is_err_and(|error| error.is_damage())
    }

    async fn ids(&self, revset: &str) -> Result<Vec<String>, CommandError> {
        match self.hg.here(READ, &["log", "--rev", revset, "--template", "{node}\\n"]).await {
            Ok(said) => Ok(lines(&said)),
            Err(error) => Err(self.spare(error).await),
        }
    }

    fn branch_set(&self) -> String {
        format!("branch(\"literal:{}\")", self.branch.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn says(error: &CommandError, words: &str) -> bool {
    matches!(error, CommandError::Failed { why, .. } if why.contains(words))
}

/// Those of these that are here, as hg writes sets.
fn present(ids: &[String]) -> String {
    let each: Vec<String> = ids.iter().map(|id| format!("present({id})")).collect();
    if each.is_empty() { "none()".to_owned() } else { each.join(" + ") }
}

fn lines(said: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(said).lines().map(str::to_owned).collect()
}
