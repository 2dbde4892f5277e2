//! What errors give back, and what they advise.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use crate::protocol::ErrorCode;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{HEADER_LEN, ProducerIdentity, RecordBatchBuilder, RecordRef};
use crate::record::{Headers, ProducerRecord};
use crate::topic_partition::{NodeId, Topic, TopicPartition};

use super::*;

fn batch(values: &[&str]) -> FailedBatch {
    let mut bytes = vec![0; HEADER_LEN];
    let mut builder = RecordBatchBuilder::default();
    let headers = Headers::from([("h", "1")]);
    for value in values {
        let record =
            RecordRef { timestamp: 7, key: Some(b"k"), value: Some(value.as_bytes()), headers: &headers };
        builder.append(&mut bytes, &record, record.payload_len());
    }
    builder.seal(&mut bytes, Compression::None, ProducerIdentity::NONE);
    FailedBatch::new(bytes.into(), Compression::None, 0)
}

fn failure(kind: DeliveryErrorKind, persisted: Persisted) -> BatchFailure {
    BatchFailure {
        kind,
        persisted,
        topic_partition: TopicPartition::new("orders", 2),
        time_spent: TimeSpent::default(),
        record_errors: Vec::new(),
        why: None,
        last_words: None,
        batch: batch(&["first", "second"]),
    }
}

fn delivery_error(kind: DeliveryErrorKind) -> DeliveryError {
    DeliveryError::new(Arc::new(failure(kind, Persisted::Maybe)), 1)
}

fn broker(code: ErrorCode) -> DeliveryErrorKind {
    DeliveryErrorKind::Broker { code, message: None }
}

fn report(state: BrokerState) -> BrokerReport {
    BrokerReport {
        node: Some(NodeId(1)),
        host: Arc::from("kafka-1"),
        port: 9092,
        state,
        failures: 0,
        failing_for: None,
        last_failure: None,
        throttled_for: None,
    }
}

/// A broker that has refused 57 connections.
fn refusing() -> BrokerReport {
    let text = Arc::from("connection refused");
    let system = Arc::new(io::Error::from_raw_os_error(111));
    let failure = BrokerFailure::new(ConnectionStep::Connect, text, Duration::ZERO, Some(system));
    BrokerReport {
        failures: 57,
        failing_for: Some(Duration::from_secs(60)),
        last_failure: Some(failure),
        ..report(BrokerState::Disconnected)
    }
}

/// One of each kind that a `SendError` can have before a record is accepted.
#[expect(clippy::too_many_lines, reason = "a table")]
fn refusals() -> Vec<(SendErrorKind, Disposition, &'static str)> {
    let topic = || Topic::from("orders");
    let source = || -> SharedError { Arc::new(io::Error::other("of the user's")) };
    let second = Duration::from_secs(1);
    vec![
        (SendErrorKind::Closed, Disposition::NewProducer, "the producer is closed"),
        (
            SendErrorKind::Full { needed: 10, available: 3, limit: 20 },
            Disposition::RetryLater,
            "buffer.memory of 20 is full: 10 bytes are needed, and 3 are free for the partition",
        ),
        (SendErrorKind::InvalidRecord("bad".to_owned()), Disposition::FixRecord, "bad"),
        (
            SendErrorKind::MemoryTimeout {
                needed: 10,
                limit: 20,
                metadata_wait: second,
                memory_wait: second,
                within: "max.block.ms",
            },
            Disposition::RetryLater,
            "no 10 bytes of buffer.memory (20) became free within max.block.ms: waited 1 s after 1 s for metadata",
        ),
        (
            SendErrorKind::MetadataTimeout {
                topic: topic(),
                partition: Some(7),
                partition_count: Some(2),
                waited: second,
                cause: None,
                obstacle: None,
                brokers: vec![report(BrokerState::Connected)],
                within: "max.block.ms",
            },
            Disposition::RetryLater,
            "partition 7 of topic \"orders\" with 2 partitions not in metadata after 1 s (max.block.ms)",
        ),
        (
            SendErrorKind::MetadataTimeout {
                topic: topic(),
                partition: None,
                partition_count: None,
                waited: second,
                cause: None,
                obstacle: Some("the answer of broker kafka-1:9092 cannot be read".to_owned()),
                brokers: Vec::new(),
                within: "max.block.ms",
            },
            Disposition::RetryLater,
            "topic \"orders\" not in metadata after 1 s (max.block.ms): the answer of broker kafka-1:9092 cannot be read",
        ),
        (
            SendErrorKind::MetadataTimeout {
                topic: topic(),
                partition: None,
                partition_count: None,
                waited: second,
                cause: None,
                obstacle: None,
                brokers: vec![refusing()],
                within: "max.block.ms",
            },
            Disposition::RetryLater,
            "topic \"orders\" not in metadata after 1 s (max.block.ms): no broker can be reached (kafka-1:9092: connection refused, 57 attempts in 60 s)",
        ),
        (
            SendErrorKind::Partitioner { topic: topic(), source: source() },
            Disposition::FixRecord,
            "the partitioner failed for topic \"orders\"",
        ),
        (
            SendErrorKind::PartitionOutOfRange { topic: topic(), partition: -1, partition_count: 2 },
            Disposition::FixRecord,
            "partition -1 was chosen for topic \"orders\", which has 2 partitions",
        ),
        (
            SendErrorKind::Serialization { topic: topic(), part: "key", source: source() },
            Disposition::FixRecord,
            "the key of a record for topic \"orders\" cannot be serialized",
        ),
        (
            SendErrorKind::Stopped { topic: topic(), partition: 3 },
            Disposition::ResumePartition,
            "partition 3 of topic \"orders\" is stopped by fail_stop",
        ),
        (
            SendErrorKind::TooLarge { size: 9, limit: 8, setting: "max.request.size" },
            Disposition::FixRecord,
            "record of 9 bytes exceeds max.request.size of 8",
        ),
        (
            SendErrorKind::TopicUnknown { topic: topic(), partition: None, partition_count: None },
            Disposition::RetryLater,
            "topic \"orders\" not in metadata yet",
        ),
    ]
}

#[test]
fn sources_lead_from_the_broker_to_what_the_system_said() {
    let kind = SendErrorKind::MetadataTimeout {
        topic: Topic::from("orders"),
        partition: None,
        partition_count: None,
        waited: Duration::from_secs(60),
        cause: None,
        obstacle: None,
        brokers: vec![refusing()],
        within: "max.block.ms",
    };
    let error: SendError = SendError::refused(kind, ProducerRecord::to("orders").value("v"));

    let failure = error.source().unwrap();

    assert_eq!(failure.downcast_ref::<BrokerFailure>(), refusing().last_failure.as_ref());
    let system = failure.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(system.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn refused_record_was_not_written_and_comes_back() {
    for (kind, disposition, message) in refusals() {
        let record = ProducerRecord::to("orders").value("v");

        let error: SendError = SendError::refused(kind, record.clone());

        assert_eq!(error.kind().to_string(), message);
        let remedy = error.kind().remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        assert_eq!(error.to_string(), format!("{message}; not sent{remedy}"));
        assert_eq!(error.disposition(), disposition, "{message}");
        assert_eq!(error.is_retriable(), disposition == Disposition::RetryLater);
        assert_eq!(error.persisted(), Persisted::No);
        assert!(error.delivery_error().is_none());
        assert_eq!(error.record(), Some(record.clone()));
        assert_eq!(error.into_record(), Some(record));
    }
}

#[test]
fn remedies_name_what_is_to_be_changed() {
    let topic = || Topic::from("orders");
    let metadata_timeout_of =
        |partition_count, cause, obstacle: Option<&str>, brokers| SendErrorKind::MetadataTimeout {
            topic: topic(),
            partition: None,
            partition_count,
            waited: Duration::ZERO,
            cause,
            obstacle: obstacle.map(str::to_owned),
            brokers,
            within: "max.block.ms",
        };
    let metadata_timeout = |partition_count, cause, obstacle| {
        metadata_timeout_of(partition_count, cause, obstacle, vec![report(BrokerState::Connected)])
    };
    for (kind, remedy) in [
        (metadata_timeout_of(None, None, None, vec![refusing()]), "bootstrap.servers"),
        (metadata_timeout(None, None, Some("refused")), "bootstrap.servers"),
        (metadata_timeout(Some(2), None, None), "choose a partition of 0 to 1"),
        (metadata_timeout(None, Some(ErrorCode::UnknownTopicOrPartition), None), "auto.create.topics.enable"),
        (metadata_timeout(None, None, None), "max.block.ms"),
        (
            SendErrorKind::TopicRefused { topic: topic(), code: ErrorCode::InvalidTopicException },
            "249 ASCII letters, digits, '.', '_' and '-'",
        ),
        (SendErrorKind::TopicRefused { topic: topic(), code: ErrorCode::TopicAuthorizationFailed }, "WRITE"),
        (SendErrorKind::TooLarge { size: 9, limit: 8, setting: "max.request.size" }, "max.message.bytes"),
        (SendErrorKind::TooLarge { size: 9, limit: 8, setting: "buffer.memory" }, "raise buffer.memory"),
    ] {
        let told = kind.remedy().unwrap();
        assert!(told.contains(remedy), "{told}");
    }
    for (code, remedy) in [
        (ErrorCode::MessageTooLarge, "max.message.bytes"),
        (ErrorCode::NotEnoughReplicas, "min.insync.replicas"),
        (ErrorCode::ClusterAuthorizationFailed, "enable.idempotence=false"),
        (ErrorCode::InvalidRecord, "cleanup.policy"),
        (ErrorCode::RequestTimedOut, "send it again later"),
    ] {
        let told = broker(code).remedy().unwrap();
        assert!(told.contains(remedy), "{told}");
    }
}

/// Whatever a broker answers, the error fits into a line of a log.
#[test]
fn errors_are_lines_of_bounded_length() {
    for code in (-1..=140).map(ErrorCode::from) {
        for kind in [broker(code), DeliveryErrorKind::BatchRefused { code }] {
            let text = delivery_error(kind).to_string();
            assert!(text.len() <= 230 && !text.contains('\n'), "{text}");
        }
    }
    for (kind, ..) in refusals() {
        let text = SendError::<Bytes, Bytes>::refused(kind, ProducerRecord::to("orders")).to_string();
        assert!(text.len() <= 230 && !text.contains('\n'), "{text}");
    }
}

#[test]
fn refused_topic_advises_by_its_code() {
    let refused = |code| {
        let kind = SendErrorKind::TopicRefused { topic: Topic::from("orders"), code };
        SendError::<Bytes, Bytes>::refused(kind, ProducerRecord::to("orders")).disposition()
    };

    assert_eq!(refused(ErrorCode::TopicAuthorizationFailed), Disposition::FixConfiguration);
    assert_eq!(refused(ErrorCode::InvalidTopicException), Disposition::of(ErrorCode::InvalidTopicException));
}

/// What a broker said last decides, by the same table as its refusals.
#[test]
fn timeouts_advise_by_the_last_answer() {
    let answers = [None, Some(ErrorCode::UnknownTopicOrPartition), Some(ErrorCode::InvalidProducerEpoch)];
    for (last_error, disposition) in answers.into_iter().zip([
        Disposition::RetryLater,
        Disposition::RetryLater,
        Disposition::of(ErrorCode::InvalidProducerEpoch),
    ]) {
        let spent = TimeSpent { last_error, ..TimeSpent::default() };
        assert_eq!(delivery_error(DeliveryErrorKind::TimedOut(Box::new(spent))).disposition(), disposition);
    }

    let timeout = |cause, obstacle: Option<&str>, brokers| {
        let kind = SendErrorKind::MetadataTimeout {
            topic: Topic::from("orders"),
            partition: None,
            partition_count: None,
            waited: Duration::ZERO,
            cause,
            obstacle: obstacle.map(str::to_owned),
            brokers,
            within: "max.block.ms",
        };
        SendError::<Bytes, Bytes>::refused(kind, ProducerRecord::to("orders")).disposition()
    };
    let refusal = Some(ErrorCode::ClusterAuthorizationFailed);
    assert_eq!(timeout(refusal, None, Vec::new()), Disposition::FixConfiguration);
    assert_eq!(timeout(refusal, Some("unreadable"), Vec::new()), Disposition::RetryLater);
    assert_eq!(timeout(refusal, None, vec![refusing()]), Disposition::RetryLater);
    assert_eq!(timeout(Some(ErrorCode::UnknownTopicOrPartition), None, Vec::new()), Disposition::RetryLater);
}

#[test]
fn error_of_the_user_is_the_source() {
    for (kind, ..) in refusals() {
        if matches!(kind, SendErrorKind::MetadataTimeout { .. }) {
            continue;
        }
        let has_source =
            matches!(kind, SendErrorKind::Partitioner { .. } | SendErrorKind::Serialization { .. });
        let error: SendError = SendError::refused(kind, ProducerRecord::to("orders"));

        assert_eq!(error.source().map(ToString::to_string), has_source.then(|| "of the user's".to_owned()));
    }
}

#[test]
fn accepted_record_comes_back_from_its_batch() {
    let error: SendError = delivery_error(broker(ErrorCode::InvalidRecord)).into();

    let record = error.record().unwrap();
    assert_eq!((&*record.topic, record.partition, record.timestamp), ("orders", Some(2), Some(7)));
    assert_eq!((record.key.unwrap(), record.value.unwrap()), (Bytes::from("k"), Bytes::from("second")));
    assert_eq!(record.headers, Headers::from([("h", "1")]));
    assert_eq!(error.persisted(), Persisted::Maybe);
    assert!(error.into_record().is_none());
}

#[test]
fn batch_that_cannot_be_read_gives_no_record_and_no_panic() {
    for bytes in [Bytes::new(), Bytes::from(vec![0xff; 100])] {
        let mut failure = failure(DeliveryErrorKind::Closed, Persisted::No);
        failure.batch = FailedBatch::new(bytes, Compression::Lz4, 1000);

        assert!(DeliveryError::new(Arc::new(failure), 0).record().is_none());
    }
}

#[test]
fn culprit_and_innocent_are_told_apart() {
    let mut failure = failure(broker(ErrorCode::InvalidRecord), Persisted::No);
    failure.record_errors = vec![(1, Some("no key".to_owned()))];
    let failure = Arc::new(failure);

    let innocent = DeliveryError::new(Arc::clone(&failure), 0);
    let culprit = DeliveryError::new(failure, 1);

    assert_eq!(innocent.kind(), DeliveryErrorKind::BatchRefused { code: ErrorCode::InvalidRecord });
    assert!(innocent.is_retriable());
    assert_eq!(culprit.disposition(), Disposition::FixRecord);
    assert!(culprit.kind().to_string().ends_with("no key"));
    assert_eq!((innocent.error_code(), culprit.error_code()), (culprit.error_code(), innocent.error_code()));
}

fn reset() -> BrokerFailure {
    BrokerFailure::new(ConnectionStep::Ready, "connection reset".into(), Duration::ZERO, None)
}

/// What the broker says decides what to do, so an operator wants to read it, too.
#[test]
fn record_that_times_out_tells_the_last_words_of_the_broker() {
    let spent = TimeSpent {
        backoff: Duration::from_secs(120),
        attempts: 400,
        last_error: Some(ErrorCode::NotEnoughReplicas),
        leader_known: true,
        ..TimeSpent::default()
    };
    let mut failure = failure(DeliveryErrorKind::TimedOut(Box::new(spent)), Persisted::No);
    failure.last_words = Some(format!("1 of 2 replicas\nare in sync{}", " and".repeat(100)));

    let error = DeliveryError::new(Arc::new(failure), 0);

    let text = error.to_string();
    assert!(text.contains(" (19): 1 of 2 replicas are in sync and and"), "{text}");
    assert!(text.contains("…; not written; bring replicas back"), "{text}");
    assert!(error.broker_message().unwrap().ends_with("and and"));
}

#[test]
fn lost_connection_is_the_source_of_its_error() {
    let error =
        delivery_error(DeliveryErrorKind::Disconnected { broker: "1 (one:9092)".into(), failure: reset() });

    assert!(error.source().unwrap().is::<BrokerFailure>());
    assert_eq!(error.source().unwrap().to_string(), "while in use: connection reset");
    assert!(error.kind().source().unwrap().is::<BrokerFailure>());
}

#[test]
fn stage_that_took_longest_decides_what_to_do() {
    let second = Duration::from_secs(1);
    let backoff = TimeSpent { backoff: second, ..TimeSpent::default() };
    for (spent, remedy) in [
        (TimeSpent { throttled: 2 * second, ..backoff }, "producer_byte_rate"),
        (TimeSpent { no_leader: 2 * second, ..backoff }, "replica"),
        (TimeSpent { disconnected: 2 * second, ..backoff }, "check the broker"),
        (TimeSpent { throttled: second, ..backoff }, "check the broker"),
        (TimeSpent::default(), "check the broker"),
    ] {
        let advice = DeliveryErrorKind::TimedOut(Box::new(spent)).remedy().unwrap();
        assert!(advice.contains(remedy), "{advice}");
    }
}

#[test]
fn failed_delivery_says_what_to_do() {
    let timed_out = DeliveryErrorKind::TimedOut(Box::default());
    for (kind, disposition) in [
        (DeliveryErrorKind::Closed, Disposition::NewProducer),
        (DeliveryErrorKind::RuntimeShutdown, Disposition::NewProducer),
        (
            DeliveryErrorKind::Disconnected { broker: "1 (one:9092)".into(), failure: reset() },
            Disposition::RetryLater,
        ),
        (DeliveryErrorKind::NotSentAgain("it may be in the log".to_owned()), Disposition::RetryLater),
        (timed_out, Disposition::RetryLater),
        (
            DeliveryErrorKind::AuthenticationFailed { reason: "no".to_owned(), spent: Box::default() },
            Disposition::FixConfiguration,
        ),
        (DeliveryErrorKind::Stopped, Disposition::ResumePartition),
        (DeliveryErrorKind::UnsupportedCompression(Compression::Zstd), Disposition::FixConfiguration),
        (DeliveryErrorKind::UnsupportedVersion, Disposition::FixConfiguration),
        (broker(ErrorCode::MessageTooLarge), Disposition::of(ErrorCode::MessageTooLarge)),
        (broker(ErrorCode::NotEnoughReplicas), Disposition::RetryLater),
    ] {
        let error = delivery_error(kind.clone());

        assert_eq!(error.disposition(), disposition, "{kind:?}");
        let remedy = kind.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        assert_eq!(error.to_string(), format!("record for orders-2: {kind}; may have been written{remedy}"));
    }
}

#[test]
fn time_spent_names_only_where_time_went() {
    let spent = TimeSpent {
        metadata: Duration::from_millis(5),
        linger: Duration::from_secs(2),
        in_flight: Duration::from_secs(30),
        attempts: 2,
        last_error: Some(ErrorCode::RequestTimedOut),
        leader_known: false,
        ..TimeSpent::default()
    };

    let text = spent.to_string();

    assert_eq!(
        text,
        format!(
            "lingering 2 s, in flight 30 s, 2 attempts, leader unknown, last answer {}",
            ErrorCode::RequestTimedOut
        )
    );
    let tried = |attempts| TimeSpent { attempts, leader_known: true, ..TimeSpent::default() }.to_string();
    assert_eq!([tried(0), tried(1), tried(2)], ["0 attempts", "1 attempt", "2 attempts"]);
}

#[test]
fn errors_are_small_and_can_go_anywhere() {
    fn assert_good<T: StdError + Clone + Send + Sync + 'static>() {}
    assert_good::<SendError>();
    assert_good::<DeliveryError>();

    assert!(size_of::<SendError>() <= 8, "a box");
    assert!(size_of::<DeliveryError>() <= 16);
}

#[test]
fn debug_shows_no_contents_of_records() {
    let accepted = delivery_error(DeliveryErrorKind::Closed);
    let refused: SendError =
        SendError::refused(SendErrorKind::Closed, ProducerRecord::to("orders").value("secret"));

    assert!(!format!("{accepted:?} {refused:?}").contains("sec"), "{accepted:?} {refused:?}");
}

#[test]
fn error_names_the_partition_as_far_as_it_is_known() {
    let refused = |kind, record| SendError::<Bytes, Bytes>::refused(kind, record).topic_partition();
    let record = || ProducerRecord::to("orders");
    let stopped = SendErrorKind::Stopped { topic: Topic::from("orders"), partition: 7 };

    assert_eq!(refused(SendErrorKind::Closed, record()), None);
    assert_eq!(refused(SendErrorKind::Closed, record().partition(2)), Some(TopicPartition::new("orders", 2)));
    assert_eq!(refused(stopped, record()), Some(TopicPartition::new("orders", 7)));
    let under_way = SendError::<Bytes, Bytes>::under_way(TopicPartition::new("orders", 3), Duration::ZERO);
    assert_eq!(under_way.topic_partition(), Some(TopicPartition::new("orders", 3)));
}
