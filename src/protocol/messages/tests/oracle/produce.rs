//! Produce against `kafka-protocol`.

use bytes::Bytes;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{Tags, nullable_string, read_by_oracle, read_from_oracle, string, tags, version};
use crate::protocol::messages::produce as ours;
use crate::wire::Uuid;

fn partition() -> impl Strategy<Value = ours::PartitionProduceResponse> {
    let record_error = (any::<i32>(), nullable_string())
        .prop_map(|(batch_index, message)| ours::RecordError { batch_index, message });
    let leader = prop_oneof![Just([-1, -1]), any::<[i32; 2]>()];
    (any::<i32>(), any::<i16>(), any::<[i64; 3]>(), vec(record_error, 0..3), nullable_string(), leader)
        .prop_map(|(index, error_code, [base, append, start], record_errors, error_message, [id, epoch])| {
            ours::PartitionProduceResponse {
                index,
                error_code,
                base_offset: base,
                log_append_time_ms: append,
                log_start_offset: start,
                record_errors,
                error_message,
                current_leader_id: id,
                current_leader_epoch: epoch,
            }
        })
}

fn topic() -> impl Strategy<Value = ours::TopicProduceResponse> {
    (string(), any::<[u8; 16]>(), vec(partition(), 0..4)).prop_map(|(name, topic_id, partitions)| {
        ours::TopicProduceResponse { name, topic_id: Uuid(topic_id), partitions }
    })
}

fn node() -> impl Strategy<Value = ours::NodeEndpoint> {
    (any::<i32>(), string(), any::<i32>(), nullable_string())
        .prop_map(|(node_id, host, port, rack)| ours::NodeEndpoint { node_id, host, port, rack })
}

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response() -> impl Strategy<Value = (i16, ours::ProduceResponse, ProduceResponse)> {
    let fields = (vec(topic(), 0..4), any::<i32>(), vec(node(), 0..3));
    (version::<ours::ProduceResponse>(), fields, tags()).prop_map(
        |(version, (topics, throttle_time_ms, node_endpoints), tags)| {
            let mut response = ours::ProduceResponse { topics, throttle_time_ms, node_endpoints };
            cut_down(&mut response, version);
            let theirs = theirs(&response, &if version >= 9 { tags } else { Tags::new() });
            (version, response, theirs)
        },
    )
}

/// Takes away what `version` cannot say.
fn cut_down(response: &mut ours::ProduceResponse, version: i16) {
    if version < 10 {
        response.node_endpoints.clear();
    }
    for topic in &mut response.topics {
        if version >= 13 {
            topic.name.clear();
        } else {
            topic.topic_id = Uuid::ZERO;
        }
        for partition in &mut topic.partitions {
            if version < 10 {
                partition.current_leader_id = -1;
                partition.current_leader_epoch = -1;
            }
            if version < 8 {
                partition.record_errors.clear();
                partition.error_message = None;
            }
            if version < 5 {
                partition.log_start_offset = -1;
            }
        }
    }
}

fn theirs(response: &ours::ProduceResponse, tags: &Tags) -> ProduceResponse {
    let topics = response.topics.iter().map(|topic| {
        TopicProduceResponse::default()
            .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
            .with_topic_id(topic.topic_id.0.to_vec().try_into().unwrap())
            .with_partition_responses(
                topic.partitions.iter().map(|partition| their_partition(partition, tags)).collect(),
            )
            .with_unknown_tagged_fields(tags.clone())
    });
    let nodes = response.node_endpoints.iter().map(|node| {
        NodeEndpoint::default()
            .with_node_id(node.node_id.into())
            .with_host(StrBytes::from_string(node.host.clone()))
            .with_port(node.port)
            .with_rack(node.rack.clone().map(StrBytes::from_string))
            .with_unknown_tagged_fields(tags.clone())
    });
    ProduceResponse::default()
        .with_responses(topics.collect())
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_node_endpoints(nodes.collect())
        .with_unknown_tagged_fields(tags.clone())
}

fn their_partition(partition: &ours::PartitionProduceResponse, tags: &Tags) -> PartitionProduceResponse {
    let record_errors = partition.record_errors.iter().map(|error| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(error.batch_index)
            .with_batch_index_error_message(error.message.clone().map(StrBytes::from_string))
            .with_unknown_tagged_fields(tags.clone())
    });
    let mut leader = LeaderIdAndEpoch::default()
        .with_leader_id(partition.current_leader_id.into())
        .with_leader_epoch(partition.current_leader_epoch);
    if leader != LeaderIdAndEpoch::default() {
        leader.unknown_tagged_fields = tags.clone();
    }
    PartitionProduceResponse::default()
        .with_index(partition.index)
        .with_error_code(partition.error_code)
        .with_base_offset(partition.base_offset)
        .with_log_append_time_ms(partition.log_append_time_ms)
        .with_log_start_offset(partition.log_start_offset)
        .with_record_errors(record_errors.collect())
        .with_error_message(partition.error_message.clone().map(StrBytes::from_string))
        .with_current_leader(leader)
        .with_unknown_tagged_fields(tags.clone())
}

fn request() -> impl Strategy<Value = ours::ProduceRequest> {
    let records = prop_oneof![vec(any::<u8>(), 0..40), (1000_usize..3000).prop_map(|length| vec![5; length])];
    let partition = (any::<i32>(), records)
        .prop_map(|(index, records)| ours::PartitionProduceData { index, records: Bytes::from(records) });
    let topic = (string(), any::<[u8; 16]>(), vec(partition, 0..4)).prop_map(|(name, id, partitions)| {
        ours::TopicProduceData { name: name.into(), topic_id: Uuid(id), partitions }
    });
    (nullable_string(), any::<i16>(), any::<i32>(), vec(topic, 0..4)).prop_map(
        |(transactional_id, acks, timeout_ms, topics)| ours::ProduceRequest {
            transactional_id,
            acks,
            timeout_ms,
            topics,
        },
    )
}

proptest! {
    #[test]
    fn oracle_reads_our_request(version in version::<ours::ProduceResponse>(), request in request()) {
        let read: ProduceRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.transactional_id.as_ref().map(|id| id.to_string()), request.transactional_id);
        prop_assert_eq!((read.acks, read.timeout_ms), (request.acks, request.timeout_ms));
        prop_assert_eq!(read.topic_data.len(), request.topics.len());
        for (read, topic) in read.topic_data.iter().zip(&request.topics) {
            let by_id = version >= 13;
            prop_assert_eq!(read.name.as_str(), if by_id { "" } else { &*topic.name });
            prop_assert_eq!(read.topic_id.into_bytes(), if by_id { topic.topic_id.0 } else { [0; 16] });
            prop_assert_eq!(read.partition_data.len(), topic.partitions.len());
            for (read, partition) in read.partition_data.iter().zip(&topic.partitions) {
                prop_assert_eq!(read.index, partition.index);
                prop_assert_eq!(read.records.as_ref(), Some(&partition.records));
            }
        }
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::ProduceResponse>(&theirs, version), ours);
    }
}
