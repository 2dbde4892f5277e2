//! `Settlement`: what becomes of batches that were sent, and of those that can be sent no more.
//!
//! The sender hands it a partition and what has happened: an answer, the loss of a request, a deadline, a purge, the end of the
//! producer. It sends the batch again, cuts it, or ends it. It tells the records what has become of them, and counts it.
//!
//! ```text
//!  answer ──► error_codes ──► delivered ───────────────────────────────► end
//!  loss   ──►     │      ├──► sent again, after a backoff (retrying)       ▲
//!                 │      ├──► cut, or rebuilt without culprits (refusing)  │
//!                 │      └──► failed ──────────────────────────────────────┤
//!                 └─ not_leader ──► what metadata is told                  │
//!  deadline, purge, close, a number that cannot be used any more ──────────┘
//! ```
//!
//! Only the settlement has the [`Teller`] that it takes to end a batch, and `settlement/end.rs` ends batches. There are two
//! exceptions, when the whole producer ends (`giving_back.rs`): `close` does not note failures for the numbers, which are of no
//! use any more, and `fail_what_is_left` ends the cells of batches that are lost.

use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::delivery::Teller;
use crate::error::{BatchFailure, TransactionError};
use crate::metrics::Counters;
use crate::sender::line::Line;
use crate::sender::settings::SenderSettings;

mod answers;
mod before_sending;
mod end;
mod error_codes;
mod expiring;
mod failure_sums;
mod giving_back;
mod giving_up;
mod not_leader;
mod refusing;
mod retrying;

use self::failure_sums::FailureSums;
pub(crate) use self::giving_up::WhyNotAgain;
pub(crate) use self::not_leader::{LeaderNews, leader_hint};

/// Decides what becomes of batches, and tells their records.
#[derive(Debug)]
pub(crate) struct Settlement {
    settings: SenderSettings,
    /// `batch.size`, into which a batch that is too large for the broker is cut.
    batch_size: usize,
    counters: Arc<Counters>,
    /// For the backoff before another attempt.
    random: StdRng,
    teller: Teller,
    /// A batch has failed before its compression was done. The work still holds the batch's memory until a thread comes for it.
    is_seal_late: bool,
    /// Of the transaction: the first records that have failed since it was told.
    failed: Option<FailedRecords>,
    /// For the log.
    failures: FailureSums,
}

/// Records of a transaction that have failed.
#[derive(Debug, Default)]
pub(crate) struct FailedRecords {
    /// `None` if they failed because the transaction is aborted.
    pub(crate) error: Option<TransactionError>,
    /// Some have had sequence numbers, which their partition waits for.
    pub(crate) was_numbered: bool,
}

impl FailedRecords {
    /// Names a record of the batch that has just failed, if the error is about that.
    fn note_record(&mut self, failure: &Arc<BatchFailure>, index: u32) {
        self.error = self.error.take().map(|error| error.of_record(failure, index));
    }
}

impl Settlement {
    pub(crate) fn new(
        settings: SenderSettings,
        batch_size: usize,
        counters: Arc<Counters>,
        seed: u64,
    ) -> Self {
        let random = StdRng::seed_from_u64(seed);
        #[expect(clippy::disallowed_methods, reason = "the settlement tells records of their end")]
        let teller = Teller::new();
        Self {
            settings,
            batch_size,
            counters,
            random,
            teller,
            is_seal_late: false,
            failed: None,
            failures: FailureSums::default(),
        }
    }

    /// Returns which records of the transaction have failed since the last call.
    pub(crate) fn take_failed_records(&mut self) -> Option<FailedRecords> {
        self.failed.take()
    }

    /// Returns when the log is to be told of failures, if it is.
    #[inline]
    pub(crate) fn next_report(&self) -> Option<Instant> {
        self.failures.due()
    }

    /// Returns what the log is to be told of failures by now.
    #[inline]
    pub(in crate::sender) fn next_line(&mut self, now: Instant) -> Option<Line> {
        self.failures.next_line(now)
    }

    /// Returns what the log was not told so far, because the producer ends.
    pub(in crate::sender) fn next_last_line(&mut self, now: Instant) -> Option<Line> {
        self.failures.next_last_line(now)
    }

    /// Whether a batch has failed before its compression came, since the last call.
    pub(crate) fn take_seal_late(&mut self) -> bool {
        std::mem::take(&mut self.is_seal_late)
    }
}
