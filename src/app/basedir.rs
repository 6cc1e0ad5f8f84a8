//! The directory a master runs in: its master.cfg, templates, public_html, and who runs there.

use super::Failure;
use crate::config::{Sample, sample};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory with a master.cfg.
pub struct Basedir {
    path: PathBuf,
}

impl Basedir {
    /// The one given, which must hold a master.cfg.
    pub fn open(path: &Path) -> Result<Basedir, Failure> {
        let path = absolute(path)?;
        if !path.join("master.cfg").is_file() {
            return Err(Failure::NoConfig(path));
        }
        let basedir = Basedir { path };
        basedir.complete()?;
        Ok(basedir)
    }

    /// Makes one with the sample master.cfg, building the git repository around the current directory.
    pub fn create(path: &Path) -> Result<Basedir, Failure> {
        let path = absolute(path)?;
        if path.join("master.cfg").exists() {
            return Err(Failure::ExistsAlready(path));
        }
        make_dir(&path)?;
        let watched = Watched::around_here(&path);
        let title = Path::new(&watched.repository).file_name().map(|name| name.to_string_lossy());
        let text = sample(&Sample {
            basedir: &path.display().to_string(),
            repository: &watched.repository,
            branch: &watched.branch,
            title: title.as_deref().unwrap_or("Signalbox"),
        });
        write_new(&path.join("master.cfg"), text.as_bytes())?;
        // A checkout that has its master below it does not want to see it in `git status`.
        write_new(&path.join(".gitignore"), b"*\n")?;
        println!("created {} with a sample master.cfg", path.display());
        println!("it builds {} (branch {})", watched.repository, watched.branch);
        let basedir = Basedir { path };
        basedir.complete()?;
        Ok(basedir)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn config_file(&self) -> PathBuf {
        self.path.join("master.cfg")
    }

    /// Adds the folders an operator may put files into, where they are missing.
    fn complete(&self) -> Result<(), Failure> {
        make_dir(&self.path.join("templates"))?;
        make_dir(&self.path.join("public_html"))
    }

    /// Notes that this process runs here, until the value is dropped.
    pub fn occupy(&self) -> Result<Occupied, Failure> {
        if let Some(pid) = self.running()? {
            return Err(Failure::RunningAlready { basedir: self.path.clone(), pid });
        }
        let file = self.pid_file();
        fs::write(&file, format!("{}\n", std::process::id())).map_err(|error| Failure::File {
            what: "cannot write",
            path: file.clone(),
            error,
        })?;
        Ok(Occupied { file })
    }

    /// The process that runs here, if one does.
    pub fn running(&self) -> Result<Option<i32>, Failure> {
        let file = self.pid_file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::File { what: "cannot read", path: file, error }),
        };
        Ok(text.trim().parse().ok().filter(|&pid| is_signalbox(pid)))
    }

    fn pid_file(&self) -> PathBuf {
        self.path.join("signalbox.pid")
    }
}

/// Removes the pid file when the process that wrote it ends in order.
pub struct Occupied {
    file: PathBuf,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.file) {
            tracing::warn!("cannot remove {}: {error}; it is harmless", self.file.display());
        }
    }
}

/// The repository the sample watches.
struct Watched {
    repository: String,
    branch: String,
}

impl Watched {
    /// The git repository the current directory is in; if it is in none, the place where one may be made.
    fn around_here(basedir: &Path) -> Watched {
        let fallback = basedir.parent().unwrap_or(basedir).display().to_string();
        Watched {
            repository: git(&["rev-parse", "--show-toplevel"]).unwrap_or(fallback),
            branch: git(&["symbolic-ref", "--short", "HEAD"]).unwrap_or_else(|| "main".to_owned()),
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// Whether this process is there and is a Signalbox: process numbers are used again after a reboot.
fn is_signalbox(pid: i32) -> bool {
    if pid == i32::try_from(std::process::id()).unwrap_or_default() {
        return false;
    }
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "signalbox")
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::File { what: "cannot find", path: path.to_owned(), error })
}

fn make_dir(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::File { what: "cannot make", path: path.to_owned(), error })
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let file = fs::File::create_new(path);
    file.and_then(|mut file| file.write_all(content)).map_err(|error| Failure::File {
        what: "cannot write",
        path: path.to_owned(),
        error,
    })
}
