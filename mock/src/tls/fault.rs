//! What goes wrong with a handshake.

use std::time::Duration;

use bytes::Bytes;

/// Something that goes wrong with TLS handshakes; see [`MockCluster::inject_tls`](crate::MockCluster::inject_tls).
///
/// A new fault hits the next handshake with any broker, once; [`broker`](Self::broker) and [`times`](Self::times) change
/// that. One fault hits one handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a fault does nothing until it is injected"]
pub struct TlsFault {
    action: Action,
    broker: Option<i32>,
    left: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Alert,
    Cut(usize),
    Delay(Duration),
    Replace(Bytes),
    Stall(usize),
}

impl TlsFault {
    /// Breaks the connection right after the handshake by a fatal alert, as brokers do that do not like the certificate of
    /// a client in TLS 1.3: the client takes the handshake for done, and reads the alert (`bad_record_mac`) later.
    pub fn alert_after_handshake() -> Self {
        Self::new(Action::Alert)
    }

    /// Closes the connection after this many bytes of the broker's part of the handshake.
    pub fn cut(bytes: usize) -> Self {
        Self::new(Action::Cut(bytes))
    }

    /// Leaves the client alone for a time before the handshake goes on as usual.
    pub fn delay(time: Duration) -> Self {
        Self::new(Action::Delay(time))
    }

    /// Sends these bytes in place of the broker's part of the handshake, and then nothing more.
    pub fn replace(bytes: impl Into<Bytes>) -> Self {
        Self::new(Action::Replace(bytes.into()))
    }

    /// Sends this many bytes of the broker's part of the handshake, and then nothing more; the connection stays open.
    pub fn stall(bytes: usize) -> Self {
        Self::new(Action::Stall(bytes))
    }

    /// Hits only handshakes with this broker.
    pub fn broker(mut self, broker: i32) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Hits this many handshakes instead of one.
    pub fn times(mut self, count: u32) -> Self {
        self.left = count;
        self
    }

    pub(super) fn hits(&self, broker: i32) -> bool {
        self.left > 0 && self.broker.is_none_or(|wanted| wanted == broker)
    }

    pub(super) fn action(&self) -> Action {
        self.action.clone()
    }

    /// Takes one away from those that are left, and returns whether none is left.
    pub(super) fn is_used_up_by_one(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }

    fn new(action: Action) -> Self {
        Self { action, broker: None, left: 1 }
    }
}
