//! The future of `enqueue`: at once if nothing is missing, by way of a longer future if something must be waited for.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::coop;

use crate::accumulator::{EnqueueWaits, PartitionQueue, TopicQueues};
use crate::buffer_memory::MemoryClosed;
use crate::clock;
use crate::delivery::Delivery;
use crate::error::{OF_CALL, SendError, SendErrorKind};
use crate::producer::fields::Fields;
use crate::producer::memory_wait::MemoryInHand;
use crate::producer::transactional::{Intake, number_of};
use crate::producer::walk::{Kept, Stop, Walk};
use crate::producer::{KafkaProducer, ProducerCore, deadline};
use crate::record::ProducerRecord;
use crate::topic_partition::Topic;

/// A record on its way into its batch.
///
/// Nearly every record finds its topic known and room in a batch. It is appended from where it lies; only one that must
/// wait moves, into a future on the heap.
pub(super) struct Enqueue<'a, K, V, R = ProducerRecord<K, V>> {
    producer: &'a KafkaProducer<K, V>,
    /// The transaction that the record is part of.
    intake: Option<&'a Intake>,
    state: State<'a, K, V, R>,
}

enum State<'a, K, V, R> {
    Done,
    New(R),
    Waiting(Pin<Box<dyn Future<Output = Accepted<K, V>> + Send + 'a>>),
}

type Accepted<K, V> = Result<Delivery, SendError<K, V>>;

// Nothing in here is pinned in place.
impl<K, V, R> Unpin for Enqueue<'_, K, V, R> {}

impl<'a, K: Send + Sync + 'static, V: Send + Sync + 'static, R: Fields<K, V>> Enqueue<'a, K, V, R> {
    #[inline]
    pub(super) fn new(producer: &'a KafkaProducer<K, V>, record: R, intake: Option<&'a Intake>) -> Self {
        Self { producer, intake, state: State::New(record) }
    }

    /// Appends a record if that needs no waiting. `Pending` is for the caller to poll what has become of `state`.
    #[inline]
    fn try_at_once(&mut self, cx: &mut Context<'_>) -> Poll<Accepted<K, V>> {
        let State::New(record) = &mut self.state else { return Poll::Pending };
        let Some(mut walk) = Walk::begin(self.producer, record, number_of(self.intake)) else {
            return self.try_own_at_once(cx);
        };
        match walk.step() {
            Ok(delivery) => {
                tell_runtime(walk.is_countable(), cx);
                self.state = State::Done;
                Poll::Ready(Ok(delivery))
            }
            Err(stop) => {
                let kept = walk.into_kept();
                let Some(record) = self.take_record() else { return Poll::Pending };
                self.stop(record, kept, stop)
            }
        }
    }

    /// The same for a record that was only lent, for which interceptors need one of their own.
    #[cold]
    fn try_own_at_once(&mut self, cx: &mut Context<'_>) -> Poll<Accepted<K, V>> {
        let Some(mut record) = self.take_record() else { return Poll::Pending };
        let mut walk = Walk::new(self.producer, &mut record, number_of(self.intake));
        match walk.step() {
            Ok(delivery) => {
                tell_runtime(walk.is_countable(), cx);
                Poll::Ready(Ok(delivery))
            }
            Err(stop) => {
                let kept = walk.into_kept();
                self.stop(record, kept, stop)
            }
        }
    }

    #[cold]
    fn take_record(&mut self) -> Option<ProducerRecord<K, V>> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New(record) => Some(record.into_record()),
            State::Done | State::Waiting(_) => None,
        }
    }

    /// Lets other tasks run first, as a call that waits: if the caller drops it, the transaction hears of that.
    #[cold]
    fn give_way(&mut self) {
        let Some(mut record) = self.take_record() else { return };
        let kept = Walk::new(self.producer, &mut record, number_of(self.intake)).into_kept();
        self.wait(record, kept, None);
    }

    fn wait(&mut self, record: ProducerRecord<K, V>, kept: Kept, stop: Option<Stop>) {
        let waiting = self.producer.enqueue_waiting(record, kept, self.intake, stop, TimeLimit::MaxBlock);
        self.state = State::Waiting(Box::pin(waiting));
    }

    #[cold]
    fn stop(&mut self, mut record: ProducerRecord<K, V>, kept: Kept, stop: Stop) -> Poll<Accepted<K, V>> {
        match stop {
            Stop::Refused(kind) => {
                if let Some(intake) = self.intake {
                    intake.note_refused(&record, &kind);
                }
                let walk = Walk::resume(self.producer, &mut record, kept, number_of(self.intake));
                Poll::Ready(Err(walk.refuse(*kind)))
            }
            Stop::NoMemory { .. } | Stop::Retired | Stop::TopicUnknown => {
                self.wait(record, kept, Some(stop));
                Poll::Pending
            }
        }
    }
}

/// Tells the runtime of a few records, if it is time for that.
#[inline]
fn tell_runtime(is_countable: bool, cx: &mut Context<'_>) {
    if is_countable && let Poll::Ready(budget) = coop::poll_proceed(cx) {
        budget.made_progress();
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static, R: Fields<K, V>> Future for Enqueue<'_, K, V, R> {
    type Output = Accepted<K, V>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.state, State::New(_)) {
            // Without this a loop of `enqueue` could keep every other task from its thread until memory is full.
            if !coop::has_budget_remaining() {
                if self.intake.is_some() {
                    self.give_way();
                } else {
                    drop(ready!(coop::poll_proceed(cx)));
                }
            }
            if let Poll::Ready(result) = self.try_at_once(cx) {
                return Poll::Ready(result);
            }
        }
        let State::Waiting(waiting) = &mut self.state else { return Poll::Pending };
        let result = ready!(waiting.as_mut().poll(cx));
        self.state = State::Done;
        Poll::Ready(result)
    }
}

impl<K, V, R> fmt::Debug for Enqueue<'_, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Done => "done",
            State::New(_) => "new",
            State::Waiting(_) => "waiting",
        };
        f.debug_struct("Enqueue").field("state", &state).finish_non_exhaustive()
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Goes on with a record that could not be appended at once, for the reason of `stop`, or because its task gives way.
    pub(super) async fn enqueue_waiting(
        &self,
        mut record: ProducerRecord<K, V>,
        kept: Kept,
        intake: Option<&Intake>,
        mut stop: Option<Stop>,
        limit: TimeLimit,
    ) -> Accepted<K, V> {
        let core = &*self.core;
        let walk = Walk::resume(self, &mut record, kept, number_of(intake));
        let mut walk = Waiting { walk: Some(walk), intake };
        if intake.is_some_and(|intake| !intake.begin_wait()) {
            return Err(walk.refuse(SendErrorKind::TransactionOver));
        }
        let mut waited = TimeBlocked::default();
        let most = limit.most(core.settings.max_block);
        loop {
            match stop {
                None => drop(std::future::poll_fn(coop::poll_proceed).await),
                Some(Stop::Refused(kind)) => return Err(walk.refuse(*kind)),
                Some(Stop::Retired | Stop::TopicUnknown) => {
                    let deadline = waited.deadline(most);
                    let since = clock::now();
                    let ProducerRecord { topic, partition, .. } = walk.record();
                    let wait =
                        core.wait_for_topic_in(intake, topic, *partition, deadline, waited.spent, limit);
                    let found = wait.await;
                    if let Err(kind) = found {
                        return Err(walk.refuse(kind));
                    }
                    let wait = clock::now() - since;
                    core.counters.calls.note_metadata_wait(wait);
                    waited.spent.metadata += wait;
                }
                Some(Stop::NoMemory { queue, anywhere, least }) => {
                    let until = waited.deadline(most);
                    let since = clock::now();
                    let topic = walk.record().topic.clone();
                    let wait = core.wait_for_memory_in(intake, &topic, &queue, anywhere.as_deref(), least);
                    match deadline::timeout_at(until, wait).await {
                        Some(Ok(memory)) => walk.take_memory(memory),
                        Some(Err(kind)) => return Err(walk.refuse(kind)),
                        None => {
                            let wait = clock::now() - since;
                            core.counters.calls.note_memory_wait(wait);
                            core.counters.calls.note_memory_timeout();
                            waited.spent.memory += wait;
                            let kind = core.memory_timeout(least, waited.spent, limit);
                            return Err(walk.refuse(kind));
                        }
                    }
                    let wait = clock::now() - since;
                    core.counters.calls.note_memory_wait(wait);
                    waited.spent.memory += wait;
                }
            }
            walk.set_waits(waited.spent);
            match walk.step() {
                Ok(delivery) => {
                    walk.arrive();
                    return Ok(delivery);
                }
                Err(next) => stop = Some(next),
            }
        }
    }
}

impl ProducerCore {
    /// Waits for the topic of a record, unless its transaction is over before.
    async fn wait_for_topic_in(
        &self,
        intake: Option<&Intake>,
        topic: &Topic,
        partition: Option<i32>,
        deadline: Instant,
        spent: EnqueueWaits,
        limit: TimeLimit,
    ) -> Result<(), SendErrorKind> {
        tokio::select! {
            biased;
            found = self.wait_for_topic(topic, partition, deadline) => match found {
                Ok(_) => Ok(()),
                Err(error) => Err(self.topic_error(topic, partition, error, spent, limit)),
            },
            () = over(intake) => Err(SendErrorKind::TransactionOver),
        }
    }

    /// Waits for memory, unless there is a reason to give that up before.
    async fn wait_for_memory_in(
        &self,
        intake: Option<&Intake>,
        topic: &Topic,
        queue: &PartitionQueue,
        anywhere: Option<&TopicQueues>,
        least: usize,
    ) -> Result<MemoryInHand, SendErrorKind> {
        let partition = anywhere.is_none().then(|| queue.topic_partition().partition);
        tokio::select! {
            biased;
            memory = self.wait_for_memory(queue, anywhere, least) => {
                memory.map_err(|MemoryClosed| self.end())
            }
            () = over(intake) => Err(SendErrorKind::TransactionOver),
            reason = self.refusal(topic, partition) => {
                Err(SendErrorKind::AuthenticationFailed { topic: topic.clone(), reason })
            }
        }
    }
}

/// Waits until the transaction of a record is over.
async fn over(intake: Option<&Intake>) {
    match intake {
        Some(intake) => intake.over().await,
        None => std::future::pending().await,
    }
}

/// A walk that waits. Interceptors and the transaction hear of its end even if the caller drops it.
struct Waiting<'a, K: Send + Sync + 'static, V: Send + Sync + 'static> {
    /// `None` once it has ended.
    walk: Option<Walk<'a, K, V>>,
    intake: Option<&'a Intake>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Waiting<'_, K, V> {
    /// Ends with the record in a batch.
    fn arrive(&mut self) {
        self.walk = None;
        if let Some(intake) = self.intake {
            intake.end_wait();
        }
    }

    fn refuse(&mut self, kind: SendErrorKind) -> SendError<K, V> {
        self.end(kind).expect("a walk ends once")
    }

    fn end(&mut self, kind: SendErrorKind) -> Option<SendError<K, V>> {
        let walk = self.walk.take()?;
        if let Some(intake) = self.intake {
            intake.note_refused(walk.record(), &kind);
            intake.end_wait();
        }
        Some(walk.refuse(kind))
    }
}

impl<'a, K: Send + Sync + 'static, V: Send + Sync + 'static> Deref for Waiting<'a, K, V> {
    type Target = Walk<'a, K, V>;

    fn deref(&self) -> &Self::Target {
        self.walk.as_ref().expect("nothing is asked of a walk that has ended")
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> DerefMut for Waiting<'_, K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.walk.as_mut().expect("nothing is asked of a walk that has ended")
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Drop for Waiting<'_, K, V> {
    fn drop(&mut self) {
        drop(self.end(SendErrorKind::Cancelled));
    }
}

/// How long one call may wait to be accepted.
#[derive(Debug, Clone, Copy)]
pub(super) enum TimeLimit {
    MaxBlock,
    OfCall(Duration),
}

impl TimeLimit {
    pub(super) fn most(self, max_block: Duration) -> Duration {
        match self {
            Self::MaxBlock => max_block,
            Self::OfCall(timeout) => timeout,
        }
    }

    /// Returns what errors call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MaxBlock => "max.block.ms",
            Self::OfCall(_) => OF_CALL,
        }
    }
}

/// The time that one `enqueue` has waited, and until when it may.
#[derive(Debug, Default)]
pub(super) struct TimeBlocked {
    pub(super) spent: EnqueueWaits,
    deadline: Option<Instant>,
}

impl TimeBlocked {
    /// Returns the end of the time for waiting, which begins with the first wait.
    pub(super) fn deadline(&mut self, most: Duration) -> Instant {
        *self.deadline.get_or_insert_with(|| far(clock::now(), most))
    }
}

/// Returns the time that is `after` from `now`, however long that is.
pub(super) fn far(now: Instant, after: Duration) -> Instant {
    now.checked_add(after).unwrap_or(now + FAR_FUTURE)
}

/// Stands for "never" where an instant is needed.
const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

#[cfg(test)]
mod tests;
