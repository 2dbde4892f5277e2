//! `SenderCore`: every decision of the sender, without sockets, clocks or tasks.
//!
//! It is driven by `handle_*` (what happened), `poll` (do what is due) and `poll_action` (what the shell must do);
//! `poll_timeout` says when to call again.
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

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::accumulator::{
    PartitionQueue, ProducerBatch, RecordAccumulator, SealJob, Stage, TakenHead, split,
};
use crate::delivery::AckObserver;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::metadata::{Cluster, LeaderHint, Metadata, MetadataFailure, MetadataUpdate};
use crate::metrics::Counters;
use crate::network::{FailureReason, NetworkAction, NetworkClient, NetworkEvent, NetworkRequest};
use crate::protocol::ApiKey;
use crate::protocol::ErrorCode;
use crate::protocol::messages::metadata::MetadataResponse;
use crate::protocol::messages::produce::{PartitionProduceResponse, ProduceRequestHead, ProduceResponse};
use crate::sender::partition::{Next, Numbering, Pace, Partition};
use crate::sender::request::{ProduceDraft, ProduceSent, Purpose, SentBatch};
use crate::sender::retry::{Fate, Verdict};
use crate::sender::settings::SenderSettings;
use crate::topic_partition::{NodeId, Topic};
use crate::wire::Reader;

/// The deciding half of the sender.
#[derive(Debug)]
pub(crate) struct SenderCore {
    settings: SenderSettings,
    accumulator: Arc<RecordAccumulator>,
    metadata: Metadata,
    network: NetworkClient<Purpose>,
    /// By the id of the queue; empty places are partitions that never had records.
    partitions: Vec<Option<Partition>>,
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
    seal_jobs: Vec<SealJob>,
    published: Option<Arc<Cluster>>,
    observer: Option<Arc<dyn AckObserver>>,
    counters: Arc<Counters>,
    random: StdRng,
    producer_id: ProducerIdState,
    /// The origin of the seconds in which topics note their use.
    epoch: Instant,
}

/// What the shell must do.
#[derive(Debug)]
pub(crate) enum Action {
    Network(NetworkAction),
    /// Show callers a new view of the cluster.
    Publish(Arc<Cluster>),
    /// Compress a batch, away from the sender's task.
    Seal(SealJob),
}

mod producer_id;

use self::producer_id::ProducerIdState;

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
        let is_idempotent = parts.settings.is_idempotent;
        let mut core = Self {
            settings: parts.settings,
            accumulator: parts.accumulator,
            metadata: parts.metadata,
            network: parts.network,
            partitions: Vec::new(),
            timers: BTreeSet::new(),
            ready: BTreeMap::new(),
            changed: Vec::new(),
            is_urgent: false,
            stalled: BTreeMap::new(),
            seal_jobs: Vec::new(),
            published: None,
            observer: parts.observer,
            counters: parts.counters,
            random: StdRng::seed_from_u64(parts.seed),
            producer_id: ProducerIdState::new(is_idempotent),
            epoch: parts.epoch,
        };
        let cluster = Arc::clone(core.metadata.cluster());
        core.network.update_nodes(cluster.nodes(), core.epoch);
        core
    }

    /// Gives the network room access to what the shell has to report.
    pub(crate) fn network(&mut self) -> &mut NetworkClient<Purpose> {
        &mut self.network
    }

    /// Somebody waits for the metadata of a topic.
    pub(crate) fn handle_topic_wanted(&mut self, topic: &Topic, now: Instant) {
        self.metadata.request_topic(topic, now);
    }

    /// Does everything that is due. To be called after every `handle_*` and at `poll_timeout`.
    pub(crate) fn poll(&mut self, now: Instant) {
        self.sample_urgency(now);
        self.network.handle_timeout(now);
        for _ in 0..MAX_PASSES {
            self.pass(now);
            if !self.network.has_events() {
                break;
            }
        }
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
        let action = self.network.poll_action()?;
        if matches!(action, NetworkAction::Transmit { .. }) {
            self.counters.requests_sent.add(1);
        }
        Some(Action::Network(action))
    }

    /// Returns when to call [`SenderCore::poll`] again if nothing happens before.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.network.has_events() {
            return Some(now);
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        let blocked = self.ready.keys().filter_map(|node| self.node_timeout(*node, now));
        [timer, self.network.poll_timeout(), self.metadata_timeout(now), self.producer_id_timeout(now)]
            .into_iter()
            .flatten()
            .chain(blocked)
            .min()
    }

    #[cfg(test)]
    pub(crate) fn leader(&self, id: usize) -> Option<i32> {
        self.partitions.get(id)?.as_ref()?.leader.map(|node| node.0)
    }

    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Returns whether everything accepted so far is settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.accumulator.is_complete()
    }

    /// Refuses further records and fails everything that is not settled. Returns how many records that were.
    pub(crate) fn abort(&mut self, kind: &DeliveryErrorKind, now: Instant) -> u64 {
        self.accumulator.close();
        let mut failed = 0;
        let in_flight =
            self.partitions.iter_mut().flatten().flat_map(|partition| partition.in_flight.drain(..));
        let mut batches: Vec<_> = in_flight.collect();
        for topic in self.accumulator.topics() {
            for queue in topic.iter() {
                batches.extend(queue.close());
            }
        }
        for batch in batches {
            failed += u64::from(batch.record_count());
            self.fail(batch, kind.clone(), Vec::new(), now, true);
        }
        failed
    }

    /// Takes in what happened and then sends, so that nothing that became ready is left lying.
    fn pass(&mut self, now: Instant) {
        self.handle_network_events(now);
        self.look_at_changed(now);
        self.look_at_timers(now);
        self.send_metadata_request(now);
        self.send_producer_id_request(now);
        self.send_produce_requests(now);
    }

    fn look_at_changed(&mut self, now: Instant) {
        let mut changed = std::mem::take(&mut self.changed);
        self.accumulator.take_changed(&mut changed);
        for queue in changed.drain(..) {
            let id = queue.id();
            self.ensure_partition(queue);
            self.look(id, now);
        }
        self.changed = changed;
    }

    /// Takes note of whether batches may linger. One sample serves a whole pass: a partition that is looked at while
    /// nothing is urgent may wait, and must be looked at again when something is.
    fn sample_urgency(&mut self, now: Instant) {
        let is_urgent = self.accumulator.is_urgent();
        let was_urgent = std::mem::replace(&mut self.is_urgent, is_urgent);
        if is_urgent && !was_urgent {
            self.look_at_all(now);
        }
    }

    fn look_at_timers(&mut self, now: Instant) {
        let due: Vec<_> = self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        for id in due {
            self.look(id, now);
        }
    }

    fn look_at_all(&mut self, now: Instant) {
        for id in 0..self.partitions.len() {
            self.look(id, now);
        }
    }

    fn ensure_partition(&mut self, queue: Arc<PartitionQueue>) {
        let id = queue.id();
        if self.partitions.len() <= id {
            self.partitions.resize_with(id + 1, || None);
        }
        if let Some(place @ None) = self.partitions.get_mut(id) {
            let mut partition = Partition::new(queue);
            partition.update_leader(self.metadata.cluster());
            *place = Some(partition);
        }
    }

    fn partition_mut(&mut self, id: usize) -> Option<&mut Partition> {
        self.partitions.get_mut(id).and_then(Option::as_mut)
    }

    /// Finds out what a partition needs next, and sees to it.
    fn look(&mut self, id: usize, now: Instant) {
        self.expire(id, now);
        let pace = self.pace();
        let delivery_timeout = self.settings.delivery_timeout;
        let Some(partition) = self.partition_mut(id) else { return };
        let head = partition.queue.look();
        let next = partition.next(head, pace, now);
        let stage = match next {
            Next::Backoff(_) => Stage::Backoff,
            Next::Linger(_) => Stage::Linger,
            Next::NoLeader => Stage::NoLeader,
            Next::Blocked | Next::Idle | Next::Ready(_) => Stage::Queued,
        };
        if head.is_some() {
            partition.queue.enter_stage(stage, now);
        }
        let oldest_in_flight = partition.in_flight.front().map(|batch| batch.created);
        let oldest = [head.map(|head| head.created), oldest_in_flight].into_iter().flatten().min();
        let expiry = oldest.and_then(|created| created.checked_add(delivery_timeout));
        let wait = match next {
            Next::Backoff(until) | Next::Linger(until) => Some(until),
            Next::Blocked | Next::Idle | Next::NoLeader | Next::Ready(_) => None,
        };
        match next {
            Next::NoLeader => {
                let topic = partition.queue.topic_partition().topic.clone();
                self.metadata.request_topic(&topic, now);
            }
            Next::Ready(node) if !partition.is_listed => {
                partition.is_listed = true;
                self.ready.entry(node).or_default().push_back(id);
            }
            _ => {}
        }
        self.arm(id, [expiry, wait].into_iter().flatten().min());
    }

    fn pace(&self) -> Pace {
        Pace {
            linger: self.settings.linger,
            max_outstanding: self.settings.max_outstanding_per_partition,
            numbering: self.producer_id.numbering(),
            is_urgent: self.is_urgent,
        }
    }

    /// Sets when to look at a partition again, in place of the time before.
    fn arm(&mut self, id: usize, at: Option<Instant>) {
        let Some(partition) = self.partition_mut(id) else { return };
        let before = std::mem::replace(&mut partition.timer, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.timers.remove(&(before, id));
        }
        if let Some(at) = at {
            self.timers.insert((at, id));
        }
    }

    fn expire(&mut self, id: usize, now: Instant) {
        let timeout = self.settings.delivery_timeout;
        let Some(partition) = self.partition_mut(id) else { return };
        let leader_known = partition.leader.is_some();
        let mut expired = partition.expire_in_flight(now, timeout);
        expired.extend(partition.queue.expire(now, timeout));
        for mut batch in expired {
            let spent = batch.time_spent(now, leader_known);
            self.note_failure(id, &batch);
            self.fail(batch, DeliveryErrorKind::TimedOut(Box::new(spent)), Vec::new(), now, leader_known);
        }
    }

    /// Returns when a node that batches wait for is worth another look.
    fn node_timeout(&self, node: NodeId, now: Instant) -> Option<Instant> {
        let delay = self.network.ready_delay(node, now).filter(|delay| !delay.is_zero())?;
        now.checked_add(delay)
    }

    fn metadata_timeout(&self, now: Instant) -> Option<Instant> {
        if self.metadata.is_due(now) {
            // Due and not sent: a node must become usable first.
            return self.any_node_timeout(now);
        }
        self.metadata.poll_timeout(now)
    }

    /// Returns when the first of all nodes that are of no use now is worth another look.
    fn any_node_timeout(&self, now: Instant) -> Option<Instant> {
        let nodes = self.metadata.cluster().nodes();
        nodes.iter().filter_map(|node| self.node_timeout(node.id(), now)).min()
    }

    fn send_metadata_request(&mut self, now: Instant) {
        // Looking at every node is for the rare moments when a request is due.
        let has_usable_node =
            !self.metadata.is_due(now) || self.network.least_loaded_node(now).has_usable_node();
        if self.metadata.should_rebootstrap(has_usable_node, now) {
            self.rebootstrap(now);
        }
        if !self.metadata.is_due(now) {
            return;
        }
        let Some(node) = self.network.least_loaded_node(now).node else { return };
        if !self.network.can_send(node, now) {
            self.network.connect(node, now);
            return;
        }
        self.note_topics_in_use(now);
        let Some((id, request)) = self.metadata.next_request(now) else { return };
        self.counters.metadata_requests_sent.add(1);
        let timeout = self.settings.request_timeout;
        let request_for_network = NetworkRequest {
            node,
            api_key: ApiKey::Metadata,
            purpose: Purpose::Metadata(id),
            expects_response: true,
            timeout,
        };
        self.network.send(request_for_network, now, |version, out| request.encode(out, version));
    }

    fn note_topics_in_use(&mut self, now: Instant) {
        for topic in self.accumulator.topics() {
            let used = self.epoch + Duration::from_secs(topic.last_used());
            if now.saturating_duration_since(used) < self.settings.metadata_max_idle {
                self.metadata.add_topic(topic.topic(), used);
            }
        }
    }

    fn send_produce_requests(&mut self, now: Instant) {
        let nodes: Vec<_> = self.ready.keys().copied().collect();
        for node in nodes {
            if !self.network.is_ready(node, now) {
                self.network.connect(node, now);
            }
            self.note_availability(node, now);
            while self.network.can_send(node, now) && self.send_produce_request(node, now) {}
        }
        self.ready.retain(|_, listed| !listed.is_empty());
    }

    /// Marks the partitions that wait for a node as not to be chosen while it takes nothing for too long (P10).
    fn note_availability(&mut self, node: NodeId, now: Instant) {
        let Some(timeout) = self.settings.availability_timeout else { return };
        let is_available = if self.network.can_send(node, now) {
            self.stalled.remove(&node);
            true
        } else {
            let since = *self.stalled.entry(node).or_insert(now);
            now.saturating_duration_since(since) <= timeout
        };
        for id in self.ready.get(&node).into_iter().flatten() {
            if let Some(Some(partition)) = self.partitions.get(*id) {
                partition.queue.set_available(is_available);
            }
        }
    }

    /// Sends one request with every batch that is ready for a node. Returns false if there was none.
    fn send_produce_request(&mut self, node: NodeId, now: Instant) -> bool {
        let mut draft = ProduceDraft::default();
        let mut again = Vec::new();
        let listed = self.ready.get(&node).map_or(0, VecDeque::len);
        for _ in 0..listed {
            let Some(id) = self.ready.get_mut(&node).and_then(VecDeque::pop_front) else { break };
            if !self.draw(node, id, &mut draft, now) {
                self.ready.entry(node).or_default().push_front(id);
                break;
            }
            again.push(id);
        }
        let is_empty = draft.is_empty();
        if !is_empty {
            self.transmit(node, draft, now);
        }
        for id in again {
            self.look(id, now);
        }
        !is_empty
    }

    /// Takes the head of a listed partition into the request. Returns false if the request is too full for it.
    fn draw(&mut self, node: NodeId, id: usize, draft: &mut ProduceDraft, now: Instant) -> bool {
        let pace = self.pace();
        let max_request_size = self.settings.max_request_size;
        let Some(partition) = self.partition_mut(id) else { return true };
        let head = partition.queue.look();
        let is_ready = partition.next(head, pace, now) == Next::Ready(node);
        if is_ready && head.is_some_and(|head| !draft.has_room(head.len, max_request_size)) {
            return false;
        }
        partition.is_listed = false;
        if !is_ready {
            return true;
        }
        if let (Numbering::With(producer), Some(head)) = (pace.numbering, head)
            && !partition.prepare_numbers(head, producer)
        {
            // All its epochs are used up; partitions that still have some go on meanwhile.
            self.producer_id = ProducerIdState::WANTED;
            return true;
        }
        match partition.queue.take_head() {
            TakenHead::Nothing => {}
            TakenHead::Seal(job) => self.seal_jobs.push(job),
            TakenHead::Batch(mut batch) => {
                if let Numbering::With(producer) = pace.numbering
                    && !batch.is_numbered()
                {
                    batch.set_identity(partition.sequence.assign(producer, batch.record_count()));
                }
                let bytes = batch.freeze();
                let sent = SentBatch {
                    queue_id: id,
                    batch_id: batch.id,
                    topic_partition: batch.topic_partition().clone(),
                    topic_id: partition.topic_id(),
                    was_maybe_written: batch.maybe_written,
                    is_answered: false,
                };
                batch.attempts += 1;
                batch.maybe_written = true;
                batch.sent_leader_epoch = partition.leader_epoch;
                batch.clock.enter(Stage::InFlight, now);
                partition.retry_at = None;
                partition.outstanding += 1;
                partition.in_flight_node = Some(node);
                partition.in_flight.push_back(*batch);
                draft.push(sent, bytes);
            }
        }
        true
    }

    fn transmit(&mut self, node: NodeId, mut draft: ProduceDraft, now: Instant) {
        draft.group();
        self.counters.produce_requests_sent.add(1);
        self.counters.bytes_sent.add(draft.bytes() as u64);
        let timeout_ms = i32::try_from(self.settings.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let head = ProduceRequestHead { transactional_id: None, acks: self.settings.acks, timeout_ms };
        let sent = draft.sent();
        let request = NetworkRequest {
            node,
            api_key: ApiKey::Produce,
            purpose: Purpose::Produce(sent),
            expects_response: self.settings.acks != 0,
            timeout: self.settings.request_timeout,
        };
        self.network.send(request, now, |version, out| draft.encode(head, version, out));
    }

    fn handle_network_events(&mut self, now: Instant) {
        while let Some(event) = self.network.poll_event() {
            match event {
                NetworkEvent::Ready { .. } => self.counters.connections_created.add(1),
                NetworkEvent::Disconnected { node, reason, .. } => {
                    tracing::debug!(%node, %reason, "disconnected");
                    // What we closed ourselves says nothing about the cluster.
                    if !reason.is_release() {
                        self.metadata.handle_disconnect(now);
                    }
                }
                NetworkEvent::Written { purpose: Purpose::Produce(sent), .. } => {
                    self.handle_unanswerable(sent, now);
                }
                NetworkEvent::Written { purpose: Purpose::Metadata(id), .. } => {
                    self.metadata.handle_failure(id, now);
                }
                NetworkEvent::Written { purpose: Purpose::ProducerId, .. } => {}
                NetworkEvent::Response { node, purpose, version, body, .. } => match purpose {
                    Purpose::Metadata(id) => self.handle_metadata(node, id, version, &body, now),
                    Purpose::Produce(sent) => self.handle_produce(node, sent, version, &body, now),
                    Purpose::ProducerId => self.handle_producer_id(node, version, &body, now),
                },
                NetworkEvent::Failed { purpose: Purpose::Metadata(id), .. } => {
                    self.metadata.handle_failure(id, now);
                }
                NetworkEvent::Failed { purpose: Purpose::ProducerId, reason, .. } => {
                    self.handle_producer_id_failure(&reason, now);
                }
                NetworkEvent::Failed { purpose: Purpose::Produce(sent), reason, on_wire, .. } => {
                    self.handle_produce_failure(sent, &reason, on_wire, now);
                }
            }
        }
    }

    fn handle_metadata(
        &mut self,
        node: NodeId,
        id: crate::metadata::MetadataRequestId,
        version: i16,
        body: &[u8],
        now: Instant,
    ) {
        let Ok(response) = MetadataResponse::decode(&mut Reader::new(body), version) else {
            tracing::warn!(%node, version, "metadata answer cannot be read; closing the connection");
            self.metadata.handle_failure(id, now);
            self.network.close(node, now);
            return;
        };
        if version >= 6 {
            self.throttle(node, response.throttle_time_ms, now);
        }
        self.note_topics_in_use(now);
        match self.metadata.handle_response(id, &response, version, now) {
            Ok(update) => self.take_in(update, now),
            Err(MetadataFailure::RebootstrapRequired) => self.rebootstrap(now),
            Err(failure) => tracing::debug!(%node, %failure, "no metadata"),
        }
    }

    fn throttle(&mut self, node: NodeId, throttle_time_ms: i32, now: Instant) {
        if let Ok(delay @ 1..) = u64::try_from(throttle_time_ms) {
            self.network.throttle(node, Duration::from_millis(delay), now);
        }
    }

    fn rebootstrap(&mut self, now: Instant) {
        tracing::info!("starting over from bootstrap.servers");
        let update = self.metadata.rebootstrap(now);
        self.network.disconnect_all(now);
        self.take_in(update, now);
    }

    /// Makes a new view of the cluster known to the other rooms.
    fn take_in(&mut self, update: MetadataUpdate, now: Instant) {
        self.network.update_nodes(update.cluster.nodes(), now);
        // Whoever was listed for a node that leads no longer is listed anew below.
        self.ready.clear();
        self.stalled.clear();
        for partition in self.partitions.iter_mut().flatten() {
            partition.is_listed = false;
            partition.update_leader(&update.cluster);
        }
        self.look_at_all(now);
        self.published = Some(update.cluster);
    }

    fn handle_produce(
        &mut self,
        node: NodeId,
        mut sent: ProduceSent,
        version: i16,
        body: &[u8],
        now: Instant,
    ) {
        let Ok(mut response) = ProduceResponse::decode(&mut Reader::new(body), version) else {
            tracing::warn!(%node, version, "produce answer cannot be read; closing the connection");
            self.network.close(node, now);
            self.resend_or_fail(sent, "the answer cannot be read", true, now);
            return;
        };
        if version >= 6 {
            self.throttle(node, response.throttle_time_ms, now);
        }
        let endpoints = std::mem::take(&mut response.node_endpoints);
        let mut hints = Vec::new();
        for (sent, answer) in sent.match_answers(response) {
            hints.extend(leader_hint(node, &sent, &answer));
            self.settle(&sent, answer, now);
        }
        if sent.batches.iter().any(|sent| !sent.is_answered) {
            tracing::warn!(%node, "produce answer leaves batches out; closing the connection");
            sent.batches.retain(|sent| !sent.is_answered);
            self.network.close(node, now);
            self.resend_or_fail(sent, "the answer cannot be read", true, now);
        }
        if let Some(update) = self.metadata.update_leaders(&hints, &endpoints) {
            self.take_in(update, now);
        }
    }

    /// Acts on the answer for one batch (Java: `Sender.completeBatch`).
    fn settle(&mut self, sent: &SentBatch, answer: PartitionProduceResponse, now: Instant) {
        let Some(mut batch) = self.take_in_flight(sent) else {
            self.look(sent.queue_id, now);
            return;
        };
        let code = ErrorCode::from(answer.error_code);
        match Verdict::of(code, batch.is_numbered()) {
            Verdict::Delivered => {
                if let Some(partition) = self.partition_mut(sent.queue_id) {
                    partition.sequence.acknowledge(batch.identity());
                }
                let base_offset = (answer.base_offset >= 0).then_some(answer.base_offset);
                let append_time = (answer.log_append_time_ms >= 0).then_some(answer.log_append_time_ms);
                self.deliver(batch, base_offset, append_time);
            }
            Verdict::OutOfOrder => self.handle_out_of_order(sent, batch, code, answer.error_message, now),
            Verdict::TooLarge => {
                batch.maybe_written = sent.was_maybe_written;
                batch.last_error = Some(code);
                self.split(sent, batch, answer.error_message, now);
            }
            Verdict::Retriable { fate, refresh_metadata } => {
                batch.maybe_written = sent.was_maybe_written || fate == Fate::Maybe;
                batch.last_error = Some(code);
                if refresh_metadata {
                    self.metadata.request_update();
                }
                let kind = DeliveryErrorKind::Broker { code, message: answer.error_message };
                self.retry_or_fail(sent, batch, kind, now);
            }
            Verdict::Refused(fate) => {
                batch.maybe_written = sent.was_maybe_written || fate == Fate::Maybe;
                batch.last_error = Some(code);
                let culprits = answer
                    .record_errors
                    .into_iter()
                    .filter_map(|error| Some((u32::try_from(error.batch_index).ok()?, error.message)));
                let kind = DeliveryErrorKind::Broker { code, message: answer.error_message };
                let culprits = culprits.collect();
                self.note_failure(sent.queue_id, &batch);
                self.fail(batch, kind, culprits, now, true);
            }
        }
        self.look(sent.queue_id, now);
    }

    /// A request with `acks=0` is written; that is all that will ever be known of it.
    fn handle_unanswerable(&mut self, sent: ProduceSent, now: Instant) {
        for sent in sent.batches {
            if let Some(batch) = self.take_in_flight(&sent) {
                self.deliver(batch, None, None);
            }
            self.look(sent.queue_id, now);
        }
    }

    fn handle_produce_failure(
        &mut self,
        sent: ProduceSent,
        reason: &FailureReason,
        on_wire: bool,
        now: Instant,
    ) {
        match reason {
            FailureReason::UnsupportedVersion(_) => {
                for sent in sent.batches {
                    if let Some(mut batch) = self.take_in_flight(&sent) {
                        batch.maybe_written = sent.was_maybe_written;
                        self.note_failure(sent.queue_id, &batch);
                        self.fail(batch, DeliveryErrorKind::UnsupportedVersion, Vec::new(), now, true);
                    }
                    self.look(sent.queue_id, now);
                }
            }
            FailureReason::Disconnected(reason) => {
                self.resend_or_fail(sent, &reason.to_string(), on_wire, now);
            }
            reason => self.resend_or_fail(sent, &reason.to_string(), on_wire, now),
        }
    }

    /// A request came to nothing without an answer for these batches.
    fn resend_or_fail(&mut self, sent: ProduceSent, reason: &str, on_wire: bool, now: Instant) {
        self.metadata.request_update();
        for sent in sent.batches {
            if let Some(mut batch) = self.take_in_flight(&sent) {
                batch.maybe_written = sent.was_maybe_written || on_wire;
                let kind = DeliveryErrorKind::Disconnected(reason.to_owned());
                self.retry_or_fail(&sent, batch, kind, now);
            }
            self.look(sent.queue_id, now);
        }
    }

    /// The broker waits for another sequence number: older batches come first, or it has forgotten the producer.
    fn handle_out_of_order(
        &mut self,
        sent: &SentBatch,
        mut batch: ProducerBatch,
        code: ErrorCode,
        message: Option<String>,
        now: Instant,
    ) {
        // A broker that has the batch says so (duplicate) rather than this; of an older epoch it says nothing.
        batch.maybe_written = sent.was_maybe_written && code == ErrorCode::InvalidProducerEpoch;
        batch.last_error = Some(code);
        let order = batch.order;
        self.retry_or_fail(sent, batch, DeliveryErrorKind::Broker { code, message }, now);
        if let Some(partition) = self.partition_mut(sent.queue_id) {
            partition.note_out_of_order(order);
        }
    }

    fn take_in_flight(&mut self, sent: &SentBatch) -> Option<ProducerBatch> {
        let partition = self.partition_mut(sent.queue_id)?;
        partition.outstanding = partition.outstanding.saturating_sub(1);
        partition.take_in_flight(sent.batch_id)
    }

    fn retry_or_fail(
        &mut self,
        sent: &SentBatch,
        mut batch: ProducerBatch,
        kind: DeliveryErrorKind,
        now: Instant,
    ) {
        if batch.attempts > self.settings.retries {
            self.note_failure(sent.queue_id, &batch);
            self.fail(batch, kind, Vec::new(), now, true);
            return;
        }
        tracing::debug!(
            partition = %sent.topic_partition, attempts = batch.attempts, reason = %kind, "sending a batch again"
        );
        self.counters.record_retries.add(u64::from(batch.record_count()));
        let delay = self.settings.retry_backoff.delay(batch.attempts - 1, self.random.random());
        batch.clock.enter(Stage::Backoff, now);
        if let Some(partition) = self.partition_mut(sent.queue_id) {
            partition.retry_at = now.checked_add(delay);
            partition.queue.put_back(std::iter::once(batch));
        }
    }

    fn split(&mut self, sent: &SentBatch, batch: ProducerBatch, message: Option<String>, now: Instant) {
        let Some(partition) = self.partition_mut(sent.queue_id) else { return };
        let queue = Arc::clone(&partition.queue);
        match split(batch, &queue, self.accumulator.settings(), now) {
            Ok(pieces) => {
                tracing::debug!(partition = %sent.topic_partition, pieces, "split a batch that is too large");
                self.counters.batch_splits.add(1);
            }
            Err(batch) => {
                let kind = DeliveryErrorKind::Broker { code: ErrorCode::MessageTooLarge, message };
                self.note_failure(sent.queue_id, &batch);
                self.fail(*batch, kind, Vec::new(), now, true);
            }
        }
    }

    fn note_failure(&mut self, queue_id: usize, batch: &ProducerBatch) {
        if let Some(partition) = self.partition_mut(queue_id) {
            partition.note_failure(batch);
        }
    }

    fn deliver(&mut self, batch: ProducerBatch, base_offset: Option<i64>, append_time: Option<i64>) {
        self.counters.batches_completed.add(1);
        self.counters.records_delivered.add(u64::from(batch.record_count()));
        batch.deliver(base_offset, append_time, self.observer.as_deref());
    }

    fn fail(
        &mut self,
        mut batch: ProducerBatch,
        kind: DeliveryErrorKind,
        record_errors: Vec<(u32, Option<String>)>,
        now: Instant,
        leader_known: bool,
    ) {
        self.counters.batches_completed.add(1);
        self.counters.record_errors.add(u64::from(batch.record_count()));
        let persisted = if batch.maybe_written { Persisted::Maybe } else { Persisted::No };
        batch.time_spent(now, leader_known);
        tracing::warn!(
            partition = %batch.topic_partition(), records = batch.record_count(), reason = %kind, ?persisted,
            "records failed"
        );
        batch.fail(kind, persisted, record_errors, self.observer.as_deref());
    }
}

/// Sending may itself fail requests, whose batches are then looked at again; but not for ever at one moment.
const MAX_PASSES: usize = 16;

/// Reads who leads the partition now, if the broker knows better than to name itself.
///
/// A broker that refuses and names itself would make us try it again at once, for ever.
fn leader_hint(node: NodeId, sent: &SentBatch, answer: &PartitionProduceResponse) -> Option<LeaderHint> {
    let is_hint = matches!(
        ErrorCode::from(answer.error_code),
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    );
    let leader = NodeId(answer.current_leader_id);
    (is_hint && leader != node && leader.0 >= 0 && answer.current_leader_epoch >= 0).then(|| LeaderHint {
        topic: sent.topic().clone(),
        partition: sent.topic_partition.partition,
        leader,
        leader_epoch: answer.current_leader_epoch,
    })
}
