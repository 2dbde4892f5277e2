//! How each client is called.

use std::path::Path;
use std::process::Command;

use crate::measure::Programs;
use crate::scenarios::Case;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    ConfluentKafka,
    FranzGo,
    Java,
    Kacrab,
    Krafka,
    Limit,
    Loop,
    Ours,
    OursBursts,
    OursHandle,
    RdkafkaBase,
    RdkafkaFuture,
    Rskafka,
}

impl Client {
    pub(crate) const ALL: [Self; 13] = [
        Self::Loop,
        Self::Limit,
        Self::Ours,
        Self::OursHandle,
        Self::OursBursts,
        Self::FranzGo,
        Self::RdkafkaBase,
        Self::RdkafkaFuture,
        Self::Rskafka,
        Self::Kacrab,
        Self::ConfluentKafka,
        Self::Krafka,
        Self::Java,
    ];
    /// Those that send to any broker.
    pub(crate) const PEERS: [Self; 11] = [
        Self::Ours,
        Self::OursHandle,
        Self::OursBursts,
        Self::FranzGo,
        Self::RdkafkaBase,
        Self::RdkafkaFuture,
        Self::Rskafka,
        Self::Kacrab,
        Self::ConfluentKafka,
        Self::Krafka,
        Self::Java,
    ];
    /// Those that are built with zstd.
    pub(crate) const WITH_ZSTD: [Self; 6] =
        [Self::Ours, Self::FranzGo, Self::RdkafkaBase, Self::RdkafkaFuture, Self::Rskafka, Self::Java];
    /// Those with transactions.
    pub(crate) const TRANSACTIONAL: [Self; 7] = [
        Self::Ours,
        Self::FranzGo,
        Self::RdkafkaBase,
        Self::Kacrab,
        Self::ConfluentKafka,
        Self::Krafka,
        Self::Java,
    ];
    /// Those that tell when a single record is delivered.
    pub(crate) const AWAITING: [Self; 9] = [
        Self::Limit,
        Self::Ours,
        Self::FranzGo,
        Self::RdkafkaFuture,
        Self::Rskafka,
        Self::Kacrab,
        Self::ConfluentKafka,
        Self::Krafka,
        Self::Java,
    ];
    /// Those that keep several requests for one broker on their way.
    pub(crate) const FAR_REACHING: [Self; 7] = [
        Self::Ours,
        Self::OursHandle,
        Self::FranzGo,
        Self::RdkafkaBase,
        Self::Kacrab,
        Self::ConfluentKafka,
        Self::Krafka,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ConfluentKafka => "confluent-kafka",
            Self::FranzGo => "franz-go",
            Self::Java => "Java",
            Self::Kacrab => "kacrab",
            Self::Krafka => "krafka",
            Self::Limit => "the limit",
            Self::Loop => "the loop",
            Self::Ours => "kafka-producer",
            Self::OursBursts => "kafka-producer bursts",
            Self::OursHandle => "kafka-producer topic handle",
            Self::RdkafkaBase => "rdkafka ThreadedProducer",
            Self::RdkafkaFuture => "rdkafka FutureProducer",
            Self::Rskafka => "rskafka",
        }
    }

    /// The program with its arguments; `None` if it was not built.
    pub(crate) fn command(
        self,
        programs: &Programs,
        case: &Case,
        bootstrap: &str,
        topic: &str,
        payloads: &Path,
    ) -> Option<Command> {
        let program = match self {
            Self::ConfluentKafka | Self::Kacrab | Self::Krafka => programs.rust.join(self.name()),
            Self::FranzGo => programs.go.clone(),
            Self::Java => return java(programs, case, bootstrap, topic, payloads),
            Self::Limit => programs.rust.join("limit"),
            Self::Loop => programs.rust.join("the-loop"),
            Self::Ours | Self::OursBursts | Self::OursHandle => programs.rust.join("ours"),
            Self::RdkafkaBase | Self::RdkafkaFuture => programs.rust.join("rdkafka"),
            Self::Rskafka => programs.rust.join("rskafka"),
        };
        if !program.is_file() {
            return None;
        }
        let load = case.load;
        let mut command = Command::new(program);
        for (name, value) in [
            ("bootstrap", bootstrap),
            ("topic", topic),
            ("records", &load.records.to_string()),
            ("size", &load.size.to_string()),
            ("batch-size", &load.batch_size.to_string()),
            ("linger-ms", &load.linger_ms.to_string()),
            ("compression", load.compression),
            ("mode", load.mode),
        ] {
            command.arg(format!("--{name}")).arg(value);
        }
        if load.tls {
            command.args(["--tls-ca", TLS_CA]);
        }
        if load.mode == "transactions" {
            command.arg("--transaction-size").arg(load.transaction_size.to_string());
        }
        match self {
            Self::Limit => {}
            _ => drop(command.arg("--outstanding").arg(load.outstanding.to_string())),
        }
        match self {
            Self::OursBursts => drop(command.args(["--face", "bursts"])),
            Self::OursHandle => drop(command.args(["--face", "handle"])),
            Self::RdkafkaBase => drop(command.args(["--api", "base"])),
            Self::RdkafkaFuture => drop(command.args(["--api", "future"])),
            _ => {}
        }
        command.args(&case.extra);
        Some(command)
    }
}

/// The CA that has signed the certificate of the null broker.
const TLS_CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../mock/certs/ca.pem");

/// Kafka's own benchmark, or for single records and transactions a program of ours, with the virtual machine's defaults.
fn java(programs: &Programs, case: &Case, bootstrap: &str, topic: &str, payloads: &Path) -> Option<Command> {
    if programs.java.is_empty() {
        return None;
    }
    let load = case.load;
    let records = load.records.to_string();
    let mut command = Command::new("java");
    // Not a word of its logging among the results.
    command.args(["-Xmx1g", "-cp", &programs.java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"]);
    if load.mode == "lone" {
        let linger = load.linger_ms.to_string();
        command.args(["Lone", bootstrap, topic, &records, &load.size.to_string(), &linger]);
        return Some(command);
    }
    if load.mode == "transactions" {
        command.args(["Transactional", bootstrap, topic, &records]).arg(payloads);
        command.args([load.linger_ms.to_string(), load.batch_size.to_string()]);
        command.arg(load.transaction_size.to_string());
        return Some(command);
    }
    command.arg("org.apache.kafka.tools.ProducerPerformance");
    command.args(["--topic", topic, "--num-records", &records, "--throughput", "-1"]);
    command.arg("--payload-file").arg(payloads).arg("--producer-props");
    command.arg(format!("bootstrap.servers={bootstrap}")).arg(format!("batch.size={}", load.batch_size));
    command.arg(format!("linger.ms={}", load.linger_ms));
    command.arg(format!("compression.type={}", load.compression));
    if load.tls {
        command.args(["security.protocol=SSL", "ssl.truststore.type=PEM"]);
        command.arg(format!("ssl.truststore.location={TLS_CA}"));
    }
    Some(command)
}
