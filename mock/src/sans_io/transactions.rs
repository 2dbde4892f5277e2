//! Transactions of brokers that do nothing by themselves: markers are written when they are told to, and time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Brokers;
use crate::coordinators::Coordinated;
use crate::error::MockError;
use crate::groups::{CommittedOffset, GroupProtocol};
use crate::record::MockRecord;
use crate::transactions::MockTransaction;

/// Transactions and offsets of groups. What is not told here is as in [`MockCluster`](crate::MockCluster).
impl Brokers {
    /// Has coordinators tell up to `markers` partitions and groups how transactions have ended, and take notice of markers that all
    /// replicas in sync hold by now. `can_reach` says whether one broker (the coordinator) reaches another (a leader). Returns whether
    /// anything has changed.
    ///
    /// A leader that is lost between the two may take its marker with it; the coordinator then writes it again at the next one, which
    /// may have it already: as in Kafka, a log may hold a marker twice.
    pub fn write_markers(&mut self, markers: usize, can_reach: impl Fn(i32, i32) -> bool) -> bool {
        self.state.write_markers(markers, can_reach) > 0
    }

    /// Whether [`write_markers`](Self::write_markers) would change anything.
    pub fn has_markers_to_write(&self, can_reach: impl Fn(i32, i32) -> bool) -> bool {
        self.state.has_markers_to_write(can_reach)
    }

    /// Whether some transaction has ended and has not told all of its partitions and groups.
    pub fn is_any_transaction_ending(&self) -> bool {
        self.state.transactions.is_any_ending()
    }

    /// Has coordinators abort the transactions that are open for longer than their producers have allowed (`transaction.timeout.ms`).
    /// Returns how many.
    pub fn time_out_transactions(&mut self, now: Duration) -> usize {
        self.state.now = self.state.now.max(now);
        self.state.time_out_late_transactions()
    }

    /// Aborts an open transaction as if its time were over. Returns whether it was open.
    pub fn time_out_transaction(&mut self, transactional_id: &str) -> bool {
        self.state.time_out_transaction(transactional_id)
    }

    /// Returns what coordinators know of each transactional id.
    pub fn transactions(&self) -> BTreeMap<String, MockTransaction> {
        let transactions = self.state.transactions.iter();
        transactions.map(|(id, found)| (id.to_owned(), MockTransaction::new(found))).collect()
    }

    /// Returns what a consumer with `isolation.level=read_committed` can read from a partition: nothing beyond what all replicas in
    /// sync are known to hold, and nothing behind the first open transaction.
    pub fn committed_records(&self, topic: &str, partition: i32) -> Vec<MockRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.committed_records(found.high_watermark())).unwrap_or_default()
    }

    /// Finalizes the feature `transaction.version`, 0 to 2; `None` for brokers that do not know it.
    pub fn set_transaction_version(&mut self, version: Option<i16>) {
        self.state.features.set_transaction_version(version);
    }

    /// Sets whether leaders ask the coordinator before they write for a transaction that was begun by AddPartitionsToTxn (default yes, as
    /// since Kafka 3.6; `transaction.partition.verification.enable`).
    pub fn set_verifies_transactions(&mut self, verifies: bool) {
        self.state.settings.verifies_transactions = verifies;
    }

    /// Sets for how long a coordinator that has moved answers COORDINATOR_LOAD_IN_PROGRESS (default zero).
    pub fn set_coordinator_loading_time(&mut self, time: Duration) {
        self.state.coordinators.set_loading_time(time);
    }

    /// Returns the broker that coordinates a transactional id; `None` if no broker is up.
    pub fn transaction_coordinator(&mut self, transactional_id: &str) -> Option<i32> {
        self.state.coordinator_of(&Coordinated::Transaction(transactional_id.to_owned())).broker
    }

    /// Moves the coordinator of a transactional id to another broker.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub fn move_transaction_coordinator(&mut self, transactional_id: &str, to: i32) -> Result<(), MockError> {
        self.state.move_coordinator(&Coordinated::Transaction(transactional_id.to_owned()), to)
    }

    /// Returns the broker that coordinates a group; `None` if no broker is up.
    pub fn group_coordinator(&mut self, group: &str) -> Option<i32> {
        self.state.coordinator_of(&Coordinated::Group(group.to_owned())).broker
    }

    /// Moves the coordinator of a group to another broker.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub fn move_group_coordinator(&mut self, group: &str, to: i32) -> Result<(), MockError> {
        self.state.move_coordinator(&Coordinated::Group(group.to_owned()), to)
    }

    /// Returns the offsets of a group that were committed in transactions, by topic and partition.
    pub fn committed_offsets(&self, group: &str) -> BTreeMap<(String, i32), CommittedOffset> {
        self.state.groups.committed(group)
    }

    /// Says that a group has this member; as [`MockCluster::set_group_member`](crate::MockCluster::set_group_member).
    pub fn set_group_member(
        &mut self,
        group: &str,
        protocol: GroupProtocol,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) {
        self.state.groups.set_member(group, protocol, member_id, instance_id, generation);
    }

    /// Says that a group does not have this member, or has it no longer.
    pub fn remove_group_member(&mut self, group: &str, member_id: &str) {
        self.state.groups.remove_member(group, member_id);
    }
}
