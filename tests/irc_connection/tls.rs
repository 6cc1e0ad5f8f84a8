use crate::support::daemon;
use crate::support::irc_ear::{IrcEar, hasty};
use crate::support::ngircd::Ngircd;
use crate::support::openssl::Authority;
use signalbox::status::irc::connection::settings::{Access, Settings, Tls};
use signalbox::status::irc::connection::tls::{ConnectError, connect};
use std::path::PathBuf;

fn by_tls(host: &str, port: u16, verify: bool, ca_file: Option<PathBuf>) -> Settings {
    let tls = Some(Tls { verify, ca_file, identity: None });
    Settings { host: host.to_owned(), access: Access { tls, ..Access::default() }, ..hasty(port) }
}

async fn refusal(settings: &Settings) -> ConnectError {
    connect(settings).await.err().expect("it does not connect")
}

#[actix::test]
async fn a_certificate_of_the_right_authority_is_trusted() {
    let server = Ngircd::start().await;
    let ca = Some(server.authority.certificate());
    let mut bot = IrcEar::start(by_tls("localhost", server.tls_port, true, ca));
    bot.join("#builds").await;
    bot.connected().await;
    bot.joined("#builds").await;

    let mut ada = server.client("ada").await;
    ada.join("#builds").await;
    bot.say("#builds", "over TLS").await;
    assert_eq!(ada.expect_from("bb").await, "over TLS");
}

#[actix::test]
async fn any_other_certificate_is_refused_unless_told_otherwise() {
    let server = Ngircd::start().await;
    let folder = daemon::folder();
    let stranger = Authority::new(folder.path()).certificate();

    for ca_file in [Some(stranger), None] {
        let refused = refusal(&by_tls("localhost", server.tls_port, true, ca_file)).await;
        assert!(matches!(refused, ConnectError::Certificate(_)), "{refused}");
    }
    let mut bot = IrcEar::start(by_tls("localhost", server.tls_port, false, None));
    bot.connected().await;
}

#[actix::test]
async fn a_certificate_for_another_host_is_refused() {
    let server = Ngircd::start().await;
    let settings = by_tls("ip6-localhost", server.tls_port, true, Some(server.authority.certificate()));
    // Not every machine knows this name; then it is not even found.
    let refused = refusal(&settings).await;
    assert!(matches!(refused, ConnectError::Certificate(_) | ConnectError::Away(_)), "{refused}");
    let by_address = by_tls("127.0.0.2", server.tls_port, true, Some(server.authority.certificate()));
    let refused = refusal(&by_address).await;
    assert!(matches!(refused, ConnectError::Certificate(_) | ConnectError::Away(_)), "{refused}");
}

#[actix::test]
async fn a_port_without_tls_and_files_that_are_not_there_are_said() {
    let server = Ngircd::start().await;
    let refused = refusal(&by_tls("localhost", server.port, true, None)).await.to_string();
    assert!(refused.ends_with("is this the port for TLS?"), "{refused}");
    let refused =
        refusal(&by_tls("localhost", server.tls_port, true, Some("/nowhere/ca.pem".into()))).await.to_string();
    assert!(refused.starts_with("cannot read caFile /nowhere/ca.pem: "), "{refused}");
    let nobody = refusal(&hasty(daemon::free_port())).await.to_string();
    assert!(nobody.starts_with("cannot connect: "), "{nobody}");
}
