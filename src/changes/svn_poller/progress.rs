//! How far a poller has read: what it stores, and 0.8's file of the same.

use super::super::polling::{object, put};
use super::xml::Info;
use crate::db::{Conn, DbError, state};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub uuid: String,
    pub root: String,
    /// The last revision that has been reported, or needed not be.
    pub last: u64,
    /// A later revision, and how many of its changes have been reported.
    pub part: Option<(u64, usize)>,
}

const KEY: &str = "svn";

impl Progress {
    pub fn at(info: &Info, last: u64) -> Progress {
        Progress { uuid: info.uuid.clone(), root: info.root.clone(), last, part: None }
    }

    /// `None` before the first look.
    pub fn load(conn: &mut Conn, poller: &str) -> Result<Option<Progress>, DbError> {
        let stored = state::get(conn, &object(poller), KEY)?;
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()))
    }

    pub fn puts(&self, poller: &str) -> Vec<state::Put> {
        vec![put(poller, KEY, json!(self))]
    }

    /// How many changes of a revision have been reported.
    pub fn sent_of(&self, revision: u64) -> usize {
        self.part.filter(|(number, _)| *number == revision).map_or(0, |(_, sent)| sent)
    }

    pub fn finish(&mut self, revision: u64) {
        self.last = revision;
        self.part = None;
    }
}

/// The file at `cachepath`, which holds the last revision. It is read where nothing else is known, and kept for those
/// who may want to go back to 0.8.
pub(super) struct Cache {
    path: PathBuf,
    written: Option<u64>,
}

impl Cache {
    pub fn new(path: PathBuf) -> Cache {
        Cache { path, written: None }
    }

    pub async fn read(&self) -> Option<u64> {
        match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => {
                let last = text.trim().parse().ok();
                if last.is_none() {
                    tracing::warn!("{}: holds no number of a revision; not using this cachepath", self.path.display());
                }
                last
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("{}: cannot read this cachepath: {error}; going on without", self.path.display());
                None
            }
        }
    }

    /// Fails with a sentence.
    pub async fn write(&mut self, last: u64) -> Result<(), String> {
        if self.written == Some(last) {
            return Ok(());
        }
        let path = &self.path;
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let written = async {
            tokio::fs::write(&beside, last.to_string()).await?;
            tokio::fs::rename(&beside, path).await
        };
        let failed = |error| format!("cannot write the cachepath {}: {error}; nothing else is wrong", path.display());
        written.await.map_err(failed)?;
        self.written = Some(last);
        Ok(())
    }
}
