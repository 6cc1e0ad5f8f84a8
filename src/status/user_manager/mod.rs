//! CommandlineUserManager: where `signalbox user` adds, changes, removes and shows users.
//!
//! ```python
//! c['user_managers'] = [util.CommandlineUserManager(
//!     username="user", passwd="userpw",
//!     port="tcp:9990:interface=127.0.0.1",     # or 9990, for the whole network
//! )]
//! ```
//!
//! What is said is JSON over HTTP ([`wire`]), with name and password as HTTP Basic; 0.8 spoke Perspective Broker here.
//! Who guesses at them is made to wait (`guesses`). Passwords of users are hashed as they come, and every change goes to
//! the master as an order, which stores it together with the event that tells of it.
//!
//! Not here: TLS. Beyond one's own machine, an ssh tunnel or a proxy in front keeps what is said secret.

mod desk;
mod guesses;
mod server;
pub mod wire;

pub use server::{UserManager, start};

use super::listen::{Listen, ListenError};
use crate::config::{Kind, Problems, Secret, Section};

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "util.CommandlineUserManager", positional: &["username", "passwd", "port"], check };

/// The options of the manual; there are no others.
#[derive(Debug, Clone)]
pub struct Config {
    pub username: String,
    pub passwd: Secret,
    pub listen: Listen,
}

/// What keeps a user manager from starting.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place}: CommandlineUserManager: {cause}; `signalbox user` cannot be used there; it is tried at each reconfig"
)]
pub struct ManagerError {
    place: String,
    cause: ListenError,
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; `None` where one is missing or cannot be what it is.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let username = options.required_text("username");
        let passwd = options.required_secret("passwd");
        let port = options.required_port("port");
        if username.as_deref().is_some_and(|name| name.is_empty() || name.contains(':')) {
            options.problem("username", "must neither be empty nor have a colon in it");
        }
        let listen = port.and_then(|port| match Listen::parse("port", &port) {
            Ok(listen) => Some(listen),
            Err(cause) => {
                options.problem("port", cause);
                None
            }
        });
        options.finish();
        Some(Config { username: username?, passwd: passwd?, listen: listen? })
    }
}
