//! A client that writes and reads frames one by one, through `kafka-protocol`'s codec.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_mock::{MockCluster, MockRecord};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything on loopback takes, short enough to wait for in a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    stream: TcpStream,
    next_correlation_id: i32,
}

impl Client {
    pub(crate) async fn connect(cluster: &MockCluster, broker: i32) -> Self {
        Self::connect_to(cluster.port(broker).expect("broker is known")).await
    }

    pub(crate) async fn connect_to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("broker listens");
        Self { stream, next_correlation_id: 100 }
    }

    /// Writes a request and returns its correlation id.
    pub(crate) async fn write<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let (frame, correlation_id) = self.frame(version, request);
        self.write_raw(&frame).await;
        correlation_id
    }

    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("connection is open");
    }

    /// Encodes a request with length and header.
    pub(crate) fn frame<R: Request>(&mut self, version: i16, request: &R) -> (Bytes, i32) {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version)).expect("header is valid");
        request.encode(&mut body, version).expect("request is valid in this version");
        let mut frame = BytesMut::new();
        frame.put_u32(u32::try_from(body.len()).expect("request is short"));
        frame.put_slice(&body);
        (frame.freeze(), correlation_id)
    }

    /// Reads the next response; `None` when the broker closed the connection.
    pub(crate) async fn read<R: Request>(&mut self, version: i16) -> Option<(i32, R::Response)> {
        let mut frame = self.read_frame().await?;
        let key = ApiKey::try_from(R::KEY).expect("key is known");
        let header =
            ResponseHeader::decode(&mut frame, key.response_header_version(version)).expect("header");
        let response = R::Response::decode(&mut frame, version).expect("response is valid in this version");
        assert!(frame.is_empty(), "{} bytes after the response", frame.len());
        Some((header.correlation_id, response))
    }

    /// Reads one frame without its length; `None` when the broker closed the connection.
    pub(crate) async fn read_frame(&mut self) -> Option<Bytes> {
        let read = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut frame = vec![0; length as usize];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        tokio::time::timeout(PATIENCE, read).await.expect("broker answers or hangs up")
    }

    /// Reads exactly this many bytes.
    pub(crate) async fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut bytes));
        read.await.expect("broker sends").expect("bytes");
        bytes
    }

    /// Reads until the broker closes the connection; an error says how it did so otherwise.
    pub(crate) async fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes));
        read.await.expect("broker hangs up").map(|_| bytes)
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let sent = self.write(version, request).await;
        let (answered, response) = self.read::<R>(version).await.expect("broker answers");
        assert_eq!(answered, sent);
        response
    }

    /// Whether the broker closes the connection without a further byte.
    pub(crate) async fn is_closed_by_broker(&mut self) -> bool {
        self.read_frame().await.is_none()
    }

    /// Whether nothing comes for a while, and the connection stays open.
    pub(crate) async fn hears_nothing(&mut self) -> bool {
        let mut byte = [0];
        tokio::time::timeout(Duration::from_millis(200), self.stream.peek(&mut byte)).await.is_err()
    }

    /// Produces a batch with `acks=all` to partition `partition` of `topic` and returns the partition's answer.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> PartitionProduceResponse {
        only_partition(self.call(12, &produce_request(topic, partition, batch)).await)
    }

    pub(crate) async fn metadata(&mut self, version: i16, topics: &[&str]) -> MetadataResponse {
        self.call(version, &metadata_request(topics)).await
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn metadata_request(topics: &[&str]) -> MetadataRequest {
    let topics = topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(true)
}

pub(crate) fn produce_request(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![partition]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic])
}

pub(crate) fn only_partition(response: ProduceResponse) -> PartitionProduceResponse {
    let [topic] = <[_; 1]>::try_from(response.responses).expect("one topic");
    let [partition] = <[_; 1]>::try_from(topic.partition_responses).expect("one partition");
    partition
}

/// A batch of records with these values and no keys.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    batch_of(&records(values, -1, -1, -1))
}

/// A batch of an idempotent producer.
pub(crate) fn idempotent_batch(values: &[&str], producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    batch_of(&records(values, producer_id, epoch, sequence))
}

/// The batch of a transaction.
pub(crate) fn transactional_batch(values: &[&str], producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut records = records(values, producer_id, epoch, sequence);
    records.iter_mut().for_each(|record| record.transactional = true);
    batch_of(&records)
}

fn batch_of(records: &[Record]) -> Bytes {
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut encoded = BytesMut::new();
    RecordBatchEncoder::encode(&mut encoded, records, &options).expect("records are valid");
    encoded.freeze()
}

fn records(values: &[&str], producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Vec<Record> {
    let record = |(index, value): (i32, &&str)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset: index.into(),
        sequence: base_sequence.wrapping_add(index),
        timestamp: 1_700_000_000_000 + i64::from(index),
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: std::iter::empty::<(StrBytes, Option<Bytes>)>().collect(),
    };
    (0..).zip(values).map(record).collect()
}

/// Values of all records in a partition.
pub(crate) fn values(cluster: &MockCluster, topic: &str, partition: i32) -> Vec<String> {
    texts(cluster.records(topic, partition))
}

/// Values of the records that a consumer reads that reads only what is committed.
pub(crate) fn committed_values(cluster: &MockCluster, topic: &str, partition: i32) -> Vec<String> {
    texts(cluster.committed_records(topic, partition))
}

pub(crate) fn texts(records: Vec<MockRecord>) -> Vec<String> {
    let text = |record: MockRecord| String::from_utf8(record.value.expect("value").to_vec()).expect("UTF-8");
    records.into_iter().map(text).collect()
}

#[expect(clippy::disallowed_methods, reason = "tests have no clock module to ask")]
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
