//! The means to kill a running command from outside its thread.

use super::system;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by the thread that watches a command and by whoever may end it.
pub(in crate::master) struct Control {
    state: Mutex<State>,
    /// Wakes the watching thread; a byte in it means: look at `state`.
    wake: Option<std::io::PipeWriter>,
    sigterm_time: Option<Duration>,
}

#[derive(Default)]
struct State {
    /// The process group, from the moment it exists until just before its leader is reaped: in between its number
    /// cannot mean another group.
    group: Option<i32>,
    /// What the log is to say; taken by the watching thread.
    said: Option<String>,
    /// When a SIGKILL is to follow a SIGTERM.
    kill_at: Option<Instant>,
    killing: bool,
    killed: bool,
}

impl Control {
    /// The reading end is for the watching thread.
    pub(super) fn new(sigterm_time: Option<Duration>) -> std::io::Result<(Arc<Control>, std::io::PipeReader)> {
        let (reader, wake) = std::io::pipe()?;
        system::make_nonblocking(&reader)?;
        system::make_nonblocking(&wake)?;
        Ok((Arc::new(Control { state: Mutex::default(), wake: Some(wake), sigterm_time }), reader))
    }

    /// Of a command that never was.
    pub(super) fn idle() -> Arc<Control> {
        Arc::new(Control { state: Mutex::default(), wake: None, sigterm_time: None })
    }

    /// Ends the command's whole group: with SIGTERM first where the step says so. A second call does not wait.
    pub fn kill(&self, why: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let again = state.killing;
        state.killing = true;
        match self.sigterm_time {
            Some(patience) if !again => {
                state.said =
                    Some(format!("{why}; ending it with SIGTERM, in {} s with SIGKILL", patience.as_secs_f64()));
                state.kill_at = Some(Instant::now() + patience);
                state.signal(libc::SIGTERM);
            }
            _ => {
                state.said = Some(format!("{why}; killing it with SIGKILL"));
                state.kill_now();
            }
        }
        self.wake();
    }

    /// Kills at once; nobody listens any more.
    pub fn abandon(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.killing = true;
        state.kill_now();
        self.wake();
    }

    fn wake(&self) {
        use std::io::Write;
        if let Some(mut wake) = self.wake.as_ref() {
            // A full pipe is one that wakes anyway.
            let _ = wake.write(&[1]);
        }
    }

    /// The group exists now. One that was to be killed before it existed is killed here.
    pub(super) fn born(&self, group: i32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.group = Some(group);
        if state.killing {
            state.kill_now();
        }
    }

    /// The group's number may soon mean another group.
    pub(super) fn gone(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).group = None;
    }

    /// Kills what is left of the group of a command that has ended.
    pub(super) fn sweep(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).signal(libc::SIGKILL);
    }

    /// Does what is due, and says what the log is to say.
    pub(super) fn look(&self, now: Instant) -> Look {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.kill_at.is_some_and(|at| at <= now) {
            state.kill_now();
        }
        Look { said: state.said.take(), kill_at: state.kill_at, killed: state.killed, killing: state.killing }
    }
}

pub(super) struct Look {
    pub said: Option<String>,
    pub kill_at: Option<Instant>,
    pub killed: bool,
    pub killing: bool,
}

impl State {
    fn kill_now(&mut self) {
        self.kill_at = None;
        self.killed = true;
        self.signal(libc::SIGKILL);
    }

    fn signal(&self, signal: i32) {
        if let Some(group) = self.group {
            system::signal_group(group, signal);
        }
    }
}
