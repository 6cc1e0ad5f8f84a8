//! `status.WebStatus(...)`: its options (`reference/webstatus.md` §8.1).

use crate::changes::hooks;
use crate::config::{
    Auth, AuthzConfig, Callback, Kind, Options, Permission, Problems, Section, did_you_mean, read_port, shown,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One web server, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `tcp:8010:interface=127.0.0.1`; `None` where only `distrib_port` was given.
    pub http_port: Option<String>,
    pub authz: AuthzConfig,
    /// Below the master's folder where relative.
    pub public_html: PathBuf,
    /// Folders with templates, looked at behind the master's own `templates` and before the built-in ones.
    pub template_folders: Vec<PathBuf>,
    /// Builds most pages show.
    pub numbuilds: u32,
    /// Events the waterfall shows.
    pub num_events: u32,
    /// The most it ever shows.
    pub num_events_max: Option<u32>,
    pub order_console_by_time: bool,
    /// `None`: the global `revlink`.
    pub revlink: Option<Revlink>,
    pub changecommentlink: Option<CommentLink>,
    pub projects: Option<Addresses>,
    pub repositories: Option<Addresses>,
    /// Bytes at which `http.log` is rotated.
    pub rotate_length: u64,
    /// Rotated files kept.
    pub max_rotated_files: u32,
    /// By dialect; hooks are off where empty.
    pub change_hook_dialects: BTreeMap<String, hooks::Dialect>,
    /// Who may use hooks; any of them is enough. Empty means no password is asked for.
    pub change_hook_auth: Vec<HookAuth>,
    /// The longest body a hook takes, in bytes, unpacked.
    pub change_hook_max_size: usize,
    pub feeds: Vec<Feed>,
}

/// Who may use hooks.
#[derive(Debug, Clone, PartialEq)]
pub enum HookAuth {
    /// A file of `user:password` lines, read anew for each request.
    File(PathBuf),
    Accounts(Auth),
}

/// What `change_hook_auth` takes beside `file:`.
const HOOK_AUTH: [&str; 3] = ["util.BasicAuth", "util.HTPasswdAuth", "util.HTPasswdAprAuth"];

/// The largest body there is any use for: GitHub's largest, and as much again.
const LARGEST_HOOK: i64 = 50 << 20;

/// Where a revision is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Revlink {
    /// `%s` becomes the revision.
    Format(String),
    /// By repository.
    ByRepository(BTreeMap<String, String>),
    /// `f(revision, repository) -> address or None`.
    Callback(Callback),
}

/// Links for ticket numbers in change comments.
#[derive(Debug, Clone, PartialEq)]
pub enum CommentLink {
    Pattern(TicketPattern),
    /// By project.
    ByProject(BTreeMap<String, TicketPattern>),
    /// `f(changetext, project) -> text with links`.
    Callback(Callback),
}

/// What is a ticket, where it is, and the title of the link; `\1` is the first group.
#[derive(Debug, Clone)]
pub struct TicketPattern {
    pub regex: regex::Regex,
    pub address: String,
    pub title: Option<String>,
}

impl PartialEq for TicketPattern {
    fn eq(&self, other: &TicketPattern) -> bool {
        self.regex.as_str() == other.regex.as_str() && self.address == other.address && self.title == other.title
    }
}

/// Addresses by name.
#[derive(Debug, Clone, PartialEq)]
pub enum Addresses {
    ByName(BTreeMap<String, String>),
    /// `f(name) -> address or None`.
    Callback(Callback),
}

/// `provide_feeds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    Atom,
    Json,
    Rss,
}

/// For the configuration's catalog.
pub const KIND: Kind =
    Kind { name: "status.WebStatus", positional: &["http_port", "distrib_port", "allowForce", "public_html"], check };

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; what is wrong is a problem and falls back to its default.
    pub fn read(section: &Section, problems: &mut Problems) -> Config {
        let mut options = section.read(problems);
        let http_port = options.port("http_port");
        if http_port.as_deref().is_some_and(|port| port.starts_with("ssl:")) {
            options.problem("http_port", "TLS is left to a server in front; see ARCHITECTURE.md for nginx");
        }
        options.without_effect("distrib_port", "there is no twisted.web distributed server here; use a reverse proxy");
        if http_port.is_none() && !options.given("http_port") && !options.given("distrib_port") {
            options.note("", "without http_port this server listens nowhere");
        }
        options.without_effect("site", "there are no custom site objects here");
        let authz = authz(&mut options);
        let (num_events, num_events_max) = events(&mut options);
        let whole = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        let config = Config {
            http_port,
            authz,
            public_html: PathBuf::from(options.text("public_html").unwrap_or_else(|| "public_html".to_owned())),
            template_folders: template_folders(&mut options),
            numbuilds: whole(options.integer_in("numbuilds", 1, 10_000)).unwrap_or(20),
            num_events,
            num_events_max,
            order_console_by_time: options.flag("order_console_by_time", false),
            revlink: revlink(&mut options),
            changecommentlink: comment_link(&mut options),
            projects: addresses(&mut options, "projects"),
            repositories: addresses(&mut options, "repositories"),
            rotate_length: rotation(&mut options),
            max_rotated_files: whole(options.integer_in("maxRotatedFiles", 0, 10_000)).unwrap_or(10),
            change_hook_dialects: hooks::Dialect::read_all(&mut options),
            change_hook_auth: hook_auth(&mut options),
            change_hook_max_size: options
                .integer_in("change_hook_max_size", 1_000, LARGEST_HOOK)
                .and_then(|most| usize::try_from(most).ok())
                .unwrap_or(10 << 20),
            feeds: feeds(&mut options),
        };
        options.finish();
        config
    }
}

/// `authz`, or what the two options it replaced meant.
fn authz(options: &mut Options<'_, '_>) -> AuthzConfig {
    let given = options.call("authz", &["util.Authz"]);
    let allow_force = options.given("allowForce").then(|| options.flag("allowForce", false));
    let old_auth = options.given("auth");
    if given.is_some() {
        if allow_force.is_some() {
            options.problem("allowForce", "say it in authz alone: util.Authz(forceBuild=…)");
        }
        if old_auth {
            options.problem("auth", "say it in authz alone: util.Authz(auth=…)");
        }
        return given.map(|given| AuthzConfig::read(&given, options.problems())).unwrap_or_default();
    }
    let mut authz = AuthzConfig::default();
    if old_auth {
        let auth = options.section().options.get("auth").cloned().unwrap_or(Value::Null);
        let wrapped = Section { options: serde_json::json!({ "auth": auth }), ..options.section().clone() };
        authz.auth = AuthzConfig::read(&wrapped, options.problems()).auth;
    }
    if allow_force == Some(true) {
        authz.default_action = if authz.auth.is_some() { Permission::Authenticated } else { Permission::Always };
    }
    authz
}

fn events(options: &mut Options<'_, '_>) -> (u32, Option<u32>) {
    let mut whole = |name| options.integer_in(name, 1, 1_000_000).and_then(|number| u32::try_from(number).ok());
    let (shown, most) = (whole("num_events"), whole("num_events_max"));
    match (shown, most) {
        (Some(shown), Some(most)) if most < shown => {
            options.problem("num_events_max", format!("{most} must not be less than num_events, {shown}"));
        }
        (None, Some(most)) if most < 200 => return (most, Some(most)),
        _ => {}
    }
    (shown.unwrap_or(200), most)
}

fn rotation(options: &mut Options<'_, '_>) -> u64 {
    let named = options.integer_in("rotateLength", 1, i64::MAX);
    // The manual calls it so, 0.8 itself the other.
    let other = options.integer_in("logRotateLength", 1, i64::MAX);
    named.or(other).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(10_000_000)
}

fn template_folders(options: &mut Options<'_, '_>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for loader in options.list("jinja_loaders").unwrap_or_default() {
        let path = match loader {
            Value::String(folder) => Some(vec![folder.as_str()]),
            Value::Object(object) => match object.get("path") {
                Some(Value::String(folder)) => Some(vec![folder.as_str()]),
                Some(Value::Array(folders)) => folders.iter().map(Value::as_str).collect(),
                _ => None,
            },
            _ => None,
        };
        match path {
            Some(path) => folders.extend(path.into_iter().map(PathBuf::from)),
            None => options.problem("jinja_loaders", "each must be a folder or jinja2.FileSystemLoader(folder)"),
        }
    }
    folders
}

/// A dict of text to text that is no function or call.
fn dict(value: &Value) -> Option<BTreeMap<String, String>> {
    let object = value.as_object().filter(|object| !object.keys().any(|key| key.starts_with('$')))?;
    object.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn revlink(options: &mut Options<'_, '_>) -> Option<Revlink> {
    let value = options.value("revlink")?;
    let section = options.section();
    let mut format = |text: &str| {
        if !text.contains("%s") {
            options.problem("revlink", format!("\"{text}\" needs %s where the revision goes"));
        }
    };
    if let Some(text) = value.as_str() {
        format(text);
        return Some(Revlink::Format(text.to_owned()));
    }
    if let Some(function) = section.function(value) {
        return Some(Revlink::Callback(function));
    }
    match dict(value) {
        Some(formats) => {
            formats.values().for_each(|text| format(text));
            Some(Revlink::ByRepository(formats))
        }
        None => {
            options.problem("revlink", "expected text with %s, a dict of such texts, or a function");
            None
        }
    }
}

fn comment_link(options: &mut Options<'_, '_>) -> Option<CommentLink> {
    let value = options.value("changecommentlink")?;
    let section = options.section();
    if let Some(function) = section.function(value) {
        return Some(CommentLink::Callback(function));
    }
    let read = match value {
        Value::Object(by_project) => by_project
            .iter()
            .map(|(project, pattern)| Ok((project.clone(), ticket_pattern(pattern)?)))
            .collect::<Result<_, String>>()
            .map(CommentLink::ByProject),
        other => ticket_pattern(other).map(CommentLink::Pattern),
    };
    read.map_err(|message| options.problem("changecommentlink", message)).ok()
}

fn ticket_pattern(value: &Value) -> Result<TicketPattern, String> {
    let texts: Option<Vec<&str>> = value
        .as_array()
        .and_then(|parts| parts.iter().map(|part| part.as_str().or_else(|| part.get("$regex")?.as_str())).collect());
    let (pattern, address, title) = match texts.as_deref() {
        Some([pattern, address]) => (pattern, address, None),
        Some([pattern, address, title]) => (pattern, address, Some((*title).to_owned())),
        _ => return Err("expected (pattern, address, title), a dict of such, or a function".to_owned()),
    };
    let regex = regex::Regex::new(pattern).map_err(|_| format!("\"{pattern}\" is not a regular expression"))?;
    Ok(TicketPattern { regex, address: (*address).to_owned(), title })
}

fn addresses(options: &mut Options<'_, '_>, name: &'static str) -> Option<Addresses> {
    let value = options.value(name)?;
    if let Some(function) = options.section().function(value) {
        return Some(Addresses::Callback(function));
    }
    let read = dict(value).map(Addresses::ByName);
    if read.is_none() {
        options.problem(name, "expected a dict of name to address, or a function");
    }
    read
}

fn hook_auth(options: &mut Options<'_, '_>) -> Vec<HookAuth> {
    let section = options.section();
    let given = match options.value("change_hook_auth") {
        None => &[][..],
        Some(Value::Array(checkers)) => checkers,
        Some(one) => std::slice::from_ref(one),
    };
    let mut checkers = Vec::new();
    for checker in given {
        let file = checker.as_str().and_then(|text| text.strip_prefix("file:")).filter(|file| !file.is_empty());
        let auth = section.nested(checker).filter(|call| HOOK_AUTH.contains(&call.kind.as_str()));
        match (file, auth) {
            (Some(file), _) => checkers.push(HookAuth::File(PathBuf::from(file))),
            (None, Some(call)) => checkers.extend(Auth::read(&call, options.problems()).map(HookAuth::Accounts)),
            (None, None) => options.problem(
                "change_hook_auth",
                format!(
                    "{} is not \"file:\" and a file of user:password lines, {}",
                    shown(checker),
                    HOOK_AUTH.join(" or ")
                ),
            ),
        }
    }
    checkers
}

fn feeds(options: &mut Options<'_, '_>) -> Vec<Feed> {
    let all = [("atom", Feed::Atom), ("json", Feed::Json), ("rss", Feed::Rss)];
    let Some(names) = options.texts("provide_feeds") else { return all.map(|(_, feed)| feed).to_vec() };
    let mut feeds = Vec::new();
    for name in names {
        match all.iter().find(|(known, _)| *known == name) {
            Some((_, feed)) => feeds.push(*feed),
            None => {
                let hint =
                    did_you_mean(&name, ["atom", "json", "rss"]).map_or(String::new(), |hint| format!(", {hint}"));
                options.problem("provide_feeds", format!("\"{name}\" is not one of atom, json, rss{hint}"));
            }
        }
    }
    feeds
}

/// The number of the TCP port a description names.
pub fn tcp_port(http_port: &str) -> Option<u16> {
    read_port(&Value::String(http_port.to_owned()))?.strip_prefix("tcp")?.split(':').nth(1)?.parse().ok()
}
