//! Links: within the site they are relative, so that it works behind any proxy prefix; revisions, repositories,
//! projects and tickets lead outside as the configuration says.

use super::asdict::quote;
use super::html::{escape, escape_into};
use regex::Regex;
use std::sync::LazyLock;

/// Links from one page to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// `./`, `../`, `../../`: from the page to the site's root.
    root: String,
}

impl Links {
    /// For the page at this path, as the request had it: `/builders/x` → `../`.
    pub fn from_path(path: &str) -> Links {
        let depth = path.matches('/').count().saturating_sub(1);
        Links { root: if depth == 0 { "./".to_owned() } else { "../".repeat(depth) } }
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    pub fn page(&self, page: &str) -> String {
        format!("{}{page}", self.root)
    }

    pub fn builder(&self, builder: &str) -> String {
        format!("{}builders/{}", self.root, quote(builder))
    }

    pub fn build(&self, builder: &str, number: i64) -> String {
        format!("{}/builds/{number}", self.builder(builder))
    }

    pub fn step(&self, builder: &str, number: i64, step: &str) -> String {
        format!("{}/steps/{}", self.build(builder, number), quote(step))
    }

    pub fn log(&self, builder: &str, number: i64, step: &str, log: &str) -> String {
        format!("{}/logs/{}", self.step(builder, number, step), quote(log))
    }

    pub fn worker(&self, worker: &str) -> String {
        format!("{}buildslaves/{}", self.root, quote(worker))
    }

    pub fn change(&self, number: i64) -> String {
        format!("{}changes/{number}", self.root)
    }

    pub fn user(&self, uid: i64) -> String {
        format!("{}users/{uid}", self.root)
    }
}

/// The first 12 characters of a revision, and `...` where there are more.
pub fn shortrev(revision: &str) -> String {
    match revision.char_indices().nth(12) {
        Some((end, _)) => format!("{}...", &revision[..end]),
        None => revision.to_owned(),
    }
}

/// The page of a revision at GitHub and SourceForge, told from the repository, where the configuration has no rule.
pub fn known_revlink(revision: &str, repository: &str) -> Option<String> {
    static SHAPES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let shape = |regex: &str, link| (Regex::new(regex).expect("written here and tested"), link);
        vec![
            shape(
                r"^(?:https?|git|ssh)://(?:git@)?github\.com/(?P<a>[^/]+)/(?P<b>[^/]+?)(?:\.git)?/?$",
                "https://github.com/$a/$b/commit/$rev",
            ),
            shape(r"^git@github\.com:(?P<a>[^/]+)/(?P<b>[^/]+?)(?:\.git)?/?$", "https://github.com/$a/$b/commit/$rev"),
            shape(
                r"^(?:git|ssh|https?)://(?:[^@/]+@)?git\.code\.sf\.net/p/(?P<a>.+?)/?$",
                "https://sourceforge.net/p/$a/ci/$rev/",
            ),
        ]
    });
    SHAPES.iter().find_map(|(regex, link)| {
        let found = regex.captures(repository)?;
        let mut url = String::new();
        found.expand(&link.replace("$rev", "\u{1}"), &mut url);
        Some(url.replace('\u{1}', &quote(revision)))
    })
}

/// A link that came from outside, if it is one a browser may follow: `http`, `https`, `ftp` or `mailto`.
pub fn outside(url: &str) -> Option<&str> {
    let scheme = url.split_once(':')?.0.to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https" | "ftp" | "mailto").then_some(url)
}

/// `changecommentlink`: what in a comment becomes a link, and where it leads; `\1` and `\g<0>` stand for groups.
#[derive(Clone, Copy, Debug)]
pub struct TicketRule<'a> {
    pub pattern: &'a Regex,
    pub url: &'a str,
    pub title: &'a str,
}

/// Comments as HTML, with links to tickets where a rule for their project says so.
pub fn comments(text: &str, rule: Option<TicketRule>) -> String {
    let Some(rule) = rule else { return escape(text) };
    let mut out = String::new();
    let mut done = 0;
    for found in rule.pattern.captures_iter(text) {
        let whole = found.get(0).expect("group 0 is the match itself");
        escape_into(&mut out, &text[done..whole.start()]);
        done = whole.end();
        let groups: Vec<&str> = found.iter().map(|group| group.map_or("", |group| group.as_str())).collect();
        let url = expand(rule.url, &groups);
        match outside(&url) {
            Some(url) => {
                let (url, title) = (escape(url), escape(&expand(rule.title, &groups)));
                out.push_str(&format!("<a href=\"{url}\" title=\"{title}\">{}</a>", escape(whole.as_str())));
            }
            None => escape_into(&mut out, whole.as_str()),
        }
    }
    escape_into(&mut out, &text[done..]);
    out
}

/// Python's replacement templates: `\1` and `\g<1>`.
fn expand(template: &str, groups: &[&str]) -> String {
    static GROUP: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\\(?:(\d{1,2})|g<(\d{1,2})>)").expect("written here and tested"));
    let group = |found: &regex::Captures| {
        let number = found.get(1).or_else(|| found.get(2)).and_then(|number| number.as_str().parse::<usize>().ok());
        number.and_then(|number| groups.get(number).copied()).unwrap_or_default().to_owned()
    };
    GROUP.replace_all(template, group).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_from_any_depth() {
        assert_eq!(Links::from_path("/").root(), "./");
        assert_eq!(Links::from_path("/waterfall").root(), "./");
        assert_eq!(Links::from_path("/builders/").root(), "../");
        assert_eq!(Links::from_path("/builders/a%2Fb/builds/1").root(), "../../../");
        assert_eq!(Links::from_path("/").log("a/b", 1, "s t", "l"), "./builders/a%2Fb/builds/1/steps/s%20t/logs/l");
    }

    #[test]
    fn revisions_are_cut_after_twelve() {
        assert_eq!(shortrev("0123456789ab"), "0123456789ab");
        assert_eq!(shortrev("0123456789abc"), "0123456789ab...");
    }

    #[test]
    fn github_is_known() {
        for repository in ["https://github.com/o/r", "git@github.com:o/r.git", "ssh://git@github.com/o/r.git"] {
            assert_eq!(known_revlink("abc", repository).as_deref(), Some("https://github.com/o/r/commit/abc"));
        }
        assert_eq!(known_revlink("abc", "/srv/git/r"), None);
    }

    #[test]
    fn tickets_are_linked_and_the_rest_escaped() {
        let pattern = Regex::new(r"#(\d+)").unwrap();
        let rule = TicketRule { pattern: &pattern, url: r"http://t/\1", title: r"Ticket \g<0>" };
        assert_eq!(
            comments("fix #4 <b>", Some(rule)),
            "fix <a href=\"http://t/4\" title=\"Ticket #4\">#4</a> &lt;b&gt;"
        );
        assert_eq!(comments("fix #4 <b>", None), "fix #4 &lt;b&gt;");
    }

    #[test]
    fn scripts_are_no_links() {
        assert_eq!(outside("javascript:alert(1)"), None);
        assert_eq!(outside("https://x/"), Some("https://x/"));
    }
}
