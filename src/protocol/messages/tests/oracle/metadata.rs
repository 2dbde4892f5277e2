//! Metadata against `kafka-protocol`.

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::{
    Tags, nullable_string, read_by_oracle, read_from_oracle, string, tags, version, written_by_oracle,
};
use crate::protocol::messages::metadata as ours;
use crate::wire::{Reader, Uuid};

fn broker() -> impl Strategy<Value = ours::MetadataResponseBroker> {
    (any::<i32>(), string(), any::<i32>(), nullable_string())
        .prop_map(|(node_id, host, port, rack)| ours::MetadataResponseBroker { node_id, host, port, rack })
}

fn partition() -> impl Strategy<Value = ours::MetadataResponsePartition> {
    let nodes = || vec(any::<i32>(), 0..4);
    (any::<i16>(), any::<[i32; 3]>(), nodes(), nodes()).prop_map(
        |(error_code, [partition_index, leader_id, leader_epoch], replica_nodes, isr_nodes)| {
            ours::MetadataResponsePartition {
                error_code,
                partition_index,
                leader_id,
                leader_epoch,
                replica_nodes,
                isr_nodes,
            }
        },
    )
}

fn topic() -> impl Strategy<Value = ours::MetadataResponseTopic> {
    (any::<i16>(), nullable_string(), any::<[u8; 16]>(), any::<bool>(), vec(partition(), 0..4)).prop_map(
        |(error_code, name, topic_id, is_internal, partitions)| ours::MetadataResponseTopic {
            error_code,
            name,
            topic_id: Uuid(topic_id),
            is_internal,
            partitions,
        },
    )
}

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response() -> impl Strategy<Value = (i16, ours::MetadataResponse, MetadataResponse)> {
    let fields = (any::<i32>(), vec(broker(), 0..4), nullable_string(), any::<i32>(), vec(topic(), 0..4));
    (version::<ours::MetadataResponse>(), fields, any::<i16>(), any::<i32>(), tags()).prop_map(
        |(
            version,
            (throttle_time_ms, brokers, cluster_id, controller_id, topics),
            error_code,
            operations,
            tags,
        )| {
            let mut response = ours::MetadataResponse {
                throttle_time_ms,
                brokers,
                cluster_id,
                controller_id,
                topics,
                error_code,
            };
            cut_down(&mut response, version);
            let tags = if version >= 9 { tags } else { Tags::new() };
            let theirs = theirs(&response, version, operations, &tags);
            (version, response, theirs)
        },
    )
}

/// Takes away what `version` cannot say.
fn cut_down(response: &mut ours::MetadataResponse, version: i16) {
    for topic in &mut response.topics {
        if version < 12 {
            topic.name.get_or_insert_default();
        }
        if version < 10 {
            topic.topic_id = Uuid::ZERO;
        }
        topic.is_internal &= version >= 1;
        for partition in &mut topic.partitions {
            if version < 7 {
                partition.leader_epoch = -1;
            }
        }
    }
    if version < 13 {
        response.error_code = 0;
    }
    if version < 3 {
        response.throttle_time_ms = 0;
    }
    if version < 2 {
        response.cluster_id = None;
    }
    if version < 1 {
        response.controller_id = -1;
        response.brokers.iter_mut().for_each(|broker| broker.rack = None);
    }
}

fn theirs(response: &ours::MetadataResponse, version: i16, operations: i32, tags: &Tags) -> MetadataResponse {
    let brokers = response.brokers.iter().map(|broker| {
        MetadataResponseBroker::default()
            .with_node_id(broker.node_id.into())
            .with_host(StrBytes::from_string(broker.host.clone()))
            .with_port(broker.port)
            .with_rack(broker.rack.clone().map(StrBytes::from_string))
            .with_unknown_tagged_fields(tags.clone())
    });
    let topics = response.topics.iter().map(|topic| {
        let mut theirs = MetadataResponseTopic::default()
            .with_error_code(topic.error_code)
            .with_name(topic.name.clone().map(|name| TopicName(StrBytes::from_string(name))))
            .with_topic_id(topic.topic_id.0.to_vec().try_into().unwrap())
            .with_is_internal(topic.is_internal)
            .with_partitions(
                topic.partitions.iter().map(|partition| their_partition(partition, version, tags)).collect(),
            )
            .with_unknown_tagged_fields(tags.clone());
        if version >= 8 {
            theirs.topic_authorized_operations = operations;
        }
        theirs
    });
    let mut theirs = MetadataResponse::default()
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_brokers(brokers.collect())
        .with_cluster_id(response.cluster_id.clone().map(StrBytes::from_string))
        .with_controller_id(response.controller_id.into())
        .with_topics(topics.collect())
        .with_error_code(response.error_code)
        .with_unknown_tagged_fields(tags.clone());
    if (8..=10).contains(&version) {
        theirs.cluster_authorized_operations = operations;
    }
    theirs
}

fn their_partition(
    partition: &ours::MetadataResponsePartition,
    version: i16,
    tags: &Tags,
) -> MetadataResponsePartition {
    let nodes = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    // Not read by us, so any will do.
    let offline = if version >= 5 { nodes(&partition.isr_nodes) } else { Vec::new() };
    MetadataResponsePartition::default()
        .with_error_code(partition.error_code)
        .with_partition_index(partition.partition_index)
        .with_leader_id(partition.leader_id.into())
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(nodes(&partition.replica_nodes))
        .with_isr_nodes(nodes(&partition.isr_nodes))
        .with_offline_replicas(offline)
        .with_unknown_tagged_fields(tags.clone())
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in version::<ours::MetadataResponse>(),
        topics in option::of(vec((any::<[u8; 16]>(), nullable_string()), 1..4)),
        create: bool,
    ) {
        let topics = topics.map(|topics| {
            let by_id = version >= 12;
            let topic = |(id, name): ([u8; 16], Option<String>)| ours::MetadataRequestTopic {
                topic_id: Uuid(id),
                name: if by_id { name } else { Some(name.unwrap_or_default()) },
            };
            topics.into_iter().map(topic).collect::<Vec<_>>()
        });
        let allow_auto_topic_creation = create || version < 4;
        let request = ours::MetadataRequest { topics, allow_auto_topic_creation };
        let read: MetadataRequest = read_by_oracle(&request, version);

        // Every topic is null, but for version 0.
        prop_assert_eq!(read.topics.is_none(), version > 0 && request.topics.is_none());
        let (read_topics, topics) = (read.topics.unwrap_or_default(), request.topics.unwrap_or_default());
        prop_assert_eq!(read_topics.len(), topics.len());
        for (read, topic) in read_topics.iter().zip(topics) {
            prop_assert_eq!(read.name.as_ref().map(|name| name.to_string()), topic.name);
            let id = if version >= 12 { topic.topic_id } else { Uuid::ZERO };
            prop_assert_eq!(read.topic_id.into_bytes(), id.0);
        }
        prop_assert_eq!(read.allow_auto_topic_creation, allow_auto_topic_creation);
        prop_assert!(!read.include_cluster_authorized_operations);
        prop_assert!(!read.include_topic_authorized_operations);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::MetadataResponse>(&theirs, version), ours);
    }

    #[test]
    fn topics_that_are_not_asked_for_are_passed_over((version, ours, theirs) in response()) {
        let bytes = written_by_oracle(&theirs, version);
        let is_odd = |name: Option<&str>| name.is_some_and(|name| name.len() % 2 == 1);

        let read = ours::MetadataResponse::decode_asked(&mut Reader::new(&bytes), version, is_odd);

        let mut expected = ours;
        expected.topics.retain(|topic| is_odd(topic.name.as_deref()));
        prop_assert_eq!(read, Ok(expected));
    }
}
