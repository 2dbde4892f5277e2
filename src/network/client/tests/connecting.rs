//! Attempts to connect: how many, to which address, and when the next one may follow.

use super::*;

#[test]
fn attempt_names_the_address_of_the_node() {
    let mut bench = Bench::new();

    assert!(bench.client.connect(NODE, bench.now));

    let action = bench.client.poll_action();
    let Some(NetworkAction::Connect { node, host, port, .. }) = action else { panic!("{action:?}") };
    assert_eq!((node, &*host, port), (NODE, "kafka-1", 9092));
}

#[test]
fn unknown_node_is_not_connected_to() {
    let mut bench = Bench::new();

    assert!(!bench.client.connect(NodeId(9), bench.now));
    assert!(bench.has_no_action());
    assert_eq!(bench.client.ready_delay(NodeId(9), bench.now), None);
}

#[test]
fn node_has_one_connection_at_most() {
    let mut bench = Bench::new();
    bench.connect(NODE);

    assert!(!bench.client.connect(NODE, bench.now));
    assert!(bench.client.is_connecting());
    assert_eq!(bench.client.ready_delay(NODE, bench.now), None);
}

#[test]
fn failed_attempt_makes_the_next_one_wait() {
    let mut bench = Bench::new();
    assert_eq!(bench.client.ready_delay(NODE, bench.now), Some(Duration::ZERO));
    let connection = bench.connect(NODE);

    bench.client.handle_connect_failed(connection, "refused".into(), bench.now);

    assert_eq!(
        bench.events(),
        [disconnected(DisconnectReason::ConnectFailed("refused".into()), ConnectionStep::Connect)]
    );
    assert!(bench.has_no_action());
    assert!(!bench.client.connect(NODE, bench.now));
    assert_eq!(bench.client.ready_delay(NODE, bench.now), Some(RECONNECT_BACKOFF));
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + RECONNECT_BACKOFF));
    bench.advance(RECONNECT_BACKOFF);
    assert_eq!(bench.client.poll_timeout(), None);
    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn attempts_that_take_too_long_are_given_up() {
    let mut bench = Bench::new();
    let first = bench.connect(NODE);
    let second = bench.connect(OTHER);
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + SETUP_TIMEOUT));

    bench.advance(SETUP_TIMEOUT - Duration::from_millis(1));
    assert!(bench.has_no_action());
    bench.advance(Duration::from_millis(1));

    assert_eq!([bench.closed(), bench.closed()], [first, second]);
    assert_eq!(bench.events().len(), 2);
    assert!(!bench.client.connect(NODE, bench.now));
}

#[test]
fn connection_that_was_given_up_is_not_heard_any_more() {
    let mut bench = Bench::new();
    let old = bench.connect(NODE);
    bench.advance(SETUP_TIMEOUT);
    bench.closed();
    bench.advance(RECONNECT_BACKOFF);
    let new = bench.connect(NODE);
    bench.events();

    bench.client.handle_connected(old, bench.now);
    bench.client.handle_connect_failed(old, "refused".into(), bench.now);
    bench.client.handle_closed(old, "reset".into(), None, bench.now);
    bench.client.handle_frame(old, Bytes::new(), bench.now);
    bench.client.handle_written(old, 0, bench.now);

    assert_ne!(old, new);
    assert!(bench.events().is_empty());
    assert!(bench.has_no_action());
    assert!(bench.client.is_connecting());
}

#[test]
fn attempt_that_the_transport_has_not_heard_of_is_withdrawn() {
    let mut bench = Bench::new();
    bench.client.connect(NODE, bench.now);

    bench.advance(SETUP_TIMEOUT);

    assert!(bench.has_no_action());
    assert_eq!(bench.events(), [disconnected(DisconnectReason::ConnectTimedOut, ConnectionStep::Connect)]);
}

#[test]
fn single_node_is_least_loaded_before_and_while_it_is_connected_but_not_while_it_backs_off() {
    let mut bench = Bench::new();
    bench.client.update_nodes(&[node(NODE)], bench.now);
    assert_eq!(bench.client.least_loaded_node(ApiKey::Metadata, bench.now).node, Some(NODE));

    let connection = bench.make_ready(NODE);
    let chosen = bench.client.least_loaded_node(ApiKey::Metadata, bench.now);
    assert_eq!((chosen.node, chosen.has_ready_connection), (Some(NODE), true));

    bench.client.handle_closed(connection, "reset".into(), None, bench.now);
    let chosen = bench.client.least_loaded_node(ApiKey::Metadata, bench.now);
    assert_eq!((chosen.node, chosen.has_ready_connection), (None, false));
    assert!(chosen.is_promising, "no attempt has failed yet");
}

#[test]
fn full_connection_is_reported_though_no_node_is_offered() {
    let (mut bench, _) = Bench::ready();
    bench.client.update_nodes(&[node(NODE)], bench.now);

    for _ in 0..MAX_IN_FLIGHT {
        bench.send(NODE, "request");
    }

    let chosen = bench.client.least_loaded_node(ApiKey::Metadata, bench.now);
    assert!(chosen.is_busy());
}

#[test]
fn node_that_failed_longest_ago_is_least_loaded() {
    let mut bench = Bench::new();
    for id in [NODE, OTHER] {
        let connection = bench.connect(id);
        bench.client.handle_connect_failed(connection, "refused".into(), bench.now);
        bench.advance(RECONNECT_BACKOFF);
    }
    for expected in [NODE, OTHER, NODE, OTHER] {
        assert_eq!(bench.client.least_loaded_node(ApiKey::Metadata, bench.now).node, Some(expected));
        let connection = bench.connect(expected);
        bench.client.handle_connect_failed(connection, "refused".into(), bench.now);
        bench.advance(RECONNECT_BACKOFF);
    }
}

#[test]
fn node_is_offered_only_for_what_it_speaks() {
    let (mut bench, _) = Bench::ready();
    bench.client.update_nodes(&[node(NODE)], bench.now);

    let chosen = bench.client.least_loaded_node(ApiKey::InitProducerId, bench.now);

    assert_eq!((chosen.node, chosen.has_ready_connection), (None, false));
    assert_eq!(chosen.incapable, Some(NODE));
    assert!(bench.client.lacks(NODE, ApiKey::InitProducerId) && !bench.client.lacks(NODE, ApiKey::Metadata));
    bench.client.update_nodes(&[node(NODE), node(OTHER)], bench.now);
    let chosen = bench.client.least_loaded_node(ApiKey::InitProducerId, bench.now);
    assert_eq!((chosen.node, chosen.incapable), (Some(OTHER), None));
}

#[test]
fn throttled_node_is_not_offered() {
    let (mut bench, _) = Bench::ready();
    bench.client.update_nodes(&[node(NODE)], bench.now);

    bench.client.throttle(NODE, Duration::from_millis(100), bench.now);

    assert!(bench.client.least_loaded_node(ApiKey::Metadata, bench.now).is_busy());
    assert_eq!(bench.client.ready_delay(NODE, bench.now), Some(Duration::from_millis(100)));
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + Duration::from_millis(100)));
    bench.advance(Duration::from_millis(100));
    assert_eq!(bench.client.least_loaded_node(ApiKey::Metadata, bench.now).node, Some(NODE));
}

#[test]
fn load_is_spread_over_idle_nodes() {
    let (mut bench, _) = Bench::ready();
    bench.make_ready(OTHER);

    let chosen: Vec<_> =
        (0..100).map(|_| bench.client.least_loaded_node(ApiKey::Metadata, bench.now).node).collect();

    for id in [NODE, OTHER] {
        let count = chosen.iter().filter(|node| **node == Some(id)).count();
        assert!(count > 20, "{id} was chosen {count} times of 100");
    }
}

#[test]
fn attempts_at_an_address_are_counted_for_each_node() {
    let mut bench = Bench::new();
    let mut attempt = |id| {
        assert!(bench.client.connect(id, bench.now));
        let Some(NetworkAction::Connect { connection, attempt, .. }) = bench.client.poll_action() else {
            panic!()
        };
        bench.client.handle_connect_failed(connection, "refused".into(), bench.now);
        bench.now += RECONNECT_BACKOFF;
        attempt
    };

    let attempts = [NODE, OTHER, NODE, OTHER, NODE].map(&mut attempt);

    assert_eq!(attempts, [0, 0, 1, 1, 2]);
}

#[test]
fn only_attempts_past_their_own_time_are_given_up() {
    let mut bench = Bench::new();
    let first = bench.connect(NODE);
    bench.advance(Duration::from_secs(1));
    bench.connect(OTHER);

    bench.advance(SETUP_TIMEOUT - Duration::from_secs(1));

    assert_eq!(bench.closed(), first);
    assert!(bench.has_no_action());
    assert_eq!(bench.events(), [disconnected(DisconnectReason::ConnectTimedOut, ConnectionStep::Connect)]);
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + RECONNECT_BACKOFF));
    assert!(bench.client.is_connecting());
}
