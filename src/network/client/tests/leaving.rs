//! Connections that end though nothing is wrong with them.

use super::*;

fn moved() -> Node {
    Node::new(NODE, "elsewhere", 9092)
}

#[test]
fn idle_connection_is_closed_and_may_be_made_again_at_once() {
    let (mut bench, connection) = Bench::ready();
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + MAX_IDLE));

    bench.advance(MAX_IDLE);

    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.events(), [disconnected(DisconnectReason::Idle, ConnectionStep::Ready)]);
    assert_eq!(bench.client.poll_timeout(), None);
    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn used_connection_is_not_idle() {
    let (mut bench, _) = Bench::ready();
    bench.advance(MAX_IDLE - Duration::from_secs(1));
    let sent = bench.send_and_poll(NODE, "a");
    bench.advance(Duration::from_secs(2));
    bench.answer(sent);

    assert_eq!(bench.client.poll_timeout(), Some(bench.now + MAX_IDLE));
    bench.advance(MAX_IDLE - Duration::from_secs(1));

    assert!(bench.client.is_ready(NODE, bench.now));
}

#[test]
fn connection_that_waits_for_an_answer_is_not_idle() {
    let mut config = config();
    config.connections_max_idle = Some(Duration::from_secs(1));
    let mut bench = Bench::with_config(config);
    bench.make_ready(NODE);
    bench.send_and_poll(NODE, "a");

    bench.advance(Duration::from_secs(2));

    assert!(bench.client.is_ready(NODE, bench.now));
}

#[test]
fn connections_are_kept_for_ever_without_a_limit() {
    let mut config = config();
    config.connections_max_idle = None;
    let mut bench = Bench::with_config(config);

    bench.make_ready(NODE);

    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn connection_to_a_removed_node_is_closed() {
    let (mut bench, connection) = Bench::ready();

    bench.client.update_nodes(&[node(OTHER)], bench.now);

    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.events(), [disconnected(DisconnectReason::AddressChanged, ConnectionStep::Ready)]);
    assert_eq!(bench.client.poll_timeout(), None);
    assert!(!bench.client.connect(NODE, bench.now));
}

#[test]
fn removed_node_is_let_finish_what_is_under_way() {
    let (mut bench, connection) = Bench::ready();
    let first = bench.send_and_poll(NODE, "a");
    let second = bench.send_and_poll(NODE, "b");

    bench.client.update_nodes(&[node(OTHER)], bench.now);
    assert!(!bench.client.can_send(NODE, bench.now));
    bench.send(NODE, "c");
    assert_eq!(bench.failures(), [("c", FailureReason::NotReady, false)]);
    bench.answer(first);
    assert!(bench.has_no_action());
    bench.answer(second);

    assert_eq!(bench.closed(), connection);
    let events = bench.events();
    assert!(matches!(events[1], NetworkEvent::Response { purpose: "b", .. }));
    assert_eq!(events[2], disconnected(DisconnectReason::AddressChanged, ConnectionStep::Ready));
}

#[test]
fn node_that_comes_back_in_time_keeps_its_connection() {
    let (mut bench, _) = Bench::ready();
    let sent = bench.send_and_poll(NODE, "a");

    bench.client.update_nodes(&[node(OTHER)], bench.now);
    bench.client.update_nodes(&[node(NODE), node(OTHER)], bench.now);
    assert!(bench.client.can_send(NODE, bench.now));
    bench.answer(sent);

    assert!(bench.has_no_action());
}

#[test]
fn retired_connection_that_is_lost_leaves_no_backoff_behind() {
    let (mut bench, connection) = Bench::ready();
    bench.send_and_poll(NODE, "a");
    bench.client.retire(NODE, bench.now);

    bench.client.handle_closed(connection, "reset".into(), None, bench.now);

    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn moved_node_is_connected_to_at_its_new_address_once_the_old_one_is_done() {
    let (mut bench, connection) = Bench::ready();
    let sent = bench.send_and_poll(NODE, "a");

    bench.client.update_nodes(&[moved(), node(OTHER)], bench.now);
    assert!(!bench.client.can_send(NODE, bench.now));
    assert!(!bench.client.connect(NODE, bench.now));
    bench.answer(sent);
    assert_eq!(bench.closed(), connection);

    assert!(bench.client.connect(NODE, bench.now));
    let action = bench.client.poll_action();
    assert!(matches!(action, Some(NetworkAction::Connect { host, .. }) if &*host == "elsewhere"));
}

#[test]
fn attempt_at_an_address_that_is_out_of_date_is_given_up() {
    let mut bench = Bench::new();
    let connection = bench.connect(NODE);

    bench.client.update_nodes(&[moved()], bench.now);

    assert_eq!(bench.closed(), connection);
    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn moved_node_does_not_wait_for_the_backoff_of_its_old_address() {
    let mut bench = Bench::new();
    let connection = bench.connect(NODE);
    bench.client.handle_connect_failed(connection, "refused".into(), bench.now);
    assert!(!bench.client.connect(NODE, bench.now));

    bench.client.update_nodes(&[moved()], bench.now);

    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn same_nodes_change_nothing() {
    let (mut bench, _) = Bench::ready();

    bench.client.update_nodes(&[node(NODE), node(OTHER)], bench.now);

    assert!(bench.has_no_action());
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn giving_up_all_connections_fails_all_requests() {
    let (mut bench, first) = Bench::ready();
    let second = bench.make_ready(OTHER);
    bench.send_and_poll(NODE, "a");
    bench.send_and_poll(OTHER, "b");

    bench.client.disconnect_all(bench.now);

    assert_eq!([bench.closed(), bench.closed()], [first, second]);
    let failed = |purpose| (purpose, FailureReason::Disconnected(DisconnectReason::Requested), true);
    assert_eq!(bench.failures(), [failed("a"), failed("b")]);
    assert!(!bench.client.has_in_flight());
    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn retired_connection_ends_with_what_is_under_way() {
    let (mut bench, connection) = Bench::ready();
    let sent = bench.send_and_poll(NODE, "a");

    bench.client.retire(NODE, bench.now);
    assert!(!bench.client.can_send(NODE, bench.now) && bench.has_no_action());
    assert!(!bench.client.connect(NODE, bench.now));
    bench.answer(sent);

    assert!(matches!(bench.events()[0], NetworkEvent::Response { purpose: "a", .. }));
    assert_eq!(bench.closed(), connection);
    bench.make_ready(NODE);
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn closing_a_connection_fails_its_requests_and_no_others() {
    let (mut bench, connection) = Bench::ready();
    bench.make_ready(OTHER);
    bench.send_and_poll(NODE, "a");
    bench.send_and_poll(OTHER, "b");

    bench.client.close(NODE, ApiKey::Produce, bench.now);

    assert_eq!(bench.closed(), connection);
    let reason = DisconnectReason::Senseless(ApiKey::Produce);
    assert_eq!(bench.failures(), [("a", FailureReason::Disconnected(reason), true)]);
    assert_eq!(bench.client.in_flight_count(OTHER), 1);
}

#[test]
fn broker_whose_answers_make_no_sense_is_not_connected_to_again_at_once() {
    let (mut bench, connection) = Bench::ready();

    bench.client.close(NODE, ApiKey::Produce, bench.now);

    assert_eq!(bench.closed(), connection);
    let events = bench.events();
    assert!(
        matches!(&events[..], [NetworkEvent::Disconnected { reason, .. }] if !reason.is_release()),
        "{events:?}"
    );
    assert!(!bench.client.connect(NODE, bench.now));
    bench.advance(RECONNECT_BACKOFF);
    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn closing_what_is_closed_does_not_prolong_the_backoff() {
    let mut bench = Bench::new();
    let connection = bench.connect(NODE);
    bench.client.handle_connect_failed(connection, "refused".into(), bench.now);
    bench.advance(RECONNECT_BACKOFF);
    bench.events();

    bench.client.close(NODE, ApiKey::Produce, bench.now);

    assert!(bench.events().is_empty() && bench.has_no_action());
    assert!(bench.client.connect(NODE, bench.now));
}

#[test]
fn attempt_may_be_closed_before_there_is_a_connection() {
    let mut bench = Bench::new();
    let connection = bench.connect(NODE);

    bench.client.close(NODE, ApiKey::Produce, bench.now);

    assert_eq!(bench.closed(), connection);
    assert!(!bench.client.is_connecting());
    bench.client.handle_connected(connection, bench.now);
    assert!(bench.has_no_action(), "the client asks for no versions any more");
}

const BOOTSTRAP: NodeId = NodeId(-1);

/// A client that is ready for requests to an entry of `bootstrap.servers` at the address of `NODE`.
fn bootstrapped() -> (Bench, ConnectionId) {
    let mut bench = Bench::new();
    let address = node(NODE);
    bench.client.update_nodes(&[Node::new(BOOTSTRAP, address.host(), address.port())], bench.now);
    let connection = bench.make_ready(BOOTSTRAP);
    (bench, connection)
}

#[test]
fn connection_to_a_bootstrap_server_becomes_that_of_the_broker_at_its_address() {
    let (mut bench, connection) = bootstrapped();
    let first = bench.send_and_poll(BOOTSTRAP, "a");
    let second = bench.send_and_poll(BOOTSTRAP, "b");
    bench.answer(first);

    bench.client.update_nodes(&[node(OTHER), node(NODE)], bench.now);
    bench.answer(second);

    let of_heir = |event: &NetworkEvent<_>| matches!(event, NetworkEvent::Response { node: NODE, .. });
    let events = bench.events();
    assert!(events.len() == 2 && events.iter().all(of_heir), "{events:?}");
    assert!(bench.client.can_send(NODE, bench.now) && !bench.client.can_send(BOOTSTRAP, bench.now));
    assert!(!bench.client.connect(NODE, bench.now));
    assert_eq!(bench.send_and_poll(NODE, "c").connection, connection);
    assert_eq!(bench.client.version_for(NODE, ApiKey::Metadata), Some(12));
}

#[test]
fn handed_over_connection_keeps_its_deadlines() {
    let (mut bench, connection) = bootstrapped();
    bench.client.throttle(BOOTSTRAP, Duration::from_secs(1), bench.now);
    bench.client.update_nodes(&[node(NODE)], bench.now);
    assert!(!bench.client.can_send(NODE, bench.now));
    bench.advance(Duration::from_secs(1));
    bench.send_and_poll(NODE, "a");

    bench.advance(REQUEST_TIMEOUT);

    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.failures(), [("a", FailureReason::TimedOut, true)]);
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + RECONNECT_BACKOFF));
}

#[test]
fn attempt_to_connect_is_handed_over_too() {
    let mut bench = Bench::new();
    let address = node(NODE);
    bench.client.update_nodes(&[Node::new(BOOTSTRAP, address.host(), address.port())], bench.now);
    let connection = bench.connect(BOOTSTRAP);

    bench.client.update_nodes(&[node(NODE)], bench.now);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = bench.sent();
    bench.client.handle_frame(connection, versions_answer(sent, 4, 0), bench.now);

    assert_eq!(bench.events(), [ready(NODE)]);
}

/// A client that is ready for requests to an entry of `bootstrap.servers` that is none of the brokers.
fn kept() -> (Bench, ConnectionId) {
    let mut bench = Bench::new();
    bench.client.update_nodes(&[Node::new(BOOTSTRAP, "bootstrap", 9092)], bench.now);
    let connection = bench.make_ready(BOOTSTRAP);
    bench.client.update_nodes(&[node(NODE), node(OTHER)], bench.now);
    (bench, connection)
}

#[test]
fn connection_to_a_bootstrap_server_is_kept_in_use_until_a_broker_is_connected() {
    let (mut bench, connection) = kept();
    let refused = bench.connect(NODE);
    bench.client.handle_connect_failed(refused, "refused".into(), bench.now);
    bench.events();

    let chosen = bench.client.least_loaded_node(ApiKey::Metadata, bench.now);
    assert_eq!(chosen.node, Some(BOOTSTRAP));
    let sent = bench.send_and_poll(BOOTSTRAP, "a");

    bench.make_ready(OTHER);
    assert!(!bench.client.can_send(BOOTSTRAP, bench.now) && bench.has_no_action());
    bench.answer(sent);
    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.client.least_loaded_node(ApiKey::Metadata, bench.now).node, Some(OTHER));
}

#[test]
fn kept_connection_is_lost_for_good() {
    let (mut bench, connection) = kept();

    bench.client.handle_closed(connection, "reset".into(), None, bench.now);

    assert!(!bench.client.connect(BOOTSTRAP, bench.now));
    let chosen = bench.client.least_loaded_node(ApiKey::Metadata, bench.now).node;
    assert!(chosen.is_some_and(|node| node.0 > 0), "{chosen:?}");
}

#[test]
fn another_connection_to_the_same_place_does_not_evade_a_quota() {
    let (mut bench, _) = Bench::ready();
    bench.send_and_poll(NODE, "a");
    bench.client.throttle(NODE, Duration::from_secs(1), bench.now);
    let address = node(NODE);
    bench.client.update_nodes(&[Node::new(BOOTSTRAP, address.host(), address.port())], bench.now);

    bench.make_ready(BOOTSTRAP);

    assert!(!bench.client.can_send(BOOTSTRAP, bench.now));
    bench.advance(Duration::from_secs(1));
    assert!(bench.client.can_send(BOOTSTRAP, bench.now));
}

#[test]
fn broker_that_metadata_leaves_out_for_a_moment_keeps_its_quota() {
    let (mut bench, connection) = Bench::ready();
    bench.client.throttle(NODE, Duration::from_secs(1), bench.now);
    bench.client.update_nodes(&[node(OTHER)], bench.now);
    assert_eq!(bench.closed(), connection);
    bench.events();
    bench.client.update_nodes(&[node(NODE), node(OTHER)], bench.now);

    bench.make_ready(NODE);

    assert!(!bench.client.can_send(NODE, bench.now));
    bench.advance(Duration::from_secs(1));
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn broker_that_moves_away_and_back_keeps_its_quota() {
    let (mut bench, connection) = Bench::ready();
    bench.client.throttle(NODE, Duration::from_secs(1), bench.now);
    bench.client.update_nodes(&[Node::new(NODE, "elsewhere", 9092)], bench.now);
    assert_eq!(bench.closed(), connection);
    bench.events();
    bench.make_ready(NODE);
    assert!(bench.client.can_send(NODE, bench.now));
    bench.client.update_nodes(&[node(NODE)], bench.now);
    bench.closed();
    bench.events();

    bench.make_ready(NODE);

    assert!(!bench.client.can_send(NODE, bench.now));
}

#[test]
fn quota_holds_for_every_connection_to_a_place() {
    let (mut bench, _) = bootstrapped();
    let address = node(NODE);
    let entry = Node::new(BOOTSTRAP, address.host(), address.port());
    bench.client.update_nodes(&[entry, node(NODE), node(OTHER)], bench.now);
    bench.make_ready(NODE);
    bench.make_ready(OTHER);

    bench.client.throttle(BOOTSTRAP, Duration::from_secs(1), bench.now);

    assert!(!bench.client.can_send(NODE, bench.now) && bench.client.can_send(OTHER, bench.now));
    assert_eq!(bench.client.poll_timeout(), Some(bench.now + Duration::from_secs(1)));
    bench.advance(Duration::from_secs(1));
    assert!(bench.client.can_send(NODE, bench.now));
}

#[test]
fn broker_that_is_connected_inherits_nothing() {
    let (mut bench, bootstrap) = bootstrapped();
    let address = node(NODE);
    let entry = Node::new(BOOTSTRAP, address.host(), address.port());
    bench.client.update_nodes(&[entry, node(NODE)], bench.now);
    bench.make_ready(NODE);

    bench.client.update_nodes(&[node(NODE)], bench.now);

    assert_eq!(bench.closed(), bootstrap);
    assert!(bench.client.is_ready(NODE, bench.now));
}

#[test]
fn brokers_inherit_nothing_from_each_other() {
    let (mut bench, connection) = Bench::ready();
    let address = node(NODE);

    bench.client.update_nodes(&[Node::new(OTHER, address.host(), address.port())], bench.now);

    assert_eq!(bench.closed(), connection);
    assert!(!bench.client.is_ready(OTHER, bench.now));
}
