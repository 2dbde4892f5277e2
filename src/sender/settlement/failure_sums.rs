//! `FailureSums`: what the log is told of records that fail: how many of which topic and why, not a line for each batch.

use std::borrow::Cow;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use crate::error::{DeliveryErrorKind, Persisted};
use crate::protocol::ErrorCode;
use crate::sender::line::{Level, Line};
use crate::topic_partition::{Topic, TopicPartition};

/// The failures that the log was told of lately, and those that it was not told of so far.
#[derive(Debug, Default)]
pub(super) struct FailureSums {
    sums: Vec<Sum>,
    /// When the log is to be told next: `None` if it knows of all.
    due: Option<Instant>,
}

/// Records of one batch that fail.
#[derive(Debug)]
pub(super) struct FailedBatchFacts<'a> {
    pub(super) topic_partition: &'a TopicPartition,
    pub(super) records: u32,
    pub(super) kind: &'a DeliveryErrorKind,
    pub(super) persisted: Persisted,
}

/// What failures have in common that are told together.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    topic: Topic,
    kind: Discriminant<DeliveryErrorKind>,
    /// What the broker said.
    code: Option<ErrorCode>,
}

#[derive(Debug)]
struct Sum {
    /// `None` for everything that has no sum of its own.
    key: Option<Key>,
    told: Option<Told>,
    untold: Option<Untold>,
}

/// When the log was told last, and for how long it is not told again.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    pause: Duration,
}

/// What the log is still to be told.
#[derive(Debug)]
struct Untold {
    records: u64,
    /// Of these, how many may have been written.
    in_doubt: u64,
    /// If they are of one partition, which.
    partition: Option<i32>,
    level: Level,
    /// Why the first of them have failed.
    cause: String,
    remedy: Option<Cow<'static, str>>,
}

impl FailureSums {
    /// Takes in that records fail. Only the first are asked for their `cause`.
    pub(super) fn note(
        &mut self,
        failed: &FailedBatchFacts<'_>,
        cause: impl FnOnce() -> String,
        now: Instant,
    ) {
        let sum = self.sum_of(failed, now);
        let due = sum.add(failed, cause, now);
        self.due = Some(self.due.map_or(due, |first| first.min(due)));
    }

    /// Returns when the log is to be told something, if it is.
    #[inline]
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns what the log is to be told by now.
    #[inline]
    pub(super) fn next_line(&mut self, now: Instant) -> Option<Line> {
        self.due.filter(|due| *due <= now)?;
        self.tell_first(|due| due <= now, now)
    }

    /// Returns what the log was not told so far, because the producer ends.
    pub(super) fn next_last_line(&mut self, now: Instant) -> Option<Line> {
        self.tell_first(|_| true, now)
    }

    fn tell_first(&mut self, is_to_be_told: impl Fn(Instant) -> bool, now: Instant) -> Option<Line> {
        let line = self
            .sums
            .iter_mut()
            .filter(|sum| sum.due(now).is_some_and(&is_to_be_told))
            .find_map(|sum| sum.tell(now));
        self.due = self.sums.iter().filter_map(|sum| sum.due(now)).min();
        line
    }

    fn sum_of(&mut self, failed: &FailedBatchFacts<'_>, now: Instant) -> &mut Sum {
        let key = Key {
            topic: failed.topic_partition.topic.clone(),
            kind: discriminant(failed.kind),
            code: failed.kind.last_code(),
        };
        let found = self.sums.iter().position(|sum| sum.key.as_ref() == Some(&key));
        let at = found.unwrap_or_else(|| {
            self.sums.retain(|sum| !sum.is_over(now));
            let key = (self.sums.len() < MOST_SUMS).then_some(key);
            self.sums.iter().position(|sum| sum.key == key).unwrap_or_else(|| {
                self.sums.push(Sum { key, told: None, untold: None });
                self.sums.len() - 1
            })
        });
        &mut self.sums[at]
    }
}

impl Sum {
    /// Returns when the log is to be told.
    fn add(
        &mut self,
        failed: &FailedBatchFacts<'_>,
        cause: impl FnOnce() -> String,
        now: Instant,
    ) -> Instant {
        if self.is_over(now) {
            self.told = None;
        }
        let TopicPartition { topic, partition } = failed.topic_partition;
        let untold = self.untold.get_or_insert_with(|| Untold {
            records: 0,
            in_doubt: 0,
            partition: Some(*partition),
            level: Level::Info,
            cause: match &self.key {
                Some(_) => cause(),
                None => format!("for example, of topic {topic:?}: {}", cause()),
            },
            remedy: failed.kind.remedy(),
        });
        let records = u64::from(failed.records);
        untold.records += records;
        if failed.persisted == Persisted::Maybe {
            untold.in_doubt += records;
        }
        untold.partition = untold.partition.filter(|first| first == partition);
        if !is_wanted(failed.kind) {
            untold.level = Level::Warn;
        }
        self.told.map_or(now, |told| told.at + told.pause)
    }

    /// Returns when the log is to be told, if it is.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.untold.as_ref()?;
        Some(self.told.map_or(now, |told| told.at + told.pause))
    }

    fn tell(&mut self, now: Instant) -> Option<Line> {
        let untold = self.untold.take()?;
        let pause = self.told.map_or(FIRST_PAUSE, |told| (told.pause * 2).min(LONGEST_PAUSE));
        self.told = Some(Told { at: now, pause });
        Some(untold.line(self.key.as_ref()))
    }

    /// Whether what fails from now on is new.
    fn is_over(&self, now: Instant) -> bool {
        let is_quiet = |told: Told| now.saturating_duration_since(told.at) >= told.pause + LONGEST_PAUSE;
        self.untold.is_none() && self.told.is_none_or(is_quiet)
    }
}

impl Untold {
    fn line(self, key: Option<&Key>) -> Line {
        let Self { records, in_doubt, partition, level, cause, remedy } = self;
        let plural = if records == 1 { "" } else { "s" };
        let whose = match (key, partition) {
            (Some(Key { topic, .. }), Some(partition)) => format!("for {topic}-{partition}"),
            (Some(Key { topic, .. }), None) => format!("of topic {topic:?}"),
            (None, _) => "of other topics, or of other causes,".to_owned(),
        };
        let fate = match in_doubt {
            0 => "not written".to_owned(),
            _ if in_doubt == records => "may have been written".to_owned(),
            _ => format!("{in_doubt} may have been written"),
        };
        let remedy = remedy.filter(|_| level == Level::Warn);
        let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        let text = format!("{records} record{plural} {whose} failed: {cause}; {fate}{remedy}");
        Line { level, text, folded: 0 }
    }
}

/// Whether the application itself has given the records up, or has asked for it.
fn is_wanted(kind: &DeliveryErrorKind) -> bool {
    matches!(
        kind,
        DeliveryErrorKind::Purged
            | DeliveryErrorKind::Stopped
            | DeliveryErrorKind::TransactionAborted
            | DeliveryErrorKind::Withdrawn
    )
}

/// After the first line about a cause. Each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many topics and causes are told apart.
const MOST_SUMS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock;
    use crate::error::TimeSpent;

    const TIMED_OUT: &str = "not delivered within 120 s";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn timed_out() -> DeliveryErrorKind {
        DeliveryErrorKind::TimedOut(Box::default())
    }

    impl FailureSums {
        fn fail(
            &mut self,
            topic: &str,
            partition: i32,
            records: u32,
            kind: &DeliveryErrorKind,
            persisted: Persisted,
            now: Instant,
        ) {
            let topic_partition = TopicPartition { topic: Topic::from(topic.to_owned()), partition };
            let failed = FailedBatchFacts { topic_partition: &topic_partition, records, kind, persisted };
            self.note(&failed, || TIMED_OUT.to_owned(), now);
        }

        fn time_out(&mut self, topic: &str, partition: i32, records: u32, now: Instant) {
            self.fail(topic, partition, records, &timed_out(), Persisted::No, now);
        }

        fn lines(&mut self, now: Instant) -> Vec<String> {
            std::iter::from_fn(|| self.next_line(now)).map(text).collect()
        }

        fn last_lines(&mut self, now: Instant) -> Vec<String> {
            std::iter::from_fn(|| self.next_last_line(now)).map(text).collect()
        }
    }

    fn text(Line { level, text, .. }: Line) -> String {
        format!("{level:?} {text}")
    }

    /// Reads how many records a line is about.
    fn count(line: &str) -> u64 {
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn batches_that_fail_together_are_one_line() {
        let now = clock::now();
        let mut sums = FailureSums::default();

        for batch in 0..5000 {
            let persisted = if batch < 40 { Persisted::Maybe } else { Persisted::No };
            sums.fail("orders", batch % 7, 3, &timed_out(), persisted, now);
        }

        assert_eq!(sums.due(), Some(now));
        let line = "Warn 15000 records of topic \"orders\" failed: not delivered within 120 s; \
                    120 may have been written; check the broker, or raise delivery.timeout.ms";
        assert_eq!(sums.lines(now), [line]);
        assert_eq!(sums.due(), None);
    }

    #[test]
    fn records_of_one_partition_name_it_and_their_fate_if_they_share_one() {
        let now = clock::now();
        let mut sums = FailureSums::default();
        let refused = DeliveryErrorKind::Broker { code: ErrorCode::MessageTooLarge, message: None };
        sums.fail("orders", 3, 1, &timed_out(), Persisted::Maybe, now);
        sums.fail("orders", 3, 1, &refused, Persisted::No, now);

        let lines = sums.lines(now);

        assert!(lines[0].contains("1 record for orders-3 failed"), "{lines:?}");
        assert!(lines[0].contains("; may have been written; "), "{lines:?}");
        assert!(lines[1].contains("; not written; make the record smaller"), "{lines:?}");
    }

    #[test]
    fn cause_that_goes_on_is_told_less_and_less_often() {
        let now = clock::now();
        let mut sums = FailureSums::default();
        let mut told = Vec::new();

        for second in 0..=200 {
            sums.time_out("orders", 0, 1, now + seconds(second));
            let lines = sums.lines(now + seconds(second));
            told.extend(lines.iter().map(|line| (second, count(line))));
        }

        assert_eq!(told, [(0, 1), (10, 10), (30, 20), (70, 40), (130, 60), (190, 60)]);
    }

    #[test]
    fn timer_is_set_only_while_something_is_to_be_told() {
        let now = clock::now();
        let mut sums = FailureSums::default();
        sums.time_out("orders", 0, 1, now);
        assert_eq!(sums.lines(now).len(), 1);
        assert_eq!(sums.due(), None);

        sums.time_out("orders", 0, 1, now + seconds(3));

        assert_eq!(sums.due(), Some(now + seconds(10)));
        assert!(sums.lines(now + seconds(9)).is_empty());
        assert_eq!(sums.lines(now + seconds(10)).len(), 1);
        assert_eq!(sums.due(), None);
    }

    #[test]
    fn topics_and_causes_are_told_apart() {
        let now = clock::now();
        let mut sums = FailureSums::default();
        let spent = TimeSpent { last_error: Some(ErrorCode::NotEnoughReplicas), ..TimeSpent::default() };

        sums.time_out("orders", 0, 1, now);
        sums.time_out("invoices", 0, 1, now);
        sums.fail("orders", 0, 1, &DeliveryErrorKind::TimedOut(Box::new(spent)), Persisted::No, now);
        sums.fail("orders", 0, 1, &DeliveryErrorKind::Closed, Persisted::No, now);

        assert_eq!(sums.lines(now).len(), 4);
    }

    #[test]
    fn cause_that_comes_back_after_long_is_told_at_once() {
        let now = clock::now();
        let mut sums = FailureSums::default();
        for second in 0..=70 {
            sums.time_out("orders", 0, 1, now + seconds(second));
            sums.lines(now + seconds(second));
        }

        let later = now + seconds(300);
        sums.time_out("orders", 0, 1, later);
        assert_eq!(sums.lines(later).len(), 1);
        sums.time_out("orders", 0, 1, later);

        assert_eq!(sums.due(), Some(later + FIRST_PAUSE));
    }

    #[test]
    fn what_the_application_itself_gives_up_is_no_warning() {
        let now = clock::now();
        let mut sums = FailureSums::default();
        for kind in [
            DeliveryErrorKind::Purged,
            DeliveryErrorKind::Stopped,
            DeliveryErrorKind::TransactionAborted,
            DeliveryErrorKind::Withdrawn,
            DeliveryErrorKind::Closed,
        ] {
            sums.fail("orders", 0, 1, &kind, Persisted::No, now);
        }

        let levels: Vec<_> =
            sums.lines(now).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();

        assert_eq!(levels, ["Info", "Info", "Info", "Info", "Warn"]);
    }

    #[test]
    fn sums_that_are_kept_are_few() {
        let now = clock::now();
        let mut sums = FailureSums::default();

        for topic in 0..1000 {
            sums.time_out(&format!("topic-{topic}"), 0, 1, now);
        }

        assert_eq!(sums.sums.len(), MOST_SUMS + 1);
        let lines = sums.lines(now);
        let others = "Warn 936 records of other topics, or of other causes, failed: for example, of topic \"topic-64\": ";
        assert!(lines[MOST_SUMS].starts_with(others), "{lines:?}");
        let later = now + seconds(100);
        sums.time_out("another", 0, 1, later);
        assert_eq!(sums.sums.len(), 1);
    }

    proptest! {
        #[test]
        fn every_failure_is_told_once(
            failures in proptest::collection::vec((0..90_u8, 1..5_u32, 0..3000_u64), 0..300),
        ) {
            let start = clock::now();
            let (mut sums, mut now, mut told, mut failed) = (FailureSums::default(), start, 0, 0);

            for (topic, records, pause) in failures {
                now += Duration::from_millis(pause);
                sums.time_out(&topic.to_string(), 0, records, now);
                failed += u64::from(records);
                told += sums.lines(now).iter().map(|line| count(line)).sum::<u64>();
                prop_assert!(sums.due().is_none_or(|due| due > now));
            }
            told += sums.last_lines(now).iter().map(|line| count(line)).sum::<u64>();

            prop_assert_eq!(told, failed);
            prop_assert_eq!(sums.due(), None);
        }
    }
}
