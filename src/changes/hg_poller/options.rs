//! The options of HgPoller, as the manual has them.

use super::super::poller_options::{Category, TEN_MINUTES, read_encoding, read_interval};
use super::super::source::without_password;
use crate::config::{Kind, Problems, Section};
use std::time::Duration;

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "changes.HgPoller", positional: &["repourl", "branch"], check };

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The repository by default, with the branch if that is not `default`. Under this it keeps how far it has read.
    pub name: String,
    /// As written: it may hold a password. A relative path starts at the master's folder.
    pub repourl: String,
    pub branch: String,
    /// Below the master's folder, unless absolute.
    pub workdir: String,
    /// More than zero; ten minutes by default.
    pub poll_interval: Duration,
    pub poll_at_launch: bool,
    pub hgbin: String,
    pub category: Category,
    pub project: String,
    /// The time of the commit rather than of the poll.
    pub use_timestamps: bool,
    /// What bytes of authors and messages mean that are not UTF-8, by Python's name; hg's own idea by default.
    pub encoding: Option<String>,
    /// How long a pull may take; no option sets it.
    pub limit: Duration,
    /// Where it stands, `master.cfg:14`.
    pub place: String,
    /// `repourl` without a password. Changes carry this one as their repository.
    pub shown_url: String,
}

/// The branch every repository begins with.
const DEFAULT: &str = "default";

const PULL_LIMIT: Duration = Duration::from_secs(30 * 60);

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// What there is when nothing but the repository and the place of its copy is given.
    pub fn new(repourl: &str, workdir: &str) -> Config {
        let shown_url = without_password(repourl);
        Config {
            name: shown_url.clone(),
            repourl: repourl.to_owned(),
            branch: DEFAULT.to_owned(),
            workdir: workdir.to_owned(),
            poll_interval: TEN_MINUTES,
            poll_at_launch: false,
            hgbin: "hg".to_owned(),
            category: Category::None,
            project: String::new(),
            use_timestamps: true,
            encoding: None,
            limit: PULL_LIMIT,
            place: String::new(),
            shown_url,
        }
    }

    /// Reads the options of a section; `None` if there is anything wrong with them, which is then among the problems.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let repourl = options.required_text("repourl");
        if repourl.as_deref().is_some_and(|url| url.starts_with('-')) {
            options.problem("repourl", "must not begin with \"-\"");
        }
        if repourl.as_deref().is_some_and(|url| url.contains(char::is_control)) {
            options.problem("repourl", "must not hold line breaks or the like");
        }
        let name = options.text("name").filter(|name| !name.is_empty());
        let branch = options.text("branch").unwrap_or_else(|| DEFAULT.to_owned());
        if !is_branch_name(&branch) {
            options.problem("branch", format!("\"{branch}\" cannot be the name of a branch"));
        }
        let workdir = options.required_text("workdir");
        let poll_interval = read_interval(&mut options);
        let poll_at_launch = options.flag("pollAtLaunch", false);
        let hgbin = options.text("hgbin").unwrap_or_else(|| "hg".to_owned());
        let category = Category::read(&mut options);
        let project = options.text("project").unwrap_or_default();
        let use_timestamps = options.flag("usetimestamps", true);
        let known = read_encoding(&mut options);
        let encoding = options.text("encoding").filter(|_| known != encoding_rs::UTF_8);
        if !options.finish() {
            return None;
        }
        let usual = Config::new(&repourl?, &workdir?);
        let own_name = if branch == DEFAULT { usual.name.clone() } else { format!("{}#{branch}", usual.name) };
        Some(Config {
            name: name.unwrap_or(own_name),
            branch,
            poll_interval,
            poll_at_launch,
            hgbin,
            category,
            project,
            use_timestamps,
            encoding,
            place: section.place.clone(),
            ..usual
        })
    }

    /// 0.8's sentence.
    pub fn description(&self) -> String {
        let Config { shown_url, branch, workdir, .. } = self;
        format!("HgPoller watching the remote Mercurial repository {shown_url}, branch: {branch}, in workdir {workdir}")
    }
}

/// Whether hg takes this as the name of a branch.
fn is_branch_name(name: &str) -> bool {
    !name.trim().is_empty() && !name.contains(|letter: char| letter.is_control() || letter == ':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(options: Value) -> Result<Config, Vec<String>> {
        let section = Section::new("changes.HgPoller", "master.cfg:1", options);
        let mut problems = Problems::default();
        let config = Config::read(&section, &mut problems);
        config.ok_or_else(|| problems.0.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn defaults_are_the_manuals() {
        let config = read(json!({"repourl": "http://hg.example.org/x", "workdir": "hg-x"})).unwrap();
        assert_eq!(config, Config { place: "master.cfg:1".into(), ..Config::new("http://hg.example.org/x", "hg-x") });
        assert_eq!((config.branch.as_str(), config.hgbin.as_str(), config.use_timestamps), ("default", "hg", true));
        assert_eq!((config.poll_interval, config.poll_at_launch), (TEN_MINUTES, false));
        let other = read(json!({"repourl": "http://hg.example.org/x", "workdir": "hg-x", "branch": "great"})).unwrap();
        assert_eq!(other.name, "http://hg.example.org/x#great");
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = read(json!({"repourl": "https://bot:s3cret@example.org/x", "workdir": "x"})).unwrap();
        assert!(!config.description().contains("s3cret") && !config.name.contains("s3cret"));
    }

    #[test]
    fn everything_wrong_is_said() {
        let problems = read(json!({
            "repourl": "--config=hooks.x=y", "branch": "a:b", "pollInterval": 0, "encoding": "klingon", "hgbim": "x"
        }));
        let problems = problems.unwrap_err().join("\n");
        for part in ["must not begin", "a:b", "workdir", "pollInterval", "klingon", "hgbim"] {
            assert!(problems.contains(part), "{part} is not in {problems}");
        }
        let broken = read(json!({"repourl": "x\n[hooks]", "workdir": "x"})).unwrap_err();
        assert!(broken[0].contains("line breaks"), "{broken:?}");
    }
}
