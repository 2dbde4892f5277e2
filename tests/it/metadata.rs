//! How topics, partitions and leaders become known, and how often brokers are asked.

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{ErrorCode, KafkaProducer, NodeId, ProducerRecord, SendErrorKind};

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, delivered, enqueue_all, log_of, logs_of, millis,
    producer, record, record_for, run_out, seconds, skip_time, soon, texts, until,
};

fn metadata_requests(cluster: &MockCluster) -> u64 {
    cluster.requests().of(Api::Metadata)
}

#[tokio::test]
async fn unknown_topic_is_created_by_its_first_use_where_brokers_do_that() -> TestResult {
    let cluster = MockCluster::builder().brokers(2).auto_create_topics(true, 3).start().await?;
    let producer = producer(&cluster);

    soon("send", producer.send(ProducerRecord::to("new").value("x"))).await?;

    assert_eq!(cluster.partition_count("new"), 3);
    assert_eq!(soon("partitions", producer.partitions_for("new")).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn topic_that_is_created_while_records_wait_gets_them() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(ProducerRecord::to("late").value("x")).await }
    });
    until("the topic was asked for a few times", || metadata_requests(&cluster) > 3).await;

    cluster.create_topic("late", 2, 1)?;

    assert_eq!(soon("send", waiting).await??.offset(), Some(0));
    Ok(())
}

#[tokio::test]
async fn partition_that_is_added_while_a_record_waits_gets_it() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record_for(0, 0))).await?;
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(record_for(1, "x")).await }
    });
    tokio::time::sleep(millis(20)).await;

    cluster.add_partitions(TOPIC, 2)?;

    assert_eq!(soon("send", waiting).await??.partition(), 1);
    Ok(())
}

#[tokio::test]
async fn added_partitions_are_used_after_the_next_refresh() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(100).metadata_max_age(seconds(60)).build()?;
    soon("first", producer.send(record("x"))).await?;
    cluster.add_partitions(TOPIC, 8)?;

    skip_time(seconds(61)).await;
    soon("all partitions are used", async {
        while logs_of(&cluster).iter().any(Vec::is_empty) {
            producer.send(record("y".repeat(300))).await.unwrap();
        }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn partitions_for_tells_leaders_and_replicas() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    cluster.set_leader(TOPIC, 1, None)?;
    let producer = producer(&cluster);

    let partitions = soon("partitions", producer.partitions_for(TOPIC)).await?;

    assert_eq!(partitions.iter().map(|p| p.partition()).collect::<Vec<_>>(), [0, 1, 2]);
    for partition in &partitions {
        let leader = cluster.leader(TOPIC, partition.partition()).map(NodeId);
        assert_eq!(partition.leader(), leader);
        assert_eq!(partition.replicas().len(), 3);
    }
    Ok(())
}

#[tokio::test]
async fn partitions_for_an_unknown_topic_times_out() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);

    let is_asked_again = || metadata_requests(&cluster) > 3;
    let asking = producer.partitions_for("missing");
    let error = run_out("partitions", asking, is_asked_again, seconds(61)).await.unwrap_err();

    let SendErrorKind::MetadataTimeout { cause, .. } = error else { panic!("{error:?}") };
    assert_eq!(cause, Some(ErrorCode::UnknownTopicOrPartition));
    Ok(())
}

#[tokio::test]
async fn partition_without_a_leader_waits_for_one_while_others_go_on() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    cluster.set_leader(TOPIC, 0, None)?;
    let producer = producer(&cluster);

    let waiting = producer.enqueue(record_for(0, "waiting")).await?;
    delivered(enqueue_all(&producer, (0..20).map(|i| record_for(1, i))).await).await;
    assert!(waiting.try_result().is_none());
    cluster.set_leader(TOPIC, 0, Some(0))?;

    soon("delivery", waiting).await?;
    assert_eq!(log_of(&cluster, 1), texts(0..20));
    Ok(())
}

#[tokio::test]
async fn leader_that_is_gone_for_a_while_comes_back() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record(0))).await?;
    cluster.set_leader(TOPIC, 0, None)?;

    let deliveries = enqueue_all(&producer, (1..20).map(record)).await;
    until("metadata was asked for a few times", || metadata_requests(&cluster) > 4).await;
    cluster.set_leader(TOPIC, 0, Some(0))?;

    delivered(deliveries).await;
    assert_eq!(log_of(&cluster, 0), texts(0..20));
    Ok(())
}

/// A leader that is down is in the metadata without an address.
#[tokio::test]
async fn leader_without_an_address_counts_as_none() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record(0))).await?;
    let leader = cluster.leader(TOPIC, 0).unwrap();
    cluster.broker_down(leader).await?;
    cluster.set_leader(TOPIC, 0, Some(leader))?;

    let delivery = producer.enqueue(record(1)).await?;
    until("metadata was asked for a few times", || metadata_requests(&cluster) > 4).await;
    assert!(delivery.try_result().is_none());
    cluster.broker_up(leader).await?;

    soon("delivery", delivery).await?;
    Ok(())
}

#[tokio::test]
async fn known_topics_are_not_asked_for_again() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record("x"))).await?;
    let before = metadata_requests(&cluster);

    delivered(enqueue_all(&producer, (0..300).map(|i| record_for(i % 3, i))).await).await;

    assert_eq!(metadata_requests(&cluster), before);
    Ok(())
}

#[tokio::test]
async fn all_topics_are_asked_for_again_after_max_age() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).metadata_max_age(seconds(600)).build()?;
    soon("first", producer.send(record("x"))).await?;
    let before = metadata_requests(&cluster);

    for round in 1..=3 {
        skip_time(seconds(500)).await;
        tokio::time::sleep(millis(10)).await;
        assert_eq!(metadata_requests(&cluster), before + round - 1);
        skip_time(seconds(101)).await;
        until("a refresh", || metadata_requests(&cluster) == before + round).await;
        until("the answer", || producer.metrics().requests_in_flight == 0).await;
    }
    Ok(())
}

/// Java: `testMetadataTopicExpiry`. An idle topic is no longer asked for, and asked for again when it is used.
#[tokio::test]
async fn idle_topic_is_forgotten_and_found_again() -> TestResult {
    let cluster = MockCluster::builder().auto_create_topics(true, 1).start().await?;
    let producer = builder(&cluster).metadata_max_age(seconds(10)).metadata_max_idle(seconds(30)).build()?;
    soon("first", producer.send(ProducerRecord::to("idle").value("x"))).await?;

    for _ in 0..5 {
        refresh(&cluster, &producer).await;
    }
    // The producer does not ask for it any more, or the broker would create it again.
    cluster.delete_topic("idle")?;
    for _ in 0..2 {
        refresh(&cluster, &producer).await;
    }
    assert_eq!(cluster.partition_count("idle"), 0);

    assert!(producer.try_enqueue(ProducerRecord::to("idle").value("y")).is_err());
    soon("send", producer.send(ProducerRecord::to("idle").value("z"))).await?;
    Ok(())
}

/// Lets `metadata.max.age.ms` of 10 s pass.
async fn refresh(cluster: &MockCluster, producer: &KafkaProducer) {
    let before = metadata_requests(cluster);
    skip_time(seconds(11)).await;
    until("a refresh", || metadata_requests(cluster) > before).await;
    until("the answer", || producer.metrics().requests_in_flight == 0).await;
}

#[tokio::test]
async fn topic_in_use_is_not_forgotten() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).metadata_max_age(seconds(10)).metadata_max_idle(seconds(30)).build()?;
    soon("first", producer.send(record("x"))).await?;

    for _ in 0..10 {
        refresh(&cluster, &producer).await;
        producer.try_enqueue(record("y")).map(drop).expect("the topic is known");
    }
    Ok(())
}

#[tokio::test]
async fn deleted_topic_that_is_made_anew_gets_records_again() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = producer(&cluster);
    delivered(enqueue_all(&producer, (0..9).map(|i| record_for(i % 3, i))).await).await;

    cluster.delete_topic(TOPIC)?;
    cluster.create_topic(TOPIC, 2, 1)?;
    let deliveries = enqueue_all(&producer, (0..10).map(|i| record_for(i % 2, i / 2))).await;

    delivered(deliveries).await;
    assert_eq!(logs_of(&cluster), [texts(0..5), texts(0..5)]);
    Ok(())
}

#[tokio::test]
async fn keyless_records_follow_a_topic_that_shrinks() -> TestResult {
    let cluster = cluster_with(1, 9).await;
    let producer = builder(&cluster).batch_size(100).metadata_max_age(seconds(60)).build()?;
    delivered(enqueue_all(&producer, (0..50).map(|_| record("y".repeat(200)))).await).await;

    cluster.delete_topic(TOPIC)?;
    cluster.create_topic(TOPIC, 2, 1)?;
    skip_time(seconds(61)).await;
    soon("the new topic is known", async {
        while producer.partitions_for(TOPIC).await.unwrap().len() != 2 {
            tokio::time::sleep(millis(5)).await;
        }
    })
    .await;
    let metadata = delivered(enqueue_all(&producer, (0..50).map(|_| record("y".repeat(200)))).await).await;

    assert!(metadata.iter().all(|metadata| metadata.partition() < 2));
    Ok(())
}

#[tokio::test]
async fn metadata_is_asked_of_any_broker() -> TestResult {
    let cluster = cluster_with(3, 1).await;
    let producer = builder(&cluster).metadata_max_age(seconds(60)).build()?;
    soon("first", producer.send(record("x"))).await?;

    let is_missing = |broker: i32| cluster.requests().to_broker(Api::Metadata, broker) == 0;
    let mut rounds = 0;
    while (0..3).any(is_missing) {
        rounds += 1;
        assert!(rounds < 100, "some broker is never asked");
        // So that there is a connection to each.
        cluster.set_leader(TOPIC, 0, Some(rounds % 3))?;
        soon("send", producer.send(record("x"))).await?;
        skip_time(seconds(61)).await;
        tokio::time::sleep(millis(2)).await;
    }
    Ok(())
}

#[tokio::test]
async fn failing_metadata_requests_are_made_again() -> TestResult {
    let faults = [
        Fault::disconnect_before(),
        Fault::disconnect_after(),
        Fault::error_code(5).topic(TOPIC),
        Fault::error_code(3).topic(TOPIC),
        Fault::error_code(-1).topic(TOPIC),
        Fault::error_code(38).topic(TOPIC),
        Fault::error_code(56).topic(TOPIC),
    ];
    for fault in faults {
        let cluster = cluster_with(1, 1).await;
        let producer = producer(&cluster);
        cluster.inject(fault.clone().api(Api::Metadata).times(3));

        assert_eq!(soon("send", producer.send(record("x"))).await?.offset(), Some(0), "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn metadata_that_is_never_answered_is_asked_for_elsewhere() -> TestResult {
    let cluster = cluster_with(3, 1).await;
    let producer = builder(&cluster).request_timeout(millis(100)).build()?;
    cluster.drop_response(Api::Metadata, 2);

    soon("send", producer.send(record("x"))).await?;
    Ok(())
}

#[tokio::test]
async fn partition_error_in_metadata_does_not_hold_up_the_others() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    cluster.inject(Fault::error_code(5).api(Api::Metadata).partition(TOPIC, 1).always());
    let producer = producer(&cluster);

    soon("send", producer.send(record_for(0, "x"))).await?;
    Ok(())
}

#[tokio::test]
async fn bootstrap_servers_that_are_dead_or_unknown_are_passed_over() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let servers = format!("127.0.0.1:1,no-such-host.invalid:9092,{}", cluster.bootstrap_servers());
    let producer = builder_at(servers).build()?;

    soon("send", producer.send(record("x"))).await?;
    Ok(())
}

#[tokio::test]
async fn rebootstrap_that_a_broker_demands_is_done() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    let producer = builder(&cluster).metadata_max_age(seconds(60)).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.fail_next(Api::Metadata, 129, 1);

    skip_time(seconds(61)).await;
    until("metadata was asked for again", || metadata_requests(&cluster) >= 3).await;
    delivered(enqueue_all(&producer, (1..20).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..20));
    Ok(())
}

#[tokio::test]
async fn many_topics_at_once_become_known() -> TestResult {
    let cluster = MockCluster::builder().brokers(2).auto_create_topics(true, 2).start().await?;
    let producer = producer(&cluster);

    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let producer = producer.clone();
            tokio::spawn(
                async move { producer.send(ProducerRecord::to(format!("topic-{i}")).value("x")).await },
            )
        })
        .collect();
    for task in tasks {
        soon("send", task).await??;
    }

    // Topics that are wanted at the same time are asked for together.
    assert!(metadata_requests(&cluster) < 100, "{}", metadata_requests(&cluster));
    Ok(())
}

#[tokio::test]
async fn waiting_for_a_missing_topic_does_not_flood_the_brokers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster)
        .retry_backoff(millis(50))
        .retry_backoff_max(millis(50))
        .max_block(millis(500))
        .build()?;

    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let producer = producer.clone();
            tokio::spawn(
                async move { producer.send(ProducerRecord::to("missing").value(i.to_string())).await },
            )
        })
        .collect();
    for task in tasks {
        assert!(soon("send", task).await?.is_err());
    }

    // One at once, then one for each backoff, with slack for timers that are late. Were each wait to ask by itself, there
    // would be twenty times as many.
    assert!(metadata_requests(&cluster) <= 60, "{}", metadata_requests(&cluster));
    Ok(())
}

/// A name that no broker would take must not keep the metadata of other topics from being asked for.
#[tokio::test]
async fn topic_with_a_name_beyond_all_limits_harms_only_itself() -> TestResult {
    for version in [8, 13] {
        for length in [250, 32_767, 32_768, 70_000] {
            let cluster = cluster_with(1, 1).await;
            cluster.set_api_versions(Api::Metadata, 0, version)?;
            if version < 10 {
                cluster.set_api_versions(Api::Produce, 0, 12)?;
            }
            let producer = producer(&cluster);

            let long = ProducerRecord::to("x".repeat(length)).value("x");
            let (long, good) = tokio::join!(producer.send(long), producer.send(record("y")));

            assert_eq!(good?.offset(), Some(0), "{length} {version}");
            let error = long.unwrap_err();
            let is_askable = length <= 32_767;
            assert_eq!(matches!(error.kind(), SendErrorKind::TopicRefused { .. }), is_askable, "{length}");
            assert_eq!(matches!(error.kind(), SendErrorKind::InvalidRecord(_)), !is_askable, "{length}");
            let partitions = soon("partitions", producer.partitions_for("x".repeat(length))).await;
            assert!(partitions.is_err());
            assert_eq!(error.into_record().unwrap().topic.len(), length);
            soon("later", producer.send(record("z"))).await?;
        }
    }
    Ok(())
}

/// Java: `testInflightRequestsDuringRebootstrap`, in which the rebootstrap ends the wait for the answer. Here the wait goes on.
#[tokio::test]
async fn batch_under_way_during_a_rebootstrap_is_written_once() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    let producer = builder(&cluster)
        .metadata_max_age(seconds(60))
        .request_timeout(seconds(100))
        .delivery_timeout(seconds(600))
        .build()?;
    delivered(enqueue_all(&producer, (0..2).map(|partition| record_for(partition, 0))).await).await;
    let leader = cluster.leader(TOPIC, 0).unwrap();
    let connections = cluster.connections_accepted(leader);
    cluster.drop_response(Api::Produce, 1);
    let delivery = producer.enqueue(record_for(0, 1)).await?;
    until("it is written", || cluster.end_offset(TOPIC, 0).unwrap() == 2).await;
    cluster.fail_next(Api::Metadata, 129, 1);

    let requests = metadata_requests(&cluster);
    skip_time(seconds(61)).await;
    until("a bootstrap server was asked", || metadata_requests(&cluster) >= requests + 2).await;
    assert!(delivery.try_result().is_none());
    skip_time(seconds(40)).await;

    assert_eq!(soon("delivery", delivery).await?.offset(), Some(1));
    assert!(cluster.connections_accepted(leader) > connections);
    assert_eq!(log_of(&cluster, 0), texts(0..2));
    Ok(())
}
