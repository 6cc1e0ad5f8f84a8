//! Stores an event, then tells the subscribers.
//!
//! Every fact passes through the [`StatusHub`]: it gets a number, is written together with its effect on the read
//! model in one transaction, and only then subscribers are told, in the order of the numbers. Nobody can see a fact
//! that a crash could take back. Facts recorded together share a commit, since nothing here waits for one write
//! before it queues the next.
//!
//! A subscriber that does not keep up costs reading time, never memory: once its mailbox is full the hub keeps
//! nothing for it; when there is room again it is told of the [`Gap`](News::Gap) to read from the database, and live
//! facts go on behind the gap without hole or repeat.
//!
//! A panic of the hub takes neither subscriptions nor writes with it: they live beside the actor. Whoever waits for a
//! write gets its true result; whoever is subscribed gets the gap.
//!
//! A number is used for one fact only, but a write that fails for good leaves its number unused.
//!
//! Not here: log text, which goes straight to the database ([`Hub::log_grew`] says how far it reaches).

mod handle;
mod settle;
mod status_hub;
mod subscriptions;
mod told;

pub use handle::{Hub, HubError};
pub use status_hub::StatusHub;
pub use subscriptions::{Interest, SubscriptionId};
pub use told::{LogGrew, News, Told};
