//! `SenderCore`: every decision of the sender, without sockets, clocks or tasks.
//!
//! It is driven by `handle_*` (what happened), `poll_as_of` (do what is due) and `poll_action` (what the shell must do);
//! `poll_timeout` says when to call again. `sender/drive.rs` has the order of these.
//!
//! ```text
//!  accumulator ──changed queues──►  look ──► linger / backoff / no leader   (timer, or the event that ends it)
//!                                    │
//!                                    └─ready──► ready list of the leader ──► one produce request per node
//!                                                                                      │
//!                                   deliver / retry / split / fail  ◄──────────── answer
//! ```
//!
//! Work is proportional to what changed: a queue is looked at when a caller announced it, when its timer fires, when
//! an answer for it came, or when its leader changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::{Head, PartitionQueue, RecordAccumulator, SealJob};
use crate::delivery::AckObserver;
use crate::log;
use crate::metadata::{Cluster, Metadata, MetadataUpdate};
use crate::metrics::Counters;
use crate::network::{NetworkAction, NetworkClient, NetworkEvent, NetworkRequest};
use crate::planted::planted;
use crate::protocol::ApiKey;
use crate::sender::effects::{Effect, Effects};
use crate::sender::nodes::Nodes;
use crate::sender::numbering::Numbering;
use crate::sender::partition::Partition;
use crate::sender::request::{Body, Purpose};
use crate::sender::settings::SenderSettings;
use crate::sender::settlement::Settlement;
use crate::sender::timer::Wait;
use crate::sender::topic_interests::TopicInterest;
use crate::sender::topology::Topology;
use crate::topic_partition::NodeId;
#[cfg(any(test, feature = "__internals"))]
use crate::topic_partition::Topic;
use crate::wire::DecodeError;

/// The deciding half of the sender.
#[derive(Debug)]
pub(crate) struct SenderCore {
    settings: SenderSettings,
    accumulator: Arc<RecordAccumulator>,
    network: NetworkClient<Purpose>,
    /// By the id of the queue; empty places are partitions that had no records so far, or have idled out.
    partitions: Vec<Option<Box<Partition>>>,
    /// Those with batches queued or under way: no others have anything to do.
    active: ActivePartitions,
    /// When to look at which partition again: its `timer`, if there is one.
    timers: BTreeSet<(Instant, usize)>,
    /// Partitions whose head can go to the node that leads them, longest waiting first.
    ready: BTreeMap<NodeId, VecDeque<usize>>,
    /// Scratch for the queues that callers announced.
    changed: Vec<Arc<PartitionQueue>>,
    /// Whether batches go without lingering, as of the present pass.
    is_urgent: bool,
    /// Nodes that batches wait for and that take nothing, each since when (`partitioner.availability.timeout.ms`).
    stalled: BTreeMap<NodeId, Instant>,
    /// Partitions whose batches would go at once if nothing were under way to the node.
    gathering: BTreeMap<NodeId, Vec<usize>>,
    seal_jobs: Vec<SealJob>,
    /// A batch has waited for its compression for so long that no thread may have come for it.
    is_seal_late: bool,
    published: Option<Arc<Cluster>>,
    settlement: Settlement,
    counters: Arc<Counters>,
    numbering: Numbering,
    topology: Topology,
    /// When to look at what has changed although no caller wakes the sender for it.
    next_look: Option<Instant>,
    /// Something has happened in the present pass.
    has_news: bool,
    /// As of the last poll, in milliseconds since 1970.
    wall_clock: i64,
    /// What had come by then was handed over.
    read_until: Instant,
    effects: Effects,
}

/// Which records [`KafkaProducer::purge`](crate::KafkaProducer::purge) gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// Those that wait in the producer, and those whose request is under way: whether a broker writes the latter
    /// is not known.
    All,
    /// Those that wait in the producer, for their first attempt or for another.
    Queued,
}

/// What the shell must do.
#[derive(Debug)]
pub(crate) enum Action {
    Network(NetworkAction),
    /// Show callers a new view of the cluster.
    Publish(Arc<Cluster>),
    /// Have a batch compressed, away from the sender's task.
    Seal(SealJob),
    /// See whether others come for the batches that they are to compress, and if not, do what is quick of it.
    TakeBackSeals,
}

mod active_partitions;
mod answers;
mod cluster_change;
mod forgetting;
mod giving_back;
mod looking;
mod sending;

use self::active_partitions::ActivePartitions;

/// The parts that a [`SenderCore`] is put together from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: SenderSettings,
    pub(crate) accumulator: Arc<RecordAccumulator>,
    pub(crate) metadata: Metadata,
    pub(crate) network: NetworkClient<Purpose>,
    pub(crate) observer: Option<Arc<dyn AckObserver>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) seed: u64,
    pub(crate) epoch: Instant,
}

impl SenderCore {
    pub(crate) fn new(parts: Parts) -> Self {
        let numbering = Numbering::new(parts.settings.is_idempotent, parts.settings.retry_backoff);
        let settlement = Settlement::new(
            parts.settings.clone(),
            parts.accumulator.settings().batch_size,
            parts.observer,
            Arc::clone(&parts.counters),
            parts.seed,
        );
        let topology = Topology::new(
            parts.metadata,
            Arc::clone(&parts.accumulator),
            parts.epoch,
            parts.settings.metadata_max_idle,
            Arc::clone(&parts.counters),
        );
        let mut core = Self {
            settings: parts.settings,
            accumulator: parts.accumulator,
            network: parts.network,
            partitions: Vec::new(),
            active: ActivePartitions::default(),
            timers: BTreeSet::new(),
            ready: BTreeMap::new(),
            changed: Vec::new(),
            is_urgent: false,
            stalled: BTreeMap::new(),
            gathering: BTreeMap::new(),
            seal_jobs: Vec::new(),
            is_seal_late: false,
            published: None,
            settlement,
            counters: parts.counters,
            numbering,
            effects: Effects::default(),
            topology,
            next_look: None,
            has_news: false,
            wall_clock: 0,
            read_until: parts.epoch,
        };
        core.network.update_nodes(core.topology.cluster().nodes(), parts.epoch);
        core
    }

    /// Gives the network room access to what the shell has to report.
    pub(crate) fn network(&mut self) -> &mut NetworkClient<Purpose> {
        &mut self.network
    }

    /// A caller asks for the metadata of a topic, or waits for it no longer.
    pub(crate) fn handle_topic_interest(&mut self, interest: &TopicInterest, now: Instant) {
        self.topology.handle_interest(interest, now);
    }

    /// A caller asks for the metadata of a topic.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn handle_topic_wanted(&mut self, topic: &Topic, now: Instant) {
        let interest = TopicInterest { topic: topic.clone(), is_wanted: true, is_awaited: false };
        self.topology.handle_interest(&interest, now);
    }

    /// Does everything that is due. To be called after every `handle_*` and at `poll_timeout`, by a shell that has handed over what
    /// had come by `read_until`: what came later may still lie in a socket. So nothing is given up whose time has ended since,
    /// however late it is. `wall_clock`: in milliseconds since 1970, as record timestamps are.
    pub(crate) fn poll_as_of(&mut self, now: Instant, wall_clock: i64, read_until: Instant) {
        self.wall_clock = wall_clock;
        self.read_until = if planted!(UnreadAnswersDoNotCount) { now } else { read_until.min(now) };
        self.accumulator.set_sender_coming(false);
        // Answers first: what they settle is not given up.
        self.handle_network_events(now);
        self.sample_urgency(now);
        self.network.handle_timeout(self.read_until);
        for _ in 0..MAX_PASSES {
            self.pass(now);
            if !self.network.has_events() {
                break;
            }
        }
        self.plan_next_look(now);
        self.counters.requests_in_flight.set(self.network.total_in_flight());
    }

    /// Returns the next thing that the shell must do.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if let Some(cluster) = self.published.take() {
            return Some(Action::Publish(cluster));
        }
        if let Some(job) = self.seal_jobs.pop() {
            return Some(Action::Seal(job));
        }
        let has_failed = self.settlement.take_seal_late();
        if std::mem::take(&mut self.is_seal_late) || has_failed {
            return Some(Action::TakeBackSeals);
        }
        let action = self.network.poll_action()?;
        if matches!(action, NetworkAction::Transmit { .. }) {
            self.counters.requests_sent.add(1);
        }
        Some(Action::Network(action))
    }

    /// Returns when to call [`SenderCore::poll_as_of`] again if nothing happens before.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.network.has_events() {
            return Some(now);
        }
        let timer = self.timers.first().map(|(at, _)| *at).filter(|_| !planted!(LostWakeUp));
        let next_look = self.next_look;
        let blocked = self.ready.keys().filter_map(|node| {
            // What could go was left lying: no event will come of it.
            let is_left = self.network.can_send(*node, now);
            if is_left { Some(now) } else { self.node_timeout(*node, now) }
        });
        let [metadata, starting_over] = self.topology.timeouts(now);
        let producer_id = self.numbering.timeout(|| !self.is_idle(), now);
        let waits = [metadata, starting_over, producer_id].into_iter().flatten();
        [timer, next_look, self.network.poll_timeout()]
            .into_iter()
            .flatten()
            .chain(waits.filter_map(|(wait, _)| self.end_of(wait, now)))
            .chain(blocked)
            .min()
    }

    #[cfg(test)]
    pub(crate) fn leader(&self, id: usize) -> Option<i32> {
        self.partitions.get(id)?.as_deref()?.leader().map(|node| node.0)
    }

    /// Lists the partition of a queue as ready for a node, as if it had been looked at.
    #[cfg(test)]
    pub(crate) fn list(&mut self, node: NodeId, id: usize) {
        if let Some(partition) = self.partition_mut(id) {
            partition.is_listed = true;
            self.ready.entry(node).or_default().push_back(id);
        }
    }

    #[cfg(test)]
    pub(crate) fn cluster(&self) -> &Cluster {
        self.topology.cluster()
    }

    /// Returns how many partitions are known, and how many of them are looked at when something concerns all.
    #[cfg(test)]
    pub(crate) fn partitions(&self) -> (usize, usize) {
        (self.partitions.iter().flatten().count(), self.active.len())
    }

    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Returns whether everything accepted so far is settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.accumulator.is_complete()
    }

    /// Takes in what happened and then sends, so that nothing that became ready is left lying.
    fn pass(&mut self, now: Instant) {
        self.handle_network_events(now);
        self.look_at_gathered(now);
        self.look_at_changed(now);
        self.look_at_timers(now);
        self.ask_for_metadata(now);
        self.ask_for_producer_id(now);
        self.send_produce_requests(now);
        // A partition may have used up its epochs only now, and nothing else may happen for long.
        self.ask_for_producer_id(now);
    }

    fn ensure_partition(&mut self, queue: Arc<PartitionQueue>) {
        let id = queue.id();
        if self.partitions.len() <= id {
            self.partitions.resize_with(id + 1, || None);
        }
        if let Some(place @ None) = self.partitions.get_mut(id) {
            let mut partition = Box::new(Partition::new(queue));
            partition.update_leader(self.topology.cluster());
            *place = Some(partition);
        }
    }

    fn partition_mut(&mut self, id: usize) -> Option<&mut Partition> {
        self.partitions.get_mut(id).and_then(Option::as_deref_mut)
    }

    /// Fails what is too old. `head` is that of the queue. Returns whether there was any.
    fn expire(&mut self, id: usize, head: Option<Head>, now: Instant) -> bool {
        if self.network.has_events() && !planted!(UnreadAnswersDoNotCount) {
            // The answer may be among them. The timer, which is due, has us come back.
            return false;
        }
        let Some(Some(partition)) = self.partitions.get_mut(id) else { return false };
        self.settlement.expire(partition, head, self.read_until, now)
    }

    /// Returns when a node that batches wait for is worth another look.
    fn node_timeout(&self, node: NodeId, now: Instant) -> Option<Instant> {
        let delay = self.network.ready_delay(node, now).filter(|delay| !delay.is_zero())?;
        now.checked_add(delay)
    }

    /// Returns when a wait is over, as far as that is known.
    fn end_of(&self, wait: Wait, now: Instant) -> Option<Instant> {
        match wait {
            Wait::AnyNode => self.any_node_timeout(now),
            Wait::Until(time) => Some(time),
        }
    }

    /// Returns when the first of all nodes that are of no use now is worth another look.
    fn any_node_timeout(&self, now: Instant) -> Option<Instant> {
        let nodes = self.topology.cluster().nodes();
        nodes.iter().filter_map(|node| self.node_timeout(node.id(), now)).min()
    }

    fn ask_for_metadata(&mut self, now: Instant) {
        let mut is_asking = true;
        while is_asking {
            is_asking =
                self.topology.next_request(&mut Nodes::new(&mut self.network), now, &mut self.effects);
            self.act(now);
        }
    }

    fn ask_for_producer_id(&mut self, now: Instant) {
        let mut nodes = Nodes::new(&mut self.network);
        let is_needed = || !self.accumulator.is_complete();
        self.numbering.next_request(&mut nodes, is_needed, now, &mut self.effects);
        self.act(now);
    }

    /// Does what the machines have said.
    fn act(&mut self, now: Instant) {
        while let Some(effect) = self.effects.pop() {
            match effect {
                Effect::Adopt(update) => self.take_in(update, now),
                Effect::Connect(node) => {
                    self.network.connect(node, now);
                }
                Effect::ForgetIdleTopics => self.forget_idle_topics(),
                Effect::KnowNodes(nodes) => self.network.update_nodes(&nodes, now),
                Effect::LeaveCluster => self.leave_cluster(now),
                Effect::LookAtActive => self.look_at_active(now),
                Effect::Publish(cluster) => self.published = Some(cluster),
                Effect::RefuseQueued(kind) => {
                    for partition in self.partitions.iter_mut().flatten() {
                        self.settlement.give_up_queued(partition, &kind, now);
                    }
                }
                Effect::Retire(node) => self.network.retire(node, now),
                Effect::Send { node, purpose, body } => {
                    let request = self.request(node, purpose, &body);
                    self.network.send(request, now, |version, out| body.encode(version, out));
                }
                Effect::SendEarly { node, purpose, body, version } => {
                    let request = self.request(node, purpose, &body);
                    self.network.send_early(request, version, now, |version, out| body.encode(version, out));
                }
                Effect::Throttle { node, throttle_time_ms } => self.throttle(node, throttle_time_ms, now),
                Effect::Unreadable { node, api_key, version, error } => {
                    self.close_unreadable(node, api_key, version, &error, now);
                }
            }
        }
    }

    fn request(&self, node: NodeId, purpose: Purpose, body: &Body) -> NetworkRequest<Purpose> {
        let timeout = self.settings.request_timeout;
        NetworkRequest { node, api_key: body.api_key(), purpose, expects_response: true, timeout }
    }

    /// Closes a connection whose answer to a request cannot be read. Returns what is wrong with it.
    fn close_unreadable(
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

    /// Takes in what brokers have answered, and which connections came and went.
    pub(crate) fn handle_network_events(&mut self, now: Instant) {
        while let Some(event) = self.network.poll_event() {
            self.has_news = true;
            match event {
                NetworkEvent::Ready { node } => {
                    self.counters.connections_created.add(1);
                    let nodes = Nodes::new(&mut self.network);
                    self.topology.handle_ready(node, &nodes, &mut self.effects);
                }
                NetworkEvent::Disconnected { node, reason, .. } => {
                    log::debug!(%node, %reason, "disconnected");
                    // What we closed ourselves says nothing about the cluster.
                    if !reason.is_release() {
                        let mut nodes = Nodes::new(&mut self.network);
                        let effects = &mut self.effects;
                        self.topology.handle_lost_connection(node, &reason, &mut nodes, now, effects);
                    }
                }
                NetworkEvent::Written { purpose: Purpose::Produce(sent), .. } => {
                    self.handle_written(&sent, now);
                }
                NetworkEvent::Written { purpose: Purpose::Topology(question), .. } => {
                    self.topology.handle_failure(question, now);
                }
                NetworkEvent::Written { purpose: Purpose::Numbering(_), .. } => {}
                NetworkEvent::Response { node, purpose, version, body, .. } => match purpose {
                    Purpose::Topology(question) => {
                        let effects = &mut self.effects;
                        self.topology.handle_response(question, node, version, &body, now, effects);
                    }
                    Purpose::Produce(sent) => self.handle_produce(node, sent, version, &body, now),
                    Purpose::Numbering(question) => {
                        let effects = &mut self.effects;
                        self.numbering.handle_response(question, node, version, &body, now, effects);
                    }
                },
                NetworkEvent::Failed { purpose: Purpose::Topology(question), .. } => {
                    self.topology.handle_failure(question, now);
                }
                NetworkEvent::Failed { node, purpose: Purpose::Numbering(question), reason, .. } => {
                    let nodes = Nodes::new(&mut self.network);
                    self.numbering.handle_failure(question, node, &reason, &nodes, now, &mut self.effects);
                }
                NetworkEvent::Failed { purpose: Purpose::Produce(sent), reason, on_wire, .. } => {
                    self.handle_produce_failure(&sent, &reason, on_wire, now);
                }
            }
            self.act(now);
        }
    }

    /// Leaves a broker alone for as long as it wishes, but no longer than records may wait.
    ///
    /// A single answer that is damaged may wish for weeks. A broker that means it does not read until its time is over.
    fn throttle(&mut self, node: NodeId, throttle_time_ms: i32, now: Instant) {
        if let Ok(delay @ 1..) = u64::try_from(throttle_time_ms) {
            if planted!(QuotaIgnored) {
                return;
            }
            let delay = Duration::from_millis(delay).min(self.settings.delivery_timeout);
            self.network.throttle(node, delay, now);
        }
    }

    /// Makes a new view of the cluster known to the other rooms.
    fn take_in(&mut self, update: MetadataUpdate, now: Instant) {
        self.network.update_nodes(update.cluster.nodes(), now);
        // A partition whose listed node no longer leads it is listed anew below.
        self.stalled.clear();
        for id in std::mem::take(&mut self.ready).into_values().flatten() {
            if let Some(partition) = self.partition_mut(id) {
                partition.is_listed = false;
            }
        }
        for id in std::mem::take(&mut self.gathering).into_values().flatten() {
            if let Some(partition) = self.partition_mut(id) {
                partition.is_gathering = false;
            }
        }
        for topic in &update.changed_topics {
            let Some(queues) = self.accumulator.known_topic(topic) else { continue };
            for queue in queues.made() {
                if let Some(partition) = self.partition_mut(queue.id()) {
                    partition.update_leader(&update.cluster);
                }
            }
        }
        self.look_at_active(now);
        self.published = Some(update.cluster);
    }
}

/// Sending may itself fail requests, whose batches are then looked at again; but not for ever at one moment.
const MAX_PASSES: usize = 16;
