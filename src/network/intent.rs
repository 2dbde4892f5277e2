//! `Intent`: which broker the client means to reach, as it tells brokers that can be told (KIP-1242).
//!
//! An address may have come to stand for another broker, or for one of another cluster, as when pods are moved. A broker that
//! knows whom the client means says so before it is sent a secret or a record.

use std::sync::Arc;

use crate::protocol::ApiKey;
use crate::topic_partition::NodeId;

use super::api_versions::ApiVersions;

#[derive(Debug)]
pub(super) struct Intent {
    /// False with `metadata.cluster.check.enable=false`.
    is_told: bool,
    cluster_id: Option<Arc<str>>,
    /// The version of ApiVersions in which the last broker has said what it speaks, or would. In a higher one it would have to be asked
    /// twice on each connection.
    understood: Option<i16>,
}

impl Intent {
    pub(super) fn new(is_told: bool) -> Self {
        Self { is_told, cluster_id: None, understood: None }
    }

    /// Returns whether another cluster was known before.
    pub(super) fn set_cluster_id(&mut self, cluster_id: Option<&str>) -> bool {
        if self.cluster_id.as_deref() == cluster_id {
            return false;
        }
        let before = std::mem::replace(&mut self.cluster_id, cluster_id.map(Arc::from));
        before.is_some()
    }

    /// Takes in what a broker speaks.
    pub(super) fn note_versions(&mut self, versions: &ApiVersions) {
        self.understood = versions.version_for(ApiKey::ApiVersions);
    }

    /// Takes in that a broker does not know the version in which it was asked, and is asked in this one now.
    pub(super) fn note_refusal(&mut self, next: i16) {
        self.understood = Some(next);
    }

    /// Returns the version in which to ask a broker first what it speaks: at most `highest`, which it bore so far, and at most
    /// `unknown` as long as no broker has said anything.
    pub(super) fn first_version(&self, highest: i16, unknown: i16, node: NodeId) -> i16 {
        let told = if self.told_to(node).is_some() { i16::MAX } else { TOLD_SINCE - 1 };
        highest.min(told).min(self.understood.unwrap_or(unknown))
    }

    /// Returns the id of the cluster that a broker is told, if it is one that the cluster has named.
    pub(super) fn told_to(&self, node: NodeId) -> Option<&Arc<str>> {
        self.cluster_id.as_ref().filter(|_| self.is_told && node.0 >= 0)
    }
}

/// The first version of ApiVersions that has a place for it.
pub(super) const TOLD_SINCE: i16 = 5;
