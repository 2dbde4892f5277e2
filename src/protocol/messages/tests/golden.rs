//! Messages, compared with bytes that Java's client has written.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::{Request, Response, decode, encode};
use crate::protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use crate::protocol::messages::add_partitions_to_txn::AddPartitionsToTxnRequest;
use crate::protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeature, SupportedFeature,
};
use crate::protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use crate::protocol::messages::find_coordinator::{
    Coordinator, CoordinatorType, FindCoordinatorRequest, FindCoordinatorResponse,
};
use crate::protocol::messages::get_telemetry_subscriptions::GetTelemetrySubscriptionsRequest;
use crate::protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::produce::{
    NodeEndpoint, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    RecordError, TopicProduceData, TopicProduceResponse,
};
use crate::protocol::messages::push_telemetry::PushTelemetryRequest;
use crate::protocol::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use crate::protocol::messages::sasl_handshake::SaslHandshakeRequest;
use crate::protocol::messages::txn_offset_commit::{
    CommittedPartition, CommittedTopic, GroupMember, TxnOffsetCommitRequest,
};
use crate::protocol::testdata::golden;
use crate::topic_partition::Topic;
use crate::wire::Uuid;

const TOPIC_ID: Uuid =
    Uuid([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);

/// Checks that every version of the request that we speak is written as Java writes it.
fn assert_written<R: Request>(name: &str, request: impl Fn(i16) -> R) {
    assert_written_in(R::KEY.versions(), name, request);
}

fn assert_written_in<R: Request>(versions: RangeInclusive<i16>, name: &str, request: impl Fn(i16) -> R) {
    let golden = golden(name);
    for version in versions {
        let (_, bytes) = golden.iter().find(|line| line.0 == version).unwrap();

        assert_eq!(encode(&request(version), version).as_ref(), Ok(bytes), "{name} version {version}");
    }
}

/// Checks that every version from `first` on is read as what Java wrote.
fn assert_read<R: Response>(name: &str, first: i16, response: impl Fn(i16) -> R) {
    assert_read_in(first..=*R::KEY.versions().end(), name, response);
}

fn assert_read_in<R: Response>(versions: RangeInclusive<i16>, name: &str, response: impl Fn(i16) -> R) {
    let golden = golden(name);
    for version in versions {
        let (_, bytes) = golden.iter().find(|line| line.0 == version).unwrap();

        assert_eq!(decode(bytes, version), Ok(response(version)), "{name} version {version}");
    }
}

#[test]
fn api_versions_request_equals_that_of_java() {
    assert_written("ApiVersionsRequest[rust-client,1.0.0]", |_| ApiVersionsRequest {
        client_software_name: "rust-client".into(),
        client_software_version: "1.0.0".into(),
        cluster_id: None,
        node_id: -1,
    });
    assert_written("ApiVersionsRequest[rust-client,1.0.0,cluster 4L6g3nShT-eMCtK--X86sw,node 3]", |_| {
        ApiVersionsRequest {
            client_software_name: "rust-client".into(),
            client_software_version: "1.0.0".into(),
            cluster_id: Some("4L6g3nShT-eMCtK--X86sw".into()),
            node_id: 3,
        }
    });
}

#[test]
fn api_versions_response_of_java_is_read() {
    let name = "ApiVersionsResponse[Produce 0..13, epoch 12, transaction.version supported 0..2 finalized 2]";
    assert_read(name, 0, |version| {
        let mut response = ApiVersionsResponse {
            api_keys: vec![ApiVersion { api_key: 0, min_version: 0, max_version: 13 }],
            finalized_features_epoch: -1,
            ..Default::default()
        };
        if version >= 3 {
            let name = String::from("transaction.version");
            let (max_version_level, min_version_level) = (2, 2);
            response.supported_features =
                vec![SupportedFeature { name: name.clone(), min_version: 0, max_version: 2 }];
            response.finalized_features_epoch = 12;
            response.finalized_features =
                vec![FinalizedFeature { name, max_version_level, min_version_level }];
        }
        response
    });
}

#[test]
fn metadata_request_equals_that_of_java() {
    assert_written("MetadataRequest[topic-1,autoCreate=true]", |_| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id: Uuid::ZERO, name: Some("topic-1".into()) }]),
        allow_auto_topic_creation: true,
    });
}

#[test]
fn metadata_response_of_java_is_read() {
    let name = "MetadataResponse[cid,ctl=1,broker(1,h,9092,null),topic-1 p0 leader1 epoch5]";
    assert_read(name, 0, |version| MetadataResponse {
        throttle_time_ms: 0,
        brokers: vec![MetadataResponseBroker { node_id: 1, host: "h".into(), port: 9092, rack: None }],
        cluster_id: (version >= 2).then(|| "cid".into()),
        controller_id: if version >= 1 { 1 } else { -1 },
        topics: vec![MetadataResponseTopic {
            error_code: 0,
            name: Some("topic-1".into()),
            topic_id: if version >= 10 { TOPIC_ID } else { Uuid::ZERO },
            is_internal: false,
            partitions: vec![MetadataResponsePartition {
                error_code: 0,
                partition_index: 0,
                leader_id: 1,
                leader_epoch: if version >= 7 { 5 } else { -1 },
                replica_nodes: vec![1],
                isr_nodes: vec![1],
            }],
        }],
        error_code: 0,
    });
}

#[test]
fn produce_request_equals_that_of_java() {
    let name = "ProduceRequest[acks=-1,timeout=30000,txn=null,topic-1/id p3 one record k/v ts=1700000000000]";
    let (_, version_3) = golden(name).remove(0);
    // Acks, timeout, the topic's name and the counts come before the batch; nothing comes after it.
    let records = Bytes::from(version_3).slice(33..);
    assert_eq!(records.len(), 70);

    assert_written(name, |_| ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30_000,
        topics: vec![TopicProduceData {
            name: "topic-1".into(),
            topic_id: TOPIC_ID,
            partitions: vec![PartitionProduceData { index: 3, records: records.clone() }],
        }],
    });
}

fn produce_response(version: i16, partitions: Vec<PartitionProduceResponse>) -> ProduceResponse {
    let by_id = version >= 13;
    ProduceResponse {
        topics: vec![TopicProduceResponse {
            name: if by_id { String::new() } else { "topic-1".into() },
            topic_id: if by_id { TOPIC_ID } else { Uuid::ZERO },
            partitions,
        }],
        throttle_time_ms: 7,
        node_endpoints: Vec::new(),
    }
}

fn partition(index: i32, error_code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code,
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        record_errors: Vec::new(),
        error_message: None,
        current_leader_id: -1,
        current_leader_epoch: -1,
    }
}

#[test]
fn produce_response_of_java_is_read() {
    assert_read("ProduceResponse[throttle=7,p3 ok base=42 logStart=0]", 3, |version| {
        let log_start_offset = if version >= 5 { 0 } else { -1 };
        let partition = PartitionProduceResponse { base_offset: 42, log_start_offset, ..partition(3, 0) };
        produce_response(version, vec![partition])
    });
}

#[test]
fn produce_response_of_java_with_new_leader_is_read() {
    let name = "ProduceResponse[throttle=7,p3 err6 leader(2,9) msg=moved,p4 err87 recordErrors[1:bad] \
                logStart=5,node(2,b2,9093,r)] v<10 without leader fields fails by design unless ignorable";
    assert_read(name, 10, |version| {
        let moved = PartitionProduceResponse {
            error_message: Some("moved".into()),
            current_leader_id: 2,
            current_leader_epoch: 9,
            ..partition(3, 6)
        };
        let refused = PartitionProduceResponse {
            log_start_offset: 5,
            record_errors: vec![RecordError { batch_index: 1, message: Some("bad".into()) }],
            ..partition(4, 87)
        };
        let node = NodeEndpoint { node_id: 2, host: "b2".into(), port: 9093, rack: Some("r".into()) };
        ProduceResponse { node_endpoints: vec![node], ..produce_response(version, vec![moved, refused]) }
    });
}

#[test]
fn init_producer_id_request_equals_that_of_java() {
    let request = |transactional_id: Option<&str>, transaction_timeout_ms| InitProducerIdRequest {
        transactional_id: transactional_id.map(str::to_owned),
        transaction_timeout_ms,
        producer_id: -1,
        producer_epoch: -1,
    };

    assert_written("InitProducerIdRequest[txn=tx,timeout=60000,pid=-1,epoch=-1]", |_| {
        request(Some("tx"), 60_000)
    });
    assert_written("InitProducerIdRequest[txn=null,timeout=2147483647]", |_| request(None, i32::MAX));
}

#[test]
fn init_producer_id_response_of_java_is_read() {
    assert_read("InitProducerIdResponse[pid=4000,epoch=3]", 0, |_| InitProducerIdResponse {
        throttle_time_ms: 0,
        error_code: 0,
        producer_id: 4000,
        producer_epoch: 3,
    });
}

#[test]
fn telemetry_requests_equal_those_of_java() {
    assert_written("GetTelemetrySubscriptionsRequest[zero uuid]", |_| GetTelemetrySubscriptionsRequest {
        client_instance_id: Uuid::ZERO,
    });
    assert_written("PushTelemetryRequest[id,sub 7,term=false,comp=0,metrics=0a]", |_| PushTelemetryRequest {
        client_instance_id: TOPIC_ID,
        subscription_id: 7,
        terminating: false,
        compression_type: 0,
        metrics: Bytes::from_static(&[0x0a]),
    });
}

#[test]
fn sasl_requests_equal_those_of_java() {
    assert_written("SaslHandshakeRequest[SCRAM-SHA-256]", |_| SaslHandshakeRequest {
        mechanism: "SCRAM-SHA-256".into(),
    });
    assert_written("SaslAuthenticateRequest[00616200]", |_| SaslAuthenticateRequest {
        auth_bytes: Bytes::from_static(b"\0ab\0"),
    });
}

#[test]
fn sasl_authenticate_response_of_java_is_read() {
    assert_read("SaslAuthenticateResponse[ok,bytes=01,lifetime=3600000]", 0, |version| {
        SaslAuthenticateResponse {
            error_code: 0,
            error_message: Some(String::new()),
            auth_bytes: vec![1],
            session_lifetime_ms: if version >= 1 { 3_600_000 } else { 0 },
        }
    });
}

const TRANSACTIONAL_ID: &str = "tx";

#[test]
fn find_coordinator_request_equals_that_of_java() {
    let request =
        |_| FindCoordinatorRequest { key: TRANSACTIONAL_ID.into(), key_type: CoordinatorType::Transaction };
    assert_written_in(1..=3, "FindCoordinatorRequest[key=tx,type=1]", request);
    assert_written_in(4..=6, "FindCoordinatorRequest[keys=[tx],type=1]", request);
}

#[test]
fn find_coordinator_response_of_java_is_read() {
    let response = |version| FindCoordinatorResponse {
        throttle_time_ms: 0,
        coordinators: vec![Coordinator {
            key: if version >= 4 { TRANSACTIONAL_ID.into() } else { String::new() },
            node_id: 1,
            host: "h".into(),
            port: 9092,
            error_code: 0,
            // Java wrote an empty text where there was no error.
            error_message: (version >= 1).then(String::new),
        }],
    };
    assert_read_in(0..=3, "FindCoordinatorResponse[(1,h,9092)]", response);
    assert_read_in(4..=6, "FindCoordinatorResponse[tx->(1,h,9092)]", response);
}

#[test]
fn requests_of_transactions_equal_those_of_java() {
    assert_written("AddPartitionsToTxnRequest[tx,4000,3,topic-1[0,3]]", |_| AddPartitionsToTxnRequest {
        transactional_id: TRANSACTIONAL_ID.into(),
        producer_id: 4000,
        producer_epoch: 3,
        topics: vec![(Topic::from("topic-1"), vec![0, 3])],
    });
    assert_written("AddOffsetsToTxnRequest[tx,4000,3,group g]", |_| AddOffsetsToTxnRequest {
        transactional_id: TRANSACTIONAL_ID.into(),
        producer_id: 4000,
        producer_epoch: 3,
        group_id: "g".into(),
    });
    assert_written("EndTxnRequest[tx,4000,3,commit]", |_| EndTxnRequest {
        transactional_id: TRANSACTIONAL_ID.into(),
        producer_id: 4000,
        producer_epoch: 3,
        committed: true,
    });
}

#[test]
fn txn_offset_commit_request_equals_that_of_java() {
    let name = "TxnOffsetCommitRequest[tx,g,4000,3,gen2,m,null,topic-1 p0 off10 ep5 md='']";
    assert_written_in(3..=6, name, |_| TxnOffsetCommitRequest {
        transactional_id: TRANSACTIONAL_ID.into(),
        group_id: "g".into(),
        producer_id: 4000,
        producer_epoch: 3,
        member: GroupMember {
            generation_id_or_member_epoch: 2,
            member_id: "m".into(),
            group_instance_id: None,
        },
        topics: vec![CommittedTopic {
            name: Topic::from("topic-1"),
            topic_id: TOPIC_ID,
            partitions: vec![CommittedPartition {
                index: 0,
                offset: 10,
                leader_epoch: 5,
                metadata: Some(String::new()),
            }],
        }],
    });
}

#[test]
fn end_txn_response_of_java_is_read() {
    assert_read("EndTxnResponse[ok,pid=4000,epoch=4]", 0, |version| EndTxnResponse {
        throttle_time_ms: 0,
        error_code: 0,
        producer_id: if version >= 5 { 4000 } else { -1 },
        producer_epoch: if version >= 5 { 4 } else { -1 },
    });
}
