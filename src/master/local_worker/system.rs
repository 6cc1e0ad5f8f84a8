//! The few calls to the operating system that the standard library does not have. All `unsafe` of the master is here.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// How a child process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Status(i32),
    Signal(i32),
}

/// Sends a signal to every process of a group; one that is gone is fine.
pub(super) fn signal_group(group: i32, signal: i32) {
    if group > 1 {
        // SAFETY: killpg takes two integers and touches no memory; `group` is never 0 or 1, so it is not our own.
        unsafe { libc::killpg(group, signal) };
    }
}

pub(super) fn make_nonblocking(fd: &impl AsRawFd) -> std::io::Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: F_GETFL and F_SETFL on a descriptor that the caller owns touch no memory.
    let done = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        flags >= 0 && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Lets a pipe hold up to a mebibyte, so that a command that prints much is not woken for every page. As a wish only.
pub(super) fn enlarge_pipe(fd: &impl AsRawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: F_SETPIPE_SZ takes an integer and touches no memory.
    unsafe {
        libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, 1024 * 1024);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

/// Makes the command the leader of a session and process group of its own, that is killed by the kernel when the thread
/// which starts it ends, and that writes its number to `enlist` (as `+ 123`) and to `birth` (as four bytes) before it
/// becomes the program.
pub(super) fn set_apart(command: &mut Command, enlist: Option<RawFd>, birth: RawFd) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only calls that are safe there are made: setsid, prctl, getppid, getpid, write and
    // _exit; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() < 0 {
                return Err(std::io::Error::last_os_error());
            }
            die_with_parent(parent);
            let pid = libc::getpid();
            libc::write(birth, (&raw const pid).cast(), size_of_val(&pid));
            if let Some(enlist) = enlist {
                let mut line = [0u8; 16];
                let used = enlistment(pid, &mut line);
                libc::write(enlist, line.as_ptr().cast(), used);
            }
            Ok(())
        });
    }
}

/// Makes the guard immune to what ends Signalbox: a session of its own.
pub(super) fn set_session(command: &mut Command) {
    // SAFETY: setsid is safe between fork and exec.
    unsafe {
        command.pre_exec(|| if libc::setsid() < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) });
    }
}

#[cfg(target_os = "linux")]
fn die_with_parent(parent: u32) {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes an integer; getppid and _exit are always safe.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // Signalbox may have died just before the call above.
        if u32::try_from(libc::getppid()) != Ok(parent) {
            libc::_exit(127);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_parent: u32) {}

/// `+ 123\n`, without allocating.
fn enlistment(pid: i32, line: &mut [u8; 16]) -> usize {
    let mut digits = [0u8; 10];
    let (mut rest, mut count) = (pid.unsigned_abs(), 0);
    loop {
        digits[count] = b'0' + (rest % 10) as u8;
        count += 1;
        rest /= 10;
        if rest == 0 || count == digits.len() {
            break;
        }
    }
    line[0] = b'+';
    line[1] = b' ';
    for at in 0..count {
        line[2 + at] = digits[count - 1 - at];
    }
    line[2 + count] = b'\n';
    count + 3
}

/// How the child ended, if it has, without reaping it: its number stays its own.
pub(super) fn has_ended(pid: i32) -> Option<Exit> {
    // SAFETY: siginfo_t is plain data that waitid fills in; WNOWAIT leaves the child to be reaped by its owner.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        if libc::waitid(libc::P_PID, pid.unsigned_abs(), &mut info, flags) != 0 || info.si_pid() == 0 {
            return None;
        }
        let status = info.si_status();
        Some(if info.si_code == libc::CLD_EXITED { Exit::Status(status) } else { Exit::Signal(status) })
    }
}

/// A descriptor that becomes readable when the process ends, where the system has such.
pub(super) fn exit_descriptor(pid: i32) -> Option<OwnedFd> {
    #[cfg(target_os = "linux")]
    // SAFETY: pidfd_open takes two integers and gives a new descriptor, which OwnedFd then owns alone.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        i32::try_from(fd).ok().filter(|fd| *fd >= 0).map(|fd| OwnedFd::from_raw_fd(fd))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    Read,
    Write,
}

/// Waits until one of the descriptors is ready, or for `limit`. The answer has one entry per descriptor.
pub(super) fn wait(descriptors: &[(BorrowedFd<'_>, Interest)], limit: Duration) -> Vec<bool> {
    let wanted = |interest: Interest| match interest {
        Interest::Read => libc::POLLIN,
        Interest::Write => libc::POLLOUT,
    };
    let poll = |(fd, interest): &(BorrowedFd<'_>, Interest)| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: wanted(*interest),
        revents: 0,
    };
    let mut polled: Vec<libc::pollfd> = descriptors.iter().map(poll).collect();
    // Rounded up, so that a wait for a moment does not end just before it.
    let limit = i32::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: `polled` is an array of as many pollfd as the call is told, alive and borrowed for its duration.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit) };
    polled.iter().map(|polled| ready > 0 && polled.revents != 0).collect()
}

pub(super) fn host_name() -> String {
    let mut name = [0u8; 256];
    // SAFETY: gethostname writes at most the given length into the array; the last byte stays zero.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_without_allocating() {
        let mut line = [0; 16];
        for pid in [1, 42, 4_194_304, i32::MAX] {
            let used = enlistment(pid, &mut line);
            assert_eq!(&line[..used], format!("+ {pid}\n").as_bytes());
        }
    }
}
