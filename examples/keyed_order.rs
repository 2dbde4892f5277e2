//! Records with equal keys go to one partition, and stand there once and in the order in which they were sent, also when
//! the partition moves to another broker meanwhile and answers of brokers are lost.
//!
//! `cargo run --release --example keyed_order`

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_mock::{Api, MockCluster};
use kafka_producer::{KafkaProducer, ProducerRecord, RecordMetadata};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

const ACCOUNTS: usize = 8;
const BOOKINGS: usize = 4_000;
const PARTITIONS: i32 = 4;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("bookings", PARTITIONS).await?;
    let producer = KafkaProducer::builder().bootstrap_servers(&*target.servers).build()?;

    let mut deliveries = Vec::new();
    for booking in 0..BOOKINGS {
        if let Some(mock) = &target.mock
            && booking % 500 == 499
        {
            mock.disconnect_after_request(Api::Produce, 2);
            move_leaders(mock, &target.topic)?;
        }
        let account = format!("account-{}", booking % ACCOUNTS);
        let record = ProducerRecord::to(target.topic.clone()).key(account.clone()).value(booking.to_string());
        deliveries.push((account, producer.enqueue(record).await?));
    }
    let mut accounts: BTreeMap<String, Vec<RecordMetadata>> = BTreeMap::new();
    for (account, delivery) in deliveries {
        accounts.entry(account).or_default().push(delivery.await?);
    }

    println!("key         partition    records");
    for (account, sent) in &accounts {
        let partition = sent.first().map_or(-1, RecordMetadata::partition);
        println!("{account} {partition:>11} {:>10}", sent.len());
        let in_order = sent.windows(2).all(|pair| match pair {
            [one, next] => one.partition() == next.partition() && one.offset() < next.offset(),
            _ => true,
        });
        if !in_order {
            return Err(format!("records of {account} are out of order").into());
        }
    }
    if let Some(mock) = &target.mock {
        check_logs(mock, &target.topic)?;
    }
    println!(
        "Each is there once, in order by key; {} were sent again on the way.",
        producer.metrics().record_retries
    );

    let _ = producer.close(Duration::from_secs(10)).await;
    target.shutdown().await;
    Ok(())
}

/// Gives every partition to the next broker. The old leader refuses what is on its way to it; what it had written and
/// could not acknowledge is sent to the new one again, which has it already.
fn move_leaders(mock: &MockCluster, topic: &str) -> Result<(), Failure> {
    let brokers = mock.broker_ids();
    for partition in 0..PARTITIONS {
        let leader =
            mock.leader(topic, partition).and_then(|leader| usize::try_from(leader).ok()).unwrap_or(0);
        mock.set_leader(topic, partition, brokers.get((leader + 1) % brokers.len()).copied())?;
    }
    Ok(())
}

/// Every booking is there once, and they ascend within each account, as they were made.
fn check_logs(mock: &MockCluster, topic: &str) -> Result<(), Failure> {
    let mut newest = BTreeMap::new();
    let mut found = 0;
    for partition in 0..PARTITIONS {
        for record in mock.records(topic, partition) {
            let booking: usize =
                String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).parse()?;
            let before = newest.insert(record.key, booking);
            if before.is_some_and(|before| before >= booking) {
                return Err(format!("booking {booking} stands behind {before:?} in the log").into());
            }
            found += 1;
        }
    }
    if found != BOOKINGS {
        return Err(format!("{found} records are in the logs, {BOOKINGS} were sent").into());
    }
    Ok(())
}
