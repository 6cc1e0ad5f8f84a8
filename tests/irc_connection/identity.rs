use crate::support::atheme::Atheme;
use crate::support::inspircd::Inspircd;
use crate::support::irc_client::IrcClient;
use crate::support::irc_ear::{IrcEar, hasty};
use crate::support::ngircd::Ngircd;
use crate::support::openssl::{Authority, fingerprint};
use signalbox::config::Secret;
use signalbox::status::irc::connection::settings::{Access, Identity, Limits, Sasl, Settings, Tls};
use signalbox::status::irc::wire::Heard;
use std::time::{Duration, Instant};

/// A server with services, a channel only for whom these know, and an account `bb`.
struct Network {
    server: Inspircd,
    services: Atheme,
    /// In the channel `#known`.
    op: IrcClient,
}

impl Network {
    async fn start() -> Network {
        let server = Inspircd::start().await;
        let services = Atheme::start(&server).await;
        let mut account = services.account("bb", "pass-word").await;
        account.send("QUIT");
        account.ended().await;
        let mut op = server.client("op").await;
        op.join("#known").await.send("MODE #known +R");
        op.expect("+R").await;
        Network { server, services, op }
    }

    fn settings(&self, password: &str, sasl: Sasl) -> Settings {
        let access = Access { sasl, ..Access::default() };
        Settings { password: Some(Secret::new(password)), access, ..hasty(self.server.port) }
    }

    /// What the server says of the account of this nick.
    async fn account(&mut self, nick: &str) -> Option<String> {
        self.op.send(&format!("WHOIS {nick}"));
        let line = self.op.expect_where(|line| line.contains(" 330 ") || line.contains(" 318 ")).await;
        line.contains(" 330 ").then(|| line.split(' ').nth(4).unwrap().to_owned())
    }
}

#[actix::test]
async fn sasl_logs_in_before_anything_is_joined() {
    let mut network = Network::start().await;
    let mut bot = IrcEar::start(network.settings("pass-word", Sasl::Plain { user: None }));
    bot.join("#known").await;
    bot.joined("#known").await;
    assert!(bot.heard().iter().all(|(_, heard)| !matches!(heard, Heard::Left { .. })), "at the first try");
    assert_eq!(network.account("bb").await.as_deref(), Some("bb"));
}

#[actix::test]
async fn a_wrong_password_is_said_and_gone_without() {
    let mut network = Network::start().await;
    let user = Some("bb".to_owned());
    let settings = network.settings("wrong", Sasl::Plain { user });
    let mut bot = IrcEar::start(Settings { nick: "other".to_owned(), ..settings });
    bot.join("#known").await;
    assert_eq!(bot.connected().await, "other");
    let (why, again) = bot.left("#known").await;
    assert!(why.starts_with("cannot join #known: ") && why.ends_with("(477)") && again, "{why}");
    assert_eq!(network.account("other").await, None);
}

#[actix::test]
async fn a_certificate_logs_in() {
    let mut network = Network::start().await;
    let folder = crate::support::daemon::folder();
    let (cert_file, key_file) = Authority::new(folder.path()).issue("bb");
    let mut owner = network.server.client("owner").await;
    owner.say("NickServ", "IDENTIFY bb pass-word");
    owner.expect("You are now").await;
    owner.say("NickServ", &format!("CERT ADD {}", fingerprint(&cert_file)));
    owner.expect_from("NickServ").await;

    let tls = Tls {
        verify: true,
        ca_file: Some(network.server.authority.certificate()),
        identity: Some(Identity { cert_file, key_file }),
    };
    let mut bot = IrcEar::start(Settings {
        host: "localhost".to_owned(),
        access: Access { sasl: Sasl::External, tls: Some(tls), server_password: None },
        ..hasty(network.server.tls_port)
    });
    bot.join("#known").await;
    bot.joined("#known").await;
    assert_eq!(network.account("bb").await.as_deref(), Some("bb"));
}

#[actix::test]
async fn nickserv_is_told_before_anything_is_joined() {
    let mut network = Network::start().await;
    let mut bot = IrcEar::start(network.settings("pass-word", Sasl::No));
    bot.join("#known").await;
    bot.joined("#known").await;
    assert!(bot.heard().iter().all(|(_, heard)| !matches!(heard, Heard::Left { .. })), "at the first try");
    assert_eq!(network.account("bb").await.as_deref(), Some("bb"));
}

#[actix::test]
async fn services_that_hang_are_not_waited_for_for_ever() {
    let network = Network::start().await;
    network.services.stand_still(true);
    for sasl in [Sasl::No, Sasl::Plain { user: None }] {
        let limits = Limits { identify: Duration::from_millis(300), ..hasty(0).limits };
        let mut bot = IrcEar::start(Settings { limits, ..network.settings("pass-word", sasl) });
        bot.connected().await;
        bot.quit("").await;
    }
    network.services.stand_still(false);
}

#[actix::test]
async fn services_that_come_back_open_what_was_refused() {
    let mut network = Network::start().await;
    network.services.stop();
    let mut bot = IrcEar::start(network.settings("pass-word", Sasl::No));
    bot.join("#known").await;
    let (_, again) = bot.left("#known").await;
    assert!(again);
    network.services.restart().await;
    bot.joined("#known").await;
}

#[actix::test]
async fn it_is_known_again_when_everything_was_away() {
    let mut network = Network::start().await;
    let mut bot = IrcEar::start(network.settings("pass-word", Sasl::Plain { user: None }));
    bot.connected().await;
    network.server.kill();
    bot.lost().await;
    network.server.restart().await;
    bot.connected().await;
    network.op = network.server.client("op").await;
    let end = Instant::now() + Duration::from_secs(60);
    // Each answer of the server is the event that is waited for.
    while network.account("bb").await.is_none() {
        assert!(Instant::now() < end, "it is known again");
    }
}

#[actix::test]
async fn the_password_for_nickserv_does_not_let_a_server_refuse_us() {
    let server = Ngircd::start().await;
    // ngIRCd refuses whoever sends a PASS it does not know, and here it has no services to tell.
    let mut bot = IrcEar::start(Settings { password: Some(Secret::new("pass-word")), ..hasty(server.port) });
    bot.join("#builds").await;
    bot.connected().await;
    bot.joined("#builds").await;
}

#[actix::test]
async fn the_nick_is_taken_back_from_whoever_has_it() {
    let mut network = Network::start().await;
    let thief = network.server.client("bb").await;
    let mut bot = IrcEar::start(network.settings("pass-word", Sasl::No));
    assert_eq!(bot.connected().await, "bb_");
    bot.renamed("bb").await;
    assert_eq!(network.account("bb").await.as_deref(), Some("bb"));
    drop(thief);
}

#[actix::test]
async fn without_a_password_the_nick_is_taken_when_it_comes_free() {
    let server = Ngircd::start().await;
    let mut holder = server.client("bb").await;
    holder.join("#builds").await;
    let limits = Limits { regain: Duration::from_secs(3600), ..hasty(0).limits };
    let mut bot = IrcEar::start(Settings { limits, ..hasty(server.port) });
    bot.join("#builds").await;
    assert_eq!(bot.connected().await, "bb_");
    bot.joined("#builds").await;
    holder.expect(" JOIN ").await;
    holder.send("NICK elsewhere");
    bot.renamed("bb").await;
}

#[actix::test]
async fn a_nick_nobody_saw_come_free_is_tried_for_now_and_then() {
    let server = Ngircd::start().await;
    let holder = server.client("bb").await;
    let mut bot = IrcEar::start(hasty(server.port));
    assert_eq!(bot.connected().await, "bb_");
    holder.send("QUIT");
    bot.renamed("bb").await;
}

#[actix::test]
async fn speakers_are_known_by_their_account_and_never_by_their_nick() {
    let network = Network::start().await;
    let mut ada = network.services.account("ada", "her-own").await;
    let mut bot = IrcEar::start(hasty(network.server.port));
    bot.join("#builds").await;
    bot.joined("#builds").await;
    ada.join("#builds").await.say("#builds", "hello");
    assert_eq!(bot.said("ada").await, ("hello".to_owned(), Some("ada".to_owned())));

    // The account is what counts, under whatever nick.
    ada.send("NICK countess");
    bot.expect("SpeakerRenamed", |heard| matches!(heard, Heard::SpeakerRenamed { .. })).await;
    assert_eq!(bot.account_of("countess").await.as_deref(), Some("ada"));
    let mut mallory = network.server.client("mallory").await;
    mallory.send("NICK ada");
    mallory.expect(" NICK ").await;
    mallory.say("bb", "it is me, ada");
    assert_eq!(bot.said("ada").await, ("it is me, ada".to_owned(), None));
    assert_eq!(bot.account_of("ada").await, None);
    assert_eq!(bot.account_of("nobody-at-all").await, None);

    ada.say("NickServ", "LOGOUT");
    ada.expect_from("NickServ").await;
    ada.say("#builds", "as anybody");
    assert_eq!(bot.said("countess").await.1, None);
}
