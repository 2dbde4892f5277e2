//! One batch at a time (Kafka: `ProducerBatchTest`).

use super::*;
use crate::buffer_memory::BatchBuffer;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::protocol::ErrorCode;
use crate::protocol::record_batch::ProducerIdentity;
use crate::topic_partition::TopicPartition;

use super::producer_batch::{Part, Room};
use crate::delivery::{AckNote, AckResult};

fn batch(capacity: usize) -> ProducerBatch {
    let buffer = BatchBuffer::outside_of_budget(capacity);
    let cell = BatchCell::new(TopicPartition::new("topic", 3), None);
    let incomplete = Arc::<IncompleteBatches>::default().insert(&cell, std::sync::Weak::new(), clock::now());
    ProducerBatch::new(1, cell, incomplete, buffer, Compression::None, clock::now(), Duration::ZERO)
}

fn append(batch: &mut ProducerBatch, value: &str) -> Option<Delivery> {
    let headers = Headers::from([("h", "1")]);
    let record = RecordRef { timestamp: 5, key: None, value: Some(value.as_bytes()), headers: &headers };
    batch.append(&record, record.payload_len(), None, EnqueueWaits::default()).map(Delivery::from)
}

fn room(batch: &ProducerBatch, value: &str, batch_size: usize) -> Room {
    let headers = Headers::from([("h", "1")]);
    let record = RecordRef { timestamp: 5, key: None, value: Some(value.as_bytes()), headers: &headers };
    batch.room_for(&record, record.payload_len(), batch_size)
}

#[test]
fn room_is_told_to_the_byte() {
    let batch = batch(200);

    assert_eq!(room(&batch, &value_of(138), 1000), Room::Fits);
    assert_eq!(room(&batch, &value_of(139 + 1), 1000), Room::Grow { capacity: 400, replaced: 200 });
    assert_eq!(room(&batch, &value_of(500), 1000), Room::Grow { capacity: 561, replaced: 200 });
    assert_eq!(room(&batch, &value_of(939), 1000), Room::Grow { capacity: 1000, replaced: 200 });
    assert_eq!(room(&batch, &value_of(940), 1000), Room::Full);
    assert_eq!(room(&batch, &value_of(300), 300), Room::Full);
}

#[test]
fn closed_batch_refuses_records() {
    let mut batch = batch(500);
    drop(append(&mut batch, "a").unwrap());

    batch.close();

    assert_eq!(room(&batch, "b", 1000), Room::Closed);
    assert!(append(&mut batch, "b").is_none());
    assert_eq!(batch.record_count(), 1);
}

#[test]
fn growing_keeps_the_records() {
    let mut batch = batch(100);
    drop(append(&mut batch, "a").unwrap());

    drop(batch.grow(BatchBuffer::outside_of_budget(500)));
    drop(append(&mut batch, &value_of(300)).unwrap());

    assert_eq!(values(&mut batch), ["a".to_owned(), value_of(300)]);
}

#[test]
fn failed_records_know_their_own_reasons() {
    let mut batch = batch(500);
    let deliveries = ["a", "b", "c"].map(|value| append(&mut batch, value).unwrap());
    let kind = DeliveryErrorKind::Broker { code: ErrorCode::InvalidRecord, message: Some("all".to_owned()) };

    batch.fail(kind, Persisted::No, vec![(0, Some("own".to_owned())), (2, None)], &Teller::WITHOUT_SENDER);

    let errors = deliveries.map(|delivery| delivery.try_result().unwrap().unwrap_err());
    let broker = |message: &str| DeliveryErrorKind::Broker {
        code: ErrorCode::InvalidRecord,
        message: Some(message.to_owned()),
    };
    assert_eq!(errors[0].kind(), broker("own"));
    assert_eq!(errors[1].kind(), DeliveryErrorKind::BatchRefused { code: ErrorCode::InvalidRecord });
    assert_eq!(errors[2].kind(), broker("all"));
    assert!(errors.iter().all(|error| error.error_code() == Some(ErrorCode::InvalidRecord)));
}

#[test]
fn kept_error_gives_the_record_back_and_holds_no_memory() {
    for compression in [Compression::None, Compression::Lz4] {
        let bench = Bench::with(compression, 10 * BATCH);
        let deliveries = bench.append_all(&[&value_of(400), &value_of(450)]);
        let mut batch = match bench.queue.take_head() {
            TakenHead::Batch(batch) => batch,
            TakenHead::Seal(job) => {
                bench.accumulator.seal(job);
                bench.take()
            }
            TakenHead::Nothing => panic!(),
        };
        drop(batch.freeze());

        batch.fail(DeliveryErrorKind::Closed, Persisted::Maybe, Vec::new(), &Teller::WITHOUT_SENDER);

        assert!(bench.has_all_memory());
        let error = deliveries[1].try_result().unwrap().unwrap_err();
        let record = error.record().unwrap();
        assert_eq!((record.partition, record.timestamp), (Some(0), Some(5)));
        assert_eq!(record.value.unwrap(), value_of(450));
        assert_eq!(record.headers, Headers::from([("h", "1")]));
    }
}

#[test]
fn time_is_booked_on_the_stage_in_which_it_passed() {
    let start = clock::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut batch = batch(500);
    batch.enter_stage(Stage::Linger, start);
    let seconds = Duration::from_secs;

    for (stage, since) in
        [(Stage::NoLeader, 1), (Stage::Queued, 3), (Stage::InFlight, 7), (Stage::Backoff, 15)]
    {
        batch.enter_stage(stage, at(since));
    }
    batch.enter_stage(Stage::InFlight, at(20));
    let spent = batch.time_spent(at(30), seconds(2), true);

    assert!(spent.linger >= seconds(1) && spent.linger < seconds(2));
    assert_eq!((spent.no_leader, spent.queued), (seconds(2), seconds(4)));
    assert_eq!((spent.in_flight, spent.backoff), (seconds(8 + 10), seconds(5)));
}

#[test]
fn clock_that_goes_backwards_does_no_harm() {
    let mut batch = batch(500);

    let spent = batch.time_spent(clock::now() - Duration::from_secs(1), Duration::from_secs(5), true);

    assert_eq!(spent.linger, Duration::ZERO);
}

#[test]
fn another_identity_changes_the_frozen_bytes_and_nothing_else() {
    let mut batch = batch(500);
    let delivery = append(&mut batch, "a").unwrap();
    let before = batch.freeze();
    let identity =
        ProducerIdentity { producer_id: 4000, producer_epoch: 3, base_sequence: 17, is_transactional: false };

    batch.numbered(identity);
    let after = batch.freeze();

    assert_eq!((before.len(), &before[..17], &before[57..]), (after.len(), &after[..17], &after[57..]));
    assert_eq!(
        &after[43..57],
        [&4000_i64.to_be_bytes()[..], &3_i16.to_be_bytes(), &17_i32.to_be_bytes()].concat()
    );
    assert_eq!(batch.freeze(), after);
    deliver(batch, 3);
    assert_eq!(offset(&delivery), Some(3));
}

#[test]
fn header_whose_owner_panics_when_it_is_let_go_does_not_end_the_one_who_lets_go() {
    struct Owner;

    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"owned"
        }
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            panic!("a bug of the application");
        }
    }

    /// With an observer, the batch keeps the headers.
    #[derive(Debug)]
    struct Deaf;

    impl AckObserver for Deaf {
        fn acknowledged(&self, _: &TopicPartition, _: &AckNote, _: AckResult<'_>) {}
    }

    let mut batch = batch(200);
    let observer: Arc<dyn AckObserver> = Arc::new(Deaf);
    let deliveries = [1, 2].map(|_| {
        let mut headers = Headers::new();
        headers.push("h", bytes::Bytes::from_owner(Owner));
        let record = RecordRef { timestamp: 5, key: None, value: None, headers: &headers };
        batch
            .append(&record, record.payload_len(), Some(&observer), EnqueueWaits::default())
            .map(Delivery::from)
            .unwrap()
    });

    deliver(batch, 0);

    assert_eq!(deliveries.each_ref().map(offset), [Some(0), Some(1)]);
}

const NUMBER: ProducerIdentity =
    ProducerIdentity { producer_id: 4000, producer_epoch: 3, base_sequence: 17, is_transactional: false };

/// A batch that a connection has, with a number.
fn sent() -> ProducerBatch {
    let mut batch = batch(500);
    batch.numbered(NUMBER);
    batch.sent(Some(7), clock::now());
    batch
}

#[test]
fn batch_under_way_keeps_its_number_and_tells_of_its_attempt() {
    let mut batch = sent();

    assert_eq!((batch.attempts(), batch.sent_leader_epoch(), batch.last_answer()), (1, Some(7), None));
    assert_eq!((batch.persisted(), batch.may_take_new_number()), (Persisted::Maybe, false));
    assert!(!batch.forget_number());
    assert_eq!(batch.identity(), NUMBER);
}

#[test]
fn batch_without_a_number_may_take_one_whatever_its_attempts_came_to() {
    let mut batch = batch(500);
    batch.sent(None, clock::now());
    batch.lost();

    assert_eq!((batch.persisted(), batch.may_take_new_number()), (Persisted::Maybe, true));
}

#[test]
fn refused_batch_gives_its_number_up() {
    let mut batch = sent();
    batch.answered(ErrorCode::NotEnoughReplicas, None, Persisted::No);

    let last_code = batch.last_answer().map(|answer| answer.code);
    assert_eq!((batch.persisted(), last_code), (Persisted::No, Some(ErrorCode::NotEnoughReplicas)));
    assert!(batch.may_go_on_after_refused_number(ErrorCode::OutOfOrderSequenceNumber));
    assert!(batch.may_take_new_number() && batch.forget_number() && !batch.is_numbered());
}

#[test]
fn batch_that_may_be_in_the_log_keeps_its_number_for_good() {
    let happens: [fn(&mut ProducerBatch); 3] = [
        |batch| batch.answered(ErrorCode::RequestTimedOut, None, Persisted::Maybe),
        ProducerBatch::lost,
        ProducerBatch::expired,
    ];
    for happens in happens {
        let mut batch = sent();
        happens(&mut batch);
        batch.sent(Some(7), clock::now());
        batch.answered(ErrorCode::OutOfOrderSequenceNumber, None, Persisted::No);

        assert!(!batch.may_go_on_after_refused_number(ErrorCode::OutOfOrderSequenceNumber));
        assert!(!batch.may_take_new_number() && !batch.forget_number());
        assert_eq!((batch.identity(), batch.persisted()), (NUMBER, Persisted::Maybe));
    }
}

#[test]
fn batch_of_which_no_byte_was_written_is_as_it_was() {
    let mut batch = sent();
    batch.unsent();

    assert_eq!((batch.persisted(), batch.may_take_new_number()), (Persisted::No, true));
}

#[test]
fn number_of_another_cluster_is_given_up_unless_the_batch_may_be_there() {
    let mut stayed = sent();
    stayed.answered(ErrorCode::NotEnoughReplicas, None, Persisted::No);
    assert!(stayed.forget_foreign_number() && stayed.is_numbered(), "its cluster was not left");

    let mut certain = sent();
    certain.left_behind();
    certain.answered(ErrorCode::NotEnoughReplicas, None, Persisted::No);
    assert!(certain.forget_foreign_number() && !certain.is_numbered());

    let mut in_doubt = sent();
    in_doubt.left_behind();
    in_doubt.lost();
    assert!(!in_doubt.forget_foreign_number() && in_doubt.is_numbered());
}

#[test]
fn stopped_batch_says_so() {
    let mut batch = sent();
    assert!(!batch.is_stopped());

    batch.stopped();

    assert!(batch.is_stopped());
}

#[test]
fn piece_takes_over_doubt_and_the_numbers_of_its_records() {
    let mut whole = sent();
    whole.lost();
    whole.sent(Some(7), clock::now());
    whole.answered(ErrorCode::MessageTooLarge, None, Persisted::No);

    let piece = whole.part(Part::Piece { first: 5 }, &Bench::new().queue, 500);

    assert_eq!(piece.identity(), ProducerIdentity { base_sequence: 22, ..NUMBER });
    assert_eq!((piece.persisted(), piece.attempts()), (Persisted::Maybe, 0));
    assert_eq!(piece.last_answer(), None, "that was said of the whole");
    assert!(!piece.may_go_on_after_refused_number(ErrorCode::InvalidProducerEpoch));
}

/// What was said of the whole is no word on its innocent records, and must not decide what their errors advise.
#[test]
fn answer_to_the_whole_is_not_told_of_its_parts() {
    let mut refused = sent();
    refused.answered(ErrorCode::InvalidRecord, None, Persisted::No);
    for part in [Part::Half { first: 1 }, Part::Piece { first: 1 }, Part::Rest] {
        let mut innocent = refused.part(part, &Bench::new().queue, 500);
        let last_error =
            |innocent: &mut ProducerBatch| innocent.time_spent(clock::now(), Duration::ZERO, true).last_error;

        assert_eq!(last_error(&mut innocent), None, "{part:?} before it is sent");
        innocent.sent(None, clock::now());
        innocent.lost();
        assert_eq!(last_error(&mut innocent), None, "{part:?} after it was lost");
        innocent.sent(None, clock::now());
        innocent.answered(ErrorCode::NotEnoughReplicas, None, Persisted::No);
        innocent.sent(None, clock::now());
        assert_eq!(last_error(&mut innocent), Some(ErrorCode::NotEnoughReplicas), "{part:?}");
    }
}

#[test]
fn parts_of_a_refused_batch_take_over_doubt_but_no_number() {
    let mut refused = sent();
    refused.lost();
    refused.sent(None, clock::now());
    refused.answered(ErrorCode::InvalidRecord, None, Persisted::No);

    let [rest, culprits] = [Part::Rest, Part::Taken].map(|part| refused.part(part, &Bench::new().queue, 500));

    assert_eq!((rest.persisted(), rest.is_numbered(), rest.attempts()), (Persisted::Maybe, false, 0));
    assert_eq!((culprits.persisted(), culprits.is_numbered()), (Persisted::Maybe, false));
    assert_eq!(culprits.attempts(), 2, "their records fail with it");
}
