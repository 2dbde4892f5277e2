//! Which partition a record goes to.

use std::collections::BTreeMap;

use kafka_mock::MockCluster;
use kafka_producer::{
    BoxError, Cluster, Delivery, Disposition, KafkaProducer, PartitionerRecord, Persisted, ProducerRecord,
    RoundRobinPartitioner, SendErrorKind, partition_for_key,
};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, logs_of, millis, record, record_for,
    seconds, skip_time, soon, until,
};

/// Hashes from Java: `Utils.toPositive(Utils.murmur2(key))`; the partition is that modulo the number of partitions.
const JAVA_HASHES: [(&[u8], i64); 7] = [
    (b"", 275_646_681),
    (b"21", 1_173_551_340),
    (b"foobar", 1_357_151_166),
    (b"a-little-bit-long-string", 1_161_502_112),
    (b"a-little-bit-longer-string", 661_178_819),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 2_088_585_677),
    (b"abc", 479_470_107),
];

#[tokio::test]
async fn keys_go_where_java_sends_them() -> TestResult {
    let cluster = cluster_with(3, 17).await;
    // Partitions without a leader count too.
    cluster.set_leader(TOPIC, 16, None)?;
    let producer = builder(&cluster).build()?;

    for (key, hash) in JAVA_HASHES {
        let delivery = producer.enqueue(ProducerRecord::to(TOPIC).key(key).value("x")).await?;
        let partition = delivery.topic_partition().partition;

        assert_eq!(i64::from(partition), hash % 17, "{:?}", String::from_utf8_lossy(key));
        assert_eq!(partition_for_key(key, 17), Some(partition));
    }
    Ok(())
}

#[tokio::test]
async fn records_of_one_key_stay_together_and_in_order() -> TestResult {
    let cluster = cluster_with(3, 10).await;
    let producer = builder(&cluster).batch_size(200).build()?;

    let records = (0..600).map(|i| record(i).key(format!("key {}", i % 20)));
    let metadata = delivered(enqueue_all(&producer, records).await).await;

    for key in 0..20 {
        let of_key = || metadata.iter().skip(key).step_by(20);
        let partition = of_key().next().unwrap().partition();
        assert_eq!(Some(partition), partition_for_key(format!("key {key}").as_bytes(), 10));
        assert!(of_key().all(|metadata| metadata.partition() == partition));
        assert!(of_key().map(|metadata| metadata.offset()).is_sorted());
    }
    Ok(())
}

#[tokio::test]
async fn named_partition_counts_more_than_the_key() -> TestResult {
    let cluster = cluster_with(1, 5).await;
    let producer = builder(&cluster).build()?;

    for partition in 0..5 {
        let metadata = producer.send(record_for(partition, "x").key("the same")).await?;
        assert_eq!(metadata.partition(), partition);
    }
    Ok(())
}

#[tokio::test]
async fn keys_may_be_ignored() -> TestResult {
    let cluster = cluster_with(1, 5).await;
    let producer = builder(&cluster).partitioner_ignore_keys(true).batch_size(100).build()?;

    let records = (0..200).map(|_| record("x".repeat(100)).key("the same"));
    delivered(enqueue_all(&producer, records).await).await;

    assert!(logs_of(&cluster).iter().all(|log| !log.is_empty()), "one partition is left out");
    Ok(())
}

#[tokio::test]
async fn records_without_a_key_fill_a_batch_and_move_on() -> TestResult {
    let cluster = cluster_with(3, 4).await;
    let builder = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900));
    let producer = builder.batch_size(2000).build()?;

    let deliveries = enqueue_all(&producer, (0..2000).map(|i| record(format!("{i:050}")))).await;
    soon("flush", producer.flush()).await;
    let partitions: Vec<_> =
        delivered(deliveries).await.iter().map(|metadata| metadata.partition()).collect();

    let moves = partitions.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // 2000 records of 57 bytes are about 60 batches, and every fourth move is to the same partition.
    assert!((15..=80).contains(&moves), "{moves}");
    let mut counts = BTreeMap::new();
    partitions.iter().for_each(|partition| *counts.entry(*partition).or_insert(0) += 1);
    assert_eq!(counts.len(), 4);
    assert!(counts.values().all(|count| *count >= 100), "{counts:?}");
    // No small batches are left behind.
    let batches: usize = (0..4).map(|partition| cluster.batches(TOPIC, partition).len()).sum();
    assert!(batches <= 75, "{batches}");
    Ok(())
}

#[tokio::test]
async fn records_without_a_key_avoid_partitions_without_a_leader() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    cluster.set_leader(TOPIC, 0, None)?;
    cluster.set_leader(TOPIC, 2, None)?;
    let producer = builder(&cluster).batch_size(100).build()?;

    let deliveries = enqueue_all(&producer, (0..200).map(|_| record("x".repeat(100)))).await;
    let metadata = delivered(deliveries).await;

    assert!(metadata.iter().all(|metadata| metadata.partition() % 2 == 1));
    Ok(())
}

#[tokio::test]
async fn records_without_a_key_wait_for_any_leader_if_there_is_none() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    cluster.set_leader(TOPIC, 0, None)?;
    cluster.set_leader(TOPIC, 1, None)?;
    let producer = builder(&cluster).build()?;

    let delivery = soon("enqueue", producer.enqueue(record("x"))).await?;
    cluster.set_leader(TOPIC, 0, Some(0))?;
    cluster.set_leader(TOPIC, 1, Some(0))?;

    soon("delivery", delivery).await?;
    Ok(())
}

/// KIP-794: what a slow broker cannot take goes to others.
#[tokio::test]
async fn records_without_a_key_prefer_short_queues() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    let builder = builder(&cluster).request_timeout(seconds(300)).delivery_timeout(seconds(600));
    let producer = builder.batch_size(500).linger(millis(1)).build()?;
    delivered(enqueue_all(&producer, (0..2).map(|i| record_for(i, "x"))).await).await;
    let slow = cluster.leader(TOPIC, 0).unwrap();
    cluster.freeze(slow)?;

    let mut to_slow = 0;
    let mut to_fast = 0;
    let mut deliveries = Vec::new();
    for _ in 0..300 {
        for _ in 0..3 {
            let delivery = producer.enqueue(record("x".repeat(200))).await?;
            *(if delivery.topic_partition().partition == 0 { &mut to_slow } else { &mut to_fast }) += 1;
            deliveries.push(delivery);
        }
        // The fast one has taken what it was given.
        let fast = |delivery: &&Delivery| delivery.topic_partition().partition == 1;
        until("the fast one is done", || deliveries.iter().filter(fast).all(|d| d.try_result().is_some()))
            .await;
    }

    assert!(to_fast > 4 * to_slow, "{to_fast} {to_slow}");
    cluster.unfreeze(slow)?;
    delivered(deliveries).await;
    Ok(())
}

#[tokio::test]
async fn partitioner_of_the_user_decides() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    let choose = |record: &PartitionerRecord<'_>, cluster: &Cluster| -> Result<i32, BoxError> {
        let length = record.key().map_or(0, <[u8]>::len) + record.value().map_or(0, <[u8]>::len);
        let count = cluster.partition_count(record.topic()).ok_or("the topic is known")?;
        Ok(i32::try_from(length % count)?)
    };
    let producer = builder(&cluster).partitioner(choose).build()?;

    for (record, expected) in
        [(record("abc"), 3), (record("abcd"), 0), (record("a").key("b"), 2), (record_for(3, "a"), 3)]
    {
        assert_eq!(producer.send(record).await?.partition(), expected);
    }
    Ok(())
}

#[tokio::test]
async fn partition_out_of_range_is_refused_at_once() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    for bad in [-1, 4, i32::MAX, i32::MIN] {
        let choose = move |_: &PartitionerRecord<'_>, _: &Cluster| Ok::<_, BoxError>(bad);
        let producer = builder(&cluster).max_block(seconds(60)).partitioner(choose).build()?;

        let error = soon("send", producer.send(record("x").header("h", "v"))).await.unwrap_err();

        let SendErrorKind::PartitionOutOfRange { topic, partition, partition_count } = error.kind() else {
            panic!("{error:?}")
        };
        assert_eq!((topic.as_str(), *partition, *partition_count), (TOPIC, bad, 4));
        assert_eq!((error.disposition(), error.persisted()), (Disposition::FixRecord, Persisted::No));
        assert_eq!(error.into_record(), Some(record("x").header("h", "v")));
    }
    Ok(())
}

#[tokio::test]
async fn failing_partitioner_is_told_with_its_cause() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    let fail = |_: &PartitionerRecord<'_>, _: &Cluster| Err::<i32, BoxError>("no idea".into());
    let producer = builder(&cluster).partitioner(fail).build()?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    let SendErrorKind::Partitioner { source, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "no idea");
    assert_eq!(error.disposition(), Disposition::FixRecord);
    assert_eq!(error.into_record(), Some(record("x")));
    assert_eq!(producer.metrics().buffered_bytes, 0);
    Ok(())
}

#[tokio::test]
async fn panicking_partitioner_ends_only_the_call() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let picky = |record: &PartitionerRecord<'_>, _: &Cluster| {
        assert!(record.key().is_none(), "this panic is part of the test");
        Ok::<_, BoxError>(1)
    };
    let producer: KafkaProducer = builder(&cluster).partitioner(picky).build()?;
    let panicking = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(record("x").key("k")).await.map(drop) }
    });

    assert!(soon("panic", panicking).await.unwrap_err().is_panic());
    soon("send", producer.send(record("y"))).await?;
    Ok(())
}

/// Java: `RoundRobinPartitionerTest`.
#[tokio::test]
async fn round_robin_spreads_evenly_whatever_the_keys() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    let producer = builder(&cluster).partitioner(RoundRobinPartitioner::default()).build()?;

    let records = (0..80).map(|i| if i % 3 == 0 { record(i) } else { record(i).key("the same") });
    delivered(enqueue_all(&producer, records).await).await;

    assert_eq!(logs_of(&cluster).iter().map(Vec::len).collect::<Vec<_>>(), [20; 4]);
    Ok(())
}

#[tokio::test]
async fn round_robin_leaves_out_partitions_without_a_leader() -> TestResult {
    let cluster = cluster_with(1, 4).await;
    cluster.set_leader(TOPIC, 1, None)?;
    let producer = builder(&cluster).partitioner(RoundRobinPartitioner::default()).build()?;

    delivered(enqueue_all(&producer, (0..60).map(record)).await).await;

    assert_eq!(logs_of(&cluster).iter().map(Vec::len).collect::<Vec<_>>(), [20, 0, 20, 20]);
    Ok(())
}

#[tokio::test]
async fn keys_are_spread_over_partitions_that_were_added() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    soon("first", producer.send(record("x").key("foobar"))).await?;
    cluster.add_partitions(TOPIC, 8)?;

    // Asking for one of them brings the news.
    soon("new partition", producer.send(record_for(7, "y"))).await?;
    until("keys use all partitions", || producer.try_enqueue(record("z").key("foobar")).is_ok()).await;
    let metadata = soon("send", producer.send(record("z").key("foobar"))).await?;

    assert_eq!(i64::from(metadata.partition()), 1_357_151_166 % 8);
    Ok(())
}

#[tokio::test]
async fn unavailable_partitions_are_left_out_when_asked_for() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    let producer = builder(&cluster)
        .batch_size(200)
        .partitioner_availability_timeout(seconds(50))
        .max_in_flight_requests_per_connection(1)
        .request_timeout(seconds(300))
        .delivery_timeout(seconds(600))
        .build()?;
    delivered(enqueue_all(&producer, (0..3).map(|i| record_for(i, "x"))).await).await;
    let slow = cluster.leader(TOPIC, 0).unwrap();
    cluster.freeze(slow)?;
    let stuck = enqueue_all(&producer, (0..3).map(|_| record_for(0, "x".repeat(300)))).await;
    until("one is under way", || producer.metrics().requests_in_flight > 0).await;
    skip_time(seconds(150)).await;
    tokio::time::sleep(millis(20)).await;
    // Leaves the partition that it may have stuck to.
    let settling = enqueue_all(&producer, (0..10).map(|_| record("x".repeat(300)))).await;

    let deliveries = enqueue_all(&producer, (0..100).map(|_| record("x".repeat(300)))).await;
    let partitions: Vec<_> = deliveries.iter().map(|delivery| delivery.topic_partition().partition).collect();

    assert!(partitions.iter().all(|partition| *partition != 0), "{partitions:?}");
    cluster.unfreeze(slow)?;
    delivered(stuck).await;
    delivered(settling).await;
    delivered(deliveries).await;
    Ok(())
}

#[tokio::test]
async fn partitioners_of_kafka_are_known_by_the_names_of_their_classes() {
    const ROUND_ROBIN: &str = "org.apache.kafka.clients.producer.RoundRobinPartitioner";
    const STICKY: &str = "org.apache.kafka.clients.producer.UniformStickyPartitioner";
    const DEFAULT: &str = "org.apache.kafka.clients.producer.internals.DefaultPartitioner";
    for (class, partitions) in [(ROUND_ROBIN, 4), (DEFAULT, 1)] {
        let cluster = cluster_with(1, 4).await;
        let producer = builder(&cluster).property("partitioner.class", class).build().unwrap();

        for number in 0..8 {
            soon("result", producer.send(record(number).key("same"))).await.unwrap();
        }

        let used = logs_of(&cluster).iter().filter(|log| !log.is_empty()).count();
        assert_eq!(used, partitions, "{class}");
    }

    // Records with the same key leave their partition once a batch is full.
    let cluster = cluster_with(1, 4).await;
    let sticky = builder(&cluster).property("partitioner.class", STICKY).batch_size(1).build().unwrap();
    for number in 0..100 {
        soon("result", sticky.send(record(number).key("same"))).await.unwrap();
    }
    assert!(logs_of(&cluster).iter().filter(|log| !log.is_empty()).count() > 1);
}

#[tokio::test]
async fn records_without_a_key_stay_in_the_rack_while_it_has_a_leader() {
    let cluster = MockCluster::builder().brokers(3).racks(["a", "b", "a"]).start().await.unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    for partition in 0..3 {
        cluster.set_leader(TOPIC, partition, Some(partition)).unwrap();
    }
    let producer = builder(&cluster)
        .property("client.rack", "b")
        .property("partitioner.rack.aware", "true")
        .batch_size(1)
        .metadata_max_age(millis(50))
        .build()
        .unwrap();

    for number in 0..50 {
        soon("result", producer.send(record(number))).await.unwrap();
    }
    let lengths: Vec<_> = logs_of(&cluster).iter().map(Vec::len).collect();
    assert_eq!(lengths, [0, 50, 0]);

    cluster.set_leader(TOPIC, 1, Some(0)).unwrap();
    let mut sent = 0;
    while logs_of(&cluster).iter().filter(|log| !log.is_empty()).count() < 3 {
        soon("result", producer.send(record(sent))).await.unwrap();
        sent += 1;
        assert!(sent < 100_000);
    }
}
