//! Ending a service without losing records: stop making new ones, close the producer, look at what is left.
//!
//! `cargo run --release --example graceful_shutdown` ends by itself after a second, or earlier on Ctrl-C.

use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{Delivery, KafkaProducer, Persisted, ProducerRecord, SendErrorKind};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("events", 2).await?;
    close_in_peace(&target).await?;
    if let Some(mock) = &target.mock {
        close_in_an_outage(&target, mock).await?;
    }
    target.shutdown().await;
    Ok(())
}

/// The usual case: everything that was accepted is delivered before `close` returns.
async fn close_in_peace(target: &Target) -> Result<(), Failure> {
    let producer = KafkaProducer::builder().bootstrap_servers(&*target.servers).build()?;
    let service = tokio::spawn(serve(producer.clone(), target.topic.clone()));
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }

    // Requests that are being served end with an error and give their record back; nothing accepted is lost.
    let report = producer.close(Duration::from_secs(10)).await;
    let accepted = service.await??;
    println!(
        "In peace: {accepted} records accepted, {} delivered, {} failed",
        report.delivered, report.failed
    );
    if report.delivered != accepted || !report.undelivered.is_empty() {
        return Err("records were accepted and not delivered".into());
    }
    Ok(())
}

/// Sends until the producer is closed. Returns how many records were accepted.
async fn serve(producer: KafkaProducer, topic: String) -> Result<u64, Failure> {
    for event in 0.. {
        let record = ProducerRecord::to(topic.clone()).value(format!("event {event}"));
        match producer.enqueue(record).await {
            // Whether it was delivered is seen in the report of `close`.
            Ok(delivery) => drop(delivery),
            Err(error) if matches!(error.kind(), SendErrorKind::Closed) => return Ok(event),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    Ok(0)
}

/// When brokers hang, `close` gives up in time, and every record says what is known of it.
async fn close_in_an_outage(target: &Target, mock: &MockCluster) -> Result<(), Failure> {
    let producer = KafkaProducer::builder().bootstrap_servers(&*target.servers).build()?;
    let record = |event: String| ProducerRecord::to(target.topic.clone()).value(event);
    producer.send(record("the last in peace".to_owned()).partition(0)).await?;
    for broker in mock.broker_ids() {
        mock.freeze(broker)?;
    }
    let mut deliveries: Vec<Delivery> = Vec::new();
    for event in 0..100 {
        let record = record(format!("late event {event}")).partition(event % 2);
        deliveries.push(producer.enqueue(record).await?);
    }
    let report = producer.close(Duration::from_millis(500)).await;

    let (mut unwritten, mut unknown) = (0, 0);
    for delivery in deliveries {
        let Err(error) = delivery.await else { return Err("a broker that hangs has acknowledged".into()) };
        match error.persisted() {
            // Safe to send again, for instance from a file at the next start.
            Persisted::No => unwritten += error.record().map_or(0, |_| 1),
            // Sent and never answered. Sending it again may write it twice.
            Persisted::Maybe => unknown += error.record().map_or(0, |_| 1),
        }
    }
    println!(
        "In an outage: {} undelivered; {unwritten} given back that were not written, {unknown} that may have been",
        report.undelivered.len()
    );
    if report.undelivered.len() != 100 || unwritten + unknown != 100 {
        return Err("some of 100 records are not accounted for".into());
    }
    Ok(())
}
