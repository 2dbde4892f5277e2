//! Faults that change the bytes of an answer or the way in which a connection ends.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use kafka_mock::{Api, Fault, MockCluster};
use kafka_protocol::messages::{ApiVersionsRequest, ProduceRequest};

use crate::support::{Client, batch, now, produce_request, values};

/// A cluster with one partition, a client, and what its broker answers to a Produce request in version 9 without a
/// fault: of 54 bytes, the first with correlation id 100.
async fn with_fault(fault: Fault) -> (MockCluster, Client, Vec<u8>) {
    let cluster = MockCluster::start(1).await.unwrap();
    for topic in ["t", "u"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let mut client = Client::connect(&cluster, 0).await;
    client.write(9, &produce_request("u", 0, batch(&["x"]))).await;
    let frame = client.read_frame().await.unwrap();
    let mut plain = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    plain.extend_from_slice(&frame);
    // The only differences: the name of the topic, and the next correlation id.
    let at = plain.iter().position(|byte| *byte == b'u').unwrap();
    plain[at] = b't';
    plain[7] += 1;
    cluster.inject(fault.api(Api::Produce));
    (cluster, client, plain)
}

/// Sends two Produce requests, of which the fault hits the first.
async fn produce_twice(client: &mut Client) {
    for value in ["a", "b"] {
        client.write(9, &produce_request("t", 0, batch(&[value]))).await;
    }
}

#[tokio::test]
async fn a_cut_answer_ends_with_its_connection() {
    for bytes in [0, 1, 4, 10] {
        let (cluster, mut client, plain) = with_fault(Fault::cut_response(bytes)).await;

        client.write(9, &produce_request("t", 0, batch(&["a"]))).await;

        assert_eq!(client.read_to_end().await.unwrap(), plain[..bytes]);
        assert_eq!(values(&cluster, "t", 0), ["a"]);
    }
}

#[tokio::test]
async fn requests_behind_a_cut_answer_are_not_carried_out() {
    let (cluster, mut client, plain) = with_fault(Fault::cut_response(10)).await;

    produce_twice(&mut client).await;

    assert_eq!(client.read_bytes(10).await, plain[..10]);
    assert!(client.is_closed_by_broker().await);
    assert_eq!(values(&cluster, "t", 0), ["a"]);
}

#[tokio::test]
async fn a_stalled_answer_leaves_the_connection_open() {
    let (cluster, mut client, plain) = with_fault(Fault::stall_response(10)).await;

    produce_twice(&mut client).await;

    assert_eq!(client.read_bytes(10).await, plain[..10]);
    assert!(client.hears_nothing().await);
    assert_eq!(values(&cluster, "t", 0), ["a"]);
    assert_eq!(cluster.open_connections(0), 1);
}

#[tokio::test]
async fn an_answer_longer_than_the_cut_is_not_needed() {
    let (_cluster, mut client, plain) = with_fault(Fault::cut_response(usize::MAX)).await;

    client.write(9, &produce_request("t", 0, batch(&["a"]))).await;

    assert_eq!(client.read_to_end().await.unwrap().len(), plain.len());
}

#[tokio::test]
async fn a_reset_is_no_ordinary_end() {
    for (fault, expected) in [(Fault::reset_after(), vec!["a"]), (Fault::reset_before(), vec![])] {
        let (cluster, mut client, _) = with_fault(fault).await;

        client.write(9, &produce_request("t", 0, batch(&["a"]))).await;

        assert_eq!(client.read_to_end().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(values(&cluster, "t", 0), expected);
    }
}

#[tokio::test]
async fn a_forged_correlation_id_is_off_by_the_number() {
    let (_cluster, mut client, plain) = with_fault(Fault::shift_correlation_id(-102)).await;

    produce_twice(&mut client).await;

    let answer = client.read_bytes(plain.len()).await;
    assert_eq!(answer[..4], plain[..4]);
    assert_eq!(answer[4..8], (-1_i32).to_be_bytes());
    assert_eq!(answer[8..], plain[8..]);
    // The connection goes on.
    assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(102));
}

#[tokio::test]
async fn a_forged_length_is_off_by_the_number() {
    for by in [-2, 5] {
        let (_cluster, mut client, plain) = with_fault(Fault::shift_length(by)).await;

        produce_twice(&mut client).await;

        let answer = client.read_bytes(plain.len()).await;
        let length = i32::try_from(plain.len()).unwrap() - 4 + by;
        assert_eq!(answer[..4], length.to_be_bytes());
        assert_eq!(answer[4..], plain[4..]);
        assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(102));
    }
}

#[tokio::test]
async fn a_garbled_answer_keeps_length_and_correlation_id() {
    let mut answers = Vec::new();
    for seed in [1, 1, 2] {
        let (_cluster, mut client, plain) = with_fault(Fault::garble_response(seed)).await;

        produce_twice(&mut client).await;

        let answer = client.read_bytes(plain.len()).await;
        assert_eq!(answer[..8], plain[..8]);
        assert_ne!(answer[8..], plain[8..]);
        assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(102));
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
}

#[tokio::test]
async fn a_repeated_answer_comes_twice() {
    let (cluster, mut client, plain) = with_fault(Fault::repeat_response()).await;

    produce_twice(&mut client).await;

    let first = client.read_bytes(plain.len()).await;
    assert_eq!(client.read_bytes(plain.len()).await, first);
    assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(102));
    assert_eq!(values(&cluster, "t", 0), ["a", "b"]);
}

#[tokio::test]
async fn an_answer_can_be_replaced() {
    let (cluster, mut client, _) = with_fault(Fault::replace_response(&b"HTTP/1.1 400"[..])).await;

    produce_twice(&mut client).await;

    assert_eq!(client.read_bytes(12).await, b"HTTP/1.1 400");
    assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(102));
    assert_eq!(values(&cluster, "t", 0), ["a", "b"]);
}

#[tokio::test]
async fn a_forged_answer_can_be_cut() {
    let (cluster, mut client, _) = with_fault(Fault::replace_response(Bytes::from_static(b"HTTP"))).await;
    cluster.inject(Fault::cut_response(3));

    produce_twice(&mut client).await;

    assert_eq!(client.read_bytes(3).await, b"HTT");
    assert!(client.is_closed_by_broker().await);
}

#[tokio::test]
async fn a_slow_answer_comes_in_pieces_and_holds_up_those_behind() {
    let pause = Duration::from_millis(20);
    let (_cluster, mut client, plain) = with_fault(Fault::trickle(10, pause)).await;
    let start = now();

    produce_twice(&mut client).await;

    client.read_bytes(plain.len()).await;
    let pauses = u32::try_from(plain.len() / 10).unwrap();
    assert!(start.elapsed() >= pause * pauses, "{:?}", start.elapsed());
    assert_eq!(client.read::<ProduceRequest>(9).await.map(|(id, _)| id), Some(102));
}

#[tokio::test]
async fn requests_without_an_answer_close_or_stall_their_connection_too() {
    for (fault, is_closed) in [(Fault::cut_response(10), true), (Fault::stall_response(10), false)] {
        let (cluster, mut client, _) = with_fault(fault).await;

        client.write(9, &produce_request("t", 0, batch(&["a"])).with_acks(0)).await;

        if is_closed {
            assert!(client.is_closed_by_broker().await);
        } else {
            client.write(0, &ApiVersionsRequest::default()).await;
            assert!(client.hears_nothing().await);
        }
        assert_eq!(values(&cluster, "t", 0), ["a"]);
    }
}
