//! Producers without SASL, at brokers that demand it.

use super::*;

/// Connects to a broker that speaks SASL, and gets to the answer to the question for versions.
fn come(bench: &mut Bench) -> ConnectionId {
    negotiate(bench)
}

/// Has the broker close the connection on the first request.
fn thrown_out(bench: &mut Bench) {
    let connection = come(bench);
    bench.send_and_poll(NODE, "a");
    bench.client.handle_closed(connection, "closed by the broker".into(), None, bench.now);
    bench.events();
    bench.advance(RECONNECT_BACKOFF);
}

#[test]
fn broker_that_closes_the_connection_on_the_first_request_is_asked_whether_it_demands_sasl() {
    for code in [0, 33] {
        let mut bench = Bench::new();
        thrown_out(&mut bench);
        let connection = bench.connect(NODE);
        bench.client.handle_connected(connection, bench.now);
        assert!(!bench.client.can_send_early(NODE, bench.now));
        let (sent, _) = bench.sent();
        bench.client.handle_frame(connection, versions_answer_of(sent, 4, 0, RANGES), bench.now);
        let (sent, mechanism) = asked_for(&mut bench);
        assert_eq!(mechanism, "PLAIN");

        take_mechanism(&mut bench, sent, code);

        assert_eq!(bench.closed(), connection);
        let reason = last_cause(&bench).unwrap().reason;
        assert!(reason.is_refusal());
        let text = reason.to_string();
        for part in ["demands SASL", "security.protocol", "SASL_PLAINTEXT", "(PLAIN, SCRAM-SHA-256)"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

/// Nothing that a broker says of mechanisms locks a producer out that it would serve.
#[test]
fn broker_that_knows_sasl_and_does_not_insist_is_used_after_all() {
    let mut bench = Bench::new();
    thrown_out(&mut bench);
    come(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    bench.closed();
    bench.events();
    bench.advance(RECONNECT_BACKOFF * 2);

    come(&mut bench);

    assert_eq!(bench.events(), [ready(NODE)]);
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn broker_without_sasl_is_used_after_the_question() {
    let mut bench = Bench::new();
    thrown_out(&mut bench);
    let connection = come(&mut bench);
    let (sent, _) = asked_for(&mut bench);

    take_mechanism(&mut bench, sent, 34);

    assert_eq!(bench.events(), [ready(NODE)]);
    let sent = bench.send_and_poll(NODE, "a");
    bench.answer(sent);
    bench.events();
    // One that answers is not asked again.
    bench.client.handle_closed(connection, "closed by the broker".into(), None, bench.now);
    bench.advance(RECONNECT_BACKOFF);
    bench.events();
    come(&mut bench);
    assert_eq!(bench.events(), [ready(NODE)]);
}

#[test]
fn broker_that_has_no_handshake_is_not_asked() {
    let mut bench = Bench::new();
    thrown_out(&mut bench);
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = bench.sent();

    bench.client.handle_frame(connection, versions_answer(sent, 4, 0), bench.now);

    assert_eq!(bench.events(), [ready(NODE)]);
}

/// Has the broker close a connection on which nothing was asked.
fn closed_unused(bench: &mut Bench, connection: ConnectionId) {
    bench.client.handle_closed(connection, "closed by the broker".into(), None, bench.now);
    bench.events();
    bench.advance(RECONNECT_BACKOFF);
}

#[test]
fn broker_that_closes_an_unused_connection_is_not_asked_whether_it_demands_sasl() {
    let mut bench = Bench::new();
    let connection = come(&mut bench);
    assert_eq!(bench.events(), [ready(NODE)]);
    closed_unused(&mut bench, connection);

    come(&mut bench);

    assert_eq!(bench.events(), [ready(NODE)]);
}

#[test]
fn broker_that_has_said_that_it_takes_no_sasl_is_not_asked_again() {
    let mut bench = Bench::new();
    thrown_out(&mut bench);
    let connection = come(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 34);
    assert_eq!(bench.events(), [ready(NODE)]);
    closed_unused(&mut bench, connection);

    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);

    assert!(bench.client.can_send_early(NODE, bench.now));
    let (sent, _) = bench.sent();
    bench.client.handle_frame(connection, versions_answer_of(sent, 4, 0, RANGES), bench.now);
    assert_eq!(bench.events(), [ready(NODE)]);
}
