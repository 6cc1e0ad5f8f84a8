//! What a worker is asked to do and what it says back: one interface for every kind of worker.
//!
//! A [`Session`] is a worker that is there now. It is given [`Work`] and answers with [`Running`]: a stream of
//! [`Output`] whose last item says how the work ended. The stream is bounded, so that a command which prints faster
//! than the database stores is slowed down instead of filling the memory.
//!
//! A worker that connects from elsewhere (`reference/worker-msgpack.md`) is one more variant of [`Session`] and of
//! [`Killer`]; nothing outside this file and `workers.rs` would notice.

use super::local_worker::{Control, LocalWorker, Run};
use crate::model::{Channel, Segment};
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many pieces of output wait for the database; each has at most 64 KiB.
pub(super) const OUTPUT_QUEUE: usize = 16;

/// A worker that is there now. Cheap to clone.
#[derive(Clone)]
pub(super) enum Session {
    Local {
        addr: Addr<LocalWorker>,
        /// Everything the worker does happens below this.
        directory: String,
    },
}

/// One thing to be done in one directory of a worker. Paths are absolute, or relative to the worker's directory.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Command(CommandLine),
    /// A file or a whole directory; nothing there is fine.
    Remove(String),
    /// Replaces `to` by a copy of `from`, with times and links kept.
    Copy {
        from: String,
        to: String,
    },
    /// Ends with status 0 when there is something at the path, with 1 when not.
    Exists(String),
}

/// A command with all that belongs to it.
#[derive(Clone, Debug)]
pub(super) struct CommandLine {
    pub program: Program,
    /// Made when it is not there.
    pub directory: String,
    /// On top of the worker's own environment, later entries over earlier ones.
    pub environment: Vec<(String, Variable)>,
    pub want_stdout: bool,
    pub want_stderr: bool,
    pub log_environ: bool,
    /// Killed after this long without output.
    pub timeout: Option<Duration>,
    /// Killed after this long in all.
    pub max_time: Option<Duration>,
    /// How long after SIGTERM the SIGKILL follows; none means SIGKILL at once.
    pub sigterm_time: Option<Duration>,
    pub stdin: Option<Vec<u8>>,
    /// Reported as [`Output::File`] under their place in this list.
    pub files: Vec<WatchedFile>,
}

#[derive(Clone, Debug)]
pub(super) enum Program {
    /// Run as it is; never empty.
    Arguments(Vec<String>),
    /// Run by `/bin/sh -c`.
    Line(String),
}

/// What becomes of one variable of the environment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Variable {
    /// `${NAME}` stands for the worker's own variable, or for nothing.
    Text(String),
    /// Joined as `PATH` is.
    List(Vec<String>),
    Removed,
}

#[derive(Clone, Debug)]
pub(super) struct WatchedFile {
    /// Below the command's directory, or absolute.
    pub path: String,
    /// What is in it when the command starts is not of interest.
    pub follow: bool,
}

#[derive(Debug)]
pub(super) enum Output {
    Text(Segment),
    /// New text of one of the watched files.
    File {
        index: usize,
        bytes: Vec<u8>,
    },
    /// The last item.
    Ended(Ended),
}

/// How a piece of work ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ended {
    Exit(i32),
    Signal(i32),
    /// It never ran; the log says why.
    NotStarted,
    /// The worker went away.
    Lost,
}

impl Ended {
    /// The exit status as `decodeRC` and callbacks know it: −1 where a signal ended it.
    pub fn status(&self) -> i32 {
        match self {
            Ended::Exit(status) => *status,
            Ended::Signal(_) | Ended::NotStarted | Ended::Lost => -1,
        }
    }

    pub fn is_success(&self) -> bool {
        *self == Ended::Exit(0)
    }
}

/// A piece of work under way. Dropping it ends the work.
pub(super) struct Running {
    pub output: mpsc::Receiver<Output>,
    pub killer: Killer,
}

/// The means to end a piece of work before its time.
pub(super) enum Killer {
    Local(Arc<Control>),
    /// There is nothing to end.
    Nobody,
}

impl Killer {
    /// `why` goes into the log. The stream goes on until the work has really ended.
    pub fn kill(&self, why: &str) {
        match self {
            Killer::Local(control) => control.kill(why),
            Killer::Nobody => {}
        }
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        match self {
            Killer::Local(control) => control.abandon(),
            Killer::Nobody => {}
        }
    }
}

impl Session {
    /// Where this builder works on this worker: the property `builddir`.
    pub fn builddir(&self, workerbuilddir: &str) -> String {
        match self {
            Session::Local { directory, .. } => join(directory, workerbuilddir),
        }
    }

    pub async fn start(&self, work: Work) -> Running {
        match self {
            Session::Local { addr, .. } => match addr.send(Run(work)).await {
                Ok(running) => running,
                Err(error) => Running::lost(&format!("the local worker did not take the command: {error}")),
            },
        }
    }
}

impl Running {
    /// Work that could not even be handed over.
    fn lost(why: &str) -> Running {
        let (send, output) = mpsc::channel(2);
        let text = Segment { channel: Channel::Header, bytes: format!("{why}\n").into_bytes() };
        for item in [Output::Text(text), Output::Ended(Ended::Lost)] {
            send.try_send(item).expect("the channel was made with room for both");
        }
        Running { output, killer: Killer::Nobody }
    }
}

/// `path` below `directory`, unless it is absolute.
pub(super) fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    if path.is_empty() || path == "." { directory.to_owned() } else { format!("{directory}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_stays_where_it_is() {
        assert_eq!(join("/w/linux", "build"), "/w/linux/build");
        assert_eq!(join("/w/linux", "/tmp/x"), "/tmp/x");
        assert_eq!(join("/w/linux", "."), "/w/linux");
        assert_eq!(join("/w/linux", "./src"), "/w/linux/src");
    }
}
