//! The client against scripted brokers. Requests are read and answers to ApiVersions written by the `kafka-protocol`
//! crate.

use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use rand::SeedableRng;

use crate::clock;
use crate::config::HostPort;
use crate::error::ConnectionStep;
use crate::protocol::ErrorCode;

use super::*;

mod authentication;
mod connecting;
mod handshake;
mod leaving;
mod random;
mod requests;

const NODE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_IDLE: Duration = Duration::from_secs(540);
const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
const MAX_IN_FLIGHT: usize = 3;

/// Backoffs are constant, so that there is no jitter.
fn config() -> NetworkConfig {
    NetworkConfig {
        client_id: Some(Arc::from("tests")),
        max_in_flight: MAX_IN_FLIGHT,
        reconnect_backoff: Backoff::new(RECONNECT_BACKOFF, RECONNECT_BACKOFF),
        connection_setup_timeout: Backoff::new(SETUP_TIMEOUT, SETUP_TIMEOUT),
        request_timeout: REQUEST_TIMEOUT,
        connections_max_idle: Some(MAX_IDLE),
        checks_cluster: true,
        sasl_mechanism: None,
        keeps_secrets: false,
        head_start: HEAD_START,
    }
}

fn node(id: NodeId) -> Node {
    Node::new(id, format!("kafka-{id}"), 9092)
}

fn request(node: NodeId, purpose: &'static str) -> NetworkRequest<&'static str> {
    NetworkRequest {
        node,
        api_key: ApiKey::Metadata,
        purpose,
        expects_response: true,
        timeout: REQUEST_TIMEOUT,
        max_version: i16::MAX,
    }
}

/// A client of two nodes and a clock that stands still until it is moved.
struct Bench {
    client: NetworkClient<&'static str>,
    now: Instant,
}

/// What is known of a request as it went onto the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    connection: ConnectionId,
    correlation_id: i32,
}

impl Bench {
    fn new() -> Self {
        Self::with_config(config())
    }

    fn with_config(config: NetworkConfig) -> Self {
        let mut client = NetworkClient::new(config, StdRng::seed_from_u64(7));
        let now = clock::now();
        client.update_nodes(&[node(NODE), node(OTHER)], now);
        Self { client, now }
    }

    /// A client that is ready for requests to `NODE`.
    fn ready() -> (Self, ConnectionId) {
        let mut bench = Self::new();
        let connection = bench.make_ready(NODE);
        (bench, connection)
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.client.handle_timeout(self.now);
    }

    fn connect(&mut self, id: NodeId) -> ConnectionId {
        assert!(self.client.connect(id, self.now));
        match self.client.poll_action() {
            Some(NetworkAction::Connect { connection, node, .. }) if node == id => connection,
            other => panic!("{other:?}"),
        }
    }

    fn make_ready(&mut self, id: NodeId) -> ConnectionId {
        let connection = self.connect(id);
        self.client.handle_connected(connection, self.now);
        let (sent, _) = self.sent();
        self.client.handle_frame(connection, versions_answer(sent, 4, 0), self.now);
        let events = self.events();
        assert!(matches!(events[..], [NetworkEvent::Ready { node, .. }] if node == id), "{events:?}");
        connection
    }

    fn send(&mut self, id: NodeId, purpose: &'static str) {
        self.client.send(request(id, purpose), self.now, |_, out| {
            out.i32(7);
            Ok(())
        });
    }

    fn send_silently(&mut self, id: NodeId, purpose: &'static str) {
        let request = NetworkRequest { expects_response: false, ..request(id, purpose) };
        self.client.send(request, self.now, |_, _| Ok(()));
    }

    /// Sends a request and returns how it went onto the wire.
    fn send_and_poll(&mut self, id: NodeId, purpose: &'static str) -> Sent {
        self.send(id, purpose);
        self.sent().0
    }

    /// Polls a request and returns it and its bytes.
    fn sent(&mut self) -> (Sent, Bytes) {
        let Some(NetworkAction::Transmit { connection, frame }) = self.client.poll_action() else {
            panic!("no request is to be sent");
        };
        let correlation_id = frame.correlation_id;
        let bytes: BytesMut = frame.segments.pieces().flatten().collect();
        (Sent { connection, correlation_id }, bytes.freeze())
    }

    fn answer(&mut self, sent: Sent) {
        self.client.handle_frame(sent.connection, answer(sent), self.now);
    }

    fn events(&mut self) -> Vec<NetworkEvent<&'static str>> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// The purposes that came back, with whether their request may have been seen by the broker.
    fn failures(&mut self) -> Vec<(&'static str, FailureReason, bool)> {
        let failure = |event| match event {
            NetworkEvent::Failed { purpose, reason, on_wire, .. } => Some((purpose, reason, on_wire)),
            _ => None,
        };
        self.events().into_iter().filter_map(failure).collect()
    }

    fn closed(&mut self) -> ConnectionId {
        match self.client.poll_action() {
            Some(NetworkAction::Close { connection }) => connection,
            other => panic!("{other:?}"),
        }
    }

    fn has_no_action(&mut self) -> bool {
        self.client.poll_action().is_none()
    }
}

/// An answer with a header for a flexible version and an empty body.
fn answer(sent: Sent) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(sent.correlation_id);
    frame.put_u8(0);
    frame.freeze()
}

/// An answer to ApiVersions from a broker that speaks Metadata up to version 12 and Produce up to 9.
fn versions_answer(sent: Sent, version: i16, error_code: i16) -> Bytes {
    versions_answer_of(sent, version, error_code, &[(0, 0, 9), (3, 0, 12), (18, 0, 4)])
}

fn versions_answer_of(sent: Sent, version: i16, error_code: i16, ranges: &[(i16, i16, i16)]) -> Bytes {
    let range = |&(key, min, max): &(i16, i16, i16)| {
        ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
    };
    let response = kafka_protocol::messages::ApiVersionsResponse::default()
        .with_error_code(error_code)
        .with_api_keys(ranges.iter().map(range).collect());
    let mut frame = BytesMut::new();
    frame.put_i32(sent.correlation_id);
    response.encode(&mut frame, version).unwrap();
    frame.freeze()
}

fn address(id: NodeId) -> HostPort {
    node(id).address().clone()
}

fn ready(node: NodeId) -> NetworkEvent<&'static str> {
    NetworkEvent::Ready { node, address: address(node) }
}

fn disconnected(reason: DisconnectReason, step: ConnectionStep) -> NetworkEvent<&'static str> {
    NetworkEvent::Disconnected { node: NODE, address: address(NODE), step, unanswered: 0, reason }
}

/// The same, of a connection that had requests under way.
fn with_unanswered(count: usize, mut event: NetworkEvent<&'static str>) -> NetworkEvent<&'static str> {
    if let NetworkEvent::Disconnected { unanswered, .. } = &mut event {
        *unanswered = count;
    }
    event
}

fn closed(reason: &str) -> DisconnectReason {
    DisconnectReason::Closed(reason.into())
}

/// The same, of a connection on which no caller's request was answered.
fn unanswered(reason: &str) -> DisconnectReason {
    DisconnectReason::ClosedUnanswered(reason.into())
}
