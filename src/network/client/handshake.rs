//! What a connection does between TCP and its first request.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::topic_partition::NodeId;
use crate::wire::{EncodeError, Reader, Writer};

use super::{NetworkClient, NetworkRequest};
use crate::network::api_versions::ApiVersions;
use crate::network::event::{ConnectionId, DisconnectReason, FailureReason};
use crate::network::event::{MalformedResponse, NetworkEvent};
use crate::network::in_flight_requests::{Asker, InFlightRequest};
use crate::network::node_connection::NodeConnection;

/// How a new connection becomes ready: the broker is asked what it speaks (KIP-35, KIP-511).
impl<P> NetworkClient<P> {
    pub(super) fn ask_for_versions(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        version: i16,
        now: Instant,
    ) {
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME.to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let api_key = ApiKey::ApiVersions;
        let correlation_id = self.new_correlation_id(node);
        let encode = |version, out: &mut Writer| request.encode(out, version);
        let segments = match self.encode(api_key, version, correlation_id, encode) {
            Ok(segments) => segments,
            Err(error) => return self.disconnect(node, DisconnectReason::Unencodable(error), None, now),
        };

        let request = InFlightRequest {
            correlation_id,
            api_key,
            version,
            asker: Asker::Handshake,
            expects_response: true,
            sent_at: now,
            timeout: self.config.request_timeout,
        };
        self.transmit(node, connection, request, segments, now);
    }

    /// Whether a node is just being asked what it speaks, and may be asked something else along with it.
    pub(crate) fn can_send_early(&self, node: NodeId) -> bool {
        self.states.node(node).is_some_and(NodeConnection::is_negotiating)
            && !self.is_retired(node)
            && self.in_flight.can_send_more(node)
    }

    /// Sends a request to a node that has not said yet what it speaks, in a version that any broker does.
    ///
    /// The node should be one that `can_send_early`; otherwise the request fails, untouched, with
    /// [`FailureReason::NotReady`].
    pub(crate) fn send_early(
        &mut self,
        request: NetworkRequest<P>,
        version: i16,
        now: Instant,
        encode: impl FnOnce(i16, &mut Writer) -> Result<(), EncodeError>,
    ) {
        let connection = self.states.node(request.node).and_then(NodeConnection::id);
        match connection.filter(|_| self.can_send_early(request.node)) {
            Some(connection) => self.send_on(connection, request, version, now, encode),
            None => self.refuse(request.node, request.purpose, FailureReason::NotReady),
        }
    }

    pub(super) fn handle_versions(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        version: i16,
        body: &Bytes,
        now: Instant,
    ) {
        let response = match ApiVersionsResponse::decode(&mut Reader::new(body), version) {
            Ok(response) => response,
            Err(error) => {
                let reason = DisconnectReason::Malformed(MalformedResponse::ApiVersions(error));
                return self.disconnect(node, reason, None, now);
            }
        };
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => {
                self.states.ready(node, ApiVersions::new(&response), now);
                self.outbox.tell(NetworkEvent::Ready { node });
                self.settle_kept(now);
                let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
                self.throttle(node, Duration::from_millis(throttle_ms), now);
            }
            ErrorCode::UnsupportedVersion if version > 0 => {
                let version = fallback_version(&response, version);
                self.ask_for_versions(node, connection, version, now);
            }
            code => self.disconnect(node, DisconnectReason::VersionsRefused(code), None, now),
        }
    }
}

/// Returns the version in which to ask a broker that does not know `refused`: the highest that it names, else 0.
fn fallback_version(response: &ApiVersionsResponse, refused: i16) -> i16 {
    let named = response.api_keys.iter().find(|version| version.api_key == ApiKey::ApiVersions.code());
    // Lower in any case, or a broker that names what it refuses would be asked for ever.
    named.map_or(0, |version| version.max_version.clamp(0, refused - 1))
}

/// What brokers count clients under (KIP-511).
const SOFTWARE_NAME: &str = "kafka-producer";
