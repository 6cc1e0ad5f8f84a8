//! Signalbox: a build-status server with a small build master behind it, as supervised actors over a durable event log.
//!
//! ```text
//! pollers ──► master ◄── orders ◄── web        facts ──► hub ──► db (events + read model + outbox)
//!                └────────── facts ──────────────►        └──► web · status targets ──► outbox ──► destinations
//! ```
//!
//! Whoever learns something records it as a [`model::Event`] through [`hub::Hub`]: numbered, stored, then told. What
//! pages read is brought up to date in the same transaction. Every actor is a child in one tree ([`app::Program`]),
//! restarted in its place when it panics. [`config`] reads master.cfg, [`master`] builds, [`changes`] looks for commits,
//! [`status`] tells. Which room may name which is a table in `ARCHITECTURE.md`, held by `tests/house.rs`.

pub mod app;
pub mod changes;
pub mod clock;
pub mod config;
pub mod db;
pub mod hub;
pub mod master;
pub mod model;
pub mod render;
pub mod status;
pub mod supervise;
