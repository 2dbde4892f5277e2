//! One producer for records of several types.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kafka_mock::Api;
use kafka_producer::{
    Acknowledgement, BoxError, BuildError, KafkaProducer, LongSerializer, ProducerInterceptor,
    ProducerRecord, SendRecords, StringSerializer, serialize_to_vec,
};

use crate::support::{TOPIC, TestResult, builder, cluster_with, record_for, seconds, soon};

const INVALID_RECORD: i16 = 87;

/// Writes down where records were written.
#[derive(Default)]
struct Recorder {
    offsets: Mutex<Vec<Option<i64>>>,
}

impl Recorder {
    fn offsets(&self) -> Vec<Option<i64>> {
        self.offsets.lock().unwrap().clone()
    }
}

impl<K: 'static, V: 'static> ProducerInterceptor<K, V> for Recorder {
    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        self.offsets.lock().unwrap().push(acknowledgement.offset());
    }
}

/// Appends a word to the value.
struct Adding(&'static str);

impl ProducerInterceptor<Bytes, String> for Adding {
    fn on_send(
        &self,
        record: &ProducerRecord<Bytes, String>,
    ) -> Result<Option<ProducerRecord<Bytes, String>>, BoxError> {
        let mut changed = record.clone();
        changed.value = changed.value.map(|value| format!("{value} {}", self.0));
        Ok(Some(changed))
    }
}

#[tokio::test]
async fn handles_of_several_types_write_with_one_id_over_one_connection_in_one_order() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let bytes = builder(&cluster).build()?;
    let counts = bytes.with_serializers::<String, i64>(StringSerializer, LongSerializer);
    let words = counts.with_types::<&'static str, String>();

    for round in 0..3 {
        bytes.send(record_for(0, "b")).await?;
        counts.send(ProducerRecord::to(TOPIC).partition(0).key("c").value(round)).await?;
        words.send(ProducerRecord::to(TOPIC).partition(0).key("w").value("word")).await?;
    }

    let records = cluster.records(TOPIC, 0);
    let keys: Vec<_> = records.iter().map(|record| record.key.as_deref().unwrap_or_default()).collect();
    assert_eq!(keys, [&b""[..], b"c", b"w"].repeat(3));
    assert_eq!(records[4].value.as_deref(), Some(&1_i64.to_be_bytes()[..]));
    assert_eq!(cluster.requests().of(Api::InitProducerId), 1);
    // The first connection is to an entry of `bootstrap.servers`, the second to the broker.
    assert!(cluster.connections_accepted(1) <= 2);
    assert_eq!(bytes.metrics().records_delivered, 9);
    Ok(())
}

#[tokio::test]
async fn failed_record_is_sent_again_as_the_bytes_that_it_came_back_as() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let upper = serialize_to_vec(|text: &String| Ok::<_, std::convert::Infallible>(text.to_uppercase()));
    let producer: KafkaProducer<String, String> =
        builder(&cluster).serializers(StringSerializer, upper).build()?;
    cluster.fail_next(Api::Produce, INVALID_RECORD, 1);
    let delivery = producer.enqueue(ProducerRecord::to(TOPIC).key("k").value("word")).await?;

    let error = soon("failed", delivery).await.unwrap_err();
    producer.with_types::<Bytes, Bytes>().send(error.record().unwrap()).await?;

    let record = cluster.records(TOPIC, 0).remove(0);
    assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"k"[..]), Some(&b"WORD"[..])));
    Ok(())
}

#[tokio::test]
async fn interceptor_hears_of_the_records_of_its_own_handle() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (first, second) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let all = builder(&cluster).interceptor(Arc::clone(&first)).build()?;
    let plain = all.with_types::<Bytes, Bytes>();
    let both = all.with_interceptor(Arc::clone(&second));

    // In one batch or in several: each hears of its own.
    let mut deliveries = Vec::new();
    for producer in [&all, &plain, &both, &plain, &both.clone(), &all] {
        deliveries.push(producer.enqueue(record_for(0, "x")).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }

    assert_eq!(first.offsets(), [0, 2, 4, 5].map(Some));
    assert_eq!(second.offsets(), [2, 4].map(Some));
    Ok(())
}

#[tokio::test]
async fn interceptors_of_a_handle_follow_those_that_it_was_made_from() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let words = builder(&cluster).types::<Bytes, String>().interceptor(Adding("one")).build()?;
    let more = words.with_interceptor(Adding("two"));

    more.send(ProducerRecord::to(TOPIC).value("zero")).await?;
    words.send(ProducerRecord::to(TOPIC).value("zero")).await?;

    let values: Vec<_> = cluster.records(TOPIC, 0).into_iter().filter_map(|record| record.value).collect();
    assert_eq!(values, ["zero one two", "zero one"]);
    Ok(())
}

#[tokio::test]
async fn producer_ends_with_its_last_handle_of_any_type() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let bytes = builder(&cluster).build()?;
    let words = bytes.with_types::<Bytes, String>();
    drop(bytes);

    words.send(ProducerRecord::to(TOPIC).value("still")).await?;
    let report = words.with_types::<Bytes, Bytes>().close(seconds(5)).await;

    assert_eq!((report.delivered, report.failed), (1, 0));
    assert!(words.try_enqueue(ProducerRecord::to(TOPIC).value("late")).is_err());
    Ok(())
}

#[tokio::test]
async fn serializers_set_one_by_one_set_the_types() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster)
        .key_serializer::<String>(StringSerializer)
        .value_serializer::<i64>(LongSerializer)
        .build()?;

    producer.send(ProducerRecord::to(TOPIC).key("k").value(7)).await?;

    let record = cluster.records(TOPIC, 0).remove(0);
    assert_eq!(record.value.as_deref(), Some(&7_i64.to_be_bytes()[..]));
    Ok(())
}

#[tokio::test]
async fn interceptors_for_the_types_of_before_are_refused() -> TestResult {
    let cluster = cluster_with(1, 1).await;

    let result = builder(&cluster).interceptor(Recorder::default()).types::<String, String>().build();

    let error = result.unwrap_err();
    assert!(matches!(error, BuildError::InterceptorsBeforeTypes));
    assert_eq!(
        error.to_string(),
        "interceptors were added before the types of keys and values were changed: add them after that"
    );
    Ok(())
}

#[tokio::test]
async fn closure_without_types_chooses_partitions() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = builder(&cluster)
        .partition_with(|record, _| Ok(if record.key() == Some(b"vip") { 2 } else { 1 }))
        .build()?;

    let vip = producer.send(ProducerRecord::to(TOPIC).key("vip")).await?;
    let other = producer.send(ProducerRecord::to(TOPIC).key("other")).await?;

    assert_eq!((vip.partition(), other.partition()), (2, 1));
    Ok(())
}

#[tokio::test]
async fn handles_of_other_types_write_into_the_same_transaction() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let mut producer = builder(&cluster).transactional_id("faces").build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    let counts = transaction.handle().with_serializers::<String, i64>(StringSerializer, LongSerializer);
    let words = counts.with_types::<Bytes, String>();

    counts.send(ProducerRecord::to(TOPIC).key("k").value(7)).await?;
    words.send(ProducerRecord::to(TOPIC).value("word")).await?;
    assert!(cluster.committed_records(TOPIC, 0).is_empty());
    transaction.commit().await?;

    assert_eq!(cluster.committed_records(TOPIC, 0).len(), 2);
    assert!(words.send(ProducerRecord::to(TOPIC).value("late")).await.is_err());
    Ok(())
}

#[tokio::test]
async fn producer_and_transaction_send_through_the_trait() -> TestResult {
    async fn send(producer: &dyn SendRecords, value: &'static str) -> TestResult {
        producer.send(ProducerRecord::to(TOPIC).value(value)).await?;
        let delivery = producer.enqueue(ProducerRecord::to(TOPIC).value(value)).await?;
        producer.flush().await;
        assert!(delivery.try_result().is_some());
        producer.try_enqueue(ProducerRecord::to(TOPIC).value(value))?.await?;
        Ok(())
    }

    let cluster = cluster_with(1, 1).await;
    send(&builder(&cluster).build()?, "plain").await?;
    let mut producer = builder(&cluster).transactional_id("trait").build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    send(&transaction, "guard").await?;
    send(&Arc::new(transaction.handle()), "handle").await?;
    transaction.commit().await?;

    assert_eq!(cluster.committed_records(TOPIC, 0).len(), 9);
    Ok(())
}
