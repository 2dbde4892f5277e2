//! Awaiting each record before the next is sent costs a round trip, and `linger.ms`, for each. Handing all of them over
//! first and awaiting them afterwards costs that once.
//!
//! `cargo run --release --example pipelined`

use std::time::{Duration, Instant};

use kafka_producer::{KafkaProducer, ProducerRecord};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

const RECORDS: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("pipelined", 1).await?;
    let producer = KafkaProducer::builder().bootstrap_servers(&*target.servers).build()?;
    producer.partitions_for(target.topic.clone()).await?;
    let record = |number: usize| ProducerRecord::to(target.topic.clone()).value(format!("record {number}"));
    println!("Sending {RECORDS} records");

    let lap = Lap::begin(&producer);
    for number in 0..RECORDS {
        producer.send(record(number)).await?;
    }
    let one_by_one = lap.end("one by one", &producer);

    let lap = Lap::begin(&producer);
    let mut deliveries = Vec::new();
    for number in 0..RECORDS {
        deliveries.push(producer.enqueue(record(number)).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    let pipelined = lap.end("pipelined", &producer);

    // The same, if one list of results is all that is wanted.
    let lap = Lap::begin(&producer);
    for result in producer.send_all((0..RECORDS).map(record)).await {
        result?;
    }
    lap.end("send_all", &producer);

    if pipelined * 2 > one_by_one {
        return Err(format!("{pipelined} requests for pipelined records, {one_by_one} one by one").into());
    }
    let _ = producer.close(Duration::from_secs(10)).await;
    target.shutdown().await;
    Ok(())
}

/// Time and requests of one way to send.
struct Lap {
    started: Instant,
    requests: u64,
}

impl Lap {
    fn begin(producer: &KafkaProducer) -> Self {
        Self { started: now(), requests: producer.metrics().produce_requests_sent }
    }

    /// Returns the number of requests.
    fn end(self, way: &str, producer: &KafkaProducer) -> u64 {
        let milliseconds = self.started.elapsed().as_secs_f64() * 1e3;
        let requests = producer.metrics().produce_requests_sent - self.requests;
        println!("{way:<12} {milliseconds:>9.1} ms, {requests:>3} requests");
        requests
    }
}

#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
fn now() -> Instant {
    Instant::now()
}
