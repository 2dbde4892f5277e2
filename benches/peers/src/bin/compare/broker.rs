//! What the clients send to.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kafka_producer_peers::null_broker::Broker;

use crate::scenarios::BrokerKind;

/// A broker for the runs of a scenario.
pub(crate) enum Target {
    Null(BrokerKind),
    Real(Cluster),
}

/// A broker for one run.
pub(crate) struct Prepared {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    null: Option<Arc<Broker>>,
}

impl Target {
    pub(crate) fn start(kind: BrokerKind, script: &Path) -> Result<Self, Box<dyn Error>> {
        match kind {
            BrokerKind::Null(_) => Ok(Self::Null(kind)),
            BrokerKind::Real { brokers } => Ok(Self::Real(Cluster::start(script, brokers)?)),
        }
    }

    /// A new null broker, or a new topic on the real ones.
    pub(crate) fn prepare(&mut self, instead: Option<BrokerKind>) -> Result<Prepared, Box<dyn Error>> {
        match (self, instead) {
            (Self::Null(kind), instead) => {
                let BrokerKind::Null(shape) = instead.unwrap_or(*kind) else {
                    return Err("no real brokers are running".into());
                };
                let broker = Broker::start(shape)?;
                let bootstrap = broker.bootstrap();
                Ok(Prepared { bootstrap, topic: "perf".to_owned(), null: Some(broker) })
            }
            (Self::Real(cluster), _) => {
                let topic = cluster.new_topic()?;
                Ok(Prepared { bootstrap: cluster.bootstrap.clone(), topic, null: None })
            }
        }
    }
}

impl Prepared {
    /// Says what is wrong if the broker has not got exactly what was sent. A few records more are those that warmed the
    /// connection.
    pub(crate) fn complaint(&self, records: u64) -> Option<String> {
        let counters = &self.null.as_ref()?.counters;
        let (got, bad) = (counters.records.load(Ordering::Relaxed), counters.bad.load(Ordering::Relaxed));
        let is_right = bad == 0 && (records..=records + records / 2 + 4).contains(&got);
        (!is_right).then(|| format!("{records} records were sent, the broker has {}", counters.line()))
    }
}

/// Real brokers, run by a script that obeys lines on its standard input and ends with it.
pub(crate) struct Cluster {
    bootstrap: String,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    script: Child,
    topics: usize,
}

impl Cluster {
    fn start(script: &Path, brokers: usize) -> Result<Self, Box<dyn Error>> {
        let mut script = Command::new(script)
            .arg(brokers.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = script.stdin.take();
        let mut answers = BufReader::new(script.stdout.take().ok_or("no output")?);
        let mut bootstrap = String::new();
        answers.read_line(&mut bootstrap)?;
        if bootstrap.trim().is_empty() {
            return Err("Kafka did not start".into());
        }
        Ok(Self { bootstrap: bootstrap.trim().to_owned(), orders, answers, script, topics: 0 })
    }

    /// Deletes the last topic and makes another.
    fn new_topic(&mut self) -> Result<String, Box<dyn Error>> {
        self.topics += 1;
        let topic = format!("perf-{}", self.topics);
        let orders = self.orders.as_mut().ok_or("the cluster has ended")?;
        writeln!(orders, "{topic}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim() == topic { Ok(topic) } else { Err(format!("no topic: {answer}").into()) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input is the script's sign to end the brokers.
        self.orders = None;
        drop(self.script.wait());
    }
}
