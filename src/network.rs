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
//!
//! Where to find what:
//!
//! | In | stands |
//! | --- | --- |
//! | `node_connection` | the states of a connection, and what leads from one to the next |
//! | `client/handshake` | what a connection does between TCP and its first request |
//! | `intent` | how a broker is told whom the client means to reach |
//! | `authentication`, `sasl` | Kafka's frames around a SASL exchange, and what a mechanism has to provide |
//! | `client/deadlines` | what a connection waits for, and until when |
//! | `transport`, `resolver`, `dialer` | byte streams: how they are driven, and who makes them |
//! | `client/remarks` | how far attempts have come, and since when brokers have not answered |
//! | `client/closing`, `client/moving` | how a connection ends, and what becomes of it when nodes move |
//! | `connection_history` | what is remembered of a node across its connections: backoff, the last cause |

mod api_versions;
mod authentication;
pub(crate) mod canonical;
mod client;
mod connection_history;
mod connection_states;
mod correlation_ids;
pub(crate) mod dialer;
mod event;
mod features;
mod frame;
mod haste;
mod in_flight_requests;
mod intent;
mod least_loaded_node;
pub(crate) mod lookup;
mod node_connection;
mod outbox;
pub(crate) mod resolver;
pub(crate) mod sasl;
mod socket_error;
mod throttles;
mod timers;
#[cfg(feature = "tls")]
pub(crate) mod tls_connector;
pub(crate) mod transport;
pub(crate) mod web;

pub(crate) use self::client::{Awaited, Deadline, HEAD_START, NetworkClient, NetworkConfig, NetworkRequest};
#[cfg(test)]
pub(crate) use self::event::AuthenticationError;
pub(crate) use self::event::{ConnectionId, DisconnectReason, FailureReason, Frame, MalformedResponse};
pub(crate) use self::event::{NetworkAction, NetworkEvent, Remark};
pub(crate) use self::frame::MAX_RESPONSE_LEN;
#[cfg(any(test, feature = "__internals"))]
pub(crate) use self::frame::next_frame;
pub(crate) use self::least_loaded_node::LeastLoadedNode;
#[cfg(test)]
pub(crate) use self::socket_error::SocketError;
