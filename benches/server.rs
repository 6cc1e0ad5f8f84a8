//! What an operator feels, measured on the real binary: memory, build overhead, logs, open pages.
//!
//! `cargo bench --bench server`. Everything runs in a temporary folder on loopback and ends with the bench.

mod harness;

use harness::{Server, fill, run, signalbox, write_many_builders};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Web sockets open at once.
const SOCKETS: usize = 5_000;
/// Builds on the waterfall that they show.
const BUSY: u64 = 1_000;
/// What the flooding step prints.
const FLOOD: u64 = 1 << 30;

fn main() {
    run(&[
        ("idle_memory", idle_memory),
        ("forced_build", forced_build),
        ("log_intake", log_intake),
        ("many_sockets", many_sockets),
    ]);
}

/// The sample configuration, left alone for a while.
fn idle_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let repository = folder.path().join("widget");
    git_repository(&repository);
    let basedir = folder.path().join("master");
    let made = signalbox(&["create-master"], &basedir).current_dir(&repository).status();
    assert!(made.expect("the binary runs").success());
    let config = fs::read_to_string(basedir.join("master.cfg")).expect("it was made");
    fs::write(basedir.join("master.cfg"), config.replace("8010", "0")).expect("it can be changed");
    let server = Server::start(&basedir);
    server.get("/");
    std::thread::sleep(Duration::from_secs(10));
    println!("idle memory with the sample configuration: {:.1} MiB (bar: 40)", server.memory("VmRSS"));
}

/// From the POST of the form to the first byte of the first step's output.
fn forced_build() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write_config(folder.path(), "[steps.ShellCommand(name='say', command=['echo', 'first words'])]");
    let server = Server::start(folder.path());
    let mut times: Vec<Duration> = (0..21).map(|number| first_output(&server, number)).collect();
    times.sort();
    println!("forced build to first output: median {:?}, worst {:?} (bar: 100 ms)", times[10], times[20]);
}

fn first_output(server: &Server, number: usize) -> Duration {
    let started = Instant::now();
    server.force("bench");
    let log = format!("/builders/bench/builds/{number}/steps/say/logs/stdio/text");
    loop {
        let (status, body) = server.request("GET", &log, "");
        if status == 200 && body.contains("first words") {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(10), "the build has not said anything: {status} {body}");
    }
}

/// A step that prints as fast as it can, with a viewer following its log.
fn log_intake() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let line = "compiling something of the usual length with a few numbers in it 0123456789";
    let flood = format!("yes \"{line}\" | head -c {FLOOD}");
    write_config(folder.path(), &format!("[steps.ShellCommand(name='flood', command='{flood}')]"));
    let server = Server::start(folder.path());
    let before = server.memory("VmRSS");
    let started = Instant::now();
    server.force("bench");
    let log = "/builders/bench/builds/0/steps/flood/logs/stdio/text";
    while server.request("HEAD", log, "").0 != 200 {
        assert!(started.elapsed() < Duration::from_secs(10), "the build has not started");
    }
    let seen = std::io::copy(&mut server.send("GET", log, ""), &mut std::io::sink()).expect("the answer can be read");
    let took = started.elapsed();
    println!(
        "log intake with a viewer: {:.0} MB/s (bar: 100); the viewer got {seen} bytes; memory {before:.0} MiB before, {:.0} MiB at its peak",
        FLOOD as f64 / 1e6 / took.as_secs_f64(),
        server.memory("VmHWM"),
    );
}

/// Web sockets at a busy waterfall: from before the POST that forces a build to the first news at the last of them.
fn many_sockets() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    write_many_builders(folder.path());
    fill(folder.path(), BUSY);
    let server = Server::start(folder.path());
    let (_, page) = server.request("GET", "/waterfall", "");
    let before = server.memory("VmRSS");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("threads can be started").block_on(async {
        let (told, mut news) = tokio::sync::mpsc::unbounded_channel();
        let attribute = |name: &str| {
            let (_, rest) = page.split_once(&format!("{name}=\"")).expect("it is live");
            rest.split('"').next().unwrap_or_default()
        };
        let has = format!("seq={}&version={}", attribute("data-seq"), attribute("data-version"));
        let opening = Instant::now();
        for _ in 0..SOCKETS {
            tokio::spawn(listen(open_socket(&server.address, &has).await, told.clone()));
        }
        println!(
            "{SOCKETS} web sockets at a waterfall of {} kB: opened in {:?}, {:.1} KiB each (bar: 20)",
            page.len() / 1000,
            opening.elapsed(),
            (server.memory("VmRSS") - before) * 1024.0 / SOCKETS as f64,
        );
        // Each is told at once that it is live, and then what changes in the page it was loaded with.
        for what in ["told to be live", "a patch", "a patch", "a patch", "a patch"] {
            let started = Instant::now();
            if what != "told to be live" {
                tokio::task::block_in_place(|| server.force("b00"));
            }
            let mut waiting: std::collections::HashSet<usize> = (0..SOCKETS).collect();
            let mut bytes = 0;
            while !waiting.is_empty() {
                let (socket, length): (usize, usize) = news.recv().await.expect("they are all open");
                waiting.remove(&socket);
                bytes += length;
            }
            println!("{what}: at the last of them after {:?}, {} bytes each", started.elapsed(), bytes / SOCKETS);
            // Until the build has ended and everybody has been told.
            while tokio::time::timeout(Duration::from_secs(2), news.recv()).await.is_ok() {}
        }
        println!("memory: {before:.0} MiB before, {:.0} MiB now", server.memory("VmRSS"));
    });
}

async fn open_socket(address: &str, has: &str) -> (usize, tokio::net::TcpStream) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request = format!(
        "GET /live?page=waterfall&{has} HTTP/1.1\r\nHost: {address}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the request can be sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("it answers"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    (OPENED.fetch_add(1, Ordering::Relaxed), stream)
}

/// Says how long each text is that a socket is sent.
async fn listen(
    (socket, stream): (usize, tokio::net::TcpStream),
    told: tokio::sync::mpsc::UnboundedSender<(usize, usize)>,
) -> std::io::Result<()> {
    use tokio::io::AsyncReadExt;
    const TEXT: u8 = 0x81;
    let mut stream = tokio::io::BufReader::new(stream);
    let mut text = Vec::new();
    loop {
        let kind = stream.read_u8().await?;
        let length = match stream.read_u8().await? {
            126 => usize::from(stream.read_u16().await?),
            127 => usize::try_from(stream.read_u64().await?).expect("it is no larger than the memory"),
            length => usize::from(length),
        };
        text.resize(length, 0);
        stream.read_exact(&mut text).await?;
        if kind == TEXT && !text.starts_with(b"{\"beat") && told.send((socket, length)).is_err() {
            return Ok(());
        }
    }
}

fn write_config(basedir: &Path, steps: &str) {
    let config = format!(
        "c = BuildmasterConfig = {{}}\n\
         c['workers'] = [worker.LocalWorker('local')]\n\
         c['builders'] = [util.BuilderConfig(name='bench', workernames=['local'], factory=util.BuildFactory({steps}))]\n\
         c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['bench'])]\n\
         c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True))]\n"
    );
    fs::write(basedir.join("master.cfg"), config).expect("the folder can be written");
}

fn git_repository(path: &Path) {
    fs::create_dir_all(path).expect("the folder can be made");
    fs::write(path.join("README"), "widget\n").expect("the folder can be written");
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "."],
        &["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "-q", "-m", "first"],
    ] {
        assert!(Command::new("git").args(arguments).current_dir(path).status().expect("git runs").success());
    }
}
