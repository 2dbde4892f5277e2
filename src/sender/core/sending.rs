//! Putting requests together: which batches go to which node.

use std::time::Instant;

use super::SenderCore;
use super::counting::Departure;
use crate::accumulator::{Head, ProducerBatch, Stage, TakenHead};
use crate::network::NetworkRequest;
use crate::protocol::ApiKey;
use crate::protocol::messages::produce::ProduceRequestHead;
use crate::sender::numbering::{Numbers, ProducerId};
use crate::sender::partition::Next;
use crate::sender::request::{ProduceDraft, Purpose};
use crate::sender::settlement::WhyNotAgain;
use crate::sender::spans::RequestSpans;
use crate::topic_partition::NodeId;

impl SenderCore {
    pub(super) fn send_produce_requests(&mut self, now: Instant) {
        let mut nodes = std::mem::take(&mut self.spare.nodes);
        nodes.extend(self.schedule.ready_nodes());
        for &node in &nodes {
            let is_ready = self.network.is_ready(node, now);
            if !is_ready {
                self.connect(node, now);
            }
            self.schedule.note_obstacle(node, (!is_ready).then(|| self.obstacle(node, now)), now);
            let mut can_send = is_ready && self.network.has_room(node);
            self.schedule.note_availability(node, can_send, now);
            while can_send && self.suits_transaction(node) && self.send_produce_request(node, now) {
                can_send = self.network.can_send(node, now);
            }
        }
        self.schedule.tidy_ready();
        self.spare.nodes = emptied(nodes);
    }

    /// Says why a node takes no requests.
    fn obstacle(&self, node: NodeId, now: Instant) -> Stage {
        if self.network.is_throttled(node, now) { Stage::Throttled } else { Stage::Disconnected }
    }

    /// Sends one request with every batch that is ready for a node. Returns false if nothing more is to be done for it.
    fn send_produce_request(&mut self, node: NodeId, now: Instant) -> bool {
        let mut draft = std::mem::take(&mut self.spare.draft);
        let mut again = std::mem::take(&mut self.spare.again);
        let mut has_refused = false;
        for _ in 0..self.schedule.listed(node) {
            let Some(id) = self.schedule.first_listed(node) else { break };
            match self.draw(node, id, &mut draft, now) {
                Drawn::Full => break,
                Drawn::Passed => {}
                Drawn::Refused => has_refused = true,
            }
            again.push(id);
        }
        let is_empty = draft.is_empty();
        if !is_empty {
            self.transmit(node, &mut draft, now);
        }
        draft.clear();
        self.spare.draft = draft;
        for &id in &again {
            self.look(id, now);
        }
        self.spare.again = emptied(again);
        // What was not ready a moment ago may be by now: a record that came is awaited, too.
        !is_empty || has_refused || self.schedule.listed(node) > 0
    }

    /// Takes the head of the partition that is listed first into the request.
    fn draw(&mut self, node: NodeId, id: usize, draft: &mut ProduceDraft, now: Instant) -> Drawn {
        let pace = self.pace(id, now);
        let partition = self.schedule.partition(id);
        let head = partition.and_then(|partition| partition.queue.look());
        let is_ready =
            partition.is_some_and(|partition| partition.next(head, pace, now) == Next::Ready(node));
        let max_request_size = self.settings.max_request_size;
        if is_ready && head.is_some_and(|head| !draft.has_room(head.len, max_request_size)) {
            return Drawn::Full;
        }
        self.schedule.unlist_first(node);
        if !is_ready {
            return Drawn::Passed;
        }
        if let (Numbers::With(producer), Some(head)) = (pace.numbers, head) {
            match self.prepare_numbers(id, head, producer, now) {
                Prepared::Ready => {}
                Prepared::GaveUp if self.is_head(id, head) => {}
                // What is behind it has not been looked at.
                Prepared::GaveUp => return Drawn::Refused,
                Prepared::NeedsEpoch => {
                    self.note_lost_sequence(id);
                    return Drawn::Passed;
                }
            }
        }
        let Some(partition) = self.schedule.partition_mut(id) else { return Drawn::Passed };
        match partition.queue.take_head() {
            TakenHead::Nothing => {}
            TakenHead::Seal(job) => self.outbox.seal(job),
            TakenHead::Batch(batch) => {
                return self.take_into(draft, node, id, batch, pace.numbers, now);
            }
        }
        Drawn::Passed
    }

    /// Puts a batch into the request, unless the settlement refuses and fails it.
    fn take_into(
        &mut self,
        draft: &mut ProduceDraft,
        node: NodeId,
        id: usize,
        batch: Box<ProducerBatch>,
        numbers: Numbers,
        now: Instant,
    ) -> Drawn {
        let Some(partition) = self.schedule.partition_mut(id) else { return Drawn::Passed };
        let version = || self.network.version_for(node, ApiKey::Produce);
        let Some(batch) = self.settlement.admit(partition, batch, numbers, version, now) else {
            return Drawn::Refused;
        };
        let departure = Departure::new(&batch, now);
        let (sent, bytes, plain_len) = partition.send(batch, node, numbers, now);
        departure.count(bytes.len(), plain_len, &partition.queue, &self.counters);
        draft.push(sent, bytes);
        Drawn::Passed
    }

    /// Makes sure that the head of a partition can get a number.
    fn prepare_numbers(&mut self, id: usize, head: Head, producer: ProducerId, now: Instant) -> Prepared {
        let numbering = &mut self.numbering;
        let Some(partition) = self.schedule.partition_mut(id) else { return Prepared::Ready };
        let mut doubtful = Vec::new();
        let next_epoch = |used| numbering.next_epoch(used);
        let can_be_numbered = partition.prepare_numbers(head, producer, next_epoch, &mut doubtful);
        let gave_up = !doubtful.is_empty();
        if gave_up {
            self.settlement.give_up_sent(partition, doubtful, WhyNotAgain::NumberLost, now);
        }
        match (can_be_numbered, gave_up) {
            (false, _) => Prepared::NeedsEpoch,
            (true, true) => Prepared::GaveUp,
            (true, false) => Prepared::Ready,
        }
    }

    /// Whether a batch is still at the head of its queue.
    fn is_head(&mut self, id: usize, head: Head) -> bool {
        let now = self.schedule.partition_mut(id).and_then(|partition| partition.queue.look());
        now.is_some_and(|now| now.order == head.order)
    }

    fn transmit(&mut self, node: NodeId, draft: &mut ProduceDraft, now: Instant) {
        draft.group();
        let timeout_ms = i32::try_from(self.settings.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let transactional_id = self.settings.transactional.as_ref().map(|settings| &*settings.id);
        let head = ProduceRequestHead { transactional_id, acks: self.settings.acks, timeout_ms };
        let max_version =
            self.transactions.as_mut().map_or(i16::MAX, |transactions| transactions.note_sent(now));
        let mut sent = draft.sent();
        if RequestSpans::may_be_wanted() {
            sent.begin_spans(&self.settings.client_id, self.topology.cluster().node(node));
        }
        let request = NetworkRequest {
            node,
            api_key: ApiKey::Produce,
            purpose: Purpose::Settlement(sent),
            expects_response: self.settings.acks != 0,
            timeout: self.settings.request_timeout,
            max_version,
        };
        self.network.send(request, now, |version, out| draft.encode(head, version, out));
        self.count_produce_request(node, draft.bytes());
    }
}

/// What requests are put together in, kept from one to the next. Empty in between.
#[derive(Debug, Default)]
pub(super) struct Spare {
    nodes: Vec<NodeId>,
    draft: ProduceDraft,
    /// The partitions that were drawn into a request, to be looked at again.
    again: Vec<usize>,
}

/// Keeps the memory of a list, unless it is large.
fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    list.shrink_to(MOST_KEPT);
    list
}

/// Elements that a list keeps memory for.
const MOST_KEPT: usize = 256;

/// What came of drawing the head of a partition into a request.
enum Drawn {
    /// The request has no room for it. The partition is still listed.
    Full,
    /// It is in the request, or cannot go now.
    Passed,
    /// It was failed rather than put in.
    Refused,
}

/// What came of making sure that a head can get a number.
enum Prepared {
    /// It can, but others were given up, and it may have been among them.
    GaveUp,
    /// It cannot before there is another epoch, or producer id.
    NeedsEpoch,
    /// It can.
    Ready,
}
