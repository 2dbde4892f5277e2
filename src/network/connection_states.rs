use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::metadata::Node;
use crate::protocol::ApiKey;
use crate::topic_partition::NodeId;

use super::api_versions::ApiVersions;
use super::correlation_ids::CorrelationIds;
use super::event::ConnectionId;

/// How the connections to all nodes stand, and when the lost ones may be tried again.
#[derive(Debug)]
pub(super) struct ConnectionStates {
    reconnect_backoff: Backoff,
    setup_timeout: Backoff,
    /// Nodes that a connection was ever asked for, until they are removed.
    nodes: BTreeMap<NodeId, NodeConnection>,
    /// Until when the brokers at these places want to be left alone. A place outlives what is known of a node there.
    throttles: Vec<(Node, Instant)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// Connected, but it is not known yet what the broker speaks.
    CheckingApiVersions(ConnectionId),
    Connecting(ConnectionId),
    Disconnected,
    Ready(ConnectionId, ApiVersions),
}

/// How the connection to one node stands.
#[derive(Debug)]
pub(super) struct NodeConnection {
    /// Where the node was when the connection was asked for.
    address: Node,
    state: ConnectionState,
    /// Attempts before the last one.
    attempts: usize,
    /// The start of the last attempt; later the loss of the connection.
    last_attempt: Instant,
    /// Attempts and connections lost since the node was ready last.
    failures: u32,
    /// Whether an attempt came to nothing since the node was ready last.
    has_failed: bool,
    /// Wait after `last_attempt` while disconnected.
    reconnect_backoff: Duration,
    /// Attempts that failed before there was a connection, since there was one.
    setup_failures: u32,
    setup_timeout: Duration,
    throttled_until: Option<Instant>,
    /// The last time that bytes came or went, or should have gone.
    last_activity: Instant,
    /// The version of ApiVersions to ask with on the next connection.
    handshake_version: i16,
    /// Those of the connection.
    correlation_ids: CorrelationIds,
    /// Whether the connection takes no more requests and ends with those under way.
    is_leaving: bool,
}

impl ConnectionStates {
    pub(super) fn new(reconnect_backoff: Backoff, setup_timeout: Backoff) -> Self {
        Self { reconnect_backoff, setup_timeout, nodes: BTreeMap::new(), throttles: Vec::new() }
    }

    /// Begins an attempt. What is known of earlier ones counts if they were made at the same address. `random`
    /// is drawn from `[0, 1)`, here and below. Returns how many attempts were made at that address before.
    pub(super) fn connecting(
        &mut self,
        node: &Node,
        connection: ConnectionId,
        now: Instant,
        random: f64,
    ) -> usize {
        let known = self.nodes.remove(&node.id()).filter(|known| known.address.has_address_of(node));
        let attempts = known.as_ref().map_or(0, |known| known.attempts.wrapping_add(1));
        let connecting = match known {
            Some(known) => NodeConnection {
                last_attempt: now,
                attempts,
                correlation_ids: CorrelationIds::new(),
                is_leaving: false,
                ..known
            },
            None => NodeConnection {
                address: node.clone(),
                state: ConnectionState::Disconnected,
                attempts,
                last_attempt: now,
                failures: 0,
                has_failed: false,
                reconnect_backoff: Duration::ZERO,
                setup_failures: 0,
                setup_timeout: self.setup_timeout.delay(0, random),
                throttled_until: self.throttled_until(node),
                last_activity: now,
                handshake_version: *ApiKey::ApiVersions.versions().end(),
                correlation_ids: CorrelationIds::new(),
                is_leaving: false,
            },
        };
        let state = ConnectionState::Connecting(connection);
        self.nodes.insert(node.id(), NodeConnection { state, ..connecting });
        attempts
    }

    /// Notes that a node is connected and may be asked for its versions. Returns the connection and the version of
    /// ApiVersions to ask with, or `None` if no attempt was under way.
    pub(super) fn checking_api_versions(
        &mut self,
        node: NodeId,
        now: Instant,
        random: f64,
    ) -> Option<(ConnectionId, i16)> {
        let setup_timeout = self.setup_timeout.delay(0, random);
        let node = self.nodes.get_mut(&node)?;
        let ConnectionState::Connecting(connection) = node.state else { return None };
        node.state = ConnectionState::CheckingApiVersions(connection);
        node.setup_failures = 0;
        node.setup_timeout = setup_timeout;
        node.last_activity = now;
        Some((connection, node.handshake_version))
    }

    /// Notes what a connected broker speaks; it takes requests from now on.
    pub(super) fn ready(&mut self, node: NodeId, versions: ApiVersions) {
        let Some(node) = self.nodes.get_mut(&node) else { return };
        let ConnectionState::CheckingApiVersions(connection) = node.state else { return };
        node.state = ConnectionState::Ready(connection, versions);
        node.failures = 0;
        node.has_failed = false;
    }

    /// Notes the failure of an attempt or the loss of a connection. The next attempt must wait.
    pub(super) fn disconnected(&mut self, node: NodeId, now: Instant, random: f64) {
        let Some(node) = self.nodes.get_mut(&node) else { return };
        node.has_failed |= node.is_connecting();
        match node.state {
            ConnectionState::Connecting(_) => {
                node.setup_failures = node.setup_failures.saturating_add(1);
                node.setup_timeout = self.setup_timeout.delay(node.setup_failures, random);
            }
            ConnectionState::CheckingApiVersions(_) => {
                node.handshake_version = version_after_lost_handshake(node.handshake_version);
            }
            ConnectionState::Disconnected => return,
            ConnectionState::Ready(..) => {}
        }
        node.state = ConnectionState::Disconnected;
        node.last_attempt = now;
        node.reconnect_backoff = self.reconnect_backoff.delay(node.failures, random);
        node.failures = node.failures.saturating_add(1);
    }

    /// Notes that a connection was ended by ourselves though nothing was wrong: the next attempt need not wait.
    pub(super) fn released(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.state = ConnectionState::Disconnected;
            node.reconnect_backoff = Duration::ZERO;
        }
    }

    /// Makes what is known of a node known of another at the same address.
    pub(super) fn hand_over(&mut self, node: NodeId, heir: &Node) {
        if let Some(known) = self.nodes.remove(&node) {
            self.nodes.insert(heir.id(), NodeConnection { address: heir.clone(), ..known });
        }
    }

    /// Has the connection to a node take no more requests.
    pub(super) fn retire(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.is_leaving = true;
        }
    }

    /// Forgets a node.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// Holds requests to the broker at a node's address back for a time, under whatever ids it is known; an earlier
    /// demand to do so for longer stays. Returns the nodes at that address.
    pub(super) fn throttle(&mut self, node: NodeId, until: Instant, now: Instant) -> Vec<NodeId> {
        let Some(place) = self.nodes.get(&node).map(|known| known.address.clone()) else { return Vec::new() };
        let until = self.throttled_until(&place).map_or(until, |earlier| earlier.max(until));
        self.throttles.retain(|(other, end)| *end > now && !other.has_address_of(&place));
        let mut nodes = Vec::new();
        for (id, known) in &mut self.nodes {
            if known.address.has_address_of(&place) {
                known.throttled_until = Some(until);
                nodes.push(*id);
            }
        }
        self.throttles.push((place, until));
        nodes
    }

    /// Returns the correlation ids of the connection to a node.
    pub(super) fn correlation_ids_mut(&mut self, node: NodeId) -> Option<&mut CorrelationIds> {
        self.nodes.get_mut(&node).map(|node| &mut node.correlation_ids)
    }

    pub(super) fn touch(&mut self, node: NodeId, now: Instant) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.last_activity = now;
        }
    }

    pub(super) fn node(&self, node: NodeId) -> Option<&NodeConnection> {
        self.nodes.get(&node)
    }

    /// Returns until when the broker at the address of a node wants to be left alone: another connection to it must not
    /// evade its quota.
    fn throttled_until(&self, node: &Node) -> Option<Instant> {
        self.throttles.iter().find(|(place, _)| place.has_address_of(node)).map(|(_, until)| *until)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeConnection)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }
}

impl NodeConnection {
    pub(super) fn state(&self) -> &ConnectionState {
        &self.state
    }

    pub(super) fn address(&self) -> &Node {
        &self.address
    }

    pub(super) fn last_attempt(&self) -> Instant {
        self.last_attempt
    }

    pub(super) fn last_activity(&self) -> Instant {
        self.last_activity
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Whether there is a connection whose broker has said what it speaks.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, ConnectionState::Ready(..))
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.state, ConnectionState::Connecting(_) | ConnectionState::CheckingApiVersions(_))
    }

    /// Whether requests may be sent, as far as the connection goes.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.is_connected() && self.throttle_delay(now).is_zero()
    }

    /// Returns the connection, or the attempt at it, if there is one.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            ConnectionState::CheckingApiVersions(connection)
            | ConnectionState::Connecting(connection)
            | ConnectionState::Ready(connection, _) => Some(connection),
            ConnectionState::Disconnected => None,
        }
    }

    /// Returns how long to wait with the next attempt, or `None` if none is needed.
    pub(super) fn connection_delay(&self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.last_attempt);
        (self.state == ConnectionState::Disconnected).then(|| self.reconnect_backoff.saturating_sub(elapsed))
    }

    pub(super) fn throttle_delay(&self, now: Instant) -> Duration {
        self.throttled_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Returns when the attempt under way has taken too long.
    pub(super) fn setup_deadline(&self) -> Option<Instant> {
        match self.state {
            ConnectionState::Connecting(_) => self.last_attempt.checked_add(self.setup_timeout),
            _ => None,
        }
    }
}

/// Some brokers that are not Apache's end the connection on a version of ApiVersions that they do not know, where
/// they should name those that they do. So a lower one is tried next, and after the lowest the highest again.
fn version_after_lost_handshake(version: i16) -> i16 {
    match version {
        ..=0 => *ApiKey::ApiVersions.versions().end(),
        1..=3 => 0,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use crate::clock;
    use crate::protocol::messages::api_versions::ApiVersionsResponse;

    use super::*;

    /// A draw in the middle: no jitter.
    const MEAN: f64 = 0.5;
    const NODE: NodeId = NodeId(1);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn states() -> ConnectionStates {
        ConnectionStates::new(
            Backoff::new(millis(50), millis(1000)),
            Backoff::new(millis(10_000), millis(30_000)),
        )
    }

    fn node() -> Node {
        Node::new(NODE, "kafka", 9092)
    }

    fn versions() -> ApiVersions {
        ApiVersions::new(&ApiVersionsResponse::default())
    }

    fn connect(states: &mut ConnectionStates, now: Instant) {
        states.connecting(&node(), ConnectionId(0), now, MEAN);
    }

    fn connect_fully(states: &mut ConnectionStates, now: Instant) {
        connect(states, now);
        states.checking_api_versions(NODE, now, MEAN).unwrap();
        states.ready(NODE, versions());
    }

    fn connection_delay(states: &ConnectionStates, now: Instant) -> Option<Duration> {
        states.node(NODE).unwrap().connection_delay(now)
    }

    fn setup_timeout(states: &ConnectionStates, now: Instant) -> Duration {
        states.node(NODE).unwrap().setup_deadline().unwrap() - now
    }

    #[test]
    fn connection_goes_through_its_states_in_order() {
        let now = clock::now();
        let mut states = states();

        connect(&mut states, now);
        assert!(states.node(NODE).unwrap().is_connecting());
        assert!(!states.node(NODE).unwrap().is_ready(now));
        states.checking_api_versions(NODE, now, MEAN).unwrap();
        assert!(states.node(NODE).unwrap().is_connecting());
        states.ready(NODE, versions());
        assert!(states.node(NODE).unwrap().is_ready(now));
        assert_eq!(connection_delay(&states, now), None);
        states.disconnected(NODE, now, MEAN);
        assert!(!states.node(NODE).unwrap().is_ready(now));

        assert_eq!(connection_delay(&states, now), Some(millis(50)));
        assert_eq!(connection_delay(&states, now + millis(49)), Some(millis(1)));
        assert_eq!(connection_delay(&states, now + millis(50)), Some(millis(0)));
    }

    #[test]
    fn nodes_do_not_touch_each_other() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);
        states.connecting(&Node::new(NodeId(2), "other", 9092), ConnectionId(1), now, MEAN);

        states.disconnected(NODE, now, MEAN);

        assert!(states.node(NodeId(2)).unwrap().is_connecting());
        assert_eq!(states.node(NodeId(2)).unwrap().connection(), Some(ConnectionId(1)));
    }

    #[test]
    fn reconnect_backoff_doubles_up_to_its_maximum() {
        let now = clock::now();
        let mut states = states();

        for expected in [50, 100, 200, 400, 800, 1000, 1000] {
            connect(&mut states, now);
            states.disconnected(NODE, now, MEAN);
            assert_eq!(connection_delay(&states, now), Some(millis(expected)));
        }
    }

    #[test]
    fn reconnect_backoff_grows_when_the_handshake_is_never_finished() {
        let now = clock::now();
        let mut states = states();

        for expected in [50, 100, 200] {
            connect(&mut states, now);
            states.checking_api_versions(NODE, now, MEAN).unwrap();
            states.disconnected(NODE, now, MEAN);
            assert_eq!(connection_delay(&states, now), Some(millis(expected)));
        }
    }

    #[test]
    fn ready_node_begins_its_backoff_anew() {
        let now = clock::now();
        let mut states = states();
        for _ in 0..5 {
            connect(&mut states, now);
            states.disconnected(NODE, now, MEAN);
        }

        connect_fully(&mut states, now);
        states.disconnected(NODE, now, MEAN);

        assert_eq!(connection_delay(&states, now), Some(millis(50)));
    }

    #[test]
    fn backoff_counts_from_the_loss_of_the_connection() {
        let now = clock::now();
        let mut states = states();

        connect_fully(&mut states, now);
        states.disconnected(NODE, now + millis(5000), MEAN);

        assert_eq!(connection_delay(&states, now + millis(5000)), Some(millis(50)));
    }

    #[test]
    fn released_connection_may_be_made_again_at_once() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);

        states.released(NODE);

        assert_eq!(connection_delay(&states, now), Some(millis(0)));
    }

    #[test]
    fn removed_node_has_no_backoff() {
        let now = clock::now();
        let mut states = states();
        connect(&mut states, now);
        states.disconnected(NODE, now, MEAN);

        states.remove(NODE);

        assert!(states.node(NODE).is_none());
    }

    #[test]
    fn changed_address_begins_anew() {
        let now = clock::now();
        let mut states = states();
        for _ in 0..5 {
            connect(&mut states, now);
            states.disconnected(NODE, now, MEAN);
        }

        states.connecting(&Node::new(NODE, "elsewhere", 9092), ConnectionId(1), now, MEAN);
        assert_eq!(setup_timeout(&states, now), millis(10_000));
        states.disconnected(NODE, now, MEAN);

        assert_eq!(connection_delay(&states, now), Some(millis(50)));
    }

    #[test]
    fn setup_timeout_doubles_with_each_failure_to_connect_and_begins_anew_with_success() {
        let now = clock::now();
        let mut states = states();

        for expected in [10_000, 20_000, 30_000, 30_000] {
            connect(&mut states, now);
            assert_eq!(setup_timeout(&states, now), millis(expected));
            states.disconnected(NODE, now, MEAN);
        }
        connect_fully(&mut states, now);
        assert_eq!(states.node(NODE).unwrap().setup_deadline(), None);
        states.disconnected(NODE, now, MEAN);

        connect(&mut states, now);
        assert_eq!(setup_timeout(&states, now), millis(10_000));
    }

    #[test]
    fn throttled_node_is_not_ready_until_the_longest_demand_is_over() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);

        states.throttle(NODE, now + millis(100), now);
        states.throttle(NODE, now + millis(40), now);

        let node = states.node(NODE).unwrap();
        assert!(!node.is_ready(now + millis(99)));
        assert_eq!(node.throttle_delay(now + millis(99)), millis(1));
        assert!(node.is_ready(now + millis(100)));
    }

    #[test]
    fn throttling_outlives_the_connection() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);
        states.throttle(NODE, now + millis(100), now);

        states.disconnected(NODE, now, MEAN);
        connect_fully(&mut states, now);

        assert!(!states.node(NODE).unwrap().is_ready(now));
    }

    #[test]
    fn throttling_that_is_over_takes_no_memory() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);

        for round in 1..100 {
            let now = now + millis(100 * round);
            assert_eq!(states.throttle(NODE, now + millis(50), now), [NODE]);
            assert_eq!(states.throttles.len(), 1);
        }
    }

    #[test]
    fn lost_handshake_makes_the_next_one_ask_with_a_lower_version() {
        let now = clock::now();
        let mut states = states();

        let mut asked = Vec::new();
        for _ in 0..4 {
            connect(&mut states, now);
            asked.push(states.checking_api_versions(NODE, now, MEAN).unwrap().1);
            states.disconnected(NODE, now, MEAN);
        }

        assert_eq!(asked, [4, 3, 0, 4]);
    }
}
