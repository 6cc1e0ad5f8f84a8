//! HgPoller: new changesets of a Mercurial branch become changes.
//!
//! ```python
//! c['change_source'] = changes.HgPoller(repourl="https://hg.example.org/project", workdir="hg-project")
//! ```
//!
//! Not here yet: the polling. The source is accepted and checked.

use crate::config::{Kind, Problems, Section};
use std::time::Duration;

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "changes.HgPoller", positional: &["repourl", "branch"], check };

/// The options of the manual.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub repourl: String,
    pub branch: String,
    /// Below the master's folder, unless absolute.
    pub workdir: String,
    pub poll_interval: Duration,
    pub poll_at_launch: bool,
    pub hgbin: String,
    pub category: Option<String>,
    pub project: String,
    /// The time of the commit rather than of the poll.
    pub use_timestamps: bool,
    pub encoding: String,
    pub name: Option<String>,
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; `None` where there is no repository to poll.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let repourl = options.required_text("repourl");
        let workdir = options.required_text("workdir");
        let config = Config {
            repourl: repourl.clone().unwrap_or_default(),
            branch: options.text("branch").unwrap_or_else(|| "default".to_owned()),
            workdir: workdir.clone().unwrap_or_default(),
            poll_interval: options.positive_seconds("pollInterval").unwrap_or(Duration::from_secs(600)),
            poll_at_launch: options.flag("pollAtLaunch", false),
            hgbin: options.text("hgbin").unwrap_or_else(|| "hg".to_owned()),
            category: options.text("category"),
            project: options.text("project").unwrap_or_default(),
            use_timestamps: options.flag("usetimestamps", true),
            encoding: options.text("encoding").unwrap_or_else(|| "utf-8".to_owned()),
            name: options.text("name"),
        };
        options.finish();
        repourl.and(workdir).map(|_| config)
    }
}
