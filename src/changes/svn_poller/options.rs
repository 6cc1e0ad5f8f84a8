//! The options of SVNPoller, as the manual has them.

use super::super::poller_options::{Category, TEN_MINUTES, read_interval};
use super::super::source::without_password;
use crate::config::{Callback, Kind, Problems, Secret, Section};
use std::time::Duration;

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "changes.SVNPoller", positional: &["svnurl", "split_file"], check };

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The repository by default. Under this it keeps how far it has read.
    pub name: String,
    /// As written: it may hold a password.
    pub svnurl: String,
    /// `f(path) -> (branch, path)`, a dict with `path`, `branch`, `project`, `codebase`, `repository`, or `None`.
    pub split_file: Option<Callback>,
    pub svnuser: Option<String>,
    pub svnpasswd: Option<Secret>,
    /// More than zero; ten minutes by default.
    pub poll_interval: Duration,
    pub poll_at_launch: bool,
    /// Revisions read at a time.
    pub histmax: u32,
    pub svnbin: String,
    /// `%s` becomes the revision.
    pub revlinktmpl: Option<String>,
    pub category: Category,
    pub project: String,
    /// A file that holds the last revision, as 0.8 keeps it. Below the master's folder, unless absolute.
    pub cachepath: Option<String>,
    pub extra_args: Vec<String>,
    /// How long one command may take; no option sets it.
    pub limit: Duration,
    /// Where it stands, `master.cfg:14`.
    pub place: String,
    /// `svnurl` without a password. Changes carry this one as their repository.
    pub shown_url: String,
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// What there is when nothing but the repository is given.
    pub fn new(svnurl: &str) -> Config {
        let shown_url = without_password(svnurl);
        Config {
            name: shown_url.clone(),
            svnurl: svnurl.to_owned(),
            split_file: None,
            svnuser: None,
            svnpasswd: None,
            poll_interval: TEN_MINUTES,
            poll_at_launch: false,
            histmax: 100,
            svnbin: "svn".to_owned(),
            revlinktmpl: None,
            category: Category::None,
            project: String::new(),
            cachepath: None,
            extra_args: Vec::new(),
            limit: TEN_MINUTES,
            place: String::new(),
            shown_url,
        }
    }

    /// Reads the options of a section; `None` if there is anything wrong with them, which is then among the problems.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let svnurl = options.required_text("svnurl");
        match svnurl.as_deref() {
            Some(url) if url.starts_with('-') => options.problem("svnurl", "must not begin with \"-\""),
            Some(url) if !url.is_empty() && !url.contains("://") => {
                options.problem("svnurl", format!("\"{url}\" is no URL; a folder's begins with file://"));
            }
            _ => {}
        }
        let name = options.text("name").filter(|name| !name.is_empty());
        let split_file = options.function("split_file");
        let svnuser = options.text("svnuser");
        let svnpasswd = options.secret("svnpasswd");
        let poll_interval = read_interval(&mut options);
        let poll_at_launch = options.flag("pollAtLaunch", false);
        let histmax = options.integer_in("histmax", 1, 100_000).and_then(|most| u32::try_from(most).ok());
        let svnbin = options.text("svnbin").unwrap_or_else(|| "svn".to_owned());
        let revlinktmpl = options.text("revlinktmpl").filter(|template| !template.is_empty());
        let category = Category::read(&mut options);
        let project = options.text("project").unwrap_or_default();
        let cachepath = options.text("cachepath").filter(|path| !path.is_empty());
        let extra_args = options.texts("extra_args").unwrap_or_default();
        if !options.finish() {
            return None;
        }
        let usual = Config::new(&svnurl?);
        Some(Config {
            name: name.unwrap_or_else(|| usual.name.clone()),
            split_file,
            svnuser,
            svnpasswd,
            poll_interval,
            poll_at_launch,
            histmax: histmax.unwrap_or(usual.histmax),
            svnbin,
            revlinktmpl,
            category,
            project,
            cachepath,
            extra_args,
            place: section.place.clone(),
            ..usual
        })
    }

    /// 0.8's sentence.
    pub fn description(&self) -> String {
        format!("SVNPoller: watching {}", self.shown_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(options: Value) -> Result<Config, Vec<String>> {
        let section = Section::new("changes.SVNPoller", "master.cfg:1", options);
        let mut problems = Problems::default();
        let config = Config::read(&section, &mut problems);
        config.ok_or_else(|| problems.0.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn defaults_are_the_manuals() {
        let config = read(json!({"svnurl": "svn://svn.example.org/trunk"})).unwrap();
        assert_eq!(config, Config { place: "master.cfg:1".into(), ..Config::new("svn://svn.example.org/trunk") });
        assert_eq!((config.histmax, config.svnbin.as_str(), config.poll_at_launch), (100, "svn", false));
        assert_eq!(config.name, "svn://svn.example.org/trunk");
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = read(json!({"svnurl": "https://bot:s3cret@example.org/x", "svnpasswd": "hush"})).unwrap();
        let shown = format!("{} {} {:?}", config.name, config.description(), config.svnpasswd);
        assert!(!shown.contains("s3cret") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn everything_wrong_is_said() {
        let problems = read(json!({
            "svnurl": "/srv/svn", "pollInterval": 0, "histmax": 0, "svnbim": "x", "extra_args": "x", "category": 3
        }));
        let problems = problems.unwrap_err().join("\n");
        for part in ["file://", "pollInterval", "histmax", "svnbim", "extra_args", "category"] {
            assert!(problems.contains(part), "{part} is not in {problems}");
        }
    }
}
