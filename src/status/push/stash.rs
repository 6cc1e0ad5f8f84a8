//! StashStatusPush: the state of each build to a Stash or Bitbucket server.
//!
//! ```python
//! c['status'].append(status.StashStatusPush("https://stash.example.com:8080/", "user", "…"))
//! ```
//!
//! Not here yet: the sending. The target is accepted and checked.

use crate::config::{Kind, Problems, Renderable, Secret, Section};

/// For the configuration's catalog.
pub const KIND: Kind = Kind {
    name: "status.StashStatusPush",
    positional: &["base_url", "user", "password", "key_format", "name_format"],
    check,
};

/// The options (`reference/push.md` §4).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Ends in `/`.
    pub base_url: url::Url,
    pub user: String,
    pub password: Secret,
    /// What the server tells builds of one commit apart by.
    pub key_format: Format,
    /// The name people see; none is sent where this is `None`.
    pub name_format: Option<Format>,
}

/// A text made from the build.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// `%(builderName)s`, `%(branch)s`, `%(buildNumber)s`, `%(revision)s`.
    Plain(String),
    Rendered(Renderable),
}

/// What a plain format may name.
pub const KEYS: [&str; 6] = ["builderName", "buildername", "branch", "buildNumber", "buildnumber", "revision"];

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; `None` where there is no server to tell.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let base_url = super::address(&mut options, "base_url", true);
        let user = options.required_text("user");
        let password = options.required_secret("password");
        let mut format = |name: &'static str| {
            let read = match options.renderable_text(name)? {
                Renderable::Plain(text) => Format::Plain(text.as_str().unwrap_or("").to_owned()),
                other => Format::Rendered(other),
            };
            if let Format::Plain(text) = &read {
                for key in unknown_keys(text) {
                    options.problem(name, format!("%({key})s is not known here; {} are", KEYS.join(", ")));
                }
            }
            Some(read)
        };
        let key_format = format("key_format");
        let name_format = format("name_format");
        options.finish();
        Some(Config {
            base_url: super::with_slash(base_url?),
            user: user?,
            password: password?,
            key_format: key_format.unwrap_or_else(|| Format::Plain("%(builderName)s".to_owned())),
            name_format,
        })
    }
}

/// The names in a format that stand for nothing.
fn unknown_keys(format: &str) -> Vec<&str> {
    let names = format.split("%(").skip(1).filter_map(|rest| rest.split_once(')')).map(|(name, _)| name);
    names.filter(|name| !KEYS.contains(name) && !name.starts_with("prop:") && !name.starts_with("src:")).collect()
}
