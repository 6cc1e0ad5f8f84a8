use crate::support::irc_ear::{IrcEar, hasty};
use signalbox::config::Secret;
use signalbox::status::irc::connection::settings::{Access, Sasl, Settings};
use signalbox::status::irc::wire::Heard;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// How long anything may take to come.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that says what a test wants, which a real one would not.
struct RawServer {
    listener: TcpListener,
}

/// One connection to it.
struct Guest {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl RawServer {
    async fn start() -> RawServer {
        RawServer { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    async fn guest(&self) -> Guest {
        let accepted = tokio::time::timeout(LIMIT, self.listener.accept()).await.expect("somebody connects");
        let (reader, writer) = TcpStream::into_split(accepted.unwrap().0);
        Guest { lines: BufReader::new(reader).lines(), writer }
    }

    /// A guest that has been let in.
    async fn welcome(&self) -> Guest {
        let mut guest = self.guest().await;
        guest.expect("USER ").await;
        guest.send(b":irc.test 001 bb :Welcome\r\n:irc.test 422 bb :No message of the day\r\n").await;
        guest
    }
}

impl Guest {
    async fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    /// The next line that begins so.
    async fn expect(&mut self, beginning: &str) -> String {
        let search = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.starts_with(beginning) {
                    return line;
                }
            }
            panic!("it left without \"{beginning}\"");
        };
        tokio::time::timeout(LIMIT, search).await.unwrap_or_else(|_| panic!("no \"{beginning}\" within {LIMIT:?}"))
    }

    /// Waits until all that was sent has been read, and returns what was said meanwhile.
    async fn settle(&mut self) -> Vec<String> {
        self.send(b"PING :settled\r\n").await;
        let mut lines = Vec::new();
        loop {
            let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await.unwrap().unwrap().expect("it stays");
            if line == "PONG settled" {
                return lines;
            }
            lines.push(line);
        }
    }
}

fn texts(bot: &IrcEar) -> Vec<String> {
    let said = bot.heard().into_iter().filter_map(|(_, heard)| match heard {
        Heard::Said { text, .. } => Some(text),
        _ => None,
    });
    said.collect()
}

#[actix::test]
async fn no_line_of_a_server_does_any_harm() {
    let server = RawServer::start().await;
    let mut bot = IrcEar::start(hasty(server.port()));
    bot.join("#builds").await;
    let mut guest = server.welcome().await;
    bot.connected().await;
    guest.expect("JOIN #builds").await;

    for number in 0..1000 {
        let lines = format!(":irc.test {number:03}\r\n:irc.test {number:03} bb\r\n{number:03} bb #builds\r\n");
        guest.send(lines.as_bytes()).await;
    }
    let verbs =
        "NICK JOIN PART KICK MODE QUIT PRIVMSG NOTICE CAP AUTHENTICATE ACCOUNT CHGHOST PING PONG TOPIC INVITE BATCH";
    for verb in verbs.split(' ') {
        for arguments in
            ["", " :", " x", " #builds", " bb", " bb :", " * LS", " * * *", " a b c d e f g h i j k l m n o p q"]
        {
            guest
                .send(
                    format!("{verb}{arguments}\r\n:x!y@z {verb}{arguments}\r\n@;=;a= : {verb}{arguments}\r\n")
                        .as_bytes(),
                )
                .await;
        }
    }
    guest
        .send(b"\r\n\n:\r\n@\r\n@ \r\n: \r\n \r\n\0\0\r\n:x\r\n\xff\xfe\xfd\r\n:\xff!\xff@\xff PRIVMSG bb :caf\xe9\r\n")
        .await;
    guest.send(&[b'x'; 3_000_000]).await;
    guest.send(b"\r\n:ada!a@h PRIVMSG bb :\x02still\x02\x07 \x0304there\x03?\x1b[31m\r\n").await;

    assert_eq!(bot.said("ada").await, ("still there?[31m".to_owned(), None));
    assert!(texts(&bot).contains(&"caf\u{fffd}".to_owned()), "{:?}", texts(&bot));
    guest.settle().await;
}

#[actix::test]
async fn one_who_floods_is_not_heard_out_and_others_are() {
    let server = RawServer::start().await;
    let bot = IrcEar::start(hasty(server.port()));
    let mut guest = server.welcome().await;

    let flood: String = (0..10_000).map(|number| format!(":mallory!m@h PRIVMSG bb :{number}\r\n")).collect();
    guest.send(flood.as_bytes()).await;
    guest.send(b":ada!a@h PRIVMSG bb :and me?\r\n").await;
    let began = std::time::Instant::now();
    guest.settle().await;

    let texts = texts(&bot);
    assert_eq!(texts.last().map(String::as_str), Some("and me?"));
    // Ten at once, and two for each second that it took.
    let allowed = 12 + 2 * usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(texts.len() <= allowed + 1, "{} were heard", texts.len());
}

#[actix::test]
async fn few_questions_of_programs_are_answered() {
    let server = RawServer::start().await;
    let _bot = IrcEar::start(hasty(server.port()));
    let mut guest = server.welcome().await;

    for number in 0..200 {
        guest.send(format!(":n{number}!m@h PRIVMSG bb :\x01VERSION\x01\r\n").as_bytes()).await;
    }
    guest.expect("NOTICE n0 :\x01VERSION Signalbox ").await;
    guest.send(b":ada!m@h NOTICE bb :\x01VERSION mine\x01\r\n:ada!m@h PRIVMSG #c :\x01PING 1\x01\r\n").await;
    let answers = guest.settle().await;
    assert!(answers.len() <= 3, "{answers:?}");
}

#[actix::test]
async fn each_password_goes_only_where_it_is_meant_to() {
    let server = RawServer::start().await;
    let _bot = IrcEar::start(Settings {
        password: Some(Secret::new("for-nickserv")),
        access: Access { server_password: Some(Secret::new("for-server")), ..Access::default() },
        ..hasty(server.port())
    });
    let mut guest = server.guest().await;
    assert_eq!(guest.expect("PASS").await, "PASS for-server");
    guest.expect("USER").await;
    guest.send(b":irc.test 001 bb :Welcome\r\n:irc.test 376 bb :End\r\n").await;
    assert_eq!(guest.expect("PRIVMSG").await, "PRIVMSG NickServ :IDENTIFY bb for-nickserv");
}

#[actix::test]
async fn a_long_password_is_sent_in_pieces() {
    let server = RawServer::start().await;
    // Two names of two letters, two zeros and this make 300 bytes, which are 400 letters: a piece that is full.
    let _bot = IrcEar::start(Settings {
        password: Some(Secret::new("x".repeat(294))),
        access: Access { sasl: Sasl::Plain { user: None }, ..Access::default() },
        ..hasty(server.port())
    });
    let mut guest = server.guest().await;
    guest.expect("USER").await;
    guest.send(b":irc.test CAP * LS * :account-notify\r\n:irc.test CAP * LS :sasl=PLAIN\r\n").await;
    assert_eq!(guest.expect("CAP REQ").await, "CAP REQ :account-notify sasl");
    guest.send(b":irc.test CAP * ACK :account-notify sasl\r\n").await;
    assert_eq!(guest.expect("AUTHENTICATE").await, "AUTHENTICATE PLAIN");
    guest.send(b"AUTHENTICATE :+\r\n").await;
    assert_eq!(guest.expect("AUTHENTICATE").await.len(), "AUTHENTICATE ".len() + 400);
    assert_eq!(guest.expect("AUTHENTICATE").await, "AUTHENTICATE +");
    guest.send(b":irc.test 903 bb :done\r\n").await;
    assert_eq!(guest.expect("CAP").await, "CAP END");
}

#[actix::test]
async fn a_server_that_ends_with_an_error_is_tried_again() {
    let server = RawServer::start().await;
    let mut bot = IrcEar::start(hasty(server.port()));
    for last in [
        "ERROR :Closing Link: bb (Excess Flood)\r\n",
        "ERROR :Closing Link: bb (*.net *.split)\r\n",
        ":irc.test 465 bb :You are banned\r\n",
        "",
    ] {
        let mut guest = server.welcome().await;
        bot.connected().await;
        guest.send(last.as_bytes()).await;
        drop(guest);
        bot.lost().await;
    }
    server.welcome().await;
    bot.connected().await;
}

#[actix::test]
async fn names_are_compared_as_the_server_does() {
    let server = RawServer::start().await;
    let mut bot = IrcEar::start(hasty(server.port()));
    bot.join("#Builds[1]").await;
    let mut guest = server.guest().await;
    guest.expect("USER").await;
    guest.send(b":irc.test 001 bb :Welcome\r\n:irc.test 005 bb CASEMAPPING=rfc1459 CHANTYPES=#+ NICKLEN=30 :are supported\r\n").await;
    guest.send(b":irc.test 376 bb :End\r\n").await;
    guest.expect("JOIN #Builds[1]").await;
    guest.send(b":BB!b@h JOIN #builds{1}\r\n:op!o@h KICK #BUILDS{1] BB :out\r\n").await;
    bot.joined("#builds{1}").await;
    assert!(bot.left("#Builds[1]").await.1);
    guest.expect("JOIN #Builds[1]").await;
    let connected = bot.heard().into_iter().find_map(|(_, heard)| match heard {
        Heard::Connected { server, .. } => Some((server.channel_types, server.nick_length)),
        _ => None,
    });
    assert_eq!(connected, Some(("#+".to_owned(), 30)));
}
