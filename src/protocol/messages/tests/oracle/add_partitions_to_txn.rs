//! AddPartitionsToTxn against `kafka-protocol`.

use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, read_by_oracle, read_from_oracle, string, tags, version};
use crate::protocol::messages::add_partitions_to_txn as ours;
use crate::topic_partition::Topic;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::AddPartitionsToTxnResponse, AddPartitionsToTxnResponse)> {
    let topic = (string(), vec(any::<(i32, i16)>(), 0..4))
        .prop_map(|(name, partitions)| ours::AddedTopic { name, partitions });
    (version::<ours::AddPartitionsToTxnResponse>(), any::<i32>(), vec(topic, 0..4), tags()).prop_map(
        |(version, throttle_time_ms, topics, tags)| {
            let ours = ours::AddPartitionsToTxnResponse { throttle_time_ms, topics };
            let theirs = theirs(&ours, &if version >= 3 { tags } else { Tags::new() });
            (version, ours, theirs)
        },
    )
}

fn theirs(response: &ours::AddPartitionsToTxnResponse, tags: &Tags) -> AddPartitionsToTxnResponse {
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|(index, code)| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(*code)
                .with_unknown_tagged_fields(tags.clone())
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
            .with_results_by_partition(partitions.collect())
            .with_unknown_tagged_fields(tags.clone())
    });
    AddPartitionsToTxnResponse::default()
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_results_by_topic_v3_and_below(topics.collect())
        .with_unknown_tagged_fields(tags.clone())
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in version::<ours::AddPartitionsToTxnResponse>(),
        transactional_id in string(),
        producer_id: i64,
        producer_epoch: i16,
        topics in vec((string().prop_map(Topic::from), vec(any::<i32>(), 0..4)), 0..4),
    ) {
        let request =
            ours::AddPartitionsToTxnRequest { transactional_id, producer_id, producer_epoch, topics };
        let read: AddPartitionsToTxnRequest = read_by_oracle(&request, version);

        prop_assert_eq!(read.v3_and_below_transactional_id.to_string(), request.transactional_id);
        let identity = (read.v3_and_below_producer_id.0, read.v3_and_below_producer_epoch);
        prop_assert_eq!(identity, (producer_id, producer_epoch));
        let read = read.v3_and_below_topics.into_iter();
        let read: Vec<_> = read.map(|topic| (Topic::from(topic.name.to_string()), topic.partitions)).collect();
        prop_assert_eq!(read, request.topics);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::AddPartitionsToTxnResponse>(&theirs, version), ours);
    }
}
