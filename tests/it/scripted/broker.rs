//! A broker of one's own making, for answers that no real broker gives, and for errors of single records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataResponse, ProduceRequest, ProduceResponse,
    ProducerId, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::TOPIC;

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const INIT_PRODUCER_ID: i16 = 22;

/// The one version of each request that it speaks; all but ApiVersions in the flexible format.
const VERSIONS: [(i16, i16); 4] = [(PRODUCE, 9), (METADATA, 9), (API_VERSIONS, 3), (INIT_PRODUCER_ID, 4)];

/// One Produce request as the script sees it: the number of the request, from 0, and its batches by partition.
pub(super) struct Produce {
    pub(super) number: usize,
    pub(super) batches: BTreeMap<i32, Bytes>,
}

/// What to do with a Produce request.
pub(super) enum Answer {
    /// Answer with these partitions of the topic.
    Partitions(Vec<PartitionProduceResponse>),
    Response(ProduceResponse),
    /// Send these bytes in place of an answer; `CORRELATION_ID` stands for where the id goes.
    Raw(Vec<u8>),
}

type Script = Arc<dyn Fn(&Produce) -> Answer + Send + Sync>;

/// A broker that is the whole cluster, with a topic that it leads.
pub(super) struct ScriptedBroker {
    pub(super) address: String,
    produced: Arc<AtomicUsize>,
    /// Handed out as producer ids 1, 2 and so on, each with this epoch.
    state: Arc<State>,
}

struct State {
    port: i32,
    script: Script,
    metadata: Mutex<Box<dyn FnMut(MetadataResponse) -> MetadataResponse + Send>>,
    first_epoch: i16,
    producer_ids: AtomicUsize,
    produced: Arc<AtomicUsize>,
    /// Bytes that are written at a time.
    chunk: usize,
}

impl ScriptedBroker {
    pub(super) async fn start(script: impl Fn(&Produce) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(script, |metadata| metadata, 0, usize::MAX).await
    }

    /// With metadata that is changed before it is told, the first epoch of producer ids, and the bytes that are
    /// written at a time.
    pub(super) async fn start_with(
        script: impl Fn(&Produce) -> Answer + Send + Sync + 'static,
        metadata: impl FnMut(MetadataResponse) -> MetadataResponse + Send + 'static,
        first_epoch: i16,
        chunk: usize,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let produced = Arc::new(AtomicUsize::new(0));
        let state = Arc::new(State {
            port: address.port().into(),
            script: Arc::new(script),
            metadata: Mutex::new(Box::new(metadata)),
            first_epoch,
            producer_ids: AtomicUsize::new(0),
            produced: Arc::clone(&produced),
            chunk,
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address: address.to_string(), produced, state }
    }

    /// Returns how many Produce requests have come.
    pub(super) fn produced(&self) -> usize {
        self.produced.load(Ordering::SeqCst)
    }

    /// Returns how many producer ids were handed out.
    pub(super) fn producer_ids(&self) -> usize {
        self.state.producer_ids.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    while let Some(frame) = read_frame(&mut stream).await {
        let Some(answer) = state.answer(frame) else { return };
        for chunk in answer.chunks(state.chunk) {
            if stream.write_all(chunk).await.is_err() {
                return;
            }
            if state.chunk < answer.len() {
                drop(stream.flush().await);
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn read_frame(stream: &mut TcpStream) -> Option<Bytes> {
    let length = stream.read_i32().await.ok()?;
    let mut frame = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame.into())
}

impl State {
    /// Returns the bytes to send, or `None` to close the connection.
    fn answer(&self, mut frame: Bytes) -> Option<Vec<u8>> {
        let (key, version, correlation_id) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
        let client_id = usize::try_from(frame.get_i16()).unwrap_or(0);
        frame.advance(client_id + 1);
        if key == API_VERSIONS {
            let versions = VERSIONS.map(|(key, version)| {
                ApiVersion::default().with_api_key(key).with_min_version(0).with_max_version(version)
            });
            // A newer version than is known is refused in version 0; here, to be brief, it is answered.
            let version = version.min(3);
            let response = ApiVersionsResponse::default().with_api_keys(versions.to_vec());
            return Some(response_frame(correlation_id, false, &response, version));
        }
        Some(match key {
            METADATA => {
                let response = (self.metadata.lock().unwrap())(self.metadata());
                response_frame(correlation_id, true, &response, version)
            }
            INIT_PRODUCER_ID => {
                let id = self.producer_ids.fetch_add(1, Ordering::SeqCst) + 1;
                let response = InitProducerIdResponse::default()
                    .with_producer_id(ProducerId(i64::try_from(id).unwrap()))
                    .with_producer_epoch(self.first_epoch);
                response_frame(correlation_id, true, &response, version)
            }
            _ => match (self.script)(&self.produce(ProduceRequest::decode(&mut frame, version).unwrap())) {
                Answer::Partitions(partitions) => {
                    response_frame(correlation_id, true, &response(partitions), version)
                }
                Answer::Response(response) => response_frame(correlation_id, true, &response, version),
                Answer::Raw(bytes) => {
                    let id = u32::from_be_bytes(correlation_id.to_be_bytes());
                    replace(bytes, CORRELATION_ID, &id.to_be_bytes())
                }
            },
        })
    }

    fn produce(&self, request: ProduceRequest) -> Produce {
        let partitions = request.topic_data.into_iter().flat_map(|topic| topic.partition_data);
        Produce {
            number: self.produced.fetch_add(1, Ordering::SeqCst),
            batches: partitions.map(|partition| (partition.index, partition.records.unwrap())).collect(),
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(7))
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(self.port);
        let partitions = (0..3).map(|index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(7))
                .with_leader_epoch(0)
                .with_replica_nodes(vec![BrokerId(7)])
                .with_isr_nodes(vec![BrokerId(7)])
        });
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name()))
            .with_partitions(partitions.collect());
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(StrBytes::from_static_str("scripted")))
            .with_controller_id(BrokerId(7))
            .with_topics(vec![topic])
    }
}

/// Stands for the correlation id in [`Answer::Raw`].
pub(super) const CORRELATION_ID: [u8; 4] = *b"corr";

fn replace(mut bytes: Vec<u8>, from: [u8; 4], to: &[u8; 4]) -> Vec<u8> {
    if let Some(at) = bytes.windows(4).position(|window| window == from) {
        bytes[at..at + 4].copy_from_slice(to);
    }
    bytes
}

pub(super) fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

/// An answer about partitions of the topic.
pub(super) fn response(partitions: Vec<PartitionProduceResponse>) -> ProduceResponse {
    let topic = TopicProduceResponse::default().with_name(topic_name()).with_partition_responses(partitions);
    ProduceResponse::default().with_responses(vec![topic])
}

/// The bytes of an answer, as [`Answer::Raw`] takes them.
pub(super) fn raw(response: &ProduceResponse) -> Vec<u8> {
    response_frame(i32::from_be_bytes(CORRELATION_ID), true, response, 9)
}

/// A batch that was written at this offset.
pub(super) fn written(partition: i32, base_offset: i64) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(partition)
        .with_base_offset(base_offset)
        .with_log_append_time_ms(-1)
}

/// A batch that was refused.
pub(super) fn refused(partition: i32, error_code: i16) -> PartitionProduceResponse {
    written(partition, -1).with_error_code(error_code)
}

/// Answers each partition of a request as written at the offset of the request's number.
pub(super) fn all_written(produce: &Produce) -> Answer {
    let offset = i64::try_from(produce.number).unwrap();
    Answer::Partitions(produce.batches.keys().map(|partition| written(*partition, offset)).collect())
}

fn response_frame(
    correlation_id: i32,
    is_flexible: bool,
    response: &impl Encodable,
    version: i16,
) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_i32(correlation_id);
    if is_flexible {
        body.put_u8(0);
    }
    response.encode(&mut body, version).unwrap();
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}
