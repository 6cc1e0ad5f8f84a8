//! Pushes: each a durable target that hands its packets to a program, a file or a server.

pub mod gerrit;
pub mod github;
pub mod http;
mod packet_file;
mod packets;
mod push_queue;
pub mod stash;
pub mod status_push;

pub use packets::Project;
pub use status_push::StatusPush;

use crate::config::{Kind, Options};
use url::Url;

/// The constructors of the pushes, for the configuration's catalog.
pub fn kinds() -> Vec<Kind> {
    vec![status_push::KIND, http::KIND, github::KIND, stash::KIND, gerrit::KIND]
}

/// An `http://` or `https://` address among the options.
fn address(options: &mut Options<'_, '_>, name: &'static str, required: bool) -> Option<Url> {
    let text = if required { options.required_text(name) } else { options.text(name) }?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
        _ => {
            options.problem(name, format!("\"{text}\" is not an http:// or https:// address"));
            None
        }
    }
}

/// An address that paths can be added to.
fn with_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}
