//! When all starts over from the bootstrap servers, and what is left of the view then.

use std::time::Instant;

use super::{Cluster, Metadata, MetadataUpdate, Node};
use crate::config::HostPort;
use crate::topic_partition::NodeId;

/// Gives each of the bootstrap servers an id that no broker has.
pub(super) fn bootstrap_nodes(bootstrap: impl IntoIterator<Item = HostPort>) -> Vec<Node> {
    let ids = (1..).map(|number: i32| NodeId(-number));
    ids.zip(bootstrap).map(|(id, address)| Node::at(id, address)).collect()
}

impl Metadata {
    /// Takes other bootstrap servers from now on. Returns the view with them if brokers are not known yet.
    pub(crate) fn set_bootstrap(
        &mut self,
        bootstrap: impl IntoIterator<Item = HostPort>,
    ) -> Option<MetadataUpdate> {
        self.bootstrap = bootstrap_nodes(bootstrap);
        let cluster = Cluster::clone(&self.cluster).with_nodes(self.bootstrap.clone());
        self.is_bootstrap.then(|| self.publish(cluster))
    }

    /// Goes back to the bootstrap servers, as if no broker had ever answered. What was known of the topics stays, so
    /// that records can still be given partitions, but there is no leader until the next answer. A request under way
    /// is given up. The backoff stays, because a broker may send the producer back again and again.
    pub(crate) fn rebootstrap(&mut self, now: Instant) -> MetadataUpdate {
        self.is_bootstrap = true;
        self.needs_full_update = true;
        self.full_update = None;
        if let Some(in_flight) = self.in_flight.take() {
            self.topics.handle_end(&in_flight.topics);
        }
        self.schedule.restart(now);
        self.topics.forget_epochs();
        let cluster = Cluster::clone(&self.cluster).with_nodes(self.bootstrap.clone());
        // Callers who wait learn of the next refusal, if there is one.
        let cluster = if cluster.has_refusal() { cluster.without_obstacle() } else { cluster };
        self.publish(cluster)
    }

    /// Whether to go back to the bootstrap servers (KIP-899, KIP-1102): a request is due but no node is worth waiting for
    /// (`is_promising`), or none has succeeded for too long. The former backs off while it leads to no broker.
    ///
    /// The sender asks this in each pass. After it has gone back, this returns false until there is an answer: until then the
    /// producer knows only the bootstrap servers.
    pub(crate) fn should_rebootstrap(&mut self, is_promising: bool, now: Instant) -> bool {
        if self.rebootstrap_trigger.is_none() || self.is_bootstrap {
            return false;
        }
        let is_due = self.is_due(now);
        if is_due {
            self.schedule.handle_attempt(now);
        }
        self.is_stuck(now) || (is_due && !is_promising && self.schedule.restart_wait(now).is_none())
    }

    /// Whether all may start over: the bootstrap servers are not what is known anyway.
    pub(crate) fn may_rebootstrap(&self) -> bool {
        self.rebootstrap_trigger.is_some() && !self.is_bootstrap
    }

    /// Whether no request has succeeded for so long that all starts over, whether or not one is due.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        let trigger = self.rebootstrap_trigger.filter(|_| !self.is_bootstrap);
        let since = self.schedule.unsuccessful_for(now);
        matches!((trigger, since), (Some(trigger), Some(since)) if since >= trigger)
    }

    /// Notes that a broker is connected that the cluster has named.
    pub(crate) fn handle_recovery(&mut self) {
        self.schedule.handle_recovery();
    }

    /// Whether all started over from the bootstrap servers and no broker was connected since.
    pub(crate) fn is_recovering(&self) -> bool {
        self.schedule.is_recovering()
    }

    /// Returns when to look whether to start over while a request is due, if that must wait.
    pub(crate) fn poll_restart(&self, now: Instant) -> Option<Instant> {
        self.schedule.restart_wait(now).filter(|_| !self.is_bootstrap)
    }

    /// Returns when no request has succeeded for so long that all starts over.
    pub(crate) fn next_rebootstrap(&self, now: Instant) -> Option<Instant> {
        let trigger = self.rebootstrap_trigger.filter(|_| !self.is_bootstrap)?;
        let left = trigger.saturating_sub(self.schedule.unsuccessful_for(now)?);
        now.checked_add(left)
    }
}
