//! `Sizes`: how often each size of something has occurred.

use kafka_producer::HistogramSnapshot;

/// How often each size has occurred: the upper end of each bucket, ascending, and how many are in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Sizes(Vec<(f64, u64)>);

impl Sizes {
    pub(crate) fn of(histogram: &HistogramSnapshot) -> Self {
        Self(histogram.buckets().collect())
    }

    /// Returns what has been counted since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before =
            |end: f64| earlier.0.iter().find(|(other, _)| *other == end).map_or(0, |(_, count)| *count);
        let left = self.0.iter().map(|(end, count)| (*end, count.saturating_sub(before(*end))));
        Self(left.filter(|(_, count)| *count > 0).collect())
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Returns the end of the bucket that `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> Option<f64> {
        let rank = ((percent / 100.0 * self.count() as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let found = self.0.iter().find(|(_, count)| {
            passed += count;
            passed >= rank
        });
        found.map(|(end, _)| *end)
    }

    /// Counts how many are above one bound and at most the next, for each bound. The first begins at 0, and the last takes in all that
    /// are larger.
    pub(crate) fn between(&self, bounds: &[f64]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len()];
        for (end, count) in &self.0 {
            // A bucket's end is a binary number, and so are the bounds in microseconds, but neither is in seconds.
            let fits = |bound: &f64| *end <= bound * 1.000_001;
            let at = bounds.iter().position(fits).unwrap_or_else(|| bounds.len().saturating_sub(1));
            if let Some(place) = counts.get_mut(at) {
                *place += count;
            }
        }
        counts
    }

    #[cfg(test)]
    pub(crate) fn from_counts(counts: impl IntoIterator<Item = (f64, u64)>) -> Self {
        Self(counts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_has_what_came_between() {
        let earlier = Sizes::from_counts([(1.0, 5), (2.0, 1)]);
        let later = Sizes::from_counts([(1.0, 5), (2.0, 4), (4.0, 1)]);

        assert_eq!(later.since(&earlier), Sizes::from_counts([(2.0, 3), (4.0, 1)]));
        assert_eq!(later.since(&later).count(), 0);
    }

    #[test]
    fn percentile_is_the_end_of_a_bucket() {
        let sizes = Sizes::from_counts([(1.0, 98), (2.0, 1), (8.0, 1)]);

        assert_eq!(sizes.percentile(50.0), Some(1.0));
        assert_eq!(sizes.percentile(99.0), Some(2.0));
        assert_eq!(sizes.percentile(100.0), Some(8.0));
        assert_eq!(Sizes::default().percentile(50.0), None);
    }

    #[test]
    fn last_bound_takes_in_what_is_larger() {
        let sizes = Sizes::from_counts([(0.5, 1), (1.0, 2), (1.5, 3), (99.0, 4)]);

        assert_eq!(sizes.between(&[1.0, 2.0, 4.0]), [3, 3, 4]);
        assert_eq!(sizes.between(&[]), [0; 0]);
    }
}
