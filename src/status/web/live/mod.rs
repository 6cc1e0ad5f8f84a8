//! Live pages: what changes is rendered once per page, and sent to everybody who has it open.
//!
//! A page says in `data-seq` which event was the last when its facts were read. Its script opens a web socket with
//! that number and the page's address. All sockets at one address share a [`Show`](show::Show): it hears what concerns
//! the page, renders it again at most four times a second, and sends what has become of its lines. A browser that
//! missed something is sent the whole content first, read from the database: it so shows what a fresh load would,
//! however long it was away, and the server keeps nothing for those who are.
//!
//! To the browser, as JSON:
//! * `{"live": true}`: nothing has happened since the page was made.
//! * `{"number": n, "content": "…"}`: all that stands in `<main>`.
//! * `{"number": n, "patch": [[at, removed, ["line", …]], …]}`: what becomes of content `n - 1`, from its end to its
//!   start, so that each place counts in the old lines.
//! * `{"reload": true}`: this address has another answer now.
//! * `{"beat": true}`: the server is there, every 15 seconds.
//!
//! The browser says nothing more. One that takes nothing is forgotten once its mailbox is full, and cut off by the system
//! when it has taken nothing for [`STALLED`].

mod page;
mod patch;
mod show;
mod socket;

pub use socket::connect;

pub(super) use super::site::Site;
use crate::master::authz::Who;
use actix::prelude::*;
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

/// What decides how a page looks: whose it is, and its address from the site's root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: Option<String>,
    address: String,
}

/// The pages that somebody has open just now.
#[derive(Default)]
pub(super) struct Shows(Mutex<HashMap<Key, Addr<Show>>>);

impl Shows {
    /// The show at this address, started if there is none; `None` when there are too many.
    pub fn at(&self, site: &Arc<Site>, who: &Who, page: Page, address: &str) -> Option<Addr<Show>> {
        let key = Key { user: who.user().map(str::to_owned), address: address.to_owned() };
        let mut shows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut shows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shows.get(key) == Some(show) {
            shows.remove(key);
        }
    }
}
