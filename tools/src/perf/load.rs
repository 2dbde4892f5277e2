//! One task's share of the records: handed over as fast as the producer takes them, and every delivery awaited.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_producer::{
    Delivery, DeliveryError, DeliveryErrorKind, KafkaProducer, Persisted, ProducerRecord, RecordMetadata,
    SendError, Topic,
};

use crate::now;
use crate::payload::Payloads;
use crate::sampling::Sampling;
use crate::stats::{Report, Settled};

/// What a task is to send.
pub(crate) struct Load {
    pub(crate) producer: KafkaProducer,
    pub(crate) topic: Topic,
    pub(crate) payloads: Payloads,
    /// Empty for records without keys.
    pub(crate) keys: Arc<[Bytes]>,
    pub(crate) records: u64,
    pub(crate) max_outstanding: usize,
    /// The time from one record to the next; zero for no limit.
    pub(crate) interval: Duration,
    pub(crate) report: Arc<Mutex<Report>>,
}

impl Load {
    /// Sends everything and returns when the last record is settled.
    ///
    /// Ends early when the producer refuses a record: all are alike, so it would refuse the rest as well.
    pub(crate) async fn run(mut self) {
        let mut outstanding = Outstanding::new(Arc::clone(&self.report));
        let mut sampling = Sampling::new();
        let started = now();
        for index in 0..self.records {
            if !self.interval.is_zero() {
                let due = started + self.interval.mul_f64(index as f64);
                outstanding.settle_until(due).await;
            }
            let record = self.record(index);
            let weight = sampling.next_weight();
            let sent = weight.map(|weight| Sent { at: now(), weight });
            match outstanding.enqueue(&self.producer, record).await {
                Ok(delivery) => outstanding.push(delivery, sent),
                Err(error) => {
                    outstanding.refused(&error);
                    break;
                }
            }
            outstanding.settle_ready();
            while outstanding.len() >= self.max_outstanding {
                outstanding.settle_oldest().await;
            }
            // Nothing above need ever wait, and the producer's own task may share this thread.
            tokio::task::consume_budget().await;
        }
        while outstanding.len() > 0 {
            outstanding.settle_oldest().await;
        }
    }

    /// Allocates nothing: topic, key and value are counted references.
    fn record(&mut self, index: u64) -> ProducerRecord {
        let mut record = ProducerRecord::to(&self.topic);
        record.value = Some(self.payloads.next_payload());
        if !self.keys.is_empty() {
            let turn = (index % self.keys.len() as u64) as usize;
            record.key = self.keys.get(turn).cloned();
        }
        record
    }
}

/// Records that are on the way, oldest first.
struct Outstanding {
    deliveries: VecDeque<(Delivery, Option<Sent>)>,
    settled: Settled,
    report: Arc<Mutex<Report>>,
}

/// When a record that is timed was handed over.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    /// How many records it stands for.
    weight: u64,
}

impl Outstanding {
    fn new(report: Arc<Mutex<Report>>) -> Self {
        Self { deliveries: VecDeque::new(), settled: Settled::default(), report }
    }

    fn push(&mut self, delivery: Delivery, sent: Option<Sent>) {
        self.deliveries.push_back((delivery, sent));
    }

    fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Hands a record over. While that waits, for memory or for metadata, others are settled.
    async fn enqueue(
        &mut self,
        producer: &KafkaProducer,
        record: ProducerRecord,
    ) -> Result<Delivery, SendError> {
        let mut enqueue = pin!(producer.enqueue(record));
        loop {
            tokio::select! {
                biased;
                result = &mut enqueue => return result,
                () = self.settle_oldest(), if self.len() > 0 => {}
            }
        }
    }

    /// Settles records until it is time for the next one.
    async fn settle_until(&mut self, due: Instant) {
        while now() < due {
            tokio::select! {
                biased;
                () = self.settle_oldest(), if self.len() > 0 => {}
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
    }

    /// Waits for the oldest record, then settles all that are ready. Nothing is lost if it is dropped.
    async fn settle_oldest(&mut self) {
        let Some((delivery, _)) = self.deliveries.front_mut() else { return };
        let result = delivery.await;
        let sent = self.deliveries.pop_front().and_then(|(_, sent)| sent);
        let now = now();
        self.settle(result, sent, now);
        self.settle_ready_at(Some(now));
    }

    /// Settles records up to the first that is still on its way.
    fn settle_ready(&mut self) {
        self.settle_ready_at(None);
    }

    /// The records of a batch become ready together, and one reading of the clock serves them all.
    fn settle_ready_at(&mut self, mut time: Option<Instant>) {
        while let Some((delivery, sent)) = self.deliveries.front() {
            let Some(result) = delivery.try_result() else { break };
            let sent = *sent;
            drop(self.deliveries.pop_front());
            self.settle(result, sent, *time.get_or_insert_with(now));
        }
        if !self.settled.is_empty() {
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            report.take(&mut self.settled, time.unwrap_or_else(now));
        }
    }

    fn settle(&mut self, result: Result<RecordMetadata, DeliveryError>, sent: Option<Sent>, now: Instant) {
        match result {
            Ok(metadata) => self.settled.delivered(metadata.serialized_value_size().unwrap_or(0)),
            Err(error) => return self.settled.failed(kind(&error), error.to_string()),
        }
        if let Some(Sent { at, weight }) = sent {
            self.settled.timed(now.duration_since(at), weight);
        }
    }

    fn refused(&mut self, error: &SendError) {
        self.settled.failed("refused, which ended the run".to_owned(), error.to_string());
        self.settle_ready();
    }
}

/// What failed records are counted by.
fn kind(error: &DeliveryError) -> String {
    let kind = match error.kind() {
        DeliveryErrorKind::TimedOut(_) => "timed out".to_owned(),
        DeliveryErrorKind::Disconnected { .. } => "disconnected".to_owned(),
        other => other.to_string(),
    };
    let fate = match error.persisted() {
        Persisted::No => "not written",
        Persisted::Maybe => "may have been written",
    };
    format!("{kind} ({fate})")
}
