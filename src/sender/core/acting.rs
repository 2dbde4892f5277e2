//! Effects: what a machine has said is done by the others, and by the network.

use std::time::{Duration, Instant};

use super::SenderCore;
use crate::metadata::MetadataUpdate;
use crate::network::NetworkRequest;
use crate::planted::planted;
use crate::protocol::ApiKey;
use crate::sender::effects::Effect;
use crate::sender::partition::Partition;
use crate::sender::request::{Body, Purpose};
use crate::sender::settlement::WhyNotAgain;
use crate::sender::throttling;
use crate::topic_partition::NodeId;
use crate::wire::DecodeError;

impl SenderCore {
    /// Does what the machines have said, which mostly is nothing.
    #[inline]
    pub(super) fn act(&mut self, now: Instant) {
        while let Some(effect) = self.effects.pop() {
            self.carry_out(effect, now);
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Instant) {
        match effect {
            Effect::Adopt(update) => self.adopt(update, now),
            Effect::AdoptProducerId(producer) => self.numbering.adopt(producer, &mut self.effects),
            Effect::Answer(answer) => self.outbox.answer(answer),
            Effect::Connect(node) => self.connect(node, now),
            Effect::ForgetIdleTopics => self.forget_idle_topics(),
            Effect::KnowNodes { cluster_id, nodes } => {
                self.network.set_cluster_id(cluster_id.as_deref());
                self.network.update_nodes(&nodes, now);
            }
            Effect::LeaveCluster => self.leave_cluster(now),
            Effect::LookAtActive => self.look_at_active(now),
            Effect::Publish(cluster) => self.outbox.publish(cluster),
            Effect::RefuseQueued(kind) => {
                for partition in self.schedule.partitions_mut() {
                    self.settlement.give_up_queued(partition, &kind, now);
                }
            }
            Effect::RequestMetadata => self.topology.request_update(),
            Effect::Retire(node) => self.network.retire(node, now),
            Effect::Send { node, purpose, body } => {
                let request = self.request(node, purpose, &body);
                self.network.send(request, now, |version, out| body.encode(version, out));
                self.note_in_flight(node);
            }
            Effect::SendEarly { node, purpose, body, version } => {
                let request = self.request(node, purpose, &body);
                self.network.send_early(request, version, now, |version, out| body.encode(version, out));
            }
            Effect::Tell(news) => self.tell(news, now),
            Effect::Throttle { node, wish } => self.throttle(node, wish, now),
            Effect::Unreadable { node, api_key, version, error } => {
                self.close_unreadable(node, api_key, version, &error, now);
            }
        }
    }

    fn request(&self, node: NodeId, purpose: Purpose, body: &Body) -> NetworkRequest<Purpose> {
        let timeout = self.settings.request_timeout;
        let (api_key, max_version) = (body.api_key(), body.max_version());
        NetworkRequest { node, api_key, purpose, expects_response: true, timeout, max_version }
    }

    /// Closes a connection whose answer to a request cannot be read. Returns what is wrong with it.
    pub(super) fn close_unreadable(
        &mut self,
        node: NodeId,
        api_key: ApiKey,
        version: i16,
        error: &DecodeError,
        now: Instant,
    ) -> String {
        let effects = &mut self.effects;
        let problem = self.topology.handle_unreadable(node, api_key, version, error, effects);
        self.network.close(node, api_key, now);
        problem
    }

    /// Leaves a broker alone as it wishes, within limits.
    pub(super) fn throttle(&mut self, node: NodeId, wish: Duration, now: Instant) {
        let pause = throttling::granted(wish, self.settings.delivery_timeout);
        self.count_throttle(node, pause);
        let until = self.network.throttle(node, pause, now);
        if let (Some(known), Some(until)) = (self.network.address(node), until) {
            self.brokers.handle_throttle(node, known.address(), until, now);
        }
    }

    /// Begins to connect to a node, unless there is no need or it is too early.
    pub(super) fn connect(&mut self, node: NodeId, now: Instant) {
        if self.network.connect(node, now)
            && let Some(known) = self.network.address(node)
        {
            self.brokers.handle_attempt(node, known.address(), now);
        }
    }

    fn forget_idle_topics(&mut self) {
        let (topology, numbers) = (&self.topology, self.numbering.numbers());
        let is_transactional = self.transactions.is_some() && !planted!(ForgottenInTransaction);
        // The epoch of transactions is that of all partitions. One that began anew in it would have its records taken for old ones.
        let is_kept = |partition: &Partition| is_transactional && partition.has_numbers_of(numbers);
        for partition in self.schedule.forget_topics(|topic| topology.is_tracked(topic), is_kept) {
            self.numbering.handle_forgotten(|id| partition.epoch(id));
        }
    }

    /// Makes a new view of the cluster known to connections, partitions and callers.
    fn adopt(&mut self, update: MetadataUpdate, now: Instant) {
        self.network.set_cluster_id(update.cluster.cluster_id());
        self.network.update_nodes(update.cluster.nodes(), now);
        self.brokers.handle_view(update.cluster.nodes());
        self.note_all_in_flight();
        self.counters.metadata_at.set(self.topology.refreshed_at());
        self.schedule.handle_view(&update);
        self.look_at_active(now);
        self.outbox.publish(update.cluster);
    }

    /// Leaves a cluster behind: `bootstrap.servers` lead to another one, as when DNS has moved.
    ///
    /// The producer id belongs to another producer there, or will. If the sender sent a batch under it, the broker might take the
    /// batch for one of the other producer, and acknowledge it without writing it.
    fn leave_cluster(&mut self, now: Instant) {
        self.numbering.handle_other_cluster();
        if let Some(transactions) = &mut self.transactions {
            transactions.handle_other_cluster(&mut self.effects);
        }
        for partition in self.schedule.partitions_mut() {
            let doubtful = partition.leave_cluster();
            self.settlement.give_up_sent(partition, doubtful, WhyNotAgain::ClusterLeft, now);
        }
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &mut self.telemetry {
            telemetry.handle_other_cluster(now);
        }
        // An address may belong to another machine by now, so the client cannot tell which connections lead to the old cluster.
        self.network.disconnect_all(now);
        self.topology.start_over(now, &mut self.effects);
    }
}
