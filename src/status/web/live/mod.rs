//! Live pages: what changes is rendered once per page, and sent to everybody who has it open.
//!
//! A page says in `data-seq` which event was the last when its facts were read, and in `data-version` what its content
//! is known by. Its script opens a web socket with both and the page's address. All sockets at one address share a
//! [`Show`](show::Show): it hears what concerns the page, renders it again at most four times a second, and sends what
//! has become of its lines. Contents that went out lately are remembered, so that the first news of a page are the lines
//! that changed as well. A browser whose content is not known any more is sent the whole, read from the database: it
//! so shows what a fresh load would, however long it was away, and the server keeps nothing for those who are.
//!
//! To the browser, as JSON:
//! * `{"live": true}`: what it shows is what there is.
//! * `{"version": "w", "content": "…"}`: all that stands in `<main>`.
//! * `{"from": "v", "lines": n, "version": "w", "patch": [[at, removed, ["line", …]], …]}`: what becomes of content `v`,
//!   which has `n` lines, from its end to its start, so that each place counts in the old lines.
//! * `{"reload": true}`: this address has another answer now.
//! * `{"beat": true}`: the server is there, every 15 seconds.
//!
//! The first three also have `now`, the server's moment in milliseconds, for what counts in the browser.
//!
//! Nothing is sent of what only counts on with time: browsers do that themselves, in whatever they show.
//!
//! A browser takes the lines of its first content from the page as it parsed it. They need not be written as the server
//! wrote them, as long as they are as many; if they are not, it comes back without a version.
//!
//! The browser says nothing more. One that takes nothing is forgotten once its mailbox is full, and cut off by the system
//! when it has taken nothing for [`STALLED`].

mod page;
mod patch;
mod show;
mod socket;

pub use socket::connect;

pub(super) use super::site::Site;
use crate::db::Halves;
use crate::master::authz::Who;
use crate::render::counted::still;
use actix::prelude::*;
use actix_web::web::Bytes;
pub(super) use page::Page;
pub(super) use show::Show;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a connection may take nothing of what was sent before it is cut off.
pub(super) const STALLED: Duration = Duration::from_secs(30);

/// More pages than this are not kept live at once; those beyond reload as of old.
const MOST_SHOWS: usize = 1_000;

/// Longer addresses are not kept live.
pub(super) const LONGEST_ADDRESS: usize = 2_000;

/// How many bytes of contents are remembered at most, for those who have just loaded them.
const REMEMBERED: usize = 8 << 20;

/// What decides how a page looks: whose it is, and its address from the site's root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    user: Option<String>,
    address: String,
}

impl Key {
    /// `user` is empty for whoever is not logged in.
    pub fn new(user: &str, address: &str) -> Key {
        Key { user: Some(user.to_owned()).filter(|user| !user.is_empty()), address: address.to_owned() }
    }
}

/// The content of a page that was made.
pub struct Made {
    pub version: String,
    /// Where news of it come from, if they do.
    pub key: Option<Key>,
}

/// What a content is known by: the same for the same, at any moment. What counts in it counts in browsers by itself.
pub fn version(content: &str) -> String {
    format!("{:016x}", super::kept::tag(std::iter::once(&*still(content))))
}

/// The pages that somebody has open just now, and contents that somebody may be about to open.
pub(super) struct Shows {
    open: Mutex<HashMap<Key, Addr<Show>>>,
    contents: Mutex<Halves<(Key, String), Bytes>>,
}

impl Default for Shows {
    fn default() -> Shows {
        Shows { open: Mutex::default(), contents: Mutex::new(Halves::new(REMEMBERED)) }
    }
}

impl Shows {
    /// A page goes out to somebody who may open a web socket for it.
    pub fn remember(&self, made: Made, page: &Bytes) {
        let content = std::str::from_utf8(page).ok().and_then(page::content);
        if let (Some(key), Some(content)) = (made.key, content) {
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            contents.put((key, made.version), page.slice_ref(content.as_bytes()), content.len());
        }
    }

    /// The content that a browser shows.
    fn recall(&self, key: &Key, version: &str) -> Option<Bytes> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).get(&(key.clone(), version.to_owned()))
    }

    /// The show at this address, started if there is none; `None` when there are too many.
    pub fn at(&self, site: &Arc<Site>, who: &Who, page: Page, address: &str) -> Option<Addr<Show>> {
        let key = Key::new(who.user().unwrap_or_default(), address);
        let mut shows = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(show) = shows.get(&key).filter(|show| show.connected()) {
            return Some(show.clone());
        }
        if shows.len() >= MOST_SHOWS {
            return None;
        }
        let show = Show::new(site.clone(), who.clone(), page, key.clone()).start();
        shows.insert(key, show.clone());
        Some(show)
    }

    /// Forgets a show that ends, unless another one has taken its place.
    fn ended(&self, key: &Key, show: &Addr<Show>) {
        let mut shows = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if shows.get(key) == Some(show) {
            shows.remove(key);
        }
    }
}
