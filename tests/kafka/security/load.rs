//! Numbers that a producer sends to a partition of its own, as many as it can, while something happens to it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;
use tokio::task::JoinHandle;

use crate::support::Isolation;
use crate::support::KafkaCluster;

const AT_ONCE: u64 = 200;
const PAUSE: Duration = Duration::from_millis(2);

/// A task that sends until it is told to stop.
pub(super) struct Load {
    sending: JoinHandle<u64>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    pub(super) fn start(producer: KafkaProducer, topic: &'static str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let sending = tokio::spawn(send(producer, topic, Arc::clone(&is_over)));
        Self { sending, is_over }
    }

    /// Stops, waits until all is delivered, and compares it with what Kafka's consumer reads: none is lost, none is there twice, and
    /// all are in order.
    pub(super) async fn finish(self, cluster: &KafkaCluster, topic: &str) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let records = self.sending.await.expect("every record is delivered");
        let found = cluster.consume_all(topic, Isolation::ReadUncommitted).await;
        assert_eq!(u64::try_from(found.len()).expect("few"), records, "{topic}");
        for (record, number) in found.into_iter().zip(0_u64..) {
            assert_eq!(record.value.expect("a value"), number.to_be_bytes()[..], "{topic}: {number}");
        }
        records
    }
}

async fn send(producer: KafkaProducer, topic: &'static str, is_over: Arc<AtomicBool>) -> u64 {
    let mut deliveries = Vec::new();
    let mut records = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        for number in records..records + AT_ONCE {
            let value = Bytes::copy_from_slice(&number.to_be_bytes());
            let record = ProducerRecord::to(topic).partition(0).value(value);
            deliveries.push(producer.enqueue(record).await.expect("accepted"));
        }
        records += AT_ONCE;
        tokio::time::sleep(PAUSE).await;
    }
    for (delivery, number) in deliveries.into_iter().zip(0..) {
        let metadata = delivery.await.unwrap_or_else(|error| panic!("{topic}: record {number}: {error}"));
        assert_eq!(metadata.offset(), Some(number), "{topic}: offsets follow each other");
    }
    records
}
