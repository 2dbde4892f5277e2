//! The path of a record from `enqueue` to its acknowledgement allocates per batch, never per record.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use kafka_mock::MockCluster;
use kafka_producer::{Delivery, KafkaProducer, ProducerRecord, Topic};

const RECORDS: usize = 50_000;

/// Topics that a thread keeps in different places.
const ABANDONED: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Runs a mock cluster on a thread of its own, so that its allocations are not counted. The topics: name, partitions, replicas,
/// and there are as many brokers as replicas.
fn cluster_elsewhere(topics: &[(&'static str, i32, i16)]) -> (String, mpsc::Sender<()>) {
    let topics = topics.to_vec();
    let (address, addresses) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let brokers = topics.iter().map(|(.., replicas)| *replicas).max().unwrap_or(1);
        let cluster = runtime.block_on(async {
            let cluster = MockCluster::start(brokers.into()).await.unwrap();
            for (name, partitions, replicas) in topics {
                cluster.create_topic(name, partitions, replicas).unwrap();
            }
            cluster
        });
        address.send(cluster.bootstrap_servers()).unwrap();
        let _: Result<(), _> = stopped.recv();
    });
    (addresses.recv().unwrap(), stop)
}

async fn send_all(producer: &KafkaProducer, topic: &Topic, payload: &Bytes, deliveries: &mut Vec<Delivery>) {
    for _ in 0..RECORDS {
        let record = ProducerRecord::to(topic.clone()).key(payload.slice(..8)).value(payload.clone());
        deliveries.push(producer.enqueue(record).await.unwrap());
    }
    for delivery in deliveries.drain(..) {
        delivery.await.unwrap();
    }
}

/// Counts what this thread allocates for `RECORDS` records: the caller's side and the sender's task both.
fn measure(runtime: &tokio::runtime::Runtime, producer: &KafkaProducer) -> AllocationInfo {
    let topic = Topic::from("counted");
    let payload = Bytes::from(vec![b'x'; 100]);
    let mut deliveries = Vec::with_capacity(RECORDS);
    // Buffers, connections and tables are made in the first round.
    runtime.block_on(send_all(producer, &topic, &payload, &mut deliveries));
    allocation_counter::measure(|| {
        runtime.block_on(send_all(producer, &topic, &payload, &mut deliveries));
    })
}

#[test]
fn allocations_grow_with_batches_and_not_with_records() {
    let (address, _stop) = cluster_elsewhere(&[("counted", 4, 1)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let count = |batch_size| {
        let builder = KafkaProducer::builder().bootstrap_servers(address.clone()).batch_size(batch_size);
        let producer: KafkaProducer = builder.build().unwrap();
        let counted = measure(&runtime, &producer).count_total;
        println!("batch.size {batch_size}: {counted} allocations for {RECORDS} records");
        counted
    };

    let with_small_batches = count(16 * 1024);
    let with_large_batches = count(128 * 1024);

    // A record takes about 120 bytes. One allocation each would make 50,000 in both cases.
    assert!(with_small_batches < RECORDS as u64 / 4, "{with_small_batches}");
    assert!(with_large_batches < RECORDS as u64 / 20, "{with_large_batches}");
}

/// Counts what a producer holds, in the end and at most, that has sent a record to three partitions of so many.
fn bytes_with(partitions: i32) -> (i64, u64) {
    let (address, _stop) = cluster_elsewhere(&[("wide", partitions, 3)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut producer: Option<KafkaProducer> = None;
    let mut send = async || {
        let made = KafkaProducer::builder().bootstrap_servers(&address).build().unwrap();
        for partition in [0, partitions / 2, partitions - 1] {
            made.send(ProducerRecord::to("wide").partition(partition).value("x")).await.unwrap();
        }
        producer = Some(made);
    };
    let counted = allocation_counter::measure(|| runtime.block_on(send()));
    drop(producer);
    (counted.bytes_current, counted.bytes_max)
}

#[test]
fn partition_without_records_costs_what_is_known_of_it() {
    const PARTITIONS: i32 = 10_000;
    // What the runtime and this thread keep is made once.
    bytes_with(3);
    let (few, most_with_few) = bytes_with(3);
    let (many, most_with_many) = bytes_with(PARTITIONS);

    let kept = (many - few) / i64::from(PARTITIONS);
    let most = (most_with_many - most_with_few) / u64::from(PARTITIONS.unsigned_abs());

    println!("a partition keeps {kept} bytes, and takes {most} for a moment");
    assert!(kept <= 40, "{kept}");
}

/// Has a producer accept a megabyte that no broker acknowledges, closes it without patience and drops what came back.
async fn fill_and_abandon(address: &str, topic: &'static str) {
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(address)
        .linger(Duration::from_secs(600))
        .delivery_timeout(Duration::from_secs(900))
        .batch_size(8 * 1024)
        .build()
        .unwrap();
    let payload = Bytes::from(vec![b'x'; 1000]);
    for _ in 0..1000 {
        drop(producer.enqueue(ProducerRecord::to(topic).value(payload.clone())).await.unwrap());
    }
    drop(producer.close(Duration::ZERO).await);
}

#[test]
fn closed_producers_leave_nothing_in_memory() {
    let (address, _stop) = cluster_elsewhere(&ABANDONED.map(|letter| (letter, 1, 1)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let round = |topic| {
        let run = || runtime.block_on(fill_and_abandon(&address, topic));
        allocation_counter::measure(run).bytes_current
    };
    let [first, others @ ..] = ABANDONED;
    // What the runtime and this thread keep is made once.
    round(first);

    let left: i64 = others.into_iter().map(round).sum();

    println!("{left} bytes are left of four megabytes");
    assert!(left < 100_000, "{left}");
}

/// Has a producer write to each partition of a topic that is deleted afterwards, while a broker is down, and returns once
/// the brokers know that the producer is gone.
async fn come_and_go(cluster: &MockCluster) {
    const PARTITIONS: i32 = 6;
    cluster.create_topic("passing", PARTITIONS, 3).unwrap();
    let producer: KafkaProducer =
        KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers()).build().unwrap();
    cluster.broker_down(2).await.unwrap();
    let targets = (0..PARTITIONS).flat_map(|index| [("lasting", index), ("passing", index)]);
    let records = targets.map(|(topic, index)| ProducerRecord::to(topic).partition(index).value("x"));
    for result in producer.send_all(records).await {
        result.unwrap();
    }
    cluster.broker_up(2).await.unwrap();
    drop(producer.close(Duration::from_secs(60)).await);
    drop(producer);
    cluster.delete_topic("passing").unwrap();
    while (0..3).any(|broker| cluster.open_connections(broker) > 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn producers_topics_and_outages_leave_nothing_in_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = MockCluster::builder().brokers(3).keep_records(false).auto_create_topics(false, 1);
    let cluster = runtime.block_on(cluster.start()).unwrap();
    cluster.create_topic("lasting", 6, 3).unwrap();
    let rounds = |count| {
        for _ in 0..count {
            runtime.block_on(come_and_go(&cluster));
            cluster.expire_producers(i64::MAX);
        }
    };
    // Tables find their size.
    rounds(5);

    let left = allocation_counter::measure(|| rounds(30)).bytes_current;

    println!("{left} bytes are left of thirty producers");
    // A few small tables may have grown; what each of the producers leaves would be more.
    assert!(left < 3_000, "{left}");
}

/// Asks a producer that reaches no broker for topics, each time with another name: as callers that do not wait, and as callers
/// that give up.
async fn ask_for_new_topics(producer: &KafkaProducer, topics: std::ops::Range<usize>) {
    for number in topics {
        let record = |kind| ProducerRecord::to(format!("{kind}-{number:0200}")).value(Bytes::new());
        drop(producer.try_enqueue(record("refused")));
        let mut waiting = pin!(producer.enqueue(record("given-up")));
        assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
        // The sender has its turn.
        tokio::task::yield_now().await;
    }
}

#[test]
fn topics_that_callers_asked_for_in_vain_are_not_kept() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let producer: KafkaProducer = KafkaProducer::builder().bootstrap_servers(address).build().unwrap();
    runtime.block_on(ask_for_new_topics(&producer, 0..2000));

    let run = || runtime.block_on(ask_for_new_topics(&producer, 2000..12_000));
    let left = allocation_counter::measure(run).bytes_current;

    println!("{left} bytes are left of four megabytes of names");
    assert!(left < 250_000, "{left}");
}

/// Sends a record to each topic of a range, one after the other.
async fn use_topics(producer: &KafkaProducer, topics: std::ops::Range<usize>) {
    for number in topics {
        producer.send(ProducerRecord::to(format!("topic-{number}")).value("x")).await.unwrap();
    }
}

#[test]
fn new_topic_allocates_the_same_however_many_topics_are_in_use() {
    let (address, _stop) = cluster_elsewhere(&[("counted", 4, 1)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let producer: KafkaProducer = KafkaProducer::builder().bootstrap_servers(address).build().unwrap();
    let measure = |topics| {
        let counted = allocation_counter::measure(|| runtime.block_on(use_topics(&producer, topics)));
        counted.bytes_total / 20
    };

    // The numbers keep away from powers of two, at which tables grow.
    runtime.block_on(use_topics(&producer, 0..180));
    let among_few = measure(180..200);
    runtime.block_on(async {
        let records = (200..1500).map(|number| ProducerRecord::to(format!("topic-{number}")).value("x"));
        for result in producer.send_all(records).await {
            result.unwrap();
        }
    });
    let among_many = measure(1500..1520);

    println!("a new topic allocates {among_few} bytes among 200 topics, {among_many} bytes among 1500");
    assert!(among_many < among_few * 2, "{among_many} bytes, but {among_few} bytes among few topics");
}
