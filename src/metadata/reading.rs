//! Reads what an answer says of brokers and topics, and holds it against what was known.

use std::collections::BTreeMap;

use crate::config::HostPort;
use crate::protocol::messages::metadata::{MetadataResponse, MetadataResponseTopic};
use crate::protocol::messages::metadata::{MetadataResponseBroker, MetadataResponsePartition};
use crate::protocol::messages::produce::NodeEndpoint;
use crate::topic_partition::{NodeId, Topic};
use crate::wire::Uuid;

use super::node::Node;
use super::topic_info::{PartitionInfo, TopicInfo};

/// What an answer says of one topic.
#[derive(Debug)]
pub(super) struct TopicReading {
    pub(super) topic: TopicInfo,
    /// Whether the answer is newer than what was known.
    pub(super) is_progress: bool,
    /// Whether some partition is described with an error.
    pub(super) is_incomplete: bool,
}

/// Returns the brokers of an answer but for those that nobody could connect to. A negative id would be taken
/// for an entry of `bootstrap.servers`.
pub(super) fn read_nodes(response: &MetadataResponse) -> Vec<Node> {
    response.brokers.iter().filter_map(read_node).collect()
}

/// Returns the node that an endpoint stands for, unless nobody could connect to it.
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

/// Reads a topic without an error. `epochs` are the highest leader epochs seen of its partitions; they are
/// brought up to date.
///
/// A description with a lower epoch comes from a broker that lags behind and does not count, unless the topic
/// was made anew: then its id differs and its epochs begin again.
pub(super) fn read_topic(
    answer: &MetadataResponseTopic,
    name: &Topic,
    known: Option<&TopicInfo>,
    epochs: &mut BTreeMap<i32, i32>,
    has_reliable_epochs: bool,
) -> TopicReading {
    let known_id = known.map_or_else(Uuid::default, TopicInfo::id);
    let is_other_topic = answer.topic_id != Uuid::default() && answer.topic_id != known_id;
    if is_other_topic {
        epochs.clear();
    }

    let mut is_progress = is_other_topic;
    let mut partitions = Vec::with_capacity(answer.partitions.len());
    for partition in &answer.partitions {
        let known = known.and_then(|known| known.partition(partition.partition_index));
        let reading = read_partition(partition, known, epochs, has_reliable_epochs);
        is_progress |= reading.is_progress;
        partitions.push(reading.partition);
    }

    let topic =
        TopicInfo::new(name.clone(), partitions).with_id(answer.topic_id).with_internal(answer.is_internal);
    epochs.retain(|number, _| topic.partition(*number).is_some());
    let is_incomplete = answer.partitions.iter().any(|p| p.error_code != 0);
    TopicReading { topic, is_progress, is_incomplete }
}

struct PartitionReading {
    partition: PartitionInfo,
    is_progress: bool,
}

fn read_partition(
    answer: &MetadataResponsePartition,
    known: Option<&PartitionInfo>,
    epochs: &mut BTreeMap<i32, i32>,
    has_reliable_epochs: bool,
) -> PartitionReading {
    let number = answer.partition_index;
    let partition = PartitionInfo::new(number, read_node_id(answer.leader_id))
        .with_replicas(read_node_ids(&answer.replica_nodes), read_node_ids(&answer.isr_nodes));

    if !has_reliable_epochs || answer.leader_epoch < 0 {
        epochs.remove(&number);
        let is_same = known.is_some_and(|known| known.is_reported_like(&partition));
        return PartitionReading { partition, is_progress: !has_reliable_epochs || !is_same };
    }

    let epoch = answer.leader_epoch;
    let last_epoch = epochs.get(&number).copied();
    if last_epoch.is_some_and(|last| epoch < last) {
        // The partition stays even if nothing else is known of it, for keys are hashed over the count.
        let partition = known.cloned().unwrap_or_else(|| PartitionInfo::new(number, None));
        return PartitionReading { partition, is_progress: false };
    }
    epochs.insert(number, epoch);
    PartitionReading {
        partition: partition.with_leader_epoch(Some(epoch)),
        is_progress: last_epoch != Some(epoch),
    }
}

fn read_node_ids(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}
