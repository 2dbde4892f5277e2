//! Whether the heap has grown.

use std::fmt;

/// What was seen at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Bytes that are allocated.
    pub(crate) heap: f64,
    /// Bytes of the process in memory.
    pub(crate) resident: f64,
}

/// The level of the heap in both halves of a run.
#[derive(Debug)]
pub(crate) struct Verdict {
    earlier: f64,
    later: f64,
}

/// A level that has risen by less is flat: the mix of what is under way differs.
const BOUND: f64 = 0.10;

/// The first part of the run, while tables and buffers find their size, does not count.
const WARM_UP: f64 = 0.2;

/// Samples in which one is taken in a quiet moment.
const WINDOW: usize = 15;

impl Verdict {
    /// Compares what the heap falls back to between outages and bursts.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let warm = (samples.len() as f64 * WARM_UP) as usize;
        let counted = samples.get(warm..).unwrap_or_default();
        let (earlier, later) = counted.split_at(counted.len() / 2);
        Self { earlier: level(earlier), later: level(later) }
    }

    pub(crate) fn is_flat(&self) -> bool {
        self.later <= self.earlier * (1.0 + BOUND)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_flat() { "flat" } else { "GROWN" };
        let (earlier, later) = (self.earlier / 1e3, self.later / 1e3);
        write!(f, "{word}: {earlier:.0} kB in the earlier half, {later:.0} kB in the later one")
    }
}

/// Returns the mean of the least of each window.
fn level(samples: &[Sample]) -> f64 {
    let least = samples.chunks(WINDOW).map(|window| window.iter().map(|s| s.heap).fold(f64::MAX, f64::min));
    let (count, sum) = least.fold((0.0, 0.0), |(count, sum), least| (count + 1.0, sum + least));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(heap: impl Fn(f64) -> f64) -> Verdict {
        let sample = |at: i32| Sample { seconds: f64::from(at), heap: heap(f64::from(at)), resident: 0.0 };
        Verdict::of(&(0..1000).map(sample).collect::<Vec<_>>())
    }

    #[test]
    fn bursts_are_flat_and_a_slope_is_not() {
        assert!(verdict(|at| 1e6 + if at % 20.0 < 10.0 { 4e6 } else { 0.0 }).is_flat());
        assert!(!verdict(|at| 1e6 + 1e3 * at).is_flat());
    }
}
