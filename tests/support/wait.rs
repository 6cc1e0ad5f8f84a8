//! Waiting for something to become true, with a limit instead of a fixed sleep.

use std::time::{Duration, Instant};

/// Far longer than anything here takes; a test that reaches it has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns as soon as `is_so`; fails the test, where it was called, when that takes too long.
#[track_caller]
pub fn eventually(mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let until = Instant::now() + LIMIT;
    async move {
        while !is_so() {
            assert!(Instant::now() < until, "{caller}: still not so after {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Asks again and again until there is an answer; fails the test when there is none within `limit`.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
