//! Addresses that lead to another broker than metadata says (KIP-1242).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kafka_mock::{Api, MockCluster};
use kafka_producer::{DialTarget, KafkaProducer, MetadataRecoveryStrategy, dial_with};

use crate::support::{builder_at, cluster_with, log_of, record_for, soon, until};

/// Where connections to broker 1 lead to: to broker 0 while it is set.
struct Detour {
    is_on: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
}

fn producer(
    cluster: &MockCluster,
    recovery: MetadataRecoveryStrategy,
    check: bool,
) -> (KafkaProducer, Detour) {
    let is_on = Arc::new(AtomicBool::new(true));
    let taken = Arc::new(AtomicUsize::new(0));
    let (right, wrong) = (cluster.port(1).unwrap(), cluster.port(0).unwrap());
    let detour = Detour { is_on: Arc::clone(&is_on), taken: Arc::clone(&taken) };
    let dialer = dial_with(move |target: DialTarget| {
        let leads_astray = target.port() == right && is_on.load(Ordering::Relaxed);
        taken.fetch_add(usize::from(leads_astray), Ordering::Relaxed);
        let port = if leads_astray { wrong } else { target.port() };
        async move { target.connect_tcp_to(target.host(), port).await }
    });
    let producer = builder_at(format!("127.0.0.1:{wrong}"))
        .metadata_recovery_strategy(recovery)
        .metadata_cluster_check(check)
        .dialer(dialer)
        .build()
        .unwrap();
    (producer, detour)
}

async fn cluster() -> MockCluster {
    let cluster = cluster_with(2, 2).await;
    for partition in 0..2 {
        cluster.set_leader("orders", partition, Some(partition)).unwrap();
    }
    cluster
}

#[tokio::test]
async fn broker_that_is_another_gets_no_record_and_the_right_one_does_once_it_is_there() {
    let cluster = cluster().await;
    let (producer, detour) = producer(&cluster, MetadataRecoveryStrategy::Rebootstrap, true);
    soon("result", producer.send(record_for(0, "first"))).await.unwrap();

    let waiting = producer.enqueue(record_for(1, "second")).await.unwrap();
    until("broker 1 is looked for in the wrong place", || detour.taken.load(Ordering::Relaxed) > 2).await;
    // What is not meant for broker 1 goes on.
    soon("result", producer.send(record_for(0, "third"))).await.unwrap();
    assert!(log_of(&cluster, 1).is_empty());
    detour.is_on.store(false, Ordering::Relaxed);

    soon("delivery", waiting).await.unwrap();
    assert_eq!(log_of(&cluster, 0), ["first", "third"]);
    assert_eq!(log_of(&cluster, 1), ["second"]);
}

#[tokio::test]
async fn whom_the_producer_means_is_not_told_where_that_would_change_nothing() {
    for (recovery, check) in
        [(MetadataRecoveryStrategy::None, true), (MetadataRecoveryStrategy::Rebootstrap, false)]
    {
        let cluster = cluster().await;
        let (producer, detour) = producer(&cluster, recovery, check);

        let waiting = producer.enqueue(record_for(1, "x")).await.unwrap();
        until("broker 0 is sent what is for broker 1", || cluster.requests().of(Api::Produce) > 1).await;
        detour.is_on.store(false, Ordering::Relaxed);
        cluster.broker_down(0).await.unwrap();
        cluster.broker_up(0).await.unwrap();

        soon("delivery", waiting).await.unwrap();
        assert_eq!(log_of(&cluster, 1), ["x"]);
    }
}
