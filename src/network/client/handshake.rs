//! What a connection does between TCP and its first request.
//!
//! The client asks the broker what it speaks (ApiVersions: KIP-35, KIP-511), and then tells it who we are (SASL: KIP-43, KIP-152).
//! It does the latter again on a connection in use when the session ends (KIP-368). These requests differ from others only in
//! who has made them.
//!
//! ```text
//! handle_connected ─▶ ask_for_versions ─▶ handle_versions ─▶ authenticate ─▶ continue_authentication … ─▶ finish_handshake
//!                └▶ prepare_authentication ─▶ go_ahead … ┘       ▲
//!                             settle, once drained ─▶ authenticate_anew
//! ```
//!
//! To save round trips, the client goes ahead: it need not wait for an answer before it asks the next thing ([`Haste`]). Brokers answer
//! in the order of the questions. A peer that ends the connection instead is asked one thing after the other from then on.
//!
//! [`Haste`]: crate::network::haste::Haste

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;

use crate::planted::planted;
use crate::protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::topic_partition::NodeId;
use crate::wire::{EncodeError, Reader, Segments, Writer};

use super::{NetworkClient, NetworkRequest};
use crate::network::api_versions::ApiVersions;
use crate::network::authentication::{AuthenticationStep, ConnectionAuthentication};
use crate::network::event::{DisconnectReason, FailureReason, MalformedResponse, NetworkEvent, Remark};
use crate::network::in_flight_requests::{Asker, InFlightRequest};
use crate::network::intent::TOLD_SINCE;
use crate::network::node_connection::{Ahead, NodeConnection};
use crate::network::sasl::{Opening, SaslMechanism};

impl<P> NetworkClient<P> {
    /// Asks a broker that is connected what it speaks, and maybe more.
    pub(super) fn begin_handshake(&mut self, node: NodeId, highest_version: i16, now: Instant) {
        let goes_ahead = self.goes_ahead(node);
        let has_mechanism = self.config.sasl_mechanism.is_some();
        let unknown = if has_mechanism { ASKED_AHEAD } else { TOLD_SINCE - 1 };
        let version = self.intent.first_version(highest_version, unknown, node);
        self.ask_for_versions(node, version, now);
        if goes_ahead {
            // A broker that is told of which cluster it is taken to be has to agree to that before it hears a secret.
            let is_told = version >= TOLD_SINCE && self.intent.told_to(node).is_some();
            self.prepare_authentication(node, is_told, now);
        }
    }

    /// Whether to ask a broker more than it has answered.
    fn goes_ahead(&self, node: NodeId) -> bool {
        let is_patient = |known: &NodeConnection| known.history().is_patient() && !planted!(NeverPatient);
        self.config.sasl_mechanism.is_some()
            && self.haste.names_mechanism()
            && self.states.node(node).is_some_and(|known| !is_patient(known))
    }

    fn prepare_authentication(&mut self, node: NodeId, is_told: bool, now: Instant) {
        let Some(known) = self.states.node(node) else { return };
        let Some(mechanism) = self.config.sasl_mechanism.as_deref() else { return };
        // How long it took to connect tells how far the broker is.
        let connecting = now.saturating_duration_since(known.history().last_attempt());
        let pause = self.config.head_start;
        if connecting < pause * WORTHWHILE {
            return;
        }
        let authentication =
            ConnectionAuthentication::begin(mechanism, known.address(), false, &mut self.random);
        self.states.prepared(node, authentication, Ahead { pause, is_told }, now);
        self.rearm(node, now);
    }

    /// Asks a broker the next thing although it has not answered the last.
    pub(super) fn go_ahead(&mut self, node: NodeId, now: Instant) {
        let Some(mechanism) = self.config.sasl_mechanism.as_deref() else { return };
        let (haste, opening) = (&self.haste, mechanism.opening());
        match self.states.go_ahead(node, |is_told| haste.first_words(opening, is_told), now) {
            Ok(step) => self.continue_authentication(node, step, now),
            Err(reason) => self.disconnect(node, reason, None, now),
        }
        self.rearm(node, now);
    }

    fn ask_for_versions(&mut self, node: NodeId, version: i16, now: Instant) {
        let cluster_id = self.intent.told_to(node).cloned();
        let request = ApiVersionsRequest {
            node_id: if cluster_id.is_some() { node.0 } else { -1 },
            cluster_id,
            client_software_name: SOFTWARE_NAME.to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let encode = |version, out: &mut Writer| request.encode(out, version);
        self.ask(node, ApiKey::ApiVersions, version, encode, now);
    }

    /// Takes in an answer to one of the requests that are made here.
    pub(super) fn handle_handshake(
        &mut self,
        node: NodeId,
        api_key: ApiKey,
        version: i16,
        body: &[u8],
        now: Instant,
    ) {
        match api_key {
            ApiKey::ApiVersions => self.handle_versions(node, version, body, now),
            _ => {
                self.go_on(node, |authentication| authentication.handle_answer(api_key, version, body), now);
            }
        }
    }

    /// Takes in what a broker says to bytes of a mechanism that are no request.
    pub(super) fn handle_words(&mut self, node: NodeId, words: &[u8], now: Instant) {
        self.go_on(node, |authentication| authentication.handle_words(words), now);
    }

    fn go_on(
        &mut self,
        node: NodeId,
        step: impl FnOnce(&mut ConnectionAuthentication) -> Result<AuthenticationStep, DisconnectReason>,
        now: Instant,
    ) {
        let was_hasty = self.states.node(node).is_some_and(NodeConnection::was_hasty);
        match self.states.authentication_mut(node).map(step).transpose() {
            Ok(step) => {
                self.continue_authentication(node, step, now);
                if was_hasty {
                    self.hasten_public_words(node, now);
                }
            }
            // Brokers have no other words for a refusal. It may be that this one does not bear haste.
            Err(DisconnectReason::AuthenticationFailed(error)) if was_hasty && !error.is_plain_refusal() => {
                self.disconnect(node, DisconnectReason::AskedTooEarly, None, now);
            }
            Err(reason) => self.disconnect(node, reason, None, now),
        }
    }

    /// Does not wait long for the answer to words that a broker need not ask others about, if it may have dropped them.
    fn hasten_public_words(&mut self, node: NodeId, now: Instant) {
        let is_public = |mechanism: &Arc<dyn SaslMechanism>| mechanism.opening() == Opening::Public;
        let is_awaited = self.states.node(node).is_some_and(NodeConnection::awaits_first_words);
        if is_awaited && self.config.sasl_mechanism.as_ref().is_some_and(is_public) {
            self.in_flight.hasten(node, now, PATIENCE);
        }
    }

    fn handle_versions(&mut self, node: NodeId, version: i16, body: &[u8], now: Instant) {
        let response = match ApiVersionsResponse::decode(&mut Reader::new(body), version) {
            Ok(response) => response,
            Err(error) => {
                let problem = MalformedResponse::Unreadable(ApiKey::ApiVersions, error);
                return self.disconnect(node, problem.into(), None, now);
            }
        };
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => {
                let versions = ApiVersions::new(&response);
                self.intent.note_versions(&versions);
                self.features.note(&response);
                self.authenticate(node, versions, now);
                let throttle_ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
                self.obey(node, Duration::from_millis(throttle_ms), now);
            }
            ErrorCode::RebootstrapRequired => self.disconnect(node, DisconnectReason::Misrouted, None, now),
            ErrorCode::UnsupportedVersion if version > 0 => {
                let next = fallback_version(&response, version);
                self.intent.note_refusal(next);
                if version <= ASKED_AHEAD {
                    self.haste.note_old_broker();
                }
                if self.states.node(node).is_some_and(NodeConnection::was_hasty) {
                    // It takes no ApiVersions in the middle of an authentication.
                    return self.disconnect(node, DisconnectReason::AskedTooEarly, None, now);
                }
                self.states.forget_prepared(node);
                self.ask_for_versions(node, next, now);
            }
            code => self.disconnect(node, DisconnectReason::VersionsRefused(code), None, now),
        }
    }

    /// Leaves a broker alone as its answer to ApiVersions says, and notes it.
    fn obey(&mut self, node: NodeId, pause: Duration, now: Instant) {
        let address = self.states.node(node).map(|known| known.address().address().clone());
        if let (Some(address), Some(until)) = (address, self.throttle(node, pause, now)) {
            self.outbox.remark(Remark::Throttled { node, address, pause, until });
        }
    }

    /// Tells a broker who we are, or goes on with that. Without a mechanism there is nothing to tell, and the handshake is finished at
    /// once.
    fn authenticate(&mut self, node: NodeId, versions: ApiVersions, now: Instant) {
        let Some(known) = self.states.node(node) else { return };
        let (address, is_renewal) = (known.address().clone(), known.versions().is_some());
        let is_suspect = known.history().may_demand_sasl();
        let (mechanism, random) = (self.config.sasl_mechanism.as_deref(), &mut self.random);
        let begin = || match mechanism {
            Some(mechanism) => ConnectionAuthentication::begin(mechanism, &address, is_renewal, random),
            None if is_suspect => ConnectionAuthentication::begin_with_a_probe(),
            None => ConnectionAuthentication::begin_with_nothing(),
        };
        let renewal_timeout = self.config.request_timeout;
        let step = self.states.authenticating(node, versions, begin, renewal_timeout, now);
        self.remark_step(node);
        match step {
            Ok(step) => self.continue_authentication(node, step, now),
            Err(reason) => return self.disconnect(node, reason, None, now),
        }
        if self.states.node(node).is_some_and(NodeConnection::was_hasty) {
            // A peer that has dropped what came early would be waited for until the attempt ends.
            self.in_flight.hasten(node, now, PATIENCE);
        }
        self.rearm(node, now);
    }

    /// Tells a broker anew who we are, on a connection on which nothing is under way.
    pub(super) fn authenticate_anew(&mut self, node: NodeId, now: Instant) {
        let versions = self.states.node(node).and_then(NodeConnection::versions).cloned();
        if let Some(versions) = versions {
            self.authenticate(node, versions, now);
        }
    }

    fn continue_authentication(&mut self, node: NodeId, step: Option<AuthenticationStep>, now: Instant) {
        match step {
            Some(AuthenticationStep::Ask(request, version)) => {
                self.states.asked(node, now);
                let encode = |version, out: &mut Writer| request.encode(out, version);
                self.ask(node, request.api_key(), version, encode, now);
            }
            Some(AuthenticationStep::Say(words)) => {
                self.states.asked(node, now);
                self.say(node, words.auth_bytes, now);
            }
            Some(AuthenticationStep::Done(lifetime)) => self.finish_handshake(node, lifetime, now),
            // Nothing happens on this connection until `handle_credentials` is called.
            Some(AuthenticationStep::Attend | AuthenticationStep::Wait) => self.rearm(node, now),
            Some(AuthenticationStep::Work) => {
                self.states.work_at(node, now + SHORTEST_TURN);
                self.rearm(node, now);
            }
            None => {}
        }
    }

    /// Takes in that credentials have come: authentications that wait for some go on.
    pub(crate) fn handle_credentials(&mut self, now: Instant) {
        if planted!(WaitForCredentialsNotEnded) {
            return;
        }
        let awaits = |(node, known): (NodeId, &NodeConnection)| known.awaits_credentials().then_some(node);
        let nodes: Vec<_> = self.states.nodes().filter_map(awaits).collect();
        for node in nodes {
            self.states.work_at(node, now);
            self.work(node, now);
        }
    }

    /// Whether an authentication waits for credentials.
    #[cfg(test)]
    pub(crate) fn awaits_credentials(&self) -> bool {
        self.states.nodes().any(|(_, known)| known.awaits_credentials())
    }

    /// Goes on with what there is to compute for an authentication.
    pub(super) fn work(&mut self, node: NodeId, now: Instant) {
        match self.states.work(node) {
            Ok(step) => self.continue_authentication(node, step, now),
            Err(reason) => self.disconnect(node, reason, None, now),
        }
        self.rearm(node, now);
    }

    /// Notes that a broker takes requests, for the lifetime of the session if it has one.
    fn finish_handshake(&mut self, node: NodeId, lifetime: Option<Duration>, now: Instant) {
        let random = lifetime.map_or(0.0, |_| self.random.random());
        if let Some(known) = self.states.node(node)
            && let Some(version) = known.words_version()
        {
            let (was_hasty, is_patient) = (known.was_hasty(), known.history().is_patient());
            self.haste.note_let_in(version, was_hasty, is_patient);
        }
        if self.states.authenticated(node, lifetime, random) {
            if let Some(known) = self.states.node(node) {
                let address = known.address().address().clone();
                self.outbox.tell(NetworkEvent::Ready { node, address });
            }
            self.settle_kept(now);
        }
    }

    /// Sends a request of the client itself.
    fn ask(
        &mut self,
        node: NodeId,
        api_key: ApiKey,
        version: i16,
        encode: impl FnOnce(i16, &mut Writer) -> Result<(), EncodeError>,
        now: Instant,
    ) {
        let correlation_id = self.new_correlation_id(node);
        let segments = self.encode(api_key, version, correlation_id, encode);
        self.transmit_own(node, (api_key, version), correlation_id, Asker::Handshake, segments, now);
    }

    /// Sends bytes of a mechanism as they are, behind their length.
    fn say(&mut self, node: NodeId, words: Bytes, now: Instant) {
        // No byte of it goes onto the wire: it only tells frames apart.
        let id = self.new_correlation_id(node);
        let mut out = Writer::with_capacity(0, 1);
        out.put_secret(words);
        self.transmit_own(node, (ApiKey::SaslAuthenticate, 0), id, Asker::Words, out.finish(), now);
    }

    fn transmit_own(
        &mut self,
        node: NodeId,
        (api_key, version): (ApiKey, i16),
        correlation_id: i32,
        asker: Asker<P>,
        segments: Result<Segments, EncodeError>,
        now: Instant,
    ) {
        let Some(connection) = self.states.node(node).and_then(NodeConnection::id) else { return };
        let segments = match segments {
            Ok(segments) => segments,
            Err(error) => return self.disconnect(node, DisconnectReason::Unencodable(error), None, now),
        };
        let request = InFlightRequest {
            correlation_id,
            api_key,
            version,
            asker,
            expects_response: true,
            sent_at: now,
            timeout: self.config.request_timeout,
        };
        self.transmit(node, connection, request, segments, now);
    }
}

/// Requests of callers that need not wait until the broker takes requests.
impl<P> NetworkClient<P> {
    /// Whether a node may be asked something along with the last request of the handshake. A broker that demands authentication ends
    /// the connection if it was not told who we are. None may get records so: it may refuse us, or turn out to be another.
    pub(crate) fn can_send_early(&self, node: NodeId, now: Instant) -> bool {
        let may_ask = |known: &NodeConnection| match self.config.sasl_mechanism {
            None => known.is_negotiating() && !known.history().may_demand_sasl(),
            Some(_) => known.is_about_to_be_ready() && known.was_hasty() && self.goes_ahead(node),
        };
        let is_left_alone = !self.states.throttle_delay(node, now).is_zero();
        self.states.node(node).is_some_and(may_ask)
            && !is_left_alone
            && !self.is_retired(node)
            && self.in_flight.can_send_more(node)
    }

    /// Sends a request to a node that may not have said yet what it speaks, in a version that any broker does.
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
        match connection.filter(|_| self.can_send_early(request.node, now)) {
            Some(connection) => {
                self.states.went_ahead(request.node);
                self.send_on(connection, request, version, now, encode);
            }
            None => self.refuse(request.node, request.purpose, FailureReason::NotReady),
        }
    }
}

/// Returns the version in which to ask a broker that does not know `refused`: the highest that it names, else 0.
fn fallback_version(response: &ApiVersionsResponse, refused: i16) -> i16 {
    let named = response.api_keys.iter().find(|version| version.api_key == ApiKey::ApiVersions.code());
    // Lower in any case, or a broker that names what it refuses would be asked for ever.
    named.map_or(0, |version| version.max_version.clamp(0, refused - 1))
}

/// A broker that could be connected to within so many head starts is too near to gain much.
const WORTHWHILE: u32 = 4;

/// In this version of ApiVersions brokers that were asked more already are asked if none of the cluster has answered: the highest of
/// Kafka 2.4. One that refuses it has to be connected to again.
const ASKED_AHEAD: i16 = 3;

/// After the answer to ApiVersions, the answer to what was asked along with it comes within the blink of an eye, or 0.3 s later (see
/// `haste.rs`).
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two parts of a computation: the shortest time that timers can tell.
const SHORTEST_TURN: Duration = Duration::from_millis(1);

/// What brokers count clients under (KIP-511).
const SOFTWARE_NAME: &str = "kafka-producer";
