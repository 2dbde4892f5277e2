//! What brokers are asked before they have answered the last question.

use super::*;
use crate::network::haste::Haste;

const OLD_RANGES: &[(i16, i16, i16)] = &[(3, 0, 5), (17, 0, 1), (18, 0, 1), (36, 0, 0)];

/// The frames that are to be sent: what each asks, in which version.
fn asked(bench: &mut Bench) -> Vec<(Sent, (i16, i16))> {
    let mut all = Vec::new();
    while let Some(action) = bench.client.poll_action() {
        let NetworkAction::Transmit { connection, frame } = action else { panic!("{action:?}") };
        let correlation_id = frame.correlation_id;
        let mut bytes: BytesMut = frame.segments.pieces().flatten().skip(4).collect();
        all.push((Sent { connection, correlation_id }, (bytes.get_i16(), bytes.get_i16())));
    }
    all
}

/// The same without what tells them apart.
fn kinds(asked: &[(Sent, (i16, i16))]) -> Vec<(i16, i16)> {
    asked.iter().map(|(_, kind)| *kind).collect()
}

fn bench_of(script: &Script, keeps_secrets: bool) -> Bench {
    let sasl_mechanism: Option<Arc<dyn SaslMechanism>> = Some(Arc::new(script.clone()));
    Bench::with_config(NetworkConfig { sasl_mechanism, keeps_secrets, ..config() })
}

/// Connects to a node that takes its time, and goes as far as it can without an answer.
fn go_ahead(bench: &mut Bench, id: NodeId) -> Vec<(Sent, (i16, i16))> {
    let connection = bench.connect(id);
    bench.advance(HEAD_START * 4);
    bench.client.handle_connected(connection, bench.now);
    let mut all = asked(bench);
    for _ in 0..4 {
        bench.advance(HEAD_START);
        all.extend(asked(bench));
    }
    all
}

fn tell_versions(bench: &mut Bench, sent: Sent) {
    bench.client.handle_frame(sent.connection, versions_answer_of(sent, 4, 0, RANGES), bench.now);
}

fn answer_word(bench: &mut Bench, (sent, (_, version)): (Sent, (i16, i16)), words: &'static str) {
    let response = SaslAuthenticateResponse::default().with_auth_bytes(Bytes::from_static(words.as_bytes()));
    bench.client.handle_frame(sent.connection, word_answer_in(sent, version, &response), bench.now);
}

/// Has a node let the producer in that was asked all of this and the words that follow.
fn let_in(bench: &mut Bench, mut all: Vec<(Sent, (i16, i16))>) {
    let node = bench.client.states.node_of(all[0].0.connection).unwrap();
    let mut index = 0;
    while index < all.len() {
        let (sent, (api, _)) = all[index];
        match api {
            18 => tell_versions(bench, sent),
            17 => take_mechanism(bench, sent, 0),
            _ => answer_word(bench, all[index], "go on"),
        }
        all.extend(asked(bench));
        index += 1;
    }
    assert_eq!(bench.events(), [ready(node)]);
}

fn disconnect_reason(bench: &mut Bench) -> DisconnectReason {
    match bench.events().pop() {
        Some(NetworkEvent::Disconnected { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn broker_that_answers_in_time_is_asked_one_thing_after_the_other() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = asked(&mut bench)[0];
    bench.advance(HEAD_START / 2);
    assert_eq!(asked(&mut bench), []);
    tell_versions(&mut bench, sent);

    let (sent, _) = asked_for(&mut bench);
    bench.advance(HEAD_START * 4);
    assert_eq!(asked(&mut bench), []);
    take_mechanism(&mut bench, sent, 0);

    assert_eq!(kinds(&asked(&mut bench)), [(36, 2)]);
}

#[test]
fn broker_that_takes_its_time_is_asked_the_next_thing_meanwhile() {
    for (opening, expected) in [
        (Opening::Later, vec![(18, 3), (17, 1)]),
        (Opening::Public, vec![(18, 3), (17, 1), (36, 1)]),
        (Opening::Secret, vec![(18, 3), (17, 1)]),
    ] {
        let script = Script::new(TWO_WORDS).opening(opening);
        let mut bench = bench_of(&script, true);

        let all = go_ahead(&mut bench, NODE);

        assert_eq!(kinds(&all), expected, "{opening:?}");
        assert_eq!(bench.client.poll_timeout(), Some(bench.now - HEAD_START * 8 + SETUP_TIMEOUT));
        let_in(&mut bench, all);
        assert_eq!(script.heard(), ["kafka-1 begins", "", "go on", "go on"]);
    }
}

#[test]
fn secrets_go_ahead_to_brokers_of_a_cluster_that_has_taken_them_if_others_cannot_read_them() {
    for (keeps_secrets, expected) in
        [(true, vec![(18, 4), (17, 1), (36, 2)]), (false, vec![(18, 4), (17, 1)])]
    {
        let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Secret), keeps_secrets);
        let first = go_ahead(&mut bench, NODE);
        let_in(&mut bench, first);

        let second = go_ahead(&mut bench, OTHER);

        assert_eq!(kinds(&second), expected);
        let_in(&mut bench, second);
    }
}

#[test]
fn secrets_do_not_go_ahead_to_brokers_of_another_cluster_or_after_one_that_takes_other_mechanisms() {
    for has_moved in [true, false] {
        let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Secret), true);
        bench.client.set_cluster_id(Some("one"));
        let first = go_ahead(&mut bench, NODE);
        let_in(&mut bench, first);
        if has_moved {
            bench.client.set_cluster_id(Some("another"));
        } else {
            let second = go_ahead(&mut bench, OTHER);
            tell_versions(&mut bench, second[0].0);
            take_mechanism(&mut bench, second[1].0, 33);
            bench.closed();
            bench.advance(RECONNECT_BACKOFF);
        }

        let again = go_ahead(&mut bench, OTHER);

        assert_eq!(kinds(&again), [(18, 4), (17, 1)]);
    }
}

#[test]
fn refused_mechanism_is_told_though_words_are_under_way() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);
    let all = go_ahead(&mut bench, NODE);
    tell_versions(&mut bench, all[0].0);

    take_mechanism(&mut bench, all[1].0, 33);

    assert_eq!(bench.closed(), all[0].0.connection);
    let text = disconnect_reason(&mut bench).to_string();
    assert!(text.contains("sasl.mechanism SCRIPT; it offers PLAIN, SCRAM-SHA-256 ("), "{text}");
}

/// Connects to a node in haste, and loses the connection.
fn fail_in_haste(bench: &mut Bench) {
    let all = go_ahead(bench, NODE);
    assert!(all.len() > 1, "{all:?}");
    bench.client.handle_closed(all[0].0.connection, "reset".into(), None, bench.now);
    assert_eq!(disconnect_reason(bench), closed("reset"));
    bench.advance(RECONNECT_BACKOFF);
}

/// Connects to a node, which is asked one thing after the other, and loses the connection later.
fn come_in_patiently(bench: &mut Bench) {
    let all = go_ahead(bench, NODE);
    assert_eq!(all.len(), 1, "{all:?}");
    let_in(bench, all.clone());
    bench.client.handle_closed(all[0].0.connection, "reset".into(), None, bench.now);
    bench.events();
    bench.advance(RECONNECT_BACKOFF);
}

#[test]
fn peer_that_ends_the_connection_is_asked_one_thing_after_the_other_the_next_time() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);

    fail_in_haste(&mut bench);
    come_in_patiently(&mut bench);

    // It may have been for another reason.
    assert_eq!(go_ahead(&mut bench, NODE).len(), 3);
}

#[test]
fn peer_that_ends_two_connections_is_asked_one_thing_after_the_other_from_then_on() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);

    fail_in_haste(&mut bench);
    come_in_patiently(&mut bench);
    fail_in_haste(&mut bench);

    for _ in 0..3 {
        come_in_patiently(&mut bench);
    }
    // It was so three times in a row: what is in between may not bear it either.
    let all = go_ahead(&mut bench, OTHER);
    assert_eq!(all.len(), 1);
    bench.client.handle_closed(all[0].0.connection, "reset".into(), None, bench.now);
    bench.advance(RECONNECT_BACKOFF);

    bench.client.set_cluster_id(Some("one"));
    bench.client.set_cluster_id(Some("another"));
    assert_eq!(go_ahead(&mut bench, OTHER).len(), 3);
}

#[test]
fn loss_that_is_not_the_peers_doing_does_not_end_haste() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);
    let all = go_ahead(&mut bench, NODE);
    let elsewhere = versions_answer_of(all[0].0, 3, 129, RANGES);
    bench.client.handle_frame(all[0].0.connection, elsewhere, bench.now);
    bench.closed();
    assert_eq!(disconnect_reason(&mut bench), DisconnectReason::Misrouted);
    bench.advance(RECONNECT_BACKOFF);

    assert_eq!(go_ahead(&mut bench, NODE).len(), 3);
}

/// A gateway may take what comes early for a mistake of the client's, where it would take the same behind an answer.
#[test]
fn refusal_in_other_words_than_brokers_have_is_not_believed_of_an_early_question() {
    for (is_agreed, code) in [(false, 34), (false, 42), (true, 34), (true, 35)] {
        let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);
        let all = go_ahead(&mut bench, NODE);
        tell_versions(&mut bench, all[0].0);
        if is_agreed {
            take_mechanism(&mut bench, all[1].0, 0);
            let response = SaslAuthenticateResponse::default().with_error_code(code);
            let (sent, (_, version)) = all[2];
            bench.client.handle_frame(sent.connection, word_answer_in(sent, version, &response), bench.now);
        } else {
            take_mechanism(&mut bench, all[1].0, code);
        }
        assert_eq!(bench.closed(), all[0].0.connection);
        assert_eq!(disconnect_reason(&mut bench), DisconnectReason::AskedTooEarly, "{code}");

        let again = go_ahead(&mut bench, NODE);
        tell_versions(&mut bench, again[0].0);
        let (sent, _) = asked(&mut bench)[0];
        take_mechanism(&mut bench, sent, 34);

        bench.closed();
        let text = disconnect_reason(&mut bench).to_string();
        assert!(text.contains("ILLEGAL_SASL_STATE"), "{text}");
    }
}

#[test]
fn broker_has_to_say_that_it_is_of_the_cluster_before_it_hears_a_secret() {
    const NEW: &[(i16, i16, i16)] = &[(3, 0, 13), (17, 0, 1), (18, 0, 5), (36, 0, 2)];
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Secret), true);
    let first = go_ahead(&mut bench, NODE);
    let answer = versions_answer_of(first[0].0, 3, 0, NEW);
    bench.client.handle_frame(first[0].0.connection, answer, bench.now);
    take_mechanism(&mut bench, first[1].0, 0);
    let mut word = asked(&mut bench)[0];
    for _ in 0..2 {
        answer_word(&mut bench, word, "go on");
        word = asked(&mut bench).first().copied().unwrap_or(word);
    }
    assert_eq!(bench.events(), [ready(NODE)]);
    bench.client.set_cluster_id(Some("one"));

    let second = go_ahead(&mut bench, OTHER);

    assert_eq!(kinds(&second), [(18, 5), (17, 1)]);
    // Version 5 has the same answer.
    let answer = versions_answer_of(second[0].0, 4, 0, NEW);
    bench.client.handle_frame(second[0].0.connection, answer, bench.now);
    take_mechanism(&mut bench, second[1].0, 0);
    assert_eq!(kinds(&asked(&mut bench)), [(36, 2)]);
}

#[test]
fn broker_that_is_connected_to_soon_is_asked_one_thing_after_the_other() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);
    let connection = bench.connect(NODE);
    bench.advance(HEAD_START * 3);
    bench.client.handle_connected(connection, bench.now);
    assert_eq!(kinds(&asked(&mut bench)), [(18, 3)]);

    bench.advance(HEAD_START * 10);

    assert_eq!(asked(&mut bench), []);
}

#[test]
fn peer_that_drops_what_comes_early_is_not_waited_for_long() {
    let mut bench = bench_of(&Script::new(TWO_WORDS), true);
    let all = go_ahead(&mut bench, NODE);
    tell_versions(&mut bench, all[0].0);
    let waited = bench.client.poll_timeout().unwrap() - bench.now;
    assert!(waited < SETUP_TIMEOUT / 3, "{waited:?}");

    bench.advance(waited);

    assert_eq!(bench.closed(), all[0].0.connection);
    assert_eq!(disconnect_reason(&mut bench), DisconnectReason::RequestTimedOut);
    bench.advance(RECONNECT_BACKOFF);
    assert_eq!(kinds(&go_ahead(&mut bench, NODE)), [(18, 4)]);
}

#[test]
fn old_cluster_is_connected_to_again_at_once_and_asked_one_thing_after_the_other() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public), true);
    let all = go_ahead(&mut bench, NODE);
    let refusal = versions_answer_of(all[0].0, 0, 35, &[(18, 0, 1)]);
    bench.client.handle_frame(all[0].0.connection, refusal, bench.now);
    assert_eq!(bench.closed(), all[0].0.connection);
    let reason = disconnect_reason(&mut bench);
    assert!(reason.is_release(), "{reason}");

    for node in [NODE, OTHER] {
        let again = go_ahead(&mut bench, node);

        // In the version that the broker has named.
        assert_eq!(kinds(&again), [(18, 1)]);
        let answer = versions_answer_of(again[0].0, 1, 0, OLD_RANGES);
        bench.client.handle_frame(again[0].0.connection, answer, bench.now);
        let mut next = asked(&mut bench);
        assert_eq!(kinds(&next), [(17, 1)]);
        take_mechanism(&mut bench, next[0].0, 0);
        for _ in 0..2 {
            next = asked(&mut bench);
            assert_eq!(kinds(&next), [(36, 0)]);
            answer_word(&mut bench, next[0], "go on");
        }
        assert_eq!(bench.events(), [ready(node)]);
    }
}

#[test]
fn old_broker_nearby_is_asked_again_on_its_connection() {
    let mut bench = bench_of(&Script::new(TWO_WORDS), true);
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = asked(&mut bench)[0];

    bench.client.handle_frame(connection, versions_answer_of(sent, 0, 35, &[(18, 0, 1)]), bench.now);
    bench.advance(HEAD_START * 2);

    assert_eq!(kinds(&asked(&mut bench)), [(18, 1)]);
}

#[test]
fn broker_that_has_no_place_for_early_questions_is_connected_to_again() {
    let mut bench = bench_of(&Script::new(TWO_WORDS), true);
    let all = go_ahead(&mut bench, NODE);

    let answer = versions_answer_of(all[0].0, 3, 0, &[(3, 0, 12), (17, 0, 0), (18, 0, 3)]);
    bench.client.handle_frame(all[0].0.connection, answer, bench.now);

    assert_eq!(bench.closed(), all[0].0.connection);
    assert_eq!(disconnect_reason(&mut bench), DisconnectReason::AskedTooEarly);
    assert_eq!(kinds(&go_ahead(&mut bench, NODE)), [(18, 3)]);
}

/// A token may be taken out of force between two looks.
#[test]
fn first_words_that_are_not_there_after_all_follow_once_they_are() {
    let mut bench = bench_of(&Script::new(TWO_WORDS).opening(Opening::Public).late(), true);
    let all = go_ahead(&mut bench, NODE);
    assert_eq!(kinds(&all), [(18, 3), (17, 1)]);
    assert!(bench.client.awaits_credentials());
    tell_versions(&mut bench, all[0].0);
    take_mechanism(&mut bench, all[1].0, 0);
    assert_eq!(asked(&mut bench), []);

    bench.client.handle_credentials(bench.now);

    let said = asked(&mut bench);
    assert_eq!(kinds(&said), [(36, 1)]);
    let_in(&mut bench, said);
}

#[test]
fn metadata_may_be_asked_along_with_the_last_words() {
    let script = Script::new(TWO_WORDS).opening(Opening::Public);
    let mut bench = bench_of(&script, true);
    let all = go_ahead(&mut bench, NODE);
    tell_versions(&mut bench, all[0].0);
    take_mechanism(&mut bench, all[1].0, 0);
    assert!(!bench.client.can_send_early(NODE, bench.now));
    answer_word(&mut bench, all[2], "who?");
    let last = asked(&mut bench);
    assert!(bench.client.can_send_early(NODE, bench.now));

    bench.client.send_early(request(NODE, "early"), 4, bench.now, |_, _| Ok(()));
    let early = asked(&mut bench);
    assert_eq!(kinds(&early), [(3, 4)]);
    answer_word(&mut bench, last[0], "welcome");
    assert_eq!(bench.events(), [ready(NODE)]);
    let mut frame = BytesMut::new();
    frame.put_i32(early[0].0.correlation_id);
    bench.client.handle_frame(early[0].0.connection, frame.freeze(), bench.now);

    assert!(matches!(bench.events()[..], [NetworkEvent::Response { purpose: "early", .. }]));
}

#[test]
fn refused_producer_hears_why_though_metadata_was_asked_early() {
    let mut bench = bench_of(&Script::new(&[Ok("it is me")]).opening(Opening::Secret), true);
    let all = go_ahead(&mut bench, NODE);
    tell_versions(&mut bench, all[0].0);
    take_mechanism(&mut bench, all[1].0, 0);
    let (sent, _) = said(&mut bench);
    bench.client.send_early(request(NODE, "early"), 4, bench.now, |_, _| Ok(()));

    reply(&mut bench, sent, &refusal());

    let [NetworkEvent::Failed { purpose: "early", .. }, NetworkEvent::Disconnected { reason, .. }] =
        &bench.events()[..]
    else {
        panic!("what was asked early fails")
    };
    assert_eq!(*reason, refused(false));
}

#[test]
fn nothing_is_asked_along_with_a_renewal() {
    let mut bench = bench_of(&Script::new(&[Ok("it is me"); 1]).opening(Opening::Secret), true);
    let all = go_ahead(&mut bench, NODE);
    tell_versions(&mut bench, all[0].0);
    take_mechanism(&mut bench, all[1].0, 0);
    let (sent, _) = said(&mut bench);
    reply(&mut bench, sent, &words("welcome", LIFETIME));
    bench.events();
    let deadline = bench.client.poll_timeout().unwrap();
    bench.advance(deadline - bench.now);

    let (sent, _) = asked_for(&mut bench);
    bench.advance(HEAD_START * 4);
    assert_eq!(asked(&mut bench), []);
    take_mechanism(&mut bench, sent, 0);
    said(&mut bench);

    assert!(!bench.client.can_send_early(NODE, bench.now));
}

#[test]
fn old_brokers_are_remembered() {
    let mut haste = Haste::new(true);
    assert!(haste.names_mechanism());

    haste.note_old_broker();

    assert!(!haste.names_mechanism());
}
