//! Reads what an answer says of brokers and topics, and holds it against what was known.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::config::HostPort;
use crate::protocol::messages::metadata::{MetadataResponse, MetadataResponseTopic};
use crate::protocol::messages::metadata::{MetadataResponseBroker, MetadataResponsePartition};
use crate::protocol::messages::produce::NodeEndpoint;
use crate::topic_partition::{NodeId, Topic};
use crate::wire::Uuid;

use super::leader_epochs::{Claim, LeaderEpochs};
use super::node::Node;
use super::topic_info::{PartitionInfo, Replicas, TopicInfo};

/// What an answer says of one topic.
#[derive(Debug)]
pub(super) struct TopicReading {
    pub(super) topic: TopicInfo,
    /// Whether the answer is newer than what was known.
    pub(super) is_progress: bool,
    /// Whether some partition is described with an error, or in a way that was not believed.
    pub(super) is_incomplete: bool,
}

/// Returns the brokers of an answer but for those that no client could connect to. A negative id would be taken
/// for an entry of `bootstrap.servers`.
pub(super) fn read_nodes(response: &MetadataResponse) -> Vec<Node> {
    response.brokers.iter().filter_map(read_node).collect()
}

/// Returns the node that an endpoint stands for, unless no client could connect to it.
pub(super) fn read_endpoint(endpoint: &NodeEndpoint) -> Option<Node> {
    new_node(endpoint.node_id, &endpoint.host, endpoint.port, endpoint.rack.as_deref())
}

fn read_node(broker: &MetadataResponseBroker) -> Option<Node> {
    new_node(broker.node_id, &broker.host, broker.port, broker.rack.as_deref())
}

fn new_node(id: i32, host: &str, port: i32, rack: Option<&str>) -> Option<Node> {
    let node = Node::at(read_node_id(id)?, HostPort::from_wire(host, port)?);
    Some(match rack {
        Some(rack) => node.with_rack(rack),
        None => node,
    })
}

pub(super) fn read_node_id(id: i32) -> Option<NodeId> {
    (id >= 0).then_some(NodeId(id))
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The brokers that it names. Every partition asks for one, and an answer may have very many of both.
    pub(super) nodes: &'a BTreeSet<NodeId>,
    pub(super) has_reliable_epochs: bool,
    pub(super) now: Instant,
}

/// Reads a topic without an error. `epochs` are brought up to date.
///
/// A description with a lower epoch comes from a broker that lags behind and does not count, unless the topic
/// was made anew: then its id differs and its epochs begin again. A leader that is known stays when an answer names none
/// in the same epoch. But what answers repeat is believed in the end.
pub(super) fn read_topic(
    answer: &MetadataResponseTopic,
    name: &Topic,
    known: Option<&TopicInfo>,
    epochs: &mut LeaderEpochs,
    source: Source<'_>,
) -> TopicReading {
    let known_id = known.map_or_else(Uuid::default, TopicInfo::id);
    let is_other_topic = answer.topic_id != Uuid::default() && answer.topic_id != known_id;
    if is_other_topic {
        epochs.clear();
    }

    let denials = known.map_or(0, TopicInfo::denials_when_described);
    let mut is_progress = is_other_topic;
    let mut is_incomplete = answer.partitions.iter().any(|p| p.error_code != 0);
    let mut partitions = Vec::with_capacity(answer.partitions.len());
    let known = known.filter(|_| !is_other_topic);
    let mut shared = SharedReplicas::default();
    for partition in &answer.partitions {
        let known = known.and_then(|known| known.partition(partition.partition_index));
        let reading = read_partition(partition, known, epochs, &mut shared, source);
        is_progress |= reading.is_progress;
        is_incomplete |= reading.is_doubtful;
        partitions.push(reading.partition);
    }

    let topic =
        TopicInfo::new(name.clone(), partitions).with_id(answer.topic_id).with_internal(answer.is_internal);
    let topic = topic.with_denials(denials);
    epochs.retain(|number| topic.partition(number).is_some());
    TopicReading { topic, is_progress, is_incomplete }
}

struct PartitionReading {
    partition: PartitionInfo,
    is_progress: bool,
    /// Whether the answer was not believed, so that others must be heard.
    is_doubtful: bool,
}

fn read_partition<'a>(
    answer: &'a MetadataResponsePartition,
    known: Option<&PartitionInfo>,
    epochs: &mut LeaderEpochs,
    shared: &mut SharedReplicas<'a>,
    source: Source<'_>,
) -> PartitionReading {
    let number = answer.partition_index;
    let epoch = (source.has_reliable_epochs && answer.leader_epoch >= 0).then_some(answer.leader_epoch);
    let last_epoch = epochs.highest(number);
    if !is_believed(answer, epoch, known, epochs, source) {
        // The partition stays even if nothing else is known of it: the count of partitions decides where keys go.
        let partition = known.cloned().unwrap_or_else(|| PartitionInfo::new(number, None));
        return PartitionReading { partition, is_progress: false, is_doubtful: true };
    }

    let partition =
        PartitionInfo::new(number, read_node_id(answer.leader_id)).with_shared_replicas(shared.read(answer));
    if known.is_none_or(|known| !known.has_reported_leader_of(&partition)) {
        epochs.settle(number);
    }
    let Some(epoch) = epoch else {
        epochs.forget(number);
        let is_same = known.is_some_and(|known| known.is_reported_like(&partition));
        let is_progress = !source.has_reliable_epochs || !is_same;
        return PartitionReading { partition, is_progress, is_doubtful: false };
    };
    epochs.set(number, epoch);
    PartitionReading {
        partition: partition.with_leader_epoch(Some(epoch)),
        is_progress: last_epoch != Some(epoch),
        is_doubtful: false,
    }
}

/// Whether an answer is to take the place of what is known of a partition.
fn is_believed(
    answer: &MetadataResponsePartition,
    epoch: Option<i32>,
    known: Option<&PartitionInfo>,
    epochs: &mut LeaderEpochs,
    source: Source<'_>,
) -> bool {
    let number = answer.partition_index;
    let leader = read_node_id(answer.leader_id);
    let known_leader = known.and_then(PartitionInfo::reported_leader);
    let is_there = |leader| source.nodes.contains(&leader);
    let is_healthy = |epochs: &LeaderEpochs| known_leader.is_some_and(is_there) && !epochs.is_denied(number);
    let order = epoch.zip(epochs.highest(number)).map(|(epoch, highest)| epoch.cmp(&highest));
    let claim = match (order, epoch, leader) {
        (Some(Ordering::Greater), _, _) => None,
        // A broker that knows no leader may not know the newer epoch, either.
        (Some(Ordering::Less), _, None) => return false,
        (Some(Ordering::Less), Some(epoch), Some(leader)) => Some(Claim::Older { leader, epoch }),
        (_, _, None) if is_healthy(epochs) => Some(Claim::NoLeader),
        _ => None,
    };
    match claim {
        Some(claim) => {
            let is_urgent = !is_healthy(epochs);
            epochs.contradict(number, claim, is_urgent, source.now)
        }
        None => {
            epochs.confirm(number);
            true
        }
    }
}

/// The replicas that the partitions of a topic have, each kept once: there are many partitions, but few ways to place them.
#[derive(Debug, Default)]
struct SharedReplicas<'a>(HashMap<ReplicaIds<'a>, Option<Arc<Replicas>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ReplicaIds<'a> {
    all: &'a [i32],
    in_sync: &'a [i32],
}

impl<'a> SharedReplicas<'a> {
    fn read(&mut self, answer: &'a MetadataResponsePartition) -> Option<Arc<Replicas>> {
        let ids = ReplicaIds { all: &answer.replica_nodes, in_sync: &answer.isr_nodes };
        let read = || Replicas::new(read_node_ids(ids.all), read_node_ids(ids.in_sync));
        self.0.entry(ids).or_insert_with(read).clone()
    }
}

fn read_node_ids(ids: &[i32]) -> Box<[NodeId]> {
    ids.iter().copied().map(NodeId).collect()
}
