//! The domain: builders, builds, steps, logs, changes, requests, and [`Event`].
//!
//! The words are Buildbot 0.8's. Nothing here does input or output, and nothing here can fail;
//! every other room gives and takes these values.
//!
//! Not here: how anything is stored (`db`), shown (`render`) or decided (`master`).

mod build;
mod builder;
mod change;
mod event;
mod log;
mod natural;
mod property;
mod request;
mod results;
mod source_stamp;
mod time;
mod user;
mod vcs;
mod worker;

pub use build::{Build, BuildRef, Step};
pub use builder::{BigState, Builder, BuilderEvent};
pub use change::{Change, Origin};
pub use event::{DeliveryState, Event, Seq, Stored, TargetState};
pub use log::{Channel, Log, LogKind, Segment};
pub use natural::natural;
pub use property::Properties;
pub use request::{BuildRequest, Buildset};
pub use results::Results;
pub use source_stamp::{Patch, SourceStamp};
pub use time::Time;
pub use user::{EMAIL, User, address_in, is_address};
pub use vcs::Vcs;
pub use worker::Worker;
