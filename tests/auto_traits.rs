//! `Send`, `Sync`, `Unpin` and sizes of everything public: a change would break users without a word from the
//! compiler here.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};

use bytes::Bytes;
use kafka_producer::{
    Acknowledgement, Acks, BlockingRefused, BoxError, BuildError, BytesSerializer, CloseReport, Cluster,
    Compression, ConfigError, ConfigProblem, ConfigReason, Deliveries, Delivery, DeliveryError,
    DeliveryErrorKind, DialTarget, DialWith, Disposition, DoubleSerializer, ErrorCode, FloatSerializer,
    Header, HeaderName, HeaderValue, Headers, IntegerSerializer, KafkaProducer, KafkaProducerBuilder,
    LongSerializer, MetadataRecoveryStrategy, Metrics, Node, NodeId, PartitionInfo, Partitioner,
    PartitionerRecord, Persisted, ProducerConfig, ProducerInterceptor, ProducerRecord, RecordMetadata,
    RoundRobinPartitioner, SendError, SendErrorKind, SerializeToVec, SerializeWith, Serializer,
    ShortSerializer, StringSerializer, TimeSpent, Topic, TopicHandle, TopicInfo, TopicPartition,
};

fn is_shareable<T: Send + Sync + Unpin + Debug>() {}
fn is_owned<T: Send + Sync + Unpin + Debug + 'static>() {}
fn is_error<T: Error + Display + Send + Sync + Unpin + 'static>() {}
fn is_clone<T: Clone>() {}
fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn everything_may_be_sent_to_and_shared_with_other_threads() {
    is_owned::<KafkaProducer>();
    is_owned::<KafkaProducer<String, i64>>();
    is_owned::<KafkaProducerBuilder>();
    is_owned::<KafkaProducerBuilder<String, i64>>();
    is_owned::<ProducerConfig>();
    is_owned::<ProducerRecord>();
    is_owned::<ProducerRecord<String, i64>>();
    is_owned::<(Deliveries, Delivery)>();
    is_owned::<TopicHandle>();
    is_owned::<TopicHandle<String, i64>>();
    is_owned::<RecordMetadata>();
    is_owned::<CloseReport>();
    is_owned::<Metrics>();
    is_owned::<(Header, HeaderName, HeaderValue, Headers)>();
    is_owned::<(Cluster, Node, NodeId, PartitionInfo, TopicInfo)>();
    is_owned::<(Topic, TopicPartition)>();
    is_owned::<(Acks, Compression, MetadataRecoveryStrategy, ErrorCode)>();
    is_owned::<(Disposition, Persisted, TimeSpent)>();
    is_owned::<(BytesSerializer, StringSerializer, LongSerializer, IntegerSerializer, ShortSerializer)>();
    is_owned::<(DoubleSerializer, FloatSerializer, RoundRobinPartitioner)>();
    is_owned::<(SerializeToVec<fn()>, SerializeWith<fn()>)>();
    is_owned::<(DialTarget, DialWith<fn()>)>();
    is_shareable::<Acknowledgement<'_>>();
    is_shareable::<PartitionerRecord<'_>>();
}

#[test]
fn errors_are_errors_that_can_be_kept_and_passed_on() {
    is_error::<SendError>();
    is_error::<SendError<String, i64>>();
    is_error::<SendErrorKind>();
    is_error::<DeliveryError>();
    is_error::<DeliveryErrorKind>();
    is_error::<BuildError>();
    is_error::<BlockingRefused>();
    is_error::<ConfigError>();
    is_owned::<(ConfigProblem, ConfigReason)>();
    is_clone::<SendError>();
    is_clone::<DeliveryError>();
    is_clone::<BuildError>();
}

/// As `?` needs it, from each operation to each usual kind of error.
#[test]
fn errors_turn_into_boxes() {
    fn turns_into<T>()
    where
        Box<dyn Error>: From<T>,
        BoxError: From<T>,
    {
    }
    turns_into::<SendError>();
    turns_into::<DeliveryError>();
    turns_into::<BuildError>();
}

#[test]
fn handles_are_clones_and_records_too() {
    is_clone::<KafkaProducer>();
    is_clone::<RecordMetadata>();
    is_clone::<ProducerRecord<String, i64>>();
    is_clone::<ProducerConfig>();
    is_clone::<Cluster>();
}

/// A handle does not need its keys and values to be clones.
#[test]
fn producer_of_types_that_are_no_clones_is_one() {
    struct NoClone;
    is_clone::<KafkaProducer<NoClone, NoClone>>();
}

#[test]
fn extension_points_are_objects() {
    fn is_object<T: ?Sized>() {}
    is_object::<dyn Partitioner>();
    is_object::<dyn ProducerInterceptor>();
    is_object::<dyn ProducerInterceptor<String, i64>>();
    is_object::<dyn Serializer<String>>();
}

/// Tasks that send can be spawned.
#[test]
fn futures_may_be_sent_to_other_threads() {
    fn is_send<F: Future + Send>(_: impl FnOnce(&'static KafkaProducer) -> F) {}
    is_send(|producer| producer.send(ProducerRecord::to("t")));
    is_send(|producer| producer.enqueue(ProducerRecord::to("t")));
    is_send(|producer| producer.send_all([ProducerRecord::to("t")]));
    is_send(|producer| producer.send_timeout(ProducerRecord::to("t"), std::time::Duration::ZERO));
    is_send(|producer| producer.enqueue_timeout(ProducerRecord::to("t"), std::time::Duration::ZERO));
    is_send(|producer| producer.flush());
    is_send(|producer| producer.close(std::time::Duration::ZERO));
    is_send(|producer| producer.partitions_for("t"));
    is_send(|producer| async move {
        let (topic, value, mut deliveries) = (producer.topic("t"), Bytes::from("v"), Deliveries::new());
        drop(topic.send(None, &value).await);
        drop(topic.enqueue(&value, &value).await);
        drop(topic.enqueue_all(&[(value.clone(), value)], &mut deliveries).await);
        drop(deliveries.settle(0).await);
    });
}

#[test]
fn values_may_cross_a_caught_panic() {
    is_unwind_safe::<ProducerRecord>();
    is_unwind_safe::<ProducerConfig>();
    is_unwind_safe::<Topic>();
}

/// One per record in flight; a million of them are 40 MB.
#[test]
fn what_there_is_one_of_for_each_record_is_small() {
    assert!(size_of::<Delivery>() <= 40, "{}", size_of::<Delivery>());
    assert!(size_of::<RecordMetadata>() <= 56, "{}", size_of::<RecordMetadata>());
    assert!(size_of::<ProducerRecord>() <= 120, "{}", size_of::<ProducerRecord>());
    assert!(size_of::<SendError>() <= 16, "{}", size_of::<SendError>());
    assert!(size_of::<DeliveryError>() <= 16, "{}", size_of::<DeliveryError>());
    // What all handles share, and what they know of types.
    assert_eq!(size_of::<KafkaProducer>(), 2 * size_of::<usize>());
}

/// Futures live in the callers' own.
#[test]
fn futures_of_sending_are_not_large() {
    fn size_of_future<F: Future>(_: impl FnOnce(&'static KafkaProducer) -> F) -> usize {
        size_of::<F>()
    }
    let enqueue = size_of_future(|producer| producer.enqueue(ProducerRecord::to("t")));
    let send = size_of_future(|producer| producer.send(ProducerRecord::to("t")));
    assert!(enqueue <= 1500, "{enqueue}");
    assert!(send <= 1800, "{send}");
}
