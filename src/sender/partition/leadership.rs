//! `Leadership`: who leads a partition, and which log it has.

use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
use crate::topic_partition::{NodeId, TopicPartition};
use crate::wire::Uuid;

/// What views of the cluster have said about a partition.
#[derive(Debug)]
pub(super) struct Leadership {
    node: Option<NodeId>,
    /// Whether brokers have named one last, whether or not its address is known.
    is_named: bool,
    epoch: Option<i32>,
    /// The last leader epoch that a view had, also while the topic is gone.
    last_epoch: Option<i32>,
    /// Whether the last view of the cluster had the partition.
    is_found: bool,
    /// How often brokers have not described the topic, as of that view.
    denials: u32,
    topic_id: Uuid,
    log: LogCount,
}

/// Tells the logs apart that a partition has had under one name: a topic that is made anew begins another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogCount(u32);

impl Leadership {
    pub(super) fn new() -> Self {
        Self {
            node: None,
            is_named: false,
            epoch: None,
            last_epoch: None,
            is_found: false,
            denials: 0,
            topic_id: Uuid::ZERO,
            log: LogCount::default(),
        }
    }

    /// Takes in a view of the cluster. Returns whether the partition may have another log than before.
    pub(super) fn update(&mut self, of: &TopicPartition, cluster: &Cluster) -> bool {
        let TopicPartition { topic, partition } = of;
        let found = cluster.partition(topic, *partition);
        // A leader that the view has no address for is as good as none.
        self.node = cluster.leader(topic, *partition).map(Node::id);
        self.is_named = found.is_some_and(|found| found.reported_leader().is_some());
        self.epoch = found.and_then(PartitionInfo::leader_epoch);
        let id = cluster.topic(topic).map_or(self.topic_id, |topic| topic.id());
        // Brokers that tell no ids: epochs grow for as long as a topic lives. Those that do not tell them either have only
        // shown that it was gone.
        let is_younger = matches!((self.epoch, self.last_epoch), (Some(epoch), Some(known)) if epoch < known);
        self.last_epoch = self.epoch.or(self.last_epoch);
        let denials = cluster.topic(topic).map_or(self.denials, TopicInfo::denials);
        let is_denied = std::mem::replace(&mut self.denials, denials) != denials;
        // An answer of the old log may come when it is gone, so that it is back says as much as that it was gone.
        let has_come_or_gone = std::mem::replace(&mut self.is_found, found.is_some()) != found.is_some();
        let is_another = id != self.topic_id || is_younger || has_come_or_gone || is_denied;
        if is_another {
            self.topic_id = id;
            self.begin_log();
        }
        is_another
    }

    /// The partition has another log from here on.
    pub(super) fn begin_log(&mut self) {
        self.log.0 += 1;
    }

    /// Returns the node that leads the partition, if its address is known.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// Whether brokers have named a leader last. All addresses are forgotten when the producer starts over from the bootstrap servers.
    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    pub(super) fn epoch(&self) -> Option<i32> {
        self.epoch
    }

    /// Whether the leader has a newer epoch than the one that a batch was sent to.
    pub(super) fn is_newer_than(&self, sent_to: Option<i32>) -> bool {
        matches!((self.epoch, sent_to), (Some(epoch), Some(sent)) if epoch > sent)
    }

    /// Returns the id of the topic; zero if the brokers are too old to have one.
    pub(super) fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// Returns which of its logs the partition has now, as far as the sender knows.
    pub(super) fn log(&self) -> LogCount {
        self.log
    }

    #[cfg(test)]
    pub(super) fn set_epoch(&mut self, epoch: i32) {
        self.epoch = Some(epoch);
    }
}
