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

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::{RecordAccumulator, SealJob};
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
use crate::sender::partition::{Next, Pace, Partition};
use crate::sender::request::{Body, Purpose};
use crate::sender::schedule::Schedule;
use crate::sender::settings::SenderSettings;
use crate::sender::settlement::Settlement;
use crate::sender::timer::{Timer, Wait};
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
    schedule: Schedule,
    seal_jobs: Vec<SealJob>,
    /// A batch has waited for its compression for so long that no thread may have come for it.
    is_seal_late: bool,
    published: Option<Arc<Cluster>>,
    settlement: Settlement,
    counters: Arc<Counters>,
    numbering: Numbering,
    topology: Topology,
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

mod answers;
mod cluster_change;
mod giving_back;
mod sending;

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
        let schedule = Schedule::new(parts.settings.clone(), Arc::clone(&parts.accumulator));
        let mut core = Self {
            settings: parts.settings,
            accumulator: parts.accumulator,
            network: parts.network,
            schedule,
            seal_jobs: Vec::new(),
            is_seal_late: false,
            published: None,
            settlement,
            counters: parts.counters,
            numbering,
            effects: Effects::default(),
            topology,
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
        self.schedule.begin_pass();
        // Answers first: what they settle is not given up.
        self.handle_network_events(now);
        if self.schedule.sample_urgency() {
            self.look_at_active(now);
        }
        self.network.handle_timeout(self.read_until);
        for _ in 0..MAX_PASSES {
            self.pass(now);
            if !self.network.has_events() {
                break;
            }
        }
        let in_flight = self.network.total_in_flight();
        self.schedule.plan_next_look(in_flight > 0, now);
        self.counters.requests_in_flight.set(in_flight);
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
        self.timers(now).map(|(at, _)| at).min()
    }

    /// Returns everything that the sender waits for, and until when, as far as that is known.
    fn timers(&self, now: Instant) -> impl Iterator<Item = (Instant, Timer)> {
        let event = self.network.has_events().then_some((Wait::Until(now), Timer::NetworkEvent));
        let network = self.network.poll_timeout().map(|at| (Wait::Until(at), Timer::Network));
        let numbering = self.numbering.timeout(|| !self.is_idle(), now);
        let [metadata, starting_over] = self.topology.timeouts(now);
        [event, network, numbering, metadata, starting_over]
            .into_iter()
            .flatten()
            .chain(self.schedule.timeouts())
            .filter_map(move |(wait, timer)| Some((self.end_of(wait, now)?, timer)))
    }

    #[cfg(test)]
    pub(crate) fn leader(&self, id: usize) -> Option<i32> {
        self.schedule.partition(id)?.leader().map(|node| node.0)
    }

    /// Lists the partition of a queue as ready for a node, as if it had been looked at.
    #[cfg(test)]
    pub(crate) fn list(&mut self, node: NodeId, id: usize) {
        self.schedule.list(node, id);
    }

    #[cfg(test)]
    pub(crate) fn cluster(&self) -> &Cluster {
        self.topology.cluster()
    }

    /// Returns how many partitions are known, and how many of them are looked at when something concerns all.
    #[cfg(test)]
    pub(crate) fn partitions(&self) -> (usize, usize) {
        let (known, active, _) = self.schedule.counts();
        (known, active)
    }

    #[cfg(test)]
    pub(crate) fn partition_timers(&self) -> usize {
        self.schedule.counts().2
    }

    /// Returns whether everything accepted so far is settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.accumulator.is_complete()
    }

    /// Takes in what happened and then sends, so that nothing that became ready is left lying.
    fn pass(&mut self, now: Instant) {
        self.handle_network_events(now);
        let network = &self.network;
        let gathered = self.schedule.take_gathered(|node| network.in_flight_count(node) == 0);
        self.look_at(gathered, now);
        self.look_at_changed(now);
        self.look_at(self.schedule.due(now), now);
        self.ask_for_metadata(now);
        self.ask_for_producer_id(now);
        self.send_produce_requests(now);
        // A partition may have used up its epochs only now, and nothing else may happen for long.
        self.ask_for_producer_id(now);
    }

    fn look_at_changed(&mut self, now: Instant) {
        self.schedule.take_changed();
        while let Some(id) = self.schedule.next_changed(self.topology.cluster()) {
            self.look(id, now);
        }
    }

    fn look_at_active(&mut self, now: Instant) {
        self.look_at(self.schedule.active(), now);
    }

    fn look_at(&mut self, ids: Vec<usize>, now: Instant) {
        for id in ids {
            self.look(id, now);
        }
    }

    /// Finds out what a partition needs next, and sees to it.
    fn look(&mut self, id: usize, now: Instant) {
        let Some(partition) = self.schedule.partition_mut(id) else { return };
        let mut head = partition.queue.look();
        // An answer that was not taken in so far may be for what is too old. The timer, which is due, has the sender look again.
        let may_expire = !self.network.has_events() || planted!(UnreadAnswersDoNotCount);
        if may_expire && self.settlement.expire(partition, head, self.read_until, now) {
            head = partition.queue.look();
        }
        let pace = self.pace(id);
        let Some(looked) = self.schedule.look(id, head, pace, now) else { return };
        self.is_seal_late |= looked.is_seal_late;
        if looked.next == Next::NoLeader
            && let Some(partition) = self.schedule.partition(id)
        {
            self.topology.request_topic(&partition.queue.topic_partition().topic, now);
        }
    }

    fn pace(&self, id: usize) -> Pace {
        let leader = self.schedule.partition(id).and_then(Partition::leader);
        let is_leader_idle = leader.is_some_and(|leader| self.network.in_flight_count(leader) == 0);
        self.schedule.pace(self.numbering.numbers(), is_leader_idle, self.wall_clock)
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
            // What could go was left lying: no event will come of it.
            Wait::Node(node) if self.network.can_send(node, now) => Some(now),
            Wait::Node(node) => self.node_timeout(node, now),
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
                    for partition in self.schedule.partitions_mut() {
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
            self.schedule.note_news();
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

    fn forget_idle_topics(&mut self) {
        let topology = &self.topology;
        for partition in self.schedule.forget_topics(|topic| topology.is_tracked(topic)) {
            self.numbering.handle_forgotten(|id| partition.epoch(id));
        }
    }

    /// Makes a new view of the cluster known to the other rooms.
    fn take_in(&mut self, update: MetadataUpdate, now: Instant) {
        self.network.update_nodes(update.cluster.nodes(), now);
        self.schedule.handle_view(&update);
        self.look_at_active(now);
        self.published = Some(update.cluster);
    }
}

/// Sending may itself fail requests, whose batches are then looked at again; but not for ever at one moment.
const MAX_PASSES: usize = 16;
