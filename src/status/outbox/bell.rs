use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, watch};

/// Wakes a worker, and lets others wait until it has looked at all there was when it was rung.
pub(super) struct Bell {
    rings: AtomicU64,
    answered: watch::Sender<u64>,
    wake: Notify,
}

impl Bell {
    pub(super) fn new() -> Bell {
        Bell { rings: AtomicU64::new(0), answered: watch::channel(0).0, wake: Notify::new() }
    }

    pub(super) fn ring(&self) -> u64 {
        let ring = self.rings.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_one();
        ring
    }

    /// What the worker notes before it looks for work.
    pub(super) fn rung(&self) -> u64 {
        self.rings.load(Ordering::SeqCst)
    }

    /// The worker has done all there was when it noted `rung`.
    pub(super) fn answer(&self, rung: u64) {
        self.answered.send_replace(rung);
    }

    /// The worker's rest until the next ring; a ring since it last rested ends it at once.
    pub(super) async fn rest(&self) {
        self.wake.notified().await;
    }

    /// Until `ring` has been answered.
    pub(super) async fn heard(&self, ring: u64) {
        // The sender lives in `self`, so the wait cannot end early.
        let _ = self.answered.subscribe().wait_for(|answered| *answered >= ring).await;
    }
}
