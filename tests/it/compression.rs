//! Compression, wherever it is done.

use std::future::Future;
use std::sync::mpsc;

use kafka_mock::MockCluster;
use kafka_producer::{Compression, KafkaProducer, KafkaProducerBuilder};
use tokio::runtime::{Builder, Runtime};

use crate::support::{TOPIC, builder, cluster_with, enqueue_all, record, record_for, results, seconds, soon};

const CODECS: &[Compression] = &[
    #[cfg(feature = "gzip")]
    Compression::Gzip,
    Compression::Lz4,
    #[cfg(feature = "snappy")]
    Compression::Snappy,
    #[cfg(feature = "zstd")]
    Compression::Zstd,
];

/// A runtime whose blocking threads are soon lent out.
fn runtime(max_blocking_threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(max_blocking_threads)
        .enable_all()
        .build()
        .unwrap()
}

/// A record must not come by a timeout.
fn patient(cluster: &MockCluster, codec: Compression) -> KafkaProducerBuilder {
    builder(cluster).compression(codec).delivery_timeout(seconds(3600))
}

fn with_producers<F: Future>(
    max_blocking_threads: usize,
    mut work: impl FnMut(MockCluster, KafkaProducer) -> F,
) {
    for &codec in CODECS {
        let brokers = runtime(2);
        let cluster = brokers.block_on(cluster_with(1, 4));
        runtime(max_blocking_threads).block_on(async {
            let producer = patient(&cluster, codec).build().unwrap();
            soon("metadata", producer.partitions_for(TOPIC)).await.unwrap();
            work(cluster, producer).await;
        });
    }
}

#[test]
fn callers_may_hold_all_blocking_threads_while_they_wait_for_results() {
    with_producers(4, |cluster, producer| async move {
        let text = "so much to compress ".repeat(40);
        let senders: Vec<_> = (0..4)
            .map(|partition| {
                let (producer, text) = (producer.clone(), text.clone());
                let send_all = async move {
                    for i in 0..10 {
                        producer.send(record_for(partition, format!("{i} {text}"))).await.unwrap();
                    }
                };
                tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(send_all))
            })
            .collect();

        for sender in senders {
            soon("results", sender).await.unwrap();
        }
        for partition in 0..4 {
            let values: Vec<_> =
                cluster.records(TOPIC, partition).into_iter().map(|record| record.value.unwrap()).collect();
            assert!(values.iter().eq((0..10).map(|i| format!("{i} {text}")).collect::<Vec<_>>().iter()));
            // So little is quickly done, whatever the codec.
            assert!(
                cluster
                    .batches(TOPIC, partition)
                    .iter()
                    .all(|batch| batch.compression != kafka_mock::Compression::None)
            );
        }
    });
}

#[test]
fn other_work_may_hold_the_only_blocking_thread() {
    with_producers(1, |cluster, producer| async move {
        let (let_go, is_let_go) = mpsc::channel::<()>();
        let other = tokio::task::spawn_blocking(move || is_let_go.recv());
        let text = "so much to compress ".repeat(100);

        // More than there are places for work, and then one that takes long to compress.
        for round in 0..3 {
            let records = (0..20).map(|i| record(format!("{round} {i} {text}")));
            let mut deliveries = enqueue_all(&producer, records).await;
            deliveries.extend(enqueue_all(&producer, [record(text.repeat(20))]).await);
            soon("flush", producer.flush()).await;
            assert!(results(deliveries).await.into_iter().all(|result| result.is_ok()));
        }

        drop(let_go);
        other.await.unwrap().unwrap_err();
        // The thread is free: it is used again.
        soon("result", producer.send(record(&text))).await.unwrap();
        let report = soon("close", producer.close(seconds(60))).await;
        assert_eq!((report.delivered, report.undelivered.len()), (64, 0));
        drop(cluster);
    });
}
