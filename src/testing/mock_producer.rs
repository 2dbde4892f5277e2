//! [`MockProducer`]: a producer without brokers.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;

use crate::accumulator::ProducerBatch;
use crate::clock;
use crate::delivery::{Delivery, Teller};
use crate::error::{DeliveryErrorKind, Persisted, SendError, SendErrorKind};
use crate::pipeline::{BoxError, Serializable, Serializer, partition_for_key};
use crate::producer::{
    Acceptance, Accepts, Enqueueing, Flushing, RecordSink, SendRecords, SendStream, Sending,
};
use crate::protocol::record_batch::RecordRef;
use crate::record::{Headers, ProducerRecord};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::topic_partition::{Topic, TopicPartition};

/// Stands for a [`KafkaProducer`](crate::KafkaProducer) in the tests of an application that sends by [`SendRecords`]
/// (Java: `MockProducer`).
///
/// It keeps the records that it was sent, and delivers each at once, or when the test says so. There are no brokers, no connections and no
/// time: what needs these is tested against the crate `kafka-mock`. Clones are handles of the same producer.
///
/// ```
/// use kafka_producer::{DeliveryErrorKind, MockProducer, Persisted, ProducerRecord, SendErrorKind, SendRecords};
///
/// /// What is to be tested.
/// async fn sell(producer: &dyn SendRecords, what: &'static str) -> bool {
///     producer.send(ProducerRecord::to("orders").value(what)).await.is_ok()
/// }
///
/// # kafka_producer::block_on(async {
/// let producer = MockProducer::new();
///
/// assert!(sell(&producer, "2 apples").await);
/// producer.refuse(SendErrorKind::Closed);
/// assert!(!sell(&producer, "3 pears").await);
/// producer.fail(DeliveryErrorKind::Purged, Persisted::No);
/// assert!(!sell(&producer, "5 plums").await);
///
/// let values: Vec<_> = producer.history().into_iter().filter_map(|record| record.value).collect();
/// assert_eq!(values, ["2 apples", "5 plums"]);
/// # }).unwrap();
/// ```
///
/// A topic has one partition unless [`set_partitions`](Self::set_partitions) says otherwise. A record goes to the partition that it names,
/// else where its key belongs, as with Kafka's own producers, else to partition 0. Offsets begin with 0 in each partition. A record without a
/// timestamp has 0.
pub struct MockProducer<K = Bytes, V = Bytes> {
    shared: Arc<Shared<K, V>>,
}

struct Shared<K, V> {
    key_serializer: Box<dyn Serializer<K>>,
    value_serializer: Box<dyn Serializer<V>>,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    history: Vec<ProducerRecord<K, V>>,
    /// Records that are neither delivered nor failed, oldest first.
    pending: VecDeque<Pending>,
    is_by_hand: bool,
    is_closed: bool,
    flushes: u64,
    partitions: HashMap<Topic, i32>,
    next_offsets: HashMap<TopicPartition, i64>,
    /// What the next records are refused for.
    refusals: VecDeque<SendErrorKind>,
    /// What the next records that are accepted fail of.
    failures: VecDeque<(DeliveryErrorKind, Persisted)>,
}

struct Pending {
    batch: Box<ProducerBatch>,
    topic_partition: TopicPartition,
}

impl<K, V> MockProducer<K, V>
where
    K: Serializable + Send + Sync + 'static,
    V: Serializable + Send + Sync + 'static,
{
    /// Makes a producer that delivers each record at once.
    #[must_use]
    pub fn new() -> Self {
        Self::with_serializers(K::Serializer::default(), V::Serializer::default())
    }
}

impl<K, V> Default for MockProducer<K, V>
where
    K: Serializable + Send + Sync + 'static,
    V: Serializable + Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> MockProducer<K, V> {
    /// Makes a producer with serializers, for types that have none of their own. It delivers each record at once.
    #[must_use]
    pub fn with_serializers(key: impl Serializer<K>, value: impl Serializer<V>) -> Self {
        let state = Mutex::new(State {
            history: Vec::new(),
            pending: VecDeque::new(),
            is_by_hand: false,
            is_closed: false,
            flushes: 0,
            partitions: HashMap::new(),
            next_offsets: HashMap::new(),
            refusals: VecDeque::new(),
            failures: VecDeque::new(),
        });
        let (key_serializer, value_serializer) = (Box::new(key), Box::new(value));
        Self { shared: Arc::new(Shared { key_serializer, value_serializer, state }) }
    }

    /// Sets whether records that are sent from now on are delivered at once (the default), or by
    /// [`complete_next`](Self::complete_next), [`error_next`](Self::error_next) and `flush` (Java: `autoComplete`). `true` delivers what
    /// waits.
    pub fn set_auto_complete(&self, auto_complete: bool) {
        self.state().is_by_hand = !auto_complete;
        // A later record must not overtake them.
        while auto_complete && self.complete_next() {}
    }

    /// Sets how many partitions a topic has (default 1).
    pub fn set_partitions(&self, topic: impl Into<Topic>, count: i32) {
        self.state().partitions.insert(topic.into(), count);
    }

    /// Delivers the oldest record that waits. Returns whether there was one.
    pub fn complete_next(&self) -> bool {
        let mut state = self.state();
        let Some(pending) = state.pending.pop_front() else { return false };
        let offset = state.take_offset(&pending.topic_partition);
        // What is woken may send.
        drop(state);
        pending.batch.deliver(Some(offset), None, &Teller::WITHOUT_SENDER);
        true
    }

    /// Fails the oldest record that waits. Returns whether there was one.
    pub fn error_next(&self, kind: DeliveryErrorKind, persisted: Persisted) -> bool {
        let pending = self.state().pending.pop_front();
        let is_any = pending.is_some();
        if let Some(pending) = pending {
            pending.batch.fail_because(kind, persisted, Vec::new(), None, &Teller::WITHOUT_SENDER);
        }
        is_any
    }

    /// Has the next record refused that is sent. Several calls are for several records, in their order.
    pub fn refuse(&self, kind: SendErrorKind) {
        self.state().refusals.push_back(kind);
    }

    /// Has the next record that is accepted fail at once. Several calls are for several records, in their order.
    pub fn fail(&self, kind: DeliveryErrorKind, persisted: Persisted) {
        self.state().failures.push_back((kind, persisted));
    }

    /// Returns the records that were accepted, in their order, whether they are delivered or not.
    #[must_use]
    pub fn history(&self) -> Vec<ProducerRecord<K, V>>
    where
        K: Clone,
        V: Clone,
    {
        self.state().history.clone()
    }

    /// Forgets the records that were accepted, the number of flushes, and what the next records are refused for or fail of. Records that
    /// wait go on waiting.
    pub fn clear(&self) {
        let mut state = self.state();
        state.history.clear();
        state.refusals.clear();
        state.failures.clear();
        state.flushes = 0;
    }

    /// Returns how many records are neither delivered nor failed.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.state().pending.len()
    }

    /// Returns how often `flush` was called.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.state().flushes
    }

    /// Closes the producer: delivers what waits, and refuses all further records with [`SendErrorKind::Closed`].
    pub fn close(&self) {
        self.state().is_closed = true;
        while self.complete_next() {}
    }

    /// Sends the records of a stream, as [`KafkaProducer::send_stream`](crate::KafkaProducer::send_stream) does.
    pub fn send_stream<S>(&self, records: S, max_outstanding: usize) -> SendStream<S, K, V>
    where
        S: Stream<Item = ProducerRecord<K, V>>,
    {
        SendStream::new(self.clone(), records, max_outstanding)
    }

    /// Returns a sink that sends records, as [`KafkaProducer::sink`](crate::KafkaProducer::sink) does.
    pub fn sink(&self, max_outstanding: usize) -> RecordSink<K, V> {
        RecordSink::new(self.clone(), max_outstanding)
    }

    fn take(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        let mut record = record;
        let mut headers = record.headers.clone();
        let encoded = match self.encode(&record, &mut headers) {
            Ok(encoded) => encoded,
            Err(kind) => return Err(SendError::refused(kind, record)),
        };
        let (pending, delivery, failure) = {
            let mut state = self.state();
            match state.take(&encoded, &headers, &record) {
                Ok((pending, delivery)) => {
                    std::mem::swap(&mut record.headers, &mut headers);
                    state.history.push(record);
                    let failure = state.failures.pop_front();
                    if failure.is_none() && state.is_by_hand {
                        state.pending.push_back(pending);
                        return Ok(delivery);
                    }
                    let offset = failure.is_none().then(|| state.take_offset(&pending.topic_partition));
                    (pending, delivery, failure.ok_or(offset))
                }
                Err(kind) => {
                    drop(state);
                    return Err(SendError::refused(kind, record));
                }
            }
        };
        match failure {
            Ok((kind, persisted)) => {
                pending.batch.fail_because(kind, persisted, Vec::new(), None, &Teller::WITHOUT_SENDER);
            }
            Err(offset) => pending.batch.deliver(offset, None, &Teller::WITHOUT_SENDER),
        }
        Ok(delivery)
    }

    /// Serializes key and value. Serializers may change the headers.
    fn encode(&self, record: &ProducerRecord<K, V>, headers: &mut Headers) -> Result<Encoded, SendErrorKind> {
        record.check().map_err(|error| SendErrorKind::InvalidRecord(error.to_string()))?;
        let topic = &record.topic;
        let failed = |part, source: BoxError| SendErrorKind::Serialization {
            topic: topic.clone(),
            part,
            source: Arc::from(source),
        };
        let Shared { key_serializer, value_serializer, .. } = &*self.shared;
        let key = serialize(&**key_serializer, topic, headers, record.key.as_ref());
        let key = key.map_err(|error| failed("key", error))?;
        let value = serialize(&**value_serializer, topic, headers, record.value.as_ref());
        let value = value.map_err(|error| failed("value", error))?;
        Ok(Encoded { key, value })
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Encoded {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

fn serialize<T: 'static>(
    serializer: &dyn Serializer<T>,
    topic: &Topic,
    headers: &mut Headers,
    data: Option<&T>,
) -> Result<Option<Vec<u8>>, BoxError> {
    let Some(data) = data else { return Ok(None) };
    let mut scratch = Vec::new();
    let bytes = serializer.serialize(topic, headers, data, &mut scratch)?;
    Ok(Some(bytes.to_vec()))
}

impl<K, V> State<K, V> {
    /// Accepts a record, or says why not.
    fn take(
        &mut self,
        encoded: &Encoded,
        headers: &Headers,
        record: &ProducerRecord<K, V>,
    ) -> Result<(Pending, Delivery), SendErrorKind> {
        if self.is_closed {
            return Err(SendErrorKind::Closed);
        }
        if let Some(kind) = self.refusals.pop_front() {
            return Err(kind);
        }
        let topic = &record.topic;
        let count = self.partitions.get(topic).copied().unwrap_or(1).max(1);
        let (key, value) = (encoded.key.as_deref(), encoded.value.as_deref());
        let by_key = || key.and_then(|key| partition_for_key(key, usize::try_from(count).ok()?)).unwrap_or(0);
        let partition = record.partition.unwrap_or_else(by_key);
        if partition >= count {
            let partition_count = usize::try_from(count).unwrap_or_default();
            return Err(SendErrorKind::PartitionOutOfRange {
                topic: topic.clone(),
                partition,
                partition_count,
            });
        }
        let topic_partition = TopicPartition::new(topic.clone(), partition);
        let encoded = RecordRef { timestamp: record.timestamp.unwrap_or(0), key, value, headers };
        let lone = ProducerBatch::lone(topic_partition.clone(), &encoded, clock::now());
        let (batch, delivery) = lone.ok_or_else(|| {
            let size = encoded.payload_len();
            SendErrorKind::TooLarge { size, limit: usize::MAX, setting: "max.request.size" }
        })?;
        Ok((Pending { batch, topic_partition }, delivery))
    }

    fn take_offset(&mut self, at: &TopicPartition) -> i64 {
        let next = self.next_offsets.entry(at.clone()).or_default();
        let offset = *next;
        *next += 1;
        offset
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Accepts<K, V> for MockProducer<K, V> {
    fn accept(&self, record: ProducerRecord<K, V>) -> Acceptance<K, V> {
        Acceptance::Ended(self.take(record))
    }
}

#[cfg(feature = "tower")]
crate::producer::service! {
    /// Sends a record for each call (feature `tower`), as [`KafkaProducer`](crate::KafkaProducer) does.
    MockProducer
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> SendRecords<K, V> for MockProducer<K, V> {
    fn send<'a>(&'a self, record: ProducerRecord<K, V>) -> Sending<'a, K, V> {
        Box::pin(async move { Ok(self.take(record)?.await?) })
    }

    fn enqueue<'a>(&'a self, record: ProducerRecord<K, V>) -> Enqueueing<'a, K, V> {
        Box::pin(async move { self.take(record) })
    }

    fn try_enqueue(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        self.take(record)
    }

    fn flush<'a>(&'a self) -> Flushing<'a> {
        Box::pin(async {
            self.state().flushes += 1;
            while self.complete_next() {}
        })
    }
}

impl<K, V> Clone for MockProducer<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> fmt::Debug for MockProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("MockProducer")
            .field("accepted", &state.history.len())
            .field("pending", &state.pending.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
