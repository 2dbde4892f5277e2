//! The walk of one record from the caller to its batch, in steps that never wait.
//!
//! [`Walk::step`] goes as far as it can. Where it would have to wait it stops and says for what; the caller waits and
//! takes the next step.

use std::sync::Arc;

use crate::accumulator::{Append, EnqueueWaits, PartitionQueue, TopicQueues, TryAppend};
use crate::buffer_memory::BatchBuffer;
use crate::clock::{self, Moment};
use crate::delivery::Delivery;
use crate::error::{SendError, SendErrorKind};
use crate::pipeline::{AckOutcome, Acknowledgement, PartitionerRecord, Serializer, partition_for_key};
use crate::producer::Inner;
use crate::producer::caller::{Caller, RecentTopics};
use crate::producer::topics::{RecentLoads, TopicEntry};
use crate::protocol::record_batch::RecordRef;
use crate::record::{Headers, ProducerRecord};
use crate::topic_partition::Topic;

/// A record on its way.
///
/// The record stays where the caller has it; only if it must wait does it move to where the wait is.
pub(super) struct Walk<'a, K, V> {
    inner: &'a Inner<K, V>,
    record: &'a mut ProducerRecord<K, V>,
    kept: Kept,
    /// The runtime should hear that its thread is at work.
    is_countable: bool,
}

/// What a walk has come to before it had to wait.
#[derive(Debug)]
pub(super) struct Kept {
    /// Headers that the caller gave; a serializer may have added more.
    own_headers: usize,
    /// The time of the call in milliseconds since 1970, once the record has had to wait.
    called_at: Option<i64>,
    /// Most walks never have any.
    held: Option<Box<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// What the serializers made of the record, if it had to wait after that: they are called once.
    serialized: Option<Serialized>,
    /// A buffer that was waited for.
    spare: Option<BatchBuffer>,
    /// The partition that `spare` is for, if any would have done.
    offered: Option<usize>,
    /// The partition, once a partitioner of the user's has been asked.
    chosen: Option<usize>,
}

/// Why a walk has stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Memory must become free for the partition, or, if they are given, for any partition of the topic.
    NoMemory { queue: Arc<PartitionQueue>, anywhere: Option<Arc<TopicQueues>>, least: usize },
    /// It ends here.
    Refused(Box<SendErrorKind>),
    /// The queues that were found were given up: look for others. [`Walk::step`] does.
    Retired,
    /// The topic, or the partition that the record names, must become known.
    TopicUnknown,
}

impl Stop {
    #[cold]
    fn refused(kind: SendErrorKind) -> Self {
        Self::Refused(Box::new(kind))
    }
}

/// Owned key and value bytes.
#[derive(Debug)]
struct Serialized {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl<'a, K: Send + Sync + 'static, V: Send + Sync + 'static> Walk<'a, K, V> {
    /// Starts with the interceptors.
    #[inline]
    pub(super) fn new(inner: &'a Inner<K, V>, record: &'a mut ProducerRecord<K, V>) -> Self {
        if !inner.interceptors.is_empty() {
            let given = std::mem::replace(record, ProducerRecord::to(""));
            *record = inner.interceptors.on_send(given);
        }
        let kept = Kept { own_headers: record.headers.len(), called_at: None, held: None };
        Self { inner, record, kept, is_countable: false }
    }

    /// Goes on with a record that has moved.
    pub(super) fn resume(inner: &'a Inner<K, V>, record: &'a mut ProducerRecord<K, V>, kept: Kept) -> Self {
        Self { inner, record, kept, is_countable: false }
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

    /// Continues with a buffer that was waited for, which is for the partition `offered` if any would have done.
    pub(super) fn take_buffer(&mut self, buffer: BatchBuffer, offered: Option<usize>) {
        let held = self.kept.held.get_or_insert_default();
        held.spare = Some(buffer);
        held.offered = offered;
    }

    /// Ends the walk: tells the interceptors, and gives the record back as they left it.
    pub(super) fn refuse(self, kind: SendErrorKind) -> SendError<K, V> {
        let Self { inner, record, kept, .. } = self;
        record.headers.truncate(kept.own_headers);
        if !inner.interceptors.is_empty() {
            let outcome = AckOutcome::failed(&kind);
            let chosen = kept.held.and_then(|held| held.chosen);
            let partition = chosen.and_then(|chosen| i32::try_from(chosen).ok()).or(record.partition);
            let told = Acknowledgement::new(&record.topic, partition, &record.headers, outcome);
            inner.interceptors.on_acknowledgement(&told);
        }
        SendError::refused(kind, std::mem::replace(record, ProducerRecord::to("")))
    }

    /// Goes on until the record is in a batch or something must be waited for.
    #[inline]
    pub(super) fn step(&mut self, waits: EnqueueWaits) -> Result<Delivery, Stop> {
        loop {
            match Caller::with(|caller| self.step_as(caller, waits)) {
                // The topic had idled out. There are other queues, or the topic must become known again.
                Err(Stop::Retired) => self.forget_topic(),
                result => return result,
            }
        }
    }

    #[cold]
    fn forget_topic(&self) {
        let topic = &self.record.topic;
        self.inner.topics.forget(topic);
        Caller::with(|caller| caller.topics.forget(topic));
    }

    #[inline]
    fn step_as(&mut self, caller: &mut Caller, waits: EnqueueWaits) -> Result<Delivery, Stop> {
        let inner = self.inner;
        if inner.accumulator.is_closed() {
            return Err(Stop::refused(inner.end()));
        }
        self.record
            .check()
            .map_err(|error| Stop::refused(SendErrorKind::InvalidRecord(error.to_string())))?;
        let mut moment = caller.moment(inner.id, &inner.wall_clock);
        if let Some(called_at) = self.kept.called_at {
            moment.millis = called_at;
        }
        self.is_countable = caller.count();
        let Caller { topics, scratch, .. } = caller;
        let Some(entry) = inner.topic(&self.record.topic, topics) else {
            self.kept.called_at = Some(moment.millis);
            return Err(Stop::TopicUnknown);
        };

        if let Some(held) = &mut self.kept.held
            && let Some(Serialized { key, value }) = held.serialized.take()
        {
            let fields = Fields::of(self.record, key.as_deref(), value.as_deref());
            let result = append(inner, held, entry, &fields, moment, waits);
            held.serialized = Some(Serialized { key, value });
            return result;
        }
        let ProducerRecord { topic, headers, partition, timestamp, key, value } = &mut *self.record;
        let (partition, timestamp) = (*partition, *timestamp);
        let key = serialize("key", &*inner.key_serializer, topic, headers, key.as_ref(), &mut scratch.key)?;
        let value =
            serialize("value", &*inner.value_serializer, topic, headers, value.as_ref(), &mut scratch.value)?;
        if !waits.are_some() {
            let timestamp = timestamp.unwrap_or(moment.millis);
            let record = RecordRef { timestamp, key, value, headers };
            if let Some(delivery) = append_at_once(inner, entry, partition, &record, moment) {
                return Ok(delivery);
            }
        }
        let fields = Fields { topic, headers, partition, timestamp, key, value };
        let mut held = self.kept.held.take().map_or_else(Held::default, |held| *held);
        let result = append(inner, &mut held, entry, &fields, moment, waits);
        if result.is_err() {
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            held.serialized = Some(Serialized { key: owned(key), value: owned(value) });
            self.kept.held = Some(Box::new(held));
            self.kept.called_at = Some(moment.millis);
        }
        result
    }
}

/// A record with its key and value serialized.
struct Fields<'a> {
    topic: &'a Topic,
    headers: &'a Headers,
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    #[inline]
    fn record(&self, moment: Moment) -> RecordRef<'a> {
        let Self { headers, key, value, .. } = *self;
        RecordRef { timestamp: self.timestamp.unwrap_or(moment.millis), key, value, headers }
    }

    fn of<K, V>(record: &'a ProducerRecord<K, V>, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        let ProducerRecord { topic, headers, partition, timestamp, .. } = record;
        Self { topic, headers, partition: *partition, timestamp: *timestamp, key, value }
    }
}

#[inline]
fn serialize<'b, T: 'static>(
    part: &'static str,
    serializer: &dyn Serializer<T>,
    topic: &Topic,
    headers: &mut Headers,
    data: Option<&'b T>,
    scratch: &'b mut Vec<u8>,
) -> Result<Option<&'b [u8]>, Stop> {
    let Some(data) = data else { return Ok(None) };
    scratch.clear();
    match serializer.serialize(topic, headers, data, scratch) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) => {
            let source = Arc::from(source);
            Err(Stop::refused(SendErrorKind::Serialization { topic: topic.clone(), part, source }))
        }
    }
}

/// Appends a record if its partition is plain and there is nothing to do beside: nearly every record.
#[inline]
fn append_at_once<K, V>(
    inner: &Inner<K, V>,
    entry: &TopicEntry,
    partition: Option<i32>,
    record: &RecordRef<'_>,
    moment: Moment,
) -> Option<Delivery> {
    let (partition, is_free) = match (partition, record.key) {
        _ if inner.partitioner.is_some() => return None,
        (Some(partition), _) => (usize::try_from(partition).ok()?, false),
        (None, Some(key)) if !inner.settings.partitioner_ignore_keys => {
            (usize::try_from(partition_for_key(key, entry.partition_count)?).ok()?, false)
        }
        (None, _) => (entry.sticky.current(entry.partition_count)?, true),
    };
    let payload_len = record.payload_len();
    if RecordRef::upper_bound(payload_len) > inner.largest_record {
        return None;
    }
    let queue = entry.queues.queue(partition).filter(|_| partition < entry.partition_count)?;
    entry.queues.touch(moment.seconds);
    queue.append_at_once(record, payload_len, moment.now, is_free, inner.accumulator.settings())
}

/// Finds a partition for a record and appends it there.
#[cold]
#[inline(never)]
fn append<K, V>(
    inner: &Inner<K, V>,
    held: &mut Held,
    entry: &TopicEntry,
    fields: &Fields<'_>,
    moment: Moment,
    waits: EnqueueWaits,
) -> Result<Delivery, Stop> {
    let fixed = fixed_partition(inner, held, entry, fields)?;
    let record = fields.record(moment);
    let payload_len = record.payload_len();
    inner.check_size(RecordRef::upper_bound(payload_len)).map_err(Stop::refused)?;
    entry.queues.touch(moment.seconds);
    if fixed.is_none() {
        count_what_went_at_once(inner, entry, fields.topic).ok_or(Stop::TopicUnknown)?;
    }
    // A new batch counts its age from here, by the precise clock.
    let append = Append { record, payload_len, waits, now: clock::now(), stop_at_boundary: fixed.is_none() };
    append_step_by_step(inner, held, entry, append, fixed, fields.topic)
}

/// Tells the sticky partitioner of the records that needed no attention. A queue that has run empty is as good a place
/// to move on as the end of a batch.
fn count_what_went_at_once<K, V>(inner: &Inner<K, V>, entry: &TopicEntry, topic: &Topic) -> Option<()> {
    let next = || inner.next_partition(entry, topic);
    let partition = sticky_partition(entry, next)?;
    if partition >= entry.queues.len() {
        return None;
    }
    let queue = entry.queues.queue(partition);
    let (bytes, is_empty) = queue.map_or((0, true), |queue| queue.take_uncounted());
    entry.sticky.appended(to_i32(partition), to_u32(bytes), is_empty, next);
    Some(())
}

/// Appends a record that begins a batch or ends one, or whose partition takes none at the moment.
fn append_step_by_step<K, V>(
    inner: &Inner<K, V>,
    held: &mut Held,
    entry: &TopicEntry,
    mut append: Append<'_>,
    fixed: Option<usize>,
    topic: &Topic,
) -> Result<Delivery, Stop> {
    let next = || inner.next_partition(entry, topic);
    let mut offered = held.offered.take();
    if fixed.is_none() && (offered.is_some() || entry.queues.memory().is_waited_for()) {
        append.stop_at_boundary = false;
        if let Some(delivery) = append_among_waiters(inner, held, entry, &append, offered, next)? {
            return Ok(delivery);
        }
    }
    let mut tries_left = entry.partition_count;
    let mut has_moved = false;
    loop {
        let partition = match fixed.or(offered) {
            Some(partition) => partition,
            None => sticky_partition(entry, next).ok_or(Stop::TopicUnknown)?,
        };
        let queue = inner.ensure_queue(entry, partition)?;
        match inner.accumulator.try_append(queue, &append, &mut held.spare) {
            TryAppend::BatchEnded => {
                // The place to move on to another partition; once, then the record goes where it may.
                append.stop_at_boundary = false;
                entry.sticky.still_on(to_i32(partition), true, next);
            }
            TryAppend::Closed => return Err(Stop::refused(inner.end())),
            TryAppend::Retired => return Err(Stop::Retired),
            TryAppend::Done(done) => {
                if fixed.is_none() {
                    entry.sticky.appended(to_i32(partition), to_u32(done.bytes), false, next);
                }
                return Ok(done.delivery);
            }
            TryAppend::NoMemory { least } if fixed.is_some() || has_moved => {
                return Err(no_memory(entry, queue, fixed.is_none(), least));
            }
            TryAppend::NoMemory { least } => {
                // Another partition may have some left.
                has_moved = true;
                let Some(elsewhere) = inner.partition_with_memory(entry, topic, least) else { continue };
                entry.sticky.appended(to_i32(partition), u32::MAX, true, || Some(elsewhere));
            }
            TryAppend::Stopped => {
                // Any other partition will do, and partitions may stop while we look for one.
                let elsewhere =
                    inner.open_partition(entry, topic).filter(|_| fixed.is_none() && tries_left > 0);
                let Some(elsewhere) = elsewhere else {
                    let (topic, partition) = (topic.clone(), to_i32(partition));
                    return Err(Stop::refused(SendErrorKind::Stopped { topic, partition }));
                };
                tries_left -= 1;
                // Memory for this one is not for another.
                (offered, held.spare) = (None, None);
                entry.sticky.appended(to_i32(partition), u32::MAX, true, || Some(elsewhere));
            }
        }
    }
}

/// Appends a record that may go anywhere while others wait for memory, or that has got some.
///
/// It joins a batch that is open, if there is room: many that have waited then share one, and memory that is not needed goes
/// to the next in line. Else it goes where it was offered memory, and takes those behind it there; or it must wait, too.
fn append_among_waiters<K, V>(
    inner: &Inner<K, V>,
    held: &mut Held,
    entry: &TopicEntry,
    append: &Append<'_>,
    offered: Option<usize>,
    next: impl Fn() -> Option<i32>,
) -> Result<Option<Delivery>, Stop> {
    let partition = sticky_partition(entry, &next).ok_or(Stop::TopicUnknown)?;
    let queue = inner.ensure_queue(entry, partition)?;
    if let Some(done) = inner.accumulator.append_to_open(queue, append) {
        held.spare = None;
        entry.sticky.appended(to_i32(partition), to_u32(done.bytes), false, next);
        return Ok(Some(done.delivery));
    }
    let least = RecordRef::upper_bound(append.payload_len);
    let offered = offered.ok_or_else(|| no_memory(entry, queue, true, least))?;
    entry.sticky.appended(to_i32(partition), u32::MAX, true, || Some(to_i32(offered)));
    Ok(None)
}

/// Says for what memory a record must wait. If it may go anywhere it waits for no partition: that may be the one that gives
/// nothing back.
fn no_memory(entry: &TopicEntry, queue: &Arc<PartitionQueue>, may_go_anywhere: bool, least: usize) -> Stop {
    let anywhere = (may_go_anywhere && entry.partition_count > 1).then(|| Arc::clone(&entry.queues));
    Stop::NoMemory { queue: Arc::clone(queue), anywhere, least }
}

/// Returns the partition if the record, the user's partitioner or the key decides it.
fn fixed_partition<K, V>(
    inner: &Inner<K, V>,
    held: &mut Held,
    entry: &TopicEntry,
    fields: &Fields<'_>,
) -> Result<Option<usize>, Stop> {
    if let Some(partition) = fields.partition {
        let partition =
            usize::try_from(partition).ok().filter(|partition| *partition < entry.partition_count);
        return partition.map(Some).ok_or(Stop::TopicUnknown);
    }
    if inner.partitioner.is_some() {
        return custom_partition(inner, held, entry, fields).map(Some);
    }
    match fields.key.filter(|_| !inner.settings.partitioner_ignore_keys) {
        Some(key) => {
            let partition = partition_for_key(key, entry.partition_count);
            Ok(partition.and_then(|partition| usize::try_from(partition).ok()))
        }
        None => Ok(None),
    }
}

fn custom_partition<K, V>(
    inner: &Inner<K, V>,
    held: &mut Held,
    entry: &TopicEntry,
    fields: &Fields<'_>,
) -> Result<usize, Stop> {
    if let Some(chosen) = held.chosen {
        return Ok(chosen);
    }
    let Some(partitioner) = &inner.partitioner else { return Err(Stop::TopicUnknown) };
    let cluster = Arc::clone(&inner.clusters.borrow());
    let record = PartitionerRecord::new(fields.topic, fields.key, fields.value, fields.headers);
    let topic = || fields.topic.clone();
    let partition = partitioner.partition(&record, &cluster).map_err(|source| {
        Stop::refused(SendErrorKind::Partitioner { topic: topic(), source: Arc::from(source) })
    })?;
    let chosen = usize::try_from(partition).ok().filter(|chosen| *chosen < entry.partition_count);
    held.chosen = chosen;
    chosen.ok_or_else(|| {
        let partition_count = entry.partition_count;
        Stop::refused(SendErrorKind::PartitionOutOfRange { topic: topic(), partition, partition_count })
    })
}

fn sticky_partition(entry: &TopicEntry, next: impl FnOnce() -> Option<i32>) -> Option<usize> {
    entry.sticky.peek(entry.partition_count, next).and_then(|partition| usize::try_from(partition).ok())
}

impl<K, V> Inner<K, V> {
    /// Returns the queue of a partition, which is made for the first record.
    fn ensure_queue<'t>(
        &self,
        entry: &'t TopicEntry,
        partition: usize,
    ) -> Result<&'t Arc<PartitionQueue>, Stop> {
        let queues = &entry.queues;
        let has_leader = || {
            let cluster = self.clusters.borrow();
            cluster.available_partitions(queues.topic()).binary_search(&to_i32(partition)).is_ok()
        };
        self.accumulator.ensure_queue(queues, partition, has_leader).ok_or_else(|| {
            match queues.is_retired() {
                true => Stop::Retired,
                false => Stop::TopicUnknown,
            }
        })
    }

    fn check_size(&self, size: usize) -> Result<(), SendErrorKind> {
        if size <= self.largest_record {
            return Ok(());
        }
        let limits = [
            ("max.request.size", self.settings.max_request_size),
            ("buffer.memory", self.settings.buffer_memory),
        ];
        match limits.into_iter().find(|(_, limit)| size > *limit) {
            Some((setting, limit)) => Err(SendErrorKind::TooLarge { size, limit, setting }),
            None => Ok(()),
        }
    }

    /// Returns the topic's entry as of the cluster that is published now; `None` if the topic is not in it.
    #[inline]
    fn topic<'t>(&self, topic: &Topic, recent: &'t mut RecentTopics) -> Option<&'t TopicEntry> {
        let version = self.control.cluster_version();
        if !recent.holds(self.id, topic, version) {
            self.remember_topic(topic, version, recent)?;
        }
        recent.get(topic)
    }

    #[cold]
    fn remember_topic(&self, topic: &Topic, version: u64, recent: &mut RecentTopics) -> Option<()> {
        let entry = self.topics.current(topic, version).or_else(|| self.refresh_topic(topic))?;
        recent.insert(self.id, topic, entry);
        Some(())
    }

    fn refresh_topic(&self, topic: &Topic) -> Option<Arc<TopicEntry>> {
        let cluster = Arc::clone(&self.clusters.borrow());
        let partition_count = cluster.partition_count(topic).filter(|count| *count > 0)?;
        let known = self.topics.get(topic);
        let sticky = known.map_or_else(|| self.new_sticky(), |known| Arc::clone(&known.sticky));
        let queues = self.accumulator.topic(topic, partition_count);
        let entry = Arc::new(TopicEntry {
            queues,
            partition_count,
            sticky,
            loads: RecentLoads::default(),
            version: cluster.version(),
        });
        self.topics.insert(topic.clone(), Arc::clone(&entry));
        Some(entry)
    }

    fn new_sticky(&self) -> Arc<crate::pipeline::StickyPartitioner> {
        let batch_size = u32::try_from(self.settings.batch_size).unwrap_or(u32::MAX);
        Arc::new(crate::pipeline::StickyPartitioner::new(batch_size))
    }
}

fn to_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

pub(super) fn to_i32(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
