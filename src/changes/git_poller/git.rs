//! Running git in a poller's local copy.

use super::super::command::{CommandError, Judgement, LOCAL_LIMIT, Program};
use super::super::source::hidden_of;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// git for one repository.
pub(super) struct Git {
    program: Program,
    git_dir: PathBuf,
    /// Without a password.
    pub shown_url: String,
}

/// What would make git look elsewhere than it is told to.
const UNWANTED: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
];

/// A commit is missing from the local copy that must be there.
pub(super) fn lost(id: &str) -> CommandError {
    CommandError::Failed { what: "read its local copy", why: format!("commit {id} is missing"), damage: true }
}

impl Git {
    pub fn new(bin: &str, basedir: &Path, git_dir: &Path, url: &str, shown_url: &str) -> Git {
        let program = Program {
            name: "git",
            package: "git",
            option: "gitbin",
            bin: bin.to_owned(),
            basedir: basedir.to_owned(),
            hidden: hidden_of(url),
            judge,
        };
        Git { program, git_dir: git_dir.to_owned(), shown_url: shown_url.to_owned() }
    }

    /// Runs a command that needs no local copy.
    pub async fn anywhere(&self, what: &'static str, args: &[&str], limit: Duration) -> Result<Vec<u8>, CommandError> {
        self.program.output(what, self.command().args(args), Vec::new(), limit).await
    }

    /// Runs a command in the local copy that goes to the far side.
    pub async fn inside(&self, what: &'static str, args: &[&str], limit: Duration) -> Result<Vec<u8>, CommandError> {
        // Tidying up that goes on in the background would escape the limit.
        let alone = ["-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false"];
        self.program.output(what, self.local().args(alone).args(args), Vec::new(), limit).await
    }

    /// Runs a command in the local copy.
    pub async fn here(&self, what: &'static str, args: &[&str]) -> Result<Vec<u8>, CommandError> {
        self.here_with(what, args, Vec::new()).await
    }

    /// The same with input.
    pub async fn here_with(&self, what: &'static str, args: &[&str], input: Vec<u8>) -> Result<Vec<u8>, CommandError> {
        self.program.output(what, self.local().args(args), input, LOCAL_LIMIT).await
    }

    /// The same, handing over its output record by record, each ended by a NUL and cut after `most` bytes.
    pub async fn records(
        &self,
        what: &'static str,
        args: &[&str],
        input: Vec<u8>,
        most: usize,
        on_record: impl FnMut(&[u8]),
    ) -> Result<(), CommandError> {
        self.program.records(what, self.local().args(args), input, most, on_record).await
    }

    fn local(&self) -> Command {
        let mut command = self.command();
        command.arg("--git-dir").arg(&self.git_dir);
        command
    }

    fn command(&self) -> Command {
        let mut command = self.program.command();
        for name in UNWANTED {
            command.env_remove(name);
        }
        // No questions: there is nobody to answer.
        command.env("GIT_TERMINAL_PROMPT", "0");
        if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
            command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oServerAliveInterval=30");
        }
        command.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"].map(OsStr::new));
        command
    }
}

fn judge(complaints: &str) -> Judgement {
    let said = |start| complaints.lines().find_map(|line: &str| line.strip_prefix(start));
    let last = || complaints.lines().rfind(|line| !line.trim().is_empty());
    let why = said("fatal: ").or_else(|| said("error: ")).or_else(last).unwrap_or_default();
    Judgement { why: why.to_owned(), damage: tells_of_damage(complaints) }
}

/// Whether git complains of the local copy rather than of the far side.
fn tells_of_damage(complaints: &str) -> bool {
    const SIGNS: [&str; 10] = [
        ".lock': File exists",
        "not a git repository: '",
        "is corrupt",
        "loose object",
        "bad object",
        "Could not read ",
        "Failed to traverse",
        "invalid sha1 pointer",
        "unable to read sha1 file",
        "bad config",
    ];
    SIGNS.iter().any(|sign| complaints.contains(sign))
}
