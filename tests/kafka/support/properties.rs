//! The configuration files of brokers, of `ZooKeeper` and of their logging.

use std::fmt::Write;
use std::io;
use std::path::Path;

use super::security::Security;
use super::version::Version;

/// What the configuration of every broker of a cluster has in common.
#[derive(Debug)]
pub(crate) struct Ports {
    /// The ports that clients use, of node 1 and up.
    pub(crate) brokers: Vec<u16>,
    /// The ports of each broker's other listeners, in their order.
    pub(crate) listeners: Vec<Vec<u16>>,
    pub(crate) controllers: Controllers,
}

/// Who decides about leaders, and on which ports.
#[derive(Debug)]
pub(crate) enum Controllers {
    /// The nodes themselves: the ports they use among themselves, of node 1 and up.
    Nodes(Vec<u16>),
    ZooKeeper(u16),
}

/// What all brokers are given unless a test says otherwise.
///
/// - The timestamps of test records are anything from 1970 to now: neither retention nor the age of a segment may
///   depend on them.
/// - A dead broker is noticed in 6 s (Kafka: 9 s) with `KRaft`, 4 s with `ZooKeeper`; less, and a broker that waits for
///   one of two busy cores is taken for dead.
const COMMON: &str = "\
auto.create.topics.enable=false
controlled.shutdown.enable=true
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
log.retention.ms=-1
log.roll.ms=4611686018427387903
num.io.threads=4
num.network.threads=2
offsets.topic.num.partitions=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
";

/// The `server.properties` of node `id`, in the directory of its cluster; later lines win, so `extra` has the last word.
pub(crate) fn server(
    id: usize,
    version: Version,
    ports: &Ports,
    root: &Path,
    security: &Security,
    extra: &[(String, String)],
) -> String {
    let mut text = COMMON.to_owned();
    let mut set = |key: &str, value: &str| writeln!(text, "{key}={value}").expect("a String takes all");
    let mut client = format!("PLAINTEXT://127.0.0.1:{}", ports.brokers[id - 1]);
    for (listener, port) in security.listeners.iter().zip(&ports.listeners[id - 1]) {
        write!(client, ",{}://127.0.0.1:{port}", listener.name()).expect("a String takes all");
    }
    let protocols = format!("PLAINTEXT:PLAINTEXT{}", security.protocols());
    let replication = ports.brokers.len().min(3).to_string();
    set("log.dirs", &root.join(format!("broker-{id}/data")).display().to_string());
    set("advertised.listeners", &client);
    set("default.replication.factor", &replication);
    set("offsets.topic.replication.factor", &replication);
    set("transaction.state.log.replication.factor", &replication);
    match &ports.controllers {
        Controllers::Nodes(controllers) => {
            let voters: Vec<String> =
                (1..).zip(controllers).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
            set("process.roles", "broker,controller");
            set("node.id", &id.to_string());
            set("controller.quorum.voters", &voters.join(","));
            set("controller.listener.names", "CONTROLLER");
            set("listeners", &format!("{client},CONTROLLER://127.0.0.1:{}", controllers[id - 1]));
            set("listener.security.protocol.map", &format!("{protocols},CONTROLLER:PLAINTEXT"));
            set("broker.session.timeout.ms", "6000");
            set("broker.heartbeat.interval.ms", "1000");
        }
        Controllers::ZooKeeper(port) => {
            set("broker.id", &id.to_string());
            set("listeners", &client);
            set("listener.security.protocol.map", &protocols);
            set("zookeeper.connect", &format!("127.0.0.1:{port}"));
            set("zookeeper.connection.timeout.ms", "30000");
            set("zookeeper.session.timeout.ms", "4000");
        }
    }
    for (key, value) in security.properties(version, root).iter().chain(extra) {
        set(key, value);
    }
    text
}

/// The `ZooKeeper` of one machine, whose ticks are short enough for the brokers' session timeout.
pub(crate) fn zookeeper(port: u16, data: &Path) -> String {
    format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\nmaxClientCnxns=0\n\
         admin.enableServer=false\n",
        data.display()
    )
}

const LOG4J: &str = "\
log4j.rootLogger=${harness.level}, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=[%d] %p %m (%c)%n
";

const LOG4J2: &str = r#"<Configuration status="WARN">
  <Appenders>
    <Console name="console" target="SYSTEM_ERR"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console>
  </Appenders>
  <Loggers><Root level="${sys:harness.level}"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"#;

/// Writes the files that [`logging_options`] names.
pub(crate) fn write_logging(directory: &Path) -> io::Result<()> {
    std::fs::write(directory.join("log4j.properties"), LOG4J)?;
    std::fs::write(directory.join("log4j2.xml"), LOG4J2)
}

/// Options for `java` that send the log to stderr; Kafka up to 3.x reads the first, later ones the second.
pub(crate) fn logging_options(directory: &Path, level: &str) -> [String; 3] {
    [
        format!("-Dlog4j.configuration=file:{}", directory.join("log4j.properties").display()),
        format!("-Dlog4j2.configurationFile={}", directory.join("log4j2.xml").display()),
        format!("-Dharness.level={level}"),
    ]
}
