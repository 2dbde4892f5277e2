//! Runs in which connections are encrypted, as far as the sender can tell: what a stream has taken may not have left, and brokers and
//! producer may not trust each other for some time.

use super::super::rig::millis;
use super::line::End;
use super::run::{Event, Simulation};
use super::schedule::{Distrust, Op};
use crate::network::ConnectionId;
use crate::security_failure::SecurityFailure;

/// What a handshake, or the stream, comes to that is not trusted.
pub(super) fn failure(is_lasting: bool) -> SecurityFailure {
    let reason = if is_lasting { "ssl.truststore.location is wrong" } else { "internal_error" };
    SecurityFailure { reason: reason.into(), is_lasting }
}

impl Simulation {
    pub(super) fn distrust(&mut self, op: Op) {
        if let Op::Distrust { node, lasts, how } = op {
            let until = self.now + millis(lasts);
            let state = self.node_mut(node);
            (state.distrusts_until, state.distrust) = (until, Some(how));
        }
    }

    /// Says why the handshake with a node fails, if it does.
    pub(super) fn handshake_failure(&self, node: i32) -> Option<SecurityFailure> {
        match self.distrust_of(node)? {
            Distrust::AfterHandshake => None,
            Distrust::Lasting => Some(failure(true)),
            Distrust::Passing => Some(failure(false)),
        }
    }

    fn distrust_of(&self, node: i32) -> Option<Distrust> {
        let state = self.node(node);
        state.distrust.filter(|_| self.setup.is_encrypted && state.distrusts_until > self.now)
    }

    /// A broker that does not trust the producer says so after the handshake, and reads nothing.
    pub(super) fn begin_encrypted(&mut self, id: ConnectionId, node: i32) {
        if self.distrust_of(node) == Some(Distrust::AfterHandshake) {
            if let Some(line) = self.lines.get_mut(&id) {
                line.is_deaf = true;
            }
            let latency = self.latency(node);
            self.after(latency, Event::Alert(id));
        }
    }

    pub(super) fn alert(&mut self, id: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.end(End::Insecure { is_lasting: true });
        }
        self.wake();
    }

    /// How a connection breaks.
    pub(super) fn end_of_cut(&mut self) -> End {
        match self.setup.is_encrypted && self.noise.is(30) {
            true => End::Insecure { is_lasting: false },
            false => End::Reset,
        }
    }
}
