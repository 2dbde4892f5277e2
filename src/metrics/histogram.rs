//! `Histogram`: how often each size of something has occurred, in buckets whose width grows with the size.

use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sample::MetricUnit;

/// Counts values in a fixed number of buckets.
///
/// There are [`SUB_BUCKETS`] buckets between two powers of two, so a bucket is at most a quarter wider than its lower end. Only one
/// task writes at a time (the one that holds the sender's seat), so a count is read and written back, without a locked instruction.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

/// Reaches to 2^41: 25 days in microseconds, two terabytes in bytes.
const BUCKETS: usize = 160;
const SUB_BUCKETS: u64 = 4;
const SUB_BITS: u32 = SUB_BUCKETS.ilog2();

impl Histogram {
    /// Counts a value. Values beyond the last bucket count in it.
    pub(crate) fn record(&self, value: u64) {
        if let Some(count) = self.counts.get(bucket_of(value)) {
            add_alone(count, 1);
        }
        add_alone(&self.sum, value);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.store(value, Ordering::Relaxed);
        }
    }

    /// Counts a time, in microseconds.
    pub(crate) fn record_time(&self, time: Duration) {
        self.record(time.as_secs().saturating_mul(1_000_000).saturating_add(time.subsec_micros().into()));
    }

    pub(crate) fn snapshot(&self, unit: MetricUnit) -> HistogramSnapshot {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets = (0_u8..).zip(counts).filter(|(_, count)| *count > 0).collect();
        let (sum, max) = (self.sum.load(Ordering::Relaxed), self.max.load(Ordering::Relaxed));
        HistogramSnapshot { unit, buckets, sum, max }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

/// Adds to a number that no other thread writes at the moment.
pub(super) fn add_alone(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// Returns the bucket of a value. A bucket contains its upper end and not its lower one, so that powers of two end buckets.
fn bucket_of(value: u64) -> usize {
    let before = value.saturating_sub(1);
    if before < SUB_BUCKETS {
        return usize::try_from(before).unwrap_or(0);
    }
    let exponent = before.ilog2();
    let sub = (before >> (exponent - SUB_BITS)) % SUB_BUCKETS;
    let bucket = u64::from(exponent - SUB_BITS + 1) * SUB_BUCKETS + sub;
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Returns the largest value that a bucket is meant for.
fn upper_end(bucket: u8) -> u64 {
    let bucket = u64::from(bucket);
    match bucket / SUB_BUCKETS {
        0 => bucket + 1,
        power => (SUB_BUCKETS + bucket % SUB_BUCKETS + 1) << (power - 1),
    }
}

/// Returns the largest value that is too small for a bucket.
fn lower_end(bucket: u8) -> u64 {
    bucket.checked_sub(1).map_or(0, upper_end)
}

/// How often each size of something has occurred, such as the latency of requests.
///
/// The counts begin with the producer and never go down. To see the last minute, keep the snapshot of a minute ago and ask
/// [`since`](Self::since). Values are in the base unit: seconds, bytes, records, or a ratio.
///
/// ```no_run
/// # fn example(producer: kafka_producer::KafkaProducer) {
/// let metrics = producer.metrics();
/// if let Some(seconds) = metrics.request_latency.percentile(99.0) {
///     println!("99 % of all requests were answered within {:.1} ms", seconds * 1e3);
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    unit: MetricUnit,
    /// Those that are not empty, in order.
    buckets: Vec<(u8, u64)>,
    sum: u64,
    max: u64,
}

impl HistogramSnapshot {
    /// Returns how many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Returns the sum of all values.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.in_base_unit(self.sum)
    }

    /// Returns the mean of all values, or `None` if there are none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum() / count as f64)
    }

    /// Returns the largest value, or `None` if there are none.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (!self.buckets.is_empty()).then(|| self.in_base_unit(self.max))
    }

    /// Returns the value that `percent` of all values do not exceed, to within an eighth of it, or `None` if there are no values.
    /// `percent` is limited to 0 to 100.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let share = (percent / 100.0).clamp(0.0, 1.0);
        // Saturates, and a percentage that is no number counts as 0.
        let rank = ((share * self.count() as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let found = self.buckets.iter().find(|(_, count)| {
            passed += count;
            passed >= rank
        });
        let (bucket, _) = found.or_else(|| self.buckets.last())?;
        Some(self.middle_of(*bucket))
    }

    /// Returns what stands for each value of a bucket, and how many values it has, in order.
    #[cfg(feature = "metrics")]
    pub(super) fn middles(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.buckets.iter().map(|(bucket, count)| (self.middle_of(*bucket), *count))
    }

    /// Returns the middle of a bucket, or its only value; but no more than the largest value that there was.
    fn middle_of(&self, bucket: u8) -> f64 {
        let (lower, upper) = (lower_end(bucket), upper_end(bucket));
        let middle = f64::midpoint(self.in_base_unit(lower), self.in_base_unit(upper));
        let value = if upper - lower == 1 { self.in_base_unit(upper) } else { middle };
        value.min(self.in_base_unit(self.max))
    }

    /// Returns the buckets that are not empty, in order: the largest value that each is meant for, and how many values it has.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.buckets.iter().map(|(bucket, count)| (self.in_base_unit(upper_end(*bucket)), *count))
    }

    /// Returns what has been counted since an earlier snapshot of the same histogram. The largest value is then known only as
    /// precisely as a percentile.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bucket| {
            earlier.buckets.iter().find(|(known, _)| *known == bucket).map_or(0, |(_, count)| *count)
        };
        let left =
            self.buckets.iter().map(|(bucket, count)| (*bucket, count.saturating_sub(before(*bucket))));
        let buckets: Vec<_> = left.filter(|(_, count)| *count > 0).collect();
        let max = buckets.last().map_or(0, |(bucket, _)| upper_end(*bucket).min(self.max));
        Self { unit: self.unit, buckets, sum: self.sum.saturating_sub(earlier.sum), max }
    }

    /// Returns what several of the same unit have counted together.
    pub(crate) fn merged<'a>(unit: MetricUnit, others: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut counts, mut sum, mut max) = (BTreeMap::new(), 0_u64, 0);
        for other in others {
            for (bucket, count) in &other.buckets {
                *counts.entry(*bucket).or_insert(0) += count;
            }
            sum = sum.wrapping_add(other.sum);
            max = other.max.max(max);
        }
        Self { unit, buckets: counts.into_iter().collect(), sum, max }
    }

    /// Returns the unit of the values.
    #[must_use]
    pub fn unit(&self) -> MetricUnit {
        self.unit
    }

    /// Returns how many values are at most the given power of two, counted in parts of the base unit.
    pub(super) fn count_up_to(&self, power: u32) -> u64 {
        let end = 1_u64 << power;
        self.buckets.iter().filter(|(bucket, _)| upper_end(*bucket) <= end).map(|(_, count)| count).sum()
    }

    pub(super) fn in_base_unit(&self, value: u64) -> f64 {
        value as f64 / self.unit.parts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(values: impl IntoIterator<Item = u64>) -> HistogramSnapshot {
        let histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram.snapshot(MetricUnit::Records)
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..160_u8 {
            let (lower, upper) = (lower_end(bucket), upper_end(bucket));

            assert!(lower < upper, "bucket {bucket}");
            assert_eq!(bucket_of(upper), usize::from(bucket));
            assert_eq!(bucket_of(lower + 1), usize::from(bucket));
            assert!((upper - lower) * 4 <= lower.max(4), "bucket {bucket} is too wide");
        }
    }

    #[test]
    fn largest_and_smallest_values_are_counted() {
        let snapshot = counted([0, u64::MAX]);

        assert_eq!(snapshot.count(), 2);
        assert_eq!(snapshot.max(), Some(u64::MAX as f64));
    }

    #[test]
    fn powers_of_two_end_buckets() {
        for power in 0..41 {
            assert_eq!(upper_end(u8::try_from(bucket_of(1 << power)).unwrap()), 1 << power);
        }
    }

    #[test]
    fn percentiles_are_within_an_eighth() {
        let snapshot = counted(1..=10_000);

        for (percent, right) in [(1.0, 100.0), (50.0, 5000.0), (90.0, 9000.0), (99.0, 9900.0)] {
            let found = snapshot.percentile(percent).unwrap();
            assert!((found - right).abs() <= right / 8.0, "{percent} %: {found} is far from {right}");
        }
        assert_eq!(snapshot.percentile(100.0).map(|found| found <= 10_000.0), Some(true));
        assert_eq!(snapshot.mean(), Some(5000.5));
    }

    #[test]
    fn small_values_are_exact() {
        let snapshot = counted([1, 1, 1, 3]);

        assert_eq!(snapshot.percentile(50.0), Some(1.0));
        assert_eq!(snapshot.percentile(100.0), Some(3.0));
        assert_eq!(snapshot.percentile(f64::NAN), Some(1.0));
    }

    #[test]
    fn empty_histogram_has_no_percentiles() {
        let snapshot = counted([]);

        assert_eq!((snapshot.count(), snapshot.sum()), (0, 0.0));
        assert_eq!((snapshot.percentile(50.0), snapshot.mean(), snapshot.max()), (None, None, None));
    }

    #[test]
    fn times_are_in_seconds() {
        let histogram = Histogram::default();
        histogram.record_time(Duration::from_millis(2));
        histogram.record_time(Duration::MAX);

        let snapshot = histogram.snapshot(MetricUnit::Seconds);

        let (end, count) = snapshot.buckets().next().unwrap();
        assert!((0.002..0.0025).contains(&end) && count == 1, "{end} has {count}");
    }

    #[test]
    fn difference_has_what_came_between() {
        let histogram = Histogram::default();
        histogram.record(100);
        let before = histogram.snapshot(MetricUnit::Bytes);
        histogram.record(10);

        let between = histogram.snapshot(MetricUnit::Bytes).since(&before);

        assert_eq!((between.count(), between.sum(), between.max()), (1, 10.0, Some(10.0)));
    }

    #[test]
    fn histograms_of_several_add_up() {
        let (one, other) = (counted([1, 100]), counted([100, 5000]));

        let merged = HistogramSnapshot::merged(MetricUnit::Records, [&one, &other]);

        assert_eq!(merged, counted([1, 100, 100, 5000]));
    }

    #[test]
    fn values_up_to_a_power_of_two_are_told_apart_from_the_others() {
        let snapshot = counted([7, 8, 9]);

        assert_eq!((snapshot.count_up_to(3), snapshot.count_up_to(4)), (2, 3));
    }
}
