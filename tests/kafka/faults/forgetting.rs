//! What brokers remember of idempotent producers. Rules of the sender rest on it (`src/sender/partition/numbers.rs`).

use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::Compression;
use kafka_protocol::records::Record;
use kafka_protocol::records::RecordBatchEncoder;
use kafka_protocol::records::RecordEncodeOptions;
use kafka_protocol::records::TimestampType;

use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;
use crate::support::wire;

const TOPIC: &str = "numbered";
const PRODUCE_VERSION: i16 = 3;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const LIMIT: Duration = Duration::from_secs(60);

/// Five batches are known while it runs, one after that. Of the others it says the same as of batches that never came.
#[tokio::test]
async fn broker_that_was_restarted_knows_only_the_last_batch_of_a_producer() {
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 1).await else { return };
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    for sequence in 0..5 {
        assert_eq!(produce(&cluster, sequence).await, Ok(i64::from(sequence)));
    }
    assert_eq!([produce(&cluster, 0).await, produce(&cluster, 3).await], [Ok(0), Ok(3)]);

    cluster.broker(1).restart().await;
    cluster.wait_for_isr(TOPIC, 1, 1).await;

    assert_eq!(produce(&cluster, 4).await, Ok(4));
    assert_eq!(produce(&cluster, 3).await, Err(OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(produce(&cluster, 0).await, Err(OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(produce(&cluster, 5).await, Ok(5));
}

/// By this a restarted broker tells that it should still know the producer (`producer.id.expiration.ms`).
#[expect(clippy::disallowed_methods, reason = "the broker compares it with its own clock")]
fn now_ms() -> i64 {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(age.as_millis()).expect("a small number")
}

/// Sends a batch of one record under a number, and returns its offset or the error code.
async fn produce(cluster: &KafkaCluster, sequence: i32) -> Result<i64, i16> {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch(sequence)));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let response = wait::wait_for("an answer to a batch", LIMIT, async || {
        wire::call(cluster.broker(1).address(), PRODUCE_VERSION, &request, LIMIT).await.ok()
    });
    let response = response.await.responses.remove(0).partition_responses.remove(0);
    if response.error_code == 0 { Ok(response.base_offset) } else { Err(response.error_code) }
}

fn batch(sequence: i32) -> Bytes {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 4000,
        producer_epoch: 0,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence,
        timestamp: now_ms(),
        key: None,
        value: Some(Bytes::from(sequence.to_string())),
        headers: kafka_protocol::indexmap::IndexMap::new(),
    };
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, [&record], &options).expect("a valid batch");
    bytes.freeze()
}
