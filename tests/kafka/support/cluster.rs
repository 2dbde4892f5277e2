//! A cluster of real brokers on this machine.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;

use super::broker;
use super::broker::Broker;
use super::issuer::Issuer;
use super::jars::Jars;
use super::listener::Listener;
use super::ports;
use super::process::Process;
use super::properties;
use super::properties::Controllers;
use super::properties::Ports;
use super::security::CLIENT_KEYSTORE;
use super::security::Security;
use super::version::Version;
use super::wait;
use super::work_dir::WorkDir;

/// Two clusters at once would need more memory and cores than a laptop or a CI machine has to spare.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

static SAY_SKIPPED: Once = Once::new();

/// How often a cluster is started when another process takes one of its ports first.
const ATTEMPTS: usize = 3;

/// A running cluster; its processes end and its directory goes when it is dropped.
///
/// Nodes are numbered from 1.
#[derive(Debug)]
pub(crate) struct KafkaCluster {
    brokers: Vec<Broker>,
    controllers: Controllers,
    issuer: Option<Issuer>,
    /// `None` for `KRaft`.
    _zookeeper: Option<Process>,
    jars: &'static Jars,
    version: Version,
    work_dir: WorkDir,
    /// Last, so that the next cluster starts when nothing of this one is left.
    _turn: MutexGuard<'static, ()>,
}

/// How to start a [`KafkaCluster`].
#[derive(Debug)]
pub(crate) struct ClusterOptions {
    version: Version,
    brokers: usize,
    security: Security,
    properties: Vec<(String, String)>,
}

impl ClusterOptions {
    /// Sets a property of every broker.
    pub(crate) fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Gives every broker these listeners beside the plain one.
    pub(crate) fn listeners(mut self, listeners: &[Listener]) -> Self {
        self.security.listeners.extend_from_slice(listeners);
        self
    }

    /// Has the brokers say who they are for Kerberos.
    #[cfg(feature = "gssapi")]
    pub(crate) fn kerberos(mut self, kdc: &super::kdc::Kdc) -> Self {
        self.security.kerberos = Some(super::security::Kerberos {
            principal: format!("{}@{}", super::kdc::BROKER, super::kdc::REALM),
            keytab: kdc.broker_keytab(),
            krb5_conf: kdc.krb5_conf(),
        });
        self
    }

    /// Starts the cluster and waits until every broker answers and knows all others.
    ///
    /// `None`, after a line on stderr, unless `REQUIRE_KAFKA=1`: the test is to return. With it, a machine without
    /// Java or Kafka's jars is a failure.
    pub(crate) async fn start(mut self) -> Option<KafkaCluster> {
        let turn = ONE_AT_A_TIME.lock().await;
        let jars = required_jars(self.version)?;
        let begin = wait::now();
        let issuer = match self.security.wants_issuer(self.version) {
            true => Some(Issuer::start(jars).await),
            false => None,
        };
        self.security.jwks_url = issuer.as_ref().map(Issuer::jwks_url);
        let mut started = self.try_start(jars).await;
        for _ in 1..ATTEMPTS {
            if !started.as_ref().is_err_and(|error| error.contains("Address already in use")) {
                break;
            }
            started = self.try_start(jars).await;
        }
        let (brokers, controllers, zookeeper, work_dir) = started.unwrap_or_else(|error| panic!("{error}"));
        let (version, count) = (self.version, self.brokers);
        eprintln!("started Kafka {} with {count} broker(s) in {:?}", version.number(), begin.elapsed());
        Some(KafkaCluster {
            brokers,
            controllers,
            issuer,
            _zookeeper: zookeeper,
            jars,
            version,
            work_dir,
            _turn: turn,
        })
    }

    async fn try_start(
        &self,
        jars: &'static Jars,
    ) -> Result<(Vec<Broker>, Controllers, Option<Process>, WorkDir), String> {
        let work_dir = WorkDir::new().map_err(|error| format!("work directory: {error}"))?;
        let ports = self.ports();
        let brokers = self.lay_out(&ports, work_dir.path(), jars).map_err(|error| error.to_string())?;
        if let Some(stores) = self.security.store_arguments(work_dir.path()) {
            run_java(jars, work_dir.path(), "KeyStores", stores).await?;
        }
        let zookeeper = match ports.controllers {
            Controllers::Nodes(_) => {
                let users = self.security.format_arguments();
                let formats = brokers.iter().map(|broker| format(jars, work_dir.path(), broker.id(), &users));
                try_join_all(formats).await?;
                None
            }
            Controllers::ZooKeeper(port) => {
                let zookeeper = start_zookeeper(jars, work_dir.path(), port).await?;
                if let Some(users) = self.security.config_arguments(port) {
                    run_java(jars, work_dir.path(), "kafka.admin.ConfigCommand", users).await?;
                }
                Some(zookeeper)
            }
        };
        for broker in &brokers {
            broker.spawn().map_err(|error| format!("java: {error}"))?;
        }
        wait_until_ready(&brokers).await?;
        Ok((brokers, ports.controllers, zookeeper, work_dir))
    }

    fn ports(&self) -> Ports {
        let controllers = if self.version.is_kraft() { self.brokers } else { 1 };
        let listeners = self.security.listeners.len();
        let mut brokers = ports::free_ports(self.brokers * (1 + listeners) + controllers);
        let controllers = brokers.split_off(brokers.len() - controllers);
        let others = brokers.split_off(self.brokers);
        let listeners = (0..self.brokers).map(|i| others[i * listeners..(i + 1) * listeners].to_vec());
        let controllers = if self.version.is_kraft() {
            Controllers::Nodes(controllers)
        } else {
            Controllers::ZooKeeper(controllers[0])
        };
        Ports { brokers, listeners: listeners.collect(), controllers }
    }

    /// Writes the files of every broker.
    fn lay_out(&self, ports: &Ports, root: &Path, jars: &'static Jars) -> std::io::Result<Vec<Broker>> {
        properties::write_logging(root)?;
        self.security.write_files(root)?;
        let mut brokers = Vec::new();
        for (id, (port, listeners)) in (1..).zip(ports.brokers.iter().zip(&ports.listeners)) {
            let directory = root.join(format!("broker-{id}"));
            std::fs::create_dir_all(&directory)?;
            let text = properties::server(id, self.version, ports, root, &self.security, &self.properties);
            std::fs::write(directory.join("server.properties"), text)?;
            let broker = Broker::new(i32::try_from(id).expect("few brokers"), *port, directory, jars);
            let listeners = self.security.listeners.iter().copied().zip(listeners.iter().copied());
            let java_options = self.security.java_options(self.version, root);
            brokers.push(broker.with_listeners(listeners.collect(), java_options));
        }
        Ok(brokers)
    }
}

impl KafkaCluster {
    /// Starts a cluster with the usual options; see [`ClusterOptions::start`].
    pub(crate) async fn start(version: Version, brokers: usize) -> Option<Self> {
        Self::options(version, brokers).start().await
    }

    pub(crate) fn options(version: Version, brokers: usize) -> ClusterOptions {
        let security = Security::default();
        ClusterOptions { version, brokers, security, properties: Vec::new() }
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        let addresses: Vec<String> = self.brokers.iter().map(|broker| broker.address().to_string()).collect();
        addresses.join(",")
    }

    /// Where clients find the brokers' listeners of this kind.
    pub(crate) fn bootstrap_servers_of(&self, listener: Listener) -> String {
        let addresses: Vec<String> =
            self.brokers.iter().map(|broker| broker.address_of(listener).to_string()).collect();
        addresses.join(",")
    }

    /// Where the node with this id takes requests as a controller only; `KRaft` only.
    pub(crate) fn controller_address(&self, id: i32) -> SocketAddr {
        let Controllers::Nodes(controllers) = &self.controllers else {
            panic!("ZooKeeper has no such address")
        };
        let index = usize::try_from(id - 1).expect("nodes are numbered from 1");
        ports::address(controllers[index])
    }

    /// The broker with this node id.
    pub(crate) fn broker(&self, id: i32) -> &Broker {
        self.brokers.iter().find(|broker| broker.id() == id).expect("a broker of this cluster")
    }

    pub(crate) fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// A certificate that brokers accept, with its key, as a file for `ssl.keystore.location`.
    pub(crate) fn client_keystore(&self) -> PathBuf {
        self.directory().join(CLIENT_KEYSTORE)
    }

    /// Whose tokens the brokers accept; `None` where they take what tokens say for true.
    pub(crate) const fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_ref()
    }

    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    pub(crate) const fn jars(&self) -> &'static Jars {
        self.jars
    }

    pub(crate) fn directory(&self) -> &Path {
        self.work_dir.path()
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for broker in &self.brokers {
                eprintln!("--- the end of the log of broker {}:\n{}", broker.id(), broker.log_tail());
            }
        }
    }
}

/// The jars of a version without a cluster, and the turn that a cluster would take; `None` as for
/// [`ClusterOptions::start`].
pub(crate) async fn jars_alone(version: Version) -> Option<(&'static Jars, MutexGuard<'static, ()>)> {
    let turn = ONE_AT_A_TIME.lock().await;
    Some((required_jars(version)?, turn))
}

/// The jars of a version, if they are asked for.
///
/// That a JDK is there does not ask for them: these tests take longer than all others together.
fn required_jars(version: Version) -> Option<&'static Jars> {
    if std::env::var("REQUIRE_KAFKA").as_deref() != Ok("1") {
        SAY_SKIPPED.call_once(|| {
            // Not `eprintln!`, which the test runner captures.
            let line = b"SKIPPED: tests against real Kafka, which REQUIRE_KAFKA=1 asks for\n";
            std::io::stderr().write_all(line).expect("stderr");
        });
        return None;
    }
    match Jars::of(version) {
        Ok(jars) => Some(jars),
        Err(why) => panic!("REQUIRE_KAFKA=1, but tests against real Kafka need java and mvn ({why})"),
    }
}

/// Prepares the data directory of one `KRaft` node.
async fn format(jars: &Jars, root: &Path, id: i32, users: &[String]) -> Result<(), String> {
    let file = root.join(format!("broker-{id}/server.properties")).display().to_string();
    let arguments = ["format", "-t", "bG9jYWwtdGVzdC1rYWZrYQ", "--ignore-formatted", "-c", &file];
    let arguments = arguments.into_iter().map(str::to_owned).chain(users.iter().cloned()).collect();
    run_java(jars, root, "kafka.tools.StorageTool", arguments).await
}

/// Runs a class that must succeed.
async fn run_java(jars: &Jars, root: &Path, class: &str, arguments: Vec<String>) -> Result<(), String> {
    let mut java = jars.java(&[]);
    java.args(properties::logging_options(root, "WARN")).arg(class).args(arguments);
    let output = tokio::process::Command::from(java).kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("java: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{class}: {}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat())))
}

async fn start_zookeeper(jars: &Jars, root: &Path, port: u16) -> Result<Process, String> {
    let (file, log) = (root.join("zookeeper.properties"), root.join("zookeeper.log"));
    std::fs::write(&file, properties::zookeeper(port, &root.join("zookeeper"))).map_err(|e| e.to_string())?;
    let mut java = jars.java(&["-Xms64m", "-Xmx256m"]);
    java.args(properties::logging_options(root, "INFO"));
    java.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(file);
    let mut process = broker::spawn_logged(&mut java, &log).map_err(|error| format!("java: {error}"))?;
    let listening = wait::poll_until(broker::START_LIMIT, async || {
        let connected = TcpStream::connect(ports::address(port)).await.is_ok();
        (connected || !process.is_running()).then_some(connected)
    });
    match listening.await {
        Some(true) => Ok(process),
        _ => Err(format!("ZooKeeper does not listen:\n{}", broker::tail(&log))),
    }
}

/// Waits until every broker says that all brokers are there, or one has ended.
async fn wait_until_ready(brokers: &[Broker]) -> Result<(), String> {
    let ready = wait::poll_until(broker::START_LIMIT, async || {
        for broker in brokers {
            if !broker.is_running() {
                return Some(Err(format!("broker {} ended:\n{}", broker.id(), broker.log_tail())));
            }
            if broker.known_brokers().await?.len() < brokers.len() {
                return None;
            }
        }
        Some(Ok(()))
    });
    ready.await.unwrap_or_else(|| {
        let logs: Vec<String> = brokers.iter().map(Broker::log_tail).collect();
        let limit: Duration = broker::START_LIMIT;
        Err(format!("the cluster does not answer after {limit:?}:\n{}", logs.join("\n---\n")))
    })
}
