//! What `metrics` counts, and the ways to read it.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{
    BrokerMetrics, Compression, KafkaProducer, MetricKind, MetricValue, Metrics, SendErrorKind, TopicMetrics,
    TransactionalProducer,
};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, millis, producer, record, record_for,
    results, run_out, seconds, skip_time, soon, until,
};

mod exposition;

use exposition::Exposition;

/// Sends records one after the other, so that each has a batch and a request of its own.
async fn send_each(producer: &KafkaProducer, count: u64) {
    for number in 0..count {
        soon("send", producer.send(record_for(0, number))).await.unwrap();
    }
}

fn topic(metrics: &Metrics) -> &TopicMetrics {
    metrics.topics.iter().find(|metrics| metrics.topic.as_str() == TOPIC).unwrap()
}

fn broker(metrics: &Metrics, id: i32) -> &BrokerMetrics {
    metrics.brokers.iter().find(|broker| broker.node.0 == id).unwrap()
}

/// The values of what only goes up, but for the records that were accepted: these follow from places in queues, which are there anyway.
fn counts(metrics: &Metrics) -> Vec<String> {
    let counted = metrics.iter().filter(|sample| sample.kind != MetricKind::Gauge);
    let counted = counted.filter(|sample| sample.name != "record-accepted-total");
    counted.map(|sample| format!("{} {:?} {:?}", sample.name, sample.labels, sample.value)).collect()
}

/// The sender counts, for whole batches: what a caller does on its own task changes no number.
#[tokio::test]
async fn path_of_a_record_counts_nothing() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    delivered(enqueue_all(&producer, [record_for(0, 0)]).await).await;
    let before = counts(&producer.metrics());

    // Nothing else has its turn meanwhile.
    let deliveries: Vec<_> = (1..100).map(|i| producer.try_enqueue(record_for(0, i)).unwrap()).collect();

    assert_eq!(counts(&producer.metrics()), before);
    delivered(deliveries).await;
    assert_ne!(counts(&producer.metrics()), before);
    Ok(())
}

#[tokio::test]
async fn batches_are_counted_when_they_are_sent_and_acknowledged() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    send_each(&producer, 5).await;

    let metrics = producer.metrics();
    let written: usize = cluster.batches(TOPIC, 0).len();
    assert_eq!((metrics.batches_completed, written), (5, 5));
    assert_eq!((metrics.records_accepted, metrics.records_delivered), (5, 5));
    assert_eq!((metrics.batch_size.count(), metrics.queue_time.count()), (5, 5));
    assert_eq!((metrics.records_per_batch.sum(), metrics.records_per_batch.max()), (5.0, Some(1.0)));
    assert_eq!(metrics.batch_size.sum(), metrics.bytes_sent as f64);
    assert_eq!((metrics.compression_ratio.mean(), metrics.compression_ratio.max()), (Some(1.0), Some(1.0)));
    assert!(metrics.queue_time.max() < Some(60.0));
    let topic = topic(&metrics);
    assert_eq!((topic.records_accepted, topic.records_sent, topic.records_delivered), (5, 5, 5));
    assert_eq!((topic.bytes_sent, topic.bytes_before_compression), (metrics.bytes_sent, metrics.bytes_sent));
    assert_eq!(topic.queue_time, metrics.queue_time);
    Ok(())
}

#[tokio::test]
async fn requests_are_counted_by_broker() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    cluster.set_leader(TOPIC, 0, Some(0))?;
    cluster.set_leader(TOPIC, 1, Some(1))?;
    let producer = producer(&cluster);

    for partition in [0, 1, 1] {
        soon("send", producer.send(record_for(partition, "x"))).await?;
    }

    let metrics = producer.metrics();
    let sent = |id| broker(&metrics, id).produce_requests_sent;
    assert_eq!((sent(0), sent(1), metrics.produce_requests_sent), (1, 2, 3));
    assert_eq!(broker(&metrics, 0).bytes_sent + broker(&metrics, 1).bytes_sent, metrics.bytes_sent);
    let answers =
        |metrics: &Metrics| metrics.brokers.iter().map(|broker| broker.responses_received).sum::<u64>();
    assert_eq!(answers(&metrics), metrics.responses_received);
    assert_eq!(metrics.request_latency.count(), metrics.responses_received);
    assert!(broker(&metrics, 1).request_latency.count() >= 2);
    Ok(())
}

#[tokio::test]
async fn requests_under_way_are_counted_by_broker() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    send_each(&producer, 1).await;
    cluster.freeze(0)?;

    let delivery = producer.enqueue(record("x")).await?;
    until("it is under way", || producer.metrics().requests_in_flight == 1).await;
    assert_eq!(broker(&producer.metrics(), 0).requests_in_flight, 1);
    cluster.unfreeze(0)?;
    soon("delivery", delivery).await?;

    until("nothing is under way", || producer.metrics().requests_in_flight == 0).await;
    let metrics = producer.metrics();
    assert!(metrics.brokers.iter().all(|broker| broker.requests_in_flight == 0), "{metrics:?}");
    Ok(())
}

#[tokio::test]
async fn open_connections_are_those_that_the_brokers_see() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    send_each(&producer, 1).await;
    assert_eq!(producer.metrics().connections, cluster.open_connections(0));

    cluster.disconnect_before_request(Api::Produce, 1);
    send_each(&producer, 1).await;

    let metrics = producer.metrics();
    assert!(metrics.connections_closed >= 1);
    assert_eq!(metrics.connections, metrics.connections_created - metrics.connections_closed);
    assert_eq!(metrics.connections, 1);
    Ok(())
}

#[tokio::test]
async fn records_that_are_sent_again_or_fail_are_counted_by_topic() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    send_each(&producer, 1).await;

    cluster.fail_next(Api::Produce, 7, 1);
    send_each(&producer, 1).await;
    cluster.fail_next(Api::Produce, 29, 1);
    soon("refused", producer.send(record("x"))).await.unwrap_err();

    let metrics = producer.metrics();
    let topic = topic(&metrics);
    assert_eq!((topic.record_retries, topic.record_errors, topic.records_sent), (1, 1, 4));
    assert_eq!((metrics.record_retries, metrics.record_errors), (1, 1));
    assert_eq!(metrics.batch_size.count(), 3, "a batch that is sent again counts once");
    Ok(())
}

#[tokio::test]
async fn compression_is_measured_by_batch_and_topic() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).compression(Compression::Lz4).linger(millis(20)).build()?;

    let same = std::iter::repeat_n(record_for(0, "the same text again and again"), 100);
    for result in results(enqueue_all(&producer, same).await).await {
        result?;
    }

    let metrics = producer.metrics();
    let topic = topic(&metrics);
    assert!(topic.bytes_sent * 2 < topic.bytes_before_compression, "{topic:?}");
    assert!(metrics.compression_ratio.percentile(100.0) < Some(0.5));
    Ok(())
}

#[tokio::test]
async fn throttling_is_counted_with_its_broker() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).delivery_timeout(seconds(300)).build()?;
    send_each(&producer, 1).await;
    assert_eq!(producer.metrics().throttle_time.count(), 0);

    cluster.inject(Fault::throttle(seconds(60)).api(Api::Produce));
    send_each(&producer, 1).await;

    let metrics = producer.metrics();
    assert_eq!((metrics.throttle_time.count(), metrics.throttle_time.max()), (1, Some(60.0)));
    assert_eq!(broker(&metrics, 0).throttled, seconds(60));
    Ok(())
}

#[tokio::test]
async fn ages_begin_with_what_they_are_ages_of() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    cluster.freeze(0)?;
    let producer =
        builder(&cluster).request_timeout(seconds(1000)).delivery_timeout(seconds(2000)).build()?;
    let before = producer.metrics();
    assert_eq!((before.metadata_age, before.last_delivery_age, before.oldest_batch_age), (None, None, None));
    cluster.unfreeze(0)?;
    send_each(&producer, 1).await;
    cluster.freeze(0)?;
    let _delivery = producer.enqueue(record("x")).await?;

    skip_time(seconds(100)).await;

    let metrics = producer.metrics();
    for age in [metrics.metadata_age, metrics.last_delivery_age, metrics.oldest_batch_age] {
        assert!(age >= Some(seconds(100)), "{age:?}");
    }
    assert_eq!(metrics.start_time, before.start_time);
    assert!(metrics.taken_at >= before.taken_at + seconds(100));
    cluster.unfreeze(0)?;
    Ok(())
}

#[tokio::test]
async fn waits_of_callers_are_counted() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster)
        .request_timeout(seconds(1000))
        .delivery_timeout(seconds(2000))
        .batch_size(1000)
        .buffer_memory(1000)
        .build()?;
    send_each(&producer, 1).await;
    assert!(producer.metrics().metadata_wait > Duration::ZERO);
    cluster.freeze(0)?;
    let _full = producer.enqueue(record("x".repeat(800))).await?;

    let call = producer.enqueue(record("y".repeat(800)));
    let waits = || producer.metrics().waiting_for_memory == 1;
    let error = run_out("enqueue", call, waits, seconds(61)).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::MemoryTimeout { .. }), "{error:?}");
    let metrics = producer.metrics();
    assert_eq!(metrics.memory_timeouts, 1);
    assert!(metrics.memory_wait >= seconds(60), "{:?}", metrics.memory_wait);
    cluster.unfreeze(0)?;
    Ok(())
}

#[tokio::test]
async fn queues_are_counted_by_partition() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = builder(&cluster).linger(seconds(1000)).delivery_timeout(seconds(2000)).build()?;

    let _delivery = producer.enqueue(record_for(1, "x")).await?;

    let metrics = producer.metrics();
    let queued: Vec<_> = metrics.partitions.iter().map(|it| (it.partition, it.queued_batches)).collect();
    assert_eq!(queued, [(1, 1)]);
    let held: usize = metrics.partitions.iter().map(|it| it.buffered_bytes).sum();
    assert!(held > 0);
    assert_eq!(held, metrics.buffered_bytes);
    Ok(())
}

#[tokio::test]
async fn every_sample_has_its_own_name_and_labels() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    let producer = producer(&cluster);
    send_each(&producer, 3).await;

    let metrics = producer.metrics();
    let mut seen = BTreeSet::new();
    for sample in metrics.iter() {
        assert!(seen.insert((sample.group, sample.name, sample.labels.clone())), "{sample:?} comes twice");
        let is_histogram = matches!(sample.value, MetricValue::Histogram(_));
        assert_eq!(is_histogram, sample.kind == MetricKind::Histogram, "{sample:?}");
        assert!(sample.help.ends_with('.'), "{sample:?}");
    }

    let value = |name| metrics.iter().find(|sample| sample.name == name).map(|sample| sample.value);
    assert_eq!(value("record-delivered-total"), Some(MetricValue::Integer(3)));
    assert_eq!(value("certificate-end-time"), None);
    Ok(())
}

#[tokio::test]
async fn text_for_prometheus_parses() -> TestResult {
    let cluster = MockCluster::start(2).await?;
    let client_id = "shop \"1\"\\north";
    let producer = builder(&cluster).client_id(client_id).build()?;
    for topic in ["orders", "payments"] {
        let record = kafka_producer::ProducerRecord::to(topic).value("x");
        soon("send", producer.send(record)).await?;
    }

    let metrics = producer.metrics();
    let text = Exposition::parse(&metrics.prometheus())?;

    let own = [("client_id", client_id)];
    assert_eq!(text.value("kafka_producer_record_delivered_total", &own), Some(2.0));
    assert_eq!(text.kind("kafka_producer_record_delivered_total"), Some("counter"));
    assert_eq!(text.kind("kafka_producer_metadata_age_seconds"), Some("gauge"));
    assert_eq!(text.kind("kafka_producer_request_latency_seconds"), Some("histogram"));
    let labels = [("client_id", client_id), ("topic", "payments")];
    assert_eq!(text.value("kafka_producer_topic_record_send_total", &labels), Some(1.0));
    let labels = [("client_id", client_id), ("le", "1")];
    assert_eq!(text.value("kafka_producer_records_per_batch_bucket", &labels), Some(2.0));
    let count = metrics.request_latency.count() as f64;
    assert_eq!(text.value("kafka_producer_request_latency_seconds_count", &own), Some(count));
    Ok(())
}

#[tokio::test]
async fn text_of_several_producers_has_each_name_once() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let one = builder(&cluster).client_id("one").build()?;
    let two = builder(&cluster).client_id("two").build()?;
    send_each(&one, 1).await;
    send_each(&two, 2).await;

    let text = Exposition::parse(&Metrics::prometheus_of([&one.metrics(), &two.metrics()]))?;

    let delivered = |id| text.value("kafka_producer_record_delivered_total", &[("client_id", id)]);
    assert_eq!((delivered("one"), delivered("two")), (Some(1.0), Some(2.0)));
    Ok(())
}

#[tokio::test]
async fn transactional_producer_has_the_same_numbers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let mut producer: TransactionalProducer =
        builder(&cluster).transactional_id("till").build_transactional()?;

    let transaction = soon("begin", producer.begin_transaction()).await?;
    soon("send", transaction.send(record_for(0, "x"))).await?;
    soon("commit", transaction.commit()).await?;

    let metrics = producer.metrics();
    assert_eq!((metrics.records_delivered, topic(&metrics).records_delivered), (1, 1));
    assert_eq!(metrics.records_per_batch.count(), 1);
    Ok(())
}
