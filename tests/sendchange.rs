//! `signalbox sendchange`, as a commit script runs it.

use crate::support::relay::Relay;
use crate::support::server::{Server, signalbox};
use serde_json::{Value, json};
use signalbox::app::{Patience, SendChange, Text, send_change};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const BASE: &str = "change_hook_dialects={'base': True}";

/// A master that builds nothing, with a web server of these options.
async fn with(options: &str) -> Server {
    let config = format!(
        "c = BuildmasterConfig = {{}}\n\
         c['workers'] = [worker.LocalWorker('w')]\n\
         c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=util.BuildFactory([]))]\n\
         c['schedulers'] = []\n\
         c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', {options})]\n"
    );
    Server::start(&config).await
}

async fn changes(server: &Server) -> Vec<Value> {
    server.json("/json/changes?count=1000").await.as_array().unwrap().clone()
}

fn place(server: &Server) -> String {
    server.address().trim_start_matches("http://").to_owned()
}

fn sendchange(arguments: &[&str]) -> Command {
    let mut command = signalbox();
    command.arg("sendchange").args(arguments).stdin(Stdio::null()).env_remove("SIGNALBOX_PASSWORD");
    command
}

/// To its end, without a thread of the server's support waiting for it.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The same, with this on its standard input.
async fn run_with(mut command: Command, input: &'static [u8]) -> Output {
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    });
    ran.await.unwrap()
}

/// Fails the test unless it ended with this code and nothing on standard output; what it said.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), &b""[..]), "{said}");
    said
}

#[track_caller]
fn sent(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), &*said), (Some(0), "change sent successfully\n"), "{output:?}");
}

#[actix::test]
async fn a_change_arrives_as_it_was_given() {
    let mut server = with(BASE).await;
    let master = place(&server);
    let full = [
        ["--master", &master],
        ["--who", "Ännchen <ann@example.org>"],
        ["--branch", "release/1.0"],
        ["--category", "tag"],
        ["--project", "harbour"],
        ["--repository", "https://example.org/harbour.git"],
        ["--codebase", "lighthouse"],
        ["--revision", "c0ffee"],
        ["--revlink", "https://example.org/c0ffee?a=b&c=d"],
        ["--when", "1338350336"],
        ["--property", "reason:a:b"],
        ["--property", "empty:"],
        ["--comments", "- begins with a hyphen\n\n& has \"all\" +%s of letters: ☂"],
        ["--vc", "git"],
        ["src/lamp.c", "a b/ö.txt"],
    ];
    sent(&run(sendchange(&full.concat())).await);
    // Short ones, and the older names.
    let short = ["-u", "ben", "-b=main", "-C", "nightly", "-R", "r", "-r", "7", "-p", "a:b", "-c", "c", "-s", "svn"];
    sent(&run(sendchange(&[&["--master", server.address()], &short[..]].concat())).await);
    let least = run(sendchange(&["--master", &format!("{}/", server.address()), "-q", "-W", "eve"])).await;
    assert_eq!(refused(&least, 0), "");

    let there = changes(&server).await;
    let expected = json!({
        "who": "Ännchen <ann@example.org>",
        "branch": "release/1.0",
        "category": "tag",
        "project": "harbour",
        "repository": "https://example.org/harbour.git",
        "codebase": "lighthouse",
        "revision": "c0ffee",
        "revlink": "https://example.org/c0ffee?a=b&c=d",
        "when": 1_338_350_336,
        "properties": [["empty", "", "Change"], ["reason", "a:b", "Change"]],
        "comments": "- begins with a hyphen\n\n& has \"all\" +%s of letters: ☂",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&there[2][name], value, "{name}: {}", there[2]);
    }
    assert_eq!(names(&there[2]), ["a b/ö.txt", "src/lamp.c"]);
    let some = |change: &Value| {
        ["who", "branch", "category", "repository", "revision", "comments"].map(|name| change[name].clone())
    };
    assert_eq!(json!(some(&there[1])), json!(["ben", "main", "nightly", "r", "7", "c"]));
    assert_eq!(json!(some(&there[0])), json!(["eve", null, null, "", null, ""]));
    server.stop().await;
}

fn names(change: &Value) -> Vec<&str> {
    change["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect()
}

#[actix::test]
async fn comments_and_revisions_are_read_in_their_encoding() {
    let mut server = with(BASE).await;
    let master = place(&server);
    let common = ["--master", master.as_str(), "-W", "ann"];
    let latin = sendchange(&[&common[..], &["--encoding", "latin-1", "--logfile", "-"]].concat());
    sent(&run_with(latin, b"J\xf6rg was here\n").await);

    let file = server.basedir().join("context");
    std::fs::write(&file, "[Grüße\nann**20120530] \n").unwrap();
    let file = file.to_str().unwrap();
    sent(&run(sendchange(&[&common[..], &["--revision_file", file]].concat())).await);

    // Not lost for one letter, but said.
    let output = run_with(sendchange(&[&common[..], &["-F", "-"]].concat()), b"J\xf6rg").await;
    sent(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("standard input is not all UTF-8"), "{said}");

    let there = changes(&server).await;
    assert_eq!(there[2]["comments"], "Jörg was here\n");
    assert_eq!(there[1]["revision"], "[Grüße\nann**20120530] \n");
    assert_eq!(there[0]["comments"], "J\u{fffd}rg");
    server.stop().await;
}

#[actix::test]
async fn a_password_is_given_or_found_or_asked_for_and_never_shown() {
    let mut server = with(&format!("change_hook_auth=[util.BasicAuth([('ann', 'wo:rd')])], {BASE}")).await;
    let master = place(&server);
    let login = |auth: &[&str], password: Option<&str>| {
        let mut command = sendchange(&[&["--master", master.as_str(), "-W", "ann"], auth].concat());
        command.envs(password.map(|password| ("SIGNALBOX_PASSWORD", password))).env("SIGNALBOX_LOG", "trace");
        command
    };
    sent(&run(login(&["--auth", "ann:wo:rd"], None)).await);
    sent(&run(login(&["--auth", "ann"], Some("wo:rd"))).await);
    sent(&run(login(&["--auth", "ann:"], Some("wo:rd"))).await);

    let nobody = refused(&run(login(&[], Some("wo:rd"))).await, 1);
    assert!(nobody.contains("wants to know who sends this (401)") && nobody.contains("--auth"), "{nobody}");
    let wrong = refused(&run(login(&["--auth", "ann:hush-hush"], None)).await, 1);
    assert!(wrong.contains("(401)") && wrong.contains("change_hook_auth"), "{wrong}");
    let encoded = "YW5uOmh1c2gtaHVzaA";
    assert!(!wrong.contains("hush") && !wrong.contains(encoded), "{wrong}");
    let missing = refused(&run(login(&["--auth", "ann"], None)).await, 2);
    assert!(missing.contains("--auth: the password is missing") && missing.contains("SIGNALBOX_PASSWORD"), "{missing}");

    let (code, seen) = on_a_terminal(login(&["--auth", "ann"], None), "wx\u{7f}o:rd\n").await;
    assert_eq!(code, Some(0), "{seen}");
    assert_eq!(seen.trim_end(), "Password of ann:");
    let (code, seen) = on_a_terminal(login(&["--auth", "ann"], None), "wo:\u{3}").await;
    assert_eq!(code, Some(2), "{seen}");
    assert_eq!(changes(&server).await.len(), 4);
    server.stop().await;
}

/// Runs it with its standard input on a terminal, and types this when it asks; its code and what the terminal showed.
async fn on_a_terminal(mut command: Command, keys: &'static str) -> (Option<i32>, String) {
    let ran = tokio::task::spawn_blocking(move || {
        let (mut near, mut far) = (0, 0);
        let none = std::ptr::null_mut();
        // SAFETY: openpty writes two numbers; names and sizes are not asked for.
        assert_eq!(unsafe { libc::openpty(&mut near, &mut far, none, std::ptr::null(), std::ptr::null()) }, 0);
        // SAFETY: both have just been opened and belong to nobody else.
        let (mut near, far) = unsafe { (File::from_raw_fd(near), File::from_raw_fd(far)) };
        command.stdin(far.try_clone().unwrap()).stderr(far.try_clone().unwrap()).stdout(Stdio::null());
        let mut child = command.env("SIGNALBOX_LOG", "warn").spawn().unwrap();
        let mut seen = String::new();
        let mut piece = [0; 1024];
        while !seen.contains("Password of ann: ") {
            let length = near.read(&mut piece).unwrap();
            seen += &String::from_utf8_lossy(&piece[..length]);
        }
        near.write_all(keys.as_bytes()).unwrap();
        let code = child.wait().unwrap().code();
        // Nobody has the far end any more, so there is an end to what it showed.
        drop((command, far));
        while let Ok(length @ 1..) = near.read(&mut piece) {
            seen += &String::from_utf8_lossy(&piece[..length]);
        }
        (code, seen)
    });
    tokio::time::timeout(Duration::from_secs(60), ran).await.expect("it asks, and ends").unwrap()
}

#[actix::test]
async fn a_server_that_does_not_take_it_says_what_to_do() {
    let mut without = with("change_hook_dialects={'github': True}").await;
    let mut none = with("authz=util.Authz()").await;
    let mut small = with(&format!("{BASE}, change_hook_max_size=1000")).await;
    let long = "x".repeat(1000);
    for (server, arguments, reasons) in [
        (&without, vec![], ["(400)", "change_hook_dialects={'base': True}"]),
        (&none, vec![], ["(404)", "change_hook_dialects={'base': True}"]),
        (&small, vec!["-c", &long], ["larger than 1000 bytes (413)", "change_hook_max_size"]),
        (&small, vec!["--when", "1e300"], ["it answers 400", "when is not a number of seconds"]),
    ] {
        let master = place(server);
        let said = refused(&run(sendchange(&[&["--master", &master, "-W", "ann"], &arguments[..]].concat())).await, 1);
        let start = format!("signalbox: http://{master}/change_hook/base: the change was not sent: ");
        assert!(said.starts_with(&start) && said.lines().count() == 1, "{said}");
        assert!(reasons.iter().all(|reason| said.contains(reason)), "{said}");
    }
    assert!(changes(&small).await.is_empty());
    for server in [&mut without, &mut none, &mut small] {
        server.stop().await;
    }
}

/// What is meant to be the only answer of a server of one answer.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    place
}

/// Its head, and its body as long as it says it is.
fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse::<usize>().unwrap() {
                return request;
            }
        }
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "it ended in the middle: {text}");
        request.extend_from_slice(&piece[..length]);
    }
}

#[test]
fn answers_of_other_servers_are_told_apart() {
    for (answer, reason) in [
        ("HTTP/1.1 302 Found\r\nLocation: https://b.example.org/\r\nContent-Length: 0\r\n\r\n", "(302): https://b.exa"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "it answers 200, not 202"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nno\x1b[31m!", "it answers 403: no [31m!"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "speaks no HTTP"),
    ] {
        let output = sendchange(&["--master", &answering(answer), "-W", "ann"]).output().unwrap();
        let said = refused(&output, 1);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn nobody_there_is_said_at_once_and_tried_again() {
    let (_taken, place) = nobody();
    let mut child = sendchange(&["--master", &place, "-W", "ann"]).stderr(Stdio::piped()).spawn().unwrap();
    let before = Instant::now();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(before.elapsed() < Duration::from_secs(5), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains(&place) && said.contains("Connection refused"), "{said}");
    assert!(said.contains("trying again in 500ms"), "{said}");
}

#[test]
fn after_a_few_tries_it_gives_up_and_says_why() {
    let (_taken, place) = nobody();
    let said = send_change(&change(&place), &impatient()).unwrap_err().to_string();
    let start = format!("http://{place}/change_hook/base: the change was not sent: cannot connect: Connection refused");
    assert!(said.starts_with(&start), "{said}");
    assert!(said.contains("tried 4 times") && said.contains("is Signalbox running there"), "{said}");
    assert!(!said.contains("may have been taken"), "{said}");

    // Somebody who listens and never answers may have taken it.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = deaf.local_addr().unwrap().to_string();
    let patience = Patience { answer: Duration::from_millis(50), ..impatient() };
    let said = send_change(&change(&place), &patience).unwrap_err().to_string();
    assert!(said.contains("no answer within") && said.contains("tried 4 times"), "{said}");
    assert!(said.contains("may have been taken"), "{said}");
    // So may somebody whose answer broke off.
    let said = send_change(&change(&answering("HTTP/1.1 20")), &impatient()).unwrap_err().to_string();
    assert!(said.contains("tried 4 times") && said.contains("may have been taken"), "{said}");
}

fn impatient() -> Patience {
    let pauses = vec![Duration::from_millis(1); 3];
    Patience { answer: Duration::from_secs(10), pauses, limit: Duration::from_secs(30) }
}

/// A port that is taken, so that nobody else gets it, and at which nobody listens.
fn nobody() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let place = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    (socket, place)
}

fn change(master: &str) -> SendChange {
    SendChange {
        master: master.to_owned(),
        auth: None,
        who: "ann".to_owned(),
        branch: None,
        category: None,
        project: None,
        repository: None,
        codebase: None,
        revision: None,
        revlink: None,
        when: None,
        comments: Some(Text::Given("c".to_owned())),
        properties: Vec::new(),
        encoding: "utf8".to_owned(),
        vc: None,
        files: Vec::new(),
        quiet: true,
    }
}

/// The first connection takes it to the server and loses the answer, the second gets a 503, the third goes through.
#[actix::test]
async fn what_was_taken_and_not_answered_is_not_added_twice() {
    let mut server = with(BASE).await;
    let far = place(&server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = listener.local_addr().unwrap().to_string();
    let (put, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for number in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&mut stream);
            put.send(request.clone()).unwrap();
            if number == 1 {
                stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy").unwrap();
                continue;
            }
            let mut server = TcpStream::connect(&far).unwrap();
            server.write_all(&request).unwrap();
            let mut answer = [0; 1024];
            let length = server.read(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 202 "));
            if number == 2 {
                stream.write_all(&answer[..length]).unwrap();
            }
        }
    });
    let output = run(sendchange(&["--master", &near, "-W", "ann", "-c", "once"])).await;
    sent(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ended without an answer; trying again"), "{said}");
    assert!(said.contains("it answers 503: busy; trying again"), "{said}");
    let key = |request: Vec<u8>| {
        let text = String::from_utf8(request).unwrap();
        text.lines().find(|line| line.to_ascii_lowercase().starts_with("idempotency-key: ")).unwrap().to_owned()
    };
    let keys: Vec<String> = requests.iter().map(key).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(changes(&server).await.len(), 1);
    // Said again on purpose it is another.
    sent(&run(sendchange(&["--master", server.address(), "-W", "ann", "-c", "once"])).await);
    assert_eq!(changes(&server).await.len(), 2);
    server.stop().await;
}

#[actix::test]
async fn a_server_that_is_just_being_restarted_gets_it_all_the_same() {
    let mut server = with(BASE).await;
    let relay = Relay::to(server.address()).await;
    relay.cut();
    let mut child = sendchange(&["--master", &relay.url, "-W", "ann"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let first = tokio::task::spawn_blocking(move || {
        let (mut stderr, mut line) = (BufReader::new(stderr), String::new());
        stderr.read_line(&mut line).unwrap();
        (stderr, line)
    });
    // Held open to the end, so that it can go on telling.
    let (_stderr, said) = first.await.unwrap();
    assert!(said.contains("trying again"), "{said}");
    server.kill_and_restart().await;
    relay.lead_to(server.address());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    sent(&output);
    assert_eq!(changes(&server).await.len(), 1);
    server.stop().await;
}

#[test]
fn wrong_arguments_are_said_and_nothing_is_sent() {
    let (_taken, place) = nobody();
    let cases: [(&[&str], &str); 14] = [
        (&[], "--who"),
        (&["-W", ""], "--who: it is empty"),
        (&["-W", "ann", "--master", "build.example.org"], "--master: expected HOST:PORT"),
        (&["-W", "ann", "--master", "https://build.example.org"], "--master: https cannot be used"),
        (&["-W", "ann", "--master", "http://ann:hush@localhost"], "--master: a user and a password"),
        (&["-W", "ann", "--auth", ":hush"], "--auth: the user is missing"),
        (&["-W", "ann", "--property", "colour"], "--property: \"colour\" is not NAME:VALUE"),
        (&["-W", "ann", "--when", "yesterday"], "--when: \"yesterday\" is not a number"),
        (&["-W", "ann", "--encoding", "klingon"], "--encoding: \"klingon\""),
        (&["-W", "ann", "--vc", "sccs"], "cvs, svn, darcs, hg, bzr, git, mtn, p4"),
        (&["-W", "ann", "--logfile", "/nowhere/at/all"], "cannot read /nowhere/at/all"),
        (&["-W", "ann", "--logfile", "-", "--comments", "c"], "cannot be used with"),
        (&["-W", "ann", "--revision", "1", "--revision-file", "f"], "cannot be used with"),
        (&["-W", "ann", "--colour", "red"], "--colour"),
    ];
    for (arguments, reason) in cases {
        let with_master = if arguments.contains(&"--master") { vec![] } else { vec!["--master", place.as_str()] };
        let output = sendchange(&[&with_master, arguments].concat()).output().unwrap();
        let said = refused(&output, 2);
        assert!(said.contains(reason) && !said.contains("hush"), "{arguments:?}: {said}");
    }
}
