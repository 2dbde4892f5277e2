//! `Topology`: the exchange of metadata. Whom to ask about which topics and when, and what follows from the answers.
//!
//! [`Metadata`] knows when news are due and what to ask. This machine finds a broker to ask. It may look ahead before the first
//! answer (`scouting.rs`), it reports what stands in the way (`obstacles.rs`), and if no broker is worth waiting for it starts
//! over from `bootstrap.servers`.
//!
//! An answer becomes a view of the cluster, which is an effect: connections, partitions and callers have to follow it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::RecordAccumulator;
use crate::log;
use crate::metadata::{Cluster, LeaderHint, Metadata, MetadataFailure, MetadataRequestId};
use crate::metrics::Counters;
use crate::network::DisconnectReason;
use crate::planted::planted;
use crate::protocol::ApiKey;
use crate::protocol::messages::metadata::MetadataResponse;
use crate::protocol::messages::produce::NodeEndpoint;
use crate::sender::effects::{Effect, Effects};
use crate::sender::line::{Line, News};
use crate::sender::nodes::Nodes;
use crate::sender::request::{Body, Purpose, RequestOutcome};
use crate::sender::throttling;
use crate::sender::timer::{Timer, Wait};
use crate::sender::topic_interests::TopicInterest;
use crate::topic_partition::{NodeId, Topic, TopicPartition};
use crate::wire::Reader;

mod obstacles;
mod refusals;
mod resolution;
mod scouting;

use self::refusals::Refusals;
pub(crate) use self::resolution::BootstrapNews;
use self::resolution::Resolution;
use self::scouting::Scouting;

/// What the sender knows of the cluster, and how it comes to know it.
#[derive(Debug)]
pub(super) struct Topology {
    metadata: Metadata,
    scouting: Scouting,
    refusals: Refusals,
    /// The id of the cluster that brokers named last.
    cluster_id: Option<Arc<str>>,
    /// When all started over last because a broker was not the one that metadata names.
    misrouted_at: Option<Instant>,
    /// `None` without a limit, and once a name in `bootstrap.servers` has had an address.
    resolution: Option<Resolution>,
    topics_in_use: TopicsInUse,
    /// Topics that callers wait for, and since when.
    awaited: BTreeMap<Topic, Instant>,
    counters: Arc<Counters>,
}

/// What a request was made for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MetadataQuestion {
    Metadata(MetadataRequestId),
    /// A look ahead.
    Scout,
}

/// Says which topics were used lately.
#[derive(Debug)]
struct TopicsInUse {
    accumulator: Arc<RecordAccumulator>,
    /// The origin of the seconds in which topics note their use.
    epoch: Instant,
    /// After this long without use a topic is forgotten (`metadata.max.idle.ms`).
    max_idle: Duration,
}

impl Topology {
    pub(super) fn new(
        metadata: Metadata,
        accumulator: Arc<RecordAccumulator>,
        epoch: Instant,
        max_idle: Duration,
        resolve_timeout: Option<Duration>,
        counters: Arc<Counters>,
    ) -> Self {
        let resolution = resolve_timeout.and_then(|timeout| Resolution::new(timeout, epoch));
        let topics_in_use = TopicsInUse { accumulator, epoch, max_idle };
        Self {
            metadata,
            scouting: Scouting::Possible,
            refusals: Refusals::default(),
            cluster_id: None,
            misrouted_at: None,
            resolution,
            topics_in_use,
            awaited: BTreeMap::new(),
            counters,
        }
    }

    /// Asks for news if they are due. Returns whether to call again once the effects are done: all starts over then.
    pub(super) fn next_request(
        &mut self,
        nodes: &mut Nodes<'_>,
        now: Instant,
        effects: &mut Effects,
    ) -> bool {
        if self.metadata.is_recovering() && nodes.has_ready_broker() {
            self.metadata.handle_recovery();
        }
        // Looking at every node is for the rare moments when a request is due.
        let is_due = self.metadata.is_due(now);
        let chosen = is_due.then(|| nodes.least_loaded(ApiKey::Metadata, now));
        if chosen.is_some_and(|chosen| chosen.is_busy()) {
            // A broker that asks to be left alone is not gone. Another connection would evade its quota.
            return false;
        }
        let starts_over = match chosen {
            Some(chosen) => self.metadata.should_rebootstrap(chosen.is_promising, now),
            None => self.metadata.is_stuck(now),
        };
        if starts_over {
            self.start_over(now, effects);
            return true;
        }
        let Some(node) = chosen.and_then(|chosen| chosen.node) else { return false };
        if nodes.can_send(node, now) {
            self.ask(node, nodes, now, effects);
        } else {
            effects.push(Effect::Connect(node));
            self.scout(node, nodes, now, effects);
        }
        false
    }

    fn ask(&mut self, node: NodeId, nodes: &Nodes<'_>, now: Instant, effects: &mut Effects) {
        let Some((id, request)) = self.metadata.next_request(now) else { return };
        let request = match nodes.version_for(node, ApiKey::Metadata) {
            Some(version) => self.metadata.adapt(request, version),
            None => request,
        };
        self.counters.metadata_requests_sent.add(1);
        let purpose = Purpose::Topology(MetadataQuestion::Metadata(id));
        effects.push(Effect::Send { node, purpose, body: Body::Metadata(request) });
    }

    /// Takes in what has become of a request.
    pub(super) fn handle_outcome(
        &mut self,
        question: MetadataQuestion,
        node: NodeId,
        outcome: RequestOutcome,
        now: Instant,
        effects: &mut Effects,
    ) {
        match outcome {
            RequestOutcome::Answered { version, body } => {
                self.handle_answer(question, node, version, &body, now, effects);
            }
            RequestOutcome::Failed { .. } | RequestOutcome::Written => self.handle_failure(question, now),
        }
    }

    fn handle_answer(
        &mut self,
        question: MetadataQuestion,
        node: NodeId,
        version: i16,
        body: &[u8],
        now: Instant,
        effects: &mut Effects,
    ) {
        let asked = self.metadata.reads_topic();
        let response = MetadataResponse::decode_asked(&mut Reader::new(body), version, asked);
        match (question, response) {
            (MetadataQuestion::Metadata(id), Ok(response)) => {
                self.handle_metadata(id, node, version, &response, now, effects);
            }
            (MetadataQuestion::Scout, Ok(response)) => self.handle_scout(&response, effects),
            (question, Err(error)) => {
                self.handle_failure(question, now);
                effects.push(Effect::Unreadable { node, api_key: ApiKey::Metadata, version, error });
            }
        }
    }

    fn handle_failure(&mut self, question: MetadataQuestion, now: Instant) {
        match question {
            MetadataQuestion::Metadata(id) => self.metadata.handle_failure(id, now),
            MetadataQuestion::Scout => self.scouting.give_up(),
        }
    }

    fn handle_metadata(
        &mut self,
        id: MetadataRequestId,
        node: NodeId,
        version: i16,
        response: &MetadataResponse,
        now: Instant,
        effects: &mut Effects,
    ) {
        if let Some(wish) = throttling::wish(ApiKey::Metadata, version, response.throttle_time_ms) {
            effects.push(Effect::Throttle { node, wish });
        }
        if self.is_other_cluster(response.cluster_id.as_deref(), effects) {
            // It counts as a failure, so that addresses that lead to one cluster and the other by turns are not asked without a
            // pause.
            self.metadata.handle_failure(id, now);
            return effects.push(Effect::LeaveCluster);
        }
        let may_topics_expire = self.metadata.may_topics_expire(now);
        if may_topics_expire {
            self.topics_in_use.tell(&mut self.metadata, now);
        }
        match self.metadata.handle_response(id, response, version, now) {
            Ok(update) => {
                self.scouting.allow();
                effects.push(Effect::Adopt(update));
                if may_topics_expire {
                    effects.push(Effect::ForgetIdleTopics);
                }
            }
            Err(MetadataFailure::RebootstrapRequired) => {
                // Its name may have come to stand for another broker: it must be connected to anew.
                effects.push(Effect::Retire(node));
                self.start_over(now, effects);
            }
            Err(failure) => self.note_no_metadata(node, failure, effects),
        }
    }

    /// Whether an answer comes from another cluster than those before, as when DNS has moved. The sender then leaves the one
    /// that it knows and begins anew with `bootstrap.servers`.
    fn is_other_cluster(&mut self, id: Option<&str>, effects: &mut Effects) -> bool {
        // Old brokers do not tell, and what is no broker may say nothing.
        let Some(id) = id.filter(|id| !id.is_empty() && self.cluster_id.as_deref() != Some(*id)) else {
            return false;
        };
        let Some(left) = self.cluster_id.replace(Arc::from(id)) else { return false };
        if planted!(ClusterChangeIgnored) {
            return false;
        }
        let line = Line::warn(format!(
            "bootstrap.servers lead to another cluster, from {left} to {id}; going on there with another producer id"
        ));
        effects.push(Effect::Tell(News::of_cluster("other cluster", line)));
        true
    }

    /// Whether a broker that is not the one that metadata names makes the sender start over. Where the bootstrap servers lead to the same
    /// wrong place, the connections to all other brokers would be closed again and again.
    fn may_start_over(&self, now: Instant) -> bool {
        let is_soon = |at| now.saturating_duration_since(at) < MISROUTED_PAUSE;
        !self.misrouted_at.is_some_and(is_soon) && self.metadata.may_rebootstrap()
    }

    /// Goes back to `bootstrap.servers`.
    pub(super) fn start_over(&mut self, now: Instant, effects: &mut Effects) {
        if self.metadata.is_recovering() {
            log::debug!("starting over from bootstrap.servers once more: no broker could be reached since");
        } else {
            let line = Line::info("starting over from bootstrap.servers".to_owned());
            effects.push(Effect::Tell(News::of_cluster("start over", line)));
        }
        effects.push(Effect::Adopt(self.metadata.rebootstrap(now)));
    }

    /// Takes in that a node takes requests from now on.
    pub(super) fn handle_ready(&mut self, node: NodeId, nodes: &Nodes<'_>, effects: &mut Effects) {
        self.resolution = None;
        self.refusals.handle_ready(node);
        if let Some(view) = self.metadata.clear_refusal() {
            effects.push(Effect::Publish(view));
        }
        if nodes.lacks(node, ApiKey::Metadata) {
            self.note_missing_metadata(node, effects);
        }
    }

    /// Takes in that a connection was lost, or that none could be made. Connections that the sender itself closes are not lost.
    pub(super) fn handle_lost_connection(
        &mut self,
        node: NodeId,
        reason: &DisconnectReason,
        nodes: &mut Nodes<'_>,
        now: Instant,
        effects: &mut Effects,
    ) {
        self.note_refusal(node, reason, effects);
        if *reason == DisconnectReason::Misrouted && self.may_start_over(now) {
            let text = format!("broker {}: {reason}; metadata is of no use any more", nodes.describe(node));
            effects.push(Effect::Tell(News::warn(node, "misrouted", text)));
            self.misrouted_at = Some(now);
            return self.start_over(now, effects);
        }
        let others = nodes.least_loaded(ApiKey::Metadata, now);
        if others.has_ready_connection {
            // A request that is due did not go to the broker that is lost.
            self.metadata.request_update();
            self.note_refusing_broker(node, effects);
        } else {
            self.metadata.handle_disconnect(now);
            // One entry of `bootstrap.servers` may be wrong and the next one right.
            let is_final = node.0 >= 0 || !others.is_promising;
            self.note_no_connection(node, reason, is_final, effects);
            self.note_resolution(node, reason, is_final, now, effects);
        }
        if let DisconnectReason::Malformed(problem) = reason {
            self.note_malformed(node, problem, effects);
        }
    }

    /// Takes in that a caller asks for the metadata of a topic, or waits for it no longer.
    pub(super) fn handle_interest(&mut self, interest: &TopicInterest, now: Instant) {
        let TopicInterest { topic, is_wanted, is_awaited } = interest;
        if *is_awaited {
            self.awaited.entry(topic.clone()).or_insert(now);
        } else {
            self.awaited.remove(topic);
        }
        if *is_wanted {
            self.metadata.request_topic_for_caller(topic, *is_awaited, now);
        } else if !is_awaited {
            self.metadata.note_no_caller(topic, now);
        }
    }

    /// Asks for a topic, because records wait for a partition of it that has no leader.
    pub(super) fn request_topic(&mut self, topic: &Topic, now: Instant) {
        self.metadata.request_topic(topic, now);
    }

    /// Asks for news of all topics.
    pub(super) fn request_update(&mut self) {
        self.metadata.request_update();
    }

    /// Takes in that a broker denies to lead a partition.
    pub(super) fn doubt_leader(&mut self, partition: &TopicPartition) {
        self.metadata.doubt_leader(partition);
    }

    /// Takes the word of a broker for who leads some partitions (KIP-951).
    pub(super) fn update_leaders(
        &mut self,
        hints: &[LeaderHint],
        endpoints: &[NodeEndpoint],
        effects: &mut Effects,
    ) {
        if let Some(update) = self.metadata.update_leaders(hints, endpoints) {
            effects.push(Effect::Adopt(update));
        }
    }

    /// Says what the next request, and the next new start, wait for.
    pub(super) fn timeouts(&self, now: Instant, mut see: impl FnMut(Wait, Timer)) {
        let time = self.metadata.time_to_request(now);
        let starts_over = if time.is_some_and(|time| time.is_zero()) {
            // Due and not sent: a node must become usable first, or all starts over.
            see(Wait::AnyNode, Timer::Metadata);
            self.metadata.poll_restart(now)
        } else {
            if let Some(at) = time.and_then(|time| now.checked_add(time)) {
                see(Wait::Until(at), Timer::Metadata);
            }
            self.metadata.next_rebootstrap(now)
        };
        if let Some(at) = starts_over {
            see(Wait::Until(at), Timer::StartingOver);
        }
    }

    /// Whether a caller waits for a topic.
    pub(super) fn is_any_awaited(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Returns since when a caller waits who has waited longest, and for which topic.
    pub(super) fn first_awaited(&self) -> Option<(Instant, &Topic)> {
        self.awaited.iter().map(|(topic, since)| (*since, topic)).min()
    }

    /// Returns when brokers last described all topics in use, if they have since the last new start.
    pub(super) fn refreshed_at(&self) -> Option<Instant> {
        self.metadata.refreshed_at()
    }

    /// Returns the latest view.
    pub(super) fn cluster(&self) -> &Arc<Cluster> {
        self.metadata.cluster()
    }

    /// Whether a topic is asked for: it is in use, or was lately.
    pub(super) fn is_tracked(&self, topic: &Topic) -> bool {
        self.metadata.is_tracked(topic)
    }
}

impl TopicsInUse {
    fn tell(&self, metadata: &mut Metadata, now: Instant) {
        for topic in self.accumulator.topics() {
            let used = self.epoch + Duration::from_secs(topic.last_used());
            if now.saturating_duration_since(used) < self.max_idle {
                metadata.add_topic(topic.topic(), used);
            }
        }
    }
}

/// Between two new starts because of brokers that are not those that metadata names. Meanwhile the brokers that are right are asked
/// for news.
const MISROUTED_PAUSE: Duration = Duration::from_secs(10);
