//! Atheme: real services for InspIRCd, with NickServ and SASL.

use super::daemon::{self, Daemon};
use super::inspircd::Inspircd;
use super::irc_client::IrcClient;
use tempfile::TempDir;

pub struct Atheme {
    /// Where people talk to it.
    port: u16,
    folder: TempDir,
    daemon: Daemon,
}

const MODULES: [&str; 16] = [
    "protocol/inspircd",
    "backend/opensex",
    "crypto/pbkdf2v2",
    "nickserv/set_core",
    "nickserv/main",
    "nickserv/register",
    "nickserv/identify",
    "nickserv/ghost",
    "nickserv/enforce",
    "nickserv/group",
    "nickserv/cert",
    "nickserv/drop",
    "nickserv/logout",
    "saslserv/main",
    "saslserv/plain",
    "saslserv/external",
];

impl Atheme {
    /// Linked to a server.
    pub async fn start(server: &Inspircd) -> Atheme {
        let folder = daemon::folder();
        let modules = MODULES.map(|module| format!("loadmodule \"modules/{module}\";\n")).concat();
        let config = format!(
            r#"{modules}serverinfo {{ name = "services.localhost"; desc = "services"; numeric = "42S"; recontime = 1; netname = "test"; hidehostsuffix = "u.test"; adminname = "a"; adminemail = "a@localhost.localdomain"; registeremail = "a@localhost.localdomain"; mta = "/bin/true"; loglevel = {{ error; info; }}; maxlogins = 50; maxusers = 50; maxnicks = 50; maxchans = 50; mdlimit = 30; emaillimit = 10; emailtime = 300; auth = none; casemapping = rfc1459; }};
uplink "irc.localhost" {{ host = "127.0.0.1"; send_password = "linkpw"; receive_password = "linkpw"; port = {}; }};
nickserv {{ nick = "NickServ"; user = "NickServ"; host = "services.localhost"; real = "Nickname Services"; }};
saslserv {{ nick = "SaslServ"; user = "SaslServ"; host = "services.localhost"; real = "SASL"; }};
database {{ }};
general {{ commit_interval = 5; }};
"#,
            server.link_port
        );
        std::fs::write(folder.path().join("atheme.conf"), config).unwrap();
        let daemon = Atheme::run(&folder);
        let atheme = Atheme { port: server.port, folder, daemon };
        atheme.linked().await;
        atheme
    }

    fn run(folder: &TempDir) -> Daemon {
        let args = ["-n", "-c", "atheme.conf", "-D", ".", "-l", "atheme.log", "-p", "atheme.pid"];
        let in_folder = args.map(|arg| match arg.starts_with("atheme.") || arg == "." {
            true => folder.path().join(arg).to_str().unwrap().to_owned(),
            false => arg.to_owned(),
        });
        let args: Vec<&str> = in_folder.iter().map(String::as_str).collect();
        Daemon::start("atheme-services", "atheme-services", &args, folder.path())
    }

    /// Waits until the server knows NickServ.
    async fn linked(&self) {
        let mut client = IrcClient::register(self.port, "waiting").await;
        loop {
            client.send("ISON NickServ");
            if client.expect(" 303 ").await.contains("NickServ") {
                return;
            }
        }
    }

    /// Starts the one that has ended, with what it knew.
    pub async fn restart(&mut self) {
        self.daemon = Atheme::run(&self.folder);
        self.linked().await;
    }

    /// Ends it in order, so that it writes down what it knows.
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    pub fn stand_still(&self, still: bool) {
        self.daemon.stand_still(still);
    }

    /// Somebody who has just registered an account, and is logged in to it.
    pub async fn account(&self, nick: &str, password: &str) -> IrcClient {
        let mut client = IrcClient::register(self.port, nick).await;
        client.say("NickServ", &format!("REGISTER {password} {nick}@localhost.localdomain"));
        client.expect("is now registered").await;
        client
    }
}
