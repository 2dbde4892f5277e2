//! The only place of this crate that reads a clock; it follows tokio's, which tests may pause.

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "this is the clock that shells ask")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
