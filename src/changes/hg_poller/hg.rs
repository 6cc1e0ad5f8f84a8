//! Running hg in a poller's local copy.

use super::super::command::{CommandError, Judgement, LOCAL_LIMIT, Program};
use super::super::source::hidden_of;
use super::{Config, access};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// hg for one repository and its local copy.
pub(super) struct Hg {
    program: Program,
    url: String,
    dir: PathBuf,
    encoding: Option<String>,
    limit: Duration,
}

impl Hg {
    pub fn new(config: &Config, basedir: &Path, dir: &Path) -> Hg {
        let is_path = url::Url::parse(&config.repourl).is_err();
        let url = if is_path { basedir.join(&config.repourl).display().to_string() } else { config.repourl.clone() };
        let program = Program {
            name: "hg",
            package: "Mercurial",
            option: "hgbin",
            bin: config.hgbin.clone(),
            basedir: basedir.to_owned(),
            hidden: hidden_of(&config.repourl),
            judge,
        };
        Hg { program, url, dir: dir.to_owned(), encoding: config.encoding.clone(), limit: config.limit }
    }

    /// Runs a command that needs no local copy.
    pub async fn anywhere(&self, what: &'static str, args: &[&str]) -> Result<Vec<u8>, CommandError> {
        self.program.output(what, self.command().args(args), Vec::new(), LOCAL_LIMIT).await
    }

    /// Runs a command in the local copy. One that fails shows that the copy is damaged, unless it is a matter of rights,
    /// space or the like.
    pub async fn here(&self, what: &'static str, args: &[&str]) -> Result<Vec<u8>, CommandError> {
        self.program.output(what, self.local().args(args), Vec::new(), LOCAL_LIMIT).await.map_err(blame_copy)
    }

    /// The same, handing over its output record by record, each ended by a NUL and cut after `most` bytes.
    pub async fn records(
        &self,
        what: &'static str,
        args: &[&str],
        most: usize,
        on_record: impl FnMut(&[u8]),
    ) -> Result<(), CommandError> {
        let mut command = self.local();
        self.program.records(what, command.args(args), Vec::new(), most, on_record).await.map_err(blame_copy)
    }

    /// Runs a command in the local copy that goes to the far side, which it names `signalbox`.
    pub async fn outside(&self, what: &'static str, args: &[&str]) -> Result<Vec<u8>, CommandError> {
        let settings = access::settings(&self.url).await;
        let mut command = self.local();
        command.env("HGRCPATH", "/dev/stdin").args(args);
        self.program.output(what, &mut command, settings.into_bytes(), self.limit).await
    }

    fn local(&self) -> Command {
        let mut command = self.command();
        command.arg("--repository").arg(&self.dir);
        if let Some(encoding) = &self.encoding {
            command.arg(format!("--config=ui.fallbackencoding={encoding}"));
        }
        command
    }

    fn command(&self) -> Command {
        let mut command = self.program.command();
        // Plain output, no questions, and nothing of what people have set up for themselves.
        command.env("HGPLAIN", "1").env("HGRCPATH", "").env("HGRCSKIPREPO", "1");
        command.env("HGENCODING", "utf-8").env("HGENCODINGMODE", "replace");
        command.arg("--noninteractive");
        command
    }
}

fn blame_copy(error: CommandError) -> CommandError {
    const INNOCENT: [&str; 5] =
        ["ermission denied", "No space left", "timed out waiting for lock", "annot allocate", "unknown encoding"];
    match error {
        CommandError::Failed { what, why, .. } => {
            let damage = !INNOCENT.iter().any(|sign| why.contains(sign));
            CommandError::Failed { what, why, damage }
        }
        other => other,
    }
}

/// The last thing hg says is why it failed; what the far side said may say more.
fn judge(complaints: &str) -> Judgement {
    let lines = || complaints.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('('));
    let aborted = lines().find_map(|line| line.strip_prefix("abort: "));
    let why = aborted.or_else(|| lines().next_back()).unwrap_or_default().trim_end_matches('!');
    let remote = lines().filter_map(|line| line.strip_prefix("remote: ")).next_back();
    let mut why = match remote {
        Some(remote) => format!("{why}: {remote}"),
        None => why.to_owned(),
    };
    if why.contains("authorization") {
        why += "; are user and password in repourl, or in the hgrc of the user who runs this, right?";
    }
    Judgement { why, damage: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_come_to_one_sentence() {
        let of = |complaints| judge(complaints).why;
        assert_eq!(of("abort: repository /x not found\n"), "repository /x not found");
        assert_eq!(of("abort: unknown branch 'x'!\n(see help)\n"), "unknown branch 'x'");
        let ssh = "remote: ssh: Could not resolve hostname h\nabort: no suitable response from remote hg\n";
        assert_eq!(of(ssh), "no suitable response from remote hg: ssh: Could not resolve hostname h");
        assert_eq!(of("Traceback:\nIndexError: boo\n"), "IndexError: boo");
        assert_eq!(of(""), "");
    }
}
