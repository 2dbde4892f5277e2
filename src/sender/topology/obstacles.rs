//! What the sender reports if it cannot ask brokers, or cannot read their answers: a warning in the log where a user should look,
//! and a reason in the errors of callers that wait for metadata in vain.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use super::Topology;
use crate::log;
use crate::metadata::{MetadataFailure, Node};
use crate::network::{DisconnectReason, MalformedResponse};
use crate::protocol::ApiKey;
use crate::sender::effects::{Effect, Effects};
use crate::sender::line::News;
use crate::sender::nodes::Nodes;
use crate::topic_partition::NodeId;
use crate::wire::DecodeError;

impl Topology {
    /// Takes in that an answer to some request cannot be read. Returns what is wrong with it.
    pub(in crate::sender) fn handle_unreadable(
        &mut self,
        node: NodeId,
        api_key: ApiKey,
        version: i16,
        error: &DecodeError,
        effects: &mut Effects,
    ) -> String {
        let broker = self.describe(node);
        let problem =
            format!("the answer of broker {broker} to {api_key:?} version {version} cannot be read: {error}");
        let text = format!("{problem}; closed the connection");
        effects.push(Effect::Tell(News::warn(node, "unreadable", text)));
        // Without a producer id, or while batches come to nothing, metadata is still to be had.
        if api_key == ApiKey::Metadata {
            self.note_obstacle(&problem, effects);
        }
        problem
    }

    /// Tells of a connection that was closed because what came on it is no answer to what was asked.
    pub(super) fn note_malformed(
        &mut self,
        node: NodeId,
        problem: &MalformedResponse,
        effects: &mut Effects,
    ) {
        let broker = self.describe(node);
        let cause = problem.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let obstacle = format!("broker {broker} sends what cannot be read: {problem}{cause}");
        let text = format!("{obstacle}; closed the connection");
        effects.push(Effect::Tell(News::warn(node, "malformed", text)));
        self.note_obstacle(&obstacle, effects);
    }

    /// Takes in why there is no connection to a broker, while no broker that could be asked is connected. A refusal that `is_final` ends
    /// the wait of callers.
    pub(super) fn note_no_connection(
        &mut self,
        node: NodeId,
        reason: &DisconnectReason,
        is_final: bool,
        effects: &mut Effects,
    ) {
        if reason.is_refusal() && is_final {
            let refusal = format!("broker {}: {reason}", self.describe(node));
            return effects.push(Effect::Publish(self.metadata.note_refusal(&refusal)));
        }
        if let Some(cause) = self.refusals.passing_lack().cloned() {
            return self.note_obstacle(&cause, effects);
        }
        // The code that read the answer has noted what is wrong with it. All else stands in the accounts of brokers.
        if !matches!(reason, DisconnectReason::Malformed(_) | DisconnectReason::Senseless(_))
            && let Some(cluster) = self.metadata.clear_obstacle()
        {
            effects.push(Effect::Publish(cluster));
        }
    }

    /// Reports that a broker refuses the producer, while others do not: callers who wait for what only that one can take wait in vain.
    pub(super) fn note_refusing_broker(&mut self, node: NodeId, effects: &mut Effects) {
        if let Some(refusal) = self.refusals.of(node, false) {
            effects.push(Effect::Publish(self.metadata.note_refusal_of(node, &refusal)));
        }
    }

    /// Reports that there are no credentials to show to brokers, while no broker that could be asked is connected. The login has
    /// logged it.
    pub(in crate::sender) fn note_no_credentials(
        &mut self,
        cause: &Arc<str>,
        is_permanent: bool,
        nodes: &mut Nodes<'_>,
        now: Instant,
        effects: &mut Effects,
    ) {
        self.refusals.note_lack(cause, is_permanent);
        if nodes.least_loaded(ApiKey::Metadata, now).has_ready_connection {
            return;
        }
        if is_permanent {
            effects.push(Effect::Publish(self.metadata.note_refusal(cause)));
        } else {
            self.note_obstacle(cause, effects);
        }
    }

    /// Takes in that there are credentials to show to brokers.
    pub(in crate::sender) fn note_credentials(&mut self) {
        self.refusals.note_credentials();
    }

    /// Notes whether a broker refuses the producer.
    pub(super) fn note_refusal(&mut self, node: NodeId, reason: &DisconnectReason, effects: &mut Effects) {
        let cluster = self.metadata.cluster();
        self.refusals.retain(|known| known == node || known.0 < 0 || cluster.node(known).is_some());
        let broker = self.describe(node);
        self.refusals.handle_end(node, &broker, reason);
        if self.refusals.of(node, false).is_none()
            && let Some(view) = self.metadata.clear_refusal_of(node)
        {
            effects.push(Effect::Publish(view));
        }
    }

    /// Returns why the leader of a partition gets no requests, if only another configuration helps. If no leader is known, returns
    /// why the brokers that can be asked for it refuse the producer.
    pub(in crate::sender) fn refusal(
        &self,
        leader: Option<NodeId>,
        is_ready: impl FnOnce(NodeId) -> bool,
    ) -> Option<Arc<str>> {
        match leader {
            Some(leader) => self.refusals.of(leader, is_ready(leader)),
            None => self.cluster().refusal().map(Arc::from),
        }
    }

    /// Reports an answer that brought no metadata.
    pub(super) fn note_no_metadata(&mut self, node: NodeId, failure: MetadataFailure, effects: &mut Effects) {
        log::debug!(%node, %failure, "no metadata");
        if failure != MetadataFailure::Abandoned {
            self.note_obstacle(&format!("broker {}: {failure}", self.describe(node)), effects);
        }
    }

    /// Reports a broker, just connected, that cannot be asked for metadata.
    pub(super) fn note_missing_metadata(&mut self, node: NodeId, effects: &mut Effects) {
        let broker = self.describe(node);
        let obstacle = format!(
            "broker {broker} speaks no version of Metadata that this producer speaks, as a controller does not"
        );
        let text = format!("{obstacle}; check bootstrap.servers");
        effects.push(Effect::Tell(News::warn(node, "no metadata", text)));
        self.note_obstacle(&obstacle, effects);
    }

    pub(super) fn note_obstacle(&mut self, obstacle: &str, effects: &mut Effects) {
        if let Some(cluster) = self.metadata.note_obstacle(obstacle) {
            effects.push(Effect::Publish(cluster));
        }
    }

    pub(super) fn describe(&self, node: NodeId) -> String {
        Node::describe(node, self.metadata.cluster().node(node))
    }
}
