//! Requests and their answers on a connection that is ready.

use super::*;

#[test]
fn response_comes_back_with_the_purpose() {
    let (mut bench, _) = Bench::ready();

    let sent = bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_millis(5));
    let mut frame = BytesMut::from(&*answer(sent));
    frame.extend_from_slice(b"body");
    bench.client.handle_frame(sent.connection, frame.freeze(), bench.now);

    assert_eq!(
        bench.events(),
        [NetworkEvent::Response {
            node: NODE,
            purpose: "a",
            api_key: ApiKey::Metadata,
            version: 12,
            body: Bytes::from_static(b"body"),
            latency: Duration::from_millis(5),
        }]
    );
    assert!(!bench.client.has_in_flight());
}

#[test]
fn request_has_its_length_its_header_and_its_body() {
    let (mut bench, _) = Bench::ready();

    bench.send(NODE, "a");
    let (sent, mut frame) = bench.sent();

    assert_eq!(usize::try_from(frame.get_i32()).unwrap(), frame.len());
    let header = RequestHeader::decode(&mut frame, 2).unwrap();
    assert_eq!((header.request_api_key, header.request_api_version), (3, 12));
    assert_eq!(header.correlation_id, sent.correlation_id);
    assert_eq!(frame, [0, 0, 0, 7][..]);
}

#[test]
fn several_requests_are_under_way_and_answered_in_order() {
    let (mut bench, _) = Bench::ready();
    let sent = ["a", "b", "c"].map(|purpose| bench.send_and_poll(NODE, purpose));
    assert_eq!(bench.client.in_flight_count(NODE), 3);

    for sent in sent {
        bench.answer(sent);
    }

    let purpose = |event| match event {
        NetworkEvent::Response { purpose, .. } => purpose,
        other => panic!("{other:?}"),
    };
    assert_eq!(bench.events().into_iter().map(purpose).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn limit_of_requests_under_way_is_kept() {
    let (mut bench, _) = Bench::ready();
    let first = bench.send_and_poll(NODE, "a");
    bench.send(NODE, "b");
    bench.send(NODE, "c");

    assert!(!bench.client.can_send(NODE, bench.now));
    assert!(bench.client.is_ready(NODE, bench.now));
    bench.send(NODE, "d");
    assert_eq!(bench.failures(), [("d", FailureReason::NotReady, false)]);

    bench.answer(first);
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn request_to_a_node_that_is_not_ready_fails() {
    let mut bench = Bench::new();

    bench.send(NODE, "a");

    assert_eq!(bench.failures(), [("a", FailureReason::NotReady, false)]);
    assert!(bench.has_no_action());
}

#[test]
fn request_that_the_broker_does_not_know_fails_without_touching_the_wire() {
    let (mut bench, _) = Bench::ready();

    let request = NetworkRequest { api_key: ApiKey::InitProducerId, ..request(NODE, "a") };
    bench.client.send(request, bench.now, |_, _| unreachable!());

    let reason = FailureReason::UnsupportedVersion(ApiKey::InitProducerId);
    assert_eq!(bench.failures(), [("a", reason, false)]);
    assert!(bench.has_no_action());
    assert!(bench.client.is_ready(NODE, bench.now));
}

#[test]
fn request_that_cannot_be_encoded_fails_alone() {
    let (mut bench, _) = Bench::ready();

    let request = request(NODE, "a");
    bench.client.send(request, bench.now, |version, _| Err(EncodeError::UnknownVersion(version)));

    let reason = FailureReason::Unencodable(EncodeError::UnknownVersion(12));
    assert_eq!(bench.failures(), [("a", reason, false)]);
    assert!(bench.has_no_action());
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn wrong_correlation_id_closes_the_connection_and_fails_all_its_requests() {
    let (mut bench, connection) = Bench::ready();
    let first = bench.send_and_poll(NODE, "a");
    let second = bench.send_and_poll(NODE, "b");

    bench.answer(second);

    let (expected, found) = (first.correlation_id, second.correlation_id);
    let reason = DisconnectReason::Malformed(MalformedResponse::CorrelationId { expected, found });
    let failure = FailureReason::Disconnected(reason.clone());
    assert_eq!(bench.closed(), connection);
    assert_eq!(
        bench.events(),
        [
            NetworkEvent::Failed { node: NODE, purpose: "a", reason: failure.clone(), on_wire: true },
            NetworkEvent::Failed { node: NODE, purpose: "b", reason: failure, on_wire: true },
            with_unanswered(2, disconnected(reason, ConnectionStep::Ready)),
        ]
    );
    assert!(!bench.client.has_in_flight());
}

#[test]
fn response_without_a_request_closes_the_connection() {
    let (mut bench, connection) = Bench::ready();

    bench.client.handle_frame(connection, answer(Sent { connection, correlation_id: 9 }), bench.now);

    assert_eq!(bench.closed(), connection);
    let reason = DisconnectReason::Malformed(MalformedResponse::Unasked);
    assert_eq!(bench.events(), [disconnected(reason, ConnectionStep::Ready)]);
}

#[test]
fn truncated_header_closes_the_connection() {
    for length in 0..5 {
        let (mut bench, connection) = Bench::ready();
        let sent = bench.send_and_poll(NODE, "a");

        bench.client.handle_frame(connection, answer(sent).slice(..length), bench.now);

        assert_eq!(bench.closed(), connection);
        let failures = bench.failures();
        let [("a", FailureReason::Disconnected(DisconnectReason::Malformed(problem)), true)] = &failures[..]
        else {
            panic!("{failures:?}");
        };
        assert!(matches!(problem, MalformedResponse::Header(_)), "{problem}");
    }
}

#[test]
fn request_that_is_not_answered_in_time_closes_the_connection() {
    let (mut bench, connection) = Bench::ready();
    bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_secs(10));
    bench.send_and_poll(NODE, "b");

    assert_eq!(bench.client.poll_timeout(), Some(bench.now + Duration::from_secs(20)));
    bench.advance(Duration::from_secs(20));

    assert_eq!(bench.closed(), connection);
    let timed_out = |purpose| (purpose, FailureReason::TimedOut, true);
    assert_eq!(bench.failures(), [timed_out("a"), timed_out("b")]);
    assert_eq!(bench.client.ready_delay(NODE, bench.now), Some(RECONNECT_BACKOFF));
}

#[test]
fn timeout_is_extended_by_throttling() {
    let (mut bench, _) = Bench::ready();
    bench.send_and_poll(NODE, "a");

    bench.client.throttle(NODE, Duration::from_secs(5), bench.now);
    bench.advance(REQUEST_TIMEOUT);
    assert!(bench.has_no_action());
    bench.advance(Duration::from_secs(5));

    assert_eq!(bench.failures(), [("a", FailureReason::TimedOut, true)]);
}

#[test]
fn absurd_throttling_does_not_hold_requests_up_for_ever() {
    let (mut bench, _) = Bench::ready();
    bench.send_and_poll(NODE, "a");

    let until = bench.client.throttle(NODE, Duration::MAX, bench.now);
    assert_eq!(until, Some(bench.now + MAX_THROTTLE));
    bench.advance(REQUEST_TIMEOUT + MAX_THROTTLE);

    assert_eq!(bench.failures(), [("a", FailureReason::TimedOut, true)]);
}

#[test]
fn lost_connection_fails_requests_in_order_and_tells_which_the_broker_cannot_have_seen() {
    let (mut bench, connection) = Bench::ready();
    bench.send_and_poll(NODE, "a");
    let unsent = bench.send_and_poll(NODE, "b");
    bench.send_and_poll(NODE, "c");

    bench.client.handle_closed(connection, "reset".into(), Some(unsent.correlation_id), bench.now);

    let failed = |purpose, on_wire| (purpose, FailureReason::Disconnected(unanswered("reset")), on_wire);
    assert_eq!(bench.failures(), [failed("a", true), failed("b", false), failed("c", false)]);
    assert!(bench.has_no_action());
}

#[test]
fn request_that_the_transport_has_not_seen_is_not_on_the_wire() {
    let (mut bench, connection) = Bench::ready();
    bench.send_and_poll(NODE, "a");
    bench.send(NODE, "b");

    bench.client.handle_closed(connection, "reset".into(), None, bench.now);

    let failed = |purpose, on_wire| (purpose, FailureReason::Disconnected(unanswered("reset")), on_wire);
    assert_eq!(bench.failures(), [failed("a", true), failed("b", false)]);
    assert!(bench.has_no_action());
}

#[test]
fn request_without_response_is_done_when_it_is_written() {
    let (mut bench, connection) = Bench::ready();
    bench.send_silently(NODE, "a");
    let (sent, _) = bench.sent();
    assert_eq!(bench.client.in_flight_count(NODE), 1);

    bench.client.handle_written(connection, sent.correlation_id, bench.now);

    assert_eq!(bench.events(), [NetworkEvent::Written { node: NODE, purpose: "a" }]);
    assert!(!bench.client.has_in_flight());
}

#[test]
fn writing_a_request_with_response_does_not_complete_it() {
    let (mut bench, connection) = Bench::ready();
    let sent = bench.send_and_poll(NODE, "a");

    bench.client.handle_written(connection, sent.correlation_id, bench.now);

    assert!(bench.events().is_empty());
    assert_eq!(bench.client.in_flight_count(NODE), 1);
}

#[test]
fn response_to_a_later_request_shows_that_earlier_ones_were_written() {
    let (mut bench, connection) = Bench::ready();
    bench.send_silently(NODE, "a");
    let (silent, _) = bench.sent();
    let sent = bench.send_and_poll(NODE, "b");

    bench.answer(sent);
    bench.client.handle_written(connection, silent.correlation_id, bench.now);

    let events = bench.events();
    assert_eq!(events[0], NetworkEvent::Written { node: NODE, purpose: "a" });
    assert!(matches!(events[1], NetworkEvent::Response { purpose: "b", .. }));
    assert_eq!(events.len(), 2);
}

#[test]
fn connection_lost_before_the_write_fails_a_request_without_response() {
    let (mut bench, connection) = Bench::ready();
    bench.send_silently(NODE, "a");
    let (sent, _) = bench.sent();

    bench.client.handle_closed(connection, "reset".into(), Some(sent.correlation_id), bench.now);

    assert_eq!(bench.failures(), [("a", FailureReason::Disconnected(unanswered("reset")), false)]);
}

#[test]
fn answer_to_a_request_without_response_is_dropped() {
    let (mut bench, connection) = Bench::ready();
    let mut silent = ["a", "b", "c"].map(|purpose| {
        bench.send_silently(NODE, purpose);
        let (sent, _) = bench.sent();
        bench.client.handle_written(connection, sent.correlation_id, bench.now);
        sent
    });
    let asked = bench.send_and_poll(NODE, "d");
    bench.events();

    silent.iter().for_each(|sent| bench.answer(*sent));
    assert!(bench.events().is_empty() && bench.has_no_action());
    bench.answer(asked);
    assert!(matches!(bench.events()[..], [NetworkEvent::Response { purpose: "d", .. }]));

    // The same once more is an answer to nothing.
    silent.reverse();
    bench.answer(silent[0]);
    assert_eq!(bench.closed(), connection);
}

#[test]
fn answer_to_a_request_that_was_never_made_is_nonsense_though_others_expect_none() {
    let (mut bench, connection) = Bench::ready();
    bench.send_silently(NODE, "a");
    let (sent, _) = bench.sent();

    bench.answer(Sent { correlation_id: sent.correlation_id + 1, ..sent });

    assert_eq!(bench.closed(), connection);
}
