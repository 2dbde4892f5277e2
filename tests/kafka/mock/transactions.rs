//! A list of requests of transactions, sent in the same order to any cluster of one broker, and what was answered: so that two clusters
//! can be compared.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, BrokerId, EndTxnRequest, FetchRequest, GroupId,
    InitProducerIdRequest, ListOffsetsRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use crate::support::wire;

const LIMIT: Duration = Duration::from_secs(10);
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const CONCURRENT_TRANSACTIONS: i16 = 51;

/// What a client is told that has come too early.
const TOO_EARLY: [i16; 3] =
    [COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, CONCURRENT_TRANSACTIONS];

/// Producer id and epoch.
type Identity = (i64, i16);

/// A conversation with one broker.
pub(crate) struct Script {
    address: SocketAddr,
    topic: &'static str,
    /// What stands for producer ids, in the order in which they were given out.
    producer_ids: BTreeMap<i64, String>,
    answers: Vec<String>,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Script {
    pub(crate) fn new(address: SocketAddr, topic: &'static str) -> Self {
        Self { address, topic, producer_ids: BTreeMap::new(), answers: Vec::new() }
    }

    pub(crate) fn into_answers(self) -> Vec<String> {
        self.answers
    }

    async fn call<R: Request>(&self, version: i16, request: &R) -> R::Response {
        wire::call(self.address, version, request, LIMIT).await.expect("an answer")
    }

    /// Asks until the coordinator is there, and the markers of the transaction before are written.
    async fn settled<T>(&self, mut ask: impl AsyncFnMut(&Self) -> (Vec<i16>, T)) -> (Vec<i16>, T) {
        for _ in 0..500 {
            let (codes, answer) = ask(self).await;
            if !codes.iter().any(|code| TOO_EARLY.contains(code)) {
                return (codes, answer);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a transaction does not end")
    }

    fn note(&mut self, what: &str, codes: &[i16], identity: Option<Identity>) {
        let identity = identity.map(|(id, epoch)| {
            let next = format!("p{}", self.producer_ids.len());
            let name = if id == -1 { "none" } else { self.producer_ids.entry(id).or_insert(next).as_str() };
            format!(" {name} epoch {epoch}")
        });
        self.answers.push(format!("{what}: {codes:?}{}", identity.unwrap_or_default()));
    }

    async fn init(&mut self, what: &str, version: i16, id: &str, timeout: i32, known: Identity) -> Identity {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(id))))
            .with_transaction_timeout_ms(timeout)
            .with_producer_id(ProducerId(known.0))
            .with_producer_epoch(known.1);
        let first = self.call(version, &request).await;
        let (codes, given) = match first.error_code {
            CONCURRENT_TRANSACTIONS => {
                self.settled(async |script| {
                    let answer = script.call(version, &request).await;
                    (vec![answer.error_code], answer)
                })
                .await
            }
            code => (vec![code], first),
        };
        let identity = (given.producer_id.0, given.producer_epoch);
        self.note(what, &codes, Some(identity));
        identity
    }

    async fn add(&mut self, what: &str, version: i16, id: &str, is: Identity, partitions: &[(&str, i32)]) {
        let topics = partitions.iter().map(|(topic, partition)| {
            let name = TopicName(text(if *topic == "t" { self.topic } else { topic }));
            AddPartitionsToTxnTopic::default().with_name(name).with_partitions(vec![*partition])
        });
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(id)))
            .with_v3_and_below_producer_id(ProducerId(is.0))
            .with_v3_and_below_producer_epoch(is.1)
            .with_v3_and_below_topics(topics.collect());
        let (mut codes, ()) = self
            .settled(async |script| {
                let answer = script.call(version, &request).await;
                let topics = answer.results_by_topic_v3_and_below.into_iter();
                let partitions = topics.flat_map(|topic| topic.results_by_partition);
                (partitions.map(|partition| partition.partition_error_code).collect(), ())
            })
            .await;
        // Kafka answers in an order of its own.
        codes.sort_unstable();
        self.note(what, &codes, None);
    }

    async fn add_offsets(&mut self, what: &str, version: i16, id: &str, is: Identity) {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_producer_id(ProducerId(is.0))
            .with_producer_epoch(is.1)
            .with_group_id(GroupId(text("group")));
        let (codes, ()) =
            self.settled(async |script| (vec![script.call(version, &request).await.error_code], ())).await;
        self.note(what, &codes, None);
    }

    async fn commit_offsets(&mut self, what: &str, version: i16, id: &str, is: Identity, partitions: &[i32]) {
        let partitions = partitions.iter().map(|index| {
            TxnOffsetCommitRequestPartition::default().with_partition_index(*index).with_committed_offset(5)
        });
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(text(self.topic)))
            .with_partitions(partitions.collect());
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_group_id(GroupId(text("group")))
            .with_producer_id(ProducerId(is.0))
            .with_producer_epoch(is.1)
            .with_topics(vec![topic]);
        let (mut codes, ()) = self
            .settled(async |script| {
                let answer = script.call(version, &request).await;
                let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
                (partitions.map(|partition| partition.error_code).collect(), ())
            })
            .await;
        codes.sort_unstable();
        self.note(what, &codes, None);
    }

    async fn end(&mut self, what: &str, version: i16, id: &str, is: Identity, is_commit: bool) -> Identity {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_producer_id(ProducerId(is.0))
            .with_producer_epoch(is.1)
            .with_committed(is_commit);
        let (codes, next) = self
            .settled(async |script| {
                let answer = script.call(version, &request).await;
                (vec![answer.error_code], (answer.producer_id.0, answer.producer_epoch))
            })
            .await;
        self.note(what, &codes, (version >= 5).then_some(next));
        if next.0 == -1 { is } else { next }
    }

    async fn produce(
        &mut self,
        what: &str,
        version: i16,
        id: Option<&str>,
        is: Identity,
        partition: i32,
        sequence: i32,
    ) {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch(
            is,
            sequence,
            id.is_some(),
        )));
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(self.topic)))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(id.map(|id| TransactionalId(text(id))))
            .with_acks(-1)
            .with_timeout_ms(5000)
            .with_topic_data(vec![topic]);
        let (codes, base_offset) = self
            .settled(async |script| {
                let answer = script.call(version, &request).await;
                let partition = &answer.responses[0].partition_responses[0];
                (vec![partition.error_code], partition.base_offset)
            })
            .await;
        self.note(&format!("{what}, offset {base_offset}"), &codes, None);
    }

    /// What a consumer is told, once all markers are written that are on their way.
    async fn read(&mut self, what: &str, partition: i32) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let wanted = FetchPartition::default().with_partition(partition).with_partition_max_bytes(1 << 20);
        let topic =
            FetchTopic::default().with_topic(TopicName(text(self.topic))).with_partitions(vec![wanted]);
        for isolation_level in [0, 1] {
            let request = FetchRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_max_bytes(1 << 20)
                .with_min_bytes(0)
                .with_isolation_level(isolation_level)
                .with_topics(vec![topic.clone()]);
            let answer = self.call(12, &request).await;
            let data = &answer.responses[0].partitions[0];
            let aborted = data.aborted_transactions.as_ref().map(|aborted| {
                let mut aborted: Vec<_> = aborted
                    .iter()
                    .map(|aborted| (aborted.first_offset, self.producer_ids[&aborted.producer_id.0].clone()))
                    .collect();
                aborted.sort();
                aborted
            });
            let place = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-1);
            let place = ListOffsetsTopic::default()
                .with_name(TopicName(text(self.topic)))
                .with_partitions(vec![place.with_current_leader_epoch(-1)]);
            let latest = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_isolation_level(isolation_level)
                .with_topics(vec![place]);
            let latest = self.call(7, &latest).await.topics[0].partitions[0].offset;
            let bytes = data.records.as_ref().map_or(0, Bytes::len);
            self.answers.push(format!(
                "{what}, isolation {isolation_level}: high watermark {}, stable {}, aborted {aborted:?}, latest {latest}, \
                 {bytes} bytes",
                data.high_watermark, data.last_stable_offset
            ));
        }
    }
}

/// One record, without a key, as Kafka's producer writes it.
fn batch(is: Identity, sequence: i32, is_transactional: bool) -> Bytes {
    let record = Record {
        transactional: is_transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: is.0,
        producer_epoch: is.1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::from_static(b"x")),
        headers: std::iter::empty::<(StrBytes, Option<Bytes>)>().collect(),
    };
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut encoded = BytesMut::new();
    RecordBatchEncoder::encode(&mut encoded, [&record], &options).expect("a record");
    encoded.freeze()
}

const NEW: Identity = (-1, -1);
const MINUTE: i32 = 60_000;

impl Script {
    /// The protocol before KIP-890, on partitions 0 and 1.
    pub(crate) async fn first_protocol(&mut self) {
        let id = Some("first");
        let is = self.init("init", 4, "first", MINUTE, NEW).await;
        self.end("commit nothing", 4, "first", is, true).await;
        self.end("abort nothing", 4, "first", is, false).await;
        self.add("one unknown", 3, "first", is, &[("t", 0), ("t", 99), ("missing", 0)]).await;
        self.produce("not added, 10", 10, id, is, 0, 0).await;
        self.produce("not added, 11", 11, id, is, 0, 0).await;
        self.commit_offsets("not added, 3", 3, "first", is, &[0]).await;
        self.commit_offsets("not added, 4", 4, "first", is, &[0]).await;
        self.add("another id", 3, "first", (is.0 + 1000, is.1), &[("t", 0)]).await;
        self.add("another epoch", 3, "first", (is.0, is.1 + 1), &[("t", 0)]).await;
        self.add("another epoch, 1", 1, "first", (is.0, is.1 + 1), &[("t", 0)]).await;
        self.add("unknown transactional id", 3, "unknown", is, &[("t", 0)]).await;
        self.add("partition 0", 3, "first", is, &[("t", 0)]).await;
        self.add("partition 0 again", 3, "first", is, &[("t", 0)]).await;
        self.produce("first", 11, id, is, 0, 0).await;
        self.produce("double", 11, id, is, 0, 0).await;
        self.produce("gap", 11, id, is, 0, 5).await;
        self.produce("no transaction", 11, None, is, 0, 1).await;
        self.produce("another partition", 11, id, is, 1, 0).await;
        self.read("open", 0).await;
        self.add_offsets("offsets", 3, "first", is).await;
        self.commit_offsets("offsets", 3, "first", is, &[0, 99]).await;
        self.end("another id", 4, "first", (is.0 + 1000, is.1), true).await;
        self.end("another epoch", 4, "first", (is.0, is.1 + 1), true).await;
        self.end("another epoch, 1", 1, "first", (is.0, is.1 + 1), true).await;
        self.end("commit", 4, "first", is, true).await;
        self.end("commit again", 4, "first", is, true).await;
        self.end("abort what was committed", 4, "first", is, false).await;
        self.read("committed", 0).await;
        self.produce("late", 11, id, is, 0, 1).await;
        self.add("second transaction", 3, "first", is, &[("t", 0), ("t", 1)]).await;
        self.produce("second transaction", 11, id, is, 0, 1).await;
        self.produce("second transaction", 11, id, is, 1, 0).await;
        self.end("abort", 4, "first", is, false).await;
        self.end("abort again", 4, "first", is, false).await;
        self.end("commit what was aborted", 4, "first", is, true).await;
        self.read("aborted", 0).await;
        self.read("aborted", 1).await;
    }

    /// Epochs that producers ask for, and what becomes of those that have older ones.
    pub(crate) async fn fencing(&mut self) {
        let id = Some("fenced");
        self.init("no timeout", 4, "fenced", 0, NEW).await;
        self.init("timeout too long", 4, "fenced", 900_001, NEW).await;
        self.init("no transactional id", 4, "", MINUTE, NEW).await;
        self.init("id without epoch", 4, "fenced", MINUTE, (1000, -1)).await;
        let first = self.init("init", 4, "fenced", MINUTE, NEW).await;
        let second = self.init("bump", 4, "fenced", MINUTE, first).await;
        self.init("bump, again", 4, "fenced", MINUTE, first).await;
        let third = self.init("bump", 4, "fenced", MINUTE, second).await;
        self.init("an older one", 4, "fenced", MINUTE, first).await;
        self.init("an older one, 3", 3, "fenced", MINUTE, first).await;
        self.init("another id", 4, "fenced", MINUTE, (third.0 + 1000, third.1)).await;
        self.add("open", 3, "fenced", third, &[("t", 2)]).await;
        self.produce("open", 11, id, third, 2, 0).await;
        let fourth = self.init("takes over", 4, "fenced", MINUTE, NEW).await;
        self.produce("zombie, 11", 11, id, third, 2, 1).await;
        self.produce("zombie, 12", 12, id, third, 2, 1).await;
        self.produce("zombie elsewhere", 12, id, third, 1, 0).await;
        self.add("zombie", 3, "fenced", third, &[("t", 2)]).await;
        self.add_offsets("zombie", 3, "fenced", third).await;
        self.commit_offsets("zombie", 3, "fenced", third, &[0]).await;
        self.commit_offsets("zombie, 5", 5, "fenced", third, &[0]).await;
        self.end("zombie", 4, "fenced", third, true).await;
        self.end("zombie, 5", 5, "fenced", third, true).await;
        self.init("zombie", 4, "fenced", MINUTE, third).await;
        self.produce("the new one", 12, id, fourth, 2, 0).await;
        self.end("the new one", 5, "fenced", fourth, true).await;
        self.read("fenced", 2).await;
    }

    /// The protocol of KIP-890, on partition 3.
    pub(crate) async fn second_protocol(&mut self) {
        let id = Some("second");
        let first = self.init("init", 5, "second", MINUTE, NEW).await;
        self.end("commit nothing", 5, "second", first, true).await;
        let second = self.end("abort nothing", 5, "second", first, false).await;
        self.end("abort nothing, again", 5, "second", first, false).await;
        self.produce("not from zero", 12, id, second, 3, 4).await;
        self.produce("first", 12, id, second, 3, 0).await;
        self.produce("second", 12, id, second, 3, 1).await;
        self.commit_offsets("offsets", 5, "second", second, &[0, 1]).await;
        self.read("open", 3).await;
        let third = self.end("commit", 5, "second", second, true).await;
        self.end("commit again", 5, "second", second, true).await;
        self.end("abort what was committed", 5, "second", second, false).await;
        self.end("commit nothing", 5, "second", third, true).await;
        self.produce("old epoch", 12, id, second, 3, 2).await;
        self.produce("old epoch elsewhere", 12, id, second, 1, 0).await;
        self.produce("new epoch", 12, id, third, 3, 0).await;
        let fourth = self.end("abort", 5, "second", third, false).await;
        self.end("abort again", 5, "second", third, false).await;
        self.end("commit what was aborted", 5, "second", third, true).await;
        let fifth = self.end("abort nothing", 5, "second", fourth, false).await;
        self.init("the last one", 5, "second", MINUTE, fourth).await;
        self.init("the present one", 5, "second", MINUTE, fifth).await;
        self.read("ended", 3).await;
    }

    /// A transaction that takes too long; `time_out` returns once it is aborted.
    pub(crate) async fn time_out(&mut self, time_out: impl AsyncFnOnce()) {
        let id = Some("late");
        let first = self.init("init", 5, "late", 1000, NEW).await;
        self.produce("open", 12, id, first, 4, 0).await;
        time_out().await;
        self.produce("late", 12, id, first, 4, 1).await;
        self.produce("late elsewhere", 12, id, first, 1, 0).await;
        self.end("late commit", 5, "late", first, true).await;
        let second = self.end("late abort", 5, "late", first, false).await;
        self.init("late", 5, "late", MINUTE, first).await;
        self.produce("goes on", 12, id, second, 4, 0).await;
        self.end("goes on", 5, "late", second, true).await;
        self.read("late", 4).await;
    }
}
