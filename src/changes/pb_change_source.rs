//! PBChangeSource: changes from `sendchange` and hook scripts, over Perspective Broker.
//!
//! ```python
//! c['change_source'] = changes.PBChangeSource(port=9999, user="laura", passwd="…")
//! ```
//!
//! Not here yet: the listening. The source is accepted and checked.

use crate::config::{Kind, Problems, Secret, Section};

/// For the configuration's catalog.
pub const KIND: Kind =
    Kind { name: "changes.PBChangeSource", positional: &["user", "passwd", "port", "prefix"], check };

/// The options of the manual.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `None`: the port of the workers.
    pub port: Option<String>,
    pub user: String,
    pub passwd: Secret,
    /// Cut from the front of file names; files without it are left out, and changes without files.
    pub prefix: Option<String>,
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    pub fn read(section: &Section, problems: &mut Problems) -> Config {
        let mut options = section.read(problems);
        let config = Config {
            port: options.port("port"),
            user: options.text("user").unwrap_or_else(|| "change".to_owned()),
            passwd: options.secret("passwd").unwrap_or_else(|| Secret::new("changepw")),
            prefix: options.text("prefix"),
        };
        options.finish();
        config
    }
}
