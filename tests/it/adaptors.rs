//! The producer as a stream of results, as a sink, and as a service.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use bytes::Bytes;
use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt, stream};
use kafka_mock::{Api, Fault};
use kafka_producer::{
    BoxError, BytesSerializer, Headers, KafkaProducer, ProducerRecord, RecordSink, SendErrorKind, Serializer,
    TransactionErrorKind,
};
use tokio::runtime::Builder;

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, empty, log_of, record, record_for, soon, texts, until,
};

/// Records for three partitions in turn, whose values are their numbers.
fn numbered(count: i32) -> impl Iterator<Item = ProducerRecord> {
    (0..count).map(|number| record_for(number % 3, number))
}

#[tokio::test]
async fn results_come_in_the_order_of_the_records() -> TestResult {
    let cluster = cluster_with(2, 3).await;
    let producer = builder(&cluster).batch_size(200).build()?;
    cluster.inject(Fault::error_code(19).api(Api::Produce).skip(2).times(3));
    cluster.inject(Fault::disconnect_after().api(Api::Produce).skip(9));

    let mut results = producer.send_stream(stream::iter(numbered(1000)), 50);
    for number in 0..1000 {
        let metadata = soon("result", results.next()).await.unwrap()?;
        assert_eq!((metadata.partition(), metadata.offset()), (number % 3, Some(i64::from(number / 3))));
    }

    assert!(soon("end", results.next()).await.is_none());
    assert!(soon("end", results.next()).await.is_none());
    assert_eq!(log_of(&cluster, 1), (0..333).map(|row| (row * 3 + 1).to_string()).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn no_more_records_are_taken_than_may_be_outstanding() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = builder(&cluster).build()?;
    cluster.inject(Fault::disconnect_after().api(Api::Produce));
    let mut taken = 0;
    let mut told = 0;
    let counted = stream::iter(numbered(500)).inspect(|_| taken += 1);

    {
        let mut results = pin!(producer.send_stream(counted, 7));
        assert_eq!(results.size_hint(), (500, Some(500)));
        while let Some(result) = soon("result", results.next()).await {
            result?;
            told += 1;
            assert_eq!(results.size_hint().0, 500 - told);
        }
    }
    assert_eq!((taken, told), (500, 500));

    let mut taken = 0;
    cluster.freeze(0)?;
    let endless = stream::iter((0..).map(|number| record_for(0, number))).inspect(|_| taken += 1);
    {
        let mut results = producer.send_stream(endless, 7);
        assert!(results.next().now_or_never().is_none());
        assert!(results.next().now_or_never().is_none());
    }
    assert_eq!(taken, 7);
    Ok(())
}

#[tokio::test]
async fn refused_record_is_told_in_its_place_and_the_stream_goes_on() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = builder(&cluster).max_request_size(1000).build()?;
    let records =
        [record_for(0, "a"), record_for(0, "x".repeat(2000)), ProducerRecord::to(""), record_for(0, "c")];

    let results: Vec<_> = soon("results", producer.send_stream(stream::iter(records), 2).collect()).await;

    let kinds: Vec<_> = results.iter().map(|result| result.as_ref().map_err(|error| error.kind())).collect();
    let [Ok(_), Err(SendErrorKind::TooLarge { .. }), Err(SendErrorKind::TopicRefused { .. }), Ok(_)] =
        kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!(results[1].clone().unwrap_err().into_record(), Some(record_for(0, "x".repeat(2000))));
    assert_eq!(log_of(&cluster, 0), ["a", "c"]);
    Ok(())
}

#[tokio::test]
async fn stream_goes_on_while_its_source_waits() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let records = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let mut results = producer.send_stream(records, 100);

    for round in 0..3 {
        assert!(results.next().now_or_never().is_none());
        sender.send(record(round))?;
        assert_eq!(soon("result", results.next()).await.unwrap()?.offset(), Some(round));
    }
    drop(sender);
    assert!(soon("end", results.next()).await.is_none());
    Ok(())
}

/// A producer whose memory is full of one record, for a partition whose leader is frozen, and the size of a record that must wait.
async fn full(
    cluster: &kafka_mock::MockCluster,
) -> Result<(KafkaProducer, String), Box<dyn std::error::Error>> {
    let producer = builder(cluster).batch_size(1000).buffer_memory(4000).build()?;
    soon("first", producer.send(record("first"))).await?;
    cluster.freeze(0)?;
    let filler = "x".repeat(900);
    while producer.try_enqueue(record(&filler)).is_ok() {}
    Ok((producer, filler))
}

/// Puts a record into the sink without asking whether it is ready.
fn push(sink: &mut RecordSink, record: ProducerRecord) {
    Pin::new(sink).start_send(record).unwrap();
}

#[tokio::test]
async fn records_that_wait_for_memory_keep_their_order_even_beyond_the_bound() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (producer, filler) = full(&cluster).await?;
    let mut sink = producer.sink(1);

    for number in 0..10 {
        push(&mut sink, record(format!("{number}{filler}")));
    }
    assert_eq!(sink.outstanding(), 10);
    assert!(Pin::new(&mut sink).poll_ready(&mut Context::from_waker(Waker::noop())).is_pending());
    cluster.unfreeze(0)?;

    soon("flush", sink.flush()).await?;
    assert_eq!(sink.outstanding(), 0);
    let log = log_of(&cluster, 0);
    let last: Vec<_> = log[log.len() - 10..].iter().map(|value| value[..1].to_owned()).collect();
    assert_eq!(last, texts(0..10));
    Ok(())
}

#[tokio::test]
async fn dropped_sink_withdraws_what_waits_and_nothing_else() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (producer, filler) = full(&cluster).await?;

    let mut sink = producer.sink(100);
    push(&mut sink, record(format!("late {filler}")));
    push(&mut sink, record("later"));
    assert!(sink.flush().now_or_never().is_none());
    until("one call waits", || producer.metrics().waiting_for_memory == 1).await;
    drop(sink);
    assert_eq!(producer.metrics().waiting_for_memory, 0);
    cluster.unfreeze(0)?;

    soon("flush", producer.flush()).await;
    empty(&producer).await;
    assert!(!log_of(&cluster, 0).iter().any(|value| value.starts_with("late")));
    Ok(())
}

#[tokio::test]
async fn sink_tells_each_failed_record_once_and_takes_that_of_the_call_all_the_same() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = builder(&cluster).max_request_size(1000).build()?;
    soon("topic", producer.partitions_for(TOPIC)).await?;
    let (large, larger) = (record_for(0, "x".repeat(2000)), record_for(0, "x".repeat(3000)));
    let mut sink = producer.sink(1);

    soon("large", sink.feed(large.clone())).await.unwrap_err();
    soon("b", sink.feed(record_for(0, "b"))).await?;
    soon("larger", sink.feed(larger.clone())).await.unwrap_err();
    soon("d", sink.send(record_for(0, "d"))).await?;
    assert_eq!(sink.outstanding(), 0);

    let mut sink = producer.sink(100);
    soon("a", sink.feed(record_for(0, "e"))).await?;
    soon("large", sink.feed(large.clone())).await?;
    soon("larger", sink.feed(larger.clone())).await?;
    let first = soon("flush", sink.flush()).await.unwrap_err();
    assert!(matches!(first.kind(), SendErrorKind::TooLarge { .. }), "{first}");
    assert_eq!(first.into_record(), Some(large));
    let second = soon("f", sink.feed(record_for(0, "f"))).await.unwrap_err();
    assert_eq!(second.into_record(), Some(larger));
    soon("flush", sink.flush()).await?;

    soon("close", SinkExt::<ProducerRecord>::close(&mut sink)).await?;
    soon("g", sink.send(record_for(0, "g"))).await?;
    soon("h", producer.send(record_for(0, "h"))).await?;
    assert_eq!(log_of(&cluster, 0), ["b", "d", "e", "f", "g", "h"]);
    Ok(())
}

#[tokio::test]
async fn whole_streams_lose_nothing_beside_records_that_fail() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let producer = builder(&cluster).max_request_size(1000).build()?;
    let numbered = |number: usize| match number % 3 {
        0 => record_for(0, "x".repeat(2000)),
        _ => record_for(0, number),
    };

    for bound in [1, 2, 100] {
        let mut sink = producer.sink(bound);
        let mut records = stream::iter(0..60).map(|number| Ok(numbered(number)));
        let mut told = 0;
        while soon("send_all", sink.send_all(&mut records)).await.is_err() {
            told += 1;
        }
        assert_eq!((told, sink.outstanding()), (20, 0), "with a bound of {bound}");
    }

    let delivered: Vec<_> =
        (0..60).filter(|number| number % 3 != 0).map(|number| number.to_string()).collect();
    assert_eq!(log_of(&cluster, 0), std::array::from_fn::<_, 3, _>(|_| delivered.clone()).concat());
    Ok(())
}

#[tokio::test]
async fn sinks_and_calls_that_are_not_polled_keep_no_memory_from_others() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let (producer, filler) = full(&cluster).await?;
    let mut sinks: Vec<_> = (0..6).map(|_| producer.sink(10)).collect();
    for sink in &mut sinks {
        soon("feed", sink.feed(record(&filler))).await?;
    }
    cluster.unfreeze(0)?;

    soon("send", producer.send(record(&filler))).await?;
    for sink in &mut sinks {
        soon("flush", sink.flush()).await?;
    }

    cluster.freeze(0)?;
    while producer.try_enqueue(record(&filler)).is_ok() {}
    #[cfg(feature = "tower")]
    let calls: Vec<_> = (0..9).map(|_| tower::Service::call(&mut &producer, record(&filler))).collect();
    cluster.unfreeze(0)?;
    #[cfg(feature = "tower")]
    for call in calls.into_iter().rev() {
        soon("call", call).await?;
    }
    empty(&producer).await;
    Ok(())
}

/// Panics for a value of this text, once the topic is known.
struct Panicking(AtomicBool);

impl Serializer<String> for Panicking {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a String,
        _scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        assert!(self.0.swap(true, Ordering::Relaxed), "a bug of the application");
        Ok(data.as_bytes())
    }
}

#[tokio::test]
async fn serializer_that_panics_takes_no_other_record_along() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let serializer = Panicking(AtomicBool::new(false));
    let producer: KafkaProducer<Bytes, String> =
        builder(&cluster).serializers(BytesSerializer, serializer).build()?;
    let mut sink = producer.sink(10);
    let record = |value: &str| ProducerRecord::to(TOPIC).value(value.to_owned());

    // Both wait for the topic.
    soon("a", sink.feed(record("a"))).await?;
    Pin::new(&mut sink).start_send(record("b"))?;
    let thrown = soon("flush", AssertUnwindSafe(sink.flush()).catch_unwind()).await;
    assert!(thrown.is_err());
    soon("flush", sink.flush()).await?;

    assert_eq!((log_of(&cluster, 0), sink.outstanding()), (vec!["b".to_owned()], 0));
    Ok(())
}

#[test]
fn sink_that_waits_survives_the_end_of_its_runtime() -> TestResult {
    let runtime = || Builder::new_current_thread().enable_all().build();
    let (first, other) = (runtime()?, runtime()?);
    let cluster = other.block_on(cluster_with(1, 1));
    let (producer, filler) = other.block_on(full(&cluster))?;
    let mut sink = producer.sink(10);

    first.block_on(sink.feed(record(&filler)))?;
    let flushed = first.block_on(async { sink.flush().now_or_never() });
    assert!(flushed.is_none());
    drop(first);
    cluster.unfreeze(0)?;

    other.block_on(soon("flush", sink.flush()))?;
    assert_eq!(sink.outstanding(), 0);
    Ok(())
}

#[tokio::test]
async fn record_that_a_sink_never_polled_fails_the_commit() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let mut producer = builder(&cluster).transactional_id("teller-1").build_transactional()?;

    for drops in [true, false] {
        let transaction = soon("begin", producer.begin_transaction()).await?;
        let mut sink = transaction.handle().sink(10);
        let unknown = if drops { "unknown" } else { "not known either" };
        Pin::new(&mut sink).start_send(ProducerRecord::to(unknown).value("v"))?;
        let mut sink = Some(sink).filter(|_| !drops);
        let error = soon("commit", transaction.commit()).await.unwrap_err();
        let is_told = matches!(error.kind(), TransactionErrorKind::RecordsRefused { records: 1, .. })
            == drops
            && matches!(error.kind(), TransactionErrorKind::RecordsWaited { records: 1, .. }) != drops;
        assert!(is_told, "{error}");
        if let Some(sink) = &mut sink {
            let over = soon("flush", SinkExt::<ProducerRecord>::flush(sink)).await.unwrap_err();
            assert!(matches!(over.kind(), SendErrorKind::TransactionOver), "{over}");
        }
    }
    Ok(())
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn loop_of_calls_lets_other_tasks_run() -> TestResult {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tower::{Service, ServiceExt};

    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    soon("topic", producer.partitions_for(TOPIC)).await?;
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });

    for number in 0..5000 {
        let mut service = &producer;
        drop(ServiceExt::<ProducerRecord>::ready(&mut service).await?.call(record(number)));
    }

    assert!(turns.load(Ordering::Relaxed) > 1);
    other.abort();
    Ok(())
}

#[tokio::test]
async fn sink_takes_a_whole_stream_and_is_bounded() -> TestResult {
    let cluster = cluster_with(2, 3).await;
    let producer = builder(&cluster).build()?;
    let mut sink = producer.sink(20);

    let mut records = stream::iter(numbered(600)).map(Ok);
    soon("send_all", sink.send_all(&mut records)).await?;
    assert_eq!(sink.outstanding(), 0);
    assert_eq!((0..3).map(|partition| log_of(&cluster, partition).len()).sum::<usize>(), 600);

    cluster.freeze(0)?;
    cluster.freeze(1)?;
    for number in 0..20 {
        soon("room", sink.feed(record_for(0, number))).await?;
    }
    assert!(sink.feed(record_for(0, "no room")).now_or_never().is_none());
    assert_eq!(sink.outstanding(), 20);
    Ok(())
}

#[tokio::test]
async fn sink_of_a_transaction_writes_within_it() -> TestResult {
    let cluster = cluster_with(1, 3).await;
    let mut producer = builder(&cluster).transactional_id("teller-1").build_transactional()?;

    let transaction = soon("begin", producer.begin_transaction()).await?;
    let mut sink = transaction.handle().sink(10);
    let mut records = stream::iter(numbered(90)).map(Ok);
    soon("send_all", sink.send_all(&mut records)).await?;
    let results = transaction.handle().send_stream(stream::iter(numbered(9)), 3);
    assert_eq!(soon("results", results.filter(|result| std::future::ready(result.is_ok())).count()).await, 9);
    soon("commit", transaction.commit()).await?;
    let ended = soon("send", SinkExt::send(&mut sink, record("late"))).await.unwrap_err();
    assert!(matches!(ended.kind(), SendErrorKind::TransactionOver), "{ended}");

    assert_eq!(log_of(&cluster, 2).len(), 33);
    Ok(())
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn calls_of_the_service_are_sent_in_their_order_whenever_they_are_polled() -> TestResult {
    use crate::support::seconds;
    use tower::{Service, ServiceBuilder, ServiceExt};

    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).build()?;
    let mut service = ServiceBuilder::new()
        .concurrency_limit(1000)
        .map_request(|number: usize| record(number))
        .service(producer.clone());

    // Those that wait for the topic take their places when they are polled.
    let waiting = service.ready().await?.call(0);
    let dropped = service.ready().await?.call(1000);
    drop(dropped);
    soon("first call", waiting).await?;
    let mut calls = Vec::new();
    for number in 1..60 {
        calls.push(service.ready().await?.call(number));
    }
    for call in calls.into_iter().rev() {
        soon("call", call).await?;
    }

    assert!(soon("close", producer.close(seconds(10))).await.undelivered.is_empty());
    let refused = soon("call", service.ready().await?.call(60)).await.unwrap_err();
    assert!(matches!(refused.kind(), SendErrorKind::Closed), "{refused}");
    assert_eq!(refused.into_record(), Some(record(60)));
    assert_eq!(log_of(&cluster, 0), texts(0..60));
    Ok(())
}

#[test]
fn adaptors_may_go_to_other_threads() {
    fn is_send<T: Send + Unpin + 'static>(_: &T) {}
    fn check(producer: &KafkaProducer) {
        is_send(&producer.sink(1));
        is_send(&producer.send_stream(stream::empty(), 1));
    }
    let _ = check;
}
