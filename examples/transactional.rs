//! Writes transactions, and aborts some of them: readers with `isolation.level=read_committed` see all records of a transaction, or
//! none.
//!
//! `cargo run --release -p kafka-producer-examples --example transactional -- --bootstrap-server HOST:PORT --topic NAME
//! --transactional-id ID --transactions N --records M --abort-every K` sends N transactions of M records each, with the values
//! `ID-transaction-record`, and aborts every K-th (0: none).

use std::time::Instant;

use kafka_producer::{KafkaProducer, ProducerRecord};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the command line says.
struct Options {
    bootstrap_server: String,
    topic: String,
    transactional_id: String,
    transactions: u64,
    records: u64,
    abort_every: u64,
}

impl Options {
    fn from_args() -> Result<Self, Failure> {
        let mut options = Self {
            bootstrap_server: "localhost:9092".to_owned(),
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
                "--bootstrap-server" => options.bootstrap_server = value,
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
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
async fn main() -> Result<(), Failure> {
    let options = Options::from_args()?;
    let mut producer = KafkaProducer::builder()
        .bootstrap_servers(&*options.bootstrap_server)
        .transactional_id(&*options.transactional_id)
        .build_transactional()?;

    let started = Instant::now();
    let (mut committed, mut aborted) = (0, 0);
    for number in 1..=options.transactions {
        let transaction = producer.begin_transaction().await?;
        for record in 1..=options.records {
            let value = format!("{}-{number}-{record}", options.transactional_id);
            // The commit checks what became of it.
            drop(transaction.enqueue(ProducerRecord::to(options.topic.clone()).value(value)).await?);
        }
        if options.abort_every > 0 && number % options.abort_every == 0 {
            transaction.abort().await?;
            aborted += 1;
            println!("transaction {number}: aborted {} records", options.records);
        } else {
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
