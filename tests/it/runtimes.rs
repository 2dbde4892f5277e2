//! Producers that are used from other runtimes than their own, from none at all, and whose runtime stands still.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{
    Acks, BuildError, DeliveryErrorKind, KafkaProducer, KafkaProducerBuilder, Persisted, ProducerRecord,
    Purge, SendErrorKind,
};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, log_of, millis, record, record_for, seconds, soon,
    until,
};

/// A runtime that stands still unless it is driven.
fn own_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// An executor that knows nothing of tokio.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Runs a test outside of any runtime, beside a cluster in one of its own.
fn without_runtime(test: impl FnOnce(&MockCluster) -> TestResult) -> TestResult {
    let runtime = Runtime::new()?;
    let cluster = runtime.block_on(cluster_with(1, 1));
    test(&cluster)
}

/// A producer in a runtime that stands still, with one record that lingers.
fn idle(cluster: &MockCluster, runtime: &Runtime) -> KafkaProducer {
    runtime.block_on(async {
        let producer = builder(cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build().unwrap();
        drop(soon("enqueue", producer.enqueue(record("kept"))).await.unwrap());
        producer
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_ends_in_time_although_the_runtime_of_the_producer_stands_still() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let own = own_runtime();
    let producer = thread::scope(|scope| scope.spawn(|| idle(&cluster, &own)).join().unwrap());

    let report = soon("close", producer.close(millis(50))).await;

    let [error] = &report.undelivered[..] else { panic!("{report:?}") };
    assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Closed, Persisted::No));
    assert_eq!(error.record().unwrap().value.unwrap(), "kept");
    assert!(matches!(producer.try_enqueue(record("x")).unwrap_err().kind(), SendErrorKind::Closed));
    assert_eq!(soon("close again", producer.close(seconds(600))).await.undelivered.len(), 1);
    own.shutdown_background();
    Ok(())
}

#[tokio::test]
async fn idle_producer_closes_at_once_although_its_runtime_stands_still() -> TestResult {
    let own = own_runtime();
    let guard = own.enter();
    let producer = builder_at("127.0.0.1:1").build()?;
    drop(guard);

    let report = soon("close", producer.close(Duration::MAX)).await;

    assert_eq!((report.delivered, report.failed), (0, 0));
    own.shutdown_background();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_ends_although_the_runtime_of_the_producer_stands_still() -> TestResult {
    for what in [Purge::All, Purge::Queued] {
        let cluster = cluster_with(1, 1).await;
        let own = own_runtime();
        let producer = thread::scope(|scope| scope.spawn(|| idle(&cluster, &own)).join().unwrap());

        let purged = soon("purge", producer.purge(what)).await;

        assert_eq!(purged.len(), 1);
        assert_eq!(purged[0].record().unwrap().value.unwrap(), "kept");
        assert!(soon("second purge", producer.purge(what)).await.is_empty());
        soon("flush", producer.flush()).await;
        own.shutdown_background();
    }
    Ok(())
}

#[test]
fn everything_works_outside_of_a_runtime() -> TestResult {
    without_runtime(|cluster| {
        let own = Runtime::new()?;
        let guard = own.enter();
        let producer = builder(cluster).build()?;
        drop(guard);

        block_on(producer.send(record(0)))?;
        assert!(block_on(producer.send_all([record(1), record(2)])).iter().all(Result::is_ok));
        assert_eq!(block_on(producer.partitions_for(TOPIC))?.len(), 1);
        block_on(producer.flush());
        let report = block_on(producer.close(seconds(20)));

        assert_eq!((report.delivered, report.undelivered.len()), (3, 0));
        assert_eq!(log_of(cluster, 0), ["0", "1", "2"]);
        Ok(())
    })
}

/// With and without a runtime around the caller, which then has no timers.
fn waits(
    builder: impl Fn() -> KafkaProducerBuilder,
    send: impl Fn(&KafkaProducer, ProducerRecord) -> SendErrorKind,
) {
    let own = own_runtime();
    let guard = own.enter();
    let producer = builder().max_block(millis(50)).build().unwrap();
    drop(guard);

    let kind = send(&producer, ProducerRecord::to("missing"));

    assert!(matches!(kind, SendErrorKind::MetadataTimeout { .. }), "{kind:?}");
    let report = block_on(producer.close(millis(10)));
    assert_eq!(report.undelivered.len(), 0);
}

#[test]
fn waits_outside_of_a_runtime_end_in_time() {
    waits(
        || builder_at("127.0.0.1:1"),
        |producer, record| block_on(producer.enqueue(record)).unwrap_err().kind().clone(),
    );
}

#[test]
fn waits_in_a_runtime_without_timers_end_in_time() {
    let bare = Builder::new_current_thread().build().unwrap();
    waits(
        || builder_at("127.0.0.1:1"),
        |producer, record| bare.block_on(producer.enqueue(record)).unwrap_err().kind().clone(),
    );
}

#[test]
fn waits_in_a_runtime_that_stands_still_end_in_time() {
    let still = own_runtime();
    waits(
        || builder_at("127.0.0.1:1"),
        |producer, record| {
            let kind = still.handle().block_on(producer.enqueue(record)).unwrap_err().kind().clone();
            drop(still.handle().block_on(producer.close(millis(10))));
            kind
        },
    );
}

#[test]
fn wait_for_memory_outside_of_a_runtime_ends_in_time() -> TestResult {
    without_runtime(|cluster| {
        let own = own_runtime();
        let producer = own.block_on(async {
            let builder = builder(cluster).batch_size(1000).buffer_memory(4000).max_block(millis(50));
            let producer = builder.linger(seconds(600)).delivery_timeout(seconds(900)).build().unwrap();
            drop(soon("topic", producer.partitions_for(TOPIC)).await.unwrap());
            producer
        });
        while producer.try_enqueue(record("x".repeat(900))).is_ok() {}

        let error = block_on(producer.enqueue(record("x".repeat(900)))).unwrap_err();

        assert!(matches!(error.kind(), SendErrorKind::MemoryTimeout { .. }), "{error:?}");
        Ok(())
    })
}

#[test]
fn what_a_runtime_lacks_is_told_by_build() {
    let build = |runtime: &Runtime| {
        let _guard = runtime.enter();
        builder_at("127.0.0.1:1").build().map(drop).unwrap_err()
    };

    let error = build(&Builder::new_current_thread().enable_io().build().unwrap());
    assert!(matches!(error, BuildError::NoTimers), "{error:?}");
    assert!(error.to_string().contains("enable_time"), "{error}");
    if cfg!(unix) {
        let error = build(&Builder::new_current_thread().enable_time().build().unwrap());
        assert!(matches!(error, BuildError::NoIo), "{error:?}");
        assert!(error.to_string().contains("enable_io"), "{error}");
    }
    let error = builder_at("127.0.0.1:1").build().map(drop).unwrap_err();
    assert!(matches!(error, BuildError::NoRuntime), "{error:?}");
}

/// A request whose answer waits in the socket while the runtime is blocked. `deadline` ends meanwhile.
fn blocked(
    configure: impl FnOnce(KafkaProducerBuilder) -> KafkaProducerBuilder,
    deadline: Duration,
) -> TestResult {
    without_runtime(|cluster| {
        let own = own_runtime();
        let configured = configure(builder(cluster));
        own.block_on(async {
            let producer = configured.build()?;
            soon("first", producer.send(record("first"))).await?;
            cluster.freeze(0)?;
            let delivery = soon("enqueue", producer.enqueue(record("late"))).await?;
            until("it is sent", || producer.metrics().requests_in_flight == 1).await;

            // The runtime does nothing meanwhile.
            cluster.unfreeze(0)?;
            while log_of(cluster, 0).len() < 2 {
                thread::yield_now();
            }
            thread::sleep(deadline + millis(50));
            // Wakes the sender before the runtime has looked at its sockets.
            let behind = producer.try_enqueue(record("behind"))?;

            assert!(soon("delivery", delivery).await.is_ok());
            soon("delivery behind", behind).await?;
            assert_eq!(log_of(cluster, 0), ["first", "late", "behind"]);
            Ok(())
        })
    })
}

#[test]
fn answer_that_came_before_the_request_timed_out_counts_however_late_it_is_read() -> TestResult {
    blocked(
        |builder| builder.acks(Acks::Leader).enable_idempotence(false).request_timeout(seconds(1)),
        seconds(1),
    )
}

#[test]
fn answer_that_came_before_the_record_expired_counts_however_late_it_is_read() -> TestResult {
    blocked(|builder| builder.request_timeout(millis(900)).delivery_timeout(seconds(1)), seconds(1))
}

fn is_closed(producer: &KafkaProducer) -> bool {
    let probe = producer.try_enqueue(ProducerRecord::to("missing"));
    matches!(probe.unwrap_err().kind(), SendErrorKind::Closed)
}

#[tokio::test]
async fn shorter_close_does_not_cut_a_longer_one_short() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.freeze(0)?;
    let delivery = soon("enqueue", producer.enqueue(record(1))).await?;

    let long = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(seconds(20)).await }
    });
    until("it closes", || is_closed(&producer)).await;
    let short = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(Duration::ZERO).await }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!short.is_finished() && delivery.try_result().is_none());
    cluster.unfreeze(0)?;

    assert!(soon("delivery", delivery).await.is_ok());
    for close in [long, short] {
        let report = soon("close", close).await?;
        assert_eq!((report.delivered, report.undelivered.len()), (2, 0));
    }
    Ok(())
}

#[tokio::test]
async fn close_that_is_given_up_holds_up_no_other() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    soon("first", producer.send(record(0))).await?;
    cluster.freeze(0)?;
    let delivery = soon("enqueue", producer.enqueue(record_for(0, 1))).await?;

    let long = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(seconds(600)).await }
    });
    until("it closes", || is_closed(&producer)).await;
    let short = tokio::spawn({
        let producer = producer.clone();
        async move { producer.close(Duration::ZERO).await }
    });
    tokio::task::yield_now().await;
    long.abort();

    assert_eq!(soon("close", short).await?.undelivered.len(), 1);
    assert_eq!(soon("delivery", delivery).await.unwrap_err().kind(), DeliveryErrorKind::Closed);
    Ok(())
}
