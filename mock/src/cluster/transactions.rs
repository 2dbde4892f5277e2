//! Transactions, as a test sees and drives them.

use std::collections::BTreeMap;

use super::MockCluster;
use crate::coordinators::Coordinated;
use crate::error::MockError;
use crate::record::MockRecord;
use crate::transactions::MockTransaction;

/// Transactions.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kafka_mock::MockError> {
/// use kafka_mock::MockCluster;
///
/// let cluster = MockCluster::start(1).await?;
/// assert!(cluster.transactions().is_empty());
/// assert!(cluster.committed_records("orders", 0).is_empty());
/// # Ok(())
/// # }
/// ```
impl MockCluster {
    /// Returns what coordinators know of each transactional id.
    pub fn transactions(&self) -> BTreeMap<String, MockTransaction> {
        let state = self.shared.state();
        let transactions = state.transactions.iter();
        transactions.map(|(id, found)| (id.to_owned(), MockTransaction::new(found))).collect()
    }

    /// Returns what a consumer with `isolation.level=read_committed` reads from a partition, from its beginning on; nothing if it
    /// does not exist.
    ///
    /// [`records`](Self::records) has those of open and aborted transactions, too.
    pub fn committed_records(&self, topic: &str, partition: i32) -> Vec<MockRecord> {
        let state = self.shared.state();
        let found = state.partition(topic, partition);
        found.map(|found| found.log.committed_records(found.high_watermark())).unwrap_or_default()
    }

    /// Aborts an open transaction as its coordinator does when `transaction.timeout.ms` is over, which it never is by itself here. Its
    /// producer is fenced. Returns whether a transaction was open.
    pub fn time_out_transaction(&self, transactional_id: &str) -> bool {
        self.change(|state| state.time_out_transaction(transactional_id))
    }

    /// Writes no markers of transactions that end, until [`release_markers`](Self::release_markers): they stay in
    /// [`PrepareCommit`](crate::TransactionState::PrepareCommit) or [`PrepareAbort`](crate::TransactionState::PrepareAbort), and
    /// producers are told to ask again (CONCURRENT_TRANSACTIONS).
    pub fn hold_markers(&self) {
        self.shared.state().are_markers_held = true;
    }

    /// Writes the markers that were held, and from now on each at once.
    pub fn release_markers(&self) {
        self.change(|state| state.are_markers_held = false);
    }

    /// Finalizes the feature `transaction.version`: 2 has clients use the protocol of KIP-890, 1 and 0 the one before. Numbers outside of
    /// 0 to 2 are taken for the nearest one. Clients learn of it when they ask for ApiVersions the next time.
    ///
    /// The brokers speak both protocols, whatever is finalized, as Kafka's do.
    pub fn set_transaction_version(&self, version: i16) {
        self.shared.state().features.set_transaction_version(Some(version));
    }

    /// Returns the broker that coordinates a transactional id; `None` if no broker is up.
    pub fn transaction_coordinator(&self, transactional_id: &str) -> Option<i32> {
        self.shared.state().coordinator_of(&Coordinated::Transaction(transactional_id.to_owned())).broker
    }

    /// Moves the coordinator of a transactional id to another broker, which knows all that the one before knew. A coordinator also
    /// moves when its broker goes down.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub fn move_transaction_coordinator(&self, transactional_id: &str, to: i32) -> Result<(), MockError> {
        let what = Coordinated::Transaction(transactional_id.to_owned());
        self.change(|state| state.move_coordinator(&what, to))
    }
}
