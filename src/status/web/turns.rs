//! How many pages are read for at once, so that no crowd at the pages ever holds up the master or fills the memory.
//!
//! Orders need no turn: what people may do goes through however many look on.

use super::fault::Fault;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Database reads at once. One reader of the database's own few is left to the master.
const AT_ONCE: usize = 3;

/// Requests that wait for one; whoever comes on top of them is told to come back.
const MOST_WAITING: usize = 300;

/// The turns of one web server.
pub struct Turns {
    free: Semaphore,
    waiting: AtomicUsize,
}

/// A turn; the next one's begins with its end.
pub struct Turn<'a> {
    _permit: SemaphorePermit<'a>,
}

/// One on the count of those who wait, whether they get their turn or give up.
struct Waiting<'a>(&'a AtomicUsize);

impl Default for Turns {
    fn default() -> Turns {
        Turns { free: Semaphore::new(AT_ONCE), waiting: AtomicUsize::new(0) }
    }
}

impl Turns {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Fault::Busy`] at once, when too many wait already.
    pub async fn next(&self) -> Result<Turn<'_>, Fault> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= MOST_WAITING {
            return Err(Fault::Busy);
        }
        let permit = self.free.acquire().await.map_err(|_| Fault::Busy)?;
        Ok(Turn { _permit: permit })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn so_many_at_once_so_many_wait_and_the_rest_comes_back() {
        let turns = Turns::default();
        let taken: Vec<_> = (0..AT_ONCE).map(|_| turns.next().now_or_never().unwrap().unwrap()).collect();
        let mut line: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(turns.next())).collect();
        assert!(line.iter_mut().all(|waits| waits.now_or_never().is_none()));
        assert!(matches!(turns.next().now_or_never(), Some(Err(Fault::Busy))));
        // One gives up: there is room for another.
        drop(line.pop());
        assert!(turns.next().now_or_never().is_none());
        drop(taken);
        assert!(line[0].as_mut().now_or_never().unwrap().is_ok());
    }
}
