//! Subversion repositories with revisions, made by svn itself.

use super::poller::Growing;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A repository with `trunk` and `branches`, and a working copy of all of it; gone when dropped.
pub struct Subversion {
    folder: tempfile::TempDir,
    grown: std::cell::Cell<usize>,
}

impl Subversion {
    /// With revision 1, which makes `trunk` and `branches`.
    pub fn new() -> Subversion {
        let repository = Subversion { folder: tempfile::tempdir().unwrap(), grown: 0.into() };
        run(Command::new("svnadmin").args(["create", "--fs-type", "fsfs"]).arg(repository.path()));
        let mut checkout = repository.command("checkout");
        run(checkout.arg("--quiet").arg(repository.url()).arg(repository.working_copy()));
        repository.svn(&["mkdir", "--quiet", "trunk", "branches"]);
        assert_eq!(repository.submit("lay out"), "1");
        repository
    }

    /// Where the repository itself is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn working_copy(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Commits these files. Returns the revision.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.working_copy().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.svn(&["add", "--quiet", "--force", "."]);
        self.submit(message)
    }

    /// Commits what the working copy has. Returns the revision.
    pub fn submit(&self, message: &str) -> String {
        self.svn(&["commit", "--quiet", "--username", "ann", "--encoding", "UTF-8", "-m", message]);
        let newest = run(Command::new("svnlook").arg("youngest").arg(self.path()));
        newest.trim().to_owned()
    }

    /// Runs svn in the working copy and returns what it prints.
    pub fn svn(&self, args: &[&str]) -> String {
        run(self.command(args[0]).args(&args[1..]))
    }

    /// Makes these the author and the message of a revision, whatever their bytes are: svn itself would refuse some.
    pub fn rewrite(&self, revision: &str, author: &[u8], message: &[u8]) {
        let mut text = Vec::new();
        let date: &[u8] = b"2026-01-01T00:00:00.000000Z";
        for (name, value) in [("svn:author", author), ("svn:date", date), ("svn:log", message)] {
            text.extend(format!("K {}\n{name}\nV {}\n", name.len(), value.len()).into_bytes());
            text.extend([value, b"\n"].concat());
        }
        text.extend(b"END\n");
        let file = self.path().join("db/revprops/0").join(revision);
        std::fs::remove_file(&file).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Serves the repository to `ann` with this password, and to nobody else.
    pub fn serve(&self, password: &str) -> Served {
        let conf = self.path().join("conf");
        let text = "[general]\nanon-access = none\nauth-access = write\npassword-db = passwd\nrealm = test\n";
        std::fs::write(conf.join("svnserve.conf"), text).unwrap();
        std::fs::write(conf.join("passwd"), format!("[users]\nann = {password}\n")).unwrap();
        Served::start(self.path())
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new("svn");
        let settings = self.folder.path().join("settings");
        command.current_dir(self.folder.path()).arg(verb).arg("--non-interactive").arg("--config-dir").arg(settings);
        command.env("LC_ALL", "C.UTF-8");
        if self.working_copy().exists() {
            command.current_dir(self.working_copy());
        }
        command
    }
}

impl Growing for Subversion {
    fn grow(&self) -> String {
        self.grow_by(1);
        run(Command::new("svnlook").arg("youngest").arg(self.path())).trim().to_owned()
    }

    fn grow_by(&self, count: usize) {
        let mut dump = "SVN-fs-dump-format-version: 2\n\n".to_owned();
        for _ in 0..count {
            let number = self.grown.replace(self.grown.get() + 1);
            let of_revision = "K 7\nsvn:log\nV 4\ngrow\nK 10\nsvn:author\nV 3\nann\nPROPS-END\n";
            let length = of_revision.len();
            let lengths = |length| format!("Prop-content-length: {length}\nContent-length: {length}\n\n");
            dump += &format!("Revision-number: {}\n{}{of_revision}\n", number + 1, lengths(length));
            dump += &format!("Node-path: trunk/f{number}\nNode-kind: dir\nNode-action: add\n{}", lengths(10));
            dump += "PROPS-END\n\n\n";
        }
        let file = self.folder.path().join("dump");
        std::fs::write(&file, dump).unwrap();
        let mut load = Command::new("svnadmin");
        run(load.args(["load", "--quiet"]).arg(self.path()).stdin(std::fs::File::open(file).unwrap()));
    }

    fn since(&self, first: &str) -> Vec<String> {
        let newest: u64 = run(Command::new("svnlook").arg("youngest").arg(self.path())).trim().parse().unwrap();
        (first.parse().unwrap()..=newest).map(|revision| revision.to_string()).collect()
    }
}

/// svnserve for each connection, as inetd would have it.
pub struct Served {
    address: String,
    over: Arc<AtomicBool>,
    accepting: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    fn start(root: PathBuf) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let accepting = std::thread::spawn(move || {
            let mut children = Vec::new();
            for connection in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let connection = connection.unwrap();
                let (input, output) = (OwnedFd::from(connection.try_clone().unwrap()), OwnedFd::from(connection));
                let mut command = Command::new("svnserve");
                command.args(["--inetd", "--root"]).arg(&root).stdin(input).stdout(output).stderr(Stdio::null());
                children.push(command.spawn().unwrap());
            }
            children.iter_mut().for_each(|child| drop(child.wait()));
        });
        Served { address, over, accepting: Some(accepting) }
    }

    pub fn url(&self) -> String {
        format!("svn://{}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        self.accepting.take().unwrap().join().unwrap();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
