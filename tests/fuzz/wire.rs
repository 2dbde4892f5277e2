//! What brokers read and write, by the `kafka-protocol` crate.

use std::io::Read;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, RecordBatchDecoder};

use super::brokers::{Brokers, NODES, TOPIC, TOPIC_ID, host};

/// A request, as far as brokers care.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    ApiVersions,
    InitProducerId,
    Metadata { topics: Vec<String> },
    Produce { acks: i16, batches: Vec<Batch> },
}

/// A batch on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) partition: i32,
    /// The values.
    pub(crate) records: Vec<String>,
    pub(crate) len: usize,
    /// Producer id, epoch and first sequence number; all -1 if there are none.
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

/// What a broker says of one batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply {
    pub(crate) partition: i32,
    pub(crate) code: i16,
    pub(crate) base_offset: i64,
    /// The index of a record that is at fault.
    pub(crate) culprit: Option<i32>,
    /// Leader and epoch.
    pub(crate) leader: Option<(i32, i32)>,
}

impl Reply {
    pub(crate) fn ok(partition: i32, base_offset: i64) -> Self {
        Self { partition, code: 0, base_offset, culprit: None, leader: None }
    }

    pub(crate) fn error(partition: i32, code: i16) -> Self {
        Self { code, ..Self::ok(partition, -1) }
    }
}

/// What answers have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    key: ApiKey,
    version: i16,
    correlation_id: i32,
}

/// Reads a frame, which begins with its length.
pub(crate) fn read_request(mut frame: Bytes) -> (Head, Request) {
    assert_eq!(usize::try_from(frame.get_i32()), Ok(frame.remaining()));
    let (key, version) = (frame.slice(..2).get_i16(), frame.slice(2..4).get_i16());
    let key = ApiKey::try_from(key).expect("the request is known");
    let header = RequestHeader::decode(&mut frame, key.request_header_version(version)).expect("a header");
    let head = Head { key, version, correlation_id: header.correlation_id };
    let request = match key {
        ApiKey::ApiVersions => return (head, Request::ApiVersions),
        ApiKey::InitProducerId => return (head, Request::InitProducerId),
        ApiKey::Metadata => read_metadata(&mut frame, version),
        ApiKey::Produce => read_produce(&mut frame, version),
        other => panic!("{other:?}"),
    };
    assert!(frame.is_empty(), "{} bytes left over", frame.len());
    (head, request)
}

fn read_metadata(frame: &mut Bytes, version: i16) -> Request {
    let request = MetadataRequest::decode(frame, version).expect("a metadata request");
    let topics = request.topics.unwrap_or_default();
    Request::Metadata {
        topics: topics.into_iter().filter_map(|topic| Some(topic.name?.to_string())).collect(),
    }
}

fn read_produce(frame: &mut Bytes, version: i16) -> Request {
    let request = ProduceRequest::decode(frame, version).expect("a produce request");
    let mut batches = Vec::new();
    for topic in request.topic_data {
        // An id that brokers lied about is no topic of theirs.
        let is_known =
            if version >= 13 { topic.topic_id.into_bytes() == TOPIC_ID } else { *topic.name == *TOPIC };
        for partition in topic.partition_data {
            let index = if is_known { partition.index } else { -1 };
            batches.push(read_batch(index, partition.records.expect("no batch is null")));
        }
    }
    Request::Produce { acks: request.acks, batches }
}

/// Fails on anything that is wrong with the batch.
fn read_batch(partition: i32, mut records: Bytes) -> Batch {
    let len = records.len();
    let decompress = |bytes: &mut Bytes, compression| Ok(decompress(bytes, compression));
    let set = RecordBatchDecoder::decode_with_custom_compression(&mut records, Some(decompress));
    let set = set.expect("the batch is whole");
    assert!(records.is_empty(), "a request holds one batch for each partition");
    let value = |value: &Option<Bytes>| String::from_utf8(value.clone().unwrap_or_default().into());
    let first = &set.records[0];
    Batch {
        partition,
        len,
        producer_id: first.producer_id,
        epoch: first.producer_epoch,
        sequence: first.sequence,
        records: set.records.iter().map(|record| value(&record.value).expect("values are text")).collect(),
    }
}

fn decompress(bytes: &mut Bytes, compression: Compression) -> Bytes {
    let mut plain = Vec::new();
    let read = match compression {
        Compression::Lz4 => lz4_flex::frame::FrameDecoder::new(bytes.reader()).read_to_end(&mut plain),
        _ => bytes.reader().read_to_end(&mut plain),
    };
    read.expect("the records are whole");
    plain.into()
}

/// Puts length and header before a body.
fn frame(head: Head, body: &impl Encodable) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(head.correlation_id);
    header.encode(&mut frame, head.key.response_header_version(head.version)).expect("a header");
    body.encode(&mut frame, head.version).expect("a body");
    with_length(&frame)
}

pub(crate) fn with_length(frame: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(frame.len()).expect("frames are small").to_be_bytes().to_vec();
    bytes.extend(frame);
    bytes
}

/// Length and correlation id, with which every answer begins.
pub(crate) const PREFIX_LEN: usize = 8;

/// An answer that goes on with these bytes.
pub(crate) fn raw(head: Head, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(head.correlation_id);
    frame.put_slice(body);
    with_length(&frame)
}

pub(crate) fn api_versions(mut head: Head, max_versions: [(ApiKey, i16); 3]) -> Vec<u8> {
    let range = |(key, max): (ApiKey, i16)| {
        let min = if key == ApiKey::Produce { 3 } else { 0 };
        ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
    };
    let ranges = max_versions.into_iter().chain([(ApiKey::ApiVersions, 4)]).map(range).collect();
    head.version = head.version.min(4);
    frame(head, &ApiVersionsResponse::default().with_api_keys(ranges))
}

pub(crate) fn producer_id(head: Head, id: i64, error: i16) -> Vec<u8> {
    let response = InitProducerIdResponse::default().with_error_code(error);
    frame(head, &response.with_producer_id(id.into()).with_producer_epoch(if id < 0 { -1 } else { 0 }))
}

pub(crate) fn metadata(head: Head, brokers: &Brokers, topics: &[String]) -> Vec<u8> {
    let topics = topics.iter().map(|name| {
        let topic = if name == TOPIC {
            describe(brokers, head.version)
        } else {
            MetadataResponseTopic::default().with_error_code(3)
        };
        topic.with_name(Some(TopicName(StrBytes::from_string(name.clone()))))
    });
    let nodes = NODES.map(|id| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_string(host(id)))
            .with_port(9092)
    });
    let body = MetadataResponse::default()
        .with_brokers(nodes.to_vec())
        .with_controller_id(BrokerId(1))
        .with_topics(topics.collect());
    frame(head, &body)
}

fn describe(brokers: &Brokers, version: i16) -> MetadataResponseTopic {
    let partitions = (0..).zip(brokers.partitions()).map(|(index, partition)| {
        let described = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(if partition.leader < 0 { 5 } else { 0 })
            .with_leader_id(BrokerId(partition.leader));
        if version >= 7 { described.with_leader_epoch(partition.leader_epoch) } else { described }
    });
    let described = MetadataResponseTopic::default().with_partitions(partitions.collect());
    if version >= 10 {
        described.with_topic_id(TOPIC_ID.to_vec().try_into().expect("16 bytes"))
    } else {
        described
    }
}

/// Answers a produce request.
pub(crate) fn produce(head: Head, replies: &[Reply], throttle: i32) -> Vec<u8> {
    let partitions = replies.iter().map(|reply| partition(head.version, reply)).collect();
    let topic = TopicProduceResponse::default().with_partition_responses(partitions);
    let topic = if head.version >= 13 {
        topic.with_topic_id(TOPIC_ID.to_vec().try_into().expect("16 bytes"))
    } else {
        topic.with_name(TopicName(StrBytes::from_static_str(TOPIC)))
    };
    let mut body = ProduceResponse::default().with_responses(vec![topic]).with_throttle_time_ms(throttle);
    if head.version >= 10 {
        let leaders = replies.iter().filter_map(|reply| Some(reply.leader?.0)).filter(|id| *id >= 0);
        body.node_endpoints = leaders.map(endpoint).collect();
    }
    frame(head, &body)
}

fn endpoint(id: i32) -> NodeEndpoint {
    let host = StrBytes::from_string(host(id));
    NodeEndpoint::default().with_node_id(BrokerId(id)).with_host(host).with_port(9092)
}

fn partition(version: i16, reply: &Reply) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default()
        .with_index(reply.partition)
        .with_error_code(reply.code)
        .with_base_offset(reply.base_offset)
        .with_log_append_time_ms(-1);
    if version >= 8 {
        let error = |index| BatchIndexAndErrorMessage::default().with_batch_index(index);
        response.record_errors = reply.culprit.map(error).into_iter().collect();
    }
    if let Some((leader, epoch)) = reply.leader.filter(|_| version >= 10) {
        response.current_leader =
            LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch);
    }
    response
}
