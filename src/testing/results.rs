//! Results as a producer gives them, made by hand.

use crate::accumulator::ProducerBatch;
use crate::clock;
use crate::delivery::batch_facts::{BatchFacts, RecordFacts};
use crate::delivery::{BatchCell, Delivery, Outcome, RecordMetadata, Teller};
use crate::error::{
    DeliveryError, DeliveryErrorKind, Persisted, SendError, SendErrorKind, TransactionError,
    TransactionErrorKind,
};
use crate::pipeline::{AckOutcome, Acknowledgement};
use crate::producer::{CloseReport, Health};
use crate::protocol::record_batch::RecordRef;
use crate::record::{Headers, ProducerRecord};
use crate::topic_partition::TopicPartition;

impl RecordMetadata {
    /// Makes one; for tests. `offset` is `None` as with `acks=0`, `timestamp` is in milliseconds since 1970. Key and value count as
    /// null: [`with_sizes`](Self::with_sizes) says otherwise.
    ///
    /// ```
    /// use kafka_producer::{RecordMetadata, TopicPartition};
    ///
    /// let metadata = RecordMetadata::new(TopicPartition::new("orders", 2), Some(17), 1_700_000_000_000);
    /// assert_eq!(metadata.to_string(), "orders-2@17");
    /// ```
    #[must_use]
    pub fn new(at: TopicPartition, offset: Option<i64>, timestamp: i64) -> Self {
        made(at, offset, RecordFacts::new(timestamp, None, None))
    }

    /// The same with the sizes of the serialized key and value in bytes, `None` for null; for tests.
    #[must_use]
    pub fn with_sizes(&self, key: Option<usize>, value: Option<usize>) -> Self {
        let at = TopicPartition::new(self.topic().clone(), self.partition());
        let [key, value] = [key, value].map(|size| size.map(|size| size.min(i32::MAX as usize)));
        made(at, self.offset(), RecordFacts::new(self.timestamp(), key, value))
    }
}

/// Makes that of the only record of a batch.
fn made(at: TopicPartition, offset: Option<i64>, record: RecordFacts) -> RecordMetadata {
    let mut facts = BatchFacts::default();
    facts.note(0, record, 0);
    let cell = BatchCell::new(at, None);
    let outcome = Outcome::Delivered { base_offset: offset, log_append_time: None, facts };
    cell.end(outcome, &[], &Teller::WITHOUT_SENDER);
    RecordMetadata::of(cell, 0)
}

impl Delivery {
    /// Makes one that is ready; for tests.
    ///
    /// ```
    /// # kafka_producer::block_on(async {
    /// use kafka_producer::{Delivery, RecordMetadata, TopicPartition};
    ///
    /// let metadata = RecordMetadata::new(TopicPartition::new("orders", 2), Some(17), 0);
    /// assert_eq!(Delivery::ready(Ok(metadata.clone())).await.unwrap(), metadata);
    /// # }).unwrap();
    /// ```
    pub fn ready(result: Result<RecordMetadata, DeliveryError>) -> Self {
        match result {
            Ok(metadata) => metadata.into_delivery(),
            Err(error) => {
                let (failure, index) = error.into_parts();
                let cell = BatchCell::new(failure.topic_partition.clone(), None);
                cell.end(Outcome::Failed(failure), &[], &Teller::WITHOUT_SENDER);
                Self::new(cell, index)
            }
        }
    }
}

impl DeliveryError {
    /// Makes the error of a record that was accepted and then failed; for tests. The record went to the partition that it names, or
    /// to partition 0.
    ///
    /// ```
    /// use kafka_producer::{DeliveryError, DeliveryErrorKind, Disposition, Persisted, ProducerRecord};
    ///
    /// let record = ProducerRecord::to("orders").key("customer-7").value("2 apples");
    /// let error = DeliveryError::of(&record, DeliveryErrorKind::Purged, Persisted::No);
    /// assert_eq!(error.record().unwrap().value, record.value);
    /// ```
    ///
    /// # Panics
    ///
    /// If the record is larger than a batch can be, 2 GiB.
    #[must_use]
    pub fn of(record: &ProducerRecord, kind: DeliveryErrorKind, persisted: Persisted) -> Self {
        let ProducerRecord { topic, partition, headers, timestamp, key, value, .. } = record;
        let (key, value) = (key.as_deref(), value.as_deref());
        let encoded = RecordRef { timestamp: timestamp.unwrap_or(0), key, value, headers };
        let at = TopicPartition::new(topic.clone(), partition.unwrap_or(0));
        let (batch, delivery) =
            ProducerBatch::lone(at, &encoded, clock::now()).expect("it fits into a batch");
        batch.fail_because(kind, persisted, Vec::new(), None, &Teller::WITHOUT_SENDER);
        match delivery.try_result() {
            Some(Err(error)) => error,
            _ => unreachable!("the batch has failed"),
        }
    }
}

impl<K, V> SendError<K, V> {
    /// Makes the error of a record that was not accepted; for tests. That of one that was accepted comes
    /// `From` its [`DeliveryError`].
    #[must_use]
    pub fn new(kind: SendErrorKind, record: ProducerRecord<K, V>) -> Self {
        Self::refused(kind, record)
    }
}

impl TransactionError {
    /// Makes one; for tests.
    #[must_use]
    pub fn of(kind: TransactionErrorKind) -> Self {
        Self::new(kind)
    }
}

impl CloseReport {
    /// Makes one without a transaction and without brokers; for tests. Its fields are public.
    pub fn new(delivered: u64, failed: u64, undelivered: Vec<DeliveryError>) -> Self {
        Self { delivered, failed, undelivered, brokers: Vec::new(), unseen_commit: None }
    }
}

impl Health {
    /// Makes that of a producer that has just been made; for tests. Its fields are public.
    #[must_use]
    pub fn new() -> Self {
        Self {
            brokers: Vec::new(),
            last_delivery_age: None,
            metadata_age: None,
            oldest_waiting: None,
            end: None,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Acknowledgement<'a> {
    /// Makes that of a record that was delivered; for tests of interceptors.
    #[must_use]
    pub fn delivered(metadata: &'a RecordMetadata, headers: &'a Headers) -> Self {
        let outcome = AckOutcome::delivered(metadata);
        Self::new(metadata.topic(), Some(metadata.partition()), headers, outcome)
    }

    /// Makes that of a record that was accepted and then failed; for tests of interceptors.
    #[must_use]
    pub fn failed(error: &'a DeliveryError, headers: &'a Headers) -> Self {
        let TopicPartition { topic, partition } = error.topic_partition();
        Self::new(topic, Some(*partition), headers, AckOutcome::failed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    fn at() -> TopicPartition {
        TopicPartition::new("orders", 2)
    }

    #[test]
    fn ready_delivery_has_the_metadata_that_it_was_given() {
        let metadata = RecordMetadata::new(at(), Some(17), 1234).with_sizes(Some(3), None);

        let delivery = Delivery::ready(Ok(metadata.clone()));

        assert_eq!(*delivery.topic_partition(), at());
        let result = delivery.try_result().unwrap().unwrap();
        assert_eq!(result, metadata);
        assert_eq!((result.offset(), result.timestamp()), (Some(17), 1234));
        assert_eq!((result.serialized_key_size(), result.serialized_value_size()), (Some(3), None));
    }

    #[test]
    fn delivery_without_offset_has_none() {
        let delivery = Delivery::ready(Ok(RecordMetadata::new(at(), None, 0)));

        assert_eq!(delivery.try_result().unwrap().unwrap().offset(), None);
    }

    #[test]
    fn error_gives_the_record_back_and_says_its_fate() {
        let record = ProducerRecord::to("orders").partition(2).key("k").value("v").header("h", "1");
        let kind =
            DeliveryErrorKind::Broker { code: ErrorCode::InvalidRecord, message: Some("no".to_owned()) };

        let error = DeliveryError::of(&record, kind.clone(), Persisted::Maybe);

        assert_eq!((error.kind(), error.persisted()), (kind, Persisted::Maybe));
        assert_eq!(*error.topic_partition(), at());
        let back = error.record().unwrap();
        assert_eq!((&back.key, &back.value, back.headers.len()), (&record.key, &record.value, 1));
        let again = Delivery::ready(Err(error)).try_result().unwrap().unwrap_err();
        assert_eq!(again.record().unwrap().value, record.value);
    }

    #[test]
    fn refused_record_comes_back() {
        let error = SendError::new(SendErrorKind::Closed, ProducerRecord::<String, i64>::to("t").value(7));

        assert!(matches!(error.kind(), SendErrorKind::Closed));
        assert_eq!(error.into_record().unwrap().value, Some(7));
    }

    #[test]
    fn acknowledgements_tell_of_delivery_and_failure() {
        let headers = Headers::from([("h", "1")]);
        let metadata = RecordMetadata::new(at(), Some(17), 1234).with_sizes(None, Some(5));
        let error =
            DeliveryError::of(&ProducerRecord::to("orders"), DeliveryErrorKind::Purged, Persisted::No);

        let delivered = Acknowledgement::delivered(&metadata, &headers);
        let failed = Acknowledgement::failed(&error, &headers);

        assert_eq!(
            (delivered.topic(), delivered.partition(), delivered.offset()),
            ("orders", Some(2), Some(17))
        );
        assert_eq!((delivered.serialized_value_size(), delivered.headers().len()), (Some(5), 1));
        assert!(delivered.error().is_none() && failed.error().is_some());
        assert_eq!((failed.partition(), failed.offset()), (Some(0), None));
    }
}
