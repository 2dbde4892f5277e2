//! Dropping handles, and runtimes.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use kafka_producer::{
    BoxError, Cluster, Delivery, DeliveryErrorKind, Disposition, Headers, KafkaProducer, Partitioner,
    PartitionerRecord, Persisted, ProducerInterceptor, ProducerRecord, SendErrorKind, Serializer,
};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, producer, record, results,
    seconds, skip_time, soon, texts, until,
};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test]
async fn dropping_the_last_handle_delivers_what_was_accepted() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).linger(seconds(600)).delivery_timeout(seconds(900)).build()?;
    let deliveries = enqueue_all(&producer, (0..50).map(record)).await;

    drop(producer);

    delivered(deliveries).await;
    assert_eq!(log_of(&cluster, 0), texts(0..50));
    until("connections are closed", || cluster.open_connections(0) == 0).await;
    Ok(())
}

#[tokio::test]
async fn clone_keeps_the_producer_open() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    let clone = producer.clone();

    drop(producer);

    soon("send", clone.send(record("x"))).await?;
    Ok(())
}

#[tokio::test]
async fn producer_without_records_goes_away_with_its_handle() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    soon("metadata", producer.partitions_for(TOPIC)).await?;

    drop(producer);

    until("connections are closed", || cluster.open_connections(0) == 0).await;
    Ok(())
}

#[tokio::test]
async fn dropped_producer_gives_up_after_the_delivery_timeout() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).delivery_timeout(seconds(120)).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let delivery = producer.enqueue(record("x")).await?;

    drop(producer);
    skip_time(seconds(121)).await;

    assert!(matches!(soon("delivery", delivery).await.unwrap_err().kind(), DeliveryErrorKind::TimedOut(_)));
    // A frozen broker does not notice anything.
    cluster.unfreeze(0)?;
    until("connections are closed", || cluster.open_connections(0) == 0).await;
    Ok(())
}

/// Starts a producer on a runtime of its own, at a broker that is frozen behind the first record.
async fn elsewhere(runtime: &Runtime, cluster: &kafka_mock::MockCluster) -> (KafkaProducer, Vec<Delivery>) {
    // One request at a time, so that it is known what has been sent.
    let builder = builder(cluster).enable_idempotence(false).batch_size(1000).buffer_memory(4000);
    let producer = runtime.spawn(async move { builder.build().unwrap() }).await.unwrap();
    soon("first", producer.send(record("first"))).await.unwrap();
    cluster.freeze(0).unwrap();
    let filler = "x".repeat(900);
    let mut accepted = Vec::new();
    while let Ok(delivery) = producer.try_enqueue(record(&filler).key("k")) {
        accepted.push(delivery);
    }
    until("one is sent", || producer.metrics().produce_requests_sent == 2).await;
    (producer, accepted)
}

#[tokio::test]
async fn end_of_the_runtime_fails_what_is_not_delivered() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let runtime = runtime();
    let (producer, accepted) = elsewhere(&runtime, &cluster).await;
    assert!(accepted.len() >= 2);

    runtime.shutdown_background();

    for (i, result) in results(accepted).await.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), DeliveryErrorKind::RuntimeShutdown);
        assert_eq!(error.disposition(), Disposition::NewProducer);
        assert_eq!(error.persisted(), if i == 0 { Persisted::Maybe } else { Persisted::No });
        assert_eq!(error.record().unwrap().key.unwrap(), "k");
    }
    until("memory is back", || producer.metrics().buffered_bytes == 0).await;
    Ok(())
}

/// Threads of the runtime compress for callers, wherever these run, and end with it.
#[cfg(feature = "gzip")]
#[tokio::test]
async fn end_of_the_runtime_fails_what_is_being_compressed() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let runtime = runtime();
    let builder = builder(&cluster).compression(kafka_producer::Compression::Gzip).batch_size(100_000);
    let producer = runtime.spawn(async move { builder.build().unwrap() }).await.unwrap();
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let text = "so much to compress ".repeat(1000);
    let accepted: Vec<_> = (0..500).map(|_| producer.try_enqueue(record(&text)).unwrap()).collect();

    runtime.shutdown_background();

    for result in results(accepted).await {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), DeliveryErrorKind::RuntimeShutdown);
        assert_eq!(error.record().unwrap().value.unwrap(), text);
    }
    until("memory is back", || producer.metrics().buffered_bytes == 0).await;
    Ok(())
}

#[tokio::test]
async fn producer_without_its_runtime_refuses_and_never_hangs() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let runtime = runtime();
    let (producer, accepted) = elsewhere(&runtime, &cluster).await;
    let for_memory = tokio::spawn({
        let producer = producer.clone();
        async move { producer.enqueue(record("y".repeat(900))).await }
    });
    let for_metadata = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(ProducerRecord::to("missing")).await }
    });
    let flush = tokio::spawn({
        let producer = producer.clone();
        async move { producer.flush().await }
    });
    until("it waits", || producer.metrics().waiting_for_memory == 1).await;

    runtime.shutdown_background();

    let error = soon("waiter for memory", for_memory).await?.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::RuntimeShutdown), "{error:?}");
    let error = soon("waiter for metadata", for_metadata).await?.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::RuntimeShutdown), "{error:?}");
    soon("flush", flush).await?;
    results(accepted).await;
    let error = soon("enqueue", producer.enqueue(record("z"))).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::RuntimeShutdown));
    assert!(matches!(soon("partitions", producer.partitions_for(TOPIC)).await, Err(_) | Ok(_)));
    let _ = soon("close", producer.close(seconds(60))).await;
    soon("second flush", producer.flush()).await;
    Ok(())
}

#[test]
fn delivery_outlives_the_runtime_and_can_be_awaited_on_another() {
    let runtime = runtime();
    let (cluster, delivery) = runtime.block_on(async {
        let cluster = cluster_with(1, 1).await;
        let producer = producer(&cluster);
        let delivery = producer.enqueue(record("x")).await.unwrap();
        soon("flush", producer.flush()).await;
        (cluster, delivery)
    });
    drop(cluster);
    drop(runtime);

    let metadata = Builder::new_current_thread().build().unwrap().block_on(delivery).unwrap();

    assert_eq!(metadata.offset(), Some(0));
}

/// The smallest executor there is.
fn block_on_thread<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A delivery needs no runtime at all, let alone tokio's.
#[test]
fn delivery_can_be_awaited_without_a_runtime() {
    let runtime = runtime();
    let (_cluster, delivery) = runtime.block_on(async {
        let cluster = cluster_with(1, 1).await;
        let producer = producer(&cluster);
        let delivery = producer.enqueue(record("x")).await.unwrap();
        (cluster, delivery)
    });

    let metadata = block_on_thread(delivery);

    assert_eq!(metadata.unwrap().offset(), Some(0));
}

#[test]
fn records_may_be_enqueued_from_a_thread_without_a_runtime() {
    let runtime = runtime();
    let (cluster, producer) = runtime.block_on(async {
        let cluster = cluster_with(1, 1).await;
        let producer = producer(&cluster);
        soon("metadata", producer.partitions_for(TOPIC)).await.unwrap();
        (cluster, producer)
    });

    let thread = std::thread::spawn(move || {
        let delivery = producer.try_enqueue(record("x")).unwrap();
        block_on_thread(delivery).unwrap();
    });

    thread.join().unwrap();
    assert_eq!(log_of(&cluster, 0), ["x"]);
}

/// Counts how often it was dropped.
struct Witness(Arc<AtomicUsize>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl ProducerInterceptor for Witness {}

impl Partitioner for Witness {
    fn partition(&self, _: &PartitionerRecord<'_>, _: &Cluster) -> Result<i32, BoxError> {
        Ok(0)
    }
}

impl Serializer<Bytes> for Witness {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a Bytes,
        _scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        Ok(data)
    }
}

/// Java: `testSerializerClose`, `testInterceptorConstructClose` and `testPartitionerClose`. What the producer was given
/// goes with its last handle, and not before.
#[tokio::test]
async fn serializers_partitioner_and_interceptors_go_with_the_producer() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let counts: [Arc<AtomicUsize>; 4] = Default::default();
    let witness = |index: usize| Witness(Arc::clone(&counts[index]));
    let producer: KafkaProducer = builder(&cluster)
        .serializers(witness(0), witness(1))
        .partitioner(witness(2))
        .interceptor(witness(3))
        .build()?;
    let dropped = || counts.each_ref().map(|count| count.load(Ordering::SeqCst));

    soon("send", producer.send(record("x").key("k"))).await?;
    let _ = soon("close", producer.close(seconds(5))).await;
    let clone = producer.clone();
    drop(producer);
    assert_eq!(dropped(), [0; 4]);
    drop(clone);

    until("all are gone", || dropped() == [1; 4]).await;
    Ok(())
}
