//! Whole sends against `kafka-mock`, which checks and stores what it gets: more a lower bound than a measure of speed.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, ProducerRecord, Topic};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

const RECORDS: usize = 10_000;

struct Setup {
    runtime: Runtime,
    producer: KafkaProducer,
    _cluster: MockCluster,
}

fn setup(batch_size: usize) -> Setup {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let (cluster, producer) = runtime.block_on(async {
        let cluster =
            MockCluster::builder().brokers(1).keep_records(false).start().await.expect("a cluster starts");
        cluster.create_topic("bench", 4, 1).expect("the topic is new");
        let builder = KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers());
        (cluster, builder.batch_size(batch_size).build().expect("the configuration is good"))
    });
    Setup { runtime, producer, _cluster: cluster }
}

#[divan::bench(args = [16 * 1024, 128 * 1024])]
fn pipelined(bencher: Bencher<'_, '_>, batch_size: usize) {
    let setup = setup(batch_size);
    let topic = Topic::from("bench");
    let payload = Bytes::from(vec![b'x'; 100]);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        setup.runtime.block_on(async {
            let mut deliveries = Vec::with_capacity(RECORDS);
            for _ in 0..RECORDS {
                let record = ProducerRecord::to(topic.clone()).value(payload.clone());
                deliveries.push(setup.producer.enqueue(record).await.expect("the record is good"));
            }
            setup.producer.flush().await;
            for delivery in deliveries {
                delivery.await.expect("the mock takes everything");
            }
        });
    });
}

#[divan::bench(sample_count = 20)]
fn one_at_a_time(bencher: Bencher<'_, '_>) {
    let setup = setup(16 * 1024);
    bencher.bench_local(|| {
        let record = ProducerRecord::to("bench").value("x");
        setup.runtime.block_on(setup.producer.send(record)).expect("the mock takes everything")
    });
}
