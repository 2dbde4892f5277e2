//! A program without async code: threads that send, a producer that has a thread of its own for the rest.
//!
//! `cargo run --release --example threads`

use std::thread;
use std::time::Duration;

use kafka_producer::{KafkaProducer, ProducerRecord, Topic, block_on};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

const THREADS: usize = 4;
const RECORDS_PER_THREAD: usize = 5_000;

fn main() -> Result<(), Failure> {
    // Only the mock brokers need a runtime. A program that sends to real ones has none.
    let brokers = tokio::runtime::Runtime::new()?;
    let target = brokers.block_on(Target::from_args("sensors", 3))?;
    send(&target)?;
    brokers.block_on(target.shutdown());
    Ok(())
}

fn send(target: &Target) -> Result<(), Failure> {
    let topic = Topic::from(target.topic.clone());
    let producer = KafkaProducer::builder().bootstrap_servers(&*target.servers).build_blocking()?;

    // One record, and its acknowledgement.
    let metadata = producer.send_blocking(ProducerRecord::to(&topic).value("started"))?;
    println!("The first record is at {metadata}");

    // Many records of many threads.
    thread::scope(|scope| {
        let start = |sensor| {
            scope.spawn({
                let (producer, topic) = (&producer, &topic);
                move || measure(producer, topic, sensor)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread has panicked")?)
    })?;
    println!("{THREADS} threads have sent {RECORDS_PER_THREAD} records each");

    // Deliveries that are of no interest one by one.
    for reading in 0..100 {
        drop(producer.enqueue_blocking(ProducerRecord::to(&topic).value(format!("{reading}")))?);
    }
    producer.flush_blocking()?;

    let report = producer.close_blocking(Duration::from_secs(10))?;
    println!("{report}");
    if report.delivered != (1 + THREADS * RECORDS_PER_THREAD + 100) as u64 {
        return Err("records are missing".into());
    }
    Ok(())
}

/// Hands all records over first, and looks afterwards at what became of them.
fn measure(producer: &KafkaProducer, topic: &Topic, sensor: usize) -> Result<(), Failure> {
    let mut deliveries = Vec::with_capacity(RECORDS_PER_THREAD);
    for reading in 0..RECORDS_PER_THREAD {
        let record = ProducerRecord::to(topic).key(format!("sensor-{sensor}")).value(format!("{reading}"));
        // Waits while `buffer.memory` is full.
        deliveries.push(producer.enqueue_blocking(record)?);
    }
    for delivery in deliveries {
        block_on(delivery)??;
    }
    Ok(())
}
