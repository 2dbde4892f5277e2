//! What is compared.

use std::time::Duration;

use kafka_producer_peers::deliveries::OUTSTANDING;
use kafka_producer_peers::null_broker::Shape;

use crate::clients::Client;

/// One table.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) broker: BrokerKind,
    pub(crate) cases: Vec<Case>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerKind {
    Null(Shape),
    /// Kafka itself, with this many brokers.
    Real {
        brokers: usize,
    },
}

/// One line of a table.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) label: String,
    pub(crate) client: Client,
    pub(crate) load: Load,
    /// In place of the scenario's broker.
    pub(crate) broker: Option<BrokerKind>,
    /// Further arguments of the client's program.
    pub(crate) extra: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) records: u64,
    pub(crate) size: usize,
    pub(crate) batch_size: usize,
    pub(crate) linger_ms: u64,
    pub(crate) compression: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) tls: bool,
    /// Records that may be on their way.
    pub(crate) outstanding: usize,
    /// Records of each transaction, in the mode of that name.
    pub(crate) transaction_size: u64,
}

const SHAPE: Shape = Shape { brokers: 1, partitions: 4, stall: false, tls: false, delay: Duration::ZERO };

const ONE: BrokerKind = BrokerKind::Null(SHAPE);

const SMALL: Load = Load {
    records: 4_000_000,
    size: 100,
    batch_size: 16_384,
    linger_ms: 5,
    compression: "none",
    mode: "pipelined",
    tls: false,
    outstanding: OUTSTANDING,
    transaction_size: 0,
};

const LARGE: Load = Load { records: 1_000_000, size: 1000, batch_size: 131_072, ..SMALL };

/// For codecs that take several times as long as the rest.
const SLOW: Load = Load { records: 400_000, ..LARGE };

const LONE: Load = Load { records: 2_000, mode: "lone", ..SMALL };

impl Scenario {
    fn of_clients(
        name: &'static str,
        title: &'static str,
        broker: BrokerKind,
        load: Load,
        clients: &[Client],
    ) -> Self {
        let case = |client: &Client| Case {
            label: client.name().to_owned(),
            client: *client,
            load,
            broker: None,
            extra: Vec::new(),
        };
        Self { name, title, broker, cases: clients.iter().map(case).collect() }
    }

    /// Cases of our own client: label, mode, records and further arguments.
    fn of_ours(name: &'static str, title: &'static str, cases: &[(&str, &'static str, u64, &str)]) -> Self {
        let case = |(label, mode, records, extra): &(&str, &'static str, u64, &str)| Case {
            label: (*label).to_owned(),
            client: Client::Ours,
            load: Load { mode, records: *records, ..SMALL },
            broker: None,
            extra: extra.split_whitespace().map(str::to_owned).collect(),
        };
        Self { name, title, broker: ONE, cases: cases.iter().map(case).collect() }
    }

    pub(crate) fn needs_kafka(&self) -> bool {
        matches!(self.broker, BrokerKind::Real { .. })
    }
}

pub(crate) fn all() -> Vec<Scenario> {
    let main = "Records of 100 bytes, batch 16 KiB, linger 5 ms";
    let large = "Records of 1,000 bytes, batch 128 KiB, linger 5 ms";
    let lz4 = "The same with lz4";
    let gzip = "The same with gzip";
    let zstd = "The same with zstd";
    let lone = "Each record awaited before the next, linger 5 ms";
    let lone_0 = "Each record awaited before the next, linger 0";
    let with_limit = &Client::ALL;
    let peers = &Client::PEERS;
    let with_zstd = &Client::WITH_ZSTD;
    let lone_clients = &Client::AWAITING;
    vec![
        Scenario::of_clients("main", main, ONE, SMALL, with_limit),
        bursts(),
        Scenario::of_clients("large", large, ONE, LARGE, with_limit),
        tls(),
        Scenario::of_clients("lz4", lz4, ONE, Load { compression: "lz4", ..LARGE }, peers),
        Scenario::of_clients("gzip", gzip, ONE, Load { compression: "gzip", ..SLOW }, peers),
        Scenario::of_clients("zstd", zstd, ONE, Load { compression: "zstd", ..SLOW }, with_zstd),
        Scenario::of_clients("lone", lone, ONE, LONE, lone_clients),
        Scenario::of_clients("lone0", lone_0, ONE, Load { linger_ms: 0, ..LONE }, lone_clients),
        tasks(),
        partitions(),
        delay(),
        stalled(),
        Scenario::of_ours("idle", "A producer at rest for 10 s", &[("idle", "idle", 1, "")]),
        real("real1", "One broker 4.3.1, 4 partitions, 100 bytes, batch 16 KiB", 1),
        real("real3", "Three brokers 4.3.1, 4 partitions, 3 replicas, 100 bytes, batch 16 KiB", 3),
        transactions("transactions1", "Transactions of one record of 100 bytes, one broker 4.3.1", 1, 1_000),
        transactions("transactions100", "Transactions of 100 records, one broker 4.3.1", 100, 50_000),
        transactions(
            "transactions10000",
            "Transactions of 10,000 records, one broker 4.3.1",
            10_000,
            1_000_000,
        ),
    ]
}

fn real(name: &'static str, title: &'static str, brokers: usize) -> Scenario {
    let load = Load { records: 1_000_000, ..SMALL };
    Scenario::of_clients(name, title, BrokerKind::Real { brokers }, load, &Client::PEERS)
}

/// Each transaction once the one before is committed; what is timed is the transaction.
fn transactions(name: &'static str, title: &'static str, size: u64, records: u64) -> Scenario {
    let load = Load { records, mode: "transactions", transaction_size: size, ..SMALL };
    Scenario::of_clients(name, title, BrokerKind::Real { brokers: 1 }, load, &Client::TRANSACTIONAL)
}

/// Our client with each provider, which its program makes that of the process.
fn tls() -> Scenario {
    let title = "Records of 1,000 bytes, batch 128 KiB, linger 5 ms, over TLS 1.3";
    let broker = BrokerKind::Null(Shape { tls: true, ..SHAPE });
    let load = Load { tls: true, ..LARGE };
    let mut scenario = Scenario::of_clients("tls", title, broker, load, &Client::ALL);
    let ours = |provider: &str| Case {
        label: format!("{}, {provider}", Client::Ours.name()),
        client: Client::Ours,
        load,
        broker: None,
        extra: vec!["--provider".to_owned(), provider.to_owned()],
    };
    let has_none = [Client::Limit, Client::Loop, Client::Ours, Client::OursBursts, Client::OursHandle];
    scenario.cases.retain(|case| !has_none.contains(&case.client));
    scenario.cases.splice(0..0, ["graviola", "aws-lc-rs", "ring"].map(ours));
    scenario
}

/// Of several lengths.
fn bursts() -> Scenario {
    let clients = [Client::Limit, Client::FranzGo, Client::Kacrab, Client::OursHandle];
    let mut scenario =
        Scenario::of_clients("bursts", "Bursts of records of 100 bytes, batch 16 KiB", ONE, SMALL, &clients);
    scenario.cases.extend([10, 100, 500, 1000].map(|burst| Case {
        label: format!("{} of {burst}", Client::OursBursts.name()),
        client: Client::OursBursts,
        load: SMALL,
        broker: None,
        extra: vec!["--burst".to_owned(), burst.to_string()],
    }));
    scenario
}

fn tasks() -> Scenario {
    let title = "Many senders: tasks that each await every record";
    let cases = [
        ("1 task, 20,000 outstanding", "pipelined", 4_000_000, ""),
        ("1 task, 100,000 outstanding", "pipelined", 4_000_000, "--outstanding 100000"),
        ("1 task", "tasks", 2_000, "--tasks 1"),
        ("10 tasks", "tasks", 20_000, "--tasks 10"),
        ("100 tasks", "tasks", 200_000, "--tasks 100"),
        ("10,000 tasks", "tasks", 4_000_000, "--tasks 10000"),
    ];
    Scenario::of_ours("tasks", title, &cases)
}

/// Records without a key, and records spread by number: as many as fill a batch for each partition in turn.
fn partitions() -> Scenario {
    let title = "Many partitions";
    let many = BrokerKind::Null(Shape { brokers: 20, partitions: 10_000, ..SHAPE });
    let cases = [
        ("4 partitions on 1 broker", "pipelined", 4_000_000, ""),
        ("10,000 partitions on 20 brokers", "pipelined", 4_000_000, ""),
        ("4 on 1, 150 records to each in turn", "pipelined", 4_000_000, "--spread 150 --partitions 4"),
        (
            "10,000 on 20, 150 records to each in turn",
            "pipelined",
            4_000_000,
            "--spread 150 --partitions 10000",
        ),
    ];
    let mut scenario = Scenario::of_ours("partitions", title, &cases);
    for case in scenario.cases.iter_mut().filter(|case| case.label.starts_with("10,000")) {
        case.broker = Some(many);
    }
    scenario
}

/// As many records on their way as it takes to fill the way.
fn delay() -> Scenario {
    let title = "Three brokers 50 ms away, 300 partitions, 100 bytes, batch 16 KiB, 200,000 outstanding";
    let shape = Shape { brokers: 3, partitions: 300, delay: Duration::from_millis(50), ..SHAPE };
    let load = Load { outstanding: 200_000, ..SMALL };
    Scenario::of_clients("delay", title, BrokerKind::Null(shape), load, &Client::FAR_REACHING)
}

fn stalled() -> Scenario {
    let title = "A broker that never answers, for 3 s (buffer.memory is 32 MiB)";
    let mut scenario = Scenario::of_ours("stalled", title, &[("stalled", "stalled", 1, "")]);
    scenario.broker = BrokerKind::Null(Shape { stall: true, ..SHAPE });
    scenario
}
