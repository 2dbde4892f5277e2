//! `Walk`: the way of one record from the caller to its batch, in steps that never wait.
//!
//! ```text
//!  1 intercept   2 know the topic   3 serialize   4 route   5 take memory   6 append
//! ```
//!
//! [`Walk::step`] goes as far as it can. Where it would have to wait, for the topic or for memory, it stops and says for
//! what; the caller waits and takes the next step. Nearly every record finds room in a batch that is open, and needs no
//! memory. The others, and those that wait, get theirs in `placing.rs`, where `pipeline/route/search.rs` says.

use std::sync::Arc;

use rand::RngExt;

use crate::accumulator::{Append, EnqueueWaits, PartitionQueue, TopicQueues};
use crate::clock::{self, RecordTime};
use crate::delivery::{AckObserver, Delivery};
use crate::error::{SendError, SendErrorKind};
use crate::pipeline::{
    AckOutcome, Acknowledgement, BoxError, NoRoute, PartitionerRecord, Route, Serializer, TopicRoutes,
};
use crate::producer::caller::{Caller, RecentTopics, Scratch};
use crate::producer::memory_wait::MemoryInHand;
use crate::producer::placing::Placing;
use crate::producer::topics::TopicEntry;
use crate::producer::{Face, KafkaProducer, ProducerCore};
use crate::protocol::record_batch::RecordRef;
use crate::record::{Headers, ProducerRecord};
use crate::topic_partition::Topic;

/// A record on its way.
///
/// The record stays where the caller has it; only if it must wait does it move to where the wait is.
pub(super) struct Walk<'a, K, V> {
    core: &'a ProducerCore,
    face: &'a Face<K, V>,
    record: &'a mut ProducerRecord<K, V>,
    kept: Kept,
    /// The transaction that the record is part of.
    transaction: u64,
    /// The runtime should hear that its thread is at work.
    is_countable: bool,
}

/// What a walk has come to before it had to wait.
#[derive(Debug)]
pub(super) struct Kept {
    /// Headers that the caller gave; a serializer may have added more.
    own_headers: usize,
    /// Most walks never have any.
    stopped: Option<Box<Stopped>>,
}

/// A walk that had to stop, with everything that it asks or measures only once.
#[derive(Debug, Default)]
struct Stopped {
    /// The time of the call in milliseconds since 1970.
    called_at: i64,
    waits: EnqueueWaits,
    serialized: Option<Serialized>,
    /// The partition that the user's partitioner chose.
    chosen: Option<usize>,
    memory: MemoryInHand,
}

/// Owned key and value bytes.
#[derive(Debug)]
struct Serialized {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// Why a walk has stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Memory must become free for the partition, or, if they are given, for any partition of the topic.
    NoMemory { queue: Arc<PartitionQueue>, anywhere: Option<Arc<TopicQueues>>, least: usize },
    /// It ends here.
    Refused(Box<SendErrorKind>),
    /// What was found of the topic holds no longer: look it up anew. [`Walk::step`] does.
    Retired,
    /// The topic, or the partition that the record names, must become known.
    TopicUnknown,
}

impl Stop {
    #[cold]
    pub(super) fn refused(kind: SendErrorKind) -> Self {
        Self::Refused(Box::new(kind))
    }
}

impl<'a, K: Send + Sync + 'static, V: Send + Sync + 'static> Walk<'a, K, V> {
    /// Starts with the interceptors.
    #[inline]
    pub(super) fn new(
        producer: &'a KafkaProducer<K, V>,
        record: &'a mut ProducerRecord<K, V>,
        transaction: u64,
    ) -> Self {
        let KafkaProducer { core, face } = producer;
        if face.observer.is_some() {
            let given = std::mem::replace(record, ProducerRecord::to(""));
            *record = face.interceptors.on_send(given);
        }
        let kept = Kept { own_headers: record.headers.len(), stopped: None };
        Self { core, face, record, kept, transaction, is_countable: false }
    }

    /// Goes on with a record that has moved.
    pub(super) fn resume(
        producer: &'a KafkaProducer<K, V>,
        record: &'a mut ProducerRecord<K, V>,
        kept: Kept,
        transaction: u64,
    ) -> Self {
        let KafkaProducer { core, face } = producer;
        Self { core, face, record, kept, transaction, is_countable: false }
    }

    /// Stops here, to be resumed elsewhere.
    pub(super) fn into_kept(self) -> Kept {
        self.kept
    }

    /// Returns whether enough records were appended for the runtime to hear of it.
    #[inline]
    pub(super) fn is_countable(&self) -> bool {
        self.is_countable
    }

    pub(super) fn record(&self) -> &ProducerRecord<K, V> {
        self.record
    }

    /// Notes how long the record has waited so far; it has stopped before.
    pub(super) fn set_waits(&mut self, waits: EnqueueWaits) {
        if let Some(stopped) = &mut self.kept.stopped {
            stopped.waits = waits;
        }
    }

    /// Continues with memory that was waited for; the record has stopped before.
    pub(super) fn take_memory(&mut self, memory: MemoryInHand) {
        if let Some(stopped) = &mut self.kept.stopped {
            stopped.memory = memory;
        }
    }

    /// Ends the walk: tells the interceptors, and gives the record back as they left it.
    pub(super) fn refuse(self, kind: SendErrorKind) -> SendError<K, V> {
        let Self { core, face, record, kept, .. } = self;
        record.headers.truncate(kept.own_headers);
        core.refusals.tell(&kind, &core.settings.client_id);
        if face.observer.is_some() {
            let outcome = AckOutcome::failed(&kind);
            let chosen = kept.chosen().and_then(|chosen| i32::try_from(chosen).ok());
            let partition = chosen.or(record.partition);
            let told = Acknowledgement::new(&record.topic, partition, &record.headers, outcome);
            face.interceptors.on_acknowledgement(&told);
        }
        SendError::refused(kind, std::mem::replace(record, ProducerRecord::to("")))
    }

    /// Goes on until the record is in a batch or something must be waited for.
    #[inline]
    pub(super) fn step(&mut self) -> Result<Delivery, Stop> {
        loop {
            match Caller::with(|caller| self.step_as(caller)) {
                // The topic had idled out. There are other queues, or the topic must become known again.
                Err(Stop::Retired) => self.forget_topic(),
                result => return result,
            }
        }
    }

    #[cold]
    fn forget_topic(&self) {
        let topic = &self.record.topic;
        self.core.topics.forget(topic);
        Caller::with(|caller| caller.topics.forget(topic));
    }

    #[inline]
    fn step_as(&mut self, caller: &mut Caller) -> Result<Delivery, Stop> {
        let Self { core, face, record, kept, is_countable, transaction } = self;
        let transaction = *transaction;
        core.check(record)?;
        let moment = kept.moment(caller.moment(core.id, &core.wall_clock));
        *is_countable = caller.count();
        let Caller { topics, scratch, .. } = caller;
        let named = record.partition;

        let topic = core.know_topic(&record.topic, topics).ok_or_else(|| kept.stop(moment, None))?;
        let record = face.serialize(record, kept, moment, scratch)?;
        let route = core.route(topic, &record, named, kept, moment);
        let route = route.map_err(|reason| kept.no_route(topic, &record, moment, reason))?;
        if kept.stopped.is_none()
            && face.observer.is_none()
            && let Some(delivery) = core.take_short_way(topic, route, &record, transaction, moment)
        {
            return Ok(delivery);
        }
        Routed { topic, record, route, transaction, moment }.place(core, face.observer.as_ref(), kept)
    }
}

impl Kept {
    /// Returns the time that counts for the record: that of the call.
    #[inline]
    fn moment(&self, now: RecordTime) -> RecordTime {
        match &self.stopped {
            None => now,
            Some(stopped) => RecordTime { millis: stopped.called_at, ..now },
        }
    }

    /// Notes that the topic must be waited for, and what the record was serialized to if that was done.
    #[cold]
    fn stop(&mut self, moment: RecordTime, record: Option<&RecordRef<'_>>) -> Stop {
        let mut stopped = self.take_stopped(moment);
        stopped.serialized = stopped.serialized.or_else(|| record.map(Serialized::of));
        self.stopped = Some(Box::new(stopped));
        Stop::TopicUnknown
    }

    #[cold]
    fn no_route(
        &mut self,
        topic: &TopicEntry,
        record: &RecordRef<'_>,
        moment: RecordTime,
        reason: NoRoute,
    ) -> Stop {
        let partition_count = topic.routes.partition_count();
        let topic = topic.queues.topic().clone();
        Stop::refused(match reason {
            NoRoute::Outdated(chosen) => {
                let mut stopped = self.take_stopped(moment);
                stopped.serialized.get_or_insert_with(|| Serialized::of(record));
                stopped.chosen = Some(chosen);
                self.stopped = Some(Box::new(stopped));
                return Stop::Retired;
            }
            NoRoute::OutOfRange(partition) => {
                SendErrorKind::PartitionOutOfRange { topic, partition, partition_count }
            }
            NoRoute::Partitioner(source) => SendErrorKind::Partitioner { topic, source: Arc::from(source) },
            NoRoute::Unknown => return self.stop(moment, Some(record)),
        })
    }

    fn take_stopped(&mut self, moment: RecordTime) -> Stopped {
        let begun = || Stopped { called_at: moment.millis, ..Stopped::default() };
        self.stopped.take().map_or_else(begun, |stopped| *stopped)
    }

    fn serialized(&self) -> Option<&Serialized> {
        self.stopped.as_ref().and_then(|stopped| stopped.serialized.as_ref())
    }

    fn chosen(&self) -> Option<usize> {
        self.stopped.as_ref().and_then(|stopped| stopped.chosen)
    }
}

impl Serialized {
    fn of(record: &RecordRef<'_>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Self { key: owned(record.key), value: owned(record.value) }
    }

    #[cold]
    fn copy_to<'s>(&self, scratch: &'s mut Scratch) -> (Option<&'s [u8]>, Option<&'s [u8]>) {
        let Scratch { key, value } = scratch;
        let copied = |from: &Option<Vec<u8>>, to: &'s mut Vec<u8>| -> Option<&'s [u8]> {
            to.clear();
            to.extend_from_slice(from.as_ref()?);
            Some(to)
        };
        (copied(&self.key, key), copied(&self.value, value))
    }
}

/// A record that has its route.
struct Routed<'a> {
    topic: &'a TopicEntry,
    record: RecordRef<'a>,
    route: Route,
    transaction: u64,
    moment: RecordTime,
}

impl Routed<'_> {
    /// Takes memory for the record and appends it, if memory is to be had.
    #[cold]
    #[inline(never)]
    fn place(
        self,
        core: &ProducerCore,
        observer: Option<&Arc<dyn AckObserver>>,
        kept: &mut Kept,
    ) -> Result<Delivery, Stop> {
        let Self { topic, record, route, transaction, moment } = self;
        let mut stopped = kept.take_stopped(moment);
        topic.queues.touch(moment.seconds);
        let append = Append {
            record,
            payload_len: record.payload_len(),
            waits: stopped.waits,
            transaction,
            observer,
            // A new batch counts its age from here, by the precise clock.
            now: clock::now(),
        };
        let result = Placing::new(core, topic).place(route, &append, &mut stopped.memory);
        if result.is_err() {
            if let Route::Chosen(partition) = route {
                stopped.chosen = Some(partition);
            }
            stopped.serialized.get_or_insert_with(|| Serialized::of(&record));
            kept.stopped = Some(Box::new(stopped));
        }
        result
    }
}

/// The steps.
impl ProducerCore {
    #[inline]
    fn check<K, V>(&self, record: &ProducerRecord<K, V>) -> Result<(), Stop> {
        if self.accumulator.is_closed() {
            return Err(Stop::refused(self.end()));
        }
        record.check().map_err(|error| Stop::refused(SendErrorKind::InvalidRecord(error.to_string())))
    }

    /// Returns the topic as of the cluster that is published now; `None` if the topic is not in it.
    #[inline]
    fn know_topic<'t>(&self, topic: &Topic, recent: &'t mut RecentTopics) -> Option<&'t TopicEntry> {
        let version = self.control.cluster_version();
        recent.get_or_insert_with(self.id, topic, version, || self.find_topic(topic, version))
    }

    #[cold]
    fn find_topic(&self, topic: &Topic, version: u64) -> Option<Arc<TopicEntry>> {
        self.topics.current(topic, version).or_else(|| self.refresh_topic(topic))
    }

    fn refresh_topic(&self, topic: &Topic) -> Option<Arc<TopicEntry>> {
        let cluster = Arc::clone(&self.clusters.borrow());
        let partition_count = cluster.partition_count(topic).filter(|count| *count > 0)?;
        let routes = match self.topics.get(topic) {
            Some(known) => known.routes.for_next_version(partition_count),
            None => TopicRoutes::new(partition_count, self.settings.batch_size),
        };
        let queues = self.accumulator.topic(topic, partition_count);
        let entry = Arc::new(TopicEntry { queues, routes, version: cluster.version() });
        self.topics.insert(topic.clone(), Arc::clone(&entry));
        Some(entry)
    }

    /// Returns where the record goes. The user's partitioner is asked once.
    #[inline]
    fn route(
        &self,
        topic: &TopicEntry,
        record: &RecordRef<'_>,
        named: Option<i32>,
        kept: &Kept,
        moment: RecordTime,
    ) -> Result<Route, NoRoute> {
        // The topic may have come back with fewer partitions.
        if let Some(chosen) = kept.chosen().filter(|chosen| *chosen < topic.routes.partition_count()) {
            return Ok(Route::Chosen(chosen));
        }
        let RecordRef { key, value, headers, .. } = *record;
        let record = PartitionerRecord::new(topic.queues.topic(), key, value, headers);
        let view = topic.view(&self.clusters);
        self.routing.route(record, named, &view, moment.now, || rand::rng().random())
    }

    /// Appends the record to the open batch of its partition, if that has room and nothing is to be done beside.
    #[inline]
    fn take_short_way(
        &self,
        topic: &TopicEntry,
        route: Route,
        record: &RecordRef<'_>,
        transaction: u64,
        moment: RecordTime,
    ) -> Option<Delivery> {
        let payload_len = record.payload_len();
        if RecordRef::upper_bound(payload_len) > self.largest_record {
            return None;
        }
        let queue = topic.queues.queue(route.partition())?;
        topic.queues.touch(moment.seconds);
        let settings = self.accumulator.settings();
        queue.join_quietly(record, payload_len, moment.now, route.is_free(), transaction, settings)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Face<K, V> {
    /// Serializes key and value, unless that was done before the record had to wait.
    #[inline]
    fn serialize<'b>(
        &self,
        record: &'b mut ProducerRecord<K, V>,
        kept: &Kept,
        moment: RecordTime,
        scratch: &'b mut Scratch,
    ) -> Result<RecordRef<'b>, Stop> {
        let ProducerRecord { topic, headers, timestamp, key, value, .. } = record;
        let timestamp = timestamp.unwrap_or(moment.millis);
        if let Some(serialized) = kept.serialized() {
            let (key, value) = serialized.copy_to(scratch);
            return Ok(RecordRef { timestamp, key, value, headers });
        }
        let key = serialize(&*self.key_serializer, topic, headers, key.as_ref(), &mut scratch.key)
            .map_err(|error| not_serialized(topic, "key", error))?;
        let value = serialize(&*self.value_serializer, topic, headers, value.as_ref(), &mut scratch.value)
            .map_err(|error| not_serialized(topic, "value", error))?;
        Ok(RecordRef { timestamp, key, value, headers })
    }
}

#[inline]
fn serialize<'b, T: 'static>(
    serializer: &dyn Serializer<T>,
    topic: &Topic,
    headers: &mut Headers,
    data: Option<&'b T>,
    scratch: &'b mut Vec<u8>,
) -> Result<Option<&'b [u8]>, BoxError> {
    let Some(data) = data else { return Ok(None) };
    scratch.clear();
    serializer.serialize(topic, headers, data, scratch).map(Some)
}

#[cold]
fn not_serialized(topic: &Topic, part: &'static str, source: BoxError) -> Stop {
    let source = Arc::from(source);
    Stop::refused(SendErrorKind::Serialization { topic: topic.clone(), part, source })
}
