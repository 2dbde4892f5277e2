//! ApiVersions: what a connection asks for before it takes requests, and what an answer leads to.

use super::*;
use crate::network::Remark;

/// Connects to `NODE` and returns the request for versions.
fn ask(bench: &mut Bench) -> (Sent, Bytes) {
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    bench.sent()
}

#[test]
fn node_is_ready_only_after_it_has_told_its_versions() {
    let mut bench = Bench::new();
    let connection = bench.connect(NODE);
    assert!(!bench.client.is_ready(NODE, bench.now));

    bench.client.handle_connected(connection, bench.now);
    assert!(!bench.client.is_ready(NODE, bench.now));
    assert_eq!(bench.client.version_for(NODE, ApiKey::Metadata), None);

    let (sent, _) = bench.sent();
    bench.client.handle_frame(connection, versions_answer(sent, 4, 0), bench.now);
    assert!(bench.client.is_ready(NODE, bench.now));
    assert_eq!(bench.events(), [ready(NODE)]);
    assert_eq!(bench.client.version_for(NODE, ApiKey::Metadata), Some(12));
    assert_eq!(bench.client.version_for(NODE, ApiKey::Produce), Some(9));
    assert_eq!(bench.client.version_for(NODE, ApiKey::InitProducerId), None);
}

#[test]
fn request_for_versions_names_the_software() {
    let mut bench = Bench::new();

    let (sent, mut frame) = ask(&mut bench);

    assert_eq!(usize::try_from(frame.get_i32()).unwrap(), frame.len());
    let header = RequestHeader::decode(&mut frame, 2).unwrap();
    assert_eq!(header.request_api_key, 18);
    assert_eq!(header.request_api_version, 4);
    assert_eq!(header.correlation_id, sent.correlation_id);
    assert_eq!(header.client_id, Some(StrBytes::from_static_str("tests")));
    let request = ApiVersionsRequest::decode(&mut frame, 4).unwrap();
    assert_eq!(request.client_software_name.as_str(), "kafka-producer");
    assert_eq!(request.client_software_version.as_str(), env!("CARGO_PKG_VERSION"));
    assert!(frame.is_empty());
}

#[test]
fn refused_version_falls_back_to_the_one_that_the_broker_names() {
    let mut bench = Bench::new();
    let (sent, _) = ask(&mut bench);

    let refusal = versions_answer_of(sent, 0, 35, &[(18, 0, 2)]);
    bench.client.handle_frame(sent.connection, refusal, bench.now);
    let (sent, frame) = bench.sent();
    assert_eq!(frame[4..8], [0, 18, 0, 2]);
    assert!(bench.events().is_empty());
    bench.client.handle_frame(sent.connection, versions_answer(sent, 2, 0), bench.now);

    assert!(bench.client.is_ready(NODE, bench.now));
}

#[test]
fn refused_version_falls_back_to_0_if_the_broker_names_none() {
    let mut bench = Bench::new();
    let (sent, _) = ask(&mut bench);

    bench.client.handle_frame(sent.connection, versions_answer_of(sent, 0, 35, &[]), bench.now);
    let (sent, frame) = bench.sent();
    assert_eq!(frame[4..8], [0, 18, 0, 0]);
    bench.client.handle_frame(sent.connection, versions_answer(sent, 0, 0), bench.now);

    assert!(bench.client.is_ready(NODE, bench.now));
}

#[test]
fn broker_that_names_what_it_refuses_is_not_asked_for_ever() {
    let mut bench = Bench::new();
    let (mut sent, _) = ask(&mut bench);

    for version in [3, 2, 1, 0] {
        bench.client.handle_frame(sent.connection, versions_answer(sent, 0, 35), bench.now);
        let (next, frame) = bench.sent();
        assert_eq!(frame[4..8], [0, 18, 0, version]);
        sent = next;
    }
    bench.client.handle_frame(sent.connection, versions_answer(sent, 0, 35), bench.now);

    assert_eq!(bench.closed(), sent.connection);
    let reason = DisconnectReason::VersionsRefused(ErrorCode::UnsupportedVersion);
    assert_eq!(bench.events(), [disconnected(reason, ConnectionStep::ApiVersions)]);
}

#[test]
fn other_refusal_closes_the_connection() {
    let mut bench = Bench::new();
    let (sent, _) = ask(&mut bench);

    bench.client.handle_frame(sent.connection, versions_answer(sent, 4, 42), bench.now);

    assert_eq!(bench.closed(), sent.connection);
    let reason = DisconnectReason::VersionsRefused(ErrorCode::InvalidRequest);
    assert_eq!(bench.events(), [disconnected(reason, ConnectionStep::ApiVersions)]);
}

#[test]
fn answer_that_is_not_understood_closes_the_connection() {
    let mut bench = Bench::new();
    let (sent, _) = ask(&mut bench);

    bench.client.handle_frame(sent.connection, answer(sent), bench.now);

    assert_eq!(bench.closed(), sent.connection);
    let event = bench.events().pop();
    let Some(NetworkEvent::Disconnected { reason: DisconnectReason::Malformed(problem), .. }) = event else {
        panic!("{event:?}");
    };
    assert!(matches!(problem, MalformedResponse::Unreadable(ApiKey::ApiVersions, _)), "{problem}");
}

#[test]
fn broker_that_does_not_answer_is_given_up() {
    let mut bench = Bench::new();
    let (sent, _) = ask(&mut bench);
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + SETUP_TIMEOUT));

    bench.advance(SETUP_TIMEOUT);

    assert_eq!(bench.closed(), sent.connection);
    assert_eq!(
        bench.events(),
        [disconnected(DisconnectReason::HandshakeTimedOut, ConnectionStep::ApiVersions)]
    );
}

#[test]
fn time_for_an_attempt_counts_from_its_beginning() {
    let mut bench = Bench::new();
    let connection = bench.connect(NODE);
    let start = bench.now;
    bench.advance(SETUP_TIMEOUT / 2);
    bench.client.handle_connected(connection, bench.now);
    bench.sent();

    assert_eq!(bench.client.poll_timeout(), Some(start + SETUP_TIMEOUT));
}

#[test]
fn time_for_an_attempt_doubles_when_the_broker_is_too_slow_for_it() {
    let backoff = Backoff::new(SETUP_TIMEOUT, SETUP_TIMEOUT * 3);
    let mut bench = Bench::with_config(NetworkConfig { connection_setup_timeout: backoff, ..config() });
    let wait_in_vain = |bench: &mut Bench| {
        let start = bench.now;
        ask(bench);
        while bench.client.is_connecting() {
            let next = bench.client.poll_timeout().unwrap();
            bench.advance(next - bench.now);
        }
        bench.closed();
        let waited = bench.now - start;
        bench.advance(RECONNECT_BACKOFF);
        waited
    };

    let waits: Vec<_> = (0..2).map(|_| wait_in_vain(&mut bench)).collect();

    // Give or take a fifth each.
    assert!(waits[0] < waits[1], "{waits:?}");
}

/// The first time it may be a broker that does not know the version of ApiVersions.
#[test]
fn connection_that_ends_in_place_of_the_versions_twice_may_lead_to_another_listener() {
    let mut bench = Bench::new();
    let mut cut_short = || {
        let (sent, _) = ask(&mut bench);
        bench.client.handle_closed(sent.connection, "closed by the broker".into(), None, bench.now);
        bench.advance(RECONNECT_BACKOFF);
        match &bench.events()[..] {
            [NetworkEvent::Disconnected { reason, .. }] => reason.words().to_string(),
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(cut_short(), "closed by the broker");
    for _ in 0..3 {
        let words = cut_short();
        assert!(
            words.contains("in place of an answer to ApiVersions: is this a TLS or SASL listener?"),
            "{words}"
        );
    }
}

/// An answer that is no frame says more than that.
#[test]
fn peer_that_answers_with_text_is_not_asked_whether_it_wants_tls() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        let (sent, _) = ask(&mut bench);
        let error = std::io::Error::other("answers HTTP");
        bench.client.handle_closed(sent.connection, error.into(), None, bench.now);
        bench.advance(RECONNECT_BACKOFF);
    }

    let cause = bench.client.states.node(NODE).unwrap().history().last_cause().unwrap();
    assert_eq!(&*cause.reason.words(), "answers HTTP");
}

#[test]
fn handshake_that_the_broker_cuts_short_is_tried_with_a_lower_version() {
    let mut bench = Bench::new();
    let (sent, _) = ask(&mut bench);

    bench.client.handle_closed(sent.connection, "reset".into(), None, bench.now);
    assert_eq!(bench.events(), [disconnected(closed("reset"), ConnectionStep::ApiVersions)]);
    bench.advance(RECONNECT_BACKOFF);
    let (_, frame) = ask(&mut bench);

    assert_eq!(frame[4..8], [0, 18, 0, 3]);
}

#[test]
fn throttled_handshake_holds_requests_back() {
    let mut bench = Bench::new();
    let (sent, _) = ask(&mut bench);
    let mut frame = BytesMut::new();
    frame.put_i32(sent.correlation_id);
    let response = kafka_protocol::messages::ApiVersionsResponse::default().with_throttle_time_ms(100);
    response.encode(&mut frame, 4).unwrap();

    bench.client.handle_frame(sent.connection, frame.freeze(), bench.now);

    assert!(!bench.client.is_ready(NODE, bench.now));
    let pause = Duration::from_millis(100);
    let throttled = Remark::Throttled { node: NODE, address: address(NODE), pause, until: bench.now + pause };
    assert_eq!(remarks(&mut bench).last(), Some(&throttled));
    bench.advance(Duration::from_millis(100));
    assert!(bench.client.is_ready(NODE, bench.now));
}

fn remarks(bench: &mut Bench) -> Vec<Remark> {
    std::iter::from_fn(|| bench.client.poll_remark()).collect()
}

#[test]
fn steps_of_an_attempt_are_noted_and_what_the_client_waits_for() {
    let mut bench = Bench::new();
    let second = Duration::from_secs(1);
    let step = |step| Remark::Step { node: NODE, address: address(NODE), step };
    let began = bench.now;
    let connection = bench.connect(NODE);
    bench.advance(second);
    let awaited = bench.client.awaited(NODE, bench.now);
    assert_eq!(awaited, Some(Awaited { step: ConnectionStep::Connect, since: Some(began) }));
    assert_eq!(remarks(&mut bench), []);

    bench.client.handle_connected(connection, bench.now);
    let asked = bench.now;
    bench.advance(second);

    assert_eq!(remarks(&mut bench), [step(ConnectionStep::ApiVersions)]);
    let awaited = bench.client.awaited(NODE, bench.now);
    assert_eq!(awaited, Some(Awaited { step: ConnectionStep::ApiVersions, since: Some(asked) }));
    let (sent, _) = bench.sent();
    bench.client.handle_frame(connection, versions_answer(sent, 4, 0), bench.now);
    assert_eq!(remarks(&mut bench), [step(ConnectionStep::Authentication)]);
    assert_eq!(bench.client.awaited(NODE, bench.now), None);
}

#[test]
fn handshake_is_not_counted_as_a_request_of_the_caller() {
    let mut bench = Bench::new();
    ask(&mut bench);

    assert!(!bench.client.has_in_flight());
    assert_eq!(bench.client.in_flight_count(NODE), 0);
}

/// Sends a request to `NODE` without waiting for its versions.
fn send_early(bench: &mut Bench, purpose: &'static str) {
    bench.client.send_early(request(NODE, purpose), 4, bench.now, |version, out| {
        out.i16(version);
        Ok(())
    });
}

#[test]
fn early_request_goes_behind_the_one_for_versions_and_is_answered_behind_it() {
    let mut bench = Bench::new();
    let (versions, _) = ask(&mut bench);

    assert!(bench.client.can_send_early(NODE, bench.now));
    send_early(&mut bench, "early");
    let (early, frame) = bench.sent();
    assert_eq!((early.connection, &frame[4..8]), (versions.connection, &[0, 3, 0, 4][..]));
    bench.client.handle_frame(versions.connection, versions_answer(versions, 4, 0), bench.now);
    // Version 4 of Metadata has a header without tags.
    let answer = Bytes::copy_from_slice(&early.correlation_id.to_be_bytes());
    bench.client.handle_frame(early.connection, answer, bench.now);

    let events = bench.events();
    assert_eq!(events[0], ready(NODE));
    assert!(matches!(events[1], NetworkEvent::Response { purpose: "early", version: 4, .. }), "{events:?}");
    assert!(bench.client.is_ready(NODE, bench.now));
}

/// Controllers do that, and brokers that want SASL when they know the request.
#[test]
fn server_that_closes_on_an_early_request_that_it_does_not_know_is_told_from_one_that_wants_sasl() {
    for (ranges, expected) in [
        (
            &[(18, 0, 4)][..],
            ", which speaks no version of Metadata that this producer speaks, as a controller does not",
        ),
        (
            &[(3, 0, 12), (18, 0, 4)],
            ", in place of the first answer; brokers that want SASL do that (security.protocol)",
        ),
    ] {
        let mut bench = Bench::new();
        let (versions, _) = ask(&mut bench);
        send_early(&mut bench, "early");
        bench.sent();
        let answer = versions_answer_of(versions, 4, 0, ranges);
        bench.client.handle_frame(versions.connection, answer, bench.now);
        bench.events();

        bench.client.handle_closed(versions.connection, "closed by the broker".into(), None, bench.now);

        let events = bench.events();
        let Some(NetworkEvent::Disconnected { reason, .. }) = events.last() else { panic!("{events:?}") };
        assert_eq!(*reason.words(), format!("closed by the broker{expected}"));
    }
}

#[test]
fn early_request_outlives_a_second_question_for_versions() {
    let mut bench = Bench::new();
    let (first, _) = ask(&mut bench);
    send_early(&mut bench, "early");
    let (early, _) = bench.sent();

    let refusal = versions_answer_of(first, 0, 35, &[(18, 0, 2)]);
    bench.client.handle_frame(first.connection, refusal, bench.now);
    let (second, _) = bench.sent();
    let answer = Bytes::copy_from_slice(&early.correlation_id.to_be_bytes());
    bench.client.handle_frame(early.connection, answer, bench.now);
    bench.client.handle_frame(second.connection, versions_answer(second, 2, 0), bench.now);

    assert!(matches!(bench.events()[..], [NetworkEvent::Response { .. }, NetworkEvent::Ready { .. }]));
}

#[test]
fn early_request_is_for_connections_that_are_just_being_asked() {
    let mut bench = Bench::new();
    send_early(&mut bench, "before");
    let connection = bench.connect(NODE);
    send_early(&mut bench, "too early");
    bench.client.handle_connected(connection, bench.now);
    let (versions, _) = bench.sent();
    bench.client.handle_frame(connection, versions_answer(versions, 4, 0), bench.now);
    send_early(&mut bench, "too late");

    let not_ready = |purpose| (purpose, FailureReason::NotReady, false);
    assert_eq!(bench.failures(), ["before", "too early", "too late"].map(not_ready));
    assert!(bench.has_no_action());
}

#[test]
fn early_request_counts_as_one_under_way() {
    let mut bench = Bench::with_config(NetworkConfig { max_in_flight: 1, ..config() });
    ask(&mut bench);

    assert!(!bench.client.can_send_early(NODE, bench.now));
}

#[test]
fn early_request_fails_with_its_connection() {
    let mut bench = Bench::new();
    let (versions, _) = ask(&mut bench);
    send_early(&mut bench, "early");
    bench.sent();

    bench.client.handle_closed(versions.connection, "reset".into(), None, bench.now);

    let reason = FailureReason::Disconnected(closed("reset"));
    assert_eq!(bench.failures(), [("early", reason, true)]);
}

/// An answer of a broker that can be told whom the client means (KIP-1242).
fn answer_of_new_broker(sent: Sent) -> Bytes {
    versions_answer_of(sent, 4, 0, &[(0, 0, 9), (3, 0, 12), (18, 0, 5)])
}

/// Has a first broker say whether it can be told whom the client means. Returns how the next one is asked.
fn ask_second(bench: &mut Bench, first_answer: fn(Sent) -> Bytes, second: NodeId) -> (Sent, Vec<u8>) {
    bench.client.update_nodes(&[node(NODE), node(second)], bench.now);
    bench.client.set_cluster_id(Some("abc"));
    let (sent, _) = ask(bench);
    bench.client.handle_frame(sent.connection, first_answer(sent), bench.now);
    let connection = bench.connect(second);
    bench.client.handle_connected(connection, bench.now);
    let (sent, frame) = bench.sent();
    (sent, frame.to_vec())
}

#[test]
fn broker_is_told_whom_the_client_means_once_one_has_said_that_it_understands() {
    let second = NodeId(7);
    let mut bench = Bench::new();

    let (sent, frame) = ask_second(&mut bench, answer_of_new_broker, second);

    assert_eq!(frame[4..8], [0, 18, 0, 5]);
    assert!(frame.ends_with(&[4, b'a', b'b', b'c', 0, 0, 0, 7, 0]), "{frame:?}");
    bench.client.handle_frame(sent.connection, answer_of_new_broker(sent), bench.now);
    assert!(bench.client.is_ready(second, bench.now));
}

/// It would have to be asked twice.
#[test]
fn broker_is_not_told_whom_the_client_means_if_others_do_not_understand_it() {
    let mut bench = Bench::new();

    let (_, frame) = ask_second(&mut bench, |sent| versions_answer(sent, 4, 0), NodeId(7));

    assert_eq!(frame[4..8], [0, 18, 0, 4]);
}

#[test]
fn entry_of_bootstrap_servers_is_not_told_whom_the_client_means() {
    let mut bench = Bench::new();

    let (_, frame) = ask_second(&mut bench, answer_of_new_broker, NodeId(-1));

    assert_eq!(frame[4..8], [0, 18, 0, 4]);
}

#[test]
fn no_broker_is_told_whom_the_client_means_if_the_check_is_off() {
    let mut bench = Bench::with_config(NetworkConfig { checks_cluster: false, ..config() });

    let (_, frame) = ask_second(&mut bench, answer_of_new_broker, NodeId(7));

    assert_eq!(frame[4..8], [0, 18, 0, 4]);
}

#[test]
fn broker_that_is_another_ends_the_connection_and_is_told_again_at_the_next() {
    const REBOOTSTRAP_REQUIRED: i16 = 129;
    let second = NodeId(7);
    let mut bench = Bench::new();
    let (sent, _) = ask_second(&mut bench, answer_of_new_broker, second);
    bench.events();

    let refusal = versions_answer_of(sent, 4, REBOOTSTRAP_REQUIRED, &[(18, 0, 5)]);
    bench.client.handle_frame(sent.connection, refusal, bench.now);

    let expected = NetworkEvent::Disconnected {
        node: second,
        address: address(second),
        step: ConnectionStep::ApiVersions,
        unanswered: 0,
        reason: DisconnectReason::Misrouted,
    };
    assert_eq!(bench.events(), [expected]);
    assert_eq!(bench.closed(), sent.connection);
    bench.advance(RECONNECT_BACKOFF);
    let connection = bench.connect(second);
    bench.client.handle_connected(connection, bench.now);
    let (_, frame) = bench.sent();
    assert_eq!(frame[4..8], [0, 18, 0, 5]);
}

#[test]
fn old_broker_among_new_ones_is_asked_again_without_being_told() {
    let second = NodeId(7);
    let mut bench = Bench::new();
    let (sent, _) = ask_second(&mut bench, answer_of_new_broker, second);

    bench.client.handle_frame(sent.connection, versions_answer_of(sent, 0, 35, &[(18, 0, 4)]), bench.now);
    let (sent, frame) = bench.sent();
    assert_eq!(frame[4..8], [0, 18, 0, 4]);
    bench.client.handle_frame(sent.connection, versions_answer(sent, 4, 0), bench.now);

    assert!(bench.client.is_ready(second, bench.now));
}
