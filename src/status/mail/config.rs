//! The options of MailNotifier (`reference/mail.md` §1).

use super::address;
use super::mode::{MODES, Mode};
use super::relay::{Relay, Security};
use crate::config::{Callback, Options, Problems, Renderable, Section, did_you_mean};
use serde_json::Value;
use std::time::Duration;

/// The options of `status.MailNotifier`; see the module above.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What tells it from others; `None` makes one from whom it writes to and when.
    pub name: Option<String>,
    pub fromaddr: String,
    /// In the order given; shortcuts are written out.
    pub mode: Vec<Mode>,
    /// Builders must share one of these.
    pub tags: Option<Vec<String>>,
    pub builders: Option<Vec<String>>,
    pub add_logs: AddLogs,
    pub add_patch: bool,
    pub build_set_summary: bool,
    /// `%(builder)s`, `%(result)s`, `%(title)s`, `%(projectName)s`.
    pub subject: String,
    /// The domain people without an address have theirs in; `None` asks the user database.
    pub lookup: Option<Lookup>,
    pub extra_recipients: Vec<String>,
    pub send_to_interested_users: bool,
    /// `f(mode, name, build, results, master_status) -> {body, type, subject}`.
    pub message_formatter: Option<Callback>,
    pub extra_headers: Vec<(Renderable, Renderable)>,
    /// `f(build) -> build or None`.
    pub previous_build_getter: Option<Callback>,
    pub relay: Relay,
    /// Bytes of logs and patches that go with one letter.
    pub attachment_limit: usize,
    /// How many of the last lines of a failing step's log a letter shows.
    pub log_lines: i64,
    /// Failures are told from this one in a row on; 1 is all of them.
    pub still_failing_after: usize,
    /// What happens within such a time makes one letter.
    pub digest_window: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    Domain(String),
    /// `f(name) -> address or None`.
    Callback(Callback),
}

#[derive(Debug, Clone, PartialEq)]
pub enum AddLogs {
    None,
    All,
    /// By `logname` or `stepname.logname`.
    Named(Vec<String>),
}

impl AddLogs {
    pub fn takes(&self, step: &str, log: &str) -> bool {
        match self {
            AddLogs::None => false,
            AddLogs::All => true,
            AddLogs::Named(names) => names.iter().any(|name| name == log || *name == format!("{step}.{log}")),
        }
    }
}

/// What the letters of a build may be accompanied by, unless more is allowed.
const ATTACHMENT_LIMIT: i64 = 5 << 20;
/// How long a relay may take to answer a command; RFC 5321 §4.5.3.2 would have five minutes, for machines of its time.
const ANSWER: Duration = Duration::from_secs(60);
/// Lines of a failing step's log, unless otherwise said.
const LOG_LINES: i64 = 40;

impl Config {
    /// Whether `builders` has it, or is not given.
    pub fn takes_builder(&self, builder: &str) -> bool {
        self.builders.as_ref().is_none_or(|builders| builders.iter().any(|name| name == builder))
    }

    /// Reads the options; `None` where there is no sender.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let fromaddr = fromaddr(&mut options);
        let mode = modes(&mut options);
        let (builders, tags) = builders_or_tags(&mut options);
        let extra_recipients = recipients(&mut options);
        let subject =
            options.text("subject").unwrap_or_else(|| "buildbot %(result)s in %(title)s on %(builder)s".to_owned());
        check_subject(&mut options, &subject, &["result", "title", "projectName", "builder"]);
        if options.given("customMesg") {
            options.problem("customMesg", "is gone; use messageFormatter");
        }
        let limit = options.integer_in("attachmentLimit", 0, 1 << 30).unwrap_or(ATTACHMENT_LIMIT);
        let after = options.integer_in("stillFailingAfter", 1, 1000).unwrap_or(1);
        let config = Config {
            name: options.text("name").filter(|name| !name.is_empty()),
            fromaddr: fromaddr.clone().unwrap_or_default(),
            mode,
            tags,
            builders,
            add_logs: add_logs(&mut options),
            add_patch: options.flag("addPatch", true),
            build_set_summary: options.flag("buildSetSummary", false),
            subject,
            lookup: lookup(&mut options),
            extra_recipients,
            send_to_interested_users: options.flag("sendToInterestedUsers", true),
            message_formatter: options.function("messageFormatter"),
            extra_headers: extra_headers(&mut options),
            previous_build_getter: options.function("previousBuildGetter"),
            relay: relay(&mut options),
            attachment_limit: usize::try_from(limit).unwrap_or(0),
            log_lines: options.integer_in("logLines", 0, 500).unwrap_or(LOG_LINES),
            still_failing_after: usize::try_from(after).unwrap_or(1),
            digest_window: options.positive_seconds("digestWindow"),
        };
        options.finish();
        fromaddr.map(|_| config)
    }
}

/// Who the letters come from.
pub(super) fn fromaddr(options: &mut Options<'_, '_>) -> Option<String> {
    let fromaddr = options.required_text("fromaddr")?;
    if address::sender(&fromaddr).is_none() {
        options.problem("fromaddr", format!("\"{}\" is not a mail address", fromaddr.escape_debug()));
    }
    Some(fromaddr)
}

/// `builders` or `tags`, not both.
pub(super) fn builders_or_tags(options: &mut Options<'_, '_>) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let builders = options.texts("builders");
    let tags = options.texts("tags");
    let old_tags = options.texts("categories");
    let tags = tags.or(old_tags);
    if builders.is_some() && tags.is_some() {
        options.problem("builders", "give builders or tags, not both");
    }
    (builders, tags)
}

/// How the letters get away. To be called once: it reads options of its own.
pub(super) fn relay(options: &mut Options<'_, '_>) -> Relay {
    let (start_tls, implicit) = (options.flag("useTls", false), options.flag("useSmtps", false));
    let security = match (start_tls, implicit) {
        (_, true) => Security::Implicit,
        (true, false) => Security::StartTls,
        (false, false) => Security::IfOffered,
    };
    if start_tls && implicit {
        options.problem("useSmtps", "give useTls (STARTTLS) or useSmtps (TLS from the first byte on), not both");
    }
    let user = options.secret("smtpUser").filter(|user| !user.reveal().is_empty());
    let password = options.secret("smtpPassword").filter(|password| !password.reveal().is_empty());
    if user.is_some() != password.is_some() {
        let given = if user.is_some() { "smtpUser" } else { "smtpPassword" };
        options.problem(given, "give smtpUser and smtpPassword both");
    }
    let host = options.text("relayhost").unwrap_or_else(|| "localhost".to_owned());
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
        options.problem("relayhost", format!("\"{}\" is not the name of a host", host.escape_debug()));
    }
    let port = options.integer_in("smtpPort", 1, 65535).and_then(|port| u16::try_from(port).ok());
    let usual_port = if implicit { 465 } else { 25 };
    let rate = options.integer_in("rateLimit", 1, 100_000).and_then(|rate| u32::try_from(rate).ok());
    Relay {
        host,
        port: port.unwrap_or(usual_port),
        security,
        login: user.zip(password),
        ca_file: options.text("caFile").map(Into::into),
        letters_per_minute: rate.unwrap_or(300),
        timeout: options.positive_seconds("smtpTimeout").unwrap_or(ANSWER),
    }
}

fn modes(options: &mut Options<'_, '_>) -> Vec<Mode> {
    let words: Vec<&str> = MODES.iter().map(|(word, _)| *word).collect();
    let Some(value) = options.value("mode") else { return Mode::usual() };
    if let Some(word) = value.as_str() {
        return Mode::from_word(word).unwrap_or_else(|| {
            let hint = did_you_mean(word, words.iter().copied().chain(["all"]))
                .map_or(String::new(), |hint| format!(", {hint}"));
            options.problem("mode", format!("\"{word}\" is not \"all\" or one of {}{hint}", words.join(", ")));
            Vec::new()
        });
    }
    let mut modes = Vec::new();
    for word in options.texts("mode").unwrap_or_default() {
        match MODES.iter().find(|(known, _)| *known == word) {
            Some((_, mode)) => modes.push(*mode),
            None if word == "all" => options.problem("mode", "\"all\" stands alone: mode=\"all\""),
            None => {
                let hint = did_you_mean(&word, words.iter().copied()).map_or(String::new(), |hint| format!(", {hint}"));
                options.problem("mode", format!("\"{word}\" is not one of {}{hint}", words.join(", ")));
            }
        }
    }
    modes
}

/// `extraRecipients`, each checked.
pub(super) fn recipients(options: &mut Options<'_, '_>) -> Vec<String> {
    let recipients = options.texts("extraRecipients").unwrap_or_default();
    for address in recipients.iter().filter(|address| !address::is_address(address)) {
        options.problem("extraRecipients", format!("\"{}\" is not a mail address", address.escape_debug()));
    }
    recipients
}

/// That a subject is one line and names nothing but these.
pub(super) fn check_subject(options: &mut Options<'_, '_>, subject: &str, keys: &[&str]) {
    if subject.contains(['\n', '\r']) {
        options.problem("subject", "must be one line");
    }
    let names = subject.split("%(").skip(1).filter_map(|rest| rest.split_once(')')).map(|(name, _)| name);
    for name in names.filter(|name| !keys.contains(name)) {
        options.problem("subject", format!("%({name})s is not known here; {} are", keys.join(", ")));
    }
}

fn add_logs(options: &mut Options<'_, '_>) -> AddLogs {
    match options.value("addLogs") {
        None | Some(Value::Bool(false)) => AddLogs::None,
        Some(Value::Bool(true)) => AddLogs::All,
        Some(_) => options.texts("addLogs").map_or(AddLogs::None, AddLogs::Named),
    }
}

fn lookup(options: &mut Options<'_, '_>) -> Option<Lookup> {
    let value = options.value("lookup")?;
    if let Some(function) = options.section().function(value) {
        return Some(Lookup::Callback(function));
    }
    let domain = match options.section().nested(value) {
        Some(call) if call.kind == "util.Domain" => {
            call.options.get("domain").and_then(Value::as_str).map(str::to_owned)
        }
        _ => value.as_str().map(str::to_owned),
    };
    match domain {
        Some(domain) if domain.contains('@') || domain.is_empty() => {
            options.problem("lookup", format!("\"{domain}\" is not a domain: write it without the \"@\""));
            None
        }
        Some(domain) => Some(Lookup::Domain(domain)),
        None => {
            options.problem("lookup", "expected a domain or a function");
            None
        }
    }
}

fn extra_headers(options: &mut Options<'_, '_>) -> Vec<(Renderable, Renderable)> {
    let headers = options.renderable_pairs("extraHeaders").unwrap_or_default();
    for (name, value) in &headers {
        let line = |text: &str| !text.contains(['\n', '\r']);
        let is_name = |name: &str| !name.is_empty() && line(name) && !name.contains([':', ' ']);
        let name = plain(name);
        if !name.is_none_or(is_name) || !plain(value).is_none_or(line) {
            let name = name.unwrap_or_default().escape_debug();
            options.problem("extraHeaders", format!("\"{name}\" is not a header of one line"));
        }
    }
    headers
}

/// Text that needs no build to be known.
fn plain(renderable: &Renderable) -> Option<&str> {
    match renderable {
        Renderable::Plain(Value::String(text)) => Some(text),
        _ => None,
    }
}
