//! Running svn.

use super::super::command::{CommandError, Judgement, LOCAL_LIMIT, Program};
use super::super::source::{hidden_of, without_password};
use super::Config;
use super::xml::{self, Info, Revision};
use crate::config::Secret;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// svn for one repository.
pub(super) struct Svn {
    program: Program,
    url: String,
    user: Option<String>,
    password: Option<Secret>,
    extra_args: Vec<String>,
    limit: Duration,
    /// Whether it takes a password where no list of processes shows it.
    reads_password: OnceCell<bool>,
}

const LOOK: &str = "look at it";
const READ: &str = "read its revisions";

impl Svn {
    pub fn new(config: &Config, basedir: &Path) -> Svn {
        let program = Program {
            name: "svn",
            package: "Subversion",
            option: "svnbin",
            bin: config.svnbin.clone(),
            basedir: basedir.to_owned(),
            hidden: hidden_of(&config.svnurl),
            judge,
        };
        Svn {
            program,
            url: config.svnurl.trim_end_matches('/').to_owned(),
            user: config.svnuser.clone(),
            password: config.svnpasswd.clone(),
            extra_args: config.extra_args.clone(),
            limit: config.limit,
            reads_password: OnceCell::new(),
        }
    }

    pub async fn info(&self) -> Result<Info, CommandError> {
        // An "@" of its own at the end, so that one in the URL is not taken for a revision.
        let said = self.run(LOOK, "info", &[], &format!("{}@", self.url)).await?;
        let info = xml::info(&said).ok_or_else(|| unreadable(LOOK))?;
        Ok(Info { root: without_password(&info.root), ..info })
    }

    /// The revisions from one to another, the oldest first and at most so many.
    pub async fn log(&self, first: u64, newest: u64, most: u32) -> Result<Vec<Revision>, CommandError> {
        let (range, limit) = (format!("{first}:{newest}"), most.to_string());
        let args = ["--verbose", "--limit", &limit, "--revision", &range];
        let said = self.run(READ, "log", &args, &format!("{}@{newest}", self.url)).await?;
        xml::log(&said).ok_or_else(|| unreadable(READ))
    }

    async fn run(&self, what: &'static str, verb: &str, args: &[&str], url: &str) -> Result<Vec<u8>, CommandError> {
        let mut command = self.command();
        command.args([verb, "--xml", "--non-interactive"]).args(args);
        let mut input = Vec::new();
        if let Some(user) = &self.user {
            command.arg("--username").arg(user);
        }
        if let Some(password) = &self.password {
            command.arg("--no-auth-cache");
            if *self.reads_password.get_or_try_init(|| self.is_at_least_1_10(what)).await? {
                command.arg("--password-from-stdin");
                input = format!("{}\n", password.reveal()).into_bytes();
            } else {
                command.arg("--password").arg(password.reveal());
            }
        }
        command.args(&self.extra_args).arg(url);
        self.program.output(what, &mut command, input, self.limit).await
    }

    async fn is_at_least_1_10(&self, what: &'static str) -> Result<bool, CommandError> {
        let mut command = self.command();
        let version =
            self.program.output(what, command.args(["--version", "--quiet"]), Vec::new(), LOCAL_LIMIT).await?;
        Ok(reads_password(&String::from_utf8_lossy(&version)))
    }

    fn command(&self) -> Command {
        let mut command = self.program.command();
        // In the plain C locale it cannot handle names beyond ASCII.
        command.env("LC_ALL", "C.UTF-8");
        command
    }
}

/// `--password-from-stdin` came with 1.10.
fn reads_password(version: &str) -> bool {
    let mut numbers = version.trim().split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (1, 10)
}

fn unreadable(what: &'static str) -> CommandError {
    let why = "svn's answer is not the XML it should be; is svnbin right?".to_owned();
    CommandError::Failed { what, why, damage: false }
}

/// What svn says first is that it failed, and what it says last is why.
fn judge(complaints: &str) -> Judgement {
    let lines: Vec<&str> = complaints.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let missing = lines.iter().find(|line| line.starts_with("svn: warning: W170000: "));
    let last = missing.or_else(|| lines.iter().rfind(|line| line.starts_with("svn: E"))).or(lines.last());
    let mut why = last.map_or("", |line| without_code(line)).to_owned();
    const REFUSALS: [&str; 4] = ["E170001", "E215004", "E170013: Authentication", "W170001"];
    if REFUSALS.iter().any(|code| complaints.contains(code)) {
        why += "; are svnuser and svnpasswd right?";
    }
    Judgement { why, damage: false }
}

/// `No such revision 7` of `svn: E160006: No such revision 7`.
fn without_code(line: &str) -> &str {
    let line = line.strip_prefix("svn: ").unwrap_or(line);
    let line = line.strip_prefix("warning: ").unwrap_or(line);
    match line.split_once(": ") {
        Some((code, rest)) if code.starts_with(['E', 'W']) && code[1..].bytes().all(|byte| byte.is_ascii_digit()) => {
            rest
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_come_to_one_sentence() {
        let of = |complaints| judge(complaints).why;
        let refused = "svn: E170013: Unable to connect to a repository at URL 'svn://h/x'\n\
                       svn: E000111: Can't connect to host 'h': Connection refused\n";
        assert_eq!(of(refused), "Can't connect to host 'h': Connection refused");
        let missing = "svn: warning: W170000: URL 'file:///r/nope' non-existent in revision 3\n\n\
                       svn: E200009: Could not display info for all targets because some targets don't exist\n";
        assert_eq!(of(missing), "URL 'file:///r/nope' non-existent in revision 3");
        let password = "svn: E170013: Unable to connect to a repository at URL 'svn://h/x'\n\
                        svn: E170001: Password incorrect\n";
        assert_eq!(of(password), "Password incorrect; are svnuser and svnpasswd right?");
        assert_eq!(of("boo\n"), "boo");
        assert_eq!(of(""), "");
    }

    #[test]
    fn versions() {
        for (version, reads) in [("1.14.2\n", true), ("1.10.0", true), ("1.9.7", false), ("2.0", true), ("", false)] {
            assert_eq!(reads_password(version), reads, "{version}");
        }
    }
}
