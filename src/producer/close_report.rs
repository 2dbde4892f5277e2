//! `CloseReport`: what `close` returns.

use std::fmt;

use crate::error::{BrokerReport, DeliveryError, Persisted, TransactionError, no_broker};

/// What became of the records of a closed producer, from its beginning to its end.
///
/// It displays as one line, for a log:
///
/// ```text
/// 12 records delivered, 3 failed, 2 of which may have been written; no broker can be reached (kafka-1:9092: connection refused)
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "records may not have been delivered"]
pub struct CloseReport {
    /// Records that were acknowledged.
    pub delivered: u64,
    /// Records that failed after they had been accepted. It includes those that `close` itself has failed.
    pub failed: u64,
    /// The errors of the records that `close` has failed when its timeout ended. Each error gives its record back
    /// ([`DeliveryError::record`]) and tells whether it may have been written ([`DeliveryError::persisted`]). The errors of
    /// one partition stand in the order of its records.
    pub undelivered: Vec<DeliveryError>,
    /// If there are any of these, how each broker has fared. The one that tells most comes first.
    pub brokers: Vec<BrokerReport>,
    /// What became of the last transaction, if the call that committed it was cancelled or timed out, and its end was not waited for
    /// since. [`TransactionErrorKind::CommitInDoubt`](crate::TransactionErrorKind::CommitInDoubt) says that `close` ended before the
    /// coordinator had answered. `None` in all other cases.
    pub unseen_commit: Option<Result<(), TransactionError>>,
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = if self.delivered == 1 { "record" } else { "records" };
        write!(f, "{} {records} delivered, {} failed", self.delivered, self.failed)?;
        let given_up = self.undelivered.len();
        let maybe = self.undelivered.iter().filter(|error| error.persisted() == Persisted::Maybe).count();
        let is_all = u64::try_from(given_up).is_ok_and(|given_up| given_up == self.failed);
        if given_up > 0 && !is_all {
            write!(f, ", {given_up} of them when the time was over")?;
        }
        match (given_up, maybe) {
            (0, _) => {}
            (_, 0) => f.write_str(", none of which was written")?,
            (_, maybe) => write!(f, ", {maybe} of which may have been written")?,
        }
        if let Some(brokers) = no_broker(&self.brokers) {
            write!(f, "; {brokers}")?;
        }
        match &self.unseen_commit {
            None => Ok(()),
            Some(Ok(())) => f.write_str("; the last transaction was committed"),
            Some(Err(error)) => write!(f, "; the last transaction: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::error::{
        BatchFailure, BrokerFailure, BrokerState, ConnectionStep, DeliveryErrorKind, FailedBatch, TimeSpent,
        TransactionErrorKind,
    };
    use crate::topic_partition::TopicPartition;

    /// Returns a report of records that `close` has given up, of which so many may have been written.
    fn report(failed: u64, given_up: u32, maybe: u32) -> CloseReport {
        let errors = |persisted, count| {
            let failure = Arc::new(BatchFailure {
                last_words: None,
                kind: DeliveryErrorKind::Closed,
                persisted,
                topic_partition: TopicPartition::new("orders", 0),
                time_spent: TimeSpent::default(),
                record_errors: Vec::new(),
                why: None,
                batch: FailedBatch::default(),
            });
            DeliveryError::of_batch(&failure, count).collect::<Vec<_>>()
        };
        let mut undelivered = errors(Persisted::Maybe, maybe);
        undelivered.extend(errors(Persisted::No, given_up - maybe));
        CloseReport { delivered: 12, failed, undelivered, brokers: Vec::new(), unseen_commit: None }
    }

    #[test]
    fn report_says_how_many_may_have_been_written() {
        for (report, shown) in [
            (report(0, 0, 0), "12 records delivered, 0 failed"),
            (report(3, 0, 0), "12 records delivered, 3 failed"),
            (report(3, 3, 2), "12 records delivered, 3 failed, 2 of which may have been written"),
            (report(3, 3, 0), "12 records delivered, 3 failed, none of which was written"),
            (
                report(5, 3, 1),
                "12 records delivered, 5 failed, 3 of them when the time was over, 1 of which may have been written",
            ),
            (CloseReport { delivered: 1, ..report(0, 0, 0) }, "1 record delivered, 0 failed"),
        ] {
            assert_eq!(report.to_string(), shown);
        }
    }

    #[test]
    fn report_says_that_no_broker_can_be_reached() {
        let text = Arc::from("connection refused");
        let failure = BrokerFailure::new(ConnectionStep::Connect, text, Duration::ZERO, None);
        let broker = BrokerReport {
            node: None,
            host: Arc::from("kafka-1"),
            port: 9092,
            state: BrokerState::Disconnected,
            failures: 1,
            failing_for: Some(Duration::ZERO),
            last_failure: Some(failure),
            throttled_for: None,
        };

        let report = CloseReport { brokers: vec![broker], ..report(3, 3, 2) };

        assert_eq!(
            report.to_string(),
            "12 records delivered, 3 failed, 2 of which may have been written; no broker can be reached (kafka-1:9092: connection refused)"
        );
    }

    #[test]
    fn report_says_what_became_of_a_commit_that_was_not_waited_for() {
        let committed = CloseReport { unseen_commit: Some(Ok(())), ..report(0, 0, 0) };
        let error = TransactionError::new(TransactionErrorKind::Closed);
        let failed = CloseReport { unseen_commit: Some(Err(error.clone())), ..report(0, 0, 0) };

        assert_eq!(
            committed.to_string(),
            "12 records delivered, 0 failed; the last transaction was committed"
        );
        assert_eq!(
            failed.to_string(),
            format!("12 records delivered, 0 failed; the last transaction: {error}")
        );
    }
}
