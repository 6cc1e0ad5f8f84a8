//! WebStatus: pages, JSON and forms over HTTP.
//!
//! ```python
//! c['status'].append(status.WebStatus(
//!     http_port=8010,                    # or "tcp:8010:interface=127.0.0.1"
//!     authz=util.Authz(forceBuild=True), # read-only without
//! ))
//! ```
//!
//! The way of a page: `routes` → a `viewer::Viewer` (who asks; they may view) → its facts, in one database read →
//! a pure `view(facts, now)` → the template of the same name. The way of a form: the same, then
//! `viewer::Viewer::may` gives the permit without which no order can be sent. What was answered is kept, and given to
//! whoever asks the same until something happens (`kept`).
//!
//! Pages are made on threads of their own (`page_threads`), which come after everybody else: a page never holds up the
//! master, and reading never holds up writing. Past so many that wait, visitors are asked to come back. Several
//! WebStatus with other ports, rights and templates may run at once.
//!
//! Not here: who may do what (`master::authz`), words and templates (`render`).

mod around;
pub mod config;
mod fault;
mod fields;
mod frame;
mod hook_auth;
mod hooks;
mod identity;
mod json;
mod kept;
mod live;
mod log_errors;
mod orders;
mod page_threads;
mod pages;
mod reader;
mod routes;
mod server;
mod site;
mod told;
mod viewer;

pub use config::{Config, KIND};
pub(super) use identity::basic;
pub use routes::{ROUTES, Route};
pub use server::{Setup, WebError, WebServer, WebStatus, start};
pub use site::Orders;
