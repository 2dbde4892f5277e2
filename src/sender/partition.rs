//! What the sender keeps of each partition that has ever had records.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::{Head, PartitionQueue, ProducerBatch};
use crate::metadata::{Cluster, Node, PartitionInfo};
use crate::topic_partition::{NodeId, TopicPartition};

/// One partition, seen from the sender.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) queue: Arc<PartitionQueue>,
    pub(crate) leader: Option<NodeId>,
    pub(crate) leader_epoch: Option<i32>,
    /// Sent, neither answered nor expired; oldest first.
    pub(crate) in_flight: VecDeque<ProducerBatch>,
    /// Unanswered requests that carry a batch of this partition, expired ones included.
    pub(crate) outstanding: usize,
    /// No attempt before this time.
    pub(crate) retry_at: Option<Instant>,
    /// When the sender looks again if nothing happens before.
    pub(crate) timer: Option<Instant>,
    /// True while it stands in the ready list of a node.
    pub(crate) is_listed: bool,
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
    /// Wait for an answer, or for a batch to be compressed: whoever brings it says so.
    Blocked,
    /// Nothing is queued.
    Idle,
    /// Send to this node.
    Ready(NodeId),
}

/// When batches may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) linger: Duration,
    /// Requests of one partition that may be under way at once.
    pub(crate) max_outstanding: usize,
    /// Do not linger: a flush is under way, or somebody waits for memory.
    pub(crate) is_urgent: bool,
}

impl Partition {
    pub(crate) fn new(queue: Arc<PartitionQueue>) -> Self {
        Self {
            queue,
            leader: None,
            leader_epoch: None,
            in_flight: VecDeque::new(),
            outstanding: 0,
            retry_at: None,
            timer: None,
            is_listed: false,
        }
    }

    /// Takes the leader from a view of the cluster.
    pub(crate) fn update_leader(&mut self, cluster: &Cluster) {
        let TopicPartition { topic, partition } = self.queue.topic_partition();
        let found = cluster.partition(topic, *partition);
        // A leader that the view has no address for is as good as none.
        self.leader = cluster.leader(topic, *partition).map(Node::id);
        self.leader_epoch = found.and_then(PartitionInfo::leader_epoch);
    }

    /// Says what the batch at the head of the queue waits for (Java: `RecordAccumulator.partitionReady`).
    ///
    /// Unlike Java's, a retry does not linger again.
    pub(crate) fn next(&self, head: Option<Head>, pace: Pace, now: Instant) -> Next {
        let Some(head) = head else { return Next::Idle };
        if head.is_sealing {
            return Next::Blocked;
        }
        if let Some(retry_at) = self.retry_at
            && now < retry_at
            && !self.has_new_leader_since(head)
        {
            return Next::Backoff(retry_at);
        }
        let lingers_until = head.created + pace.linger;
        if head.attempts == 0 && !head.is_full && !pace.is_urgent && now < lingers_until {
            return Next::Linger(lingers_until);
        }
        match self.leader {
            None => Next::NoLeader,
            Some(_) if self.outstanding >= pace.max_outstanding => Next::Blocked,
            Some(leader) => Next::Ready(leader),
        }
    }

    /// Takes the batches in flight that are `timeout` old or older.
    pub(crate) fn expire_in_flight(&mut self, now: Instant, timeout: Duration) -> Vec<ProducerBatch> {
        let is_expired = |batch: &ProducerBatch| now.saturating_duration_since(batch.created) >= timeout;
        if !self.in_flight.front().is_some_and(is_expired) {
            return Vec::new();
        }
        let (expired, kept): (Vec<_>, Vec<_>) = self.in_flight.drain(..).partition(is_expired);
        self.in_flight = kept.into();
        expired
    }

    /// Takes a batch off the list of those in flight. `None` if it has expired meanwhile.
    pub(crate) fn take_in_flight(&mut self, batch_id: u64) -> Option<ProducerBatch> {
        let at = self.in_flight.iter().position(|batch| batch.id == batch_id)?;
        self.in_flight.remove(at)
    }

    // A leader with a newer epoch has not refused the batch yet (KIP-951): no reason to wait.
    fn has_new_leader_since(&self, head: Head) -> bool {
        match (self.leader_epoch, head.sent_leader_epoch) {
            (Some(epoch), Some(sent)) => epoch > sent,
            _ => false,
        }
    }
}
