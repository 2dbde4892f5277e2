//! Sessions that end, and are renewed on their connection.

use super::*;

/// A client that is authenticated for `LIFETIME`.
fn in_session() -> (Bench, ConnectionId) {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let connection = negotiate(&mut bench);
    authenticate(&mut bench, LIFETIME);
    assert_eq!(bench.events(), [ready(NODE)]);
    (bench, connection)
}

/// Lets the time come at which to authenticate anew.
fn come_to_the_end(bench: &mut Bench) {
    let deadline = bench.client.poll_timeout().unwrap();
    bench.advance(deadline - bench.now);
}

/// Lets the time come that is a second before.
fn come_close_to_the_end(bench: &mut Bench) {
    let deadline = bench.client.poll_timeout().unwrap();
    bench.advance(deadline - bench.now - Duration::from_secs(1));
}

fn least_loaded(bench: &mut Bench) -> (Option<NodeId>, bool) {
    bench.client.update_nodes(&[node(NODE)], bench.now);
    let chosen = bench.client.least_loaded_node(ApiKey::Metadata, bench.now);
    (chosen.node, chosen.has_ready_connection)
}

#[test]
fn new_authentication_has_the_time_of_a_request_for_all_of_it() {
    let (mut bench, connection) = in_session();
    come_to_the_end(&mut bench);
    let start = bench.now;
    let (sent, _) = asked_for(&mut bench);
    bench.advance(REQUEST_TIMEOUT / 2);
    take_mechanism(&mut bench, sent, 0);
    said(&mut bench);

    assert_eq!(bench.client.poll_timeout(), Some(start + REQUEST_TIMEOUT));
    bench.advance(REQUEST_TIMEOUT / 2);

    assert_eq!(bench.closed(), connection);
    assert_eq!(
        bench.events(),
        [disconnected(DisconnectReason::AuthenticationTimedOut, ConnectionStep::Ready)]
    );
}

#[test]
fn session_without_a_limit_is_not_renewed() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    negotiate(&mut bench);

    authenticate(&mut bench, Duration::ZERO);

    assert_eq!(bench.client.poll_timeout(), Some(bench.now + MAX_IDLE));
}

#[test]
fn session_is_renewed_on_the_same_connection_before_it_ends() {
    let (mut bench, connection) = in_session();
    let start = bench.now;

    come_to_the_end(&mut bench);

    let waited = bench.now - start;
    assert!((LIFETIME * 85 / 100..=LIFETIME * 95 / 100).contains(&waited), "{waited:?}");
    assert!(!bench.client.can_send(NODE, bench.now));
    assert!(!bench.client.connect(NODE, bench.now));
    assert_eq!(least_loaded(&mut bench), (None, true));
    authenticate(&mut bench, LIFETIME);
    assert!(bench.client.can_send(NODE, bench.now));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.send_and_poll(NODE, "a").connection, connection);
}

#[test]
fn session_is_renewed_earlier_if_the_broker_is_slow() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let lifetime = Duration::from_secs(10);
    negotiate(&mut bench);
    authenticate(&mut bench, lifetime);
    let start = bench.now;
    let sent = bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_secs(2));
    bench.answer(sent);

    let end = bench.client.states.node(NODE).unwrap().session_ends().unwrap() - start;
    assert!(end <= Duration::from_secs(6), "{end:?}");
    // What is known of the broker outlives the session by one.
    let mut ends = Vec::new();
    for _ in 0..2 {
        come_to_the_end(&mut bench);
        authenticate(&mut bench, lifetime);
        ends.push(bench.client.states.node(NODE).unwrap().session_ends().unwrap() - bench.now);
    }
    assert!(ends[0] <= Duration::from_secs(6) && ends[1] > Duration::from_secs(8), "{ends:?}");
}

#[test]
fn session_counts_from_the_question_since_the_answer_may_have_been_long_on_its_way() {
    let mut bench = bench(&Script::new(&[Ok("hello")]));
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    let (sent, _) = said(&mut bench);
    let asked_at = bench.now;
    bench.advance(SETUP_TIMEOUT / 2);

    reply(&mut bench, sent, &words("", LIFETIME));

    let end = bench.client.states.node(NODE).unwrap().session_ends().unwrap();
    assert!(end <= asked_at + LIFETIME * 95 / 100, "{:?}", end - asked_at);
}

#[test]
fn requests_under_way_are_answered_before_the_session_is_renewed() {
    let (mut bench, _) = in_session();
    come_close_to_the_end(&mut bench);
    let first = bench.send_and_poll(NODE, "a");
    let second = bench.send_and_poll(NODE, "b");

    bench.advance(Duration::from_secs(1));
    assert!(bench.has_no_action());
    assert!(!bench.client.can_send(NODE, bench.now));
    assert_eq!(bench.client.in_flight_count(NODE), 2);
    bench.send(NODE, "c");
    assert_eq!(bench.failures(), [("c", FailureReason::NotReady, false)]);
    bench.answer(first);
    assert!(bench.has_no_action());
    bench.answer(second);
    authenticate(&mut bench, LIFETIME);

    let events = bench.events();
    assert!(matches!(events[0], NetworkEvent::Response { purpose: "a", .. }), "{events:?}");
    assert!(matches!(events[1], NetworkEvent::Response { purpose: "b", .. }), "{events:?}");
    assert_eq!(events.len(), 2);
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn request_that_expects_no_answer_is_written_before_the_session_is_renewed() {
    let (mut bench, connection) = in_session();
    come_close_to_the_end(&mut bench);
    bench.send_silently(NODE, "a");
    let (sent, _) = bench.sent();
    bench.advance(Duration::from_secs(1));
    assert!(bench.has_no_action());

    bench.client.handle_written(connection, sent.correlation_id, bench.now);

    asked_for(&mut bench);
}

#[test]
fn refused_renewal_ends_the_connection_and_is_its_last_cause() {
    let (mut bench, connection) = in_session();
    come_to_the_end(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    let (sent, _) = said(&mut bench);

    reply(&mut bench, sent, &refusal());

    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.events(), [disconnected(refused(true), ConnectionStep::Ready)]);
    assert_eq!(last_cause(&bench), Some(LastCause { reason: refused(true), at: bench.now }));
    assert!(refused(true).to_string().contains("refuses to renew the session by what sasl.jaas.config says"));
    assert!(!bench.client.connect(NODE, bench.now));
}

#[test]
fn connection_that_is_lost_while_it_waits_for_its_renewal_fails_what_is_under_way() {
    let (mut bench, connection) = in_session();
    come_close_to_the_end(&mut bench);
    bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_secs(1));

    bench.client.handle_closed(connection, "reset".into(), None, bench.now);

    let lost = FailureReason::Disconnected(closed("reset"));
    assert_eq!(bench.failures(), [("a", lost, true)]);
    assert!(bench.has_no_action());
}

#[test]
fn renewals_do_not_keep_an_idle_connection() {
    let (mut bench, connection) = in_session();
    let start = bench.now;

    let mut renewals = 0;
    loop {
        come_to_the_end(&mut bench);
        if bench.now - start >= MAX_IDLE {
            break;
        }
        authenticate(&mut bench, LIFETIME);
        renewals += 1;
    }

    assert!(renewals >= 4, "{renewals}");
    assert_eq!(bench.now - start, MAX_IDLE);
    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.events(), [disconnected(DisconnectReason::Idle, ConnectionStep::Ready)]);
}

#[test]
fn throttled_broker_is_told_who_we_are_once_it_listens() {
    let (mut bench, _) = in_session();
    bench.client.throttle(NODE, LIFETIME, bench.now);

    bench.advance(LIFETIME - Duration::from_millis(1));
    assert!(bench.has_no_action());
    bench.advance(Duration::from_millis(1));

    asked_for(&mut bench);
}

#[test]
fn broker_that_is_throttled_meanwhile_is_told_who_we_are_once_it_listens() {
    let (mut bench, _) = in_session();
    come_close_to_the_end(&mut bench);
    let sent = bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_secs(1));
    bench.client.throttle(NODE, REQUEST_TIMEOUT * 2, bench.now);

    bench.answer(sent);
    assert!(bench.has_no_action());
    bench.advance(REQUEST_TIMEOUT * 2);

    asked_for(&mut bench);
}

#[test]
fn connection_that_is_retired_while_it_waits_for_its_renewal_ends() {
    let (mut bench, connection) = in_session();
    come_close_to_the_end(&mut bench);
    let sent = bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_secs(1));

    bench.client.retire(NODE, bench.now);
    assert!(bench.has_no_action());
    bench.answer(sent);

    assert_eq!(bench.closed(), connection);
    assert!(bench.has_no_action());
}

#[test]
fn connection_that_is_retired_while_it_is_renewed_ends_at_once() {
    let (mut bench, connection) = in_session();
    come_to_the_end(&mut bench);
    asked_for(&mut bench);

    bench.client.retire(NODE, bench.now);

    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.events(), [disconnected(DisconnectReason::AddressChanged, ConnectionStep::Ready)]);
    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn moved_connection_is_not_renewed() {
    let (mut bench, connection) = in_session();
    let sent = bench.send_and_poll(NODE, "a");
    bench.client.update_nodes(&[node(OTHER)], bench.now);
    let deadline = bench.client.states.node(NODE).unwrap().session_ends().unwrap();
    bench.now = deadline;

    bench.answer(sent);

    assert_eq!(bench.closed(), connection);
    assert!(bench.has_no_action());
}

#[test]
fn any_lifetime_of_a_session_can_be_waited_for() {
    for millis in [i64::MIN, -1, 0, 1, i64::MAX] {
        let mut config = NetworkConfig { sasl_mechanism: Some(Arc::new(Script::new(TWO_WORDS))), ..config() };
        config.connections_max_idle = None;
        let mut bench = Bench::with_config(config);
        negotiate(&mut bench);
        let (sent, _) = asked_for(&mut bench);
        take_mechanism(&mut bench, sent, 0);
        let (sent, _) = said(&mut bench);
        reply(&mut bench, sent, &words("who?", Duration::ZERO));
        let (sent, _) = said(&mut bench);
        let last = words("welcome", Duration::ZERO).with_session_lifetime_ms(millis);
        reply(&mut bench, sent, &last);
        assert!(bench.client.can_send(NODE, bench.now), "{millis}");
        let timeout = bench.client.poll_timeout();
        match millis {
            1.. => {
                let timeout = timeout.unwrap();
                assert!(timeout > bench.now);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
                    sleep.as_mut().reset(timeout.into());
                });
            }
            _ => assert_eq!(timeout, None, "{millis}"),
        }
    }
}

#[test]
fn sessions_of_a_millisecond_let_requests_through() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    negotiate(&mut bench);
    authenticate(&mut bench, Duration::from_millis(1));
    bench.events();
    for round in 0..100 {
        assert!(bench.client.can_send(NODE, bench.now), "{round}");
        let sent = bench.send_and_poll(NODE, "a");
        come_to_the_end(&mut bench);
        assert!(bench.has_no_action());
        bench.answer(sent);
        assert_eq!(bench.events().len(), 1);
        authenticate(&mut bench, Duration::from_millis(1));
    }
}

#[test]
fn node_that_comes_back_while_it_waits_for_its_renewal_is_renewed() {
    let (mut bench, _) = in_session();
    come_close_to_the_end(&mut bench);
    let sent = bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_secs(1));
    bench.client.update_nodes(&[node(OTHER)], bench.now);
    bench.client.update_nodes(&[node(NODE), node(OTHER)], bench.now);
    bench.answer(sent);
    authenticate(&mut bench, LIFETIME);
    assert!(bench.client.can_send(NODE, bench.now));

    // The end of the session comes while it is away.
    let patient = NetworkRequest { timeout: LIFETIME * 9, ..request(NODE, "a") };
    bench.client.send(patient, bench.now, |_, _| Ok(()));
    let (sent, _) = bench.sent();
    bench.client.update_nodes(&[node(OTHER)], bench.now);
    let end = bench.client.states.node(NODE).unwrap().session_ends().unwrap();
    bench.now = end;
    bench.client.update_nodes(&[node(NODE), node(OTHER)], bench.now);
    assert!(bench.client.poll_timeout().is_some_and(|at| at <= bench.now));
    bench.client.handle_timeout(bench.now);
    bench.answer(sent);
    authenticate(&mut bench, LIFETIME);
    assert!(bench.client.can_send(NODE, bench.now));
}
