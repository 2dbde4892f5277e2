//! The connections to all nodes, by node and by connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::metadata::Node;
use crate::topic_partition::NodeId;

use super::api_versions::ApiVersions;
use super::authentication::{AuthenticationStep, ConnectionAuthentication};
use super::correlation_ids::CorrelationIds;
use super::event::{AuthenticationError, ConnectionId, DisconnectReason};
use super::node_connection::{Ahead, NodeConnection};
use super::throttles::Throttles;

/// How the connections to all nodes stand, and when the lost ones may be tried again.
#[derive(Debug)]
pub(super) struct ConnectionStates {
    reconnect_backoff: Backoff,
    setup_timeout: Backoff,
    /// Nodes that a connection was ever asked for, until they are removed.
    nodes: BTreeMap<NodeId, NodeConnection>,
    /// The nodes of connections and attempts.
    by_id: BTreeMap<ConnectionId, NodeId>,
    next_id: u64,
    throttles: Throttles,
}

/// What happens to connections. `random` is drawn from `[0, 1)`.
impl ConnectionStates {
    pub(super) fn new(reconnect_backoff: Backoff, setup_timeout: Backoff) -> Self {
        Self {
            reconnect_backoff,
            setup_timeout,
            nodes: BTreeMap::new(),
            by_id: BTreeMap::new(),
            next_id: 0,
            throttles: Throttles::default(),
        }
    }

    /// Begins an attempt. What is known of earlier ones counts if they were made at the same address. Returns the
    /// attempt, and how many were made at that address before.
    pub(super) fn connecting(&mut self, node: &Node, now: Instant, random: f64) -> (ConnectionId, usize) {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.by_id.insert(id, node.id());
        let known = self.nodes.remove(&node.id()).filter(|known| known.address().has_address_of(node));
        let mut known = known.unwrap_or_else(|| NodeConnection::new(node.clone(), now));
        let timeout = self.setup_timeout.delay(known.history().setup_failures(), random);
        let attempts = known.connecting(id, timeout, now);
        self.nodes.insert(node.id(), known);
        (id, attempts)
    }

    /// Notes that a node is connected and may be asked for its versions. Returns the version of ApiVersions to ask
    /// with, or `None` if no attempt was under way.
    pub(super) fn connected(&mut self, node: NodeId) -> Option<i16> {
        let known = self.nodes.get_mut(&node)?;
        known.connected().then(|| known.history().handshake_version())
    }

    /// Notes that the client may go ahead with an authentication at this time.
    pub(super) fn prepared(
        &mut self,
        node: NodeId,
        authentication: ConnectionAuthentication,
        ahead: Ahead,
        now: Instant,
    ) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.prepared(authentication, ahead, now);
        }
    }

    /// Notes that the client waits for each answer of a node after all.
    pub(super) fn forget_prepared(&mut self, node: NodeId) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.forget_prepared();
        }
    }

    /// Returns what a node may be asked ahead of answers now.
    pub(super) fn go_ahead(
        &mut self,
        node: NodeId,
        first_words: impl FnOnce(bool) -> Option<i16>,
        now: Instant,
    ) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        self.nodes.get_mut(&node).map_or(Ok(None), |known| known.go_ahead(first_words, now))
    }

    /// Notes that a node was asked something else ahead of an answer.
    pub(super) fn went_ahead(&mut self, node: NodeId) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.went_ahead();
        }
    }

    /// Notes what a connected broker speaks, and that the client authenticates. Returns what the authentication needs next.
    pub(super) fn authenticating(
        &mut self,
        node: NodeId,
        versions: ApiVersions,
        begin: impl FnOnce() -> ConnectionAuthentication,
        renewal_timeout: Duration,
        now: Instant,
    ) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        let known = self.nodes.get_mut(&node);
        known.map_or(Ok(None), |known| known.authenticating(versions, begin, renewal_timeout, now))
    }

    /// Gives an attempt under way, or a new authentication, more time.
    pub(super) fn extend_setup(&mut self, node: NodeId, by: Duration) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.extend_setup(by);
        }
    }

    /// Returns the authentication that is under way with a node.
    pub(super) fn authentication_mut(&mut self, node: NodeId) -> Option<&mut ConnectionAuthentication> {
        self.nodes.get_mut(&node)?.authentication_mut()
    }

    /// Notes that a broker has closed the connection. Returns why, if more can be said than that it has.
    pub(super) fn handle_closed(
        &mut self,
        node: NodeId,
        is_word_unanswered: bool,
        is_request_unanswered: bool,
    ) -> Option<AuthenticationError> {
        self.nodes.get_mut(&node)?.handle_closed(is_word_unanswered, is_request_unanswered)
    }

    /// Notes when to go on with what there is to compute for the authentication.
    pub(super) fn work_at(&mut self, node: NodeId, at: Instant) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.work_at(at);
        }
    }

    /// Does the next part of it. Returns what the authentication needs next.
    pub(super) fn work(&mut self, node: NodeId) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        self.nodes.get_mut(&node).map_or(Ok(None), NodeConnection::work)
    }

    /// Notes that a broker knows who we are; it takes requests from now on, until the session ends if it has a lifetime. Returns
    /// whether it is the first session of the connection.
    pub(super) fn authenticated(&mut self, node: NodeId, lifetime: Option<Duration>, random: f64) -> bool {
        self.nodes.get_mut(&node).is_some_and(|known| known.authenticated(lifetime, random))
    }

    /// Notes that the client asks something for the authentication.
    pub(super) fn asked(&mut self, node: NodeId, now: Instant) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.asked(now);
        }
    }

    /// Notes how long a broker took for an answer.
    pub(super) fn answered(&mut self, node: NodeId, after: Duration) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.answered(after);
        }
    }

    /// Has the connection to a node take no more requests until it is authenticated anew.
    pub(super) fn end_session(&mut self, node: NodeId) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.end_session();
        }
    }

    /// Notes the end of a connection, or of an attempt. The next attempt must wait unless the client itself has ended it
    /// though nothing was wrong.
    pub(super) fn disconnected(
        &mut self,
        node: NodeId,
        reason: &DisconnectReason,
        now: Instant,
        random: impl FnOnce() -> f64,
    ) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        if let Some(id) = known.id() {
            self.by_id.remove(&id);
        }
        if reason.is_release() {
            known.released(reason);
        } else {
            known.lost(reason.clone(), &self.reconnect_backoff, now, random());
        }
    }

    /// Has the connection to a node take no more requests. Returns whether it is one that may have some under way.
    pub(super) fn retire(&mut self, node: NodeId) -> bool {
        self.nodes.get_mut(&node).is_some_and(NodeConnection::retire)
    }

    /// Makes what is known of a node known of another at the same address.
    pub(super) fn hand_over(&mut self, node: NodeId, heir: &Node) {
        if let Some(known) = self.nodes.remove(&node) {
            if let Some(id) = known.id() {
                self.by_id.insert(id, heir.id());
            }
            self.nodes.insert(heir.id(), known.renamed(heir.clone()));
        }
    }

    /// Forgets a node without a connection.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    /// Holds requests to the broker at a node's address back for a time, under whatever ids it is known. Returns the
    /// nodes at that address.
    pub(super) fn throttle(&mut self, node: NodeId, until: Instant, now: Instant) -> Vec<NodeId> {
        let Some(place) = self.nodes.get(&node).map(NodeConnection::address) else { return Vec::new() };
        self.throttles.add(place, until, now);
        let is_there = |known: &NodeConnection| known.address().has_address_of(place);
        self.nodes.iter().filter(|(_, known)| is_there(known)).map(|(id, _)| *id).collect()
    }

    pub(super) fn touch(&mut self, node: NodeId, now: Instant) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.touch(now);
        }
    }

    /// Returns the correlation ids of the connection to a node.
    pub(super) fn correlation_ids_mut(&mut self, node: NodeId) -> Option<&mut CorrelationIds> {
        self.nodes.get_mut(&node)?.correlation_ids_mut()
    }
}

/// What others ask of connections.
impl ConnectionStates {
    pub(super) fn node(&self, node: NodeId) -> Option<&NodeConnection> {
        self.nodes.get(&node)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeConnection)> {
        self.nodes.iter().map(|(id, known)| (*id, known))
    }

    /// Returns whose connection, or attempt, it is.
    pub(super) fn node_of(&self, connection: ConnectionId) -> Option<NodeId> {
        self.by_id.get(&connection).copied()
    }

    /// Returns the nodes that there is a connection to, or an attempt at one, oldest first.
    pub(super) fn connected_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.by_id.values().copied()
    }

    /// Whether requests may be sent to a node, as far as its connection and the broker's wishes go.
    pub(super) fn is_ready(&self, node: NodeId, now: Instant) -> bool {
        self.nodes.get(&node).is_some_and(NodeConnection::is_ready)
            && self.throttle_delay(node, now).is_zero()
    }

    /// Returns how long the broker at the address of a node is still to be left alone.
    pub(super) fn throttle_delay(&self, node: NodeId, now: Instant) -> Duration {
        let delay = |known: &NodeConnection| self.throttles.delay(known.address(), now);
        self.nodes.get(&node).map_or(Duration::ZERO, delay)
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
        states.connecting(&node(), now, MEAN);
    }

    fn lose(states: &mut ConnectionStates, now: Instant) {
        let reason = DisconnectReason::Closed("reset".into());
        states.disconnected(NODE, &reason, now, || MEAN);
    }

    fn connect_fully(states: &mut ConnectionStates, now: Instant) {
        connect(states, now);
        states.connected(NODE).unwrap();
        authenticate(states, now);
    }

    /// Without a mechanism there is nothing to say.
    fn authenticate(states: &mut ConnectionStates, now: Instant) {
        let begin = ConnectionAuthentication::begin_with_nothing;
        let step = states.authenticating(NODE, versions(), begin, millis(30_000), now);
        assert_eq!(step, Ok(Some(AuthenticationStep::Done(None))));
        assert!(states.authenticated(NODE, None, MEAN));
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
        assert!(!states.is_ready(NODE, now));
        states.connected(NODE).unwrap();
        assert!(states.node(NODE).unwrap().is_connecting());
        authenticate(&mut states, now);
        assert!(states.is_ready(NODE, now));
        assert_eq!(connection_delay(&states, now), None);
        lose(&mut states, now);
        assert!(!states.is_ready(NODE, now));

        assert_eq!(connection_delay(&states, now), Some(millis(50)));
        assert_eq!(connection_delay(&states, now + millis(49)), Some(millis(1)));
        assert_eq!(connection_delay(&states, now + millis(50)), Some(millis(0)));
    }

    #[test]
    fn nodes_do_not_touch_each_other() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);
        let (other, _) = states.connecting(&Node::new(NodeId(2), "other", 9092), now, MEAN);

        lose(&mut states, now);

        assert!(states.node(NodeId(2)).unwrap().is_connecting());
        assert_eq!(states.node(NodeId(2)).unwrap().id(), Some(other));
    }

    #[test]
    fn reconnect_backoff_doubles_up_to_its_maximum() {
        let now = clock::now();
        let mut states = states();

        for expected in [50, 100, 200, 400, 800, 1000, 1000] {
            connect(&mut states, now);
            lose(&mut states, now);
            assert_eq!(connection_delay(&states, now), Some(millis(expected)));
        }
    }

    #[test]
    fn reconnect_backoff_grows_when_the_handshake_is_never_finished() {
        let now = clock::now();
        let mut states = states();

        for expected in [50, 100, 200] {
            connect(&mut states, now);
            states.connected(NODE).unwrap();
            lose(&mut states, now);
            assert_eq!(connection_delay(&states, now), Some(millis(expected)));
        }
    }

    /// Brokers that want SASL answer ApiVersions, and end the connection on the next request.
    #[test]
    fn reconnect_backoff_grows_while_connections_are_lost_before_an_answer() {
        let now = clock::now();
        let mut states = states();

        for expected in [50, 100, 200] {
            connect_fully(&mut states, now);
            lose(&mut states, now);
            assert_eq!(connection_delay(&states, now), Some(millis(expected)));
        }
    }

    #[test]
    fn node_that_has_answered_begins_its_backoff_anew() {
        let now = clock::now();
        let mut states = states();
        for _ in 0..5 {
            connect(&mut states, now);
            lose(&mut states, now);
        }

        connect_fully(&mut states, now);
        states.answered(NODE, millis(1));
        lose(&mut states, now);

        assert_eq!(connection_delay(&states, now), Some(millis(50)));
    }

    #[test]
    fn backoff_counts_from_the_loss_of_the_connection() {
        let now = clock::now();
        let mut states = states();

        connect_fully(&mut states, now);
        lose(&mut states, now + millis(5000));

        assert_eq!(connection_delay(&states, now + millis(5000)), Some(millis(50)));
    }

    #[test]
    fn released_connection_may_be_made_again_at_once() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);

        states.disconnected(NODE, &DisconnectReason::Idle, now, || MEAN);

        assert_eq!(connection_delay(&states, now), Some(millis(0)));
    }

    #[test]
    fn removed_node_has_no_backoff() {
        let now = clock::now();
        let mut states = states();
        connect(&mut states, now);
        lose(&mut states, now);

        states.remove(NODE);

        assert!(states.node(NODE).is_none());
    }

    #[test]
    fn changed_address_begins_anew() {
        let now = clock::now();
        let mut states = states();
        for _ in 0..5 {
            connect(&mut states, now);
            lose(&mut states, now);
        }

        states.connecting(&Node::new(NODE, "elsewhere", 9092), now, MEAN);
        assert_eq!(setup_timeout(&states, now), millis(10_000));
        lose(&mut states, now);

        assert_eq!(connection_delay(&states, now), Some(millis(50)));
    }

    #[test]
    fn setup_timeout_doubles_with_each_failure_to_connect_and_begins_anew_with_success() {
        let now = clock::now();
        let mut states = states();

        for expected in [10_000, 20_000, 30_000, 30_000] {
            connect(&mut states, now);
            assert_eq!(setup_timeout(&states, now), millis(expected));
            lose(&mut states, now);
        }
        connect_fully(&mut states, now);
        assert_eq!(states.node(NODE).unwrap().setup_deadline(), None);
        lose(&mut states, now);

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

        assert!(!states.is_ready(NODE, now + millis(99)));
        assert_eq!(states.throttle_delay(NODE, now + millis(99)), millis(1));
        assert!(states.is_ready(NODE, now + millis(100)));
    }

    #[test]
    fn throttling_outlives_the_connection() {
        let now = clock::now();
        let mut states = states();
        connect_fully(&mut states, now);
        states.throttle(NODE, now + millis(100), now);

        lose(&mut states, now);
        connect_fully(&mut states, now);

        assert!(!states.is_ready(NODE, now));
    }

    #[test]
    fn lost_handshake_makes_the_next_one_ask_with_a_lower_version() {
        let now = clock::now();
        let mut states = states();

        let mut asked = Vec::new();
        for _ in 0..4 {
            connect(&mut states, now);
            asked.push(states.connected(NODE).unwrap());
            lose(&mut states, now);
        }

        assert_eq!(asked, [5, 3, 0, 5]);
    }
}
