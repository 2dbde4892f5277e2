//! [`NetworkClient`]: what the sender may wish for, and what it may ask.

mod closing;
mod deadlines;
mod handshake;
mod moving;
mod remarks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use tracing::field::{debug, display};

use crate::backoff::Backoff;
use crate::log;
use crate::metadata::Node;
use crate::planted::planted;
use crate::protocol::{ApiKey, RequestHeader, ResponseHeader};
use crate::security_failure::SecurityFailure;
use crate::topic_partition::NodeId;
use crate::wire::{EncodeError, Reader, Segments, Writer};

use super::api_versions::ApiVersions;
use super::connection_states::ConnectionStates;
use super::correlation_ids::CorrelationIds;
use super::event::{ConnectionId, DisconnectReason, FailureReason, Frame, MalformedResponse};
use super::event::{NetworkAction, NetworkEvent};
use super::features::Features;
use super::haste::Haste;
use super::in_flight_requests::{Asker, InFlightRequest, InFlightRequests};
use super::intent::Intent;
use super::least_loaded_node::{LeastLoadedNode, Standing, least_loaded_node};
use super::node_connection::NodeConnection;
use super::outbox::Outbox;
use super::sasl::SaslMechanism;
use super::socket_error::SocketError;
use super::timers::NodeTimers;

pub(crate) use self::deadlines::Deadline;
pub(crate) use self::remarks::Awaited;

/// How a [`NetworkClient`] goes about its work.
#[derive(Debug, Clone)]
pub(crate) struct NetworkConfig {
    /// What brokers log requests under (`client.id`).
    pub(crate) client_id: Option<Arc<str>>,
    /// Unanswered requests per node (`max.in.flight.requests.per.connection`).
    pub(crate) max_in_flight: usize,
    /// Between attempts to connect to one node (`reconnect.backoff.ms`, `reconnect.backoff.max.ms`).
    pub(crate) reconnect_backoff: Backoff,
    /// For an attempt to connect, up to the first request of the caller's (`socket.connection.setup.timeout.ms`, `socket.connection.setup.timeout.max.ms`).
    pub(crate) connection_setup_timeout: Backoff,
    /// For the answer to one of the client's own requests, and for all that a new authentication of a connection in use takes
    /// (`request.timeout.ms`).
    pub(crate) request_timeout: Duration,
    /// After this long without use a connection is closed (`connections.max.idle.ms`); `None` for never.
    pub(crate) connections_max_idle: Option<Duration>,
    /// Whether brokers are told which broker the client means to reach (`metadata.cluster.check.enable`).
    pub(crate) checks_cluster: bool,
    /// How the producer proves who it is (`sasl.mechanism`), if it has to.
    pub(crate) sasl_mechanism: Option<Arc<dyn SaslMechanism>>,
    /// Whether only the broker that is meant can read what is sent: connections are encrypted, and brokers' names are checked.
    pub(crate) keeps_secrets: bool,
    /// How long brokers that are to be told who the producer is have for an answer before they are asked the next thing anyway.
    pub(crate) head_start: Duration,
}

/// See [`NetworkConfig::head_start`]: long enough for what is sent one after the other to arrive so.
pub(crate) const HEAD_START: Duration = Duration::from_millis(10);

/// A request for [`NetworkClient::send`].
#[derive(Debug)]
pub(crate) struct NetworkRequest<P> {
    pub(crate) node: NodeId,
    pub(crate) api_key: ApiKey,
    /// Comes back with the outcome.
    pub(crate) purpose: P,
    /// False for Produce with `acks=0`, which brokers do not answer.
    pub(crate) expects_response: bool,
    /// For the answer. When it is over, the whole connection is closed.
    pub(crate) timeout: Duration,
    /// The last version in which the request means what it is to mean.
    pub(crate) max_version: i16,
}

/// Decides about connections to brokers and the requests on them.
///
/// A node has at most one connection. Requests on it are answered in the order in which they were sent; several may
/// be under way at once.
///
/// - Wishes: `update_nodes`, `connect`, `send`, `send_early`, `throttle`, `retire`, `close`, `disconnect_all`. None of them
///   fails: events tell what comes of them.
/// - What happened: the methods named `handle_…`. They ignore what they hear of a connection that is gone.
/// - What to do: after each of the above, call `poll_action` and `poll_event` until they return `None`. Call `handle_timeout`
///   at the time of `first_deadline`.
#[derive(Debug)]
pub(crate) struct NetworkClient<P> {
    config: NetworkConfig,
    /// The nodes that can be connected to.
    nodes: BTreeMap<NodeId, Node>,
    states: ConnectionStates,
    in_flight: InFlightRequests<P>,
    timers: NodeTimers,
    outbox: Outbox<P>,
    intent: Intent,
    features: Features,
    haste: Haste,
    random: StdRng,
}

impl<P> NetworkClient<P> {
    /// `random` must be hard to guess where brokers are told who we are: nonces are drawn from it.
    pub(crate) fn new(config: NetworkConfig, random: StdRng) -> Self {
        Self {
            nodes: BTreeMap::new(),
            states: ConnectionStates::new(config.reconnect_backoff, config.connection_setup_timeout),
            in_flight: InFlightRequests::new(config.max_in_flight),
            timers: NodeTimers::default(),
            outbox: Outbox::new(),
            intent: Intent::new(config.checks_cluster),
            features: Features::NONE,
            haste: Haste::new(config.keeps_secrets),
            random,
            config,
        }
    }

    /// Replaces the nodes that can be connected to.
    ///
    /// The connection to a node that is gone, or that has moved to another address, takes no more requests and is
    /// closed when those under way are done. That to an entry of `bootstrap.servers` becomes that of the broker which
    /// turns out to be at its address; if there is none, it is kept in use until some broker is connected.
    pub(crate) fn update_nodes(&mut self, nodes: &[Node], now: Instant) {
        self.nodes = nodes.iter().map(|node| (node.id(), node.clone())).collect();
        let known: Vec<_> = self.states.nodes().map(|(node, _)| node).collect();
        let known: Vec<_> = known.into_iter().map(|node| self.hand_over(node)).collect();
        for node in known {
            self.settle(node, now);
        }
    }

    /// Returns the level of the feature `transaction.version` that the cluster has finalized; 0 if it has none.
    pub(crate) fn transaction_version(&self) -> i16 {
        self.features.transaction_version()
    }

    /// Takes in of which cluster the nodes are.
    pub(crate) fn set_cluster_id(&mut self, cluster_id: Option<&str>) {
        if self.intent.set_cluster_id(cluster_id) {
            // Another cluster counts on its own.
            self.features = Features::NONE;
            self.haste.forget_cluster();
        }
    }

    /// Asks for a connection to a node unless there is one, or an attempt at it, or the node is backing off. Returns
    /// whether an attempt has begun.
    pub(crate) fn connect(&mut self, node: NodeId, now: Instant) -> bool {
        let Some(address) = self.nodes.get(&node) else { return false };
        if !self.states.node(node).is_none_or(|known| may_connect(known, address, now)) {
            return false;
        }

        let (connection, attempt) = self.states.connecting(address, now, self.random.random());
        let cause = self.states.node(node).and_then(|known| known.history().last_cause());
        let ago = cause.map(|cause| debug(now.saturating_duration_since(cause.at)));
        let last_cause = cause.map(|cause| display(&cause.reason));
        log::debug!(%node, address = %address.address(), attempt, last_cause, ago, "connecting");
        let (host, port) = (Arc::clone(address.address().host()), address.port());
        self.outbox.act(NetworkAction::Connect { connection, node, host, port, attempt });
        self.rearm(node, now);
        true
    }

    /// Sends a request. `encode` gets a version and writes the body of the request in that version.
    ///
    /// The node should be one that `can_send`; otherwise the request fails, untouched, with
    /// [`FailureReason::NotReady`].
    pub(crate) fn send(
        &mut self,
        request: NetworkRequest<P>,
        now: Instant,
        encode: impl FnOnce(i16, &mut Writer) -> Result<(), EncodeError>,
    ) {
        let (node, api_key) = (request.node, request.api_key);
        let ready = self.ready_connection(node).filter(|_| self.can_send(node, now));
        let Some((connection, versions)) = ready else {
            return self.refuse(node, request.purpose, FailureReason::NotReady);
        };
        match versions.version_up_to(api_key, request.max_version) {
            Some(version) => self.send_on(connection, request, version, now, encode),
            None => self.refuse(node, request.purpose, FailureReason::UnsupportedVersion(api_key)),
        }
    }

    fn send_on(
        &mut self,
        connection: ConnectionId,
        request: NetworkRequest<P>,
        version: i16,
        now: Instant,
        encode: impl FnOnce(i16, &mut Writer) -> Result<(), EncodeError>,
    ) {
        let NetworkRequest { node, api_key, purpose, expects_response, timeout, .. } = request;
        let correlation_id = self.new_correlation_id(node);
        let segments = match self.encode(api_key, version, correlation_id, encode) {
            Ok(segments) => segments,
            Err(error) => return self.refuse(node, purpose, FailureReason::Unencodable(error)),
        };

        let asker = Asker::Caller(purpose);
        let request = InFlightRequest {
            correlation_id,
            api_key,
            version,
            asker,
            expects_response,
            sent_at: now,
            timeout,
        };
        self.transmit(node, connection, request, segments, now);
    }

    /// Obeys a broker's wish to be left alone for a time, on every connection to its address, and returns until when. Its answers to
    /// requests under way may come later by as much.
    pub(crate) fn throttle(&mut self, node: NodeId, delay: Duration, now: Instant) -> Option<Instant> {
        let delay = delay.min(MAX_THROTTLE);
        let until = now.checked_add(delay).filter(|until| *until > now)?;
        self.in_flight.extend_timeouts(node, delay);
        self.states.extend_setup(node, delay);
        for node in self.states.throttle(node, until, now) {
            self.rearm(node, now);
        }
        Some(until)
    }

    /// Closes the connection to a node, because an answer of the node makes no sense. Other requests under way to it fail.
    pub(crate) fn close(&mut self, node: NodeId, senseless: ApiKey, now: Instant) {
        self.disconnect(node, DisconnectReason::Senseless(senseless), None, now);
    }

    /// Gives up all connections; requests under way fail. New connections may be asked for at once.
    pub(crate) fn disconnect_all(&mut self, now: Instant) {
        let nodes: Vec<_> = self.states.connected_nodes().collect();
        for node in nodes {
            self.disconnect(node, DisconnectReason::Requested, None, now);
        }
    }

    /// Closes the connection to a node as soon as what is under way on it is done. It takes no more requests.
    pub(crate) fn retire(&mut self, node: NodeId, now: Instant) {
        if self.states.retire(node) {
            self.settle(node, now);
        } else {
            self.disconnect(node, DisconnectReason::AddressChanged, None, now);
            self.states.remove(node);
            self.rearm(node, now);
        }
    }

    /// Notes that a connection is made, and encrypted if it has to be.
    pub(crate) fn handle_connected(&mut self, connection: ConnectionId, now: Instant) {
        let Some(node) = self.states.node_of(connection) else { return };
        let Some(version) = self.states.connected(node) else { return };
        self.remark_step(node);
        self.begin_handshake(node, version, now);
    }

    /// Notes that a connection could not be made.
    pub(crate) fn handle_connect_failed(
        &mut self,
        connection: ConnectionId,
        reason: SocketError,
        now: Instant,
    ) {
        let Some(node) = self.states.node_of(connection) else { return };
        self.drop_connection(node, DisconnectReason::ConnectFailed(reason), None, now);
    }

    /// Notes that no address was found to connect to.
    pub(crate) fn handle_unresolved(&mut self, connection: ConnectionId, reason: SocketError, now: Instant) {
        let Some(node) = self.states.node_of(connection) else { return };
        self.drop_connection(node, DisconnectReason::Unresolved(reason), None, now);
    }

    /// Takes in a frame, without its length.
    pub(crate) fn handle_frame(&mut self, connection: ConnectionId, frame: Bytes, now: Instant) {
        let Some(node) = self.states.node_of(connection) else { return };
        self.states.touch(node, now);
        let body = match self.match_response(node, &frame) {
            Ok(Some(body)) => body,
            Ok(None) => return log::debug!(%node, "dropped an answer to a request that expects none"),
            Err(problem) => return self.disconnect(node, DisconnectReason::Malformed(problem), None, now),
        };
        self.complete_written_before_response(node);
        let Some(request) = self.in_flight.complete_next(node) else { return };

        let InFlightRequest { api_key, version, asker, sent_at, .. } = request;
        let latency = now.saturating_duration_since(sent_at);
        self.states.answered(node, latency);
        match asker {
            Asker::Caller(purpose) => {
                let response = NetworkEvent::Response { node, purpose, api_key, version, body, latency };
                self.outbox.tell(response);
            }
            Asker::Handshake => self.handle_handshake(node, api_key, version, &body, now),
            Asker::Words => self.handle_words(node, &body, now),
        }
        self.settle(node, now);
    }

    /// Notes that a frame is in the hands of the operating system, to its last byte.
    pub(crate) fn handle_written(&mut self, connection: ConnectionId, correlation_id: i32, now: Instant) {
        let Some(node) = self.states.node_of(connection) else { return };
        self.states.touch(node, now);
        if let Some(request) = self.in_flight.complete_written(node, correlation_id) {
            self.report_written(node, request.asker);
        }
        self.settle(node, now);
    }

    /// Notes that a connection is closed, by the broker or by an error. If there are frames of which no byte was written,
    /// `first_unsent` is the correlation id of the first one.
    pub(crate) fn handle_closed(
        &mut self,
        connection: ConnectionId,
        reason: SocketError,
        first_unsent: Option<i32>,
        now: Instant,
    ) {
        let Some(node) = self.states.node_of(connection) else { return };
        let oldest = self.in_flight.peek_next(node);
        let is_word_unanswered = oldest.is_some_and(|request| matches!(request.asker, Asker::Words));
        let is_request_unanswered = self.in_flight.next_to_be_answered(node).is_some();
        let unspoken = oldest.map(|request| request.api_key).filter(|api_key| self.lacks(node, *api_key));
        let wanted_answer = self.config.sasl_mechanism.is_none() && self.in_flight_count(node) > 0;
        let known = self.states.node(node);
        let is_unanswered = known.is_some_and(NodeConnection::is_unanswered);
        // The first time it may be the version that the broker does not know.
        let is_cut_short =
            known.is_some_and(|known| known.is_negotiating() && known.history().has_lost_handshake());
        let reason = match self.states.handle_closed(node, is_word_unanswered, is_request_unanswered) {
            Some(explained) => explained.into(),
            None if is_cut_short && reason.is_end() => DisconnectReason::ClosedInHandshake(reason),
            None if wanted_answer && is_unanswered => match unspoken {
                Some(api_key) => DisconnectReason::ClosedUnspoken(reason, api_key),
                None => DisconnectReason::ClosedUnanswered(reason),
            },
            None => DisconnectReason::Closed(reason),
        };
        self.drop_connection(node, reason, first_unsent, now);
    }

    /// Notes that a connection is not secure, or that none could be made that is. `first_unsent` is as in `handle_closed`.
    pub(crate) fn handle_insecure(
        &mut self,
        connection: ConnectionId,
        failure: &SecurityFailure,
        first_unsent: Option<i32>,
        now: Instant,
    ) {
        let Some(node) = self.states.node_of(connection) else { return };
        self.drop_connection(node, failure.into(), first_unsent, now);
    }

    /// Gives up what has taken too long.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for node in self.timers.take_due(now) {
            self.handle_due(node, now);
        }
    }

    /// Returns when to call `handle_timeout`.
    #[cfg(test)]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.first_deadline().map(|(at, _)| at)
    }

    pub(crate) fn poll_action(&mut self) -> Option<NetworkAction> {
        self.outbox.next_action()
    }

    /// Whether `poll_event` would return one.
    pub(crate) fn has_events(&self) -> bool {
        self.outbox.has_events()
    }

    pub(crate) fn poll_event(&mut self) -> Option<NetworkEvent<P>> {
        self.outbox.next_event()
    }

    /// Returns the best node for a request that any node can answer if it speaks it.
    pub(crate) fn least_loaded_node(&mut self, api_key: ApiKey, now: Instant) -> LeastLoadedNode {
        let kept = self.states.nodes().filter(|(node, known)| self.is_kept(*node, known));
        let nodes = self.nodes.keys().copied().chain(kept.map(|(node, _)| node));
        let nodes: Vec<_> = nodes.map(|node| (node, self.standing(node, api_key, now))).collect();
        least_loaded_node(&nodes, self.random.random_range(..nodes.len().max(1)))
    }

    /// Whether a node is connected and neither throttled nor on its way out. It may still have too many requests
    /// under way.
    pub(crate) fn is_ready(&self, node: NodeId, now: Instant) -> bool {
        self.states.is_ready(node, now) && !self.is_retired(node)
    }

    /// Whether a request may be sent to a node now.
    pub(crate) fn can_send(&self, node: NodeId, now: Instant) -> bool {
        self.is_ready(node, now) && self.has_room(node)
    }

    /// Whether fewer requests are under way to a node than may be.
    pub(crate) fn has_room(&self, node: NodeId) -> bool {
        self.in_flight.can_send_more(node)
    }

    /// Whether the broker at the address of a node wants to be left alone.
    pub(crate) fn is_throttled(&self, node: NodeId, now: Instant) -> bool {
        !self.states.throttle_delay(node, now).is_zero()
    }

    /// Returns how long it takes until a node is worth another look: until it may be connected to, or until it is no
    /// longer throttled. `None` if time alone does not help.
    pub(crate) fn ready_delay(&self, node: NodeId, now: Instant) -> Option<Duration> {
        self.nodes.get(&node)?;
        let Some(known) = self.states.node(node) else { return Some(Duration::ZERO) };
        known
            .connection_delay(now)
            .or_else(|| Some(self.states.throttle_delay(node, now)).filter(|delay| !delay.is_zero()))
    }

    /// Whether a broker is connected that is known by more than an entry of `bootstrap.servers`.
    pub(crate) fn has_ready_broker(&self) -> bool {
        self.states
            .nodes()
            .any(|(node, known)| node.0 >= 0 && known.versions().is_some() && self.nodes.contains_key(&node))
    }

    /// Whether a connection takes requests, or has taken some.
    pub(crate) fn has_been_ready(&self, connection: ConnectionId) -> bool {
        let known = self.states.node_of(connection).and_then(|node| self.states.node(node));
        known.is_some_and(|known| known.versions().is_some())
    }

    /// Whether some node is being connected to.
    #[cfg(test)]
    pub(crate) fn is_connecting(&self) -> bool {
        self.states.nodes().any(|(_, known)| known.is_connecting())
    }

    /// Returns the version in which a request to a node would be sent, or `None` if the node is not connected or
    /// does not speak one that we do.
    pub(crate) fn version_for(&self, node: NodeId, api_key: ApiKey) -> Option<i16> {
        self.ready_connection(node)?.1.version_for(api_key)
    }

    /// Returns what is known of a node: above all its address.
    pub(crate) fn address(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(&node)
    }

    /// Whether a node is connected and known not to speak a request.
    pub(crate) fn lacks(&self, node: NodeId, api_key: ApiKey) -> bool {
        let versions = self.states.node(node).and_then(NodeConnection::versions);
        versions.is_some_and(|versions| versions.version_for(api_key).is_none())
    }

    /// Returns how many requests to a node are under way.
    pub(crate) fn in_flight_count(&self, node: NodeId) -> usize {
        let has_requests = self.states.node(node).is_some_and(NodeConnection::has_requests);
        if has_requests { self.in_flight.count(node) } else { 0 }
    }

    /// Returns how many requests of the caller are under way.
    pub(crate) fn total_in_flight(&self) -> u64 {
        self.in_flight.of_callers() as u64
    }

    /// Whether requests of the caller are under way.
    #[cfg(test)]
    pub(crate) fn has_in_flight(&self) -> bool {
        self.in_flight.of_callers() > 0
    }
}

/// What requests are made of.
impl<P> NetworkClient<P> {
    fn encode(
        &self,
        api_key: ApiKey,
        api_version: i16,
        correlation_id: i32,
        encode_body: impl FnOnce(i16, &mut Writer) -> Result<(), EncodeError>,
    ) -> Result<Segments, EncodeError> {
        let client_id = self.config.client_id.as_deref();
        let mut out = Writer::new();
        RequestHeader { api_key, api_version, correlation_id, client_id }.encode(&mut out)?;
        encode_body(api_version, &mut out)?;
        out.finish()
    }

    fn transmit(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        request: InFlightRequest<P>,
        segments: Segments,
        now: Instant,
    ) {
        let frame = Frame { correlation_id: request.correlation_id, segments };
        self.in_flight.add(node, request);
        self.outbox.act(NetworkAction::Transmit { connection, frame });
        self.states.touch(node, now);
        self.rearm(node, now);
    }

    fn refuse(&mut self, node: NodeId, purpose: P, reason: FailureReason) {
        self.outbox.tell(NetworkEvent::Failed { node, purpose, reason, on_wire: false });
    }

    /// Takes the next id of a connection. Without one the request fails before the id is of any use.
    fn new_correlation_id(&mut self, node: NodeId) -> i32 {
        self.states.correlation_ids_mut(node).map_or(0, CorrelationIds::take_next)
    }
}

/// What comes of responses.
impl<P> NetworkClient<P> {
    /// Returns the body of a response if it is the one that is expected next, and `None` if it belongs to a request that
    /// expects none.
    fn match_response(&mut self, node: NodeId, frame: &Bytes) -> Result<Option<Bytes>, MalformedResponse> {
        let request = self.in_flight.next_to_be_answered(node);
        if let Some(request) = request.filter(|request| matches!(request.asker, Asker::Words)) {
            if let Some(ids) = self.states.correlation_ids_mut(node) {
                ids.handle_answered(request.correlation_id);
            }
            return Ok(Some(frame.clone()));
        }
        let found = frame.first_chunk().map(|id| i32::from_be_bytes(*id));
        if let (Some(id), Some(ids)) = (found, self.states.correlation_ids_mut(node)) {
            let is_unexpected = ids.is_unexpected(id, request.map(|request| request.correlation_id));
            ids.handle_answered(id);
            if is_unexpected {
                return Ok(None);
            }
        }
        let request = request.ok_or(MalformedResponse::Unasked)?;
        let mut reader = Reader::new(frame);
        let version = request.api_key.response_header_version(request.version);
        let header = ResponseHeader::decode(&mut reader, version);
        // A wrong id is the better explanation if the header is wrong too.
        let expected = request.correlation_id;
        match found {
            Some(found) if found != expected => Err(MalformedResponse::CorrelationId { expected, found }),
            _ => header.map_err(MalformedResponse::Header).map(|_| Some(frame.slice(reader.position()..))),
        }
    }

    /// Completes the requests that expect no response and were sent before the one that has been answered: for
    /// that, they must have been written.
    fn complete_written_before_response(&mut self, node: NodeId) {
        while self.in_flight.peek_next(node).is_some_and(|request| !request.expects_response) {
            let Some(request) = self.in_flight.complete_next(node) else { return };
            self.report_written(node, request.asker);
        }
    }

    fn report_written(&mut self, node: NodeId, asker: Asker<P>) {
        if let Asker::Caller(purpose) = asker {
            self.outbox.tell(NetworkEvent::Written { node, purpose });
        }
    }
}

/// What is known of nodes.
impl<P> NetworkClient<P> {
    /// Returns the connection to a node that takes requests, as far as the connection goes.
    fn ready_connection(&self, node: NodeId) -> Option<(ConnectionId, &ApiVersions)> {
        let known = self.states.node(node).filter(|known| known.is_ready())?;
        known.id().zip(known.versions())
    }

    fn standing(&self, node: NodeId, api_key: ApiKey, now: Instant) -> Standing {
        let Some(known) = self.states.node(node) else {
            return Standing::CanConnect { last_attempt: None, has_failed: false };
        };
        let has_failed = known.history().has_failed();
        if self.is_retired(node) {
            Standing::Unavailable
        } else if self.lacks(node, api_key) && !planted!(ControllersAreAsked) {
            Standing::Incapable
        } else if self.can_send(node, now) {
            Standing::CanSend(self.in_flight.count(node))
        } else if known.is_connecting() {
            Standing::Connecting
        } else if known.exists() {
            Standing::Busy
        } else if may_connect(known, known.address(), now) {
            Standing::CanConnect { last_attempt: Some(known.history().last_attempt()), has_failed }
        } else {
            Standing::Resting { has_failed }
        }
    }
}

/// Whether an attempt may begin to connect to a node that was connected to before.
fn may_connect(known: &NodeConnection, address: &Node, now: Instant) -> bool {
    match known.connection_delay(now) {
        // What is known is about another address.
        Some(_) if !known.address().has_address_of(address) => true,
        Some(delay) => delay.is_zero(),
        None => false,
    }
}

/// Brokers ask for some seconds: the longest quota window by default is 11. A longer time would let a broker that
/// has gone mad hold up what only it was asked for.
const MAX_THROTTLE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
