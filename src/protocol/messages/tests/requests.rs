//! What versions cannot say, and what is not copied.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use bytes::Bytes;

use super::{Request, encode};
use crate::protocol::ApiKey;
use crate::protocol::messages::api_versions::ApiVersionsRequest;
use crate::protocol::messages::init_producer_id::InitProducerIdRequest;
use crate::protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceRequestHead, TopicProduceData,
};
use crate::protocol::messages::sasl_authenticate::SaslAuthenticateRequest;
use crate::protocol::messages::sasl_handshake::SaslHandshakeRequest;
use crate::wire::{EncodeError, Uuid, Writer};

fn metadata_request() -> MetadataRequest {
    MetadataRequest { topics: None, allow_auto_topic_creation: true }
}

fn produce_request() -> ProduceRequest {
    ProduceRequest { transactional_id: None, acks: 1, timeout_ms: 1, topics: Vec::new() }
}

fn assert_unknown_versions_are_refused<R: Request>(request: &R) {
    let (first, last) = R::KEY.versions().into_inner();
    for version in [i16::MIN, first - 1, last + 1, i16::MAX] {
        assert_eq!(encode(request, version), Err(EncodeError::UnknownVersion(version)));
    }
}

#[test]
fn unknown_versions_are_refused() {
    let name = String::new();
    assert_unknown_versions_are_refused(&ApiVersionsRequest {
        client_software_name: name.clone(),
        client_software_version: name,
        cluster_id: None,
        node_id: -1,
    });
    assert_unknown_versions_are_refused(&metadata_request());
    assert_unknown_versions_are_refused(&produce_request());
    assert_unknown_versions_are_refused(&InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 0,
        producer_id: -1,
        producer_epoch: -1,
    });
    assert_unknown_versions_are_refused(&SaslHandshakeRequest { mechanism: String::new() });
    assert_unknown_versions_are_refused(&SaslAuthenticateRequest { auth_bytes: Bytes::new() });
}

#[test]
fn words_of_a_mechanism_are_not_told_when_debugging() {
    let request = SaslAuthenticateRequest { auth_bytes: Bytes::from_static(b"secret") };

    assert_eq!(format!("{request:?}"), "SaslAuthenticateRequest { .. }");
}

#[test]
fn every_topic_is_an_empty_list_in_version_0_and_null_later() {
    assert_eq!(encode(&metadata_request(), 0).unwrap(), [0, 0, 0, 0]);
    assert_eq!(encode(&metadata_request(), 1).unwrap(), [0xff, 0xff, 0xff, 0xff]);
    assert_eq!(encode(&metadata_request(), 9).unwrap(), [0, 1, 0, 0, 0]);
}

#[test]
fn no_topic_is_not_mistaken_for_every_topic() {
    let request = MetadataRequest { topics: Some(Vec::new()), ..metadata_request() };

    let error = EncodeError::NotInVersion { what: "no topics", version: 0 };
    assert_eq!(encode(&request, 0), Err(error));
    assert_eq!(encode(&request, 1).unwrap(), [0, 0, 0, 0]);
    assert_eq!(encode(&request, 12).unwrap(), [1, 1, 0, 0]);
}

#[test]
fn topics_are_not_created_behind_ones_back() {
    let request = MetadataRequest { allow_auto_topic_creation: false, ..metadata_request() };

    for version in 0..4 {
        let error = EncodeError::NotInVersion { what: "no creation of topics", version };
        assert_eq!(encode(&request, version), Err(error));
    }
    assert_eq!(encode(&request, 4).unwrap(), [0xff, 0xff, 0xff, 0xff, 0]);
}

#[test]
fn topic_is_asked_for_by_id_from_version_12_on() {
    let topic = MetadataRequestTopic { topic_id: Uuid([7; 16]), name: None };
    let request = MetadataRequest { topics: Some(vec![topic]), ..metadata_request() };

    for version in 0..12 {
        let error = EncodeError::NotInVersion { what: "topic without a name", version };
        assert_eq!(encode(&request, version), Err(error));
    }
    for version in 12..=13 {
        let expected = [&[2][..], &[7; 16], &[0, 0, 1, 0, 0]].concat();
        assert_eq!(encode(&request, version).unwrap(), expected);
    }
}

#[test]
fn present_producer_id_is_not_dropped() {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 0,
        producer_id: 4000,
        producer_epoch: 3,
    };

    for version in 0..3 {
        let error = EncodeError::NotInVersion { what: "present producer id and epoch", version };
        assert_eq!(encode(&request, version), Err(error));
    }
    assert!(encode(&request, 3).is_ok());
}

#[test]
fn record_batches_are_not_copied() {
    let (one, other) = (Bytes::from(vec![1; 5000]), Bytes::from(vec![2; 3000]));
    let partitions = vec![
        PartitionProduceData { index: 0, records: one.clone() },
        PartitionProduceData { index: 1, records: other.clone() },
    ];
    let topic = TopicProduceData { name: "t".into(), topic_id: Uuid::ZERO, partitions };
    let request = ProduceRequest { topics: vec![topic], ..produce_request() };

    for version in ApiKey::Produce.versions() {
        let mut out = Writer::new();
        request.encode(&mut out, version).unwrap();
        let frame = out.finish().unwrap();

        let pieces: Vec<_> = frame.pieces().collect();
        assert_eq!(pieces[1].as_ptr(), one.as_ptr());
        assert_eq!(pieces[3].as_ptr(), other.as_ptr());
        // The tag sections of the partition, of the topic and of the request.
        assert_eq!(pieces.len(), if version >= 9 { 5 } else { 4 });
    }
}

#[test]
fn produce_request_that_breaks_its_announcement_is_refused() {
    let head = ProduceRequestHead { transactional_id: None, acks: 1, timeout_ms: 1 };
    let partitions = Err(EncodeError::WrongCount("partitions"));
    let topics = Err(EncodeError::WrongCount("topics"));
    let mut out = Writer::new();

    assert_eq!(head.begin(&mut out, 9, 1).unwrap().finish(), topics);

    let mut body = head.begin(&mut out, 9, 0).unwrap();
    assert_eq!(body.partition(0, Bytes::new()), partitions);
    assert_eq!(body.topic("t", Uuid::ZERO, 0), topics);

    let mut body = head.begin(&mut out, 9, 2).unwrap();
    assert_eq!(body.topic("t", Uuid::ZERO, 1), Ok(()));
    assert_eq!(body.topic("u", Uuid::ZERO, 1), partitions);
    assert_eq!(body.finish(), partitions);
}
