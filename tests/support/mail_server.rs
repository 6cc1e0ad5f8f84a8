//! aiosmtpd, which keeps what it was sent, and Python's own reading of letters.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mail_server.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/aiosmtpd/bin/python");

/// How it is spoken to.
#[derive(Clone, Default)]
pub struct Ways {
    /// Certificate and key for STARTTLS, without which it takes no letter.
    pub starttls: Option<(PathBuf, PathBuf)>,
    /// The same for TLS from the first byte on.
    pub smtps: Option<(PathBuf, PathBuf)>,
    /// User and password, without which it takes no letter.
    pub login: Option<(&'static str, &'static str)>,
    /// 0 lets the system choose one.
    pub port: u16,
    /// The largest letter it takes.
    pub size: Option<usize>,
}

/// A running one; ended when it is dropped.
pub struct MailServer {
    child: Child,
    /// It ends when this closes.
    _input: ChildStdin,
    pub port: u16,
    letters: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl MailServer {
    /// One that takes everything.
    pub fn start() -> MailServer {
        MailServer::with(&Ways::default())
    }

    pub fn with(ways: &Ways) -> MailServer {
        let mut command = python();
        command.arg("serve").args(["--port", &ways.port.to_string()]);
        for (name, files) in [("--starttls", &ways.starttls), ("--smtps", &ways.smtps)] {
            if let Some((certificate, key)) = files {
                command.arg(name).arg(certificate).arg(key);
            }
        }
        if let Some((user, password)) = ways.login {
            command.args(["--login", user, password]);
        }
        if let Some(size) = ways.size {
            command.args(["--size", &size.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(MISSING);
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let port = first.trim().parse().unwrap_or_else(|_| panic!("it did not say its port; {MISSING}"));
        let letters = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&letters);
        let reader = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        MailServer { child, _input: input, port, letters, reader: Some(reader) }
    }

    /// What it was sent, in order.
    pub fn letters(&self) -> Vec<Value> {
        self.letters.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.reader.take().map(JoinHandle::join);
    }
}

/// A letter in a file, as Python's email package reads it.
pub fn read(file: &Path) -> Value {
    let output = python().arg("read").arg(file).output().expect(MISSING);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const MISSING: &str = "aiosmtpd is not there; `tests/install-aiosmtpd` installs it";

fn python() -> Command {
    let mut command = Command::new(PYTHON);
    command.arg(SCRIPT);
    command
}

/// The value of a header, as people read it.
pub fn header<'l>(letter: &'l Value, name: &str) -> Option<&'l str> {
    let headers = letter["letter"]["headers"].as_array().unwrap();
    let found = headers.iter().find(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name));
    found.and_then(|header| header[1].as_str())
}

/// The text of the first part of this type.
pub fn part(letter: &Value, kind: &str) -> String {
    let parts = letter["letter"]["parts"].as_array().unwrap();
    let found = parts.iter().find(|part| part["type"] == kind && part["disposition"] != "attachment");
    text(found.unwrap_or_else(|| panic!("no {kind} in {letter:#}")))
}

/// File name and text of each attachment.
pub fn attachments(letter: &Value) -> Vec<(String, String)> {
    let parts = letter["letter"]["parts"].as_array().unwrap().iter();
    let attached = parts.filter(|part| part["disposition"] == "attachment");
    attached.map(|part| (part["file"].as_str().unwrap().to_owned(), text(part))).collect()
}

fn text(part: &Value) -> String {
    match &part["text"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}
