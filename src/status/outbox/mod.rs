//! Delivers for the durable targets: nothing is lost, nothing is composed twice, nobody waits for anybody else.
//!
//! A durable target is one small file that implements [`Target`]: which events it wants, how it says them, how it
//! hands them over. Everything else is here, once for all targets:
//!
//! * A **composer** per target reads the events behind the target's cursor, composes, and in one transaction inserts
//!   the deliveries and advances the cursor. The hub's messages only wake it: what it works from is the database, so
//!   a restart reads on where the last one stopped. A target never seen before starts at the newest event.
//! * A **sender** per destination takes its deliveries in order, with the target's quota, time limit, back-off
//!   and batch size. One destination that is slow, down or dead delays no other.
//!
//! An id stands for one payload for ever; a delivery is handed over at least once, again after a crash in the
//! middle, and a receiver can drop the repetition by its id. Deliveries with a key (a commit's status) supersede
//! earlier ones of that key that have not been sent, so an outage ends with the right final state.
//!
//! A delivery that is dead stays in the ledger until somebody has it sent again or dropped ([`order`]).
//!
//! Not here: sweeping out old deliveries (the janitor), and showing the ledger (the pages).

mod again;
mod bell;
mod composer;
mod desk;
mod leaving;
mod plan;
mod sender;
mod target;

pub use again::{Order, order};
pub use composer::started;
pub use desk::{Running, start};
pub use leaving::keep_only;
pub use target::{Backoff, Letter, Outcome, Pace, Target};
