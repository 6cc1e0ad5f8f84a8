//! PBListener: status clients over Perspective Broker.
//!
//! ```python
//! c['status'].append(status.PBListener(port=9988, user="statusClient", passwd="…"))
//! ```
//!
//! Not here yet: the listening. The target is accepted and checked.

use crate::config::{Kind, Problems, Secret, Section};

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "status.PBListener", positional: &["port", "user", "passwd"], check };

/// The options (`reference/pb.md` §1).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `tcp:9988:interface=127.0.0.1`.
    pub port: String,
    pub user: String,
    pub passwd: Secret,
}

/// What everybody knows to be 0.8's default.
const KNOWN_PASSWORD: &str = "clientpw";

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; `None` where there is no port.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let port = options.required_port("port");
        let user = options.text("user").unwrap_or_else(|| "statusClient".to_owned());
        let passwd = options.secret("passwd").unwrap_or_else(|| Secret::new(KNOWN_PASSWORD));
        let local = |port: &str| {
            port.contains("interface=127.0.0.1") || port.contains("interface=localhost") || port.starts_with("unix:")
        };
        if passwd.reveal() == KNOWN_PASSWORD && port.as_deref().is_some_and(|port| !local(port)) {
            let why = "the default password is known to everybody: give another, or listen on interface=127.0.0.1";
            options.problem("passwd", why);
        }
        options.finish();
        Some(Config { port: port?, user, passwd })
    }
}
