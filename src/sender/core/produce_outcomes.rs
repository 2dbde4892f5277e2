//! What comes of produce requests: answers are matched with their batches, and each goes to the settlement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SenderCore;
use crate::error::{BrokerFailure, ConnectionStep, DeliveryErrorKind, SharedError, Spent};
use crate::metadata::Node;
use crate::network::FailureReason;
use crate::protocol::ApiKey;
use crate::protocol::messages::produce::PartitionProduceResponse;
use crate::sender::line::News;
use crate::sender::partition::Partition;
use crate::sender::request::{ProduceSent, RequestOutcome, SentBatch};
use crate::sender::settlement::{LeaderNews, Settlement, leader_hint};
use crate::sender::throttling;
use crate::topic_partition::NodeId;

impl SenderCore {
    /// Takes in what has become of a produce request.
    pub(super) fn handle_produce(
        &mut self,
        node: NodeId,
        sent: ProduceSent,
        outcome: RequestOutcome,
        now: Instant,
    ) {
        if let (Some(spans), RequestOutcome::Failed { reason, .. }) = (sent.spans(), &outcome) {
            spans.unanswered(reason);
        }
        match outcome {
            RequestOutcome::Answered { version, body } => {
                if let Some(transactions) = &mut self.transactions {
                    transactions.note_answered(now);
                }
                self.handle_produce_answer(node, sent, version, &body, now);
            }
            RequestOutcome::Failed { reason: FailureReason::UnsupportedVersion(_), .. } => {
                self.settle_each(&sent, now, |settlement, partition, sent| {
                    settlement.handle_unsupported_version(partition, sent, now);
                });
            }
            RequestOutcome::Failed { reason: FailureReason::Disconnected(reason), on_wire } => {
                let failure = failure(reason.words(), reason.shared_source());
                self.handle_loss(&sent, node, failure, on_wire, now);
            }
            RequestOutcome::Failed { reason: FailureReason::TimedOut, on_wire } => {
                let timeout = Spent(self.settings.request_timeout);
                let text = format!("request unanswered for {timeout} (request.timeout.ms)");
                self.handle_loss(&sent, node, failure(text, None), on_wire, now);
            }
            RequestOutcome::Failed { reason, on_wire } => {
                self.handle_loss(&sent, node, failure(reason.to_string(), None), on_wire, now);
            }
            // With `acks=0` there will be no answer.
            RequestOutcome::Written => self.settle_each(&sent, now, |settlement, partition, sent| {
                settlement.handle_written(partition, sent, now);
            }),
        }
    }

    fn handle_produce_answer(
        &mut self,
        node: NodeId,
        sent: ProduceSent,
        version: i16,
        body: &[u8],
        now: Instant,
    ) {
        let answered = match sent.read(version, body) {
            Ok(answered) => answered,
            Err((sent, error)) => {
                self.close_unreadable(node, ApiKey::Produce, version, &error, now);
                let problem = format!("its answer to Produce version {version} cannot be read: {error}");
                self.handle_loss(&sent, node, failure(problem, None), true, now);
                return;
            }
        };
        if let Some(wish) = throttling::wish(ApiKey::Produce, version, answered.throttle_time_ms) {
            self.throttle(node, wish, now);
        }
        let mut hints = Vec::new();
        for (sent, answer) in answered.answers {
            hints.extend(leader_hint(node, &sent, &answer));
            self.handle_answer(&sent, answer, now);
        }
        if answered.has_strangers {
            self.tell_of_answer(node, "tells of batches that were not sent", now);
            self.network.close(node, ApiKey::Produce, now);
        }
        if !answered.left_out.batches().is_empty() {
            self.tell_of_answer(node, "leaves batches out", now);
            self.network.close(node, ApiKey::Produce, now);
            let failure = failure("its answer leaves records out", None);
            self.handle_loss(&answered.left_out, node, failure, true, now);
        }
        self.topology.update_leaders(&hints, &answered.endpoints, &mut self.effects);
        self.act(now);
    }

    fn tell_of_answer(&mut self, node: NodeId, problem: &'static str, now: Instant) {
        let broker = Node::describe(node, self.topology.cluster().node(node));
        let text = format!("produce answer of broker {broker} {problem}; closed the connection");
        self.tell(News::warn(node, problem, text), now);
    }

    fn handle_answer(&mut self, sent: &SentBatch, answer: PartitionProduceResponse, now: Instant) {
        if let Some(partition) = self.schedule.partition_mut(sent.queue_id) {
            match self.settlement.handle_answer(partition, sent, answer, self.wall_clock, now) {
                LeaderNews::Current => {}
                LeaderNews::Doubted => {
                    self.topology.request_update();
                    self.topology.doubt_leader(&sent.topic_partition);
                }
                LeaderNews::Stale => self.topology.request_update(),
            }
        }
        self.look(sent.queue_id, now);
    }

    /// A request came to nothing without an answer for these batches.
    fn handle_loss(
        &mut self,
        sent: &ProduceSent,
        node: NodeId,
        failure: BrokerFailure,
        on_wire: bool,
        now: Instant,
    ) {
        self.topology.request_update();
        let broker = Node::describe(node, self.topology.cluster().node(node)).into();
        let loss = DeliveryErrorKind::Disconnected { broker, failure };
        self.settle_each(sent, now, |settlement, partition, sent| {
            settlement.handle_loss(partition, sent, &loss, on_wire, now);
        });
    }

    /// Hands each batch of a request to the settlement, and looks at its partition.
    fn settle_each(
        &mut self,
        sent: &ProduceSent,
        now: Instant,
        settle: impl Fn(&mut Settlement, &mut Partition, &SentBatch),
    ) {
        for sent in sent.batches() {
            if let Some(partition) = self.schedule.partition_mut(sent.queue_id) {
                settle(&mut self.settlement, partition, sent);
            }
            self.look(sent.queue_id, now);
        }
    }
}

/// Says that a request on a connection that was in use got no answer.
fn failure(text: impl Into<Arc<str>>, source: Option<SharedError>) -> BrokerFailure {
    BrokerFailure::new(ConnectionStep::Ready, text.into(), Duration::ZERO, source)
}
