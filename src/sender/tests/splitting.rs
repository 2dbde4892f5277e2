//! Batches that a broker finds too large (KIP-126).

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
use super::wire::Reply;
use crate::config::Compression;
use crate::delivery::Delivery;
use crate::error::{Disposition, Persisted};
use crate::protocol::ErrorCode;

fn config() -> Config {
    Config { linger: millis(5), ..Config::default() }
}

/// Has records sent as one batch.
fn send(rig: &mut Rig, values: &[String]) -> Vec<Delivery> {
    let deliveries = values.iter().map(|value| rig.append(0, value)).collect();
    rig.advance(millis(5));
    assert_eq!(rig.received[0].records(), values);
    deliveries
}

fn values(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:02}{}", "x".repeat(40))).collect()
}

/// A broker that takes batches of this many records at most.
fn serve(rig: &mut Rig, max_records: usize) {
    rig.settle();
    while let Some(request) = rig.received.pop_front() {
        if request.batches.iter().any(|batch| batch.records.len() > max_records) {
            rig.reply(&request, &Reply::error(10));
        } else {
            rig.acknowledge(&request);
        }
        rig.settle();
    }
}

#[test]
fn pieces_are_sent_in_order_and_before_what_came_later() {
    let mut rig = Rig::new(config());
    let values = values(8);
    let mut deliveries = send(&mut rig, &values);
    deliveries.push(rig.append(0, "later"));

    serve(&mut rig, 4);
    rig.advance(millis(5));
    serve(&mut rig, 4);

    assert_eq!(rig.world.log(0), [values, vec!["later".to_owned()]].concat());
    let offsets: Vec<_> = deliveries.iter().map(|delivery| offset(delivery).unwrap()).collect();
    assert!(offsets.into_iter().eq(0..9));
    assert!(rig.is_clean());
}

#[test]
fn cutting_goes_on_down_to_single_records() {
    for compression in [Compression::None, Compression::Lz4] {
        let mut rig = Rig::new(Config { compression, ..config() });
        let values = values(17);
        let deliveries = send(&mut rig, &values);

        serve(&mut rig, 1);

        assert_eq!(rig.world.log(0), values);
        assert!(deliveries.iter().all(|delivery| offset(delivery).is_some()));
        assert!(rig.is_clean());
    }
}

#[test]
fn compressed_batch_is_cut_into_as_few_pieces_as_an_uncompressed_one() {
    let mut rig = Rig::new(Config { compression: Compression::Lz4, ..config() });
    let values = values(16);
    send(&mut rig, &values);
    let request = rig.request();
    assert!(request.batches[0].is_compressed);

    rig.reply(&request, &Reply::error(10));

    let half = rig.request();
    assert!((7..=9).contains(&half.records().len()), "{:?}", half.records());
    assert!(half.batches[0].is_compressed);
}

#[test]
fn single_record_that_is_too_large_fails_alone() {
    let mut rig = Rig::new(config());
    let deliveries = send(&mut rig, &values(3));

    while let Some(request) = rig.received.pop_front() {
        if request.records().iter().any(|value| value.starts_with("01")) {
            rig.reply(&request, &Reply::error(10));
        } else {
            rig.acknowledge(&request);
        }
    }

    assert_eq!(offset(&deliveries[0]), Some(0));
    let error = failure(&deliveries[1]);
    assert_eq!((error.error_code(), error.persisted()), (Some(ErrorCode::MessageTooLarge), Persisted::No));
    assert!(error.record().unwrap().value.unwrap().starts_with(b"01"));
    assert_eq!(offset(&deliveries[2]), Some(1));
    assert!(rig.is_clean());
}

#[test]
fn piece_that_must_be_retried_keeps_its_place() {
    let mut rig = Rig::new(config());
    let values = values(4);
    let deliveries = send(&mut rig, &values);
    let later = rig.append(0, "later");
    let request = rig.request();
    rig.reply(&request, &Reply::error(10));

    let piece = rig.request();
    assert_eq!(piece.records(), values[..2]);
    rig.reply(&piece, &Reply::error(19));
    assert!(rig.received.is_empty());
    rig.advance(millis(100));
    serve(&mut rig, 2);

    assert_eq!(rig.world.log(0), [values, vec!["later".to_owned()]].concat());
    assert!(!is_pending(&later) && deliveries.iter().all(|delivery| offset(delivery).is_some()));
}

#[test]
fn cutting_uses_up_no_retry() {
    let mut rig = Rig::new(Config { retries: 0, ..config() });
    let deliveries = send(&mut rig, &values(8));

    serve(&mut rig, 1);

    assert!(deliveries.iter().all(|delivery| offset(delivery).is_some()));
}

#[test]
fn pieces_inherit_the_doubt_about_earlier_attempts() {
    let mut rig = Rig::new(config());
    let deliveries = send(&mut rig, &values(4));
    let request = rig.request();
    rig.reply(&request, &Reply::error(7));
    rig.advance(millis(100));
    let request = rig.request();
    rig.reply(&request, &Reply::error(10));

    while let Some(piece) = rig.received.pop_front() {
        rig.reply(&piece, &Reply::error(29));
    }

    for delivery in &deliveries {
        assert_eq!(failure(delivery).persisted(), Persisted::Maybe);
    }
}

#[test]
fn pieces_expire_with_the_batch_that_they_were_cut_from() {
    let mut rig = Rig::new(config());
    let timeout = rig.config.delivery_timeout;
    let deliveries = send(&mut rig, &values(4));
    rig.advance(millis(20_000));
    let request = rig.request();
    rig.reply(&request, &Reply::error(10));

    rig.advance(timeout - millis(20_006));
    assert!(deliveries.iter().all(is_pending));
    rig.advance(millis(1));

    assert!(deliveries.iter().all(|delivery| !is_pending(delivery)));
}

/// The broker has said so of the whole batch: it may take the piece when the caller sends it again.
#[test]
fn piece_that_is_not_sent_because_of_a_younger_batch_is_not_told_to_be_too_large() {
    let mut rig = Rig::new(Config {
        retries: 0,
        max_in_flight: 2,
        max_outstanding: 5,
        is_idempotent: true,
        ..config()
    });
    rig.put(0, "warm-up");
    rig.advance(millis(5));
    rig.acknowledge_all();
    let deliveries = send(&mut rig, &values(4));
    let whole = rig.request();
    let _younger = rig.send(0, "younger");
    rig.advance(millis(5));

    rig.reply(&whole, &Reply::error(10));
    rig.close(rig.connection_to(1), None);

    let error = failure(&deliveries[3]);
    assert_eq!((error.persisted(), error.time_spent().attempts), (Persisted::No, 0));
    assert_eq!((error.error_code(), error.disposition()), (None, Disposition::RetryLater), "{error}");
}
