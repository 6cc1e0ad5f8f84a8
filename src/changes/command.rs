//! Running the programs of version control: with a time limit, in a session of their own, asking nobody anything.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// A program as one poller runs it.
pub(super) struct Program {
    /// What people call it, `git`.
    pub name: &'static str,
    /// What to install to have it.
    pub package: &'static str,
    /// The option that says where it is, `gitbin`.
    pub option: &'static str,
    pub bin: String,
    /// It runs here: relative paths of the configuration start at the master's folder.
    pub basedir: PathBuf,
    /// What it may say that is not to be shown, each with what is shown instead.
    pub hidden: Vec<(String, String)>,
    /// What its complaints come to.
    pub judge: fn(&str) -> Judgement,
}

/// What the complaints of a program that failed come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Judgement {
    /// One line; empty if it did not say why.
    pub why: String,
    /// The local copy is at fault rather than the far side.
    pub damage: bool,
}

/// Why a command failed, as a sentence that goes on after `GitPoller <url>:`.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("cannot {what}: cannot run \"{bin}\": {source}; is {package} installed, or {option} right?")]
    NotRun { what: &'static str, package: &'static str, option: &'static str, bin: String, source: io::Error },
    #[error("cannot {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("cannot {what}: {why}")]
    Failed { what: &'static str, why: String, damage: bool },
    #[error("cannot {what}: {name} did not end within {limit:?}, so it was killed")]
    TooSlow { what: &'static str, name: &'static str, limit: Duration },
    #[error("cannot {what}: {name} says more than {MOST_OUTPUT} bytes")]
    TooMuch { what: &'static str, name: &'static str },
}

/// For commands that do not leave the machine.
pub(super) const LOCAL_LIMIT: Duration = Duration::from_secs(300);
/// After SIGTERM, so that the program can tidy up.
const GRACE: Duration = Duration::from_secs(2);
const MOST_OUTPUT: u64 = 256 * 1024 * 1024;
const MOST_COMPLAINTS: u64 = 64 * 1024;
/// How many letters of a complaint are shown.
const MOST_SAID: usize = 300;

impl CommandError {
    pub fn io(what: &'static str, source: io::Error) -> CommandError {
        CommandError::Io { what, source }
    }

    /// Whether the local copy is at fault, and a new one would help.
    pub fn is_damage(&self) -> bool {
        matches!(self, CommandError::Failed { damage: true, .. })
    }
}

impl Program {
    /// The command without arguments, ready to be run by [`Program::output`] or [`Program::records`].
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.bin);
        command.current_dir(&self.basedir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        // Its complaints in English.
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        // SAFETY: setsid is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| if libc::setsid() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) });
        }
        command
    }

    /// Runs a command, and answers with all it says.
    pub async fn output(
        &self,
        what: &'static str,
        command: &mut Command,
        input: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, CommandError> {
        let mut output = Vec::new();
        self.run(what, command, input, limit, async |stdout| {
            stdout.take(MOST_OUTPUT + 1).read_to_end(&mut output).await?;
            Ok(output.len() as u64 <= MOST_OUTPUT)
        })
        .await?;
        Ok(output)
    }

    /// The same, handing over its output record by record, each ended by a NUL and cut after `most` bytes.
    pub async fn records(
        &self,
        what: &'static str,
        command: &mut Command,
        input: Vec<u8>,
        most: usize,
        mut on_record: impl FnMut(&[u8]),
    ) -> Result<(), CommandError> {
        self.run(what, command, input, LOCAL_LIMIT, async |stdout| {
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

    /// `read` takes its whole output, and says whether it is as large as it may be.
    async fn run(
        &self,
        what: &'static str,
        command: &mut Command,
        input: Vec<u8>,
        limit: Duration,
        read: impl AsyncFnOnce(ChildStdout) -> io::Result<bool>,
    ) -> Result<(), CommandError> {
        let name = self.name;
        let child = command.spawn().map_err(|source| CommandError::NotRun {
            what,
            package: self.package,
            option: self.option,
            bin: self.bin.clone(),
            source,
        })?;
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
            Ok(Ok((Some(status), complaints))) => self.verdict(what, status, &complaints),
            Ok(Ok((None, _))) => Err(CommandError::TooMuch { what, name }),
            Ok(Err(source)) => Err(CommandError::Io { what, source }),
            Err(_) => {
                session.end().await;
                Err(CommandError::TooSlow { what, name, limit })
            }
        }
    }

    fn verdict(&self, what: &'static str, status: ExitStatus, complaints: &[u8]) -> Result<(), CommandError> {
        if status.success() {
            return Ok(());
        }
        let mut complaints = String::from_utf8_lossy(complaints).into_owned();
        for (hidden, shown) in self.hidden.iter().filter(|(hidden, _)| !hidden.is_empty()) {
            complaints = complaints.replace(hidden, shown);
        }
        let Judgement { mut why, damage } = (self.judge)(&complaints);
        if why.is_empty() {
            why = format!("{} ended with {status}", self.name);
        }
        Err(CommandError::Failed { what, why: why.chars().take(MOST_SAID).collect(), damage })
    }
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
