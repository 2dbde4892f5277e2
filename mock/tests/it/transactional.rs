//! A transactional producer that sends each request when a test says so.

use bytes::Bytes;
use kafka_mock::MockCluster;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, FetchRequest, GroupId,
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::RecordBatchDecoder;

use crate::support::{Client, only_partition, produce_request, topic_name, transactional_batch};

/// The versions in which a client speaks one of the two protocols.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    pub(crate) init: i16,
    pub(crate) add: i16,
    pub(crate) end: i16,
    pub(crate) produce: i16,
}

/// The newest versions of the protocol before KIP-890.
pub(crate) const V1: Versions = Versions { init: 5, add: 3, end: 4, produce: 11 };
/// The protocol of KIP-890.
pub(crate) const V2: Versions = Versions { init: 5, add: 3, end: 5, produce: 12 };

pub(crate) fn transactional_id(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}

pub(crate) fn group_id(id: &str) -> GroupId {
    GroupId(StrBytes::from_string(id.to_owned()))
}

pub(crate) fn init_request(id: &str, known: (i64, i16)) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional_id(id)))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(known.0))
        .with_producer_epoch(known.1)
}

pub(crate) fn add_request(
    id: &str,
    producer: (i64, i16),
    partitions: &[(&str, i32)],
) -> AddPartitionsToTxnRequest {
    let topics = partitions.iter().map(|(topic, partition)| {
        AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(vec![*partition])
    });
    AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id(id))
        .with_v3_and_below_producer_id(ProducerId(producer.0))
        .with_v3_and_below_producer_epoch(producer.1)
        .with_v3_and_below_topics(topics.collect())
}

pub(crate) fn end_request(id: &str, producer: (i64, i16), is_commit: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(transactional_id(id))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_committed(is_commit)
}

pub(crate) fn add_offsets_request(id: &str, producer: (i64, i16), group: &str) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest::default()
        .with_transactional_id(transactional_id(id))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_group_id(group_id(group))
}

pub(crate) fn transactional_request(id: &str, topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    produce_request(topic, partition, batch).with_transactional_id(Some(transactional_id(id)))
}

/// A producer with a transactional id, for a cluster of one broker.
pub(crate) struct Producer {
    pub(crate) client: Client,
    pub(crate) id: &'static str,
    /// Producer id and epoch.
    pub(crate) is: (i64, i16),
    versions: Versions,
}

impl Producer {
    pub(crate) async fn start(cluster: &MockCluster, id: &'static str, versions: Versions) -> Self {
        let client = Client::connect(cluster, 0).await;
        let mut producer = Self { client, id, is: (-1, -1), versions };
        let given = producer.init(versions.init, (-1, -1)).await;
        assert_eq!(given.error_code, 0);
        producer.is = (given.producer_id.0, given.producer_epoch);
        producer
    }

    /// Takes the transactional id from a producer with an open transaction.
    pub(crate) async fn start_over(cluster: &MockCluster, id: &'static str, versions: Versions) -> Self {
        let mut client = Client::connect(cluster, 0).await;
        client.call(versions.init, &init_request(id, (-1, -1))).await;
        Self::start(cluster, id, versions).await
    }

    pub(crate) async fn init(&mut self, version: i16, known: (i64, i16)) -> InitProducerIdResponse {
        self.client.call(version, &init_request(self.id, known)).await
    }

    /// Adds partitions and returns their error codes.
    pub(crate) async fn add(&mut self, partitions: &[(&str, i32)]) -> Vec<i16> {
        let request = add_request(self.id, self.is, partitions);
        let answer = self.client.call(self.versions.add, &request).await;
        let results =
            answer.results_by_topic_v3_and_below.into_iter().flat_map(|topic| topic.results_by_partition);
        results.map(|result| result.partition_error_code).collect()
    }

    /// Writes one batch and returns its error code.
    pub(crate) async fn produce(&mut self, partition: i32, sequence: i32, values: &[&str]) -> i16 {
        self.produce_in(self.versions.produce, partition, sequence, values).await
    }

    pub(crate) async fn produce_in(
        &mut self,
        version: i16,
        partition: i32,
        sequence: i32,
        values: &[&str],
    ) -> i16 {
        let batch = transactional_batch(values, self.is.0, self.is.1, sequence);
        let request = transactional_request(self.id, "t", partition, batch);
        only_partition(self.client.call(version, &request).await).error_code
    }

    /// Ends the transaction and returns the error code; goes on with the epoch of the answer if it has one.
    pub(crate) async fn end(&mut self, is_commit: bool) -> i16 {
        let request = end_request(self.id, self.is, is_commit);
        let answer = self.client.call(self.versions.end, &request).await;
        if answer.error_code == 0 && self.versions.end >= 5 {
            self.is = (answer.producer_id.0, answer.producer_epoch);
        }
        answer.error_code
    }
}

/// What a consumer finds in partition 0 of topic "t": high watermark, last stable offset, and the values that it shows to its
/// application. It leaves out aborted transactions as consumers do.
pub(crate) async fn consume(client: &mut Client, isolation_level: i8) -> (i64, i64, Vec<String>) {
    let partition = FetchPartition::default().with_partition(0).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_isolation_level(isolation_level)
        .with_topics(vec![topic]);
    let answer = client.call(12, &request).await;
    let data = answer.responses.into_iter().flat_map(|topic| topic.partitions).next().expect("one partition");
    assert_eq!(data.error_code, 0);
    assert_eq!(data.aborted_transactions.is_some(), isolation_level == 1);
    let mut aborted: Vec<_> = data.aborted_transactions.unwrap_or_default();
    aborted.sort_by_key(|transaction| transaction.first_offset);
    let mut left_out = std::collections::BTreeSet::new();
    let mut values = Vec::new();
    let batches = RecordBatchDecoder::decode_all(&mut data.records.expect("records")).expect("batches");
    for record in batches.into_iter().flat_map(|batch| batch.records) {
        aborted.retain(|transaction| {
            let has_begun = transaction.first_offset <= record.offset;
            if has_begun {
                left_out.insert(transaction.producer_id.0);
            }
            !has_begun
        });
        if record.control {
            let is_abort = record.key.as_deref() == Some(&[0, 0, 0, 0]);
            assert!(is_abort || record.key.as_deref() == Some(&[0, 0, 0, 1]));
            if is_abort {
                left_out.remove(&record.producer_id);
            }
        } else if !(record.transactional && left_out.contains(&record.producer_id)) {
            values.push(String::from_utf8(record.value.expect("value").to_vec()).expect("UTF-8"));
        }
    }
    (data.high_watermark, data.last_stable_offset, values)
}
