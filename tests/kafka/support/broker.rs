//! One broker of a cluster, and the faults it can be given.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use kafka_protocol::messages::MetadataRequest;

use super::jars::Jars;
use super::listener::Listener;
use super::ports;
use super::process::Process;
use super::properties;
use super::wait;
use super::wire;

/// How long a cluster or a broker may take to answer after its start: many times what it takes on a machine that does nothing else.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(240);

const TERMINATE_LIMIT: Duration = Duration::from_secs(60);

/// A broker, running or not; its configuration, data and log are in its directory.
#[derive(Debug)]
pub(crate) struct Broker {
    id: i32,
    directory: PathBuf,
    jars: &'static Jars,
    java_options: Vec<String>,
    /// The ports of the listeners beside the plain one.
    listeners: Vec<(Listener, u16)>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    address: SocketAddr,
    /// `None` until the first start, after a kill and after an end.
    process: Option<Process>,
    /// Whether the last of SIGSTOP and SIGCONT was SIGSTOP.
    is_stopped: bool,
}

impl Broker {
    /// A broker that is not started yet; `directory` has its `server.properties`, and the logging's beside it.
    pub(crate) fn new(id: i32, port: u16, directory: PathBuf, jars: &'static Jars) -> Self {
        let address = ports::address(port);
        let state = Mutex::new(State { address, process: None, is_stopped: false });
        Self { id, directory, jars, java_options: Vec::new(), listeners: Vec::new(), state }
    }

    /// Adds listeners, and what the JVM has to be told for them.
    pub(crate) fn with_listeners(self, listeners: Vec<(Listener, u16)>, java_options: Vec<String>) -> Self {
        Self { listeners, java_options, ..self }
    }

    pub(crate) fn spawn(&self) -> io::Result<()> {
        let mut java = self.jars.java(&["-Xms128m", "-Xmx512m"]);
        java.args(properties::logging_options(self.parent(), "INFO"));
        java.args(&self.java_options);
        java.arg("kafka.Kafka").arg(self.directory.join("server.properties"));
        let process = spawn_logged(&mut java, &self.log_file())?;
        let mut state = self.state();
        state.process = Some(process);
        state.is_stopped = false;
        Ok(())
    }

    /// Kills without a warning, as a power cut would (SIGKILL).
    pub(crate) fn kill_9(&self) {
        let mut process = self.take().expect("a broker that runs");
        process.kill_9().expect("kill -9");
    }

    /// Freezes the broker with its sockets open (SIGSTOP): it still accepts connections, and never answers.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        self.state().is_stopped = true;
    }

    /// Wakes a stopped broker (SIGCONT).
    pub(crate) fn cont(&self) {
        self.signal("CONT");
        self.state().is_stopped = false;
    }

    /// Shuts down in good order (SIGTERM): leaders are moved away first.
    pub(crate) async fn terminate(&self) {
        let mut process = self.take().expect("a broker that runs");
        process.terminate(TERMINATE_LIMIT).await.expect("an end after SIGTERM");
    }

    /// Starts the broker again, after ending it if it runs, and waits until it answers.
    pub(crate) async fn restart(&self) {
        if self.is_running() {
            self.terminate().await;
        }
        let back = wait::poll_until(START_LIMIT, async || {
            // Until its predecessor's session has run out, ZooKeeper may refuse the broker, which then ends.
            if !self.is_running() {
                self.spawn().expect("java");
            }
            self.known_brokers().await.filter(|ids| ids.contains(&self.id))
        });
        assert!(back.await.is_some(), "broker {} is not back:\n{}", self.id, self.log_tail());
    }

    /// The nodes of the cluster that this broker knows to be alive, if it answers at all.
    pub(crate) async fn known_brokers(&self) -> Option<Vec<i32>> {
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        let response = wire::call(self.address(), 5, &request, Duration::from_secs(2)).await.ok()?;
        (response.controller_id.0 >= 0)
            .then(|| response.brokers.iter().map(|broker| broker.node_id.0).collect())
    }

    pub(crate) const fn id(&self) -> i32 {
        self.id
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.state().address
    }

    /// Where the broker has this listener.
    pub(crate) fn address_of(&self, listener: Listener) -> SocketAddr {
        let found = self.listeners.iter().find(|(found, _)| *found == listener);
        let (_, port) = found.unwrap_or_else(|| panic!("broker {} has no {listener:?}", self.id));
        ports::address(*port)
    }

    /// Gives clients another port to find the broker at, from its next start on.
    pub(crate) fn move_to(&self, port: u16) {
        assert!(!self.is_running(), "broker {} is still at its old address", self.id);
        let file = self.directory.join("server.properties");
        let text = std::fs::read_to_string(&file).expect("the broker's properties");
        let (old, new) = (self.address(), ports::address(port));
        let text = text.replace(&format!("PLAINTEXT://{old}"), &format!("PLAINTEXT://{new}"));
        std::fs::write(&file, text).expect("the broker's properties");
        self.state().address = new;
    }

    /// The process id, while the broker runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.state().process.as_ref().map(Process::pid)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state().process.as_mut().is_some_and(Process::is_running)
    }

    /// Whether requests can be answered: running and not stopped.
    pub(crate) fn is_answering(&self) -> bool {
        self.is_running() && !self.state().is_stopped
    }

    /// The last warnings and errors of the broker, of all its lives.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log_file())
    }

    fn signal(&self, name: &str) {
        self.state().process.as_ref().expect("a broker that runs").signal(name).expect("kill");
    }

    fn take(&self) -> Option<Process> {
        self.state().process.take()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("broker.log")
    }

    fn parent(&self) -> &Path {
        self.directory.parent().expect("a broker's directory is in the cluster's")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a process whose output goes to the end of `log`.
pub(crate) fn spawn_logged(command: &mut Command, log: &Path) -> io::Result<Process> {
    let log: File = OpenOptions::new().create(true).append(true).open(log)?;
    Process::spawn(command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log)))
}

/// The last lines of a log that are more than information, with those that continue them.
pub(crate) fn tail(file: &Path) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut is_shown = true;
    let is_warning = |line: &&str| {
        if line.starts_with('[') {
            is_shown = !line.contains("] INFO ");
        }
        is_shown
    };
    let lines: Vec<&str> = text.lines().filter(is_warning).collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
