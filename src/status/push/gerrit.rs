//! GerritStatusPush: reviews of changes, by ssh.
//!
//! ```python
//! c['status'].append(status.GerritStatusPush("gerrit.example.org", "buildbot", notify="OWNER"))
//! ```
//!
//! Not here yet: the sending. The target is accepted and checked.

use crate::config::{Callback, Kind, Problems, Section};
use serde_json::Value;
use std::path::PathBuf;

/// For the configuration's catalog.
pub const KIND: Kind = Kind {
    name: "status.GerritStatusPush",
    positional: &[
        "server",
        "username",
        "reviewCB",
        "startCB",
        "port",
        "reviewArg",
        "startArg",
        "summaryCB",
        "summaryArg",
        "identity_file",
        "notify",
    ],
    check,
};

/// The options (`reference/gerrit.md` §1).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: String,
    pub port: u16,
    pub username: String,
    pub identity_file: Option<PathBuf>,
    /// `NONE`, `OWNER`, `OWNER_REVIEWERS` or `ALL`; `None` leaves it to the server.
    pub notify: Option<&'static str>,
    /// `f(builderName, build, result, master_status, reviewArg) -> dict`, for each finished build.
    pub review: Option<Callback>,
    pub review_arg: Value,
    /// `f(builderName, build, startArg) -> message`, for each started build.
    pub start: Option<Callback>,
    pub start_arg: Value,
    /// What is said of a finished buildset.
    pub summary: Summary,
    pub summary_arg: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Summary {
    None,
    /// Ours, as 0.8's own: a line per build, `Verified` +1 or -1.
    Default,
    /// `f(buildInfoList, results, master_status, summaryArg) -> dict`.
    Callback(Callback),
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; `None` where there is no server to tell.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let server = options.required_text("server");
        let username = options.required_text("username");
        for (name, text) in [("server", &server), ("username", &username)] {
            if text.as_deref().is_some_and(|text| text.starts_with('-') || text.contains(char::is_whitespace)) {
                options.problem(name, "must not begin with \"-\" or hold blanks");
            }
        }
        let port = options.integer_in("port", 1, 65535).and_then(|port| u16::try_from(port).ok());
        let identity_file = options.text("identity_file").map(PathBuf::from);
        let notify = options.word("notify", &["NONE", "OWNER", "OWNER_REVIEWERS", "ALL"]);
        let review_given = options.given("reviewCB");
        let summary_given = options.given("summaryCB");
        let review = options.function("reviewCB");
        let start = options.function("startCB");
        // Naming either of the two takes the default summary away.
        let summary = match (options.function("summaryCB"), review_given || summary_given) {
            (Some(function), _) => Summary::Callback(function),
            (None, true) => Summary::None,
            (None, false) => Summary::Default,
        };
        let mut argument = |name| options.value(name).cloned().unwrap_or(Value::Null);
        let (review_arg, start_arg, summary_arg) =
            (argument("reviewArg"), argument("startArg"), argument("summaryArg"));
        options.finish();
        Some(Config {
            server: server?,
            port: port.unwrap_or(29418),
            username: username?,
            identity_file,
            notify,
            review,
            review_arg,
            start,
            start_arg,
            summary,
            summary_arg,
        })
    }
}
