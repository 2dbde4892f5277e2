//! Bounded waiting, and the only reader of the clock in these tests.

use std::time::Duration;
use std::time::Instant;

/// How often a condition is looked at; short beside what a broker takes for anything.
const STEP: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "figures of a test run are wall-clock figures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks `probe` until it has an answer; `None` when `limit` has passed without one.
pub(crate) async fn poll_until<T>(limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let asking = async {
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            tokio::time::sleep(STEP).await;
        }
    };
    tokio::time::timeout(limit, asking).await.ok()
}

/// Asks `probe` until it has an answer, and fails the test when that takes longer than `limit`.
pub(crate) async fn wait_for<T>(what: &str, limit: Duration, probe: impl AsyncFnMut() -> Option<T>) -> T {
    let Some(answer) = poll_until(limit, probe).await else { panic!("{what}: not within {limit:?}") };
    answer
}
