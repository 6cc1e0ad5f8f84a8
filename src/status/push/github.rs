//! GitHubStatus: the state of each build as a commit status.
//!
//! ```python
//! c['status'].append(status.GitHubStatus(token="…", repoOwner="buildbot", repoName="bbtools"))
//! ```
//!
//! Not here yet: the sending. The target is accepted and checked.

use crate::config::{Kind, Problems, Renderable, Secret, Section};

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "status.GitHubStatus", positional: &["token", "repoOwner", "repoName"], check };

/// The options (`reference/push.md` §3). What renders to nothing in owner, name or sha skips the build.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub token: Secret,
    pub repo_owner: Renderable,
    pub repo_name: Renderable,
    pub sha: Renderable,
    pub context: Renderable,
    pub start_description: Renderable,
    pub end_description: Renderable,
    /// Ends in `/`.
    pub base_url: url::Url,
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

fn interpolate(format: &str) -> Renderable {
    Renderable::Interpolate { format: format.to_owned(), args: Vec::new(), kwargs: Vec::new() }
}

impl Config {
    /// Reads the options; `None` where it cannot be known what to tell whom.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let token = options.required_secret("token");
        let repo_owner = options.required_renderable_text("repoOwner");
        let repo_name = options.required_renderable_text("repoName");
        let sha = options.renderable_text("sha").unwrap_or_else(|| interpolate("%(src::revision)s"));
        let context =
            options.renderable_text("context").unwrap_or_else(|| interpolate("buildbot/%(prop:buildername)s"));
        let plain = |text: &str| Renderable::Plain(text.into());
        let start_description = options.renderable_text("startDescription").unwrap_or_else(|| plain("Build started."));
        let end_description = options.renderable_text("endDescription").unwrap_or_else(|| plain("Build done."));
        let base_url = match options.value("baseURL") {
            Some(_) => super::address(&mut options, "baseURL", false),
            None => url::Url::parse("https://api.github.com/").ok(),
        };
        options.finish();
        Some(Config {
            token: token?,
            repo_owner: repo_owner?,
            repo_name: repo_name?,
            sha,
            context,
            start_description,
            end_description,
            base_url: super::with_slash(base_url?),
        })
    }
}
