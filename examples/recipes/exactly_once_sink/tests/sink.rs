//! The sink on a cluster in this process, while everything goes wrong.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use exactly_once_sink::{Progress, Sink, Source, result_of};
use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducer, KafkaProducerBuilder, ProducerRecord};
use recipe_support::{Program, records, soon, until, value};

const RESULTS: &str = "invoices";
const PROGRESS: &str = "progress";

async fn cluster() -> MockCluster {
    let cluster = MockCluster::builder().brokers(3).auto_create_topics(false, 1).start().await.unwrap();
    cluster.create_topic(RESULTS, 3, 3).unwrap();
    cluster.create_topic(PROGRESS, 1, 3).unwrap();
    cluster
}

fn producer(cluster: &MockCluster) -> KafkaProducerBuilder {
    KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers())
}

fn progress(cluster: &MockCluster) -> Progress {
    Progress { servers: cluster.bootstrap_servers(), topic: PROGRESS.to_owned() }
}

/// A file of orders.
#[derive(Debug)]
struct Orders {
    path: PathBuf,
    file: File,
    lines: Vec<String>,
}

impl Orders {
    fn create(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_PKG_NAME")).join(test);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("orders.csv");
        let file = File::create(&path).unwrap();
        Self { path, file, lines: Vec::new() }
    }

    fn add(&mut self, count: usize) {
        for _ in 0..count {
            let line = format!("customer-{},order {}", self.lines.len() % 7, self.lines.len());
            writeln!(self.file, "{line}").unwrap();
            self.lines.push(line);
        }
    }

    fn results(&self) -> Vec<String> {
        let mut results: Vec<_> = self.lines.iter().map(|line| result_of(line).1).collect();
        results.sort();
        results
    }

    fn command(&self, cluster: &MockCluster) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exactly_once_sink"));
        command.arg("orders").arg(&self.path).arg(cluster.bootstrap_servers()).arg(RESULTS).arg(PROGRESS);
        command
    }

    fn sink(&self, cluster: &MockCluster) -> Sink {
        let (name, source) = ("orders".to_owned(), Source::at(&self.path));
        Sink { name, source, results: RESULTS.to_owned(), progress: progress(cluster) }
    }
}

/// What readers with `isolation.level=read_committed` find.
fn committed(cluster: &MockCluster) -> Vec<String> {
    let found = (0..3).flat_map(|partition| cluster.committed_records(RESULTS, partition));
    let mut found: Vec<_> = found.map(|record| value(&record)).collect();
    found.sort();
    found
}

#[tokio::test]
async fn each_result_is_there_once_whatever_goes_wrong() {
    let cluster = cluster().await;
    let mut orders = Orders::create("once");
    let (sink, producer) = (orders.sink(&cluster), producer(&cluster));
    let running = tokio::spawn(async move { sink.run(producer).await });
    let faults = "produce move-leader-before=1; produce disconnect-before; produce error=29; end-txn disconnect-after; \
        end-txn disconnect-before; end-txn error=51; produce error-after-append=20; find-coordinator error=15";
    for fault in faults.split("; ") {
        cluster.inject(fault.parse().unwrap());
        if fault.starts_with("find-coordinator") {
            cluster.move_transaction_coordinator("orders", 2).unwrap();
        }
        orders.add(150);
        until("the results are committed", async || committed(&cluster).len() >= orders.lines.len()).await;
        assert!(cluster.pending_faults().is_empty(), "{fault}");
    }

    assert_eq!(committed(&cluster), orders.results());
    assert!(!running.is_finished());
    running.abort();
}

#[tokio::test]
async fn each_result_is_there_once_although_the_sink_is_killed_again_and_again() {
    let cluster = cluster().await;
    let mut orders = Orders::create("killed");
    let mut command = orders.command(&cluster);
    for kill in 0..8 {
        orders.add(250);
        let (before, commits) = (records(&cluster, RESULTS).len(), cluster.requests().of(Api::EndTxn));
        match kill % 4 {
            // Results are written, and there is no commit.
            0 => cluster.inject(Fault::drop_response().api(Api::Produce).always()),
            // A commit is carried out, and the sink never hears of it.
            1 => cluster.inject(Fault::drop_response().api(Api::EndTxn).always()),
            // A commit is asked for, and not carried out.
            2 => cluster.inject(Fault::disconnect_before().api(Api::EndTxn).always()),
            // It is killed somewhere.
            _ => {}
        }
        let mut sink = Program::start(&mut command);
        until("the sink is amid a transaction", async || match kill % 4 {
            1 | 2 => cluster.requests().of(Api::EndTxn) > commits,
            _ => records(&cluster, RESULTS).len() > before,
        })
        .await;
        sink.kill();
        cluster.clear_faults();
    }
    let sink = Program::start(&mut command);
    until("all results are committed", async || committed(&cluster).len() >= orders.lines.len()).await;
    drop(sink);

    assert_eq!(committed(&cluster), orders.results());
    // Some were written in vain.
    assert!(records(&cluster, RESULTS).len() > orders.lines.len());
}

#[tokio::test]
async fn sink_that_was_thought_dead_adds_nothing() {
    let cluster = cluster().await;
    let mut orders = Orders::create("two");
    let mut command = orders.command(&cluster);
    orders.add(100);
    let mut old = Command::new(command.get_program());
    let mut old = Program::start(old.args(command.get_args()).stderr(Stdio::null()));
    until("the old sink works", async || committed(&cluster).len() == 100).await;

    let new = Program::start(&mut command);
    orders.add(1000);
    until("the old sink gives way", async || old.has_failed()).await;
    until("all results are committed", async || committed(&cluster).len() >= orders.lines.len()).await;
    drop(new);

    assert_eq!(committed(&cluster), orders.results());
}

#[tokio::test]
async fn position_is_that_of_the_last_transaction_that_was_committed() {
    let cluster = cluster().await;
    let write = async |source: &str, position: u64, is_committed: bool| {
        let mut producer = producer(&cluster).transactional_id(source).build_transactional().unwrap();
        let transaction = producer.begin_transaction().await.unwrap();
        let record = ProducerRecord::to(PROGRESS).key(source.to_owned()).value(position.to_string());
        transaction.send(record).await.unwrap();
        if is_committed { transaction.commit().await.unwrap() } else { transaction.abort().await.unwrap() }
    };
    assert_eq!(progress(&cluster).position("orders").await.unwrap(), None);
    write("orders", 7, false).await;
    write("orders", 100, true).await;
    write("returns", 500, true).await;
    write("orders", 200, true).await;
    write("orders", 300, false).await;

    cluster.inject(Fault::error_code(6).api(Api::Fetch));
    cluster.inject(Fault::cut_response(10).api(Api::Fetch));
    cluster.inject(Fault::disconnect_after().api(Api::Metadata));
    let position = soon("a position", progress(&cluster).position("orders")).await.unwrap();

    assert_eq!((position, cluster.pending_faults()), (Some(200), Vec::new()));
}

#[tokio::test]
async fn position_that_an_open_transaction_of_another_source_hides_is_waited_for() {
    let cluster = Arc::new(cluster().await);
    let begin = |id: &str| producer(&cluster).transactional_id(id).build_transactional().unwrap();
    let (mut returns, mut orders) = (begin("returns"), begin("orders"));
    let position = |source: &str, position: &str| {
        ProducerRecord::to(PROGRESS).key(source.to_owned()).value(position.to_owned())
    };
    let open = returns.begin_transaction().await.unwrap();
    open.send(position("returns", "500")).await.unwrap();
    let transaction = orders.begin_transaction().await.unwrap();
    transaction.send(position("orders", "100")).await.unwrap();
    transaction.commit().await.unwrap();

    let progress = progress(&cluster);
    let asked = tokio::spawn(async move { progress.position("orders").await });
    until("it was asked for twice", async || cluster.requests().of(Api::Fetch) > 1).await;
    assert!(!asked.is_finished());
    open.commit().await.unwrap();

    assert_eq!(soon("a position", asked).await.unwrap().unwrap(), Some(100));
}

#[tokio::test]
async fn result_that_cannot_be_written_ends_the_sink() {
    let cluster = cluster().await;
    let mut orders = Orders::create("refused");
    orders.add(10);
    writeln!(orders.file, "customer-1,{}", "x".repeat(2_000_000)).unwrap();
    let sink = orders.sink(&cluster);

    let Err(error) = soon("the sink has ended", sink.run(producer(&cluster))).await;

    assert!(error.to_string().contains("max.request.size"), "{error}");
    assert!(committed(&cluster).is_empty());
}
