//! Git repositories with commits, made by git itself.

use std::path::Path;
use std::process::{Command, Stdio};

/// A repository in a folder of its own; gone when dropped.
pub struct Repository {
    folder: tempfile::TempDir,
    commits: std::cell::Cell<i64>,
}

impl Repository {
    /// Without a commit, on the branch `master`.
    pub fn empty() -> Repository {
        let repository = Repository { folder: tempfile::tempdir().unwrap(), commits: 0.into() };
        repository.git(&["init", "--quiet", "--initial-branch=master"]);
        repository
    }

    /// With one commit on `master`.
    pub fn new() -> Repository {
        let repository = Repository::empty();
        repository.commit("begin", &[("README", "hello\n")]);
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// Commits these files on the branch checked out. Returns the revision.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.revision("HEAD")
    }

    pub fn revision(&self, name: &str) -> String {
        self.git(&["rev-parse", name])
    }

    /// Runs git in the repository and returns what it prints.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_with(args, &[], b"")
    }

    pub fn git_with(&self, args: &[&str], env: &[(&str, &str)], input: &[u8]) -> String {
        use std::io::Write;
        // A second later each time, so that commits have an order and a moment known to the test.
        let seconds = 1_767_225_600 + self.commits.replace(self.commits.get() + 1);
        let mut command = Command::new("git");
        command.args(args).current_dir(self.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Ann Example"),
            ("GIT_AUTHOR_EMAIL", "ann@example.org"),
            ("GIT_COMMITTER_NAME", "Ann Example"),
            ("GIT_COMMITTER_EMAIL", "ann@example.org"),
            ("GIT_AUTHOR_DATE", &format!("{seconds} +0000")),
            ("GIT_COMMITTER_DATE", &format!("{seconds} +0000")),
        ] {
            command.env(name, value);
        }
        let mut child = command.envs(env.iter().copied()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {complaints}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}
