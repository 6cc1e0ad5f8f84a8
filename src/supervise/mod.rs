//! Child specs, restart limits, exit notices; knows nothing of builds.
//!
//! `actix::Supervisor` restarts an actor that stopped, at once and for ever, and does not survive a panic: the
//! address stays dead and its queue is lost. So this room polls the actor's own context under `catch_unwind`.
//! An actor that panics, in a handler, a future of its context, `started`, `stopping`, `stopped` or `restarting`,
//! or that stops itself, is restarted *in place* after its policy's pause: the address stays the same, and the
//! messages that waited are answered. Lost are the message being handled (its `send` gets `MailboxError::Closed`;
//! `addr.connected()` tells such a loss from an actor that is gone) and the futures and timers of the context.
//!
//! What an actor owes the tree:
//! * `Supervised::restarting` puts **fresh state** in place (`*self = Self::new(…)`): what a panic left half
//!   changed must not be kept. `started` runs again after it and arms timers and subscriptions anew.
//! * What must outlive it belongs to its parent or to the database.
//! * `actix_rt::spawn` escapes supervision; `ctx.spawn` and `ResponseActFuture` do not.
//!
//! A child lives until [`Child::stop`], whoever holds its address. It may share its arbiter with others: a panic
//! never leaves it, but a handler that blocks holds up the whole arbiter.
//!
//! Not here: `SyncArbiter` threads (catch inside the handler) and web sockets (they die with their connection).

mod child;
mod panics;
mod policy;
mod report;
mod tree;
mod vacancy;

pub use child::Child;
pub use panics::log_panics;
pub use policy::{Pause, Policy, Strategy, WhenExhausted};
pub use report::{ChildChanged, Gauges, Report};
pub use tree::{Group, Tree};
pub use vacancy::Vacancy;
