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

use crate::accumulator::{Append, EnqueueWaits, JoinTerms, PartitionQueue, TopicQueues};
use crate::clock::{self, RecordTime};
use crate::delivery::{AckObserver, Delivery, Place};
use crate::error::{SendError, SendErrorKind};
use crate::pipeline::{
    AckOutcome, Acknowledgement, BoxError, NoRoute, PartitionerRecord, Route, TopicRoutes,
};
use crate::producer::caller::{Caller, HandleId, RecentTopics, Scratch};
use crate::producer::fields::{Fields, Parts};
use crate::producer::memory_wait::MemoryInHand;
use crate::producer::placing::Placing;
use crate::producer::topics::TopicEntry;
use crate::producer::{Face, KafkaProducer, ProducerCore};
use crate::protocol::record_batch::RecordRef;
use crate::record::ProducerRecord;
use crate::topic_partition::Topic;

/// A record on its way.
///
/// The record stays where the caller has it; only if it must wait does it move to where the wait is.
pub(super) struct Walk<'a, K, V, R = ProducerRecord<K, V>> {
    core: &'a ProducerCore,
    face: &'a Face<K, V>,
    record: &'a mut R,
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
        if producer.face.observer.is_some() {
            record.intercept(&producer.face.interceptors);
        }
        Self::behind_interceptors(producer, record, transaction)
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
}

impl<'a, K: Send + Sync + 'static, V: Send + Sync + 'static, R: Fields<K, V>> Walk<'a, K, V, R> {
    /// Starts with the interceptors. `None` if there are some and they cannot be given the record.
    #[inline]
    pub(super) fn begin(
        producer: &'a KafkaProducer<K, V>,
        record: &'a mut R,
        transaction: u64,
    ) -> Option<Self> {
        if producer.face.observer.is_some() && !record.intercept(&producer.face.interceptors) {
            return None;
        }
        Some(Self::behind_interceptors(producer, record, transaction))
    }

    #[inline]
    fn behind_interceptors(producer: &'a KafkaProducer<K, V>, record: &'a mut R, transaction: u64) -> Self {
        let KafkaProducer { core, face } = producer;
        let kept = Kept { own_headers: record.own_headers(), stopped: None };
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

    /// Goes on until the record is in a batch or something must be waited for.
    #[inline]
    pub(super) fn step(&mut self) -> Result<Delivery, Stop> {
        loop {
            // Beside the place, which thus travels in registers.
            let mut stop = None;
            let place = match Caller::with(|caller| self.step_as(caller, &mut stop)) {
                Some(place) => place,
                None => self.step_alone(&mut stop),
            };
            if let Some(place) = place {
                return Ok(place.into());
            }
            match stop {
                Some(Stop::Retired) | None => self.forget_topic(),
                Some(stop) => return Err(stop),
            }
        }
    }

    /// Takes the step where the belongings of the thread are not to be had.
    #[cold]
    #[inline(never)]
    fn step_alone(&mut self, stop: &mut Option<Stop>) -> Option<Place> {
        self.step_as(&mut Caller::default(), stop)
    }

    #[cold]
    fn forget_topic(&self) {
        let topic = self.record.topic();
        self.core.topics.forget(topic);
        Caller::with(|caller| caller.topics.forget(topic));
    }

    /// Takes the next step; if it does not end in a batch, it says in `stop` why.
    #[inline(always)]
    fn step_as(&mut self, caller: &mut Caller, stop: &mut Option<Stop>) -> Option<Place> {
        let Self { core, face, record, kept, is_countable, transaction } = self;
        let transaction = *transaction;
        if let Some(refusal) = core.check(&**record) {
            *stop = Some(refusal);
            return None;
        }
        let Caller { topics, scratch, stopwatch, records, .. } = caller;
        *is_countable = records.count();
        let moment = stopwatch.moment(core.id, &core.wall_clock);
        let topic = match record.handle() {
            Some(handle) => core.know_topic_of(handle, record.topic(), topics),
            None => core.know_topic(record.topic(), topics),
        };
        let Some(topic) = topic else {
            *stop = Some(kept.stop(moment, None));
            return None;
        };
        let named = record.partition();
        if kept.stopped.is_some() {
            let moment = &kept.moment(moment);
            let record = face.serialize_once(record.parts(), kept, moment, scratch, stop)?;
            let route = core.route(topic, &record, named, kept, moment, stop)?;
            let routed = Routed { topic, record, route, transaction, moment };
            return routed.place(core, face.observer.as_ref(), kept, stop);
        }
        let record = face.serialize(record.parts(), moment, scratch, stop)?;
        let route = match core.routing.usual_route(record.key, named, &topic.routes) {
            Some(route) => route,
            None => core.route(topic, &record, named, kept, moment, stop)?,
        };
        if face.observer.is_none()
            && let Some(place) = core.take_short_way(topic, route, &record, transaction, moment)
        {
            return Some(place);
        }
        let routed = Routed { topic, record, route, transaction, moment };
        routed.place(core, face.observer.as_ref(), kept, stop)
    }
}

impl Kept {
    /// Of a record that has not stopped.
    pub(super) const NONE: Self = Self { own_headers: 0, stopped: None };

    /// Notes how many headers the caller gave.
    pub(super) fn set_own_headers(&mut self, own_headers: usize) {
        self.own_headers = own_headers;
    }

    /// Returns the time that counts for the record: that of the call.
    fn moment(&self, now: &RecordTime) -> RecordTime {
        match &self.stopped {
            None => *now,
            Some(stopped) => RecordTime { millis: stopped.called_at, ..*now },
        }
    }

    /// Notes that the topic must be waited for, and what the record was serialized to if that was done.
    #[cold]
    pub(super) fn stop(&mut self, moment: &RecordTime, record: Option<&RecordRef<'_>>) -> Stop {
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
        moment: &RecordTime,
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

    fn take_stopped(&mut self, moment: &RecordTime) -> Stopped {
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
pub(super) struct Routed<'a> {
    pub(super) topic: &'a TopicEntry,
    pub(super) record: RecordRef<'a>,
    pub(super) route: Route,
    pub(super) transaction: u64,
    pub(super) moment: &'a RecordTime,
}

impl Routed<'_> {
    /// Takes memory for the record and appends it, if memory is to be had.
    #[cold]
    #[inline(never)]
    pub(super) fn place(
        self,
        core: &ProducerCore,
        observer: Option<&Arc<dyn AckObserver>>,
        kept: &mut Kept,
        stop: &mut Option<Stop>,
    ) -> Option<Place> {
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
        match Placing::new(core, topic).place(route, &append, &mut stopped.memory) {
            Ok(place) => Some(place),
            Err(reason) => {
                if let Route::Chosen(partition) = route {
                    stopped.chosen = Some(partition);
                }
                stopped.serialized.get_or_insert_with(|| Serialized::of(&record));
                kept.stopped = Some(Box::new(stopped));
                *stop = Some(reason);
                None
            }
        }
    }
}

/// The steps.
impl ProducerCore {
    /// Says whether the record cannot be accepted at all.
    #[inline]
    pub(super) fn check<K, V>(&self, record: &impl Fields<K, V>) -> Option<Stop> {
        if self.accumulator.is_closed() {
            return Some(Stop::refused(self.end()));
        }
        let invalid = record.check().err()?;
        Some(Stop::refused(SendErrorKind::InvalidRecord(invalid.to_string())))
    }

    /// Returns the topic as of the cluster that is published now; `None` if the topic is not in it.
    #[inline]
    pub(super) fn know_topic<'t>(
        &self,
        topic: &Topic,
        recent: &'t mut RecentTopics,
    ) -> Option<&'t TopicEntry> {
        let version = self.control.cluster_version();
        recent.get_or_insert_with(self.id, topic, version, || self.find_topic(topic, version))
    }

    /// The same for a topic that a handle stands for.
    #[inline]
    pub(super) fn know_topic_of<'t>(
        &self,
        handle: HandleId,
        topic: &Topic,
        recent: &'t mut RecentTopics,
    ) -> Option<&'t TopicEntry> {
        let version = self.control.cluster_version();
        recent.of_handle_or_insert_with(handle, version, || self.find_topic(topic, version))
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

    /// Returns where the record goes. The user's partitioner is asked once. If there is no way, it says in `stop` why.
    #[inline(never)]
    pub(super) fn route(
        &self,
        topic: &TopicEntry,
        record: &RecordRef<'_>,
        named: Option<i32>,
        kept: &mut Kept,
        moment: &RecordTime,
        stop: &mut Option<Stop>,
    ) -> Option<Route> {
        // The topic may have come back with fewer partitions.
        if let Some(chosen) = kept.chosen().filter(|chosen| *chosen < topic.routes.partition_count()) {
            return Some(Route::Chosen(chosen));
        }
        let RecordRef { key, value, headers, .. } = *record;
        let asked = PartitionerRecord::new(topic.queues.topic(), key, value, headers);
        let view = topic.view(&self.clusters);
        match self.routing.route(asked, named, &view, moment.now, || rand::rng().random()) {
            Ok(route) => Some(route),
            Err(reason) => {
                *stop = Some(kept.no_route(topic, record, moment, reason));
                None
            }
        }
    }

    /// Appends the record to the open batch of its partition, if that has room and nothing is to be done beside. Returns the batch
    /// and its place there.
    #[inline(never)]
    fn take_short_way(
        &self,
        topic: &TopicEntry,
        route: Route,
        record: &RecordRef<'_>,
        transaction: u64,
        moment: &RecordTime,
    ) -> Option<Place> {
        let queue = topic.queues.queue(route.partition())?;
        topic.queues.touch(moment.seconds);
        queue.join_quietly(record, &self.join_terms(route, transaction, moment))
    }

    #[inline]
    pub(super) fn join_terms(&self, route: Route, transaction: u64, moment: &RecordTime) -> JoinTerms<'_> {
        JoinTerms {
            transaction,
            is_countable: route.is_free(),
            largest: self.largest_record,
            now: moment.now,
            settings: self.accumulator.settings(),
        }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Face<K, V> {
    /// Serializes key and value. If that fails, it says so in `stop`.
    #[inline(always)]
    pub(super) fn serialize<'b>(
        &self,
        record: Parts<'b, K, V>,
        moment: &RecordTime,
        scratch: &'b mut Scratch,
        stop: &mut Option<Stop>,
    ) -> Option<RecordRef<'b>> {
        let Parts { topic, headers, timestamp, key, value } = record;
        let timestamp = timestamp.unwrap_or(moment.millis);
        let key = match key {
            None => None,
            Some(key) => {
                match self.key_serializer.serialize(topic, headers, key, cleared(&mut scratch.key)) {
                    Ok(bytes) => Some(bytes),
                    Err(error) => {
                        *stop = Some(not_serialized(topic, "key", error));
                        return None;
                    }
                }
            }
        };
        let value = match value {
            None => None,
            Some(value) => {
                match self.value_serializer.serialize(topic, headers, value, cleared(&mut scratch.value)) {
                    Ok(bytes) => Some(bytes),
                    Err(error) => {
                        *stop = Some(not_serialized(topic, "value", error));
                        return None;
                    }
                }
            }
        };
        Some(RecordRef { timestamp, key, value, headers })
    }

    /// Serializes key and value, unless that was done before the record had to wait.
    #[cold]
    fn serialize_once<'b>(
        &self,
        record: Parts<'b, K, V>,
        kept: &Kept,
        moment: &RecordTime,
        scratch: &'b mut Scratch,
        stop: &mut Option<Stop>,
    ) -> Option<RecordRef<'b>> {
        let Some(serialized) = kept.serialized() else {
            return self.serialize(record, moment, scratch, stop);
        };
        let (key, value) = serialized.copy_to(scratch);
        let timestamp = record.timestamp.unwrap_or(moment.millis);
        Some(RecordRef { timestamp, key, value, headers: record.headers })
    }
}

#[inline]
fn cleared(scratch: &mut Vec<u8>) -> &mut Vec<u8> {
    scratch.clear();
    scratch
}

#[cold]
fn not_serialized(topic: &Topic, part: &'static str, source: BoxError) -> Stop {
    let source = Arc::from(source);
    Stop::refused(SendErrorKind::Serialization { topic: topic.clone(), part, source })
}
