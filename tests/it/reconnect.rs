//! Brokers that go, come back, hang, or are no brokers at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_mock::Api;
use kafka_producer::{KafkaProducer, SendErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, delivered, enqueue_all, log_of, millis, producer,
    record, record_for, run_out, seconds, skip_time, soon, texts, until, without_repeats,
};

/// Listens on a port and does the same with each connection.
async fn listener<F, T>(serve: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(tokio::net::TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream));
        }
    });
    (address, accepted)
}

/// Answers the first bytes of each connection with these and closes it.
async fn listener_that_says(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    listener(move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut request = [0; 1024];
            drop(stream.read_exact(&mut request[..8]).await);
            drop(stream.write_all(&answer).await);
            drop(stream.shutdown().await);
            tokio::time::sleep(millis(50)).await;
        }
    })
    .await
}

/// With a real broker beside it, a stranger among the bootstrap servers does no harm.
async fn send_beside(stranger: String) -> TestResult {
    let send = async |is_first: bool| -> TestResult {
        let cluster = cluster_with(1, 1).await;
        let own = cluster.bootstrap_servers();
        let servers = if is_first { format!("{stranger},{own}") } else { format!("{own},{stranger}") };
        let producer = builder_at(servers).request_timeout(seconds(5)).build()?;

        soon("send", producer.send(record("x"))).await?;
        let _ = soon("close", producer.close(seconds(5))).await;
        Ok(())
    };
    tokio::try_join!(send(true), send(false))?;
    Ok(())
}

#[tokio::test]
async fn http_server_among_the_bootstrap_servers_does_no_harm() -> TestResult {
    let (address, accepted) =
        listener_that_says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()).await;

    // Which of the two is asked first is left to chance.
    for _ in 0..100 {
        send_beside(address.clone()).await?;
        if accepted.load(Ordering::SeqCst) > 0 {
            return Ok(());
        }
    }
    panic!("no producer asked it");
}

#[tokio::test]
async fn tls_server_among_the_bootstrap_servers_does_no_harm() -> TestResult {
    // A TLS alert: unexpected message.
    let (address, _) = listener_that_says(vec![0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a]).await;
    send_beside(address).await
}

#[tokio::test]
async fn garbage_among_the_bootstrap_servers_does_no_harm() -> TestResult {
    let answers: [&[u8]; 9] = [
        b"",
        b"\x00",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff\x00\x00\x00\x00",
        b"\x00\x00\x00\x04\x00\x00\x00\x00",
        b"\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff",
        b"\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x0f\x00\x00\x00\x00\x00",
    ];
    for answer in answers {
        let (address, _) = listener_that_says(answer.to_vec()).await;
        send_beside(address).await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_garbage_ends_with_max_block() -> TestResult {
    let (address, _) = listener_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    let producer = builder_at(address).max_block(millis(200)).build()?;

    let error = soon("send", producer.send(record("x"))).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error:?}");
    assert!(error.to_string().contains(": answers HTTP, is no Kafka broker"), "{error}");
    let _ = soon("close", producer.close(seconds(5))).await;
    Ok(())
}

#[tokio::test]
async fn endless_garbage_ends_with_max_block() -> TestResult {
    let (address, _) = listener(|mut stream| async move {
        let noise: Vec<u8> = (0..65_536_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        while stream.write_all(&noise).await.is_ok() {}
    })
    .await;
    let producer = builder_at(address).max_block(millis(200)).build()?;

    assert!(soon("send", producer.send(record("x"))).await.is_err());
    Ok(())
}

/// A frame that is announced as large and never comes takes no memory and no more than the request's time.
#[tokio::test]
async fn large_frame_that_never_comes_is_given_up() -> TestResult {
    let (address, accepted) = listener(|mut stream| async move {
        drop(stream.write_all(&[0x03, 0xff, 0xff, 0xff]).await);
        tokio::time::sleep(seconds(60)).await;
    })
    .await;
    let producer = builder_at(address).request_timeout(millis(50)).build()?;

    let is_tried_again = || accepted.load(Ordering::SeqCst) > 1;
    let result = run_out("send", producer.send(record("x")), is_tried_again, seconds(61)).await;

    assert!(result.is_err());
    Ok(())
}

#[tokio::test]
async fn broker_that_accepts_and_never_answers_is_given_up() -> TestResult {
    let (address, _) = listener(|stream| async move {
        tokio::time::sleep(seconds(600)).await;
        drop(stream);
    })
    .await;
    send_beside(address).await
}

#[tokio::test]
async fn broker_that_closes_each_connection_at_once_is_passed_over() -> TestResult {
    let (address, accepted) = listener(|stream| async move { drop(stream) }).await;
    send_beside(address.clone()).await?;
    let before = accepted.load(Ordering::SeqCst);

    // Alone, it is tried with waits in between.
    let producer: KafkaProducer = builder_at(address)
        .reconnect_backoff(seconds(1000))
        .reconnect_backoff_max(seconds(1000))
        .max_block(seconds(10_000))
        .build()?;
    let sending = tokio::spawn(async move { producer.send(record("x")).await });
    let attempts = || accepted.load(Ordering::SeqCst) - before;
    for attempt in 1..4 {
        until("an attempt", || attempts() == attempt).await;
        tokio::time::sleep(millis(50)).await;
        assert_eq!(attempts(), attempt);
        skip_time(seconds(1300)).await;
    }
    sending.abort();
    Ok(())
}

#[tokio::test]
async fn restart_of_all_brokers_at_their_ports_is_survived() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    let producer = producer(&cluster);
    delivered(enqueue_all(&producer, (0..9).map(|i| record_for(i % 3, i / 3))).await).await;
    let ports: Vec<_> = (0..3).map(|broker| cluster.port(broker)).collect();

    for broker in 0..3 {
        cluster.broker_down(broker).await?;
    }
    let deliveries = enqueue_all(&producer, (9..30).map(|i| record_for(i % 3, i / 3))).await;
    tokio::time::sleep(millis(50)).await;
    for broker in 0..3 {
        cluster.broker_up(broker).await?;
    }
    delivered(deliveries).await;

    // Another process may have taken a port meanwhile; then this has shown less than it could.
    println!("{ports:?} {:?}", (0..3).map(|broker| cluster.port(broker)).collect::<Vec<_>>());
    for partition in 0..3 {
        assert_eq!(without_repeats(log_of(&cluster, partition)), texts(0..10));
    }
    Ok(())
}

#[tokio::test]
async fn producer_may_start_before_its_brokers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let servers = cluster.bootstrap_servers();
    cluster.broker_down(0).await?;
    let producer: KafkaProducer = builder_at(servers).build()?;
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(record("x")).await }
    });
    tokio::time::sleep(millis(50)).await;

    cluster.broker_up(0).await?;

    soon("send", waiting).await??;
    Ok(())
}

#[tokio::test]
async fn frozen_broker_does_not_hold_up_the_others() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    let producer = producer(&cluster);
    delivered(enqueue_all(&producer, (0..3).map(|i| record_for(i, 0))).await).await;
    let frozen = cluster.leader(TOPIC, 0).unwrap();
    cluster.freeze(frozen)?;

    let stuck = producer.enqueue(record_for(0, 1)).await?;
    delivered(enqueue_all(&producer, (0..40).map(|i| record_for(1 + i % 2, 1 + i / 2))).await).await;

    assert!(stuck.try_result().is_none());
    assert_eq!(log_of(&cluster, 1), texts(0..21));
    assert_eq!(log_of(&cluster, 2), texts(0..21));
    cluster.unfreeze(frozen)?;
    soon("stuck", stuck).await?;
    Ok(())
}

#[tokio::test]
async fn idle_connections_are_closed_and_made_again() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).connections_max_idle(Some(seconds(60))).build()?;
    soon("first", producer.send(record(0))).await?;

    skip_time(seconds(61)).await;
    until("the connection is closed", || cluster.open_connections(0) == 0).await;
    soon("second", producer.send(record(1))).await?;

    assert_eq!(log_of(&cluster, 0), texts(0..2));
    assert_eq!(producer.metrics().record_retries, 0);
    Ok(())
}

#[tokio::test]
async fn there_is_one_connection_for_each_broker() -> TestResult {
    let cluster = cluster_with(3, 30).await;
    let producer = producer(&cluster);

    delivered(enqueue_all(&producer, (0..300).map(|i| record_for(i % 30, i))).await).await;

    let open: u64 = (0..3).map(|broker| cluster.open_connections(broker)).sum();
    // One more to the bootstrap server while its id is not known, at most.
    assert!(open <= 4, "{open}");
    Ok(())
}

#[tokio::test]
async fn broker_that_moves_to_another_port_is_found() -> TestResult {
    let cluster = cluster_with(2, 2).await;
    let producer = producer(&cluster);
    delivered(enqueue_all(&producer, (0..2).map(|i| record_for(i, 0))).await).await;
    let moving = cluster.leader(TOPIC, 0).unwrap();
    cluster.broker_down(moving).await?;
    // Its old port is taken, so it must use another.
    let _occupied = TcpListener::bind(("127.0.0.1", cluster.port(moving).unwrap())).await?;
    cluster.broker_up(moving).await?;
    cluster.set_leader(TOPIC, 0, Some(moving))?;

    soon("send", producer.send(record_for(0, 1))).await?;

    assert_eq!(log_of(&cluster, 0), texts(0..2));
    Ok(())
}

#[tokio::test]
async fn requests_in_flight_respect_their_limit() -> TestResult {
    let cluster = cluster_with(1, 10).await;
    let producer = builder(&cluster).max_in_flight_requests_per_connection(2).batch_size(1).build()?;
    soon("metadata", producer.partitions_for(TOPIC)).await?;
    cluster.delay(None, Some(Api::Produce), millis(10));

    let deliveries = enqueue_all(&producer, (0..100).map(|i| record_for(i % 10, i / 10))).await;
    let mut most = 0;
    until("all are delivered", || {
        most = most.max(producer.metrics().requests_in_flight);
        producer.metrics().records_delivered == 100
    })
    .await;
    delivered(deliveries).await;

    assert!(most <= 2, "{most}");
    for partition in 0..10 {
        assert_eq!(log_of(&cluster, partition), texts(0..10));
    }
    Ok(())
}

#[tokio::test]
async fn all_brokers_may_move_to_other_ports_one_after_the_other() -> TestResult {
    let cluster = cluster_with(3, 3).await;
    let producer = producer(&cluster);
    delivered(enqueue_all(&producer, (0..3).map(|i| record_for(i, 0))).await).await;
    let mut occupied = Vec::new();

    for round in 1..=2 {
        for broker in cluster.broker_ids() {
            cluster.broker_down(broker).await?;
            occupied.push(TcpListener::bind(("127.0.0.1", cluster.port(broker).unwrap())).await?);
            cluster.broker_up(broker).await?;
            for partition in 0..3 {
                cluster.set_leader(TOPIC, partition, Some(broker))?;
            }
            // It leads all, so this waits until the producer has found it.
            let records = (0..3).map(|i| record_for(i, format!("{round}-{broker}")));
            delivered(enqueue_all(&producer, records).await).await;
        }
    }

    for partition in 0..3 {
        let values = log_of(&cluster, partition);
        assert_eq!(values, ["0", "1-0", "1-1", "1-2", "2-0", "2-1", "2-2"]);
    }
    Ok(())
}

/// KIP-899: all known brokers are gone, and the bootstrap address leads to others.
#[tokio::test]
async fn cluster_that_is_replaced_behind_the_bootstrap_address_is_found() -> TestResult {
    let old = cluster_with(2, 2).await;
    let new = cluster_with(2, 2).await;
    let target = Arc::new(AtomicUsize::new(old.port(0).unwrap().into()));
    let port = Arc::clone(&target);
    let (bootstrap, _) = listener(move |mut stream| {
        let port = u16::try_from(port.load(Ordering::SeqCst)).unwrap();
        async move {
            let Ok(mut broker) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return };
            drop(tokio::io::copy_bidirectional(&mut stream, &mut broker).await);
        }
    })
    .await;
    let producer = builder_at(bootstrap).build()?;
    delivered(enqueue_all(&producer, (0..2).map(|i| record_for(i, 0))).await).await;

    target.store(new.port(0).unwrap().into(), Ordering::SeqCst);
    old.shutdown().await;
    delivered(enqueue_all(&producer, (0..2).map(|i| record_for(i, 1))).await).await;

    assert_eq!((log_of(&new, 0), log_of(&new, 1)), (texts(1..2), texts(1..2)));
    Ok(())
}

#[tokio::test]
async fn broker_that_answers_slowly_is_waited_for() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.delay(None, None, millis(300));

    delivered(enqueue_all(&producer, (1..12).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..12));
    let metrics = producer.metrics();
    assert_eq!((metrics.record_retries, metrics.connections_created), (0, 1), "nothing was sent twice");
    Ok(())
}
