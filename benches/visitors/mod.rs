//! Those who ask a server for pages, over connections that stay open.

use actix_web::web::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// Connections at once that ask as fast as they are answered.
const AT_ONCE: usize = 64;

/// Connections of a crowd: enough to keep its pace however long each answer takes.
const CROWD: usize = 600;

/// One connection.
struct Visitor {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Visitor {
    async fn new(address: &str) -> Visitor {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("it is TCP");
        Visitor { stream: BufReader::new(stream), line: String::new(), body: Vec::new() }
    }

    /// The status; the body is in `self.body`.
    async fn ask(&mut self, request: &str) -> u16 {
        self.stream.write_all(request.as_bytes()).await.expect("the request can be sent");
        let (mut status, mut length, mut chunked) = (0, 0, false);
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).await.expect("it answers");
            match self.line.trim_end().split_once(' ') {
                None => break,
                Some((name, value)) if name.starts_with("HTTP/") => {
                    status = value[..3].parse().expect("it is a status")
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length:") => {
                    length = value.parse().expect("it is a number");
                }
                Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding:") => chunked = true,
                Some(_) => {}
            }
        }
        self.body.clear();
        while chunked {
            self.line.clear();
            self.stream.read_line(&mut self.line).await.expect("a piece has a length");
            length = usize::from_str_radix(self.line.trim(), 16).expect("it is a number");
            chunked = length > 0;
            self.body.resize(length + 2, 0);
            self.stream.read_exact(&mut self.body).await.expect("it is as long as it says");
            length = 0;
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await.expect("it is as long as it says");
        status
    }
}

fn request(address: &str, page: &str, headers: &str) -> String {
    format!("GET {page} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a thread can be started")
}

/// What is answered, as it goes over the line.
pub fn body(address: &str, page: &str, headers: &str) -> Bytes {
    runtime().block_on(async {
        let mut visitor = Visitor::new(address).await;
        assert_eq!(visitor.ask(&request(address, page, headers)).await, 200, "{page}");
        visitor.body.into()
    })
}

/// Requests per second, with each connection asking again as soon as it has its answer.
pub fn rate(address: &str, page: &str, headers: &str, time: Duration) -> f64 {
    let request = request(address, page, headers);
    runtime().block_on(async {
        let end = Instant::now() + time;
        let visits = (0..AT_ONCE).map(|_| async {
            let mut visitor = Visitor::new(address).await;
            let mut answers = 0;
            while Instant::now() < end {
                assert_eq!(visitor.ask(&request).await, 200);
                answers += 1;
            }
            answers
        });
        let answers: u32 = futures::future::join_all(visits).await.into_iter().sum();
        f64::from(answers) / time.as_secs_f64()
    })
}

/// A crowd that asks for one page after the other, at a pace of its own.
pub struct Crawl(JoinHandle<Seen>);

pub struct Seen {
    pub asked: u32,
    pub served: usize,
    pub sent_back: usize,
    /// Of what a build has not come to.
    pub not_there: usize,
    pub half: Duration,
    pub most: Duration,
}

impl Crawl {
    pub fn start(address: &str, pages: Vec<String>, per_second: u32, time: Duration) -> Crawl {
        let address = address.to_owned();
        Crawl(std::thread::spawn(move || {
            stand_back();
            runtime().block_on(crawl(&address, &pages, per_second, time))
        }))
    }

    pub fn end(self) -> Seen {
        self.0.join().expect("it ends by itself")
    }
}

/// A crowd has machines of its own: here it takes what the server leaves.
fn stand_back() {
    // SAFETY: it takes only numbers; 0 means this thread.
    assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) }, 0);
}

/// Posts these bodies at a pace, one after the other, each over whichever connection is free; status and time of each answer.
pub fn post(address: &str, headers: &str, bodies: &[(String, String)], per_second: u32) -> Vec<(u16, Duration)> {
    let (began, tickets) = (Instant::now(), AtomicU32::new(0));
    let visits = (0..AT_ONCE).map(|_| async {
        let mut visitor = Visitor::new(address).await;
        let mut answers = Vec::new();
        loop {
            let ticket = tickets.fetch_add(1, Ordering::Relaxed);
            let Some((own, body)) = bodies.get(ticket as usize) else { return answers };
            tokio::time::sleep_until((began + Duration::from_secs(1) * ticket / per_second).into()).await;
            let length = body.len();
            let request = format!(
                "POST /change_hook/github HTTP/1.1\r\nHost: {address}\r\n{headers}{own}Content-Length: {length}\r\n\r\n{body}"
            );
            let asked = Instant::now();
            answers.push((visitor.ask(&request).await, asked.elapsed()));
        }
    });
    runtime().block_on(async { futures::future::join_all(visits).await.into_iter().flatten().collect() })
}

async fn crawl(address: &str, pages: &[String], per_second: u32, time: Duration) -> Seen {
    let (began, tickets) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let visits = (0..CROWD).map(|_| async {
        let mut visitor = Visitor::new(address).await;
        let mut answers = Vec::new();
        loop {
            let ticket = tickets.fetch_add(1, Ordering::Relaxed);
            let due = began + Duration::from_secs(1) * ticket / per_second;
            if due >= began + time || began.elapsed() >= time {
                return answers;
            }
            tokio::time::sleep_until(due.into()).await;
            // Far apart from each other, so that nothing is asked for twice soon.
            let page = &pages[ticket as usize * 7919 % pages.len()];
            let asked = Instant::now();
            let status = visitor.ask(&request(address, page, "Accept-Encoding: gzip\r\n")).await;
            answers.push((status, asked.elapsed()));
        }
    });
    let answers: Vec<(u16, Duration)> = futures::future::join_all(visits).await.into_iter().flatten().collect();
    let count = |wanted: fn(u16) -> bool| answers.iter().filter(|(status, _)| wanted(*status)).count();
    let mut times: Vec<Duration> = answers.iter().map(|(_, time)| *time).collect();
    times.sort();
    Seen {
        asked: answers.len() as u32,
        served: count(|status| status == 200),
        sent_back: count(|status| status == 503),
        not_there: count(|status| status == 404),
        half: times[times.len() / 2],
        most: times[times.len() * 99 / 100],
    }
}
