//! Names in `bootstrap.servers` that have no address for longer than `bootstrap.resolve.timeout.ms` (KIP-909).
//!
//! Unlike in Java the producer goes on looking them up, and recovers once one is found. Callers who wait are failed at each attempt
//! until then.

use std::time::{Duration, Instant};

use super::Topology;
use crate::log;
use crate::network::DisconnectReason;
use crate::sender::effects::{Effect, Effects};
use crate::topic_partition::NodeId;

/// Until when one of the names must have an address.
#[derive(Debug)]
pub(super) struct Resolution {
    timeout: Duration,
    by: Instant,
    has_warned: bool,
}

impl Resolution {
    pub(super) fn new(timeout: Duration, now: Instant) -> Option<Self> {
        Some(Self { timeout, by: now.checked_add(timeout)?, has_warned: false })
    }
}

impl Topology {
    /// Takes in how an attempt at a connection has ended, while there is none. The last one among several `is_final`.
    pub(super) fn note_resolution(
        &mut self,
        node: NodeId,
        reason: &DisconnectReason,
        is_final: bool,
        now: Instant,
        effects: &mut Effects,
    ) {
        if !matches!(reason, DisconnectReason::Unresolved(_)) {
            // A name had an address, or there was an address in place of a name.
            self.resolution = None;
            return;
        }
        let broker = self.describe(node);
        let Some(resolution) = self.resolution.as_mut().filter(|resolution| is_final && now >= resolution.by)
        else {
            return;
        };
        let timeout = resolution.timeout.as_millis();
        let text = format!(
            "no name in bootstrap.servers was resolved within bootstrap.resolve.timeout.ms ({timeout}), at last {broker}: {reason}"
        );
        if !std::mem::replace(&mut resolution.has_warned, true) {
            log::warn!("{text}; the producer keeps trying");
        }
        effects.push(Effect::Publish(self.metadata.note_unresolved(&text)));
    }
}
