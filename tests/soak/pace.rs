//! How fast everything goes.

use std::num::NonZeroU32;
use std::time::Duration;

/// By how much all times of a run are shortened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(pub(crate) NonZeroU32);

impl Pace {
    pub(crate) fn of(self, time: Duration) -> Duration {
        time / self.0.get()
    }

    pub(crate) fn millis(self, millis: u64) -> Duration {
        self.of(Duration::from_millis(millis))
    }
}
