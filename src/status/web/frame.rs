//! What stands around every page: title, top bar, messages, footer.

use super::fields::{Fields, encode};
use super::live::{self, LONGEST_ADDRESS, Page};
use super::site::Site;
use crate::master::authz::{Action, Who};
use crate::model::{Seq, Time};
use crate::render::links::{Links, outside};
use crate::render::{people, times};
use serde::Serialize;
use std::time::Duration;

/// Refreshing faster than this helps nobody.
const FASTEST_RELOAD: i64 = 15;

/// The longest message shown from an address.
const LONGEST_ALERT: usize = 1_000;

/// The pages of the top bar: name, path, and whom it is shown to.
const BAR: [(&str, &str, Action); 8] = [
    ("Waterfall", "waterfall", Action::View),
    ("Builders", "builders", Action::View),
    ("Recent", "one_line_per_build", Action::View),
    ("Workers", "buildslaves", Action::View),
    ("Changes", "changes", Action::View),
    ("Users", "users", Action::ShowUsersPage),
    ("JSON", "json", Action::View),
    ("About", "about", Action::View),
];

/// The facts of `layout.hbs`, which every page's own template sees as `page`.
#[derive(Serialize)]
pub struct Frame {
    pub title: String,
    /// The installation's name and where it leads.
    pub project: String,
    pub project_url: Option<String>,
    /// From this page to the site's root.
    pub root: String,
    pub bar: Vec<Entry>,
    pub user: Option<String>,
    /// Where to log in, if that would help.
    pub login: Option<String>,
    /// A message from the address, shown as text.
    pub alert: Option<String>,
    /// What needs an operator, in a few words each.
    pub troubles: Vec<Trouble>,
    /// Where news of the page come from, if it has any.
    pub live: Option<Live>,
    /// Seconds until the page loads itself again.
    pub reload: Option<i64>,
    pub version: &'static str,
    /// When it was made; not said of what never changes.
    pub now: Option<Time>,
    pub zone: String,
    /// `interface`, or `log` for pages that are mostly text.
    pub class: &'static str,
    /// It never changes, and a browser may keep it this long without asking.
    #[serde(skip)]
    pub(super) lasting: Option<Duration>,
}

/// `irc parked` since a moment, or a complaint of the database.
#[derive(Serialize)]
pub struct Trouble {
    words: String,
    since: Option<Time>,
}

/// What the page's script asks for news with.
#[derive(Serialize)]
pub struct Live {
    /// The page's address from the site's root, without what only concerns this one load.
    address: String,
    /// The newest event when its facts were read.
    seq: Seq,
    /// Who it was made for: a browser that does not say so of its socket gets no news that were made for others.
    user: String,
    /// What its content is known by, so that news of it need not begin with all of it.
    version: String,
}

#[derive(Serialize)]
pub struct Entry {
    name: &'static str,
    href: String,
    current: bool,
}

impl Frame {
    pub(super) fn new(site: &Site, links: &Links, who: &Who, fields: &Fields, title: &str, current: &str) -> Frame {
        let config = site.config();
        let now = site.clock.now();
        let sees = site.authz.advertises(who, Action::View);
        let shown = |action: Action| sees && site.authz.advertises(who, action);
        let bar = BAR.iter().filter(|(_, _, action)| shown(*action)).map(|&(name, path, _)| Entry {
            name,
            href: links.page(path),
            current: path == current,
        });
        Frame {
            title: title.to_owned(),
            project: config.title.clone(),
            project_url: outside(&config.title_url).map(str::to_owned),
            root: links.root().to_owned(),
            bar: bar.collect(),
            user: match who {
                Who::User { full_name, .. } => Some(people::name(full_name).to_owned()),
                Who::Anonymous => None,
            },
            login: login(site, links, who),
            alert: fields.get("alert_msg").filter(|text| !text.is_empty()).map(cut),
            troubles: if sees { troubles(site) } else { Vec::new() },
            live: None,
            reload: None,
            version: env!("CARGO_PKG_VERSION"),
            now: Some(now),
            zone: times::zone(now),
            class: "interface",
            lasting: None,
        }
    }

    /// Loads itself again as `reload=` says; what is no number is ignored, as in 0.8.
    pub fn reloading(mut self, fields: &Fields) -> Frame {
        let seconds: Option<i64> = fields.get("reload").and_then(|seconds| seconds.trim().parse().ok());
        self.reload = seconds.filter(|&seconds| seconds > 0).map(|seconds| seconds.max(FASTEST_RELOAD));
        self
    }

    /// Names what the page's script needs to keep it live, where it can be.
    pub(super) fn live(mut self, who: &Who, path: &str, fields: &Fields, seq: Seq) -> Frame {
        let lasting = fields.iter().filter(|(name, _)| !matches!(*name, "alert_msg" | "reload"));
        let address = format!("{path}{}", encode(lasting));
        // A password in the address is not written into the page.
        let secret = fields.get("passwd").is_some();
        if !secret && address.len() <= LONGEST_ADDRESS && Page::at(&address).is_some() {
            let user = who.user().unwrap_or_default().to_owned();
            self.live = Some(Live { address, seq, user, version: String::new() });
        }
        self
    }

    /// The page with this content, for those who will have it open.
    pub(super) fn with_content(&mut self, body: &str) -> live::Made {
        let version = live::version(body);
        let key = self.live.as_mut().map(|live| {
            live.version = version.clone();
            live::Key::new(&live.user, &live.address)
        });
        live::Made { version, key }
    }

    /// For what never changes. News of it there are none.
    pub fn lasting(mut self, longest: Duration) -> Frame {
        (self.now, self.live, self.lasting) = (None, None, Some(longest));
        self
    }

    pub fn log(mut self) -> Frame {
        self.class = "log";
        self
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_ALERT).collect()
}

fn login(site: &Site, links: &Links, who: &Who) -> Option<String> {
    if *who != Who::Anonymous {
        return None;
    }
    match site.authz.login_url() {
        Some(url) => Some(url.to_owned()),
        None => site.authz.has_accounts().then(|| links.page("login")),
    }
}

/// Parts that are down and a database that cannot write.
fn troubles(site: &Site) -> Vec<Trouble> {
    let down = site.tree.down().into_iter();
    let down =
        down.map(|report| Trouble { words: format!("{} {}", report.path, report.state), since: Some(report.since) });
    site.db.trouble().map(|words| Trouble { words, since: None }).into_iter().chain(down).collect()
}
