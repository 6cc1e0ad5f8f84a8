//! The guard: a tiny process beside Signalbox that kills the commands' groups should Signalbox die.
//!
//! It is a shell that reads from a pipe of which only Signalbox has the writing end: `+ 123` is written by a command
//! itself before it becomes its program, `- 123` by Signalbox when the group has been dealt with. The end of the pipe
//! means that Signalbox has gone, however it went; then every group still listed is killed. This catches what the
//! kernel's own signal on the parent's death does not reach: the children of the commands.

use super::system;
use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tracing::warn;

const SCRIPT: &str = r#"groups=" "
while read -r what group; do
  case $what in
  +) groups="$groups$group " ;;
  -) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"#;

struct Guard {
    process: Child,
    pipe: PipeWriter,
    /// Held open so that writing never meets a pipe without a reader, which would be a signal to the writer.
    _reader: PipeReader,
}

static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

/// Where a command writes its number; starts the guard if there is none, or none any more. `None` when that fails:
/// commands then run without one.
pub(super) fn post() -> Option<RawFd> {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    let alive = guard.as_mut().is_some_and(|guard| matches!(guard.process.try_wait(), Ok(None)));
    if !alive {
        *guard = Guard::start()
            .inspect_err(|cause| {
                warn!("cannot start the guard: {cause}; should Signalbox be killed now, children of its commands may live on");
            })
            .ok();
    }
    guard.as_ref().map(|guard| guard.pipe.as_raw_fd())
}

/// The group needs no guarding any more.
pub(super) fn dismiss(group: i32) {
    let guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(guard) = guard.as_ref() {
        // One write of a few bytes: it goes into the pipe whole or, were the guard stuck, not at all.
        let _ = (&guard.pipe).write(format!("- {group}\n").as_bytes());
    }
}

impl Guard {
    fn start() -> std::io::Result<Guard> {
        let (reader, pipe) = std::io::pipe()?;
        system::make_nonblocking(&pipe)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "signalbox-guard"]).current_dir("/").env_clear();
        command.stdin(reader.try_clone()?).stdout(Stdio::null()).stderr(Stdio::null());
        system::set_session(&mut command);
        Ok(Guard { process: command.spawn()?, pipe, _reader: reader })
    }
}
