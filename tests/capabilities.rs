//! What Signalbox can do, driven as its users drive it. One file per capability.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail where it stands")]

mod browser;
mod building;
mod cli;
mod config;
mod containment;
mod database;
mod forcing;
mod git_poller;
mod hg_poller;
mod hooks;
mod hostile;
mod house;
mod hub;
mod inbox;
mod irc;
mod irc_connection;
mod irc_talk;
mod json;
mod kept;
mod live;
mod looks;
mod mail;
mod mail_delivery;
mod outbox;
mod pages;
mod reconfig;
mod restart;
mod scheduling;
mod sendchange;
mod status_push;
mod supervision;
mod support;
mod svn_poller;
mod times;
mod users;
