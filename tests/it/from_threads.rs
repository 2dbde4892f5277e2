//! Calls that block their thread, and producers with a thread of their own.

use std::thread;
use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{
    Acknowledgement, BlockingRefused, KafkaProducer, Persisted, ProducerInterceptor, ProducerRecord, Purge,
    SendErrorKind, block_on,
};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    TOPIC, TestResult, builder, builder_at, cluster_with, log_of, millis, record, seconds, soon, texts,
};

/// Runs a test outside of any runtime, beside a cluster in one of its own.
fn on_a_thread(test: impl FnOnce(&MockCluster) -> TestResult) -> TestResult {
    let runtime = Runtime::new()?;
    let cluster = runtime.block_on(cluster_with(1, 1));
    test(&cluster)
}

#[test]
fn every_call_has_one_that_blocks() -> TestResult {
    on_a_thread(|cluster| {
        let producer = builder(cluster).pin_topics([TOPIC]).build_blocking()?;

        block_on(producer.ready(seconds(60)))??;
        assert_eq!(block_on(producer.partitions_for(TOPIC))??.len(), 1);
        assert_eq!(producer.send_blocking(record(0))?.offset(), Some(0));
        let delivery = producer.enqueue_blocking(record(1))?;
        assert_eq!(block_on(delivery)??.offset(), Some(1));
        let delivery = producer.enqueue_blocking(record(2))?;
        producer.flush_blocking()?;
        assert_eq!(delivery.try_result().unwrap()?.offset(), Some(2));
        assert!(block_on(producer.send_all([record(3), record(4)]))?.iter().all(Result::is_ok));
        assert!(block_on(producer.purge(Purge::All))?.is_empty());
        let report = producer.close_blocking(seconds(60))?;

        assert_eq!((report.delivered, report.undelivered.len()), (5, 0));
        assert_eq!(log_of(cluster, 0), texts(0..5));
        let error = producer.send_blocking(record(5)).unwrap_err();
        assert!(matches!(error.kind(), SendErrorKind::Closed), "{error}");
        Ok(())
    })
}

#[test]
fn threads_share_a_producer() -> TestResult {
    on_a_thread(|cluster| {
        let producer = builder(cluster).build_blocking()?;

        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..100 {
                        producer.send_blocking(record(number)).unwrap();
                    }
                });
            }
        });

        assert_eq!(log_of(cluster, 0).len(), 400);
        Ok(())
    })
}

#[test]
fn producer_of_a_runtime_serves_threads() -> TestResult {
    on_a_thread(|cluster| {
        let own = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let entered = own.enter();
        let producer = builder(cluster).build()?;
        // To be within a runtime is not to run its code.
        producer.send_blocking(record(0))?;
        drop(entered);

        producer.send_blocking(record(1))?;
        own.block_on(own.spawn_blocking({
            let producer = producer.clone();
            move || producer.send_blocking(record(2)).map(drop)
        }))??;
        drop(own);

        let error = producer.send_blocking(record(3)).unwrap_err();
        assert!(matches!(error.kind(), SendErrorKind::RuntimeShutdown), "{error}");
        assert_eq!(log_of(cluster, 0), texts(0..3));
        Ok(())
    })
}

#[test]
fn transactions_are_written_from_a_thread() -> TestResult {
    on_a_thread(|cluster| {
        let mut producer = builder(cluster).transactional_id("payments-1").build_transactional_blocking()?;

        let transaction = block_on(producer.begin_transaction())??;
        drop(block_on(transaction.enqueue(record(0)))??);
        block_on(transaction.handle().send(record(1)))??;
        block_on(transaction.flush())?;
        block_on(transaction.commit())??;
        let transaction = block_on(producer.begin_transaction())??;
        block_on(transaction.send(record(2)))??;
        block_on(transaction.abort())??;
        block_on(producer.finish_transaction())??;

        assert_eq!(cluster.committed_records(TOPIC, 0).len(), 2);
        assert!(block_on(producer.close(seconds(60)))?.undelivered.is_empty());
        Ok(())
    })
}

#[test]
fn waits_of_a_thread_end_in_time() -> TestResult {
    let producer = builder_at("127.0.0.1:1").max_block(millis(50)).build_blocking()?;

    let error = producer.send_blocking(record(0)).unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error}");
    assert_eq!(error.into_record(), Some(record(0)));
    assert!(block_on(producer.ready(millis(50)))?.is_err());
    assert!(producer.close_blocking(Duration::ZERO)?.undelivered.is_empty());
    Ok(())
}

#[test]
fn thread_that_waits_for_memory_goes_on_when_there_is_some() -> TestResult {
    on_a_thread(|cluster| {
        let small = builder(cluster).batch_size(1000).buffer_memory(4000);
        let producer = small.linger(seconds(600)).delivery_timeout(seconds(900)).build_blocking()?;
        block_on(producer.partitions_for(TOPIC))??;
        while producer.try_enqueue(record("x".repeat(900))).is_ok() {}

        // A record that waits ends the lingering.
        let delivery = producer.enqueue_blocking(record("x".repeat(900)))?;

        producer.flush_blocking()?;
        block_on(delivery)??;
        Ok(())
    })
}

#[test]
fn records_are_delivered_although_the_last_handle_is_dropped() -> TestResult {
    on_a_thread(|cluster| {
        let patient = builder(cluster).linger(seconds(600)).delivery_timeout(seconds(900));
        let producer = patient.build_blocking()?;
        let deliveries: Vec<_> =
            (0..10).map(|number| producer.enqueue_blocking(record(number))).collect::<Result<_, _>>()?;

        drop(producer);

        for delivery in deliveries {
            block_on(delivery)??;
        }
        assert_eq!(log_of(cluster, 0), texts(0..10));
        Ok(())
    })
}

/// What blocking calls do in async code that runs on the runtime of the producer.
async fn refused(producer: KafkaProducer) {
    let kind = |error: kafka_producer::SendError| {
        assert_eq!((error.persisted(), error.record()), (Persisted::No, Some(record(0))));
        error.kind().clone()
    };
    let error = producer.send_blocking(record(0)).unwrap_err();
    assert!(matches!(kind(error), SendErrorKind::BlockingRefused));
    let error = producer.enqueue_blocking(record(0)).unwrap_err();
    assert!(matches!(kind(error), SendErrorKind::BlockingRefused));
    assert!(matches!(producer.flush_blocking(), Err(BlockingRefused { .. })));
    assert!(matches!(producer.close_blocking(Duration::MAX), Err(BlockingRefused { .. })));
    assert!(matches!(block_on(producer.ready(Duration::MAX)), Err(BlockingRefused { .. })));

    // It is not closed, and what need not wait is taken.
    soon("send", producer.send(record(0))).await.unwrap();
    let delivery = producer.enqueue_blocking(record(1)).unwrap();
    soon("delivery", delivery).await.unwrap();
    drop(soon("close", producer.close(Duration::MAX)).await);
}

#[test]
fn blocking_calls_in_async_code_are_refused() -> TestResult {
    let runtimes = [
        Builder::new_current_thread().enable_all().build()?,
        Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
    ];
    on_a_thread(|cluster| {
        for runtime in &runtimes {
            runtime.block_on(async { refused(builder(cluster).build().unwrap()).await });
            runtime.block_on(runtime.spawn(refused(builder(cluster).build_blocking()?)))?;
        }
        Ok(())
    })
}

#[tokio::test]
async fn async_code_uses_a_producer_with_a_thread_of_its_own() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build_blocking()?;

    assert_eq!(soon("send", producer.send(record(0))).await?.offset(), Some(0));

    assert_eq!(soon("close", producer.close(seconds(60))).await.delivered, 1);
    Ok(())
}

/// Sends a record for each that was acknowledged, which waits for its own thread.
#[derive(Debug)]
struct Echo(std::sync::mpsc::Sender<SendErrorKind>, std::sync::OnceLock<KafkaProducer>);

impl ProducerInterceptor for Echo {
    fn on_acknowledgement(&self, _: &Acknowledgement<'_>) {
        if let Some(producer) = self.1.get() {
            let refused = producer.send_blocking(record("echo")).unwrap_err();
            self.0.send(refused.kind().clone()).unwrap();
        }
    }
}

#[test]
fn interceptor_cannot_wait_for_the_thread_that_it_runs_on() -> TestResult {
    on_a_thread(|cluster| {
        let (told, hears) = std::sync::mpsc::channel();
        let echo = std::sync::Arc::new(Echo(told, std::sync::OnceLock::new()));
        let producer = builder(cluster).interceptor(std::sync::Arc::clone(&echo)).build_blocking()?;
        echo.1.set(producer.clone()).map_err(drop).unwrap();

        producer.send_blocking(record(0))?;

        let kind = hears.recv()?;
        assert!(matches!(kind, SendErrorKind::BlockingRefused), "{kind:?}");
        drop(producer.close_blocking(seconds(60))?);
        assert_eq!(log_of(cluster, 0), texts(0..1));
        Ok(())
    })
}

#[test]
fn invalid_record_is_refused_on_a_thread_too() -> TestResult {
    let producer = builder_at("127.0.0.1:1").build_blocking()?;

    let error = producer.enqueue_blocking(ProducerRecord::to("x".repeat(40_000))).unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::InvalidRecord(_)), "{error}");
    Ok(())
}

/// The thread that calls `purge` may carry it out itself, and with it what interceptors do.
#[test]
fn interceptor_cannot_wait_for_the_sender_on_a_thread_that_purges() -> TestResult {
    on_a_thread(|cluster| {
        let (told, hears) = std::sync::mpsc::channel();
        let echo = std::sync::Arc::new(Echo(told, std::sync::OnceLock::new()));
        let producer = builder(cluster)
            .linger(seconds(50))
            .interceptor(std::sync::Arc::clone(&echo))
            .build_blocking()?;
        block_on(producer.partitions_for(TOPIC))??;
        echo.1.set(producer.clone()).map_err(drop).unwrap();
        drop(producer.enqueue_blocking(record(0))?);

        let purged = block_on(producer.purge(Purge::Queued))?;

        assert_eq!(purged.len(), 1);
        assert!(matches!(hears.recv()?, SendErrorKind::BlockingRefused));
        Ok(())
    })
}

#[test]
fn interceptor_cannot_wait_for_the_sender_on_a_thread_that_withdraws() -> TestResult {
    on_a_thread(|cluster| {
        let (told, hears) = std::sync::mpsc::channel();
        let echo = std::sync::Arc::new(Echo(told, std::sync::OnceLock::new()));
        let patient = builder(cluster).linger(seconds(600)).delivery_timeout(seconds(900));
        let producer = patient.interceptor(std::sync::Arc::clone(&echo)).build_blocking()?;
        block_on(producer.partitions_for(TOPIC))??;
        echo.1.set(producer.clone()).map_err(drop).unwrap();

        for number in 0..20 {
            let delivery = producer.enqueue_blocking(record(number))?;
            assert!(block_on(producer.withdraw(&delivery))?);
            let kind = hears.recv()?;
            assert!(matches!(kind, SendErrorKind::BlockingRefused), "{kind:?}");
        }
        Ok(())
    })
}
