//! Names in `bootstrap.servers` that have no address for longer than `bootstrap.resolve.timeout.ms` (KIP-909).
//!
//! Unlike in Java the producer goes on looking them up, and recovers once one is found. Callers who wait are failed at each attempt
//! until then.

use std::time::{Duration, Instant};

use super::Topology;
use crate::config::HostPort;
use crate::network::DisconnectReason;
use crate::sender::effects::{Effect, Effects};
use crate::sender::line::{Line, News};
use crate::topic_partition::NodeId;

/// What has come of looking for the names of brokers (`client.dns.lookup`).
#[derive(Debug)]
pub(crate) enum BootstrapNews {
    /// Brokers have these.
    Names(Vec<HostPort>),
    /// No entry of `bootstrap.servers` has an address. Another attempt follows.
    Unresolved(String),
}

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
        let cause = format!("{}: {reason}", self.describe(node));
        if is_final {
            self.note_unresolved(&cause, now, effects);
        }
    }

    /// Takes in what has come of looking for the names of brokers. Until some are known there are no nodes.
    pub(in crate::sender) fn handle_bootstrap(
        &mut self,
        news: BootstrapNews,
        now: Instant,
        effects: &mut Effects,
    ) {
        match news {
            BootstrapNews::Names(names) => {
                self.resolution = None;
                if let Some(update) = self.metadata.set_bootstrap(names) {
                    effects.push(Effect::Adopt(update));
                }
            }
            BootstrapNews::Unresolved(cause) => {
                self.note_obstacle(&format!("bootstrap.servers: {cause}"), effects);
                self.note_unresolved(&cause, now, effects);
            }
        }
    }

    fn note_unresolved(&mut self, cause: &str, now: Instant, effects: &mut Effects) {
        let Some(resolution) = self.resolution.as_mut().filter(|resolution| now >= resolution.by) else {
            return;
        };
        let timeout = resolution.timeout.as_millis();
        let text = format!(
            "no name in bootstrap.servers was resolved within bootstrap.resolve.timeout.ms ({timeout}), at last {cause}"
        );
        if !std::mem::replace(&mut resolution.has_warned, true) {
            let line = Line::warn(format!("{text}; the producer keeps trying"));
            effects.push(Effect::Tell(News::of_cluster("unresolved", line)));
        }
        effects.push(Effect::Publish(self.metadata.note_unresolved(&text)));
    }
}
