//! The path of a record from `enqueue` to its acknowledgement allocates per batch, never per record.

use std::sync::mpsc;
use std::thread;

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use kafka_mock::MockCluster;
use kafka_producer::{Delivery, KafkaProducer, ProducerRecord, Topic};

const RECORDS: usize = 50_000;

/// Runs a mock cluster on a thread of its own, so that its allocations are not counted.
fn cluster_elsewhere() -> (String, mpsc::Sender<()>) {
    let (address, addresses) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cluster = runtime.block_on(async {
            let cluster = MockCluster::start(1).await.unwrap();
            cluster.create_topic("counted", 4, 1).unwrap();
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
    let (address, _stop) = cluster_elsewhere();
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
