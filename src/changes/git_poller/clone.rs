//! The poller's own copy of the repository, a bare one below its workdir.
//!
//! It holds the heads that were looked at as `refs/signalbox/…` and nothing else; it may be deleted at any time, and is
//! deleted by the poller itself when it turns out to be broken.

use super::super::command::CommandError;
use super::Config;
use super::commits::{self, Commit, Listed};
use super::git::Git;
use encoding_rs::Encoding;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) struct Clone {
    git: Git,
    url: String,
    dir: PathBuf,
}

/// Where heads are kept.
const REFS: &str = "refs/signalbox/";
/// How many branches are fetched by one command.
const FETCH_CHUNK: usize = 200;
const LIST_LIMIT: Duration = Duration::from_secs(120);
const FETCH_LIMIT: Duration = Duration::from_secs(30 * 60);

impl Clone {
    pub fn new(config: &Config, basedir: &Path) -> Clone {
        let dir = basedir.join(&config.workdir).join(folder_name(&config.name));
        let git = Git::new(&config.gitbin, basedir, &dir, &config.repourl, &config.shown_url);
        Clone { git, url: config.repourl.clone(), dir }
    }

    /// Every branch of the repository with its head.
    pub async fn remote_heads(&self) -> Result<BTreeMap<String, String>, CommandError> {
        let args = ["ls-remote", "--heads", "--", &self.url];
        let listed = self.git.anywhere("list its branches", &args, LIST_LIMIT).await?;
        let text = String::from_utf8_lossy(&listed);
        let branch = |line: &str| {
            let (head, full) = line.split_once('\t')?;
            let branch = full.strip_prefix("refs/heads/")?;
            is_branch_name(branch).then(|| (branch.to_owned(), head.to_owned()))
        };
        Ok(text.lines().filter_map(branch).collect())
    }

    /// Brings these branches up to date here. Answers with the heads that were really fetched, which may be newer.
    pub async fn fetch(&self, wanted: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, CommandError> {
        match self.try_fetch(wanted).await {
            Err(error) if error.is_damage() && self.dir.exists() => {
                tracing::warn!("{}: {error}; making this local copy anew", self.dir.display());
                tokio::fs::remove_dir_all(&self.dir)
                    .await
                    .map_err(|error| CommandError::io("delete its local copy", error))?;
                self.try_fetch(wanted).await
            }
            result => result,
        }
    }

    /// Deletes the local copy, so that the next fetch makes it anew.
    pub async fn discard(&self) {
        tracing::warn!("{}: making this local copy of {} anew", self.dir.display(), self.git.shown_url);
        if let Err(error) = tokio::fs::remove_dir_all(&self.dir).await {
            tracing::error!("{}: cannot delete this broken copy: {error}", self.dir.display());
        }
    }

    async fn try_fetch(&self, wanted: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, CommandError> {
        if !self.dir.join("HEAD").exists() {
            let prepare = |error| CommandError::io("make its local copy", error);
            tokio::fs::create_dir_all(&self.dir).await.map_err(prepare)?;
            self.git.here("make its local copy", &["init", "--quiet", "--bare"]).await?;
        }
        let kept = self.kept().await?;
        // A branch that is gone may stand in the way: a/b cannot be made while there is an a.
        let gone: String = kept
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .map(|name| format!("delete {REFS}{name}\n"))
            .collect();
        if !gone.is_empty() {
            self.git.here_with("tidy its local copy", &["update-ref", "--stdin"], gone.into_bytes()).await?;
        }
        let stale: Vec<&String> =
            wanted.iter().filter(|(name, head)| kept.get(*name) != Some(head)).map(|(name, _)| name).collect();
        for chunk in stale.chunks(FETCH_CHUNK) {
            let refspecs: Vec<String> = chunk.iter().map(|name| format!("+refs/heads/{name}:{REFS}{name}")).collect();
            let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--", &self.url];
            args.extend(refspecs.iter().map(String::as_str));
            self.git.inside("fetch from it", &args, FETCH_LIMIT).await?;
        }
        let mut kept = if stale.is_empty() { kept } else { self.kept().await? };
        kept.retain(|name, _| wanted.contains_key(name));
        Ok(kept)
    }

    async fn kept(&self) -> Result<BTreeMap<String, String>, CommandError> {
        let args = ["for-each-ref", "--format=%(objectname) %(refname)", REFS];
        let listed = self.git.here("read its local copy", &args).await?;
        let text = String::from_utf8_lossy(&listed);
        let kept = |line: &str| {
            let (head, full) = line.split_once(' ')?;
            Some((full.strip_prefix(REFS)?.to_owned(), head.to_owned()))
        };
        Ok(text.lines().filter_map(kept).collect())
    }

    pub async fn has_commit(&self, id: &str) -> Result<bool, CommandError> {
        Ok(!self.existing(vec![id.to_owned()]).await?.is_empty())
    }

    /// Those of these commits that are here.
    pub async fn existing(&self, ids: Vec<String>) -> Result<Vec<String>, CommandError> {
        let asked: String = ids.iter().map(|id| format!("{id}^{{commit}}\n")).collect();
        let answer =
            self.git.here_with("read its local copy", &["cat-file", "--batch-check"], asked.into_bytes()).await?;
        let text = String::from_utf8_lossy(&answer);
        let found = ids.iter().zip(text.lines()).filter(|(id, line)| line.starts_with(&format!("{id} commit")));
        let mut found: Vec<String> = found.map(|(id, _)| id.clone()).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub async fn parents(&self, id: &str) -> Result<Vec<String>, CommandError> {
        let listed = self.git.here("read its local copy", &["rev-list", "--parents", "-n", "1", id, "--"]).await?;
        Ok(String::from_utf8_lossy(&listed).split_whitespace().skip(1).map(str::to_owned).collect())
    }

    /// The commits that `target` has and `exclude` have not, parents before children.
    pub async fn commits(&self, exclude: &[String], target: &str) -> Result<Vec<Listed>, CommandError> {
        commits::list(&self.git, exclude, target).await
    }

    pub async fn read(&self, listed: &[Listed], encoding: &'static Encoding) -> Result<Vec<Commit>, CommandError> {
        commits::read(&self.git, listed, encoding).await
    }
}

/// A folder for each poller, that a person can tell from the others.
fn folder_name(poller: &str) -> String {
    let mut hasher = DefaultHasher::new();
    poller.hash(&mut hasher);
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' };
    let last: Vec<char> = poller.trim_end_matches(['/', '\\']).chars().rev().take(40).collect();
    let readable: String = last.into_iter().rev().map(plain).collect();
    format!("{}-{:08x}.git", readable.trim_start_matches(['.', '_', '-']), hasher.finish() as u32)
}

/// Whether git takes this as the name of a branch; what else a far side may send is not looked at.
pub(super) fn is_branch_name(name: &str) -> bool {
    let ugly = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
    let bad_part =
        |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock") || part.ends_with('.');
    !name.contains(ugly) && !name.contains("..") && !name.contains("@{") && !name.split('/').any(bad_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_readable_and_apart() {
        let one = folder_name("git@example.com:foobaz/myrepo.git");
        assert!(one.starts_with("git_example.com_foobaz_myrepo.git-"), "{one}");
        assert_ne!(one, folder_name("git@example.com:foobaz_myrepo.git"));
        assert!(!folder_name("../../etc").starts_with('.'));
    }

    #[test]
    fn branch_names() {
        for good in ["master", "feature/x", "r1.0", "ünïcode", "-x"] {
            assert!(is_branch_name(good), "{good}");
        }
        for bad in ["", "a b", "a:b", "*", "a..b", "/a", "a/", ".a", "a.lock", "x\n"] {
            assert!(!is_branch_name(bad), "{bad}");
        }
    }
}
