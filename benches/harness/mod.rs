//! What the benches of the real binary share: configurations, history, and a server that ends with its value.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Those that are named on the command line; all if none is.
pub fn run(benches: &[(&str, fn())]) {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, bench) in benches {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            bench();
        }
    }
}

/// Twenty builders that fill() can spread builds over.
pub fn write_many_builders(basedir: &Path) {
    let config = "c = BuildmasterConfig = {}\n\
         c['workers'] = [worker.LocalWorker('local')]\n\
         f = util.BuildFactory([steps.ShellCommand(command=['true'])])\n\
         c['builders'] = [util.BuilderConfig(name='b%s%s' % (n // 10, n % 10), workernames=['local'], factory=f, tags=['t%s' % (n % 4)]) for n in range(20)]\n\
         c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['b00'])]\n\
         c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True))]\n";
    fs::write(basedir.join("master.cfg"), config).expect("the folder can be written");
}

pub fn signalbox(arguments: &[&str], basedir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.args(arguments).arg(basedir).stdout(Stdio::null());
    command
}

/// Adds plausible builds to what there is.
pub fn fill(basedir: &Path, builds: u64) {
    let filled = signalbox(&["fill", "--builds", &builds.to_string()], basedir).stderr(Stdio::null()).status();
    assert!(filled.expect("the binary runs").success());
}

/// A running Signalbox, ended with the value.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    pub fn start(basedir: &Path) -> Server {
        let mut command = signalbox(&["start"], basedir);
        let mut child = command.env("SIGNALBOX_LOG", "warn").stdout(Stdio::piped()).spawn().expect("the binary runs");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("listening on http://")?.trim_end_matches('/').to_owned()))
            .expect("it says where it listens");
        Server { child, address }
    }

    pub fn get(&self, path: &str) {
        let (status, _) = self.request("GET", path, "");
        assert_eq!(status, 200, "{path}");
    }

    pub fn force(&self, builder: &str) {
        let (status, body) = self.request("POST", &format!("/builders/{builder}/force"), "forcescheduler=force");
        assert_eq!(status, 302, "{body}");
    }

    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut answer = Vec::new();
        self.send(method, path, body).read_to_end(&mut answer).expect("the answer can be read");
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("it is an answer");
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// The answer as it comes.
    pub fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .expect("the request can be sent");
        stream
    }

    /// MiB, from the process's own account.
    pub fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(field)).expect("the field is there");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number");
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: kill only takes numbers, and the child has not been waited for yet.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        if let Err(error) = self.child.wait() {
            eprintln!("the server did not end: {error}");
        }
    }
}
