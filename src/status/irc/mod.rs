//! IRC: a bot that answers questions and tells of builds.
//!
//! ```python
//! c['status'].append(status.IRC("irc.example.org", "builds", channels=["#builds"],
//!                               notify_events={'exception': 1, 'successToFailure': 1}))
//! ```
//!
//! Not here yet: the bot. The target is accepted and checked.

use crate::config::{Kind, Options, Problems, Secret, Section, did_you_mean};
use serde_json::Value;
use std::time::Duration;

/// For the configuration's catalog.
pub const KIND: Kind = Kind {
    name: "status.IRC",
    positional: &["host", "nick", "channels", "pm_to_nicks", "port", "allowForce", "tags", "password", "notify_events"],
    check,
};

/// The options (`reference/irc.md` §1).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub host: String,
    pub nick: String,
    pub channels: Vec<Channel>,
    /// Nicks told by private message.
    pub pm_to_nicks: Vec<String>,
    pub port: u16,
    pub use_ssl: bool,
    pub allow_force: bool,
    pub allow_shutdown: bool,
    pub tags: Option<Vec<String>>,
    /// For NickServ.
    pub password: Option<Secret>,
    /// What is told without being asked for; names in lower case.
    pub notify_events: Vec<String>,
    pub notice_on_channel: bool,
    pub show_blame_list: bool,
    pub use_revisions: bool,
    pub use_colors: bool,
    /// `None` draws 1 to 5 s anew for each try.
    pub lost_delay: Option<Duration>,
    /// `None` draws 45 to 60 s anew for each try.
    pub failed_delay: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    pub name: String,
    /// Its key.
    pub password: Option<Secret>,
}

const EVENTS: [&str; 6] = ["started", "finished", "success", "warnings", "failure", "exception"];

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

/// Whether a bot can tell of this: `finished`, `failure`, `successToFailure`.
pub fn is_event(name: &str) -> bool {
    const RESULTS: [&str; 4] = ["success", "warnings", "failure", "exception"];
    let turn = name.split_once("To").is_some_and(|(from, to)| {
        RESULTS.contains(&from)
            && to.starts_with(|c: char| c.is_uppercase())
            && RESULTS.contains(&to.to_lowercase().as_str())
    });
    turn || EVENTS.contains(&name)
}

impl Config {
    /// Reads the options; `None` where there is no server to connect to.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let host = options.required_text("host");
        let nick = options.required_text("nick");
        for (name, text) in [("host", &host), ("nick", &nick)] {
            if text.as_deref().is_some_and(|text| text.contains(|c: char| c.is_whitespace() || c.is_control())) {
                options.problem(name, "must not hold blanks");
            }
        }
        let channels = channels(&mut options);
        let use_ssl = options.flag("useSSL", false);
        let port = options.integer_in("port", 1, 65535).and_then(|port| u16::try_from(port).ok());
        let tags = options.texts("tags");
        let old_tags = options.texts("categories");
        let config = Config {
            host: host.clone().unwrap_or_default(),
            nick: nick.clone().unwrap_or_default(),
            channels,
            pm_to_nicks: pm_to_nicks(&mut options),
            port: port.unwrap_or(6667),
            use_ssl,
            allow_force: strict_flag(&mut options, "allowForce"),
            allow_shutdown: strict_flag(&mut options, "allowShutdown"),
            tags: tags.or(old_tags),
            password: options.secret("password"),
            notify_events: events(&mut options),
            notice_on_channel: options.flag("noticeOnChannel", false),
            show_blame_list: options.flag("showBlameList", true),
            use_revisions: options.flag("useRevisions", false),
            use_colors: options.flag("useColors", true),
            lost_delay: options.seconds("lostDelay"),
            failed_delay: options.seconds("failedDelay"),
        };
        options.finish();
        host.and(nick).map(|_| config)
    }
}

/// A flag that opens something takes nothing but True and False.
fn strict_flag(options: &mut Options<'_, '_>, name: &'static str) -> bool {
    match options.value(name) {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            options.problem(name, "must be True or False");
            false
        }
    }
}

fn channels(options: &mut Options<'_, '_>) -> Vec<Channel> {
    let mut channels = Vec::new();
    if !options.given("channels") {
        options.problem("channels", "is required");
    }
    for channel in options.list("channels").unwrap_or_default() {
        let (name, password) = match channel {
            Value::String(name) => (Some(name.as_str()), None),
            Value::Object(details) => {
                crate::config::unknown_keys(options, "channels", details, &["channel", "password"]);
                (details.get("channel").and_then(Value::as_str), details.get("password").and_then(Value::as_str))
            }
            _ => (None, None),
        };
        match name {
            Some(name) if !name.is_empty() && !name.contains([' ', ',', '\x07', '\r', '\n']) => {
                // A name without a mark gets the usual one.
                let marked = if name.starts_with(['&', '#', '!', '+']) { name.to_owned() } else { format!("#{name}") };
                channels.push(Channel { name: marked, password: password.map(Secret::new) });
            }
            _ => {
                options.problem("channels", "each must be \"#name\" or {\"channel\": \"#name\", \"password\": \"key\"}")
            }
        }
    }
    channels
}

fn pm_to_nicks(options: &mut Options<'_, '_>) -> Vec<String> {
    let mut nicks = Vec::new();
    for nick in options.list("pm_to_nicks").unwrap_or_default() {
        match nick.as_str().or_else(|| nick.get("nick").and_then(Value::as_str)) {
            Some(nick) => nicks.push(nick.to_owned()),
            None => options.problem("pm_to_nicks", "each must be a nick"),
        }
    }
    nicks
}

/// Names in a list, or as the keys of a dict whose values do not count in 0.8; here a false one leaves its event out.
fn events(options: &mut Options<'_, '_>) -> Vec<String> {
    let names: Vec<String> = match options.value("notify_events") {
        Some(Value::Object(dict)) if !dict.keys().any(|key| key.starts_with('$')) => dict
            .iter()
            .filter(|(_, wanted)| wanted.as_bool() != Some(false) && wanted.as_i64() != Some(0))
            .map(|(name, _)| name.clone())
            .collect(),
        Some(_) => options.texts("notify_events").unwrap_or_default(),
        None => Vec::new(),
    };
    for name in names.iter().filter(|name| !is_event(name)) {
        let hint = did_you_mean(name, EVENTS.iter().copied().chain(["successToFailure", "failureToSuccess"]));
        let hint = hint.map_or(String::new(), |hint| format!(", {hint}"));
        options.problem(
            "notify_events",
            format!(
                "there is no event \"{name}\"; there are {} and turns such as successToFailure{hint}",
                EVENTS.join(", ")
            ),
        );
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_turns_are_known() {
        assert!(is_event("started") && is_event("successToFailure") && is_event("warningsToException"));
        assert!(!is_event("successTofailure") && !is_event("failed") && !is_event("xToSuccess"));
    }
}
