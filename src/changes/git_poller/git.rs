//! Running git: with a time limit, in a session of its own, asking nobody anything.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// git for one repository.
pub(super) struct Git {
    bin: String,
    /// Relative URLs start here.
    basedir: PathBuf,
    git_dir: PathBuf,
    url: String,
    /// Without a password.
    pub shown_url: String,
}

/// Why a command failed, as a sentence that goes on after `GitPoller <url>:`.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    #[error("cannot {what}: cannot run \"{bin}\": {source}; is git installed, or gitbin right?")]
    NotRun { what: &'static str, bin: String, source: io::Error },
    #[error("cannot {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("cannot {what}: {why}")]
    Failed { what: &'static str, why: String, damage: bool },
    #[error("cannot {what}: git did not end within {limit:?}, so it was killed")]
    TooSlow { what: &'static str, limit: Duration },
    #[error("cannot {what}: git says more than {MOST_OUTPUT} bytes")]
    TooMuch { what: &'static str },
}

/// For commands that do not leave the machine.
const LOCAL_LIMIT: Duration = Duration::from_secs(300);
/// After SIGTERM, so that git can tidy up.
const GRACE: Duration = Duration::from_secs(2);
const MOST_OUTPUT: u64 = 256 * 1024 * 1024;
const MOST_COMPLAINTS: u64 = 64 * 1024;

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

impl GitError {
    pub fn io(what: &'static str, source: io::Error) -> GitError {
        GitError::Io { what, source }
    }

    /// A commit is missing from the local copy that must be there.
    pub fn lost(id: &str) -> GitError {
        GitError::Failed { what: "read its local copy", why: format!("commit {id} is missing"), damage: true }
    }

    /// Whether the local copy is at fault, and a new one would help.
    pub fn is_damage(&self) -> bool {
        matches!(self, GitError::Failed { damage: true, .. })
    }
}

impl Git {
    pub fn new(bin: &str, basedir: &Path, git_dir: &Path, url: &str, shown_url: &str) -> Git {
        Git {
            bin: bin.to_owned(),
            basedir: basedir.to_owned(),
            git_dir: git_dir.to_owned(),
            url: url.to_owned(),
            shown_url: shown_url.to_owned(),
        }
    }

    /// Runs a command that needs no local copy.
    pub async fn anywhere(&self, what: &'static str, args: &[&str], limit: Duration) -> Result<Vec<u8>, GitError> {
        self.output(what, self.command().args(args), Vec::new(), limit).await
    }

    /// Runs a command in the local copy that goes to the far side.
    pub async fn inside(&self, what: &'static str, args: &[&str], limit: Duration) -> Result<Vec<u8>, GitError> {
        // Tidying up that goes on in the background would escape the limit.
        let alone = ["-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false"];
        self.output(what, self.local().args(alone).args(args), Vec::new(), limit).await
    }

    /// Runs a command in the local copy.
    pub async fn here(&self, what: &'static str, args: &[&str]) -> Result<Vec<u8>, GitError> {
        self.here_with(what, args, Vec::new()).await
    }

    /// The same with input.
    pub async fn here_with(&self, what: &'static str, args: &[&str], input: Vec<u8>) -> Result<Vec<u8>, GitError> {
        self.output(what, self.local().args(args), input, LOCAL_LIMIT).await
    }

    /// The same, handing over its output record by record, each ended by a NUL and cut after `most` bytes.
    pub async fn records(
        &self,
        what: &'static str,
        args: &[&str],
        input: Vec<u8>,
        most: usize,
        mut on_record: impl FnMut(&[u8]),
    ) -> Result<(), GitError> {
        let mut command = self.local();
        self.run(what, command.args(args), input, LOCAL_LIMIT, async |stdout| {
            let mut stdout = BufReader::new(stdout);
            let mut record = Vec::new();
            loop {
                let ready = stdout.fill_buf().await?;
                if ready.is_empty() {
                    return Ok(true);
                }
                let end = ready.iter().position(|byte| *byte == 0);
                let piece = &ready[..end.unwrap_or(ready.len())];
                record.extend_from_slice(&piece[..piece.len().min(most.saturating_sub(record.len()))]);
                let used = piece.len() + usize::from(end.is_some());
                if end.is_some() {
                    on_record(&record);
                    record.clear();
                }
                stdout.consume(used);
            }
        })
        .await
    }

    fn local(&self) -> Command {
        let mut command = self.command();
        command.arg("--git-dir").arg(&self.git_dir);
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.bin);
        command.current_dir(&self.basedir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        for name in UNWANTED {
            command.env_remove(name);
        }
        // Its complaints in English, and no questions: there is nobody to answer.
        command.env("LC_ALL", "C").env_remove("LANGUAGE").env("GIT_TERMINAL_PROMPT", "0");
        if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
            command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oServerAliveInterval=30");
        }
        command.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"].map(OsStr::new));
        // SAFETY: setsid is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| if libc::setsid() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) });
        }
        command
    }

    async fn output(
        &self,
        what: &'static str,
        command: &mut Command,
        input: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, GitError> {
        let mut output = Vec::new();
        self.run(what, command, input, limit, async |stdout| {
            stdout.take(MOST_OUTPUT + 1).read_to_end(&mut output).await?;
            Ok(output.len() as u64 <= MOST_OUTPUT)
        })
        .await?;
        Ok(output)
    }

    /// `read` takes its whole output, and says whether it is as large as it may be.
    async fn run(
        &self,
        what: &'static str,
        command: &mut Command,
        input: Vec<u8>,
        limit: Duration,
        read: impl AsyncFnOnce(ChildStdout) -> io::Result<bool>,
    ) -> Result<(), GitError> {
        let child = command.spawn().map_err(|source| GitError::NotRun { what, bin: self.bin.clone(), source })?;
        let mut session = Session(child);
        let (stdin, stdout, stderr) = session.pipes();
        let talk = async {
            let write = async {
                let mut stdin = stdin;
                // A command that has read enough closes its end; how it ends says whether that was right.
                let _ = stdin.write_all(&input).await;
                drop(stdin);
                Ok(())
            };
            let mut complaints = Vec::new();
            let complain = async {
                let mut stderr = stderr;
                (&mut stderr).take(MOST_COMPLAINTS).read_to_end(&mut complaints).await?;
                tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await
            };
            let (fits, (), _) = tokio::try_join!(read(stdout), write, complain)?;
            let status = if fits { Some(session.0.wait().await?) } else { None };
            Ok((status, complaints))
        };
        match tokio::time::timeout(limit, talk).await {
            Ok(Ok((Some(status), complaints))) => self.judge(what, status, &complaints),
            Ok(Ok((None, _))) => Err(GitError::TooMuch { what }),
            Ok(Err(source)) => Err(GitError::Io { what, source }),
            Err(_) => {
                session.end().await;
                Err(GitError::TooSlow { what, limit })
            }
        }
    }

    fn judge(&self, what: &'static str, status: ExitStatus, complaints: &[u8]) -> Result<(), GitError> {
        if status.success() {
            return Ok(());
        }
        let complaints = String::from_utf8_lossy(complaints).replace(&self.url, &self.shown_url);
        let said = |start| complaints.lines().find_map(|line: &str| line.strip_prefix(start));
        let last = || complaints.lines().rfind(|line| !line.trim().is_empty());
        let why = said("fatal: ").or_else(|| said("error: ")).or_else(last).unwrap_or_default();
        let why = if why.is_empty() { format!("git ended with {status}") } else { why.chars().take(300).collect() };
        Err(GitError::Failed { what, why, damage: tells_of_damage(&complaints) })
    }
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

/// A child that leads a session; what is left of that is killed when this is dropped.
struct Session(Child);

impl Session {
    fn pipes(&mut self) -> (ChildStdin, ChildStdout, ChildStderr) {
        let taken = (self.0.stdin.take(), self.0.stdout.take(), self.0.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = taken else {
            unreachable!("all three are piped and taken only here")
        };
        (stdin, stdout, stderr)
    }

    /// Asks all of it to end, then makes it.
    async fn end(mut self) {
        self.signal(libc::SIGTERM);
        let _ = tokio::time::timeout(GRACE, self.0.wait()).await;
    }

    fn signal(&self, signal: libc::c_int) {
        // Known until its end has been seen: only so long is the number surely its own.
        if let Some(group) = self.0.id().and_then(|id| libc::pid_t::try_from(id).ok()) {
            // SAFETY: kill only sends a signal, to the session our child leads.
            unsafe { libc::kill(-group, signal) };
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
    }
}
