//! What arrives in the log, and what the sender of a record is told of it.

use bytes::Bytes;
use kafka_producer::{Acks, Compression, HeaderValue, KafkaProducer, ProducerRecord, SendErrorKind};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, producer, record, soon,
};

#[tokio::test]
async fn record_arrives_as_it_was_given() -> TestResult {
    let cluster = cluster_with(3, 4).await;
    let producer = producer(&cluster);

    let metadata = producer
        .send(
            ProducerRecord::to(TOPIC)
                .key("key")
                .value("value")
                .partition(2)
                .timestamp(1_700_000_000_123)
                .header("a", "1")
                .header("b", HeaderValue::NULL)
                .header("a", "")
                .header("ключ", "значение"),
        )
        .await?;

    let records = cluster.records(TOPIC, 2);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].key.as_deref(), Some(&b"key"[..]));
    assert_eq!(records[0].value.as_deref(), Some(&b"value"[..]));
    assert_eq!(records[0].timestamp, 1_700_000_000_123);
    let headers = [("a", Some("1")), ("b", None), ("a", Some("")), ("ключ", Some("значение"))];
    assert_eq!(records[0].headers, headers.map(|(name, value)| (name.to_owned(), value.map(Bytes::from))));
    assert_eq!(metadata.topic(), TOPIC);
    assert_eq!(metadata.partition(), 2);
    assert_eq!(metadata.offset(), Some(0));
    assert_eq!(metadata.timestamp(), 1_700_000_000_123);
    assert_eq!(metadata.serialized_key_size(), Some(3));
    assert_eq!(metadata.serialized_value_size(), Some(5));
    assert_eq!(metadata.to_string(), "orders-2@0");
    Ok(())
}

#[tokio::test]
async fn null_and_empty_are_told_apart() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    let null = producer.send(ProducerRecord::to(TOPIC).partition(0)).await?;
    let empty = producer.send(ProducerRecord::to(TOPIC).partition(0).key("").value("")).await?;
    let tombstone = producer.send(ProducerRecord::to(TOPIC).partition(0).key("k")).await?;

    let parts: Vec<_> =
        cluster.records(TOPIC, 0).into_iter().map(|record| (record.key, record.value)).collect();
    let bytes = |text: &'static str| Some(Bytes::from(text));
    assert_eq!(parts, [(None, None), (bytes(""), bytes("")), (bytes("k"), None)]);
    assert_eq!((null.serialized_key_size(), null.serialized_value_size()), (None, None));
    assert_eq!((empty.serialized_key_size(), empty.serialized_value_size()), (Some(0), Some(0)));
    assert_eq!((tombstone.serialized_key_size(), tombstone.serialized_value_size()), (Some(1), None));
    Ok(())
}

#[tokio::test]
async fn record_without_timestamp_gets_the_time_of_the_call() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let clock = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();

    let before = clock();
    let metadata = producer.send(record("x")).await?;
    let after = clock();

    // The producer's clock may round.
    assert!((before - 1..=after + 1).contains(&metadata.timestamp()), "{before} {metadata:?} {after}");
    assert_eq!(cluster.records(TOPIC, 0)[0].timestamp, metadata.timestamp());
    Ok(())
}

#[tokio::test]
async fn timestamps_may_go_back_and_be_zero_and_largest() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).linger(crate::support::millis(50)).build()?;
    let timestamps = [5_000, 0, i64::MAX, 4_999, 1];

    let deliveries =
        enqueue_all(&producer, timestamps.iter().map(|time| record(time).timestamp(*time))).await;
    let told: Vec<_> = delivered(deliveries).await.iter().map(|metadata| metadata.timestamp()).collect();

    assert_eq!(told, timestamps);
    let written: Vec<_> = cluster.records(TOPIC, 0).iter().map(|record| record.timestamp).collect();
    assert_eq!(written, timestamps);
    assert_eq!(cluster.batches(TOPIC, 0).len(), 1);
    assert_eq!(cluster.batches(TOPIC, 0)[0].max_timestamp(), i64::MAX);
    Ok(())
}

#[tokio::test]
async fn offsets_count_up_within_and_across_batches() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(200).build()?;

    let deliveries = enqueue_all(&producer, (0..500).map(record)).await;
    let metadata = delivered(deliveries).await;

    let offsets: Vec<_> = metadata.iter().map(|metadata| metadata.offset().unwrap()).collect();
    assert_eq!(offsets, (0..500).collect::<Vec<i64>>());
    assert!(cluster.batches(TOPIC, 0).len() > 10);
    Ok(())
}

#[tokio::test]
async fn send_all_keeps_order_and_reports_each_record() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_request_size(1000).build()?;

    let records = [record("first"), record("x".repeat(2000)), record("third")];
    let results = soon("send_all", producer.send_all(records)).await;

    assert_eq!(results[0].as_ref().unwrap().offset(), Some(0));
    assert!(matches!(results[1].as_ref().unwrap_err().kind(), SendErrorKind::TooLarge { .. }));
    assert_eq!(results[2].as_ref().unwrap().offset(), Some(1));
    Ok(())
}

#[tokio::test]
async fn send_all_of_nothing_returns_nothing() -> TestResult {
    let cluster = cluster_with(1, 1).await;

    assert!(producer(&cluster).send_all([]).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn compressed_records_arrive_as_they_were_given() -> TestResult {
    for (codec, seen) in [
        #[cfg(feature = "gzip")]
        (Compression::Gzip, kafka_mock::Compression::Gzip),
        (Compression::Lz4, kafka_mock::Compression::Lz4),
        #[cfg(feature = "snappy")]
        (Compression::Snappy, kafka_mock::Compression::Snappy),
        #[cfg(feature = "zstd")]
        (Compression::Zstd, kafka_mock::Compression::Zstd),
    ] {
        let cluster = cluster_with(1, 1).await;
        let producer = builder(&cluster).compression(codec).linger(crate::support::millis(20)).build()?;

        let deliveries = enqueue_all(&producer, (0..2000).map(|i| record(i).header("h", "v"))).await;
        delivered(deliveries).await;

        assert_eq!(crate::support::log_of(&cluster, 0), crate::support::texts(0..2000));
        let batches = cluster.batches(TOPIC, 0);
        assert!(batches.iter().any(|batch| batch.compression == seen), "nothing was compressed by {codec}");
    }
    Ok(())
}

#[tokio::test]
async fn records_of_many_sizes_arrive_in_order() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1000).build()?;
    // Sizes below, around and above batch.size.
    let sizes =
        (0..120).map(|i| [0, 1, 63, 64, 127, 128, 899, 938, 939, 940, 1000, 5000, 16_383][i % 13] + i / 13);
    let values: Vec<String> =
        sizes.enumerate().map(|(i, size)| format!("{i}:{}", "x".repeat(size))).collect();

    delivered(enqueue_all(&producer, values.iter().map(record)).await).await;

    assert_eq!(crate::support::log_of(&cluster, 0), values);
    Ok(())
}

#[tokio::test]
async fn batch_size_of_zero_and_one_send_each_record_by_itself() -> TestResult {
    for batch_size in [0, 1] {
        let cluster = cluster_with(1, 1).await;
        let producer =
            builder(&cluster).batch_size(batch_size).linger(crate::support::seconds(10)).build()?;

        delivered(enqueue_all(&producer, (0..20).map(record)).await).await;

        assert_eq!(crate::support::log_of(&cluster, 0), crate::support::texts(0..20));
        assert_eq!(cluster.batches(TOPIC, 0).len(), 20, "batch.size {batch_size}");
    }
    Ok(())
}

/// A batch of one record: 61 bytes of header, at most 21 around the parts, and key, value and headers with lengths
/// (Java: `AbstractRecords.estimateSizeInBytesUpperBound`).
#[tokio::test]
async fn record_may_fill_max_request_size_to_the_byte() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let limit = 10_000;
    let producer = builder(&cluster).max_request_size(limit).build()?;
    // Null key 1, length of the value 3, no headers 1.
    let largest = limit - 61 - 21 - 1 - 3 - 1;

    producer.send(record("x".repeat(largest))).await?;
    let error = producer.send(record("x".repeat(largest + 1))).await.unwrap_err();

    let SendErrorKind::TooLarge { size, limit: told, setting } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*size, *told, *setting), (limit + 1, limit, "max.request.size"));
    assert_eq!(error.kind().to_string(), "record of 10001 bytes exceeds max.request.size of 10000");
    assert_eq!(error.into_record().unwrap().value.unwrap().len(), largest + 1);
    assert_eq!(cluster.end_offset(TOPIC, 0)?, 1);
    Ok(())
}

#[tokio::test]
async fn record_may_fill_buffer_memory_to_the_byte() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let limit = 10_000;
    let producer = builder(&cluster).batch_size(100).buffer_memory(limit).build()?;
    let largest = limit - 61 - 21 - 1 - 3 - 1;

    soon("largest record", producer.send(record("x".repeat(largest)))).await?;
    let error = producer.send(record("x".repeat(largest + 1))).await.unwrap_err();

    let SendErrorKind::TooLarge { setting, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(*setting, "buffer.memory");
    Ok(())
}

#[tokio::test]
async fn hundreds_of_partitions_on_three_brokers_all_get_their_records() -> TestResult {
    let cluster = cluster_with(3, 500).await;
    let linger = crate::support::seconds(600);
    let producer = builder(&cluster).linger(linger).delivery_timeout(2 * linger).build()?;

    let records = (0..5000).map(|i| crate::support::record_for(i % 500, i / 500));
    let deliveries = enqueue_all(&producer, records).await;
    soon("flush", producer.flush()).await;
    delivered(deliveries).await;

    for log in crate::support::logs_of(&cluster) {
        assert_eq!(log, crate::support::texts(0..10));
    }
    // One request carries many partitions.
    assert!(producer.metrics().produce_requests_sent < 500, "{:?}", producer.metrics());
    Ok(())
}

#[tokio::test]
async fn request_stays_below_max_request_size() -> TestResult {
    let cluster = kafka_mock::MockCluster::builder().max_request_bytes(12_000).start().await?;
    cluster.create_topic(TOPIC, 20, 1)?;
    let producer = builder(&cluster)
        .max_request_size(10_000)
        .batch_size(4000)
        .linger(crate::support::millis(20))
        .build()?;

    let records = (0..400).map(|i| crate::support::record_for(i % 20, "x".repeat(200)));
    delivered(enqueue_all(&producer, records).await).await;

    assert_eq!(cluster.refusals(), Vec::<String>::new());
    assert_eq!(producer.metrics().record_retries, 0);
    Ok(())
}

#[tokio::test]
async fn clones_send_through_the_same_producer() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer: KafkaProducer = builder(&cluster).acks(Acks::Leader).build()?;
    let clone = producer.clone();

    producer.send(record(0)).await?;
    clone.send(record(1)).await?;

    assert_eq!(crate::support::log_of(&cluster, 0), ["0", "1"]);
    for metrics in [clone.metrics(), producer.metrics()] {
        assert_eq!((metrics.records_accepted, metrics.records_delivered), (2, 2));
    }
    Ok(())
}
