//! A partitioner of your own: one partition is kept for important customers.
//!
//! `cargo run --release --example custom_partitioner`

use std::error::Error;
use std::time::Duration;

use kafka_producer::{BoxError, Cluster, KafkaProducer, PartitionerRecord, ProducerRecord, murmur2};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

const RESERVED: i32 = 0;

/// Closures and functions are partitioners. This one has the key's bytes, and all that is known of the cluster.
fn choose(record: &PartitionerRecord<'_>, cluster: &Cluster) -> Result<i32, BoxError> {
    let key = record.key().ok_or("a record without a key has no customer")?;
    if key.starts_with(b"vip-") {
        return Ok(RESERVED);
    }
    let others = cluster.partition_count(record.topic()).unwrap_or(0).saturating_sub(1);
    let others = u32::try_from(others)?;
    let turn =
        murmur2(key).cast_unsigned().checked_rem(others).ok_or("there is only the reserved partition")?;
    Ok(RESERVED + 1 + i32::try_from(turn)?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("customers", 4).await?;
    let producer =
        KafkaProducer::builder().bootstrap_servers(&*target.servers).partitioner(choose).build()?;

    println!("key           partition");
    for key in ["vip-1", "vip-2", "vip-3", "customer-1", "customer-2", "customer-3", "customer-4"] {
        let metadata =
            producer.send(ProducerRecord::to(target.topic.clone()).key(key).value("order")).await?;
        println!("{key:<13} {:>9}", metadata.partition());
        if key.starts_with("vip-") != (metadata.partition() == RESERVED) {
            return Err(format!("{key} went to partition {}", metadata.partition()).into());
        }
    }
    match producer.send(ProducerRecord::to(target.topic.clone()).value("order")).await {
        Ok(metadata) => return Err(format!("a record without a key was sent to {metadata}").into()),
        Err(error) => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            println!("without a key: {error}: {cause}");
        }
    }
    if let Some(mock) = &target.mock {
        let is_vip = |key: &[u8]| key.starts_with(b"vip-");
        let reserved = mock.records(&target.topic, RESERVED);
        if reserved.len() != 3 || !reserved.iter().all(|record| record.key.as_deref().is_some_and(is_vip)) {
            return Err("the reserved partition holds other records".into());
        }
    }
    let _ = producer.close(Duration::from_secs(10)).await;
    target.shutdown().await;
    Ok(())
}
