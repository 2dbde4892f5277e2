//! The shipper on a cluster in this process, while everything goes wrong.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducer, KafkaProducerBuilder};
use log_shipper::{Checkpoint, Failure, Shipper};
use recipe_support::{Program, records, soon, until, value};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const TOPIC: &str = "logs";

async fn cluster() -> MockCluster {
    let cluster = MockCluster::builder().brokers(3).auto_create_topics(false, 1).start().await.unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    cluster
}

fn producer(cluster: &MockCluster) -> KafkaProducerBuilder {
    KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers())
}

/// A log with numbered lines.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    checkpoint: PathBuf,
    file: File,
    lines: usize,
}

impl Log {
    fn create(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_PKG_NAME")).join(test);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("app.log");
        let file = File::create(&path).unwrap();
        Self { path, checkpoint: folder.join("checkpoint"), file, lines: 0 }
    }

    fn write_lines(&mut self, count: usize) {
        for _ in 0..count {
            writeln!(self.file, "{}", self.lines).unwrap();
            self.lines += 1;
        }
    }

    fn length(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    fn checkpoint(&self) -> u64 {
        Checkpoint::at(&self.checkpoint).load().unwrap()
    }

    fn command(&self, cluster: &MockCluster) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_log_shipper"));
        command.arg(&self.path).arg(&self.checkpoint).arg(cluster.bootstrap_servers()).arg(TOPIC);
        command
    }

    async fn ship(&self, producer: KafkaProducerBuilder) -> Shipping {
        let checkpoint = Checkpoint::at(&self.checkpoint);
        let shipper = Shipper::open(producer, TOPIC, &self.path, checkpoint).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        Shipping { stop, running: tokio::spawn(shipper.run(stopped, Duration::from_secs(60))) }
    }
}

/// A shipper in this process.
#[derive(Debug)]
struct Shipping {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<u64, Failure>>,
}

impl Shipping {
    async fn end(self) -> u64 {
        drop(self.stop);
        soon("the shipper has ended", self.running).await.unwrap().unwrap()
    }
}

/// Asserts that the log on the brokers has lines from the first on, without a gap and in their order. Those that are there twice are
/// repeated from an earlier place on. Returns how many lines are there, and how many are there twice.
fn found(cluster: &MockCluster) -> (usize, usize) {
    let (mut next, mut repeated) = (0, 0);
    for record in records(cluster, TOPIC) {
        let line: usize = value(&record).parse().unwrap();
        assert!(line <= next, "line {line} where {next} comes next");
        if line == next { next += 1 } else { repeated += 1 }
    }
    (next, repeated)
}

#[tokio::test]
async fn each_line_is_there_once_and_in_order_whatever_goes_wrong() {
    let cluster = cluster().await;
    let mut log = Log::create("once");
    let shipping = log.ship(producer(&cluster)).await;
    let faults = "move-leader-before=1; move-leader-after=2; disconnect-before; disconnect-after; cut=10; \
        error=6; error-after-append=20; reset-after; leave-out";
    for fault in faults.split("; ") {
        cluster.inject(format!("produce topic={TOPIC} {fault}").parse().unwrap());
        log.write_lines(100);
        until("the lines are acknowledged", async || log.checkpoint() == log.length()).await;
        assert!(cluster.pending_faults().is_empty(), "{fault}");
    }

    assert_eq!(shipping.end().await, log.length());
    assert_eq!(found(&cluster), (log.lines, 0));
}

#[tokio::test]
async fn shipper_that_is_killed_again_and_again_leaves_out_no_line_and_keeps_the_order() {
    let cluster = cluster().await;
    let mut log = Log::create("killed");
    for kill in 0..6 {
        let (before, checkpoint) = (records(&cluster, TOPIC).len(), log.checkpoint());
        let is_silent = kill % 3 == 0;
        match kill % 3 {
            // Lines are written, and the shipper never hears of it.
            0 => cluster.inject(Fault::drop_response().api(Api::Produce).always()),
            1 => cluster.inject(Fault::error_code(6).api(Api::Produce).times(2)),
            _ => cluster.inject(Fault::move_leader_after(0).api(Api::Produce)),
        }
        log.write_lines(500);
        let mut shipper = Program::start(&mut log.command(&cluster));
        until("the shipper has written something", async || records(&cluster, TOPIC).len() > before).await;
        if !is_silent {
            until("some of it is acknowledged", async || log.checkpoint() > checkpoint).await;
        }
        // The shipper may be reading it.
        log.write_lines(500);
        shipper.kill();
        cluster.clear_faults();
        if is_silent {
            assert_eq!(log.checkpoint(), checkpoint);
        }
    }
    let shipper = Program::start(&mut log.command(&cluster));
    until("all lines are acknowledged", async || log.checkpoint() == log.length()).await;
    drop(shipper);

    let (lines, repeated) = found(&cluster);
    assert_eq!(lines, log.lines);
    assert!(repeated > 0);
}

#[cfg(unix)]
#[tokio::test]
async fn shipper_that_is_asked_to_end_sends_no_line_twice() {
    let cluster = cluster().await;
    let mut log = Log::create("terminated");
    for _ in 0..3 {
        let before = records(&cluster, TOPIC).len();
        log.write_lines(1000);
        let mut shipper = Program::start(&mut log.command(&cluster));
        until("the shipper has written something", async || records(&cluster, TOPIC).len() > before).await;
        assert!(shipper.terminate().await);
    }
    let shipping = log.ship(producer(&cluster)).await;
    until("all lines are acknowledged", async || log.checkpoint() == log.length()).await;
    shipping.end().await;

    assert_eq!(found(&cluster), (log.lines, 0));
}

#[tokio::test]
async fn lines_wait_for_one_that_has_failed() {
    let cluster = cluster().await;
    let mut log = Log::create("failed");
    log.write_lines(500);
    // The rights are missing for one batch, and there again for those after it.
    cluster.inject(Fault::error_code(29).api(Api::Produce));
    let shipping = log.ship(producer(&cluster).batch_size(200)).await;
    until("all lines are acknowledged", async || log.checkpoint() == log.length()).await;

    shipping.end().await;

    assert!(cluster.pending_faults().is_empty());
    assert_eq!(found(&cluster), (log.lines, 0));
}

#[tokio::test]
async fn line_that_cannot_be_sent_is_left_out() {
    let cluster = cluster().await;
    cluster.set_max_message_bytes(10_000);
    let mut log = Log::create("refused");
    log.write_lines(10);
    writeln!(log.file, "{}", "x".repeat(2_000_000)).unwrap();
    log.write_lines(10);
    writeln!(log.file, "{}", "x".repeat(20_000)).unwrap();
    log.write_lines(10);
    let shipping = log.ship(producer(&cluster)).await;
    until("all lines are acknowledged", async || log.checkpoint() == log.length()).await;

    shipping.end().await;

    assert_eq!(found(&cluster), (log.lines, 0));
}

#[tokio::test]
async fn line_is_sent_when_it_has_its_end() {
    let cluster = cluster().await;
    let mut log = Log::create("begun");
    log.write_lines(1);
    write!(log.file, "1").unwrap();
    let shipping = log.ship(producer(&cluster)).await;
    until("the first line is acknowledged", async || log.checkpoint() == 2).await;
    assert_eq!(found(&cluster), (1, 0));
    writeln!(log.file).unwrap();
    until("the second line is acknowledged", async || log.checkpoint() == 4).await;

    shipping.end().await;

    assert_eq!(found(&cluster), (2, 0));
}

#[tokio::test]
async fn file_that_is_another_one_is_refused() {
    let cluster = cluster().await;
    let mut log = Log::create("another");
    log.write_lines(5);
    let checkpoint = Checkpoint::at(&log.checkpoint);
    checkpoint.save(11).unwrap();

    let error = Shipper::open(producer(&cluster), TOPIC, &log.path, checkpoint).await.unwrap_err();

    assert!(error.to_string().ends_with("app.log has 10 bytes, and the checkpoint says 11"), "{error}");
}
