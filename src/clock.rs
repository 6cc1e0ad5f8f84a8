//! What time it is; fixed in tests.

use crate::model::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time comes from. Cheap to clone; clones of a fixed clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    fixed: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock { fixed: None }
    }

    /// A clock that stands at `time` until it is [`set`](Clock::set).
    pub fn fixed(time: Time) -> Clock {
        Clock { fixed: Some(Arc::new(AtomicI64::new(time.0))) }
    }

    pub fn now(&self) -> Time {
        match &self.fixed {
            Some(time) => Time(time.load(Ordering::Relaxed)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Moves a fixed clock; the machine's clock does not move.
    pub fn set(&self, time: Time) {
        if let Some(fixed) = &self.fixed {
            fixed.store(time.0, Ordering::Relaxed);
        }
    }
}
