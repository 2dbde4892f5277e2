//! `Partition`: what the sender keeps of each partition that has records, and what its batches wait for.
//!
//! | File | Has |
//! |---|---|
//! | `in_flight.rs` | the batches that are under way |
//! | `leadership.rs` | who leads the partition, and which log it has |
//! | `numbers.rs`, `sequence.rs` | sequence numbers: when a batch gets one, and when an epoch begins |
//! | `pipelining.rs` | whether a batch may be sent while others are under way, and how many |
//! | `waits.rs` | since when the partition waits for something |

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::accumulator::{BatchOrder, Head, PartitionQueue, ProducerBatch};
use crate::metadata::Cluster;
use crate::planted::planted;
use crate::protocol::ErrorCode;
use crate::sender::numbering::{Numbers, ProducerId};
use crate::sender::request::SentBatch;
use crate::topic_partition::NodeId;

mod in_flight;
mod leadership;
mod numbers;
mod pipelining;
mod sequence;
mod waits;

use self::in_flight::InFlight;
use self::leadership::Leadership;
pub(crate) use self::leadership::LogCount;
use self::numbers::PartitionNumbers;
pub(crate) use self::pipelining::{PRODUCER_ID_LIFETIME, most_outstanding, oldest_remembered};
use self::waits::Waits;

/// One partition, seen from the sender.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) queue: Arc<PartitionQueue>,
    leadership: Leadership,
    in_flight: InFlight,
    numbers: PartitionNumbers,
    waits: Waits,
}

/// What a partition needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait until then.
    Backoff(Instant),
    /// Wait for the batch to fill.
    Linger(Instant),
    /// Wait for a leader.
    NoLeader,
    /// Wait for an answer: it has the sender look again.
    Blocked,
    /// Nothing is queued.
    Idle,
    /// Send to this node.
    Ready(NodeId),
    /// Wait for the batch to be compressed: the thread that does it says so, unless no thread comes for it.
    Sealing,
}

/// When batches may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) linger: Duration,
    /// Requests of one partition that may be under way at once.
    pub(crate) max_outstanding: usize,
    pub(crate) numbers: Numbers,
    /// Do not linger: a caller waits for memory, or the producer is closed.
    pub(crate) is_urgent: bool,
    /// Brokers may have forgotten a producer whose last batch has a timestamp older than this.
    pub(crate) oldest_remembered: i64,
    /// Do not linger with batches whose records are all awaited.
    pub(crate) spares_awaited: bool,
}

impl Partition {
    pub(crate) fn new(queue: Arc<PartitionQueue>) -> Self {
        Self {
            queue,
            leadership: Leadership::new(),
            in_flight: InFlight::default(),
            numbers: PartitionNumbers::default(),
            waits: Waits::default(),
        }
    }

    /// Takes the leader from a view of the cluster.
    pub(crate) fn update_leader(&mut self, cluster: &Cluster) {
        if self.leadership.update(self.queue.topic_partition(), cluster) {
            self.numbers.forget_acknowledgement();
        }
    }

    /// Forgets what the brokers of the last cluster knew, because the producer has come to another. Queued batches lose their
    /// numbers. Returns those that may be in the log under their old number: they must not be sent any more.
    pub(crate) fn leave_cluster(&mut self) -> Vec<ProducerBatch> {
        self.leadership.begin_log();
        self.in_flight.leave_cluster();
        self.numbers.leave_cluster(&self.queue)
    }

    /// Makes sure that the head can get a number. If that takes a new epoch, `next_epoch` gives it. Returns false if there is none
    /// so far.
    ///
    /// Batches behind the head that may be in the log under their old numbers are moved to `doubtful`: they can get
    /// neither a new one nor be sent under the old.
    pub(crate) fn prepare_numbers(
        &mut self,
        head: Head,
        producer: ProducerId,
        next_epoch: impl FnOnce(ProducerId) -> Option<ProducerId>,
        doubtful: &mut Vec<ProducerBatch>,
    ) -> bool {
        let is_any_under_way = self.in_flight.outstanding() > 0 && !planted!(EpochBumpWithoutDraining);
        is_any_under_way || self.numbers.prepare(head, producer, next_epoch, &self.queue, doubtful)
    }

    /// A connection to a node takes a batch, which gets a number if it lacks one. Returns what goes into the request, and how long
    /// it was before compression.
    pub(crate) fn send(
        &mut self,
        mut batch: Box<ProducerBatch>,
        node: NodeId,
        numbers: Numbers,
        now: Instant,
    ) -> (SentBatch, Bytes, usize) {
        if let Numbers::With(producer) = numbers
            && !batch.is_numbered()
        {
            batch.numbered(self.numbers.assign(producer, batch.record_count()));
        }
        let bytes = batch.freeze();
        let (topic_id, log) = (self.leadership.topic_id(), self.leadership.log());
        let sent = SentBatch::new(self.queue.id(), &batch, topic_id, log);
        batch.sent(self.leadership.epoch(), now);
        self.waits.back_off(None);
        let plain_len = batch.plain_len();
        self.in_flight.push(batch, node);
        (sent, bytes, plain_len)
    }

    /// Takes the batch of a request that has come to its end. `None` if the batch has ended meanwhile.
    pub(crate) fn take_answered(&mut self, batch_id: u64) -> Option<Box<ProducerBatch>> {
        self.in_flight.take_answered(batch_id)
    }

    /// Takes everything that is under way.
    pub(crate) fn take_all_in_flight(&mut self) -> Vec<ProducerBatch> {
        self.in_flight.take_all()
    }

    /// Takes the batches in flight that are `timeout` old or older.
    pub(crate) fn expire_in_flight(&mut self, now: Instant, timeout: Duration) -> Vec<ProducerBatch> {
        self.in_flight.expire(now, timeout)
    }

    /// Takes what is queued and could only be written out of order once a batch has failed that may be in the log.
    pub(crate) fn take_overtaken(&mut self, by: BatchOrder) -> Vec<ProducerBatch> {
        if planted!(OvertakenIsSent) {
            return Vec::new();
        }
        self.queue.take_certain_before(by)
    }

    /// Takes the batches that are queued after a failed one, and makes sure that those under way after it are not sent again.
    pub(crate) fn stop_behind(&mut self, order: BatchOrder) -> Vec<ProducerBatch> {
        self.in_flight.stop_behind(order);
        self.queue.stop_behind(order)
    }

    /// Puts a batch back into the queue, to be sent again after `backoff`.
    pub(crate) fn put_back(&mut self, mut batch: ProducerBatch, backoff: Duration, now: Instant) {
        batch.backs_off(now);
        self.waits.back_off(now.checked_add(backoff));
        self.queue.put_back(std::iter::once(batch));
    }

    /// Notes that the broker has a batch, which was sent to this log.
    ///
    /// An answer may come late, when the topic was made anew: that the old log has the batch does not mean that the broker
    /// of the new one knows the producer. `timestamp`: of the batch as it is in the log.
    pub(crate) fn note_delivery(&mut self, batch: &ProducerBatch, log: LogCount, timestamp: i64) {
        self.numbers.note_delivery(batch, log == self.leadership.log(), timestamp);
    }

    /// Notes that a batch has failed.
    pub(crate) fn note_failure(&mut self, batch: &ProducerBatch) {
        self.numbers.note_failure(batch);
    }

    /// Notes that the broker waits for another number than that of a batch, which is back in the queue.
    ///
    /// If an older batch is still to be acknowledged, that is the one it waits for. If not, it has lost what it knew.
    pub(crate) fn note_out_of_order(&mut self, order: BatchOrder) {
        let is_older_queued = self.queue.look().is_some_and(|head| head.order < order);
        if !is_older_queued && !self.in_flight.is_any_before(order) {
            self.numbers.note_gap();
        }
    }

    /// Marks the partition as not to be chosen once its batches have waited for answers for longer than `timeout`
    /// (KIP-794). Returns when that will be.
    pub(crate) fn note_wait(&mut self, next: Next, timeout: Duration, now: Instant) -> Option<Instant> {
        self.waits.note_wait(next, self.in_flight.outstanding(), &self.queue, timeout, now)
    }

    /// Says when to look after the compression of the head, if other threads have it, and whether that is now.
    pub(crate) fn note_sealing(&mut self, head: Option<Head>, now: Instant) -> (Option<Instant>, bool) {
        self.waits.note_sealing(head, now)
    }

    /// Says what the batch at the head of the queue waits for (Java: `RecordAccumulator.partitionReady`).
    ///
    /// Unlike Java's, a retry does not linger again.
    pub(crate) fn next(&self, head: Option<Head>, pace: Pace, now: Instant) -> Next {
        let Some(head) = head else { return Next::Idle };
        if head.is_sealing {
            return Next::Sealing;
        }
        if let Some(until) = self.waits.backoff(now)
            && !self.has_new_leader_since(head)
        {
            return Next::Backoff(until);
        }
        let lingers_until = head.created + pace.linger;
        let is_urgent = pace.is_urgent || head.is_flushed;
        let may_go = head.is_full || is_urgent || (pace.spares_awaited && head.is_awaited);
        if head.attempts == 0 && !may_go && now < lingers_until {
            return Next::Linger(lingers_until);
        }
        match self.leadership.node() {
            None => Next::NoLeader,
            Some(leader) if self.must_wait(head, leader, pace) => Next::Blocked,
            Some(leader) => Next::Ready(leader),
        }
    }

    /// Returns the node that leads the partition, if its address is known.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.leadership.node()
    }

    /// Whether brokers have named a leader last, even if its address is not known any more.
    pub(crate) fn has_leader(&self) -> bool {
        self.leadership.is_named()
    }

    /// Returns when the oldest batch was created that is under way, if any is.
    pub(crate) fn oldest_in_flight(&self) -> Option<Instant> {
        self.in_flight.oldest()
    }

    /// Returns where requests with batches of the partition were sent last, if one is unanswered.
    pub(crate) fn asked(&self) -> Option<NodeId> {
        self.in_flight.node().filter(|_| self.in_flight.outstanding() > 0)
    }

    /// Returns what a broker has answered last about the oldest batch, if it was an error, and how often that batch was sent.
    pub(crate) fn last_answer(&self) -> Option<(ErrorCode, u32)> {
        let is_older = |head: Head| self.in_flight.oldest().is_none_or(|sent| head.created < sent);
        match self.queue.peek().filter(|head| is_older(*head)) {
            Some(_) => self.queue.last_answer(),
            None => self.in_flight.last_answer(),
        }
    }

    /// Whether a batch that is about to be sent could only be written out of order.
    pub(crate) fn is_overtaken(&self, batch: &ProducerBatch) -> bool {
        self.numbers.is_overtaken(batch)
    }

    /// Returns the epoch that is in use with a producer id.
    pub(crate) fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.numbers.epoch(producer_id)
    }

    /// Whether batches had numbers of the producer id and the epoch that are in use now.
    pub(crate) fn has_numbers_of(&self, numbers: Numbers) -> bool {
        matches!(numbers, Numbers::With(producer) if self.epoch(producer.id) == Some(producer.epoch))
    }

    /// Whether a batch is under way, or a request unanswered.
    pub(crate) fn is_in_use(&self) -> bool {
        !self.in_flight.is_empty() || self.in_flight.outstanding() > 0
    }

    // A leader with a newer epoch has not refused the batch yet (KIP-951): no reason to wait.
    fn has_new_leader_since(&self, head: Head) -> bool {
        planted!(HintLoop) || self.leadership.is_newer_than(head.sent_leader_epoch)
    }
}

#[cfg(test)]
mod tests;
