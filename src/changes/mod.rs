//! Where changes come from: one file per poller, listener or hook dialect; bytes in, `Change`s out.
//!
//! A source sends what it finds to the master as [`AddChange`], and with each change how far it has read, so that the
//! two are stored together.

mod command;
pub mod git_poller;
pub mod hg_poller;
pub mod hooks;
pub mod pb_change_source;
mod poller_options;
mod polling;
mod source;
pub mod svn_poller;

pub use poller_options::encoding;
pub use source::{Running, SourceStatus, SourceView};

use crate::config::{Kind, Problems, Section};
use crate::master::{AddChange, Setup};
use crate::supervise::Group;
use actix::prelude::*;
use std::sync::Arc;

/// The constructors of this room.
pub fn kinds() -> Vec<Kind> {
    vec![git_poller::KIND, svn_poller::KIND, hg_poller::KIND, pb_change_source::KIND]
}

/// Starts the change source of a section under `group`; `add` takes its changes: the master.
///
/// One that this version cannot start is reported and shows that as its status.
pub fn start(setup: &Setup, group: &Group, section: &Section, add: Recipient<AddChange>) -> Running {
    let mut problems = Problems::default();
    let problems = &mut problems;
    let started = match section.kind.as_str() {
        kind if kind == git_poller::KIND.name => git_poller::Config::read(section, problems)
            .map(|config| git_poller::start(setup, group, &Arc::new(config), add)),
        kind if kind == svn_poller::KIND.name => svn_poller::Config::read(section, problems)
            .map(|config| svn_poller::start(setup, group, &Arc::new(config), add)),
        kind if kind == hg_poller::KIND.name => hg_poller::Config::read(section, problems)
            .map(|config| hg_poller::start(setup, group, &Arc::new(config), add)),
        _ => return source::not_started(group, section, "this version does not have it yet"),
    };
    // The configuration has been checked before; a section made otherwise may have problems here.
    started.unwrap_or_else(|| source::not_started(group, section, problems.to_string().trim_end()))
}
