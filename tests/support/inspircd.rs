//! InspIRCd: a real IRC server with SASL, accounts beside messages, and a link for services.

use super::daemon::{self, Daemon, free_port};
use super::irc_client::IrcClient;
use super::openssl::Authority;
use tempfile::TempDir;

pub struct Inspircd {
    pub port: u16,
    pub tls_port: u16,
    /// Where services link, with the password `linkpw`.
    pub link_port: u16,
    /// Who signed its certificate, which is for `localhost`.
    pub authority: Authority,
    folder: TempDir,
    daemon: Daemon,
}

const MODULES: [&str; 12] = [
    "spanningtree",
    "services_account",
    "svshold",
    "chghost",
    "cap",
    "sasl",
    "sslinfo",
    "ssl_gnutls",
    "ircv3",
    "ircv3_accounttag",
    "ircv3_chghost",
    "sajoin",
];

impl Inspircd {
    pub async fn start() -> Inspircd {
        Inspircd::start_with("").await
    }

    /// With further lines in its configuration.
    pub async fn start_with(more: &str) -> Inspircd {
        let folder = daemon::folder();
        let authority = Authority::new(folder.path());
        let (cert, key) = authority.issue("localhost");
        let (port, tls_port, link_port) = (free_port(), free_port(), free_port());
        let base = folder.path().display();
        let modules: String = MODULES.map(|module| format!("<module name=\"{module}\">\n")).concat();
        let config = format!(
            r##"<server name="irc.localhost" description="t" network="Test" id="1AA">
<admin name="a" nick="a" email="a@localhost.localdomain">
<bind address="127.0.0.1" port="{port}" type="clients">
<bind address="127.0.0.1" port="{link_port}" type="servers">
<bind address="127.0.0.1" port="{tls_port}" type="clients" sslprofile="Clients">
<sslprofile name="Clients" provider="gnutls" certfile="{}" keyfile="{}" hash="sha256">
<connect name="all" allow="*" timeout="30" pingfreq="60" resolvehostnames="no" localmax="200" globalmax="200" threshold="10" commandrate="1000" fakelag="yes">
<files motd="/dev/null">
<path logdir="{base}" datadir="{base}" runtimedir="{base}">
<performance nouserdns="yes">
<class name="All" commands="*" privs="*" usermodes="*" chanmodes="*">
<type name="Admin" classes="All">
<oper name="op" password="op" host="*@*" type="Admin">
{modules}<sasl target="services.localhost" requiressl="no">
<link name="services.localhost" ipaddr="127.0.0.1" port="{link_port}" allowmask="127.0.0.1/32" sendpass="linkpw" recvpass="linkpw">
<uline server="services.localhost" silent="yes">
{more}
"##,
            cert.display(),
            key.display()
        );
        std::fs::write(folder.path().join("inspircd.conf"), config).unwrap();
        let daemon = Inspircd::run(&folder);
        let mut server = Inspircd { port, tls_port, link_port, authority, folder, daemon };
        server.daemon.listens_at(port).await;
        server
    }

    fn run(folder: &TempDir) -> Daemon {
        let config = folder.path().join("inspircd.conf");
        let args = ["--config", config.to_str().unwrap(), "--nofork", "--nopid"];
        Daemon::start("inspircd", "inspircd", &args, folder.path())
    }

    /// Starts the one that has ended, on the same ports.
    pub async fn restart(&mut self) {
        self.daemon = Inspircd::run(&self.folder);
        self.daemon.listens_at(self.port).await;
    }

    pub fn kill(&mut self) {
        self.daemon.kill();
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
    pub fn kline(&self, operator: &mut IrcClient, user: &str, seconds: u64) {
        operator.send(&format!("KLINE {user}@127.0.0.1 {seconds}s :enough of you"));
    }
}
