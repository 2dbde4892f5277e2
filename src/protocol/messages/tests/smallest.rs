//! Elements as small as a version can make them: a list of many must not be taken for one that cannot fit.

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ApiVersionsResponse, MetadataResponse, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Encodable, Message};

use super::oracle::written_by_oracle;
use super::{Response, decode};
use crate::protocol::messages::{api_versions, metadata, produce};

/// More than the bytes that come after any list.
const MANY: usize = 500;

fn assert_read<R: Response + Theirs>(
    first: i16,
    response: impl Fn(i16) -> R::Theirs,
    count: impl Fn(R) -> usize,
) {
    for version in R::KEY.versions().filter(|version| *version >= first) {
        let read: R = decode(&written_by_oracle(&response(version), version), version).unwrap();
        assert_eq!(count(read), MANY, "version {version}");
    }
}

/// The response in the words of `kafka-protocol`.
trait Theirs {
    type Theirs: Encodable + Message;
}

impl Theirs for api_versions::ApiVersionsResponse {
    type Theirs = ApiVersionsResponse;
}

impl Theirs for metadata::MetadataResponse {
    type Theirs = MetadataResponse;
}

impl Theirs for produce::ProduceResponse {
    type Theirs = ProduceResponse;
}

#[test]
fn smallest_api_versions_are_read() {
    assert_read::<api_versions::ApiVersionsResponse>(
        0,
        |_| ApiVersionsResponse::default().with_api_keys(vec![ApiVersion::default(); MANY]),
        |read| read.api_keys.len(),
    );
}

#[test]
fn smallest_features_are_read() {
    assert_read::<api_versions::ApiVersionsResponse>(
        3,
        |_| {
            ApiVersionsResponse::default().with_supported_features(vec![SupportedFeatureKey::default(); MANY])
        },
        |read| read.supported_features.len(),
    );
    assert_read::<api_versions::ApiVersionsResponse>(
        3,
        |_| {
            ApiVersionsResponse::default().with_finalized_features(vec![FinalizedFeatureKey::default(); MANY])
        },
        |read| read.finalized_features.len(),
    );
}

#[test]
fn smallest_brokers_are_read() {
    assert_read::<metadata::MetadataResponse>(
        0,
        |_| MetadataResponse::default().with_brokers(vec![MetadataResponseBroker::default(); MANY]),
        |read| read.brokers.len(),
    );
}

/// Without a name, or with an empty one where there must be one.
fn metadata_topic(version: i16) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_name((version < 12).then(TopicName::default))
}

#[test]
fn smallest_topics_are_read() {
    assert_read::<metadata::MetadataResponse>(
        0,
        |version| MetadataResponse::default().with_topics(vec![metadata_topic(version); MANY]),
        |read| read.topics.len(),
    );
}

#[test]
fn smallest_partitions_are_read() {
    let partitions = vec![MetadataResponsePartition::default(); MANY];
    assert_read::<metadata::MetadataResponse>(
        0,
        |version| {
            let topic = metadata_topic(version).with_partitions(partitions.clone());
            MetadataResponse::default().with_topics(vec![topic])
        },
        |read| read.topics.iter().map(|topic| topic.partitions.len()).sum(),
    );
}

#[test]
fn smallest_produced_topics_are_read() {
    assert_read::<produce::ProduceResponse>(
        3,
        |_| ProduceResponse::default().with_responses(vec![TopicProduceResponse::default(); MANY]),
        |read| read.topics.len(),
    );
}

fn produced(partitions: Vec<PartitionProduceResponse>) -> ProduceResponse {
    let topic = TopicProduceResponse::default().with_partition_responses(partitions);
    ProduceResponse::default().with_responses(vec![topic])
}

#[test]
fn smallest_produced_partitions_are_read() {
    assert_read::<produce::ProduceResponse>(
        3,
        |_| produced(vec![PartitionProduceResponse::default(); MANY]),
        |read| read.topics.iter().map(|topic| topic.partitions.len()).sum(),
    );
}

#[test]
fn smallest_record_errors_are_read() {
    let errors = vec![BatchIndexAndErrorMessage::default(); MANY];
    assert_read::<produce::ProduceResponse>(
        8,
        |_| produced(vec![PartitionProduceResponse::default().with_record_errors(errors.clone())]),
        |read| read.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.record_errors.len()).sum(),
    );
}

#[test]
fn smallest_node_endpoints_are_read() {
    assert_read::<produce::ProduceResponse>(
        10,
        |_| ProduceResponse::default().with_node_endpoints(vec![NodeEndpoint::default(); MANY]),
        |read| read.node_endpoints.len(),
    );
}
