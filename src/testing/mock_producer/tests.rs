use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::{FutureExt, SinkExt, StreamExt, stream};

use crate::pipeline::{StringSerializer, serialize_with};
use crate::producer::block_on;

use super::*;

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn record(value: &'static str) -> ProducerRecord {
    ProducerRecord::to("orders").value(value)
}

fn offset(delivery: &Delivery) -> Option<i64> {
    delivery.try_result()?.unwrap().offset()
}

#[test]
fn records_are_delivered_at_once_and_kept() {
    let producer = MockProducer::new();

    let Poll::Ready(metadata) = poll(&mut producer.send(record("a").key("k").timestamp(77))) else {
        panic!()
    };
    let metadata = metadata.unwrap();

    assert_eq!(metadata.to_string(), "orders-0@0");
    assert_eq!((metadata.timestamp(), metadata.serialized_key_size()), (77, Some(1)));
    assert_eq!(offset(&producer.try_enqueue(record("b")).unwrap()), Some(1));
    let values: Vec<_> = producer.history().into_iter().map(|record| record.value.unwrap()).collect();
    assert_eq!(values, ["a", "b"]);
    assert_eq!(producer.pending(), 0);
}

#[test]
fn records_wait_for_the_test_in_their_order() {
    let producer = MockProducer::new();
    producer.set_auto_complete(false);
    let [first, second, third] = ["a", "b", "c"].map(|value| producer.try_enqueue(record(value)).unwrap());
    assert_eq!((producer.pending(), offset(&first)), (3, None));

    assert!(producer.complete_next());
    assert!(producer.error_next(DeliveryErrorKind::Purged, Persisted::Maybe));
    assert!(producer.complete_next());

    assert!(!producer.complete_next() && !producer.error_next(DeliveryErrorKind::Purged, Persisted::No));
    // A record that failed has taken no offset.
    assert_eq!((offset(&first), offset(&third)), (Some(0), Some(1)));
    let error = second.try_result().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Purged, Persisted::Maybe));
    assert_eq!(error.record().unwrap().value.unwrap(), "b");
}

#[test]
fn flush_delivers_what_waits_and_is_counted() {
    let producer = MockProducer::new();
    producer.set_auto_complete(false);
    let delivery = producer.try_enqueue(record("a")).unwrap();

    // Like that of a producer, it does nothing unless it is polled.
    drop(SendRecords::flush(&producer));
    assert_eq!(producer.flushes(), 0);
    assert!(poll(&mut producer.flush()).is_ready());

    assert_eq!((offset(&delivery), producer.flushes()), (Some(0), 1));
}

#[test]
fn records_that_wait_come_before_those_that_are_delivered_at_once() {
    let producer = MockProducer::new();
    producer.set_auto_complete(false);
    let first = producer.try_enqueue(record("a")).unwrap();

    producer.set_auto_complete(true);

    let second = producer.try_enqueue(record("b")).unwrap();
    assert_eq!((offset(&first), offset(&second)), (Some(0), Some(1)));
}

#[test]
fn next_record_is_refused_or_fails_as_the_test_says() {
    let producer = MockProducer::new();
    producer.refuse(SendErrorKind::Closed);
    producer.fail(DeliveryErrorKind::Purged, Persisted::No);

    let refused = producer.try_enqueue(record("a")).unwrap_err();
    let failed = producer.try_enqueue(record("b")).unwrap().try_result().unwrap().unwrap_err();
    let delivered = producer.try_enqueue(record("c")).unwrap();

    assert!(matches!(refused.kind(), SendErrorKind::Closed));
    assert_eq!(refused.into_record().unwrap().value.unwrap(), "a");
    assert_eq!(failed.kind(), DeliveryErrorKind::Purged);
    assert_eq!((offset(&delivered), producer.history().len()), (Some(0), 2));
}

#[test]
fn keys_go_where_kafka_sends_them() {
    let producer = MockProducer::new();
    producer.set_partitions("orders", 10);
    let partition = |record| producer.try_enqueue(record).unwrap().topic_partition().partition;

    // Kafka's `Utils.toPositive(Utils.murmur2("21".getBytes())) % 10`: murmur2 of "21" is -973932308 (UtilsTest).
    let expected = (-973_932_308_i32 & i32::MAX) % 10;

    assert_eq!(partition(record("a").key("21")), expected);
    assert_eq!(partition(record("a").partition(7)), 7);
    assert_eq!(partition(record("a")), 0);
    let error = producer.try_enqueue(record("a").partition(10)).unwrap_err();
    assert!(matches!(
        error.kind(),
        SendErrorKind::PartitionOutOfRange { partition: 10, partition_count: 10, .. }
    ));
}

#[test]
fn serializers_run_and_may_fail() {
    let picky = serialize_with(|number: &u8, out: &mut Vec<u8>| {
        out.push(*number);
        if *number == 13 { Err("unlucky") } else { Ok(()) }
    });
    let producer = MockProducer::<String, u8>::with_serializers(StringSerializer, picky);
    let record = |number| ProducerRecord::<String, u8>::to("numbers").key("k").value(number);

    let metadata = producer.try_enqueue(record(7)).unwrap().try_result().unwrap().unwrap();
    let error = producer.try_enqueue(record(13)).unwrap_err();

    assert_eq!(metadata.serialized_value_size(), Some(1));
    assert!(matches!(error.kind(), SendErrorKind::Serialization { part: "value", .. }));
    assert_eq!(error.into_record().unwrap().value, Some(13));
    assert_eq!(producer.history().len(), 1);
}

#[test]
fn closed_producer_has_delivered_what_waited_and_refuses_more() {
    let producer = MockProducer::new();
    producer.set_auto_complete(false);
    let delivery = producer.try_enqueue(record("a")).unwrap();

    producer.close();

    assert_eq!(offset(&delivery), Some(0));
    let error = producer.try_enqueue(record("b")).unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::Closed));
}

#[test]
fn cleared_producer_goes_on_with_what_waits() {
    let producer = MockProducer::new();
    producer.set_auto_complete(false);
    let delivery = producer.try_enqueue(record("a")).unwrap();
    producer.refuse(SendErrorKind::Closed);

    producer.clear();

    assert!(producer.history().is_empty() && producer.flushes() == 0);
    assert!(producer.complete_next());
    assert_eq!(offset(&delivery), Some(0));
    assert!(producer.try_enqueue(record("b")).is_ok());
}

#[test]
fn trait_is_used_through_any_pointer() {
    fn send(producer: &dyn SendRecords, value: &'static str) -> Option<i64> {
        offset(&producer.try_enqueue(record(value)).unwrap())
    }

    let producer = MockProducer::new();
    let shared: Arc<dyn SendRecords> = Arc::new(producer.clone());

    assert_eq!(send(&producer, "a"), Some(0));
    assert_eq!(send(&shared, "b"), Some(1));
    assert_eq!(send(&&shared, "c"), Some(2));
}

#[test]
fn stream_and_sink_send_to_the_mock_as_to_a_producer() {
    let (producer, count) = (MockProducer::<Bytes, Bytes>::new(), 10);
    producer.refuse(SendErrorKind::Closed);
    let records =
        || stream::iter(0..count).map(|number: i32| ProducerRecord::to("t").value(number.to_string()));

    let results: Vec<_> = block_on(producer.send_stream(records(), 3).collect()).unwrap();
    assert_eq!(
        results.iter().map(Result::is_ok).collect::<Vec<_>>(),
        (0..count).map(|n| n > 0).collect::<Vec<_>>()
    );

    producer.clear();
    producer.set_auto_complete(false);
    let mut sink = producer.sink(3);
    assert!(sink.send_all(&mut records().map(Ok)).now_or_never().is_none());
    assert_eq!((producer.pending(), sink.outstanding()), (3, 3));
    producer.set_auto_complete(true);
    block_on(sink.send_all(&mut records().map(Ok))).unwrap().unwrap();
    assert_eq!(producer.history().len(), 13);
}
