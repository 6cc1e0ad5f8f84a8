//! MailNotifier: letters about finished builds.
//!
//! ```python
//! c['status'].append(status.MailNotifier(fromaddr="buildbot@example.org",
//!                                        sendToInterestedUsers=False,
//!                                        extraRecipients=["dev@example.org"],
//!                                        mode=("failing", "exception")))
//! ```
//!
//! Not here yet: the sending. The target is accepted and checked.

use crate::config::{Callback, Kind, Options, Problems, Renderable, Secret, Section, did_you_mean};
use serde_json::Value;
use std::sync::LazyLock;

/// For the configuration's catalog.
pub const KIND: Kind = Kind {
    name: "status.MailNotifier",
    positional: &[
        "fromaddr",
        "mode",
        "tags",
        "builders",
        "addLogs",
        "relayhost",
        "buildSetSummary",
        "subject",
        "lookup",
        "extraRecipients",
        "sendToInterestedUsers",
    ],
    check,
};

/// `Domain("example.org")`, for `lookup`.
pub const DOMAIN: Kind = Kind { name: "util.Domain", positional: &["domain"], check: check_domain };

/// The options (`reference/mail.md` §1).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
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
    pub relayhost: String,
    pub smtp_port: u16,
    pub use_tls: bool,
    pub smtp_user: Option<Secret>,
    pub smtp_password: Option<Secret>,
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

/// When a letter is sent (`reference/mail.md` §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Change,
    Failing,
    Passing,
    Problem,
    Warnings,
    Exception,
}

const MODES: [(&str, Mode); 6] = [
    ("change", Mode::Change),
    ("failing", Mode::Failing),
    ("passing", Mode::Passing),
    ("problem", Mode::Problem),
    ("warnings", Mode::Warnings),
    ("exception", Mode::Exception),
];

impl Mode {
    /// The manual's word.
    pub fn word(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(word, _)| *word)
    }

    /// What the word for one mode, or a shortcut, stands for.
    fn from_word(word: &str) -> Option<Vec<Mode>> {
        match word {
            "all" => Some(MODES.map(|(_, mode)| mode).to_vec()),
            "warnings" => Some(vec![Mode::Warnings, Mode::Failing]),
            word => MODES.iter().find(|(known, _)| *known == word).map(|(_, mode)| vec![*mode]),
        }
    }
}

/// 0.8's own test of an address, `Name <user@host.domain>` or bare (`reference/mail.md` §5).
static ADDRESS: LazyLock<regex::Regex> = LazyLock::new(|| {
    let address = r"\S+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+\.?";
    regex::Regex::new(&format!(r"^({address}|(.+\s+)?<{address}>\s*)$")).expect("the built-in expression compiles")
});

/// Whether mail can be addressed so.
pub fn is_address(text: &str) -> bool {
    !text.contains(['\n', '\r']) && ADDRESS.is_match(text)
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

fn check_domain(section: &Section, problems: &mut Problems) {
    let mut options = section.read(problems);
    options.required_text("domain");
    options.finish();
}

impl Config {
    /// Reads the options; `None` where there is no sender.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let fromaddr = options.required_text("fromaddr");
        // A sender on this machine needs no domain: the manual's own is buildbot@localhost.
        let local = |address: &str| address.split('@').count() == 2 && !address.contains(char::is_whitespace);
        if fromaddr.as_deref().is_some_and(|address| !is_address(address) && !local(address)) {
            options.problem("fromaddr", format!("\"{}\" is not a mail address", fromaddr.as_deref().unwrap_or("")));
        }
        let mode = modes(&mut options);
        let builders = options.texts("builders");
        let mut tags = options.texts("tags");
        let old_tags = options.texts("categories");
        tags = tags.or(old_tags);
        if builders.is_some() && tags.is_some() {
            options.problem("builders", "give builders or tags, not both");
        }
        let extra_recipients = recipients(&mut options);
        let send_to_interested_users = options.flag("sendToInterestedUsers", true);
        let subject =
            options.text("subject").unwrap_or_else(|| "buildbot %(result)s in %(title)s on %(builder)s".to_owned());
        check_subject(&mut options, &subject);
        if options.given("customMesg") {
            options.problem("customMesg", "is gone; use messageFormatter");
        }
        let use_tls = options.flag("useTls", false);
        let smtp_user = options.secret("smtpUser");
        let smtp_password = options.secret("smtpPassword");
        if use_tls && (smtp_user.is_none() || smtp_password.is_none()) {
            options.problem("useTls", "needs smtpUser and smtpPassword as well");
        } else if smtp_user.is_some() != smtp_password.is_some() {
            options.problem(
                if smtp_user.is_some() { "smtpUser" } else { "smtpPassword" },
                "give smtpUser and smtpPassword both",
            );
        }
        let smtp_port = options.integer_in("smtpPort", 1, 65535).and_then(|port| u16::try_from(port).ok());
        let config = Config {
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
            send_to_interested_users,
            message_formatter: options.function("messageFormatter"),
            extra_headers: extra_headers(&mut options),
            previous_build_getter: options.function("previousBuildGetter"),
            relayhost: options.text("relayhost").unwrap_or_else(|| "localhost".to_owned()),
            smtp_port: smtp_port.unwrap_or(25),
            use_tls,
            smtp_user,
            smtp_password,
        };
        options.finish();
        fromaddr.map(|_| config)
    }
}

fn modes(options: &mut Options<'_, '_>) -> Vec<Mode> {
    let words: Vec<&str> = MODES.iter().map(|(word, _)| *word).collect();
    let Some(value) = options.value("mode") else { return vec![Mode::Failing, Mode::Passing, Mode::Warnings] };
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

fn recipients(options: &mut Options<'_, '_>) -> Vec<String> {
    let recipients = options.texts("extraRecipients").unwrap_or_default();
    for address in recipients.iter().filter(|address| !is_address(address)) {
        options.problem("extraRecipients", format!("\"{address}\" is not a mail address"));
    }
    recipients
}

fn check_subject(options: &mut Options<'_, '_>, subject: &str) {
    const KEYS: [&str; 4] = ["result", "title", "projectName", "builder"];
    if subject.contains('\n') {
        options.problem("subject", "must be one line");
    }
    let names = subject.split("%(").skip(1).filter_map(|rest| rest.split_once(')')).map(|(name, _)| name);
    for name in names.filter(|name| !KEYS.contains(name)) {
        options.problem("subject", format!("%({name})s is not known here; {} are", KEYS.join(", ")));
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
    let headers = options.renderable_dict("extraHeaders").unwrap_or_default();
    for (name, value) in &headers {
        let line = |text: &str| text.contains(['\n', '\r']);
        let bad_value = matches!(value, Renderable::Plain(Value::String(text)) if line(text));
        if name.is_empty() || line(name) || name.contains([':', ' ']) || bad_value {
            options.problem("extraHeaders", format!("\"{}\" is not a header of one line", name.escape_debug()));
        }
    }
    headers.into_iter().map(|(name, value)| (Renderable::Plain(name.into()), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_as_0_8_tells_them() {
        for good in ["foo+bar@example.com", "nobody@example.com.", "My Name <my.name@example.com>", "<a@b.c>"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["foo", "foo@", "@example.com", "foo@invalid", "a b@c.d", "x@a..b", "a@b.c\n"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
