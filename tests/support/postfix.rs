//! Postfix, a real mail relay, with a queue and mailboxes of its own on a port of its own.
//!
//! Its master has to be started by root; another user needs sudo without a password, as `tests/run` does.

use super::openssl::Authority;
use super::wait::until;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A running one that takes letters for `example.org` from who is logged in as `bot`/`pass` over TLS; ended when it is
/// dropped.
pub struct Postfix {
    folder: TempDir,
    child: Child,
    pub port: u16,
    pub ca_file: PathBuf,
}

impl Postfix {
    pub async fn start() -> Postfix {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let authority = Authority::new(folder.path());
        let (certificate, key) = authority.issue("localhost");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for name in ["queue", "data", "mail", "sasl"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {path}/queue\ndata_directory = {path}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             setgid_group = postdrop\nmyhostname = relay.test\nmydestination =\nmynetworks =\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmaillog_file = {path}/log\nmaillog_file_prefixes = {path}\n\
             alias_maps =\nalias_database =\nlocal_recipient_maps =\nlocal_transport = error:no local mail\n\
             virtual_mailbox_domains = example.org\nvirtual_mailbox_base = {path}/mail\n\
             virtual_mailbox_maps = regexp:{path}/boxes\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n\
             virtual_minimum_uid = 100\n\
             smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n\
             smtpd_sasl_auth_enable = yes\ncyrus_sasl_config_path = {path}/sasl\nsmtpd_sasl_path = smtpd\n\
             smtpd_sasl_local_domain = relay.test\nsmtpd_tls_auth_only = yes\n\
             smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
             smtpd_recipient_restrictions = reject_unlisted_recipient, permit_sasl_authenticated, reject\n",
            certificate.display(),
            key.display(),
        );
        let master = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nerror unix - - n - - error\nretry unix - - n - - error\n\
             virtual unix - n n - - virtual\nproxymap unix - - n - - proxymap\nanvil unix - - n - 1 anvil\n\
             scache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n"
        );
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("main.cf", &main);
        write("master.cf", &master);
        write("boxes", "/./ inbox/\n");
        write(
            "sasl/smtpd.conf",
            &format!(
                "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: {path}/sasldb2\n"
            ),
        );
        as_root(&["chmod", "755", &path]).unwrap();
        let mut login = Command::new("sh");
        login.arg("-c").arg(format!("printf pass | /usr/sbin/saslpasswd2 -p -c -f {path}/sasldb2 -u relay.test bot"));
        let made = login.status().expect(MISSING);
        assert!(made.success(), "saslpasswd2: {made}; {MISSING}");
        as_root(&["chown", "-R", "nobody", &format!("{path}/mail")]).unwrap();
        as_root(&["chown", "postfix", &format!("{path}/data"), &format!("{path}/sasldb2")]).unwrap();
        as_root(&["chown", "-R", "root", &format!("{path}/queue")]).unwrap();
        let mut command = root_command("/usr/sbin/postfix");
        command.args(["-c", &path, "start-fg"]).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        let child = command.spawn().expect(MISSING);
        let postfix = Postfix { ca_file: authority.certificate(), folder, child, port };
        let answers = || async move { TcpStream::connect(("127.0.0.1", port)).await.ok() };
        until("postfix answers", Duration::from_secs(60), answers).await;
        postfix
    }

    pub fn log(&self) -> String {
        let read = root_command("cat").arg(self.folder.path().join("log")).output();
        read.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// The letters in the mailbox, each a file.
    pub fn letters(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("mail/inbox/new");
        let listed = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = listed.collect();
        files.sort();
        files
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let path = self.folder.path().to_str().unwrap().to_owned();
        let _ = root_command("/usr/sbin/postfix").args(["-c", &path, "stop"]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
        // What it made belongs to others.
        let _ = root_command("rm").args(["-rf", "--", &path]).status();
    }
}

const MISSING: &str =
    "postfix and saslpasswd2 are not there; `apt-get install postfix sasl2-bin libsasl2-modules` installs them";

fn root_command(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn as_root(words: &[&str]) -> Result<(), String> {
    let output = root_command(words[0]).args(&words[1..]).output().map_err(|error| format!("{error}; {MISSING}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
