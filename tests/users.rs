//! Users: authors of changes become users, `signalbox user` makes and changes them, pages show them.

use crate::support::delivery;
use crate::support::repository::Repository;
use crate::support::server::{Answer, Server, signalbox};
use crate::support::site::{Site, history};
use crate::support::wait::{eventually, until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use signalbox::db::{Db, Location, changes, users};
use signalbox::model::*;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A master that builds nothing, whose web server takes changes and shows users, with whatever else is given.
fn config(more: &str) -> String {
    format!(
        "c = BuildmasterConfig = {{}}\n\
         c['workers'] = [worker.LocalWorker('w')]\n\
         c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=util.BuildFactory([]))]\n\
         c['schedulers'] = []\n\
         c['status'] = [status.WebStatus('tcp:0:interface=127.0.0.1', \
         change_hook_dialects={{'base': True, 'github': True}}, \
         authz=util.Authz(showUsersPage=True, showInternals=True))]\n\
         c['user_managers'] = []\n\
         {more}\n"
    )
}

fn manager(name: &str, passwd: &str, port: &str) -> String {
    format!("c['user_managers'].append(util.CommandlineUserManager('{name}', '{passwd}', '{port}'))\n")
}

const ANYWHERE: &str = "tcp:0:interface=127.0.0.1";

/// With one manager, whose username is `ann` and whose password `wo:rd`.
async fn usual() -> Server {
    Server::start(&config(&manager("ann", "wo:rd", ANYWHERE))).await
}

/// `127.0.0.1:PORT` of every manager that runs, in the order they were started.
async fn managers(server: &Server) -> Vec<String> {
    let reports = server.json("/json/supervision").await;
    let paths = reports.as_array().unwrap().iter().map(|report| report["path"].as_str().unwrap().to_owned());
    let ports = paths.filter_map(|path| Some(path.strip_prefix("status/CommandlineUserManager:")?.to_owned()));
    ports.map(|port| format!("127.0.0.1:{port}")).collect()
}

fn command(master: &str, arguments: &[&str]) -> Command {
    let mut command = signalbox();
    command.arg("user").args(arguments).args(["--master", master]).stdin(Stdio::null());
    command.env_remove("SIGNALBOX_PASSWORD").env_remove("SIGNALBOX_BB_PASSWORD");
    command
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The command with the right login.
async fn user(master: &str, arguments: &[&str]) -> Output {
    run(command(master, &[arguments, &["--username", "ann", "--passwd", "wo:rd"]].concat())).await
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it said of why not.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with("signalbox: ") || code == 2, "{said}");
    said
}

async fn sendchange(server: &Server, arguments: &[&str]) {
    let mut command = signalbox();
    command.args(["sendchange", "-q", "--master", server.address()]).args(arguments).stdin(Stdio::null());
    let output = run(command).await;
    assert!(output.status.success(), "{output:?}");
}

/// Everybody, as the database has them; the server must have ended.
fn stored(server: &Server) -> Vec<User> {
    let db = Db::open(&Location::parse("sqlite:///state.sqlite", server.basedir()).unwrap()).unwrap();
    db.read_blocking(|conn| users::after(conn, 0, 1_000)).unwrap()
}

/// Puts this configuration in force, as an operator does; what went wrong.
fn reconfig(server: &Server, config: &str) -> Result<(), String> {
    std::fs::write(server.config_file(), config).unwrap();
    let done = signalbox().arg("reconfig").arg(server.basedir()).output().unwrap();
    if done.status.success() { Ok(()) } else { Err(server.errors()) }
}

#[actix::test]
async fn people_are_added_changed_shown_and_removed() {
    let mut server = usual().await;
    let master = managers(&server).await.remove(0);
    let two =
        ["add", "--info=svn=jschmo,git=Schmo, Joe <joe@schmo.com>", "--info", "git=Ann <ann@x.org>,identifier=ann"];
    assert_eq!(done(&user(&master, &two).await), "user 1: added jschmo\nuser 2: added ann\n");
    let joe = "jschmo\n  uid: 1\n  git: Schmo, Joe <joe@schmo.com>\n  svn: jschmo\n";
    let ann = "ann\n  uid: 2\n  git: Ann <ann@x.org>\n";
    assert_eq!(done(&user(&master, &["get", "--ids=jschmo,ann"]).await), format!("{joe}{ann}"));

    // 0.8's way to say it, and its example.
    let update = ["--op=update", "--info=jschmo:git=Joseph Schmo <joe@schmo.com>,email=joe@schmo.com,svn="];
    assert_eq!(done(&user(&master, &update).await), "user 1: updated jschmo\n");
    let login = ["--op=update", "--bb_username=joe", "--bb_password=hush-hush", "--info=jschmo"];
    assert_eq!(done(&user(&master, &login).await), "user 1: updated jschmo\n");
    assert_eq!(done(&user(&master, &["update", "--info", "jschmo:identifier=Joe, Schmo"]).await).lines().count(), 1);
    let joe = "Joe, Schmo\n  uid: 1\n  bb_username: joe\n  email: joe@schmo.com\n  \
               git: Joseph Schmo <joe@schmo.com>\n";
    assert_eq!(done(&user(&master, &["--op=get", "--ids=\"Joe, Schmo\""]).await), joe);

    assert_eq!(done(&user(&master, &["remove", "--ids", "ann"]).await), "user 2: removed ann\n");
    assert!(refused(&user(&master, &["get", "--ids=ann"]).await, 1).contains("there is no user \"ann\""));
    assert_eq!(done(&user(&master, &["add", "--info=identifier=ann"]).await), "user 3: added ann\n");

    let told = server.events().await;
    let of_users: Vec<&Value> =
        told.iter().filter(|event| event["event"].as_str().unwrap().starts_with("user")).collect();
    let names: Vec<&str> = of_users.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["userChanged", "userChanged", "userChanged", "userChanged", "userChanged", "userRemoved", "userChanged"]
    );
    assert_eq!(of_users[4]["user"]["identifier"], "Joe, Schmo");
    assert_eq!((&of_users[5]["identifier"], &of_users[5]["uid"]), (&json!("ann"), &json!(2)));
    let text = json!(told).to_string();
    assert!(!text.contains("bb_password") && !text.contains("$2"), "{text}");
    server.stop().await;
    let joe = stored(&server).remove(0);
    let hash = joe.bb_password.unwrap();
    assert!(hash.starts_with("$2") && !hash.contains("hush"), "{hash}");
}

#[actix::test]
async fn what_cannot_be_is_said_and_the_rest_is_done() {
    let mut server = usual().await;
    let master = managers(&server).await.remove(0);
    done(&user(&master, &["add", "--info=svn=joe", "--info=svn=ann"]).await);
    done(&user(&master, &["update", "--info=joe", "--bb_username=jo", "--bb_password=x"]).await);

    let output = user(&master, &["add", "--info=svn=joe", "--info=svn=bob"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "user 3: added bob\n");
    assert_eq!(refused(&output, 1), "signalbox: the identifier \"joe\" is taken by user 1\n");

    let long = format!("svn={}", "x".repeat(501));
    let long_password = "x".repeat(73);
    for (arguments, reason) in [
        (&["remove", "--ids=eve,dan"] as &[&str], "there is no user \"eve\"\nsignalbox: there is no user \"dan\""),
        (&["update", "--info=eve:svn=x"], "there is no user \"eve\""),
        (&["update", "--info=ann:identifier=joe"], "the identifier \"joe\" is taken by user 1"),
        (&["update", "--info=ann", "--bb_username=jo", "--bb_password=x"], "bb_username \"jo\" is taken by \"joe\""),
        (&["update", "--info=ann", "--bb_username=a:b", "--bb_password=x"], "nor is there a colon"),
        (&["update", "--info=ann", "--bb_username=a", "--bb_password", &long_password], "from 1 to 72 bytes"),
        (&["add", "--info=email=joe@x.org\r\nBcc: all@x.org"], "line break"),
        (&["add", "--info=email=Joe <joe@x.org>"], "no bare mail address"),
        (&["add", &format!("--info={long}")], "more than 500 characters"),
        (&["add", "--info=uid=7"], "uid is no attribute"),
        (&["add", "--info=identifier=,svn=x"], "the identifier is empty"),
    ] {
        let said = refused(&user(&master, arguments).await, 1);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    server.stop().await;
    let there = stored(&server);
    assert_eq!(there.iter().map(|user| &*user.identifier).collect::<Vec<_>>(), ["joe", "ann", "bob"]);
}

#[test]
fn wrong_arguments_are_said_and_nobody_is_asked() {
    let common = ["--username", "ann", "--passwd", "hush"];
    let cases: [(&[&str], &str); 17] = [
        (&[], "<OP>"),
        (&["show", "--ids=a"], "[possible values: add, update, remove, get]"),
        (&["add", "--op=get", "--ids=a"], "cannot be used with"),
        (&["add"], "--info: add needs one for each user"),
        (&["get"], "--ids: get needs the identifiers"),
        (&["add", "--info=svn=a", "--ids=a"], "--ids: it is not for add"),
        (&["remove", "--ids=a", "--info=a:svn=b"], "--info: it is not for remove"),
        (&["add", "--info=joe"], "--info: \"joe\" is not TYPE=VALUE"),
        (&["add", "--info=a=b,a=c"], "says twice what a is"),
        (&["update", "--info=svn=a"], "does not say whose it is"),
        (&["update", "--info=joe"], "changes nothing"),
        (&["remove", "--ids=a,,b"], "--ids: an identifier is empty"),
        (&["add", "--info=a=b", "--bb_username=a", "--bb_password=b"], "--bb_username: it is for update"),
        (&["update", "--info=a", "--bb_password=hush"], "--bb_password: it is nobody's"),
        (&["update", "--info=a", "--bb_username=b"], "--bb_password: the password is missing"),
        (&["update", "--info=a", "--info=b", "--bb_username=b", "--bb_password=c"], "give one --info"),
        (&["get", "--ids=a", "--colour"], "--colour"),
    ];
    for (arguments, reason) in cases {
        let said = refused(&command("127.0.0.1:1", &[arguments, &common].concat()).output().unwrap(), 2);
        assert!(said.contains(reason) && !said.contains("hush"), "{arguments:?}: {said}");
    }
    for (master, arguments, reason) in [
        ("build.example.org", &common[..], "--master: expected HOST:PORT"),
        ("ann:hush@localhost:1", &common, "--master: a user and a password"),
        ("127.0.0.1:1", &["--username", "ann"], "--passwd: the password is missing"),
        ("127.0.0.1:1", &["--username", "a:b", "--passwd=c"], "--username: it is neither empty"),
        ("127.0.0.1:1", &[], "--username"),
    ] {
        let said = refused(&command(master, &[&["get", "--ids=a"], arguments].concat()).output().unwrap(), 2);
        assert!(said.contains(reason) && !said.contains("hush"), "{master}: {said}");
    }
}

#[actix::test]
async fn who_is_not_a_user_manager_is_told_apart() {
    let mut server = usual().await;
    let web = server.address().trim_start_matches("http://").to_owned();
    let said = refused(&user(&web, &["get", "--ids=a"]).await, 1);
    assert!(said.starts_with(&format!("signalbox: http://{web}/users: there is no user manager (405)")), "{said}");
    server.stop().await;

    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = deaf.local_addr().unwrap().to_string();
    drop(deaf);
    let said = refused(&user(&nobody, &["get", "--ids=a"]).await, 1);
    assert!(said.contains("cannot connect: Connection refused") && said.contains("CommandlineUserManager"), "{said}");
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "what answers there is no user manager"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"users\":[]}", "what answers there is no user manager"),
        ("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\n\x1b[1m", "it answers 500:  [1m"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "speaks no HTTP"),
        ("", "it may have been done all the same"),
    ] {
        let said = refused(&user(&answering(answer), &["get", "--ids=a"]).await, 1);
        assert!(said.contains(reason), "{answer}: {said}");
    }
}

/// Where whoever comes first is answered this.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::Read;
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        // The body is the last thing that comes.
        while !request.ends_with(b"}") {
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "it ended in the middle");
            request.extend_from_slice(&piece[..length]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
    });
    place
}

#[actix::test]
async fn passwords_stay_out_of_sight() {
    let mut server = usual().await;
    let master = managers(&server).await.remove(0);
    done(&user(&master, &["add", "--info=svn=joe"]).await);
    let mut update = command(&master, &["update", "--info=joe", "--bb_username=joe", "--username=ann"]);
    update.env("SIGNALBOX_PASSWORD", "wo:rd").env("SIGNALBOX_BB_PASSWORD", "hush-hush").env("SIGNALBOX_LOG", "trace");
    let output = run(update).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let secrets = ["hush-hush".to_owned(), "wo:rd".to_owned(), STANDARD.encode("ann:wo:rd")];
    assert!(secrets.iter().all(|secret| !said.contains(secret)), "{said}");

    let wrong = refused(&run(command(&master, &["get", "--ids=a", "--username=ann", "--passwd=hush-hush"])).await, 1);
    assert!(wrong.contains("(401)") && wrong.contains("c['user_managers']") && !wrong.contains("hush"), "{wrong}");
    eventually(|| server.errors().contains("127.0.0.1 gave a wrong name or password")).await;
    assert!(!server.errors().contains("hush"), "{}", server.errors());
    server.stop().await;
}

/// Says this to a manager.
async fn ask(master: &str, method: &str, login: Option<&str>, kind: &str, body: &str) -> (u16, Option<String>, String) {
    let client = awc::Client::builder().timeout(LIMIT).finish();
    let mut request = client.request(method.parse().unwrap(), format!("http://{master}/users"));
    if let Some(login) = login {
        request = request.insert_header(("Authorization", format!("Basic {}", STANDARD.encode(login))));
    }
    let mut answer = request.insert_header(("Content-Type", kind)).send_body(body.to_owned()).await.unwrap();
    let wait = answer.headers().get("Retry-After").map(|wait| wait.to_str().unwrap().to_owned());
    let text = String::from_utf8(answer.body().await.unwrap().to_vec()).unwrap();
    (answer.status().as_u16(), wait, text)
}

#[actix::test]
async fn guessing_is_slow_and_ends_with_the_right_password() {
    let mut server = usual().await;
    let master = managers(&server).await.remove(0);
    let guess = async |login: &'static str| ask(&master, "POST", Some(login), "application/json", "").await;
    for login in ["ann:a", "bob:wo:rd", "ann:", "Ann:wo:rd"] {
        assert_eq!(guess(login).await.0, 401, "{login}");
    }
    // From here on not even the right one is looked at, for a while.
    let (status, wait, _) = guess("ann:wo:rd").await;
    assert_eq!((status, wait.as_deref()), (429, Some("1")));
    // Whoever knows it waits and gets through.
    let output = user(&master, &["add", "--info=svn=joe"]).await;
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"user 1: added joe\n"[..]), "{output:?}");
    assert_eq!(guess("ann:a").await.0, 401);
    assert_eq!(guess("ann:wo:rd").await.0, 400, "nobody waits for a mistake or two");
    server.stop().await;
}

#[actix::test]
async fn what_is_no_request_is_refused_and_bounded() {
    let mut server = usual().await;
    let master = managers(&server).await.remove(0);
    let right = Some("ann:wo:rd");
    let json = "application/json";
    assert_eq!(ask(&master, "GET", right, json, "").await.0, 404);
    assert_eq!(ask(&master, "POST", None, json, "{}").await.0, 401);
    assert_eq!(ask(&master, "POST", right, "text/plain", "{}").await.0, 415);
    let large = format!("{{\"op\":\"get\",\"ids\":[\"{}\"]}}", "x".repeat(1 << 20));
    assert_eq!(ask(&master, "POST", right, json, &large).await.0, 413);
    let many = json!({ "op": "get", "ids": vec!["x"; 1_001] }).to_string();
    let deep = "[".repeat(100_000);
    for body in ["", "null", "{\"op\":\"burn\"}", "{\"op\":\"get\"}", "{\"op\":\"get\",\"ids\":[1]}", &many, &deep] {
        let (status, _, text) = ask(&master, "POST", right, json, body).await;
        assert!(status == 400 && text.lines().count() == 1 && text.len() < 300, "{body:.50}: {status} {text}");
    }
    // Half a request holds nobody up.
    let mut half = TcpStream::connect(&master).unwrap();
    half.write_all(b"POST /users HTTP/1.1\r\nHost: x\r\n").unwrap();
    assert_eq!(done(&user(&master, &["add", "--info=svn=joe"]).await), "user 1: added joe\n");
    drop(half);
    server.stop().await;
}

#[actix::test]
async fn managers_come_and_go_with_their_sections() {
    let both = config(&(manager("ann", "one", ANYWHERE) + &manager("bob", "two", ANYWHERE)));
    let mut server = Server::start(&both).await;
    let there = managers(&server).await;
    assert_eq!(there.len(), 2, "{}", server.errors());
    let get = async |master: &str, name: &str, passwd: &str| {
        let output = run(command(master, &["get", "--ids=x", "--username", name, "--passwd", passwd])).await;
        refused(&output, 1)
    };
    for (master, name, passwd, reason) in [
        (&there[0], "ann", "one", "there is no user"),
        (&there[0], "bob", "two", "(401)"),
        (&there[1], "bob", "two", "there is no user"),
    ] {
        let said = get(master, name, passwd).await;
        assert!(said.contains(reason), "{said}");
    }
    // The first has another password; the second is left alone, or its port would be another.
    reconfig(&server, &both.replace("'one'", "'three'")).unwrap();
    let now = managers(&server).await;
    assert!(now.len() == 2 && now.contains(&there[1]) && !now.contains(&there[0]), "{now:?} {there:?}");
    let first = now.iter().find(|master| **master != there[1]).unwrap();
    assert!(get(first, "ann", "three").await.contains("there is no user"));
    assert!(get(&there[0], "ann", "one").await.contains("cannot connect"));

    // A port that is taken is the matter of this manager alone.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let beside = manager("eve", "four", &format!("tcp:{port}:interface=127.0.0.1"));
    let with_taken = config(&(beside + &manager("bob", "two", ANYWHERE)));
    let said = reconfig(&server, &with_taken).unwrap_err();
    assert!(
        said.contains(&format!("CommandlineUserManager: cannot listen on 127.0.0.1:{port}: address in use")),
        "{said}"
    );
    assert_eq!(managers(&server).await, [there[1].clone()]);
    let down = server.json("/json/supervision").await;
    let down = down.as_array().unwrap().iter().find(|report| report["state"] == "not started").unwrap().clone();
    assert_eq!(down["path"], "status/CommandlineUserManager");
    assert!(down["last_reason"].as_str().unwrap().contains("address in use"), "{down}");
    server.stop().await;
    // Nor does it keep the others from being started, and it comes as soon as it can.
    server.restart();
    assert_eq!(managers(&server).await.len(), 1);
    drop(taken);
    reconfig(&server, &with_taken).unwrap();
    assert!(get(&format!("127.0.0.1:{port}"), "eve", "four").await.contains("there is no user"));
    reconfig(&server, &config("")).unwrap();
    assert_eq!(managers(&server).await, [""; 0]);
    server.stop().await;
}

#[actix::test]
async fn authors_of_changes_become_users() {
    let repository = Repository::new();
    let poller =
        format!("c['change_source'] = changes.GitPoller('{}', pollInterval=0.2, pollAtLaunch=True)", repository.url());
    let mut server = Server::start(&config(&(manager("ann", "wo:rd", ANYWHERE) + &poller))).await;
    let master = managers(&server).await.remove(0);
    done(&user(&master, &["add", "--info=identifier=carl,email=carl@home.org"]).await);
    done(&user(&master, &["add", "--info=identifier=dora,svn=dora2"]).await);

    let push = delivery::named("github/push");
    assert_eq!(push.send(&server, 0).await.unwrap().status, 202);
    // Until the first look is over, what is there makes no changes.
    until("a commit to be noticed", LIMIT, || async {
        repository.commit("more", &[]);
        server
            .json("/json/changes")
            .await
            .as_array()
            .unwrap()
            .iter()
            .any(|change| change["who"].as_str().unwrap().starts_with("Ann Example"))
            .then_some(())
    })
    .await;
    for _ in 0..2 {
        sendchange(&server, &["--who", "Bob <bob@example.org>", "--vc", "hg"]).await;
    }
    sendchange(&server, &["--who", "carl", "--vc", "svn"]).await;
    sendchange(&server, &["--who", "dora", "--vc", "svn"]).await;
    sendchange(&server, &["--who", "nobody knows of what"]).await;
    let long = format!("author={}&comments=c&src=git", "x".repeat(5_000));
    for form in ["author=eve&comments=c&src=sccs", "author=%0d%0a&comments=c&src=git", &long] {
        assert_eq!(server.post("/change_hook/base", form).await.0, 202, "{form:.80}");
    }
    // Many that come at once, and nobody has been there before.
    let racing = (0..30).map(|number| {
        let form = format!("author=racer+{}&comments=c&src=cvs", number % 3);
        let server = &server;
        async move { server.post("/change_hook/base", &form).await.0 }
    });
    assert!(futures::future::join_all(racing).await.iter().all(|status| *status == 202));
    server.stop().await;

    let there = stored(&server);
    let of = |identifier: &str| {
        let found: Vec<&User> = there.iter().filter(|user| user.identifier == identifier).collect();
        assert_eq!(found.len(), 1, "{identifier}: {there:?}");
        json!(found[0].attributes)
    };
    let ann = "Ann Example <ann@example.org>";
    assert_eq!(of(ann), json!({ "git": ann, "email": "ann@example.org" }));
    let bob = "Bob <bob@example.org>";
    assert_eq!(of(bob), json!({ "hg": bob, "email": "bob@example.org" }));
    assert_eq!(of("carl"), json!({ "svn": "carl", "email": "carl@home.org" }));
    assert_eq!(of("dora"), json!({ "svn": "dora2" }));
    let authors: Vec<String> = pushed(&push).await;
    authors.iter().for_each(|author| assert_eq!(of(author)["git"], json!(author)));
    (0..3).for_each(|number| assert_eq!(of(&format!("racer {number}")), json!({ "cvs": format!("racer {number}") })));
    assert_eq!(there.len(), 7 + authors.len(), "{there:?}");
}

/// The authors of what a delivery pushes.
async fn pushed(push: &delivery::Delivery) -> Vec<String> {
    let said = signalbox::changes::hooks::read(&push.dialect, &push.configured(), &push.request, Time(0)).await;
    let authors: BTreeSet<String> = said.unwrap().changes.into_iter().map(|change| change.who).collect();
    authors.into_iter().collect()
}

/// However it is killed, a change and its author are there both or neither.
#[actix::test]
async fn no_kill_parts_a_change_from_its_author() {
    let mut server = Server::start(&config("")).await;
    for round in 0..8 {
        let posts = (0..6).map(|number| {
            let form = format!("author=author+{round}.{number}&comments=c&src=git");
            let server = &server;
            async move {
                let kind = ("Content-Type", "application/x-www-form-urlencoded");
                server
                    .send(0, "POST", "/change_hook/base", &[kind], form.into())
                    .await
                    .map(|answer: Answer| answer.status)
            }
        });
        let mut posts: Vec<_> = posts.map(Box::pin).collect();
        // The kill comes while the others are on their way.
        let first = posts.remove(0).await.unwrap();
        assert_eq!(first, 202);
        {
            let rest = futures::future::join_all(posts);
            let one = server.send(0, "GET", "/json/changes?count=1", &[], bytes::Bytes::new());
            drop(futures::future::select(Box::pin(rest), Box::pin(one)).await);
        }
        server.kill();
        let db = Db::open(&Location::parse("sqlite:///state.sqlite", server.basedir()).unwrap()).unwrap();
        let (changes, users) =
            db.read_blocking(|conn| Ok((changes::after(conn, 0, 1_000)?, users::after(conn, 0, 1_000)?))).unwrap();
        let authors: BTreeSet<String> = changes.into_iter().map(|change| change.who).collect();
        let known: BTreeSet<String> = users.into_iter().map(|user| user.attributes["git"].clone()).collect();
        assert!(authors.len() > round && authors == known, "{authors:?}\n{known:?}");
        db.close().await;
        server.restart();
    }
    server.stop().await;
}

#[actix::test]
async fn who_is_given_a_password_can_log_in_with_it() {
    let accounts = config(&manager("ann", "wo:rd", ANYWHERE))
        .replace("authz=util.Authz(", "authz=util.Authz(auth=util.UsersAuth(), forceBuild='auth', ");
    let mut server = Server::start(&accounts.replace("showUsersPage=True", "showUsersPage='auth'")).await;
    let master = managers(&server).await.remove(0);
    done(&user(&master, &["add", "--info=svn=joe"]).await);
    let status = async |login: &str| {
        let basic = format!("Basic {}", STANDARD.encode(login));
        server.ask("/users", &[("Authorization", &basic)], None).await.status
    };
    assert_eq!(status("joe:first:one").await, 401);
    let update = |password: &'static str| {
        let master = master.clone();
        async move {
            let login = ["update", "--info=joe", "--bb_username=joe", "--bb_password", password];
            done(&user(&master, &login).await);
        }
    };
    update("first:one").await;
    assert_eq!((status("joe:first:one").await, status("joe:second").await), (200, 401));
    // What was right a moment ago is not any more.
    update("second").await;
    assert_eq!((status("joe:first:one").await, status("joe:second").await), (401, 200));
    done(&user(&master, &["remove", "--ids=joe"]).await);
    assert_eq!(status("joe:second").await, 401);
    // A browser is asked for a name.
    let answer = server.ask("/users", &[], None).await;
    assert!(answer.status == 401 && answer.header("WWW-Authenticate").unwrap().starts_with("Basic "), "{answer:?}");
    server.stop().await;
}

#[actix::test]
async fn pages_show_users_to_those_who_may() {
    let site = Site::start("authz=util.Authz(showUsersPage=True)", history()).await;
    assert_eq!(site.get("/users").await.texts(".empty").len(), 1);
    let mut some: Vec<User> = (1..=3)
        .map(|uid| User { uid, ..User::of_author(Vcs::Git, &format!("Joe <b>{uid} <joe@host{uid}.example.org>")) })
        .collect();
    some[1].bb_username = Some("joe".to_owned());
    some[1].bb_password = Some("$2hash".to_owned());
    site.server.db.write(move |conn| some.iter().try_for_each(|user| users::put(conn, user))).await.unwrap();

    for path in ["/users", "/users/", "/users/table", "/users/table/"] {
        let page = site.get(path).await;
        assert_eq!(page.texts("tbody td"), ["1", "Joe <b>1 <joe@…>", "2", "Joe <b>2 <joe@…>", "3", "Joe <b>3 <joe@…>"]);
        let up = "../".repeat(path.matches('/').count() - 1);
        let root = if up.is_empty() { "./" } else { &up };
        assert_eq!(page.attributes("tbody a", "href")[1], format!("{root}users/2"), "{path}");
        assert_eq!(page.texts("nav.bar a[aria-current=page]"), ["Users"]);
    }
    let first = site.get("/users?count=2").await;
    assert_eq!(first.texts("tbody a"), ["1", "2"]);
    let next = first.attributes("a[rel=next]", "href").remove(0);
    assert_eq!(site.get(&format!("/users{next}")).await.texts("tbody a"), ["3"]);
    for path in ["/users/2", "/users/2/", "/users/table/2", "/users/table/2/"] {
        let page = site.get(path).await;
        assert_eq!(page.texts("h1"), ["User Joe <b>2 <joe@…>"]);
        assert_eq!(page.texts("tbody th"), ["bb_username", "email", "git"]);
        assert_eq!(page.texts("tbody td"), ["joe", "joe@…", "Joe <b>2 <joe@…>"]);
        assert!(!page.text.contains("host2") && !page.text.contains("$2hash"), "{}", page.text);
    }
    for path in ["/users/4", "/users/x", "/users/table/9999999999999999999", "/users/-1"] {
        let page = site.get(path).await;
        assert_eq!(page.status.as_u16(), 404, "{path}");
        assert!(page.text.contains("all users"), "{}", page.text);
    }
    assert_eq!(site.get("/users?after=x").await.status.as_u16(), 400);
    site.stop().await;

    let site = Site::usual().await;
    for path in ["/users", "/users/table", "/users/1", "/users/table/1", "/users/77"] {
        let answer = site.get(path).await;
        assert!(answer.status.as_u16() == 302 && answer.header("location").ends_with("authzfail"), "{path}");
    }
    assert!(!site.get("/").await.texts("nav.bar a").contains(&"Users".to_owned()));
    site.stop().await;
}
