//! An interceptor sees every record before it is sent and every outcome: here it adds a header and counts.
//!
//! `cargo run --release --example interceptor`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_producer::{Acknowledgement, BoxError, KafkaProducer, ProducerInterceptor, ProducerRecord};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

/// Numbers the records and counts what became of them.
#[derive(Debug, Default)]
struct Audit {
    next_number: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl<K: Clone, V: Clone> ProducerInterceptor<K, V> for Audit {
    fn on_send(&self, record: &ProducerRecord<K, V>) -> Result<Option<ProducerRecord<K, V>>, BoxError> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        Ok(Some(record.clone().header("audit-number", number.to_string())))
    }

    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        let counter = if acknowledgement.error().is_none() { &self.delivered } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("audited", 1).await?;
    let audit = Arc::new(Audit::default());
    let producer = KafkaProducer::builder()
        .bootstrap_servers(&*target.servers)
        .max_request_size(10_000)
        .interceptor(Arc::clone(&audit))
        .build()?;

    for order in 0..5 {
        let metadata =
            producer.send(ProducerRecord::to(target.topic.clone()).value(format!("order {order}"))).await?;
        println!("{metadata} delivered");
    }
    let too_large = ProducerRecord::to(target.topic.clone()).value(vec![0; 20_000]);
    let Err(refusal) = producer.send(too_large).await else {
        return Err("a record of 20 000 bytes was sent".into());
    };
    println!("refused: {refusal}");

    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (delivered, failed) = (count(&audit.delivered), count(&audit.failed));
    println!("The interceptor counted {delivered} delivered and {failed} failed");
    if (delivered, failed) != (5, 1) {
        return Err("5 records were delivered and 1 was refused".into());
    }
    if let Some(mock) = &target.mock {
        for (number, record) in mock.records(&target.topic, 0).into_iter().enumerate() {
            let [(name, value)] = record.headers.as_slice() else {
                return Err(format!("record {number} has {} headers", record.headers.len()).into());
            };
            println!("offset {} has header {name} = {value:?}", record.offset);
            if name != "audit-number" || value.as_deref() != Some(number.to_string().as_bytes()) {
                return Err(format!("the header of record {number} is not its number").into());
            }
        }
    }
    let _ = producer.close(Duration::from_secs(10)).await;
    target.shutdown().await;
    Ok(())
}
