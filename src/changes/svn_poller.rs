//! SVNPoller: new revisions of a Subversion repository become changes.
//!
//! ```python
//! c['change_source'] = changes.SVNPoller(svnurl="https://svn.example.org/svn/project", pollInterval=600)
//! ```
//!
//! Not here yet: the polling. The source is accepted and checked.

use crate::config::{Callback, Kind, Problems, Secret, Section};
use std::time::Duration;

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "changes.SVNPoller", positional: &["svnurl", "split_file"], check };

/// The options of the manual.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub svnurl: String,
    /// `f(path) -> (branch, path)`, or a dict with `path`, `branch`, `project`.
    pub split_file: Option<Callback>,
    pub svnuser: Option<String>,
    pub svnpasswd: Option<Secret>,
    pub poll_interval: Duration,
    pub poll_at_launch: bool,
    /// Revisions looked at in one poll.
    pub histmax: u32,
    pub svnbin: String,
    /// `%s` becomes the revision.
    pub revlinktmpl: Option<String>,
    pub category: Option<String>,
    pub project: String,
    pub cachepath: Option<String>,
    pub extra_args: Vec<String>,
    pub name: Option<String>,
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; `None` where there is no repository to poll.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let svnurl = options.required_text("svnurl");
        if svnurl.as_deref().is_some_and(|url| url.starts_with('-')) {
            options.problem("svnurl", "must not begin with \"-\"");
        }
        let interval = options.positive_seconds("pollInterval");
        // The old name of the manual's option, and its unit.
        let old_interval = options.positive_seconds("pollinterval");
        let config = Config {
            svnurl: svnurl.clone().unwrap_or_default(),
            split_file: options.function("split_file"),
            svnuser: options.text("svnuser"),
            svnpasswd: options.secret("svnpasswd"),
            poll_interval: interval.or(old_interval).unwrap_or(Duration::from_secs(600)),
            poll_at_launch: options.flag("pollAtLaunch", false),
            histmax: options.integer_in("histmax", 1, 100_000).and_then(|most| u32::try_from(most).ok()).unwrap_or(100),
            svnbin: options.text("svnbin").unwrap_or_else(|| "svn".to_owned()),
            revlinktmpl: options.text("revlinktmpl"),
            category: options.text("category"),
            project: options.text("project").unwrap_or_default(),
            cachepath: options.text("cachepath"),
            extra_args: options.texts("extra_args").unwrap_or_default(),
            name: options.text("name"),
        };
        options.finish();
        svnurl.map(|_| config)
    }
}
