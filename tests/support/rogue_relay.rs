//! A mail relay that misbehaves as a test says; real ones cannot be made to.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it does instead of what it should, at most.
#[derive(Clone, Debug, PartialEq)]
pub enum Manner {
    /// Takes everything.
    Good,
    /// Says nothing any more once it has been told this.
    HangsAt(&'static str),
    /// Takes the whole letter and closes without an answer.
    CutsAfterData,
    /// Answers this to a command that contains that.
    Answers(Vec<(&'static str, &'static str)>),
    /// Takes one letter over a connection, and ends it when it is offered another.
    OneEach,
    /// Offers STARTTLS, takes it, and speaks no TLS then.
    LiesAboutTls,
}

/// A running one.
pub struct RogueRelay {
    pub port: u16,
    manner: Arc<Mutex<Manner>>,
    heard: Arc<Mutex<Vec<String>>>,
    taken: Arc<Mutex<Vec<Taken>>>,
    task: tokio::task::JoinHandle<()>,
}

/// A letter it has answered with 250.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub to: Vec<String>,
    pub text: String,
}

impl Taken {
    pub fn header(&self, name: &str) -> &str {
        let found = self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }
}

impl RogueRelay {
    pub async fn start(manner: Manner) -> RogueRelay {
        RogueRelay::at(0, manner).await
    }

    /// On this port.
    pub async fn at(port: u16, manner: Manner) -> RogueRelay {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let manner = Arc::new(Mutex::new(manner));
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let (of_manner, of_heard, of_taken) = (manner.clone(), heard.clone(), taken.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                of_heard.lock().unwrap().push("CONNECT".to_owned());
                tokio::spawn(talk(stream, of_manner.clone(), of_heard.clone(), of_taken.clone()));
            }
        });
        RogueRelay { port, manner, heard, taken, task }
    }

    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Every command, and `CONNECT` for each connection.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for RogueRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(
    stream: TcpStream,
    manner: Arc<Mutex<Manner>>,
    heard: Arc<Mutex<Vec<String>>>,
    taken: Arc<Mutex<Vec<Taken>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let now = || manner.lock().unwrap().clone();
    if now() == Manner::HangsAt("CONNECT") {
        return std::future::pending().await;
    }
    stream.write_all(b"220 rogue.test ESMTP\r\n").await?;
    let mut to = Vec::new();
    let mut served = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        heard.lock().unwrap().push(line.clone());
        let manner = now();
        if let Manner::HangsAt(word) = &manner
            && line.starts_with(word)
        {
            return std::future::pending().await;
        }
        let told = match &manner {
            Manner::Answers(answers) => answers.iter().find(|(word, _)| line.contains(word)).map(|(_, answer)| *answer),
            _ => None,
        };
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            _ if told.is_some() => told.unwrap(),
            "EHLO" if manner == Manner::LiesAboutTls => "250-rogue.test\r\n250 STARTTLS",
            "EHLO" => "250-rogue.test\r\n250 8BITMIME",
            "STARTTLS" => {
                stream.write_all(b"220 go ahead\r\n this is no TLS at all\r\n").await?;
                return Ok(());
            }
            "MAIL" if manner == Manner::OneEach && served => "421 4.7.0 one letter is enough",
            "RCPT" => {
                to.push(line.trim_start_matches("RCPT TO:<").trim_end_matches('>').to_owned());
                "250 ok"
            }
            "MAIL" | "RSET" => {
                to.clear();
                "250 ok"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                heard.lock().unwrap().push("LETTER".to_owned());
                match &manner {
                    Manner::CutsAfterData => return Ok(()),
                    Manner::HangsAt("LETTER") => return std::future::pending().await,
                    Manner::Answers(answers) if answers.iter().any(|(word, _)| *word == "LETTER") => {
                        answers.iter().find(|(word, _)| *word == "LETTER").unwrap().1
                    }
                    _ => {
                        taken.lock().unwrap().push(Taken { to: to.clone(), text });
                        served = true;
                        "250 2.0.0 kept"
                    }
                }
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 ok",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if answer.starts_with("421") {
            return Ok(());
        }
    }
}
