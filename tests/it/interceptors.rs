//! The chain of interceptors: what it sees, what it may change, and that it can break nothing.

use std::sync::{Arc, Mutex};

use kafka_mock::{Api, MockCluster};
use kafka_producer::{
    Acknowledgement, BoxError, KafkaProducer, LongSerializer, ProducerInterceptor, ProducerRecord,
    SendErrorKind, StringSerializer,
};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, logs_of, millis, record,
    record_for, results, run_out, seconds, skip_time, soon, texts, until,
};

/// One acknowledgement as text: `topic partition offset timestamp key-size value-size headers error`.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<String>>,
}

impl Recorder {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl<K: 'static, V: 'static> ProducerInterceptor<K, V> for Recorder {
    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        let headers: Vec<_> = acknowledgement.headers().iter().map(|header| header.name()).collect();
        self.seen.lock().unwrap().push(format!(
            "{} {:?} {:?} {:?} {:?} {:?} {} {}",
            acknowledgement.topic(),
            acknowledgement.partition(),
            acknowledgement.offset(),
            acknowledgement.timestamp(),
            acknowledgement.serialized_key_size(),
            acknowledgement.serialized_value_size(),
            headers.join(","),
            acknowledgement.error().map_or_else(String::new, ToString::to_string),
        ));
    }
}

/// Appends its name to the value, or does some mischief.
struct Link {
    name: &'static str,
    mischief: Option<Mischief>,
    log: Arc<Mutex<Vec<&'static str>>>,
}

enum Mischief {
    Fail,
    Panic,
    PanicOnAcknowledgement,
}

impl ProducerInterceptor for Link {
    fn on_send(&self, record: &ProducerRecord) -> Result<Option<ProducerRecord>, BoxError> {
        match self.mischief {
            Some(Mischief::Fail) => return Err("this failure is part of the test".into()),
            Some(Mischief::Panic) => panic!("this panic is part of the test"),
            _ => {}
        }
        let mut changed = record.clone();
        let value = changed.value.take().unwrap_or_default();
        Ok(Some(changed.value([&value[..], self.name.as_bytes()].concat()).header(self.name, "")))
    }

    fn on_acknowledgement(&self, _acknowledgement: &Acknowledgement<'_>) {
        self.log.lock().unwrap().push(self.name);
        if let Some(Mischief::Panic | Mischief::PanicOnAcknowledgement) = self.mischief {
            panic!("this panic is part of the test");
        }
    }
}

fn link(name: &'static str, log: &Arc<Mutex<Vec<&'static str>>>) -> Link {
    Link { name, mischief: None, log: Arc::clone(log) }
}

/// Java: `ProducerInterceptorsTest.testOnSendChain` and `testOnAcknowledgementChain`.
#[tokio::test]
async fn chain_is_passed_in_order_and_mischief_is_passed_over() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let log = Arc::default();
    let bad = |mischief| Link { mischief: Some(mischief), ..link("!", &log) };
    let producer = builder(&cluster)
        .interceptor(bad(Mischief::Panic))
        .interceptor(link("a", &log))
        .interceptor(bad(Mischief::Fail))
        .interceptor(Link { mischief: Some(Mischief::PanicOnAcknowledgement), ..link("b", &log) })
        .interceptor(link("c", &log))
        .build()?;

    let metadata = producer.send(record("x").header("own", "")).await?;

    assert_eq!(log_of(&cluster, 0), ["xabc"]);
    let headers: Vec<_> = cluster.records(TOPIC, 0)[0].headers.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(headers, ["own", "a", "b", "c"]);
    assert_eq!(metadata.serialized_value_size(), Some(4));
    assert_eq!(*log.lock().unwrap(), ["!", "a", "!", "b", "c"]);
    Ok(())
}

fn recorded(cluster: &MockCluster) -> (kafka_producer::KafkaProducerBuilder, Arc<Recorder>) {
    let recorder = Arc::<Recorder>::default();
    (builder(cluster).interceptor(Arc::clone(&recorder)), recorder)
}

#[tokio::test]
async fn delivered_records_are_told_with_their_place() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.build()?;

    producer.send(record_for(1, "value").key("key").timestamp(5).header("h", "")).await?;
    producer.send(ProducerRecord::to(TOPIC).partition(1).timestamp(6)).await?;

    assert_eq!(
        recorder.take(),
        ["orders Some(1) Some(0) Some(5) Some(3) Some(5) h ", "orders Some(1) Some(1) Some(6) None None  "]
    );
    Ok(())
}

#[tokio::test]
async fn each_record_of_a_batch_is_told_once_in_order_before_its_sender() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.linger(millis(20)).build()?;

    let deliveries = enqueue_all(&producer, (0..50).map(|i| record(i).timestamp(i))).await;
    let first = soon("first", deliveries.into_iter().next().unwrap()).await?;

    assert_eq!(first.offset(), Some(0));
    let seen = recorder.take();
    assert_eq!(seen.len(), 50);
    for (i, seen) in seen.iter().enumerate() {
        assert!(seen.starts_with(&format!("orders Some(0) Some({i}) Some({i}) ")), "{seen}");
    }
    Ok(())
}

#[tokio::test]
async fn records_of_a_batch_that_was_cut_are_told_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.set_max_message_bytes(300);
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.linger(millis(20)).build()?;

    delivered(enqueue_all(&producer, (0..100).map(|i| record(i).timestamp(i))).await).await;

    let seen = recorder.take();
    assert_eq!(seen.len(), 100);
    for (i, seen) in seen.iter().enumerate() {
        assert!(seen.starts_with(&format!("orders Some(0) Some({i}) Some({i}) ")), "{seen}");
    }
    Ok(())
}

#[tokio::test]
async fn retried_records_are_told_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 6, 3);
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.build()?;

    producer.send(record("x")).await?;

    assert_eq!(recorder.take().len(), 1);
    Ok(())
}

/// A call that was never polled has shown its record to no interceptor.
#[tokio::test]
async fn calls_that_are_dropped_while_they_wait_are_told_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.build()?;

    drop(producer.enqueue(record("not polled")));
    let waiting = producer.enqueue(ProducerRecord::to("missing").value("x").header("h", ""));
    assert!(tokio::time::timeout(millis(1), waiting).await.is_err());

    let seen = recorder.take();
    assert_eq!(
        seen,
        ["missing None None None None None h the call was dropped before the record was accepted"]
    );
    soon("send", producer.send(record("x"))).await?;
    assert_eq!(recorder.take().len(), 1);
    Ok(())
}

#[tokio::test]
async fn failed_records_are_told_with_their_error() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.fail_next(Api::Produce, 29, 1);
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.linger(millis(20)).build()?;

    results(enqueue_all(&producer, (0..3).map(|i| record(i).header("h", ""))).await).await;

    let seen = recorder.take();
    assert_eq!(seen.len(), 3);
    for seen in seen {
        assert!(seen.starts_with("orders Some(0) None None None None h record for orders-0: "), "{seen}");
    }
    Ok(())
}

/// Java: `testInterceptorPartitionSetOnTooLargeRecord`, and the rules of `onSendError`.
#[tokio::test]
async fn refused_records_are_told_with_what_is_known_of_them() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.max_request_size(500).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    let large = "x".repeat(600);
    drop(producer.try_enqueue(record(&large).header("h", "")).unwrap_err());
    drop(producer.try_enqueue(record_for(1, &large)).unwrap_err());
    let missing = producer.enqueue(ProducerRecord::to("missing").value("x"));
    drop(run_out("enqueue", missing, || true, seconds(61)).await.unwrap_err());
    drop(producer.try_enqueue(record("x").timestamp(-1)).unwrap_err());
    let _ = soon("close", producer.close(seconds(5))).await;
    drop(producer.try_enqueue(record("x")).unwrap_err());

    let seen = recorder.take();
    let starts = [
        "orders None None None None None h record of ",
        "orders Some(1) None None None None  record of ",
        "missing None None None None None  topic \"missing\" not in metadata",
        "orders None None None None None  ",
        "orders None None None None None  the producer is closed",
    ];
    assert_eq!(seen.len(), 5, "{seen:?}");
    for (seen, start) in seen.iter().zip(starts) {
        assert!(seen.starts_with(start), "{seen:?} {start:?}");
    }
    Ok(())
}

#[tokio::test]
async fn records_that_close_gives_up_are_told() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.freeze(0)?;
    drop(enqueue_all(&producer, (0..5).map(record)).await);

    let _ = soon("close", producer.close(millis(10))).await;

    let seen = recorder.take();
    assert_eq!(seen.len(), 5);
    assert!(seen[0].contains("the producer was closed before the record was delivered"), "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn records_sent_without_acks_are_told_without_offsets() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (builder, recorder) = recorded(&cluster);
    let producer = builder.acks(kafka_producer::Acks::None).build()?;

    producer.send(record("x").timestamp(9)).await?;

    assert_eq!(recorder.take(), ["orders Some(0) None Some(9) None Some(1)  "]);
    Ok(())
}

/// Changes topic and partition.
struct Reroute;

impl ProducerInterceptor for Reroute {
    fn on_send(&self, record: &ProducerRecord) -> Result<Option<ProducerRecord>, BoxError> {
        let mut changed = record.clone();
        changed.topic = TOPIC.into();
        changed.partition = Some(2);
        Ok(Some(changed))
    }
}

#[tokio::test]
async fn interceptor_may_send_the_record_elsewhere() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = builder(&cluster).interceptor(Reroute).build()?;

    let metadata = soon("send", producer.send(ProducerRecord::to("nowhere").value("x"))).await?;

    assert_eq!((metadata.topic().as_str(), metadata.partition()), (TOPIC, 2));
    assert_eq!(logs_of(&cluster)[2], ["x"]);
    Ok(())
}

#[tokio::test]
async fn refused_record_comes_back_as_the_interceptors_left_it() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = builder(&cluster).interceptor(Reroute).max_request_size(100).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    let record = ProducerRecord::to("nowhere").value("x".repeat(200));
    let error = producer.try_enqueue(record).unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::TooLarge { .. }));
    let back = error.into_record().unwrap();
    assert_eq!((back.topic.as_str(), back.partition), (TOPIC, Some(2)));
    Ok(())
}

/// Interceptors of typed producers see the types, not the bytes.
struct Doubling;

impl ProducerInterceptor<String, i64> for Doubling {
    fn on_send(
        &self,
        record: &ProducerRecord<String, i64>,
    ) -> Result<Option<ProducerRecord<String, i64>>, BoxError> {
        let mut changed = record.clone();
        changed.value = changed.value.map(|value| value * 2);
        Ok(Some(changed))
    }
}

#[tokio::test]
async fn interceptor_sees_typed_records() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer: KafkaProducer<String, i64> =
        builder(&cluster).serializers(StringSerializer, LongSerializer).interceptor(Doubling).build()?;

    producer.send(ProducerRecord::to(TOPIC).key("k").value(21)).await?;

    assert_eq!(cluster.records(TOPIC, 0)[0].value.as_deref(), Some(&42_i64.to_be_bytes()[..]));
    Ok(())
}

/// Sends another record from the sender's own task, as an audit trail would.
struct Echo {
    producer: Mutex<Option<KafkaProducer>>,
}

impl ProducerInterceptor for Echo {
    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        if acknowledgement.partition() == Some(0)
            && let Some(producer) = &*self.producer.lock().unwrap()
        {
            let offset = acknowledgement.offset().unwrap_or(-1);
            drop(producer.try_enqueue(record_for(1, offset)));
        }
    }
}

/// Java: `testAppendInExpiryCallback` asks the same of callbacks.
#[tokio::test]
async fn interceptor_may_enqueue_from_an_acknowledgement() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let echo = Arc::new(Echo { producer: Mutex::new(None) });
    let producer = builder(&cluster).interceptor(Arc::clone(&echo)).build()?;
    *echo.producer.lock().unwrap() = Some(producer.clone());

    delivered(enqueue_all(&producer, (0..20).map(|i| record_for(0, i))).await).await;
    until("the echo is written", || cluster.end_offset(TOPIC, 1).unwrap() == 20).await;

    assert_eq!(log_of(&cluster, 1), texts(0..20));
    // Breaks the circle of producer and interceptor.
    *echo.producer.lock().unwrap() = None;
    Ok(())
}

/// Tries again what has failed, elsewhere.
struct SecondChance {
    producer: Mutex<Option<KafkaProducer>>,
}

impl ProducerInterceptor for SecondChance {
    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        if acknowledgement.error().is_some()
            && let Some(producer) = &*self.producer.lock().unwrap()
        {
            drop(producer.try_enqueue(record_for(1, "again")));
        }
    }
}

/// Java: `testAppendInExpiryCallback`.
#[tokio::test]
async fn interceptor_may_enqueue_when_records_expire() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    cluster.set_leader(TOPIC, 0, None)?;
    let chance = Arc::new(SecondChance { producer: Mutex::new(None) });
    let producer =
        builder(&cluster).interceptor(Arc::clone(&chance)).delivery_timeout(seconds(120)).build()?;
    *chance.producer.lock().unwrap() = Some(producer.clone());

    let deliveries = enqueue_all(&producer, (0..20).map(|i| record_for(0, i))).await;
    skip_time(seconds(121)).await;
    let expired = results(deliveries).await;
    until("the second chances are written", || cluster.end_offset(TOPIC, 1).unwrap() == 20).await;

    assert!(expired.iter().all(Result::is_err));
    until("memory is back", || producer.metrics().buffered_bytes == 0).await;
    *chance.producer.lock().unwrap() = None;
    Ok(())
}
