//! Mercurial repositories with changesets, made by hg itself.

use super::poller::Growing;
use std::path::Path;
use std::process::{Command, Stdio};

/// A repository in a folder of its own; gone when dropped.
pub struct Mercurial {
    folder: tempfile::TempDir,
    commits: std::cell::Cell<i64>,
}

impl Mercurial {
    /// Without a changeset.
    pub fn empty() -> Mercurial {
        let repository = Mercurial { folder: tempfile::tempdir().unwrap(), commits: 0.into() };
        repository.hg(&["init"]);
        repository
    }

    /// With one changeset on `default`.
    pub fn new() -> Mercurial {
        let repository = Mercurial::empty();
        repository.commit("begin", &[("README", "hello\n")]);
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// Commits these files on the branch that is checked out. Returns the revision.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.hg(&["addremove", "--quiet"]);
        self.hg(&["commit", "-u", "Ann Example <ann@example.org>", "-d", &self.date(), "-m", message]);
        self.revision(".")
    }

    /// Merges a revision into the one that is checked out. Returns the revision.
    pub fn merge(&self, revision: &str) -> String {
        self.hg(&["merge", "--quiet", "--tool", "internal:merge", revision]);
        self.commit("merge", &[])
    }

    /// As a person who rewrites history does.
    pub fn strip(&self, revision: &str) {
        self.hg(&["--config", "extensions.strip=", "strip", "--quiet", "--no-backup", revision]);
    }

    pub fn revision(&self, name: &str) -> String {
        self.hg(&["log", "--rev", name, "--template", "{node}"])
    }

    /// Runs hg in the repository and returns what it prints.
    pub fn hg(&self, args: &[&str]) -> String {
        self.hg_with(args, b"")
    }

    pub fn hg_with(&self, args: &[&str], input: &[u8]) -> String {
        use std::io::Write;
        let mut command = Command::new("hg");
        command.args(args).current_dir(self.path()).env("HGPLAIN", "1").env("HGRCPATH", "").env("HGENCODING", "utf-8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "hg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A second later each time, so that changesets have a moment known to the test.
    fn date(&self) -> String {
        let seconds = 1_767_225_600 + self.commits.replace(self.commits.get() + 1);
        format!("{seconds} 0")
    }
}

impl Growing for Mercurial {
    fn grow(&self) -> String {
        self.grow_by(1);
        self.revision("tip")
    }

    fn grow_by(&self, count: usize) {
        let patch = |_| {
            let date = self.date();
            let name = format!("f{}", self.commits.get());
            format!(
                "# HG changeset patch\n# User Ann Example <ann@example.org>\n# Date {date}\ngrow\n\n\
                 diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,1 @@\n+x\n"
            )
        };
        let patches: String = (0..count).map(patch).collect();
        self.hg_with(&["import", "--quiet", "-"], patches.as_bytes());
    }

    fn since(&self, first: &str) -> Vec<String> {
        let listed = self.hg(&["log", "--rev", &format!("{first}:tip"), "--template", "{node}\\n"]);
        listed.lines().map(str::to_owned).collect()
    }
}
