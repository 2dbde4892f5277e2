//! Nothing acknowledged is lost or out of order, whatever happens between producer and brokers.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{
    Compression, DeliveryError, KafkaProducer, KafkaProducerBuilder, Persisted, RecordMetadata,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, millis, producer, record,
    record_for, seconds, soon, texts, without_repeats,
};

#[tokio::test]
async fn log_has_the_order_of_enqueue() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    let producer = builder(&cluster).batch_size(300).build()?;

    let deliveries = enqueue_all(&producer, (0..3000).map(|i| record_for(i % 3, i / 3))).await;
    delivered(deliveries).await;

    for partition in 0..3 {
        assert_eq!(log_of(&cluster, partition), texts(0..1000));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_task_finds_its_records_in_its_order() -> TestResult {
    let cluster = cluster_with(3, 2).await;
    let producer = builder(&cluster).batch_size(500).build()?;

    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let records = (0..300).map(|i| record_for(task % 2, format!("{task} {i}")));
                delivered(enqueue_all(&producer, records).await).await;
            })
        })
        .collect();
    for task in tasks {
        soon("task", task).await?;
    }

    for partition in 0..2 {
        let log = log_of(&cluster, partition);
        assert_eq!(log.len(), 1200);
        for task in (0..8).filter(|task| task % 2 == partition) {
            let own: Vec<_> =
                log.iter().filter(|value| value.split(' ').next() == Some(&task.to_string())).collect();
            let expected: Vec<_> = (0..300).map(|i| format!("{task} {i}")).collect();
            assert!(own.iter().copied().eq(&expected), "task {task}: {own:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn refused_batches_keep_their_order_and_are_written_once() -> TestResult {
    // Each says that nothing was written.
    for code in [2, 3, 5, 6, 9, 19, 72, 74, 75, 89, 100, 103] {
        let cluster = cluster_with(1, 1).await;
        let producer = builder(&cluster).batch_size(150).build()?;
        soon("metadata", producer.partitions_for(TOPIC)).await?;
        for skip in [0, 2, 3, 5, 8] {
            cluster.inject(Fault::error_code(code).api(Api::Produce).skip(skip));
        }

        let deliveries = enqueue_all(&producer, (0..200).map(record)).await;
        let metadata = delivered(deliveries).await;

        assert_eq!(log_of(&cluster, 0), texts(0..200), "error code {code}");
        assert!(metadata.iter().map(|m| m.offset().unwrap()).eq(0..200), "error code {code}");
        assert!(producer.metrics().record_retries > 0);
    }
    Ok(())
}

/// Requests that are carried out and not answered, or not with the truth.
fn faults_that_hide_a_success() -> [Fault; 4] {
    [
        Fault::error_code_after_append(7),
        Fault::error_code_after_append(20),
        Fault::error_code_after_append(56),
        Fault::disconnect_after(),
    ]
}

#[tokio::test]
async fn batches_with_lost_answers_are_written_once() -> TestResult {
    for fault in faults_that_hide_a_success() {
        let cluster = cluster_with(1, 1).await;
        let producer = builder(&cluster).batch_size(150).build()?;
        soon("metadata", producer.partitions_for(TOPIC)).await?;
        cluster.inject(fault.clone().api(Api::Produce).skip(1).times(2));

        let deliveries = enqueue_all(&producer, (0..200).map(record)).await;
        let metadata = delivered(deliveries).await;

        assert_eq!(log_of(&cluster, 0), texts(0..200), "{fault:?}");
        // The broker may tell that it has a batch without telling where.
        let offsets = metadata.iter().map(RecordMetadata::offset);
        assert!(offsets.zip(0..200).all(|(offset, i)| offset.is_none_or(|offset| offset == i)), "{fault:?}");
        assert!(producer.metrics().record_retries > 0, "{fault:?} lost no answer");
    }
    Ok(())
}

#[tokio::test]
async fn without_idempotence_batches_with_lost_answers_are_repeated_but_not_reordered() -> TestResult {
    for fault in faults_that_hide_a_success() {
        let cluster = cluster_with(1, 1).await;
        let producer = builder(&cluster).enable_idempotence(false).batch_size(150).build()?;
        soon("metadata", producer.partitions_for(TOPIC)).await?;
        cluster.inject(fault.clone().api(Api::Produce).skip(1).times(2));

        let deliveries = enqueue_all(&producer, (0..200).map(record)).await;
        let metadata = delivered(deliveries).await;

        let log = log_of(&cluster, 0);
        assert!(log.len() > 200, "{fault:?} lost no answer");
        for (i, metadata) in metadata.iter().enumerate() {
            let offset = usize::try_from(metadata.offset().unwrap())?;
            assert_eq!(log[offset], i.to_string());
        }
        assert_eq!(without_repeats(log), texts(0..200), "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn connection_cut_before_the_request_repeats_nothing() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(150).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.inject(Fault::disconnect_before().api(Api::Produce).skip(1).times(3));

    delivered(enqueue_all(&producer, (0..200).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..200));
    Ok(())
}

/// Java: `SenderTest.testSendInOrder`.
#[tokio::test]
async fn leader_that_moves_while_a_batch_is_under_way_is_not_overtaken() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    let producer = builder(&cluster).batch_size(1).build()?;
    soon("first", producer.send(record(0))).await?;
    let old = cluster.leader(TOPIC, 0).unwrap();
    cluster.freeze(old)?;

    let deliveries = enqueue_all(&producer, (1..10).map(record)).await;
    tokio::time::sleep(millis(20)).await;
    cluster.set_leader(TOPIC, 0, Some(1 - old))?;
    // Tells the producer of the new leader although the old one is silent.
    drop(producer.try_enqueue(kafka_producer::ProducerRecord::to("unknown")));
    tokio::time::sleep(millis(50)).await;
    assert_eq!(log_of(&cluster, 0), ["0"]);
    cluster.unfreeze(old)?;

    delivered(deliveries).await;
    assert_eq!(log_of(&cluster, 0), texts(0..10));
    Ok(())
}

#[tokio::test]
async fn leader_that_moves_around_loses_and_repeats_nothing() -> TestResult {
    let cluster = Arc::new(cluster_with(3, 1).await);
    let producer = builder(&cluster).batch_size(200).build()?;
    let mover = tokio::spawn({
        let cluster = Arc::clone(&cluster);
        async move {
            for step in 0_i32.. {
                cluster.set_leader(TOPIC, 0, Some(step % 3)).unwrap();
                tokio::time::sleep(millis(3)).await;
            }
        }
    });

    for chunk in 0..40 {
        let records = (chunk * 50..(chunk + 1) * 50).map(record);
        delivered(enqueue_all(&producer, records).await).await;
        tokio::time::sleep(millis(1)).await;
    }
    mover.abort();

    assert_eq!(log_of(&cluster, 0), texts(0..2000));
    Ok(())
}

#[tokio::test]
async fn brokers_that_restart_in_turn_lose_nothing() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    let producer = builder(&cluster).batch_size(300).build()?;

    let mut deliveries = Vec::new();
    for round in 0..6 {
        cluster.broker_down(round % 3).await?;
        let records = (round * 60..(round + 1) * 60).map(|i| record_for(i % 3, i / 3));
        deliveries.extend(enqueue_all(&producer, records).await);
        tokio::time::sleep(millis(10)).await;
        cluster.broker_up(round % 3).await?;
        tokio::time::sleep(millis(5)).await;
    }
    delivered(deliveries).await;

    for partition in 0..3 {
        assert_eq!(without_repeats(log_of(&cluster, partition)), texts(0..120));
    }
    Ok(())
}

/// What one run of chaos is made of.
struct Chaos {
    seed: u64,
    configure: fn(KafkaProducerBuilder) -> KafkaProducerBuilder,
    /// Whether faults may leave it open if a batch was written.
    is_ambiguous: bool,
    is_idempotent: bool,
}

const PARTITIONS: i32 = 3;
const RECORDS: usize = 1500;

impl Chaos {
    async fn run(self) {
        println!("seed {}", self.seed);
        let cluster = Arc::new(cluster_with(3, PARTITIONS).await);
        // A request that times out may be written, which a machine that is busy would make of any.
        let request_timeout = if self.is_ambiguous { millis(300) } else { seconds(60) };
        let builder = builder(&cluster).request_timeout(request_timeout).delivery_timeout(seconds(120));
        let producer = (self.configure)(builder).enable_idempotence(self.is_idempotent).build().unwrap();
        let trouble = tokio::spawn(make_trouble(Arc::clone(&cluster), self.seed, self.is_ambiguous));

        let tasks: Vec<_> =
            (0..PARTITIONS).map(|partition| tokio::spawn(write(producer.clone(), partition))).collect();
        let mut acknowledged = HashMap::new();
        for (partition, task) in (0..PARTITIONS).zip(tasks) {
            acknowledged.insert(partition, tokio::time::timeout(seconds(55), task).await.unwrap().unwrap());
        }
        trouble.abort();
        for (partition, offsets) in acknowledged {
            let log = log_of(&cluster, partition);
            for (value, offset) in offsets.iter().enumerate() {
                assert_eq!(log[*offset], value.to_string(), "seed {} partition {partition}", self.seed);
            }
            if self.is_idempotent || !self.is_ambiguous {
                assert_eq!(log.len(), RECORDS, "seed {} partition {partition}", self.seed);
            }
            assert_eq!(without_repeats(log), texts(0..RECORDS), "seed {} partition {partition}", self.seed);
        }
        assert_eq!(producer.metrics().buffered_bytes, 0);
        assert_eq!(producer.metrics().buffered_records, 0);
        assert!(cluster.refusals().is_empty(), "{:?}", cluster.refusals());
    }
}

/// Sends to one partition, now and then waiting for what was sent, and returns the offsets.
async fn write(producer: KafkaProducer, partition: i32) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut pending = Vec::new();
    for i in 0..RECORDS {
        pending.push(producer.enqueue(record_for(partition, i)).await.unwrap());
        if i % 97 == 96 {
            for delivery in pending.drain(..) {
                offsets.push(usize::try_from(delivery.await.unwrap().offset().unwrap()).unwrap());
            }
        }
    }
    for delivery in pending {
        offsets.push(usize::try_from(delivery.await.unwrap().offset().unwrap()).unwrap());
    }
    offsets
}

async fn make_trouble(cluster: Arc<MockCluster>, seed: u64, is_ambiguous: bool) {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..250 {
        let kind = random.random_range(0..if is_ambiguous { 14 } else { 8 });
        let broker = random.random_range(0..3);
        let times = random.random_range(1..4);
        let partition = random.random_range(0..PARTITIONS);
        match kind {
            0 => cluster.fail_next(Api::Produce, 6, times),
            1 => cluster.fail_next(Api::Produce, 19, times),
            2 => cluster.inject(Fault::error_code(5).api(Api::Produce).partition(TOPIC, partition)),
            3 => cluster.disconnect_before_request(Api::Produce, 1),
            4 | 5 => cluster.set_leader(TOPIC, partition, Some(broker)).unwrap(),
            6 => {
                cluster.set_leader(TOPIC, partition, None).unwrap();
                tokio::time::sleep(millis(random.random_range(0..20))).await;
                cluster.set_leader(TOPIC, partition, Some(broker)).unwrap();
            }
            7 => cluster.throttle(millis(random.random_range(1..20)), times),
            8 => cluster.disconnect_after_request(Api::Produce, 1),
            9 => cluster.inject(Fault::error_code_after_append(7).api(Api::Produce).times(times)),
            10 => cluster.inject(Fault::error_code_after_append(20).api(Api::Produce)),
            11 => {
                cluster.broker_down(broker).await.unwrap();
                tokio::time::sleep(millis(random.random_range(0..30))).await;
                cluster.broker_up(broker).await.unwrap();
            }
            12 => {
                cluster.freeze(broker).unwrap();
                tokio::time::sleep(millis(random.random_range(0..40))).await;
                cluster.unfreeze(broker).unwrap();
            }
            _ => cluster.disconnect_before_request(Api::Metadata, 1),
        }
        tokio::time::sleep(millis(random.random_range(0..12))).await;
    }
    cluster.clear_faults();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_that_is_never_ambiguous_repeats_nothing() {
    Chaos {
        seed: 1,
        configure: |builder| builder.batch_size(120),
        is_ambiguous: false,
        is_idempotent: false,
    }
    .run()
    .await;
    Chaos {
        seed: 2,
        configure: |builder| builder.linger(millis(2)),
        is_ambiguous: false,
        is_idempotent: false,
    }
    .run()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_with_small_batches_loses_nothing() {
    for seed in 10..12 {
        Chaos {
            seed,
            configure: |builder| builder.batch_size(120),
            is_ambiguous: true,
            is_idempotent: false,
        }
        .run()
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_with_one_request_in_flight_loses_nothing() {
    let configure = |builder: KafkaProducerBuilder| builder.max_in_flight_requests_per_connection(1);
    Chaos { seed: 20, configure, is_ambiguous: true, is_idempotent: false }.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_with_compression_and_little_memory_loses_nothing() {
    let configure = |builder: KafkaProducerBuilder| {
        builder.compression(Compression::Lz4).linger(millis(1)).batch_size(2000).buffer_memory(8000)
    };
    Chaos { seed: 30, configure, is_ambiguous: true, is_idempotent: false }.run().await;
}

/// Others compress what one task sends.
#[cfg(feature = "gzip")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_with_a_slow_codec_loses_nothing() {
    for (seed, buffer_memory) in [(31, 12_000), (32, 200_000)] {
        let configure = match buffer_memory {
            12_000 => |builder: KafkaProducerBuilder| {
                builder
                    .compression(Compression::Gzip)
                    .linger(millis(1))
                    .batch_size(2000)
                    .buffer_memory(12_000)
            },
            _ => |builder: KafkaProducerBuilder| {
                builder.compression(Compression::Gzip).compression_gzip_level(9).batch_size(1000)
            },
        };
        Chaos { seed, configure, is_ambiguous: true, is_idempotent: seed == 32 }.run().await;
    }
}

#[tokio::test]
async fn chaos_on_one_thread_loses_nothing() {
    Chaos {
        seed: 40,
        configure: |builder| builder.batch_size(1000),
        is_ambiguous: true,
        is_idempotent: false,
    }
    .run()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idempotent_producer_writes_once_through_chaos() {
    // 53 and 68 once made the second attempt of a batch fall out of the broker's memory of five.
    for seed in [50, 53, 68] {
        let configure = |builder: KafkaProducerBuilder| builder.batch_size(120);
        Chaos { seed, configure, is_ambiguous: true, is_idempotent: true }.run().await;
    }
}

#[tokio::test]
async fn idempotent_producer_writes_once_with_large_batches_and_compression() {
    for seed in 60..62 {
        let configure =
            |builder: KafkaProducerBuilder| builder.compression(Compression::Lz4).batch_size(2000);
        Chaos { seed, configure, is_ambiguous: true, is_idempotent: true }.run().await;
    }
}

/// The records of a producer that never retries: a failed batch leaves a gap, and those behind it stay in order.
#[tokio::test]
async fn without_retries_what_is_written_is_in_order() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).enable_idempotence(false).retries(0).batch_size(120).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.inject(Fault::error_code(6).api(Api::Produce).skip(2).times(3));

    let deliveries = enqueue_all(&producer, (0..200).map(record)).await;
    let results = crate::support::results(deliveries).await;

    let good: Vec<_> = (0..200).filter(|i| results[*i].is_ok()).map(|i| i.to_string()).collect();
    assert!(good.len() < 200 && !good.is_empty());
    assert_eq!(log_of(&cluster, 0), good);
    Ok(())
}

#[tokio::test]
async fn order_holds_when_the_topic_is_made_known_by_another_task() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    let first = producer.enqueue(record(0));
    let second = producer.enqueue(record(1));
    let (first, second) = soon("both", async { tokio::join!(first, second) }).await;
    delivered([first?, second?]).await;

    assert_eq!(log_of(&cluster, 0).len(), 2);
    Ok(())
}

/// Sends to one partition while records fail too, and returns what each was told.
async fn write_and_lose(
    producer: KafkaProducer,
    partition: i32,
) -> Vec<Result<RecordMetadata, DeliveryError>> {
    let mut results = Vec::new();
    let mut pending = Vec::new();
    for i in 0..RECORDS / 3 {
        // The size varies so that batches are cut in different places.
        let value = format!("{i} {}", "x".repeat(i % 50));
        pending.push(producer.enqueue(record_for(partition, value)).await.unwrap());
        if i % 31 == 30 {
            for delivery in pending.drain(..) {
                results.push(delivery.await);
            }
        }
    }
    for delivery in pending {
        results.push(delivery.await);
    }
    results
}

async fn make_fatal_trouble(cluster: Arc<MockCluster>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for step in 0.. {
        match random.random_range(0..6) {
            0 => cluster.fail_next(Api::Produce, [29, 87, 17][random.random_range(0..3)], 1),
            1 => cluster.set_max_message_bytes(random.random_range(150..600)),
            2 => cluster.set_max_message_bytes(1_000_000),
            3 => cluster.drop_response(Api::Produce, 1),
            4 => cluster.inject(Fault::delay(millis(random.random_range(0..150))).api(Api::Produce)),
            _ => cluster.inject(Fault::error_code_after_append(7).api(Api::Produce).times(2)),
        }
        if step % 20 == 19 {
            cluster.clear_faults();
        }
        tokio::time::sleep(millis(random.random_range(0..15))).await;
    }
}

/// Records fail for good, time out and are cut, among all other trouble; what is told of each must still be true.
async fn check_what_is_told(seed: u64, is_idempotent: bool) {
    println!("seed {seed}");
    let cluster = Arc::new(cluster_with(3, PARTITIONS).await);
    let producer = builder(&cluster)
        .enable_idempotence(is_idempotent)
        .batch_size(400)
        .linger(millis(1))
        .request_timeout(millis(60))
        .delivery_timeout(millis(200))
        .build()
        .unwrap();
    let trouble = [
        tokio::spawn(make_trouble(Arc::clone(&cluster), seed, true)),
        tokio::spawn(make_fatal_trouble(Arc::clone(&cluster), seed)),
    ];

    let tasks: Vec<_> =
        (0..PARTITIONS).map(|partition| tokio::spawn(write_and_lose(producer.clone(), partition))).collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(tokio::time::timeout(seconds(55), task).await.unwrap().unwrap());
    }
    trouble.iter().for_each(tokio::task::JoinHandle::abort);
    // What is on its way may still be written; nothing more after that.
    let _ = producer.close(seconds(5)).await;
    tokio::time::sleep(millis(100)).await;

    for (partition, told) in (0..PARTITIONS).zip(told) {
        let log: Vec<usize> = log_of(&cluster, partition)
            .iter()
            .map(|value| value.split(' ').next().unwrap().parse().unwrap())
            .collect();
        let context = || format!("seed {seed} partition {partition} {log:?}");
        for (i, result) in told.iter().enumerate() {
            let written = log.iter().filter(|number| **number == i).count();
            match result {
                Ok(metadata) => {
                    assert!(written >= 1, "record {i} is lost; {}", context());
                    let offset = metadata.offset().map(|offset| log[usize::try_from(offset).unwrap()]);
                    assert!(offset.is_none_or(|number| number == i), "{metadata:?} {}", context());
                }
                Err(error) if error.persisted() == Persisted::No => {
                    assert_eq!(written, 0, "record {i}: {error:?}; {}", context());
                }
                Err(_) => {}
            }
            assert!(written <= 1 || !is_idempotent, "record {i} is doubled; {}", context());
        }
        let first_time = without_repeats(log.iter().map(usize::to_string).collect());
        let acknowledged =
            first_time.iter().filter_map(|text| text.parse::<usize>().ok()).filter(|i| told[*i].is_ok());
        assert!(acknowledged.is_sorted(), "{}", context());
    }
    assert_eq!(producer.metrics().buffered_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_each_record_is_true() {
    for (seed, is_idempotent) in [(200, true), (201, false)] {
        check_what_is_told(seed, is_idempotent).await;
    }
}

/// `CHAOS_SEEDS=100..200 cargo test --test it -- --ignored chaos_of_many_seeds` looks for what the seeds above miss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it is given seeds"]
async fn chaos_of_many_seeds() {
    let seeds = std::env::var("CHAOS_SEEDS").unwrap_or_else(|_| "1000..1010".to_owned());
    let (from, to) = seeds.split_once("..").expect("a range");
    for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        let configure: fn(KafkaProducerBuilder) -> KafkaProducerBuilder = match seed % 4 {
            0 => |builder| builder.batch_size(120),
            1 => |builder| builder.batch_size(2000).compression(Compression::Lz4).linger(millis(1)),
            2 => |builder| builder.batch_size(300).max_in_flight_requests_per_connection(2),
            _ => |builder| builder.batch_size(500).buffer_memory(4000),
        };
        Chaos { seed, configure, is_ambiguous: true, is_idempotent: seed % 8 < 6 }.run().await;
        check_what_is_told(seed, seed % 8 < 6).await;
    }
}
