//! Records that the application gives up.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use kafka_producer::{DeliveryErrorKind, Disposition, Persisted, Purge};

use crate::support::{
    TestResult, builder, cluster_with, delivered, enqueue_all, log_of, producer, record, results, seconds,
    soon, until,
};

#[tokio::test]
async fn purge_gives_back_what_waits_and_the_producer_goes_on() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let deliveries = enqueue_all(&producer, (0..20).map(|i| record(i).key("k").header("h", "v"))).await;

    let purged = soon("purge", producer.purge(Purge::Queued)).await;

    assert_eq!(purged.len(), 20);
    for (i, error) in purged.iter().enumerate() {
        assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Purged, Persisted::No));
        assert_eq!(error.disposition(), Disposition::RetryLater);
        let record = error.record().unwrap();
        assert_eq!(record.value.unwrap(), i.to_string());
        assert_eq!((record.key.unwrap(), record.headers.len()), ("k".into(), 1));
    }
    assert!(results(deliveries).await.into_iter().all(|result| result.is_err()));
    assert_eq!((producer.metrics().buffered_bytes, producer.metrics().buffered_records), (0, 0));
    let after = enqueue_all(&producer, [record("after")]).await;
    soon("flush", producer.flush()).await;
    delivered(after).await;
    assert_eq!(log_of(&cluster, 0), ["after"]);
    Ok(())
}

#[tokio::test]
async fn purge_of_all_gives_up_what_is_under_way() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    for value in ["a", "b"] {
        drop(producer.enqueue(record(value)).await?);
    }
    until("a request is under way", || producer.metrics().requests_in_flight > 0).await;
    let still = soon("purge", producer.purge(Purge::Queued)).await;

    let purged = soon("purge", producer.purge(Purge::All)).await;

    assert_eq!(still.len() + purged.len(), 2);
    assert!(purged.iter().all(|error| error.persisted() == Persisted::Maybe));
    assert!(still.iter().all(|error| error.persisted() == Persisted::No));
    cluster.unfreeze(0)?;
    soon("send", producer.send(record("after"))).await?;
    assert_eq!(log_of(&cluster, 0).last().map(String::as_str), Some("after"));
    Ok(())
}

#[tokio::test]
async fn purge_that_is_given_up_happens_all_the_same() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let deliveries = enqueue_all(&producer, [record("x")]).await;

    {
        let mut purge = pin!(producer.purge(Purge::Queued));
        // The sender may have been at work, and then it is the one who does it.
        drop(purge.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    }

    assert!(results(deliveries).await[0].is_err());
    Ok(())
}

#[tokio::test]
async fn purge_of_a_closed_producer_is_empty() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("send", producer.send(record("x"))).await?;
    let _ = soon("close", producer.close(seconds(10))).await;

    assert!(soon("purge", producer.purge(Purge::All)).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn purge_shortens_a_close() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    drop(producer.enqueue(record("stuck")).await?);
    let closing = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(seconds(600)).await }
    });

    until("it is given up", || producer.metrics().requests_in_flight > 0).await;
    let purged = soon("purge", producer.purge(Purge::All)).await;

    assert_eq!(purged.len(), 1);
    let report = soon("close", closing).await?;
    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (1, 1, 0));
    Ok(())
}
