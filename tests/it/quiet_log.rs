//! What a producer logs at `INFO` while nothing is wrong, and while brokers restart: next to nothing.

use kafka_producer::KafkaProducer;

use crate::support::logged::Logged;
use crate::support::{
    TOPIC, TestResult, cluster_with, delivered, enqueue_all, record_for, seconds, soon, until,
};

const PARTITIONS: i32 = 3;

async fn send_to_each(producer: &KafkaProducer) {
    let records = (0..10).flat_map(|i| (0..PARTITIONS).map(move |partition| record_for(partition, i)));
    delivered(enqueue_all(producer, records).await).await;
}

#[tokio::test]
async fn producer_that_works_logs_nothing() -> TestResult {
    let logged = Logged::by("works");
    let cluster = cluster_with(3, PARTITIONS).await;
    let producer = logged.builder(&cluster).batch_size(300).build()?;

    for _ in 0..20 {
        send_to_each(&producer).await;
    }
    soon("flush", producer.flush()).await;
    assert!(soon("close", producer.close(seconds(60))).await.undelivered.is_empty());

    assert_eq!(logged.lines(), [""; 0]);
    Ok(())
}

/// Requests are under way when the broker ends, and it takes a while until the others notice: there is a lost connection, attempts to
/// connect fail again and again, and batches are sent a second time.
#[tokio::test]
async fn restart_of_a_broker_is_told_in_two_lines_at_most() -> TestResult {
    let logged = Logged::by("restarts");
    let cluster = cluster_with(3, PARTITIONS).await;
    for (partition, leader) in [(0, 1), (1, 0), (2, 2)] {
        cluster.set_leader(TOPIC, partition, Some(leader))?;
    }
    let producer = logged.builder(&cluster).build()?;
    send_to_each(&producer).await;

    cluster.freeze(1)?;
    let sent = producer.metrics().produce_requests_sent;
    let under_way = enqueue_all(&producer, [record_for(0, "under way")]).await;
    until("it is sent", || producer.metrics().produce_requests_sent > sent).await;
    cluster.crash(1).await?;
    while producer.health().brokers.iter().all(|broker| broker.failures < 3) {
        delivered(enqueue_all(&producer, [record_for(1, "meanwhile"), record_for(2, "meanwhile")]).await)
            .await;
    }
    cluster.broker_down(1).await?;
    delivered(under_way).await;
    for _ in 0..20 {
        send_to_each(&producer).await;
    }
    cluster.broker_up(1).await?;
    cluster.set_leader(TOPIC, 0, Some(1))?;
    let accepted = cluster.connections_accepted(1);
    while cluster.connections_accepted(1) == accepted {
        send_to_each(&producer).await;
    }
    send_to_each(&producer).await;

    let lines = logged.lines();
    let [down, rest @ ..] = &*lines else { panic!("the broker's absence is not told") };
    assert!(down.starts_with("WARN cannot connect to broker 1 ("), "{lines:#?}");
    // Nothing, if the broker has another port now.
    assert!(rest.len() <= 1, "{lines:#?}");
    assert!(rest.iter().all(|line| line.starts_with("INFO connected to broker 1 (")), "{lines:#?}");
    Ok(())
}
