//! What goes in and out of a client: actions, events, and the reasons for what went wrong.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::HostPort;
use crate::error::{ConnectionStep, SharedError};
use crate::protocol::{ApiKey, ErrorCode};
use crate::security_failure::SecurityFailure;
use crate::topic_partition::NodeId;
use crate::wire::{DecodeError, EncodeError, Readable, Segments};

use super::socket_error::SocketError;

/// Tells one attempt to connect, and the connection that came of it, from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What is to be done with sockets.
#[derive(Debug, Clone)]
pub(crate) enum NetworkAction {
    /// End the connection, or the attempt at it. The transport need not report anything more about it.
    Close { connection: ConnectionId },
    /// Connect, as far as being ready for the first request of Kafka's.
    /// `attempt` counts the attempts at this address of the node: each should begin with another IP address.
    Connect { connection: ConnectionId, node: NodeId, host: Arc<str>, port: u16, attempt: usize },
    /// Write a frame, after those before it.
    Transmit { connection: ConnectionId, frame: Frame },
}

/// A request as it goes onto the wire.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) correlation_id: i32,
    pub(crate) segments: Segments,
}

/// What the caller should know. Each purpose comes back exactly once, in `Failed`, `Response` or `Written`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkEvent<P> {
    /// A connection was lost or given up, or could not be made. Its requests have failed before this.
    Disconnected {
        node: NodeId,
        /// Where the connection led to, or was to lead to.
        address: HostPort,
        /// How far it had come.
        step: ConnectionStep,
        /// Requests of the caller's that it had under way.
        unanswered: usize,
        reason: DisconnectReason,
    },
    /// A request will not be answered. If it was not `on_wire`, the broker has certainly not seen any of it.
    Failed { node: NodeId, purpose: P, reason: FailureReason, on_wire: bool },
    /// A node takes requests from now on.
    Ready { node: NodeId, address: HostPort },
    /// A request was answered, so long after it was sent. The body is what follows the response header.
    Response { node: NodeId, purpose: P, api_key: ApiKey, version: i16, body: Bytes, latency: Duration },
    /// A request that expects no response is in the hands of the operating system.
    Written { node: NodeId, purpose: P },
}

/// What is noted of a connection that is being made. Unlike an event, it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remark {
    /// An attempt has come as far as this.
    Step { node: NodeId, address: HostPort, step: ConnectionStep },
    /// The broker wants to be left alone for so long, as it says in its answer to ApiVersions.
    Throttled { node: NodeId, address: HostPort, pause: Duration, until: Instant },
}

impl<P> NetworkEvent<P> {
    /// Returns the node that it is about.
    pub(super) fn node_mut(&mut self) -> &mut NodeId {
        match self {
            Self::Disconnected { node, .. }
            | Self::Failed { node, .. }
            | Self::Ready { node, .. }
            | Self::Response { node, .. }
            | Self::Written { node, .. } => node,
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FailureReason {
    #[error("disconnected")]
    Disconnected(#[source] DisconnectReason),
    /// The node had not been asked for `can_send`.
    #[error("node was not ready for the request")]
    NotReady,
    #[error("timed out")]
    TimedOut,
    #[error("request cannot be encoded")]
    Unencodable(#[source] EncodeError),
    #[error("no version of {0:?} that both sides speak")]
    UnsupportedVersion(ApiKey),
}

/// Why there is no connection any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DisconnectReason {
    /// The address of the node has changed, or the cluster has it no longer.
    #[error("node has moved or is gone")]
    AddressChanged,
    /// Nothing is wrong: the broker is too old for what it was asked before it had said what it speaks. The next connection waits
    /// for each answer.
    #[error("broker is too old to be asked ahead")]
    AskedTooEarly,
    /// Broker and producer do not accept each other.
    #[error("{prefix}{0}", prefix = .0.prefix())]
    AuthenticationFailed(#[from] AuthenticationError),
    /// The producer cannot say who it is, for a reason that may pass.
    #[error("authentication failed: {0}")]
    AuthenticationGivenUp(Arc<str>),
    #[error("broker did not finish the authentication in time")]
    AuthenticationTimedOut,
    /// The producer had nothing to show to the broker, which has done nothing wrong. The login says why, if it has failed.
    #[error("{subject} that the broker is to be shown did not come in time")]
    CredentialsTimedOut { subject: &'static str },
    #[error("connection lost: {0}")]
    Closed(#[source] SocketError),
    /// The same, instead of the answer to ApiVersions, and not for the first time.
    #[error("connection lost: {}", ClosedInHandshake(.0))]
    ClosedInHandshake(#[source] SocketError),
    /// The same, instead of the first answer after that to ApiVersions, to a producer that has not said who it is.
    #[error("connection lost: {}", ClosedUnanswered(.0))]
    ClosedUnanswered(#[source] SocketError),
    /// The same, where the broker had been asked for something, early, that it does not know.
    #[error("connection lost: {}", ClosedUnspoken(.0, *.1))]
    ClosedUnspoken(#[source] SocketError, ApiKey),
    #[error("could not connect: {0}")]
    ConnectFailed(#[source] SocketError),
    /// The name has no address.
    #[error("could not connect: {0}")]
    Unresolved(#[source] SocketError),
    #[error("could not connect in time")]
    ConnectTimedOut,
    #[error("connected, but the broker did not tell its versions in time")]
    HandshakeTimedOut,
    /// Nothing is wrong: the connection was not used for `connections.max.idle.ms`.
    #[error("connection was idle")]
    Idle,
    #[error("response does not fit the requests")]
    Malformed(#[from] MalformedResponse),
    /// The broker says that it is not the one that the client meant to reach (KIP-1242).
    #[error("address leads to another broker, or to another cluster, than metadata says")]
    Misrouted,
    #[error("request was not answered in time")]
    RequestTimedOut,
    /// The caller wanted it.
    #[error("connection was given up")]
    Requested,
    /// There is no encrypted connection, for a reason that may pass.
    #[error("TLS failed: {0}")]
    TlsFailed(Arc<str>),
    /// The caller could make nothing of an answer.
    #[error("answer to {0:?} cannot be read, or does not fit the request")]
    Senseless(ApiKey),
    #[error("first request cannot be encoded")]
    Unencodable(#[source] EncodeError),
    #[error("broker refused to tell its versions: {0}")]
    VersionsRefused(ErrorCode),
}

impl DisconnectReason {
    /// Whether the connection was ended by ourselves though nothing was wrong with it.
    pub(crate) fn is_release(&self) -> bool {
        matches!(self, Self::AddressChanged | Self::AskedTooEarly | Self::Idle | Self::Requested)
    }

    /// Whether no further attempt helps, but only another configuration of the producer or of the brokers.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::AuthenticationFailed(_))
    }
}

/// What is told of a broker, beside how far the connection was.
impl DisconnectReason {
    /// Returns the cause in a few words.
    pub(crate) fn words(&self) -> Arc<str> {
        match self {
            Self::Closed(error) | Self::ConnectFailed(error) | Self::Unresolved(error) => {
                Arc::clone(error.text())
            }
            Self::ClosedInHandshake(error) => ClosedInHandshake(error).to_string().into(),
            Self::ClosedUnanswered(error) => ClosedUnanswered(error).to_string().into(),
            Self::ClosedUnspoken(error, api_key) => ClosedUnspoken(error, *api_key).to_string().into(),
            reason => Readable::new(&reason.to_string()).into_text(),
        }
    }

    /// Returns the words that tell this cause from others of its kind, unless they may be new each time.
    pub(crate) fn telling_words(&self) -> Option<Arc<str>> {
        match self {
            Self::Closed(error)
            | Self::ClosedInHandshake(error)
            | Self::ClosedUnanswered(error)
            | Self::ClosedUnspoken(error, _)
            | Self::ConnectFailed(error) => error.known_words(),
            Self::AuthenticationFailed(_) | Self::AuthenticationGivenUp(_) | Self::TlsFailed(_) => {
                Some(self.words())
            }
            _ => None,
        }
    }

    /// Returns what stands behind it: words of the system, or of a room below.
    pub(crate) fn shared_source(&self) -> Option<SharedError> {
        match self {
            Self::Closed(error)
            | Self::ClosedInHandshake(error)
            | Self::ClosedUnanswered(error)
            | Self::ClosedUnspoken(error, _)
            | Self::ConnectFailed(error)
            | Self::Unresolved(error) => error.shared_source(),
            Self::Malformed(problem) => Some(Arc::new(problem.clone())),
            Self::Unencodable(error) => Some(Arc::new(error.clone())),
            _ => None,
        }
    }
}

impl From<&SecurityFailure> for DisconnectReason {
    fn from(failure: &SecurityFailure) -> Self {
        let reason = Arc::clone(&failure.reason);
        if failure.is_lasting { AuthenticationError::Tls(reason).into() } else { Self::TlsFailed(reason) }
    }
}

impl From<&DisconnectReason> for FailureReason {
    fn from(reason: &DisconnectReason) -> Self {
        match reason {
            DisconnectReason::HandshakeTimedOut | DisconnectReason::RequestTimedOut => Self::TimedOut,
            reason => Self::Disconnected(reason.clone()),
        }
    }
}

/// Why a connection could not be authenticated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthenticationError {
    /// Twice in a row, the broker ended the connection where it should have answered the words of the mechanism.
    #[error(
        "broker closes the connection where it should answer {mechanism}, as old ones do that refuse what sasl.jaas.config says"
    )]
    ClosedUnanswered { mechanism: Arc<str> },
    #[error(
        "broker demands SASL at this address: set security.protocol to SASL_PLAINTEXT or SASL_SSL, and sasl.mechanism to one of those that it offers ({offered})"
    )]
    Demanded { offered: Arc<str> },
    /// The mechanism has no answer to what the broker says, or does not believe it.
    #[error("{0}")]
    Exchange(Readable),
    #[error("{}", Offer(*.code, .mechanism, .offered))]
    MechanismRefused { code: ErrorCode, mechanism: Arc<str>, offered: Arc<str> },
    #[error("broker refuses {}{subject} ({mechanism}, {code}){}", if *.is_renewal { "to renew the session by " } else { "" }, Words(.message.as_deref(), .note.as_deref()))]
    Refused {
        code: ErrorCode,
        mechanism: Arc<str>,
        /// What of the producer it is that the broker does not accept.
        subject: &'static str,
        message: Option<Arc<str>>,
        /// What the mechanism has to add.
        note: Option<Arc<str>>,
        /// Whether it accepted the producer before, on the same connection.
        is_renewal: bool,
    },
    /// Broker and producer cannot trust each other, or do not agree on whether and how to encrypt.
    #[error("{0}")]
    Tls(Arc<str>),
    #[error("broker speaks no version of {0:?} that this producer speaks")]
    UnsupportedVersion(ApiKey),
}

impl AuthenticationError {
    /// Says that the mechanism cannot go on. Words of the broker's may stand in the reason.
    pub(crate) fn exchange(reason: &str) -> Self {
        Self::Exchange(Readable::new(reason))
    }

    /// Whether the broker refuses in the words that Kafka has for that, or the producer refuses the broker.
    pub(super) fn is_plain_refusal(&self) -> bool {
        match self {
            Self::MechanismRefused { code, .. } => *code == ErrorCode::UnsupportedSaslMechanism,
            Self::Refused { code, .. } => *code == ErrorCode::SaslAuthenticationFailed,
            Self::UnsupportedVersion(_) => false,
            Self::ClosedUnanswered { .. } | Self::Demanded { .. } | Self::Exchange(_) | Self::Tls(_) => true,
        }
    }

    /// Whether the broker does not take the mechanism, from any producer.
    pub(super) fn is_about_mechanism(&self) -> bool {
        matches!(self, Self::MechanismRefused { .. })
    }

    /// Returns what stands in front of the text. TLS ends before anything is said of who the producer is.
    fn prefix(&self) -> &'static str {
        if let Self::Tls(_) = self { "TLS failed: " } else { "authentication failed: " }
    }
}

/// A connection that ended in place of the answer to ApiVersions.
struct ClosedInHandshake<'a>(&'a SocketError);

impl fmt::Display for ClosedInHandshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in place of an answer to ApiVersions: is this a TLS or SASL listener? (security.protocol)",
            self.0
        )
    }
}

/// A connection that ended in place of the first answer.
struct ClosedUnanswered<'a>(&'a SocketError);

impl fmt::Display for ClosedUnanswered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, in place of the first answer; brokers that want SASL do that (security.protocol)",
            self.0
        )
    }
}

/// A connection that ended in place of the answer to a request that the broker does not know.
struct ClosedUnspoken<'a>(&'a SocketError, ApiKey);

impl fmt::Display for ClosedUnspoken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, which speaks no version of {:?} that this producer speaks", self.0, self.1)?;
        if self.1 == ApiKey::Metadata {
            f.write_str(", as a controller does not")?;
        }
        Ok(())
    }
}

/// What the broker has said of a refusal, and what there is to add to it.
struct Words<'a>(Option<&'a str>, Option<&'a str>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, words) in [self.0, self.1].into_iter().flatten().enumerate() {
            write!(f, "{}{words}", if index == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

/// A mechanism that a broker does not take, beside those that it does.
struct Offer<'a>(ErrorCode, &'a str, &'a str);

impl fmt::Display for Offer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code, mechanism, offered) = self;
        // Where a broker takes no SASL, old ones still name the mechanisms that they take elsewhere.
        if *code == ErrorCode::IllegalSaslState || offered.is_empty() {
            return write!(
                f,
                "broker takes no SASL at this address; security.protocol or the port is wrong ({code})"
            );
        }
        write!(f, "broker does not take sasl.mechanism {mechanism}; it offers {offered} ({code})")
    }
}

/// What is wrong with a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedResponse {
    #[error("correlation id {found} in place of {expected}")]
    CorrelationId { expected: i32, found: i32 },
    #[error("header is not understood")]
    Header(#[source] DecodeError),
    #[error("it has no request")]
    Unasked,
    #[error("answer to {0:?} is not understood")]
    Unreadable(ApiKey, #[source] DecodeError),
}
