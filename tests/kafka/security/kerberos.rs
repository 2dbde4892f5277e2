//! GSSAPI, with a KDC of Debian's packages.
//!
//! The library finds `krb5.conf` and the ticket cache by the environment, which a process cannot change safely while it runs. So each
//! producer has a process of its own, which is this program once more: [`producer_of_another_process`] is its only test then.

mod load;
mod mistakes;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use kafka_producer::ProducerRecord;
use tokio::process::Command;

use super::CLOSE_LIMIT;
use super::client;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::kdc::Kdc;
use crate::support::kdc::REALM;
use crate::support::wait;

const USER: &str = "alice";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_4_3_lets_in_who_has_a_ticket_and_mistakes_are_told() {
    who_has_a_ticket_comes_in(Version::V4_3_1).await;
}

/// CI has no time for these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_kafka_lets_in_who_has_a_ticket_if_time_allows() {
    if super::is_whole() {
        for version in [Version::V1_0_2, Version::V2_8_2] {
            who_has_a_ticket_comes_in(version).await;
        }
    }
}

async fn who_has_a_ticket_comes_in(version: Version) {
    if std::env::var("REQUIRE_KAFKA").as_deref() != Ok("1") {
        return;
    }
    let kdc = Kdc::start().await;
    let options = KafkaCluster::options(version, 1).listeners(&Listener::with_kerberos(version));
    let Some(cluster) = options.kerberos(&kdc).start().await else { return };
    let shop = Shop { kdc: &kdc, cluster: &cluster };
    kdc.add_user(USER, "");
    load::tickets_of_every_kind_are_taken(&shop).await;
    mistakes::every_mistake_is_told(&shop).await;
    if version != Version::V1_0_2 {
        load::sessions_and_tickets_are_renewed_under_load(&shop).await;
    }
}

/// A cluster, and who vouches for its clients.
struct Shop<'a> {
    kdc: &'a Kdc,
    cluster: &'a KafkaCluster,
}

/// A producer in a process of its own.
struct Child {
    name: String,
    properties: String,
    environment: Vec<(&'static str, String)>,
    topic: &'static str,
    partition: i32,
    records: u64,
    /// For how long to send, so many records at a time.
    load: Duration,
}

/// What has become of it.
#[derive(Debug)]
enum Outcome {
    Sent { records: u64, connections: u64, retries: u64 },
    Failed { disposition: String, after: Duration, whole: Duration, text: String },
}

impl Shop<'_> {
    /// The lines of a file for a listener, but for where tickets come from.
    fn properties(&self, listener: Listener) -> String {
        let rest = client::properties(self.cluster, listener, None);
        format!("{rest}sasl.mechanism=GSSAPI\nsasl.kerberos.service.name=kafka\n")
    }

    fn with_keytab(&self, listener: Listener, user: &str) -> String {
        let keytab = self.kdc.directory().join(format!("{user}.keytab"));
        format!("{}{}", self.properties(listener), keytab_line(&keytab, &format!("{user}@{REALM}")))
    }

    fn with_cache(&self, listener: Listener) -> String {
        format!("{}sasl.jaas.config={MODULE} required useTicketCache=true;\n", self.properties(listener))
    }

    fn cache(&self, name: &str) -> String {
        format!("FILE:{}", self.kdc.directory().join(name).display())
    }

    fn child(&self, name: &str, properties: String, cache: &str) -> Child {
        let environment = vec![
            ("KRB5_CONFIG", self.kdc.krb5_conf().display().to_string()),
            ("KRB5CCNAME", self.cache(cache)),
        ];
        let name = name.to_owned();
        Child { name, properties, environment, topic: "", partition: 0, records: 1, load: Duration::ZERO }
    }
}

const MODULE: &str = "com.sun.security.auth.module.Krb5LoginModule";

fn keytab_line(keytab: &Path, principal: &str) -> String {
    format!(
        "sasl.jaas.config={MODULE} required \\\n  useKeyTab=true storeKey=true \\\n  keyTab=\"{}\" principal=\"{principal}\";\n",
        keytab.display()
    )
}

impl Child {
    /// Sets a variable of the environment.
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    async fn run(&self, directory: &Path) -> Outcome {
        let file = directory.join(format!("{}.properties", self.name.replace(' ', "-")));
        std::fs::write(&file, &self.properties).expect("a file");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["security::kerberos::producer_of_another_process", "--exact", "--nocapture"]);
        command.env(FILE, file).env(TOPIC, self.topic).env(PARTITION, self.partition.to_string());
        command.env(RECORDS, self.records.to_string()).env(LOAD_MS, self.load.as_millis().to_string());
        command.env_remove("KRB5_CLIENT_KTNAME").envs(self.environment.iter().cloned());
        let begin = wait::now();
        let output = command.kill_on_drop(true).output().await.expect("this program once more");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let line = said.lines().find_map(|line| line.split_once(SAYS)).map(|(_, line)| line.to_owned());
        let line = line.unwrap_or_else(|| panic!("{}: {said}", self.name));
        let parts: Vec<&str> = line.splitn(3, ' ').collect();
        let number = |text: &str| text.parse::<u64>();
        match parts[..] {
            [first, second, third] if number(first).is_ok() => Outcome::Sent {
                records: number(first).expect("a number"),
                connections: number(second).expect("a number"),
                retries: number(third).expect("a number"),
            },
            [disposition, after, text] => Outcome::Failed {
                disposition: disposition.to_owned(),
                after: Duration::from_millis(number(after).expect("a number")),
                whole: begin.elapsed(),
                text: text.to_owned(),
            },
            _ => panic!("{}: {said}", self.name),
        }
    }
}

const FILE: &str = "KERBEROS_TEST_PROPERTIES";
const TOPIC: &str = "KERBEROS_TEST_TOPIC";
const PARTITION: &str = "KERBEROS_TEST_PARTITION";
const RECORDS: &str = "KERBEROS_TEST_RECORDS";
const LOAD_MS: &str = "KERBEROS_TEST_LOAD_MS";
const SAYS: &str = "the producer of another process: ";

/// What each such process does; without a file to read this does nothing.
#[tokio::test]
async fn producer_of_another_process() {
    let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let variable = |name: &str| std::env::var(name).expect("set by the test");
    let number = |name: &str| variable(name).parse::<u64>().expect("a number");
    let (topic, partition) = (variable(TOPIC), i32::try_from(number(PARTITION)).expect("small"));
    let (at_once, load) = (number(RECORDS), Duration::from_millis(number(LOAD_MS)));
    let begin = wait::now();
    let producer = client::producer(&std::fs::read_to_string(file).expect("a file"));
    let mut deliveries = Vec::new();
    loop {
        for _ in 0..at_once {
            let value = deliveries.len().to_string();
            let record = ProducerRecord::to(topic.clone()).partition(partition).value(value);
            match producer.enqueue(record).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => {
                    let elapsed = begin.elapsed().as_millis();
                    let _ = producer.close(CLOSE_LIMIT).await;
                    return println!("{SAYS}{:?} {elapsed} {}", error.disposition(), error.kind());
                }
            }
        }
        if begin.elapsed() >= load {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let records = u64::try_from(deliveries.len()).expect("few");
    for (delivery, offset) in deliveries.into_iter().zip(0..) {
        let metadata = delivery.await.unwrap_or_else(|error| panic!("record {offset}: {error}"));
        assert_eq!(metadata.offset(), Some(offset), "offsets follow each other");
    }
    let metrics = producer.metrics();
    let report = producer.close(CLOSE_LIMIT).await;
    assert_eq!((report.delivered, report.failed), (records, 0));
    println!("{SAYS}{records} {} {}", metrics.connections_created, metrics.record_retries);
}
