//! Somebody on IRC, line by line: what people around a bot do, and what they see.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How long anything may take to be seen.
const LIMIT: Duration = Duration::from_secs(60);

pub struct IrcClient {
    pub nick: String,
    lines: Arc<Mutex<Vec<String>>>,
    /// Tells that there are more, or that the connection has ended.
    grown: watch::Receiver<usize>,
    /// Lines before this have been expected.
    at: usize,
    out: mpsc::UnboundedSender<String>,
    carrying: JoinHandle<()>,
}

impl IrcClient {
    /// Connected to a server on this machine; it does not know us yet.
    pub async fn connect(port: u16) -> IrcClient {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (grow, grown) = watch::channel(0);
        let (out, waiting) = mpsc::unbounded_channel();
        let carrying = tokio::spawn(carry(stream, Arc::clone(&lines), grow, out.clone(), waiting));
        IrcClient { nick: String::new(), lines, grown, at: 0, out, carrying }
    }

    /// Registered under this nick.
    pub async fn register(port: u16, nick: &str) -> IrcClient {
        let mut client = IrcClient::connect(port).await;
        client.nick = nick.to_owned();
        client.send(&format!("NICK {nick}"));
        client.send(&format!("USER {nick} 0 * :{nick}"));
        client.expect_where(|line| line.contains(" 376 ") || line.contains(" 422 ")).await;
        client
    }

    /// Registered, and an operator of one of the servers of these tests.
    pub async fn operator(port: u16) -> IrcClient {
        let mut operator = IrcClient::register(port, "oper").await;
        operator.send("OPER op op");
        operator.expect(" 381 ").await;
        operator
    }

    /// Sends a line as it is.
    pub fn send(&self, line: &str) {
        // A server that has gone is seen by what does not come.
        self.out.send(format!("{line}\r\n")).ok();
    }

    pub fn say(&self, to: &str, text: &str) {
        self.send(&format!("PRIVMSG {to} :{text}"));
    }

    /// In a channel, and sees who else is.
    pub async fn join(&mut self, channel: &str) -> &mut IrcClient {
        self.send(&format!("JOIN {channel}"));
        self.expect(" 366 ").await;
        self
    }

    /// The next line that holds this; those before it are passed over.
    pub async fn expect(&mut self, part: &str) -> String {
        let nick = self.nick.clone();
        let found = self.next(|line| line.contains(part)).await;
        found.unwrap_or_else(|| panic!("{nick} did not see \"{part}\":\n{}", self.seen().join("\n")))
    }

    /// The next line of which this is so.
    pub async fn expect_where(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let nick = self.nick.clone();
        let found = self.next(is_it).await;
        found.unwrap_or_else(|| panic!("{nick} did not see what it should:\n{}", self.seen().join("\n")))
    }

    /// The next text that this one says, wherever.
    pub async fn expect_from(&mut self, nick: &str) -> String {
        let (from, privmsg, notice) = (format!(":{nick}!"), " PRIVMSG ", " NOTICE ");
        let is_it = |line: &str| line.starts_with(&from) && (line.contains(privmsg) || line.contains(notice));
        let line = self.expect_where(is_it).await;
        // :nick!user@host PRIVMSG target :text, the colon of which may be missing.
        let text = line.splitn(4, ' ').nth(3).unwrap_or_default();
        text.strip_prefix(':').unwrap_or(text).to_owned()
    }

    /// Everything that came, answers to PING apart.
    pub fn seen(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until the server ends the connection.
    pub async fn ended(&mut self) {
        let carried = tokio::time::timeout(LIMIT, &mut self.carrying).await;
        carried.unwrap_or_else(|_| panic!("{} is still connected", self.nick)).unwrap();
    }

    async fn next(&mut self, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let search = async {
            loop {
                let seen = *self.grown.borrow_and_update();
                let found = {
                    let lines = self.lines.lock().unwrap();
                    let mut new = lines.iter().enumerate().take(seen).skip(self.at);
                    new.find(|(_, line)| is_it(line)).map(|(place, line)| (place, line.clone()))
                };
                if let Some((place, line)) = found {
                    self.at = place + 1;
                    return Some(line);
                }
                self.at = seen;
                self.grown.changed().await.ok()?;
            }
        };
        tokio::time::timeout(LIMIT, search).await.ok().flatten()
    }
}

impl Drop for IrcClient {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(
    stream: TcpStream,
    lines: Arc<Mutex<Vec<String>>>,
    grow: watch::Sender<usize>,
    out: mpsc::UnboundedSender<String>,
    mut waiting: mpsc::UnboundedReceiver<String>,
) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader).split(b'\n');
    loop {
        tokio::select! {
            line = reader.next_segment() => {
                let Ok(Some(line)) = line else { return };
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                match line.strip_prefix("PING ") {
                    Some(token) => out.send(format!("PONG {token}\r\n")).unwrap_or_default(),
                    None => {
                        let mut lines = lines.lock().unwrap();
                        lines.push(line);
                        grow.send_replace(lines.len());
                    }
                }
            }
            line = waiting.recv() => {
                let Some(line) = line else { return };
                if writer.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}
