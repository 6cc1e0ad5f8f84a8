use crate::db::outbox::Delivery;
use crate::db::{Conn, DbError};
use crate::model::*;
use governor::Quota;
use rand::Rng;
use serde_json::Value;
use std::future::Future;
use std::time::Duration;

/// A durable status target: what it wants, what it says, and how it hands that over.
///
/// `wanted` and `compose` are pure; `gather` only reads; `deliver` alone touches the world. All but `deliver` run on
/// threads that may block.
pub trait Target: Send + Sync + 'static {
    /// `StatusPush`, for the log.
    const KIND: &'static str;
    /// What `compose` needs to know beyond the event.
    type Facts: Send;

    /// Its name in the tree, the ledger and the cursor; of two targets of one kind each has its own. Kept over
    /// restarts: a target under a new name is a new target.
    fn name(&self) -> &str;

    fn pace(&self) -> Pace;

    /// Whether `compose` may have something to say of this event.
    fn wanted(&self, event: &Event) -> bool;

    /// Reads what `compose` needs. What it sees is at least as new as the event.
    fn gather(&self, conn: &mut Conn, fact: &Stored) -> Result<Self::Facts, DbError>;

    /// What is to be sent because of this event, in order. No connection to the database is held meanwhile.
    ///
    /// A new target is given the newest event's number with `ConfigReloaded`, so that it can introduce itself.
    fn compose(&self, fact: &Stored, facts: Self::Facts) -> Vec<Letter>;

    /// What is to be sent at a clean stop, besides what is still waiting.
    fn farewell(&self, _conn: &mut Conn, _at: Time) -> Result<Vec<Letter>, DbError> {
        Ok(Vec::new())
    }

    /// What people should know of its own doing, for the page of the supervision tree; `None` while all is well.
    fn complaint(&self) -> Option<String> {
        None
    }

    /// Told the place of a delivery among all of this target: from 1, without gaps. For receivers that count.
    fn number(&self, _payload: &mut Value, _ordinal: i64) {}

    /// Hands over a batch of at most [`Pace::batch`], all of this destination, oldest first.
    ///
    /// One outcome each, in the same order; those missing at the end count as [`Outcome::Left`].
    fn deliver(&self, destination: &str, batch: &[Delivery]) -> impl Future<Output = Vec<Outcome>>;
}

/// One thing to be sent to one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Names the far side in the tree and the ledger: no secrets in it.
    pub destination: String,
    /// Only the newest unsent letter of a key is sent.
    pub key: Option<String>,
    /// Letters of a lane arrive in order: none is tried before all older ones are delivered or given up. It is for targets
    /// that are not [`Pace::ordered`] as a whole.
    pub lane: Option<String>,
    /// It is held back until then; `None` sends it at once.
    pub due: Option<Time>,
    /// What tells it from all others of its target; `None` is the event with its place among those the event makes. Where
    /// several events might make it, one of them does.
    pub name: Option<String>,
    /// What it is, for people who look at the ledger.
    pub about: Option<String>,
    pub payload: Value,
}

impl Letter {
    /// One that goes out at once, and minds no other.
    pub fn new(destination: impl Into<String>, payload: Value) -> Letter {
        Letter { destination: destination.into(), key: None, lane: None, due: None, name: None, about: None, payload }
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With what the far side said, if that is worth keeping.
    Delivered { answer: Option<String> },
    /// Worth another try, after the back-off and no sooner than the far side asked for.
    ForNow { error: String, retry_after: Option<Duration> },
    /// The destination as a whole cannot be used: nothing is sent there for a while, which grows with every such try.
    Away { error: String },
    /// Trying again would not help.
    ForGood { error: String },
    /// The far side did not take it this time; it waits on, and this was no attempt.
    Left,
}

impl Outcome {
    /// The same for every delivery of a batch.
    pub fn for_all(self, batch: &[Delivery]) -> Vec<Outcome> {
        vec![self; batch.len()]
    }
}

/// How fast, how much and how often.
#[derive(Clone, Debug)]
pub struct Pace {
    /// At most so many are handed over at once.
    pub batch: usize,
    /// Only what one event made is handed over at once, so that a kill leaves no more than that in doubt.
    pub by_event: bool,
    /// How long to wait for company after the first delivery of an idle time.
    pub gather: Duration,
    /// Nothing overtakes a delivery that has to be tried again.
    pub ordered: bool,
    /// How often the destination may be bothered, if there is a limit.
    pub quota: Option<Quota>,
    pub backoff: Backoff,
    /// An attempt that takes longer has failed, for now.
    pub timeout: Duration,
    /// A delivery this old that still cannot be handed over is dead. `None` tries for ever.
    pub give_up: Option<Duration>,
}

/// The pauses between attempts: they double from `first` to `cap`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
    /// Each pause is longer by a random part of itself, at most this one, so that many do not come back as one.
    pub jitter: f64,
}

impl Backoff {
    /// Always the same pause, as 0.8 has it.
    pub fn constant(pause: Duration) -> Backoff {
        Backoff { first: pause, cap: pause, jitter: 0.0 }
    }

    /// The pause after the `attempts`th attempt has failed.
    pub fn after(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0);
        let pause = self.first.saturating_mul(2u32.saturating_pow(doublings)).min(self.cap);
        if self.jitter > 0.0 { pause.mul_f64(1.0 + rand::rng().random_range(0.0..=self.jitter)) } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_double_up_to_the_cap_with_jitter_on_top() {
        let second = Duration::from_secs(1);
        let backoff = Backoff { first: second, cap: 60 * second, jitter: 0.5 };
        for (attempts, least) in [(1, 1), (2, 2), (3, 4), (7, 60), (1000, 60)] {
            let pause = backoff.after(attempts);
            let least = least * second;
            assert!((least..=least.mul_f64(1.5)).contains(&pause), "{attempts}: {pause:?}");
        }
        assert_eq!(Backoff::constant(5 * second).after(9), 5 * second);
    }
}
