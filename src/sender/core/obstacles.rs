//! What is told of brokers that cannot be asked, or give no answer that can be read: a warning in the log where a user should
//! look, and the reason to those who wait for metadata in vain.

use std::error::Error;
use std::time::Instant;

use super::SenderCore;
use crate::log;
use crate::metadata::MetadataFailure;
use crate::network::{DisconnectReason, MalformedResponse};
use crate::protocol::ApiKey;
use crate::topic_partition::NodeId;
use crate::wire::DecodeError;

impl SenderCore {
    /// Closes a connection whose answer to a request cannot be read. Returns what is wrong with it.
    pub(super) fn close_unreadable(
        &mut self,
        node: NodeId,
        api_key: ApiKey,
        version: i16,
        error: &DecodeError,
        now: Instant,
    ) -> String {
        let broker = self.describe_node(node);
        log::warn!(%broker, ?api_key, version, %error, "answer cannot be read; closing the connection");
        let problem =
            format!("the answer of broker {broker} to {api_key:?} version {version} cannot be read: {error}");
        // Without a producer id, or while batches come to nothing, metadata is still to be had.
        if api_key == ApiKey::Metadata {
            self.note_obstacle(&problem);
        }
        self.network.close(node, api_key, now);
        problem
    }

    /// Tells of a connection that was closed because what came on it is no answer to what was asked.
    pub(super) fn note_malformed(&mut self, node: NodeId, problem: &MalformedResponse) {
        let broker = self.describe_node(node);
        let cause = problem.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        log::warn!(%broker, "{problem}{cause}; closed the connection");
        self.note_obstacle(&format!("broker {broker} sends what cannot be read: {problem}{cause}"));
    }

    /// Tells why there is no connection to a broker, while none is connected that could be asked.
    pub(super) fn note_no_connection(&mut self, node: NodeId, reason: &DisconnectReason) {
        // What is wrong with an answer was told by those who have read it.
        if !matches!(reason, DisconnectReason::Malformed(_) | DisconnectReason::Senseless(_)) {
            self.note_obstacle(&format!("broker {}: {reason}", self.describe_node(node)));
        }
    }

    /// Tells of an answer that brought no metadata.
    pub(super) fn note_no_metadata(&mut self, node: NodeId, failure: MetadataFailure) {
        log::debug!(%node, %failure, "no metadata");
        if failure != MetadataFailure::Abandoned {
            self.note_obstacle(&format!("broker {}: {failure}", self.describe_node(node)));
        }
    }

    /// Tells of a broker, just connected, that cannot be asked for metadata.
    pub(super) fn note_missing_metadata(&mut self, node: NodeId) {
        if self.network.lacks(node, ApiKey::Metadata) {
            let broker = self.describe_node(node);
            log::warn!(%broker, "broker speaks no version of Metadata that this producer speaks");
            self.note_obstacle(&format!(
                "broker {broker} speaks no version of Metadata that this producer speaks, as a controller does not"
            ));
        }
    }

    pub(super) fn note_obstacle(&mut self, obstacle: &str) {
        if let Some(cluster) = self.metadata.note_obstacle(obstacle) {
            self.published = Some(cluster);
        }
    }

    pub(super) fn describe_node(&self, node: NodeId) -> String {
        match self.metadata.cluster().node(node) {
            Some(known) if node.0 >= 0 => format!("{node} ({}:{})", known.host(), known.port()),
            // The ids of entries of `bootstrap.servers` mean nothing to anybody else.
            Some(known) => format!("{}:{}", known.host(), known.port()),
            None => node.to_string(),
        }
    }
}
