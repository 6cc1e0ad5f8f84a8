//! The options of `status.IRC`.

use super::connection::settings::Access;
use super::events::{EventName, Events};
use crate::config::{AuthzConfig, Options, Problems, Secret, Section, did_you_mean};
use serde_json::Value;
use std::time::Duration;

/// The options (`reference/irc.md` §1).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub host: String,
    pub nick: String,
    pub channels: Vec<Channel>,
    /// Nicks told by private message, as if they were channels.
    pub pm_to_nicks: Vec<String>,
    pub port: u16,
    /// Passwords of the server, SASL and TLS.
    pub access: Access,
    pub allow_force: bool,
    pub allow_shutdown: bool,
    /// Only builders with one of these are spoken of unasked; `None` is all.
    pub tags: Option<Vec<String>>,
    /// For NickServ.
    pub password: Option<Secret>,
    /// What channels and `pm_to_nicks` are told of without asking for it.
    pub notify_events: Events,
    pub notice_on_channel: bool,
    pub show_blame_list: bool,
    pub use_revisions: bool,
    pub use_colors: bool,
    /// `None` draws 1 to 5 s anew for each try.
    pub lost_delay: Option<Duration>,
    /// `None` draws 45 to 60 s anew for each try.
    pub failed_delay: Option<Duration>,
    /// Who may do what the flags open; `None` is everybody.
    pub authz: Option<AuthzConfig>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    pub name: String,
    /// Its key.
    pub password: Option<Secret>,
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
        let tags = options.texts("tags").filter(|tags| !tags.is_empty());
        let old_tags = options.texts("categories").filter(|tags| !tags.is_empty());
        let config = Config {
            host: host.clone().unwrap_or_default(),
            nick: nick.clone().unwrap_or_default(),
            channels,
            pm_to_nicks: pm_to_nicks(&mut options),
            port: port.unwrap_or(if use_ssl { 6697 } else { 6667 }),
            access: Access::read(&mut options, use_ssl),
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
            authz: authz(&mut options),
        };
        shut(&mut options, &config);
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
fn events(options: &mut Options<'_, '_>) -> Events {
    let names: Vec<String> = match options.value("notify_events") {
        Some(Value::Object(dict)) if !dict.keys().any(|key| key.starts_with('$')) => dict
            .iter()
            .filter(|(_, wanted)| wanted.as_bool() != Some(false) && wanted.as_i64() != Some(0))
            .map(|(name, _)| name.clone())
            .collect(),
        Some(_) => options.texts("notify_events").unwrap_or_default(),
        None => Vec::new(),
    };
    let mut events = Vec::new();
    for name in names {
        match EventName::parse(&name) {
            Some(event) => events.push(event),
            None => unknown_event(options, &name),
        }
    }
    events.into_iter().collect()
}

fn unknown_event(options: &mut Options<'_, '_>, name: &str) {
    let known: Vec<String> = EventName::simple().map(|event| event.to_string()).collect();
    let turns = ["successToFailure", "failureToSuccess"];
    let hint = did_you_mean(name, known.iter().map(String::as_str).chain(turns));
    let hint = hint.map_or(String::new(), |hint| format!(", {hint}"));
    let known = known.join(", ");
    options.problem(
        "notify_events",
        format!("there is no event \"{name}\"; there are {known} and turns such as successToFailure{hint}"),
    );
}

fn authz(options: &mut Options<'_, '_>) -> Option<AuthzConfig> {
    let call = options.call("authz", &["util.Authz"])?;
    Some(AuthzConfig::read_without_login(&call, options.problems()))
}

/// A permission behind a flag that is off is a mistake, or the flag's absence is.
fn shut(options: &mut Options<'_, '_>, config: &Config) {
    let given = |action: &str| config.authz.as_ref().is_some_and(|authz| authz.actions.contains_key(action));
    for (flag, name, actions) in [
        (config.allow_force, "allowForce", &["forceBuild", "stopBuild"][..]),
        (config.allow_shutdown, "allowShutdown", &["cleanShutdown"][..]),
    ] {
        if let Some(action) = actions.iter().find(|action| !flag && given(action)) {
            options.note("authz", format!("{action} has no effect without {name}=True"));
        }
    }
}
