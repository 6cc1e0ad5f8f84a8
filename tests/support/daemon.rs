//! Servers that are not ours: each in its own folder, on ports of its own, gone when dropped.

use super::wait::until;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a server may take to answer on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A process of somebody else's program.
pub struct Daemon {
    child: Child,
    name: &'static str,
    log: std::path::PathBuf,
}

impl Daemon {
    /// Starts it with its output in a file of the folder. `package` is what installs it.
    ///
    /// Servers that refuse to be root are run by nobody where the tests are run by root.
    pub fn start(name: &'static str, package: &str, args: &[&str], folder: &Path) -> Daemon {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        let program = places.map(|place| place.join(name)).find(|program| program.exists());
        let program = program.unwrap_or_else(|| panic!("{name} is there; `apt-get install {package}` installs it"));
        let log = folder.join(format!("{name}.log"));
        let output = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = unprivileged(program.to_str().unwrap());
        command.args(args).current_dir(folder).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Daemon { child: command.spawn().unwrap(), name, log }
    }

    /// Waits until it takes connections at this port.
    pub async fn listens_at(&mut self, port: u16) {
        let what = format!("{} listens", self.name);
        let (name, log, child) = (self.name, &self.log, &mut self.child);
        until(&what, START_LIMIT, || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{name} ended: {status}: {}", std::fs::read_to_string(log).unwrap_or_default());
            }
            async move { TcpStream::connect(("127.0.0.1", port)).await.ok() }
        })
        .await;
    }

    /// Has it stand still, as a machine that hangs does, or go on.
    pub fn stand_still(&self, still: bool) {
        self.signal(if still { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.child.wait().unwrap()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    fn signal(&self, number: i32) {
        // SAFETY: kill only takes numbers; the child has not been waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, number) }, 0);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// A folder that a server run by nobody may read and write.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A port that nobody uses.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn unprivileged(program: &str) -> Command {
    // SAFETY: geteuid cannot fail and touches nothing.
    if unsafe { libc::geteuid() } != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", program]);
    command
}
