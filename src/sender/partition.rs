//! What the sender keeps of each partition that has ever had records.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::{BatchOrder, Head, PartitionQueue, ProducerBatch};
use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
use crate::planted::planted;
use crate::sender::numbering::{Numbers, ProducerId};
use crate::sender::sequence::Sequence;
use crate::topic_partition::{NodeId, TopicPartition};
use crate::wire::Uuid;

/// One partition, seen from the sender.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) queue: Arc<PartitionQueue>,
    pub(crate) leader: Option<NodeId>,
    pub(crate) leader_epoch: Option<i32>,
    /// The last leader epoch that was told, also while the topic is gone.
    last_epoch: Option<i32>,
    /// Whether the last view of the cluster had the partition.
    is_found: bool,
    /// How often brokers have not described the topic, as of that view.
    denials: u32,
    /// Sent, neither answered nor expired; oldest first.
    pub(crate) in_flight: VecDeque<Box<ProducerBatch>>,
    /// Unanswered requests that carry a batch of this partition, expired ones included.
    pub(crate) outstanding: usize,
    /// Where the batches under way were sent.
    pub(crate) in_flight_node: Option<NodeId>,
    pub(crate) sequence: Sequence,
    /// The youngest batch that is in the log, or has failed and may be.
    youngest_written: Option<BatchOrder>,
    topic_id: Uuid,
    /// Counts the logs that the partition has had: a topic that is made anew begins another one.
    log: LogCount,
    /// Since when its batches have waited for answers to those under way, if they do.
    blocked_since: Option<Instant>,
    /// The head, if it is in the hands of others who compress it.
    sealing: Option<Sealing>,
    /// No attempt before this time.
    pub(crate) retry_at: Option<Instant>,
    /// When the sender looks again if nothing happens before.
    pub(crate) timer: Option<Instant>,
    /// True while it stands in the ready list of a node.
    pub(crate) is_listed: bool,
    /// Its place in the core's list of those that have something to do, while it is one of them.
    pub(crate) active_at: Option<usize>,
    /// True while it waits for a node to have answered everything, so that a batch need not linger.
    pub(crate) is_gathering: bool,
}

/// Tells the logs apart that a partition has had under one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogCount(u32);

/// A batch that others are to compress.
#[derive(Debug, Clone, Copy)]
struct Sealing {
    order: BatchOrder,
    /// When the sender found that it waits for them.
    since: Instant,
    /// When the sender looks after it.
    look_at: Option<Instant>,
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
            leader: None,
            leader_epoch: None,
            last_epoch: None,
            is_found: false,
            denials: 0,
            in_flight: VecDeque::new(),
            outstanding: 0,
            in_flight_node: None,
            sequence: Sequence::default(),
            youngest_written: None,
            topic_id: Uuid::ZERO,
            log: LogCount::default(),
            blocked_since: None,
            sealing: None,
            retry_at: None,
            timer: None,
            is_listed: false,
            active_at: None,
            is_gathering: false,
        }
    }

    /// Takes the leader from a view of the cluster.
    pub(crate) fn update_leader(&mut self, cluster: &Cluster) {
        let TopicPartition { topic, partition } = self.queue.topic_partition();
        let found = cluster.partition(topic, *partition);
        // A leader that the view has no address for is as good as none.
        self.leader = cluster.leader(topic, *partition).map(Node::id);
        self.leader_epoch = found.and_then(PartitionInfo::leader_epoch);
        let id = cluster.topic(topic).map_or(self.topic_id, |topic| topic.id());
        // Brokers that tell no ids: epochs grow for as long as a topic lives. Those that do not tell them either have only
        // shown that it was gone.
        let is_younger =
            matches!((self.leader_epoch, self.last_epoch), (Some(epoch), Some(known)) if epoch < known);
        self.last_epoch = self.leader_epoch.or(self.last_epoch);
        let denials = cluster.topic(topic).map_or(self.denials, TopicInfo::denials);
        let is_denied = std::mem::replace(&mut self.denials, denials) != denials;
        // An answer of the old log may come when it is gone, so that it is back says as much as that it was gone.
        let has_come_or_gone = std::mem::replace(&mut self.is_found, found.is_some()) != found.is_some();
        if id != self.topic_id || is_younger || has_come_or_gone || is_denied {
            self.topic_id = id;
            self.log.0 += 1;
            self.sequence.forget_acknowledgement();
        }
    }

    /// Returns which of its logs the partition has now, as far as the sender knows.
    pub(crate) fn log(&self) -> LogCount {
        self.log
    }

    /// Whether anything refers to it: a batch or an unanswered request, or a list of the core's.
    pub(crate) fn is_in_use(&self) -> bool {
        self.active_at.is_some()
            || !self.in_flight.is_empty()
            || self.outstanding > 0
            || self.is_listed
            || self.is_gathering
    }

    /// Returns the id of the topic; zero if the brokers are too old to have one.
    pub(crate) fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// Says what the batch at the head of the queue waits for (Java: `RecordAccumulator.partitionReady`).
    ///
    /// Unlike Java's, a retry does not linger again.
    pub(crate) fn next(&self, head: Option<Head>, pace: Pace, now: Instant) -> Next {
        let Some(head) = head else { return Next::Idle };
        if head.is_sealing {
            return Next::Sealing;
        }
        if let Some(retry_at) = self.retry_at
            && now < retry_at
            && !self.has_new_leader_since(head)
        {
            return Next::Backoff(retry_at);
        }
        let lingers_until = head.created + pace.linger;
        let is_urgent = pace.is_urgent || head.is_flushed;
        let may_go = head.is_full || is_urgent || (pace.spares_awaited && head.is_awaited);
        if head.attempts == 0 && !may_go && now < lingers_until {
            return Next::Linger(lingers_until);
        }
        match self.leader {
            None => Next::NoLeader,
            Some(leader) if self.must_wait(head, leader, pace) => Next::Blocked,
            Some(leader) => Next::Ready(leader),
        }
    }

    /// Marks the partition as not to be chosen once its batches have waited for answers for longer than `timeout`
    /// (KIP-794). Returns when that will be.
    pub(crate) fn note_wait(&mut self, next: Next, timeout: Duration, now: Instant) -> Option<Instant> {
        match next {
            Next::Blocked | Next::Sealing if self.outstanding > 0 => {
                let since = *self.blocked_since.get_or_insert(now);
                let is_available = now.saturating_duration_since(since) <= timeout;
                self.queue.set_available(is_available);
                let too_long = timeout.saturating_add(Duration::from_millis(1));
                since.checked_add(too_long).filter(|_| is_available)
            }
            Next::Idle => {
                self.blocked_since = None;
                self.queue.set_available(true);
                None
            }
            _ => {
                self.blocked_since = None;
                None
            }
        }
    }

    /// Says when to look after the compression of the head, if others have it, and whether that is now.
    pub(crate) fn note_sealing(&mut self, head: Option<Head>, now: Instant) -> (Option<Instant>, bool) {
        let Some(head) = head.filter(|head| head.is_sealing && !planted!(SealingForEver)) else {
            self.sealing = None;
            return (None, false);
        };
        let known = self.sealing.filter(|sealing| sealing.order == head.order);
        let look_at = now.checked_add(SEALING_PATIENCE);
        let mut sealing = known.unwrap_or(Sealing { order: head.order, since: now, look_at });
        let is_due = sealing.look_at.is_some_and(|look_at| look_at <= now);
        if is_due {
            // A thread is at it then. The sender waits ever longer from here on: a panic might end the thread.
            sealing.look_at = now.checked_add(now.saturating_duration_since(sealing.since));
        }
        self.sealing = Some(sealing);
        (sealing.look_at, is_due)
    }

    /// Whether the head must wait for an answer to what is under way, or for a producer id.
    fn must_wait(&self, head: Head, leader: NodeId, pace: Pace) -> bool {
        let producer = match pace.numbers {
            Numbers::None => {
                return self.outstanding >= pace.max_outstanding && !planted!(NoMuteOnRetry);
            }
            Numbers::Awaited => None,
            Numbers::With(producer) => Some(producer),
        };
        if producer.is_none() && !head.is_numbered {
            return true;
        }
        // A batch that is sent again goes alone: brokers know the last five batches for doubles, and with others behind
        // its second attempt those behind the first could push it out of that memory. So does one to a new leader, who
        // might otherwise see it before the batches that are under way to the old one, and the first of a new epoch.
        let is_any_sent_again = self.in_flight.iter().any(|batch| batch.attempts() > 1);
        self.outstanding > 0
            && (self.outstanding >= pace.max_outstanding
                || (head.is_numbered && !planted!(NoMuteOnRetry))
                || (is_any_sent_again && !planted!(NoMuteOnRetry))
                || self.in_flight_node != Some(leader)
                || self.must_pause(head, pace.oldest_remembered)
                || producer.is_some_and(|producer| self.sequence.is_of_another(producer)))
    }

    /// Whether the epoch has yet to be heard of by the broker, or may be forgotten there, or is to end.
    fn must_pause(&self, head: Head, oldest_remembered: i64) -> bool {
        if planted!(NoPause) {
            return false;
        }
        if planted!(EpochBumpWithoutDraining) {
            return false;
        }
        let oldest = if planted!(OldIsRemembered) { i64::MIN } else { oldest_remembered };
        // The broker may forget as soon as it has one of these, and then takes again what was under way in front of it.
        let is_old = |batch: &ProducerBatch| batch.max_timestamp() < oldest;
        !self.sequence.may_pipeline(oldest)
            || head.max_timestamp < oldest
            || self.in_flight.iter().any(|batch| is_old(batch))
    }

    /// Makes sure that the head can get a number, beginning a new epoch if the broker would not take the next number
    /// of this one, which `next_epoch` gives. Returns false if there is none so far.
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
        // What may be in the log keeps its number until an answer tells.
        if (self.outstanding > 0 && !planted!(EpochBumpWithoutDraining)) || !head.may_take_new_number {
            return true;
        }
        if self.sequence.is_of_another(producer) {
            self.sequence.forget_id();
            doubtful.extend(self.queue.forget_identities());
        }
        if !self.sequence.needs_new_epoch() {
            return true;
        }
        doubtful.extend(self.queue.forget_identities());
        let has_epoch = self.sequence.begin_epoch(next_epoch);
        if !has_epoch {
            self.sequence.forget_id();
        }
        has_epoch
    }

    /// Notes that the broker has a batch, which was sent to this log.
    ///
    /// An answer may come late, when the topic was made anew: that the old log has the batch does not mean that the broker
    /// of the new one knows the producer. `timestamp`: of the batch as it is in the log.
    pub(crate) fn note_delivery(&mut self, batch: &ProducerBatch, log: LogCount, timestamp: i64) {
        if log == self.log || planted!(LateAnswerCounts) {
            self.sequence.acknowledge(batch.identity(), timestamp);
        }
        self.youngest_written = self.youngest_written.max(Some(batch.order()));
    }

    /// Whether a batch that is about to be sent could only be written out of order: it is certain not to be in the log, and
    /// a younger one is there, or may be.
    ///
    /// Brokers that remember the producer do not let that happen. One that has forgotten it, as with a topic that was made
    /// anew, takes any first number, so of two batches under way it may refuse the older and write the younger. The older
    /// one gets no new number then, and under its old one it would be refused at best.
    ///
    /// A batch that may be in the log is asked for under its old number all the same: the answer may be that it is there.
    pub(crate) fn is_overtaken(&self, batch: &ProducerBatch) -> bool {
        batch.may_take_new_number()
            && !planted!(OvertakenIsSent)
            && self.youngest_written.is_some_and(|youngest| youngest > batch.order())
    }

    /// Takes what is queued and could only be written out of order once a batch has failed that may be in the log.
    pub(crate) fn take_overtaken(&mut self, by: BatchOrder) -> Vec<ProducerBatch> {
        if planted!(OvertakenIsSent) {
            return Vec::new();
        }
        self.queue.take_certain_before(by)
    }

    /// Notes that a batch has failed: its number will never come, or the sender does not know whether it has come. In
    /// the epoch that follows brokers do not wait for it, and no longer take it should it be late.
    pub(crate) fn note_failure(&mut self, batch: &ProducerBatch) {
        #[cfg(test)]
        if planted!(SequenceReuse) && batch.is_numbered() {
            return self.sequence.go_back_to(batch.identity());
        }
        if !batch.may_take_new_number() {
            self.youngest_written = self.youngest_written.max(Some(batch.order()));
        }
        if batch.is_numbered() {
            self.sequence.note_failure(batch.identity(), batch.persisted());
        }
    }

    /// Takes what is queued behind a batch that has failed, and sees to it that what is under way behind it is not sent
    /// again.
    pub(crate) fn stop_behind(&mut self, order: BatchOrder) -> Vec<ProducerBatch> {
        for batch in self.in_flight.iter_mut().filter(|batch| batch.order() > order) {
            if !planted!(StopSparesInFlight) {
                batch.stopped();
            }
        }
        self.queue.stop_behind(order)
    }

    /// Forgets what the brokers of a cluster knew, for the producer has come to another. What is queued loses its number; the
    /// batches among it that may be in the log under theirs are returned, for they must not be sent any more.
    pub(crate) fn leave_cluster(&mut self) -> Vec<ProducerBatch> {
        self.log.0 += 1;
        self.sequence.forget_id();
        for batch in &mut self.in_flight {
            batch.left_behind();
        }
        self.queue.forget_identities()
    }

    /// Notes that the broker waits for another number than that of a batch, which is back in the queue.
    ///
    /// If an older batch is still to be acknowledged, that is the one it waits for. If not, it has lost what it knew.
    pub(crate) fn note_out_of_order(&mut self, order: BatchOrder) {
        let is_first = |oldest: BatchOrder| oldest >= order;
        if self.queue.look().is_none_or(|head| is_first(head.order))
            && self.in_flight.iter().all(|batch| is_first(batch.order()))
        {
            self.sequence.note_gap();
        }
    }

    /// Takes the batches in flight that are `timeout` old or older.
    pub(crate) fn expire_in_flight(&mut self, now: Instant, timeout: Duration) -> Vec<ProducerBatch> {
        let is_expired = |batch: &ProducerBatch| now.saturating_duration_since(batch.created()) >= timeout;
        if !self.in_flight.front().is_some_and(|batch| is_expired(batch)) {
            return Vec::new();
        }
        let in_flight = std::mem::take(&mut self.in_flight).into_iter();
        let (expired, kept): (VecDeque<_>, _) = in_flight.partition(|batch| is_expired(batch));
        self.in_flight = kept;
        expired.into_iter().map(|batch| *batch).collect()
    }

    /// Takes the batch of a request that has come to its end. `None` if the batch has ended meanwhile.
    pub(crate) fn take_answered(&mut self, batch_id: u64) -> Option<Box<ProducerBatch>> {
        self.outstanding = self.outstanding.saturating_sub(1);
        let at = self.in_flight.iter().position(|batch| batch.id() == batch_id)?;
        self.in_flight.remove(at)
    }

    /// Takes everything that is under way.
    pub(crate) fn take_all_in_flight(&mut self) -> Vec<ProducerBatch> {
        self.in_flight.drain(..).map(|batch| *batch).collect()
    }

    /// Puts a batch back into the queue, to be sent again after `backoff`.
    pub(crate) fn put_back(&mut self, mut batch: ProducerBatch, backoff: Duration, now: Instant) {
        batch.backs_off(now);
        self.retry_at = now.checked_add(backoff);
        self.queue.put_back(std::iter::once(batch));
    }

    // A leader with a newer epoch has not refused the batch yet (KIP-951): no reason to wait.
    fn has_new_leader_since(&self, head: Head) -> bool {
        if planted!(HintLoop) {
            return true;
        }
        match (self.leader_epoch, head.sent_leader_epoch) {
            (Some(epoch), Some(sent)) => epoch > sent,
            _ => false,
        }
    }
}

/// A thread that is free comes within microseconds, on a busy machine within a few milliseconds.
const SEALING_PATIENCE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
