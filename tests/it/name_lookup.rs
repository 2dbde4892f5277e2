//! Brokers known by name, while the runtime has no blocking thread to look the name up.

use std::sync::mpsc;

use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, KafkaProducerBuilder};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::spawn_blocking;

use crate::support::{builder_at, cluster_with, log_of, record_for, seconds, soon, texts};

fn runtime(max_blocking_threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(max_blocking_threads)
        .enable_all()
        .build()
        .unwrap()
}

/// A producer that knows its broker by name. A record must not come by a timeout.
fn builder(cluster: &MockCluster) -> KafkaProducerBuilder {
    let by_name = cluster.bootstrap_servers().replace("127.0.0.1", "localhost");
    assert!(by_name.starts_with("localhost:"));
    builder_at(by_name)
        .delivery_timeout(seconds(3600))
        .max_block(seconds(3600))
        .socket_connection_setup_timeout(seconds(3600))
        .socket_connection_setup_timeout_max(seconds(3600))
}

fn producer(cluster: &MockCluster) -> KafkaProducer {
    builder(cluster).build().unwrap()
}

#[test]
fn callers_may_hold_all_blocking_threads_while_a_name_is_looked_up() {
    let brokers = runtime(2);
    let cluster = brokers.block_on(cluster_with(1, 4));
    runtime(4).block_on(async {
        let producer = producer(&cluster);
        let senders: Vec<_> = (0..4)
            .map(|partition| {
                let producer = producer.clone();
                let send_all = async move {
                    for i in 0..10 {
                        producer.send(record_for(partition, i)).await.unwrap();
                    }
                };
                spawn_blocking(move || Handle::current().block_on(send_all))
            })
            .collect();

        for sender in senders {
            soon("results", sender).await.unwrap();
        }
        for partition in 0..4 {
            assert_eq!(log_of(&cluster, partition), texts(0..10));
        }
    });
}

#[test]
fn other_work_may_hold_the_only_blocking_thread_while_a_name_is_looked_up() {
    let brokers = runtime(2);
    let cluster = brokers.block_on(cluster_with(1, 1));
    runtime(1).block_on(async {
        let (let_go, is_let_go) = mpsc::channel::<()>();
        let other = spawn_blocking(move || is_let_go.recv());

        let first = producer(&cluster);
        soon("result", first.send(record_for(0, 0))).await.unwrap();

        drop(let_go);
        other.await.unwrap().unwrap_err();
        let second = producer(&cluster);
        soon("result", second.send(record_for(0, 1))).await.unwrap();
        assert_eq!(log_of(&cluster, 0), texts(0..2));
    });
}
