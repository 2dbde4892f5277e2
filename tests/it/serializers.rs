//! Keys and values of other types than bytes, and serializers that fail or meddle with headers.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_mock::Api;
use kafka_producer::{
    BoxError, BuildError, BytesSerializer, Cluster, Disposition, Headers, KafkaProducer, LongSerializer,
    PartitionerRecord, Persisted, ProducerRecord, SendErrorKind, Serializer, StringSerializer,
    serialize_to_vec, serialize_with,
};

use crate::support::{TOPIC, TestResult, builder, builder_at, cluster_with, millis, record_for, soon, until};

#[tokio::test]
async fn text_and_numbers_are_written_as_java_writes_them() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer: KafkaProducer<String, i64> =
        builder(&cluster).serializers(StringSerializer, LongSerializer).build()?;

    let metadata = producer.send(ProducerRecord::to(TOPIC).key("clé").value(-2)).await?;

    let record = cluster.records(TOPIC, 0).remove(0);
    assert_eq!(record.key.unwrap(), "clé".as_bytes());
    assert_eq!(record.value.unwrap(), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe].as_slice());
    assert_eq!((metadata.serialized_key_size(), metadata.serialized_value_size()), (Some(4), Some(8)));
    Ok(())
}

#[tokio::test]
async fn closures_are_serializers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let upper = serialize_to_vec(|text: &String| Ok::<_, Infallible>(text.to_uppercase()));
    let digits = serialize_with(|number: &u8, out: &mut Vec<u8>| {
        out.extend_from_slice(number.to_string().as_bytes());
        Ok::<_, Infallible>(())
    });
    let producer: KafkaProducer<String, u8> = builder(&cluster).serializers(upper, digits).build()?;

    for number in [7, 42] {
        producer.send(ProducerRecord::to(TOPIC).key("abc").value(number)).await?;
    }

    let records = cluster.records(TOPIC, 0);
    assert!(records.iter().all(|record| record.key.as_deref() == Some(b"ABC")));
    assert_eq!(records[0].value.as_deref(), Some(&b"7"[..]));
    assert_eq!(records[1].value.as_deref(), Some(&b"42"[..]));
    Ok(())
}

/// Java: null stays null, and no serializer hears of it.
#[tokio::test]
async fn null_reaches_no_serializer() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let never = || serialize_to_vec(|_: &String| Err::<Vec<u8>, _>("called"));
    let producer: KafkaProducer<String, String> = builder(&cluster).serializers(never(), never()).build()?;

    producer.send(ProducerRecord::to(TOPIC)).await?;

    assert_eq!(cluster.records(TOPIC, 0)[0].key, None);
    assert_eq!(cluster.records(TOPIC, 0)[0].value, None);
    Ok(())
}

/// Adds a header for each call, and counts the calls.
struct Tagging {
    name: &'static str,
    calls: Arc<AtomicUsize>,
    fails: bool,
}

impl Serializer<String> for Tagging {
    fn serialize<'a>(
        &self,
        topic: &str,
        headers: &mut Headers,
        data: &'a String,
        _scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        headers.push(self.name, topic.to_owned());
        if self.fails { Err(format!("cannot do {data}").into()) } else { Ok(data.as_bytes()) }
    }
}

fn tagging(name: &'static str, fails: bool) -> (Tagging, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    (Tagging { name, calls: Arc::clone(&calls), fails }, calls)
}

fn header_names(cluster: &kafka_mock::MockCluster, partition: i32) -> Vec<String> {
    let record = cluster.records(TOPIC, partition).pop().unwrap();
    record.headers.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn serializers_may_add_headers_key_before_value() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer: KafkaProducer<String, String> =
        builder(&cluster).serializers(tagging("by key", false).0, tagging("by value", false).0).build()?;

    producer.send(ProducerRecord::to(TOPIC).key("k").value("v").header("own", "1")).await?;

    assert_eq!(header_names(&cluster, 0), ["own", "by key", "by value"]);
    Ok(())
}

#[tokio::test]
async fn failing_serializer_gives_the_record_back_as_it_was() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    for (fails, part) in [((true, false), "key"), ((false, true), "value")] {
        let producer: KafkaProducer<String, String> =
            builder(&cluster).serializers(tagging("k", fails.0).0, tagging("v", fails.1).0).build()?;
        let given = ProducerRecord::to(TOPIC).key("key").value("value").header("own", "1").timestamp(4);

        let error = soon("send", producer.send(given.clone())).await.unwrap_err();

        let SendErrorKind::Serialization { topic, part: told, source } = error.kind() else {
            panic!("{error:?}")
        };
        assert_eq!((topic.as_str(), *told), (TOPIC, part));
        assert_eq!(source.to_string(), format!("cannot do {part}"));
        assert_eq!(
            error.to_string(),
            format!("the {part} of a record for topic \"orders\" cannot be serialized; not sent")
        );
        assert_eq!(error.source().unwrap().to_string(), format!("cannot do {part}"));
        assert_eq!((error.disposition(), error.persisted()), (Disposition::FixRecord, Persisted::No));
        assert!(!error.is_retriable());
        assert!(error.into_record() == Some(given));
    }
    assert_eq!(cluster.end_offset(TOPIC, 0)?, 0);
    Ok(())
}

/// Java's `testHeadersFailure` leaves the headers to the caller when an early step fails.
#[tokio::test]
async fn record_that_is_refused_after_serialization_loses_the_headers_of_serializers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer: KafkaProducer<String, String> = builder(&cluster)
        .max_request_size(300)
        .serializers(tagging("k", false).0, tagging("v", false).0)
        .build()?;
    let given = ProducerRecord::to(TOPIC).key("key").value("x".repeat(400)).header("own", "1");

    let error = soon("send", producer.send(given.clone())).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::TooLarge { .. }), "{error:?}");
    assert!(error.into_record() == Some(given));
    Ok(())
}

/// The record waits for its partition, and the serializers must not notice how often it tried.
#[tokio::test]
async fn record_that_waits_for_its_partition_is_serialized_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (key, key_calls) = tagging("by key", false);
    let (value, value_calls) = tagging("by value", false);
    let producer: KafkaProducer<String, String> = builder(&cluster).serializers(key, value).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(ProducerRecord::to(TOPIC).key("k").value("v").partition(1)).await }
    });
    let before = cluster.requests().of(Api::Metadata);
    until("metadata was asked for", || cluster.requests().of(Api::Metadata) > before).await;

    cluster.add_partitions(TOPIC, 2)?;
    soon("send", waiting).await??;

    assert_eq!(header_names(&cluster, 1), ["by key", "by value"]);
    assert_eq!(key_calls.load(Ordering::SeqCst), 1);
    assert_eq!(value_calls.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test]
async fn record_that_waits_for_memory_is_serialized_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (value, calls) = tagging("by value", false);
    let producer: KafkaProducer<String, String> = builder(&cluster)
        .batch_size(1000)
        .buffer_memory(3000)
        .serializers(StringSerializer, value)
        .build()?;
    soon("first", producer.send(ProducerRecord::to(TOPIC).value("first"))).await?;
    cluster.freeze(0)?;
    let mut accepted = 1;
    while producer.try_enqueue(ProducerRecord::to(TOPIC).value("x".repeat(900))).is_ok() {
        accepted += 1;
    }
    let before = calls.load(Ordering::SeqCst);
    assert_eq!(before, accepted + 1);

    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(ProducerRecord::to(TOPIC).value("y".repeat(900))).await }
    });
    until("it waits", || producer.metrics().waiting_for_memory == 1).await;
    cluster.unfreeze(0)?;
    soon("send", waiting).await??;

    assert_eq!(calls.load(Ordering::SeqCst), before + 1);
    assert_eq!(header_names(&cluster, 0), ["by value"]);
    Ok(())
}

#[tokio::test]
async fn failed_delivery_gives_back_what_was_serialized() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 87, 1);
    let producer: KafkaProducer<String, i64> =
        builder(&cluster).serializers(StringSerializer, LongSerializer).build()?;

    let error = soon("send", producer.send(ProducerRecord::to(TOPIC).key("k").value(1))).await.unwrap_err();

    let record = error.delivery_error().unwrap().record().unwrap();
    assert_eq!(record.key.unwrap(), "k");
    assert_eq!(record.value.unwrap(), [0, 0, 0, 0, 0, 0, 0, 1].as_slice());
    assert!(error.into_record().is_none());
    Ok(())
}

/// A panic is the caller's own and must not break the producer for others.
#[tokio::test]
async fn panicking_serializer_ends_only_the_call() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let picky = serialize_to_vec(|text: &String| {
        assert!(!text.is_empty(), "this panic is part of the test");
        Ok::<_, Infallible>(text.clone())
    });
    let producer: KafkaProducer<String, String> =
        builder(&cluster).serializers(StringSerializer, picky).build()?;
    let panicking = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(ProducerRecord::to(TOPIC).value("")).await.map(drop) }
    });

    assert!(soon("panic", panicking).await.unwrap_err().is_panic());
    soon("send", producer.send(ProducerRecord::to(TOPIC).value("x"))).await?;

    assert_eq!(cluster.end_offset(TOPIC, 0)?, 1);
    Ok(())
}

/// A value that panics when the producer lets go of it.
struct Thorny(&'static str);

impl Drop for Thorny {
    fn drop(&mut self) {
        assert!(self.0.is_empty(), "this panic is part of the test");
    }
}

/// The record is in its batch when its value is dropped, on the caller's task.
#[tokio::test]
async fn value_that_panics_when_it_is_dropped_ends_only_the_call() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let thorny = serialize_to_vec(|value: &Thorny| Ok::<_, Infallible>(value.0));
    let producer: KafkaProducer<String, Thorny> =
        builder(&cluster).serializers(StringSerializer, thorny).build()?;
    let panicking = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(ProducerRecord::to(TOPIC).value(Thorny("x"))).await.map(drop).is_ok() }
    });

    assert!(soon("panic", panicking).await.unwrap_err().is_panic());
    let sent = soon("send", producer.send(ProducerRecord::to(TOPIC).value(Thorny("")))).await;

    assert!(sent.is_ok_and(|metadata| metadata.offset() == Some(1)));
    assert_eq!(cluster.end_offset(TOPIC, 0)?, 2);
    Ok(())
}

/// Serializers that look something up may send records themselves.
#[tokio::test]
async fn serializer_may_itself_send() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let inner = builder(&cluster).build()?;
    soon("metadata", inner.partitions_for(TOPIC)).await?;
    let sending = serialize_with(move |text: &String, out: &mut Vec<u8>| {
        drop(inner.try_enqueue(record_for(1, "from inside"))?);
        out.extend_from_slice(text.as_bytes());
        Ok::<_, BoxError>(())
    });
    let producer: KafkaProducer<String, String> =
        builder(&cluster).serializers(StringSerializer, sending).build()?;

    producer.send(ProducerRecord::to(TOPIC).value("outside").partition(0)).await?;
    until("the other is written", || cluster.end_offset(TOPIC, 1).unwrap() == 1).await;

    assert_eq!(crate::support::log_of(&cluster, 0), ["outside"]);
    assert_eq!(crate::support::log_of(&cluster, 1), ["from inside"]);
    Ok(())
}

#[tokio::test]
async fn one_serializer_may_serve_many_types_of_bytes() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer: KafkaProducer<[u8; 2], Vec<u8>> =
        builder(&cluster).linger(millis(1)).serializers(BytesSerializer, BytesSerializer).build()?;

    producer.send(ProducerRecord::to(TOPIC).key([1, 2]).value(vec![3])).await?;

    let record = cluster.records(TOPIC, 0).remove(0);
    assert_eq!((record.key.unwrap().to_vec(), record.value.unwrap().to_vec()), (vec![1, 2], vec![3]));
    Ok(())
}

const LONG: &str = "org.apache.kafka.common.serialization.LongSerializer";
const STRING: &str = "org.apache.kafka.common.serialization.StringSerializer";

#[tokio::test]
async fn classes_of_kafka_must_write_what_the_producer_writes() -> TestResult {
    let named =
        || builder_at("127.0.0.1:1").property("key.serializer", STRING).property("value.serializer", LONG);

    drop(named().serializers::<String, i64>(StringSerializer, LongSerializer).build()?);
    let custom = serialize_to_vec(|number: &u8| Ok::<_, Infallible>(vec![*number]));
    drop(named().serializers::<String, u8>(StringSerializer, custom).build()?);

    let partitioner = |_: &PartitionerRecord<'_>, _: &Cluster| Ok(0);
    let named_partitioner = named().property("partitioner.class", "com.example.MyPartitioner");
    let typed = named_partitioner.serializers::<String, i64>(StringSerializer, LongSerializer);
    drop(typed.partitioner(partitioner).build()?);

    let unread = named().property("value.serializer", "${file:/no/such/file:class}").build();
    assert!(matches!(unread, Err(BuildError::Config(_))));
    let error = named().property("linger", "5").build().unwrap_err();
    let BuildError::Config(error) = error else { panic!("{error}") };
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    let value = "value.serializer = org.apache.kafka.common.serialization.LongSerializer: Java classes cannot be loaded, and the \
                 builder's serializer for values writes other bytes: use its `value_serializer`, or remove the property";
    assert_eq!(problems, [r#"unknown key "linger": did you mean "linger.ms"?"#, value]);
    Ok(())
}
