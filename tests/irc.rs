//! An IRC bot of the whole server, on real networks.

use crate::support::atheme::Atheme;
use crate::support::inspircd::Inspircd;
use crate::support::irc_client::IrcClient;
use crate::support::irc_scene::meet;
use crate::support::ngircd::Ngircd;
use crate::support::relay::Relay;
use crate::support::server::{Server, signalbox};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// `docs` is built at once, `broken` fails.
fn config(port: u16, nick: &str, options: &str) -> String {
    format!(
        "
c = BuildmasterConfig = {{}}
c['buildbotURL'] = 'http://ci.example.org/'
c['workers'] = [worker.LocalWorker('w')]
def build(name, command):
    return util.BuilderConfig(name=name, workernames=['w'], factory=util.BuildFactory([steps.ShellCommand(command=command)]))
c['builders'] = [build('docs', ['true']), build('broken', ['false'])]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['docs', 'broken'])]
c['status'] = [
    status.WebStatus('tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True, showInternals=True)),
    status.IRC('127.0.0.1', '{nick}', port={port}, lostDelay=0.2, failedDelay=0.2, {options}),
]
"
    )
}

async fn ask(person: &mut IrcClient, question: &str) -> String {
    person.say("#widget", &format!("bb: {question}"));
    person.expect_from("bb").await
}

/// Somebody in `#widget`, and the bot with them.
async fn person(irc: &Ngircd, nick: &str) -> IrcClient {
    let mut person = irc.client(nick).await;
    person.join("#widget").await;
    meet(&mut person).await;
    person
}

async fn build(server: &Server, builder: &str, number: i64) {
    server.post(&format!("/builders/{builder}/force"), "forcescheduler=force").await;
    server.finished(builder, number).await;
}

#[actix::test]
async fn what_is_set_and_what_was_missed_outlive_restarts() {
    let mut irc = Ngircd::start().await;
    let way = Relay::to(&format!("127.0.0.1:{}", irc.port)).await;
    let mut server = Server::start(&config(way.port(), "bb", "channels=['#widget'], allowForce=True")).await;
    let mut carol = person(&irc, "carol").await;
    assert_eq!(ask(&mut carol, "notify on failure").await, "The following events are being notified: ['failure']");
    assert_eq!(ask(&mut carol, "force build broken to see it fail").await, "build #0 forced");
    assert_eq!(carol.expect_from("bb").await, "I'll give a shout when the build finishes");
    let failed = "build #0 of broken is complete: Failure [\u{3}04failed shell\u{f}]  \
                  Build details are at http://ci.example.org/builders/broken/builds/0";
    assert_eq!(carol.expect_from("bb").await, failed);

    irc.kill();
    irc.restart().await;
    let mut carol = person(&irc, "carol").await;
    build(&server, "docs", 0).await;
    build(&server, "broken", 1).await;
    assert!(carol.expect_from("bb").await.starts_with("build #1 of broken is complete: Failure"));

    // Away while builds end, and Signalbox is restarted before it is back.
    let before = way.turned_away();
    way.cut();
    crate::support::wait::eventually(|| way.turned_away() > before).await;
    build(&server, "docs", 1).await;
    build(&server, "broken", 2).await;
    server.stop().await;
    server.restart();
    way.lead_to(&format!("127.0.0.1:{}", irc.port));
    assert_eq!(carol.expect_from("bb").await, "while I was away: 1 build finished, 1 failed (broken #2)");
    assert_eq!(ask(&mut carol, "mute").await, "Shutting up for now.");
    server.stop().await;
    carol.expect(" QUIT ").await;
    server.restart();
    meet(&mut carol).await;
    build(&server, "broken", 3).await;
    carol.say("#widget", "bb: version");
    assert_eq!(ask(&mut carol, "unmute").await, "I'm baaaaaaaaaaack!");
    assert_eq!(ask(&mut carol, "notify list").await, "The following events are being notified: ['failure']");
    server.stop().await;
}

#[actix::test]
async fn it_comes_back_within_its_delays_however_it_was_thrown_out() {
    let mut irc = Ngircd::start().await;
    let mut server = Server::start(&config(irc.port, "bb", "channels=['#widget']")).await;
    let _carol = person(&irc, "carol").await;
    irc.stop();
    irc.restart().await;
    let mut carol = person(&irc, "carol").await;
    let mut operator = irc.operator().await;
    irc.kline(&mut operator, "bb", 2).await;
    carol.expect(" QUIT ").await;
    let out = Instant::now();
    meet(&mut carol).await;
    assert!(out.elapsed() < Duration::from_secs(30), "{:?}", out.elapsed());
    assert!(ask(&mut carol, "version").await.starts_with("signalbox-"));
    // The pages never noticed.
    assert_eq!(server.get("/").await.0, 200);
    server.stop().await;
}

#[actix::test]
async fn a_reconfig_leaves_it_where_it_is() {
    let irc = Ngircd::start().await;
    let options = "channels=['#widget', '#gone'], notify_events=['finished']";
    let mut server = Server::start(&config(irc.port, "bb", options)).await;
    let mut carol = person(&irc, "carol").await;
    let mut dave = irc.client("dave").await;
    dave.join("#gone").await.join("#new").await;

    let reconfig = |text: &str| {
        std::fs::write(server.config_file(), text).unwrap();
        let done = signalbox().arg("reconfig").arg(server.basedir()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let options = "channels=['#widget', '#new'], notify_events=['failure'], useColors=False";
    reconfig(&config(irc.port, "bb", options));
    dave.expect(":bb!").await;
    let seen = || dave.seen().iter().filter(|line| line.starts_with(":bb!")).cloned().collect::<Vec<_>>();
    crate::support::wait::eventually(|| {
        let seen = seen();
        seen.iter().any(|line| line.contains(" PART ") && line.contains("#gone"))
            && seen.iter().any(|line| line.contains(" JOIN ") && line.contains("#new"))
    })
    .await;
    build(&server, "docs", 0).await;
    build(&server, "broken", 0).await;
    let failed = "build #0 of broken is complete: Failure [failed shell]  \
                  Build details are at http://ci.example.org/builders/broken/builds/0";
    assert_eq!(carol.expect_from("bb").await, failed);
    assert!(!carol.seen().iter().any(|line| line.contains(" QUIT ")), "{:?}", carol.seen());

    // Another nick is another connection.
    reconfig(&config(irc.port, "cc", options));
    let quit = carol.expect(" QUIT ").await;
    assert!(quit.starts_with(":bb!") && quit.contains("buildmaster reconfigured: bot disconnecting"), "{quit}");
    carol.expect(":cc!").await;
    reconfig(&config(irc.port, "cc", options).replace("    status.IRC", "    # status.IRC"));
    carol.expect(" QUIT ").await;
    server.stop().await;
}

#[actix::test]
async fn orders_are_taken_from_accounts_and_not_from_nicks() {
    let irc = Inspircd::start().await;
    let services = Atheme::start(&irc).await;
    let options = "channels=['#widget'], allowForce=True, allowShutdown=True, \
                   authz=util.Authz(forceBuild=['ann'], cleanShutdown=lambda user: user == 'ann', joinChannel='auth')";
    let mut server = Server::start(&config(irc.port, "bb", options)).await;
    let mut ann = services.account("ann", "pass-word").await;
    let mut bob = services.account("bob", "pass-word").await;
    let mut eve = irc.client("eve").await;
    for person in [&mut ann, &mut bob, &mut eve] {
        person.join("#widget").await;
        meet(person).await;
    }
    eve.say("bb", "force build docs why");
    assert_eq!(eve.expect_from("bb").await, "sorry, you may not force builds: log in to services first");
    eve.say("bb", "join #elsewhere");
    let refused = "sorry, you may not send me into channels or out of them: log in to services first";
    assert_eq!(eve.expect_from("bb").await, refused);
    bob.say("bb", "force build docs why");
    assert_eq!(bob.expect_from("bb").await, "sorry, you may not force builds");
    bob.say("bb", "shutdown now");
    assert_eq!(bob.expect_from("bb").await, "sorry, you may not shut the master down");
    bob.say("bb", "join #elsewhere");
    assert_eq!(bob.expect_from("bb").await, "joining #elsewhere");
    bob.join("#elsewhere").await;
    ann.say("bb", "force build docs why");
    assert_eq!(ann.expect_from("bb").await, "build #0 forced");
    ann.expect("Hey! build docs #0 is complete").await;
    ann.expect("Build details are at ").await;
    let reason = server.finished("docs", 0).await["reason"].clone();
    assert_eq!(reason, "forced: by IRC user <ann> (privmsg): why");

    // Her nick, when she has left it, is not hers.
    ann.send("NICK ann_");
    ann.expect(" NICK ").await;
    eve.send("NICK ann");
    eve.expect(" NICK ").await;
    eve.say("bb", "force build docs why");
    assert_eq!(eve.expect_from("bb").await, "sorry, you may not force builds: log in to services first");
    ann.say("bb", "shutdown now");
    ann.expect("Stopping buildbot").await;
    ann.expect(" QUIT ").await;
    server.stop().await;
}

/// A server that does as the test wants: it takes a bot in, and knows no limits.
struct Rogue {
    reader: BufReader<tokio::net::tcp::OwnedReadHalf>,
    writer: tokio::net::tcp::OwnedWriteHalf,
}

impl Rogue {
    async fn take_in(listener: &TcpListener) -> Rogue {
        let (stream, _): (TcpStream, _) = listener.accept().await.unwrap();
        let (reader, writer) = stream.into_split();
        let mut rogue = Rogue { reader: BufReader::new(reader), writer };
        rogue.until("USER ").await;
        rogue.send(":rogue 001 bb :Welcome\r\n:rogue 376 bb :End\r\n").await;
        rogue.until("JOIN #widget").await;
        rogue.send(":bb!bb@here JOIN #widget\r\n:rogue 366 bb #widget :End\r\n").await;
        rogue
    }

    async fn send(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line that holds this.
    async fn until(&mut self, part: &str) -> String {
        let wait = async {
            loop {
                let mut line = String::new();
                assert!(self.reader.read_line(&mut line).await.unwrap() > 0, "it has gone before {part}");
                if line.contains(part) {
                    return line;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("no {part}"))
    }
}

/// Kilobytes that the process holds.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[actix::test]
async fn who_talks_without_end_holds_up_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = "channels=['#widget'], allowForce=True, notify_events=['finished']";
    let mut server = Server::start(&config(port, "bb", options)).await;
    let mut rogue = Rogue::take_in(&listener).await;
    let before = memory(&server);
    let flood: String = (0..10_000).map(|n| format!(":mallory!m@h PRIVMSG bb :status {n}\r\n")).collect();
    let crowd: String = (0..10_000).map(|n| format!(":n{n}!m@h PRIVMSG bb :bb:\r\n")).collect();
    let odd = ":a!b@c PRIVMSG #widget :bb: force build docs \"\u{1}\u{2}\u{3}99,99\r\n\
               :a!b@c PRIVMSG #widget :bb: notify on \u{202e}finished\r\n:a!b@c PRIVMSG bb :\u{1}ACTION\u{1}\r\n\
               :a!b@c PRIVMSG bb :\u{1}ACTION hugs bb\u{1}\r\n";
    for text in [flood.as_str(), crowd.as_str(), odd] {
        rogue.send(text).await;
        assert_eq!(server.get("/").await.0, 200);
    }
    // The crowd has used up what is listened to for a moment.
    let carol = async {
        loop {
            rogue.send(":carol!c@h PRIVMSG #widget :bb: version\r\n").await;
            let answer = rogue.until("PRIVMSG #widget :signalbox-");
            if tokio::time::timeout(Duration::from_secs(5), answer).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), carol).await.expect("the bot answers to others");
    build(&server, "docs", 0).await;
    rogue.until("PRIVMSG #widget :build #0 of docs is complete").await;
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 50_000, "{grown} kB");
    let reports = server.json("/json/supervision").await;
    for report in reports.as_array().unwrap() {
        assert_eq!(report["restarts"], 0, "{report}");
    }
    drop(rogue);
    server.stop().await;
}
