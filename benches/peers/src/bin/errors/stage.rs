//! The failures, and how each is staged.

use std::net::Ipv4Addr;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster, MockTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// As the sheet has them (`tests/it/explains/sheet.rs`).
pub(crate) const NAMES: [&str; 49] = [
    "Wrong host",
    "Wrong port",
    "HTTP",
    "TLS mix-up: plaintext to TLS",
    "TLS mix-up: TLS to plaintext",
    "Silent port",
    "Controller instead of a broker",
    "Advertised address out of reach",
    "Wrong password",
    "SASL expected",
    "Unknown topic",
    "Unknown partition",
    "Unknown topic, without waiting",
    "Name with a space",
    "No leader",
    "Not enough replicas, for too long",
    "Not enough replicas, retries used up",
    "Too large here",
    "Too large there",
    "Refused for its contents",
    "Buffer full",
    "Too slow: metadata",
    "Too slow: memory",
    "Too slow: connecting",
    "Too slow: broker disconnected",
    "Too slow: throttled by a quota",
    "Too slow: behind another batch",
    "Too slow: between attempts",
    "Too slow: in flight",
    "Too slow: limit of the call",
    "Connection lost, retries used up",
    "Throttled",
    "Fenced",
    "Fenced: transaction",
    "Not authorised for the topic",
    "Not authorised to write to the topic",
    "Not authorised for the cluster",
    "Not authorised for the transactional id",
    "Closed",
    "Closed before delivery",
    "Runtime gone",
    "Runtime gone before delivery",
    "Purged",
    "Withdrawn",
    "Stopped",
    "Stopped: later records",
    "Configuration with one mistake",
    "Configuration with five mistakes",
    "Waiting amid async code",
];

/// Returns why a client cannot fail so.
pub(crate) fn why_not(name: &str, client: &str) -> Option<&'static str> {
    Some(match (name, client) {
        ("Unknown topic, without waiting", "librdkafka") => "it takes a record before it knows of its topic",
        ("Too slow: memory", "librdkafka") => "it does not wait: the same as with a full buffer",
        ("Connection lost, retries used up" | "Not enough replicas, retries used up", "krafka") => {
            "it has no bound on retries but time"
        }
        ("Throttled" | "Too slow: throttled by a quota", "librdkafka") => {
            "not staged: it leaves the pause to the broker"
        }
        ("Too slow: between attempts", "krafka") => "it waits for a second at most between attempts",
        ("Closed", "librdkafka") => "no such call: a producer ends when it is dropped",
        ("Runtime gone" | "Runtime gone before delivery", "Java" | "librdkafka") => {
            "it has threads of its own"
        }
        ("Too slow: limit of the call" | "Withdrawn", "Java") => {
            "its `Future.get` has a limit, which leaves the record where it is"
        }
        ("Too slow: limit of the call" | "Withdrawn", "librdkafka") => {
            "its `message.timeout.ms` is one for all records"
        }
        ("Too slow: limit of the call" | "Withdrawn", "krafka") => {
            "its `delivery_timeout` is one for all records"
        }
        ("Waiting amid async code", "Java" | "librdkafka") => "its calls may block anywhere",
        ("Waiting amid async code", "krafka") => "it has async calls only",
        ("Purged" | "Stopped" | "Stopped: later records", "Java") => "it has nothing like this",
        ("Purged" | "Stopped" | "Stopped: later records", "krafka") => "it has nothing like this",
        ("Configuration with one mistake", "krafka") => {
            "its settings are methods: such a program does not compile"
        }
        _ => return None,
    })
}

/// A failure that is staged, for one client.
pub(crate) struct Stage {
    bootstrap: String,
    topic: &'static str,
    settings: Vec<(&'static str, String)>,
    options: Vec<(&'static str, String)>,
    cluster: Option<MockCluster>,
    /// What goes wrong after the first record, which is written.
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    Nothing,
    BrokerDown,
    Disconnect,
    Freeze,
    /// It has the record, and does not come back.
    FreezeAndDown,
    RefuseOnce(i16),
    Throttle,
}

/// Returns how to fail.
pub(crate) async fn stage(name: &str, client: &str) -> Stage {
    if let Some(stage) = at_an_address(name).await {
        return stage;
    }
    match at_a_mock(name, client, Stage::mock().await) {
        Break(stage) => stage,
        Continue(_) => panic!("{name:?} is not staged"),
    }
}

/// Breaks with what is staged, as do the next ones, and goes on with the mock's brokers as they are if the failure is another.
fn at_a_mock(name: &str, client: &str, mock: Stage) -> ControlFlow<Stage, Stage> {
    let mock = topics(name, mock)?;
    let mock = delivering(name, client, mock)?;
    let mock = slow(name, mock)?;
    ending(name, mock)
}

/// Brokers that cannot be reached, or that are none.
async fn at_an_address(name: &str) -> Option<Stage> {
    let here = |port: u16| format!("127.0.0.1:{port}");
    Some(match name {
        "Wrong host" => Stage::at("no-such-host.invalid:9092".to_owned()),
        "Wrong port" => Stage::at(here(1)),
        "HTTP" => Stage::at(here(listener(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await)),
        "Silent port" => Stage::at(here(listener(b"").await)),
        "TLS mix-up: plaintext to TLS" => {
            let cluster = MockCluster::builder().tls(MockTls::new()).start().await.expect("brokers start");
            Stage::with(cluster)
        }
        "TLS mix-up: TLS to plaintext" => Stage::mock().await.set("security.protocol", "SSL"),
        "Wrong password" => {
            let stage = Stage::with(guarded().await).set("security.protocol", "SASL_PLAINTEXT");
            stage.set("sasl.mechanism", "SCRAM-SHA-512").set("user", "alice").set("password", "pears")
        }
        "SASL expected" => Stage::with(guarded().await),
        "Controller instead of a broker" => {
            Stage::mock().await.so(|cluster| cluster.remove_api(Api::Metadata))
        }
        "Advertised address out of reach" => {
            let stage = Stage::mock().await;
            let port = stage.cluster.as_ref().and_then(|cluster| cluster.port(0)).expect("there is a broker");
            Stage { bootstrap: here(advertising_another(port).await), ..stage }
        }
        "Configuration with one mistake" => Stage::mock().await.set("linger", "5"),
        "Configuration with five mistakes" => {
            let stage = Stage::at("kafka-1".to_owned()).set("queue.buffering.max.ms", "5").set("acks", "1");
            let stage = stage.set("enable.idempotence", "true").set("compression.type", "brotli");
            stage.set("interceptor.classes", "com.example.Audit")
        }
        _ => return None,
    })
}

fn topics(name: &str, mock: Stage) -> ControlFlow<Stage, Stage> {
    Break(match name {
        "Unknown topic" => Stage { topic: "missing", ..mock },
        "Unknown partition" => mock.option("partition", "2"),
        "Unknown topic, without waiting" => mock.set("max.block.ms", "0"),
        "Name with a space" => Stage { topic: "new orders", ..mock },
        "No leader" => mock.so(|cluster| cluster.set_leader(TOPIC, 0, None).expect("it exists")),
        "Not authorised for the topic" => mock.refusing(Api::Metadata, 29),
        _ => return Continue(mock),
    })
}

fn delivering(name: &str, client: &str, mock: Stage) -> ControlFlow<Stage, Stage> {
    Break(match name {
        "Not enough replicas, for too long" => mock.so(|cluster| cluster.set_min_insync_replicas(2)),
        "Not enough replicas, retries used up" => {
            mock.so(|cluster| cluster.set_min_insync_replicas(2)).set("retries", "1")
        }
        "Too large here" => {
            mock.set("max.request.size", "1000").set("batch.size", "500").option("size", "2000")
        }
        "Too large there" => mock.option("size", "2000").so(|cluster| cluster.set_max_message_bytes(1000)),
        "Refused for its contents" => mock.refusing(Api::Produce, 87),
        "Buffer full" => full(client, mock).set("max.block.ms", "0"),
        "Too slow: memory" => full(client, mock).set("max.block.ms", "3000"),
        "Connection lost, retries used up" => {
            mock.then(Then::Disconnect).set("retries", "0").set("enable.idempotence", "false")
        }
        "Fenced" => mock.refusing(Api::Produce, 90),
        "Not authorised to write to the topic" => mock.refusing(Api::Produce, 29),
        "Not authorised for the cluster" => mock.refusing(Api::InitProducerId, 31),
        _ => return Continue(mock),
    })
}

/// The broker takes no more records than those that fill the buffer.
fn full(client: &str, mock: Stage) -> Stage {
    let stage = mock
        .then(Then::Freeze)
        .option("size", "900")
        .option("records", "30")
        .set("request.timeout.ms", "11900");
    // krafka counts more bytes for a record than are in it.
    let memory = if client == "krafka" { "8000" } else { "4000" };
    stage.set("buffer.memory", memory).set("batch.size", "1000")
}

fn slow(name: &str, mock: Stage) -> ControlFlow<Stage, Stage> {
    let one_by_one = |stage: Stage| {
        let stage = stage.option("records", "2").option("manner", "last").each_in_a_batch();
        stage.set("max.in.flight.requests.per.connection", "1").set("request.timeout.ms", "11900")
    };
    Break(match name {
        "Too slow: metadata" => mock.so(|cluster| cluster.delay(None, Some(Api::Metadata), FOR_EVER)),
        "Too slow: connecting" => mock.then(Then::BrokerDown),
        "Too slow: broker disconnected" => mock.then(Then::FreezeAndDown).set("request.timeout.ms", "11900"),
        "Too slow: in flight" => mock.then(Then::Freeze).set("request.timeout.ms", "11900"),
        "Too slow: behind another batch" => one_by_one(mock).then(Then::Freeze),
        "Too slow: between attempts" => {
            let stage = mock.then(Then::RefuseOnce(7)).set("retry.backoff.ms", "60000");
            stage.set("retry.backoff.max.ms", "60000")
        }
        "Throttled" | "Too slow: throttled by a quota" => one_by_one(mock).then(Then::Throttle),
        _ => return Continue(mock),
    })
}

/// Producers, transactions and partitions that have ended.
fn ending(name: &str, mock: Stage) -> ControlFlow<Stage, Stage> {
    let gapless = |mock: Stage| {
        let stage = mock.then(Then::RefuseOnce(87)).option("records", "2").each_in_a_batch();
        stage.set("enable.gapless.guarantee", "true").set("max.in.flight.requests.per.connection", "1")
    };
    Break(match name {
        "Fenced: transaction" => mock.option("manner", "fence").set("transactional.id", "payments-1"),
        "Not authorised for the transactional id" => {
            let stage = mock.refusing(Api::InitProducerId, 53).option("manner", "transaction");
            stage.set("transactional.id", "payments-1")
        }
        "Closed" => mock.then(Then::Nothing).option("manner", "closed"),
        "Closed before delivery" => mock.then(Then::Freeze).option("manner", "close"),
        "Runtime gone" => mock.then(Then::Nothing).option("manner", "runtime"),
        "Runtime gone before delivery" => mock.then(Then::Freeze).option("manner", "runtime-under-way"),
        "Purged" => {
            mock.option("manner", "purge").set("linger.ms", "11000").set("request.timeout.ms", "1000")
        }
        "Stopped" => gapless(mock).option("manner", "last"),
        "Stopped: later records" => gapless(mock).option("manner", "later"),
        _ => return Continue(mock),
    })
}

impl Stage {
    fn at(bootstrap: String) -> Self {
        let settings = [
            ("max.block.ms", "10000"),
            ("delivery.timeout.ms", "12000"),
            ("request.timeout.ms", "2000"),
            ("linger.ms", "0"),
        ];
        Self {
            bootstrap,
            topic: TOPIC,
            settings: settings.map(|(name, value)| (name, value.to_owned())).to_vec(),
            options: vec![("partition", "0".to_owned())],
            cluster: None,
            then: Then::Nothing,
        }
    }

    async fn mock() -> Self {
        let cluster =
            MockCluster::builder().auto_create_topics(false, 1).transaction_version(2).start().await;
        let cluster = cluster.expect("brokers start");
        cluster.create_topic(TOPIC, 2, 1).expect("it is new");
        Self::with(cluster)
    }

    fn with(cluster: MockCluster) -> Self {
        Self { cluster: Some(cluster), ..Self::at(String::new()) }.at_its_brokers()
    }

    fn at_its_brokers(mut self) -> Self {
        self.bootstrap = self.cluster.as_ref().map(MockCluster::bootstrap_servers).unwrap_or_default();
        self
    }

    fn so(self, change: impl Fn(&MockCluster)) -> Self {
        self.cluster.iter().for_each(change);
        self
    }

    fn refusing(self, api: Api, code: i16) -> Self {
        self.so(|cluster| cluster.inject(Fault::error_code(code).api(api).always()))
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
        self
    }

    fn option(mut self, name: &'static str, value: &str) -> Self {
        self.options.retain(|(known, _)| *known != name);
        self.options.push((name, value.to_owned()));
        self
    }

    /// Java takes more records into a batch than `batch.size` allows if they are small.
    fn each_in_a_batch(self) -> Self {
        self.set("batch.size", "1").option("size", "200")
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }.option("first", "true")
    }

    /// Returns the command line of the client.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments = vec!["--bootstrap".to_owned(), self.bootstrap.clone()];
        arguments.extend(["--topic".to_owned(), self.topic.to_owned()]);
        arguments.extend(["--settings".to_owned(), settings.join(",")]);
        for (name, value) in &self.options {
            arguments.extend([format!("--{name}"), value.clone()]);
        }
        arguments
    }

    /// Lets go wrong what is to go wrong after the first record.
    pub(crate) async fn fail(&self) {
        let Some(cluster) = &self.cluster else { return };
        match self.then {
            Then::Nothing => {}
            Then::BrokerDown => cluster.broker_down(0).await.expect("it is up"),
            Then::Disconnect => cluster.disconnect_after_request(Api::Produce, 1),
            Then::Freeze => cluster.freeze(0).expect("it is there"),
            Then::FreezeAndDown => cluster.freeze(0).expect("it is there"),
            Then::RefuseOnce(code) => cluster.inject(Fault::error_code(code).api(Api::Produce)),
            Then::Throttle => cluster.inject(Fault::throttle(FOR_EVER).api(Api::Produce).always()),
        }
    }

    /// Lets go wrong what is to go wrong when the client has sent the next record, too.
    pub(crate) async fn fail_later(&self) {
        if let (Then::FreezeAndDown, Some(cluster)) = (self.then, &self.cluster) {
            tokio::time::sleep(Duration::from_secs(2)).await;
            cluster.broker_down(0).await.expect("it is up");
        }
    }
}

async fn guarded() -> MockCluster {
    let cluster = MockCluster::builder().auto_create_topics(false, 1).sasl_user("alice", "apples");
    let cluster = cluster.start().await.expect("brokers start");
    cluster.create_topic(TOPIC, 1, 1).expect("it is new");
    cluster
}

/// Accepts connections, and answers the first bytes of each with these, or never.
async fn listener(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                drop(stream.read(&mut [0; 8]).await);
                drop(stream.write_all(words).await);
                drop(stream.read_to_end(&mut Vec::new()).await);
            });
        }
    });
    port
}

/// Leads to a broker, and says of it that it is at a port where nothing listens.
async fn advertising_another(broker: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    let (advertised, other) = (i32::from(broker).to_be_bytes(), 1_i32.to_be_bytes());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await.expect("it listens");
            let ((mut from_client, mut to_client), (mut answers, mut to_broker)) =
                (client.into_split(), broker.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_broker).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 100_000];
                while let Ok(read @ 1..) = answers.read(&mut bytes).await {
                    let answer = &mut bytes[..read];
                    if let Some(at) = answer.windows(4).position(|window| *window == advertised) {
                        answer[at..at + 4].copy_from_slice(&other);
                    }
                    drop(to_client.write_all(answer).await);
                }
            });
        }
    });
    port
}

const TOPIC: &str = "orders";
const FOR_EVER: Duration = Duration::from_secs(600);
