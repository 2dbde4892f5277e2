//! [`TransactionalProducerPool`]: several transactions at once, each by a producer of its own.
//!
//! The semaphore counts the producers that are idle, so callers get them in the order in which they came. A producer that is taken
//! is in a [`PooledProducer`] from that moment on, so it comes back however the call ends.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore};

use super::TransactionalProducer;
use crate::clock;
use crate::error::{Spent, TransactionError, TransactionErrorKind};
use crate::fence::fenced;
use crate::log;
use crate::producer::enqueue::far;
use crate::producer::{BuildError, CloseReport, KafkaProducerBuilder, deadline};
use crate::protocol::ErrorCode;
use crate::sender::CallReply;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Transactional producers for services that need several transactions at once, with the ids `prefix0`, `prefix1` and so on
/// (Spring: `DefaultKafkaProducerFactory` with `transactionIdPrefix`).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_producer::{KafkaProducer, ProducerRecord, TransactionalProducerPool};
///
/// let builder = || KafkaProducer::builder().bootstrap_servers("localhost:9092");
/// let pool = TransactionalProducerPool::start("payments-", 4, builder).await?;
///
/// // In each task:
/// let mut producer = pool.acquire().await?;
/// let transaction = producer.begin_transaction().await?;
/// drop(transaction.enqueue(ProducerRecord::to("debits").key("alice").value("5")).await?);
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # The prefix
///
/// It stands for one process: another pool with the same prefix fences this one. Give each instance of a service a prefix that it keeps
/// across restarts, as the name of a pod in a stateful set. The pool takes all of its ids when it starts. So a process that was thought
/// dead can write with none of them any more, and its open transactions are aborted, provided that the pool has not become smaller.
///
/// # What it costs
///
/// Each producer has connections, a background task, and `buffer.memory` of its own.
pub struct TransactionalProducerPool<K = Bytes, V = Bytes> {
    shared: Arc<Shared<K, V>>,
}

/// A producer of a pool, to which it goes back when this is dropped.
///
/// A transaction that is dropped without a commit is aborted first. If a call of `commit` was cancelled or timed out and you drop this
/// without waiting for its end ([`TransactionalProducer::finish_transaction`]), the commit goes on, and the pool logs what comes of it
/// unless that is success.
pub struct PooledProducer<K = Bytes, V = Bytes> {
    shared: Arc<Shared<K, V>>,
    /// `None` once it has gone back.
    producer: Option<TransactionalProducer<K, V>>,
}

/// Why a pool has no producer for the caller.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A producer could not be made.
    #[error("the producer with the transactional.id {id} cannot be made")]
    Build {
        /// Its `transactional.id`.
        id: String,
        /// Why.
        source: BuildError,
    },
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// All producers were in use.
    #[error("none of {size} producers became free within {} (max.block.ms)", Spent(*.waited))]
    Exhausted {
        /// How many there are.
        size: usize,
        /// How long the caller has waited.
        waited: Duration,
    },
    /// Other producers have taken all ids of the pool, or may have: another pool may have the same prefix. It is not for this one to take
    /// them back. Find out, and start a new pool if there is no other. The same is said
    ///
    /// - with brokers before Kafka 4.0, of a transaction that took longer than `transaction.timeout.ms`;
    /// - with brokers before Kafka 2.5, after records have failed ([`TransactionErrorKind::EpochNotGiven`]);
    /// - if the coordinator has forgotten an id that was not used for a week (`transactional.id.expiration.ms`), which it tells by
    ///   `INVALID_PRODUCER_ID_MAPPING`, as it does a producer whose successor has used up its epochs.
    #[error(
        "all producers of the pool were fenced, or may have been, the one with the transactional.id {id} at last"
    )]
    Fenced {
        /// The `transactional.id` of the last.
        id: String,
        /// Why it cannot go on.
        source: TransactionError,
    },
    /// A transactional id could not be taken.
    #[error("the pool does not get the transactional.id {id}")]
    Start {
        /// The id.
        id: String,
        /// Why.
        source: TransactionError,
    },
}

struct Shared<K, V> {
    make: Box<dyn Fn() -> KafkaProducerBuilder<K, V> + Send + Sync>,
    /// As many as are idle.
    permits: Semaphore,
    members: Mutex<Members<K, V>>,
    max_block: Duration,
    /// A producer has come back, or is lost, or the pool is closed.
    change: Notify,
}

struct Members<K, V> {
    /// Those that are not in use, the one that came back last at the end.
    idle: VecDeque<TransactionalProducer<K, V>>,
    /// Those that are not lost, in use or not.
    size: usize,
    in_use: usize,
    /// The last that was fenced.
    fenced: Option<(String, TransactionError)>,
    /// Calls of `close` that are under way.
    closes: usize,
}

/// A call of `close`, which closes what comes back.
struct Closing<'a, K, V>(&'a Shared<K, V>);

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> TransactionalProducerPool<K, V> {
    /// Makes `size` producers (at least one) by `builder`, and takes their transactional ids: `prefix` and a number from 0.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future, there is no pool; some ids may have been taken.
    ///
    /// # Errors
    ///
    /// [`PoolError::Build`], or [`PoolError::Start`] with the first id that was not to be had within `max.block.ms`.
    pub async fn start(
        prefix: impl Into<String>,
        size: usize,
        builder: impl Fn() -> KafkaProducerBuilder<K, V> + Send + Sync + 'static,
    ) -> Result<Self, PoolError> {
        let (prefix, size) = (prefix.into(), size.max(1));
        let idle = (0..size).map(|index| make(format!("{prefix}{index}"), &builder));
        let mut idle = idle.collect::<Result<VecDeque<_>, _>>()?;
        let mut taking: FuturesUnordered<_> = idle.iter_mut().map(take_id).collect();
        while let Some(taken) = taking.next().await {
            taken?;
        }
        drop(taking);
        let max_block =
            idle.front().map_or(Duration::ZERO, |producer| producer.general.core.settings.max_block);
        let shared = Shared {
            make: Box::new(builder),
            permits: Semaphore::new(size),
            members: Mutex::new(Members { idle, size, in_use: 0, fenced: None, closes: 0 }),
            max_block,
            change: Notify::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns a producer that no other caller has. Callers get one in the order in which they came, as a rule.
    ///
    /// It waits until one is free whose last transaction has ended. A producer that cannot go on is replaced by a new one with the
    /// same id, unless another producer may have taken the id: then the pool is smaller from now on ([`PoolError::Fenced`]).
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// # Errors
    ///
    /// [`PoolError::Exhausted`] after `max.block.ms`, [`PoolError::Closed`], [`PoolError::Fenced`] if no producer is left, and
    /// [`PoolError::Build`].
    pub async fn acquire(&self) -> Result<PooledProducer<K, V>, PoolError> {
        let until = far(clock::now(), self.shared.max_block);
        match deadline::timeout_at(until, self.acquire_one()).await {
            Some(acquired) => acquired,
            None => {
                let size = self.shared.members().size;
                Err(PoolError::Exhausted { size, waited: self.shared.max_block })
            }
        }
    }

    async fn acquire_one(&self) -> Result<PooledProducer<K, V>, PoolError> {
        loop {
            let Ok(permit) = self.shared.permits.acquire().await else {
                return Err(self.shared.why_closed());
            };
            let Some(producer) = self.shared.take_settled().await else { continue };
            permit.forget();
            let mut pooled = PooledProducer { shared: Arc::clone(&self.shared), producer: Some(producer) };
            if pooled.make_ready().await? {
                return Ok(pooled);
            }
        }
    }

    /// Returns how many producers the pool has: all that were not fenced.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shared.members().size
    }

    /// Returns how many of them are not in use.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.shared.members().idle.len()
    }

    /// Closes the pool: no caller gets a producer any more. Closes all producers, those in use once they come back, and waits for that
    /// up to `timeout`. Returns what [`TransactionalProducer::close`] has said of each that came back in time, with its
    /// `transactional.id`.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future, the pool is closed, and its producers end as soon as they have nothing left to do.
    pub async fn close(&self, timeout: Duration) -> Vec<(String, CloseReport)> {
        let until = far(clock::now(), timeout);
        let _closing = self.shared.begin_close();
        let (mut closing, mut reports) = (FuturesUnordered::new(), Vec::new());
        loop {
            // What comes back from here on is not missed.
            let mut change = std::pin::pin!(self.shared.change.notified());
            change.as_mut().enable();
            let (idle, is_last) = self.shared.members().take_all();
            for producer in idle {
                let (id, left) =
                    (producer.transactional_id().to_owned(), until.saturating_duration_since(clock::now()));
                closing.push(async move { (id, producer.close(left).await) });
            }
            if closing.is_empty() && is_last {
                return reports;
            }
            let wait = async {
                tokio::select! {
                    Some(report) = closing.next() => Some(report),
                    () = change => None,
                    else => None,
                }
            };
            match deadline::timeout_at(until, wait).await {
                Some(report) => reports.extend(report),
                None => break,
            }
        }
        // They end at the same time.
        while let Some(report) = closing.next().await {
            reports.push(report);
        }
        reports
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> PooledProducer<K, V> {
    /// Looks at what became of the last transaction, and replaces a producer that cannot go on. Returns whether there is one.
    async fn make_ready(&mut self) -> Result<bool, PoolError> {
        let Some(producer) = &mut self.producer else { return Ok(false) };
        // It was for the caller before to look at that.
        if let Err(error) = producer.finish_transaction().await {
            let transactional_id = producer.transactional_id();
            log::warn!(%transactional_id, %error, "a transaction that its caller let go of failed");
        }
        let Some(failure) = producer.failure.clone() else { return Ok(true) };
        let id = producer.transactional_id().to_owned();
        log::warn!(transactional_id = %id, error = %failure, "a producer of the pool cannot go on");
        if may_be_taken(&failure) {
            if let Some(producer) = self.producer.take() {
                self.shared.lose(producer, failure);
            }
            return Ok(false);
        }
        *producer = make(id, &*self.shared.make)?;
        Ok(true)
    }
}

impl<K, V> Shared<K, V> {
    fn members(&self) -> MutexGuard<'_, Members<K, V>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle producer whose last transaction has ended, and waits for the first to get there. Returns `None` if none is idle.
    async fn take_settled(&self) -> Option<TransactionalProducer<K, V>> {
        loop {
            // What comes back from here on is not missed.
            let mut change = std::pin::pin!(self.change.notified());
            change.as_mut().enable();
            let ends = match self.members().take() {
                Ok(producer) => return Some(producer),
                Err(ends) if ends.is_empty() => return None,
                Err(ends) => ends,
            };
            let mut ends: FuturesUnordered<_> = ends.iter().map(CallReply::wait).collect();
            tokio::select! {
                _ = ends.next() => {}
                () = change => {}
            }
        }
    }

    fn give_back(&self, producer: TransactionalProducer<K, V>) {
        let mut members = self.members();
        members.in_use -= 1;
        let is_over = self.permits.is_closed() && members.closes == 0;
        let unwanted = if is_over {
            Some(producer)
        } else {
            members.idle.push_back(producer);
            None
        };
        drop((members, unwanted));
        // A waker that panics is its task's affair.
        let _ = fenced(|| {
            self.permits.add_permits(1);
            self.change.notify_waiters();
        });
    }

    fn begin_close(&self) -> Closing<'_, K, V> {
        self.members().closes += 1;
        let _ = fenced(|| {
            self.permits.close();
            self.change.notify_waiters();
        });
        Closing(self)
    }

    /// Another producer may have the id. With the last producer the pool ends.
    fn lose(&self, producer: TransactionalProducer<K, V>, failure: TransactionError) {
        let mut members = self.members();
        members.in_use -= 1;
        members.size -= 1;
        members.fenced = Some((producer.transactional_id().to_owned(), failure));
        let is_last = members.size == 0;
        drop((members, producer));
        let _ = fenced(|| {
            if is_last {
                self.permits.close();
            }
            self.change.notify_waiters();
        });
    }

    fn why_closed(&self) -> PoolError {
        let members = self.members();
        match &members.fenced {
            Some((id, source)) if members.size == 0 => {
                PoolError::Fenced { id: id.clone(), source: source.clone() }
            }
            _ => PoolError::Closed,
        }
    }
}

impl<K, V> Members<K, V> {
    /// Takes an idle producer whose last transaction has ended. If there is none, returns where the end of each will be told.
    fn take(&mut self) -> Result<TransactionalProducer<K, V>, Vec<CallReply>> {
        let settled = self.idle.iter().position(TransactionalProducer::is_settled);
        let producer = settled.and_then(|settled| self.idle.remove(settled));
        let producer = producer
            .ok_or_else(|| self.idle.iter().filter_map(TransactionalProducer::end).collect::<Vec<_>>())?;
        self.in_use += 1;
        Ok(producer)
    }

    /// Takes all that are idle. Returns also whether none is in use.
    fn take_all(&mut self) -> (VecDeque<TransactionalProducer<K, V>>, bool) {
        (std::mem::take(&mut self.idle), self.in_use == 0)
    }
}

impl<K, V> Drop for Closing<'_, K, V> {
    fn drop(&mut self) {
        let mut members = self.0.members();
        members.closes -= 1;
        let unwanted = if members.closes == 0 { members.take_all().0 } else { VecDeque::new() };
        drop((members, unwanted));
    }
}

fn make<K: Send + Sync + 'static, V: Send + Sync + 'static>(
    id: String,
    make: &dyn Fn() -> KafkaProducerBuilder<K, V>,
) -> Result<TransactionalProducer<K, V>, PoolError> {
    let built = make().transactional_id(id.as_str()).build_transactional();
    built.map_err(|source| PoolError::Build { id, source })
}

/// Fences the producer that had the id before.
async fn take_id<K: Send + Sync + 'static, V: Send + Sync + 'static>(
    producer: &mut TransactionalProducer<K, V>,
) -> Result<(), PoolError> {
    // The coordinator has never heard of the transaction, so nothing is to be aborted.
    let begun = producer.begin_transaction().await.map(drop);
    begun.map_err(|source| PoolError::Start { id: producer.transactional_id().to_owned(), source })
}

/// Whether another producer may have taken the id since: a new producer would take it away from that one.
fn may_be_taken(failure: &TransactionError) -> bool {
    match failure.kind() {
        TransactionErrorKind::CommitInDoubt { cause } => may_be_taken(cause),
        // The coordinator says so also if it has forgotten an id that was not used for `transactional.id.expiration.ms`. Nothing tells
        // that from a successor that was given another producer id, after it had used up its epochs.
        TransactionErrorKind::Broker { code, .. } => *code == ErrorCode::InvalidProducerIdMapping,
        kind => matches!(kind, TransactionErrorKind::EpochNotGiven | TransactionErrorKind::Fenced { .. }),
    }
}

impl<K, V> Drop for PooledProducer<K, V> {
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            self.shared.give_back(producer);
        }
    }
}

impl<K, V> Deref for PooledProducer<K, V> {
    type Target = TransactionalProducer<K, V>;

    fn deref(&self) -> &Self::Target {
        self.producer.as_ref().expect("a producer goes back when this is dropped")
    }
}

impl<K, V> DerefMut for PooledProducer<K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.producer.as_mut().expect("a producer goes back when this is dropped")
    }
}

impl<K, V> Clone for TransactionalProducerPool<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> fmt::Debug for TransactionalProducerPool<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.shared.members();
        f.debug_struct("TransactionalProducerPool")
            .field("size", &members.size)
            .field("in_use", &members.in_use)
            .finish_non_exhaustive()
    }
}

impl<K, V> fmt::Debug for PooledProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledProducer").field(&self.producer).finish()
    }
}
