//! What brokers read and write, by the `kafka-protocol` crate.

use std::io::Read;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
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

use super::world::{TopicState, World};

mod questions;

pub(super) use self::questions::{Question, Said};

/// A request, as far as the tests care.
#[derive(Debug)]
pub(super) enum Request {
    ApiVersions,
    /// Of a transactional producer.
    Coordination(Question),
    InitProducerId,
    Metadata {
        topics: Vec<String>,
    },
    Produce {
        transactional_id: Option<String>,
        acks: i16,
        batches: Vec<Batch>,
    },
}

/// A batch on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The values.
    pub(super) records: Vec<String>,
    pub(super) is_compressed: bool,
    pub(super) bytes: Bytes,
    pub(super) identity: Identity,
}

impl Batch {
    /// Whether it is part of a transaction, as its attributes say.
    pub(super) fn is_transactional(&self) -> bool {
        self.bytes[22] & 0x10 != 0
    }
}

/// Producer id, epoch and first sequence number; all -1 if there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
}

/// What a broker says of one batch.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) code: i16,
    pub(super) base_offset: i64,
    pub(super) message: Option<&'static str>,
    pub(super) record_errors: Vec<(i32, Option<&'static str>)>,
    pub(super) leader: Option<(i32, i32)>,
}

impl Reply {
    pub(super) fn ok(base_offset: i64) -> Self {
        Self { code: 0, base_offset, message: None, record_errors: Vec::new(), leader: None }
    }

    pub(super) fn error(code: i16) -> Self {
        Self { code, ..Self::ok(-1) }
    }

    pub(super) fn led_by(node: i32, epoch: i32) -> Self {
        Self { leader: Some((node, epoch)), ..Self::error(6) }
    }
}

/// What answers have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) key: i16,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
}

/// Reads a frame, which begins with its length.
pub(super) fn read_request(mut frame: Bytes, world: &World) -> (Head, Request) {
    assert_eq!(usize::try_from(frame.get_i32()).unwrap(), frame.remaining());
    let (key, version) = (frame.slice(..2).get_i16(), frame.slice(2..4).get_i16());
    let api = ApiKey::try_from(key).unwrap();
    let header = RequestHeader::decode(&mut frame, api.request_header_version(version)).unwrap();
    let head = Head { key, version, correlation_id: header.correlation_id };
    let request = match api {
        ApiKey::ApiVersions => return (head, Request::ApiVersions),
        ApiKey::Metadata => read_metadata(&mut frame, version),
        ApiKey::Produce => read_produce(&mut frame, version, world),
        other => {
            Question::read(other, &mut frame, version).map_or(Request::InitProducerId, Request::Coordination)
        }
    };
    assert!(frame.is_empty(), "{} bytes left over", frame.len());
    (head, request)
}

fn read_metadata(frame: &mut Bytes, version: i16) -> Request {
    let request = MetadataRequest::decode(frame, version).unwrap();
    let topics = request.topics.expect("only topics in use are asked for");
    Request::Metadata { topics: topics.into_iter().map(|topic| topic.name.unwrap().to_string()).collect() }
}

fn read_produce(frame: &mut Bytes, version: i16, world: &World) -> Request {
    let request = ProduceRequest::decode(frame, version).unwrap();
    let mut batches = Vec::new();
    for topic in request.topic_data {
        let name = match version {
            13.. => world.name_of(topic.topic_id.into_bytes()),
            _ => topic.name.to_string(),
        };
        for partition in topic.partition_data {
            batches.push(read_batch(&name, partition.index, partition.records.unwrap()));
        }
    }
    let transactional_id = request.transactional_id.map(|id| id.to_string());
    Request::Produce { transactional_id, acks: request.acks, batches }
}

/// Fails on anything that is wrong with the batch.
fn read_batch(topic: &str, partition: i32, records: Bytes) -> Batch {
    let bytes = records.clone();
    let mut sets = Vec::new();
    let mut rest = records;
    while !rest.is_empty() {
        let decompress = |bytes: &mut Bytes, compression| Ok(decompress(bytes, compression));
        sets.push(RecordBatchDecoder::decode_with_custom_compression(&mut rest, Some(decompress)).unwrap());
    }
    assert_eq!(sets.len(), 1, "a request holds one batch for each partition");
    let value = |value: Option<Bytes>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    let records: Vec<_> = sets[0].records.iter().map(|record| value(record.value.clone())).collect();
    let offsets = sets[0].records.iter().map(|record| record.offset);
    assert!(offsets.eq((0..).take(records.len())));
    let is_compressed = sets[0].compression != Compression::None;
    let first = &sets[0].records[0];
    let identity = Identity { id: first.producer_id, epoch: first.producer_epoch, sequence: first.sequence };
    Batch { topic: topic.to_owned(), partition, records, is_compressed, bytes, identity }
}

fn decompress(bytes: &mut Bytes, compression: Compression) -> Bytes {
    let mut plain = Vec::new();
    match compression {
        Compression::None => return bytes.copy_to_bytes(bytes.remaining()),
        Compression::Gzip => flate2::read::GzDecoder::new(bytes.reader()).read_to_end(&mut plain),
        Compression::Lz4 => lz4_flex::frame::FrameDecoder::new(bytes.reader()).read_to_end(&mut plain),
        Compression::Snappy => {
            // One block is all that the tests need: a header of 16 bytes and a length before it.
            let block = bytes.split_off(20);
            return snap::raw::Decoder::new().decompress_vec(&block).unwrap().into();
        }
        Compression::Zstd => {
            ruzstd::decoding::StreamingDecoder::new(bytes.reader()).unwrap().read_to_end(&mut plain)
        }
    }
    .unwrap();
    plain.into()
}

/// Returns a frame without its length.
fn frame(head: Head, body: &impl Encodable) -> Bytes {
    let api = ApiKey::try_from(head.key).unwrap();
    let mut frame = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(head.correlation_id)
        .encode(&mut frame, api.response_header_version(head.version))
        .unwrap();
    body.encode(&mut frame, head.version).unwrap();
    frame.freeze()
}

/// `transaction_version`: the epoch of the features, and the finalized level.
pub(super) fn api_versions(
    head: Head,
    ranges: &[(i16, i16, i16)],
    transaction_version: Option<(i64, i16)>,
) -> Bytes {
    let range = |&(key, min, max): &(i16, i16, i16)| {
        ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
    };
    let mut body = ApiVersionsResponse::default().with_api_keys(ranges.iter().map(range).collect());
    if let Some((epoch, level)) = transaction_version.filter(|_| head.version >= 3) {
        let name = || StrBytes::from_static_str("transaction.version");
        let supported = SupportedFeatureKey::default().with_name(name()).with_max_version(2);
        let finalized = FinalizedFeatureKey::default()
            .with_name(name())
            .with_min_version_level(level)
            .with_max_version_level(level);
        body = body.with_supported_features(vec![supported]).with_finalized_features(vec![finalized]);
        body = body.with_finalized_features_epoch(epoch);
    }
    frame(head, &body)
}

pub(super) fn producer_id(head: Head, id: i64, epoch: i16, code: i16) -> Bytes {
    let body = InitProducerIdResponse::default().with_error_code(code);
    let is_given = code == 0;
    let (id, epoch) = if is_given { (id, epoch) } else { (-1, -1) };
    frame(head, &body.with_producer_id(id.into()).with_producer_epoch(epoch))
}

pub(super) fn metadata(head: Head, world: &World, topics: &[String]) -> Bytes {
    let topics = topics.iter().map(|name| {
        let topic = match world.topics.get(name) {
            Some(topic) if topic.error != 0 => MetadataResponseTopic::default().with_error_code(topic.error),
            Some(topic) => describe(topic, head.version),
            None => MetadataResponseTopic::default().with_error_code(3),
        };
        topic.with_name(Some(TopicName(StrBytes::from_string(name.clone()))))
    });
    let brokers = world.nodes.iter().map(|(id, host)| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(*id))
            .with_host(StrBytes::from_string(host.clone()))
            .with_port(9092)
    });
    let body = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_controller_id(BrokerId(1))
        .with_cluster_id(Some(StrBytes::from_static_str(world.cluster)))
        .with_topics(topics.collect());
    frame(head, &body)
}

fn describe(topic: &TopicState, version: i16) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| {
        let described = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(if partition.leader < 0 { 5 } else { 0 })
            .with_leader_id(BrokerId(partition.leader));
        if version >= 7 { described.with_leader_epoch(partition.epoch) } else { described }
    });
    let described = MetadataResponseTopic::default().with_partitions(partitions.collect());
    let id = topic.id.to_vec().try_into().unwrap();
    if version >= 10 { described.with_topic_id(id) } else { described }
}

/// Answers a produce request; the replies of one topic stand together.
pub(super) fn produce(head: Head, world: &World, replies: &[(String, i32, Reply)], throttle: i32) -> Bytes {
    let same_topic = |a: &(String, i32, Reply), b: &(String, i32, Reply)| a.0 == b.0;
    let topics = replies.chunk_by(same_topic).map(|topic| {
        let partitions =
            topic.iter().map(|(_, index, reply)| partition(head.version, *index, reply)).collect();
        let response = TopicProduceResponse::default().with_partition_responses(partitions);
        if head.version >= 13 {
            response.with_topic_id(world.id_of(&topic[0].0).to_vec().try_into().unwrap())
        } else {
            response.with_name(TopicName(StrBytes::from_string(topic[0].0.clone())))
        }
    });
    let mut body =
        ProduceResponse::default().with_responses(topics.collect()).with_throttle_time_ms(throttle);
    if head.version >= 10 {
        let leaders = replies.iter().filter_map(|(_, _, reply)| reply.leader);
        let nodes = leaders.filter_map(|(id, _)| Some((id, world.nodes.get(&id)?)));
        body.node_endpoints = nodes.map(|(id, host)| endpoint(id, host)).collect();
    }
    frame(head, &body)
}

fn endpoint(id: i32, host: &str) -> NodeEndpoint {
    let host = StrBytes::from_string(host.to_owned());
    NodeEndpoint::default().with_node_id(BrokerId(id)).with_host(host).with_port(9092)
}

fn partition(version: i16, index: i32, reply: &Reply) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(reply.code)
        .with_base_offset(reply.base_offset)
        .with_log_append_time_ms(-1);
    if version >= 8 {
        response.error_message = reply.message.map(StrBytes::from_static_str);
        let errors = reply.record_errors.iter().map(|(index, message)| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(*index)
                .with_batch_index_error_message(message.map(StrBytes::from_static_str))
        });
        response.record_errors = errors.collect();
    }
    if let Some((leader, epoch)) = reply.leader.filter(|_| version >= 10) {
        response.current_leader =
            LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch);
    }
    response
}

/// An answer whose body the producer cannot read.
pub(super) fn garbage(head: Head) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(head.correlation_id);
    frame.put_slice(&[0, 0xff, 0xff, 0xff]);
    frame.freeze()
}
