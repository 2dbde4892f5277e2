//! What happens to a sender that is faster than the brokers: memory stays within `buffer.memory`, `enqueue` waits, and
//! `try_enqueue` says at once that there is no room and gives the record back.
//!
//! `cargo run --release --example back_pressure`

use std::time::Duration;

use bytes::Bytes;
use kafka_producer::{KafkaProducer, ProducerRecord, SendErrorKind};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

const BUFFER: usize = 256 * 1024;
const RECORDS: u64 = 1_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("floods", 2).await?;
    if let Some(mock) = &target.mock {
        println!("Every answer of the brokers takes 5 ms");
        mock.delay(None, None, Duration::from_millis(5));
    }
    let producer =
        KafkaProducer::builder().bootstrap_servers(&*target.servers).buffer_memory(BUFFER).build()?;
    producer.partitions_for(target.topic.clone()).await?;
    let payload = Bytes::from(vec![b'x'; 1_000]);
    let record = || ProducerRecord::to(target.topic.clone()).value(payload.clone());

    // Waiting: slow, and complete. The deliveries are dropped; the producer counts failures.
    let mut peak = 0;
    for _ in 0..RECORDS {
        drop(producer.enqueue(record()).await?);
        peak = peak.max(producer.metrics().buffered_bytes);
    }
    producer.flush().await;
    println!("enqueue:     {RECORDS} records accepted, at most {peak} of {BUFFER} bytes in use");
    if peak > BUFFER || producer.metrics().records_delivered != RECORDS {
        return Err(format!("not within memory or not delivered: {:?}", producer.metrics()).into());
    }

    // Shedding: fast, and what finds no room comes back, here to be counted.
    let mut refused = 0;
    for _ in 0..RECORDS {
        match producer.try_enqueue(record()) {
            Ok(delivery) => drop(delivery),
            Err(error) if matches!(error.kind(), SendErrorKind::Full { .. }) => {
                refused += error.into_record().map_or(0, |_| 1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    println!("try_enqueue: {} records accepted, {refused} given back", RECORDS - refused);

    let report = producer.close(Duration::from_secs(10)).await;
    println!("Closed: {} delivered, {} failed", report.delivered, report.failed);
    if report.delivered + refused != 2 * RECORDS || report.failed != 0 {
        return Err("some records are neither delivered nor given back".into());
    }
    target.shutdown().await;
    Ok(())
}
