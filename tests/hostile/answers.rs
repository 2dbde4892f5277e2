//! Genuine answers, by the `kafka-protocol` crate.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataResponse, ProduceRequest,
    ProduceResponse, ProducerId, RequestHeader, ResponseHeader, SaslAuthenticateRequest,
    SaslAuthenticateResponse, SaslHandshakeResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

/// The highest version of each API, all of them flexible but for SaslHandshake.
const VERSIONS: [(ApiKey, i16); 6] = [
    (ApiKey::Produce, 13),
    (ApiKey::Metadata, 12),
    (ApiKey::SaslHandshake, 1),
    (ApiKey::ApiVersions, 4),
    (ApiKey::InitProducerId, 4),
    (ApiKey::SaslAuthenticate, 2),
];

/// What brokers tell of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    pub(crate) ports: Vec<u16>,
    pub(crate) topic_id: u8,
}

impl Truth {
    /// Answers a request, which comes without its length. The answer has its length in front. `None` for words of SASL without a header,
    /// which come where the lie was told that there is no SaslAuthenticate.
    pub(crate) fn answer(&self, mut request: Bytes) -> Option<Vec<u8>> {
        if request.len() < 8 {
            return None;
        }
        let (key, version) = (request.slice(..2).get_i16(), request.slice(2..4).get_i16());
        let key = ApiKey::try_from(key).ok()?;
        let header =
            RequestHeader::decode(&mut request, key.request_header_version(version)).expect("a header");
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        ResponseHeader::default()
            .with_correlation_id(header.correlation_id)
            .encode(&mut frame, key.response_header_version(version))
            .expect("a header");
        match key {
            ApiKey::ApiVersions => encode(&api_versions(), &mut frame, version),
            ApiKey::InitProducerId => {
                let response = InitProducerIdResponse::default().with_producer_id(ProducerId(4000));
                encode(&response, &mut frame, version);
            }
            ApiKey::SaslAuthenticate => {
                let request = SaslAuthenticateRequest::decode(&mut request, version).expect("a request");
                encode(&sasl_authenticate(&request.auth_bytes), &mut frame, version);
            }
            ApiKey::SaslHandshake => {
                let mechanisms = ["PLAIN", "SCRAM-SHA-256"].map(StrBytes::from_static_str).to_vec();
                encode(&SaslHandshakeResponse::default().with_mechanisms(mechanisms), &mut frame, version);
            }
            ApiKey::Metadata => encode(&self.metadata(), &mut frame, version),
            _ => {
                let request = ProduceRequest::decode(&mut request, version).expect("a produce request");
                encode(&produce(request), &mut frame, version);
            }
        }
        let mut frame = frame.to_vec();
        let len = u32::try_from(frame.len() - 4).expect("answers are short");
        frame[..4].copy_from_slice(&len.to_be_bytes());
        Some(frame)
    }

    fn metadata(&self) -> MetadataResponse {
        let brokers = (0..).zip(&self.ports).map(|(id, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str(HOST))
                .with_port((*port).into())
        });
        let partitions = (0..2).map(|index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(index))
                .with_leader_epoch(3)
        });
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("topic"))))
            .with_topic_id([self.topic_id; 16].to_vec().try_into().expect("16 bytes"))
            .with_partitions(partitions.collect());
        MetadataResponse::default().with_brokers(brokers.collect()).with_topics(vec![topic])
    }
}

/// Where brokers are.
pub(crate) const HOST: &str = "127.0.0.1";

fn encode(response: &impl Encodable, frame: &mut BytesMut, version: i16) {
    response.encode(frame, version).expect("a body");
}

fn api_versions() -> ApiVersionsResponse {
    let range = |(key, max)| ApiVersion::default().with_api_key(key as i16).with_max_version(max);
    ApiVersionsResponse::default().with_api_keys(VERSIONS.map(range).to_vec())
}

/// Lets everybody in who says a password, for a moment, and tells others in SCRAM what only a broker says that does not know theirs.
fn sasl_authenticate(words: &[u8]) -> SaslAuthenticateResponse {
    let words = String::from_utf8_lossy(words);
    let response = SaslAuthenticateResponse::default().with_session_lifetime_ms(SESSION_MS);
    let nonce = words.strip_prefix("n,,").and_then(|words| words.rsplit_once(",r="));
    match nonce {
        Some((_, nonce)) => response.with_auth_bytes(format!("r={nonce}more,s=c2FsdA==,i=4096").into()),
        None if words.contains(",p=") => response.with_auth_bytes(Bytes::from_static(b"v=c2FsdA==")),
        None => response,
    }
}

/// So short that most connections begin another session.
const SESSION_MS: i64 = 40;

fn produce(request: ProduceRequest) -> ProduceResponse {
    let topics = request.topic_data.into_iter().map(|topic| {
        let partitions = topic.partition_data.into_iter().map(|partition| {
            PartitionProduceResponse::default().with_index(partition.index).with_log_append_time_ms(-1)
        });
        TopicProduceResponse::default()
            .with_topic_id(topic.topic_id)
            .with_partition_responses(partitions.collect())
    });
    ProduceResponse::default().with_responses(topics.collect())
}
