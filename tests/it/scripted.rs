//! Answers that `kafka-mock` does not give: errors of single records, and answers that make no sense.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kafka_producer::{
    Acks, DeliveryErrorKind, Disposition, ErrorCode, KafkaProducer, KafkaProducerBuilder, Persisted,
    SendErrorKind,
};
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, ProduceResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use self::broker::{
    Answer, Produce, ScriptedBroker, all_written, raw, refused, response, topic_name, written,
};
use crate::support::{
    TOPIC, TestResult, builder_at, delivered, enqueue_all, millis, record_for, run_out, seconds, skip_time,
    soon, until,
};

mod broker;

fn builder(broker: &ScriptedBroker) -> KafkaProducerBuilder {
    builder_at(&broker.address)
}

/// A broker that does something else with the first request, and a producer.
async fn first_answer(
    answer: impl Fn(&Produce) -> Answer + Send + Sync + 'static,
) -> (ScriptedBroker, KafkaProducer) {
    let script =
        move |produce: &Produce| if produce.number == 0 { answer(produce) } else { all_written(produce) };
    let broker = ScriptedBroker::start(script).await;
    let producer = builder(&broker).linger(millis(5)).build().unwrap();
    (broker, producer)
}

fn culprit(index: i32, message: Option<&'static str>) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage::default()
        .with_batch_index(index)
        .with_batch_index_error_message(message.map(StrBytes::from_static_str))
}

/// Some test brokers answer what is not to be answered.
#[tokio::test]
async fn broker_that_answers_requests_without_acks_gets_every_record() -> TestResult {
    let records = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&records);
    let broker = ScriptedBroker::start(move |produce| {
        // The count of records stands behind the 57 bytes of a batch's header before it.
        let count = |batch: &Bytes| u32::from_be_bytes(batch[57..61].try_into().unwrap());
        counter.fetch_add(produce.batches.values().map(count).sum::<u32>() as usize, Ordering::SeqCst);
        all_written(produce)
    })
    .await;
    let producer = builder(&broker).acks(Acks::None).build()?;

    delivered(enqueue_all(&producer, (0..5000).map(|i| record_for(i % 3, i))).await).await;

    until("every record has come", || records.load(Ordering::SeqCst) == 5000).await;
    Ok(())
}

/// KIP-467. Java (`testRecordErrorPropagatedToApplication`) fails the innocent records too.
#[tokio::test]
async fn innocent_records_of_a_refused_batch_are_delivered() -> TestResult {
    let (_broker, producer) = first_answer(|_| {
        Answer::Partitions(vec![
            refused(0, 87)
                .with_error_message(Some(StrBytes::from_static_str("of the batch")))
                .with_record_errors(vec![culprit(1, Some("of the record")), culprit(3, None)]),
        ])
    })
    .await;

    let deliveries = enqueue_all(&producer, (0..5).map(|i| record_for(0, i))).await;
    soon("flush", producer.flush()).await;
    let results: Vec<_> = deliveries.iter().map(|delivery| delivery.try_result().unwrap()).collect();

    for (i, message) in [(1, "of the record"), (3, "of the batch")] {
        let error = results[i].as_ref().unwrap_err();
        let message = Some(message.to_owned());
        assert_eq!(error.kind(), DeliveryErrorKind::Broker { code: ErrorCode::InvalidRecord, message });
        assert_eq!((error.disposition(), error.persisted()), (Disposition::FixRecord, Persisted::No));
        assert_eq!(error.record().unwrap().value.unwrap(), i.to_string());
    }
    let offsets = [0, 2, 4].map(|i| results[i].as_ref().unwrap().offset().unwrap());
    assert_eq!([offsets[1] - offsets[0], offsets[2] - offsets[0]], [1, 2]);
    soon("later", producer.send(record_for(0, "later"))).await?;
    Ok(())
}

/// What names no record of the batch names none: the batch is sent again in halves.
#[tokio::test]
async fn errors_of_records_that_do_not_exist_are_ignored() -> TestResult {
    let (_broker, producer) = first_answer(|_| {
        let errors = [-1, 2, i32::MAX, i32::MIN].map(|index| culprit(index, Some("unknown")));
        Answer::Partitions(vec![refused(0, 87).with_record_errors(errors.to_vec())])
    })
    .await;

    let deliveries = enqueue_all(&producer, (0..2).map(|i| record_for(0, i))).await;

    assert_eq!(delivered(deliveries).await.len(), 2);
    Ok(())
}

#[tokio::test]
async fn time_of_the_append_takes_the_place_of_the_records_own() -> TestResult {
    let (_broker, producer) =
        first_answer(|_| Answer::Partitions(vec![written(0, 40).with_log_append_time_ms(123_456)])).await;

    let deliveries = enqueue_all(&producer, (0..3).map(|i| record_for(0, i).timestamp(i))).await;

    for (metadata, i) in delivered(deliveries).await.iter().zip(0..) {
        assert_eq!((metadata.offset(), metadata.timestamp()), (Some(40 + i), 123_456));
    }
    Ok(())
}

#[tokio::test]
async fn known_duplicate_may_tell_its_offset() -> TestResult {
    let (_broker, producer) =
        first_answer(|_| Answer::Partitions(vec![refused(0, 46).with_base_offset(17)])).await;

    let metadata = soon("send", producer.send(record_for(0, "x"))).await?;

    assert_eq!(metadata.offset(), Some(17));
    Ok(())
}

#[tokio::test]
async fn offsets_out_of_range_do_no_harm() -> TestResult {
    for (base_offset, expected) in [(-1, None), (i64::MIN, None), (i64::MAX, Some(i64::MAX))] {
        let (_broker, producer) =
            first_answer(move |_| Answer::Partitions(vec![written(0, base_offset)])).await;

        let deliveries = enqueue_all(&producer, (0..2).map(|i| record_for(0, i))).await;

        assert_eq!(delivered(deliveries).await[1].offset(), expected);
    }
    Ok(())
}

/// Java's `testProduceResponse…` leave such batches hanging until the delivery timeout.
#[tokio::test]
async fn batch_that_an_answer_leaves_out_is_sent_again() -> TestResult {
    let seen = Mutex::new(BTreeSet::new());
    // Leaves out partitions 0 and 2 when they come for the first time, with whichever others they come.
    let script = move |produce: &Produce| {
        let mut seen = seen.lock().unwrap();
        let told = produce.batches.keys().filter(|partition| !seen.insert(**partition) || **partition == 1);
        Answer::Partitions(told.map(|partition| written(*partition, 5)).collect())
    };
    let broker = ScriptedBroker::start(script).await;
    let producer = builder(&broker).build()?;

    let deliveries = enqueue_all(&producer, (0..3).map(|i| record_for(i, i))).await;
    let metadata = delivered(deliveries).await;

    assert!(metadata.iter().all(|metadata| metadata.offset() == Some(5)));
    assert!(broker.produced() >= 2);
    Ok(())
}

#[tokio::test]
async fn answers_about_what_was_not_asked_are_ignored() -> TestResult {
    let (_broker, producer) = first_answer(|_| {
        let other = TopicProduceResponse::default()
            .with_name(kafka_protocol::messages::TopicName(StrBytes::from_static_str("other")))
            .with_partition_responses(vec![refused(0, 87)]);
        let own = TopicProduceResponse::default().with_name(topic_name()).with_partition_responses(vec![
            refused(9, 87),
            refused(-1, 87),
            written(0, 3),
            refused(0, 87),
        ]);
        Answer::Response(ProduceResponse::default().with_responses(vec![other, own]))
    })
    .await;

    assert_eq!(soon("send", producer.send(record_for(0, "x"))).await?.offset(), Some(3));
    Ok(())
}

#[tokio::test]
async fn answers_that_make_no_sense_are_got_over() -> TestResult {
    let good = raw(&response(vec![written(0, 3)]));
    let cut = |len: usize| {
        let mut bytes = good[..len].to_vec();
        let body = u32::try_from(len - 4).unwrap();
        bytes[..4].copy_from_slice(&body.to_be_bytes());
        bytes
    };
    let mut wrong_id = good.clone();
    wrong_id[4..8].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
    let mut too_long = good.clone();
    too_long.extend_from_slice(&[0; 3]);
    too_long[3] += 3;
    // Counts and lengths of almost 2^32, in every place.
    let huge = (9..good.len()).map(|at| [&good[..at], &[0xff, 0xff, 0xff, 0xff, 0x0f], &good[at..]].concat());
    let huge = huge.map(|mut bytes| {
        bytes[3] += 5;
        bytes
    });
    let answers = [wrong_id, too_long, Vec::new(), vec![0, 0, 0, 0], vec![0xff; 8], vec![0, 0, 0, 2, 0, 0]]
        .into_iter()
        .chain((8..good.len()).map(cut))
        .chain(huge);
    for (number, answer) in answers.enumerate() {
        let shown = format!("answer {number}: {answer:?}");
        let script = move |produce: &Produce| {
            if produce.number == 0 { Answer::Raw(answer.clone()) } else { all_written(produce) }
        };
        let broker = ScriptedBroker::start(script).await;
        // Some of the answers are the beginning of a longer one, which only a timeout ends.
        let producer = builder(&broker).request_timeout(millis(300)).build()?;

        soon(&shown, producer.send(record_for(0, "x"))).await?;
        assert_eq!(producer.metrics().buffered_bytes, 0, "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn answers_that_come_byte_by_byte_are_understood() -> TestResult {
    let broker = ScriptedBroker::start_with(all_written, |metadata| metadata, 0, 1).await;
    let producer = builder(&broker).build()?;

    soon("send", producer.send(record_for(0, "x"))).await?;

    assert_eq!(broker.produced(), 1);
    Ok(())
}

#[tokio::test]
async fn fields_of_the_future_are_skipped() -> TestResult {
    let (_broker, producer) = first_answer(|_| {
        let tag = Bytes::from_static(b"from a later version");
        let partition = written(0, 9).with_unknown_tagged_field(1000, tag.clone());
        Answer::Response(response(vec![partition]).with_unknown_tagged_field(77, tag))
    })
    .await;

    assert_eq!(soon("send", producer.send(record_for(0, "x"))).await?.offset(), Some(9));
    Ok(())
}

#[tokio::test]
async fn error_codes_of_the_future_fail_the_record_in_doubt() -> TestResult {
    let (_broker, producer) = first_answer(|_| Answer::Partitions(vec![refused(0, 31_000)])).await;

    let error = soon("send", producer.send(record_for(0, "x"))).await.unwrap_err();

    assert_eq!(error.delivery_error().unwrap().error_code(), Some(ErrorCode::from(31_000)));
    assert_eq!((error.persisted(), error.disposition()), (Persisted::Maybe, Disposition::Bug));
    Ok(())
}

/// A broker that asks for silence until the end of time gets a while of it.
#[tokio::test]
async fn endless_throttle_ends() -> TestResult {
    for throttle in [i32::MAX, i32::MIN] {
        let (_broker, producer) = first_answer(move |_| {
            Answer::Response(response(vec![written(0, 3)]).with_throttle_time_ms(throttle))
        })
        .await;
        soon("first", producer.send(record_for(0, "x"))).await?;

        let second = producer.enqueue(record_for(0, "y")).await?;
        if throttle > 0 {
            // The pause may be longer than the record's time.
            tokio::time::sleep(millis(30)).await;
            skip_time(seconds(301)).await;
            let _either = soon("second", second).await;
        } else {
            soon("second", second).await?;
        }
        soon("third", producer.send(record_for(0, "z"))).await?;
    }
    Ok(())
}

/// A hint that names a leader with a negative id, at no port, or of an older epoch (KIP-951).
#[tokio::test]
async fn senseless_hints_for_the_leader_do_no_harm() -> TestResult {
    let hints = [(-1, -1), (7, 5), (8, 5), (-2, 5), (8, -1), (i32::MAX, i32::MAX), (i32::MIN, i32::MIN)];
    for (leader, epoch) in hints {
        let (_broker, producer) = first_answer(move |_| {
            let hint = LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch);
            let endpoint = NodeEndpoint::default()
                .with_node_id(BrokerId(leader))
                .with_host(StrBytes::from_static_str(""))
                .with_port(70_000);
            let partition = refused(0, 6).with_current_leader(hint);
            Answer::Response(response(vec![partition]).with_node_endpoints(vec![endpoint]))
        })
        .await;

        soon("send", producer.send(record_for(0, "x"))).await?;
    }
    Ok(())
}

/// A producer at a broker whose metadata is changed.
async fn with_metadata(
    change: impl FnMut(MetadataResponse) -> MetadataResponse + Send + 'static,
) -> (ScriptedBroker, KafkaProducer) {
    let broker = ScriptedBroker::start_with(all_written, change, 0, usize::MAX).await;
    let producer = builder(&broker).build().unwrap();
    (broker, producer)
}

fn partition(index: i32, leader: i32) -> MetadataResponsePartition {
    MetadataResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader))
        .with_leader_epoch(0)
}

#[tokio::test]
async fn partitions_with_senseless_numbers_are_left_out() -> TestResult {
    let numbers = [2, 0, 0, -1, i32::MIN, i32::MAX, 1];
    let (_broker, producer) = with_metadata(move |mut metadata| {
        metadata.topics[0].partitions = numbers.map(|index| partition(index, 7)).to_vec();
        metadata
    })
    .await;

    let partitions = soon("partitions", producer.partitions_for(TOPIC)).await?;

    assert_eq!(partitions.iter().map(|partition| partition.partition()).collect::<Vec<_>>(), [0, 1, 2]);
    for number in 0..3 {
        soon("send", producer.send(record_for(number, "x"))).await?;
    }
    Ok(())
}

#[tokio::test]
async fn topic_without_partitions_counts_as_unknown() -> TestResult {
    let told = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&told);
    let (_broker, producer) = with_metadata(move |mut metadata| {
        *counter.lock().unwrap() += 1;
        metadata.topics[0].partitions.clear();
        metadata
    })
    .await;

    let is_told = || *told.lock().unwrap() > 3;
    let error = run_out("send", producer.send(record_for(0, "x")), is_told, seconds(61)).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn brokers_that_cannot_be_reached_are_left_out() -> TestResult {
    let nodes =
        [(8, "", 9092), (9, "127.0.0.1", 0), (10, "127.0.0.1", -5), (11, "127.0.0.1", 70_000), (-1, "h", 1)];
    let (_broker, producer) = with_metadata(move |mut metadata| {
        metadata.brokers.extend(nodes.map(|(id, host, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str(host))
                .with_port(port)
        }));
        metadata
    })
    .await;

    for i in 0..10 {
        soon("send", producer.send(record_for(i % 3, "x"))).await?;
    }
    Ok(())
}

/// Something else listens where metadata says that the leader is.
#[tokio::test]
async fn leader_that_is_an_http_server_is_asked_until_metadata_names_another() -> TestResult {
    let stranger = TcpListener::bind("127.0.0.1:0").await?;
    let port = stranger.local_addr()?.port();
    let asked = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = stranger.accept().await {
            *counter.lock().unwrap() += 1;
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await);
        }
    });
    let counter = Arc::clone(&asked);
    let (_broker, producer) = with_metadata(move |mut metadata| {
        if *counter.lock().unwrap() < 5 {
            metadata.brokers.push(
                MetadataResponseBroker::default()
                    .with_node_id(BrokerId(8))
                    .with_host(StrBytes::from_static_str("127.0.0.1"))
                    .with_port(port.into()),
            );
            metadata.topics[0].partitions = vec![partition(0, 8)];
        }
        metadata
    })
    .await;

    soon("send", producer.send(record_for(0, "x"))).await?;

    assert!(*asked.lock().unwrap() >= 5);
    Ok(())
}

#[tokio::test]
async fn metadata_without_brokers_is_asked_for_again() -> TestResult {
    let asked = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&asked);
    let (_broker, producer) = with_metadata(move |mut metadata| {
        let mut counter = counter.lock().unwrap();
        *counter += 1;
        if *counter <= 2 {
            metadata.brokers.clear();
        }
        metadata
    })
    .await;

    soon("send", producer.send(record_for(0, "x"))).await?;

    assert!(*asked.lock().unwrap() >= 3);
    Ok(())
}

#[tokio::test]
async fn metadata_about_other_topics_is_not_kept() -> TestResult {
    let (_broker, producer) = with_metadata(|mut metadata| {
        let template = metadata.topics[0].clone();
        metadata.topics.extend((0..1000).map(|i| {
            let name = kafka_protocol::messages::TopicName(StrBytes::from_string(format!("other-{i}")));
            template.clone().with_name(Some(name))
        }));
        metadata
    })
    .await;

    soon("send", producer.send(record_for(0, "x"))).await?;

    let other = kafka_producer::ProducerRecord::to("other-1");
    assert!(matches!(producer.try_enqueue(other).unwrap_err().kind(), SendErrorKind::TopicUnknown { .. }));
    Ok(())
}

/// Producer id, epoch and first sequence number from the header of a batch.
fn identity(batch: &Bytes) -> (i64, i16, i32) {
    let field = |at: usize, len: usize| batch[at..at + len].to_vec();
    (
        i64::from_be_bytes(field(43, 8).try_into().unwrap()),
        i16::from_be_bytes(field(51, 2).try_into().unwrap()),
        i32::from_be_bytes(field(53, 4).try_into().unwrap()),
    )
}

/// Each batch that is refused for good costs an epoch; an id whose epochs are used up is replaced.
#[tokio::test]
async fn producer_id_without_an_epoch_left_is_replaced() -> TestResult {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let script = move |produce: &Produce| {
        log.lock().unwrap().extend(produce.batches.values().map(identity));
        if produce.number % 2 == 1 {
            Answer::Partitions(produce.batches.keys().map(|partition| refused(*partition, 87)).collect())
        } else {
            all_written(produce)
        }
    };
    let broker = ScriptedBroker::start_with(script, |metadata| metadata, i16::MAX - 1, usize::MAX).await;
    let producer = builder(&broker).build()?;

    for i in 0..6 {
        let result = soon("send", producer.send(record_for(0, i))).await;
        assert_eq!(result.is_err(), i % 2 == 1, "{i}");
    }

    let expected = [
        (1, i16::MAX - 1, 0),
        (1, i16::MAX - 1, 1),
        (1, i16::MAX, 0),
        (1, i16::MAX, 1),
        (2, i16::MAX - 1, 0),
        (2, i16::MAX - 1, 1),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(broker.producer_ids(), 2);
    Ok(())
}

/// The bytes of a batch are the same at every attempt, or a broker would not know it again.
#[tokio::test]
async fn batch_is_the_same_at_every_attempt() -> TestResult {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let script = move |produce: &Produce| {
        log.lock().unwrap().extend(produce.batches.values().cloned());
        match produce.number {
            0 => Answer::Partitions(vec![refused(0, 7)]),
            1 => Answer::Raw(vec![0xff; 8]),
            2 => Answer::Partitions(vec![refused(0, 19)]),
            _ => all_written(produce),
        }
    };
    let broker = ScriptedBroker::start(script).await;
    let producer = builder(&broker).build()?;

    soon("send", producer.send(record_for(0, "x"))).await?;

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|batch| *batch == seen[0]));
    Ok(())
}

/// Java: `testResetOfProducerStateShouldAllowQueuedBatchesToDrain` and `testCloseWithProducerIdReset`.
#[tokio::test]
async fn other_partitions_and_close_go_on_while_an_id_is_replaced() -> TestResult {
    let script = |produce: &Produce| {
        let answer = |partition: &i32| match (partition, produce.number) {
            // Costs the last epoch.
            (0, 1) => refused(0, 87),
            (partition, number) => written(*partition, i64::try_from(number).unwrap()),
        };
        Answer::Partitions(produce.batches.keys().map(answer).collect())
    };
    let broker = ScriptedBroker::start_with(script, |metadata| metadata, i16::MAX, usize::MAX).await;
    let producer = builder(&broker).build()?;
    soon("first", producer.send(record_for(0, "a"))).await?;
    soon("refused", producer.send(record_for(0, "b"))).await.unwrap_err();

    let deliveries = enqueue_all(&producer, (0..3).map(|partition| record_for(partition, "c"))).await;
    let report = soon("close", producer.close(seconds(10))).await;

    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (4, 1, 0));
    delivered(deliveries).await;
    assert_eq!(broker.producer_ids(), 2);
    Ok(())
}
