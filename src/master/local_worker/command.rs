//! One command: started, watched and reaped by a thread of its own.
//!
//! The thread lives as long as the command, because the kernel ties the command's life to it. It reads the pipes and
//! hands the text on through a bounded queue; when that is full it waits, and so, soon, does the command.

use super::control::Control;
use super::files::Watch;
use super::system::{self, Exit, Interest};
use super::{end, environment, guard};
use crate::master::worker::{CommandLine, Ended, Output, Program};
use crate::model::{Channel, Segment};
use std::collections::BTreeMap;
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::warn;

/// The most that is read from a pipe at once.
const READ: usize = 64 * 1024;

/// How often watched files are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How long output of a command that has ended may still come, from processes that left its group.
const LINGER: Duration = Duration::from_secs(1);

/// How long a killed command may take to die before it is given up.
const DYING: Duration = Duration::from_secs(10);

/// How often to look whether the command has ended, where the system cannot say so by itself.
const GLANCE: Duration = Duration::from_millis(20);

/// Starts the command; everything else comes through `output`.
pub(super) fn start(line: CommandLine, output: mpsc::Sender<Output>) -> Arc<Control> {
    let (control, wake) = match Control::new(line.sigterm_time) {
        Ok(made) => made,
        Err(cause) => return refuse(output, &format!("cannot make a pipe: {cause}")),
    };
    let (watched, failed) = (control.clone(), output.clone());
    let thread = std::thread::Builder::new().name("command".to_owned());
    let started = thread.spawn(move || Watcher { line, output, control: watched, wake }.run());
    match started {
        Ok(_) => control,
        Err(cause) => refuse(failed, &format!("cannot start a thread: {cause}")),
    }
}

/// Says why there is no command at all. The queue is new and has room.
fn refuse(output: mpsc::Sender<Output>, why: &str) -> Arc<Control> {
    let text =
        Segment { channel: Channel::Header, bytes: format!("The command was not started: {why}\n").into_bytes() };
    let _ = output.try_send(Output::Text(text));
    let _ = output.try_send(Output::Ended(Ended::NotStarted));
    Control::idle()
}

struct Watcher {
    line: CommandLine,
    output: mpsc::Sender<Output>,
    control: Arc<Control>,
    wake: PipeReader,
}

/// The listener has gone: the command is to be killed and forgotten.
struct Unheard;

impl Watcher {
    fn run(self) {
        let ended = match self.run_to_end() {
            Ok(ended) => ended,
            Err(Unheard) => return,
        };
        end(&self.output, ended);
    }

    fn run_to_end(&self) -> Result<Ended, Unheard> {
        let mut variables = environment::compose(&environment::own(), &self.line.environment);
        variables.insert("PWD".to_owned(), self.line.directory.clone());
        self.say(&self.headline(&variables))?;
        // Before the command can touch them.
        let files = self.line.files.iter().map(|file| Watch::new(Path::new(&self.line.directory), file)).collect();
        let started = Instant::now();
        let (mut child, pid) = match self.spawn(&variables) {
            Ok(spawned) => spawned,
            Err(why) => {
                self.say(&format!("The command was not started: {why}\n"))?;
                return Ok(Ended::NotStarted);
            }
        };
        self.control.born(pid);
        let mut pipes = Pipes::new(&mut child, self.line.stdin.as_deref(), files);
        let watched = self.watch(pid, &mut pipes, started);
        // Whatever happened, nothing of the group may live on, and its leader must be reaped before its number is.
        self.control.sweep();
        let last = match &watched {
            Ok(Some(_)) => self.drain(&mut pipes),
            Ok(None) | Err(Unheard) => Ok(()),
        };
        if let Ok(None) = watched {
            self.say("The command does not die; it is left behind.\n")?;
            end(&self.output, Ended::Signal(libc::SIGKILL));
        }
        if matches!(watched, Err(Unheard)) {
            drop(pipes);
        }
        self.reap(&mut child, pid);
        last?;
        let Some(exit) = watched? else { return Err(Unheard) };
        let took = started.elapsed().as_secs_f64();
        Ok(match exit {
            Exit::Status(status) => {
                self.say(&format!("ended with exit code {status} after {took:.3} s\n"))?;
                Ended::Exit(status)
            }
            Exit::Signal(signal) => {
                self.say(&format!("killed by signal {} after {took:.3} s\n", signal_name(signal)))?;
                Ended::Signal(signal)
            }
        })
    }

    /// Reads, writes and keeps the time until the command has ended. `None` when it will not die.
    fn watch(&self, pid: i32, pipes: &mut Pipes, started: Instant) -> Result<Option<Exit>, Unheard> {
        let exit = system::exit_descriptor(pid);
        let mut last_output = started;
        let mut last_look = started;
        let mut dead_by = None;
        loop {
            // In this order, so that what killed it is said.
            let ended = system::has_ended(pid);
            let now = Instant::now();
            let look = self.control.look(now);
            if let Some(said) = look.said {
                self.say(&format!("\n{said}\n"))?;
            }
            if let Some(exit) = ended {
                return Ok(Some(exit));
            }
            if look.killed {
                let by = *dead_by.get_or_insert(now + DYING);
                if now >= by {
                    return Ok(None);
                }
            } else if !look.killing {
                self.check_time(now, started, last_output);
            }
            let silent = self.line.timeout.map(|limit| last_output + limit);
            let all = self.line.max_time.map(|limit| started + limit);
            let next_look = (!pipes.files.is_empty()).then(|| last_look + LOOK);
            let glance = exit.is_none().then(|| now + GLANCE);
            let limits = [silent, all, look.kill_at, dead_by, next_look, glance];
            let limit = limits.into_iter().flatten().min().map_or(Duration::from_secs(60), |at| at.duration_since(now));
            if pipes.wait(&self.wake, exit.as_ref(), limit) {
                self.clear_wake();
            }
            if self.move_text(pipes)? {
                last_output = Instant::now();
            }
            if !pipes.files.is_empty() && last_look.elapsed() >= LOOK {
                last_look = Instant::now();
                if self.read_files(pipes)? {
                    last_output = last_look;
                }
            }
        }
    }

    fn check_time(&self, now: Instant, started: Instant, last_output: Instant) {
        if let Some(limit) = self.line.max_time.filter(|limit| now.duration_since(started) >= *limit) {
            self.control.kill(&format!("longer than {} s in all", limit.as_secs_f64()));
        } else if let Some(limit) = self.line.timeout.filter(|limit| now.duration_since(last_output) >= *limit) {
            self.control.kill(&format!("no output for {} s", limit.as_secs_f64()));
        }
    }

    /// What is still in the pipes when the command has ended and its group is dead.
    fn drain(&self, pipes: &mut Pipes) -> Result<(), Unheard> {
        let until = Instant::now() + LINGER;
        pipes.stdin = None;
        while pipes.is_open() && Instant::now() < until {
            pipes.wait(&self.wake, None, until.duration_since(Instant::now()));
            self.clear_wake();
            self.move_text(pipes)?;
        }
        while self.read_files(pipes)? {}
        Ok(())
    }

    /// Whether any text came.
    fn move_text(&self, pipes: &mut Pipes) -> Result<bool, Unheard> {
        pipes.feed_stdin();
        let mut any = false;
        for channel in [Channel::Stdout, Channel::Stderr] {
            let wanted = match channel {
                Channel::Stdout => self.line.want_stdout,
                Channel::Stderr | Channel::Header => self.line.want_stderr,
            };
            if let Some(bytes) = pipes.read(channel) {
                any = true;
                if wanted {
                    self.send(Output::Text(Segment { channel, bytes }))?;
                }
            }
        }
        Ok(any)
    }

    fn read_files(&self, pipes: &mut Pipes) -> Result<bool, Unheard> {
        let mut any = false;
        for (index, file) in pipes.files.iter_mut().enumerate() {
            let bytes = file.read();
            if !bytes.is_empty() {
                any = true;
                self.send(Output::File { index, bytes })?;
            }
        }
        Ok(any)
    }

    fn clear_wake(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(read) if read > 0) {}
    }

    fn reap(&self, child: &mut Child, pid: i32) {
        if system::has_ended(pid).is_none() {
            // It does not die, or nobody listens: wait for as long as it takes, holding nothing up.
            self.control.sweep();
        }
        loop {
            // The leader's number is given back only by `wait`; until then the group can be named safely.
            if system::has_ended(pid).is_some() {
                self.control.sweep();
                self.control.gone();
                break;
            }
            std::thread::sleep(GLANCE);
        }
        if let Err(cause) = child.wait() {
            warn!("cannot reap process {pid}: {cause}");
        }
        guard::dismiss(pid);
    }

    fn spawn(&self, variables: &BTreeMap<String, String>) -> Result<(Child, i32), String> {
        let directory = &self.line.directory;
        std::fs::create_dir_all(directory).map_err(|cause| format!("cannot make {directory}: {cause}"))?;
        let (mut command, name) = match &self.line.program {
            Program::Arguments(words) => {
                let [name, arguments @ ..] = words.as_slice() else { return Err("it is empty".to_owned()) };
                let mut command = Command::new(name);
                command.args(arguments);
                (command, name.clone())
            }
            Program::Line(line) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", line]);
                (command, "/bin/sh".to_owned())
            }
        };
        // What is not UTF-8 is not shown, but passed on.
        for name in environment::own().into_keys().filter(|name| !variables.contains_key(name)) {
            command.env_remove(name);
        }
        command.current_dir(directory).envs(variables);
        command.stdin(if self.line.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut born, birth) = std::io::pipe().map_err(|cause| format!("cannot make a pipe: {cause}"))?;
        system::set_apart(&mut command, guard::post(), birth.as_raw_fd());
        let spawned = command.spawn();
        drop((command, birth));
        match spawned {
            Ok(child) => {
                let pid = i32::try_from(child.id()).map_err(|_| "its number is out of range".to_owned())?;
                Ok((child, pid))
            }
            Err(cause) => {
                let mut pid = [0; 4];
                if born.read_exact(&mut pid).is_ok() {
                    guard::dismiss(i32::from_ne_bytes(pid));
                }
                let why = match cause.kind() {
                    ErrorKind::NotFound => "there is no such program".to_owned(),
                    ErrorKind::PermissionDenied => "it may not be executed".to_owned(),
                    _ => cause.to_string(),
                };
                Err(format!("{name}: {why}"))
            }
        }
    }

    fn headline(&self, variables: &BTreeMap<String, String>) -> String {
        let line = &self.line;
        let shown = match &line.program {
            Program::Arguments(words) => words.join(" "),
            Program::Line(text) => text.clone(),
        };
        let mut text = format!("{shown}\n in {}", line.directory);
        let limits = [
            line.timeout.map(|limit| format!("{} s without output", limit.as_secs_f64())),
            line.max_time.map(|limit| format!("{} s in all", limit.as_secs_f64())),
        ];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        if !limits.is_empty() {
            text.push_str(&format!(", at most {}", limits.join(" and ")));
        }
        text.push('\n');
        if let Program::Arguments(words) = &line.program {
            text.push_str(&format!(" arguments: {words:?}\n"));
        }
        if !line.files.is_empty() {
            let paths: Vec<&str> = line.files.iter().map(|file| file.path.as_str()).collect();
            text.push_str(&format!(" watching: {}\n", paths.join(", ")));
        }
        if let Some(stdin) = &line.stdin {
            text.push_str(&format!(" given {} bytes to read\n", stdin.len()));
        }
        if line.log_environ {
            text.push_str(" environment:\n");
            variables.iter().for_each(|(name, value)| text.push_str(&format!("  {name}={value}\n")));
        }
        text
    }

    fn say(&self, text: &str) -> Result<(), Unheard> {
        self.send(Output::Text(Segment { channel: Channel::Header, bytes: text.as_bytes().to_vec() }))
    }

    /// Waits where the queue is full.
    fn send(&self, item: Output) -> Result<(), Unheard> {
        self.output.blocking_send(item).map_err(|_| Unheard)
    }
}

/// The ends of a command's pipes that are ours.
struct Pipes {
    stdin: Option<(ChildStdin, Vec<u8>, usize)>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    files: Vec<Watch>,
    buffer: Vec<u8>,
}

impl Pipes {
    fn new(child: &mut Child, stdin: Option<&[u8]>, files: Vec<Watch>) -> Pipes {
        let stdin = child.stdin.take().zip(stdin).map(|(pipe, text)| (pipe, text.to_vec(), 0));
        let pipes =
            Pipes { stdin, stdout: child.stdout.take(), stderr: child.stderr.take(), files, buffer: vec![0; READ] };
        let descriptors = [
            pipes.stdin.as_ref().map(|(pipe, ..)| pipe.as_fd()),
            pipes.stdout.as_ref().map(AsFd::as_fd),
            pipes.stderr.as_ref().map(AsFd::as_fd),
        ];
        for descriptor in descriptors.into_iter().flatten() {
            if let Err(cause) = system::make_nonblocking(&descriptor) {
                warn!("cannot set up a command's pipe: {cause}");
            }
            system::enlarge_pipe(&descriptor);
        }
        pipes
    }

    fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Waits until there is something to do; true when `wake` woke.
    fn wait(&self, wake: &PipeReader, exit: Option<&OwnedFd>, limit: Duration) -> bool {
        let mut all: Vec<(BorrowedFd<'_>, Interest)> = vec![(wake.as_fd(), Interest::Read)];
        all.extend(self.stdin.as_ref().map(|(pipe, ..)| (pipe.as_fd(), Interest::Write)));
        all.extend(self.stdout.as_ref().map(|pipe| (pipe.as_fd(), Interest::Read)));
        all.extend(self.stderr.as_ref().map(|pipe| (pipe.as_fd(), Interest::Read)));
        all.extend(exit.map(|exit| (exit.as_fd(), Interest::Read)));
        system::wait(&all, limit)[0]
    }

    /// What is there now; a pipe at its end is closed.
    fn read(&mut self, channel: Channel) -> Option<Vec<u8>> {
        let read = match channel {
            Channel::Stdout => self.stdout.as_mut()?.read(&mut self.buffer),
            Channel::Stderr | Channel::Header => self.stderr.as_mut()?.read(&mut self.buffer),
        };
        match read {
            Ok(read) if read > 0 => return Some(self.buffer[..read].to_vec()),
            Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return None,
            Ok(_) | Err(_) => {}
        }
        match channel {
            Channel::Stdout => self.stdout = None,
            Channel::Stderr | Channel::Header => self.stderr = None,
        }
        None
    }

    /// Gives the command what it is to read, as far as it takes it; the end closes the pipe.
    fn feed_stdin(&mut self) {
        let Some((pipe, text, at)) = &mut self.stdin else { return };
        match pipe.write(&text[*at..]) {
            Ok(written) if written > 0 => *at += written,
            Err(cause) if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            // It has read enough, or ended.
            Ok(_) | Err(_) => *at = text.len(),
        }
        if *at >= text.len() {
            self.stdin = None;
        }
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}
