//! Records that a handle of a topic sends, one at a time and in bursts.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::StreamExt;
use kafka_mock::{Api, Fault};
use kafka_producer::{
    Acknowledgement, BoxError, Compression, Deliveries, Headers, KafkaProducer, ProducerInterceptor,
    ProducerRecord, SendErrorKind, Serializer, StringSerializer, TopicHandle,
};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, empty, log_of, logs_of, millis, producer, record, seconds, soon,
};

const MESSAGE_TOO_LARGE: i16 = 10;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

fn of_text(producer: &KafkaProducer) -> TopicHandle<String, String> {
    producer.with_types::<String, String>().topic(TOPIC)
}

fn numbers(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn handle_sends_where_the_producer_does() -> TestResult {
    let cluster = cluster_with(1, 7).await;
    let producer = producer(&cluster);
    let orders = of_text(&producer);

    for number in 0..50 {
        let (key, value) = (format!("key-{number}"), format!("value-{number}"));
        let by_record = ProducerRecord::to(TOPIC).key(key.clone()).value(value.clone());
        let by_record = producer.send(by_record).await?;
        let by_handle = orders.send(&key, &value).await?;

        assert_eq!(by_handle.partition(), by_record.partition());
        let sizes = (by_handle.serialized_key_size(), by_handle.serialized_value_size());
        assert_eq!(sizes, (Some(key.len()), Some(value.len())));
        let log = cluster.records(TOPIC, by_handle.partition());
        let last = log.last().unwrap();
        assert_eq!(Some(last.offset), by_handle.offset());
        assert_eq!(last.timestamp, by_handle.timestamp());
        assert_eq!(
            (last.key.as_deref(), last.value.as_deref()),
            (Some(key.as_bytes()), Some(value.as_bytes()))
        );
    }
    Ok(())
}

#[tokio::test]
async fn nulls_are_null() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let orders = of_text(&producer(&cluster));
    let text = "text".to_owned();

    orders.send(None, &text).await?;
    orders.send(&text, None).await?;
    orders.enqueue(None, None).await?.await?;
    let key: Option<String> = None;
    orders.try_enqueue(&key, &text)?.await?;

    let log = cluster.records(TOPIC, 0);
    let text = Some(Bytes::from("text"));
    let parts: Vec<_> = log.iter().map(|record| (record.key.clone(), record.value.clone())).collect();
    assert_eq!(parts, [(None, text.clone()), (text.clone(), None), (None, None), (None, text)]);
    Ok(())
}

#[tokio::test]
async fn refused_record_comes_back_as_a_clone() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_request_size(500).build()?;
    let orders = of_text(&producer);
    let (key, value) = ("key".to_owned(), "v".repeat(500));

    let error = orders.send(&key, &value).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::TooLarge { setting: "max.request.size", .. }), "{error}");
    let record = error.into_record().unwrap();
    assert_eq!(record, ProducerRecord::to(TOPIC).key(key.clone()).value(value.clone()));
    assert!(matches!(orders.try_enqueue(&key, &value), Err(SendErrorKind::TooLarge { .. })));

    let _ = producer.close(seconds(60)).await;
    let error = orders.enqueue(&key, &key).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::Closed), "{error}");
    assert!(matches!(orders.try_enqueue(&key, &key), Err(SendErrorKind::Closed)));
    let error = orders.enqueue_all(std::slice::from_ref(&key), &mut Deliveries::new()).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::Closed), "{error}");
    Ok(())
}

#[tokio::test]
async fn name_that_cannot_be_asked_for_is_told_by_every_call() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let nowhere = producer(&cluster).topic("n".repeat(40_000));
    let value = Bytes::from("value");

    let error = nowhere.send(None, &value).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::InvalidRecord(_)), "{error}");
    assert!(matches!(nowhere.try_enqueue(None, &value), Err(SendErrorKind::InvalidRecord(_))));
    let error = nowhere.enqueue_all(&[value], &mut Deliveries::new()).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::InvalidRecord(_)), "{error}");
    Ok(())
}

#[tokio::test]
async fn handle_follows_its_topic_to_more_partitions() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).metadata_max_age(millis(20)).build()?;
    let orders = of_text(&producer);
    let keys = numbers(0..100);
    orders.send(&keys[0], &keys[0]).await?;

    cluster.add_partitions(TOPIC, 8)?;
    soon("new partitions", async {
        while orders.send(&keys[1], &keys[1]).await.unwrap().partition() == 0 {}
    })
    .await;
    let records: Vec<_> = keys.iter().map(|key| (key.clone(), key.clone())).collect();
    let mut deliveries = Deliveries::new();
    orders.enqueue_all(&records, &mut deliveries).await?;

    for key in &keys {
        let metadata = deliveries.next().await.unwrap()?;
        let by_record = ProducerRecord::to(TOPIC).key(key.clone()).value("by record");
        assert_eq!(metadata.partition(), producer.send(by_record).await?.partition());
    }
    Ok(())
}

#[tokio::test]
async fn handle_finds_a_topic_again_that_the_producer_has_given_up() -> TestResult {
    let cluster = cluster_with(1, 2).await;
    let producer = builder(&cluster).metadata_max_idle(seconds(5)).metadata_max_age(millis(50)).build()?;
    let (orders, key) = (of_text(&producer), "key".to_owned());
    let first = orders.send(&key, &key).await?;

    for _ in 0..3 {
        tokio::time::pause();
        tokio::time::sleep(seconds(20)).await;
        tokio::time::resume();

        let again = soon("again", orders.send(&key, &key)).await?;
        assert_eq!(again.partition(), first.partition());
        let mut deliveries = Deliveries::new();
        orders.enqueue_all(&[(key.clone(), key.clone())], &mut deliveries).await?;
        deliveries.settle(0).await?;
    }
    assert_eq!(log_of(&cluster, first.partition()).len(), 7);
    Ok(())
}

/// Adds to the value, and writes down what it is told.
#[derive(Default)]
struct Adding(Mutex<Vec<Option<i64>>>);

impl ProducerInterceptor<String, String> for Adding {
    fn on_send(
        &self,
        record: &ProducerRecord<String, String>,
    ) -> Result<Option<ProducerRecord<String, String>>, BoxError> {
        let mut changed = record.clone();
        changed.value = changed.value.map(|value| format!("{value}!"));
        Ok(Some(changed))
    }

    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        self.0.lock().unwrap().push(acknowledgement.offset());
    }
}

#[tokio::test]
async fn interceptors_see_the_records_of_a_handle() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let adding = Arc::<Adding>::default();
    let typed = producer(&cluster).with_types::<String, String>().with_interceptor(Arc::clone(&adding));
    let orders = typed.topic(TOPIC);
    let texts = numbers(0..4);

    orders.send(None, &texts[0]).await?;
    orders.enqueue(None, &texts[1]).await?.await?;
    orders.try_enqueue(None, &texts[2])?.await?;
    let mut deliveries = Deliveries::new();
    orders.enqueue_all(&texts[3..], &mut deliveries).await?;
    deliveries.settle(0).await?;

    assert_eq!(log_of(&cluster, 0), ["0!", "1!", "2!", "3!"]);
    assert_eq!(*adding.0.lock().unwrap(), [0, 1, 2, 3].map(Some));
    Ok(())
}

/// Sends a record of its own for each that it serializes, and adds a header.
struct Nested(TopicHandle);

impl Serializer<String> for Nested {
    fn serialize<'a>(
        &self,
        _: &str,
        headers: &mut Headers,
        data: &'a String,
        _: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        drop(self.0.try_enqueue(None, &Bytes::from(format!("about {data}")))?);
        headers.push("nested", "yes");
        Ok(data.as_bytes())
    }
}

#[tokio::test]
async fn serializer_may_send_and_add_headers() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = producer(&cluster);
    producer.send(record("first")).await?;
    let nested = Nested(producer.topic(TOPIC));
    let orders = producer.with_serializers::<String, String>(StringSerializer, nested).topic(TOPIC);
    let records = numbers(0..200);

    let mut deliveries = Deliveries::new();
    orders.enqueue_all(&records, &mut deliveries).await?;
    deliveries.push(orders.enqueue(None, &records[0]).await?);
    deliveries.settle(0).await?;
    producer.flush().await;

    let log = cluster.records(TOPIC, 0);
    let (with, without): (Vec<_>, Vec<_>) = log.iter().partition(|record| !record.headers.is_empty());
    assert!(with.iter().all(|record| record.headers.len() == 1));
    assert_eq!(with.len(), 201);
    assert!(without.len() >= 202, "{}", without.len());
    Ok(())
}

#[tokio::test]
async fn burst_stands_in_the_log_in_its_order() -> TestResult {
    for compression in [Compression::None, Compression::Lz4] {
        let cluster = cluster_with(1, 1).await;
        let producer = builder(&cluster).batch_size(1000).compression(compression).build()?;
        let orders = of_text(&producer);
        let texts = numbers(0..3000);

        let mut deliveries = Deliveries::new();
        for part in texts.chunks(700) {
            orders.enqueue_all(part, &mut deliveries).await?;
            deliveries.push(orders.enqueue(None, &part[0]).await?);
        }

        assert_eq!(deliveries.len(), 3005);
        let mut offsets = Vec::new();
        while let Some(result) = deliveries.next().await {
            offsets.push(result?.offset().unwrap());
        }
        assert_eq!(offsets, (0..3005).collect::<Vec<i64>>());
        let expected: Vec<_> =
            texts.chunks(700).flat_map(|part| part.iter().chain(&part[..1])).cloned().collect();
        assert_eq!(log_of(&cluster, 0), expected);
        assert_eq!(producer.metrics().records_delivered, 3005);
        empty(&producer).await;
    }
    Ok(())
}

#[tokio::test]
async fn burst_without_keys_is_spread_and_loses_nothing() -> TestResult {
    let cluster = cluster_with(2, 5).await;
    let producer = builder(&cluster).batch_size(500).build()?;
    let orders = of_text(&producer);
    let texts = numbers(0..5000);

    let mut deliveries = Deliveries::new();
    orders.enqueue_all(&texts, &mut deliveries).await?;
    deliveries.settle(0).await?;

    let logs = logs_of(&cluster);
    assert!(logs.iter().all(|log| log.is_sorted_by_key(|text| text.parse::<usize>().unwrap())));
    assert!(logs.iter().filter(|log| !log.is_empty()).count() >= 3);
    let mut all: Vec<usize> = logs.concat().iter().map(|text| text.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..5000).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn burst_that_is_dropped_leaves_what_was_accepted() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(1000).buffer_memory(4000).build()?;
    let orders = of_text(&producer);
    soon("first", producer.send(record("first"))).await?;
    empty(&producer).await;
    cluster.freeze(0)?;
    let texts: Vec<_> = (0..100).map(|number| format!("{number:0>200}")).collect();

    let mut deliveries = Deliveries::new();
    {
        let mut burst = pin!(orders.enqueue_all(&texts, &mut deliveries));
        assert!(burst.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let accepted = deliveries.len();
    assert!((4..20).contains(&accepted), "{accepted}");
    let more = orders.try_enqueue(None, &texts[accepted]);
    assert!(matches!(more, Err(SendErrorKind::Full { .. })), "{more:?}");
    cluster.unfreeze(0)?;
    soon("the rest", orders.enqueue_all(&texts[accepted..], &mut deliveries)).await?;
    soon("results", deliveries.settle(0)).await?;

    assert_eq!(log_of(&cluster, 0)[1..], texts);
    empty(&producer).await;
    Ok(())
}

#[tokio::test]
async fn burst_ends_at_a_record_that_is_refused() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).max_request_size(500).build()?;
    let orders = of_text(&producer);
    let mut texts = numbers(0..300);
    texts[217] = "x".repeat(500);

    let mut deliveries = Deliveries::new();
    let error = orders.enqueue_all(&texts, &mut deliveries).await.unwrap_err();
    assert_eq!(error.into_record().unwrap().value.as_ref(), Some(&texts[217]));
    assert_eq!(deliveries.len(), 217);
    orders.enqueue_all(&texts[218..], &mut deliveries).await?;
    deliveries.settle(0).await?;

    texts.remove(217);
    assert_eq!(log_of(&cluster, 0), texts);
    Ok(())
}

#[tokio::test]
async fn results_follow_batches_that_are_split() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(4000).linger(seconds(30)).build()?;
    let orders = of_text(&producer);
    let texts = numbers(0..250);
    cluster.inject(Fault::error_code(MESSAGE_TOO_LARGE).api(Api::Produce).times(3));

    let mut deliveries = Deliveries::new();
    orders.enqueue_all(&texts, &mut deliveries).await?;
    let mut waiting = pin!(deliveries.next());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let flushed = producer.flush();
    let (first, ()) = soon("results", async { tokio::join!(waiting, flushed) }).await;

    let mut offsets = vec![first.unwrap()?.offset().unwrap()];
    while let Poll::Ready(Some(result)) = deliveries.poll_next_unpin(&mut Context::from_waker(Waker::noop()))
    {
        offsets.push(result?.offset().unwrap());
    }
    assert_eq!(offsets, (0..250).collect::<Vec<i64>>());
    assert_eq!(log_of(&cluster, 0), texts);
    assert!(cluster.batches(TOPIC, 0).len() > 1);
    Ok(())
}

#[tokio::test]
async fn failed_records_are_told_one_by_one() -> TestResult {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).batch_size(16_384).linger(seconds(30)).build()?;
    let orders = of_text(&producer);
    let texts = numbers(0..6);
    let mut deliveries = Deliveries::new();

    cluster.inject(Fault::error_code(TOPIC_AUTHORIZATION_FAILED).api(Api::Produce));
    orders.enqueue_all(&texts[..3], &mut deliveries).await?;
    producer.flush().await;
    orders.enqueue_all(&texts[3..], &mut deliveries).await?;
    producer.flush().await;

    for left in [5, 4, 3] {
        let error = deliveries.settle(0).await.unwrap_err();
        assert_eq!(error.record().unwrap().value.as_deref(), Some(texts[5 - left].as_bytes()));
        assert_eq!(deliveries.len(), left);
    }
    deliveries.settle(0).await?;
    assert!(deliveries.is_empty());
    assert!(deliveries.next().await.is_none());
    Ok(())
}
