//! The records that are sent.

use std::time::Duration;

use bytes::Bytes;
use kafka_producer::{KafkaProducer, ProducerRecord, SendErrorKind, Topic};

use crate::clock;

/// What is sent, and how fast.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) topic: Topic,
    pub(crate) rate: u32,
    pub(crate) record_size: usize,
}

impl Load {
    /// Sends for ever, unless the producer is closed. What becomes of the records is seen by an interceptor.
    pub(crate) async fn run(self, producer: KafkaProducer) {
        let value = Bytes::from(vec![b'x'; self.record_size]);
        let keys: Vec<_> = (0..KEYS).map(|number| Bytes::from(format!("customer-{number}"))).collect();
        let mut ticks = tokio::time::interval(TICK);
        let (began, mut sent) = (clock::now(), 0_u64);
        for (turn, _) in std::iter::repeat_n((), usize::MAX).enumerate() {
            ticks.tick().await;
            let due = began.elapsed().as_secs_f64() * f64::from(self.rate);
            // After a wait for memory the records of that time are not made up for.
            let count = (due as u64).saturating_sub(sent).min(u64::from(self.rate) / 10 + 1);
            sent = due as u64;
            for number in 0..count {
                let at = turn.wrapping_mul(7).wrapping_add(number as usize) % keys.len();
                let mut record = ProducerRecord::to(&self.topic).value(value.clone());
                record.key = keys.get(at).cloned();
                if let Err(error) = producer.enqueue(record).await
                    && matches!(error.kind(), SendErrorKind::Closed)
                {
                    return;
                }
            }
        }
    }
}

/// So many that partitions get about the same.
const KEYS: usize = 600;
const TICK: Duration = Duration::from_millis(10);
