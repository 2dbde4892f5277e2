//! Brokers without SaslAuthenticate: after SaslHandshake 0 the words come as they are, each behind its length.

use super::*;

/// Has an old broker take the mechanism.
fn handshake(bench: &mut Bench) -> ConnectionId {
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = bench.sent();
    let ranges = &[(3, 0, 2), (17, 0, 0), (18, 0, 4)];
    bench.client.handle_frame(connection, versions_answer_of(sent, 4, 0, ranges), bench.now);
    let (sent, frame) = bench.sent();
    assert_eq!(frame[4..8], [0, 17, 0, 0]);
    bench.client.handle_frame(connection, mechanism_answer(sent, 0), bench.now);
    connection
}

/// Polls words, with their length.
fn words_of(bench: &mut Bench) -> Bytes {
    bench.sent().1
}

#[test]
fn words_are_exchanged_without_headers() {
    let script = Script::new(TWO_WORDS);
    let mut bench = bench(&script);
    let connection = handshake(&mut bench);

    assert_eq!(words_of(&mut bench), b"\0\0\0\x05hello"[..]);
    bench.client.handle_frame(connection, Bytes::from_static(b"who?"), bench.now);
    assert_eq!(words_of(&mut bench), b"\0\0\0\x08it is me"[..]);
    assert_eq!(bench.events(), []);
    bench.client.handle_frame(connection, Bytes::new(), bench.now);

    assert_eq!(bench.events(), [ready(NODE)]);
    assert_eq!(script.heard(), ["kafka-1 begins", "", "who?", ""]);
    let sent = bench.send_and_poll(NODE, "a");
    bench.answer(sent);
    assert!(matches!(bench.events()[..], [NetworkEvent::Response { purpose: "a", .. }]));
}

#[test]
fn broker_that_closes_the_connection_twice_in_place_of_words_refuses_us() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let close = |bench: &mut Bench| {
        let connection = handshake(bench);
        words_of(bench);
        bench.client.handle_closed(connection, "reset".into(), None, bench.now);
        let reason = last_cause(bench).unwrap().reason;
        bench.events();
        bench.advance(RECONNECT_BACKOFF * 4);
        reason
    };

    // Once may be for any reason.
    assert_eq!(close(&mut bench), closed("reset"));
    let reason = close(&mut bench);

    assert!(reason.is_refusal());
    let text = reason.to_string();
    assert!(text.contains("where it should answer SCRIPT") && text.contains("sasl.jaas.config"), "{text}");
}

#[test]
fn words_that_are_too_long_end_the_connection() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let connection = handshake(&mut bench);
    words_of(&mut bench);

    bench.client.handle_frame(connection, vec![0; 524_289].into(), bench.now);

    assert_eq!(bench.closed(), connection);
    let text = last_cause(&bench).unwrap().reason.to_string();
    assert!(text.contains("has 524289 bytes; at most 524288 are taken"), "{text}");
}

#[test]
fn words_that_come_unasked_end_the_connection() {
    let mut bench = bench(&Script::new(&[]));
    let connection = handshake(&mut bench);
    assert_eq!(bench.events(), [ready(NODE)]);

    bench.client.handle_frame(connection, Bytes::new(), bench.now);

    assert_eq!(bench.closed(), connection);
}

#[test]
fn broker_that_has_neither_way_is_told_apart() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = bench.sent();
    let ranges = &[(3, 0, 2), (17, 1, 1), (18, 0, 0)];
    bench.client.handle_frame(connection, versions_answer_of(sent, 4, 0, ranges), bench.now);
    let (sent, _) = bench.sent();

    bench.client.handle_frame(connection, mechanism_answer(sent, 35), bench.now);

    let error = AuthenticationError::UnsupportedVersion(ApiKey::SaslAuthenticate);
    assert_eq!(last_cause(&bench).unwrap().reason, error.into());
}
