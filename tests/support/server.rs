//! The real binary in a folder of its own, on a port the system chose.
//!
//! Dropped while it runs it is asked to end, and the test fails if it does not end well.

use awc::http::header::HeaderValue;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long an end may take; builds are interrupted and targets flushed within it.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How long an event may take to come.
const EVENT_LIMIT: Duration = Duration::from_secs(120);

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A running Signalbox.
pub struct Server {
    folder: TempDir,
    process: Option<Process>,
}

struct Process {
    child: Child,
    /// One for each web server of the configuration.
    addresses: Vec<String>,
    /// What it has written to standard error.
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// An answer with everything.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// Of several of this name, the first.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Server {
    /// In a new folder, with this master.cfg.
    pub async fn start(config: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("master.cfg"), config).unwrap();
        Server::start_in(folder).await
    }

    /// In a folder that has its master.cfg.
    pub async fn start_in(folder: TempDir) -> Server {
        let mut server = Server { folder, process: None };
        server.restart();
        server
    }

    /// Starts the one that has ended, in the same folder.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        self.process = Some(Process::start(self.folder.path()));
    }

    /// Ends it as a power cut would, and starts it again.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Ends it in order; the test fails if it does not end well.
    pub async fn stop(&mut self) {
        let process = self.process.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || process.end()).await.unwrap();
        ended.unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// Sends a signal, as `signalbox reconfig` does.
    pub fn signal(&self, number: i32) {
        signal(self.pid(), number);
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().child.id()
    }

    pub fn basedir(&self) -> &Path {
        self.folder.path()
    }

    pub fn config_file(&self) -> PathBuf {
        self.basedir().join("master.cfg")
    }

    /// `http://127.0.0.1:PORT`, without the slash.
    pub fn address(&self) -> &str {
        self.address_of(0)
    }

    /// The same of the web server of this number, in the order of the file.
    pub fn address_of(&self, number: usize) -> &str {
        &self.process.as_ref().unwrap().addresses[number]
    }

    /// What it has written to standard error since it was started.
    pub fn errors(&self) -> String {
        self.process.as_ref().map(|process| process.errors.lock().unwrap().clone()).unwrap_or_default()
    }

    /// Status and body of a page.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).await.unwrap_or_else(|| panic!("{path}: no answer"))
    }

    /// The same; `None` where the server went away.
    pub async fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let request = client().get(format!("{}{path}", self.address()));
        let mut answer = request.send().await.ok()?;
        let body = answer.body().limit(256 << 20).await.ok()?;
        Some((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }

    pub async fn json(&self, path: &str) -> Value {
        self.try_json(path).await.unwrap_or_else(|| panic!("{path}: no JSON"))
    }

    /// `None` where the server went away.
    pub async fn try_json(&self, path: &str) -> Option<Value> {
        let (status, body) = self.try_get(path).await?;
        assert_eq!(status, 200, "{path}: {body}");
        Some(serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
    }

    /// Sends a form as a script does; the status and where it leads.
    pub async fn post(&self, path: &str, form: &str) -> (u16, String) {
        let answer = self.ask(path, &[], Some(form)).await;
        (answer.status, answer.header("Location").unwrap_or_default().to_owned())
    }

    /// Sends these headers, and a form where there is one. Redirects are not followed.
    pub async fn ask(&self, path: &str, headers: &[(&str, &str)], form: Option<&str>) -> Answer {
        let mut headers = headers.to_vec();
        if form.is_some() {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let method = if form.is_some() { "POST" } else { "GET" };
        let answer = self.send(0, method, path, &headers, form.unwrap_or_default().to_owned().into()).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.errors()))
    }

    /// Sends any request to the web server of this number.
    pub async fn send(
        &self,
        web: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: bytes::Bytes,
    ) -> Result<Answer, String> {
        let url = format!("{}{path}", self.address_of(web));
        let mut request = client().request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let sent = if body.is_empty() { request.send().await } else { request.send_body(body).await };
        let mut answer = sent.map_err(|error| error.to_string())?;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let body = answer.body().limit(256 << 20).await.map_err(|error| error.to_string())?;
        Ok(Answer { status: answer.status().as_u16(), headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The first stored event for which `wanted` answers, waiting for it if need be.
    pub async fn event<T>(&self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        self.event_after(0, what, wanted).await
    }

    /// The same among the events above this number.
    pub async fn event_after<T>(&self, mut since: i64, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let look = async {
            loop {
                let answer = self.json(&format!("/json/events?since={since}&wait=10")).await;
                if let Some(found) = answer["events"].as_array().unwrap().iter().find_map(&wanted) {
                    return found;
                }
                // Events not shown to us count too.
                since = answer["last"].as_i64().unwrap();
            }
        };
        let found = tokio::time::timeout(EVENT_LIMIT, look).await;
        found.unwrap_or_else(|_| panic!("no event: {what}\n{}", self.errors()))
    }

    /// How many changes there have been.
    pub async fn changes(&self) -> i64 {
        self.json("/json/changes?count=1").await[0]["number"].as_i64().unwrap_or(0)
    }

    /// Every event there is.
    pub async fn events(&self) -> Vec<Value> {
        let (mut all, mut since) = (Vec::new(), 0);
        loop {
            let answer = self.json(&format!("/json/events?since={since}")).await;
            let last = answer["last"].as_i64().unwrap();
            if last == since {
                return all;
            }
            since = last;
            all.extend(answer["events"].as_array().unwrap().iter().cloned());
        }
    }

    /// Waits for the end of a build; the build as the event has it.
    pub async fn finished(&self, builder: &str, number: i64) -> Value {
        let wanted = |event: &Value| {
            let build = &event["build"];
            let it = event["event"] == "buildFinished" && build["builder"] == builder && build["number"] == number;
            it.then(|| build.clone())
        };
        self.event(&format!("{builder} #{number} finished"), wanted).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        match process.end() {
            Ok(()) => {}
            Err(problem) if std::thread::panicking() => eprintln!("{problem}"),
            Err(problem) => panic!("{problem}"),
        }
    }
}

impl Process {
    fn start(basedir: &Path) -> Process {
        let config = std::fs::read_to_string(basedir.join("master.cfg")).unwrap();
        let count = config.matches("WebStatus(").count().max(1);
        let mut child = signalbox()
            .arg("start")
            .arg(basedir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let errors = Arc::new(Mutex::new(String::new()));
        let (heard, mut stderr) = (Arc::clone(&errors), child.stderr.take().unwrap());
        // Both are read to the end, so that it never waits for us.
        let ear = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut piece) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        let (found, wait) = mpsc::channel();
        let output = child.stdout.take().unwrap();
        let eye = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("listening on ") {
                    // Nobody listens once the test has heard enough.
                    let _ = found.send(address.trim_end_matches('/').to_owned());
                }
            }
        });
        let mut process = Process { child, addresses: Vec::new(), errors, readers: vec![ear, eye] };
        let until = Instant::now() + START_LIMIT;
        while process.addresses.len() < count {
            match wait.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(address) => process.addresses.push(address),
                Err(_) => {
                    let _ = process.child.kill();
                    let status = process.child.wait();
                    panic!("it did not start: {status:?}\n{}", process.errors.lock().unwrap());
                }
            }
        }
        process
    }

    /// Asks it to end; an error unless it ends well, in time and without a panic on the way.
    fn end(mut self) -> Result<(), String> {
        signal(self.child.id(), libc::SIGTERM);
        let until = Instant::now() + STOP_LIMIT;
        let status = loop {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status.to_string(),
                None if Instant::now() > until => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    break format!("still there {STOP_LIMIT:?} after SIGTERM");
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        for reader in self.readers.drain(..) {
            reader.join().map_err(|_| "a reader of its output panicked")?;
        }
        let errors = self.errors.lock().unwrap();
        if status == "exit status: 0" && !errors.contains("panicked at") {
            return Ok(());
        }
        Err(format!("it did not end well ({status}):\n{errors}"))
    }
}

/// The binary under test, logging what a person should look at.
pub fn signalbox() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.env("SIGNALBOX_LOG", "warn");
    command
}

fn client() -> awc::Client {
    awc::Client::builder().timeout(ANSWER_LIMIT).disable_redirects().finish()
}

fn signal(pid: u32, number: i32) {
    // SAFETY: kill only takes numbers; the child has not been waited for, so the number is still its own.
    assert_eq!(unsafe { libc::kill(pid as i32, number) }, 0);
}
