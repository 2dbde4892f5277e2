//! Kafka's own command line tools, of the cluster's own version.

use std::path::Path;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::cluster::KafkaCluster;
use super::consumed_record::ConsumedRecord;
use super::consumed_record::TimestampType;
use super::jars::Jars;
use super::process::Watchdog;
use super::properties;

/// How long a tool may run.
const LIMIT: Duration = Duration::from_secs(300);

/// Which records of transactions a consumer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    ReadCommitted,
    ReadUncommitted,
}

impl Isolation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

impl KafkaCluster {
    /// Reads a topic of text without tabs and newlines by the console consumer, which ends at the present end.
    ///
    /// What the tool cannot tell: null and the word `null` look the same. Kafka 1.0 prints neither offsets (there
    /// they are counted, which is right for topics without transactions) nor headers (there are none then).
    pub(crate) async fn console_consumer(&self, topic: &str, isolation: Isolation) -> Vec<ConsumedRecord> {
        let begins = self.begin_offsets(topic).await;
        let ends = self.end_offsets(topic).await;
        let mut records = Vec::new();
        for (partition, end) in ends {
            let begin = begins[&partition];
            if begin == end {
                continue;
            }
            let output = self.console_consume(topic, isolation, partition, end - begin).await;
            for (line, offset) in output.lines().zip(begin..) {
                records.push(if self.version().prints_positions() {
                    parse_line(line)
                } else {
                    parse_old_line(line, partition, offset)
                });
            }
        }
        records
    }

    /// Reads as many committed records of a topic of text, keys and values, by one run of the console consumer.
    pub(crate) async fn console_consume_committed(
        &self,
        topic: &str,
        records: usize,
    ) -> Vec<(String, String)> {
        let version = self.version();
        let (bootstrap, records) = (self.bootstrap_servers(), records.to_string());
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", topic, "--from-beginning"];
        arguments.extend(["--isolation-level", Isolation::ReadCommitted.name(), "--max-messages", &records]);
        arguments.extend(["--timeout-ms", "60000", version.formatter_option(), "print.key=true"]);
        let printed = self.run_tool(version.console_consumer(), &arguments, Vec::new()).await;
        let printed = String::from_utf8(printed).expect("text");
        let line = |line: &str| {
            let (key, value) = line.split_once('\t').unwrap_or_else(|| panic!("line {line:?}"));
            (key.to_owned(), value.to_owned())
        };
        printed.lines().map(line).collect()
    }

    /// Sends lines by the console producer; reader properties are for example `("parse.key", "true")`.
    pub(crate) async fn console_producer(&self, topic: &str, lines: &[String], properties: &[(&str, &str)]) {
        let version = self.version();
        let bootstrap = self.bootstrap_servers();
        let mut arguments = vec![version.producer_bootstrap_option(), &bootstrap, "--topic", topic];
        // The tool's own request timeout of 1.5 s makes duplicates on a busy machine.
        arguments.extend(["--request-required-acks", "-1", "--request-timeout-ms", "30000"]);
        let properties: Vec<String> =
            properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for property in &properties {
            arguments.extend([version.reader_option(), property]);
        }
        let mut input = lines.join("\n");
        input.push('\n');
        self.run_tool(version.console_producer(), &arguments, input.into_bytes()).await;
    }

    /// Runs Kafka's benchmark of its own producer, and gives the line with the figures.
    pub(crate) async fn producer_performance(
        &self,
        topic: &str,
        records: usize,
        record_size: usize,
        properties: &[(&str, &str)],
    ) -> String {
        let (records, size) = (records.to_string(), record_size.to_string());
        let mut arguments = vec!["--topic", topic, "--num-records", &records, "--record-size", &size];
        arguments.extend(["--throughput", "-1", "--producer-props"]);
        let bootstrap = format!("bootstrap.servers={}", self.bootstrap_servers());
        let properties: Vec<String> =
            properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        arguments.push(&bootstrap);
        arguments.extend(properties.iter().map(String::as_str));
        let output =
            self.run_tool("org.apache.kafka.tools.ProducerPerformance", &arguments, Vec::new()).await;
        let output = String::from_utf8(output).expect("text");
        output.lines().rfind(|line| line.contains("records/sec")).expect("a line with the figures").to_owned()
    }

    /// The compression codec of each batch of a partition, in lower case, by Kafka's dump of the leader's first segment.
    pub(crate) async fn batch_codecs(&self, topic: &str, partition: i32) -> Vec<String> {
        let leader = self.leader(topic, partition).await.expect("a leader");
        let segment = format!("broker-{leader}/data/{topic}-{partition}/00000000000000000000.log");
        let segment = self.directory().join(segment);
        let arguments = ["--files", segment.to_str().expect("a path of text")];
        let output = self.run_tool(self.version().dump_log_segments(), &arguments, Vec::new()).await;
        let output = String::from_utf8(output).expect("text").to_lowercase();
        let codec = |line: &str| {
            let (_, rest) = line.split_once("compresscodec: ")?;
            rest.split_whitespace().next().map(|codec| codec.trim_end_matches("compressioncodec").to_owned())
        };
        output.lines().filter_map(codec).collect()
    }

    /// Runs a Java class with these arguments and this input, and gives what it printed.
    pub(crate) async fn run_tool(&self, class: &str, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
        run_tool(self.jars(), self.directory(), class, arguments, input).await.stdout
    }

    async fn console_consume(
        &self,
        topic: &str,
        isolation: Isolation,
        partition: i32,
        records: i64,
    ) -> String {
        let version = self.version();
        let (bootstrap, partition, records) =
            (self.bootstrap_servers(), partition.to_string(), records.to_string());
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", topic];
        arguments.extend(["--partition", &partition, "--offset", "earliest", "--max-messages", &records]);
        // The end comes by the count; by the clock only where markers of transactions are counted, too.
        arguments.extend(["--timeout-ms", "10000", "--isolation-level", isolation.name()]);
        let mut properties = vec!["print.key=true", "print.timestamp=true"];
        if version.prints_positions() {
            properties.extend(["print.partition=true", "print.offset=true", "print.headers=true"]);
        }
        for property in properties {
            arguments.extend([version.formatter_option(), property]);
        }
        String::from_utf8(self.run_tool(version.console_consumer(), &arguments, Vec::new()).await)
            .expect("text")
    }
}

/// Runs a Java class with the configuration of the log in `directory`, and gives what it printed. It must succeed.
pub(crate) async fn run_tool(
    jars: &Jars,
    directory: &Path,
    class: &str,
    arguments: &[&str],
    input: Vec<u8>,
) -> Output {
    let mut java = jars.java(&["-Xmx512m"]);
    java.args(properties::logging_options(directory, "WARN")).arg(class).args(arguments);
    java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(java).kill_on_drop(true).spawn().expect("java");
    let _watchdog = child.id().map(|pid| Watchdog::over(pid).expect("sh"));
    let mut stdin = child.stdin.take().expect("a piped input");
    let running = async {
        // A tool that fails closes its input early; its exit status tells more than our broken pipe.
        let (_, output) = tokio::join!(
            async move {
                let written = stdin.write_all(&input).await;
                drop(stdin);
                written
            },
            child.wait_with_output()
        );
        output.expect("the tool's output")
    };
    let ended = tokio::time::timeout(LIMIT, running).await;
    let output = ended.unwrap_or_else(|_| panic!("{class} runs for ever"));
    let Output { status, stderr, .. } = &output;
    assert!(status.success(), "{class} {arguments:?}: {status}\n{}", String::from_utf8_lossy(stderr));
    output
}

/// `CreateTime:1  Partition:0  Offset:7  name:value,name:value  key  value`, separated by tabs.
fn parse_line(line: &str) -> ConsumedRecord {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[timestamp, partition, offset, headers, key, value] = &fields[..] else { panic!("line {line:?}") };
    let (timestamp_type, timestamp) = parse_timestamp(timestamp);
    let number = |field: &str, name: &str| -> i64 {
        field.strip_prefix(name).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{name} in {line:?}"))
    };
    ConsumedRecord {
        partition: i32::try_from(number(partition, "Partition:")).expect("a partition"),
        offset: number(offset, "Offset:"),
        timestamp,
        timestamp_type,
        key: parse_nullable(key),
        value: parse_nullable(value),
        headers: parse_headers(headers),
    }
}

/// `CreateTime:1  key  value`, separated by tabs.
fn parse_old_line(line: &str, partition: i32, offset: i64) -> ConsumedRecord {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[timestamp, key, value] = &fields[..] else { panic!("line {line:?}") };
    let (timestamp_type, timestamp) = parse_timestamp(timestamp);
    let (key, value) = (parse_nullable(key), parse_nullable(value));
    ConsumedRecord { partition, offset, timestamp, timestamp_type, key, value, headers: Vec::new() }
}

fn parse_timestamp(field: &str) -> (TimestampType, i64) {
    let (name, timestamp) = field.split_once(':').unwrap_or((field, "-1"));
    let timestamp_type = match name {
        "CreateTime" => TimestampType::Create,
        "LogAppendTime" => TimestampType::Append,
        "NO_TIMESTAMP" => TimestampType::Missing,
        other => panic!("timestamp type {other:?}"),
    };
    (timestamp_type, timestamp.parse().expect("a timestamp"))
}

fn parse_headers(field: &str) -> Vec<(String, Option<Bytes>)> {
    if field == "NO_HEADERS" {
        return Vec::new();
    }
    let header = |text: &str| {
        let (name, value) = text.split_once(':').expect("name:value");
        (name.to_owned(), parse_nullable(value))
    };
    field.split(',').map(header).collect()
}

fn parse_nullable(field: &str) -> Option<Bytes> {
    (field != "null").then(|| Bytes::copy_from_slice(field.as_bytes()))
}
