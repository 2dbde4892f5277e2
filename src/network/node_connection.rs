//! The connection to one node: which states there are, and what leads from one to the next.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::metadata::Node;

use super::api_versions::ApiVersions;
use super::connection_history::{ConnectionHistory, Stage};
use super::correlation_ids::CorrelationIds;
use super::event::{ConnectionId, DisconnectReason};

/// How the connection to one node stands, and what is remembered of those before it.
#[derive(Debug)]
pub(super) struct NodeConnection {
    /// Where the node was when the connection was asked for.
    address: Node,
    state: ConnectionState,
    history: ConnectionHistory,
}

/// ```text
///             connecting          connected            ready
/// Disconnected ───────▶ Connecting ───────▶ Negotiating ──▶ Ready
///      ▲                    │                   │             │ drain
///      │                    │                   │             ▼
///      └── lost, released ──┴───────────────────┴────────── Draining
/// ```
#[derive(Debug)]
enum ConnectionState {
    /// There is no connection, and none is being made.
    Disconnected { since: Instant, backoff: Duration },
    /// The transport was asked for a connection.
    Connecting { id: ConnectionId, deadline: Option<Instant> },
    /// Connected, but it is not known yet what the broker speaks.
    Negotiating(Link),
    /// Requests may be sent.
    Ready(Established),
    /// Requests under way are answered, no others are sent, and the connection ends with the last of them.
    Draining(Established),
}

/// What a connection has from its first byte to its last.
#[derive(Debug)]
struct Link {
    id: ConnectionId,
    correlation_ids: CorrelationIds,
}

/// A connection whose broker has said what it speaks.
#[derive(Debug)]
struct Established {
    link: Link,
    versions: ApiVersions,
    /// The last time that bytes came or went, or should have gone.
    last_activity: Instant,
}

/// What happens to a connection.
impl NodeConnection {
    pub(super) fn new(address: Node, now: Instant) -> Self {
        let state = ConnectionState::Disconnected { since: now, backoff: Duration::ZERO };
        Self { address, state, history: ConnectionHistory::new(now) }
    }

    /// An attempt begins. Returns how many there were before.
    pub(super) fn connecting(&mut self, id: ConnectionId, timeout: Duration, now: Instant) -> usize {
        self.state = ConnectionState::Connecting { id, deadline: now.checked_add(timeout) };
        self.history.attempt(now)
    }

    /// The transport has a connection. Returns whether an attempt was under way.
    pub(super) fn connected(&mut self) -> bool {
        let ConnectionState::Connecting { id, .. } = self.state else { return false };
        self.state = ConnectionState::Negotiating(Link { id, correlation_ids: CorrelationIds::new() });
        self.history.connected();
        true
    }

    /// The broker has said what it speaks.
    pub(super) fn ready(&mut self, versions: ApiVersions, now: Instant) {
        self.change(|state| match state {
            ConnectionState::Negotiating(link) => {
                ConnectionState::Ready(Established { link, versions, last_activity: now })
            }
            state => state,
        });
        if matches!(self.state, ConnectionState::Ready(_)) {
            self.history.ready();
        }
    }

    /// The connection is to end with the requests under way. Returns whether it was ready: no other connection has any.
    pub(super) fn drain(&mut self) -> bool {
        self.change(|state| match state {
            ConnectionState::Ready(established) => ConnectionState::Draining(established),
            state => state,
        });
        self.is_draining()
    }

    /// The attempt came to nothing, or the connection is gone. The next attempt must wait. `random` is drawn from
    /// `[0, 1)`.
    pub(super) fn lost(&mut self, reason: DisconnectReason, backoff: &Backoff, now: Instant, random: f64) {
        let stage = match self.state {
            ConnectionState::Disconnected { .. } => return,
            ConnectionState::Connecting { .. } => Stage::Connecting,
            ConnectionState::Negotiating(_) => Stage::Negotiating,
            ConnectionState::Ready(_) | ConnectionState::Draining(_) => Stage::Ready,
        };
        let backoff = self.history.lost(stage, reason, backoff, now, random);
        self.state = ConnectionState::Disconnected { since: now, backoff };
    }

    /// The client has ended the connection though nothing was wrong: the next attempt need not wait.
    pub(super) fn released(&mut self) {
        let since = self.history.last_attempt();
        self.state = ConnectionState::Disconnected { since, backoff: Duration::ZERO };
    }

    /// The node is known by another id now, at the same address.
    pub(super) fn renamed(self, address: Node) -> Self {
        Self { address, ..self }
    }

    /// Bytes came or went.
    pub(super) fn touch(&mut self, now: Instant) {
        if let ConnectionState::Ready(established) | ConnectionState::Draining(established) = &mut self.state
        {
            established.last_activity = now;
        }
    }

    pub(super) fn correlation_ids_mut(&mut self) -> Option<&mut CorrelationIds> {
        let link = match &mut self.state {
            ConnectionState::Disconnected { .. } | ConnectionState::Connecting { .. } => return None,
            ConnectionState::Negotiating(link) => link,
            ConnectionState::Ready(established) | ConnectionState::Draining(established) => {
                &mut established.link
            }
        };
        Some(&mut link.correlation_ids)
    }

    fn change(&mut self, step: impl FnOnce(ConnectionState) -> ConnectionState) {
        let since = self.history.last_attempt();
        let none = ConnectionState::Disconnected { since, backoff: Duration::ZERO };
        self.state = step(std::mem::replace(&mut self.state, none));
    }
}

/// What others ask of a connection.
impl NodeConnection {
    pub(super) fn address(&self) -> &Node {
        &self.address
    }

    pub(super) fn history(&self) -> &ConnectionHistory {
        &self.history
    }

    /// Returns the connection, or the attempt at it, if there is one.
    pub(super) fn id(&self) -> Option<ConnectionId> {
        match &self.state {
            ConnectionState::Disconnected { .. } => None,
            ConnectionState::Connecting { id, .. } => Some(*id),
            ConnectionState::Negotiating(link) => Some(link.id),
            ConnectionState::Ready(established) | ConnectionState::Draining(established) => {
                Some(established.link.id)
            }
        }
    }

    /// Whether there is a connection, or an attempt at one.
    pub(super) fn exists(&self) -> bool {
        !matches!(self.state, ConnectionState::Disconnected { .. })
    }

    /// Whether there will be a connection that takes requests, if all goes well.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.state, ConnectionState::Connecting { .. } | ConnectionState::Negotiating(_))
    }

    /// Whether the broker is being asked what it speaks.
    pub(super) fn is_negotiating(&self) -> bool {
        matches!(self.state, ConnectionState::Negotiating(_))
    }

    /// Whether requests may be sent, as far as the connection goes.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, ConnectionState::Ready(_))
    }

    /// Whether the connection takes no more requests and ends with those under way.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.state, ConnectionState::Draining(_))
    }

    /// Returns what the broker speaks, if there is a connection that has been ready.
    pub(super) fn versions(&self) -> Option<&ApiVersions> {
        match &self.state {
            ConnectionState::Ready(established) | ConnectionState::Draining(established) => {
                Some(&established.versions)
            }
            _ => None,
        }
    }

    /// Returns how long to wait with the next attempt, or `None` if none is needed.
    pub(super) fn connection_delay(&self, now: Instant) -> Option<Duration> {
        match self.state {
            ConnectionState::Disconnected { since, backoff } => {
                Some(backoff.saturating_sub(now.saturating_duration_since(since)))
            }
            _ => None,
        }
    }

    /// Returns when the attempt under way has taken too long.
    pub(super) fn setup_deadline(&self) -> Option<Instant> {
        match self.state {
            ConnectionState::Connecting { deadline, .. } => deadline,
            _ => None,
        }
    }

    /// Returns when bytes came or went last on a connection that is ready.
    pub(super) fn last_activity(&self) -> Option<Instant> {
        match &self.state {
            ConnectionState::Ready(established) => Some(established.last_activity),
            _ => None,
        }
    }
}
