//! What a local worker does with files: removing, copying, looking, and watching those a command writes.

use super::end;
use crate::master::worker::{CommandLine, Ended, Killer, Output, Program, WatchedFile, join};
use crate::model::{Channel, Segment};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// The most that is read from a watched file at once.
const READ: usize = 64 * 1024;

/// Does it on a blocking thread; a text in the error goes into the log.
pub(super) fn start(
    output: mpsc::Sender<Output>,
    work: impl FnOnce() -> Result<i32, String> + Send + 'static,
) -> Killer {
    tokio::task::spawn_blocking(move || match work() {
        Ok(status) => end(&output, Ended::Exit(status)),
        Err(why) => {
            let text = Segment { channel: Channel::Header, bytes: format!("{why}\n").into_bytes() };
            let _ = output.blocking_send(Output::Text(text));
            end(&output, Ended::Exit(1));
        }
    });
    Killer::Nobody
}

pub(super) fn remove(path: &str) -> Result<i32, String> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(cause) => Err(cause),
    };
    match removed {
        Ok(()) => Ok(0),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(0),
        Err(cause) => Err(format!("cannot remove {path}: {cause}")),
    }
}

pub(super) fn exists(path: &str) -> Result<i32, String> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(0),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(1),
        Err(cause) => Err(format!("cannot look at {path}: {cause}")),
    }
}

/// A command, so that a long copy can be stopped.
pub(super) fn copy(base: &str, from: &str, to: &str) -> CommandLine {
    let script = r#"rm -rf "$2" && cp -R -P -p "$1" "$2""#;
    let words = ["/bin/sh", "-c", script, "copy", &join(base, from), &join(base, to)];
    CommandLine {
        program: Program::Arguments(words.map(str::to_owned).to_vec()),
        directory: base.to_owned(),
        environment: Vec::new(),
        want_stdout: true,
        want_stderr: true,
        log_environ: false,
        timeout: None,
        max_time: None,
        sigterm_time: None,
        stdin: None,
        files: Vec::new(),
    }
}

/// A file the command writes, read as it grows.
pub(super) struct Watch {
    path: PathBuf,
    /// What it was before the command began: until that changes it is someone else's.
    before: Option<Mark>,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Mark {
    fn of(found: &Metadata) -> Mark {
        Mark {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            changed: (found.mtime(), found.mtime_nsec()),
        }
    }
}

impl Watch {
    pub fn new(directory: &Path, file: &WatchedFile) -> Watch {
        let path = directory.join(&file.path);
        let before = std::fs::metadata(&path).ok().map(|found| Mark::of(&found));
        let offset = if file.follow { before.map_or(0, |mark| mark.size) } else { 0 };
        Watch { path, before, offset }
    }

    /// Text that has been added since the last call, at most 64 KiB; empty when there is none.
    pub fn read(&mut self) -> Vec<u8> {
        self.try_read().unwrap_or_default()
    }

    fn try_read(&mut self) -> std::io::Result<Vec<u8>> {
        let found = std::fs::metadata(&self.path)?;
        if self.before == Some(Mark::of(&found)) {
            return Ok(Vec::new());
        }
        if let Some(before) = self.before
            && (found.dev(), found.ino()) != (before.device, before.inode)
        {
            // Another file under the same name: all of it is new.
            self.offset = 0;
        }
        self.before =
            self.before.map(|before| Mark { device: found.dev(), inode: found.ino(), size: u64::MAX, ..before });
        if found.size() < self.offset {
            self.offset = 0;
        }
        if found.size() == self.offset || !found.is_file() {
            return Ok(Vec::new());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = Vec::new();
        file.take(READ as u64).read_to_end(&mut text)?;
        self.offset += text.len() as u64;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_not_read_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "old\n").unwrap();
        let mut whole = Watch::new(folder.path(), &WatchedFile { path: "log".into(), follow: false });
        let mut follow = Watch::new(folder.path(), &WatchedFile { path: "log".into(), follow: true });
        assert!(whole.read().is_empty());
        std::fs::write(&path, "old\nnew\n").unwrap();
        assert_eq!(whole.read(), b"old\nnew\n");
        assert_eq!(follow.read(), b"new\n");
        assert!(follow.read().is_empty());
        std::fs::write(&path, "x\n").unwrap();
        assert_eq!(follow.read(), b"x\n");
    }

    #[test]
    fn removing_nothing_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d/e");
        std::fs::create_dir_all(&path).unwrap();
        let outer = folder.path().join("d").display().to_string();
        assert_eq!(exists(&outer), Ok(0));
        assert_eq!(remove(&outer), Ok(0));
        assert_eq!(exists(&outer), Ok(1));
        assert_eq!(remove(&outer), Ok(0));
    }
}
