//! What tests get to see of transactions.

use std::fmt;
use std::time::Duration;

use super::{Participant, Transaction};

/// What a coordinator knows of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockTransaction {
    /// The producer id that the transactional id has at the moment.
    pub producer_id: i64,
    /// The epoch that the transactional id has at the moment; producers with a lower one are fenced.
    pub producer_epoch: i16,
    /// Where the newest transaction stands.
    pub state: TransactionState,
    /// Topics and partitions that are part of the transaction, and have no marker yet.
    pub partitions: Vec<(String, i32)>,
    /// Groups whose offsets are part of the transaction, and wait for its end.
    pub groups: Vec<String>,
    /// How long a transaction may stay open (`transaction.timeout.ms` of the producer).
    pub timeout: Duration,
}

impl MockTransaction {
    pub(crate) fn new(transaction: &Transaction) -> Self {
        let (mut partitions, mut groups) = (Vec::new(), Vec::new());
        for (participant, _) in transaction.participants() {
            match participant {
                Participant::Group(group) => groups.push(group.clone()),
                Participant::Partition(topic, partition) => partitions.push((topic.clone(), *partition)),
            }
        }
        Self {
            producer_id: transaction.current().producer_id,
            producer_epoch: transaction.current().epoch,
            state: transaction.state(),
            partitions,
            groups,
            timeout: transaction.timeout(),
        }
    }
}

/// Where a transaction stands, in Kafka's words (`kafka-transactions.sh describe`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransactionState {
    /// The last transaction was aborted, and all its markers are written.
    CompleteAbort,
    /// The last transaction was committed, and all its markers are written.
    CompleteCommit,
    /// There was no transaction since the producer got its epoch.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The transaction is aborted; markers are being written.
    PrepareAbort,
    /// The transaction is committed; markers are being written.
    PrepareCommit,
}

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
