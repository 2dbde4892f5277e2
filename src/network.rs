//! Connections to brokers: which there are, what travels over them, whom to ask.
//!
//! [`NetworkClient`] decides, and does nothing itself: it takes in what happened (`handle_…`), and gives out what
//! is to be done with sockets (`poll_action`) and what the sender should know (`poll_event`). It neither knows nor
//! cares what the requests are about: each carries a purpose of the caller's own type, which comes back with the
//! outcome.
//!
//! ```text
//! sender ── send, connect ──▶ NetworkClient ── poll_action ──▶ transport
//!        ◀── poll_event ────                ◀── handle_… ─────
//! ```

mod api_versions;
mod client;
mod connection_history;
mod connection_states;
mod correlation_ids;
mod event;
mod frame;
mod in_flight_requests;
mod least_loaded_node;
pub(crate) mod lookup;
mod node_connection;
mod outbox;
pub(crate) mod resolver;
mod throttles;
mod timers;
pub(crate) mod transport;

pub(crate) use self::client::{NetworkClient, NetworkConfig, NetworkRequest};
pub(crate) use self::event::{ConnectionId, DisconnectReason, FailureReason, Frame, MalformedResponse};
pub(crate) use self::event::{NetworkAction, NetworkEvent};
pub(crate) use self::frame::MAX_RESPONSE_LEN;
#[cfg(any(test, feature = "__internals"))]
pub(crate) use self::frame::next_frame;
pub(crate) use self::least_loaded_node::LeastLoadedNode;
