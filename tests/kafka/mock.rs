//! `kafka-mock`, judged by Kafka's own clients, and by what a real cluster answers.

mod transactions;

use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_mock::MockCluster;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FindCoordinatorRequest, InitProducerIdRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use tokio::sync::MutexGuard;

use crate::support::cluster::jars_alone;
use crate::support::jars::Jars;
use crate::support::tools::run_tool;
use crate::support::work_dir::WorkDir;
use crate::support::{KafkaCluster, Version, properties, wait, wire};
use transactions::Script;

const TOPIC: &str = "lines";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 1_000;
const VERSION: Version = Version::V4_3_1;

const INVALID_TXN_STATE: i16 = 48;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const TRANSACTION_ABORTABLE: i16 = 120;

/// The mock, and a place from which Kafka's tools are run.
struct Judged {
    cluster: MockCluster,
    bootstrap: String,
    jars: &'static Jars,
    work_dir: WorkDir,
    _turn: MutexGuard<'static, ()>,
}

impl Judged {
    /// `None`, after a line on stderr, unless real Kafka is asked for: the test is to return.
    async fn start() -> Option<Self> {
        Self::start_with(VERSION).await
    }

    /// Judged by the clients of another version.
    async fn start_with(version: Version) -> Option<Self> {
        let (jars, turn) = jars_alone(version).await?;
        let work_dir = WorkDir::new().expect("a work directory");
        properties::write_logging(work_dir.path()).expect("files");
        let cluster = MockCluster::start(3).await.expect("mock brokers");
        cluster.create_topic(TOPIC, PARTITIONS, 3).expect("topic is new");
        let bootstrap = cluster.bootstrap_servers();
        Some(Self { cluster, bootstrap, jars, work_dir, _turn: turn })
    }

    /// Runs a tool, which must neither warn nor complain, and gives what it printed.
    async fn run(&self, class: &str, arguments: &[&str], input: Vec<u8>) -> String {
        let arguments = [&["--bootstrap-server", &self.bootstrap, "--topic", TOPIC], arguments].concat();
        let Output { stdout, stderr, .. } =
            run_tool(self.jars, self.work_dir.path(), class, &arguments, input).await;
        let complaints = String::from_utf8(stderr).expect("text");
        let is_harmless = |line: &str| line.is_empty() || line.starts_with("Processed a total of ");
        assert!(complaints.lines().all(is_harmless), "{class} {arguments:?}:\n{complaints}");
        String::from_utf8(stdout).expect("text")
    }

    async fn produce(&self, lines: &[String], options: &[&str]) {
        let fixed = ["--reader-property", "parse.key=true", "--request-timeout-ms", "30000"];
        let input = lines.join("\n").into_bytes();
        let printed = self.run(VERSION.console_producer(), &[&fixed, options].concat(), input).await;
        assert_eq!(printed.trim_matches(['>', '\n', ' ']), "");
    }

    /// Reads each partition from its beginning; the lines are key, tab and value.
    async fn consume(&self) -> Vec<Vec<String>> {
        let mut read = Vec::new();
        for partition in 0..PARTITIONS {
            let end = self.cluster.end_offset(TOPIC, partition).expect("partition exists").to_string();
            let partition = partition.to_string();
            let fixed = ["--formatter-property", "print.key=true", "--offset", "earliest"];
            let arguments = [&fixed[..], &["--partition", &partition, "--max-messages", &end]].concat();
            let printed = self.run(VERSION.console_consumer(), &arguments, Vec::new()).await;
            read.push(printed.lines().map(str::to_owned).collect());
        }
        read
    }

    /// Reads with `isolation.level=read_committed`: lines with partition, tab and value, in alphabetical order.
    async fn consume_committed(&self, count: usize) -> Vec<String> {
        let mut read = Vec::new();
        for partition in 0..PARTITIONS {
            let records = self.cluster.committed_records(TOPIC, partition).len().to_string();
            let number = partition.to_string();
            let fixed = ["--isolation-level", "read_committed", "--offset", "earliest"];
            let arguments = [&fixed[..], &["--partition", &number, "--max-messages", &records]].concat();
            let printed = self.run(VERSION.console_consumer(), &arguments, Vec::new()).await;
            read.extend(printed.lines().map(|line| format!("{partition}\t{line}")));
        }
        assert_eq!(read.len(), count);
        read.sort_unstable();
        read
    }

    /// What the mock itself says about each partition.
    fn logs(&self) -> Vec<Vec<String>> {
        let text = |bytes: Option<Bytes>| String::from_utf8(bytes.expect("not null").to_vec()).expect("text");
        let logs = (0..PARTITIONS).map(|partition| {
            let records = self.cluster.records(TOPIC, partition).into_iter();
            records.map(|record| format!("{}\t{}", text(record.key), text(record.value))).collect()
        });
        logs.collect()
    }
}

fn lines() -> Vec<String> {
    (0..RECORDS).map(|number| format!("key {}\tvalue {number} ä", number % 37)).collect()
}

fn sorted(logs: Vec<Vec<String>>) -> Vec<String> {
    let mut lines: Vec<_> = logs.into_iter().flatten().collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn console_producer_and_consumer_find_nothing_wrong_with_the_mock() {
    let Some(judged) = Judged::start().await else { return };

    judged.produce(&lines(), &[]).await;
    let read = judged.consume().await;

    assert!(read.iter().all(|partition| !partition.is_empty()));
    assert_eq!(read, judged.logs());
    assert_eq!(sorted(read), sorted(vec![lines()]));
    assert_eq!(judged.cluster.refusals(), [""; 0]);
}

#[tokio::test]
async fn console_tools_and_the_mock_agree_on_every_codec() {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let Some(judged) = Judged::start().await else { return };

        judged.produce(&lines(), &["--compression-codec", codec]).await;
        let read = judged.consume().await;

        assert_eq!(read, judged.logs(), "{codec}");
        assert_eq!(sorted(read), sorted(vec![lines()]), "{codec}");
        let batches = (0..PARTITIONS).flat_map(|partition| judged.cluster.batches(TOPIC, partition));
        let codecs: Vec<_> = batches.map(|batch| format!("{:?}", batch.compression).to_lowercase()).collect();
        assert!(!codecs.is_empty() && codecs.iter().all(|found| found == codec), "{codecs:?}");
        assert_eq!(judged.cluster.refusals(), [""; 0]);
    }
}

/// Error codes by partition.
type Codes = Vec<(i32, i16)>;

/// A producer that a broker has given an id, and the name of its transactions if it has any.
#[derive(Clone, Copy, Debug)]
struct Identity {
    producer_id: i64,
    epoch: i16,
    transactional_id: Option<&'static str>,
}

/// Asks for an id until a broker coordinates the transactions, which a fresh cluster takes a while for.
async fn identity(address: SocketAddr, transactional_id: &'static str) -> Identity {
    let name = StrBytes::from_static_str(transactional_id);
    let find = FindCoordinatorRequest::default().with_key(name.clone()).with_key_type(1);
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(name)))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    wait::wait_for("a producer id", Duration::from_secs(60), async || {
        wire::call(address, 3, &find, Duration::from_secs(10)).await.ok()?;
        let answer = wire::call(address, 4, &init, Duration::from_secs(10)).await.ok()?;
        let identity = Identity {
            producer_id: answer.producer_id.0,
            epoch: answer.producer_epoch,
            transactional_id: Some(transactional_id),
        };
        (answer.error_code == 0).then_some(identity)
    })
    .await
}

/// The batch of a transaction for partition 0, and an ordinary one for partition 1.
fn transactional_request(identity: Identity) -> ProduceRequest {
    let batch = |transactional: bool| {
        let record = Record {
            transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: if transactional { identity.producer_id } else { -1 },
            producer_epoch: if transactional { identity.epoch } else { -1 },
            timestamp_type: TimestampType::Creation,
            offset: 0,
            sequence: if transactional { 0 } else { -1 },
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::from_static(b"x")),
            headers: std::iter::empty::<(StrBytes, Option<Bytes>)>().collect(),
        };
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        let mut encoded = BytesMut::new();
        RecordBatchEncoder::encode(&mut encoded, [&record], &options).expect("a record");
        encoded.freeze()
    };
    let partitions = [(0, true), (1, false)].map(|(index, transactional)| {
        PartitionProduceData::default().with_index(index).with_records(Some(batch(transactional)))
    });
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partition_data(partitions.to_vec());
    let name = |id| TransactionalId(StrBytes::from_static_str(id));
    ProduceRequest::default()
        .with_transactional_id(identity.transactional_id.map(name))
        .with_acks(-1)
        .with_timeout_ms(5000)
        .with_topic_data(vec![topic])
}

async fn codes(address: SocketAddr, request: &ProduceRequest, version: i16) -> Codes {
    let answer = wire::call(address, version, request, Duration::from_secs(10)).await.expect("an answer");
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    let mut codes: Codes = partitions.map(|partition| (partition.index, partition.error_code)).collect();
    // Kafka answers in an order of its own.
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn kafka_4_3_and_the_mock_refuse_batches_of_no_transaction_alike() {
    let Some(kafka) = KafkaCluster::start(VERSION, 1).await else { return };
    kafka.create_topic(TOPIC, 2, 1, &[]).await;
    let mock = MockCluster::start(1).await.expect("a mock broker");
    mock.create_topic(TOPIC, 2, 1).expect("topic is new");
    let mock_address = mock.bootstrap_servers().parse().expect("one address");
    let addresses = [kafka.broker(1).address(), mock_address];
    let [real, mocked] = addresses.map(|address| identity(address, "never-begun"));
    let named = [real.await, mocked.await];
    let nameless = named.map(|named| Identity { transactional_id: None, ..named });

    const UNAUTHORIZED: i16 = TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    let cases = [
        (nameless, 3, [(0, UNAUTHORIZED), (1, UNAUTHORIZED)]),
        (nameless, 12, [(0, UNAUTHORIZED), (1, UNAUTHORIZED)]),
        (named, 3, [(0, INVALID_TXN_STATE), (1, 0)]),
        (named, 10, [(0, INVALID_TXN_STATE), (1, 0)]),
        (named, 11, [(0, TRANSACTION_ABORTABLE), (1, 0)]),
        // From version 12 on the broker begins the transaction by itself.
        (named, 12, [(0, 0), (1, 0)]),
    ];
    for (identities, version, expected) in cases {
        for (address, identity) in addresses.into_iter().zip(identities) {
            let found = codes(address, &transactional_request(identity), version).await;
            assert_eq!(found, expected, "{address}: {identity:?}, version {version}");
        }
    }
}

/// How long the real broker may take to see that a transaction of a second has taken too long.
const TIME_OUT_LIMIT: Duration = Duration::from_secs(4);

async fn answers(address: SocketAddr, mock: Option<&MockCluster>) -> Vec<String> {
    identity(address, "coordinates already").await;
    // Makes the topic that keeps offsets.
    let group = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("group"));
    wire::call(address, 3, &group, Duration::from_secs(10)).await.expect("an answer");
    let mut script = Script::new(address, TOPIC);
    script.first_protocol().await;
    script.fencing().await;
    script.second_protocol().await;
    script
        .time_out(async || match mock {
            Some(mock) => assert!(mock.time_out_transaction("late")),
            None => tokio::time::sleep(TIME_OUT_LIMIT).await,
        })
        .await;
    script.into_answers()
}

#[tokio::test]
async fn kafka_4_3_and_the_mock_answer_transactions_alike() {
    let interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    let options = KafkaCluster::options(VERSION, 1).property(interval, "500");
    let Some(kafka) = options.start().await else { return };
    kafka.create_topic(TOPIC, 5, 1, &[]).await;
    let mock = MockCluster::start(1).await.expect("a mock broker");
    mock.create_topic(TOPIC, 5, 1).expect("topic is new");

    let real = answers(kafka.broker(1).address(), None).await;
    let mocked = answers(mock.bootstrap_servers().parse().expect("one address"), Some(&mock)).await;

    assert!(real.len() > 100);
    for (real, mocked) in real.iter().zip(&mocked) {
        assert_eq!(mocked, real);
    }
    assert_eq!(mocked.len(), real.len());
}

const TRANSACTIONS: i64 = 60;

/// Kafka's transactional producers of each version and its newest console consumer agree on what was committed.
#[tokio::test]
async fn transactional_producers_of_kafka_find_nothing_wrong_with_the_mock() {
    for (version, fenced_by) in [
        (Version::V1_0_2, "org.apache.kafka.common.errors.ProducerFencedException"),
        (Version::V2_8_2, "org.apache.kafka.common.errors.InvalidProducerEpochException"),
        (Version::V4_3_1, "org.apache.kafka.common.errors.InvalidProducerEpochException"),
    ] {
        let Some(judged) = Judged::start_with(version).await else { return };
        let arguments = [judged.bootstrap.as_str(), TOPIC, "id", &TRANSACTIONS.to_string()];
        let output =
            run_tool(judged.jars, judged.work_dir.path(), "Transactions", &arguments, Vec::new()).await;
        let printed = String::from_utf8(output.stdout).expect("text");
        let mut lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines.pop(), Some(fenced_by), "{version:?}");

        let mut committed = Vec::new();
        for partition in 0..PARTITIONS {
            let records = judged.cluster.committed_records(TOPIC, partition).into_iter();
            committed.extend(records.map(|record| {
                let value = record.value.expect("not null");
                format!("{partition}\t{}", String::from_utf8(value.to_vec()).expect("text"))
            }));
        }
        lines.sort_unstable();
        committed.sort_unstable();
        assert_eq!(committed, lines, "{version:?}");
        let offsets = judged.cluster.committed_offsets("group");
        // The last transaction that commits an offset and is not aborted itself.
        let last = (0..TRANSACTIONS).rfind(|number| number % 5 == 0 && number % 3 != 2);
        assert_eq!(offsets.get(&(TOPIC.to_owned(), 0)).map(|committed| committed.offset), last);
        assert_eq!(judged.cluster.refusals(), [""; 0]);
        if version == VERSION {
            assert_eq!(judged.consume_committed(committed.len()).await, committed);
        }
    }
}
