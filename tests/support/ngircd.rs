//! ngIRCd: a real IRC server, in the clear and by TLS, with a channel that has a key and an operator who may throw out.

use super::daemon::{self, Daemon, free_port};
use super::irc_client::IrcClient;
use super::openssl::Authority;
use tempfile::TempDir;

/// The key of `#keyed`.
pub const KEY: &str = "secret";

pub struct Ngircd {
    pub port: u16,
    pub tls_port: u16,
    /// Who signed its certificate, which is for `localhost`.
    pub authority: Authority,
    folder: TempDir,
    daemon: Daemon,
}

impl Ngircd {
    pub async fn start() -> Ngircd {
        let folder = daemon::folder();
        let authority = Authority::new(folder.path());
        let (cert, key) = authority.issue("localhost");
        let (port, tls_port) = (free_port(), free_port());
        let config = format!(
            "[Global]\nName = irc.localhost\nInfo = test\nListen = 127.0.0.1\nPorts = {port}\nMotdPhrase = hi\n\
             ServerUID = nobody\nServerGID = nogroup\n[Limits]\nMaxNickLength = 20\nMaxConnectionsIP = 0\n\
             PingTimeout = 120\n[Options]\nDNS = no\nIdent = no\nPAM = no\nOperCanUseMode = yes\n[SSL]\n\
             CertFile = {}\nKeyFile = {}\nPorts = {tls_port}\n[Operator]\nName = op\nPassword = op\n\
             [Channel]\nName = #keyed\nModes = +nk {KEY}\n",
            cert.display(),
            key.display()
        );
        std::fs::write(folder.path().join("ngircd.conf"), config).unwrap();
        let daemon = Ngircd::run(&folder);
        let mut server = Ngircd { port, tls_port, authority, folder, daemon };
        server.daemon.listens_at(port).await;
        server
    }

    fn run(folder: &TempDir) -> Daemon {
        Daemon::start("ngircd", "ngircd", &["-n", "-f", "ngircd.conf"], folder.path())
    }

    /// Starts the one that has ended, on the same ports.
    pub async fn restart(&mut self) {
        self.daemon = Ngircd::run(&self.folder);
        self.daemon.listens_at(self.port).await;
    }

    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    pub fn stand_still(&self, still: bool) {
        self.daemon.stand_still(still);
    }

    /// Somebody of this nick, registered.
    pub async fn client(&self, nick: &str) -> IrcClient {
        IrcClient::register(self.port, nick).await
    }

    /// Somebody who may throw out.
    pub async fn operator(&self) -> IrcClient {
        IrcClient::operator(self.port).await
    }

    /// Bans all whose user is called so, for these seconds.
    pub async fn kline(&self, operator: &mut IrcClient, user: &str, seconds: u64) {
        operator.send(&format!("KLINE *!*{user}@* {seconds} :enough of you"));
    }
}
