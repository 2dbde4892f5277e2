//! How much time gzip takes to make batches small.

use super::ConfigReason;

/// `compression.gzip.level`: 1 to 9, or -1 for our choice, which is 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GzipLevel(pub(crate) i32);

impl GzipLevel {
    /// The range has a gap: 0, which would not compress at all.
    pub(super) fn out_of_range() -> ConfigReason {
        ConfigReason::Invalid(format!("must be {}", Self::RANGE))
    }

    pub(super) const RANGE: &str = "-1 or 1 to 9";
}
