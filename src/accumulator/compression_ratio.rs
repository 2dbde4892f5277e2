//! `CompressionRatio`: how well the records of a topic compress, so that `batch.size` bounds what goes over the wire (KIP-126).

use std::sync::atomic::{AtomicU32, Ordering};

use crate::protocol::record_batch::HEADER_LEN;

/// The estimated share that compression leaves of a topic's records (Java: `CompressionRatioEstimator`, which all producers
/// of a process share).
#[derive(Debug)]
pub(crate) struct CompressionRatio {
    /// The bits of an `f32`. No other memory depends on it, and a lost update is made up for by the next batch.
    bits: AtomicU32,
}

impl CompressionRatio {
    /// Takes in what a batch was compressed to: a worse ratio counts at once, a better one by and by.
    pub(crate) fn observe(&self, plain: usize, compressed: usize) {
        if plain == 0 {
            return;
        }
        let (observed, estimated) = (compressed as f32 / plain as f32, self.get());
        if observed > estimated {
            self.set((estimated + WORSENING_STEP).max(observed));
        } else if observed < estimated {
            self.set((estimated - IMPROVING_STEP).max(observed));
        }
    }

    /// Begins anew, after a batch was too large for the broker.
    pub(crate) fn reset(&self, plain: usize, compressed: usize) {
        self.set((compressed as f32 / plain.max(1) as f32).max(1.0));
    }

    /// Returns how long a batch may become before it is compressed, so that it has `batch_size` bytes after that; at least
    /// `batch_size`, and at most `most` if that is more.
    pub(crate) fn plain_limit(&self, batch_size: usize, most: usize) -> usize {
        let factor = (self.get() * SAFETY).max(f32::MIN_POSITIVE);
        // Saturates.
        let records = (batch_size.saturating_sub(HEADER_LEN) as f32 / factor) as usize;
        records.saturating_add(HEADER_LEN).min(most).max(batch_size)
    }

    fn get(&self) -> f32 {
        f32::from_bits(self.bits.load(Ordering::Relaxed))
    }

    fn set(&self, ratio: f32) {
        self.bits.store(ratio.to_bits(), Ordering::Relaxed);
    }
}

impl Default for CompressionRatio {
    fn default() -> Self {
        Self { bits: AtomicU32::new(1.0_f32.to_bits()) }
    }
}

// The numbers are Java's.
const WORSENING_STEP: f32 = 0.05;
const IMPROVING_STEP: f32 = 0.005;
/// The next batch may compress this much worse than estimated.
const SAFETY: f32 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ratio: f32) -> CompressionRatio {
        CompressionRatio { bits: AtomicU32::new(ratio.to_bits()) }
    }

    /// Java's `CompressionRatioEstimator.updateEstimation`, worked out by hand.
    #[test]
    fn estimate_follows_what_is_observed_as_in_java() {
        for (estimated, observed, expected) in [
            (1.0, 200, 0.995),
            (0.5, 498, 0.498),
            (0.5, 100, 0.495),
            (0.5, 520, 0.55),
            (0.5, 900, 0.9),
            (0.5, 500, 0.5),
            (1.0, 1200, 1.2),
        ] {
            let ratio = at(estimated);
            ratio.observe(1000, observed);
            assert!((ratio.get() - expected).abs() < 1e-6, "{estimated} {observed}: {}", ratio.get());
        }
    }

    #[test]
    fn nothing_observed_changes_nothing() {
        let ratio = at(0.7);

        ratio.observe(0, 0);

        assert!((ratio.get() - 0.7).abs() < 1e-6);
    }

    #[test]
    fn reset_is_one_or_worse() {
        let ratio = at(0.2);
        ratio.reset(1000, 300);
        assert!((ratio.get() - 1.0).abs() < 1e-6);

        ratio.reset(1000, 1300);
        assert!((ratio.get() - 1.3).abs() < 1e-6);
    }

    #[test]
    fn limit_is_what_compresses_to_the_batch_size() {
        assert_eq!(at(1.0).plain_limit(1000, 5000), 1000);
        assert_eq!(at(2.0).plain_limit(1000, 5000), 1000, "a record may always fill a batch");
        // 61 + 939 / (0.5 * 1.05)
        assert_eq!(at(0.5).plain_limit(1000, 5000), 61 + 1788);
        assert_eq!(at(0.01).plain_limit(1000, 5000), 5000);
        assert_eq!(at(0.01).plain_limit(1000, 500), 1000);
        assert_eq!(at(0.0).plain_limit(1000, usize::MAX), usize::MAX);
        assert_eq!(at(0.5).plain_limit(1, 5000), 61);
    }
}
