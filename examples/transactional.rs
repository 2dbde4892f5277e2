//! Writes transactions, and aborts some of them: readers with `isolation.level=read_committed` see all records of a transaction, or
//! none.
//!
//! `cargo run --release -p kafka-producer-examples --example transactional -- --bootstrap-server HOST:PORT --topic NAME
//! --transactional-id ID --transactions N --records M --abort-every K` sends N transactions of M records each, with the values
//! `ID-transaction-record`, and aborts every K-th (0: none). Without `--bootstrap-server` it writes to a mock cluster of its own, and
//! reads back what both kinds of readers find there.

use std::time::Instant;

use kafka_mock::{MockCluster, MockRecord};
use kafka_producer::{KafkaProducer, ProducerRecord};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PARTITIONS: i32 = 3;

/// What the command line says.
struct Options {
    bootstrap_server: Option<String>,
    topic: String,
    transactional_id: String,
    transactions: u64,
    records: u64,
    abort_every: u64,
}

impl Options {
    fn from_args() -> Result<Self, Failure> {
        let mut options = Self {
            bootstrap_server: None,
            topic: "topic-demo".to_owned(),
            transactional_id: "example-1".to_owned(),
            transactions: 10,
            records: 100,
            abort_every: 3,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--bootstrap-server" => options.bootstrap_server = Some(value),
                "--topic" => options.topic = value,
                "--transactional-id" => options.transactional_id = value,
                "--transactions" => options.transactions = value.parse()?,
                "--records" => options.records = value.parse()?,
                "--abort-every" => options.abort_every = value.parse()?,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(options)
    }

    fn is_aborted(&self, number: u64) -> bool {
        self.abort_every > 0 && number.is_multiple_of(self.abort_every)
    }

    fn value(&self, number: u64, record: u64) -> String {
        format!("{}-{number}-{record}", self.transactional_id)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::from_args()?;
    if let Some(servers) = &options.bootstrap_server {
        return write(&options, servers).await;
    }
    let cluster = MockCluster::start(3).await?;
    cluster.create_topic(&options.topic, PARTITIONS, 3)?;
    write(&options, &cluster.bootstrap_servers()).await?;
    read_back(&options, &cluster)?;
    cluster.shutdown().await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
async fn write(options: &Options, servers: &str) -> Result<(), Failure> {
    let mut producer = KafkaProducer::builder()
        .bootstrap_servers(servers)
        .transactional_id(&*options.transactional_id)
        .build_transactional()?;

    let started = Instant::now();
    let (mut committed, mut aborted) = (0, 0);
    for number in 1..=options.transactions {
        let transaction = producer.begin_transaction().await?;
        let mut deliveries = Vec::new();
        for record in 1..=options.records {
            let record = ProducerRecord::to(options.topic.clone()).value(options.value(number, record));
            deliveries.push(transaction.enqueue(record).await?);
        }
        if options.is_aborted(number) {
            // So that all of them are there for readers to pass over.
            for delivery in deliveries {
                delivery.await?;
            }
            transaction.abort().await?;
            aborted += 1;
            println!("transaction {number}: aborted {} records", options.records);
        } else {
            // The commit waits for the records, and fails if one of them does.
            transaction.commit().await?;
            committed += 1;
            println!("transaction {number}: committed {} records", options.records);
        }
    }
    let elapsed = started.elapsed();
    println!(
        "{committed} transactions committed, {aborted} aborted, {} records each, in {elapsed:.2?}: {:.0} transactions/s",
        options.records,
        (committed + aborted) as f64 / elapsed.as_secs_f64(),
    );
    Ok(())
}

/// Reads as a consumer does that sees what is committed, and as one that sees everything.
fn read_back(options: &Options, cluster: &MockCluster) -> Result<(), Failure> {
    let all = |read: &dyn Fn(i32) -> Vec<MockRecord>| -> Vec<String> {
        let records = (0..PARTITIONS).flat_map(read);
        let mut values: Vec<_> = records
            .map(|record| String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned())
            .collect();
        values.sort();
        values
    };
    let committed = all(&|partition| cluster.committed_records(&options.topic, partition));
    let written = all(&|partition| cluster.records(&options.topic, partition));
    println!(
        "a reader of committed records finds {}, one of all records {}: the others are of aborted transactions",
        committed.len(),
        written.len()
    );
    let numbers = (1..=options.transactions).filter(|number| !options.is_aborted(*number));
    let mut expected: Vec<_> = numbers
        .flat_map(|number| (1..=options.records).map(move |record| options.value(number, record)))
        .collect();
    expected.sort();
    if committed == expected { Ok(()) } else { Err("these are not the records that were committed".into()) }
}
