//! [`TransactionalProducer`]: records and offsets that count together or not at all (KIP-98).
//!
//! The transaction itself is minded by the sender (`sender/transactions.rs`). Here are the types that callers hold. A transaction
//! borrows its producer mutably, so a second one does not compile; its records are numbered with it, so that the accumulator takes
//! none of a transaction that is over ([`RecordAccumulator::set_transaction`](crate::accumulator::RecordAccumulator)).

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::enqueue::{Enqueue, far};
use super::sending::SendRecord;
use super::{CloseReport, Health, KafkaProducer, KafkaProducerBuilder, NotReady, ProducerCore, deadline};
use crate::accumulator::NO_TRANSACTION;
use crate::clock;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{SendError, SendErrorKind, TransactionError, TransactionErrorKind, no_broker};
use crate::metadata::PartitionInfo;
use crate::metrics::Metrics;
use crate::planted::planted;
use crate::record::ProducerRecord;
use crate::sender::{CallReply, GroupOffsets, Wish};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::topic_partition::{Topic, TopicPartition};

mod handle;
mod intake;
mod offsets;
mod pool;

pub use self::handle::TransactionHandle;
pub(super) use self::intake::{Intake, number_of};
pub use self::offsets::{ConsumerGroupMetadata, OffsetAndMetadata};
pub use self::pool::{PoolError, PooledProducer, TransactionalProducerPool};

/// Sends records in transactions: readers with `isolation.level=read_committed` see all records of a transaction, or none
/// (KIP-98, KIP-890; Java: `KafkaProducer` with `transactional.id`).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_producer::{KafkaProducer, ProducerRecord};
///
/// let mut producer = KafkaProducer::builder()
///     .bootstrap_servers("localhost:9092")
///     .transactional_id("payments-1")
///     .build_transactional()?;
///
/// let transaction = producer.begin_transaction().await?;
/// drop(transaction.enqueue(ProducerRecord::to("debits").key("alice").value("5")).await?);
/// drop(transaction.enqueue(ProducerRecord::to("credits").key("bob").value("5")).await?);
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # The transactional id
///
/// `transactional.id` names the producer across restarts. When a producer with the same id begins its first transaction, brokers abort
/// the open one of the producer before it and refuse all that this one sends afterwards: it is *fenced*. So at most one producer at
/// a time has an id, and a process that was thought dead cannot write any more.
///
/// # One transaction at a time
///
/// A [`Transaction`] borrows the producer mutably. To write several transactions at once, use several producers, each with an id of
/// its own. To send from many tasks into one transaction, give them a [`handle`](Transaction::handle).
pub struct TransactionalProducer<K = Bytes, V = Bytes> {
    general: KafkaProducer<K, V>,
    /// The number of the transaction that was begun last.
    number: u64,
    /// A call of `begin_transaction` that its caller has not seen the end of.
    beginning: Option<CallReply>,
    /// The end of a transaction that its caller has not seen.
    ending: Option<Unfinished>,
    /// Why it cannot go on, once a call has said so.
    failure: Option<TransactionError>,
    /// Queues take records of the transaction that was begun last.
    is_taking: bool,
}

#[derive(Debug)]
struct Unfinished {
    reply: CallReply,
    is_commit: bool,
}

/// A transaction that takes records and offsets, from [`TransactionalProducer::begin_transaction`].
///
/// Dropping it aborts it, in the background; the next `begin_transaction` waits for that.
#[must_use = "dropping a transaction aborts it"]
pub struct Transaction<'a, K = Bytes, V = Bytes> {
    producer: &'a mut TransactionalProducer<K, V>,
    intake: Arc<Intake>,
    /// Calls of `send_offsets` whose end no caller has seen, oldest first.
    offsets: Mutex<Vec<(GroupOffsets, CallReply)>>,
    /// Whether it is about to be committed or aborted.
    is_over: bool,
}

impl<K, V> TransactionalProducer<K, V> {
    pub(super) fn new(general: KafkaProducer<K, V>) -> Self {
        Self {
            general,
            number: NO_TRANSACTION,
            beginning: None,
            ending: None,
            failure: None,
            is_taking: false,
        }
    }
}

impl<K, V> TransactionalProducer<K, V> {
    /// Returns the producer's `transactional.id`.
    #[must_use]
    pub fn transactional_id(&self) -> &str {
        &self.general.core.settings.transactional_id
    }

    /// Whether nothing of the last transaction is left to be waited for.
    fn is_settled(&self) -> bool {
        self.ending.as_ref().is_none_or(|ending| ending.reply.outcome().is_some())
    }

    /// Returns where the end of the last transaction is told, if a caller may wait for it.
    fn end(&self) -> Option<CallReply> {
        self.ending.as_ref().map(|ending| ending.reply.clone())
    }

    /// Has the transaction of a guard that was leaked aborted. A record that waits must not come into the next transaction either.
    fn abort_leaked(&mut self) {
        if std::mem::take(&mut self.is_taking) {
            self.general.core.accumulator.set_transaction(NO_TRANSACTION);
            if !planted!(LeakedGuardBlocks) {
                drop(self.general.core.transact(Wish::Abort));
            }
        }
    }

    fn note_failure(&mut self, outcome: &Result<(), TransactionError>) {
        if let Err(error) = outcome
            && error.is_final()
        {
            self.failure.get_or_insert_with(|| error.clone());
        }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> TransactionalProducer<K, V> {
    /// Begins a transaction.
    ///
    /// The first call also takes the transactional id: it finds the coordinator, fences producers that had the id before, and has their
    /// open transaction aborted. Later calls wait until the transaction before has ended, if it was dropped, or if its end was not
    /// waited for.
    ///
    /// # Errors
    ///
    /// - [`TransactionErrorKind::TimedOut`] after `max.block.ms`. The call goes on; the next one waits for the same.
    /// - [`TransactionErrorKind::PreviousNotCommitted`], if the wait for the commit of the transaction before was cancelled or timed out,
    ///   and it was not committed. The call after that begins a transaction. Nothing is said if it was committed: to know that, call
    ///   [`finish_transaction`](Self::finish_transaction) first.
    /// - [`TransactionErrorKind::AuthenticationFailed`] and [`TransactionErrorKind::BootstrapUnresolved`] as soon as that is known. The call
    ///   goes on; the next one waits for the same.
    /// - [`TransactionErrorKind::Fenced`], or a broker's refusal, as [`TransactionError::disposition`] says.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time: the next call goes on where this one was.
    pub async fn begin_transaction(&mut self) -> Result<Transaction<'_, K, V>, TransactionError> {
        const CALL: &str = "begin_transaction";
        let until = self.general.core.block_deadline();
        self.wait_for_end(CALL, until).await.map_err(of_previous)?;
        self.abort_leaked();
        let core = Arc::clone(&self.general.core);
        let reply = self.beginning.get_or_insert_with(|| core.transact(Wish::Begin)).clone();
        let outcome = tokio::select! {
            biased;
            outcome = core.wait_for_reply(&reply, until) => outcome,
            kind = core.why_no_broker() => return Err(TransactionError::new(kind)),
        };
        let outcome = outcome.ok_or_else(|| core.timed_out(CALL))?;
        self.beginning = None;
        self.note_failure(&outcome);
        outcome?;
        self.number += 1;
        self.general.core.accumulator.set_transaction(self.number);
        self.is_taking = true;
        let intake = Arc::new(Intake::new(self.number));
        Ok(Transaction { producer: self, intake, offsets: Mutex::default(), is_over: false })
    }

    /// Waits for the end of a transaction whose [`commit`](Transaction::commit) or [`abort`](Transaction::abort) was cancelled or timed
    /// out. Returns at once if there is none.
    ///
    /// # Errors
    ///
    /// Why the transaction was not committed, or [`TransactionErrorKind::TimedOut`] after `max.block.ms`, after which you may call this
    /// again.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time: the next call waits for the same.
    pub async fn finish_transaction(&mut self) -> Result<(), TransactionError> {
        let until = self.general.core.block_deadline();
        self.wait_for_end("finish_transaction", until).await
    }

    /// Closes the producer, as [`KafkaProducer::close`] does. A transaction that was dropped or leaked is aborted before, and a commit
    /// that goes on is waited for: [`CloseReport::unseen_commit`] says what became of it.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::close`].
    pub async fn close(mut self, timeout: Duration) -> CloseReport {
        self.abort_leaked();
        let report = self.general.close(timeout).await;
        let commit = self.ending.as_ref().filter(|ending| ending.is_commit);
        let unseen_commit = commit.map(|commit| commit.reply.outcome().unwrap_or_else(|| Err(in_doubt())));
        CloseReport { unseen_commit, ..report }
    }

    /// Returns the partitions of a topic, as [`KafkaProducer::partitions_for`] does.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::partitions_for`].
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::partitions_for`].
    pub async fn partitions_for(&self, topic: impl Into<Topic>) -> Result<Vec<PartitionInfo>, SendErrorKind> {
        self.general.partitions_for(topic).await
    }

    /// Returns the value that the producer uses for one of Kafka's property names, as [`KafkaProducer::config_value`] does.
    #[must_use]
    pub fn config_value(&self, key: &str) -> Option<String> {
        self.general.core.settings.get(key)
    }

    /// Returns a snapshot of what the producer has done and does, as [`KafkaProducer::metrics`] does.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.general.metrics()
    }

    /// Returns whether the producer gets anywhere, as [`KafkaProducer::health`] does.
    #[must_use]
    pub fn health(&self) -> Health {
        self.general.health()
    }

    /// Waits until the cluster and the pinned topics are known, as [`KafkaProducer::ready`] does. It does not wait for the
    /// transactional id: the first [`begin_transaction`](Self::begin_transaction) takes it.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::ready`].
    pub async fn ready(&self, timeout: Duration) -> Result<(), NotReady> {
        self.general.ready(timeout).await
    }

    /// Returns the id by which brokers know this producer in the metrics that it pushes, as [`KafkaProducer::client_instance_id`] does.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::client_instance_id`].
    #[cfg(feature = "telemetry")]
    pub async fn client_instance_id(
        &self,
        timeout: Duration,
    ) -> Result<super::ClientInstanceId, super::ClientInstanceIdError> {
        self.general.client_instance_id(timeout).await
    }

    async fn wait_for_end(&mut self, call: &'static str, until: Instant) -> Result<(), TransactionError> {
        let Some(Unfinished { reply, is_commit }) = &self.ending else { return Ok(()) };
        let (reply, is_commit) = (reply.clone(), *is_commit);
        let outcome = self.general.core.wait_for_reply(&reply, until).await;
        let outcome = outcome.ok_or_else(|| self.general.core.timed_out(call))?;
        self.ending = None;
        self.note_failure(&outcome);
        // Whatever has become of an abort, nothing of the transaction counts. What keeps the producer from going on, the next
        // call says, too.
        if is_commit { outcome } else { Ok(()) }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Transaction<'_, K, V> {
    /// Sends a record and waits for its acknowledgement, as [`KafkaProducer::send`] does. The record counts once the transaction is
    /// committed.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::send`].
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::send`]. After a record that was accepted and not delivered the transaction can only be aborted.
    pub fn send(
        &self,
        record: ProducerRecord<K, V>,
    ) -> impl Future<Output = Result<RecordMetadata, SendError<K, V>>> + Send + '_ {
        SendRecord::new(Enqueue::new(&self.producer.general, record, Some(&self.intake)))
    }

    /// Hands a record over, as [`KafkaProducer::enqueue`] does. You need not await the [`Delivery`]: [`commit`](Self::commit) fails if
    /// any record of the transaction was not delivered.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::enqueue`].
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::enqueue`].
    pub fn enqueue(
        &self,
        record: ProducerRecord<K, V>,
    ) -> impl Future<Output = Result<Delivery, SendError<K, V>>> + Send + '_ {
        Enqueue::new(&self.producer.general, record, Some(&self.intake))
    }

    /// Hands a record over if that needs no waiting, as [`KafkaProducer::try_enqueue`] does.
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::try_enqueue`].
    pub fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        self.producer.general.try_enqueue_in(record, Some(&self.intake))
    }

    /// Waits until every record accepted before the call is delivered or has failed, as [`KafkaProducer::flush`] does. You need not call
    /// this before [`commit`](Self::commit).
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::flush`].
    pub async fn flush(&self) {
        self.producer.general.flush().await;
    }

    /// Returns the partitions of a topic, as [`KafkaProducer::partitions_for`] does.
    ///
    /// # Cancel safety
    ///
    /// As that of [`KafkaProducer::partitions_for`].
    ///
    /// # Errors
    ///
    /// As those of [`KafkaProducer::partitions_for`].
    pub async fn partitions_for(&self, topic: impl Into<Topic>) -> Result<Vec<PartitionInfo>, SendErrorKind> {
        self.producer.partitions_for(topic).await
    }

    /// Returns a handle by which any task sends records into this transaction.
    #[must_use]
    pub fn handle(&self) -> TransactionHandle<K, V> {
        TransactionHandle::new(self.producer.general.clone(), Arc::clone(&self.intake))
    }

    /// Commits the offsets of a consumer group with this transaction (KIP-447): the group goes on behind the records that this
    /// transaction was made from, if and only if it is committed.
    ///
    /// Each offset is that of the next record to read. `group` is what the consumer says of its place in the group, so that a
    /// consumer that has lost its partitions cannot commit; brokers before Kafka 2.5 need [`ConsumerGroupMetadata::new`] with the id of
    /// the group alone. The call returns once the coordinator of the group has the offsets; nothing is asked if there are none.
    ///
    /// # Errors
    ///
    /// The transaction can only be aborted, unless it is [`TransactionErrorKind::TimedOut`]: the offsets are then still under way. A call
    /// with the same offsets and the same group waits for them, and so does [`commit`](Self::commit). After `delivery.timeout.ms` they
    /// have failed ([`TransactionErrorKind::OffsetsTimedOut`]).
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled, the offsets are part of the transaction, whether you drop the future or not. A call with the same
    /// offsets and the same group waits for the first.
    pub async fn send_offsets(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, OffsetAndMetadata)>,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), TransactionError> {
        let core = &self.producer.general.core;
        let cluster = Arc::clone(&core.clusters.borrow());
        let offsets = group.offsets(offsets, &cluster);
        if offsets.topics.is_empty() {
            return Ok(());
        }
        let until = core.block_deadline();
        let reply = self.offsets_call(offsets);
        let outcome = core.wait_for_reply(&reply, until).await;
        if outcome.is_some() {
            self.offset_calls().retain(|(_, other)| !other.is(&reply));
        }
        outcome.unwrap_or_else(|| Err(core.timed_out("send_offsets")))
    }

    /// Returns where the answer for these offsets will be. A call that was cancelled or timed out is not made again.
    fn offsets_call(&self, offsets: GroupOffsets) -> CallReply {
        let mut calls = self.offset_calls();
        let last = calls.iter().rev().find(|(other, _)| other.group == offsets.group);
        if let Some((_, reply)) = last.filter(|(other, _)| other.is_same(&offsets)) {
            return reply.clone();
        }
        let reply = self.producer.general.core.transact(Wish::SendOffsets(offsets.clone()));
        calls.push((offsets, reply.clone()));
        reply
    }

    fn offset_calls(&self) -> MutexGuard<'_, Vec<(GroupOffsets, CallReply)>> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits the transaction: waits until all of its records are acknowledged, and has the coordinator commit them.
    ///
    /// # Errors
    ///
    /// - A record failed, or was not accepted, or the coordinator refuses: nothing of the transaction counts. It is aborted in the
    ///   background, and the next `begin_transaction` waits for that. Not accepted are the records of each call of `send` or `enqueue`,
    ///   of this guard or of a handle, that failed, that was dropped while it waited, or that still waits when you commit: await all
    ///   calls first. Of `try_enqueue`, "full" and "topic unknown" do not count, since you may try again.
    /// - [`TransactionErrorKind::CommitInDoubt`]: the transaction may be committed.
    /// - [`TransactionErrorKind::TimedOut`] after `max.block.ms`: the commit goes on.
    ///   [`finish_transaction`](TransactionalProducer::finish_transaction) waits for its end, and so does the next
    ///   `begin_transaction`, which fails once if the transaction was not committed ([`TransactionErrorKind::PreviousNotCommitted`]).
    ///
    /// # Cancel safety
    ///
    /// If you drop the future after it was polled, the commit goes on as after a time-out. If it was never polled, the transaction is
    /// aborted.
    pub async fn commit(mut self) -> Result<(), TransactionError> {
        self.end("commit", true).await
    }

    /// Aborts the transaction: gives up its records that are not delivered, and has the coordinator discard the others.
    ///
    /// # Errors
    ///
    /// [`TransactionErrorKind::TimedOut`] after `max.block.ms`: the abort goes on. Others say that the producer cannot go on. In no case
    /// anything of the transaction counts.
    ///
    /// # Cancel safety
    ///
    /// The transaction is aborted, whether you drop the future or not.
    pub async fn abort(mut self) -> Result<(), TransactionError> {
        self.end("abort", false).await
    }

    async fn end(&mut self, call: &'static str, is_commit: bool) -> Result<(), TransactionError> {
        let until = self.producer.general.core.block_deadline();
        self.is_over = true;
        self.tell(is_commit);
        let reply = self.producer.ending.as_ref().map(|ending| ending.reply.clone());
        let Some(reply) = reply else { return Ok(()) };
        let outcome = self.producer.general.core.wait_for_reply(&reply, until).await;
        let outcome = outcome.ok_or_else(|| self.producer.general.core.timed_out(call))?;
        self.producer.ending = None;
        self.producer.note_failure(&outcome);
        outcome
    }
}

impl<K, V> Transaction<'_, K, V> {
    /// Has the sender end the transaction, once the queues take no more records of it.
    fn tell(&mut self, is_commit: bool) {
        let TransactionalProducer { general, ending, is_taking, .. } = &mut *self.producer;
        general.core.accumulator.set_transaction(NO_TRANSACTION);
        *is_taking = false;
        let refused = self.intake.close();
        let reply = general.core.transact(if is_commit { Wish::Commit { refused } } else { Wish::Abort });
        *ending = Some(Unfinished { reply, is_commit });
    }
}

impl<K, V> Drop for TransactionalProducer<K, V> {
    /// The sender ends what was begun, and then itself, also if handles are left.
    fn drop(&mut self) {
        self.abort_leaked();
        self.general.core.accumulator.close();
    }
}

impl<K, V> Drop for Transaction<'_, K, V> {
    fn drop(&mut self) {
        if !self.is_over && !planted!(DroppedGuardKept) {
            self.tell(false);
        }
    }
}

/// What `begin_transaction` says of the transaction before. One that still goes on has not failed.
fn of_previous(error: TransactionError) -> TransactionError {
    if matches!(error.kind(), TransactionErrorKind::TimedOut { .. }) {
        return error;
    }
    TransactionError::new(TransactionErrorKind::PreviousNotCommitted { error: Box::new(error) })
}

fn in_doubt() -> TransactionError {
    let cause = Box::new(TransactionError::new(TransactionErrorKind::Closed));
    TransactionError::new(TransactionErrorKind::CommitInDoubt { cause })
}

impl ProducerCore {
    fn transact(&self, wish: Wish) -> CallReply {
        let reply = self.control.transact(wish);
        self.accumulator.wake_sender();
        reply
    }

    fn block_deadline(&self) -> Instant {
        far(clock::now(), self.settings.max_block)
    }

    /// Returns what came of a call, or `None` once the time is over. It is looked at once, so that what comes at the last moment is not
    /// lost between two looks.
    async fn wait_for_reply(
        &self,
        reply: &CallReply,
        until: Instant,
    ) -> Option<Result<(), TransactionError>> {
        match deadline::timeout_at(until, reply.wait()).await {
            Some(outcome) => Some(outcome),
            None => reply.outcome(),
        }
    }

    /// Waits until it turns out that the producer reaches no broker, and why. What was said before does not count: it goes on trying.
    async fn why_no_broker(&self) -> TransactionErrorKind {
        let mut clusters = self.clusters.clone();
        clusters.mark_unchanged();
        loop {
            if clusters.changed().await.is_err() {
                // The sender has ended, and with it the call ends.
                std::future::pending::<()>().await;
            }
            let cluster = Arc::clone(&clusters.borrow_and_update());
            if let Some(reason) = cluster.refusal() {
                return TransactionErrorKind::AuthenticationFailed { reason: reason.to_owned() };
            }
            if let Some(reason) = cluster.unresolved() {
                return TransactionErrorKind::BootstrapUnresolved { reason: reason.to_owned() };
            }
        }
    }

    fn timed_out(&self, call: &'static str) -> TransactionError {
        let obstacle = self.clusters.borrow().obstacle().map(str::to_owned);
        let reason = obstacle.or_else(|| no_broker(&self.board.reports(None, clock::now())));
        let waited = self.settings.max_block;
        TransactionError::new(TransactionErrorKind::TimedOut { call, waited, reason })
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducerBuilder<K, V> {
    /// Makes a producer whose records are written in transactions. It needs [`transactional_id`](Self::transactional_id).
    ///
    /// As [`build`](Self::build), it reaches no broker yet: the first `begin_transaction` waits for that.
    ///
    /// # Errors
    ///
    /// As those of [`build`](Self::build), and [`BuildError::NoTransactionalId`](super::BuildError::NoTransactionalId).
    pub fn build_transactional(self) -> Result<TransactionalProducer<K, V>, super::BuildError> {
        Ok(TransactionalProducer::new(self.build_any(true)?))
    }
}

impl<K, V> fmt::Debug for TransactionalProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer")
            .field("transactional_id", &self.general.core.settings.transactional_id)
            .finish_non_exhaustive()
    }
}

impl<K, V> fmt::Debug for Transaction<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("number", &self.producer.number).finish_non_exhaustive()
    }
}
