//! [`TopicHandle::enqueue_all`] and [`KafkaProducer::send_all`]: many records at a time, with one lock for those that follow each other in
//! one partition.
//!
//! The records go the same way as one does alone, in chunks. Serializers and partitioners are called before the lock of a partition is
//! taken. A record that cannot go on at once ends its chunk and waits alone.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::StreamExt;
use tokio::task::coop;

use crate::accumulator::NO_TRANSACTION;
use crate::clock::RecordTime;
use crate::delivery::{Deliveries, Delivery, Place, RecordMetadata};
use crate::error::SendError;
use crate::pipeline::Route;
use crate::producer::caller::{Caller, HandleId, Scratch};
use crate::producer::fields::{Fields, Parts};
use crate::producer::topics::TopicEntry;
use crate::producer::walk::{Kept, Routed, Stop, Walk};
use crate::producer::{Enqueue, Face, KafkaProducer, ProducerCore, TimeLimit, TopicHandle};
use crate::protocol::record_batch::RecordRef;
use crate::record::{Headers, ProducerRecord};
use crate::topic_partition::Topic;

/// A record as [`TopicHandle::enqueue_all`] borrows it: a key and a value.
///
/// Values alone are records with a null key. Of pairs, the first is the key; both may be `Option`s, of which `None` is null. You may
/// implement this for types of your own.
pub trait AsRecord<K, V> {
    /// Returns the key; `None` is null.
    fn key(&self) -> Option<&K>;

    /// Returns the value; `None` is null.
    fn value(&self) -> Option<&V>;
}

/// Implements it for values alone, and for pairs of what is there and what may be.
macro_rules! as_record {
    ($type:ty, $record:ident => $key:expr, $value:expr) => {
        impl<K, V> AsRecord<K, V> for $type {
            #[inline]
            fn key(&self) -> Option<&K> {
                let $record = self;
                $key
            }

            #[inline]
            fn value(&self) -> Option<&V> {
                let $record = self;
                $value
            }
        }
    };
}

as_record!(V, _value => None, Some(_value));
as_record!((K, V), record => Some(&record.0), Some(&record.1));
as_record!((Option<K>, V), record => record.0.as_ref(), Some(&record.1));
as_record!((K, Option<V>), record => Some(&record.0), record.1.as_ref());
as_record!((Option<K>, Option<V>), record => record.0.as_ref(), record.1.as_ref());

/// The most records that are serialized before the first of them is appended.
const CHUNK: usize = 64;

/// How many records to serialize before the first of them is appended. What is serialized and not appended was done in vain, and a
/// record's timestamp is that of the beginning.
#[derive(Debug)]
struct Pace(usize);

impl Pace {
    const FIRST: Self = Self(8);

    /// Notes how long a chunk took, and whether one of its records has to wait.
    fn note(&mut self, took: Duration, has_stopped: bool) {
        self.0 = if has_stopped || took > LONG { 1 } else { (2 * self.0).min(CHUNK) };
    }
}

/// Serializers that take so long for a chunk are asked for less at a time.
const LONG: Duration = Duration::from_millis(1);

/// What became of a chunk.
struct Chunk {
    /// Records that were appended: the first ones.
    accepted: usize,
    /// Why the next one was not, unless the chunk ended with it.
    stopped: Option<(Kept, Stop)>,
    took: Duration,
}

impl Chunk {
    /// None of its records may go the short way.
    const NONE: Self = Self { accepted: 0, stopped: None, took: Duration::ZERO };
}

impl<K, V> TopicHandle<K, V>
where
    K: Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Hands records over in their order, and returns once the producer has accepted all of them. Their pending results go to
    /// `deliveries`.
    ///
    /// This is the fastest way to send many records. Records that follow each other and go to one partition, as those without keys do,
    /// take one lock together and need no [`Delivery`] each. Give it slices of some hundred records or more. Records are values, or pairs
    /// of key and value: see [`AsRecord`].
    ///
    /// It waits for the topic's metadata and for memory as [`enqueue`](Self::enqueue) does, for at most `max.block.ms` with each record that
    /// has to wait. Up to 64 records bear the time at which the first of them was serialized. When a record has to wait, the producer may call the serializers and the partitioner once more for records behind it.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future early, the records that were accepted by then are sent, and the others are not. As many results were added to
    /// `deliveries` as records were accepted: the first ones.
    ///
    /// # Errors
    ///
    /// The first record that was not accepted; a clone of it comes back in the error. The records before it were accepted, and those behind
    /// it were not tried. `deliveries` tells how many they are, as above.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use kafka_producer::Deliveries;
    ///
    /// let lines = producer.with_types::<String, String>().topic("lines");
    /// let records: Vec<(String, String)> =
    ///     (0..1000).map(|number| (format!("key-{number}"), format!("line {number}"))).collect();
    ///
    /// let mut deliveries = Deliveries::new();
    /// lines.enqueue_all(&records, &mut deliveries).await?;
    /// deliveries.settle(0).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`Delivery`]: crate::Delivery
    pub async fn enqueue_all<R: AsRecord<K, V> + Sync>(
        &self,
        records: &[R],
        deliveries: &mut Deliveries,
    ) -> Result<(), SendError<K, V>> {
        let (mut rest, mut pace) = (records, Pace::FIRST);
        while !rest.is_empty() {
            give_way().await;
            let mut headers = [const { Headers::new() }; CHUNK];
            let chunk = rest.get(..pace.0).unwrap_or(rest);
            let Chunk { accepted, stopped, took } = self.append_chunk(chunk, &mut headers, deliveries);
            tell_runtime(accepted);
            pace.note(took, stopped.is_some());
            rest = rest.get(accepted..).unwrap_or_default();
            let Some(next) = rest.first().filter(|_| stopped.is_some() || accepted == 0) else { continue };
            let lent = self.lent(next.key(), next.value());
            let delivery = match stopped {
                None => Enqueue::new(self.producer(), lent, None).await?,
                Some((kept, stop)) => {
                    let mut record = lent.into_record();
                    record.headers = headers.get_mut(accepted).map(std::mem::take).unwrap_or_default();
                    self.producer().enqueue_stopped(record, kept, stop).await?
                }
            };
            deliveries.push(delivery);
            rest = rest.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    /// Appends records up to the first that has to wait or is refused.
    fn append_chunk<R: AsRecord<K, V>>(
        &self,
        records: &[R],
        headers: &mut [Headers; CHUNK],
        deliveries: &mut Deliveries,
    ) -> Chunk {
        if self.producer().core.check(&self.lent(None, None)).is_some() {
            return Chunk::NONE;
        }
        let parts = records.iter().zip(headers).map(|(record, headers)| Parts {
            topic: self.topic(),
            headers,
            timestamp: None,
            key: record.key(),
            value: record.value(),
        });
        self.producer().append_parts((Some(self.id), self.topic()), parts, &[], deliveries)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Sends records in their order and waits for all of them; the results are in the same order.
    ///
    /// Records that follow each other and are for one topic are handed over together. When a record has to wait, the producer may call the
    /// serializers and the partitioner once more for records behind it.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future early, the records that were accepted by then are sent and the others are not.
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = ProducerRecord<K, V>>,
    ) -> Vec<Result<RecordMetadata, SendError<K, V>>> {
        let mut records = records.into_iter();
        let (mut queue, mut sent, mut pace) = (VecDeque::with_capacity(CHUNK), Sent::new(), Pace::FIRST);
        loop {
            queue.extend(records.by_ref().take(pace.0.saturating_sub(queue.len())));
            if queue.is_empty() {
                return sent.results().await;
            }
            give_way().await;
            let fit = queue.len().min(pace.0);
            let records = queue.make_contiguous().get_mut(..fit).unwrap_or_default();
            let Chunk { accepted, stopped, took } = self.append_records(records, &mut sent.deliveries);
            tell_runtime(accepted);
            pace.note(took, stopped.is_some());
            queue.drain(..accepted);
            if (stopped.is_some() || accepted == 0)
                && let Some(record) = queue.pop_front()
            {
                sent.note(match stopped {
                    None => self.enqueue(record).await,
                    Some((kept, stop)) => self.enqueue_stopped(record, kept, stop).await,
                });
            }
        }
    }

    /// Appends records for the topic of the first of them, up to the first that has to wait or is refused.
    fn append_records(&self, records: &mut [ProducerRecord<K, V>], deliveries: &mut Deliveries) -> Chunk {
        let core = &*self.core;
        let Some(topic) = records.first().map(|first| first.topic.clone()) else { return Chunk::NONE };
        let is_fit = |record: &ProducerRecord<K, V>| record.topic.is(&topic) && core.check(record).is_none();
        let fit = records.iter().take_while(|record| is_fit(record)).count();
        let records = records.get_mut(..fit).unwrap_or_default();
        let (mut own_headers, mut named) = ([0; CHUNK], [None; CHUNK]);
        for ((record, own_headers), named) in records.iter().zip(&mut own_headers).zip(&mut named) {
            (*own_headers, *named) = (record.headers.len(), record.partition);
        }
        let parts = records.iter_mut().map(Fields::parts);
        let mut chunk = self.append_parts((None, &topic), parts, &named, deliveries);
        let mut first_anew = chunk.accepted;
        if let Some((kept, _)) = &mut chunk.stopped {
            kept.set_own_headers(own_headers.get(chunk.accepted).copied().unwrap_or_default());
            first_anew += 1;
        }
        // The others are serialized once more.
        for (record, own_headers) in records.iter_mut().zip(own_headers).skip(first_anew) {
            record.headers.truncate(own_headers);
        }
        chunk
    }

    /// Appends records, given by their parts and the partitions that they name, up to the first that has to wait or is refused.
    fn append_parts<'b>(
        &self,
        (handle, topic): (Option<HandleId>, &Topic),
        parts: impl Iterator<Item = Parts<'b, K, V>>,
        named: &[Option<i32>],
        deliveries: &mut Deliveries,
    ) -> Chunk {
        let (core, face) = (&*self.core, &*self.face);
        if face.observer.is_some() {
            return Chunk::NONE;
        }
        let appended = Caller::with(|caller| {
            let Caller { topics, stopwatch, scratches, .. } = caller;
            let called_at = *stopwatch.moment(core.id, &core.wall_clock);
            let topic = match handle {
                Some(handle) => core.know_topic_of(handle, topic, topics),
                None => core.know_topic(topic, topics),
            };
            let mut kept = Kept::NONE;
            let Some(topic) = topic else {
                let stop = kept.stop(&called_at, None);
                return Chunk { accepted: 0, stopped: Some((kept, stop)), took: Duration::ZERO };
            };
            scratches.resize_with(CHUNK, Scratch::default);
            let (mut chunk, mut stop) = ([RecordRef::NULL; CHUNK], None);
            let most = core.accumulator.settings().batch_size;
            let serialized = face.serialize_chunk(parts, &called_at, scratches, most, &mut chunk, &mut stop);
            let chunk = chunk.get(..serialized).unwrap_or_default();
            // Serializers may have taken their time.
            let moment =
                RecordTime { millis: called_at.millis, ..*stopwatch.moment(core.id, &core.wall_clock) };
            let mut burst = Burst { core, topic, chunk, named, moment: &moment };
            let (accepted, place_stop) = burst.append(&mut kept, deliveries);
            let stop = place_stop.or_else(|| stop.filter(|_| accepted == serialized));
            scratches.iter_mut().take(serialized).for_each(Scratch::trim_in_chunk);
            let took = moment.now.saturating_duration_since(called_at.now);
            Chunk { accepted, stopped: stop.map(|stop| (kept, stop)), took }
        });
        appended.unwrap_or(Chunk::NONE)
    }

    /// Goes on with a record that has stopped.
    async fn enqueue_stopped(
        &self,
        mut record: ProducerRecord<K, V>,
        kept: Kept,
        stop: Stop,
    ) -> Result<Delivery, SendError<K, V>> {
        if let Stop::Refused(kind) = stop {
            return Err(Walk::resume(self, &mut record, kept, NO_TRANSACTION).refuse(*kind));
        }
        Box::pin(self.enqueue_waiting(record, kept, None, Some(stop), TimeLimit::MaxBlock)).await
    }
}

/// What has become of the records of a call, in their order.
struct Sent<K, V> {
    /// Of those that were accepted.
    deliveries: Deliveries,
    /// The others, with how many records there were before each.
    refused: VecDeque<(usize, SendError<K, V>)>,
}

impl<K, V> Sent<K, V> {
    fn new() -> Self {
        Self { deliveries: Deliveries::new(), refused: VecDeque::new() }
    }

    fn note(&mut self, accepted: Result<Delivery, SendError<K, V>>) {
        match accepted {
            Ok(delivery) => self.deliveries.push(delivery),
            Err(error) => self.refused.push_back((self.deliveries.len() + self.refused.len(), error)),
        }
    }

    async fn results(mut self) -> Vec<Result<RecordMetadata, SendError<K, V>>> {
        let mut results = Vec::with_capacity(self.deliveries.len() + self.refused.len());
        loop {
            let at = results.len();
            if self.refused.front().is_some_and(|(place, _)| *place == at)
                && let Some((_, error)) = self.refused.pop_front()
            {
                results.push(Err(error));
            } else if let Some(result) = self.deliveries.next().await {
                results.push(result.map_err(SendError::from));
            } else {
                return results;
            }
        }
    }
}

/// Lets other tasks run first, if it is time for that.
async fn give_way() {
    if !coop::has_budget_remaining() {
        drop(std::future::poll_fn(coop::poll_proceed).await);
    }
}

/// Tells the runtime of records.
fn tell_runtime(records: usize) {
    for _ in 0..records.div_ceil(RECORDS_PER_BUDGET_UNIT) {
        if let Poll::Ready(budget) = coop::poll_proceed(&mut Context::from_waker(Waker::noop())) {
            budget.made_progress();
        }
    }
}

/// Half as many as of records that are sent alone, which take more than twice as long.
const RECORDS_PER_BUDGET_UNIT: usize = 16;

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Face<K, V> {
    /// Serializes records up to the first for which that fails, and of `most` bytes, but for the last of them. Returns how many.
    fn serialize_chunk<'b: 's, 's>(
        &self,
        records: impl Iterator<Item = Parts<'b, K, V>>,
        moment: &RecordTime,
        scratches: &'s mut [Scratch],
        most: usize,
        chunk: &mut [RecordRef<'s>; CHUNK],
        stop: &mut Option<Stop>,
    ) -> usize {
        let (mut serialized, mut bytes) = (0, 0);
        for ((record, scratch), place) in records.zip(scratches).zip(chunk) {
            let Some(record) = self.serialize(record, moment, scratch, stop) else { break };
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            *place = record;
            serialized += 1;
            if bytes >= most {
                break;
            }
        }
        serialized
    }
}

/// Serialized records on their way to their batches.
struct Burst<'a> {
    core: &'a ProducerCore,
    topic: &'a TopicEntry,
    chunk: &'a [RecordRef<'a>],
    /// The partitions that they name. Shorter if those behind name none.
    named: &'a [Option<i32>],
    moment: &'a RecordTime,
}

impl Burst<'_> {
    /// Appends them in their order, up to the first that has to wait or is refused. Returns how many were appended, and what stopped the next.
    fn append(&mut self, kept: &mut Kept, deliveries: &mut Deliveries) -> (usize, Option<Stop>) {
        let (mut at, mut stop, mut known) = (0, None, None);
        while at < self.chunk.len() {
            let route = match known.take().filter(|(place, _)| *place == at) {
                Some((_, route)) => Some(route),
                None => self.route_of(at, kept, &mut stop),
            };
            let Some(route) = route else { break };
            let (end, next) = self.end_of_run(at, route);
            known = next.map(|next| (end, next));
            let run = self.chunk.get(at..end).unwrap_or_default();
            let joined = self.join(route, run, deliveries);
            at += joined;
            // The one that is next in the run may need a batch of its own.
            if let Some(record) = run.get(joined) {
                let Self { core, topic, moment, .. } = *self;
                let routed = Routed { topic, record: *record, route, transaction: NO_TRANSACTION, moment };
                let Some(Place { cell, index }) = routed.place(core, None, kept, &mut stop) else { break };
                deliveries.push_run(&cell, index, 1);
                at += 1;
            }
        }
        (at, stop)
    }

    fn route_of(&self, at: usize, kept: &mut Kept, stop: &mut Option<Stop>) -> Option<Route> {
        let record = self.chunk.get(at)?;
        let named = self.named_by(at);
        let usual = self.core.routing.usual_route(record.key, named, &self.topic.routes);
        usual.or_else(|| self.core.route(self.topic, record, named, kept, self.moment, stop))
    }

    /// Returns where the records end that begin at `at` and go where the first of them does, and where the one behind them goes if that is
    /// for sure.
    fn end_of_run(&self, at: usize, route: Route) -> (usize, Option<Route>) {
        let routing = &self.core.routing;
        for (place, record) in self.chunk.iter().enumerate().skip(at + 1) {
            let named = self.named_by(place);
            if route.is_free() {
                if named.is_some() || !routing.is_free(record.key) {
                    return (place, None);
                }
                continue;
            }
            let next = routing.usual_route(record.key, named, &self.topic.routes);
            if next != Some(route) {
                return (place, next.filter(|next| !next.is_free()));
            }
        }
        (self.chunk.len(), None)
    }

    fn named_by(&self, at: usize) -> Option<i32> {
        self.named.get(at).copied().flatten()
    }

    /// Appends records to the open batch of their partition as long as it has room for them and nothing is to be done beside. Returns
    /// how many.
    fn join(&self, route: Route, run: &[RecordRef<'_>], deliveries: &mut Deliveries) -> usize {
        let Some(queue) = self.topic.queues.queue(route.partition()) else { return 0 };
        self.topic.queues.touch(self.moment.seconds);
        let terms = self.core.join_terms(route, NO_TRANSACTION, self.moment);
        let Some((cell, first, count)) = queue.join_all_quietly(run, &terms) else { return 0 };
        deliveries.push_run(&cell, first, count);
        count as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_until_a_record_waits_or_serializers_take_long() {
        let mut pace = Pace::FIRST;
        let mut sizes = Vec::new();
        for (took, has_stopped) in
            [(0, false), (0, false), (1, false), (1, false), (0, true), (0, false), (2, false)]
        {
            sizes.push(pace.0);
            pace.note(Duration::from_millis(took), has_stopped);
        }

        assert_eq!(sizes, [8, 16, 32, 64, 64, 1, 2]);
        assert_eq!(pace.0, 1);
    }
}
