//! `kafka-mock`, judged by Kafka's own clients.

use std::process::Output;

use kafka_mock::MockCluster;
use tokio::sync::MutexGuard;

use crate::support::cluster::jars_alone;
use crate::support::jars::Jars;
use crate::support::tools::run_tool;
use crate::support::work_dir::WorkDir;
use crate::support::{Version, properties};

const TOPIC: &str = "lines";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 1_000;
const VERSION: Version = Version::V4_3_1;

/// The mock, and a place from which Kafka's tools are run.
struct Judged {
    cluster: MockCluster,
    bootstrap: String,
    jars: &'static Jars,
    work_dir: WorkDir,
    _turn: MutexGuard<'static, ()>,
}

impl Judged {
    /// `None`, after a line on stderr, when Java or Kafka's jars cannot be had: the test is to return.
    async fn start() -> Option<Self> {
        let (jars, turn) = jars_alone(VERSION).await?;
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

    /// What the mock itself says about each partition.
    fn logs(&self) -> Vec<Vec<String>> {
        let text =
            |bytes: Option<bytes::Bytes>| String::from_utf8(bytes.expect("not null").to_vec()).expect("text");
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
