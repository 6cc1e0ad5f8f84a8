//! The options of GitPoller, as the manual has them.

use super::super::poller_options::{Category, TEN_MINUTES, read_encoding, read_interval};
use super::super::source::without_password;
use super::clone::is_branch_name;
use crate::config::{Callback, Kind, Options, Problems, Section};
use encoding_rs::Encoding;
use serde_json::Value;
use std::time::Duration;

pub const KIND: Kind = Kind { name: "changes.GitPoller", positional: &["repourl", "branches"], check };

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The repository by default. Under this it keeps how far it has read.
    pub name: String,
    /// As written: it may hold a password. A relative path starts at the master's folder.
    pub repourl: String,
    pub branches: Branches,
    /// More than zero; ten minutes by default.
    pub poll_interval: Duration,
    pub poll_at_launch: bool,
    pub gitbin: String,
    /// Below the master's folder, unless absolute.
    pub workdir: String,
    pub category: Category,
    pub project: String,
    /// The time of the commit rather than of the poll.
    pub use_timestamps: bool,
    /// What bytes of authors and messages mean, where the commit does not say.
    pub encoding: &'static Encoding,
    /// Where it stands, `master.cfg:14`.
    pub place: String,
    /// `repourl` without a password. Changes carry this one as their repository.
    pub shown_url: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Branches {
    Named(Vec<String>),
    /// `branches=True`.
    All,
    /// Called with `refs/heads/…`.
    Chosen(Callback),
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// What there is when nothing but the repository is given.
    pub fn new(repourl: &str) -> Config {
        let shown_url = without_password(repourl);
        Config {
            name: shown_url.clone(),
            repourl: repourl.to_owned(),
            branches: Branches::Named(vec!["master".to_owned()]),
            poll_interval: TEN_MINUTES,
            poll_at_launch: false,
            gitbin: "git".to_owned(),
            workdir: "gitpoller_work".to_owned(),
            category: Category::None,
            project: String::new(),
            use_timestamps: true,
            encoding: encoding_rs::UTF_8,
            place: String::new(),
            shown_url,
        }
    }

    /// Reads the options of a section; `None` if there is anything wrong with them, which is then among the problems.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let repourl = options.required_text("repourl");
        let name = options.text("name").filter(|name| !name.is_empty());
        let branches = read_branches(&mut options);
        let poll_interval = read_interval(&mut options);
        let poll_at_launch = options.flag("pollAtLaunch", false);
        let gitbin = options.text("gitbin").unwrap_or_else(|| "git".to_owned());
        let workdir = options.text("workdir").unwrap_or_else(|| "gitpoller_work".to_owned());
        let category = Category::read(&mut options);
        let project = options.text("project").unwrap_or_default();
        let use_timestamps = options.flag("usetimestamps", true);
        let encoding = read_encoding(&mut options);
        if !options.finish() {
            return None;
        }
        let usual = Config::new(&repourl?);
        Some(Config {
            name: name.unwrap_or_else(|| usual.name.clone()),
            branches,
            poll_interval,
            poll_at_launch,
            gitbin,
            workdir,
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
        format!("GitPoller watching the remote git repository {}, branches: {}", self.shown_url, self.selection())
    }

    /// Which branches are asked for, in words.
    pub fn selection(&self) -> String {
        match &self.branches {
            Branches::Named(names) => names.join(", "),
            Branches::All => "all".to_owned(),
            Branches::Chosen(_) => "those a function chooses".to_owned(),
        }
    }
}

fn read_branches(options: &mut Options<'_, '_>) -> Branches {
    let branch = options.text("branch");
    let section = options.section();
    let mut names = match (options.value("branches"), branch) {
        (Some(_), Some(_)) => {
            options.problem("branch", "cannot be given together with branches");
            Vec::new()
        }
        (None, branch) => vec![branch.unwrap_or_else(|| "master".to_owned())],
        (Some(Value::Bool(true)), None) => return Branches::All,
        (Some(value), None) => match section.function(value) {
            Some(function) => return Branches::Chosen(function),
            None => options.text_or_texts("branches").unwrap_or_default(),
        },
    };
    if names.is_empty() && options.given("branches") {
        options.problem("branches", "expected True, a function, or a list with at least one branch");
    }
    for name in &mut names {
        if let Some(short) = name.strip_prefix("refs/heads/") {
            *name = short.to_owned();
        }
        if !is_branch_name(name) {
            options.problem("branches", format!("\"{name}\" cannot be the name of a branch"));
        }
    }
    Branches::Named(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(options: Value) -> Result<Config, Vec<String>> {
        let section = Section::new("changes.GitPoller", "master.cfg:1", options);
        let mut problems = Problems::default();
        let config = Config::read(&section, &mut problems);
        config.ok_or_else(|| problems.0.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn defaults_are_the_manuals() {
        let config = read(json!({"repourl": "/srv/bb/website.git"})).unwrap();
        assert_eq!(config.branches, Branches::Named(vec!["master".into()]));
        assert_eq!((config.poll_interval, config.poll_at_launch), (TEN_MINUTES, false));
        assert_eq!((config.gitbin.as_str(), config.workdir.as_str()), ("git", "gitpoller_work"));
        assert!(config.use_timestamps);
        assert_eq!(
            config.description(),
            "GitPoller watching the remote git repository /srv/bb/website.git, branches: master"
        );
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = read(json!({"repourl": "https://bot:s3cret@example.org/x.git"})).unwrap();
        assert_eq!(config.shown_url, "https://bot@example.org/x.git");
        assert!(!config.description().contains("s3cret") && !config.name.contains("s3cret"));
    }

    #[test]
    fn everything_wrong_is_said() {
        let problems = read(json!({
            "branch": "a b", "pollInterval": 0, "encoding": "klingon", "gitbim": "x"
        }));
        let problems = problems.unwrap_err().join("\n");
        for part in ["repourl", "a b", "pollInterval", "klingon", "gitbim"] {
            assert!(problems.contains(part), "{part} is not in {problems}");
        }
        let both = read(json!({"repourl": "x", "branch": "a", "branches": ["b"]})).unwrap_err();
        assert!(both[0].contains("together"), "{both:?}");
    }

    #[test]
    fn encodings_by_pythons_names() {
        for (name, encoding) in [("utf8", encoding_rs::UTF_8), ("latin_1", encoding_rs::WINDOWS_1252)] {
            assert_eq!(read(json!({"repourl": "x", "encoding": name})).unwrap().encoding, encoding);
        }
    }
}
