//! Commands to a running Signalbox: signals to the process named in its pid file.

use super::Failure;
use super::basedir::Basedir;
use crate::clock::Clock;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long `stop` waits: builds are interrupted and targets flushed within less.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How long `reconfig` waits for the running one to have read its file.
const RECONFIG_LIMIT: Duration = Duration::from_secs(30);

/// Ends the Signalbox running in `basedir` and waits until it has ended.
pub fn stop(basedir: &Path) -> Result<(), Failure> {
    let basedir = Basedir::open(basedir)?;
    let pid = running(&basedir)?;
    signal(pid, libc::SIGTERM);
    let ended = || basedir.running().map(|now| now != Some(pid));
    wait(pid, "ended", STOP_LIMIT, ended)
}

/// Has the Signalbox running in `basedir` read its master.cfg again; an error if it was refused.
pub fn reconfig(basedir: &Path) -> Result<(), Failure> {
    let basedir = Basedir::open(basedir)?;
    super::check_config(basedir.path())?;
    let pid = running(&basedir)?;
    let before = outcome(&basedir);
    signal(pid, libc::SIGHUP);
    wait(pid, "read its configuration", RECONFIG_LIMIT, || Ok(outcome(&basedir) != before))?;
    match outcome(&basedir) {
        Some(text) if text.starts_with("ok") => Ok(()),
        _ => Err(Failure::ReconfigRefused(basedir.path().to_owned())),
    }
}

/// Notes for who waits how a reconfig went, with a moment to tell it from the one before.
pub(super) fn note_outcome(basedir: &Path, good: bool) {
    let word = if good { "ok" } else { "refused" };
    let moment = Clock::system().now();
    // Put in place whole: whoever waits looks at it all the time.
    let (file, new) = (outcome_file(basedir), basedir.join("signalbox.reconfig.new"));
    let put = std::fs::write(&new, format!("{word} {moment}\n")).and_then(|()| std::fs::rename(&new, file));
    if let Err(error) = put {
        tracing::warn!("cannot say how the reconfig went: {error}; `signalbox reconfig` will wait in vain");
    }
}

fn outcome_file(basedir: &Path) -> PathBuf {
    basedir.join("signalbox.reconfig")
}

fn outcome(basedir: &Basedir) -> Option<String> {
    std::fs::read_to_string(outcome_file(basedir.path())).ok()
}

fn running(basedir: &Basedir) -> Result<i32, Failure> {
    basedir.running()?.ok_or_else(|| Failure::NotRunning(basedir.path().to_owned()))
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: kill only takes numbers; a process that is gone is an error we need not tell apart, as the wait shows it.
    unsafe { libc::kill(pid, signal) };
}

fn wait(
    pid: i32,
    what: &'static str,
    limit: Duration,
    done: impl Fn() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if done()? {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    Err(Failure::TooSlow { pid, what, seconds: limit.as_secs() })
}
