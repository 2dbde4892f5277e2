//! [`TopicHandle::enqueue_all`] and [`KafkaProducer::send_all`]: many records at a time, with one lock for each batch.
//!
//! The records go the same way as one does alone, in chunks. Serializers and partitioners are called before the lock of a partition is
//! taken. A record that cannot go on at once ends its chunk and waits alone.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use tokio::task::coop;

use crate::accumulator::NO_TRANSACTION;
use crate::clock::RecordTime;
use crate::delivery::{Deliveries, Delivery, RecordMetadata};
use crate::error::SendError;
use crate::pipeline::Route;
use crate::producer::caller::{Caller, HandleId, Scratch};
use crate::producer::fields::{Fields, Parts};
use crate::producer::topics::TopicEntry;
use crate::producer::walk::{Kept, Routed};
use crate::producer::{Enqueue, Face, KafkaProducer, ProducerCore, TopicHandle};
use crate::protocol::record_batch::RecordRef;
use crate::record::{Headers, ProducerRecord};
use crate::topic_partition::Topic;

/// A key and a value that [`TopicHandle::enqueue_all`] borrows.
///
/// Values alone are records with a null key. Of pairs, the first is the key; `Option`s in a pair may be null. You may implement this for
/// types of your own.
pub trait KeyValue<K, V> {
    /// Returns the key; `None` is null.
    fn key(&self) -> Option<&K>;

    /// Returns the value; `None` is null.
    fn value(&self) -> Option<&V>;
}

impl<K, V> KeyValue<K, V> for V {
    #[inline]
    fn key(&self) -> Option<&K> {
        None
    }

    #[inline]
    fn value(&self) -> Option<&V> {
        Some(self)
    }
}

impl<K, V> KeyValue<K, V> for (K, V) {
    #[inline]
    fn key(&self) -> Option<&K> {
        Some(&self.0)
    }

    #[inline]
    fn value(&self) -> Option<&V> {
        Some(&self.1)
    }
}

impl<K, V> KeyValue<K, V> for (Option<K>, V) {
    #[inline]
    fn key(&self) -> Option<&K> {
        self.0.as_ref()
    }

    #[inline]
    fn value(&self) -> Option<&V> {
        Some(&self.1)
    }
}

impl<K, V> KeyValue<K, V> for (Option<K>, Option<V>) {
    #[inline]
    fn key(&self) -> Option<&K> {
        self.0.as_ref()
    }

    #[inline]
    fn value(&self) -> Option<&V> {
        self.1.as_ref()
    }
}

/// Records that are serialized before the first of them is appended.
pub(super) const CHUNK: usize = 64;

impl<K, V> TopicHandle<K, V>
where
    K: Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Hands records over in their order, and returns once the producer has accepted all of them. Their pending results go to
    /// `deliveries`.
    ///
    /// This is the fastest way to send many records: it takes one lock for many of them, and none of them needs a [`Delivery`] of its own. Give it
    /// slices of some hundred records or more. Records are values, or pairs of key and value: see [`KeyValue`].
    ///
    /// It waits for the topic's metadata and for memory as [`enqueue`](Self::enqueue) does, for at most `max.block.ms` with each record that
    /// has to wait. The producer may call a serializer once more for a record that has to wait.
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
    pub async fn enqueue_all<R: KeyValue<K, V> + Sync>(
        &self,
        records: &[R],
        deliveries: &mut Deliveries,
    ) -> Result<(), SendError<K, V>> {
        let mut rest = records;
        while let Some(next) = rest.first() {
            if !coop::has_budget_remaining() {
                drop(std::future::poll_fn(coop::poll_proceed).await);
            }
            let chunk = rest.get(..CHUNK).unwrap_or(rest);
            let accepted = self.append_chunk(chunk, deliveries);
            tell_runtime();
            rest = rest.get(accepted..).unwrap_or_default();
            if accepted == 0 {
                let lent = self.lent(next.key(), next.value());
                deliveries.push(Enqueue::new(self.producer(), lent, None).await?);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Appends records as long as that needs no waiting. Returns how many were appended.
    fn append_chunk<R: KeyValue<K, V>>(&self, records: &[R], deliveries: &mut Deliveries) -> usize {
        let core = &*self.producer().core;
        if core.check(&self.lent(None, None)).is_some() {
            return 0;
        }
        let mut headers = [const { Headers::new() }; CHUNK];
        let parts = records.iter().zip(&mut headers).map(|(record, headers)| Parts {
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
    /// Records that follow each other and are for one topic are handed over together. The producer may call a serializer once more for a
    /// record that has to wait.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future early, the records that were accepted by then are sent and the others are not.
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = ProducerRecord<K, V>>,
    ) -> Vec<Result<RecordMetadata, SendError<K, V>>> {
        let mut records = records.into_iter();
        let (mut chunk, mut sent) = (VecDeque::with_capacity(CHUNK), Sent::new());
        loop {
            chunk.extend(records.by_ref().take(CHUNK - chunk.len()));
            if chunk.is_empty() {
                return sent.results().await;
            }
            if !coop::has_budget_remaining() {
                drop(std::future::poll_fn(coop::poll_proceed).await);
            }
            let accepted = self.append_records(chunk.make_contiguous(), &mut sent.deliveries);
            tell_runtime();
            chunk.drain(..accepted);
            if accepted == 0
                && let Some(record) = chunk.pop_front()
            {
                sent.note(self.enqueue(record).await);
            }
        }
    }

    /// Appends records for the topic of the first of them, as long as that needs no waiting. Returns how many were appended.
    fn append_records(&self, records: &mut [ProducerRecord<K, V>], deliveries: &mut Deliveries) -> usize {
        let core = &*self.core;
        let Some(topic) = records.first().map(|first| first.topic.clone()) else { return 0 };
        let is_fit = |record: &ProducerRecord<K, V>| record.topic.is(&topic) && core.check(record).is_none();
        let fit = records.iter().take_while(|record| is_fit(record)).count();
        let records = records.get_mut(..fit).unwrap_or_default();
        let (mut own_headers, mut named) = ([0; CHUNK], [None; CHUNK]);
        for ((record, own_headers), named) in records.iter().zip(&mut own_headers).zip(&mut named) {
            (*own_headers, *named) = (record.headers.len(), record.partition);
        }
        let parts = records.iter_mut().map(Fields::parts);
        let accepted = self.append_parts((None, &topic), parts, &named, deliveries);
        // The others are serialized once more.
        for (record, own_headers) in records.iter_mut().zip(own_headers).skip(accepted) {
            record.headers.truncate(own_headers);
        }
        accepted
    }

    /// Appends records, given by their parts and the partitions that they name, as long as that needs no waiting. Returns how many
    /// were appended.
    fn append_parts<'b>(
        &self,
        (handle, topic): (Option<HandleId>, &Topic),
        parts: impl Iterator<Item = Parts<'b, K, V>>,
        named: &[Option<i32>],
        deliveries: &mut Deliveries,
    ) -> usize {
        let (core, face) = (&*self.core, &*self.face);
        if face.observer.is_some() {
            return 0;
        }
        Caller::with(|caller| {
            let Caller { topics, stopwatch, scratches, .. } = caller;
            let moment = stopwatch.moment(core.id, &core.wall_clock);
            let topic = match handle {
                Some(handle) => core.know_topic_of(handle, topic, topics),
                None => core.know_topic(topic, topics),
            };
            let Some(topic) = topic else { return 0 };
            scratches.resize_with(CHUNK, Scratch::default);
            let mut chunk = [RecordRef::NULL; CHUNK];
            let serialized = face.serialize_chunk(parts, moment, scratches, &mut chunk);
            let chunk = chunk.get(..serialized).unwrap_or_default();
            core.append_chunk(topic, chunk, named, moment, deliveries)
        })
        .unwrap_or(0)
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
            if let Some((_, error)) = self.refused.pop_front_if(|(place, _)| *place == at) {
                results.push(Err(error));
            } else if let Some(result) = self.deliveries.next().await {
                results.push(result.map_err(SendError::from));
            } else {
                return results;
            }
        }
    }
}

/// Tells the runtime of a chunk. The task gives way before the next one if it is time for that.
fn tell_runtime() {
    if let Poll::Ready(budget) = coop::poll_proceed(&mut Context::from_waker(Waker::noop())) {
        budget.made_progress();
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Face<K, V> {
    /// Serializes records up to the first for which that fails. Returns how many.
    fn serialize_chunk<'b: 's, 's>(
        &self,
        records: impl Iterator<Item = Parts<'b, K, V>>,
        moment: &RecordTime,
        scratches: &'s mut [Scratch],
        chunk: &mut [RecordRef<'s>; CHUNK],
    ) -> usize {
        let (mut serialized, mut stop) = (0, None);
        for ((record, scratch), place) in records.zip(scratches).zip(chunk) {
            scratch.trim_in_chunk();
            let Some(record) = self.serialize(record, moment, scratch, &mut stop) else { break };
            *place = record;
            serialized += 1;
        }
        serialized
    }
}

impl ProducerCore {
    /// Appends records in their order, up to the first that has to wait or is refused. Returns how many were appended.
    fn append_chunk(
        &self,
        topic: &TopicEntry,
        chunk: &[RecordRef<'_>],
        named: &[Option<i32>],
        moment: &RecordTime,
        deliveries: &mut Deliveries,
    ) -> usize {
        let (mut rest, mut kept, mut stop) = (chunk, Kept::NONE, None);
        while let Some(first) = rest.first() {
            let named = named.get(chunk.len() - rest.len()..).unwrap_or_default();
            let Some(route) = self.route_of(topic, first, named, &mut kept, moment) else { break };
            let run = self.run_of(topic, route, rest, named);
            let joined = self.join_run(topic, route, run, moment, deliveries);
            rest = rest.get(joined..).unwrap_or_default();
            // The one that is next in the run may need a batch of its own.
            if joined < run.len()
                && let Some(next) = rest.first()
            {
                let routed = Routed { topic, record: *next, route, transaction: NO_TRANSACTION, moment };
                let Some(delivery) = routed.place(self, None, &mut kept, &mut stop) else { break };
                deliveries.push(delivery);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        chunk.len() - rest.len()
    }

    fn route_of(
        &self,
        topic: &TopicEntry,
        record: &RecordRef<'_>,
        named: &[Option<i32>],
        kept: &mut Kept,
        moment: &RecordTime,
    ) -> Option<Route> {
        let named = named.first().copied().flatten();
        let usual = self.routing.usual_route(record.key, named, &topic.routes);
        usual.or_else(|| self.route(topic, record, named, kept, moment, &mut None))
    }

    /// Returns the records at the beginning of these that go where the first of them does.
    fn run_of<'c, 'r>(
        &self,
        topic: &TopicEntry,
        route: Route,
        records: &'c [RecordRef<'r>],
        named: &[Option<i32>],
    ) -> &'c [RecordRef<'r>] {
        let goes_there = |(at, record): &(usize, &RecordRef<'_>)| {
            let named = named.get(*at).copied().flatten();
            match route {
                Route::Free(_) => named.is_none() && self.routing.is_free(record.key),
                Route::Chosen(_) | Route::Fixed(_) => {
                    self.routing.usual_route(record.key, named, &topic.routes) == Some(route)
                }
            }
        };
        let others = records.iter().enumerate().skip(1).take_while(goes_there).count();
        records.get(..=others).unwrap_or(records)
    }

    /// Appends records to the open batch of their partition as long as it has room for them and nothing is to be done beside. Returns
    /// how many.
    fn join_run(
        &self,
        topic: &TopicEntry,
        route: Route,
        run: &[RecordRef<'_>],
        moment: &RecordTime,
        deliveries: &mut Deliveries,
    ) -> usize {
        let Some(queue) = topic.queues.queue(route.partition()) else { return 0 };
        topic.queues.touch(moment.seconds);
        let terms = self.join_terms(route, NO_TRANSACTION, moment);
        let Some((cell, first, count)) = queue.join_all_quietly(run, &terms) else { return 0 };
        deliveries.push_run(&cell, first, count);
        count as usize
    }
}
